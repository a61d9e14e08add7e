//! Views in FROM.
//!
//! A view's query is kept as text in which each relation is named `"#OID".schema.name`. While it is bound, those
//! names are looked up by OID, and relations have the columns that they had when the view was made, under the names
//! that they had: so a view means the same whatever is renamed or added, and whatever the search path is.

use std::sync::Arc;

use sqlparser::ast::{ObjectName, ObjectNamePart, TableAlias};

use super::from::{Item, aliased};
use super::scope::{Scope, ScopeColumn};
use super::{Binder, Relation, stored_relation};
use crate::catalog::{View, ViewSource};
use crate::error::{Result, SqlError, SqlState};
use crate::types::DataType;

/// The name by which a view's query knows a relation.
#[must_use]
pub fn stable_name(relation: u32, schema: &str, base: &str) -> ObjectName {
    let quoted = |text: String| ObjectNamePart::Identifier(sqlparser::ast::Ident::with_quote('"', text));
    ObjectName(vec![quoted(format!("#{relation}")), quoted(schema.to_string()), quoted(base.to_string())])
}

/// The OID, schema and name in such a name.
#[must_use]
pub fn parse_stable_name(object: &ObjectName) -> Option<(u32, &str, &str)> {
    let [oid, schema, base] = object.0.as_slice() else { return None };
    let oid = oid.as_ident()?.value.strip_prefix('#')?.parse().ok()?;
    Some((oid, &schema.as_ident()?.value, &base.as_ident()?.value))
}

impl Binder<'_> {
    /// The relation that a name means within the query of a view, and the name it goes by.
    pub(super) fn view_source(&self, object: &ObjectName) -> Result<Option<(Relation, String, String)>> {
        if self.views.is_empty() {
            return Ok(None);
        }
        let Some((oid, schema, base)) = parse_stable_name(object) else { return Ok(None) };
        let relation = stored_relation(self.catalog, oid).ok_or_else(|| {
            SqlError::corrupted(format!("a view reads a relation {oid} that does not exist"))
        })?;
        Ok(Some((relation, schema.to_string(), base.to_string())))
    }

    /// A relation's columns as the view that is being bound knows them; all of them outside of views.
    pub(super) fn known_columns(&self, relation: u32) -> Option<&ViewSource> {
        self.views.last()?.sources.iter().find(|source| source.relation == relation)
    }

    /// Binds a view as the subquery that it is.
    pub(super) fn bind_view(&mut self, view: &Arc<View>, alias: Option<&TableAlias>) -> Result<Item> {
        if self.views.iter().any(|outer| outer.oid == view.oid) {
            return Err(SqlError::new(
                SqlState::INVALID_OBJECT_DEFINITION,
                format!("infinite recursion detected in rules for relation \"{}\"", view.name),
            ));
        }
        let query = crate::parser::parse_query(&view.query)?;
        let known = self.known_columns(view.oid).cloned();
        let previous = self.levels.last().map(|level| level.scope.clone()).unwrap_or_default();
        self.set_scope(Scope::default());
        self.views.push(view.clone());
        let used = std::mem::take(&mut self.used_columns);
        let as_role = self.as_role;
        // What it reads, its owner reads; but for one that says otherwise.
        if !view.is_security_invoker() {
            self.as_role = Some(view.owner);
        }
        let bound = self.bind_inner(&query);
        self.settle_uses();
        self.as_role = as_role;
        self.used_columns = used;
        self.views.pop();
        self.set_scope(previous);
        let (bound, correlations) = bound?;
        let named = (1i16..).zip(&view.columns).zip(&bound.columns);
        let mut columns = Vec::new();
        for ((number, column), (id, _)) in named {
            let name = match &known {
                None => Some(&column.name),
                Some(known) => known.columns.iter().find(|(each, _)| *each == number).map(|(_, name)| name),
            };
            let Some(name) = name else { continue };
            columns.push(ScopeColumn {
                id: *id,
                name: name.clone(),
                data_type: DataType { oid: column.type_oid, typmod: column.type_modifier },
                source: Some((view.oid, number)),
            });
        }
        let schema = self.catalog.schema(view.schema).map(|schema| schema.name.clone());
        let mut relation = aliased(alias, &view.name, schema, columns, Vec::new())?;
        relation.row_type = Some(view.oid);
        Ok(Item { plan: bound.plan, scope: Scope::of(relation), lateral: correlations })
    }
}
