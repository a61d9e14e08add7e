//! Finding the encryption key that a configuration names.

use std::env;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use zeroize::Zeroizing;

use super::{Config, KeySource};
use crate::crypto::EncryptionKey;
use crate::{Error, Result};

const KEY_BYTES: usize = 32;

impl Config {
    /// Reads the key from where `encryption.key_source` says, if encryption is on and no key was given.
    ///
    /// # Errors
    /// Where there is no key, or it is neither 64 hexadecimal digits nor, in a file, 32 bytes.
    pub fn load_encryption_key(&mut self) -> Result<()> {
        if self.encryption.enabled && self.encryption_key.is_none() {
            self.encryption_key = Some(match &self.encryption.key_source {
                KeySource::Environment(name) => from_environment(name)?,
                KeySource::File(path) => from_file(path)?,
            });
        }
        Ok(())
    }
}

fn from_environment(name: &str) -> Result<EncryptionKey> {
    let Some(value) = env::var_os(name) else {
        return Err(Error::config(format!(
            "encryption is on, but the environment variable {name} that encryption.key_source names is not set"
        )));
    };
    let value = Zeroizing::new(value.into_encoded_bytes());
    let key = from_hexadecimal(&value);
    key.ok_or_else(|| {
        Error::config(format!(
            "the environment variable {name} holds no key: 64 hexadecimal digits are needed"
        ))
    })
}

#[allow(clippy::disallowed_methods)] // the key lies beside the database, not in it
fn from_file(path: &Path) -> Result<EncryptionKey> {
    const FILE_BYTES_MAX: u64 = 4_096;
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)).map_err(|error| {
        Error::config(format!("cannot read the encryption key in {}: {error}", path.display()))
    })?;
    from_bytes(&bytes).ok_or_else(|| {
        Error::config(format!(
            "{} holds no key: 32 bytes or 64 hexadecimal digits are needed",
            path.display()
        ))
    })
}

/// A key from the contents of a file.
fn from_bytes(bytes: &[u8]) -> Option<EncryptionKey> {
    match <[u8; KEY_BYTES]>::try_from(bytes) {
        Ok(key) => Some(EncryptionKey::from_bytes(key)),
        Err(_) => from_hexadecimal(bytes),
    }
}

/// A key from its digits; blanks around them do no harm.
fn from_hexadecimal(text: &[u8]) -> Option<EncryptionKey> {
    let digits = text.trim_ascii();
    if digits.len() != 2 * KEY_BYTES {
        return None;
    }
    let mut key = [0; KEY_BYTES];
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = [pair[0], pair[1]].map(|digit| char::from(digit).to_digit(16));
        *byte = u8::try_from(high? * 16 + low?).ok()?;
    }
    Some(EncryptionKey::from_bytes(key))
}

#[cfg(test)]
mod tests {
    use super::{KEY_BYTES, from_bytes, from_hexadecimal};

    #[test]
    fn keys_are_raw_bytes_or_digits() {
        let key = from_hexadecimal(format!(" {}\n", "0aF1".repeat(16)).as_bytes()).expect("a key");
        assert_eq!(&key.as_bytes()[..4], [0x0a, 0xf1, 0x0a, 0xf1]);
        assert_eq!(from_bytes(key.as_bytes()), Some(key));
        assert_eq!(from_bytes("0af1".repeat(16).as_bytes()).map(|key| key.as_bytes()[1]), Some(0xf1));
        for wrong in ["", "0af1", &"0ag1".repeat(16), &"+af1".repeat(16), &"a".repeat(KEY_BYTES + 1)] {
            assert_eq!(from_bytes(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
