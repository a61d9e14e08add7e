//! Plain threads for background work: checkpoints, cleaning, refreshes of an embedded database.
//!
//! Tasks are `Send` and run on whichever thread is free; they may block it. A task's state says
//! whether it is idle, queued or running, so that it is in the queue once at most and never runs on
//! two threads.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::stop::StopToken;
use super::timer::now;
use super::worker::TaskHandle;
use crate::oneshot;

/// Waits for a wake.
const IDLE: u8 = 0;
/// In the queue.
const QUEUED: u8 = 1;
/// Being polled.
const RUNNING: u8 = 2;
/// Being polled, and woken meanwhile.
const WOKEN: u8 = 3;

type SendFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Task {
    state: AtomicU8,
    future: Mutex<Option<SendFuture>>,
    pool: Arc<Pool>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let mut state = self.state.load(Ordering::Acquire);
        loop {
            let next = match state {
                IDLE => QUEUED,
                RUNNING => WOKEN,
                _ => return,
            };
            match self.state.compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(IDLE) => return self.pool.clone().enqueue(self),
                Ok(_) => return,
                Err(changed) => state = changed,
            }
        }
    }
}

#[derive(Default)]
struct Pool {
    queue: Mutex<Queue>,
    /// Signalled when a task is queued and at the end.
    queued: Condvar,
    /// Signalled when the last task has ended.
    ended: Condvar,
    stop: StopToken,
}

#[derive(Default)]
struct Queue {
    ready: VecDeque<Arc<Task>>,
    /// All tasks that have not ended.
    tasks: HashMap<u64, Arc<Task>>,
    next_id: u64,
    is_closed: bool,
}

impl Pool {
    fn enqueue(self: Arc<Pool>, task: Arc<Task>) {
        self.queue.lock().ready.push_back(task);
        self.queued.notify_one();
    }

    fn work(&self) {
        loop {
            let task = {
                let mut queue = self.queue.lock();
                loop {
                    if queue.is_closed {
                        return;
                    }
                    match queue.ready.pop_front() {
                        Some(task) => break task,
                        None => self.queued.wait(&mut queue),
                    }
                }
            };
            self.run(task);
        }
    }

    fn run(&self, task: Arc<Task>) {
        task.state.store(RUNNING, Ordering::Release);
        let waker = Waker::from(task.clone());
        let mut future = task.future.lock();
        let Some(pinned) = future.as_mut() else { return };
        let mut context = Context::from_waker(&waker);
        let poll = catch_unwind(AssertUnwindSafe(|| pinned.as_mut().poll(&mut context)));
        if let Ok(Poll::Pending) = poll {
            drop(future);
            if task.state.compare_exchange(RUNNING, IDLE, Ordering::AcqRel, Ordering::Acquire).is_err() {
                task.state.store(QUEUED, Ordering::Release);
                task.pool.clone().enqueue(task);
            }
            return;
        }
        if poll.is_err() {
            tracing::error!("a background task panicked and was ended");
        }
        let ended = future.take();
        drop(future);
        drop_quietly(ended);
    }
}

/// Keeps a task on the list of those that have not ended.
struct Counted {
    pool: Arc<Pool>,
    id: u64,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut queue = self.pool.queue.lock();
        let task = queue.tasks.remove(&self.id);
        if queue.tasks.is_empty() {
            self.pool.ended.notify_all();
        }
        drop(queue);
        drop(task);
    }
}

fn drop_quietly(future: Option<SendFuture>) {
    if catch_unwind(AssertUnwindSafe(|| drop(future))).is_err() {
        tracing::error!("a background task panicked while being dropped");
    }
}

/// Threads that run `Send` futures. Dropping it stops it without waiting for tasks, but for what
/// its threads are doing at the moment; a task may drop it too.
pub struct BackgroundExecutor {
    pool: Arc<Pool>,
    threads: Vec<JoinHandle<()>>,
}

impl BackgroundExecutor {
    /// Starts `threads` threads, at least one.
    ///
    /// # Errors
    /// What the operating system says when it has no threads to give.
    pub fn start(threads: usize) -> io::Result<BackgroundExecutor> {
        let mut executor = BackgroundExecutor { pool: Arc::default(), threads: Vec::new() };
        for index in 0..threads.max(1) {
            let pool = executor.pool.clone();
            let name = format!("helios-back-{index}");
            executor.threads.push(crate::cpu::spawn_unpinned(&name, move || pool.work())?);
        }
        Ok(executor)
    }

    /// Runs a future to its end; timers and foreign wakes work as everywhere. Once the executor has
    /// stopped, the future is dropped.
    pub fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> TaskHandle<T> {
        let (sender, receiver) = oneshot::channel();
        let mut queue = self.pool.queue.lock();
        let id = queue.next_id;
        queue.next_id += 1;
        let pool = self.pool.clone();
        let future: SendFuture = Box::pin(async move {
            // The task no longer counts when its outcome is told, nor when a panic tells it.
            let (sender, counted) = (sender, Counted { pool, id });
            let output = future.await;
            drop(counted);
            sender.send(output);
        });
        let (state, pool) = (AtomicU8::new(QUEUED), self.pool.clone());
        let task = Arc::new(Task { state, future: Mutex::new(Some(future)), pool });
        queue.tasks.insert(id, task.clone());
        queue.ready.push_back(task);
        drop(queue);
        self.pool.queued.notify_one();
        TaskHandle { receiver }
    }

    /// The signal that [`BackgroundExecutor::stop`] gives; tasks that run for ever should end then.
    pub fn stop_token(&self) -> StopToken {
        self.pool.stop.clone()
    }

    /// The number of tasks that have not ended.
    pub fn tasks(&self) -> usize {
        self.pool.queue.lock().tasks.len()
    }

    /// Gives the stop signal, waits up to `patience` for the tasks to end, drops those that are left
    /// and joins the threads, which finish what they are doing. Gives the number of tasks dropped.
    ///
    /// # Panics
    /// On one of its own threads, which cannot wait for itself.
    pub fn stop(mut self, patience: Duration) -> usize {
        self.shut_down(patience)
    }

    /// Whether the caller is one of its threads.
    fn is_own_thread(&self) -> bool {
        let own = std::thread::current().id();
        self.threads.iter().any(|thread| thread.thread().id() == own)
    }

    fn shut_down(&mut self, patience: Duration) -> usize {
        assert!(!self.is_own_thread(), "a thread cannot stop its own executor");
        if self.threads.is_empty() {
            return 0;
        }
        self.pool.stop.stop();
        let deadline = now() + patience;
        let mut queue = self.pool.queue.lock();
        while !queue.tasks.is_empty() && !self.pool.ended.wait_until(&mut queue, deadline).timed_out() {}
        queue.is_closed = true;
        drop(queue);
        self.pool.queued.notify_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a background thread panicked");
            }
        }
        let (ready, tasks) = {
            let mut queue = self.pool.queue.lock();
            (std::mem::take(&mut queue.ready), std::mem::take(&mut queue.tasks))
        };
        drop(ready);
        let left = tasks.len();
        for task in tasks.into_values() {
            let future = task.future.lock().take();
            drop_quietly(future);
        }
        left
    }
}

impl Drop for BackgroundExecutor {
    fn drop(&mut self) {
        if self.is_own_thread() {
            // A task was its last owner: the threads end by themselves once they are through with what they are doing.
            self.pool.stop.stop();
            let tasks = {
                let mut queue = self.pool.queue.lock();
                queue.is_closed = true;
                queue.ready.clear();
                std::mem::take(&mut queue.tasks)
            };
            self.pool.queued.notify_all();
            // What is being polled, this task among them, goes when its poll is over.
            let waiting =
                tasks.into_values().filter_map(|task| task.future.try_lock().and_then(|mut own| own.take()));
            waiting.for_each(|future| drop_quietly(Some(future)));
            return;
        }
        self.shut_down(Duration::ZERO);
    }
}
