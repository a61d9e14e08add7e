//! The relations of `pg_catalog` and `information_schema` are PostgreSQL 15's: their columns by name, order, type and NOT
//! NULL, and where PostgreSQL has rows in a new database there are rows here. `tests/catalogs.txt` says what PostgreSQL has,
//! a relation to a line: name, kind, whether it has rows, columns. `tests/catalogs_differing.txt` names what is otherwise, and why:
//! neither more nor less. Columns of domains of `information_schema`, which are not here, have the domains' types.
#![allow(clippy::disallowed_methods)] // it reads the project's own files

use std::collections::{BTreeMap, BTreeSet};

use heliosdb_nano::{EmbeddedDatabase, params};

const EXPECTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/catalogs.txt");
const DIFFERING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/catalogs_differing.txt");

/// A relation: its kind, whether it has rows, and its columns.
type Described = (String, bool, Vec<String>);

const COLUMNS: &str = "SELECT n.nspname || '.' || c.relname AS name, c.relkind::text AS kind, \
     a.attname || ' ' || format_type(a.atttypid, a.atttypmod) \
     || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END AS described \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid \
     WHERE n.nspname IN ('pg_catalog', 'information_schema') AND c.relkind IN ('r', 'v') AND a.attnum > 0 \
     ORDER BY 1, a.attnum";

fn expected() -> BTreeMap<String, Described> {
    let text = std::fs::read_to_string(EXPECTED).expect("the file of what PostgreSQL has");
    let relation = |line: &str| {
        let mut fields = line.splitn(4, '|').map(str::to_owned);
        let mut next = || fields.next().expect("four fields");
        let (name, kind, has_rows, columns) = (next(), next(), next(), next());
        (name, (kind, has_rows == "t", columns.split(", ").map(str::to_owned).collect()))
    };
    text.lines().map(relation).collect()
}

fn present(database: &EmbeddedDatabase) -> BTreeMap<String, Described> {
    let mut found: BTreeMap<String, Described> = BTreeMap::new();
    for row in database.query(COLUMNS, params![]).expect("columns") {
        let text = |column: &str| -> String { row.get(column).expect("text") };
        let entry = found.entry(text("name")).or_insert_with(|| (text("kind"), false, Vec::new()));
        entry.2.push(text("described"));
    }
    for (name, (_, has_rows, _)) in &mut found {
        let query = format!("SELECT EXISTS (SELECT FROM {name}) AS is_there");
        let rows = database.query(&query, params![]).expect("whether there are rows");
        *has_rows = rows.into_iter().next().is_some_and(|row| row.get("is_there").expect("a truth"));
    }
    found
}

/// What is otherwise, a line for each.
fn differences(
    expected: &BTreeMap<String, Described>,
    present: &BTreeMap<String, Described>,
) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (name, (kind, has_rows, columns)) in expected {
        let Some((own_kind, own_has_rows, own_columns)) = present.get(name) else {
            found.insert(format!("{name} is missing"));
            continue;
        };
        if kind != own_kind {
            found.insert(format!("{name} is of kind {own_kind}, not {kind}"));
        }
        if *has_rows && !own_has_rows {
            found.insert(format!("{name} has no rows"));
        }
        if columns.len() != own_columns.len() {
            found.insert(format!("{name} has {} columns, not {}", own_columns.len(), columns.len()));
        }
        for (column, own) in columns.iter().zip(own_columns).filter(|(column, own)| column != own) {
            found.insert(format!("{name}: {own}, not {column}"));
        }
    }
    found
}

#[test]
fn the_catalogs_are_postgresqls() {
    let database = EmbeddedDatabase::new_in_memory().expect("a database");
    let found = differences(&expected(), &present(&database));
    let listed = std::fs::read_to_string(DIFFERING).expect("the file of differences");
    let known: BTreeSet<String> = listed
        .lines()
        .filter_map(|line| line.split_once("  # "))
        .map(|(difference, _)| difference.to_owned())
        .collect();
    let new: Vec<_> = found.difference(&known).collect();
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(new.is_empty(), "not as in PostgreSQL, and not listed with a reason:\n{new:#?}");
    assert!(gone.is_empty(), "listed, but as in PostgreSQL:\n{gone:#?}");
}
