//! Objects as merges see them: which there are, in what order they are made, and what belongs to what.

use std::collections::{BTreeMap, HashSet};

use super::renumber::bare;
use crate::binder::name::quote;
use crate::catalog::{CatalogSnapshot, ColumnNumber, Object, PG_AUTHID, PG_DATABASE};

/// The classes of objects, in the order in which they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    Schema,
    Extension,
    Type,
    Table,
    Sequence,
    /// Materialized ones too.
    View,
    Index,
    ExtendedStatistics,
    Constraint,
    Comments,
    Rights,
    DefaultRights,
}

/// By class and OID.
pub type Objects = BTreeMap<(Class, u32), Object>;

/// Whether two versions of an object say the same, but for trees and counters, which each branch has of its own.
#[must_use]
pub fn is_same(one: Option<&Object>, other: Option<&Object>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => bare(one) == bare(other),
        (None, None) => true,
        _ => false,
    }
}

/// Whether an object of the merged schema is a part of one of these tables, or about one of these columns.
#[must_use]
pub fn belongs_to(object: &Object, among: &HashSet<(u32, ColumnNumber)>) -> bool {
    if among.is_empty() {
        return false;
    }
    let has = |table: u32, number: ColumnNumber| among.contains(&(table, number));
    let has_any = |table: u32, depends: &dyn Fn(ColumnNumber) -> bool| {
        among.iter().any(|(oid, number)| *oid == table && (*number == 0 || depends(*number)))
    };
    match object {
        Object::Index(index) => has_any(index.table, &|number| index.depends_on(number)),
        Object::ExtendedStatistics(own) => has_any(own.table, &|number| own.depends_on(number)),
        Object::Constraint(each) => has_any(each.table, &|number| each.columns.contains(&number)),
        Object::Sequence(sequence) => {
            sequence.owned_by.is_some_and(|owner| has(owner.table, 0) || has(owner.table, owner.column))
        }
        Object::Comments(comments) => has(comments.oid, 0),
        Object::Rights(rights) => has(rights.oid, 0),
        _ => false,
    }
}

/// All objects that are merged: roles are the folder's, temporary objects those of sessions.
#[must_use]
pub fn objects(catalog: &CatalogSnapshot) -> Objects {
    let mut objects = Objects::new();
    let mut add = |class: Class, schema: Option<u32>, object: Object| {
        if schema.is_none_or(|schema| !catalog.is_special_schema(schema)) {
            objects.insert((class, object.oid()), object);
        }
    };
    for schema in catalog.schemas() {
        add(Class::Schema, Some(schema.oid), Object::Schema(schema.clone()));
    }
    for entry in catalog.user_types() {
        add(Class::Type, Some(entry.definition.schema), Object::Type(entry.definition.clone()));
    }
    for entry in catalog.tables() {
        let class = if entry.table.materialized.is_some() { Class::View } else { Class::Table };
        add(class, Some(entry.table.schema), Object::Table(entry.table.clone()));
    }
    for sequence in catalog.sequences() {
        add(Class::Sequence, Some(sequence.schema), Object::Sequence(sequence.clone()));
    }
    for index in catalog.indexes() {
        add(Class::Index, Some(index.schema), Object::Index(index.clone()));
    }
    for own in catalog.extended_statistics() {
        add(Class::ExtendedStatistics, Some(own.schema), Object::ExtendedStatistics(own.clone()));
    }
    for constraint in catalog.constraints() {
        add(Class::Constraint, Some(constraint.schema), Object::Constraint(constraint.clone()));
    }
    for view in catalog.views() {
        add(Class::View, Some(view.schema), Object::View(view.clone()));
    }
    for extension in catalog.extensions() {
        add(Class::Extension, Some(extension.schema), Object::Extension(extension.clone()));
    }
    // Rights on databases, and comments on them and on roles, are the folder's.
    for rights in catalog.rights().filter(|rights| rights.class != PG_DATABASE) {
        add(Class::Rights, None, Object::Rights(rights.clone()));
    }
    for rights in catalog.default_rights() {
        add(Class::DefaultRights, None, Object::DefaultRights(rights.clone()));
    }
    let is_of_folder = |class: u32| matches!(class, PG_AUTHID | PG_DATABASE);
    for comments in catalog.comments().filter(|comments| !is_of_folder(comments.class)) {
        add(Class::Comments, None, Object::Comments(comments.clone()));
    }
    objects
}

/// `table public.users`
#[must_use]
pub fn shown(catalog: &CatalogSnapshot, object: &Object) -> String {
    let qualified = |kind: &str, schema: u32, name: &str| match catalog.schema(schema) {
        Some(schema) => format!("{kind} {}.{}", quote(&schema.name), quote(name)),
        None => format!("{kind} {}", quote(name)),
    };
    let of_table = |oid: u32| match catalog.table(oid) {
        Some(entry) => qualified(entry.table.word(), entry.table.schema, &entry.table.name),
        None => format!("table {oid}"),
    };
    match object {
        Object::Schema(schema) => format!("schema {}", quote(&schema.name)),
        Object::Table(table) => qualified(table.word(), table.schema, &table.name),
        Object::Index(index) => qualified("index", index.schema, &index.name),
        Object::Constraint(each) => format!("constraint {} on {}", quote(&each.name), of_table(each.table)),
        Object::Sequence(sequence) => qualified("sequence", sequence.schema, &sequence.name),
        Object::View(view) => qualified("view", view.schema, &view.name),
        Object::Type(own) => qualified("type", own.schema, &own.name),
        Object::Role(role) => format!("role {}", quote(&role.name)),
        Object::Configuration(of) => format!("settings of database {}", of.oid),
        Object::Extension(extension) => format!("extension {}", quote(&extension.name)),
        Object::Comments(comments) => match catalog.table(comments.oid) {
            Some(_) => format!("comment on {}", of_table(comments.oid)),
            None => match catalog.view(comments.oid) {
                Some(view) => qualified("comment on view", view.schema, &view.name),
                None => format!("comment on object {}", comments.oid),
            },
        },
        Object::Rights(rights) => match catalog.table(rights.oid) {
            Some(_) => format!("rights on {}", of_table(rights.oid)),
            None => format!("rights on object {}", rights.oid),
        },
        Object::DefaultRights(_) => "default rights".into(),
        Object::ExtendedStatistics(own) => qualified("statistics object", own.schema, &own.name),
        Object::Statistics(statistics) => format!("statistics of {}", of_table(statistics.table)),
    }
}
