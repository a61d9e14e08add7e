//! Shows that folders of every format that was ever released open, hold what they held, and can be written: those under
//! `tests/folders`, unpacked, and one that is made now.
#![allow(clippy::disallowed_methods)] // it looks for the folders that are kept

use std::path::Path;

use helios_tests::kept_folder::{STATES, check, fill, unpack};
use heliosdb_nano::{EmbeddedDatabase, params};

fn use_folder(folder: &Path, config: heliosdb_nano::Config) {
    for round in 0..2i64 {
        let database = EmbeddedDatabase::with_config(folder, config.clone())
            .unwrap_or_else(|error| panic!("{} does not open: {error}", folder.display()));
        check(&database);
        database
            .execute("CREATE TABLE IF NOT EXISTS added (id BIGINT PRIMARY KEY, text TEXT)")
            .expect("a new table");
        database.execute_with("INSERT INTO added VALUES ($1, 'x')", params![round]).expect("a new row");
        let rows = database.query("SELECT count(*) FROM added", params![]).expect("the new rows");
        assert_eq!(rows[0].get_at::<i64>(0).expect("a number"), round + 1);
    }
}

#[test]
fn folders_of_all_formats_open() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("folders");
    let mut formats = 0;
    for format in std::fs::read_dir(&kept).expect("the kept folders") {
        let format = format.expect("a format").path();
        for state in STATES {
            let work = tempfile::tempdir().expect("a folder");
            let folder = work.path().join("db");
            unpack(&format.join(state.name), &folder);
            use_folder(&folder, state.config());
        }
        formats += 1;
    }
    assert!(formats > 0, "no folder is kept in {}", kept.display());
}

#[test]
fn a_folder_made_now_opens() {
    for state in STATES {
        let work = tempfile::tempdir().expect("a folder");
        let folder = work.path().join("db");
        fill(&EmbeddedDatabase::with_config(&folder, state.config()).expect("a new database"));
        use_folder(&folder, state.config());
    }
}
