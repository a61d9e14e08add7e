//! Runs `.slt` files on this database and prints what differs: `cargo run -p helios_tests --example check -- FILE…`

use std::path::Path;
use std::process::ExitCode;

use helios_tests::{Embedded, Failure, failures};
use heliosdb_nano::EmbeddedDatabase;
use sqllogictest::Runner;

fn main() -> ExitCode {
    let mut count = 0;
    for file in std::env::args().skip(1) {
        let database = EmbeddedDatabase::new_in_memory().expect("a database in memory");
        let mut runner = Runner::new(|| async { Ok::<_, Failure>(Embedded::new(&database)) });
        for failure in failures(&mut runner, Path::new(&file)) {
            println!("{failure}");
            count += 1;
        }
    }
    println!("{count} records failed");
    if count == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
