//! What a crash left: the newest checkpoint, and the commits that the log has after it.
//!
//! Replay applies the logged operations in their order through the same code as commits do, with the same SCNs
//! and, because pages are numbered in that order too, to the same pages. Pieces of a large commit (`commit/large.rs`) come before it:
//! the first of them looks ahead whether it does.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use helios_bufferpool::{Codec, Compression, Scn, Superblock};

use crate::apply::Apply;
use crate::commit::{CommitState, complete, resolve_stop};
use crate::commit_times::INTERNAL;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::freed_pages::FreedPages;
use crate::log::{CommitHeader, LogReader, LoggedGroup, LoggedOperation, Stage, open_segments, segment_name};
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
    let mut large: Option<LargeCommit> = None;
    while let Some(mut group) = reader.next().await? {
        for _ in 0..group.commit_count().await? {
            let commit = group.commit().await?;
            if commit.stage == Stage::Piece {
                replay_piece(engine, state, &commit, &mut group, &mut large).await?;
                continue;
            }
            replay_commit(engine, state, &commit, &mut group, &mut large).await?;
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

/// A large commit of which pieces were met.
struct LargeCommit {
    scn: Scn,
    /// Whether the commit itself follows.
    is_committed: bool,
    freed: FreedPages,
}

/// Applies a piece of a large commit, if that is committed.
async fn replay_piece(
    engine: &Arc<Engine>,
    state: &mut CommitState,
    commit: &CommitHeader,
    group: &mut LoggedGroup<'_, '_>,
    large: &mut Option<LargeCommit>,
) -> Result<()> {
    let known = large.take().filter(|large| large.scn == commit.scn);
    let mut this = match known {
        Some(large) => large,
        None => LargeCommit {
            scn: commit.scn,
            is_committed: is_committed(group, commit.scn).await?,
            freed: FreedPages::default(),
        },
    };
    let mut left = commit.operation_count;
    while left != Some(0) {
        let operations = group.operations(&mut left).await?;
        if this.is_committed {
            state.workspace.keeps_freed = true;
            replay_operations(engine, state, commit, &operations).await?;
        }
    }
    if this.is_committed {
        complete(engine, &mut state.workspace, commit.branch, commit.scn).await?;
        state.workspace.publish(engine);
        state.workspace.keeps_freed = false;
        this.freed.append(&mut state.workspace.take_freed());
    }
    // Where it was not committed its pages were numbered nevertheless, and those behind them.
    state.workspace.next_page = group.next_page.max(state.workspace.next_page);

    *large = Some(this);
    Ok(())
}

/// Whether the large commit of a piece follows behind its group.
async fn is_committed(group: &LoggedGroup<'_, '_>, scn: Scn) -> Result<bool> {
    let mut ahead = group.ahead();
    while let Some(mut group) = ahead.next().await? {
        if group.commit_count().await? == 0 {
            continue;
        }
        let commit = group.commit().await?;
        if commit.stage == Stage::AfterPieces && commit.scn == scn {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn replay_commit(
    engine: &Arc<Engine>,
    state: &mut CommitState,
    commit: &CommitHeader,
    group: &mut LoggedGroup<'_, '_>,
    large: &mut Option<LargeCommit>,
) -> Result<()> {
    let continues = match commit.stage {
        Stage::AfterPieces => commit.scn > state.last_scn,
        _ => commit.scn.0 == state.last_scn.0 + 1,
    };
    if !continues {
        return Err(Error::Corruption(format!(
            "the log does not continue the data file: SCN {} follows {}",
            commit.scn, state.last_scn
        )));
    }
    let mut left = commit.operation_count;
    while left != Some(0) {
        let operations = group.operations(&mut left).await?;
        replay_operations(engine, state, commit, &operations).await?;
    }
    complete(engine, &mut state.workspace, commit.branch, commit.scn).await?;
    if let Some(large) = large.take_if(|large| large.scn == commit.scn) {
        let mut freed = large.freed;
        engine.freed.lock().append(&mut freed);
    }
    engine.commit_times.replayed(commit.scn, commit.time_micros, commit.xid);
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

    async fn insert(store: &Store, tree: TreeId, rows: std::ops::Range<u64>) {
        let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
        transaction.begin_statement();
        for number in rows {
            transaction.put(tree, &number.to_be_bytes(), &[7; 500]).unwrap();
        }
        transaction.commit().await.unwrap();
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

    /// The same where others commit between the pieces of loads.
    #[test]
    fn what_came_between_pieces_is_replayed_to_the_same_pages() {
        let options = StoreOptions { write_set_bytes: 30_000, ..StoreOptions::default() };
        let device = SimulatedDevice::new(1);
        let store = open(&device, &options);
        block_on(async {
            let tree = load(&store, None, 0..10).await;
            let is_over = std::cell::Cell::new(false);
            let loads = async {
                load(&store, None, 0..6_000).await;
                load(&store, Some(TreeId(tree.0 + 2)), 6_000..9_000).await;
                is_over.set(true);
            };
            let others = async {
                let mut number = 1_000;
                while !is_over.get() {
                    insert(&store, tree, number..number + 1).await;
                    number += 1;
                }
                number - 1_000
            };
            let ((), others) = futures_lite::future::zip(loads, others).await;
            assert!(others > 8, "{others} commits of others");
        });
        let before = pages(&store);
        let device = device.restart();
        drop(store);
        let after = pages(&open(&device, &options));
        assert_eq!(before.len(), after.len());
        for (before, after) in before.iter().zip(&after) {
            assert!(before == after, "page {} and page {}", before.0, after.0);
        }
    }

    /// Of a large commit that did not come to its end nothing is left, not even where an index commit of somebody else came
    /// between its pieces; and those behind its pieces are replayed to the same pages.
    #[test]
    fn pieces_without_their_commit_never_were() {
        let options = StoreOptions { write_set_bytes: 30_000, ..StoreOptions::default() };
        let device = SimulatedDevice::new(1);
        let store = open(&device, &options);
        let (tree, rows) = (TreeId(store.engine().next_tree.load(Ordering::Relaxed)), 20_000u64);
        block_on(async {
            let other = load(&store, Some(load(&store, None, 0..rows).await), 0..0).await;
            assert_eq!(other, tree);
            let other = load(&store, None, 0..1).await;
            let mut number = 1_000;
            while !store.engine().commit_times.is_long() {
                insert(&store, other, number..number + 1).await;
                number += 1;
            }
            store.engine().freed.lock().clear();
            let large = async {
                let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
                transaction.begin_statement();
                // Pages are freed, of large values, and others are made.
                for number in 0..rows {
                    match number % 197 {
                        0 => transaction.delete(tree, &number.to_be_bytes()).unwrap(),
                        _ => transaction.put(tree, &number.to_be_bytes(), &[9; 150]).unwrap(),
                    }
                    transaction.make_room().await.unwrap();
                }
                transaction.commit().await.unwrap();
                panic!("it is not to come to its end");
            };
            let others = async {
                while store.engine().commit_times.is_long() {
                    futures_lite::future::yield_now().await;
                    if store.engine().pipeline.state.try_lock().is_none() {
                        insert(&store, other, number..number + 1).await;
                        number += 1;
                    }
                }
                for place in 0..3 {
                    insert(&store, other, number + 40 * place..number + 40 * (place + 1)).await;
                }
            };
            futures_lite::future::or(large, others).await;
        });
        let visible = store.visible_scn();
        let of_visible = |(_, bytes): &(PageId, Vec<u8>)| page::scn(bytes) <= visible;
        let before: Vec<(PageId, Vec<u8>)> = pages(&store).into_iter().filter(of_visible).collect();
        let device = device.restart();
        drop(store);
        let store = open(&device, &options);
        // One more is that of the checkpoint of opening.
        assert_eq!(store.visible_scn(), Scn(visible.0 + 1));
        let after = pages(&store);
        for page in &before {
            assert!(after.contains(page), "page {}", page.0);
        }
        block_on(async {
            let mut freed = 0;
            let range = crate::KeyRange::prefix(&crate::freed_pages::prefix_of(BranchId::MAIN));
            let count = &mut |_: &[u8], _: &[u8]| {
                freed += 1;
                std::ops::ControlFlow::Continue(())
            };
            store.visit_index(range, false, count).await.unwrap();
            assert_eq!(freed, 0, "pages that are still needed are told to be freed");
            assert!(store.engine().commit_times.tree_exists(), "the index was written");
            let mut reader = store.begin(BranchId::MAIN, Isolation::Snapshot);
            reader.begin_statement();
            for number in (0..rows).step_by(501) {
                assert!(reader.get(tree, &number.to_be_bytes()).await.unwrap().is_some(), "row {number}");
            }
        });
    }
}
