//! Vector indexes: holds only its place until they are built.
//!
//! They will hang on the storage engine by its [`AccessMethod`] seam, which is all that this crate needs of it beside
//! trees and snapshots: a commit tells each changed vector with its SCN; the index appends it to a delta in memory, and a
//! query is a search of the graph and of the delta, filtered by its snapshot; a background task links batches of the
//! delta into the graph by transactions of its own. Distance kernels, HNSW, Vamana and product quantization come with
//! it.

#![deny(unsafe_code)]

pub use helios_mvcc::{AccessMethod, AccessMethods, RowChange};
