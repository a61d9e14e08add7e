//! What becomes of the subqueries of expressions while predicates are pushed down.
//!
//! 1. One whose outcome alone is a condition becomes a semi or anti join, if what it reads of the outer row can be pulled
//!    out of it (`decorrelate`); where its own subqueries stand in the way, after they became joins.
//! 2. One aggregated value by what equals the outer row, and `EXISTS` within a larger expression, become outer joins with the
//!    groups of all outer rows together, where that is expected to cost less.
//! 3. A value that is asked for once and compared with what a table can be searched by becomes a join with the one row that it is,
//!    which then searches the table; `x = ANY (ARRAY(SELECT …))` becomes the semi join that `x IN (SELECT …)` is.
//! 4. All others run for each row, or once.

use super::access::{self, Sides};
use super::cost;
use super::decorrelate::{self, Hoisted, PulledUp, Purpose};
use super::join_order;
use super::logical::{ColumnId, Computed, Correlation, JoinKind, Logical, SubqueryKind};
use super::operators::operator_name;
use super::pushdown::{Pushing, filtered, push as push_predicates, push_join, reads, split};
use super::walk;
use crate::expr::Expr;
use crate::types::DataType;
use crate::value::Datum;

/// A subquery and what it is run for: the parts of `Logical::Apply`.
pub struct Applied {
    pub input: Logical,
    pub subquery: Logical,
    pub kind: SubqueryKind,
    pub correlations: Vec<Correlation>,
    pub output: ColumnId,
    pub data_type: DataType,
}

impl Applied {
    fn plan(self) -> Logical {
        let Applied { input, subquery, kind, correlations, output, data_type } = self;
        let (input, subquery) = (Box::new(input), Box::new(subquery));
        Logical::Apply { input, subquery, kind, correlations, output, data_type }
    }
}

/// Pushes the predicates above a subquery down, and makes it a join where that can be done.
pub fn push(mut applied: Applied, predicates: Vec<Expr>, pushing: &Pushing<'_>) -> Logical {
    let (down, stay) = split(predicates, &applied.input.outputs());
    if pushing.settled.borrow().contains(&applied.output) {
        applied.input = push_predicates(applied.input, down, pushing);
        return filtered(applied.plan(), stay);
    }
    let (stay, found) = outcome(stay, applied.output, &applied.kind);
    if let Some((_, join)) = &found
        && let Some(pulled) = pulled_up(&applied)
    {
        let input = push_predicates(applied.input, down, pushing);
        return filtered(joined(input, pulled, *join, applied.kind, pushing), stay);
    }
    // Its own subqueries first: those that became joins do not stand in the way.
    applied.subquery = push_predicates(applied.subquery, Vec::new(), pushing);
    applied.input = push_predicates(applied.input, down, pushing);
    if let Some((_, join)) = &found
        && let Some(pulled) = pulled_up(&applied)
    {
        return filtered(joined(applied.input, pulled, *join, applied.kind, pushing), stay);
    }
    let stay: Vec<Expr> = stay.into_iter().chain(found.map(|(term, _)| term)).collect();
    let grouped = match applied.kind {
        SubqueryKind::Scalar => join_groups(&applied, &stay, pushing),
        SubqueryKind::Exists => join_existence(&applied, &stay, pushing),
        _ => None,
    };
    pushing.settled.borrow_mut().insert(applied.output);
    if applied.correlations.is_empty() && !decorrelate::is_volatile_plan(&applied.subquery) {
        let once = match applied.kind {
            SubqueryKind::Scalar => join_once(&applied, &stay),
            SubqueryKind::Array { .. } => join_elements(&applied, &stay, pushing),
            _ => None,
        };
        if let Some(once) = once {
            return once;
        }
    }
    let applied = filtered(applied.plan(), stay);
    match grouped {
        Some(grouped) if ordered_cost(&grouped, pushing) < ordered_cost(&applied, pushing) => grouped,
        _ => applied,
    }
}

/// Takes the one predicate out that says what the rows with an outcome are kept for, as the join that keeps them.
fn outcome(
    mut predicates: Vec<Expr>,
    output: ColumnId,
    kind: &SubqueryKind,
) -> (Vec<Expr>, Option<(Expr, JoinKind)>) {
    if predicates.iter().filter(|term| reads(term, output)).count() != 1 {
        return (predicates, None);
    }
    let found = predicates
        .iter()
        .enumerate()
        .find_map(|(at, term)| Some((at, decorrelate::join_kind(term, output, kind)?)));
    let found = found.map(|(at, join)| (predicates.remove(at), join));
    (predicates, found)
}

/// A subquery without what it reads of the outer row, if it asks for rows that go with that.
fn pulled_up(applied: &Applied) -> Option<PulledUp> {
    let exists = matches!(applied.kind, SubqueryKind::Exists);
    let purpose = if exists { Purpose::Existence } else { Purpose::Members };
    let pulled = decorrelate::pull_up(&applied.subquery, &applied.correlations, purpose)?;
    // Whether there is any row at all is asked once.
    (!exists || !pulled.conditions.is_empty()).then_some(pulled)
}

/// What is asked of the outer row alone, as columns of it.
fn with_hoisted(input: Logical, hoisted: Vec<Hoisted>) -> Logical {
    hoisted.into_iter().fold(input, |input, own| {
        let Hoisted { subquery, kind, correlations, output, data_type } = own;
        Applied { input, subquery, kind, correlations, output, data_type }.plan()
    })
}

/// The join that a subquery became; its input's predicates are pushed down already.
fn joined(
    input: Logical,
    pulled: PulledUp,
    join: JoinKind,
    kind: SubqueryKind,
    pushing: &Pushing<'_>,
) -> Logical {
    let mut on = pulled.conditions;
    if let SubqueryKind::Quantified { comparison, .. } = kind {
        walk::split_conjunction(comparison, &mut on);
    }
    let input = with_hoisted(input, pulled.hoisted);
    // What a semi join asks of left rows alone, it asks of all that stay.
    let columns = input.outputs();
    let (own, on) = if join == JoinKind::Semi { split(on, &columns) } else { (Vec::new(), on) };
    let input = if own.is_empty() { input } else { push_predicates(input, own, pushing) };
    push_join(join, (input, pulled.plan), on, Vec::new(), Vec::new(), pushing)
}

/// The join with the groups that a subquery of one aggregated row makes, instead of a run for each row.
fn join_groups(applied: &Applied, above: &[Expr], pushing: &Pushing<'_>) -> Option<Logical> {
    let pulled = decorrelate::pull_up_groups(&applied.subquery, &applied.correlations, applied.output)?;
    let input = with_hoisted(applied.input.clone(), pulled.hoisted);
    let sides = (input, pulled.plan);
    Some(push_join(JoinKind::Left, sides, pulled.conditions, Vec::new(), above.to_vec(), pushing))
}

/// The join with the keys by which rows exist: a row that found its own has it, and NULL otherwise.
fn join_existence(applied: &Applied, above: &[Expr], pushing: &Pushing<'_>) -> Option<Logical> {
    let pulled = pulled_up(applied)?;
    let (keys, first) = decorrelate::keys_of(&pulled)?;
    if !pulled.hoisted.is_empty() {
        return None;
    }
    // No key is NULL, since it equals something.
    let found = Expr::IsNull { argument: Box::new(first), negated: true };
    let mut outputs = column_types(&applied.input)?
        .into_iter()
        .map(|(id, data_type)| Computed { id, expr: Expr::Column { index: id, data_type } })
        .collect::<Vec<_>>();
    outputs.push(Computed { id: applied.output, expr: found.clone() });
    let replace = |id| (id == applied.output).then(|| found.clone());
    let above = above.iter().map(|term| walk::replace_columns(term.clone(), &replace)).collect();
    let sides = (applied.input.clone(), keys);
    let input = push_join(JoinKind::Left, sides, pulled.conditions, Vec::new(), above, pushing);
    Some(Logical::Project { input: Box::new(input), outputs })
}

/// The plan with the one row that a value is which is asked for once joined to a table that it is to be searched for in.
fn join_once(applied: &Applied, above: &[Expr]) -> Option<Logical> {
    let row = Applied {
        input: Logical::one_row(),
        subquery: applied.subquery.clone(),
        kind: SubqueryKind::Scalar,
        correlations: Vec::new(),
        output: applied.output,
        data_type: applied.data_type,
    };
    let mut input = applied.input.clone();
    let rest = OneRow { row: row.plan(), output: applied.output }.join_to(&mut input, above, &[])?;
    Some(filtered(input, rest))
}

/// The one row of a value that is asked for once.
struct OneRow {
    row: Logical,
    output: ColumnId,
}

impl OneRow {
    /// Joins the row to the table in a plan that conditions on both say how to search, where `others` hold too; gives the
    /// conditions that are not part of the join, `None` if there is no such table.
    fn join_to(&self, plan: &mut Logical, conditions: &[Expr], others: &[Expr]) -> Option<Vec<Expr>> {
        match plan {
            Logical::Table { table, columns, filters, key, .. } => {
                let sides = Sides::new(columns, *key);
                let own: Vec<ColumnId> = columns.iter().map(|column| column.0).chain([self.output]).collect();
                let known: Vec<&Expr> = filters.iter().chain(others).chain(conditions).collect();
                let is_value = |value: &Expr| walk::reads_only(value, &[self.output]);
                let is_own = |term: &Expr| reads(term, self.output) && !walk::is_volatile(term);
                let searches = |term: &Expr| access::searches(sides, table, term, &is_value, &known);
                if !conditions.iter().any(|term| is_own(term) && searches(term)) {
                    return None;
                }
                let is_joining =
                    |term: &Expr| is_own(term) && (searches(term) || walk::reads_only(term, &own));
                let (on, rest) = conditions.iter().cloned().partition(is_joining);
                let left = Box::new(std::mem::replace(plan, Logical::one_row()));
                let right = Box::new(self.row.clone());
                *plan = Logical::Join { kind: JoinKind::Inner, left, right, on, lateral: Vec::new() };
                Some(rest)
            }
            Logical::Join { kind: JoinKind::Inner, left, right, on, .. } => {
                let others: Vec<Expr> = others.iter().chain(on.iter()).cloned().collect();
                self.join_to(left, conditions, &others).or_else(|| self.join_to(right, conditions, &others))
            }
            Logical::Join { kind: JoinKind::Left | JoinKind::Semi | JoinKind::Anti, left: input, .. }
            | Logical::Apply { input, .. } => self.join_to(input, conditions, others),
            Logical::Filter { input, predicates } => {
                let others: Vec<Expr> = others.iter().chain(predicates.iter()).cloned().collect();
                self.join_to(input, conditions, &others)
            }
            _ => None,
        }
    }
}

/// The semi join with a subquery of whose rows an array is made that a value is looked for in.
fn join_elements(applied: &Applied, above: &[Expr], pushing: &Pushing<'_>) -> Option<Logical> {
    let mut terms = above.iter().filter(|term| reads(term, applied.output));
    let (Some(term), None) = (terms.next(), terms.next()) else { return None };
    let Expr::Quantified { left, array, function, all: false } = term else { return None };
    let is_array = matches!(array.as_ref(), Expr::Column { index, .. } if *index == applied.output);
    if !is_array || reads(left, applied.output) || operator_name(function) != Some("=") {
        return None;
    }
    let (element, data_type) = *column_types(&applied.subquery)?.first()?;
    let SubqueryKind::Array { element: of_array } = &applied.kind else { return None };
    if of_array.oid != data_type.oid || function.argument_types.get(1) != Some(&data_type.oid) {
        return None;
    }
    let right = Expr::Column { index: element, data_type };
    let condition = Expr::call(function.clone(), vec![(**left).clone(), right], DataType::BOOL);
    let rest = above.iter().filter(|each| !reads(each, applied.output)).cloned().collect();
    let mut types = column_types(&applied.input)?;
    types.push((applied.output, applied.data_type));
    let sides = (applied.input.clone(), applied.subquery.clone());
    let input = push_join(JoinKind::Semi, sides, vec![condition], Vec::new(), rest, pushing);
    // Nobody reads the array any more.
    let column = |(id, data_type)| match id == applied.output {
        true => Expr::Const { value: Datum::Null, data_type },
        false => Expr::Column { index: id, data_type },
    };
    let outputs = types.into_iter().map(|(id, data_type)| Computed { id, expr: column((id, data_type)) });
    Some(Logical::Project { input: Box::new(input), outputs: outputs.collect() })
}

/// The columns of a plan with their types; `None` for a plan that nobody asked this of yet.
pub fn column_types(plan: &Logical) -> Option<Vec<(ColumnId, DataType)>> {
    Some(match plan {
        Logical::Values { columns, .. }
        | Logical::SetOperation { columns, .. }
        | Logical::Recursive { columns, .. }
        | Logical::Shared { columns, .. }
        | Logical::WorkingTable { columns, .. } => columns.clone(),
        Logical::FunctionScan { columns, ordinality, .. } => {
            columns.iter().copied().chain(ordinality.map(|id| (id, DataType::INT8))).collect()
        }
        Logical::Table { table, columns, hidden, key, .. } => {
            let given = columns[..columns.len() - hidden].iter().map(|(id, number)| {
                let column = table.table.column_numbered(*number);
                (*id, DataType { oid: column.type_oid, typmod: column.type_modifier })
            });
            given.chain(key.map(|id| (id, DataType::BYTEA))).collect()
        }
        Logical::Virtual { relation, columns, .. } => {
            columns.iter().map(|(id, at)| (*id, DataType::of(relation.columns[*at].1))).collect()
        }
        Logical::Filter { input, .. }
        | Logical::Distinct { input, .. }
        | Logical::Sort { input, .. }
        | Logical::Lock { input, .. }
        | Logical::Limit { input, .. } => column_types(input)?,
        Logical::Project { outputs, .. } => {
            outputs.iter().map(|output| (output.id, output.expr.data_type())).collect()
        }
        Logical::Join { kind, left, right, .. } => {
            let mut types = column_types(left)?;
            if !matches!(kind, JoinKind::Semi | JoinKind::Anti) {
                types.extend(column_types(right)?);
            }
            types
        }
        Logical::Apply { input, output, data_type, .. } => {
            let mut types = column_types(input)?;
            types.push((*output, *data_type));
            types
        }
        Logical::Aggregate { groups, aggregates, sets, .. } => {
            let groupings = sets.iter().flat_map(|sets| &sets.groupings).map(|each| (each.0, DataType::INT4));
            let groups = groups.iter().map(|group| (group.id, group.expr.data_type()));
            groups.chain(aggregates.iter().map(|each| (each.0, each.1.data_type))).chain(groupings).collect()
        }
        Logical::Window { input, calls, .. } => {
            let mut types = column_types(input)?;
            types.extend(calls.iter().map(|each| (each.0, each.1.data_type)));
            types
        }
        Logical::ProjectSet { input, calls } => {
            let mut types = column_types(input)?;
            types.extend(calls.iter().map(|each| (each.0, each.1.data_type())));
            types
        }
    })
}

/// What a plan costs once its joins are ordered.
fn ordered_cost(plan: &Logical, pushing: &Pushing<'_>) -> f64 {
    let costs = pushing.costs;
    if costs.reorder_joins {
        cost::of_logical(&join_order::order_joins(plan.clone(), costs), costs)
    } else {
        cost::of_logical(plan, costs)
    }
}
