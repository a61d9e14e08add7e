//! What DDL statements ask before they change anything: who owns an object, who may make one.

use std::sync::Arc;

use helios_mvcc::BranchId;

use super::{Ddl, comment, configuration, owner};
use crate::binder::Relation;
use crate::catalog::{
    CatalogSnapshot, Database, ObjectRights, PG_CATALOG, PG_DATABASE, Rights, UserType, put_database,
};
use crate::error::{Result, SqlError, SqlState};
use crate::rights::{Actor, denied, must_own, object_type, refused};
use crate::types::{DataType, format_type};

impl Ddl {
    /// The role that the statement runs as, and what it may do.
    pub fn actor(&self) -> Actor<'_> {
        self.binding.who.among(&self.catalog)
    }

    /// The database of a name; the first one goes by the name that the session came with, too.
    ///
    /// # Errors
    /// 3D000.
    pub fn database_named(&self, name: &str) -> Result<Database> {
        let environment = &self.execution.environment;
        let directory = environment.directory.lock();
        let own = (name == environment.database).then(|| directory.database_of(environment.branch)).flatten();
        directory.database(name).or(own).cloned().ok_or_else(|| {
            SqlError::new(SqlState::INVALID_CATALOG_NAME, format!("database \"{name}\" does not exist"))
        })
    }

    /// Gives a database away, and what its owner had and granted.
    pub async fn give_database(&mut self, database: &Database, new: u32) -> Result<()> {
        let changed = Database { owner: new, ..database.clone() };
        put_database(self.engine.store(), &changed, true).await?;
        self.engine.refresh_directory().await?;
        if self.execution.environment.branch != BranchId::MAIN {
            return Ok(());
        }
        if self.catalog.rights_on(database.oid).is_none() {
            // Whoever knows who owned it looks again.
            return self.put(ObjectRights::new(PG_DATABASE, database.oid)).await;
        }
        owner::move_grants(self, database.oid, database.owner, new).await
    }

    /// Removes what was granted and revoked on an object that is no more.
    pub async fn forget_rights(&mut self, object: u32) -> Result<()> {
        match self.catalog.rights_on(object).cloned() {
            Some(rights) => self.remove((*rights).clone()).await,
            None => Ok(()),
        }
    }

    /// Forgets what was said of a database that is no more, and of its sessions.
    pub async fn forget_settings(&mut self, database: u32) -> Result<()> {
        comment::forget(self, database).await?;
        configuration::forget_database(self, database).await
    }

    /// The role that new objects belong to.
    pub fn own_role(&self) -> u32 {
        self.binding.who.role
    }

    /// 42501 for who does not own a relation, an index's table, or the schema that it is in.
    ///
    /// # Errors
    /// That.
    pub fn check_owns(&self, relation: &Relation) -> Result<()> {
        if relation_schema(relation) == Some(PG_CATALOG) {
            return Err(refused(format!("permission denied: \"{}\" is a system catalog", relation.name())));
        }
        let owner = relation_owner(&self.catalog, relation);
        if self.actor().has_role(owner) {
            return Ok(());
        }
        Err(must_own(relation.kind().word(), relation.name()))
    }

    /// The same for the relation of an OID.
    ///
    /// # Errors
    /// 42501.
    pub fn check_owns_table(&self, table: &crate::catalog::Table) -> Result<()> {
        if self.actor().has_role(table.owner) { Ok(()) } else { Err(must_own(table.word(), &table.name)) }
    }

    /// 42501 for who does not own a schema.
    ///
    /// # Errors
    /// That.
    pub fn check_owns_schema(&self, schema: u32) -> Result<()> {
        let Some(found) = self.catalog.schema(schema) else { return Ok(()) };
        if self.actor().has_role(found.owner) { Ok(()) } else { Err(must_own("schema", &found.name)) }
    }

    /// 42501 for who does not own a type.
    ///
    /// # Errors
    /// That.
    pub fn check_owns_type(&self, own: &UserType) -> Result<()> {
        if self.actor().has_role(own.owner) { Ok(()) } else { Err(must_own("type", &own.name)) }
    }

    /// 42501 for who may not drop something: neither its owner, nor that of the schema.
    ///
    /// # Errors
    /// That.
    pub fn check_may_drop(&self, relation: &Relation) -> Result<()> {
        if relation_schema(relation) == Some(PG_CATALOG) {
            return self.check_owns(relation);
        }
        let actor = self.actor();
        let of_schema = relation_schema(relation).and_then(|schema| self.catalog.schema(schema));
        if of_schema.is_some_and(|schema| actor.has_role(schema.owner)) {
            return Ok(());
        }
        self.check_owns(relation)
    }

    /// 42501 for a schema that the role may not make objects in.
    ///
    /// # Errors
    /// That.
    pub fn check_may_create_in(&self, schema: u32) -> Result<()> {
        self.check_role_may_create_in(self.own_role(), schema)
    }

    /// The same for another role: the one that an object is given to.
    ///
    /// # Errors
    /// 42501.
    pub fn check_role_may_create_in(&self, role: u32, schema: u32) -> Result<()> {
        if self.binding.who.instead(role).among(&self.catalog).may_in_schema(schema, Rights::CREATE) {
            return Ok(());
        }
        let name = self.catalog.schema(schema).map_or("", |schema| schema.name.as_str());
        Err(denied("schema", name))
    }

    /// 42501 for a database that the role may not make temporary objects in.
    ///
    /// # Errors
    /// That.
    pub fn check_may_create_temporary(&self) -> Result<()> {
        if self.actor().may_on_database(Rights::TEMPORARY) {
            return Ok(());
        }
        let name = &self.binding.database;
        Err(refused(format!("permission denied to create temporary tables in database \"{name}\"")))
    }

    /// 42501 for a type that the role may not use.
    ///
    /// # Errors
    /// That.
    pub fn check_may_use_type(&self, data_type: DataType) -> Result<()> {
        let Some(secured) = object_type(&self.catalog, data_type.oid) else { return Ok(()) };
        if self.actor().rights(&secured, Rights::USAGE).is_empty() {
            let element = self.catalog.user_type(data_type.oid).map(|entry| entry.definition.oid);
            let shown = DataType::of(element.unwrap_or(data_type.oid));
            return Err(denied("type", &format_type(shown, &self.types())));
        }
        Ok(())
    }
}

/// The role that owns a relation; an index is its table's.
pub fn relation_owner(catalog: &Arc<CatalogSnapshot>, relation: &Relation) -> u32 {
    match relation {
        Relation::Index(index) => catalog.table(index.table).map_or(0, |entry| entry.table.owner),
        other => other.owner(),
    }
}

/// The schema that a stored relation is in.
pub fn relation_schema(relation: &Relation) -> Option<u32> {
    Some(match relation {
        Relation::Stored(entry) => entry.table.schema,
        Relation::Sequence(entry) => entry.sequence.schema,
        Relation::View(view) => view.schema,
        Relation::Index(index) => index.schema,
        Relation::Virtual(_) => return None,
    })
}
