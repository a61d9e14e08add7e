//! Which collation an expression has: the one that COLLATE names in it, else that of its columns, else that of its type.
//!
//! All collations order alike here, so that nothing depends on it but what is said: `pg_collation_for`, and the
//! error of two that are named (42P21).

use sqlparser::ast::{self, BinaryOperator, Expr as Ast, FunctionArguments};

use super::call::argument_expr;
use super::literal::constant;
use super::{Binder, data_type, name};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::relations;
use crate::types::{DataType, oids};
use crate::value::Datum;

/// Functions whose result has the collation of their arguments.
const OF_ARGUMENTS: [&str; 17] = [
    "btrim",
    "coalesce",
    "concat",
    "concat_ws",
    "greatest",
    "initcap",
    "least",
    "left",
    "lower",
    "ltrim",
    "nullif",
    "repeat",
    "replace",
    "right",
    "rtrim",
    "substr",
    "upper",
];

/// How deep expressions are looked into.
const DEPTH_MAX: usize = 100;

/// A collation, and how an expression came by it.
#[derive(Clone, Debug, PartialEq)]
enum Derived {
    /// Its type has none.
    Nothing,
    /// Its columns', or its type's.
    Implicit(String),
    /// Columns of several.
    Conflict,
    /// COLLATE names it, at a place of the text.
    Explicit(String, Option<u32>),
}

/// The collation of two operands together; 42P21 where both name another one.
fn merged(one: Derived, other: Derived) -> Result<Derived> {
    Ok(match (one, other) {
        (Derived::Explicit(first, at), Derived::Explicit(second, place)) if first != second => {
            let message =
                format!("collation mismatch between explicit collations \"{first}\" and \"{second}\"");
            let error = SqlError::new(SqlState::COLLATION_MISMATCH, message);
            return Err(place.or(at).map_or(error.clone(), |place| error.at(place)));
        }
        (explicit @ Derived::Explicit(..), _) | (_, explicit @ Derived::Explicit(..)) => explicit,
        (Derived::Nothing, other) | (other, Derived::Nothing) => other,
        (Derived::Conflict, _) | (_, Derived::Conflict) => Derived::Conflict,
        (Derived::Implicit(first), Derived::Implicit(second)) => match (first.as_str(), second.as_str()) {
            (one, other) if one == other => Derived::Implicit(first),
            ("default", _) => Derived::Implicit(second),
            (_, "default") => Derived::Implicit(first),
            _ => Derived::Conflict,
        },
    })
}

impl Binder<'_> {
    /// `pg_collation_for(expression)`: the collation's name, NULL where it is not determined.
    pub(super) fn bind_collation_for(&mut self, argument: &Ast) -> Result<Expr> {
        let bound = self.bind(argument)?;
        let unknown = bound.data_type().oid == oids::UNKNOWN;
        let data_type = self.underlying(bound.data_type());
        if !unknown && relations::collation(data_type.oid) == 0 {
            let message = format!("collations are not supported by type {}", self.type_name(data_type));
            return Err(SqlError::new(SqlState::DATATYPE_MISMATCH, message));
        }
        let derived = self.derived(argument, DEPTH_MAX)?;
        let value = match derived {
            _ if unknown && !matches!(derived, Derived::Explicit(..)) => Datum::Null,
            Derived::Implicit(name) | Derived::Explicit(name, _) => Datum::text(name::quote(&name)),
            Derived::Nothing => Datum::text(name::quote(&own_collation(data_type))),
            Derived::Conflict => Datum::Null,
        };
        Ok(constant(value, DataType::TEXT))
    }

    /// 42P21 where the operands of an operator name different collations.
    pub(super) fn check_collations(&mut self, left: &Ast, right: &Ast) -> Result<()> {
        if !self.names_collations || !self.views.is_empty() {
            return Ok(());
        }
        let (left, right) = (self.explicit(left, DEPTH_MAX)?, self.explicit(right, DEPTH_MAX)?);
        merged(left, right).map(|_| ())
    }

    /// The collation that COLLATE names in an expression.
    fn explicit(&mut self, expr: &Ast, depth: usize) -> Result<Derived> {
        match expr {
            Ast::Identifier(_) | Ast::CompoundIdentifier(_) => Ok(Derived::Nothing),
            other => match self.derived(other, depth)? {
                explicit @ Derived::Explicit(..) => Ok(explicit),
                _ => Ok(Derived::Nothing),
            },
        }
    }

    fn derived(&mut self, expr: &Ast, depth: usize) -> Result<Derived> {
        let Some(depth) = depth.checked_sub(1) else { return Ok(Derived::Nothing) };
        match expr {
            Ast::Nested(inner) => self.derived(inner, depth),
            Ast::Collate { expr: operand, collation } => {
                let (_, base) = name::split(collation)?;
                Ok(Derived::Explicit(base, self.position_behind(operand)))
            }
            Ast::Identifier(_) | Ast::CompoundIdentifier(_) => Ok(self.of_column(expr)),
            Ast::Cast { expr: operand, data_type: target, .. } => {
                let target = data_type::resolve(target, &self.types())?;
                let target = self.underlying(target);
                if relations::collation(target.oid) == 0 {
                    return Ok(Derived::Nothing);
                }
                Ok(match self.derived(operand, depth)? {
                    Derived::Nothing => Derived::Implicit(own_collation(target)),
                    other => other,
                })
            }
            Ast::BinaryOp { left, op: BinaryOperator::StringConcat, right } => {
                let left = self.derived(left, depth)?;
                let right = self.derived(right, depth)?;
                merged(left, right)
            }
            Ast::Case { conditions, else_result, .. } => {
                let mut found = Derived::Nothing;
                for result in conditions.iter().map(|when| &when.result).chain(else_result.as_deref()) {
                    let next = self.derived(result, depth)?;
                    found = merged(found, next)?;
                }
                Ok(found)
            }
            Ast::Function(function) => self.of_arguments(function, depth),
            _ => Ok(Derived::Nothing),
        }
    }

    fn of_arguments(&mut self, function: &ast::Function, depth: usize) -> Result<Derived> {
        let (_, base) = name::split(&function.name)?;
        let FunctionArguments::List(list) = &function.args else { return Ok(Derived::Nothing) };
        let mut found = Derived::Nothing;
        if !OF_ARGUMENTS.contains(&base.as_str()) {
            return Ok(found);
        }
        for argument in &list.args {
            let next = match argument_expr(argument) {
                Ok(argument) => self.derived(argument, depth)?,
                Err(_) => Derived::Nothing,
            };
            found = merged(found, next)?;
        }
        Ok(found)
    }

    /// The collation of a column of a stored table, or of a column's type.
    fn of_column(&mut self, expr: &Ast) -> Derived {
        let Ok(bound) = self.bind(expr) else { return Derived::Nothing };
        let data_type = self.underlying(bound.data_type());
        if relations::collation(data_type.oid) == 0 {
            return Derived::Nothing;
        }
        let Some((table, number)) = self.source_of(&bound) else {
            return Derived::Implicit(own_collation(data_type));
        };
        let column = self.catalog.table(table).map(|entry| entry.table.column_numbered(number).collation);
        let named = column.filter(|collation| *collation != 0).and_then(relations::collation_name);
        Derived::Implicit(named.map_or_else(|| own_collation(data_type), str::to_owned))
    }
}

/// The name of the collation of a type.
fn own_collation(data_type: DataType) -> String {
    let name = relations::collation_name(relations::collation(data_type.oid));
    name.unwrap_or("default").to_owned()
}
