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
    /// RANGE with an offset: the order column's value where the frame begins or ends, computed from the current row.
    Value(Expr),
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
            if let FrameBound::Preceding(expr) | FrameBound::Following(expr) | FrameBound::Value(expr) = bound
            {
                visit(expr);
            }
        }
    }

    /// The same, to change them.
    pub fn for_each_expr_mut(&mut self, visit: &mut dyn FnMut(&mut Expr)) {
        self.arguments.iter_mut().chain(&mut self.filter).for_each(&mut *visit);
        for bound in [&mut self.frame.start, &mut self.frame.end] {
            if let FrameBound::Preceding(expr) | FrameBound::Following(expr) | FrameBound::Value(expr) = bound
            {
                visit(expr);
            }
        }
    }
}

impl WindowOrder {
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
