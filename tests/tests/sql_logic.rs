//! Runs every `.slt` file under `tests/sql`, each on a database of its own, through the embedded API.
//! What the files expect is what PostgreSQL 15 answers.

use std::path::{Path, PathBuf};

use heliosdb_nano::{EmbeddedDatabase, Error, Value};
use sqllogictest::{DB, DBOutput, DefaultColumnType, Runner};

struct Embedded(EmbeddedDatabase);

#[derive(Debug)]
struct Failure(Error);

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.0.sqlstate(), self.0)
    }
}

impl std::error::Error for Failure {}

impl DB for Embedded {
    type Error = Failure;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Failure> {
        let mut statement = self.0.prepare(sql).map_err(Failure)?;
        if statement.column_count() == 0 {
            return statement.execute(&[]).map(DBOutput::StatementComplete).map_err(Failure);
        }
        let rows = statement.query(&[]).map_err(Failure)?;
        let text = |value: &Value| match value {
            Value::Text(text) if text.is_empty() => "(empty)".to_string(),
            other => other.to_string(),
        };
        let rows = rows.iter().map(|row| row.values().iter().map(text).collect()).collect();
        Ok(DBOutput::Rows { types: vec![DefaultColumnType::Any; statement.column_count()], rows })
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder of test files") {
        let path = entry.expect("a test file").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "slt") {
            found.push(path);
        }
    }
}

#[test]
fn all_files() {
    let mut found = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("sql"), &mut found);
    found.sort();
    assert!(!found.is_empty(), "no test files were found");
    let mut failures = Vec::new();
    for file in found {
        let mut runner =
            Runner::new(|| async { Ok(Embedded(EmbeddedDatabase::new_in_memory().map_err(Failure)?)) });
        if let Err(error) = runner.run_file(&file) {
            failures.push(format!("{}", error.display(false)));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
