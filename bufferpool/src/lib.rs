//! Frames, page versions and their places on the device.
mod arena;
mod branch_bytes;
mod cleaner;
mod codec;
mod compressed_tier;
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
mod prefetch;
mod removal;
mod replacement;
mod superblock;
mod undo_ring;
pub use branch_bytes::BranchBytes;
pub use cleaner::Shortening;
pub use codec::{Codec, Compression, Encoded, ImageHeader, ImageKind, MasterKey, PageCheck};
pub use compressed_tier::{CompressedTier, Decision, Timed, Totals};
pub use epoch::{Guard, pin};
pub use error::{Error, Result};
pub use extents::{Extent, Extents};
pub use frames::{FramePool, FrameRef, OwnedFrame, ParkedFrame, PinnedReader, SeenPages, Stamp};
pub use ids::{BranchId, PageId, PageKey, Scn};
pub use page_file::{DATA_FILE, FileUsage, GivenUp, PageFile, PreparedMap};
pub use page_map::{Located, MapKey};
pub use prefetch::prefetch;
pub use removal::MapPart;
pub use replacement::{CacheKey, Replacement, Verdict};
pub use superblock::{
    COMMITS_IN_PIECES, HISTORY_CUT, HISTORY_PACKED, MapRoot, SUPERBLOCK_BLOCKS, Superblock,
};
pub use undo_ring::{UndoRecord, UndoRing};
