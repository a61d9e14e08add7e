//! A thread that makes writes durable for workers that have others to serve meanwhile.
//!
//! A sync takes as long as the disk does, often a hundred microseconds. Whoever has nothing else to do waits for it in
//! place, since a hop to another thread and back costs a tenth of that; a worker with several tasks hands it over.

use std::io;
use std::sync::{OnceLock, mpsc};

use crate::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// The thread of one device; it begins with the first job and ends with the device.
#[derive(Default)]
pub(super) struct Flusher {
    /// `None`: there is no thread to be had.
    jobs: OnceLock<Option<mpsc::Sender<Job>>>,
}

impl Flusher {
    /// Does `work` on the thread, or in place where there is none.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let Some(jobs) = self.jobs.get_or_init(start) else { return work() };
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move || sender.send(work()));
        if let Err(mpsc::SendError(job)) = jobs.send(job) {
            job();
        }
        receiver.await.unwrap_or_else(|| Err(io::Error::other("the thread that writes has ended")))
    }
}

fn start() -> Option<mpsc::Sender<Job>> {
    let (sender, receiver) = mpsc::channel::<Job>();
    let thread = std::thread::Builder::new().name("helios-flush".into());
    match thread.spawn(move || receiver.into_iter().for_each(|job| job())) {
        Ok(_) => Some(sender),
        Err(error) => {
            tracing::warn!(%error, "no thread for syncs: workers wait for them");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;

    use super::*;

    /// Work is done on another thread, its errors come back, and a panic is one.
    #[test]
    fn works_elsewhere() {
        let flusher = Flusher::default();
        let own = std::thread::current().id();
        let other = block_on(flusher.run(|| Ok(std::thread::current().id()))).unwrap();
        assert_ne!(other, own);
        let error = block_on(flusher.run(|| Err::<(), _>(io::ErrorKind::StorageFull.into()))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(block_on(flusher.run(|| -> io::Result<()> { panic!("on purpose") })).is_err());
    }
}
