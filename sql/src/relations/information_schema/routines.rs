//! Functions and their arguments: `routines`, `parameters`, `routine_privileges`, `role_routine_grants`. All functions are
//! built in, and everybody's to call.

use super::columns::standard_type;
use super::usage::named_type;
use super::yes_or_no;
use crate::catalog::{SUPERUSER, SecuredKind, default_grants};
use crate::error::Result;
use crate::execute::Environment;
use crate::functions::Volatility;
use crate::relations::procedure_rows::all_arguments;
use crate::relations::procedures::{self, Procedure, ProcedureKind};
use crate::relations::registry::LANGUAGES;
use crate::relations::relation::{MakeRows, RelationRows, VirtualRelation, text};
use crate::relations::standard_rights::Viewer;
use crate::types::{DataType, Oid};
use crate::value::Datum;

pub const MAKERS: &[(&str, MakeRows)] = &[
    ("information_schema.routines", routines),
    ("information_schema.parameters", parameters),
    ("information_schema.routine_privileges", routine_privileges),
    ("information_schema.role_routine_grants", routine_privileges),
];

/// PostgreSQL's longest name, in bytes.
const NAME_BYTES_MAX: usize = 63;

/// The name that a function does not share with others: its own, cut where it is too long, and its OID.
pub fn specific_name(procedure: &Procedure) -> String {
    let suffix = format!("_{}", procedure.oid);
    let mut end = procedure.name.len().min(NAME_BYTES_MAX - suffix.len());
    while !procedure.name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{suffix}", &procedure.name[..end])
}

/// The standard's name of a type, and the type's schema and name.
fn described(environment: &Environment, oid: Oid) -> [Datum; 3] {
    match named_type(environment, oid) {
        Some(place) => {
            [text(standard_type(environment, DataType::of(oid))), text(place.schema), text(place.name)]
        }
        None => [text("USER-DEFINED"), Datum::Null, Datum::Null],
    }
}

fn routines(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let is_own = environment.actor().has_role(SUPERUSER);
    let database = || text(&environment.database);
    let row = |procedure: &Procedure| {
        let [data_type, type_schema, type_name] = described(environment, procedure.result);
        let is_routine = matches!(procedure.kind, ProcedureKind::Function | ProcedureKind::Named);
        let language = LANGUAGES.iter().find(|(oid, _)| *oid == procedure.language());
        let language = language.map_or_else(String::new, |(_, name)| name.to_uppercase());
        let external = if language == "C" { text(procedure.source()) } else { Datum::Null };
        relation.row(&[
            ("specific_catalog", database()),
            ("specific_schema", text("pg_catalog")),
            ("specific_name", text(specific_name(procedure))),
            ("routine_catalog", database()),
            ("routine_schema", text("pg_catalog")),
            ("routine_name", text(&procedure.name)),
            ("routine_type", if is_routine { text("FUNCTION") } else { Datum::Null }),
            ("data_type", data_type),
            ("type_udt_catalog", if type_schema.is_null() { Datum::Null } else { database() }),
            ("type_udt_schema", type_schema),
            ("type_udt_name", type_name),
            ("dtd_identifier", text("0")),
            ("routine_body", text(if language == "SQL" { "SQL" } else { "EXTERNAL" })),
            ("routine_definition", if is_own { text(procedure.source()) } else { Datum::Null }),
            ("external_name", external),
            ("external_language", text(language)),
            ("parameter_style", text("GENERAL")),
            ("is_deterministic", yes_or_no(procedure.volatility == Volatility::Immutable)),
            ("sql_data_access", text("MODIFIES")),
            ("is_null_call", yes_or_no(procedure.strict)),
            ("schema_level_routine", text("YES")),
            ("max_dynamic_result_sets", Datum::Int32(0)),
            ("security_type", text("INVOKER")),
            ("as_locator", text("NO")),
            ("is_udt_dependent", text("NO")),
        ])
    };
    Ok(procedures::all().iter().map(row).collect())
}

/// The arguments of functions.
fn parameters(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let mut rows = Vec::new();
    for procedure in procedures::all() {
        let specific = specific_name(procedure);
        for (number, argument) in (1_i64..).zip(all_arguments(procedure)) {
            let [data_type, type_schema, type_name] = described(environment, argument.type_oid);
            rows.push(relation.row(&[
                ("specific_catalog", text(&environment.database)),
                ("specific_schema", text("pg_catalog")),
                ("specific_name", text(&specific)),
                ("ordinal_position", Datum::Int64(number)),
                (
                    "parameter_mode",
                    text(match argument.mode {
                        b'o' | b't' => "OUT",
                        b'b' => "INOUT",
                        _ => "IN",
                    }),
                ),
                ("is_result", text("NO")),
                ("as_locator", text("NO")),
                ("parameter_name", if argument.name.is_empty() { Datum::Null } else { text(argument.name) }),
                ("data_type", data_type),
                ("udt_catalog", text(&environment.database)),
                ("udt_schema", type_schema),
                ("udt_name", type_name),
                ("dtd_identifier", text(number.to_string())),
                ("parameter_default", Datum::from(argument.default)),
            ]));
        }
    }
    Ok(rows)
}

fn routine_privileges(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let viewer = Viewer::new(environment, relation);
    let shown = viewer.shown(SUPERUSER, &default_grants(SecuredKind::Function, SUPERUSER));
    let mut rows = Vec::new();
    for procedure in procedures::all() {
        for ([grantor, grantee], right, grantable) in &shown {
            rows.push(relation.row(&[
                ("grantor", grantor.clone()),
                ("grantee", grantee.clone()),
                ("specific_catalog", text(&environment.database)),
                ("specific_schema", text("pg_catalog")),
                ("specific_name", text(specific_name(procedure))),
                ("routine_catalog", text(&environment.database)),
                ("routine_schema", text("pg_catalog")),
                ("routine_name", text(&procedure.name)),
                ("privilege_type", text(right.name())),
                ("is_grantable", yes_or_no(*grantable)),
            ]));
        }
    }
    Ok(rows)
}
