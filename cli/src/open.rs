//! Opening and making databases as the command line and the configuration say.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use heliosdb_nano::{Config, EmbeddedDatabase};

/// The configuration in force: the options override the file, the file overrides the defaults. Without a folder
/// anywhere, the database is in memory.
pub fn configuration(
    file: Option<&Path>,
    data: Option<&Path>,
    memory: bool,
) -> Result<Config, Box<dyn Error>> {
    let mut config = match file {
        Some(file) => Config::from_file(file)?,
        None => Config { storage: Config::in_memory().storage, ..Config::default() },
    };
    if let Some(path) = data {
        config.storage.path = Some(path.to_path_buf());
        config.storage.memory_only = false;
    }
    config.storage.memory_only |= memory;
    Ok(config)
}

/// Opens the database of a configuration.
pub fn open(config: &Config) -> Result<EmbeddedDatabase, Box<dyn Error>> {
    let config = config.clone();
    if config.storage.memory_only {
        return Ok(EmbeddedDatabase::with_config_in_memory(config)?);
    }
    let path = config.storage_path();
    Ok(EmbeddedDatabase::with_config(path, config)?)
}

/// `heliosdb-nano init`: makes an empty database in a folder that holds nothing yet.
#[allow(clippy::disallowed_methods)] // looks at a folder that is no database yet
pub fn initialize(path: &Path) -> Result<ExitCode, Box<dyn Error>> {
    let empty = match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => return Err(format!("cannot make a database in {}: {error}", path.display()).into()),
    };
    if !empty {
        return Err(format!("cannot make a database in {}: the folder is not empty", path.display()).into());
    }
    drop(EmbeddedDatabase::new(path)?);
    println!("Initialized an empty database in {}", path.display());
    println!(
        "Open it with: heliosdb-nano repl -d {0}\nServe it with: heliosdb-nano start --data {0}",
        path.display()
    );
    Ok(ExitCode::SUCCESS)
}
