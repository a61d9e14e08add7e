//! Window functions: what a call computes, and over which rows around its own.

use std::sync::Arc;

use super::logical::SortKey;
use crate::expr::Expr;
use crate::functions::Aggregate;
use crate::types::DataType;

/// What a call over a window computes.
#[derive(Clone)]
pub enum WindowFunction {
    RowNumber,
    Rank,
    DenseRank,
    PercentRank,
    CumeDist,
    /// `ntile(buckets)`
    Ntile,
    /// `lag(value, offset, default)`
    Lag,
    /// `lead(value, offset, default)`
    Lead,
    FirstValue,
    LastValue,
    /// `nth_value(value, n)`
    NthValue,
    Aggregate(Arc<Aggregate>),
}

/// How the bounds of a frame are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameUnit {
    Rows,
    Range,
    Groups,
}

/// One end of a frame.
#[derive(Clone)]
pub enum FrameBound {
    /// The partition's first row, or its last.
    Unbounded,
    CurrentRow,
    /// So many rows or groups before the current one.
    Preceding(Expr),
    /// So many rows or groups after the current one.
    Following(Expr),
    /// RANGE with an offset.
    Value(ValueBound),
}

/// So far before or after the current row's value of the order column.
#[derive(Clone)]
pub struct ValueBound {
    /// The order column.
    pub key: Expr,
    /// How far away; never negative.
    pub offset: Expr,
    /// The offset is taken from the value, not added.
    pub subtract: bool,
    /// The value there, for types that compute it as their operators do.
    pub moved: Option<Expr>,
}

impl FrameBound {
    fn exprs(&self) -> impl Iterator<Item = &Expr> {
        let (first, second, third) = match self {
            FrameBound::Preceding(expr) | FrameBound::Following(expr) => (Some(expr), None, None),
            FrameBound::Value(bound) => (Some(&bound.key), Some(&bound.offset), bound.moved.as_ref()),
            _ => (None, None, None),
        };
        first.into_iter().chain(second).chain(third)
    }

    fn exprs_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        let (first, second, third) = match self {
            FrameBound::Preceding(expr) | FrameBound::Following(expr) => (Some(expr), None, None),
            FrameBound::Value(bound) => (Some(&mut bound.key), Some(&mut bound.offset), bound.moved.as_mut()),
            _ => (None, None, None),
        };
        first.into_iter().chain(second).chain(third)
    }
}

/// What a frame leaves out around the current row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exclusion {
    Nothing,
    CurrentRow,
    /// The row and its peers.
    Group,
    /// The row's peers, not itself.
    Ties,
}

/// The rows around the current one that a call reads.
#[derive(Clone)]
pub struct Frame {
    pub unit: FrameUnit,
    pub start: FrameBound,
    pub end: FrameBound,
    pub exclusion: Exclusion,
}

/// One call.
#[derive(Clone)]
pub struct WindowCall {
    pub function: WindowFunction,
    pub arguments: Vec<Expr>,
    pub filter: Option<Expr>,
    pub frame: Frame,
    pub data_type: DataType,
}

/// How rows are divided and ordered.
#[derive(Clone)]
pub struct WindowOrder {
    pub partition: Vec<Expr>,
    pub order: Vec<SortKey>,
}

impl WindowCall {
    /// Calls `visit` with each of its expressions.
    pub fn for_each_expr<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        self.arguments.iter().chain(&self.filter).for_each(&mut *visit);
        for bound in [&self.frame.start, &self.frame.end] {
            bound.exprs().for_each(&mut *visit);
        }
    }

    /// The same, to change them.
    pub fn for_each_expr_mut(&mut self, visit: &mut dyn FnMut(&mut Expr)) {
        self.arguments.iter_mut().chain(&mut self.filter).for_each(&mut *visit);
        for bound in [&mut self.frame.start, &mut self.frame.end] {
            bound.exprs_mut().for_each(&mut *visit);
        }
    }
}

impl WindowOrder {
    /// What rows are sorted by: partitions come one after the other.
    #[must_use]
    pub fn sort_keys(&self) -> Vec<SortKey> {
        let partition = self.partition.iter().cloned();
        let keys = partition.map(|expr| SortKey { expr, descending: false, nulls_first: false });
        keys.chain(self.order.iter().cloned()).collect()
    }

    /// Calls `visit` with each of its expressions.
    pub fn for_each_expr<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        self.partition.iter().for_each(&mut *visit);
        self.order.iter().for_each(|key| visit(&key.expr));
    }

    /// The same, to change them.
    pub fn for_each_expr_mut(&mut self, visit: &mut dyn FnMut(&mut Expr)) {
        self.partition.iter_mut().for_each(&mut *visit);
        self.order.iter_mut().for_each(|key| visit(&mut key.expr));
    }
}
