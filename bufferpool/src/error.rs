//! What can go wrong between pages and the device.

/// Errors of the page file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The device failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// Bytes on the device are not what was written there.
    #[error("data corruption: {0}")]
    Corruption(String),
    /// The folder cannot be opened as asked; the text says why and what to do.
    #[error("{0}")]
    Open(String),
}

/// The result of a page file operation.
pub type Result<T> = std::result::Result<T, Error>;
