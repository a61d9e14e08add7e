//! How `cache_size` is shared out.
//!
//! | part | share |
//! |---|---|
//! | undo records of recent commits | an eighth, at least 64 pages |
//! | nodes of the page map | a sixteenth |
//! | lists of what waits for a checkpoint (`checkpoint.rs`) | a sixteenth |
//! | frames, and compressed images of pages that left them | the rest |

use helios_bufferpool::FramePool;

use crate::error::{Error, Result};

/// Twice what one operation may leave on the deepest path: see `Apply::apply`.
const RING_PAGES_MIN: usize = 64;

/// The parts of a cache, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) ring: usize,
    pub(crate) map: usize,
    pub(crate) frames: usize,
}

impl Budget {
    /// # Errors
    /// [`Error::Open`] with the smallest possible size, when there is not enough for one operation's pages.
    pub(crate) fn new(cache_bytes: usize, page_bytes: usize) -> Result<Budget> {
        let ring = (cache_bytes / 8).max(RING_PAGES_MIN * page_bytes);
        let (map, lists) = (cache_bytes / 16, cache_bytes / 16);
        let frames = cache_bytes.saturating_sub(ring + map + lists);
        if frames < FramePool::size_bytes_min(page_bytes) {
            return Err(Error::Open(format!(
                "cache_size is {cache_bytes} bytes, which is too small for pages of {page_bytes} bytes: \
                 set it to {} or more",
                Budget::cache_bytes_min(page_bytes)
            )));
        }
        Ok(Budget { ring, map, frames })
    }

    fn cache_bytes_min(page_bytes: usize) -> usize {
        let least = RING_PAGES_MIN * page_bytes + FramePool::size_bytes_min(page_bytes);
        // Of the whole, two sixteenths are neither ring nor frames; rounded up, so that it is enough.
        (least * 8 / 7 + 16).next_multiple_of(4096)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The minimum that the error names is accepted, and little less is not.
    #[test]
    fn the_named_minimum_is_the_minimum() {
        for page_bytes in [4096, 8192, 16384, 32768] {
            let least = Budget::cache_bytes_min(page_bytes);
            let budget = Budget::new(least, page_bytes).unwrap();
            assert!(budget.ring + budget.map + budget.frames <= least);
            let error = Budget::new(least - 8192, page_bytes).unwrap_err().to_string();
            assert!(error.contains(&least.to_string()), "{error}");
        }
    }
}
