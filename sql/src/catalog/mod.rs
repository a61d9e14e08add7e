//! The catalog: what exists.
//!
//! Objects are rows of the tree [`helios_mvcc::TreeId::CATALOG`], keyed by class and OID, with an entry for each
//! name beside them; so DDL is transactional, and every branch and every SCN has its own catalog. Readers use
//! an immutable [`CatalogSnapshot`], cached by branch and catalog SCN; a transaction that changes the catalog
//! reads its own.

mod changes;
mod codec;
mod column_identity;
mod column_settings;
mod configuration;
mod database;
mod extended_statistics;
mod extension;
mod object;
mod rights;
mod role;
mod row_type;
mod snapshot;
mod statistics;
pub mod store;
mod type_scope;
mod user_type;

pub use changes::{ChangeCounter, Changes};
pub use column_identity::ColumnIdentity;
pub use column_settings::ColumnSettings;
pub use configuration::Configuration;
pub use database::{Database, Directory, FIRST_DATABASE, MAIN_BRANCH, put_database};
pub use extended_statistics::ExtendedStatistics;
pub use extension::{AVAILABLE_EXTENSIONS, AvailableExtension, Extension, available_extension};
pub use object::{
    ColumnNumber, Comments, Constraint, ConstraintKind, ForeignKeyAction, Identity, Index, IndexColumn,
    IndexExpression, Materialized, Object, OnCommit, PRIMARY_KEY, SYSTEM_COLUMNS, Schema, Sequence,
    SequenceOwner, Table, TableColumn, Timing, View, ViewColumn, ViewSource, is_system_column,
    refuse_system_name,
};
pub use rights::{
    DefaultRights, EVERYBODY, Grant, ObjectRights, Rights, SecuredKind, default_grants, initial_schema_grants,
};
pub use role::{
    DATABASE_OWNER, Membership, READ_ALL_SETTINGS, READ_SERVER_FILES, Role, RoleAttributes,
    WRITE_SERVER_FILES, builtin_roles, is_builtin_role,
};
pub use row_type::{RowType, relation_of_type, row_type_oid, system_row_types};
pub use snapshot::{CatalogSnapshot, SequenceEntry, TableEntry, TypeEntry};
pub use statistics::{ColumnStatistics, Statistics};
pub use store::OidAllocator;
pub use type_scope::TypeScope;
pub use user_type::{
    Attribute, Composite, Constructors, Domain, DomainCheck, EnumLabel, TypeDefinition, UserRange, UserType,
};

/// The OID of schema `pg_catalog`.
pub const PG_CATALOG: u32 = 11;
/// The OID of schema `public`.
pub const PUBLIC: u32 = 2200;
/// The OID of schema `information_schema`.
pub const INFORMATION_SCHEMA: u32 = 13_000;
/// The OIDs of the system catalogs that objects are in.
pub const PG_CLASS: u32 = 1259;
pub const PG_NAMESPACE: u32 = 2615;
pub const PG_CONSTRAINT: u32 = 2606;
pub const PG_TYPE: u32 = 1247;
pub const PG_DATABASE: u32 = 1262;
/// The OID of the catalog that roles are in.
pub const PG_AUTHID: u32 = 1260;
pub const PG_PROC: u32 = 1255;
pub const PG_LANGUAGE: u32 = 2612;
/// The OID of the role that owns what nobody else does.
pub const SUPERUSER: u32 = 10;
