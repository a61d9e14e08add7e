//! A server over a database in memory, in this process, on a free port.

use std::io;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use helios_runtime::executor::{ListenAddress, StopToken};
use helios_server::{Server, ServerOptions};
use heliosdb_nano::EmbeddedDatabase;

/// A running server; dropping it stops it.
pub struct TestServer {
    pub address: SocketAddr,
    /// What it serves.
    pub database: EmbeddedDatabase,
    stop: StopToken,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl TestServer {
    /// Starts a server, whose options `change` may change.
    ///
    /// # Errors
    /// Those of opening the database and of taking the address.
    pub fn start(change: impl FnOnce(&mut ServerOptions)) -> io::Result<TestServer> {
        TestServer::over(change, |_| Ok(()))
    }

    /// Starts a server over a database that `prepare` has changed.
    ///
    /// # Errors
    /// Those of [`TestServer::start`] and of preparing.
    #[allow(clippy::disallowed_methods)] // the server blocks its thread
    pub fn over(
        change: impl FnOnce(&mut ServerOptions),
        prepare: impl FnOnce(&EmbeddedDatabase) -> heliosdb_nano::Result<()>,
    ) -> io::Result<TestServer> {
        let mut options = ServerOptions {
            port: 0,
            workers: Some(1),
            stop_patience: Duration::from_secs(5),
            ..ServerOptions::default()
        };
        change(&mut options);
        let server = Server::bind(options)?;
        let Some(ListenAddress::Tcp(address)) = server.addresses().first().cloned() else {
            return Err(io::Error::other("the server has no address"));
        };
        let database = EmbeddedDatabase::new_in_memory().map_err(io::Error::other)?;
        prepare(&database).map_err(io::Error::other)?;
        let engine = database.engine().clone();
        let stop = StopToken::new();
        let given = stop.clone();
        let thread = std::thread::spawn(move || server.serve(engine, &given));
        Ok(TestServer { address, database, stop, thread: Some(thread) })
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(std::thread::panicking() || matches!(ended, Ok(Ok(()))), "the server ended by {ended:?}");
        }
    }
}
