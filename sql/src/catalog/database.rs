//! Databases and their branches, as the folder has them.
//!
//! A database is a row of the system branch, and the branch that it began with. The first one has a row only once
//! something of it changed. What ALTER DATABASE … SET says is a row of its own, where it says something.

use helios_mvcc::{
    Branch, BranchId, Isolation, KeyRange, LockMode, ScanStep, Scn, Store, Transaction, TreeId, WaitPolicy,
};
use std::ops::ControlFlow;

use super::SUPERUSER;
use super::codec::{Reader, Writer};
use crate::error::{Result, SqlError};

/// The class of the rows of databases, in the first tree of the system branch.
const CLASS: u8 = 49;
const FORMAT: u8 = 2;
/// The class of the rows of their settings, in the same tree.
const SETTINGS_CLASS: u8 = 53;
const SETTINGS_FORMAT: u8 = 1;
/// The first database's OID.
const FIRST_OID: u32 = 5;
/// What the first database is called unless it is renamed; a server knows it by other names too.
pub const FIRST_DATABASE: &str = "postgres";
/// What the first branch of a database is called.
pub const MAIN_BRANCH: &str = "main";

/// A database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    pub oid: u32,
    pub name: String,
    /// The branch that it began with.
    pub root: BranchId,
    pub owner: u32,
    pub is_template: bool,
    pub allows_connections: bool,
    /// -1: none.
    pub connection_limit: i32,
    /// By name.
    pub settings: Vec<(String, String)>,
}

impl Database {
    fn first() -> Database {
        Database {
            oid: FIRST_OID,
            name: FIRST_DATABASE.into(),
            root: BranchId::MAIN,
            owner: SUPERUSER,
            is_template: false,
            allows_connections: true,
            connection_limit: -1,
            settings: Vec::new(),
        }
    }

    /// The key of its row.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        let mut key = vec![CLASS];
        key.extend(self.oid.to_be_bytes());
        key
    }

    fn settings_key(&self) -> Vec<u8> {
        let mut key = vec![SETTINGS_CLASS];
        key.extend(self.oid.to_be_bytes());
        key
    }

    fn encode_settings(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u8(SETTINGS_FORMAT);
        out.u32(self.settings.len() as u32);
        for (name, value) in &self.settings {
            out.text(name);
            out.text(value);
        }
        out.0
    }

    fn decode_settings(value: &[u8]) -> Result<Vec<(String, String)>> {
        let mut fields = Reader(value);
        if fields.u8()? != SETTINGS_FORMAT {
            return Err(SqlError::corrupted("the row of a database's settings cannot be read"));
        }
        (0..fields.u32()?).map(|_| Ok((fields.text()?, fields.text()?))).collect()
    }

    /// What a setting says, if it says something.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|setting| setting.0 == name).map(|setting| setting.1.as_str())
    }

    /// Its row.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u8(FORMAT);
        out.text(&self.name);
        out.u64(self.root.0);
        out.u32(self.owner);
        out.bool(self.is_template);
        out.bool(self.allows_connections);
        out.u32(self.connection_limit.cast_unsigned());
        out.0
    }

    fn decode(key: &[u8], value: &[u8]) -> Result<Database> {
        let mut fields = Reader(value);
        let oid = key.get(1..).and_then(|oid| oid.try_into().ok()).map(u32::from_be_bytes);
        let (Some(oid), FORMAT) = (oid, fields.u8()?) else {
            return Err(SqlError::corrupted("the row of a database cannot be read"));
        };
        Ok(Database {
            oid,
            name: fields.text()?,
            root: BranchId(fields.u64()?),
            owner: fields.u32()?,
            is_template: fields.bool()?,
            allows_connections: fields.bool()?,
            connection_limit: fields.u32()?.cast_signed(),
            settings: Vec::new(),
        })
    }
}

/// All databases and branches at one moment.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// What was committed up to here is in it.
    pub as_of: Scn,
    pub databases: Vec<Database>,
    /// Those that were dropped and are still needed among them.
    pub branches: Vec<Branch>,
}

impl Directory {
    /// Whether there is a branch of that number, dropped or not, whose pages can be read.
    #[must_use]
    pub fn has(&self, branch: BranchId) -> bool {
        self.branches.iter().any(|each| each.id == branch)
    }

    /// Reads what there is.
    ///
    /// # Errors
    /// Those of reading pages; XX001.
    pub async fn load(store: &Store) -> Result<Directory> {
        let mut reader = store.begin(BranchId::SYSTEM, Isolation::ReadCommitted);
        reader.begin_statement();
        let rows = rows_of(&reader, CLASS).await?;
        let found = rows.iter().map(|(key, value)| Database::decode(key, value));
        let mut databases = found.collect::<Result<Vec<Database>>>()?;
        if databases.iter().all(|database| database.root != BranchId::MAIN) {
            databases.insert(0, Database::first());
        }
        for (key, value) in rows_of(&reader, SETTINGS_CLASS).await? {
            if let Some(database) = databases.iter_mut().find(|database| database.settings_key() == key) {
                database.settings = Database::decode_settings(&value)?;
            }
        }
        Ok(Directory { as_of: reader.snapshot().scn, databases, branches: store.branches().await? })
    }

    /// The database of a name.
    #[must_use]
    pub fn database(&self, name: &str) -> Option<&Database> {
        self.databases.iter().find(|database| database.name == name)
    }

    /// The database that a branch belongs to.
    #[must_use]
    pub fn database_of(&self, branch: BranchId) -> Option<&Database> {
        let root = self.branches.iter().find(|each| each.id == branch)?.root;
        self.databases.iter().find(|database| database.root == root)
    }

    /// The first database.
    #[must_use]
    pub fn first(&self) -> Option<&Database> {
        self.databases.iter().find(|database| database.root == BranchId::MAIN)
    }

    /// The branches of a database that were not dropped.
    pub fn branches_of(&self, root: BranchId) -> impl Iterator<Item = &Branch> {
        self.branches.iter().filter(move |branch| branch.root == root && !branch.is_dropped)
    }

    /// A branch of a database by its name.
    #[must_use]
    pub fn branch(&self, root: BranchId, name: &str) -> Option<&Branch> {
        self.branches_of(root).find(|branch| branch.name == name)
    }

    /// The branch that sessions of a database begin on: `main`, or the oldest where there is none of that name.
    #[must_use]
    pub fn default_branch(&self, root: BranchId) -> Option<&Branch> {
        self.branch(root, MAIN_BRANCH).or_else(|| self.branches_of(root).next())
    }
}

/// The rows of a class.
async fn rows_of(reader: &Transaction, class: u8) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut found = Vec::new();
    let mut scan = reader.scan(TreeId::CATALOG, KeyRange::prefix(&[class]), false);
    let mut visit = |key: &[u8], value: &[u8]| {
        if key.len() > 1 {
            found.push((key.to_vec(), value.to_vec()));
        }
        ControlFlow::Continue(())
    };
    while scan.next(reader, &mut visit).await? != ScanStep::Done {}
    Ok(found)
}

/// Writes the rows of a database, or removes them.
///
/// # Errors
/// Those of committing.
pub async fn put_database(store: &Store, database: &Database, exists: bool) -> Result<()> {
    let mut transaction = store.begin(BranchId::SYSTEM, Isolation::ReadCommitted);
    transaction.begin_statement();
    let key = database.key();
    transaction.lock_row(TreeId::CATALOG, &key, LockMode::Update, WaitPolicy::Block).await?;
    match exists {
        true => transaction.put(TreeId::CATALOG, &key, &database.encode())?,
        false => transaction.delete(TreeId::CATALOG, &key)?,
    }
    match exists && !database.settings.is_empty() {
        true => transaction.put(TreeId::CATALOG, &database.settings_key(), &database.encode_settings())?,
        false => transaction.delete(TreeId::CATALOG, &database.settings_key())?,
    }
    // For how long history is kept can be changed on a full disk.
    transaction.mark_giving_room();
    transaction.commit().await?;
    Ok(())
}
