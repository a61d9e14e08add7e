//! Constraints: pg_constraint.

use super::relation::{MakeRows, RelationRows, VirtualRelation, letter, numbers, oid, text};
use crate::catalog::{Constraint, ConstraintKind};
use crate::error::Result;
use crate::execute::Environment;
use crate::value::Datum;

pub const MAKERS: &[(&str, MakeRows)] = &[("pg_constraint", constraints)];

/// Whether a constraint is a CHECK.
pub fn is_check(constraint: &Constraint) -> bool {
    matches!(constraint.kind, ConstraintKind::Check { .. })
}

/// Whether a constraint is a foreign key.
pub fn is_foreign_key(constraint: &Constraint) -> bool {
    matches!(constraint.kind, ConstraintKind::ForeignKey { .. })
}

fn constraints(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let mut rows = Vec::new();
    for constraint in environment.catalog.constraints() {
        let (kind, index, foreign) = match &constraint.kind {
            ConstraintKind::PrimaryKey { index } => (b'p', *index, None),
            ConstraintKind::Unique { index } => (b'u', *index, None),
            ConstraintKind::Check { .. } => (b'c', 0, None),
            ConstraintKind::ForeignKey { index, .. } => (b'f', *index, Some(&constraint.kind)),
        };
        let stays = !matches!(constraint.kind, ConstraintKind::Check { no_inherit: false, .. });
        let blank = || letter(b' ');
        let mut values = vec![
            ("oid", oid(constraint.oid)),
            ("conname", text(&constraint.name)),
            ("connamespace", oid(constraint.schema)),
            ("contype", letter(kind)),
            ("condeferrable", Datum::Bool(constraint.timing.deferrable)),
            ("condeferred", Datum::Bool(constraint.timing.initially_deferred)),
            ("convalidated", Datum::Bool(constraint.validated)),
            ("conrelid", oid(constraint.table)),
            ("contypid", oid(0)),
            ("conindid", oid(index)),
            ("conparentid", oid(0)),
            ("conislocal", Datum::Bool(true)),
            ("coninhcount", Datum::Int64(0)),
            ("connoinherit", Datum::Bool(stays)),
            ("conkey", numbers(&constraint.columns)),
        ];
        match foreign {
            Some(ConstraintKind::ForeignKey {
                table,
                columns,
                on_delete,
                on_update,
                delete_columns,
                match_full,
                ..
            }) => {
                values.extend([
                    ("confrelid", oid(*table)),
                    ("confupdtype", letter(on_update.code())),
                    ("confdeltype", letter(on_delete.code())),
                    ("confmatchtype", letter(if *match_full { b'f' } else { b's' })),
                    ("confkey", numbers(columns)),
                ]);
                if !delete_columns.is_empty() {
                    values.push(("confdelsetcols", numbers(delete_columns)));
                }
            }
            _ => values.extend([
                ("confrelid", oid(0)),
                ("confupdtype", blank()),
                ("confdeltype", blank()),
                ("confmatchtype", blank()),
            ]),
        }
        rows.push(relation.row(&values));
    }
    for entry in environment.catalog.user_types() {
        let Some(domain) = entry.definition.domain() else { continue };
        for check in &domain.checks {
            rows.push(relation.row(&[
                ("oid", oid(check.oid)),
                ("conname", text(&check.name)),
                ("connamespace", oid(entry.definition.schema)),
                ("contype", letter(b'c')),
                ("condeferrable", Datum::Bool(false)),
                ("condeferred", Datum::Bool(false)),
                ("convalidated", Datum::Bool(check.validated)),
                ("conrelid", oid(0)),
                ("contypid", oid(entry.definition.oid)),
                ("conindid", oid(0)),
                ("conparentid", oid(0)),
                ("confrelid", oid(0)),
                ("confupdtype", letter(b' ')),
                ("confdeltype", letter(b' ')),
                ("confmatchtype", letter(b' ')),
                ("conislocal", Datum::Bool(true)),
                ("coninhcount", Datum::Int64(0)),
                ("connoinherit", Datum::Bool(false)),
            ]));
        }
    }
    Ok(rows)
}
