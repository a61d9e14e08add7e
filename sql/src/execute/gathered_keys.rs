//! The keys of the rows that several searches find together.
//!
//! 1. A search of an index adds the keys that its entries name; one of the table's own key adds ranges, and reads nothing.
//! 2. Of several searches all of which have to find a row, each after the first adds only what those before it found.
//! 3. The set is kept below `work_mem`: beyond that keys that are near each other become ranges, whose rows are tested as
//!    all rows are.

use std::ops::{Bound, ControlFlow};
use std::time::Duration;

use helios_mvcc::{KeyRange, Scan, ScanStep};

use super::keys::key_ranges;
use super::memory::Reservation;
use super::row_keys::{InOrder, RowKeys};
use super::scan::Past;
use super::{BoxFuture, Execution};
use crate::error::Result;
use crate::plan::physical::{KeyAccess, KeySet};

/// What is gathered of an index at a time, before the memory is looked at.
const ENTRIES_PER_LOOK: usize = 256;
/// A set takes no more, whatever `work_mem` is: its keys are counted in 32 bits.
const SET_BYTES_MAX: usize = 1 << 30;

/// Keys, and how much memory they take.
pub struct Held {
    keys: RowKeys,
    reservation: Reservation,
}

impl Held {
    fn new(execution: &mut Execution) -> Held {
        Held { keys: RowKeys::default(), reservation: execution.memory().reserve() }
    }

    fn note(&mut self) {
        self.reservation.set(self.keys.size_bytes());
    }
}

/// Keys that are gone through.
pub struct GatheredKeys {
    held: Held,
    at: InOrder,
}

impl GatheredKeys {
    pub fn new(held: Held) -> GatheredKeys {
        GatheredKeys { held, at: InOrder::default() }
    }

    /// The next range of keys.
    pub fn next_range(&mut self) -> Option<KeyRange> {
        self.at.next_range(&self.held.keys)
    }

    /// Whether there are single keys among them.
    pub fn has_single(&self) -> bool {
        self.held.keys.has_single()
    }
}

/// Gathers the keys of a set, which is measured as a node.
///
/// # Errors
/// Those of reading, and of evaluating what is searched for.
pub async fn gather_keys(
    set: &KeySet,
    past: &Past,
    number: usize,
    execution: &mut Execution,
) -> Result<Held> {
    let bytes_max = execution.memory().work_bytes.min(SET_BYTES_MAX);
    let mut held = Held::new(execution);
    let mut gathering = Gathering { held: &mut held, within: None, bytes_max };
    gathering.add(set, past, number, execution).await?;
    held.keys.settle();
    held.note();
    Ok(held)
}

/// A set being gathered.
struct Gathering<'g> {
    held: &'g mut Held,
    /// Others are not wanted.
    within: Option<&'g RowKeys>,
    bytes_max: usize,
}

impl Gathering<'_> {
    /// Adds the keys of a set.
    fn add<'a>(
        &'a mut self,
        set: &'a KeySet,
        past: &'a Past,
        number: usize,
        execution: &'a mut Execution,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let start = Start::of(execution);
            let found = match set {
                KeySet::Search(search) => self.search(&search.access, past, execution).await?,
                KeySet::Any(parts) => {
                    let mut number = number + 1;
                    for part in parts {
                        self.add(part, past, number, execution).await?;
                        number += part.count();
                    }
                    0
                }
                KeySet::All(parts) => {
                    self.add_common(parts, past, number + 1, execution).await?;
                    0
                }
            };
            if let Some(start) = start {
                start.note(number, found, execution);
            }
            Ok(())
        })
    }

    /// Adds the keys that all of some sets have.
    async fn add_common(
        &mut self,
        parts: &[KeySet],
        past: &Past,
        mut number: usize,
        execution: &mut Execution,
    ) -> Result<()> {
        // There are two more sets meanwhile.
        let bytes_max = self.bytes_max / 2;
        let mut common: Option<Held> = None;
        for part in parts {
            if common.as_ref().is_some_and(|common| common.keys.is_empty()) {
                break;
            }
            let mut next = Held::new(execution);
            let within = common.as_ref().map(|common| &common.keys).or(self.within);
            let mut gathering = Gathering { held: &mut next, within, bytes_max };
            gathering.add(part, past, number, execution).await?;
            next.keys.settle();
            if let Some(common) = &common {
                next.keys = common.keys.intersection(&next.keys);
            }
            next.note();
            common = Some(next);
            number += part.count();
        }
        let Some(common) = common else { return Ok(()) };
        let mut order = InOrder::default();
        while let Some(range) = order.next_range(&common.keys) {
            self.add_range(range);
        }
        self.look_at_memory();
        Ok(())
    }

    fn add_range(&mut self, range: KeyRange) {
        match (range.lower, range.upper) {
            (Bound::Included(key), Bound::Included(last)) if key == last => {
                self.held.keys.add(&key);
            }
            (lower, upper) => self.held.keys.add_range(KeyRange { lower, upper }),
        }
    }

    /// Adds the keys that a search finds; tells how many entries it read.
    async fn search(&mut self, access: &KeyAccess, past: &Past, execution: &mut Execution) -> Result<u64> {
        let ranges = key_ranges(access, execution)?;
        let Some(tree) = access.index_tree else {
            ranges.into_iter().for_each(|range| self.held.keys.add_range(range));
            self.look_at_memory();
            return Ok(0);
        };
        let (mut found, mut before): (u64, Option<Scan>) = (0, None);
        for range in ranges {
            let mut scan = match &before {
                Some(before) => before.over(range),
                None => past.reader(execution).scan(tree, range, false),
            };
            loop {
                let (mut seen, within, keys) = (0, self.within, &mut self.held.keys);
                let step = scan
                    .next(past.reader(execution), &mut |_, key| {
                        seen += 1;
                        if within.is_none_or(|within| within.contains(key)) {
                            keys.add(key);
                        }
                        if seen < ENTRIES_PER_LOOK {
                            ControlFlow::Continue(())
                        } else {
                            ControlFlow::Break(())
                        }
                    })
                    .await?;
                found += seen as u64;
                self.look_at_memory();
                execution.breathe().await?;
                if step == ScanStep::Done {
                    break;
                }
            }
            before = Some(scan);
        }
        Ok(found)
    }

    /// Makes the set smaller where it has grown beyond what it may take.
    fn look_at_memory(&mut self) {
        let held = &mut *self.held;
        if held.keys.size_bytes() > self.bytes_max {
            // Half of it is left for what follows.
            held.keys.shrink(self.bytes_max / 2);
        }
        held.note();
    }
}

/// What was measured before a search began.
struct Start {
    nanos: u64,
    pages: (u64, u64),
}

impl Start {
    /// `None` where nothing is measured.
    fn of(execution: &Execution) -> Option<Start> {
        execution.instruments.as_ref()?;
        let environment = &execution.environment;
        Some(Start { nanos: environment.clock.monotonic_nanos(), pages: environment.store.page_accesses() })
    }

    /// Notes what was done since, and how many entries were found.
    fn note(self, number: usize, found: u64, execution: &mut Execution) {
        let taken = execution.environment.clock.monotonic_nanos() - self.nanos;
        let (hits, reads) = execution.environment.store.page_accesses();
        execution.instrument(number, |instrument| {
            let taken = Duration::from_nanos(taken);
            instrument.loops += 1;
            instrument.rows += found;
            instrument.time += taken;
            instrument.startup += taken;
            instrument.hits += hits.saturating_sub(self.pages.0);
            instrument.reads += reads.saturating_sub(self.pages.1);
        });
    }
}
