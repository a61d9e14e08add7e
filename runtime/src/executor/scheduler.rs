//! The tasks of one worker.
//!
//! Futures stay in the worker's thread and need not be `Send`; their wakers may be used and dropped
//! anywhere. Both executors run this same scheduler, and none of the underlying library's tasks:
//! glommio counts the wakers of a task in 16 bits, which many wakes from other threads overflow.
//!
//! 1. A waker names its task by slot and generation, and carries the flag "is scheduled": a task
//!    woken many times before it runs is queued once.
//! 2. A wake in the worker's own thread goes to the ready queue; from another thread it goes to the
//!    mailbox, as do new jobs.
//! 3. Before the worker waits it *arms* its bell, a waker that ends the wait from any thread, unless
//!    mail has come meanwhile. The next letter takes the bell and rings it: once, however many follow.
//!
//! Invariants
//! 1. A future is polled and dropped in its worker's thread only.
//! 2. A panic of a task ends that task and nothing else.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use parking_lot::Mutex;

use super::timer::now;
use super::worker::{Worker, with_current};

pub(super) type LocalFuture = Pin<Box<dyn Future<Output = ()>>>;
/// Work sent to a worker, which usually spawns a task there.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// Where other threads put what a worker shall do.
#[derive(Default)]
pub(super) struct Mailbox {
    letters: Mutex<Letters>,
    /// Lets the worker look without taking the lock.
    has_letters: AtomicBool,
}

#[derive(Default)]
struct Letters {
    wakes: Vec<Arc<TaskWaker>>,
    jobs: Vec<Job>,
    bell: Option<Waker>,
    is_closed: bool,
}

impl Mailbox {
    /// Delivers a job; one to a worker that has ended is dropped.
    pub(super) fn send(&self, job: Job) {
        let refused = self.deliver(|letters| {
            if letters.is_closed {
                return Some(job);
            }
            letters.jobs.push(job);
            None
        });
        drop(refused);
    }

    /// Makes the worker look around.
    pub(super) fn ring(&self) {
        self.deliver(|_| ());
    }

    fn deliver<T>(&self, put: impl FnOnce(&mut Letters) -> T) -> T {
        let (outcome, bell) = {
            let mut letters = self.letters.lock();
            let outcome = put(&mut letters);
            self.has_letters.store(true, Ordering::Release);
            (outcome, letters.bell.take())
        };
        if let Some(bell) = bell {
            bell.wake();
        }
        outcome
    }

    /// Leaves a bell to be rung, unless there is mail already.
    pub(super) fn arm(&self, bell: &Waker) -> bool {
        let mut letters = self.letters.lock();
        let is_empty = !self.has_letters.load(Ordering::Acquire);
        if is_empty {
            letters.bell = Some(bell.clone());
        }
        is_empty
    }

    pub(super) fn disarm(&self) {
        let bell = self.letters.lock().bell.take();
        drop(bell);
    }

    fn take(&self) -> (Vec<Arc<TaskWaker>>, Vec<Job>) {
        if !self.has_letters.load(Ordering::Acquire) {
            return Default::default();
        }
        let mut letters = self.letters.lock();
        self.has_letters.store(false, Ordering::Release);
        (std::mem::take(&mut letters.wakes), std::mem::take(&mut letters.jobs))
    }

    fn close(&self) {
        self.letters.lock().is_closed = true;
    }
}

/// What a task's wakers point to.
pub(super) struct TaskWaker {
    slot: usize,
    generation: u64,
    is_scheduled: AtomicBool,
    mailbox: Arc<Mailbox>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if self.is_scheduled.swap(true, Ordering::AcqRel) {
            return;
        }
        let is_local = |worker: &Worker| Arc::ptr_eq(&worker.scheduler.mailbox, &self.mailbox);
        if with_current(is_local) == Some(true) {
            with_current(|worker| worker.scheduler.push_ready(self));
            return;
        }
        let mailbox = self.mailbox.clone();
        let refused = mailbox.deliver(|letters| {
            if letters.is_closed {
                return Some(self);
            }
            letters.wakes.push(self);
            None
        });
        drop(refused);
    }
}

struct Slot {
    generation: u64,
    /// Absent while the task is being polled, and in a free slot.
    future: Option<LocalFuture>,
}

#[derive(Default)]
struct Slots {
    slots: Vec<Slot>,
    free: Vec<usize>,
}

/// One worker's tasks and what it shall do next.
pub(super) struct Scheduler {
    pub(super) mailbox: Arc<Mailbox>,
    ready: RefCell<VecDeque<Arc<TaskWaker>>>,
    slots: RefCell<Slots>,
}

impl Scheduler {
    pub(super) fn new(mailbox: Arc<Mailbox>) -> Scheduler {
        Scheduler { mailbox, ready: RefCell::default(), slots: RefCell::default() }
    }

    pub(super) fn spawn(&self, future: LocalFuture) {
        let mut slots = self.slots.borrow_mut();
        let slot = match slots.free.pop() {
            Some(slot) => {
                slots.slots[slot].future = Some(future);
                slot
            }
            None => {
                slots.slots.push(Slot { generation: 0, future: Some(future) });
                slots.slots.len() - 1
            }
        };
        let generation = slots.slots[slot].generation;
        drop(slots);
        let is_scheduled = AtomicBool::new(true);
        self.push_ready(Arc::new(TaskWaker {
            slot,
            generation,
            is_scheduled,
            mailbox: self.mailbox.clone(),
        }));
    }

    fn push_ready(&self, task: Arc<TaskWaker>) {
        self.ready.borrow_mut().push_back(task);
    }

    /// Takes the mail and polls at most `polls_max` ready tasks, fewer where that has taken `time_max`: a task that goes on
    /// computing in turns of its own wakes itself each time, and would keep those who wait for events waiting.
    pub(super) fn run_some(&self, polls_max: usize, time_max: Duration) {
        self.take_mail();
        let begun = now();
        for _ in 0..polls_max {
            let Some(task) = self.ready.borrow_mut().pop_front() else { break };
            self.run_task(task);
            if now() - begun >= time_max {
                break;
            }
        }
    }

    /// How many tasks there are.
    pub(super) fn tasks(&self) -> usize {
        let slots = self.slots.borrow();
        slots.slots.len() - slots.free.len()
    }

    /// Whether a task is ready: fired timers and events make some so between runs.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.borrow().is_empty()
    }

    fn take_mail(&self) {
        let (wakes, jobs) = self.mailbox.take();
        self.ready.borrow_mut().extend(wakes);
        for job in jobs {
            guard_panic(job);
        }
    }

    fn run_task(&self, task: Arc<TaskWaker>) {
        // Cleared before the poll, so that a wake during it schedules the task again.
        task.is_scheduled.swap(false, Ordering::AcqRel);
        let (index, generation) = (task.slot, task.generation);
        let Some(mut future) = self.take_future(index, generation) else { return };
        let waker = Waker::from(task);
        let poll = guard_panic(|| future.as_mut().poll(&mut Context::from_waker(&waker)));
        if let Some(Poll::Pending) = poll {
            self.slots.borrow_mut().slots[index].future = Some(future);
            return;
        }
        guard_panic(move || drop(future));
        let mut slots = self.slots.borrow_mut();
        slots.slots[index].generation += 1;
        slots.free.push(index);
    }

    fn take_future(&self, index: usize, generation: u64) -> Option<LocalFuture> {
        let mut slots = self.slots.borrow_mut();
        let slot = &mut slots.slots[index];
        if slot.generation == generation { slot.future.take() } else { None }
    }

    /// Drops all tasks and refuses further mail.
    pub(super) fn close(&self) {
        self.mailbox.close();
        let (wakes, jobs) = self.mailbox.take();
        drop(wakes);
        guard_panic(move || drop(jobs));
        let mut index = 0;
        // Dropping a future may spawn another, which lands in a free or a new slot; the count of
        // slots bounds how far such chains are followed.
        while index < self.slots.borrow().slots.len() {
            let future = self.slots.borrow_mut().slots[index].future.take();
            guard_panic(move || drop(future));
            index += 1;
        }
        self.ready.borrow_mut().clear();
    }
}

/// Runs foreign code; a panic is logged and gives `None`.
fn guard_panic<T>(work: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(output) => Some(output),
        Err(panic) => {
            let message = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default();
            tracing::error!(%message, "a task panicked and was ended");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    /// How many of a hundred tasks that are ready are polled in one round.
    fn polls_in_a_round(polls_max: usize, time_max: Duration) -> usize {
        let scheduler = Scheduler::new(Arc::default());
        let polls = Rc::new(Cell::new(0));
        for _ in 0..100 {
            let polls = polls.clone();
            scheduler.spawn(Box::pin(async move { polls.set(polls.get() + 1) }));
        }
        scheduler.run_some(polls_max, time_max);
        polls.get()
    }

    #[test]
    fn a_round_ends_by_number_and_by_time() {
        assert_eq!(polls_in_a_round(64, Duration::MAX), 64);
        assert_eq!(polls_in_a_round(1_000, Duration::MAX), 100);
        assert_eq!(polls_in_a_round(64, Duration::ZERO), 1);
    }
}
