//! What branches and history cost those who do not use them: instructions of pgbench's select-only transaction, in a fresh
//! database and in one with a hundred branches and many versions of each row.
//!
//! `select_only make FOLDER fresh|aged` makes one of the two, `select_only run FOLDER COUNT` runs so many transactions. Their
//! instructions are counted by callgrind, which looks at one function alone:
//!
//! ```text
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect='*transactions*' \
//!     target/debug/examples/select_only run FOLDER COUNT
//! ```
#![allow(clippy::disallowed_methods)] // it clears its folder

use std::hint::black_box;
use std::path::Path;

use heliosdb_nano::{EmbeddedDatabase, PreparedStatement, Result, params};

const ROWS: i32 = 20_000;
const BRANCHES: usize = 100;
const VERSIONS: usize = 60;

fn make(folder: &Path, is_aged: bool) -> Result<()> {
    let _ = std::fs::remove_dir_all(folder);
    let database = EmbeddedDatabase::new(folder)?;
    database
        .execute("CREATE TABLE accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84))")?;
    database.execute_with(
        "INSERT INTO accounts SELECT i, 1, 0, '' FROM generate_series(1, $1) i",
        params![ROWS],
    )?;
    if !is_aged {
        return database.execute("CHECKPOINT").map(drop);
    }
    for number in 0..BRANCHES {
        database.execute(&format!("CREATE DATABASE BRANCH b{number} FROM main AS OF NOW"))?;
        let branch = database.on_branch(&format!("b{number}"))?;
        branch.execute("UPDATE accounts SET abalance = abalance + 1 WHERE aid % 1000 = 0")?;
    }
    for version in 0..VERSIONS {
        database.execute("UPDATE accounts SET abalance = abalance + 1")?;
        if version % 10 == 0 {
            database.execute("CHECKPOINT")?;
        }
    }
    database.execute("CHECKPOINT").map(drop)
}

#[inline(never)]
fn transactions(select: &mut PreparedStatement, count: u64) -> Result<()> {
    for number in 0..count {
        let aid = (number * 7919 % ROWS as u64) as i32 + 1;
        black_box(select.query(params![aid])?);
    }
    Ok(())
}

fn run(folder: &Path, count: u64) -> Result<()> {
    let database = EmbeddedDatabase::new(folder)?;
    // All pages, so that none is read later.
    database.query("SELECT sum(abalance) FROM accounts", params![])?;
    let mut select = database.prepare("SELECT abalance FROM accounts WHERE aid = $1")?;
    select.query(params![1])?;
    transactions(&mut select, count)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["make", folder, kind @ ("fresh" | "aged")] => make(Path::new(folder), kind == "aged"),
        ["run", folder, count] => run(Path::new(folder), count.parse().unwrap_or(1000)),
        _ => {
            println!("select_only make FOLDER fresh|aged; select_only run FOLDER COUNT");
            Ok(())
        }
    }
}
