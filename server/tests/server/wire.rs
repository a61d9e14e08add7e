//! The protocol byte by byte, over raw sockets: what no well-behaved client sends, and the exact order of answers.
//! The expected answers are those of PostgreSQL 15.

use crate::support::{TestServer, bind, execute, message, parse, query, short, startup, startup_of, sync};
use helios_server::{Server, ServerOptions};

#[test]
fn encryption_is_declined_and_the_introduction_is_complete() {
    let server = TestServer::start();
    let mut wire = server.dial();
    wire.send(&[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30]);
    assert_eq!(wire.byte(), b'N');
    wire.send(&[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
    assert_eq!(wire.byte(), b'N');
    wire.send(&startup(&[
        ("user", "postgres"),
        ("application_name", "test"),
        ("options", "-c TimeZone=UTC"),
    ]));
    let answers = wire.until_ready();
    let statuses: Vec<String> = answers
        .iter()
        .filter(|answer| answer.kind == 'S')
        .map(|answer| {
            String::from_utf8_lossy(&answer.body).replace('\0', "=").trim_end_matches('=').to_owned()
        })
        .collect();
    assert_eq!(
        statuses,
        [
            "application_name=test",
            "client_encoding=UTF8",
            "DateStyle=ISO, MDY",
            "default_transaction_read_only=off",
            "in_hot_standby=off",
            "integer_datetimes=on",
            "IntervalStyle=postgres",
            "is_superuser=on",
            "server_encoding=UTF8",
            "server_version=15.0",
            "session_authorization=postgres",
            "standard_conforming_strings=on",
            "TimeZone=UTC",
        ]
    );
    let kinds: String = answers.iter().map(|answer| answer.kind).collect();
    assert_eq!(kinds, "RSSSSSSSSSSSSSKZ");
}

#[test]
fn startup_packets_that_cannot_be_served_are_refused() {
    let server = TestServer::start();
    let refusals: [(&[u8], &str); 6] = [
        (
            &startup(&[("user", "postgres"), ("database", "nowhere")]),
            "E FATAL 3D000 database \"nowhere\" does not exist",
        ),
        (
            &startup(&[("database", "postgres")]),
            "E FATAL 28000 no PostgreSQL user name specified in startup packet",
        ),
        (
            &startup_of(2 << 16, &[]),
            "E FATAL 0A000 unsupported frontend protocol 2.0: server supports 3.0 to 3.0",
        ),
        (
            b"\0\0\0\x0d\0\x03\0\0user\0",
            "E FATAL 08P01 invalid startup packet layout: expected terminator as last byte",
        ),
        (b"\0\0\0\x04", "E FATAL 08P01 invalid length of startup packet"),
        (
            &startup(&[("user", "postgres"), ("options", "-c no_such_setting=1")]),
            "E FATAL 42704 unrecognized configuration parameter \"no_such_setting\"",
        ),
    ];
    for (packet, refusal) in refusals {
        let mut wire = server.dial();
        wire.send(packet);
        let answers = short(&wire.until_ready());
        assert_eq!(answers.last().map(String::as_str), Some(refusal));
        assert!(wire.answer().is_none(), "the connection ends");
    }
}

#[test]
fn newer_minor_versions_and_unknown_options_are_negotiated_away() {
    let server = TestServer::start();
    let mut wire = server.dial();
    wire.send(&startup_of((3 << 16) | 2, &[("user", "postgres"), ("_pq_.shiny", "yes")]));
    let answers = wire.until_ready();
    assert_eq!(answers[0].kind, 'v');
    assert_eq!(answers[0].body, b"\0\x03\0\0\0\0\0\x01_pq_.shiny\0");
    assert_eq!(answers.last().expect("some").short(), "Z I");
}

#[test]
fn input_that_is_no_message_ends_the_connection() {
    let server = TestServer::start();
    let refusals: [(&[u8], &str); 4] = [
        (b"\0\0\0\0\x04", "E FATAL 08P01 invalid frontend message type 0"),
        (b"p\0\0\0\x08\0\0\0\0", "E FATAL 08P01 invalid frontend message type 112"),
        (b"Q\0\0\0\x03", "E FATAL 08P01 invalid message length"),
        (b"S\x7f\xff\xff\xff", "E FATAL 08P01 invalid message length"),
    ];
    for (bytes, refusal) in refusals {
        let mut wire = server.connect();
        wire.send(bytes);
        assert_eq!(short(&wire.until_ready()), [refusal]);
    }
    // A message cut off by the client's leaving is nothing to answer.
    let mut wire = server.connect();
    wire.send(b"Q\0\0\0\x20select");
    wire.shut_down();
    assert!(wire.answer().is_none());
    assert_eq!(server.connect().ask(&query("SELECT 1")), ["T", "D", "C SELECT 1", "Z I"]);
}

#[test]
fn malformed_bodies_are_errors_and_the_connection_goes_on() {
    let server = TestServer::start();
    let mut wire = server.connect();
    let simple: [(&[u8], &str); 4] = [
        (b"select", "E ERROR 08P01 invalid string in message"),
        (b"select 1\0x", "E ERROR 08P01 invalid message format"),
        (b"select '\xff'\0", "E ERROR 22021 invalid byte sequence for encoding \"UTF8\": 0xff"),
        (
            b"select '\xe4\x20\x62'\0",
            "E ERROR 22021 invalid byte sequence for encoding \"UTF8\": 0xe4 0x20 0x62",
        ),
    ];
    for (body, refusal) in simple {
        assert_eq!(wire.ask(&message(b'Q', body)), [refusal, "Z I"]);
    }
    let extended: [(u8, &[u8], &str); 7] = [
        (b'P', b"\0select 1\0\0\x05", "E ERROR 08P01 insufficient data left in message"),
        (b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff", "E ERROR 26000 unnamed prepared statement does not exist"),
        (b'B', b"\0s\0\0\0\0\0\0\0", "E ERROR 26000 prepared statement \"s\" does not exist"),
        (b'E', b"\0", "E ERROR 08P01 insufficient data left in message"),
        (b'E', b"p\0\0\0\0\0", "E ERROR 34000 portal \"p\" does not exist"),
        (b'D', b"x\0", "E ERROR 08P01 invalid DESCRIBE message subtype 120"),
        (b'C', b"x\0", "E ERROR 08P01 invalid CLOSE message subtype 120"),
    ];
    for (kind, body, refusal) in extended {
        let input = [message(kind, body), query("SELECT 1"), sync()].concat();
        assert_eq!(wire.ask(&input), [refusal, "Z I"]);
    }
    let cut =
        [parse("", "SELECT $1::int4"), message(b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff"), sync()].concat();
    assert_eq!(wire.ask(&cut), ["1", "E ERROR 08P01 insufficient data left in message", "Z I"]);
    let invalid = [parse("", "SELECT $1::int4"), bind("", "", &["x"]), sync()].concat();
    let refusal = "E ERROR 22P02 invalid input syntax for type integer: \"x\"";
    assert_eq!(wire.ask(&invalid), ["1", refusal, "Z I"]);
    let too_many = [parse("", "SELECT 1"), bind("", "", &["x"]), sync()].concat();
    let refusal = "E ERROR 08P01 bind message supplies 1 parameters, but prepared statement \"\" requires 0";
    assert_eq!(wire.ask(&too_many), ["1", refusal, "Z I"]);
}

#[test]
fn a_text_of_several_statements_is_one_transaction() {
    let server = TestServer::start();
    let mut wire = server.connect();
    assert_eq!(wire.ask(&query("")), ["I", "Z I"]);
    assert_eq!(wire.ask(&query(" ; ")), ["I", "Z I"]);
    let made = wire.ask(&query("CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1), (2)"));
    assert_eq!(made, ["C CREATE TABLE", "C INSERT 0 2", "Z I"]);
    let failed = wire.ask(&query("INSERT INTO t VALUES (3); INSERT INTO t VALUES (1); SELECT 1"));
    let duplicate = "E ERROR 23505 duplicate key value violates unique constraint \"t_pkey\"";
    assert_eq!(failed, ["C INSERT 0 1", duplicate, "Z I"]);
    assert_eq!(wire.ask(&query("DELETE FROM t WHERE a = 3")), ["C DELETE 0", "Z I"]);
    let block = wire.ask(&query("BEGIN; SELECT a FROM t; SELEC"));
    assert_eq!(block, ["E ERROR 42601 syntax error at or near \"SELEC\"", "Z I"]);
    assert_eq!(wire.ask(&query("BEGIN; SELECT a FROM t")), ["C BEGIN", "T", "D", "D", "C SELECT 2", "Z T"]);
    assert_eq!(wire.ask(&query("SELECT 1/(a - a) FROM t")), ["T", "E ERROR 22012 division by zero", "Z E"]);
    let aborted =
        "E ERROR 25P02 current transaction is aborted, commands ignored until end of transaction block";
    assert_eq!(wire.ask(&query("SELECT 1")), [aborted, "Z E"]);
    assert_eq!(wire.ask(&query("COMMIT")), ["C ROLLBACK", "Z I"]);
}

#[test]
fn an_error_in_a_pipeline_skips_to_sync() {
    let server = TestServer::start();
    let mut wire = server.connect();
    wire.ask(&query("CREATE TABLE t (a int PRIMARY KEY)"));
    let run = |text: &str| [parse("", text), bind("", "", &[]), execute("", 0)].concat();
    let input = [
        run("INSERT INTO t VALUES (1)"),
        run("INSERT INTO t VALUES (1)"),
        run("INSERT INTO t VALUES (2)"),
        sync(),
        run("SELECT a FROM t"),
        sync(),
    ]
    .concat();
    wire.send(&input);
    let first = short(&wire.until_ready());
    let duplicate = "E ERROR 23505 duplicate key value violates unique constraint \"t_pkey\"";
    assert_eq!(first, ["1", "2", "C INSERT 0 1", "1", "2", duplicate, "Z I"]);
    assert_eq!(
        short(&wire.until_ready()),
        ["1", "2", "C SELECT 0", "Z I"],
        "nothing of the pipeline remains"
    );
}

#[test]
fn portals_are_described_suspended_and_end_with_their_transaction() {
    let server = TestServer::start();
    let mut wire = server.connect();
    let text = "SELECT n FROM generate_series(1, 5) AS n";
    let input = [
        query("BEGIN"),
        parse("s", text),
        message(b'D', b"Ss\0"),
        bind("p", "s", &[]),
        message(b'D', b"Pp\0"),
        execute("p", 2),
        execute("p", 2),
        execute("p", 2),
        sync(),
    ]
    .concat();
    wire.send(&input);
    assert_eq!(short(&wire.until_ready()), ["C BEGIN", "Z T"]);
    assert_eq!(
        short(&wire.until_ready()),
        ["1", "t", "T", "2", "T", "D", "D", "s", "D", "D", "s", "D", "C SELECT 1", "Z T"]
    );
    let again = [bind("p", "s", &[]), sync()].concat();
    assert_eq!(wire.ask(&again), ["E ERROR 42P03 cursor \"p\" already exists", "Z E"]);
    assert_eq!(wire.ask(&query("ROLLBACK")), ["C ROLLBACK", "Z I"]);
    let gone = [execute("p", 0), sync()].concat();
    assert_eq!(wire.ask(&gone), ["E ERROR 34000 portal \"p\" does not exist", "Z I"]);
    let duplicate = [parse("s", text), sync()].concat();
    assert_eq!(wire.ask(&duplicate), ["E ERROR 42P05 prepared statement \"s\" already exists", "Z I"]);
    let closed = [message(b'C', b"Ss\0"), message(b'C', b"Ss\0"), parse("s", text), sync()].concat();
    assert_eq!(wire.ask(&closed), ["3", "3", "1", "Z I"]);
}

#[test]
fn flush_sends_what_is_there_before_sync() {
    let server = TestServer::start();
    let mut wire = server.connect();
    wire.send(&[parse("", "SELECT $1::int4"), message(b'D', b"S\0"), message(b'H', b"")].concat());
    let kinds: String = (0..3).map(|_| wire.answer().expect("an answer").kind).collect();
    assert_eq!(kinds, "1tT");
    assert_eq!(
        wire.ask(&[bind("", "", &["7"]), execute("", 0), sync()].concat()),
        ["2", "D", "C SELECT 1", "Z I"]
    );
}

#[test]
fn clients_beyond_the_limit_are_turned_away() {
    let server = TestServer::with(|options| options.max_connections = 1);
    let wire = server.connect();
    let mut second = server.dial();
    second.send(&startup(&[("user", "postgres")]));
    assert_eq!(short(&second.until_ready()), ["E FATAL 53300 sorry, too many clients already"]);
    drop(wire);
    // The server hears of the leaving a little later.
    let is_served = (0..1_000).any(|_| {
        let mut third = server.dial();
        third.send(&startup(&[("user", "postgres")]));
        third.until_ready().last().is_some_and(|answer| answer.kind == 'Z')
    });
    assert!(is_served, "the place becomes free");
}

#[test]
fn stopping_tells_idle_clients() {
    let server = TestServer::start();
    let mut wire = server.connect();
    assert_eq!(wire.ask(&query("BEGIN")), ["C BEGIN", "Z T"]);
    server.signal();
    let farewell = short(&wire.until_ready());
    assert_eq!(farewell, ["E FATAL 57P01 terminating connection due to administrator command"]);
    server.stop();
}

#[test]
fn only_this_machine_is_served() {
    let options = ServerOptions { addresses: vec![[0, 0, 0, 0].into()], ..ServerOptions::default() };
    let error = Server::bind(options).err().expect("refused");
    assert!(error.to_string().contains("0.0.0.0"), "{error}");
}
