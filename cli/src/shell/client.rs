//! One connection to the database: statements in, tables and tags out.

use std::io;

use futures_lite::future::block_on;
use heliosdb_nano::connection::{
    CancelHandle, Connection, Datum, Notice, Portal, ResultColumn, Step, TransactionStatus,
};
use heliosdb_nano::{EmbeddedDatabase, Error};

use super::table::Table;

/// What a statement gave.
#[derive(Debug)]
pub enum Answer {
    /// Rows.
    Table(Table),
    /// The output of COPY … TO STDOUT.
    Copied(Vec<u8>),
    /// No rows; the command tag, such as `INSERT 0 1`.
    Done(String),
}

/// Why a statement gave nothing.
#[derive(Debug)]
pub enum Failure {
    Statement(Error),
    /// The input or output of the shell itself.
    Io(io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Statement(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Io(error)
    }
}

/// Where COPY … FROM STDIN reads: the next line with its line break; `None` at the end of the data.
pub type DataLines<'a> = dyn FnMut() -> io::Result<Option<String>> + 'a;

/// A connection of the shell's user.
pub struct Client {
    connection: Connection,
}

impl Client {
    /// Connects to a database of this process.
    pub fn new(database: &EmbeddedDatabase) -> Client {
        Client { connection: database.connect("postgres", "heliosdb") }
    }

    /// A handle that cancels what runs, from any thread.
    pub fn cancel_handle(&mut self) -> CancelHandle {
        self.connection.session().cancel_handle()
    }

    /// Whether a transaction runs, and whether it has failed.
    pub fn transaction_status(&mut self) -> TransactionStatus {
        self.connection.session().transaction_status()
    }

    /// The branch that the session is on, unless it is `main`.
    pub fn branch(&mut self) -> Option<String> {
        let branch = self.connection.session().branch_name();
        (branch != "main").then_some(branch)
    }

    /// The messages since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        self.connection.session().take_notices()
    }

    /// Runs a text of one statement, or of several in one transaction.
    pub fn run(&mut self, text: &str, data: &mut DataLines<'_>) -> Result<Vec<Answer>, Failure> {
        let answers = self.run_all(text, data);
        // Failed or not, what ran outside of an explicit transaction ends here, as at the end of a simple query.
        let ended = block_on(self.connection.sync());
        let answers = answers?;
        ended?;
        Ok(answers)
    }

    /// Runs a query that takes no data and gives its rows.
    pub fn query(&mut self, text: &str) -> Result<Table, Failure> {
        let answers = self.run(text, &mut || Ok(None))?;
        let mut tables = answers.into_iter().filter_map(|answer| match answer {
            Answer::Table(table) => Some(table),
            _ => None,
        });
        Ok(tables.next_back().unwrap_or_default())
    }

    /// The names and types of the columns that a query would give.
    pub fn columns_of(&mut self, query: &str) -> Result<Vec<(String, u32)>, Failure> {
        let prepared = block_on(self.connection.prepare(query, &[]));
        let ended = block_on(self.connection.sync());
        let prepared = prepared?;
        ended?;
        let columns = prepared.columns.iter().flatten();
        Ok(columns.map(|column| (column.name.clone(), column.data_type.oid)).collect())
    }

    fn run_all(&mut self, text: &str, data: &mut DataLines<'_>) -> Result<Vec<Answer>, Failure> {
        let mut answers = Vec::new();
        for statement in self.connection.parse(text)? {
            let prepared = block_on(self.connection.prepare_parsed(text, statement))?;
            let mut portal = self.connection.bind(prepared, &[], &[])?;
            answers.extend(self.execute(&mut portal, data)?);
        }
        Ok(answers)
    }

    /// Runs a portal to its end; nothing for an empty statement.
    fn execute(&mut self, portal: &mut Portal, data: &mut DataLines<'_>) -> Result<Option<Answer>, Failure> {
        let columns = portal.prepared.columns.clone();
        let copies = portal.prepared.copy_plan().is_some_and(|plan| plan.gives_to_client());
        let names = columns.iter().flatten().map(|column| column.name.clone()).collect();
        let mut table = Table { columns: names, rows: Vec::new() };
        let mut copied = Vec::new();
        loop {
            match block_on(self.connection.step(portal, &mut None))? {
                Step::Rows(batch) if copies => {
                    for row in 0..batch.row_count {
                        if let Datum::Bytes(bytes) = batch.datum(row, 0) {
                            copied.extend_from_slice(&bytes);
                        }
                    }
                }
                Step::Rows(batch) => {
                    let columns = columns.as_deref().unwrap_or_default();
                    for row in 0..batch.row_count {
                        let mut message = Vec::new();
                        self.connection.encode_row(portal, &[], &batch, row, &mut message)?;
                        table.rows.push(values_of(&message, columns));
                    }
                }
                Step::Complete(_) if copies => return Ok(Some(Answer::Copied(copied))),
                Step::Complete(_) if columns.is_some() => return Ok(Some(Answer::Table(table))),
                Step::Complete(tag) => return Ok(Some(Answer::Done(tag))),
                Step::CopyIn => return self.copy_in(portal, data).map(|tag| Some(Answer::Done(tag))),
                Step::Empty | Step::Suspended => return Ok(None),
            }
        }
    }

    /// Loads the lines of the shell's input. Those after an error are read all the same: they are no statements.
    fn copy_in(&mut self, portal: &Portal, data: &mut DataLines<'_>) -> Result<String, Failure> {
        let session = self.connection.session();
        let begun = block_on(session.copy_in(portal));
        if begun.is_err() {
            session.note_error();
        }
        let mut copy = begun.map_err(Error::from);
        while let Some(line) = data()? {
            if let Ok(loading) = &mut copy
                && let Err(error) = block_on(session.copy_data(loading, line.as_bytes()))
            {
                copy = Err(error.into());
            }
        }
        Ok(block_on(session.copy_done(copy?)).map_err(Error::from)?)
    }
}

/// The values of a row in the form of the protocol's DataRow: for each column its length and its text.
fn values_of(message: &[u8], columns: &[ResultColumn]) -> Vec<Option<String>> {
    const LENGTH_BYTES: usize = 4;
    // The number of columns comes first.
    let mut rest = &message[2..];
    columns
        .iter()
        .map(|_| {
            let (length, value) = rest.split_first_chunk::<LENGTH_BYTES>()?;
            rest = value;
            // A negative length is NULL.
            let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
            let (value, after) = value.split_at(length);
            rest = after;
            Some(String::from_utf8_lossy(value).into_owned())
        })
        .collect()
}
