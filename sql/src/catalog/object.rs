//! The objects of the catalog: schemas, tables, indexes, constraints, sequences, views; types are in `user_type`.

use std::sync::Arc;

use helios_mvcc::TreeId;

use super::column_identity::ColumnIdentity;
use super::column_settings::ColumnSettings;
use super::configuration::Configuration;
use super::extended_statistics::ExtendedStatistics;
use super::extension::Extension;
use super::rights::{DefaultRights, ObjectRights};
use super::role::Role;
use super::statistics::Statistics;
use super::user_type::UserType;
use crate::error::{Result, SqlError, SqlState};
use crate::sequence::{Limits, Position};
use crate::types::{DataType, Representation};
use crate::value::Datum;

/// A schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    pub oid: u32,
    pub name: String,
    pub owner: u32,
}

/// A column's number within its table, from 1; never reused on a branch.
pub type ColumnNumber = i16;

/// A table's column.
#[derive(Clone, Debug, PartialEq)]
pub struct TableColumn {
    pub number: ColumnNumber,
    pub name: String,
    pub type_oid: u32,
    pub type_modifier: i32,
    /// The OID of the collation that was named, 0 for that of the type: it is shown, and orders nothing otherwise.
    pub collation: u32,
    /// What rows hold of the type.
    pub representation: Representation,
    pub not_null: bool,
    /// The text of the DEFAULT expression.
    pub default: Option<String>,
    pub identity: Option<Identity>,
    /// The default is the expression, over the row, that the column always has the value of.
    pub generated: bool,
    /// What rows hold that are older than the column.
    pub missing: Datum,
    pub dropped: bool,
    /// Which column of the table it is, on all branches.
    pub origin: ColumnIdentity,
    /// What is kept of it for tools.
    pub settings: ColumnSettings,
}

impl TableColumn {
    /// Its type with the modifier.
    #[must_use]
    pub fn data_type(&self) -> DataType {
        DataType { oid: self.type_oid, typmod: self.type_modifier }
    }
}

/// What becomes of a temporary table at the end of a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnCommit {
    #[default]
    PreserveRows,
    DeleteRows,
    Drop,
}

/// A table: a tree clustered on the primary key, or on a hidden row number where there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub oid: u32,
    pub schema: u32,
    pub name: String,
    pub owner: u32,
    pub tree: TreeId,
    /// Moves with every change of the columns.
    pub schema_version: u32,
    /// In order of their numbers; column `number` is at `number - 1`, dropped ones included.
    pub columns: Vec<TableColumn>,
    /// The columns of the clustering key; empty: the hidden row number.
    pub primary_key: Vec<ColumnNumber>,
    pub unlogged: bool,
    pub is_temporary: bool,
    pub on_commit: OnCommit,
    /// Storage parameters, as given.
    pub options: Vec<(String, String)>,
    /// Rows as older programs counted them, before there were [`Statistics`]; negative: not counted.
    pub row_estimate: i64,
    /// The query that its rows come from, if it is a materialized view.
    pub materialized: Option<Materialized>,
    /// The composite type whose attributes its columns are, if it is a typed table; else 0.
    pub of_type: u32,
}

/// What makes a table a materialized view.
#[derive(Clone, Debug, PartialEq)]
pub struct Materialized {
    /// The query, as a [`View`]'s.
    pub query: String,
    pub sources: Vec<ViewSource>,
    /// Whether it has rows of its query, and may be read.
    pub is_populated: bool,
}

impl Table {
    /// The columns that exist.
    pub fn live_columns(&self) -> impl Iterator<Item = &TableColumn> {
        self.columns.iter().filter(|column| !column.dropped)
    }

    /// The column of that name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&TableColumn> {
        self.live_columns().find(|column| column.name == name)
    }

    /// Where a column's value is in a row of the table.
    #[must_use]
    pub fn position(number: ColumnNumber) -> usize {
        usize::try_from(number - 1).unwrap_or(usize::MAX)
    }

    /// The view that a materialized view would be if it kept no rows: what is known of a stored query is a view's.
    #[must_use]
    pub fn as_view(&self) -> Option<View> {
        let Materialized { query, sources, is_populated: _ } = self.materialized.as_ref()?;
        let columns = self.live_columns().map(|column| ViewColumn {
            name: column.name.clone(),
            type_oid: column.type_oid,
            type_modifier: column.type_modifier,
        });
        Some(View {
            oid: self.oid,
            schema: self.schema,
            name: self.name.clone(),
            owner: self.owner,
            columns: columns.collect(),
            query: query.clone(),
            sources: sources.clone(),
            is_temporary: false,
            options: Vec::new(),
        })
    }

    /// What it is called.
    #[must_use]
    pub fn word(&self) -> &'static str {
        if self.materialized.is_some() { "materialized view" } else { "table" }
    }

    /// Whether there is nothing to read in it until it is refreshed.
    #[must_use]
    pub fn is_unpopulated(&self) -> bool {
        self.materialized.as_ref().is_some_and(|materialized| !materialized.is_populated)
    }

    /// The column of that number.
    #[must_use]
    pub fn column_numbered(&self, number: ColumnNumber) -> &TableColumn {
        &self.columns[Table::position(number)]
    }
}

/// What an index orders by, where that is no column.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexExpression {
    /// The expression's text.
    pub text: String,
    pub type_oid: u32,
    /// What keys hold of the type.
    pub representation: Representation,
}

/// One column of an index's key.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexColumn {
    /// 0 for an expression.
    pub number: ColumnNumber,
    pub expression: Option<IndexExpression>,
    /// The operator class, where one was named: they all order alike here.
    pub class: Option<String>,
    /// The OID of the collation that was named, 0 for that of the column or of the expression's type.
    pub collation: u32,
    pub descending: bool,
    pub nulls_first: bool,
}

/// An index. The primary key's has no tree of its own: the table is its tree.
#[derive(Clone, Debug, PartialEq)]
pub struct Index {
    pub oid: u32,
    pub table: u32,
    pub schema: u32,
    pub name: String,
    pub tree: TreeId,
    pub columns: Vec<IndexColumn>,
    pub unique: bool,
    pub primary: bool,
    pub nulls_not_distinct: bool,
    /// The text of the condition that rows in the index satisfy.
    pub predicate: Option<String>,
    /// The columns that INCLUDE names: they are not in the key, and read from the row.
    pub included: Vec<ColumnNumber>,
    /// The columns that expressions and the condition read.
    pub read: Vec<ColumnNumber>,
    pub options: Vec<(String, String)>,
    /// It was made with `USING hash`: so it is shown, though it is a tree as all are.
    pub is_hash: bool,
}

impl Index {
    /// Whether it has all rows, ordered by columns alone.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.predicate.is_none() && self.columns.iter().all(|column| column.expression.is_none())
    }

    /// Whether it cannot be without a column.
    #[must_use]
    pub fn depends_on(&self, number: ColumnNumber) -> bool {
        self.columns.iter().any(|column| column.number == number)
            || self.included.contains(&number)
            || self.read.contains(&number)
    }
}

/// The columns that PostgreSQL's tables have beside their own.
pub const SYSTEM_COLUMNS: [(ColumnNumber, &str); 6] =
    [(-6, "tableoid"), (-5, "cmax"), (-4, "xmax"), (-3, "cmin"), (-2, "xmin"), (-1, "ctid")];

/// Whether no column of a table may have a name.
#[must_use]
pub fn is_system_column(name: &str) -> bool {
    SYSTEM_COLUMNS.iter().any(|(_, system)| *system == name)
}

/// 42701 for a column's name that no table may have.
///
/// # Errors
/// 42701.
pub fn refuse_system_name(name: &str) -> Result<()> {
    if !is_system_column(name) {
        return Ok(());
    }
    let message = format!("column name \"{name}\" conflicts with a system column name");
    Err(SqlError::new(SqlState::DUPLICATE_COLUMN, message))
}

/// What a constraint demands.
#[derive(Clone, Debug, PartialEq)]
pub enum ConstraintKind {
    PrimaryKey {
        index: u32,
    },
    Unique {
        index: u32,
    },
    /// The text of the expression.
    Check {
        expression: String,
        /// NO INHERIT, which is shown: there are no tables that inherit.
        no_inherit: bool,
    },
    ForeignKey {
        table: u32,
        columns: Vec<ColumnNumber>,
        index: u32,
        on_delete: ForeignKeyAction,
        on_update: ForeignKeyAction,
        /// The columns that ON DELETE SET NULL and SET DEFAULT change; none are all.
        delete_columns: Vec<ColumnNumber>,
        /// MATCH FULL: the columns are NULL together, or not at all.
        match_full: bool,
    },
}

/// What happens to referencing rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignKeyAction {
    NoAction,
    Restrict,
    Cascade,
    SetNull,
    SetDefault,
}

/// When a constraint is tested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    pub deferrable: bool,
    pub initially_deferred: bool,
}

/// A constraint of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    pub oid: u32,
    pub table: u32,
    pub schema: u32,
    pub name: String,
    pub columns: Vec<ColumnNumber>,
    pub kind: ConstraintKind,
    pub timing: Timing,
    /// Rows that were there before it may break it: NOT VALID.
    pub validated: bool,
}

impl Constraint {
    /// The index that is a part of it.
    #[must_use]
    pub fn index(&self) -> Option<u32> {
        match self.kind {
            ConstraintKind::PrimaryKey { index } | ConstraintKind::Unique { index } => Some(index),
            ConstraintKind::Check { .. } | ConstraintKind::ForeignKey { .. } => None,
        }
    }
}

/// The column that a sequence belongs to: it is dropped with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceOwner {
    pub table: u32,
    pub column: ColumnNumber,
    /// The column is an identity column, and the sequence a part of it.
    pub is_identity: bool,
}

/// A sequence. How far it has counted is no part of it: see [`crate::sequence`].
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    pub oid: u32,
    pub schema: u32,
    pub name: String,
    pub owner: u32,
    pub type_oid: u32,
    pub start: i64,
    pub limits: Limits,
    /// As given: what is reserved does not depend on it.
    pub cache: i64,
    /// The counter's number; RESTART makes a new one, so that it goes with the transaction.
    pub counter: u32,
    /// Where that counter begins.
    pub initial: Position,
    pub owned_by: Option<SequenceOwner>,
    pub is_temporary: bool,
    pub unlogged: bool,
}

/// The comments on an object, and on the columns of one.
#[derive(Clone, Debug, PartialEq)]
pub struct Comments {
    /// The object.
    pub oid: u32,
    /// The OID of the system catalog that the object is in.
    pub class: u32,
    /// By column number; 0 is the object itself.
    pub texts: Vec<(i16, String)>,
}

/// A view's column.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewColumn {
    pub name: String,
    pub type_oid: u32,
    pub type_modifier: i32,
}

/// A relation that a view reads.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewSource {
    pub relation: u32,
    /// Its columns when the view was made, by the names that the query calls them.
    pub columns: Vec<(ColumnNumber, String)>,
    /// Those that the query reads; [`PRIMARY_KEY`] where it groups by the key and reads other columns for that.
    pub used: Vec<ColumnNumber>,
}

/// What stands for a table's primary key among the columns that a query uses.
pub const PRIMARY_KEY: ColumnNumber = 0;

/// A view.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    pub oid: u32,
    pub schema: u32,
    pub name: String,
    pub owner: u32,
    pub columns: Vec<ViewColumn>,
    /// The text of the query. Its relations are named `"#OID".schema.name`, so that it survives their renaming.
    pub query: String,
    pub sources: Vec<ViewSource>,
    pub is_temporary: bool,
    pub options: Vec<(String, String)>,
}

impl View {
    /// Whether the rights of who reads it count for what it reads.
    #[must_use]
    pub fn is_security_invoker(&self) -> bool {
        let is_on = |value: &str| matches!(value, "true" | "on" | "yes" | "1");
        self.options.iter().any(|(name, value)| name == "security_invoker" && is_on(value))
    }
}

/// How an identity column treats values that are given for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    Always,
    ByDefault,
}

impl Identity {
    /// PostgreSQL's letter in `pg_attribute`.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Identity::Always => b'a',
            Identity::ByDefault => b'd',
        }
    }
}

/// Any object.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    Schema(Arc<Schema>),
    Table(Arc<Table>),
    Index(Arc<Index>),
    Constraint(Arc<Constraint>),
    Sequence(Arc<Sequence>),
    View(Arc<View>),
    Type(Arc<UserType>),
    Role(Arc<Role>),
    Configuration(Arc<Configuration>),
    Extension(Arc<Extension>),
    Comments(Arc<Comments>),
    Rights(Arc<ObjectRights>),
    DefaultRights(Arc<DefaultRights>),
    Statistics(Arc<Statistics>),
    ExtendedStatistics(Arc<ExtendedStatistics>),
}

impl Object {
    /// Its OID.
    #[must_use]
    pub fn oid(&self) -> u32 {
        match self {
            Object::Schema(schema) => schema.oid,
            Object::Table(table) => table.oid,
            Object::Index(index) => index.oid,
            Object::Constraint(constraint) => constraint.oid,
            Object::Sequence(sequence) => sequence.oid,
            Object::View(view) => view.oid,
            Object::Type(user_type) => user_type.oid,
            Object::Role(role) => role.oid,
            Object::Configuration(configuration) => configuration.oid,
            Object::Extension(extension) => extension.oid,
            Object::Comments(comments) => comments.oid,
            Object::Rights(rights) => rights.oid,
            Object::DefaultRights(rights) => rights.oid,
            Object::Statistics(statistics) => statistics.table,
            Object::ExtendedStatistics(own) => own.oid,
        }
    }
}
