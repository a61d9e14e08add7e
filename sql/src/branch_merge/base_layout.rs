//! Where the columns of a table are, in all versions that a base is made of, when its rows are merged.
//!
//! They have the places of the merged table. Columns that it has not, because they are gone by now, come behind those: whether a
//! row was changed within the base is told by all cells that it had then.

use std::collections::HashMap;

use super::base::Node;
use super::base_table::Parts;
use super::lineage::Lineage;
use super::matching::Places;
use crate::catalog::{Table, TableColumn};

/// The merged table with such columns, and where the columns of each node are in it.
pub struct Layout {
    pub table: Table,
    places: HashMap<usize, Places>,
}

impl Layout {
    /// For a table of a node, and those that it is made of; `places` says where its columns are in the merged table.
    #[must_use]
    pub fn new(lineage: &Lineage, node: usize, oid: u32, places: &Places, merged: &Table) -> Layout {
        let mut layout = Layout { table: merged.clone(), places: HashMap::new() };
        match lineage.node(node) {
            // There is nothing to merge.
            Node::Moment(_) => {
                layout.places.insert(node, places.clone());
            }
            Node::Joined { .. } => layout.add(lineage, node, oid, places.clone()),
        }
        layout
    }

    /// Where the columns of a node are.
    #[must_use]
    pub fn places(&self, node: usize) -> Places {
        self.places.get(&node).cloned().unwrap_or_default()
    }

    fn add(&mut self, lineage: &Lineage, node: usize, oid: u32, mut places: Places) {
        let Some(own) = lineage.catalog(node).table(oid).filter(|_| !self.places.contains_key(&node)) else {
            return;
        };
        // What a moment has beside that is compared nowhere.
        let is_joined = matches!(own.parts, Parts::Both { .. });
        for (column, place) in own.table.columns.iter().zip(&mut places) {
            if is_joined && place.is_none() && !column.dropped {
                *place = Some(self.table.columns.len());
                let number = i16::try_from(self.table.columns.len() + 1).unwrap_or(i16::MAX);
                self.table.columns.push(TableColumn { number, ..column.clone() });
            }
        }
        if let Node::Joined { one, other, base } = lineage.node(node) {
            match &own.parts {
                Parts::Own | Parts::One => self.add(lineage, one, oid, places.clone()),
                Parts::Other => self.add(lineage, other, oid, places.clone()),
                Parts::Both { one: in_one, other: in_other, base: in_base, .. } => {
                    let within = |inner: &Places| -> Places {
                        inner.iter().map(|at| at.and_then(|at| places[at])).collect()
                    };
                    self.add(lineage, one, oid, within(in_one));
                    self.add(lineage, other, oid, within(in_other));
                    if let Some(base) = base {
                        self.add(lineage, base, oid, within(in_base));
                    }
                }
            }
        }
        self.places.insert(node, places);
    }
}
