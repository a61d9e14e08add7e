//! The interface under the wire protocol: sessions, and what their results are made of.
//!
//! It follows the engine and changes with it; programs use [`crate::EmbeddedDatabase`].

pub use helios_sql::backends::{ClientAddress, Encryption, Notification, Signal};
pub use helios_sql::catalog::Role;
pub use helios_sql::encoding::Encoding;
pub use helios_sql::error::{ErrorFields, SqlError, SqlState};
pub use helios_sql::execute::{Environment, Timestamps};
pub use helios_sql::session::{
    CancelHandle, CopyDirection, Engine, HostRule, Notice, Portal, Prepared, ServerFiles, Session,
    SettingValues, Step, TransactionStatus,
};
pub use helios_sql::{binder, copy, functions, scram, types, value};
