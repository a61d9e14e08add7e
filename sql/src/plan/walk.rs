//! Walking expressions: visiting, rewriting, comparing.

use std::sync::Arc;

use super::logical::ColumnId;
use crate::expr::Expr;
use crate::functions::{CastMethod, Volatility};
use crate::types::{is_user_type, oids};

/// What a rewriting step did with a node.
pub enum Rewritten {
    /// It is finished.
    Done(Expr),
    /// Its children are to be rewritten.
    Descend(Expr),
}

/// Calls `visit` with each child of a node.
pub fn children<'e>(expr: &'e Expr, visit: &mut dyn FnMut(&'e Expr)) {
    expr.for_each_child(visit);
}

/// Calls `visit` with every column an expression reads.
pub fn columns(expr: &Expr, visit: &mut dyn FnMut(ColumnId)) {
    if let Expr::Column { index, .. } = expr {
        visit(*index);
    }
    children(expr, &mut |child| columns(child, visit));
}

/// Whether any node satisfies a test.
pub fn any(expr: &Expr, test: &mut dyn FnMut(&Expr) -> bool) -> bool {
    if test(expr) {
        return true;
    }
    let mut found = false;
    children(expr, &mut |child| found = found || any(child, test));
    found
}

/// Rewrites an expression from the top.
pub fn rewrite(expr: Expr, step: &mut dyn FnMut(Expr) -> Rewritten) -> Expr {
    match step(expr) {
        Rewritten::Done(expr) => expr,
        Rewritten::Descend(mut expr) => {
            expr.for_each_child_mut(|child| {
                let taken = std::mem::replace(child, Expr::And(Vec::new()));
                *child = rewrite(taken, step);
            });
            expr
        }
    }
}

/// Replaces columns by what `replace` gives.
pub fn replace_columns(expr: Expr, replace: &dyn Fn(ColumnId) -> Option<Expr>) -> Expr {
    rewrite(expr, &mut |expr| match &expr {
        Expr::Column { index, .. } => match replace(*index) {
            Some(other) => Rewritten::Done(other),
            None => Rewritten::Done(expr),
        },
        _ => Rewritten::Descend(expr),
    })
}

/// Whether an expression calls a function whose results vary from call to call.
#[must_use]
pub fn is_volatile(expr: &Expr) -> bool {
    any(expr, &mut |node| match node {
        Expr::Call(call) => call.function.volatility == Volatility::Volatile,
        _ => false,
    })
}

/// Whether an expression is worth the same for the same row for ever.
#[must_use]
pub fn is_immutable(expr: &Expr) -> bool {
    !any(expr, &mut |node| match node {
        // Joining text to a value writes the value as text, which is immutable for most types.
        Expr::Call(call) if matches!(call.function.name.as_ref(), "textanycat" | "anytextcat") => {
            !call.argument_types.iter().all(|argument| writes_alike(argument.oid))
        }
        Expr::Call(call) => call.function.volatility != Volatility::Immutable,
        Expr::Cast(cast) => match &cast.method {
            CastMethod::Function(function) | CastMethod::Sized(function) => {
                function.volatility != Volatility::Immutable
            }
            // Labels may be renamed.
            CastMethod::InOut => is_user_type(cast.source.oid) || is_user_type(cast.data_type.oid),
            _ => false,
        },
        Expr::Parameter { .. } | Expr::Outer { .. } => true,
        _ => false,
    })
}

/// Whether values of a type are written as the same text whatever the settings and the catalog say.
fn writes_alike(type_oid: u32) -> bool {
    matches!(
        type_oid,
        oids::TEXT
            | oids::VARCHAR
            | oids::BPCHAR
            | oids::NAME
            | oids::UNKNOWN
            | oids::BOOL
            | oids::INT2
            | oids::INT4
            | oids::INT8
            | oids::FLOAT4
            | oids::FLOAT8
            | oids::NUMERIC
            | oids::UUID
    )
}

/// Whether an expression reads nothing of its row: it is worth the same for a whole execution.
#[must_use]
pub fn is_constant(expr: &Expr) -> bool {
    !any(expr, &mut |node| matches!(node, Expr::Column { .. })) && !is_volatile(expr)
}

/// Whether an expression reads some columns, and only such as are named.
#[must_use]
pub fn reads_only(expr: &Expr, ids: &[ColumnId]) -> bool {
    let (mut all, mut some) = (true, false);
    columns(expr, &mut |id| {
        all &= ids.contains(&id);
        some = true;
    });
    all && some
}

/// Whether two expressions are written alike and mean the same.
#[must_use]
pub fn same(left: &Expr, right: &Expr) -> bool {
    let alike = match (left, right) {
        (Expr::Const { value: a, data_type: s }, Expr::Const { value: b, data_type: t }) => a == b && s == t,
        (Expr::Column { index: a, .. }, Expr::Column { index: b, .. })
        | (Expr::Parameter { index: a, .. }, Expr::Parameter { index: b, .. })
        | (Expr::Outer { index: a, .. }, Expr::Outer { index: b, .. }) => a == b,
        (Expr::Call(a), Expr::Call(b)) => {
            Arc::ptr_eq(&a.function, &b.function) && a.function.volatility != Volatility::Volatile
        }
        _ => same_kind(left, right),
    };
    if !alike {
        return false;
    }
    let (mut first, mut second) = (Vec::new(), Vec::new());
    children(left, &mut |child| first.push(child));
    children(right, &mut |child| second.push(child));
    first.len() == second.len() && first.iter().zip(&second).all(|(left, right)| same(left, right))
}

/// Whether two nodes are of the same kind, with the same particulars; their children apart.
fn same_kind(left: &Expr, right: &Expr) -> bool {
    if std::mem::discriminant(left) != std::mem::discriminant(right) || left.data_type() != right.data_type()
    {
        return false;
    }
    match (left, right) {
        (Expr::IsNull { negated: a, .. }, Expr::IsNull { negated: b, .. })
        | (Expr::IsDistinct { negated: a, .. }, Expr::IsDistinct { negated: b, .. })
        | (Expr::InList { negated: a, .. }, Expr::InList { negated: b, .. })
        | (Expr::Extreme { greatest: a, .. }, Expr::Extreme { greatest: b, .. }) => a == b,
        (Expr::IsTruth { truth: a, negated: m, .. }, Expr::IsTruth { truth: b, negated: n, .. }) => {
            a == b && m == n
        }
        (Expr::Quantified { function: f, all: a, .. }, Expr::Quantified { function: g, all: b, .. }) => {
            Arc::ptr_eq(f, g) && a == b
        }
        (Expr::Field { index: a, .. }, Expr::Field { index: b, .. }) => a == b,
        (Expr::Case { branches: a, otherwise: m, .. }, Expr::Case { branches: b, otherwise: n, .. }) => {
            a.len() == b.len() && m.is_some() == n.is_some()
        }
        _ => true,
    }
}

/// The terms of a conjunction.
pub fn split_conjunction(expr: Expr, terms: &mut Vec<Expr>) {
    match expr {
        Expr::And(parts) => {
            for part in parts {
                split_conjunction(part, terms);
            }
        }
        other => terms.push(other),
    }
}
