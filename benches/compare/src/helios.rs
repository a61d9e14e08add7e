//! What HeliosDB Nano does in each experiment.

use std::path::Path;

use heliosdb_nano::{EmbeddedDatabase, params};

use crate::measure::{Contender, ROWS, spread};

const NAME: &str = "heliosdb_nano";

fn memory() -> EmbeddedDatabase {
    let database = EmbeddedDatabase::new_in_memory().expect("a database in memory");
    database
        .execute("CREATE TABLE items (id bigint PRIMARY KEY, name text NOT NULL, price double precision)")
        .expect("a table");
    database
}

fn accounts() -> EmbeddedDatabase {
    let database = EmbeddedDatabase::new_in_memory().expect("a database in memory");
    database
        .execute(&format!(
            "CREATE TABLE accounts (aid bigint PRIMARY KEY, bid bigint, balance bigint, filler text);
             INSERT INTO accounts SELECT n, 1, n * 3, 'a filler of forty bytes, more or less, so' FROM generate_series(0, {}) AS n",
            ROWS - 1
        ))
        .expect("accounts");
    database
}

pub fn point_read() -> Contender {
    let database = accounts();
    let mut statement = database.prepare("SELECT balance FROM accounts WHERE aid = $1").expect("a statement");
    let mut number = 0;
    Contender::new(NAME, move |operations| {
        let mut total = 0i64;
        for _ in 0..operations {
            number += 1;
            let key = spread(number) as i64;
            let found = statement.query_row(params![key], |row| row.get_at::<i64>(0));
            total += found.expect("a read").expect("a row");
        }
        assert!(total > 0);
    })
}

pub fn row_read() -> Contender {
    let database = accounts();
    let mut statement = database
        .prepare("SELECT aid, bid, balance, filler FROM accounts WHERE aid = $1")
        .expect("a statement");
    let mut number = 0;
    Contender::new(NAME, move |operations| {
        let mut total = 0;
        for _ in 0..operations {
            number += 1;
            let found = statement.query_row(params![spread(number) as i64], |row| {
                Ok((
                    row.get_at::<i64>(0)?,
                    row.get_at::<i64>(1)?,
                    row.get_at::<i64>(2)?,
                    row.get_at::<String>(3)?,
                ))
            });
            let row = found.expect("a read").expect("a row");
            total += row.2 as usize + row.3.len();
        }
        assert!(total > 0);
    })
}

pub fn insert_memory() -> Contender {
    let database = memory();
    let mut statement = database.prepare("INSERT INTO items VALUES ($1, $2, $3)").expect("a statement");
    let mut number = 0i64;
    Contender::new(NAME, move |operations| {
        for _ in 0..operations {
            number += 1;
            statement.execute(params![number, "widget", 9.5]).expect("an insert");
        }
    })
}

pub fn update_memory() -> Contender {
    let database = accounts();
    let mut statement =
        database.prepare("UPDATE accounts SET balance = balance + $1 WHERE aid = $2").expect("a statement");
    let mut number = 0;
    Contender::new(NAME, move |operations| {
        for _ in 0..operations {
            number += 1;
            statement.execute(params![5i64, spread(number) as i64]).expect("an update");
        }
    })
}

pub fn bulk_insert() -> Contender {
    let database = memory();
    Contender::new(NAME, move |operations| {
        database.execute("TRUNCATE items").expect("an empty table");
        let transaction = database.begin_transaction().expect("a transaction");
        for number in 0..operations as i64 {
            transaction
                .execute_with("INSERT INTO items VALUES ($1, $2, $3)", params![number, "widget", 9.5])
                .expect("an insert");
        }
        transaction.commit().expect("a commit");
    })
}

pub fn insert_select() -> Contender {
    let database = memory();
    let mut statement = database
        .prepare("INSERT INTO items SELECT n, 'widget', 9.5 FROM generate_series(1, $1::bigint) AS n")
        .expect("a statement");
    Contender::new(NAME, move |operations| {
        database.execute("TRUNCATE items").expect("an empty table");
        statement.execute(params![operations as i64]).expect("an insert");
    })
}

pub fn index_build() -> Contender {
    let database = accounts();
    Contender::new(NAME, move |_| {
        database.execute("CREATE INDEX by_balance ON accounts (balance)").expect("an index");
        database.execute("DROP INDEX by_balance").expect("no index");
    })
}

pub fn aggregate() -> Contender {
    let database = accounts();
    let mut statement =
        database.prepare("SELECT count(*), sum(balance), max(bid) FROM accounts").expect("a statement");
    Contender::new(NAME, move |_| {
        let rows = statement.query(&[]).expect("a row");
        assert_eq!(rows[0].get_at::<i64>(0).expect("a count"), ROWS as i64);
    })
}

pub fn durable(folder: &Path, writers: u64) -> Contender {
    let database = EmbeddedDatabase::new(folder.join("helios")).expect("a database in a folder");
    database
        .execute("CREATE TABLE items (id bigint PRIMARY KEY, name text NOT NULL, price double precision)")
        .expect("a table");
    Contender::threads(NAME, writers, move |_| {
        let mut statement = database.prepare("INSERT INTO items VALUES ($1, $2, $3)").expect("a statement");
        move |number| {
            statement.execute(params![number as i64, "widget", 9.5]).expect("an insert");
        }
    })
}
