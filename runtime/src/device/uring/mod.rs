//! Files on disk, single operations through plain system calls and batches through io_uring.
//!
//! A single read, write or sync is done in the polling thread, which beats any hop to another at
//! depth one. A batch goes to a driver thread that owns a ring, so that the disk sees its members
//! side by side and the polling thread stays free. The driver starts with the first batch; should
//! it fail to, batches are done in the polling thread as well.

mod driver;
mod probe;

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use self::driver::{Direction, Driver};
use super::blocking::BlockingFile;
use super::checks::assert_batch_aligned;
use super::flusher::Flusher;
use super::folder::Folder;
use super::raw_file::RawFile;
use super::{Device, File, IoBuf, IoFuture, OpenMode};

pub use probe::probe_io_uring;

/// A folder on disk whose batches go through io_uring.
pub struct UringDevice {
    folder: Folder,
    flusher: Arc<Flusher>,
    driver: Arc<LazyDriver>,
}

impl UringDevice {
    /// Opens the folder, creating it and its parents where they are missing.
    ///
    /// # Errors
    /// `Unsupported` where io_uring is not to be had; else what the operating system says, naming
    /// the path.
    pub fn create_folder(path: impl AsRef<Path>) -> io::Result<UringDevice> {
        probe_io_uring()?;
        Ok(UringDevice {
            folder: Folder::create(path.as_ref())?,
            flusher: Arc::default(),
            driver: Arc::default(),
        })
    }

    /// Opens an existing folder.
    ///
    /// # Errors
    /// As [`UringDevice::create_folder`], and `NotFound` or `NotADirectory`.
    pub fn open(path: impl AsRef<Path>) -> io::Result<UringDevice> {
        probe_io_uring()?;
        Ok(UringDevice {
            folder: Folder::open(path.as_ref())?,
            flusher: Arc::default(),
            driver: Arc::default(),
        })
    }

    /// The folder's absolute path.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Whether some file could not use O_DIRECT and goes through the page cache.
    pub fn uses_page_cache(&self) -> bool {
        self.folder.fell_back()
    }
}

impl Device for UringDevice {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let raw = Arc::new(self.folder.open_file(name, mode)?);
        let inline = BlockingFile::new(raw.clone(), self.flusher.clone());
        Ok(Arc::new(UringFile { raw, inline, driver: self.driver.clone() }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.folder.list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.folder.remove(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.folder.rename(from, to)
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.folder.sync()
    }

    fn lock(&self) -> io::Result<Box<dyn Send + Sync>> {
        self.folder.lock()
    }

    fn is_durable(&self) -> bool {
        true
    }

    fn kind(&self) -> &'static str {
        "io_uring"
    }
}

/// The device's driver, started when first needed; `None` inside once it could not be.
#[derive(Default)]
struct LazyDriver {
    started: OnceLock<Option<Driver>>,
}

impl LazyDriver {
    fn get(&self) -> Option<&Driver> {
        let start = || match Driver::start() {
            Ok(driver) => Some(driver),
            Err(error) => {
                tracing::warn!(%error, "no io_uring for batches: they are done one by one");
                None
            }
        };
        self.started.get_or_init(start).as_ref().filter(|driver| driver.is_alive())
    }
}

struct UringFile {
    raw: Arc<RawFile>,
    inline: BlockingFile,
    driver: Arc<LazyDriver>,
}

impl UringFile {
    /// The batch through the ring, or `None` where it is better done in the polling thread.
    fn through_ring(
        &self,
        direction: Direction,
        batch: Vec<(u64, IoBuf)>,
    ) -> Result<IoFuture<Vec<IoBuf>>, Vec<(u64, IoBuf)>> {
        if batch.len() < 2 || self.driver.get().is_none() {
            return Err(batch);
        }
        let (raw, lazy) = (self.raw.clone(), self.driver.clone());
        Ok(Box::pin(async move {
            if direction == Direction::Write {
                raw.check_writable()?;
            }
            let driver = lazy.get().ok_or_else(driver::dead)?;
            driver.run(raw, direction, batch).await
        }))
    }
}

impl File for UringFile {
    fn read_at(&self, buf: IoBuf, offset: u64) -> IoFuture<IoBuf> {
        self.inline.read_at(buf, offset)
    }

    fn read_batch(&self, reads: Vec<(u64, IoBuf)>) -> IoFuture<Vec<IoBuf>> {
        assert_batch_aligned(&reads);
        self.through_ring(Direction::Read, reads).unwrap_or_else(|reads| self.inline.read_batch(reads))
    }

    fn write_at(&self, buf: IoBuf, offset: u64) -> IoFuture<IoBuf> {
        self.inline.write_at(buf, offset)
    }

    fn write_batch(&self, writes: Vec<(u64, IoBuf)>) -> IoFuture<Vec<IoBuf>> {
        assert_batch_aligned(&writes);
        self.through_ring(Direction::Write, writes).unwrap_or_else(|writes| self.inline.write_batch(writes))
    }

    fn sync(&self) -> IoFuture<()> {
        self.inline.sync()
    }

    fn write_durably(&self, buf: IoBuf, offset: u64) -> IoFuture<IoBuf> {
        self.inline.write_durably(buf, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.inline.size()
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.inline.set_size(bytes)
    }

    fn punch_hole(&self, offset: u64, length_bytes: u64) -> io::Result<()> {
        self.inline.punch_hole(offset, length_bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::device::BLOCK_SIZE;
    use futures_lite::future::{block_on, poll_once};

    /// A device, or `None`, said where the test's output is not caught, where there is no io_uring.
    fn device(folder: &Path) -> Option<UringDevice> {
        if let Err(error) = probe_io_uring() {
            let _ = writeln!(io::stderr(), "skipped: batches through io_uring: {error}");
            return None;
        }
        Some(UringDevice::open(folder).unwrap())
    }

    fn block(number: u64) -> IoBuf {
        IoBuf::from_slice(&number.to_le_bytes())
    }

    fn number(buf: &IoBuf) -> u64 {
        u64::from_le_bytes(buf[..8].try_into().unwrap())
    }

    /// Batches larger than the ring is deep, from several threads at once, arrive whole and in the
    /// order given.
    #[test]
    fn deep_concurrent_batches() {
        let folder = tempfile::tempdir().unwrap();
        let Some(device) = device(folder.path()) else { return };
        let file = device.open("data", OpenMode::CreateNew).unwrap();
        const BLOCKS: u64 = 3 * driver::DEPTH as u64;
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let file = &file;
                scope.spawn(move || {
                    let first = thread * BLOCKS;
                    let offset = |block: u64| block * BLOCK_SIZE as u64;
                    let writes = (first..first + BLOCKS).rev().map(|index| (offset(index), block(index)));
                    let back = block_on(file.write_batch(writes.collect())).unwrap();
                    assert!(back.iter().map(number).eq((first..first + BLOCKS).rev()));
                    let reads = (first..first + BLOCKS).map(|index| (offset(index), IoBuf::zeroed(1)));
                    let read = block_on(file.read_batch(reads.collect())).unwrap();
                    assert!(read.iter().map(number).eq(first..first + BLOCKS));
                });
            }
        });
        assert_eq!(file.size().unwrap(), 3 * BLOCKS * BLOCK_SIZE as u64);
    }

    /// A future dropped half way leaves its writes to the driver, which outlives the device as long
    /// as work is left.
    #[test]
    fn dropped_future_still_writes() {
        let folder = tempfile::tempdir().unwrap();
        let Some(device) = device(folder.path()) else { return };
        let file = device.open("data", OpenMode::CreateNew).unwrap();
        let writes = (0..100).map(|index| (index * BLOCK_SIZE as u64, block(index))).collect();
        let mut future = file.write_batch(writes);
        let started = block_on(poll_once(&mut future));
        assert!(started.is_none_or(|outcome| outcome.is_ok()));
        drop((future, file, device));
        let bytes = std::fs::read(folder.path().join("data")).unwrap();
        assert_eq!(bytes.len(), 100 * BLOCK_SIZE);
        assert_eq!(bytes[99 * BLOCK_SIZE], 99);
    }

    /// Errors inside a batch are told as those of single operations are.
    #[test]
    fn batch_errors_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let Some(device) = device(folder.path()) else { return };
        let file = device.open("data", OpenMode::CreateNew).unwrap();
        block_on(file.write_at(block(1), 0)).unwrap();
        let reads = vec![(0, IoBuf::zeroed(1)), (BLOCK_SIZE as u64, IoBuf::zeroed(1))];
        let error = block_on(file.read_batch(reads)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        let file = device.open("data", OpenMode::Read).unwrap();
        let error = block_on(file.write_batch(vec![(0, block(1)), (4096, block(2))])).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }
}
