//! Conversations with a server as text: what the client says behind `>`, what the server says behind `<`.
//!
//! ```text
//! # A query and its answer.
//! > Query "SELECT 1"
//! < RowDescription [["?column?" 0 0 23 4 -1 0]]
//! < DataRow ["1"]
//! < CommandComplete "SELECT 1"
//! < ReadyForQuery I
//! ```
//!
//! 1. The client's messages up to one that asks for an answer, or to a blank line, are sent at once; then what they ask
//!    for is read. A `+` at the end of a line joins what follows. `2>` is a second connection.
//! 2. What is not a message: `Await NAME` reads up to a message of that name (`Closed`: the end), `Until VALUE` asks again
//!    until a row of that one value comes, `Later` reads nothing for now, `Leave` ends the connection on the client's side.
//! 3. Playing a conversation gives its text with what this server says.

use std::collections::BTreeMap;
use std::io;

use super::client::{ClientMessage, client_message};
use super::connection::{Connection, Server};
use super::words::{Word, words_of};

/// Plays a conversation with a server; gives its text as it went.
///
/// # Errors
/// Lines that cannot be understood; a server that cannot be reached, or does not answer in time.
pub fn play(text: &str, server: &Server) -> io::Result<String> {
    let mut player = Player { server, connections: BTreeMap::new(), played: String::new() };
    let mut group: Option<(usize, Vec<Vec<Word>>)> = None;
    for (number, line) in text.lines().enumerate() {
        let at = |why: String| io::Error::other(format!("line {}: {why}", number + 1));
        if is_server_line(line) {
            continue;
        }
        let Some((connection, mut words)) = client_line(line).map_err(at)? else {
            player.end_group(&mut group).map_err(|error| at(error.to_string()))?;
            player.write_line(line);
            continue;
        };
        player.write_line(line);
        let is_joined = words.pop_if(|last| *last == Word::plain("+")).is_some();
        let ends_group = !is_joined && asks(&words);
        group.get_or_insert_with(|| (connection, Vec::new())).1.push(words);
        if ends_group {
            player.end_group(&mut group).map_err(|error| at(error.to_string()))?;
        }
    }
    player.end_group(&mut group)?;
    Ok(player.played)
}

/// The first lines in which two texts of a conversation differ, with some that do not before them.
#[must_use]
pub fn difference(expected: &str, played: &str) -> Option<String> {
    if expected == played {
        return None;
    }
    let (expected, played): (Vec<_>, Vec<_>) = (expected.lines().collect(), played.lines().collect());
    let same = expected.iter().zip(&played).take_while(|(expected, played)| expected == played).count();
    let shown = |mark: &str, lines: &[&str]| -> String {
        lines[same.min(lines.len())..].iter().take(4).map(|line| format!("{mark} {line}\n")).collect()
    };
    let before: String =
        expected[same.saturating_sub(6)..same].iter().map(|line| format!("  {line}\n")).collect();
    Some(format!("{before}{}{}", shown("-", &expected), shown("+", &played)))
}

/// The bytes that the client of each connection sends, message by message; none for what depends on the run.
///
/// # Errors
/// Lines that cannot be understood.
pub fn client_bytes(text: &str) -> Result<BTreeMap<usize, Vec<Vec<u8>>>, String> {
    let mut sent: BTreeMap<usize, Vec<Vec<u8>>> = BTreeMap::new();
    for line in text.lines() {
        let Some((connection, mut words)) = client_line(line)? else { continue };
        words.pop_if(|last| *last == Word::plain("+"));
        if direction(&words).is_none() {
            let message = client_message(&words, |_| Some((1, 1)))?;
            sent.entry(connection).or_default().push(message.bytes);
        }
    }
    Ok(sent)
}

/// Whether an answer is to be read behind this, as a rule.
fn asks(words: &[Word]) -> bool {
    let Some(Word::Plain(name)) = words.first() else { return false };
    !matches!(
        name.as_str(),
        "Parse" | "Bind" | "Describe" | "Execute" | "Close" | "CopyData" | "Bytes" | "Message" | "Password"
    )
}

/// What a line says that is no message.
enum Direction {
    Await(String),
    Until(String),
    Later,
    Leave,
}

fn direction(words: &[Word]) -> Option<Direction> {
    match words {
        [Word::Plain(name), Word::Plain(what)] if name == "Await" => Some(Direction::Await(what.clone())),
        [Word::Plain(name), Word::Plain(value)] if name == "Until" => Some(Direction::Until(value.clone())),
        [Word::Plain(name)] if name == "Later" => Some(Direction::Later),
        [Word::Plain(name)] if name == "Leave" => Some(Direction::Leave),
        _ => None,
    }
}

/// The connection's number and the words of a line of the client.
fn client_line(line: &str) -> Result<Option<(usize, Vec<Word>)>, String> {
    let Some((speaker, rest)) = line.split_once('>') else { return Ok(None) };
    let connection = if speaker.is_empty() { Some(1) } else { speaker.parse().ok() };
    connection.map(|connection| Ok((connection, words_of(rest)?))).transpose()
}

fn is_server_line(line: &str) -> bool {
    line.trim_start_matches(|character: char| character.is_ascii_digit()).starts_with('<')
}

/// Reads what was asked, and asks again until a row of just this value comes: for what another connection has to reach.
fn ask_until(
    connection: &mut Connection,
    messages: &[ClientMessage],
    value: &str,
) -> io::Result<Vec<String>> {
    let row = format!("DataRow [\"{value}\"]");
    let mut tries = 100_000;
    loop {
        let heard = connection.read_answers()?;
        if heard.contains(&row) {
            return Ok(heard);
        }
        tries -= 1;
        if tries == 0 {
            return Err(io::Error::other(format!("no {row} came")));
        }
        connection.send(messages)?;
    }
}

struct Player<'s> {
    server: &'s Server,
    connections: BTreeMap<usize, Connection>,
    played: String,
}

impl Player<'_> {
    fn write_line(&mut self, line: &str) {
        self.played.push_str(line);
        self.played.push('\n');
    }

    /// Sends the group that ends here, and reads what it asks for.
    fn end_group(&mut self, group: &mut Option<(usize, Vec<Vec<Word>>)>) -> io::Result<()> {
        let Some((speaker, lines)) = group.take() else { return Ok(()) };
        if !self.connections.contains_key(&speaker) {
            self.connections.insert(speaker, Connection::open(self.server)?);
        }
        let keys: BTreeMap<_, _> =
            self.connections.iter().filter_map(|(number, open)| Some((*number, open.key?))).collect();
        let Some(connection) = self.connections.get_mut(&speaker) else { return Ok(()) };
        let mut messages = Vec::new();
        let mut directions = Vec::new();
        for words in &lines {
            match direction(words) {
                Some(direction) => directions.push(direction),
                None => {
                    let message = client_message(words, |number| keys.get(&number).copied());
                    messages.push(message.map_err(io::Error::other)?);
                }
            }
        }
        connection.send(&messages)?;
        let mut heard = Vec::new();
        if directions.is_empty() {
            heard = connection.read_answers()?;
        }
        for direction in directions {
            match direction {
                Direction::Await(name) => heard.append(&mut connection.read_until(&name)?),
                Direction::Until(value) => heard.append(&mut ask_until(connection, &messages, &value)?),
                Direction::Later => {}
                Direction::Leave => {
                    self.connections.remove(&speaker);
                    break;
                }
            }
        }
        let mark = if speaker == 1 { String::new() } else { speaker.to_string() };
        for line in heard {
            self.write_line(&format!("{mark}< {line}"));
        }
        Ok(())
    }
}
