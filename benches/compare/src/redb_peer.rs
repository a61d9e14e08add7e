//! What redb does in each experiment: a map without SQL, so a lower bound of what a storage engine alone costs.

use std::path::Path;
use std::sync::Arc;

use redb::backends::InMemoryBackend;
use redb::{Database, Durability, ReadableDatabase, TableDefinition};

use crate::measure::{Contender, ROWS, spread};

const NAME: &str = "redb (no SQL)";
const ITEMS: TableDefinition<'static, i64, (&'static str, f64)> = TableDefinition::new("items");

fn memory() -> Database {
    Database::builder().create_with_backend(InMemoryBackend::new()).expect("a database in memory")
}

/// One row in a transaction of its own.
fn insert(database: &Database, number: i64, durability: Durability) {
    let mut transaction = database.begin_write().expect("a transaction");
    transaction.set_durability(durability).expect("a durability");
    transaction.open_table(ITEMS).expect("a table").insert(number, ("widget", 9.5)).expect("an insert");
    transaction.commit().expect("a commit");
}

fn insert_all(database: &Database, count: i64) {
    let transaction = database.begin_write().expect("a transaction");
    {
        let mut table = transaction.open_table(ITEMS).expect("a table");
        for number in 0..count {
            table.insert(number, ("widget", 9.5)).expect("an insert");
        }
    }
    transaction.commit().expect("a commit");
}

pub fn point_read() -> Contender {
    let database = memory();
    insert_all(&database, ROWS as i64);
    let mut number = 0;
    Contender::new(NAME, move |operations| {
        let mut total = 0.0;
        for _ in 0..operations {
            number += 1;
            let transaction = database.begin_read().expect("a transaction");
            let table = transaction.open_table(ITEMS).expect("a table");
            total += table.get(spread(number) as i64).expect("a read").expect("a row").value().1;
        }
        assert!(total > 0.0);
    })
}

pub fn insert_memory() -> Contender {
    let database = memory();
    let mut number = 0;
    Contender::new(NAME, move |operations| {
        for _ in 0..operations {
            number += 1;
            insert(&database, number, Durability::None);
        }
    })
}

pub fn bulk_insert() -> Contender {
    let database = memory();
    Contender::new(NAME, move |operations| {
        let transaction = database.begin_write().expect("a transaction");
        transaction.delete_table(ITEMS).expect("an empty table");
        transaction.commit().expect("a commit");
        insert_all(&database, operations as i64);
    })
}

pub fn durable(folder: &Path, writers: u64) -> Contender {
    let database = Arc::new(Database::create(folder.join("redb")).expect("a database in a file"));
    Contender::threads(NAME, writers, move |_| {
        let database = database.clone();
        move |number| insert(&database, number as i64, Durability::Immediate)
    })
}
