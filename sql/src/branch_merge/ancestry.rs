//! What a branch has in it of others, and so what two branches have in common.
//!
//! A branch as of a moment contains its ancestors up to where it left them, and what was merged into it. The latter is
//! written down in the branch's own first tree, by the commit of the merge itself: key class (1), branch (8, big-endian);
//! value SCN (8, big-endian), for each branch that came along, directly or through others. So branches that are made
//! from it later inherit that too, and no merge is known before it is done.
//!
//! The *base* of a merge is the newest moment that both sides contain. A later moment is never contained in an earlier
//! one, so it is a best one; where merges crossed there may be several of these, and the newest is taken.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use helios_mvcc::{BranchId, Error, KeyRange, ScanStep, Scn, Snapshot, Store, Transaction, TreeId};

use crate::catalog::Directory;
use crate::error::{Result, SqlError};

/// The class of the rows, behind those of all objects.
const CLASS: u8 = 50;

/// Up to which commit branches are contained in something.
pub type Ancestry = BTreeMap<BranchId, Scn>;

/// What a branch contains as of a moment.
///
/// # Errors
/// Those of reading pages; XX001.
pub async fn ancestry(store: &Store, moment: Snapshot) -> Result<Ancestry> {
    let line = store.line_of_descent(moment).await?;
    let reader = store.begin_as_of(line[0].branch, line[0].scn)?;
    let mut contained = merged_into(&reader).await?;
    for step in line.into_iter().chain([moment]) {
        note(&mut contained, step.branch, step.scn);
    }
    Ok(contained)
}

/// The base of a merge; `exists` says which branches can still be read.
///
/// # Errors
/// 55000 where there is none.
pub fn base(source: &Ancestry, target: &Ancestry, exists: impl Fn(BranchId) -> bool) -> Result<Snapshot> {
    let common = source.iter().filter_map(|(branch, scn)| {
        let scn = target.get(branch)?.min(scn);
        exists(*branch).then_some(Snapshot { branch: *branch, scn: *scn })
    });
    common.max_by_key(|moment| moment.scn).ok_or_else(|| Error::Unrelated.into())
}

/// What a merge of two branches, as they are now, begins from; `None` where they have nothing in common.
///
/// # Errors
/// Those of reading pages; XX001.
pub async fn merge_base(
    store: &Store,
    directory: &Directory,
    one: BranchId,
    other: BranchId,
) -> Result<Option<Snapshot>> {
    let scn = store.visible_scn();
    let one = ancestry(store, Snapshot { branch: one, scn }).await?;
    let other = ancestry(store, Snapshot { branch: other, scn }).await?;
    Ok(base(&one, &other, |branch| directory.branches.iter().any(|each| each.id == branch)).ok())
}

/// Notes that all of `source` is in the branch of a transaction once it is committed.
///
/// # Errors
/// Those of reading and writing.
pub async fn record(transaction: &mut Transaction, source: &Ancestry) -> Result<()> {
    let mut known = merged_into(transaction).await?;
    for (branch, scn) in source {
        let is_own = *branch == transaction.branch();
        if !is_own && note(&mut known, *branch, *scn) {
            transaction.put(TreeId::CATALOG, &key(*branch), &scn.0.to_be_bytes())?;
        }
    }
    Ok(())
}

/// Raises the moment of a branch; tells whether it did.
fn note(contained: &mut Ancestry, branch: BranchId, scn: Scn) -> bool {
    let known = contained.entry(branch).or_default();
    let is_later = scn > *known;
    *known = scn.max(*known);
    is_later
}

fn key(branch: BranchId) -> Vec<u8> {
    let mut key = vec![CLASS];
    key.extend(branch.0.to_be_bytes());
    key
}

async fn merged_into(reader: &Transaction) -> Result<Ancestry> {
    let mut merged = Ancestry::new();
    let mut damaged = false;
    let mut scan = reader.scan(TreeId::CATALOG, KeyRange::prefix(&[CLASS]), false);
    let mut visit = |key: &[u8], value: &[u8]| {
        match (key[1..].try_into(), value.try_into()) {
            (Ok(branch), Ok(scn)) => {
                merged.insert(BranchId(u64::from_be_bytes(branch)), Scn(u64::from_be_bytes(scn)));
            }
            _ => damaged = true,
        }
        ControlFlow::Continue(())
    };
    while scan.next(reader, &mut visit).await? != ScanStep::Done {}
    if damaged { Err(SqlError::corrupted("the row of a merge cannot be read")) } else { Ok(merged) }
}
