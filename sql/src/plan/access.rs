//! How a table's rows are best found: which key or index its filters and the wanted order can use.
//!
//! 1. Each filter that compares a column with something that reads no row is a candidate bound.
//! 2. For the clustering key and each index: equal bounds on the first columns, then a range on the next.
//! 3. A unique key given whole wins; then the longest prefix of equal columns, then a range.
//! 4. All filters stay: they are tested on the rows found, which costs little and keeps bounds simple.

use std::sync::Arc;

use super::logical::{ColumnId, SortKey};
use super::operators::{Comparison, as_comparison};
use super::physical::{Access, KeyAccess};
use super::walk;
use crate::catalog::{ColumnNumber, Index, Table, TableEntry};
use crate::expr::Expr;
use crate::types::{DataType, Representation, oids};
use crate::value::key::KeyColumn;

/// A filter that bounds a column.
struct Bound {
    column: ColumnNumber,
    comparison: Comparison,
    value: Expr,
}

/// A key column of a table.
#[must_use]
pub fn key_column(table: &Table, number: ColumnNumber, descending: bool, nulls_first: bool) -> KeyColumn {
    let column = table.column_numbered(number);
    key_column_of(column.representation, column.type_modifier, descending, nulls_first)
}

fn key_column_of(
    representation: Representation,
    typmod: i32,
    descending: bool,
    nulls_first: bool,
) -> KeyColumn {
    let Representation { kind, base } = representation;
    let data_type = DataType { oid: base, typmod };
    KeyColumn { data_type, kind, descending, nulls_first }
}

/// The columns of a table's clustering key.
#[must_use]
pub fn primary_key_columns(table: &Table) -> Vec<KeyColumn> {
    table.primary_key.iter().map(|number| key_column(table, *number, false, false)).collect()
}

/// The columns of an index's key.
#[must_use]
pub fn index_key_columns(table: &Table, index: &Index) -> Vec<KeyColumn> {
    let columns = index.columns.iter();
    columns
        .map(|column| match &column.expression {
            None => key_column(table, column.number, column.descending, column.nulls_first),
            Some(expression) => {
                key_column_of(expression.representation, -1, column.descending, column.nulls_first)
            }
        })
        .collect()
}

fn bounds(columns: &[(ColumnId, ColumnNumber)], table: &Table, filters: &[Expr]) -> Vec<Bound> {
    let mut found = Vec::new();
    for filter in filters {
        let Some((comparison, left, right)) = as_comparison(filter) else { continue };
        for (column, value, comparison) in [(left, right, comparison), (right, left, comparison.flipped())] {
            let Expr::Column { index, .. } = column else { continue };
            let Some((_, number)) = columns.iter().find(|(id, _)| id == index) else { continue };
            if !walk::is_constant(value) {
                continue;
            }
            let column_type = table.column_numbered(*number).representation.base;
            if let Some(value) = key_value(value, column_type) {
                found.push(Bound { column: *number, comparison, value });
            }
        }
    }
    found
}

/// The value as the column's key holds it, where the comparison's types allow that.
fn key_value(value: &Expr, column_type: u32) -> Option<Expr> {
    use crate::functions::{CastContext, EvalContext, Settings};
    let oid = value.data_type().oid;
    let same = oid == column_type || (is_text(oid) && is_text(column_type));
    if same {
        return Some(value.clone());
    }
    // A narrower integer widens without loss; a wider one may not fit.
    let widens =
        matches!((oid, column_type), (oids::INT2, oids::INT4 | oids::INT8) | (oids::INT4, oids::INT8));
    let constant_fits = match (value, column_type) {
        (Expr::Const { value, .. }, oids::INT4) => value.as_i64().is_some_and(|v| i32::try_from(v).is_ok()),
        (Expr::Const { value, .. }, oids::INT2) => value.as_i64().is_some_and(|v| i16::try_from(v).is_ok()),
        _ => false,
    };
    if !widens && !constant_fits {
        return None;
    }
    let settings = Settings::default();
    let context = EvalContext::detached(&settings);
    let cast = crate::expr::build::coerce(
        value.clone(),
        DataType::of(column_type),
        CastContext::Assignment,
        &context,
    );
    cast.ok().map(|expr| expr.fold(&context))
}

fn is_text(oid: u32) -> bool {
    matches!(oid, oids::TEXT | oids::VARCHAR)
}

struct Candidate {
    access: KeyAccess,
    score: u32,
}

fn candidate(
    name: &str,
    tree: Option<helios_mvcc::TreeId>,
    key: Vec<KeyColumn>,
    numbers: &[ColumnNumber],
    unique: bool,
    table: &Table,
    bounds: &[Bound],
) -> Option<Candidate> {
    let find = |number: ColumnNumber, wanted: &[Comparison]| {
        bounds.iter().find(|bound| bound.column == number && wanted.contains(&bound.comparison))
    };
    let mut equal = Vec::new();
    for number in numbers {
        match find(*number, &[Comparison::Equal]) {
            Some(bound) => equal.push(bound.value.clone()),
            None => break,
        }
    }
    let single = unique && equal.len() == numbers.len();
    let (mut lower, mut upper) = (None, None);
    if let Some(number) = numbers.get(equal.len()) {
        lower = find(*number, &[Comparison::Greater, Comparison::GreaterOrEqual])
            .map(|bound| (bound.value.clone(), bound.comparison == Comparison::GreaterOrEqual));
        upper = find(*number, &[Comparison::Less, Comparison::LessOrEqual])
            .map(|bound| (bound.value.clone(), bound.comparison == Comparison::LessOrEqual));
        // In a descending column the greater values come first.
        if key[equal.len()].descending {
            std::mem::swap(&mut lower, &mut upper);
        }
    }
    if equal.is_empty() && lower.is_none() && upper.is_none() {
        return None;
    }
    let ranged = u32::from(lower.is_some()) + u32::from(upper.is_some());
    let own = u32::from(tree.is_none());
    let length = u32::try_from(equal.len()).unwrap_or(0);
    let score = if single { 1_000 + own } else { length * 20 + ranged * 5 + own };
    let key_names = numbers.iter().map(|number| table.column_numbered(*number).name.clone()).collect();
    let access = KeyAccess {
        index_name: name.to_string(),
        index_tree: tree,
        key,
        key_names,
        equal,
        lower,
        upper,
        single,
        reverse: false,
    };
    Some(Candidate { access, score })
}

/// The name of the primary key's index.
fn primary_key_name(entry: &TableEntry) -> String {
    entry.indexes.iter().find(|index| index.primary).map_or_else(String::new, |index| index.name.clone())
}

/// Chooses how to find the rows that satisfy `filters`, best in the order of `wanted`; tells whether the rows
/// come in that order.
#[must_use]
pub fn choose(
    entry: &Arc<TableEntry>,
    columns: &[(ColumnId, ColumnNumber)],
    filters: &[Expr],
    wanted: &[SortKey],
    limited: bool,
) -> (Access, bool) {
    let table = &entry.table;
    let bounds = bounds(columns, table, filters);
    let mut candidates = Vec::new();
    if !table.primary_key.is_empty() {
        let key = primary_key_columns(table);
        let name = primary_key_name(entry);
        candidates.extend(candidate(&name, None, key, &table.primary_key, true, table, &bounds));
    }
    for index in entry.indexes.iter().filter(|index| !index.primary && index.is_plain()) {
        let key = index_key_columns(table, index);
        let numbers: Vec<ColumnNumber> = index.columns.iter().map(|column| column.number).collect();
        candidates.extend(candidate(
            &index.name,
            Some(index.tree),
            key,
            &numbers,
            index.unique,
            table,
            &bounds,
        ));
    }
    let best = candidates.into_iter().max_by_key(|candidate| candidate.score);
    if let Some(best) = best {
        let mut access = best.access;
        let ordered = if access.single {
            true
        } else {
            match gives_order(&access.key, &numbers_of(table, &access), access.equal.len(), columns, wanted) {
                Some(reverse) => {
                    access.reverse = reverse;
                    true
                }
                None => false,
            }
        };
        return (Access::Keys(Box::new(access)), ordered || wanted.is_empty());
    }
    if wanted.is_empty() {
        return (Access::Full { reverse: false }, true);
    }
    let key = primary_key_columns(table);
    if let Some(reverse) = gives_order(&key, &table.primary_key, 0, columns, wanted) {
        return (Access::Full { reverse }, true);
    }
    // An index read in order costs a lookup for each row: worth it when only the first rows are wanted.
    if limited {
        for index in entry.indexes.iter().filter(|index| !index.primary && index.is_plain()) {
            let key = index_key_columns(table, index);
            let numbers: Vec<ColumnNumber> = index.columns.iter().map(|column| column.number).collect();
            if let Some(reverse) = gives_order(&key, &numbers, 0, columns, wanted) {
                let key_names =
                    numbers.iter().map(|number| table.column_numbered(*number).name.clone()).collect();
                let access = KeyAccess {
                    index_name: index.name.clone(),
                    index_tree: Some(index.tree),
                    key,
                    key_names,
                    equal: Vec::new(),
                    lower: None,
                    upper: None,
                    single: false,
                    reverse,
                };
                return (Access::Keys(Box::new(access)), true);
            }
        }
    }
    (Access::Full { reverse: false }, false)
}

fn numbers_of(table: &Table, access: &KeyAccess) -> Vec<ColumnNumber> {
    access.key_names.iter().filter_map(|name| table.column(name)).map(|column| column.number).collect()
}

/// Whether rows in a key's order, of which the first `fixed` columns are constant, are in the wanted order:
/// forwards (`false`), backwards (`true`), or not.
fn gives_order(
    key: &[KeyColumn],
    numbers: &[ColumnNumber],
    fixed: usize,
    columns: &[(ColumnId, ColumnNumber)],
    wanted: &[SortKey],
) -> Option<bool> {
    let mut direction = None;
    let mut at = fixed;
    for sort in wanted {
        let Expr::Column { index, .. } = &sort.expr else { return None };
        let (_, number) = columns.iter().find(|(id, _)| id == index)?;
        if numbers[..fixed].contains(number) {
            continue;
        }
        if numbers.get(at) != Some(number) {
            return None;
        }
        let forwards = sort.descending == key[at].descending && sort.nulls_first == key[at].nulls_first;
        let backwards = sort.descending != key[at].descending && sort.nulls_first != key[at].nulls_first;
        let reverse = match (forwards, backwards) {
            (true, _) => false,
            (_, true) => true,
            _ => return None,
        };
        if *direction.get_or_insert(reverse) != reverse {
            return None;
        }
        at += 1;
    }
    Some(direction.unwrap_or(false))
}
