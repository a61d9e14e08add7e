//! How many bytes the images of each branch have in the data file.
//!
//! The map's walk at opening counts them, and each merge into the map says what it adds and takes away, which counts once
//! the superblock names the new map. So asking costs nothing.

use std::collections::HashMap;

use crate::ids::BranchId;
use crate::page_map::{Located, MapKey};

/// Bytes of a branch's images, as stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BranchBytes {
    /// Of the newest images of its pages.
    pub newest: i64,
    /// Of their history.
    pub history: i64,
}

/// Bytes by branch; differences of them, too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BytesByBranch(pub(crate) HashMap<BranchId, BranchBytes>);

impl BytesByBranch {
    /// An image came.
    pub(crate) fn add(&mut self, key: MapKey, located: Located) {
        self.count(key, i64::from(located.extent.length_bytes));
    }

    /// An image went.
    pub(crate) fn remove(&mut self, key: MapKey, located: Located) {
        self.count(key, -i64::from(located.extent.length_bytes));
    }

    fn count(&mut self, key: MapKey, bytes: i64) {
        let branch = self.0.entry(key.page.branch).or_default();
        match key.version {
            u64::MAX => branch.newest += bytes,
            _ => branch.history += bytes,
        }
    }

    /// Takes over what changed; branches without images are forgotten.
    pub(crate) fn apply(&mut self, changes: &BytesByBranch) {
        for (branch, change) in &changes.0 {
            let bytes = self.0.entry(*branch).or_default();
            bytes.newest += change.newest;
            bytes.history += change.history;
        }
        self.0.retain(|_, bytes| *bytes != BranchBytes::default());
    }
}
