//! Reading the body of a message, field by field.

use std::borrow::Cow;

use heliosdb_nano::session::{Encoding, SqlError, SqlState};

/// 08P01.
pub(crate) fn protocol_violation(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::PROTOCOL_VIOLATION, message)
}

/// What is left of a message's body.
#[derive(Clone, Copy)]
pub(crate) struct Body<'a> {
    rest: &'a [u8],
    /// What its strings are written in.
    encoding: Encoding,
}

type Result<T> = std::result::Result<T, SqlError>;

impl<'a> Body<'a> {
    /// A body whose strings are UTF-8, or that has none.
    pub(crate) fn new(bytes: &'a [u8]) -> Body<'a> {
        Body::encoded(bytes, Encoding::UTF8)
    }

    pub(crate) fn encoded(bytes: &'a [u8], encoding: Encoding) -> Body<'a> {
        Body { rest: bytes, encoding }
    }

    /// The next `count` bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(protocol_violation("insufficient data left in message"));
        };
        self.rest = rest;
        Ok(taken)
    }

    fn array<const COUNT: usize>(&mut self) -> Result<[u8; COUNT]> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<COUNT>() else {
            return Err(protocol_violation("insufficient data left in message"));
        };
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8> {
        self.array::<1>().map(|[byte]| byte).map_err(|_| protocol_violation("no data left in message"))
    }

    /// A count of things that follow: 16 bits without a sign.
    pub(crate) fn count(&mut self) -> Result<usize> {
        self.array().map(|bytes| usize::from(u16::from_be_bytes(bytes)))
    }

    pub(crate) fn i16(&mut self) -> Result<i16> {
        self.array().map(i16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A value behind its length; `None` for null.
    pub(crate) fn value(&mut self) -> Result<Option<&'a [u8]>> {
        match self.i32()? {
            -1 => Ok(None),
            // What is longer than any message is not there.
            length => self.bytes(usize::try_from(length).unwrap_or(usize::MAX)).map(Some),
        }
    }

    /// A string up to its terminating zero.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>> {
        let Some(length) = self.rest.iter().position(|byte| *byte == 0) else {
            return Err(protocol_violation("invalid string in message"));
        };
        let text = self.encoding.decode(&self.rest[..length])?;
        self.rest = &self.rest[length + 1..];
        Ok(text)
    }

    /// Checks that nothing is left.
    pub(crate) fn end(self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(protocol_violation("invalid message format")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_turn_and_never_beyond_the_end() {
        let mut body = Body::new(b"ab\0\x00\x02\xff\xff\xff\xffx");
        assert_eq!(body.string().expect("a string"), "ab");
        assert_eq!(body.count().expect("a count"), 2);
        assert_eq!(body.i32().expect("a number"), -1);
        assert_eq!(body.count().expect_err("one byte is left").state(), SqlState::PROTOCOL_VIOLATION);
        assert_eq!(body.end().expect_err("one byte is left").message(), "invalid message format");
        assert_eq!(body.byte().expect("a byte"), b'x');
        assert_eq!(body.byte().expect_err("nothing is left").message(), "no data left in message");
        body.end().expect("nothing is left");
        let mut open = Body::new(b"ab");
        assert_eq!(open.string().expect_err("no end").message(), "invalid string in message");
    }

    #[test]
    fn invalid_utf8_is_named_as_postgresql_names_it() {
        let message = |bytes: &[u8]| Encoding::UTF8.decode(bytes).expect_err("invalid").message().to_owned();
        assert_eq!(message(b"a\xff"), "invalid byte sequence for encoding \"UTF8\": 0xff");
        assert_eq!(message(b"\xe4 b"), "invalid byte sequence for encoding \"UTF8\": 0xe4 0x20 0x62");
        assert_eq!(message(b"\xc3"), "invalid byte sequence for encoding \"UTF8\": 0xc3");
        assert_eq!(message(b"a\0b"), "invalid byte sequence for encoding \"UTF8\": 0x00");
        assert_eq!(Encoding::UTF8.decode("grün".as_bytes()).expect("valid"), "grün");
    }
}
