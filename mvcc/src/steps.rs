//! The steps of a commit in their order — trees to make, then the last change of each key — wherever the writes are.

use std::ops::{Bound, ControlFlow};

use helios_btree::{Direction, Walk};

use crate::error::Result;
use crate::ids::TreeId;
use crate::large_value::PartialValue;
use crate::spill::Spilled;
use crate::write_set::{Change, Operation, Operations, WriteSet};

/// Bytes of rows read from a temporary file at once.
const BATCH_BYTES: usize = 256 << 10;

/// Walks over the steps of a commit. [`Steps::fill`] makes some available, [`Steps::current`] and [`Steps::advance`] go
/// through them without waiting, [`Steps::again`] goes back to the first of them.
pub(crate) struct Steps<'a> {
    source: Source<'a>,
    next: usize,
}

enum Source<'a> {
    Memory(Operations<'a>),
    Spilled(SpilledSteps<'a>),
}

struct SpilledSteps<'a> {
    spilled: &'a Spilled,
    /// The trees not yet read to their ends; of the last one those rows are left that come after `bound`.
    trees: Vec<TreeId>,
    bound: Bound<Vec<u8>>,
    batch: Vec<Step>,
    /// The batch's keys and values.
    bytes: Vec<u8>,
    partial: PartialValue,
}

/// A step whose key and value are in `bytes`, one after the other.
struct Step {
    tree: TreeId,
    kind: Kind,
    start: usize,
    key_bytes: usize,
    value_bytes: usize,
}

enum Kind {
    Put,
    Delete,
    CreateTree(u8),
}

impl<'a> Steps<'a> {
    /// The steps of a set that has spilled completely, or not at all.
    pub(crate) fn new(writes: &'a WriteSet) -> Steps<'a> {
        let source = match writes.spilled() {
            None => Source::Memory(writes.operations()),
            Some(spilled) => {
                let mut steps = SpilledSteps::new(spilled, spilled.trees().collect());
                let creating = |(tree, fill_percent)| Step::new(tree, Kind::CreateTree(fill_percent));
                steps.batch.extend(spilled.trees_created().map(creating));
                Source::Spilled(steps)
            }
        };
        Steps { source, next: 0 }
    }

    /// Those of them that change trees which were there before.
    pub(crate) fn in_old_trees(writes: &'a WriteSet) -> Steps<'a> {
        let source = match writes.spilled() {
            None => Source::Memory(writes.operations_in_old_trees()),
            Some(spilled) => {
                let trees = spilled.trees().filter(|tree| !spilled.created(*tree)).collect();
                Source::Spilled(SpilledSteps::new(spilled, trees))
            }
        };
        Steps { source, next: 0 }
    }

    /// How many there are, if that is known.
    pub(crate) fn count(&self) -> Option<usize> {
        match &self.source {
            Source::Memory(operations) => Some(operations.len()),
            Source::Spilled(_) => None,
        }
    }

    /// The step to do next, if it is at hand.
    #[inline]
    pub(crate) fn current(&self) -> Option<Operation<'_>> {
        match &self.source {
            Source::Memory(operations) => (self.next < operations.len()).then(|| operations.get(self.next)),
            Source::Spilled(steps) => steps.batch.get(self.next).map(|step| step.operation(&steps.bytes)),
        }
    }

    /// How many steps of those at hand are done.
    pub(crate) fn done(&self) -> usize {
        self.next
    }

    /// A step at hand, by its place among them; it is there since the last [`Steps::fill`].
    pub(crate) fn get(&self, place: usize) -> Operation<'_> {
        match &self.source {
            Source::Memory(operations) => operations.get(place),
            Source::Spilled(steps) => steps.batch[place].operation(&steps.bytes),
        }
    }

    /// Says that the current step is done.
    #[inline]
    pub(crate) fn advance(&mut self) {
        self.next += 1;
    }

    /// Goes back to the first step that the last [`Steps::fill`] made available.
    pub(crate) fn again(&mut self) {
        self.next = 0;
    }

    /// Makes sure that there is a current step; false at the end.
    ///
    /// # Errors
    /// Those of the temporary file.
    pub(crate) async fn fill(&mut self) -> Result<bool> {
        if self.current().is_some() {
            return Ok(true);
        }
        let Source::Spilled(steps) = &mut self.source else { return Ok(false) };
        self.next = 0;
        steps.fill().await
    }
}

impl Step {
    fn new(tree: TreeId, kind: Kind) -> Step {
        Step { tree, kind, start: 0, key_bytes: 0, value_bytes: 0 }
    }

    fn operation<'b>(&self, bytes: &'b [u8]) -> Operation<'b> {
        let (key, rest) = bytes[self.start..].split_at(self.key_bytes);
        match self.kind {
            Kind::Put => Operation::Change(self.tree, key, Change::Put(&rest[..self.value_bytes])),
            Kind::Delete => Operation::Change(self.tree, key, Change::Delete),
            Kind::CreateTree(fill_percent) => Operation::CreateTree(self.tree, fill_percent),
        }
    }
}

impl<'a> SpilledSteps<'a> {
    /// Those of some trees, in order.
    fn new(spilled: &'a Spilled, mut trees: Vec<TreeId>) -> SpilledSteps<'a> {
        trees.reverse();
        let (batch, bytes, partial) = (Vec::new(), Vec::new(), PartialValue::default());
        SpilledSteps { spilled, trees, bound: Bound::Unbounded, batch, bytes, partial }
    }

    async fn fill(&mut self) -> Result<bool> {
        self.batch.clear();
        self.bytes.clear();
        while self.bytes.len() < BATCH_BYTES
            && let Some(tree) = self.trees.last().copied()
        {
            let SpilledSteps { spilled, bound, batch, bytes, partial, .. } = self;
            let walk =
                spilled.walk(tree, bound, Direction::Forward, u32::MAX, partial, &mut |key, change| {
                    let (kind, value) = match change {
                        Change::Put(value) => (Kind::Put, value),
                        Change::Delete => (Kind::Delete, &[][..]),
                    };
                    let (start, key_bytes, value_bytes) = (bytes.len(), key.len(), value.len());
                    bytes.extend_from_slice(key);
                    bytes.extend_from_slice(value);
                    batch.push(Step { tree, kind, start, key_bytes, value_bytes });
                    if bytes.len() > BATCH_BYTES { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                });
            match walk {
                Ok(Walk::At(bound)) => self.bound = bound,
                Ok(Walk::End) => {
                    self.trees.pop();
                    self.bound = Bound::Unbounded;
                }
                // What is at hand may be done first.
                Err(_) if !self.batch.is_empty() => break,
                Err(fault) => self.spilled.resolve_in_order(tree, fault).await?,
            }
        }
        Ok(!self.batch.is_empty())
    }
}
