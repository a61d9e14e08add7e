//! The plans that EXPLAIN shows, as `tests/explain.txt` has them: which index is used, what is joined how, where filters
//! and locks are. When a plan is meant to change, `HELIOS_EXPLAIN=write` writes the file anew, for a look at its diff.
#![allow(clippy::disallowed_methods)] // it reads and writes the project's own file

use heliosdb_nano::{EmbeddedDatabase, params};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/explain.txt");
const SETUP: &[&str] = &[
    "CREATE TABLE customers (id int PRIMARY KEY, name text UNIQUE, city text)",
    "CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers, total numeric)",
    "CREATE INDEX ON orders (customer)",
    "INSERT INTO customers SELECT n, 'name ' || n, 'city ' || n % 7 FROM generate_series(1, 1000) n",
    "INSERT INTO orders SELECT n, n % 1000 + 1, n FROM generate_series(1, 5000) n",
    "ANALYZE",
];

fn plan(db: &EmbeddedDatabase, statement: &str) -> String {
    match db.query(statement, params![]) {
        Ok(rows) => {
            rows.iter().map(|row| row.get::<String>("QUERY PLAN").expect("a line of text") + "\n").collect()
        }
        Err(error) => format!("ERROR {}: {}\n", error.sqlstate(), error.message()),
    }
}

#[test]
fn plans_are_as_written_down() {
    let db = EmbeddedDatabase::new_in_memory().expect("a database");
    for statement in SETUP {
        db.execute(statement).expect(statement);
    }
    let expected = std::fs::read_to_string(FILE).expect("the file of plans");
    let statements = expected.lines().filter(|line| line.starts_with("EXPLAIN"));
    let found: Vec<String> =
        statements.map(|statement| format!("{statement}\n{}", plan(&db, statement))).collect();
    let found = found.join("\n");
    if std::env::var("HELIOS_EXPLAIN").is_ok_and(|wish| wish == "write") {
        std::fs::write(FILE, &found).expect("written");
        return;
    }
    for (found, expected) in found.split("\n\n").zip(expected.split("\n\n")) {
        assert_eq!(found.trim_end(), expected.trim_end());
    }
    assert_eq!(found, expected);
}
