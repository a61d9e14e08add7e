//! Types as written in SQL.

use sqlparser::ast::{
    ArrayElemTypeDef, BinaryLength, CharacterLength, DataType as AstType, ExactNumberInfo, IntervalFields,
    TimezoneInfo,
};

use super::{name, parse_stable_name};
use crate::catalog::TypeScope;
use crate::error::{Result, SqlError, SqlState};
use crate::types::{BuiltinTypes, DataType, TypeCatalog, builtin_type, oids};

/// The longest `varchar(n)`.
const CHARACTERS_MAX: u64 = 10_485_760;

/// Resolves a type's name.
///
/// # Errors
/// 42704 for an unknown type, 22023 for a bad modifier.
pub fn resolve(data_type: &AstType, types: &TypeScope<'_>) -> Result<DataType> {
    use AstType as T;
    Ok(match data_type {
        T::SmallInt(_) | T::Int2(_) => DataType::INT2,
        T::Int(_) | T::Integer(_) | T::Int4(_) => DataType::INT4,
        T::BigInt(_) | T::Int8(_) => DataType::INT8,
        T::Real | T::Float4 => DataType::FLOAT4,
        T::Float(info) => float(info)?,
        T::Double(_) | T::DoublePrecision | T::Float8 => DataType::FLOAT8,
        T::Numeric(info) | T::Decimal(info) | T::Dec(info) => numeric(info)?,
        T::Text => DataType::TEXT,
        T::Varchar(length) | T::CharacterVarying(length) | T::CharVarying(length) => {
            match characters(length)? {
                None => DataType::VARCHAR,
                Some(length) => DataType::varchar(in_range(length, "varchar")?),
            }
        }
        T::Char(length) | T::Character(length) => {
            DataType::bpchar(in_range(characters(length)?.unwrap_or(1), "char")?)
        }
        T::Bool | T::Boolean => DataType::BOOL,
        T::Date => DataType::DATE,
        T::Time(precision, zone) => {
            let oid = if has_zone(zone) { oids::TIMETZ } else { oids::TIME };
            DataType { oid, typmod: precision_modifier(*precision) }
        }
        T::Timestamp(precision, zone) => {
            let oid = if has_zone(zone) { oids::TIMESTAMPTZ } else { oids::TIMESTAMP };
            DataType { oid, typmod: precision_modifier(*precision) }
        }
        T::Interval { fields, precision } => {
            DataType { oid: oids::INTERVAL, typmod: interval_modifier(fields.as_ref(), *precision) }
        }
        T::Uuid => DataType::UUID,
        T::JSON => DataType::JSON,
        T::JSONB => DataType::JSONB,
        T::Bytea | T::Blob(_) | T::Binary(_) => DataType::BYTEA,
        T::Varbinary(None | Some(BinaryLength::Max | BinaryLength::IntegerLength { .. })) => DataType::BYTEA,
        T::Regclass => DataType::REGCLASS,
        T::Bit(length) => {
            DataType { oid: oids::BIT, typmod: i32::try_from(length.unwrap_or(1)).unwrap_or(1) }
        }
        T::BitVarying(length) | T::VarBit(length) => DataType {
            oid: oids::VARBIT,
            typmod: length.map_or(-1, |length| i32::try_from(length).unwrap_or(i32::MAX)),
        },
        T::Array(ArrayElemTypeDef::SquareBracket(element, _) | ArrayElemTypeDef::Qualified(element, _)) => {
            array_of(resolve(element, types)?, types)?
        }
        T::Custom(object, modifiers) => custom(object, modifiers, types)?,
        other => named(&other.to_string().to_lowercase(), &[], types)?,
    })
}

/// The array type over a type.
///
/// # Errors
/// 42704 when there is none.
pub fn array_of(element: DataType, types: &TypeScope<'_>) -> Result<DataType> {
    match types.type_by_oid(element.oid) {
        Some(info) if info.array_oid != 0 => Ok(DataType { oid: info.array_oid, typmod: element.typmod }),
        // An array of arrays is an array with more dimensions.
        Some(info) if info.element().is_some() => Ok(element),
        _ => Err(SqlError::new(SqlState::UNDEFINED_OBJECT, "could not find array type for this data type")),
    }
}

/// What a column is called that is a cast to a type: its name in pg_type.
#[must_use]
pub fn catalog_name(data_type: &AstType) -> Option<String> {
    match data_type {
        AstType::Custom(object, _) if parse_stable_name(object).is_some() => {
            Some(name::split(object).ok()?.1)
        }
        AstType::Array(
            ArrayElemTypeDef::SquareBracket(element, _) | ArrayElemTypeDef::Qualified(element, _),
        ) => catalog_name(element),
        other => match resolve(other, TypeScope::builtin()) {
            Ok(found) => builtin_type(found.oid).map(|info| info.name.to_string()),
            Err(_) => match other {
                AstType::Custom(object, _) => Some(name::split(object).ok()?.1),
                _ => None,
            },
        },
    }
}

fn custom(
    object: &sqlparser::ast::ObjectName,
    modifiers: &[String],
    types: &TypeScope<'_>,
) -> Result<DataType> {
    if let Some((oid, ..)) = parse_stable_name(object) {
        return Ok(DataType::of(oid));
    }
    let (schema, base) = name::split(object)?;
    let found = match schema.as_deref() {
        // `"char"` in quotes is the one-byte type, `char` without them is `character`.
        None | Some("pg_catalog") => return named(&base, modifiers, types),
        Some(schema) => types.user_type_named(Some(schema), &base)?,
    };
    let shown = name::display(schema.as_deref(), &base);
    user_type(found.ok_or_else(|| unknown(&shown))?, &shown, modifiers)
}

/// A user's type, which has no modifiers.
fn user_type(oid: u32, shown: &str, modifiers: &[String]) -> Result<DataType> {
    if modifiers.is_empty() {
        return Ok(DataType::of(oid));
    }
    Err(SqlError::syntax(format!("type modifier is not allowed for type \"{shown}\"")))
}

fn named(name: &str, modifiers: &[String], types: &TypeScope<'_>) -> Result<DataType> {
    let catalog_name = match name {
        "int" | "integer" => "int4",
        "bigint" => "int8",
        "smallint" => "int2",
        "real" => "float4",
        "float" | "double precision" => "float8",
        "boolean" => "bool",
        "decimal" => "numeric",
        "blob" => "bytea",
        "datetime" => "timestamp",
        other => other,
    };
    if let Some(element) = catalog_name.strip_suffix("[]") {
        return array_of(named(element, modifiers, types)?, types);
    }
    let Some(info) = BuiltinTypes.type_by_name(catalog_name) else {
        let found = types.user_type_named(None, name)?;
        return user_type(found.ok_or_else(|| unknown(name))?, name, modifiers);
    };
    let oid = info.oid;
    let mut numbers = Vec::new();
    for modifier in modifiers {
        numbers
            .push(modifier.parse::<u64>().map_err(|_| SqlError::syntax("type modifiers must be constants"))?);
    }
    Ok(match (oid, numbers.as_slice()) {
        (_, []) => DataType::of(oid),
        (oids::VARCHAR, [length]) => DataType::varchar(in_range(*length, "varchar")?),
        (oids::BPCHAR, [length]) => DataType::bpchar(in_range(*length, "char")?),
        (oids::NUMERIC, [precision]) => numeric(&ExactNumberInfo::Precision(*precision))?,
        (oids::NUMERIC, [precision, scale]) => {
            let scale = i64::try_from(*scale).unwrap_or(i64::MAX);
            numeric(&ExactNumberInfo::PrecisionAndScale(*precision, scale))?
        }
        (oids::TIME | oids::TIMETZ | oids::TIMESTAMP | oids::TIMESTAMPTZ, [precision]) => {
            DataType { oid, typmod: precision_modifier(Some(*precision)) }
        }
        (_, [modifier, ..]) if info.operations.apply_modifier.is_some() && info.element().is_none() => {
            DataType { oid, typmod: i32::try_from(*modifier).unwrap_or(i32::MAX) }
        }
        _ => {
            return Err(SqlError::syntax(format!("type modifier is not allowed for type \"{name}\"")));
        }
    })
}

fn unknown(name: &str) -> SqlError {
    SqlError::new(SqlState::UNDEFINED_OBJECT, format!("type \"{name}\" does not exist"))
}

fn characters(length: &Option<CharacterLength>) -> Result<Option<u64>> {
    match length {
        None => Ok(None),
        Some(CharacterLength::IntegerLength { length, .. }) => Ok(Some(*length)),
        Some(CharacterLength::Max) => Err(SqlError::syntax("syntax error at or near \"max\"")),
    }
}

fn in_range(length: u64, name: &str) -> Result<i32> {
    if length == 0 {
        return Err(SqlError::invalid_parameter(format!("length for type {name} must be at least 1")));
    }
    if length > CHARACTERS_MAX {
        return Err(SqlError::invalid_parameter(format!(
            "length for type {name} cannot exceed {CHARACTERS_MAX}"
        )));
    }
    Ok(i32::try_from(length).unwrap_or(i32::MAX))
}

fn float(info: &ExactNumberInfo) -> Result<DataType> {
    match info {
        ExactNumberInfo::Precision(0) => {
            Err(SqlError::invalid_parameter("precision for type float must be at least 1 bit"))
        }
        ExactNumberInfo::Precision(bits) if *bits <= 24 => Ok(DataType::FLOAT4),
        ExactNumberInfo::Precision(bits) if *bits > 53 => {
            Err(SqlError::invalid_parameter("precision for type float must be less than 54 bits"))
        }
        _ => Ok(DataType::FLOAT8),
    }
}

fn numeric(info: &ExactNumberInfo) -> Result<DataType> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => return Ok(DataType::NUMERIC),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    if !(1..=1000).contains(&precision) {
        return Err(SqlError::invalid_parameter(format!(
            "NUMERIC precision {precision} must be between 1 and 1000"
        )));
    }
    if !(-1000..=1000).contains(&scale) {
        return Err(SqlError::invalid_parameter(format!(
            "NUMERIC scale {scale} must be between -1000 and 1000"
        )));
    }
    Ok(DataType::numeric(i32::try_from(precision).unwrap_or(1000), i32::try_from(scale).unwrap_or(0)))
}

fn has_zone(zone: &TimezoneInfo) -> bool {
    matches!(zone, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz)
}

/// More than microseconds cannot be kept: PostgreSQL reduces the precision with a warning.
fn precision_modifier(precision: Option<u64>) -> i32 {
    precision.map_or(-1, |precision| i32::try_from(precision.min(6)).unwrap_or(6))
}

fn interval_modifier(fields: Option<&IntervalFields>, precision: Option<u64>) -> i32 {
    use IntervalFields as F;
    let range = match fields {
        None if precision.is_none() => return -1,
        None => 0x7fff,
        Some(F::Year) => 4,
        Some(F::Month) => 2,
        Some(F::Day) => 8,
        Some(F::Hour) => 1024,
        Some(F::Minute) => 2048,
        Some(F::Second) => 4096,
        Some(F::YearToMonth) => 6,
        Some(F::DayToHour) => 1032,
        Some(F::DayToMinute) => 3080,
        Some(F::DayToSecond) => 7176,
        Some(F::HourToMinute) => 3072,
        Some(F::HourToSecond) => 7168,
        Some(F::MinuteToSecond) => 6144,
    };
    (range << 16) | precision.map_or(0xffff, |precision| i32::try_from(precision.min(6)).unwrap_or(6))
}
