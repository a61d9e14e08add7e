//! The functions that read and write types, which tools find by pg_type: they are in pg_proc, but nobody calls them.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use crate::types::{Category, TypeInfo, TypeShape, builtin_types};

/// The first of their OIDs.
const FIRST_OID: u32 = 40_000_000;

/// Their names, in order; the OID of each is its place.
static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    const OTHERS: [&str; 10] = [
        "enum_in",
        "enum_out",
        "enum_recv",
        "enum_send",
        "domain_in",
        "domain_recv",
        "heap_tableam_handler",
        "bthandler",
        "hashhandler",
        "ginhandler",
    ];
    let of_type = |info| ["in", "out", "recv", "send"].map(|suffix| type_function(info, suffix));
    let names: BTreeSet<String> =
        builtin_types().flat_map(of_type).chain(OTHERS.map(str::to_owned)).collect();
    names.into_iter().collect()
});

/// The name of a type's function: `int4in`, `array_out`.
pub fn type_function(info: &TypeInfo, suffix: &str) -> String {
    match &info.shape {
        TypeShape::Array { .. } if info.category == Category::Array && info.name.starts_with('_') => {
            format!("array_{suffix}")
        }
        TypeShape::Enum { .. } => format!("enum_{suffix}"),
        TypeShape::Domain { .. } => format!("domain_{suffix}"),
        shape => {
            const SEPARATED: [&str; 16] = [
                "numeric",
                "date",
                "time",
                "timetz",
                "timestamp",
                "timestamptz",
                "interval",
                "uuid",
                "json",
                "jsonb",
                "xml",
                "bit",
                "varbit",
                "inet",
                "cidr",
                "macaddr",
            ];
            let name = info.name.as_ref();
            let is_separated =
                matches!(shape, TypeShape::Pseudo) || name.contains('_') || SEPARATED.contains(&name);
            format!("{name}{}{suffix}", if is_separated && name != "unknown" { "_" } else { "" })
        }
    }
}

/// All of them.
pub fn all() -> impl Iterator<Item = (u32, &'static str)> {
    (FIRST_OID..).zip(NAMES.iter().map(String::as_str))
}

/// The OID of a name.
pub fn oid_of(name: &str) -> Option<u32> {
    let place = NAMES.binary_search_by(|each| each.as_str().cmp(name)).ok()?;
    Some(FIRST_OID + u32::try_from(place).ok()?)
}

/// The name of an OID.
pub fn name_of(oid: u32) -> Option<&'static str> {
    NAMES.get(usize::try_from(oid.checked_sub(FIRST_OID)?).ok()?).map(String::as_str)
}
