//! The table of built-in types.

use super::{Oid, TypeCatalog, TypeInfo};
use std::collections::HashMap;
use std::sync::LazyLock;

struct Table {
    types: Vec<TypeInfo>,
    /// The place of each type by OID, or [`ABSENT`]: the types that exist have small OIDs.
    by_oid: Vec<u16>,
    by_name: HashMap<String, usize>,
}

/// No type: beyond the places of all types.
const ABSENT: u16 = u16::MAX;

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let scalars = [
        super::boolean::types(),
        super::integer::types(),
        super::float::types(),
        super::numeric::types(),
        super::money::types(),
        super::tid::types(),
        super::pg_lsn::types(),
        super::snapshot::types(),
        super::text::types(),
        super::bytea::types(),
        super::bit::types(),
        super::network::types(),
        super::identifier::types(),
        super::datetime::types(),
        super::json::types(),
        super::array::vectors(),
        super::range::types(),
        super::multirange::types(),
        super::pseudo::types(),
    ];
    let mut types: Vec<TypeInfo> = scalars.into_iter().flatten().collect();
    let arrays: Vec<TypeInfo> = types.iter().filter_map(super::array::array_type_of).collect();
    types.extend(arrays);
    let oid_max = types.iter().map(|info| info.oid).max().unwrap_or(0);
    let mut by_oid = vec![ABSENT; oid_max as usize + 1];
    for (index, info) in (0..ABSENT).zip(&types) {
        by_oid[info.oid as usize] = index;
    }
    let by_name = types.iter().enumerate().map(|(index, info)| (info.name.to_string(), index)).collect();
    Table { types, by_oid, by_name }
});

/// A built-in type by OID.
#[must_use]
pub fn builtin_type(oid: Oid) -> Option<&'static TypeInfo> {
    let table = &*TABLE;
    let place = *table.by_oid.get(oid as usize)?;
    table.types.get(usize::from(place))
}

/// All built-in types, in no special order.
pub fn builtin_types() -> impl Iterator<Item = &'static TypeInfo> {
    TABLE.types.iter()
}

/// The catalog of built-in types alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuiltinTypes;

impl TypeCatalog for BuiltinTypes {
    fn type_by_oid(&self, oid: Oid) -> Option<&TypeInfo> {
        builtin_type(oid)
    }

    fn type_by_name(&self, name: &str) -> Option<&TypeInfo> {
        TABLE.by_name.get(name).map(|index| &TABLE.types[*index])
    }
}
