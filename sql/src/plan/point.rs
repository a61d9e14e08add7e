//! Plans for one row: what a search by a whole unique key is compiled to when a statement is prepared.
//!
//! A plan of projections over one table scan, whose key is unique and given whole, needs no operators: the key is
//! encoded, the row is read where it lies, and expressions are evaluated over the stored row. [`PointQuery::of`]
//! recognises such plans, and [`single_row`] a VALUES list of one row. They mean what the operators would do;
//! whatever is out of the ordinary is left to those.
//!
//! Columns of the expressions here are positions in the table's stored row.

use std::sync::Arc;

use helios_mvcc::TreeId;

use super::operators::{Comparison, as_comparison};
use super::physical::{Access, KeyAccess, Physical, PlanNode, TableScan};
use super::walk;
use crate::expr::Expr;
use crate::value::PhysicalKind;
use crate::value::key::KeyColumn;
use crate::value::row::RowLayout;

/// How one row is found.
pub struct PointLookup {
    pub tree: TreeId,
    /// The unique index whose entries hold the row's key; `None`: the key is the row's own.
    pub index: Option<TreeId>,
    pub key: Vec<(KeyColumn, Expr)>,
    pub layout: Arc<RowLayout>,
    /// What else must hold.
    pub filters: Vec<Expr>,
}

/// A query that gives one row at most.
pub struct PointQuery {
    pub lookup: PointLookup,
    pub outputs: Vec<Expr>,
}

/// The source of an UPDATE or DELETE that finds one row at most.
pub struct PointSource {
    pub lookup: PointLookup,
    /// The source's columns; the first is the row's key and reads the position behind the last.
    pub columns: Vec<Expr>,
}

impl PointQuery {
    /// The plan as such a query, if it is one.
    #[must_use]
    pub fn of(plan: &PlanNode) -> Option<PointQuery> {
        let (scan, outputs) = over_scan(plan)?;
        if outputs.iter().any(|expr| !reads_row(expr, scan)) {
            return None;
        }
        Some(PointQuery { lookup: PointLookup::of(scan)?, outputs })
    }
}

impl PointSource {
    /// The plan as such a source, if it is one.
    #[must_use]
    pub fn of(plan: &PlanNode) -> Option<PointSource> {
        let (scan, columns) = over_scan(plan)?;
        let (key, others) = columns.split_first()?;
        let is_key = matches!(key, Expr::Column { index, .. } if *index == scan.layout.columns().len());
        if !is_key || others.iter().any(|expr| !reads_row(expr, scan)) {
            return None;
        }
        Some(PointSource { lookup: PointLookup::of(scan)?, columns })
    }

    /// The position in the row that a column of the source copies.
    #[must_use]
    pub fn position(&self, column: usize) -> Option<usize> {
        match self.columns.get(column) {
            Some(Expr::Column { index, .. }) => Some(*index),
            _ => None,
        }
    }
}

impl PointLookup {
    fn of(scan: &TableScan) -> Option<PointLookup> {
        let Access::Keys(access) = &scan.access else { return None };
        let is_now = scan.table.as_of.is_none();
        if !is_now || access.by_place || !access.single || access.key.len() != access.equal.len() {
            return None;
        }
        let filters: Vec<Expr> = scan
            .filters
            .iter()
            .filter(|filter| !is_implied(filter, scan, access))
            .map(|filter| in_row(filter.clone(), scan))
            .collect();
        if filters.iter().any(|filter| !reads_row(filter, scan)) {
            return None;
        }
        Some(PointLookup {
            tree: scan.table.table.tree,
            index: access.index_tree,
            key: access.key.iter().copied().zip(access.equal.iter().cloned()).collect(),
            layout: scan.layout.clone(),
            filters,
        })
    }
}

/// Whether a filter says no more than the search does: it compares a key column with the very value searched for,
/// in a type whose equal values have equal bytes.
fn is_implied(filter: &Expr, scan: &TableScan, access: &KeyAccess) -> bool {
    let Some((Comparison::Equal, left, right)) = as_comparison(filter) else { return false };
    [(left, right), (right, left)].into_iter().any(|(column, value)| {
        let Expr::Column { index, .. } = column else { return false };
        let Some(position) = scan.projection.get(*index) else { return false };
        let name = &scan.table.table.columns[*position].name;
        let Some(at) = access.key_names.iter().position(|each| each == name) else { return false };
        let plain = matches!(
            access.key[at].kind,
            PhysicalKind::Int16 | PhysicalKind::Int32 | PhysicalKind::Int64 | PhysicalKind::Uuid
        );
        plain && walk::same(value, &access.equal[at])
    })
}

/// A scan's expression over the stored row; the row's key becomes the position behind the last column.
fn in_row(expr: Expr, scan: &TableScan) -> Expr {
    let width = scan.layout.columns().len();
    walk::rewrite(expr, &mut |expr| match expr {
        Expr::Column { index, data_type } => {
            let index = scan.projection.get(index).copied().unwrap_or(width);
            walk::Rewritten::Done(Expr::Column { index, data_type })
        }
        other => walk::Rewritten::Descend(other),
    })
}

/// Whether an expression reads nothing but columns of the row.
fn reads_row(expr: &Expr, scan: &TableScan) -> bool {
    let width = scan.layout.columns().len();
    !walk::any(expr, &mut |node| match node {
        Expr::Column { index, .. } => *index >= width,
        Expr::Outer { .. } => true,
        _ => false,
    })
}

/// A plan of projections over a table scan: the scan, and the plan's columns over the stored row.
fn over_scan(plan: &PlanNode) -> Option<(&TableScan, Vec<Expr>)> {
    match &plan.node {
        Physical::Table(scan) => {
            let columns = plan.types.iter().enumerate();
            let columns = columns.map(|(index, data_type)| Expr::Column { index, data_type: *data_type });
            Some((scan, columns.map(|column| in_row(column, scan)).collect()))
        }
        Physical::Project { input, exprs } => {
            let (scan, inner) = over_scan(input)?;
            Some((scan, substituted(exprs, &inner)?))
        }
        _ => None,
    }
}

/// Expressions over the outputs of others, with those put in their place; only where each is so simple that it does
/// not matter how often it is evaluated.
fn substituted(exprs: &[Expr], inner: &[Expr]) -> Option<Vec<Expr>> {
    let simple =
        |expr: &Expr| matches!(expr, Expr::Column { .. } | Expr::Parameter { .. } | Expr::Const { .. });
    if !inner.iter().all(simple) {
        return None;
    }
    Some(exprs.iter().map(|expr| walk::replace_columns(expr.clone(), &|id| inner.get(id).cloned())).collect())
}

/// The expressions of a plan that gives exactly one row and reads none.
#[must_use]
pub fn single_row(plan: &PlanNode) -> Option<Vec<Expr>> {
    let row = match &plan.node {
        Physical::Values { rows } => match rows.as_slice() {
            [row] => row.clone(),
            _ => return None,
        },
        Physical::Project { input, exprs } => substituted(exprs, &single_row(input)?)?,
        _ => return None,
    };
    let plain =
        |expr: &Expr| !walk::any(expr, &mut |node| matches!(node, Expr::Outer { .. } | Expr::Column { .. }));
    row.iter().all(plain).then_some(row)
}
