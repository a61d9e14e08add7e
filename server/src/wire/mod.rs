//! The PostgreSQL protocol, version 3.0, as bytes: cutting input into messages, reading their bodies, writing
//! answers.
//!
//! Invariants
//! 1. No input panics and none makes a buffer grow beyond what has arrived: a message's announced length is
//!    checked against its kind's limit before anything waits for the rest.
//! 2. Bodies are borrowed from the input buffer; answers are appended to one output buffer. Neither allocates
//!    for each message.
//! 3. Strings are checked, and converted from the client's encoding, before anybody sees them; what goes out is
//!    converted to it.

mod body;
mod input;
mod output;
mod report;

pub(crate) use body::{Body, protocol_violation};
pub(crate) use input::{Input, InputError, Message};
pub(crate) use output::Output;
pub(crate) use report::Report;
