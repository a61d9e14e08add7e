//! ANALYZE: looks at a sample of a table's rows and writes down what the planner wants to know of them.

mod column;
mod sample;

use std::sync::Arc;

use helios_mvcc::TableLockMode;
use sqlparser::ast;

use super::Ddl;
use super::maintenance::may_maintain;
use crate::binder::{Relation, lookup_relation, name};
use crate::catalog::{ColumnNumber, ColumnStatistics, Statistics, Table, TableEntry, store};
use crate::error::{Result, SqlError, SqlState};
use crate::parser::AnalyzeTarget;
use crate::plan::row_layout;
use crate::session::{Locking, Notice, Session};

/// The size of a page, as far as statistics tell pages.
const PAGE_BYTES: f64 = 8_192.0;

/// What one of the targets names.
struct Wanted {
    entry: Arc<TableEntry>,
    /// `None`: all.
    columns: Option<Vec<ColumnNumber>>,
}

/// ANALYZE, of all tables where none is named.
///
/// # Errors
/// 42P01, 42703 and 42701 for what is named, and those of reading.
pub async fn analyze(session: &mut Session, targets: &[AnalyzeTarget], locking: Locking) -> Result<()> {
    for wanted in wanted(session, targets).await? {
        if !may_maintain(session, &wanted.entry, "analyze").await? {
            continue;
        }
        // Whoever analyzes all tables holds none of them up.
        if !targets.is_empty() && !session.lock_maintained(&wanted.entry.table, locking, "analyze").await? {
            continue;
        }
        let mut ddl = session.begin_ddl("ANALYZE").await?;
        let done = analyze_table(&mut ddl, &wanted).await;
        session.end_ddl(ddl, done.is_ok())?;
        done?;
    }
    Ok(())
}

async fn analyze_table(ddl: &mut Ddl, wanted: &Wanted) -> Result<()> {
    match examine(ddl, wanted).await? {
        Some(statistics) => ddl.put(statistics).await,
        None => Ok(()),
    }
}

/// Analyzes the table of an OID, unless it is gone or somebody else is changing it, without announcing a change of the
/// catalog. Whether that told anything new.
///
/// # Errors
/// Those of reading and writing; 40001 where the table was changed meanwhile.
pub async fn refresh_statistics(session: &mut Session, table: u32) -> Result<bool> {
    let (catalog, _) = session.binding().await?;
    let Some(entry) = catalog.table(table).cloned() else { return Ok(false) };
    let is_off = |(name, value): &(String, String)| {
        name == "autovacuum_enabled" && matches!(value.as_str(), "false" | "off" | "no" | "0")
    };
    if entry.table.options.iter().any(is_off) {
        return Ok(false);
    }
    let mut ddl = session.begin_ddl("ANALYZE").await?;
    let done = analyze_aside(&mut ddl, &Wanted { entry, columns: None }).await;
    session.end_ddl(ddl, false)?;
    done
}

async fn analyze_aside(ddl: &mut Ddl, wanted: &Wanted) -> Result<bool> {
    let Some(statistics) = examine(ddl, wanted).await? else { return Ok(false) };
    let mode = TableLockMode::ShareUpdateExclusive;
    let table = &wanted.entry.table;
    if !ddl.execution.transaction.try_lock_table(u64::from(table.oid), mode) {
        return Ok(false);
    }
    ddl.lock_as(table, mode).await?;
    store::put_unannounced(&mut ddl.execution.transaction, &statistics.into()).await?;
    Ok(true)
}

async fn wanted(session: &mut Session, targets: &[AnalyzeTarget]) -> Result<Vec<Wanted>> {
    let (catalog, binding) = session.binding().await?;
    if targets.is_empty() {
        let all = catalog.tables().map(|entry| Wanted { entry: entry.clone(), columns: None });
        return Ok(all.collect());
    }
    let mut found = Vec::new();
    for target in targets {
        let (schema, base) = name::split(&target.table)?;
        match lookup_relation(
            &catalog,
            &binding.who.among(&catalog),
            &binding.search_path,
            schema.as_deref(),
            &base,
        )? {
            Relation::Stored(entry) => {
                let columns = columns_named(&entry.table, &target.columns)?;
                found.push(Wanted { entry, columns });
            }
            // The system's own relations are computed: there is nothing to look at.
            Relation::Virtual(_) => {}
            Relation::Index(_) | Relation::Sequence(_) | Relation::View(_) => {
                let message =
                    format!("skipping \"{base}\" --- cannot analyze non-tables or special system tables");
                session.notify(Notice::warning(SqlState::WARNING, message));
            }
        }
    }
    Ok(found)
}

fn columns_named(table: &Table, names: &[ast::Ident]) -> Result<Option<Vec<ColumnNumber>>> {
    let mut numbers = Vec::new();
    for ident in names {
        let column_name = name::fold(ident);
        let column = table.column(&column_name).ok_or_else(|| {
            SqlError::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{column_name}\" of relation \"{}\" does not exist", table.name),
            )
        })?;
        if numbers.contains(&column.number) {
            return Err(SqlError::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{column_name}\" of relation \"{}\" appears more than once", table.name),
            ));
        }
        numbers.push(column.number);
    }
    Ok((!numbers.is_empty()).then_some(numbers))
}

/// What is to be written down of a table, unless that is known already.
async fn examine(ddl: &mut Ddl, wanted: &Wanted) -> Result<Option<Statistics>> {
    let oid = wanted.entry.table.oid;
    let Some(entry) = ddl.catalog.table(oid).cloned() else {
        return Err(SqlError::new(SqlState::UNDEFINED_TABLE, "the table was dropped meanwhile"));
    };
    let sample = sample::take(&ddl.execution, &entry.table).await?;
    if wanted.columns.is_none() {
        entry.changes.restart();
    }
    let layout = row_layout(&entry.table);
    let is_wanted = |number| wanted.columns.as_ref().is_none_or(|columns| columns.contains(&number));
    let mut columns: Vec<ColumnStatistics> = Vec::new();
    for column in entry.table.live_columns() {
        if is_wanted(column.number) {
            ddl.execution.check_cancel()?;
            columns.extend(column::statistics(column, &sample, &layout)?);
        } else {
            columns.extend(entry.column_statistics(column.number).cloned());
        }
    }
    let statistics = Statistics::new(oid, sample.total, (sample.bytes / PAGE_BYTES).ceil(), &columns);
    Ok((entry.statistics.as_deref() != Some(&statistics)).then_some(statistics))
}
