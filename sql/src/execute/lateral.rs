//! The right side of a lateral join, or a subquery for each row, that is a list: functions, VALUES, or the search of a table
//! by its key or an index, with filters, projections and one aggregation of all rows above them. It is computed for the rows
//! of a left batch together.
//!
//! 1. The source gives its rows for one left row after the other, until a batch is full ([`LateralSource`]).
//! 2. They stand behind columns of their left rows: what the plan reads through slots is read there.
//! 3. Filters and projections see many such pairs at once. An aggregation makes a group of each left row, of as many rows as
//!    make a batch, and gives one row for each of them, whether there were pairs or not.

use std::ops::Range;

use super::aggregate_call::Call;
use super::lateral_source::{Asked, Functions, LateralSource};
use super::memory::Reservation;
use super::table_search::TableSearch;
use super::{Execution, reads_no_outer};
use crate::error::Result;
use crate::expr::Expr;
use crate::plan::logical::AggregateCall;
use crate::plan::physical::{Phase, Physical, PlanNode};
use crate::plan::walk::{self, Rewritten};
use crate::types::DataType;
use crate::value::{BATCH_ROWS, Batch, Column, ColumnBuilder};

/// More rows than so many for each left one are not worth a batch.
const VALUES_MAX: usize = BATCH_ROWS / 4;

/// What is done with pairs, and the number of the plan's node.
enum Step {
    Filter(Vec<Expr>, usize),
    Project(Vec<Expr>, usize),
}

/// An aggregation of all rows of each left row.
struct Groups {
    aggregates: Vec<AggregateCall>,
    number: usize,
    reservation: Option<Reservation>,
}

/// Such a right side.
pub struct Lateral {
    source: LateralSource,
    source_types: Vec<DataType>,
    source_number: usize,
    /// A table's filters that see pairs.
    filters: Vec<Expr>,
    is_fixed: bool,
    /// The left columns that are read of pairs; they come first.
    read: Vec<usize>,
    below: Vec<Step>,
    groups: Option<Groups>,
    above: Vec<Step>,
    /// The left row that comes next.
    row: usize,
    /// How many rows are made at once: few where few are expected, then twice as many each time.
    room: usize,
}

/// Rows of the right side.
pub struct Pairs {
    /// The left columns that are read, then the right side's.
    columns: Vec<Column>,
    /// Of each row, the number of its left row; they come in order.
    pub of_left: Vec<u32>,
}

/// Where the columns are that expressions of the right side read.
struct Places<'p> {
    lateral: &'p [(usize, usize)],
    read: &'p [usize],
}

impl Places<'_> {
    /// An expression over left columns alone.
    fn over_left(&self, expr: Expr) -> Expr {
        self.moved(expr, &|index| index, &|left| left)
    }

    /// One over pairs.
    fn over_pairs(&self, expr: Expr) -> Expr {
        let place = |left: usize| self.read.iter().position(|each| *each == left).unwrap_or(left);
        self.moved(expr, &|index| self.read.len() + index, &place)
    }

    fn moved(&self, expr: Expr, own: &dyn Fn(usize) -> usize, of_left: &dyn Fn(usize) -> usize) -> Expr {
        walk::rewrite(expr, &mut |expr| match expr {
            Expr::Column { index, data_type } => {
                Rewritten::Done(Expr::Column { index: own(index), data_type })
            }
            Expr::Outer { index: slot, data_type } => {
                Rewritten::Done(match self.lateral.iter().find(|(own, _)| *own == slot) {
                    Some((_, left)) => Expr::Column { index: of_left(*left), data_type },
                    None => Expr::Outer { index: slot, data_type },
                })
            }
            other => Rewritten::Descend(other),
        })
    }

    fn all_over_pairs(&self, exprs: &[Expr]) -> Vec<Expr> {
        exprs.iter().map(|expr| self.over_pairs(expr.clone())).collect()
    }

    fn step(&self, plan: &PlanNode, number: usize) -> Option<Step> {
        Some(match &plan.node {
            Physical::Filter { predicates, .. } => Step::Filter(self.all_over_pairs(predicates), number),
            Physical::Project { exprs, .. } => Step::Project(self.all_over_pairs(exprs), number),
            _ => return None,
        })
    }

    fn aggregate(&self, call: &AggregateCall) -> AggregateCall {
        let mut call = call.clone();
        call.arguments = self.all_over_pairs(&call.arguments);
        call.filter = call.filter.map(|filter| self.over_pairs(filter));
        for key in &mut call.order_by {
            key.expr = self.over_pairs(key.expr.clone());
        }
        call
    }
}

/// The expressions of a node that see pairs.
fn expressions(plan: &PlanNode) -> Vec<&Expr> {
    match &plan.node {
        Physical::Filter { predicates, .. } => predicates.iter().collect(),
        Physical::Project { exprs, .. } => exprs.iter().collect(),
        Physical::Table(scan) => scan.filters.iter().collect(),
        Physical::Aggregate { aggregates, .. } => aggregates
            .iter()
            .flat_map(|call| {
                let order = call.order_by.iter().map(|key| &key.expr);
                call.arguments.iter().chain(&call.filter).chain(order)
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// The input of a node that sees pairs; `None` for any other.
fn input(plan: &PlanNode) -> Option<&PlanNode> {
    match &plan.node {
        Physical::Filter { input, .. } | Physical::Project { input, .. } => Some(input),
        Physical::Aggregate { input, groups, sets: None, phase: Phase::Whole, .. } if groups.is_empty() => {
            Some(input)
        }
        _ => None,
    }
}

fn is_aggregation(plan: &PlanNode) -> bool {
    matches!(plan.node, Physical::Aggregate { .. })
}

impl Lateral {
    /// A plan that is of this kind. `lateral` has slots with the left columns that fill them, `on` reads left columns, of
    /// which there are `width`, and the plan's; `number` is the plan's.
    pub fn of(
        plan: &PlanNode,
        lateral: &[(usize, usize)],
        on: &[Expr],
        width: usize,
        number: usize,
    ) -> Option<Lateral> {
        if lateral.is_empty() {
            return None;
        }
        // From the top.
        let mut nodes = vec![plan];
        while let Some(input) = nodes.last().and_then(|last| input(last)) {
            nodes.push(input);
        }
        let base = nodes.pop()?;
        let aggregation = nodes.iter().position(|node| is_aggregation(node));
        if nodes.iter().filter(|node| is_aggregation(node)).count() > 1 {
            return None;
        }
        let mut read: Vec<usize> = Vec::new();
        let mut note = |expr: &Expr, of_on: bool| {
            walk::any(expr, &mut |node| {
                let left = match node {
                    Expr::Outer { index: slot, .. } => {
                        lateral.iter().find(|(own, _)| own == slot).map(|(_, left)| *left)
                    }
                    Expr::Column { index, .. } if of_on && *index < width => Some(*index),
                    _ => None,
                };
                read.extend(left);
                false
            });
        };
        nodes.iter().chain([&base]).flat_map(|node| expressions(node)).for_each(|expr| note(expr, false));
        on.iter().for_each(|expr| note(expr, true));
        read.sort_unstable();
        read.dedup();
        let places = Places { lateral, read: &read };
        let source = match &base.node {
            Physical::Function { calls, ordinality, .. } => {
                let over_left = |expr| places.over_left(expr);
                LateralSource::Functions(Functions::of(calls, *ordinality, &over_left)?)
            }
            Physical::Table(scan) if !scan.with_key && scan.workers == 0 => {
                LateralSource::Search(Box::new(TableSearch::of(base, lateral)?))
            }
            Physical::Values { rows } if rows.len() <= VALUES_MAX => {
                let over_left =
                    |row: &Vec<Expr>| row.iter().map(|expr| places.over_left(expr.clone())).collect();
                LateralSource::Values(rows.iter().map(over_left).collect())
            }
            _ => return None,
        };
        let steps = |range: Range<usize>| -> Option<Vec<Step>> {
            range.rev().map(|at| places.step(nodes[at], number + at)).collect()
        };
        let below = steps(aggregation.map_or(0, |at| at + 1)..nodes.len())?;
        let mut above = steps(0..aggregation.unwrap_or(0))?;
        if !on.is_empty() {
            let place = |index: usize| match read.binary_search(&index) {
                Ok(place) if index < width => place,
                _ => read.len() + index - width,
            };
            let over_pairs = |expr: &Expr| {
                walk::rewrite(expr.clone(), &mut |expr| match expr {
                    Expr::Column { index, data_type } => {
                        Rewritten::Done(Expr::Column { index: place(index), data_type })
                    }
                    other => Rewritten::Descend(other),
                })
            };
            above.push(Step::Filter(on.iter().map(over_pairs).collect(), usize::MAX));
        }
        let groups = aggregation.and_then(|at| match &nodes[at].node {
            Physical::Aggregate { aggregates, .. } => Some(Groups {
                aggregates: aggregates.iter().map(|call| places.aggregate(call)).collect(),
                number: number + at,
                reservation: None,
            }),
            _ => None,
        });
        let filters = match &base.node {
            Physical::Table(scan) => places.all_over_pairs(&scan.filters),
            _ => Vec::new(),
        };
        // What the tests of a table know of queries further out is not looked at again.
        let is_fixed = reads_no_outer(&filters);
        let (source_types, source_number) = (base.types.clone(), number + nodes.len());
        Some(Lateral {
            source,
            source_types,
            source_number,
            filters,
            is_fixed,
            below,
            groups,
            above,
            row: 0,
            room: BATCH_ROWS,
            read,
        })
    }

    /// How many rows will probably be taken.
    pub fn expect(&mut self, rows: usize) {
        self.room = rows.clamp(1, BATCH_ROWS);
    }

    /// Forgets what it was told, and what it has begun; false where it has to be built again.
    pub fn reset(&mut self) -> bool {
        self.room = BATCH_ROWS;
        self.source.skip();
        self.is_fixed
    }

    /// Whether it searches a table, which may cost much.
    pub fn is_search(&self) -> bool {
        matches!(self.source, LateralSource::Search(_))
    }

    /// Makes ready for the rows of a left batch.
    ///
    /// # Errors
    /// Those of evaluating constants.
    pub fn begin(&mut self, left: &Batch, execution: &mut Execution) -> Result<()> {
        if let Some(is_tested) = self.source.prepare(execution)? {
            let mut is_tested = is_tested.into_iter();
            self.filters.retain(|_| !is_tested.next().unwrap_or(false));
        }
        self.row = 0;
        self.source.begin(left, execution);
        execution.instrument(self.source_number, |each| each.loops += left.row_count as u64);
        let steps = self.below.iter().chain(&self.above);
        let numbers = steps.map(Step::number).chain(self.groups.as_ref().map(|groups| groups.number));
        for number in numbers.filter(|number| *number != usize::MAX) {
            execution.instrument(number, |each| each.loops += left.row_count as u64);
        }
        Ok(())
    }

    /// How many rows of the left batch are through.
    pub fn through(&self) -> usize {
        self.row
    }

    /// No further rows of the left row at hand are wanted.
    pub fn skip(&mut self) {
        self.source.skip();
        self.row += 1;
    }

    /// The next pairs of a left batch, which may be none; `None` when it is through.
    ///
    /// # Errors
    /// Those of evaluating.
    pub async fn next(&mut self, left: &Batch, execution: &mut Execution) -> Result<Option<Pairs>> {
        execution.breathe().await?;
        if self.row >= left.row_count {
            return Ok(None);
        }
        let mut groups = self.groups.take();
        let pairs = match &mut groups {
            None => self.pairs(left, left.row_count, execution).await,
            Some(groups) => self.grouped(groups, left, execution).await,
        };
        self.groups = groups;
        self.room = (self.room * 2).min(BATCH_ROWS);
        let mut pairs = pairs?;
        for step in &self.above {
            step.apply(&mut pairs, self.read.len(), execution)?;
        }
        Ok(Some(pairs))
    }

    /// The source's next rows for left rows before `end`, as the steps below an aggregation leave them.
    async fn pairs(&mut self, left: &Batch, end: usize, execution: &mut Execution) -> Result<Pairs> {
        let asked = Asked { end, room: self.room, types: &self.source_types };
        let rows = self.source.next(left, &mut self.row, &asked, execution).await?;
        execution.instrument(self.source_number, |each| each.rows += rows.of_left.len() as u64);
        let mut columns = columns_of(left, &self.read, &rows.of_left);
        columns.extend(rows.columns);
        let mut pairs = Pairs { columns, of_left: rows.of_left };
        pairs.filter(&self.filters, execution)?;
        if let LateralSource::Search(search) = &self.source {
            pairs.columns.truncate(self.read.len() + search.scan().kinds.len() - search.scan().hidden);
        }
        for step in &self.below {
            step.apply(&mut pairs, self.read.len(), execution)?;
        }
        Ok(pairs)
    }

    /// A row for each of the next left rows.
    async fn grouped(
        &mut self,
        groups: &mut Groups,
        left: &Batch,
        execution: &mut Execution,
    ) -> Result<Pairs> {
        let first = self.row;
        let mut calls: Vec<Call> = groups.aggregates.iter().cloned().map(Call::new).collect();
        let mut reservation = match groups.reservation.take() {
            Some(reservation) => reservation,
            None => execution.memory().reserve(),
        };
        let (mut seen, mut has_room) = (0, true);
        while self.row < left.row_count && (seen < self.room || self.source.is_amid()) {
            // When there are rows enough, the left row at hand is the last one.
            let end = if seen < self.room { left.row_count } else { self.row + 1 };
            let pairs = self.pairs(left, end, execution).await?;
            seen += pairs.of_left.len();
            let count = (self.row + 1).min(left.row_count) - first;
            calls.iter_mut().for_each(|call| call.resize(count));
            let numbers: Vec<u32> = pairs.of_left.iter().map(|row| row - first as u32).collect();
            let batch = Batch::new(pairs.columns, numbers.len());
            for call in &mut calls {
                call.add(&batch, &numbers, has_room, execution).await?;
            }
            let held = calls.iter().map(Call::memory_bytes).sum();
            reservation.set_state(held)?;
            has_room = held <= reservation.memory().hash_bytes;
            execution.breathe().await?;
        }
        for call in &mut calls {
            call.flush(execution).await?;
        }
        let count = self.row - first;
        let of_left: Vec<u32> = (first as u32..self.row as u32).collect();
        let mut columns = columns_of(left, &self.read, &of_left);
        let context = execution.context();
        for call in &calls {
            let mut column = ColumnBuilder::new(execution.kind_of(call.call.data_type)?, count);
            (0..count).try_for_each(|group| column.push(call.result(group, &context)?))?;
            columns.push(column.finish());
        }
        reservation.set(0);
        groups.reservation = Some(reservation);
        execution.instrument(groups.number, |each| each.rows += count as u64);
        Ok(Pairs { columns, of_left })
    }
}

/// Some columns of left rows.
fn columns_of(left: &Batch, read: &[usize], of_left: &[u32]) -> Vec<Column> {
    read.iter().map(|column| left.columns[*column].gather(of_left)).collect()
}

impl Step {
    fn number(&self) -> usize {
        match self {
            Step::Filter(_, number) | Step::Project(_, number) => *number,
        }
    }

    /// `read` is how many left columns come first.
    fn apply(&self, pairs: &mut Pairs, read: usize, execution: &mut Execution) -> Result<()> {
        match self {
            Step::Filter(predicates, _) => pairs.filter(predicates, execution)?,
            Step::Project(exprs, _) => {
                let batch = Batch::new(std::mem::take(&mut pairs.columns), pairs.of_left.len());
                let context = execution.context();
                let made: Vec<Column> =
                    exprs.iter().map(|expr| expr.eval_batch(&batch, &context)).collect::<Result<_>>()?;
                pairs.columns = batch.columns;
                pairs.columns.truncate(read);
                pairs.columns.extend(made);
            }
        }
        if self.number() != usize::MAX {
            execution.instrument(self.number(), |each| each.rows += pairs.of_left.len() as u64);
        }
        Ok(())
    }
}

impl Pairs {
    fn filter(&mut self, predicates: &[Expr], execution: &Execution) -> Result<()> {
        let context = execution.context();
        for predicate in predicates {
            let count = self.of_left.len();
            if count == 0 {
                break;
            }
            let batch = Batch::new(std::mem::take(&mut self.columns), count);
            let kept = predicate.filter_batch(&batch, &context)?;
            if kept.len() < count {
                self.columns = batch.gather(&kept).columns;
                self.of_left = kept.iter().map(|row| self.of_left[*row as usize]).collect();
            } else {
                self.columns = batch.columns;
            }
        }
        Ok(())
    }
}

impl Lateral {
    /// The right side's columns of pairs.
    pub fn right(&self, pairs: &mut Pairs) -> Vec<Column> {
        pairs.columns.split_off(self.read.len())
    }

    /// All left columns of pairs.
    pub fn left(&self, left: &Batch, pairs: &Pairs) -> Vec<Column> {
        let column = |(at, column): (usize, &Column)| match self.read.binary_search(&at) {
            Ok(place) => pairs.columns[place].clone(),
            Err(_) => column.gather(&pairs.of_left),
        };
        left.columns.iter().enumerate().map(column).collect()
    }
}
