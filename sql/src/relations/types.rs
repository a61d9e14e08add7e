//! Types: pg_type, pg_enum, and what information_schema says of domains.

use super::known_types::facts;
use super::operator_classes::default_class;
use super::relation::{MakeRows, RelationRows, VirtualRelation, letter, oid, text};
use super::schema_objects::schema_name;
use super::stored_text;
use crate::catalog::{
    Domain, DomainCheck, PG_CATALOG, Rights, RowType, SUPERUSER, UserRange, UserType, system_row_types,
};
use crate::error::Result;
use crate::execute::Environment;
use crate::rights::object_type;
use crate::types::{DataType, TypeInfo, builtin_types, format_type, is_user_type};
use crate::value::Datum;

pub const MAKERS: &[(&str, MakeRows)] = &[
    ("pg_type", types),
    ("pg_enum", labels),
    ("pg_range", ranges),
    ("information_schema.domains", domains),
    ("information_schema.domain_constraints", domain_constraints),
];

/// What a user's type adds to a row of pg_type.
#[derive(Default)]
struct Own<'t> {
    schema: Option<u32>,
    owner: Option<u32>,
    domain: Option<&'t Domain>,
    /// The relation whose rows it is the type of.
    relation: u32,
}

fn type_row(
    environment: &Environment,
    relation: &VirtualRelation,
    info: &TypeInfo,
    own: &Own<'_>,
) -> Vec<Datum> {
    let facts = facts(environment, info);
    let default = own.domain.and_then(|domain| domain.default.as_deref().map(|it| (domain, it)));
    let default =
        default.map(|(domain, default)| Datum::text(stored_text::default(environment, domain.base, default)));
    relation.row(&[
        ("oid", oid(info.oid)),
        ("typname", text(&info.name)),
        ("typnamespace", oid(own.schema.unwrap_or(PG_CATALOG))),
        ("typowner", oid(own.owner.unwrap_or(SUPERUSER))),
        ("typacl", super::standard_rights::list_of(environment, info.oid)),
        ("typlen", Datum::Int16(facts.length)),
        ("typbyval", Datum::Bool(facts.by_value)),
        ("typtype", letter(facts.kind)),
        ("typcategory", letter(facts.category)),
        ("typispreferred", Datum::Bool(facts.is_preferred)),
        ("typisdefined", Datum::Bool(true)),
        ("typdelim", letter(b',')),
        ("typrelid", oid(own.relation)),
        ("typsubscript", oid(facts.subscript)),
        ("typelem", oid(facts.element)),
        ("typarray", oid(info.array_oid)),
        ("typinput", oid(facts.input)),
        ("typoutput", oid(facts.output)),
        ("typreceive", oid(facts.receive)),
        ("typsend", oid(facts.send)),
        ("typmodin", oid(facts.modifier_input)),
        ("typmodout", oid(facts.modifier_output)),
        ("typanalyze", oid(facts.analyze)),
        ("typalign", letter(facts.alignment)),
        ("typstorage", letter(facts.storage)),
        ("typnotnull", Datum::Bool(own.domain.is_some_and(|domain| domain.not_null))),
        ("typbasetype", oid(own.domain.map_or(0, |domain| domain.base.oid))),
        ("typtypmod", Datum::Int32(own.domain.map_or(-1, |domain| domain.base.typmod))),
        ("typndims", Datum::Int64(0)),
        ("typcollation", oid(facts.collation)),
        ("typdefaultbin", default.clone().unwrap_or_default()),
        ("typdefault", default.unwrap_or_default()),
    ])
}

fn types(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let mut rows: RelationRows =
        builtin_types().map(|info| type_row(environment, relation, info, &Own::default())).collect();
    for entry in environment.catalog.user_types() {
        let schema = Some(entry.definition.schema);
        let owner = Some(entry.definition.owner);
        let relation_of_rows = entry.definition.composite().map_or(0, |composite| composite.relation);
        let own = Own { schema, owner, domain: entry.definition.domain(), relation: relation_of_rows };
        rows.push(type_row(environment, relation, &entry.info, &own));
        rows.push(type_row(environment, relation, &entry.array, &Own { schema, owner, ..Own::default() }));
    }
    let mut add_row = |row: &RowType| {
        let of_arrays = Own { schema: Some(row.schema), owner: Some(row.owner), ..Own::default() };
        rows.push(type_row(environment, relation, &row.array, &of_arrays));
        rows.push(type_row(environment, relation, &row.info, &Own { relation: row.relation, ..of_arrays }));
    };
    environment.catalog.row_types().for_each(&mut add_row);
    let is_table = |row: &&RowType| environment.catalog.table(row.relation).is_some();
    system_row_types().filter(|row| !is_table(row)).for_each(add_row);
    Ok(rows)
}

/// The range types, with the class that orders their subtype.
fn ranges(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let row = |info: &TypeInfo, own: Option<&UserRange>| {
        let shape = info.range_shape()?;
        // Built-in range types have functions of their own.
        let known = |suffix: &str| format!("{}_{suffix}", info.name);
        let canonical = if shape.discrete { known("canonical") } else { "-".to_owned() };
        let difference = match own {
            Some(own) => own.difference.clone().unwrap_or_else(|| "-".to_owned()),
            None => known("subdiff"),
        };
        let collation = own.map_or_else(|| super::collations::collation(shape.subtype), |own| own.collation);
        let class = own.map_or_else(|| default_class(environment, shape.subtype), |own| own.class);
        Some(relation.row(&[
            ("rngtypid", oid(info.oid)),
            ("rngsubtype", oid(shape.subtype)),
            ("rngmultitypid", oid(shape.multirange)),
            ("rngcollation", oid(collation)),
            ("rngsubopc", oid(class)),
            ("rngcanonical", text(canonical)),
            ("rngsubdiff", text(difference)),
        ]))
    };
    let own = environment.catalog.user_types().filter_map(|entry| row(&entry.info, entry.definition.range()));
    Ok(builtin_types().filter_map(|info| row(info, None)).chain(own).collect())
}

fn labels(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let mut rows = Vec::new();
    for entry in environment.catalog.user_types() {
        for label in entry.definition.labels().unwrap_or_default() {
            rows.push(relation.row(&[
                ("oid", oid(label.oid)),
                ("enumtypid", oid(entry.definition.oid)),
                ("enumsortorder", Datum::Float32(label.place as f32)),
                ("enumlabel", text(&label.label)),
            ]));
        }
    }
    Ok(rows)
}

/// All domains.
pub fn all_domains(environment: &Environment) -> impl Iterator<Item = (&UserType, &Domain)> {
    let types = environment.catalog.user_types().map(|entry| &*entry.definition);
    types.filter_map(|own| own.domain().map(|domain| (own, domain)))
}

/// Those that the standard's views show to the current role: it owns them, or may use them.
pub fn shown_domains(environment: &Environment) -> impl Iterator<Item = (&UserType, &Domain)> {
    let actor = environment.actor();
    all_domains(environment).filter(move |(own, _)| {
        let may_use = |secured| !actor.rights(&secured, Rights::USAGE).is_empty();
        actor.has_role(own.owner) || object_type(&environment.catalog, own.oid).is_some_and(may_use)
    })
}

fn domains(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let row = |(own, domain): (&UserType, &Domain)| {
        let base = environment.catalog.type_info(domain.base.oid);
        let base_name = match base {
            Some(info) if !is_user_type(info.oid) => format_type(DataType::of(info.oid), environment),
            _ => "USER-DEFINED".to_string(),
        };
        let base_schema = environment.catalog.user_type(domain.base.oid).map(|it| it.definition.schema);
        let sizes = super::information_schema::columns::Sizes::of(domain.base);
        let default = domain.default.as_deref();
        let default = default.map(|it| stored_text::default(environment, domain.base, it));
        relation.row(&[
            ("domain_catalog", text(&environment.database)),
            ("domain_schema", text(schema_name(environment, own.schema))),
            ("domain_name", text(&own.name)),
            ("data_type", text(base_name)),
            ("character_maximum_length", Datum::from(sizes.length)),
            ("character_octet_length", Datum::from(sizes.octets)),
            ("numeric_precision", Datum::from(sizes.precision)),
            ("numeric_precision_radix", Datum::from(sizes.radix)),
            ("numeric_scale", Datum::from(sizes.scale)),
            ("datetime_precision", Datum::from(sizes.when)),
            ("domain_default", Datum::from(default)),
            ("udt_catalog", text(&environment.database)),
            ("udt_schema", text(schema_name(environment, base_schema.unwrap_or(PG_CATALOG)))),
            ("udt_name", base.map_or(Datum::Null, |info| text(&info.name))),
            ("dtd_identifier", text("1")),
        ])
    };
    Ok(shown_domains(environment).map(row).collect())
}

fn domain_constraints(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let mut rows = Vec::new();
    for (own, domain) in shown_domains(environment) {
        let schema = schema_name(environment, own.schema);
        for check in &domain.checks {
            rows.push(relation.row(&[
                ("constraint_catalog", text(&environment.database)),
                ("constraint_schema", text(&schema)),
                ("constraint_name", text(&check.name)),
                ("domain_catalog", text(&environment.database)),
                ("domain_schema", text(&schema)),
                ("domain_name", text(&own.name)),
                ("is_deferrable", text("NO")),
                ("initially_deferred", text("NO")),
            ]));
        }
    }
    Ok(rows)
}

/// The checks of all domains, with their definitions: `CHECK ((VALUE > 0))`.
pub fn domain_checks(environment: &Environment) -> impl Iterator<Item = (&UserType, &DomainCheck, String)> {
    all_domains(environment).flat_map(move |(own, domain)| {
        domain.checks.iter().map(move |check| {
            let shown = stored_text::domain_condition(environment, domain.base, &check.expression);
            let suffix = if check.validated { "" } else { " NOT VALID" };
            (own, check, format!("CHECK ({shown}){suffix}"))
        })
    })
}

/// The definition of a domain's constraint, by its OID.
#[must_use]
pub fn check_of_domain(environment: &Environment, constraint: u32) -> Option<String> {
    domain_checks(environment)
        .find(|(_, check, _)| check.oid == constraint)
        .map(|(_, _, definition)| definition)
}
