//! Files outside of the database's folder: what people name in COPY.
//!
//! Only regular files: a pipe or a terminal would keep the thread waiting, and with it all that it serves.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A file that is read from its beginning to its end.
#[derive(Debug)]
pub struct InputFile(File);

impl InputFile {
    /// Opens a file.
    ///
    /// # Errors
    /// `IsADirectory`; `InvalidInput` for what is no regular file; what the operating system says.
    pub fn open(path: &Path) -> io::Result<InputFile> {
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        regular(file).map(InputFile)
    }

    /// The next bytes, at most as many as `buffer` has room for; 0 at the end.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

/// A file that is written from its beginning.
#[derive(Debug)]
pub struct OutputFile(File);

impl OutputFile {
    /// Makes a file, or empties the one that there is. Others than its owner may read it.
    ///
    /// # Errors
    /// `IsADirectory`; `InvalidInput` for what is no regular file; what the operating system says.
    pub fn create(path: &Path) -> io::Result<OutputFile> {
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).mode(0o644).custom_flags(libc::O_NONBLOCK);
        let file = regular(options.open(path)?)?;
        file.set_len(0)?;
        Ok(OutputFile(file))
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// What the operating system says; some of the bytes may be written then.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }
}

fn regular(file: File) -> io::Result<File> {
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !kind.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        OutputFile::create(&path).unwrap().write(b"something longer").unwrap();
        OutputFile::create(&path).unwrap().write(b"rows").unwrap();
        let mut input = InputFile::open(&path).unwrap();
        let mut buffer = [0; 16];
        assert_eq!(input.read(&mut buffer).unwrap(), 4);
        assert_eq!(&buffer[..4], b"rows");
        assert_eq!(input.read(&mut buffer).unwrap(), 0);
    }

    #[test]
    fn only_regular_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let error = InputFile::open(folder.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
        let error = InputFile::open(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let error = OutputFile::create(Path::new("/dev/null")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
