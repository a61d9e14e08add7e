//! The row that a cursor is on, for WHERE CURRENT OF: cursors over one table gather the keys of its rows behind the columns
//! that are asked for.

use sqlparser::ast::{self, SetExpr, TableFactor};

use crate::binder::{ROW_KEY, name};
use crate::error::{Result, SqlError, SqlState};
use crate::execute::Environment;
use crate::parser::{self, Source, StatementKind};
use crate::value::Datum;

/// Where a cursor is.
#[derive(Clone, Debug, Default)]
pub enum CursorPlace {
    /// Before the first row, or behind the last.
    #[default]
    NoRow,
    Row(Datum),
}

/// The text of a cursor's query with its rows' keys as one more column; `None` where it is not a plain query of one table.
#[must_use]
pub fn with_key(text: &str) -> Option<String> {
    let statement = parser::parse(text).ok()?.pop()?;
    let StatementKind::Sql(statement) = statement.kind else { return None };
    let ast::Statement::Query(query) = *statement else { return None };
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let [table] = select.from.as_slice() else { return None };
    let TableFactor::Table { name: object, alias, args: None, version: None, sample: None, .. } =
        &table.relation
    else {
        return None;
    };
    let groups = match &select.group_by {
        ast::GroupByExpr::Expressions(groups, _) => groups.len(),
        ast::GroupByExpr::All(_) => 1,
    };
    if !table.joins.is_empty() || select.distinct.is_some() || groups > 0 || select.having.is_some() {
        return None;
    }
    let called = match alias {
        Some(alias) => alias.name.clone(),
        None => name::last(object)?.clone(),
    };
    let source = Source::new(text);
    let offset = source.offset(name::location(object));
    let before = text.get(..offset)?.trim_end();
    let word = before.len().checked_sub("from".len())?;
    before.get(word..).filter(|word| word.eq_ignore_ascii_case("from"))?;
    Some(format!("{}, {ROW_KEY}({called}) {}", &text[..word], &text[word..]))
}

/// The key of the row of a table that a cursor is on.
///
/// # Errors
/// 34000 for a cursor that is not there, 24000 for one that is not on a row of the table.
pub fn current_row(environment: &Environment, wanted: &str, table: u32) -> Result<Datum> {
    let cursors = environment.listing.cursors.lock();
    let Some(cursor) = cursors.iter().find(|cursor| cursor.name == wanted) else {
        let message = format!("cursor \"{wanted}\" does not exist");
        return Err(SqlError::new(SqlState::INVALID_CURSOR_NAME, message));
    };
    let wrong = |problem: String| {
        Err(SqlError::new(SqlState::INVALID_CURSOR_STATE, format!("cursor \"{wanted}\" {problem}")))
    };
    if cursor.is_held {
        return wrong("is held from a previous transaction".to_owned());
    }
    if cursor.table != Some(table) {
        let entry = environment.catalog.table(table);
        let named = entry.map_or("", |entry| &entry.table.name);
        return wrong(format!("is not a simply updatable scan of table \"{named}\""));
    }
    match &cursor.place {
        CursorPlace::Row(key) => Ok(key.clone()),
        CursorPlace::NoRow => wrong("is not positioned on a row".to_owned()),
    }
}
