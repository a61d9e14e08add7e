//! information_schema: tables, columns, schemata, constraints.

use super::relation::{MakeRows, RelationRows, VirtualRelation, all, text};
use super::schema_objects::schema_name;
use super::standard_rights::owner_name;
use crate::catalog::{ConstraintKind, Grant, Identity, PG_CATALOG, Rights, Sequence};
use crate::error::Result;
use crate::execute::Environment;
use crate::rights::{Actor, relation as secured_relation};
use crate::types::domain::{self, base_type};
use crate::types::{DataType, TypeShape, builtin_type, is_user_type, oids};
use crate::value::{Datum, PhysicalKind};

pub const MAKERS: &[(&str, MakeRows)] = &[
    ("information_schema.tables", tables),
    ("information_schema.columns", columns),
    ("information_schema.schemata", schemata),
    ("information_schema.table_constraints", table_constraints),
    ("information_schema.key_column_usage", key_column_usage),
    ("information_schema.constraint_column_usage", constraint_column_usage),
];

/// Whether the standard's views show a relation to the current role: it owns it, or has a right on it or on a column.
pub fn is_shown(environment: &Environment, actor: &Actor<'_>, oid: u32) -> bool {
    let Some(secured) = secured_relation(&environment.catalog, oid) else { return false };
    let columns = environment.catalog.rights_on(oid).map_or(&[][..], |rights| &rights.columns);
    actor.has_role(secured.owner)
        || !actor.rights(&secured, secured.kind.all()).is_empty()
        || columns.iter().any(|(_, grants)| !actor.given(grants, Rights::COLUMN).is_empty())
}

/// The same for a column: of an own relation, or one with a right on it.
fn is_column_shown(environment: &Environment, actor: &Actor<'_>, oid: u32, column: i16) -> bool {
    secured_relation(&environment.catalog, oid).is_some_and(|secured| {
        let rights = actor.rights(&secured, Rights::COLUMN);
        actor.has_role(secured.owner)
            || !rights.with(actor.column_rights(oid, column, Rights::COLUMN)).is_empty()
    })
}

fn tables(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let actor = environment.actor();
    let shown = |oid: u32| is_shown(environment, &actor, oid);
    let row = |schema: &str, name: &str, kind: &str| {
        relation.row(&[
            ("table_catalog", text(&environment.database)),
            ("table_schema", text(schema)),
            ("table_name", text(name)),
            ("table_type", text(kind)),
            ("is_insertable_into", text(if kind == "VIEW" { "NO" } else { "YES" })),
            ("is_typed", text("NO")),
        ])
    };
    let mut rows = RelationRows::new();
    for entry in environment.catalog.tables().filter(|entry| shown(entry.table.oid)) {
        let kind = if entry.table.is_temporary { "LOCAL TEMPORARY" } else { "BASE TABLE" };
        rows.push(row(&schema_name(environment, entry.table.schema), &entry.table.name, kind));
    }
    for view in environment.catalog.views().filter(|view| shown(view.oid)) {
        rows.push(row(&schema_name(environment, view.schema), &view.name, "VIEW"));
    }
    for computed in all().iter().filter(|computed| computed.kind != b'f' && shown(computed.oid)) {
        rows.push(row(
            computed.schema_name(),
            computed.name,
            if computed.kind == b'v' { "VIEW" } else { "BASE TABLE" },
        ));
    }
    Ok(rows)
}

/// The standard's name of a type.
fn standard_type(environment: &Environment, data_type: DataType) -> String {
    match environment.catalog.type_info(base_type(data_type.oid, environment)) {
        Some(info) if matches!(info.shape, TypeShape::Array { .. }) => "ARRAY".into(),
        Some(info) if !is_user_type(info.oid) => info.sql_name.to_string(),
        _ => "USER-DEFINED".into(),
    }
}

/// How long and how exact values of a type are.
pub struct Sizes {
    pub precision: Option<i32>,
    pub radix: Option<i32>,
    pub scale: Option<i32>,
    pub length: Option<i32>,
    pub octets: Option<i32>,
    /// Digits of a second.
    pub when: Option<i32>,
}

impl Sizes {
    /// Those of a type that is no domain.
    pub fn of(data_type: DataType) -> Sizes {
        let info = builtin_type(data_type.oid);
        let (precision, radix, scale) = match info.map(|info| info.kind) {
            Some(PhysicalKind::Int16) => (Some(16), Some(2), Some(0)),
            Some(PhysicalKind::Int32) => (Some(32), Some(2), Some(0)),
            Some(PhysicalKind::Int64) => (Some(64), Some(2), Some(0)),
            Some(PhysicalKind::Float32) => (Some(24), Some(2), None),
            Some(PhysicalKind::Float64) => (Some(53), Some(2), None),
            Some(PhysicalKind::Numeric) => match data_type.numeric_precision_scale() {
                Some((precision, scale)) => (Some(precision), Some(10), Some(scale)),
                None => (None, Some(10), None),
            },
            _ => (None, None, None),
        };
        let length = data_type.character_length();
        let is_text = matches!(data_type.oid, oids::TEXT | oids::VARCHAR | oids::BPCHAR);
        let octets = match length {
            Some(length) => Some(length.saturating_mul(4)),
            None if is_text => Some(1_073_741_824),
            None => None,
        };
        let when = match info.map(|info| info.kind) {
            Some(PhysicalKind::Date) => Some(0),
            Some(
                PhysicalKind::Timestamp
                | PhysicalKind::TimestampTz
                | PhysicalKind::Time
                | PhysicalKind::TimeTz,
            ) => Some(if data_type.typmod >= 0 { data_type.typmod } else { 6 }),
            _ => None,
        };
        Sizes { precision, radix, scale, length, octets, when }
    }
}

/// What fills a column where no value is given.
#[derive(Default)]
struct Filling<'s> {
    default: Option<String>,
    identity: Option<(Identity, &'s Sequence)>,
    generation: Option<String>,
}

fn column_row(
    environment: &Environment,
    relation: &VirtualRelation,
    place: (&str, &str, &str, usize),
    data_type: DataType,
    not_null: bool,
    filling: Filling<'_>,
) -> Vec<Datum> {
    let Filling { default, identity, generation } = filling;
    let (schema, table, column, number) = place;
    let base = domain::underlying(data_type, environment);
    let sizes = Sizes::of(base);
    let own = |oid: u32| environment.catalog.user_type(oid).map(|it| &it.definition);
    let domain = own(data_type.oid).filter(|own| own.oid == data_type.oid && own.domain().is_some());
    let refuses_null = not_null || domain.and_then(|own| own.domain()).is_some_and(|domain| domain.not_null);
    let base_schema = own(base.oid).map_or(PG_CATALOG, |own| own.schema);
    let of_sequence = |value: fn(&Sequence) -> i64| {
        identity.map_or(Datum::Null, |(_, sequence)| text(value(sequence).to_string()))
    };
    let mode = |kind| text(if kind == Identity::Always { "ALWAYS" } else { "BY DEFAULT" });
    let cycles = identity.is_some_and(|(_, sequence)| sequence.limits.cycle);
    relation.row(&[
        ("table_catalog", text(&environment.database)),
        ("table_schema", text(schema)),
        ("table_name", text(table)),
        ("column_name", text(column)),
        ("ordinal_position", Datum::Int64(number as i64)),
        ("column_default", Datum::from(default)),
        ("is_nullable", text(if refuses_null { "NO" } else { "YES" })),
        ("data_type", text(standard_type(environment, data_type))),
        ("character_maximum_length", Datum::from(sizes.length)),
        ("character_octet_length", Datum::from(sizes.octets)),
        ("numeric_precision", Datum::from(sizes.precision)),
        ("numeric_precision_radix", Datum::from(sizes.radix)),
        ("numeric_scale", Datum::from(sizes.scale)),
        ("datetime_precision", Datum::from(sizes.when)),
        ("domain_catalog", domain.map_or(Datum::Null, |_| text(&environment.database))),
        ("domain_schema", domain.map_or(Datum::Null, |own| text(schema_name(environment, own.schema)))),
        ("domain_name", domain.map_or(Datum::Null, |own| text(&own.name))),
        ("udt_catalog", text(&environment.database)),
        ("udt_schema", text(schema_name(environment, base_schema))),
        ("udt_name", environment.catalog.type_info(base.oid).map_or(Datum::Null, |info| text(&info.name))),
        ("dtd_identifier", text(number.to_string())),
        ("is_self_referencing", text("NO")),
        ("is_identity", text(if identity.is_some() { "YES" } else { "NO" })),
        ("identity_generation", identity.map_or(Datum::Null, |(kind, _)| mode(kind))),
        ("identity_start", of_sequence(|sequence| sequence.start)),
        ("identity_increment", of_sequence(|sequence| sequence.limits.increment)),
        ("identity_maximum", of_sequence(|sequence| sequence.limits.maximum)),
        ("identity_minimum", of_sequence(|sequence| sequence.limits.minimum)),
        ("identity_cycle", text(if cycles { "YES" } else { "NO" })),
        ("is_generated", text(if generation.is_some() { "ALWAYS" } else { "NEVER" })),
        ("generation_expression", Datum::from(generation)),
        ("is_updatable", text("YES")),
    ])
}

fn columns(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let actor = environment.actor();
    let shown = |oid: u32, column: i16| is_column_shown(environment, &actor, oid, column);
    let mut rows = Vec::new();
    for entry in environment.catalog.tables() {
        let schema = schema_name(environment, entry.table.schema);
        for column in entry.table.live_columns().filter(|column| shown(entry.table.oid, column.number)) {
            let number = usize::try_from(column.number).unwrap_or(0);
            let default = column.default.as_ref().map(|default| {
                super::deparse::default_expression(environment, &entry.table, column, default)
            });
            let (default, generation) = if column.generated { (None, default) } else { (default, None) };
            let sequence = environment.catalog.identity_sequence(entry.table.oid, column.number);
            let identity = column.identity.zip(sequence.map(|sequence| &**sequence));
            rows.push(column_row(
                environment,
                relation,
                (&schema, &entry.table.name, &column.name, number),
                DataType { oid: column.type_oid, typmod: column.type_modifier },
                column.not_null,
                Filling { default, identity, generation },
            ));
        }
    }
    for view in environment.catalog.views() {
        let schema = schema_name(environment, view.schema);
        for (at, column) in view.columns.iter().enumerate() {
            if !shown(view.oid, i16::try_from(at + 1).unwrap_or(0)) {
                continue;
            }
            let data_type = DataType { oid: column.type_oid, typmod: column.type_modifier };
            let place = (schema.as_str(), view.name.as_str(), column.name.as_str(), at + 1);
            rows.push(column_row(environment, relation, place, data_type, false, Filling::default()));
        }
    }
    for computed in all().iter().filter(|computed| computed.kind != b'f' && shown(computed.oid, 0)) {
        for (at, (name, oid)) in computed.columns.iter().enumerate() {
            let place = (computed.schema_name(), computed.name, *name, at + 1);
            rows.push(column_row(
                environment,
                relation,
                place,
                DataType::of(*oid),
                false,
                Filling::default(),
            ));
        }
    }
    Ok(rows)
}

fn schemata(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let actor = environment.actor();
    Ok(environment
        .catalog
        .schemas()
        .filter(|schema| {
            actor.has_role(schema.owner)
                || actor.may_in_schema(schema.oid, Rights::USAGE)
                || actor.may_in_schema(schema.oid, Rights::CREATE)
        })
        .map(|schema| {
            relation.row(&[
                ("catalog_name", text(&environment.database)),
                ("schema_name", text(&schema.name)),
                ("schema_owner", owner_name(environment, schema.owner)),
            ])
        })
        .collect())
}

fn table_constraints(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let actor = environment.actor();
    let changes = Rights::TABLE.without(Rights::SELECT);
    let is_shown = |oid: u32| {
        let listed = environment.catalog.rights_on(oid).map_or(&[][..], |rights| &rights.columns);
        let on_column = |grants: &[Grant]| !actor.given(grants, changes).is_empty();
        secured_relation(&environment.catalog, oid).is_some_and(|secured| {
            actor.has_role(secured.owner)
                || !actor.rights(&secured, changes).is_empty()
                || listed.iter().any(|(_, grants)| on_column(grants))
        })
    };
    let mut rows = Vec::new();
    for entry in environment.catalog.tables().filter(|entry| is_shown(entry.table.oid)) {
        let schema = schema_name(environment, entry.table.schema);
        for constraint in &entry.constraints {
            let kind = match &constraint.kind {
                ConstraintKind::PrimaryKey { .. } => "PRIMARY KEY",
                ConstraintKind::Unique { .. } => "UNIQUE",
                ConstraintKind::Check { .. } => "CHECK",
                ConstraintKind::ForeignKey { .. } => "FOREIGN KEY",
            };
            rows.push(relation.row(&[
                ("constraint_catalog", text(&environment.database)),
                ("constraint_schema", text(&schema)),
                ("constraint_name", text(&constraint.name)),
                ("table_catalog", text(&environment.database)),
                ("table_schema", text(&schema)),
                ("table_name", text(&entry.table.name)),
                ("constraint_type", text(kind)),
                ("is_deferrable", text(if constraint.timing.deferrable { "YES" } else { "NO" })),
                ("initially_deferred", text(if constraint.timing.initially_deferred { "YES" } else { "NO" })),
                ("enforced", text("YES")),
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

fn key_column_usage(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let mut rows = Vec::new();
    let actor = environment.actor();
    for entry in environment.catalog.tables() {
        let schema = schema_name(environment, entry.table.schema);
        for constraint in entry.constraints.iter().filter(|each| !super::constraints::is_check(each)) {
            let is_foreign = matches!(constraint.kind, ConstraintKind::ForeignKey { .. });
            for (at, number) in constraint.columns.iter().enumerate() {
                if !is_column_shown(environment, &actor, entry.table.oid, *number) {
                    continue;
                }
                let place = Datum::Int64(at as i64 + 1);
                rows.push(relation.row(&[
                    ("constraint_catalog", text(&environment.database)),
                    ("constraint_schema", text(&schema)),
                    ("constraint_name", text(&constraint.name)),
                    ("table_catalog", text(&environment.database)),
                    ("table_schema", text(&schema)),
                    ("table_name", text(&entry.table.name)),
                    ("column_name", text(&entry.table.column_numbered(*number).name)),
                    ("ordinal_position", place.clone()),
                    ("position_in_unique_constraint", if is_foreign { place } else { Datum::Null }),
                ]));
            }
        }
    }
    Ok(rows)
}
