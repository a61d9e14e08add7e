//! LISTEN, NOTIFY and UNLISTEN of one session.
//!
//! Both take effect when the transaction commits; what is said twice in one transaction is said once.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::atomic::Ordering;

use super::Backend;
use crate::error::{Result, SqlError};

/// What NOTIFY said.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Notification {
    /// The session that said it.
    pub backend: i32,
    pub channel: String,
    pub payload: String,
}

/// What LISTEN and UNLISTEN ask for; no channel: all.
enum Change {
    Listen(String),
    Unlisten(Option<String>),
}

#[derive(Default)]
pub(super) struct Notifications {
    channels: BTreeSet<String>,
    mailbox: VecDeque<Notification>,
    /// Of the running transaction.
    changes: Vec<Change>,
    said: Vec<Notification>,
    said_already: HashSet<Notification>,
}

impl Notifications {
    /// Takes what is meant for this session; tells whether there was anything.
    pub(super) fn receive(&mut self, notifications: &[Notification]) -> bool {
        let before = self.mailbox.len();
        let heard = notifications.iter().filter(|each| self.channels.contains(&each.channel));
        self.mailbox.extend(heard.cloned());
        self.mailbox.len() > before
    }

    /// How much room the mail takes that was not fetched yet.
    pub(super) fn mailbox_bytes(&self) -> usize {
        let bytes = |each: &Notification| size_of::<Notification>() + each.channel.len() + each.payload.len();
        self.mailbox.iter().map(bytes).sum()
    }
}

/// How much of a transaction's LISTEN and NOTIFY there was at a savepoint.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NotificationMark {
    changes: usize,
    said: usize,
}

/// PostgreSQL's limits: NAMEDATALEN, and NOTIFY_PAYLOAD_MAX_LENGTH.
const CHANNEL_BYTES: usize = 64;
const PAYLOAD_BYTES: usize = 8_000;

impl Backend {
    /// LISTEN.
    pub(crate) fn listen(&self, channel: &str) {
        self.is_telling.store(true, Ordering::Relaxed);
        self.notifications.lock().changes.push(Change::Listen(channel.to_string()));
    }

    /// UNLISTEN; no channel: all.
    pub(crate) fn unlisten(&self, channel: Option<&str>) {
        self.is_telling.store(true, Ordering::Relaxed);
        self.notifications.lock().changes.push(Change::Unlisten(channel.map(str::to_string)));
    }

    /// NOTIFY, and `pg_notify`.
    ///
    /// # Errors
    /// 22023 for a channel without a name, and for what is too long.
    pub fn say(&self, channel: &str, payload: &str) -> Result<()> {
        if channel.is_empty() {
            return Err(SqlError::invalid_parameter("channel name cannot be empty"));
        }
        if channel.len() >= CHANNEL_BYTES {
            return Err(SqlError::invalid_parameter("channel name too long"));
        }
        if payload.len() >= PAYLOAD_BYTES {
            return Err(SqlError::invalid_parameter("payload string too long"));
        }
        let notification =
            Notification { backend: self.number, channel: channel.into(), payload: payload.into() };
        self.is_telling.store(true, Ordering::Relaxed);
        let mut notifications = self.notifications.lock();
        if notifications.said_already.insert(notification.clone()) {
            notifications.said.push(notification);
        }
        Ok(())
    }

    /// The channels that it listens to, in the order of their names.
    #[must_use]
    pub fn channels(&self) -> Vec<String> {
        self.notifications.lock().channels.iter().cloned().collect()
    }

    /// What was said to it since the last call.
    #[must_use]
    pub fn take_mail(&self) -> Vec<Notification> {
        self.notifications.lock().mailbox.drain(..).collect()
    }

    /// Whether somebody said something to it.
    #[must_use]
    pub fn has_mail(&self) -> bool {
        !self.notifications.lock().mailbox.is_empty()
    }

    /// The transaction has committed: what it asked for takes effect, what it said is delivered.
    pub(crate) fn commit_notifications(&self) {
        let said = {
            let mut notifications = self.notifications.lock();
            for change in std::mem::take(&mut notifications.changes) {
                match change {
                    Change::Listen(channel) => {
                        notifications.channels.insert(channel);
                    }
                    Change::Unlisten(Some(channel)) => {
                        notifications.channels.remove(&channel);
                    }
                    Change::Unlisten(None) => notifications.channels.clear(),
                }
            }
            notifications.said_already.clear();
            std::mem::take(&mut notifications.said)
        };
        if !said.is_empty() {
            self.others.deliver(self.database_oid, &said);
        }
    }

    /// The transaction was rolled back.
    pub(crate) fn forget_notifications(&self) {
        self.notifications_back_to(NotificationMark::default());
    }

    pub(crate) fn notification_mark(&self) -> NotificationMark {
        let notifications = self.notifications.lock();
        NotificationMark { changes: notifications.changes.len(), said: notifications.said.len() }
    }

    /// The transaction went back to a savepoint.
    pub(crate) fn notifications_back_to(&self, mark: NotificationMark) {
        let mut notifications = self.notifications.lock();
        let Notifications { changes, said, said_already, .. } = &mut *notifications;
        changes.truncate(mark.changes);
        for taken_back in said.drain(mark.said.min(said.len())..) {
            said_already.remove(&taken_back);
        }
    }
}
