//! MERGE DATABASE BRANCH: what a branch changed since it was made, or last merged, comes to another.
//!
//! 1. The *base* is the best moment that both branches contain (`ancestry.rs`), or made of several (`base.rs`, `lineage.rs`), catalogs
//!    first (`base_catalog.rs`, `base_table.rs`) and rows when they are asked for (`base_rows.rs`). What the source changed since then is
//!    found at the cost of the pages that it changed (`helios_mvcc::Divergence`).
//! 2. What one side wrote of what the other dropped or converted is looked up (`overlap.rs`). Catalogs are merged object by
//!    object, tables column by column (`schema.rs`, `columns.rs`), each known by its identity (`matching.rs`).
//!    Composite types that changed are changed first, with what columns hold of them (`reshaped.rs`).
//! 3. Rows are merged by primary key, cell by cell (`rows.rs`, `cells.rs`); those of tables without one as whole rows, by
//!    their number (`counted.rs`); those of tables whose key is another one than before, by that (`rekeyed.rs`).
//! 4. All of it is one transaction on the target (`apply.rs`), which ends with the note that the target contains the
//!    source now. Constraints are tested on the result (`constraints.rs`). Where something was decided differently on both sides, or a merged row breaks a constraint, nothing is
//!    merged, and the report says what (`report.rs`). A preview is a merge that is rolled back.

mod ancestry;
mod apply;
mod base;
mod base_catalog;
mod base_layout;
mod base_rows;
mod base_table;
mod cells;
mod columns;
mod constraints;
mod counted;
mod distance;
mod lineage;
mod matching;
mod objects;
mod overlap;
mod rekeyed;
mod renumber;
mod report;
mod reshaped;
mod rows;
mod schema;
#[cfg(test)]
mod tests;

pub use apply::{Request, apply};
pub use base::Base;
#[cfg(test)]
pub use base::LEVELS_MAX;
pub use distance::rows_differing;
pub use matching::{difference, matches};
pub use report::{Finding, Report, Resolution};
