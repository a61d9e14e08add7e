//! The names of the system's users.

use std::ffi::CStr;
use std::ptr;

/// Enough for what the system knows of a user, by far.
const RECORD_BYTES: usize = 16 * 1024;

/// The name of the user that the program runs as; `None` where the system knows none.
#[must_use]
pub fn user_name() -> Option<String> {
    // SAFETY: it only tells a number.
    name_of_user(unsafe { libc::geteuid() })
}

/// The name of a user by its number; `None` where the system knows none.
#[must_use]
pub fn name_of_user(user_id: u32) -> Option<String> {
    let mut buffer = vec![0; RECORD_BYTES];
    let mut found = ptr::null_mut();
    // SAFETY: a record of integers and pointers, for which zeros are values.
    let mut record: libc::passwd = unsafe { std::mem::zeroed() };
    // SAFETY: all pointers are to live, writable memory, and the length is the buffer's.
    let failure =
        unsafe { libc::getpwuid_r(user_id, &mut record, buffer.as_mut_ptr(), buffer.len(), &mut found) };
    if failure != 0 || found.is_null() || record.pw_name.is_null() {
        return None;
    }
    // SAFETY: the call left a terminated string in the buffer, which lives on.
    let name = unsafe { CStr::from_ptr(record.pw_name) };
    Some(name.to_str().ok()?.to_string()).filter(|name| !name.is_empty())
}
