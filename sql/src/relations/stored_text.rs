//! Stored expressions written out: bound as they are when they run, then printed; as they were written where that
//! cannot be done.

use sqlparser::ast;

use super::bound_text::BoundText;
use super::view_text;
use crate::binder::name::quote;
use crate::binder::{BindEnvironment, Binder};
use crate::catalog::{PG_CATALOG, Table, TableColumn};
use crate::error::Result;
use crate::execute::Environment;
use crate::expr::Expr;
use crate::types::DataType;
use crate::types::domain::underlying;

/// The condition of a CHECK or of a partial index, over a row of a table.
#[must_use]
pub fn condition(environment: &Environment, table: &Table, text: &str) -> String {
    over_row(environment, table, text, |binder, expr| binder.bind_over_row(table, expr, "CHECK"))
}

/// An index's expression, over a row of a table.
#[must_use]
pub fn index_expression(environment: &Environment, table: &Table, text: &str) -> String {
    over_row(environment, table, text, |binder, expr| binder.bind_index_expression(table, expr))
}

/// An expression that statistics are of, over a row of a table.
#[must_use]
pub fn statistics_expression(environment: &Environment, table: &Table, text: &str) -> String {
    over_row(environment, table, text, |binder, expr| binder.bind_statistics_expression(table, expr))
}

/// What generates a column, over a row of its table.
#[must_use]
pub fn generation(environment: &Environment, table: &Table, column: &TableColumn, text: &str) -> String {
    over_row(environment, table, text, |binder, expr| binder.bind_generation(table, column, expr))
}

/// A DEFAULT of a type.
#[must_use]
pub fn default(environment: &Environment, data_type: DataType, text: &str) -> String {
    bound(environment, text, &[], |binder, expr| binder.bind_default_of(data_type, expr))
        .unwrap_or_else(|| view_text::stored_text(environment, text))
}

/// The condition of a domain, in which VALUE stands for the value.
#[must_use]
pub fn domain_condition(environment: &Environment, base: DataType, text: &str) -> String {
    bound(environment, text, &[("VALUE".to_string(), None)], |binder, expr| {
        binder.bind_domain_check(base, expr)
    })
    .unwrap_or_else(|| view_text::domain_text(environment, text))
}

fn over_row(
    environment: &Environment,
    table: &Table,
    text: &str,
    bind: impl FnOnce(&mut Binder<'_>, &ast::Expr) -> Result<Expr>,
) -> String {
    let mut columns = vec![(String::new(), None); table.columns.len()];
    for column in table.live_columns() {
        if let Some(place) = columns.get_mut(Table::position(column.number)) {
            let base = underlying(column.data_type(), environment);
            *place = (quote(&column.name), Some(base).filter(|base| base.oid != column.type_oid));
        }
    }
    bound(environment, text, &columns, bind).unwrap_or_else(|| view_text::stored_text(environment, text))
}

fn bound(
    environment: &Environment,
    text: &str,
    columns: &[(String, Option<DataType>)],
    bind: impl FnOnce(&mut Binder<'_>, &ast::Expr) -> Result<Expr>,
) -> Option<String> {
    let expression = crate::parser::parse_expression(text).ok()?;
    let binding = BindEnvironment { search_path: vec![PG_CATALOG], ..BindEnvironment::default() };
    let mut binder = Binder::new(&environment.catalog, &binding, text, Vec::new());
    BoundText::new(environment, columns).write(&bind(&mut binder, &expression).ok()?)
}
