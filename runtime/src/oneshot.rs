//! A channel for one value between threads: how another thread completes a waiting future.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

struct Slot<T> {
    value: Option<T>,
    sender_is_gone: bool,
    waker: Option<Waker>,
}

/// The sending half; dropped unused, it wakes the receiver with `None`.
pub(crate) struct Sender<T> {
    slot: Arc<Mutex<Slot<T>>>,
}

/// The receiving half: a future of the value.
pub(crate) struct Receiver<T> {
    slot: Arc<Mutex<Slot<T>>>,
}

/// A new channel.
pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let slot = Arc::new(Mutex::new(Slot { value: None, sender_is_gone: false, waker: None }));
    (Sender { slot: slot.clone() }, Receiver { slot })
}

impl<T> Sender<T> {
    /// Delivers the value; it is dropped where nobody waits any more.
    pub(crate) fn send(self, value: T) {
        self.slot.lock().value = Some(value);
        // Dropping `self` wakes the receiver.
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut slot = self.slot.lock();
        slot.sender_is_gone = true;
        let waker = slot.waker.take();
        // The waker runs foreign code: not under the lock.
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for Receiver<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut slot = self.slot.lock();
        if slot.sender_is_gone {
            return Poll::Ready(slot.value.take());
        }
        if slot.waker.as_ref().is_none_or(|waker| !waker.will_wake(context.waker())) {
            slot.waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_once};

    /// A value sent from another thread wakes the receiver; so does a sender that is dropped.
    #[test]
    fn wakes_across_threads() {
        for send in [true, false] {
            let (sender, mut receiver) = channel();
            assert_eq!(block_on(poll_once(&mut receiver)), None);
            let thread = std::thread::spawn(move || {
                if send {
                    sender.send(7);
                }
            });
            assert_eq!(block_on(receiver), send.then_some(7));
            thread.join().unwrap();
        }
    }
}
