//! Objects written out as SQL, as PostgreSQL's `pg_get_…def` functions do.

use crate::binder::name::quote;
use crate::catalog::{Constraint, ConstraintKind, ForeignKeyAction, Index, Table, TableColumn};
use crate::execute::Environment;
use crate::types::{DataType, format_type};

/// `CREATE INDEX i ON public.t USING btree (a, b DESC)`
#[must_use]
pub fn index_definition(environment: &Environment, table: &Table, index: &Index) -> String {
    let schema = super::schema_objects::schema_name(environment, table.schema);
    let unique = if index.unique { "UNIQUE " } else { "" };
    let columns: Vec<String> =
        (0..index.columns.len()).map(|at| index_column(environment, table, index, at, true)).collect();
    let included: Vec<String> =
        index.included.iter().map(|number| quote(&table.column_numbered(*number).name)).collect();
    let included =
        if included.is_empty() { String::new() } else { format!(" INCLUDE ({})", included.join(", ")) };
    let predicate = index.predicate.as_ref().map_or_else(String::new, |predicate| {
        format!(" WHERE {}", with_names(environment, &super::view_text::stored_text(environment, predicate)))
    });
    let nulls = if index.nulls_not_distinct { " NULLS NOT DISTINCT" } else { "" };
    let option = |(key, value): &(String, String)| {
        let is_plain = quote(value) == *value;
        if is_plain { format!("{key}={value}") } else { format!("{key}='{}'", value.replace('\'', "''")) }
    };
    let options: Vec<String> = index.options.iter().map(option).collect();
    let options = if options.is_empty() { String::new() } else { format!(" WITH ({})", options.join(", ")) };
    format!(
        "CREATE {unique}INDEX {} ON {}.{} USING btree ({}){included}{nulls}{options}{predicate}",
        quote(&index.name),
        quote(&schema),
        quote(&table.name),
        columns.join(", ")
    )
}

/// One column of an index's key; with its order, where that is not the plain one.
#[must_use]
pub fn index_column(
    environment: &Environment,
    table: &Table,
    index: &Index,
    at: usize,
    with_order: bool,
) -> String {
    let Some(column) = index.columns.get(at) else { return String::new() };
    let mut text = match &column.expression {
        None => quote(&table.column_numbered(column.number).name),
        // What is no call goes in parentheses of its own.
        Some(expression) => match super::view_text::stored_text(environment, &expression.text) {
            text if text.starts_with('(') => format!("({text})"),
            text => text,
        },
    };
    if with_order {
        if let Some(class) = column.class.as_ref().filter(|class| class.contains("pattern")) {
            text.push_str(&format!(" {class}"));
        }
        if column.descending {
            text.push_str(" DESC");
        }
        if column.nulls_first != column.descending {
            text.push_str(if column.nulls_first { " NULLS FIRST" } else { " NULLS LAST" });
        }
    }
    text
}

/// `PRIMARY KEY (a)` and the others' like.
#[must_use]
pub fn constraint_definition(environment: &Environment, table: &Table, constraint: &Constraint) -> String {
    let names = |table: &Table, numbers: &[i16]| {
        let names: Vec<String> =
            numbers.iter().map(|number| quote(&table.column_numbered(*number).name)).collect();
        names.join(", ")
    };
    let mut text = match &constraint.kind {
        ConstraintKind::PrimaryKey { .. } => format!("PRIMARY KEY ({})", names(table, &constraint.columns)),
        ConstraintKind::Unique { .. } => format!("UNIQUE ({})", names(table, &constraint.columns)),
        ConstraintKind::Check { expression } => {
            format!("CHECK ({})", super::view_text::stored_text(environment, expression))
        }
        ConstraintKind::ForeignKey { table: other, columns, on_delete, on_update, .. } => {
            let Some(parent) = environment.catalog.table(*other) else { return String::new() };
            let mut text = format!(
                "FOREIGN KEY ({}) REFERENCES {}({})",
                names(table, &constraint.columns),
                quote(&parent.table.name),
                names(&parent.table, columns)
            );
            for (word, action) in [("UPDATE", on_update), ("DELETE", on_delete)] {
                let action = match action {
                    ForeignKeyAction::NoAction => continue,
                    ForeignKeyAction::Restrict => "RESTRICT",
                    ForeignKeyAction::Cascade => "CASCADE",
                    ForeignKeyAction::SetNull => "SET NULL",
                    ForeignKeyAction::SetDefault => "SET DEFAULT",
                };
                text.push_str(&format!(" ON {word} {action}"));
            }
            text
        }
    };
    if constraint.timing.deferrable {
        text.push_str(" DEFERRABLE");
    }
    if constraint.timing.initially_deferred {
        text.push_str(" INITIALLY DEFERRED");
    }
    if !constraint.validated {
        text.push_str(" NOT VALID");
    }
    text
}

/// A DEFAULT as PostgreSQL shows it: a string literal carries its type.
#[must_use]
pub fn default_expression(environment: &Environment, column: &TableColumn, default: &str) -> String {
    if column.generated {
        return with_names(environment, &super::view_text::stored_text(environment, default));
    }
    default_of_type(environment, column.data_type(), default)
}

/// The same for a value of a type.
#[must_use]
pub fn default_of_type(environment: &Environment, data_type: DataType, default: &str) -> String {
    let is_literal = default.len() >= 2
        && default.starts_with('\'')
        && default.ends_with('\'')
        && !default[1..default.len() - 1].replace("''", "").contains('\'');
    if is_literal {
        return format!("{default}::{}", format_type(DataType::of(data_type.oid), environment));
    }
    match default {
        "CURRENT_TIMESTAMP" | "TRUE" | "FALSE" => {
            if default == "CURRENT_TIMESTAMP" {
                default.to_string()
            } else {
                default.to_lowercase()
            }
        }
        other if other.contains("\"#") => {
            with_names(environment, &super::view_text::stored_text(environment, other))
        }
        other => with_names(environment, other),
    }
}

/// An expression that names relations by OID, with their names.
fn with_names(environment: &Environment, text: &str) -> String {
    const CAST: &str = "'::regclass";
    let mut out = String::new();
    let mut rest = text;
    while let Some(end) = rest.to_ascii_lowercase().find(CAST) {
        let Some(start) = rest[..end].rfind('\'') else { break };
        out.push_str(&rest[..=start]);
        match rest[start + 1..end].parse() {
            Ok(oid) => out.push_str(&super::relation_name(environment, oid).replace('\'', "''")),
            Err(_) => out.push_str(&rest[start + 1..end]),
        }
        out.push_str("'::regclass");
        rest = &rest[end + CAST.len()..];
    }
    out.push_str(rest);
    out
}
