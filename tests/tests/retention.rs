//! Shows that the configuration says how long history is kept, on disk and in memory, and that a database's own setting goes
//! before it.

use heliosdb_nano::{Config, EmbeddedDatabase};

/// Whether the first version of the row of a table, two updates ago, can be read after a VACUUM.
fn first_version_is_kept(database: &EmbeddedDatabase) -> bool {
    for sql in [
        "CREATE TABLE t (id int PRIMARY KEY, v text)",
        "CREATE TABLE mark (scn bigint)",
        "INSERT INTO t VALUES (1, 'first')",
        "INSERT INTO mark VALUES (heliosdb_current_scn())",
        "UPDATE t SET v = 'second'",
        "UPDATE t SET v = 'third'",
        "VACUUM",
    ] {
        database.execute(sql).unwrap();
    }
    let kept = match database.query("SELECT v FROM t AS OF SCN (SELECT scn FROM mark)", &[]) {
        Ok(rows) => {
            assert_eq!(rows[0].get_at::<String>(0).unwrap(), "first");
            true
        }
        Err(error) => {
            assert_eq!(error.sqlstate(), "72000", "{error}");
            false
        }
    };
    let rows = database.query("SELECT v FROM t", &[]).unwrap();
    assert_eq!(rows[0].get_at::<String>(0).unwrap(), "third");
    for sql in ["DROP TABLE t", "DROP TABLE mark"] {
        database.execute(sql).unwrap();
    }
    kept
}

#[test]
fn the_configuration_says_how_long_history_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    for (days, is_kept) in [(None, true), (Some(30), true), (Some(0), false)] {
        let config = || Config { retention_days: days, ..Config::default() };
        let on_disk = EmbeddedDatabase::with_config(folder.path(), config()).unwrap();
        let in_memory =
            EmbeddedDatabase::with_config_in_memory(Config { retention_days: days, ..Config::in_memory() })
                .unwrap();
        for database in [on_disk, in_memory] {
            assert_eq!(first_version_is_kept(&database), is_kept, "{days:?} days");
            database.execute("ALTER DATABASE postgres SET heliosdb.retention_days = 0").unwrap();
            assert!(!first_version_is_kept(&database));
            database.execute("ALTER DATABASE postgres SET heliosdb.retention_days = -1").unwrap();
            assert!(first_version_is_kept(&database));
            database.execute("ALTER DATABASE postgres RESET heliosdb.retention_days").unwrap();
        }
    }
}
