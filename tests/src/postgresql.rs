//! A real PostgreSQL 15, one connection, by the simple query protocol.

use postgres::error::ErrorPosition;
use postgres::{Client, NoTls, SimpleQueryMessage};
use sqllogictest::{DB, DBOutput, DefaultColumnType};

use crate::{Failure, shown};

/// A connection to a PostgreSQL server's database.
pub struct PostgreSql {
    client: Client,
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
        Ok(PostgreSql { client })
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

    fn engine_name(&self) -> &str {
        "postgresql"
    }
}
