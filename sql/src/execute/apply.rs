//! Subqueries in expressions: run for each row, or once where nothing ties them to the row.

use std::sync::Arc;

use super::apply_together::Together;
use super::key_filter::KeyFilter;
use super::key_table::{KeyTable, hash_of};
use super::keys::{append_row_key, wide_equality_column};
use super::memo::Memo;
use super::memory::Reservation;
use super::nested_loop::set_slot;
use super::{BoxFuture, Execution, Operator, RowStore, renewed, store};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::make_array;
use crate::plan::logical::TableFunction;
use crate::plan::physical::{Apply, ApplyKind, HashedSides, Physical, PlanNode};
use crate::types::DataType;
use crate::value::{Batch, Column, ColumnBuilder, Datum, KeyColumn};

/// Adds a subquery's result as a column.
pub struct ApplyOperator {
    input: Box<dyn Operator>,
    subquery: PlanNode,
    subquery_number: usize,
    /// What ran last.
    operator: Option<Box<dyn Operator>>,
    repeatable: bool,
    /// It is computed for many rows together, where answers are not kept or cost little.
    together: Option<Together>,
    kind: ApplyKind,
    /// The input's columns.
    width: usize,
    correlations: Vec<(usize, usize)>,
    data_type: DataType,
    /// It runs once: nothing ties it to the row, and it changes nothing.
    runs_once: bool,
    /// What a subquery that runs once gave.
    cached: Option<Answer>,
    input_types: Vec<DataType>,
    memo: Memory,
}

/// Whether answers are kept by what was asked.
enum Memory {
    Untried,
    Kept(Box<Memo>),
    Useless,
}

/// 21000: a subquery that should give one value gives several.
pub(super) fn too_many_rows() -> SqlError {
    let message = "more than one row returned by a subquery used as an expression";
    SqlError::new(SqlState::CARDINALITY_VIOLATION, message)
}

impl Memory {
    fn begin(kind: &ApplyKind, repeatable: bool) -> Memory {
        match kind {
            ApplyKind::Scalar | ApplyKind::Exists if repeatable => Memory::Untried,
            _ => Memory::Useless,
        }
    }
}

/// Whether a plan is a call that has to be made for each row.
fn is_volatile(plan: &PlanNode) -> bool {
    matches!(&plan.node, Physical::Function { calls, .. } if calls.iter().any(TableFunction::is_volatile))
}

#[derive(Clone)]
enum Answer {
    Value(Datum),
    /// The rows that a comparison runs over.
    Rows(Arc<RowStore>),
    /// Those by value, where that is what is asked for and there is memory for it.
    Members(Arc<Members>),
}

/// The values of a subquery.
struct Members {
    keys: KeyTable,
    key_column: KeyColumn,
    has_null: bool,
    is_empty: bool,
    reservation: Reservation,
}

impl Members {
    /// Enters the values of stored rows; `None` where they take more memory than a hash table may.
    async fn of(rows: &RowStore, sides: &HashedSides, execution: &mut Execution) -> Result<Option<Members>> {
        let memory = execution.memory().clone();
        let mut members = Members {
            keys: KeyTable::default(),
            key_column: wide_equality_column(sides.element.data_type()),
            has_null: false,
            is_empty: true,
            reservation: memory.reserve(),
        };
        let (mut block, mut key) = (0, Vec::new());
        while let Some(batch) = rows.read(block).await? {
            block += 1;
            execution.breathe().await?;
            members.is_empty &= batch.row_count == 0;
            let values = sides.element.eval_batch(&batch, &execution.context())?;
            for row in 0..batch.row_count {
                if members.encode(&values, row, &mut key) {
                    members.has_null = true;
                } else {
                    members.keys.enter(hash_of(&key), &key);
                }
            }
            let held = members.keys.memory_bytes();
            members.reservation.set(held);
            if held > memory.hash_bytes {
                return Ok(None);
            }
        }
        Ok(Some(members))
    }

    /// The key of a value; tells whether it is NULL.
    fn encode(&self, values: &Column, row: usize, key: &mut Vec<u8>) -> bool {
        key.clear();
        append_row_key(&[self.key_column], std::slice::from_ref(values), row, true, key)
    }

    /// Whether the values of a column are among these: three-valued.
    fn look_up(&self, values: &Column, count: usize, negated: bool) -> Vec<Datum> {
        let mut key = Vec::new();
        let answer = |row: usize| {
            let is_null = self.encode(values, row, &mut key);
            if self.is_empty {
                Datum::Bool(negated)
            } else if is_null {
                Datum::Null
            } else if self.keys.find(hash_of(&key), &key).is_some() {
                Datum::Bool(!negated)
            } else if self.has_null {
                Datum::Null
            } else {
                Datum::Bool(negated)
            }
        };
        (0..count).map(answer).collect()
    }
}

impl ApplyOperator {
    pub fn new(apply: &Apply, input: Box<dyn Operator>, subquery_number: usize) -> ApplyOperator {
        ApplyOperator {
            input,
            subquery: (*apply.subquery).clone(),
            subquery_number,
            operator: None,
            repeatable: apply.repeatable,
            together: Together::of(apply, subquery_number),
            kind: apply.kind.clone(),
            width: apply.input.types.len(),
            correlations: apply.correlations.clone(),
            data_type: apply.data_type,
            runs_once: apply.correlations.is_empty() && !is_volatile(&apply.subquery),
            cached: None,
            input_types: apply.input.types.clone(),
            memo: Memory::begin(&apply.kind, apply.repeatable),
        }
    }

    /// The answer for a row of a subquery that runs for each.
    async fn answer(&mut self, batch: &Batch, row: usize, execution: &mut Execution) -> Result<Answer> {
        if matches!(self.memo, Memory::Untried) {
            let memo = Memo::new(&self.correlations, &self.input_types, self.data_type, execution);
            self.memo = memo.map_or(Memory::Useless, |memo| Memory::Kept(Box::new(memo)));
        }
        if let Memory::Kept(memo) = &mut self.memo
            && let Some(known) = memo.find(batch, row)
        {
            return Ok(Answer::Value(known));
        }
        for (slot, column) in &self.correlations {
            set_slot(execution, *slot, batch.datum(row, *column));
        }
        let answer = self.run(execution).await?;
        if let (Memory::Kept(memo), Answer::Value(value)) = (&mut self.memo, &answer)
            && !memo.remember(value.clone())
        {
            self.memo = Memory::Useless;
        }
        Ok(answer)
    }

    async fn run(&mut self, execution: &mut Execution) -> Result<Answer> {
        let mut operator = renewed(self.operator.take(), &self.subquery, self.subquery_number);
        let answer = self.read_answer(&mut *operator, execution).await;
        // What runs once needs no operators any more.
        if !self.runs_once {
            self.operator = Some(operator);
        }
        answer
    }

    async fn read_answer(
        &mut self,
        operator: &mut dyn Operator,
        execution: &mut Execution,
    ) -> Result<Answer> {
        match &self.kind {
            ApplyKind::Exists => {
                let found = operator.next(execution).await?.is_some();
                Ok(Answer::Value(Datum::Bool(found)))
            }
            ApplyKind::Scalar => {
                let mut value = None;
                while let Some(batch) = operator.next(execution).await? {
                    if batch.row_count > 1 || value.is_some() {
                        return Err(too_many_rows());
                    }
                    value = Some(batch.datum(0, 0));
                }
                Ok(Answer::Value(value.unwrap_or(Datum::Null)))
            }
            ApplyKind::Array { .. } => {
                let mut elements = Vec::new();
                while let Some(batch) = operator.next(execution).await? {
                    elements.extend((0..batch.row_count).map(|row| batch.datum(row, 0)));
                }
                Ok(Answer::Value(make_array(elements, self.data_type, &execution.context())?))
            }
            ApplyKind::Quantified { hashed, .. } => {
                let rows = store(operator, execution).await?;
                let members = match hashed {
                    Some(sides) => Members::of(&rows, sides, execution).await?,
                    None => None,
                };
                Ok(match members {
                    Some(members) => Answer::Members(Arc::new(members)),
                    None => Answer::Rows(Arc::new(rows)),
                })
            }
        }
    }

    /// What the subquery's answer means for one row.
    async fn conclude(
        &mut self,
        answer: &Answer,
        batch: &Batch,
        row: usize,
        execution: &mut Execution,
    ) -> Result<Datum> {
        let (Answer::Rows(rows), ApplyKind::Quantified { comparison, all, .. }) = (answer, &self.kind) else {
            return match answer {
                Answer::Value(value) => Ok(value.clone()),
                Answer::Rows(_) | Answer::Members(_) => {
                    Err(SqlError::internal("a subquery's rows where its value was expected"))
                }
            };
        };
        let mut unknown = false;
        let mut block = 0;
        while let Some(inner) = rows.read(block).await? {
            block += 1;
            execution.breathe().await?;
            let mut columns = Vec::with_capacity(batch.columns.len() + inner.columns.len());
            for column in &batch.columns {
                columns.push(Column::constant(column.kind(), &column.get(row), inner.row_count)?);
            }
            columns.extend(inner.columns.iter().cloned());
            let pairs = Batch::new(columns, inner.row_count);
            let outcome = comparison.eval_batch(&pairs, &execution.context())?;
            for at in 0..inner.row_count {
                match outcome.get(at).as_bool() {
                    Some(truth) if truth != *all => return Ok(Datum::Bool(!*all)),
                    Some(_) => {}
                    None => unknown = true,
                }
            }
        }
        Ok(if unknown { Datum::Null } else { Datum::Bool(*all) })
    }
}

impl Operator for ApplyOperator {
    fn restrict(&mut self, column: usize, keys: &Arc<KeyFilter>) {
        if column < self.width {
            self.input.restrict(column, keys);
        }
    }

    fn reset(&mut self) -> bool {
        self.cached = None;
        if self.together.as_mut().is_some_and(|together| !together.reset()) {
            return false;
        }
        self.memo = Memory::begin(&self.kind, self.repeatable);
        self.input.reset()
    }

    fn next<'a>(&'a mut self, execution: &'a mut Execution) -> BoxFuture<'a, Result<Option<Batch>>> {
        Box::pin(async move {
            let Some(mut batch) = self.input.next(execution).await? else { return Ok(None) };
            let is_known = !matches!(self.memo, Memory::Useless);
            if let Some(together) = &mut self.together
                && !(is_known && together.is_search())
            {
                let answers = together.answers(&batch, execution).await?;
                batch.columns.push(answers);
                return Ok(Some(batch));
            }
            if self.runs_once && self.cached.is_none() {
                self.cached = Some(self.run(execution).await?);
            }
            let mut builder = ColumnBuilder::new(execution.kind_of(self.data_type)?, batch.row_count);
            if let (Some(Answer::Members(members)), ApplyKind::Quantified { all, hashed: Some(sides), .. }) =
                (&self.cached, &self.kind)
            {
                let values = sides.value.eval_batch(&batch, &execution.context())?;
                for answer in members.look_up(&values, batch.row_count, *all) {
                    builder.push(answer)?;
                }
                batch.columns.push(builder.finish());
                return Ok(Some(batch));
            }
            for row in 0..batch.row_count {
                let answer = match (&self.cached, self.runs_once) {
                    (Some(cached), true) => cached.clone(),
                    (None, true) => return Err(SqlError::internal("a subquery without an answer")),
                    (_, false) => self.answer(&batch, row, execution).await?,
                };
                builder.push(self.conclude(&answer, &batch, row, execution).await?)?;
            }
            batch.columns.push(builder.finish());
            Ok(Some(batch))
        })
    }
}
