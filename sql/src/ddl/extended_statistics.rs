//! CREATE, ALTER and DROP STATISTICS.
//!
//! Statistics objects are kept, shown and dumped; the planner takes columns as independent of each other.

use std::sync::Arc;

use sqlparser::ast::{self, Ident, ObjectName, TableFactor, TableWithJoins};

use super::dependency::{Thing, drop_things};
use super::{Ddl, constraint, default, role};
use crate::binder::{Relation, name};
use crate::catalog::{ColumnNumber, ExtendedStatistics, Table, TableEntry, is_system_column, store};
use crate::error::{Result, SqlError, SqlState};
use crate::functions::registry;
use crate::parser::{StatisticsChange, StatisticsElement, StatisticsStatement};
use crate::plan::walk;
use crate::rights::must_own;
use crate::types::{DataType, format_type, oids};

/// The most columns and expressions that an object has.
const ELEMENTS_MAX: usize = 8;
/// The largest target of statistics.
const TARGET_MAX: i64 = 10_000;

pub async fn define(ddl: &mut Ddl, statement: &StatisticsStatement, text: &str) -> Result<()> {
    match statement {
        StatisticsStatement::Create { name, if_not_exists, kinds, elements, from } => {
            let entry = source(ddl, from)?;
            let wanted = Wanted { kinds, elements };
            create(ddl, name, *if_not_exists, &entry, &wanted, text).await
        }
        StatisticsStatement::Alter { name, if_exists, change } => alter(ddl, name, *if_exists, change).await,
        StatisticsStatement::Drop { names, if_exists } => drop(ddl, names, *if_exists).await,
    }
}

/// What the statement says of the object.
struct Wanted<'a> {
    kinds: &'a [Ident],
    elements: &'a [StatisticsElement],
}

/// The one table behind FROM.
fn source(ddl: &Ddl, from: &[TableWithJoins]) -> Result<Arc<TableEntry>> {
    let object = match from {
        [TableWithJoins { relation: TableFactor::Table { name, args: None, .. }, joins }]
            if joins.is_empty() =>
        {
            name
        }
        [_] => {
            return Err(SqlError::unsupported(
                "CREATE STATISTICS only supports relation names in the FROM clause",
            ));
        }
        _ => return Err(SqlError::unsupported("only a single relation is allowed in CREATE STATISTICS")),
    };
    let relation = ddl.relation(object).map_err(SqlError::unplaced)?;
    match relation {
        Relation::Stored(entry) => {
            ddl.check_owns_table(&entry.table)?;
            Ok(entry)
        }
        Relation::Virtual(_) => {
            ddl.check_owns(&relation)?;
            relation.into_stored()
        }
        other => {
            let message = format!("cannot define statistics for relation \"{}\"", other.name());
            Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message)
                .with_detail(format!("This operation is not supported for {}.", other.kind().plural())))
        }
    }
}

/// 42710.
fn duplicate(base: &str) -> SqlError {
    SqlError::new(SqlState::DUPLICATE_OBJECT, format!("statistics object \"{base}\" already exists"))
}

/// 0A000 for a type that has no order.
fn check_ordered(ddl: &Ddl, data_type: DataType, what: &str) -> Result<()> {
    let types = ddl.types();
    let is_ordered = registry().resolve_operator("<", Some(data_type.oid), data_type.oid, &types).is_ok();
    if is_ordered && !matches!(data_type.oid, oids::JSON) {
        return Ok(());
    }
    Err(SqlError::unsupported(format!(
        "{what} cannot be used in {}statistics because its type {} has no default btree operator class",
        if what == "expression" { "multivariate " } else { "" },
        format_type(data_type, &types)
    )))
}

/// What an object is of.
#[derive(Default)]
struct Elements {
    columns: Vec<ColumnNumber>,
    expressions: Vec<String>,
    read: Vec<ColumnNumber>,
}

fn elements(ddl: &Ddl, table: &Table, given: &[StatisticsElement], text: &str) -> Result<Elements> {
    if given.len() > ELEMENTS_MAX {
        let message = format!("cannot have more than {ELEMENTS_MAX} columns in statistics");
        return Err(SqlError::new(SqlState::TOO_MANY_COLUMNS, message));
    }
    let mut found = Elements::default();
    for element in given {
        let column = match element {
            StatisticsElement::Column(column) => name::fold(column),
            StatisticsElement::Expression(expression)
                if let ast::Expr::Identifier(column) = &**expression =>
            {
                name::fold(column)
            }
            StatisticsElement::Expression(expression) => {
                let mut binder = ddl.binder(text).noting_literals();
                let bound = binder.bind_statistics_expression(table, expression)?;
                walk::columns(&bound, &mut |position| {
                    let number = ColumnNumber::try_from(position + 1).unwrap_or(0);
                    if !found.read.contains(&number) {
                        found.read.push(number);
                    }
                });
                if given.len() > 1 {
                    check_ordered(ddl, bound.data_type(), "expression")?;
                }
                found.expressions.push(default::kept(ddl, &binder, expression)?);
                continue;
            }
        };
        let Some(own) = table.column(&column) else {
            if is_system_column(&column) {
                return Err(SqlError::unsupported("statistics creation on system columns is not supported"));
            }
            let message = format!("column \"{column}\" does not exist");
            return Err(SqlError::new(SqlState::UNDEFINED_COLUMN, message));
        };
        check_ordered(ddl, own.data_type(), &format!("column \"{column}\""))?;
        found.columns.push(own.number);
    }
    Ok(found)
}

/// The letters of the kinds that are wanted.
fn kinds(wanted: &Wanted<'_>, found: &Elements) -> Result<Vec<u8>> {
    let is_single = found.columns.is_empty() && found.expressions.len() == 1;
    if is_single && !wanted.kinds.is_empty() {
        return Err(SqlError::unsupported(
            "when building statistics on a single expression, statistics kinds may not be specified",
        ));
    }
    let mut kinds = Vec::new();
    for kind in wanted.kinds {
        kinds.push(match name::fold(kind).as_str() {
            "ndistinct" => b'd',
            "dependencies" => b'f',
            "mcv" => b'm',
            other => return Err(SqlError::syntax(format!("unrecognized statistics kind \"{other}\""))),
        });
    }
    if wanted.kinds.is_empty() && !is_single {
        kinds.extend(*b"dfm");
    }
    kinds.sort_unstable();
    kinds.dedup();
    if !found.expressions.is_empty() {
        kinds.push(b'e');
    }
    Ok(kinds)
}

async fn create(
    ddl: &mut Ddl,
    object: &ObjectName,
    if_not_exists: bool,
    entry: &TableEntry,
    wanted: &Wanted<'_>,
    text: &str,
) -> Result<()> {
    // As in PostgreSQL, expressions are looked at before the name is.
    for element in wanted.elements {
        if let StatisticsElement::Expression(expression) = element
            && !matches!(**expression, ast::Expr::Identifier(_))
        {
            ddl.binder(text).bind_statistics_expression(&entry.table, expression)?;
        }
    }
    let (schema, base) = ddl.target_schema(object, false).await?;
    if ddl.catalog.extended_statistics_named(schema, &base).is_some() {
        if if_not_exists {
            ddl.notices.push(SqlError::new(
                SqlState::DUPLICATE_OBJECT,
                format!("statistics object \"{base}\" already exists, skipping"),
            ));
            return Ok(());
        }
        return Err(duplicate(&base));
    }
    let mut found = elements(ddl, &entry.table, wanted.elements, text)?;
    let kinds = kinds(wanted, &found)?;
    if found.columns.len() + found.expressions.len() < 2 && found.expressions.is_empty() {
        return Err(SqlError::new(
            SqlState::INVALID_OBJECT_DEFINITION,
            "extended statistics require at least 2 columns",
        ));
    }
    found.columns.sort_unstable();
    let twice = |what: &str| {
        let message = format!("duplicate {what} in statistics definition");
        Err(SqlError::new(SqlState::DUPLICATE_COLUMN, message))
    };
    if found.columns.windows(2).any(|pair| pair[0] == pair[1]) {
        return twice("column name");
    }
    let texts = &found.expressions;
    if (1..texts.len()).any(|at| texts[..at].contains(&texts[at])) {
        return twice("expression");
    }
    found.read.sort_unstable();
    let made = ExtendedStatistics {
        oid: ddl.oid().await?,
        schema,
        name: base,
        owner: ddl.own_role(),
        table: entry.table.oid,
        columns: found.columns,
        expressions: found.expressions,
        read: found.read,
        kinds,
        target: -1,
    };
    ddl.put(made).await
}

/// The object of a name.
fn named(ddl: &Ddl, object: &ObjectName) -> Result<Arc<ExtendedStatistics>> {
    let (schema, base) = name::split(object)?;
    let found = match &schema {
        Some(schema) => {
            let found = ddl.catalog.schema_named(schema).ok_or_else(|| {
                SqlError::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{schema}\" does not exist"))
            })?;
            ddl.catalog.extended_statistics_named(found.oid, &base)
        }
        None => {
            let path = &ddl.binding.search_path;
            path.iter().find_map(|schema| ddl.catalog.extended_statistics_named(*schema, &base))
        }
    };
    found.cloned().ok_or_else(|| {
        let shown = name::display(schema.as_deref(), &base);
        SqlError::new(SqlState::UNDEFINED_OBJECT, format!("statistics object \"{shown}\" does not exist"))
    })
}

/// The same, or a notice where IF EXISTS is said.
fn existing(ddl: &mut Ddl, object: &ObjectName, if_exists: bool) -> Result<Option<Arc<ExtendedStatistics>>> {
    match named(ddl, object) {
        Ok(found) => Ok(Some(found)),
        Err(error) if if_exists => {
            ddl.notice(format!("{}, skipping", error.message()));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn check_owns(ddl: &Ddl, own: &ExtendedStatistics) -> Result<()> {
    if ddl.actor().has_role(own.owner) { Ok(()) } else { Err(must_own("statistics object", &own.name)) }
}

/// The object of a name, which the role owns, for a comment on it.
pub fn commented(ddl: &Ddl, object: &ObjectName) -> Result<u32> {
    let own = named(ddl, object)?;
    check_owns(ddl, &own)?;
    Ok(own.oid)
}

async fn alter(ddl: &mut Ddl, object: &ObjectName, if_exists: bool, change: &StatisticsChange) -> Result<()> {
    if let StatisticsChange::Target(target) = change
        && *target < -1
    {
        return Err(SqlError::invalid_parameter(format!("statistics target {target} is too low")));
    }
    if let StatisticsChange::Target(target) = change
        && *target > TARGET_MAX
    {
        let message = format!("lowering statistics target to {TARGET_MAX}");
        ddl.warnings.push(SqlError::invalid_parameter(message));
    }
    let Some(own) = existing(ddl, object, if_exists)? else { return Ok(()) };
    check_owns(ddl, &own)?;
    let mut changed = (*own).clone();
    match change {
        StatisticsChange::Target(target) => {
            changed.target = i32::try_from((*target).min(TARGET_MAX)).unwrap_or(-1);
        }
        StatisticsChange::Rename(new) => {
            changed.name = name::fold(new);
            refuse_taken(ddl, &changed)?;
        }
        StatisticsChange::Schema(target) => {
            let target = name::fold(target);
            let schema = ddl.catalog.schema_named(&target).map(|schema| schema.oid).ok_or_else(|| {
                SqlError::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{target}\" does not exist"))
            })?;
            ddl.check_may_create_in(schema)?;
            if schema == own.schema {
                return Ok(());
            }
            changed.schema = schema;
            refuse_taken(ddl, &changed)?;
        }
        StatisticsChange::Owner(owner) => {
            let new = role::find(ddl, owner)?;
            super::owner::check_receiver(ddl, own.owner, &new, own.schema)?;
            changed.owner = new.oid;
        }
    }
    ddl.replace((*own).clone(), changed).await
}

/// 42710 where another object has the name that one is to have.
fn refuse_taken(ddl: &Ddl, own: &ExtendedStatistics) -> Result<()> {
    if ddl.catalog.extended_statistics_named(own.schema, &own.name).is_none() {
        return Ok(());
    }
    let schema = ddl.catalog.schema(own.schema).map_or("", |schema| schema.name.as_str());
    let message = format!("statistics object \"{}\" already exists in schema \"{schema}\"", own.name);
    Err(SqlError::new(SqlState::DUPLICATE_OBJECT, message))
}

async fn drop(ddl: &mut Ddl, names: &[ObjectName], if_exists: bool) -> Result<()> {
    let mut things = Vec::new();
    for object in names {
        let Some(own) = existing(ddl, object, if_exists)? else { continue };
        let of_schema = ddl.catalog.schema(own.schema);
        if !of_schema.is_some_and(|schema| ddl.actor().has_role(schema.owner)) {
            check_owns(ddl, &own)?;
        }
        things.push(Thing::Statistics(own.oid));
    }
    drop_things(ddl, &things, false).await
}

/// What LIKE … INCLUDING STATISTICS makes of an object, for a table whose columns have other numbers.
pub async fn copy(
    ddl: &mut Ddl,
    own: &ExtendedStatistics,
    to: &Table,
    moved: impl Fn(ColumnNumber) -> ColumnNumber,
) -> Result<ExtendedStatistics> {
    let mut copied = own.clone();
    copied.oid = ddl.oid().await?;
    copied.table = to.oid;
    copied.schema = to.schema;
    copied.owner = ddl.own_role();
    copied.target = -1;
    for number in copied.columns.iter_mut().chain(&mut copied.read) {
        *number = moved(*number);
    }
    let columns = copied.columns.iter().map(|number| to.column_numbered(*number).name.clone());
    let names: Vec<String> = columns.chain(copied.expressions.iter().map(|_| "expr".to_string())).collect();
    let base = constraint::generated_name(&to.name, &names, "stat");
    let is_free = |name: &String| ddl.catalog.extended_statistics_named(to.schema, name).is_none();
    let mut numbered = (1u32..).map(|number| format!("{base}{number}"));
    copied.name = if is_free(&base) { base } else { numbered.find(is_free).unwrap_or_default() };
    if copied.name.is_empty() {
        return Err(store::duplicate_type(&to.name));
    }
    Ok(copied)
}
