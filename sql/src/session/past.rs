//! A session that reads the past: `SET heliosdb.as_of`, and `BEGIN READ ONLY AS OF …`.
//!
//! What is set is looked up at once, and kept as the SCN of a commit, which is also what SHOW says. As a setting like any
//! other it goes with SET LOCAL, ROLLBACK and RESET. While it is set, the session's catalog is that of the moment, whose
//! tables say what they are read as of, with the rights of now; its transaction stays one of now, and writes nothing.
//! BEGIN … AS OF is BEGIN and SET LOCAL, and keeps the moment from being cut until the transaction ends.

use std::sync::Arc;

use helios_mvcc::{Scn, Snapshot, Transaction};
use sqlparser::ast;

use super::transaction::lost;
use super::{Session, SettingValues, TransactionModes};
use crate::binder::{MomentKind, moment_of};
use crate::catalog::CatalogSnapshot;
use crate::error::{Result, SqlError, SqlState};
use crate::functions::EvalContext;
use crate::types::datetime::parse_timestamptz;
use crate::value::Datum;

/// The setting that names the moment.
pub(super) const AS_OF: &str = "heliosdb.as_of";

/// Whether a setting says as of when the session reads.
pub(super) fn is_past_setting(name: &str) -> bool {
    name.eq_ignore_ascii_case(AS_OF)
}

/// The moment that the settings name; `None` for now.
pub(super) fn moment_set(settings: &SettingValues) -> Option<Scn> {
    let value = settings.get(AS_OF).ok()?;
    match Written::of(&value) {
        Written::Number(MomentKind::Scn, number) => u64::try_from(number).ok().map(Scn),
        _ => None,
    }
}

/// What is kept of a value of the setting, where no commit has to be looked up.
///
/// # Errors
/// 22023 for all but SCNs.
pub(super) fn checked(value: &str) -> Result<String> {
    match Written::of(value) {
        Written::Now => Ok(String::new()),
        Written::Number(MomentKind::Scn, number) if number > 0 => Ok(format!("SCN {number}")),
        _ => Err(invalid(value)
            .with_hint("SET heliosdb.as_of takes times and transactions, too; here write SCN n.")),
    }
}

fn invalid(value: &str) -> SqlError {
    SqlError::invalid_parameter(format!("invalid value for parameter \"{AS_OF}\": \"{value}\""))
}

/// 25006; `as_of` tells what the session reads, if it is not what there is now.
pub(crate) fn read_only(command: &str, as_of: Option<Scn>) -> SqlError {
    let error = SqlError::new(
        SqlState::READ_ONLY_SQL_TRANSACTION,
        format!("cannot execute {command} in a read-only transaction"),
    );
    match as_of {
        None => error,
        Some(scn) => error.with_detail(format!("The session reads the database as of SCN {scn}.")).with_hint(
            "RESET heliosdb.as_of, or the end of a transaction that was begun AS OF, leads back to now.",
        ),
    }
}

/// A moment as the setting gives it.
enum Written<'t> {
    Now,
    Number(MomentKind, i64),
    Time(&'t str),
}

impl Written<'_> {
    fn of(text: &str) -> Written<'_> {
        let text = text.trim();
        if text.is_empty() {
            return Written::Now;
        }
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        for kind in [MomentKind::Scn, MomentKind::Transaction] {
            if word.eq_ignore_ascii_case(kind.word())
                && let Ok(number) = rest.trim().parse()
            {
                return Written::Number(kind, number);
            }
        }
        let has_word = word.eq_ignore_ascii_case(MomentKind::Timestamp.word());
        Written::Time(if has_word { rest.trim() } else { text })
    }
}

/// The catalog that a session sees of the past, and what it was made from.
pub(super) struct PastCatalog {
    snapshot: Snapshot,
    /// The catalog whose roles and rights it has.
    now: Arc<CatalogSnapshot>,
    catalog: Arc<CatalogSnapshot>,
}

impl Session {
    /// The moment that statements read; `None` for now.
    #[inline]
    pub(super) fn as_of(&self) -> Option<Scn> {
        let as_of = self.frequent.as_of?;
        let looks_at_now = self.active.as_ref().is_some_and(|active| active.looks_at_now);
        (!looks_at_now).then_some(as_of)
    }

    /// Has the rest of the transaction look at what there is now, or no more: at its end writes before SET LOCAL are due.
    pub(super) fn look_at_now(&mut self, looks_at_now: bool) {
        if self.frequent.as_of.is_some()
            && let Some(active) = &mut self.active
        {
            active.looks_at_now = looks_at_now;
            self.environment = None;
        }
    }

    /// What the setting is to say for a value that SET gives.
    ///
    /// # Errors
    /// 22023 for a moment that there was not, 72000 for one of which history is not kept, those of reading a time.
    pub(super) async fn resolve_as_of(&mut self, value: &str) -> Result<String> {
        let (kind, moment) = match Written::of(value) {
            Written::Now => return Ok(String::new()),
            Written::Number(kind, number) => (kind, Datum::Int64(number)),
            Written::Time(text) => {
                let now = self.now();
                let context = EvalContext {
                    transaction_timestamp: now,
                    statement_timestamp: now,
                    ..EvalContext::detached(&self.formats)
                };
                let micros = parse_timestamptz(text, &context).map_err(|error| match error.state() {
                    SqlState::INVALID_DATETIME_FORMAT => invalid(value)
                        .with_hint("A time is wanted, SCN n or TRANSACTION n; an empty string is now."),
                    _ => error,
                })?;
                (MomentKind::Timestamp, Datum::TimestampTz(micros))
            }
        };
        let scn = self.scn_of_moment(kind, &moment).await?;
        // What is gone already is refused here.
        self.reader_as_of(scn).await?;
        Ok(format!("SCN {scn}"))
    }

    /// The catalog of the moment that statements read.
    pub(super) async fn past_catalog(&mut self, scn: Scn) -> Result<Arc<CatalogSnapshot>> {
        let now = self.newest_catalog().await?;
        let snapshot = Snapshot { branch: self.branch, scn };
        if let Some(known) = &self.past
            && known.snapshot == snapshot
            && Arc::ptr_eq(&known.now, &now)
        {
            return Ok(known.catalog.clone());
        }
        let then = self.engine.past_catalog(snapshot).await?;
        let catalog = Arc::new(then.with_rights_of(&now));
        self.past = Some(PastCatalog { snapshot, now, catalog: catalog.clone() });
        Ok(catalog)
    }

    /// BEGIN … AS OF.
    ///
    /// # Errors
    /// Those of finding out what moment is meant; 0A000 for a transaction that is to write.
    pub(super) async fn begin_as_of(
        &mut self,
        modes: &TransactionModes,
        version: &ast::TableVersion,
        text: &str,
    ) -> Result<()> {
        if modes.read_only == Some(false) {
            return Err(SqlError::unsupported(
                "cannot set transaction read-write mode as of an earlier moment",
            )
            .with_hint("Write BEGIN READ ONLY AS OF, or leave AS OF out."));
        }
        if self.is_explicit() {
            // There is a warning for that.
            return self.begin(modes);
        }
        let used = self.active.as_ref().is_some_and(|active| active.used);
        let (kind, expr) = moment_of(version)?;
        let catalog = self.current_catalog().await?;
        let environment = self.bind_environment(&catalog);
        let value = self.evaluate(&catalog, &environment, kind, expr, text, &[], &Arc::default()).await?;
        let scn = self.scn_of_moment(kind, &value).await?;
        // Who evaluated it was no statement of the transaction.
        self.begin_in_transaction().used = used;
        self.begin_past(modes, scn).await
    }

    /// Begins a transaction that reads a moment, and keeps that.
    pub(super) async fn begin_past(&mut self, modes: &TransactionModes, scn: Scn) -> Result<()> {
        let mut reader = self.reader_as_of(scn).await?;
        self.begin(&TransactionModes { read_only: Some(true), ..modes.clone() })?;
        let active = self.active.as_mut().ok_or_else(lost)?;
        reader.read_for(active.transaction.as_ref().ok_or_else(lost)?.lock_owner());
        active.pinned = Some((scn, reader));
        self.assign_setting(AS_OF, Some(&format!("SCN {scn}")), true)
    }

    /// Reads a moment on the session's branch; as long as it is there, the moment is kept.
    ///
    /// # Errors
    /// 72000 for what is gone.
    async fn reader_as_of(&self, scn: Scn) -> Result<Transaction> {
        let store = self.engine.store();
        let origin = store.origin_of(Snapshot { branch: self.branch, scn }).await?;
        Ok(store.begin_as_of(origin.branch, origin.scn)?)
    }

    /// The moment that the running transaction was begun as of.
    pub(super) fn begun_as_of(&self) -> Option<Scn> {
        self.active.as_ref()?.pinned.as_ref().map(|(scn, _)| *scn)
    }
}
