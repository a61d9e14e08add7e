//! Aggregation: by hashing the grouped values; one group where nothing is grouped.
//!
//! Each aggregate call keeps the states of all groups in one object, fed with columns and group numbers. FILTER
//! and DISTINCT are applied here; calls with ORDER BY keep their rows until the end.

use std::collections::{HashMap, HashSet};

use super::keys::{append_row_key, equality_columns, evaluate};
use super::values::builders;
use super::{BoxFuture, Execution, Operator};
use crate::error::Result;
use crate::expr::Expr;
use crate::functions::{AggregateState, CallTypes};
use crate::plan::logical::{AggregateCall, GroupingSets};
use crate::types::DataType;
use crate::value::key::{self, KeyColumn};
use crate::value::{BATCH_ROWS, Batch, Column, ColumnBuilder, Datum};

struct Call {
    call: AggregateCall,
    argument_types: Vec<DataType>,
    state: Box<dyn AggregateState>,
    /// The values seen, by group, for DISTINCT.
    seen: HashSet<(u32, Vec<u8>)>,
    distinct_keys: Vec<KeyColumn>,
    /// The rows of a call with ORDER BY: group, sort key, arguments.
    held: Vec<(u32, Vec<u8>, Vec<Datum>)>,
    order_columns: Vec<KeyColumn>,
}

/// Groups rows and aggregates them.
pub struct Aggregation {
    input: Box<dyn Operator>,
    groups: Vec<Expr>,
    keys: Vec<KeyColumn>,
    calls: Vec<Call>,
    /// The ways to group; each at least once.
    sets: Vec<Vec<usize>>,
    groupings: Vec<Vec<usize>>,
    /// Of each group, by which set it is one.
    set_of: Vec<u32>,
    numbers: HashMap<Vec<u8>, u32>,
    /// The grouped values, group by group.
    values: Vec<Vec<Datum>>,
    next: Option<usize>,
}

impl Aggregation {
    pub fn new(
        input: Box<dyn Operator>,
        groups: Vec<Expr>,
        aggregates: Vec<AggregateCall>,
        sets: Option<GroupingSets>,
    ) -> Aggregation {
        let (sets, groupings) = match sets {
            Some(GroupingSets { sets, groupings }) => {
                (sets, groupings.into_iter().map(|(_, groups)| groups).collect())
            }
            None => (vec![(0..groups.len()).collect()], Vec::new()),
        };
        let keys = equality_columns(&groups);
        let calls = aggregates
            .into_iter()
            .map(|call| {
                let argument_types: Vec<DataType> = call.arguments.iter().map(Expr::data_type).collect();
                let types = CallTypes { arguments: &argument_types, result: call.data_type };
                Call {
                    state: (call.aggregate.init)(&types),
                    distinct_keys: equality_columns(&call.arguments),
                    order_columns: crate::plan::sort_columns(&call.order_by),
                    argument_types,
                    seen: HashSet::new(),
                    held: Vec::new(),
                    call,
                }
            })
            .collect();
        Aggregation {
            input,
            groups,
            keys,
            calls,
            sets,
            groupings,
            set_of: Vec::new(),
            numbers: HashMap::new(),
            values: Vec::new(),
            next: None,
        }
    }

    async fn run(&mut self, execution: &mut Execution) -> Result<()> {
        // All rows together are a group even where there is none.
        for set in 0..self.sets.len() {
            if self.sets[set].is_empty() {
                self.number_key(set, set_key(set), vec![Datum::Null; self.groups.len()]);
            }
        }
        self.resize();
        while let Some(batch) = self.input.next(execution).await? {
            let columns = evaluate(&self.groups, &batch, execution)?;
            for set in 0..self.sets.len() {
                let numbers = self.number(set, &columns, batch.row_count);
                self.resize();
                for call in &mut self.calls {
                    call.add(&batch, &numbers, execution)?;
                }
            }
        }
        for call in &mut self.calls {
            call.flush(execution)?;
        }
        Ok(())
    }

    fn resize(&mut self) {
        let count = self.values.len();
        self.calls.iter_mut().for_each(|call| call.state.resize(count));
    }

    /// The group of each row, in one way to group.
    fn number(&mut self, set: usize, columns: &[Column], row_count: usize) -> Vec<u32> {
        let mut numbers = Vec::with_capacity(row_count);
        let members = self.sets[set].clone();
        let mut key = Vec::new();
        for row in 0..row_count {
            key.clear();
            key.extend(set_key(set));
            for member in &members {
                key::encode(&self.keys[*member], &columns[*member].get(row), &mut key);
            }
            let number = match self.numbers.get(&key) {
                Some(number) => *number,
                None => {
                    let mut values = vec![Datum::Null; columns.len()];
                    for member in &members {
                        values[*member] = columns[*member].get(row);
                    }
                    self.number_key(set, key.clone(), values)
                }
            };
            numbers.push(number);
        }
        numbers
    }

    /// Begins a group.
    fn number_key(&mut self, set: usize, key: Vec<u8>, values: Vec<Datum>) -> u32 {
        let number = self.values.len() as u32;
        self.values.push(values);
        self.set_of.push(set as u32);
        self.numbers.insert(key, number);
        number
    }

    /// What a GROUPING call gives for a group.
    fn grouping(&self, named: &[usize], group: usize) -> Datum {
        let set = &self.sets[self.set_of[group] as usize];
        Datum::Int32(named.iter().fold(0, |bits, group| bits << 1 | i32::from(!set.contains(group))))
    }

    fn batch(&mut self, execution: &Execution) -> Result<Option<Batch>> {
        let start = self.next.unwrap_or(0);
        let end = (start + BATCH_ROWS).min(self.values.len());
        if start >= end {
            return Ok(None);
        }
        let context = execution.context();
        let group_types = self.groups.iter().map(Expr::data_type);
        let types: Vec<DataType> =
            group_types.chain(self.calls.iter().map(|call| call.call.data_type)).collect();
        let groupings = self.groupings.iter().map(|_| DataType::INT4);
        let types: Vec<DataType> = types.into_iter().chain(groupings).collect();
        let mut builders = builders(&types, end - start, execution)?;
        let width = self.groups.len();
        for group in start..end {
            for (builder, value) in builders.iter_mut().zip(&self.values[group]) {
                builder.push(value.clone())?;
            }
            for (builder, call) in builders[width..].iter_mut().zip(&self.calls) {
                builder.push(call.state.finish(group, &context)?)?;
            }
            for (builder, named) in builders[width + self.calls.len()..].iter_mut().zip(&self.groupings) {
                builder.push(self.grouping(named, group))?;
            }
        }
        self.next = Some(end);
        Ok(Some(Batch::new(builders.into_iter().map(ColumnBuilder::finish).collect(), end - start)))
    }
}

/// Keeps the groups of one way apart from those of the others.
fn set_key(set: usize) -> Vec<u8> {
    (set as u16).to_be_bytes().to_vec()
}

impl Call {
    fn add(&mut self, batch: &Batch, numbers: &[u32], execution: &Execution) -> Result<()> {
        let context = execution.context();
        let filtered;
        let (batch, numbers) = match &self.call.filter {
            None => (batch, numbers),
            Some(filter) => {
                let kept = filter.filter_batch(batch, &context)?;
                filtered = (
                    batch.gather(&kept),
                    kept.iter().map(|row| numbers[*row as usize]).collect::<Vec<u32>>(),
                );
                (&filtered.0, filtered.1.as_slice())
            }
        };
        let mut arguments = evaluate(&self.call.arguments, batch, execution)?;
        let mut numbers = numbers.to_vec();
        let mut rows: Option<Vec<u32>> = None;
        if self.call.distinct {
            let mut fresh = Vec::new();
            for (row, number) in numbers.iter().enumerate() {
                let mut key = Vec::new();
                append_row_key(&self.distinct_keys, &arguments, row, false, &mut key);
                if self.seen.insert((*number, key)) {
                    fresh.push(row as u32);
                }
            }
            arguments = arguments.iter().map(|column| column.gather(&fresh)).collect();
            numbers = fresh.iter().map(|row| numbers[*row as usize]).collect();
            rows = Some(fresh);
        }
        if self.call.order_by.is_empty() {
            return self.state.accumulate(&numbers, &arguments, &context);
        }
        let exprs: Vec<Expr> = self.call.order_by.iter().map(|key| key.expr.clone()).collect();
        let keys = evaluate(&exprs, batch, execution)?;
        for (at, number) in numbers.iter().enumerate() {
            let row = rows.as_ref().map_or(at, |rows| rows[at] as usize);
            let mut encoded = Vec::new();
            for (column, values) in self.order_columns.iter().zip(&keys) {
                key::encode(column, &values.get(row), &mut encoded);
            }
            self.held.push((*number, encoded, arguments.iter().map(|column| column.get(at)).collect()));
        }
        Ok(())
    }

    /// Feeds the rows that waited for their order.
    fn flush(&mut self, execution: &Execution) -> Result<()> {
        let mut held = std::mem::take(&mut self.held);
        held.sort_by(|left, right| left.1.cmp(&right.1));
        for rows in held.chunks(BATCH_ROWS) {
            let numbers: Vec<u32> = rows.iter().map(|row| row.0).collect();
            let mut arguments = Vec::new();
            for (at, data_type) in self.argument_types.iter().enumerate() {
                let mut builder = ColumnBuilder::new(execution.kind_of(*data_type)?, rows.len());
                for row in rows {
                    builder.push(row.2[at].clone())?;
                }
                arguments.push(builder.finish());
            }
            self.state.accumulate(&numbers, &arguments, &execution.context())?;
        }
        Ok(())
    }
}

impl Operator for Aggregation {
    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(async move {
            if self.next.is_none() {
                self.run(execution).await?;
                self.next = Some(0);
            }
            self.batch(execution)
        })
    }
}
