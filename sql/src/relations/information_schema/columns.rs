//! `columns`, and how the standard describes types.

use super::is_column_shown;
use crate::catalog::{Identity, PG_CATALOG, Sequence};
use crate::error::Result;
use crate::execute::Environment;
use crate::relations::collations;
use crate::relations::relation::{MakeRows, RelationRows, VirtualRelation, computed_relations, text};
use crate::relations::schema_objects::schema_name;
use crate::types::domain::{self, base_type};
use crate::types::{DataType, Oid, TypeShape, builtin_type, oids};
use crate::value::{Datum, PhysicalKind};

pub const MAKERS: &[(&str, MakeRows)] = &[("information_schema.columns", columns)];

/// The standard's name of a type.
pub fn standard_type(environment: &Environment, data_type: DataType) -> String {
    match environment.catalog.type_info(base_type(data_type.oid, environment)) {
        Some(info) if matches!(info.shape, TypeShape::Array { .. }) => "ARRAY".into(),
        Some(info) if environment.catalog.schema_of_type(info.oid) == PG_CATALOG => info.sql_name.to_string(),
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
            Some(PhysicalKind::Int64) if data_type.oid == oids::INT8 => (Some(64), Some(2), Some(0)),
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
    /// The collation that was named, or 0.
    collation: Oid,
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
    let Filling { collation, default, identity, generation } = filling;
    let (schema, table, column, number) = place;
    let base = domain::underlying(data_type, environment);
    let sizes = Sizes::of(base);
    let own = |oid: u32| environment.catalog.user_type(oid).map(|it| &it.definition);
    let domain = own(data_type.oid).filter(|own| own.oid == data_type.oid && own.domain().is_some());
    let refuses_null = not_null || domain.and_then(|own| own.domain()).is_some_and(|domain| domain.not_null);
    let own_collation = if collation == 0 { collations::collation(base.oid) } else { collation };
    // The default one is not told.
    let collation = collations::collation_name(own_collation).filter(|name| *name != "default");
    let base_schema = environment.catalog.schema_of_type(base.oid);
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
        ("collation_catalog", collation.map_or(Datum::Null, |_| text(&environment.database))),
        ("collation_schema", collation.map_or(Datum::Null, |_| text("pg_catalog"))),
        ("collation_name", collation.map_or(Datum::Null, text)),
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
    for entry in environment.catalog.plain_tables() {
        let schema = schema_name(environment, entry.table.schema);
        for column in entry.table.live_columns().filter(|column| shown(entry.table.oid, column.number)) {
            let number = usize::try_from(column.number).unwrap_or(0);
            let default = column.default.as_ref().map(|default| {
                crate::relations::deparse::default_expression(environment, &entry.table, column, default)
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
                Filling { collation: column.collation, default, identity, generation },
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
    for computed in computed_relations(environment).filter(|computed| shown(computed.oid, 0)) {
        for (at, (name, oid)) in computed.columns.iter().enumerate() {
            let place = (computed.schema_name(), computed.name, *name, at + 1);
            rows.push(column_row(
                environment,
                relation,
                place,
                DataType::of(*oid),
                computed.is_required(name),
                Filling::default(),
            ));
        }
    }
    Ok(rows)
}

/// A column of a table or view.
pub struct ColumnPlace<'c> {
    pub schema: &'c str,
    pub relation: &'c str,
    pub relation_oid: u32,
    pub name: &'c str,
    pub number: usize,
    pub data_type: DataType,
}

/// Visits the columns of all tables and views, whoever may see them.
pub fn each_column(environment: &Environment, mut visit: impl FnMut(ColumnPlace<'_>)) {
    for entry in environment.catalog.plain_tables() {
        let schema = &schema_name(environment, entry.table.schema);
        let (relation, relation_oid) = (&entry.table.name, entry.table.oid);
        for column in entry.table.live_columns() {
            let (name, data_type) = (&column.name, column.data_type());
            let number = usize::try_from(column.number).unwrap_or(0);
            visit(ColumnPlace { schema, relation, relation_oid, name, number, data_type });
        }
    }
    for view in environment.catalog.views() {
        let schema = &schema_name(environment, view.schema);
        let (relation, relation_oid) = (&view.name, view.oid);
        for (at, column) in view.columns.iter().enumerate() {
            let data_type = DataType { oid: column.type_oid, typmod: column.type_modifier };
            let name = &column.name;
            visit(ColumnPlace { schema, relation, relation_oid, name, number: at + 1, data_type });
        }
    }
    for computed in computed_relations(environment) {
        let (schema, relation, relation_oid) = (computed.schema_name(), computed.name, computed.oid);
        for (at, (name, oid)) in computed.columns.iter().enumerate() {
            let data_type = DataType::of(*oid);
            visit(ColumnPlace { schema, relation, relation_oid, name, number: at + 1, data_type });
        }
    }
}
