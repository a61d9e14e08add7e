//! Records what a real PostgreSQL 15 says in the conversations of `tests/protocol`:
//! `tests/oracle target/debug/examples/record FILE…`

use helios_tests::PostgreSql;
use helios_tests::protocol::{Server, play};

#[allow(clippy::disallowed_methods)] // it rewrites the tests' files
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let parameters = std::env::var("HELIOS_ORACLE")?;
    let folder = PostgreSql::socket_folder(&parameters).ok_or("HELIOS_ORACLE names no folder")?;
    let server = Server::Unix(folder.into());
    for file in std::env::args().skip(1) {
        PostgreSql::create_database(&parameters, "postgres")?;
        let text = std::fs::read_to_string(&file)?;
        std::fs::write(&file, play(&text, &server).map_err(|error| format!("{file}: {error}"))?)?;
    }
    Ok(())
}
