//! Where the shell's lines come from.

use std::collections::VecDeque;
use std::io;

use heliosdb_nano::connection::CancelHandle;

/// What the next line is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A new statement or command.
    Statement { prompt: String },
    /// The rest of a statement.
    More { prompt: String },
    /// Data of COPY … FROM STDIN.
    Data,
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// One line or several, without the last one's line break.
    Text(String),
    /// The user wants to start over.
    Interrupted,
    End,
}

/// A reader of lines.
pub trait Source {
    /// Waits for the next input.
    fn read(&mut self, asked: &Asked) -> io::Result<Input>;

    /// Tells how what runs is cancelled, for those that can be asked to.
    fn cancels(&mut self, _handle: CancelHandle) {}
}

/// A source, line by line.
pub struct Lines<'a> {
    source: &'a mut dyn Source,
    /// What was read together with the last line.
    ready: VecDeque<String>,
}

impl<'a> Lines<'a> {
    pub fn new(source: &'a mut dyn Source) -> Lines<'a> {
        Lines { source, ready: VecDeque::new() }
    }

    /// The next line.
    pub fn next(&mut self, asked: &Asked) -> io::Result<Input> {
        if let Some(line) = self.ready.pop_front() {
            return Ok(Input::Text(line));
        }
        let input = self.source.read(asked)?;
        let Input::Text(text) = input else { return Ok(input) };
        let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line).to_string());
        let first = lines.next().unwrap_or_default();
        self.ready.extend(lines);
        Ok(Input::Text(first))
    }

    /// The next line of COPY data with its line break; `None` after `\.` and at the end of the input.
    pub fn next_data(&mut self) -> io::Result<Option<String>> {
        Ok(match self.next(&Asked::Data)? {
            Input::Text(line) if line == "\\." => None,
            Input::Text(line) => Some(line + "\n"),
            Input::Interrupted | Input::End => None,
        })
    }
}
