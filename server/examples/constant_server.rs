//! Answers every statement with one constant row, over the connections of the real server: what the protocol costs alone.
//! `cargo run --release -p helios_server --example constant_server -- PORT [SOCKET_FOLDER [CERTIFICATE KEY]]`, an empty SOCKET_FOLDER for none.
//! `benches/compare/codec` compares it with the real one.

use std::path::PathBuf;

use helios_server::{Server, ServerOptions, TlsFiles, stop_on_signals};
use heliosdb_nano::EmbeddedDatabase;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().as_deref().unwrap_or("5432").parse()?;
    let folder = arguments.next().filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let files = arguments.next().zip(arguments.next());
    let tls = files.map(|(certificate, key)| TlsFiles {
        certificate: certificate.into(),
        key: key.into(),
        authorities: None,
    });
    // Who connects is looked up in it.
    let database = EmbeddedDatabase::new_in_memory()?;
    let stop = stop_on_signals()?;
    let options = ServerOptions {
        port,
        unix_socket_directory: folder,
        tls,
        constant_row: true,
        ..ServerOptions::default()
    };
    Server::bind(options)?.serve(database.engine().clone(), &stop)?;
    Ok(())
}
