//! ALTER TABLE.

use std::sync::Arc;

use sqlparser::ast::{self, AlterColumnOperation, AlterTableOperation as Operation};

use super::Ddl;
use super::constraint::{self, Wanted};
use super::create_table::column_of;
use super::storage::{self, Owner};
use crate::binder::{Relation, lookup_relation, name};
use crate::catalog::{ConstraintKind, Table, TableColumn, TableEntry};
use crate::error::{Result, SqlError, SqlState};
use crate::value::Datum;
use crate::write;

pub async fn alter_table(ddl: &mut Ddl, alter: &ast::AlterTable, text: &str) -> Result<()> {
    let (schema, base) = name::split(&alter.name)?;
    let found = lookup_relation(&ddl.catalog, &ddl.binding.search_path, schema.as_deref(), &base);
    let mut entry = match found {
        Ok(Relation::Stored(entry)) => entry,
        Ok(Relation::Virtual(relation)) => {
            return Err(SqlError::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("permission denied: \"{}\" is a system catalog", relation.name),
            ));
        }
        Err(error) if alter.if_exists && error.state() == SqlState::UNDEFINED_TABLE => {
            let message = format!("relation \"{base}\" does not exist, skipping");
            ddl.notices.push((SqlState::SUCCESSFUL_COMPLETION, message));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    ddl.lock(&entry.table).await?;
    for operation in &alter.operations {
        apply(ddl, &entry, operation, text).await?;
        // The next operation sees what this one did.
        ddl.execution.transaction.begin_statement();
        let catalog = crate::catalog::CatalogSnapshot::load(&ddl.execution.transaction).await?;
        ddl.catalog = Arc::new(catalog);
        entry = ddl.catalog.expect_table(entry.table.oid)?.clone();
    }
    Ok(())
}

async fn apply(ddl: &mut Ddl, entry: &Arc<TableEntry>, operation: &Operation, text: &str) -> Result<()> {
    match operation {
        Operation::AddColumn { if_not_exists, column_def, .. } => {
            add_column(ddl, entry, column_def, *if_not_exists, text).await
        }
        Operation::DropColumn { column_names, if_exists, .. } => {
            for column in column_names {
                drop_column(ddl, entry, &name::fold(column), *if_exists).await?;
            }
            Ok(())
        }
        Operation::RenameColumn { old_column_name, new_column_name } => {
            rename_column(ddl, entry, &name::fold(old_column_name), &name::fold(new_column_name)).await
        }
        Operation::RenameTable { table_name } => {
            let (ast::RenameTableNameKind::As(object) | ast::RenameTableNameKind::To(object)) = table_name;
            let mut table = (*entry.table).clone();
            table.name = name::split(object)?.1;
            ddl.replace((*entry.table).clone(), table).await
        }
        Operation::AddConstraint { constraint, .. } => {
            add_constraint(ddl, entry, constraint::wanted(constraint)?, text).await
        }
        Operation::DropConstraint { if_exists, name: constraint, .. } => {
            drop_constraint(ddl, entry, &name::fold(constraint), *if_exists).await
        }
        Operation::AlterColumn { column_name, op } => {
            alter_column(ddl, entry, &name::fold(column_name), op, text).await
        }
        Operation::RenameConstraint { old_name, new_name } => {
            let old = find_constraint(entry, &name::fold(old_name))?;
            let mut renamed = (**old).clone();
            renamed.name = name::fold(new_name);
            if let Some(index) = entry.indexes.iter().find(|index| index.name == old.name) {
                let mut changed = (**index).clone();
                changed.name.clone_from(&renamed.name);
                ddl.replace((**index).clone(), changed).await?;
            }
            ddl.replace((**old).clone(), renamed).await
        }
        Operation::SetOptionsParens { options } => {
            let mut table = (*entry.table).clone();
            table.options = storage::changed(&table.options, options)?;
            ddl.put(table).await
        }
        Operation::OwnerTo { .. }
        | Operation::SetLogged
        | Operation::SetUnlogged
        | Operation::ValidateConstraint { .. }
        | Operation::ReplicaIdentity { .. } => Ok(()),
        other => Err(SqlError::unsupported(format!("ALTER TABLE {other} is not supported yet"))),
    }
}

/// A table with one column changed.
async fn change_column(
    ddl: &mut Ddl,
    entry: &TableEntry,
    column: &str,
    change: impl FnOnce(&mut TableColumn),
) -> Result<()> {
    let mut table = (*entry.table).clone();
    let number = find_column(&entry.table, column)?.number;
    change(&mut table.columns[Table::position(number)]);
    ddl.put(table).await
}

fn find_column<'t>(table: &'t Table, column: &str) -> Result<&'t TableColumn> {
    table.column(column).ok_or_else(|| {
        SqlError::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{column}\" of relation \"{}\" does not exist", table.name),
        )
    })
}

fn find_constraint<'t>(
    entry: &'t TableEntry,
    constraint: &str,
) -> Result<&'t Arc<crate::catalog::Constraint>> {
    entry.constraints.iter().find(|each| each.name == constraint).ok_or_else(|| {
        SqlError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("constraint \"{constraint}\" of relation \"{}\" does not exist", entry.table.name),
        )
    })
}

async fn add_column(
    ddl: &mut Ddl,
    entry: &Arc<TableEntry>,
    definition: &ast::ColumnDef,
    if_not_exists: bool,
    text: &str,
) -> Result<()> {
    let mut table = (*entry.table).clone();
    let number = i16::try_from(table.columns.len() + 1)
        .map_err(|_| SqlError::new(SqlState::TOO_MANY_COLUMNS, "tables can have at most 1600 columns"))?;
    let mut wanted = Vec::new();
    let mut column = column_of(definition, number, &mut wanted)?;
    if table.column(&column.name).is_some() {
        let message = format!("column \"{}\" of relation \"{}\" already exists", column.name, table.name);
        if if_not_exists {
            ddl.notices.push((SqlState::DUPLICATE_COLUMN, format!("{message}, skipping")));
            return Ok(());
        }
        return Err(SqlError::new(SqlState::DUPLICATE_COLUMN, message));
    }
    if let Some(default) = &column.default {
        // The default is worth one value for all rows that exist, so that none is touched.
        let expr = crate::parser::parse_expression(default)?;
        let bound = ddl.binder(text).bind_default(&column, &expr)?;
        if crate::plan::walk::is_volatile(&bound) && !is_empty(ddl, entry).await? {
            return Err(SqlError::unsupported(
                "adding a column with a volatile default is not supported yet",
            ));
        }
        let no_row: [Datum; 0] = [];
        column.missing = bound.eval_row(&no_row.as_slice(), &ddl.execution.context())?;
    }
    if column.not_null && column.missing.is_null() && !is_empty(ddl, entry).await? {
        return Err(SqlError::new(
            SqlState::NOT_NULL_VIOLATION,
            format!("column \"{}\" of relation \"{}\" contains null values", column.name, table.name),
        )
        .with_table(&table.name)
        .with_column(&column.name));
    }
    table.columns.push(column);
    table.schema_version += 1;
    ddl.put(table).await?;
    for each in wanted {
        refresh(ddl).await?;
        let current = ddl.catalog.expect_table(entry.table.oid)?.clone();
        add_constraint(ddl, &current, each, text).await?;
    }
    Ok(())
}

/// Lets the statement see its own changes of the catalog.
async fn refresh(ddl: &mut Ddl) -> Result<()> {
    ddl.execution.transaction.begin_statement();
    ddl.catalog = Arc::new(crate::catalog::CatalogSnapshot::load(&ddl.execution.transaction).await?);
    Ok(())
}

async fn is_empty(ddl: &mut Ddl, entry: &TableEntry) -> Result<bool> {
    let mut found = false;
    let transaction = &ddl.execution.transaction;
    let mut scan = transaction.scan_latest(entry.table.tree, helios_mvcc::KeyRange::all(), false);
    let mut visit = |_: &[u8], _: &[u8]| {
        found = true;
        std::ops::ControlFlow::Break(())
    };
    scan.next(transaction, &mut visit).await?;
    Ok(!found)
}

async fn drop_column(ddl: &mut Ddl, entry: &Arc<TableEntry>, column: &str, if_exists: bool) -> Result<()> {
    let mut table = (*entry.table).clone();
    let Some(found) = table.column(column) else {
        let message = format!("column \"{column}\" of relation \"{}\" does not exist", table.name);
        if if_exists {
            ddl.notices.push((SqlState::SUCCESSFUL_COMPLETION, format!("{message}, skipping")));
            return Ok(());
        }
        return Err(SqlError::new(SqlState::UNDEFINED_COLUMN, message));
    };
    let number = found.number;
    if table.primary_key.contains(&number) {
        return Err(SqlError::unsupported("dropping a column of the primary key is not supported yet"));
    }
    for constraint in entry.constraints.iter().filter(|each| each.columns.contains(&number)) {
        ddl.remove((**constraint).clone()).await?;
    }
    for index in entry.indexes.iter().filter(|index| index.columns.iter().any(|each| each.number == number)) {
        ddl.execution.transaction.drop_tree(index.tree);
        ddl.remove((**index).clone()).await?;
    }
    let dropped = &mut table.columns[Table::position(number)];
    dropped.dropped = true;
    dropped.not_null = false;
    dropped.default = None;
    dropped.missing = Datum::Null;
    dropped.name = format!("........pg.dropped.{number}........");
    table.schema_version += 1;
    ddl.put(table).await
}

async fn rename_column(ddl: &mut Ddl, entry: &Arc<TableEntry>, old: &str, new: &str) -> Result<()> {
    if entry.table.column(old).is_none() {
        return Err(SqlError::new(SqlState::UNDEFINED_COLUMN, format!("column \"{old}\" does not exist")));
    }
    if entry.table.column(new).is_some() {
        return Err(SqlError::new(
            SqlState::DUPLICATE_COLUMN,
            format!("column \"{new}\" of relation \"{}\" already exists", entry.table.name),
        ));
    }
    for constraint in &entry.constraints {
        if let ConstraintKind::Check { expression } = &constraint.kind {
            let mut ast = crate::parser::parse_expression(expression)?;
            rename_in(&mut ast, old, new);
            let mut changed = (**constraint).clone();
            changed.kind = ConstraintKind::Check { expression: ast.to_string() };
            ddl.put(changed).await?;
        }
    }
    change_column(ddl, entry, old, |column| column.name = new.to_string()).await
}

/// Renames a column wherever an expression names it.
fn rename_in(expr: &mut ast::Expr, old: &str, new: &str) {
    let flow = ast::visit_expressions_mut(expr, |node: &mut ast::Expr| {
        let identifier = match node {
            ast::Expr::Identifier(identifier) => Some(identifier),
            ast::Expr::CompoundIdentifier(parts) => parts.last_mut(),
            _ => None,
        };
        if let Some(identifier) = identifier
            && name::fold(identifier) == old
        {
            *identifier = ast::Ident::with_quote('"', new);
        }
        std::ops::ControlFlow::<()>::Continue(())
    });
    debug_assert!(flow.is_continue());
}

async fn alter_column(
    ddl: &mut Ddl,
    entry: &Arc<TableEntry>,
    column: &str,
    operation: &AlterColumnOperation,
    text: &str,
) -> Result<()> {
    let found = find_column(&entry.table, column)?.clone();
    match operation {
        AlterColumnOperation::SetDefault { value } => {
            ddl.binder(text).bind_default(&found, value)?;
            change_column(ddl, entry, column, |column| column.default = Some(value.to_string())).await
        }
        AlterColumnOperation::DropDefault => {
            change_column(ddl, entry, column, |column| column.default = None).await
        }
        AlterColumnOperation::DropNotNull => {
            if entry.table.primary_key.contains(&found.number) {
                return Err(SqlError::new(
                    SqlState::INVALID_TABLE_DEFINITION,
                    format!("column \"{column}\" is in a primary key"),
                ));
            }
            change_column(ddl, entry, column, |column| column.not_null = false).await
        }
        AlterColumnOperation::SetNotNull => {
            change_column(ddl, entry, column, |column| column.not_null = true).await?;
            refresh(ddl).await?;
            let current = ddl.catalog.expect_table(entry.table.oid)?.clone();
            let writer = ddl.writer(&current)?;
            write::check_rows(&writer, &mut ddl.execution).await.map_err(|error| {
                if error.state() != SqlState::NOT_NULL_VIOLATION {
                    return error;
                }
                SqlError::new(
                    SqlState::NOT_NULL_VIOLATION,
                    format!("column \"{column}\" of relation \"{}\" contains null values", entry.table.name),
                )
            })
        }
        _ => Err(SqlError::unsupported("this form of ALTER COLUMN is not supported yet")),
    }
}

async fn add_constraint(ddl: &mut Ddl, entry: &Arc<TableEntry>, wanted: Wanted, text: &str) -> Result<()> {
    let table = entry.table.clone();
    let named = |given: Option<String>, generated: String, ddl: &Ddl| -> Result<String> {
        match given {
            None => Ok(ddl.free_name(table.schema, &generated, &[])),
            Some(given) if entry.constraints.iter().any(|each| each.name == given) => Err(SqlError::new(
                SqlState::DUPLICATE_OBJECT,
                format!("constraint \"{given}\" for relation \"{}\" already exists", table.name),
            )),
            Some(given) => Ok(given),
        }
    };
    match wanted {
        Wanted::PrimaryKey { name, columns } => {
            let name = named(name, constraint::generated_name(&table.name, &[], "pkey"), ddl)?;
            add_primary_key(ddl, entry, &name, &columns).await
        }
        Wanted::Unique { name, columns, nulls_not_distinct } => {
            let name = named(name, constraint::generated_name(&table.name, &columns, "key"), ddl)?;
            let numbers = constraint::numbers(&table, &columns)?;
            let (index, made) =
                constraint::make_key(ddl, &table, &name, &numbers, false, nulls_not_distinct).await?;
            super::index::fill(ddl, entry, &index).await?;
            ddl.put(index).await?;
            ddl.put(made).await
        }
        Wanted::Check { name, expression, column } => {
            let columns: Vec<String> = column.into_iter().collect();
            let name = named(name, constraint::generated_name(&table.name, &columns, "check"), ddl)?;
            let made = constraint::make_check(ddl, &table, &name, &expression, text).await?;
            ddl.put(made).await?;
            refresh(ddl).await?;
            let current = ddl.catalog.expect_table(table.oid)?.clone();
            let writer = ddl.writer(&current)?;
            write::check_rows(&writer, &mut ddl.execution).await.map_err(|error| {
                if error.state() != SqlState::CHECK_VIOLATION {
                    return error;
                }
                SqlError::new(
                    SqlState::CHECK_VIOLATION,
                    format!(
                        "check constraint \"{name}\" of relation \"{}\" is violated by some row",
                        table.name
                    ),
                )
                .with_table(&table.name)
                .with_constraint(&name)
            })
        }
        Wanted::ForeignKey { name, columns, key } => {
            let name = named(name, constraint::generated_name(&table.name, &columns, "fkey"), ddl)?;
            let made = constraint::make_foreign_key(ddl, &table, &name, &columns, &key, None).await?;
            ddl.put(made).await?;
            refresh(ddl).await?;
            let current = ddl.catalog.expect_table(table.oid)?.clone();
            let writer = ddl.writer(&current)?;
            write::check_references(&writer, &mut ddl.execution).await
        }
    }
}

/// ADD PRIMARY KEY: the rows move into a new tree, clustered on it, and the indexes point at the new keys.
async fn add_primary_key(
    ddl: &mut Ddl,
    entry: &Arc<TableEntry>,
    name: &str,
    columns: &[String],
) -> Result<()> {
    if !entry.table.primary_key.is_empty() {
        return Err(SqlError::new(
            SqlState::INVALID_TABLE_DEFINITION,
            format!("multiple primary keys for table \"{}\" are not allowed", entry.table.name),
        ));
    }
    let mut table = (*entry.table).clone();
    let numbers = constraint::numbers(&table, columns)?;
    let old_tree = table.tree;
    table.primary_key.clone_from(&numbers);
    for number in &numbers {
        table.columns[Table::position(*number)].not_null = true;
    }
    let (mut index, made) = constraint::make_key(ddl, &table, name, &numbers, true, false).await?;
    let target = ddl.tree(&table.options, Owner::Table);
    let mut indexes = entry.indexes.clone();
    indexes.push(Arc::new(index.clone()));
    // The writer reads the old tree and makes the new keys.
    let clustered = Arc::new(TableEntry {
        table: Arc::new(table.clone()),
        indexes,
        constraints: Vec::new(),
        referenced_by: Vec::new(),
    });
    let writer = ddl.writer(&clustered)?;
    write::rebuild_table(&writer, target, &mut ddl.execution).await?;
    table.tree = target;
    index.tree = target;
    let moved = Arc::new(TableEntry {
        table: Arc::new(table.clone()),
        indexes: Vec::new(),
        constraints: Vec::new(),
        referenced_by: Vec::new(),
    });
    for secondary in &entry.indexes {
        let mut rebuilt = (**secondary).clone();
        ddl.execution.transaction.drop_tree(rebuilt.tree);
        rebuilt.tree = ddl.tree(&rebuilt.options, Owner::Index);
        super::index::fill(ddl, &moved, &rebuilt).await?;
        ddl.put(rebuilt).await?;
    }
    ddl.execution.transaction.drop_tree(old_tree);
    ddl.put(table).await?;
    ddl.put(index).await?;
    ddl.put(made).await
}

async fn drop_constraint(
    ddl: &mut Ddl,
    entry: &Arc<TableEntry>,
    wanted: &str,
    if_exists: bool,
) -> Result<()> {
    let constraint = match find_constraint(entry, wanted) {
        Ok(constraint) => constraint.clone(),
        Err(error) if if_exists => {
            let message = format!("{}, skipping", error.message());
            ddl.notices.push((SqlState::SUCCESSFUL_COMPLETION, message));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    match &constraint.kind {
        ConstraintKind::PrimaryKey { .. } => {
            return Err(SqlError::unsupported("dropping a primary key is not supported yet"));
        }
        ConstraintKind::Unique { index } => {
            let referring = entry.referenced_by.iter().find(
                |each| matches!(&each.kind, ConstraintKind::ForeignKey { index: used, .. } if used == index),
            );
            if let Some(referring) = referring {
                return Err(SqlError::new(
                    SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                    format!(
                        "cannot drop constraint {wanted} on table {} because other objects depend on it",
                        entry.table.name
                    ),
                )
                .with_detail(format!("constraint {} depends on index {wanted}", referring.name))
                .with_hint("Use DROP ... CASCADE to drop the dependent objects too."));
            }
            if let Some(found) = entry.indexes.iter().find(|each| each.oid == *index) {
                ddl.execution.transaction.drop_tree(found.tree);
                ddl.remove((**found).clone()).await?;
            }
        }
        ConstraintKind::Check { .. } | ConstraintKind::ForeignKey { .. } => {}
    }
    ddl.remove((*constraint).clone()).await
}
