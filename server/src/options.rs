//! How a server is to run.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use helios_runtime::executor::ExecutorKind;

/// What the start-up log calls the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerMode {
    #[default]
    Server,
    /// A server with an explicit cache size.
    Hybrid,
}

impl std::fmt::Display for ServerMode {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            ServerMode::Server => "Server",
            ServerMode::Hybrid => "Hybrid",
        })
    }
}

/// Who is believed to be the role that they say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Authentication {
    /// Whoever is on this machine; nobody else is served.
    #[default]
    Trust,
    /// Nobody: all clients show by SCRAM-SHA-256 that they know the role's password.
    ScramSha256,
}

/// The files that connections are encrypted with, in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The server's certificate, and those that vouch for it behind it.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// The certificates of who vouches for clients' certificates; `None`: clients show none.
    pub authorities: Option<PathBuf>,
}

/// What the start-up log says of the storage; the engine itself was opened by the caller.
#[derive(Clone, Debug, Default)]
pub struct StorageDescription {
    pub cache_bytes: u64,
    /// The data folder; `None` for a database in memory.
    pub path: Option<PathBuf>,
}

/// How to start a [`crate::Server`].
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The addresses to listen on; loopback only where clients are trusted.
    pub addresses: Vec<IpAddr>,
    /// The port, for the addresses and in the Unix socket's name; 0 takes any free one.
    pub port: u16,
    /// The folder of the Unix socket `.s.PGSQL.<port>`; `None` for no Unix socket.
    pub unix_socket_directory: Option<PathBuf>,
    /// The permissions of the Unix socket.
    pub unix_socket_mode: u32,
    /// The number of workers; `None` for one a core.
    pub workers: Option<usize>,
    pub executor: ExecutorKind,
    pub max_connections: usize,
    /// Names of the first database beside `postgres` and `heliosdb`, such as its folder's.
    pub database_names: Vec<String>,
    /// The rule for all hosts, where there is no file of rules.
    pub authentication: Authentication,
    /// Rules for hosts as in PostgreSQL's pg_hba.conf.
    pub hba_file: Option<PathBuf>,
    /// Which users may be which roles, as in PostgreSQL's pg_ident.conf.
    pub ident_file: Option<PathBuf>,
    /// `None`: connections are not encrypted.
    pub tls: Option<TlsFiles>,
    pub mode: ServerMode,
    pub storage: StorageDescription,
    /// How long a client may take to introduce itself and to show who it is.
    pub startup_patience: Duration,
    /// How long a statement may run, whatever its session says; `None`: for ever.
    pub query_timeout: Option<Duration>,
    /// Every statement is answered with one constant row, and none is run: what the protocol alone costs, for benches.
    #[doc(hidden)]
    pub constant_row: bool,
    /// How long running statements may take to end after the stop signal.
    pub stop_patience: Duration,
}

impl Default for ServerOptions {
    fn default() -> ServerOptions {
        ServerOptions {
            addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            port: 5432,
            unix_socket_directory: None,
            unix_socket_mode: 0o700,
            workers: None,
            executor: ExecutorKind::default(),
            max_connections: 100,
            database_names: Vec::new(),
            authentication: Authentication::default(),
            hba_file: None,
            ident_file: None,
            tls: None,
            mode: ServerMode::default(),
            storage: StorageDescription::default(),
            startup_patience: Duration::from_secs(60),
            query_timeout: None,
            constant_row: false,
            stop_patience: Duration::from_secs(10),
        }
    }
}

impl ServerOptions {
    /// Refuses what cannot be served.
    pub(crate) fn check(&self) -> io::Result<()> {
        let invalid = |message: String| Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        if self.authentication == Authentication::Trust
            && self.hba_file.is_none()
            && let Some(address) = self.addresses.iter().find(|address| !address.is_loopback())
        {
            return invalid(format!(
                "cannot listen on {address}: where clients are trusted, only loopback addresses (127.0.0.1, ::1) \
                 and Unix sockets are served; ask for passwords by --auth scram-sha-256, or server.auth = \
                 \"scram-sha-256\""
            ));
        }
        if self.addresses.is_empty() && self.unix_socket_directory.is_none() {
            return invalid("there is no address to listen on".into());
        }
        if self.max_connections == 0 {
            return invalid("max_connections must be at least 1".into());
        }
        Ok(())
    }

    /// Whether a database of this name exists.
    pub(crate) fn has_database(&self, name: &str) -> bool {
        name == "postgres" || name == "heliosdb" || self.database_names.iter().any(|known| known == name)
    }
}
