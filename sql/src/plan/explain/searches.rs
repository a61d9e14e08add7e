//! Searches that find keys of rows together, in the shape of PostgreSQL's bitmaps.

use super::expression::{expression, index_condition, joined};
use super::tree::{Builder, Node, fact};
use crate::binder::name::quote;
use crate::plan::cost::{Cost, of_keys};
use crate::plan::physical::{KeySet, TableScan};
use crate::types::TypeCatalog;

/// What rows that a set names satisfy, where it has no more than it was asked for; `columns` are those of the table.
pub(super) fn recheck(catalog: &dyn TypeCatalog, set: &KeySet, columns: &[String]) -> Option<String> {
    joined(terms(catalog, set, columns))
}

fn terms(catalog: &dyn TypeCatalog, set: &KeySet, columns: &[String]) -> Vec<String> {
    match set {
        KeySet::Search(search) => {
            search.conditions.iter().map(|condition| expression(catalog, condition, columns)).collect()
        }
        KeySet::Any(parts) => {
            let arms: Vec<String> = parts.iter().filter_map(|part| recheck(catalog, part, columns)).collect();
            vec![format!("({})", arms.join(" OR "))]
        }
        KeySet::All(parts) => {
            let mut all: Vec<String> = Vec::new();
            for term in parts.iter().flat_map(|part| terms(catalog, part, columns)) {
                if !all.contains(&term) {
                    all.push(term);
                }
            }
            all
        }
    }
}

impl Builder<'_> {
    /// The nodes of a set.
    pub(super) fn searches(&mut self, set: &KeySet, scan: &TableScan, relationship: &'static str) -> Node {
        let number = self.number;
        self.number += 1;
        let found = of_keys(set, &scan.table, &self.explained.costs);
        let node = Node {
            relationship: Some(relationship),
            cost: Cost { startup: 0.0, total: found.cost },
            rows: found.rows.all().max(1.0),
            actual: self.actual(number),
            ..Node::default()
        };
        match set {
            KeySet::Search(search) => {
                let access = &search.access;
                let condition = index_condition(self.catalog, access).map(|text| self.with_slots(&text));
                Node {
                    kind: "Bitmap Index Scan",
                    title: format!("Bitmap Index Scan on {}", quote(&access.index_name)),
                    facts: vec![fact("Index Name", &access.index_name)],
                    details: condition.map(|text| fact("Index Cond", text)).into_iter().collect(),
                    ..node
                }
            }
            KeySet::Any(parts) | KeySet::All(parts) => {
                let kind = if matches!(set, KeySet::Any(_)) { "BitmapOr" } else { "BitmapAnd" };
                let children = parts.iter().map(|part| self.searches(part, scan, "Member")).collect();
                Node { kind, title: kind.into(), children, ..node }
            }
        }
    }
}
