//! How a table's rows are best found: which key or index its filters and the wanted order can use.
//!
//! 1. Each filter that compares a column with something that reads no row is a candidate bound.
//! 2. For the clustering key and each index: equal bounds on the first columns, then a range on the next.
//! 3. A unique key given whole wins; then the longest prefix of equal columns, then a range.
//! 4. All filters stay: they are tested on the rows found, which costs little and keeps bounds simple.

use super::combination::{self, Combined};
use super::cost::{self, Costs};
use super::estimate;
use super::logical::{ColumnId, Logical, SortKey};
use super::operators::{Comparison, as_comparison, operator_name};
use super::physical::{Access, Choices, KeyAccess};
use super::prefix;
use super::selectivity::Scope;
use super::special_index::{self, SpecialIndex};
use super::walk;
use crate::catalog::{ColumnNumber, Index, Table, TableEntry};
use crate::expr::Expr;
use crate::functions::is_row_place;
use crate::types::{DataType, Representation, builtin_type, oids};
use crate::value::key::KeyColumn;
use crate::value::{Datum, PhysicalKind};

/// A filter that bounds a column.
#[derive(Clone)]
pub(super) struct Bound {
    /// The filter's position.
    filter: usize,
    column: ColumnNumber,
    comparison: Comparison,
    value: Expr,
    /// It says all that the filter does.
    is_all: bool,
    /// The column is to be NULL, whatever it is compared with.
    is_null: bool,
}

impl Bound {
    /// Whether it tells apart rows of two kinds alone, of which one may have nearly all rows.
    fn is_truth(&self) -> bool {
        self.is_null || (!self.is_all && matches!(self.value, Expr::Const { value: Datum::Bool(_), .. }))
    }
}

/// A filter that lists the values of a column.
pub(super) struct Listed {
    /// The filter's position.
    filter: usize,
    column: ColumnNumber,
    choices: Choices,
    /// How many there are, about.
    count: f64,
}

/// Stands for the place of a row among the numbers of columns: `ctid`, by which the table's own tree can be searched.
pub const PLACE: ColumnNumber = ColumnNumber::MIN;

const PLACE_REPRESENTATION: Representation = Representation { kind: PhysicalKind::Bytes, base: oids::TID };

/// The columns of a table in a plan.
#[derive(Clone, Copy)]
pub struct Sides<'p> {
    columns: &'p [(ColumnId, ColumnNumber)],
    key: Option<ColumnId>,
}

impl<'p> Sides<'p> {
    /// Those that it is read with; `key` is its rows' key.
    #[must_use]
    pub fn new(columns: &'p [(ColumnId, ColumnNumber)], key: Option<ColumnId>) -> Sides<'p> {
        Sides { columns, key }
    }

    /// The column that a side of a comparison is.
    #[must_use]
    pub fn number(self, side: &Expr) -> Option<ColumnNumber> {
        match side {
            Expr::Column { index, .. } => {
                self.columns.iter().find(|(id, _)| id == index).map(|(_, number)| *number)
            }
            Expr::Call(call) if is_row_place(&call.function) => match call.arguments.as_slice() {
                [Expr::Column { index, .. }] => (self.key == Some(*index)).then_some(PLACE),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Whether a condition says which place a row has, or which several.
#[must_use]
pub fn names_place(condition: &Expr, columns: &[(ColumnId, ColumnNumber)], key: Option<ColumnId>) -> bool {
    let sides = Sides::new(columns, key);
    let is_named = |place: &Expr, value: &Expr| {
        sides.number(place) == Some(PLACE) && walk::is_constant(value) && fits(value, oids::TID)
    };
    match as_comparison(condition) {
        Some((Comparison::Equal, left, right)) => is_named(left, right) || is_named(right, left),
        Some(_) => false,
        None => match condition {
            Expr::InList { argument, list, negated: false, .. } => {
                list.iter().all(|value| is_named(argument, value))
            }
            Expr::Quantified { left, array, function, all: false } => {
                operator_name(function) == Some("=")
                    && sides.number(left) == Some(PLACE)
                    && walk::is_constant(array)
            }
            _ => false,
        },
    }
}

/// The type whose values a column's key holds.
#[must_use]
pub fn searched_type(table: &Table, number: ColumnNumber) -> u32 {
    if number == PLACE { oids::TID } else { table.column_numbered(number).representation.base }
}

/// How many elements an array is taken to have that is not known yet (PostgreSQL's guess).
const UNKNOWN_ELEMENTS: f64 = 10.0;

/// The filters that list values of columns.
pub(super) fn lists(sides: Sides<'_>, table: &Table, filters: &[Expr]) -> Vec<Listed> {
    let listed = |(filter, expr): (usize, &Expr)| {
        if reads_slot(expr) {
            return None;
        }
        let base_of = |number: ColumnNumber| searched_type(table, number);
        let (column, choices, count) = match expr {
            Expr::InList { argument, list, negated: false, .. } => {
                let column = sides.number(argument)?;
                let value =
                    |value: &Expr| walk::is_constant(value).then(|| key_value(value, base_of(column)))?;
                let values: Vec<Expr> = list.iter().map(value).collect::<Option<_>>()?;
                let count = values.len() as f64;
                (column, Choices::Values(values), count)
            }
            Expr::Quantified { left, array, function, all: false }
                if operator_name(function) == Some("=") =>
            {
                let column = sides.number(left)?;
                let element = builtin_type(array.data_type().oid)?.element()?;
                if element != base_of(column) || !walk::is_constant(array) {
                    return None;
                }
                let count = match array.as_ref() {
                    Expr::Const { value: Datum::Array(array), .. } => array.elements.len() as f64,
                    Expr::Array { elements, .. } => elements.len() as f64,
                    _ => UNKNOWN_ELEMENTS,
                };
                (column, Choices::Elements((**array).clone()), count)
            }
            _ => return None,
        };
        Some(Listed { filter, column, choices, count: count.max(1.0) })
    };
    filters.iter().enumerate().filter_map(listed).collect()
}

/// Whether all columns that are read of a table are in a key of an index, or in the clustering key that the index names;
/// exactly as they are in the row.
#[must_use]
pub fn is_key_only(entry: &TableEntry, read: &[(ColumnId, ColumnNumber)], access: &Access) -> bool {
    let Access::Keys(access) = access else { return false };
    let table = &entry.table;
    let own = primary_key_columns(table);
    let own = table.primary_key.iter().copied().zip(&own);
    let of_index = match access.index_tree {
        None => Vec::new(),
        Some(tree) => match entry.indexes.iter().find(|index| index.tree == tree) {
            Some(index) if index.is_plain() => index.columns.iter().map(|column| column.number).collect(),
            _ => return false,
        },
    };
    let known: Vec<(ColumnNumber, &KeyColumn)> = own.chain(of_index.into_iter().zip(&access.key)).collect();
    let is_known =
        |number: ColumnNumber| known.iter().any(|(own, column)| *own == number && column.is_lossless());
    !read.is_empty() && read.iter().all(|(_, number)| is_known(*number))
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

/// The filters that bound a column.
pub(super) fn bounds(sides: Sides<'_>, table: &Table, filters: &[Expr]) -> Vec<Bound> {
    let (mut found, mut of_prefixes) = (Vec::new(), Vec::new());
    for (at, filter) in filters.iter().enumerate() {
        let Some((comparison, left, right)) = as_comparison(filter) else {
            of_prefixes.extend(prefix_bounds(sides, table, at, filter).into_iter().flatten());
            found.extend(truth_bound(sides, table, at, filter));
            continue;
        };
        for (column, value, comparison) in [(left, right, comparison), (right, left, comparison.flipped())] {
            let Some(number) = sides.number(column).filter(|_| walk::is_constant(value)) else { continue };
            // Places are searched for, not ranges of them.
            if number == PLACE && comparison != Comparison::Equal {
                continue;
            }
            if let Some(value) = key_value(value, searched_type(table, number)) {
                found.push(Bound {
                    filter: at,
                    column: number,
                    comparison,
                    value,
                    is_all: true,
                    is_null: false,
                });
            }
        }
    }
    // What is asked for itself comes first.
    found.extend(of_prefixes);
    found
}

/// The bounds of a column of which a filter says how its texts begin.
fn prefix_bounds(
    sides: Sides<'_>,
    table: &Table,
    filter: usize,
    condition: &Expr,
) -> Option<impl Iterator<Item = Bound>> {
    let (text, bounds) = prefix::bounds(condition)?;
    let column = sides.number(text).filter(|number| is_text(searched_type(table, *number)))?;
    let bound =
        move |(comparison, value)| Bound { filter, column, comparison, value, is_all: false, is_null: false };
    Some(bounds.into_iter().map(bound))
}

/// What `column IS NULL` says of a column, and what a truth value says of itself.
fn truth_bound(sides: Sides<'_>, table: &Table, filter: usize, condition: &Expr) -> Option<Bound> {
    let (column, value) = match condition {
        Expr::IsNull { argument, negated: false } => (argument.as_ref(), Datum::Null),
        Expr::Column { .. } => (condition, Datum::Bool(true)),
        Expr::Not(column) => (column.as_ref(), Datum::Bool(false)),
        _ => return None,
    };
    let number = sides.number(column).filter(|number| *number != PLACE)?;
    let is_null = value.is_null();
    // A row of NULLs is one too, and is kept as what it is.
    if is_null && table.column_numbered(number).representation.kind == PhysicalKind::Record {
        return None;
    }
    let value = Expr::Const { value, data_type: column.data_type() };
    // PostgreSQL tests what is no comparison again, and shows that.
    Some(Bound { filter, column: number, comparison: Comparison::Equal, value, is_all: is_null, is_null })
}

/// Whether a condition compares a column by which a table can be searched with a value that passes a test, where other
/// conditions are known to hold.
#[must_use]
pub fn searches(
    sides: Sides<'_>,
    entry: &TableEntry,
    condition: &Expr,
    is_value: &dyn Fn(&Expr) -> bool,
    known: &[&Expr],
) -> bool {
    let Some((comparison, left, right)) = as_comparison(condition) else { return false };
    let is_equal = comparison == Comparison::Equal;
    let is_known = |number: &ColumnNumber| {
        known.iter().any(|condition| match as_comparison(condition) {
            Some((Comparison::Equal, left, right)) => {
                sides.number(left) == Some(*number) || sides.number(right) == Some(*number)
            }
            _ => false,
        })
    };
    let leads = |number: ColumnNumber| {
        plain_keys(entry).iter().any(|key| {
            let before = key.numbers.iter().position(|each| *each == number);
            before.is_some_and(|before| key.numbers[..before].iter().all(is_known))
        })
    };
    [(left, right), (right, left)].into_iter().any(|(column, value)| {
        sides.number(column).is_some_and(|number| {
            is_value(value)
                && fits(value, searched_type(&entry.table, number))
                && (number != PLACE || is_equal)
                && leads(number)
        })
    })
}

/// A key that a table can be searched by: its own, or that of an index on columns alone.
pub struct PlainKey {
    pub by_index: bool,
    pub unique: bool,
    pub numbers: Vec<ColumnNumber>,
}

/// The keys that a table can be searched by.
#[must_use]
pub fn plain_keys(entry: &TableEntry) -> Vec<PlainKey> {
    let own = (!entry.table.primary_key.is_empty()).then(|| PlainKey {
        by_index: false,
        unique: true,
        numbers: entry.table.primary_key.clone(),
    });
    let indexes = entry.indexes.iter().filter(|index| !index.primary && index.is_plain());
    let indexes = indexes.map(|index| PlainKey {
        by_index: true,
        unique: index.unique && entry.deferrable_unique(index.oid).is_none(),
        numbers: index.columns.iter().map(|column| column.number).collect(),
    });
    let place = PlainKey { by_index: false, unique: true, numbers: vec![PLACE] };
    own.into_iter().chain([place]).chain(indexes).collect()
}

/// Whether a column of a type can be searched for a value.
#[must_use]
pub fn fits(value: &Expr, column_type: u32) -> bool {
    key_value(value, column_type).is_some()
}

/// What the cheapest way to find a table's rows costs.
#[must_use]
pub fn cost(plan: &Logical, costs: &Costs) -> f64 {
    let Logical::Table { table: entry, columns, filters, key, .. } = plan else { return 0.0 };
    let full = costs.full_scan(entry, cost::tests(filters));
    let sides = Sides::new(columns, *key);
    let bounds = bounds(sides, &entry.table, filters);
    let lists = lists(sides, &entry.table, filters);
    let searches = plain_keys(entry).into_iter().filter_map(|key| {
        let first = *key.numbers.first()?;
        let mut used: Vec<&Expr> =
            bounds.iter().filter(|bound| bound.column == first).map(|bound| &filters[bound.filter]).collect();
        let mut loops = 1.0;
        if used.is_empty() {
            let list = lists.iter().find(|list| list.column == first)?;
            used.push(&filters[list.filter]);
            loops = list.count;
        }
        let part = Scope(&[plan]).conjunction(used.iter().copied());
        let rows = (estimate::table_rows(entry) * part).max(1.0);
        Some(costs.searches(entry, key.by_index, false, rows, loops, cost::tests(filters)))
    });
    let single = searches.fold(full, f64::min);
    let has_arms = filters.iter().any(|filter| matches!(filter, Expr::Or(_)));
    let combined = if has_arms { combination::cheapest(plan, &[], costs) } else { None };
    combined.map_or(single, |combined| single.min(combined.gathering + combined.reading))
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

/// A search that filters bound.
pub(super) struct Candidate {
    pub access: KeyAccess,
    /// How many ranges it reads.
    pub ranges: f64,
    /// The filters that bound it, by position.
    pub filters: Vec<usize>,
    /// Those of them that the range of keys goes by, in the order of the key.
    pub bounding: Vec<usize>,
    /// Those of which the search says all.
    pub said: Vec<usize>,
    /// What all rows of a partial index satisfy, over positions of the row.
    pub predicate: Vec<Expr>,
    /// All that it goes by is whether columns are NULL or true: of an unknown table that may be nearly all rows.
    is_weak: bool,
    score: u32,
}

impl Candidate {
    /// Whether it is worth a thought: of an unknown table, one that may have nearly all rows is not.
    pub(super) fn is_promising(&self, entry: &TableEntry) -> bool {
        !self.is_weak || entry.rows_analyzed().is_some()
    }
}

/// A key that may be searched.
struct SearchKey<'k> {
    name: &'k str,
    /// `None`: the table's own.
    tree: Option<helios_mvcc::TreeId>,
    columns: Vec<KeyColumn>,
    /// The columns' numbers; those of expressions are negative.
    numbers: &'k [ColumnNumber],
    names: Vec<String>,
    unique: bool,
    /// The filters that say that a row is in the index, which has not all.
    implied_by: Vec<usize>,
}

fn candidate(search: SearchKey<'_>, bounds: &[Bound], lists: &[Listed]) -> Option<Candidate> {
    let SearchKey { name, tree, columns: key, numbers, names: key_names, unique, implied_by } = search;
    let find = |number: ColumnNumber, wanted: &[Comparison]| {
        bounds.iter().find(|bound| bound.column == number && wanted.contains(&bound.comparison))
    };
    let is_partial = !implied_by.is_empty();
    let (mut equal, mut nulls, mut filters) = (Vec::new(), Vec::new(), implied_by);
    let mut used: Vec<&Bound> = Vec::new();
    for number in numbers {
        match find(*number, &[Comparison::Equal]) {
            Some(bound) => {
                nulls.extend(bound.is_null.then_some(equal.len()));
                equal.push(bound.value.clone());
                used.push(bound);
            }
            None => break,
        }
    }
    let single = unique && equal.len() == numbers.len() && nulls.is_empty();
    let (mut lower, mut upper) = (None, None);
    let next = numbers.get(equal.len());
    let list = next.and_then(|number| lists.iter().find(|list| list.column == *number));
    if let Some(number) = next.filter(|_| list.is_none()) {
        let first = find(*number, &[Comparison::Greater, Comparison::GreaterOrEqual]);
        let last = find(*number, &[Comparison::Less, Comparison::LessOrEqual]);
        used.extend(first.iter().chain(&last));
        lower = first.map(|bound| (bound.value.clone(), bound.comparison == Comparison::GreaterOrEqual));
        upper = last.map(|bound| (bound.value.clone(), bound.comparison == Comparison::LessOrEqual));
        // In a descending column the greater values come first.
        if key[equal.len()].descending {
            std::mem::swap(&mut lower, &mut upper);
        }
    }
    if equal.is_empty() && list.is_none() && lower.is_none() && upper.is_none() && !is_partial {
        return None;
    }
    let listing = list.map(|list| list.filter);
    let mut bounding: Vec<usize> = used.iter().map(|bound| bound.filter).chain(listing).collect();
    bounding.dedup();
    let said = used.iter().filter(|bound| bound.is_all).map(|bound| bound.filter).chain(listing).collect();
    filters.extend(&bounding);
    filters.sort_unstable();
    filters.dedup();
    let ranged = u32::from(lower.is_some()) + u32::from(upper.is_some()) + 3 * u32::from(list.is_some());
    let own = u32::from(tree.is_none()) + 3 * u32::from(is_partial);
    let is_weak =
        list.is_none() && !is_partial && !used.is_empty() && used.iter().all(|bound| bound.is_truth());
    let length = u32::try_from(equal.len()).unwrap_or(0);
    let score = if single { 1_000 + own } else { length * 20 + ranged * 5 + own };
    let access = KeyAccess {
        index_name: name.to_string(),
        index_tree: tree,
        by_place: numbers == [PLACE],
        key,
        key_names,
        equal,
        nulls,
        choices: list.map(|list| list.choices.clone()),
        lower,
        upper,
        single,
        reverse: false,
    };
    let ranges = list.map_or(1.0, |list| list.count);
    Some(Candidate { access, ranges, filters, bounding, said, predicate: Vec::new(), is_weak, score })
}

/// The part of the rows that are read when only the first are wanted, about.
const LIMITED_PART: f64 = 0.1;

/// Chooses how to find the rows of a table that satisfy its filters, best in the order of `wanted`, of which perhaps
/// only the first are read; tells whether the rows come in that order.
#[must_use]
pub fn choose(plan: &Logical, wanted: &[SortKey], limited: bool, costs: &Costs) -> (Access, bool) {
    let Logical::Table { table: entry, columns, filters, key, .. } = plan else {
        return (Access::Full { reverse: false }, wanted.is_empty());
    };
    let table = &entry.table;
    let sides = Sides::new(columns, *key);
    let bounds = bounds(sides, table, filters);
    let lists = lists(sides, table, filters);
    let mut candidates = candidates(entry, columns, filters, &bounds, &lists);
    candidates.retain(|candidate| candidate.is_promising(entry));
    if let Some(at) = candidates.iter().position(|candidate| candidate.access.single) {
        return (Access::Keys(Box::new(candidates.swap_remove(at).access)), true);
    }
    // What the row of another table is searched by is searched for again and again.
    let is_repeated = |candidate: &Candidate| candidate.access.equal.iter().any(reads_slot);
    let repeated = candidates.iter().any(is_repeated);
    candidates.retain(|candidate| !repeated || is_repeated(candidate));
    let order = Wanted { keys: wanted, columns, limited, given: estimate::rows(plan) };
    let is_unknown = entry.rows_analyzed().is_none();
    let is_settled = repeated || (is_unknown && !candidates.is_empty());
    let combined = if is_settled { None } else { combination::cheapest(plan, &candidates, costs) };
    if is_unknown {
        // Of an unknown table it is safer not to read all.
        candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.score));
        candidates.truncate(1);
    }
    let mut best: Option<(f64, Access, bool)> = None;
    let mut offer = |cost: f64, access: Access, ordered: bool| {
        let cost = order.cost(cost, ordered, costs);
        if best.as_ref().is_none_or(|(least, ..)| cost < *least) {
            best = Some((cost, access, ordered));
        }
    };
    for Candidate { mut access, ranges, filters: used, .. } in candidates {
        let part = Scope(&[plan]).conjunction(used.iter().map(|at| &filters[*at]));
        let rows = (estimate::table_rows(entry) * part).max(1.0);
        let (by_index, ordered) = (access.index_tree.is_some(), order.given_by(&mut access, table));
        let access = Access::Keys(Box::new(access));
        let key_only = key.is_none() && is_key_only(entry, columns, &access);
        offer(costs.searches(entry, by_index, key_only, rows, ranges, cost::tests(filters)), access, ordered);
    }
    if let Some(Combined { combination, gathering, reading }) = combined {
        let by_key = gives_order(&primary_key_columns(table), &table.primary_key, 0, columns, wanted);
        let ordered = wanted.is_empty() || (by_key == Some(false) && !table.primary_key.is_empty());
        // All keys are gathered before the first row.
        let gathering = if limited && ordered { gathering / LIMITED_PART } else { gathering };
        offer(gathering + reading, Access::Combined(Box::new(combination)), ordered);
    }
    if !is_settled {
        let reverse = gives_order(&primary_key_columns(table), &table.primary_key, 0, columns, wanted);
        let ordered = wanted.is_empty() || (reverse.is_some() && !table.primary_key.is_empty());
        let access = Access::Full { reverse: ordered && reverse == Some(true) };
        offer(costs.full_scan(entry, cost::tests(filters)), access, ordered);
        if !ordered && costs.enable_indexscan {
            for mut access in whole_indexes(entry) {
                if order.given_by(&mut access, table) {
                    let rows = estimate::table_rows(entry);
                    let access = Access::Keys(Box::new(access));
                    let key_only = key.is_none() && is_key_only(entry, columns, &access);
                    offer(
                        costs.searches(entry, true, key_only, rows, 1.0, cost::tests(filters)),
                        access,
                        true,
                    );
                }
            }
        }
    }
    best.map_or((Access::Full { reverse: false }, wanted.is_empty()), |(_, access, ordered)| {
        (access, ordered)
    })
}

fn reads_slot(value: &Expr) -> bool {
    walk::any(value, &mut |node| matches!(node, Expr::Outer { .. }))
}

/// The order that rows are wanted in.
struct Wanted<'w> {
    keys: &'w [SortKey],
    columns: &'w [(ColumnId, ColumnNumber)],
    /// Only the first are read.
    limited: bool,
    /// The rows that there will be.
    given: f64,
}

impl Wanted<'_> {
    /// Whether a search gives the order, perhaps backwards: then it is made so.
    fn given_by(&self, access: &mut KeyAccess, table: &Table) -> bool {
        let numbers = numbers_of(table, access);
        if numbers.len() != access.key.len() {
            // The order of expressions is not looked at.
            return self.keys.is_empty();
        }
        match gives_order(&access.key, &numbers, access.equal.len(), self.columns, self.keys) {
            Some(reverse) => {
                access.reverse = reverse;
                true
            }
            None => false,
        }
    }

    /// What it costs to have the rows in order, where finding them costs so much.
    fn cost(&self, found: f64, ordered: bool, costs: &Costs) -> f64 {
        if ordered {
            return if self.limited && !self.keys.is_empty() { found * LIMITED_PART } else { found };
        }
        let steps = if self.limited { 1.0 } else { self.given.max(2.0).log2() };
        found + self.given * steps * 2.0 * costs.cpu_operator
    }
}

/// The searches that filters bound.
pub(super) fn candidates(
    entry: &TableEntry,
    columns: &[(ColumnId, ColumnNumber)],
    filters: &[Expr],
    bounds: &[Bound],
    lists: &[Listed],
) -> Vec<Candidate> {
    let table = &entry.table;
    let names_of = |numbers: &[ColumnNumber]| {
        numbers.iter().map(|number| table.column_numbered(*number).name.clone()).collect()
    };
    let mut candidates = Vec::new();
    if !table.primary_key.is_empty() {
        let search = SearchKey {
            name: entry.primary_key_name(),
            tree: None,
            columns: primary_key_columns(table),
            numbers: &table.primary_key,
            names: names_of(&table.primary_key),
            unique: true,
            implied_by: Vec::new(),
        };
        candidates.extend(candidate(search, bounds, lists));
    }
    let place = SearchKey {
        name: "ctid",
        tree: None,
        columns: vec![key_column_of(PLACE_REPRESENTATION, -1, false, false)],
        numbers: &[PLACE],
        names: vec!["ctid".to_owned()],
        unique: true,
        implied_by: Vec::new(),
    };
    candidates.extend(candidate(place, bounds, lists));
    for index in entry.indexes.iter().filter(|index| !index.primary && index.is_plain()) {
        let numbers: Vec<ColumnNumber> = index.columns.iter().map(|column| column.number).collect();
        let search = SearchKey {
            name: &index.name,
            tree: Some(index.tree),
            columns: index_key_columns(table, index),
            numbers: &numbers,
            names: names_of(&numbers),
            unique: index.unique && entry.deferrable_unique(index.oid).is_none(),
            implied_by: Vec::new(),
        };
        candidates.extend(candidate(search, bounds, lists));
    }
    let special = entry.special_indexes.get().map_or(&[][..], Vec::as_slice);
    if !special.is_empty() {
        let in_row = special_index::over_row(filters, columns);
        candidates
            .extend(special.iter().filter_map(|special| special_candidate(table, special, &in_row, bounds)));
    }
    candidates
}

/// The search of an index on expressions or on part of the rows; the filters are over rows of the table.
fn special_candidate(
    table: &Table,
    special: &SpecialIndex,
    filters: &[Expr],
    bounds: &[Bound],
) -> Option<Candidate> {
    let implied_by = special.implied_by(filters)?;
    let is_predicate = |at: &&usize| special.predicate.iter().any(|term| walk::same(term, &filters[**at]));
    let repeating: Vec<usize> = implied_by.iter().filter(is_predicate).copied().collect();
    let index = &special.index;
    let (mut numbers, mut names) = (Vec::new(), Vec::new());
    let mut all: Vec<Bound> = bounds.to_vec();
    for (at, (column, expression)) in (1..).zip(index.columns.iter().zip(&special.expressions)) {
        let Some((expression, text)) = expression else {
            numbers.push(column.number);
            names.push(table.column_numbered(column.number).name.clone());
            continue;
        };
        let number: ColumnNumber = -at;
        numbers.push(number);
        names.push(text.clone());
        for (filter, condition) in filters.iter().enumerate() {
            let Some((comparison, left, right)) = as_comparison(condition) else { continue };
            for (side, value, comparison) in [(left, right, comparison), (right, left, comparison.flipped())]
            {
                if walk::same(side, expression)
                    && walk::is_constant(value)
                    && let Some(value) = key_value(value, expression.data_type().oid)
                {
                    all.push(Bound {
                        filter,
                        column: number,
                        comparison,
                        value,
                        is_all: true,
                        is_null: false,
                    });
                }
            }
        }
    }
    let search = SearchKey {
        name: &index.name,
        tree: Some(index.tree),
        columns: index_key_columns(table, index),
        numbers: &numbers,
        names,
        unique: index.unique,
        implied_by,
    };
    let mut candidate = candidate(search, &all, &[])?;
    candidate.said.extend(repeating);
    candidate.predicate = special.predicate.clone();
    Some(candidate)
}

/// Searches that read all of an index.
fn whole_indexes(entry: &TableEntry) -> impl Iterator<Item = KeyAccess> {
    let table = &entry.table;
    let indexes = entry.indexes.iter().filter(|index| !index.primary && index.is_plain());
    indexes.map(|index| KeyAccess {
        index_name: index.name.clone(),
        index_tree: Some(index.tree),
        by_place: false,
        key: index_key_columns(table, index),
        key_names: index
            .columns
            .iter()
            .map(|column| table.column_numbered(column.number).name.clone())
            .collect(),
        equal: Vec::new(),
        nulls: Vec::new(),
        choices: None,
        lower: None,
        upper: None,
        single: false,
        reverse: false,
    })
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
