//! What columns hold of rows, when the type of these rows changes: a composite type, or a table's or a view's row type.
//!
//! Stored values say which fields they have, so that they can be read without the catalog. When a type's fields
//! change, what tables hold of it is written anew:
//!
//! 1. The types whose values may have such a value within them are gathered ([`holders`]), and before the change
//!    the columns of such types, with what becomes of their defaults ([`prepare`]).
//! 2. After it each of their tables is rewritten, every value by [`Reshape`], which finds values of the
//!    changed type by the OID that they carry ([`Following::run`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Ddl;
use super::dependency::Thing;
use super::rewrite::Rewrite;
use super::user_type::shown;
use crate::binder::name;
use crate::catalog::{
    CatalogSnapshot, Composite, ConstraintKind, Table, TableColumn, TableEntry, TypeDefinition, View,
    relation_of_type, row_type_oid,
};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::{Call, Expr};
use crate::functions::{CallTypes, EvalContext, Function, Kernel, Volatility};
use crate::plan::walk;
use crate::types::DataType;
use crate::value::{ArrayValue, Bound, Datum, RecordShape, RecordValue, Span, Text};

/// The fields of a type of rows, with the numbers that they keep under whatever name.
pub type Fields = Vec<(i16, (Text, DataType))>;

/// A composite type's.
pub fn of_composite(composite: &Composite) -> Fields {
    composite.live().map(|(number, each)| (number, (Text::new(&each.name), each.data_type))).collect()
}

/// A table's.
pub fn of_table(table: &Table) -> Fields {
    let columns = table.live_columns();
    columns.map(|column| (column.number, (Text::new(&column.name), column.data_type()))).collect()
}

/// A view's.
pub fn of_view(view: &View) -> Fields {
    let columns = view.columns.iter().map(|column| {
        let data_type = DataType { oid: column.type_oid, typmod: column.type_modifier };
        (Text::new(&column.name), data_type)
    });
    (1..).zip(columns).collect()
}

/// Columns of a table by position, and the defaults that they get.
type Columns = Vec<(usize, Option<String>)>;

/// The tables that are to be written anew.
pub struct Following {
    reshape: Arc<Reshape>,
    tables: Vec<(u32, Columns)>,
}

/// Looks, before a type's fields change, for what holds its values; `None` where there is nothing to do.
///
/// # Errors
/// Those of evaluating defaults.
pub fn prepare(ddl: &Ddl, type_oid: u32, before: &Fields, after: &Fields) -> Result<Option<Following>> {
    if before == after {
        return Ok(None);
    }
    let reshape = Arc::new(Reshape::between(type_oid, before, after));
    let mut tables: Vec<(u32, Columns)> = Vec::new();
    for (entry, position) in columns_holding(&ddl.catalog, type_oid) {
        let default = reshape.default_of(ddl, &entry.table.columns[position])?;
        match tables.last_mut().filter(|(last, _)| *last == entry.table.oid) {
            Some((_, columns)) => columns.push((position, default)),
            None => tables.push((entry.table.oid, vec![(position, default)])),
        }
    }
    Ok((!tables.is_empty()).then_some(Following { reshape, tables }))
}

impl Following {
    /// Writes the tables anew, once the type was changed.
    ///
    /// # Errors
    /// Those of reading and writing rows.
    pub async fn run(self, ddl: &mut Ddl) -> Result<()> {
        ddl.refresh().await?;
        for (oid, columns) in self.tables {
            // The statement may have dropped it since.
            let Some(entry) = ddl.catalog.table(oid).cloned() else { continue };
            ddl.lock(&entry.table).await?;
            let mut table = (*entry.table).clone();
            for (position, default) in &columns {
                table.columns[*position].default.clone_from(default);
            }
            // The old default need not be one of the type any more.
            let indexes = entry.indexes.iter().map(|index| (**index).clone()).collect();
            let entry = TableEntry::bare(table.clone(), indexes);
            table.schema_version += 1;
            let mut fills = Vec::new();
            for (position, _) in columns {
                let column = &mut table.columns[position];
                if column.dropped {
                    continue;
                }
                column.missing = Datum::Null;
                fills.push((position, self.reshape.clone().over(position, column.data_type())));
            }
            let mut rewrite = Rewrite::new(&entry, table);
            rewrite.fills = fills;
            rewrite.run(ddl).await?;
        }
        Ok(())
    }
}

/// 0A000 where a table's rows are to change in a way that what is held of them elsewhere cannot follow.
///
/// # Errors
/// 0A000.
pub fn refuse_held(ddl: &Ddl, table: &Table) -> Result<()> {
    let Some((holder, column)) = first_holding(&ddl.catalog, row_type_oid(table.oid)) else { return Ok(()) };
    let message = format!(
        "cannot alter {} \"{}\" because column \"{}.{}\" uses its row type",
        table.word(),
        table.name,
        holder.table.name,
        column.name
    );
    Err(SqlError::unsupported(message))
}

/// The column that errors name as one that holds values of a type: in PostgreSQL's order, that is what has arrays of it
/// first, then what was made first.
pub fn first_holding(catalog: &CatalogSnapshot, oid: u32) -> Option<(&Arc<TableEntry>, &TableColumn)> {
    let info = catalog.type_info(oid)?;
    if info.element().is_none()
        && let Some(found) = first_holding(catalog, info.array_oid)
    {
        return Some(found);
    }
    let tables = catalog.tables().filter_map(|entry| {
        let column = entry.table.live_columns().find(|column| column.type_oid == oid)?;
        Some((entry.table.oid, Ok((entry, column))))
    });
    let types = catalog.user_types().filter_map(|entry| {
        let own = &entry.definition;
        let holds = match &own.definition {
            TypeDefinition::Domain(domain) => domain.base.oid == oid,
            TypeDefinition::Range(range) => range.subtype == oid,
            TypeDefinition::Multirange { range, .. } => *range == oid,
            TypeDefinition::Composite(composite) => {
                composite.live().any(|(_, each)| each.data_type.oid == oid)
            }
            TypeDefinition::Enum { .. } => false,
        };
        holds.then_some((own.oid, Err(own.oid)))
    });
    let views = catalog.views().filter_map(|view| {
        let holds = view.columns.iter().any(|column| column.type_oid == oid);
        holds.then_some((view.oid, Err(row_type_oid(view.oid))))
    });
    let mut found: Vec<(u32, std::result::Result<_, u32>)> = tables.chain(types).chain(views).collect();
    found.sort_by_key(|(made, _)| *made);
    found.into_iter().find_map(|(_, holder)| match holder {
        Ok(found) => Some(found),
        Err(within) => first_holding(catalog, within),
    })
}

/// 42P16 where a type of rows would have itself among its fields.
///
/// # Errors
/// 42P16.
pub fn refuse_itself(ddl: &Ddl, type_oid: u32, field: DataType) -> Result<()> {
    if !holders(&ddl.catalog, type_oid).contains(&field.oid) {
        return Ok(());
    }
    let message = format!("composite type {} cannot be made a member of itself", shown(ddl, type_oid));
    Err(SqlError::new(SqlState::INVALID_TABLE_DEFINITION, message))
}

/// 0A000 where a stored expression or query reads a column of a relation's rows, as a field of a value: it names it, and
/// cannot follow.
///
/// # Errors
/// 0A000.
pub fn refuse_readers(ddl: &Ddl, relation: u32, number: i16, column: &str) -> Result<()> {
    let type_oid = row_type_oid(relation);
    let readers = readers(&ddl.catalog, type_oid, number);
    let Some(reader) = readers.first() else { return Ok(()) };
    let message = format!("cannot rename column \"{column}\" of type {} yet", shown(ddl, type_oid));
    Err(SqlError::unsupported(message).with_detail(format!("{} reads it.", reader.describe(ddl))))
}

/// 0A000 where a stored query has all fields of such values as its columns: it would get another column.
///
/// # Errors
/// 0A000.
pub fn refuse_whole_readers(ddl: &Ddl, type_oid: u32, what: &str) -> Result<()> {
    let found = readers_of(&ddl.catalog, type_oid, &|text| text.contains(").*"));
    let Some(reader) = found.first() else { return Ok(()) };
    let message = format!("cannot {what} type {} yet", shown(ddl, type_oid));
    Err(SqlError::unsupported(message)
        .with_detail(format!("{} reads all of its attributes.", reader.describe(ddl))))
}

/// 2BP01 where a check of a domain over such values reads a field that is to go: the check cannot go alone yet.
///
/// # Errors
/// 2BP01.
pub fn refuse_domains(ddl: &Ddl, type_oid: u32, field: &str, what: &str, column: &str) -> Result<()> {
    let holders = holders(&ddl.catalog, type_oid);
    for entry in ddl.catalog.user_types() {
        let Some(domain) = entry.definition.domain().filter(|it| holders.contains(&it.base.oid)) else {
            continue;
        };
        let mut checks = domain.checks.iter();
        let Some(check) = checks.find(|check| names_field(&check.expression, field)) else { continue };
        let message = format!("cannot {what} {column} because other objects depend on it");
        return Err(SqlError::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
            .with_detail(format!("constraint {} depends on {column}", check.name))
            .with_hint("Use DROP ... CASCADE to drop the dependent objects too."));
    }
    Ok(())
}

/// The types whose values may have values of a composite type within them, that type and those of arrays among them.
pub fn holders(catalog: &CatalogSnapshot, oid: u32) -> BTreeSet<u32> {
    let mut found = BTreeSet::from([oid]);
    found.extend(catalog.row_type(relation_of_type(oid).unwrap_or(0)).map(|row| row.array.oid));
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
        let rows = |relation: u32| {
            let oid = row_type_oid(relation);
            catalog.row_type(relation).map(|row| [oid, row.array.oid])
        };
        for entry in catalog.tables() {
            if entry.table.live_columns().any(|column| found.contains(&column.type_oid)) {
                found.extend(rows(entry.table.oid).into_iter().flatten());
            }
        }
        for view in catalog.views() {
            if view.columns.iter().any(|column| found.contains(&column.type_oid)) {
                found.extend(rows(view.oid).into_iter().flatten());
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
    let Some(field) = field_name(catalog, oid, number) else { return Vec::new() };
    readers_of(catalog, oid, &|text| names_field(text, &field) || text.contains(").*"))
}

/// The name of a field of a composite type or of a relation's rows.
fn field_name(catalog: &CatalogSnapshot, oid: u32, number: i16) -> Option<String> {
    let position = Table::position(number);
    if let Some(own) = catalog.user_type(oid) {
        return Some(own.definition.composite()?.attributes.get(position)?.name.clone());
    }
    let relation = relation_of_type(oid)?;
    match catalog.view(relation) {
        Some(view) => view.columns.get(position).map(|column| column.name.clone()),
        None => catalog.table(relation)?.table.columns.get(position).map(|column| column.name.clone()),
    }
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
pub fn names_field(text: &str, field: &str) -> bool {
    let ends =
        |rest: &str| !rest.starts_with(|next: char| next.is_alphanumeric() || matches!(next, '_' | '$'));
    let quoted = format!(".{}", name::quote(field));
    if text.contains(&format!(".\"{}\"", field.replace('"', "\"\""))) {
        return true;
    }
    let lower = text.to_lowercase();
    lower.match_indices(&quoted).any(|(at, _)| ends(&lower[at + quoted.len()..]))
}

/// How values of a type change with it.
pub struct Reshape {
    type_oid: u32,
    /// Where each field was.
    sources: Vec<Option<usize>>,
    shape: Arc<RecordShape>,
}

impl Reshape {
    /// By the numbers that fields keep.
    #[must_use]
    pub fn between(type_oid: u32, before: &Fields, after: &Fields) -> Reshape {
        let was = |number: i16| before.iter().position(|(each, _)| *each == number);
        let sources = after.iter().map(|(number, _)| was(*number)).collect();
        let fields = after.iter().map(|(_, field)| field.clone()).collect();
        Reshape { type_oid, sources, shape: Arc::new(RecordShape { type_oid, fields }) }
    }

    /// Whether values of a type may have such values within them.
    #[must_use]
    pub fn is_within(&self, catalog: &CatalogSnapshot, oid: u32) -> bool {
        holders(catalog, self.type_oid).contains(&oid)
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

    /// A value that may have such values within it, as it is after the change.
    #[must_use]
    pub fn apply(&self, value: &Datum) -> Datum {
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
