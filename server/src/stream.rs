//! A connection's bytes, encrypted or not.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_lite::{AsyncRead, AsyncWrite};
use futures_rustls::rustls::ProtocolVersion;
use futures_rustls::server::TlsStream;
use helios_runtime::executor::{HangUp, Peer, Socket};
use heliosdb_nano::session::Encryption;

use crate::tls::Tls;

/// What a client's messages come through.
pub(crate) enum Stream {
    Plain(Socket),
    Encrypted(Box<TlsStream<Socket>>),
    /// No agreement on encryption was reached: nobody understands anything any more.
    Broken,
}

impl Stream {
    /// Who is at the other end; nobody where the stream is broken.
    pub(crate) fn peer(&self) -> Option<Peer> {
        match self {
            Stream::Plain(socket) => Some(socket.peer()),
            Stream::Encrypted(stream) => Some(stream.get_ref().0.peer()),
            Stream::Broken => None,
        }
    }

    /// What tells whether the client is gone.
    pub(crate) fn hang_up(&self) -> Option<HangUp> {
        match self {
            Stream::Plain(socket) => Some(socket.hang_up()),
            Stream::Encrypted(stream) => Some(stream.get_ref().0.hang_up()),
            Stream::Broken => None,
        }
    }

    /// The address of this end, where it is one of the network.
    pub(crate) fn local(&self) -> Option<SocketAddr> {
        match self {
            Stream::Plain(socket) => socket.local(),
            Stream::Encrypted(stream) => stream.get_ref().0.local(),
            Stream::Broken => None,
        }
    }

    /// Whether what passes is encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        matches!(self, Stream::Encrypted(_))
    }

    /// How what passes is encrypted, if it is.
    pub(crate) fn encryption(&self) -> Option<Encryption> {
        let Stream::Encrypted(stream) = self else { return None };
        let (_, connection) = stream.get_ref();
        let version = match connection.protocol_version()? {
            ProtocolVersion::TLSv1_3 => "TLSv1.3",
            _ => "TLSv1.2",
        };
        let suite = connection.negotiated_cipher_suite()?.suite();
        let suite = suite.as_str()?;
        let bits = if suite.contains("AES_128") { 128 } else { 256 };
        Some(Encryption { version, cipher: openssl_name(suite), bits })
    }

    /// The certificate that the client has shown, in DER; the authorities vouch for it.
    pub(crate) fn client_certificate(&self) -> Option<&[u8]> {
        match self {
            Stream::Encrypted(stream) => {
                stream.get_ref().1.peer_certificates()?.first().map(|certificate| certificate.as_ref())
            }
            Stream::Plain(_) | Stream::Broken => None,
        }
    }

    /// Agrees with the client on encryption: all that follows is encrypted.
    pub(crate) async fn encrypt(&mut self, tls: &Tls) -> io::Result<()> {
        match std::mem::replace(self, Stream::Broken) {
            Stream::Plain(socket) => {
                *self = Stream::Encrypted(Box::new(tls.accept(socket).await?));
                Ok(())
            }
            Stream::Encrypted(_) | Stream::Broken => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

/// OpenSSL's name of a cipher suite: `TLS_AES_256_GCM_SHA384`, `ECDHE-RSA-AES256-GCM-SHA384`.
fn openssl_name(suite: &str) -> String {
    if let Some(cipher) = suite.strip_prefix("TLS13_") {
        return format!("TLS_{cipher}");
    }
    let name = suite.trim_start_matches("TLS_").replace("_WITH_", "-").replace('_', "-");
    name.replace("AES-", "AES").replace("CHACHA20-POLY1305-SHA256", "CHACHA20-POLY1305")
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_read(context, bytes),
            Stream::Encrypted(stream) => Pin::new(stream).poll_read(context, bytes),
            Stream::Broken => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Stream::Encrypted(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Broken => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_flush(context),
            Stream::Encrypted(stream) => Pin::new(stream).poll_flush(context),
            Stream::Broken => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_close(context),
            Stream::Encrypted(stream) => Pin::new(stream).poll_close(context),
            Stream::Broken => Poll::Ready(Ok(())),
        }
    }
}
