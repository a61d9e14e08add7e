//! CREATE TYPE … AS (…), and what ALTER TYPE does to attributes.
//!
//! Stored values say which fields they have, so that they can be read without the catalog. When a type's attributes
//! change, what tables hold of it is written anew:
//!
//! 1. The types whose values may have such a value within them are gathered ([`holders`]).
//! 2. Each table that has a column of one of them is rewritten, every value by [`Reshape`], which finds values of the
//!    changed type by the OID that they carry.

use std::collections::BTreeSet;
use std::sync::Arc;

use sqlparser::ast::{self, Ident, ObjectName};

use super::create_table::{COLUMNS_MAX, refuse_rows};
use super::dependency::{Thing, drop_things};
use super::rewrite::Rewrite;
use super::user_type::{Named, array_name, named, new_name, shown};
use super::{Ddl, comment};
use crate::binder::{check_collation, data_type, name};
use crate::catalog::{
    Attribute, CatalogSnapshot, Composite, ConstraintKind, PG_TYPE, Table, TableColumn, TableEntry,
    TypeDefinition, UserType, store,
};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::{Call, Expr};
use crate::functions::{CallTypes, EvalContext, Function, Kernel, Volatility};
use crate::parser::{AttributeChange, AttributeDefinition};
use crate::plan::walk;
use crate::rights::must_own;
use crate::types::{Category, DataType, TypeCatalog, oids};
use crate::value::{ArrayValue, Bound, Datum, RecordShape, RecordValue, Span};

pub async fn create(ddl: &mut Ddl, object: &ObjectName, attributes: &[AttributeDefinition]) -> Result<()> {
    let (schema, own_name) = new_name(ddl, object).await?;
    if ddl.catalog.relation_named(schema, &own_name).is_some() {
        return Err(store::duplicate_relation(&own_name));
    }
    if attributes.len() > COLUMNS_MAX {
        return Err(too_many());
    }
    let mut made: Vec<Attribute> = Vec::with_capacity(attributes.len());
    for definition in attributes {
        let attribute = attribute_of(ddl, definition)?;
        if made.iter().any(|each| each.name == attribute.name) {
            let message = format!("column \"{}\" specified more than once", attribute.name);
            return Err(SqlError::new(SqlState::DUPLICATE_COLUMN, message));
        }
        made.push(attribute);
    }
    let (oid, array_oid, relation) = (ddl.oid().await?, ddl.oid().await?, ddl.oid().await?);
    let (array_name, owner) = (array_name(ddl, schema, &own_name), ddl.own_role());
    ddl.begin_rights(b'T', PG_TYPE, oid, schema, owner).await?;
    let definition = TypeDefinition::Composite(Composite { relation, attributes: made });
    ddl.put(UserType { oid, array_oid, schema, name: own_name, array_name, owner, definition }).await
}

/// 54011.
fn too_many() -> SqlError {
    let message = format!("tables can have at most {COLUMNS_MAX} columns");
    SqlError::new(SqlState::TOO_MANY_COLUMNS, message)
}

fn attribute_of(ddl: &Ddl, definition: &AttributeDefinition) -> Result<Attribute> {
    let types = ddl.types();
    let own_name = name::fold(&definition.name);
    let data_type = data_type::resolve(&definition.data_type, &types)?;
    let is_pseudo = types.type_by_oid(data_type.oid).is_none_or(|info| info.category == Category::Pseudo);
    if is_pseudo || data_type.oid == oids::UNKNOWN {
        return Err(SqlError::new(
            SqlState::INVALID_TABLE_DEFINITION,
            format!("column \"{own_name}\" has pseudo-type {}", shown(ddl, data_type.oid)),
        ));
    }
    ddl.check_may_use_type(data_type)?;
    refuse_rows(&types, data_type)?;
    let collation = definition.collation.as_ref();
    let collation = collation.map(|named| check_collation(&types, data_type, named)).transpose()?;
    Ok(Attribute { name: own_name, data_type, collation: collation.unwrap_or(0), dropped: false })
}

/// An attribute of a type.
#[must_use]
pub fn attribute(catalog: &CatalogSnapshot, oid: u32, number: i16) -> Option<&Attribute> {
    let composite = catalog.user_type(oid)?.definition.composite()?;
    composite.attributes.get(Table::position(number))
}

/// The composite type that ALTER TYPE names.
fn altered(ddl: &Ddl, object: &ObjectName) -> Result<(Arc<UserType>, Composite)> {
    let missing = || -> Result<SqlError> {
        let (schema, base) = name::split(object)?;
        Ok(name::undefined_table(schema.as_deref(), &base).unplaced())
    };
    match named(ddl, object) {
        Ok(Named::User(own)) => match own.composite().cloned() {
            Some(composite) => {
                if !ddl.actor().has_role(own.owner) {
                    return Err(must_own("table", &own.name));
                }
                Ok((own, composite))
            }
            None => Err(missing()?),
        },
        Ok(Named::Row(relation)) => Err(SqlError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("\"{}\" is not a composite type", relation.name()),
        )),
        _ => Err(missing()?),
    }
}

/// 42703.
fn no_attribute(own: &UserType, attribute: &str) -> SqlError {
    let message = format!("column \"{attribute}\" of relation \"{}\" does not exist", own.name);
    SqlError::new(SqlState::UNDEFINED_COLUMN, message)
}

/// 42701 where an attribute has the name.
fn refuse_taken(own: &UserType, composite: &Composite, attribute: &str) -> Result<()> {
    if composite.number_of(attribute).is_none() {
        return Ok(());
    }
    let message = format!("column \"{attribute}\" of relation \"{}\" already exists", own.name);
    Err(SqlError::new(SqlState::DUPLICATE_COLUMN, message))
}

/// ADD, DROP and ALTER ATTRIBUTE, in PostgreSQL's order: what is dropped first, then new types, then what is added.
pub async fn alter(ddl: &mut Ddl, object: &ObjectName, changes: &[AttributeChange]) -> Result<()> {
    let pass = |change: &AttributeChange| match change {
        AttributeChange::Drop { .. } => 0,
        AttributeChange::Retype(_) => 1,
        AttributeChange::Add(_) => 2,
    };
    altered(ddl, object)?;
    let mut ordered: Vec<&AttributeChange> = changes.iter().collect();
    ordered.sort_by_key(|change| pass(change));
    for change in ordered {
        ddl.refresh().await?;
        let (own, composite) = altered(ddl, object)?;
        match change {
            AttributeChange::Add(definition) => add(ddl, &own, composite, definition).await?,
            AttributeChange::Drop { name: dropped, if_exists, cascade } => {
                let dropped = name::fold(dropped);
                match composite.number_of(&dropped) {
                    Some(number) => {
                        refuse_domains(ddl, &own, &dropped, "drop")?;
                        drop_things(ddl, &[Thing::Attribute(own.oid, number)], *cascade).await?;
                    }
                    None if *if_exists => {
                        ddl.notice(format!("{}, skipping", no_attribute(&own, &dropped).message()));
                    }
                    None => return Err(no_attribute(&own, &dropped)),
                }
            }
            AttributeChange::Retype(definition) => retype(ddl, &own, composite, definition).await?,
        }
    }
    Ok(())
}

async fn add(
    ddl: &mut Ddl,
    own: &UserType,
    mut composite: Composite,
    definition: &AttributeDefinition,
) -> Result<()> {
    let added = attribute_of(ddl, definition)?;
    refuse_taken(own, &composite, &added.name)?;
    if holders(&ddl.catalog, own.oid).contains(&added.data_type.oid) {
        let message = format!("composite type {} cannot be made a member of itself", own.name);
        return Err(SqlError::new(SqlState::INVALID_TABLE_DEFINITION, message));
    }
    if composite.attributes.len() >= COLUMNS_MAX {
        return Err(too_many());
    }
    refuse_whole_readers(ddl, own, "add an attribute to")?;
    composite.attributes.push(added);
    change(ddl, own, composite).await
}

async fn retype(
    ddl: &mut Ddl,
    own: &UserType,
    mut composite: Composite,
    definition: &AttributeDefinition,
) -> Result<()> {
    let retyped = attribute_of(ddl, definition)?;
    let number = composite.number_of(&retyped.name).ok_or_else(|| no_attribute(own, &retyped.name))?;
    if let Some((table, column)) = columns_holding(&ddl.catalog, own.oid).next() {
        return Err(SqlError::unsupported(format!(
            "cannot alter type \"{}\" because column \"{}.{}\" uses it",
            own.name, table.table.name, table.table.columns[column].name
        )));
    }
    if holders(&ddl.catalog, own.oid).contains(&retyped.data_type.oid) {
        let message = format!("composite type {} cannot be made a member of itself", own.name);
        return Err(SqlError::new(SqlState::INVALID_TABLE_DEFINITION, message));
    }
    let position = Table::position(number);
    composite.attributes[position] = retyped;
    change(ddl, own, composite).await
}

/// RENAME ATTRIBUTE.
pub async fn rename_attribute(ddl: &mut Ddl, object: &ObjectName, old: &Ident, new: &Ident) -> Result<()> {
    let (own, mut composite) = altered(ddl, object)?;
    let (old, new) = (name::fold(old), name::fold(new));
    let number = composite.number_of(&old).ok_or_else(|| {
        SqlError::new(SqlState::UNDEFINED_COLUMN, format!("column \"{old}\" does not exist"))
    })?;
    refuse_taken(&own, &composite, &new)?;
    // Stored texts name attributes, and cannot follow.
    if let Some(reader) = readers(&ddl.catalog, own.oid, number).first() {
        let message = format!("cannot rename attribute \"{old}\" of type {} yet", shown(ddl, own.oid));
        return Err(SqlError::unsupported(message).with_detail(format!("{} reads it.", reader.describe(ddl))));
    }
    refuse_domains(ddl, &own, &old, "rename")?;
    composite.attributes[Table::position(number)].name = new;
    change(ddl, &own, composite).await
}

/// Takes attributes off a type; nothing reads them any more.
pub async fn drop_attributes(ddl: &mut Ddl, oid: u32, numbers: &[i16]) -> Result<()> {
    let Some(own) = ddl.catalog.user_type(oid).map(|entry| entry.definition.clone()) else { return Ok(()) };
    let Some(mut composite) = own.composite().cloned() else { return Ok(()) };
    for number in numbers {
        comment::set_on_attribute(ddl, composite.relation, *number, None).await?;
        let Some(dropped) = composite.attributes.get_mut(Table::position(*number)) else { continue };
        dropped.name = format!("........pg.dropped.{number}........");
        dropped.dropped = true;
    }
    change(ddl, &own, composite).await
}

/// Stores a type as it is to be, and what tables hold of it.
async fn change(ddl: &mut Ddl, own: &UserType, composite: Composite) -> Result<()> {
    let Some(before) = own.composite() else { return Ok(()) };
    let reshape = Arc::new(Reshape::between(own.oid, before, &composite));
    let mut tables: Vec<(Arc<TableEntry>, Vec<usize>)> = Vec::new();
    for (entry, column) in columns_holding(&ddl.catalog, own.oid) {
        match tables.last_mut().filter(|(last, _)| last.table.oid == entry.table.oid) {
            Some((_, columns)) => columns.push(column),
            None => tables.push((entry.clone(), vec![column])),
        }
    }
    let changed = UserType { definition: TypeDefinition::Composite(composite), ..own.clone() };
    ddl.put(changed).await?;
    for (entry, columns) in tables {
        ddl.lock(&entry.table).await?;
        let mut table = (*entry.table).clone();
        table.schema_version += 1;
        let mut fills = Vec::new();
        for position in columns {
            let default = reshape.default_of(ddl, &table.columns[position])?;
            let column = &mut table.columns[position];
            column.missing = Datum::Null;
            column.default = default;
            fills.push((position, reshape.clone().over(position, column.data_type())));
        }
        let mut rewrite = Rewrite::new(&entry, table);
        rewrite.fills = fills;
        rewrite.run(ddl).await?;
    }
    Ok(())
}

/// The types whose values may have values of a composite type within them, that type and those of arrays among them.
fn holders(catalog: &CatalogSnapshot, oid: u32) -> BTreeSet<u32> {
    let mut found = BTreeSet::from([oid]);
    loop {
        let before = found.len();
        for entry in catalog.user_types() {
            let own = &entry.definition;
            let holds = found.contains(&own.oid)
                || match &own.definition {
                    TypeDefinition::Domain(domain) => found.contains(&domain.base.oid),
                    TypeDefinition::Range(range) => found.contains(&range.subtype),
                    TypeDefinition::Multirange { range, .. } => found.contains(range),
                    TypeDefinition::Composite(composite) => {
                        composite.live().any(|(_, each)| found.contains(&each.data_type.oid))
                    }
                    TypeDefinition::Enum { .. } => false,
                };
            if holds {
                found.extend([own.oid, own.array_oid]);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// Whether a column may hold values of a composite type.
#[must_use]
pub fn holds_rows(catalog: &CatalogSnapshot, oid: u32) -> bool {
    columns_holding(catalog, oid).next().is_some()
}

/// The columns, by position, that may hold values of a composite type.
fn columns_holding(catalog: &CatalogSnapshot, oid: u32) -> impl Iterator<Item = (&Arc<TableEntry>, usize)> {
    let holders = holders(catalog, oid);
    let of_table = move |entry: &Arc<TableEntry>| -> Vec<usize> {
        let columns = entry.table.live_columns().filter(|column| holders.contains(&column.type_oid));
        columns.map(|column| Table::position(column.number)).collect()
    };
    catalog.tables().flat_map(move |entry| of_table(entry).into_iter().map(move |column| (entry, column)))
}

/// What reads an attribute, as far as the texts of stored expressions and queries tell: those that are about a type
/// that holds such values, and name a field so.
#[must_use]
pub fn readers(catalog: &CatalogSnapshot, oid: u32, number: i16) -> Vec<Thing> {
    let Some(attribute) = attribute(catalog, oid, number) else { return Vec::new() };
    readers_of(catalog, oid, &|text| names_field(text, &attribute.name) || text.contains(").*"))
}

fn readers_of(catalog: &CatalogSnapshot, oid: u32, reads: &dyn Fn(&str) -> bool) -> Vec<Thing> {
    let holders = holders(catalog, oid);
    let tables: BTreeSet<u32> = columns_holding(catalog, oid).map(|(entry, _)| entry.table.oid).collect();
    let names_type = |text: &str| holders.iter().any(|held| text.contains(&format!("\"#{held}\"")));
    let mut found = Vec::new();
    for entry in catalog.tables() {
        let is_reader = |text: &str| reads(text) && (tables.contains(&entry.table.oid) || names_type(text));
        for column in entry.table.live_columns() {
            if column.default.as_deref().is_some_and(is_reader) {
                let (table, number) = (entry.table.oid, column.number);
                let whole = column.generated;
                found.push(if whole { Thing::Column(table, number) } else { Thing::Default(table, number) });
            }
        }
        let indexes = entry.indexes.iter().filter(|index| {
            let columns = index.columns.iter().filter_map(|column| column.expression.as_ref());
            index.predicate.as_deref().is_some_and(is_reader)
                || columns.into_iter().any(|it| is_reader(&it.text))
        });
        found.extend(indexes.map(|index| Thing::Index(index.oid)));
        let checks = entry.constraints.iter().filter(
            |each| matches!(&each.kind, ConstraintKind::Check { expression, .. } if is_reader(expression)),
        );
        found.extend(checks.map(|each| Thing::Constraint(each.oid)));
    }
    let queries = catalog.stored_queries().filter(|query| {
        let is_about = query.sources.iter().any(|source| tables.contains(&source.relation));
        reads(&query.query) && (is_about || names_type(&query.query))
    });
    found.extend(queries.map(|query| Thing::of_query(catalog, query.oid)));
    found
}

/// Whether a text has `.name`, quoted or not.
fn names_field(text: &str, field: &str) -> bool {
    let ends =
        |rest: &str| !rest.starts_with(|next: char| next.is_alphanumeric() || matches!(next, '_' | '$'));
    let quoted = format!(".{}", name::quote(field));
    if text.contains(&format!(".\"{}\"", field.replace('"', "\"\""))) {
        return true;
    }
    let lower = text.to_lowercase();
    lower.match_indices(&quoted).any(|(at, _)| ends(&lower[at + quoted.len()..]))
}

/// 2BP01 where a check of a domain over such values reads an attribute that is to go: the check cannot go alone yet.
fn refuse_domains(ddl: &Ddl, own: &UserType, attribute: &str, what: &str) -> Result<()> {
    let holders = holders(&ddl.catalog, own.oid);
    for entry in ddl.catalog.user_types() {
        let Some(domain) = entry.definition.domain().filter(|it| holders.contains(&it.base.oid)) else {
            continue;
        };
        let mut checks = domain.checks.iter();
        let Some(check) = checks.find(|check| names_field(&check.expression, attribute)) else { continue };
        let column = format!("column {} of composite type {}", name::quote(attribute), shown(ddl, own.oid));
        let message = format!("cannot {what} {column} because other objects depend on it");
        return Err(SqlError::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
            .with_detail(format!("constraint {} depends on {column}", check.name))
            .with_hint("Use DROP ... CASCADE to drop the dependent objects too."));
    }
    Ok(())
}

/// 0A000 where a stored query has all fields of such values as its columns: it would get another column.
fn refuse_whole_readers(ddl: &Ddl, own: &UserType, what: &str) -> Result<()> {
    let found = readers_of(&ddl.catalog, own.oid, &|text| text.contains(").*"));
    let Some(reader) = found.first() else { return Ok(()) };
    let message = format!("cannot {what} type {} yet", shown(ddl, own.oid));
    Err(SqlError::unsupported(message)
        .with_detail(format!("{} reads all of its attributes.", reader.describe(ddl))))
}

/// How values of a type change with it.
struct Reshape {
    type_oid: u32,
    /// Where each field was.
    sources: Vec<Option<usize>>,
    shape: Arc<RecordShape>,
}

impl Reshape {
    fn between(type_oid: u32, before: &Composite, after: &Composite) -> Reshape {
        let was = |number: i16| before.live().position(|(each, _)| each == number);
        let sources = after.live().map(|(number, _)| was(number)).collect();
        Reshape { type_oid, sources, shape: Arc::new(after.shape(type_oid)) }
    }

    /// The default of a column that holds such values: a constant one is written as it is after the change, since the text of
    /// a row says all of its fields.
    fn default_of(&self, ddl: &Ddl, column: &TableColumn) -> Result<Option<String>> {
        let Some(text) = column.default.as_ref().filter(|_| !column.generated) else {
            return Ok(column.default.clone());
        };
        let context = ddl.execution.context();
        let expression = crate::parser::parse_expression(text)?;
        let bound = ddl.binder(text).bind_default(column, &expression)?;
        // Whatever is called might give something else later; the casts of literals to users' types do not.
        let is_computed =
            |node: &Expr| matches!(node, Expr::Call(_) | Expr::Outer { .. } | Expr::Parameter { .. });
        if walk::any(&bound, &mut |node| is_computed(node)) {
            return Ok(Some(text.clone()));
        }
        let value = bound.eval_row(&[].as_slice(), &context)?;
        if value.is_null() {
            return Ok(None);
        }
        let changed = context.to_text(&self.apply(&value), column.type_oid)?;
        Ok(Some(format!("'{}'", changed.replace('\'', "''"))))
    }

    fn apply(&self, value: &Datum) -> Datum {
        match value {
            Datum::Record(record) if record.shape.type_oid == self.type_oid => {
                let field = |source: &Option<usize>| source.and_then(|at| record.fields.get(at));
                let fields = self.sources.iter().map(|source| field(source).cloned().unwrap_or_default());
                RecordValue { fields: fields.collect(), shape: self.shape.clone() }.into()
            }
            Datum::Record(record) => {
                let fields = record.fields.iter().map(|field| self.apply(field)).collect();
                RecordValue { fields, shape: record.shape.clone() }.into()
            }
            Datum::Array(array) => {
                let elements = array.elements.iter().map(|element| self.apply(element)).collect();
                ArrayValue { elements, ..(**array).clone() }.into()
            }
            Datum::Spans(spans) => {
                let end =
                    |bound: &Bound| Bound { value: self.apply(&bound.value), inclusive: bound.inclusive };
                let spans =
                    spans.iter().map(|span| Span { lower: end(&span.lower), upper: end(&span.upper) });
                Datum::Spans(spans.collect())
            }
            other => other.clone(),
        }
    }

    /// The expression that changes a column of a row.
    fn over(self: Arc<Self>, position: usize, data_type: DataType) -> Expr {
        let kernel = move |values: &[Datum], _: &CallTypes<'_>, _: &EvalContext<'_>| {
            Ok(values.first().map(|value| self.apply(value)).unwrap_or_default())
        };
        let function = Function {
            name: "reshape".into(),
            argument_types: vec![data_type.oid],
            variadic: None,
            optional: 0,
            return_type: data_type.oid,
            parameters: &[],
            strict: true,
            volatility: Volatility::Immutable,
            infallible: true,
            kernel: Kernel::Dynamic(Arc::new(kernel)),
            columns: &[],
            vector_kernel: None,
        };
        Expr::Call(Box::new(Call {
            function: Arc::new(function),
            arguments: vec![Expr::Column { index: position, data_type }],
            argument_types: vec![data_type],
            data_type,
            spread: false,
        }))
    }
}

/// The attribute that COMMENT ON COLUMN names of a type; `None` where the name before it is of no composite type.
pub fn commented(ddl: &Ddl, object: &ast::ObjectName, attribute: &str) -> Result<Option<(u32, i16)>> {
    let Ok(Named::User(own)) = named(ddl, object) else { return Ok(None) };
    let Some(composite) = own.composite() else { return Ok(None) };
    ddl.check_owns_type(&own)?;
    let number = composite.number_of(attribute).ok_or_else(|| no_attribute(&own, attribute))?;
    Ok(Some((composite.relation, number)))
}
