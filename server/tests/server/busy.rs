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
