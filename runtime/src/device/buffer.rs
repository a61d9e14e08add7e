//! An owned, block-aligned byte buffer for device I/O.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use super::BLOCK_SIZE;

/// A zero-initialized byte buffer whose address and length are multiples of [`BLOCK_SIZE`].
pub struct IoBuf {
    start: NonNull<u8>,
    length_bytes: usize,
}

// SAFETY: the buffer owns its memory exclusively, like `Box<[u8]>`.
unsafe impl Send for IoBuf {}
// SAFETY: shared references only read.
unsafe impl Sync for IoBuf {}

impl IoBuf {
    /// A zeroed buffer of at least `length_bytes`, rounded up to whole blocks.
    pub fn zeroed(length_bytes: usize) -> IoBuf {
        let length_bytes = length_bytes.max(1).next_multiple_of(BLOCK_SIZE);
        let layout = IoBuf::layout(length_bytes);
        // SAFETY: the layout's size is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        IoBuf { start, length_bytes }
    }

    /// A buffer that starts with `bytes` and is zero after them.
    pub fn from_slice(bytes: &[u8]) -> IoBuf {
        let mut buf = IoBuf::zeroed(bytes.len());
        buf[..bytes.len()].copy_from_slice(bytes);
        buf
    }

    fn layout(length_bytes: usize) -> Layout {
        Layout::from_size_align(length_bytes, BLOCK_SIZE).expect("block alignment is a power of two")
    }
}

impl Drop for IoBuf {
    fn drop(&mut self) {
        // SAFETY: allocated in `zeroed` with this same layout.
        unsafe { dealloc(self.start.as_ptr(), IoBuf::layout(self.length_bytes)) }
    }
}

impl Deref for IoBuf {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: `start` points to `length_bytes` initialized bytes that we own.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length_bytes) }
    }
}

impl DerefMut for IoBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length_bytes) }
    }
}

impl std::fmt::Debug for IoBuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IoBuf({} bytes)", self.length_bytes)
    }
}
