//! Outer joins whose condition has subqueries: for each row of the outer side, the other side is filtered by it.

use super::Binder;
use super::from::join;
use crate::error::{Result, SqlError};
use crate::expr::Expr;
use crate::plan::logical::{ColumnId, Correlation, JoinKind, Logical, SubqueryKind};
use crate::plan::walk;
use crate::types::DataType;
use crate::value::Datum;

impl Binder<'_> {
    /// Joins by a condition that reads the columns of subqueries met in it.
    pub(super) fn outer_join(
        &mut self,
        kind: JoinKind,
        left: Logical,
        right: Logical,
        condition: Expr,
        mut lateral: Vec<Correlation>,
    ) -> Result<Logical> {
        let (outer, inner) = match kind {
            JoinKind::Left => (left, right),
            JoinKind::Right => (right, left),
            _ => {
                return Err(SqlError::unsupported(
                    "FULL JOIN is only supported with merge-joinable or hash-joinable join conditions",
                ));
            }
        };
        let outer_ids = outer.outputs();
        let mut pending =
            self.collectors.last_mut().map(|c| std::mem::take(&mut c.pending)).unwrap_or_default();
        for subquery in &mut pending {
            let (of_outer, rest): (Vec<_>, Vec<_>) =
                subquery.correlations.drain(..).partition(|each| outer_ids.contains(&each.column));
            lateral.extend(of_outer);
            subquery.correlations = rest;
        }
        // What the condition itself reads of the outer side comes through slots too.
        let mut slots: Vec<Correlation> = Vec::new();
        let condition = self.through_slots(condition, &outer_ids, &mut slots);
        for subquery in &mut pending {
            if let SubqueryKind::Quantified { comparison, .. } = &mut subquery.kind {
                let taken = std::mem::replace(comparison, super::literal::unknown(Datum::Null));
                *comparison = self.through_slots(taken, &outer_ids, &mut slots);
            }
        }
        lateral.extend(slots);
        let inner = super::subquery::attach(inner, pending);
        let filtered = Logical::Filter { input: Box::new(inner), predicates: vec![condition] };
        Ok(join(JoinKind::Left, outer, filtered, Vec::new(), lateral))
    }

    /// Has an expression read some columns through slots, one for each column.
    fn through_slots(&mut self, expr: Expr, columns: &[ColumnId], slots: &mut Vec<Correlation>) -> Expr {
        let mut types: Vec<(ColumnId, DataType)> = Vec::new();
        walk::any(&expr, &mut |node| {
            if let Expr::Column { index, data_type } = node
                && columns.contains(index)
            {
                types.push((*index, *data_type));
            }
            false
        });
        for (column, _) in &types {
            if !slots.iter().any(|each| each.column == *column) {
                slots.push(Correlation { slot: self.next_slot, column: *column });
                self.next_slot += 1;
            }
        }
        walk::replace_columns(expr, &|id| {
            let (_, data_type) = types.iter().find(|(column, _)| *column == id)?;
            let slot = slots.iter().find(|each| each.column == id)?.slot;
            Some(Expr::Outer { index: slot, data_type: *data_type })
        })
    }
}
