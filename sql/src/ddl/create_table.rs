//! CREATE TABLE.

use std::sync::Arc;

use sqlparser::ast::{self, ColumnOption};

use super::Ddl;
use super::constraint::{self, Wanted};
use super::storage::{self, Owner};
use crate::binder::{data_type, name};
use crate::catalog::{Constraint, Index, SUPERUSER, Table, TableColumn, TableEntry, store};
use crate::error::{Result, SqlError, SqlState};
use crate::types::builtin_type;
use crate::value::Datum;

/// The most columns a table may have.
const COLUMNS_MAX: usize = 1_600;

/// A column as written, and the constraints that came with it.
pub fn column_of(definition: &ast::ColumnDef, number: i16, wanted: &mut Vec<Wanted>) -> Result<TableColumn> {
    let column_name = name::fold(&definition.name);
    let data_type = data_type::resolve(&definition.data_type)?;
    if builtin_type(data_type.oid).is_some_and(|info| info.category == crate::types::Category::Pseudo) {
        return Err(SqlError::new(
            SqlState::INVALID_TABLE_DEFINITION,
            format!("column \"{column_name}\" has pseudo-type {}", definition.data_type),
        ));
    }
    let mut column = TableColumn {
        number,
        name: column_name.clone(),
        type_oid: data_type.oid,
        type_modifier: data_type.typmod,
        not_null: false,
        default: None,
        missing: Datum::Null,
        dropped: false,
    };
    let mut explicit_null = false;
    for option in &definition.options {
        let constraint_name = option.name.as_ref().map(name::fold);
        let own = vec![column_name.clone()];
        match &option.option {
            ColumnOption::Null => explicit_null = true,
            ColumnOption::NotNull => column.not_null = true,
            ColumnOption::Default(expr) => column.default = Some(expr.to_string()),
            ColumnOption::PrimaryKey(_) => {
                column.not_null = true;
                wanted.push(Wanted::PrimaryKey { name: constraint_name, columns: own });
            }
            ColumnOption::Unique(unique) => wanted.push(Wanted::Unique {
                name: constraint_name,
                columns: own,
                nulls_not_distinct: unique.nulls_distinct == ast::NullsDistinctOption::NotDistinct,
            }),
            ColumnOption::Check(check) => wanted.push(Wanted::Check {
                name: constraint_name,
                expression: check.expr.clone(),
                column: Some(column_name.clone()),
            }),
            ColumnOption::ForeignKey(key) => wanted.push(Wanted::ForeignKey {
                name: constraint_name,
                columns: own,
                key: Box::new(key.clone()),
            }),
            // Both collations that may be named here order by bytes.
            ColumnOption::Collation(_) => {}
            other => {
                return Err(SqlError::unsupported(format!("column option {other} is not supported yet")));
            }
        }
    }
    if explicit_null && column.not_null {
        return Err(SqlError::syntax(format!(
            "conflicting NULL/NOT NULL declarations for column \"{column_name}\""
        )));
    }
    Ok(column)
}

pub async fn create_table(ddl: &mut Ddl, create: &ast::CreateTable, text: &str) -> Result<()> {
    if create.temporary || create.query.is_some() || create.like.is_some() || create.partition_by.is_some() {
        return Err(SqlError::unsupported("this form of CREATE TABLE is not supported yet"));
    }
    let (schema, base) = ddl.target_schema(&create.name)?;
    if ddl.catalog.relation_named(schema, &base).is_some() {
        if create.if_not_exists {
            ddl.notices
                .push((SqlState::DUPLICATE_TABLE, format!("relation \"{base}\" already exists, skipping")));
            return Ok(());
        }
        return Err(store::duplicate_relation(&base));
    }
    if create.columns.len() > COLUMNS_MAX {
        return Err(SqlError::new(
            SqlState::TOO_MANY_COLUMNS,
            format!("tables can have at most {COLUMNS_MAX} columns"),
        ));
    }
    let mut wanted = Vec::new();
    let mut columns: Vec<TableColumn> = Vec::new();
    for (at, definition) in create.columns.iter().enumerate() {
        let number = i16::try_from(at + 1).unwrap_or(i16::MAX);
        let column = column_of(definition, number, &mut wanted)?;
        if columns.iter().any(|each| each.name == column.name) {
            return Err(SqlError::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{}\" specified more than once", column.name),
            ));
        }
        columns.push(column);
    }
    for each in &create.constraints {
        wanted.push(constraint::wanted(each)?);
    }
    let options = storage::of_table(&create.table_options)?;
    let mut table = Table {
        oid: ddl.oid().await?,
        schema,
        name: base,
        owner: SUPERUSER,
        tree: ddl.tree(&options, Owner::Table),
        schema_version: 1,
        columns,
        primary_key: Vec::new(),
        unlogged: create.unlogged,
        options,
        row_estimate: -1,
    };
    for column in table.live_columns() {
        if let Some(default) = &column.default {
            let expr = crate::parser::parse_expression(default)?;
            ddl.binder(text).bind_default(column, &expr)?;
        }
    }
    let (indexes, constraints) = constraints(ddl, &mut table, wanted, text).await?;
    ddl.put(table).await?;
    for index in indexes {
        ddl.put(index).await?;
    }
    for constraint in constraints {
        ddl.put(constraint).await?;
    }
    Ok(())
}

/// Makes a new table's constraints: keys first, for foreign keys may point at them.
async fn constraints(
    ddl: &mut Ddl,
    table: &mut Table,
    wanted: Vec<Wanted>,
    text: &str,
) -> Result<(Vec<Index>, Vec<Constraint>)> {
    let mut taken: Vec<String> = vec![table.name.clone()];
    let (mut indexes, mut constraints) = (Vec::new(), Vec::new());
    let primaries = wanted.iter().filter(|each| matches!(each, Wanted::PrimaryKey { .. })).count();
    if primaries > 1 {
        return Err(SqlError::new(
            SqlState::INVALID_TABLE_DEFINITION,
            format!("multiple primary keys for table \"{}\" are not allowed", table.name),
        ));
    }
    let mut later = Vec::new();
    for each in wanted {
        let (primary, given, columns, nulls_not_distinct) = match each {
            Wanted::PrimaryKey { name, columns } => (true, name, columns, false),
            Wanted::Unique { name, columns, nulls_not_distinct } => {
                (false, name, columns, nulls_not_distinct)
            }
            other => {
                later.push(other);
                continue;
            }
        };
        let numbers = constraint::numbers(table, &columns)?;
        let generated = if primary {
            constraint::generated_name(&table.name, &[], "pkey")
        } else {
            constraint::generated_name(&table.name, &columns, "key")
        };
        let key_name = given.unwrap_or_else(|| ddl.free_name(table.schema, &generated, &taken));
        taken.push(key_name.clone());
        if primary {
            table.primary_key.clone_from(&numbers);
            for number in &numbers {
                table.columns[Table::position(*number)].not_null = true;
            }
        }
        let (index, made) =
            constraint::make_key(ddl, table, &key_name, &numbers, primary, nulls_not_distinct).await?;
        indexes.push(index);
        constraints.push(made);
    }
    for each in later {
        let made = match each {
            Wanted::Check { name, expression, column } => {
                let columns: Vec<String> = column.into_iter().collect();
                let generated = constraint::generated_name(&table.name, &columns, "check");
                let name = name.unwrap_or_else(|| ddl.free_name(table.schema, &generated, &taken));
                constraint::make_check(ddl, table, &name, &expression, text).await?
            }
            Wanted::ForeignKey { name, columns, key } => {
                let generated = constraint::generated_name(&table.name, &columns, "fkey");
                let name = name.unwrap_or_else(|| ddl.free_name(table.schema, &generated, &taken));
                let own = TableEntry {
                    table: Arc::new(table.clone()),
                    indexes: indexes.iter().cloned().map(Arc::new).collect(),
                    constraints: Vec::new(),
                    referenced_by: Vec::new(),
                };
                constraint::make_foreign_key(ddl, table, &name, &columns, &key, Some(&own)).await?
            }
            Wanted::PrimaryKey { .. } | Wanted::Unique { .. } => continue,
        };
        taken.push(made.name.clone());
        constraints.push(made);
    }
    Ok((indexes, constraints))
}
