//! Threads that help whoever has more to compute than one core does in good time.
//!
//! There is one for each core but one, which is the caller's own; they begin when somebody asks for help first. Tasks are
//! taken in the order they came, and let others run whenever they yield.

use std::future::Future;
use std::io;
use std::time::Duration;

use parking_lot::Mutex;

use super::background::BackgroundExecutor;

/// The helping threads of one engine. Dropping it stops them.
#[derive(Default)]
pub struct Helpers {
    threads: Mutex<Threads>,
}

#[derive(Default)]
enum Threads {
    #[default]
    None,
    Running(BackgroundExecutor),
    Stopped,
}

impl Helpers {
    /// How many tasks can run at the same time: none on a machine with one core.
    pub fn count() -> usize {
        crate::cpu::cores() - 1
    }

    /// Runs a future on a helping thread, as soon as one is free, on a machine with one core too; `false` once they were
    /// stopped: the future is dropped then, as it is by stopping.
    ///
    /// # Errors
    /// What the operating system says when it has no threads to give.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> io::Result<bool> {
        let mut threads = self.threads.lock();
        if let Threads::None = *threads {
            *threads = Threads::Running(BackgroundExecutor::start(Helpers::count())?);
        }
        let Threads::Running(executor) = &*threads else { return Ok(false) };
        // Tasks run on without their handles.
        let _handle = executor.spawn(future);
        Ok(true)
    }

    /// Ends the threads as soon as their tasks yield, and drops what is not finished. Not to be called by one of them.
    pub fn stop(&self) {
        let threads = std::mem::replace(&mut *self.threads.lock(), Threads::Stopped);
        if let Threads::Running(executor) = threads {
            executor.stop(Duration::ZERO);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Work is done on another thread, and refused once the threads are stopped.
    #[test]
    fn helpers_help_until_they_are_stopped() {
        let helpers = Helpers::default();
        let (sender, receiver) = std::sync::mpsc::channel();
        let own = std::thread::current().id();
        assert!(helpers.spawn(async move { sender.send(std::thread::current().id()).unwrap() }).unwrap());
        assert_ne!(receiver.recv().unwrap(), own);
        helpers.stop();
        assert!(!helpers.spawn(async {}).unwrap());
    }

    /// The last owner may be a task of the helpers' own.
    #[test]
    fn a_task_may_drop_its_helpers() {
        let helpers = std::sync::Arc::new(Helpers::default());
        let (begin, begun) = crate::oneshot::channel::<()>();
        let (sender, receiver) = std::sync::mpsc::channel();
        let own = helpers.clone();
        let task = async move {
            begun.await;
            drop(own);
            sender.send(()).unwrap();
        };
        assert!(helpers.spawn(task).unwrap());
        drop(helpers);
        begin.send(());
        receiver.recv().unwrap();
    }
}
