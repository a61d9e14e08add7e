//! INSERT, UPDATE and DELETE of one row, without operators and without waiting.

use super::{Attempt, DeletePlan, InsertPlan, OldRow, ReturningPlan, Stop, UpdatePlan, Writing};
use crate::error::Result;
use crate::expr::Expr;
use crate::functions::EvalContext;
use crate::plan::point::PointSource;
use crate::value::Datum;

/// Evaluates expressions over a row.
pub(super) fn evaluate(
    exprs: &[Expr],
    row: &[Datum],
    context: &EvalContext<'_>,
    out: &mut Vec<Datum>,
) -> Result<()> {
    for expr in exprs {
        out.push(match expr {
            // The usual ones of an INSERT.
            Expr::Parameter { index, .. } => context.parameter(*index)?,
            Expr::Const { value, .. } => value.clone(),
            _ => expr.eval_row(&row, context)?,
        });
    }
    Ok(())
}

impl InsertPlan {
    /// Inserts the row `single`; what RETURNING gives goes to `returned`. The table is locked.
    ///
    /// # Errors
    /// Those of evaluating and of the writer; what is in the way.
    pub fn try_run(
        &self,
        single: &[Expr],
        writing: &mut Writing<'_>,
        returned: &mut Vec<Datum>,
    ) -> Attempt<u64> {
        let mut row = std::mem::take(&mut writing.buffers.new);
        row.clear();
        match writing.buffers.take_evaluated(&self.writer, writing.context.parameters) {
            Some(kept) => row = kept,
            None => evaluate(single, &[], &writing.context, &mut row)?,
        }
        self.writer.generate(&mut row, &writing.context)?;
        let written = self.writer.try_insert(&row, writing).and_then(|()| {
            let returning = self.returning.as_ref().map_or(&[][..], |plan| plan.exprs.as_slice());
            Ok(evaluate(returning, &row, &writing.context, returned)?)
        });
        if matches!(&written, Err(stop) if !matches!(stop, Stop::Failed(_))) {
            writing.buffers.keep_evaluated(&self.writer, writing.context.parameters, &row);
        }
        writing.buffers.new = row;
        written.map(|()| 1)
    }
}

/// A row that a statement found, and how it was taken from the source.
struct Found<'p> {
    point: &'p PointSource,
    /// Which source column holds which position of the row.
    places: &'p [(usize, usize)],
    key: Vec<u8>,
    old: Vec<Datum>,
}

impl<'p> Found<'p> {
    /// Finds the row of a source, in the memory of `writing`; whether there is one, and what to give the memory back
    /// from.
    fn find(
        point: &'p PointSource,
        places: &'p [(usize, usize)],
        writing: &mut Writing<'_>,
    ) -> (Found<'p>, Attempt<bool>) {
        let mut old = std::mem::take(&mut writing.buffers.old);
        old.clear();
        old.resize(point.lookup.layout.columns().len(), Datum::Null);
        let mut key = std::mem::take(&mut writing.buffers.found);
        let context = &writing.context;
        let read = point.lookup.try_find(writing.transaction, context, &mut key, |view| {
            for (column, position) in places {
                old[*position] = match point.position(*column) {
                    Some(index) => view.get(index)?,
                    None => point.columns[*column].eval_row(view, context)?,
                };
            }
            Ok(())
        });
        (Found { point, places, key, old }, read.map(|found| found.is_some()))
    }

    fn give_back(self, writing: &mut Writing<'_>) {
        writing.buffers.old = self.old;
        writing.buffers.found = self.key;
    }

    fn row(&self) -> OldRow<'_> {
        OldRow { key: &self.key, values: &self.old, is_newest: false }
    }

    /// RETURNING's values: over the source's columns, those of the row as it is in `now`.
    fn returning(
        &self,
        plan: Option<&ReturningPlan>,
        now: &[Datum],
        context: &EvalContext<'_>,
        returned: &mut Vec<Datum>,
    ) -> Result<()> {
        let Some(plan) = plan else { return Ok(()) };
        let mut source = vec![Datum::Null; self.point.columns.len()];
        for (column, expr) in self.point.columns.iter().enumerate().skip(1) {
            source[column] = expr.eval_row(&self.old, context)?;
        }
        for (column, position) in self.places {
            source[*column] = now[*position].clone();
        }
        evaluate(&plan.exprs, &source, context, returned)
    }
}

impl UpdatePlan {
    /// Updates the row that `point` finds, if there is one. The table is locked.
    ///
    /// # Errors
    /// As [`InsertPlan::try_run`].
    pub fn try_run(
        &self,
        point: &PointSource,
        writing: &mut Writing<'_>,
        returned: &mut Vec<Datum>,
    ) -> Attempt<u64> {
        let (found, is_there) = Found::find(point, &self.row, writing);
        let mut new = std::mem::take(&mut writing.buffers.new);
        let written = is_there.and_then(|is_there| {
            if is_there {
                self.write(&found, &mut new, writing, returned)?;
            }
            Ok(u64::from(is_there))
        });
        writing.buffers.new = new;
        found.give_back(writing);
        written
    }

    fn write(
        &self,
        found: &Found<'_>,
        new: &mut Vec<Datum>,
        writing: &mut Writing<'_>,
        returned: &mut Vec<Datum>,
    ) -> Attempt<()> {
        new.clone_from(&found.old);
        for (position, column) in &self.assignments {
            new[*position] = found.point.columns[*column].eval_row(&found.old, &writing.context)?;
        }
        self.writer.generate(new, &writing.context)?;
        self.writer.try_update(&found.row(), new, writing)?;
        Ok(found.returning(self.returning.as_ref(), new, &writing.context, returned)?)
    }
}

impl DeletePlan {
    /// Deletes the row that `point` finds, if there is one. The table is locked.
    ///
    /// # Errors
    /// As [`InsertPlan::try_run`].
    pub fn try_run(
        &self,
        point: &PointSource,
        writing: &mut Writing<'_>,
        returned: &mut Vec<Datum>,
    ) -> Attempt<u64> {
        let (found, is_there) = Found::find(point, &self.row, writing);
        let written = is_there.and_then(|is_there| {
            if is_there {
                self.writer.try_delete(&found.row(), writing)?;
                found.returning(self.returning.as_ref(), &found.old, &writing.context, returned)?;
            }
            Ok(u64::from(is_there))
        });
        found.give_back(writing);
        written
    }
}
