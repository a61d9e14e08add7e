//! Relations that are computed: `pg_catalog`, `information_schema`, and our own views of the system.
//!
//! Each is a real relation to the planner, with PostgreSQL's columns; its rows are made from the catalog and
//! the session when it is scanned. One for a feature that is absent has no rows.

mod activity;
mod addresses;
mod aggregates;
mod backend_functions;
mod bound_text;
mod branches;
mod catalog_functions;
mod collations;
mod columns;
mod constraints;
mod conversions;
pub mod deparse;
mod depend;
mod diff;
pub mod extended_statistics;
mod extensions;
mod host_rules;
mod information_schema;
mod known_procedures;
mod known_types;
mod object_functions;
mod operator_classes;
mod pretty_text;
mod privileges;
mod procedure_rows;
pub(crate) mod procedures;
mod registered;
mod registry;
mod relation;
mod reports;
mod retention;
mod role_depend;
pub(crate) mod roles;
mod row_history;
mod row_writer;
mod schema_objects;
mod sequences;
mod server_control;
mod session_objects;
mod sizes;
mod standard_rights;
mod statistics;
mod stored_text;
mod surroundings;
mod system;
mod time_zones;
mod tool_functions;
mod totals;
mod transactions;
mod types;
mod usage;
mod view_text;
mod views;

pub use addresses::{ADDRESS, IDENTITY, NAMES};
pub use catalog_functions::{call, relation_name, relation_oid, relation_place, type_named};
pub use collations::{
    COLLATIONS, collation, collation_name, kept as kept_collation, known as known_collation,
    of_key as key_collation,
};
pub use columns::type_storage;
pub use object_functions::function_oid;
pub use operator_classes::{btree_class, default_class, family_of, key_family};
pub use procedures::has_procedure;
pub use procedures::{ProcedureKind, procedure};
pub use registry::{ACCESS_METHODS, LANGUAGES, is_reserved};
pub use relation::{VirtualRelation, all};
pub use reports::{ROW_WRITER, ReportFunction, report, waiting};
pub use roles::TABLESPACES;

use relation::MakeRows;

/// The row makers, by relation.
const MAKERS: &[&[(&str, MakeRows)]] = &[
    schema_objects::MAKERS,
    columns::MAKERS,
    collations::MAKERS,
    constraints::MAKERS,
    sequences::MAKERS,
    statistics::MAKERS,
    usage::MAKERS,
    totals::MAKERS,
    views::MAKERS,
    depend::MAKERS,
    types::MAKERS,
    session_objects::MAKERS,
    time_zones::MAKERS,
    host_rules::MAKERS,
    extended_statistics::MAKERS,
    extensions::MAKERS,
    registry::MAKERS,
    surroundings::MAKERS,
    procedure_rows::MAKERS,
    aggregates::MAKERS,
    conversions::MAKERS,
    role_depend::MAKERS,
    operator_classes::MAKERS,
    roles::MAKERS,
    standard_rights::MAKERS,
    activity::MAKERS,
    information_schema::tables::MAKERS,
    information_schema::columns::MAKERS,
    information_schema::constraints::MAKERS,
    information_schema::usage::MAKERS,
    information_schema::routines::MAKERS,
    information_schema::types_described::MAKERS,
    information_schema::composites::MAKERS,
    information_schema::surroundings::MAKERS,
];

/// An expression as PostgreSQL writes it.
#[must_use]
pub fn expression_text(expr: &sqlparser::ast::Expr) -> String {
    view_text::expr_text(expr)
}

/// The relation of a name in a schema.
#[must_use]
pub fn find(schema: u32, name: &str) -> Option<&'static VirtualRelation> {
    all().iter().find(|relation| relation.schema == schema && relation.name == name)
}

/// The relation of an OID.
#[must_use]
pub fn with_oid(oid: u32) -> Option<&'static VirtualRelation> {
    all().iter().find(|relation| relation.oid == oid && oid != 0)
}

/// A relation that is also callable as a function in FROM.
#[must_use]
pub fn function(name: &str) -> Option<&'static VirtualRelation> {
    // Views over functions of their own name.
    const VIEWS: [&str; 5] = [
        "pg_timezone_names",
        "pg_timezone_abbrevs",
        "pg_hba_file_rules",
        "pg_ident_file_mappings",
        "pg_config",
    ];
    let is_function = |relation: &VirtualRelation| relation.kind == b'f' || VIEWS.contains(&relation.name);
    all().iter().find(|relation| relation.name == name && is_function(relation))
}
