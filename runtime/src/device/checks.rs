//! The preconditions that every backend enforces alike, so that code tested on one runs on all.

use std::io;

use super::BLOCK_SIZE;

/// The file that carries a folder's lock; no caller may open it.
pub(super) const LOCK_FILE_NAME: &str = "LOCK";

/// A block of data for trying out a file system; no caller may open it.
pub(super) const PROBE_FILE_NAME: &str = "PROBE";

/// Refuses what is not a plain file name.
pub(super) fn check_name(name: &str) -> io::Result<()> {
    let plain = !name.is_empty()
        && name.len() <= 255
        && name != "."
        && name != ".."
        && name != LOCK_FILE_NAME
        && name != PROBE_FILE_NAME
        && !name.contains(['/', '\0']);
    if plain {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, format!("not a usable file name: {name:?}")))
    }
}

/// Asserts the alignment that O_DIRECT demands: a violation is a bug of the caller, on any backend.
#[track_caller]
pub(super) fn assert_aligned(offset: u64, length_bytes: usize) {
    assert!(offset.is_multiple_of(BLOCK_SIZE as u64), "device offset {offset} is not block-aligned");
    assert!(length_bytes.is_multiple_of(BLOCK_SIZE), "device length {length_bytes} is not block-aligned");
    assert!(offset <= i64::MAX as u64 - length_bytes as u64, "device offset {offset} is out of range");
}

/// [`assert_aligned`] for a whole batch.
#[track_caller]
pub(super) fn assert_batch_aligned(batch: &[(u64, super::IoBuf)]) {
    for (offset, buf) in batch {
        assert_aligned(*offset, buf.len());
    }
}

/// The error of a write through a handle opened for reading.
pub(super) fn read_only(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, format!("{name} is open for reading only"))
}

/// The error of a read that the file's end cuts short.
pub(super) fn past_end(name: &str, offset: u64, length_bytes: usize, size_bytes: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        format!("reading {length_bytes} bytes at {offset} of {name}, which has {size_bytes}"),
    )
}
