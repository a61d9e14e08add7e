//! FunctionCall: one function, its arguments and its result in one message each, which libpq's `PQfn` sends.

use std::pin::pin;

use heliosdb_nano::session::value::Batch;
use heliosdb_nano::session::{Portal, SqlError, SqlState, Step};
use std::sync::atomic::AtomicBool;

use crate::connection::{Connection, Failure};
use crate::interrupt::interruptible;
use crate::parameters::{FormatCodes, read_arguments};
use crate::results::{ResultShape, is_binary_code};
use crate::wire::{Body, Input, Message};

impl Connection {
    /// FunctionCall.
    pub(crate) async fn function_call(
        &mut self,
        input: &mut Input,
        message: &Message,
    ) -> Result<(), Failure> {
        self.limit.begin(&self.session);
        let called = self.call(self.body(input, message)).await;
        self.end_request(called)
    }

    async fn call(&mut self, mut body: Body<'_>) -> Result<(), Failure> {
        let function = self.session.called_function(body.u32()?)?;
        let prepared = self.session.prepare(&function.text, function.argument_types).await?;
        let formats = FormatCodes::read(&mut body)?;
        self.session.know_types(&prepared).await?;
        let never = AtomicBool::new(false);
        let context = self.session.value_context(&prepared, &never);
        let arguments = read_arguments(&mut body, formats, &prepared.parameter_types, &context)?;
        let result_format = body.i16()?;
        body.end()?;
        let shape = self.shapes.of(&prepared, self.output.encoding());
        let mut portal = self.session.bind(prepared, arguments)?;
        let row = self.only_row(&mut portal).await?;
        let is_binary = is_binary_code(result_format)?;
        let begun = self.output.begin(b'V');
        let written = self.write_result(&row, &portal, &shape, is_binary);
        // Nobody hears of success before the commit.
        let ended = match written {
            Ok(()) => self.session.sync().await,
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            self.output.abandon(begun);
            return Err(error.into());
        }
        self.output.end(begun);
        Ok(())
    }

    /// The row that the query gives.
    async fn only_row(&mut self, portal: &mut Portal) -> Result<Batch, Failure> {
        let mut row = None;
        loop {
            let target = self.target().clone();
            let mut rows_max = None;
            let step = {
                let step = pin!(self.session.step(portal, &mut rows_max));
                interruptible(&target, &mut self.limit, true, step)
                    .await
                    .unwrap_or_else(|interruption| Err(interruption.error()))?
            };
            match step {
                Step::Rows(batch) => row = row.or(Some(batch)),
                _ => break,
            }
        }
        let missing = || SqlError::internal("a function call gave no row");
        row.filter(|batch| batch.row_count == 1).ok_or_else(|| missing().into())
    }

    fn write_result(
        &mut self,
        row: &Batch,
        portal: &Portal,
        shape: &ResultShape,
        is_binary: bool,
    ) -> Result<(), SqlError> {
        let never = AtomicBool::new(false);
        let context = portal.printing(self.session.formats(), &never);
        let (Some(coder), Some(column)) = (shape.columns.first(), row.columns.first()) else {
            return Err(SqlError::new(SqlState::INTERNAL_ERROR, "a function call gave no value"));
        };
        coder.write(column, 0, is_binary, &mut self.scratch, &context, &mut self.output)
    }
}
