//! Keys.

use std::fmt;

use zeroize::ZeroizeOnDrop;

use helios_runtime::{Entropy, SystemEntropy};

use crate::{Error, Result};

/// A key for AES-256. It shows nothing of itself when printed, and its memory is overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub struct EncryptionKey([u8; 32]);

impl EncryptionKey {
    /// A new random key.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn generate() -> Result<EncryptionKey> {
        let mut bytes = [0; 32];
        SystemEntropy.fill(&mut bytes).map_err(|error| Error::config(format!("no randomness: {error}")))?;
        Ok(EncryptionKey(bytes))
    }

    /// A key from its 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> EncryptionKey {
        EncryptionKey(bytes)
    }

    /// The key's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EncryptionKey(…)")
    }
}
