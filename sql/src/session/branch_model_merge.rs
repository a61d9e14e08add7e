//! What a merge of three states of `branch_model.rs` should give.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::branch_model::{Column, Outcome, Resolution, Row, State, Table};
use super::branch_model_base::{Attribute, BaseState, BaseTable, UNDECIDED};

/// Decides conflicts, and counts those that are in the way.
struct Referee {
    resolution: Resolution,
    refused: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Ours,
    Theirs,
}

impl Referee {
    fn settle(&mut self) -> Side {
        self.refused += usize::from(self.resolution == Resolution::Fail);
        if self.resolution == Resolution::BranchWins { Side::Theirs } else { Side::Ours }
    }

    /// A conflict that only the target can win.
    fn settle_for_ours(&mut self) {
        self.refused += usize::from(self.resolution != Resolution::TargetWins);
    }
}

/// Merges two states with their base.
pub fn merge(base: &BaseState, ours: &State, theirs: &State, resolution: Resolution) -> Outcome {
    let mut referee = Referee { resolution, refused: 0 };
    let mut merged = ours.clone();
    let numbers: BTreeSet<u32> = base.keys().chain(theirs.keys()).copied().collect();
    for number in numbers {
        match (base.get(&number), ours.get(&number), theirs.get(&number)) {
            (None, None, Some(theirs)) => {
                merged.insert(number, theirs.clone());
            }
            (base, Some(ours), Some(theirs)) => {
                merged.insert(number, Arc::new(merge_tables(base, ours, theirs, &mut referee)));
            }
            (Some(base), Some(kept), None) => {
                if !is_changed(base, kept) || referee.settle() == Side::Theirs {
                    merged.remove(&number);
                }
            }
            (Some(base), None, Some(kept)) => {
                if is_changed(base, kept) && referee.settle() == Side::Theirs {
                    merged.insert(number, kept.clone());
                } else if kept.indexes.keys().any(|index| !base.table.indexes.contains_key(index)) {
                    referee.settle_for_ours();
                }
            }
            (_, _, None) => {}
        }
    }
    match referee.refused > 0 {
        true => Outcome::Refused,
        false => Outcome::Merged(merged),
    }
}

pub fn is_same(one: &Column, other: &Column) -> bool {
    !one.origin.is_disjoint(&other.origin)
}

/// For each column of a table, which one of another it is, by names: the same, or, of those that are left, one of its name.
pub fn matches(from: &Table, to: &Table) -> BTreeMap<u32, u32> {
    let mut found = BTreeMap::new();
    for is_same in [is_same, |one: &Column, other: &Column| one.name == other.name] {
        for column in &from.columns {
            let is_free = |each: &&Column| !found.values().any(|name| *name == each.name);
            let same =
                to.columns.iter().filter(is_free).find(|each| is_same(column, each)).map(|each| each.name);
            if let (None, Some(same)) = (found.get(&column.name), same) {
                found.insert(column.name, same);
            }
        }
    }
    found
}

/// The same for both sides of a merge: a column that has but its name from the base, and that the other side has too, is that one.
pub fn matches_of_both(
    was: &Table,
    ours: &Table,
    theirs: &Table,
) -> (BTreeMap<u32, u32>, BTreeMap<u32, u32>) {
    let (in_ours, in_theirs) = (matches(was, ours), matches(was, theirs));
    let pruned = |own: &BTreeMap<u32, u32>, side: &Table, others: &BTreeMap<u32, u32>, other: &Table| {
        let is_own = |(old, name): &(&u32, &u32)| {
            let (Some(column), Some(before)) = (side.column(**name), was.column(**old)) else { return false };
            let twin = |each: &Column| is_same(each, column) && others.get(*old) != Some(&each.name);
            is_same(before, column) || !other.columns.iter().any(twin)
        };
        own.iter().filter(is_own).map(|(old, name)| (*old, *name)).collect()
    };
    (pruned(&in_ours, ours, &in_theirs, theirs), pruned(&in_theirs, theirs, &in_ours, ours))
}

/// The column of a table that one of another is.
fn same_in<'t>(from: &Table, to: &'t Table, column: &Column) -> Option<&'t Column> {
    matches(from, to).get(&column.name).and_then(|name| to.column(*name))
}

pub fn declared(column: &Column) -> (u32, super::branch_model::Kind, Option<i32>) {
    (column.name, column.kind, column.default)
}

/// Whether a table, or what is in it, is another than at the base; indexes are no part of it.
fn is_changed(base: &BaseTable, now: &Table) -> bool {
    let is_undecided = base.is_undecided() || base.is_gone || !base.rows.is_empty();
    let base = &base.table;
    let is_alike =
        |column: &Column| same_in(base, now, column).is_some_and(|now| declared(now) == declared(column));
    // In whatever order the columns are.
    let names = matches(base, now);
    let holds_same = |(id, row): (&i32, &Arc<Row>)| {
        let is_same_row =
            |new: &Arc<Row>| names.iter().all(|(old, name)| base.cell(row, *old) == now.cell(new, *name));
        now.rows.get(id).is_some_and(is_same_row)
    };
    is_undecided
        || base.columns.len() != now.columns.len()
        || !base.columns.iter().all(is_alike)
        || base.rows.len() != now.rows.len()
        || !base.rows.iter().all(holds_same)
}

/// Whether a side has another cell in a column where there is a row, as there was.
fn has_written(base: Option<&BaseTable>, side: &Table, column: &Column) -> bool {
    let Some(base) = base else { return false };
    if base.columns.contains(&column.name) {
        return true;
    }
    let base = &base.table;
    let Some(own) = same_in(base, side, column).filter(|own| own.kind == column.kind) else { return false };
    base.rows.iter().any(|(id, row)| {
        let now = side.rows.get(id).map(|now| side.cell(now, own.name));
        now.is_some_and(|now| now != base.cell(row, column.name))
    })
}

/// A column of the merged table, and what it is called in the three versions.
struct Place {
    column: Column,
    base: Option<u32>,
    ours: Option<u32>,
    theirs: Option<u32>,
    /// Of one that both added: what the source's cells hold that were not written, and in the merged table.
    twin: Option<(Option<i32>, Option<i32>)>,
    /// What cells of the target are filled with that were not written: before and afterwards.
    refill: Option<(Option<i32>, Option<i32>)>,
    /// The target dropped it.
    is_restored: bool,
}

impl Place {
    fn new(column: &Column) -> Place {
        let column = column.clone();
        Place { column, base: None, ours: None, theirs: None, twin: None, refill: None, is_restored: false }
    }
}

/// A table that both sides have.
fn merge_tables(base: Option<&BaseTable>, ours: &Table, theirs: &Table, referee: &mut Referee) -> Table {
    let no_table = Table { columns: Vec::new(), rows: BTreeMap::new(), indexes: BTreeMap::new() };
    // Where the base has it not, what both have of one column is common to them.
    let common = Table {
        columns: theirs
            .columns
            .iter()
            .filter(|column| same_in(theirs, ours, column).is_some())
            .cloned()
            .collect(),
        ..no_table
    };
    let was = base.map_or(&common, |base| &base.table);
    let (mut places, kept) = merge_columns((base, was), ours, theirs, referee);
    let names: BTreeSet<u32> = places.iter().map(|place| place.column.name).collect();
    if names.len() < places.len() {
        // Nobody can decide which of two columns has the name.
        referee.refused += 1;
        places.truncate(0);
    }
    let mut merged = Table {
        columns: places.iter().map(|place| place.column.clone()).collect(),
        rows: BTreeMap::new(),
        indexes: BTreeMap::new(),
    };
    merge_indexes(&mut merged, &places, &kept, (was, ours, theirs), referee);
    merge_rows(&mut merged, &places, (base, ours, theirs), referee);
    merged
}

/// The columns, the target's first; and those that the target keeps although the source dropped them.
fn merge_columns(
    (base, was): (Option<&BaseTable>, &Table),
    ours: &Table,
    theirs: &Table,
    referee: &mut Referee,
) -> (Vec<Place>, BTreeSet<u32>) {
    let (mut places, mut last, mut kept) = (Vec::new(), Vec::new(), BTreeSet::new());
    let is_open = |old: &Column| base.is_some_and(|base| base.has_any_of(old.name));
    let (in_ours, in_theirs) = matches_of_both(was, ours, theirs);
    let was_of = |side: &BTreeMap<u32, u32>, name: u32| {
        let old = side.iter().find(|each| *each.1 == name);
        old.and_then(|old| was.column(*old.0))
    };
    for own in &ours.columns {
        let mut place = Place::new(own);
        place.ours = Some(own.name);
        if let Some(old) = was_of(&in_ours, own.name) {
            place.base = Some(old.name);
            match in_theirs.get(&old.name).and_then(|name| theirs.column(*name)) {
                Some(new) => {
                    place.theirs = Some(new.name);
                    merge_column(
                        &mut place,
                        (base, old),
                        own,
                        new,
                        referee,
                        [has_written(base, theirs, old), has_written(base, ours, old)],
                    );
                }
                None => {
                    let is_touched =
                        is_open(old) || declared(old) != declared(own) || has_written(base, ours, old);
                    if !is_touched || referee.settle() == Side::Theirs {
                        continue;
                    }
                    kept.insert(own.name);
                }
            }
        } else {
            let is_new = |column: &&Column| was_of(&in_theirs, column.name).is_none();
            let same =
                theirs.columns.iter().filter(is_new).find(|new| is_same(new, own) || new.name == own.name);
            if let Some(new) = same {
                join(&mut place, own, new, referee);
            }
        }
        places.push(place);
    }
    for new in &theirs.columns {
        let mut place = Place::new(new);
        place.theirs = Some(new.name);
        match was_of(&in_theirs, new.name) {
            Some(old) if !in_ours.contains_key(&old.name) => {
                let is_touched =
                    is_open(old) || declared(old) != declared(new) || has_written(base, theirs, old);
                if is_touched && referee.settle() == Side::Theirs {
                    place.base = Some(old.name);
                    place.is_restored = true;
                    last.push(place);
                }
            }
            Some(_) => {}
            None if places.iter().any(|each| each.theirs == Some(new.name)) => {}
            None => last.push(place),
        }
    }
    // What comes back is put before what is new.
    last.sort_by_key(|place| {
        let at = was.columns.iter().position(|column| place.is_restored && Some(column.name) == place.base);
        at.unwrap_or(usize::MAX)
    });
    places.extend(last);
    (places, kept)
}

/// A column that all three have.
fn merge_column(
    place: &mut Place,
    (base, old): (Option<&BaseTable>, &Column),
    own: &Column,
    new: &Column,
    referee: &mut Referee,
    [theirs_wrote, ours_wrote]: [bool; 2],
) {
    place.column.origin.extend(&new.origin);
    let is_open = |attribute| base.is_some_and(|base| base.has(old.name, attribute));
    let mut is_theirs = |attribute: Attribute, theirs: bool, ours: bool, differs: bool| {
        let (theirs, ours) = (theirs || is_open(attribute), ours || is_open(attribute));
        theirs && differs && (!ours || referee.settle() == Side::Theirs)
    };
    let differs = new.name != own.name;
    if is_theirs(Attribute::Name, new.name != old.name, own.name != old.name, differs) {
        place.column.name = new.name;
    }
    let differs = new.default != own.default;
    if is_theirs(Attribute::Default, new.default != old.default, own.default != old.default, differs) {
        place.column.default = new.default;
    }
    let is_changed = |side: &Column| is_open(Attribute::Kind) || side.kind != old.kind;
    let is_theirs = match (is_changed(new), is_changed(own)) {
        _ if new.kind == own.kind => false,
        (true, true) => referee.settle() == Side::Theirs,
        (true, false) => !ours_wrote || referee.settle() == Side::Theirs,
        (false, true) => theirs_wrote && referee.settle() == Side::Theirs,
        (false, false) => false,
    };
    if is_theirs {
        place.column.kind = new.kind;
        place.column.unwritten = None;
    }
}

/// A column that both sides added.
fn join(place: &mut Place, own: &Column, new: &Column, referee: &mut Referee) {
    place.theirs = Some(new.name);
    place.column.origin.extend(&new.origin);
    let is_alike = declared(own) == declared(new);
    if is_alike || referee.settle() == Side::Ours {
        place.twin = Some((new.unwritten, own.unwritten));
        return;
    }
    place.twin = Some((new.unwritten, new.unwritten));
    (place.column.name, place.column.default) = (new.name, new.default);
    if own.kind != new.kind || own.unwritten != new.unwritten {
        place.refill = Some((own.unwritten, new.unwritten));
        (place.column.kind, place.column.unwritten) = (new.kind, new.unwritten);
    }
}

fn merge_indexes(
    merged: &mut Table,
    places: &[Place],
    kept: &BTreeSet<u32>,
    (was, ours, theirs): (&Table, &Table, &Table),
    referee: &mut Referee,
) {
    for (index, column) in &ours.indexes {
        let Some(place) = places.iter().find(|place| place.ours == Some(*column)) else { continue };
        let is_gone = was.indexes.contains_key(index) && !theirs.indexes.contains_key(index);
        if !is_gone || kept.contains(column) {
            merged.indexes.insert(*index, place.column.name);
        }
    }
    for (index, column) in theirs.indexes.iter().filter(|(index, _)| !ours.indexes.contains_key(index)) {
        let place = places.iter().find(|place| place.theirs == Some(*column));
        let is_new = !was.indexes.contains_key(index);
        match place {
            Some(place) if is_new || place.is_restored => {
                merged.indexes.insert(*index, place.column.name);
            }
            None if is_new => referee.settle_for_ours(),
            _ => {}
        }
    }
}

fn merge_rows(
    merged: &mut Table,
    places: &[Place],
    (base, ours, theirs): (Option<&BaseTable>, &Table, &Table),
    referee: &mut Referee,
) {
    let no_rows = BTreeMap::new();
    let base_rows = base.map_or(&no_rows, |base| &base.table.rows);
    // A cell that no moment of the base has holds what the column begins with.
    let was_in = |place: &Place, row: &Row| {
        place.base.map(|name| row.get(&name).copied().unwrap_or(place.column.unwritten))
    };
    let ids: BTreeSet<i32> =
        base_rows.keys().chain(ours.rows.keys()).chain(theirs.rows.keys()).copied().collect();
    for id in ids {
        let own: Option<Row> = ours.rows.get(&id).map(|row| {
            let cell = |place: &Place| {
                let cell = match (place.ours, theirs.rows.get(&id), place.theirs) {
                    (Some(name), ..) => ours.cell(row, name),
                    // The target gets the column.
                    (None, Some(row), Some(name)) => theirs.cell(row, name),
                    _ => place.column.unwritten,
                };
                match place.refill {
                    Some((before, after)) if cell == before => after,
                    _ => cell,
                }
            };
            places.iter().map(|place| (place.column.name, cell(place))).collect()
        });
        let new: Option<Row> = theirs.rows.get(&id).map(|row| {
            let cell = |place: &Place| {
                let was = || base_rows.get(&id).and_then(|row| was_in(place, row));
                let cell = match (place.theirs, &own) {
                    (Some(name), _) => theirs.cell(row, name),
                    // Who has not a column has no say in its cells.
                    (None, Some(own)) => own[&place.column.name],
                    (None, None) => match was() {
                        Some(UNDECIDED) => None,
                        Some(cell) => cell,
                        None => place.column.unwritten,
                    },
                };
                match place.twin {
                    Some((before, after)) if cell == before => after,
                    _ => cell,
                }
            };
            places.iter().map(|place| (place.column.name, cell(place))).collect()
        });
        let old: Option<Row> = base_rows.get(&id).map(|row| {
            let cell = |place: &Place| match (&own, place.twin) {
                (Some(own), _) if place.ours.is_none() => own[&place.column.name],
                (_, Some((_, unwritten))) => unwritten,
                (_, None) => match was_in(place, row) {
                    // Who has no such column says nothing of it.
                    Some(UNDECIDED) if place.theirs.is_none() && own.is_none() => None,
                    Some(cell) => cell,
                    None => place.column.unwritten,
                },
            };
            places.iter().map(|place| (place.column.name, cell(place))).collect()
        });
        let is_gone = base.is_some_and(|base| base.rows.contains(&id));
        if let Some(row) = merge_row((old.as_ref(), is_gone), own, new, referee) {
            merged.rows.insert(id, Arc::new(row));
        }
    }
}

/// `is_gone`: whether there was such a row is undecided.
fn merge_row(
    (old, is_gone): (Option<&Row>, bool),
    own: Option<Row>,
    new: Option<Row>,
    referee: &mut Referee,
) -> Option<Row> {
    let is_of_base =
        |side: &Option<Row>| side.as_ref() == old && (!is_gone || (own.is_some() && new.is_some()));
    if new == own || is_of_base(&new) {
        return own;
    }
    if is_of_base(&own) {
        return new;
    }
    let (Some(own), Some(new)) = (&own, &new) else {
        return if referee.settle() == Side::Theirs { new } else { own };
    };
    let branch_wins = referee.resolution == Resolution::BranchWins;
    let (mut merged, mut is_conflict) = (own.clone(), false);
    for (column, cell) in new {
        let before = old.and_then(|old| old.get(column));
        if Some(cell) == before || own.get(column) == Some(cell) {
            continue;
        }
        let changed_here = own.get(column) != before;
        is_conflict |= changed_here;
        if !changed_here || branch_wins {
            merged.insert(*column, *cell);
        }
    }
    if is_conflict {
        referee.settle();
    }
    Some(merged)
}
