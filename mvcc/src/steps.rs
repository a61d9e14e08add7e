//! The steps of a commit in their order — trees to make, then the last change of each key — wherever the writes are.

use std::ops::{Bound, ControlFlow};

use helios_btree::Walk;

use crate::error::Result;
use crate::large_value::PartialValue;
use crate::log::LoggedOperation;
use crate::spill::{OwnedChange, Spilled};
use crate::write_set::{Operation, Operations, WriteSet};

/// Bytes of rows read from a temporary file at once.
const BATCH_BYTES: usize = 256 << 10;

/// Walks over the steps of a commit. [`Steps::fill`] makes some available, [`Steps::current`] and [`Steps::advance`] go
/// through them without waiting.
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
    bound: Option<Bound<Vec<u8>>>,
    batch: Vec<LoggedOperation>,
    partial: PartialValue,
}

impl<'a> Steps<'a> {
    /// The steps of a set that has spilled completely, or not at all.
    pub(crate) fn new(writes: &'a WriteSet) -> Steps<'a> {
        let source = match writes.spilled() {
            None => Source::Memory(writes.operations()),
            Some(spilled) => Source::Spilled(SpilledSteps {
                spilled,
                bound: Some(Bound::Unbounded),
                batch: spilled
                    .trees_created()
                    .map(|(tree, fill)| LoggedOperation::CreateTree(tree, fill))
                    .collect(),
                partial: PartialValue::default(),
            }),
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
            Source::Spilled(steps) => steps.batch.get(self.next).map(LoggedOperation::as_operation),
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
            Source::Spilled(steps) => steps.batch[place].as_operation(),
        }
    }

    /// Says that the current step is done.
    #[inline]
    pub(crate) fn advance(&mut self) {
        self.next += 1;
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

impl SpilledSteps<'_> {
    async fn fill(&mut self) -> Result<bool> {
        self.batch.clear();
        while self.batch.is_empty() {
            let Some(bound) = &self.bound else { return Ok(false) };
            let mut bytes = 0;
            let batch = &mut self.batch;
            let walk = self.spilled.walk_all(bound, &mut self.partial, &mut |tree, key, change| {
                batch.push(match change {
                    OwnedChange::Put(value) => {
                        bytes += value.len();
                        LoggedOperation::Put(tree, key.to_vec(), value)
                    }
                    OwnedChange::Delete => LoggedOperation::Delete(tree, key.to_vec()),
                });
                if bytes > BATCH_BYTES { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            match walk {
                Ok(Walk::At(bound)) => self.bound = Some(bound),
                Ok(Walk::End) => self.bound = None,
                Err(fault) => self.spilled.engine().resolve(fault).await?,
            }
        }
        Ok(true)
    }
}
