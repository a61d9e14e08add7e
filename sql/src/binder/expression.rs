//! Expressions: names, operators, conditions.

use std::sync::Arc;

use sqlparser::ast::{self, BinaryOperator, Expr as Ast, Ident, Spanned, UnaryOperator};
use sqlparser::tokenizer::Location;

use super::call::{is_written_row, marked_value, row_fields};
use super::literal::constant;
use super::modify::is_default;
use super::scope::{ScopeColumn, ScopeRelation, ambiguous};
use super::{AggregatesIn, Binder, data_type, name};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::functions::{CastContext, registry};
use crate::plan::logical::{ColumnId, Correlation};
use crate::types::{DataType, oids};
use crate::value::{Datum, RecordShape};

impl Binder<'_> {
    /// Binds an expression; literals and parameters may stay of type `unknown`.
    ///
    /// # Errors
    /// All the errors of names, types and functions.
    pub(super) fn bind(&mut self, ast: &Ast) -> Result<Expr> {
        crate::watch::check()?;
        stacker::maybe_grow(256 << 10, 4 << 20, || self.bind_here(ast))
    }

    /// Binds an expression and gives an unknown literal the type text.
    pub(super) fn bind_settled(&mut self, ast: &Ast) -> Result<Expr> {
        let expr = self.bind(ast)?;
        self.settle(expr).map_err(|error| self.locate(error, start_of(ast)))
    }

    /// Binds a condition.
    pub(super) fn bind_condition(&mut self, ast: &Ast, clause: &str) -> Result<Expr> {
        let expr = self.bind(ast)?;
        self.condition(expr, clause).map_err(|error| self.locate(error, start_of(ast)))
    }

    /// Binds an expression and converts it implicitly.
    pub(super) fn bind_as(&mut self, ast: &Ast, target: DataType) -> Result<Expr> {
        let expr = self.bind(ast)?;
        self.coerce(expr, target, CastContext::Implicit).map_err(|error| self.locate(error, start_of(ast)))
    }

    fn bind_here(&mut self, ast: &Ast) -> Result<Expr> {
        match ast {
            Ast::Identifier(identifier) if is_default(ast) => {
                let error = SqlError::syntax("DEFAULT is not allowed in this context");
                Err(self.locate(error, identifier.span.start))
            }
            Ast::Identifier(identifier) => self.bind_column(None, identifier),
            Ast::CompoundIdentifier(parts) => self.bind_compound(parts),
            Ast::Value(value) => self.bind_value(value),
            Ast::Nested(inner) => self.bind(inner),
            Ast::BinaryOp { left, op, right } => self.bind_binary(ast, left, op, right),
            Ast::UnaryOp { op, expr } => self.bind_unary(ast, *op, expr),
            Ast::Cast { kind, expr, data_type, .. } => self.bind_cast(kind, expr, data_type),
            Ast::TypedString(typed) => {
                let target = match &typed.data_type {
                    // Without a length, what is written decides.
                    ast::DataType::Bit(None) => DataType::of(oids::BIT),
                    data_type => data_type::resolve(data_type, &self.types()).map_err(|error| match self
                        .position_before(typed.value.span.start, data_type)
                    {
                        Some(position) => error.at(position),
                        None => error,
                    })?,
                };
                let value = self.bind_value(&typed.value)?;
                let location = typed.value.span.start;
                self.coerce(value, target, CastContext::Explicit)
                    .map_err(|error| self.locate(error, location))
            }
            Ast::IsNull(inner) => self.bind_null_test(inner, false),
            Ast::IsNotNull(inner) => self.bind_null_test(inner, true),
            Ast::IsTrue(inner) => self.bind_truth(inner, Some(true), false),
            Ast::IsNotTrue(inner) => self.bind_truth(inner, Some(true), true),
            Ast::IsFalse(inner) => self.bind_truth(inner, Some(false), false),
            Ast::IsNotFalse(inner) => self.bind_truth(inner, Some(false), true),
            Ast::IsUnknown(inner) => self.bind_truth(inner, None, false),
            Ast::IsNotUnknown(inner) => self.bind_truth(inner, None, true),
            Ast::IsDistinctFrom(left, right) => self.bind_distinct(left, right, false),
            Ast::IsNotDistinctFrom(left, right) => self.bind_distinct(left, right, true),
            Ast::Between { expr, negated, low, high } => self.bind_between(ast, expr, *negated, low, high),
            Ast::InList { expr, list, negated } => self.bind_in_list(ast, expr, list, *negated),
            Ast::InSubquery { expr, subquery, negated } => {
                self.bind_once(ast, |binder| binder.bind_in_subquery(expr, subquery, *negated))
            }
            Ast::Exists { subquery, negated } => {
                self.bind_once(ast, |binder| binder.bind_exists(subquery, *negated))
            }
            Ast::Subquery(query) => self.bind_once(ast, |binder| binder.bind_scalar_subquery(query)),
            Ast::Case { operand, conditions, else_result, .. } => {
                self.bind_case(operand.as_deref(), conditions, else_result.as_deref())
            }
            Ast::Function(function) => match marked_value(function) {
                Some(value) => self.bind(value),
                None => self.bind_function(function),
            },
            other => self.bind_special(other),
        }
    }

    // Names -------------------------------------------------------------------------------------------------

    fn bind_compound(&mut self, parts: &[Ident]) -> Result<Expr> {
        match parts {
            [column] => self.bind_column(None, column),
            [table, column] => self.bind_column(Some((None, table)), column),
            [schema, table, column] => self.bind_column(Some((Some(schema), table)), column),
            [_, schema, table, column] => self.bind_column(Some((Some(schema), table)), column),
            _ => Err(SqlError::syntax("improper qualified name (too many dotted names)")),
        }
    }

    fn bind_column(&mut self, qualifier: Option<(Option<&Ident>, &Ident)>, column: &Ident) -> Result<Expr> {
        let column_name = name::fold(column);
        let location =
            qualifier.map_or(column.span.start, |(schema, table)| schema.unwrap_or(table).span.start);
        let Some((qualifier_schema, qualifier_table)) =
            qualifier.map(|(schema, table)| (schema.map(name::fold), name::fold(table)))
        else {
            return self.bind_unqualified(&column_name, location);
        };
        for level in (0..self.levels.len()).rev() {
            let scope = &self.levels[level].scope;
            let Some(relation) = scope.relation(qualifier_schema.as_deref(), &qualifier_table) else {
                continue;
            };
            if scope.is_ambiguous(qualifier_schema.as_deref(), &qualifier_table) {
                let message = format!("table reference \"{qualifier_table}\" is ambiguous");
                return Err(self.locate(SqlError::new(SqlState::AMBIGUOUS_ALIAS, message), location));
            }
            let mut found = relation.columns.iter().filter(|each| each.name == column_name);
            let Some(first) = found.next().cloned() else {
                let mut error = SqlError::new(
                    SqlState::UNDEFINED_COLUMN,
                    format!("column {qualifier_table}.{column_name} does not exist"),
                );
                if let Some(hint) = scope.similar_columns(Some(&qualifier_table), &column_name) {
                    error = error.with_hint(hint);
                }
                let system = self.system_column(level, &column_name, Some(&qualifier_table), location)?;
                return system.ok_or_else(|| self.locate(error, location));
            };
            if found.next().is_some() {
                return Err(self.locate(ambiguous(&column_name), location));
            }
            return Ok(self.reference(level, &first, location));
        }
        let display = name::display(qualifier_schema.as_deref(), &qualifier_table);
        let error = SqlError::new(
            SqlState::UNDEFINED_TABLE,
            format!("missing FROM-clause entry for table \"{display}\""),
        );
        Err(self.locate(self.hint_about_alias(error, &qualifier_table), location))
    }

    /// A table that is there under an alias must be named by it.
    pub(super) fn hint_about_alias(&self, error: SqlError, table: &str) -> SqlError {
        let Ok(super::Relation::Stored(entry)) = self.relation_named(None, table) else { return error };
        for level in self.levels.iter().rev() {
            for relation in &level.scope.relations {
                let source = relation.columns.iter().find_map(|column| column.source);
                if source.is_some_and(|(oid, _)| oid == entry.table.oid) {
                    return SqlError::new(
                        SqlState::UNDEFINED_TABLE,
                        format!("invalid reference to FROM-clause entry for table \"{table}\""),
                    )
                    .with_hint(format!(
                        "Perhaps you meant to reference the table alias \"{}\".",
                        relation.alias
                    ));
                }
            }
        }
        error
    }

    fn bind_unqualified(&mut self, column_name: &str, location: Location) -> Result<Expr> {
        for level in (0..self.levels.len()).rev() {
            let found = self.levels[level].scope.unqualified(column_name);
            let found = found.map(|found| found.cloned());
            match found {
                Err(error) => return Err(self.locate(error, location)),
                Ok(Some(column)) => return Ok(self.reference(level, &column, location)),
                Ok(None) => {}
            }
        }
        if let Some(row) = self.whole_row(column_name, location) {
            return Ok(row);
        }
        let level = self.levels.len().saturating_sub(1);
        if let Some(system) = self.system_column(level, column_name, None, location)? {
            return Ok(system);
        }
        if matches!(column_name, "current_schema" | "current_role") {
            return self.call_named(column_name, Vec::new());
        }
        let mut error =
            SqlError::new(SqlState::UNDEFINED_COLUMN, format!("column \"{column_name}\" does not exist"));
        let hint = self.levels.last().and_then(|level| level.scope.similar_columns(None, column_name));
        if let Some(hint) = hint {
            error = error.with_hint(hint);
        }
        Err(self.locate(error, location))
    }

    /// A relation's name used as a value: its row.
    pub(super) fn whole_row(&mut self, alias: &str, location: Location) -> Option<Expr> {
        let named = |level: &super::scope::Level| level.scope.relation(None, alias).cloned();
        let levels = self.levels.iter().enumerate().rev();
        let (level, relation) = levels.filter_map(|(at, level)| Some((at, named(level)?))).next()?;
        let shape = self.row_shape(&relation);
        let fields = relation.columns.iter().map(|column| self.reference(level, column, location)).collect();
        let row = Expr::Row { fields, shape };
        let data_type = row.data_type();
        Some(if relation.is_optional { unless_absent(row.clone(), row, data_type) } else { row })
    }

    /// What a relation's row is: of its table's or view's row type, where it has just the columns of that.
    pub(super) fn row_shape(&self, relation: &ScopeRelation) -> Arc<RecordShape> {
        let row_type = relation.row_type.and_then(|of| self.catalog.type_of_rows(of));
        let types = relation.columns.iter().map(|column| column.data_type);
        match row_type.and_then(|info| info.row_shape()) {
            Some(shape) if shape.fields.iter().map(|(_, data_type)| *data_type).eq(types) => shape.clone(),
            _ => {
                let fields = relation.columns.iter();
                let fields = fields.map(|column| (column.name.as_str().into(), column.data_type));
                Arc::new(RecordShape::anonymous(fields))
            }
        }
    }

    /// A reference to a column of a level: direct at the innermost one, through a slot further out.
    pub(super) fn reference(&mut self, level: usize, column: &ScopeColumn, location: Location) -> Expr {
        self.used_columns.extend(column.source);
        if level + 1 == self.levels.len() {
            if let Some(collector) = self.collectors.last_mut()
                && collector.aggregates_in != AggregatesIn::Aggregate
            {
                collector.mentions.push((column.id, location));
            }
            return Expr::Column { index: column.id, data_type: column.data_type };
        }
        let collector = self.collectors.iter_mut().rev().find(|collector| collector.level == level);
        if let Some(collector) = collector
            && collector.aggregates_in != AggregatesIn::Aggregate
        {
            collector.mentions.push((column.id, location));
        }
        self.outer_reference(level, column.id, column.data_type)
    }

    /// A reference to a column of a level outside, which the subquery directly below that level gets in a slot.
    pub(super) fn outer_reference(&mut self, level: usize, column: ColumnId, data_type: DataType) -> Expr {
        let known = self.levels[level + 1].correlations.iter().find(|each| each.column == column);
        let slot = match known {
            Some(correlation) => correlation.slot,
            None => {
                let slot = self.next_slot;
                self.next_slot += 1;
                self.levels[level + 1].correlations.push(Correlation { slot, column });
                slot
            }
        };
        Expr::Outer { index: slot, data_type }
    }

    // Operators ---------------------------------------------------------------------------------------------

    /// Binds a chain of binary operators without recursing along its left side.
    fn bind_binary(&mut self, ast: &Ast, left: &Ast, op: &BinaryOperator, right: &Ast) -> Result<Expr> {
        let mut chain = vec![(ast, op, right)];
        let mut first = left;
        while let Ast::BinaryOp { left, op, right } = first {
            chain.push((first, op, right));
            first = left;
        }
        let mut bound: Option<Expr> = None;
        let mut first = Some(first);
        for (whole, op, right) in chain.into_iter().rev() {
            let left_ast = first.take();
            match op {
                BinaryOperator::And | BinaryOperator::Or => {
                    let is_and = *op == BinaryOperator::And;
                    let clause = if is_and { "AND" } else { "OR" };
                    let left = match (bound.take(), left_ast) {
                        (Some(left), _) => self.condition(left, clause)?,
                        (None, Some(left)) => self.bind_condition(left, clause)?,
                        (None, None) => return Err(SqlError::internal("a chain without a first operand")),
                    };
                    let right = self.bind_condition(right, clause)?;
                    bound = Some(logical(is_and, left, right));
                }
                _ => {
                    let left = match (bound.take(), left_ast) {
                        (Some(left), _) => left,
                        (None, Some(left)) if *op == BinaryOperator::Overlaps => {
                            bound = Some(self.bind_overlaps(left, right)?);
                            continue;
                        }
                        (None, Some(left)) => match self
                            .bind_row_comparison(left, op, right)
                            .map_err(|error| self.at_operator(error, whole))?
                        {
                            Some(comparison) => {
                                bound = Some(comparison);
                                continue;
                            }
                            None => self.bind(left)?,
                        },
                        (None, None) => return Err(SqlError::internal("a chain without a first operand")),
                    };
                    self.refuse_chain(whole, op)?;
                    if let Ast::BinaryOp { left, .. } = whole {
                        self.check_collations(left, right)?;
                    }
                    let right = self.bind(right)?;
                    bound = Some(self.operate(&operator_name(op)?, Some(left), right, whole)?);
                }
            }
        }
        bound.ok_or_else(|| SqlError::internal("an empty chain of operators"))
    }

    fn bind_unary(&mut self, ast: &Ast, op: UnaryOperator, operand: &Ast) -> Result<Expr> {
        // A sign binds tighter than any operator between two operands; the parser thinks otherwise of ^.
        if let (UnaryOperator::Minus | UnaryOperator::Plus, Ast::BinaryOp { left, op: between, right }) =
            (op, operand)
        {
            let left = Box::new(Ast::UnaryOp { op, expr: left.clone() });
            return self.bind(&Ast::BinaryOp { left, op: between.clone(), right: right.clone() });
        }
        match op {
            UnaryOperator::Not => Ok(negate(self.bind_condition(operand, "NOT")?)),
            UnaryOperator::Minus => {
                if let Ast::Value(value) = operand
                    && let ast::Value::Number(digits, _) = &value.value
                {
                    // The most negative integers have no positive counterpart of their type.
                    let mut negative = value.clone();
                    negative.value = ast::Value::Number(format!("-{digits}"), false);
                    return self.bind_negative_number(&negative);
                }
                let operand = self.bind(operand)?;
                self.operate("-", None, operand, ast)
            }
            UnaryOperator::Plus => {
                let operand = self.bind(operand)?;
                self.operate("+", None, operand, ast)
            }
            other => {
                let operand = self.bind(operand)?;
                self.operate(&other.to_string(), None, operand, ast)
            }
        }
    }

    fn bind_negative_number(&mut self, value: &ast::ValueWithSpan) -> Result<Expr> {
        use super::literal::constant;
        use crate::value::Datum;
        let ast::Value::Number(text, _) = &value.value else {
            return Err(SqlError::internal("not a number"));
        };
        if let Ok(number) = text.parse::<i32>() {
            return Ok(constant(Datum::Int32(number), DataType::INT4));
        }
        if let Ok(number) = text.parse::<i64>() {
            return Ok(constant(Datum::Int64(number), DataType::INT8));
        }
        let mut positive = value.clone();
        positive.value = ast::Value::Number(text[1..].to_string(), false);
        let operand = self.bind_value(&positive)?;
        self.operate("-", None, operand, &Ast::Value(positive))
    }

    /// Applies an operator, converting its operands.
    pub(super) fn operate(
        &mut self,
        operator: &str,
        left: Option<Expr>,
        right: Expr,
        at: &Ast,
    ) -> Result<Expr> {
        self.operate_unlocated(operator, left, right).map_err(|error| {
            if error.fields().position.is_some() {
                return error;
            }
            let location = self.operator_location(at);
            match location {
                Some(position) => error.at(position),
                None => error,
            }
        })
    }

    pub(super) fn operate_unlocated(
        &mut self,
        operator: &str,
        left: Option<Expr>,
        right: Expr,
    ) -> Result<Expr> {
        let left_type = left.as_ref().map(|expr| expr.data_type().oid);
        let right_type = right.data_type().oid;
        let resolved = registry().resolve_operator(operator, left_type, right_type, &self.types())?;
        let operands: Vec<Expr> = left.into_iter().chain([right]).collect();
        self.call_resolved(resolved, operands)
    }

    /// Where an operator stands: behind its left operand, or at the start of a prefixed one.
    fn operator_location(&self, at: &Ast) -> Option<u32> {
        match at {
            Ast::BinaryOp { left, op, .. } => {
                let offset = self.offset_behind(left)?;
                let rest = &self.source.text()[offset..];
                // The span of a cast ends before the type.
                let cast = if rest.starts_with("::") { rest.find(&op.to_string()) } else { None };
                Some(self.source.position(offset + cast.unwrap_or(0)))
            }
            // The span of a prefixed operand begins behind the operator.
            Ast::UnaryOp { op, expr } if expr.span().start.line > 0 => {
                let before = &self.source.text()[..self.source.offset(expr.span().start)];
                let operator = op.to_string();
                let found = before.trim_end_matches(|c: char| c.is_whitespace() || c == '(');
                found.strip_suffix(&operator).map(|before| self.source.position(before.len()))
            }
            other => self.position(other.span().start),
        }
    }

    /// An error at an operator, if it has no place yet.
    fn at_operator(&self, error: SqlError, at: &Ast) -> SqlError {
        match self.operator_location(at).filter(|_| error.fields().position.is_none()) {
            Some(position) => error.at(position),
            None => error,
        }
    }

    /// 42601 for a comparison whose left operand is one without parentheses, as in `1 < 2 < 3`.
    fn refuse_chain(&self, whole: &Ast, op: &BinaryOperator) -> Result<()> {
        match whole {
            Ast::BinaryOp { left, .. } if is_comparison(op) => match left.as_ref() {
                Ast::BinaryOp { op: inner, .. } if is_comparison(inner) => {
                    let error =
                        SqlError::syntax(format!("syntax error at or near \"{}\"", operator_name(op)?));
                    Err(self.at_operator(error, whole))
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Where what follows an operand begins.
    pub(super) fn position_behind(&self, operand: &Ast) -> Option<u32> {
        Some(self.source.position(self.offset_behind(operand)?))
    }

    /// The same, in bytes.
    pub(super) fn offset_behind(&self, operand: &Ast) -> Option<usize> {
        // Finding out recurses along long chains of operators.
        let end = stacker::grow(64 << 20, || operand.span().end);
        if end.line == 0 {
            return None;
        }
        let offset = self.source.offset(end);
        let rest = &self.source.text()[offset..];
        let closing = |c: char| c.is_whitespace() || c == ')' || c == ']';
        let mut behind = rest.trim_start_matches(closing);
        // The span of `CAST(a AS type)` ends before the type.
        if let Ast::Cast { kind: ast::CastKind::Cast, .. } = operand
            && let Some(end) = unopened_parenthesis(behind)
        {
            behind = behind[end..].trim_start_matches(closing);
        }
        // That of a call without arguments, or of `count(*)`, ends before the parentheses.
        let inside = rest
            .strip_prefix('(')
            .map(|rest| rest.trim_start_matches(|c: char| c.is_whitespace() || c == '*'));
        if let Some(closed) = inside.filter(|rest| rest.starts_with(')')) {
            behind = closed.trim_start_matches(closing);
        }
        Some(offset + rest.len() - behind.len())
    }

    /// Where a type's name stands that is written before a place.
    fn position_before(&self, place: Location, data_type: &ast::DataType) -> Option<u32> {
        let before = &self.source.text()[..self.source.offset(place)];
        let name = data_type.to_string();
        let word = name.split(['(', ' ']).next()?.to_ascii_lowercase();
        before.to_ascii_lowercase().rfind(&word).map(|offset| self.source.position(offset))
    }

    /// Where the parenthesis before a place stands.
    pub(super) fn position_of_parenthesis(&self, inside: Location) -> Option<u32> {
        let before = &self.source.text()[..self.source.offset(inside)];
        before.trim_end().strip_suffix('(').map(|before| self.source.position(before.len()))
    }

    /// `(start, end) OVERLAPS (start, end)`, where an end may be a length.
    fn bind_overlaps(&mut self, left: &Ast, right: &Ast) -> Result<Expr> {
        let (Some(left), Some(right)) = (row_fields(left), row_fields(right)) else {
            return Err(SqlError::syntax("syntax error at or near \"OVERLAPS\""));
        };
        for (side, name) in [(&left, "left"), (&right, "right")] {
            if side.len() != 2 {
                return Err(SqlError::syntax(format!(
                    "wrong number of parameters on {name} side of OVERLAPS expression"
                )));
            }
        }
        let mut arguments = Vec::new();
        for argument in left.into_iter().chain(right) {
            arguments.push(self.bind(argument)?);
        }
        self.call_named("overlaps", arguments).map_err(|error| {
            let message = error.message().replacen("overlaps(", "pg_catalog.overlaps(", 1);
            error.with_message(message)
        })
    }

    /// `(a, b) = (c, d)` and its siblings.
    fn bind_row_comparison(&mut self, left: &Ast, op: &BinaryOperator, right: &Ast) -> Result<Option<Expr>> {
        if let (Some(left), Ast::Subquery(query)) = (row_fields(left), right) {
            return self.bind_row_with_subquery(&left, op, query).map(Some);
        }
        if !is_written_row(left) || !is_written_row(right) {
            return Ok(None);
        }
        let unequal = || SqlError::syntax("unequal number of entries in row expressions");
        if let (Some(left), Some(right)) = (row_fields(left), row_fields(right))
            && left.len() != right.len()
        {
            return Err(unequal());
        }
        let (first, second) = (self.bind_written_row(left)?, self.bind_written_row(right)?);
        if first.len() != second.len() {
            return Err(unequal());
        }
        if first.is_empty() {
            return Err(SqlError::unsupported("cannot compare rows of zero length"));
        }
        match op {
            BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq => self.compare_fields(first, second, op).map(Some),
            _ => Ok(None),
        }
    }

    /// Compares rows field by field.
    pub(super) fn compare_fields(
        &mut self,
        left: Vec<Expr>,
        right: Vec<Expr>,
        op: &BinaryOperator,
    ) -> Result<Expr> {
        let pairs: Vec<(Expr, Expr)> = left.into_iter().zip(right).collect();
        let name = operator_name(op)?;
        match op {
            BinaryOperator::Eq | BinaryOperator::NotEq => {
                let mut equal = Vec::new();
                for (left, right) in pairs {
                    equal.push(self.operate_unlocated("=", Some(left), right)?);
                }
                let all = if equal.len() == 1 { equal.remove(0) } else { Expr::And(equal) };
                Ok(if *op == BinaryOperator::Eq { all } else { negate(all) })
            }
            BinaryOperator::Lt | BinaryOperator::LtEq => self.compare_rows(&pairs, "<", &name),
            BinaryOperator::Gt | BinaryOperator::GtEq => self.compare_rows(&pairs, ">", &name),
            _ => Err(SqlError::unsupported(format!(
                "could not determine interpretation of row comparison operator {name}"
            ))
            .with_hint("Row comparison operators must be associated with btree operator families.")),
        }
    }

    /// Lexicographic order: `a < c OR (a = c AND (b < d OR …))`.
    fn compare_rows(&mut self, pairs: &[(Expr, Expr)], strict: &str, last: &str) -> Result<Expr> {
        let Some(((left, right), rest)) = pairs.split_first() else {
            return Err(SqlError::unsupported("cannot compare rows of zero length"));
        };
        let (left, right) = (left.clone(), right.clone());
        if rest.is_empty() {
            return self.operate_unlocated(last, Some(left), right);
        }
        let before = self.operate_unlocated(strict, Some(left.clone()), right.clone())?;
        let equal = self.operate_unlocated("=", Some(left), right)?;
        let rest = self.compare_rows(rest, strict, last)?;
        Ok(Expr::Or(vec![before, Expr::And(vec![equal, rest])]))
    }

    // Conditions --------------------------------------------------------------------------------------------

    fn bind_null_test(&mut self, operand: &Ast, negated: bool) -> Result<Expr> {
        let argument = Box::new(self.bind_settled(operand)?);
        Ok(Expr::IsNull { argument, negated })
    }

    fn bind_truth(&mut self, operand: &Ast, truth: Option<bool>, negated: bool) -> Result<Expr> {
        let clause = match (truth, negated) {
            (Some(true), false) => "IS TRUE",
            (Some(true), true) => "IS NOT TRUE",
            (Some(false), false) => "IS FALSE",
            (Some(false), true) => "IS NOT FALSE",
            (None, false) => "IS UNKNOWN",
            (None, true) => "IS NOT UNKNOWN",
        };
        let argument = Box::new(self.bind_condition(operand, clause)?);
        Ok(match truth {
            Some(truth) => Expr::IsTruth { argument, truth, negated },
            None => Expr::IsNull { argument, negated },
        })
    }

    fn bind_distinct(&mut self, left: &Ast, right: &Ast, negated: bool) -> Result<Expr> {
        let (left, right) = (self.bind(left)?, self.bind(right)?);
        // The operands are made comparable as `=` would.
        let Expr::Call(mut call) = self.operate_unlocated("=", Some(left), right)? else {
            return Err(SqlError::internal("an equality that is no call"));
        };
        let (right, left) = (call.arguments.pop(), call.arguments.pop());
        match (left, right) {
            (Some(left), Some(right)) => {
                let (mut both, _) = self.unify(vec![left, right], "IS DISTINCT FROM")?;
                let right = Box::new(both.remove(1));
                let left = Box::new(both.remove(0));
                Ok(Expr::IsDistinct { left, right, negated })
            }
            _ => Err(SqlError::internal("an equality without operands")),
        }
    }

    fn bind_between(&mut self, at: &Ast, value: &Ast, negated: bool, low: &Ast, high: &Ast) -> Result<Expr> {
        let value = self.bind(value)?;
        // The parser is given NOT for SYMMETRIC.
        if let Ast::UnaryOp { op: UnaryOperator::Not, expr: low } = low {
            let (low, high) = (self.bind(low)?, self.bind(high)?);
            let within = |binder: &mut Self, low: &Expr, high: &Expr| -> Result<Expr> {
                let lower = binder.operate(">=", Some(value.clone()), low.clone(), at)?;
                let upper = binder.operate("<=", Some(value.clone()), high.clone(), at)?;
                Ok(Expr::And(vec![lower, upper]))
            };
            let either = Expr::Or(vec![within(self, &low, &high)?, within(self, &high, &low)?]);
            return Ok(if negated { negate(either) } else { either });
        }
        let (low, high) = (self.bind(low)?, self.bind(high)?);
        let (first, second) = if negated { ("<", ">") } else { (">=", "<=") };
        let lower = self.operate(first, Some(value.clone()), low, at)?;
        let upper = self.operate(second, Some(value), high, at)?;
        Ok(if negated { Expr::Or(vec![lower, upper]) } else { Expr::And(vec![lower, upper]) })
    }

    fn bind_in_list(&mut self, at: &Ast, value: &Ast, list: &[Ast], negated: bool) -> Result<Expr> {
        if row_fields(value).is_some() {
            let mut alternatives = Vec::new();
            for each in list {
                let equal = self.bind_row_comparison(value, &BinaryOperator::Eq, each)?;
                alternatives.push(equal.ok_or_else(|| SqlError::syntax("row expression expected in IN"))?);
            }
            let any = Expr::Or(alternatives);
            return Ok(if negated { negate(any) } else { any });
        }
        let mut operands = vec![self.bind(value)?];
        for each in list {
            operands.push(self.bind(each)?);
        }
        let types: Vec<u32> = operands.iter().map(|operand| operand.data_type().oid).collect();
        let known_alike = types.iter().filter(|oid| **oid != oids::UNKNOWN).all(|oid| *oid == types[0]);
        if known_alike && types[0] != oids::UNKNOWN {
            let (mut operands, _) = self.unify(operands, "IN")?;
            let argument = Box::new(operands.remove(0));
            return Ok(Expr::InList { argument, list: operands, set: None, negated });
        }
        let value = operands.remove(0);
        let mut alternatives = Vec::new();
        for each in operands {
            alternatives.push(self.operate("=", Some(value.clone()), each, at)?);
        }
        let any = if alternatives.len() == 1 { alternatives.remove(0) } else { Expr::Or(alternatives) };
        Ok(if negated { negate(any) } else { any })
    }

    fn bind_case(
        &mut self,
        operand: Option<&Ast>,
        conditions: &[ast::CaseWhen],
        otherwise: Option<&Ast>,
    ) -> Result<Expr> {
        let operand = operand.map(|operand| self.bind_settled(operand)).transpose()?;
        let row_calls = self.row_call_count();
        let waiting_calls = self.waiting_calls;
        let mut tests = Vec::new();
        let mut results = Vec::new();
        for when in conditions {
            tests.push(match &operand {
                Some(operand) => {
                    let value = self.bind(&when.condition)?;
                    self.operate("=", Some(operand.clone()), value, &when.condition)?
                }
                None => self.bind_condition(&when.condition, "CASE/WHEN")?,
            });
            results.push(self.bind(&when.result)?);
        }
        let has_otherwise = otherwise.is_some();
        // PostgreSQL looks at ELSE first when it seeks the common type.
        if let Some(otherwise) = otherwise {
            let bound = self.bind(otherwise)?;
            results.insert(0, bound);
        }
        if self.row_call_count() > row_calls {
            return Err(super::rows::not_allowed_in("CASE"));
        }
        if self.waiting_calls > waiting_calls {
            // They would be called whatever the conditions say.
            return Err(SqlError::unsupported("functions of large objects are not supported in CASE yet"));
        }
        let (mut results, mut data_type) = self.unify(results, "CASE")?;
        if !has_otherwise {
            // The NULL that stands for ELSE has no modifier.
            data_type.typmod = -1;
        }
        let otherwise = has_otherwise.then(|| Box::new(results.remove(0)));
        Ok(Expr::Case { branches: tests.into_iter().zip(results).collect(), otherwise, data_type })
    }
}

/// Where an expression begins. Finding out recurses along long chains of operators: only for errors, and on a
/// stack of its own.
pub(super) fn start_of(ast: &Ast) -> Location {
    stacker::grow(64 << 20, || ast.span().start)
}

/// Whether an operator compares: those do not follow each other.
fn is_comparison(op: &BinaryOperator) -> bool {
    use BinaryOperator as Op;
    matches!(op, Op::Eq | Op::NotEq | Op::Lt | Op::LtEq | Op::Gt | Op::GtEq)
}

/// The first parenthesis that closes what was opened before a text.
fn unopened_parenthesis(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' if depth == 0 => return Some(at),
            b')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// `left AND right`, flat.
pub(super) fn logical(is_and: bool, left: Expr, right: Expr) -> Expr {
    match (is_and, left) {
        (true, Expr::And(mut terms)) => {
            terms.push(right);
            Expr::And(terms)
        }
        (false, Expr::Or(mut terms)) => {
            terms.push(right);
            Expr::Or(terms)
        }
        (true, left) => Expr::And(vec![left, right]),
        (false, left) => Expr::Or(vec![left, right]),
    }
}

/// `NOT expr`.
pub(super) fn negate(expr: Expr) -> Expr {
    Expr::Not(Box::new(expr))
}

/// The catalog's name of an operator.
pub(super) fn operator_name(op: &BinaryOperator) -> Result<String> {
    Ok(match op {
        BinaryOperator::NotEq => "<>".to_string(),
        BinaryOperator::PGCustomBinaryOperator(parts) => parts.last().cloned().unwrap_or_default(),
        BinaryOperator::PGLikeMatch => "~~".into(),
        BinaryOperator::PGILikeMatch => "~~*".into(),
        BinaryOperator::PGNotLikeMatch => "!~~".into(),
        BinaryOperator::PGNotILikeMatch => "!~~*".into(),
        BinaryOperator::PGExp => "^".into(),
        BinaryOperator::Spaceship => "<=>".into(),
        other => other.to_string(),
    })
}

/// A value that is NULL where an outer join found no row: all columns are NULL then.
pub(super) fn unless_absent(row: Expr, value: Expr, data_type: DataType) -> Expr {
    let is_absent = Expr::IsNull { argument: Box::new(row), negated: false };
    let branches = vec![(is_absent, constant(Datum::Null, data_type))];
    Expr::Case { branches, otherwise: Some(Box::new(value)), data_type }
}
