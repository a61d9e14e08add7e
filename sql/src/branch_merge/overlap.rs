//! What a side wrote since the base to what the other side dropped, or gave another type.
//!
//! A table counts as written where any row of it came, went or changed; a column where the cell of a row that there was before
//! and is there still holds something else. Rows that came are no changes of a column's cells, so that dropping a column does not
//! collide with every insert. Only tables that the other side dropped, or changed so, are read, at the cost of what differs.

use std::collections::{BTreeMap, HashSet};

use helios_mvcc::TreeDifference;

use super::base_rows::{BaseRows, Differences};
use super::cells::same;
use super::lineage::{Divergences, Lineage};
use super::matching::{Places, matches};
use crate::catalog::Table;
use crate::ddl::keeps_values;
use crate::error::Result;
use crate::execute::Execution;
use crate::plan::row_layout;
use crate::value::Datum;
use crate::value::row::RowLayout;

/// What one side wrote.
#[derive(Debug, Default)]
pub struct Written {
    tables: HashSet<u32>,
    /// By table, and position in the base.
    cells: HashSet<(u32, usize)>,
}

impl Written {
    /// Whether rows of a table, which the other side dropped, are others than at the base.
    #[must_use]
    pub fn has_rows(&self, table: u32) -> bool {
        self.tables.contains(&table)
    }

    /// Whether cells of a column, which the other side dropped or converted, are others than at the base.
    #[must_use]
    pub fn has_cell(&self, table: u32, position: usize) -> bool {
        self.cells.contains(&(table, position))
    }
}

/// What both sides wrote.
#[derive(Debug, Default)]
pub struct Overlap {
    pub source: Written,
    pub target: Written,
}

impl Overlap {
    /// Finds out, of a base and two sides, which may be made of several moments themselves.
    ///
    /// # Errors
    /// Those of reading pages.
    pub async fn find(
        lineage: &Lineage,
        base: usize,
        source: usize,
        target: usize,
        execution: &Execution,
    ) -> Result<Overlap> {
        Ok(Overlap {
            source: written(lineage, base, source, target, execution).await?,
            target: written(lineage, base, target, source, execution).await?,
        })
    }
}

/// What a side wrote of what the other one dropped or converted; what is undecided at the base counts as written.
async fn written(
    lineage: &Lineage,
    base: usize,
    side: usize,
    other: usize,
    execution: &Execution,
) -> Result<Written> {
    let mut written = Written::default();
    let mut divergences: Vec<Divergences> = Vec::new();
    let (base_catalog, side_catalog) = (lineage.catalog(base), lineage.catalog(side));
    for entry in base_catalog.tables() {
        let was = &entry.table;
        if entry.undecided.is_gone {
            written.tables.insert(was.oid);
        }
        written.cells.extend(entry.undecided.columns.iter().map(|at| (was.oid, *at)));
        let Some(is) = side_catalog.table(was.oid).map(|entry| &entry.table) else { continue };
        let other = lineage.catalog(other).table(was.oid).map(|entry| &entry.table);
        let watched = match other {
            Some(other) if other == was => continue,
            other => watched(was, is, other.map(|other| &**other)),
        };
        if other.is_some() && watched.is_empty() {
            continue;
        }
        let rows = {
            let context = execution.context();
            // Nothing else is read, so that nothing else has to have its type.
            let is_read = |at: usize| {
                watched.contains(&at) || was.primary_key.iter().any(|number| Table::position(*number) == at)
            };
            let all = matches(was, is);
            let places: Places =
                all.iter().enumerate().map(|(at, place)| place.filter(|_| is_read(at))).collect();
            let own: Places =
                (0..is.columns.len()).map(|at| Some(at).filter(|_| places.contains(&Some(at)))).collect();
            let merged = || (&**is, is.columns.iter().map(|column| column.missing.clone()).collect());
            (
                BaseRows::new(lineage, base, was.oid, &places, merged(), &context)?,
                BaseRows::new(lineage, side, was.oid, &own, merged(), &context)?,
            )
        };
        let Some((pivot, table)) = rows.1.best_leaves().first().map(|leaf| (leaf.moment, leaf.table.clone()))
        else {
            continue;
        };
        let at = divergences.iter().position(|each| each.pivot() == pivot).unwrap_or_else(|| {
            divergences.push(Divergences::new(lineage.store(), pivot));
            divergences.len() - 1
        });
        let versions = Versions::new(was, is, watched);
        let found = versions.changes(rows, &table, &mut divergences[at], other.is_none(), execution).await?;
        if found.any_row && other.is_none() {
            written.tables.insert(was.oid);
        }
        written.cells.extend(found.columns.into_iter().map(|at| (was.oid, at)));
    }
    Ok(written)
}

/// The columns of the base, by position, that the other side dropped or converted and this one declares as ever; all of
/// those, where the other side has the table no more.
fn watched(was: &Table, is: &Table, other: Option<&Table>) -> Vec<usize> {
    let (here, there) = (matches(was, is), other.map(|other| matches(was, other)));
    let is_watched = |at: &usize| {
        let column = &was.columns[*at];
        let Some(place) = here[*at] else { return false };
        let kept = match (other, &there) {
            (Some(other), Some(there)) => there[*at].map(|place| &other.columns[place]),
            _ => None,
        };
        let is_touched = kept.is_none_or(|kept| !keeps_values(column.data_type(), kept.data_type()));
        is_touched && !column.generated && column.data_type() == is.columns[place].data_type()
    };
    (0..was.columns.len()).filter(|at| !was.columns[*at].dropped).filter(is_watched).collect()
}

/// What was found of a table.
#[derive(Default)]
struct Found {
    any_row: bool,
    columns: Vec<usize>,
}

/// A table at the base and on a side.
struct Versions<'t> {
    was: &'t Table,
    is: &'t Table,
    places: Places,
    layouts: [RowLayout; 2],
    /// Columns of the base.
    watched: Vec<usize>,
}

impl<'t> Versions<'t> {
    fn new(was: &'t Table, is: &'t Table, watched: Vec<usize>) -> Versions<'t> {
        let layouts = [row_layout(was), row_layout(is)];
        Versions { was, is, places: matches(was, is), layouts, watched }
    }

    /// What changed of the watched columns; of a table that is watched as a whole, until the first change. `table` is what the
    /// pivot has.
    async fn changes(
        &self,
        (mut base, mut side): (BaseRows, BaseRows),
        table: &Table,
        divergences: &mut Divergences,
        is_whole: bool,
        execution: &Execution,
    ) -> Result<Found> {
        let moments = [&base, &side].map(|rows| rows.leaves().map(|leaf| leaf.moment).collect::<Vec<_>>());
        if let ([was], [_]) = (&moments[0][..], &moments[1][..])
            && let Key::Columns(columns) = self.key()
        {
            let rows = divergences.since(*was).await?.all_rows(Some(self.was.tree), Some(self.is.tree))?;
            return self.by_columns(rows, &columns).await;
        }
        let is_alone = moments.iter().all(|moments| moments.len() == 1);
        let differences = divergences.rows(&[&base, &side], table, false).await?;
        if is_alone || [&base, &side].iter().all(|rows| rows.have_key_of(self.is)) {
            return self.by_tree(differences, (&mut base, &mut side), is_whole, execution).await;
        }
        self.any(differences).await
    }

    /// Where rows cannot be told apart at several moments, all columns count as written where any row differs.
    async fn any(&self, mut rows: Differences) -> Result<Found> {
        let any_row = rows.next().await?.is_some();
        let columns = if any_row { self.watched.clone() } else { Vec::new() };
        Ok(Found { any_row, columns })
    }

    /// What tells rows apart.
    fn key(&self) -> Key {
        let place = |number: &i16| Table::position(*number);
        let was: Vec<usize> = self.was.primary_key.iter().map(place).collect();
        let is: Vec<usize> = self.is.primary_key.iter().map(place).collect();
        let moved: Option<Vec<usize>> = was.iter().map(|at| self.places[*at]).collect();
        let is_same_key = moved.as_ref() == Some(&is);
        match (was.is_empty(), is.is_empty()) {
            (true, true) if self.was.tree == self.is.tree => Key::OfTree,
            (false, false) if is_same_key && self.has_same_types(&was) => Key::OfTree,
            (false, _) if moved.is_some() && self.has_same_types(&was) => Key::Columns(was),
            // Rows that were numbered anew, or whose key is gone: they are told apart by all that both versions have.
            _ => {
                let all = (0..self.was.columns.len()).filter(|at| self.places[*at].is_some());
                Key::Columns(all.filter(|at| self.has_same_types(&[*at])).collect())
            }
        }
    }

    fn has_same_types(&self, columns: &[usize]) -> bool {
        let is_same = |at: &usize| {
            let place = self.places[*at];
            place.is_some_and(|place| self.was.columns[*at].data_type() == self.is.columns[place].data_type())
        };
        columns.iter().all(is_same)
    }

    async fn by_tree(
        &self,
        mut rows: Differences,
        (base, side): (&mut BaseRows, &mut BaseRows),
        is_whole: bool,
        execution: &Execution,
    ) -> Result<Found> {
        let mut found = Found::default();
        while let Some(row) = rows.next().await? {
            execution.check_cancel()?;
            let was = base.row(&row.key, &row.known, execution).await?;
            let is = side.row(&row.key, &row.known, execution).await?;
            found.any_row |= was.is_gone || is.is_gone || was.row.is_some() != is.row.is_some();
            if let (Some(before), Some(after)) = (&was.row, &is.row) {
                for at in &self.watched {
                    let Some(place) = self.places[*at].filter(|_| !found.columns.contains(at)) else {
                        continue;
                    };
                    let is_undecided = was.is_undecided(place) || is.is_undecided(place);
                    if is_undecided || !same(&before[place], &after[place]) {
                        found.any_row = true;
                        found.columns.push(*at);
                    }
                }
            }
            let has_all = !is_whole && found.columns.len() == self.watched.len();
            if has_all || (is_whole && found.any_row) {
                break;
            }
        }
        Ok(found)
    }

    /// By the values of columns of the base. Where these are no key, a row that changed is one that went and one that came: so
    /// all columns count as changed where both happened.
    async fn by_columns(&self, mut rows: TreeDifference, columns: &[usize]) -> Result<Found> {
        let is_key = !self.was.primary_key.is_empty();
        let mut before: BTreeMap<Vec<u8>, Vec<Vec<Datum>>> = BTreeMap::new();
        let mut after = before.clone();
        while let Some(row) = rows.next().await? {
            if let Some(bytes) = &row.before {
                let view = self.layouts[0].view(bytes)?;
                let cells = (0..self.was.columns.len()).map(|at| view.get(at)).collect::<Result<Vec<_>>>()?;
                before.entry(self.name(&cells, columns)?).or_default().push(cells);
            }
            if let Some(bytes) = &row.after {
                let view = self.layouts[1].view(bytes)?;
                let mut cells = vec![Datum::Null; self.was.columns.len()];
                for (at, cell) in cells.iter_mut().enumerate() {
                    if let Some(place) = self.places[at].filter(|_| self.has_same_types(&[at])) {
                        *cell = view.get(place)?;
                    }
                }
                after.entry(self.name(&cells, columns)?).or_default().push(cells);
            }
        }
        let (mut went, mut came) = (false, false);
        let mut found = Found::default();
        for (name, old) in &before {
            let new = after.get(name).map_or(&[][..], |new| new);
            went |= new.len() < old.len();
            let changed = |at: &usize| old.iter().zip(new).any(|(old, new)| !same(&old[*at], &new[*at]));
            found.columns.extend(self.watched.iter().copied().filter(|at| is_key && changed(at)));
        }
        for (name, new) in &after {
            came |= new.len() > before.get(name).map_or(0, Vec::len);
        }
        if !is_key && went && came {
            found.columns.clone_from(&self.watched);
        }
        found.columns.sort_unstable();
        found.columns.dedup();
        found.any_row = went || came || !found.columns.is_empty();
        Ok(found)
    }

    fn name(&self, cells: &[Datum], columns: &[usize]) -> Result<Vec<u8>> {
        let mut named = vec![Datum::Null; cells.len()];
        for at in columns {
            named[*at] = cells[*at].clone();
        }
        let mut name = Vec::new();
        self.layouts[0].encode(0, &named, &mut name)?;
        Ok(name)
    }
}

/// What tells the rows of a table apart at both moments.
enum Key {
    /// The key of its tree.
    OfTree,
    /// These columns of the base.
    Columns(Vec<usize>),
}
