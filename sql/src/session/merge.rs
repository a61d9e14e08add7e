//! MERGE DATABASE BRANCH as a statement: the transaction on the target, and what becomes of the session.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use helios_mvcc::{Branch, BranchId};

use super::past::{AS_OF, read_only};
use super::{Engine, Notice, Session, SettingValues};
use crate::branch_merge::{Report, Request, Resolution, apply};
use crate::catalog::{CatalogSnapshot, Directory};
use crate::error::{Result, SqlError, SqlState};

/// How often a merge begins anew because somebody else changed what it wants to change.
const TRIES_MAX: usize = 10;
/// How many of these leave everybody alone. Those behind them keep others from writing to the target meanwhile: where writers come
/// faster than merges end, a merge would never be done.
const FREE_TRIES: usize = 3;

/// A merge, whoever asks for it.
pub struct BranchMerge<'a> {
    pub source: &'a Branch,
    pub target: &'a Branch,
    /// The role that it runs as, and the settings of its session.
    pub user: &'a str,
    pub database: &'a str,
    pub settings: &'a SettingValues,
    pub cancel: &'a Arc<AtomicBool>,
}

impl Engine {
    /// Merges, again where others are faster, and commits unless something is in the way, or it is a preview. Tells
    /// whether there was anything to merge.
    ///
    /// # Errors
    /// Those of DDL, of reading and writing, and of committing.
    pub(crate) async fn merge_branches(
        &self,
        merge: &BranchMerge<'_>,
        report: &mut Report,
        is_preview: bool,
    ) -> Result<bool> {
        let empty = report.clone();
        for attempt in 1.. {
            let tried = self.try_merge(merge, report, is_preview, attempt > FREE_TRIES).await;
            let is_lost = |error: &SqlError| {
                matches!(error.state(), SqlState::SERIALIZATION_FAILURE | SqlState::DEADLOCK_DETECTED)
            };
            match tried {
                Err(error) if is_lost(&error) && attempt < TRIES_MAX => *report = empty.clone(),
                other => return other,
            }
        }
        Err(SqlError::internal("a merge ends with its last attempt"))
    }

    async fn try_merge(
        &self,
        merge: &BranchMerge<'_>,
        report: &mut Report,
        is_preview: bool,
        is_alone: bool,
    ) -> Result<bool> {
        let mut session = self.session_for_merge(merge);
        if is_alone {
            session.hold_off_writers().await?;
        }
        let mut ddl = session.begin_ddl("MERGE DATABASE BRANCH").await?;
        let request = Request { source: merge.source.id };
        // On the heap: it holds the futures of all DDL.
        let applied = Box::pin(apply(&mut ddl, &request, report)).await;
        let catalog = ddl.catalog.clone();
        session.end_ddl(ddl, applied.is_ok())?;
        let has_changes = applied?;
        if is_preview || report.is_refused() || !has_changes {
            session.abandon();
            return Ok(has_changes);
        }
        self.advance_sequences(merge, &catalog).await?;
        session.finish(true).await?;
        Ok(true)
    }

    /// Sequences of the target go on behind the numbers that the source gave.
    async fn advance_sequences(&self, merge: &BranchMerge<'_>, merged: &CatalogSnapshot) -> Result<()> {
        let now = self.store().visible_scn();
        let source = helios_mvcc::Snapshot { branch: merge.source.id, scn: now };
        let source = self.past_catalog(source).await?;
        for theirs in source.sequences() {
            let Some(own) = merged.sequence(theirs.oid) else { continue };
            let position = self.sequences().counter(merge.source.id, theirs).position();
            let counter = self.sequences().counter(merge.target.id, &own.sequence);
            if counter.advance(position, own.sequence.limits.increment) {
                counter.settle(self.store()).await?;
            }
        }
        Ok(())
    }

    /// A session on the target, with snapshot isolation: what it reads stays, and what others change is a conflict.
    fn session_for_merge(&self, merge: &BranchMerge<'_>) -> Session {
        let mut settings = merge.settings.clone();
        settings.set_fixed("heliosdb.branch", &merge.target.name);
        settings.set_fixed(AS_OF, "");
        settings.set_fixed("default_transaction_isolation", "repeatable read");
        let mut session = self.session_at(merge.user, merge.database, merge.target.id, settings);
        session.cancel = merge.cancel.clone();
        session
    }
}

/// What WITH says.
#[derive(Default)]
struct Options {
    resolution: Resolution,
    delete_branch_after: bool,
}

fn options_of(options: &[(String, String)]) -> Result<Options> {
    let mut parsed = Options::default();
    for (name, value) in options {
        let invalid = |values: &str| {
            SqlError::invalid_parameter(format!("invalid value for option \"{name}\": \"{value}\""))
                .with_hint(format!("Available values: {values}."))
        };
        match name.as_str() {
            "conflict_resolution" => {
                parsed.resolution = match value.to_ascii_lowercase().as_str() {
                    "fail" => Resolution::Fail,
                    "branch_wins" => Resolution::BranchWins,
                    "target_wins" => Resolution::TargetWins,
                    _ => return Err(invalid("branch_wins, target_wins, fail")),
                }
            }
            "delete_branch_after" => {
                parsed.delete_branch_after = match value.to_ascii_lowercase().as_str() {
                    "true" | "on" | "yes" | "1" => true,
                    "false" | "off" | "no" | "0" => false,
                    _ => return Err(invalid("true, false")),
                }
            }
            _ => {
                return Err(SqlError::syntax(format!(
                    "unrecognized MERGE DATABASE BRANCH option \"{name}\""
                ))
                .with_hint("Available options: conflict_resolution, delete_branch_after."));
            }
        }
    }
    Ok(parsed)
}

impl Session {
    /// Merges a branch into another.
    ///
    /// # Errors
    /// 3D000, 22023; 55006 where the branch is to be dropped and is used; 40002 for conflicts, 23000 and its like for
    /// merged rows that break constraints; those of committing.
    pub(super) async fn merge_branch(
        &mut self,
        source: &str,
        target: &str,
        options: &[(String, String)],
    ) -> Result<u64> {
        let options = options_of(options)?;
        let (source, target) = (self.branch_named(source)?, self.branch_named(target)?);
        check_different(&source, &target)?;
        if self.settings.is_on("default_transaction_read_only") {
            return Err(read_only("MERGE DATABASE BRANCH", None));
        }
        if options.delete_branch_after {
            self.check_droppable(&source)?;
        }
        let mut report = Report::new(options.resolution, false);
        let engine = self.engine.clone();
        let (user, database) = (self.current_user().to_string(), self.database.clone());
        let (settings, cancel) = (self.settings.clone(), self.cancel.clone());
        let merge = BranchMerge {
            source: &source,
            target: &target,
            user: &user,
            database: &database,
            settings: &settings,
            cancel: &cancel,
        };
        let has_changes = engine.merge_branches(&merge, &mut report, false).await?;
        if report.is_refused() {
            let error = report.error(&source.name, &target.name);
            *self.listing.refused_merge.lock() = report.findings;
            return Err(error);
        }
        self.listing.refused_merge.lock().clear();
        if !has_changes {
            let text =
                format!("branch \"{}\" has nothing that \"{}\" does not have", source.name, target.name);
            let error = SqlError::new(SqlState::SUCCESSFUL_COMPLETION, text);
            self.notify(Notice { severity: "NOTICE", error });
        }
        if options.delete_branch_after {
            self.drop_branch(&source.name, false).await?;
        }
        Ok(report.changes)
    }
}

/// # Errors
/// 22023 for a branch that is to be merged into itself.
pub(crate) fn check_different(source: &Branch, target: &Branch) -> Result<()> {
    if source.id == target.id {
        return Err(SqlError::invalid_parameter(format!(
            "cannot merge branch \"{}\" into itself",
            source.name
        ))
        .with_hint("MERGE DATABASE BRANCH source INTO target names two branches of one database."));
    }
    Ok(())
}

/// A branch of the database that another belongs to, by its name.
///
/// # Errors
/// 3D000.
pub(crate) fn sibling(directory: &Directory, of: BranchId, name: &str) -> Result<Branch> {
    let own = directory.branches.iter().find(|each| each.id == of);
    let found = own.and_then(|own| directory.branch(own.root, name)).cloned();
    found.ok_or_else(|| super::branch::no_branch(name))
}
