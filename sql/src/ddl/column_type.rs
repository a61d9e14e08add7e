//! ALTER TABLE … ALTER COLUMN … TYPE.

use std::sync::Arc;

use sqlparser::ast;

use super::dependency::Thing;
use super::rewrite::Rewrite;
use super::{Ddl, constraint, default, identity, reshape};
use crate::binder::data_type;
use crate::catalog::{ConstraintKind, Table, TableColumn, TableEntry, row_type_oid};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::functions::{CastContext, CastMethod, registry};
use crate::types::{BuiltinTypes, DataType, Representation, format_type, oids};
use crate::value::Datum;

/// One column's new type.
pub struct Change<'a> {
    pub column: TableColumn,
    pub data_type: &'a ast::DataType,
    pub using: Option<&'a ast::Expr>,
}

/// Changes the types of columns; USING reads the rows as they were before all of it.
pub async fn change(
    ddl: &mut Ddl,
    entry: &Arc<TableEntry>,
    changes: &[Change<'_>],
    text: &str,
) -> Result<()> {
    let mut table = (*entry.table).clone();
    let mut fills = Vec::new();
    let mut keeps = true;
    for change in changes {
        let target = data_type::resolve(change.data_type, &ddl.types())?;
        fills.push(change_in(ddl, entry, &mut table, change, target, text).await?);
        let source = DataType { oid: change.column.type_oid, typmod: change.column.type_modifier };
        keeps &= change.using.is_none() && keeps_values(source, target);
    }
    refuse_expressions(ddl, entry, &table)?;
    refuse_keys(ddl, entry, &table)?;
    reshape::refuse_held(ddl, &table)?;
    table.schema_version += 1;
    if keeps {
        return ddl.put(table).await;
    }
    for (position, _) in &fills {
        table.columns[*position].missing = Datum::Null;
    }
    let mut rewrite = Rewrite::new(entry, table);
    rewrite.fills = fills;
    rewrite.run(ddl).await?;
    let columns: Vec<_> = changes.iter().map(|change| change.column.number).collect();
    super::alter_table::test_again(ddl, entry.table.oid, &columns).await
}

/// Changes one column of a table that is not stored yet; gives what its rows get.
async fn change_in(
    ddl: &mut Ddl,
    entry: &Arc<TableEntry>,
    table: &mut Table,
    change: &Change<'_>,
    target: DataType,
    text: &str,
) -> Result<(usize, Expr)> {
    let column = &change.column;
    ddl.check_may_use_type(target)?;
    reshape::refuse_itself(ddl, row_type_oid(entry.table.oid), target)?;
    refuse_views(ddl, entry, column)?;
    refuse_generated(entry, column)?;
    let fill = ddl.binder(text).bind_conversion(&entry.table, column, change.using, target)?;
    if column.identity.is_some() {
        identity::retype(ddl, entry, column, change.data_type, target).await?;
    }
    let position = Table::position(column.number);
    let changed = &mut table.columns[position];
    // The new type's is what it is stored by from now on.
    changed.settings.storage = None;
    changed.type_oid = target.oid;
    changed.type_modifier = target.typmod;
    changed.collation = 0;
    changed.representation = Representation::of(target.oid, &ddl.types())?;
    let Some(default) = column.default.as_ref().filter(|_| !column.generated) else {
        return Ok((position, fill));
    };
    let expr = crate::parser::parse_expression(default)?;
    let bound = ddl.binder(text).bind_default(changed, &expr);
    // The default is of the old type: that must convert, whatever a literal of the new type would be.
    let converts = registry().cast_method(column.type_oid, target.oid, CastContext::Assignment, &ddl.types());
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
    Ok((position, fill))
}

/// 42804 for a foreign key, from or to the table, whose columns could no longer refer to each other.
fn refuse_keys(ddl: &Ddl, entry: &TableEntry, table: &Table) -> Result<()> {
    let now = |oid: u32| -> Option<&Table> {
        if oid == table.oid { Some(table) } else { ddl.catalog.table(oid).map(|other| &*other.table) }
    };
    let before =
        |oid: u32, number| ddl.catalog.table(oid).map(|other| other.table.column_numbered(number).type_oid);
    for constraint in ddl.catalog.constraints() {
        let ConstraintKind::ForeignKey { table: parent, columns, .. } = &constraint.kind else { continue };
        if constraint.table != entry.table.oid && *parent != entry.table.oid {
            continue;
        }
        let (Some(from), Some(to)) = (now(constraint.table), now(*parent)) else { continue };
        for (own, other) in constraint.columns.iter().zip(columns) {
            let (from, to) = (from.column_numbered(*own), to.column_numbered(*other));
            let is_same = before(constraint.table, *own) == Some(from.type_oid)
                && before(*parent, *other) == Some(to.type_oid);
            if !is_same {
                constraint::check_types(ddl, &constraint.name, from, to)?;
            }
        }
    }
    Ok(())
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
        if let ConstraintKind::Check { expression, .. } = &constraint.kind {
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
