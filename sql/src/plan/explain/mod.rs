//! EXPLAIN: a plan as text, JSON, XML or YAML, in PostgreSQL's shape.
//!
//! 1. [`tree`] makes a tree of what is shown of each node, without a thought of the format.
//! 2. [`text`] prints it as lines; [`document`] makes a document of it, which [`markup`] prints in the other formats.

mod document;
mod expression;
mod markup;
mod options;
mod searches;
mod text;
mod tree;

use super::Costs;
use super::physical::PlanNode;
use crate::catalog::CatalogSnapshot;
use crate::execute::Instrument;
use crate::types::TypeCatalog;

pub use expression::{aggregate, expression};
pub use options::{Format, Options};

/// Stands before a slot's number, until it is known what fills the slot.
const SLOT: &str = "\u{1}$";

/// Numbers from here on stand for the values of subqueries.
const FIRST_SUBPLAN: usize = 1 << 32;

/// What a column is called that a subquery fills, until it is known which of them that is.
#[must_use]
pub fn subplan_name(column: usize) -> String {
    format!("{SLOT}{}", FIRST_SUBPLAN + column)
}

/// The change that a plan's rows are for.
#[derive(Clone, Debug)]
pub struct Change {
    /// `Insert`, `Update`, `Delete` or `Merge`.
    pub operation: &'static str,
    pub schema: String,
    pub table: String,
    /// What ON CONFLICT does, and the indexes that it names.
    pub conflict: Option<(&'static str, Vec<String>)>,
    /// The rows that RETURNING gave.
    pub returned: u64,
}

/// What is known beside the plan.
pub struct Explained<'e> {
    pub plan: &'e PlanNode,
    pub change: Option<Change>,
    pub costs: Costs,
    pub catalog: &'e CatalogSnapshot,
    /// What was measured, by nodes in the order of the plan; ANALYZE alone.
    pub instruments: Option<&'e [Instrument]>,
    /// Settings of the planner that are not what they are by default.
    pub settings: Vec<(String, String)>,
    pub planning_nanos: u64,
    pub execution_nanos: u64,
}

/// The rows of EXPLAIN's result: a line each in the text format, the whole document otherwise.
#[must_use]
pub fn rows(explained: &Explained<'_>, options: &Options, catalog: &dyn TypeCatalog) -> Vec<String> {
    let node = tree::build(explained, options, catalog);
    match options.format {
        Format::Text => text::lines(&node, explained, options),
        format => {
            let document = document::of(&node, explained, options);
            vec![markup::print(&document, format)]
        }
    }
}

/// An option that EXPLAIN was given.
#[derive(Clone, Debug)]
pub struct GivenOption {
    pub name: String,
    pub value: Option<String>,
    /// Where its name stands in the text.
    pub position: u32,
}
