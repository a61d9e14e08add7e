//! Runs `.slt` files on this database and prints what differs: `cargo run -p helios_tests --example check -- FILE…`
//!
//! With `--helpers` in front, all tables that may be read by several are read by helpers.

use std::path::Path;
use std::process::ExitCode;

use helios_tests::{Embedded, Failure, failures};
use heliosdb_nano::EmbeddedDatabase;
use sqllogictest::Runner;

fn main() -> ExitCode {
    let mut count = 0;
    let mut files: Vec<String> = std::env::args().skip(1).collect();
    let connect = match files.first().is_some_and(|first| first == "--helpers") {
        true => Embedded::with_helpers,
        false => Embedded::new,
    };
    files.retain(|file| file != "--helpers");
    for file in files {
        let database = EmbeddedDatabase::new_in_memory().expect("a database in memory");
        let mut runner = Runner::new(|| async { Ok::<_, Failure>(connect(&database)) });
        for failure in failures(&mut runner, Path::new(&file)) {
            println!("{failure}");
            count += 1;
        }
    }
    println!("{count} records failed");
    if count == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
