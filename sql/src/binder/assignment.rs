//! `SET target = value`: of columns, of parts of arrays and jsonb, and of several targets at once.

use std::sync::Arc;

use sqlparser::ast::{self, AccessExpr, AssignmentTarget, ObjectName, ObjectNamePart};
use sqlparser::tokenizer::Location;

use super::call::row_fields;
use super::modify::{always_identity, is_default, type_of};
use super::{Binder, name};
use crate::catalog::{ColumnNumber, Identity, Table, TableColumn, is_system_column};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::functions::{CastContext, Function, assign_element, assign_member, assign_slice};
use crate::parser::marked;
use crate::types::{DataType, oids};

/// What a target gets.
enum Given<'s> {
    Expression(&'s ast::Expr),
    /// A field of a subquery's row.
    Bound(Expr),
}

/// One step into a value.
pub(super) enum Step {
    /// A field of a row.
    Field(String),
    /// Subscripts of an array or of jsonb.
    Subscripts(Vec<AccessExpr>),
}

/// A column, or a part of one.
pub(super) struct Target {
    pub column: TableColumn,
    /// The fields and subscripts behind its name; none: the whole column.
    pub path: Vec<Step>,
    location: Location,
}

impl Target {
    /// Where it stands.
    pub(super) fn location(&self) -> Location {
        self.location
    }

    /// A column as a whole.
    pub(super) fn whole(column: &TableColumn) -> Target {
        Target { column: column.clone(), path: Vec::new(), location: Location { line: 0, column: 0 } }
    }
}

impl Binder<'_> {
    /// Binds SET's list: the columns with their new values. The row that is changed is the first relation in scope.
    ///
    /// # Errors
    /// All the errors of binding.
    pub(super) fn bind_assignments(
        &mut self,
        table: &Table,
        assignments: &[ast::Assignment],
    ) -> Result<Vec<(ColumnNumber, Expr)>> {
        let mut pairs = Vec::new();
        for assignment in assignments {
            match &assignment.target {
                AssignmentTarget::ColumnName(object) => {
                    pairs.push((self.set_target(table, object)?, Given::Expression(&assignment.value)));
                }
                AssignmentTarget::Tuple(objects) => {
                    let targets = objects.iter().map(|object| self.set_target(table, object));
                    let targets = targets.collect::<Result<Vec<_>>>()?;
                    let given = self.split_source(targets.len(), &assignment.value)?;
                    pairs.extend(targets.into_iter().zip(given));
                }
            }
        }
        let mut assigned: Vec<(ColumnNumber, Expr)> = Vec::new();
        let mut whole: Vec<ColumnNumber> = Vec::new();
        for (target, given) in pairs {
            let column = target.column.number;
            let before = assigned.iter().position(|(number, _)| *number == column);
            if before.is_some() && (target.path.is_empty() || whole.contains(&column)) {
                let name = &target.column.name;
                return Err(SqlError::syntax(format!("multiple assignments to same column \"{name}\"")));
            }
            if target.path.is_empty() {
                whole.push(column);
            }
            let current = match before {
                Some(at) => assigned[at].1.clone(),
                None => self.current_value(&target.column),
            };
            let value = self.bind_given(table, &target, given, current)?;
            match before {
                Some(at) => assigned[at].1 = value,
                None => assigned.push((column, value)),
            }
        }
        Ok(assigned)
    }

    /// The targets that an INSERT names, or all columns; and whether they are named.
    ///
    /// # Errors
    /// 42701 for a column that is named twice, but for its parts.
    pub(super) fn insert_targets(
        &self,
        table: &Table,
        columns: &[ObjectName],
    ) -> Result<(Vec<Target>, bool)> {
        if columns.is_empty() {
            return Ok((table.live_columns().map(Target::whole).collect(), false));
        }
        let mut targets: Vec<Target> = Vec::new();
        for object in columns {
            let target = self.target(table, object)?;
            let is_twice = |each: &Target| {
                each.column.number == target.column.number && (each.path.is_empty() || target.path.is_empty())
            };
            if targets.iter().any(is_twice) {
                let message = format!("column \"{}\" specified more than once", target.column.name);
                return Err(self.locate(SqlError::new(SqlState::DUPLICATE_COLUMN, message), target.location));
            }
            targets.push(target);
        }
        Ok((targets, true))
    }

    /// The column that a target of SET names.
    fn set_target(&self, table: &Table, object: &ObjectName) -> Result<Target> {
        if let [ObjectNamePart::Identifier(only)] = object.0.as_slice()
            && is_system_column(&name::fold(only))
        {
            let error =
                SqlError::unsupported(format!("cannot assign to system column \"{}\"", name::fold(only)));
            return Err(self.locate(error, name::location(object)));
        }
        self.target(table, object)
    }

    /// The column that a target of SET or of INSERT's list names, and where in it.
    ///
    /// # Errors
    /// 42703, and 42804 for a field of what has none.
    pub(super) fn target(&self, table: &Table, object: &ObjectName) -> Result<Target> {
        let location = name::location(object);
        let mut parts = object.0.iter();
        let Some(ObjectNamePart::Identifier(first)) = parts.next() else {
            return Err(SqlError::syntax("a column's name was expected"));
        };
        let wanted = name::fold(first);
        let column = self.target_column(table, &wanted, location)?.clone();
        let mut path = Vec::new();
        for part in parts {
            let ObjectNamePart::Identifier(part) = part else {
                return Err(SqlError::syntax("a field's name was expected"));
            };
            path.push(match marked(part) {
                Some(text) => Step::Subscripts(subscripts_in(text)?),
                None => Step::Field(name::fold(part)),
            });
        }
        let target = Target { column, path, location };
        self.target_type(&target).map_err(|error| self.locate(error, location))?;
        Ok(target)
    }

    /// What each of several targets gets.
    fn split_source<'s>(&mut self, count: usize, source: &'s ast::Expr) -> Result<Vec<Given<'s>>> {
        let mismatch = || SqlError::syntax("number of columns does not match number of values");
        if let Some(fields) = row_fields(source) {
            if fields.len() != count {
                return Err(mismatch());
            }
            return Ok(fields.into_iter().map(Given::Expression).collect());
        }
        if let Some(fields) = self.bind_starred_row(source)? {
            if fields.len() != count {
                return Err(self.locate(mismatch(), ast::Spanned::span(source).start));
            }
            return Ok(fields.into_iter().map(Given::Bound).collect());
        }
        let ast::Expr::Subquery(query) = source else {
            let error = SqlError::unsupported(
                "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression",
            );
            return Err(self.locate(error, ast::Spanned::span(source).start));
        };
        let (bound, correlations) = self.bind_inner(query)?;
        let bound = self.settle_columns(bound)?;
        if bound.columns.len() != count {
            return Err(mismatch());
        }
        // The subquery runs once for all targets.
        let (plan, types) = self.rows_of(bound);
        let record = self.apply_scalar(plan, correlations, DataType::RECORD)?;
        let field = |(index, data_type)| {
            Given::Bound(Expr::Field { record: Box::new(record.clone()), index, data_type })
        };
        Ok(types.into_iter().enumerate().map(field).collect())
    }

    /// The value that a column has before.
    fn current_value(&self, column: &TableColumn) -> Expr {
        let scope = self.levels.last().map(|level| &level.scope);
        let own = scope
            .and_then(|scope| scope.relations.first())
            .and_then(|relation| relation.columns.iter().find(|each| each.name == column.name));
        match own {
            Some(own) => Expr::Column { index: own.id, data_type: own.data_type },
            None => super::literal::constant(crate::value::Datum::Null, type_of(column)),
        }
    }

    /// The column's new value, where a target of it gets something.
    fn bind_given(
        &mut self,
        table: &Table,
        target: &Target,
        given: Given<'_>,
        current: Expr,
    ) -> Result<Expr> {
        let column = &target.column;
        let is_default = matches!(&given, Given::Expression(value) if is_default(value));
        if is_default && target.path.is_empty() {
            return self.default_of(table, column);
        }
        if column.identity == Some(Identity::Always) || column.generated {
            return Err(SqlError::new(
                SqlState::GENERATED_ALWAYS,
                format!("column \"{}\" can only be updated to DEFAULT", column.name),
            )
            .with_detail(always_identity(column)));
        }
        if is_default {
            let error = SqlError::unsupported(match target.path.last() {
                Some(Step::Field(_)) => "cannot set a subfield to DEFAULT",
                _ => "cannot set an array element to DEFAULT",
            });
            return Err(self.locate(error, target.location));
        }
        let (value, location) = match given {
            Given::Bound(value) => (value, target.location),
            Given::Expression(value) => (self.bind(value)?, ast::Spanned::span(value).start),
        };
        let place = match target.path.last() {
            Some(Step::Field(_)) if value.data_type().oid != oids::UNKNOWN => target.location,
            _ => location,
        };
        let value = self.fit_target(target, value).map_err(|error| self.locate(error, place))?;
        if target.path.is_empty() {
            return Ok(value);
        }
        self.assign_part(target, current, value).map_err(|error| self.locate(error, location))
    }

    /// The type of what a target gets.
    ///
    /// # Errors
    /// 42804 for parts of what has none, 42703 for a field that is not there.
    pub(super) fn target_type(&self, target: &Target) -> Result<DataType> {
        let column = &target.column.name;
        target
            .path
            .iter()
            .try_fold(type_of(&target.column), |whole, step| self.part_type(column, whole, step))
    }

    /// The type of a part of a value.
    fn part_type(&self, column: &str, whole: DataType, step: &Step) -> Result<DataType> {
        let container = self.underlying(whole);
        match step {
            Step::Field(field) => Ok(self.field_of(column, whole, field)?.1),
            Step::Subscripts(_) if container.oid == oids::JSONB => Ok(container),
            Step::Subscripts(subscripts) => {
                let subscripts = self.array_subscripts(container, subscripts)?;
                if has_slice(&subscripts) {
                    return Ok(DataType::of(container.oid));
                }
                let element = self.element_of(container).unwrap_or(container.oid);
                Ok(DataType { oid: element, typmod: container.typmod })
            }
        }
    }

    /// Where a field is in the rows of a type, and of which type it is.
    fn field_of(&self, column: &str, whole: DataType, field: &str) -> Result<(usize, DataType)> {
        let refused = |state, why: &str| {
            let kind = self.type_name(whole);
            let message =
                format!("cannot assign to field \"{field}\" of column \"{column}\" because {why} {kind}");
            SqlError::new(state, message)
        };
        let Some(shape) = self.row_shape_of(whole) else {
            let error = refused(SqlState::DATATYPE_MISMATCH, "its type");
            return Err(SqlError::new(error.state(), format!("{} is not a composite type", error.message())));
        };
        let mut fields = shape.fields.iter().enumerate();
        let found = fields.find(|(_, (name, _))| name.as_str() == field);
        found
            .map(|(at, (_, data_type))| (at, *data_type))
            .ok_or_else(|| refused(SqlState::UNDEFINED_COLUMN, "there is no such column in data type"))
    }

    /// Converts a value for a target.
    ///
    /// # Errors
    /// 42804 for a value of the wrong type.
    pub(super) fn fit_target(&mut self, target: &Target, value: Expr) -> Result<Expr> {
        let (wanted, source) = (self.target_type(target)?, value.data_type());
        if target.path.is_empty() {
            return self.assign(value, wanted, &target.column.name);
        }
        self.coerce(value, wanted, CastContext::Assignment).map_err(|error| {
            if error.state() != SqlState::CANNOT_COERCE {
                return error;
            }
            let (wanted, source) = (self.type_name(wanted), self.type_name(source));
            let message = match target.path.last() {
                Some(Step::Field(field)) => {
                    format!("subfield \"{field}\" is of type {wanted} but expression is of type {source}")
                }
                _ => format!(
                    "subscripted assignment to \"{}\" requires type {wanted} but expression is of type {source}",
                    target.column.name
                ),
            };
            SqlError::new(SqlState::DATATYPE_MISMATCH, message)
                .with_hint("You will need to rewrite or cast the expression.")
        })
    }

    /// A column's value with a part of it changed; the new part is of the target's type.
    ///
    /// # Errors
    /// Those of the subscripts.
    pub(super) fn assign_part(&mut self, target: &Target, current: Expr, value: Expr) -> Result<Expr> {
        self.assign_within(&target.column.name, type_of(&target.column), &target.path, current, value)
    }

    /// A value of a type with what a path leads to in it changed.
    fn assign_within(
        &mut self,
        column: &str,
        whole: DataType,
        path: &[Step],
        current: Expr,
        value: Expr,
    ) -> Result<Expr> {
        let Some((step, rest)) = path.split_first() else { return Ok(value) };
        let container = self.underlying(whole);
        let current = self.coerce(current, container, CastContext::Implicit)?;
        let part = self.part_type(column, whole, step)?;
        let changed = match step {
            Step::Field(field) => {
                let (place, _) = self.field_of(column, whole, field)?;
                let shape = self.row_shape_of(whole).cloned().unwrap_or_default();
                let field = |(index, (_, data_type)): (usize, &(_, DataType))| Expr::Field {
                    record: Box::new(current.clone()),
                    index,
                    data_type: *data_type,
                };
                let mut fields: Vec<Expr> = shape.fields.iter().enumerate().map(field).collect();
                let before = fields[place].clone();
                fields[place] = self.assign_within(column, part, rest, before, value)?;
                Expr::Row { fields, shape }
            }
            Step::Subscripts(subscripts) => {
                let places = self.places(container, subscripts)?;
                let value = match rest {
                    [] => value,
                    _ => {
                        let indices = places.arguments.clone();
                        let array = Box::new(current.clone());
                        let before = Expr::Subscript { array, indices, data_type: part };
                        self.assign_within(column, part, rest, before, value)?
                    }
                };
                let arguments = [current, value].into_iter().chain(places.arguments).collect();
                Expr::call(places.function, arguments, container)
            }
        };
        // A domain's constraints hold for the whole.
        self.coerce(changed, whole, CastContext::Assignment)
    }

    /// What changes a part of an array or of jsonb, and where.
    fn places(&mut self, container: DataType, subscripts: &[AccessExpr]) -> Result<Places> {
        if container.oid == oids::JSONB {
            let path = subscripts.iter().map(|each| self.bind_json_index(each));
            return Ok(Places { function: assign_member(), arguments: path.collect::<Result<_>>()? });
        }
        let subscripts = self.array_subscripts(container, subscripts)?;
        if has_slice(&subscripts) {
            let arguments = self.bind_slice_bounds(&subscripts)?;
            return Ok(Places { function: assign_slice(), arguments });
        }
        let indices = subscripts.iter().filter_map(|each| match each {
            ast::Subscript::Index { index } => Some(self.bind_index(index)),
            ast::Subscript::Slice { .. } => None,
        });
        Ok(Places { function: assign_element(), arguments: indices.collect::<Result<_>>()? })
    }
}

/// A function that changes a part of a value, and the subscripts that it takes behind the value and the part.
struct Places {
    function: Arc<Function>,
    arguments: Vec<Expr>,
}

fn has_slice(subscripts: &[&ast::Subscript]) -> bool {
    subscripts.iter().any(|each| matches!(each, ast::Subscript::Slice { .. }))
}

/// The subscripts of a target, from their text.
fn subscripts_in(text: &str) -> Result<Vec<AccessExpr>> {
    match crate::parser::parse_expression(&format!("target{text}"))? {
        ast::Expr::CompoundFieldAccess { access_chain, .. } => Ok(access_chain),
        _ => Err(SqlError::syntax("subscripts were expected")),
    }
}
