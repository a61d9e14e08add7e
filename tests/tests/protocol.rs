//! The conversations under `tests/protocol`, message by message: with this server, and with a real PostgreSQL where there
//! is one (`tests/oracle`), from which `examples/record.rs` made them.
#![allow(clippy::disallowed_methods)] // it reads the tests' files

use std::path::{Path, PathBuf};

use helios_tests::protocol::{Server, difference, play};
use helios_tests::{PostgreSql, TestServer};

fn conversations() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("protocol");
    let entries = std::fs::read_dir(folder).expect("a readable folder");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable entry").path()).collect();
    files.sort();
    let read = |file: PathBuf| {
        let text = std::fs::read_to_string(&file).expect("readable UTF-8");
        (file, text)
    };
    files.into_iter().map(read).collect()
}

/// Plays all conversations, each with a server that `prepare` gives for it.
fn compare<T>(mut prepare: impl FnMut() -> (T, Server)) {
    let mut complaints = Vec::new();
    for (file, text) in conversations() {
        let (_kept, server) = prepare();
        let difference = match play(&text, &server) {
            Ok(played) => difference(&text, &played),
            Err(error) => Some(error.to_string()),
        };
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        complaints.extend(difference.map(|difference| format!("{name}:\n{difference}")));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn conversations_go_as_with_postgresql() {
    compare(|| {
        let server = TestServer::start(|_| {}).expect("a server");
        let address = Server::Tcp(server.address);
        (server, address)
    });
}

#[test]
fn postgresql_answers_as_recorded() {
    let Ok(parameters) = std::env::var("HELIOS_ORACLE") else { return };
    let folder = PostgreSql::socket_folder(&parameters).expect("a folder");
    compare(|| {
        PostgreSql::create_database(&parameters, "postgres").expect("an empty database");
        ((), Server::Unix(folder.into()))
    });
}
