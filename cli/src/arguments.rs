//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// PostgreSQL's SQL and wire protocol, embeddable like SQLite.
#[derive(Debug, Parser)]
#[command(name = "heliosdb-nano", version, disable_help_subcommand = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Open a shell; run a script where standard input is no terminal
    Repl(ReplArguments),
    /// Make a new, empty database in a folder
    Init {
        /// The folder; it is made if it does not exist
        #[arg(value_name = "DIR")]
        path: PathBuf,
    },
    /// Show what the database does on a small data set, in memory
    Demo,
}

#[derive(Debug, Args)]
pub struct ReplArguments {
    /// Keep the database in memory: it is gone at the end (also the default)
    #[arg(long, conflicts_with = "data")]
    pub memory: bool,
    /// The database's folder; it is made if it does not exist
    #[arg(short, long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// A configuration file (heliosdb.toml)
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}
