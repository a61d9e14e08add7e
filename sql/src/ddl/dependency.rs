//! What depends on what, and dropping it.
//!
//! Dependencies are not stored but read off the objects: a default's text names its sequence by OID, a constraint
//! its index, a view the columns that it reads. [`drop_things`] goes as PostgreSQL does:
//!
//! 1. From each thing to be dropped the dependents are followed, newest first, into a list in which everything
//!    comes before what it depends on.
//! 2. Those that are parts (a table's indexes) go silently; others need CASCADE and are told about.
//! 3. The list is removed from the catalog in its order.

use std::collections::BTreeMap;

use super::rewrite::Rewrite;
use super::user_type::shown;
use super::{Ddl, composite, reshape};
use crate::binder::name;
use crate::catalog::{
    CatalogSnapshot, ConstraintKind, ExtendedStatistics, PRIMARY_KEY, Table, ViewSource, row_type_oid,
};
use crate::error::{Result, SqlError, SqlState};
use crate::value::Datum;

/// Something that can be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    Schema(u32),
    Table(u32),
    Column(u32, i16),
    /// A column's default.
    Default(u32, i16),
    Index(u32),
    /// A statistics object.
    Statistics(u32),
    Constraint(u32),
    Sequence(u32),
    View(u32),
    Type(u32),
    /// An attribute of a composite type.
    Attribute(u32, i16),
}

/// How a dependent hangs on what it depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tie {
    /// Goes with it.
    Part,
    /// Keeps it, but for CASCADE.
    Use,
}

/// A thing that is to go: how it came into the list, and what it depends on there.
struct Found {
    thing: Thing,
    /// `None`: the statement names it.
    because: Option<(Thing, Tie)>,
}

impl Thing {
    fn oid(self) -> u32 {
        match self {
            Thing::Schema(oid)
            | Thing::Table(oid)
            | Thing::Column(oid, _)
            | Thing::Default(oid, _)
            | Thing::Index(oid)
            | Thing::Statistics(oid)
            | Thing::Constraint(oid)
            | Thing::Sequence(oid)
            | Thing::View(oid)
            | Thing::Attribute(oid, _)
            | Thing::Type(oid) => oid,
        }
    }

    /// The view, or the materialized one, of that OID.
    pub fn of_query(catalog: &CatalogSnapshot, oid: u32) -> Thing {
        if catalog.table(oid).is_some() { Thing::Table(oid) } else { Thing::View(oid) }
    }

    /// As PostgreSQL says it in errors: `table s.t` where the name alone would not find it.
    pub fn describe(self, ddl: &Ddl) -> String {
        let catalog = &ddl.catalog;
        let relation = |kind: &str, schema: u32, base: &str| {
            let visible = ddl.binding.search_path.iter().find_map(|oid| catalog.relation_named(*oid, base));
            let qualified = match catalog.schema(schema) {
                Some(found) if visible != catalog.relation_named(schema, base) => {
                    format!("{}.{}", name::quote(&found.name), name::quote(base))
                }
                _ => name::quote(base),
            };
            format!("{kind} {qualified}")
        };
        let table = |oid: u32| match catalog.table(oid) {
            Some(entry) => relation(entry.table.word(), entry.table.schema, &entry.table.name),
            None => String::new(),
        };
        let column = |oid: u32, number: i16| {
            catalog
                .table(oid)
                .map_or_else(String::new, |entry| entry.table.column_numbered(number).name.clone())
        };
        match self {
            Thing::Schema(oid) => {
                catalog.schema(oid).map_or_else(String::new, |it| format!("schema {}", it.name))
            }
            Thing::Table(oid) => table(oid),
            Thing::Column(oid, number) => format!("column {} of {}", column(oid, number), table(oid)),
            Thing::Default(oid, number) => {
                format!("default value for column {} of {}", column(oid, number), table(oid))
            }
            Thing::Index(oid) => {
                catalog.index(oid).map_or_else(String::new, |it| relation("index", it.schema, &it.name))
            }
            Thing::Statistics(oid) => {
                let own = catalog.extended_statistics_numbered(oid);
                own.map_or_else(String::new, |own| format!("statistics object {}", statistics_name(ddl, own)))
            }
            Thing::Constraint(oid) => catalog
                .constraint(oid)
                .map_or_else(String::new, |it| format!("constraint {} on {}", it.name, table(it.table))),
            Thing::View(oid) => {
                catalog.view(oid).map_or_else(String::new, |it| relation("view", it.schema, &it.name))
            }
            Thing::Type(oid) => format!("type {}", shown(ddl, oid)),
            Thing::Attribute(oid, number) => {
                let attribute = composite::attribute(catalog, oid, number).map(|it| it.name.as_str());
                format!("column {} of composite type {}", attribute.unwrap_or_default(), shown(ddl, oid))
            }
            Thing::Sequence(oid) => catalog.sequence(oid).map_or_else(String::new, |entry| {
                relation("sequence", entry.sequence.schema, &entry.sequence.name)
            }),
        }
    }

    /// What depends on it directly.
    fn dependents(self, catalog: &CatalogSnapshot) -> Vec<(Thing, Tie)> {
        match self {
            Thing::Schema(oid) => in_schema(catalog, oid),
            Thing::Table(oid) => of_table(catalog, oid),
            Thing::Column(oid, number) => of_column(catalog, oid, number),
            Thing::Sequence(oid) => of_sequence(catalog, oid),
            Thing::Index(oid) => of_index(catalog, oid),
            Thing::Constraint(oid) => of_constraint(catalog, oid),
            Thing::View(oid) => {
                let mut found = views_on(catalog, oid, None);
                found.extend(of_row_type(catalog, oid));
                found
            }
            Thing::Type(oid) => {
                let own = catalog.user_type(oid).map(|entry| &entry.definition);
                let Some(own) = own else { return Vec::new() };
                let mut found = of_type(catalog, own.oid, own.array_oid);
                found.extend(own.range().map(|range| (Thing::Type(range.multirange), Tie::Part)));
                found
            }
            Thing::Attribute(oid, number) => {
                reshape::readers(catalog, oid, number).into_iter().map(|reader| (reader, Tie::Use)).collect()
            }
            Thing::Default(..) | Thing::Statistics(_) => Vec::new(),
        }
    }
}

/// The name of a statistics object, with its schema where the name alone does not find it.
fn statistics_name(ddl: &Ddl, own: &ExtendedStatistics) -> String {
    let path = ddl.binding.search_path.iter();
    let mut found = path.filter_map(|schema| ddl.catalog.extended_statistics_named(*schema, &own.name));
    match (found.next(), ddl.catalog.schema(own.schema)) {
        (Some(first), _) if first.oid == own.oid => name::quote(&own.name),
        (_, Some(schema)) => format!("{}.{}", name::quote(&schema.name), name::quote(&own.name)),
        (_, None) => name::quote(&own.name),
    }
}

fn in_schema(catalog: &CatalogSnapshot, schema: u32) -> Vec<(Thing, Tie)> {
    let tables = catalog.tables().filter(|entry| entry.table.schema == schema);
    let tables = tables.map(|entry| Thing::Table(entry.table.oid));
    let sequences = catalog.sequences().filter(|each| each.schema == schema);
    let sequences = sequences.map(|each| Thing::Sequence(each.oid));
    let views = catalog.views().filter(|each| each.schema == schema).map(|each| Thing::View(each.oid));
    let types = catalog.user_types().map(|each| &each.definition).filter(|each| each.schema == schema);
    let types = types.map(|each| Thing::Type(each.oid));
    let statistics = catalog.extended_statistics().filter(|each| each.schema == schema);
    let statistics = statistics.map(|each| Thing::Statistics(each.oid));
    tables
        .chain(sequences)
        .chain(views)
        .chain(types)
        .chain(statistics)
        .map(|thing| (thing, Tie::Use))
        .collect()
}

fn of_table(catalog: &CatalogSnapshot, oid: u32) -> Vec<(Thing, Tie)> {
    let Some(entry) = catalog.table(oid) else { return Vec::new() };
    let mut found: Vec<(Thing, Tie)> = Vec::new();
    found.extend(entry.constraints.iter().map(|each| (Thing::Constraint(each.oid), Tie::Part)));
    found.extend(entry.indexes.iter().map(|each| (Thing::Index(each.oid), Tie::Part)));
    let statistics = catalog.extended_statistics().filter(|own| own.table == oid);
    found.extend(statistics.map(|own| (Thing::Statistics(own.oid), Tie::Part)));
    found.extend(catalog.sequences_of(oid).map(|each| (Thing::Sequence(each.oid), Tie::Part)));
    found.extend(
        entry
            .table
            .live_columns()
            .filter(|column| column.default.is_some())
            .map(|column| (Thing::Default(oid, column.number), Tie::Part)),
    );
    found.extend(entry.referenced_by.iter().map(|each| (Thing::Constraint(each.oid), Tie::Use)));
    found.extend(views_on(catalog, oid, None));
    found.extend(
        of_row_type(catalog, oid).into_iter().filter(|each| !found.contains(each)).collect::<Vec<_>>(),
    );
    found
}

/// What uses the type of a relation's rows.
fn of_row_type(catalog: &CatalogSnapshot, relation: u32) -> Vec<(Thing, Tie)> {
    let row = catalog.row_type(relation);
    row.map_or_else(Vec::new, |row| of_type(catalog, row.info.oid, row.array.oid))
}

/// The views, materialized ones too, that read a relation, or one column of it.
fn views_on(catalog: &CatalogSnapshot, relation: u32, column: Option<i16>) -> Vec<(Thing, Tie)> {
    let reads = |source: &ViewSource| {
        source.relation == relation && column.is_none_or(|column| source.used.contains(&column))
    };
    let found = catalog.stored_queries().filter(|query| query.sources.iter().any(reads));
    found.map(|query| (Thing::of_query(catalog, query.oid), Tie::Use)).collect()
}

fn of_column(catalog: &CatalogSnapshot, oid: u32, number: i16) -> Vec<(Thing, Tie)> {
    let Some(entry) = catalog.table(oid) else { return Vec::new() };
    let mut found: Vec<(Thing, Tie)> = Vec::new();
    let own = entry.constraints.iter().filter(|each| each.columns.contains(&number));
    found.extend(own.map(|each| (Thing::Constraint(each.oid), Tie::Part)));
    let indexes = entry.indexes.iter().filter(|index| index.depends_on(number));
    found.extend(indexes.map(|each| (Thing::Index(each.oid), Tie::Part)));
    let statistics = catalog.extended_statistics().filter(|own| own.table == oid && own.depends_on(number));
    found.extend(statistics.map(|own| (Thing::Statistics(own.oid), Tie::Part)));
    let owned = catalog.sequences_of(oid);
    let owned = owned.filter(|each| each.owned_by.is_some_and(|owner| owner.column == number));
    found.extend(owned.map(|each| (Thing::Sequence(each.oid), Tie::Part)));
    if entry.table.column_numbered(number).default.is_some() {
        found.push((Thing::Default(oid, number), Tie::Part));
    }
    let referring = entry.referenced_by.iter().filter(
        |each| matches!(&each.kind, ConstraintKind::ForeignKey { columns, .. } if columns.contains(&number)),
    );
    found.extend(referring.map(|each| (Thing::Constraint(each.oid), Tie::Use)));
    let generated = entry.table.live_columns().filter(|column| column.generated && column.number != number);
    let reads = |text: &Option<String>| {
        let text = text.as_deref().unwrap_or_default();
        super::default::named_columns(&entry.table, text).contains(&number)
    };
    let generated = generated.filter(|column| reads(&column.default));
    found.extend(generated.map(|column| (Thing::Column(oid, column.number), Tie::Use)));
    found.extend(views_on(catalog, oid, Some(number)));
    for reader in reshape::readers(catalog, row_type_oid(oid), number) {
        if found.iter().all(|(thing, _)| *thing != reader) {
            found.push((reader, Tie::Use));
        }
    }
    found
}

fn of_constraint(catalog: &CatalogSnapshot, oid: u32) -> Vec<(Thing, Tie)> {
    let Some(constraint) = catalog.constraint(oid) else { return Vec::new() };
    match constraint.kind {
        ConstraintKind::PrimaryKey { index } => {
            let mut found = views_on(catalog, constraint.table, Some(PRIMARY_KEY));
            found.push((Thing::Index(index), Tie::Part));
            found
        }
        ConstraintKind::Unique { index } => vec![(Thing::Index(index), Tie::Part)],
        _ => Vec::new(),
    }
}

fn of_sequence(catalog: &CatalogSnapshot, oid: u32) -> Vec<(Thing, Tie)> {
    let named = format!("'{oid}'::regclass");
    let mut found = views_on(catalog, oid, None);
    let draws = catalog.stored_queries().filter(|query| query.query.to_lowercase().contains(&named));
    for thing in draws.map(|query| (Thing::of_query(catalog, query.oid), Tie::Use)) {
        if !found.contains(&thing) {
            found.push(thing);
        }
    }
    for entry in catalog.tables() {
        for column in entry.table.live_columns() {
            if column.default.as_ref().is_some_and(|text| text.to_lowercase().contains(&named)) {
                found.push((Thing::Default(entry.table.oid, column.number), Tie::Use));
            }
        }
    }
    found
}

/// What uses a type: columns, domains and ranges over it, and stored expressions that name it.
fn of_type(catalog: &CatalogSnapshot, oid: u32, array_oid: u32) -> Vec<(Thing, Tie)> {
    let is_of = |type_oid: u32| type_oid == oid || type_oid == array_oid;
    let names = |text: &str| text.contains(&format!("\"#{oid}\""));
    let mut found = Vec::new();
    for entry in catalog.tables() {
        if entry.table.of_type == oid {
            found.push(Thing::Table(entry.table.oid));
            continue;
        }
        for column in entry.table.live_columns() {
            if is_of(column.type_oid) {
                found.push(Thing::Column(entry.table.oid, column.number));
            } else if column.default.as_deref().is_some_and(names) {
                let (table, number) = (entry.table.oid, column.number);
                let is_whole = column.generated;
                found.push(if is_whole {
                    Thing::Column(table, number)
                } else {
                    Thing::Default(table, number)
                });
            }
        }
        let indexes = entry.indexes.iter().filter(|index| {
            index.predicate.as_deref().is_some_and(names)
                || index.columns.iter().any(|each| each.expression.as_ref().is_some_and(|it| names(&it.text)))
        });
        found.extend(indexes.map(|index| Thing::Index(index.oid)));
        let checks = entry.constraints.iter().filter(
            |each| matches!(&each.kind, ConstraintKind::Check { expression, .. } if names(expression)),
        );
        found.extend(checks.map(|each| Thing::Constraint(each.oid)));
    }
    let statistics =
        catalog.extended_statistics().filter(|own| own.expressions.iter().any(|text| names(text)));
    found.extend(statistics.map(|own| Thing::Statistics(own.oid)));
    let queries = catalog.stored_queries().filter(|query| names(&query.query));
    found.extend(queries.map(|query| Thing::of_query(catalog, query.oid)));
    let domains = catalog.user_types().filter(|each| {
        each.definition.domain().is_some_and(|domain| {
            is_of(domain.base.oid)
                || domain.default.as_deref().is_some_and(names)
                || domain.checks.iter().any(|check| names(&check.expression))
        })
    });
    found.extend(domains.map(|each| Thing::Type(each.definition.oid)));
    let ranges = catalog.user_types();
    let ranges = ranges.filter(|each| each.definition.range().is_some_and(|range| is_of(range.subtype)));
    found.extend(ranges.map(|each| Thing::Type(each.definition.oid)));
    for (entry, composite) in catalog.composites() {
        let attributes = composite.live().filter(|(_, attribute)| is_of(attribute.data_type.oid));
        found.extend(attributes.map(|(number, _)| Thing::Attribute(entry.definition.oid, number)));
    }
    found.into_iter().map(|thing| (thing, Tie::Use)).collect()
}

fn of_index(catalog: &CatalogSnapshot, oid: u32) -> Vec<(Thing, Tie)> {
    let uses =
        |kind: &ConstraintKind| matches!(kind, ConstraintKind::ForeignKey { index, .. } if *index == oid);
    let referring = catalog.constraints().filter(|constraint| uses(&constraint.kind));
    referring.map(|each| (Thing::Constraint(each.oid), Tie::Use)).collect()
}

/// Follows the dependents of a thing into the list.
fn follow(
    catalog: &CatalogSnapshot,
    thing: Thing,
    because: Option<(Thing, Tie)>,
    list: &mut Vec<Found>,
    path: &mut Vec<Thing>,
) {
    if let Some(known) = list.iter_mut().find(|found| found.thing == thing) {
        // What the statement names, or is a part of what goes, needs no CASCADE.
        if because.is_none_or(|(_, tie)| tie == Tie::Part) && known.because.is_some() {
            known.because = because;
        }
        return;
    }
    if path.contains(&thing) {
        return;
    }
    path.push(thing);
    let mut dependents = thing.dependents(catalog);
    dependents.sort_by_key(|(each, tie)| (std::cmp::Reverse(each.oid()), *tie == Tie::Part));
    for (dependent, tie) in dependents {
        follow(catalog, dependent, Some((thing, tie)), list, path);
    }
    path.pop();
    list.push(Found { thing, because });
}

/// The most lines of a DETAIL.
const LINES_MAX: usize = 100;

/// Drops things with all that depends on them.
///
/// # Errors
/// 2BP01 where something else depends on one of them and `cascade` is not set.
pub async fn drop_things(ddl: &mut Ddl, things: &[Thing], cascade: bool) -> Result<()> {
    let mut list = Vec::new();
    for thing in things {
        follow(&ddl.catalog, *thing, None, &mut list, &mut Vec::new());
    }
    let goes = |table: u32| list.iter().any(|found| found.thing == Thing::Table(table));
    // What is a part of a table that goes too is told with it.
    let is_told = |found: &&Found| match found.thing {
        Thing::Column(table, _) | Thing::Default(table, _) if goes(table) => false,
        _ => matches!(found.because, Some((_, Tie::Use))),
    };
    let used: Vec<&Found> = list.iter().rev().filter(is_told).collect();
    if !used.is_empty() {
        let more = used.len().saturating_sub(LINES_MAX);
        if !cascade {
            return Err(refused(ddl, things, &used, more));
        }
        let mut lines: Vec<String> = used
            .iter()
            .take(LINES_MAX)
            .map(|found| format!("drop cascades to {}", found.thing.describe(ddl)))
            .collect();
        match lines.as_slice() {
            [one] => ddl.notice(one.clone()),
            _ => {
                if more > 0 {
                    lines.push(format!("and {more} other objects (see server log for list)"));
                }
                let message = format!("drop cascades to {} other objects", used.len());
                ddl.notices.push(
                    SqlError::new(SqlState::SUCCESSFUL_COMPLETION, message).with_detail(lines.join("\n")),
                );
            }
        }
    }
    let list: Vec<Thing> = list.iter().map(|found| found.thing).collect();
    remove_all(ddl, &list).await
}

fn refused(ddl: &Ddl, things: &[Thing], used: &[&Found], more: usize) -> SqlError {
    let mut lines: Vec<String> = used
        .iter()
        .take(LINES_MAX)
        .filter_map(|found| {
            let (on, _) = found.because?;
            Some(format!("{} depends on {}", found.thing.describe(ddl), on.describe(ddl)))
        })
        .collect();
    if more > 0 {
        lines.push(format!("and {more} other objects (see server log for list)"));
    }
    let message = match things {
        [one] => format!("cannot drop {} because other objects depend on it", one.describe(ddl)),
        _ => "cannot drop desired object(s) because other objects depend on them".to_string(),
    };
    SqlError::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
        .with_detail(lines.join("\n"))
        .with_hint("Use DROP ... CASCADE to drop the dependent objects too.")
}

/// Removes what is in the list from the catalog. Tables that stay are written once, with all changes.
pub async fn remove_all(ddl: &mut Ddl, list: &[Thing]) -> Result<()> {
    let mut changed: BTreeMap<u32, Table> = BTreeMap::new();
    let mut attributes: BTreeMap<u32, Vec<i16>> = BTreeMap::new();
    let catalog = ddl.catalog.clone();
    let goes = |table: u32| list.contains(&Thing::Table(table));
    for thing in list {
        match *thing {
            Thing::Schema(oid) => {
                if let Some(schema) = catalog.schema(oid) {
                    ddl.remove((**schema).clone()).await?;
                }
            }
            Thing::Table(oid) => {
                let table = (*catalog.expect_table(oid)?.table).clone();
                ddl.lock(&table).await?;
                ddl.execution.transaction.drop_tree(table.tree)?;
                ddl.remove(table).await?;
            }
            Thing::Column(table, number) if !goes(table) => {
                drop_column(edited(&catalog, &mut changed, table)?, number);
            }
            Thing::Default(table, number) if !goes(table) => {
                edited(&catalog, &mut changed, table)?.columns[Table::position(number)].default = None;
            }
            Thing::Column(..) | Thing::Default(..) => {}
            Thing::Attribute(oid, number) => {
                if !list.contains(&Thing::Type(oid)) {
                    attributes.entry(oid).or_default().push(number);
                }
            }
            Thing::Index(oid) => {
                if let Some(index) = catalog.index(oid) {
                    if !index.primary {
                        ddl.execution.transaction.drop_tree(index.tree)?;
                    }
                    ddl.remove((**index).clone()).await?;
                }
            }
            Thing::Statistics(oid) => {
                if let Some(own) = catalog.extended_statistics_numbered(oid) {
                    ddl.remove((**own).clone()).await?;
                }
            }
            Thing::Constraint(oid) => {
                if let Some(constraint) = catalog.constraint(oid) {
                    if !goes(constraint.table) {
                        ddl.lock(&catalog.expect_table(constraint.table)?.table).await?;
                    }
                    ddl.remove((**constraint).clone()).await?;
                }
            }
            Thing::View(oid) => {
                if let Some(view) = catalog.view(oid) {
                    ddl.remove((**view).clone()).await?;
                }
            }
            Thing::Type(oid) => {
                if let Some(entry) = catalog.user_type(oid) {
                    if let Some(composite) = entry.definition.composite() {
                        super::comment::forget(ddl, composite.relation).await?;
                    }
                    ddl.remove((*entry.definition).clone()).await?;
                }
            }
            Thing::Sequence(oid) => {
                if let Some(entry) = catalog.sequence(oid) {
                    ddl.remove((*entry.sequence).clone()).await?;
                }
            }
        }
    }
    for thing in list {
        let whole = !matches!(thing, Thing::Column(..) | Thing::Default(..) | Thing::Attribute(..));
        if whole && let Some(comments) = catalog.comments_on(thing.oid()) {
            ddl.remove((**comments).clone()).await?;
        }
        forget_rights(ddl, *thing, &goes).await?;
        if let Thing::Table(oid) = thing
            && let Some(statistics) = catalog.table(*oid).and_then(|entry| entry.statistics.clone())
        {
            ddl.remove((*statistics).clone()).await?;
        }
    }
    let mut followings = Vec::new();
    for (oid, table) in changed {
        let before = reshape::of_table(&catalog.expect_table(oid)?.table);
        followings.extend(reshape::prepare(ddl, row_type_oid(oid), &before, &reshape::of_table(&table))?);
        ddl.put(table).await?;
        debug_assert!(!goes(oid), "a table that goes is not written");
    }
    for following in followings {
        Box::pin(following.run(ddl)).await?;
    }
    for (oid, numbers) in attributes {
        ddl.refresh().await?;
        Box::pin(composite::drop_attributes(ddl, oid, &numbers)).await?;
    }
    let lost_key = |thing: &Thing| match thing {
        Thing::Constraint(oid) => catalog
            .constraint(*oid)
            .filter(|each| matches!(each.kind, ConstraintKind::PrimaryKey { .. }) && !goes(each.table))
            .map(|each| each.table),
        _ => None,
    };
    for oid in list.iter().filter_map(lost_key) {
        // The rows are clustered on the key that is no more: they get hidden numbers instead.
        ddl.refresh().await?;
        let entry = ddl.catalog.expect_table(oid)?.clone();
        let mut table = (*entry.table).clone();
        table.primary_key.clear();
        Rewrite::new(&entry, table).run(ddl).await?;
    }
    Ok(())
}

/// Removes what was granted and revoked on what goes, a column too.
async fn forget_rights(ddl: &mut Ddl, thing: Thing, goes: &impl Fn(u32) -> bool) -> Result<()> {
    let Some(rights) = ddl.catalog.rights_on(thing.oid()).cloned() else {
        return forget_default_rights(ddl, thing).await;
    };
    match thing {
        Thing::Default(..) | Thing::Attribute(..) => Ok(()),
        Thing::Column(table, _) if goes(table) => Ok(()),
        Thing::Column(_, number) => {
            let mut left = (*rights).clone();
            left.set_column(number, Vec::new());
            ddl.put(left).await
        }
        _ => {
            ddl.remove((*rights).clone()).await?;
            forget_default_rights(ddl, thing).await
        }
    }
}

/// Removes what ALTER DEFAULT PRIVILEGES said of a schema that goes.
async fn forget_default_rights(ddl: &mut Ddl, thing: Thing) -> Result<()> {
    let Thing::Schema(schema) = thing else { return Ok(()) };
    let catalog = ddl.catalog.clone();
    for rights in catalog.default_rights().filter(|rights| rights.schema == schema) {
        ddl.remove((**rights).clone()).await?;
    }
    Ok(())
}

/// A table as the statement has changed it so far.
fn edited<'c>(
    catalog: &CatalogSnapshot,
    changed: &'c mut BTreeMap<u32, Table>,
    table: u32,
) -> Result<&'c mut Table> {
    let current = catalog.expect_table(table)?;
    Ok(changed.entry(table).or_insert_with(|| (*current.table).clone()))
}

/// What is left of a column that was dropped: its number.
fn drop_column(table: &mut Table, number: i16) {
    let dropped = &mut table.columns[Table::position(number)];
    dropped.dropped = true;
    dropped.not_null = false;
    dropped.default = None;
    dropped.identity = None;
    dropped.generated = false;
    dropped.missing = Datum::Null;
    dropped.name = format!("........pg.dropped.{number}........");
    table.schema_version += 1;
}
