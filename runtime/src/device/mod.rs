//! Storage devices: a flat folder of named files, each read and written at byte offsets.
//!
//! All buffers are owned ([`IoBuf`], 4 KiB-aligned), so that a backend may hand them to the kernel
//! and a dropped future leaves nothing dangling. Offsets and lengths of reads and writes are
//! multiples of [`BLOCK_SIZE`]; every backend asserts this, because O_DIRECT demands it.

mod blocking;
mod buffer;
mod checks;
mod flusher;
mod folder;
mod glommio;
mod memory;
mod raw_file;
mod simulated;
mod uring;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

pub use blocking::BlockingDevice;
pub use buffer::IoBuf;
pub use glommio::GlommioDevice;
pub use memory::MemoryDevice;
pub use simulated::{InjectedFault, SimulatedDevice, is_simulated_crash};
pub use uring::{UringDevice, probe_io_uring};

/// The environment variable that overrides what [`open_disk`] chooses: `io_uring`, `glommio` or `blocking`.
pub const DEVICE_VARIABLE: &str = "HELIOS_DEVICE";

/// Opens a folder on disk with the best backend for it, creating it where it is missing: io_uring for
/// batches, or plain system calls, with a warning, where io_uring is not to be had. [`DEVICE_VARIABLE`] decides
/// otherwise.
///
/// # Errors
/// `InvalidInput` for an unknown value of [`DEVICE_VARIABLE`]; else what the operating system says, naming the path.
pub fn open_disk(path: impl AsRef<std::path::Path>) -> io::Result<Arc<dyn Device>> {
    match std::env::var(DEVICE_VARIABLE).as_deref() {
        Ok("io_uring") => return Ok(Arc::new(UringDevice::create_folder(path)?)),
        Ok("glommio") => return Ok(Arc::new(GlommioDevice::create_folder(path)?)),
        Ok("blocking") => return Ok(Arc::new(BlockingDevice::create_folder(path)?)),
        Ok("") | Err(_) => {}
        Ok(other) => {
            let message = format!("{DEVICE_VARIABLE} is {other:?}, not io_uring, glommio or blocking");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
    }
    match probe_io_uring() {
        Ok(()) => Ok(Arc::new(UringDevice::create_folder(path)?)),
        Err(error) => {
            tracing::warn!(%error, "batches of disk accesses are done one by one");
            Ok(Arc::new(BlockingDevice::create_folder(path)?))
        }
    }
}

/// The unit of device I/O, in bytes: offsets and lengths are multiples of it.
pub const BLOCK_SIZE: usize = 4096;

/// The future of one device operation.
pub type IoFuture<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'static>>;

/// How [`Device::open`] treats a name that exists, or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// The file must exist; it is opened for reading only.
    Read,
    /// The file must exist.
    ReadWrite,
    /// The file must not exist: it is created empty.
    CreateNew,
}

/// A flat folder of files on some medium.
///
/// The calls here are rare (open, checkpoint of the log, close) and may block.
pub trait Device: Send + Sync + 'static {
    /// Opens or creates the file `name`: a plain file name of at most 255 bytes without separators;
    /// `LOCK` and `PROBE` are reserved.
    ///
    /// # Errors
    /// `NotFound`, `AlreadyExists`, `InvalidInput` for a bad name, or what the medium says.
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn File>>;
    /// The names of all files, in no particular order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Removes a file; durable only after [`Device::sync_folder`].
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Renames a file, replacing `to`; durable only after [`Device::sync_folder`].
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    fn sync_folder(&self) -> io::Result<()>;
    /// Takes the exclusive lock of the folder for as long as the returned value lives.
    ///
    /// # Errors
    /// `WouldBlock` when another opener, in this process or another, holds it.
    fn lock(&self) -> io::Result<Box<dyn Send + Sync>>;
    /// Whether data survives the process: false for memory.
    fn is_durable(&self) -> bool;
    /// The backend's name, for the log and `system_config` ("blocking", "glommio", …).
    fn kind(&self) -> &'static str;
}

/// One open file. Cheap to share; all operations may run concurrently. None begins before its future is polled.
pub trait File: Send + Sync + 'static {
    /// Fills the whole of `buf` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends first.
    fn read_at(&self, buf: IoBuf, offset: u64) -> IoFuture<IoBuf>;
    /// Fills several buffers, each from its offset, in any order and concurrently where the backend
    /// can; gives them back in the order given.
    ///
    /// # Errors
    /// The first error met, as [`File::read_at`]; the other buffers are then lost.
    fn read_batch(&self, reads: Vec<(u64, IoBuf)>) -> IoFuture<Vec<IoBuf>>;
    /// Writes the whole of `buf` at `offset`, extending the file if needed, and gives `buf` back.
    ///
    /// # Errors
    /// `PermissionDenied` when the file was opened for reading only; after any other error the
    /// range may hold old and new bytes in any mixture.
    fn write_at(&self, buf: IoBuf, offset: u64) -> IoFuture<IoBuf>;
    /// Writes several buffers, in any order and concurrently where the backend can; gives them
    /// back in the order given. The ranges must not overlap.
    ///
    /// # Errors
    /// The first error met, as [`File::write_at`]; the other writes may or may not have happened.
    fn write_batch(&self, writes: Vec<(u64, IoBuf)>) -> IoFuture<Vec<IoBuf>>;
    /// Makes all completed writes durable (fdatasync). After an error the caller must treat the
    /// file as failed for good: the kernel may have dropped the dirty pages.
    fn sync(&self) -> IoFuture<()>;
    /// [`File::write_at`], then [`File::sync`]: what a commit waits for.
    ///
    /// # Errors
    /// Those of both.
    fn write_durably(&self, buf: IoBuf, offset: u64) -> IoFuture<IoBuf> {
        let (write, sync) = (self.write_at(buf, offset), self.sync());
        Box::pin(async move {
            let buf = write.await?;
            sync.await?;
            Ok(buf)
        })
    }
    /// The file's length, in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Truncates or extends the file (reading zeros).
    fn set_size(&self, bytes: u64) -> io::Result<()>;
    /// Gives the blocks of a range back to the file system; reads of it give zeros afterwards. The
    /// file's length stays. Offset and length are multiples of [`BLOCK_SIZE`], the length not zero.
    /// A backend that cannot do this leaves the range as it is.
    fn punch_hole(&self, offset: u64, length_bytes: u64) -> io::Result<()>;
}
