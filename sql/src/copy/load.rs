//! The loading side: what a client sends goes through the write path.

use std::sync::Arc;

use super::binary::BinaryDecoder;
use super::{CopyDecoder, CopyFormat, CopyWork};
use crate::encoding::Transcoder;
use crate::error::{Result, SqlError};
use crate::execute::{Environment, Execution};
use crate::functions::EvalContext;
use crate::session::{CopyDirection, Portal, Prepared, Session};
use crate::types::DataType;
use crate::value::Datum;
use crate::write::{Due, NewValue, check_pending};

/// A COPY FROM STDIN that waits for data.
pub struct CopyIn {
    prepared: Arc<Prepared>,
    decoder: Decoder,
    environment: Arc<Environment>,
    /// Reads texts in another encoding than the database's.
    transcoder: Option<Transcoder>,
    rows: u64,
}

/// Cuts the data into rows.
enum Decoder {
    Text(CopyDecoder),
    Binary(BinaryDecoder, Vec<Option<Vec<u8>>>),
}

/// One field as it came; NULL is `None`.
#[derive(Clone, Copy)]
enum RawField<'d> {
    Text(Option<&'d str>),
    Binary(Option<&'d [u8]>),
}

impl Decoder {
    fn feed(&mut self, bytes: &[u8]) {
        match self {
            Decoder::Text(decoder) => decoder.feed(bytes),
            Decoder::Binary(decoder, _) => decoder.feed(bytes),
        }
    }

    /// The number of the line or row that was read last.
    fn line(&self) -> u64 {
        match self {
            Decoder::Text(decoder) => decoder.line(),
            Decoder::Binary(decoder, _) => decoder.row(),
        }
    }

    /// The text of the row that was read last, as errors show it.
    fn shown_row(&self) -> String {
        const SHOWN_MAX: usize = 100;
        match self {
            Decoder::Text(decoder) => match decoder.text() {
                Some(text) if text.len() > SHOWN_MAX => {
                    format!(": \"{}...\"", &text[..text.floor_char_boundary(SHOWN_MAX)])
                }
                Some(text) => format!(": \"{text}\""),
                None => String::new(),
            },
            Decoder::Binary(..) => String::new(),
        }
    }

    /// 22P04 for a row of fewer fields than columns.
    fn check_count(&self, fields: usize) -> Result<()> {
        match self {
            Decoder::Text(decoder) => decoder.check_count(fields),
            Decoder::Binary(..) => Ok(()),
        }
    }

    /// Reads the next row; gives the number of its fields.
    fn next_row(&mut self, at_end: bool) -> Result<Option<usize>> {
        match self {
            Decoder::Text(decoder) => Ok(decoder.next_row(at_end)?.then(|| decoder.fields().len())),
            Decoder::Binary(decoder, fields) => {
                let row = decoder.next_row(at_end)?;
                Ok(row.map(|row| {
                    *fields = row;
                    fields.len()
                }))
            }
        }
    }

    /// A field of the row that was read last.
    fn field(&self, at: usize) -> RawField<'_> {
        match self {
            Decoder::Text(decoder) => RawField::Text(decoder.fields().get(at)),
            Decoder::Binary(_, fields) => RawField::Binary(fields[at].as_deref()),
        }
    }
}

impl RawField<'_> {
    fn parse(self, data_type: DataType, context: &EvalContext<'_>) -> Result<Datum> {
        let info = context.type_info(data_type.oid)?;
        let value = match self {
            RawField::Text(None) | RawField::Binary(None) => {
                context.types.check_domain(data_type.oid, &Datum::Null, context)?;
                return Ok(Datum::Null);
            }
            RawField::Text(Some(text)) => info.parse_text(text, data_type.typmod, context)?,
            RawField::Binary(Some(bytes)) => info.read_binary(bytes, data_type.typmod, context)?,
        };
        info.apply_modifier(value, data_type.typmod, false)
    }

    /// What an error says of it.
    fn shown(self) -> String {
        match self {
            RawField::Text(Some(text)) => format!(": \"{text}\""),
            RawField::Text(None) => ": null input".to_owned(),
            RawField::Binary(_) => String::new(),
        }
    }
}

impl CopyIn {
    /// Whether the data comes in binary.
    #[must_use]
    pub fn is_binary(&self) -> bool {
        matches!(self.decoder, Decoder::Binary(..))
    }

    /// Says of an error of the client's where in the data it came.
    #[must_use]
    pub fn located(&self, error: SqlError) -> SqlError {
        let plan = self.prepared.copy_plan().map(|plan| &plan.work);
        match plan {
            Some(CopyWork::In { writer, .. }) => {
                let (table, line) = (&writer.entry.table.name, self.decoder.line() + 1);
                error.with_context(format!("COPY {table}, line {line}"))
            }
            _ => error,
        }
    }

    /// Takes bytes in; tells what is wrong with those that are no text.
    fn feed(&mut self, bytes: &[u8]) -> Option<SqlError> {
        let Some(transcoder) = &mut self.transcoder else {
            self.decoder.feed(bytes);
            return None;
        };
        let mut text = String::new();
        let fed = transcoder.feed(bytes, &mut text);
        self.decoder.feed(text.as_bytes());
        fed.err()
    }

    /// How many columns the data has.
    #[must_use]
    pub fn column_count(&self) -> usize {
        self.prepared.copy_plan().map_or(0, |plan| plan.columns.len())
    }
}

impl Session {
    /// Begins to load, after [`crate::session::Step::CopyIn`].
    ///
    /// # Errors
    /// XX000 for a portal that loads nothing.
    pub async fn copy_in(&mut self, portal: &Portal) -> Result<CopyIn> {
        self.begin_load(portal.prepared.clone()).await
    }

    /// Begins to load by a prepared COPY.
    pub(super) async fn begin_load(&mut self, prepared: Arc<Prepared>) -> Result<CopyIn> {
        let Some(plan) = prepared.copy_plan().filter(|plan| plan.direction() == CopyDirection::In) else {
            return Err(SqlError::internal("this statement takes no data"));
        };
        let names = plan.columns.iter().map(|(name, _)| name.clone()).collect();
        let decoder = match plan.options.format {
            CopyFormat::Binary => Decoder::Binary(BinaryDecoder::new(plan.columns.len()), Vec::new()),
            _ => Decoder::Text(CopyDecoder::new(plan.options.clone(), names)),
        };
        let environment = self.begin_statement().await?;
        let mut execution = self.lend(environment.clone(), Arc::new([]))?;
        let locked = match &plan.work {
            CopyWork::In { writer, .. } => writer.lock_table(&mut execution).await,
            CopyWork::Out { .. } | CopyWork::OutOfChange { .. } => Ok(()),
        };
        self.take_back(execution)?;
        locked?;
        let encoding = plan.encoding(self.formats().client_encoding);
        let is_converted = matches!(decoder, Decoder::Text(_)) && !encoding.is_plain();
        let transcoder = is_converted.then(|| Transcoder::new(encoding));
        Ok(CopyIn { prepared, decoder, environment, transcoder, rows: 0 })
    }

    /// Takes some data.
    ///
    /// # Errors
    /// Those of the data and of writing; the transaction has failed then.
    pub async fn copy_data(&mut self, copy: &mut CopyIn, bytes: &[u8]) -> Result<()> {
        let refused = copy.feed(bytes);
        let mut loaded = self.load(copy, false).await;
        if let (Ok(()), Some(error)) = (&loaded, refused) {
            loaded = Err(copy.located(error));
        }
        if loaded.is_err() {
            self.note_error();
        }
        loaded
    }

    /// Ends the load; gives the command tag.
    ///
    /// # Errors
    /// As [`Session::copy_data`].
    pub async fn copy_done(&mut self, mut copy: CopyIn) -> Result<String> {
        let cut = copy.transcoder.as_mut().and_then(|transcoder| transcoder.finish().err());
        let loaded = match cut {
            Some(error) => Err(copy.located(error)),
            None => self.load(&mut copy, true).await,
        };
        if loaded.is_err() {
            self.note_error();
        }
        loaded?;
        Ok(format!("COPY {}", copy.rows))
    }

    async fn load(&mut self, copy: &mut CopyIn, at_end: bool) -> Result<()> {
        let mut execution = self.lend(copy.environment.clone(), Arc::new([]))?;
        let mut loaded = load_rows(copy, at_end, &mut execution).await;
        if loaded.is_ok() && at_end {
            loaded = check_pending(&mut execution, Due::Statement).await;
        }
        self.take_back(execution)?;
        loaded
    }
}

async fn load_rows(copy: &mut CopyIn, at_end: bool, execution: &mut Execution) -> Result<()> {
    let prepared = copy.prepared.clone();
    let Some(plan) = prepared.copy_plan() else {
        return Err(SqlError::internal("this statement takes no data"));
    };
    let CopyWork::In { writer, positions, defaults, condition } = &plan.work else {
        return Err(SqlError::internal("this COPY gives data"));
    };
    let table = &writer.entry.table.name;
    let mut row = Vec::with_capacity(defaults.len());
    loop {
        let count = copy.decoder.next_row(at_end);
        let line = copy.decoder.line();
        let here =
            |error: SqlError, shown: &str| error.with_context(format!("COPY {table}, line {line}{shown}"));
        let count = match count {
            // What comes before the first row is no line.
            Err(error) if line == 0 => return Err(error),
            count => count.map_err(|error| here(error, &copy.decoder.shown_row()))?,
        };
        let Some(count) = count else { return Ok(()) };
        row.clear();
        let no_row: [Datum; 0] = [];
        let context = execution.context();
        for default in defaults {
            row.push(match default {
                NewValue::Default(expr) => expr.eval_row(&no_row.as_slice(), &context)?,
                NewValue::Source(_) => Datum::Null,
            });
        }
        for ((at, position), (name, data_type)) in (0..count).zip(positions).zip(&plan.columns) {
            let field = copy.decoder.field(at);
            row[*position] = field.parse(*data_type, &context).map_err(|error| {
                error.with_context(format!("COPY {table}, line {line}, column {name}{}", field.shown()))
            })?;
        }
        copy.decoder.check_count(count).map_err(|error| here(error, &copy.decoder.shown_row()))?;
        writer.generate(&mut row, &execution.context())?;
        let is_wanted = match condition {
            Some(condition) => {
                condition
                    .eval_row(&row.as_slice(), &execution.context())
                    .map_err(|error| here(error, &copy.decoder.shown_row()))?
                    == Datum::Bool(true)
            }
            None => true,
        };
        if is_wanted {
            writer.insert(&row, execution).await.map_err(|error| here(error, ""))?;
            copy.rows += 1;
        }
        if line.is_multiple_of(1_024) {
            execution.breathe().await?;
        }
    }
}
