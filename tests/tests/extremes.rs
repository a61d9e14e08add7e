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

/// What is a list is no depth, and queries may be some hundred levels deep, also where nothing is optimized.
#[test]
fn deep_queries_are_answered() {
    let database = EmbeddedDatabase::new_in_memory().expect("a database in memory");
    let number = |statement: &str| {
        let rows = database.query(statement, params![]).expect("an answer");
        rows[0].get::<i64>("n").expect("a number")
    };
    let union = |word: &str, count: usize| {
        let queries: Vec<String> = (0..count).map(|at| format!("SELECT {at}")).collect();
        number(&format!("SELECT count(*) AS n FROM ({}) s", queries.join(word)))
    };
    assert_eq!(union(" UNION ALL ", 4_000), 4_000);
    assert_eq!(union(" UNION ", 1_000), 1_000);
    assert_eq!(union(" EXCEPT ", 1_000), 1);
    assert_eq!(union(" INTERSECT ", 1_000), 0);
    let chain = |count: usize, step: &dyn Fn(usize) -> String| {
        let tables: String = (1..count).map(|at| format!(", c{at} AS ({})", step(at - 1))).collect();
        format!("WITH c0 AS (SELECT 1::bigint AS n){tables} SELECT n FROM c{}", count - 1)
    };
    assert_eq!(number(&chain(400, &|from| format!("SELECT n + 1 AS n FROM c{from}"))), 400);
    assert_eq!(number(&chain(300, &|from| format!("SELECT count(*) AS n FROM c{from}"))), 1);
    let shared = chain(300, &|from| format!("SELECT n FROM c{from}")).replace(" AS (", " AS MATERIALIZED (");
    assert_eq!(number(&shared), 1);
    let nested = |open: &str, inner: &str, close: &str, depth: usize| {
        format!(
            "SELECT count(*) AS n FROM (SELECT 1 WHERE {}{inner}{}) s",
            open.repeat(depth),
            close.repeat(depth)
        )
    };
    assert_eq!(number(&nested("1 = (SELECT 1 WHERE ", "true", ")", 200)), 1);
    assert_eq!(number(&nested("EXISTS (SELECT 1 WHERE ", "true", ")", 300)), 1);
    let joins: String =
        (1..300).map(|at| format!(" LEFT JOIN (VALUES (1)) a{at}(x) ON a{at}.x = a{}.x", at - 1)).collect();
    assert_eq!(number(&format!("SELECT count(*) AS n FROM (VALUES (1)) a0(x){joins}")), 1);
    // Each reads the one before twice: the plan would double three hundred times.
    let doubled = chain(300, &|from| format!("SELECT a.n FROM c{from} a JOIN c{from} b USING (n)"));
    let error = database.query(&doubled, params![]).expect_err("too large");
    assert_eq!(error.sqlstate(), "54001");
    works(&database);
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

/// None takes time like the square of its length, or like the number of ways to join: a minute is far more than is needed.
#[test]
fn long_lists_are_planned_soon() {
    let database = EmbeddedDatabase::new_in_memory().expect("a database in memory");
    #[allow(clippy::disallowed_methods)] // how long it takes is what is tested
    let begun = std::time::Instant::now();
    let signs = format!("SELECT 1 {} 1 AS n", "+".repeat(1_000_000));
    assert_eq!(database.query(&signs, params![]).expect_err("too deep").sqlstate(), "54001");
    let ones =
        |from: usize| (from..400).map(|at| format!(" CROSS JOIN (SELECT 1) x{at}")).collect::<String>();
    let crossed = format!("SELECT count(*) AS n FROM (SELECT 1) x0{}", ones(1));
    let tables = (0..400).map(|at| format!("pg_am x{at}")).collect::<Vec<_>>().join(", ");
    let equal = (1..400).map(|at| format!("x{}.oid = x{at}.oid", at - 1)).collect::<Vec<_>>().join(" AND ");
    let joined = format!("SELECT count(*) / (SELECT count(*) FROM pg_am) AS n FROM {tables} WHERE {equal}");
    for statement in [crossed, joined] {
        let found = database.query(&statement, params![]).expect("a count");
        assert_eq!(found[0].get::<i64>("n").expect("a number"), 1);
    }
    let tables = (1..3_000).map(|at| format!(", c{at} AS (SELECT n FROM c0)")).collect::<String>();
    let shared = format!("WITH c0 AS (SELECT 1 AS n){tables} SELECT n FROM c2999");
    let found = database.query(&shared, params![]).expect("a row");
    assert_eq!(found[0].get::<i32>("n").expect("a number"), 1);
    assert!(begun.elapsed() < std::time::Duration::from_secs(60));
    works(&database);
}
