//! Joins by search: for each row of one side, the other side's table is searched by its key or an index.
//!
//! The join becomes a lateral one: its condition becomes a filter of the table, which compares a column with a slot that
//! the row of the other side fills; how the table is searched then is decided as for any other filter.
//!
//! A join by disjunctions alone is one by combined searches, where each arm says how to search the table.
//!
//! A semi join whose right side has few different rows (`WHERE id IN (SELECT …)`) can be one with these, which then search the
//! left side: each of its rows has one partner at most.

use super::access;
use super::combination;
use super::cost::{self, Costs};
use super::estimate;
use super::logical::{ColumnId, Computed, Correlation, JoinKind, Logical, SubqueryKind};
use super::operators::{Comparison, as_comparison};
use super::physical::Access;
use super::pushdown::filtered;
use super::relation_set::Set;
use super::selectivity::Scope;
use super::simplify::map_inputs;
use super::walk;
use crate::catalog::{ColumnNumber, TableEntry};
use crate::expr::Expr;

/// A way to search a table for the partners of a row.
pub struct Lookup {
    /// The relations that the values come from.
    pub read: Set,
    entry: std::sync::Arc<TableEntry>,
    by_index: bool,
    /// The rows found by one search, before the table's other filters.
    rows: f64,
    filters: usize,
    /// The conditions that the search tests, by position.
    conditions: Vec<usize>,
}

impl Lookup {
    /// What one of so many searches costs.
    #[must_use]
    pub fn cost(&self, costs: &Costs, loops: f64) -> f64 {
        costs.search(&self.entry, self.by_index, self.rows, loops.max(1.0), self.filters)
    }
}

/// `column = value` of a table, where the value comes from elsewhere.
struct Link {
    number: ColumnNumber,
    /// The condition's position, and what it reads; `None`: a filter of the table itself.
    condition: Option<(usize, Set)>,
    part: f64,
}

/// The ways to search a plan, if it is a table, by equalities among `conditions`.
pub fn lookups(plan: &Logical, conditions: &[Expr], read_by: impl Fn(&Expr) -> Set) -> Vec<Lookup> {
    let Logical::Table { table: entry, columns, filters, key, .. } = plan else { return Vec::new() };
    let sides = access::Sides::new(columns, *key);
    let own: Vec<ColumnId> = columns.iter().map(|column| column.0).chain(*key).collect();
    let scope = Scope(&[plan]);
    let mut links = Vec::new();
    for filter in filters {
        if let Some((number, _)) = link(filter, entry, sides, &own) {
            links.push(Link { number, condition: None, part: scope.selectivity(filter) });
        }
    }
    for (at, condition) in conditions.iter().enumerate() {
        if let Some((number, value)) = link(condition, entry, sides, &own) {
            let read = read_by(value);
            let column = super::selectivity::StoredColumn { entry, number };
            let part = 1.0 / column.distinct().max(1.0);
            links.push(Link { number, condition: Some((at, read)), part });
        }
    }
    let mut found = Vec::new();
    let keys = access::plain_keys(entry);
    // What the first column equals may be found in one relation or in another.
    let begun = keys.iter().flat_map(|key| {
        let first = links.iter().filter(|link| key.numbers.first() == Some(&link.number));
        first.map(move |first| (key, first))
    });
    for (key, first) in begun {
        let (mut read, mut part, mut used) = (Set::default(), 1.0, Vec::new());
        for (at, number) in key.numbers.iter().enumerate() {
            let of_column =
                if at == 0 { Some(first) } else { links.iter().find(|link| link.number == *number) };
            let Some(link) = of_column else { break };
            part *= link.part;
            if let Some((condition, from)) = &link.condition {
                read.extend(from);
                used.push(*condition);
            }
            if used.is_empty() {
                continue;
            }
            let whole = key.unique && at + 1 == key.numbers.len();
            let rows = if whole { 1.0 } else { (estimate::table_rows(entry) * part).max(1.0) };
            found.push(Lookup {
                read: read.clone(),
                entry: entry.clone(),
                by_index: key.by_index,
                rows,
                filters: cost::tests(filters),
                conditions: used.clone(),
            });
        }
    }
    found
}

/// A condition that says what a column of the table equals: the column, and the value, which reads nothing of the table.
fn link<'e>(
    condition: &'e Expr,
    entry: &TableEntry,
    sides: access::Sides<'_>,
    own: &[ColumnId],
) -> Option<(ColumnNumber, &'e Expr)> {
    let (Comparison::Equal, left, right) = as_comparison(condition)? else { return None };
    [(left, right), (right, left)].into_iter().find_map(|(column, value)| {
        let number = sides.number(column)?;
        let mut reads_own = false;
        walk::columns(value, &mut |id| reads_own |= own.contains(&id));
        let type_oid = match number {
            access::PLACE => access::searched_type(&entry.table, number),
            _ => entry.table.column_numbered(number).type_oid,
        };
        let usable = !reads_own && !walk::is_volatile(value) && access::fits(value, type_oid);
        usable.then_some((number, value))
    })
}

/// Makes joins into searches where that costs less.
pub fn choose_searches(plan: Logical, costs: &Costs) -> Logical {
    let mut next_slot = 0;
    note_slots(&plan, &mut next_slot);
    choose(plan, costs, &mut next_slot, false)
}

/// The first slot that nothing uses.
fn note_slots(plan: &Logical, next: &mut usize) {
    let mut read = |index: usize| *next = (*next).max(index + 1);
    if let Logical::Join { lateral: slots, .. } | Logical::Apply { correlations: slots, .. } = plan {
        slots.iter().for_each(|each| read(each.slot));
    }
    super::simplify::each_expr(plan, &mut |expr| {
        walk::any(expr, &mut |node| {
            if let Expr::Outer { index, .. } = node {
                read(*index);
            }
            false
        });
    });
    super::simplify::each_input(plan, &mut |input| note_slots(input, next));
}

/// `exactly`: the plan's outputs are all read, by their places.
fn choose(mut plan: Logical, costs: &Costs, next_slot: &mut usize, exactly: bool) -> Logical {
    let exactly_below = match &plan {
        Logical::Distinct { on: None, .. }
        | Logical::SetOperation { .. }
        | Logical::Recursive { .. }
        | Logical::Shared { .. }
        | Logical::Apply { .. } => true,
        Logical::Project { .. } | Logical::Aggregate { .. } => false,
        _ => exactly,
    };
    map_inputs(&mut plan, &mut |input| choose(input, costs, next_slot, exactly_below));
    match plan {
        Logical::Join { kind: JoinKind::Inner, left, right, on, lateral }
            if lateral.is_empty() && (is_asked_once(&left) || is_asked_once(&right)) =>
        {
            let (row, other) = if is_asked_once(&left) { (left, right) } else { (right, left) };
            match searched_once(*row, *other, on, costs, next_slot) {
                Ok(search) => search,
                Err(sides) => asked_above(*sides),
            }
        }
        Logical::Join { kind: JoinKind::Inner, left, right, on, lateral } if lateral.is_empty() => {
            // Either side may be the one that is searched.
            searched(JoinKind::Inner, *left, *right, on, costs, next_slot)
                .or_else(|sides| {
                    let (left, right, on) = *sides;
                    searched(JoinKind::Inner, right, left, on, costs, next_slot)
                })
                .unwrap_or_else(|sides| {
                    let (right, left, on) = *sides;
                    joined(JoinKind::Inner, left, right, on)
                })
        }
        Logical::Join { kind, left, right, on, lateral }
            if lateral.is_empty() && !matches!(kind, JoinKind::Right | JoinKind::Full) =>
        {
            searched(kind, *left, *right, on, costs, next_slot)
                .or_else(|sides| match kind {
                    JoinKind::Semi if !exactly => searched_by_different(*sides, costs, next_slot),
                    _ => Err(sides),
                })
                .unwrap_or_else(|sides| {
                    let (left, right, on) = *sides;
                    joined(kind, left, right, on)
                })
        }
        other => other,
    }
}

/// A semi join as a join with the different rows of its right side, which search the left one; it has their columns too.
fn searched_by_different(sides: Sides, costs: &Costs, next_slot: &mut usize) -> Result<Logical, Box<Sides>> {
    let (left, right, on) = sides;
    let Some(groups) = different(&left, &right, &on) else { return Err(Box::new((left, right, on))) };
    let different = Logical::Aggregate { input: Box::new(right), groups, aggregates: Vec::new(), sets: None };
    searched(JoinKind::Inner, different, left, on, costs, next_slot).map_err(|sides| match *sides {
        (Logical::Aggregate { input, .. }, left, on) => Box::new((left, *input, on)),
        (different, left, on) => Box::new((left, different, on)),
    })
}

/// The columns of the right side that decide which rows have a partner, if each condition compares one with something of
/// the left side: of what is the same in all of them, one is enough.
fn different(left: &Logical, right: &Logical, on: &[Expr]) -> Option<Vec<Computed>> {
    let (left, right) = (left.outputs(), right.outputs());
    let mut groups: Vec<Computed> = Vec::new();
    for condition in on {
        let (Comparison::Equal, one, other) = as_comparison(condition)? else { return None };
        let column = [(one, other), (other, one)].into_iter().find_map(|(column, value)| {
            let Expr::Column { index, .. } = column else { return None };
            let mut is_left = !walk::is_volatile(value);
            walk::columns(value, &mut |id| is_left &= left.contains(&id));
            (right.contains(index) && is_left).then(|| Computed { id: *index, expr: column.clone() })
        })?;
        if groups.iter().all(|group| group.id != column.id) {
            groups.push(column);
        }
    }
    (!groups.is_empty()).then_some(groups)
}

fn joined(kind: JoinKind, left: Logical, right: Logical, on: Vec<Expr>) -> Logical {
    Logical::Join { kind, left: Box::new(left), right: Box::new(right), on, lateral: Vec::new() }
}

type Sides = (Logical, Logical, Vec<Expr>);

/// The join as searches of the right side, where that is cheaper than any other way; else what it was made of.
fn searched(
    kind: JoinKind,
    left: Logical,
    mut right: Logical,
    mut on: Vec<Expr>,
    costs: &Costs,
    next_slot: &mut usize,
) -> Result<Logical, Box<Sides>> {
    let rows = estimate::rows(&left);
    let found = lookups(&right, &on, |_| Set::default())
        .into_iter()
        .map(|lookup| (lookup.cost(costs, rows), lookup))
        .min_by(|first, second| first.0.total_cmp(&second.0));
    let Some((each, lookup)) = found else {
        return searched_by_arms(kind, (left, right, on), costs, next_slot);
    };
    let (second, given) = (estimate::rows(&right), rows.max(estimate::rows(&right)));
    let equality = on.iter().any(|term| matches!(as_comparison(term), Some((Comparison::Equal, ..))));
    let otherwise = if equality {
        costs.best_hash_join(kind, rows, second, given)
    } else {
        costs.nested_loop(rows, second, given)
    };
    if costs.search_loop(rows, each, given) >= otherwise + cost::of_logical(&right, costs) {
        return Err(Box::new((left, right, on)));
    }
    let outer = left.outputs();
    let (mut lateral, mut position) = (Vec::new(), 0);
    let mut filters = Vec::new();
    on.retain(|condition| {
        let used = lookup.conditions.contains(&position);
        position += 1;
        if used {
            filters.push(through_slots(condition, &outer, &mut lateral, next_slot));
        }
        !used
    });
    if let Logical::Table { filters: own, .. } = &mut right {
        own.extend(filters);
    }
    Ok(Logical::Join { kind, left: Box::new(left), right: Box::new(right), on, lateral })
}

/// Whether a plan is the one row of values that are asked for once.
fn is_asked_once(plan: &Logical) -> bool {
    match plan {
        Logical::Apply { input, kind: SubqueryKind::Scalar, correlations, .. } => {
            correlations.is_empty() && is_asked_once(input)
        }
        Logical::Values { columns, rows } => columns.is_empty() && rows.len() == 1,
        _ => false,
    }
}

/// Whether a plan is a table, or the join of one row with one that [`searched_once`] made.
fn is_table(plan: &Logical) -> bool {
    match plan {
        Logical::Table { .. } => true,
        Logical::Join { kind: JoinKind::Inner, left, right, on, .. } => {
            on.is_empty() && is_asked_once(left) && is_table(right)
        }
        _ => false,
    }
}

/// The join of one row with a table as the table's filters, if these are searched for then; else what it was made of.
fn searched_once(
    row: Logical,
    mut other: Logical,
    on: Vec<Expr>,
    costs: &Costs,
    next_slot: &mut usize,
) -> Result<Logical, Box<Sides>> {
    if !is_table(&other) {
        return Err(Box::new((row, other, on)));
    }
    let (outer, mut lateral) = (row.outputs(), Vec::new());
    let filters = on.iter().map(|condition| through_slots(condition, &outer, &mut lateral, next_slot));
    let mut table = &mut other;
    while let Logical::Join { right, .. } = table {
        table = right;
    }
    let Logical::Table { filters: own, .. } = &mut *table else {
        return Err(Box::new((row, other, on)));
    };
    let before = own.len();
    own.extend(filters);
    if matches!(access::choose(table, &[], false, costs).0, Access::Full { .. }) {
        if let Logical::Table { filters: own, .. } = table {
            own.truncate(before);
        }
        return Err(Box::new((row, other, on)));
    }
    // Values are asked for in the order in which the query has them.
    let right = Box::new(std::mem::replace(table, Logical::one_row()));
    *table = Logical::Join { kind: JoinKind::Inner, left: Box::new(row), right, on: Vec::new(), lateral };
    Ok(other)
}

/// One row joined with a plan as what it is made of: values that are asked for once, beside the plan's rows.
fn asked_above((mut row, other, on): Sides) -> Logical {
    let mut bottom = &mut row;
    while let Logical::Apply { input, .. } = bottom {
        bottom = input;
    }
    *bottom = other;
    filtered(row, on)
}

/// What beginning a combined search anew for a row costs beside the search, in operators.
const RENEWAL_OPERATORS: f64 = 1_000.0;

/// A join by disjunctions alone, as combined searches of the right side.
fn searched_by_arms(
    kind: JoinKind,
    sides: Sides,
    costs: &Costs,
    next_slot: &mut usize,
) -> Result<Logical, Box<Sides>> {
    let (left, right, on) = &sides;
    let Logical::Table { filters, .. } = right else { return Err(Box::new(sides)) };
    let (arms, others): (Vec<&Expr>, Vec<&Expr>) =
        on.iter().partition(|term| matches!(term, Expr::Or(_)) && !walk::is_volatile(term));
    let is_equality = |term: &&Expr| matches!(as_comparison(term), Some((Comparison::Equal, ..)));
    let (rows, second) = (estimate::rows(left), estimate::rows(right));
    // Of two sides that either may search, the smaller one does.
    let is_other_way = kind == JoinKind::Inner && rows > second;
    if arms.is_empty() || others.iter().any(is_equality) || is_other_way {
        return Err(Box::new(sides));
    }
    let (outer, mut lateral, mut slot) = (left.outputs(), Vec::new(), *next_slot);
    let pushed = arms.iter().map(|arm| through_slots(arm, &outer, &mut lateral, &mut slot));
    let all: Vec<Expr> = filters.iter().cloned().chain(pushed).collect();
    let mut searched = right.clone();
    if let Logical::Table { filters, .. } = &mut searched {
        *filters = all;
    }
    let given = rows.max(second);
    let otherwise = costs.nested_loop(rows, second, given) + cost::of_logical(right, costs);
    let renewal = RENEWAL_OPERATORS * costs.cpu_operator;
    let each = combination::cheapest(&searched, &[], costs)
        .map(|combined| combined.gathering + combined.reading + renewal)
        .filter(|each| !lateral.is_empty() && costs.search_loop(rows, *each, given) < otherwise);
    if each.is_none() {
        return Err(Box::new(sides));
    }
    *next_slot = slot;
    let on = others.into_iter().cloned().collect();
    Ok(Logical::Join { kind, left: Box::new(sides.0), right: Box::new(searched), on, lateral })
}

/// A condition that reads some columns through slots.
fn through_slots(
    condition: &Expr,
    outer: &[ColumnId],
    lateral: &mut Vec<Correlation>,
    next_slot: &mut usize,
) -> Expr {
    walk::rewrite(condition.clone(), &mut |expr| match expr {
        Expr::Column { index, data_type } if outer.contains(&index) => {
            let known = lateral.iter().find(|each| each.column == index).map(|each| each.slot);
            let slot = known.unwrap_or_else(|| {
                let slot = *next_slot;
                *next_slot += 1;
                lateral.push(Correlation { slot, column: index });
                slot
            });
            walk::Rewritten::Done(Expr::Outer { index: slot, data_type })
        }
        other => walk::Rewritten::Descend(other),
    })
}
