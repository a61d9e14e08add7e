//! What a branch has in it of others, and so what two branches have in common.
//!
//! A branch as of a moment contains its ancestors up to where it left them, and what was merged into it. The latter is
//! written down in the branch's own first tree, by the commit of the merge itself: key class (1), branch (8, big-endian);
//! value SCN (8, big-endian), for each branch that came along, directly or through others. So branches that are made
//! from it later inherit that too, and no merge is known before it is done.
//!
//! The *base* of a merge is a best common moment: one that both sides contain, and that no other such moment contains. What
//! both contain of each branch is a moment of that branch, so these are looked at. Where a branch was not changed since it began,
//! or not for a while, its moment is the same as an earlier one, its parent's perhaps, which another may contain. So each
//! counts as old as the last commit that changed its branch ([`newest`]). A later commit is never contained in an earlier one: the
//! newest of these is a best one. Where merges crossed there are several, of which it is one.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use helios_mvcc::{BranchId, Error, KeyRange, ScanStep, Scn, Snapshot, Store, Transaction, TreeId};

use crate::catalog::Directory;
use crate::error::{Result, SqlError, SqlState};

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
/// 55000 where there is none; those of reading pages.
pub async fn base(
    store: &Store,
    source: &Ancestry,
    target: &Ancestry,
    exists: impl Fn(BranchId) -> bool,
) -> Result<Snapshot> {
    let common = source.iter().filter_map(|(branch, scn)| {
        let scn = target.get(branch)?.min(scn);
        exists(*branch).then_some((*branch, *scn))
    });
    newest(store, common.collect()).await?.ok_or_else(|| Error::Unrelated.into())
}

/// How far back the first look for changes goes.
const WINDOW: u64 = 256;

/// The moment whose branch was changed last, of these of different branches.
///
/// It looks at all of them in the same window of SCNs, which grows to earlier ones until one was changed in it; a moment
/// whose branch began later and was not changed is its parent's.
async fn newest(store: &Store, mut moments: Ancestry) -> Result<Option<Snapshot>> {
    let latest = moments.values().max().copied().unwrap_or_default();
    let mut window = WINDOW;
    while moments.len() > 1 {
        let since = Scn(latest.0.saturating_sub(window));
        let mut found: Option<(Scn, Snapshot)> = None;
        let mut unchanged = Ancestry::new();
        let mut open: Vec<(BranchId, Scn)> = moments.iter().map(|(branch, scn)| (*branch, *scn)).collect();
        while let Some((branch, scn)) = open.pop() {
            let moment = Snapshot { branch, scn };
            let origin = store.line_of_descent(moment).await?.get(1).copied();
            let begin = origin.map_or(since, |origin| origin.scn.max(since));
            let changed = match scn > begin {
                true => store.last_change(moment, begin).await,
                false => Ok(None),
            };
            let changed = match changed {
                // What is not kept is no base, unless it is the only one.
                Err(Error::TooOld { .. }) => continue,
                changed => changed?,
            };
            match (changed, origin) {
                (Some(changed), _) => {
                    note(&mut unchanged, branch, scn);
                    found = found.into_iter().chain([(changed, moment)]).max_by_key(|each| each.0);
                }
                // As it was where it began.
                (None, Some(origin)) if origin.scn >= since => open.push((origin.branch, origin.scn)),
                (None, _) => {
                    note(&mut unchanged, branch, scn);
                }
            }
        }
        if let Some((_, moment)) = found {
            return Ok(Some(moment));
        }
        if since == Scn(0) {
            break;
        }
        if !unchanged.is_empty() {
            moments = unchanged;
        }
        window = window.saturating_mul(8);
    }
    Ok(moments.into_iter().map(|(branch, scn)| Snapshot { branch, scn }).max_by_key(|moment| moment.scn))
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
    match base(store, &one, &other, |branch| directory.has(branch)).await {
        Ok(base) => Ok(Some(base)),
        Err(error) if error.state() == SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE => Ok(None),
        Err(error) => Err(error),
    }
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
