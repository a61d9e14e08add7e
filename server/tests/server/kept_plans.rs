//! A text that comes again runs by the plan that was kept, unless something changed what it means.

use crate::support::{Answer, TestServer, Wire, message, query, sync};

/// The values of the rows that a text gives, and the errors.
fn rows(wire: &mut Wire, text: &str) -> Vec<String> {
    wire.send(&query(text));
    let told = |answer: &Answer| match answer.kind {
        'D' => Some(values(answer).join(" ")),
        'E' => Some(answer.short()),
        _ => None,
    };
    wire.until_ready().iter().filter_map(told).collect()
}

fn values(row: &Answer) -> Vec<String> {
    let (mut rest, mut values) = (&row.body[2..], Vec::new());
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        values.push(String::from_utf8_lossy(&behind[..length]).into_owned());
        rest = &behind[length..];
    }
    values
}

#[test]
fn texts_mean_what_they_mean_now() {
    let server = TestServer::start();
    let (mut wire, mut other) = (server.connect(), server.connect());
    rows(&mut wire, "CREATE TABLE t (id int PRIMARY KEY, s text); INSERT INTO t VALUES (1, 'one')");
    for _ in 0..2 {
        assert_eq!(rows(&mut wire, "SELECT * FROM t;"), ["1 one"]);
    }
    rows(&mut other, "ALTER TABLE t ADD COLUMN n int DEFAULT 7");
    assert_eq!(rows(&mut wire, "SELECT * FROM t;"), ["1 one 7"]);
    rows(&mut wire, "CREATE SCHEMA nearer; CREATE TABLE nearer.t (id int); SET search_path = nearer, public");
    assert_eq!(rows(&mut wire, "SELECT * FROM t;"), [""; 0]);
    rows(&mut wire, "RESET search_path");
    assert_eq!(rows(&mut wire, "SELECT * FROM t;"), ["1 one 7"]);
    rows(&mut wire, "CREATE TEMPORARY TABLE t (x int); INSERT INTO t VALUES (5)");
    assert_eq!(rows(&mut wire, "SELECT * FROM t;"), ["5"]);
    assert_eq!(rows(&mut other, "SELECT * FROM t;"), ["1 one 7"]);
    rows(&mut other, "DROP TABLE t");
    assert_eq!(rows(&mut other, "SELECT * FROM t;"), ["E ERROR 42P01 relation \"t\" does not exist"]);
}

#[test]
fn changes_that_a_transaction_made_count_within_it() {
    let server = TestServer::start();
    let mut wire = server.connect();
    rows(&mut wire, "CREATE TABLE t (id int)");
    let count = "SELECT count(*) FROM t WHERE id > 0";
    assert_eq!(rows(&mut wire, count), ["0"]);
    rows(&mut wire, "BEGIN");
    rows(&mut wire, "ALTER TABLE t RENAME COLUMN id TO other");
    assert_eq!(rows(&mut wire, count), ["E ERROR 42703 column \"id\" does not exist"]);
    let failed =
        "E ERROR 25P02 current transaction is aborted, commands ignored until end of transaction block";
    assert_eq!(rows(&mut wire, count), [failed]);
    rows(&mut wire, "ROLLBACK");
    assert_eq!(rows(&mut wire, count), ["0"]);
}

#[test]
fn names_of_prepared_statements_are_looked_up_each_time() {
    let server = TestServer::start();
    let mut wire = server.connect();
    rows(&mut wire, "PREPARE p AS SELECT 1");
    assert_eq!(rows(&mut wire, "EXECUTE p"), ["1"]);
    rows(&mut wire, "DEALLOCATE p");
    assert_eq!(rows(&mut wire, "EXECUTE p"), ["E ERROR 26000 prepared statement \"p\" does not exist"]);
    rows(&mut wire, "PREPARE p AS SELECT 'a'::text, 2");
    assert_eq!(rows(&mut wire, "EXECUTE p"), ["a 2"]);
}

#[test]
fn moments_and_settings_are_those_of_each_execution() {
    let server = TestServer::start();
    let mut wire = server.connect();
    rows(&mut wire, "SET TimeZone = 'UTC'");
    let text = "SELECT timestamptz '2025-06-01 12:00', '2025-01-02'::date";
    assert_eq!(rows(&mut wire, text), ["2025-06-01 12:00:00+00 2025-01-02"]);
    rows(&mut wire, "SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'SQL, DMY'");
    assert_eq!(rows(&mut wire, text), ["01/06/2025 12:00:00 JST 02/01/2025"]);
    let now = "SELECT now()";
    assert_ne!(rows(&mut wire, now), rows(&mut wire, now));
}

/// The same text with parameters of other types is another statement.
#[test]
fn declared_types_are_part_of_a_statement() {
    let server = TestServer::start();
    let mut wire = server.connect();
    let types_of = |wire: &mut Wire, declared: u32| {
        let body = [&b"\0SELECT $1\0\0\x01"[..], &declared.to_be_bytes()].concat();
        wire.send(&[message(b'P', &body), message(b'D', b"S\0"), sync()].concat());
        let answers = wire.until_ready();
        let types = answers.iter().find(|answer| answer.kind == 't').map(|answer| answer.body.clone());
        types.unwrap_or_default().get(2..).map(<[u8]>::to_vec)
    };
    for declared in [20_u32, 25, 20, 1700, 25] {
        assert_eq!(types_of(&mut wire, declared), Some(declared.to_be_bytes().to_vec()));
    }
}
