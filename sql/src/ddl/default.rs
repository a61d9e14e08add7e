//! Defaults as they are stored.

use sqlparser::ast::{self, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Value};

use super::{Ddl, pin};
use crate::binder::{Binder, name, stable_name};
use crate::catalog::{ColumnNumber, Table, TableColumn};
use crate::error::Result;
use crate::expr::Expr as Bound;
use crate::parser::visit::walk_expressions;
use crate::relations;

/// The text of a column's default, after it was bound once to see that it is good. A plain NULL is none, as it is without.
pub fn stored(ddl: &Ddl, column: &TableColumn, expr: &Expr, text: &str) -> Result<Option<String>> {
    let mut binder = ddl.binder(text).noting_literals();
    let bound = binder.bind_default(column, expr)?;
    if let Bound::Const { value, data_type } = &bound
        && value.is_null()
        && data_type.typmod < 0
    {
        return Ok(None);
    }
    kept(ddl, &binder, expr).map(Some)
}

/// The text of the expression that generates a column, after it was bound once to see that it is good.
pub fn stored_generation(
    ddl: &Ddl,
    table: &Table,
    column: &TableColumn,
    expr: &Expr,
    text: &str,
) -> Result<String> {
    let mut binder = ddl.binder(text).noting_literals();
    binder.bind_generation(table, column, expr)?;
    kept(ddl, &binder, expr)
}

/// The columns of a table that a stored expression names.
pub fn named_columns(table: &Table, text: &str) -> Vec<ColumnNumber> {
    let mut found = Vec::new();
    let Ok(mut expr) = crate::parser::parse_expression(text) else { return found };
    // Looking does not fail.
    let _ = walk_expressions(&mut expr, &mut |node| {
        let identifier = match node {
            Expr::Identifier(identifier) => Some(identifier),
            Expr::CompoundIdentifier(parts) => parts.last_mut(),
            _ => None,
        };
        found.extend(identifier.and_then(|it| table.column(&name::fold(it))).map(|column| column.number));
        Ok(())
    });
    found
}

/// The text of an expression that was bound, as it is stored: relations and types are named by OID, literals have types.
pub fn kept(ddl: &Ddl, binder: &Binder<'_>, expr: &Expr) -> Result<String> {
    let mut expr = with_oids(ddl, expr)?;
    pin::pin(ddl, binder.literal_uses(), &mut expr)?;
    Ok(expr.to_string())
}

/// An expression in which relations are named by OID: it goes on to mean them when they are renamed, and what it
/// depends on can be read off it.
fn with_oids(ddl: &Ddl, expr: &Expr) -> Result<Expr> {
    let mut expr = expr.clone();
    walk_expressions(&mut expr, &mut |node| name_relations(ddl, node))?;
    Ok(expr)
}

pub fn name_relations(ddl: &Ddl, node: &mut Expr) -> Result<()> {
    if let Expr::Cast { data_type, .. } = node {
        name_type(ddl, data_type)?;
    }
    match node {
        Expr::Cast { expr, data_type: ast::DataType::Regclass, .. } => {
            if let Some(oid) = relation_of(ddl, expr)? {
                **expr = Expr::value(Value::SingleQuotedString(oid.to_string()));
            }
        }
        Expr::Function(function) => {
            if let Some(stable) = constructor(ddl, &function.name) {
                function.name = stable;
                return Ok(());
            }
            let takes_relation = name::split(&function.name)
                .is_ok_and(|(_, base)| matches!(base.as_str(), "nextval" | "currval" | "setval"));
            if takes_relation
                && let FunctionArguments::List(list) = &mut function.args
                && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(first))) = list.args.first_mut()
                && let Some(oid) = relation_of(ddl, first)?
            {
                *first = crate::parser::parse_expression(&format!("'{oid}'::regclass"))?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// A function that makes values of a user's type of ranges, under that type's OID.
fn constructor(ddl: &Ddl, function: &ast::ObjectName) -> Option<ast::ObjectName> {
    let (schema, base) = name::split(function).ok()?;
    let types = ddl.types();
    let found = match &schema {
        Some(schema) => vec![ddl.catalog.schema_named(schema)?.oid],
        None => types.search_path.to_vec(),
    };
    let oid = ddl.catalog.constructed(&base, &found).next()?;
    let place = ddl.catalog.user_type(oid)?.definition.constructors()?.clone();
    let schema = ddl.catalog.schema(place.schema).map_or("", |schema| schema.name.as_str());
    Some(stable_name(oid, schema, &place.name))
}

/// A user's type under its OID, so that it is found when it is renamed.
fn name_type(ddl: &Ddl, data_type: &mut ast::DataType) -> Result<()> {
    match data_type {
        ast::DataType::Custom(object, _) => {
            let oid = crate::binder::data_type::resolve(
                &ast::DataType::Custom(object.clone(), Vec::new()),
                &ddl.types(),
            )?
            .oid;
            let types = ddl.types();
            let Some((schema, base)) = types.place(oid) else { return Ok(()) };
            let schema = ddl.catalog.schema(schema);
            *object = stable_name(oid, schema.map_or("", |schema| schema.name.as_str()), base);
            Ok(())
        }
        ast::DataType::Array(
            ast::ArrayElemTypeDef::SquareBracket(element, _) | ast::ArrayElemTypeDef::Qualified(element, _),
        ) => name_type(ddl, element),
        _ => Ok(()),
    }
}

fn relation_of(ddl: &Ddl, expr: &Expr) -> Result<Option<u32>> {
    let Expr::Value(value) = expr else { return Ok(None) };
    let Value::SingleQuotedString(text) = &value.value else { return Ok(None) };
    relations::relation_oid(&ddl.actor(), &ddl.binding.search_path, text).map(Some)
}
