//! Asking for a moment of the past: by time, by transaction, by SCN. See `commit_times` for where the answers are.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, ControlFlow};

use crate::commit_times::{
    INTERNAL, TRANSACTIONS, TimeRow, find_transaction, time_key, transaction_prefix, transactions,
};
use crate::error::{Error, Result};
use crate::ids::{BranchId, Isolation, Scn, TreeId, Xid};
use crate::scan::{KeyRange, RowVisitor, ScanStep};
use crate::store::Store;

impl Store {
    /// The newest commit at or before a time (µs since 1970); `None` when there was none yet.
    ///
    /// # Errors
    /// [`Error::TooOld`] for a time before all that is kept; those of reading.
    pub async fn scn_at(&self, time_micros: u64) -> Result<Option<Scn>> {
        let listed = self.engine().commit_times.listed();
        if let Some(scn) = listed.scn_at(time_micros) {
            // Those listed last may not be visible yet; none of them is older than the newest visible one.
            return Ok(Some(scn.min(self.visible_scn())));
        }
        // All commits before those listed are in rows, and times grow with SCNs.
        let newest = self.visible_scn().0;
        let (mut low, mut high) = (0, (listed.first().0 - 1).min(newest));
        let mut found = None;
        while low < high {
            let middle = Scn(low + (high - low).div_ceil(2));
            let row = self.time_row(middle).await?.filter(|row| row.last().0 > low);
            let Some(row) = row else {
                // No commits, or those from before there was an index.
                low = middle.0;
                continue;
            };
            let count = row.times.partition_point(|time| *time <= time_micros);
            if count == 0 {
                high = row.first.0 - 1;
                continue;
            }
            found = Some(Scn(row.first.0 + count as u64 - 1));
            if count < row.times.len() {
                break;
            }
            low = row.last().0.max(middle.0);
        }
        match self.index_begins() {
            Some(too_old) if found.is_none() => Err(too_old),
            _ => Ok(found),
        }
    }

    /// The error for what was before the index, where its beginning was cut.
    fn index_begins(&self) -> Option<Error> {
        let kept = self.kept(BranchId::SYSTEM);
        let is_cut = kept.since > Scn(0);
        is_cut.then_some(Error::TooOld { asked: None, oldest: kept.since, oldest_micros: kept.since_micros })
    }

    /// The time of a commit, in µs since 1970. No two commits have the same. For an SCN that a large commit left out, that of the
    /// commit before it.
    ///
    /// # Errors
    /// [`Error::NoSuchScn`] for one that never was; those of reading.
    pub async fn time_of(&self, scn: Scn) -> Result<u64> {
        let newest = self.visible_scn();
        let unknown = Error::NoSuchScn { scn, newest };
        if scn == Scn(0) || scn > newest {
            return Err(unknown);
        }
        if let Some(time) = self.engine().commit_times.listed().time_of(scn) {
            return Ok(time);
        }
        let row = self.time_row(scn).await?;
        let time = row.and_then(|row| {
            let index = (scn.0 - row.first.0).min(row.times.len() as u64 - 1);
            row.times.get(index as usize).copied()
        });
        time.ok_or(unknown)
    }

    /// The commit of a transaction.
    ///
    /// # Errors
    /// [`Error::NoSuchTransaction`] for one that was rolled back, is still running, or never was; [`Error::TooOld`] for one
    /// that may have committed before all that is kept; those of reading.
    pub async fn scn_of(&self, xid: Xid) -> Result<Scn> {
        let unknown = Error::NoSuchTransaction(xid);
        if xid == INTERNAL {
            return Err(unknown);
        }
        let listed = self.engine().commit_times.listed().scn_of(xid);
        let found = match listed {
            Some(scn) => Some(scn),
            None => self.indexed_scn_of(xid).await?,
        };
        match found.filter(|scn| *scn <= self.visible_scn()) {
            Some(scn) => Ok(scn),
            None => match self.index_begins() {
                Some(too_old) if self.is_before_index(xid).await? => Err(too_old),
                _ => Err(unknown),
            },
        }
    }

    /// Whether all transactions that the index tells of came later.
    async fn is_before_index(&self, xid: Xid) -> Result<bool> {
        let mut is_before = Ok(false);
        self.visit_index(KeyRange::prefix(&TRANSACTIONS), false, &mut |key, value| {
            is_before = transactions(key, value).map(|row| row.iter().all(|(later, _)| xid < *later));
            ControlFlow::Break(())
        })
        .await?;
        is_before
    }

    /// The transactions of some commits; the program's own have none. For commits of long ago, it reads those of all.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn xids_of(&self, scns: &BTreeSet<Scn>) -> Result<BTreeMap<Scn, Xid>> {
        let mut found = BTreeMap::new();
        let mut is_wanted = scns.clone();
        let listed = self.engine().commit_times.listed();
        is_wanted.retain(|scn| match listed.xid_of(*scn) {
            Some(xid) => {
                found.insert(*scn, xid);
                false
            }
            None => true,
        });
        let mut failure = Ok(());
        if !is_wanted.is_empty() {
            self.visit_index(KeyRange::prefix(&TRANSACTIONS), false, &mut |key, value| {
                match transactions(key, value) {
                    Ok(row) => found.extend(
                        row.into_iter().filter(|row| is_wanted.contains(&row.1)).map(|(xid, scn)| (scn, xid)),
                    ),
                    Err(error) => failure = Err(error),
                }
                if failure.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })
            .await?;
        }
        found.retain(|_, xid| *xid != INTERNAL);
        failure.map(|()| found)
    }

    /// The newest transaction that committed, and when (µs since 1970), of those since the folder was opened.
    pub fn last_transaction(&self) -> Option<(Xid, u64)> {
        self.engine().commit_times.last_transaction(self.visible_scn())
    }

    /// The transactions that committed behind an SCN; `None` if there are more than so many. Where that is long ago, it
    /// reads those of all commits.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn xids_since(&self, scn: Scn, count_max: usize) -> Result<Option<Vec<Xid>>> {
        let listed = self.engine().commit_times.listed();
        let mut found: Vec<Xid> = listed.xids_since(scn).collect();
        let mut failure = Ok(());
        if scn.0 + 1 < listed.first().0 {
            self.visit_index(KeyRange::prefix(&TRANSACTIONS), false, &mut |key, value| {
                match transactions(key, value) {
                    Ok(row) => found.extend(row.into_iter().filter(|row| row.1 > scn).map(|(xid, _)| xid)),
                    Err(error) => failure = Err(error),
                }
                let goes_on = failure.is_ok() && found.len() <= count_max;
                if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })
            .await?;
        }
        failure.map(|()| (found.len() <= count_max).then_some(found))
    }

    async fn indexed_scn_of(&self, xid: Xid) -> Result<Option<Scn>> {
        let mut found = Ok(None);
        self.visit_index(KeyRange::prefix(&transaction_prefix(xid)), false, &mut |key, value| {
            found = find_transaction(key, value, xid);
            if matches!(found, Ok(None)) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .await?;
        found
    }

    /// The row that has a commit, or the last one before it.
    async fn time_row(&self, scn: Scn) -> Result<Option<TimeRow>> {
        let mut found = None;
        let range = KeyRange {
            lower: Bound::Included(time_key(Scn(0)).to_vec()),
            upper: Bound::Included(time_key(scn).to_vec()),
        };
        self.visit_index(range, true, &mut |key, value| {
            found = Some(TimeRow::decode(key, value));
            ControlFlow::Break(())
        })
        .await?;
        found.transpose()
    }

    /// Visits rows of the index until `visit` breaks.
    pub(crate) async fn visit_index(
        &self,
        range: KeyRange,
        reverse: bool,
        visit: &mut RowVisitor<'_>,
    ) -> Result<()> {
        if !self.engine().commit_times.tree_exists() {
            return Ok(());
        }
        let mut reader = self.begin(BranchId::SYSTEM, Isolation::ReadCommitted);
        reader.begin_statement();
        let mut scan = reader.scan(TreeId::COMMIT_TIMES, range, reverse);
        let mut broken = false;
        while !broken {
            let step = scan
                .next(&reader, &mut |key, value| {
                    broken = visit(key, value).is_break();
                    if broken { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                })
                .await?;
            if step == ScanStep::Done {
                return Ok(());
            }
        }
        Ok(())
    }
}
