//! Functions of rows in the select list: each call becomes a column that a `ProjectSet` above the windows computes.
//!
//! A call that another takes as an argument is computed by a `ProjectSet` of its own below that of the other; calls
//! at the same depth go in lockstep.

use std::sync::Arc;

use super::{AggregatesIn, Binder};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::plan::logical::{ColumnId, Computed, Logical};
use crate::plan::walk;
use crate::types::DataType;
use crate::types::domain::base_type;
use crate::value::{Datum, RecordShape};

/// 0A000.
pub(super) fn not_allowed_in(clause: &str) -> SqlError {
    let error = SqlError::unsupported(format!("set-returning functions are not allowed in {clause}"));
    if matches!(clause, "CASE" | "COALESCE") {
        return error
            .with_hint("You might be able to move the set-returning function into a LATERAL FROM item.");
    }
    error
}

impl Binder<'_> {
    pub(super) fn allow_row_calls(&mut self, allowed: bool) {
        if let Some(collector) = self.collectors.last_mut() {
            collector.row_calls_allowed = allowed;
        }
    }

    /// How many calls were met.
    pub(super) fn row_call_count(&self) -> usize {
        self.collectors.last().map_or(0, |collector| collector.row_calls.len())
    }

    pub(super) fn take_row_calls(&mut self) -> Vec<(ColumnId, Expr)> {
        self.collectors.last_mut().map(|c| std::mem::take(&mut c.row_calls)).unwrap_or_default()
    }

    /// Notes a call, once for equal ones, and gives the column of its rows.
    pub(super) fn collect_row_call(&mut self, call: Expr) -> Result<Expr> {
        let data_type = call.data_type();
        let fresh = self.column_id();
        let in_window = self.in_window == Some(super::window::NESTED);
        let Some(collector) = self.collectors.last_mut() else {
            return Err(not_allowed_in("this context"));
        };
        let inside = |what: &str| {
            SqlError::unsupported(format!(
                "{what} function calls cannot contain set-returning function calls"
            ))
            .with_hint("You might be able to move the set-returning function into a LATERAL FROM item.")
        };
        match collector.aggregates_in {
            AggregatesIn::Aggregate => return Err(inside("aggregate")),
            _ if in_window => return Err(inside("window")),
            AggregatesIn::Forbidden("functions in FROM") => {
                return Err(SqlError::unsupported(
                    "set-returning functions must appear at top level of FROM",
                ));
            }
            _ if collector.row_calls_allowed => {}
            AggregatesIn::Forbidden(clause) => return Err(not_allowed_in(clause)),
            AggregatesIn::Query => return Err(not_allowed_in("HAVING")),
        }
        if let Some((index, _)) = collector.row_calls.iter().find(|(_, known)| walk::same(known, &call)) {
            return Ok(Expr::Column { index: *index, data_type });
        }
        collector.row_calls.push((fresh, call.clone()));
        self.record_columns.extend(self.record_shape(&call).map(|shape| (fresh, shape)));
        Ok(Expr::Column { index: fresh, data_type })
    }

    /// Refuses arguments that read rows of functions, where they need not be computed for every row.
    pub(super) fn refuse_row_columns(&self, arguments: &[Expr], construct: &str) -> Result<()> {
        let Some(collector) = self.collectors.last() else { return Ok(()) };
        let is_row_call = |id: ColumnId| collector.row_calls.iter().any(|(each, _)| *each == id);
        let mut found = false;
        for argument in arguments {
            walk::columns(argument, &mut |id| found |= is_row_call(id));
        }
        if found { Err(not_allowed_in(construct)) } else { Ok(()) }
    }

    /// The fields of a record as columns: `(record).*`.
    pub(super) fn record_fields(&mut self, record: Expr) -> Result<Vec<(String, Expr)>> {
        let fields = match self.record_shape(&record) {
            Some(fields) => fields,
            None => {
                let kind = self.type_name(record.data_type());
                let message = if record.data_type() == DataType::RECORD {
                    "record type has not been registered".to_owned()
                } else {
                    format!("type {kind} is not composite")
                };
                return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
            }
        };
        if let Expr::Row { fields: values, .. } = record {
            return Ok(fields.into_iter().map(|(name, _)| name).zip(values).collect());
        }
        let field = |(index, (name, data_type))| {
            (name, Expr::Field { record: Box::new(record.clone()), index, data_type })
        };
        Ok(fields.into_iter().enumerate().map(field).collect())
    }

    /// One field of a record: `(record).name`.
    pub(super) fn record_field(&mut self, record: Expr, wanted: &str) -> Result<Expr> {
        let is_composite = self.row_shape_of(record.data_type()).is_some();
        let fields = if is_composite || record.data_type() == DataType::RECORD {
            self.record_fields(record.clone())?
        } else {
            Vec::new()
        };
        if let Some((_, field)) = fields.into_iter().find(|(name, _)| name == wanted) {
            return Ok(field);
        }
        let kind = self.type_name(record.data_type());
        if is_composite {
            return Err(SqlError::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{wanted}\" not found in data type {kind}"),
            ));
        }
        Err(if record.data_type() == DataType::RECORD {
            SqlError::new(
                SqlState::UNDEFINED_COLUMN,
                format!("could not identify column \"{wanted}\" in record data type"),
            )
        } else {
            SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("column notation .{wanted} applied to type {kind}, which is not a composite type"),
            )
        })
    }

    /// The fields of a type of rows that has a name, or of a domain over one.
    pub(super) fn row_shape_of(&self, data_type: DataType) -> Option<&Arc<RecordShape>> {
        self.catalog.type_info(base_type(data_type.oid, &self.types()))?.row_shape()
    }

    /// The names and types of a record's fields, where they are known before it is computed.
    pub(super) fn record_shape(&self, record: &Expr) -> Option<Vec<(String, DataType)>> {
        let named = |shape: &RecordShape| {
            shape.fields.iter().map(|(name, data_type)| (name.to_string(), *data_type)).collect()
        };
        if let Some(shape) = self.row_shape_of(record.data_type()) {
            return Some(named(shape));
        }
        match record {
            Expr::Row { shape, .. } => Some(named(shape)),
            Expr::Cast(cast) if cast.data_type == DataType::RECORD => self.record_shape(&cast.argument),
            Expr::Case { otherwise: Some(row), data_type: DataType::RECORD, .. } => self.record_shape(row),
            Expr::Const { value: Datum::Record(record), .. } => Some(named(&record.shape)),
            Expr::Column { index, .. } if self.record_columns.contains_key(index) => {
                self.record_columns.get(index).cloned()
            }
            // A column of a query around this one.
            Expr::Outer { index, .. } => {
                let mut all = self.levels.iter().flat_map(|level| &level.correlations);
                let column = all.find(|each| each.slot == *index)?.column;
                self.record_columns.get(&column).cloned()
            }
            Expr::Column { index, .. } => {
                let call = self.collectors.last()?.row_calls.iter().find(|(id, _)| id == index)?;
                self.record_shape(&call.1)
            }
            Expr::Call(call) if !call.function.columns.is_empty() => {
                let columns = call.function.columns.iter();
                let named = |(name, oid): &(&str, u32)| ((*name).to_owned(), DataType::of(*oid));
                Some(columns.map(named).collect())
            }
            Expr::Call(call) if call.data_type == DataType::RECORD => {
                self.record_shape(call.arguments.first()?)
            }
            _ => None,
        }
    }

    /// Puts the calls that GROUP BY reads below the aggregation.
    pub(super) fn attach_grouped_row_calls(&mut self, plan: Logical, groups: &[Computed]) -> Logical {
        let mut read: Vec<ColumnId> = Vec::new();
        for group in groups {
            walk::columns(&group.expr, &mut |id| read.push(id));
        }
        self.attach_row_calls_of(plan, read)
    }

    /// Puts the calls that windows read below them.
    pub(super) fn attach_windowed_row_calls(&mut self, plan: Logical) -> Logical {
        let mut read: Vec<ColumnId> = Vec::new();
        for (order, _) in self.collectors.last().map(|c| c.windows.as_slice()).unwrap_or_default() {
            order.for_each_expr(&mut |expr| walk::columns(expr, &mut |id| read.push(id)));
        }
        self.attach_row_calls_of(plan, read)
    }

    /// Puts some of the calls on a plan, with those that they take.
    fn attach_row_calls_of(&mut self, plan: Logical, mut below: Vec<ColumnId>) -> Logical {
        let calls = self.take_row_calls();
        // A call stands behind those that it takes.
        for (id, call) in calls.iter().rev() {
            if below.contains(id) {
                walk::columns(call, &mut |id| below.push(id));
            }
        }
        let (below, above): (Vec<_>, Vec<_>) = calls.into_iter().partition(|(id, _)| below.contains(id));
        if let Some(collector) = self.collectors.last_mut() {
            collector.row_calls = above;
        }
        attach(plan, below)
    }

    /// What the calls above the aggregation read is grouped too.
    pub(super) fn row_calls_above_grouping(&mut self, groups: &[Computed], known: &[ColumnId]) -> Result<()> {
        let mut calls = self.take_row_calls();
        for (_, call) in &mut calls {
            let taken = std::mem::replace(call, super::literal::unknown(Datum::Null));
            *call = self.above_grouping(taken, groups, known)?;
        }
        if let Some(collector) = self.collectors.last_mut() {
            collector.row_calls = calls;
        }
        Ok(())
    }
}

/// Puts calls above a plan, by depth.
pub(super) fn attach(plan: Logical, calls: Vec<(ColumnId, Expr)>) -> Logical {
    let mut depths: Vec<(ColumnId, usize)> = Vec::new();
    for (id, call) in &calls {
        let mut depth = 0;
        walk::columns(call, &mut |read| {
            if let Some((_, inner)) = depths.iter().find(|(each, _)| *each == read) {
                depth = depth.max(inner + 1);
            }
        });
        depths.push((*id, depth));
    }
    let deepest = depths.iter().map(|(_, depth)| *depth).max();
    let mut calls: Vec<_> = calls.into_iter().zip(depths).map(|(call, (_, depth))| (depth, call)).collect();
    (0..deepest.map_or(0, |deepest| deepest + 1)).fold(plan, |input, depth| {
        let level = calls.extract_if(.., |(each, _)| *each == depth).map(|(_, call)| call).collect();
        Logical::ProjectSet { input: Box::new(input), calls: level }
    })
}
