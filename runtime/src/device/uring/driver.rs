//! The thread that owns a ring and carries out batches.
//!
//! 1. A batch is put into the inbox and the driver is woken through an eventfd, on which the ring
//!    always has one read pending.
//! 2. The driver splits batches into operations and keeps at most [`DEPTH`] of them in the ring; the
//!    rest wait in the order they came.
//! 3. An operation that ends short or with an error is repeated in place by [`RawFile`], which knows
//!    about interruptions, ends of files and refused O_DIRECT; what it says is the outcome.
//! 4. The last operation of a batch sends the outcome to whoever waits.
//!
//! Invariants
//! 1. A buffer in the ring is owned by the driver's slot until its completion is seen; where the ring
//!    fails, such buffers are leaked, because the kernel may still write to them.
//! 2. The driver ends only when the inbox is closed and no operation is left.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use io_uring::{IoUring, opcode, types};
use parking_lot::Mutex;

use super::super::IoBuf;
use super::super::raw_file::RawFile;
use crate::oneshot;

/// The most operations in the ring at once.
pub(super) const DEPTH: usize = 64;
/// One system call moves at most this much; longer transfers are finished in place.
const TRANSFER_BYTES_MAX: usize = 1 << 30;
/// The completion of the eventfd's read.
const WAKE: u64 = u64::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Read,
    Write,
}

type Outcome = io::Result<Vec<IoBuf>>;

struct Job {
    raw: Arc<RawFile>,
    direction: Direction,
    batch: Vec<(u64, IoBuf)>,
    reply: oneshot::Sender<Outcome>,
}

#[derive(Default)]
struct Inbox {
    jobs: Vec<Job>,
    is_closed: bool,
}

struct Shared {
    inbox: Mutex<Inbox>,
    /// An eventfd.
    bell: File,
}

impl Shared {
    fn ring_bell(&self) {
        // It can only fail when the counter is full, and then the driver is being woken already.
        let _ = (&self.bell).write(&1u64.to_ne_bytes());
    }
}

/// The handle of a driver thread; dropping it waits for the work that is left.
pub(super) struct Driver {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Driver {
    pub(super) fn start() -> io::Result<Driver> {
        // SAFETY: a system call without pointers.
        let bell = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        if bell < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the system call just gave us this descriptor.
        let bell = unsafe { File::from_raw_fd(bell) };
        let ring = IoUring::new((DEPTH + 1).next_power_of_two() as u32)?;
        let mut probe = io_uring::Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        if !probe.is_supported(opcode::Read::CODE) || !probe.is_supported(opcode::Write::CODE) {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the kernel's io_uring is too old"));
        }
        let shared = Arc::new(Shared { inbox: Mutex::default(), bell });
        let worker = Worker::new(ring, shared.clone());
        let thread =
            std::thread::Builder::new().name("helios-uring".to_owned()).spawn(move || worker.run())?;
        Ok(Driver { shared, thread: Some(thread) })
    }

    /// False once the ring has failed.
    pub(super) fn is_alive(&self) -> bool {
        !self.shared.inbox.lock().is_closed
    }

    /// Carries out a batch and gives its buffers back in order.
    pub(super) async fn run(
        &self,
        raw: Arc<RawFile>,
        direction: Direction,
        batch: Vec<(u64, IoBuf)>,
    ) -> Outcome {
        let (reply, outcome) = oneshot::channel();
        {
            let mut inbox = self.shared.inbox.lock();
            if inbox.is_closed {
                return Err(dead());
            }
            inbox.jobs.push(Job { raw, direction, batch, reply });
        }
        self.shared.ring_bell();
        outcome.await.unwrap_or_else(|| Err(dead()))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.shared.inbox.lock().is_closed = true;
        self.shared.ring_bell();
        // The last handle may die with a task whose waker the driver itself drops: it cannot wait for
        // itself, but ends all the same.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the io_uring driver panicked");
        }
    }
}

/// The error of batches that the ring failed.
pub(super) fn dead() -> io::Error {
    io::Error::other("the io_uring driver has failed")
}

/// What a batch still waits for.
struct Batch {
    missing: usize,
    buffers: Vec<Option<IoBuf>>,
    error: Option<io::Error>,
    reply: Option<oneshot::Sender<Outcome>>,
}

struct Operation {
    batch: Rc<RefCell<Batch>>,
    index: usize,
    raw: Arc<RawFile>,
    direction: Direction,
    offset: u64,
    buf: IoBuf,
}

impl Operation {
    /// The entry for the ring. The buffer must stay where it is until the completion.
    fn entry(&mut self, slot: usize) -> io_uring::squeue::Entry {
        let descriptor = types::Fd(self.raw.descriptor());
        let length = self.buf.len().min(TRANSFER_BYTES_MAX) as u32;
        let entry = match self.direction {
            Direction::Read => {
                opcode::Read::new(descriptor, self.buf.as_mut_ptr(), length).offset(self.offset).build()
            }
            Direction::Write => {
                opcode::Write::new(descriptor, self.buf.as_ptr(), length).offset(self.offset).build()
            }
        };
        entry.user_data(slot as u64)
    }

    /// Takes the kernel's answer, and tells the batch.
    fn complete(mut self, result: i32) {
        let done = usize::try_from(result).is_ok_and(|count| count == self.buf.len());
        let outcome = match self.direction {
            _ if done => Ok(()),
            Direction::Read => self.raw.read_exact(&mut self.buf, self.offset),
            Direction::Write => self.raw.write_all(&self.buf, self.offset),
        };
        let mut batch = self.batch.borrow_mut();
        batch.missing -= 1;
        match outcome {
            Ok(()) => batch.buffers[self.index] = Some(self.buf),
            Err(error) => batch.error = batch.error.take().or(Some(error)),
        }
        if batch.missing == 0
            && let Some(reply) = batch.reply.take()
        {
            let buffers = std::mem::take(&mut batch.buffers);
            reply.send(match batch.error.take() {
                None => Ok(buffers.into_iter().map(|buf| buf.expect("each operation succeeded")).collect()),
                Some(error) => Err(error),
            });
        }
    }
}

struct Worker {
    ring: IoUring,
    shared: Arc<Shared>,
    /// Where the ring reads the eventfd's counter to.
    bell_count: Box<[u8; 8]>,
}

impl Worker {
    fn new(ring: IoUring, shared: Arc<Shared>) -> Worker {
        Worker { ring, shared, bell_count: Box::new([0; 8]) }
    }

    fn run(mut self) {
        let mut waiting = VecDeque::new();
        let mut slots: Vec<Option<Operation>> = (0..DEPTH).map(|_| None).collect();
        // Waking a waiter runs foreign code, and a panic must not free buffers that are in the ring.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.work(&mut waiting, &mut slots)));
        if let Err(error) = outcome.unwrap_or_else(|_| Err(io::Error::other("a panic"))) {
            tracing::error!(%error, "the io_uring driver has failed");
            let mut inbox = self.shared.inbox.lock();
            inbox.is_closed = true;
            // Dropping the replies tells everyone who waits.
            inbox.jobs.clear();
            for operation in slots.into_iter().flatten() {
                operation.batch.borrow_mut().reply.take();
                std::mem::forget(operation);
            }
            std::mem::forget(self.bell_count);
        }
    }

    fn work(&mut self, waiting: &mut VecDeque<Operation>, slots: &mut [Option<Operation>]) -> io::Result<()> {
        let mut free_slots: Vec<usize> = (0..DEPTH).collect();
        self.listen_for_bell();
        loop {
            let is_closed = self.take_jobs(waiting);
            while let Some(slot) = free_slots.pop() {
                let Some(mut operation) = waiting.pop_front() else {
                    free_slots.push(slot);
                    break;
                };
                let entry = operation.entry(slot);
                slots[slot] = Some(operation);
                // SAFETY: the slot owns the buffer and the file until the completion is seen, and the
                // ring has room for one entry per slot and the bell.
                unsafe { self.ring.submission().push(&entry) }.expect("the ring has room for every slot");
            }
            if is_closed && free_slots.len() == DEPTH {
                return self.close_bell();
            }
            self.submit_and_wait()?;
            let mut bell_rang = false;
            for completion in self.ring.completion() {
                if completion.user_data() == WAKE {
                    bell_rang = true;
                    continue;
                }
                let slot = completion.user_data() as usize;
                let operation = slots[slot].take().expect("one completion per operation");
                free_slots.push(slot);
                operation.complete(completion.result());
            }
            if bell_rang {
                self.listen_for_bell();
            }
        }
    }

    /// Moves the inbox's jobs to `waiting`; whether it is closed.
    fn take_jobs(&self, waiting: &mut VecDeque<Operation>) -> bool {
        let (jobs, is_closed) = {
            let mut inbox = self.shared.inbox.lock();
            (std::mem::take(&mut inbox.jobs), inbox.is_closed)
        };
        for job in jobs {
            let missing = job.batch.len();
            let buffers = (0..missing).map(|_| None).collect();
            let batch = Batch { missing, buffers, error: None, reply: Some(job.reply) };
            let batch = Rc::new(RefCell::new(batch));
            for (index, (offset, buf)) in job.batch.into_iter().enumerate() {
                let (batch, raw, direction) = (batch.clone(), job.raw.clone(), job.direction);
                waiting.push_back(Operation { batch, index, raw, direction, offset, buf });
            }
        }
        is_closed
    }

    fn listen_for_bell(&mut self) {
        let descriptor = types::Fd(self.shared.bell.as_raw_fd());
        let target = self.bell_count.as_mut_ptr();
        let entry = opcode::Read::new(descriptor, target, 8).build().user_data(WAKE);
        // SAFETY: the worker owns the eight bytes and leaves `work` only with no bell read pending,
        // or leaks them.
        unsafe { self.ring.submission().push(&entry) }.expect("the ring has room for the bell");
    }

    /// Ends the pending read of the bell.
    fn close_bell(&mut self) -> io::Result<()> {
        self.shared.ring_bell();
        loop {
            self.submit_and_wait()?;
            if self.ring.completion().any(|completion| completion.user_data() == WAKE) {
                return Ok(());
            }
        }
    }

    fn submit_and_wait(&mut self) -> io::Result<()> {
        // A kernel short of memory for 10 seconds is taken for broken.
        let mut attempts_left = 10_000;
        loop {
            match self.ring.submit_and_wait(1) {
                Ok(_) => return Ok(()),
                // Completions to be taken first.
                Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY)) => {
                    return Ok(());
                }
                Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOMEM)) => {
                    attempts_left -= 1;
                    if attempts_left == 0 {
                        return Err(error);
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => return Err(error),
            }
        }
    }
}
