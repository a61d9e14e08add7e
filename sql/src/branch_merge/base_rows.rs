//! The rows of a base, as rows of the merged table.
//!
//! 1. A row that the moments of a base hold alike is the base's: so rows that differ between one of its best moments and the
//!    side at hand, the *pivot*, are all that can differ between the base and that side ([`Differences`]). They are found
//!    at the cost of the pages that changed since.
//! 2. What the base holds of such a row is merged cell by cell, when it is asked for, from what its parts hold
//!    ([`join_rows`]). Moments further back are read where two parts are not the same, row by row.
//!
//! A column that a version does not have says nothing of what the other version's cells hold.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use helios_mvcc::{KeyRange, RowDifference, ScanStep, Snapshot, Transaction, TreeDifference};

use super::base::Node;
use super::base_layout::Layout;
use super::base_table::Parts;
use super::cells::{BaseVersion, same};
use super::columns::key_places;
use super::lineage::Lineage;
use super::matching::Places;
use super::rows::{Reading, converted};
use crate::catalog::Table;
use crate::error::Result;
use crate::execute::Execution;
use crate::functions::EvalContext;
use crate::value::Datum;

/// A cell of a base.
#[derive(Clone, Debug, PartialEq)]
enum Cell {
    /// There is no such column.
    Absent,
    Undecided,
    Value(Datum),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Existence {
    Yes,
    No,
    Undecided,
}

/// A row of a base.
#[derive(Clone, Debug, PartialEq)]
struct BaseRow {
    exists: Existence,
    /// None where there is no row.
    cells: Vec<Cell>,
}

impl BaseRow {
    /// Without the cells of other columns than these.
    fn only(mut self, columns: &[bool]) -> BaseRow {
        for (cell, _) in self.cells.iter_mut().zip(columns).filter(|(_, is_there)| !**is_there) {
            *cell = Cell::Absent;
        }
        self
    }
}

const NO_ROW: BaseRow = BaseRow { exists: Existence::No, cells: Vec::new() };

/// A table at a moment.
pub struct Leaf {
    pub moment: Snapshot,
    pub table: Arc<Table>,
    /// Where its columns are in the merged table.
    pub places: Places,
    reading: Reading,
    reader: Transaction,
    width: usize,
}

impl Leaf {
    /// A stored row, as one of the merged table.
    ///
    /// # Errors
    /// XX001; those of converting values.
    pub fn row(&self, bytes: &[u8], context: &EvalContext<'_>) -> Result<Vec<Datum>> {
        let mut row = self.reading.row(bytes, context)?;
        row.truncate(self.width);
        Ok(row)
    }
}

/// What a node of the base has of the table.
enum Part {
    NoTable,
    Leaf(Box<Leaf>),
    /// What another has.
    Same(usize),
    Joined {
        one: usize,
        other: usize,
        base: Option<usize>,
        /// Columns that both added, by position.
        twins: Vec<usize>,
        /// Which columns the table that they make has, by position.
        columns: Vec<bool>,
        unwritten: Box<Unwritten>,
    },
}

/// What cells hold that were not written since their column was added: in both versions, and in what they make.
struct Unwritten {
    one: Vec<Datum>,
    other: Vec<Datum>,
    joined: Vec<Datum>,
}

/// The rows of one table of a base.
pub struct BaseRows {
    /// Each behind those that it is made of; the last one is the base.
    parts: Vec<Part>,
    by_node: HashMap<usize, usize>,
    /// Which cells count, and what the merged table's columns hold that a version has not.
    counts: Vec<bool>,
    missing: Vec<Datum>,
    /// How many columns the merged table has.
    width: usize,
}

impl BaseRows {
    /// Those of a node that has the table; `places` says where the table's columns are in the merged one.
    ///
    /// # Errors
    /// Those of beginning to read.
    pub fn new(
        lineage: &Lineage,
        node: usize,
        oid: u32,
        places: &Places,
        (merged, missing): (&Table, Vec<Datum>),
        context: &EvalContext<'_>,
    ) -> Result<BaseRows> {
        let layout = Layout::new(lineage, node, oid, places, merged);
        let columns = &layout.table.columns;
        let mut all_missing = missing;
        all_missing.extend(columns[all_missing.len()..].iter().map(|column| column.missing.clone()));
        let mut rows = BaseRows {
            parts: Vec::new(),
            by_node: HashMap::new(),
            counts: columns.iter().map(|column| !column.dropped && !column.generated).collect(),
            missing: all_missing,
            width: merged.columns.len(),
        };
        rows.add(lineage, node, oid, &layout, context)?;
        Ok(rows)
    }

    fn add(
        &mut self,
        lineage: &Lineage,
        node: usize,
        oid: u32,
        layout: &Layout,
        context: &EvalContext<'_>,
    ) -> Result<usize> {
        if let Some(known) = self.by_node.get(&node) {
            return Ok(*known);
        }
        let part = match (lineage.catalog(node).table(oid), lineage.node(node)) {
            (None, _) => Part::NoTable,
            (Some(own), Node::Moment(moment)) => {
                let reader = lineage.store().begin_as_of(moment.branch, moment.scn)?;
                let (table, places, width) = (own.table.clone(), layout.places(node), self.width);
                let reading = Reading::new(&table, &places, &layout.table).reshaped(lineage.reshapes(node));
                Part::Leaf(Box::new(Leaf { moment, table, places, reading, reader, width }))
            }
            (Some(own), Node::Joined { one, other, base }) => match &own.parts {
                Parts::Own | Parts::One => Part::Same(self.add(lineage, one, oid, layout, context)?),
                Parts::Other => Part::Same(self.add(lineage, other, oid, layout, context)?),
                Parts::Both { twins, .. } => {
                    let unwritten = |node: usize| {
                        let mut unwritten = vec![Datum::Null; layout.table.columns.len()];
                        let table = lineage.catalog(node).table(oid).map(|table| &table.table);
                        let columns = table.into_iter().flat_map(|table| &table.columns);
                        for (column, place) in columns.zip(layout.places(node)) {
                            let Some(place) = place else { continue };
                            let new = layout.table.columns[place].data_type();
                            let value = converted(column.missing.clone(), column.data_type(), new, context);
                            unwritten[place] = value.unwrap_or(Datum::Null);
                        }
                        unwritten
                    };
                    let places = layout.places(node);
                    let mut columns = vec![false; layout.table.columns.len()];
                    places.iter().flatten().for_each(|place| columns[*place] = true);
                    Part::Joined {
                        columns,
                        twins: twins.iter().filter_map(|twin| places[*twin]).collect(),
                        unwritten: Box::new(Unwritten {
                            one: unwritten(one),
                            other: unwritten(other),
                            joined: unwritten(node),
                        }),
                        one: self.add(lineage, one, oid, layout, context)?,
                        other: self.add(lineage, other, oid, layout, context)?,
                        base: match base {
                            Some(base) => Some(self.add(lineage, base, oid, layout, context)?),
                            None => None,
                        },
                    }
                }
            },
        };
        self.parts.push(part);
        let at = self.parts.len() - 1;
        self.by_node.insert(node, at);
        Ok(at)
    }

    /// All moments that it is made of that have the table.
    pub fn leaves(&self) -> impl Iterator<Item = &Leaf> {
        self.parts.iter().filter_map(|part| match part {
            Part::Leaf(leaf) => Some(&**leaf),
            _ => None,
        })
    }

    /// Those of them that are not there for the sake of merging others.
    #[must_use]
    pub fn best_leaves(&self) -> Vec<&Leaf> {
        let mut leaves: Vec<&Leaf> = Vec::new();
        let mut open = vec![self.parts.len() - 1];
        while let Some(at) = open.pop() {
            match &self.parts[at] {
                Part::NoTable => {}
                Part::Leaf(leaf) if leaves.iter().any(|each| each.moment == leaf.moment) => {}
                Part::Leaf(leaf) => leaves.push(leaf),
                Part::Same(same) => open.push(*same),
                Part::Joined { one, other, .. } => open.extend([other, one]),
            }
        }
        leaves
    }

    /// Whether all of its moments have the primary key of a table, the merged one, so that a row has the same key in all.
    #[must_use]
    pub fn have_key_of(&self, merged: &Table) -> bool {
        let own: Places = (0..merged.columns.len()).map(Some).collect();
        let key = key_places(merged, &own);
        let has_types = |leaf: &Leaf| {
            leaf.table.primary_key.iter().zip(&merged.primary_key).all(|(one, other)| {
                let [one, other] = [(&*leaf.table, *one), (merged, *other)]
                    .map(|(table, number)| &table.columns[Table::position(number)]);
                one.data_type() == other.data_type()
            })
        };
        !key.is_empty()
            && self.leaves().all(|leaf| key_places(&leaf.table, &leaf.places) == key && has_types(leaf))
    }

    /// What the base has of a row; `known` are stored rows of some of its moments, the others are read by its key.
    ///
    /// # Errors
    /// Those of reading pages; XX001.
    pub async fn row(
        &mut self,
        key: &[u8],
        known: &[(Snapshot, Option<Vec<u8>>)],
        execution: &Execution,
    ) -> Result<BaseVersion> {
        let mut found: Vec<Option<BaseRow>> = vec![None; self.parts.len()];
        loop {
            let missing = match self.joined(self.parts.len() - 1, &mut found) {
                Ok(row) => return Ok(self.version(row)),
                Err(missing) => missing,
            };
            let Part::Leaf(leaf) = &mut self.parts[missing] else { return Ok(BaseVersion::default()) };
            let stored = match known.iter().find(|(moment, _)| *moment == leaf.moment) {
                Some((_, stored)) => stored.clone(),
                None => leaf.reader.get(leaf.table.tree, key).await?,
            };
            let context = execution.context();
            let row = stored.map(|bytes| leaf.reading.row(&bytes, &context));
            let is_alone = self.parts.len() == 1;
            found[missing] = Some(self.as_base_row(missing, row, is_alone));
        }
    }

    /// What the base has where its moments have these rows.
    #[must_use]
    pub fn row_of(&self, mut rows: HashMap<Snapshot, Vec<Datum>>) -> BaseVersion {
        let found = self.parts.iter().enumerate().map(|(at, part)| match part {
            Part::Leaf(leaf) => Some(self.as_base_row(at, rows.remove(&leaf.moment).map(Ok), false)),
            _ => None,
        });
        let mut found: Vec<Option<BaseRow>> = found.collect();
        match self.joined(self.parts.len() - 1, &mut found) {
            Ok(row) => self.version(row),
            Err(_) => BaseVersion::default(),
        }
    }

    /// How many the base has of something of which its moments have so many; `None`: it is undecided.
    #[must_use]
    pub fn number_of(&self, numbers: &HashMap<Snapshot, i64>) -> Option<i64> {
        self.number(self.parts.len() - 1, numbers)
    }

    fn number(&self, at: usize, numbers: &HashMap<Snapshot, i64>) -> Option<i64> {
        match &self.parts[at] {
            Part::NoTable => None,
            Part::Leaf(leaf) => numbers.get(&leaf.moment).copied(),
            Part::Same(same) => self.number(*same, numbers),
            Part::Joined { one, other, base, .. } => {
                let [one, other] = [one, other].map(|at| self.number(*at, numbers));
                if one == other {
                    return one;
                }
                let base = base.and_then(|base| self.number(base, numbers))?;
                if one == Some(base) {
                    other
                } else if other == Some(base) {
                    one
                } else {
                    None
                }
            }
        }
    }

    /// All rows of a moment, with their keys; behind the merged table's columns they have those of [`Layout`].
    ///
    /// # Errors
    /// Those of reading pages; XX001, and those of converting values.
    pub async fn rows_at(&self, leaf: &Leaf, execution: &Execution) -> Result<Vec<(Vec<u8>, Vec<Datum>)>> {
        let mut stored = Vec::new();
        let mut scan = leaf.reader.scan(leaf.table.tree, KeyRange::all(), false);
        let mut visit = |key: &[u8], value: &[u8]| {
            stored.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        };
        while scan.next(&leaf.reader, &mut visit).await? != ScanStep::Done {
            execution.check_cancel()?;
        }
        let context = execution.context();
        stored.into_iter().map(|(key, bytes)| Ok((key, leaf.reading.row(&bytes, &context)?))).collect()
    }

    /// A row of a moment. One with a value that its new type does not take is none that any side has.
    fn as_base_row(&self, at: usize, row: Option<Result<Vec<Datum>>>, is_alone: bool) -> BaseRow {
        let Part::Leaf(leaf) = &self.parts[at] else { return NO_ROW };
        let has = |place: usize| leaf.places.contains(&Some(place));
        match row {
            None => NO_ROW,
            Some(Err(_)) if is_alone => NO_ROW,
            Some(Err(_)) => {
                BaseRow { exists: Existence::Yes, cells: vec![Cell::Undecided; self.counts.len()] }
            }
            Some(Ok(row)) => {
                let cell = |(place, value)| if has(place) { Cell::Value(value) } else { Cell::Absent };
                BaseRow { exists: Existence::Yes, cells: row.into_iter().enumerate().map(cell).collect() }
            }
        }
    }

    /// The row of a part, or the moment whose row is needed for that.
    fn joined(&self, at: usize, found: &mut Vec<Option<BaseRow>>) -> std::result::Result<BaseRow, usize> {
        if let Some(found) = &found[at] {
            return Ok(found.clone());
        }
        let row = match &self.parts[at] {
            Part::NoTable => NO_ROW,
            Part::Leaf(_) => return Err(at),
            Part::Same(same) => self.joined(*same, found)?,
            Part::Joined { one, other, base, twins, columns, unwritten } => {
                let mine = self.joined(*one, found)?.only(columns);
                let theirs = self.joined(*other, found)?.only(columns);
                if mine == theirs {
                    mine
                } else {
                    let base = match base {
                        Some(base) => Some(self.joined(*base, found)?.only(columns)),
                        None => None,
                    };
                    self.join_rows(base.as_ref(), mine, theirs, (twins, unwritten))
                }
            }
        };
        found[at] = Some(row.clone());
        Ok(row)
    }

    /// Joins two rows with that of their base, where it is known.
    fn join_rows(
        &self,
        base: Option<&BaseRow>,
        one: BaseRow,
        other: BaseRow,
        (twins, unwritten): (&[usize], &Unwritten),
    ) -> BaseRow {
        let alone = match (one.exists, other.exists) {
            (Existence::No, Existence::No) => return NO_ROW,
            (_, Existence::No) => Some((&one, &unwritten.one)),
            (Existence::No, _) => Some((&other, &unwritten.other)),
            _ => None,
        };
        if let Some((kept, unwritten)) = alone {
            let exists = match base {
                Some(base) if kept.exists == Existence::Yes => match base.exists {
                    Existence::No => Existence::Yes,
                    Existence::Yes if self.holds_same(base, kept, unwritten) => return NO_ROW,
                    _ => Existence::Undecided,
                },
                _ => Existence::Undecided,
            };
            return BaseRow { exists, cells: kept.cells.clone() };
        }
        let is_undecided = [one.exists, other.exists].contains(&Existence::Undecided);
        let base = base.filter(|base| base.exists != Existence::No);
        let cells = one.cells.into_iter().zip(other.cells).enumerate().map(|(at, (mine, theirs))| {
            let (mine, theirs) = match (mine, theirs) {
                (Cell::Absent, only) | (only, Cell::Absent) => return only,
                (Cell::Value(mine), Cell::Value(theirs)) => (mine, theirs),
                _ => return Cell::Undecided,
            };
            if same(&mine, &theirs) {
                return Cell::Value(mine);
            }
            if twins.contains(&at) {
                return match (same(&unwritten.one[at], &mine), same(&unwritten.other[at], &theirs)) {
                    (true, false) => Cell::Value(theirs),
                    (false, true) => Cell::Value(mine),
                    _ => Cell::Undecided,
                };
            }
            match base.and_then(|base| cell(base, at, &unwritten.joined)) {
                Some(was) if same(was, &mine) => Cell::Value(theirs),
                Some(was) if same(was, &theirs) => Cell::Value(mine),
                _ => Cell::Undecided,
            }
        });
        let exists = if is_undecided { Existence::Undecided } else { Existence::Yes };
        BaseRow { exists, cells: cells.collect() }
    }

    /// Whether nobody wrote a row since.
    fn holds_same(&self, base: &BaseRow, now: &BaseRow, unwritten: &[Datum]) -> bool {
        (0..self.counts.len()).filter(|at| self.counts[*at]).all(|at| match &now.cells[at] {
            Cell::Absent => true,
            Cell::Undecided => false,
            Cell::Value(value) => cell(base, at, unwritten).is_some_and(|was| same(was, value)),
        })
    }

    fn version(&self, mut row: BaseRow) -> BaseVersion {
        if row.exists == Existence::No {
            return BaseVersion::default();
        }
        row.cells.truncate(self.width);
        let is_undecided: Vec<bool> = row.cells.iter().map(|cell| *cell == Cell::Undecided).collect();
        let value = |(at, cell): (usize, Cell)| match cell {
            Cell::Absent => self.missing[at].clone(),
            Cell::Undecided => Datum::Null,
            Cell::Value(value) => value,
        };
        BaseVersion {
            row: Some(row.cells.into_iter().enumerate().map(value).collect()),
            undecided: if is_undecided.contains(&true) { is_undecided } else { Vec::new() },
            is_gone: row.exists == Existence::Undecided,
        }
    }
}

/// What a row holds in a column; what is given for new columns, where it has it not. `None`: it is undecided.
fn cell<'r>(row: &'r BaseRow, at: usize, unwritten: &'r [Datum]) -> Option<&'r Datum> {
    match &row.cells[at] {
        Cell::Absent => Some(&unwritten[at]),
        Cell::Undecided => None,
        Cell::Value(value) => Some(value),
    }
}

/// A row that a side may have otherwise than the base.
pub struct DifferingRow {
    pub key: Vec<u8>,
    /// Its stored form at moments of the base.
    pub known: Vec<(Snapshot, Option<Vec<u8>>)>,
    /// What the side has.
    pub after: Option<Vec<u8>>,
}

/// The rows that differ between the pivot and any of some moments, in key order.
pub struct Differences {
    pivot: Snapshot,
    parts: Vec<DifferencePart>,
}

struct DifferencePart {
    moment: Snapshot,
    rows: TreeDifference,
    next: Option<RowDifference>,
    is_done: bool,
}

impl Differences {
    /// Of the differences of these moments to the pivot.
    #[must_use]
    pub fn new(pivot: Snapshot, parts: Vec<(Snapshot, TreeDifference)>) -> Differences {
        let part = |(moment, rows)| DifferencePart { moment, rows, next: None, is_done: false };
        Differences { pivot, parts: parts.into_iter().map(part).collect() }
    }

    /// The next one.
    ///
    /// # Errors
    /// Those of reading pages.
    pub async fn next(&mut self) -> Result<Option<DifferingRow>> {
        for part in &mut self.parts {
            if part.next.is_none() && !part.is_done {
                part.next = part.rows.next().await?;
                part.is_done = part.next.is_none();
            }
        }
        let keys = self.parts.iter().filter_map(|part| part.next.as_ref().map(|row| &row.key));
        let Some(key) = keys.min().cloned() else { return Ok(None) };
        let (mut known, mut same, mut after) = (Vec::new(), Vec::new(), None);
        for part in &mut self.parts {
            match part.next.take_if(|row| row.key == key) {
                Some(row) => {
                    known.push((part.moment, row.before));
                    after = row.after;
                }
                None => same.push(part.moment),
            }
        }
        known.extend(same.into_iter().map(|moment| (moment, after.clone())));
        known.push((self.pivot, after.clone()));
        Ok(Some(DifferingRow { key, known, after }))
    }
}
