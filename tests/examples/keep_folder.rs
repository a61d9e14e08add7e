//! Makes the folders that are kept of the present format: `cargo run -p helios_tests --example keep_folder -- FOLDER`

use std::path::Path;

use helios_tests::kept_folder::{STATES, check, fill, pack};
use heliosdb_nano::EmbeddedDatabase;

fn main() {
    let target = std::env::args().nth(1).expect("the folder to write to");
    for state in STATES {
        let work = tempfile::tempdir().expect("a folder");
        let folder = work.path().join("db");
        let database = EmbeddedDatabase::with_config(&folder, state.config()).expect("a new database");
        fill(&database);
        check(&database);
        let to = Path::new(&target).join(state.name);
        if state.is_closed {
            drop(database);
            pack(&folder, &to);
        } else {
            pack(&folder, &to);
            drop(database);
        }
    }
}
