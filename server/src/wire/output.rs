//! The output buffer: answers are appended, and sent in as few writes as possible.
//!
//! Answers wait in the buffer until the client must see them: a message that ends a round trip asks for it with
//! [`Output::want_flush`], and the connection writes once its input is drained. Large results are written when
//! the buffer passes [`Output::is_full`], so that a slow client slows its own query down.

use std::io;

use futures_lite::{AsyncWrite, AsyncWriteExt};
use heliosdb_nano::session::{Encoding, SqlError};

/// The size from which a result is written while it is made.
const FULL_BYTES: usize = 64 * 1024;
/// A buffer larger than this is given back once it was written.
const KEPT_BYTES: usize = 256 * 1024;

/// The output buffer of a connection.
#[derive(Default)]
pub(crate) struct Output {
    buffer: Vec<u8>,
    is_flush_wanted: bool,
    /// What the client wants texts written in.
    encoding: Encoding,
    /// Why a string could not be written so.
    refused: Option<SqlError>,
}

/// Where a message under construction has its length.
#[must_use]
pub(crate) struct Begun(usize);

impl Output {
    /// Begins a message.
    pub(crate) fn begin(&mut self, kind: u8) -> Begun {
        self.buffer.push(kind);
        self.buffer.extend_from_slice(&[0; 4]);
        Begun(self.buffer.len() - 4)
    }

    /// Ends a message: its length is known now.
    pub(crate) fn end(&mut self, begun: Begun) {
        self.set_length(begun.0, self.buffer.len() - begun.0);
    }

    /// Takes back a message that could not be finished.
    pub(crate) fn abandon(&mut self, begun: Begun) {
        self.buffer.truncate(begun.0 - 1);
    }

    /// Begins a value whose length comes before it.
    pub(crate) fn begin_value(&mut self) -> Begun {
        self.buffer.extend_from_slice(&[0; 4]);
        Begun(self.buffer.len() - 4)
    }

    /// Ends a value; the length does not count itself.
    pub(crate) fn end_value(&mut self, begun: Begun) {
        self.set_length(begun.0, self.buffer.len() - begun.0 - 4);
    }

    fn set_length(&mut self, at: usize, length: usize) {
        // No message comes near 2 GiB: values are bounded by what clients may send.
        let length = i32::try_from(length).unwrap_or(i32::MAX);
        self.buffer[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }

    /// A message without a body.
    pub(crate) fn empty_message(&mut self, kind: u8) {
        self.buffer.extend_from_slice(&[kind, 0, 0, 0, 4]);
    }

    pub(crate) fn byte(&mut self, value: u8) {
        self.buffer.push(value);
    }

    pub(crate) fn i16(&mut self, value: i16) {
        self.buffer.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.buffer.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.buffer.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.buffer.extend_from_slice(value);
    }

    /// A string and its terminating zero; a zero within would cut it short for the client. Characters that the client's
    /// encoding does not have show as question marks, unless somebody asks for [`Output::take_refused`].
    pub(crate) fn string(&mut self, value: &str) {
        if let Err(error) = self.text(value) {
            self.buffer.extend_from_slice(&self.encoding.encode_lossy(value));
            self.refused = Some(error);
        }
        self.buffer.push(0);
    }

    /// A text in the client's encoding.
    pub(crate) fn text(&mut self, value: &str) -> Result<(), SqlError> {
        let start = self.buffer.len();
        let written = self.encoding.encode_to(value, &mut self.buffer);
        if written.is_err() {
            self.buffer.truncate(start);
        }
        written
    }

    /// Why one of the strings since the last call could not be written.
    pub(crate) fn take_refused(&mut self) -> Option<SqlError> {
        self.refused.take()
    }

    /// The client's encoding, from now on.
    pub(crate) fn set_encoding(&mut self, encoding: Encoding) {
        self.encoding = encoding;
    }

    /// What texts are written in.
    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The buffer itself, for encoders that append to it.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// CommandComplete.
    pub(crate) fn command_complete(&mut self, tag: &str) {
        let message = self.begin(b'C');
        self.string(tag);
        self.end(message);
    }

    /// ParameterStatus.
    pub(crate) fn parameter_status(&mut self, name: &str, value: &str) {
        let message = self.begin(b'S');
        self.string(name);
        self.string(value);
        self.end(message);
    }

    /// Asks for the buffer to be written once the input is drained.
    pub(crate) fn want_flush(&mut self) {
        self.is_flush_wanted = true;
    }

    pub(crate) fn is_flush_wanted(&self) -> bool {
        self.is_flush_wanted
    }

    /// Whether a result should be written before more of it is made.
    pub(crate) fn is_full(&self) -> bool {
        self.buffer.len() >= FULL_BYTES
    }

    /// Writes everything to the socket.
    pub(crate) async fn flush(&mut self, socket: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        self.is_flush_wanted = false;
        if !self.buffer.is_empty() {
            socket.write_all(&self.buffer).await?;
            // What was encrypted may still be on its way.
            socket.flush().await?;
            self.buffer.clear();
            if self.buffer.capacity() > KEPT_BYTES {
                self.buffer = Vec::with_capacity(FULL_BYTES);
            }
        }
        Ok(())
    }
}
