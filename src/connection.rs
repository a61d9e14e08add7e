//! The interface under the wire protocol: one session, statement by statement, with rows encoded for a client.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub use helios_sql::binder::ResultColumn;
pub use helios_sql::copy::{CopyFormat, CopyIn};
pub use helios_sql::parser::Statement as ParsedStatement;
pub use helios_sql::session::{
    CancelHandle, CopyDirection, Notice, Portal, Prepared, Session, Step, TransactionStatus,
};
pub use helios_sql::types::DataType;
pub use helios_sql::value::{Batch, Datum};

use helios_sql::error::SqlError;

use crate::Result;

/// How a value is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Text,
    Binary,
}

/// The size and type that RowDescription tells of a column.
#[must_use]
pub fn type_length(data_type: DataType) -> i16 {
    helios_sql::types::builtin_type(data_type.oid).map_or(-1, |info| info.length)
}

/// One client's connection.
///
/// A simple query: [`Connection::parse`] its text, then for each statement [`Connection::prepare_parsed`],
/// [`Connection::bind`], [`Connection::step`] until it is complete, and at the end [`Connection::sync`].
/// The extended protocol: [`Connection::prepare`], [`Connection::bind`] with the client's bytes,
/// [`Connection::step`] with a row limit, and [`Connection::sync`] at Sync. After any error the transaction has
/// failed as PostgreSQL's does.
pub struct Connection {
    session: Session,
}

impl Connection {
    pub(crate) fn new(session: Session) -> Connection {
        Connection { session }
    }

    /// The session: settings, notices, prepared statements, transaction status, COPY.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    fn failed<T>(&mut self, result: std::result::Result<T, SqlError>) -> Result<T> {
        if result.is_err() {
            self.session.note_error();
        }
        result.map_err(Into::into)
    }

    /// Parses a simple query's text.
    ///
    /// # Errors
    /// 42601 and its like.
    pub fn parse(&mut self, text: &str) -> Result<Vec<ParsedStatement>> {
        let parsed = self.session.parse(text);
        self.failed(parsed)
    }

    /// Prepares one statement of a parsed text.
    ///
    /// # Errors
    /// Those of binding.
    pub async fn prepare_parsed(&mut self, text: &str, statement: ParsedStatement) -> Result<Arc<Prepared>> {
        let prepared = self.session.prepare_statement(text, statement, Vec::new()).await;
        self.failed(prepared).map(Arc::new)
    }

    /// Prepares a text of one statement; parameter types of OID 0 are inferred.
    ///
    /// # Errors
    /// Those of parsing and binding.
    pub async fn prepare(&mut self, text: &str, parameter_types: &[u32]) -> Result<Arc<Prepared>> {
        let declared = parameter_types.iter().map(|oid| DataType::of(*oid)).collect();
        let prepared = self.session.prepare(text, declared).await;
        self.failed(prepared)
    }

    /// Binds a prepared statement to parameters as a client sends them.
    ///
    /// # Errors
    /// 22P02, 22P03 and their like for values that cannot be read; 08P01 for another number of them.
    pub fn bind(
        &mut self,
        prepared: Arc<Prepared>,
        parameters: &[Option<&[u8]>],
        formats: &[Format],
    ) -> Result<Portal> {
        crate::database::know_types(&mut self.session, &prepared)?;
        let decoded = self.decode(&prepared, parameters, formats);
        let values = self.failed(decoded)?;
        let bound = self.session.bind(prepared, values);
        self.failed(bound)
    }

    fn decode(
        &self,
        prepared: &Prepared,
        parameters: &[Option<&[u8]>],
        formats: &[Format],
    ) -> std::result::Result<Vec<Datum>, SqlError> {
        let never = AtomicBool::new(false);
        let context = self.session.value_context(prepared, &never);
        let mut values = Vec::with_capacity(parameters.len());
        for (at, bytes) in parameters.iter().enumerate() {
            let Some(bytes) = bytes else {
                values.push(Datum::Null);
                continue;
            };
            let Some(data_type) = prepared.parameter_types.get(at) else {
                // Too many: binding says so.
                values.push(Datum::Null);
                continue;
            };
            let info = context.type_info(data_type.oid)?;
            values.push(match format_of(formats, at) {
                Format::Binary => info.read_binary(bytes, data_type.typmod, &context)?,
                Format::Text => {
                    let text = std::str::from_utf8(bytes).map_err(|error| {
                        SqlError::new(
                            helios_sql::error::SqlState::CHARACTER_NOT_IN_REPERTOIRE,
                            format!(
                                "invalid byte sequence for encoding \"UTF8\": 0x{:02x}",
                                bytes[error.valid_up_to()]
                            ),
                        )
                    })?;
                    info.parse_text(text, data_type.typmod, &context)?
                }
            });
        }
        Ok(values)
    }

    /// Executes a portal's next step; `rows_max` counts down (`None`: no limit).
    ///
    /// # Errors
    /// All the errors of execution.
    pub async fn step(&mut self, portal: &mut Portal, rows_max: &mut Option<usize>) -> Result<Step> {
        Ok(self.session.step(portal, rows_max).await?)
    }

    /// Ends the implicit transaction, as Sync and the end of a simple query do.
    ///
    /// # Errors
    /// Those of committing.
    pub async fn sync(&mut self) -> Result<()> {
        Ok(self.session.sync().await?)
    }

    /// Ends the session: what runs is rolled back, and its temporary objects go.
    ///
    /// # Errors
    /// Those of dropping them.
    pub async fn close(&mut self) -> Result<()> {
        Ok(self.session.close().await?)
    }

    /// Appends the body of a DataRow message for one row: the number of columns, and each with its length.
    ///
    /// # Errors
    /// Those of printing values.
    pub fn encode_row(
        &self,
        portal: &Portal,
        formats: &[Format],
        batch: &Batch,
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let columns = portal.prepared.columns.as_deref().unwrap_or_default();
        let never = AtomicBool::new(false);
        let context = portal.printing(self.session.formats(), &never);
        let mut text = String::new();
        out.extend(u16::try_from(columns.len()).unwrap_or(u16::MAX).to_be_bytes());
        for (at, column) in columns.iter().enumerate() {
            let value = batch.datum(row, at);
            if value.is_null() {
                out.extend((-1i32).to_be_bytes());
                continue;
            }
            let length_at = out.len();
            out.extend([0; 4]);
            let info = context.type_info(column.data_type.oid)?;
            match format_of(formats, at) {
                Format::Binary => info.write_binary(&value, out, &context)?,
                Format::Text => {
                    text.clear();
                    info.print_text(&value, &mut text, &context)?;
                    out.extend(text.as_bytes());
                }
            }
            let length = i32::try_from(out.len() - length_at - 4).unwrap_or(i32::MAX);
            out[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }
}

/// The format of a value: one for all, or one for each, or text.
fn format_of(formats: &[Format], at: usize) -> Format {
    match formats {
        [] => Format::Text,
        [one] => *one,
        many => many.get(at).copied().unwrap_or_default(),
    }
}
