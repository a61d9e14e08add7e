//! How aggregates are made of functions: pg_aggregate, with PostgreSQL's rows for the aggregates that it has too. They
//! are computed otherwise here: nobody calls the functions that it names, which tools look at.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::procedures::{self, ProcedureKind};
use super::relation::{MakeRows, RelationRows, VirtualRelation, letter, oid, text};
use crate::error::Result;
use crate::execute::Environment;
use crate::functions::registry;
use crate::types::{Oid, oids};
use crate::value::Datum;

pub const MAKERS: &[(&str, MakeRows)] = &[("pg_aggregate", aggregates)];

/// PostgreSQL's rows, one a line: the columns in their order, functions by OID, `-` for NULL.
const POSTGRESQL: &str = include_str!("aggregates.txt");

/// Their fields by the aggregate's OID.
static KNOWN: LazyLock<HashMap<Oid, Vec<&'static str>>> = LazyLock::new(|| {
    let fields = |line: &'static str| -> Option<(Oid, Vec<&'static str>)> {
        let fields: Vec<_> = line.split('|').collect();
        Some((fields.first()?.parse().ok()?, fields))
    };
    POSTGRESQL.lines().filter_map(fields).collect()
});

fn aggregates(_: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let aggregates = procedures::all().iter().filter(|each| each.kind == ProcedureKind::Aggregate);
    let row = |aggregate: &procedures::Procedure| match KNOWN.get(&aggregate.oid) {
        Some(fields) => relation
            .columns
            .iter()
            .zip(fields)
            .map(|((_, type_oid), field)| value(field, *type_oid))
            .collect(),
        None => own(aggregate, relation),
    };
    Ok(aggregates.map(row).collect())
}

/// Behind how many arguments of an aggregate those come that it is given sorted; `None` where none are.
pub fn direct_arguments(aggregate: &procedures::Procedure) -> Option<usize> {
    let fields = KNOWN.get(&aggregate.oid).filter(|_| aggregate.kind == ProcedureKind::Aggregate)?;
    let (kind, count) = (fields.get(1)?, fields.get(2)?);
    if *kind == "n" { None } else { count.parse().ok() }
}

fn value(field: &str, type_oid: Oid) -> Datum {
    match type_oid {
        oids::OID | oids::REGPROC => oid(field.parse().unwrap_or(0)),
        oids::INT2 => Datum::from(field.parse::<i16>().ok()),
        oids::INT4 => Datum::from(field.parse::<i32>().ok()),
        oids::BOOL => Datum::Bool(field == "t"),
        oids::CHAR => letter(field.bytes().next().unwrap_or(0)),
        _ if field == "-" => Datum::Null,
        _ => text(field),
    }
}

/// The row of an aggregate that PostgreSQL does not have: made of nothing.
fn own(aggregate: &procedures::Procedure, relation: &VirtualRelation) -> Vec<Datum> {
    let entries = registry().aggregates(&aggregate.name);
    let takes_sorted =
        entries.iter().any(|each| each.within_group && each.argument_types == aggregate.arguments);
    let known = [
        ("aggfnoid", oid(aggregate.oid)),
        ("aggkind", letter(if takes_sorted { b'o' } else { b'n' })),
        ("aggfinalmodify", letter(b'r')),
        ("aggmfinalmodify", letter(b'r')),
        ("aggtranstype", oid(oids::INTERNAL)),
    ];
    let nothing = |(name, type_oid): &(&'static str, Oid)| match *type_oid {
        oids::OID | oids::REGPROC => (*name, oid(0)),
        oids::INT2 | oids::INT4 => (*name, Datum::Int64(0)),
        oids::BOOL => (*name, Datum::Bool(false)),
        _ => (*name, Datum::Null),
    };
    let values: Vec<_> = known.into_iter().chain(relation.columns.iter().map(nothing)).collect();
    relation.row(&values)
}
