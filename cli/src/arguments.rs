//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
    /// Serve clients over PostgreSQL's protocol
    #[command(visible_alias = "server")]
    Start(StartArguments),
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

#[derive(Debug, Default, Args)]
pub struct StartArguments {
    /// A configuration file (heliosdb.toml); the other options override it
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The database's folder; it is made if it does not exist
    #[arg(short, long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Keep the database in memory: it is gone at the end
    #[arg(long, conflicts_with = "data")]
    pub memory: bool,
    /// The port to listen on [default: 5432]
    #[arg(short, long)]
    pub port: Option<u16>,
    /// The address to listen on, or several with commas [default: 127.0.0.1]
    #[arg(short, long, value_name = "ADDRESS", value_delimiter = ',', value_parser = address)]
    pub listen: Vec<IpAddr>,
    /// The memory for cached pages, in bytes, or with kB, MB or GB behind the number [default: 134217728]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub cache_size: Option<u64>,
    /// How many clients may be connected at a time [default: 100]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: Option<u32>,
    /// Who is believed to be the role that they say: `trust` all on this machine, or ask for passwords [default: trust]
    #[arg(long, value_name = "METHOD")]
    pub auth: Option<AuthenticationName>,
    /// The folder for a Unix socket
    #[arg(long, value_name = "DIR")]
    pub socket_dir: Option<PathBuf>,
    /// How many threads serve clients [default: one for each core]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub worker_threads: Option<u32>,
    /// How the server waits for the network and the disk [default: the best that the system has]
    #[arg(long)]
    pub executor: Option<ExecutorName>,
}

/// The ways of authentication by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AuthenticationName {
    Trust,
    #[value(name = "scram-sha-256")]
    ScramSha256,
}

/// The executors by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExecutorName {
    Epoll,
    Glommio,
}

/// An address to listen on: an IP address, or `localhost`, or `*` for all.
pub fn address(text: &str) -> Result<IpAddr, String> {
    match text.trim() {
        "localhost" => Ok(IpAddr::from([127, 0, 0, 1])),
        "*" => Ok(IpAddr::from([0, 0, 0, 0])),
        other => other.parse().map_err(|_| "an IP address, localhost or * is needed".to_string()),
    }
}

/// A number of bytes, with PostgreSQL's units: each is 1024 times the one before.
pub fn bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let shift = match text[digits..].trim_start() {
        "" | "B" => 0,
        "kB" => 10,
        "MB" => 20,
        "GB" => 30,
        "TB" => 40,
        unit => return Err(format!("\"{unit}\" is no unit; B, kB, MB, GB and TB are")),
    };
    let number: u64 = text[..digits].parse().map_err(|_| "a number of bytes is needed".to_string())?;
    number.checked_mul(1 << shift).ok_or_else(|| "that is more than can be addressed".to_string())
}
