//! Workers that are glommio executors.
//!
//! One glommio task per worker, which lives as long as the worker, runs our loop: its tasks, sockets and waiting are
//! those of every worker (`epoll.rs`). glommio does what the disk backend asks it for. While it has something to do,
//! it gets its turn before each wait, and the completions in its rings end the wait.
//!
//! 1. glommio looks at its rings when no task of its own is ready. Our task makes that happen by waiting for a timer of
//!    glommio's that is due at once.
//! 2. When glommio's preemption timer expires after it has looked for events, but before it has run the first task, it
//!    goes to sleep although tasks are ready (glommio 0.9). So there is practically no such timer.
//! 3. glommio does not tell its rings' descriptors; they are those that appear while it starts.
//!
//! Single file accesses are done in place by default, and only batches go through a ring: glommio's own file I/O took
//! nearly twice the processor time for a transaction (`HELIOS_DEVICE=glommio benches/compare/postgresql`).

use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};

use super::epoll::EpollLoop;
use super::worker::{Shared, Worker};

/// glommio's preemption timer, which shall never fire.
const PREEMPT: Duration = Duration::from_secs(3600);
/// Registered memory per worker for file I/O, in bytes: it counts as locked memory.
const IO_MEMORY_BYTES: usize = 1 << 20;
/// Closed rings give their locked memory back late, so that ENOMEM may pass.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(50);
/// The longest wait while glommio has something to do: disks that must be polled for completions announce none.
const WAIT_MAX: Duration = Duration::from_millis(1);

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

/// What a worker over glommio needs, made in its own thread.
pub(super) struct GlommioLoop {
    executor: LocalExecutor,
    epoll: EpollLoop,
}

impl GlommioLoop {
    pub(super) fn new(name: &str) -> io::Result<GlommioLoop> {
        let epoll = EpollLoop::new()?;
        let before = rings()?;
        let executor = make_executor(name)?;
        for ring in rings()?.iter().filter(|ring| !before.contains(ring)) {
            // Another's that appeared in between does no harm: it ends waits for nothing. It may be gone again.
            if let Err(error) = epoll.watch(ring)
                && error.raw_os_error() != Some(libc::EBADF)
            {
                tracing::debug!(%error, "a ring is not watched");
            }
        }
        Ok(GlommioLoop { executor, epoll })
    }

    pub(super) fn run(self, index: usize, shared: Arc<Shared>) {
        let GlommioLoop { executor, epoll } = self;
        executor.run(async move {
            let entered = Worker::new(index, shared, epoll.reactor.clone(), true).enter();
            let worker = &entered.worker;
            while worker.run_tasks() {
                let is_at_work = worker.glommio_operations.get() > 0;
                if is_at_work {
                    give_turn().await;
                }
                if !epoll.wait(worker, is_at_work.then_some(WAIT_MAX)) {
                    return;
                }
            }
        });
    }
}

fn make_executor(name: &str) -> io::Result<LocalExecutor> {
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
            Ok(Ok(executor)) => return Ok(executor),
            Ok(Err(_)) if attempt < ATTEMPTS => {
                attempt += 1;
                std::thread::sleep(PAUSE);
            }
            Ok(Err(error)) => return Err(io::Error::other(format!("glommio refuses to start: {error}"))),
            Err(_) => return Err(io::Error::other("glommio panicked while starting")),
        }
    }
}

/// The rings that the process has open.
fn rings() -> io::Result<Vec<Ring>> {
    let mut rings = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")?.flatten() {
        let is_ring = std::fs::read_link(entry.path())
            .is_ok_and(|target| target.as_os_str().as_encoded_bytes().ends_with(b"[io_uring]"));
        if let (true, Some(descriptor)) =
            (is_ring, entry.file_name().to_str().and_then(|name| name.parse().ok()))
        {
            rings.push(Ring(descriptor));
        }
    }
    Ok(rings)
}

/// The descriptor of a ring that somebody else owns.
#[derive(PartialEq, Eq)]
struct Ring(RawFd);

impl AsRawFd for Ring {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

/// Lets glommio submit what it was asked for, and take what has completed.
async fn give_turn() {
    let mut delay = Duration::from_micros(1);
    loop {
        let mut timer = pin!(glommio::timer::sleep(delay));
        let mut has_waited = false;
        poll_fn(|context| {
            let poll = timer.as_mut().poll(context);
            has_waited |= poll.is_pending();
            poll
        })
        .await;
        if has_waited {
            return;
        }
        // The thread was held up so long that the timer was due before it was looked at.
        delay *= 2;
    }
}
