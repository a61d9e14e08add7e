//! Connections at their bounds, and at the server's end. What messages are answered with is recorded in `tests/protocol`.

use crate::support::{TestServer, query, short, startup};
use helios_server::{Server, ServerOptions};

#[test]
fn silent_connections_are_bounded() {
    let server = TestServer::with(|options| options.max_connections = 1);
    let silent = [server.dial(), server.dial()];
    let mut beyond = server.dial();
    assert_eq!(beyond.answer(), None);
    drop(silent);
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
