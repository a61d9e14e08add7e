//! Constant folding: calls of immutable functions on constants become constants.
//!
//! A call whose evaluation fails is left as it is, since it may never be reached; its error is raised when it is.

use super::{Expr, ValueSet};
use crate::error::Result;
use crate::functions::{CastMethod, EvalContext, Volatility};
use crate::value::Datum;
use std::sync::Arc;

/// Constants look at no row.
const EMPTY_ROW: Vec<Datum> = Vec::new();

impl Expr {
    /// Folds bottom-up. `context` gives the types; nothing that depends on its session is folded.
    #[must_use]
    pub fn fold(mut self, context: &EvalContext<'_>) -> Expr {
        self.for_each_child_mut(|child| {
            let taken = std::mem::replace(child, Expr::And(Vec::new()));
            *child = taken.fold(context);
        });
        let is_const = |expr: &Expr| matches!(expr, Expr::Const { .. });
        if let Expr::InList { argument, list, set: set @ None, .. } = &mut self
            && list.iter().all(is_const)
        {
            let values = list.iter().map(|member| member.eval_row(&EMPTY_ROW, context));
            if let Ok(values) = values.collect::<Result<Vec<Datum>>>() {
                *set = Some(Arc::new(ValueSet::new(values, argument.type_oid(), context)));
            }
        }
        let foldable = match &self {
            Expr::Const { .. } | Expr::Column { .. } | Expr::Parameter { .. } | Expr::Outer { .. } => false,
            Expr::Call(call) => {
                call.function.volatility == Volatility::Immutable && !call.function.returns_rows()
            }
            Expr::Quantified { function, .. } => function.volatility == Volatility::Immutable,
            Expr::Cast(cast) => match &cast.method {
                CastMethod::Binary => true,
                CastMethod::Function(function) | CastMethod::Sized(function) => {
                    function.volatility == Volatility::Immutable
                }
                CastMethod::InOut | CastMethod::Array(_) | CastMethod::Domain(_) => false,
            },
            _ => true,
        };
        let mut constant = foldable;
        self.for_each_child(|child| constant = constant && is_const(child));
        if constant && let Ok(value) = self.eval_row(&EMPTY_ROW, context) {
            return Expr::Const { value, data_type: self.data_type() };
        }
        self
    }
}
