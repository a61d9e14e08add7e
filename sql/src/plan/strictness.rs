//! What expressions are worth where columns are NULL: outer joins whose extra rows nobody keeps are inner joins.

use super::logical::{ColumnId, JoinKind};
use super::walk;
use crate::expr::Expr;
use crate::functions::CastMethod;
use crate::value::Datum;

/// The join that is left of one when only rows are kept that satisfy `predicates`.
#[must_use]
pub fn strengthened(kind: JoinKind, predicates: &[Expr], left: &[ColumnId], right: &[ColumnId]) -> JoinKind {
    let rejects = |columns: &[ColumnId]| predicates.iter().any(|predicate| rejects_nulls(predicate, columns));
    match kind {
        JoinKind::Left if rejects(right) => JoinKind::Inner,
        JoinKind::Right if rejects(left) => JoinKind::Inner,
        JoinKind::Full => match (rejects(left), rejects(right)) {
            (true, true) => JoinKind::Inner,
            // Rows of the right side alone have NULLs on the left.
            (true, false) => JoinKind::Left,
            (false, true) => JoinKind::Right,
            (false, false) => JoinKind::Full,
        },
        kind => kind,
    }
}

/// Whether a predicate is never true for a row in which all of some columns are NULL.
#[must_use]
pub fn rejects_nulls(predicate: &Expr, columns: &[ColumnId]) -> bool {
    match predicate {
        Expr::And(terms) => terms.iter().any(|term| rejects_nulls(term, columns)),
        Expr::Or(terms) => !terms.is_empty() && terms.iter().all(|term| rejects_nulls(term, columns)),
        Expr::IsNull { argument, negated: true } => is_null(argument, columns),
        Expr::IsTruth { argument, truth: true, negated: false } => rejects_nulls(argument, columns),
        Expr::Const { value, .. } => value.as_bool() != Some(true),
        other => is_null(other, columns),
    }
}

/// Whether an expression is NULL for a row in which all of some columns are.
#[must_use]
pub fn is_null(expr: &Expr, columns: &[ColumnId]) -> bool {
    match expr {
        Expr::Column { index, .. } => columns.contains(index),
        Expr::Const { value, .. } => matches!(value, Datum::Null),
        Expr::Call(call) => {
            call.function.strict
                && !call.spread
                && !walk::is_volatile(expr)
                && call.arguments.iter().any(|argument| is_null(argument, columns))
        }
        Expr::Cast(cast) => match &cast.method {
            CastMethod::Function(function) => function.strict && is_null(&cast.argument, columns),
            _ => is_null(&cast.argument, columns),
        },
        Expr::Not(inner) => is_null(inner, columns),
        Expr::InList { argument, .. } => is_null(argument, columns),
        // AND and OR may be known where one side is not.
        _ => false,
    }
}
