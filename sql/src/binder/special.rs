//! Expressions with a syntax of their own that are calls underneath.

use sqlparser::ast::{self, BinaryOperator, DateTimeField, Expr as Ast, TrimWhereField};

use super::call::row_fields;
use super::expression::{negate, operator_name};
use super::literal::{constant, unknown};
use super::{Binder, data_type};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::functions::{CastContext, common_type, registry};
use crate::types::{DataType, oids};
use crate::value::Datum;

impl Binder<'_> {
    pub(super) fn bind_special(&mut self, ast: &Ast) -> Result<Expr> {
        match ast {
            Ast::Like { negated, any: false, expr, pattern, escape_char } => self.bind_like(
                ast,
                if *negated { "!~~" } else { "~~" },
                expr,
                pattern,
                escape_char.as_deref(),
            ),
            Ast::ILike { negated, any: false, expr, pattern, escape_char } => self.bind_like(
                ast,
                if *negated { "!~~*" } else { "~~*" },
                expr,
                pattern,
                escape_char.as_deref(),
            ),
            Ast::SimilarTo { negated, expr, pattern, escape_char } => {
                let value = self.bind(expr)?;
                let mut arguments = vec![self.bind(pattern)?];
                if let Some(escape) = escape_char {
                    arguments.push(self.bind(escape)?);
                }
                let regex = self.call_named("similar_to_escape", arguments)?;
                self.operate(if *negated { "!~" } else { "~" }, Some(value), regex, ast)
            }
            Ast::AnyOp { left, compare_op, right, .. } => self.bind_any(left, compare_op, right, false),
            Ast::AllOp { left, compare_op, right } => self.bind_any(left, compare_op, right, true),
            Ast::IsNormalized { expr, form, negated } => {
                let form = form.map_or_else(|| "NFC".to_owned(), |form| form.to_string());
                let arguments = vec![self.bind(expr)?, constant(Datum::text(form), DataType::TEXT)];
                let is = self.call_named("is_normalized", arguments)?;
                Ok(if *negated { negate(is) } else { is })
            }
            Ast::AtTimeZone { timestamp, time_zone } => {
                let arguments = vec![self.bind(time_zone)?, self.bind(timestamp)?];
                self.call_named("timezone", arguments)
            }
            Ast::Extract { field, expr, .. } => {
                let field = constant(Datum::text(field_name(field)), DataType::TEXT);
                let argument = self.bind(expr)?;
                self.call_named("extract", vec![field, argument])
            }
            Ast::Ceil { expr, .. } => {
                let argument = self.bind(expr)?;
                self.call_named("ceil", vec![argument])
            }
            Ast::Floor { expr, .. } => {
                let argument = self.bind(expr)?;
                self.call_named("floor", vec![argument])
            }
            Ast::Position { expr, r#in } => {
                let arguments = vec![self.bind(r#in)?, self.bind(expr)?];
                self.call_named("position", arguments)
            }
            Ast::Substring { expr, substring_from, substring_for, .. } => {
                let mut arguments = vec![self.bind(expr)?];
                match (substring_from, substring_for) {
                    (Some(from), length) => {
                        arguments.push(self.bind(from)?);
                        if let Some(length) = length {
                            arguments.push(self.bind(length)?);
                        }
                    }
                    (None, Some(length)) => {
                        arguments.push(constant(Datum::Int32(1), DataType::INT4));
                        arguments.push(self.bind(length)?);
                    }
                    (None, None) => {}
                }
                self.call_named("substring", arguments)
            }
            Ast::Trim { trim_where, trim_what, expr, trim_characters } => {
                let function = match trim_where {
                    Some(TrimWhereField::Leading) => "ltrim",
                    Some(TrimWhereField::Trailing) => "rtrim",
                    _ => "btrim",
                };
                let mut arguments = vec![self.bind(expr)?];
                if let Some(what) = trim_what {
                    arguments.push(self.bind(what)?);
                }
                for what in trim_characters.iter().flatten() {
                    arguments.push(self.bind(what)?);
                }
                self.call_named(function, arguments)
            }
            Ast::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                let mut arguments =
                    vec![self.bind(expr)?, self.bind(overlay_what)?, self.bind(overlay_from)?];
                if let Some(length) = overlay_for {
                    arguments.push(self.bind(length)?);
                }
                self.call_named("overlay", arguments)
            }
            Ast::Collate { expr, collation } => self.bind_collate(expr, collation),
            Ast::Interval(interval) => self.bind_interval(interval),
            Ast::QualifiedWildcard(object, _) => self.row_of(object),
            Ast::Array(array) => self
                .bind_array(array, None)
                .map_err(|error| self.locate(error, ast::Spanned::span(ast).start)),
            Ast::Tuple(fields) => {
                let fields = fields.iter().map(|field| self.bind(field)).collect::<Result<_>>()?;
                self.settled_row(fields)
            }
            Ast::CompoundFieldAccess { root, access_chain } => self.bind_access(root, access_chain),
            Ast::JsonAccess { .. } => Err(SqlError::syntax("syntax error at or near \":\"")),
            other => Err(SqlError::unsupported(format!("this expression is not supported: {other}"))),
        }
    }

    fn bind_like(
        &mut self,
        at: &Ast,
        operator: &str,
        value: &Ast,
        pattern: &Ast,
        escape: Option<&Ast>,
    ) -> Result<Expr> {
        let value = self.bind(value)?;
        let mut pattern = self.bind(pattern)?;
        if let Some(escape) = escape {
            let escape = self.bind(escape)?;
            pattern = self.call_named("like_escape", vec![pattern, escape])?;
        }
        self.operate(operator, Some(value), pattern, at)
    }

    /// `x op ANY (array | subquery)`.
    fn bind_any(&mut self, left: &Ast, op: &BinaryOperator, right: &Ast, all: bool) -> Result<Expr> {
        let operator = operator_name(op)?;
        let inner = match right {
            Ast::Nested(inner) => inner.as_ref(),
            other => other,
        };
        if let Ast::Subquery(query) = inner {
            if let Some(fields) = row_fields(left) {
                let bound = self.bind_quantified_row(&fields, op, query, all);
                return bound.map_err(|error| match self.position_behind(left) {
                    Some(position) => error.at(position),
                    None => error,
                });
            }
            let left = self.bind(left)?;
            return self.bind_quantified(left, &operator, query, all);
        }
        let written = left;
        let left = self.bind(left)?;
        let array = self.bind(inner)?;
        let array = if array.data_type().oid == oids::UNKNOWN {
            let element =
                if left.data_type().oid == oids::UNKNOWN { DataType::TEXT } else { left.data_type() };
            let target = data_type::array_of(DataType::of(element.oid), &self.types())?;
            self.coerce(array, target, CastContext::Implicit)?
        } else {
            array
        };
        let array_type = array.data_type();
        let Some(element) = self.element_of(array_type) else {
            let error =
                SqlError::new(SqlState::WRONG_OBJECT_TYPE, "op ANY/ALL (array) requires array on right side");
            return Err(match self.position_behind(written) {
                Some(position) => error.at(position),
                None => error,
            });
        };
        // Resolve the comparison as between single values, then convert the whole array for it.
        let resolved =
            registry().resolve_operator(&operator, Some(left.data_type().oid), element, &self.types())?;
        let wanted = resolved.argument_types[1];
        let left = self.coerce(left, DataType::of(resolved.argument_types[0]), CastContext::Implicit)?;
        let array = if wanted == element {
            array
        } else {
            self.coerce(
                array,
                data_type::array_of(DataType::of(wanted), &self.types())?,
                CastContext::Implicit,
            )?
        };
        Ok(Expr::Quantified {
            left: Box::new(left),
            array: Box::new(array),
            function: resolved.function,
            all,
        })
    }

    /// Whether a row is among those of an array.
    pub(super) fn is_among(&mut self, row: Expr, array: Expr) -> Result<Expr> {
        let resolved = registry().resolve_operator("=", Some(oids::RECORD), oids::RECORD, &self.types())?;
        let (left, array) = (Box::new(row), Box::new(array));
        Ok(Expr::Quantified { left, array, function: resolved.function, all: false })
    }

    pub(super) fn bind_array(&mut self, array: &ast::Array, target: Option<DataType>) -> Result<Expr> {
        let mut elements = Vec::new();
        for element in &array.elem {
            elements.push(match element {
                // A nested list takes its element type from the outer cast.
                Ast::Array(inner) => self.bind_array(inner, target)?,
                other => self.bind(other)?,
            });
        }
        if let Some(target) = target {
            let base = self.underlying(target);
            if base != target {
                let bound = self.bind_array(array, Some(base))?;
                return self.coerce(bound, target, CastContext::Explicit);
            }
            let element = self.element_of(target);
            let Some(element) = element else {
                let bound = self.bind_array(array, None)?;
                return self.coerce(bound, target, CastContext::Explicit);
            };
            let element = DataType { oid: element, typmod: target.typmod };
            // Beside a nested list everything is an array.
            let is_nested = array.elem.iter().any(|each| matches!(each, Ast::Array(_)));
            let mut converted = Vec::new();
            for each in elements {
                let wanted = if is_nested || each.data_type().oid == target.oid { target } else { element };
                converted.push(self.coerce(each, wanted, CastContext::Explicit)?);
            }
            return Ok(Expr::Array { elements: converted, data_type: target });
        }
        if elements.is_empty() {
            return Err(SqlError::new(
                SqlState::INDETERMINATE_DATATYPE,
                "cannot determine type of empty array",
            )
            .with_hint("Explicitly cast to the desired type, for example ARRAY[]::integer[]."));
        }
        let inputs: Vec<u32> = elements.iter().map(|each| each.data_type().oid).collect();
        let common = common_type(&inputs, "ARRAY", registry(), &self.types())?;
        let mut converted = Vec::new();
        for each in elements {
            converted.push(self.coerce(each, DataType::of(common), CastContext::Implicit)?);
        }
        // A modifier that all share is the array's.
        let typmod = match converted.split_first().map(|(first, rest)| (first.data_type(), rest)) {
            Some((first, rest)) if rest.iter().all(|each| each.data_type() == first) => first.typmod,
            _ => -1,
        };
        let data_type = data_type::array_of(DataType::of(common), &self.types())?;
        Ok(Expr::Array { elements: converted, data_type: DataType { typmod, ..data_type } })
    }

    fn bind_interval(&mut self, interval: &ast::Interval) -> Result<Expr> {
        let text = match interval.value.as_ref() {
            Ast::Value(value) => match &value.value {
                ast::Value::SingleQuotedString(text) => text.clone(),
                other => other.to_string(),
            },
            other => other.to_string(),
        };
        let fields = interval_fields(interval.leading_field.as_ref(), interval.last_field.as_ref());
        let precision = interval.fractional_seconds_precision.or(interval.leading_precision);
        let target = data_type::resolve(&ast::DataType::Interval { fields, precision }, &self.types())?;
        self.coerce(unknown(Datum::text(text)), target, CastContext::Explicit)
            .map_err(|error| self.locate(error, ast::Spanned::span(interval.value.as_ref()).start))
    }

    /// `NULLIF(a, b)`: NULL where they are equal.
    pub(super) fn bind_nullif(&mut self, first: Expr, second: Expr) -> Result<Expr> {
        let equal = self.operate_unlocated("=", Some(first.clone()), second)?;
        let value = Box::new(self.settle(first)?);
        Ok(Expr::NullIf { equal: Box::new(equal), value })
    }
}

/// The fields that an interval literal is cut to.
fn interval_fields(
    leading: Option<&DateTimeField>,
    last: Option<&DateTimeField>,
) -> Option<ast::IntervalFields> {
    use DateTimeField as D;
    use ast::IntervalFields as F;
    Some(match (leading?, last) {
        (D::Year, None) => F::Year,
        (D::Month, None) => F::Month,
        (D::Day, None) => F::Day,
        (D::Hour, None) => F::Hour,
        (D::Minute, None) => F::Minute,
        (D::Second, None) => F::Second,
        (D::Year, Some(D::Month)) => F::YearToMonth,
        (D::Day, Some(D::Hour)) => F::DayToHour,
        (D::Day, Some(D::Minute)) => F::DayToMinute,
        (D::Day, Some(D::Second)) => F::DayToSecond,
        (D::Hour, Some(D::Minute)) => F::HourToMinute,
        (D::Hour, Some(D::Second)) => F::HourToSecond,
        (D::Minute, Some(D::Second)) => F::MinuteToSecond,
        _ => return None,
    })
}

/// A field's name, in lower case.
fn field_name(field: &DateTimeField) -> String {
    field.to_string().to_lowercase()
}
