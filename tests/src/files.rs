//! The SQL files and how one is run: every record, whatever became of those before it.
#![allow(clippy::disallowed_methods)] // it looks for the files

use std::path::{Path, PathBuf};

use sqllogictest::{AsyncDB, MakeConnection, Record, Runner};

/// All `.slt` files below a folder, in the order of their names.
#[must_use]
pub fn sql_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(folder, &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder of test files") {
        let path = entry.expect("a test file").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "slt") {
            found.push(path);
        }
    }
}

/// Whether a file is about what PostgreSQL does not have.
#[must_use]
pub fn is_own(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "own")
}

/// Runs a file's records and describes those that did not go as expected.
pub fn failures<D: AsyncDB, M: MakeConnection<Conn = D>>(
    runner: &mut Runner<D, M>,
    file: &Path,
) -> Vec<String> {
    let records = match sqllogictest::parse_file::<D::ColumnType>(file) {
        Ok(records) => records,
        Err(error) => return vec![error.to_string()],
    };
    let mut failures = Vec::new();
    for record in records {
        if matches!(record, Record::Halt { .. }) {
            break;
        }
        if let Err(error) = runner.run(record) {
            failures.push(error.display(false).to_string());
        }
    }
    failures
}
