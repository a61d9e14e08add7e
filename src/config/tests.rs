//! What a configuration file may say, and what is said of one that is wrong.

use super::{CompressionType, Config, KeySource};

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
