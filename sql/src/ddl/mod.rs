//! DDL: statements that change the catalog, each within the running transaction.

mod absent;
mod alter_table;
mod analyze;
mod column_settings;
mod column_type;
mod comment;
mod composite;
mod configuration;
mod constraint;
mod create_as;
mod create_table;
mod default;
mod default_rights;
mod dependency;
mod domain;
mod drop;
mod enumeration;
mod extended_statistics;
mod extension;
mod grant;
mod identity;
mod index;
mod large_object;
mod like;
mod lock;
mod maintenance;
mod materialized;
mod owned;
mod owner;
mod persistence;
mod pin;
mod range;
mod refresh;
mod rename;
mod reshape;
mod rewrite;
mod rights;
mod role;
mod schema;
mod sequence;
mod storage;
mod temporary;
mod typed;
mod upkeep;
mod user_type;
mod view;

use std::sync::Arc;

use helios_mvcc::{TableLockMode, TreeId};
use sqlparser::ast;

pub use analyze::{analyze, refresh_statistics};
pub use column_type::keeps_values;
pub use default::named_columns;
pub use dependency::{Thing, drop_things};
pub use lock::tables_to_lock;
pub use maintenance::vacuum;
pub use owned::count_dependents;
pub use reshape::{Fields, Reshape, holds_rows, of_composite as attributes_of, prepare as prepare_reshaping};
pub use temporary::{TEMPORARY_PREFIX, at_commit, drop_schema, temporary_schema};
pub use upkeep::check as check_upkeep;

use crate::binder::{BindEnvironment, Binder, Relation, lookup_relation, name};
use crate::catalog::{
    CatalogSnapshot, INFORMATION_SCHEMA, Object, OnCommit, PG_CATALOG, Sequence, Table, TableEntry,
    TypeScope, store,
};
use crate::error::{Result, SqlError, SqlState};
use crate::execute::Execution;
use crate::parser::{
    CommentTarget, Definition, ObjectKind, RightsStatement, RoleStatement, StatisticsStatement,
    TypeStatement, refuse_in_definition,
};
use crate::session::{Engine, Session};
use crate::write::{TableWriter, WAIT};

/// What a DDL statement works with.
pub struct Ddl {
    pub engine: Engine,
    pub execution: Execution,
    pub catalog: Arc<CatalogSnapshot>,
    pub binding: BindEnvironment,
    pub notices: Vec<SqlError>,
    /// Warnings whose states are those of errors.
    pub warnings: Vec<SqlError>,
    /// What only those hear who ask for it by `client_min_messages`.
    pub details: Vec<SqlError>,
    /// It made a temporary object.
    pub makes_temporary: bool,
}

impl Ddl {
    /// Warns the client.
    pub fn warn(&mut self, message: impl Into<String>) {
        self.notices.push(SqlError::new(SqlState::WARNING, message));
    }

    /// Tells the client something.
    pub fn notice(&mut self, message: impl Into<String>) {
        self.notices.push(SqlError::new(SqlState::SUCCESSFUL_COMPLETION, message));
    }

    /// Tells of the sequences that a statement makes for columns of a table.
    pub fn tell_of_sequences(&mut self, statement: &str, table: &Table, sequences: &[Sequence]) {
        for sequence in sequences {
            let Some(owner) = sequence.owned_by else { continue };
            self.tell_detail(format!(
                "{statement} will create implicit sequence \"{}\" for serial column \"{}.{}\"",
                sequence.name,
                table.name,
                table.column_numbered(owner.column).name
            ));
        }
    }

    /// Tells of the index that a statement makes for a key.
    pub fn tell_of_index(&mut self, statement: &str, primary: bool, index: &str, table: &Table) {
        let kind = if primary { "PRIMARY KEY" } else { "UNIQUE" };
        self.tell_detail(format!(
            "{statement} {kind} will create implicit index \"{index}\" for table \"{}\"",
            table.name
        ));
    }

    fn tell_detail(&mut self, message: String) {
        self.details.push(SqlError::new(SqlState::SUCCESSFUL_COMPLETION, message));
    }

    /// A new OID.
    pub async fn oid(&self) -> Result<u32> {
        self.engine.allocate_oid().await
    }

    /// A new tree for rows or entries, filled as its parameters say.
    pub fn tree(&mut self, options: &[(String, String)], owner: storage::Owner) -> TreeId {
        self.execution.transaction.create_tree_filled(storage::fill_percent(options, owner))
    }

    /// The types, under the names that the session knows them by.
    pub fn types(&self) -> TypeScope<'_> {
        TypeScope { catalog: &self.catalog, search_path: &self.binding.search_path }
    }

    /// A binder over the catalog before the statement.
    pub fn binder<'a>(&'a self, text: &'a str) -> Binder<'a> {
        Binder::new(&self.catalog, &self.binding, text, Vec::new())
    }

    /// Writes an object.
    pub async fn put(&mut self, object: impl Into<Object>) -> Result<()> {
        store::put(&mut self.execution.transaction, &object.into()).await
    }

    /// Replaces an object.
    pub async fn replace(&mut self, old: impl Into<Object>, new: impl Into<Object>) -> Result<()> {
        store::replace(&mut self.execution.transaction, &old.into(), &new.into()).await
    }

    /// Removes an object.
    pub async fn remove(&mut self, object: impl Into<Object>) -> Result<()> {
        store::remove(&mut self.execution.transaction, &object.into()).await
    }

    /// Keeps everybody else away from a table.
    ///
    /// # Errors
    /// As [`Ddl::lock_as`].
    pub async fn lock(&mut self, table: &Table) -> Result<()> {
        self.lock_as(table, TableLockMode::AccessExclusive).await
    }

    /// Locks a table.
    ///
    /// # Errors
    /// Those of locking; 40001 where the table was changed after it was looked up and before it was locked.
    pub async fn lock_as(&mut self, table: &Table, mode: TableLockMode) -> Result<()> {
        let transaction = &mut self.execution.transaction;
        transaction.lock_table(u64::from(table.oid), mode, WAIT).await?;
        let newest = transaction.store().catalog_scn(transaction.branch());
        let seen = transaction.snapshot().scn;
        if newest <= seen {
            return Ok(());
        }
        let committed = async |scn| -> Result<Option<Arc<TableEntry>>> {
            let reader = transaction.store().begin_as_of(transaction.branch(), scn)?;
            Ok(CatalogSnapshot::load(&reader).await?.table(table.oid).cloned())
        };
        match committed(seen).await? == committed(newest).await? {
            true => Ok(()),
            false => Err(self.execution.conflict()),
        }
    }

    /// The schema that a new object goes into, which the role may make objects in, and its name.
    pub async fn target_schema(
        &mut self,
        object: &ast::ObjectName,
        temporary: bool,
    ) -> Result<(u32, String)> {
        let (schema, base) = self.find_target(object, temporary).await?;
        // Whether temporary objects may be made was asked before their schema was made.
        if !temporary && !self.makes_temporary {
            self.check_may_create_in(schema)?;
        }
        Ok((schema, base))
    }

    /// The schema that a new object goes into, and its name.
    pub async fn find_target(&mut self, object: &ast::ObjectName, temporary: bool) -> Result<(u32, String)> {
        if temporary {
            self.check_may_create_temporary()?;
            self.makes_temporary = true;
            return temporary::target(self, object).await;
        }
        let (schema, base) = name::split(object)?;
        if schema.as_deref() == Some("pg_temp") {
            return Box::pin(self.find_target(object, true)).await;
        }
        let Some(schema) = schema else {
            let own = self.binding.search_path.iter().find(|oid| !self.catalog.is_special_schema(**oid));
            let own = own.ok_or_else(|| {
                SqlError::new(SqlState::INVALID_SCHEMA_NAME, "no schema has been selected to create in")
            })?;
            return Ok((*own, base));
        };
        match self.catalog.schema_named(&schema) {
            Some(found) if found.oid == PG_CATALOG || found.oid == INFORMATION_SCHEMA => Err(SqlError::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("permission denied to create \"{schema}.{base}\""),
            )
            .with_detail("System catalog modifications are currently disallowed.")),
            Some(found) => Ok((found.oid, base)),
            None => Err(SqlError::new(
                SqlState::INVALID_SCHEMA_NAME,
                format!("schema \"{schema}\" does not exist"),
            )),
        }
    }

    /// The relation of a name.
    pub fn relation(&self, object: &ast::ObjectName) -> Result<Relation> {
        let (schema, base) = name::split(object)?;
        let binding = &self.binding;
        lookup_relation(&self.catalog, &self.actor(), &binding.search_path, schema.as_deref(), &base)
    }

    /// The relation of a name; with IF EXISTS a notice where there is none.
    pub fn existing(&mut self, object: &ast::ObjectName, if_exists: bool) -> Result<Option<Relation>> {
        match self.relation(object) {
            Ok(relation) => Ok(Some(relation)),
            Err(error) if if_exists && error.state() == SqlState::UNDEFINED_TABLE => {
                self.notice(format!("{}, skipping", error.message()));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The stored table of a name.
    pub fn table(&self, object: &ast::ObjectName) -> Result<Arc<TableEntry>> {
        self.relation(object)?.into_table()
    }

    /// Lets the statement see its own changes of the catalog.
    pub async fn refresh(&mut self) -> Result<()> {
        self.execution.transaction.begin_statement();
        self.catalog = Arc::new(self.engine.read_catalog(&self.execution.transaction).await?);
        let environment = self.execution.environment.with_catalog(self.catalog.clone());
        self.execution.environment = Arc::new(environment);
        Ok(())
    }

    /// A writer for a table as it is now.
    pub fn writer(&self, entry: &Arc<TableEntry>) -> Result<TableWriter> {
        TableWriter::new(entry, &mut self.binder(""))
    }

    /// A name for an index or constraint that nothing has yet: `base`, `base1`, …
    pub fn free_name(&self, schema: u32, base: &str, taken: &[String]) -> String {
        let is_taken = |name: &str| {
            taken.iter().any(|each| each == name)
                || self.catalog.relation_named(schema, name).is_some()
                || self.catalog.constraints().any(|each| each.schema == schema && each.name == name)
        };
        if !is_taken(base) {
            return base.to_string();
        }
        (1u32..).map(|number| format!("{base}{number}")).find(|name| !is_taken(name)).unwrap_or_default()
    }
}

/// Runs a DDL statement; `None` if it is none that is known.
///
/// # Errors
/// All the errors of DDL.
pub async fn run(session: &mut Session, statement: &ast::Statement, text: &str) -> Result<Option<String>> {
    use ast::Statement as S;
    let command = match statement {
        S::CreateTable(create) if create.query.is_some() => "CREATE TABLE AS",
        S::CreateTable(_) => "CREATE TABLE",
        S::CreateIndex(_) => "CREATE INDEX",
        S::CreateView(_) => "CREATE VIEW",
        S::CreateSchema { .. } => "CREATE SCHEMA",
        S::CreateExtension(_) => "CREATE EXTENSION",
        S::DropExtension(_) => "DROP EXTENSION",
        S::Truncate(_) => "TRUNCATE TABLE",
        S::Drop { object_type, .. } => match object_type {
            ast::ObjectType::Table => "DROP TABLE",
            ast::ObjectType::Index => "DROP INDEX",
            ast::ObjectType::Schema => "DROP SCHEMA",
            ast::ObjectType::View => "DROP VIEW",
            ast::ObjectType::MaterializedView => "DROP MATERIALIZED VIEW",
            ast::ObjectType::Sequence => "DROP SEQUENCE",
            _ => return Ok(None),
        },
        S::AlterIndex { .. } => "ALTER INDEX",
        _ => return Ok(None),
    };
    if matches!(statement, S::CreateIndex(create) if create.concurrently) {
        session.refuse_in_block("CREATE INDEX CONCURRENTLY")?;
    }
    let tag = session.change_catalog(command, &Work::Statement(statement), text).await?;
    Ok(Some(tag.unwrap_or_else(|| command.to_string())))
}

/// Runs a statement that our own parser took; gives its tag.
///
/// # Errors
/// All the errors of DDL.
pub async fn define(session: &mut Session, definition: &Definition, text: &str) -> Result<String> {
    let kind = |kind: &ObjectKind| match kind {
        ObjectKind::Table => "ALTER TABLE",
        ObjectKind::Sequence => "ALTER SEQUENCE",
        ObjectKind::View => "ALTER VIEW",
        ObjectKind::MaterializedView => "ALTER MATERIALIZED VIEW",
        ObjectKind::Schema => "ALTER SCHEMA",
        ObjectKind::Type => "ALTER TYPE",
        ObjectKind::Domain => "ALTER DOMAIN",
    };
    let command = match definition {
        Definition::CreateSequence { .. } => "CREATE SEQUENCE",
        Definition::AlterSequence { .. } | Definition::SetLogged { .. } => "ALTER SEQUENCE",
        Definition::DropIndexes { .. } => "DROP INDEX",
        Definition::AlterIndex { .. } => "ALTER INDEX",
        Definition::AlterView { .. } => "ALTER VIEW",
        Definition::AlterTable { kind: of, .. }
        | Definition::DependsOnExtension { kind: of, .. }
        | Definition::Rename { kind: of, .. }
        | Definition::SetSchema { kind: of, .. }
        | Definition::SetOwner { kind: of, .. } => kind(of),
        Definition::RenameViewColumn { .. } => "ALTER VIEW",
        Definition::OwnLargeObject { .. } => "ALTER LARGE OBJECT",
        Definition::Comment { .. } => "COMMENT",
        Definition::Role(statement) => match statement {
            RoleStatement::Create { .. } => "CREATE ROLE",
            RoleStatement::Alter { .. } | RoleStatement::Rename { .. } | RoleStatement::Set { .. } => {
                "ALTER ROLE"
            }
            RoleStatement::Drop { .. } => "DROP ROLE",
            RoleStatement::Grant { .. } => "GRANT ROLE",
            RoleStatement::Revoke { .. } => "REVOKE ROLE",
        },
        Definition::Rights(statement) => match statement {
            RightsStatement::Grant(grant) if grant.is_grant => "GRANT",
            RightsStatement::Grant(_) => "REVOKE",
            RightsStatement::Default { .. } => "ALTER DEFAULT PRIVILEGES",
            RightsStatement::Reassign { .. } => "REASSIGN OWNED",
            RightsStatement::DropOwned { .. } => "DROP OWNED",
        },
        Definition::Type(statement) => match statement {
            TypeStatement::CreateEnum { .. }
            | TypeStatement::CreateRange { .. }
            | TypeStatement::CreateComposite { .. } => "CREATE TYPE",
            TypeStatement::AddValue { .. }
            | TypeStatement::RenameValue { .. }
            | TypeStatement::AlterComposite { .. }
            | TypeStatement::RenameAttribute { .. } => "ALTER TYPE",
            TypeStatement::CreateDomain { .. } => "CREATE DOMAIN",
            TypeStatement::AlterDomain { .. } => "ALTER DOMAIN",
            TypeStatement::Drop { domains: true, .. } => "DROP DOMAIN",
            TypeStatement::Drop { .. } => "DROP TYPE",
        },
        Definition::Statistics(statement) => match statement {
            StatisticsStatement::Create { .. } => "CREATE STATISTICS",
            StatisticsStatement::Alter { .. } => "ALTER STATISTICS",
            StatisticsStatement::Drop { .. } => "DROP STATISTICS",
        },
        Definition::CreateSchema { .. } => "CREATE SCHEMA",
        Definition::CreateLike { .. } | Definition::CreateTyped { .. } => "CREATE TABLE",
        Definition::CreateAs { .. } => "CREATE TABLE AS",
        Definition::DropAbsent(drop) => drop.kind,
        Definition::CreateMaterialized(_) => "CREATE MATERIALIZED VIEW",
        Definition::RefreshMaterialized(_) => "REFRESH MATERIALIZED VIEW",
        Definition::SelectInto { .. } => "SELECT INTO",
    };
    if matches!(definition, Definition::DropIndexes { .. }) {
        session.refuse_in_block("DROP INDEX CONCURRENTLY")?;
    }
    let work = Work::Definition(definition);
    let tag = match definition {
        // What is said of databases is with the roles.
        Definition::Rights(RightsStatement::Grant(grant)) if grant::is_about_databases(grant) => {
            session.change_roles(command, &work, text).await?
        }
        Definition::Role(_)
        | Definition::Comment { target: CommentTarget::Role(_) | CommentTarget::Database(_), .. } => {
            session.change_roles(command, &work, text).await?
        }
        _ => session.change_catalog(command, &work, text).await?,
    };
    let drops = if matches!(definition, Definition::DropAbsent(_)) { "DROP " } else { "" };
    Ok(tag.unwrap_or_else(|| format!("{drops}{command}")))
}

/// What a DDL statement does.
pub enum Work<'a> {
    Statement(&'a ast::Statement),
    Definition(&'a Definition),
}

impl Work<'_> {
    /// Does it; gives a tag of its own, where it has one.
    ///
    /// # Errors
    /// All the errors of DDL.
    pub async fn run(&self, ddl: &mut Ddl, text: &str) -> Result<Option<String>> {
        match self {
            Work::Statement(statement) => dispatch(ddl, statement, text).await,
            Work::Definition(definition) => change(ddl, definition, text).await,
        }
    }
}

async fn change(ddl: &mut Ddl, definition: &Definition, text: &str) -> Result<Option<String>> {
    match definition {
        Definition::CreateLike { create, likes } => {
            create_table::create_table(ddl, create, likes, None, text).await
        }
        Definition::CreateTyped { create, of } => {
            create_table::create_table(ddl, create, &[], Some(of), text).await
        }
        Definition::CreateAs { create, names, with_data } => {
            return create_as::of_create(ddl, create, names, *with_data, text).await.map(Some);
        }
        Definition::SelectInto { target, temporary, unlogged, query } => {
            let create = create_as::CreateAs {
                target,
                names: Vec::new(),
                query,
                if_not_exists: false,
                temporary: *temporary,
                unlogged: *unlogged,
                on_commit: OnCommit::PreserveRows,
                with_data: true,
                options: Vec::new(),
            };
            return create_as::create_as(ddl, create, text).await.map(Some);
        }
        Definition::CreateSequence { name, if_not_exists, temporary, unlogged, options } => {
            let create = sequence::Create {
                name,
                if_not_exists: *if_not_exists,
                temporary: *temporary,
                unlogged: *unlogged,
                options,
            };
            sequence::create_sequence(ddl, &create).await
        }
        Definition::AlterSequence { name, if_exists, options } => {
            sequence::alter_sequence(ddl, name, *if_exists, options).await
        }
        Definition::AlterView { name, if_exists, change } => {
            view::alter_options(ddl, name, *if_exists, change).await
        }
        Definition::AlterIndex { name, if_exists, action } => {
            index::alter(ddl, name, *if_exists, action).await
        }
        Definition::SetLogged { name, if_exists, logged } => {
            persistence::set_sequence(ddl, name, *if_exists, *logged).await
        }
        Definition::DropIndexes { names, if_exists, cascade } => {
            drop::drop_concurrently(ddl, names, *if_exists, *cascade).await
        }
        Definition::AlterTable { kind, name, if_exists, actions } => {
            alter_table::alter_table(ddl, *kind, name, *if_exists, actions, text).await
        }
        Definition::DropAbsent(drop) => absent::drop_absent(ddl, drop),
        Definition::CreateMaterialized(create) => return materialized::create(ddl, create, text).await,
        Definition::RefreshMaterialized(refresh) => refresh::refresh(ddl, refresh).await,
        Definition::DependsOnExtension { kind, name, extension } => {
            rename::check_exists(ddl, *kind, name, false)?;
            extension::depend(ddl, &name::fold(extension))
        }
        Definition::Rename { kind, name, if_exists, new_name } => {
            rename::rename(ddl, *kind, name, *if_exists, new_name).await
        }
        Definition::SetSchema { kind, name, if_exists, schema } => {
            rename::set_schema(ddl, *kind, name, *if_exists, schema).await
        }
        Definition::CreateSchema { create, elements } => {
            schema::create_whole(ddl, create, elements, text).await
        }
        Definition::Role(statement) => role::define(ddl, statement).await,
        Definition::Rights(statement) => grant::define(ddl, statement).await,
        Definition::Statistics(statement) => extended_statistics::define(ddl, statement, text).await,
        Definition::Type(statement) => user_type::define(ddl, statement, text).await,
        Definition::Comment { target, text } => comment::comment(ddl, target, text.as_deref()).await,
        Definition::RenameViewColumn { name: object, if_exists, column, new_name } => {
            let found = rename::check_exists(ddl, ObjectKind::View, object, *if_exists)?;
            let Some(Relation::View(found)) = found else { return Ok(None) };
            view::rename_column(ddl, &found, &name::fold(column), &name::fold(new_name)).await
        }
        Definition::OwnLargeObject { oid, owner } => large_object::set_owner(ddl, *oid, owner).await,
        Definition::SetOwner { kind, name, if_exists, owner } => {
            owner::set_owner(ddl, *kind, name, *if_exists, owner).await
        }
    }?;
    Ok(None)
}

async fn dispatch(ddl: &mut Ddl, statement: &ast::Statement, text: &str) -> Result<Option<String>> {
    use ast::Statement as S;
    refuse_in_definition(statement)?;
    match statement {
        S::CreateTable(create) if create.query.is_some() => {
            return create_as::of_create(ddl, create, &[], true, text).await.map(Some);
        }
        S::CreateTable(create) => create_table::create_table(ddl, create, &[], None, text).await,
        S::CreateIndex(create) => index::create_index(ddl, create).await,
        S::CreateView(create) => view::create_view(ddl, create, text).await,
        S::CreateSchema { schema_name, if_not_exists, .. } => {
            schema::create_schema(ddl, schema_name, *if_not_exists).await.map(|_| ())
        }
        S::CreateExtension(create) => extension::create(ddl, create).await,
        S::DropExtension(drop) => extension::drop(ddl, drop).await,
        S::Truncate(truncate) => maintenance::truncate(ddl, truncate).await,
        S::Drop { object_type, if_exists, names, cascade, .. } => {
            drop::drop_objects(ddl, object_type, *if_exists, names, *cascade).await
        }
        _ => Err(SqlError::internal("a statement without a DDL function")),
    }?;
    Ok(None)
}
