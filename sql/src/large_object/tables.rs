//! The two tables, made with the database; in folders of programs that did not yet, with the first large object.

use std::sync::Arc;

use helios_mvcc::Transaction;

use crate::binder::Binder;
use crate::catalog::{
    CatalogSnapshot, ColumnIdentity, Index, IndexColumn, Object, OnCommit, PG_CATALOG, SUPERUSER, Table,
    TableColumn, TableEntry, store,
};
use crate::error::{Result, SqlError};
use crate::execute::Execution;
use crate::types::{Oid, Representation, oids};
use crate::write::TableWriter;

/// PostgreSQL's OIDs of the tables, and of their indexes.
pub const PG_LARGEOBJECT: Oid = 2613;
pub const PG_LARGEOBJECT_METADATA: Oid = 2995;
const PAGES_INDEX: Oid = 2683;
const METADATA_INDEX: Oid = 2996;

/// What writes the two tables.
#[derive(Clone)]
pub struct Tables {
    pub pages: Arc<TableWriter>,
    pub metadata: Arc<TableWriter>,
}

impl Tables {
    /// Those of the database, if it has any.
    ///
    /// # Errors
    /// XX000 for a catalog that makes no sense.
    pub fn found(execution: &Execution) -> Result<Option<Tables>> {
        let point = (execution.transaction.lock_owner(), execution.transaction.read_point());
        if let Some((made_at, tables)) = &*execution.environment.listing.large_objects.made.lock()
            && *made_at == point
        {
            return Ok(Some(tables.clone()));
        }
        let catalog = &execution.environment.catalog;
        match (catalog.table(PG_LARGEOBJECT), catalog.table(PG_LARGEOBJECT_METADATA)) {
            (Some(pages), Some(metadata)) => Tables::of(catalog, execution, pages, metadata).map(Some),
            _ => Ok(None),
        }
    }

    fn of(
        catalog: &CatalogSnapshot,
        execution: &Execution,
        pages: &Arc<TableEntry>,
        metadata: &Arc<TableEntry>,
    ) -> Result<Tables> {
        let binding = execution.environment.bind_environment();
        let writer = |entry: &Arc<TableEntry>| {
            TableWriter::new(entry, &mut Binder::new(catalog, &binding, "", Vec::new())).map(Arc::new)
        };
        Ok(Tables { pages: writer(pages)?, metadata: writer(metadata)? })
    }

    /// Those of the database; they are made where there are none.
    ///
    /// # Errors
    /// Those of writing the catalog.
    pub async fn made(execution: &mut Execution) -> Result<Tables> {
        if let Some(tables) = Tables::found(execution)? {
            return Ok(tables);
        }
        let (pages, metadata) = create(&mut execution.transaction).await?;
        let catalog = execution.environment.catalog.clone();
        let tables = Tables::of(&catalog, execution, &pages, &metadata)?;
        // The catalog of the running statement does not have them yet.
        let point = (execution.transaction.lock_owner(), execution.transaction.read_point());
        *execution.environment.listing.large_objects.made.lock() = Some((point, tables.clone()));
        Ok(tables)
    }
}

/// Writes the tables, pages first, to the catalog.
///
/// # Errors
/// Those of writing the catalog.
pub async fn create(transaction: &mut Transaction) -> Result<(Arc<TableEntry>, Arc<TableEntry>)> {
    let pages = entry(
        transaction,
        (PG_LARGEOBJECT, "pg_largeobject"),
        (PAGES_INDEX, "pg_largeobject_loid_pn_index"),
        &[("loid", oids::OID), ("pageno", oids::INT4), ("data", oids::BYTEA)],
        &[1, 2],
    )?;
    let metadata = entry(
        transaction,
        (PG_LARGEOBJECT_METADATA, "pg_largeobject_metadata"),
        (METADATA_INDEX, "pg_largeobject_metadata_oid_index"),
        &[("oid", oids::OID), ("lomowner", oids::OID), ("lomacl", oids::ACLITEM_ARRAY)],
        &[1],
    )?;
    for entry in [&pages, &metadata] {
        store::put(transaction, &Object::from((*entry.table).clone())).await?;
        for index in &entry.indexes {
            store::put(transaction, &Object::from((**index).clone())).await?;
        }
    }
    Ok((pages, metadata))
}

/// A new table with its primary key. All columns but the last of the metadata are NOT NULL.
fn entry(
    transaction: &mut Transaction,
    (oid, name): (Oid, &str),
    (index, index_name): (Oid, &str),
    columns: &[(&str, Oid)],
    key: &[i16],
) -> Result<Arc<TableEntry>> {
    let column = |(number, (name, type_oid)): (i16, &(&str, Oid))| {
        let representation = Representation::of_builtin(*type_oid);
        Ok(TableColumn {
            number,
            name: (*name).to_owned(),
            type_oid: *type_oid,
            type_modifier: -1,
            collation: 0,
            representation: representation.ok_or_else(|| SqlError::internal("a type is missing"))?,
            not_null: *type_oid != oids::ACLITEM_ARRAY,
            default: None,
            identity: None,
            generated: false,
            missing: crate::value::Datum::Null,
            dropped: false,
            origin: ColumnIdentity::first(number),
            settings: Default::default(),
        })
    };
    let table = Table {
        oid,
        schema: PG_CATALOG,
        name: name.to_owned(),
        owner: SUPERUSER,
        tree: transaction.create_tree(),
        schema_version: 1,
        columns: (1..).zip(columns).map(column).collect::<Result<_>>()?,
        primary_key: key.to_vec(),
        unlogged: false,
        is_temporary: false,
        on_commit: OnCommit::PreserveRows,
        options: Vec::new(),
        row_estimate: -1,
        materialized: None,
        of_type: 0,
    };
    let key_column = |number: &i16| IndexColumn {
        number: *number,
        expression: None,
        class: None,
        collation: 0,
        descending: false,
        nulls_first: false,
    };
    let index = Index {
        oid: index,
        table: oid,
        schema: PG_CATALOG,
        name: index_name.to_owned(),
        tree: table.tree,
        columns: key.iter().map(key_column).collect(),
        unique: true,
        primary: true,
        nulls_not_distinct: false,
        predicate: None,
        included: Vec::new(),
        read: Vec::new(),
        options: Vec::new(),
        is_hash: false,
    };
    Ok(TableEntry::bare(table, vec![index]))
}
