//! The table that three versions of it make together, column by column.
//!
//! The merged table keeps the target's numbers, and what the source added, or the target gets back, has the next ones; so
//! rows of the target stay as they are. Columns of one name that both sides added become one.

use super::base_table::Undecided;
use super::cells::same;
use super::matching::{Places, matches};
use super::overlap::Overlap;
use super::report::{Finding, Report, Settled};
use crate::catalog::{ColumnNumber, Table, TableColumn};
use crate::types::DataType;
use crate::value::Datum;

/// Three versions of a table as one.
pub struct MergedTable {
    /// The target's table with what the source changed.
    pub table: Table,
    /// Where columns of the base and of the source are in it.
    pub base: Places,
    pub source: Places,
    /// Columns of the target that are to be dropped, by number.
    pub dropped: Vec<i16>,
    /// Columns that the source dropped and the target keeps, by position.
    pub kept: Vec<usize>,
    /// Columns that the target dropped and gets back: where they are in the base and in the merged table.
    pub restored: Vec<(usize, usize)>,
    /// Columns that both sides added.
    pub twins: Vec<Twin>,
    /// Columns of the target whose rows are to be converted.
    pub converted: Vec<Conversion>,
    /// The primary key that the target is to get from the source, by position; none: it loses its own.
    pub key: Option<Vec<usize>>,
}

/// A column that both sides added.
#[derive(Clone, Debug)]
pub struct Twin {
    /// Where it is in the merged table.
    pub place: usize,
    /// What a cell of the source holds that was not written since.
    pub unwritten: Datum,
    /// What such a cell holds in the merged table.
    pub merged: Datum,
}

/// A column of the target that gets another type.
#[derive(Clone, Debug)]
pub struct Conversion {
    /// Its position.
    pub place: usize,
    pub data_type: DataType,
    /// The default that it has then.
    pub default: Option<String>,
    /// Of a column that both sides added: what a cell holds that was not written since, and what it is to hold.
    pub refill: Option<(Datum, Datum)>,
}

/// What stands in for the base of a table that both sides have and the base has not: the columns that are the same in both. So
/// all that either has beside them is new, and stays.
#[must_use]
pub fn common(source: &Table, target: &Table) -> Table {
    let mut common = source.clone();
    for (column, place) in common.columns.iter_mut().zip(matches(source, target)) {
        column.dropped |= place.is_none();
    }
    common
}

/// Merges the columns and what else there is of a table; conflicts go to the report. Columns of the target that this merge
/// dropped already are `cleared`, by number.
pub fn merge(
    base: &Table,
    undecided: &Undecided,
    source: &Table,
    (target, cleared): (&Table, &[ColumnNumber]),
    overlap: &Overlap,
    shown: &str,
    report: &mut Report,
) -> MergedTable {
    let (in_source, in_target) = match cleared {
        [] => matches_of_both(base, source, target),
        _ => matches_before_clearing(base, source, target, cleared),
    };
    let mut merged = MergedTable {
        table: target.clone(),
        base: in_target.clone(),
        source: vec![None; source.columns.len()],
        dropped: Vec::new(),
        kept: Vec::new(),
        restored: Vec::new(),
        twins: Vec::new(),
        converted: Vec::new(),
        key: None,
    };
    let conflict =
        |column: &str, what: String| Finding::of_object(format!("column {column} of {shown}"), what);
    let has_keys = !source.primary_key.is_empty() && !target.primary_key.is_empty();
    for (at, column) in base.columns.iter().enumerate().filter(|(_, column)| !column.dropped) {
        // Two columns may have come to one name in a base.
        let now = in_target[at].map(|ours| &target.columns[ours]);
        let now = now.or_else(|| in_source[at].map(|theirs| &source.columns[theirs]));
        let name = &now.unwrap_or(column).name;
        let is_as_it_was = |now: &TableColumn| same_column(column, now) && !undecided.has_any_of(at);
        let written_by = [overlap.source.has_cell(base.oid, at), overlap.target.has_cell(base.oid, at)];
        match (in_source[at], in_target[at]) {
            (Some(theirs), Some(ours)) => {
                merged.source[theirs] = Some(ours);
                merge_column(
                    &mut merged,
                    ours,
                    [column, &source.columns[theirs], &target.columns[ours]],
                    written_by,
                    report,
                    (|what| conflict(name, what), |what| undecided.has(Some(at), what)),
                );
            }
            (None, Some(ours)) => {
                let change = match (is_as_it_was(&target.columns[ours]), written_by[1]) {
                    (false, _) => "changed on the target",
                    (true, true) => "its cells changed on the target",
                    (true, false) => "",
                };
                let what = || conflict(name, format!("dropped on the branch, {change}"));
                let goes = if change.is_empty() {
                    true
                } else if has_keys {
                    report.settle(what) == Settled::Theirs
                } else {
                    // Nothing says which cells the rows have that the branch changed.
                    report.refuse_unless(Settled::Theirs, what);
                    true
                };
                match goes {
                    true => merged.dropped.push(target.columns[ours].number),
                    false => merged.kept.push(ours),
                }
            }
            (Some(theirs), None) => {
                let theirs = (theirs, &source.columns[theirs]);
                let change = match (is_as_it_was(theirs.1), written_by[0]) {
                    (false, _) => "changed on the branch",
                    (true, true) => "its cells changed on the branch",
                    (true, false) => continue,
                };
                let what = || conflict(name, format!("{change}, dropped on the target"));
                if is_computed(theirs.1) || !has_keys {
                    // Nothing says which rows its cells would come back to.
                    report.refuse_unless(Settled::Ours, what);
                } else if report.settle(what) == Settled::Theirs {
                    let place = merged.append(theirs);
                    merged.restored.push((at, place));
                }
            }
            (None, None) => {}
        }
    }
    add_columns(&mut merged, source, target, (&in_source, &in_target), report, &conflict);
    refuse_namesakes(&merged, shown, report);
    merge_rest(&mut merged.table, (base, undecided), source, target, shown, report);
    merge_key(&mut merged, (base, undecided), source, target, shown, report);
    merged
}

/// Which columns of both sides those of the base are. Where a column of a side has nothing but its name in common with the
/// base's, and is one that the other side has too, it is that one.
#[must_use]
pub fn matches_of_both(base: &Table, source: &Table, target: &Table) -> (Places, Places) {
    let (in_source, in_target) = (matches(base, source), matches(base, target));
    let pruned = |own: &Places, side: &Table, theirs: &Places, other: &Table| -> Places {
        let is_anothers = |at: usize, place: usize| {
            let column = &side.columns[place];
            let twin = |(there, each): (usize, &TableColumn)| {
                !each.dropped && each.origin.is_same(&column.origin) && theirs[at] != Some(there)
            };
            !base.columns[at].origin.is_same(&column.origin) && other.columns.iter().enumerate().any(twin)
        };
        own.iter().enumerate().map(|(at, place)| place.filter(|place| !is_anothers(at, *place))).collect()
    };
    (pruned(&in_source, source, &in_target, target), pruned(&in_target, target, &in_source, source))
}

/// The same where columns of the target were dropped since it was told first: what was one of these is none of the others
/// now, though one may have its name.
fn matches_before_clearing(
    base: &Table,
    source: &Table,
    target: &Table,
    cleared: &[ColumnNumber],
) -> (Places, Places) {
    let mut before = target.clone();
    for column in before.columns.iter_mut().filter(|column| cleared.contains(&column.number)) {
        column.dropped = false;
    }
    let (in_source, mut in_target) = matches_of_both(base, source, &before);
    for place in &mut in_target {
        *place = place.filter(|place| !target.columns[*place].dropped);
    }
    (in_source, in_target)
}

impl MergedTable {
    /// Adds a column of the source, which has this position there; gives its position.
    fn append(&mut self, (at, column): (usize, &TableColumn)) -> usize {
        let place = self.table.columns.len();
        let number = i16::try_from(place + 1).unwrap_or(i16::MAX);
        self.table.columns.push(TableColumn { number, ..column.clone() });
        self.source[at] = Some(place);
        place
    }
}

/// Whether its cells are made by the database.
fn is_computed(column: &TableColumn) -> bool {
    column.generated || column.identity.is_some()
}

/// Two columns of one name, of which one was renamed, are not for a resolution to decide.
fn refuse_namesakes(merged: &MergedTable, shown: &str, report: &mut Report) {
    let mut seen = std::collections::HashSet::new();
    let gone = |column: &TableColumn| merged.dropped.contains(&column.number);
    for column in merged.table.live_columns().filter(|column| !gone(column)) {
        if !seen.insert(&*column.name) {
            let object = format!("column {} of {shown}", column.name);
            report
                .refuse(Finding::of_object(object, "another column got this name on the other side".into()));
        }
    }
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
    (base, undecided): (&Table, &Undecided),
    source: &Table,
    target: &Table,
    shown: &str,
    report: &mut Report,
) {
    let own: Places = (0..target.columns.len()).map(Some).collect();
    let [before, theirs, ours] =
        [key_places(base, &merged.base), key_places(source, &merged.source), key_places(target, &own)];
    let is_undecided = undecided.has(None, "primary key");
    if theirs == ours && (ours == before || is_undecided) {
        return;
    }
    let told_apart = [&before, &theirs, &ours].into_iter().find(|key| !key.is_empty()).unwrap_or(&before);
    let is_in = |places: &Places| told_apart.iter().all(|place| place.is_some() && places.contains(place));
    let both_have = is_in(&merged.base) && is_in(&merged.source) && is_in(&own);
    let what = match (theirs == before && !is_undecided, ours == before && !is_undecided) {
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
        let is_twin = |(place, own): (usize, &TableColumn)| {
            !in_target.contains(&Some(place)) && is_twin_of(own, column)
        };
        match target.columns.iter().enumerate().position(is_twin) {
            Some(twin) => {
                merged.source[at] = Some(twin);
                let what = || conflict(&column.name, "added on both sides, differently".into());
                join(merged, twin, column, &target.columns[twin], report, what);
            }
            None => {
                merged.append((at, column));
            }
        }
    }
}

/// Whether two columns that both sides added are one.
#[must_use]
pub fn is_twin_of(own: &TableColumn, column: &TableColumn) -> bool {
    !own.dropped && (own.origin.is_same(&column.origin) || own.name == column.name)
}

/// Makes one column of two that were added on both sides. Which cells were written since cannot be told from what they hold
/// alone, so those that hold what the column began with count as unwritten, and get what the winner's began with.
fn join(
    merged: &mut MergedTable,
    place: usize,
    theirs: &TableColumn,
    ours: &TableColumn,
    report: &mut Report,
    conflict: impl Fn() -> Finding,
) {
    let mut winner = Settled::Ours;
    if !same_column(theirs, ours) {
        if is_computed(theirs) || is_computed(ours) {
            report.refuse_unless(Settled::Ours, conflict);
        } else {
            winner = report.settle(conflict);
        }
    }
    let column = &mut merged.table.columns[place];
    column.origin.join(&theirs.origin);
    let unwritten = theirs.missing.clone();
    if winner == Settled::Ours {
        merged.twins.push(Twin { place, unwritten, merged: ours.missing.clone() });
        return;
    }
    column.name.clone_from(&theirs.name);
    column.not_null = theirs.not_null;
    column.default.clone_from(&theirs.default);
    merged.twins.push(Twin { place, unwritten: unwritten.clone(), merged: unwritten.clone() });
    let has_same_type = theirs.data_type() == ours.data_type();
    if !has_same_type || !same(&theirs.missing, &ours.missing) {
        let refill = Some((ours.missing.clone(), unwritten));
        let (data_type, default) = (theirs.data_type(), theirs.default.clone());
        merged.converted.push(Conversion { place, data_type, default, refill });
    }
}

/// Whether a table is declared otherwise than at the base: it, or one of its columns.
#[must_use]
pub fn is_changed(base: &Table, now: &Table) -> bool {
    let places = matches(base, now);
    let is_same = |(at, column): (usize, &TableColumn)| {
        column.dropped || places[at].is_some_and(|place| same_column(column, &now.columns[place]))
    };
    let own: Places = (0..now.columns.len()).map(Some).collect();
    now.live_columns().count() != base.live_columns().count()
        || !base.columns.iter().enumerate().all(is_same)
        || key_places(base, &places) != key_places(now, &own)
        || (&base.name, base.schema, base.owner) != (&now.name, now.schema, now.owner)
        || (&base.options, base.unlogged, base.of_type) != (&now.options, now.unlogged, now.of_type)
}

/// Whether two columns are declared alike, whatever their numbers.
#[must_use]
pub fn same_column(one: &TableColumn, other: &TableColumn) -> bool {
    let aligned = TableColumn {
        number: one.number,
        missing: one.missing.clone(),
        origin: one.origin.clone(),
        ..other.clone()
    };
    aligned == *one
}

/// Attribute by attribute. `written_by` says whether the source, and the target, wrote cells of it, where that matters.
fn merge_column(
    merged: &mut MergedTable,
    place: usize,
    [base, source, target]: [&TableColumn; 3],
    written_by: [bool; 2],
    report: &mut Report,
    (conflict, is_undecided): (impl Fn(String) -> Finding, impl Fn(&'static str) -> bool),
) {
    let column = &mut merged.table.columns[place];
    column.origin.join(&source.origin);
    macro_rules! merge_field {
        ($($field:ident),+ => $what:literal) => {{
            let differs = |one: &TableColumn, other: &TableColumn| $(one.$field != other.$field)||+;
            let is_changed = |side: &TableColumn| is_undecided($what) || differs(side, base);
            let is_theirs = is_changed(source) && differs(source, target);
            let what = || conflict(format!("both sides changed its {}", $what));
            is_theirs && (!is_changed(target) || report.settle(what) == Settled::Theirs)
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
    if merge_field!(settings => "storage") {
        column.settings.clone_from(&source.settings);
    }
    if merge_field!(collation => "collation") {
        column.collation = source.collation;
    }
    if merge_field!(identity => "identity") {
        column.identity = source.identity;
    }
    let is_changed = |side: &TableColumn| is_undecided("type") || side.data_type() != base.data_type();
    let is_theirs = match [source, target].map(is_changed) {
        _ if source.data_type() == target.data_type() => false,
        [true, true] => report.settle(|| conflict("both sides changed its type".into())) == Settled::Theirs,
        [true, false] if written_by[1] => {
            let what = || conflict("its type changed on the branch, its cells on the target".into());
            report.settle(what) == Settled::Theirs
        }
        [false, true] if written_by[0] => {
            let what = || conflict("its cells changed on the branch, its type on the target".into());
            report.settle(what) == Settled::Theirs
        }
        [is_theirs, _] => is_theirs,
    };
    if is_theirs {
        let (data_type, default) = (source.data_type(), column.default.clone());
        merged.converted.push(Conversion { place, data_type, default, refill: None });
    }
}

/// Name, schema, owner, parameters.
fn merge_rest(
    merged: &mut Table,
    (base, undecided): (&Table, &Undecided),
    source: &Table,
    target: &Table,
    shown: &str,
    report: &mut Report,
) {
    let conflict =
        |what: &str| Finding::of_object(shown.to_string(), format!("both sides changed its {what}"));
    macro_rules! merge_field {
        ($field:ident, $what:literal) => {
            let is_changed = |side: &Table| undecided.has(None, $what) || side.$field != base.$field;
            if is_changed(source)
                && source.$field != target.$field
                && (!is_changed(target) || report.settle(|| conflict($what)) == Settled::Theirs)
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
    merge_field!(of_type, "type");
}
