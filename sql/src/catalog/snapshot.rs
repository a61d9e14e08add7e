//! The catalog at one moment: immutable, shared by all who read that moment.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, OnceLock};

use helios_mvcc::{KeyRange, OWN_ROWS, ScanStep, Scn, Snapshot, Transaction, TreeId};

use super::changes::{ChangeCounter, Changes};
use super::codec;
use super::configuration::Configuration;
use super::extended_statistics::ExtendedStatistics;
use super::extension::Extension;
use super::object::{
    ColumnNumber, Comments, Constraint, ConstraintKind, Index, Object, Schema, Sequence, Table, View,
};
use super::rights::{DefaultRights, ObjectRights};
use super::role::{Role, builtin_roles};
use super::row_type::{RowType, relation_of_type, system_row_type};
use super::statistics::{ColumnStatistics, Statistics};
use super::user_type::{Composite, Constructors, TypeDefinition, UserType};
use super::{INFORMATION_SCHEMA, PG_AUTHID, PG_CATALOG, PG_DATABASE, SUPERUSER};
use crate::binder::BoundCheck;
use crate::binder::name::quote;
use crate::error::{Result, SqlError};
use crate::functions::{Function, multirange_constructors, range_constructors};
use crate::plan::SpecialIndex;
use crate::sequence::Counter;
use crate::types::composite::composite_type;
use crate::types::domain::domain_type;
use crate::types::enumeration::enum_type;
use crate::types::multirange::multirange_type;
use crate::types::range::range_type;
use crate::types::{EnumLabels, RangeShape, TypeInfo, array_type_of, builtin_type};

/// Everything that the catalog holds at one SCN (and of one transaction's own changes).
#[derive(Clone, Debug, Default)]
pub struct CatalogSnapshot {
    /// All catalog changes committed up to here are in it.
    pub as_of: Scn,
    schemas: BTreeMap<u32, Arc<Schema>>,
    extensions: BTreeMap<String, Arc<Extension>>,
    schemas_by_name: HashMap<String, u32>,
    tables: BTreeMap<u32, Arc<TableEntry>>,
    indexes: BTreeMap<u32, Arc<Index>>,
    constraints: BTreeMap<u32, Arc<Constraint>>,
    sequences: BTreeMap<u32, Arc<SequenceEntry>>,
    views: BTreeMap<u32, Arc<View>>,
    comments: BTreeMap<u32, Arc<Comments>>,
    statistics: BTreeMap<u32, Arc<Statistics>>,
    extended_statistics: BTreeMap<u32, Arc<ExtendedStatistics>>,
    rights: BTreeMap<u32, Arc<ObjectRights>>,
    default_rights: BTreeMap<u32, Arc<DefaultRights>>,
    roles: BTreeMap<u32, Arc<Role>>,
    roles_by_name: HashMap<String, u32>,
    /// By the database's OID.
    configurations: BTreeMap<u32, Arc<Configuration>>,
    relations_by_name: HashMap<(u32, String), u32>,
    types: BTreeMap<u32, Arc<TypeEntry>>,
    /// Types and those of their arrays.
    types_by_name: HashMap<(u32, String), u32>,
    /// The types that array types have elements of.
    elements: HashMap<u32, u32>,
    /// The types of ranges and multiranges by the names of the functions that make their values.
    constructors: HashMap<String, Vec<u32>>,
    /// The row types of tables and views, once somebody asked.
    row_types: HashMap<u32, OnceLock<Option<RowType>>>,
    /// Composite types by the OIDs that they have as relations.
    composites: HashMap<u32, u32>,
}

/// A table with all that belongs to it.
#[derive(Debug)]
pub struct TableEntry {
    pub table: Arc<Table>,
    /// By OID; the primary key's among them.
    pub indexes: Vec<Arc<Index>>,
    pub constraints: Vec<Arc<Constraint>>,
    /// Foreign keys of other tables that point here.
    pub referenced_by: Vec<Arc<Constraint>>,
    /// `None`: it was never analyzed.
    pub statistics: Option<Arc<Statistics>>,
    /// The rows changed since then.
    pub changes: Arc<ChangeCounter>,
    /// Its indexes on expressions and on part of the rows, once a query was bound that might use them.
    pub special_indexes: OnceLock<Vec<SpecialIndex>>,
    /// Where its rows are read, if it is not where the transaction reads.
    pub as_of: Option<Snapshot>,
}

impl TableEntry {
    /// The constraint of a unique index that may be broken until the end of the statement, or of the transaction.
    #[must_use]
    pub fn deferrable_unique(&self, index: u32) -> Option<&Arc<Constraint>> {
        self.constraints.iter().find(|each| {
            each.timing.deferrable
                && matches!(each.kind, ConstraintKind::Unique { index: own } if own == index)
        })
    }

    /// Whether the key that an index belongs to was declared DEFERRABLE. Nothing else may rely on such a key, be it a
    /// primary key, which is tested at once nevertheless.
    #[must_use]
    pub fn is_deferrable_key(&self, index: u32) -> bool {
        self.constraints.iter().any(|each| each.timing.deferrable && each.index() == Some(index))
    }

    /// The columns of the primary key that determine a row for GROUP BY; none where the key is DEFERRABLE.
    #[must_use]
    pub fn determining_key(&self) -> &[ColumnNumber] {
        let is_primary = |each: &&Arc<Constraint>| matches!(each.kind, ConstraintKind::PrimaryKey { .. });
        match self.constraints.iter().find(is_primary) {
            Some(key) if key.timing.deferrable => &[],
            _ => &self.table.primary_key,
        }
    }
}

/// Statistics are no part of what a table is.
impl PartialEq for TableEntry {
    fn eq(&self, other: &TableEntry) -> bool {
        let TableEntry {
            table,
            indexes,
            constraints,
            referenced_by,
            statistics: _,
            changes: _,
            special_indexes: _,
            as_of,
        } = self;
        *table == other.table
            && *indexes == other.indexes
            && *constraints == other.constraints
            && *referenced_by == other.referenced_by
            && *as_of == other.as_of
    }
}

impl TableEntry {
    /// A table by itself, to write its rows: without constraints, and with those indexes alone that are given.
    #[must_use]
    pub fn bare(table: Table, indexes: Vec<Index>) -> Arc<TableEntry> {
        Arc::new(TableEntry {
            table: Arc::new(table),
            indexes: indexes.into_iter().map(Arc::new).collect(),
            constraints: Vec::new(),
            referenced_by: Vec::new(),
            statistics: None,
            changes: Arc::default(),
            special_indexes: OnceLock::new(),
            as_of: None,
        })
    }

    /// The name of the primary key's index; empty where there is none.
    #[must_use]
    pub fn primary_key_name(&self) -> &str {
        self.indexes.iter().find(|index| index.primary).map_or("", |index| &index.name)
    }

    /// Its rows at the last ANALYZE.
    #[must_use]
    pub fn rows_analyzed(&self) -> Option<f64> {
        let counted = self.table.row_estimate;
        match &self.statistics {
            Some(statistics) => Some(statistics.rows),
            None => (counted >= 0).then_some(counted as f64),
        }
    }

    /// What is known about a column.
    #[must_use]
    pub fn column_statistics(&self, number: ColumnNumber) -> Option<&ColumnStatistics> {
        let column = self.table.columns.get(Table::position(number))?;
        self.statistics.as_ref()?.column(number, column.type_oid)
    }
}

/// A sequence, and its counter once it was looked for.
#[derive(Debug)]
pub struct SequenceEntry {
    pub sequence: Arc<Sequence>,
    pub counter: OnceLock<Arc<Counter>>,
}

/// A user's type, as the rest of the program looks at it.
pub struct TypeEntry {
    pub definition: Arc<UserType>,
    pub info: TypeInfo,
    pub array: TypeInfo,
    /// The constraints of a domain and of those under it, once they were bound.
    pub checks: OnceLock<Result<Vec<BoundCheck>>>,
}

impl std::fmt::Debug for TypeEntry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.definition.fmt(formatter)
    }
}

impl CatalogSnapshot {
    /// Reads the catalog as `transaction` sees it.
    ///
    /// # Errors
    /// Those of reading pages; XX001.
    pub async fn load(transaction: &Transaction) -> Result<CatalogSnapshot> {
        let range = KeyRange { lower: Bound::Unbounded, upper: Bound::Excluded(OWN_ROWS.to_vec()) };
        let mut scan = transaction.scan(TreeId::CATALOG, range, false);
        let mut objects: Vec<Object> = Vec::new();
        let mut failure = None;
        loop {
            let step = scan
                .next(transaction, &mut |key, value| {
                    match codec::decode(key.first().copied().unwrap_or(0), value) {
                        Ok(object) => objects.extend(object),
                        Err(error) => {
                            failure = Some(error);
                            return ControlFlow::Break(());
                        }
                    }
                    ControlFlow::Continue(())
                })
                .await?;
            if let Some(error) = failure {
                return Err(error);
            }
            if step == ScanStep::Done {
                let as_of = transaction.snapshot().scn;
                return Ok(CatalogSnapshot { as_of, ..CatalogSnapshot::from_objects(objects) });
            }
        }
    }

    fn from_objects(objects: Vec<Object>) -> CatalogSnapshot {
        let mut snapshot = CatalogSnapshot::default();
        let (mut tables, mut types) = (BTreeMap::new(), Vec::new());
        for (oid, name) in [(PG_CATALOG, "pg_catalog"), (INFORMATION_SCHEMA, "information_schema")] {
            let schema = Schema { oid, name: name.to_string(), owner: SUPERUSER };
            snapshot.schemas.insert(oid, Arc::new(schema));
        }
        snapshot.roles.extend(builtin_roles().iter().map(|role| (role.oid, role.clone())));
        for object in objects {
            match object {
                Object::Schema(schema) => {
                    snapshot.schemas.insert(schema.oid, schema);
                }
                Object::Table(table) => {
                    snapshot.relations_by_name.insert((table.schema, table.name.clone()), table.oid);
                    tables.insert(table.oid, table);
                }
                Object::Index(index) => {
                    snapshot.relations_by_name.insert((index.schema, index.name.clone()), index.oid);
                    snapshot.indexes.insert(index.oid, index);
                }
                Object::Constraint(constraint) => {
                    snapshot.constraints.insert(constraint.oid, constraint);
                }
                Object::Type(user_type) => types.push(user_type),
                Object::Role(role) => {
                    snapshot.roles.insert(role.oid, role);
                }
                Object::Configuration(configuration) => {
                    snapshot.configurations.insert(configuration.oid, configuration);
                }
                Object::Extension(extension) => {
                    snapshot.extensions.insert(extension.name.clone(), extension);
                }
                Object::Rights(rights) => {
                    snapshot.rights.insert(rights.oid, rights);
                }
                Object::DefaultRights(rights) => {
                    snapshot.default_rights.insert(rights.oid, rights);
                }
                Object::Comments(comments) => {
                    snapshot.comments.insert(comments.oid, comments);
                }
                Object::Statistics(statistics) => {
                    snapshot.statistics.insert(statistics.table, statistics);
                }
                Object::ExtendedStatistics(own) => {
                    snapshot.extended_statistics.insert(own.oid, own);
                }
                Object::View(view) => {
                    snapshot.relations_by_name.insert((view.schema, view.name.clone()), view.oid);
                    snapshot.row_types.insert(view.oid, OnceLock::new());
                    snapshot.views.insert(view.oid, view);
                }
                Object::Sequence(sequence) => {
                    let place = (sequence.schema, sequence.name.clone());
                    snapshot.relations_by_name.insert(place, sequence.oid);
                    let entry = SequenceEntry { sequence, counter: OnceLock::new() };
                    snapshot.sequences.insert(entry.sequence.oid, Arc::new(entry));
                }
            }
        }
        for schema in snapshot.schemas.values() {
            snapshot.schemas_by_name.insert(schema.name.clone(), schema.oid);
        }
        for role in snapshot.roles.values() {
            snapshot.roles_by_name.insert(role.name.clone(), role.oid);
        }
        snapshot.link(tables);
        // Domains may be over rows of tables.
        types.into_iter().for_each(|each| snapshot.add_type(each));
        snapshot
    }

    /// Types come in the order of their OIDs: the base of a domain before it.
    fn add_type(&mut self, own: Arc<UserType>) {
        let (name, sql_name) = (own.name.as_str(), quote(&own.name));
        let info = match &own.definition {
            TypeDefinition::Enum { labels } => {
                let labels = labels.iter().map(|each| (each.place, each.label.clone())).collect();
                enum_type(own.oid, own.array_oid, name, sql_name, EnumLabels::new(labels))
            }
            TypeDefinition::Domain(domain) => {
                let Some(base) = self.type_info(domain.base.oid) else { return };
                domain_type(own.oid, own.array_oid, name, sql_name, domain.base, base)
            }
            TypeDefinition::Range(range) => {
                let (subtype, multirange) = (range.subtype, range.multirange);
                let shape = RangeShape { subtype, multirange, discrete: false };
                range_type(own.oid, own.array_oid, name, sql_name, shape)
            }
            TypeDefinition::Multirange { range, .. } => {
                multirange_type(own.oid, own.array_oid, name, sql_name, *range)
            }
            TypeDefinition::Composite(composite) => {
                let shape = Arc::new(composite.shape(own.oid));
                composite_type(own.oid, own.array_oid, name, sql_name, shape)
            }
        };
        let Some(mut array) = array_type_of(&info) else { return };
        array.name = own.array_name.clone().into();
        self.types_by_name.insert((own.schema, own.name.clone()), own.oid);
        self.types_by_name.insert((own.schema, own.array_name.clone()), own.array_oid);
        self.elements.insert(own.array_oid, own.oid);
        if let Some(composite) = own.composite() {
            self.relations_by_name.insert((own.schema, own.name.clone()), composite.relation);
            self.composites.insert(composite.relation, own.oid);
        }
        if let Some(constructors) = own.constructors() {
            self.constructors.entry(constructors.name.clone()).or_default().push(own.oid);
        }
        let entry = TypeEntry { definition: own, info, array, checks: OnceLock::new() };
        self.types.insert(entry.definition.oid, Arc::new(entry));
    }

    /// A type, built-in or a user's.
    #[must_use]
    pub fn type_info(&self, oid: u32) -> Option<&TypeInfo> {
        if let Some(builtin) = builtin_type(oid) {
            return Some(builtin);
        }
        if let Some(entry) = self.types.get(&oid) {
            return Some(&entry.info);
        }
        if let Some(element) = self.elements.get(&oid) {
            return self.types.get(element).map(|entry| &entry.array);
        }
        Some(self.row_type(relation_of_type(oid)?)?.info_of(oid))
    }

    /// The type of a relation's rows.
    #[must_use]
    pub fn row_type(&self, relation: u32) -> Option<&RowType> {
        let Some(entry) = self.row_types.get(&relation) else { return system_row_type(relation) };
        let make = || match self.views.get(&relation) {
            Some(view) => RowType::of_view(view),
            None => RowType::of_table(&self.tables.get(&relation)?.table),
        };
        entry.get_or_init(make).as_ref()
    }

    /// The type of the rows of a relation, or of what a composite type is as a relation.
    #[must_use]
    pub fn type_of_rows(&self, relation: u32) -> Option<&TypeInfo> {
        match self.composites.get(&relation) {
            Some(composite) => self.type_info(*composite),
            None => self.row_type(relation).map(|row| &row.info),
        }
    }

    /// Whether an OID is that of a composite type as a relation.
    #[must_use]
    pub fn is_composite(&self, relation: u32) -> bool {
        self.composites.contains_key(&relation)
    }

    /// All composite types.
    pub fn composites(&self) -> impl Iterator<Item = (&TypeEntry, &Composite)> {
        self.user_types().filter_map(|entry| Some((&**entry, entry.definition.composite()?)))
    }

    /// The relation whose rows are of a type: a table, a view, or what a composite type is as a relation.
    #[must_use]
    pub fn relation_of_rows(&self, type_oid: u32) -> Option<u32> {
        let composite = self.types.get(&type_oid).and_then(|entry| entry.definition.composite());
        composite.map(|composite| composite.relation).or_else(|| relation_of_type(type_oid))
    }

    /// The row types of users' tables and views.
    pub fn row_types(&self) -> impl Iterator<Item = &RowType> {
        let relations = self.tables.keys().chain(self.views.keys());
        relations.filter_map(|relation| self.row_type(*relation))
    }

    /// The OID of the row type, or of the arrays of it, that a name means in a schema.
    #[must_use]
    pub fn row_type_named(&self, schema: u32, name: &str) -> Option<u32> {
        let relation = |name: &str| match schema {
            PG_CATALOG | INFORMATION_SCHEMA => crate::relations::find(schema, name).map(|found| found.oid),
            _ => self.relation_named(schema, name),
        };
        let row_type = |name: &str| self.row_type(relation(name)?);
        let array = || row_type(name.strip_prefix('_')?).map(|row| row.array.oid);
        row_type(name).map(|row| row.info.oid).or_else(array)
    }

    /// The user's type of an OID: its own, or that of its arrays.
    #[must_use]
    pub fn user_type(&self, oid: u32) -> Option<&Arc<TypeEntry>> {
        self.types.get(&oid).or_else(|| self.types.get(self.elements.get(&oid)?))
    }

    /// The schema that a type is in.
    #[must_use]
    pub fn schema_of_type(&self, oid: u32) -> u32 {
        let row_type = || self.row_type(relation_of_type(oid)?).map(|row| row.schema);
        let own = self.user_type(oid).map(|entry| entry.definition.schema);
        own.or_else(row_type).unwrap_or(PG_CATALOG)
    }

    /// Whether a type is a domain.
    #[must_use]
    pub fn is_domain(&self, oid: u32) -> bool {
        self.types.get(&oid).is_some_and(|entry| entry.definition.domain().is_some())
    }

    /// The users' types of ranges and multiranges whose values are made by functions of a name, in one of these schemas.
    pub fn constructed(&self, name: &str, schemas: &[u32]) -> impl Iterator<Item = u32> {
        let is_there = |oid: &&u32| {
            let place = self.types.get(*oid).and_then(|entry| entry.definition.constructors());
            place.is_some_and(|place| schemas.contains(&place.schema))
        };
        self.constructors.get(name).into_iter().flatten().filter(is_there).copied()
    }

    /// The functions that make values of a user's type of ranges or multiranges.
    #[must_use]
    pub fn constructors(&self, oid: u32) -> Vec<Arc<Function>> {
        let Some(entry) = self.types.get(&oid) else { return Vec::new() };
        let Some(Constructors { name, .. }) = entry.definition.constructors() else { return Vec::new() };
        let info = &entry.info;
        if let Some(shape) = info.range_shape() {
            return range_constructors(name, info, shape.subtype).to_vec();
        }
        let range = info.range_of_multirange().and_then(|oid| self.type_info(oid));
        range.map_or_else(Vec::new, |range| multirange_constructors(name, range, info).to_vec())
    }

    /// All users' types.
    pub fn user_types(&self) -> impl Iterator<Item = &Arc<TypeEntry>> {
        self.types.values()
    }

    /// The OID of a user's type, or of its arrays, by its name in a schema.
    #[must_use]
    pub fn type_named(&self, schema: u32, name: &str) -> Option<u32> {
        self.types_by_name.get(&(schema, name.to_string())).copied()
    }

    fn link(&mut self, tables: BTreeMap<u32, Arc<Table>>) {
        use super::object::ConstraintKind;
        for (oid, table) in tables {
            let indexes = self.indexes.values().filter(|index| index.table == oid).cloned().collect();
            let constraints = self.constraints.values().filter(|each| each.table == oid).cloned().collect();
            let referenced_by = self
                .constraints
                .values()
                .filter(
                    |each| matches!(&each.kind, ConstraintKind::ForeignKey { table, .. } if *table == oid),
                )
                .cloned()
                .collect();
            let statistics = self.statistics.get(&oid).cloned();
            let changes = Arc::default();
            let special_indexes = OnceLock::new();
            let entry = TableEntry {
                table,
                indexes,
                constraints,
                referenced_by,
                statistics,
                changes,
                special_indexes,
                as_of: None,
            };
            self.row_types.insert(oid, OnceLock::new());
            self.tables.insert(oid, Arc::new(entry));
        }
    }

    /// Marks it as that of an earlier moment, where the rows of its tables are read too.
    pub fn set_as_of(&mut self, snapshot: Snapshot) {
        for entry in self.tables.values_mut().filter_map(Arc::get_mut) {
            entry.as_of = Some(snapshot);
        }
    }

    /// Takes over the roles of another catalog, and what is said there of databases: rights, settings and comments.
    pub fn take_roles(&mut self, of: &CatalogSnapshot) {
        self.roles.clone_from(&of.roles);
        self.roles_by_name.clone_from(&of.roles_by_name);
        self.configurations.clone_from(&of.configurations);
        let is_of_folder = |comments: &Comments| matches!(comments.class, PG_AUTHID | PG_DATABASE);
        self.comments.retain(|_, comments| !is_of_folder(comments));
        let of_folder = of.comments.iter().filter(|(_, comments)| is_of_folder(comments));
        self.comments.extend(of_folder.map(|(oid, comments)| (*oid, comments.clone())));
        self.rights.retain(|_, rights| rights.class != PG_DATABASE);
        let of_databases = of.rights.iter().filter(|(_, rights)| rights.class == PG_DATABASE);
        self.rights.extend(of_databases.map(|(oid, rights)| (*oid, rights.clone())));
    }

    /// The same with the roles of another catalog, and with what is granted there.
    #[must_use]
    pub fn with_rights_of(&self, of: &CatalogSnapshot) -> CatalogSnapshot {
        CatalogSnapshot {
            roles: of.roles.clone(),
            roles_by_name: of.roles_by_name.clone(),
            configurations: of.configurations.clone(),
            rights: of.rights.clone(),
            ..self.clone()
        }
    }

    /// Has the changes of all tables of a branch counted.
    pub fn count_changes(&mut self, branch: helios_mvcc::BranchId, changes: &Changes) {
        for (oid, entry) in &mut self.tables {
            if let Some(entry) = Arc::get_mut(entry) {
                entry.changes = changes.counter(branch, *oid, entry.rows_analyzed().unwrap_or(0.0));
            }
        }
    }

    /// The schema of that name.
    #[must_use]
    pub fn schema_named(&self, name: &str) -> Option<&Arc<Schema>> {
        self.schemas.get(self.schemas_by_name.get(name)?)
    }

    /// Whether objects go into a schema only where it is named: the system's, and those of temporary objects.
    #[must_use]
    pub fn is_special_schema(&self, oid: u32) -> bool {
        oid == PG_CATALOG
            || oid == INFORMATION_SCHEMA
            || self.schema(oid).is_some_and(|schema| schema.name.starts_with("pg_temp_"))
    }

    /// The schema of that OID.
    #[must_use]
    pub fn schema(&self, oid: u32) -> Option<&Arc<Schema>> {
        self.schemas.get(&oid)
    }

    /// All statistics objects. A program that did not know them may have dropped the table of one.
    pub fn extended_statistics(&self) -> impl Iterator<Item = &Arc<ExtendedStatistics>> {
        self.extended_statistics.values().filter(|own| self.tables.contains_key(&own.table))
    }

    /// The statistics object of a name in a schema.
    #[must_use]
    pub fn extended_statistics_named(&self, schema: u32, name: &str) -> Option<&Arc<ExtendedStatistics>> {
        self.extended_statistics().find(|own| own.schema == schema && own.name == name)
    }

    /// The statistics object of that OID.
    #[must_use]
    pub fn extended_statistics_numbered(&self, oid: u32) -> Option<&Arc<ExtendedStatistics>> {
        self.extended_statistics.get(&oid)
    }

    /// All extensions, but for those that are always there.
    pub fn extensions(&self) -> impl Iterator<Item = &Arc<Extension>> {
        self.extensions.values()
    }

    /// The extension of a name.
    #[must_use]
    pub fn extension_named(&self, name: &str) -> Option<&Arc<Extension>> {
        self.extensions.get(name)
    }

    /// All schemas.
    pub fn schemas(&self) -> impl Iterator<Item = &Arc<Schema>> {
        self.schemas.values()
    }

    /// The OID of the table, index, sequence or view of that name in a schema.
    #[must_use]
    pub fn relation_named(&self, schema: u32, name: &str) -> Option<u32> {
        // A lookup by reference would need a borrowed pair; relation names are short.
        self.relations_by_name.get(&(schema, name.to_string())).copied()
    }

    /// The table of that OID.
    #[must_use]
    pub fn table(&self, oid: u32) -> Option<&Arc<TableEntry>> {
        self.tables.get(&oid)
    }

    /// The table of that OID, which something else in the catalog says exists.
    ///
    /// # Errors
    /// XX001 when it does not.
    pub fn expect_table(&self, oid: u32) -> Result<&Arc<TableEntry>> {
        self.tables
            .get(&oid)
            .ok_or_else(|| SqlError::corrupted(format!("the catalog names a table {oid} that is not in it")))
    }

    /// All tables.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<TableEntry>> {
        self.tables.values()
    }

    /// All tables but those that keep the rows of materialized views.
    pub fn plain_tables(&self) -> impl Iterator<Item = &Arc<TableEntry>> {
        self.tables().filter(|entry| entry.table.materialized.is_none())
    }

    /// The index of that OID.
    #[must_use]
    pub fn index(&self, oid: u32) -> Option<&Arc<Index>> {
        self.indexes.get(&oid)
    }

    /// All indexes.
    pub fn indexes(&self) -> impl Iterator<Item = &Arc<Index>> {
        self.indexes.values()
    }

    /// The sequence of that OID.
    #[must_use]
    pub fn sequence(&self, oid: u32) -> Option<&Arc<SequenceEntry>> {
        self.sequences.get(&oid)
    }

    /// All sequences.
    pub fn sequences(&self) -> impl Iterator<Item = &Arc<Sequence>> {
        self.sequences.values().map(|entry| &entry.sequence)
    }

    /// The sequences that belong to a table's columns.
    pub fn sequences_of(&self, table: u32) -> impl Iterator<Item = &Arc<Sequence>> {
        self.sequences().filter(move |sequence| sequence.owned_by.is_some_and(|owner| owner.table == table))
    }

    /// The sequence of an identity column.
    #[must_use]
    pub fn identity_sequence(&self, table: u32, column: i16) -> Option<&Arc<Sequence>> {
        self.sequences_of(table)
            .find(|each| each.owned_by.is_some_and(|owner| owner.column == column && owner.is_identity))
    }

    /// The view of that OID.
    #[must_use]
    pub fn view(&self, oid: u32) -> Option<&Arc<View>> {
        self.views.get(&oid)
    }

    /// All views.
    pub fn views(&self) -> impl Iterator<Item = &Arc<View>> {
        self.views.values()
    }

    /// The stored query of that OID: a view, or a materialized one as the view that it would be.
    #[must_use]
    pub fn stored_query(&self, oid: u32) -> Option<Arc<View>> {
        let materialized = || self.tables.get(&oid)?.table.as_view().map(Arc::new);
        self.view(oid).cloned().or_else(materialized)
    }

    /// All stored queries: views, and materialized ones as the views that they would be.
    pub fn stored_queries(&self) -> impl Iterator<Item = Arc<View>> {
        let materialized = self.tables.values().filter_map(|entry| entry.table.as_view().map(Arc::new));
        self.views.values().cloned().chain(materialized)
    }

    /// The comment on an object, or on a column of it (0: the object).
    #[must_use]
    pub fn comment(&self, oid: u32, column: i16) -> Option<&str> {
        let texts = &self.comments.get(&oid)?.texts;
        texts.iter().find(|(number, _)| *number == column).map(|(_, text)| text.as_str())
    }

    /// The comments on an object and its columns.
    #[must_use]
    pub fn comments_on(&self, oid: u32) -> Option<&Arc<Comments>> {
        self.comments.get(&oid)
    }

    /// All comments.
    pub fn comments(&self) -> impl Iterator<Item = &Arc<Comments>> {
        self.comments.values()
    }

    /// What was granted and revoked on an object.
    #[must_use]
    pub fn rights_on(&self, oid: u32) -> Option<&Arc<ObjectRights>> {
        self.rights.get(&oid)
    }

    /// All that was granted and revoked.
    pub fn rights(&self) -> impl Iterator<Item = &Arc<ObjectRights>> {
        self.rights.values()
    }

    /// What ALTER DEFAULT PRIVILEGES said.
    pub fn default_rights(&self) -> impl Iterator<Item = &Arc<DefaultRights>> {
        self.default_rights.values()
    }

    /// The role of that OID.
    #[must_use]
    pub fn role(&self, oid: u32) -> Option<&Arc<Role>> {
        self.roles.get(&oid)
    }

    /// The role of that name.
    #[must_use]
    pub fn role_named(&self, name: &str) -> Option<&Arc<Role>> {
        self.roles.get(self.roles_by_name.get(name)?)
    }

    /// What sessions of a database begin with; 0: of all databases.
    #[must_use]
    pub fn configuration(&self, database: u32) -> Option<&Arc<Configuration>> {
        self.configurations.get(&database)
    }

    /// What sessions of all databases begin with.
    pub fn configurations(&self) -> impl Iterator<Item = &Arc<Configuration>> {
        self.configurations.values()
    }

    /// All roles.
    pub fn roles(&self) -> impl Iterator<Item = &Arc<Role>> {
        self.roles.values()
    }

    /// Whether there is a role of that name that may do everything.
    #[must_use]
    pub fn is_superuser(&self, name: &str) -> bool {
        self.role_named(name).is_some_and(|role| role.attributes.superuser)
    }

    /// A role and those that it is a member of, directly or through others; only those whose rights it has without
    /// becoming them, where `inherited` says so.
    #[must_use]
    pub fn groups_of(&self, member: u32, inherited: bool) -> BTreeSet<u32> {
        let mut reached = BTreeSet::from([member]);
        let mut waiting = vec![member];
        while let Some(next) = waiting.pop() {
            let role = self.role(next).filter(|role| !inherited || role.attributes.inherit);
            let groups = role.map_or(&[][..], |role| &role.memberships);
            waiting.extend(groups.iter().map(|group| group.role).filter(|group| reached.insert(*group)));
        }
        reached
    }

    /// Whether a role is another, or a member of it, directly or through others.
    #[must_use]
    pub fn is_member(&self, member: u32, of: u32) -> bool {
        self.groups_of(member, false).contains(&of)
    }

    /// The constraint of that OID.
    #[must_use]
    pub fn constraint(&self, oid: u32) -> Option<&Arc<Constraint>> {
        self.constraints.get(&oid)
    }

    /// All constraints.
    pub fn constraints(&self) -> impl Iterator<Item = &Arc<Constraint>> {
        self.constraints.values()
    }
}
