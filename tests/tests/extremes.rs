//! Statements of the largest sizes are answered by a result or an error, in bounded time, and the database goes on.

use heliosdb_nano::{EmbeddedDatabase, ToValue, params};

fn works(database: &EmbeddedDatabase) {
    let rows = database.query("SELECT 1 AS n", params![]).expect("the database goes on");
    assert_eq!(rows[0].get::<i32>("n").expect("a number"), 1);
}

#[test]
fn deep_statements_are_refused() {
    let database = EmbeddedDatabase::new_in_memory().expect("a database in memory");
    let nested = |open: &str, inner: &str, close: &str, depth: usize| {
        format!("SELECT {}{inner}{}", open.repeat(depth), close.repeat(depth))
    };
    let statements = [
        nested("(", "1", ")", 10_000),
        nested("array[", "1", "]", 10_000),
        nested("CASE WHEN true THEN ", "1", " END", 10_000),
        nested("NOT ", "true", "", 50_000),
        nested("- ", "1", "", 50_000),
        nested("1 + ", "1", "", 100_000),
        nested("* FROM (SELECT ", "1", ") a", 10_000),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(20_000)),
    ];
    for statement in &statements {
        let error = database.query(statement, params![]).expect_err("too deep");
        assert_eq!(error.sqlstate(), "54001", "{}…", &statement[..40]);
        works(&database);
    }
}

#[test]
fn long_statements_are_answered() {
    let database = EmbeddedDatabase::new_in_memory().expect("a database in memory");
    let long = "a".repeat(1 << 20);
    let error = database.query(&format!("SELECT {long}"), params![]).expect_err("no such column");
    assert_eq!(error.sqlstate(), "42703");
    let all = std::env::var("HELIOS_TESTS_ALL").is_ok_and(|all| all == "true");
    let bytes = if all { 100_000_000 } else { 10_000_000 };
    let found =
        database.query(&format!("SELECT length('{}') AS n", "x".repeat(bytes)), params![]).expect("a length");
    assert_eq!(found[0].get::<i32>("n").expect("a number"), bytes as i32);
    works(&database);
}

#[test]
fn as_many_parameters_as_the_protocol_has() {
    let database = EmbeddedDatabase::new_in_memory().expect("a database in memory");
    let numbers: Vec<i32> = (1..=65_535).collect();
    let values: Vec<String> = numbers.iter().map(|number| format!("(${number}::int)")).collect();
    let parameters: Vec<&dyn ToValue> = numbers.iter().map(|number| number as &dyn ToValue).collect();
    let statement =
        format!("SELECT count(*) AS n, sum(v) AS s FROM (VALUES {}) AS given (v)", values.join(", "));
    let found = database.query(&statement, &parameters).expect("a sum");
    assert_eq!(found[0].get::<i64>("n").expect("a number"), 65_535);
    assert_eq!(found[0].get::<i64>("s").expect("a number"), 65_535 * 65_536 / 2);
}
