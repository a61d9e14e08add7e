//! The casts of pg_cast and their functions.

use super::cast::{CastContext, CastMethod};
use super::registry::{Entry, Registry};
use super::vector::{unary_entry, wrong_arguments};
use super::{EvalContext, ScalarKernel};
use crate::error::{Result, SqlError, SqlState};
use crate::types::datetime::calendar::{
    MICROS_PER_DAY, date_beyond_timestamps, date_to_timestamp, is_infinite, is_timestamp, split_timestamp,
    timestamp_out_of_range, timestamp_to_date,
};
use crate::types::datetime::zone;
use crate::types::oids::{
    BOOL, BPCHAR, CHAR, DATE, FLOAT4, FLOAT8, INT2, INT4, INT8, INTERVAL, NAME, NUMERIC, OID, PG_NODE_TREE,
    TEXT, TIME, TIMESTAMP, TIMESTAMPTZ, TIMETZ, VARCHAR,
};
use crate::types::text::fit_name;
use crate::types::{Oid, oids};
use crate::value::{Column, ColumnData, Datum, Interval, Numeric, Text, TextData};
use CastContext::{Assignment, Explicit, Implicit};

/// 22003, as reading the number's text would give it.
fn out_of_float_range(value: &Numeric, name: &str) -> SqlError {
    SqlError::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("\"{value}\" is out of range for type {name}"),
    )
}

fn add(registry: &mut Registry, source: Oid, target: Oid, context: CastContext, entry: Entry) {
    let function = registry.add(entry);
    registry.add_cast(source, target, context, CastMethod::Function(function));
}

/// A cast whose function takes values one by one.
fn scalar(
    registry: &mut Registry,
    name: &'static str,
    source: Oid,
    target: Oid,
    context: CastContext,
    kernel: ScalarKernel,
) {
    add(registry, source, target, context, Entry::new(name, &[source], target, kernel));
}

fn range_error<T>(type_name: &'static str) -> impl Fn(&T) -> SqlError {
    move |_| SqlError::out_of_range(type_name)
}

fn never<T>(_: &T) -> SqlError {
    wrong_arguments()
}

/// A float rounded to the nearest integer, ties to even, where it lies within the type.
fn float_to_integer<T: TryFrom<i64> + Default>(value: f64) -> (T, bool) {
    let rounded = value.round_ties_even();
    // 2^63 itself is the first double beyond.
    if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&rounded) {
        return (T::default(), true);
    }
    T::try_from(rounded as i64).map_or((T::default(), true), |value| (value, false))
}

macro_rules! integer_casts {
    ($registry:expr, $variant:ident, $oid:expr, $native:ty, $name:literal, $sql_name:literal) => {{
        add($registry, $oid, FLOAT4, Implicit,
            unary_entry!("float4", [$oid] -> FLOAT4, $variant => Float32, |v: &$native| (*v as f32, false), never).infallible());
        add($registry, $oid, FLOAT8, Implicit,
            unary_entry!("float8", [$oid] -> FLOAT8, $variant => Float64, |v: &$native| (*v as f64, false), never).infallible());
        add($registry, $oid, NUMERIC, Implicit,
            unary_entry!("numeric", [$oid] -> NUMERIC, $variant => Numeric, |v: &$native| (Numeric::from(*v), false), never)
                .infallible());
        add($registry, FLOAT4, $oid, Assignment,
            unary_entry!($name, [FLOAT4] -> $oid, Float32 => $variant,
                |v: &f32| float_to_integer::<$native>(f64::from(*v)), range_error($sql_name)));
        add($registry, FLOAT8, $oid, Assignment,
            unary_entry!($name, [FLOAT8] -> $oid, Float64 => $variant,
                |v: &f64| float_to_integer::<$native>(*v), range_error($sql_name)));
        scalar($registry, $name, NUMERIC, $oid, Assignment, |arguments, _| {
            let [Datum::Numeric(value)] = arguments else { return Err(wrong_arguments()) };
            if !value.is_finite() {
                let shown = if value.is_nan() { "NaN" } else { "infinity" };
                return Err(SqlError::unsupported(format!(concat!("cannot convert {} to ", $sql_name), shown)));
            }
            let integer = value.to_i128().and_then(|value| <$native>::try_from(value).ok());
            integer.map(Datum::$variant).ok_or_else(|| SqlError::out_of_range($sql_name))
        });
    }};
}

macro_rules! integer_to_integer {
    ($registry:expr, $from:ident: $source:expr => $to:ident: $target:expr, $from_native:ty, $native:ty, $context:expr,
     $name:literal, $sql_name:literal) => {
        add($registry, $source, $target, $context,
            unary_entry!($name, [$source] -> $target, $from => $to,
                |v: &$from_native| <$native>::try_from(*v).map_or((0, true), |v| (v, false)), range_error($sql_name)))
    };
}

fn numbers(registry: &mut Registry) {
    integer_casts!(registry, Int16, INT2, i16, "int2", "smallint");
    integer_casts!(registry, Int32, INT4, i32, "int4", "integer");
    integer_casts!(registry, Int64, INT8, i64, "int8", "bigint");
    integer_to_integer!(registry, Int16: INT2 => Int32: INT4, i16, i32, Implicit, "int4", "integer");
    integer_to_integer!(registry, Int16: INT2 => Int64: INT8, i16, i64, Implicit, "int8", "bigint");
    integer_to_integer!(registry, Int32: INT4 => Int64: INT8, i32, i64, Implicit, "int8", "bigint");
    integer_to_integer!(registry, Int32: INT4 => Int16: INT2, i32, i16, Assignment, "int2", "smallint");
    integer_to_integer!(registry, Int64: INT8 => Int16: INT2, i64, i16, Assignment, "int2", "smallint");
    integer_to_integer!(registry, Int64: INT8 => Int32: INT4, i64, i32, Assignment, "int4", "integer");
    add(registry, FLOAT4, FLOAT8, Implicit,
        unary_entry!("float8", [FLOAT4] -> FLOAT8, Float32 => Float64, |v: &f32| (f64::from(*v), false), never).infallible());
    add(
        registry,
        FLOAT8,
        FLOAT4,
        Assignment,
        unary_entry!("float4", [FLOAT8] -> FLOAT4, Float64 => Float32,
            |v: &f64| {
                let narrow = *v as f32;
                (narrow, (narrow.is_infinite() && !v.is_infinite()) || (narrow == 0.0 && *v != 0.0))
            },
            |v: &f64| float_flow(*v)),
    );
    add(
        registry,
        NUMERIC,
        FLOAT8,
        Implicit,
        unary_entry!("float8", [NUMERIC] -> FLOAT8, Numeric => Float64,
            |v: &Numeric| {
                let float = v.to_f64();
                (float, (float.is_infinite() && v.is_finite()) || (float == 0.0 && *v != Numeric::ZERO))
            },
            |v: &Numeric| out_of_float_range(v, "double precision")),
    );
    add(
        registry,
        NUMERIC,
        FLOAT4,
        Implicit,
        unary_entry!("float4", [NUMERIC] -> FLOAT4, Numeric => Float32,
            |v: &Numeric| {
                let float = v.to_f64() as f32;
                (float, (float.is_infinite() && v.is_finite()) || (float == 0.0 && *v != Numeric::ZERO))
            },
            |v: &Numeric| out_of_float_range(v, "real")),
    );
    scalar(registry, "numeric", FLOAT4, NUMERIC, Assignment, |arguments, _| {
        let [Datum::Float32(value)] = arguments else { return Err(wrong_arguments()) };
        Numeric::from_f32(*value).map(Datum::Numeric)
    });
    scalar(registry, "numeric", FLOAT8, NUMERIC, Assignment, |arguments, _| {
        let [Datum::Float64(value)] = arguments else { return Err(wrong_arguments()) };
        Numeric::from_f64(*value).map(Datum::Numeric)
    });
    scalar(registry, "bool", INT4, BOOL, Explicit, |arguments, _| {
        let [Datum::Int32(value)] = arguments else { return Err(wrong_arguments()) };
        Ok(Datum::Bool(*value != 0))
    });
    scalar(registry, "int4", BOOL, INT4, Explicit, |arguments, _| {
        let [Datum::Bool(value)] = arguments else { return Err(wrong_arguments()) };
        Ok(Datum::Int32(i32::from(*value)))
    });
}

/// The error of a double that no REAL holds.
fn float_flow(value: f64) -> SqlError {
    let what = if value.abs() < 1.0 { "underflow" } else { "overflow" };
    SqlError::new(crate::error::SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("value out of range: {what}"))
}

/// Any integer kind or OID to OID.
fn to_oid(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    match arguments {
        [Datum::Oid(oid)] => Ok(Datum::Oid(*oid)),
        [Datum::Int16(value)] => Ok(Datum::Oid(i32::from(*value) as u32)),
        [Datum::Int32(value)] => Ok(Datum::Oid(*value as u32)),
        [Datum::Int64(value)] => {
            u32::try_from(*value).map(Datum::Oid).map_err(|_| SqlError::out_of_range("OID"))
        }
        _ => Err(wrong_arguments()),
    }
}

const REGISTERED: [Oid; 11] = [
    oids::REGPROC,
    oids::REGPROCEDURE,
    oids::REGOPER,
    oids::REGOPERATOR,
    oids::REGCLASS,
    oids::REGTYPE,
    oids::REGCONFIG,
    oids::REGNAMESPACE,
    oids::REGROLE,
    oids::REGCOLLATION,
    OID,
];

fn identifiers(registry: &mut Registry) {
    for target in REGISTERED {
        for source in [INT2, INT4, INT8] {
            scalar(registry, "oid", source, target, Implicit, to_oid);
        }
        scalar(registry, "int8", target, INT8, Assignment, |arguments, _| {
            let [Datum::Oid(oid)] = arguments else { return Err(wrong_arguments()) };
            Ok(Datum::Int64(i64::from(*oid)))
        });
        scalar(registry, "int4", target, INT4, Assignment, |arguments, _| {
            let [Datum::Oid(oid)] = arguments else { return Err(wrong_arguments()) };
            Ok(Datum::Int32(*oid as i32))
        });
        if target != OID {
            registry.add_cast(target, OID, Implicit, CastMethod::Binary);
            registry.add_cast(OID, target, Implicit, CastMethod::Binary);
        }
    }
    for (left, right) in [(oids::REGPROC, oids::REGPROCEDURE), (oids::REGOPER, oids::REGOPERATOR)] {
        registry.add_cast(left, right, Implicit, CastMethod::Binary);
        registry.add_cast(right, left, Implicit, CastMethod::Binary);
    }
    for source in [TEXT, VARCHAR] {
        let entry = Entry::new("regclass", &[source], oids::REGCLASS, |arguments, context| {
            let [Datum::Text(name)] = arguments else { return Err(wrong_arguments()) };
            // A number is no name of a relation here, as it is in a literal.
            if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
                let message = format!("relation \"{name}\" does not exist");
                return Err(SqlError::new(SqlState::UNDEFINED_TABLE, message));
            }
            context.type_info(oids::REGCLASS)?.parse_text(name, -1, context)
        });
        add(registry, source, oids::REGCLASS, Implicit, entry.stable());
    }
    scalar(registry, "xid", oids::XID8, oids::XID, Explicit, |arguments, _| {
        let [Datum::Int64(value)] = arguments else { return Err(wrong_arguments()) };
        Ok(Datum::Oid(*value as u32))
    });
}

/// A column of texts without the blanks at their ends.
fn trim_column(arguments: &[Column]) -> Result<Column> {
    let [column] = arguments else { return Err(wrong_arguments()) };
    let ColumnData::Text(texts) = column.data() else { return Err(wrong_arguments()) };
    let mut trimmed = TextData::default();
    (0..texts.len()).for_each(|at| trimmed.push(texts.get(at).trim_end_matches(' ')));
    let result = Column::new(ColumnData::Text(trimmed), column.validity().cloned());
    Ok(if column.is_constant() { result.into_constant(column.len()) } else { result })
}

fn strings(registry: &mut Registry) {
    let trimmed: ScalarKernel = |arguments, _| {
        let [Datum::Text(text)] = arguments else { return Err(wrong_arguments()) };
        Ok(Datum::text(text.trim_end_matches(' ')))
    };
    for target in [TEXT, VARCHAR] {
        let entry =
            Entry::new("text", &[BPCHAR], target, trimmed).vectorized(|arguments, _| trim_column(arguments));
        add(registry, BPCHAR, target, Implicit, entry);
    }
    for (source, target, context) in [
        (VARCHAR, TEXT, Implicit),
        (VARCHAR, BPCHAR, Implicit),
        (TEXT, VARCHAR, Implicit),
        (TEXT, BPCHAR, Implicit),
        (PG_NODE_TREE, TEXT, Implicit),
        (NAME, TEXT, Implicit),
        (NAME, BPCHAR, Assignment),
        (NAME, VARCHAR, Assignment),
    ] {
        registry.add_cast(source, target, context, CastMethod::Binary);
    }
    for source in [TEXT, VARCHAR, BPCHAR] {
        scalar(registry, "name", source, NAME, Implicit, |arguments, _| {
            let [Datum::Text(text)] = arguments else { return Err(wrong_arguments()) };
            Ok(Datum::text(fit_name(text.trim_end_matches(' '))))
        });
        scalar(registry, "char", source, CHAR, Assignment, |arguments, _| {
            let [Datum::Text(text)] = arguments else { return Err(wrong_arguments()) };
            Ok(Datum::Char(text.as_bytes().first().copied().unwrap_or(0)))
        });
    }
    for (target, context) in [(TEXT, Implicit), (VARCHAR, Assignment), (BPCHAR, Assignment)] {
        scalar(registry, "text", CHAR, target, context, |arguments, context| {
            let [value @ Datum::Char(_)] = arguments else { return Err(wrong_arguments()) };
            context.to_text(value, CHAR).map(Datum::Text)
        });
        scalar(registry, "text", BOOL, target, Assignment, |arguments, _| {
            let [Datum::Bool(value)] = arguments else { return Err(wrong_arguments()) };
            Ok(Datum::Text(Text::new_static(if *value { "true" } else { "false" })))
        });
    }
    scalar(registry, "int4", CHAR, INT4, Explicit, |arguments, _| {
        let [Datum::Char(byte)] = arguments else { return Err(wrong_arguments()) };
        Ok(Datum::Int32(i32::from(*byte as i8)))
    });
    scalar(registry, "char", INT4, CHAR, Explicit, |arguments, _| {
        let [Datum::Int32(value)] = arguments else { return Err(wrong_arguments()) };
        let byte = i8::try_from(*value).map_err(|_| SqlError::out_of_range("\"char\""))?;
        Ok(Datum::Char(byte as u8))
    });
}

/// A local timestamp as an instant of the session's zone.
pub(super) fn to_instant(local: i64, context: &EvalContext<'_>) -> Result<i64> {
    if is_infinite(local) {
        return Ok(local);
    }
    let instant = zone::local_to_instant(&context.settings.time_zone, local);
    instant.filter(|instant| is_timestamp(*instant)).ok_or_else(timestamp_out_of_range)
}

/// An instant as the session's local timestamp.
pub(super) fn to_local(instant: i64, context: &EvalContext<'_>) -> i64 {
    if is_infinite(instant) { instant } else { zone::instant_to_local(&context.settings.time_zone, instant) }
}

fn moments(registry: &mut Registry) {
    scalar(registry, "timestamp", DATE, TIMESTAMP, Implicit, |arguments, _| {
        let [Datum::Date(date)] = arguments else { return Err(wrong_arguments()) };
        date_to_timestamp(*date).map(Datum::Timestamp)
    });
    scalar(registry, "date", TIMESTAMP, DATE, Assignment, |arguments, _| {
        let [Datum::Timestamp(value)] = arguments else { return Err(wrong_arguments()) };
        Ok(Datum::Date(timestamp_to_date(*value)))
    });
    scalar(registry, "time", TIMESTAMP, TIME, Assignment, |arguments, _| {
        let [Datum::Timestamp(value)] = arguments else { return Err(wrong_arguments()) };
        Ok(if is_infinite(*value) { Datum::Null } else { Datum::Time(split_timestamp(*value).1) })
    });
    scalar(registry, "time", INTERVAL, TIME, Assignment, |arguments, _| {
        let [Datum::Interval(value)] = arguments else { return Err(wrong_arguments()) };
        Ok(Datum::Time(value.micros.rem_euclid(MICROS_PER_DAY)))
    });
    scalar(registry, "interval", TIME, INTERVAL, Implicit, |arguments, _| {
        let [Datum::Time(value)] = arguments else { return Err(wrong_arguments()) };
        Ok(Datum::Interval(Interval { months: 0, days: 0, micros: *value }))
    });
    scalar(registry, "time", TIMETZ, TIME, Assignment, |arguments, _| {
        let [Datum::TimeTz(value, _)] = arguments else { return Err(wrong_arguments()) };
        Ok(Datum::Time(*value))
    });
    let mut stable = |name: &'static str, source, target, context, kernel: ScalarKernel| {
        add(registry, source, target, context, Entry::new(name, &[source], target, kernel).stable());
    };
    stable("timestamptz", DATE, TIMESTAMPTZ, Implicit, |arguments, context| {
        let [Datum::Date(date)] = arguments else { return Err(wrong_arguments()) };
        to_instant(date_to_timestamp(*date)?, context)
            .map(Datum::TimestampTz)
            .map_err(|_| date_beyond_timestamps())
    });
    stable("timestamptz", TIMESTAMP, TIMESTAMPTZ, Implicit, |arguments, context| {
        let [Datum::Timestamp(value)] = arguments else { return Err(wrong_arguments()) };
        to_instant(*value, context).map(Datum::TimestampTz)
    });
    stable("timestamp", TIMESTAMPTZ, TIMESTAMP, Assignment, |arguments, context| {
        let [Datum::TimestampTz(value)] = arguments else { return Err(wrong_arguments()) };
        Ok(Datum::Timestamp(to_local(*value, context)))
    });
    stable("date", TIMESTAMPTZ, DATE, Assignment, |arguments, context| {
        let [Datum::TimestampTz(value)] = arguments else { return Err(wrong_arguments()) };
        Ok(Datum::Date(timestamp_to_date(to_local(*value, context))))
    });
    stable("time", TIMESTAMPTZ, TIME, Assignment, |arguments, context| {
        let [Datum::TimestampTz(value)] = arguments else { return Err(wrong_arguments()) };
        Ok(if is_infinite(*value) {
            Datum::Null
        } else {
            Datum::Time(split_timestamp(to_local(*value, context)).1)
        })
    });
    stable("timetz", TIMESTAMPTZ, TIMETZ, Assignment, |arguments, context| {
        let [Datum::TimestampTz(value)] = arguments else { return Err(wrong_arguments()) };
        if is_infinite(*value) {
            return Ok(Datum::Null);
        }
        let west = -zone::offset_at(&context.settings.time_zone, *value);
        Ok(Datum::TimeTz(split_timestamp(to_local(*value, context)).1, west))
    });
    stable("timetz", TIME, TIMETZ, Implicit, |arguments, context| {
        let [Datum::Time(value)] = arguments else { return Err(wrong_arguments()) };
        let west = -zone::offset_at(&context.settings.time_zone, context.transaction_timestamp);
        Ok(Datum::TimeTz(*value, west))
    });
}

pub(super) fn register(registry: &mut Registry) {
    numbers(registry);
    identifiers(registry);
    strings(registry);
    moments(registry);
}
