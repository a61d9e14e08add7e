//! Connections that are encrypted: the same protocol behind a handshake, and nothing that came before it.
//!
//! `tls/certificate.pem` is `localhost`'s, signed by its own key, `tls/key.pem`.

use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;

use futures_rustls::rustls::crypto::ring;
use futures_rustls::rustls::pki_types::pem::PemObject;
use futures_rustls::rustls::pki_types::{CertificateDer, ServerName};
use futures_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use helios_server::{Server, ServerOptions, TlsFiles};

use crate::support::{TestServer, Wire, query, startup};

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/server/tls").join(name)
}

fn files() -> TlsFiles {
    TlsFiles { certificate: file("certificate.pem"), key: file("key.pem"), authorities: None }
}

fn encrypted() -> TestServer {
    TestServer::with(|options| options.tls = Some(files()))
}

/// Agrees on encryption with a server whose certificate is believed.
fn handshake(mut wire: Wire) -> Wire<StreamOwned<ClientConnection, TcpStream>> {
    wire.send(&SSL_REQUEST);
    assert_eq!(wire.byte(), b'S');
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(file("certificate.pem")).expect("a certificate");
    roots.add(certificate).expect("a certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let client = ClientConnection::new(Arc::new(config), name).expect("a client");
    Wire { stream: StreamOwned::new(client, wire.stream) }
}

#[test]
fn the_protocol_is_the_same_behind_encryption() {
    let server = encrypted();
    let mut wire = handshake(server.dial());
    wire.send(&startup(&[("user", "postgres")]));
    assert_eq!(wire.until_ready().last().map(|answer| answer.kind), Some('Z'));
    assert_eq!(wire.ask(&query("SELECT 1")), ["T", "D", "C SELECT 1", "Z I"]);
    // More than any buffer holds.
    let answers = wire.ask(&query("SELECT repeat('x', 1000) FROM generate_series(1, 20000)"));
    assert_eq!(answers.iter().filter(|answer| *answer == "D").count(), 20_000);
    // Whoever does not ask for encryption gets none.
    server.connect();
}

/// What lies behind the request before the handshake was put there by somebody who cannot encrypt (CVE-2021-23222).
#[test]
fn nothing_may_come_before_the_handshake() {
    let server = encrypted();
    let mut wire = server.dial();
    wire.send(&[&SSL_REQUEST[..], &startup(&[("user", "postgres")])].concat());
    assert_eq!(wire.byte(), b'S');
    let refusal = wire.answer().expect("a refusal");
    assert_eq!(refusal.short(), "E FATAL 08P01 received unencrypted data after SSL request");
    assert_eq!(wire.answer(), None);
}

#[test]
fn a_failed_handshake_ends_the_connection_alone() {
    let server = encrypted();
    let mut wire = server.dial();
    wire.send(&SSL_REQUEST);
    assert_eq!(wire.byte(), b'S');
    wire.send(&startup(&[("user", "postgres")]));
    // An alert perhaps, and then the end.
    while wire.answer_bytes() > 0 {}
    server.connect();
}

#[test]
fn files_that_do_not_fit_are_refused_at_the_start() {
    for (certificate, key, expected) in [
        ("nothing.pem", "key.pem", "cannot read"),
        ("certificate.pem", "nothing.pem", "cannot read"),
        ("key.pem", "key.pem", "there is none in it"),
        ("certificate.pem", "certificate.pem", "the private key in"),
    ] {
        let tls = Some(TlsFiles { certificate: file(certificate), key: file(key), authorities: None });
        let options = ServerOptions { port: 0, tls, ..ServerOptions::default() };
        let Err(error) = Server::bind(options) else { panic!("{certificate} and {key} are taken") };
        assert!(error.to_string().contains(expected), "{error}");
    }
}
