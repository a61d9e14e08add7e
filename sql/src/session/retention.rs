//! How long history is kept, and cutting what is older.
//!
//! What ALTER DATABASE … SET `heliosdb.retention_days` says of a database goes before what the configuration says of all.
//! Besides what `helios_mvcc` keeps by itself, the bases of later merges are kept, for as long as both branches live, and what
//! new databases begin with.

use helios_mvcc::{Branch, BranchId, Error, Scn, Snapshot};

use super::{EPOCH_MICROS, Engine};
use crate::branch_merge::Base;
use crate::catalog::{Database, Directory};
use crate::error::{Result, SqlError, SqlState};
use crate::parser::SettingChange;
use crate::types::datetime::print::{Style, push_timestamp};

/// The setting of databases.
pub(super) const RETENTION_DAYS: &str = "heliosdb.retention_days";
/// The entry of the configuration.
const CONFIGURED: &str = "retention_days";
const DAYS_MAX: i64 = 1_000_000;
const MICROS_PER_DAY: u64 = 86_400_000_000;

/// A moment that is kept for the sake of later merges of two branches.
#[derive(Clone, Debug)]
pub struct MergeBase {
    pub branches: [String; 2],
    pub moment: Snapshot,
}

/// 72000: what was asked for is not kept any more.
pub(super) fn too_old(oldest: Scn, oldest_micros: u64) -> SqlError {
    let mut time = String::new();
    let since_2000 = i64::try_from(oldest_micros).unwrap_or(i64::MAX).saturating_sub(EPOCH_MICROS);
    push_timestamp(since_2000, Some(&jiff::tz::TimeZone::UTC), Style::ISO, &mut time);
    let message = format!("snapshot too old: history is kept since SCN {oldest}, committed at {time}");
    SqlError::new(SqlState::SNAPSHOT_TOO_OLD, message).with_hint(
        "retention_days in the configuration, or heliosdb.retention_days of the database, says how long history is kept; \
         heliosdb_retention() shows what there is.",
    )
}

/// Whether a change of a database's settings is one of how long its history is kept.
pub(super) fn is_changed_by(database: &Database, change: &SettingChange) -> bool {
    match change {
        SettingChange::ResetAll => !database.settings.is_empty(),
        SettingChange::Reset(name) | SettingChange::FromCurrent(name) | SettingChange::Set { name, .. } => {
            name == RETENTION_DAYS
        }
    }
}

/// Changes how long a database's history is kept.
///
/// # Errors
/// 22023 for a value that it cannot have.
pub(super) fn change_setting(database: &mut Database, change: &SettingChange) -> Result<()> {
    match change {
        SettingChange::Set { value, .. } => {
            let days = days_of(value)?;
            database.settings = vec![(RETENTION_DAYS.into(), days.to_string())];
        }
        // What is current is what it has.
        SettingChange::FromCurrent(_) => {}
        SettingChange::Reset(_) | SettingChange::ResetAll => database.settings.clear(),
    }
    Ok(())
}

/// A number of days; -1 is for ever.
fn days_of(value: &str) -> Result<i64> {
    let Ok(days) = value.trim().parse::<i64>() else {
        return Err(SqlError::invalid_parameter(format!(
            "invalid value for parameter \"{RETENTION_DAYS}\": \"{value}\""
        )));
    };
    if !(-1..=DAYS_MAX).contains(&days) {
        return Err(SqlError::invalid_parameter(format!(
            "{days} is outside the valid range for parameter \"{RETENTION_DAYS}\" (-1 .. {DAYS_MAX})"
        )));
    }
    Ok(days)
}

impl Engine {
    /// For how many days a database keeps its history; `None`: for ever.
    #[must_use]
    pub fn retention_days(&self, database: &Database) -> Option<u64> {
        let configured =
            || self.config().iter().find(|entry| entry.0 == CONFIGURED).map(|entry| entry.1.as_str());
        let days = database.setting(RETENTION_DAYS).or_else(configured)?;
        days.parse().ok()
    }

    /// Frees the history that is older than it is to be kept.
    ///
    /// # Errors
    /// Those of the device; the next call goes on then.
    pub async fn cut_history(&self) -> Result<()> {
        let directory = self.directory();
        let store = self.store();
        // Before who reads is looked at: whoever comes later reads a later moment. So a merge that is on its way is a
        // snapshot that is open, or its base is found below.
        let newest = store.visible_scn();
        let open = store.open_snapshots();
        let mut keep_since = Vec::new();
        for database in &directory.databases {
            let Some(days) = self.retention_days(database) else { continue };
            let Some(since) = self.moment_before(days, newest).await? else { continue };
            let is_own =
                |branch: BranchId| directory.database_of(branch).is_some_and(|own| own.root == database.root);
            let read = open.iter().filter(|open| is_own(open.branch)).map(|open| open.scn);
            let oldest = read.filter(|scn| store.kept(database.root).has(*scn)).min();
            keep_since.push((database.root, oldest.map_or(since, |oldest| oldest.min(since))));
        }
        if keep_since.is_empty() && store.kept(BranchId::SYSTEM).since == Scn(0) {
            return Ok(());
        }
        let mut points = vec![self.pristine().await?];
        for database in &directory.databases {
            points.extend(
                self.merge_bases(&directory, database.root).await?.into_iter().map(|base| base.moment),
            );
        }
        Ok(store.cut_history(&keep_since, &points).await?)
    }

    /// The newest commit that is so many days old; `None` where there is none, or it is gone already.
    async fn moment_before(&self, days: u64, newest: Scn) -> Result<Option<Scn>> {
        if days == 0 {
            return Ok(Some(newest));
        }
        let age_micros = days.saturating_mul(MICROS_PER_DAY);
        let time_micros = self.clock().now_micros().saturating_sub(age_micros);
        match self.store().scn_at(time_micros).await {
            Ok(found) => Ok(found.map(|scn| scn.min(newest))),
            Err(Error::TooOld { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What later merges of any two branches of a database begin from.
    ///
    /// # Errors
    /// Those of reading pages.
    pub async fn merge_bases(&self, directory: &Directory, root: BranchId) -> Result<Vec<MergeBase>> {
        let branches: Vec<&Branch> = directory.branches_of(root).collect();
        let mut bases = Vec::new();
        for (index, one) in branches.iter().enumerate() {
            for other in &branches[index + 1..] {
                let base = Base::of_branches(self.store(), directory, one.id, other.id).await?;
                let branches = [one.name.clone(), other.name.clone()];
                let moments = base.iter().flat_map(Base::moments);
                bases.extend(moments.map(|moment| MergeBase { branches: branches.clone(), moment }));
            }
        }
        Ok(bases)
    }
}
