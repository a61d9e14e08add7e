//! What became of transactions: `pg_current_snapshot`, `pg_xact_status`, `pg_xact_commit_timestamp` and their siblings.
//!
//! A snapshot here is the number of a commit. PostgreSQL's, which says which transactions it does not see, is made of it:
//! 1. the number that the next transaction will get is read;
//! 2. then the numbers of those that run, which no session's cell may hide ([`Backend::transaction_by_now`]);
//! 3. then those of commits behind the snapshot. One that ended between 2 and 3 is among these, or has left nothing to see.
//!
//! So a transaction below the first number that is in neither list has committed before the snapshot, or never will.

use std::collections::BTreeSet;

use helios_mvcc::{Error, Scn, Xid};

use super::relation::RelationRows;
use super::reports::ReportFunction;
use crate::error::{Result, SqlError};
use crate::execute::Execution;
use crate::types::Oid;
use crate::types::oids::{INT8, PG_SNAPSHOT, TEXT, TIMESTAMPTZ, TXID_SNAPSHOT, XID, XID8};
use crate::types::snapshot::TransactionSnapshot;
use crate::value::Datum;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionCall {
    CurrentSnapshot,
    Status,
    CommitTime,
}

use TransactionCall as Call;

/// Transactions that a snapshot may not see.
const UNSEEN_MAX: usize = 1 << 20;
/// Numbers below this one are of no transaction in PostgreSQL, which calls them committed.
const FIRST_NORMAL: u64 = 3;

const fn function(
    name: &'static str,
    arguments: &'static [Oid],
    columns: &'static [(&'static str, Oid)],
    call: Call,
) -> ReportFunction {
    ReportFunction::of_transactions(name, arguments, columns, call)
}

/// Those that have to wait for what they read.
pub static FUNCTIONS: &[ReportFunction] = &[
    function("pg_current_snapshot", &[], &[("value", PG_SNAPSHOT)], Call::CurrentSnapshot),
    function("txid_current_snapshot", &[], &[("value", TXID_SNAPSHOT)], Call::CurrentSnapshot),
    function("pg_xact_status", &[XID8], &[("value", TEXT)], Call::Status),
    function("txid_status", &[INT8], &[("value", TEXT)], Call::Status),
    function("pg_xact_commit_timestamp", &[XID], &[("value", TIMESTAMPTZ)], Call::CommitTime),
];

/// The one row of a call.
///
/// # Errors
/// 22023 for a transaction that there was not; those of reading.
pub async fn rows(call: Call, arguments: &[Datum], execution: &mut Execution) -> Result<RelationRows> {
    let value = match call {
        Call::CurrentSnapshot => current_snapshot(execution).await?.datum(),
        Call::Status => {
            let number = arguments.first().and_then(Datum::as_i64).unwrap_or(0).cast_unsigned();
            status(Xid(number), execution).await?.map_or(Datum::Null, Datum::text)
        }
        Call::CommitTime => {
            let Some(Datum::Oid(number)) = arguments.first() else { return Ok(Vec::new()) };
            commit_time(*number, execution).await?
        }
    };
    Ok(vec![vec![value]])
}

async fn current_snapshot(execution: &Execution) -> Result<TransactionSnapshot> {
    let (store, seen) = (&execution.environment.store, execution.transaction.snapshot().scn);
    let next = store.end_of_xids();
    let backends = execution.environment.backend.others().list();
    let running: BTreeSet<u64> = backends.iter().filter_map(|backend| backend.transaction_by_now()).collect();
    let Some(later) = store.xids_since(seen, UNSEEN_MAX).await? else {
        return Err(SqlError::unsupported("too many transactions committed behind this snapshot")
            .with_hint("Ask in a transaction that began later."));
    };
    let mut unseen: Vec<u64> = later.into_iter().map(|xid| xid.0).collect();
    for number in running {
        // Its session may not have heard yet that it committed.
        if commit_of(Xid(number), execution).await?.is_none_or(|scn| scn > seen) {
            unseen.push(number);
        }
    }
    let mut snapshot = TransactionSnapshot::before(next.0, unseen);
    // As in PostgreSQL, one's own transaction holds xmin back, but is not listed.
    let own = execution.environment.backend.transaction();
    snapshot.running.retain(|number| Some(*number) != own);
    Ok(snapshot)
}

/// The commit of a transaction, where it is known.
async fn commit_of(xid: Xid, execution: &Execution) -> Result<Option<Scn>> {
    match execution.environment.store.scn_of(xid).await {
        Ok(scn) => Ok(Some(scn)),
        Err(Error::NoSuchTransaction(_) | Error::TooOld { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What became of a transaction; nothing for one that is not known any more.
async fn status(xid: Xid, execution: &Execution) -> Result<Option<&'static str>> {
    let store = &execution.environment.store;
    if xid >= store.end_of_xids() {
        return Err(SqlError::invalid_parameter(format!("transaction ID {} is in the future", xid.0)));
    }
    if xid.0 == 0 {
        return Ok(None);
    }
    let backends = execution.environment.backend.others().list();
    let runs = backends.iter().any(|backend| backend.transaction_by_now() == Some(xid.0));
    // Looked up behind that: what ended meanwhile is found.
    match store.scn_of(xid).await {
        Ok(_) => Ok(Some("committed")),
        Err(Error::NoSuchTransaction(_)) if xid.0 < FIRST_NORMAL => Ok(Some("committed")),
        Err(Error::NoSuchTransaction(_)) => Ok(Some(if runs { "in progress" } else { "aborted" })),
        Err(Error::TooOld { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// When a transaction committed, by the lower half of its number.
async fn commit_time(number: u32, execution: &Execution) -> Result<Datum> {
    let store = &execution.environment.store;
    if number == 0 {
        return Err(SqlError::invalid_parameter("cannot retrieve commit timestamp for transaction 0"));
    }
    let Some(scn) = commit_of(Xid(widened(number, store.end_of_xids().0)), execution).await? else {
        return Ok(Datum::Null);
    };
    match store.time_of(scn).await {
        Ok(micros) => Ok(Datum::TimestampTz(since_2000(micros))),
        Err(Error::NoSuchScn { .. }) => Ok(Datum::Null),
        Err(error) => Err(error.into()),
    }
}

/// Microseconds since 1970 as a timestamp holds them.
pub fn since_2000(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX).saturating_sub(crate::session::EPOCH_MICROS)
}

/// The newest number below the next one with a lower half.
fn widened(half: u32, next: u64) -> u64 {
    let number = next >> 32 << 32 | u64::from(half);
    if number >= next { number.saturating_sub(1 << 32) } else { number }
}
