//! The server over a database in memory: its protocol message by message, as a driver sees it, and with several
//! sessions that get in each other's way.
#![allow(clippy::disallowed_methods)] // clients are outside of what the bans keep in order

mod anomalies;
mod authentication;
mod branches;
mod busy;
mod configuration;
mod driver;
mod encryption;
mod foreign_keys;
mod kept_plans;
mod locks;
mod quick_start;
mod read_committed;
mod support;
mod tokio_client;
mod waits;
mod while_busy;
mod wire;
