//! Values going in and out.

use std::fmt;

use helios_sql::error::SqlError;
use helios_sql::functions::EvalContext;
use helios_sql::types::{DataType, is_user_type};
use helios_sql::value::{Datum, PhysicalKind};

use crate::{Error, Result};

/// One value. Types without a counterpart in Rust come as their text.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Boolean(bool),
    SmallInt(i16),
    Integer(i32),
    BigInt(i64),
    Real(f32),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// Any other type (numeric, dates, arrays …), as PostgreSQL prints it.
    Other(String),
}

impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => formatter.write_str("NULL"),
            Value::Boolean(value) => formatter.write_str(if *value { "t" } else { "f" }),
            Value::SmallInt(value) => value.fmt(formatter),
            Value::Integer(value) => value.fmt(formatter),
            Value::BigInt(value) => value.fmt(formatter),
            Value::Real(value) => value.fmt(formatter),
            Value::Double(value) => value.fmt(formatter),
            Value::Text(text) | Value::Other(text) => formatter.write_str(text),
            Value::Bytes(bytes) => {
                formatter.write_str("\\x")?;
                bytes.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
            }
        }
    }
}

impl Value {
    pub(crate) fn from_datum(datum: &Datum, data_type: DataType, context: &EvalContext<'_>) -> Result<Value> {
        Ok(match datum {
            Datum::Null => Value::Null,
            Datum::Bool(value) => Value::Boolean(*value),
            Datum::Int16(value) => Value::SmallInt(*value),
            Datum::Int32(value) => Value::Integer(*value),
            Datum::Int64(value) => Value::BigInt(*value),
            Datum::Oid(value) if data_type == DataType::OID => Value::BigInt(i64::from(*value)),
            Datum::Float32(value) => Value::Real(*value),
            Datum::Float64(value) if !is_user_type(data_type.oid) => Value::Double(*value),
            Datum::Text(text) => Value::Text(text.to_string()),
            Datum::Bytes(bytes) if data_type == DataType::BYTEA => Value::Bytes(bytes.to_vec()),
            other => Value::Other(context.to_text(other, data_type.oid)?.to_string()),
        })
    }

    /// The value as a parameter of a type.
    pub(crate) fn to_datum(&self, data_type: DataType, context: &EvalContext<'_>) -> Result<Datum> {
        let info = context.type_info(data_type.oid)?;
        let exact = match self {
            Value::Null => return Ok(Datum::Null),
            Value::Boolean(value) => Datum::Bool(*value),
            Value::SmallInt(value) => Datum::Int16(*value),
            Value::Integer(value) => Datum::Int32(*value),
            Value::BigInt(value) => Datum::Int64(*value),
            Value::Real(value) => Datum::Float32(*value),
            Value::Double(value) => Datum::Float64(*value),
            Value::Text(text) => Datum::text(text),
            Value::Bytes(bytes) => Datum::Bytes(bytes.as_slice().into()),
            Value::Other(text) => return Ok(info.parse_text(text, data_type.typmod, context)?),
        };
        // What a user's type holds is its own business.
        if is_user_type(data_type.oid) {
            return Ok(info.parse_text(&self.to_string(), data_type.typmod, context)?);
        }
        if exact.kind() == Some(info.kind) {
            return Ok(exact);
        }
        // Integers that fit need no detour; for others the text's parser has the right error.
        let fitting = exact.as_i64().and_then(|number| match info.kind {
            PhysicalKind::Int16 => i16::try_from(number).ok().map(Datum::Int16),
            PhysicalKind::Int32 => i32::try_from(number).ok().map(Datum::Int32),
            PhysicalKind::Int64 => Some(Datum::Int64(number)),
            _ => None,
        });
        if let Some(datum) = fitting {
            return Ok(datum);
        }
        Ok(info.parse_text(&self.to_string(), data_type.typmod, context)?)
    }
}

/// What can be a parameter.
pub trait ToValue: Sync {
    /// The value.
    fn to_value(&self) -> Value;

    /// The value as the engine holds it, where that is less work than [`ToValue::to_value`].
    #[doc(hidden)]
    fn to_exact(&self) -> Option<Datum> {
        None
    }
}

/// What a column can be read as.
pub trait FromValue: Sized {
    /// Converts.
    ///
    /// # Errors
    /// 42846 for a value of another type; 22004 for NULL where there is no room for it.
    fn from_value(value: &Value) -> Result<Self>;
}

fn wrong(value: &Value, wanted: &str) -> Error {
    let state = helios_sql::error::SqlState::CANNOT_COERCE;
    SqlError::new(state, format!("the value {value:?} cannot be read as {wanted}")).into()
}

macro_rules! to_value {
    ($($source:ty => $variant:ident as $exact:expr),* $(,)?) => {
        $(impl ToValue for $source {
            fn to_value(&self) -> Value {
                Value::$variant((*self).clone().into())
            }

            #[inline]
            fn to_exact(&self) -> Option<Datum> {
                Some($exact(self))
            }
        })*
    };
}

to_value! {
    bool => Boolean as |value: &bool| Datum::Bool(*value),
    i16 => SmallInt as |value: &i16| Datum::Int16(*value),
    i32 => Integer as |value: &i32| Datum::Int32(*value),
    i64 => BigInt as |value: &i64| Datum::Int64(*value),
    f32 => Real as |value: &f32| Datum::Float32(*value),
    f64 => Double as |value: &f64| Datum::Float64(*value),
    String => Text as Datum::text,
    &str => Text as Datum::text,
    Vec<u8> => Bytes as |value: &Vec<u8>| Datum::Bytes(value.as_slice().into()),
    &[u8] => Bytes as |value: &&[u8]| Datum::Bytes((*value).into()),
}

impl ToValue for Value {
    fn to_value(&self) -> Value {
        self.clone()
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, ToValue::to_value)
    }

    fn to_exact(&self) -> Option<Datum> {
        self.as_ref().map_or(Some(Datum::Null), ToValue::to_exact)
    }
}

macro_rules! from_integer {
    ($($target:ty),*) => {
        $(impl FromValue for $target {
            fn from_value(value: &Value) -> Result<$target> {
                let number = match value {
                    Value::SmallInt(number) => i64::from(*number),
                    Value::Integer(number) => i64::from(*number),
                    Value::BigInt(number) => *number,
                    other => return Err(wrong(other, stringify!($target))),
                };
                <$target>::try_from(number).map_err(|_| wrong(value, stringify!($target)))
            }
        })*
    };
}

from_integer!(i16, i32, i64, u32, u64, usize);

impl FromValue for bool {
    fn from_value(value: &Value) -> Result<bool> {
        if let Value::Boolean(truth) = value { Ok(*truth) } else { Err(wrong(value, "bool")) }
    }
}

impl FromValue for f64 {
    fn from_value(value: &Value) -> Result<f64> {
        match value {
            Value::Double(number) => Ok(*number),
            Value::Real(number) => Ok(f64::from(*number)),
            Value::SmallInt(number) => Ok(f64::from(*number)),
            Value::Integer(number) => Ok(f64::from(*number)),
            Value::Other(text) => text.parse().map_err(|_| wrong(value, "f64")),
            other => Err(wrong(other, "f64")),
        }
    }
}

impl FromValue for f32 {
    fn from_value(value: &Value) -> Result<f32> {
        if let Value::Real(number) = value { Ok(*number) } else { Err(wrong(value, "f32")) }
    }
}

impl FromValue for String {
    fn from_value(value: &Value) -> Result<String> {
        match value {
            Value::Null => Err(wrong(value, "String")),
            Value::Text(text) | Value::Other(text) => Ok(text.clone()),
            other => Ok(other.to_string()),
        }
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: &Value) -> Result<Vec<u8>> {
        if let Value::Bytes(bytes) = value { Ok(bytes.clone()) } else { Err(wrong(value, "Vec<u8>")) }
    }
}

impl FromValue for Value {
    fn from_value(value: &Value) -> Result<Value> {
        Ok(value.clone())
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value) -> Result<Option<T>> {
        if *value == Value::Null { Ok(None) } else { T::from_value(value).map(Some) }
    }
}
