//! Columns and their defaults: pg_attribute, pg_attrdef.

use super::collations::collation;
use super::known_types::facts;
use super::relation::{MakeRows, RelationRows, VirtualRelation, computed_relations, letter, oid, text};
use super::roles::configuration;
use crate::binder::name;
use crate::catalog::{
    ColumnIdentity, ColumnSettings, Identity, IndexExpression, SYSTEM_COLUMNS, Table, TableColumn,
};
use crate::error::Result;
use crate::execute::Environment;
use crate::types::domain::base_type;
use crate::types::oids;
use crate::value::Datum;
use sqlparser::ast::Expr;

pub const MAKERS: &[(&str, MakeRows)] = &[("pg_attribute", attributes), ("pg_attrdef", defaults)];

struct Attribute<'a> {
    relation: u32,
    name: &'a str,
    number: i16,
    type_oid: u32,
    modifier: i32,
    /// 0: that of the type.
    collation: u32,
    not_null: bool,
    has_default: bool,
    identity: u8,
    generated: bool,
    dropped: bool,
    settings: Option<&'a ColumnSettings>,
}

/// How values of a type are stored, as `pg_type` says it.
pub fn type_storage(environment: &Environment, type_oid: u32) -> u8 {
    environment.catalog.type_info(type_oid).map_or(b'x', |info| facts(environment, info).storage)
}

fn attribute_row(
    environment: &Environment,
    relation: &VirtualRelation,
    attribute: &Attribute<'_>,
) -> Vec<Datum> {
    let info = environment.catalog.type_info(attribute.type_oid);
    let length = info.map_or(-1, |info| info.length);
    let by_value = (1..=8).contains(&length);
    let settings = attribute.settings;
    let storage = info.map_or(b'x', |info| facts(environment, info).storage);
    let base = base_type(attribute.type_oid, environment);
    relation.row(&[
        ("attrelid", oid(attribute.relation)),
        ("attname", text(attribute.name)),
        ("atttypid", oid(if attribute.dropped { 0 } else { attribute.type_oid })),
        ("attstattarget", Datum::Int64(settings.and_then(|of| of.statistics).map_or(-1, i64::from))),
        ("attlen", Datum::Int16(length)),
        ("attnum", Datum::Int16(attribute.number)),
        ("attndims", Datum::Int64(i64::from(info.is_some_and(|info| info.element().is_some())))),
        ("attcacheoff", Datum::Int64(-1)),
        ("atttypmod", Datum::Int32(attribute.modifier)),
        ("attbyval", Datum::Bool(by_value)),
        ("attalign", letter(b'i')),
        ("attstorage", letter(settings.and_then(|of| of.storage).unwrap_or(storage))),
        ("attcompression", letter(settings.and_then(|of| of.compression).unwrap_or(0))),
        ("attoptions", settings.map_or(Datum::Null, |of| configuration(&of.options))),
        ("attnotnull", Datum::Bool(attribute.not_null)),
        ("atthasdef", Datum::Bool(attribute.has_default)),
        ("atthasmissing", Datum::Bool(false)),
        ("attidentity", letter(attribute.identity)),
        ("attgenerated", letter(if attribute.generated { b's' } else { 0 })),
        ("attisdropped", Datum::Bool(attribute.dropped)),
        ("attislocal", Datum::Bool(true)),
        ("attinhcount", Datum::Int64(0)),
        ("attcollation", oid(if attribute.collation == 0 { collation(base) } else { attribute.collation })),
        ("attacl", super::standard_rights::list_of_column(environment, attribute.relation, attribute.number)),
    ])
}

fn attributes(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let mut rows = Vec::new();
    let of_column = |owner: u32, column: &TableColumn| {
        attribute_row(
            environment,
            relation,
            &Attribute {
                relation: owner,
                name: &column.name,
                number: column.number,
                type_oid: column.type_oid,
                modifier: column.type_modifier,
                collation: column.collation,
                not_null: column.not_null,
                has_default: column.default.is_some(),
                identity: column.identity.map_or(0, Identity::code),
                generated: column.generated,
                dropped: column.dropped,
                settings: Some(&column.settings),
            },
        )
    };
    for entry in environment.catalog.tables() {
        let table: &Table = &entry.table;
        rows.extend(table.columns.iter().map(|column| of_column(table.oid, column)));
        rows.extend(system_columns(table.oid).map(|column| attribute_row(environment, relation, &column)));
        for index in &entry.indexes {
            let keys = index.columns.iter().map(|key| (key.expression.as_ref(), key.number, key.collation));
            let included = index.included.iter().map(|number| (None, *number, 0));
            let mut taken: Vec<String> = Vec::new();
            for (at, (expression, number, collation)) in keys.chain(included).enumerate() {
                let mut column = match expression {
                    None => table.column_numbered(number).clone(),
                    Some(expression) => expression_column(expression, &taken),
                };
                if taken.contains(&column.name) {
                    let mut numbered = (1..).map(|number| format!("{}{number}", column.name));
                    column.name = numbered.find(|name| !taken.contains(name)).unwrap_or_default();
                }
                taken.push(column.name.clone());
                column.number = i16::try_from(at + 1).unwrap_or(0);
                if collation != 0 {
                    column.collation = collation;
                }
                column.not_null = false;
                column.default = None;
                column.identity = None;
                column.generated = false;
                rows.push(of_column(index.oid, &column));
            }
        }
    }
    for view in environment.catalog.views() {
        for (number, column) in (1..).zip(&view.columns) {
            rows.push(attribute_row(
                environment,
                relation,
                &Attribute {
                    relation: view.oid,
                    name: &column.name,
                    number,
                    type_oid: column.type_oid,
                    modifier: column.type_modifier,
                    collation: 0,
                    not_null: false,
                    has_default: false,
                    identity: 0,
                    generated: false,
                    dropped: false,
                    settings: None,
                },
            ));
        }
    }
    for (_, composite) in environment.catalog.composites() {
        for (number, attribute) in (1..).zip(&composite.attributes) {
            rows.push(attribute_row(
                environment,
                relation,
                &Attribute {
                    relation: composite.relation,
                    name: &attribute.name,
                    number,
                    type_oid: attribute.data_type.oid,
                    modifier: attribute.data_type.typmod,
                    collation: attribute.collation,
                    not_null: false,
                    has_default: false,
                    identity: 0,
                    generated: false,
                    dropped: attribute.dropped,
                    settings: None,
                },
            ));
        }
    }
    let sequence_columns = [("last_value", oids::INT8), ("log_cnt", oids::INT8), ("is_called", oids::BOOL)];
    for sequence in environment.catalog.sequences() {
        for (number, (name, type_oid)) in (1..).zip(sequence_columns) {
            rows.push(attribute_row(
                environment,
                relation,
                &Attribute {
                    relation: sequence.oid,
                    name,
                    number,
                    type_oid,
                    modifier: -1,
                    collation: 0,
                    not_null: true,
                    has_default: false,
                    identity: 0,
                    generated: false,
                    dropped: false,
                    settings: None,
                },
            ));
        }
    }
    for computed in computed_relations(environment) {
        for (at, (name, type_oid)) in computed.columns.iter().enumerate() {
            rows.push(attribute_row(
                environment,
                relation,
                &Attribute {
                    relation: computed.oid,
                    name,
                    number: i16::try_from(at + 1).unwrap_or(0),
                    type_oid: *type_oid,
                    modifier: -1,
                    collation: 0,
                    not_null: computed.is_required(name),
                    has_default: false,
                    identity: 0,
                    generated: false,
                    dropped: false,
                    settings: None,
                },
            ));
        }
    }
    Ok(rows)
}

/// The columns that a table has beside its own.
fn system_columns(table: u32) -> impl Iterator<Item = Attribute<'static>> {
    SYSTEM_COLUMNS.iter().map(move |(number, name)| Attribute {
        relation: table,
        name,
        number: *number,
        type_oid: match *name {
            "tableoid" => oids::OID,
            "ctid" => oids::TID,
            "cmin" | "cmax" => oids::CID,
            _ => oids::XID,
        },
        modifier: -1,
        collation: 0,
        not_null: true,
        has_default: false,
        identity: 0,
        generated: false,
        dropped: false,
        settings: None,
    })
}

/// An index's column that is an expression: it has the name of the function that is called.
fn expression_column(expression: &IndexExpression, taken: &[String]) -> TableColumn {
    let base = crate::parser::parse_expression(&expression.text)
        .ok()
        .and_then(|expr| match expr {
            Expr::Function(function) => name::split(&function.name).ok().map(|(_, base)| base),
            _ => None,
        })
        .unwrap_or_else(|| "expr".to_string());
    let numbered = (1..).map(|number| format!("{base}{number}"));
    let name = std::iter::once(base.clone()).chain(numbered).find(|name| !taken.contains(name));

    TableColumn {
        number: 0,
        name: name.unwrap_or(base),
        type_oid: expression.type_oid,
        type_modifier: -1,
        collation: 0,
        representation: expression.representation,
        not_null: false,
        default: None,
        identity: None,
        generated: false,
        missing: Datum::Null,
        dropped: false,
        origin: ColumnIdentity::default(),
        settings: Default::default(),
    }
}

/// The OID of a column's default: made from its table's, for defaults have none of their own.
pub fn default_oid(table: u32, number: i16) -> u32 {
    0x8000_0000 | (table.wrapping_mul(1_601).wrapping_add(u32::from(number.unsigned_abs())) & 0x7fff_ffff)
}

fn defaults(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let mut rows = Vec::new();
    for entry in environment.catalog.tables() {
        for column in entry.table.live_columns() {
            let Some(default) = &column.default else { continue };
            rows.push(relation.row(&[
                ("oid", oid(default_oid(entry.table.oid, column.number))),
                ("adrelid", oid(entry.table.oid)),
                ("adnum", Datum::Int16(column.number)),
                (
                    "adbin",
                    text(super::deparse::default_expression(environment, &entry.table, column, default)),
                ),
            ]));
        }
    }
    Ok(rows)
}
