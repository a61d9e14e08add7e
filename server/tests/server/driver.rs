//! Sessions of a real asynchronous driver, and how a test finds out that one of them waits for a lock.

use std::future::Future;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio_postgres::{Client, Error, NoTls};

use crate::support::TestServer;

/// A test fails that takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the driver runs on.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Runs a test over a fresh server: it gets a session, and the address for more.
pub fn run<F: Future<Output = ()>>(test: impl FnOnce(Client, String) -> F) {
    let server = TestServer::start();
    let runtime = runtime();
    runtime.block_on(async {
        let address = format!("host=127.0.0.1 port={} user=postgres dbname=postgres", server.address.port());
        let client = connect(&address).await;
        tokio::time::timeout(PATIENCE, test(client, address)).await.expect("in time");
    });
    drop(runtime);
    server.stop();
}

pub async fn connect(address: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(address, NoTls).await.expect("a connection");
    tokio::spawn(async move {
        // Its error is the client's too.
        drop(connection.await);
    });
    client
}

/// Two sessions that get in each other's way, and one that watches them.
pub struct Sessions {
    pub first: Client,
    pub second: Client,
    watcher: Client,
}

impl Sessions {
    /// Runs a test with two sessions, on a database where `setup` has been run.
    pub fn run<F: Future<Output = ()>>(setup: &'static str, test: impl FnOnce(Sessions) -> F) {
        run(|first, address| async move {
            first.batch_execute(setup).await.expect("set up");
            let (second, watcher) = (connect(&address).await, connect(&address).await);
            test(Sessions { first, second, watcher }).await;
        });
    }

    /// Drives `statement` until it waits for a lock, then `release` to its end; gives how the statement ended.
    pub async fn waits<T>(
        &self,
        statement: impl Future<Output = Result<T, Error>>,
        release: impl Future<Output = Result<(), Error>>,
    ) -> Result<T, Error> {
        let statement = std::pin::pin!(statement);
        let watching = std::pin::pin!(self.somebody_waits());
        match select(statement, watching).await {
            Either::Left(_) => panic!("the statement did not wait"),
            Either::Right(((), statement)) => {
                release.await.expect("released");
                statement.await
            }
        }
    }

    /// Comes back as soon as a transaction waits for a lock.
    pub async fn somebody_waits(&self) {
        loop {
            let row = self.watcher.query_one("SELECT waiting_transactions FROM system_stats", &[]).await;
            if row.expect("figures").get::<_, i64>(0) > 0 {
                return;
            }
        }
    }

    /// The only value of a query of the watcher's: what has been committed.
    pub async fn committed(&self, query: &str) -> i64 {
        self.watcher.query_one(query, &[]).await.expect("one row").get(0)
    }
}

/// The SQLSTATE and the message of an error.
pub fn told<T>(outcome: Result<T, Error>) -> (String, String) {
    match outcome {
        Ok(_) => panic!("the statement succeeded"),
        Err(error) => {
            let error = error.as_db_error().expect("an error of the server's");
            (error.code().code().to_owned(), error.message().to_owned())
        }
    }
}
