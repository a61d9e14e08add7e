//! Reading whole tables to build what depends on them, under the table's exclusive lock.

use std::ops::ControlFlow;

use futures_lite::future::yield_now;
use helios_mvcc::{KeyRange, ScanStep};

use super::sorted_entries::SortedEntries;
use super::{Entry, IndexWriter, KeyPart, TableWriter};
use crate::error::{Result, SqlError, SqlState};
use crate::execute::Execution;
use crate::expr::Expr;
use crate::functions::EvalContext;
use crate::value::Datum;
use crate::value::row::RowView;

/// How many rows are held at a time, where something is awaited for each.
const ROWS_PER_STEP: usize = 4_096;

/// What is done between steps of reading a table: nothing, or making room for what was gathered.
trait Gathered: Send {
    fn make_room(&mut self) -> impl Future<Output = Result<()>> + Send;
}

impl Gathered for () {
    async fn make_room(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Gathered for SortedEntries {
    async fn make_room(&mut self) -> Result<()> {
        SortedEntries::make_room(self).await
    }
}

/// Reads all rows of a table; `visit` gets what is gathered, key and row.
async fn visit_rows<G: Gathered>(
    writer: &TableWriter,
    execution: &Execution,
    gathered: &mut G,
    mut visit: impl FnMut(&mut G, &[u8], RowView<'_>) -> Result<()> + Send,
) -> Result<()> {
    let mut scan = execution.transaction.scan_latest(writer.tree(), KeyRange::all(), false);
    let mut failure = None;
    loop {
        let step = scan
            .next(&execution.transaction, &mut |key, value| match writer
                .layout
                .view(value)
                .and_then(|row| visit(gathered, key, row))
            {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            })
            .await?;
        if let Some(error) = failure {
            return Err(error);
        }
        gathered.make_room().await?;
        if step == ScanStep::Done {
            return Ok(());
        }
        execution.check_cancel()?;
        yield_now().await;
    }
}

/// No entries yet, as many of them in memory as `maintenance_work_mem` says.
fn no_entries(execution: &Execution) -> SortedEntries {
    let kilobytes = execution.environment.settings.kilobytes("maintenance_work_mem");
    let bytes = kilobytes.and_then(|size| usize::try_from(size).ok()).map_or(64 << 20, |size| size << 10);
    SortedEntries::new(execution.environment.store.clone(), bytes)
}

/// Takes all values of a row.
fn read_values(writer: &TableWriter, row: RowView<'_>, values: &mut Vec<Datum>) -> Result<()> {
    values.clear();
    for at in 0..writer.layout.columns().len() {
        values.push(row.get(at)?);
    }
    Ok(())
}

/// Tests all rows against the writer's NOT NULL and CHECK constraints.
///
/// # Errors
/// 23502, 23514.
pub async fn check_rows(writer: &TableWriter, execution: &mut Execution) -> Result<()> {
    let mut values = Vec::new();
    visit_rows(writer, execution, &mut (), |(), _, row| {
        read_values(writer, row, &mut values)?;
        writer.check(&values, &execution.context())
    })
    .await
}

/// Shows the values of all rows.
///
/// # Errors
/// Those of reading, and what `see` gives.
pub async fn read_rows(
    writer: &TableWriter,
    execution: &mut Execution,
    see: &mut (dyn FnMut(&[Datum], &EvalContext<'_>) -> Result<()> + Send),
) -> Result<()> {
    let mut values = Vec::new();
    visit_rows(writer, execution, &mut (), |(), _, row| {
        read_values(writer, row, &mut values)?;
        see(&values, &execution.context())
    })
    .await
}

/// Fills a new index from the table's rows.
///
/// # Errors
/// 23505 `could not create unique index`.
pub async fn build_index(writer: &TableWriter, index: &IndexWriter, execution: &mut Execution) -> Result<()> {
    match build_listing(writer, index, 1, execution).await?.pop() {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

/// The same where rows may have a key that only one may have: gives these rows, each with what is to be said of it, up to
/// `rows_max` of them. All but one of each key have no entry then; with so many that not all are given, no row has.
///
/// # Errors
/// Those of reading and writing.
pub async fn build_listing(
    writer: &TableWriter,
    index: &IndexWriter,
    rows_max: usize,
    execution: &mut Execution,
) -> Result<Vec<(Vec<Datum>, SqlError)>> {
    let mut entries = no_entries(execution);
    let mut entry = Vec::new();
    let mut values = vec![Datum::Null; writer.layout.columns().len()];
    let positions = plain_positions(index);
    visit_rows(writer, execution, &mut entries, |entries, key, row| {
        match &positions {
            Some(positions) => {
                for position in positions {
                    values[*position] = row.get(*position)?;
                }
            }
            None => read_values(writer, row, &mut values)?,
        }
        entry.clear();
        match index.entry_key(&values, key, &execution.context(), &mut entry)? {
            Entry::None => {}
            Entry::Exact => entries.add(&entry, key, true),
            Entry::WithRow => entries.add(&entry, key, false),
        }
        Ok(())
    })
    .await?;
    let (mut doubles, mut with_entry): (Vec<Vec<u8>>, Vec<u8>) = Default::default();
    let mut double = |first: &[u8], other: &[u8]| {
        if with_entry != first {
            with_entry = first.to_vec();
            doubles.push(first.to_vec());
        }
        doubles.push(other.to_vec());
        if doubles.len() < rows_max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    entries.write(&mut execution.transaction, index.tree, &mut double).await?;
    doubles.truncate(rows_max);
    let mut found = Vec::with_capacity(doubles.len());
    for row_key in doubles {
        let row = execution.transaction.get_latest(writer.tree(), &row_key).await?;
        let row = row.ok_or_else(|| SqlError::internal("a row left a table that is locked"))?;
        let view = writer.layout.view(&row)?;
        let values =
            (0..writer.layout.columns().len()).map(|at| view.get(at)).collect::<Result<Vec<Datum>>>()?;
        let shown = writer.index_key_text(index, &values, &execution.context())?;
        found.push((values, not_unique(writer, &index.name, &shown)));
    }
    Ok(found)
}

/// Copies all rows of a table into the tree of another, under its layout and key. `fills` says what some positions of
/// each row get. Where nothing but the key is another, rows are copied as they are.
///
/// # Errors
/// 23502 and 23505, and those of the expression.
pub async fn rewrite_table(
    reader: &TableWriter,
    target: &TableWriter,
    fills: &[(usize, Expr)],
    execution: &mut Execution,
) -> Result<()> {
    let width = target.layout.columns().len();
    let store = execution.environment.store.clone();
    let branch = execution.transaction.branch();
    let is_numbered = target.primary_key.is_empty();
    if is_numbered {
        // Whatever has to be read for the first number is at hand for the others.
        store.next_row_id(branch, target.tree()).await?;
    }
    let mut entries = no_entries(execution);
    let (mut key, mut encoded, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let mut filled = Vec::new();
    let stays = fills.is_empty() && reader.entry.table.schema_version == target.entry.table.schema_version;
    let read: Vec<usize> = target.not_null.iter().chain(&target.primary_positions).copied().collect();
    visit_rows(reader, execution, &mut entries, |entries, _, row| {
        if stays {
            values.resize(width, Datum::Null);
            for position in &read {
                values[*position] = row.get(*position)?;
            }
        } else {
            read_values(reader, row, &mut values)?;
            values.resize(width, Datum::Null);
        }
        filled.clear();
        for (_, fill) in fills {
            filled.push(fill.eval_row(&values.as_slice(), &execution.context())?);
        }
        for ((position, _), value) in fills.iter().zip(filled.drain(..)) {
            values[*position] = value;
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
        key.clear();
        if is_numbered {
            let number = store.try_next_row_id(branch, target.tree());
            key.extend(number.ok_or_else(|| SqlError::internal("row numbers are at hand"))?.to_be_bytes());
        } else {
            target.primary_key_of(&values, &mut key);
        }
        if stays {
            entries.add(&key, row.bytes(), true);
            return Ok(());
        }
        encoded.clear();
        target.layout.encode(target.entry.table.schema_version, &values, &mut encoded)?;
        entries.add(&key, &encoded, true);
        Ok(())
    })
    .await?;
    let mut double = None;
    let mut keep = |_: &[u8], other: &[u8]| {
        double = Some(other.to_vec());
        ControlFlow::Break(())
    };
    entries.write(&mut execution.transaction, target.tree(), &mut keep).await?;
    if let Some(row) = double {
        let view = target.layout.view(&row)?;
        let values = (0..width).map(|at| view.get(at)).collect::<Result<Vec<Datum>>>()?;
        let shown = target.key_text(&target.primary_positions, &values, &execution.context())?;
        return Err(not_unique(target, &target.primary_name, &shown));
    }
    Ok(())
}

/// What an index reads of a row, where that is columns and nothing else.
fn plain_positions(index: &IndexWriter) -> Option<Vec<usize>> {
    if index.predicate.is_some() {
        return None;
    }
    let position = |part: &KeyPart| match part {
        KeyPart::Column(position) => Some(*position),
        KeyPart::Expression(..) => None,
    };
    index.parts.iter().map(position).collect()
}

fn not_unique(writer: &TableWriter, name: &str, shown: &str) -> SqlError {
    SqlError::new(SqlState::UNIQUE_VIOLATION, format!("could not create unique index \"{name}\""))
        .with_detail(format!("Key {shown} is duplicated."))
        .with_schema(&writer.schema_name)
        .with_table(&writer.entry.table.name)
        .with_constraint(name)
}

/// Tests all rows against the writer's foreign keys, until so many checks are pending.
///
/// # Errors
/// 23503.
pub async fn check_references(
    writer: &TableWriter,
    pending_max: usize,
    execution: &mut Execution,
) -> Result<()> {
    let mut scan = execution.transaction.scan_latest(writer.tree(), KeyRange::all(), false);
    loop {
        let (mut rows, mut failure) = (Vec::new(), None);
        let step = scan
            .next(&execution.transaction, &mut |_, value| {
                let mut values = Vec::new();
                match writer.layout.view(value).and_then(|row| read_values(writer, row, &mut values)) {
                    Ok(()) => rows.push(values),
                    Err(error) => failure = Some(error),
                }
                let goes_on = failure.is_none() && rows.len() < ROWS_PER_STEP;
                if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })
            .await?;
        if let Some(error) = failure {
            return Err(error);
        }
        for values in rows {
            for reference in &writer.references {
                reference.check(writer, &values, execution).await?;
            }
        }
        execution.breathe().await?;
        if step == ScanStep::Done || execution.pending.len() >= pending_max {
            return Ok(());
        }
    }
}
