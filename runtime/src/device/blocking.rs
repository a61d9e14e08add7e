//! Files on disk through plain system calls in the polling thread.
//!
//! At depth one nothing beats it: no hop to another thread, no ring to fill. Every future does its
//! work when first polled and is ready then; only what waits for the disk's cache is left to a thread, on workers
//! that have others to serve.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::checks::{assert_aligned, assert_batch_aligned};
use super::flusher::Flusher;
use super::folder::Folder;
use super::raw_file::RawFile;
use super::{Device, File, IoBuf, IoFuture, OpenMode};
use crate::executor::tasks_here;

/// A worker of more tasks than this has others to serve: one accepts connections, one is the caller.
const OWN_TASKS: usize = 3;

/// A folder on disk, read and written by pread, pwrite and fdatasync.
pub struct BlockingDevice {
    folder: Folder,
    flusher: Arc<Flusher>,
}

impl BlockingDevice {
    /// Opens the folder, creating it and its parents where they are missing.
    ///
    /// # Errors
    /// What the operating system says, naming the path.
    pub fn create_folder(path: impl AsRef<Path>) -> io::Result<BlockingDevice> {
        Ok(BlockingDevice { folder: Folder::create(path.as_ref())?, flusher: Arc::default() })
    }

    /// Opens an existing folder.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory` or what the operating system says, naming the path.
    pub fn open(path: impl AsRef<Path>) -> io::Result<BlockingDevice> {
        Ok(BlockingDevice { folder: Folder::open(path.as_ref())?, flusher: Arc::default() })
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

impl Device for BlockingDevice {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let raw = Arc::new(self.folder.open_file(name, mode)?);
        Ok(Arc::new(BlockingFile::new(raw, self.flusher.clone())))
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
        "blocking"
    }
}

/// A file whose futures work in the polling thread.
pub(super) struct BlockingFile {
    raw: Arc<RawFile>,
    flusher: Arc<Flusher>,
}

impl BlockingFile {
    pub(super) fn new(raw: Arc<RawFile>, flusher: Arc<Flusher>) -> BlockingFile {
        BlockingFile { raw, flusher }
    }

    fn in_place<T>(&self, work: impl FnOnce(&RawFile) -> io::Result<T> + Send + 'static) -> IoFuture<T> {
        let raw = self.raw.clone();
        Box::pin(async move { work(&raw) })
    }
}

impl File for BlockingFile {
    fn read_at(&self, mut buf: IoBuf, offset: u64) -> IoFuture<IoBuf> {
        assert_aligned(offset, buf.len());
        self.in_place(move |raw| {
            raw.read_exact(&mut buf, offset)?;
            Ok(buf)
        })
    }

    fn read_batch(&self, reads: Vec<(u64, IoBuf)>) -> IoFuture<Vec<IoBuf>> {
        assert_batch_aligned(&reads);
        self.in_place(move |raw| {
            let read_one = |(offset, mut buf): (u64, IoBuf)| {
                raw.read_exact(&mut buf, offset)?;
                Ok(buf)
            };
            reads.into_iter().map(read_one).collect()
        })
    }

    fn write_at(&self, buf: IoBuf, offset: u64) -> IoFuture<IoBuf> {
        assert_aligned(offset, buf.len());
        self.in_place(move |raw| {
            raw.write_all(&buf, offset)?;
            Ok(buf)
        })
    }

    fn write_batch(&self, writes: Vec<(u64, IoBuf)>) -> IoFuture<Vec<IoBuf>> {
        assert_batch_aligned(&writes);
        self.in_place(move |raw| {
            raw.check_writable()?;
            for (offset, buf) in &writes {
                raw.write_all(buf, *offset)?;
            }
            Ok(writes.into_iter().map(|(_, buf)| buf).collect())
        })
    }

    fn sync(&self) -> IoFuture<()> {
        self.in_place(RawFile::sync)
    }

    fn write_durably(&self, buf: IoBuf, offset: u64) -> IoFuture<IoBuf> {
        assert_aligned(offset, buf.len());
        let (raw, flusher) = (self.raw.clone(), self.flusher.clone());
        let work = move || {
            raw.write_all(&buf, offset)?;
            raw.sync()?;
            Ok(buf)
        };
        Box::pin(async move { if tasks_here() > OWN_TASKS { flusher.run(work).await } else { work() } })
    }

    fn size(&self) -> io::Result<u64> {
        self.raw.size()
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.raw.set_size(bytes)
    }

    fn punch_hole(&self, offset: u64, length_bytes: u64) -> io::Result<()> {
        assert_aligned(offset, usize::try_from(length_bytes).expect("a hole fits the address space"));
        self.raw.punch_hole(offset, length_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::block_on;

    /// A second opener is refused while the lock lives, in one process too, and told who holds it.
    #[test]
    fn lock_is_exclusive() {
        let folder = tempfile::tempdir().unwrap();
        let first = BlockingDevice::create_folder(folder.path().join("a/b")).unwrap();
        let second = BlockingDevice::open(folder.path().join("a/b")).unwrap();
        let lock = first.lock().unwrap();
        let error = second.lock().err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        drop(lock);
        second.lock().unwrap();
        assert!(first.list().unwrap().is_empty());
        assert_eq!(first.open("LOCK", OpenMode::Read).err().unwrap().kind(), io::ErrorKind::InvalidInput);
    }

    /// Errors name the path and keep the kind.
    #[test]
    fn errors_name_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let error = BlockingDevice::open(&missing).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains(missing.to_str().unwrap()), "{error}");

        let plain = folder.path().join("plain");
        std::fs::write(&plain, b"x").unwrap();
        assert_eq!(BlockingDevice::open(&plain).err().unwrap().kind(), io::ErrorKind::NotADirectory);

        let device = BlockingDevice::open(folder.path()).unwrap();
        let error = device.open("nothing", OpenMode::ReadWrite).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("nothing"), "{error}");
        let error = device.open("plain", OpenMode::CreateNew).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        let file = device.open("plain", OpenMode::Read).unwrap();
        let error = block_on(file.read_at(IoBuf::zeroed(1), 0)).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(error.to_string().contains("plain"), "{error}");
    }

    /// A read-only folder refuses creation and the lock with errors that say so. Root passes all
    /// permission checks, so /proc stands in: no user may create a file there.
    #[test]
    fn read_only_folder_is_refused_clearly() {
        let device = BlockingDevice::open("/proc/self").unwrap();
        let error = device.open("data", OpenMode::CreateNew).err().unwrap();
        assert!(error.to_string().contains("cannot create /proc/"), "{error}");
        let error = device.lock().err().unwrap();
        assert!(error.to_string().contains("cannot open the lock file /proc/"), "{error}");
    }

    /// A punched range frees its disk blocks and keeps the length.
    #[test]
    fn holes_free_blocks() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let device = BlockingDevice::open(folder.path()).unwrap();
        let file = device.open("data", OpenMode::CreateNew).unwrap();
        block_on(file.write_at(IoBuf::from_slice(&[9; 1 << 20]), 0)).unwrap();
        block_on(file.sync()).unwrap();
        let path = folder.path().join("data");
        let before = std::fs::metadata(&path).unwrap().blocks();
        file.punch_hole(0, 1 << 19).unwrap();
        let after = std::fs::metadata(&path).unwrap();
        assert_eq!(after.len(), 1 << 20);
        assert!(after.blocks() < before, "{} blocks of {before} are left", after.blocks());
    }
}
