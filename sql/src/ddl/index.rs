//! CREATE INDEX and ALTER INDEX.

use std::sync::Arc;

use helios_mvcc::TableLockMode;
use sqlparser::ast;

use super::storage::{self, Owner};
use super::{Ddl, constraint, default};
use crate::binder::{Relation, check_collation, name, split_collation};
use crate::catalog::{ColumnNumber, Index, IndexColumn, IndexExpression, Table, TableEntry, store};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::parser::{IndexAction, ObjectKind, check_tablespace, refuse_in_create_index};
use crate::plan::walk;
use crate::types::{DataType, Representation};
use crate::write;

pub async fn create_index(ddl: &mut Ddl, create: &ast::CreateIndex) -> Result<()> {
    refuse_in_create_index(create)?;
    let found = ddl.relation(&create.table_name)?;
    if matches!(found, Relation::View(_) | Relation::Sequence(_) | Relation::Index(_)) {
        let message = format!("cannot create index on relation \"{}\"", found.name());
        return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message)
            .with_detail(format!("This operation is not supported for {}.", found.kind().plural())));
    }
    let entry = found.into_stored()?;
    let table = entry.table.clone();
    ddl.check_owns_table(&table)?;
    ddl.check_may_create_in(table.schema)?;
    match &create.using {
        None | Some(ast::IndexType::BTree) => {}
        Some(ast::IndexType::Hash) => refuse_of_hash(create)?,
        Some(other) => {
            let method = other.to_string().to_lowercase();
            return Err(match method.as_str() {
                "gin" | "gist" | "spgist" | "brin" | "hnsw" | "vamana" | "bloom" | "ivfflat" => {
                    SqlError::unsupported(format!("access method \"{method}\" is not supported yet"))
                }
                _ => {
                    let message = format!("access method \"{method}\" does not exist");
                    SqlError::new(SqlState::UNDEFINED_OBJECT, message)
                }
            });
        }
    }
    let (mut columns, mut names, mut read) = (Vec::new(), Vec::new(), Vec::new());
    for column in &create.columns {
        let (made, shown) = index_column(ddl, &table, column, &mut read)?;
        columns.push(made);
        names.push(shown);
    }
    let mut included = Vec::new();
    for identifier in &create.include {
        included.push(number_of(&table, &name::fold(identifier))?);
    }
    let predicate = match &create.predicate {
        None => None,
        Some(predicate) => Some(stored_predicate(ddl, &table, predicate, &mut read)?),
    };
    let index_name = match &create.name {
        Some(object) => name::split(object)?.1,
        None => ddl.free_name(table.schema, &constraint::generated_name(&table.name, &names, "idx"), &[]),
    };
    if ddl.catalog.relation_named(table.schema, &index_name).is_some() {
        if create.if_not_exists {
            ddl.notices.push(SqlError::new(
                SqlState::DUPLICATE_TABLE,
                format!("relation \"{index_name}\" already exists, skipping"),
            ));
            return Ok(());
        }
        return Err(store::duplicate_relation(&index_name));
    }
    // Rows stay as they are meanwhile; reading them goes on, locked or not.
    ddl.lock_as(&table, TableLockMode::Share).await?;
    let options = storage::of_index(&create.with)?;
    let is_hash = matches!(create.using, Some(ast::IndexType::Hash));
    let index = Index {
        oid: ddl.oid().await?,
        table: table.oid,
        schema: table.schema,
        name: index_name,
        tree: ddl.tree(&options, Owner::Index),
        columns,
        unique: create.unique,
        primary: false,
        nulls_not_distinct: create.nulls_distinct == Some(false),
        predicate,
        included,
        read,
        options,
        is_hash,
    };
    fill(ddl, &entry, &index).await?;
    ddl.put(index).await
}

/// 0A000 for what PostgreSQL's hash indexes cannot have.
fn refuse_of_hash(create: &ast::CreateIndex) -> Result<()> {
    let options = || create.columns.iter().map(|column| &column.column.options);
    let unfit = [
        (create.unique, "unique indexes"),
        (create.columns.len() > 1, "multicolumn indexes"),
        (!create.include.is_empty(), "included columns"),
        (options().any(|each| each.sort.is_some()), "ASC/DESC options"),
        (options().any(|each| each.nulls_first.is_some()), "NULLS FIRST/LAST options"),
    ];
    match unfit.into_iter().find(|(is_met, _)| *is_met) {
        Some((_, what)) => {
            Err(SqlError::unsupported(format!("access method \"hash\" does not support {what}")))
        }
        None => Ok(()),
    }
}

fn number_of(table: &Table, column: &str) -> Result<ColumnNumber> {
    table.column(column).map(|column| column.number).ok_or_else(|| {
        match crate::catalog::is_system_column(column) {
            true => SqlError::unsupported("index creation on system columns is not supported"),
            false => SqlError::new(SqlState::UNDEFINED_COLUMN, format!("column \"{column}\" does not exist")),
        }
    })
}

/// Adds the columns that an expression reads.
fn note_columns(bound: &Expr, read: &mut Vec<ColumnNumber>) {
    walk::columns(bound, &mut |position| {
        let number = ColumnNumber::try_from(position + 1).unwrap_or(0);
        if !read.contains(&number) {
            read.push(number);
        }
    });
}

/// The text of a partial index's condition.
fn stored_predicate(
    ddl: &Ddl,
    table: &Table,
    predicate: &ast::Expr,
    read: &mut Vec<ColumnNumber>,
) -> Result<String> {
    let mut binder = ddl.binder("").noting_literals();
    let bound = binder.bind_over_row(table, predicate, "index predicates")?;
    if !walk::is_immutable(&bound) {
        return Err(SqlError::new(
            SqlState::INVALID_OBJECT_DEFINITION,
            "functions in index predicate must be marked IMMUTABLE",
        ));
    }
    note_columns(&bound, read);
    default::kept(ddl, &binder, predicate)
}

/// A column of an index, and what it adds to the index's name.
fn index_column(
    ddl: &Ddl,
    table: &Table,
    column: &ast::IndexColumn,
    read: &mut Vec<ColumnNumber>,
) -> Result<(IndexColumn, String)> {
    let options = &column.column.options;
    let descending = matches!(options.sort, Some(ast::OrderBySort::Desc));
    let (expr, collation) = split_collation(&column.column.expr);
    let (number, expression, shown) = match expr {
        ast::Expr::Identifier(identifier) => {
            let base = name::fold(identifier);
            (number_of(table, &base)?, None, base)
        }
        other => {
            let mut binder = ddl.binder("").noting_literals();
            let bound = binder.bind_index_expression(table, other)?;
            note_columns(&bound, read);
            let text = default::kept(ddl, &binder, other)?;
            let shown = match other {
                ast::Expr::Function(function) => name::split(&function.name)?.1,
                _ => "expr".to_string(),
            };
            let type_oid = bound.data_type().oid;
            let representation = Representation::of(type_oid, &ddl.types())?;
            (0, Some(IndexExpression { text, type_oid, representation }), shown)
        }
    };
    let type_oid = match &expression {
        Some(IndexExpression { type_oid, .. }) => *type_oid,
        None => table.column_numbered(number).type_oid,
    };
    let collation = match collation {
        Some(named) => check_collation(&ddl.types(), DataType::of(type_oid), named)?,
        None => 0,
    };
    let class = column.operator_class.as_ref().map(name::split).transpose()?.map(|(_, class)| class);
    if let Some(class) = class.as_deref().filter(|class| crate::relations::btree_class(class).is_none()) {
        return Err(SqlError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("operator class \"{class}\" does not exist for access method \"btree\""),
        ));
    }
    let nulls_first = options.nulls_first.unwrap_or(descending);
    Ok((IndexColumn { number, expression, class, collation, descending, nulls_first }, shown))
}

/// Fills a new index from its table's rows.
pub async fn fill(ddl: &mut Ddl, entry: &Arc<TableEntry>, index: &Index) -> Result<()> {
    let writer = ddl.writer(entry)?;
    let index_writer = write::index_writer(&entry.table, index, &mut ddl.binder(""))?;
    write::build_index(&writer, &index_writer, &mut ddl.execution).await
}

/// ALTER INDEX. As in PostgreSQL, what is no index may be renamed by it, if it is a relation of a kind that has rows.
///
/// # Errors
/// 42P01 and 42809 for what is no index; those of the actions.
pub async fn alter(
    ddl: &mut Ddl,
    object: &ast::ObjectName,
    if_exists: bool,
    action: &IndexAction,
) -> Result<()> {
    if let IndexAction::Rename(new_name) = action {
        return super::rename::rename(ddl, ObjectKind::Table, object, if_exists, new_name).await;
    }
    let Some(found) = ddl.existing(object, if_exists)? else { return Ok(()) };
    let Relation::Index(index) = &found else {
        return Err(SqlError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("\"{}\" is not an index", found.name()),
        ));
    };
    ddl.check_owns(&found)?;
    let mut changed = (**index).clone();
    match action {
        IndexAction::Rename(_) => Ok(()),
        IndexAction::Options(options) => {
            changed.options = storage::changed(&index.options, options, Owner::Index)?;
            ddl.put(changed).await
        }
        IndexAction::Reset(names) => {
            changed.options.retain(|(name, _)| !names.contains(name));
            ddl.put(changed).await
        }
        IndexAction::Tablespace(tablespace) => check_tablespace(&name::fold(tablespace)),
        IndexAction::Statistics { column, position } => check_statistics(ddl, index, *column, *position),
    }
}

/// Whether a column of an index may have a target for statistics: an expression alone may, and it makes no difference.
fn check_statistics(ddl: &Ddl, index: &Index, number: i64, position: u32) -> Result<()> {
    if !(1..=i64::from(i16::MAX)).contains(&number) {
        return Err(
            SqlError::invalid_parameter("column number must be in range from 1 to 32767").at(position)
        );
    }
    let at = usize::try_from(number - 1).unwrap_or(usize::MAX);
    let key = index.columns.get(at).map(|key| (key.number, key.expression.is_some()));
    let included = || index.included.get(at - index.columns.len()).map(|number| (*number, false));
    let Some((own, is_expression)) = key.or_else(included) else {
        return Err(SqlError::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column number {number} of relation \"{}\" does not exist", index.name),
        ));
    };
    if is_expression {
        return Ok(());
    }
    let name = &ddl.catalog.expect_table(index.table)?.table.column_numbered(own).name;
    if key.is_none() {
        let what = format!("column \"{name}\" of index \"{}\"", index.name);
        return Err(SqlError::unsupported(format!("cannot alter statistics on included {what}")));
    }
    let what = format!("column \"{name}\" of index \"{}\"", index.name);
    Err(SqlError::unsupported(format!("cannot alter statistics on non-expression {what}"))
        .with_hint("Alter statistics on table column instead."))
}

/// Renames an index, and the constraint that it is a part of.
pub async fn rename(ddl: &mut Ddl, index: &Arc<Index>, new_name: String) -> Result<()> {
    if ddl.catalog.relation_named(index.schema, &new_name).is_some() {
        return Err(store::duplicate_relation(&new_name));
    }
    let constraint = ddl.catalog.constraints().find(|each| each.index() == Some(index.oid));
    if let Some(constraint) = constraint.cloned() {
        let mut changed = (*constraint).clone();
        changed.name.clone_from(&new_name);
        ddl.replace((*constraint).clone(), changed).await?;
    }
    let mut renamed = (**index).clone();
    renamed.name = new_name;
    ddl.replace((**index).clone(), renamed).await
}
