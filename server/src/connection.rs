//! One connection, from its first ReadyForQuery to its end.
//!
//! 1. Whole messages that have arrived are answered one after the other.
//! 2. When none is left, the answers are written, if a message asked for that, and more input is awaited, or the
//!    stop signal.
//! 3. After an error in the extended protocol everything up to Sync is skipped. Input that cannot be cut into
//!    messages ends the connection.

use std::io;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures_lite::AsyncWriteExt;
use helios_runtime::executor::{Peer, Socket};
use heliosdb_nano::session::functions::EvalContext;
use heliosdb_nano::session::value::Batch;
use heliosdb_nano::session::{
    ClientAddress, Environment, Portal, Session, SqlError, Step, Timestamps, TransactionStatus,
};

use crate::copy::copied_columns;
use crate::extended::Portals;
use crate::interrupt::{IdleLimits, IdleWait, TimeLimit, Waited, idle_too_long, interruptible, terminated};
use crate::registry::{CancelTarget, Place};
use crate::results::{Formats, ResultShape, Shapes};
use crate::server::Shared;
use crate::startup::{self, Opened};
use crate::stream::Stream;
use crate::wire::{Body, Input, InputError, Message, Output, Report, protocol_violation};

/// Why a message could not be served.
pub(crate) enum Failure {
    /// The client is told.
    Sql(SqlError),
    /// The client is told, and the connection ends.
    Fatal(SqlError),
    /// The client is gone.
    Lost(io::Error),
}

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Failure {
        Failure::Sql(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Lost(error)
    }
}

/// A connection.
pub(crate) struct Connection {
    pub(crate) socket: Stream,
    pub(crate) output: Output,
    pub(crate) session: Session,
    pub(crate) portals: Portals,
    pub(crate) shapes: Shapes,
    pub(crate) limit: TimeLimit,
    target: Arc<CancelTarget>,
    shared: Arc<Shared>,
    /// Everything up to Sync is skipped.
    is_skipping: bool,
    /// Where values are printed before they are copied out.
    pub(crate) scratch: String,
    /// Held for its end.
    _place: Place,
}

/// How a portal's execution ended.
pub(crate) enum Ended {
    Complete(String),
    Empty,
    Suspended,
}

/// Serves a connection to its end.
pub(crate) async fn serve(socket: Socket, shared: Arc<Shared>) {
    // Whoever says nothing holds a descriptor until time is up: their number is bounded, as PostgreSQL does it.
    let Some(knock) = shared.registry.knock(2 * shared.options.max_connections) else {
        tracing::warn!("a connection is closed: too many have not introduced themselves");
        return;
    };
    let mut input = Input::new();
    let Some(mut connection) = startup::start(socket, &mut input, &shared).await else { return };
    drop(knock);
    let ended = connection.run(&mut input).await;
    if let Err(error) = connection.session.close().await {
        tracing::debug!("temporary objects stay until the next start: {}", error.message());
    }
    match ended {
        Ok(()) => {}
        Err(Failure::Lost(error)) => tracing::debug!(%error, "a client is gone"),
        Err(Failure::Sql(error) | Failure::Fatal(error)) => {
            tracing::debug!("a connection ends: {}", error.message());
            connection.output.error(&Report::fatal(error));
            if connection.output.flush(&mut connection.socket).await.is_ok()
                && let Err(error) = connection.socket.close().await
            {
                tracing::debug!(%error, "closing a connection");
            }
        }
    }
}

impl Connection {
    pub(crate) fn new(socket: Stream, mut output: Output, opened: Opened, shared: Arc<Shared>) -> Connection {
        let Opened { session, mut place, secret } = opened;
        let backend = session.backend();
        let target = place.announce(backend, secret, session.cancel_handle(), socket.hang_up());
        let heard = target.clone();
        session.seen_by_others().set_handler(Arc::new(move |signal| heard.hear(signal)));
        let (address, port) = match socket.peer() {
            Some(Peer::Tcp(address)) => (Some(address.ip().to_string()), i32::from(address.port())),
            _ => (None, -1),
        };
        let encryption = socket.encryption();
        let server = socket.local();
        session.seen_by_others().set_peer(ClientAddress { address, port, server, encryption });
        let message = output.begin(b'K');
        output.i32(backend);
        output.u32(secret);
        output.end(message);
        Connection {
            socket,
            output,
            session,
            portals: Portals::default(),
            shapes: Shapes::default(),
            limit: TimeLimit::of(&target),
            target,
            shared,
            is_skipping: false,
            scratch: String::new(),
            _place: place,
        }
    }

    async fn run(&mut self, input: &mut Input) -> Result<(), Failure> {
        let stop = self.shared.stop.clone();
        let stopped = pin!(stop.stopped());
        let mut idle = IdleWait { stop: &stop, stopped, known: None, limits: IdleLimits::default() };
        self.ready_for_query();
        loop {
            while let Some(message) = next_message(input)? {
                if self.target.is_ending() {
                    return Err(Failure::Fatal(terminated()));
                }
                if self.handle(input, &message).await?.is_break() {
                    return Ok(());
                }
            }
            self.target.end();
            if self.output.is_flush_wanted() {
                self.output.flush(&mut self.socket).await?;
            }
            if stop.is_stopping() {
                return Err(Failure::Fatal(terminated()));
            }
            match idle.until(&self.target, &self.session, input.fill(&mut self.socket)).await {
                Waited::Done(Ok(0)) => return Ok(()),
                Waited::Done(Ok(_)) => {}
                Waited::Done(Err(error)) => return Err(error.into()),
                Waited::Stopped | Waited::Terminated => return Err(Failure::Fatal(terminated())),
                Waited::IdleTooLong => return Err(Failure::Fatal(idle_too_long(&self.session))),
                Waited::Mail => {
                    self.write_mail();
                    self.output.flush(&mut self.socket).await?;
                }
            }
            if self.target.begin() {
                // A cancel request found nothing to cancel any more: nothing later may suffer from it.
                self.session.sync().await?;
            }
        }
    }

    /// A message's body, whose strings are in the client's encoding.
    pub(crate) fn body<'i>(&self, input: &'i Input, message: &Message) -> Body<'i> {
        Body::encoded(input.body(message), self.output.encoding())
    }

    async fn handle(&mut self, input: &mut Input, message: &Message) -> Result<ControlFlow<()>, Failure> {
        match message.kind {
            b'X' => return Ok(ControlFlow::Break(())),
            b'S' => {
                self.is_skipping = false;
                match Body::new(input.body(message)).end() {
                    Ok(()) => self.sync().await,
                    Err(error) => {
                        self.report(error);
                        self.ready_for_query();
                    }
                }
            }
            _ if self.is_skipping => {}
            _ if self.shared.options.constant_row => self.answer_constantly(input, message)?,
            b'Q' => self.simple_query(input, message).await?,
            b'P' | b'B' | b'D' | b'E' | b'C' | b'H' => match self.extended(input, message).await {
                Err(Failure::Sql(error)) => {
                    self.report(error);
                    self.is_skipping = true;
                }
                outcome => outcome?,
            },
            b'F' => self.function_call(input, message).await?,
            // Of a COPY that has failed: the client did not know yet.
            b'd' | b'c' | b'f' => {}
            other => return Err(Failure::Fatal(unknown_kind(other))),
        }
        Ok(ControlFlow::Continue(()))
    }

    async fn sync(&mut self) {
        if let Err(error) = self.session.sync().await {
            self.report(error);
        }
        self.end_portals();
        self.ready_for_query();
    }

    /// Portals live as long as their transaction.
    pub(crate) fn end_portals(&mut self) {
        if self.session.transaction_status() == TransactionStatus::Idle {
            self.portals.clear();
            self.session.forget_portals();
        }
    }

    /// Tells the client about an error; the transaction has failed.
    pub(crate) fn report(&mut self, error: SqlError) {
        let error = self.limit.explained(error);
        self.limit.end();
        self.session.note_error();
        self.write_notices();
        self.output.error(&Report::from(error));
    }

    /// What other sessions have said to this one by NOTIFY.
    fn write_mail(&mut self) {
        let backend = self.session.seen_by_others();
        if !backend.has_mail() {
            return;
        }
        for notification in backend.take_mail() {
            let message = self.output.begin(b'A');
            self.output.i32(notification.backend);
            self.output.string(&notification.channel);
            self.output.string(&notification.payload);
            self.output.end(message);
        }
    }

    /// ReadyForQuery, after what the client must know by then.
    pub(crate) fn ready_for_query(&mut self) {
        self.session.rest();
        // A rollback takes SET back.
        self.output.set_encoding(self.session.formats().client_encoding);
        if self.session.transaction_status() == TransactionStatus::Idle {
            self.write_mail();
        }
        self.write_notices();
        for (name, value) in self.session.take_changed_settings() {
            self.output.parameter_status(name, &value);
        }
        let message = self.output.begin(b'Z');
        self.output.byte(match self.session.transaction_status() {
            TransactionStatus::Idle => b'I',
            TransactionStatus::InTransaction => b'T',
            TransactionStatus::Failed => b'E',
        });
        self.output.end(message);
        self.output.want_flush();
    }

    pub(crate) fn write_notices(&mut self) {
        for notice in self.session.take_notices() {
            self.output.notice(notice.severity, &notice.error);
        }
    }

    /// Executes a portal until it ends or has given as many rows as wanted, and writes its rows.
    pub(crate) async fn execute(
        &mut self,
        portal: &mut Portal,
        shape: &ResultShape,
        formats: &Formats,
        mut rows_max: Option<usize>,
        input: &mut Input,
    ) -> Result<Ended, Failure> {
        let copied_columns = copied_columns(&portal.prepared);
        let mut is_copying = false;
        loop {
            // What COMMIT has begun is not undone: nobody could tell whether it happened.
            let is_interruptible = !portal.prepared.ends_transaction();
            let step = {
                // Pinned here, since it is large: moving it costs as much as finding a row.
                let step = pin!(self.session.step(portal, &mut rows_max));
                interruptible(&self.target, &mut self.limit, is_interruptible, step)
                    .await
                    .unwrap_or_else(|interruption| Err(interruption.error()))
            };
            let step = step.map_err(|error| self.limit.explained(error));
            self.output.set_encoding(self.session.formats().client_encoding);
            self.write_notices();
            if step.is_err() && self.target.is_ending() {
                return Err(Failure::Fatal(terminated()));
            }
            let step = step?;
            if let Some(columns) = copied_columns
                && !is_copying
            {
                self.begin_copy_out(columns);
                is_copying = true;
            }
            match step {
                Step::Rows(batch) if is_copying => self.copy_out(&batch).await?,
                Step::Rows(batch) => {
                    self.write_rows(&batch, shape, formats, portal.environment()).await?;
                }
                Step::Complete(tag) => {
                    if is_copying {
                        self.output.empty_message(b'c');
                    }
                    return Ok(Ended::Complete(tag));
                }
                Step::Empty => return Ok(Ended::Empty),
                Step::Suspended => return Ok(Ended::Suspended),
                Step::CopyIn => return self.copy_in(portal, input).await.map(Ended::Complete),
            }
        }
    }

    async fn write_rows(
        &mut self,
        batch: &Batch,
        shape: &ResultShape,
        formats: &Formats,
        environment: Option<(&Arc<Environment>, Timestamps)>,
    ) -> Result<(), Failure> {
        let cancel = AtomicBool::new(false);
        for row in 0..batch.row_count {
            let context = match environment {
                Some((environment, timestamps)) => environment.context(timestamps, &cancel),
                None => EvalContext::detached(self.session.formats()),
            };
            shape.write_row(batch, row, formats, &mut self.scratch, &context, &mut self.output)?;
            if self.output.is_full() {
                self.output.flush(&mut self.socket).await?;
            }
        }
        Ok(())
    }

    /// Drives a part of a statement, until it is interrupted.
    pub(crate) fn target(&self) -> &Arc<CancelTarget> {
        &self.target
    }
}

/// The next whole message.
pub(crate) fn next_message(input: &mut Input) -> Result<Option<Message>, Failure> {
    input.next_message().map_err(|error| {
        match error {
            InputError::UnknownKind(kind) => Failure::Fatal(unknown_kind(kind)),
            // Whatever speaks here does not know the protocol.
            InputError::InvalidLength => Failure::Lost(io::ErrorKind::InvalidData.into()),
        }
    })
}

fn unknown_kind(kind: u8) -> SqlError {
    protocol_violation(format!("invalid frontend message type {kind}"))
}
