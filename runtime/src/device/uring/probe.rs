//! Finds out whether io_uring may be used, without risking anything.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Duration;

/// The kernel frees the locked memory of closed rings late, so that ENOMEM may pass.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);

/// Whether the kernel lets this process use io_uring.
///
/// It asks with the bare system call, because glommio panics or ends the process where io_uring is
/// forbidden: call this before touching it. It may wait up to a tenth of a second where locked
/// memory is short.
///
/// # Errors
/// `Unsupported`, naming the cause.
pub fn probe_io_uring() -> io::Result<()> {
    let mut attempt = 1;
    loop {
        match set_up_ring() {
            Ok(ring) => {
                drop(ring);
                return Ok(());
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) && attempt < ATTEMPTS => {
                attempt += 1;
                std::thread::sleep(PAUSE);
            }
            Err(error) => {
                let message = format!("io_uring is not available: {error}");
                return Err(io::Error::new(io::ErrorKind::Unsupported, message));
            }
        }
    }
}

fn set_up_ring() -> io::Result<OwnedFd> {
    // struct io_uring_params, all zero: default flags; the kernel fills in the rest.
    let mut params = [0u64; 15];
    const { assert!(size_of::<[u64; 15]>() == 120, "the size of io_uring_params") };
    let entries: libc::c_uint = 2;
    // SAFETY: the kernel writes at most the 120 bytes of its parameter structure.
    let descriptor = unsafe { libc::syscall(libc::SYS_io_uring_setup, entries, params.as_mut_ptr()) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the system call just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as i32) })
}
