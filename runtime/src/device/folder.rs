//! A folder on disk: what the backends that use the operating system's files share.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::OpenMode;
use super::checks::{LOCK_FILE_NAME, PROBE_FILE_NAME, check_name};
use super::raw_file::{CREATE_FOLDER, RawFile, name_path};

/// An open folder.
pub(super) struct Folder {
    path: PathBuf,
    handle: fs::File,
    fell_back: Arc<AtomicBool>,
}

impl Folder {
    /// Creates the folder, its parents too, and makes its own entry durable.
    pub(super) fn create(path: &Path) -> io::Result<Folder> {
        fs::create_dir_all(path).map_err(|error| name_path(error, CREATE_FOLDER, path))?;
        let folder = Folder::open(path)?;
        let path = path.canonicalize().map_err(|error| name_path(error, "resolve", path))?;
        if let Some(parent) = path.parent() {
            // A parent that we may not read is no reason to refuse: the entry only becomes durable later.
            if let Ok(parent_handle) = fs::File::open(parent) {
                parent_handle.sync_all().map_err(|error| name_path(error, "sync folder", parent))?;
            }
        }
        Ok(folder)
    }

    pub(super) fn open(path: &Path) -> io::Result<Folder> {
        let metadata = fs::metadata(path).map_err(|error| name_path(error, "open folder", path))?;
        if !metadata.is_dir() {
            return Err(name_path(io::ErrorKind::NotADirectory.into(), "open folder", path));
        }
        let handle = fs::File::open(path).map_err(|error| name_path(error, "open folder", path))?;
        // Absolute, so that a later change of the working folder cannot move the database.
        let path = path.canonicalize().map_err(|error| name_path(error, "resolve", path))?;
        Ok(Folder { path, handle, fell_back: Arc::default() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether some file had to be opened without O_DIRECT.
    pub(super) fn fell_back(&self) -> bool {
        self.fell_back.load(Ordering::Relaxed)
    }

    pub(super) fn open_file(&self, name: &str, mode: OpenMode) -> io::Result<RawFile> {
        check_name(name)?;
        RawFile::open(self.path.join(name), mode, self.fell_back.clone())
    }

    pub(super) fn list(&self) -> io::Result<Vec<String>> {
        let fail = |error| name_path(error, "list folder", &self.path);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            // What is no plain file with a UTF-8 name is none of ours.
            if let Ok(name) = entry.file_name().into_string()
                && name != LOCK_FILE_NAME
                && name != PROBE_FILE_NAME
                && entry.file_type().map_err(fail)?.is_file()
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        check_name(name)?;
        let path = self.path.join(name);
        fs::remove_file(&path).map_err(|error| name_path(error, "remove", &path))
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        check_name(from)?;
        check_name(to)?;
        let from = self.path.join(from);
        fs::rename(&from, self.path.join(to)).map_err(|error| name_path(error, "rename", &from))
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.handle.sync_all().map_err(|error| name_path(error, "sync folder", &self.path))
    }

    /// Locks the folder by flock, which a second opener in this process meets as well.
    pub(super) fn lock(&self) -> io::Result<Box<dyn Send + Sync>> {
        let path = self.path.join(LOCK_FILE_NAME);
        let mut options = fs::OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| name_path(error, "open the lock file", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Only a hint: the holder may not have written it yet.
                let _ = file.take(32).read_to_string(&mut holder);
                let holder = match holder.trim().parse::<u32>() {
                    Ok(process) => format!("process {process}"),
                    Err(_) => "another process".to_owned(),
                };
                let message = format!("the folder {} is in use by {holder}", self.path.display());
                return Err(io::Error::new(io::ErrorKind::WouldBlock, message));
            }
            Err(fs::TryLockError::Error(error)) => return Err(name_path(error, "lock", &path)),
        }
        // The number is for people only, so that failing to write it must not refuse the lock.
        if file.set_len(0).and_then(|()| write!(file, "{}", std::process::id())).is_err() {
            tracing::debug!(path = %path.display(), "the process number was not written to the lock file");
        }
        Ok(Box::new(file))
    }
}
