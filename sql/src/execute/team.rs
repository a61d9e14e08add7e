//! Those who work on one part of a plan at the same time: the session, and helpers on other cores.
//!
//! 1. The session begins alone. It makes the tables of the hash joins and comes to the scan at the bottom; there the table's
//!    keys are divided into many ranges, and helpers are called.
//! 2. A helper has operators, an execution and a reader of its own. The tables of the joins are the session's.
//! 3. Whoever is free takes the next range. Rows go to the session through a bounded channel; groups of aggregates are kept
//!    until all are there.
//! 4. Nobody waits for a helper that has not begun when the session has nothing left to do.
//! 5. The first error ends all; so does the end of the session's operators. Whoever works notices between two batches.

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use async_channel::{Receiver, Sender};
use helios_mvcc::{KeyRange, TreeId};
use helios_runtime::executor::Helpers;
use parking_lot::Mutex;

use super::Execution;
use super::aggregate::Run;
use super::context::Instrument;
use super::hash_join::BuiltTable;
use super::helper::{Place, help};
use super::key_filter::KeyFilter;
use super::scan::Past;
use crate::error::{Result, SqlError, SqlState};
use crate::plan::physical::PlanNode;
use crate::value::Batch;

/// Into how many ranges a table is divided for each who reads it: so that all are through at about the same time.
const RANGES_EACH: usize = 16;
/// How many batches of a helper wait for the session.
const BATCHES_WAITING: usize = 4;

/// What the members of a team have in common.
pub struct Team {
    plan: Arc<PlanNode>,
    /// The number of the plan's first node.
    number: usize,
    workers: usize,
    ranges: OnceLock<Ranges>,
    /// The session takes no ranges itself.
    session_only_gathers: AtomicBool,
    /// What the session made cannot be shared.
    is_alone: AtomicBool,
    tables: Mutex<HashMap<usize, Arc<BuiltTable>>>,
    restrictions: Mutex<Vec<(usize, Arc<KeyFilter>)>>,
    groups: Mutex<Vec<Run>>,
    entry: Mutex<Entry>,
    is_over: AtomicBool,
    failure: Mutex<Option<SqlError>>,
    /// What helpers measured.
    instruments: Mutex<Vec<Vec<Instrument>>>,
}

/// The ranges of a table's keys that are not taken yet.
struct Ranges {
    all: Vec<KeyRange>,
    next: AtomicUsize,
}

/// The way in for helpers.
struct Entry {
    /// Where rows are sent to; none once nobody may begin any more.
    sender: Option<Sender<Batch>>,
    called: usize,
    /// Those called of whom nothing is known yet.
    expected: usize,
}

impl Entry {
    /// One of those expected has begun, or never will.
    fn note_one(&mut self) {
        self.expected = self.expected.saturating_sub(1);
        if self.expected == 0 {
            self.sender = None;
        }
    }
}

impl Team {
    /// A team of one, so far; and where the rows of the others will come from.
    pub fn new(plan: Arc<PlanNode>, number: usize, workers: usize) -> (Arc<Team>, Receiver<Batch>) {
        let (sender, rows) = async_channel::bounded(BATCHES_WAITING * workers.max(1));
        let team = Team {
            plan,
            number,
            workers,
            ranges: OnceLock::new(),
            session_only_gathers: AtomicBool::new(false),
            is_alone: AtomicBool::new(false),
            tables: Mutex::default(),
            restrictions: Mutex::default(),
            groups: Mutex::default(),
            entry: Mutex::new(Entry { sender: Some(sender), called: 0, expected: 0 }),
            is_over: AtomicBool::new(false),
            failure: Mutex::default(),
            instruments: Mutex::default(),
        };
        (Arc::new(team), rows)
    }

    /// How many there may be, the session among them.
    pub fn members_max(&self) -> usize {
        self.workers + 1
    }

    /// The next range of the scanned table for whoever asks; the session asks first, which divides the table and calls
    /// helpers.
    ///
    /// # Errors
    /// Those of reading pages and of the operating system.
    pub(super) async fn next_range(
        self: &Arc<Self>,
        tree: TreeId,
        past: &Past,
        execution: &mut Execution,
    ) -> Result<Option<KeyRange>> {
        let is_helper = execution.is_helper;
        if self.ranges.get().is_none() && !is_helper {
            self.divide(tree, past, execution).await?;
        }
        if !is_helper && self.session_only_gathers.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let Some(ranges) = self.ranges.get() else { return Ok(None) };
        Ok(ranges.all.get(ranges.next.fetch_add(1, Ordering::Relaxed)).cloned())
    }

    async fn divide(self: &Arc<Self>, tree: TreeId, past: &Past, execution: &mut Execution) -> Result<()> {
        let takes_part = execution.environment.settings.is_on("parallel_leader_participation");
        let helpers = self.helpers_wanted(execution);
        let keys = match helpers {
            0 => Vec::new(),
            _ => past.reader(execution).dividing_keys(tree, RANGES_EACH * (helpers + 1)).await?,
        };
        let helpers = helpers.min(keys.len() + usize::from(!takes_part));
        let ranges = Ranges { all: between(keys), next: AtomicUsize::new(0) };
        if self.ranges.set(ranges).is_err() {
            return Err(SqlError::internal("a table was divided twice"));
        }
        self.session_only_gathers.store(helpers > 0 && !takes_part, Ordering::Relaxed);
        self.call(helpers, execution)
    }

    fn helpers_wanted(&self, execution: &Execution) -> usize {
        let settings = &execution.environment.settings;
        // What the transaction wrote nobody else sees.
        if self.is_alone.load(Ordering::Relaxed) || execution.transaction.has_writes() {
            return 0;
        }
        let allowed = settings.get("max_parallel_workers").ok().and_then(|count| count.parse().ok());
        // Forced, one helps even where there is no core for it.
        let is_forced = settings.get("force_parallel_mode").is_ok_and(|mode| mode != "off");
        self.workers.min(allowed.unwrap_or(0)).min(Helpers::count().max(usize::from(is_forced)))
    }

    fn call(self: &Arc<Self>, helpers: usize, execution: &mut Execution) -> Result<()> {
        {
            let mut entry = self.entry.lock();
            (entry.called, entry.expected) = (helpers, helpers);
        }
        for _ in 0..helpers {
            let work = help(Place::new(self.clone()), execution.for_helper(self.clone())?);
            if !execution.environment.engine.helpers().spawn(work).map_err(no_thread)? {
                return Err(SqlError::internal("the helping threads were stopped"));
            }
        }
        Ok(())
    }

    /// A helper begins: gives where its rows go, unless nobody is waiting for it any more.
    pub fn enter(&self) -> Option<Sender<Batch>> {
        let mut entry = self.entry.lock();
        let sender = entry.sender.clone();
        entry.note_one();
        sender
    }

    /// A helper that was called will not begin.
    pub fn miss(&self) {
        self.entry.lock().note_one();
    }

    /// How many helpers were called.
    pub fn called(&self) -> usize {
        self.entry.lock().called
    }

    /// Nothing of this can be shared: the session goes on alone.
    pub fn stay_alone(&self) {
        self.is_alone.store(true, Ordering::Relaxed);
    }

    /// The session has nothing left to do: who has not begun need not, unless all the work is theirs.
    pub fn close_entry(&self) {
        if !self.session_only_gathers.load(Ordering::Relaxed) {
            self.entry.lock().sender = None;
        }
    }

    /// Tells all to end.
    pub fn dismiss(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    /// Whether all are to end.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// What the members have in common to work on, and the number of its first node.
    pub fn plan(&self) -> (&PlanNode, usize) {
        (&self.plan, self.number)
    }

    /// Ends all for an error of a helper, unless all is over.
    pub fn fail(&self, error: SqlError) {
        if !self.is_over() {
            self.failure.lock().get_or_insert(error);
            self.dismiss();
        }
    }

    /// The first error of a helper, once.
    pub fn take_failure(&self) -> Option<SqlError> {
        self.failure.lock().take()
    }

    /// The table of a join that the session made.
    pub fn table(&self, join: usize) -> Option<Arc<BuiltTable>> {
        self.tables.lock().get(&join).cloned()
    }

    /// The session has made the table of a join.
    pub fn share_table(&self, join: usize, table: Arc<BuiltTable>) {
        self.tables.lock().insert(join, table);
    }

    /// What the rows of a column are restricted to, for all.
    pub fn restrict(&self, column: usize, keys: &Arc<KeyFilter>) {
        self.restrictions.lock().push((column, keys.clone()));
    }

    /// A member's groups are complete.
    pub fn hand_in(&self, groups: Run) {
        self.groups.lock().push(groups);
    }

    /// The groups of all members.
    pub fn take_groups(&self) -> Vec<Run> {
        std::mem::take(&mut *self.groups.lock())
    }

    /// What the rows of columns are restricted to.
    pub fn restrictions(&self) -> Vec<(usize, Arc<KeyFilter>)> {
        self.restrictions.lock().clone()
    }

    /// A helper is through: what it measured.
    pub fn note_measured(&self, instruments: Vec<Instrument>) {
        self.instruments.lock().push(instruments);
    }

    /// What helpers measured, once.
    pub fn take_instruments(&self) -> Vec<Vec<Instrument>> {
        std::mem::take(&mut *self.instruments.lock())
    }
}

fn no_thread(error: std::io::Error) -> SqlError {
    SqlError::new(SqlState::INSUFFICIENT_RESOURCES, format!("could not start a helping thread: {error}"))
}

/// The ranges that some keys divide all keys into.
fn between(keys: Vec<Vec<u8>>) -> Vec<KeyRange> {
    let mut ranges = Vec::with_capacity(keys.len() + 1);
    let mut lower = Bound::Unbounded;
    for key in keys {
        ranges.push(KeyRange { lower, upper: Bound::Excluded(key.clone()) });
        lower = Bound::Included(key);
    }
    ranges.push(KeyRange { lower, upper: Bound::Unbounded });
    ranges
}
