//! `heliosdb-nano`: the database as a program.
//!
//! `repl` opens a shell or runs a script, `init` makes a database, `start` serves clients, `demo` shows what there
//! is. Exit codes: 0 for success, 1 for what failed, 2 for a command line that cannot be understood.
#![deny(unsafe_code)]

mod arguments;
mod demo;
mod logging;
mod open;
mod repl;
mod shell;
mod start;

use std::error::Error;
use std::io;
use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Command::Repl(repl) => repl::run(&repl),
        Command::Init { path } => open::initialize(&path),
        Command::Start(start) => start::run(&start),
        Command::Demo => demo::run(),
    };
    match done {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("heliosdb-nano: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether nobody reads the output any longer, as behind `| head`.
fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
