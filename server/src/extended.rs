//! The extended query protocol: Parse, Bind, Describe, Execute, Close and Flush.
//!
//! Named statements are the session's, where SQL's PREPARE, EXECUTE and DEALLOCATE find them too. The unnamed
//! statement and portal are the connection's; portals end with their transaction. Those that have names are kept by the
//! session, so that SQL's FETCH and MOVE reach them. SQL's cursors can be described and closed as portals, as drivers do that
//! fetch from them by SQL.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use heliosdb_nano::session::types::DataType;
use heliosdb_nano::session::{Portal, Prepared, SqlError, SqlState};
use std::sync::atomic::AtomicBool;

use crate::connection::{Connection, Ended, Failure};
use crate::parameters::{FormatCodes, read_parameters};
use crate::results::{Formats, ResultShape};
use crate::wire::{Body, Input, Message, protocol_violation};

/// A portal with what its rows look like.
struct OpenPortal {
    /// `None` for one that has a name: the session has it then, where SQL finds it too.
    portal: Option<Portal>,
    shape: Rc<ResultShape>,
    formats: Formats,
    /// It has been executed to its end.
    is_done: bool,
}

/// The unnamed statement, and the portals.
#[derive(Default)]
pub(crate) struct Portals {
    unnamed_statement: Option<Arc<Prepared>>,
    unnamed: Option<OpenPortal>,
    named: HashMap<String, OpenPortal>,
}

impl Portals {
    /// The transaction has ended, and all portals with it.
    pub(crate) fn clear(&mut self) {
        self.unnamed = None;
        self.named.clear();
    }

    /// A simple query takes the place of the unnamed statement and portal.
    pub(crate) fn forget_unnamed(&mut self) {
        self.unnamed = None;
        self.unnamed_statement = None;
    }

    fn get(&self, name: &str) -> Result<&OpenPortal, SqlError> {
        let found = if name.is_empty() { self.unnamed.as_ref() } else { self.named.get(name) };
        found.ok_or_else(|| no_portal(name))
    }

    /// Takes a portal out, to execute it.
    fn take(&mut self, name: &str) -> Result<OpenPortal, SqlError> {
        let found = if name.is_empty() { self.unnamed.take() } else { self.named.remove(name) };
        found.ok_or_else(|| no_portal(name))
    }

    fn put(&mut self, name: &str, portal: OpenPortal) {
        if name.is_empty() {
            self.unnamed = Some(portal);
        } else {
            self.named.insert(name.to_owned(), portal);
        }
    }
}

fn no_portal(name: &str) -> SqlError {
    SqlError::new(SqlState::INVALID_CURSOR_NAME, format!("portal \"{name}\" does not exist"))
}

impl Connection {
    /// One message of the extended protocol.
    pub(crate) async fn extended(&mut self, input: &mut Input, message: &Message) -> Result<(), Failure> {
        match message.kind {
            b'P' => self.parse(self.body(input, message)).await?,
            b'B' => self.bind(self.body(input, message)).await?,
            b'D' => self.describe(self.body(input, message))?,
            b'E' => self.execute_portal(input, message).await?,
            b'C' => self.close(self.body(input, message))?,
            _ => {
                self.body(input, message).end()?;
                self.output.want_flush();
            }
        }
        Ok(())
    }

    async fn parse(&mut self, mut body: Body<'_>) -> Result<(), SqlError> {
        let (name, text) = (body.string()?, body.string()?);
        let mut declared = Vec::new();
        for _ in 0..body.count()? {
            declared.push(DataType::of(body.u32()?));
        }
        body.end()?;
        self.session.check_types(&declared).await?;
        // Types that are left to be found out need not be declared.
        let known = declared.iter().rposition(|data_type| data_type.oid != 0).map_or(0, |last| last + 1);
        declared.truncate(known);
        self.limit.begin(&self.session);
        if name.is_empty() {
            self.portals.unnamed_statement = None;
        }
        let prepared = self.session.prepare(&text, declared).await?;
        if name.is_empty() {
            self.portals.unnamed_statement = Some(prepared);
        } else {
            self.session.keep_prepared(&name, prepared, None)?;
        }
        self.write_notices();
        self.output.empty_message(b'1');
        Ok(())
    }

    fn statement(&self, name: &str) -> Result<Arc<Prepared>, SqlError> {
        if !name.is_empty() {
            return self.session.prepared_named(name);
        }
        self.portals.unnamed_statement.clone().ok_or_else(|| {
            SqlError::new(SqlState::INVALID_SQL_STATEMENT_NAME, "unnamed prepared statement does not exist")
        })
    }

    async fn bind(&mut self, mut body: Body<'_>) -> Result<(), SqlError> {
        let (name, statement) = (body.string()?, body.string()?);
        let prepared = self.statement(&statement)?;
        let formats = FormatCodes::read(&mut body)?;
        self.session.know_types(&prepared).await?;
        let never = AtomicBool::new(false);
        let context = self.session.value_context(&prepared, &never);
        let parameters =
            read_parameters(&mut body, formats, &prepared.parameter_types, (&name, &statement), &context)?;
        let result_formats = FormatCodes::read(&mut body)?;
        body.end()?;
        let shape = self.shapes.of(&prepared, self.output.encoding());
        let formats = shape.formats(result_formats.iter())?;
        if !name.is_empty() && self.session.has_portal(&name) {
            return Err(SqlError::new(
                SqlState::DUPLICATE_CURSOR,
                format!("cursor \"{name}\" already exists"),
            ));
        }
        let portal = self.session.bind(prepared, parameters)?;
        let portal = self.kept(&name, portal);
        self.portals.put(&name, OpenPortal { portal, shape, formats, is_done: false });
        self.output.empty_message(b'2');
        Ok(())
    }

    fn describe(&mut self, mut body: Body<'_>) -> Result<(), SqlError> {
        let (kind, name) = (body.byte()?, body.string()?);
        body.end()?;
        match kind {
            b'S' => {
                let prepared = self.statement(&name)?;
                let message = self.output.begin(b't');
                let types = &prepared.parameter_types;
                // The protocol counts with 16 bits without a sign.
                self.output.i16(types.len() as i16);
                for data_type in types {
                    self.output.u32(data_type.oid);
                }
                self.output.end(message);
                self.shapes
                    .of(&prepared, self.output.encoding())
                    .describe(&Formats::Text, &mut self.output)?;
            }
            b'P' => {
                if let Some(columns) = self.session.describe_cursor(&name) {
                    ResultShape::new(Some(columns), self.output.encoding())
                        .describe(&Formats::Text, &mut self.output)?;
                } else {
                    let open = self.portals.get(&name)?;
                    open.shape.describe(&open.formats, &mut self.output)?;
                }
            }
            other => return Err(protocol_violation(format!("invalid DESCRIBE message subtype {other}"))),
        }
        Ok(())
    }

    async fn execute_portal(&mut self, input: &mut Input, message: &Message) -> Result<(), Failure> {
        let mut body = self.body(input, message);
        let (name, most) = (body.string()?, body.i32()?);
        body.end()?;
        let mut open = self.portals.take(&name)?;
        let kept = open.portal.take().or_else(|| self.session.take_portal(&name));
        let mut portal = kept.ok_or_else(|| no_portal(&name))?;
        if open.is_done && !open.shape.has_rows() {
            let message = format!("portal \"{name}\" cannot be run");
            return Err(SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).into());
        }
        // Most portals have no name, for which this allocates nothing.
        let name = name.into_owned();
        let rows_max = usize::try_from(most).ok().filter(|most| *most > 0);
        self.limit.begin(&self.session);
        portal.set_last(input.is_next(b'S'));
        let ended = self.execute(&mut portal, &open.shape, &open.formats, rows_max, input).await?;
        self.limit.end();
        match ended {
            Ended::Complete(tag) => {
                open.is_done = true;
                self.output.command_complete(&tag);
            }
            Ended::Empty => self.output.empty_message(b'I'),
            Ended::Suspended => self.output.empty_message(b's'),
        }
        open.portal = self.kept(&name, portal);
        self.portals.put(&name, open);
        Ok(())
    }

    /// Gives a portal that has a name to the session; the others come back.
    fn kept(&mut self, name: &str, portal: Portal) -> Option<Portal> {
        if name.is_empty() {
            return Some(portal);
        }
        self.session.keep_portal(name, portal);
        None
    }

    fn close(&mut self, mut body: Body<'_>) -> Result<(), SqlError> {
        let (kind, name) = (body.byte()?, body.string()?);
        body.end()?;
        match (kind, &*name) {
            (b'S', "") => self.portals.unnamed_statement = None,
            (b'S', name) => {
                self.session.close_prepared(name);
            }
            (b'P', "") => self.portals.unnamed = None,
            (b'P', name) => {
                self.portals.named.remove(name);
                self.session.forget_portal(name);
                self.session.forget_cursor(name);
            }
            (other, _) => return Err(protocol_violation(format!("invalid CLOSE message subtype {other}"))),
        }
        self.output.empty_message(b'3');
        Ok(())
    }
}
