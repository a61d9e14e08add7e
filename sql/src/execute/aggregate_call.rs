//! One call of an aggregate, over all groups at hand: FILTER, DISTINCT and ORDER BY are applied here.
//!
//! Of DISTINCT values those seen are kept by group, as long as the caller says that there is room; what may be new after
//! that is sorted at the end, so that equal values come together. Rows of a call with ORDER BY are sorted at the end too.

use super::Execution;
use super::key_table::{KeyTable, Sought};
use super::keys::{append_row_key, equality_column, equality_columns, evaluate};
use super::sorter::Sorter;
use crate::error::Result;
use crate::expr::Expr;
use crate::functions::{AggregateState, CallTypes, EvalContext};
use crate::plan::logical::AggregateCall;
use crate::types::DataType;
use crate::value::key::KeyColumn;
use crate::value::{BATCH_ROWS, Batch, Column, ColumnData, Datum};

/// A call with the states of its groups.
pub struct Call {
    pub call: AggregateCall,
    state: Box<dyn AggregateState>,
    seen: KeyTable,
    distinct_keys: Vec<KeyColumn>,
    order: Vec<Expr>,
    /// Rows that wait for their order: arguments, and the number of the group behind them.
    sorter: Option<Sorter>,
}

impl Call {
    pub fn new(call: AggregateCall) -> Call {
        let argument_types: Vec<DataType> = call.arguments.iter().map(Expr::data_type).collect();
        let types = CallTypes { arguments: &argument_types, result: call.data_type };
        Call {
            state: (call.aggregate.init)(&types),
            seen: KeyTable::default(),
            distinct_keys: equality_columns(&call.arguments),
            order: call.order_by.iter().map(|key| key.expr.clone()).collect(),
            sorter: None,
            call,
        }
    }

    /// Has states for so many groups.
    pub fn resize(&mut self, groups: usize) {
        self.state.resize(groups);
    }

    /// Bytes of memory that the states take, and what DISTINCT keeps.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.state.memory_bytes() + self.seen.memory_bytes()
    }

    /// Adds rows, each with the number of its group; `has_room` says whether more distinct values may be kept.
    ///
    /// # Errors
    /// Those of evaluating and accumulating; those of a temporary file.
    pub async fn add(
        &mut self,
        batch: &Batch,
        numbers: &[u32],
        has_room: bool,
        execution: &mut Execution,
    ) -> Result<()> {
        let filtered;
        let (batch, numbers) = match &self.call.filter {
            None => (batch, numbers),
            Some(filter) => {
                let kept = filter.filter_batch(batch, &execution.context())?;
                filtered = (
                    batch.gather(&kept),
                    kept.iter().map(|row| numbers[*row as usize]).collect::<Vec<u32>>(),
                );
                (&filtered.0, filtered.1.as_slice())
            }
        };
        let arguments = evaluate(&self.call.arguments, batch, execution)?;
        if !self.call.distinct && self.order.is_empty() {
            return self.state.accumulate(numbers, &arguments, &execution.context());
        }
        let (mut ready, mut waiting) = self.new_rows(&arguments, numbers, has_room);
        if !self.order.is_empty() {
            waiting.append(&mut ready);
            waiting.sort_unstable();
        }
        if !ready.is_empty() {
            let (numbers, arguments) = chosen(numbers, &arguments, &ready);
            self.state.accumulate(&numbers, &arguments, &execution.context())?;
        }
        if waiting.is_empty() {
            return Ok(());
        }
        let order = evaluate(&self.order, batch, execution)?;
        let order: Vec<Column> = order.iter().map(|column| column.gather(&waiting)).collect();
        let (numbers, arguments) = chosen(numbers, &arguments, &waiting);
        self.wait(order, numbers, arguments, execution).await
    }

    /// The rows whose values did not come before in their group, and those of which that is not known.
    fn new_rows(&mut self, arguments: &[Column], numbers: &[u32], has_room: bool) -> (Vec<u32>, Vec<u32>) {
        if !self.call.distinct {
            return ((0..numbers.len() as u32).collect(), Vec::new());
        }
        // All keys first, then all hashes, then all look-ups: the processor waits for the table's memory several times at once.
        let (mut keys, mut ends) = (Vec::new(), Vec::with_capacity(numbers.len()));
        for (row, number) in numbers.iter().enumerate() {
            keys.extend_from_slice(&number.to_be_bytes());
            append_row_key(&self.distinct_keys, arguments, row, false, &mut keys);
            ends.push(keys.len());
        }
        let mut start = 0;
        let sought: Vec<Sought<'_>> =
            ends.iter().map(|end| Sought::new(&keys[std::mem::replace(&mut start, *end)..*end])).collect();
        let hashes: Vec<u64> = sought.iter().map(Sought::hash).collect();
        let (mut new, mut unknown) = (Vec::new(), Vec::new());
        for (row, (sought, hash)) in sought.iter().zip(&hashes).enumerate() {
            if self.seen.find_sought(*hash, sought).is_some() {
                continue;
            }
            if has_room {
                self.seen.insert_sought(*hash, sought);
                new.push(row as u32);
            } else {
                unknown.push(row as u32);
            }
        }
        (new, unknown)
    }

    /// What distinct rows have in common: the group, then the arguments.
    fn identity(&self) -> Vec<KeyColumn> {
        let mut identity = vec![equality_column(DataType::INT8)];
        identity.extend(&self.distinct_keys);
        identity
    }

    async fn wait(
        &mut self,
        order: Vec<Column>,
        numbers: Vec<u32>,
        arguments: Vec<Column>,
        execution: &mut Execution,
    ) -> Result<()> {
        let count = numbers.len();
        let numbers = numbers.into_iter().map(i64::from).collect();
        let numbers = Column::new(ColumnData::Int64(numbers), None);
        let mut keys = crate::plan::sort_columns(&self.call.order_by);
        let mut values = order;
        if self.call.distinct {
            keys.extend(self.identity());
            values.push(numbers.clone());
            values.extend(arguments.iter().cloned());
        }
        let mut columns = arguments;
        columns.push(numbers);
        let sorter = match &mut self.sorter {
            Some(sorter) => sorter,
            none => none.insert(Sorter::new(keys, execution)),
        };
        sorter.add(&values, Batch::new(columns, count), execution).await
    }

    /// Feeds the rows that waited for their order.
    ///
    /// # Errors
    /// As [`Call::add`].
    pub async fn flush(&mut self, execution: &mut Execution) -> Result<()> {
        let Some(mut sorter) = self.sorter.take() else { return Ok(()) };
        sorter.finish(execution).await?;
        let identity = self.identity();
        let (mut last, mut key) = (Vec::new(), Vec::new());
        let mut reservation = execution.memory().reserve();
        let (mut rows_since, mut groups_known) = (0, 0);
        while let Some(batch) = sorter.next(BATCH_ROWS, execution).await? {
            let mut arguments = batch.columns;
            let Some(numbers) = arguments.pop() else { return Ok(()) };
            let groups: Vec<u32> =
                (0..batch.row_count).map(|row| numbers.get(row).as_i64().unwrap_or(0) as u32).collect();
            // Counting takes a step for each group.
            rows_since += batch.row_count;
            groups_known = groups.iter().fold(groups_known, |most, group| most.max(*group as usize + 1));
            if rows_since >= groups_known / 8 {
                rows_since = 0;
                reservation.set_state(self.state.memory_bytes())?;
            }
            if !self.call.distinct {
                self.state.accumulate(&groups, &arguments, &execution.context())?;
                continue;
            }
            let mut values = vec![numbers];
            values.extend(arguments.iter().cloned());
            let mut new = Vec::new();
            for row in 0..batch.row_count {
                key.clear();
                append_row_key(&identity, &values, row, false, &mut key);
                if key != last {
                    new.push(row as u32);
                    std::mem::swap(&mut key, &mut last);
                }
            }
            let (groups, arguments) = chosen(&groups, &arguments, &new);
            self.state.accumulate(&groups, &arguments, &execution.context())?;
        }
        Ok(())
    }

    /// Adds what the same call gathered of other rows: its group `i` to group `numbers[i]`.
    ///
    /// # Errors
    /// Those of the aggregate.
    pub fn merge(&mut self, other: &Call, numbers: &[u32]) -> Result<()> {
        self.state.merge(&*other.state, numbers)
    }

    /// A group's result.
    ///
    /// # Errors
    /// Those of the aggregate.
    pub fn result(&self, group: usize, context: &EvalContext<'_>) -> Result<Datum> {
        self.state.finish(group, context)
    }
}

fn chosen(numbers: &[u32], arguments: &[Column], rows: &[u32]) -> (Vec<u32>, Vec<Column>) {
    (
        rows.iter().map(|row| numbers[*row as usize]).collect(),
        arguments.iter().map(|column| column.gather(rows)).collect(),
    )
}
