//! What a computed relation is, and the shapes of PostgreSQL's.

use std::sync::LazyLock;

use crate::catalog::{INFORMATION_SCHEMA, PG_CATALOG};
use crate::error::Result;
use crate::execute::Environment;
use crate::types::{BuiltinTypes, Oid, TypeCatalog, builtin_type, oids};
use crate::value::{ArrayValue, Datum};

/// A relation's rows.
pub type RelationRows = Vec<Vec<Datum>>;

/// Makes a relation's rows.
pub type MakeRows = fn(&Environment, &VirtualRelation) -> Result<RelationRows>;

/// A relation whose rows are computed.
pub struct VirtualRelation {
    /// PostgreSQL's OID, where it has one.
    pub oid: u32,
    /// [`PG_CATALOG`] or [`INFORMATION_SCHEMA`].
    pub schema: u32,
    pub name: &'static str,
    /// `r` for a table, `v` for a view.
    pub kind: u8,
    pub columns: Vec<(&'static str, Oid)>,
    /// Those of the columns that are never NULL.
    pub required: Vec<&'static str>,
    pub make: MakeRows,
}

impl VirtualRelation {
    /// Its schema's name.
    #[must_use]
    pub fn schema_name(&self) -> &'static str {
        if self.schema == INFORMATION_SCHEMA { "information_schema" } else { "pg_catalog" }
    }

    /// Whether a column is never NULL.
    #[must_use]
    pub fn is_required(&self, column: &str) -> bool {
        self.required.contains(&column)
    }

    /// Its rows.
    ///
    /// # Errors
    /// Those of reading what they are made from.
    pub fn rows(&self, environment: &Environment) -> Result<RelationRows> {
        (self.make)(environment, self)
    }

    /// A row from the columns that have values; the others are NULL.
    #[must_use]
    pub fn row(&self, values: &[(&str, Datum)]) -> Vec<Datum> {
        self.columns
            .iter()
            .map(|(name, oid)| match values.iter().find(|(each, _)| each == name) {
                Some((_, value)) => fitted(value, *oid),
                None => Datum::Null,
            })
            .collect()
    }
}

/// A value as its column holds it: numbers take the column's width.
fn fitted(value: &Datum, oid: Oid) -> Datum {
    if let Some(name) = value.as_text().filter(|_| oid == oids::REGPROC) {
        return Datum::Oid(super::procedures::oid_of(name).unwrap_or(0));
    }
    let Some(number) = value.as_i64() else { return value.clone() };
    match builtin_type(oid).map(|info| info.kind) {
        Some(crate::value::PhysicalKind::Int16) => Datum::Int16(i16::try_from(number).unwrap_or(i16::MAX)),
        Some(crate::value::PhysicalKind::Int32) => Datum::Int32(i32::try_from(number).unwrap_or(i32::MAX)),
        Some(crate::value::PhysicalKind::Int64) => Datum::Int64(number),
        Some(crate::value::PhysicalKind::Float32) => Datum::Float32(number as f32),
        Some(crate::value::PhysicalKind::Float64) => Datum::Float64(number as f64),
        Some(crate::value::PhysicalKind::Oid) => Datum::Oid(u32::try_from(number).unwrap_or(0)),
        Some(crate::value::PhysicalKind::Text) => Datum::text(number.to_string()),
        _ => value.clone(),
    }
}

/// No rows: the relation of a feature that is absent.
pub fn none(_: &Environment, _: &VirtualRelation) -> Result<RelationRows> {
    Ok(Vec::new())
}

/// One relation to a line: schema, OID, name, kind, and columns with their types; `!` behind those that are NOT NULL.
const SHAPES: &str = include_str!("shapes.txt");

/// The relations of the shapes above, with their row makers.
pub fn from_shapes(makers: &[&[(&str, MakeRows)]]) -> Vec<VirtualRelation> {
    SHAPES.lines().filter_map(|line| shape(line, makers)).collect()
}

fn shape(line: &'static str, makers: &[&[(&str, MakeRows)]]) -> Option<VirtualRelation> {
    let mut fields = line.split('|');
    let (schema, oid, name) = (fields.next()?, fields.next()?, fields.next()?);
    let (kind, columns) = (fields.next()?, fields.next()?);
    let required = columns.split(',').filter_map(|column| column.strip_suffix('!')?.split(':').next());
    let required = required.collect();
    let columns = columns.split(',').filter_map(|column| {
        let (name, type_name) = column.trim_end_matches('!').split_once(':')?;
        // Types that no feature of ours needs show as text.
        let oid = BuiltinTypes.type_by_name(type_name).map_or(oids::TEXT, |info| info.oid);
        Some((name, oid))
    });
    let is_standard = schema == "i";
    let prefixed = |maker: &&(&str, MakeRows)| match maker.0.strip_prefix("information_schema.") {
        Some(rest) => is_standard && rest == name,
        None => !is_standard && maker.0 == name,
    };
    let make =
        makers.iter().flat_map(|part| part.iter()).find(prefixed).map_or(none as MakeRows, |maker| maker.1);
    Some(VirtualRelation {
        oid: oid.parse().ok()?,
        schema: if is_standard { INFORMATION_SCHEMA } else { PG_CATALOG },
        name,
        kind: kind.bytes().next()?,
        columns: columns.collect(),
        required,
        make,
    })
}

static ALL: LazyLock<Vec<VirtualRelation>> = LazyLock::new(|| {
    let mut relations = from_shapes(super::MAKERS);
    relations.extend(super::system::relations());
    relations
});

/// All computed relations.
pub fn all() -> &'static [VirtualRelation] {
    &ALL
}

/// Those that are relations to everybody, but for those that are tables by now.
pub fn computed_relations(environment: &Environment) -> impl Iterator<Item = &'static VirtualRelation> {
    let is_table = |oid: u32| environment.catalog.table(oid).is_some();
    all().iter().filter(move |computed| computed.kind != b'f' && !is_table(computed.oid))
}

/// A text value.
pub fn text(value: impl AsRef<str>) -> Datum {
    Datum::text(value)
}

/// An OID.
pub fn oid(value: u32) -> Datum {
    Datum::Oid(value)
}

/// A one-byte character.
pub fn letter(value: u8) -> Datum {
    Datum::Char(value)
}

/// An array of column numbers.
pub fn numbers(values: &[i16]) -> Datum {
    let elements = values.iter().map(|value| Datum::Int16(*value)).collect();
    Datum::from(ArrayValue::from_elements(oids::INT2, elements))
}

/// The same, counted from 0: `int2vector`.
pub fn vector(values: &[i16]) -> Datum {
    let mut array =
        ArrayValue::from_elements(oids::INT2, values.iter().map(|value| Datum::Int16(*value)).collect());
    array.dimensions.iter_mut().for_each(|dimension| dimension.lower_bound = 0);
    Datum::from(array)
}

/// `oidvector`.
pub fn oid_vector(values: &[u32]) -> Datum {
    let mut array =
        ArrayValue::from_elements(oids::OID, values.iter().map(|value| Datum::Oid(*value)).collect());
    array.dimensions.iter_mut().for_each(|dimension| dimension.lower_bound = 0);
    Datum::from(array)
}
