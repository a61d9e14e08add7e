//! The logical plan: what a query computes, with every name resolved.
//!
//! Columns are named by [`ColumnId`]s, unique within a statement: an expression of a logical plan refers to them
//! through `Expr::Column { index }`, wherever in the plan it stands, so that rules may move expressions and
//! reorder joins freely. The physical plan replaces ids by positions.

use std::sync::Arc;

use super::window::{WindowCall, WindowOrder};
use crate::catalog::{ColumnNumber, TableEntry};
use crate::expr::Expr;
use crate::functions::{Aggregate, Function};
use crate::relations::{ReportFunction, VirtualRelation};
use crate::types::DataType;

/// A column of a plan, unique within the statement.
pub type ColumnId = usize;

/// A column that a node computes.
#[derive(Clone)]
pub struct Computed {
    pub id: ColumnId,
    pub expr: Expr,
}

/// One sort key.
#[derive(Clone)]
pub struct SortKey {
    pub expr: Expr,
    pub descending: bool,
    pub nulls_first: bool,
}

/// How two inputs are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
    /// Left rows with a match.
    Semi,
    /// Left rows without one.
    Anti,
}

/// What a subquery gives for each row of the outer query.
#[derive(Clone)]
pub enum SubqueryKind {
    /// Its one value, or NULL where it has no row.
    Scalar,
    /// Whether it has a row.
    Exists,
    /// `argument op ANY (subquery)`, or ALL: the comparison reads the subquery's column as `element`.
    Quantified { comparison: Expr, element: ColumnId, all: bool },
    /// All its rows as an array.
    Array { element: DataType },
}

/// UNION and its siblings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetKind {
    Union,
    Intersect,
    Except,
}

/// One aggregate call.
#[derive(Clone)]
pub struct AggregateCall {
    pub aggregate: Arc<Aggregate>,
    pub arguments: Vec<Expr>,
    pub data_type: DataType,
    pub distinct: bool,
    pub filter: Option<Expr>,
    pub order_by: Vec<SortKey>,
}

/// Several ways to group the same rows at once.
#[derive(Clone)]
pub struct GroupingSets {
    /// The groups, by position, of each way; the others are NULL in its rows.
    pub sets: Vec<Vec<usize>>,
    /// `GROUPING(…)` calls: a bit for each group named, set where the row is not grouped by it, the last one lowest.
    pub groupings: Vec<(ColumnId, Vec<usize>)>,
}

/// An outer query's column that a subquery reads: before each run its value goes to the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Correlation {
    pub slot: usize,
    pub column: ColumnId,
}

/// A row lock clause: FOR UPDATE and its siblings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowLocking {
    pub mode: helios_mvcc::LockMode,
    pub nowait: bool,
    pub skip_locked: bool,
}

/// A table whose rows are locked, and the column that has their keys.
#[derive(Clone)]
pub struct LockedRows {
    pub table: Arc<TableEntry>,
    pub key: ColumnId,
    pub locking: RowLocking,
}

/// A node of the plan.
#[derive(Clone)]
pub enum Logical {
    /// Constant rows; one row of no columns is `SELECT` without FROM.
    Values {
        columns: Vec<(ColumnId, DataType)>,
        rows: Vec<Vec<Expr>>,
    },
    /// A stored table; all filters must hold.
    Table {
        table: Arc<TableEntry>,
        alias: String,
        columns: Vec<(ColumnId, ColumnNumber)>,
        /// So many of the last columns are there for the filters alone.
        hidden: usize,
        /// The row's key, where a statement changes or locks the rows it finds.
        key: Option<ColumnId>,
        filters: Vec<Expr>,
    },
    /// A relation computed from the catalog or the session.
    Virtual {
        relation: &'static VirtualRelation,
        alias: String,
        /// Ids and positions.
        columns: Vec<(ColumnId, usize)>,
        filters: Vec<Expr>,
    },
    /// Functions in FROM: their rows.
    FunctionScan {
        /// Several run side by side: ROWS FROM.
        calls: Vec<TableFunction>,
        alias: String,
        columns: Vec<(ColumnId, DataType)>,
        ordinality: Option<ColumnId>,
    },
    Filter {
        input: Box<Logical>,
        predicates: Vec<Expr>,
    },
    Project {
        input: Box<Logical>,
        outputs: Vec<Computed>,
    },
    Join {
        kind: JoinKind,
        left: Box<Logical>,
        right: Box<Logical>,
        on: Vec<Expr>,
        /// The right side reads columns of the left one.
        lateral: Vec<Correlation>,
    },
    /// Runs a subquery for each row (once, if nothing correlates it) and adds its result as a column.
    Apply {
        input: Box<Logical>,
        subquery: Box<Logical>,
        kind: SubqueryKind,
        correlations: Vec<Correlation>,
        output: ColumnId,
        data_type: DataType,
    },
    Aggregate {
        input: Box<Logical>,
        groups: Vec<Computed>,
        aggregates: Vec<(ColumnId, AggregateCall)>,
        /// GROUPING SETS, ROLLUP and CUBE; `None` groups by all groups together.
        sets: Option<GroupingSets>,
    },
    /// Adds the rows of functions to each row: as many as the longest of them gives, the others NULL behind their end.
    ProjectSet {
        input: Box<Logical>,
        calls: Vec<(ColumnId, Expr)>,
    },
    /// Adds the results of calls over windows as columns.
    Window {
        input: Box<Logical>,
        order: WindowOrder,
        calls: Vec<(ColumnId, WindowCall)>,
    },
    /// Keeps the first row of those that are equal on the keys (all columns, where there are none).
    Distinct {
        input: Box<Logical>,
        on: Option<Vec<Expr>>,
    },
    /// Locks the rows of tables that the rows it passes on were made of.
    Lock {
        input: Box<Logical>,
        tables: Vec<LockedRows>,
    },
    Sort {
        input: Box<Logical>,
        keys: Vec<SortKey>,
    },
    Limit {
        input: Box<Logical>,
        limit: Option<Expr>,
        offset: Option<Expr>,
        /// WITH TIES: rows that equal the last one by these go with it.
        ties: Vec<Expr>,
    },
    /// A recursive query: the seed's rows, then what the step makes of the rows before, until that is nothing.
    Recursive {
        /// The number of its working table.
        table: usize,
        all: bool,
        seed: Box<Logical>,
        step: Box<Logical>,
        columns: Vec<(ColumnId, DataType)>,
    },
    /// A common table computed once, by whoever reads it first; the definition is the same for all who do.
    Shared {
        table: usize,
        alias: String,
        definition: Arc<Logical>,
        columns: Vec<(ColumnId, DataType)>,
    },
    /// In the step of a recursive query the rows before; elsewhere what a change in WITH returned.
    WorkingTable {
        table: usize,
        alias: String,
        columns: Vec<(ColumnId, DataType)>,
    },
    SetOperation {
        kind: SetKind,
        all: bool,
        left: Box<Logical>,
        right: Box<Logical>,
        columns: Vec<(ColumnId, DataType)>,
    },
}

/// A function that gives rows.
#[derive(Clone)]
pub enum TableFunction {
    /// A function of rows, or of one value, which is one row.
    Call {
        call: Expr,
        width: usize,
        /// Its columns are the fields of a record.
        is_record: bool,
    },
    /// A function of the relations module: rows computed from the session and the catalog.
    Relation { relation: &'static VirtualRelation },
    /// One whose rows take reading and waiting, and which of its columns are read: what others hold does not matter.
    Report { function: &'static ReportFunction, arguments: Vec<Expr>, needed: NeededColumns },
}

/// Some of a report's columns, of which there are no more than 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeededColumns(u64);

impl NeededColumns {
    pub const ALL: NeededColumns = NeededColumns(u64::MAX);

    /// Those for which it is true, in their order.
    pub fn of(needed: impl Iterator<Item = bool>) -> NeededColumns {
        NeededColumns(needed.enumerate().fold(0, |all, (at, is_needed)| all | u64::from(is_needed) << at))
    }

    /// Whether one is among them.
    #[must_use]
    pub fn has(self, column: usize) -> bool {
        self.0 >> column & 1 == 1
    }
}

impl TableFunction {
    /// Whether it has to be called as often as it is asked for.
    #[must_use]
    pub fn is_volatile(&self) -> bool {
        matches!(self, TableFunction::Report { function, .. } if function.is_volatile())
    }

    /// What is evaluated for it.
    #[must_use]
    pub fn expressions(&self) -> &[Expr] {
        match self {
            TableFunction::Call { call, .. } => std::slice::from_ref(call),
            TableFunction::Relation { .. } => &[],
            TableFunction::Report { arguments, .. } => arguments,
        }
    }

    /// The same, to be changed.
    pub fn expressions_mut(&mut self) -> &mut [Expr] {
        match self {
            TableFunction::Call { call, .. } => std::slice::from_mut(call),
            TableFunction::Relation { .. } => &mut [],
            TableFunction::Report { arguments, .. } => arguments,
        }
    }
}

impl Logical {
    /// One row without columns.
    #[must_use]
    pub fn one_row() -> Logical {
        Logical::Values { columns: Vec::new(), rows: vec![Vec::new()] }
    }

    /// The columns of its rows, in order.
    #[must_use]
    pub fn outputs(&self) -> Vec<ColumnId> {
        match self {
            Logical::Values { columns, .. }
            | Logical::SetOperation { columns, .. }
            | Logical::Recursive { columns, .. }
            | Logical::Shared { columns, .. }
            | Logical::WorkingTable { columns, .. } => columns.iter().map(|column| column.0).collect(),
            Logical::Table { columns, hidden, key, .. } => {
                let given = &columns[..columns.len() - hidden];
                given.iter().map(|column| column.0).chain(*key).collect()
            }
            Logical::Virtual { columns, .. } => columns.iter().map(|column| column.0).collect(),
            Logical::FunctionScan { columns, ordinality, .. } => {
                columns.iter().map(|column| column.0).chain(*ordinality).collect()
            }
            Logical::Filter { input, .. }
            | Logical::Distinct { input, .. }
            | Logical::Sort { input, .. }
            | Logical::Lock { input, .. }
            | Logical::Limit { input, .. } => input.outputs(),
            Logical::Project { outputs, .. } => outputs.iter().map(|output| output.id).collect(),
            Logical::Join { kind, left, right, .. } => {
                let mut outputs = left.outputs();
                if !matches!(kind, JoinKind::Semi | JoinKind::Anti) {
                    outputs.extend(right.outputs());
                }
                outputs
            }
            Logical::Apply { input, output, .. } => {
                let mut outputs = input.outputs();
                outputs.push(*output);
                outputs
            }
            Logical::ProjectSet { input, calls } => {
                let mut outputs = input.outputs();
                outputs.extend(calls.iter().map(|each| each.0));
                outputs
            }
            Logical::Window { input, calls, .. } => {
                let mut outputs = input.outputs();
                outputs.extend(calls.iter().map(|each| each.0));
                outputs
            }
            Logical::Aggregate { groups, aggregates, sets, .. } => {
                let groupings = sets.iter().flat_map(|sets| &sets.groupings).map(|each| each.0);
                let computed =
                    groups.iter().map(|group| group.id).chain(aggregates.iter().map(|each| each.0));
                computed.chain(groupings).collect()
            }
        }
    }
}

/// Whether a function's results may be computed once and kept.
#[must_use]
pub fn is_volatile(function: &Function) -> bool {
    function.volatility == crate::functions::Volatility::Volatile
}
