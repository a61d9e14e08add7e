//! Hints to the processor that bytes are read soon, so that reading them waits less.

/// Bytes that one hint is for, on the processors there are.
const LINE_BYTES: usize = 64;

/// Says that the bytes from `offset` on are read soon, about two lines of a cache. Beyond the end it says nothing.
#[inline(always)]
pub fn prefetch(bytes: &[u8], offset: usize) {
    #[cfg(target_arch = "x86_64")]
    for at in [offset, offset + LINE_BYTES] {
        if let Some(byte) = bytes.get(at) {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: a hint reads nothing that the program could see, and the address is that of a byte there is.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(byte).cast()) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (bytes, offset, LINE_BYTES);
}
