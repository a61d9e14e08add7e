//! Objects written out as SQL, as PostgreSQL's `pg_get_…def` functions do.

use super::pretty_text::pretty;
use super::stored_text;
use crate::binder::name::quote;
use crate::catalog::{Constraint, ConstraintKind, ForeignKeyAction, Index, Table, TableColumn};
use crate::execute::Environment;

/// `CREATE INDEX i ON public.t USING btree (a, b DESC)`
#[must_use]
pub fn index_definition(environment: &Environment, table: &Table, index: &Index, is_pretty: bool) -> String {
    let place = match is_pretty {
        true => super::relation_name(environment, table.oid),
        false => {
            let schema = super::schema_objects::schema_name(environment, table.schema);
            format!("{}.{}", quote(&schema), quote(&table.name))
        }
    };
    let unique = if index.unique { "UNIQUE " } else { "" };
    let columns: Vec<String> = (0..index.columns.len())
        .map(|at| index_column(environment, table, index, at, true, is_pretty))
        .collect();
    let included: Vec<String> =
        index.included.iter().map(|number| quote(&table.column_numbered(*number).name)).collect();
    let included =
        if included.is_empty() { String::new() } else { format!(" INCLUDE ({})", included.join(", ")) };
    let predicate = index.predicate.as_ref().map_or_else(String::new, |predicate| {
        let text = stored_text::condition(environment, table, predicate);
        format!(" WHERE {}", if is_pretty { pretty(&text) } else { text })
    });
    let method = if index.is_hash { "hash" } else { "btree" };
    let nulls = if index.nulls_not_distinct { " NULLS NOT DISTINCT" } else { "" };
    let option = |(key, value): &(String, String)| {
        let is_plain = quote(value) == *value;
        if is_plain { format!("{key}={value}") } else { format!("{key}='{}'", value.replace('\'', "''")) }
    };
    let options: Vec<String> = index.options.iter().map(option).collect();
    let options = if options.is_empty() { String::new() } else { format!(" WITH ({})", options.join(", ")) };
    format!(
        "CREATE {unique}INDEX {} ON {place} USING {method} ({}){included}{nulls}{options}{predicate}",
        quote(&index.name),
        columns.join(", ")
    )
}

/// Whether an expression is written as a call, which needs no parentheses among an index's columns.
pub fn is_call(text: &str) -> bool {
    let name = text.split('(').next().unwrap_or_default();
    let is_name = |character: char| character.is_alphanumeric() || matches!(character, '_' | '"' | '.' | '$');
    text.ends_with(')') && !name.is_empty() && name != "ROW" && name.chars().all(is_name)
}

/// One column of an index's key; with its order, where that is not the plain one.
#[must_use]
pub fn index_column(
    environment: &Environment,
    table: &Table,
    index: &Index,
    at: usize,
    with_order: bool,
    is_pretty: bool,
) -> String {
    let Some(column) = index.columns.get(at) else {
        let included = index.included.get(at - index.columns.len());
        return included.map_or_else(String::new, |number| quote(&table.column_numbered(*number).name));
    };
    let mut text = match &column.expression {
        None => quote(&table.column_numbered(column.number).name),
        // What is no call goes in parentheses of its own.
        Some(expression) => {
            let text = stored_text::index_expression(environment, table, &expression.text);
            let is_call = is_call(&text);
            let text = if is_pretty { pretty(&text) } else { text };
            if is_call { text } else { format!("({text})") }
        }
    };
    if with_order {
        let collation = super::collations::collation_name(column.collation);
        let is_own = column.collation == super::collations::of_source(environment, table, column);
        if let Some(collation) = collation.filter(|_| !is_own) {
            text.push_str(&format!(" COLLATE {}", quote(collation)));
        }
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
        ConstraintKind::Unique { index } => {
            let index = environment.catalog.index(*index);
            let nulls =
                if index.is_some_and(|index| index.nulls_not_distinct) { "NULLS NOT DISTINCT " } else { "" };
            format!("UNIQUE {nulls}({})", names(table, &constraint.columns))
        }
        ConstraintKind::Check { expression, no_inherit } => {
            let inherit = if *no_inherit { " NO INHERIT" } else { "" };
            format!("CHECK ({}){inherit}", stored_text::condition(environment, table, expression))
        }
        ConstraintKind::ForeignKey {
            table: other,
            columns,
            on_delete,
            on_update,
            delete_columns,
            match_full,
            ..
        } => {
            let Some(parent) = environment.catalog.table(*other) else { return String::new() };
            let mut text = format!(
                "FOREIGN KEY ({}) REFERENCES {}({})",
                names(table, &constraint.columns),
                super::relation_name(environment, *other),
                names(&parent.table, columns)
            );
            if *match_full {
                text.push_str(" MATCH FULL");
            }
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
            if !delete_columns.is_empty() {
                text.push_str(&format!(" ({})", names(table, delete_columns)));
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

/// A CHECK in the pretty form.
#[must_use]
pub fn pretty_check(text: String, is_pretty: bool) -> String {
    let inherit = text.rfind(") NO INHERIT").filter(|at| !text[at + 1..].contains('\''));
    let end = inherit.or_else(|| text.strip_suffix(" NOT VALID").map(|check| check.len() - 1));
    let (check, rest) = text.split_at(end.map_or(text.len(), |at| at + 1));
    match check.strip_prefix("CHECK (").and_then(|rest| rest.strip_suffix(')')) {
        Some(condition) if is_pretty => format!("CHECK ({}){rest}", pretty(condition)),
        _ => text,
    }
}

/// A DEFAULT as PostgreSQL shows it.
#[must_use]
pub fn default_expression(
    environment: &Environment,
    table: &Table,
    column: &TableColumn,
    default: &str,
) -> String {
    if column.generated {
        return stored_text::generation(environment, table, column, default);
    }
    stored_text::default(environment, column.data_type(), default)
}
