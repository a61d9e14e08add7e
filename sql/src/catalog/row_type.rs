//! The types of rows: each table and view has one of its own name, and one for arrays of it.
//!
//! They are no objects of their own: what they are follows from the relation, and their OIDs from its OID. So a
//! table that gets a column, another name or another owner needs to tell nobody.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use super::object::{Table, View};
use crate::binder::name::quote;
use crate::relations::VirtualRelation;
use crate::types::composite::composite_type;
use crate::types::{DataType, Oid, TypeInfo, array_type_of};
use crate::value::{RecordShape, Text};

/// Bits that no relation's OID has: they tell a row type's OID, and that of its arrays, from all others.
const ROW: u32 = 0x4000_0000;
const ARRAY: u32 = 0x2000_0000;
const DEFAULTS: u32 = 0x8000_0000;

/// The OID of a relation's row type.
#[must_use]
pub const fn row_type_oid(relation: u32) -> Oid {
    relation | ROW
}

/// The relation whose rows, or arrays of whose rows, a type is of.
#[must_use]
pub const fn relation_of_type(oid: Oid) -> Option<u32> {
    if oid & (ROW | DEFAULTS) == ROW { Some(oid & !(ROW | ARRAY)) } else { None }
}

/// A relation's row type and the type of its arrays.
#[derive(Clone)]
pub struct RowType {
    pub relation: u32,
    pub schema: u32,
    pub owner: u32,
    pub info: TypeInfo,
    pub array: TypeInfo,
}

impl std::fmt::Debug for RowType {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "the row type of relation {}", self.relation)
    }
}

impl RowType {
    fn new(
        [relation, schema, owner]: [u32; 3],
        name: &str,
        columns: impl Iterator<Item = (Text, DataType)>,
    ) -> Option<RowType> {
        let oid = row_type_oid(relation);
        let shape = Arc::new(RecordShape { type_oid: oid, fields: columns.collect() });
        let info = composite_type(oid, oid | ARRAY, name, quote(name), shape);
        let array = array_type_of(&info)?;
        Some(RowType { relation, schema, owner, info, array })
    }

    /// A table's.
    #[must_use]
    pub fn of_table(table: &Table) -> Option<RowType> {
        let columns = table.live_columns();
        let columns = columns.map(|column| (Text::new(&column.name), column.data_type()));
        RowType::new([table.oid, table.schema, table.owner], &table.name, columns)
    }

    /// A view's.
    #[must_use]
    pub fn of_view(view: &View) -> Option<RowType> {
        let columns = view.columns.iter().map(|column| {
            let data_type = DataType { oid: column.type_oid, typmod: column.type_modifier };
            (Text::new(&column.name), data_type)
        });
        RowType::new([view.oid, view.schema, view.owner], &view.name, columns)
    }

    fn of_system(relation: &VirtualRelation) -> Option<RowType> {
        let columns = relation.columns.iter();
        let columns = columns.map(|(name, oid)| (Text::new_static(name), DataType::of(*oid)));
        RowType::new([relation.oid, relation.schema, super::SUPERUSER], relation.name, columns)
    }

    /// The type of this OID: that of rows, or of their arrays.
    #[must_use]
    pub fn info_of(&self, oid: Oid) -> &TypeInfo {
        if oid == self.info.oid { &self.info } else { &self.array }
    }
}

static OF_SYSTEM: LazyLock<HashMap<u32, RowType>> = LazyLock::new(|| {
    let relations = crate::relations::all().iter().filter(|relation| relation.kind != b'f');
    relations.filter_map(|relation| Some((relation.oid, RowType::of_system(relation)?))).collect()
});

/// The row type of a system catalog or of one of the system's views.
#[must_use]
pub fn system_row_type(relation: u32) -> Option<&'static RowType> {
    OF_SYSTEM.get(&relation)
}

/// All of these.
pub fn system_row_types() -> impl Iterator<Item = &'static RowType> {
    OF_SYSTEM.values()
}
