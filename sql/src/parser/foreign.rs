//! Clauses that only other databases have. sqlparser takes them whatever the dialect; nobody reads them here, so that a
//! statement that has one must fail: a `DELETE … LIMIT 1` that deletes all rows is the worst of answers.

use sqlparser::ast::{self, Expr, SelectFlavor, SelectItem, TableFactor, WildcardAdditionalOptions};

use crate::error::{Result, SqlError};

/// 42601 where one of the clauses is there.
fn refuse<const COUNT: usize>(clauses: [(bool, &str); COUNT]) -> Result<()> {
    match clauses.iter().find(|(is_there, _)| *is_there) {
        Some((_, word)) => Err(SqlError::syntax(format!("syntax error at or near \"{word}\""))),
        None => Ok(()),
    }
}

/// # Errors
/// 42601.
pub fn refuse_in_insert(insert: &ast::Insert) -> Result<()> {
    refuse([
        (insert.or.is_some(), "OR"),
        (insert.ignore, "IGNORE"),
        (insert.overwrite, "OVERWRITE"),
        (insert.replace_into, "REPLACE"),
        (!insert.into, "INSERT"),
        (insert.has_table_keyword, "TABLE"),
        (insert.priority.is_some(), "INSERT"),
        (insert.partitioned.is_some() || !insert.after_columns.is_empty(), "PARTITION"),
        (!insert.assignments.is_empty(), "SET"),
        (insert.output.is_some(), "OUTPUT"),
        (insert.insert_alias.is_some(), "AS"),
        (insert.settings.is_some(), "SETTINGS"),
        (insert.format_clause.is_some(), "FORMAT"),
        (insert.multi_table_insert_type.is_some() || !insert.multi_table_into_clauses.is_empty(), "INTO"),
    ])
}

/// # Errors
/// 42601.
pub fn refuse_in_update(update: &ast::Update) -> Result<()> {
    refuse([
        (update.or.is_some(), "OR"),
        (update.output.is_some(), "OUTPUT"),
        (!update.order_by.is_empty(), "ORDER"),
        (update.limit.is_some(), "LIMIT"),
        (!update.table.joins.is_empty(), "JOIN"),
    ])?;
    refuse_in_table(&update.table.relation)
}

/// # Errors
/// 42601.
pub fn refuse_in_delete(delete: &ast::Delete) -> Result<()> {
    let (ast::FromTable::WithFromKeyword(tables) | ast::FromTable::WithoutKeyword(tables)) = &delete.from;
    refuse([
        (!delete.tables.is_empty() || matches!(delete.from, ast::FromTable::WithoutKeyword(_)), "DELETE"),
        (tables.len() > 1, ","),
        (tables.iter().any(|table| !table.joins.is_empty()), "JOIN"),
        (delete.output.is_some(), "OUTPUT"),
        (!delete.order_by.is_empty(), "ORDER"),
        (delete.limit.is_some(), "LIMIT"),
    ])?;
    tables.iter().try_for_each(|table| refuse_in_table(&table.relation))
}

/// # Errors
/// 42601.
pub fn refuse_in_table(factor: &TableFactor) -> Result<()> {
    let TableFactor::Table { alias, with_hints, partitions, json_path, index_hints, .. } = factor else {
        return Ok(());
    };
    let has_types =
        alias.as_ref().is_some_and(|alias| alias.columns.iter().any(|column| column.data_type.is_some()));
    let is_call = matches!(factor, TableFactor::Table { args: Some(_), .. });
    refuse([
        (!with_hints.is_empty(), "WITH"),
        (!partitions.is_empty(), "PARTITION"),
        (json_path.is_some(), ":"),
        (!index_hints.is_empty(), "INDEX"),
        (has_types && !is_call, "("),
    ])
}

/// # Errors
/// 0A000.
pub fn refuse_in_select(select: &ast::Select) -> Result<()> {
    let is_foreign = select.top.is_some()
        || select.into.is_some()
        || !select.lateral_views.is_empty()
        || select.prewhere.is_some()
        || !select.connect_by.is_empty()
        || !select.cluster_by.is_empty()
        || !select.distribute_by.is_empty()
        || !select.sort_by.is_empty()
        || select.qualify.is_some()
        || select.exclude.is_some()
        || select.select_modifiers.is_some()
        || select.value_table_mode.is_some()
        || select.flavor != SelectFlavor::Standard;
    if is_foreign {
        return Err(SqlError::unsupported("this form of SELECT is not supported"));
    }
    select.projection.iter().try_for_each(|item| match item {
        SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) => {
            refuse_in_wildcard(options)
        }
        _ => Ok(()),
    })
}

fn refuse_in_wildcard(options: &WildcardAdditionalOptions) -> Result<()> {
    refuse([
        (options.opt_ilike.is_some(), "ILIKE"),
        (options.opt_exclude.is_some(), "EXCLUDE"),
        (options.opt_except.is_some(), "EXCEPT"),
        (options.opt_replace.is_some(), "REPLACE"),
        (options.opt_rename.is_some(), "RENAME"),
        (options.opt_alias.is_some(), "AS"),
    ])
}

/// # Errors
/// 42601.
pub fn refuse_in_query(query: &ast::Query) -> Result<()> {
    let is_values = |test: fn(&ast::Values) -> bool| match query.body.as_ref() {
        ast::SetExpr::Values(values) => test(values),
        _ => false,
    };
    refuse([
        (query.for_clause.is_some(), "FOR"),
        (query.settings.is_some(), "SETTINGS"),
        (query.format_clause.is_some(), "FORMAT"),
        (!query.pipe_operators.is_empty(), "|>"),
        (is_values(|values| values.explicit_row), "ROW"),
        (is_values(|values| values.value_keyword), "VALUE"),
    ])
}

/// # Errors
/// 42601.
pub fn refuse_in_create_index(create: &ast::CreateIndex) -> Result<()> {
    let option = create.index_options.first().map(ToString::to_string).unwrap_or_default();
    let change = create.alter_options.first().map(ToString::to_string).unwrap_or_default();
    let first = |text: &str| text.split([' ', '=']).next().unwrap_or_default().to_owned();
    refuse([
        (create.r#async, "ASYNC"),
        (!create.index_options.is_empty(), &first(&option)),
        (!create.alter_options.is_empty(), &first(&change)),
        (create.columns.iter().any(|column| column.column.with_fill.is_some()), "WITH"),
        (create.with.iter().any(|parameter| !is_parameter(parameter)), "("),
    ])
}

/// Whether an expression can be a parameter of an index: `name` or `name = value`.
fn is_parameter(expr: &Expr) -> bool {
    match expr {
        Expr::Identifier(_) => true,
        Expr::BinaryOp { left, op: ast::BinaryOperator::Eq, .. } => matches!(**left, Expr::Identifier(_)),
        _ => false,
    }
}

/// # Errors
/// 42601.
pub fn refuse_in_create_view(create: &ast::CreateView) -> Result<()> {
    let has = |test: fn(&ast::ViewColumnDef) -> bool| create.columns.iter().any(test);
    refuse([
        (create.or_alter, "ALTER"),
        (create.secure, "SECURE"),
        (create.if_not_exists, "NOT"),
        (create.params.is_some(), "VIEW"),
        (create.to.is_some(), "TO"),
        (!create.cluster_by.is_empty(), "CLUSTER"),
        (create.comment.is_some(), "COMMENT"),
        (create.copy_grants, "COPY"),
        (create.with_no_schema_binding, "NO"),
        (has(|column| column.data_type.is_some()), "("),
        (has(|column| column.options.is_some()), "("),
    ])
}

/// # Errors
/// 42601.
pub fn refuse_in_truncate(truncate: &ast::Truncate) -> Result<()> {
    refuse([
        (truncate.if_exists, "EXISTS"),
        (truncate.partitions.is_some(), "PARTITION"),
        (truncate.on_cluster.is_some(), "ON"),
    ])
}

/// DROP, and CREATE SCHEMA.
///
/// # Errors
/// 42601.
pub fn refuse_in_definition(statement: &ast::Statement) -> Result<()> {
    match statement {
        ast::Statement::Drop { purge, temporary, table, .. } => {
            refuse([(*purge, "PURGE"), (*temporary, "TEMPORARY"), (table.is_some(), "ON")])
        }
        ast::Statement::CreateSchema { or_replace, with, options, default_collate_spec, clone, .. } => {
            refuse([
                (*or_replace, "SCHEMA"),
                (with.is_some(), "WITH"),
                (options.is_some(), "OPTIONS"),
                (default_collate_spec.is_some(), "DEFAULT"),
                (clone.is_some(), "CLONE"),
            ])
        }
        _ => Ok(()),
    }
}

/// What a key of CREATE TABLE or ALTER TABLE has of another database.
///
/// # Errors
/// 42601.
pub fn refuse_in_key(
    index_name: Option<&ast::Ident>,
    index_type: Option<&ast::IndexType>,
    index_options: &[ast::IndexOption],
    columns: &[ast::IndexColumn],
) -> Result<()> {
    let options = index_options.first().map(ToString::to_string).unwrap_or_default();
    let name = index_name.map(ToString::to_string).unwrap_or_default();
    let is_sorted = |column: &ast::IndexColumn| {
        let options = &column.column.options;
        options.sort.is_some() || options.nulls_first.is_some() || column.operator_class.is_some()
    };
    refuse([
        (index_name.is_some(), &name),
        (index_type.is_some(), "USING"),
        (!index_options.is_empty(), options.split([' ', '=']).next().unwrap_or_default()),
        (columns.iter().any(is_sorted), "("),
    ])
}
