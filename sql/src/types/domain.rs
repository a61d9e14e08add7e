//! Domains: a type under constraints. Values are the base type's, and are read, printed and compared by it; the
//! constraints are tested by [`TypeCatalog::check_domain`](super::TypeCatalog::check_domain) when a value becomes one of
//! the domain: when it is read, cast or assigned.

use super::{DataType, Oid, TypeCatalog, TypeInfo, TypeOperations, TypeShape};
use crate::error::Result;
use crate::functions::EvalContext;
use crate::value::Datum;
use std::borrow::Cow;

/// The type under a domain, however deep, with its modifier; any other type is its own.
#[must_use]
pub fn underlying(mut data_type: DataType, types: &dyn TypeCatalog) -> DataType {
    // Domains cannot be circular; the bound only guards against a broken catalog.
    for _ in 0..64 {
        match types.type_by_oid(data_type.oid).map(|info| &info.shape) {
            Some(TypeShape::Domain { base }) => data_type = *base,
            _ => break,
        }
    }
    data_type
}

/// The same, without the modifier.
#[must_use]
pub fn base_type(oid: Oid, types: &dyn TypeCatalog) -> Oid {
    underlying(DataType::of(oid), types).oid
}

/// The modifier and the constraints of a domain applied to a value of its base type, which may be NULL.
///
/// # Errors
/// 23502, 23514, and those of the modifier.
pub fn enter(domain: Oid, value: Datum, explicit: bool, context: &EvalContext<'_>) -> Result<Datum> {
    let base = underlying(DataType::of(domain), context.types);
    let value = match value {
        Datum::Null => value,
        value => context.type_info(base.oid)?.apply_modifier(value, base.typmod, explicit)?,
    };
    context.types.check_domain(domain, &value, context)?;
    Ok(value)
}

fn base_info<'c>(info: &TypeInfo, context: &EvalContext<'c>) -> Result<(&'c TypeInfo, i32)> {
    let base = underlying(DataType::of(info.oid), context.types);
    let found = context.types.type_by_oid(base.oid);
    Ok((found.ok_or_else(|| crate::functions::unknown_type(base.oid))?, base.typmod))
}

/// A user's domain over a type.
#[must_use]
pub fn domain_type(
    oid: Oid,
    array_oid: Oid,
    name: &str,
    sql_name: String,
    base: DataType,
    base_info: &TypeInfo,
) -> TypeInfo {
    TypeInfo {
        oid,
        name: Cow::Owned(name.to_owned()),
        sql_name: Cow::Owned(sql_name),
        array_oid,
        category: base_info.category,
        preferred: false,
        length: base_info.length,
        kind: base_info.kind,
        shape: TypeShape::Domain { base },
        operations: TypeOperations {
            parse_text: |info, text, _, context| {
                let (base, typmod) = self::base_info(info, context)?;
                enter(info.oid, base.parse_text(text, typmod, context)?, false, context)
            },
            print_text: |info, value, out, context| {
                self::base_info(info, context)?.0.print_text(value, out, context)
            },
            read_binary: |info, bytes, _, context| {
                let (base, typmod) = self::base_info(info, context)?;
                enter(info.oid, base.read_binary(bytes, typmod, context)?, false, context)
            },
            write_binary: |info, value, out, context| {
                self::base_info(info, context)?.0.write_binary(value, out, context)
            },
            compare: base_info.operations.compare,
            hash: base_info.operations.hash,
            apply_modifier: None,
        },
    }
}
