//! Changing the catalog, within a transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use helios_mvcc::{BranchId, Isolation, LockMode, RowState, Scn, Store, Transaction, TreeId, WaitPolicy};
use helios_runtime::Entropy;

use super::codec::{self, Class};
use super::configuration::Configuration;
use super::extended_statistics::ExtendedStatistics;
use super::extension::Extension;
use super::object::{Comments, Constraint, Index, Object, Schema, Sequence, Table, View};
use super::rights::{DefaultRights, ObjectRights};
use super::role::{DATABASE_OWNER, Role, builtin_roles};
use super::statistics::Statistics;
use super::user_type::UserType;
use super::{PG_NAMESPACE, PUBLIC};
use crate::error::{Result, SqlError, SqlState};
use crate::functions::FIRST_USER_OID;
use crate::large_object;

/// How many OIDs one durable step reserves.
const OIDS_PER_RESERVATION: u32 = 64;

/// Gives out OIDs, none twice in the life of a folder: they are reserved in the system branch, a handful at a
/// time, by transactions of their own.
#[derive(Debug, Default)]
pub struct OidAllocator {
    /// The next one in the upper half, the end of the reservation in the lower.
    range: AtomicU64,
}

impl OidAllocator {
    /// A new OID.
    ///
    /// # Errors
    /// Those of reading pages and of committing.
    pub async fn allocate(&self, store: &Store) -> Result<u32> {
        loop {
            let range = self.range.load(Ordering::Acquire);
            let (next, end) = ((range >> 32) as u32, range as u32);
            if next == end {
                self.reserve(store, range).await?;
                continue;
            }
            let taken = (u64::from(next + 1) << 32) | u64::from(end);
            if self.range.compare_exchange(range, taken, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return Ok(next);
            }
        }
    }

    async fn reserve(&self, store: &Store, exhausted: u64) -> Result<()> {
        let key = codec::object_key(Class::Meta, 0);
        let mut transaction = store.begin(BranchId::SYSTEM, Isolation::ReadCommitted);
        transaction.begin_statement();
        let wait = WaitPolicy::Block;
        transaction.lock_row(TreeId::CATALOG, &key, LockMode::Update, wait).await?;
        let stored = transaction.get_latest(TreeId::CATALOG, &key).await?;
        let start = match stored.as_deref().map(<[u8; 4]>::try_from) {
            None => FIRST_USER_OID,
            Some(Ok(bytes)) => u32::from_be_bytes(bytes),
            Some(Err(_)) => return Err(SqlError::corrupted("the OID counter cannot be read")),
        };
        let end = start.checked_add(OIDS_PER_RESERVATION).ok_or_else(|| {
            SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "all object identifiers are used up")
        })?;
        transaction.put(TreeId::CATALOG, &key, &end.to_be_bytes())?;
        transaction.commit().await?;
        let reserved = (u64::from(start) << 32) | u64::from(end);
        // If somebody else's reservation came first, ours is never used.
        let _ = self.range.compare_exchange(exhausted, reserved, Ordering::AcqRel, Ordering::Acquire);
        Ok(())
    }
}

/// Writes the objects that every database begins with, unless they are there.
///
/// # Errors
/// Those of reading pages and of committing.
pub async fn bootstrap(store: &Store, branch: BranchId) -> Result<()> {
    let key = codec::object_key(Class::Meta, 1);
    let mut transaction = store.begin(branch, Isolation::ReadCommitted);
    transaction.begin_statement();
    if transaction.get(TreeId::CATALOG, &key).await?.is_some() {
        return Ok(());
    }
    transaction.put(TreeId::CATALOG, &key, &[1])?;
    let public = Schema { oid: PUBLIC, name: "public".into(), owner: DATABASE_OWNER };
    put(&mut transaction, &Object::Schema(Arc::new(public))).await?;
    let texts = vec![(0, "standard public schema".to_string())];
    let comments = Comments { oid: PUBLIC, class: PG_NAMESPACE, texts };
    put(&mut transaction, &Object::Comments(Arc::new(comments))).await?;
    // With the database, since of several sessions that make them at once all but one would fail.
    large_object::create_tables(&mut transaction).await?;
    transaction.mark_catalog_change();
    transaction.commit().await?;
    Ok(())
}

/// The commit that wrote them.
///
/// # Errors
/// Those of reading pages; XX001 where they are missing.
pub async fn bootstrapped(reader: &mut Transaction) -> Result<Scn> {
    let key = codec::object_key(Class::Meta, 1);
    let scn = reader.row_scn(TreeId::CATALOG, &key).await?;
    scn.ok_or_else(|| SqlError::corrupted("the catalog has no beginning"))
}

/// Makes a superuser of whoever makes a folder, once in the folder's life.
///
/// # Errors
/// Those of reading pages and of committing.
pub async fn bootstrap_user(store: &Store, oids: &OidAllocator, name: &str) -> Result<()> {
    let key = codec::object_key(Class::Meta, 2);
    let mut transaction = store.begin(BranchId::MAIN, Isolation::ReadCommitted);
    transaction.begin_statement();
    if transaction.get(TreeId::CATALOG, &key).await?.is_some() {
        return Ok(());
    }
    transaction.put(TreeId::CATALOG, &key, &[1])?;
    if builtin_roles().iter().all(|role| role.name != name) {
        let role = Role::superuser(oids.allocate(store).await?, name);
        put(&mut transaction, &role.into()).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// The folder's secret for challenges that nobody can answer, made when it is first asked for.
///
/// # Errors
/// Those of reading pages and of committing, and where there is no randomness.
pub async fn mock_secret(store: &Store, entropy: &dyn Entropy) -> Result<Vec<u8>> {
    let key = codec::object_key(Class::Meta, 3);
    let mut transaction = store.begin(BranchId::SYSTEM, Isolation::ReadCommitted);
    transaction.begin_statement();
    if let Some(known) = transaction.get(TreeId::CATALOG, &key).await? {
        return Ok(known);
    }
    let mut secret = vec![0; 32];
    entropy
        .fill(&mut secret)
        .map_err(|error| SqlError::internal(format!("could not generate random bytes: {error}")))?;
    transaction.put(TreeId::CATALOG, &key, &secret)?;
    transaction.commit().await?;
    Ok(secret)
}

fn class_of(object: &Object) -> Class {
    match object {
        Object::Schema(_) => Class::Schema,
        Object::Table(_) => Class::Table,
        Object::Index(_) => Class::Index,
        Object::Constraint(_) => Class::Constraint,
        Object::Sequence(_) => Class::Sequence,
        Object::View(_) => Class::View,
        Object::Type(_) => Class::Type,
        Object::Role(_) => Class::Role,
        Object::Configuration(_) => Class::Configuration,
        Object::Extension(_) => Class::Extension,
        Object::Comments(_) => Class::Comments,
        Object::Rights(_) => Class::Rights,
        Object::DefaultRights(_) => Class::DefaultRights,
        Object::Statistics(_) => Class::Statistics,
        Object::ExtendedStatistics(_) => Class::ExtendedStatistics,
    }
}

/// The names that an object takes, with the OID that each means.
fn names(object: &Object) -> Vec<(Vec<u8>, u32)> {
    let relation = |schema: u32, name: &str| vec![(codec::relation_name_key(schema, name), object.oid())];
    match object {
        Object::Schema(schema) => vec![(codec::schema_name_key(&schema.name), schema.oid)],
        Object::Role(role) => vec![(codec::role_name_key(&role.name), role.oid)],
        Object::Extension(extension) => vec![(codec::extension_name_key(&extension.name), extension.oid)],
        Object::Table(table) => relation(table.schema, &table.name),
        Object::Index(index) => relation(index.schema, &index.name),
        Object::Sequence(sequence) => relation(sequence.schema, &sequence.name),
        Object::View(view) => relation(view.schema, &view.name),
        Object::Type(own) => vec![
            (codec::type_name_key(own.schema, &own.name), own.oid),
            (codec::type_name_key(own.schema, &own.array_name), own.array_oid),
        ],
        Object::ExtendedStatistics(own) => {
            vec![(codec::extended_statistics_name_key(own.schema, &own.name), own.oid)]
        }
        Object::Constraint(_)
        | Object::Configuration(_)
        | Object::Comments(_)
        | Object::Rights(_)
        | Object::DefaultRights(_)
        | Object::Statistics(_) => Vec::new(),
    }
}

async fn lock(transaction: &mut Transaction, key: &[u8]) -> Result<RowState> {
    let wait = WaitPolicy::Block;
    Ok(transaction.lock_row(TreeId::CATALOG, key, LockMode::Update, wait).await?)
}

/// Locks an object that is to be changed.
async fn lock_object(transaction: &mut Transaction, object: &Object, key: &[u8]) -> Result<()> {
    let state = lock(transaction, key).await?;
    // Statistics only advise, and change by themselves: nothing is lost where others of them are written over.
    match state == RowState::Changed && !matches!(object, Object::Statistics(_)) {
        true => Err(changed_meanwhile()),
        false => Ok(()),
    }
}

/// Writes an object, new or changed, and its name.
///
/// # Errors
/// 42P07 and its like when the name was taken meanwhile; 40001 when the object was changed meanwhile.
pub async fn put(transaction: &mut Transaction, object: &Object) -> Result<()> {
    put_unannounced(transaction, object).await?;
    transaction.mark_catalog_change();
    Ok(())
}

/// [`put`] of what nobody has to know at once.
///
/// # Errors
/// As [`put`].
pub async fn put_unannounced(transaction: &mut Transaction, object: &Object) -> Result<()> {
    let key = codec::object_key(class_of(object), object.oid());
    lock_object(transaction, object, &key).await?;
    for (name_key, oid) in names(object) {
        lock(transaction, &name_key).await?;
        let oid = oid.to_be_bytes();
        match transaction.get_latest(TreeId::CATALOG, &name_key).await? {
            Some(taken) if taken != oid => return Err(duplicate(object)),
            Some(_) => {}
            None => transaction.put(TreeId::CATALOG, &name_key, &oid)?,
        }
    }
    Ok(transaction.put(TreeId::CATALOG, &key, &codec::encode(object))?)
}

/// Replaces an object whose name may differ: `old` is what it was.
///
/// # Errors
/// As [`put`].
pub async fn replace(transaction: &mut Transaction, old: &Object, new: &Object) -> Result<()> {
    let kept = names(new);
    for (old_key, _) in
        names(old).into_iter().filter(|(old_key, _)| kept.iter().all(|(key, _)| key != old_key))
    {
        lock(transaction, &old_key).await?;
        transaction.delete(TreeId::CATALOG, &old_key)?;
    }
    put(transaction, new).await
}

/// Removes an object and its name.
///
/// # Errors
/// 40001 when the object was changed meanwhile.
pub async fn remove(transaction: &mut Transaction, object: &Object) -> Result<()> {
    let key = codec::object_key(class_of(object), object.oid());
    lock_object(transaction, object, &key).await?;
    for (name_key, _) in names(object) {
        lock(transaction, &name_key).await?;
        transaction.delete(TreeId::CATALOG, &name_key)?;
    }
    transaction.delete(TreeId::CATALOG, &key)?;
    transaction.mark_catalog_change();
    Ok(())
}

fn changed_meanwhile() -> SqlError {
    SqlError::new(SqlState::SERIALIZATION_FAILURE, "could not serialize access due to concurrent update")
}

fn duplicate(object: &Object) -> SqlError {
    match object {
        Object::Schema(schema) => {
            SqlError::new(SqlState::DUPLICATE_SCHEMA, format!("schema \"{}\" already exists", schema.name))
        }
        Object::Table(table) => duplicate_relation(&table.name),
        Object::Index(index) => duplicate_relation(&index.name),
        Object::Sequence(sequence) => duplicate_relation(&sequence.name),
        Object::View(view) => duplicate_relation(&view.name),
        Object::Type(user_type) => duplicate_type(&user_type.name),
        Object::Role(role) => duplicate_role(&role.name),
        Object::ExtendedStatistics(own) => SqlError::new(
            SqlState::DUPLICATE_OBJECT,
            format!("statistics object \"{}\" already exists", own.name),
        ),
        Object::Extension(extension) => SqlError::new(
            SqlState::DUPLICATE_OBJECT,
            format!("extension \"{}\" already exists", extension.name),
        ),
        Object::Comments(_) => SqlError::new(SqlState::DUPLICATE_OBJECT, "comment already exists"),
        Object::Rights(_) | Object::DefaultRights(_) => {
            SqlError::new(SqlState::DUPLICATE_OBJECT, "rights already exist")
        }
        Object::Statistics(_) => SqlError::new(SqlState::DUPLICATE_OBJECT, "statistics already exist"),
        Object::Configuration(_) => SqlError::new(SqlState::DUPLICATE_OBJECT, "settings already exist"),
        Object::Constraint(constraint) => SqlError::new(
            SqlState::DUPLICATE_OBJECT,
            format!("constraint \"{}\" already exists", constraint.name),
        ),
    }
}

/// 42P07.
#[must_use]
pub fn duplicate_relation(name: &str) -> SqlError {
    SqlError::new(SqlState::DUPLICATE_TABLE, format!("relation \"{name}\" already exists"))
}

/// 42710.
#[must_use]
pub fn duplicate_role(name: &str) -> SqlError {
    SqlError::new(SqlState::DUPLICATE_OBJECT, format!("role \"{name}\" already exists"))
}

/// 42710.
#[must_use]
pub fn duplicate_type(name: &str) -> SqlError {
    SqlError::new(SqlState::DUPLICATE_OBJECT, format!("type \"{name}\" already exists"))
}

impl From<UserType> for Object {
    fn from(user_type: UserType) -> Object {
        Object::Type(Arc::new(user_type))
    }
}

impl From<ExtendedStatistics> for Object {
    fn from(own: ExtendedStatistics) -> Object {
        Object::ExtendedStatistics(Arc::new(own))
    }
}
impl From<Extension> for Object {
    fn from(extension: Extension) -> Object {
        Object::Extension(Arc::new(extension))
    }
}

impl From<Configuration> for Object {
    fn from(configuration: Configuration) -> Object {
        Object::Configuration(Arc::new(configuration))
    }
}

impl From<Role> for Object {
    fn from(role: Role) -> Object {
        Object::Role(Arc::new(role))
    }
}

impl From<ObjectRights> for Object {
    fn from(rights: ObjectRights) -> Object {
        Object::Rights(Arc::new(rights))
    }
}

impl From<DefaultRights> for Object {
    fn from(rights: DefaultRights) -> Object {
        Object::DefaultRights(Arc::new(rights))
    }
}

impl From<Schema> for Object {
    fn from(schema: Schema) -> Object {
        Object::Schema(Arc::new(schema))
    }
}

impl From<Table> for Object {
    fn from(table: Table) -> Object {
        Object::Table(Arc::new(table))
    }
}

impl From<Index> for Object {
    fn from(index: Index) -> Object {
        Object::Index(Arc::new(index))
    }
}

impl From<Constraint> for Object {
    fn from(constraint: Constraint) -> Object {
        Object::Constraint(Arc::new(constraint))
    }
}

impl From<Sequence> for Object {
    fn from(sequence: Sequence) -> Object {
        Object::Sequence(Arc::new(sequence))
    }
}

impl From<View> for Object {
    fn from(view: View) -> Object {
        Object::View(Arc::new(view))
    }
}

impl From<Comments> for Object {
    fn from(comments: Comments) -> Object {
        Object::Comments(Arc::new(comments))
    }
}

impl From<Statistics> for Object {
    fn from(statistics: Statistics) -> Object {
        Object::Statistics(Arc::new(statistics))
    }
}
