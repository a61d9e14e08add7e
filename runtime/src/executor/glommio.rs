//! The worker loop over glommio.
//!
//! One glommio task per worker, which lives as long as the worker, runs our scheduler. Two habits of
//! glommio 0.9 are kept away from:
//!
//! 1. A wake from another thread counts in 16 bits until it is taken; many at once overflow them.
//!    Ours reach the task through a socket pair.
//! 2. When the preemption timer expires after glommio has looked for events, but before it has run
//!    the first task, it goes to sleep although tasks are ready. On a busy machine that comes to
//!    pass with short timers. So there is practically no such timer; instead our task, when it has
//!    had its turn and more is to do, rings its own bell and waits, whereupon glommio looks for events.

use std::future::{Future, poll_fn};
use std::io::{self, Write};
use std::os::fd::{FromRawFd, IntoRawFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use futures_lite::AsyncRead;
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};

use super::timer::now;
use super::worker::{POLLS_MAX, Shared, Worker};

/// glommio's preemption timer, which shall never fire.
const PREEMPT: Duration = Duration::from_secs(3600);
/// Registered memory per worker for file I/O, in bytes: it counts as locked memory.
const IO_MEMORY_BYTES: usize = 1 << 20;
/// Closed rings give their locked memory back late, so that ENOMEM may pass.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(50);

/// Whether glommio may be touched at all: it panics, or even ends the process, where io_uring is
/// forbidden or too old.
///
/// # Errors
/// `Unsupported`, naming the cause.
pub(super) fn check_available() -> io::Result<()> {
    crate::device::probe_io_uring()?;
    raise_locked_memory();
    check_operations()
}

/// glommio ends the process where one of these is missing, so they are asked for first.
fn check_operations() -> io::Result<()> {
    use io_uring::opcode;
    let ring = io_uring::IoUring::new(2)?;
    let mut probe = io_uring::Probe::new();
    ring.submitter().register_probe(&mut probe)?;
    let needed = [
        opcode::Nop::CODE,
        opcode::Readv::CODE,
        opcode::Writev::CODE,
        opcode::Fsync::CODE,
        opcode::ReadFixed::CODE,
        opcode::WriteFixed::CODE,
        opcode::PollAdd::CODE,
        opcode::PollRemove::CODE,
        opcode::SendMsg::CODE,
        opcode::RecvMsg::CODE,
        opcode::Timeout::CODE,
        opcode::TimeoutRemove::CODE,
        opcode::Accept::CODE,
        opcode::AsyncCancel::CODE,
        opcode::LinkTimeout::CODE,
        opcode::Connect::CODE,
        opcode::Fallocate::CODE,
        opcode::OpenAt::CODE,
        opcode::Close::CODE,
        opcode::Statx::CODE,
        opcode::Read::CODE,
        opcode::Write::CODE,
        opcode::Send::CODE,
        opcode::Recv::CODE,
    ];
    match needed.into_iter().find(|operation| !probe.is_supported(*operation)) {
        None => Ok(()),
        Some(operation) => {
            let message = format!("the kernel's io_uring is too old: it lacks operation {operation}");
            Err(io::Error::new(io::ErrorKind::Unsupported, message))
        }
    }
}

/// Raises the soft limit of locked memory to the hard one, as glommio refuses low limits.
fn raise_locked_memory() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes the structure during the call.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) } == 0;
    if known && limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: the kernel reads the structure during the call.
        if unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) } != 0 {
            tracing::debug!("the limit of locked memory could not be raised");
        }
    }
}

/// The writing end of the socket pair that ends a worker's wait.
struct Bell {
    socket: UnixStream,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // It can only fail when the socket is full, and then the worker is being woken already.
        let _ = (&self.socket).write(&[1]);
    }
}

/// What a worker over glommio needs, made in its own thread.
pub(super) struct GlommioLoop {
    executor: LocalExecutor,
    bell: Arc<Bell>,
    bell_reader: UnixStream,
}

impl GlommioLoop {
    pub(super) fn new(name: &str) -> io::Result<GlommioLoop> {
        let (socket, bell_reader) = UnixStream::pair()?;
        socket.set_nonblocking(true)?;
        bell_reader.set_nonblocking(true)?;
        let bell = Arc::new(Bell { socket });
        let mut attempt = 1;
        loop {
            let make = || {
                LocalExecutorBuilder::new(Placement::Unbound)
                    .name(name)
                    .io_memory(IO_MEMORY_BYTES)
                    .preempt_timer(PREEMPT)
                    .make()
            };
            match catch_unwind(AssertUnwindSafe(make)) {
                Ok(Ok(executor)) => return Ok(GlommioLoop { executor, bell, bell_reader }),
                Ok(Err(_)) if attempt < ATTEMPTS => {
                    attempt += 1;
                    std::thread::sleep(PAUSE);
                }
                Ok(Err(error)) => return Err(io::Error::other(format!("glommio refuses to start: {error}"))),
                Err(_) => return Err(io::Error::other("glommio panicked while starting")),
            }
        }
    }

    pub(super) fn run(self, index: usize, shared: Arc<Shared>) {
        let GlommioLoop { executor, bell, bell_reader } = self;
        executor.run(async move {
            // SAFETY: the stream takes over a descriptor that nothing else owns.
            let reader = unsafe { glommio::net::UnixStream::from_raw_fd(bell_reader.into_raw_fd()) };
            let entered = Worker::new(index, shared, None).enter();
            if let Err(error) = run_worker(&entered.worker, &Waker::from(bell), reader).await {
                tracing::error!(%error, "a worker cannot wait for events and ends");
            }
        });
    }
}

async fn run_worker(worker: &Worker, bell: &Waker, mut reader: glommio::net::UnixStream) -> io::Result<()> {
    loop {
        worker.scheduler.run_some(POLLS_MAX);
        if worker.is_abandoned() {
            return Ok(());
        }
        let next_timer = worker.timers.fire();
        wait(worker, bell, &mut reader, next_timer).await?;
    }
}

/// Waits for mail, for an event that wakes a task, or for a moment. When tasks are ready, or mail has
/// come already, it only lets glommio look for events.
async fn wait(
    worker: &Worker,
    bell: &Waker,
    reader: &mut glommio::net::UnixStream,
    next_timer: Option<Instant>,
) -> io::Result<()> {
    let scheduler = &worker.scheduler;
    let is_busy = scheduler.has_ready() || !scheduler.mailbox.arm(bell);
    if is_busy {
        bell.wake_by_ref();
    }
    let mut timer = pin!(async {
        match next_timer {
            Some(moment) => glommio::timer::sleep(moment.saturating_duration_since(now())).await,
            None => std::future::pending().await,
        }
    });
    let mut has_waited = false;
    poll_fn(|context| -> Poll<io::Result<()>> {
        if has_waited {
            poll_bell(reader, context)?;
            return Poll::Ready(Ok(()));
        }
        has_waited = true;
        scheduler.set_local_bell(Some(context.waker().clone()));
        if poll_bell(reader, context)? {
            if !is_busy {
                return Poll::Ready(Ok(()));
            }
            // The byte was there at once. Read it with glommio's event loop in between.
            bell.wake_by_ref();
            if poll_bell(reader, context)? {
                return Poll::Ready(Ok(()));
            }
        }
        timer.as_mut().poll(context).map(Ok)
    })
    .await?;
    scheduler.mailbox.disarm();
    scheduler.set_local_bell(None);
    Ok(())
}

/// Whether the bell was rung; else the context is woken when it is.
fn poll_bell(reader: &mut glommio::net::UnixStream, context: &mut Context<'_>) -> io::Result<bool> {
    match Pin::new(reader).poll_read(context, &mut [0; 64]) {
        Poll::Ready(outcome) => outcome.map(|_| true),
        Poll::Pending => Ok(false),
    }
}
