//! Running the program.

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// The program with arguments; it keeps no history outside of the test.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heliosdb-nano"));
    command.args(arguments).env("HELIOSDB_HISTORY", "/dev/null").env_remove("RUST_LOG");
    command
}

/// Runs the program on an input.
#[allow(clippy::disallowed_methods)] // a thread outside of the program
pub fn run(arguments: &[&str], input: &str) -> Output {
    let mut command = program(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_string();
    // A program that reads nothing closes the pipe early.
    let writer = std::thread::Builder::new().spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().expect("the program ends");
    writer.expect("a thread").join().expect("the writer ends");
    output
}

/// What an output shows, with every time as `(0.000s)`.
pub fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = String::new();
    for line in text.lines() {
        match line.rfind(" (").filter(|_| line.ends_with("s)")) {
            Some(at) if line[at + 2..].starts_with(|first: char| first.is_ascii_digit()) => {
                lines.push_str(&line[..at]);
                lines.push_str(" (0.000s)\n");
            }
            _ => {
                lines.push_str(line);
                lines.push('\n');
            }
        }
    }
    lines
}
