//! `heliosdb-nano demo`: a tour of the database on the solar system, in memory.
//!
//! The tour is the script `demo.sql`: its comments are shown as headings, its statements as if somebody typed
//! them, each with what it gives. At a terminal, the shell then stays open on the tour's database.

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use heliosdb_nano::EmbeddedDatabase;

use crate::repl;
use crate::shell::{Asked, Input, Screen, Shell, Source};

const TOUR: &str = include_str!("demo.sql");

/// Runs the tour. Its errors are part of it: they are no failure of the program.
pub fn run() -> Result<ExitCode, Box<dyn Error>> {
    let database = EmbeddedDatabase::new_in_memory()?;
    let mut source = TourSource { lines: TOUR.lines() };
    let screen = Screen::with_errors_between();
    Shell::new(&database, &mut source, screen).run()?;
    if !io::stdin().is_terminal() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("\nThe tables are still here: \\d lists them, \\h shows help, \\q quits.\n");
    repl::run_terminal(&database)
}

/// The tour's lines, shown as they are read.
struct TourSource {
    lines: std::str::Lines<'static>,
}

impl Source for TourSource {
    fn read(&mut self, asked: &Asked) -> io::Result<Input> {
        let Some(line) = self.lines.next() else { return Ok(Input::End) };
        let mut out = io::stdout().lock();
        match (line.strip_prefix("-- "), asked) {
            (Some(heading), _) => writeln!(out, "== {heading}")?,
            (None, Asked::Statement { prompt } | Asked::More { prompt }) if !line.is_empty() => {
                writeln!(out, "{prompt}{line}")?;
            }
            _ => writeln!(out, "{line}")?,
        }
        Ok(Input::Text(line.to_string()))
    }
}
