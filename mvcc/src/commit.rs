//! The commit pipeline.
//!
//! 1. A transaction hands its writes over ([`Pipeline::submit`]) and waits for its ticket.
//! 2. Whoever finds the pipeline free drives it: all that is queued becomes one *group*. The group gets its SCNs,
//!    is applied to private copies of pages, written to the log with one flush, published, made visible, and its
//!    locks are released.
//! 3. The group's work belongs to the pipeline ([`SharedWork`]); every waiter polls it, and a waiter that is dropped
//!    takes nothing with it.
//!
//! A group is first applied to private copies, which can be thrown away. Where that has to wait — for pages, frames or
//! undo room — each member's pages are read before anything is logged, so that a page which cannot be read fails its
//! own commit only; what is then applied is published part by part, under SCNs that are not visible yet.
//!
//! Commits that would keep others waiting for long are groups of their own, between whose parts others commit: see
//! `commit/large.rs`.
//!
//! Invariants: one group at a time; a snapshot never sees a commit before the log has it; after an error in the
//! log nothing more is committed, because what is durable is unknown.

mod large;
mod reading;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use helios_bufferpool::Scn;
use parking_lot::Mutex;

use crate::apply::{Apply, Stop, Workspace};
use crate::commit_times::INTERNAL;
use crate::engine::{EVICTION_BATCH, Engine, FRAMES_RESERVED};
use crate::error::{Error, Result};
use crate::ids::{BranchId, Xid};
use crate::locks::{HeldLocks, LockOwner};
use crate::log::{COMMIT_BYTES, CommitHeader, Log, OPERATION_BYTES, Stage};
use crate::shared_work::{Progress, SharedWork, Work};
use crate::steps::Steps;
use crate::write_set::{Change, Operation, WriteSet};
use reading::Reading;

/// Commits in one group.
const GROUP_MAX: usize = 1024;
/// Bytes of writes in one group, above which no further commit joins.
const GROUP_BYTES_MAX: usize = 8 << 20;

/// Operations of a group that is applied to private copies at once.
const OPERATIONS_NOW_MAX: usize = 1024;

/// A transaction on its way to being committed.
pub(crate) struct Request {
    pub(crate) branch: BranchId,
    pub(crate) xid: Xid,
    pub(crate) owner: LockOwner,
    pub(crate) writes: WriteSet,
    pub(crate) locks: HeldLocks,
    pub(crate) catalog_changed: bool,
    /// It is there to make room, so a full disk does not refuse it as long as it is small.
    pub(crate) gives_room: bool,
}

impl Request {
    /// One that writes nothing yet.
    pub(crate) fn new(branch: BranchId, owner: LockOwner) -> Request {
        Request {
            branch,
            xid: INTERNAL,
            owner,
            writes: WriteSet::default(),
            locks: HeldLocks::default(),
            catalog_changed: false,
            gives_room: false,
        }
    }
}

/// What became of a request.
enum Outcome {
    Waiting(Option<Waker>),
    Done(Result<Scn>),
    /// Told, or nobody wants to know any more.
    Taken,
}

struct Ticket {
    outcome: Mutex<Outcome>,
}

/// A transaction in the queue or in a group. However it leaves, its locks are released and its ticket is completed.
struct Member {
    engine: Arc<Engine>,
    request: Request,
    ticket: Arc<Ticket>,
    is_complete: bool,
}

impl Member {
    fn complete(mut self, result: Result<Scn>) {
        release_locks(&self.engine, &mut self.request);
        self.is_complete = true;
        self.ticket.complete(result);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if !self.is_complete {
            release_locks(&self.engine, &mut self.request);
            self.ticket.complete(Err(Error::Poisoned("the commit was abandoned".into())));
        }
    }
}

impl Ticket {
    fn complete(&self, result: Result<Scn>) {
        let before = std::mem::replace(&mut *self.outcome.lock(), Outcome::Done(result));
        if let Outcome::Waiting(Some(waker)) = before {
            waker.wake();
        }
    }
}

/// The rows of the catalogs that a DROP of many objects changes.
const ROOM_GIVER_BYTES_MAX: usize = 256 << 10;

/// What the group at work uses; one user at a time.
pub(crate) struct CommitState {
    pub(crate) workspace: Workspace,
    pub(crate) log: Option<Log>,
    /// The last SCN given out, and its time.
    pub(crate) last_scn: Scn,
    pub(crate) last_time: u64,
    /// The times of the group being made.
    times: Vec<u64>,
    /// The next group begins with an index commit.
    index_due: bool,
}

impl CommitState {
    pub(crate) fn new(next_page: u64, log: Option<Log>, last_scn: Scn, last_time: u64) -> CommitState {
        CommitState {
            workspace: Workspace::new(next_page),
            log,
            last_scn,
            last_time,
            times: Vec::new(),
            index_due: false,
        }
    }
}

/// Commits on their way.
#[derive(Default)]
pub(crate) struct Pipeline {
    queue: Mutex<VecDeque<Member>>,
    /// What is to be done before the next group: a checkpoint's boundary.
    pub(crate) before_next: Mutex<Option<Work>>,
    /// The group being worked on.
    work: SharedWork,
    /// `None` before the folder is open and once it is closed.
    pub(crate) state: async_lock::Mutex<Option<CommitState>>,
}

/// Commits a transaction; its locks are released whatever happens. Once it is queued, dropping this future does not
/// keep it from being committed; before, it rolls back.
///
/// # Errors
/// [`Error::Poisoned`], or those of the device.
pub(crate) async fn commit(engine: &Arc<Engine>, request: Request) -> Result<Scn> {
    let waiting = Unqueued { engine, request: Some(request) };
    engine.check_poisoned()?;
    match bound(engine).await {
        Ok(()) => engine.admit_on_full_disk(|| waiting.needs_room()).await?,
        // Deleting goes on: it needs the log alone.
        Err(error) if error.is_want_of_space() && !waiting.needs_room() => {}
        Err(error) => return Err(error),
    }
    let mut request = waiting.into_request();
    match commit_now(engine, &mut request) {
        Some(scn) => Ok(scn),
        None => submit(engine, request).await,
    }
}

/// Keeps what waits in memory for the device within its bounds.
async fn bound(engine: &Arc<Engine>) -> Result<()> {
    engine.bound_waiting().await?;
    engine.bound_changed(0).await
}

/// Commits a transaction of a database in memory, where nothing has to be waited for; its locks are released. `None`:
/// nothing was done.
pub(crate) fn commit_at_once(engine: &Engine, request: &mut Request) -> Option<Scn> {
    if engine.is_durable { None } else { commit_now(engine, request) }
}

/// A request that waits to be admitted; its locks are released where it is not.
struct Unqueued<'e> {
    engine: &'e Engine,
    request: Option<Request>,
}

impl Unqueued<'_> {
    fn needs_room(&self) -> bool {
        self.request.as_ref().is_some_and(needs_room)
    }

    fn into_request(mut self) -> Request {
        self.request.take().expect("the request is taken once, here")
    }
}

impl Drop for Unqueued<'_> {
    fn drop(&mut self) {
        if let Some(request) = &mut self.request {
            release_locks(self.engine, request);
        }
    }
}

/// Whether it adds to the database, other than a little of what makes room.
fn needs_room(request: &Request) -> bool {
    if request.writes.spilled().is_some() {
        return true;
    }
    if request.gives_room && request.writes.len_bytes() <= ROOM_GIVER_BYTES_MAX {
        return false;
    }
    let operations = request.writes.operations();
    (0..operations.len())
        .any(|index| !matches!(operations.get(index), Operation::Change(_, _, Change::Delete)))
}

/// The short way, where there is no log: all pages at hand, nobody else committing. `None`: nothing was done.
fn commit_now(engine: &Engine, request: &mut Request) -> Option<Scn> {
    let mut guard = engine.pipeline.state.try_lock()?;
    let state = guard.as_mut()?;
    let accepting = engine.check_accepting().is_ok() && request.writes.spilled().is_none();
    if state.log.is_some() || !accepting || state.index_due || !engine.pipeline.queue.lock().is_empty() {
        return None;
    }
    let scn = Scn(state.last_scn.0 + 1);
    // Where that cannot be done, the queue's way starts over, and can wait for pages.
    apply_now(engine, &mut state.workspace, std::iter::once(&*request), scn, OPERATIONS_NOW_MAX).ok()?;
    state.last_scn = scn;
    state.last_time = commit_time(engine, state.last_time);
    state.index_due = engine.commit_times.add(scn, state.last_time, request.xid);
    state.workspace.publish(engine);
    finish_request(engine, request, scn);
    engine.visible.store(scn.0, Ordering::Release);
    engine.options.access_methods.committed(scn);
    release_locks(engine, request);
    engine.counters.commits.fetch_add(1, Ordering::Relaxed);
    Some(scn)
}

/// Why commits were not applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NotApplied {
    /// Something has to be waited for, or they are too many.
    NotNow,
    /// A commit with a later SCN has changed a page of theirs.
    Overtaken,
}

/// Applies commits of at most so many operations to private copies if nothing has to be waited for.
///
/// # Errors
/// Nothing is changed then.
fn apply_now<'r>(
    engine: &Engine,
    workspace: &mut Workspace,
    requests: impl Iterator<Item = &'r Request>,
    first: Scn,
    operations_max: usize,
) -> std::result::Result<(), NotApplied> {
    let next_page = workspace.next_page;
    let (mut scn, mut room) = (first, operations_max);
    for request in requests {
        let operations = request.writes.operations();
        let is_small = request.writes.spilled().is_none() && operations.len() <= room;
        let done = is_small && {
            let mut apply = Apply::new(engine, workspace, request.branch, scn);
            let done = (0..operations.len()).all(|index| apply.apply(operations.get(index)).is_ok())
                && apply.complete().is_ok();
            apply.finish();
            done && !workspace.is_overtaken()
        };
        if !done {
            let is_overtaken = workspace.is_overtaken();
            workspace.discard(engine);
            workspace.next_page = next_page;
            engine.options.access_methods.abandoned(first);
            return Err(if is_overtaken { NotApplied::Overtaken } else { NotApplied::NotNow });
        }
        room -= operations.len();
        scn = Scn(scn.0 + 1);
    }
    Ok(())
}

fn commit_time(engine: &Engine, last: u64) -> u64 {
    engine.clock.now_micros().max(last + 1)
}

fn finish_request(engine: &Engine, request: &mut Request, scn: Scn) {
    if request.catalog_changed {
        engine.catalog_scn(request.branch).set(scn);
    }
}

fn release_locks(engine: &Engine, request: &mut Request) {
    request.locks.release(&engine.locks, request.owner);
}

/// Waits in the queue, driving the pipeline meanwhile.
async fn submit(engine: &Arc<Engine>, request: Request) -> Result<Scn> {
    let ticket = Arc::new(Ticket { outcome: Mutex::new(Outcome::Waiting(None)) });
    let member = Member { engine: engine.clone(), request, ticket: ticket.clone(), is_complete: false };
    engine.pipeline.queue.lock().push_back(member);
    let _waiting = engine.pipeline.work.wait(&engine.tender);
    // Dropped before the count of waiters goes down: then nobody is left to wake for this ticket.
    let _abandoning = Abandoning { engine, ticket: &ticket };
    let mut has_yielded = false;
    poll_fn(|context| {
        if !has_yielded {
            // Other tasks of this thread that are about to commit join the group, and share its flush.
            has_yielded = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
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

/// Marks a ticket that nobody waits for any more. A commit that is still on its way is begun at least: without that
/// it would wait, with its locks, for the next one to come along. What is begun the tender ends.
struct Abandoning<'a> {
    engine: &'a Arc<Engine>,
    ticket: &'a Ticket,
}

impl Drop for Abandoning<'_> {
    fn drop(&mut self) {
        let before = std::mem::replace(&mut *self.ticket.outcome.lock(), Outcome::Taken);
        if matches!(before, Outcome::Waiting(_)) {
            drive(self.engine, &Context::from_waker(Waker::noop()));
        }
    }
}

/// Polls the group at work, starting one if there is none, until it waits or nothing is queued.
pub(crate) fn drive(engine: &Arc<Engine>, context: &Context<'_>) {
    let progress = engine.pipeline.work.poll(context, || {
        let first = engine.pipeline.before_next.lock().take();
        let is_queued = !engine.pipeline.queue.lock().is_empty();
        first.or_else(|| is_queued.then(|| Box::pin(run_group(engine.clone())) as Work))
    });
    match progress {
        Progress::Busy => {}
        Progress::Panicked => {
            engine.poison(&Error::Poisoned("a commit panicked".into()));
            engine.pipeline.work.wake();
        }
        Progress::Idle => {
            let is_queued = !engine.pipeline.queue.lock().is_empty();
            if !is_queued || engine.pipeline.before_next.lock().is_some() {
                // Who waits for the pipeline to be free, or for a boundary, found it taken.
                engine.pipeline.work.wake();
            }
            wake_next(engine);
        }
    }
}

/// Those who queued while a group was at work sleep: wakes the first of them that is still there.
fn wake_next(engine: &Engine) {
    let queue = engine.pipeline.queue.lock();
    for member in &*queue {
        let mut outcome = member.ticket.outcome.lock();
        if let Outcome::Waiting(waker) = &mut *outcome {
            // Without a waker it has not been polled yet, and will be.
            waker.take().into_iter().for_each(Waker::wake);
            return;
        }
    }
    if !queue.is_empty() {
        engine.tender.wake();
    }
}

/// Whether commits are left to nobody.
pub(crate) fn is_abandoned(engine: &Engine) -> bool {
    let is_queued = !engine.pipeline.queue.lock().is_empty();
    engine.pipeline.work.has_no_waiters() && (is_queued || !engine.pipeline.work.is_idle())
}

/// Works until nothing is queued.
pub(crate) async fn drain(engine: &Arc<Engine>) {
    poll_fn(|context| {
        drive(engine, context);
        let idle = engine.pipeline.work.is_idle() && engine.pipeline.queue.lock().is_empty();
        if idle { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

async fn run_group(engine: Arc<Engine>) {
    let mut guard = engine.pipeline.state.lock().await;
    let mut group: Vec<Member> = Vec::new();
    let is_large = take_group(&engine, &mut group);
    if group.is_empty() {
        return;
    }
    let result = match guard.as_mut() {
        Some(state) if is_large => {
            let committed: Pin<Box<dyn Future<Output = Result<Scn>> + Send + '_>> =
                Box::pin(large::commit(&engine, state, &mut group));
            committed.await
        }
        Some(state) => commit_members(&engine, state, &mut group).await,
        None => Err(Error::Poisoned("the database is closed".into())),
    };
    drop(guard);
    complete_all(group, &result);
}

/// Takes what comes next out of the queue: a group, or a large commit alone, which it tells.
fn take_group(engine: &Engine, group: &mut Vec<Member>) -> bool {
    let mut queue = engine.pipeline.queue.lock();
    let mut bytes = 0;
    while group.len() < GROUP_MAX && bytes < GROUP_BYTES_MAX {
        let is_large = queue.front().is_some_and(|next| large::is_large(engine, &next.request));
        if is_large && !group.is_empty() {
            break;
        }
        let Some(next) = queue.pop_front() else { break };
        bytes += next.request.writes.log_bytes_max(OPERATION_BYTES);
        group.push(next);
        if is_large {
            return true;
        }
    }
    false
}

/// Tells the members of a group what became of them; those that were refused are no longer among them.
fn complete_all(group: Vec<Member>, result: &Result<Scn>) {
    for (index, member) in group.into_iter().enumerate() {
        member.complete(match result {
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

/// Commits all requests of a group, after an index commit if one is due; returns the first one's SCN.
async fn commit_members(engine: &Engine, state: &mut CommitState, group: &mut Vec<Member>) -> Result<Scn> {
    engine.check_accepting()?;
    let mut index = engine.commit_times.is_long().then(|| IndexCommit::of(engine));
    let first = Scn(state.last_scn.0 + 1);
    let requests = index.iter().map(|index| &index.request).chain(group.iter().map(|member| &member.request));
    let applied = match apply_now(engine, &mut state.workspace, requests, first, OPERATIONS_NOW_MAX) {
        Ok(()) => Applied::Privately,
        Err(_) => {
            let refused: Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> =
                Box::pin(refuse_unreadable(engine, state, group));
            refused.await?;
            Applied::No
        }
    };
    let mut requests: Vec<&mut Request> = group.iter_mut().map(|member| &mut member.request).collect();
    let Some(index) = &mut index else {
        return commit_group(engine, state, &mut requests, applied).await;
    };
    requests.insert(0, &mut index.request);
    let first = commit_group(engine, state, &mut requests, applied).await?;
    index.is_done(engine);
    state.index_due = false;
    Ok(Scn(first.0 + 1))
}

/// Reads the pages that the members of a group will change, and makes room for changing them. A member that has one which cannot be read, or
/// for which there is no room, is told so and leaves the group.
///
/// # Errors
/// When it is nobody's page in particular: the database is being closed, or ended.
async fn refuse_unreadable(engine: &Engine, state: &mut CommitState, group: &mut Vec<Member>) -> Result<()> {
    let mut index = 0;
    while index < group.len() {
        match prepare_pages(engine, &mut state.workspace, &group[index].request).await {
            Ok(()) => index += 1,
            Err(error) => {
                tracing::error!("a commit is refused: {error}");
                group.remove(index).complete(Err(error));
            }
        }
    }
    engine.check_poisoned()
}

async fn prepare_pages(engine: &Engine, workspace: &mut Workspace, request: &Request) -> Result<()> {
    let mut reading = Reading::new(request);
    while reading.next(engine, workspace, usize::MAX).await? {}
    reading.make_room(engine).await
}

/// A commit of the program's own that writes down when commits were, and which pages they freed.
struct IndexCommit {
    request: Request,
    commits: usize,
    freed_runs: usize,
}

impl IndexCommit {
    /// One for all that is known so far.
    fn of(engine: &Engine) -> IndexCommit {
        let (mut request, commits) = engine.commit_times.request();
        let freed = engine.freed.lock();
        freed.write_to(&mut request);
        IndexCommit { request, commits, freed_runs: freed.len() }
    }

    /// Says that it is committed.
    fn is_done(&self, engine: &Engine) {
        engine.commit_times.written(self.commits);
        engine.freed.lock().written(self.freed_runs);
    }
}

/// For a checkpoint: writes what is known of commit times and freed pages so far, as a commit of its own.
///
/// # Errors
/// Those of the device.
pub(crate) async fn index_commits(engine: &Engine, state: &mut CommitState) -> Result<()> {
    let has_freed = engine.freed.lock().len() > 0;
    if has_freed || engine.commit_times.listed().needs_checkpoint() {
        let mut index = IndexCommit::of(engine);
        commit_group(engine, state, &mut [&mut index.request], Applied::No).await?;
        index.is_done(engine);
    }
    Ok(())
}

/// Whether a group is applied yet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Applied {
    /// To private copies, under the SCNs that come next.
    Privately,
    No,
}

/// Commits some requests with one flush of the log; returns the first one's SCN.
async fn commit_group(
    engine: &Engine,
    state: &mut CommitState,
    group: &mut [&mut Request],
    applied: Applied,
) -> Result<Scn> {
    let first = Scn(state.last_scn.0 + 1);
    if group.is_empty() {
        return Ok(first);
    }
    let last = Scn(first.0 + group.len() as u64 - 1);
    if let Some(log) = &mut state.log {
        let bytes = group.iter().map(|request| request.writes.log_bytes_max(OPERATION_BYTES) + COMMIT_BYTES);
        // A full disk shows here, before anything is published.
        if let Err(error) = log.begin(group.len() as u32, last, bytes.sum()).await {
            state.workspace.discard(engine);
            engine.options.access_methods.abandoned(first);
            return Err(error);
        }
        engine.log_is_full.store(log.is_full(), Ordering::Relaxed);
    }
    match make_group(engine, state, group, first, applied).await {
        Ok(()) => {}
        Err(error) => {
            // Pages may have been published with SCNs that will never be visible, or be given out again; what of the log
            // is durable is unknown.
            state.workspace.discard(engine);
            engine.options.access_methods.abandoned(first);
            engine.poison(&error);
            return Err(error);
        }
    }
    state.last_scn = last;
    state.workspace.publish(engine);
    let mut users = 0;
    for ((scn, time), request) in (first.0..).map(Scn).zip(&state.times).zip(group.iter_mut()) {
        state.index_due = engine.commit_times.add(scn, *time, request.xid);
        users += u64::from(request.xid != INTERNAL);
        finish_request(engine, request, scn);
    }
    engine.visible.store(last.0, Ordering::Release);
    engine.options.access_methods.committed(last);
    engine.counters.commits.fetch_add(users, Ordering::Relaxed);
    engine.counters.groups.fetch_add(1, Ordering::Relaxed);
    Ok(first)
}

/// Logs and applies a group whose first commit gets `first`.
async fn make_group(
    engine: &Engine,
    state: &mut CommitState,
    group: &[&mut Request],
    first: Scn,
    applied: Applied,
) -> Result<()> {
    state.times.clear();
    for (index, request) in group.iter().enumerate() {
        state.last_time = commit_time(engine, state.last_time);
        state.times.push(state.last_time);
        let scn = Scn(first.0 + index as u64);
        write_request(engine, state, request, scn, applied).await?;
    }
    if let Some(log) = &mut state.log {
        log.finish().await?;
        engine.log_end.store(log.end_bytes(), Ordering::Release);
    }
    Ok(())
}

/// Adds a commit to the group that the log is about to take, and applies it, if it is not yet: a part of its steps after the
/// other, so that what is not in memory is read once.
async fn write_request(
    engine: &Engine,
    state: &mut CommitState,
    request: &Request,
    scn: Scn,
    applied: Applied,
) -> Result<()> {
    if state.log.is_none() && applied == Applied::Privately {
        return Ok(());
    }
    let mut steps = Steps::new(&request.writes);
    if let Some(log) = &mut state.log {
        log.commit(&CommitHeader {
            xid: request.xid,
            scn,
            time_micros: state.last_time,
            branch: request.branch,
            catalog_changed: request.catalog_changed,
            stage: Stage::Whole,
            operation_count: steps.count().map(|count| count as u32),
        });
    }
    while steps.fill().await? {
        if let Some(log) = &mut state.log {
            while let Some(operation) = steps.current() {
                log.operation(operation).await?;
                steps.advance();
            }
        }
        if applied == Applied::No {
            steps.again();
            apply_steps(engine, &mut state.workspace, &mut steps, (request.branch, scn)).await?;
        }
    }
    if let (Some(log), None) = (&mut state.log, steps.count()) {
        log.end_of_operations();
    }
    match applied {
        Applied::No => complete(engine, &mut state.workspace, request.branch, scn).await,
        Applied::Privately => Ok(()),
    }
}

/// Applies the steps that are at hand.
async fn apply_steps(
    engine: &Engine,
    workspace: &mut Workspace,
    steps: &mut Steps<'_>,
    (branch, scn): (BranchId, Scn),
) -> Result<()> {
    loop {
        let stop = {
            let mut apply = Apply::new(engine, workspace, branch, scn);
            let mut stop = None;
            while let Some(operation) = steps.current() {
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
        };
        match stop {
            None => return Ok(()),
            Some(stop) => resolve_stop(engine, workspace, stop).await?,
        }
    }
}

/// Writes the rows of a commit that were held back; used by commits, by recovery and by spills.
pub(crate) async fn complete(
    engine: &Engine,
    workspace: &mut Workspace,
    branch: BranchId,
    scn: Scn,
) -> Result<()> {
    loop {
        let completed = {
            let mut apply = Apply::new(engine, workspace, branch, scn);
            let completed = apply.complete();
            apply.finish();
            completed
        };
        match completed {
            Ok(()) => return Ok(()),
            Err(stop) => resolve_stop(engine, workspace, stop).await?,
        }
    }
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
