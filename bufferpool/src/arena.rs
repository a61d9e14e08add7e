//! The one region of memory that holds all frames.

use std::io;
use std::ptr::NonNull;

/// An anonymous mapping of a fixed size, in bytes. Untouched parts cost no memory.
pub(crate) struct Arena {
    start: NonNull<u8>,
    size_bytes: usize,
}

// SAFETY: the arena is plain memory; who may touch which part is decided by `FramePool`.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

impl Arena {
    pub(crate) fn new(size_bytes: usize) -> io::Result<Arena> {
        // SAFETY: an anonymous private mapping at an address of the kernel's choice.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // Pages are visited at random: with large pages of the machine's, most visits need no walk through its page
        // table. A kernel that has none goes on with small ones.
        // SAFETY: advice about the mapping just made.
        unsafe { libc::madvise(start, size_bytes, libc::MADV_HUGEPAGE) };
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mmap gave address 0"))?;
        Ok(Arena { start, size_bytes })
    }

    /// Gives the memory of a part back to the operating system; it reads as zeros from then on. Offset and length are
    /// multiples of the system's page.
    pub(crate) fn give_back(&self, offset: usize, size_bytes: usize) {
        assert!(offset + size_bytes <= self.size_bytes, "the part lies in the arena");
        // SAFETY: within the mapping, which is private and anonymous: its bytes become zeros, nothing else.
        let outcome = unsafe { libc::madvise(self.address(offset).cast(), size_bytes, libc::MADV_DONTNEED) };
        // A kernel that refuses leaves the memory with us: no more is lost than its use.
        debug_assert_eq!(outcome, 0);
    }

    /// The address of byte `offset`.
    #[inline]
    pub(crate) fn address(&self, offset: usize) -> *mut u8 {
        debug_assert!(offset < self.size_bytes);
        // SAFETY: within the mapping.
        unsafe { self.start.as_ptr().add(offset) }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this size; nothing can refer to it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.size_bytes) };
    }
}
