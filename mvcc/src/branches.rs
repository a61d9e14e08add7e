//! Branches: which there are, where each left its parent, and how it reads what it has not changed itself.
//!
//! 1. A branch is a row of the system branch, so creating one costs the same whatever it branches off.
//! 2. What it has not written it reads from the ancestor that has, as of where the branches parted
//!    ([`Engine::inherit`]). Such a page is loaded under the branch's own name, so that only the first read goes the
//!    long way, and any number of levels costs nothing twice.
//! 3. Reads at or before that point belong to the parent altogether ([`Store::origin_of`]): so a branch's own
//!    versions are all later, and its history ends where it began.
//! 4. A branch that is dropped stays, hidden, while others descend from it. After that its pages are removed from the
//!    data file, between two checkpoints; its row goes last, so that an interrupted removal is taken up again.
//!
//! A row: key class (1), branch (8, big-endian). Value, big-endian: parent (8, 0 for none), SCN of the branch point (8),
//! root (8), time of creation in µs since 1970 (8), state (1: 0 live, 1 dropped), name, number of options (4), for
//! each name and value; strings behind their length (4). The first database's branch has a row only once something of it
//! changed.

use std::collections::HashMap;
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::atomic::Ordering;

use helios_btree::ReadPages;
use helios_bufferpool::{PageKey, page, pin};
use parking_lot::Mutex;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::ids::{BranchId, Isolation, LockMode, Scn, TreeId, WaitPolicy};
use crate::scan::{KeyRange, ScanStep};
use crate::snapshot::Snapshot;
use crate::store::Store;
use crate::transaction::{Transaction, lookup};
use crate::view::View;

/// The class of the rows of branches in the system branch's first tree.
const CLASS: u8 = 48;
/// Images of a dropped branch that one checkpoint removes.
const REMOVED_AT_ONCE: usize = 100_000;
/// What the first branch of the first database is called until it is renamed.
const MAIN: &str = "main";

/// A branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Its number.
    pub id: BranchId,
    /// Its name, unique among those of its root.
    pub name: String,
    /// The branch that its database began with; its own number for that one.
    pub root: BranchId,
    /// Where it left its parent; `None` for the first branch of all.
    pub origin: Option<Snapshot>,
    /// When it was made, µs since 1970.
    pub created_micros: u64,
    /// Names and values that are kept with it.
    pub options: Vec<(String, String)>,
    /// It lives on for the sake of those that descend from it.
    pub is_dropped: bool,
}

/// What a new branch is to be.
#[derive(Clone, Debug)]
pub struct NewBranch {
    /// Its name.
    pub name: String,
    /// What it begins with.
    pub origin: Snapshot,
    /// The first branch of its database; `None` where it is to be that itself.
    pub root: Option<BranchId>,
    /// Names and values that are kept with it.
    pub options: Vec<(String, String)>,
}

impl Store {
    /// All branches, those that are dropped and still needed among them, by number.
    ///
    /// # Errors
    /// Those of reading pages; [`Error::Corruption`].
    pub async fn branches(&self) -> Result<Vec<Branch>> {
        let mut reader = self.begin(BranchId::SYSTEM, Isolation::ReadCommitted);
        reader.begin_statement();
        read_branches(&reader).await
    }

    /// Makes a branch, and writes with it the rows of the system branch's first tree that `rows` gives for its number.
    ///
    /// # Errors
    /// [`Error::DuplicateBranch`]; [`Error::NoSuchScn`] for an origin that is not visible yet, [`Error::TooOld`] for one that
    /// was cut; those of committing.
    pub async fn create_branch(
        &self,
        new: NewBranch,
        rows: impl FnOnce(BranchId) -> Vec<(Vec<u8>, Vec<u8>)> + Send,
    ) -> Result<Branch> {
        let newest = self.visible_scn();
        if new.origin.scn > newest {
            return Err(Error::NoSuchScn { scn: new.origin.scn, newest });
        }
        let origin = self.origin_of(new.origin).await?;
        let (mut transaction, all) = self.begin_branch_change().await?;
        check_name(&all, new.root, &new.name)?;
        let engine = self.engine();
        // No history is cut now, and the new branch is known to the next cut.
        engine.check_kept(origin.branch, origin.scn)?;
        let id = BranchId(engine.next_branch.fetch_add(1, Ordering::Relaxed));
        let branch = Branch {
            id,
            name: new.name,
            root: new.root.unwrap_or(id),
            origin: Some(origin),
            created_micros: engine.clock.now_micros(),
            options: new.options,
            is_dropped: false,
        };
        transaction.put(TreeId::CATALOG, &row_key(id), &encode(&branch))?;
        for (key, value) in rows(id) {
            transaction.put(TreeId::CATALOG, &key, &value)?;
        }
        transaction.commit().await?;
        Ok(branch)
    }

    /// Gives a branch another name.
    ///
    /// # Errors
    /// [`Error::NoSuchBranch`], [`Error::DuplicateBranch`]; those of committing.
    pub async fn rename_branch(&self, id: BranchId, name: &str) -> Result<()> {
        let (mut transaction, all) = self.begin_branch_change().await?;
        let mut branch = live(&all, id)?;
        check_name(&all, Some(branch.root), name)?;
        branch.name = name.to_string();
        transaction.put(TreeId::CATALOG, &row_key(id), &encode(&branch))?;
        transaction.commit().await?;
        Ok(())
    }

    /// Drops a branch that nobody uses any more. What only it held is given back by [`Store::remove_dropped`].
    ///
    /// # Errors
    /// [`Error::NoSuchBranch`]; those of committing.
    pub async fn drop_branch(&self, id: BranchId) -> Result<()> {
        let (mut transaction, all) = self.begin_branch_change().await?;
        let mut branch = live(&all, id)?;
        branch.is_dropped = true;
        transaction.mark_giving_room();
        transaction.put(TreeId::CATALOG, &row_key(id), &encode(&branch))?;
        transaction.commit().await?;
        Ok(())
    }

    /// Gives back the space of dropped branches from which no other descends.
    ///
    /// # Errors
    /// Those of the device; what is not removed then is the next time.
    pub async fn remove_dropped(&self) -> Result<()> {
        let _one_at_a_time = self.engine().removing_branches.lock().await;
        loop {
            let all = self.branches().await?;
            let has_children = |id: BranchId| {
                all.iter().any(|branch| branch.origin.is_some_and(|origin| origin.branch == id))
            };
            // The first database's branch keeps what belongs to the folder as a whole.
            let is_needed = |branch: &Branch| branch.id == BranchId::MAIN || has_children(branch.id);
            let gone: Vec<BranchId> = all
                .iter()
                .filter(|branch| branch.is_dropped && !is_needed(branch))
                .map(|branch| branch.id)
                .collect();
            if gone.is_empty() {
                return Ok(());
            }
            // What of them is in memory alone goes to the data file, and nothing is added afterwards.
            self.checkpoint().await?;
            for id in &gone {
                while self.engine().file.remove_branch(*id, REMOVED_AT_ONCE).await? > 0 {
                    self.checkpoint().await?;
                }
            }
            let (mut transaction, _) = self.begin_branch_change().await?;
            for id in gone {
                transaction.delete(TreeId::CATALOG, &row_key(id))?;
            }
            transaction.commit().await?;
        }
    }

    /// Bytes that each branch has of its own: images of pages, their history, and pages that were not written yet.
    pub fn branch_sizes(&self) -> HashMap<BranchId, u64> {
        let engine = self.engine();
        let bytes = engine.file.branch_bytes().into_iter();
        let mut sizes: HashMap<_, _> = bytes
            .map(|(branch, bytes)| (branch, u64::try_from(bytes.newest + bytes.history).unwrap_or(0)))
            .collect();
        let page_bytes = engine.pool.page_size() as u64;
        for key in &*engine.dirty.lock() {
            *sizes.entry(key.branch).or_default() += page_bytes;
        }
        sizes
    }

    /// Bytes of pages that a branch reads from its ancestors: the newest images of those, less the pages that it, or an
    /// ancestor in between, has itself. Pages that an ancestor got since are among them. It costs the pages that
    /// the branch, and those in between, have themselves.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn shared_bytes(&self, branch: BranchId) -> Result<u64> {
        let mut line = vec![branch];
        while let Some(last) = line.last().copied()
            && let Some(origin) = self.engine().origin(last).await?
        {
            line.push(origin.branch);
        }
        let file = &self.engine().file;
        let bytes = file.branch_bytes();
        let mut shared = 0u64;
        for ancestor in &line[1..] {
            shared += bytes.get(ancestor).map_or(0, |bytes| u64::try_from(bytes.newest).unwrap_or(0));
        }
        for at in 0..line.len() - 1 {
            shared = shared.saturating_sub(file.hidden_bytes(line[at], &line[at + 1..]).await?);
        }
        Ok(shared)
    }

    /// The branch that a read belongs to: where a branch is asked for what was before it began, its parent, or the
    /// parent of that.
    ///
    /// # Errors
    /// Those of reading pages.
    pub async fn origin_of(&self, mut snapshot: Snapshot) -> Result<Snapshot> {
        while let Some(origin) = self.engine().origin(snapshot.branch).await? {
            if snapshot.scn > origin.scn {
                break;
            }
            snapshot.branch = origin.branch;
        }
        Ok(snapshot)
    }

    /// A transaction that changes branches, and the branches there are: one at a time, until it ends.
    pub(crate) async fn begin_branch_change(&self) -> Result<(Transaction, Vec<Branch>)> {
        let mut transaction = self.begin(BranchId::SYSTEM, Isolation::ReadCommitted);
        transaction.begin_statement();
        transaction.lock_row(TreeId::CATALOG, &[CLASS], LockMode::Update, WaitPolicy::Block).await?;
        // What those did who held the lock before is visible now.
        transaction.begin_statement();
        let all = read_branches(&transaction).await?;
        Ok((transaction, all))
    }

    /// Gives the first branch a row, for what is else read off the past.
    pub(crate) fn write_first_branch(transaction: &mut Transaction, all: &[Branch]) -> Result<()> {
        let mut first = all.iter().filter(|branch| branch.id == BranchId::MAIN);
        first.try_for_each(|first| transaction.put(TreeId::CATALOG, &row_key(first.id), &encode(first)))
    }
}

impl Engine {
    /// Where a branch left its parent.
    ///
    /// # Errors
    /// Those of reading pages; [`Error::Corruption`].
    pub(crate) async fn origin(&self, branch: BranchId) -> Result<Option<Snapshot>> {
        if branch <= BranchId::MAIN {
            return Ok(None);
        }
        if let Some(known) = self.origins.read().get(&branch) {
            return Ok(*known);
        }
        let key = row_key(branch);
        let partial = Mutex::default();
        let row = loop {
            let attempt = lookup(self, BranchId::SYSTEM, Scn::MAX, TreeId::CATALOG, &key, &partial, |row| {
                row.map(|row| decode(branch, &row))
            });
            match attempt {
                Ok((row, _)) => break row.transpose()?,
                Err(fault) => Box::pin(self.resolve(fault)).await?,
            }
        };
        // A branch without a row was removed, or is being made: nothing is known for good.
        let Some(row) = row else { return Ok(None) };
        self.origins.write().insert(branch, row.origin);
        Ok(row.origin)
    }

    /// Fills `bytes` with a page that the branch has not written itself, as it found it where it left the ancestor
    /// that has; false if none has.
    pub(crate) fn inherit<'e>(
        &'e self,
        key: PageKey,
        bytes: &'e mut [u8],
    ) -> Pin<Box<dyn Future<Output = Result<bool>> + Send + 'e>> {
        // Boxed, because the ancestor's page may have to be loaded the same way.
        Box::pin(async move {
            let (mut branch, mut scn) = (key.branch, Scn::MAX);
            while let Some(origin) = self.origin(branch).await? {
                branch = origin.branch;
                scn = scn.min(origin.scn);
                let ancestor = PageKey::new(branch, key.page);
                let is_resident = self.pool.peek(&pin(), ancestor, Scn::MAX).is_some();
                if !is_resident && !self.file.has(ancestor).await? {
                    continue;
                }
                loop {
                    let attempt =
                        View::new(self, branch, scn).page(key.page).map(|found| page::copy(&found, bytes));
                    match attempt {
                        Ok(()) => return Ok(true),
                        Err(fault) => self.resolve(fault).await?,
                    }
                }
            }
            Ok(false)
        })
    }
}

async fn read_branches(transaction: &Transaction) -> Result<Vec<Branch>> {
    let mut found: Vec<Result<Branch>> = Vec::new();
    let mut scan = transaction.scan(TreeId::CATALOG, KeyRange::prefix(&[CLASS]), false);
    loop {
        let step = scan
            .next(transaction, &mut |key, value| {
                if let Some(id) = key.get(1..).and_then(|id| id.try_into().ok()) {
                    let id = BranchId(u64::from_be_bytes(id));
                    found.push(decode(id, value));
                }
                ControlFlow::Continue(())
            })
            .await?;
        if step == ScanStep::Done {
            break;
        }
    }
    let mut branches = found.into_iter().collect::<Result<Vec<Branch>>>()?;
    if branches.iter().all(|branch| branch.id != BranchId::MAIN) {
        let main = Branch {
            id: BranchId::MAIN,
            name: MAIN.into(),
            root: BranchId::MAIN,
            origin: None,
            created_micros: transaction.store().time_of(Scn(1)).await.unwrap_or(0),
            options: Vec::new(),
            is_dropped: false,
        };
        branches.insert(0, main);
    }
    Ok(branches)
}

fn live(all: &[Branch], id: BranchId) -> Result<Branch> {
    let found = all.iter().find(|branch| branch.id == id && !branch.is_dropped);
    found.cloned().ok_or(Error::NoSuchBranch(id))
}

fn check_name(all: &[Branch], root: Option<BranchId>, name: &str) -> Result<()> {
    let is_taken = |branch: &Branch| !branch.is_dropped && Some(branch.root) == root && branch.name == name;
    match all.iter().any(is_taken) {
        true => Err(Error::DuplicateBranch(name.to_string())),
        false => Ok(()),
    }
}

fn row_key(branch: BranchId) -> [u8; 9] {
    let mut key = [CLASS; 9];
    key[1..].copy_from_slice(&branch.0.to_be_bytes());
    key
}

fn encode(branch: &Branch) -> Vec<u8> {
    let (parent, point) = branch.origin.map_or((0, 0), |origin| (origin.branch.0, origin.scn.0));
    let mut row = Vec::new();
    for number in [parent, point, branch.root.0, branch.created_micros] {
        row.extend_from_slice(&number.to_be_bytes());
    }
    row.push(u8::from(branch.is_dropped));
    put_text(&branch.name, &mut row);
    row.extend_from_slice(&(branch.options.len() as u32).to_be_bytes());
    for (name, value) in &branch.options {
        put_text(name, &mut row);
        put_text(value, &mut row);
    }
    row
}

fn decode(id: BranchId, row: &[u8]) -> Result<Branch> {
    let mut fields = Fields(row);
    fields.branch(id).ok_or_else(|| Error::Corruption(format!("the row of branch {id} cannot be read")))
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u32).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// What is left of a row.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn branch(&mut self, id: BranchId) -> Option<Branch> {
        let (parent, point) = (self.number()?, self.number()?);
        let (root, created_micros) = (self.number()?, self.number()?);
        let is_dropped = self.byte()? != 0;
        let name = self.text()?;
        let mut options = Vec::new();
        for _ in 0..self.length()? {
            options.push((self.text()?, self.text()?));
        }
        let origin = Snapshot { branch: BranchId(parent), scn: Scn(point) };
        Some(Branch {
            id,
            name,
            root: BranchId(root),
            origin: (parent != 0).then_some(origin),
            created_micros,
            options,
            is_dropped,
        })
    }

    fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*number))
    }

    fn length(&mut self) -> Option<u32> {
        let (length, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*length))
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn text(&mut self) -> Option<String> {
        let length = self.length()? as usize;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }
}
