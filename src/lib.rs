//! One database in one crate: PostgreSQL's SQL, embedded like SQLite, and the engine under the server.
//!
//! ```
//! use heliosdb_nano::{EmbeddedDatabase, params};
//!
//! # fn main() -> Result<(), heliosdb_nano::Error> {
//! let db = EmbeddedDatabase::new_in_memory()?;
//! db.execute("CREATE TABLE users (id INT PRIMARY KEY, name TEXT)")?;
//! db.execute("INSERT INTO users VALUES (1, 'Alice'), (2, 'Bob')")?;
//!
//! let rows = db.query("SELECT name FROM users WHERE id = $1", params![2])?;
//! assert_eq!(rows[0].get(0)?.to_string(), "Bob");
//! assert_eq!(rows[0].get::<String>("name")?, "Bob");
//!
//! let tx = db.begin_transaction()?;
//! tx.execute("DELETE FROM users WHERE id = 1")?;
//! tx.commit()?;
//! # Ok(())
//! # }
//! ```
#![deny(unsafe_code)]

mod config;
pub mod connection;
pub mod crypto;
mod database;
mod error;
mod opening;
mod row;
pub mod session;
mod statement;
mod transaction;
mod value;

pub use config::{
    AuditConfig, AuthenticationMethod, CompressionType, Config, EncryptionConfig, KeySource,
    PerformanceConfig, ServerConfig, StorageConfig,
};
pub use database::EmbeddedDatabase;
pub use error::{Error, Result};
pub use row::{ColumnIndex, Row, RowStream};
pub use statement::PreparedStatement;
pub use transaction::Transaction;
pub use value::{FromValue, ToValue, Value};

/// The parameters of a statement: `params![1, "text"]`.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        &[$(&$value as &dyn $crate::ToValue),*]
    };
}
