//! The server: listeners, workers, and the end of both.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use helios_runtime::executor::{Executor, ExecutorOptions, ListenAddress, Listener, StopToken, block_on};
use heliosdb_nano::session::scram::Verifier;
use heliosdb_nano::session::{Engine, Role};

use crate::connection;
use crate::hba::{Encryption, HostFiles, Hosts};
use crate::options::{Authentication, ServerOptions};
use crate::registry::Registry;
use crate::startup;
use crate::tls::Tls;
use crate::watcher::Watcher;

/// What all connections of a server share.
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) options: ServerOptions,
    pub(crate) tls: Option<Tls>,
    pub(crate) hosts: Arc<Hosts>,
    pub(crate) registry: Arc<Registry>,
    /// Given when the server is to stop.
    pub(crate) stop: StopToken,
}

/// A server that has its addresses but serves nobody yet.
pub struct Server {
    listeners: Vec<Listener>,
    tls: Option<Tls>,
    hosts: Arc<Hosts>,
    options: ServerOptions,
}

/// Has a server read its files again.
#[derive(Clone)]
pub struct Reload(Arc<Hosts>);

impl Reload {
    /// Reads them; what is no good is logged, and all stays as it is.
    pub fn reload(&self) {
        self.0.reload();
    }
}

impl Server {
    /// Takes the addresses.
    ///
    /// # Errors
    /// `InvalidInput` for options that cannot be served, such as a certificate without its key, `AddrInUse` for addresses that are taken, else what the
    /// operating system says.
    pub fn bind(options: ServerOptions) -> io::Result<Server> {
        options.check()?;
        let tls = options.tls.as_ref().map(Tls::load).transpose()?;
        let hosts = Arc::new(Hosts::load(HostFiles {
            authentication: options.authentication,
            hba: options.hba_file.clone(),
            ident: options.ident_file.clone(),
            encryption: Encryption {
                is_on: tls.is_some(),
                has_authorities: options.tls.as_ref().is_some_and(|files| files.authorities.is_some()),
            },
        })?);
        if tls.is_none() && options.addresses.iter().any(|address| !address.is_loopback()) {
            tracing::warn!("Connections are not encrypted");
        }
        tracing::info!("Starting HeliosDB Nano in {} Mode", options.mode);
        tracing::info!("Cache size: {} MB", options.storage.cache_bytes >> 20);
        match &options.storage.path {
            Some(path) => tracing::info!("Persistent storage: {}", path.display()),
            None => tracing::info!("Persistent storage: none (in memory)"),
        }
        let mut listeners = Vec::new();
        let mut port = options.port;
        for address in &options.addresses {
            let listener = Listener::bind_tcp(SocketAddr::new(*address, port))?;
            if let ListenAddress::Tcp(bound) = listener.address() {
                // Where any port would do, all addresses share the first one's.
                port = bound.port();
            }
            listeners.push(listener);
        }
        if let Some(directory) = &options.unix_socket_directory {
            let path = directory.join(format!(".s.PGSQL.{port}"));
            listeners.push(Listener::bind_unix(path, options.unix_socket_mode)?);
        }
        Ok(Server { listeners, tls, hosts, options })
    }

    /// Has the server read its files again, from wherever.
    pub fn reload(&self) -> Reload {
        Reload(self.hosts.clone())
    }

    /// Where the server listens, with the ports actually bound.
    pub fn addresses(&self) -> Vec<ListenAddress> {
        self.listeners.iter().map(|listener| listener.address().clone()).collect()
    }

    /// Serves until the stop signal, and a little longer: statements that run may end, and every client is told.
    ///
    /// Blocks the calling thread, which must not be one of an executor's workers.
    ///
    /// # Errors
    /// What the operating system says when workers cannot be started; `InvalidInput` where clients need a password and
    /// no role has one.
    pub fn serve(self, engine: Engine, stop: &StopToken) -> io::Result<()> {
        if self.options.authentication == Authentication::ScramSha256 && self.options.hba_file.is_none() {
            block_on(require_password(&engine))?;
        }
        let mut executor_options =
            ExecutorOptions { kind: self.options.executor, ..ExecutorOptions::default() };
        if let Some(workers) = self.options.workers {
            executor_options.workers = workers;
        }
        let executor = Executor::start(executor_options)?;
        let stop_patience = self.options.stop_patience;
        let addresses = self.addresses();
        engine.set_server_files(Some(self.hosts.clone()));
        engine.set_server_settings(shown_settings(&self.options, &addresses));
        let ended = engine.clone();
        let shared = Arc::new(Shared {
            engine,
            tls: self.tls,
            hosts: self.hosts,
            options: self.options,
            registry: Arc::default(),
            stop: executor.stop_token(),
        });
        let watcher = Watcher::start(&shared, stop_patience)?;
        let registry = shared.registry.clone();
        let glance = move |bytes: &[u8]| startup::serve_cancel(bytes, &registry);
        executor.serve(self.listeners, glance, move |socket| connection::serve(socket, shared.clone()))?;
        for address in addresses {
            tracing::info!("Server listening on {address}");
        }
        block_on(stop.stopped());
        tracing::info!("Stopping: waiting for running statements");
        let left = executor.stop(stop_patience);
        drop(watcher);
        ended.set_server_files(None);
        ended.set_server_settings(Vec::new());
        if left > 0 {
            tracing::warn!("Stopped; {left} connections were still busy and have been cut off");
        } else {
            tracing::info!("Stopped");
        }
        Ok(())
    }
}

/// What sessions show of how the server was started.
fn shown_settings(options: &ServerOptions, addresses: &[ListenAddress]) -> Vec<(&'static str, String)> {
    let path = |path: &std::path::Path| path.display().to_string();
    let listened: Vec<_> = options.addresses.iter().map(ToString::to_string).collect();
    let mut settings = vec![
        ("listen_addresses", listened.join(",")),
        ("max_connections", options.max_connections.to_string()),
        ("ssl", options.tls.is_some().to_string()),
        ("shared_buffers", (options.storage.cache_bytes / 8_192).max(16).to_string()),
        ("unix_socket_directories", String::new()),
        ("unix_socket_permissions", format!("0{:o}", options.unix_socket_mode)),
    ];
    settings.extend(addresses.iter().find_map(|address| match address {
        ListenAddress::Tcp(bound) => Some(("port", bound.port().to_string())),
        ListenAddress::Unix(_) => None,
    }));
    let files = options.tls.as_ref();
    let named = [
        ("unix_socket_directories", options.unix_socket_directory.as_deref()),
        ("data_directory", options.storage.path.as_deref()),
        ("hba_file", options.hba_file.as_deref()),
        ("ident_file", options.ident_file.as_deref()),
        ("ssl_cert_file", files.map(|files| files.certificate.as_path())),
        ("ssl_key_file", files.map(|files| files.key.as_path())),
        ("ssl_ca_file", files.and_then(|files| files.authorities.as_deref())),
    ];
    settings.extend(named.into_iter().filter_map(|(name, file)| Some((name, path(file?)))));
    settings
}

/// Nobody could come in where passwords are asked for and there are none.
async fn require_password(engine: &Engine) -> io::Result<()> {
    let roles = engine.roles().await.map_err(|error| io::Error::other(error.message().to_string()))?;
    let has_password =
        |role: &Role| role.attributes.login && role.verifier.as_deref().and_then(Verifier::parse).is_some();
    if roles.iter().any(|role| has_password(role)) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "clients need a password, but no role has one: give the superuser one by server.superuser_password, or by \
         ALTER ROLE postgres PASSWORD '…' in the shell",
    ))
}
