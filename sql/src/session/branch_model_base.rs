//! What several best common states make together, as plain maps: each two are joined with a base of their own.
//!
//! What both hold differently, and neither as that base, is undecided: it is marked, and a merge takes it for something that
//! neither side has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::branch_model::{Column, Row, State, Table};
use super::branch_model_merge::{declared, is_same, matches_of_both};

/// What a cell holds that is undecided; no other does.
pub const UNDECIDED: Option<i32> = Some(i32::MIN);
/// Names from here on are of columns that lost theirs.
const NAMELESS: u32 = 2_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attribute {
    Name,
    Kind,
    Default,
}

/// A table, and what of it is undecided.
#[derive(Clone, Debug)]
pub struct BaseTable {
    pub table: Table,
    /// Attributes of columns, by the column's name.
    pub attributes: BTreeSet<(u32, Attribute)>,
    /// Whether there are these columns, rows, and the table.
    pub columns: BTreeSet<u32>,
    pub rows: BTreeSet<i32>,
    pub is_gone: bool,
}

/// Tables by number.
pub type BaseState = BTreeMap<u32, BaseTable>;

/// A state of which all is decided.
pub fn plain(state: &State) -> BaseState {
    let decided = |table: &Arc<Table>| {
        let mut table = (**table).clone();
        table.fill();
        let (attributes, columns, rows) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        BaseTable { table, attributes, columns, rows, is_gone: false }
    };
    state.iter().map(|(number, table)| (*number, decided(table))).collect()
}

impl BaseTable {
    pub fn has(&self, column: u32, attribute: Attribute) -> bool {
        self.attributes.contains(&(column, attribute))
    }

    pub fn has_any_of(&self, column: u32) -> bool {
        self.attributes.iter().any(|each| each.0 == column)
    }

    /// Whether anything of what it declares is undecided.
    pub fn is_undecided(&self) -> bool {
        !self.attributes.is_empty() || !self.columns.is_empty()
    }

    /// Whether another version declares it otherwise, or holds other rows.
    fn is_changed(&self, now: &BaseTable) -> bool {
        let names = super::branch_model_merge::matches(&self.table, &now.table);
        let is_alike = |column: &Column| {
            let same = names.get(&column.name).and_then(|name| now.table.column(*name));
            same.is_some_and(|now| declared(now) == declared(column))
        };
        let holds_same = |(id, row): (&i32, &Arc<Row>)| {
            now.table.rows.get(id).is_some_and(|new| {
                names.iter().all(|(old, name)| {
                    // Who has no such cell says nothing of it.
                    let Some(now_cell) = new.get(name).copied() else { return true };
                    let unwritten = now.table.column(*name).and_then(|column| column.unwritten);
                    let was = row.get(old).copied().unwrap_or(unwritten);
                    was == now_cell && was != UNDECIDED
                })
            })
        };
        [self, now].iter().any(|side| side.is_undecided() || side.is_gone || !side.rows.is_empty())
            || self.table.columns.len() != now.table.columns.len()
            || !self.table.columns.iter().all(is_alike)
            || self.table.rows.len() != now.table.rows.len()
            || !self.table.rows.iter().all(holds_same)
    }

    /// Whether a side has another cell in a column where there is a row, as there was.
    fn is_written(&self, side: &BaseTable, column: &Column) -> bool {
        let names = super::branch_model_merge::matches(&self.table, &side.table);
        let own = names.get(&column.name).and_then(|name| side.table.column(*name));
        let is_other = |(id, row): (&i32, &Arc<Row>)| {
            let (Some(now), Some(own)) = (side.table.rows.get(id), own) else { return false };
            let [was, is] = [row.get(&column.name), now.get(&own.name)]
                .map(|cell| cell.copied().unwrap_or(own.unwritten));
            was != is || was == UNDECIDED
        };
        self.columns.contains(&column.name)
            || (own.is_some_and(|own| own.kind == column.kind) && self.table.rows.iter().any(is_other))
    }
}

/// Joins two states; without a base, all that differs is undecided.
pub fn join(base: Option<&BaseState>, one: &BaseState, other: &BaseState) -> BaseState {
    let numbers: BTreeSet<u32> = one.keys().chain(other.keys()).copied().collect();
    let mut joined = BaseState::new();
    for number in numbers {
        let was = base.map(|base| base.get(&number));
        let table = match (one.get(&number), other.get(&number)) {
            (Some(one), Some(other)) => join_tables(was, one, other),
            (Some(kept), None) | (None, Some(kept)) => {
                let is_gone = match was {
                    None => true,
                    Some(None) => kept.is_gone,
                    Some(Some(was)) if was.is_changed(kept) => true,
                    Some(Some(_)) => continue,
                };
                BaseTable { is_gone, ..kept.clone() }
            }
            (None, None) => continue,
        };
        joined.insert(number, table);
    }
    joined
}

/// A column of the joined table, and what it is called in the versions.
struct Joint {
    column: Column,
    one: Option<u32>,
    other: Option<u32>,
    base: Option<u32>,
    undecided: BTreeSet<Attribute>,
    is_gone: bool,
    is_twin: bool,
}

impl Joint {
    fn new(side: &BaseTable, column: &Column) -> Joint {
        let undecided =
            side.attributes.iter().filter(|each| each.0 == column.name).map(|each| each.1).collect();
        let is_gone = side.columns.contains(&column.name);
        let column = column.clone();
        Joint { column, one: None, other: None, base: None, undecided, is_gone, is_twin: false }
    }

    fn join(
        &mut self,
        base: Option<(&BaseTable, &Column)>,
        other: (&BaseTable, &Column),
        written: [bool; 2],
    ) {
        let (side, theirs) = other;
        self.other = Some(theirs.name);
        self.column.origin.extend(&theirs.origin);
        self.is_gone |= side.columns.contains(&theirs.name);
        let own = self.column.clone();
        let mut takes = |attribute: Attribute, same: &dyn Fn(&Column, &Column) -> bool| -> bool {
            let was = base.filter(|(base, column)| !base.has(column.name, attribute));
            let is_open = self.undecided.contains(&attribute) || side.has(theirs.name, attribute);
            if !is_open && same(&own, theirs) {
                return false;
            }
            let is_base = |now: &Column| was.is_some_and(|(_, was)| same(was, now));
            if is_open || !(is_base(&own) || is_base(theirs)) {
                self.undecided.insert(attribute);
                return false;
            }
            is_base(&own)
        };
        let takes_name = takes(Attribute::Name, &|one, other| one.name == other.name);
        let takes_default = takes(Attribute::Default, &|one, other| one.default == other.default);
        let takes_kind = takes(Attribute::Kind, &|one, other| one.kind == other.kind);
        // A type that one changed, and cells that the other wrote, are a conflict.
        let is_disputed = base.is_some_and(|(_, was)| {
            (own.kind != was.kind && written[1]) || (theirs.kind != was.kind && written[0])
        });
        if takes_name {
            self.column.name = theirs.name;
        }
        if takes_default {
            self.column.default = theirs.default;
        }
        if own.kind != theirs.kind && is_disputed {
            self.undecided.insert(Attribute::Kind);
        } else if takes_kind {
            (self.column.kind, self.column.unwritten) = (theirs.kind, theirs.unwritten);
        }
    }
}

fn join_tables(base: Option<Option<&BaseTable>>, one: &BaseTable, other: &BaseTable) -> BaseTable {
    let known = base.flatten();
    let mut joints = join_columns(base, one, other);
    // The second column of a name has none.
    for at in 0..joints.len() {
        let name = joints[at].column.name;
        if let Some(before) = joints[..at].iter().position(|joint| joint.column.name == name) {
            joints[before].undecided.insert(Attribute::Name);
            joints[at].undecided.insert(Attribute::Name);
            joints[at].column.name = NAMELESS + at as u32;
        }
    }
    let mut joined = BaseTable {
        table: Table {
            columns: joints.iter().map(|joint| joint.column.clone()).collect(),
            rows: BTreeMap::new(),
            indexes: BTreeMap::new(),
        },
        attributes: BTreeSet::new(),
        columns: joints.iter().filter(|joint| joint.is_gone).map(|joint| joint.column.name).collect(),
        rows: BTreeSet::new(),
        is_gone: one.is_gone || other.is_gone,
    };
    for joint in &joints {
        joined.attributes.extend(joint.undecided.iter().map(|each| (joint.column.name, *each)));
    }
    let ids: BTreeSet<i32> = one.table.rows.keys().chain(other.table.rows.keys()).copied().collect();
    for id in ids {
        // Nothing is known, or there is no such row, or there is.
        let was = base.map(|base| base.and_then(|base| Some((base, base.table.rows.get(&id)?))));
        join_row(&mut joined, &joints, id, was, one, other);
    }
    let indexes: BTreeSet<u32> =
        one.table.indexes.keys().chain(other.table.indexes.keys()).copied().collect();
    for index in indexes {
        let in_one = one.table.indexes.get(&index);
        let in_other = other.table.indexes.get(&index);
        let joint = joints.iter().find(|joint| match (in_one, in_other) {
            (Some(column), _) => joint.one == Some(*column),
            (_, column) => joint.other == column.copied(),
        });
        let Some(joint) = joint else { continue };
        let is_in_both = in_one.is_some() && in_other.is_some();
        let was_there = known.is_some_and(|base| base.table.indexes.contains_key(&index));
        if is_in_both || !was_there || joint.is_gone || joined.is_gone {
            joined.table.indexes.insert(index, joint.column.name);
        }
    }
    joined
}

fn join_columns(base: Option<Option<&BaseTable>>, one: &BaseTable, other: &BaseTable) -> Vec<Joint> {
    let known = base.flatten();
    let is_unknown = base.is_none();
    // Without a base, what both have of one column is common to them.
    let in_both = super::branch_model_merge::matches(&one.table, &other.table);
    let common = Table {
        columns: one.table.columns.iter().filter(|each| in_both.contains_key(&each.name)).cloned().collect(),
        rows: BTreeMap::new(),
        indexes: BTreeMap::new(),
    };
    let was = known.map_or(&common, |base| &base.table);
    let (in_one, in_other) = matches_of_both(was, &one.table, &other.table);
    let mut joints: Vec<Joint> = Vec::new();
    for column in &one.table.columns {
        let mut joint = Joint::new(one, column);
        joint.one = Some(column.name);
        joints.push(joint);
    }
    for old in &was.columns {
        let is_kept = |side: &BaseTable, name: u32| {
            side.columns.contains(&name)
                || side.has_any_of(name)
                || known.is_none_or(|base| {
                    base.has_any_of(old.name)
                        || base.columns.contains(&old.name)
                        || base.is_written(side, old)
                })
                || side.table.column(name).map(declared) != Some(declared(old))
        };
        let at = |joints: &[Joint], name: u32| joints.iter().position(|joint| joint.one == Some(name));
        match (in_one.get(&old.name), in_other.get(&old.name)) {
            (Some(mine), Some(theirs)) => {
                let (Some(at), Some(theirs)) = (at(&joints, *mine), other.table.column(*theirs)) else {
                    continue;
                };
                let written = [one, other].map(|side| known.is_some_and(|base| base.is_written(side, old)));
                joints[at].join(known.map(|base| (base, old)), (other, theirs), written);
                joints[at].base = Some(old.name);
            }
            (Some(mine), None) => {
                let Some(at) = at(&joints, *mine) else { continue };
                if is_kept(one, *mine) {
                    (joints[at].is_gone, joints[at].base) = (true, Some(old.name));
                } else {
                    joints.remove(at);
                }
            }
            (None, Some(theirs)) if is_kept(other, *theirs) => {
                let Some(theirs) = other.table.column(*theirs) else { continue };
                let mut joint = Joint::new(other, theirs);
                (joint.other, joint.base, joint.is_gone) = (Some(theirs.name), Some(old.name), true);
                joints.push(joint);
            }
            _ => {}
        }
    }
    let is_new = |matched: &BTreeMap<u32, u32>, name: u32| !matched.values().any(|each| *each == name);
    for theirs in other.table.columns.iter().filter(|column| is_new(&in_other, column.name)) {
        let twin = joints.iter().position(|joint| {
            let own = joint.one.filter(|name| !joint.is_twin && is_new(&in_one, *name));
            let own = own.and_then(|name| one.table.column(name));
            own.is_some_and(|own| is_same(own, theirs) || own.name == theirs.name)
        });
        match twin {
            Some(at) => {
                joints[at].join(None, (other, theirs), [false, false]);
                joints[at].is_twin = true;
            }
            None => {
                let mut joint = Joint::new(other, theirs);
                joint.other = Some(theirs.name);
                joint.is_gone |= is_unknown;
                joints.push(joint);
            }
        }
    }
    for joint in joints.iter_mut().filter(|_| is_unknown) {
        joint.is_gone |= joint.one.is_some_and(|name| is_new(&in_one, name)) && !joint.is_twin;
    }
    joints
}

fn join_row(
    joined: &mut BaseTable,
    joints: &[Joint],
    id: i32,
    was: Option<Option<(&BaseTable, &Arc<Row>)>>,
    one: &BaseTable,
    other: &BaseTable,
) {
    let cells =
        |side: &BaseTable, name: &dyn Fn(&Joint) -> Option<u32>| -> Option<Vec<Option<Option<i32>>>> {
            let row = side.table.rows.get(&id)?;
            Some(joints.iter().map(|joint| name(joint).and_then(|name| row.get(&name).copied())).collect())
        };
    let (mine, theirs) = (cells(one, &|joint| joint.one), cells(other, &|joint| joint.other));
    let is_open = |side: &BaseTable| side.rows.contains(&id);
    let base: Option<Vec<Option<Option<i32>>>> = was.flatten().map(|(_, row)| {
        joints.iter().map(|joint| joint.base.and_then(|name| row.get(&name).copied())).collect()
    });
    let put = |joined: &mut BaseTable, cells: Vec<Option<Option<i32>>>, is_gone: bool| {
        let row = joints.iter().zip(cells).filter_map(|(joint, cell)| Some((joint.column.name, cell?)));
        joined.table.rows.insert(id, Arc::new(row.collect()));
        if is_gone {
            joined.rows.insert(id);
        }
    };
    let (mine, theirs) = match (mine, theirs) {
        (Some(mine), Some(theirs)) => (mine, theirs),
        (None, None) => return,
        (mine, theirs) => {
            let (side, is_one) = if mine.is_some() { (one, true) } else { (other, false) };
            let Some(kept) = mine.or(theirs) else { return };
            let unwritten = |joint: &Joint| {
                let name = if is_one { joint.one } else { joint.other };
                name.and_then(|name| side.table.column(name)).and_then(|column| column.unwritten)
            };
            let is_gone = match (&was, &base) {
                _ if is_open(side) => true,
                (None, _) => true,
                (Some(None), _) => false,
                (Some(Some((base, _))), _) if is_open(base) => true,
                (_, Some(base)) => {
                    let is_same = joints.iter().zip(base.iter().zip(&kept)).all(|(joint, (was, now))| {
                        let Some(now) = now else { return true };
                        *now != UNDECIDED && was.unwrap_or_else(|| unwritten(joint)) == *now
                    });
                    if is_same {
                        return;
                    }
                    true
                }
                _ => true,
            };
            put(joined, kept, is_gone);
            return;
        }
    };
    let is_gone = is_open(one) || is_open(other);
    let cells = joints.iter().enumerate().map(|(at, joint)| {
        let (Some(mine), Some(theirs)) = (mine[at], theirs[at]) else { return mine[at].or(theirs[at]) };
        if mine == theirs {
            return Some(mine);
        }
        if mine == UNDECIDED || theirs == UNDECIDED {
            return Some(UNDECIDED);
        }
        let unwritten = |side: &BaseTable, name: Option<u32>| {
            side.table.column(name?).and_then(|column| column.unwritten)
        };
        if joint.is_twin {
            let is_unwritten = (unwritten(one, joint.one) == mine, unwritten(other, joint.other) == theirs);
            return Some(match is_unwritten {
                (true, false) => theirs,
                (false, true) => mine,
                _ => UNDECIDED,
            });
        }
        let was = base.as_ref().map(|base| base[at].unwrap_or(joint.column.unwritten));
        Some(match was {
            Some(was) if was == mine => theirs,
            Some(was) if was == theirs => mine,
            _ => UNDECIDED,
        })
    });
    let cells = cells.collect();
    put(joined, cells, is_gone);
}
