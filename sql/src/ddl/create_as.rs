//! CREATE TABLE AS and SELECT INTO.

use sqlparser::ast;

use super::Ddl;
use super::storage::{self, Owner};
use crate::binder::{ResultColumn, name};
use crate::catalog::PG_CLASS;
use crate::catalog::{ColumnIdentity, OnCommit, Table, TableColumn, store};
use crate::error::{Result, SqlError, SqlState};
use crate::execute;
use crate::functions::EvalContext;
use crate::plan::physical::PlanNode;
use crate::types::{BuiltinTypes, DataType, Representation, format_type, oids};
use crate::value::Datum;
use crate::write::TableWriter;

/// A table made from a query.
pub struct CreateAs<'a> {
    pub target: &'a ast::ObjectName,
    /// The columns' names, as far as they are given.
    pub names: Vec<String>,
    pub query: &'a ast::Query,
    pub if_not_exists: bool,
    pub temporary: bool,
    pub unlogged: bool,
    pub on_commit: OnCommit,
    pub with_data: bool,
    pub options: Vec<(String, String)>,
}

/// Makes the table; gives the command tag.
pub async fn create_as(ddl: &mut Ddl, create: CreateAs<'_>, text: &str) -> Result<String> {
    let tag = "CREATE TABLE AS".to_string();
    let (schema, base) = ddl.find_target(create.target, create.temporary).await?;
    if ddl.catalog.relation_named(schema, &base).is_some() {
        if create.if_not_exists {
            let message = format!("relation \"{base}\" already exists, skipping");
            ddl.notices.push(SqlError::new(SqlState::DUPLICATE_TABLE, message));
            return Ok(tag);
        }
        return Err(store::duplicate_relation(&base));
    }
    super::user_type::refuse_row_type(ddl, schema, &base)?;
    let (catalog, environment) = (ddl.catalog.clone(), ddl.binding.clone());
    let mut binder = crate::binder::Binder::new(&catalog, &environment, text, Vec::new());
    let bound = binder.bind_query(create.query)?;
    binder.parameter_types()?;
    binder.settle_uses();
    let uses = binder.take_uses();
    crate::rights::check_uses(&catalog, environment.who, &uses)?;
    if create.with_data {
        crate::rights::check_populated(&uses)?;
    }
    if !create.temporary {
        ddl.check_may_create_in(schema)?;
    }
    let columns = columns_of(ddl, &create.names, &bound.columns)?;
    let table = Table {
        oid: ddl.oid().await?,
        schema,
        name: base,
        owner: ddl.own_role(),
        tree: ddl.tree(&create.options, Owner::Table),
        schema_version: 1,
        columns,
        primary_key: Vec::new(),
        unlogged: create.unlogged,
        is_temporary: create.temporary || ddl.makes_temporary,
        on_commit: create.on_commit,
        options: create.options,
        row_estimate: -1,
        materialized: None,
        of_type: 0,
    };
    let oid = table.oid;
    ddl.begin_rights(b'r', PG_CLASS, oid, schema, table.owner).await?;
    ddl.put(table).await?;
    if !create.with_data {
        return Ok(tag);
    }
    let needed: Vec<usize> = bound.columns.iter().map(|(id, _)| *id).collect();
    let plan = crate::plan::plan_query(bound.plan, &needed, &ddl.binder(text).means())?;
    ddl.refresh().await?;
    let entry = ddl.catalog.expect_table(oid)?.clone();
    let writer = ddl.writer(&entry)?;
    let rows = fill(ddl, &plan, &writer).await?;
    Ok(format!("SELECT {rows}"))
}

/// The columns of a table that a query makes, under the names that are given.
///
/// # Errors
/// 42601 for more names than columns, 42701 for a name that comes twice, 42P16 for a row as a value.
pub fn columns_of(ddl: &Ddl, names: &[String], bound: &[(usize, ResultColumn)]) -> Result<Vec<TableColumn>> {
    let mut columns: Vec<TableColumn> = Vec::new();
    if names.len() > bound.len() {
        return Err(SqlError::syntax("too many column names were specified"));
    }
    for (number, (at, (_, column))) in (1..).zip(bound.iter().enumerate()) {
        let name = names.get(at).unwrap_or(&column.name).clone();
        crate::catalog::refuse_system_name(&name)?;
        if columns.iter().any(|each| each.name == name) {
            return Err(SqlError::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{name}\" specified more than once"),
            ));
        }
        let data_type = if column.data_type.oid == oids::UNKNOWN { DataType::TEXT } else { column.data_type };
        if matches!(data_type.oid, oids::RECORD | oids::RECORD_ARRAY) {
            let shown = format_type(data_type, &BuiltinTypes);
            let message = format!("column \"{name}\" has pseudo-type {shown}");
            return Err(SqlError::new(SqlState::INVALID_TABLE_DEFINITION, message));
        }
        columns.push(TableColumn {
            number,
            name,
            type_oid: data_type.oid,
            type_modifier: data_type.typmod,
            collation: column.source.map_or(0, |source| collation_of(ddl, source)),
            representation: Representation::of(data_type.oid, &ddl.types())?,
            not_null: false,
            default: None,
            identity: None,
            generated: false,
            missing: Datum::Null,
            dropped: false,
            origin: ColumnIdentity::first(number),
            settings: Default::default(),
        });
    }
    Ok(columns)
}

/// The collation of a column that another one is made from, as it was named.
fn collation_of(ddl: &Ddl, (table, number): (u32, i16)) -> u32 {
    ddl.catalog.table(table).map_or(0, |entry| entry.table.column_numbered(number).collation)
}

/// Writes all rows of a query into a table; gives their number.
///
/// # Errors
/// Those of running the query and of writing.
pub async fn fill(ddl: &mut Ddl, plan: &PlanNode, writer: &TableWriter) -> Result<u64> {
    let mut source = execute::build(plan);
    let mut rows: u64 = 0;
    while let Some(batch) = source.next(&mut ddl.execution).await? {
        let fill = |at, _: &EvalContext<'_>, row: &mut Vec<Datum>| {
            row.extend(batch.columns.iter().map(|column| column.get(at)));
            Ok(())
        };
        writer.insert_all(batch.row_count, &mut ddl.execution, fill).await?;
        rows += batch.row_count as u64;
        ddl.execution.breathe().await?;
    }
    Ok(rows)
}

/// CREATE TABLE … AS as the parser has it.
pub async fn of_create(
    ddl: &mut Ddl,
    create: &ast::CreateTable,
    names: &[ast::Ident],
    with_data: bool,
    text: &str,
) -> Result<String> {
    super::create_table::refuse_other_forms(create)?;
    let Some(query) = &create.query else {
        return Err(SqlError::syntax("syntax error at or near \"WITH\""));
    };
    let create = CreateAs {
        target: &create.name,
        names: names.iter().map(name::fold).collect(),
        query,
        if_not_exists: create.if_not_exists,
        temporary: create.temporary,
        unlogged: create.unlogged,
        on_commit: super::create_table::on_commit(create.on_commit.as_ref(), create.temporary)?,
        with_data,
        options: storage::of_relation(&create.table_options, Owner::Table)?,
    };
    create_as(ddl, create, text).await
}
