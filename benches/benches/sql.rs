//! Statements through the embedded API: prepared statements for one row, and whole scans.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use heliosdb_nano::{EmbeddedDatabase, ToValue};

const ACCOUNTS: i32 = 20_000;

/// A database with pgbench's accounts and history, and a table for inserting with a key.
fn database() -> EmbeddedDatabase {
    let database = EmbeddedDatabase::new_in_memory().unwrap();
    database
        .execute(
            "CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84));
             CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp);
             CREATE TABLE items (id bigint PRIMARY KEY, name text NOT NULL, price double precision)",
        )
        .unwrap();
    let mut insert = database.prepare("INSERT INTO pgbench_accounts VALUES ($1, 1, 0, '')").unwrap();
    for account in 1..=ACCOUNTS {
        insert.execute(&[&account]).unwrap();
    }
    database
}

/// Runs one prepared statement over and over, with parameters that `next` makes.
fn prepared<const N: usize>(
    criterion: &mut Criterion,
    name: &str,
    sql: &str,
    mut next: impl FnMut(i64) -> [i64; N],
) {
    let database = database();
    let mut statement = database.prepare(sql).unwrap();
    let is_query = sql.starts_with("SELECT");
    let mut number = 0;
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            number += 1;
            let values = next(number);
            let parameters: [&dyn ToValue; N] = std::array::from_fn(|at| &values[at] as &dyn ToValue);
            if is_query {
                black_box(statement.query(&parameters).unwrap().len() as u64)
            } else {
                statement.execute(&parameters).unwrap()
            }
        })
    });
}

fn account(number: i64) -> i64 {
    number * 7919 % i64::from(ACCOUNTS) + 1
}

fn statements(criterion: &mut Criterion) {
    prepared(
        criterion,
        "prepared/select by key",
        "SELECT aid, bid, abalance FROM pgbench_accounts WHERE aid = $1::int",
        |number| [account(number)],
    );
    prepared(
        criterion,
        "prepared/insert with key",
        "INSERT INTO items VALUES ($1, 'widget', 9.5)",
        |number| [number],
    );
    prepared(
        criterion,
        "prepared/insert without key",
        "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES ($1, $2, $3, $4, CURRENT_TIMESTAMP)",
        |number| [1, 1, account(number), 5],
    );
    prepared(
        criterion,
        "prepared/update by key",
        "UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2",
        |number| [5, account(number)],
    );
    let database = database();
    let mut number = 0;
    criterion.bench_function("text/select by key", |bencher| {
        bencher.iter(|| {
            number += 1;
            let sql = "SELECT abalance FROM pgbench_accounts WHERE aid = $1";
            black_box(database.query(sql, &[&account(number)]).unwrap())
        })
    });
    let mut total =
        database.prepare("SELECT count(*), sum(bid), avg(abalance) FROM pgbench_accounts").unwrap();
    criterion.bench_function("prepared/aggregate 20,000 rows", |bencher| {
        bencher.iter(|| black_box(total.query(&[]).unwrap()))
    });
}

criterion_group!(benches, statements);
criterion_main!(benches);
