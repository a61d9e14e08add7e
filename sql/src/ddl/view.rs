//! CREATE VIEW and ALTER VIEW.

use std::collections::BTreeSet;

use sqlparser::ast::{self, Expr, Ident, Query, SelectItem, SetExpr, TableFactor};

use super::rename::check_exists;
use super::storage::{self, Owner};
use super::{Ddl, default, reshape};
use crate::binder::{Binder, Relation, StarUse, lookup_relation, name, stable_name};
use crate::catalog::PG_CLASS;
use crate::catalog::{View, ViewColumn, ViewSource, row_type_oid, store};
use crate::error::{Result, SqlError, SqlState};
use crate::parser::visit::{Node, walk};
use crate::parser::{ObjectKind, ViewOptions, refuse_in_create_view};
use crate::types::{BuiltinTypes, DataType, format_type, oids};

/// Gives the relations of a query names that last, and lists them.
struct NameRelations<'d> {
    ddl: &'d Ddl,
    /// The names of WITH queries: they are no relations.
    common: BTreeSet<String>,
    found: Vec<Relation>,
}

impl NameRelations<'_> {
    fn meet(&mut self, node: Node<'_>) -> Result<()> {
        match node {
            Node::Query(ast::Query { with: Some(with), .. }) => {
                self.common.extend(with.cte_tables.iter().map(|table| name::fold(&table.alias.name)));
                Ok(())
            }
            Node::TableFactor(TableFactor::Table { name: object, args: None, .. }) => self.name(object),
            Node::Expr(expr) => default::name_relations(self.ddl, expr),
            _ => Ok(()),
        }
    }

    fn name(&mut self, object: &mut ast::ObjectName) -> Result<()> {
        let (schema, base) = name::split(object)?;
        if schema.is_none() && self.common.contains(&base) {
            return Ok(());
        }
        let path = &self.ddl.binding.search_path;
        let actor = self.ddl.actor();
        let relation = lookup_relation(&self.ddl.catalog, &actor, path, schema.as_deref(), &base)?;
        let place = match &relation {
            Relation::Stored(entry) => (entry.table.oid, entry.table.schema),
            Relation::View(view) => (view.oid, view.schema),
            Relation::Sequence(entry) => (entry.sequence.oid, entry.sequence.schema),
            Relation::Virtual(computed) => {
                *object = ast::ObjectName::from(vec![
                    Ident::with_quote('"', computed.schema_name()),
                    Ident::with_quote('"', computed.name),
                ]);
                return Ok(());
            }
            Relation::Index(_) => return Ok(()),
        };
        let schema = self.ddl.catalog.schema(place.1).map_or("", |schema| schema.name.as_str());
        *object = stable_name(place.0, schema, &base);
        self.found.push(relation);
        Ok(())
    }
}

/// What a view on a relation may see of it.
fn source_of(relation: &Relation, used: &BTreeSet<(u32, i16)>) -> Option<ViewSource> {
    let (oid, columns) = match relation {
        Relation::Stored(entry) => {
            let live = entry.table.live_columns();
            (entry.table.oid, live.map(|column| (column.number, column.name.clone())).collect())
        }
        Relation::View(view) => (
            view.oid,
            (1..).zip(&view.columns).map(|(number, column)| (number, column.name.clone())).collect(),
        ),
        Relation::Sequence(entry) => (entry.sequence.oid, Vec::new()),
        Relation::Virtual(_) | Relation::Index(_) => return None,
    };
    let used = used.iter().filter(|(relation, _)| *relation == oid).map(|(_, number)| *number).collect();
    Some(ViewSource { relation: oid, columns, used })
}

/// A view's columns: the query's, under the names that were given.
fn columns_of(
    create: &ast::CreateView,
    bound: &[(usize, crate::binder::ResultColumn)],
) -> Result<Vec<ViewColumn>> {
    if create.columns.len() > bound.len() {
        return Err(SqlError::syntax("CREATE VIEW specifies more column names than columns"));
    }
    let mut columns: Vec<ViewColumn> = Vec::new();
    for (at, (_, column)) in bound.iter().enumerate() {
        let name =
            create.columns.get(at).map_or_else(|| column.name.clone(), |given| name::fold(&given.name));
        if columns.iter().any(|each| each.name == name) {
            return Err(SqlError::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{name}\" specified more than once"),
            ));
        }
        let data_type = if column.data_type.oid == oids::UNKNOWN { DataType::TEXT } else { column.data_type };
        if matches!(data_type.oid, oids::RECORD | oids::RECORD_ARRAY) {
            return Err(SqlError::new(
                SqlState::INVALID_TABLE_DEFINITION,
                format!("column \"{name}\" has pseudo-type {}", format_type(data_type, &BuiltinTypes)),
            ));
        }
        columns.push(ViewColumn { name, type_oid: data_type.oid, type_modifier: data_type.typmod });
    }
    Ok(columns)
}

pub async fn create_view(ddl: &mut Ddl, create: &ast::CreateView, text: &str) -> Result<()> {
    refuse_in_create_view(create)?;
    let environment = ddl.binding.clone();
    let catalog = ddl.catalog.clone();
    let mut binder = crate::binder::Binder::new(&catalog, &environment, text, Vec::new()).noting_literals();
    let bound = binder.bind_query(&create.query)?;
    if let Some(error) = binder.take_first_parameter() {
        return Err(error);
    }
    let used = binder.used_columns().clone();
    let stored = stored_query(ddl, &create.query, &bound.columns, &used, &binder)?;
    let is_temporary = create.temporary || stored.reads_temporary;
    if is_temporary && !create.temporary {
        ddl.notice(format!("view \"{}\" will be a temporary view", name::split(&create.name)?.1));
    }
    let columns = columns_of(create, &bound.columns)?;
    let (schema, base) = ddl.target_schema(&create.name, is_temporary).await?;
    let existing = ddl.catalog.relation_named(schema, &base);
    let oid = match existing {
        None => {
            super::user_type::refuse_row_type(ddl, schema, &base)?;
            ddl.oid().await?
        }
        Some(_) if !create.or_replace => return Err(store::duplicate_relation(&base)),
        Some(oid) => match ddl.catalog.view(oid) {
            None => {
                return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{base}\" is not a view")));
            }
            Some(view) => {
                ddl.check_owns(&Relation::View(view.clone()))?;
                refuse_change(ddl, view, &columns)?;
                oid
            }
        },
    };
    let owner = existing.and_then(|oid| ddl.catalog.view(oid)).map_or(ddl.own_role(), |view| view.owner);
    let view = View {
        oid,
        schema,
        name: base,
        owner,
        columns,
        query: stored.query,
        sources: stored.sources,
        is_temporary: is_temporary || ddl.makes_temporary,
        options: storage::of_relation(&create.options, Owner::View)?,
    };
    let Some(replaced) = ddl.catalog.view(oid).cloned() else {
        ddl.begin_rights(b'r', PG_CLASS, oid, schema, owner).await?;
        return ddl.put(view).await;
    };
    if view.columns.len() > replaced.columns.len() {
        reshape::refuse_whole_readers(ddl, row_type_oid(oid), "add a column to")?;
    }
    for column in &view.columns {
        reshape::refuse_itself(ddl, row_type_oid(oid), DataType::of(column.type_oid))?;
    }
    put_changed(ddl, &replaced, view).await
}

/// Stores a view whose columns changed, and what tables hold of its rows.
async fn put_changed(ddl: &mut Ddl, before: &View, after: View) -> Result<()> {
    let (fields, changed) = (reshape::of_view(before), reshape::of_view(&after));
    let following = reshape::prepare(ddl, row_type_oid(before.oid), &fields, &changed)?;
    ddl.put(after).await?;
    match following {
        Some(following) => Box::pin(following.run(ddl)).await,
        None => Ok(()),
    }
}

/// A query as views keep it.
pub struct StoredQuery {
    pub query: String,
    pub sources: Vec<ViewSource>,
    pub reads_temporary: bool,
}

/// A query that was bound, as views keep it; `used` are the columns that it reads.
pub fn stored_query(
    ddl: &Ddl,
    query: &Query,
    columns: &[(usize, crate::binder::ResultColumn)],
    used: &BTreeSet<(u32, i16)>,
    binder: &Binder<'_>,
) -> Result<StoredQuery> {
    let mut query = query.clone();
    walk(&mut query, &mut |node| match node {
        Node::Query(query) => {
            expand_stars(&mut query.body, binder.star_uses());
            spell_out_tables(&mut query.body)
        }
        _ => Ok(()),
    })?;
    expand_star(&mut query, columns);
    let mut naming = NameRelations { ddl, common: BTreeSet::new(), found: Vec::new() };
    walk(&mut query, &mut |node| naming.meet(node))?;
    super::pin::pin(ddl, binder.literal_uses(), &mut query)?;
    let mut sources: Vec<ViewSource> = Vec::new();
    let mut reads_temporary = false;
    for relation in &naming.found {
        reads_temporary |= relation.is_temporary();
        if let Some(source) = source_of(relation, used)
            && sources.iter().all(|each| each.relation != source.relation)
        {
            sources.push(source);
        }
    }
    Ok(StoredQuery { query: query.to_string(), sources, reads_temporary })
}

/// Stars of select lists stand for the columns that there are now.
fn expand_stars(body: &mut SetExpr, uses: &[StarUse]) {
    match body {
        // A chain of them is as deep as it is long.
        SetExpr::SetOperation { left, right, .. } => stacker::maybe_grow(64 << 10, 1 << 20, || {
            expand_stars(left, uses);
            expand_stars(right, uses);
        }),
        SetExpr::Select(select) => {
            let found = |item: &SelectItem| {
                let (SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options)) = item else {
                    return None;
                };
                let location = options.wildcard_token.0.span.start;
                uses.iter().find(|each| location.line > 0 && each.location == location)
            };
            let mut items = Vec::with_capacity(select.projection.len());
            for item in std::mem::take(&mut select.projection) {
                match found(&item) {
                    Some(star) => items.extend(star.columns.iter().map(|path| {
                        let mut path: Vec<Ident> =
                            path.iter().map(|part| Ident::with_quote('"', part)).collect();
                        SelectItem::UnnamedExpr(match path.len() {
                            1 => Expr::Identifier(path.remove(0)),
                            _ => Expr::CompoundIdentifier(path),
                        })
                    })),
                    None => items.push(item),
                }
            }
            select.projection = items;
        }
        _ => {}
    }
}

/// `TABLE t` is `SELECT * FROM t`.
fn spell_out_tables(body: &mut SetExpr) -> Result<()> {
    match body {
        SetExpr::SetOperation { left, right, .. } => {
            // A chain of them is as deep as it is long.
            stacker::maybe_grow(64 << 10, 1 << 20, || {
                spell_out_tables(left)?;
                spell_out_tables(right)
            })
        }
        SetExpr::Table(table) => {
            let parts = table.schema_name.iter().chain(&table.table_name);
            let object = ast::ObjectName::from(parts.map(Ident::new).collect::<Vec<_>>());
            let query = crate::parser::parse_query(&format!("SELECT * FROM {object}"))?;
            *body = *query.body;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// `SELECT *` stands for the columns that there are now.
fn expand_star(query: &mut Query, columns: &[(usize, crate::binder::ResultColumn)]) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let [SelectItem::Wildcard(_)] = select.projection.as_slice() else { return };
    let qualifier = match select.from.as_slice() {
        [only] if only.joins.is_empty() => match &only.relation {
            TableFactor::Table { alias: Some(alias), .. } => Some(name::fold(&alias.name)),
            TableFactor::Table { name: object, .. } => name::split(object).ok().map(|(_, base)| base),
            _ => None,
        },
        _ => None,
    };
    let ambiguous = columns
        .iter()
        .enumerate()
        .any(|(at, (_, column))| columns[..at].iter().any(|(_, other)| other.name == column.name));
    if ambiguous {
        return;
    }
    let item = |column: &crate::binder::ResultColumn| {
        let column = Ident::with_quote('"', &column.name);
        SelectItem::UnnamedExpr(match &qualifier {
            Some(table) => Expr::CompoundIdentifier(vec![Ident::with_quote('"', table), column]),
            None => Expr::Identifier(column),
        })
    };
    select.projection = columns.iter().map(|(_, column)| item(column)).collect();
}

/// 42P16 where a replaced view would lose or change a column.
fn refuse_change(ddl: &Ddl, view: &View, columns: &[ViewColumn]) -> Result<()> {
    let refused = |message: String| SqlError::new(SqlState::INVALID_TABLE_DEFINITION, message);
    if columns.len() < view.columns.len() {
        return Err(refused("cannot drop columns from view".into()));
    }
    for (old, new) in view.columns.iter().zip(columns) {
        if old.name != new.name {
            return Err(refused(format!(
                "cannot change name of view column \"{}\" to \"{}\"",
                old.name, new.name
            ))
            .with_hint("Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead."));
        }
        if (old.type_oid, old.type_modifier) != (new.type_oid, new.type_modifier) {
            let shown = |column: &ViewColumn| {
                format_type(DataType { oid: column.type_oid, typmod: column.type_modifier }, &ddl.types())
            };
            return Err(refused(format!(
                "cannot change data type of view column \"{}\" from {} to {}",
                old.name,
                shown(old),
                shown(new)
            )));
        }
    }
    Ok(())
}

/// ALTER VIEW … SET and RESET of parameters.
///
/// # Errors
/// 42P01, 42809 and 42501 for what is no view of the role; 22023 for parameters that views do not have.
pub async fn alter_options(
    ddl: &mut Ddl,
    object: &ast::ObjectName,
    if_exists: bool,
    change: &ViewOptions,
) -> Result<()> {
    let Some(found) = check_exists(ddl, ObjectKind::View, object, if_exists)? else { return Ok(()) };
    ddl.check_owns(&found)?;
    let Relation::View(view) = found else { return Ok(()) };
    let mut changed = (*view).clone();
    match change {
        ViewOptions::Set(list) => {
            changed.options = storage::changed(&view.options, list, Owner::View)?;
        }
        ViewOptions::Reset(names) => changed.options.retain(|(name, _)| !names.contains(name)),
    }
    ddl.put(changed).await
}

/// ALTER VIEW … RENAME COLUMN.
pub async fn rename_column(ddl: &mut Ddl, view: &View, old: &str, new: &str) -> Result<()> {
    let mut changed = view.clone();
    let Some(column) = changed.columns.iter_mut().find(|column| column.name == old) else {
        return Err(SqlError::new(SqlState::UNDEFINED_COLUMN, format!("column \"{old}\" does not exist")));
    };
    if view.columns.iter().any(|column| column.name == new) {
        return Err(SqlError::new(
            SqlState::DUPLICATE_COLUMN,
            format!("column \"{new}\" of relation \"{}\" already exists", view.name),
        ));
    }
    column.name = new.to_string();
    let number = reshape::of_view(view).iter().find(|(_, (name, _))| &**name == old).map_or(0, |each| each.0);
    reshape::refuse_readers(ddl, view.oid, number, old)?;
    put_changed(ddl, view, changed).await
}
