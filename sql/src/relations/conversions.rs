//! Between which encodings there are conversions: pg_conversion. They are built in, so nobody can call their functions.

use super::relation::{MakeRows, RelationRows, VirtualRelation, oid, text};
use crate::catalog::{PG_CATALOG, SUPERUSER};
use crate::encoding::{Conversion, conversions};
use crate::error::Result;
use crate::execute::Environment;
use crate::value::Datum;

pub const MAKERS: &[(&str, MakeRows)] = &[("pg_conversion", rows)];

fn rows(_: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let row = |each: Conversion| {
        relation.row(&[
            ("oid", oid(each.oid)),
            ("conname", text(each.name)),
            ("connamespace", oid(PG_CATALOG)),
            ("conowner", oid(SUPERUSER)),
            ("conforencoding", Datum::Int32(each.from)),
            ("contoencoding", Datum::Int32(each.to)),
            ("conproc", oid(each.function)),
            ("condefault", Datum::Bool(true)),
        ])
    };
    Ok(conversions().map(row).collect())
}
