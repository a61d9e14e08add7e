//! The locks of one transaction.

use std::collections::HashSet;
use std::sync::Arc;

use smallvec::SmallVec;

use super::alone::{Alone, AloneMark};
use super::{LockName, LockOwner, LockSpace, LockTable, Mode, Taken};
use crate::error::Result;
use crate::ids::WaitPolicy;

/// With so many locks in the table a transaction asks to be alone in the trees where it locks more; where it may not be,
/// again whenever it has asked the table twice as often.
const ALONE_FROM: usize = if cfg!(test) { 2 } else { 64 };

/// What a transaction holds, to give it back in the end.
#[derive(Default)]
pub(crate) struct HeldLocks {
    /// In the order in which they were taken; one that was made stronger is there again.
    /// A statement for one row takes two.
    names: SmallVec<[(LockName, Mode); 2]>,
    /// The table lock taken last: the next statement is likely to want it too.
    table: Option<(LockName, Mode)>,
    trees: Vec<TreeLocks>,
}

/// How far a transaction's locks went at some moment.
#[derive(Clone, Debug, Default)]
pub struct LockMark {
    names: usize,
    trees: Vec<(LockSpace, AloneMark)>,
}

struct TreeLocks {
    space: LockSpace,
    /// How often the table was asked for one since.
    asked: u32,
    alone: Option<Arc<Alone>>,
}

impl HeldLocks {
    /// Takes a lock if nobody is in the way.
    #[inline]
    pub(crate) fn try_acquire(
        &mut self,
        table: &LockTable,
        owner: LockOwner,
        name: LockName,
        mode: Mode,
    ) -> bool {
        if mode.is_of_row() {
            if self.names.len() >= ALONE_FROM && self.note_alone(table, owner, name, mode) {
                return true;
            }
        } else if self.table.is_some_and(|(held, held_mode)| held == name && held_mode.covers(mode)) {
            return true;
        }
        match table.try_acquire(owner, name, mode) {
            Some(Taken::New | Taken::Stronger) => self.names.push((name, mode)),
            Some(Taken::Nothing) => {}
            None => return false,
        }
        if !mode.is_of_row() {
            self.table = Some((name, mode));
        }
        true
    }

    /// Takes a lock, waiting if need be.
    ///
    /// # Errors
    /// Those of [`LockTable::acquire`].
    pub(crate) async fn acquire(
        &mut self,
        table: &LockTable,
        owner: LockOwner,
        name: LockName,
        mode: Mode,
        wait: WaitPolicy,
    ) -> Result<()> {
        if self.try_acquire(table, owner, name, mode) {
            return Ok(());
        }
        // Noted before waiting: if the caller drops this future just when the lock is granted, the transaction
        // still gives it back. Releasing what is not held does nothing.
        self.note(name, mode);
        let acquired = table.acquire(owner, name, mode, wait).await;
        if acquired.is_err() {
            self.names.pop();
        }
        acquired.map(|_| ())
    }

    /// Remembers that a lock is to be given back.
    pub(super) fn note(&mut self, name: LockName, mode: Mode) {
        self.names.push((name, mode));
    }

    /// Locks a row of a tree where this transaction is alone; false elsewhere.
    #[inline]
    fn note_alone(&mut self, table: &LockTable, owner: LockOwner, name: LockName, mode: Mode) -> bool {
        let at = self.trees.iter().position(|tree| tree.space == name.space).unwrap_or_else(|| {
            self.trees.push(TreeLocks { space: name.space, asked: 0, alone: None });
            self.trees.len() - 1
        });
        let tree = &mut self.trees[at];
        if tree.alone.is_none() {
            tree.asked = tree.asked.saturating_add(1);
            if !tree.asked.is_power_of_two() {
                return false;
            }
            tree.alone = table.begin_alone(owner, name.space);
        }
        tree.alone.as_ref().is_some_and(|alone| alone.note(name.key, mode))
    }

    /// How far the locks go now.
    pub(crate) fn mark(&self) -> LockMark {
        let alone = self.trees.iter().filter_map(|tree| Some((tree.space, tree.alone.as_ref()?.mark())));
        LockMark { names: self.names.len(), trees: alone.collect() }
    }

    /// Gives those back that were taken since `mark`, and what others were made stronger by.
    pub(crate) fn release_since(&mut self, table: &LockTable, owner: LockOwner, mark: &LockMark) {
        self.table = None;
        let mut taken: Vec<_> = self.names.drain(mark.names.min(self.names.len())..).collect();
        for tree in &self.trees {
            let Some(alone) = &tree.alone else { continue };
            let marked = mark.trees.iter().find(|(space, _)| *space == tree.space);
            taken.extend(alone.cut(tree.space, &marked.map(|(_, mark)| *mark).unwrap_or_default()));
        }
        if taken.is_empty() {
            return;
        }
        // The table has one for several that are alike: it stays if one of them was there before.
        let mut kept: HashSet<(LockName, Mode)> = self.names.iter().copied().collect();
        for tree in &self.trees {
            kept.extend(tree.alone.iter().flat_map(|alone| alone.shared(tree.space)));
        }
        for (name, mode) in taken {
            if !kept.contains(&(name, mode)) {
                table.release_mode(owner, name, mode);
            }
        }
    }

    /// Gives all of them back.
    pub(crate) fn release(&mut self, table: &LockTable, owner: LockOwner) {
        self.table = None;
        for (name, _) in &self.names {
            table.release(owner, *name);
        }
        self.names.clear();
        for tree in std::mem::take(&mut self.trees) {
            if let Some(alone) = tree.alone {
                table.end_alone(tree.space, &alone);
            }
        }
    }
}
