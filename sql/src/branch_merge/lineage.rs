//! The moments of a merge with their catalogs: those that its base is made of, what they make, and both sides.

use std::sync::Arc;

use helios_mvcc::{Divergence, Snapshot, Store, TreeDifference};

use super::base::{Base, Node};
use super::base_catalog::{BaseCatalog, join_catalogs};
use super::base_rows::{BaseRows, Differences, Leaf};
use super::matching::difference;
use super::overlap::Overlap;
use super::reshaped::Shapes;
use crate::catalog::{CatalogSnapshot, Table};
use crate::ddl::Reshape;
use crate::error::Result;
use crate::execute::Execution;
use crate::session::Engine;

/// Nodes of a base and moments beside it, with their catalogs.
pub struct Lineage {
    store: Store,
    nodes: Vec<Node>,
    catalogs: Vec<Arc<BaseCatalog>>,
    base: usize,
    moment: Snapshot,
    /// What composite types are in the end.
    merged: Shapes,
}

impl Lineage {
    /// That of a base: its catalogs are read, and joined.
    ///
    /// # Errors
    /// Those of reading pages.
    pub async fn new(base: &Base, engine: &Engine, execution: &Execution) -> Result<Lineage> {
        let store = engine.store().clone();
        let moment = base.newest();
        let merged = Shapes::default();
        let mut lineage = Lineage { store, nodes: Vec::new(), catalogs: Vec::new(), base: 0, moment, merged };
        for node in base.nodes() {
            let catalog = match *node {
                Node::Moment(moment) => BaseCatalog::of_moment(&*engine.past_catalog(moment).await?),
                Node::Joined { one, other, base } => {
                    let overlap = match base {
                        Some(base) => Overlap::find(&lineage, base, one, other, execution).await?,
                        // All that differs is undecided.
                        None => Overlap::default(),
                    };
                    let base = base.map(|base| lineage.catalog(base));
                    join_catalogs(base, lineage.catalog(one), lineage.catalog(other), &overlap)
                }
            };
            lineage.nodes.push(*node);
            lineage.catalogs.push(Arc::new(catalog));
            execution.check_cancel()?;
        }
        lineage.base = lineage.nodes.len() - 1;
        Ok(lineage)
    }

    /// Adds a moment that is no part of the base.
    pub fn add(&mut self, moment: Snapshot, catalog: &CatalogSnapshot) -> usize {
        self.nodes.push(Node::Moment(moment));
        self.catalogs.push(Arc::new(BaseCatalog::of_moment(catalog)));
        self.nodes.len() - 1
    }

    /// Says which catalog rows are to be read for, whatever moment they are of.
    pub fn read_for(&mut self, catalog: &CatalogSnapshot) {
        self.merged = Shapes::of_catalog(catalog);
    }

    /// What becomes of composite values of a node's moment.
    #[must_use]
    pub fn reshapes(&self, at: usize) -> Arc<[Reshape]> {
        Shapes::of_objects(&self.catalogs[at].objects).to(&self.merged)
    }

    /// Whether rows of a table have other keys than at some node's moment, since the key has values of a type that changed.
    #[must_use]
    pub fn reshapes_key(&self, catalog: &CatalogSnapshot, table: &Table) -> bool {
        let key = || table.live_columns().filter(|column| table.primary_key.contains(&column.number));
        let is_in_key = |reshape: &Reshape| key().any(|column| reshape.is_within(catalog, column.type_oid));
        (0..self.nodes.len()).any(|at| self.reshapes(at).iter().any(is_in_key))
    }

    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The node that is the base.
    #[must_use]
    pub fn base(&self) -> usize {
        self.base
    }

    /// A moment of the base.
    #[must_use]
    pub fn moment(&self) -> Snapshot {
        self.moment
    }

    #[must_use]
    pub fn node(&self, at: usize) -> Node {
        self.nodes[at]
    }

    #[must_use]
    pub fn catalog(&self, at: usize) -> &BaseCatalog {
        &self.catalogs[at]
    }
}

/// What differs between moments of a base and a side, found when it is needed.
pub struct Divergences {
    store: Store,
    pivot: Snapshot,
    found: Vec<(Snapshot, Divergence)>,
}

impl Divergences {
    /// To that side.
    #[must_use]
    pub fn new(store: &Store, pivot: Snapshot) -> Divergences {
        Divergences { store: store.clone(), pivot, found: Vec::new() }
    }

    /// The side.
    #[must_use]
    pub fn pivot(&self) -> Snapshot {
        self.pivot
    }

    /// From one moment.
    ///
    /// # Errors
    /// Those of reading pages.
    pub async fn since(&mut self, moment: Snapshot) -> Result<&Divergence> {
        let at = match self.found.iter().position(|found| found.0 == moment) {
            Some(at) => at,
            None => {
                self.found.push((moment, self.store.divergence(moment, self.pivot).await?));
                self.found.len() - 1
            }
        };
        Ok(&self.found[at].1)
    }

    /// The rows of a table of the side that may be others than those of some tables of bases; all rows, where `is_whole`.
    ///
    /// # Errors
    /// Those of reading pages.
    pub async fn rows(&mut self, bases: &[&BaseRows], is: &Table, is_whole: bool) -> Result<Differences> {
        let mut parts: Vec<(Snapshot, _)> = Vec::new();
        for leaf in bases.iter().flat_map(|base| base.best_leaves()) {
            if leaf.moment != self.pivot && !parts.iter().any(|part| part.0 == leaf.moment) {
                parts.push((leaf.moment, self.rows_since(leaf, is, is_whole).await?));
            }
        }
        Ok(Differences::new(self.pivot, parts))
    }

    /// The rows of a table of the side that are others than at one moment; all rows, where `is_whole`.
    ///
    /// # Errors
    /// Those of reading pages.
    pub async fn rows_since(&mut self, leaf: &Leaf, is: &Table, is_whole: bool) -> Result<TreeDifference> {
        let divergence = self.since(leaf.moment).await?;
        match is_whole {
            true => Ok(divergence.all_rows(Some(leaf.table.tree), Some(is.tree))?),
            false => difference(divergence, Some(&leaf.table), Some(is)).await,
        }
    }
}
