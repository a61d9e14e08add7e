//! A worker thread's context, and what the threads of one executor share.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::epoll::EpollReactor;
use super::scheduler::{Mailbox, Scheduler};
use super::stop::StopToken;
use super::timer::TimerQueue;
use crate::oneshot;

/// Tasks polled before the worker looks for events and mail again, and how long that may take: then no further task is polled.
const POLLS_MAX: usize = 64;
const ROUND_MAX: Duration = Duration::from_micros(500);

/// What all workers of an executor share with those who send them work.
pub(super) struct Shared {
    pub(super) mailboxes: Vec<Arc<Mailbox>>,
    pub(super) stop: StopToken,
    /// Set when tasks that are left shall be dropped.
    pub(super) is_abandoned: AtomicBool,
    next_worker: AtomicUsize,
    tasks: Mutex<usize>,
    tasks_changed: Condvar,
}

impl Shared {
    pub(super) fn new(workers: usize) -> Shared {
        Shared {
            mailboxes: (0..workers).map(|_| Arc::default()).collect(),
            stop: StopToken::new(),
            is_abandoned: AtomicBool::new(false),
            next_worker: AtomicUsize::new(0),
            tasks: Mutex::new(0),
            tasks_changed: Condvar::new(),
        }
    }

    /// The workers in turn.
    pub(super) fn next_worker(&self) -> usize {
        self.next_worker.fetch_add(1, Ordering::Relaxed) % self.mailboxes.len()
    }

    pub(super) fn count_task(self: &Arc<Shared>) -> CountedTask {
        *self.tasks.lock() += 1;
        CountedTask { shared: self.clone() }
    }

    pub(super) fn tasks(&self) -> usize {
        *self.tasks.lock()
    }

    /// Waits until no task is left, at most until `deadline`; the number left.
    pub(super) fn wait_for_tasks(&self, deadline: Instant) -> usize {
        let mut tasks = self.tasks.lock();
        while *tasks > 0 {
            if self.tasks_changed.wait_until(&mut tasks, deadline).timed_out() {
                break;
            }
        }
        *tasks
    }

    pub(super) fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::Release);
        for mailbox in &self.mailboxes {
            mailbox.ring();
        }
    }

    pub(super) fn spawn_on<F, Fut>(self: &Arc<Shared>, worker: usize, make: F) -> TaskHandle<Fut::Output>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future + 'static,
        Fut::Output: Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let counted = self.count_task();
        let job = move || {
            let future = make();
            spawn_counted(counted, future, sender);
        };
        self.mailboxes[worker].send(Box::new(job));
        TaskHandle { receiver }
    }
}

/// Counts as a task for as long as it lives.
pub(super) struct CountedTask {
    shared: Arc<Shared>,
}

impl Drop for CountedTask {
    fn drop(&mut self) {
        let mut tasks = self.shared.tasks.lock();
        *tasks -= 1;
        if *tasks == 0 {
            self.shared.tasks_changed.notify_all();
        }
    }
}

/// The outcome of a spawned task, to be awaited anywhere. Dropping it lets the task run on.
#[must_use = "dropping the handle is fine, but then the outcome is lost"]
pub struct TaskHandle<T> {
    pub(super) receiver: oneshot::Receiver<T>,
}

impl<T> Future for TaskHandle<T> {
    /// `None` when the task panicked or was dropped.
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        Pin::new(&mut self.receiver).poll(context)
    }
}

/// A worker's own thread-local state.
pub(super) struct Worker {
    pub(super) index: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) scheduler: Scheduler,
    pub(super) timers: Arc<TimerQueue>,
    pub(super) reactor: Rc<EpollReactor>,
    /// Whether the thread runs a glommio executor.
    is_glommio: bool,
    /// Operations that glommio has not completed yet.
    pub(super) glommio_operations: Cell<usize>,
    /// What the disk backend keeps in this thread; it ends with the worker.
    keepsake: RefCell<Option<Rc<dyn Any>>>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Worker>>> = const { RefCell::new(None) };
}

impl Worker {
    pub(super) fn new(
        index: usize,
        shared: Arc<Shared>,
        reactor: Rc<EpollReactor>,
        is_glommio: bool,
    ) -> Worker {
        let scheduler = Scheduler::new(shared.mailboxes[index].clone());
        Worker {
            index,
            shared,
            scheduler,
            timers: Arc::default(),
            reactor,
            is_glommio,
            glommio_operations: Cell::new(0),
            keepsake: RefCell::default(),
        }
    }

    /// Makes this the thread's worker until the returned value is dropped.
    pub(super) fn enter(self) -> Entered {
        let worker = Rc::new(self);
        CURRENT.with(|current| *current.borrow_mut() = Some(worker.clone()));
        Entered { worker }
    }

    /// Runs some of the tasks that are ready; false when the worker is to end.
    pub(super) fn run_tasks(&self) -> bool {
        self.scheduler.run_some(POLLS_MAX, ROUND_MAX);
        !self.shared.is_abandoned.load(Ordering::Acquire)
    }
}

/// The thread's worker. Its end drops all tasks, while they can still tell where they are.
pub(super) struct Entered {
    pub(super) worker: Rc<Worker>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.worker.scheduler.close();
        CURRENT.with(|current| current.borrow_mut().take());
    }
}

/// Gives the thread's worker to `look`; `None` on other threads.
pub(super) fn with_current<T>(look: impl FnOnce(&Worker) -> T) -> Option<T> {
    // A waker may be used while the thread's locals are being destroyed.
    let worker = CURRENT.try_with(|current| current.borrow().clone()).ok().flatten();
    worker.map(|worker| look(&worker))
}

/// How many tasks the thread's worker has; 0 on other threads.
pub(crate) fn tasks_here() -> usize {
    with_current(|worker| worker.scheduler.tasks()).unwrap_or(0)
}

/// A value of each worker over glommio, made when first asked for; `None` on other threads.
pub(crate) fn glommio_local<T: Default + 'static>() -> Option<Rc<T>> {
    with_current(|worker| {
        if !worker.is_glommio {
            return None;
        }
        let keepsake = worker.keepsake.borrow_mut().get_or_insert_with(|| Rc::new(T::default())).clone();
        Some(keepsake.downcast().expect("one type of keepsake is used"))
    })
    .flatten()
}

/// An operation that glommio is asked to do in this thread: for as long as this lives, the worker lets glommio have
/// its turn.
pub(crate) struct GlommioOperation(());

impl GlommioOperation {
    pub(crate) fn begin() -> GlommioOperation {
        with_current(|worker| worker.glommio_operations.update(|count| count + 1));
        GlommioOperation(())
    }
}

impl Drop for GlommioOperation {
    fn drop(&mut self) {
        with_current(|worker| worker.glommio_operations.update(|count| count - 1));
    }
}

pub(super) fn current_timers() -> Option<Arc<TimerQueue>> {
    with_current(|worker| worker.timers.clone())
}

/// The index of the worker whose thread this is; `None` on other threads.
pub fn current_worker() -> Option<usize> {
    with_current(|worker| worker.index)
}

/// Spawns a task on the worker whose thread this is.
///
/// # Panics
/// On any other thread: use [`Executor::spawn_on`](super::Executor::spawn_on) there.
pub fn spawn_local<T: 'static>(future: impl Future<Output = T> + 'static) -> TaskHandle<T> {
    let (sender, receiver) = oneshot::channel();
    let counted = with_current(|worker| worker.shared.count_task()).expect("the thread is a worker");
    spawn_counted(counted, future, sender);
    TaskHandle { receiver }
}

fn spawn_counted<T: 'static>(
    counted: CountedTask,
    future: impl Future<Output = T> + 'static,
    sender: oneshot::Sender<T>,
) {
    let future = async move {
        // The task no longer counts when its outcome is told, nor when a panic tells it.
        let (sender, counted) = (sender, counted);
        let output = future.await;
        drop(counted);
        sender.send(output);
    };
    with_current(|worker| worker.scheduler.spawn(Box::pin(future))).expect("jobs run on workers");
}
