//! The table of built-in types.

use super::{Oid, TypeCatalog, TypeInfo};
use std::collections::HashMap;
use std::sync::LazyLock;

struct Table {
    types: Vec<TypeInfo>,
    by_oid: HashMap<Oid, usize>,
    by_name: HashMap<String, usize>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let scalars = [
        super::boolean::types(),
        super::integer::types(),
        super::float::types(),
        super::numeric::types(),
        super::text::types(),
        super::bytea::types(),
        super::identifier::types(),
        super::datetime::types(),
        super::array::vectors(),
        super::pseudo::types(),
    ];
    let mut types: Vec<TypeInfo> = scalars.into_iter().flatten().collect();
    let arrays: Vec<TypeInfo> = types.iter().filter_map(super::array::array_type_of).collect();
    types.extend(arrays);
    let by_oid = types.iter().enumerate().map(|(index, info)| (info.oid, index)).collect();
    let by_name = types.iter().enumerate().map(|(index, info)| (info.name.to_string(), index)).collect();
    Table { types, by_oid, by_name }
});

/// A built-in type by OID.
#[must_use]
pub fn builtin_type(oid: Oid) -> Option<&'static TypeInfo> {
    TABLE.by_oid.get(&oid).map(|index| &TABLE.types[*index])
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
