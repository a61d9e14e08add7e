//! `heliosdb-nano repl`: the shell on a database of this process.

use std::error::Error;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use heliosdb_nano::EmbeddedDatabase;

use crate::arguments::ReplArguments;
use crate::open;
use crate::shell::{Screen, ScriptSource, Shell, TerminalSource};

/// Opens the database and runs the shell on it.
pub fn run(arguments: &ReplArguments) -> Result<ExitCode, Box<dyn Error>> {
    let config =
        open::configuration(arguments.config.as_deref(), arguments.data.as_deref(), arguments.memory)?;
    let database = open::open(&config)?;
    if !io::stdin().is_terminal() {
        return run_script(&database);
    }
    let place = match config.storage.memory_only {
        true => "The database is in memory: it is gone when you quit.".to_string(),
        false => format!("The database is in {}.", config.storage_path().display()),
    };
    println!("{}\n{place}\n", banner());
    run_terminal(&database)
}

/// What the shell greets with.
pub fn banner() -> String {
    format!(
        "HeliosDB Nano v{}\nPostgreSQL-compatible embedded database\n\n\
         Type \\h for help, \\dS for system views, \\q to quit",
        env!("CARGO_PKG_VERSION")
    )
}

/// A shell for a person. Its errors have been seen: they are no failure of the program.
pub fn run_terminal(database: &EmbeddedDatabase) -> Result<ExitCode, Box<dyn Error>> {
    let mut terminal = TerminalSource::new();
    Shell::new(database, &mut terminal, Screen::default()).run()?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the script on standard input.
fn run_script(database: &EmbeddedDatabase) -> Result<ExitCode, Box<dyn Error>> {
    let mut script = ScriptSource::new(io::stdin().lock());
    let succeeded = Shell::new(database, &mut script, Screen::default()).run()?;
    Ok(if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
