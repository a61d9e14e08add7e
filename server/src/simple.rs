//! The simple query protocol: a text of any number of statements.
//!
//! All statements of a text run in one transaction, unless they say otherwise; an error ends the text.

use std::sync::Arc;

use heliosdb_nano::session::{Portal, Prepared, SqlError};

use crate::connection::{Connection, Ended, Failure};
use crate::results::{Formats, ResultShape};
use crate::wire::{Input, Message};

impl Connection {
    /// Query.
    pub(crate) async fn simple_query(&mut self, input: &mut Input, message: &Message) -> Result<(), Failure> {
        let mut body = self.body(input, message);
        // The text is needed while COPY reads on.
        let text = body.string().and_then(|text| body.end().map(|()| text.into_owned()));
        self.portals.forget_unnamed();
        let ran = match text {
            Ok(text) => self.run_text(input, &text).await,
            Err(error) => Err(error.into()),
        };
        self.end_request(ran)
    }

    /// Tells how a request ended that has no Sync of its own, and waits for the next one.
    pub(crate) fn end_request(&mut self, ran: Result<(), Failure>) -> Result<(), Failure> {
        match ran {
            Err(Failure::Sql(error)) => self.report(error),
            outcome => outcome?,
        }
        self.limit.end();
        self.end_portals();
        self.ready_for_query();
        Ok(())
    }

    async fn run_text(&mut self, input: &mut Input, text: &str) -> Result<(), Failure> {
        self.limit.begin(&self.session);
        if let Some(prepared) = self.session.known_plan(text, &[]) {
            let shape = self.shapes.of(&prepared, self.output.encoding());
            let portal = self.begin_prepared(prepared, &shape, text)?;
            return self.run_portal(portal, &shape, true, input).await;
        }
        if let Some((prepared, constants)) = self.session.known_form(text) {
            let shape = self.shapes.of(&prepared, self.output.encoding());
            if shape.has_rows() {
                shape.describe(&Formats::Text, &mut self.output)?;
            }
            let portal = self.session.bind_text(prepared, constants, text)?;
            return self.run_portal(portal, &shape, true, input).await;
        }
        let mut statements = self.session.parse(text)?.into_iter().peekable();
        if statements.peek().is_none() {
            self.output.empty_message(b'I');
            return Ok(());
        }
        let is_alone = statements.len() == 1;
        while let Some(statement) = statements.next() {
            // Each statement has the whole time, by the settings that there are then.
            self.limit.begin(&self.session);
            let prepared = Arc::new(self.session.prepare_statement(text, statement, Vec::new()).await?);
            if is_alone {
                self.session.keep_plan_of_form(text, &prepared).await;
            }
            let shape = ResultShape::new(prepared.columns.as_deref(), self.output.encoding());
            let portal = self.begin_prepared(prepared, &shape, text)?;
            self.run_portal(portal, &shape, statements.peek().is_none(), input).await?;
        }
        Ok(())
    }

    /// A statement of a text, about to run: what its rows will look like is said.
    fn begin_prepared(
        &mut self,
        prepared: Arc<Prepared>,
        shape: &ResultShape,
        text: &str,
    ) -> Result<Portal, SqlError> {
        if let Some(error) = &prepared.undefined_parameter {
            return Err(error.clone());
        }
        if shape.has_rows() {
            shape.describe(&Formats::Text, &mut self.output)?;
        }
        self.session.bind_text(prepared, Vec::new(), text)
    }

    /// Runs a statement of a text to its end, and after the last one commits.
    async fn run_portal(
        &mut self,
        mut portal: Portal,
        shape: &ResultShape,
        is_last: bool,
        input: &mut Input,
    ) -> Result<(), Failure> {
        portal.set_last(is_last);
        let ended = self.execute(&mut portal, shape, &Formats::Text, None, input).await?;
        if is_last {
            // Nobody hears of success before the commit.
            self.session.sync().await?;
            self.write_notices();
        }
        match ended {
            Ended::Complete(tag) => self.output.command_complete(&tag),
            Ended::Empty => self.output.empty_message(b'I'),
            Ended::Suspended => {
                return Err(SqlError::internal("a query without a row limit reached it").into());
            }
        }
        Ok(())
    }
}
