//! WITH RECURSIVE.

use std::sync::Arc;

use sqlparser::ast::{self, SetExpr, SetOperator, SetQuantifier};

use super::query::{narrow, output_place};
use super::scope::{Level, ScopeColumn};
use super::{AggregatesIn, Binder, BoundQuery, Collector, ResultColumn, recursion, search_cycle};
use crate::error::{Result, SqlError, SqlState};
use crate::functions::registry;
use crate::plan::logical::{ColumnId, Correlation, Logical};
use crate::types::{DataType, format_type, oids};

/// A recursive query's own rows, while its step is bound.
#[derive(Clone)]
pub(super) struct Working {
    pub(super) table: usize,
    pub(super) columns: Vec<(String, DataType)>,
    /// What it carries along for SEARCH and CYCLE, under the numbers that these columns have where it is read.
    pub(super) hidden: Vec<(ColumnId, DataType)>,
}

impl Binder<'_> {
    /// Binds the common table at `position`, whose query names itself.
    pub(super) fn bind_recursive(
        &mut self,
        position: usize,
        query: &Arc<ast::Query>,
    ) -> Result<(BoundQuery, Vec<Correlation>)> {
        self.levels.push(Level::default());
        self.collectors.push(Collector::new(AggregatesIn::Query, &self.levels));
        let bound = self.deeper(|binder| binder.recursive_union(position, query));
        self.collectors.pop();
        let level = self.levels.pop().unwrap_or_default();
        Ok((bound?, level.correlations))
    }

    fn recursive_union(&mut self, position: usize, query: &ast::Query) -> Result<BoundQuery> {
        let name = self.common_tables[position].name.clone();
        let wrong_form = || {
            SqlError::new(
                SqlState::INVALID_RECURSION,
                format!(
                    "recursive query \"{name}\" does not have the form non-recursive-term UNION [ALL] recursive-term"
                ),
            )
        };
        let SetExpr::SetOperation { left, op: SetOperator::Union, set_quantifier, right } =
            query.body.as_ref()
        else {
            return Err(self.locate(wrong_form(), self.common_tables[position].location));
        };
        let is_aggregate = |base: &str| !registry().aggregates(base).is_empty();
        recursion::check(&name, query, &is_aggregate)
            .map_err(|(error, location)| self.locate(error, location))?;
        let common_before = self.common_tables.len();
        if let Some(with) = &query.with {
            self.bind_with(with, query)?;
        }
        self.common_tables[position].working = None;
        let seed = self.bind_set_expr(left)?;
        let wanted: Vec<DataType> =
            seed.columns.iter().map(|(_, column)| settled(column.data_type)).collect();
        let seed = self.convert_columns(seed, &wanted, crate::functions::CastContext::Implicit)?;
        let given = self.common_tables[position].columns.clone();
        let columns = seed
            .columns
            .iter()
            .enumerate()
            .map(|(at, (_, column))| (given.get(at).unwrap_or(&column.name).clone(), column.data_type));
        let columns: Vec<(String, DataType)> = columns.collect();
        let names: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
        let following = self.common_tables[position].following.clone();
        if !following.is_empty() {
            let place = self.common_tables[position].location;
            search_cycle::check_form(&name, left, right).map_err(|error| self.locate(error, place))?;
        }
        let carried = self.carried(&following, &names, &seed)?;
        let seed = if following.is_empty() { seed } else { self.carry_first(seed, &carried) };
        let table = self.next_working_table;
        self.next_working_table += 1;
        let hidden = seed.columns[names.len()..].iter().map(|(_, column)| (0, column.data_type)).collect();
        self.common_tables[position].working = Some(Working { table, columns, hidden });
        let step = self.bind_set_expr(right);
        let working = self.common_tables[position].working.take();
        self.common_tables.truncate(common_before);
        let mut step = step?;
        if let Some(working) = working.filter(|_| !following.is_empty()) {
            step = self.carry_through(step, &working, &carried)?;
        }
        let mut step = self.fitting_step(&name, &seed, step, left)?;
        if !following.is_empty() {
            step = self.carry_on(&following, &names, step, &carried)?;
        }
        let all = *set_quantifier == SetQuantifier::All;
        let (seed_plan, step_plan) = (Box::new(narrow(&seed)), Box::new(narrow(&step)));
        let mut ids = Vec::new();
        let mut columns = Vec::new();
        for (_, column) in seed.columns {
            let id = self.column_id();
            ids.push((id, column.data_type));
            columns.push((id, ResultColumn { source: None, ..column }));
        }
        let plan = Logical::Recursive { table, all, seed: seed_plan, step: step_plan, columns: ids };
        Ok(self.carried_result(&following, &names, BoundQuery { plan, columns }))
    }

    /// The step with the seed's types.
    fn fitting_step(
        &mut self,
        name: &str,
        seed: &BoundQuery,
        step: BoundQuery,
        written: &SetExpr,
    ) -> Result<BoundQuery> {
        if seed.columns.len() != step.columns.len() {
            return Err(SqlError::syntax("each UNION query must have the same number of columns"));
        }
        let mut wanted = Vec::new();
        for (at, ((_, seed), (_, step))) in seed.columns.iter().zip(&step.columns).enumerate() {
            let exprs = [seed.data_type, step.data_type]
                .map(|data_type| crate::expr::Expr::Column { index: 0, data_type });
            let common = self.common(&exprs, "UNION")?;
            if common != seed.data_type {
                let shown = |data_type: DataType| format_type(data_type, &self.types());
                let error = SqlError::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "recursive query \"{name}\" column {} has type {} in non-recursive term but type {} overall",
                        at + 1,
                        shown(seed.data_type),
                        shown(common)
                    ),
                )
                .with_hint("Cast the output of the non-recursive term to the correct type.");
                return Err(self.locate(error, output_place(written, at)));
            }
            wanted.push(seed.data_type);
        }
        self.convert_columns(step, &wanted, crate::functions::CastContext::Implicit)
    }

    /// The recursive query's name within itself.
    pub(super) fn bind_working_table(
        &mut self,
        position: usize,
    ) -> Result<Option<(Logical, Vec<ScopeColumn>)>> {
        let name = self.common_tables[position].name.clone();
        let Some(working) = self.common_tables[position].working.clone() else { return Ok(None) };
        let mut ids = Vec::new();
        let mut columns = Vec::new();
        for (column, data_type) in working.columns {
            let id = self.column_id();
            ids.push((id, data_type));
            columns.push(ScopeColumn { id, name: column, data_type, source: None });
        }
        let mut hidden = working.hidden;
        for (id, data_type) in &mut hidden {
            *id = self.column_id();
            ids.push((*id, *data_type));
        }
        if let Some(working) = &mut self.common_tables[position].working {
            working.hidden = hidden;
        }
        let plan = Logical::WorkingTable { table: working.table, alias: name, columns: ids };
        Ok(Some((plan, columns)))
    }
}

fn settled(data_type: DataType) -> DataType {
    if data_type.oid == oids::UNKNOWN { DataType::TEXT } else { data_type }
}
