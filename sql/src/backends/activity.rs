//! What a session is doing, for pg_stat_activity.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Backend;
use crate::session::{Prepared, TransactionStatus};
use crate::types::network::Network;
use crate::value::Datum;

/// Where the client is: its address and port; -1 for a socket of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAddress {
    pub address: Option<String>,
    pub port: i32,
    /// The server's end of it, where that is one of the network.
    pub server: Option<SocketAddr>,
    /// `None`: what passes is not encrypted.
    pub encryption: Option<Encryption>,
}

/// How a client's connection is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encryption {
    pub version: &'static str,
    /// By OpenSSL's name, as PostgreSQL shows it.
    pub cipher: String,
    pub bits: i32,
}

impl ClientAddress {
    /// The address as an INET; NULL for a client on this machine's own socket.
    #[must_use]
    pub fn datum(&self) -> Datum {
        let parsed = self.address.as_ref().and_then(|address| address.parse().ok());
        parsed.map_or(Datum::Null, |address| Network::host_of(address).datum())
    }

    /// The server's address as an INET; NULL for a client on this machine's own socket.
    #[must_use]
    pub fn server_datum(&self) -> Datum {
        self.server.map_or(Datum::Null, |address| Network::host_of(address.ip()).datum())
    }
}

/// What a session does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    Running,
    Resting(TransactionStatus),
}

/// What a statement waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitEvent {
    Sleep,
    Advisory,
}

/// What a session is doing, and since when: microseconds since 2000-01-01 UTC.
#[derive(Clone)]
pub struct Activity {
    pub doing: Doing,
    pub changed_at: i64,
    /// The latest statement, and its start.
    pub statement: Option<Arc<Prepared>>,
    /// The client's whole text, where it is not the statement's.
    pub text: Option<String>,
    pub statement_start: i64,
    pub transaction_start: Option<i64>,
    pub waits_for: Option<WaitEvent>,
    pub peer: Option<ClientAddress>,
}

impl Activity {
    pub(super) fn new(now: i64) -> Activity {
        Activity {
            doing: Doing::Resting(TransactionStatus::Idle),
            changed_at: now,
            statement: None,
            text: None,
            statement_start: now,
            transaction_start: None,
            waits_for: None,
            peer: None,
        }
    }
}

impl Activity {
    /// The text of the latest statement.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        let planned = self.statement.as_ref().map(|statement| statement.text.as_str());
        self.text.as_deref().or(planned)
    }
}

/// The session waits as long as this lives.
pub(super) struct Waiting<'b>(&'b Backend);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.activity.lock().waits_for = None;
    }
}

impl Backend {
    /// What it is doing.
    #[must_use]
    pub fn activity(&self) -> Activity {
        self.activity.lock().clone()
    }

    /// Notes where the client is.
    pub fn set_peer(&self, peer: ClientAddress) {
        self.activity.lock().peer = Some(peer);
    }

    pub(super) fn wait_for(&self, event: WaitEvent) -> Waiting<'_> {
        self.activity.lock().waits_for = Some(event);
        Waiting(self)
    }

    /// A statement begins.
    pub(crate) fn begin(&self, statement: &Arc<Prepared>, text: Option<&str>, now: i64) {
        let mut activity = self.activity.lock();
        activity.doing = Doing::Running;
        activity.changed_at = now;
        activity.statement_start = now;
        if activity.statement.as_ref().is_none_or(|known| !Arc::ptr_eq(known, statement)) {
            activity.statement = Some(statement.clone());
        }
        match (&mut activity.text, text) {
            (Some(known), Some(text)) => {
                known.clear();
                known.push_str(text);
            }
            (known, text) => *known = text.map(str::to_string),
        }
        activity.transaction_start.get_or_insert(now);
    }

    /// Nothing runs any more.
    pub(crate) fn rest(&self, status: TransactionStatus, now: impl FnOnce() -> i64) {
        let mut activity = self.activity.lock();
        if activity.doing == Doing::Resting(status) {
            return;
        }
        activity.doing = Doing::Resting(status);
        activity.changed_at = now();
        if status == TransactionStatus::Idle {
            activity.transaction_start = None;
        }
    }
}
