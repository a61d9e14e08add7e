//! This database, one connection, as a server would use it.

use futures_lite::future::block_on;
use heliosdb_nano::connection::{Connection, Format, Step};
use heliosdb_nano::{EmbeddedDatabase, Error};
use sqllogictest::{DB, DBOutput, DefaultColumnType};

use crate::{Failure, shown};

/// A connection to a database that several may share.
pub struct Embedded {
    connection: Connection,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure {
            sqlstate: error.sqlstate().to_string(),
            message: error.to_string(),
            position: error.position(),
        }
    }
}

impl Embedded {
    #[must_use]
    pub fn new(database: &EmbeddedDatabase) -> Embedded {
        Embedded::at(database, "postgres")
    }

    /// A connection to one of the folder's databases.
    #[must_use]
    pub fn at(database: &EmbeddedDatabase, name: &str) -> Embedded {
        Embedded { connection: database.connect("postgres", name) }
    }

    /// The same where helpers read all tables that may be read by several, however small.
    ///
    /// # Panics
    /// Where such a setting is refused.
    #[must_use]
    pub fn with_helpers(database: &EmbeddedDatabase) -> Embedded {
        let mut embedded = Embedded::new(database);
        let settings = "SET force_parallel_mode = on; SET parallel_leader_participation = off";
        block_on(embedded.simple_query(settings)).expect("the settings exist");
        embedded
    }

    /// Runs a text of one or more statements as the simple query protocol does; the last one's output counts.
    async fn simple_query(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Error> {
        let connection = &mut self.connection;
        let mut output = DBOutput::StatementComplete(0);
        for statement in connection.parse(sql)? {
            let prepared = connection.prepare_parsed(sql, statement).await?;
            let returns_rows = prepared.columns.is_some();
            let columns = prepared.columns.clone().unwrap_or_default();
            let mut portal = connection.bind(prepared, &[], &[])?;
            let mut rows = Vec::new();
            let tag = loop {
                match connection.step(&mut portal, &mut None).await? {
                    Step::Rows(batch) => {
                        for row in 0..batch.row_count {
                            let mut encoded = Vec::new();
                            connection.encode_row(&portal, &[Format::Text], &batch, row, &mut encoded)?;
                            rows.push(fields(&encoded));
                        }
                    }
                    Step::Complete(tag) => break tag,
                    Step::Empty | Step::Suspended | Step::CopyIn => break String::new(),
                }
            };
            output = if returns_rows {
                DBOutput::Rows { types: vec![DefaultColumnType::Any; columns.len()], rows }
            } else {
                let count = tag.rsplit(' ').next().and_then(|count| count.parse().ok());
                DBOutput::StatementComplete(count.unwrap_or(0))
            };
        }
        Ok(output)
    }
}

/// The values of an encoded row: a count, then each value with its length, -1 for null.
fn fields(mut encoded: &[u8]) -> Vec<String> {
    let mut take = |count: usize| {
        let (head, tail) = encoded.split_at(count);
        encoded = tail;
        head
    };
    let count = u16::from_be_bytes(take(2).try_into().expect("two bytes"));
    (0..count)
        .map(|_| {
            let length = i32::from_be_bytes(take(4).try_into().expect("four bytes"));
            let bytes = usize::try_from(length).ok().map(&mut take);
            shown(bytes.map(|bytes| std::str::from_utf8(bytes).expect("UTF-8")))
        })
        .collect()
}

impl DB for Embedded {
    type Error = Failure;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Failure> {
        let ran = block_on(self.simple_query(sql));
        let synced = block_on(self.connection.sync());
        // The next statement's plan, and with it the order of its rows, is not to depend on who is faster.
        block_on(self.connection.session().engine().settle_statistics());
        let output = ran?;
        synced?;
        Ok(output)
    }

    fn engine_name(&self) -> &str {
        "heliosdb"
    }
}
