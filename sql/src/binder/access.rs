//! `value[…]` and `(value).field`.

use sqlparser::ast::{self, AccessExpr, Expr as Ast, Subscript};

use super::literal::constant;
use super::{Binder, name};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::functions::{CastContext, slice_function};
use crate::parser::{ALL, marked};
use crate::types::{DataType, oids};
use crate::value::Datum;

/// The most subscripts an array takes.
const DIMENSIONS_MAX: usize = 6;

/// An expression without the parentheses around it.
fn inner(expr: &Ast) -> &Ast {
    match expr {
        Ast::Nested(nested) => inner(nested),
        other => other,
    }
}

/// Whether a chain of accesses ends in `.*`.
pub(super) fn ends_in_star(chain: &[AccessExpr]) -> bool {
    matches!(chain.last(), Some(AccessExpr::Dot(Ast::Identifier(last))) if marked(last) == Some(ALL))
}

impl Binder<'_> {
    pub(super) fn bind_access(&mut self, root: &Ast, chain: &[AccessExpr]) -> Result<Expr> {
        let mut rest = chain;
        let mut value = match (inner(root), chain.split_first()) {
            // `(table).column`
            (Ast::Identifier(table), Some((AccessExpr::Dot(Ast::Identifier(field)), after)))
                if self.is_relation(None, &name::fold(table), matches!(root, Ast::Nested(_))) =>
            {
                rest = after;
                self.bind(&Ast::CompoundIdentifier(vec![table.clone(), field.clone()]))?
            }
            // `schema.table.column[…]`
            (Ast::Identifier(schema), Some((AccessExpr::Dot(Ast::Identifier(table)), after)))
                if self.is_relation(Some(&name::fold(schema)), &name::fold(table), false) =>
            {
                let Some((AccessExpr::Dot(Ast::Identifier(field)), after)) = after.split_first() else {
                    return Err(SqlError::syntax("a column's name was expected"));
                };
                rest = after;
                self.bind(&Ast::CompoundIdentifier(vec![schema.clone(), table.clone(), field.clone()]))?
            }
            _ => self.bind_settled(root)?,
        };
        while let Some((first, after)) = rest.split_first() {
            match first {
                AccessExpr::Dot(Ast::Identifier(field)) => {
                    value = self
                        .record_field(value, &name::fold(field))
                        .map_err(|error| self.locate(error, ast::Spanned::span(root).start))?;
                    rest = after;
                }
                AccessExpr::Dot(_) => return Err(SqlError::syntax("a field's name was expected")),
                AccessExpr::Subscript(_) => {
                    let is_subscript = |access: &&AccessExpr| matches!(access, AccessExpr::Subscript(_));
                    let count = rest.iter().take_while(is_subscript).count();
                    value = self.bind_subscripts(value, &rest[..count]).map_err(|error| {
                        match error.message().starts_with("cannot subscript") {
                            true => self.locate(error, ast::Spanned::span(root).start),
                            false => error,
                        }
                    })?;
                    rest = &rest[count..];
                }
            }
        }
        Ok(value)
    }

    /// Whether a name is that of a FROM item, here or in the nearest query around that knows it; where columns go first,
    /// only that.
    fn is_relation(&self, schema: Option<&str>, wanted: &str, columns_first: bool) -> bool {
        for scope in self.levels.iter().rev().map(|level| &level.scope) {
            if columns_first && !matches!(scope.unqualified(wanted), Ok(None)) {
                return false;
            }
            if scope.relation(schema, wanted).is_some() {
                return true;
            }
        }
        false
    }

    fn bind_subscripts(&mut self, value: Expr, subscripts: &[AccessExpr]) -> Result<Expr> {
        let source = value.data_type();
        if source.oid == oids::JSONB {
            return subscripts.iter().try_fold(value, |value, each| {
                let index = self.bind_json_index(each)?;
                self.call_named("jsonb_subscript", vec![value, index])
            });
        }
        if let (oids::NAME, [AccessExpr::Subscript(Subscript::Index { index })]) = (source.oid, subscripts) {
            return self.bind_name_subscript(value, index);
        }
        let subscripts = self.array_subscripts(source, subscripts)?;
        if subscripts.iter().any(|each| matches!(each, Subscript::Slice { .. })) {
            return self.bind_slice(value, &subscripts);
        }
        let mut indices = Vec::new();
        for subscript in subscripts {
            if let Subscript::Index { index } = subscript {
                indices.push(self.bind_index(index)?);
            }
        }
        let element = self.element_of(source).unwrap_or(source.oid);
        let data_type = DataType { oid: element, typmod: source.typmod };
        Ok(Expr::Subscript { array: Box::new(value), indices, data_type })
    }

    /// The subscripts of an array.
    ///
    /// # Errors
    /// 42804 for what is no array, 54000 for too many.
    pub(super) fn array_subscripts<'s>(
        &self,
        source: DataType,
        subscripts: &'s [AccessExpr],
    ) -> Result<Vec<&'s Subscript>> {
        if self.element_of(source).is_none() {
            return Err(SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "cannot subscript type {} because it does not support subscripting",
                    self.type_name(source)
                ),
            ));
        }
        if subscripts.len() > DIMENSIONS_MAX {
            return Err(SqlError::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!(
                    "number of array dimensions ({}) exceeds the maximum allowed ({DIMENSIONS_MAX})",
                    subscripts.len()
                ),
            ));
        }
        let subscripts = subscripts.iter().filter_map(|access| match access {
            AccessExpr::Subscript(subscript) => Some(subscript),
            AccessExpr::Dot(_) => None,
        });
        Ok(subscripts.collect())
    }

    /// A name's characters have subscripts from 0.
    fn bind_name_subscript(&mut self, value: Expr, index: &Ast) -> Result<Expr> {
        let one = || constant(Datum::Int32(1), DataType::INT4);
        let index = self.bind_index(index)?;
        let from = self.operate("+", Some(index), one(), &Ast::value(ast::Value::Null))?;
        let letter = self.call_named("substr", vec![value, from, one()])?;
        self.coerce(letter, DataType::of(oids::CHAR), CastContext::Explicit)
    }

    pub(super) fn bind_index(&mut self, index: &Ast) -> Result<Expr> {
        let bound = self.bind(index)?;
        self.coerce(bound, DataType::INT4, CastContext::Assignment).map_err(|error| {
            if error.state() == SqlState::CANNOT_COERCE {
                let error =
                    SqlError::new(SqlState::DATATYPE_MISMATCH, "array subscript must have type integer");
                return self.locate(error, ast::Spanned::span(index).start);
            }
            error
        })
    }

    fn bind_slice(&mut self, value: Expr, subscripts: &[&Subscript]) -> Result<Expr> {
        let data_type = value.data_type();
        let mut arguments = self.bind_slice_bounds(subscripts)?;
        arguments.insert(0, value);
        Ok(Expr::call(slice_function(), arguments, data_type))
    }

    /// For each bound whether it is given, and what it is: where one subscript is a slice, all are, from 1.
    pub(super) fn bind_slice_bounds(&mut self, subscripts: &[&Subscript]) -> Result<Vec<Expr>> {
        let mut arguments = Vec::new();
        let flag = |given: bool| constant(Datum::Bool(given), DataType::BOOL);
        for subscript in subscripts {
            let bounds = match subscript {
                Subscript::Index { index } => [None, Some(index)],
                Subscript::Slice { lower_bound, upper_bound, .. } => {
                    [lower_bound.as_ref(), upper_bound.as_ref()]
                }
            };
            let is_index = matches!(subscript, Subscript::Index { .. });
            for (at, bound) in bounds.into_iter().enumerate() {
                match bound {
                    Some(bound) => {
                        arguments.push(flag(true));
                        arguments.push(self.bind_index(bound)?);
                    }
                    None if is_index && at == 0 => {
                        arguments.push(flag(true));
                        arguments.push(constant(Datum::Int32(1), DataType::INT4));
                    }
                    None => {
                        arguments.push(flag(false));
                        arguments.push(constant(Datum::Null, DataType::INT4));
                    }
                }
            }
        }
        Ok(arguments)
    }

    /// A subscript of jsonb: an integer or a text.
    pub(super) fn bind_json_index(&mut self, access: &AccessExpr) -> Result<Expr> {
        let AccessExpr::Subscript(Subscript::Index { index }) = access else {
            return Err(SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                "jsonb subscript does not support slices",
            ));
        };
        let index_expr = self.bind(index)?;
        let wanted = match index_expr.data_type().oid {
            oids::INT4 | oids::INT2 => DataType::INT4,
            oids::UNKNOWN | oids::TEXT | oids::VARCHAR | oids::BPCHAR | oids::NAME => DataType::TEXT,
            _ => {
                let kind = self.type_name(index_expr.data_type());
                let error = SqlError::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!("subscript type {kind} is not supported"),
                )
                .with_hint("jsonb subscript must be coercible to either integer or text.");
                return Err(self.locate(error, ast::Spanned::span(index).start));
            }
        };
        self.coerce(index_expr, wanted, CastContext::Implicit)
    }
}
