//! Calls with OVER.

use sqlparser::ast::{self, FunctionArguments, WindowFrameBound, WindowFrameUnits, WindowSpec, WindowType};

use super::call::argument_expr;
use super::literal::constant;
use super::places::WindowPart;
use super::{AggregatesIn, Binder, name};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::functions::{CastContext, registry};
use crate::parser::marked;
use crate::plan::logical::SortKey;
use crate::plan::walk;
use crate::plan::window::{
    Exclusion, Frame, FrameBound, FrameUnit, ValueBound, WindowCall, WindowFunction, WindowOrder,
};
use crate::types::{DataType, oids};
use crate::value::Datum;

/// What is known of a window's definition once its base is taken in.
#[derive(Clone)]
struct Definition {
    partition: Vec<ast::Expr>,
    order: Vec<ast::OrderByExpr>,
    frame: Option<ast::WindowFrame>,
    exclusion: Exclusion,
}

impl Definition {
    /// The parser is given EXCLUDE as one more key.
    fn take_exclusion(&mut self) {
        let exclusion = |key: &ast::Expr| match key {
            ast::Expr::Identifier(identifier) => match marked(identifier)? {
                "exclude current row" => Some(Exclusion::CurrentRow),
                "exclude group" => Some(Exclusion::Group),
                "exclude ties" => Some(Exclusion::Ties),
                _ => Some(Exclusion::Nothing),
            },
            _ => None,
        };
        if let Some(found) = self.order.last().and_then(|key| exclusion(&key.expr)) {
            self.order.pop();
            self.exclusion = found;
        } else if let Some(found) = self.partition.last().and_then(exclusion) {
            self.partition.pop();
            self.exclusion = found;
        }
    }
}

/// 42P20.
fn windowing(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::WINDOWING_ERROR, message)
}

/// Whether a name is of a function that needs OVER.
pub(super) fn needs_over(base: &str) -> bool {
    matches!(
        base,
        "row_number"
            | "rank"
            | "dense_rank"
            | "percent_rank"
            | "cume_dist"
            | "ntile"
            | "lag"
            | "lead"
            | "first_value"
            | "last_value"
            | "nth_value"
    )
}

/// Why there is no window call in the arguments of another.
pub(super) const NESTED: &str = "window function calls cannot be nested";

impl Binder<'_> {
    /// Binds a call with OVER: a column that a window node below the select list will give.
    pub(super) fn bind_window_call(
        &mut self,
        function: &ast::Function,
        base: &str,
        over: &WindowType,
    ) -> Result<Expr> {
        match self.collectors.last().map(|collector| collector.aggregates_in) {
            None => return Err(windowing("window functions are not allowed here")),
            Some(AggregatesIn::Forbidden(clause)) => {
                return Err(windowing(format!("window functions are not allowed in {clause}")));
            }
            Some(AggregatesIn::Aggregate) => {
                return Err(SqlError::new(
                    SqlState::GROUPING_ERROR,
                    "aggregate function calls cannot contain window function calls",
                ));
            }
            Some(AggregatesIn::Query) => {}
        }
        if let Some(error) = self.in_window {
            return Err(windowing(error));
        }
        let bound = self.window_parts(function, base, over);
        self.in_window = None;
        let (order, call) = bound?;
        let id = self.column_id();
        let data_type = call.data_type;
        if let Some(collector) = self.collectors.last_mut() {
            let known = collector.windows.iter_mut().find(|(known, _)| same_order(known, &order));
            match known {
                Some((_, calls)) => calls.push((id, call)),
                None => collector.windows.push((order, vec![(id, call)])),
            }
        }
        Ok(Expr::Column { index: id, data_type })
    }

    fn window_parts(
        &mut self,
        function: &ast::Function,
        base: &str,
        over: &WindowType,
    ) -> Result<(WindowOrder, WindowCall)> {
        let definition = self
            .window_definition(over)
            .map_err(|error| self.at_window(error, function, WindowPart::Whole))?;
        self.in_window = Some("window functions are not allowed in window definitions");
        let mut partition = Vec::new();
        for expr in &definition.partition {
            partition.push(self.bind_settled(expr)?);
        }
        let mut order = Vec::new();
        for key in &definition.order {
            let expr = self.bind_settled(&key.expr)?;
            order.push(super::order::sort_key(self, expr, &key.options)?);
        }
        let frame = self.window_frame(function, definition.frame.as_ref(), definition.exclusion, &order)?;
        self.in_window = Some(NESTED);
        let call = self.window_call(function, base, frame)?;
        Ok((WindowOrder { partition, order }, call))
    }

    fn window_definition(&self, over: &WindowType) -> Result<Definition> {
        match over {
            WindowType::NamedWindow(window) => self.named_window(&name::fold(window)),
            WindowType::WindowSpec(spec) => self.extended_window(spec),
        }
    }

    fn named_window(&self, wanted: &str) -> Result<Definition> {
        let windows = self.collectors.last().map(|collector| collector.named_windows.as_slice());
        let found = windows.unwrap_or_default().iter().find(|(known, _)| known == wanted);
        match found {
            Some((_, spec)) => self.extended_window(spec),
            None => {
                Err(SqlError::new(SqlState::UNDEFINED_OBJECT, format!("window \"{wanted}\" does not exist")))
            }
        }
    }

    /// A specification with what it takes over from the window that it names.
    fn extended_window(&self, spec: &WindowSpec) -> Result<Definition> {
        let mut own = Definition {
            partition: spec.partition_by.clone(),
            order: spec.order_by.clone(),
            frame: spec.window_frame.clone(),
            exclusion: Exclusion::Nothing,
        };
        own.take_exclusion();
        let Some(base) = &spec.window_name else { return Ok(own) };
        let base_name = name::fold(base);
        let base = self.named_window(&base_name)?;
        if !own.partition.is_empty() {
            return Err(windowing(format!("cannot override PARTITION BY clause of window \"{base_name}\"")));
        }
        if !own.order.is_empty() && !base.order.is_empty() {
            return Err(windowing(format!("cannot override ORDER BY clause of window \"{base_name}\"")));
        }
        if base.frame.is_some() {
            return Err(windowing(format!(
                "cannot copy window \"{base_name}\" because it has a frame clause"
            )));
        }
        let order = if own.order.is_empty() { base.order } else { own.order };
        Ok(Definition { partition: base.partition, order, frame: own.frame, exclusion: own.exclusion })
    }

    fn window_frame(
        &mut self,
        function: &ast::Function,
        frame: Option<&ast::WindowFrame>,
        exclusion: Exclusion,
        order: &[SortKey],
    ) -> Result<Frame> {
        let Some(frame) = frame else {
            return Ok(Frame {
                unit: FrameUnit::Range,
                start: FrameBound::Unbounded,
                end: if order.is_empty() { FrameBound::Unbounded } else { FrameBound::CurrentRow },
                exclusion,
            });
        };
        let unit = match frame.units {
            WindowFrameUnits::Rows => FrameUnit::Rows,
            WindowFrameUnits::Range => FrameUnit::Range,
            WindowFrameUnits::Groups => FrameUnit::Groups,
        };
        if unit == FrameUnit::Groups && order.is_empty() {
            let error = windowing("GROUPS mode requires an ORDER BY clause");
            return Err(self.at_window(error, function, WindowPart::Whole));
        }
        let end = frame.end_bound.clone().unwrap_or(WindowFrameBound::CurrentRow);
        let wrong = match (&frame.start_bound, &end) {
            (WindowFrameBound::Following(None), _) => {
                Some((WindowPart::FrameStart, "frame start cannot be UNBOUNDED FOLLOWING"))
            }
            (_, WindowFrameBound::Preceding(None)) => {
                Some((WindowPart::FrameEnd, "frame end cannot be UNBOUNDED PRECEDING"))
            }
            (WindowFrameBound::CurrentRow, WindowFrameBound::Preceding(_)) => {
                Some((WindowPart::FrameEnd, "frame starting from current row cannot have preceding rows"))
            }
            (
                WindowFrameBound::Following(_),
                WindowFrameBound::CurrentRow | WindowFrameBound::Preceding(_),
            ) => Some((WindowPart::FrameEnd, "frame starting from following row cannot have preceding rows")),
            _ => None,
        };
        if let Some((part, message)) = wrong {
            // Without BETWEEN there is one bound.
            let part = if frame.end_bound.is_none() { WindowPart::FrameStart } else { part };
            return Err(self.at_window(windowing(message), function, part));
        }
        let is_ordered = order.len() == 1;
        let has_distance = [&frame.start_bound, &end].into_iter().any(|bound| {
            matches!(bound, WindowFrameBound::Preceding(Some(_)) | WindowFrameBound::Following(Some(_)))
        });
        if unit == FrameUnit::Range && has_distance && !is_ordered {
            let message = "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column";
            return Err(self.at_window(windowing(message), function, WindowPart::Whole));
        }
        let start = self.frame_bound(&frame.start_bound, unit, order)?;
        let end = self.frame_bound(&end, unit, order)?;
        Ok(Frame { unit, start, end, exclusion })
    }

    /// Whether an expression reads nothing of the rows; subqueries behind the first `before` may be in it.
    fn is_same_for_all(&self, expr: &Expr, before: usize) -> bool {
        let subqueries = self.collectors.last().map_or(&[][..], |collector| &collector.pending[before..]);
        let mut same = !walk::is_volatile(expr);
        walk::columns(expr, &mut |id| {
            same &= subqueries.iter().any(|each| each.output == id && each.correlations.is_empty());
        });
        same
    }

    fn frame_bound(
        &mut self,
        bound: &WindowFrameBound,
        unit: FrameUnit,
        order: &[SortKey],
    ) -> Result<FrameBound> {
        let (offset, preceding) = match bound {
            WindowFrameBound::CurrentRow => return Ok(FrameBound::CurrentRow),
            WindowFrameBound::Preceding(None) | WindowFrameBound::Following(None) => {
                return Ok(FrameBound::Unbounded);
            }
            WindowFrameBound::Preceding(Some(offset)) => (offset, true),
            WindowFrameBound::Following(Some(offset)) => (offset, false),
        };
        if unit != FrameUnit::Range {
            let before = self.collectors.last().map_or(0, |collector| collector.pending.len());
            let rows = self.bind_as(offset, DataType::INT8)?;
            let clause = if unit == FrameUnit::Rows { "ROWS" } else { "GROUPS" };
            if !self.is_same_for_all(&rows, before) {
                let error = SqlError::new(
                    SqlState::INVALID_COLUMN_REFERENCE,
                    format!("argument of {clause} must not contain variables"),
                );
                return Err(self.locate(error, ast::Spanned::span(offset.as_ref()).start));
            }
            return Ok(if preceding { FrameBound::Preceding(rows) } else { FrameBound::Following(rows) });
        }
        let [key] = order else {
            return Err(windowing(
                "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column",
            ));
        };
        let key_type = self.underlying(key.expr.data_type());
        let distance = distance_type(key_type.oid);
        let mut offset_expr = self.bind(offset)?;
        let given = offset_expr.data_type();
        let location = ast::Spanned::span(offset.as_ref()).start;
        let fits = |distance: u32| {
            given.oid == oids::UNKNOWN
                || crate::functions::registry().can_coerce(
                    given.oid,
                    distance,
                    CastContext::Implicit,
                    &self.types(),
                )
        };
        let Some(distance) = distance.filter(|distance| fits(*distance)) else {
            let (column, shown) = (self.type_name(key_type), self.type_name(given));
            let message = "RANGE with offset PRECEDING/FOLLOWING is not supported for column type";
            let error = match distance {
                None => SqlError::unsupported(format!("{message} {column}")),
                Some(_) => SqlError::unsupported(format!("{message} {column} and offset type {shown}"))
                    .with_hint("Cast the offset value to an appropriate type."),
            };
            return Err(self.locate(error, location));
        };
        if given.oid == oids::UNKNOWN && matches!(key_type.oid, oids::INT2 | oids::INT4) {
            // A literal is read as the column's own type.
            offset_expr = self.coerce(offset_expr, DataType::of(key_type.oid), CastContext::Implicit)?;
        }
        offset_expr = self.coerce(offset_expr, DataType::of(distance), CastContext::Implicit)?;
        let subtract = preceding != key.descending;
        // What the others compute may lie beyond the type.
        let moved = match key_type.oid {
            oids::INT2
            | oids::INT4
            | oids::INT8
            | oids::FLOAT4
            | oids::FLOAT8
            | oids::TIME
            | oids::TIMETZ => None,
            oid => {
                let operator = if subtract { "-" } else { "+" };
                let value = self.operate(operator, Some(key.expr.clone()), offset_expr.clone(), offset)?;
                Some(self.coerce(value, DataType::of(oid), CastContext::Explicit)?)
            }
        };
        Ok(FrameBound::Value(ValueBound { key: key.expr.clone(), offset: offset_expr, subtract, moved }))
    }

    fn window_call(&mut self, function: &ast::Function, base: &str, frame: Frame) -> Result<WindowCall> {
        let FunctionArguments::List(list) = &function.args else {
            return Err(SqlError::syntax("OVER needs a function with arguments in parentheses"));
        };
        if function.null_treatment.is_some() || list.clauses.iter().any(is_null_treatment) {
            return Err(SqlError::unsupported("IGNORE NULLS and RESPECT NULLS are not supported"));
        }
        if needs_over(base) {
            if function.filter.is_some() {
                return Err(SqlError::unsupported(
                    "FILTER is not implemented for non-aggregate window functions",
                ));
            }
            let mut arguments = Vec::new();
            for argument in &list.args {
                arguments.push(self.bind(argument_expr(argument)?)?);
            }
            return self.ranking_call(base, arguments, frame);
        }
        if registry().aggregates(base).is_empty() {
            let mut types = Vec::new();
            for argument in &list.args {
                types.push(self.bind(argument_expr(argument)?)?.data_type().oid);
            }
            registry().resolve_function(base, &types, &self.types())?;
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("OVER specified, but {base} is not a window function nor an aggregate function"),
            ));
        }
        let call = self.aggregate_parts(function, list, base)?;
        if call.distinct {
            return Err(SqlError::unsupported("DISTINCT is not implemented for window functions"));
        }
        if !call.order_by.is_empty() {
            return Err(SqlError::unsupported("aggregate ORDER BY is not implemented for window functions"));
        }
        Ok(WindowCall {
            function: WindowFunction::Aggregate(call.aggregate),
            arguments: call.arguments,
            filter: call.filter,
            frame,
            data_type: call.data_type,
        })
    }

    /// A call of one of the functions that exist for windows alone.
    fn ranking_call(&mut self, base: &str, arguments: Vec<Expr>, frame: Frame) -> Result<WindowCall> {
        let types: Vec<u32> = arguments.iter().map(|argument| argument.data_type().oid).collect();
        let int4 = |binder: &mut Self, expr: Expr| binder.coerce(expr, DataType::INT4, CastContext::Implicit);
        let mut given = arguments.into_iter();
        let (function, arguments, data_type) = match (base, types.len()) {
            ("row_number", 0) => (WindowFunction::RowNumber, vec![], DataType::INT8),
            ("rank", 0) => (WindowFunction::Rank, vec![], DataType::INT8),
            ("dense_rank", 0) => (WindowFunction::DenseRank, vec![], DataType::INT8),
            ("percent_rank", 0) => (WindowFunction::PercentRank, vec![], DataType::FLOAT8),
            ("cume_dist", 0) => (WindowFunction::CumeDist, vec![], DataType::FLOAT8),
            ("ntile", 1) => {
                let buckets = given.map(|expr| int4(self, expr)).collect::<Result<Vec<Expr>>>()?;
                (WindowFunction::Ntile, buckets, DataType::INT4)
            }
            ("lag" | "lead", 1..=3) => {
                let value = given.next();
                let offset = match given.next() {
                    Some(offset) => int4(self, offset)?,
                    None => constant(Datum::Int32(1), DataType::INT4),
                };
                let values: Vec<Expr> = value.into_iter().chain(given.next()).collect();
                let (mut values, data_type) = self.unify(values, base)?;
                values.insert(1, offset);
                let function = if base == "lag" { WindowFunction::Lag } else { WindowFunction::Lead };
                (function, values, data_type)
            }
            ("first_value" | "last_value", 1) => {
                let (values, data_type) = self.unify(given.collect(), base)?;
                let is_first = base == "first_value";
                let function = if is_first { WindowFunction::FirstValue } else { WindowFunction::LastValue };
                (function, values, data_type)
            }
            ("nth_value", 2) => {
                let (mut values, data_type) = self.unify(given.next().into_iter().collect(), base)?;
                for n in given {
                    values.push(int4(self, n)?);
                }
                (WindowFunction::NthValue, values, data_type)
            }
            _ => {
                registry().resolve_function(base, &types, &self.types())?;
                return Err(SqlError::internal("a window function is no other function"));
            }
        };
        let data_type = if data_type.oid == oids::UNKNOWN { DataType::TEXT } else { data_type };
        let arguments = arguments.into_iter().map(|each| self.settle(each)).collect::<Result<_>>()?;
        Ok(WindowCall { function, arguments, filter: None, frame, data_type })
    }
}

/// What a value of a type can be away from another one: a type, or nothing.
fn distance_type(oid: u32) -> Option<u32> {
    Some(match oid {
        oids::INT2 | oids::INT4 | oids::INT8 => oids::INT8,
        oids::FLOAT4 | oids::FLOAT8 => oids::FLOAT8,
        oids::NUMERIC => oids::NUMERIC,
        oids::DATE | oids::TIME | oids::TIMETZ | oids::TIMESTAMP | oids::TIMESTAMPTZ | oids::INTERVAL => {
            oids::INTERVAL
        }
        _ => return None,
    })
}

fn is_null_treatment(clause: &ast::FunctionArgumentClause) -> bool {
    matches!(clause, ast::FunctionArgumentClause::IgnoreOrRespectNulls(_))
}

fn same_order(left: &WindowOrder, right: &WindowOrder) -> bool {
    left.partition.len() == right.partition.len()
        && left.order.len() == right.order.len()
        && left.partition.iter().zip(&right.partition).all(|(a, b)| walk::same(a, b))
        && left.order.iter().zip(&right.order).all(|(a, b)| {
            a.descending == b.descending && a.nulls_first == b.nulls_first && walk::same(&a.expr, &b.expr)
        })
}
