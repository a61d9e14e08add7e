//! What branches and history cost those who do not use them: instructions of pgbench's select-only transaction, in a fresh
//! database and in one with a hundred branches and many versions of each row.
//!
//! `select_only fresh|aged COUNT` makes one of the two in memory and runs so many transactions. Their instructions are
//! counted by callgrind, which looks at one function alone; the difference of two counts leaves out what happens once:
//!
//! ```text
//! cargo build --release -p helios_benches --example select_only
//! for count in 5000 25000; do
//!     valgrind --fair-sched=yes --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect='select_only::transactions' \
//!         target/release/examples/select_only aged $count
//! done
//! ```

use std::hint::black_box;

use heliosdb_nano::{EmbeddedDatabase, PreparedStatement, Result, params};

const ROWS: i32 = 2_000;
const BRANCHES: usize = 100;
const VERSIONS: usize = 30;

fn make(is_aged: bool) -> Result<EmbeddedDatabase> {
    let database = EmbeddedDatabase::new_in_memory()?;
    database
        .execute("CREATE TABLE accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84))")?;
    database.execute_with(
        "INSERT INTO accounts SELECT i, 1, 0, '' FROM generate_series(1, $1) i",
        params![ROWS],
    )?;
    if !is_aged {
        database.execute("CHECKPOINT")?;
        return Ok(database);
    }
    for number in 0..BRANCHES {
        database.execute(&format!("CREATE DATABASE BRANCH b{number} FROM main AS OF NOW"))?;
        let branch = database.on_branch(&format!("b{number}"))?;
        branch.execute("UPDATE accounts SET abalance = abalance + 1 WHERE aid % 100 = 0")?;
    }
    for version in 0..VERSIONS {
        database.execute("UPDATE accounts SET abalance = abalance + 1")?;
        if version % 10 == 0 {
            database.execute("CHECKPOINT")?;
        }
    }
    database.execute("CHECKPOINT")?;
    Ok(database)
}

#[inline(never)]
fn transactions(select: &mut PreparedStatement, count: u64) -> Result<()> {
    for number in 0..count {
        let aid = (number * 7919 % ROWS as u64) as i32 + 1;
        black_box(select.query(params![aid])?);
    }
    Ok(())
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let is_aged = arguments.next().is_some_and(|kind| kind == "aged");
    let count = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(5000);
    let database = make(is_aged)?;
    // All pages, so that none is read later.
    database.query("SELECT sum(abalance) FROM accounts", params![])?;
    let mut select = database.prepare("SELECT abalance FROM accounts WHERE aid = $1")?;
    select.query(params![1])?;
    transactions(&mut select, count)
}
