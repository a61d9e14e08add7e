//! Own writes beyond memory: private trees of them.
//!
//! 1. When a transaction has written more than memory allows, everything so far moves to temporary pages, which the cache
//!    evicts like any others ([`Spilled::add`]): for each of the database's trees there is a B+tree of its own.
//! 2. A row of that tree has the key that was written; its value is all *versions* written for the key, newest first, so
//!    that earlier statements and savepoints find theirs.
//! 3. Every write has a sequence number. Rolling back to a savepoint notes a range of them as dead; nothing is searched.
//!    Every move has a number too: one that was given up in its middle leaves versions that do not count, and the writes
//!    are still in memory.
//! 4. A commit moves the rest of its writes here too, then reads the trees in key order.
//!
//! Loads write in key order, so a key behind all others of its tree is not looked for, and goes to the last page with
//! those before it.
//!
//! A version: sequence number (8), statement (4), number of the move (4), kind (1; 1 put, 2 delete), length (4), value. Nothing of this is ever
//! read by another process.

mod pages;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, ControlFlow, Range};
use std::sync::Arc;

use futures_lite::future::yield_now;
use helios_btree::{Direction, Near, ReadPages, Walk, get, walk_leaf};
use helios_bufferpool::{BranchId, PageId, PageKey, Scn, pin};

use crate::apply::{Apply, Stop, Workspace};
use crate::commit::{complete, resolve_stop};
use crate::engine::Engine;
use crate::error::{Error, Fault, Result};
use crate::ids::TreeId;
use crate::large_value::PartialValue;
use crate::view::View;
use crate::write_set::{Change, Operation};

pub(crate) use pages::{TemporaryPages, is_temporary, remove_leftovers};
pub(crate) use rows::OwnRows;

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

/// Gets each visited row, as (key, what was written).
type RowVisitor<'v> = dyn FnMut(&[u8], Change<'_>) -> ControlFlow<()> + 'v;

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

/// The private tree for one of the database's trees.
struct OwnTree {
    /// Its name on the temporary branch.
    id: TreeId,
    /// The last key that was ever put there.
    last_key: Option<Vec<u8>>,
    /// All keys came in order, and so did its pages.
    is_in_order: bool,
}

/// The row that is moved next.
#[derive(Default)]
struct RowAtHand {
    is_there: bool,
    tree: TreeId,
    key: Vec<u8>,
    /// All versions that are to be stored; those that are stored already among them, once `has_older`.
    versions: Vec<u8>,
    has_older: bool,
}

impl RowAtHand {
    /// Takes the next row, if there is one, into the move of this number.
    fn take<'m, V: Iterator<Item = (u64, u32, Change<'m>)>>(
        &mut self,
        moved: u32,
        next: Option<Moved<'m, V>>,
    ) -> bool {
        self.is_there = next.is_some();
        let Some((tree, key, newest_first)) = next else { return false };
        (self.tree, self.has_older) = (tree, false);
        self.key.clear();
        self.key.extend_from_slice(key);
        self.versions.clear();
        for (sequence, statement, change) in newest_first {
            Version { sequence, statement, moved, change }.encode(&mut self.versions);
        }
        true
    }
}

/// Why adding rows stopped between two of them.
enum AddStop {
    Apply(Stop),
    /// What is stored for the row at hand has to be read first.
    Older,
    /// The row at hand has too many versions.
    TooMany,
}

/// A row to be moved here: the tree it belongs to, its key, and the versions written for it.
pub(crate) type Moved<'m, V> = (TreeId, &'m [u8], V);

/// What a transaction wrote before its memory was full.
pub(crate) struct Spilled {
    engine: Arc<Engine>,
    branch: BranchId,
    workspace: Workspace,
    /// The trees that have rows here.
    trees: BTreeMap<TreeId, OwnTree>,
    /// The id of the next private tree: odd, as those of all trees.
    next_tree: u64,
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
        Ok(Spilled {
            engine: engine.clone(),
            branch,
            workspace: Workspace::temporary(PAGES_MAX),
            trees: BTreeMap::new(),
            next_tree: 1,
            created: Vec::new(),
            dead: Vec::new(),
            end: 0,
            rows: 0,
            bytes: 0,
            moves: 0,
            incomplete: BTreeSet::new(),
        })
    }

    /// Takes over everything in memory: `rows` gives keys with their versions (sequence number, statement, change),
    /// newest first; `created` the trees made; all sequence numbers end before `end`. Until it is done, or when it is
    /// given up, nothing has changed.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) async fn add<'m, V: Iterator<Item = (u64, u32, Change<'m>)>>(
        &mut self,
        mut rows: impl Iterator<Item = Moved<'m, V>> + Send,
        created: impl Iterator<Item = (u64, TreeId, u8)> + Send,
        end: u64,
    ) -> Result<()> {
        let engine = self.engine.clone();
        let _turn = engine.temporary.turn.lock().await;
        // Of a move that was given up in its middle.
        complete(&engine, &mut self.workspace, self.branch, SCN).await?;
        self.moves += 1;
        self.incomplete.insert(self.moves);
        let mut row = RowAtHand::default();
        while row.is_there || row.take(self.moves, rows.next()) {
            self.make_tree(row.tree).await?;
            match self.add_rows(&mut row, &mut rows) {
                Ok(()) => {}
                Err(AddStop::Apply(stop)) => resolve_stop(&engine, &mut self.workspace, stop).await?,
                Err(AddStop::Older) => self.read_older(&mut row).await?,
                Err(AddStop::TooMany) => {
                    let text = "one row was written too often in one transaction";
                    return Err(Error::OutOfMemory(text.into()));
                }
            }
            // A move is of some hundred thousand rows, and each stop is behind some thousand at most.
            yield_now().await;
        }
        complete(&engine, &mut self.workspace, self.branch, SCN).await?;
        self.workspace.publish(&engine);
        self.workspace.give_back(&engine);
        self.created.extend(created);
        self.end = end;
        self.incomplete.remove(&self.moves);
        Ok(())
    }

    /// Makes the private tree for `tree`, if there is none yet.
    async fn make_tree(&mut self, tree: TreeId) -> Result<()> {
        if self.trees.contains_key(&tree) {
            return Ok(());
        }
        let id = TreeId(self.next_tree);
        self.next_tree += 2;
        loop {
            let made = {
                let mut apply = Apply::new(&self.engine, &mut self.workspace, self.branch, SCN);
                let made = apply.apply(Operation::CreateTree(id, 100));
                apply.finish();
                made
            };
            match made {
                Ok(()) => break,
                Err(stop) => resolve_stop(&self.engine, &mut self.workspace, stop).await?,
            }
        }
        self.trees.insert(tree, OwnTree { id, last_key: None, is_in_order: true });
        Ok(())
    }

    /// Adds the row at hand and those after it that belong to the same tree, as far as nothing has to be waited for.
    fn add_rows<'m, V: Iterator<Item = (u64, u32, Change<'m>)>>(
        &mut self,
        row: &mut RowAtHand,
        rows: &mut impl Iterator<Item = Moved<'m, V>>,
    ) -> std::result::Result<(), AddStop> {
        let Spilled { engine, workspace, trees, dead, incomplete, .. } = self;
        let tree = row.tree;
        let Some(own) = trees.get_mut(&tree) else { return Ok(()) };
        let mut apply = Apply::new(engine, workspace, self.branch, SCN);
        let mut stopped = Ok(());
        while row.is_there && row.tree == tree {
            let is_last = own.last_key.as_ref().is_none_or(|last| row.key > *last);
            own.is_in_order &= is_last;
            if !is_last && !row.has_older {
                let RowAtHand { key, versions, .. } = row;
                let found = get(&apply, own.id.root(), key, |cell| match cell {
                    Some(cell) if cell.overflow => false,
                    cell => {
                        let stored = cell.map_or(&[][..], |cell| cell.value);
                        append_older(stored, versions, |version| is_dead(dead, incomplete, version));
                        true
                    }
                });
                row.has_older = matches!(found, Ok(true));
                if !row.has_older {
                    stopped = Err(AddStop::Older);
                    break;
                }
            }
            if u32::try_from(row.versions.len()).is_err() {
                stopped = Err(AddStop::TooMany);
                break;
            }
            let change = Operation::Change(own.id, &row.key, Change::Put(&row.versions));
            if let Err(stop) = apply.apply(change) {
                stopped = Err(AddStop::Apply(stop));
                break;
            }
            self.rows += 1;
            self.bytes += (row.key.len() + row.versions.len()) as u64;
            if is_last {
                std::mem::swap(own.last_key.get_or_insert_default(), &mut row.key);
            }
            row.take(self.moves, rows.next());
        }
        apply.finish();
        stopped
    }

    /// Takes over the versions that are stored for the row at hand, waiting for their pages.
    async fn read_older(&mut self, row: &mut RowAtHand) -> Result<()> {
        let Some(root) = self.trees.get(&row.tree).map(|own| own.id.root()) else { return Ok(()) };
        let mut partial = PartialValue::default();
        loop {
            // What this call has written so far is published only from time to time.
            let attempt = {
                let apply = Apply::new(&self.engine, &mut self.workspace, self.branch, SCN);
                let stored = read_versions(&apply, root, &row.key, &mut partial);
                apply.finish();
                stored
            };
            match attempt {
                Ok(stored) => {
                    let stored = stored.as_deref().unwrap_or_default();
                    append_older(stored, &mut row.versions, |version| self.is_dead(version));
                    row.has_older = true;
                    return Ok(());
                }
                Err(fault) => self.engine.resolve(fault).await?,
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
        is_dead(&self.dead, &self.incomplete, version)
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
        self.trees.contains_key(&tree)
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
        let Some(own) = self.trees.get(&tree) else { return Ok(None) };
        read_versions(&self.view(), own.id.root(), key, partial)
    }

    /// Resolves a fault of reading a whole tree in order.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) async fn resolve_in_order(&self, tree: TreeId, fault: Fault) -> Result<()> {
        match self.trees.get(&tree) {
            Some(own) if own.is_in_order => self.engine.resolve_ahead(fault).await,
            _ => self.engine.resolve(fault).await,
        }
    }

    /// The trees that there are rows of, in order.
    pub(crate) fn trees(&self) -> impl Iterator<Item = TreeId> {
        self.trees.keys().copied()
    }

    /// Visits the rows of a tree that statements before `before_statement` wrote, at most those of one page, from `bound`
    /// on; tells where to go on. A page that misses behind the first row ends the walk there, so that large rows never
    /// start each other over.
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
        visit: &mut RowVisitor<'_>,
    ) -> std::result::Result<Walk, Fault> {
        let Some(own) = self.trees.get(&tree) else { return Ok(Walk::End) };
        let view = self.view();
        let mut fault = None;
        let mut key = Vec::new();
        let mut visited = false;
        let walk = walk_leaf(
            &view,
            own.id.root(),
            &mut Near::default(),
            bound,
            &Bound::Unbounded,
            direction,
            |prefix, suffix, cell| {
                let chained;
                let row = if cell.overflow {
                    match partial.read(&view, cell.value) {
                        Ok(row) => chained = row,
                        Err(missing) => {
                            fault = Some(missing);
                            return ControlFlow::Break(());
                        }
                    }
                    &chained
                } else {
                    cell.value
                };
                key.clear();
                key.extend_from_slice(prefix);
                key.extend_from_slice(suffix);
                visited = true;
                match self.visible(row, before_statement) {
                    Some(change) => visit(&key, change),
                    None => ControlFlow::Continue(()),
                }
            },
        )?;
        match fault {
            Some(fault) if !visited => Err(fault),
            // Behind the last one visited.
            Some(_) => Ok(Walk::At(Bound::Excluded(key))),
            None => Ok(walk),
        }
    }
}

impl Drop for Spilled {
    fn drop(&mut self) {
        let engine = &self.engine;
        self.workspace.discard(engine);
        self.workspace.give_back(engine);
        let guard = pin();
        let roots = (1..self.next_tree).step_by(2);
        for page in roots.chain((2..self.workspace.next_page).step_by(2)) {
            let key = PageKey::new(self.branch, PageId(page));
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

fn is_dead(dead: &[Range<u64>], incomplete: &BTreeSet<u32>, version: &Version<'_>) -> bool {
    let after = dead.partition_point(|range| range.start <= version.sequence);
    let rolled_back = after > 0 && version.sequence < dead[after - 1].end;
    rolled_back || incomplete.contains(&version.moved)
}

/// Appends what was stored for a key before, but for what does not count.
fn append_older(stored: &[u8], versions: &mut Vec<u8>, is_dead: impl Fn(&Version<'_>) -> bool) {
    Versions(stored).filter(|version| !is_dead(version)).for_each(|version| version.encode(versions));
}

/// All that a private tree has for a key.
fn read_versions<P: ReadPages<Fault = Fault>>(
    pages: &P,
    root: PageId,
    key: &[u8],
    partial: &mut PartialValue,
) -> std::result::Result<Option<Vec<u8>>, Fault> {
    let stored = get(pages, root, key, |cell| cell.map(|cell| (cell.overflow, cell.value.to_vec())))?;
    match stored {
        Some((true, pointer)) => partial.read(pages, &pointer).map(Some),
        Some((false, versions)) => Ok(Some(versions)),
        None => Ok(None),
    }
}
