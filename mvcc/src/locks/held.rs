//! The locks of one transaction.

use std::sync::Arc;

use super::alone::Alone;
use super::{LockName, LockOwner, LockSpace, LockTable, Mode};
use crate::error::Result;
use crate::ids::WaitPolicy;

/// With so many locks in the table a transaction asks to be alone in the trees where it locks more; where it may not be,
/// again whenever it has asked the table twice as often.
const ALONE_FROM: usize = if cfg!(test) { 2 } else { 64 };

/// What a transaction holds, to give it back in the end.
#[derive(Default)]
pub(crate) struct HeldLocks {
    names: Vec<LockName>,
    /// The table lock taken last: the next statement is likely to want it too.
    table: Option<(LockName, Mode)>,
    trees: Vec<TreeLocks>,
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
            Some(true) => self.names.push(name),
            Some(false) => {}
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
        self.names.push(name);
        table.acquire(owner, name, mode, wait).await?;
        Ok(())
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

    /// Gives all of them back.
    pub(crate) fn release(&mut self, table: &LockTable, owner: LockOwner) {
        self.table = None;
        for name in self.names.drain(..) {
            table.release(owner, name);
        }
        for tree in self.trees.drain(..) {
            if let Some(alone) = tree.alone {
                table.end_alone(tree.space, &alone);
            }
        }
    }
}
