//! The server: PostgreSQL's wire protocol in front of an engine.
//!
//! ```no_run
//! use helios_server::{Server, ServerOptions};
//!
//! # fn serve(engine: heliosdb_nano::session::Engine) -> std::io::Result<()> {
//! let server = Server::bind(ServerOptions::default())?;
//! let stop = helios_server::stop_on_signals()?;
//! server.serve(engine, &stop)
//! # }
//! ```
//!
//! 1. [`Server::bind`] takes the addresses, [`Server::serve`] spreads the connections over an executor's
//!    workers, each connection one task.
//! 2. A connection reads what has arrived, answers every whole message of it, and writes the answers together.
//! 3. A stop drains: statements that run come to their end, then each client is told and its connection closed.
//!
//! Invariants
//! 1. Nothing a client sends panics, blocks others for long, or makes memory grow beyond what it has sent.
//! 2. Everything about SQL is the session's; here are only the protocol's own states: portals, skipping to Sync,
//!    the answers' order.
#![deny(unsafe_code)]

mod authentication;
mod common_name;
mod connection;
mod constant;
mod copy;
mod der;
mod end_point;
mod extended;
mod fast_path;
mod hba;
mod interrupt;
mod options;
mod parameters;
mod password;
mod registry;
mod results;
mod rows;
mod scram;
mod server;
mod signals;
mod simple;
mod startup;
mod stream;
mod tls;
mod turn;
mod watcher;
mod wire;

pub use options::{Authentication, ServerMode, ServerOptions, StorageDescription, TlsFiles};
pub use server::{Reload, Server};
pub use signals::{reload_on_signal, stop_on_signals};
