//! What indexes and aggregates compare with, under the names that PostgreSQL gives it: the sign of a comparison (`btint4cmp`),
//! the larger and the smaller of two values; and the comparisons byte by byte, `~<~` and `*=`.

use std::cmp::Ordering;

use super::comparison::rows_by;
use super::registry::{Entry, Registry};
use super::vector::wrong_arguments;
use super::{CallTypes, EvalContext, ScalarKernel};
use crate::error::Result;
use crate::types::Oid;
use crate::types::oids::{
    ANYARRAY, BIT, BOOL, BPCHAR, BYTEA, CHAR, DATE, FLOAT4, FLOAT8, INET, INT2, INT4, INT8, INTERVAL, JSONB,
    MACADDR, MACADDR8, MONEY, NAME, NUMERIC, OID, OIDVECTOR, RECORD, TEXT, TIME, TIMESTAMP, TIMESTAMPTZ,
    TIMETZ, UUID, XID8,
};
use crate::value::Datum;
use crate::value::encoding::encode;

/// What gives -1, 0 or 1, and the type whose values it compares.
const SIGNS: [(&str, Oid); 28] = [
    ("bitcmp", BIT),
    ("bpcharcmp", BPCHAR),
    ("btarraycmp", ANYARRAY),
    ("btboolcmp", BOOL),
    ("btcharcmp", CHAR),
    ("btfloat4cmp", FLOAT4),
    ("btfloat8cmp", FLOAT8),
    ("btint2cmp", INT2),
    ("btint4cmp", INT4),
    ("btint8cmp", INT8),
    ("btnamecmp", NAME),
    ("btoidcmp", OID),
    ("btoidvectorcmp", OIDVECTOR),
    ("bttextcmp", TEXT),
    ("byteacmp", BYTEA),
    ("cash_cmp", MONEY),
    ("date_cmp", DATE),
    ("interval_cmp", INTERVAL),
    ("jsonb_cmp", JSONB),
    ("macaddr8_cmp", MACADDR8),
    ("macaddr_cmp", MACADDR),
    ("network_cmp", INET),
    ("numeric_cmp", NUMERIC),
    ("time_cmp", TIME),
    ("timestamp_cmp", TIMESTAMP),
    ("timestamptz_cmp", TIMESTAMPTZ),
    ("timetz_cmp", TIMETZ),
    ("uuid_cmp", UUID),
];

/// What is before `larger` and `smaller`.
const EXTREMES: [(&str, Oid); 17] = [
    ("array_", ANYARRAY),
    ("bpchar_", BPCHAR),
    ("date_", DATE),
    ("float4", FLOAT4),
    ("float8", FLOAT8),
    ("int2", INT2),
    ("int4", INT4),
    ("int8", INT8),
    ("interval_", INTERVAL),
    ("network_", INET),
    ("numeric_", NUMERIC),
    ("oid", OID),
    ("text_", TEXT),
    ("time_", TIME),
    ("timestamp_", TIMESTAMP),
    ("timestamptz_", TIMESTAMPTZ),
    ("timetz_", TIMETZ),
];

fn order(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Ordering> {
    let ([left, right], [data_type, ..]) = (arguments, types.arguments) else {
        return Err(wrong_arguments());
    };
    Ok(context.compare(data_type.oid, left, right))
}

fn sign(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    Ok(Datum::Int32(order(arguments, types, context)? as i32))
}

/// The second of two equal ones, as in PostgreSQL.
fn extreme(
    arguments: &[Datum],
    types: &CallTypes<'_>,
    context: &EvalContext<'_>,
    wanted: Ordering,
) -> Result<Datum> {
    Ok(arguments[usize::from(order(arguments, types, context)? != wanted)].clone())
}

fn larger(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    extreme(arguments, types, context, Ordering::Greater)
}

fn smaller(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    extreme(arguments, types, context, Ordering::Less)
}

/// Texts by their bytes, whatever the collation; of padded ones without the padding.
fn bytes_order(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Ordering> {
    let [Datum::Text(left), Datum::Text(right)] = arguments else { return Err(wrong_arguments()) };
    Ok(left.as_bytes().cmp(right.as_bytes()))
}

fn padded_order(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Ordering> {
    let [Datum::Text(left), Datum::Text(right)] = arguments else { return Err(wrong_arguments()) };
    Ok(left.trim_end_matches(' ').as_bytes().cmp(right.trim_end_matches(' ').as_bytes()))
}

/// Rows by how their values are stored: equal where nothing tells them apart.
fn image_order(arguments: &[Datum], context: &EvalContext<'_>) -> Result<Ordering> {
    let image = |value: &Datum| {
        let mut bytes = Vec::new();
        encode(value, &mut bytes);
        bytes
    };
    rows_by(arguments, context, |_, left, right| image(left).cmp(&image(right)))
}

/// Comparisons through a function that orders two values.
macro_rules! compared {
    ($registry:expr, $prefix:literal, $oid:expr, $order:ident; $($operator:literal $word:literal $holds:ident),*) => {
        $({
            let kernel: ScalarKernel =
                |arguments, context| Ok(Datum::Bool($order(arguments, context)?.$holds()));
            let entry = Entry::new(concat!($prefix, $word), &[$oid, $oid], BOOL, kernel);
            $registry.add_operator($operator, entry);
        })*
    };
}

pub(super) fn register(registry: &mut Registry) {
    for (name, of) in SIGNS {
        registry.add(Entry::typed(name, &[of, of], INT4, sign));
    }
    registry.add(Entry::typed("xid8cmp", &[XID8, XID8], INT4, sign));
    for (name, of) in EXTREMES.into_iter().chain([("xid8_", XID8)]) {
        registry.add(Entry::typed(format!("{name}larger"), &[of, of], of, larger));
        registry.add(Entry::typed(format!("{name}smaller"), &[of, of], of, smaller));
    }
    compared!(registry, "text_pattern_", TEXT, bytes_order;
        "~<~" "lt" is_lt, "~<=~" "le" is_le, "~>=~" "ge" is_ge, "~>~" "gt" is_gt);
    compared!(registry, "bpchar_pattern_", BPCHAR, padded_order;
        "~<~" "lt" is_lt, "~<=~" "le" is_le, "~>=~" "ge" is_ge, "~>~" "gt" is_gt);
    compared!(registry, "record_image_", RECORD, image_order;
        "*=" "eq" is_eq, "*<>" "ne" is_ne, "*<" "lt" is_lt, "*<=" "le" is_le, "*>=" "ge" is_ge, "*>" "gt" is_gt);
    registry.add(Entry::new("bttext_pattern_cmp", &[TEXT, TEXT], INT4, |arguments, context| {
        bytes_order(arguments, context).map(|order| Datum::Int32(order as i32))
    }));
    registry.add(Entry::new("btbpchar_pattern_cmp", &[BPCHAR, BPCHAR], INT4, |arguments, context| {
        padded_order(arguments, context).map(|order| Datum::Int32(order as i32))
    }));
    registry.add(Entry::new("btrecordcmp", &[RECORD, RECORD], INT4, |arguments, context| {
        let order = rows_by(arguments, context, |of, left, right| context.compare(of, left, right));
        order.map(|order| Datum::Int32(order as i32))
    }));
    registry.add(Entry::new("btrecordimagecmp", &[RECORD, RECORD], INT4, |arguments, context| {
        image_order(arguments, context).map(|order| Datum::Int32(order as i32))
    }));
}
