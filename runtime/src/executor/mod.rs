//! Tasks, sockets and timers: one single-threaded worker per core for servers, and plain threads
//! for background work.
//!
//! 1. [`Executor::start`] starts the workers, as glommio executors where the system allows io_uring, else
//!    as plain threads; both run the same loop, which waits for sockets through epoll.
//! 2. [`Executor::serve`] accepts connections and runs a handler for each, on the workers in turn.
//!    Handlers stay on their worker and need not be `Send`.
//! 3. [`Executor::stop`] stops accepting, gives the stop signal, waits for the tasks that are left
//!    up to a deadline, and drops the rest.
//!
//! Wakers may be used from any thread, any number of times. A caller's own thread drives futures
//! with [`block_on`], which costs a few nanoseconds where they are ready.

mod background;
mod epoll;
mod glommio;
mod helpers;
mod listener;
mod scheduler;
mod socket;
mod stop;
mod timer;
mod worker;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use self::epoll::EpollLoop;
use self::glommio::GlommioLoop;
use self::listener::Acceptor;
use self::worker::Shared;

pub use background::BackgroundExecutor;
pub use futures_lite::future::block_on;
pub use helpers::Helpers;
pub use listener::{GLANCE_BYTES, ListenAddress, Listener};
pub use socket::{HangUp, Peer, Socket, UnixCredentials};
pub use stop::StopToken;
pub use timer::{Sleep, TimedOut, sleep, timeout};
pub(crate) use worker::{GlommioOperation, glommio_local, tasks_here};
pub use worker::{TaskHandle, current_worker, spawn_local};

/// The environment variable that overrides [`ExecutorKind::Automatic`]: `glommio` or `epoll`.
pub const EXECUTOR_VARIABLE: &str = "HELIOS_EXECUTOR";

/// A worker's stack: statements without optimization need more than the usual two megabytes. Only what is used of it takes memory.
pub(crate) const STACK_BYTES: usize = 8 << 20;

/// What the workers' loop is built on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExecutorKind {
    /// glommio where it works, else epoll with a warning that says why; the environment variable
    /// [`EXECUTOR_VARIABLE`] decides otherwise.
    #[default]
    Automatic,
    /// glommio (io_uring), or an error.
    Glommio,
    /// epoll.
    Epoll,
}

/// How to start an [`Executor`].
#[derive(Clone, Debug)]
pub struct ExecutorOptions {
    /// The number of workers, at least 1.
    pub workers: usize,
    /// What they are built on.
    pub kind: ExecutorKind,
    /// Whether each worker is bound to a core of its own; by default when there are more cores than
    /// two and exactly as many workers.
    pub pin: Option<bool>,
}

impl Default for ExecutorOptions {
    /// One worker per core.
    fn default() -> ExecutorOptions {
        ExecutorOptions { workers: crate::cpu::cores(), kind: ExecutorKind::default(), pin: None }
    }
}

/// A set of workers. Dropping it stops it without waiting for tasks.
pub struct Executor {
    shared: Arc<Shared>,
    kind: ExecutorKind,
    acceptors: parking_lot::Mutex<Vec<Acceptor>>,
    threads: Vec<JoinHandle<()>>,
}

impl Executor {
    /// Starts the workers.
    ///
    /// # Errors
    /// `InvalidInput` for no workers or an unknown value of [`EXECUTOR_VARIABLE`]; else what the
    /// operating system says.
    pub fn start(options: ExecutorOptions) -> io::Result<Executor> {
        if options.workers == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "an executor needs at least one worker"));
        }
        match chosen_kind(options.kind)? {
            ExecutorKind::Glommio => {
                glommio::check_available()?;
                Executor::start_kind(&options, ExecutorKind::Glommio)
            }
            ExecutorKind::Epoll => Executor::start_kind(&options, ExecutorKind::Epoll),
            ExecutorKind::Automatic => {
                let start = |()| Executor::start_kind(&options, ExecutorKind::Glommio);
                glommio::check_available().and_then(start).or_else(|error| {
                    tracing::warn!(%error, "io_uring is not usable: connections are served over epoll");
                    Executor::start_kind(&options, ExecutorKind::Epoll)
                })
            }
        }
    }

    fn start_kind(options: &ExecutorOptions, kind: ExecutorKind) -> io::Result<Executor> {
        let pin = options.pin.unwrap_or(options.workers == crate::cpu::cores() && options.workers > 2);
        let shared = Arc::new(Shared::new(options.workers));
        let mut executor =
            Executor { shared, kind, acceptors: parking_lot::Mutex::default(), threads: Vec::new() };
        for index in 0..options.workers {
            // One after the other: rings made at the same moment compete for locked memory. An error
            // drops the executor and with it the workers started so far.
            let (report, started) = mpsc::channel();
            let shared = executor.shared.clone();
            let name = format!("helios-worker-{index}");
            let thread = std::thread::Builder::new()
                .name(name.clone())
                .stack_size(STACK_BYTES)
                .spawn(move || run_worker(kind, pin, index, &name, shared, &report))?;
            executor.threads.push(thread);
            started.recv().unwrap_or_else(|_| Err(io::Error::other("a worker died while starting")))?;
        }
        Ok(executor)
    }

    /// What the workers are built on: never `Automatic`.
    pub fn kind(&self) -> ExecutorKind {
        self.kind
    }

    /// The number of workers.
    pub fn workers(&self) -> usize {
        self.shared.mailboxes.len()
    }

    /// The number of tasks that have not ended.
    pub fn tasks(&self) -> usize {
        self.shared.tasks()
    }

    /// The signal that [`Executor::stop`] gives; tasks that wait for their clients should end then.
    pub fn stop_token(&self) -> StopToken {
        self.shared.stop.clone()
    }

    /// Runs `make` on a worker, and there the future that it gives. Once the executor has stopped,
    /// the task is dropped.
    ///
    /// # Panics
    /// When there is no such worker.
    pub fn spawn_on<F, Fut>(&self, worker: usize, make: F) -> TaskHandle<Fut::Output>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future + 'static,
        Fut::Output: Send + 'static,
    {
        self.shared.spawn_on(worker, make)
    }

    /// As [`Executor::spawn_on`], on the workers in turn.
    pub fn spawn<F, Fut>(&self, make: F) -> TaskHandle<Fut::Output>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future + 'static,
        Fut::Output: Send + 'static,
    {
        self.shared.spawn_on(self.shared.next_worker(), make)
    }

    /// Accepts connections from all of `listeners` and runs `handler` for each as a task of its own,
    /// on the workers in turn, until [`Executor::stop`]. `glance` sees the first bytes that a client has sent, up to
    /// [`GLANCE_BYTES`], in the accepting thread, and so also while all workers are busy: a connection that it says yes
    /// to is served by that, and closed.
    ///
    /// # Errors
    /// What the operating system says when the accepting thread cannot be started.
    pub fn serve<F, Fut>(
        &self,
        listeners: Vec<Listener>,
        glance: impl Fn(&[u8]) -> bool + Send + 'static,
        handler: F,
    ) -> io::Result<()>
    where
        F: Fn(Socket) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        let (shared, handler) = (self.shared.clone(), Arc::new(handler));
        let acceptor = Acceptor::start(listeners, glance, move |accepted| {
            let handler = handler.clone();
            let handle = shared.spawn_on(shared.next_worker(), move || async move {
                match accepted.bind() {
                    Ok(socket) => handler(socket).await,
                    // The peer is gone already, or descriptors have run out.
                    Err(error) => tracing::debug!(%error, "a connection was lost before it began"),
                }
            });
            drop(handle);
        })?;
        self.acceptors.lock().push(acceptor);
        Ok(())
    }

    /// Stops accepting, gives the stop signal, waits up to `patience` for the tasks to end, drops
    /// those that are left and ends the workers. Gives the number of tasks dropped.
    ///
    /// # Panics
    /// On one of the workers, which cannot wait for itself.
    pub fn stop(mut self, patience: Duration) -> usize {
        self.shut_down(patience)
    }

    fn shut_down(&mut self, patience: Duration) -> usize {
        let is_own_thread = |thread: &JoinHandle<()>| thread.thread().id() == std::thread::current().id();
        assert!(!self.threads.iter().any(is_own_thread), "a worker cannot stop its own executor");
        self.acceptors.lock().clear();
        self.shared.stop.stop();
        let left =
            if self.threads.is_empty() { 0 } else { self.shared.wait_for_tasks(timer::now() + patience) };
        self.shared.abandon();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a worker panicked");
            }
        }
        left
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.shut_down(Duration::ZERO);
    }
}

/// What `Automatic` stands for, considering the environment.
fn chosen_kind(kind: ExecutorKind) -> io::Result<ExecutorKind> {
    if kind != ExecutorKind::Automatic {
        return Ok(kind);
    }
    match std::env::var(EXECUTOR_VARIABLE).as_deref() {
        Ok("glommio") => Ok(ExecutorKind::Glommio),
        Ok("epoll") => Ok(ExecutorKind::Epoll),
        Ok("") | Err(_) => Ok(ExecutorKind::Automatic),
        Ok(other) => {
            let message = format!("{EXECUTOR_VARIABLE} is {other:?}, not glommio or epoll");
            Err(io::Error::new(io::ErrorKind::InvalidInput, message))
        }
    }
}

fn run_worker(
    kind: ExecutorKind,
    pin: bool,
    index: usize,
    name: &str,
    shared: Arc<Shared>,
    report: &mpsc::Sender<io::Result<()>>,
) {
    if pin && let Err(error) = crate::cpu::pin_to_core(index) {
        tracing::warn!(%error, index, "the worker is not bound to a core");
    }
    // Nobody hears the report only when `start` itself is unwinding.
    let tell = |outcome| {
        let _ = report.send(outcome);
    };
    if kind == ExecutorKind::Epoll {
        match EpollLoop::new() {
            Ok(worker_loop) => {
                tell(Ok(()));
                worker_loop.run(index, shared);
            }
            Err(error) => tell(Err(error)),
        }
    } else {
        match GlommioLoop::new(name) {
            Ok(worker_loop) => {
                tell(Ok(()));
                worker_loop.run(index, shared);
            }
            Err(error) => tell(Err(error)),
        }
    }
}
