//! Frames, page versions and their places on the device.
mod arena;
mod cleaner;
mod codec;
pub mod epoch;
mod error;
mod extents;
mod frames;
mod ids;
mod image_writer;
pub mod page;
mod page_file;
#[cfg(test)]
mod page_file_tests;
mod page_map;
mod replacement;
mod superblock;
mod undo_ring;
pub use codec::{Codec, Compression, Encoded, ImageHeader, ImageKind, MasterKey};
pub use epoch::{Guard, pin};
pub use error::{Error, Result};
pub use extents::{Extent, Extents};
pub use frames::{FramePool, FrameRef, OwnedFrame, ParkedFrame, PinnedReader, SeenPages, Stamp};
pub use ids::{BranchId, PageId, PageKey, Scn};
pub use page_file::{DATA_FILE, FileUsage, GivenUp, PageFile, PreparedMap};
pub use page_map::{Located, MapKey};
pub use replacement::{CacheKey, Replacement, Verdict};
pub use superblock::{MapRoot, SUPERBLOCK_BLOCKS, Superblock};
pub use undo_ring::{UndoRecord, UndoRing};
