//! Frames, page versions and their places on the device.
mod arena;
pub mod epoch;
mod frames;
mod ids;
pub mod page;
pub use epoch::{Guard, pin};
pub use frames::{FramePool, FrameRef, FrameStatus, OwnedFrame, ParkedFrame};
pub use ids::{BranchId, PageId, PageKey, Scn};
