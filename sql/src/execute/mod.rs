//! Execution: operators that give batches, built from a physical plan.
//!
//! An operator's `next` waits for pages at most; it never holds one across the wait. Operators own all their
//! state, so a half-read result may rest between calls and outlive the statement that began it.

mod aggregate;
mod aggregate_call;
mod apply;
mod apply_together;
mod context;
mod distinct;
mod filter;
mod frame_boundary;
mod function_scan;
mod gather;
mod gathered_keys;
mod group_table;
mod hash_join;
mod helper;
mod join_heads;
mod join_table;
mod key_filter;
mod key_reader;
mod key_table;
mod keys;
mod lateral;
mod lateral_join;
mod lateral_source;
mod limit;
mod lock;
mod memo;
mod memory;
mod nested_loop;
mod packed_table;
mod packing;
mod partitions;
mod point;
mod project;
mod project_set;
mod recursive;
mod recursive_rows;
mod row_keys;
mod row_store;
mod row_stream;
mod row_test;
mod scan;
mod search_join;
mod set_operation;
mod shared;
mod sift;
mod sort;
mod sort_run;
mod sorter;
mod table_search;
mod team;
mod turn;
mod values;
mod virtual_scan;
mod window;
mod withheld;
mod within;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::future::yield_now;

pub use context::{Deferral, Environment, Execution, Instrument, SpaceUsed, Timestamps, WorkingTables};
use key_filter::KeyFilter;
pub use keys::key_range;
pub use memory::QueryMemory;
pub use point::{Committed, ReadRows};
pub use row_store::RowStore;
pub use turn::Turn;

use crate::error::Result;
use crate::expr::Expr;
use crate::plan::physical::{Phase, Physical, PlanNode};
use crate::plan::walk;
use crate::value::Batch;

/// A boxed future that any executor may run.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Gives batches until there are none.
pub trait Operator: Send {
    /// The next batch, never an empty one; `None` at the end.
    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>>;

    /// Says, before the first batch, that rows whose value of an output column is not among some keys are of no use. It is
    /// a hint: they may come nevertheless.
    fn restrict(&mut self, _column: usize, _keys: &Arc<KeyFilter>) {}

    /// Says, before the first batch, how many rows will probably be taken, where that is fewer than there may be: the
    /// first batches need not be larger. It is a hint: more may be taken nevertheless.
    fn expect(&mut self, _rows: usize) {}

    /// Makes it begin anew, wherever it is, for other values of outer queries and other working tables; what it was told by
    /// `restrict` and `expect` is forgotten. False where it cannot: it has to be built again then.
    fn reset(&mut self) -> bool {
        false
    }

    /// Whether it would give the same rows after each `reset`, whatever changes outside of it.
    fn is_fixed(&self) -> bool {
        false
    }
}

/// Whether none of some expressions reads a value of an outer query.
fn reads_no_outer<'e>(exprs: impl IntoIterator<Item = &'e Expr>) -> bool {
    exprs.into_iter().all(|expr| !walk::any(expr, &mut |node| matches!(node, Expr::Outer { .. })))
}

/// The operators of a part of a plan, ready to begin anew: those of before, or new ones.
fn renewed(operator: Option<Box<dyn Operator>>, plan: &PlanNode, number: usize) -> Box<dyn Operator> {
    if let Some(mut operator) = operator
        && operator.reset()
    {
        return operator;
    }
    build_from(plan, number)
}

/// Builds the operators of a plan. `number` counts nodes in the order of the plan's lines, for measuring.
#[must_use]
pub fn build(plan: &PlanNode) -> Box<dyn Operator> {
    let mut number = 0;
    build_numbered(plan, &mut number)
}

fn build_numbered(plan: &PlanNode, number: &mut usize) -> Box<dyn Operator> {
    stacker::maybe_grow(STACK_LEFT_BYTES, STACK_BYTES, || build_here(plan, number))
}

fn build_here(plan: &PlanNode, number: &mut usize) -> Box<dyn Operator> {
    let own = *number;
    *number += 1;
    let mut child = |plan: &PlanNode| build_numbered(plan, number);
    let operator: Box<dyn Operator> = match &plan.node {
        Physical::Values { rows } => Box::new(values::Values::new(rows.clone(), &plan.types)),
        Physical::Table(scan) => {
            *number += plan.searches();
            Box::new(scan::TableScanner::new((**scan).clone(), own))
        }
        Physical::Virtual { relation, projection, filters, .. } => {
            Box::new(virtual_scan::VirtualScan::new(relation, projection.clone(), filters.clone()))
        }
        Physical::Function { calls, ordinality, .. } => {
            Box::new(function_scan::FunctionScan::new(calls.clone(), *ordinality, plan.types.clone()))
        }
        Physical::Filter { input, predicates } => {
            Box::new(filter::Filter::new(child(input), predicates.clone()))
        }
        Physical::Project { input, exprs } => Box::new(project::Project::new(child(input), exprs.clone())),
        Physical::HashJoin(join) => {
            let (left, right) = (child(&join.left), child(&join.right));
            Box::new(hash_join::HashJoinOperator::new(join, own, left, right))
        }
        Physical::NestedLoop(join) => {
            let left = child(&join.left);
            let inner = *number;
            *number += count_nodes(&join.right);
            match search_join::SearchJoin::new(join, left, inner) {
                Ok(search) => Box::new(search),
                Err(left) => match lateral_join::LateralJoin::new(join, left, inner) {
                    Ok(lateral) => Box::new(lateral),
                    Err(left) => Box::new(nested_loop::NestedLoopOperator::new(join, left, inner)),
                },
            }
        }
        Physical::Apply(apply) => {
            let input = child(&apply.input);
            let inner = *number;
            *number += count_nodes(&apply.subquery);
            Box::new(apply::ApplyOperator::new(apply, input, inner))
        }
        Physical::Gather { input, workers } => gather(input, *workers, number).0,
        Physical::Aggregate { input, groups, determined, aggregates, sets, phase } => {
            let (groups, aggregates) = (groups.clone(), aggregates.clone());
            let (input, phase) = match (phase, &input.node) {
                (Phase::Final, Physical::Gather { input, workers }) => {
                    *number += 1;
                    let (gather, team) = gather(input, *workers, number);
                    (measured(gather, own + 1), aggregate::Part::Last(team))
                }
                (Phase::Partial, _) => (child(input), aggregate::Part::One),
                _ => (child(input), aggregate::Part::All),
            };
            let aggregation = aggregate::Aggregation::new(input, own, groups, aggregates).of_part(phase);
            Box::new(match sets {
                None => aggregation.without(determined),
                Some(sets) => aggregation.by_sets(sets.clone()),
            })
        }
        Physical::ProjectSet { input, calls } => {
            Box::new(project_set::ProjectSet::new(child(input), calls.clone(), plan.types.clone()))
        }
        Physical::Window { input, order, calls, sorted } => {
            Box::new(window::Window::new(child(input), order.clone(), calls.clone(), *sorted, &plan.types))
        }
        Physical::Lock { input, tables, one_by_one } => {
            Box::new(lock::Lock::new(child(input), tables.clone(), *one_by_one))
        }
        Physical::Distinct { input, keys, sorted } => {
            Box::new(distinct::Distinct::new(child(input), own, keys.clone(), *sorted))
        }
        Physical::Sort { input, keys } => Box::new(sort::Sort::new(child(input), own, keys.clone(), None)),
        Physical::TopN { input, keys, limit, offset } => {
            let bound = Some((limit.clone(), offset.clone()));
            let sort = sort::Sort::new(child(input), own, keys.clone(), bound);
            Box::new(limit::Limit::new(Box::new(sort), Some(limit.clone()), offset.clone(), Vec::new()))
        }
        Physical::Limit { input, limit, offset, ties } => {
            Box::new(limit::Limit::new(child(input), limit.clone(), offset.clone(), ties.clone()))
        }
        Physical::Recursive { table, all, seed, step } => {
            let seed = child(seed);
            let inner = *number;
            *number += count_nodes(step);
            Box::new(recursive::Recursive::new(*table, *all, seed, step, inner))
        }
        Physical::Shared { table, definition, .. } => {
            let inner = *number;
            *number += count_nodes(definition);
            Box::new(shared::Shared::new(*table, definition, inner))
        }
        Physical::WorkingTable { table, .. } => Box::new(recursive::WorkingTable::new(*table)),
        Physical::SetOperation { kind, all, left, right } => {
            let (left, right) = (child(left), child(right));
            Box::new(set_operation::SetOperator::new(*kind, *all, left, right, plan.types.clone()))
        }
    };
    measured(operator, own)
}

fn measured(operator: Box<dyn Operator>, number: usize) -> Box<dyn Operator> {
    Box::new(Measured { operator, number })
}

/// Gathers the rows of a part of a plan that several work on; gives those who do beside it. `number` is the one of the
/// part's first node, one behind the gathering node's own.
fn gather(input: &Arc<PlanNode>, workers: usize, number: &mut usize) -> (Box<dyn Operator>, Arc<team::Team>) {
    let own = *number - 1;
    let (team, rows) = team::Team::new(input.clone(), *number, workers);
    let operator = build_numbered(input, number);
    (Box::new(gather::Gather::new(team.clone(), rows, own, operator)), team)
}

/// Builds the operators of a part of a plan whose first node has a number.
fn build_from(plan: &PlanNode, number: usize) -> Box<dyn Operator> {
    let mut number = number;
    build_numbered(plan, &mut number)
}

fn count_nodes(plan: &PlanNode) -> usize {
    1 + plan.searches() + plan.inputs().into_iter().map(count_nodes).sum::<usize>()
}

/// Where less than this is left of the stack, more is taken; and how much.
const STACK_LEFT_BYTES: usize = 512 << 10;
const STACK_BYTES: usize = 8 << 20;

/// A future that is polled on more stack, where little is left: operators of deep plans poll each other.
struct OnMoreStack<'a, T>(BoxFuture<'a, T>);

impl<T> Future for OnMoreStack<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        stacker::maybe_grow(2 * STACK_LEFT_BYTES, STACK_BYTES, || self.0.as_mut().poll(context))
    }
}

/// Counts rows and time where the execution wants that, and looks for a cancel request.
struct Measured {
    operator: Box<dyn Operator>,
    number: usize,
}

impl Operator for Measured {
    fn restrict(&mut self, column: usize, keys: &Arc<KeyFilter>) {
        self.operator.restrict(column, keys);
    }

    fn expect(&mut self, rows: usize) {
        self.operator.expect(rows);
    }

    fn reset(&mut self) -> bool {
        self.operator.reset()
    }

    fn is_fixed(&self) -> bool {
        self.operator.is_fixed()
    }

    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        // What polls this stands about as deep each time.
        if stacker::remaining_stack().is_some_and(|left| left < 2 * STACK_LEFT_BYTES) {
            return Box::pin(OnMoreStack(self.next_measured(execution)));
        }
        self.next_measured(execution)
    }
}

impl Measured {
    fn next_measured<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        if execution.instruments.is_none() {
            // A canceled statement ends at the next batch.
            return match execution.check_cancel() {
                Ok(()) if !execution.turn_is_over() => self.operator.next(execution),
                Ok(()) => Box::pin(async move {
                    yield_now().await;
                    self.operator.next(execution).await
                }),
                Err(error) => Box::pin(std::future::ready(Err(error))),
            };
        }
        Box::pin(async move {
            execution.breathe().await?;
            let pages = execution.environment.store.page_accesses();
            let start = execution.environment.clock.monotonic_nanos();
            let batch = self.operator.next(execution).await?;
            let end = execution.environment.clock.monotonic_nanos();
            let (hits, reads) = execution.environment.store.page_accesses();
            execution.instrument(self.number, |instrument| {
                let taken = Duration::from_nanos(end - start);
                instrument.time += taken;
                instrument.hits += hits.saturating_sub(pages.0);
                instrument.reads += reads.saturating_sub(pages.1);
                if !std::mem::replace(&mut instrument.begun, batch.is_some()) {
                    instrument.startup += taken;
                }
                match &batch {
                    Some(batch) => instrument.rows += batch.row_count as u64,
                    None => instrument.loops += 1,
                }
            });
            Ok(batch)
        })
    }
}

/// Gathers all rows of an operator.
///
/// # Errors
/// Those of the operator, or of a temporary file.
pub async fn store(operator: &mut dyn Operator, execution: &mut Execution) -> Result<RowStore> {
    let mut rows = RowStore::new(execution);
    while let Some(batch) = operator.next(execution).await? {
        execution.breathe().await?;
        rows.push(batch).await?;
    }
    rows.finish().await?;
    Ok(rows)
}

/// Reads all batches of an operator.
///
/// # Errors
/// Those of the operator.
pub async fn drain(operator: &mut dyn Operator, execution: &mut Execution) -> Result<Vec<Batch>> {
    let mut batches = Vec::new();
    while let Some(batch) = operator.next(execution).await? {
        batches.push(batch);
    }
    Ok(batches)
}
