//! Cutting history: what no reader needs any more leaves the data file.
//!
//! 1. *Who reads* ([`Needs`]): all commits from the horizon on; snapshots and scans that are open, to the oldest of which the
//!    horizon is moved back; branches, the points where they left their parents; whatever the caller names, as bases of
//!    later merges. A branch that lives on hidden, for those that descend from it, is read up to the last of these points.
//! 2. New horizons are committed, together with the points, before anything is freed: see `retention`. No branch is
//!    made or dropped meanwhile.
//! 3. A checkpoint brings all history before them into the map. From then on the map tells all there is.
//! 4. A sealed history serves those who read after the sealed one before it, up to its own version; the open one those who
//!    read between the last sealed one and its newest record. Where nobody reads there, it goes, as a whole, whatever
//!    else of the page stays: each sealed one begins with an image of its own. One that is read at single moments alone is
//!    written anew: an image as of the last of them, and what leads to the others.
//! 5. Pages that nothing led to any more when the oldest reader came go with all their images (`freed_pages`, `dropped_tree`).
//! 6. So do the rows of the commit-time index, where no branch can be read any more.
//!
//! What goes is marked, a leaf of the map at a time, and leaves the map with the next checkpoint. A crash in the middle leaves
//! the rest to the next cut. In the end the file is made short, by checkpoints whose cleaner moves what lies at its end.
//!
//! Invariant: what a kept reader needs is neither in a removed history nor on a removed page.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use helios_bufferpool::{Located, MapKey, PageKey};

use crate::branches::Branch;
use crate::commit_times::{TRANSACTIONS, first_commit, time_key};
use crate::error::Result;
use crate::freed_pages::{FreedRun, prefix_of};
use crate::ids::{BranchId, Isolation, Scn, TreeId};
use crate::retention::{Kept, encode, row_key};
use crate::scan::KeyRange;
use crate::snapshot::Snapshot;
use crate::store::Store;

/// About what a checkpoint moves that is to make the file short.
const MOVED_AT_ONCE_BYTES: u64 = 16 << 20;
/// Rows of the commit-time index that one commit deletes.
const ROWS_AT_ONCE: usize = 1000;

/// Which moments of a branch are read.
#[derive(Clone, Debug)]
pub(crate) struct Needs {
    /// All from here on,
    since: Scn,
    /// up to here,
    until: Scn,
    /// and these, ascending.
    points: Vec<Scn>,
}

impl Needs {
    /// Whether anybody reads at `from` or later, and before `end`.
    pub(crate) fn any_in(&self, from: Scn, end: Scn) -> bool {
        let first_point = self.points.partition_point(|point| *point < from);
        let is_point = self.points.get(first_point).is_some_and(|point| *point < end);
        is_point || (from.max(self.since) < end && from.max(self.since) <= self.until)
    }

    /// The last and the first of the points that a sealed history is kept for, if it is kept for points alone and not as
    /// short as it could be.
    fn points_of(&self, key: MapKey, before: Option<Scn>) -> Option<(Scn, Scn)> {
        let first = self.points.partition_point(|point| before.is_some_and(|before| *point <= before));
        let end = self.points.partition_point(|point| point.0 <= key.version);
        let points = self.points.get(first..end).filter(|points| !points.is_empty())?;
        let (oldest, newest) = (points[0], points[points.len() - 1]);
        // One that was shortened already has the last of them for a version.
        (key.is_sealed() && key.version < self.since.0 && newest.0 < key.version).then_some((newest, oldest))
    }

    /// Whether a history is read; `before` is the version of the sealed one before it of the same page.
    fn any_of(&self, key: MapKey, located: Located, before: Option<Scn>) -> bool {
        let from = before.map_or(Scn(0), |before| Scn(before.0 + 1));
        match (key.is_sealed(), key.is_open()) {
            (true, _) => self.any_in(from, Scn(key.version + 1)),
            // Who reads at its newest record, or later, needs no record.
            (_, true) => self.any_in(from, located.scn),
            _ => true,
        }
    }
}

impl Store {
    /// Cuts the history of some databases, each named by the branch that it began with, from their beginning to a moment,
    /// which is kept. `points` are further moments to be kept.
    ///
    /// # Errors
    /// Those of the device; what was not cut then is the next time.
    pub async fn cut_history(&self, keep_since: &[(BranchId, Scn)], points: &[Snapshot]) -> Result<()> {
        let _one_at_a_time = self.engine().cutting.lock().await;
        if keep_since.iter().all(|(_, since)| *since == Scn(0)) && !self.engine().retention.has_cut() {
            return Ok(());
        }
        let needs = self.move_horizons(keep_since, points).await?;
        self.checkpoint().await?;
        self.cut_versions(&needs).await?;
        for (branch, needs) in &needs {
            self.remove_freed_pages(*branch, needs).await?;
            self.remove_dropped_trees(*branch, needs).await?;
        }
        if let Some(oldest) = needs.values().map(|needs| needs.since).min() {
            self.cut_commit_times(oldest).await?;
        }
        self.shorten_file().await
    }

    /// Writes checkpoints until the file is not half free any more, or cannot be made shorter.
    async fn shorten_file(&self) -> Result<()> {
        let file = &self.engine().file;
        let shortening = file.shortening();
        // Twice what it would take if each image were moved once.
        let rounds_max = 16 + 2 * file.usage()?.used_bytes / MOVED_AT_ONCE_BYTES;
        for _ in 0..rounds_max {
            self.checkpoint().await?;
            if !shortening.goes_on() {
                break;
            }
        }
        Ok(())
    }

    /// Moves the horizons, durably; returns what is to be kept.
    async fn move_horizons(
        &self,
        keep_since: &[(BranchId, Scn)],
        points: &[Snapshot],
    ) -> Result<BTreeMap<BranchId, Needs>> {
        let engine = self.engine();
        let (mut transaction, all) = self.begin_branch_change().await?;
        transaction.mark_giving_room();
        let mut asked_for: HashMap<BranchId, Vec<Scn>> = HashMap::new();
        for point in points {
            let point = self.origin_of(*point).await?;
            asked_for.entry(point.branch).or_default().push(point.scn);
        }
        let left: Vec<Snapshot> = all.iter().filter_map(|branch| branch.origin).collect();
        for origin in &left {
            asked_for.entry(origin.branch).or_default().push(origin.scn);
        }
        let newest = self.visible_scn();
        let keeps: HashMap<BranchId, Scn> = keep_since.iter().copied().collect();
        let mut wanted: BTreeMap<BranchId, Needs> = BTreeMap::new();
        for branch in &all {
            let since = keeps.get(&branch.root).map_or(Scn(0), |since| (*since).min(newest));
            let points = asked_for.remove(&branch.id).unwrap_or_default();
            wanted.insert(branch.id, Needs { since, until: last_reader(branch, &left), points });
        }
        let needs = self.freeze_and_move(wanted);
        let before: HashMap<BranchId, Kept> =
            needs.keys().map(|branch| (*branch, self.kept(*branch))).collect();
        for (branch, needs) in &needs {
            let old = &before[branch];
            let since_micros = if needs.since == Scn(0) {
                0
            } else {
                self.time_of(needs.since).await.unwrap_or(old.since_micros)
            };
            let points: Vec<Scn> =
                needs.points.iter().copied().filter(|point| *point < needs.since).collect();
            let kept = Kept { since: needs.since, since_micros, points };
            engine.retention.set(*branch, kept.clone());
            if kept.since > Scn(0) {
                engine.retention.set_cut();
                transaction.put(TreeId::CATALOG, &row_key(*branch), &encode(&kept))?;
            }
        }
        Store::write_first_branch(&mut transaction, &all)?;
        for branch in engine.retention.branches() {
            if !needs.contains_key(&branch) {
                transaction.delete(TreeId::CATALOG, &row_key(branch))?;
                engine.retention.forget(branch);
            }
        }
        transaction.commit().await?;
        Ok(needs)
    }

    /// Looks at who reads, and moves the horizons in memory before anybody else comes.
    fn freeze_and_move(&self, mut wanted: BTreeMap<BranchId, Needs>) -> BTreeMap<BranchId, Needs> {
        let engine = self.engine();
        let frozen = engine.open_snapshots.freeze();
        let open: Vec<_> = frozen.snapshots().collect();
        for (branch, needs) in &mut wanted {
            let old = engine.retention.of(*branch);
            let read = open.iter().filter(|open| open.branch == *branch).map(|open| open.scn);
            needs.points.extend(read.clone());
            let oldest = read.filter(|scn| *scn >= old.since).min().unwrap_or(Scn::MAX);
            needs.since = old.since.max(needs.since.min(oldest));
            needs.points.retain(|point| old.has(*point));
        }
        // Who goes back with a branch asks the system branch what there was then.
        let since = wanted.values().map(|needs| needs.since).min().unwrap_or_default();
        let old = engine.retention.of(BranchId::SYSTEM);
        let read = open.iter().filter(|open| open.branch == BranchId::SYSTEM).map(|open| open.scn);
        let oldest = read.clone().filter(|scn| *scn >= old.since).min().unwrap_or(Scn::MAX);
        let mut points: Vec<Scn> = wanted.values().flat_map(|needs| needs.points.iter().copied()).collect();
        points.extend(read);
        points.retain(|point| old.has(*point));
        let since = old.since.max(since.min(oldest));
        wanted.insert(BranchId::SYSTEM, Needs { since, until: Scn::MAX, points });
        for (branch, needs) in &mut wanted {
            needs.points.sort_unstable();
            needs.points.dedup();
            let since_micros = engine.retention.of(*branch).since_micros;
            let points = needs.points.clone();
            if needs.since > Scn(0) {
                engine.retention.set_cut();
                engine.retention.set(*branch, Kept { since: needs.since, since_micros, points });
            }
        }
        wanted
    }

    /// Removes the histories that nobody reads.
    async fn cut_versions(&self, needs: &BTreeMap<BranchId, Needs>) -> Result<()> {
        let mut from = Some(MapKey::first());
        // The page at hand, and the version of its last sealed history.
        let mut last: Option<(PageKey, Scn)> = None;
        while let Some(key) = from.take() {
            let part = self.engine().file.map_part(key).await?;
            let (mut gone, mut long, mut seen) = (Vec::new(), Vec::new(), last);
            for (key, located) in &part.entries {
                let before = seen.filter(|seen| seen.0 == key.page).map(|seen| seen.1);
                match needs.get(&key.page.branch) {
                    Some(needs) if !needs.any_of(*key, *located, before) => gone.push(*key),
                    Some(needs) => long.extend(needs.points_of(*key, before).map(|points| (*key, points))),
                    None => {}
                }
                if key.is_sealed() {
                    seen = Some((key.page, Scn(key.version)));
                }
            }
            if !self.engine().remove_entries(&part, &gone).await {
                from = Some(key);
                continue;
            }
            (last, from) = (seen, part.next);
            for (key, (newest, oldest)) in long {
                self.engine().shorten_sealed(key, newest, oldest).await?;
            }
            self.bound_removals().await?;
        }
        Ok(())
    }

    /// Removes the pages of a branch that commits freed and that nobody reads.
    async fn remove_freed_pages(&self, branch: BranchId, needs: &Needs) -> Result<()> {
        let mut runs: Vec<FreedRun> = Vec::new();
        let mut failure = Ok(());
        self.visit_index(KeyRange::prefix(&prefix_of(branch)), false, &mut |key, value| {
            match FreedRun::decode(key, value) {
                Ok(run) if run.freed > needs.since => return ControlFlow::Break(()),
                Ok(run) if needs.any_in(run.created, run.freed) => {}
                Ok(run) => runs.push(run),
                Err(error) => failure = Err(error),
            }
            if failure.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .await?;
        failure?;
        if runs.is_empty() {
            return Ok(());
        }
        let rows = runs.iter().map(FreedRun::key).collect();
        self.remove_pages(runs).await?;
        // The rows are what an interrupted removal is taken up by.
        self.checkpoint().await?;
        self.delete_index_rows(rows).await
    }

    /// Removes what the commit-time index tells of commits before `oldest`.
    async fn cut_commit_times(&self, oldest: Scn) -> Result<()> {
        let mut rows: Vec<Vec<u8>> = Vec::new();
        let mut failure = Ok(());
        let times = KeyRange {
            lower: std::ops::Bound::Included(time_key(Scn(0)).to_vec()),
            upper: std::ops::Bound::Included(time_key(oldest).to_vec()),
        };
        // The last one tells of `oldest`, also where a large commit left that out.
        let mut last: Option<Vec<u8>> = None;
        self.visit_index(times, false, &mut |key, _| {
            rows.extend(last.replace(key.to_vec()));
            ControlFlow::Continue(())
        })
        .await?;
        self.visit_index(KeyRange::prefix(&TRANSACTIONS), false, &mut |key, value| {
            match crate::commit_times::transactions(key, value) {
                Ok(row) if row.iter().all(|(_, scn)| *scn < oldest) => rows.push(key.to_vec()),
                // Later numbers are mostly of later commits; what comes behind is looked at by a later cut.
                Ok(_) if first_commit(key).is_none_or(|first| first >= oldest) => {
                    return ControlFlow::Break(());
                }
                Ok(_) => {}
                Err(error) => failure = Err(error),
            }
            if failure.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .await?;
        failure?;
        self.delete_index_rows(rows).await
    }

    async fn delete_index_rows(&self, rows: Vec<Vec<u8>>) -> Result<()> {
        for rows in rows.chunks(ROWS_AT_ONCE) {
            let mut transaction = self.begin(BranchId::SYSTEM, Isolation::ReadCommitted);
            transaction.begin_statement();
            for row in rows {
                transaction.delete(TreeId::COMMIT_TIMES, row)?;
            }
            transaction.commit().await?;
        }
        Ok(())
    }
}

/// Up to where a branch is read other than at single points.
fn last_reader(branch: &Branch, left: &[Snapshot]) -> Scn {
    if !branch.is_dropped || branch.id == BranchId::MAIN {
        return Scn::MAX;
    }
    let of_branch = left.iter().filter(|origin| origin.branch == branch.id);
    of_branch.map(|origin| origin.scn).max().unwrap_or_default()
}
