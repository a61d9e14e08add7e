//! ALTER TABLE … ALTER COLUMN … TYPE.

use std::sync::Arc;

use sqlparser::ast;

use super::dependency::Thing;
use super::rewrite::Rewrite;
use super::{Ddl, default};
use crate::binder::data_type;
use crate::catalog::{ConstraintKind, Table, TableColumn, TableEntry};
use crate::error::{Result, SqlError, SqlState};
use crate::functions::{CastContext, CastMethod, registry};
use crate::types::{BuiltinTypes, DataType, Representation, format_type, oids};
use crate::value::Datum;

pub async fn change(
    ddl: &mut Ddl,
    entry: &Arc<TableEntry>,
    column: &TableColumn,
    data_type: &ast::DataType,
    using: Option<&ast::Expr>,
    text: &str,
) -> Result<()> {
    let target = data_type::resolve(data_type, &ddl.types())?;
    ddl.check_may_use_type(target)?;
    super::create_table::refuse_rows(&ddl.types(), target)?;
    refuse_views(ddl, entry, column)?;
    refuse_generated(entry, column)?;
    let fill = ddl.binder(text).bind_conversion(&entry.table, column, using, target)?;
    let position = Table::position(column.number);
    let mut table = (*entry.table).clone();
    let changed = &mut table.columns[position];
    changed.type_oid = target.oid;
    changed.type_modifier = target.typmod;
    changed.collation = 0;
    changed.representation = Representation::of(target.oid, &ddl.types())?;
    if let Some(default) = column.default.as_ref().filter(|_| !column.generated) {
        let expr = crate::parser::parse_expression(default)?;
        let bound = ddl.binder(text).bind_default(changed, &expr);
        // The default is of the old type: that must convert, whatever a literal of the new type would be.
        let converts =
            registry().cast_method(column.type_oid, target.oid, CastContext::Assignment, &ddl.types());
        let bound = if converts.is_some() { bound.map(|_| ()) } else { Err(mismatch()) };
        bound.map_err(|error| match error.state() {
            SqlState::DATATYPE_MISMATCH => SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "default for column \"{}\" cannot be cast automatically to type {}",
                    column.name,
                    format_type(target, &ddl.types())
                ),
            ),
            _ => error,
        })?;
    }
    refuse_expressions(ddl, entry, &table)?;
    let source = DataType { oid: column.type_oid, typmod: column.type_modifier };
    if using.is_none() && keeps_values(source, target) {
        table.schema_version += 1;
        return ddl.put(table).await;
    }
    table.columns[position].missing = Datum::Null;
    table.schema_version += 1;
    let mut rewrite = Rewrite::new(entry, table);
    rewrite.fill = Some((position, fill));
    rewrite.run(ddl).await
}

/// 42804.
fn mismatch() -> SqlError {
    SqlError::new(SqlState::DATATYPE_MISMATCH, "the default does not convert")
}

/// Whether values of one type are values of the other as they are stored.
#[must_use]
pub fn keeps_values(source: DataType, target: DataType) -> bool {
    if source == target {
        return true;
    }
    let is_text = |data_type: DataType| matches!(data_type.oid, oids::TEXT | oids::VARCHAR);
    let is_wider = target.typmod < 0 || (source.typmod >= 0 && target.typmod >= source.typmod);
    is_text(source)
        && is_text(target)
        && is_wider
        && matches!(
            registry().cast_method(source.oid, target.oid, CastContext::Assignment, &BuiltinTypes),
            Some(CastMethod::Binary) | None
        )
}

/// The errors of constraints and indexes whose expressions have no meaning over the table as it would be.
fn refuse_expressions(ddl: &Ddl, entry: &TableEntry, table: &Table) -> Result<()> {
    let bind = |text: &str, is_key: bool| {
        let expression = crate::parser::parse_expression(text)?;
        let mut binder = ddl.binder(text);
        match is_key {
            true => binder.bind_index_expression(table, &expression).map(|_| ()),
            false => binder.bind_over_row(table, &expression, "CHECK").map(|_| ()),
        }
    };
    for constraint in &entry.constraints {
        if let ConstraintKind::Check { expression } = &constraint.kind {
            bind(expression, false).map_err(SqlError::unplaced)?;
        }
    }
    for index in &entry.indexes {
        for column in &index.columns {
            if let Some(expression) = &column.expression {
                bind(&expression.text, true).map_err(SqlError::unplaced)?;
            }
        }
        if let Some(predicate) = &index.predicate {
            bind(predicate, false).map_err(SqlError::unplaced)?;
        }
    }
    Ok(())
}

/// 0A000 where a generated column reads the column.
fn refuse_generated(entry: &TableEntry, column: &TableColumn) -> Result<()> {
    let reads = |each: &&TableColumn| {
        let text = each.default.as_deref().filter(|_| each.generated).unwrap_or_default();
        default::named_columns(&entry.table, text).contains(&column.number)
    };
    let Some(reader) = entry.table.live_columns().find(reads) else { return Ok(()) };
    Err(SqlError::unsupported("cannot alter type of a column used by a generated column")
        .with_detail(format!("Column \"{}\" is used by generated column \"{}\".", column.name, reader.name)))
}

/// 0A000 where a view reads the column.
fn refuse_views(ddl: &Ddl, entry: &TableEntry, column: &TableColumn) -> Result<()> {
    let reader = ddl.catalog.stored_queries().find(|view| {
        view.sources
            .iter()
            .any(|source| source.relation == entry.table.oid && source.used.contains(&column.number))
    });
    let Some(view) = reader else { return Ok(()) };
    Err(SqlError::unsupported("cannot alter type of a column used by a view or rule").with_detail(format!(
        "rule _RETURN on {} depends on column \"{}\"",
        Thing::of_query(&ddl.catalog, view.oid).describe(ddl),
        column.name
    )))
}
