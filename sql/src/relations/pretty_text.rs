//! The pretty form of an expression: the parentheses that need not be there are left out.
//!
//! Which ones PostgreSQL leaves out depends on an operand and on what it is an operand of; it knows the precedence of
//! `+ - * / %`, AND, OR and NOT, and leaves all others as they are.

use sqlparser::ast::{self, BinaryOperator, Expr};

use super::view_text::{cast_type, expr_text};

/// An expression's pretty form.
#[must_use]
pub fn pretty(text: &str) -> String {
    crate::parser::parse_expression(text).map_or_else(|_| text.to_string(), |expr| written(&expr))
}

/// What an expression is to the rules.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Never in parentheses: a name, a constant, a call.
    Closed,
    And,
    Or,
    Not,
    /// `+` and `-` (1), `*`, `/` and `%` (2), any other (0).
    Operator(u8),
    /// A test such as IS NULL.
    Test,
    /// A comparison with ANY or ALL of an array.
    OfArray,
    Cast,
}

fn kind(expr: &Expr) -> Kind {
    match expr {
        Expr::Nested(inner) => kind(inner),
        Expr::BinaryOp { op: BinaryOperator::And, .. } => Kind::And,
        Expr::BinaryOp { op: BinaryOperator::Or, .. } => Kind::Or,
        Expr::UnaryOp { op: ast::UnaryOperator::Not, .. } => Kind::Not,
        Expr::BinaryOp { op, .. } => Kind::Operator(match op {
            BinaryOperator::Plus | BinaryOperator::Minus => 1,
            BinaryOperator::Multiply | BinaryOperator::Divide | BinaryOperator::Modulo => 2,
            _ => 0,
        }),
        Expr::UnaryOp { .. } => Kind::Operator(0),
        Expr::AnyOp { .. } | Expr::AllOp { .. } => Kind::OfArray,
        Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsDistinctFrom(..)
        | Expr::IsNotDistinctFrom(..) => Kind::Test,
        Expr::Like { .. } | Expr::ILike { .. } => Kind::Operator(0),
        Expr::Cast { .. } => Kind::Cast,
        _ => Kind::Closed,
    }
}

/// Whether an operand goes without parentheses.
fn is_simple(operand: Kind, of: Kind, is_first: bool) -> bool {
    let of_boolean = matches!(of, Kind::And | Kind::Or | Kind::Not);
    match (operand, of) {
        (Kind::Closed | Kind::Cast, _) | (_, Kind::Closed) => true,
        (Kind::And | Kind::Not, Kind::And | Kind::Or) | (Kind::Or, Kind::Or) => true,
        (Kind::And | Kind::Or | Kind::Not | Kind::OfArray, _) => false,
        (Kind::Operator(own), Kind::Operator(outer)) => {
            own > 0 && outer > 0 && (own > outer || own == outer && is_first)
        }
        (Kind::Operator(_) | Kind::Test, _) => of_boolean,
    }
}

fn operand(expr: &Expr, of: Kind, is_first: bool) -> String {
    let text = written(expr);
    if is_simple(kind(expr), of, is_first) { text } else { format!("({text})") }
}

fn written(expr: &Expr) -> String {
    let own = kind(expr);
    let first = |inner: &Expr| operand(inner, own, true);
    match expr {
        Expr::Nested(inner) => written(inner),
        // VALUE of a domain stays as it is.
        Expr::Identifier(name) => name.to_string(),
        Expr::BinaryOp { left, op, right } => format!("{} {op} {}", first(left), operand(right, own, false)),
        Expr::UnaryOp { op: ast::UnaryOperator::Not, expr } => format!("NOT {}", first(expr)),
        Expr::UnaryOp { op, expr } => format!("{op} {}", first(expr)),
        Expr::IsNull(inner) => format!("{} IS NULL", first(inner)),
        Expr::IsNotNull(inner) => format!("{} IS NOT NULL", first(inner)),
        Expr::IsTrue(inner) => format!("{} IS TRUE", first(inner)),
        Expr::IsNotTrue(inner) => format!("{} IS NOT TRUE", first(inner)),
        Expr::IsFalse(inner) => format!("{} IS FALSE", first(inner)),
        Expr::IsNotFalse(inner) => format!("{} IS NOT FALSE", first(inner)),
        Expr::IsDistinctFrom(left, right) => {
            format!("{} IS DISTINCT FROM {}", first(left), operand(right, own, false))
        }
        Expr::AnyOp { left, compare_op, right, .. } => {
            format!("{} {compare_op} ANY ({})", first(left), written(right))
        }
        Expr::AllOp { left, compare_op, right } => {
            format!("{} {compare_op} ALL ({})", first(left), written(right))
        }
        Expr::Cast { expr: inner, data_type, .. } => format!("{}::{}", first(inner), cast_type(data_type)),
        Expr::Array(array) => {
            let elements: Vec<String> = array.elem.iter().map(written).collect();
            format!("ARRAY[{}]", elements.join(", "))
        }
        Expr::Function(function) => match &function.args {
            ast::FunctionArguments::List(list) if function.over.is_none() && list.clauses.is_empty() => {
                let arguments: Option<Vec<String>> = list
                    .args
                    .iter()
                    .map(|argument| match argument {
                        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(written(expr)),
                        _ => None,
                    })
                    .collect();
                match arguments {
                    Some(arguments) => format!("{}({})", function.name, arguments.join(", ")),
                    None => expr_text(expr),
                }
            }
            _ => expr_text(expr),
        },
        Expr::Case { operand: None, conditions, else_result, .. } => {
            let mut text = String::from("\nCASE");
            for branch in conditions {
                text.push_str(&format!(
                    "\n    WHEN {} THEN {}",
                    written(&branch.condition),
                    written(&branch.result)
                ));
            }
            if let Some(otherwise) = else_result {
                text.push_str(&format!("\n    ELSE {}", written(otherwise)));
            }
            text + "\nEND"
        }
        other => expr_text(other),
    }
}

#[cfg(test)]
mod tests {
    use super::pretty;

    #[test]
    fn parentheses_stay_where_they_are_needed() {
        for (full, short) in [
            ("((a > 0) AND ((b < 1) OR (c IS NULL)))", "a > 0 AND (b < 1 OR c IS NULL)"),
            ("(((big + 1) * 2) > '-5'::integer)", "((big + 1) * 2) > '-5'::integer"),
            ("((balance * (2)::numeric) + (1)::numeric)", "balance * 2::numeric + 1::numeric"),
            ("((a - b) - (c - d))", "a - b - (c - d)"),
            ("(lower((name)::text) = 'x'::text)", "lower(name::text) = 'x'::text"),
            ("(NOT (a AND b))", "NOT (a AND b)"),
            ("((a || b))::text", "(a || b)::text"),
            ("((x = ANY (ARRAY[1, 2])) OR y)", "(x = ANY (ARRAY[1, 2])) OR y"),
        ] {
            assert_eq!(pretty(full), short);
        }
    }
}
