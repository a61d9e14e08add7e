//! What a branch has in it of others, and so what two branches have in common.
//!
//! A branch as of a moment contains its ancestors up to where it left them, and what was merged into it. The latter is
//! written down in the branch's own first tree, by the commit of the merge itself: key class (1), branch (8, big-endian);
//! value SCN (8, big-endian), for each branch that came along, directly or through others. So branches that are made
//! from it later inherit that too, and no merge is known before it is done.
//!
//! The base of a merge is made of the *best common moments*: those that both sides contain, and that no other such moment contains
//! ([`best`]). What both contain of each branch is a moment of that branch, so these are looked at. Where a branch was not changed
//! since it began, or not for a while, its moment is the same as an earlier one, its parent's perhaps, which another may
//! contain. Where merges crossed there are several best ones; `base.rs` makes one base of them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use helios_mvcc::{BranchId, KeyRange, ScanStep, Scn, Snapshot, Store, Transaction, TreeId};

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

/// The best common moments of two sides, in a defined order; `exists` says which branches can still be read.
///
/// # Errors
/// Those of reading pages.
pub async fn best(
    store: &Store,
    one: &Ancestry,
    other: &Ancestry,
    exists: impl Fn(BranchId) -> bool,
) -> Result<Vec<Snapshot>> {
    let common: Vec<Snapshot> = one
        .iter()
        .filter_map(|(branch, scn)| {
            let scn = other.get(branch)?.min(scn);
            exists(*branch).then_some(Snapshot { branch: *branch, scn: *scn })
        })
        .collect();
    if common.len() <= 1 {
        return Ok(common);
    }
    // What is not kept is no base, unless there is nothing else.
    let newest = common.iter().max_by_key(|moment| moment.scn).copied();
    let mut left = Vec::new();
    for moment in common {
        match ancestry(store, moment).await {
            Ok(contained) => left.push((moment, contained)),
            Err(error) if error.state() == SqlState::SNAPSHOT_TOO_OLD => {}
            Err(error) => return Err(error),
        }
    }
    // What the numbers tell goes first: the pages need not be looked at.
    let mut at = 0;
    while at < left.len() {
        let moment = left[at].0;
        let knows = |(other, (_, contained)): (usize, &(Snapshot, Ancestry))| {
            other != at && contained.get(&moment.branch).is_some_and(|scn| *scn >= moment.scn)
        };
        if left.iter().enumerate().any(knows) {
            left.remove(at);
        } else {
            at += 1;
        }
    }
    let mut at = 0;
    while at < left.len() && left.len() > 1 {
        let (mut is_inside, moment) = (false, left[at].0);
        for (other, contained) in &left {
            is_inside = is_inside || (*other != moment && contains(store, contained, moment).await?);
        }
        if is_inside {
            left.remove(at);
        } else {
            at += 1;
        }
    }
    let mut moments: Vec<Snapshot> = left.into_iter().map(|(moment, _)| moment).collect();
    if moments.is_empty() {
        return Ok(newest.into_iter().collect());
    }
    if moments.len() > 1 {
        for moment in &mut moments {
            *moment = as_changed(store, *moment).await?;
        }
        moments.sort_by_key(|moment| (moment.branch, moment.scn));
    }
    Ok(moments)
}

/// Whether all that a moment holds is contained in something: the moment, or an older one that holds the same.
async fn contains(store: &Store, contained: &Ancestry, mut moment: Snapshot) -> Result<bool> {
    loop {
        let line = store.line_of_descent(moment).await?;
        moment = line[0];
        let known = contained.get(&moment.branch).copied();
        if known.is_some_and(|known| known >= moment.scn) {
            return Ok(true);
        }
        let origin = line.get(1).copied();
        let begin = origin.map_or(Scn(0), |origin| origin.scn);
        if store.has_changed(moment, known.unwrap_or_default().max(begin)).await? {
            return Ok(false);
        }
        if known.is_some_and(|known| known >= begin) {
            return Ok(true);
        }
        let Some(origin) = origin else { return Ok(false) };
        moment = origin;
    }
}

/// A moment as one of the branch that was changed last: of its parent, where it was not changed since it began.
async fn as_changed(store: &Store, mut moment: Snapshot) -> Result<Snapshot> {
    loop {
        let line = store.line_of_descent(moment).await?;
        moment = line[0];
        match line.get(1) {
            Some(origin) if !store.has_changed(moment, origin.scn).await? => moment = *origin,
            _ => return Ok(moment),
        }
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

/// What both contain, as one.
pub fn add(contained: &mut Ancestry, other: &Ancestry) {
    for (branch, scn) in other {
        note(contained, *branch, *scn);
    }
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
