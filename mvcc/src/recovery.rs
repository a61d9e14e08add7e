//! What a crash left: the newest checkpoint, and the commits that the log has after it.
//!
//! Replay applies the logged operations in their order through the same code as commits do, with the same SCNs
//! and, because pages are numbered in that order too, to the same pages.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use helios_bufferpool::{Codec, Compression, Superblock};

use crate::apply::Apply;
use crate::commit::{CommitState, complete, resolve_stop};
use crate::commit_times::INTERNAL;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::log::{CommitHeader, LogReader, LoggedGroup, LoggedOperation, open_segments, segment_name};
use crate::store::Surroundings;

/// Replays the log behind the checkpoint; returns its end.
pub(crate) async fn replay(
    engine: &Arc<Engine>,
    surroundings: &Surroundings,
    superblock: &Superblock,
) -> Result<u64> {
    let segments = open_segments(&surroundings.device, superblock.log_segment_bytes)?;
    let (first, _) = segments.place(superblock.log_lsn);
    if superblock.log_lsn > 0 && segments.file(first).is_none() {
        return Err(Error::Corruption(format!(
            "the log file {} is missing, and what was committed since the last checkpoint with it: \
             put it back, or restore the folder from a backup",
            segment_name(first)
        )));
    }
    let codec = Codec::new(Compression::None, engine.options.key.clone(), [0; 16]);
    let mut reader = LogReader::new(&segments, &codec, superblock.log_identity, superblock.log_lsn);
    let mut guard = engine.pipeline.state.lock().await;
    let Some(state) = guard.as_mut() else { return Ok(superblock.log_lsn) };
    let mut commits = 0u64;
    while let Some(mut group) = reader.next().await? {
        for _ in 0..group.commit_count().await? {
            replay_commit(engine, state, &mut group).await?;
            commits += 1;
        }
        state.workspace.publish(engine);
        engine.visible.store(state.last_scn.0, Ordering::Release);
        engine.options.access_methods.committed(state.last_scn);
    }
    if commits > 0 {
        tracing::info!("recovered {commits} transactions from the log, up to SCN {}", state.last_scn);
    }
    Ok(reader.next_lsn)
}

async fn replay_commit(
    engine: &Arc<Engine>,
    state: &mut CommitState,
    group: &mut LoggedGroup<'_, '_>,
) -> Result<()> {
    let commit = group.commit().await?;
    if commit.scn.0 != state.last_scn.0 + 1 {
        return Err(Error::Corruption(format!(
            "the log does not continue the data file: SCN {} follows {}",
            commit.scn, state.last_scn
        )));
    }
    let mut left = commit.operation_count;
    while left != Some(0) {
        let operations = group.operations(&mut left).await?;
        replay_operations(engine, state, &commit, &operations).await?;
    }
    complete(engine, &mut state.workspace, commit.branch, commit.scn).await?;
    engine.commit_times.replayed(commit.time_micros, commit.xid);
    if commit.xid == INTERNAL {
        // An index commit has all that was freed before it, too.
        engine.freed.lock().clear();
    }
    engine.next_xid.fetch_max(commit.xid.0 + 1, Ordering::Relaxed);
    engine.next_branch.fetch_max(commit.branch.0 + 1, Ordering::Relaxed);
    state.last_scn = commit.scn;
    state.last_time = commit.time_micros;
    Ok(())
}

async fn replay_operations(
    engine: &Engine,
    state: &mut CommitState,
    commit: &CommitHeader,
    operations: &[LoggedOperation],
) -> Result<()> {
    let mut next = 0;
    while next < operations.len() {
        let stop = {
            let mut apply = Apply::new(engine, &mut state.workspace, commit.branch, commit.scn);
            let mut stop = None;
            while next < operations.len() {
                match apply.apply(operations[next].as_operation()) {
                    Ok(()) => {
                        if let LoggedOperation::CreateTree(tree, _) = &operations[next] {
                            engine.next_tree.fetch_max(tree.0 + 2, Ordering::Relaxed);
                        }
                        next += 1;
                    }
                    Err(reason) => {
                        stop = Some(reason);
                        break;
                    }
                }
            }
            apply.finish();
            stop
        };
        if let Some(stop) = stop {
            resolve_stop(engine, &mut state.workspace, stop).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;
    use helios_bufferpool::{PageId, PageKey, Scn, page, pin};
    use helios_runtime::{ManualClock, SeededEntropy, SimulatedDevice};

    use super::*;
    use crate::{BranchId, Isolation, Store, StoreOptions, TreeId};

    fn open(device: &SimulatedDevice, options: &StoreOptions) -> Store {
        let surroundings = Surroundings {
            device: Arc::new(device.clone()),
            clock: Arc::new(ManualClock::new(1_000_000)),
            entropy: Arc::new(SeededEntropy::new(1)),
        };
        block_on(Store::open(options.clone(), surroundings)).expect("a store")
    }

    /// All pages in memory, without what is only said in memory.
    fn pages(store: &Store) -> Vec<(PageId, Vec<u8>)> {
        let engine = store.engine();
        let guard = pin();
        let found = (0..4000).filter_map(|page| {
            let key = PageKey::new(BranchId::MAIN, PageId(page));
            let frame = engine.pool.peek(&guard, key, Scn::MAX)?;
            let mut bytes = frame.bytes().to_vec();
            bytes[6..8].fill(0);
            page::set_undo_position(&mut bytes, 0);
            let unused = usize::from(page::lower(&bytes))..usize::from(page::upper(&bytes));
            bytes[unused].fill(0);
            bytes.truncate(page::content_end(bytes.len()));
            Some((PageId(page), bytes))
        });
        found.collect()
    }

    async fn load(store: &Store, tree: Option<TreeId>, rows: std::ops::Range<u64>) -> TreeId {
        let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
        transaction.begin_statement();
        let tree = tree.unwrap_or_else(|| transaction.create_tree_filled(80));
        for number in rows {
            let value_bytes = if number % 197 == 0 { 9_000 } else { number as usize * 31 % 90 };
            transaction.put(tree, &number.to_be_bytes(), &vec![number as u8; value_bytes]).unwrap();
            transaction.put(TreeId::CATALOG, &(number / 3).to_be_bytes(), &[1; 20]).unwrap();
            transaction.make_room().await.unwrap();
        }
        transaction.commit().await.unwrap();
        tree
    }

    /// Loads into new, empty and filled trees, from memory and from a temporary file, are replayed to the same pages
    /// with the same numbers, which all the log's later commits rely on.
    #[test]
    fn loads_are_replayed_to_the_same_pages() {
        for write_set_bytes in [usize::MAX, 30_000] {
            let options = StoreOptions { write_set_bytes, ..StoreOptions::default() };
            let device = SimulatedDevice::new(1);
            let store = open(&device, &options);
            block_on(async {
                let tree = load(&store, None, 0..1_000).await;
                load(&store, Some(tree), 1_000..3_000).await;
                load(&store, Some(tree), 2_990..2_995).await;
                load(&store, Some(tree), 2_999..3_100).await;
                // Row by row, so that every page is found full by a commit's first row.
                let tree = load(&store, None, 5_000..5_001).await;
                for row in 5_001..5_400 {
                    load(&store, Some(tree), row..row + 1).await;
                }
            });
            let before = pages(&store);
            assert!(before.len() > 60, "{} pages", before.len());
            let device = device.restart();
            drop(store);
            let after = pages(&open(&device, &options));
            assert!(before.len() == after.len(), "{} and {} pages", before.len(), after.len());
            for (before, after) in before.iter().zip(&after) {
                assert!(before == after, "page {} and page {}", before.0, after.0);
            }
        }
    }
}
