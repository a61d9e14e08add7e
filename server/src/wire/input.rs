//! The input buffer: bytes as they come from the socket, cut into messages.
//!
//! 1. [`Input::next_message`] gives a message once all of it is there; it hands out places in the buffer, so
//!    that bodies are read where they lie.
//! 2. [`Input::fill`] reads more, moving what is unread to the front when room runs out. It grows the buffer
//!    by doubling as bytes arrive, and lets a large one go when it has been read.

use std::io;
use std::ops::Range;

use futures_lite::{AsyncRead, AsyncReadExt};

/// The bytes that are read at a time at least.
const FILL_BYTES: usize = 8 * 1024;
/// A buffer larger than this is given back once it is empty.
const KEPT_BYTES: usize = 256 * 1024;
/// The longest message of a kind that carries no data.
const SMALL_MESSAGE_MAX: usize = 10_000;
/// The longest message that carries text or data.
const LARGE_MESSAGE_MAX: usize = 0x3fff_fffe;
/// The longest answer to a challenge.
const RESPONSE_MAX: usize = 1_024;
/// The longest startup packet, with its length.
const STARTUP_PACKET_MAX: usize = 10_004;

/// A message: its kind, and where its body lies in the input.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) kind: u8,
    body: Range<usize>,
}

/// Why input cannot be cut into messages; nothing after it can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InputError {
    /// No message begins with this byte.
    UnknownKind(u8),
    /// The length is too small to be one, or too large for the kind.
    InvalidLength,
}

/// The input buffer of a connection.
pub(crate) struct Input {
    /// Filled up to `end`, read up to `start`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    pub(crate) fn new() -> Input {
        Input { buffer: vec![0; FILL_BYTES], start: 0, end: 0 }
    }

    /// The body of a message, until the next [`Input::fill`].
    pub(crate) fn body(&self, message: &Message) -> &[u8] {
        &self.buffer[message.body.clone()]
    }

    /// Whether the next message has begun to arrive, and is of this kind.
    pub(crate) fn is_next(&self, kind: u8) -> bool {
        self.buffer[self.start..self.end].first() == Some(&kind)
    }

    /// Whether nothing is left that was not given out.
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The next message, if all of it has arrived.
    pub(crate) fn next_message(&mut self) -> Result<Option<Message>, InputError> {
        let unread = &self.buffer[self.start..self.end];
        let Some(&kind) = unread.first() else { return Ok(None) };
        let length_max = match kind {
            b'Q' | b'F' | b'B' | b'P' | b'd' => LARGE_MESSAGE_MAX,
            b'X' | b'C' | b'D' | b'E' | b'H' | b'S' | b'c' | b'f' => SMALL_MESSAGE_MAX,
            _ => return Err(InputError::UnknownKind(kind)),
        };
        let Some(length) = unread.get(1..).and_then(<[u8]>::first_chunk) else { return Ok(None) };
        let length = announced_length(*length, 4..=length_max)?;
        Ok(self.take(1, length).map(|body| Message { kind, body }))
    }

    /// The next answer to a challenge, if all of it has arrived; another kind of message is for the caller to refuse.
    pub(crate) fn next_response(&mut self) -> Result<Option<Message>, InputError> {
        let unread = &self.buffer[self.start..self.end];
        let Some(&kind) = unread.first() else { return Ok(None) };
        if kind != b'p' {
            return Ok(Some(Message { kind, body: self.start..self.start }));
        }
        let Some(length) = unread.get(1..).and_then(<[u8]>::first_chunk) else { return Ok(None) };
        let length = announced_length(*length, 4..=RESPONSE_MAX)?;
        Ok(self.take(1, length).map(|body| Message { kind, body }))
    }

    /// The next startup packet, which has a length but no kind, if all of it has arrived.
    pub(crate) fn next_startup_packet(&mut self) -> Result<Option<Message>, InputError> {
        let unread = &self.buffer[self.start..self.end];
        let Some(length) = unread.first_chunk() else { return Ok(None) };
        let length = announced_length(*length, 8..=STARTUP_PACKET_MAX)?;
        Ok(self.take(0, length).map(|body| Message { kind: 0, body }))
    }

    /// Gives out a message of `length` bytes, of which four hold the length, that begins after `skipped`.
    fn take(&mut self, skipped: usize, length: usize) -> Option<Range<usize>> {
        let body = self.start + skipped + 4..self.start + skipped + length;
        if body.end > self.end {
            return None;
        }
        self.start = body.end;
        Some(body)
    }

    /// Reads more from the socket; 0 at its end. Places given out before are void.
    pub(crate) async fn fill(&mut self, socket: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
        self.make_room();
        let count = socket.read(&mut self.buffer[self.end..]).await?;
        self.end += count;
        Ok(count)
    }

    fn make_room(&mut self) {
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > KEPT_BYTES {
                self.buffer = vec![0; FILL_BYTES];
            }
        } else if self.buffer.len() - self.end < FILL_BYTES / 2 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.buffer.len() - self.end < self.buffer.len() / 2 {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
        }
    }
}

fn announced_length(bytes: [u8; 4], allowed: std::ops::RangeInclusive<usize>) -> Result<usize, InputError> {
    let length = usize::try_from(i32::from_be_bytes(bytes)).map_err(|_| InputError::InvalidLength)?;
    if allowed.contains(&length) { Ok(length) } else { Err(InputError::InvalidLength) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::block_on;

    fn input_of(mut bytes: &[u8]) -> Input {
        let mut input = Input::new();
        while block_on(input.fill(&mut bytes)).expect("a slice can be read") > 0 {}
        input
    }

    #[test]
    fn messages_are_given_out_when_they_are_whole() {
        let mut input = input_of(b"Q\0\0\0\x08abc\0S\0\0\0\x04Q\0\0\0\x09ab");
        let query = input.next_message().expect("valid").expect("whole");
        assert_eq!((query.kind, input.body(&query)), (b'Q', b"abc\0".as_slice()));
        assert_eq!(input.next_message().expect("valid").expect("whole").kind, b'S');
        assert!(input.next_message().expect("valid so far").is_none());
        assert!(!input.is_empty());
    }

    #[test]
    fn lengths_are_checked_before_the_body_arrives() {
        for (bytes, error) in [
            (b"Q\0\0\0\x03".as_slice(), InputError::InvalidLength),
            (b"Q\x7f\xff\xff\xff", InputError::InvalidLength),
            (b"Q\xff\xff\xff\xff", InputError::InvalidLength),
            (b"S\0\0\x27\x11", InputError::InvalidLength),
            (b"p\0\0\0\x08", InputError::UnknownKind(b'p')),
        ] {
            assert_eq!(input_of(bytes).next_message().expect_err("refused"), error);
        }
        assert!(input_of(b"\0\0\0\x07").next_startup_packet().is_err());
        assert!(input_of(b"\0\0\x27\x15").next_startup_packet().is_err());
    }

    #[test]
    fn answers_to_challenges_are_short() {
        let mut input = input_of(b"p\0\0\0\x07abcQ");
        let answer = input.next_response().expect("valid").expect("whole");
        assert_eq!((answer.kind, input.body(&answer)), (b'p', b"abc".as_slice()));
        assert_eq!(input.next_response().expect("seen").expect("seen").kind, b'Q');
        assert!(input_of(b"p\0\0\x04\x01").next_response().is_err());
        assert!(input_of(b"p\0\0\x04\0abc").next_response().expect("valid so far").is_none());
    }

    #[test]
    fn a_large_message_grows_the_buffer_and_lets_it_go() {
        let length = 3 * KEPT_BYTES;
        let mut bytes = vec![b'Q'];
        bytes.extend(u32::try_from(length + 4).expect("small").to_be_bytes());
        bytes.resize(length + 5, b'x');
        bytes.extend(b"S\0\0\0\x04");
        let mut input = input_of(&bytes);
        let query = input.next_message().expect("valid").expect("whole");
        assert!(input.body(&query).len() == length && input.body(&query).iter().all(|byte| *byte == b'x'));
        assert_eq!(input.next_message().expect("valid").expect("whole").kind, b'S');
        input.make_room();
        assert_eq!(input.buffer.len(), FILL_BYTES);
    }
}
