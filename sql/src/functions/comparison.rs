//! `= <> < <= > >=` for every type that has an order: one entry for each pair of types, all infallible.
//!
//! Integers, floats, numerics, dates and text have vectorized kernels; the rest goes value by value through the
//! one order of stored values. Dates and timestamps compare across types as if converted.

use super::registry::{Entry, Registry};
use super::vector::{binary_entry, binary_text, wrong_arguments};
use super::{CallTypes, EvalContext};
use crate::error::{Result, SqlError, SqlState};
use crate::types::datetime::calendar::date_to_timestamp;
use crate::types::datetime::zone;
use crate::types::{DataType, Oid, format_type, oids};
use crate::value::{ColumnData, Datum, compare_values};
use std::cmp::Ordering;

/// The error that no comparison raises.
fn never<L, R>(_: &L, _: &R) -> SqlError {
    wrong_arguments()
}

/// The six operators over a pair of kinds; `$order` compares two values.
macro_rules! vectorized {
    ($registry:expr, $prefix:literal, $left:ident: $left_type:expr, $right:ident: $right_type:expr, $order:expr) => {{
        vectorized!(@one $registry, "=", concat!($prefix, "eq"), $left: $left_type, $right: $right_type, |l, r| $order(l, r).is_eq());
        vectorized!(@one $registry, "<>", concat!($prefix, "ne"), $left: $left_type, $right: $right_type, |l, r| $order(l, r).is_ne());
        vectorized!(@one $registry, "<", concat!($prefix, "lt"), $left: $left_type, $right: $right_type, |l, r| $order(l, r).is_lt());
        vectorized!(@one $registry, "<=", concat!($prefix, "le"), $left: $left_type, $right: $right_type, |l, r| $order(l, r).is_le());
        vectorized!(@one $registry, ">", concat!($prefix, "gt"), $left: $left_type, $right: $right_type, |l, r| $order(l, r).is_gt());
        vectorized!(@one $registry, ">=", concat!($prefix, "ge"), $left: $left_type, $right: $right_type, |l, r| $order(l, r).is_ge());
    }};
    (@one $registry:expr, $operator:literal, $name:expr, $left:ident: $left_type:expr, $right:ident: $right_type:expr,
     |$l:ident, $r:ident| $holds:expr) => {
        $registry.add_operator(
            $operator,
            binary_entry!($name, [$left_type, $right_type] -> oids::BOOL, $left, $right => Bool,
                |$l: &_, $r: &_| ($holds, false), never)
            .infallible(),
        );
    };
}

/// The six operators through a function that compares two datums.
macro_rules! by_value {
    ($registry:expr, $prefix:expr, $left_type:expr, $right_type:expr, $order:expr) => {{
        let entries: [(&'static str, &str, super::ScalarKernel); 6] = [
            ("=", "eq", |arguments, context| Ok(Datum::Bool($order(arguments, context)?.is_eq()))),
            ("<>", "ne", |arguments, context| Ok(Datum::Bool($order(arguments, context)?.is_ne()))),
            ("<", "lt", |arguments, context| Ok(Datum::Bool($order(arguments, context)?.is_lt()))),
            ("<=", "le", |arguments, context| Ok(Datum::Bool($order(arguments, context)?.is_le()))),
            (">", "gt", |arguments, context| Ok(Datum::Bool($order(arguments, context)?.is_gt()))),
            (">=", "ge", |arguments, context| Ok(Datum::Bool($order(arguments, context)?.is_ge()))),
        ];
        for (operator, suffix, kernel) in entries {
            let entry = Entry::new(named(&$prefix, suffix), &[$left_type, $right_type], oids::BOOL, kernel);
            $registry.add_operator(operator, entry.infallible());
        }
    }};
}

/// What a comparison is called: its word behind a prefix, or in place of `*`.
fn named(pattern: &str, word: &str) -> String {
    match (pattern, word) {
        // Older than the others.
        ("text_", "eq" | "ne") => format!("text{word}"),
        _ if pattern.contains('*') => pattern.replace('*', word),
        _ => format!("{pattern}{word}"),
    }
}

fn plain(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Ordering> {
    let [left, right] = arguments else { return Err(wrong_arguments()) };
    Ok(compare_values(left, right))
}

fn bpchar(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Ordering> {
    let [Datum::Text(left), Datum::Text(right)] = arguments else { return Err(wrong_arguments()) };
    Ok(left.trim_end_matches(' ').cmp(right.trim_end_matches(' ')))
}

/// Dates, timestamps and timestamps with zone as instants on one line; infinities keep their places.
fn moments(arguments: &[Datum], context: &EvalContext<'_>) -> Result<Ordering> {
    let [left, right] = arguments else { return Err(wrong_arguments()) };
    let zoned = matches!(left, Datum::TimestampTz(_)) || matches!(right, Datum::TimestampTz(_));
    let moment = |value: &Datum| -> Result<i64> {
        let local = match value {
            // Dates beyond the timestamps are past all of them.
            Datum::Date(date) => {
                date_to_timestamp(*date).unwrap_or(if *date > 0 { i64::MAX - 1 } else { i64::MIN + 1 })
            }
            Datum::Timestamp(local) => *local,
            Datum::TimestampTz(instant) => return Ok(*instant),
            _ => return Err(wrong_arguments()),
        };
        if !zoned || local <= i64::MIN + 1 || local >= i64::MAX - 1 {
            return Ok(local);
        }
        Ok(zone::local_to_instant(&context.settings.time_zone, local).unwrap_or(local))
    };
    Ok(moment(left)?.cmp(&moment(right)?))
}

/// Comparison of rows, field by field until two differ, which must be of one type.
fn records(arguments: &[Datum], _: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Ordering> {
    rows_by(arguments, context, |data_type, left, right| context.compare(data_type, left, right))
}

/// The same with values compared by `compare`, which is told their type; NULL comes last.
pub(super) fn rows_by(
    arguments: &[Datum],
    context: &EvalContext<'_>,
    compare: impl Fn(Oid, &Datum, &Datum) -> Ordering,
) -> Result<Ordering> {
    let [Datum::Record(left), Datum::Record(right)] = arguments else { return Err(wrong_arguments()) };
    let mismatch = |message: String| Err(SqlError::new(SqlState::DATATYPE_MISMATCH, message));
    for (at, (left, right)) in (1..).zip(left.named().zip(right.named())) {
        let (left_type, right_type) = (left.1, right.1);
        if left_type.oid != right_type.oid {
            let named = |data_type: DataType| format_type(DataType::of(data_type.oid), context.types);
            return mismatch(format!(
                "cannot compare dissimilar column types {} and {} at record column {at}",
                named(left_type),
                named(right_type)
            ));
        }
        let order = match (left.2.is_null(), right.2.is_null()) {
            (false, false) => compare(left_type.oid, left.2, right.2),
            (left, right) => left.cmp(&right),
        };
        if order.is_ne() {
            return Ok(order);
        }
    }
    if left.len() != right.len() {
        return mismatch("cannot compare record types with different numbers of columns".to_owned());
    }
    Ok(Ordering::Equal)
}

/// Comparison by the arguments' own type, for enums and arrays.
fn typed(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Ordering> {
    let ([left, right], [data_type, ..]) = (arguments, types.arguments) else {
        return Err(wrong_arguments());
    };
    Ok(context.compare(data_type.oid, left, right))
}

/// The six comparisons by a function that is told the types of its call.
macro_rules! by_type {
    ($registry:expr, $prefix:literal, $oid:expr, $compare:ident, $finish:expr) => {
        by_type!(@each $registry, $prefix, $oid, $compare, $finish;
            "=" "_eq" is_eq, "<>" "_ne" is_ne, "<" "_lt" is_lt, "<=" "_le" is_le, ">" "_gt" is_gt,
            ">=" "_ge" is_ge);
    };
    (@each $registry:expr, $prefix:literal, $oid:expr, $compare:ident, $finish:expr;
        $($operator:literal $suffix:literal $holds:ident),*) => {
        $({
            let kernel: super::TypedKernel = |arguments, types, context| {
                Ok(Datum::Bool($compare(arguments, types, context)?.$holds()))
            };
            let entry = Entry::typed(concat!($prefix, $suffix), &[$oid, $oid], oids::BOOL, kernel);
            $registry.add_operator($operator, $finish(entry));
        })*
    };
}

/// Text with text, text with name and so on: all in collation C.
fn add_text(registry: &mut Registry, prefix: &str, left: Oid, right: Oid) {
    macro_rules! entry {
        ($operator:literal, $suffix:literal, |$l:ident, $r:ident| $holds:expr) => {
            registry.add_operator(
                $operator,
                Entry::new(named(prefix, $suffix), &[left, right], oids::BOOL, |arguments, _| {
                    let [Datum::Text($l), Datum::Text($r)] = arguments else { return Err(wrong_arguments()) };
                    let ($l, $r) = ($l.as_str(), $r.as_str());
                    Ok(Datum::Bool($holds))
                })
                .vectorized(|arguments, _| {
                    Ok(binary_text(arguments, |$l, $r| $holds)?.into_column(ColumnData::Bool))
                })
                .infallible(),
            );
        };
    }
    entry!("=", "eq", |l, r| l == r);
    entry!("<>", "ne", |l, r| l != r);
    entry!("<", "lt", |l, r| l < r);
    entry!("<=", "le", |l, r| l <= r);
    entry!(">", "gt", |l, r| l > r);
    entry!(">=", "ge", |l, r| l >= r);
}

#[inline]
/// `=` over numbers of 32 bits, and `<>` where it has that too.
fn equality(registry: &mut Registry, prefix: &str, types: &[Oid; 2], with_inequality: bool) {
    fn same(arguments: &[Datum]) -> Result<bool> {
        let number = |argument: &Datum| match argument {
            Datum::Oid(number) => Ok(*number),
            Datum::Int32(number) => Ok(number.cast_unsigned()),
            _ => Err(super::vector::wrong_arguments()),
        };
        let [left, right] = arguments else { return Err(super::vector::wrong_arguments()) };
        Ok(number(left)? == number(right)?)
    }
    let suffix = if types[1] == oids::INT4 { "int4" } else { "" };
    let equal = Entry::new(format!("{prefix}eq{suffix}"), types, oids::BOOL, |arguments, _| {
        same(arguments).map(Datum::Bool)
    });
    registry.add_operator("=", equal);
    if with_inequality {
        let entry = Entry::new(format!("{prefix}neq{suffix}"), types, oids::BOOL, |arguments, _| {
            same(arguments).map(|same| Datum::Bool(!same))
        });
        registry.add_operator("<>", entry);
    }
}

fn float_order(left: f64, right: f64) -> Ordering {
    crate::value::compare_floats(left, right)
}

pub(super) fn register(registry: &mut Registry) {
    use oids::{BOOL, DATE, FLOAT4, FLOAT8, INT2, INT4, INT8, NUMERIC, TIME, TIMESTAMP, TIMESTAMPTZ};
    fn same<T: Ord>(left: &T, right: &T) -> Ordering {
        left.cmp(right)
    }
    vectorized!(registry, "int2", Int16: INT2, Int16: INT2, same);
    vectorized!(registry, "int4", Int32: INT4, Int32: INT4, same);
    vectorized!(registry, "int8", Int64: INT8, Int64: INT8, same);
    vectorized!(registry, "int24", Int16: INT2, Int32: INT4, |l: &i16, r: &i32| i32::from(*l).cmp(r));
    vectorized!(registry, "int42", Int32: INT4, Int16: INT2, |l: &i32, r: &i16| l.cmp(&i32::from(*r)));
    vectorized!(registry, "int28", Int16: INT2, Int64: INT8, |l: &i16, r: &i64| i64::from(*l).cmp(r));
    vectorized!(registry, "int82", Int64: INT8, Int16: INT2, |l: &i64, r: &i16| l.cmp(&i64::from(*r)));
    vectorized!(registry, "int48", Int32: INT4, Int64: INT8, |l: &i32, r: &i64| i64::from(*l).cmp(r));
    vectorized!(registry, "int84", Int64: INT8, Int32: INT4, |l: &i64, r: &i32| l.cmp(&i64::from(*r)));
    vectorized!(registry, "float4", Float32: FLOAT4, Float32: FLOAT4,
        |l: &f32, r: &f32| float_order(f64::from(*l), f64::from(*r)));
    vectorized!(registry, "float8", Float64: FLOAT8, Float64: FLOAT8, |l: &f64, r: &f64| float_order(*l, *r));
    vectorized!(registry, "float48", Float32: FLOAT4, Float64: FLOAT8,
        |l: &f32, r: &f64| float_order(f64::from(*l), *r));
    vectorized!(registry, "float84", Float64: FLOAT8, Float32: FLOAT4,
        |l: &f64, r: &f32| float_order(*l, f64::from(*r)));
    vectorized!(registry, "numeric_", Numeric: NUMERIC, Numeric: NUMERIC, same);
    vectorized!(registry, "bool", Bool: BOOL, Bool: BOOL, same);
    vectorized!(registry, "date_", Date: DATE, Date: DATE, same);
    vectorized!(registry, "time_", Time: TIME, Time: TIME, same);
    vectorized!(registry, "timestamp_", Timestamp: TIMESTAMP, Timestamp: TIMESTAMP, same);
    vectorized!(registry, "timestamptz_", TimestampTz: TIMESTAMPTZ, TimestampTz: TIMESTAMPTZ, same);
    vectorized!(registry, "interval_", Interval: oids::INTERVAL, Interval: oids::INTERVAL, same);
    vectorized!(registry, "uuid_", Uuid: oids::UUID, Uuid: oids::UUID, same);
    vectorized!(registry, "oid", Oid: oids::OID, Oid: oids::OID, same);
    vectorized!(registry, "char", Char: oids::CHAR, Char: oids::CHAR, same);
    add_text(registry, "text_", oids::TEXT, oids::TEXT);
    add_text(registry, "name", oids::NAME, oids::NAME);
    add_text(registry, "name*text", oids::NAME, oids::TEXT);
    add_text(registry, "text*name", oids::TEXT, oids::NAME);
    by_value!(registry, "bpchar", oids::BPCHAR, oids::BPCHAR, bpchar);
    by_value!(registry, "bytea", oids::BYTEA, oids::BYTEA, plain);
    by_value!(registry, "network_", oids::INET, oids::INET, plain);
    by_value!(registry, "macaddr_", oids::MACADDR, oids::MACADDR, plain);
    by_value!(registry, "bit", oids::BIT, oids::BIT, plain);
    by_value!(registry, "varbit", oids::VARBIT, oids::VARBIT, plain);
    by_value!(registry, "jsonb_", oids::JSONB, oids::JSONB, plain);
    by_value!(registry, "timetz_", oids::TIMETZ, oids::TIMETZ, plain);
    by_value!(registry, "xid8", oids::XID8, oids::XID8, plain);
    by_value!(registry, "tid", oids::TID, oids::TID, plain);
    by_value!(registry, "pg_lsn_", oids::PG_LSN, oids::PG_LSN, plain);
    by_value!(registry, "cash_", oids::MONEY, oids::MONEY, plain);
    by_value!(registry, "macaddr8_", oids::MACADDR8, oids::MACADDR8, plain);
    // These go round, so they have no order.
    equality(registry, "xid", &[oids::XID, oids::XID], true);
    equality(registry, "xid", &[oids::XID, oids::INT4], true);
    equality(registry, "cid", &[oids::CID, oids::CID], false);
    by_value!(registry, "oidvector", oids::OIDVECTOR, oids::OIDVECTOR, plain);
    let moment_types = [(DATE, "date"), (TIMESTAMP, "timestamp"), (TIMESTAMPTZ, "timestamptz")];
    for (left, left_name) in moment_types {
        for (right, right_name) in moment_types {
            if left != right {
                by_value!(registry, format!("{left_name}_*_{right_name}"), left, right, moments);
            }
        }
    }
    by_type!(registry, "enum", oids::ANYENUM, typed, Entry::infallible);
    by_type!(registry, "array", oids::ANYARRAY, typed, Entry::infallible);
    by_type!(registry, "range", oids::ANYRANGE, typed, Entry::infallible);
    by_type!(registry, "multirange", oids::ANYMULTIRANGE, typed, Entry::infallible);
    by_type!(registry, "record", oids::RECORD, records, std::convert::identity);
}
