//! Which columns of three versions of a table are the same, and the table that they make together.
//!
//! A column is known by its name, and one that was renamed by its number. Numbers alone do not do: two branches that
//! each add a column give it the same one. The merged table keeps the target's numbers, and what the source added gets
//! the next ones; so rows of the target stay as they are.

use helios_mvcc::{Divergence, TreeDifference};

use super::cells::same;
use super::report::{Finding, Report, Settled};
use crate::catalog::{Table, TableColumn};
use crate::error::Result;
use crate::types::DataType;

/// Where each column of a table is in the merged one, by position.
pub type Places = Vec<Option<usize>>;

/// Three versions of a table as one.
pub struct MergedTable {
    /// The target's table with what the source changed.
    pub table: Table,
    /// Where columns of the base and of the source are in it.
    pub base: Places,
    pub source: Places,
    /// Columns of the target that are to be dropped, by number.
    pub dropped: Vec<i16>,
    /// Columns of the target whose rows are to be converted, by position.
    pub converted: Vec<(usize, DataType)>,
    /// The primary key that the target is to get from the source, by position; none: it loses its own.
    pub key: Option<Vec<usize>>,
}

/// For each column of `from`, which column of `to` it is.
#[must_use]
pub fn matches(from: &Table, to: &Table) -> Places {
    let position = |name: &str| to.columns.iter().position(|each| !each.dropped && each.name == name);
    let is_known = |name: &str| from.live_columns().any(|each| each.name == name);
    let same = |(at, column): (usize, &TableColumn)| {
        if column.dropped {
            return None;
        }
        let renamed = || to.columns.get(at).filter(|each| !each.dropped && !is_known(&each.name));
        position(&column.name).or_else(|| renamed().map(|_| at))
    };
    from.columns.iter().enumerate().map(same).collect()
}

/// Whether a stored row holds the same in both versions of a table. It does not where a column has another number: one that was
/// dropped and made anew, or branches that gave theirs in another order. Columns that only one version has tell nothing,
/// unless rows of the first one may hold something else where a new column is.
#[must_use]
pub fn read_alike(before: &Table, after: &Table) -> bool {
    let in_after = matches(before, after);
    let is_same_place = |(at, column): (usize, &TableColumn)| {
        let kept = in_after[at].map(|place| (place, &after.columns[place]));
        kept.is_none_or(|(place, kept)| {
            place == at && kept.type_oid == column.type_oid && same(&kept.missing, &column.missing)
        })
    };
    let is_behind = |(at, column): (usize, &TableColumn)| {
        column.dropped || in_after.contains(&Some(at)) || at >= before.columns.len()
    };
    // Values are found by the widths of those before them, also of columns that were dropped.
    let has_same_kinds = before
        .columns
        .iter()
        .zip(&after.columns)
        .all(|(one, other)| one.representation.kind == other.representation.kind);
    has_same_kinds
        && before.columns.iter().enumerate().all(is_same_place)
        && after.columns.iter().enumerate().all(is_behind)
}

/// The rows that differ between two versions of a table at the two moments; where a stored row does not hold the same in
/// both, all rows.
///
/// # Errors
/// Those of reading pages.
pub async fn difference(
    divergence: &Divergence,
    before: Option<&Table>,
    after: Option<&Table>,
) -> Result<TreeDifference> {
    let trees = (before.map(|table| table.tree), after.map(|table| table.tree));
    match (before, after) {
        (Some(before), Some(after)) if !read_alike(before, after) => {
            Ok(divergence.all_rows(trees.0, trees.1)?)
        }
        _ => Ok(divergence.tree(trees.0, trees.1).await?),
    }
}

/// What stands in for the base of a table that both sides have and the base has not: the columns that both call the same. So
/// all that either has beside them is new, and stays.
#[must_use]
pub fn common(source: &Table, target: &Table) -> Table {
    let mut common = source.clone();
    for column in &mut common.columns {
        column.dropped |= !target.live_columns().any(|each| each.name == column.name);
    }
    common
}

/// Merges the columns and what else there is of a table; conflicts go to the report.
pub fn merge(base: &Table, source: &Table, target: &Table, shown: &str, report: &mut Report) -> MergedTable {
    let (in_source, in_target) = (matches(base, source), matches(base, target));
    let mut merged = MergedTable {
        table: target.clone(),
        base: in_target.clone(),
        source: vec![None; source.columns.len()],
        dropped: Vec::new(),
        converted: Vec::new(),
        key: None,
    };
    let conflict =
        |column: &str, what: String| Finding::of_object(format!("column {column} of {shown}"), what);
    for (at, column) in base.columns.iter().enumerate().filter(|(_, column)| !column.dropped) {
        match (in_source[at], in_target[at]) {
            (Some(theirs), Some(ours)) => {
                merged.source[theirs] = Some(ours);
                merge_column(
                    &mut merged,
                    ours,
                    [column, &source.columns[theirs], &target.columns[ours]],
                    report,
                    |what| conflict(&column.name, format!("both sides changed its {what}")),
                );
            }
            (None, Some(ours)) => {
                let is_changed = !same_column(column, &target.columns[ours]);
                let what = || conflict(&column.name, "dropped on the branch, changed on the target".into());
                if !is_changed || report.settle(what) == Settled::Theirs {
                    merged.dropped.push(target.columns[ours].number);
                }
            }
            (Some(theirs), None) => {
                if !same_column(column, &source.columns[theirs]) {
                    let what =
                        || conflict(&column.name, "changed on the branch, dropped on the target".into());
                    report.refuse_unless(Settled::Ours, what);
                }
            }
            (None, None) => {}
        }
    }
    add_columns(&mut merged, source, target, (&in_source, &in_target), report, &conflict);
    merge_rest(&mut merged.table, base, source, target, shown, report);
    merge_key(&mut merged, base, source, target, shown, report);
    merged
}

/// Where the columns of a table's primary key are in the merged one.
#[must_use]
pub fn key_places(table: &Table, places: &Places) -> Places {
    table.primary_key.iter().map(|number| places[Table::position(*number)]).collect()
}

/// The primary key: the one of the side that changed it. Rows are told apart by the one that the base had, or, where it had
/// none, by the new one: so both sides must have its columns.
fn merge_key(
    merged: &mut MergedTable,
    base: &Table,
    source: &Table,
    target: &Table,
    shown: &str,
    report: &mut Report,
) {
    let own: Places = (0..target.columns.len()).map(Some).collect();
    let [before, theirs, ours] =
        [key_places(base, &merged.base), key_places(source, &merged.source), key_places(target, &own)];
    if theirs == ours && ours == before {
        return;
    }
    let told_apart = [&before, &theirs, &ours].into_iter().find(|key| !key.is_empty()).unwrap_or(&before);
    let is_in = |places: &Places| told_apart.iter().all(|place| place.is_some() && places.contains(place));
    let both_have = is_in(&merged.base) && is_in(&merged.source) && is_in(&own);
    let what = match (theirs == before, ours == before) {
        (false, false) if theirs != ours => "both sides changed its primary key",
        (false, _) if !both_have || theirs.iter().any(|place| !own.contains(place)) => {
            "its primary key was changed on the branch, to or from columns that the target does not have"
        }
        (_, false) if !both_have => {
            "its primary key was changed on the target, to or from columns that the branch does not have"
        }
        (false, true) => {
            merged.key = Some(theirs.into_iter().flatten().collect());
            return;
        }
        _ => return,
    };
    report.refuse(Finding::of_object(shown.to_string(), what.into()));
}

/// Adds what the source has that the base did not have.
fn add_columns(
    merged: &mut MergedTable,
    source: &Table,
    target: &Table,
    (in_source, in_target): (&Places, &Places),
    report: &mut Report,
    conflict: &dyn Fn(&str, String) -> Finding,
) {
    for (at, column) in source.columns.iter().enumerate() {
        if column.dropped || in_source.contains(&Some(at)) {
            continue;
        }
        let twin = target.columns.iter().position(|each| !each.dropped && each.name == column.name);
        if let Some(twin) = twin.filter(|twin| !in_target.contains(&Some(*twin))) {
            merged.source[at] = Some(twin);
            if !same_column(column, &target.columns[twin]) {
                report.refuse_unless(Settled::Ours, || {
                    conflict(&column.name, "added on both sides, differently".into())
                });
            }
            continue;
        }
        let number = merged.table.columns.len() + 1;
        merged.source[at] = Some(number - 1);
        let number = i16::try_from(number).unwrap_or(i16::MAX);
        merged.table.columns.push(TableColumn { number, ..column.clone() });
    }
}

/// Whether two columns are declared alike, whatever their numbers.
fn same_column(one: &TableColumn, other: &TableColumn) -> bool {
    let aligned = TableColumn { number: one.number, missing: one.missing.clone(), ..other.clone() };
    aligned == *one
}

/// Attribute by attribute.
fn merge_column(
    merged: &mut MergedTable,
    at: usize,
    [base, source, target]: [&TableColumn; 3],
    report: &mut Report,
    conflict: impl Fn(&str) -> Finding,
) {
    let column = &mut merged.table.columns[at];
    let theirs = |is_theirs: bool, what: &str, both: bool, report: &mut Report| {
        is_theirs && (!both || report.settle(|| conflict(what)) == Settled::Theirs)
    };
    macro_rules! merge_field {
        ($($field:ident),+ => $what:literal) => {{
            let differs = |one: &TableColumn, other: &TableColumn| $(one.$field != other.$field)||+;
            let is_theirs = differs(source, base) && differs(source, target);
            theirs(is_theirs, $what, differs(target, base), report)
        }};
    }
    if merge_field!(name => "name") {
        column.name.clone_from(&source.name);
    }
    if merge_field!(not_null => "NOT NULL") {
        column.not_null = source.not_null;
    }
    if merge_field!(default, generated => "default") {
        column.default.clone_from(&source.default);
        column.generated = source.generated;
    }
    if merge_field!(identity => "identity") {
        column.identity = source.identity;
    }
    if merge_field!(type_oid, type_modifier => "type") {
        merged.converted.push((at, source.data_type()));
    }
}

/// Name, schema, owner, parameters.
fn merge_rest(
    merged: &mut Table,
    base: &Table,
    source: &Table,
    target: &Table,
    shown: &str,
    report: &mut Report,
) {
    let conflict =
        |what: &str| Finding::of_object(shown.to_string(), format!("both sides changed its {what}"));
    macro_rules! merge_field {
        ($field:ident, $what:literal) => {
            if source.$field != base.$field
                && source.$field != target.$field
                && (target.$field == base.$field || report.settle(|| conflict($what)) == Settled::Theirs)
            {
                merged.$field = source.$field.clone();
            }
        };
    }
    merge_field!(name, "name");
    merge_field!(schema, "schema");
    merge_field!(owner, "owner");
    merge_field!(options, "parameters");
    merge_field!(unlogged, "persistence");
}
