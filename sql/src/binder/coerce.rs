//! Conversions made explicit.

use std::sync::Arc;

use super::Binder;
use super::literal::{constant, unknown};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::{Cast, Expr};
use crate::functions::{CastContext, CastMethod, EvalContext, common_type, registry};
use crate::relations;
use crate::types::domain::underlying;
use crate::types::{DataType, format_type, oids};
use crate::value::{Datum, RecordShape, Text};

/// What the text form of a type depends on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LiteralKind {
    /// On nothing: such literals are constants once the statement is bound.
    Plain,
    /// On settings, and on when it is read: read when the statement runs, and once before, for its errors.
    Settings,
    /// On the catalog of the session.
    Session,
}

fn literal_kind(oid: u32) -> LiteralKind {
    match oid {
        oids::TIMESTAMPTZ | oids::TIMESTAMP | oids::DATE | oids::TIME | oids::TIMETZ => LiteralKind::Settings,
        oids::REGCLASS
        | oids::REGTYPE
        | oids::REGPROC
        | oids::REGPROCEDURE
        | oids::REGNAMESPACE
        | oids::REGROLE
        | oids::REGCONFIG
        | oids::REGCOLLATION
        | oids::REGOPER
        | oids::REGOPERATOR => LiteralKind::Session,
        _ => LiteralKind::Plain,
    }
}

fn literal_at_run_time(text: Text, target: DataType, explicit: bool) -> Expr {
    let text = cast_expr(unknown(Datum::Text(text)), CastMethod::Binary, DataType::TEXT, true);
    cast_expr(text, CastMethod::InOut, target, explicit)
}

/// A conversion by a known method.
fn cast_expr(argument: Expr, method: CastMethod, data_type: DataType, explicit: bool) -> Expr {
    let source = argument.data_type();
    Expr::Cast(Box::new(Cast { argument, method, source, data_type, explicit }))
}

impl Binder<'_> {
    /// Converts `expr` to `target` in a context.
    ///
    /// # Errors
    /// 42846 (explicit) or 42804 where no conversion exists; 22P02 and its like for a literal that does not
    /// parse.
    pub(super) fn coerce(&mut self, expr: Expr, target: DataType, context: CastContext) -> Result<Expr> {
        let source = expr.data_type();
        if source.oid == oids::UNKNOWN {
            return self.coerce_unknown(expr, target, context);
        }
        if source == target || target.oid == oids::ANY {
            return Ok(expr);
        }
        if source.oid == target.oid && target.typmod < 0 {
            // `x::numeric` promises no scale, whatever the values that come now have.
            return Ok(match context {
                CastContext::Explicit => cast_expr(expr, CastMethod::Binary, target, true),
                _ => expr,
            });
        }
        if source == DataType::RECORD
            && let Some(shape) = self.row_shape_of(target).cloned()
        {
            let row = self.coerce_row(expr, shape, context)?;
            // A domain's constraints are tested on the whole.
            return if row.data_type().oid == target.oid {
                Ok(row)
            } else {
                self.coerce(row, target, context)
            };
        }
        let expr = self.without_domain(expr, target);
        let source = expr.data_type();
        if source == target {
            return Ok(expr);
        }
        // A value of a polymorphic type keeps its own.
        if target.oid == oids::ANYARRAY
            && registry().can_coerce(source.oid, target.oid, context, &self.types())
        {
            return Ok(expr);
        }
        let Some(method) = registry().cast_method(source.oid, target.oid, context, &self.types()) else {
            return Err(self.cannot_cast(source, target));
        };
        let explicit = context == CastContext::Explicit;
        Ok(cast_expr(expr, method, target, explicit))
    }

    /// Makes an anonymous row one of a type with named fields, field by field.
    fn coerce_row(&mut self, row: Expr, shape: Arc<RecordShape>, context: CastContext) -> Result<Expr> {
        let target = DataType::of(shape.type_oid);
        let refused = self.cannot_cast(DataType::RECORD, target);
        let Expr::Row { mut fields, .. } = row else { return Err(refused) };
        if !self.views.is_empty() {
            // A view's row keeps the fields that there were when it was made: later ones are NULL.
            let later = shape.fields.get(fields.len()..).unwrap_or_default();
            fields.extend(later.iter().map(|(_, data_type)| constant(Datum::Null, *data_type)));
        }
        if fields.len() != shape.fields.len() {
            let many = if fields.len() > shape.fields.len() { "many" } else { "few" };
            return Err(refused.with_detail(format!("Input has too {many} columns.")));
        }
        let mut converted = Vec::with_capacity(fields.len());
        for (at, (field, (_, wanted))) in (1..).zip(fields.into_iter().zip(&shape.fields)) {
            let given = field.data_type();
            let field = self.coerce(field, *wanted, context).map_err(|error| match error.state() {
                SqlState::CANNOT_COERCE => refused.clone().with_detail(format!(
                    "Cannot cast type {} to {} in column {at}.",
                    self.type_name(given),
                    self.type_name(*wanted)
                )),
                _ => error,
            })?;
            converted.push(field);
        }
        Ok(Expr::Row { fields: converted, shape })
    }

    fn coerce_unknown(&mut self, expr: Expr, target: DataType, context: CastContext) -> Result<Expr> {
        if target.oid == oids::UNKNOWN || target.oid == oids::ANY {
            return Ok(expr);
        }
        let base = underlying(target, &self.types());
        if base != target {
            // What a domain's constraints say is asked when the statement runs.
            let expr = match expr {
                Expr::Parameter { index, .. } if !self.is_decided(index) => {
                    self.parameters[index] = target;
                    Expr::Parameter { index, data_type: target }
                }
                other => self.coerce_unknown(other, base, context)?,
            };
            let method = CastMethod::Domain(Box::new(CastMethod::Binary));
            return Ok(cast_expr(expr, method, target, context == CastContext::Explicit));
        }
        match expr {
            Expr::Const { value: Datum::Null, .. } => Ok(constant(Datum::Null, target)),
            // The relation is looked up now: the constant is its OID, whatever it is called later.
            Expr::Const { value: Datum::Text(text), data_type } if target.oid == oids::REGCLASS => {
                let path = &self.environment.search_path;
                let catalog = self.environment.who.among(self.catalog);
                let found = relations::relation_oid(&catalog, path, &text)
                    .map_err(|error| self.locate_literal(error, data_type))?;
                Ok(constant(Datum::Oid(found), target))
            }
            Expr::Const { value: Datum::Text(text), data_type } => {
                let explicit = context == CastContext::Explicit;
                let types = self.types();
                let settings = &self.environment.settings;
                let context = EvalContext { types: &types, ..EvalContext::detached(settings) };
                let info = context.type_info(target.oid)?;
                let is_row = self.row_shape_of(target).is_some();
                let kind = match self.element_of(target).unwrap_or(target.oid) {
                    _ if is_row => LiteralKind::Settings,
                    element => literal_kind(element),
                };
                if kind != LiteralKind::Session && !is_row {
                    self.note_literal(&text, data_type, target);
                }
                if kind == LiteralKind::Session {
                    return Ok(literal_at_run_time(text, target, explicit));
                }
                // What a bare number counts follows from an interval's fields.
                let modifier = if target.oid == oids::INTERVAL { target.typmod } else { -1 };
                let value = info
                    .parse_text(&text, modifier, &context)
                    .map_err(|error| self.locate_literal(error, data_type))?;
                if kind == LiteralKind::Settings {
                    return Ok(literal_at_run_time(text, target, explicit));
                }
                // An explicit cast to a length cuts; an assignment refuses.
                match info.apply_modifier(value.clone(), target.typmod, explicit) {
                    Ok(value) => Ok(constant(value, target)),
                    // What does not fit fails where it is evaluated, without a place in the text.
                    Err(_) => Ok(literal_at_run_time(text, target, explicit)),
                }
            }
            Expr::Parameter { index, .. } => {
                let target = if !self.is_decided(index) {
                    // A parameter takes the type without a modifier: the value is fitted where it is used.
                    self.parameters[index] = DataType::of(target.oid);
                    target
                } else {
                    target
                };
                let parameter = Expr::Parameter { index, data_type: self.parameters[index] };
                if self.parameters[index] == target {
                    Ok(parameter)
                } else {
                    self.coerce(parameter, target, context)
                }
            }
            // The value of a subquery or CASE of unknown literals is text.
            other => {
                let text = cast_expr(other, CastMethod::Binary, DataType::TEXT, true);
                if target.oid == oids::TEXT {
                    return Ok(text);
                }
                Ok(cast_expr(text, CastMethod::InOut, target, context == CastContext::Explicit))
            }
        }
    }

    /// Whether a parameter has a type.
    fn is_decided(&self, index: usize) -> bool {
        !matches!(self.parameters[index].oid, oids::UNKNOWN | 0)
    }

    /// A column of a domain taken for one of the type under it, where that is wanted: the values are the same.
    fn without_domain(&self, expr: Expr, target: DataType) -> Expr {
        match expr {
            Expr::Column { index, data_type } => {
                let base = underlying(data_type, &self.types());
                let data_type = if base.oid == target.oid { base } else { data_type };
                Expr::Column { index, data_type }
            }
            other => other,
        }
    }

    /// Gives an expression of unknown type the type text.
    pub(super) fn settle(&mut self, expr: Expr) -> Result<Expr> {
        if expr.data_type().oid == oids::UNKNOWN {
            return self.coerce(expr, DataType::TEXT, CastContext::Implicit);
        }
        Ok(expr)
    }

    /// Converts a condition to boolean.
    ///
    /// # Errors
    /// 42804 `argument of WHERE must be type boolean, not type integer`.
    pub(super) fn condition(&mut self, expr: Expr, clause: &str) -> Result<Expr> {
        let expr = self.without_domain(expr, DataType::BOOL);
        let source = expr.data_type();
        if source.oid == oids::BOOL {
            return Ok(expr);
        }
        if source.oid == oids::UNKNOWN {
            return self.coerce(expr, DataType::BOOL, CastContext::Implicit);
        }
        Err(SqlError::new(
            SqlState::DATATYPE_MISMATCH,
            format!("argument of {clause} must be type boolean, not type {}", self.type_name(source)),
        ))
    }

    /// Converts a value for a column.
    ///
    /// # Errors
    /// 42804 `column "a" is of type integer but expression is of type text`.
    pub(super) fn assign(&mut self, expr: Expr, target: DataType, column: &str) -> Result<Expr> {
        let source = expr.data_type();
        let is_row = matches!(expr, Expr::Row { .. }) && self.row_shape_of(target).is_some();
        if source.oid != oids::UNKNOWN
            && !(is_row && source == DataType::RECORD)
            && registry()
                .cast_method(source.oid, target.oid, CastContext::Assignment, &self.types())
                .is_none()
        {
            return Err(SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "column \"{column}\" is of type {} but expression is of type {}",
                    self.type_name(target),
                    self.type_name(source)
                ),
            )
            .with_hint("You will need to rewrite or cast the expression."));
        }
        self.coerce(expr, target, CastContext::Assignment)
    }

    /// Converts all to the type they have in common.
    ///
    /// # Errors
    /// 42804 where there is none.
    pub(super) fn unify(&mut self, exprs: Vec<Expr>, construct: &str) -> Result<(Vec<Expr>, DataType)> {
        let data_type = self.common(&exprs, construct)?;
        let converted: Result<Vec<Expr>> =
            exprs.into_iter().map(|expr| self.coerce(expr, data_type, CastContext::Implicit)).collect();
        Ok((converted?, data_type))
    }

    /// The type that expressions have in common.
    pub(super) fn common(&self, exprs: &[Expr], construct: &str) -> Result<DataType> {
        let types: Vec<DataType> = exprs.iter().map(Expr::data_type).collect();
        let inputs: Vec<u32> = types.iter().map(|each| each.oid).collect();
        let oid = common_type(&inputs, construct, registry(), &self.types())?;
        // Types of one category need not convert to each other. Anonymous rows do field by field.
        let is_stuck = |input: &&u32| {
            **input != oids::RECORD
                && !registry().can_coerce(**input, oid, CastContext::Implicit, &self.types())
        };
        if let Some(stuck) = inputs.iter().find(is_stuck) {
            let construct = if construct == "CASE" { "CASE/WHEN" } else { construct };
            let (from, to) = (self.type_name(DataType::of(*stuck)), self.type_name(DataType::of(oid)));
            let message = format!("{construct} could not convert type {from} to {to}");
            return Err(SqlError::new(SqlState::CANNOT_COERCE, message));
        }
        // A modifier that all share is kept.
        let typmod = match types.split_first() {
            Some((first, rest)) if first.oid == oid && rest.iter().all(|each| each == first) => first.typmod,
            _ => -1,
        };
        Ok(DataType { oid, typmod })
    }

    /// A type's name in errors.
    pub(super) fn type_name(&self, data_type: DataType) -> String {
        format_type(DataType::of(data_type.oid), &self.types())
    }

    fn cannot_cast(&self, source: DataType, target: DataType) -> SqlError {
        SqlError::new(
            SqlState::CANNOT_COERCE,
            format!("cannot cast type {} to {}", self.type_name(source), self.type_name(target)),
        )
    }
}
