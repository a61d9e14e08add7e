//! How large relations and databases are: from the inner nodes of their trees, as far as these are in memory, and from
//! what ANALYZE found. Nothing waits, and no table is read.

use helios_mvcc::{BranchId, TreeId};

use crate::catalog::{CatalogSnapshot, Index, Rights, Table, TableEntry};
use crate::error::{Result, SqlError, SqlState};
use crate::execute::Environment;
use crate::rights::{database as secured_database, denied};
use crate::value::Datum;

/// The page that statistics count in, and what a tree has at least.
const PAGE_BYTES: u64 = 8_192;
/// `pg_read_all_stats`, whose members may see the size of every database.
const READ_ALL_STATS: u32 = 3375;
/// The tablespace that everything is in.
const DEFAULT_TABLESPACE: (u32, &str) = (1663, "pg_default");
const GLOBAL_TABLESPACE: (u32, &str) = (1664, "pg_global");

/// Calls a function; `None` for one that is not of this family.
pub(super) fn call(environment: &Environment, name: &str, arguments: &[Datum]) -> Option<Result<Datum>> {
    let object = arguments.first().cloned().unwrap_or_default();
    let of_relation =
        |size: fn(&Environment, u32) -> Option<u64>| Ok(bytes(size(environment, number(&object))));
    Some(match name {
        "pg_relation_size" => fork(arguments.get(1)).map(|is_main| {
            let size = relation(environment, number(&object));
            bytes(size.map(|size| if is_main { size } else { 0 }))
        }),
        "pg_table_size" => of_relation(relation),
        "pg_indexes_size" => of_relation(indexes),
        "pg_total_relation_size" => of_relation(|environment, oid| {
            Some(relation(environment, oid)? + indexes(environment, oid).unwrap_or(0))
        }),
        "pg_database_size" => database(environment, &object),
        "pg_tablespace_size" => tablespace(environment, &object),
        _ => return None,
    })
}

fn number(object: &Datum) -> u32 {
    object.as_i64().and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
}

fn bytes(size: Option<u64>) -> Datum {
    size.map_or(Datum::Null, |size| Datum::Int64(i64::try_from(size).unwrap_or(i64::MAX)))
}

/// Whether a fork is the one that has the rows; there are no others here.
fn fork(name: Option<&Datum>) -> Result<bool> {
    match name.and_then(Datum::as_text) {
        None | Some("main") => Ok(true),
        Some("fsm" | "vm" | "init") => Ok(false),
        Some(_) => Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, "invalid fork name")
            .with_hint("Valid fork names are \"main\", \"fsm\", \"vm\", and \"init\".")),
    }
}

/// A table's bytes: its pages, and the values that have pages of their own, which only statistics tell.
fn table_bytes(environment: &Environment, branch: BranchId, entry: &TableEntry) -> u64 {
    let analyzed = entry.statistics.as_ref().map(|statistics| statistics.pages as u64 * PAGE_BYTES);
    match environment.store.try_tree_bytes(branch, entry.table.tree) {
        Ok(0) => 0,
        Ok(pages) => pages.max(analyzed.unwrap_or(0)),
        Err(_) => analyzed.unwrap_or(PAGE_BYTES),
    }
}

/// An index's bytes. A primary key is the order of its table, and has no pages.
fn index_bytes(environment: &Environment, branch: BranchId, table: &Table, index: &Index) -> u64 {
    if index.tree == table.tree {
        return 0;
    }
    environment.store.try_tree_bytes(branch, index.tree).unwrap_or(PAGE_BYTES)
}

/// The bytes of a relation without its indexes; `None` where there is none of that OID.
pub(super) fn relation(environment: &Environment, oid: u32) -> Option<u64> {
    let catalog = &environment.catalog;
    if let Some(entry) = catalog.table(oid) {
        return Some(table_bytes(environment, environment.branch, entry));
    }
    if let Some(index) = catalog.index(oid) {
        let table = &catalog.table(index.table)?.table;
        return Some(index_bytes(environment, environment.branch, table, index));
    }
    if catalog.sequence(oid).is_some() {
        return Some(PAGE_BYTES);
    }
    (catalog.view(oid).is_some() || super::with_oid(oid).is_some()).then_some(0)
}

/// The bytes of a table's indexes.
fn indexes(environment: &Environment, oid: u32) -> Option<u64> {
    let Some(entry) = environment.catalog.table(oid) else { return relation(environment, oid).map(|_| 0) };
    let sizes =
        entry.indexes.iter().map(|index| index_bytes(environment, environment.branch, &entry.table, index));
    Some(sizes.sum())
}

fn database(environment: &Environment, object: &Datum) -> Result<Datum> {
    let directory = environment.directory.lock().clone();
    let found = match object.as_text() {
        Some(name) => {
            let own = (name == environment.database).then(|| directory.database_of(environment.branch));
            let found = directory.database(name).or(own.flatten());
            let missing = || format!("database \"{name}\" does not exist");
            Some(found.ok_or_else(|| SqlError::new(SqlState::INVALID_CATALOG_NAME, missing()))?)
        }
        None => directory.databases.iter().find(|database| database.oid == number(object)),
    };
    let Some(found) = found else { return Ok(Datum::Null) };
    let actor = environment.actor();
    let secured = secured_database(&environment.catalog, found.oid, found.owner);
    if !actor.has_role(READ_ALL_STATS) && actor.rights(&secured, Rights::CONNECT).is_empty() {
        return Err(denied("database", &found.name));
    }
    let is_own = directory.database_of(environment.branch).is_some_and(|own| own.oid == found.oid);
    let branch = match directory.default_branch(found.root) {
        _ if is_own => environment.branch,
        Some(branch) => branch.id,
        None => found.root,
    };
    // Of a database that nobody was in since the start only the catalog is known.
    let catalog =
        if is_own { Some(environment.catalog.clone()) } else { environment.engine.known_catalog(branch) };
    let own = environment.store.try_tree_bytes(branch, TreeId::CATALOG).unwrap_or(0).max(PAGE_BYTES);
    Ok(bytes(Some(own + catalog.map_or(0, |catalog| relations_bytes(environment, branch, &catalog)))))
}

fn relations_bytes(environment: &Environment, branch: BranchId, catalog: &CatalogSnapshot) -> u64 {
    let of_table = |entry: &TableEntry| {
        let indexes = entry.indexes.iter().map(|index| index_bytes(environment, branch, &entry.table, index));
        table_bytes(environment, branch, entry) + indexes.sum::<u64>()
    };
    catalog.tables().map(|entry| of_table(entry)).sum()
}

/// The data file is the default tablespace.
fn tablespace(environment: &Environment, object: &Datum) -> Result<Datum> {
    let is = |(oid, name): (u32, &str)| match object.as_text() {
        Some(text) => text == name,
        None => number(object) == oid,
    };
    if is(DEFAULT_TABLESPACE) {
        return Ok(bytes(Some(environment.store.stats()?.data_used_bytes)));
    }
    match object.as_text() {
        _ if is(GLOBAL_TABLESPACE) => Ok(Datum::Int64(0)),
        Some(name) => {
            Err(SqlError::new(SqlState::UNDEFINED_OBJECT, format!("tablespace \"{name}\" does not exist")))
        }
        None => Ok(Datum::Null),
    }
}
