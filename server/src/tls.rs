//! Encryption: TLS 1.2 and 1.3, with the certificate that the server shows.

use std::io;
use std::path::Path;
use std::sync::Arc;

use futures_rustls::TlsAcceptor;
use futures_rustls::rustls::crypto::ring;
use futures_rustls::rustls::pki_types::pem::PemObject;
use futures_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use futures_rustls::rustls::server::danger::ClientCertVerifier;
use futures_rustls::rustls::server::{NoClientAuth, WebPkiClientVerifier};
use futures_rustls::rustls::{RootCertStore, ServerConfig};
use futures_rustls::server::TlsStream;
use helios_runtime::executor::Socket;

use crate::end_point::end_point;
use crate::options::TlsFiles;

/// What connections are encrypted with.
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    /// What logins can be bound to.
    end_point: Option<Arc<[u8]>>,
}

impl Tls {
    /// Reads the certificate, with those that vouch for it behind it, and its key.
    ///
    /// # Errors
    /// `InvalidInput` for files that cannot be read or do not belong together.
    pub(crate) fn load(files: &TlsFiles) -> io::Result<Tls> {
        let certificates = read(&files.certificate)?;
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&certificates)
            .collect::<Result<_, _>>()
            .map_err(|error| invalid("certificate", &files.certificate, &error))?;
        if certificates.is_empty() {
            return Err(invalid("certificate", &files.certificate, &"there is none in it"));
        }
        let end_point = certificates.first().and_then(|first| end_point(first)).map(Arc::from);
        let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?)
            .map_err(|error| invalid("private key", &files.key, &error))?;
        let verifier = match &files.authorities {
            None => Arc::new(NoClientAuth),
            Some(path) => client_verifier(path)?,
        };
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder.with_client_cert_verifier(verifier).with_single_cert(certificates, key)
            })
            .map_err(|error| invalid("certificate and key", &files.certificate, &error))?;
        Ok(Tls { acceptor: TlsAcceptor::from(Arc::new(config)), end_point })
    }

    /// What logins over its connections can be bound to.
    pub(crate) fn end_point(&self) -> Option<&Arc<[u8]>> {
        self.end_point.as_ref()
    }

    /// Agrees with a client on encryption.
    pub(crate) async fn accept(&self, socket: Socket) -> io::Result<TlsStream<Socket>> {
        self.acceptor.accept(socket).await
    }
}

/// Lets clients come without a certificate, and with one that the authorities in a file vouch for.
fn client_verifier(path: &Path) -> io::Result<Arc<dyn ClientCertVerifier>> {
    let refused = |error: &dyn std::fmt::Display| invalid("list of authorities", path, error);
    let mut authorities = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&read(path)?) {
        let added = certificate.map(|certificate| authorities.add(certificate));
        added.map_err(|error| refused(&error))?.map_err(|error| refused(&error))?;
    }
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider);
    let verifier = verifier.allow_unauthenticated().build().map_err(|error| refused(&error))?;
    Ok(verifier)
}

#[allow(clippy::disallowed_methods)] // certificates lie beside the database, not in it
fn read(path: &Path) -> io::Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("cannot read {}: {error}", path.display()))
    })
}

fn invalid(what: &str, path: &Path, why: &dyn std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("the {what} in {} is no good: {why}", path.display()))
}
