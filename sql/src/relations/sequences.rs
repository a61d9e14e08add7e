//! Sequences: pg_sequence, pg_sequences, information_schema.sequences.

use super::information_schema::is_shown;
use super::relation::{MakeRows, RelationRows, VirtualRelation, oid, text};
use super::schema_objects::schema_name;
use super::standard_rights::owner_name;
use crate::catalog::{Rights, Sequence};
use crate::error::Result;
use crate::execute::Environment;
use crate::rights::relation as secured_relation;
use crate::types::{BuiltinTypes, DataType, format_type, oids};
use crate::value::Datum;

pub const MAKERS: &[(&str, MakeRows)] = &[
    ("pg_sequence", sequences),
    ("pg_sequences", sequence_views),
    ("information_schema.sequences", standard_sequences),
];

fn sequences(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let row = |sequence: &Sequence| {
        let limits = &sequence.limits;
        relation.row(&[
            ("seqrelid", oid(sequence.oid)),
            ("seqtypid", oid(sequence.type_oid)),
            ("seqstart", Datum::Int64(sequence.start)),
            ("seqincrement", Datum::Int64(limits.increment)),
            ("seqmax", Datum::Int64(limits.maximum)),
            ("seqmin", Datum::Int64(limits.minimum)),
            ("seqcache", Datum::Int64(sequence.cache)),
            ("seqcycle", Datum::Bool(limits.cycle)),
        ])
    };
    Ok(environment.catalog.sequences().map(|sequence| row(sequence)).collect())
}

fn sequence_views(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let actor = environment.actor();
    let may_read = |sequence: &Sequence| {
        let wanted = Rights::SELECT.with(Rights::USAGE);
        let secured = secured_relation(&environment.catalog, sequence.oid);
        secured.is_some_and(|secured| !actor.rights(&secured, wanted).is_empty())
    };
    let row = |sequence: &Sequence| {
        let limits = &sequence.limits;
        let position = environment.sequences.position(sequence);
        relation.row(&[
            ("schemaname", text(schema_name(environment, sequence.schema))),
            ("sequencename", text(&sequence.name)),
            ("sequenceowner", owner_name(environment, sequence.owner)),
            ("data_type", oid(sequence.type_oid)),
            ("start_value", Datum::Int64(sequence.start)),
            ("min_value", Datum::Int64(limits.minimum)),
            ("max_value", Datum::Int64(limits.maximum)),
            ("increment_by", Datum::Int64(limits.increment)),
            ("cycle", Datum::Bool(limits.cycle)),
            ("cache_size", Datum::Int64(sequence.cache)),
            (
                "last_value",
                if position.is_called && may_read(sequence) {
                    Datum::Int64(position.last)
                } else {
                    Datum::Null
                },
            ),
        ])
    };
    Ok(environment.catalog.sequences().map(|sequence| row(sequence)).collect())
}

fn standard_sequences(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let is_internal = |sequence: &Sequence| sequence.owned_by.is_some_and(|owner| owner.is_identity);
    let row = |sequence: &Sequence| {
        let bits = match sequence.type_oid {
            oids::INT2 => 16,
            oids::INT4 => 32,
            _ => 64,
        };
        relation.row(&[
            ("sequence_catalog", text(&environment.database)),
            ("sequence_schema", text(schema_name(environment, sequence.schema))),
            ("sequence_name", text(&sequence.name)),
            ("data_type", text(format_type(DataType::of(sequence.type_oid), &BuiltinTypes))),
            ("numeric_precision", Datum::Int32(bits)),
            ("numeric_precision_radix", Datum::Int32(2)),
            ("numeric_scale", Datum::Int32(0)),
            ("start_value", text(sequence.start.to_string())),
            ("minimum_value", text(sequence.limits.minimum.to_string())),
            ("maximum_value", text(sequence.limits.maximum.to_string())),
            ("increment", text(sequence.limits.increment.to_string())),
            ("cycle_option", text(if sequence.limits.cycle { "YES" } else { "NO" })),
        ])
    };
    let actor = environment.actor();
    let shown = environment.catalog.sequences().filter(|sequence| !is_internal(sequence));
    let shown = shown.filter(|sequence| is_shown(environment, &actor, sequence.oid));
    Ok(shown.map(|sequence| row(sequence)).collect())
}
