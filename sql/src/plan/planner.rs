//! From the optimized logical plan to the physical one.

use std::sync::Arc;

use super::Means;
use super::cost::{Costs, of_physical};
use super::determined::determined;
use super::logical::{
    AggregateCall, ColumnId, Computed, Correlation, GroupingSets, JoinKind, LockedRows, Logical, SortKey,
    SubqueryKind,
};
use super::operators::{Comparison, as_comparison, operator_name};
use super::physical::{
    Apply, ApplyKind, HashJoin, HashedSides, LockedTable, NestedLoop, Phase, Physical, PlanNode, TableScan,
};
use super::window::{WindowCall, WindowOrder};
use super::{access, decorrelate, estimate, extremes, walk};
use crate::catalog::{Table, TableEntry, TypeScope};
use crate::error::{Result, SqlError};
use crate::expr::Expr;
use crate::types::{DataType, builtin_type};
use crate::value::key::KeyColumn;
use crate::value::row::{RowColumn, RowLayout};
use crate::value::{Datum, PhysicalKind};

/// A physical node while its columns still have ids.
struct Built {
    plan: PlanNode,
    ids: Vec<ColumnId>,
}

/// What plans are made with.
struct Planner<'c> {
    costs: &'c Costs,
    types: TypeScope<'c>,
    /// Columns are called by their relation and name: there are several relations.
    qualified: bool,
}

impl Planner<'_> {
    /// What EXPLAIN calls a column.
    fn column_name(&self, alias: &str, column: &str) -> String {
        let column = crate::binder::name::quote(column);
        if self.qualified { format!("{}.{column}", crate::binder::name::quote(alias)) } else { column }
    }
}

/// How many relations a plan reads.
fn relations(plan: &Logical) -> usize {
    let own = matches!(plan, Logical::Table { .. } | Logical::Virtual { .. } | Logical::FunctionScan { .. });
    let mut count = usize::from(own || matches!(plan, Logical::Shared { .. } | Logical::WorkingTable { .. }));
    super::simplify::each_input(plan, &mut |input| count += relations(input));
    count
}

/// Makes a plan physical; its rows have the `needed` columns, in that order.
///
/// # Errors
/// XX000 for a plan that refers to columns it does not have.
pub fn physical(means: &Means<'_>, plan: &Logical, needed: &[ColumnId]) -> Result<PlanNode> {
    let planner = &Planner { costs: means.costs, types: means.types, qualified: relations(plan) > 1 };
    let built = build(planner, plan, &[], false)?;
    Ok(arrange(built, needed)?.plan)
}

/// A projection to the needed columns, where they are not already all there is.
fn arrange(built: Built, needed: &[ColumnId]) -> Result<Built> {
    if built.ids == needed {
        return Ok(built);
    }
    let mut exprs = Vec::new();
    let (mut names, mut types) = (Vec::new(), Vec::new());
    for id in needed {
        let at = position(&built.ids, *id)?;
        exprs.push(Expr::Column { index: at, data_type: built.plan.types[at] });
        names.push(built.plan.names[at].clone());
        types.push(built.plan.types[at]);
    }
    let rows = built.plan.rows;
    let node = Physical::Project { input: Box::new(built.plan), exprs };
    Ok(Built { plan: PlanNode { node, rows, names, types }, ids: needed.to_vec() })
}

fn position(ids: &[ColumnId], id: ColumnId) -> Result<usize> {
    ids.iter()
        .position(|each| *each == id)
        .ok_or_else(|| SqlError::internal(format!("column {id} is not in the plan below")))
}

/// Replaces ids by positions.
fn resolve(expr: &Expr, ids: &[ColumnId]) -> Result<Expr> {
    let mut missing = None;
    walk::columns(expr, &mut |id| {
        if !ids.contains(&id) {
            missing = Some(id);
        }
    });
    if let Some(id) = missing {
        return Err(SqlError::internal(format!("column {id} is not in the plan below")));
    }
    let mut resolved = expr.clone();
    resolve_in_place(&mut resolved, ids);
    Ok(resolved)
}

fn resolve_in_place(expr: &mut Expr, ids: &[ColumnId]) {
    if let Expr::Column { index, .. } = expr {
        *index = ids.iter().position(|id| id == index).unwrap_or(0);
        return;
    }
    expr.for_each_child_mut(|child| resolve_in_place(child, ids));
}

fn resolve_all(exprs: &[Expr], ids: &[ColumnId]) -> Result<Vec<Expr>> {
    exprs.iter().map(|expr| resolve(expr, ids)).collect()
}

fn resolve_keys(keys: &[SortKey], ids: &[ColumnId]) -> Result<Vec<SortKey>> {
    keys.iter().map(|key| Ok(SortKey { expr: resolve(&key.expr, ids)?, ..*key })).collect()
}

fn slots(correlations: &[Correlation], ids: &[ColumnId]) -> Result<Vec<(usize, usize)>> {
    correlations.iter().map(|each| Ok((each.slot, position(ids, each.column)?))).collect()
}

/// The layout of a table's rows.
#[must_use]
pub fn row_layout(table: &Table) -> RowLayout {
    let columns = table
        .columns
        .iter()
        .map(|column| RowColumn { kind: column.representation.kind, missing: column.missing.clone() });
    RowLayout::new(columns.collect())
}

/// Builds a node; `wanted` is the order its rows are best in, and `limited` whether only the first are.
fn build(planner: &Planner<'_>, plan: &Logical, wanted: &[SortKey], limited: bool) -> Result<Built> {
    crate::watch::check()?;
    stacker::maybe_grow(256 << 10, 4 << 20, || build_here(planner, plan, wanted, limited))
}

fn build_here(planner: &Planner<'_>, plan: &Logical, wanted: &[SortKey], limited: bool) -> Result<Built> {
    let rows = estimate::rows(plan);
    let node = |node, names, types| PlanNode { node, rows, names, types };
    Ok(match plan {
        Logical::Values { columns, rows } => {
            let ids = columns.iter().map(|column| column.0).collect();
            let names = (1..=columns.len()).map(|at| format!("column{at}")).collect();
            let types = columns.iter().map(|column| column.1).collect();
            Built { plan: node(Physical::Values { rows: rows.clone() }, names, types), ids }
        }
        Logical::Table { .. } => build_table(planner, plan, wanted, limited)?.0,
        Logical::Virtual { relation, alias, columns, filters } => {
            let ids: Vec<ColumnId> = columns.iter().map(|column| column.0).collect();
            let projection: Vec<usize> = columns.iter().map(|column| column.1).collect();
            let names =
                projection.iter().map(|at| planner.column_name(alias, relation.columns[*at].0)).collect();
            let types = projection.iter().map(|at| DataType::of(relation.columns[*at].1)).collect();
            let filters = resolve_all(filters, &ids)?;
            let scan = Physical::Virtual { relation, alias: alias.clone(), projection, filters };
            Built { plan: node(scan, names, types), ids }
        }
        Logical::FunctionScan { calls, alias, columns, ordinality } => {
            let ids: Vec<ColumnId> = columns.iter().map(|column| column.0).chain(*ordinality).collect();
            let mut types: Vec<DataType> = columns.iter().map(|column| column.1).collect();
            types.extend(ordinality.map(|_| DataType::INT8));
            let names = vec![alias.clone(); ids.len()];
            let scan = Physical::Function {
                calls: calls.clone(),
                alias: alias.clone(),
                ordinality: ordinality.is_some(),
            };
            Built { plan: node(scan, names, types), ids }
        }
        Logical::Filter { input, predicates } => {
            let input = build(planner, input, wanted, false)?;
            let predicates = resolve_all(predicates, &input.ids)?;
            let (names, types) = (input.plan.names.clone(), input.plan.types.clone());
            let filter = Physical::Filter { input: Box::new(input.plan), predicates };
            Built { plan: node(filter, names, types), ids: input.ids }
        }
        Logical::Project { input, outputs } => build_project(planner, input, outputs, wanted, limited, rows)?,
        Logical::Join { kind, left, right, on, lateral } => {
            build_join(planner, *kind, left, right, on, lateral, rows)?
        }
        Logical::Apply { input, subquery, kind, correlations, output, data_type } => {
            let input = build(planner, input, wanted, limited)?;
            let inner_ids = subquery.outputs();
            let repeatable = !decorrelate::is_volatile_plan(subquery);
            let subquery = arrange(build(planner, subquery, &[], false)?, &inner_ids)?;
            let kind = match kind {
                SubqueryKind::Scalar => ApplyKind::Scalar,
                SubqueryKind::Exists => ApplyKind::Exists,
                SubqueryKind::Array { element } => ApplyKind::Array { element: *element },
                SubqueryKind::Quantified { comparison, all, .. } => {
                    let both: Vec<ColumnId> = input.ids.iter().chain(&subquery.ids).copied().collect();
                    let comparison = resolve(comparison, &both)?;
                    let hashed =
                        hashed(&comparison, input.ids.len(), *all).filter(|_| correlations.is_empty());
                    ApplyKind::Quantified { comparison, all: *all, hashed }
                }
            };
            let correlations = slots(correlations, &input.ids)?;
            let mut ids = input.ids;
            ids.push(*output);
            let (mut names, mut types) = (input.plan.names.clone(), input.plan.types.clone());
            names.push(super::explain::subplan_name(*output));
            types.push(*data_type);
            let apply = Apply {
                input: Box::new(input.plan),
                subquery: Box::new(subquery.plan),
                kind,
                correlations,
                data_type: *data_type,
                repeatable,
            };
            Built { plan: node(Physical::Apply(Box::new(apply)), names, types), ids }
        }
        Logical::Aggregate { input, groups, aggregates, sets } => {
            let aggregated = build_aggregate(planner, input, groups, aggregates, sets.as_ref(), rows)?;
            let is_plain = groups.is_empty() && sets.is_none();
            match extremes::looked_up(input, aggregates).filter(|_| is_plain) {
                Some(lookups) => cheaper_lookups(planner, &lookups, aggregated)?,
                None => aggregated,
            }
        }
        Logical::Window { input, order, calls } => build_window(planner, input, order, calls, rows)?,
        Logical::ProjectSet { input, calls } => {
            let Built { plan: input, mut ids } = build(planner, input, &[], false)?;
            let (mut names, mut types) = (input.names.clone(), input.types.clone());
            let mut resolved = Vec::new();
            let below = ids.clone();
            for (id, call) in calls {
                let call = resolve(call, &below)?;
                names.push(super::explain::expression(&planner.types, &call, &input.names));
                types.push(call.data_type());
                ids.push(*id);
                resolved.push(call);
            }
            let set = Physical::ProjectSet { input: Box::new(input), calls: resolved };
            Built { plan: node(set, names, types), ids }
        }
        Logical::Distinct { input, on } => {
            let input = build(planner, input, wanted, false)?;
            let keys = match on {
                Some(exprs) => resolve_all(exprs, &input.ids)?,
                None => columns_of(&input.plan),
            };
            let (names, types) = (input.plan.names.clone(), input.plan.types.clone());
            Built {
                plan: node(
                    Physical::Distinct { input: Box::new(input.plan), keys, sorted: on.is_some() },
                    names,
                    types,
                ),
                ids: input.ids,
            }
        }
        Logical::Lock { input, tables } => build_lock(planner, input, tables, wanted, limited, false)?,
        Logical::Sort { input, keys } => build_sort(planner, input, keys, limited)?,
        Logical::Limit { input, limit, offset, ties } => {
            build_limit(planner, input, limit.as_ref(), offset.as_ref(), ties, wanted, rows)?
        }
        Logical::Recursive { table, all, seed, step, columns } => {
            let (seed_ids, step_ids) = (seed.outputs(), step.outputs());
            let seed = arrange(build(planner, seed, &[], false)?, &seed_ids)?.plan;
            let step = arrange(build(planner, step, &[], false)?, &step_ids)?.plan;
            let names = seed.names.clone();
            let types = columns.iter().map(|column| column.1).collect();
            let (seed, step) = (Box::new(seed), Box::new(step));
            let recursive = Physical::Recursive { table: *table, all: *all, seed, step };
            Built {
                plan: node(recursive, names, types),
                ids: columns.iter().map(|column| column.0).collect(),
            }
        }
        Logical::Shared { table, alias, definition, columns } => {
            let inner = definition.outputs();
            let definition = Box::new(arrange(build(planner, definition, &[], false)?, &inner)?.plan);
            let ids: Vec<ColumnId> = columns.iter().map(|column| column.0).collect();
            let names = definition.names.clone();
            let types = columns.iter().map(|column| column.1).collect();
            let scan = Physical::Shared { table: *table, alias: alias.clone(), definition };
            Built { plan: node(scan, names, types), ids }
        }
        Logical::WorkingTable { table, alias, columns } => {
            let ids: Vec<ColumnId> = columns.iter().map(|column| column.0).collect();
            let names = vec![alias.clone(); ids.len()];
            let types = columns.iter().map(|column| column.1).collect();
            let scan = Physical::WorkingTable { table: *table, alias: alias.clone() };
            Built { plan: node(scan, names, types), ids }
        }
        Logical::SetOperation { kind, all, left, right, columns } => {
            let (left_ids, right_ids) = (left.outputs(), right.outputs());
            let left = arrange(build(planner, left, &[], false)?, &left_ids)?;
            let right = arrange(build(planner, right, &[], false)?, &right_ids)?;
            let names = left.plan.names.clone();
            let types = columns.iter().map(|column| column.1).collect();
            let set = Physical::SetOperation {
                kind: *kind,
                all: *all,
                left: Box::new(left.plan),
                right: Box::new(right.plan),
            };
            Built { plan: node(set, names, types), ids: columns.iter().map(|column| column.0).collect() }
        }
    })
}

fn build_window(
    planner: &Planner<'_>,
    input: &Logical,
    order: &WindowOrder,
    calls: &[(ColumnId, WindowCall)],
    rows: f64,
) -> Result<Built> {
    let in_order = build_ordered(planner, input, &order.sort_keys(), false)?;
    let sorted = in_order.is_some();
    let Built { plan: input, mut ids } = match in_order {
        Some(built) => built,
        None => build(planner, input, &[], false)?,
    };
    let mut missing = Ok(());
    let below = ids.clone();
    let mut resolve_here = |expr: &mut Expr| match resolve(expr, &below) {
        Ok(resolved) => *expr = resolved,
        Err(error) => missing = Err(error),
    };
    let mut order = order.clone();
    order.for_each_expr_mut(&mut resolve_here);
    let (mut names, mut types) = (input.names.clone(), input.types.clone());
    let mut resolved = Vec::new();
    for (id, call) in calls {
        let mut call = call.clone();
        call.for_each_expr_mut(&mut resolve_here);
        ids.push(*id);
        names.push("window".into());
        types.push(call.data_type);
        resolved.push(call);
    }
    missing?;
    let node = Physical::Window { input: Box::new(input), order, calls: resolved, sorted };
    Ok(Built { plan: PlanNode { node, rows, names, types }, ids })
}

fn columns_of(plan: &PlanNode) -> Vec<Expr> {
    plan.types
        .iter()
        .enumerate()
        .map(|(index, data_type)| Expr::Column { index, data_type: *data_type })
        .collect()
}

/// Builds a table scan; tells whether its rows come in the wanted order.
fn build_table(
    planner: &Planner<'_>,
    plan: &Logical,
    wanted: &[SortKey],
    limited: bool,
) -> Result<(Built, bool)> {
    let Logical::Table { table: entry, alias, columns, hidden, key, filters } = plan else {
        return Err(SqlError::internal("a table scan was expected"));
    };
    let (access, ordered) = access::choose(plan, wanted, limited, planner.costs);
    let key_only = key.is_none() && access::is_key_only(entry, columns, &access);
    let scan = TableScan { key_only, ..table_scan(entry, alias, columns, key.is_some(), access) };
    let read: Vec<ColumnId> = columns.iter().map(|column| column.0).chain(*key).collect();
    let filters = resolve_all(filters, &read)?;
    let columns = &columns[..columns.len() - hidden];
    let ids: Vec<ColumnId> = columns.iter().map(|column| column.0).chain(*key).collect();
    let mut names: Vec<String> = columns
        .iter()
        .map(|(_, number)| planner.column_name(alias, &entry.table.column_numbered(*number).name))
        .collect();
    let mut types: Vec<DataType> = columns
        .iter()
        .map(|(_, number)| {
            let column = entry.table.column_numbered(*number);
            DataType { oid: column.type_oid, typmod: column.type_modifier }
        })
        .collect();
    if key.is_some() {
        names.push("ctid".into());
        types.push(DataType::BYTEA);
    }
    let ordered = ordered && !wanted.is_empty();
    let scan = TableScan { filters, hidden: *hidden, ordered, ..scan };
    let plan = PlanNode { node: Physical::Table(Box::new(scan)), rows: estimate::rows(plan), names, types };
    Ok((Built { plan, ids }, ordered))
}

fn table_scan(
    entry: &Arc<TableEntry>,
    alias: &str,
    columns: &[(ColumnId, i16)],
    with_key: bool,
    access: super::physical::Access,
) -> TableScan {
    let layout = Arc::new(row_layout(&entry.table));
    let projection: Vec<usize> = columns.iter().map(|(_, number)| Table::position(*number)).collect();
    let kinds = projection.iter().map(|at| layout.columns()[*at].kind).collect();
    TableScan {
        table: entry.clone(),
        alias: alias.to_string(),
        layout,
        projection,
        kinds,
        hidden: 0,
        with_key,
        filters: Vec::new(),
        access,
        key_only: false,
        ordered: false,
        workers: 0,
    }
}

fn build_project(
    planner: &Planner<'_>,
    input: &Logical,
    outputs: &[Computed],
    wanted: &[SortKey],
    limited: bool,
    rows: f64,
) -> Result<Built> {
    // What is wanted above the projection is wanted below it, in the input's terms.
    let below: Vec<SortKey> = wanted
        .iter()
        .map(|key| SortKey {
            expr: walk::replace_columns(key.expr.clone(), &|id| {
                outputs.iter().find(|output| output.id == id).map(|output| output.expr.clone())
            }),
            ..*key
        })
        .collect();
    let input = build(planner, input, &below, limited)?;
    let mut exprs = Vec::new();
    let (mut names, mut types) = (Vec::new(), Vec::new());
    for output in outputs {
        let expr = resolve(&output.expr, &input.ids)?;
        types.push(expr.data_type());
        names.push(super::explain::expression(&planner.types, &expr, &input.plan.names));
        exprs.push(expr);
    }
    let ids = outputs.iter().map(|output| output.id).collect();
    let identity = exprs.len() == input.ids.len()
        && exprs
            .iter()
            .enumerate()
            .all(|(at, expr)| matches!(expr, Expr::Column { index, .. } if *index == at));
    if identity {
        return Ok(Built { plan: input.plan, ids });
    }
    let node = Physical::Project { input: Box::new(input.plan), exprs };
    Ok(Built { plan: PlanNode { node, rows, names, types }, ids })
}

/// The sides of a comparison with a subquery's rows, of which the input's columns come first, where it asks whether a
/// value is among them.
fn hashed(comparison: &Expr, width: usize, all: bool) -> Option<HashedSides> {
    let (is_equality, left, right) = match (as_comparison(comparison), comparison) {
        (Some((Comparison::Equal, left, right)), _) => (true, left, right),
        (None, Expr::Call(call)) if operator_name(&call.function) == Some("<>") => {
            (false, call.arguments.first()?, call.arguments.get(1)?)
        }
        _ => return None,
    };
    let reads_only = |side: &Expr, of_input: bool| {
        let mut only = !walk::is_volatile(side);
        walk::columns(side, &mut |column| only &= (column < width) == of_input);
        only
    };
    // `= ANY`, or `<> ALL`.
    let fits = is_equality != all && hashable(left.data_type(), right.data_type());
    if !fits || !reads_only(left, true) || !reads_only(right, false) {
        return None;
    }
    let element = walk::replace_columns(right.clone(), &|column| {
        let own = column.checked_sub(width)?;
        let mut data_type = None;
        walk::any(right, &mut |node| {
            if let Expr::Column { index, data_type: known } = node {
                data_type = (*index == column).then_some(*known).or(data_type);
            }
            false
        });
        Some(Expr::Column { index: own, data_type: data_type? })
    });
    Some(HashedSides { value: left.clone(), element })
}

/// Whether equality of two columns can be tested by comparing their encoded keys.
fn hashable(left: DataType, right: DataType) -> bool {
    let kind = |data_type: DataType| builtin_type(data_type.oid).map(|info| info.kind);
    let is_integer =
        |kind| matches!(kind, Some(PhysicalKind::Int16 | PhysicalKind::Int32 | PhysicalKind::Int64));
    let is_float = |kind| matches!(kind, Some(PhysicalKind::Float32 | PhysicalKind::Float64));
    let (left_kind, right_kind) = (kind(left), kind(right));
    let blank_padded = |data_type: DataType| data_type.oid == crate::types::oids::BPCHAR;
    left.oid == right.oid
        || (left_kind.is_some() && left_kind == right_kind && blank_padded(left) == blank_padded(right))
        || (is_integer(left_kind) && is_integer(right_kind))
        || (is_float(left_kind) && is_float(right_kind))
}

fn build_join(
    planner: &Planner<'_>,
    kind: JoinKind,
    left: &Logical,
    right: &Logical,
    on: &[Expr],
    lateral: &[Correlation],
    rows: f64,
) -> Result<Built> {
    // The side that the table is built from should be the smaller one.
    let exchanged = match kind {
        JoinKind::Inner | JoinKind::Full => Some(kind),
        JoinKind::Left => Some(JoinKind::Right),
        JoinKind::Right => Some(JoinKind::Left),
        // It is the right side's rows that are given then.
        JoinKind::Semi | JoinKind::Anti => Some(kind),
    };
    let is_equality = |term: &Expr| matches!(as_comparison(term), Some((Comparison::Equal, ..)));
    if let Some(exchanged) = exchanged
        && lateral.is_empty()
        && estimate::rows(left) < estimate::rows(right)
        && on.iter().any(is_equality)
    {
        return build_join_as(planner, exchanged, (right, left), true, on, lateral, rows);
    }
    build_join_as(planner, kind, (left, right), false, on, lateral, rows)
}

fn build_join_as(
    planner: &Planner<'_>,
    kind: JoinKind,
    sides: (&Logical, &Logical),
    exchanged: bool,
    on: &[Expr],
    lateral: &[Correlation],
    rows: f64,
) -> Result<Built> {
    let (left, right) = (build(planner, sides.0, &[], false)?, build(planner, sides.1, &[], false)?);
    let both: Vec<ColumnId> = left.ids.iter().chain(&right.ids).copied().collect();
    let (mut left_keys, mut right_keys, mut residual) = (Vec::new(), Vec::new(), Vec::new());
    for term in on {
        if let Some((Comparison::Equal, first, second)) = as_comparison(term)
            && lateral.is_empty()
            && hashable(first.data_type(), second.data_type())
        {
            let sides = if walk::reads_only(first, &left.ids) && walk::reads_only(second, &right.ids) {
                Some((first, second))
            } else if walk::reads_only(second, &left.ids) && walk::reads_only(first, &right.ids) {
                Some((second, first))
            } else {
                None
            };
            if let Some((of_left, of_right)) = sides {
                left_keys.push(resolve(of_left, &left.ids)?);
                right_keys.push(resolve(of_right, &right.ids)?);
                continue;
            }
        }
        residual.push(resolve(term, &both)?);
    }
    let gives_one = matches!(kind, JoinKind::Semi | JoinKind::Anti);
    let gives_right = gives_one && exchanged;
    if gives_right && left_keys.is_empty() {
        return build_join_as(planner, kind, (sides.1, sides.0), false, on, lateral, rows);
    }
    let given = if gives_right { &right } else { &left };
    let (mut names, mut types, mut ids) =
        (given.plan.names.clone(), given.plan.types.clone(), given.ids.clone());
    if !gives_one {
        names.extend(right.plan.names.iter().cloned());
        types.extend(right.plan.types.iter().copied());
        ids.extend(&right.ids);
    }
    let lateral = slots(lateral, &left.ids)?;
    let (left, right) = (Box::new(left.plan), Box::new(right.plan));
    let node = if left_keys.is_empty() {
        Physical::NestedLoop(Box::new(NestedLoop { kind, left, right, on: residual, lateral }))
    } else {
        let join = HashJoin { kind, left, right, left_keys, right_keys, residual, gives_right };
        Physical::HashJoin(Box::new(join))
    };
    Ok(Built { plan: PlanNode { node, rows, names, types }, ids })
}

fn build_aggregate(
    planner: &Planner<'_>,
    input: &Logical,
    groups: &[Computed],
    aggregates: &[(ColumnId, AggregateCall)],
    sets: Option<&GroupingSets>,
    rows: f64,
) -> Result<Built> {
    let determined = match sets {
        None => determined(input, groups),
        Some(_) => vec![false; groups.len()],
    };
    let input = build(planner, input, &[], false)?;
    let mut group_exprs = Vec::new();
    let (mut names, mut types, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for group in groups {
        let expr = resolve(&group.expr, &input.ids)?;
        names.push(super::explain::expression(&planner.types, &expr, &input.plan.names));
        types.push(expr.data_type());
        ids.push(group.id);
        group_exprs.push(expr);
    }
    let mut calls = Vec::new();
    for (id, call) in aggregates {
        let resolved = AggregateCall {
            aggregate: call.aggregate.clone(),
            arguments: resolve_all(&call.arguments, &input.ids)?,
            data_type: call.data_type,
            distinct: call.distinct,
            filter: call.filter.as_ref().map(|filter| resolve(filter, &input.ids)).transpose()?,
            order_by: resolve_keys(&call.order_by, &input.ids)?,
        };
        names.push(super::explain::aggregate(&planner.types, &resolved, &input.plan.names));
        types.push(call.data_type);
        ids.push(*id);
        calls.push(resolved);
    }
    for (id, _) in sets.iter().flat_map(|sets| &sets.groupings) {
        names.push("GROUPING".into());
        types.push(DataType::INT4);
        ids.push(*id);
    }
    let input = Box::new(input.plan);
    let (groups, aggregates, sets) = (group_exprs, calls, sets.cloned());
    let phase = Phase::Whole;
    let node = Physical::Aggregate { input, groups, determined, aggregates, sets, phase };
    Ok(Built { plan: PlanNode { node, rows, names, types }, ids })
}

/// Values that are looked up instead of aggregated, where they come in order and that costs less.
fn cheaper_lookups(planner: &Planner<'_>, lookups: &Logical, aggregated: Built) -> Result<Built> {
    fn sorts(plan: &PlanNode) -> bool {
        matches!(plan.node, Physical::Sort { .. } | Physical::TopN { .. })
            || plan.inputs().into_iter().any(sorts)
    }
    let lookups = build(planner, lookups, &[], false)?;
    let cost = |built: &Built| of_physical(&built.plan, planner.costs).total;
    let is_better = !sorts(&lookups.plan) && cost(&lookups) < cost(&aggregated);
    Ok(if is_better { lookups } else { aggregated })
}

/// A sort, unless the rows come in order by themselves.
fn build_sort(planner: &Planner<'_>, input: &Logical, keys: &[SortKey], limited: bool) -> Result<Built> {
    if let Some(ordered) = build_ordered(planner, input, keys, limited)? {
        return Ok(ordered);
    }
    let input = build(planner, input, &[], false)?;
    let keys = resolve_keys(keys, &input.ids)?;
    let (rows, names, types) = (input.plan.rows, input.plan.names.clone(), input.plan.types.clone());
    let node = Physical::Sort { input: Box::new(input.plan), keys };
    Ok(Built { plan: PlanNode { node, rows, names, types }, ids: input.ids })
}

fn same_order(keys: &[SortKey], others: &[SortKey]) -> bool {
    let same = |(key, other): (&SortKey, &SortKey)| {
        (key.descending, key.nulls_first) == (other.descending, other.nulls_first)
            && walk::same(&key.expr, &other.expr)
    };
    keys.len() == others.len() && keys.iter().zip(others).all(same)
}

/// The input built so that its rows come in order, where its table can give them so.
fn build_ordered(
    planner: &Planner<'_>,
    input: &Logical,
    keys: &[SortKey],
    limited: bool,
) -> Result<Option<Built>> {
    let mut wanted = keys.to_vec();
    let mut below = input;
    loop {
        match below {
            Logical::Project { input, outputs } => {
                for key in &mut wanted {
                    key.expr = walk::replace_columns(key.expr.clone(), &|id| {
                        outputs.iter().find(|output| output.id == id).map(|output| output.expr.clone())
                    });
                }
                below = input;
            }
            Logical::Filter { input, .. } | Logical::Apply { input, .. } => below = input,
            Logical::Table { .. } => break,
            // Its rows come in the order of its own.
            Logical::Window { order, .. } => {
                let own = order.sort_keys();
                let gives = wanted.len() <= own.len() && same_order(&own[..wanted.len()], &wanted);
                return if gives { build(planner, input, &[], limited).map(Some) } else { Ok(None) };
            }
            // The rows that a limit lets through are in its order.
            Logical::Limit { input: limited_rows, .. } => {
                return match limited_rows.as_ref() {
                    Logical::Sort { keys: own, .. } if same_order(own, &wanted) => {
                        build(planner, input, &[], limited).map(Some)
                    }
                    _ => Ok(None),
                };
            }
            _ => return Ok(None),
        }
    }
    if wanted.is_empty() {
        return build(planner, input, &[], limited).map(Some);
    }
    let (_, ordered) = build_table(planner, below, &wanted, limited)?;
    if !ordered {
        return Ok(None);
    }
    build(planner, input, keys, limited).map(Some)
}

fn build_lock(
    planner: &Planner<'_>,
    input: &Logical,
    tables: &[LockedRows],
    wanted: &[SortKey],
    limited: bool,
    one_by_one: bool,
) -> Result<Built> {
    let input = build(planner, input, wanted, limited)?;
    let tables: Result<Vec<LockedTable>> = tables
        .iter()
        .map(|LockedRows { table, key, locking }| {
            let key = position(&input.ids, *key)?;
            Ok(LockedTable { table: table.clone(), key, locking: *locking })
        })
        .collect();
    let (rows, names, types) = (input.plan.rows, input.plan.names.clone(), input.plan.types.clone());
    let node = Physical::Lock { input: Box::new(input.plan), tables: tables?, one_by_one };
    Ok(Built { plan: PlanNode { node, rows, names, types }, ids: input.ids })
}

fn build_limit(
    planner: &Planner<'_>,
    input: &Logical,
    limit: Option<&Expr>,
    offset: Option<&Expr>,
    ties: &[Expr],
    wanted: &[SortKey],
    rows: f64,
) -> Result<Built> {
    let small = matches!(limit, Some(Expr::Const { value: Datum::Int64(count), .. }) if *count <= 10_000)
        || matches!(limit, Some(Expr::Parameter { .. }));
    let (sort, projection) = match input {
        Logical::Sort { input, keys } => (Some((input, keys)), None),
        Logical::Project { input: inner, outputs } => match inner.as_ref() {
            Logical::Sort { input, keys } => (Some((input, keys)), Some(outputs)),
            _ => (None, None),
        },
        _ => (None, None),
    };
    if let (Some((below, keys)), Some(limit), None) = (sort, limit, projection)
        && small
        && ties.is_empty()
        && build_ordered(planner, below, keys, true)?.is_none()
    {
        let input = build(planner, below, &[], false)?;
        let keys = resolve_keys(keys, &input.ids)?;
        let (names, types) = (input.plan.names.clone(), input.plan.types.clone());
        let node = Physical::TopN {
            input: Box::new(input.plan),
            keys,
            limit: limit.clone(),
            offset: offset.cloned(),
        };
        return Ok(Built { plan: PlanNode { node, rows, names, types }, ids: input.ids });
    }
    let input = match input {
        Logical::Lock { input, tables } => build_lock(planner, input, tables, wanted, small, true)?,
        input => build(planner, input, wanted, small)?,
    };
    let (names, types) = (input.plan.names.clone(), input.plan.types.clone());
    let ties = resolve_all(ties, &input.ids)?;
    let node =
        Physical::Limit { input: Box::new(input.plan), limit: limit.cloned(), offset: offset.cloned(), ties };
    Ok(Built { plan: PlanNode { node, rows, names, types }, ids: input.ids })
}

/// The key columns that make rows comparable by a list of expressions.
#[must_use]
pub fn sort_columns(keys: &[SortKey]) -> Vec<KeyColumn> {
    keys.iter()
        .map(|key| {
            let data_type = key.expr.data_type();
            let kind = builtin_type(data_type.oid).map_or(PhysicalKind::Text, |info| info.kind);
            KeyColumn { data_type, kind, descending: key.descending, nulls_first: key.nulls_first }
        })
        .collect()
}
