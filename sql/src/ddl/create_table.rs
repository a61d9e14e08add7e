//! CREATE TABLE.

use std::sync::Arc;

use sqlparser::ast::helpers::stmt_create_table::CreateTableBuilder;
use sqlparser::ast::{self, ColumnOption};

use super::Ddl;
use super::storage::{self, Owner};
use super::{constraint, like, sequence, typed};
use crate::binder::{at_collate, check_collation, data_type, name};
use crate::catalog::PG_CLASS;
use crate::catalog::{
    ColumnIdentity, Constraint, Identity, Index, OnCommit, Table, TableColumn, TableEntry, store,
};
use crate::error::{Result, SqlError, SqlState};
use crate::parser::{NOT_DISTINCT, Source, TableLike, compression, marked, of_standard};
use crate::types::{DataType, Representation, TypeCatalog};
use crate::value::Datum;

/// The most columns a table may have.
pub const COLUMNS_MAX: usize = 1_600;

/// What columns want beside themselves.
#[derive(Default)]
pub struct Wanted {
    pub constraints: Vec<constraint::Wanted>,
    /// Columns' numbers and defaults.
    pub defaults: Vec<(i16, ast::Expr)>,
    pub sequences: Vec<sequence::Wanted>,
    /// Columns' numbers and the expressions that generate them.
    pub generated: Vec<(i16, ast::Expr)>,
}

/// A column as written, and the constraints that came with it; one of a typed table is of a type that is not written.
pub fn column_of(
    ddl: &Ddl,
    definition: &ast::ColumnDef,
    number: i16,
    table: &str,
    wanted: &mut Wanted,
    text: &str,
    of_type: Option<DataType>,
) -> Result<TableColumn> {
    let types = ddl.types();
    let column_name = name::fold(&definition.name);
    crate::catalog::refuse_system_name(&column_name)?;
    let serial = sequence::serial_type(&definition.data_type);
    let data_type = match (of_type, serial) {
        (Some(data_type), _) | (None, Some(data_type)) => data_type,
        (None, None) => data_type::resolve(&definition.data_type, &types)
            .map_err(|error| at_type(error, definition, text))?,
    };
    ddl.check_may_use_type(data_type)?;
    let is_pseudo = |info: &crate::types::TypeInfo| info.category == crate::types::Category::Pseudo;
    if data_type.oid == crate::types::oids::UNKNOWN || types.type_by_oid(data_type.oid).is_some_and(is_pseudo)
    {
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
        collation: 0,
        representation: Representation::of(data_type.oid, &types)?,
        not_null: false,
        default: None,
        identity: None,
        generated: false,
        missing: Datum::Null,
        dropped: false,
        origin: ColumnIdentity::first(number),
        settings: Default::default(),
    };
    let mut explicit_null = false;
    let mut identity = None;
    let mut has_default = false;
    // NULLS NOT DISTINCT, of the UNIQUE behind it.
    let mut not_distinct = false;
    for option in &definition.options {
        let constraint_name = option.name.as_ref().map(name::fold);
        let own = vec![column_name.clone()];
        match &option.option {
            ColumnOption::Null => explicit_null = true,
            ColumnOption::NotNull => column.not_null = true,
            ColumnOption::Default(expr) => {
                if std::mem::replace(&mut has_default, true) {
                    return Err(SqlError::syntax(format!(
                        "multiple default values specified for column \"{column_name}\" of table \"{table}\""
                    )));
                }
                wanted.defaults.push((number, expr.clone()));
            }
            ColumnOption::Generated { generated_as, sequence_options, generation_expr: None, .. } => {
                if identity.is_some() {
                    return Err(SqlError::syntax(format!(
                        "multiple identity specifications for column \"{column_name}\" of table \"{table}\""
                    )));
                }
                let kind = match generated_as {
                    ast::GeneratedAs::ByDefault => Identity::ByDefault,
                    _ => Identity::Always,
                };
                identity = Some(kind);
                column.not_null = true;
                wanted.sequences.push(sequence::Wanted {
                    column: number,
                    type_oid: column.type_oid,
                    options: of_standard(sequence_options.as_deref().unwrap_or_default()),
                    identity,
                });
            }
            ColumnOption::PrimaryKey(key) => {
                column.not_null = true;
                wanted.constraints.push(constraint::Wanted::PrimaryKey {
                    name: constraint_name,
                    columns: own,
                    timing: constraint::timing(key.characteristics.as_ref())?,
                });
            }
            ColumnOption::Unique(unique) => wanted.constraints.push(constraint::Wanted::Unique {
                name: constraint_name,
                columns: own,
                nulls_not_distinct: std::mem::take(&mut not_distinct),
                timing: constraint::timing(unique.characteristics.as_ref())?,
            }),
            ColumnOption::Check(check) => {
                constraint::refuse_enforcement(check.enforced)?;
                wanted.constraints.push(constraint::Wanted::Check {
                    name: constraint_name,
                    expression: check.expr.clone(),
                    no_inherit: check.no_inherit,
                });
            }
            ColumnOption::ForeignKey(key) => wanted.constraints.push(constraint::Wanted::ForeignKey {
                name: constraint_name,
                columns: own,
                key: Box::new(key.clone()),
            }),
            ColumnOption::Generated { generation_expr: Some(expr), generated_as, .. } => {
                if *generated_as == ast::GeneratedAs::ByDefault {
                    return Err(SqlError::syntax(
                        "for a generated column, GENERATED ALWAYS must be specified",
                    ));
                }
                if has_default || identity.is_some() {
                    let other = if has_default { "default" } else { "identity" };
                    return Err(SqlError::syntax(format!(
                        "both {other} and generation expression specified for column \"{column_name}\" of table \"{table}\""
                    )));
                }
                if std::mem::replace(&mut column.generated, true) {
                    return Err(SqlError::syntax(format!(
                        "multiple generation clauses specified for column \"{column_name}\" of table \"{table}\""
                    )));
                }
                wanted.generated.push((number, expr.clone()));
            }
            ColumnOption::Collation(collation) if is_not_distinct(collation) => not_distinct = true,
            ColumnOption::Collation(collation) if let Some(method) = compression(collation) => {
                column.settings.compression = super::column_settings::compression(ddl, &column, method)?;
            }
            ColumnOption::Collation(collation) => {
                column.collation = check_collation(&types, data_type, collation)?;
            }
            other => {
                return Err(SqlError::unsupported(format!("column option {other} is not supported yet")));
            }
        }
    }
    if serial.is_some() {
        if has_default {
            return Err(SqlError::syntax(format!(
                "multiple default values specified for column \"{column_name}\" of table \"{table}\""
            )));
        }
        column.not_null = true;
        wanted.sequences.push(sequence::Wanted {
            column: number,
            type_oid: column.type_oid,
            options: Vec::new(),
            identity: None,
        });
    }
    if has_default && column.generated {
        return Err(SqlError::syntax(format!(
            "both default and generation expression specified for column \"{column_name}\" of table \"{table}\""
        )));
    }
    if column.generated && identity.is_some() {
        return Err(SqlError::syntax(format!(
            "both identity and generation expression specified for column \"{column_name}\" of table \"{table}\""
        )));
    }
    if (has_default || serial.is_some()) && identity.is_some() {
        return Err(SqlError::syntax(format!(
            "both default and identity specified for column \"{column_name}\" of table \"{table}\""
        )));
    }
    if explicit_null && column.not_null {
        return Err(SqlError::syntax(format!(
            "conflicting NULL/NOT NULL declarations for column \"{column_name}\" of table \"{table}\""
        )));
    }
    Ok(column)
}

/// An error at the type of a column, which stands behind its name.
fn at_type(error: SqlError, definition: &ast::ColumnDef, text: &str) -> SqlError {
    let end = definition.name.span.end;
    if end.line == 0 || error.fields().position.is_some() {
        return error;
    }
    let source = Source::new(text);
    let offset = source.offset(end);
    let rest = &text[offset..];
    error.at(source.position(offset + rest.len() - rest.trim_start().len()))
}

/// What stands for NULLS NOT DISTINCT.
fn is_not_distinct(collation: &ast::ObjectName) -> bool {
    matches!(collation.0.as_slice(), [ast::ObjectNamePart::Identifier(only)] if marked(only) == Some(NOT_DISTINCT))
}

/// ON COMMIT.
pub fn on_commit(given: Option<&ast::OnCommit>, temporary: bool) -> Result<OnCommit> {
    if given.is_some() && !temporary {
        return Err(SqlError::new(
            SqlState::INVALID_TABLE_DEFINITION,
            "ON COMMIT can only be used on temporary tables",
        ));
    }
    Ok(match given {
        None | Some(ast::OnCommit::PreserveRows) => OnCommit::PreserveRows,
        Some(ast::OnCommit::DeleteRows) => OnCommit::DeleteRows,
        Some(ast::OnCommit::Drop) => OnCommit::Drop,
    })
}

/// 0A000 for every clause that nobody reads.
pub(super) fn refuse_other_forms(create: &ast::CreateTable) -> Result<()> {
    if create.inherits.is_some() {
        return Err(SqlError::unsupported("INHERITS is not supported yet"));
    }
    if create.partition_of.is_some() || create.partition_by.is_some() {
        return Err(SqlError::unsupported("partitioned tables are not supported yet"));
    }
    let read = CreateTableBuilder::new(create.name.clone())
        .temporary(create.temporary)
        .unlogged(create.unlogged)
        .global(create.global)
        .if_not_exists(create.if_not_exists)
        .columns(create.columns.clone())
        .constraints(create.constraints.clone())
        .table_options(create.table_options.clone())
        .query(create.query.clone())
        .on_commit(create.on_commit)
        // What every statement has, whatever was written.
        .hive_distribution(create.hive_distribution.clone())
        .hive_formats(create.hive_formats.clone())
        .build();
    if read != *create {
        return Err(SqlError::unsupported("this form of CREATE TABLE is not supported"));
    }
    Ok(())
}

pub async fn create_table(
    ddl: &mut Ddl,
    create: &ast::CreateTable,
    likes: &[TableLike],
    of: Option<&ast::ObjectName>,
    text: &str,
) -> Result<()> {
    refuse_other_forms(create)?;
    let (schema, base) = ddl.target_schema(&create.name, create.temporary).await?;
    if ddl.catalog.relation_named(schema, &base).is_some() {
        if create.if_not_exists {
            ddl.notices.push(SqlError::new(
                SqlState::DUPLICATE_TABLE,
                format!("relation \"{base}\" already exists, skipping"),
            ));
            return Ok(());
        }
        return Err(store::duplicate_relation(&base));
    }
    super::user_type::refuse_row_type(ddl, schema, &base)?;
    if create.columns.len() > COLUMNS_MAX {
        return Err(SqlError::new(
            SqlState::TOO_MANY_COLUMNS,
            format!("tables can have at most {COLUMNS_MAX} columns"),
        ));
    }
    let mut wanted = Wanted::default();
    let of_type = of.map(|object| typed::composite_named(ddl, object)).transpose()?;
    let mut columns: Vec<TableColumn> = Vec::new();
    if let Some(composite) = of_type.as_ref().and_then(|own| own.composite()) {
        columns = typed::columns(ddl, create, composite, &base, &mut wanted, text)?;
    }
    for at in 0..=create.columns.len() {
        if of_type.is_some() {
            break;
        }
        for source in likes.iter().filter(|source| source.at == at) {
            like::add_columns(ddl, source, &mut columns, &mut wanted)?;
        }
        let Some(definition) = create.columns.get(at) else { break };
        let number = i16::try_from(columns.len() + 1).unwrap_or(i16::MAX);
        let column = column_of(ddl, definition, number, &base, &mut wanted, text, None)
            .map_err(|error| at_collate(error, definition, text))?;
        if columns.iter().any(|each| each.name == column.name) {
            return Err(SqlError::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{}\" specified more than once", column.name),
            ));
        }
        columns.push(column);
    }
    for each in &create.constraints {
        wanted.constraints.push(constraint::wanted(each)?);
    }
    let options = storage::of_relation(&create.table_options, Owner::Table)?;
    let oid = ddl.oid().await?;
    let mut table = Table {
        oid,
        schema,
        name: base,
        owner: ddl.own_role(),
        tree: ddl.tree(&options, Owner::Table),
        schema_version: 1,
        columns,
        primary_key: Vec::new(),
        unlogged: create.unlogged,
        is_temporary: create.temporary || ddl.makes_temporary,
        on_commit: on_commit(create.on_commit.as_ref(), create.temporary || ddl.makes_temporary)?,
        options,
        row_estimate: -1,
        materialized: None,
        of_type: of_type.map_or(0, |own| own.oid),
    };
    for (number, expr) in &wanted.defaults {
        let column = &mut table.columns[Table::position(*number)];
        column.default = super::default::stored(ddl, column, expr, text)?;
    }
    for (number, expr) in &wanted.generated {
        let text =
            super::default::stored_generation(ddl, &table, table.column_numbered(*number), expr, text)?;
        table.columns[Table::position(*number)].default = Some(text);
    }
    let sequences = sequence::for_columns(ddl, &mut table, wanted.sequences).await?;
    ddl.tell_of_sequences("CREATE TABLE", &table, &sequences);
    let (indexes, constraints) = constraints(ddl, &mut table, wanted.constraints, text).await?;
    for sequence in sequences {
        ddl.begin_rights(b'S', PG_CLASS, sequence.oid, schema, sequence.owner).await?;
        ddl.put(sequence).await?;
    }
    ddl.begin_rights(b'r', PG_CLASS, oid, schema, table.owner).await?;
    ddl.put(table).await?;
    for index in indexes {
        ddl.put(index).await?;
    }
    for constraint in constraints {
        ddl.put(constraint).await?;
    }
    like::add_rest(ddl, likes, oid).await
}

/// Makes a new table's constraints: keys first, for foreign keys may point at them.
async fn constraints(
    ddl: &mut Ddl,
    table: &mut Table,
    wanted: Vec<constraint::Wanted>,
    text: &str,
) -> Result<(Vec<Index>, Vec<Constraint>)> {
    let mut taken: Vec<String> = vec![table.name.clone()];
    let (mut indexes, mut constraints) = (Vec::new(), Vec::new());
    let primaries =
        wanted.iter().filter(|each| matches!(each, constraint::Wanted::PrimaryKey { .. })).count();
    if primaries > 1 {
        return Err(SqlError::new(
            SqlState::INVALID_TABLE_DEFINITION,
            format!("multiple primary keys for table \"{}\" are not allowed", table.name),
        ));
    }
    let mut later = Vec::new();
    for each in wanted {
        let (primary, given, columns, nulls_not_distinct, timing) = match each {
            constraint::Wanted::PrimaryKey { name, columns, timing } => (true, name, columns, false, timing),
            constraint::Wanted::Unique { name, columns, nulls_not_distinct, timing } => {
                (false, name, columns, nulls_not_distinct, timing)
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
            constraint::make_key(ddl, table, &key_name, &numbers, primary, nulls_not_distinct, timing)
                .await?;
        ddl.tell_of_index("CREATE TABLE /", primary, &index.name, table);
        indexes.push(index);
        constraints.push(made);
    }
    for each in later {
        let made = match each {
            constraint::Wanted::UsingIndex { .. } => {
                return Err(SqlError::syntax("cannot use an existing index in CREATE TABLE"));
            }
            constraint::Wanted::Check { name, expression, no_inherit } => {
                let columns = constraint::naming_columns(ddl, table, &expression, text)?;
                let generated = constraint::generated_name(&table.name, &columns, "check");
                let name = name.unwrap_or_else(|| ddl.free_name(table.schema, &generated, &taken));
                constraint::make_check(ddl, table, &name, &expression, no_inherit, text).await?
            }
            constraint::Wanted::ForeignKey { name, columns, key } => {
                let generated = constraint::generated_name(&table.name, &columns, "fkey");
                let name = name.unwrap_or_else(|| ddl.free_name(table.schema, &generated, &taken));
                let own = TableEntry {
                    table: Arc::new(table.clone()),
                    indexes: indexes.iter().cloned().map(Arc::new).collect(),
                    constraints: Vec::new(),
                    referenced_by: Vec::new(),
                    statistics: None,
                    changes: Arc::default(),
                    special_indexes: Default::default(),
                    as_of: None,
                };
                constraint::make_foreign_key(ddl, table, &name, &columns, &key, Some(&own)).await?
            }
            constraint::Wanted::PrimaryKey { .. } | constraint::Wanted::Unique { .. } => continue,
        };
        taken.push(made.name.clone());
        constraints.push(made);
    }
    Ok((indexes, constraints))
}
