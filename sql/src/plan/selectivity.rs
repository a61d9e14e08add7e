//! Which part of the rows a predicate keeps: from what ANALYZE found out, else by PostgreSQL's rules of thumb.
//!
//! - A predicate on one column, whose other side is known, is evaluated on the column's most common values: the
//!   frequencies of those that satisfy it are exact. The other values are judged by the histogram.
//! - `column = value` keeps as much of the other values as there are of each on average.
//! - An equality between columns keeps one over the larger number of distinct values: each value of the one side is
//!   taken to be on the other side too.
//! - Predicates are taken to be independent of each other, but for a lower and an upper bound of one column.

use super::access;
use super::logical::{ColumnId, Logical};
use super::operators::{Comparison, as_comparison, operator_name};
use super::walk;
use crate::catalog::{ColumnNumber, ColumnStatistics, TableEntry};
use crate::expr::Expr;
use crate::functions::{CastMethod, EvalContext, Settings, is_row_place};
use crate::value::Datum;

/// `column = value`, where nothing is known: one of so many values.
const UNKNOWN_DISTINCT: f64 = 200.0;
/// One bound of an unknown column.
const UNKNOWN_RANGE: f64 = 1.0 / 3.0;
/// A lower and an upper bound of an unknown column.
const UNKNOWN_INTERVAL: f64 = 0.005;
/// IS NULL, of an unknown column.
const UNKNOWN_NULL: f64 = 0.005;
/// LIKE and its siblings.
const UNKNOWN_MATCH: f64 = 0.005;
/// Any other condition.
const UNKNOWN: f64 = 1.0 / 3.0;
/// The elements of an array that is not known.
const UNKNOWN_ELEMENTS: f64 = 10.0;
/// So many bounds of a histogram are enough to try a predicate on.
const BOUNDS_MIN: usize = 10;

/// A stored column that an expression reads.
#[derive(Clone, Copy)]
pub struct StoredColumn<'p> {
    pub entry: &'p TableEntry,
    pub number: ColumnNumber,
}

impl<'p> StoredColumn<'p> {
    fn statistics(self) -> Option<&'p ColumnStatistics> {
        if self.number == access::PLACE { None } else { self.entry.column_statistics(self.number) }
    }

    /// How many different values the whole table has.
    #[must_use]
    pub fn distinct(self) -> f64 {
        let rows = super::estimate::table_rows(self.entry);
        match self.statistics().map(|statistics| f64::from(statistics.distinct)) {
            Some(distinct) if distinct > 0.0 => distinct,
            Some(distinct) if distinct < 0.0 => (-distinct * rows).max(1.0),
            _ if self.is_unique() => rows,
            _ => rows.min(UNKNOWN_DISTINCT),
        }
    }

    fn is_unique(self) -> bool {
        self.number == access::PLACE
            || self.entry.indexes.iter().any(|index| {
                index.unique
                    && index.predicate.is_none()
                    && matches!(index.columns.as_slice(), [only] if only.number == self.number)
            })
    }

    pub fn null_fraction(self) -> f64 {
        self.statistics().map_or(0.0, |statistics| f64::from(statistics.null_fraction))
    }
}

/// The stored column that a column of a plan is a copy of.
#[must_use]
pub fn stored_column(plan: &Logical, id: ColumnId) -> Option<StoredColumn<'_>> {
    match plan {
        Logical::Table { table, key, .. } if *key == Some(id) => {
            Some(StoredColumn { entry: table, number: access::PLACE })
        }
        Logical::Table { table, columns, .. } => {
            let (_, number) = columns.iter().find(|(each, _)| *each == id)?;
            Some(StoredColumn { entry: table, number: *number })
        }
        Logical::Filter { input, .. }
        | Logical::Sort { input, .. }
        | Logical::Limit { input, .. }
        | Logical::Distinct { input, .. }
        | Logical::ProjectSet { input, .. }
        | Logical::Window { input, .. }
        | Logical::Lock { input, .. }
        | Logical::Apply { input, .. } => stored_column(input, id),
        Logical::Project { input, outputs } => {
            let output = outputs.iter().find(|output| output.id == id)?;
            column_below(input, &output.expr)
        }
        Logical::Aggregate { input, groups, .. } => {
            let group = groups.iter().find(|group| group.id == id)?;
            column_below(input, &group.expr)
        }
        Logical::Join { left, right, .. } => stored_column(left, id).or_else(|| stored_column(right, id)),
        Logical::Shared { definition, columns, .. } => {
            let at = columns.iter().position(|(each, _)| *each == id)?;
            stored_column(definition, *definition.outputs().get(at)?)
        }
        _ => None,
    }
}

fn column_below<'p>(plan: &'p Logical, expr: &Expr) -> Option<StoredColumn<'p>> {
    stored_column(plan, column_id(expr)?)
}

/// The column that an expression is, but for its name of the type.
fn column_id(expr: &Expr) -> Option<ColumnId> {
    match expr {
        Expr::Column { index, .. } => Some(*index),
        Expr::Cast(cast) if matches!(cast.method, CastMethod::Binary) => column_id(&cast.argument),
        Expr::Call(call) if is_row_place(&call.function) => call.arguments.first().and_then(column_id),
        _ => None,
    }
}

/// The relations that predicates read.
#[derive(Clone, Copy)]
pub struct Scope<'s, 'p>(pub &'s [&'p Logical]);

impl<'p> Scope<'_, 'p> {
    /// The stored column that an expression is.
    #[must_use]
    pub fn column(self, expr: &Expr) -> Option<StoredColumn<'p>> {
        let id = column_id(expr)?;
        self.0.iter().find_map(|plan| stored_column(plan, id))
    }

    /// How many different values an expression has, at most.
    #[must_use]
    pub fn distinct(self, expr: &Expr) -> f64 {
        self.column(expr).map_or(UNKNOWN_DISTINCT, StoredColumn::distinct)
    }

    /// The part of the rows that satisfies all predicates.
    #[must_use]
    pub fn conjunction<'e>(self, predicates: impl IntoIterator<Item = &'e Expr>) -> f64 {
        let mut part = 1.0;
        let mut bounds: Vec<Bound> = Vec::new();
        for predicate in predicates {
            let Some(bound) = self.bound(predicate) else {
                part *= self.selectivity(predicate);
                continue;
            };
            match bounds
                .iter_mut()
                .find(|each| each.column == bound.column && each.is_lower != bound.is_lower)
            {
                Some(other) => other.close(bound.part),
                None => bounds.push(bound),
            }
        }
        bounds.iter().fold(part, |part, bound| part * bound.whole()).clamp(0.0, 1.0)
    }

    /// The part of the rows that satisfies a predicate.
    #[must_use]
    pub fn selectivity(self, predicate: &Expr) -> f64 {
        let part = match predicate {
            Expr::Const { value, .. } => f64::from(u8::from(value.as_bool() == Some(true))),
            Expr::And(terms) => self.conjunction(terms),
            Expr::Or(terms) => terms.iter().fold(0.0, |part, term| {
                let own = self.selectivity(term);
                part + own - part * own
            }),
            Expr::Not(inner) => 1.0 - self.selectivity(inner),
            Expr::IsNull { argument, negated } => {
                let nulls = self.column(argument).and_then(StoredColumn::statistics);
                let nulls = nulls.map_or(UNKNOWN_NULL, |found| f64::from(found.null_fraction));
                if *negated { 1.0 - nulls } else { nulls }
            }
            Expr::InList { argument, list, negated, .. } => {
                let members = list.iter().map(|member| self.equal(predicate, argument, member)).sum::<f64>();
                if *negated { 1.0 - members.min(1.0) } else { members }
            }
            Expr::Quantified { left, array, function, all: false }
                if operator_name(function) == Some("=") =>
            {
                let one = self.equal(predicate, left, array);
                let elements = match array.as_ref() {
                    Expr::Const { value: Datum::Array(array), .. } => array.elements.len() as f64,
                    Expr::Array { elements, .. } => elements.len() as f64,
                    _ => UNKNOWN_ELEMENTS,
                };
                one * elements
            }
            _ => self.of_operator(predicate),
        };
        part.clamp(0.0, 1.0)
    }

    fn of_operator(self, predicate: &Expr) -> f64 {
        match as_comparison(predicate) {
            Some((Comparison::Equal, left, right)) => {
                let of_column = self.column(left).is_some() || self.column(right).is_some();
                let tried = if of_column { None } else { self.tried(predicate) };
                tried.unwrap_or_else(|| self.equal(predicate, left, right))
            }
            Some(_) => match self.bound(predicate) {
                Some(bound) => bound.whole(),
                None => self.tried(predicate).unwrap_or(UNKNOWN_RANGE),
            },
            None => self.tried(predicate).unwrap_or_else(|| self.of_unknown(predicate)),
        }
    }

    fn of_unknown(self, predicate: &Expr) -> f64 {
        match predicate {
            // A boolean column.
            Expr::Column { .. } => 0.5,
            Expr::Call(call) => match (operator_name(&call.function), call.arguments.as_slice()) {
                (Some("<>"), [left, right]) => 1.0 - self.equal(predicate, left, right),
                (Some("~~" | "~~*" | "~" | "~*"), _) => UNKNOWN_MATCH,
                (Some("!~~" | "!~~*" | "!~" | "!~*"), _) => 1.0 - UNKNOWN_MATCH,
                _ => UNKNOWN,
            },
            _ => UNKNOWN,
        }
    }

    /// `left = right`, as a part of `predicate` or as the whole of it.
    fn equal(self, predicate: &Expr, left: &Expr, right: &Expr) -> f64 {
        match (self.column(left), self.column(right)) {
            (Some(first), Some(second)) => {
                let present = (1.0 - first.null_fraction()) * (1.0 - second.null_fraction());
                present / first.distinct().max(second.distinct()).max(1.0)
            }
            (Some(column), None) => equal_to(column, predicate, left, right),
            (None, Some(column)) => equal_to(column, predicate, right, left),
            (None, None) => 1.0 / UNKNOWN_DISTINCT,
        }
    }

    /// A comparison of a column with something that no row is read for.
    fn bound(self, predicate: &Expr) -> Option<Bound> {
        let (comparison, left, right) = as_comparison(predicate)?;
        let (id, value, comparison) = match (column_id(left), column_id(right)) {
            (Some(id), None) if walk::is_constant(right) => (id, right, comparison),
            (None, Some(id)) if walk::is_constant(left) => (id, left, comparison.flipped()),
            _ => return None,
        };
        let is_lower = match comparison {
            Comparison::Equal => return None,
            Comparison::Greater | Comparison::GreaterOrEqual => true,
            Comparison::Less | Comparison::LessOrEqual => false,
        };
        let column = self.0.iter().find_map(|plan| stored_column(plan, id));
        let statistics = column.and_then(StoredColumn::statistics);
        let known =
            statistics.and_then(|statistics| bounded(statistics, predicate, &known_value(value)?, is_lower));
        let nulls = statistics.map_or(0.0, |statistics| f64::from(statistics.null_fraction));
        Some(Bound { column: id, is_lower, part: known, other: None, nulls })
    }

    /// A predicate on one column, tried on the values that are known of it.
    fn tried(self, predicate: &Expr) -> Option<f64> {
        let mut ids = Vec::new();
        walk::columns(predicate, &mut |id| ids.push(id));
        ids.dedup();
        let [id] = ids.as_slice() else { return None };
        if !walk::is_immutable(predicate) {
            return None;
        }
        let column = self.0.iter().find_map(|plan| stored_column(plan, *id))?;
        let statistics = column.statistics()?;
        let trial = Trial::new(predicate);
        let (common, listed) = trial.of_common(statistics);
        let rest = (1.0 - listed - f64::from(statistics.null_fraction)).max(0.0);
        if statistics.histogram.len() < BOUNDS_MIN {
            return (rest < 0.01).then_some(common);
        }
        let satisfied = statistics.histogram.iter().filter(|value| trial.holds(value));
        let part = satisfied.count() as f64 / statistics.histogram.len() as f64;
        Some(common + rest * part.clamp(0.0001, 0.9999))
    }
}

/// What a bound keeps of a column, and what the bound from the other side keeps.
struct Bound {
    column: ColumnId,
    is_lower: bool,
    /// `None`: not known.
    part: Option<f64>,
    other: Option<Option<f64>>,
    nulls: f64,
}

impl Bound {
    /// There is a bound of the other side too.
    fn close(&mut self, part: Option<f64>) {
        // Of several the closest one counts.
        self.other = Some(match (self.other.flatten(), part) {
            (Some(first), Some(second)) => Some(first.min(second)),
            (first, second) => first.or(second),
        });
    }

    fn whole(&self) -> f64 {
        match (self.part, self.other) {
            (Some(part), None) => part,
            (None, None) => UNKNOWN_RANGE,
            (Some(part), Some(Some(other))) => (part + other + self.nulls - 1.0).max(1e-5),
            (_, Some(_)) => UNKNOWN_INTERVAL,
        }
    }
}

/// A predicate on one column, to be tried on values of it.
struct Trial {
    predicate: Expr,
    settings: Settings,
}

impl Trial {
    fn new(predicate: &Expr) -> Trial {
        let predicate = walk::rewrite(predicate.clone(), &mut |expr| match expr {
            Expr::Column { data_type, .. } => walk::Rewritten::Done(Expr::Column { index: 0, data_type }),
            other => walk::Rewritten::Descend(other),
        });
        Trial { predicate, settings: Settings::default() }
    }

    fn holds(&self, value: &Datum) -> bool {
        let context = EvalContext::detached(&self.settings);
        let row = [value.clone()];
        let outcome = self.predicate.eval_row(&row.as_slice(), &context);
        outcome.is_ok_and(|outcome| outcome.as_bool() == Some(true))
    }

    /// The frequencies of the common values that satisfy the predicate, and of all common values.
    fn of_common(&self, statistics: &ColumnStatistics) -> (f64, f64) {
        let (mut satisfied, mut all) = (0.0, 0.0);
        for (value, frequency) in statistics.most_common.iter().zip(&statistics.frequencies) {
            if self.holds(value) {
                satisfied += f64::from(*frequency);
            }
            all += f64::from(*frequency);
        }
        (satisfied, all)
    }
}

/// What an expression without columns is probably worth: what depends on the session is taken at its default.
fn known_value(expr: &Expr) -> Option<Datum> {
    let unknown = |node: &Expr| match node {
        Expr::Parameter { .. } | Expr::Outer { .. } | Expr::Column { .. } => true,
        // The time of the statement, and the like.
        Expr::Call(call) => call.arguments.is_empty() && !walk::is_immutable(node),
        _ => false,
    };
    if let Expr::Const { value, .. } = expr {
        return Some(value.clone());
    }
    if walk::any(expr, &mut |node| unknown(node)) || walk::is_volatile(expr) {
        return None;
    }
    let settings = Settings::default();
    let no_row: [Datum; 0] = [];
    expr.eval_row(&no_row.as_slice(), &EvalContext::detached(&settings)).ok()
}

/// `column = value`.
fn equal_to(column: StoredColumn<'_>, predicate: &Expr, argument: &Expr, value: &Expr) -> f64 {
    let Some(statistics) = column.statistics() else { return 1.0 / column.distinct().max(1.0) };
    let present = 1.0 - f64::from(statistics.null_fraction);
    let listed: f64 = statistics.frequencies.iter().map(|each| f64::from(*each)).sum();
    let others = column.distinct() - statistics.most_common.len() as f64;
    let rest = if others > 1.0 { (present - listed) / others } else { present - listed };
    // No other value is as common as those that are listed.
    let least = statistics.frequencies.last().map_or(1.0, |each| f64::from(*each));
    let Some(wanted) = known_value(value) else { return present / column.distinct().max(1.0) };
    if wanted.is_null() {
        return 0.0;
    }
    // A comparison is tried; a member of a list has the column's type.
    let trial = as_comparison(predicate).map(|_| Trial::new(predicate));
    let same_type = argument.data_type().oid == value.data_type().oid;
    // Values of one type may be equal and look different: padded texts.
    let equal = |common: &Datum| match crate::types::builtin_type(value.data_type().oid) {
        Some(info) => info.compare(common, &wanted).is_eq(),
        None => *common == wanted,
    };
    let is_wanted = |common: &Datum| match (common.as_i64(), wanted.as_i64(), &trial) {
        (Some(first), Some(second), _) => first == second,
        (.., Some(trial)) => trial.holds(common),
        _ => same_type && equal(common),
    };
    let known = statistics.most_common.iter().zip(&statistics.frequencies);
    let found = known.into_iter().find(|(common, _)| is_wanted(common));
    found.map_or(rest.clamp(0.0, least), |(_, frequency)| f64::from(*frequency))
}

/// The part of the rows beyond a bound.
fn bounded(statistics: &ColumnStatistics, predicate: &Expr, value: &Datum, is_lower: bool) -> Option<f64> {
    if value.is_null() {
        return Some(0.0);
    }
    let trial = Trial::new(predicate);
    let (common, listed) = trial.of_common(statistics);
    let rest = (1.0 - listed - f64::from(statistics.null_fraction)).max(0.0);
    let bounds = &statistics.histogram;
    if bounds.len() < 2 {
        return (rest < 0.01 || !statistics.most_common.is_empty()).then_some(common + rest * UNKNOWN_RANGE);
    }
    // The bounds are in order: those that satisfy the predicate are at one end.
    let satisfied = bounds.partition_point(|bound| trial.holds(bound) != is_lower);
    let below = match satisfied {
        0 => 0.0,
        all if all == bounds.len() => 1.0,
        at => (at as f64 - 1.0 + between(&bounds[at - 1], &bounds[at], value)) / (bounds.len() - 1) as f64,
    };
    let part = if is_lower { 1.0 - below } else { below };
    // What lies beyond the sample may exist nevertheless.
    let least = 1.0 / (bounds.len() as f64 * 100.0);
    Some(common + rest * part.clamp(least, 1.0))
}

/// Where a value lies between two others: 0 to 1.
fn between(low: &Datum, high: &Datum, value: &Datum) -> f64 {
    match (scalar(low), scalar(high), scalar(value)) {
        (Some(low), Some(high), Some(value)) if high > low => ((value - low) / (high - low)).clamp(0.0, 1.0),
        _ => 0.5,
    }
}

/// A value on a scale, where its type has one.
fn scalar(value: &Datum) -> Option<f64> {
    Some(match value {
        Datum::Float32(value) => f64::from(*value),
        Datum::Float64(value) => *value,
        Datum::Numeric(value) => value.to_f64(),
        Datum::Date(value) => f64::from(*value),
        Datum::Timestamp(value) | Datum::TimestampTz(value) | Datum::Time(value) => *value as f64,
        other => other.as_i64()? as f64,
    })
}
