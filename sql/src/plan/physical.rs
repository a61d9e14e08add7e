//! The physical plan: operators with their algorithms chosen; columns are positions in the input's rows.
//!
//! A plan is immutable and shared: executions build their operators from it.

use std::sync::Arc;

use helios_mvcc::TreeId;

use super::logical::{AggregateCall, GroupingSets, JoinKind, RowLocking, SetKind, SortKey, TableFunction};
use super::window::{WindowCall, WindowOrder};
use crate::catalog::TableEntry;
use crate::expr::Expr;
use crate::relations::VirtualRelation;
use crate::types::DataType;
use crate::value::PhysicalKind;
use crate::value::key::KeyColumn;
use crate::value::row::RowLayout;

/// A node with what EXPLAIN shows of it.
pub struct PlanNode {
    pub node: Physical,
    /// The rows expected.
    pub rows: f64,
    /// What the columns are called, for EXPLAIN.
    pub names: Vec<String>,
    /// The columns' types.
    pub types: Vec<DataType>,
}

impl Clone for PlanNode {
    // Plans may be deep.
    fn clone(&self) -> PlanNode {
        stacker::maybe_grow(128 << 10, 4 << 20, || PlanNode {
            node: self.node.clone(),
            rows: self.rows,
            names: self.names.clone(),
            types: self.types.clone(),
        })
    }
}

/// How a table's rows are found.
#[derive(Clone)]
pub enum Access {
    /// All of them.
    Full { reverse: bool },
    /// Those whose key begins with values equal to expressions, and then lies between bounds.
    Keys(Box<KeyAccess>),
    /// Those that several searches name together.
    Combined(Box<Combination>),
}

impl Access {
    /// Whether all values that it searches for pass a test.
    pub fn all_values(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        match self {
            Access::Full { .. } => true,
            Access::Keys(access) => access.values().all(test),
            Access::Combined(combination) => combination.set.all_values(test),
        }
    }
}

/// Rows of a table that several searches name together.
#[derive(Clone)]
pub struct Combination {
    pub set: KeySet,
    /// The scan's filters, by position, of which the searches say all.
    pub said: Vec<usize>,
}

/// Keys of rows, found by searches.
#[derive(Clone)]
pub enum KeySet {
    Search(Box<KeySearch>),
    /// Those that any of several sets has.
    Any(Vec<KeySet>),
    /// Those that all of several sets have.
    All(Vec<KeySet>),
}

/// A search for keys of rows.
#[derive(Clone)]
pub struct KeySearch {
    pub access: KeyAccess,
    /// What the rows that it finds satisfy, over positions of the row: the conditions that it goes by, and what all rows of
    /// a partial index satisfy.
    pub conditions: Vec<Expr>,
    /// The keys expected.
    pub rows: f64,
}

impl KeySet {
    /// The sets that it is made of.
    #[must_use]
    pub fn parts(&self) -> &[KeySet] {
        match self {
            KeySet::Search(_) => &[],
            KeySet::Any(parts) | KeySet::All(parts) => parts,
        }
    }

    /// How many sets there are, itself and those below it, each of which is measured.
    #[must_use]
    pub fn count(&self) -> usize {
        1 + self.parts().iter().map(KeySet::count).sum::<usize>()
    }

    /// Whether a test holds for all values that are searched for.
    pub fn all_values(&self, test: &dyn Fn(&Expr) -> bool) -> bool {
        match self {
            KeySet::Search(search) => search.access.values().all(test),
            KeySet::Any(parts) | KeySet::All(parts) => parts.iter().all(|part| part.all_values(test)),
        }
    }
}

/// Values of which a column has any.
#[derive(Clone)]
pub enum Choices {
    /// Each by itself.
    Values(Vec<Expr>),
    /// The elements of an array.
    Elements(Expr),
}

/// A search by the clustering key or by an index.
#[derive(Clone)]
pub struct KeyAccess {
    /// The name, for EXPLAIN.
    pub index_name: String,
    /// `None`: the table's own tree.
    pub index_tree: Option<TreeId>,
    /// The one column of the key is the row's place in the table.
    pub by_place: bool,
    /// The columns of the searched key.
    pub key: Vec<KeyColumn>,
    /// The columns' names, for EXPLAIN.
    pub key_names: Vec<String>,
    /// Values for the first columns; they read no row.
    pub equal: Vec<Expr>,
    /// The positions of those columns that are to be NULL, and not equal to their value.
    pub nulls: Vec<usize>,
    /// Values of the next column: a range of keys for each. There are no bounds then.
    pub choices: Option<Choices>,
    /// Bounds of the next column: value, and whether it is included.
    pub lower: Option<(Expr, bool)>,
    pub upper: Option<(Expr, bool)>,
    /// The key is unique and all of it is given: at most one row.
    pub single: bool,
    pub reverse: bool,
}

impl KeyAccess {
    /// The values that are searched for, and the bounds.
    pub fn values(&self) -> impl Iterator<Item = &Expr> {
        let chosen = match &self.choices {
            Some(Choices::Values(values)) => values.as_slice(),
            Some(Choices::Elements(array)) => std::slice::from_ref(array),
            None => &[],
        };
        let bounds = [&self.lower, &self.upper].into_iter().flatten().map(|(bound, _)| bound);
        self.equal.iter().chain(chosen).chain(bounds)
    }

    /// How many ranges of keys it reads, as far as that is known.
    #[must_use]
    pub fn ranges(&self) -> f64 {
        match &self.choices {
            Some(Choices::Values(values)) => values.len() as f64,
            _ => 1.0,
        }
    }
}

/// A scan of a stored table.
#[derive(Clone)]
pub struct TableScan {
    pub table: Arc<TableEntry>,
    pub alias: String,
    pub layout: Arc<RowLayout>,
    /// Which columns of the row are read, by position.
    pub projection: Vec<usize>,
    pub kinds: Vec<PhysicalKind>,
    /// So many of the last of them are there for the filters alone: they are not given.
    pub hidden: usize,
    /// Whether the row's key is given too, as the last column.
    pub with_key: bool,
    pub filters: Vec<Expr>,
    pub access: Access,
    /// The columns that are read are all in the searched key, or in the clustering key that an index names.
    pub key_only: bool,
    /// Something above relies on the order of its rows.
    pub ordered: bool,
    /// It is one of several that share the table's rows; how many helpers there may be then.
    pub workers: usize,
}

impl TableScan {
    /// Whether all columns that are read are of the table's own key.
    #[must_use]
    pub fn is_own_key_only(&self) -> bool {
        let table = &self.table.table;
        let is_own = |position: &usize| table.primary_key.contains(&table.columns[*position].number);
        !self.with_key && self.projection.iter().all(is_own)
    }
}

/// A table whose rows are locked, found by the key in a column.
#[derive(Clone)]
pub struct LockedTable {
    pub table: Arc<TableEntry>,
    pub key: usize,
    pub locking: RowLocking,
}

/// A hash join.
#[derive(Clone)]
pub struct HashJoin {
    pub kind: JoinKind,
    /// The probing side.
    pub left: Box<PlanNode>,
    /// The side that the table is built from.
    pub right: Box<PlanNode>,
    pub left_keys: Vec<Expr>,
    pub right_keys: Vec<Expr>,
    /// What else must hold, over left and right columns.
    pub residual: Vec<Expr>,
    /// Of a semi or anti join: the rows given are those of the right side, by whether the left one has a partner.
    pub gives_right: bool,
}

/// A nested loop join; the right side may read the left row through slots.
#[derive(Clone)]
pub struct NestedLoop {
    pub kind: JoinKind,
    pub left: Box<PlanNode>,
    pub right: Box<PlanNode>,
    pub on: Vec<Expr>,
    /// Slots, and the left columns that fill them.
    pub lateral: Vec<(usize, usize)>,
}

/// The sides of an equality with a subquery's rows.
#[derive(Clone)]
pub struct HashedSides {
    /// Over the input's columns.
    pub value: Expr,
    /// Over the subquery's.
    pub element: Expr,
}

/// What a subquery's rows become.
#[derive(Clone)]
pub enum ApplyKind {
    Scalar,
    Exists,
    /// The comparison reads the input's columns, and the subquery's behind them.
    Quantified {
        comparison: Expr,
        all: bool,
        /// It asks whether a value is among the subquery's, which are entered in a hash table.
        hashed: Option<HashedSides>,
    },
    Array {
        element: DataType,
    },
}

/// A subquery run for each row, or once.
#[derive(Clone)]
pub struct Apply {
    pub input: Box<PlanNode>,
    pub subquery: Box<PlanNode>,
    pub kind: ApplyKind,
    /// Slots, and the input's columns that fill them; none: it runs once.
    pub correlations: Vec<(usize, usize)>,
    pub data_type: DataType,
    /// For the same outer values it gives the same.
    pub repeatable: bool,
}

/// Which part of the rows an aggregation sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// All of them.
    Whole,
    /// Those of one of several who share the rows.
    Partial,
    /// None: it puts together what the parts made. Its input gathers those.
    Final,
}

/// An operator.
#[derive(Clone)]
pub enum Physical {
    Values {
        rows: Vec<Vec<Expr>>,
    },
    Table(Box<TableScan>),
    Virtual {
        relation: &'static VirtualRelation,
        alias: String,
        projection: Vec<usize>,
        filters: Vec<Expr>,
    },
    Function {
        calls: Vec<TableFunction>,
        alias: String,
        ordinality: bool,
    },
    Filter {
        input: Box<PlanNode>,
        predicates: Vec<Expr>,
    },
    Project {
        input: Box<PlanNode>,
        exprs: Vec<Expr>,
    },
    HashJoin(Box<HashJoin>),
    NestedLoop(Box<NestedLoop>),
    Apply(Box<Apply>),
    Aggregate {
        input: Box<PlanNode>,
        groups: Vec<Expr>,
        /// Of each group, whether the others determine its value.
        determined: Vec<bool>,
        aggregates: Vec<AggregateCall>,
        sets: Option<GroupingSets>,
        phase: Phase,
    },
    /// The rows of a part that several work on, in any order.
    Gather {
        input: Arc<PlanNode>,
        /// How many beside the session.
        workers: usize,
    },
    ProjectSet {
        input: Box<PlanNode>,
        calls: Vec<Expr>,
    },
    Window {
        input: Box<PlanNode>,
        order: WindowOrder,
        calls: Vec<WindowCall>,
        /// The input comes in the window's order.
        sorted: bool,
    },
    /// Locks the rows that it passes on.
    Lock {
        input: Box<PlanNode>,
        tables: Vec<LockedTable>,
        /// Whether fewer rows may be asked for than there are.
        one_by_one: bool,
    },
    Distinct {
        input: Box<PlanNode>,
        keys: Vec<Expr>,
        /// Rows of equal keys come one after the other.
        sorted: bool,
    },
    Sort {
        input: Box<PlanNode>,
        keys: Vec<SortKey>,
    },
    /// The first rows of a sort.
    TopN {
        input: Box<PlanNode>,
        keys: Vec<SortKey>,
        limit: Expr,
        offset: Option<Expr>,
    },
    Limit {
        input: Box<PlanNode>,
        limit: Option<Expr>,
        offset: Option<Expr>,
        /// Rows that equal the last one by these go with it.
        ties: Vec<Expr>,
    },
    Recursive {
        table: usize,
        all: bool,
        seed: Box<PlanNode>,
        step: Box<PlanNode>,
    },
    Shared {
        table: usize,
        alias: String,
        definition: Box<PlanNode>,
    },
    WorkingTable {
        table: usize,
        alias: String,
    },
    SetOperation {
        kind: SetKind,
        all: bool,
        left: Box<PlanNode>,
        right: Box<PlanNode>,
    },
}

impl PlanNode {
    /// How it, or a node below it, locks rows, if one does.
    #[must_use]
    pub fn row_lock(&self) -> Option<helios_mvcc::LockMode> {
        match &self.node {
            Physical::Lock { tables, .. } => tables.iter().map(|table| table.locking.mode).max(),
            _ => self.inputs().into_iter().find_map(PlanNode::row_lock),
        }
    }

    /// How many things are measured of it beside itself: each search that its rows' keys are found by.
    #[must_use]
    pub fn searches(&self) -> usize {
        match &self.node {
            Physical::Table(scan) => match &scan.access {
                Access::Combined(combination) => combination.set.count(),
                Access::Full { .. } | Access::Keys(_) => 0,
            },
            _ => 0,
        }
    }

    /// The table whose rows' keys are read by it, or by a node below it.
    #[must_use]
    pub fn keyed_table(&self) -> Option<u32> {
        match &self.node {
            Physical::Table(scan) if scan.with_key => Some(scan.table.table.oid),
            _ => self.inputs().into_iter().find_map(PlanNode::keyed_table),
        }
    }

    /// Its inputs, in the order EXPLAIN shows them.
    #[must_use]
    pub fn inputs(&self) -> Vec<&PlanNode> {
        match &self.node {
            Physical::Values { .. }
            | Physical::Table(_)
            | Physical::Virtual { .. }
            | Physical::WorkingTable { .. }
            | Physical::Function { .. } => Vec::new(),
            Physical::Filter { input, .. }
            | Physical::Project { input, .. }
            | Physical::Aggregate { input, .. }
            | Physical::Window { input, .. }
            | Physical::ProjectSet { input, .. }
            | Physical::Distinct { input, .. }
            | Physical::Lock { input, .. }
            | Physical::Sort { input, .. }
            | Physical::TopN { input, .. }
            | Physical::Limit { input, .. } => vec![input],
            Physical::Gather { input, .. } => vec![input],
            Physical::HashJoin(join) => vec![&join.left, &join.right],
            Physical::NestedLoop(join) => vec![&join.left, &join.right],
            Physical::Apply(apply) => vec![&apply.input, &apply.subquery],
            Physical::Shared { definition, .. } => vec![definition],
            Physical::SetOperation { left, right, .. } => vec![left, right],
            Physical::Recursive { seed, step, .. } => vec![seed, step],
        }
    }
}
