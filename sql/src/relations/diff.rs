//! `heliosdb_diff`: the rows of a table that differ between two moments.

use std::sync::Arc;

use helios_mvcc::Snapshot;

use super::relation::RelationRows;
use crate::branch_merge::{difference, matches};
use crate::catalog::Table;
use crate::error::{Result, SqlError, SqlState};
use crate::execute::Execution;
use crate::functions::{EvalContext, value_tree};
use crate::plan::row_layout;
use crate::types::{Oid, oids};
use crate::value::json::Json;
use crate::value::row::RowLayout;
use crate::value::{ArrayValue, Datum, Text};

/// Its columns.
pub const COLUMNS: &[(&str, Oid)] = &[
    ("operation", oids::TEXT),
    ("key", oids::JSONB),
    ("before", oids::JSONB),
    ("after", oids::JSONB),
    ("changed_columns", oids::TEXT_ARRAY),
];

/// A version of a table, for reading its rows.
#[derive(Clone)]
pub struct Version {
    pub table: Arc<Table>,
    layout: RowLayout,
}

impl Version {
    /// The table as it was.
    ///
    /// # Errors
    /// Those of reading the catalog of then.
    pub async fn at(oid: u32, moment: Snapshot, execution: &Execution) -> Result<Option<Version>> {
        let catalog = execution.environment.engine.past_catalog(moment).await?;
        let found = catalog.table(oid).map(|entry| entry.table.clone());
        Ok(found.map(|table| Version { layout: row_layout(&table), table }))
    }

    /// Whether rows of another version of the table are told apart by the same key.
    #[must_use]
    pub fn has_key_of(&self, other: &Version) -> bool {
        let places = matches(&other.table, &self.table);
        let place = |number: &i16| Table::position(*number);
        let theirs: Vec<_> = other.table.primary_key.iter().map(|number| places[place(number)]).collect();
        let own: Vec<_> = self.table.primary_key.iter().map(|number| Some(place(number))).collect();
        // Row numbers are those of one tree.
        theirs == own && (!own.is_empty() || self.table.tree == other.table.tree)
    }

    /// The values of a row.
    ///
    /// # Errors
    /// XX001.
    pub fn values(&self, bytes: &[u8]) -> Result<Vec<Datum>> {
        let view = self.layout.view(bytes)?;
        (0..self.layout.columns().len()).map(|at| view.get(at)).collect()
    }

    /// Some columns of a row as an object.
    ///
    /// # Errors
    /// Those of printing values.
    pub fn json(
        &self,
        values: &[Datum],
        wanted: impl Fn(i16) -> bool,
        context: &EvalContext<'_>,
    ) -> Result<Datum> {
        let mut members = Vec::new();
        for column in self.table.live_columns().filter(|column| wanted(column.number)) {
            let value = &values[Table::position(column.number)];
            members.push((Text::new(&column.name), value_tree(value, column.type_oid, context)?));
        }
        Ok(Datum::Jsonb(Json::object(members).encode()?))
    }

    /// The primary key of a row; NULL where the table has none.
    ///
    /// # Errors
    /// Those of printing values.
    pub fn key(&self, values: &[Datum], context: &EvalContext<'_>) -> Result<Datum> {
        if self.table.primary_key.is_empty() {
            return Ok(Datum::Null);
        }
        self.json(values, |number| self.table.primary_key.contains(&number), context)
    }
}

/// 42P01, for a table that there was not.
#[must_use]
pub fn no_table(oid: u32) -> SqlError {
    SqlError::new(SqlState::UNDEFINED_TABLE, format!("relation with OID {oid} is no table at these moments"))
}

/// Its rows.
///
/// # Errors
/// 42P01; those of reading.
pub async fn rows(
    oid: u32,
    before: Snapshot,
    after: Snapshot,
    execution: &mut Execution,
) -> Result<RelationRows> {
    let old = Version::at(oid, before, execution).await?;
    let new = Version::at(oid, after, execution).await?;
    if old.is_none() && new.is_none() {
        return Err(no_table(oid));
    }
    let [old_table, new_table] = [&old, &new].map(|version| version.as_ref().map(|version| &*version.table));
    let divergence = execution.environment.store.divergence(before, after).await?;
    let mut differing = difference(&divergence, old_table, new_table).await?;
    let mut rows = Vec::new();
    while let Some(row) = differing.next().await? {
        let context = execution.context();
        let values = |version: &Option<Version>, bytes: &Option<Vec<u8>>| match (version, bytes) {
            (Some(version), Some(bytes)) => version.values(bytes).map(Some),
            _ => Ok(None),
        };
        let (was, is) = (values(&old, &row.before)?, values(&new, &row.after)?);
        let json = |version: &Option<Version>, values: &Option<Vec<Datum>>| match (version, values) {
            (Some(version), Some(values)) => version.json(values, |_| true, &context),
            _ => Ok(Datum::Null),
        };
        let key = match (&old, &was, &new, &is) {
            (_, _, Some(new), Some(is)) => new.key(is, &context)?,
            (Some(old), Some(was), ..) => old.key(was, &context)?,
            _ => Datum::Null,
        };
        let operation = match (&was, &is) {
            (None, _) => "insert",
            (_, None) => "delete",
            _ => "update",
        };
        let changed = match (&old, &was, &new, &is) {
            (Some(old), Some(was), Some(new), Some(is)) => changed_columns((old, was), (new, is)),
            _ => Datum::Null,
        };
        if matches!(&changed, Datum::Array(array) if array.elements.is_empty()) {
            // Written again as it was.
            continue;
        }
        rows.push(vec![Datum::text(operation), key, json(&old, &was)?, json(&new, &is)?, changed]);
        execution.breathe().await?;
    }
    Ok(rows)
}

/// The names of the columns that are not the same, by what they are called afterwards.
fn changed_columns(old: (&Version, &[Datum]), new: (&Version, &[Datum])) -> Datum {
    let names = differing(old, new).iter().map(|at| Datum::text(&new.0.table.columns[*at].name)).collect();
    Datum::Array(Arc::new(ArrayValue::from_elements(oids::TEXT, names)))
}

/// Where two versions of a row are not the same, by position in the second. A column that the first one has not counts
/// where it holds something else than it began with.
#[must_use]
pub fn differing((old, was): (&Version, &[Datum]), (new, is): (&Version, &[Datum])) -> Vec<usize> {
    let places = matches(&new.table, &old.table);
    let is_same = |at: usize| match places[at] {
        Some(place) => was[place] == is[at],
        None => new.table.columns[at].missing == is[at],
    };
    let columns = new.table.columns.iter().enumerate();
    columns.filter(|(at, column)| !column.dropped && !is_same(*at)).map(|(at, _)| at).collect()
}
