//! Files on disk through glommio, when polled on one of its workers.
//!
//! 1. On a glommio worker an operation becomes a local task over glommio's `DmaFile`, so that the
//!    worker serves others meanwhile; it completes the future that was handed out, which stays
//!    `Send`. glommio has buffers of its own: each transfer is copied once.
//! 2. On every other thread operations are done in place, as by the blocking backend.
//! 3. Each worker opens a file anew when it first uses it, by way of its open descriptor, so that a
//!    rename or a removal in between changes nothing.
//!
//! glommio tries on each thread, with the first file it opens on a disk, whether the disk can be
//! polled; on an empty file it wrongly finds that it can, and every later read fails. So each worker
//! opens the folder's probe file first, which holds a block of written data.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use glommio::io::{DmaFile, OpenOptions};

use super::blocking::BlockingFile;
use super::checks::{PROBE_FILE_NAME, assert_aligned, assert_batch_aligned};
use super::folder::Folder;
use super::raw_file::RawFile;
use super::{BLOCK_SIZE, Device, File, IoBuf, IoFuture, OpenMode};
use crate::executor::{GlommioOperation, glommio_local, spawn_local};

/// A folder on disk, accessed through glommio on its workers and in place elsewhere.
pub struct GlommioDevice {
    folder: Folder,
    probe: Arc<RawFile>,
}

impl GlommioDevice {
    /// Opens the folder, creating it and its parents where they are missing.
    ///
    /// # Errors
    /// What the operating system says, naming the path.
    pub fn create_folder(path: impl AsRef<Path>) -> io::Result<GlommioDevice> {
        GlommioDevice::over(Folder::create(path.as_ref())?)
    }

    /// Opens an existing folder.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory` or what the operating system says, naming the path.
    pub fn open(path: impl AsRef<Path>) -> io::Result<GlommioDevice> {
        GlommioDevice::over(Folder::open(path.as_ref())?)
    }

    fn over(folder: Folder) -> io::Result<GlommioDevice> {
        let path = folder.path().join(PROBE_FILE_NAME);
        let mode = if path.exists() { OpenMode::ReadWrite } else { OpenMode::CreateNew };
        let probe = RawFile::open(path, mode, Arc::default())?;
        probe.write_all(&IoBuf::from_slice(&[1; BLOCK_SIZE]), 0)?;
        probe.sync()?;
        Ok(GlommioDevice { folder, probe: Arc::new(probe) })
    }

    /// The folder's absolute path.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Device for GlommioDevice {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let raw = Arc::new(self.folder.open_file(name, mode)?);
        let inline = BlockingFile::new(raw.clone(), Arc::default());
        Ok(Arc::new(GlommioFile {
            files: Files { raw, probe: self.probe.clone() },
            inline: Arc::new(inline),
        }))
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
        "glommio"
    }
}

/// The files that one worker has open, by the file they stand for.
#[derive(Default)]
struct OpenFiles {
    files: RefCell<Vec<(Weak<RawFile>, Rc<DmaFile>)>>,
}

impl OpenFiles {
    fn find(&self, raw: &Arc<RawFile>) -> Option<Rc<DmaFile>> {
        let files = self.files.borrow();
        let found = files.iter().find(|(key, _)| std::ptr::eq(key.as_ptr(), Arc::as_ptr(raw)));
        found.map(|(_, file)| file.clone())
    }

    async fn open(&self, raw: &Arc<RawFile>) -> io::Result<Rc<DmaFile>> {
        if let Some(file) = self.find(raw) {
            return Ok(file);
        }
        let path = format!("/proc/self/fd/{}", raw.descriptor());
        let opened = OpenOptions::new().read(true).write(raw.is_writable()).dma_open(path).await;
        let file = Rc::new(opened.map_err(io::Error::from)?);
        let mut files = self.files.borrow_mut();
        // Files closed everywhere else are closed here at the next opportunity.
        files.retain(|(key, _)| key.strong_count() > 0);
        files.push((Arc::downgrade(raw), file.clone()));
        Ok(file)
    }
}

#[derive(Clone)]
struct Files {
    raw: Arc<RawFile>,
    probe: Arc<RawFile>,
}

impl Files {
    /// glommio's file for the worker whose thread this is.
    async fn dma_file(&self) -> io::Result<Rc<DmaFile>> {
        let open_files = glommio_local::<OpenFiles>().expect("the task runs on a glommio worker");
        open_files.open(&self.probe).await?;
        open_files.open(&self.raw).await
    }

    async fn read(&self, file: &DmaFile, buf: &mut IoBuf, offset: u64) -> io::Result<()> {
        let result = file.read_at_aligned(offset, buf.len()).await;
        match result {
            Ok(read) if read.len() == buf.len() => {
                buf.copy_from_slice(&read);
                Ok(())
            }
            // Short or refused: in place, where the reason is found out and told.
            _ => self.raw.read_exact(buf, offset),
        }
    }

    async fn write(&self, file: &DmaFile, buf: &IoBuf, offset: u64) -> io::Result<()> {
        self.raw.check_writable()?;
        let mut copy = file.alloc_dma_buffer(buf.len());
        copy.as_bytes_mut().copy_from_slice(buf);
        match file.write_at(copy, offset).await {
            Ok(count) if count == buf.len() => Ok(()),
            _ => self.raw.write_all(buf, offset),
        }
    }
}

struct GlommioFile {
    files: Files,
    inline: Arc<BlockingFile>,
}

impl GlommioFile {
    /// Does `work` in a local task where the polling thread is a glommio worker, else `otherwise`.
    fn dispatch<I, T, Work>(
        &self,
        input: I,
        work: impl FnOnce(Files, I) -> Work + Send + 'static,
        otherwise: impl FnOnce(&BlockingFile, I) -> IoFuture<T> + Send + 'static,
    ) -> IoFuture<T>
    where
        I: Send + 'static,
        T: Send + 'static,
        Work: Future<Output = io::Result<T>> + 'static,
    {
        let (files, inline) = (self.files.clone(), self.inline.clone());
        Box::pin(async move {
            if glommio_local::<OpenFiles>().is_none() {
                return otherwise(&inline, input).await;
            }
            let task = spawn_local(async move {
                let _operation = GlommioOperation::begin();
                work(files, input).await
            });
            task.await.unwrap_or_else(|| Err(io::Error::other("the worker ended during the operation")))
        })
    }
}

async fn read_one(files: Files, (offset, mut buf): (u64, IoBuf)) -> io::Result<IoBuf> {
    let file = files.dma_file().await?;
    files.read(&file, &mut buf, offset).await?;
    Ok(buf)
}

async fn write_one(files: Files, (offset, buf): (u64, IoBuf)) -> io::Result<IoBuf> {
    let file = files.dma_file().await?;
    files.write(&file, &buf, offset).await?;
    Ok(buf)
}

/// All members of a batch side by side.
async fn all<Work: Future<Output = io::Result<IoBuf>> + 'static>(
    files: Files,
    batch: Vec<(u64, IoBuf)>,
    one: impl Fn(Files, (u64, IoBuf)) -> Work,
) -> io::Result<Vec<IoBuf>> {
    // Opened once, before the members ask for it.
    files.dma_file().await?;
    let tasks: Vec<_> = batch.into_iter().map(|member| spawn_local(one(files.clone(), member))).collect();
    let mut buffers = Vec::with_capacity(tasks.len());
    for task in tasks {
        let ended = || Err(io::Error::other("the worker ended during the operation"));
        buffers.push(task.await.unwrap_or_else(ended)?);
    }
    Ok(buffers)
}

impl File for GlommioFile {
    fn read_at(&self, buf: IoBuf, offset: u64) -> IoFuture<IoBuf> {
        assert_aligned(offset, buf.len());
        self.dispatch((offset, buf), read_one, |inline, (offset, buf)| inline.read_at(buf, offset))
    }

    fn read_batch(&self, reads: Vec<(u64, IoBuf)>) -> IoFuture<Vec<IoBuf>> {
        assert_batch_aligned(&reads);
        self.dispatch(
            reads,
            |files, reads| all(files, reads, read_one),
            |inline, reads| inline.read_batch(reads),
        )
    }

    fn write_at(&self, buf: IoBuf, offset: u64) -> IoFuture<IoBuf> {
        assert_aligned(offset, buf.len());
        self.dispatch((offset, buf), write_one, |inline, (offset, buf)| inline.write_at(buf, offset))
    }

    fn write_batch(&self, writes: Vec<(u64, IoBuf)>) -> IoFuture<Vec<IoBuf>> {
        assert_batch_aligned(&writes);
        let work = |files: Files, writes: Vec<(u64, IoBuf)>| async move {
            files.raw.check_writable()?;
            all(files, writes, write_one).await
        };
        self.dispatch(writes, work, |inline, writes| inline.write_batch(writes))
    }

    fn sync(&self) -> IoFuture<()> {
        let work = |files: Files, ()| async move {
            let file = files.dma_file().await?;
            files.raw.sync_with(async { file.fdatasync().await.map_err(io::Error::from) }).await
        };
        self.dispatch((), work, |inline, ()| inline.sync())
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
