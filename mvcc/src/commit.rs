//! The commit pipeline.
//!
//! 1. A transaction hands its writes over ([`Pipeline::submit`]) and waits for its ticket.
//! 2. Whoever finds the pipeline free drives it: all that is queued becomes one *group*. The group gets its SCNs,
//!    is applied to private copies of pages, written to the log with one flush, published, made visible, and its
//!    locks are released.
//! 3. The group's work is a future that belongs to the pipeline; every waiter polls it. A waiter that is dropped
//!    takes nothing with it, and a wake-up goes to all of them.
//!
//! Invariants: one group at a time; a snapshot never sees a commit before the log has it; after an error in the
//! log nothing more is committed, because what is durable is unknown.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Wake, Waker};

use helios_bufferpool::Scn;
use parking_lot::Mutex;

use crate::apply::{Apply, Stop, Workspace};
use crate::engine::{EVICTION_BATCH, Engine, FRAMES_RESERVED};
use crate::error::{Error, Result};
use crate::ids::{BranchId, Xid};
use crate::locks::{LockName, LockOwner};
use crate::log::{Log, encode};
use crate::write_set::{Change, CommitRecord, Operation, WriteSet};

/// Commits in one group.
const GROUP_MAX: usize = 1024;
/// Bytes of writes in one group, above which no further commit joins.
const GROUP_BYTES_MAX: usize = 8 << 20;

/// Operations of a commit that goes the short way.
const OPERATIONS_NOW_MAX: usize = 64;

/// A transaction on its way to being committed.
pub(crate) struct Request {
    pub(crate) branch: BranchId,
    pub(crate) xid: Xid,
    pub(crate) owner: LockOwner,
    pub(crate) writes: WriteSet,
    pub(crate) locks: Vec<LockName>,
    pub(crate) catalog_changed: bool,
}

/// What became of a request.
enum Outcome {
    Waiting(Option<Waker>),
    Done(Result<Scn>),
    Taken,
}

struct Ticket {
    outcome: Mutex<Outcome>,
}

impl Ticket {
    fn complete(&self, result: Result<Scn>) {
        let before = std::mem::replace(&mut *self.outcome.lock(), Outcome::Done(result));
        if let Outcome::Waiting(Some(waker)) = before {
            waker.wake();
        }
    }
}

/// What the group at work uses; one user at a time.
pub(crate) struct CommitState {
    pub(crate) workspace: Workspace,
    pub(crate) log: Option<Log>,
    /// The last SCN given out, and its time.
    pub(crate) last_scn: Scn,
    pub(crate) last_time: u64,
    group: Vec<u8>,
}

impl CommitState {
    pub(crate) fn new(next_page: u64, log: Option<Log>, last_scn: Scn, last_time: u64) -> CommitState {
        CommitState { workspace: Workspace::new(next_page), log, last_scn, last_time, group: Vec::new() }
    }
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Commits on their way.
pub(crate) struct Pipeline {
    queue: Mutex<VecDeque<(Request, Arc<Ticket>)>>,
    /// The group being worked on. Locked while it is polled.
    work: Mutex<Option<Work>>,
    waiters: Arc<Waiters>,
    pub(crate) state: async_lock::Mutex<Option<CommitState>>,
}

/// Wakes all who wait for the group at work.
#[derive(Default)]
struct Waiters(Mutex<Vec<Waker>>);

impl Wake for Waiters {
    fn wake(self: Arc<Self>) {
        let wakers = std::mem::take(&mut *self.0.lock());
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Pipeline {
    pub(crate) fn new() -> Pipeline {
        Pipeline {
            queue: Mutex::default(),
            work: Mutex::default(),
            waiters: Arc::default(),
            state: async_lock::Mutex::new(None),
        }
    }
}

/// Commits a transaction; its locks are released whatever happens, unless this future is dropped before the
/// first poll.
///
/// # Errors
/// [`Error::Poisoned`], or those of the device.
pub(crate) async fn commit(engine: &Arc<Engine>, mut request: Request) -> Result<Scn> {
    if let Err(error) = engine.check_poisoned() {
        release_locks(engine, &mut request);
        return Err(error);
    }
    let admitted = match engine.bound_waiting().await {
        Ok(()) => engine.admit_on_full_disk(|| has_puts(&request)).await,
        // Deleting goes on: it needs the log alone.
        Err(error) if error.is_want_of_space() && !has_puts(&request) => Ok(()),
        error => error,
    };
    if let Err(error) = admitted {
        release_locks(engine, &mut request);
        return Err(error);
    }
    match commit_now(engine, request) {
        Ok(scn) => Ok(scn),
        Err(request) => submit(engine, *request).await,
    }
}

fn has_puts(request: &Request) -> bool {
    let operations = request.writes.operations();
    (0..operations.len())
        .any(|index| !matches!(operations.get(index), Operation::Change(_, _, Change::Delete)))
}

/// The short way, where there is no log: all pages at hand, nobody else committing.
fn commit_now(engine: &Arc<Engine>, mut request: Request) -> std::result::Result<Scn, Box<Request>> {
    let Some(mut guard) = engine.pipeline.state.try_lock() else { return Err(Box::new(request)) };
    let Some(state) = guard.as_mut() else { return Err(Box::new(request)) };
    if state.log.is_some() || !engine.pipeline.queue.lock().is_empty() {
        return Err(Box::new(request));
    }
    let operations = request.writes.operations();
    let scn = Scn(state.last_scn.0 + 1);
    let mut apply = Apply::new(engine, &mut state.workspace, request.branch, scn);
    let done = operations.len() <= OPERATIONS_NOW_MAX
        && (0..operations.len()).all(|index| apply.apply(operations.get(index)).is_ok());
    apply.finish();
    drop(operations);
    if !done {
        // Nothing was published: the queue's way starts over, and can wait for pages.
        state.workspace.discard(engine);
        drop(guard);
        return Err(Box::new(request));
    }
    state.last_scn = scn;
    state.last_time = commit_time(engine, state.last_time);
    state.workspace.publish(engine);
    finish_request(engine, &mut request, scn);
    engine.visible.store(scn.0, Ordering::Release);
    release_locks(engine, &mut request);
    engine.counters.commits.fetch_add(1, Ordering::Relaxed);
    Ok(scn)
}

fn commit_time(engine: &Engine, last: u64) -> u64 {
    engine.clock.now_micros().max(last + 1)
}

fn finish_request(engine: &Engine, request: &mut Request, scn: Scn) {
    if request.catalog_changed {
        engine.catalog_scns.write().insert(request.branch, scn);
    }
}

fn release_locks(engine: &Engine, request: &mut Request) {
    for name in request.locks.drain(..) {
        engine.locks.release(request.owner, name);
    }
}

/// Waits in the queue, driving the pipeline meanwhile.
async fn submit(engine: &Arc<Engine>, request: Request) -> Result<Scn> {
    let ticket = Arc::new(Ticket { outcome: Mutex::new(Outcome::Waiting(None)) });
    engine.pipeline.queue.lock().push_back((request, ticket.clone()));
    let _hand_over = HandOver { engine };
    poll_fn(|context| {
        if let Some(result) = poll_ticket(&ticket, context) {
            return Poll::Ready(result);
        }
        drive(engine, context);
        match poll_ticket(&ticket, context) {
            Some(result) => Poll::Ready(result),
            None => Poll::Pending,
        }
    })
    .await
}

fn poll_ticket(ticket: &Ticket, context: &Context<'_>) -> Option<Result<Scn>> {
    let mut outcome = ticket.outcome.lock();
    match std::mem::replace(&mut *outcome, Outcome::Taken) {
        Outcome::Done(result) => Some(result),
        _ => {
            *outcome = Outcome::Waiting(Some(context.waker().clone()));
            None
        }
    }
}

/// Polls the group at work, starting one if there is none, until it waits or nothing is queued.
pub(crate) fn drive(engine: &Arc<Engine>, context: &Context<'_>) {
    // Registered before trying: if somebody else is polling, its wake-ups reach this waiter too.
    engine.pipeline.waiters.0.lock().push(context.waker().clone());
    let Some(mut work) = engine.pipeline.work.try_lock() else { return };
    if work.is_none() && !engine.pipeline.queue.lock().is_empty() {
        *work = Some(Box::pin(run_group(engine.clone())));
    }
    if let Some(future) = work.as_mut() {
        let waker = Waker::from(engine.pipeline.waiters.clone());
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            *work = None;
        }
    }
    let idle = work.is_none();
    drop(work);
    // Those who queued meanwhile found the pipeline taken, and sleep.
    if idle && let Some((_, ticket)) = engine.pipeline.queue.lock().front() {
        let mut outcome = ticket.outcome.lock();
        if let Outcome::Waiting(waker) = &mut *outcome {
            waker.take().into_iter().for_each(Waker::wake);
        }
    }
}

/// When a waiter goes away, another takes over.
struct HandOver<'a> {
    engine: &'a Arc<Engine>,
}

impl Drop for HandOver<'_> {
    fn drop(&mut self) {
        self.engine.pipeline.waiters.clone().wake();
    }
}

/// Works until nothing is queued.
pub(crate) async fn drain(engine: &Arc<Engine>) {
    poll_fn(|context| {
        drive(engine, context);
        let idle = engine.pipeline.work.try_lock().is_some_and(|work| work.is_none());
        if idle && engine.pipeline.queue.lock().is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

async fn run_group(engine: Arc<Engine>) {
    let mut guard = engine.pipeline.state.lock().await;
    let Some(state) = guard.as_mut() else { return };
    let mut group: Vec<(Request, Arc<Ticket>)> = Vec::new();
    {
        let mut queue = engine.pipeline.queue.lock();
        let mut bytes = 0;
        while group.len() < GROUP_MAX && bytes < GROUP_BYTES_MAX {
            let Some(next) = queue.pop_front() else { break };
            bytes += next.0.writes.len_bytes();
            group.push(next);
        }
    }
    if group.is_empty() {
        return;
    }
    let result = commit_group(&engine, state, &mut group).await;
    drop(guard);
    for (index, (mut request, ticket)) in group.into_iter().enumerate() {
        release_locks(&engine, &mut request);
        ticket.complete(match &result {
            Ok(first) => Ok(Scn(first.0 + index as u64)),
            Err(error) => Err(copy_error(error)),
        });
    }
}

/// The same failure, for each member of the group.
fn copy_error(error: &Error) -> Error {
    match error {
        Error::Io(error) => Error::Io(std::io::Error::new(error.kind(), error.to_string())),
        Error::Corruption(text) => Error::Corruption(text.clone()),
        Error::OutOfMemory(text) => Error::OutOfMemory(text.clone()),
        Error::TooLarge(text) => Error::TooLarge(text.clone()),
        other => Error::Poisoned(other.to_string()),
    }
}

/// Commits all requests of a group; returns the first one's SCN.
async fn commit_group(
    engine: &Arc<Engine>,
    state: &mut CommitState,
    group: &mut [(Request, Arc<Ticket>)],
) -> Result<Scn> {
    engine.check_poisoned()?;
    let first = Scn(state.last_scn.0 + 1);
    if let Some(log) = &mut state.log {
        state.group.clear();
        state.group.extend_from_slice(&(group.len() as u32).to_le_bytes());
        let mut time = state.last_time;
        for (index, (request, _)) in group.iter().enumerate() {
            time = commit_time(engine, time);
            let record = CommitRecord {
                branch: request.branch,
                xid: request.xid,
                catalog_changed: request.catalog_changed,
                operations: request.writes.operations(),
            };
            encode(&record, Scn(first.0 + index as u64), time, &mut state.group);
        }
        state.last_time = time;
        // A full disk shows here, before anything is changed.
        log.reserve(state.group.len()).await?;
        engine.log_is_full.store(log.is_full(), Ordering::Relaxed);
    } else {
        state.last_time = commit_time(engine, state.last_time);
    }
    for (index, (request, _)) in group.iter().enumerate() {
        let scn = Scn(first.0 + index as u64);
        if let Err(error) = apply_request(engine, &mut state.workspace, request, scn).await {
            // Pages may have been published with SCNs that will never be visible, or be given out again.
            state.workspace.discard(engine);
            engine.poison(&error);
            return Err(error);
        }
    }
    let last = Scn(first.0 + group.len() as u64 - 1);
    if let Some(log) = &mut state.log
        && let Err(error) = log.append(&state.group, last).await
    {
        state.workspace.discard(engine);
        engine.poison(&error);
        return Err(error);
    }
    state.last_scn = last;
    state.workspace.publish(engine);
    for (index, (request, _)) in group.iter_mut().enumerate() {
        finish_request(engine, request, Scn(first.0 + index as u64));
    }
    engine.visible.store(last.0, Ordering::Release);
    engine.counters.commits.fetch_add(group.len() as u64, Ordering::Relaxed);
    engine.counters.groups.fetch_add(1, Ordering::Relaxed);
    Ok(first)
}

async fn apply_request(
    engine: &Arc<Engine>,
    workspace: &mut Workspace,
    request: &Request,
    scn: Scn,
) -> Result<()> {
    let operations = request.writes.operations();
    let mut next = 0;
    while next < operations.len() {
        let stop = {
            let mut apply = Apply::new(engine, workspace, request.branch, scn);
            let mut stop = None;
            while next < operations.len() {
                match apply.apply(operations.get(next)) {
                    Ok(()) => next += 1,
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
            resolve_stop(engine, workspace, stop).await?;
        }
    }
    Ok(())
}

/// Clears what stopped applying; used by commits and by recovery.
pub(crate) async fn resolve_stop(engine: &Engine, workspace: &mut Workspace, stop: Stop) -> Result<()> {
    match stop {
        Stop::Fault(fault) => {
            if engine.pool.free_count() <= FRAMES_RESERVED + EVICTION_BATCH {
                // Private copies cannot leave memory, published ones can.
                workspace.publish(engine);
            }
            engine.resolve(fault).await
        }
        Stop::Full => {
            workspace.publish(engine);
            Ok(())
        }
        Stop::Frames(wanted) => {
            // What was changed so far can only leave memory once it is published.
            workspace.publish(engine);
            engine.free_frames(wanted).await
        }
        Stop::Undo => {
            workspace.publish(engine);
            engine.make_undo_room().await
        }
    }
}
