//! What a crash left: the newest checkpoint, and the commits that the log has after it.
//!
//! Replay applies the logged operations in their order through the same code as commits do, with the same SCNs
//! and, because pages are numbered in that order too, to the same pages.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use helios_bufferpool::{Codec, Compression, Superblock};

use crate::apply::Apply;
use crate::commit::{CommitState, resolve_stop};
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
    engine.commit_times.replayed(commit.time_micros, commit.xid);
    engine.next_xid.fetch_max(commit.xid.0 + 1, Ordering::Relaxed);
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
                        if let LoggedOperation::CreateTree(tree) = &operations[next] {
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
