//! One file of the operating system, read and written in the caller's thread.
//!
//! Invariants
//! 1. Files are opened with O_DIRECT where the file system takes it. Some take the flag at open and
//!    refuse the transfer with EINVAL: the flag is then cleared for good and the transfer repeated.
//! 2. After a failed sync the file refuses further writes and syncs: the kernel may have dropped
//!    the dirty pages and would report success the second time.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::checks::{past_end, read_only};
use super::{BLOCK_SIZE, IoBuf, OpenMode};

/// An open file and what is known about it.
pub(super) struct RawFile {
    file: fs::File,
    path: PathBuf,
    writable: bool,
    sync_failed: AtomicBool,
    direct: AtomicBool,
    /// Shared with the folder: set once any file could not use O_DIRECT.
    fell_back: Arc<AtomicBool>,
}

impl RawFile {
    pub(super) fn open(path: PathBuf, mode: OpenMode, fell_back: Arc<AtomicBool>) -> io::Result<RawFile> {
        let open_with = |flags: i32| {
            let mut options = fs::OpenOptions::new();
            options.read(true).write(mode != OpenMode::Read).create_new(mode == OpenMode::CreateNew);
            options.custom_flags(flags).open(&path)
        };
        let mut direct = true;
        let file = match open_with(libc::O_DIRECT) {
            // The file may have been created before the flag was refused.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                direct = false;
                note_fallback(&fell_back, &path);
                match open_with(0) {
                    Err(again) if again.kind() == io::ErrorKind::AlreadyExists => {
                        fs::OpenOptions::new().read(true).write(true).open(&path)
                    }
                    outcome => outcome,
                }
            }
            outcome => outcome,
        };
        let action = if mode == OpenMode::CreateNew { "create" } else { "open" };
        let file = file.map_err(|error| name_path(error, action, &path))?;
        Ok(RawFile {
            file,
            path,
            writable: mode != OpenMode::Read,
            sync_failed: AtomicBool::new(false),
            direct: AtomicBool::new(direct),
            fell_back,
        })
    }

    /// What the file is called now: it may have been renamed within its folder since it was opened.
    fn path(&self) -> PathBuf {
        let link = fs::read_link(format!("/proc/self/fd/{}", self.file.as_raw_fd())).ok();
        let name = link.as_deref().and_then(Path::file_name);
        name.map_or_else(|| self.path.clone(), |name| self.path.with_file_name(name))
    }

    pub(super) fn read_exact(&self, buf: &mut IoBuf, offset: u64) -> io::Result<()> {
        self.continue_read(buf, offset, 0)
    }

    /// Reads what is left of `buf` after `filled` bytes.
    ///
    /// A transfer cut short is taken up again at the last whole block, as O_DIRECT demands; the
    /// file ends where that brings nothing new.
    fn continue_read(&self, buf: &mut IoBuf, offset: u64, mut filled: usize) -> io::Result<()> {
        while filled < buf.len() {
            let restart = filled - filled % BLOCK_SIZE;
            let direct = self.is_direct();
            match self.file.read_at(&mut buf[restart..], offset + restart as u64) {
                Ok(count) if restart + count > filled => filled = restart + count,
                Ok(_) => {
                    let size_bytes = self.size()?;
                    return Err(past_end(&self.path().display().to_string(), offset, buf.len(), size_bytes));
                }
                Err(error) => self.tolerate(error, "read", direct)?,
            }
        }
        Ok(())
    }

    pub(super) fn write_all(&self, buf: &IoBuf, offset: u64) -> io::Result<()> {
        self.check_writable()?;
        self.continue_write(buf, offset, 0)
    }

    /// Writes what is left of `buf` after `done` bytes, as [`RawFile::continue_read`] reads.
    fn continue_write(&self, buf: &IoBuf, offset: u64, mut done: usize) -> io::Result<()> {
        while done < buf.len() {
            let restart = done - done % BLOCK_SIZE;
            let direct = self.is_direct();
            match self.file.write_at(&buf[restart..], offset + restart as u64) {
                Ok(count) if restart + count > done => done = restart + count,
                Ok(_) => return Err(name_path(io::ErrorKind::WriteZero.into(), "write", &self.path())),
                Err(error) => self.tolerate(error, "write", direct)?,
            }
        }
        Ok(())
    }

    /// Whether transfers bypass the page cache at present.
    pub(super) fn is_direct(&self) -> bool {
        self.direct.load(Ordering::Acquire)
    }

    /// Gives `Ok` where a transfer is worth repeating: interrupted, or refused for O_DIRECT, which
    /// was on when the transfer began if `direct`.
    fn tolerate(&self, error: io::Error, action: &'static str, direct: bool) -> io::Result<()> {
        if error.kind() == io::ErrorKind::Interrupted {
            return Ok(());
        }
        if error.raw_os_error() == Some(libc::EINVAL) && direct {
            self.clear_direct().map_err(|error| name_path(error, action, &self.path()))?;
            self.direct.store(false, Ordering::Release);
            note_fallback(&self.fell_back, &self.path());
            return Ok(());
        }
        Err(name_path(error, action, &self.path()))
    }

    fn clear_direct(&self) -> io::Result<()> {
        // SAFETY: fcntl on a descriptor we own, with integer arguments only.
        let flags = unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_GETFL) };
        if flags < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: as above.
        let outcome = unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_SETFL, flags & !libc::O_DIRECT) };
        if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    pub(super) fn check_writable(&self) -> io::Result<()> {
        if !self.writable {
            return Err(read_only(&self.path().display().to_string()));
        }
        self.check_not_poisoned()
    }

    fn check_not_poisoned(&self) -> io::Result<()> {
        if self.sync_failed.load(Ordering::Acquire) {
            let message = format!(
                "an earlier sync of {} failed: what was written since the last good one may be lost",
                self.path().display()
            );
            return Err(io::Error::other(message));
        }
        Ok(())
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.check_not_poisoned()?;
        self.file.sync_data().map_err(|error| {
            self.sync_failed.store(true, Ordering::Release);
            name_path(error, "sync", &self.path())
        })
    }

    pub(super) fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata().map_err(|error| name_path(error, "measure", &self.path()))?.len())
    }

    pub(super) fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.check_writable()?;
        self.file.set_len(bytes).map_err(|error| name_path(error, "resize", &self.path()))
    }

    pub(super) fn punch_hole(&self, offset: u64, length_bytes: u64) -> io::Result<()> {
        self.check_writable()?;
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        loop {
            // SAFETY: a system call on a descriptor we own, with integer arguments only.
            let outcome = unsafe {
                libc::fallocate(
                    self.file.as_raw_fd(),
                    mode,
                    offset as libc::off_t,
                    length_bytes as libc::off_t,
                )
            };
            if outcome == 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINTR) => {}
                // The file system has no holes: the trait allows leaving the range as it is.
                Some(libc::EOPNOTSUPP | libc::ENOSYS) => return Ok(()),
                _ => return Err(name_path(error, "punch a hole in", &self.path())),
            }
        }
    }

    pub(super) fn is_writable(&self) -> bool {
        self.writable
    }

    /// Runs a sync that another does, with the bookkeeping of [`RawFile::sync`].
    pub(super) async fn sync_with(&self, sync: impl Future<Output = io::Result<()>>) -> io::Result<()> {
        self.check_not_poisoned()?;
        sync.await.map_err(|error| {
            self.sync_failed.store(true, Ordering::Release);
            name_path(error, "sync", &self.path())
        })
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

fn note_fallback(fell_back: &AtomicBool, path: &Path) {
    if !fell_back.swap(true, Ordering::Relaxed) {
        tracing::warn!(path = %path.display(), "the file system refuses O_DIRECT: using the page cache");
    }
}

/// What is being done when a folder cannot be made.
pub(super) const CREATE_FOLDER: &str = "create folder";

/// The same error, saying what was being done to which path.
pub(super) fn name_path(error: io::Error, action: &'static str, path: &Path) -> io::Error {
    let kind = error.kind();
    io::Error::new(kind, PathError { action, path: path.to_owned(), error })
}

#[derive(Debug)]
struct PathError {
    action: &'static str,
    path: PathBuf,
    error: io::Error,
}

impl std::fmt::Display for PathError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot {} {}: {}", self.action, self.path.display(), self.error)?;
        f.write_str(match self.error.kind() {
            io::ErrorKind::PermissionDenied => {
                "; the user that runs this must be able to read and write there"
            }
            io::ErrorKind::ReadOnlyFilesystem => "; it has to be mounted for writing",
            io::ErrorKind::AlreadyExists if self.action == CREATE_FOLDER => "; name another folder",
            io::ErrorKind::NotADirectory => "; name another folder",
            _ => "",
        })
    }
}

impl std::error::Error for PathError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
