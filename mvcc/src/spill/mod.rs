//! Own writes beyond memory: a private tree of them.
//!
//! 1. When a transaction has written more than memory allows, everything so far moves into a B+tree of its own on
//!    temporary pages, which the cache evicts like any others ([`Spilled::add`]).
//! 2. A row of that tree is a key of one of the database's trees (tree id, big-endian, then the key); its value is all
//!    *versions* written for the key, newest first, so that earlier statements and savepoints find theirs.
//! 3. Every write has a sequence number. Rolling back to a savepoint notes a range of them as dead; nothing is searched.
//!    Every move has a number too: one that was given up in its middle leaves versions that do not count, and the writes
//!    are still in memory.
//! 4. A commit moves the rest of its writes here too, then reads the tree in key order.
//!
//! A version: sequence number (8), statement (4), number of the move (4), kind (1; 1 put, 2 delete), length (4), value. Nothing of this is ever
//! read by another process.

mod pages;
mod rows;

use std::collections::BTreeSet;
use std::ops::{Bound, ControlFlow, Range};
use std::sync::Arc;

use helios_btree::{Direction, LeafCell, Near, Walk, get, walk_leaf};
use helios_bufferpool::{BranchId, PageId, PageKey, Scn, pin};

use crate::apply::{Apply, Workspace};
use crate::commit::{complete, resolve_stop};
use crate::engine::Engine;
use crate::error::{Error, Fault, Result};
use crate::ids::TreeId;
use crate::large_value::PartialValue;
use crate::view::View;
use crate::write_set::{Change, Operation};

pub(crate) use pages::{TemporaryPages, is_temporary, remove_leftovers};
pub(crate) use rows::OwnRows;

/// The tree's own name on its branch.
const TREE: TreeId = TreeId(1);
/// All its pages are of one commit, which nobody goes back behind.
const SCN: Scn = Scn(1);
/// Private copies published at once: fewer than a commit has, because a commit must not lack frames for this.
const PAGES_MAX: usize = 32;
const VERSION_BYTES: usize = 21;
const PUT: u8 = 1;
const DELETE: u8 = 2;

/// An own write, by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OwnedChange {
    Put(Vec<u8>),
    Delete,
}

/// One version of a row.
#[derive(Clone, Copy, Debug)]
struct Version<'a> {
    sequence: u64,
    statement: u32,
    moved: u32,
    change: Change<'a>,
}

/// Gets each visited row, as (tree, key, what was written).
type RowVisitor<'v> = dyn FnMut(TreeId, &[u8], OwnedChange) -> ControlFlow<()> + 'v;
/// Gets each visited row, as (tree, key, versions).
type VersionsVisitor<'v> = dyn FnMut(TreeId, &[u8], &[u8]) -> ControlFlow<()> + 'v;

/// Walks over the versions of a row, newest first.
struct Versions<'a>(&'a [u8]);

impl<'a> Iterator for Versions<'a> {
    type Item = Version<'a>;

    fn next(&mut self) -> Option<Version<'a>> {
        let (header, rest) = self.0.split_first_chunk::<VERSION_BYTES>()?;
        let length = u32::from_le_bytes(header[17..21].try_into().expect("four bytes")) as usize;
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(Version {
            sequence: u64::from_le_bytes(header[..8].try_into().expect("eight bytes")),
            statement: u32::from_le_bytes(header[8..12].try_into().expect("four bytes")),
            moved: u32::from_le_bytes(header[12..16].try_into().expect("four bytes")),
            change: if header[16] == PUT { Change::Put(value) } else { Change::Delete },
        })
    }
}

impl Version<'_> {
    /// Appends it to a row.
    fn encode(&self, out: &mut Vec<u8>) {
        let (kind, value) = match self.change {
            Change::Put(value) => (PUT, value),
            Change::Delete => (DELETE, &[][..]),
        };
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.statement.to_le_bytes());
        out.extend_from_slice(&self.moved.to_le_bytes());
        out.push(kind);
        out.extend_from_slice(&(value.len() as u32).to_le_bytes());
        out.extend_from_slice(value);
    }
}

/// What a transaction wrote before its memory was full.
pub(crate) struct Spilled {
    engine: Arc<Engine>,
    branch: BranchId,
    workspace: Workspace,
    /// Trees that have rows here.
    trees: BTreeSet<TreeId>,
    /// Trees that were made, by sequence number, with their fill factors.
    created: Vec<(u64, TreeId, u8)>,
    /// Sequence numbers rolled back: ascending, apart from each other.
    dead: Vec<Range<u64>>,
    /// All writes from here on are in memory.
    end: u64,
    /// Rows and bytes of keys and values, rolled back ones included.
    rows: u64,
    bytes: u64,
    /// Moves so far, and those of them that were not completed.
    moves: u32,
    incomplete: BTreeSet<u32>,
}

impl Spilled {
    /// # Errors
    /// Those of the device.
    pub(crate) async fn new(engine: &Arc<Engine>) -> Result<Spilled> {
        let branch = engine.temporary.begin().await?;
        let mut spilled = Spilled {
            engine: engine.clone(),
            branch,
            workspace: Workspace::temporary(PAGES_MAX),
            trees: BTreeSet::new(),
            created: Vec::new(),
            dead: Vec::new(),
            end: 0,
            rows: 0,
            bytes: 0,
            moves: 0,
            incomplete: BTreeSet::new(),
        };
        spilled.change(Operation::CreateTree(TREE, 100)).await?;
        spilled.workspace.publish(engine);
        Ok(spilled)
    }

    /// Takes over everything in memory: `rows` gives keys with their versions (sequence number, statement, change),
    /// newest first; `created` the trees made; all sequence numbers end before `end`. Until it is done, or when it is
    /// given up, nothing has changed.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) async fn add<'m, V: Iterator<Item = (u64, u32, Change<'m>)>>(
        &mut self,
        rows: impl Iterator<Item = (TreeId, &'m [u8], V)> + Send,
        created: impl Iterator<Item = (u64, TreeId, u8)> + Send,
        end: u64,
    ) -> Result<()> {
        let engine = self.engine.clone();
        let _turn = engine.temporary.turn.lock().await;
        // Of a move that was given up in its middle.
        complete(&engine, &mut self.workspace, self.branch, SCN).await?;
        self.moves += 1;
        let moved = self.moves;
        self.incomplete.insert(moved);
        let (mut name, mut versions) = (Vec::new(), Vec::new());
        for (tree, key, newest_first) in rows {
            versions.clear();
            for (sequence, statement, change) in newest_first {
                Version { sequence, statement, moved, change }.encode(&mut versions);
            }
            self.trees.insert(tree);
            self.rows += 1;
            self.bytes += (key.len() + versions.len()) as u64;
            row_name(tree, key, &mut name);
            self.append_older(&name, &mut versions).await?;
            if u32::try_from(versions.len()).is_err() {
                return Err(Error::OutOfMemory("one row was written too often in one transaction".into()));
            }
            self.change(Operation::Change(TREE, &name, Change::Put(&versions))).await?;
        }
        complete(&engine, &mut self.workspace, self.branch, SCN).await?;
        self.workspace.publish(&engine);
        self.workspace.give_back(&engine);
        self.created.extend(created);
        self.end = end;
        self.incomplete.remove(&moved);
        Ok(())
    }

    /// Appends the versions that a row has already, but for those rolled back.
    async fn append_older(&mut self, name: &[u8], versions: &mut Vec<u8>) -> Result<()> {
        let mut partial = PartialValue::default();
        loop {
            // What this call has written so far is published only from time to time.
            let attempt = {
                let apply = Apply::new(&self.engine, &mut self.workspace, self.branch, SCN);
                let found = get(&apply, TREE.root(), name, |cell| cell.map(row_of));
                let row = match found {
                    Ok(Some(Row::Chain(pointer))) => partial.read(&apply, &pointer).map(Some),
                    Ok(Some(Row::Inline(row))) => Ok(Some(row)),
                    Ok(None) => Ok(None),
                    Err(fault) => Err(fault),
                };
                apply.finish();
                row
            };
            match attempt {
                Ok(row) => {
                    for version in Versions(row.as_deref().unwrap_or_default()) {
                        if !self.is_dead(&version) {
                            version.encode(versions);
                        }
                    }
                    return Ok(());
                }
                Err(fault) => self.engine.resolve(fault).await?,
            }
        }
    }

    async fn change(&mut self, operation: Operation<'_>) -> Result<()> {
        loop {
            let result = {
                let mut apply = Apply::new(&self.engine, &mut self.workspace, self.branch, SCN);
                let result = apply.apply(operation);
                apply.finish();
                result
            };
            match result {
                Ok(()) => return Ok(()),
                Err(stop) => resolve_stop(&self.engine, &mut self.workspace, stop).await?,
            }
        }
    }

    /// Rolls back what was written from `mark` on; `next` is the next sequence number.
    pub(crate) fn cut(&mut self, mark: u64, next: u64) {
        if mark >= self.end {
            return;
        }
        self.created.retain(|(sequence, ..)| *sequence < mark);
        // Ranges begin at savepoints, and a later one never reaches back over part of an earlier one's savepoint.
        self.dead.retain(|range| range.start < mark);
        match self.dead.last_mut() {
            Some(last) if last.end >= mark => last.end = next,
            _ => self.dead.push(mark..next),
        }
    }

    fn is_dead(&self, version: &Version<'_>) -> bool {
        let after = self.dead.partition_point(|range| range.start <= version.sequence);
        let rolled_back = after > 0 && version.sequence < self.dead[after - 1].end;
        rolled_back || self.incomplete.contains(&version.moved)
    }

    /// Whether this transaction made the tree.
    pub(crate) fn created(&self, tree: TreeId) -> bool {
        self.created.iter().any(|(_, created, _)| *created == tree)
    }

    /// The trees made, in order.
    pub(crate) fn trees_created(&self) -> impl Iterator<Item = (TreeId, u8)> {
        self.created.iter().map(|(_, tree, fill_percent)| (*tree, *fill_percent))
    }

    /// Whether there may be rows of this tree.
    pub(crate) fn touches(&self, tree: TreeId) -> bool {
        self.trees.contains(&tree)
    }

    /// Bytes of keys and values, and how many rows, at most.
    pub(crate) fn size(&self) -> (u64, u64) {
        (self.bytes, self.rows)
    }

    fn view(&self) -> View<'_> {
        View::new(&self.engine, self.branch, Scn::MAX)
    }

    /// The newest version that statements before `before_statement` wrote and nothing rolled back.
    fn visible<'v>(&self, row: &'v [u8], before_statement: u32) -> Option<Change<'v>> {
        Versions(row)
            .find(|version| version.statement < before_statement && !self.is_dead(version))
            .map(|version| version.change)
    }

    /// What statements before `before_statement` wrote for a key, if anything. `partial` is kept from fault to fault.
    ///
    /// # Errors
    /// The fault of a missing page.
    pub(crate) fn get(
        &self,
        tree: TreeId,
        key: &[u8],
        before_statement: u32,
        partial: &mut PartialValue,
    ) -> std::result::Result<Option<OwnedChange>, Fault> {
        let row = self.versions(tree, key, partial)?;
        Ok(row.and_then(|row| self.visible(&row, before_statement).map(OwnedChange::from)))
    }

    /// The statement that wrote a key last, if one did. `partial` is kept from fault to fault.
    ///
    /// # Errors
    /// The fault of a missing page.
    pub(crate) fn writer(
        &self,
        tree: TreeId,
        key: &[u8],
        partial: &mut PartialValue,
    ) -> std::result::Result<Option<u32>, Fault> {
        let row = self.versions(tree, key, partial)?;
        let newest = |row: &[u8]| Versions(row).find(|version| !self.is_dead(version)).map(|it| it.statement);
        Ok(row.and_then(|row| newest(&row)))
    }

    /// All that was written for a key.
    fn versions(
        &self,
        tree: TreeId,
        key: &[u8],
        partial: &mut PartialValue,
    ) -> std::result::Result<Option<Vec<u8>>, Fault> {
        if !self.touches(tree) {
            return Ok(None);
        }
        let mut name = Vec::new();
        row_name(tree, key, &mut name);
        let view = self.view();
        match get(&view, TREE.root(), &name, |cell| cell.map(row_of))? {
            None => Ok(None),
            Some(Row::Inline(row)) => Ok(Some(row)),
            Some(Row::Chain(pointer)) => partial.read(&view, &pointer).map(Some),
        }
    }

    /// Visits the rows of a tree that statements before `before_statement` wrote, at most those of one page, from `bound`
    /// on; tells where to go on.
    ///
    /// # Errors
    /// The fault of a missing page; nothing was visited then.
    pub(crate) fn walk(
        &self,
        tree: TreeId,
        bound: &Bound<Vec<u8>>,
        direction: Direction,
        before_statement: u32,
        partial: &mut PartialValue,
        visit: &mut dyn FnMut(&[u8], OwnedChange) -> ControlFlow<()>,
    ) -> std::result::Result<Walk, Fault> {
        if !self.touches(tree) {
            return Ok(Walk::End);
        }
        let start = own_bound(tree, bound, direction);
        let mut ended = false;
        let walk = self.walk_rows(&start, direction, partial, &mut |row_tree, key, row| {
            if row_tree != tree {
                ended = true;
                return ControlFlow::Break(());
            }
            match self.visible(row, before_statement) {
                Some(change) => visit(key, change.into()),
                None => ControlFlow::Continue(()),
            }
        })?;
        match walk {
            Walk::At(bound) if !ended => Ok(without_tree(tree, bound).map_or(Walk::End, Walk::At)),
            _ => Ok(Walk::End),
        }
    }

    /// Visits all rows of all trees in order, at most those of one page, from `bound` on; tells where to go on.
    ///
    /// # Errors
    /// As [`Spilled::walk`].
    pub(crate) fn walk_all(
        &self,
        bound: &Bound<Vec<u8>>,
        partial: &mut PartialValue,
        visit: &mut RowVisitor<'_>,
    ) -> std::result::Result<Walk, Fault> {
        self.walk_rows(bound, Direction::Forward, partial, &mut |tree, key, row| match self
            .visible(row, u32::MAX)
        {
            Some(change) => visit(tree, key, change.into()),
            None => ControlFlow::Continue(()),
        })
    }

    /// Visits rows of the private tree, taken apart into tree, key and versions. A page that misses behind the first
    /// row ends the walk there, so that large rows never start each other over.
    fn walk_rows(
        &self,
        bound: &Bound<Vec<u8>>,
        direction: Direction,
        partial: &mut PartialValue,
        visit: &mut VersionsVisitor<'_>,
    ) -> std::result::Result<Walk, Fault> {
        let view = self.view();
        let mut fault = None;
        let mut name = Vec::new();
        let mut visited = false;
        let walk = walk_leaf(
            &view,
            TREE.root(),
            &mut Near::default(),
            bound,
            &Bound::Unbounded,
            direction,
            |prefix, suffix, cell| {
                let row = match row_of(cell) {
                    Row::Inline(row) => row,
                    Row::Chain(pointer) => match partial.read(&view, &pointer) {
                        Ok(row) => row,
                        Err(missing) => {
                            fault = Some(missing);
                            return ControlFlow::Break(());
                        }
                    },
                };
                name.clear();
                name.extend_from_slice(prefix);
                name.extend_from_slice(suffix);
                visited = true;
                match name.split_first_chunk::<8>() {
                    Some((tree, key)) => visit(TreeId(u64::from_be_bytes(*tree)), key, &row),
                    None => ControlFlow::Continue(()),
                }
            },
        )?;
        match fault {
            Some(fault) if !visited => Err(fault),
            Some(_) => Ok(Walk::At(Bound::Excluded(name))),
            None => Ok(walk),
        }
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }
}

impl Drop for Spilled {
    fn drop(&mut self) {
        let engine = &self.engine;
        self.workspace.discard(engine);
        self.workspace.give_back(engine);
        let guard = pin();
        let pages = std::iter::once(TREE.root()).chain((2..self.workspace.next_page).step_by(2).map(PageId));
        for page in pages {
            let key = PageKey::new(self.branch, page);
            if let Some(frame) = engine.pool.peek(&guard, key, Scn::MAX) {
                frame.mark_clean();
                engine.pool.remove_clean(key, frame.stamp());
            }
        }
        drop(guard);
        engine.temporary.end(self.branch);
    }
}

impl From<Change<'_>> for OwnedChange {
    fn from(change: Change<'_>) -> OwnedChange {
        match change {
            Change::Put(value) => OwnedChange::Put(value.to_vec()),
            Change::Delete => OwnedChange::Delete,
        }
    }
}

/// What a leaf has for a row.
enum Row {
    Inline(Vec<u8>),
    Chain([u8; 16]),
}

fn row_of(cell: LeafCell<'_>) -> Row {
    match <[u8; 16]>::try_from(cell.value) {
        Ok(pointer) if cell.overflow => Row::Chain(pointer),
        _ => Row::Inline(cell.value.to_vec()),
    }
}

fn row_name(tree: TreeId, key: &[u8], name: &mut Vec<u8>) {
    name.clear();
    name.extend_from_slice(&tree.0.to_be_bytes());
    name.extend_from_slice(key);
}

/// A place in `tree`, as a place in the private tree.
fn own_bound(tree: TreeId, bound: &Bound<Vec<u8>>, direction: Direction) -> Bound<Vec<u8>> {
    let named = |key: &[u8]| {
        let mut name = Vec::new();
        row_name(tree, key, &mut name);
        name
    };
    match (bound, direction) {
        (Bound::Included(key), _) => Bound::Included(named(key)),
        (Bound::Excluded(key), _) => Bound::Excluded(named(key)),
        (Bound::Unbounded, Direction::Forward) => Bound::Included(named(&[])),
        (Bound::Unbounded, Direction::Backward) => Bound::Excluded((tree.0 + 1).to_be_bytes().to_vec()),
    }
}

/// The reverse; `None` for a place in another tree.
fn without_tree(tree: TreeId, bound: Bound<Vec<u8>>) -> Option<Bound<Vec<u8>>> {
    let strip = |name: &[u8]| name.strip_prefix(&tree.0.to_be_bytes()[..]).map(<[u8]>::to_vec);
    match bound {
        Bound::Included(name) => strip(&name).map(Bound::Included),
        Bound::Excluded(name) => strip(&name).map(Bound::Excluded),
        Bound::Unbounded => None,
    }
}
