//! PostgreSQL's protocol as data: recorded conversations under `tests/protocol`, which are played on this database and on
//! PostgreSQL, and whose bytes are what the server is attacked with.

mod client;
mod connection;
mod conversation;
mod mutation;
mod server;
mod words;

pub use client::{Answer, ClientMessage, message, startup};
pub use connection::{Connection, Server};
pub use conversation::{client_bytes, difference, play};
pub use mutation::{Dice, mutate};
pub use server::ServerMessage;
