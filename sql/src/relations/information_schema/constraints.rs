//! Constraints, and what they speak of: `table_constraints`, `check_constraints`, `referential_constraints`,
//! `key_column_usage`, `constraint_column_usage`, `constraint_table_usage`.
//!
//! To the standard NOT NULL is a CHECK; its name is made from the OIDs of schema and table and the column's number.

use super::{is_column_shown, yes_or_no};
use crate::catalog::{
    Constraint, ConstraintKind, ForeignKeyAction, Grant, Rights, Table, TableColumn, TableEntry,
};
use crate::error::Result;
use crate::execute::Environment;
use crate::relations::constraints::is_check;
use crate::relations::deparse::constraint_definition;
use crate::relations::relation::{MakeRows, RelationRows, VirtualRelation, text};
use crate::relations::schema_objects::schema_name;
use crate::relations::types::domain_checks;
use crate::rights::{Actor, relation as secured_relation};
use crate::value::Datum;

pub const MAKERS: &[(&str, MakeRows)] = &[
    ("information_schema.table_constraints", table_constraints),
    ("information_schema.check_constraints", check_constraints),
    ("information_schema.referential_constraints", referential_constraints),
    ("information_schema.key_column_usage", key_column_usage),
    ("information_schema.constraint_column_usage", constraint_column_usage),
    ("information_schema.constraint_table_usage", constraint_table_usage),
];

/// Whether a table's constraints are shown: to its owner, and to whoever may do more with it than read.
fn are_constraints_shown(environment: &Environment, actor: &Actor<'_>, table: &Table) -> bool {
    let changes = Rights::TABLE.without(Rights::SELECT);
    let listed = environment.catalog.rights_on(table.oid).map_or(&[][..], |rights| &rights.columns);
    let on_column = |grants: &[Grant]| !actor.given(grants, changes).is_empty();
    secured_relation(&environment.catalog, table.oid).is_some_and(|secured| {
        actor.has_role(secured.owner)
            || !actor.rights(&secured, changes).is_empty()
            || listed.iter().any(|(_, grants)| on_column(grants))
    })
}

/// The columns of a table that are NOT NULL, with the names of these constraints.
fn not_null_columns(table: &Table) -> impl Iterator<Item = (&TableColumn, String)> {
    table.live_columns().filter(|column| column.not_null).map(|column| {
        let name = format!("{}_{}_{}_not_null", table.schema, table.oid, column.number);
        (column, name)
    })
}

/// `YES` where NULLs of a UNIQUE constraint differ from each other.
fn nulls_distinct(environment: &Environment, constraint: &Constraint) -> Datum {
    let ConstraintKind::Unique { index } = constraint.kind else { return Datum::Null };
    yes_or_no(environment.catalog.index(index).is_some_and(|index| !index.nulls_not_distinct))
}

fn table_constraints(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let actor = environment.actor();
    let mut rows = Vec::new();
    for entry in environment.catalog.tables() {
        let table = &entry.table;
        if !are_constraints_shown(environment, &actor, table) {
            continue;
        }
        let schema = schema_name(environment, table.schema);
        let row = |name: &str, kind: &str, [deferrable, deferred]: [bool; 2], nulls_distinct: Datum| {
            relation.row(&[
                ("constraint_catalog", text(&environment.database)),
                ("constraint_schema", text(&schema)),
                ("constraint_name", text(name)),
                ("table_catalog", text(&environment.database)),
                ("table_schema", text(&schema)),
                ("table_name", text(&table.name)),
                ("constraint_type", text(kind)),
                ("is_deferrable", yes_or_no(deferrable)),
                ("initially_deferred", yes_or_no(deferred)),
                ("enforced", text("YES")),
                ("nulls_distinct", nulls_distinct),
            ])
        };
        for constraint in &entry.constraints {
            let kind = match &constraint.kind {
                ConstraintKind::PrimaryKey { .. } => "PRIMARY KEY",
                ConstraintKind::Unique { .. } => "UNIQUE",
                ConstraintKind::Check { .. } => "CHECK",
                ConstraintKind::ForeignKey { .. } => "FOREIGN KEY",
            };
            let timing = [constraint.timing.deferrable, constraint.timing.initially_deferred];
            rows.push(row(&constraint.name, kind, timing, nulls_distinct(environment, constraint)));
        }
        for (_, name) in not_null_columns(table) {
            rows.push(row(&name, "CHECK", [false, false], Datum::Null));
        }
    }
    Ok(rows)
}

/// The conditions of one's own tables and domains.
fn check_constraints(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let actor = environment.actor();
    let row = |schema: u32, name: &str, clause: &str| {
        relation.row(&[
            ("constraint_catalog", text(&environment.database)),
            ("constraint_schema", text(schema_name(environment, schema))),
            ("constraint_name", text(name)),
            ("check_clause", text(clause)),
        ])
    };
    // The clause is what follows CHECK.
    let clause = |definition: &str| definition.strip_prefix("CHECK ").unwrap_or(definition).to_string();
    let mut rows = Vec::new();
    for entry in environment.catalog.tables().filter(|entry| actor.has_role(entry.table.owner)) {
        let table = &entry.table;
        for constraint in entry.constraints.iter().filter(|each| is_check(each)) {
            let definition = constraint_definition(environment, table, constraint);
            rows.push(row(constraint.schema, &constraint.name, &clause(&definition)));
        }
        for (column, name) in not_null_columns(table) {
            rows.push(row(table.schema, &name, &format!("{} IS NOT NULL", column.name)));
        }
    }
    for (own, check, definition) in domain_checks(environment) {
        if actor.has_role(own.owner) {
            rows.push(row(own.schema, &check.name, &clause(&definition)));
        }
    }
    Ok(rows)
}

/// A foreign key's action as the standard writes it.
fn rule(action: ForeignKeyAction) -> Datum {
    text(match action {
        ForeignKeyAction::NoAction => "NO ACTION",
        ForeignKeyAction::Restrict => "RESTRICT",
        ForeignKeyAction::Cascade => "CASCADE",
        ForeignKeyAction::SetNull => "SET NULL",
        ForeignKeyAction::SetDefault => "SET DEFAULT",
    })
}

/// The constraint that an index is a part of: a foreign key may refer to an index that is part of none.
fn constraint_of_index(entry: &TableEntry, index: u32) -> Option<&Constraint> {
    entry.constraints.iter().find(|each| each.index() == Some(index)).map(|each| &**each)
}

fn referential_constraints(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let actor = environment.actor();
    let mut rows = Vec::new();
    for entry in environment.catalog.tables() {
        if !are_constraints_shown(environment, &actor, &entry.table) {
            continue;
        }
        for constraint in &entry.constraints {
            let ConstraintKind::ForeignKey { table, index, on_delete, on_update, match_full, .. } =
                &constraint.kind
            else {
                continue;
            };
            let parent = environment.catalog.table(*table);
            let key = parent.and_then(|parent| constraint_of_index(parent, *index));
            let of_key = |value: &dyn Fn(&Constraint) -> Datum| key.map_or(Datum::Null, value);
            rows.push(relation.row(&[
                ("constraint_catalog", text(&environment.database)),
                ("constraint_schema", text(schema_name(environment, constraint.schema))),
                ("constraint_name", text(&constraint.name)),
                ("unique_constraint_catalog", of_key(&|_| text(&environment.database))),
                ("unique_constraint_schema", of_key(&|key| text(schema_name(environment, key.schema)))),
                ("unique_constraint_name", of_key(&|key| text(&key.name))),
                ("match_option", text(if *match_full { "FULL" } else { "NONE" })),
                ("update_rule", rule(*on_update)),
                ("delete_rule", rule(*on_delete)),
            ]));
        }
    }
    Ok(rows)
}

/// The tables of keys, and those that foreign keys refer to; one's own alone.
fn constraint_table_usage(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let actor = environment.actor();
    let mut rows = Vec::new();
    for constraint in environment.catalog.constraints() {
        let used = match &constraint.kind {
            ConstraintKind::ForeignKey { table, .. } => *table,
            ConstraintKind::PrimaryKey { .. } | ConstraintKind::Unique { .. } => constraint.table,
            ConstraintKind::Check { .. } => continue,
        };
        let Some(used) = environment.catalog.table(used).map(|entry| &entry.table) else { continue };
        if actor.has_role(used.owner) {
            rows.push(relation.row(&[
                ("table_catalog", text(&environment.database)),
                ("table_schema", text(schema_name(environment, used.schema))),
                ("table_name", text(&used.name)),
                ("constraint_catalog", text(&environment.database)),
                ("constraint_schema", text(schema_name(environment, constraint.schema))),
                ("constraint_name", text(&constraint.name)),
            ]));
        }
    }
    Ok(rows)
}

/// The columns that a constraint speaks of: of a foreign key those that it refers to.
fn constraint_column_usage(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let mut rows = Vec::new();
    let actor = environment.actor();
    for entry in environment.catalog.tables() {
        for constraint in &entry.constraints {
            let (used, columns) = match &constraint.kind {
                ConstraintKind::ForeignKey { table, columns, .. } => {
                    match environment.catalog.table(*table) {
                        Some(parent) => (&parent.table, columns),
                        None => continue,
                    }
                }
                _ => (&entry.table, &constraint.columns),
            };
            // Those of its own tables alone.
            if !actor.has_role(used.owner) {
                continue;
            }
            for number in columns {
                rows.push(relation.row(&[
                    ("table_catalog", text(&environment.database)),
                    ("table_schema", text(schema_name(environment, used.schema))),
                    ("table_name", text(&used.name)),
                    ("column_name", text(&used.column_numbered(*number).name)),
                    ("constraint_catalog", text(&environment.database)),
                    ("constraint_schema", text(schema_name(environment, entry.table.schema))),
                    ("constraint_name", text(&constraint.name)),
                ]));
            }
        }
    }
    Ok(rows)
}

/// Which column of the referenced key the foreign key's column at a place refers to.
fn position_in_key(environment: &Environment, constraint: &Constraint, at: usize) -> Datum {
    let ConstraintKind::ForeignKey { columns, index, .. } = &constraint.kind else { return Datum::Null };
    let key = environment.catalog.index(*index);
    let found = key
        .zip(columns.get(at))
        .and_then(|(key, referenced)| key.columns.iter().position(|column| column.number == *referenced));
    found.map_or(Datum::Null, |position| Datum::Int64(position as i64 + 1))
}

fn key_column_usage(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let mut rows = Vec::new();
    let actor = environment.actor();
    for entry in environment.catalog.tables() {
        let schema = schema_name(environment, entry.table.schema);
        for constraint in entry.constraints.iter().filter(|each| !is_check(each)) {
            for (at, number) in constraint.columns.iter().enumerate() {
                if !is_column_shown(environment, &actor, entry.table.oid, *number) {
                    continue;
                }
                rows.push(relation.row(&[
                    ("constraint_catalog", text(&environment.database)),
                    ("constraint_schema", text(&schema)),
                    ("constraint_name", text(&constraint.name)),
                    ("table_catalog", text(&environment.database)),
                    ("table_schema", text(&schema)),
                    ("table_name", text(&entry.table.name)),
                    ("column_name", text(&entry.table.column_numbered(*number).name)),
                    ("ordinal_position", Datum::Int64(at as i64 + 1)),
                    ("position_in_unique_constraint", position_in_key(environment, constraint, at)),
                ]));
            }
        }
    }
    Ok(rows)
}
