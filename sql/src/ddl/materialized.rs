//! CREATE MATERIALIZED VIEW: a table that keeps the query which its rows come from. [`super::refresh`] fills it again.

use sqlparser::ast;

use super::storage::{self, Owner};
use super::{Ddl, create_as, user_type, view};
use crate::binder::name;
use crate::catalog::{Materialized, OnCommit, PG_CLASS, Table, store};
use crate::error::{Result, SqlError, SqlState};
use crate::parser::CreateMaterialized;

/// Makes it; gives the command tag, where it is another one than usual.
///
/// # Errors
/// Those of the query and of making a table; 0A000 for a query that a materialized view cannot have.
pub async fn create(ddl: &mut Ddl, create: &CreateMaterialized, text: &str) -> Result<Option<String>> {
    let (catalog, environment) = (ddl.catalog.clone(), ddl.binding.clone());
    let mut binder = crate::binder::Binder::new(&catalog, &environment, text, Vec::new()).noting_literals();
    let bound = binder.bind_query(&create.query)?;
    if let Some(error) = binder.take_first_parameter() {
        return Err(error);
    }
    let used = binder.used_columns().clone();
    let stored = view::stored_query(ddl, &create.query, &bound.columns, &used, &binder)?;
    refuse(create, !binder.take_changes().is_empty(), stored.reads_temporary)?;
    binder.settle_uses();
    let uses = binder.take_uses();
    let (schema, base) = ddl.find_target(&create.name, false).await?;
    if ddl.catalog.relation_named(schema, &base).is_some() {
        if create.if_not_exists {
            let message = format!("relation \"{base}\" already exists, skipping");
            ddl.notices.push(SqlError::new(SqlState::DUPLICATE_TABLE, message));
            return Ok(None);
        }
        return Err(store::duplicate_relation(&base));
    }
    check_storage(create)?;
    if create.with_data {
        crate::rights::check_uses(&catalog, environment.who, &uses)?;
        crate::rights::check_populated(&uses)?;
    }
    let names: Vec<String> = create.columns.iter().map(name::fold).collect();
    let columns = create_as::columns_of(ddl, &names, &bound.columns)?;
    ddl.check_may_create_in(schema)?;
    user_type::refuse_row_type(ddl, schema, &base)?;
    let options = ast::CreateTableOptions::With(create.options.clone());
    let options = storage::of_relation(&options, Owner::Table)?;
    let table = Table {
        oid: ddl.oid().await?,
        schema,
        name: base,
        owner: ddl.own_role(),
        tree: ddl.tree(&options, Owner::Table),
        schema_version: 1,
        columns,
        primary_key: Vec::new(),
        unlogged: false,
        is_temporary: false,
        on_commit: OnCommit::PreserveRows,
        options,
        row_estimate: -1,
        of_type: 0,
        materialized: Some(Materialized {
            query: stored.query,
            sources: stored.sources,
            is_populated: create.with_data,
        }),
    };
    let oid = table.oid;
    ddl.begin_rights(b'r', PG_CLASS, oid, schema, table.owner).await?;
    ddl.put(table).await?;
    if !create.with_data {
        return Ok(None);
    }
    let needed: Vec<usize> = bound.columns.iter().map(|(id, _)| *id).collect();
    let plan = crate::plan::plan_query(bound.plan, &needed, &ddl.binder(text).means())?;
    ddl.refresh().await?;
    let entry = ddl.catalog.expect_table(oid)?.clone();
    let writer = ddl.writer(&entry)?;
    let rows = create_as::fill(ddl, &plan, &writer).await?;
    Ok(Some(format!("SELECT {rows}")))
}

/// 0A000 for what no materialized view may be.
fn refuse(create: &CreateMaterialized, changes_rows: bool, reads_temporary: bool) -> Result<()> {
    let why = if changes_rows {
        "materialized views must not use data-modifying statements in WITH"
    } else if reads_temporary {
        "materialized views must not use temporary tables or views"
    } else if create.unlogged {
        "materialized views cannot be unlogged"
    } else {
        return Ok(());
    };
    Err(SqlError::unsupported(why))
}

/// 42704 for an access method or a tablespace that there is not.
fn check_storage(create: &CreateMaterialized) -> Result<()> {
    let missing = |kind: &str, given: &Option<ast::Ident>, known: &str| match given.as_ref().map(name::fold) {
        Some(given) if given != known => {
            let message = format!("{kind} \"{given}\" does not exist");
            Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message))
        }
        _ => Ok(()),
    };
    missing("access method", &create.method, "heap")?;
    missing("tablespace", &create.tablespace, "pg_default")
}
