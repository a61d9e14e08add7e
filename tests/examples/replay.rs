//! Plays conversations of `tests/protocol` with this server and prints where they go otherwise than recorded:
//! `target/debug/examples/replay FILE…`

use helios_tests::TestServer;
use helios_tests::protocol::{Server, play};

#[allow(clippy::disallowed_methods)] // it reads the tests' files
fn main() -> Result<(), Box<dyn std::error::Error>> {
    for file in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&file)?;
        let server = TestServer::start(|_| {})?;
        let played = play(&text, &Server::Tcp(server.address)).map_err(|error| format!("{file}: {error}"))?;
        let (recorded, played): (Vec<_>, Vec<_>) = (text.lines().collect(), played.lines().collect());
        for part in differing_parts(&recorded, &played) {
            println!("{file}\n{part}");
        }
    }
    Ok(())
}

/// The server's answers that differ, each behind what the client said.
fn differing_parts(recorded: &[&str], played: &[&str]) -> Vec<String> {
    let (recorded, played) = (parts(recorded), parts(played));
    let pairs = recorded.iter().zip(&played).filter(|(recorded, played)| recorded != played);
    pairs
        .map(|(recorded, played)| format!("{}\n  instead of\n{}", played.join("\n"), recorded.join("\n")))
        .collect()
}

/// Lines cut before each that is not the server's but follows one of the server's.
fn parts<'a>(lines: &[&'a str]) -> Vec<Vec<&'a str>> {
    let is_server =
        |line: &str| line.trim_start_matches(|digit: char| digit.is_ascii_digit()).starts_with('<');
    let mut parts: Vec<Vec<&str>> = Vec::new();
    for line in lines {
        let follows = parts.last().and_then(|part| part.last()).is_some_and(|last| is_server(last));
        if parts.is_empty() || (follows && !is_server(line)) {
            parts.push(Vec::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push(line);
        }
    }
    parts
}
