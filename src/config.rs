//! The configuration: as a struct, and as `heliosdb.toml`.

mod key;
mod message;
mod password;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::crypto::EncryptionKey;
use crate::{Error, Result};

/// Threads that serve connections, at most.
const WORKER_THREADS_MAX: usize = 1_024;

/// How pages are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CompressionType {
    None,
    Lz4,
    #[default]
    Zstd,
}

/// `[storage]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageConfig {
    /// Where the database is; `./heliosdb-data` if the program names no other place.
    pub path: Option<PathBuf>,
    pub memory_only: bool,
    /// In bytes.
    pub cache_size: u64,
    pub compression: CompressionType,
    pub wal_enabled: bool,
    /// Accepted here too; the top level wins.
    pub retention_days: Option<u32>,
    /// Accepted here too; the top level wins.
    pub compact_interval_hours: Option<u32>,
}

impl Default for StorageConfig {
    fn default() -> StorageConfig {
        StorageConfig {
            path: None,
            memory_only: false,
            cache_size: 134_217_728,
            compression: CompressionType::default(),
            wal_enabled: true,
            retention_days: None,
            compact_interval_hours: None,
        }
    }
}

/// Who is believed to be the role that they say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthenticationMethod {
    /// Whoever is on the server's machine; nobody else is served.
    #[default]
    Trust,
    /// Nobody: all clients show that they know the role's password.
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
}

impl AuthenticationMethod {
    /// Its name in PostgreSQL, and in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            AuthenticationMethod::Trust => "trust",
            AuthenticationMethod::ScramSha256 => "scram-sha-256",
        }
    }
}

/// `[server]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    pub listen_addr: String,
    pub port: u16,
    pub max_connections: u32,
    /// The rule for all hosts, where there is no `hba_file`.
    pub auth: AuthenticationMethod,
    /// Rules for hosts as in PostgreSQL's pg_hba.conf.
    pub hba_file: Option<PathBuf>,
    /// Which users may be which roles, as in PostgreSQL's pg_ident.conf.
    pub ident_file: Option<PathBuf>,
    /// Where the password is that the first superuser gets, if it has none.
    pub superuser_password: Option<KeySource>,
    pub tls_enabled: bool,
    pub tls_cert_path: Option<PathBuf>,
    pub tls_key_path: Option<PathBuf>,
    /// The certificates of who vouches for clients' certificates.
    pub tls_ca_path: Option<PathBuf>,
}

impl Default for ServerConfig {
    fn default() -> ServerConfig {
        ServerConfig {
            listen_addr: "127.0.0.1".into(),
            port: 5432,
            max_connections: 100,
            auth: AuthenticationMethod::default(),
            hba_file: None,
            ident_file: None,
            superuser_password: None,
            tls_enabled: false,
            tls_cert_path: None,
            tls_key_path: None,
            tls_ca_path: None,
        }
    }
}

/// `[performance]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PerformanceConfig {
    /// Unset: one for each core.
    pub worker_threads: Option<usize>,
    pub simd_enabled: bool,
    pub parallel_query: bool,
    /// 0: no limit.
    pub query_timeout_secs: u64,
}

impl Default for PerformanceConfig {
    fn default() -> PerformanceConfig {
        PerformanceConfig {
            worker_threads: None,
            simd_enabled: true,
            parallel_query: true,
            query_timeout_secs: 300,
        }
    }
}

/// Where a secret is found: the master key, or a password.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub enum KeySource {
    /// The environment variable of this name.
    Environment(String),
    /// The file of this name.
    File(PathBuf),
}

/// `[encryption]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EncryptionConfig {
    pub enabled: bool,
    pub algorithm: String,
    pub key_source: KeySource,
}

impl Default for EncryptionConfig {
    fn default() -> EncryptionConfig {
        EncryptionConfig {
            enabled: false,
            algorithm: "Aes256Gcm".into(),
            key_source: KeySource::Environment("HELIOSDB_ENCRYPTION_KEY".into()),
        }
    }
}

/// `[audit]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditConfig {
    pub enabled: bool,
    pub log_path: Option<PathBuf>,
}

/// Everything that can be configured.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub storage: StorageConfig,
    pub server: ServerConfig,
    pub performance: PerformanceConfig,
    pub encryption: EncryptionConfig,
    pub audit: AuditConfig,
    /// For how many days history is kept; 0 keeps what branches and open snapshots need. Unset: all of it.
    pub retention_days: Option<u32>,
    /// How often older history is cut.
    pub compact_interval_hours: u32,
    /// Turns encryption on with this key; it never comes from a file.
    #[serde(skip)]
    pub encryption_key: Option<EncryptionKey>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            storage: StorageConfig::default(),
            server: ServerConfig::default(),
            performance: PerformanceConfig::default(),
            encryption: EncryptionConfig::default(),
            audit: AuditConfig::default(),
            retention_days: None,
            compact_interval_hours: 24,
            encryption_key: None,
        }
    }
}

impl Config {
    /// The defaults for a database in memory.
    #[must_use]
    pub fn in_memory() -> Config {
        Config {
            storage: StorageConfig { memory_only: true, ..StorageConfig::default() },
            ..Config::default()
        }
    }

    /// Reads `heliosdb.toml`'s text.
    ///
    /// # Errors
    /// An unknown key or a bad value: the message names it and says what is allowed.
    pub fn from_toml(text: &str) -> Result<Config> {
        let mut config: Config =
            toml::from_str(text).map_err(|error| Error::config(message::of(&error, text)))?;
        config.retention_days = config.retention_days.or(config.storage.retention_days);
        if let Some(hours) = config.storage.compact_interval_hours
            && config.compact_interval_hours == Config::default().compact_interval_hours
        {
            config.compact_interval_hours = hours;
        }
        config.validate()?;
        Ok(config)
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    /// Those of reading the file and of [`Config::from_toml`].
    #[allow(clippy::disallowed_methods)] // the configuration lies beside the database, not in it
    pub fn from_file(path: impl AsRef<Path>) -> Result<Config> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::config(format!("cannot read {}: {error}", path.display())))?;
        Config::from_toml(&text).map_err(|error| Error::config(format!("{}: {error}", path.display())))
    }

    /// Tests what types cannot.
    ///
    /// # Errors
    /// A value outside of what is allowed, by name.
    pub fn validate(&self) -> Result<()> {
        if self.server.max_connections == 0 {
            return Err(Error::config("server.max_connections = 0 is not allowed: at least 1 is needed"));
        }
        if self.compact_interval_hours == 0 {
            return Err(Error::config("compact_interval_hours = 0 is not allowed: at least 1 is needed"));
        }
        if self.performance.worker_threads == Some(0) {
            return Err(Error::config("performance.worker_threads = 0 is not allowed: at least 1 is needed"));
        }
        if let Some(threads) = self.performance.worker_threads.filter(|threads| *threads > WORKER_THREADS_MAX)
        {
            return Err(Error::config(format!(
                "performance.worker_threads = {threads} is not allowed: at most {WORKER_THREADS_MAX} are, and one for each core is best"
            )));
        }
        if self.encryption.algorithm != "Aes256Gcm" {
            return Err(Error::config(format!(
                "encryption.algorithm = \"{}\" is not allowed: only \"Aes256Gcm\" is",
                self.encryption.algorithm
            )));
        }
        if self.server.tls_enabled
            && (self.server.tls_cert_path.is_none() || self.server.tls_key_path.is_none())
        {
            return Err(Error::config(
                "server.tls_enabled = true needs server.tls_cert_path and server.tls_key_path",
            ));
        }
        Ok(())
    }

    /// Where the database is.
    #[must_use]
    pub fn storage_path(&self) -> PathBuf {
        self.storage.path.clone().unwrap_or_else(|| PathBuf::from("./heliosdb-data"))
    }

    /// What is in force, for `system_config`.
    #[must_use]
    pub fn entries(&self) -> Vec<(String, String)> {
        let path =
            |path: &Option<PathBuf>| path.as_ref().map_or(String::new(), |path| path.display().to_string());
        let days = self.retention_days.map_or_else(|| "all".into(), |days| days.to_string());
        let threads =
            self.performance.worker_threads.map_or_else(|| "cores".into(), |count| count.to_string());
        let compression = format!("{:?}", self.storage.compression).to_lowercase();
        let encrypted = self.encryption.enabled || self.encryption_key.is_some();
        [
            ("storage.path", self.storage_path().display().to_string()),
            ("storage.memory_only", self.storage.memory_only.to_string()),
            ("storage.cache_size", self.storage.cache_size.to_string()),
            ("storage.compression", compression),
            ("storage.wal_enabled", self.storage.wal_enabled.to_string()),
            ("retention_days", days),
            ("compact_interval_hours", self.compact_interval_hours.to_string()),
            ("server.listen_addr", self.server.listen_addr.clone()),
            ("server.port", self.server.port.to_string()),
            ("server.max_connections", self.server.max_connections.to_string()),
            ("server.auth", self.server.auth.name().to_string()),
            ("server.hba_file", path(&self.server.hba_file)),
            ("server.ident_file", path(&self.server.ident_file)),
            ("server.tls_enabled", self.server.tls_enabled.to_string()),
            ("server.tls_cert_path", path(&self.server.tls_cert_path)),
            ("server.tls_key_path", path(&self.server.tls_key_path)),
            ("server.tls_ca_path", path(&self.server.tls_ca_path)),
            ("performance.worker_threads", threads),
            ("performance.simd_enabled", self.performance.simd_enabled.to_string()),
            ("performance.parallel_query", self.performance.parallel_query.to_string()),
            ("performance.query_timeout_secs", self.performance.query_timeout_secs.to_string()),
            ("encryption.enabled", encrypted.to_string()),
            ("encryption.algorithm", self.encryption.algorithm.clone()),
            ("audit.enabled", self.audit.enabled.to_string()),
            ("audit.log_path", path(&self.audit.log_path)),
        ]
        .map(|(name, value)| (name.to_string(), value))
        .to_vec()
    }
}
