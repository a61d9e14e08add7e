//! The list of functions in COMPATIBILITY.md is what there is: of the names in `tests/functions.txt`, which are those that
//! people call of PostgreSQL 15's functions, each is in the list of what exists or in that of what is missing.
//! `HELIOS_FUNCTIONS=write` writes the lists anew.
#![allow(clippy::disallowed_methods)] // it reads and writes the project's own files

use std::collections::BTreeSet;

use heliosdb_nano::{EmbeddedDatabase, params};

const NAMES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/functions.txt");
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../COMPATIBILITY.md");
const BEGIN: &str = "<!-- functions: generated -->\n";
const END: &str = "<!-- functions: end -->\n";

/// Whether there is a function of a name: in the catalog, or with a syntax or a place of its own.
fn exists(database: &EmbeddedDatabase, known: &BTreeSet<String>, name: &str) -> bool {
    if known.contains(name) {
        return true;
    }
    match database.query(&format!("SELECT {name}()"), params![]) {
        Ok(_) => true,
        Err(error) => error.message() != format!("function {name}() does not exist"),
    }
}

fn listed(words: &[&str]) -> String {
    let mut text = String::new();
    let mut width = 0;
    for (at, word) in words.iter().enumerate() {
        let end = if at + 1 < words.len() { "," } else { "." };
        if width + word.len() > 115 {
            text.push('\n');
            width = 0;
        } else if at > 0 {
            text.push(' ');
        }
        text.push_str(&format!("`{word}`{end}"));
        width += word.len() + 4;
    }
    text
}

#[test]
fn the_list_of_functions_is_current() {
    let database = EmbeddedDatabase::new_in_memory().expect("a database");
    let rows = database.query("SELECT DISTINCT proname::text AS name FROM pg_proc", params![]).expect("rows");
    let known: BTreeSet<String> = rows.iter().map(|row| row.get("name").expect("a name")).collect();
    let names = std::fs::read_to_string(NAMES).expect("the file of names");
    let (present, missing): (Vec<&str>, Vec<&str>) =
        names.lines().partition(|name| exists(&database, &known, name));
    let found = format!(
        "Of the {} functions that people call in PostgreSQL 15, {} exist, perhaps not with all their forms:\n\n{}\n\n\
         These {} are missing; most belong to types and features that are:\n\n{}\n",
        names.lines().count(),
        present.len(),
        listed(&present),
        missing.len(),
        listed(&missing)
    );
    let document = std::fs::read_to_string(DOCUMENT).expect("the document");
    let (before, rest) = document.split_once(BEGIN).expect("where the list begins");
    let (expected, after) = rest.split_once(END).expect("where the list ends");
    if std::env::var("HELIOS_FUNCTIONS").is_ok_and(|wish| wish == "write") {
        std::fs::write(DOCUMENT, format!("{before}{BEGIN}{found}{END}{after}")).expect("written");
        return;
    }
    assert_eq!(found, expected, "HELIOS_FUNCTIONS=write cargo test -p helios_tests --test functions");
}
