//! Merging the rows of a table that has a primary key.
//!
//! Only rows that the source changed since the base matter: each is looked up in the target by its key, its three
//! versions are merged cell by cell, and the result is written through the table's writer. A row that collides with
//! another in a unique key is tried again when all others are written, since two rows may have exchanged their values.

use std::sync::Arc;

use super::base_rows::{BaseRows, Differences, DifferingRow};
use super::cells::{self, BaseVersion, Outcome, Version};
use super::columns::Twin;
use super::matching::Places;
use super::report::{Finding, Report, Settled};
use super::schema::TableVersions;
use crate::binder::name::quote;
use crate::catalog::Table;
use crate::ddl::Reshape;
use crate::error::{Result, SqlError, SqlState};
use crate::execute::Execution;
use crate::functions::{EvalContext, value_tree};
use crate::plan::row_layout;
use crate::types::DataType;
use crate::value::json::Json;
use crate::value::row::RowLayout;
use crate::value::{Datum, Text};
use crate::write::{OldRow, TableWriter};

/// Where a value is, where it goes, and its type and its new one where these differ.
struct Place {
    from: usize,
    to: usize,
    conversion: Option<(DataType, DataType)>,
    /// Of a column that both sides added: what a cell holds that was not written since, and in the merged table.
    unwritten: Option<(Datum, Datum)>,
}

/// Reads rows of one version of a table as rows of the merged one.
pub struct Reading {
    layout: RowLayout,
    places: Vec<Place>,
    /// What columns hold that this version has not.
    missing: Vec<Datum>,
    /// What becomes of composite values.
    reshapes: Arc<[Reshape]>,
}

impl Reading {
    /// For the rows of `table`.
    #[must_use]
    pub fn new(table: &Table, places: &Places, merged: &Table) -> Reading {
        let place = |(from, to): (usize, &Option<usize>)| {
            let to = (*to)?;
            let (old, new) = (table.columns[from].data_type(), merged.columns[to].data_type());
            Some(Place { from, to, conversion: (old != new).then_some((old, new)), unwritten: None })
        };
        Reading {
            layout: row_layout(table),
            places: places.iter().enumerate().filter_map(place).collect(),
            missing: merged.columns.iter().map(|column| column.missing.clone()).collect(),
            reshapes: Arc::default(),
        }
    }

    /// Has composite values become what they are in the merged table.
    #[must_use]
    pub fn reshaped(self, reshapes: Arc<[Reshape]>) -> Reading {
        Reading { reshapes, ..self }
    }

    /// For rows of the target as they were before the merge, whose columns keep their places.
    #[must_use]
    pub fn of_target(table: &Table, merged: &Table, versions: &TableVersions) -> Reading {
        let places: Places = table
            .columns
            .iter()
            .enumerate()
            .map(|(at, _)| (!merged.columns[at].dropped).then_some(at))
            .collect();
        let of_target =
            |twin: &Twin| Twin { unwritten: table.columns[twin.place].missing.clone(), ..twin.clone() };
        let twins: Vec<Twin> = versions.twins.iter().map(of_target).collect();
        Reading::new(table, &places, merged).with_twins(&twins)
    }

    /// Has cells that were not written since both sides added their column hold what that begins with in the merged table.
    fn with_twins(mut self, twins: &[Twin]) -> Reading {
        for twin in twins {
            self.missing[twin.place] = twin.merged.clone();
            for place in self.places.iter_mut().filter(|place| place.to == twin.place) {
                place.unwritten = Some((twin.unwritten.clone(), twin.merged.clone()));
            }
        }
        self
    }

    /// A row.
    ///
    /// # Errors
    /// XX001; those of converting a value to another type.
    pub fn row(&self, bytes: &[u8], context: &EvalContext<'_>) -> Result<Vec<Datum>> {
        let view = self.layout.view(bytes)?;
        let mut row = self.missing.clone();
        for Place { from, to, conversion, unwritten } in &self.places {
            let value = view.get(*from)?;
            if let Some((unwritten, merged)) = unwritten
                && cells::same(unwritten, &value)
            {
                row[*to] = merged.clone();
                continue;
            }
            row[*to] = match conversion {
                Some((old, new)) => converted(value, *old, *new, context)?,
                None => self.reshapes.iter().fold(value, |value, reshape| reshape.apply(&value)),
            };
        }
        Ok(row)
    }
}

/// A value of one type as one of another.
///
/// # Errors
/// Those of reading its text.
pub fn converted(value: Datum, old: DataType, new: DataType, context: &EvalContext<'_>) -> Result<Datum> {
    if value.is_null() || old == new {
        return Ok(value);
    }
    let text = context.to_text(&value, old.oid)?;
    context.type_info(new.oid)?.parse_text(&text, new.typmod, context)
}

/// The table that rows are merged into, and what is told of it.
pub struct Target {
    pub writer: TableWriter,
    pub shown: String,
    /// Which cells count, by position: those that exist, and are not computed from others.
    pub counts: Vec<bool>,
    pub source: Reading,
    pub own: Reading,
    /// Columns that only the target has, by position.
    ours_alone: Vec<usize>,
    /// Columns that the target has from now on.
    theirs_alone: Vec<usize>,
}

impl Target {
    /// For the versions of a table; `reshapes` is what becomes of the source's composite values.
    #[must_use]
    pub fn new(
        writer: TableWriter,
        shown: String,
        versions: &TableVersions,
        reshapes: Arc<[Reshape]>,
    ) -> Target {
        let merged = writer.entry.table.clone();
        let own: Places = (0..merged.columns.len()).map(Some).collect();
        Target {
            shown,
            counts: merged.columns.iter().map(|column| !column.dropped && !column.generated).collect(),
            source: Reading::new(&versions.source.0, &versions.source.1, &merged)
                .with_twins(&versions.twins)
                .reshaped(reshapes),
            ours_alone: (0..merged.columns.len())
                .filter(|at| !merged.columns[*at].dropped && !versions.source.1.contains(&Some(*at)))
                .collect(),
            theirs_alone: (versions.own_width..merged.columns.len()).collect(),
            own: Reading::new(&merged, &own, &merged),
            writer,
        }
    }

    /// A row as JSON, for people.
    ///
    /// # Errors
    /// Those of printing values.
    pub fn json(&self, row: &Version, context: &EvalContext<'_>) -> Result<Datum> {
        let Some(row) = row else { return Ok(Datum::Null) };
        let mut members = Vec::new();
        for column in self.writer.entry.table.live_columns() {
            let value = &row[Table::position(column.number)];
            members.push((Text::new(&column.name), value_tree(value, column.type_oid, context)?));
        }
        Ok(Datum::Jsonb(Json::object(members).encode()?))
    }

    /// A change of a row, or a conflict about one.
    ///
    /// # Errors
    /// Those of printing values.
    pub fn finding(
        &self,
        operation: &'static str,
        conflict: Option<String>,
        versions: [&Version; 3],
        context: &EvalContext<'_>,
    ) -> Result<Finding> {
        let [base, ours, theirs] = versions;
        let named = theirs.as_ref().or(ours.as_ref()).or(base.as_ref());
        let positions = &self.writer.primary_positions;
        let key = match named {
            Some(row) if !positions.is_empty() => Some(self.writer.key_text(positions, row, context)?),
            _ => None,
        };
        let versions = [self.json(base, context)?, self.json(ours, context)?, self.json(theirs, context)?];
        Ok(Finding { object: self.shown.clone(), key, operation, conflict, versions })
    }

    fn conflict_text(&self, versions: [&Version; 3], cells: &[usize]) -> String {
        match versions {
            [_, Some(_), None] => "deleted on the branch, changed on the target".into(),
            [_, None, _] => "changed on the branch, deleted on the target".into(),
            [None, ..] => format!("inserted on both sides with different {}", self.columns(cells)),
            _ => format!("both sides changed {}", self.columns(cells)),
        }
    }

    fn columns(&self, cells: &[usize]) -> String {
        let names: Vec<String> =
            cells.iter().map(|at| quote(&self.writer.entry.table.columns[*at].name)).collect();
        names.join(", ")
    }
}

/// A row that is to be written: its key and value before, its value afterwards.
pub struct Change {
    pub key: Vec<u8>,
    pub before: Version,
    pub after: Version,
}

/// Merges what the source changed: the first row, and those behind it.
///
/// # Errors
/// Those of reading and writing; conflicts and broken constraints go to the report.
pub async fn merge(
    target: &Target,
    mut base: Option<BaseRows>,
    first: DifferingRow,
    mut others: Differences,
    execution: &mut Execution,
    report: &mut Report,
) -> Result<()> {
    target.writer.lock_table(execution).await?;
    let mut again = Vec::new();
    let mut next = Some(first);
    while let Some(row) = next {
        if let Some(change) = merged(target, base.as_mut(), row, execution, report).await? {
            write(target, change, Some(&mut again), execution, report).await?;
        }
        execution.breathe().await?;
        next = others.next().await?;
    }
    for change in again {
        write(target, change, None, execution, report).await?;
    }
    Ok(())
}

/// What becomes of one row.
async fn merged(
    target: &Target,
    base: Option<&mut BaseRows>,
    row: DifferingRow,
    execution: &mut Execution,
    report: &mut Report,
) -> Result<Option<Change>> {
    let own = execution.transaction.get(target.writer.tree(), &row.key).await?;
    let base = match base {
        Some(base) => base.row(&row.key, &row.known, execution).await?,
        None => BaseVersion::default(),
    };
    let context = execution.context();
    let ours = own.map(|bytes| target.own.row(&bytes, &context)).transpose()?;
    let theirs = match row.after.map(|bytes| target.source.row(&bytes, &context)).transpose() {
        Err(error) if does_not_fit(&error) => {
            let named = ours.as_ref().or(base.row.as_ref());
            let positions = &target.writer.primary_positions;
            let key = named.map(|row| target.writer.key_text(positions, row, &context)).transpose()?;
            report.violate(target.shown.clone(), key, error);
            report.lose_row();
            return Ok(None);
        }
        theirs => theirs?,
    };
    decide(target, row.key, base, [ours, theirs], &context, report)
}

/// What becomes of the target's row, which has this key, where the base, the target and the source have these.
///
/// # Errors
/// Those of printing and of generating values.
pub fn decide(
    target: &Target,
    key: Vec<u8>,
    mut base: BaseVersion,
    [ours, mut theirs]: [Version; 2],
    context: &EvalContext<'_>,
    report: &mut Report,
) -> Result<Option<Change>> {
    // Who has not a column has no say in what its cells hold.
    if let (Some(theirs), Some(other)) = (&mut theirs, ours.as_ref().or(base.row.as_ref())) {
        target.ours_alone.iter().for_each(|at| theirs[*at] = other[*at].clone());
        if ours.is_none() {
            target.ours_alone.iter().for_each(|at| base.decide(*at));
        }
    }
    let mut own = ours.clone();
    if let (Some(own), Some(theirs)) = (&mut own, &theirs) {
        target.theirs_alone.iter().for_each(|at| own[*at] = theirs[*at].clone());
    }
    if let (Some(was), Some(own)) = (&mut base.row, &own) {
        target.theirs_alone.iter().for_each(|at| was[*at] = own[*at].clone());
        target.theirs_alone.iter().for_each(|at| base.decide(*at));
    }
    let versions = [&base.row, &ours, &theirs];
    let (after, conflict) = match cells::merge(&base, &own, &theirs, &target.counts) {
        Outcome::Keep => (own, None),
        Outcome::Write(after) => (after, None),
        Outcome::Conflict { cells, theirs: source_wins, ours: target_wins } => {
            let text = target.conflict_text(versions, &cells);
            let finding = target.finding(operation(&ours, &theirs), Some(text), versions, context)?;
            match report.settle(|| finding.clone()) {
                Settled::Theirs => (source_wins, Some(finding)),
                Settled::Ours => (target_wins, Some(finding)),
            }
        }
    };
    if after == ours {
        return Ok(None);
    }
    if conflict.is_none() {
        let finding = target.finding(operation(&ours, &after), None, versions, context)?;
        report.change(|| finding);
    } else {
        report.changes += 1;
    }
    let mut after = after;
    if let Some(after) = &mut after {
        target.writer.generate(after, context)?;
    }
    Ok(Some(Change { key, before: ours, after }))
}

/// Whether a value is none of the type that its column has in the merged table.
pub fn does_not_fit(error: &SqlError) -> bool {
    error.state().as_str().starts_with("22")
}

/// What happens to the target's row.
fn operation(before: &Version, after: &Version) -> &'static str {
    match (before, after) {
        (None, _) => "insert",
        (_, None) => "delete",
        _ => "update",
    }
}

/// Writes a change. One that is refused is put off, while there is an `again`: what it collides with may have gone then.
///
/// # Errors
/// Those of reading and writing; broken constraints go to the report.
pub async fn write(
    target: &Target,
    change: Change,
    again: Option<&mut Vec<Change>>,
    execution: &mut Execution,
    report: &mut Report,
) -> Result<()> {
    let writer = &target.writer;
    let old = || change.before.as_ref().map(|values| OldRow { key: &change.key, values, is_newest: false });
    let Err(error) = writer.put_merged(old(), change.after.as_deref(), execution).await else {
        return Ok(());
    };
    let state = error.state();
    if let Some(again) = again
        && (state == SqlState::UNIQUE_VIOLATION || (is_of_row(state) && !report.is_full()))
    {
        // Its old values must not be in the way of others.
        if let Some(old) = old() {
            writer.put_merged(Some(old), None, execution).await?;
        }
        again.push(Change { before: None, ..change });
        return Ok(());
    }
    if !state.as_str().starts_with("23") {
        return Err(error);
    }
    let mut broken = Vec::new();
    if let Some(after) = &change.after
        && !report.is_full()
        && (state == SqlState::UNIQUE_VIOLATION || is_of_row(state))
    {
        broken = writer.check_all(after, &execution.context())?;
        match writer.put_refused(old(), after, execution).await {
            Ok(collisions) => broken.extend(collisions),
            Err(error) if error.state().as_str().starts_with("23") => {
                report.lose_row();
                broken.push(error);
            }
            Err(error) => return Err(error),
        }
    } else {
        report.lose_row();
    }
    if broken.is_empty() {
        broken.push(error);
    }
    let key = match change.after.as_ref().or(change.before.as_ref()) {
        Some(row) => row_key(writer, row, &execution.context())?,
        None => None,
    };
    broken.into_iter().for_each(|error| report.violate(target.shown.clone(), key.clone(), error));
    Ok(())
}

/// Whether a constraint is one of each row by itself.
fn is_of_row(state: SqlState) -> bool {
    matches!(state, SqlState::NOT_NULL_VIOLATION | SqlState::CHECK_VIOLATION)
}

/// What a row is called in reports: `(id)=(1)`, where its table has a primary key.
///
/// # Errors
/// Those of printing values.
pub fn row_key(writer: &TableWriter, row: &[Datum], context: &EvalContext<'_>) -> Result<Option<String>> {
    let positions = &writer.primary_positions;
    if positions.is_empty() { Ok(None) } else { writer.key_text(positions, row, context).map(Some) }
}
