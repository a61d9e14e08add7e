//! A statement that never waits for a page leaves its thread to others all the same.

use std::time::{Duration, Instant};

use crate::support::{TestServer, query, short};

/// Runs for hours, without one page to wait for.
const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 200000000000)";

#[test]
fn the_time_limit_ends_a_busy_statement() {
    let server = TestServer::start();
    let mut wire = server.connect();
    wire.send(&query("SET statement_timeout = '100ms'"));
    wire.until_ready();
    let start = Instant::now();
    wire.send(&query(ENDLESS));
    let answers = short(&wire.until_ready());
    assert!(
        answers.contains(&"E ERROR 57014 canceling statement due to statement timeout".into()),
        "{answers:?}"
    );
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

/// The server's own limit ends what computes and what waits, and nothing beside it; a limit that somebody set, none too, takes its place.
#[test]
fn the_servers_time_limit_holds_until_another_is_set() {
    let server = TestServer::with(|options| options.query_timeout = Some(Duration::from_millis(300)));
    let mut wire = server.connect();
    let hint = "The server's configuration has a limit, performance.query_timeout_secs. SET statement_timeout sets another one.";
    for endless in [ENDLESS, "SELECT pg_sleep(1000)"] {
        wire.send(&query(endless));
        let answers = wire.until_ready();
        let error = answers.iter().find(|answer| answer.kind == 'E').expect("it was ended");
        assert_eq!(error.short(), "E ERROR 57014 canceling statement due to statement timeout");
        assert_eq!(error.field(b'H'), hint, "{endless}");
    }
    // One after the other, these take longer than one may.
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(700) {
        wire.send(&query("SELECT pg_sleep(0.05)"));
        assert!(short(&wire.until_ready()).contains(&"C SELECT 1".into()));
    }
    wire.send(&query("SET statement_timeout = 0"));
    wire.until_ready();
    wire.send(&query("SELECT pg_sleep(0.7)"));
    assert!(short(&wire.until_ready()).contains(&"C SELECT 1".into()), "dumps and restores have no limit");
    wire.send(&query("SET statement_timeout = '50ms'"));
    wire.until_ready();
    wire.send(&query(ENDLESS));
    let answers = wire.until_ready();
    let error = answers.iter().find(|answer| answer.kind == 'E').expect("it was ended");
    assert_eq!((error.short().contains("57014"), error.field(b'H').as_str()), (true, ""));
}

/// The server has one thread for all connections.
#[test]
fn others_are_served_beside_a_busy_statement() {
    let server = TestServer::start();
    let (mut busy, mut other) = (server.connect(), server.connect());
    busy.send(&query("SET statement_timeout = '2s'"));
    busy.until_ready();
    busy.send(&query(ENDLESS));
    for _ in 0..20 {
        other.send(&query("SELECT 1"));
        let answers = short(&other.until_ready());
        assert!(answers.contains(&"C SELECT 1".into()), "{answers:?}");
    }
    // It was at work all the time.
    other.send(&query("SELECT 1"));
    other.until_ready();
    let answers = short(&busy.until_ready());
    assert!(answers.iter().any(|answer| answer.contains("57014")), "{answers:?}");
}
