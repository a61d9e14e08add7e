//! The worker loop over glommio.
//!
//! One glommio task per worker, which lives as long as the worker, runs our scheduler: all wakes
//! from other threads reach glommio as at most one wake of that task at a time.

use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};

use super::timer::now;
use super::worker::{Entered, POLLS_MAX, Shared, Worker};

/// How long ready tasks may keep the ring from being looked at.
const PREEMPT: Duration = Duration::from_millis(1);
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

/// What a worker over glommio needs, made in its own thread.
pub(super) struct GlommioLoop {
    executor: LocalExecutor,
}

impl GlommioLoop {
    pub(super) fn new(name: &str) -> io::Result<GlommioLoop> {
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
                Ok(Ok(executor)) => return Ok(GlommioLoop { executor }),
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
        self.executor.run(async move {
            let entered = Worker::new(index, shared, None).enter();
            run_worker(&entered).await;
        });
    }
}

async fn run_worker(entered: &Entered) {
    let worker = &entered.worker;
    loop {
        let more = worker.scheduler.run_some(POLLS_MAX);
        if worker.is_abandoned() {
            return;
        }
        let next_timer = worker.timers.fire();
        if more {
            glommio::executor().yield_task_queue_now().await;
        } else {
            wait(worker, next_timer).await;
        }
    }
}

/// Waits for mail, for an event that wakes a task, or for a moment.
async fn wait(worker: &Worker, next_timer: Option<Instant>) {
    let mailbox = &worker.scheduler.mailbox;
    let mut timer = pin!(async {
        match next_timer {
            Some(moment) => glommio::timer::sleep(moment.saturating_duration_since(now())).await,
            None => std::future::pending().await,
        }
    });
    let mut is_armed = false;
    poll_fn(|context| {
        if is_armed || !mailbox.arm(context.waker()) {
            return Poll::Ready(());
        }
        is_armed = true;
        timer.as_mut().poll(context)
    })
    .await;
    mailbox.disarm();
}
