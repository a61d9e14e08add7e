//! One connection by the simple query protocol: to a real PostgreSQL 15, or to a server of this database.

use futures_lite::future::block_on;
use heliosdb_nano::EmbeddedDatabase;
use postgres::error::ErrorPosition;
use postgres::{Client, NoTls, SimpleQueryMessage};
use sqllogictest::{DB, DBOutput, DefaultColumnType};

use crate::{Failure, TestServer, shown};

/// A connection to a PostgreSQL server's database, or to one of this database's servers.
pub struct PostgreSql {
    client: Client,
    /// What the server serves, where it is in this process.
    served: Option<EmbeddedDatabase>,
}

impl From<postgres::Error> for Failure {
    fn from(error: postgres::Error) -> Failure {
        match error.as_db_error() {
            Some(error) => Failure {
                sqlstate: error.code().code().to_string(),
                message: error.message().to_string(),
                position: match error.position() {
                    Some(ErrorPosition::Original(position)) => Some(*position),
                    _ => None,
                },
            },
            None => Failure { sqlstate: "08006".to_string(), message: error.to_string(), position: None },
        }
    }
}

impl PostgreSql {
    /// Connects as `parameters` say (`host=… port=… user=…`), to a database.
    ///
    /// # Errors
    /// Those of connecting.
    pub fn connect(parameters: &str, database: &str) -> Result<PostgreSql, Failure> {
        let client = Client::connect(&format!("{parameters} dbname={database}"), NoTls)?;
        Ok(PostgreSql { client, served: None })
    }

    /// Connects to a server of this process.
    ///
    /// # Errors
    /// Those of connecting.
    pub fn to_server(server: &TestServer) -> Result<PostgreSql, Failure> {
        let (host, port) = (server.address.ip(), server.address.port());
        let parameters = format!("host={host} port={port} user=postgres dbname=postgres");
        let client = Client::connect(&parameters, NoTls)?;
        Ok(PostgreSql { client, served: Some(server.database.clone()) })
    }

    /// The folder of the server's socket, where `parameters` name one.
    #[must_use]
    pub fn socket_folder(parameters: &str) -> Option<&str> {
        parameters.split(' ').find_map(|parameter| parameter.strip_prefix("host="))
    }

    /// Makes an empty database, in place of one that is left from another run.
    ///
    /// # Errors
    /// Those of the server.
    pub fn create_database(parameters: &str, database: &str) -> Result<(), Failure> {
        let mut server = Client::connect(&format!("{parameters} dbname=template1"), NoTls)?;
        server.batch_execute(&format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)"))?;
        server.batch_execute(&format!("CREATE DATABASE {database} TEMPLATE template0"))?;
        Ok(())
    }
}

impl DB for PostgreSql {
    type Error = Failure;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Failure> {
        let answer = self.simple_query(sql);
        let Some(served) = &self.served else { return Ok(answer?) };
        // As in `Embedded`.
        block_on(served.engine().settle_statistics());
        answer.map_err(in_full)
    }

    fn engine_name(&self) -> &str {
        if self.served.is_some() { "heliosdb" } else { "postgresql" }
    }
}

/// The error with its detail and hint, as an embedded database shows it.
fn in_full(error: postgres::Error) -> Failure {
    let more = error.as_db_error().map_or(String::new(), |error| {
        let line =
            |label: &str, text: Option<&str>| text.map_or(String::new(), |text| format!("\n{label}: {text}"));
        line("DETAIL", error.detail()) + &line("HINT", error.hint())
    });
    let mut failure = Failure::from(error);
    failure.message += &more;
    failure
}

impl PostgreSql {
    fn simple_query(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, postgres::Error> {
        let mut output = DBOutput::StatementComplete(0);
        let mut columns = None;
        let mut rows = Vec::new();
        for message in self.client.simple_query(sql)? {
            match message {
                SimpleQueryMessage::RowDescription(description) => columns = Some(description.len()),
                SimpleQueryMessage::Row(row) => {
                    rows.push((0..row.len()).map(|at| shown(row.get(at))).collect())
                }
                SimpleQueryMessage::CommandComplete(count) => {
                    output = match columns.take() {
                        Some(columns) => DBOutput::Rows {
                            types: vec![DefaultColumnType::Any; columns],
                            rows: std::mem::take(&mut rows),
                        },
                        None => DBOutput::StatementComplete(count),
                    };
                }
                _ => {}
            }
        }
        Ok(output)
    }
}
