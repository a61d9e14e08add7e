//! Pages that nothing newer leads to: those that merges of nodes left, and those of large values that were replaced or
//! deleted. They stay for whoever reads an earlier moment; a cut removes them once nobody does.
//!
//! 1. Applying a commit notes them ([`FreedPages::add`]); replay notes the same ones.
//! 2. Index commits (`commit_times`) write down what was noted before them, and a checkpoint begins with one. So what is not
//!    in rows behind a checkpoint is noted again by replay.
//!
//! A row of the tree of commit times: key `f`, branch (8, big-endian), SCN of the commit that freed them (8, big-endian),
//! first page (8, big-endian); value: the SCN from which on they were there (8), how many (8). Page ids of a row are two
//! apart.

use helios_bufferpool::PageId;

use crate::commit::Request;
use crate::error::{Error, Result};
use crate::ids::{BranchId, Scn, TreeId};
use crate::write_set::Change;

const FREED: u8 = b'f';

/// Some neighbouring pages that one commit freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FreedRun {
    pub(crate) branch: BranchId,
    /// The commit that freed them.
    pub(crate) freed: Scn,
    /// No reader before this needs any of them.
    pub(crate) created: Scn,
    pub(crate) first: PageId,
    pub(crate) count: u64,
}

impl FreedRun {
    /// Behind the last page.
    pub(crate) fn end(&self) -> PageId {
        PageId(self.first.0.saturating_add(self.count.saturating_mul(2)))
    }

    /// Whether a page is one of them: trees have their ids between these.
    pub(crate) fn has(&self, page: PageId) -> bool {
        page >= self.first && page < self.end() && (page.0 - self.first.0).is_multiple_of(2)
    }

    pub(crate) fn key(&self) -> Vec<u8> {
        let mut key = vec![FREED];
        for number in [self.branch.0, self.freed.0, self.first.0] {
            key.extend_from_slice(&number.to_be_bytes());
        }
        key
    }

    fn value(&self) -> [u8; 16] {
        let mut value = [0; 16];
        value[..8].copy_from_slice(&self.created.0.to_le_bytes());
        value[8..].copy_from_slice(&self.count.to_le_bytes());
        value
    }

    /// # Errors
    /// [`Error::Corruption`].
    pub(crate) fn decode(key: &[u8], value: &[u8]) -> Result<FreedRun> {
        let damaged = || Error::Corruption("a row of freed pages is damaged".into());
        let number = |bytes: &[u8], at: usize| bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        let key_number = |at| number(key, at).map(u64::from_be_bytes).ok_or_else(damaged);
        let value_number = |at| number(value, at).map(u64::from_le_bytes).ok_or_else(damaged);
        Ok(FreedRun {
            branch: BranchId(key_number(1)?),
            freed: Scn(key_number(9)?),
            first: PageId(key_number(17)?),
            created: Scn(value_number(0)?),
            count: value_number(8)?,
        })
    }
}

/// What the keys of the rows of a branch begin with.
pub(crate) fn prefix_of(branch: BranchId) -> Vec<u8> {
    let mut key = vec![FREED];
    key.extend_from_slice(&branch.0.to_be_bytes());
    key
}

/// Freed pages that no row tells of yet.
#[derive(Default)]
pub(crate) struct FreedPages {
    runs: Vec<FreedRun>,
}

impl FreedPages {
    pub(crate) fn add(&mut self, run: FreedRun) {
        if let Some(last) = self.runs.last_mut()
            && (last.branch, last.freed, last.end()) == (run.branch, run.freed, run.first)
        {
            last.count += run.count;
            last.created = last.created.min(run.created);
            return;
        }
        self.runs.push(run);
    }

    /// Takes all that another list has.
    pub(crate) fn append(&mut self, other: &mut FreedPages) {
        other.runs.drain(..).for_each(|run| self.add(run));
    }

    pub(crate) fn clear(&mut self) {
        self.runs.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.runs.len()
    }

    /// The first `count` are in rows now.
    pub(crate) fn written(&mut self, count: usize) {
        self.runs.drain(..count);
    }

    /// Adds the rows to an index commit.
    pub(crate) fn write_to(&self, request: &mut Request) {
        for run in &self.runs {
            request.writes.write(TreeId::COMMIT_TIMES, &run.key(), Change::Put(&run.value()), 1);
        }
    }
}
