//! Functions about single objects: what they are called, what indexes and sequences can do.

use std::sync::Arc;

use super::catalog_functions::{relation_name, type_named};
use super::extended_statistics::{self, PG_STATISTIC_EXT};
use super::procedures;
use crate::binder::name;
use crate::catalog::{Rights, Table};
use crate::error::{Result, SqlError, SqlState};
use crate::execute::Environment;
use crate::functions::SEQUENCE_PARAMETERS;
use crate::session::split_list;
use crate::types::{DataType, Oid, format_type};
use crate::value::{Datum, RecordShape, RecordValue, Text};

/// Calls a function; `None` for one that is not of this family.
pub(super) fn call(environment: &Environment, function: &str, arguments: &[Datum]) -> Option<Result<Datum>> {
    let number = |at: usize| arguments.get(at).and_then(Datum::as_i64);
    let oid = |at: usize| number(at).and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
    let word = |at: usize| arguments.get(at).and_then(Datum::as_text).unwrap_or_default();
    Some(Ok(match function {
        "current_of" => return Some(crate::session::current_row(environment, word(0), oid(1))),
        "current_query" => environment.backend.activity().query().map_or(Datum::Null, Datum::text),
        "to_regproc" => match procedures::named(unqualified(word(0))) {
            [only] => Datum::Oid(only.oid),
            _ => Datum::Null,
        },
        "to_regprocedure" => match function_oid(environment, word(0)) {
            Ok(found) => found.map_or(Datum::Null, Datum::Oid),
            Err(error) => return Some(Err(error)),
        },
        "regprocedurein" => {
            let text = word(0);
            let missing = || {
                let message = format!("function \"{text}\" does not exist");
                SqlError::new(SqlState::UNDEFINED_FUNCTION, message)
            };
            return Some(
                function_oid(environment, text).and_then(|found| found.map(Datum::Oid).ok_or_else(missing)),
            );
        }
        "pg_index_has_property" => match environment.catalog.index(oid(0)) {
            Some(_) => known(&INDEX_PROPERTIES, word(1)),
            None => Datum::Null,
        },
        "pg_indexam_has_property" => match oid(0) {
            BTREE => known(&METHOD_PROPERTIES, word(1)),
            _ => Datum::Null,
        },
        "pg_index_column_has_property" => {
            column_property(environment, oid(0), number(1).unwrap_or(0), word(2))
        }
        "pg_get_replica_identity_index" => {
            let entry = environment.catalog.table(oid(0));
            let key = entry.and_then(|entry| entry.indexes.iter().find(|index| index.primary));
            key.map_or(Datum::Null, |index| Datum::Oid(index.oid))
        }
        // Tables are in the default tablespace, and their files' numbers are their OIDs.
        "pg_filenode_relation" if matches!(oid(0), 0 | 1663) => match environment.catalog.table(oid(1)) {
            Some(entry) => Datum::Oid(entry.table.oid),
            None => Datum::Null,
        },
        "pg_filenode_relation" => Datum::Null,
        "pg_sequence_parameters" => return Some(sequence_parameters(environment, oid(0))),
        "pg_describe_object" => describe(environment, oid(0), oid(1), number(2).unwrap_or(0)),
        _ => return super::registered::call(environment, function, arguments),
    }))
}

/// A name without the schema that all built-in objects are in.
fn unqualified(text: &str) -> &str {
    text.strip_prefix("pg_catalog.").unwrap_or(text)
}

/// The function of `name(type, …)`.
pub fn function_oid(environment: &Environment, text: &str) -> Result<Option<Oid>> {
    let malformed = |message: &str| SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, message);
    let (base, rest) = text.split_once('(').ok_or_else(|| malformed("expected a left parenthesis"))?;
    let inside =
        rest.trim_end().strip_suffix(')').ok_or_else(|| malformed("expected a right parenthesis"))?;
    let mut types = Vec::new();
    for each in inside.split(',').map(str::trim).filter(|each| !each.is_empty()) {
        types.push(type_named(environment, each).ok_or_else(|| {
            SqlError::new(SqlState::UNDEFINED_OBJECT, format!("type \"{each}\" does not exist"))
        })?);
    }
    let base = split_list(unqualified(base.trim())).into_iter().next().unwrap_or_default();
    let found = procedures::named(&base).iter().find(|procedure| procedure.arguments == types);
    Ok(found.map(|procedure| procedure.oid))
}

/// The OID of the access method that all indexes have.
const BTREE: Oid = 403;

const METHOD_PROPERTIES: [(&str, bool); 5] = [
    ("can_order", true),
    ("can_unique", true),
    ("can_multi_col", true),
    ("can_exclude", true),
    ("can_include", true),
];

const INDEX_PROPERTIES: [(&str, bool); 4] =
    [("clusterable", true), ("index_scan", true), ("bitmap_scan", true), ("backward_scan", true)];

/// What a list says of a property; NULL for one that it does not know.
fn known(properties: &[(&str, bool)], property: &str) -> Datum {
    let found = properties.iter().find(|(name, _)| name.eq_ignore_ascii_case(property));
    found.map_or(Datum::Null, |(_, has)| Datum::Bool(*has))
}

/// What a column of an index has. A column that is only included is not ordered or searched: most questions about it
/// have no answer.
fn column_property(environment: &Environment, index: Oid, number: i64, property: &str) -> Datum {
    let Some(index) = environment.catalog.index(index) else { return Datum::Null };
    let Ok(at) = usize::try_from(number - 1) else { return Datum::Null };
    let key = index.columns.get(at);
    if key.is_none() && at >= index.columns.len() + index.included.len() {
        return Datum::Null;
    }
    let answer = match property.to_ascii_lowercase().as_str() {
        "asc" => key.map(|column| !column.descending),
        "desc" => key.map(|column| column.descending),
        "nulls_first" => key.map(|column| column.nulls_first),
        "nulls_last" => key.map(|column| !column.nulls_first),
        "search_array" | "search_nulls" => key.map(|_| true),
        "orderable" => Some(key.is_some()),
        "distance_orderable" => Some(false),
        "returnable" => Some(true),
        _ => None,
    };
    answer.map_or(Datum::Null, Datum::Bool)
}

fn sequence_parameters(environment: &Environment, oid: Oid) -> Result<Datum> {
    let entry = environment.sequence(oid)?;
    let rights = Rights::SELECT.with(Rights::UPDATE).with(Rights::USAGE);
    environment.check_sequence(entry, rights)?;
    let sequence = &entry.sequence;
    let limits = &sequence.limits;
    let fields = vec![
        Datum::Int64(sequence.start),
        Datum::Int64(limits.minimum),
        Datum::Int64(limits.maximum),
        Datum::Int64(limits.increment),
        Datum::Bool(limits.cycle),
        Datum::Int64(sequence.cache),
        Datum::Oid(sequence.type_oid),
    ];
    let named = SEQUENCE_PARAMETERS.iter();
    let named = named.map(|(name, oid)| (Text::new_static(name), DataType::of(*oid)));
    Ok(RecordValue { fields, shape: Arc::new(RecordShape::anonymous(named)) }.into())
}

/// The catalog of rules, and what the OID of a view's rule has beside that of the view.
pub(super) const PG_REWRITE: u32 = 2618;
pub(super) const RULE_OF_VIEW: u32 = 0x4000_0000;

/// What PostgreSQL calls an object in messages; NULL for one that is not there.
fn describe(environment: &Environment, class: Oid, oid: Oid, column: i64) -> Datum {
    use crate::catalog::{PG_CLASS, PG_CONSTRAINT, PG_NAMESPACE, PG_PROC, PG_TYPE};
    let catalog = &environment.catalog;
    let found = match class {
        PG_CLASS if catalog.is_composite(oid) => {
            let shown = format!("composite type {}", relation_name(environment, oid));
            let composites = catalog.composites().find(|(_, composite)| composite.relation == oid);
            let place = usize::try_from(column - 1).ok();
            let attribute = composites.zip(place).and_then(|((_, of), at)| of.attributes.get(at));
            Some(match attribute {
                Some(attribute) => format!("column {} of {shown}", name::quote(&attribute.name)),
                None => shown,
            })
        }
        PG_CLASS => relation_word(environment, oid).map(|word| {
            let shown = format!("{word} {}", relation_name(environment, oid));
            let named = |table: &Table| {
                let wanted = i16::try_from(column).ok()?;
                table.live_columns().find(|each| each.number == wanted).map(|each| each.name.clone())
            };
            match catalog.table(oid).filter(|_| column != 0).and_then(|entry| named(&entry.table)) {
                Some(name) => format!("column {} of {shown}", name::quote(&name)),
                None => shown,
            }
        }),
        PG_NAMESPACE => catalog.schema(oid).map(|schema| format!("schema {}", name::quote(&schema.name))),
        PG_TYPE => catalog
            .type_info(oid)
            .map(|info| format!("type {}", format_type(DataType::of(info.oid), environment))),
        PG_PROC => procedures::procedure(oid).map(|procedure| {
            let types = procedure.arguments.iter().map(|oid| format_type(DataType::of(*oid), environment));
            format!("function {}({})", procedure.name, types.collect::<Vec<_>>().join(","))
        }),
        PG_CONSTRAINT => catalog.constraint(oid).map(|constraint| {
            let table = relation_name(environment, constraint.table);
            format!("constraint {} on table {table}", name::quote(&constraint.name))
        }),
        PG_STATISTIC_EXT => catalog
            .extended_statistics_numbered(oid)
            .map(|own| format!("statistics object {}", extended_statistics::shown(environment, own))),
        PG_REWRITE => {
            let view = oid & !RULE_OF_VIEW;
            relation_word(environment, view)
                .map(|word| format!("rule _RETURN on {word} {}", relation_name(environment, view)))
        }
        1260 => catalog.role(oid).map(|role| format!("role {}", name::quote(&role.name))),
        _ => None,
    };
    found.map_or(Datum::Null, Datum::text)
}

/// The word for a relation's kind.
pub(super) fn relation_word(environment: &Environment, oid: Oid) -> Option<&'static str> {
    let catalog = &environment.catalog;
    Some(match () {
        () if catalog.table(oid).is_some_and(|entry| entry.table.materialized.is_some()) => {
            "materialized view"
        }
        () if catalog.table(oid).is_some() => "table",
        () if catalog.index(oid).is_some() => "index",
        () if catalog.view(oid).is_some() => "view",
        () if catalog.sequence(oid).is_some() => "sequence",
        () => match super::with_oid(oid)?.kind {
            b'v' => "view",
            _ => "table",
        },
    })
}
