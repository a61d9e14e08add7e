//! Searches a table for each row of a left batch, by its key or an index.
//!
//! For each left row the slots that the search reads are filled, and the rows found are decoded behind those of the row
//! before, with the number of the left row beside them. A search begins at the leaf of the one before, if its key belongs
//! there.

use helios_mvcc::Scan;

use super::Execution;
use super::key_reader::KeyReader;
use super::keys::key_range;
use super::nested_loop::set_slot;
use super::row_test::RowTest;
use super::scan::{Past, Rows, read_index, read_rows};
use crate::error::Result;
use crate::expr::Expr;
use crate::plan::physical::{Access, KeyAccess, Physical, PlanNode, TableScan};
use crate::plan::walk;
use crate::value::Batch;

/// A table that is searched, and how.
pub struct TableSearch {
    scan: TableScan,
    access: KeyAccess,
    /// Slots, with the left columns that fill them.
    lateral: Vec<(usize, usize)>,
    /// What is tested on bytes, once the first row has come.
    tests: Option<Vec<RowTest>>,
    past: Past,
    /// What is read of an index alone.
    key_reader: Option<KeyReader>,
    /// The search for the left row at hand, if it has begun.
    current: Option<Scan>,
    /// The search before, which knows where it was.
    before: Option<Scan>,
}

impl TableSearch {
    /// The search that a plan is, where it reads left rows.
    pub fn of(plan: &PlanNode, lateral: &[(usize, usize)]) -> Option<TableSearch> {
        let Physical::Table(scan) = &plan.node else { return None };
        let Access::Keys(access) = &scan.access else { return None };
        if lateral.is_empty() {
            return None;
        }
        Some(TableSearch {
            scan: (**scan).clone(),
            access: (**access).clone(),
            lateral: lateral.to_vec(),
            tests: None,
            past: Past::default(),
            key_reader: KeyReader::of(scan),
            current: None,
            before: None,
        })
    }

    /// The table's scan.
    pub fn scan(&self) -> &TableScan {
        &self.scan
    }

    /// Whether it was begun.
    pub fn is_prepared(&self) -> bool {
        self.tests.is_some()
    }

    /// Sorts out the filters on the table alone that are tested on bytes; tells of each filter whether it is.
    ///
    /// # Errors
    /// Those of evaluating constants, and of beginning to read the past.
    pub fn prepare(&mut self, execution: &Execution) -> Result<Vec<bool>> {
        let (mut tests, mut is_tested) = (Vec::new(), Vec::new());
        for filter in &self.scan.filters {
            let reads_left = walk::any(filter, &mut |node| match node {
                Expr::Outer { index, .. } => self.lateral.iter().any(|(slot, _)| slot == index),
                _ => false,
            });
            let (projection, layout) = (&self.scan.projection, &self.scan.layout);
            let test = if reads_left || self.key_reader.is_some() {
                None
            } else {
                RowTest::of(filter, projection, layout, &execution.context())?
            };
            is_tested.push(test.is_some());
            tests.extend(test);
        }
        RowTest::arrange(&mut tests);
        self.tests = Some(tests);
        self.past = Past::of(&self.scan.table, execution)?;
        Ok(is_tested)
    }

    /// Searches for left rows before `end` from `row` on, which moves on, until a batch is full; gives the left row of each.
    ///
    /// # Errors
    /// Those of reading and evaluating.
    pub async fn search(
        &mut self,
        left: &Batch,
        row: &mut usize,
        end: usize,
        rows: &mut Rows,
        execution: &mut Execution,
    ) -> Result<Vec<u32>> {
        let tree = self.access.index_tree.unwrap_or(self.scan.table.table.tree);
        let tested = (&self.scan, self.tests.as_deref().unwrap_or_default());
        let mut of_left = Vec::new();
        while *row < end && rows.has_room() {
            let mut search = match self.current.take() {
                Some(search) => search,
                None => {
                    for (slot, column) in &self.lateral {
                        set_slot(execution, *slot, left.datum(*row, *column));
                    }
                    let Some(range) = key_range(&self.access, execution)? else {
                        *row += 1;
                        continue;
                    };
                    let reads_keys = self.access.index_tree.is_some() || self.key_reader.is_some();
                    let reader = self.past.reader(execution);
                    match self.before.take() {
                        Some(before) => before.over(range),
                        None if reads_keys || self.scan.with_key => {
                            reader.scan(tree, range, self.access.reverse)
                        }
                        None => reader.scan(tree, range, self.access.reverse).values_only(),
                    }
                }
            };
            let is_done = if let Some(reader) = &self.key_reader {
                reader.read(&mut search, rows, &self.past, execution).await?
            } else if self.access.index_tree.is_some() {
                read_index(&mut search, tested, rows, &mut self.past, execution).await?
            } else {
                read_rows(&mut search, tested, rows, &self.past, execution).await?
            };
            of_left.resize(rows.count(), *row as u32);
            if is_done {
                *row += 1;
                self.before = Some(search);
            } else {
                self.current = Some(search);
            }
        }
        Ok(of_left)
    }

    /// Whether the left row at hand may have further rows.
    pub fn is_amid(&self) -> bool {
        self.current.is_some()
    }

    /// No further rows of the left row at hand are wanted.
    pub fn skip(&mut self) {
        if let Some(search) = self.current.take() {
            self.before = Some(search);
        }
    }
}
