//! Tests of the merged rows under the constraints that the merged tables have: every row that breaks one is reported, with its key.
//!
//! Rows that were refused when they were written are there nevertheless (`TableWriter::put_refused`), so that a test does not
//! find broken what only hangs on them. Where one could not be written at all, foreign keys are not tested.

use std::sync::Arc;

use super::objects::shown;
use super::report::{KEPT_MAX, Report};
use super::rows::row_key;
use crate::catalog::{Index, IndexColumn, Object, TableEntry};
use crate::ddl::Ddl;
use crate::error::{Result, SqlError, SqlState};
use crate::functions::EvalContext;
use crate::value::Datum;
use crate::write::{self, TableWriter};

/// A table's name, as reports have it.
fn name_of(ddl: &Ddl, entry: &Arc<TableEntry>) -> String {
    shown(&ddl.catalog, &Object::Table(entry.table.clone()))
}

/// What a table's rows were not tested by yet.
#[derive(Default)]
pub struct Untested {
    /// Columns that may have NULLs, by position.
    pub not_null: Vec<usize>,
    /// CHECK constraints, by name.
    pub checks: Vec<String>,
}

/// Tests all rows of a table.
///
/// # Errors
/// Those of reading and of CHECK expressions.
pub async fn check_rows(ddl: &mut Ddl, table: u32, untested: &Untested, report: &mut Report) -> Result<()> {
    let entry = ddl.catalog.expect_table(table)?.clone();
    let name = name_of(ddl, &entry);
    let writer = ddl.writer(&entry)?;
    let is_meant = |error: &SqlError| match &error.fields().constraint {
        Some(check) => untested.checks.contains(check),
        None => true,
    };
    let mut see = |row: &[Datum], context: &EvalContext<'_>| -> Result<()> {
        if untested.checks.is_empty() && !untested.not_null.iter().any(|at| row[*at].is_null()) {
            return Ok(());
        }
        for error in writer.check_all(row, context)?.into_iter().filter(is_meant) {
            report.violate_later(name.clone(), row_key(&writer, row, context)?, error);
        }
        Ok(())
    };
    write::read_rows(&writer, &mut ddl.execution, &mut see).await
}

/// Fills a new index of a table: rows that have a key which only one may have are reported, all of them.
///
/// # Errors
/// Those of reading and writing.
pub async fn check_unique(
    ddl: &mut Ddl,
    writer: &TableWriter,
    index: &Index,
    report: &mut Report,
) -> Result<()> {
    let index_writer = write::index_writer(&writer.entry.table, index, &mut ddl.binder(""))?;
    let found = write::build_listing(writer, &index_writer, KEPT_MAX, &mut ddl.execution).await?;
    let name = name_of(ddl, &writer.entry);
    for (row, error) in found {
        let key = row_key(writer, &row, &ddl.execution.context())?;
        report.violate_later(name.clone(), key, error);
    }
    Ok(())
}

/// Tests all rows of a table by a primary key that it cannot get: those that have no value of one of its columns, and those that
/// are not the only ones with theirs.
///
/// # Errors
/// Those of reading and writing.
pub async fn check_key(
    ddl: &mut Ddl,
    writer: &TableWriter,
    (key, columns): (&Index, &[String]),
    report: &mut Report,
) -> Result<()> {
    let table = writer.entry.table.clone();
    let place = |name: &String| table.columns.iter().position(|column| column.name == *name);
    let places: Vec<usize> = columns.iter().filter_map(place).collect();
    let name = name_of(ddl, &writer.entry);
    let mut see = |row: &[Datum], context: &EvalContext<'_>| -> Result<()> {
        if let Some(place) = places.iter().find(|place| row[**place].is_null()) {
            let column = &table.columns[*place].name;
            let message = format!("column \"{column}\" of relation \"{}\" contains null values", table.name);
            let error = SqlError::new(SqlState::NOT_NULL_VIOLATION, message);
            report.violate(name.clone(), row_key(writer, row, context)?, error);
        }
        Ok(())
    };
    write::read_rows(writer, &mut ddl.execution, &mut see).await?;
    let tree = ddl.execution.transaction.create_tree();
    let part = |place: &usize| IndexColumn {
        number: table.columns[*place].number,
        expression: None,
        class: None,
        collation: 0,
        descending: false,
        nulls_first: false,
    };
    let columns = places.iter().map(part).collect();
    let (included, read) = (Vec::new(), Vec::new());
    let index = Index { tree, columns, included, read, primary: false, ..key.clone() };
    check_unique(ddl, writer, &index, report).await
}

/// Tests all rows of a table by its foreign keys; what they refer to and is not there is looked for at the end.
///
/// # Errors
/// Those of reading.
pub async fn check_references(ddl: &mut Ddl, table: u32, report: &mut Report) -> Result<()> {
    let entry = ddl.catalog.expect_table(table)?.clone();
    let writer = ddl.writer(&entry)?;
    let pending_max = ddl.execution.pending.len() + KEPT_MAX;
    match write::check_references(&writer, pending_max, &mut ddl.execution).await {
        Err(error) if error.state().as_str().starts_with("23") => {
            report.violate(name_of(ddl, &entry), None, error);
            Ok(())
        }
        tested => tested,
    }
}

/// Looks again at what was broken while rows were written.
///
/// # Errors
/// Those of reading.
pub async fn check_pending(ddl: &mut Ddl, report: &mut Report) -> Result<()> {
    if !report.has_all_rows() {
        return Ok(());
    }
    let broken = write::broken(&mut ddl.execution, KEPT_MAX).await?;
    let mut last: Option<TableWriter> = None;
    for write::BrokenRow { table, row, error } in broken {
        let is_last = |writer: &TableWriter| writer.entry.table.oid == table.table.oid;
        let writer = match last.take_if(|writer| is_last(writer)) {
            Some(writer) => writer,
            None => ddl.writer(&table)?,
        };
        let key = row.map(|row| row_key(&writer, &row, &ddl.execution.context())).transpose()?.flatten();
        report.violate(name_of(ddl, &table), key, error);
        last = Some(writer);
    }
    Ok(())
}
