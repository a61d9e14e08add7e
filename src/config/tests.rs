//! What a configuration file may say, and what is said of one that is wrong.

use super::{AuthenticationMethod, CompressionType, Config, KeySource};

#[test]
fn every_field_is_read() {
    let text = r#"
        retention_days = 30
        [storage]
        path = "/var/lib/heliosdb"
        memory_only = false
        cache_size = 536870912
        compression = "lz4"
        wal_enabled = false
        compact_interval_hours = 12
        [server]
        listen_addr = "0.0.0.0"
        port = 5433
        max_connections = 50
        auth = "scram-sha-256"
        superuser_password = { Environment = "PASSWORD" }
        tls_enabled = true
        tls_cert_path = "/etc/cert.pem"
        tls_key_path = "/etc/key.pem"
        [performance]
        worker_threads = 8
        simd_enabled = false
        parallel_query = false
        query_timeout_secs = 10
        [encryption]
        enabled = true
        algorithm = "Aes256Gcm"
        key_source = { File = "/etc/key" }
        [audit]
        enabled = true
        log_path = "/var/log/audit.log"
    "#;
    let config = Config::from_toml(text).expect("a right file");
    assert_eq!(config.storage.compression, CompressionType::Lz4);
    assert_eq!((config.retention_days, config.compact_interval_hours), (Some(30), 12));
    assert_eq!((config.server.port, config.server.max_connections), (5433, 50));
    assert_eq!(config.server.auth, AuthenticationMethod::ScramSha256);
    assert_eq!(config.server.superuser_password, Some(KeySource::Environment("PASSWORD".into())));
    assert_eq!(config.performance.worker_threads, Some(8));
    assert_eq!(config.encryption.key_source, KeySource::File("/etc/key".into()));
    assert!(config.audit.enabled && !config.storage.wal_enabled && config.server.tls_enabled);
}

#[test]
fn an_empty_file_gives_the_defaults() {
    assert_eq!(Config::from_toml("").expect("a right file"), Config::default());
    let config = Config::default();
    assert_eq!((config.storage.cache_size, config.server.port), (134_217_728, 5432));
    assert_eq!(
        (config.server.listen_addr.as_str(), config.performance.query_timeout_secs),
        ("127.0.0.1", 300)
    );
    assert!(Config::in_memory().storage.memory_only);
}

#[test]
fn errors_name_the_key_the_value_and_what_is_allowed() {
    let cases = [
        ("[storage]\ncach_size = 1", &["line 2", "cach_size", "`cache_size`"][..]),
        ("[storage]\ncompression = \"gzip\"", &["line 2", "compression", "gzip", "`none`, `lz4`, `zstd`"]),
        ("[server]\nport = 70000", &["port = 70000", "whole numbers from 0 to 65535"]),
        ("[server]\nport = \"x\"", &["port = \"x\"", "whole numbers from 0 to 65535"]),
        ("[server]\ntls_enabled = 1", &["tls_enabled = 1", "true and false"]),
        ("[server]\nauth = \"md5\"", &["auth", "md5", "`trust` or `scram-sha-256`"]),
        ("[servers]\nport = 1", &["servers", "`server`"]),
        ("[server]\nmax_connections = 0", &["max_connections = 0", "at least 1"]),
        ("[encryption]\nalgorithm = \"Rot13\"", &["Rot13", "Aes256Gcm"]),
        ("[encryption]\nkey_source = { Env = \"A\" }", &["Env", "`Environment`"]),
        ("[storage\n", &["line 1"]),
    ];
    for (text, expected) in cases {
        let error = Config::from_toml(text).expect_err(text).to_string();
        for part in expected {
            assert!(error.contains(part), "{text:?} gives {error:?}, without {part:?}");
        }
    }
}

#[test]
fn a_key_that_is_nowhere_is_an_error_that_says_where_it_was_sought() {
    let mut config = Config::default();
    assert!(config.load_encryption_key().is_ok(), "encryption is off");
    config.encryption.enabled = true;
    config.encryption.key_source = KeySource::Environment("HELIOSDB_NO_SUCH_KEY".into());
    let error = config.load_encryption_key().expect_err("no key").to_string();
    assert!(error.contains("HELIOSDB_NO_SUCH_KEY"), "{error}");
    config.encryption.key_source = KeySource::File("/nowhere/key".into());
    let error = config.load_encryption_key().expect_err("no key").to_string();
    assert!(error.contains("/nowhere/key"), "{error}");
}

/// The password is what a file's line or a variable holds, and nothing where none is configured.
#[test]
#[allow(clippy::disallowed_methods)] // a file of the test's own
fn the_first_password_is_read_from_where_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    let mut config = Config::default();
    assert!(config.superuser_password().expect("none").is_none());
    config.server.superuser_password = Some(KeySource::File(file.clone()));
    assert!(config.superuser_password().is_err());
    for (contents, password) in [("secret", "secret"), ("se cret \n", "se cret "), ("a\r\n", "a")] {
        std::fs::write(&file, contents).expect("written");
        let found = config.superuser_password().expect("readable").expect("a password");
        assert_eq!(found.as_str(), password);
    }
    std::fs::write(&file, "\n").expect("written");
    assert!(config.superuser_password().expect_err("empty").to_string().contains("is empty"));
    config.server.superuser_password = Some(KeySource::Environment("NO_SUCH_VARIABLE_HERE".into()));
    assert!(config.superuser_password().expect_err("not set").to_string().contains("NO_SUCH_VARIABLE_HERE"));
}
