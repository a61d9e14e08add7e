//! GROUP BY with GROUPING SETS, ROLLUP and CUBE, and GROUPING.

use sqlparser::ast::{self, Spanned};
use sqlparser::tokenizer::Location;

use super::call::argument_expr;
use super::select::Output;
use super::{Binder, name};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::parser::{GROUPING_SETS, NO_GROUPS, marked};
use crate::plan::logical::{Computed, GroupingSets};
use crate::plan::walk;
use crate::types::DataType;

/// PostgreSQL's limit too.
const SETS_MAX: usize = 4096;
/// A cube over more has too many sets.
const CUBE_MAX: usize = 12;

/// One way to group.
type Set = Vec<Expr>;

/// A GROUPING call of a query, where its arguments stand, and the column that the aggregation gives for it.
pub(super) struct GroupingCall {
    id: crate::plan::logical::ColumnId,
    arguments: Vec<Expr>,
    places: Vec<Location>,
}

impl Binder<'_> {
    /// The ways to group that one element of GROUP BY stands for.
    pub(super) fn grouping_element(
        &mut self,
        element: &ast::Expr,
        select: &ast::Select,
        outputs: &[Output],
    ) -> Result<Vec<Set>> {
        match element {
            ast::Expr::Rollup(lists) => {
                let lists = self.grouping_lists(lists, select, outputs)?;
                Ok((0..=lists.len()).rev().map(|count| lists[..count].concat()).collect())
            }
            ast::Expr::Cube(lists) => {
                if lists.len() > CUBE_MAX {
                    return Err(too_many());
                }
                let lists = self.grouping_lists(lists, select, outputs)?;
                let all = 0..1usize << lists.len();
                let chosen = |bits: usize| {
                    let members = lists.iter().enumerate();
                    let members = members.filter(move |(at, _)| bits >> at & 1 == 1);
                    members.flat_map(|(_, list)| list.clone()).collect()
                };
                Ok(all.rev().map(chosen).collect())
            }
            ast::Expr::GroupingSets(lists) => {
                let mut sets = Vec::new();
                for list in lists {
                    match list.as_slice() {
                        [
                            nested @ (ast::Expr::Rollup(_) | ast::Expr::Cube(_) | ast::Expr::GroupingSets(_)),
                        ] => {
                            sets.extend(self.grouping_element(nested, select, outputs)?);
                        }
                        [ast::Expr::Function(call)] if let Some(nested) = as_grouping(call)? => {
                            sets.extend(self.grouping_element(&nested, select, outputs)?);
                        }
                        list => sets.push(self.grouping_list(list, select, outputs)?),
                    }
                }
                Ok(sets)
            }
            ast::Expr::Tuple(list) => Ok(vec![self.grouping_list(list, select, outputs)?]),
            plain => Ok(vec![vec![self.bind_group(plain, select, outputs)?]]),
        }
    }

    fn grouping_lists(
        &mut self,
        lists: &[Vec<ast::Expr>],
        select: &ast::Select,
        outputs: &[Output],
    ) -> Result<Vec<Set>> {
        lists.iter().map(|list| self.grouping_list(list, select, outputs)).collect()
    }

    fn grouping_list(&mut self, list: &[ast::Expr], select: &ast::Select, outputs: &[Output]) -> Result<Set> {
        list.iter().map(|expr| self.bind_group(expr, select, outputs)).collect()
    }

    /// GROUPING, of this query, or of one around it whose columns its arguments are.
    pub(super) fn bind_grouping_call(&mut self, list: &[ast::FunctionArg]) -> Result<Expr> {
        let before = self.note_outer_reads();
        let bound: Result<Vec<Expr>> =
            list.iter().map(|argument| self.bind(super::call::argument_expr(argument)?)).collect();
        let mut is_own = bound.is_err();
        for argument in bound.iter().flatten() {
            walk::columns(argument, &mut |_| is_own = true);
        }
        let own = self.levels.len().saturating_sub(1);
        let read = |level: &usize| !self.levels[level + 1].correlations.is_empty();
        let outer = if is_own { None } else { (0..own).rev().find(read) };
        self.end_outer_reads(before, outer.is_none());
        let Some(level) = outer else {
            let places = list.iter().map(|argument| Spanned::span(argument).start).collect();
            return self.bind_grouping(bound?, places);
        };
        let bound = self.at_level(level, |binder| binder.bind_grouping_call(list))?;
        Ok(match bound {
            Expr::Column { index, data_type } => self.outer_reference(level, index, data_type),
            // Of a level that is further out still.
            other => other,
        })
    }

    /// A GROUPING call: a column that the aggregation will give.
    fn bind_grouping(&mut self, arguments: Vec<Expr>, places: Vec<Location>) -> Result<Expr> {
        let id = self.column_id();
        match self.collectors.last_mut() {
            Some(collector) => collector.groupings.push(GroupingCall { id, arguments, places }),
            None => return Err(not_grouped()),
        }
        Ok(Expr::Column { index: id, data_type: DataType::INT4 })
    }

    /// 42803 for an argument of a GROUPING call.
    pub(super) fn not_grouped_in(&self, call: &GroupingCall, argument: usize) -> SqlError {
        match call.places.get(argument).filter(|place| place.line > 0) {
            Some(place) => self.locate(not_grouped(), *place),
            None => not_grouped(),
        }
    }

    /// The sets in the terms of the groups, with the GROUPING calls of the query.
    pub(super) fn grouping_sets(
        &mut self,
        sets: Option<Vec<Set>>,
        groups: &[Computed],
    ) -> Result<Option<GroupingSets>> {
        let position = |expr: &Expr| groups.iter().position(|group| walk::same(&group.expr, expr));
        let calls = self.collectors.last_mut().map(|c| std::mem::take(&mut c.groupings)).unwrap_or_default();
        let mut groupings = Vec::new();
        for call in calls {
            let mut named = Vec::with_capacity(call.arguments.len());
            for (at, argument) in call.arguments.iter().enumerate() {
                named.push(position(argument).ok_or_else(|| self.not_grouped_in(&call, at))?);
            }
            groupings.push((call.id, named));
        }
        if sets.is_none() && groupings.is_empty() {
            return Ok(None);
        }
        let sets = match sets {
            Some(sets) => sets
                .iter()
                .map(|set| {
                    let mut members: Vec<usize> = set.iter().filter_map(position).collect();
                    members.sort_unstable();
                    members.dedup();
                    members
                })
                .collect(),
            None => vec![(0..groups.len()).collect()],
        };
        Ok(Some(GroupingSets { sets, groupings }))
    }
}

/// ROLLUP or CUBE within GROUPING SETS, where the parser takes it for a function.
fn as_grouping(call: &ast::Function) -> Result<Option<ast::Expr>> {
    let (schema, base) = name::split(&call.name)?;
    let ast::FunctionArguments::List(list) = &call.args else { return Ok(None) };
    let is_nested = matches!(call.name.0.as_slice(), [part]
        if part.as_ident().and_then(marked) == Some(GROUPING_SETS));
    if schema.is_some() || !(is_nested || matches!(base.as_str(), "rollup" | "cube")) {
        return Ok(None);
    }
    let mut lists = Vec::new();
    for argument in &list.args {
        lists.push(match argument_expr(argument)? {
            ast::Expr::Tuple(list) => list.clone(),
            ast::Expr::Identifier(word) if marked(word) == Some(NO_GROUPS) => Vec::new(),
            ast::Expr::Nested(inner) => vec![(**inner).clone()],
            expr => vec![expr.clone()],
        });
    }
    if is_nested {
        return Ok(Some(ast::Expr::GroupingSets(lists)));
    }
    Ok(Some(if base == "rollup" { ast::Expr::Rollup(lists) } else { ast::Expr::Cube(lists) }))
}

/// Each way of one element with each way of the next.
///
/// # Errors
/// 54001 for too many of them.
pub(super) fn crossed(elements: Vec<Vec<Set>>) -> Result<Vec<Set>> {
    let mut sets: Vec<Set> = vec![Vec::new()];
    for element in elements {
        if sets.len() * element.len() > SETS_MAX {
            return Err(too_many());
        }
        sets = sets
            .iter()
            .flat_map(|set| element.iter().map(move |more| set.iter().chain(more).cloned().collect()))
            .collect();
    }
    Ok(sets)
}

/// The sets without those that are there before.
pub(super) fn distinct(sets: Vec<Set>) -> Vec<Set> {
    let within =
        |left: &Set, right: &Set| left.iter().all(|one| right.iter().any(|other| walk::same(one, other)));
    let mut kept: Vec<Set> = Vec::new();
    for set in sets {
        if !kept.iter().any(|other| within(&set, other) && within(other, &set)) {
            kept.push(set);
        }
    }
    kept
}

fn too_many() -> SqlError {
    SqlError::new(
        SqlState::STATEMENT_TOO_COMPLEX,
        format!("too many grouping sets present (maximum {SETS_MAX})"),
    )
}

/// 42803.
fn not_grouped() -> SqlError {
    SqlError::new(
        SqlState::GROUPING_ERROR,
        "arguments to GROUPING must be grouping expressions of the associated query level",
    )
}
