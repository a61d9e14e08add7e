//! Conditions on what lies within a stored array or jsonb, tested on its bytes: nothing is decoded for rows that fail.

use crate::error::Result;
use crate::expr::Expr;
use crate::functions::{EvalContext, jsonb_contains, jsonb_exists};
use crate::plan::operators::operator_name;
use crate::plan::walk;
use crate::types::{Oid, oids};
use crate::value::json::JsonRef;
use crate::value::{Datum, Jsonb, encoding};

/// What is demanded.
pub enum Within {
    /// An array that has all of these elements, which are as they are stored there.
    Elements(Vec<Vec<u8>>),
    /// `@>`
    Contains(Jsonb),
    /// `?`
    Exists(String),
    /// `->> key = text`
    Member { key: String, text: String },
}

/// The value of an expression that is the same for all rows; `None` for others, and for NULL.
fn known(expr: &Expr, context: &EvalContext<'_>) -> Result<Option<Datum>> {
    if !walk::is_constant(expr) {
        return Ok(None);
    }
    let no_row: [Datum; 0] = [];
    Ok(Some(expr.eval_row(&no_row.as_slice(), context)?).filter(|value| !value.is_null()))
}

/// Whether values of a type are equal when their bytes are.
fn is_by_bytes(oid: Oid) -> bool {
    matches!(
        oid,
        oids::TEXT
            | oids::BOOL
            | oids::INT2
            | oids::INT4
            | oids::INT8
            | oids::OID
            | oids::UUID
            | oids::DATE
            | oids::TIMESTAMP
            | oids::TIMESTAMPTZ
    )
}

impl Within {
    /// The demand that a filter is, if it is one, with its column, which `column` tells of an expression.
    ///
    /// # Errors
    /// Those of evaluating the filter's constants.
    pub fn of(
        filter: &Expr,
        column: impl Fn(&Expr) -> Option<(usize, Oid)>,
        context: &EvalContext<'_>,
    ) -> Result<Option<(usize, Within)>> {
        match filter {
            Expr::Quantified { left, array, function, all: false } => {
                let Some((at, oid)) = column(array) else { return Ok(None) };
                let element = context.type_info(oid)?.element();
                let is_equality = operator_name(function) == Some("=");
                if !is_equality || element != Some(left.type_oid()) || !is_by_bytes(left.type_oid()) {
                    return Ok(None);
                }
                let value = known(left, context)?;
                Ok(value.map(|value| (at, Within::Elements(vec![encoding::element_bytes(&value)]))))
            }
            Expr::Call(call) => {
                let [left, right] = call.arguments.as_slice() else { return Ok(None) };
                match operator_name(&call.function) {
                    Some("=") => match Within::member(left, right, &column, context)? {
                        None => Within::member(right, left, &column, context),
                        found => Ok(found),
                    },
                    Some(operator @ ("@>" | "?")) => {
                        let Some((at, oid)) = column(left) else { return Ok(None) };
                        let Some(value) = known(right, context)? else { return Ok(None) };
                        let element = context.type_info(oid)?.element();
                        Ok(Within::operator(operator, oid, element, value).map(|within| (at, within)))
                    }
                    _ => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    fn operator(operator: &str, oid: Oid, element: Option<Oid>, value: Datum) -> Option<Within> {
        match (operator, value) {
            ("@>", Datum::Jsonb(value)) if oid == oids::JSONB => Some(Within::Contains(value)),
            ("?", Datum::Text(key)) if oid == oids::JSONB => Some(Within::Exists(key.as_str().to_owned())),
            ("@>", Datum::Array(array)) if element.is_some_and(is_by_bytes) => {
                let is_known = array.elements.iter().all(|each| !each.is_null());
                let wanted = || array.elements.iter().map(encoding::element_bytes).collect();
                is_known.then(|| Within::Elements(wanted()))
            }
            _ => None,
        }
    }

    /// `column ->> key = text`
    fn member(
        member: &Expr,
        text: &Expr,
        column: impl Fn(&Expr) -> Option<(usize, Oid)>,
        context: &EvalContext<'_>,
    ) -> Result<Option<(usize, Within)>> {
        let Expr::Call(call) = member else { return Ok(None) };
        let [object, key] = call.arguments.as_slice() else { return Ok(None) };
        let is_text = text.type_oid() == oids::TEXT && key.type_oid() == oids::TEXT;
        if !is_text || operator_name(&call.function) != Some("->>") {
            return Ok(None);
        }
        let Some((at, oids::JSONB)) = column(object) else { return Ok(None) };
        Ok(match (known(key, context)?, known(text, context)?) {
            (Some(Datum::Text(key)), Some(Datum::Text(text))) => {
                let (key, text) = (key.as_str().to_owned(), text.as_str().to_owned());
                Some((at, Within::Member { key, text }))
            }
            _ => None,
        })
    }

    /// Whether a stored value is as demanded.
    ///
    /// # Errors
    /// XX001 if its bytes are malformed.
    pub fn holds(&self, bytes: &[u8]) -> Result<bool> {
        Ok(match self {
            Within::Elements(wanted) => encoding::array_has(bytes, wanted)?,
            Within::Contains(inner) => jsonb_contains(JsonRef::of(bytes), inner.root()),
            Within::Exists(key) => jsonb_exists(JsonRef::of(bytes), key),
            Within::Member { key, text } => match JsonRef::of(bytes).member(key) {
                Some(JsonRef::String(found)) => found == text,
                Some(JsonRef::Null) | None => false,
                Some(other) => {
                    let mut printed = String::new();
                    other.print(&mut printed);
                    printed == *text
                }
            },
        })
    }
}
