//! Removing pages that nobody reads any more from the data file.
//!
//! What is removed leaves the map with the next checkpoint, whose superblock gives its extents free: in the order in which
//! it was removed, or at once, but never the later before the earlier.
//!
//! Invariant: a checkpoint has written all that was ever done to these pages, and nothing is done to them after it.

use helios_bufferpool::{MapKey, MapPart, PageKey};

use crate::engine::Engine;
use crate::error::Result;
use crate::freed_pages::FreedRun;
use crate::store::Store;

/// Entries removed before a checkpoint is written, where the cache is small.
const WAITING_MIN: usize = 256;

impl Engine {
    /// Marks entries as gone; false where the map has changed since `part` was read.
    pub(crate) async fn remove_entries(&self, part: &MapPart, gone: &[MapKey]) -> bool {
        // Whoever takes history to the data file, or claims it for a checkpoint, holds this.
        let _flushing = self.flushing.lock().await;
        self.file.remove(part, gone)
    }
}

impl Store {
    /// Removes the images of some pages, their history included.
    pub(crate) async fn remove_pages(&self, mut runs: Vec<FreedRun>) -> Result<()> {
        runs.sort_unstable_by_key(|run| (run.branch, run.first));
        let mut rest = &runs[..];
        let mut from = rest.first().map(first_key);
        while let Some(key) = from.take() {
            let part = self.engine().file.map_part(key).await?;
            let is_gone = |key: &MapKey| {
                let before =
                    rest.partition_point(|run| (run.branch, run.first) <= (key.page.branch, key.page.page));
                before.checked_sub(1).is_some_and(|index| {
                    rest[index].branch == key.page.branch && rest[index].has(key.page.page)
                })
            };
            let gone: Vec<MapKey> = part.entries.iter().map(|entry| entry.0).filter(is_gone).collect();
            if !self.engine().remove_entries(&part, &gone).await {
                from = Some(key);
                continue;
            }
            self.bound_removals().await?;
            let Some(next) = part.next else { break };
            let done =
                rest.partition_point(|run| (run.branch, run.end()) <= (next.page.branch, next.page.page));
            rest = &rest[done..];
            from = rest.first().map(|run| first_key(run).max(next));
        }
        Ok(())
    }

    /// Writes a checkpoint when many removed entries wait for one.
    pub(crate) async fn bound_removals(&self) -> Result<()> {
        let engine = self.engine();
        if engine.file.waiting_images() >= (engine.waiting_max() / 2).max(WAITING_MIN) {
            self.checkpoint().await?;
        }
        futures_lite::future::yield_now().await;
        Ok(())
    }
}

fn first_key(run: &FreedRun) -> MapKey {
    MapKey::first_of(PageKey::new(run.branch, run.first))
}
