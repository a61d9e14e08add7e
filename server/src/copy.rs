//! COPY: data from and to the client.

use std::pin::pin;

use heliosdb_nano::session::copy::{CopyFormat, CopyIn};
use heliosdb_nano::session::value::{Batch, ColumnData};
use heliosdb_nano::session::{Portal, Prepared, SqlError, SqlState};

use crate::connection::{Connection, Failure, next_message};
use crate::interrupt::{Interruption, interruptible, terminated};
use crate::registry::CancelTarget;
use crate::wire::{Body, Input, protocol_violation};

/// The columns of a COPY: how many, and whether in binary.
#[derive(Clone, Copy)]
pub(crate) struct CopiedColumns {
    count: usize,
    binary: bool,
}

/// What COPY … TO STDOUT gives; `None` for any other statement.
pub(crate) fn copied_columns(prepared: &Prepared) -> Option<CopiedColumns> {
    let plan = prepared.copy_plan().filter(|plan| plan.gives_to_client());
    plan.map(|plan| CopiedColumns {
        count: plan.columns.len(),
        binary: plan.options.format == CopyFormat::Binary,
    })
}

/// What a client hears whose COPY was cancelled, or its session ended.
fn ended(copy: &CopyIn, target: &CancelTarget, interruption: Interruption) -> Failure {
    match target.is_ending() {
        true => Failure::Fatal(copy.located(terminated())),
        false => copy.located(interruption.error()).into(),
    }
}

impl Connection {
    /// CopyOutResponse.
    pub(crate) fn begin_copy_out(&mut self, columns: CopiedColumns) {
        let message = self.output.begin(b'H');
        self.copy_columns(columns);
        self.output.end(message);
    }

    /// CopyData for each piece of the output, which a batch holds as its one column.
    pub(crate) async fn copy_out(&mut self, batch: &Batch) -> Result<(), Failure> {
        let Some(column) = batch.columns.first() else { return Ok(()) };
        let ColumnData::Bytes(pieces) = column.data() else {
            return Err(SqlError::internal("the output of COPY is bytes").into());
        };
        for piece in pieces {
            let message = self.output.begin(b'd');
            self.output.bytes(piece);
            self.output.end(message);
            if self.output.is_full() {
                self.output.flush(&mut self.socket).await?;
            }
        }
        Ok(())
    }

    /// COPY … FROM STDIN: takes data until the client ends it; gives the command tag.
    pub(crate) async fn copy_in(&mut self, portal: &Portal, input: &mut Input) -> Result<String, Failure> {
        let mut copy = self.session.copy_in(portal).await?;
        let message = self.output.begin(b'G');
        self.copy_columns(CopiedColumns { count: copy.column_count(), binary: copy.is_binary() });
        self.output.end(message);
        self.output.flush(&mut self.socket).await?;
        loop {
            let Some(message) = next_message(input)? else {
                let target = self.target().clone();
                let fill = pin!(input.fill(&mut self.socket));
                let filled = interruptible(&target, &mut self.limit, true, fill).await;
                if filled.map_err(|interruption| ended(&copy, &target, interruption))?? == 0 {
                    return Err(Failure::Fatal(SqlError::new(
                        SqlState::CONNECTION_EXCEPTION,
                        "unexpected EOF on client connection with an open transaction",
                    )));
                }
                continue;
            };
            let body = input.body(&message);
            match message.kind {
                b'd' => {
                    let target = self.target().clone();
                    let loaded = {
                        let load = pin!(self.session.copy_data(&mut copy, body));
                        interruptible(&target, &mut self.limit, true, load).await
                    };
                    loaded.map_err(|interruption| ended(&copy, &target, interruption))??;
                }
                b'c' => {
                    Body::new(body).end()?;
                    return Ok(self.session.copy_done(copy).await?);
                }
                b'f' => {
                    let reason = Body::encoded(body, self.output.encoding()).string()?.into_owned();
                    let message = format!("COPY from stdin failed: {reason}");
                    return Err(copy.located(SqlError::new(SqlState::QUERY_CANCELED, message)).into());
                }
                // Clients may send these along with the data.
                b'H' | b'S' => {}
                other => {
                    let error = format!("unexpected message type 0x{other:02X} during COPY from stdin");
                    self.report(copy.located(protocol_violation(error)));
                    // What the client believes to have asked cannot be known any more.
                    return Err(Failure::Fatal(protocol_violation(
                        "terminating connection because protocol synchronization was lost",
                    )));
                }
            }
        }
    }

    /// The overall format, and each column's: 0 text, 1 binary.
    fn copy_columns(&mut self, columns: CopiedColumns) {
        self.output.byte(u8::from(columns.binary));
        self.output.i16(columns.count as i16);
        for _ in 0..columns.count {
            self.output.i16(i16::from(columns.binary));
        }
    }
}
