//! `heliosdb-nano start`: the server.
//!
//! 1. The configuration is put together, the addresses are taken, the database is opened, in this order: a second
//!    server stops at the address before it touches anything.
//! 2. Clients are served until SIGTERM or SIGINT; statements that run may end.
//! 3. The database is closed, so that the next start has nothing to recover.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use helios_runtime::executor::ExecutorKind;
use helios_server::{
    Authentication, Server, ServerMode, ServerOptions, StorageDescription, TlsFiles, reload_on_signal,
    stop_on_signals,
};
use heliosdb_nano::{AuthenticationMethod, Config};

use crate::arguments::{AuthenticationName, ExecutorName, StartArguments, address};
use crate::{logging, open};

/// Runs the server until it is told to stop.
pub fn run(arguments: &StartArguments) -> Result<ExitCode, Box<dyn Error>> {
    logging::start();
    let config = configuration(arguments)?;
    let password = config.superuser_password()?;
    let options = server_options(&config, arguments)?;
    let stop = stop_on_signals()?;
    let server = Server::bind(options)?;
    reload_on_signal(server.reload())?;
    let database = open::open(&config)?;
    if let Some(password) = password
        && database.set_first_password(&password)?
    {
        tracing::info!("The superuser has the configured password");
    }
    server.serve(database.engine().clone(), &stop)?;
    // The last user of a folder closes it.
    drop(database);
    Ok(ExitCode::SUCCESS)
}

/// The options override the file, the file overrides the defaults.
fn configuration(arguments: &StartArguments) -> Result<Config, Box<dyn Error>> {
    let mut config = match &arguments.config {
        Some(file) => Config::from_file(file)?,
        None => Config::default(),
    };
    if let Some(path) = &arguments.data {
        config.storage.path = Some(path.clone());
        config.storage.memory_only = false;
    }
    config.storage.memory_only |= arguments.memory;
    if let Some(bytes) = arguments.cache_size {
        config.storage.cache_size = bytes;
    }
    if let Some(port) = arguments.port {
        config.server.port = port;
    }
    if !arguments.listen.is_empty() {
        let addresses: Vec<String> = arguments.listen.iter().map(ToString::to_string).collect();
        config.server.listen_addr = addresses.join(",");
    }
    if let Some(method) = arguments.auth {
        config.server.auth = match method {
            AuthenticationName::Trust => AuthenticationMethod::Trust,
            AuthenticationName::ScramSha256 => AuthenticationMethod::ScramSha256,
        };
    }
    if let Some(count) = arguments.max_connections {
        config.server.max_connections = count;
    }
    if let Some(count) = arguments.worker_threads {
        config.performance.worker_threads = Some(usize::try_from(count)?);
    }
    config.validate()?;
    Ok(config)
}

fn server_options(config: &Config, arguments: &StartArguments) -> Result<ServerOptions, Box<dyn Error>> {
    refuse_what_is_not_served(config)?;
    let listen = &config.server.listen_addr;
    let addresses = listen.split(',').map(address).collect::<Result<Vec<_>, String>>();
    let addresses =
        addresses.map_err(|why| format!("server.listen_addr = \"{listen}\" is not allowed: {why}"))?;
    let path = (!config.storage.memory_only).then(|| config.storage_path());
    let folder_name = path.as_ref().and_then(|path| path.canonicalize().ok().or_else(|| Some(path.clone())));
    let folder_name =
        folder_name.and_then(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()));
    let is_default_cache = config.storage.cache_size == Config::default().storage.cache_size;
    Ok(ServerOptions {
        addresses,
        port: config.server.port,
        unix_socket_directory: arguments.socket_dir.clone(),
        workers: config.performance.worker_threads,
        executor: match arguments.executor {
            None => ExecutorKind::Automatic,
            Some(ExecutorName::Epoll) => ExecutorKind::Epoll,
            Some(ExecutorName::Glommio) => ExecutorKind::Glommio,
        },
        authentication: match config.server.auth {
            AuthenticationMethod::Trust => Authentication::Trust,
            AuthenticationMethod::ScramSha256 => Authentication::ScramSha256,
        },
        hba_file: config.server.hba_file.clone(),
        ident_file: config.server.ident_file.clone(),
        tls: tls_files(config),
        query_timeout: Some(Duration::from_secs(config.performance.query_timeout_secs))
            .filter(|limit| !limit.is_zero()),
        max_connections: usize::try_from(config.server.max_connections)?,
        database_names: folder_name.into_iter().collect(),
        mode: if is_default_cache { ServerMode::Server } else { ServerMode::Hybrid },
        storage: StorageDescription { cache_bytes: config.storage.cache_size, path },
        ..ServerOptions::default()
    })
}

/// The certificate and its key, where connections are encrypted; [`Config::validate`] saw to it that both are named.
fn tls_files(config: &Config) -> Option<TlsFiles> {
    let server = &config.server;
    let (certificate, key) = server.tls_cert_path.clone().zip(server.tls_key_path.clone())?;
    let authorities = server.tls_ca_path.clone();
    server.tls_enabled.then_some(TlsFiles { certificate, key, authorities })
}

/// A server must not seem to protect what it does not.
fn refuse_what_is_not_served(config: &Config) -> Result<(), String> {
    if config.audit.enabled {
        return Err("audit.enabled = true is not supported yet".into());
    }
    Ok(())
}
