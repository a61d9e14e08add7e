//! Variable-length integers: seven bits a byte, low bits first, the high bit saying that more follow.

use crate::error::{Result, SqlError};

/// Appends `value`.
#[inline]
pub(crate) fn write(mut value: u32, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads a value at `position`, which moves past it.
#[inline]
pub(crate) fn read(bytes: &[u8], position: &mut usize) -> Result<u32> {
    // Nearly all are below 128.
    if let Some(&byte) = bytes.get(*position)
        && byte < 0x80
    {
        *position += 1;
        return Ok(u32::from(byte));
    }
    let mut value = 0u64;
    for shift in 0..5 {
        let byte = *bytes.get(*position).ok_or_else(truncated)?;
        *position += 1;
        value |= u64::from(byte & 0x7f) << (7 * shift);
        if byte < 0x80 {
            return u32::try_from(value).map_err(|_| truncated());
        }
    }
    Err(truncated())
}

#[cold]
fn truncated() -> SqlError {
    SqlError::corrupted("stored value has a malformed length")
}
