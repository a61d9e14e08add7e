//! Statistics that refresh themselves: beside the sessions whose changes made them due, on a helping thread.
//!
//! Such an analysis keeps nobody waiting. It reads a snapshot, locks the table only while it writes down what it found,
//! and gives up where it would have to wait for that, or where the table was changed or dropped meanwhile: what is
//! still due then comes again with further changes. It is no session for others to see, and no reason to keep a branch.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, Waker};

use helios_mvcc::{BranchId, Scn};
use parking_lot::Mutex;

use super::{Engine, SettingValues};

/// Whose name such a session goes by.
const USER: &str = "postgres";

/// What the analyses of a branch's tables told.
#[derive(Debug, Default)]
pub(super) struct StatisticsNews {
    version: AtomicU64,
    scn: AtomicU64,
}

impl StatisticsNews {
    /// How often statistics were refreshed by themselves: plans that were made before may be made better.
    #[inline]
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    /// Catalogs of older snapshots may lack the newest.
    pub(super) fn scn(&self) -> Scn {
        Scn(self.scn.load(Ordering::Relaxed))
    }

    /// Says that snapshots have them from `scn` on.
    pub(super) fn come(&self, scn: Scn) {
        self.scn.fetch_max(scn.0, Ordering::Relaxed);
    }

    /// Says that the catalog in memory has them.
    pub(super) fn raise(&self) {
        self.version.fetch_add(1, Ordering::Relaxed);
    }
}

/// The analyses that are on their way, for those who wait for their end.
#[derive(Clone, Default)]
pub(super) struct Analyses {
    running: Arc<Mutex<Running>>,
}

#[derive(Default)]
struct Running {
    count: usize,
    waiting: Vec<Waker>,
}

impl Analyses {
    fn begin(&self) -> Analysis {
        self.running.lock().count += 1;
        Analysis(self.clone())
    }

    async fn settle(&self) {
        poll_fn(|context| {
            let mut running = self.running.lock();
            if running.count == 0 {
                return Poll::Ready(());
            }
            running.waiting.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// One of them; dropped when it ends, however that is.
struct Analysis(Analyses);

impl Drop for Analysis {
    fn drop(&mut self) {
        let mut running = self.0.running.lock();
        running.count -= 1;
        let waiting = if running.count == 0 { std::mem::take(&mut running.waiting) } else { Vec::new() };
        drop(running);
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Engine {
    /// Begins to analyze a table, if one is due.
    #[inline]
    pub(super) fn refresh_statistics(&self) {
        if let Some((branch, table)) = self.changes().take_due(|| self.clock().monotonic_nanos()) {
            self.analyze_aside(branch, table);
        }
    }

    #[cold]
    fn analyze_aside(&self, branch: BranchId, table: u32) {
        let directory = self.directory();
        let Some(database) = directory.database_of(branch).map(|database| database.name.clone()) else {
            return;
        };
        let (engine, analysis) = (self.clone(), self.analyses().begin());
        let spawned = self.helpers().spawn(async move {
            let _analysis = analysis;
            let settings = SettingValues::default();
            let mut session = engine.session_at(USER, &database, branch, settings);
            session.hide();
            // Statistics only advise: where they cannot be had now, nobody misses them.
            if matches!(crate::ddl::refresh_statistics(&mut session, table).await, Ok(true))
                && session.commit().await.is_ok()
            {
                let _ = engine.take_new_statistics(branch).await;
            }
        });
        // Nor where there is no thread for them.
        let _ = spawned;
    }

    /// Waits until no table is being analyzed by itself: plans made afterwards are those that its statistics ask for.
    pub async fn settle_statistics(&self) {
        self.analyses().settle().await;
    }
}
