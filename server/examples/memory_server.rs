//! Serves a database in memory: `cargo run -p helios_server --example memory_server -- PORT [SOCKET_FOLDER]`.

use std::path::PathBuf;

use helios_server::{Server, ServerOptions, stop_on_signals};
use heliosdb_nano::EmbeddedDatabase;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().as_deref().unwrap_or("5432").parse()?;
    let unix_socket_directory = arguments.next().map(PathBuf::from);
    let database = EmbeddedDatabase::new_in_memory()?;
    let stop = stop_on_signals()?;
    let options = ServerOptions { port, unix_socket_directory, ..ServerOptions::default() };
    Server::bind(options)?.serve(database.engine().clone(), &stop)?;
    Ok(())
}
