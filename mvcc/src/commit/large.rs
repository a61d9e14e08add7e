//! Commits that would keep others waiting for long.
//!
//! 1. A large commit leaves SCNs out: its own is [`SCNS_LEFT_OUT`] behind the last one. Between its steps others commit,
//!    under SCNs before it ([`commit_others`]).
//! 2. It is applied bit by bit, and what is done is published: nobody sees it, since its SCN is not visible before the end.
//!    The versions of a page are in the order of SCNs, so who has to change a page that it has changed already waits for its
//!    end; so does whoever is large, or cannot be applied to private copies at once.
//! 3. What was applied before others commit is in the log before them, as a *piece*: a group of its own, which is not made
//!    durable by itself. So replay applies everything in the order in which it was applied here, and numbers pages alike.
//!    The commit itself, without operations, comes last. Without it the pieces were never there.
//! 4. Its freed pages are told when it is committed, and not before: an index commit of somebody in between must not write them down.
//! 5. A checkpoint's boundary is never between its pieces: it is work of the pipeline, as this is.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use futures_lite::future::{yield_now, zip};
use helios_bufferpool::Scn;

use super::reading::Reading;
use super::{
    Applied, CommitState, GROUP_BYTES_MAX, GROUP_MAX, IndexCommit, Member, NotApplied, Request, apply_now,
    commit_group, commit_time, complete, complete_all, finish_request, resolve_stop,
};
use crate::apply::{Apply, Stop, Workspace};
use crate::engine::{Engine, FRAMES_RESERVED};
use crate::error::Result;
use crate::freed_pages::FreedPages;
use crate::log::{CommitHeader, Log, OPERATION_BYTES, Stage};
use crate::steps::Steps;

/// Bytes of writes from which on a commit is large: some ten milliseconds of work.
const LARGE_BYTES: usize = 1 << 20;
/// SCNs left out for those who commit meanwhile.
const SCNS_LEFT_OUT: u64 = 1 << 16;
/// Operations applied, and leaves read, before others are looked after: a millisecond of work.
const OPERATIONS_AT_ONCE: usize = 1024;
const LEAVES_AT_ONCE: usize = 256;
/// Bytes of the log made room for before others are looked after.
const LOG_BYTES_AT_ONCE: usize = 4 << 20;
/// The part of the undo ring after which history is written, by a commit that the ring has no room for.
const HISTORY_EVERY: u64 = 16;
/// Frames that others are to find free.
const FRAMES_FOR_OTHERS: usize = 64;
/// Operations of others that are applied at once.
const OPERATIONS_BETWEEN_MAX: usize = 8 * 1024;

/// Whether a commit is to let others through. Access methods hear of commits in the order of SCNs, so where there are some none is.
pub(super) fn is_large(engine: &Engine, request: &Request) -> bool {
    let writes = &request.writes;
    let is_large = writes.spilled().is_some() || writes.log_bytes_max(OPERATION_BYTES) > LARGE_BYTES;
    is_large && engine.options.access_methods.is_empty()
}

/// Commits the only member of a group, and others meanwhile; returns its SCN. A member that is refused leaves the group.
///
/// # Errors
/// Those of the device.
pub(super) async fn commit(engine: &Engine, state: &mut CommitState, group: &mut Vec<Member>) -> Result<Scn> {
    engine.check_accepting()?;
    let mut later = Vec::new();
    let result = commit_among_others(engine, state, group, &mut later).await;
    queue_again(engine, later.into_iter());
    result
}

async fn commit_among_others(
    engine: &Engine,
    state: &mut CommitState,
    group: &mut Vec<Member>,
    later: &mut Vec<Member>,
) -> Result<Scn> {
    if let Err(error) = prepare(engine, state, &group[0].request, later).await {
        engine.check_poisoned()?;
        tracing::error!("a commit is refused: {error}");
        group.remove(0).complete(Err(error));
        return Ok(state.last_scn);
    }
    let request = &mut group[0].request;
    let scn = Scn(state.last_scn.0 + 1 + SCNS_LEFT_OUT);
    let mut freed = FreedPages::default();
    state.workspace.keeps_freed = true;
    let applied = apply(engine, state, request, scn, (&mut freed, later)).await;
    state.workspace.keeps_freed = false;
    let committed = match applied {
        Ok(()) => end(engine, state, request, scn, &mut freed).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &committed {
        // Pages are published with an SCN that will never be visible, or be given out again.
        state.workspace.discard(engine);
        engine.poison(error);
    }
    committed.map(|()| scn)
}

/// Reads the pages that a commit starts from, and makes room for it, in memory, the data file and the log. Nothing is done yet where
/// it fails.
async fn prepare(
    engine: &Engine,
    state: &mut CommitState,
    request: &Request,
    later: &mut Vec<Member>,
) -> Result<()> {
    let mut reading = Reading::new(request);
    while reading.next(engine, &mut state.workspace, LEAVES_AT_ONCE).await? {
        yield_now().await;
        commit_others(engine, state, Scn::MAX, later).await?;
    }
    make_room(engine, state, &reading, later).await?;
    let bytes = request.writes.log_bytes_max(OPERATION_BYTES);
    let mut ensured = 0;
    while ensured < bytes
        && let Some(log) = &mut state.log
    {
        ensured = bytes.min(ensured + LOG_BYTES_AT_ONCE);
        // Some of its pieces end early, for others.
        log.make_room(ensured, ensured / LARGE_BYTES * 2 + 2).await?;
        engine.log_is_full.store(log.is_full(), Ordering::Relaxed);
        yield_now().await;
        commit_others(engine, state, Scn::MAX, later).await?;
    }
    Ok(())
}

/// Makes room in memory and the data file, letting others through while changed pages are written. Both go on all the time, since each
/// may wait for the other.
async fn make_room(
    engine: &Engine,
    state: &mut CommitState,
    reading: &Reading<'_>,
    later: &mut Vec<Member>,
) -> Result<()> {
    let is_made = AtomicBool::new(false);
    let room = async {
        // What becomes of that is asked below.
        let _ = engine.bound_changed(reading.pages(engine)).await;
        is_made.store(true, Ordering::Relaxed);
    };
    let others = async {
        while !is_made.load(Ordering::Relaxed) {
            // Whoever queues polls this.
            poll_fn(|_| match is_made.load(Ordering::Relaxed) || !engine.pipeline.queue.lock().is_empty() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            })
            .await;
            commit_others(engine, state, Scn::MAX, later).await?;
            yield_now().await;
        }
        Result::<()>::Ok(())
    };
    let ((), others) = zip(room, others).await;
    others?;
    // It may write history, for which nobody may commit.
    reading.make_room(engine).await
}

/// Applies a commit, letting others through.
async fn apply(
    engine: &Engine,
    state: &mut CommitState,
    request: &Request,
    scn: Scn,
    (freed, later): (&mut FreedPages, &mut Vec<Member>),
) -> Result<()> {
    let mut steps = Steps::new(&request.writes);
    let mut piece_begun = false;
    // Else the ring would be full at some time, and all of it be written at once.
    let writes_history = engine.is_durable
        && request.writes.log_bytes_max(OPERATION_BYTES) as u64 > engine.ring.size_bytes() / 2;
    while steps.fill().await? {
        if !piece_begun && let Some(log) = &mut state.log {
            begin_piece(log, request, scn).await?;
        }
        piece_begun = true;
        let first = steps.done();
        let stop = apply_some(engine, &mut state.workspace, request, scn, &mut steps);
        if let Some(log) = &mut state.log {
            for place in first..steps.done() {
                log.operation(steps.get(place)).await?;
            }
        }
        if let Some(stop) = stop {
            resolve_stop(engine, &mut state.workspace, stop).await?;
        }
        if writes_history {
            write_history(engine, &mut state.workspace).await?;
        }
        // Those who share the thread come to where they are about to commit.
        yield_now().await;
        if state.workspace.is_between_operations() && !engine.pipeline.queue.lock().is_empty() {
            end_piece(engine, state, request, scn, freed).await?;
            piece_begun = false;
            state.workspace.keeps_freed = false;
            commit_others(engine, state, scn, later).await?;
            state.workspace.keeps_freed = true;
        }
    }
    if piece_begun { end_piece(engine, state, request, scn, freed).await } else { Ok(()) }
}

fn apply_some(
    engine: &Engine,
    workspace: &mut Workspace,
    request: &Request,
    scn: Scn,
    steps: &mut Steps<'_>,
) -> Option<Stop> {
    let mut apply = Apply::new(engine, workspace, request.branch, scn);
    let mut stop = None;
    for _ in 0..OPERATIONS_AT_ONCE {
        let Some(operation) = steps.current() else { break };
        match apply.apply(operation) {
            Ok(()) => steps.advance(),
            Err(reason) => {
                stop = Some(reason);
                break;
            }
        }
    }
    apply.finish();
    stop
}

/// Writes the history of what is applied so far, if that is much.
async fn write_history(engine: &Engine, workspace: &mut Workspace) -> Result<()> {
    let written = engine.persisted.load(Ordering::Acquire);
    if engine.ring.head().saturating_sub(written) > engine.ring.size_bytes() / HISTORY_EVERY {
        workspace.publish(engine);
        engine.flush_history(engine.ring.head(), Scn::MAX).await?;
        engine.release_undo();
    }
    Ok(())
}

async fn begin_piece(log: &mut Log, request: &Request, scn: Scn) -> Result<()> {
    log.begin(1, scn, 0).await?;
    log.commit(&CommitHeader {
        xid: request.xid,
        scn,
        time_micros: 0,
        branch: request.branch,
        catalog_changed: request.catalog_changed,
        stage: Stage::Piece,
        operation_count: None,
    });
    Ok(())
}

/// Publishes what is applied so far.
async fn end_piece(
    engine: &Engine,
    state: &mut CommitState,
    request: &Request,
    scn: Scn,
    freed: &mut FreedPages,
) -> Result<()> {
    complete(engine, &mut state.workspace, request.branch, scn).await?;
    state.workspace.publish(engine);
    freed.append(&mut state.workspace.take_freed());
    match &mut state.log {
        Some(log) => log.finish_piece(state.workspace.next_page).await,
        None => Ok(()),
    }
}

/// Makes a commit durable and visible whose pieces are applied.
async fn end(
    engine: &Engine,
    state: &mut CommitState,
    request: &mut Request,
    scn: Scn,
    freed: &mut FreedPages,
) -> Result<()> {
    let time_micros = commit_time(engine, state.last_time);
    if let Some(log) = &mut state.log {
        log.begin(1, scn, 0).await?;
        log.commit(&CommitHeader {
            xid: request.xid,
            scn,
            time_micros,
            branch: request.branch,
            catalog_changed: request.catalog_changed,
            stage: Stage::AfterPieces,
            operation_count: Some(0),
        });
        log.finish().await?;
        engine.log_end.store(log.end_bytes(), Ordering::Release);
    }
    state.last_scn = scn;
    state.last_time = time_micros;
    engine.freed.lock().append(freed);
    state.index_due = engine.commit_times.add(scn, time_micros, request.xid);
    finish_request(engine, request, scn);
    engine.visible.store(scn.0, Ordering::Release);
    engine.counters.commits.fetch_add(1, Ordering::Relaxed);
    engine.counters.groups.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Commits those who are queued and can be, with SCNs before `until`; the others are put into `later`.
///
/// # Errors
/// Those of the log; no more commits are accepted then.
async fn commit_others(
    engine: &Engine,
    state: &mut CommitState,
    until: Scn,
    later: &mut Vec<Member>,
) -> Result<()> {
    let mut group = take_others(engine, later);
    if group.is_empty() {
        return Ok(());
    }
    let mut index = 0;
    while index < group.len() {
        match newest_leaf(engine, &mut state.workspace, &group[index].request).await {
            Ok(newest) if newest <= state.last_scn => index += 1,
            Ok(_) => later.push(group.remove(index)),
            Err(error) => {
                tracing::error!("a commit is refused: {error}");
                group.remove(index).complete(Err(error));
            }
        }
    }
    engine.check_poisoned()?;
    let frames = FRAMES_RESERVED + FRAMES_FOR_OTHERS.min(engine.pool.frame_count() / 16);
    if engine.pool.free_count() < frames {
        // Where that fails they are tried again, or told so when this is over.
        let _ = engine.free_frames(frames).await;
    }
    // One more is the index commit's.
    if state.last_scn.0 + group.len() as u64 + 1 >= until.0 {
        later.append(&mut group);
    } else if !write_index(engine, state).await? {
        queue_again(engine, group.drain(..));
    }
    if group.is_empty() {
        return Ok(());
    }
    let Some((group, _)) = commit_now(engine, state, group).await? else { return Ok(()) };
    // One of them is in the way of the others.
    for member in group {
        match commit_now(engine, state, vec![member]).await? {
            None => {}
            Some((member, NotApplied::Overtaken)) => later.extend(member),
            Some((member, NotApplied::NotNow)) => queue_again(engine, member.into_iter()),
        }
    }
    Ok(())
}

/// Puts members back to where they came from.
fn queue_again(engine: &Engine, members: impl DoubleEndedIterator<Item = Member>) {
    let mut queue = engine.pipeline.queue.lock();
    members.rev().for_each(|member| queue.push_front(member));
}

/// Takes small commits out of the queue, and puts large ones into `later`.
fn take_others(engine: &Engine, later: &mut Vec<Member>) -> Vec<Member> {
    let mut queue = engine.pipeline.queue.lock();
    let (mut group, mut bytes) = (Vec::new(), 0);
    while group.len() < GROUP_MAX && bytes < GROUP_BYTES_MAX {
        let Some(next) = queue.pop_front() else { break };
        let is_small = !is_large(engine, &next.request)
            && next.request.writes.operations().len() <= OPERATIONS_BETWEEN_MAX;
        if is_small {
            bytes += next.request.writes.log_bytes_max(OPERATION_BYTES);
            group.push(next);
        } else {
            later.push(next);
        }
    }
    group
}

/// Reads the pages that a commit starts from; returns the newest version of its leaves.
async fn newest_leaf(engine: &Engine, workspace: &mut Workspace, request: &Request) -> Result<Scn> {
    let mut reading = Reading::new(request);
    while reading.next(engine, workspace, usize::MAX).await? {}
    Ok(reading.newest)
}

/// Writes down when commits were, where that is due; false where it cannot be done now.
async fn write_index(engine: &Engine, state: &mut CommitState) -> Result<bool> {
    if !engine.commit_times.is_long() {
        return Ok(true);
    }
    let mut index = IndexCommit::of(engine);
    let first = Scn(state.last_scn.0 + 1);
    newest_leaf(engine, &mut state.workspace, &index.request).await?;
    let requests = std::iter::once(&index.request);
    if apply_now(engine, &mut state.workspace, requests, first, usize::MAX).is_err() {
        return Ok(false);
    }
    commit_group(engine, state, &mut [&mut index.request], Applied::Privately).await?;
    index.is_done(engine);
    state.index_due = false;
    Ok(true)
}

/// Commits a group if all of it can be applied now; else gives it back, and why.
async fn commit_now(
    engine: &Engine,
    state: &mut CommitState,
    mut group: Vec<Member>,
) -> Result<Option<(Vec<Member>, NotApplied)>> {
    let first = Scn(state.last_scn.0 + 1);
    let requests = group.iter().map(|member| &member.request);
    if let Err(reason) = apply_now(engine, &mut state.workspace, requests, first, OPERATIONS_BETWEEN_MAX) {
        return Ok(Some((group, reason)));
    }
    let mut requests: Vec<&mut Request> = group.iter_mut().map(|member| &mut member.request).collect();
    let result = commit_group(engine, state, &mut requests, Applied::Privately).await;
    let outcome = result.as_ref().map(|_| ()).map_err(super::copy_error);
    complete_all(group, &result);
    outcome.map(|()| None)
}
