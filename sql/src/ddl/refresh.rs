//! REFRESH MATERIALIZED VIEW: its query is run again, as its owner.
//!
//! Without CONCURRENTLY the rows go into a new tree, and indexes are built anew. With it the rows are compared with those
//! that are there, by the columns of a unique index, and only what differs is written. Plain reads take no locks here: they
//! go on beside both, and see the old rows until the commit.
//!
//! Whoever comes to refresh views by themselves, or by the changes of what they read, has the same two ways to write:
//! [`replace`] and [`difference`].

use std::collections::HashSet;
use std::sync::Arc;

use helios_mvcc::TableLockMode;

use super::storage::Owner;
use super::{Ddl, create_as, index};
use crate::binder::{Binder, BoundDifference, Relation, RelationKind, name};
use crate::catalog::{Index, Table, TableEntry, View};
use crate::error::{Result, SqlError, SqlState};
use crate::execute::{self, Execution, RowStore};
use crate::parser::Refresh;
use crate::plan::logical::{ColumnId, Logical};
use crate::plan::physical::PlanNode;
use crate::types::oids;
use crate::value::{Datum, RecordShape, RecordValue, Text};
use crate::write::{OldRow, TableWriter};

/// How much is kept of rows that share a key with others, to tell which of them are the same: then the refresh fails.
const REPEATED_BYTES_MAX: usize = 1 << 20;

/// Refreshes it.
///
/// # Errors
/// 42809 and 0A000 for what is no materialized view, 55000 where its rows cannot be told apart, and all that its query
/// and its indexes raise.
pub async fn refresh(ddl: &mut Ddl, refresh: &Refresh) -> Result<()> {
    let found = ddl.relation(&refresh.name)?;
    if !matches!(found.kind(), RelationKind::Table | RelationKind::MaterializedView) {
        let message = format!("\"{}\" is not a table or materialized view", found.name());
        return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
    }
    ddl.check_owns(&found)?;
    let entry = match found {
        Relation::Stored(entry) if entry.table.materialized.is_some() => entry,
        other => {
            return Err(SqlError::unsupported(format!("\"{}\" is not a materialized view", other.name())));
        }
    };
    let mode = match refresh.concurrently {
        true => TableLockMode::Exclusive,
        false => TableLockMode::AccessExclusive,
    };
    ddl.lock_as(&entry.table, mode).await?;
    // What was committed while the lock was waited for counts.
    ddl.refresh().await?;
    let entry = ddl.catalog.expect_table(entry.table.oid)?.clone();
    if refresh.concurrently {
        check_concurrent(ddl, &entry, refresh)?;
    }
    let Some(view) = entry.table.as_view().map(Arc::new) else {
        return Err(SqlError::internal("a materialized view has a query"));
    };
    let owner = ddl.catalog.role(view.owner).cloned();
    let own = ddl.execution.environment.clone();
    if let Some(owner) = owner {
        ddl.execution.environment = Arc::new(own.as_role(&owner));
    }
    let done = match refresh.concurrently {
        true => difference(ddl, &entry, &view).await,
        false => replace(ddl, &entry, refresh.with_data.then_some(&view)).await,
    };
    ddl.execution.environment = own;
    done
}

/// What CONCURRENTLY needs.
fn check_concurrent(ddl: &Ddl, entry: &TableEntry, refresh: &Refresh) -> Result<()> {
    let table = &entry.table;
    if table.is_unpopulated() {
        let message = "CONCURRENTLY cannot be used when the materialized view is not populated";
        return Err(SqlError::unsupported(message));
    }
    if !refresh.with_data {
        return Err(SqlError::syntax("CONCURRENTLY and WITH NO DATA options cannot be used together"));
    }
    if telling_apart(entry).is_some() {
        return Ok(());
    }
    let schema =
        ddl.catalog.schema(table.schema).map_or_else(String::new, |schema| name::quote(&schema.name));
    let message =
        format!("cannot refresh materialized view \"{schema}.{}\" concurrently", name::quote(&table.name));
    Err(SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).with_hint(
        "Create a unique index with no WHERE clause on one or more columns of the materialized view.",
    ))
}

/// The index by whose columns rows are told apart.
fn telling_apart(entry: &TableEntry) -> Option<&Arc<Index>> {
    entry.indexes.iter().find(|index| index.unique && index.is_plain() && !index.columns.is_empty())
}

/// Binds what the refresh reads, as the view's owner, and plans it.
fn plan(
    ddl: &Ddl,
    view: &View,
    bind: impl FnOnce(&mut Binder<'_>) -> Result<(Logical, Vec<ColumnId>)>,
) -> Result<PlanNode> {
    let mut environment = ddl.binding.clone();
    environment.who = environment.who.instead(view.owner);
    let mut binder = Binder::new(&ddl.catalog, &environment, "", Vec::new());
    let (logical, needed) = bind(&mut binder)?;
    binder.settle_uses();
    let uses = binder.take_uses();
    crate::rights::check_uses(&ddl.catalog, environment.who, &uses)?;
    crate::rights::check_populated(&uses)?;
    crate::plan::plan_query(logical, &needed, &binder.means())
}

/// Gives it new trees, with the rows of its query; without rows where no query is given.
async fn replace(ddl: &mut Ddl, entry: &TableEntry, query: Option<&Arc<View>>) -> Result<()> {
    let plan = match query {
        Some(view) => Some(plan(ddl, view, |binder| binder.bind_stored_query(view))?),
        None => None,
    };
    let mut table = (*entry.table).clone();
    ddl.execution.transaction.drop_tree(table.tree)?;
    table.tree = ddl.tree(&table.options, Owner::Table);
    if let Some(materialized) = &mut table.materialized {
        materialized.is_populated = plan.is_some();
    }
    let mut bare = TableEntry::bare(table.clone(), Vec::new());
    if let Some(bare) = Arc::get_mut(&mut bare) {
        bare.changes = entry.changes.clone();
    }
    if let Some(plan) = &plan {
        let writer = ddl.writer(&bare)?;
        create_as::fill(ddl, plan, &writer).await?;
    }
    for old in &entry.indexes {
        let mut new = (**old).clone();
        ddl.execution.transaction.drop_tree(old.tree)?;
        new.tree = ddl.tree(&new.options, Owner::Index);
        index::fill(ddl, &bare, &new).await?;
        ddl.put(new).await?;
    }
    ddl.put(table).await
}

/// Writes only what differs: first all rows go that are no more, then those come that are new, as a new row may have a
/// key that an old one had.
async fn difference(ddl: &mut Ddl, entry: &Arc<TableEntry>, view: &Arc<View>) -> Result<()> {
    let Some(index) = telling_apart(entry).cloned() else {
        return Err(SqlError::internal("a concurrent refresh needs a unique index"));
    };
    let plan = plan(ddl, view, |binder| {
        let BoundDifference { plan, columns } = binder.bind_difference(entry, view, &index)?;
        Ok((plan, columns))
    })?;
    let columns = Columns::of(&entry.table, &index);
    let writer = ddl.writer(entry)?;
    let execution = &mut ddl.execution;
    let mut new_rows = remove_old(&plan, &columns, &writer, execution).await?;
    new_rows.finish().await?;
    let mut block = 0;
    while let Some(batch) = new_rows.read(block).await? {
        for at in 0..batch.row_count {
            writer.insert(&columns.new_row(&batch.row(at)), execution).await?;
        }
        execution.breathe().await?;
        block += 1;
    }
    Ok(())
}

/// Removes the rows that are no more, or others now; gives those that are to come.
async fn remove_old(
    plan: &PlanNode,
    columns: &Columns,
    writer: &TableWriter,
    execution: &mut Execution,
) -> Result<RowStore> {
    let mut source = execute::build(plan);
    let mut new_rows = RowStore::new(execution);
    let mut repeated = Repeated::default();
    while let Some(batch) = source.next(execution).await? {
        let mut coming = Vec::new();
        for at in 0..batch.row_count {
            let row = batch.row(at);
            let key = match &row[0] {
                Datum::Bytes(key) => Some(key.clone()),
                _ => None,
            };
            let has_new = !row[columns.marker()].is_null();
            let old = columns.old_row(&row);
            let new = columns.new_row(&row);
            let is_same = key.is_some() && has_new && image(writer, &old)? == image(writer, &new)?;
            if has_new && columns.is_repeated(&row) {
                repeated.note(writer, &new, execution)?;
            } else if let Some(key) = key.filter(|_| !is_same) {
                writer.delete(OldRow { key: &key, values: &old, is_newest: false }, execution).await?;
            }
            if has_new && !is_same {
                coming.push(u32::try_from(at).unwrap_or(u32::MAX));
            }
        }
        if !coming.is_empty() {
            new_rows.push(batch.gather(&coming)).await?;
        }
        execution.breathe().await?;
    }
    Ok(new_rows)
}

/// A row's stored bytes: rows are the same where these are, even if other values count as equal.
fn image(writer: &TableWriter, row: &[Datum]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    writer.layout.encode(1, row, &mut bytes)?;
    Ok(bytes)
}

/// Where things are in a row of the difference: the old row's key, its values, the new row's, whether there is a new
/// row, and how many new rows have its key.
struct Columns {
    /// Positions of the live columns in the table, and how many it has.
    live: Vec<usize>,
    width: usize,
    /// Which of the live ones the index is over.
    keys: Vec<usize>,
}

impl Columns {
    fn of(table: &Table, index: &Index) -> Columns {
        let live: Vec<usize> = table.live_columns().map(|column| Table::position(column.number)).collect();
        let place = |number: i16| live.iter().position(|at| *at == Table::position(number));
        let keys = index.columns.iter().filter_map(|column| place(column.number)).collect();
        Columns { width: table.columns.len(), keys, live }
    }

    fn row(&self, values: &[Datum]) -> Vec<Datum> {
        let mut row = vec![Datum::Null; self.width];
        for (at, value) in self.live.iter().zip(values) {
            row[*at] = value.clone();
        }
        row
    }

    fn old_row(&self, row: &[Datum]) -> Vec<Datum> {
        self.row(&row[1..=self.live.len()])
    }

    fn new_row(&self, row: &[Datum]) -> Vec<Datum> {
        self.row(&row[1 + self.live.len()..self.marker()])
    }

    fn marker(&self) -> usize {
        1 + 2 * self.live.len()
    }

    /// Whether other new rows have the same key, which the index does not admit.
    fn is_repeated(&self, row: &[Datum]) -> bool {
        let new = &row[1 + self.live.len()..self.marker()];
        let copies = row[self.marker() + 1].as_i64().unwrap_or(0);
        copies > 1 && self.keys.iter().all(|at| !new[*at].is_null())
    }
}

/// New rows that share a key. Nothing is removed for them: inserting the second one fails.
#[derive(Default)]
struct Repeated {
    images: HashSet<Vec<u8>>,
    bytes: usize,
}

impl Repeated {
    /// # Errors
    /// 21000 for a row that came before and has no NULL.
    fn note(&mut self, writer: &TableWriter, row: &[Datum], execution: &Execution) -> Result<()> {
        let table = &writer.entry.table;
        let mut live = table.live_columns();
        if self.bytes > REPEATED_BYTES_MAX || live.any(|each| row[Table::position(each.number)].is_null()) {
            return Ok(());
        }
        let image = image(writer, row)?;
        self.bytes += image.len();
        if self.images.insert(image) {
            return Ok(());
        }
        let shape = RecordShape::anonymous(
            table.live_columns().map(|column| (Text::from(column.name.as_str()), column.data_type())),
        );
        let fields = table.live_columns().map(|column| row[Table::position(column.number)].clone()).collect();
        let record: Datum = RecordValue { fields, shape: Arc::new(shape) }.into();
        let shown = execution.context().to_text(&record, oids::RECORD)?;
        let message = format!(
            "new data for materialized view \"{}\" contains duplicate rows without any null columns",
            table.name
        );
        Err(SqlError::new(SqlState::CARDINALITY_VIOLATION, message).with_detail(format!("Row: {shown}")))
    }
}
