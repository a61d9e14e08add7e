//! Which operator a function implements, for rules that look for comparisons.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use crate::expr::Expr;
use crate::functions::{Function, registry};

/// A comparison that an index or a hash table can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// The same with its sides exchanged.
    #[must_use]
    pub fn flipped(self) -> Comparison {
        match self {
            Comparison::Equal => Comparison::Equal,
            Comparison::Less => Comparison::Greater,
            Comparison::LessOrEqual => Comparison::GreaterOrEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        }
    }
}

static NAMES: LazyLock<HashMap<usize, &'static str>> = LazyLock::new(|| {
    registry()
        .all_operators()
        .map(|operator| (Arc::as_ptr(&operator.function) as usize, operator.name))
        .collect()
});

/// The operator that a function is.
#[must_use]
pub fn operator_name(function: &Arc<Function>) -> Option<&'static str> {
    NAMES.get(&(Arc::as_ptr(function) as usize)).copied()
}

/// The two sides of a comparison.
#[must_use]
pub fn as_comparison(expr: &Expr) -> Option<(Comparison, &Expr, &Expr)> {
    let Expr::Call(call) = expr else { return None };
    let [left, right] = call.arguments.as_slice() else { return None };
    let comparison = match operator_name(&call.function)? {
        "=" => Comparison::Equal,
        "<" => Comparison::Less,
        "<=" => Comparison::LessOrEqual,
        ">" => Comparison::Greater,
        ">=" => Comparison::GreaterOrEqual,
        _ => return None,
    };
    Some((comparison, left, right))
}
