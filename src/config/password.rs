//! Finding the superuser's first password where a configuration says it is.

use std::env;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use zeroize::Zeroizing;

use super::{Config, KeySource};
use crate::{Error, Result};

/// Longer passwords are a mistake: a wrong file, most likely.
const PASSWORD_BYTES_MAX: u64 = 1_024;

impl Config {
    /// Reads the password from where `server.superuser_password` says; `None` where it says nothing.
    ///
    /// # Errors
    /// Where there is no password, or it is empty or no text.
    pub fn superuser_password(&self) -> Result<Option<Zeroizing<String>>> {
        let (password, place) = match &self.server.superuser_password {
            None => return Ok(None),
            Some(KeySource::Environment(name)) => {
                (from_environment(name)?, format!("the environment variable {name}"))
            }
            Some(KeySource::File(path)) => (from_file(path)?, path.display().to_string()),
        };
        if password.is_empty() {
            return Err(Error::config(format!("{place}, which server.superuser_password names, is empty")));
        }
        Ok(Some(password))
    }
}

fn from_environment(name: &str) -> Result<Zeroizing<String>> {
    match env::var(name) {
        Ok(password) => Ok(Zeroizing::new(password)),
        Err(env::VarError::NotPresent) => Err(Error::config(format!(
            "the environment variable {name} that server.superuser_password names is not set"
        ))),
        Err(env::VarError::NotUnicode(_)) => Err(Error::config(format!(
            "the environment variable {name} holds no password: it is not in UTF-8"
        ))),
    }
}

/// The line end that editors leave is no part of the password.
#[allow(clippy::disallowed_methods)] // the password lies beside the database, not in it
fn from_file(path: &Path) -> Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    let read = File::open(path).and_then(|file| file.take(PASSWORD_BYTES_MAX).read_to_string(&mut text));
    read.map_err(|error| Error::config(format!("cannot read the password in {}: {error}", path.display())))?;
    let password =
        text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(Zeroizing::new(password.to_string()))
}
