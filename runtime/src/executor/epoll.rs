//! The worker loop, and its sockets, over epoll.
//!
//! 1. Ready tasks run, a bounded number of them.
//! 2. Due timers fire.
//! 3. The worker waits for sockets, its bell (an eventfd), other descriptors that it was told of, or the next
//!    timer; it does not wait while tasks are ready.
//!
//! Sockets are registered once, edge-triggered. Trying before waiting, and reading events only in
//! the worker's own thread, makes sure that no edge is missed.
//!
//! Workers over glommio wait for their sockets here as well. Through glommio each wait is a poll request of its own in
//! a ring, whose completion interrupts the worker at whatever it does: that took twice the processor time for a request
//! (ARCHITECTURE.md says how it was measured).

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use super::timer::now;
use super::worker::{Shared, Worker};

/// The event that belongs to the bell.
const BELL: u64 = u64::MAX;
/// Events that only end the wait.
const OTHER: u64 = u64::MAX - 1;
const EVENTS_MAX: usize = 256;

/// An eventfd that ends the wait when written to.
struct Bell {
    eventfd: File,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // It can only fail when the counter is full, and then the worker is being woken already.
        let _ = (&self.eventfd).write(&1u64.to_ne_bytes());
    }
}

impl Bell {
    fn new() -> io::Result<Bell> {
        // SAFETY: a system call without pointers.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        // SAFETY: the system call just gave us this descriptor.
        check(descriptor).map(|descriptor| Bell { eventfd: unsafe { File::from_raw_fd(descriptor) } })
    }
}

fn check(outcome: i32) -> io::Result<i32> {
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(outcome) }
}

/// Who waits for a socket.
#[derive(Default)]
struct Waiters {
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The epoll instance of one worker.
pub(super) struct EpollReactor {
    epoll: OwnedFd,
    sockets: RefCell<Vec<Option<Waiters>>>,
}

impl EpollReactor {
    fn new() -> io::Result<EpollReactor> {
        // SAFETY: a system call without pointers.
        let descriptor = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the system call just gave us this descriptor.
        let epoll = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(EpollReactor { epoll, sockets: RefCell::default() })
    }

    fn add(&self, descriptor: &impl AsRawFd, events: i32, key: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: events as u32, u64: key };
        let (epoll, descriptor) = (self.epoll.as_raw_fd(), descriptor.as_raw_fd());
        // SAFETY: the kernel reads the event during the call.
        check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, descriptor, &mut event) }).map(drop)
    }

    fn register(&self, socket: &OwnedFd) -> io::Result<usize> {
        let mut sockets = self.sockets.borrow_mut();
        let key = sockets.iter().position(Option::is_none).unwrap_or(sockets.len());
        let events = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        self.add(socket, events, key as u64)?;
        if key == sockets.len() {
            sockets.push(None);
        }
        sockets[key] = Some(Waiters::default());
        Ok(key)
    }

    /// Waits for events and wakes who waits for them.
    fn wait(&self, timeout: Option<Duration>, bell: &Bell) -> io::Result<()> {
        // Rounded up, so that the timer is due when the wait ends.
        let milliseconds =
            timeout.map_or(-1, |timeout| timeout.as_nanos().div_ceil(1_000_000).min(60_000) as i32);
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX];
        let (epoll, target) = (self.epoll.as_raw_fd(), events.as_mut_ptr());
        // SAFETY: the kernel writes at most EVENTS_MAX events to the array.
        let count = match check(unsafe { libc::epoll_wait(epoll, target, EVENTS_MAX as i32, milliseconds) }) {
            Ok(count) => count as usize,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        for event in &events[..count] {
            let (flags, key) = (event.events as i32, event.u64);
            if key == BELL {
                // Empty when a ring before was taken late.
                let _ = (&bell.eventfd).read(&mut [0; 8]);
                continue;
            }
            let broken = flags & (libc::EPOLLERR | libc::EPOLLHUP) != 0;
            let (mut reader, mut writer) = (None, None);
            if let Some(Some(waiters)) = self.sockets.borrow_mut().get_mut(key as usize) {
                if broken || flags & (libc::EPOLLIN | libc::EPOLLRDHUP) != 0 {
                    reader = waiters.reader.take();
                }
                if broken || flags & libc::EPOLLOUT != 0 {
                    writer = waiters.writer.take();
                }
            }
            reader.into_iter().chain(writer).for_each(Waker::wake);
        }
        Ok(())
    }
}

/// What a worker waits with, made before its thread takes on work, so that failing is told.
pub(super) struct EpollLoop {
    pub(super) reactor: Rc<EpollReactor>,
    bell: Arc<Bell>,
}

impl EpollLoop {
    pub(super) fn new() -> io::Result<EpollLoop> {
        let reactor = Rc::new(EpollReactor::new()?);
        let bell = Arc::new(Bell::new()?);
        reactor.add(&bell.eventfd, libc::EPOLLIN, BELL)?;
        Ok(EpollLoop { reactor, bell })
    }

    /// Ends waits also when something happens to `descriptor`, which must outlive this.
    pub(super) fn watch(&self, descriptor: &impl AsRawFd) -> io::Result<()> {
        self.reactor.add(descriptor, libc::EPOLLIN | libc::EPOLLET, OTHER)
    }

    pub(super) fn run(self, index: usize, shared: Arc<Shared>) {
        let entered = Worker::new(index, shared, self.reactor.clone(), false).enter();
        while entered.worker.run_tasks() && self.wait(&entered.worker, None) {}
    }

    /// Waits until there is something to do, or for `at_most`; false when that fails, which is told.
    pub(super) fn wait(&self, worker: &Worker, at_most: Option<Duration>) -> bool {
        let next_timer = worker.timers.fire();
        let mailbox = &worker.scheduler.mailbox;
        let is_busy = worker.scheduler.has_ready() || !mailbox.arm(&Waker::from(self.bell.clone()));
        let timeout = match (is_busy, until(next_timer), at_most) {
            (true, ..) => Some(Duration::ZERO),
            (false, Some(timer), Some(at_most)) => Some(timer.min(at_most)),
            (false, timer, at_most) => timer.or(at_most),
        };
        let outcome = self.reactor.wait(timeout, &self.bell);
        mailbox.disarm();
        match outcome {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, "a worker cannot wait for events and ends");
                false
            }
        }
    }
}

fn until(moment: Option<Instant>) -> Option<Duration> {
    moment.map(|moment| moment.saturating_duration_since(now()))
}

/// A connected socket on a worker.
pub(super) struct EpollStream {
    socket: OwnedFd,
    reactor: Rc<EpollReactor>,
    key: usize,
}

impl EpollStream {
    /// Registers a non-blocking socket.
    pub(super) fn new(socket: OwnedFd, reactor: Rc<EpollReactor>) -> io::Result<EpollStream> {
        let key = reactor.register(&socket)?;
        Ok(EpollStream { socket, reactor, key })
    }

    /// The socket's number, while this lives.
    pub(super) fn descriptor(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    pub(super) fn poll_read(&self, context: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let flags = libc::MSG_DONTWAIT;
        // SAFETY: the pointer and length describe a live, writable slice.
        let receive =
            || unsafe { libc::recv(self.socket.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len(), flags) };
        self.poll_transfer(receive, context, |waiters| &mut waiters.reader)
    }

    pub(super) fn poll_write(&self, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: the pointer and length describe a live slice.
        let send = || unsafe { libc::send(self.socket.as_raw_fd(), buf.as_ptr().cast(), buf.len(), flags) };
        self.poll_transfer(send, context, |waiters| &mut waiters.writer)
    }

    fn poll_transfer(
        &self,
        mut transfer: impl FnMut() -> isize,
        context: &Context<'_>,
        waiter: impl FnOnce(&mut Waiters) -> &mut Option<Waker>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let count = transfer();
            if count >= 0 {
                return Poll::Ready(Ok(count as usize));
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => break,
                _ => return Poll::Ready(Err(error)),
            }
        }
        let mut sockets = self.reactor.sockets.borrow_mut();
        let waiters = sockets[self.key].as_mut().expect("an open socket is registered");
        let waiter = waiter(waiters);
        if !waiter.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waiter = Some(context.waker().clone());
        }
        Poll::Pending
    }

    pub(super) fn shut_down_writing(&self) -> io::Result<()> {
        // SAFETY: a system call without pointers.
        check(unsafe { libc::shutdown(self.socket.as_raw_fd(), libc::SHUT_WR) }).map(drop)
    }
}

impl AsRawFd for EpollStream {
    fn as_raw_fd(&self) -> i32 {
        self.socket.as_raw_fd()
    }
}

impl Drop for EpollStream {
    fn drop(&mut self) {
        // Closing the descriptor ends its registration.
        let waiters = self.reactor.sockets.borrow_mut()[self.key].take();
        drop(waiters);
    }
}
