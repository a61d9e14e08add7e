//! Statements end though the server's only worker does nothing but run them: planning, and single calls of functions, never
//! wait. `factorial` of a constant is computed while the statement is planned, of a column while it runs; either takes far longer than a
//! test may.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::{TestServer, Wire, query, short, startup};

const PLANNING: &str = "SELECT factorial(32177)";
const RUNNING: &str = "SELECT factorial(g) FROM generate_series(32177, 32177) g";
/// Far more than it takes on a slow machine, far less than the statement would.
const SOON: Duration = Duration::from_secs(10);

/// A connection, and what a cancel request must say to end what it runs.
fn connect(server: &TestServer) -> (Wire, Vec<u8>) {
    let mut wire = server.dial();
    wire.send(&startup(&[("user", "postgres"), ("database", "postgres")]));
    let answers = wire.until_ready();
    let key = answers.iter().find(|answer| answer.kind == 'K').expect("a key");
    let request = [&16_u32.to_be_bytes()[..], &0x04d2_162e_u32.to_be_bytes(), &key.body].concat();
    (wire, request)
}

#[test]
fn cancel_requests_are_heard() {
    let server = TestServer::start();
    let (mut wire, request) = connect(&server);
    for statement in [PLANNING, RUNNING] {
        let (begun, has_ended) = (Instant::now(), AtomicBool::new(false));
        wire.send(&query(statement));
        let answers = std::thread::scope(|scope| {
            scope.spawn(|| {
                // One that comes before the statement does nothing.
                while !has_ended.load(Ordering::SeqCst) {
                    let mut asking = server.dial();
                    asking.send(&request);
                    assert_eq!(asking.answer_bytes(), 0);
                }
            });
            let answers = short(&wire.until_ready());
            has_ended.store(true, Ordering::SeqCst);
            answers
        });
        assert!(begun.elapsed() < SOON, "{statement}");
        assert_eq!(
            answers.iter().filter(|answer| answer.starts_with("E ERROR 57014")).count(),
            1,
            "{answers:?}"
        );
    }
    assert!(wire.ask(&query("SELECT 1")).contains(&"C SELECT 1".to_owned()));
    server.stop();
}

#[test]
fn time_limits_end_what_never_waits() {
    let server = TestServer::start();
    let mut wire = server.connect();
    wire.ask(&query("SET statement_timeout = '100ms'"));
    for statement in [PLANNING, RUNNING] {
        let begun = Instant::now();
        let answers = wire.ask(&query(statement));
        assert!(begun.elapsed() < SOON, "{statement}");
        let expected = "E ERROR 57014 canceling statement due to statement timeout".to_owned();
        assert!(answers.contains(&expected), "{answers:?}");
        // Nothing later suffers from it.
        assert!(wire.ask(&query("SELECT 1")).contains(&"C SELECT 1".to_owned()));
    }
    server.stop();
}

#[test]
fn nothing_is_planned_for_clients_that_left() {
    let server = TestServer::start();
    let begun = Instant::now();
    let mut wire = server.connect();
    wire.send(&query(PLANNING));
    drop(wire);
    assert!(server.connect().ask(&query("SELECT 1")).contains(&"C SELECT 1".to_owned()));
    assert!(begun.elapsed() < SOON);
    server.stop();
}

#[test]
fn a_server_that_stops_waits_for_no_plan() {
    for statement in [PLANNING, RUNNING] {
        let server = TestServer::start();
        let mut wire = server.connect();
        wire.send(&query(statement));
        let begun = Instant::now();
        server.stop();
        assert!(begun.elapsed() < SOON, "{statement}");
    }
}
