//! Work that belongs to the engine and not to whoever waits for it.
//!
//! A commit or a checkpoint that has begun must end, though the statement that asked for it is cancelled. So its future
//! lies here; every waiter polls it, a wake-up goes to all of them, and a waiter that is dropped takes nothing with it.
//! When the last waiter goes while the work is not done, the *tender* ([`Tender`]), a background task, carries on.
//!
//! Invariants: at most one future at work; a future that panics is dropped, and its panic told to the caller.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;

/// A piece of work.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Who carries on when all waiters have gone.
#[derive(Default)]
pub(crate) struct Tender(Mutex<Option<Waker>>);

impl Tender {
    /// Asks to be woken when work is left alone.
    pub(crate) fn register(&self, waker: &Waker) {
        *self.0.lock() = Some(waker.clone());
    }

    /// Work was left alone.
    pub(crate) fn wake(&self) {
        self.0.lock().take().into_iter().for_each(Waker::wake);
    }
}

/// The present work and those who wait for it.
#[derive(Default)]
pub(crate) struct SharedWork {
    /// Locked while it is polled.
    work: Mutex<Option<Work>>,
    waiters: Arc<Waiters>,
    waiting: AtomicUsize,
}

/// What [`SharedWork::poll`] found or did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// There is work, and it waits for something; or somebody else is at it.
    Busy,
    /// There is none, now.
    Idle,
    /// The work panicked, and is gone.
    Panicked,
}

/// Where work leaves what it came to, for the one who asked for it: whoever polls the work to its end, that one is woken.
pub(crate) struct Told<T>(Mutex<(Option<T>, Option<Waker>)>);

impl<T> Told<T> {
    pub(crate) fn new() -> Arc<Told<T>> {
        Arc::new(Told(Mutex::new((None, None))))
    }

    /// Leaves the outcome.
    pub(crate) fn tell(&self, value: T) {
        let waker = {
            let mut told = self.0.lock();
            told.0 = Some(value);
            told.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// The outcome, or a wake-up when it is there.
    pub(crate) fn poll(&self, context: &Context<'_>) -> Option<T> {
        let mut told = self.0.lock();
        if told.0.is_none() {
            told.1 = Some(context.waker().clone());
        }
        told.0.take()
    }
}

/// Wakes all who wait.
#[derive(Default)]
struct Waiters(Mutex<Vec<Waker>>);

impl Wake for Waiters {
    fn wake(self: Arc<Self>) {
        let wakers = std::mem::take(&mut *self.0.lock());
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl SharedWork {
    /// Polls the work, beginning what `start` gives if there is none.
    pub(crate) fn poll(&self, context: &Context<'_>, start: impl FnOnce() -> Option<Work>) -> Progress {
        {
            // Registered before trying: if somebody else is polling, its wake-ups reach this waiter too.
            let mut waiters = self.waiters.0.lock();
            if !waiters.iter().any(|waker| waker.will_wake(context.waker())) {
                waiters.push(context.waker().clone());
            }
        }
        let Some(mut work) = self.work.try_lock() else { return Progress::Busy };
        if work.is_none() {
            *work = start();
        }
        let Some(future) = work.as_mut() else { return Progress::Idle };
        let waker = Waker::from(self.waiters.clone());
        let polled =
            catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(&waker))));
        let progress = match polled {
            Ok(Poll::Pending) => return Progress::Busy,
            Ok(Poll::Ready(())) => Progress::Idle,
            Err(_) => Progress::Panicked,
        };
        *work = None;
        progress
    }

    /// Wakes all who wait, for them to look again.
    pub(crate) fn wake(&self) {
        self.waiters.clone().wake();
    }

    /// Whether nothing is at work.
    pub(crate) fn is_idle(&self) -> bool {
        self.work.try_lock().is_some_and(|work| work.is_none())
    }

    /// Whether nobody is counted as waiting.
    pub(crate) fn has_no_waiters(&self) -> bool {
        self.waiting.load(Ordering::Acquire) == 0
    }

    /// Counts a waiter, until the returned value is dropped.
    pub(crate) fn wait<'a>(&'a self, tender: &'a Tender) -> Waiting<'a> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        Waiting { shared: self, tender }
    }
}

/// A waiter. When it goes away another one takes over, or the tender.
pub(crate) struct Waiting<'a> {
    shared: &'a SharedWork,
    tender: &'a Tender,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let was_last = self.shared.waiting.fetch_sub(1, Ordering::AcqRel) == 1;
        self.shared.wake();
        if was_last && !self.shared.is_idle() {
            self.tender.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Release);
        }
    }

    /// Work that was begun is left to the tender by the last waiter, and not before.
    #[test]
    fn the_tender_is_woken_when_the_last_waiter_goes() {
        let (shared, tender) = (SharedWork::default(), Tender::default());
        let (woken, waker) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
        tender.register(&Waker::from(woken.clone()));
        let done = Arc::new(AtomicBool::new(false));
        let seen = done.clone();
        let work: Work = Box::pin(poll_fn(move |_| match seen.load(Ordering::Acquire) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }));
        let waker = Waker::from(waker);
        let context = Context::from_waker(&waker);
        let (first, second) = (shared.wait(&tender), shared.wait(&tender));
        assert_eq!(shared.poll(&context, || Some(work)), Progress::Busy);
        drop(first);
        assert!(!woken.0.load(Ordering::Acquire));
        drop(second);
        assert!(woken.0.load(Ordering::Acquire));
        done.store(true, Ordering::Release);
        assert_eq!(shared.poll(&context, || None), Progress::Idle);
    }

    /// A panic ends the work and nothing else.
    #[test]
    fn a_panic_is_told() {
        let shared = SharedWork::default();
        let work: Work = Box::pin(poll_fn(|_| panic!("as the test wants")));
        let context = Context::from_waker(Waker::noop());
        assert_eq!(shared.poll(&context, || Some(work)), Progress::Panicked);
        assert_eq!(shared.poll(&context, || None), Progress::Idle);
    }
}
