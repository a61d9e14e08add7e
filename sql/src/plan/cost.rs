//! What a plan costs, in PostgreSQL's units: one page read in sequence is 1, unless the settings say otherwise.

use super::estimate;
use super::logical::{JoinKind, Logical};
use super::operators::{Comparison, as_comparison};
use super::physical::{Access, KeySet, Phase, Physical, PlanNode};
use crate::catalog::TableEntry;
use crate::expr::Expr;

/// The settings that the planner weighs plans by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    pub seq_page: f64,
    pub random_page: f64,
    pub cpu_tuple: f64,
    pub cpu_index_tuple: f64,
    pub cpu_operator: f64,
    pub enable_bitmapscan: bool,
    pub enable_hashjoin: bool,
    pub enable_indexscan: bool,
    pub enable_nestloop: bool,
    pub enable_seqscan: bool,
    /// `join_collapse_limit` above 1: joins need not be made in the order that they were written in.
    pub reorder_joins: bool,
    pub parallel: ParallelCosts,
}

/// What settings say of plans that several work on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ParallelCosts {
    /// `max_parallel_workers_per_gather`.
    pub workers_max: u32,
    pub setup: f64,
    pub tuple: f64,
    /// `min_parallel_table_scan_size`, pages.
    pub table_pages_min: f64,
    /// `parallel_leader_participation`.
    pub leader_takes_part: bool,
    /// `force_parallel_mode`: wherever it is possible.
    pub forced: bool,
}

impl Default for ParallelCosts {
    fn default() -> ParallelCosts {
        ParallelCosts {
            workers_max: 2,
            setup: 1000.0,
            tuple: 0.1,
            table_pages_min: 1024.0,
            leader_takes_part: true,
            forced: false,
        }
    }
}

impl ParallelCosts {
    /// Among how many the rows are divided that so many helpers share with the session, which has to gather them too
    /// (PostgreSQL's rule).
    #[must_use]
    pub fn divisor(&self, workers: usize) -> f64 {
        let workers = workers as f64;
        let session = if self.leader_takes_part { (1.0 - 0.3 * workers).max(0.0) } else { 0.0 };
        workers + session
    }
}

impl Default for Costs {
    fn default() -> Costs {
        Costs {
            seq_page: 1.0,
            random_page: 4.0,
            cpu_tuple: 0.01,
            cpu_index_tuple: 0.005,
            cpu_operator: 0.0025,
            enable_bitmapscan: true,
            enable_hashjoin: true,
            enable_indexscan: true,
            enable_nestloop: true,
            enable_seqscan: true,
            reorder_joins: true,
            parallel: ParallelCosts::default(),
        }
    }
}

/// How many conditions are tested on a row by some filters: each arm of a disjunction is one.
#[must_use]
pub fn tests(filters: &[Expr]) -> usize {
    let of = |filter: &Expr| match filter {
        Expr::Or(terms) | Expr::And(terms) => tests(terms).max(1),
        _ => 1,
    };
    filters.iter().map(of).sum()
}

/// What a way that the settings forbid costs more.
pub const DISABLED: f64 = 1.0e10;
/// The rows of a table's page, where nothing is known.
const ROWS_PER_PAGE: f64 = 50.0;
/// The entries of an index's page, about.
const ENTRIES_PER_PAGE: f64 = 200.0;
/// What going down a tree costs, in operators.
const DESCENT_OPERATORS: f64 = 100.0;
/// What finding a row costs in the leaf where the one before was, or in the next, in operators.
const NEAR_SEARCH_OPERATORS: f64 = 40.0;

/// What of a random read a page costs that a search looks at: it is mostly in memory, and no device has to seek. By
/// default it is as much as a page read in sequence.
const SEARCH_READ_PART: f64 = 0.25;

fn unless(enabled: bool) -> f64 {
    if enabled { 0.0 } else { DISABLED }
}

/// The pages of a table.
#[must_use]
pub fn pages(entry: &TableEntry) -> f64 {
    let known = entry.statistics.as_ref().map(|statistics| statistics.pages);
    known.unwrap_or_else(|| estimate::table_rows(entry) / ROWS_PER_PAGE).max(1.0)
}

impl Costs {
    /// Reading a whole table and testing `filters` conditions on each row.
    #[must_use]
    pub fn full_scan(&self, entry: &TableEntry, filters: usize) -> f64 {
        self.shared_scan(entry, filters, 1.0)
    }

    /// What that costs one of several who share the rows.
    #[must_use]
    pub fn shared_scan(&self, entry: &TableEntry, filters: usize, divisor: f64) -> f64 {
        let row = self.cpu_tuple + self.cpu_operator * filters as f64;
        let rows = estimate::table_rows(entry) / divisor;
        pages(entry) * self.seq_page + rows * row + unless(self.enable_seqscan)
    }

    /// One of `loops` searches that each find `rows` rows: by the clustering key, or by way of an index.
    #[must_use]
    pub fn search(&self, entry: &TableEntry, by_index: bool, rows: f64, loops: f64, filters: usize) -> f64 {
        self.searches(entry, by_index, false, rows * loops, loops, filters) / loops.max(1.0)
    }

    /// So many searches that find `found` rows together; where they are `key_only`, nothing is read but the key's tree.
    #[must_use]
    pub fn searches(
        &self,
        entry: &TableEntry,
        by_index: bool,
        key_only: bool,
        found: f64,
        loops: f64,
        filters: usize,
    ) -> f64 {
        let (table_pages, table_rows) = (pages(entry), estimate::table_rows(entry));
        // Rows in key order lie side by side; those that an index names lie anywhere.
        let read = if by_index {
            let index_pages = (table_rows / ENTRIES_PER_PAGE).ceil();
            let named = if key_only { 0.0 } else { fetched(table_pages, found) };
            named + fetched(index_pages, loops.max(found / ENTRIES_PER_PAGE))
        } else {
            fetched(table_pages, loops.max(found * table_pages / table_rows))
        };
        let entries = if by_index { found * self.cpu_index_tuple } else { 0.0 };
        let row = self.cpu_tuple + self.cpu_operator * filters as f64;
        self.random_page * SEARCH_READ_PART * read
            + loops * self.cpu_operator * DESCENT_OPERATORS
            + entries
            + found * row
            + unless(self.enable_indexscan)
    }

    /// So many searches that find the keys of so many rows. The table's own key is not searched: the rows are where it says.
    #[must_use]
    pub fn key_search(&self, entry: &TableEntry, by_index: bool, found: f64, loops: f64) -> FoundKeys {
        if !by_index {
            return FoundKeys {
                cost: loops * self.cpu_operator * DESCENT_OPERATORS,
                rows: FoundRows { single: 0.0, ranged: found },
            };
        }
        let index_pages = (estimate::table_rows(entry) / ENTRIES_PER_PAGE).ceil();
        let read = fetched(index_pages, loops.max(found / ENTRIES_PER_PAGE));
        let cost = self.random_page * SEARCH_READ_PART * read
            + loops * self.cpu_operator * DESCENT_OPERATORS
            + found * (self.cpu_index_tuple + self.cpu_operator);
        FoundKeys { cost, rows: FoundRows { single: found, ranged: 0.0 } }
    }

    /// Reading rows whose keys are known, in their order, and testing `filters` conditions on each.
    #[must_use]
    pub fn rows_by_key(&self, entry: &TableEntry, rows: FoundRows, filters: usize) -> f64 {
        let (table_pages, table_rows) = (pages(entry), estimate::table_rows(entry));
        let single = if rows.single > 0.0 { fetched(table_pages, rows.single) } else { 0.0 };
        let read = single + rows.ranged * table_pages / table_rows;
        let row = self.cpu_tuple + self.cpu_operator * filters as f64;
        self.random_page * SEARCH_READ_PART * read.min(table_pages)
            + rows.single * self.cpu_operator * NEAR_SEARCH_OPERATORS
            + rows.all() * row
            + unless(self.enable_bitmapscan)
    }

    /// A hash join without what its sides cost; the right one becomes the table.
    #[must_use]
    pub fn hash_join(&self, left: f64, right: f64, rows: f64) -> f64 {
        left * self.cpu_operator * 1.5
            + right * (self.cpu_operator * 1.5 + self.cpu_tuple)
            + rows * self.cpu_tuple
            + unless(self.enable_hashjoin)
    }

    /// A hash join whose smaller side becomes the table, where that is allowed.
    #[must_use]
    pub fn best_hash_join(&self, kind: JoinKind, left: f64, right: f64, rows: f64) -> f64 {
        let as_written = self.hash_join(left, right, rows);
        match kind {
            JoinKind::Semi | JoinKind::Anti => as_written,
            _ => as_written.min(self.hash_join(right, left, rows)),
        }
    }

    /// A nested loop over rows of both sides that are there already.
    #[must_use]
    pub fn nested_loop(&self, left: f64, right: f64, rows: f64) -> f64 {
        left * right * self.cpu_operator + left * self.cpu_tuple + rows * self.cpu_tuple
    }

    /// A nested loop that searches the right side for each left row, `each` of which costs so much.
    #[must_use]
    pub fn search_loop(&self, left: f64, each: f64, rows: f64) -> f64 {
        left * each + rows * self.cpu_tuple + unless(self.enable_nestloop)
    }
}

/// Rows of a table of which the keys were found: those at single keys, and those in ranges of the table's own key.
#[derive(Clone, Copy, Debug, Default)]
pub struct FoundRows {
    pub single: f64,
    pub ranged: f64,
}

impl FoundRows {
    /// How many there are.
    #[must_use]
    pub fn all(self) -> f64 {
        self.single + self.ranged
    }

    /// Those that are in either, of a table of so many.
    #[must_use]
    pub fn or(self, other: FoundRows, table_rows: f64) -> FoundRows {
        // What is in a range is not looked up by itself.
        let either = |first: f64, second: f64| first + second - first * second / table_rows;
        FoundRows { single: either(self.single, other.single), ranged: either(self.ranged, other.ranged) }
    }

    /// Those that are in both, of a table of so many.
    #[must_use]
    pub fn and(self, other: FoundRows, table_rows: f64) -> FoundRows {
        let ranged = self.ranged * other.ranged / table_rows;
        FoundRows { single: self.all() * other.all() / table_rows - ranged, ranged }
    }
}

/// A set of keys: what finding it costs, and the rows that it names.
#[derive(Clone, Copy, Debug, Default)]
pub struct FoundKeys {
    pub cost: f64,
    pub rows: FoundRows,
}

/// What it costs to find the keys of a set.
#[must_use]
pub fn of_keys(set: &KeySet, entry: &TableEntry, costs: &Costs) -> FoundKeys {
    let table_rows = estimate::table_rows(entry);
    let mut parts = set.parts().iter().map(|part| of_keys(part, entry, costs));
    let joined = |first: FoundKeys, second: FoundKeys, rows: FoundRows| FoundKeys {
        cost: first.cost + second.cost,
        rows,
    };
    match set {
        KeySet::Search(search) => {
            let by_index = search.access.index_tree.is_some();
            costs.key_search(entry, by_index, search.rows, search.access.ranges())
        }
        KeySet::Any(_) => {
            let none = FoundKeys::default();
            parts.fold(none, |all, part| joined(all, part, all.rows.or(part.rows, table_rows)))
        }
        KeySet::All(_) => {
            let first = parts.next().unwrap_or_default();
            parts.fold(first, |all, part| joined(all, part, all.rows.and(part.rows, table_rows)))
        }
    }
}

/// The different pages among those of so many random accesses (Mackert and Lohman, "Index scans using a finite LRU
/// buffer", 1989, for a buffer that holds them all).
fn fetched(pages: f64, accesses: f64) -> f64 {
    (2.0 * pages * accesses / (2.0 * pages + accesses)).min(pages).ceil().max(1.0)
}

/// What a plan costs, roughly, before its algorithms are chosen.
#[must_use]
pub fn of_logical(plan: &Logical, costs: &Costs) -> f64 {
    match plan {
        Logical::Table { .. } => super::access::cost(plan, costs),
        Logical::Join { kind, left, right, on, lateral } => {
            let (first, second) = (estimate::rows(left), estimate::rows(right));
            let rows = estimate::rows(plan);
            let below = of_logical(left, costs);
            if !lateral.is_empty() {
                return below + costs.search_loop(first, of_logical(right, costs), rows);
            }
            let equality = on.iter().any(|term| matches!(as_comparison(term), Some((Comparison::Equal, ..))));
            let own = if equality {
                costs.best_hash_join(*kind, first, second, rows)
            } else {
                costs.nested_loop(first, second, rows)
            };
            below + of_logical(right, costs) + own
        }
        Logical::Apply { input, subquery, correlations, .. } => {
            let loops = if correlations.is_empty() { 1.0 } else { estimate::rows(input) };
            of_logical(input, costs) + loops * of_logical(subquery, costs)
        }
        other => {
            let mut total = estimate::rows(other) * costs.cpu_tuple;
            super::simplify::each_input(other, &mut |input| total += of_logical(input, costs));
            total
        }
    }
}

/// What a node of a finished plan costs: before its first row, and in all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    pub startup: f64,
    pub total: f64,
}

impl Costs {
    /// Sorting rows that cost so much.
    #[must_use]
    pub fn sorted(&self, input: Cost, rows: f64) -> Cost {
        let startup = input.total + rows * rows.max(2.0).log2() * 2.0 * self.cpu_operator;
        Cost { startup, total: startup + rows * self.cpu_operator }
    }
}

/// What a finished plan costs, by the same figures that it was chosen by.
#[must_use]
pub fn of_physical(plan: &PlanNode, costs: &Costs) -> Cost {
    let below = |input: &PlanNode| of_physical(input, costs);
    let all = |startup: f64, own: f64| Cost { startup, total: startup + own };
    match &plan.node {
        Physical::Table(scan) => match &scan.access {
            Access::Full { .. } => {
                let divisor = if scan.workers > 0 { costs.parallel.divisor(scan.workers) } else { 1.0 };
                all(0.0, costs.shared_scan(&scan.table, tests(&scan.filters), divisor))
            }
            Access::Keys(access) => {
                let by_index = access.index_tree.is_some();
                let (ranges, filters) = (access.ranges(), tests(&scan.filters));
                let total = costs.searches(&scan.table, by_index, scan.key_only, plan.rows, ranges, filters);
                let startup = costs.cpu_operator * DESCENT_OPERATORS;
                Cost { startup: startup.min(total), total }
            }
            Access::Combined(combination) => {
                let found = of_keys(&combination.set, &scan.table, costs);
                let read = costs.rows_by_key(&scan.table, found.rows, tests(&scan.filters));
                all(found.cost, read)
            }
        },
        Physical::Project { input, .. } => below(input),
        Physical::Filter { input, predicates } => {
            let Cost { startup, total } = below(input);
            Cost { startup, total: total + input.rows * predicates.len() as f64 * costs.cpu_operator }
        }
        Physical::HashJoin(join) => {
            let (left, right) = (below(&join.left), below(&join.right));
            let own = costs.hash_join(join.left.rows, join.right.rows, plan.rows);
            Cost { startup: left.startup + right.total, total: left.total + right.total + own }
        }
        Physical::NestedLoop(join) => {
            let (left, right) = (below(&join.left), below(&join.right));
            let total = if join.lateral.is_empty() {
                left.total + right.total + costs.nested_loop(join.left.rows, join.right.rows, plan.rows)
            } else {
                left.total + costs.search_loop(join.left.rows, right.total, plan.rows)
            };
            Cost { startup: left.startup + right.startup, total }
        }
        Physical::Apply(apply) => {
            let (input, subquery) = (below(&apply.input), below(&apply.subquery));
            if apply.correlations.is_empty() {
                return Cost { startup: input.startup + subquery.total, total: input.total + subquery.total };
            }
            Cost { startup: input.startup, total: input.total + apply.input.rows * subquery.total }
        }
        Physical::Aggregate { input, groups, aggregates, .. } => {
            let operations = (groups.len() + aggregates.len()) as f64;
            let startup = below(input).total + input.rows * operations * costs.cpu_operator;
            all(startup, plan.rows * costs.cpu_tuple)
        }
        Physical::Gather { input, .. } => {
            let Cost { startup, total } = below(input);
            let setup = costs.parallel.setup;
            // Groups are handed in as they are; putting them together is the aggregation's part.
            let is_handed_in = matches!(input.node, Physical::Aggregate { phase: Phase::Partial, .. });
            let tuple = if is_handed_in { 0.0 } else { costs.parallel.tuple };
            Cost { startup: startup + setup, total: total + setup + plan.rows * tuple }
        }
        Physical::Distinct { input, keys, sorted: false } => {
            let startup = below(input).total + input.rows * keys.len() as f64 * costs.cpu_operator;
            all(startup, plan.rows * costs.cpu_tuple)
        }
        Physical::Sort { input, .. } => costs.sorted(below(input), input.rows),
        Physical::TopN { input, .. } => {
            let sorted = costs.sorted(below(input), input.rows);
            Cost { startup: sorted.startup, total: sorted.startup + plan.rows * costs.cpu_operator }
        }
        Physical::Limit { input, .. } => {
            let Cost { startup, total } = below(input);
            let part = (plan.rows / input.rows.max(1.0)).min(1.0);
            Cost { startup, total: startup + (total - startup) * part }
        }
        _ => {
            let inputs = plan.inputs();
            let startup = inputs.first().map_or(0.0, |input| below(input).startup);
            let total: f64 = inputs.into_iter().map(|input| below(input).total).sum();
            Cost { startup, total: total + plan.rows * costs.cpu_tuple }
        }
    }
}
