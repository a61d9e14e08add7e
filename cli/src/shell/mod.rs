//! The shell: reads statements and commands, runs them, shows what they give.
//!
//! 1. Input comes line by line from a [`Source`]: a terminal, or a script on standard input.
//! 2. The [`Splitter`] cuts it into statements and backslash commands; each is run before the next is read.
//! 3. Results go to standard output, errors and notices to standard error, in the order in which they arise.
//!
//! A script goes on after an error; that there was one is told at the end.

mod catalog_queries;
mod client;
mod commands;
mod pattern;
mod report;
mod screen;
mod script;
mod source;
mod splitter;
mod table;
mod terminal;

use std::io;

use heliosdb_nano::EmbeddedDatabase;
use heliosdb_nano::connection::TransactionStatus;

use client::{Client, Failure};
pub use screen::Screen;
pub use script::ScriptSource;
use source::Lines;
pub use source::{Asked, Input, Source};
use splitter::{Piece, Splitter};
pub use terminal::TerminalSource;

/// Whether the shell goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Continue,
    Quit,
}

/// A shell on one connection.
pub struct Shell<'a> {
    client: Client,
    lines: Lines<'a>,
    splitter: Splitter,
    screen: Screen,
    failed: bool,
}

impl<'a> Shell<'a> {
    /// A shell that reads from `source`.
    pub fn new(database: &EmbeddedDatabase, source: &'a mut dyn Source, screen: Screen) -> Shell<'a> {
        let mut client = Client::new(database);
        source.cancels(client.cancel_handle());
        Shell { client, lines: Lines::new(source), splitter: Splitter::default(), screen, failed: false }
    }

    /// Runs until the input ends or says so. Gives whether all statements went well.
    pub fn run(mut self) -> io::Result<bool> {
        loop {
            let asked = self.asked();
            let pieces = match self.lines.next(&asked)? {
                Input::Text(line) => self.splitter.push_line(&line),
                Input::Interrupted => {
                    self.splitter.clear();
                    continue;
                }
                Input::End => break,
            };
            for piece in pieces {
                if self.take(piece)? == Next::Quit {
                    return Ok(!self.failed);
                }
            }
        }
        // A statement that the input ends before its semicolon is run all the same.
        if let Some(statement) = self.splitter.take() {
            self.run_statement(&statement)?;
        }
        Ok(!self.failed)
    }

    /// What the next line is for, as the prompt shows it.
    fn asked(&mut self) -> Asked {
        let status = match self.client.transaction_status() {
            TransactionStatus::Idle => "",
            TransactionStatus::InTransaction => "*",
            TransactionStatus::Failed => "!",
        };
        let branch = self.client.branch().map_or_else(String::new, |branch| format!("@{branch}"));
        if self.splitter.is_empty() {
            Asked::Statement { prompt: format!("heliosdb{branch}{status}> ") }
        } else {
            Asked::More { prompt: format!("heliosdb{branch}{status}{}> ", self.splitter.waits_for()) }
        }
    }

    fn take(&mut self, piece: Piece) -> io::Result<Next> {
        match piece {
            Piece::Statement(statement) => {
                self.run_statement(&statement)?;
                Ok(Next::Continue)
            }
            Piece::Command(command) => self.run_command(&command),
        }
    }

    fn run_statement(&mut self, statement: &str) -> io::Result<()> {
        let watch = self.screen.watch();
        let lines = &mut self.lines;
        let answers = self.client.run(statement, &mut || lines.next_data());
        self.screen.show_notices(&self.client.take_notices(), statement)?;
        match answers {
            Ok(answers) => {
                for answer in &answers {
                    self.screen.show_answer(answer, &watch)?;
                }
                Ok(())
            }
            Err(failure) => self.fail(failure, statement),
        }
    }

    /// Shows an error; those of the shell's own input and output end it.
    fn fail(&mut self, failure: Failure, statement: &str) -> io::Result<()> {
        self.failed = true;
        match failure {
            Failure::Statement(error) => self.screen.show_error(&error, statement),
            Failure::Io(error) => Err(error),
        }
    }
}
