//! A place in a tree where no rows are, remembered by a transaction that inserts.
//!
//! Whether a new key is taken is looked up in the newest committed state, under the key's lock. Loads put one key after
//! the other between the same two neighbours, often behind the last row: as long as nothing is committed, it need not
//! be looked up again that nothing is there.

use helios_btree::Gap;
use helios_bufferpool::Scn;

use crate::engine::Engine;
use crate::error::Fault;
use crate::ids::{BranchId, TreeId};
use crate::view::View;

/// Between which rows of a tree the last key that was free is.
pub(crate) struct KnownGap {
    tree: TreeId,
    /// As of when.
    scn: Scn,
    gap: Gap,
}

impl KnownGap {
    /// Whether a key has a committed row as of `scn`, the newest commit; `known` may tell, and is told.
    ///
    /// # Errors
    /// The fault of a missing page.
    #[inline]
    pub(crate) fn is_taken(
        known: &mut Option<Box<KnownGap>>,
        engine: &Engine,
        branch: BranchId,
        scn: Scn,
        tree: TreeId,
        key: &[u8],
    ) -> Result<bool, Fault> {
        if let Some(known) = known
            && (known.tree, known.scn) == (tree, scn)
            && known.gap.holds(key)
        {
            return Ok(false);
        }
        let known = known.get_or_insert_with(|| Box::new(KnownGap { tree, scn, gap: Gap::default() }));
        // Nothing is known where this ends in a fault.
        known.scn = Scn::MAX;
        let taken =
            helios_btree::find_gap(&View::new(engine, branch, scn), tree.root(), key, &mut known.gap)?;
        if !taken {
            (known.tree, known.scn) = (tree, scn);
        }
        Ok(taken)
    }
}
