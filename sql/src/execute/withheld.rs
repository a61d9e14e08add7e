//! Rows before one that fails.
//!
//! Expressions are evaluated for a batch at a time, but what reads rows sees the ones before that for which one fails, and
//! perhaps wants no more of them: a LIMIT, a cursor, a client that streams. So a batch that fails is cut before the first
//! row that does, and the error waits until the next batch is asked for.

use crate::error::{Result, SqlError};
use crate::expr::Expr;
use crate::plan::walk::is_volatile;
use crate::value::Batch;

/// The error of a row that comes next.
#[derive(Default)]
pub struct Withheld(Option<SqlError>);

impl Withheld {
    /// Fails where the row that comes next does.
    ///
    /// # Errors
    /// The one that was withheld.
    pub fn tell(&mut self) -> Result<()> {
        self.0.take().map_or(Ok(()), Err)
    }

    /// Forgets it.
    pub fn clear(&mut self) {
        self.0 = None;
    }

    /// What `evaluate` makes of a batch's rows, or of those before the first one that fails. `exprs` are what it evaluates:
    /// calls that may give something else the next time are not repeated.
    ///
    /// # Errors
    /// Those of the first row.
    pub fn evaluate<T>(
        &mut self,
        exprs: &[Expr],
        batch: &Batch,
        evaluate: impl Fn(&Batch) -> Result<T>,
    ) -> Result<T> {
        let error = match evaluate(batch) {
            Ok(made) => return Ok(made),
            Err(error) => error,
        };
        if batch.row_count < 2 || exprs.iter().any(is_volatile) {
            return Err(error);
        }
        // All rows before `good` succeed, and one of those before `bad` fails.
        let (mut good, mut bad, mut error) = (0, batch.row_count, error);
        while bad - good > 1 {
            let middle = good + (bad - good) / 2;
            match evaluate(&batch.slice(good..middle)) {
                Ok(_) => good = middle,
                Err(earlier) => (bad, error) = (middle, earlier),
            }
        }
        // By itself a row's first column that fails is told.
        if let Err(own) = evaluate(&batch.slice(good..good + 1)) {
            error = own;
        }
        if good == 0 {
            return Err(error);
        }
        let before = evaluate(&batch.slice(0..good))?;
        self.0 = Some(error);
        Ok(before)
    }
}
