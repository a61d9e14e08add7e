//! `xmin`: the transaction that wrote a row as the statement sees it.
//!
//! A row says which commit wrote it; the index of commits, whose transaction that was. Only what is asked is looked up,
//! and kept for the statement.

use std::collections::BTreeSet;

use super::relation::RelationRows;
use crate::error::{Result, SqlError};
use crate::execute::Execution;
use crate::value::Datum;

/// The number that PostgreSQL gives to rows whose transaction is not known any more.
const FROZEN: u32 = 2;

/// The one row, for a table's OID and a row's key.
///
/// # Errors
/// Those of reading.
pub async fn rows(arguments: &[Datum], execution: &mut Execution) -> Result<RelationRows> {
    let [Datum::Oid(table), Datum::Bytes(key)] = arguments else {
        return Err(SqlError::internal("a row is named by its table and key"));
    };
    let tree = execution.environment.catalog.expect_table(*table)?.table.tree;
    let store = execution.environment.store.clone();
    let writer = loop {
        match execution.transaction.try_writer(tree, key) {
            Ok(writer) => break writer,
            Err(fault) => store.resolve(fault).await?,
        }
    };
    let Some(writer) = writer else { return Ok(Vec::new()) };
    let Some(scn) = writer else {
        let own = execution.transaction.xid();
        return Ok(vec![vec![Datum::Oid(shortened(own.0))]]);
    };
    if let Some(known) = execution.writers.get(&scn) {
        return Ok(vec![vec![Datum::Oid(*known)]]);
    }
    let found = store.xids_of(&BTreeSet::from([scn])).await?;
    let xid = found.get(&scn).map_or(FROZEN, |xid| shortened(xid.0));
    execution.writers.insert(scn, xid);
    Ok(vec![vec![Datum::Oid(xid)]])
}

/// A transaction's number as `xid` holds it: its lower half.
#[allow(clippy::cast_possible_truncation)] // as PostgreSQL's does
fn shortened(number: u64) -> u32 {
    number as u32
}
