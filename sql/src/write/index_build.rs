//! Reading whole tables to build what depends on them, under the table's exclusive lock.

use std::ops::ControlFlow;

use helios_mvcc::{KeyRange, ScanStep, Transaction, TreeId};

use super::{Entry, IndexWriter, TableWriter};
use crate::error::{Result, SqlError, SqlState};
use crate::execute::Execution;
use crate::expr::Expr;
use crate::value::Datum;

/// How many rows are held at a time.
const ROWS_PER_STEP: usize = 4_096;

/// Reads all rows of a table, in steps; `each` gets key and values.
async fn for_each_row(
    writer: &TableWriter,
    execution: &mut Execution,
    mut each: impl AsyncFnMut(&mut Execution, Vec<u8>, Vec<Datum>) -> Result<()>,
) -> Result<()> {
    let mut scan = execution.transaction.scan_latest(writer.tree(), KeyRange::all(), false);
    let width = writer.layout.columns().len();
    loop {
        let mut rows: Vec<(Vec<u8>, Vec<Datum>)> = Vec::new();
        let mut failure = None;
        let mut done = false;
        while rows.len() < ROWS_PER_STEP && !done && failure.is_none() {
            let step = scan
                .next(&execution.transaction, &mut |key, value| {
                    let values = writer
                        .layout
                        .view(value)
                        .and_then(|view| (0..width).map(|at| view.get(at)).collect::<Result<Vec<Datum>>>());
                    match values {
                        Ok(values) => rows.push((key.to_vec(), values)),
                        Err(error) => {
                            failure = Some(error);
                            return ControlFlow::Break(());
                        }
                    }
                    ControlFlow::Continue(())
                })
                .await?;
            done = step == ScanStep::Done;
        }
        if let Some(error) = failure {
            return Err(error);
        }
        for (key, values) in rows {
            each(execution, key, values).await?;
        }
        execution.check_cancel()?;
        if done {
            return Ok(());
        }
    }
}

/// Tests all rows against the writer's NOT NULL and CHECK constraints.
///
/// # Errors
/// 23502, 23514.
pub async fn check_rows(writer: &TableWriter, execution: &mut Execution) -> Result<()> {
    for_each_row(writer, execution, async |execution, _, values| writer.check(&values, &execution.context()))
        .await
}

/// Fills a new index from the table's rows.
///
/// # Errors
/// 23505 `could not create unique index`.
pub async fn build_index(writer: &TableWriter, index: &IndexWriter, execution: &mut Execution) -> Result<()> {
    let mut entries: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut last_row: Option<(Vec<u8>, Vec<Datum>)> = None;
    let mut exact_rows: Vec<(Vec<u8>, Vec<Datum>)> = Vec::new();
    for_each_row(writer, execution, async |execution, key, values| {
        let mut entry = Vec::new();
        match index.entry_key(&values, &key, &execution.context(), &mut entry)? {
            Entry::None => return Ok(()),
            Entry::Exact => exact_rows.push((entry.clone(), values)),
            Entry::WithRow => {}
        }
        entries.push((entry, key));
        Ok(())
    })
    .await?;
    entries.sort();
    exact_rows.sort_by(|left, right| left.0.cmp(&right.0));
    for (entry, values) in exact_rows {
        if let Some((previous, _)) = &last_row
            && *previous == entry
        {
            let shown = writer.index_key_text(index, &values, &execution.context())?;
            return Err(not_unique(writer, &index.name, &shown));
        }
        last_row = Some((entry, values));
    }
    bulk_build(&mut execution.transaction, index.tree, entries).await
}

/// Copies all rows of a table into the tree of another, under its layout and key. `fill` says what one position of
/// each row gets.
///
/// # Errors
/// 23502 and 23505, and those of the expression.
pub async fn rewrite_table(
    reader: &TableWriter,
    target: &TableWriter,
    fill: Option<&(usize, Expr)>,
    execution: &mut Execution,
) -> Result<()> {
    let width = target.layout.columns().len();
    let mut rows: Vec<(Vec<u8>, Vec<Datum>)> = Vec::new();
    for_each_row(reader, execution, async |execution, _, mut values| {
        values.resize(width, Datum::Null);
        if let Some((position, fill)) = fill {
            values[*position] = fill.eval_row(&values.as_slice(), &execution.context())?;
        }
        if let Some(position) = target.not_null.iter().find(|position| values[**position].is_null()) {
            let column = &target.entry.table.columns[*position].name;
            return Err(SqlError::new(
                SqlState::NOT_NULL_VIOLATION,
                format!(
                    "column \"{column}\" of relation \"{}\" contains null values",
                    target.entry.table.name
                ),
            )
            .with_schema(&target.schema_name)
            .with_table(&target.entry.table.name)
            .with_column(column));
        }
        let mut key = Vec::new();
        if target.primary_key.is_empty() {
            let branch = execution.transaction.branch();
            let number = execution.environment.store.next_row_id(branch, target.tree()).await?;
            key.extend(number.to_be_bytes());
        } else {
            target.primary_key_of(&values, &mut key);
        }
        rows.push((key, values));
        Ok(())
    })
    .await?;
    rows.sort_by(|left, right| left.0.cmp(&right.0));
    let mut entries = Vec::with_capacity(rows.len());
    for (key, values) in rows {
        if entries.last().is_some_and(|(previous, _): &(Vec<u8>, Vec<u8>)| *previous == key) {
            let shown = target.key_text(&target.primary_positions, &values, &execution.context())?;
            return Err(not_unique(target, &target.primary_name, &shown));
        }
        let mut value = Vec::new();
        target.layout.encode(target.entry.table.schema_version, &values, &mut value)?;
        entries.push((key, value));
    }
    bulk_build(&mut execution.transaction, target.tree(), entries).await
}

/// Writes sorted rows into a new tree.
async fn bulk_build(
    transaction: &mut Transaction,
    tree: TreeId,
    entries: Vec<(Vec<u8>, Vec<u8>)>,
) -> Result<()> {
    for (key, value) in entries {
        transaction.put(tree, &key, &value)?;
        transaction.make_room().await?;
    }
    Ok(())
}

fn not_unique(writer: &TableWriter, name: &str, shown: &str) -> SqlError {
    SqlError::new(SqlState::UNIQUE_VIOLATION, format!("could not create unique index \"{name}\""))
        .with_detail(format!("Key {shown} is duplicated."))
        .with_schema(&writer.schema_name)
        .with_table(&writer.entry.table.name)
        .with_constraint(name)
}

/// Tests all rows against the writer's foreign keys.
///
/// # Errors
/// 23503.
pub async fn check_references(writer: &TableWriter, execution: &mut Execution) -> Result<()> {
    for_each_row(writer, execution, async |execution, _, values| {
        for reference in &writer.references {
            reference.check(writer, &values, execution).await?;
        }
        Ok(())
    })
    .await
}
