//! Reading and writing texts in an encoding, with PostgreSQL's errors for what cannot be.

use std::borrow::Cow;

use super::Encoding;
use super::tables::{self, Form, Table, form, key};
use crate::error::{Result, SqlError, SqlState};

/// Bytes as errors show them.
fn listed(bytes: &[u8]) -> String {
    const SHOWN_MAX: usize = 8;
    bytes.iter().take(SHOWN_MAX).map(|byte| format!("0x{byte:02x}")).collect::<Vec<_>>().join(" ")
}

/// 22021.
fn invalid_bytes(encoding: Encoding, bytes: &[u8]) -> SqlError {
    SqlError::new(
        SqlState::CHARACTER_NOT_IN_REPERTOIRE,
        format!("invalid byte sequence for encoding \"{}\": {}", encoding.name(), listed(bytes)),
    )
}

/// 22P05.
fn untranslatable(bytes: &[u8], from: Encoding, to: Encoding) -> SqlError {
    SqlError::new(
        SqlState::UNTRANSLATABLE_CHARACTER,
        format!(
            "character with byte sequence {} in encoding \"{}\" has no equivalent in encoding \"{}\"",
            listed(bytes),
            from.name(),
            to.name()
        ),
    )
}

/// 42883: nobody converts between the two.
fn no_conversion(from: Encoding, to: Encoding) -> SqlError {
    SqlError::new(
        SqlState::UNDEFINED_FUNCTION,
        format!(
            "default conversion function for encoding \"{}\" to \"{}\" does not exist",
            from.name(),
            to.name()
        ),
    )
}

/// Why the next character of a text cannot be read.
enum Bad {
    /// These bytes are none.
    Invalid(usize),
    /// There is no such character here.
    Unknown(usize),
}

/// How many bytes a character has that begins with these, as far as they tell.
fn announced(form: Form, bytes: &[u8]) -> usize {
    let first = bytes.first().copied().unwrap_or(0);
    match form {
        _ if first < 0x80 => 1,
        Form::Single => 1,
        Form::Euc if first == 0x8f => 3,
        Form::ShiftJis if (0xa1..=0xdf).contains(&first) => 1,
        Form::Gb18030 if bytes.get(1).is_some_and(u8::is_ascii_digit) => 4,
        Form::Euc | Form::EucCn | Form::ShiftJis | Form::Double | Form::Gb18030 => 2,
    }
}

/// Whether bytes of the announced length may be a character, known or not.
pub(super) fn is_formed(form: Form, bytes: &[u8]) -> bool {
    let is_high = |byte: &u8| (0xa1..=0xfe).contains(byte);
    match (form, bytes) {
        (_, [0]) => false,
        (_, [byte]) if *byte < 0x80 => true,
        (Form::Single, _) => true,
        (Form::Euc, [0x8e, second]) => (0xa1..=0xdf).contains(second),
        (Form::Euc, [0x8f, second, third]) => is_high(second) && is_high(third),
        (Form::Euc | Form::EucCn, [first, second]) => is_high(first) && is_high(second),
        (Form::ShiftJis, [first]) => (0xa1..=0xdf).contains(first),
        (Form::ShiftJis, [first, second]) => {
            matches!(first, 0x81..=0x9f | 0xe0..=0xfc) && matches!(second, 0x40..=0x7e | 0x80..=0xfc)
        }
        (Form::Double, [_, second]) => *second != 0,
        (Form::Gb18030, [first, second]) => {
            matches!(first, 0x81..=0xfe) && matches!(second, 0x40..=0x7e | 0x80..=0xfe)
        }
        (Form::Gb18030, [first, _, third, fourth]) => {
            matches!(first, 0x81..=0xfe) && matches!(third, 0x81..=0xfe) && fourth.is_ascii_digit()
        }
        _ => false,
    }
}

/// The character of four bytes of GB18030, most of which are not in the table.
fn of_four(bytes: &[u8]) -> Option<char> {
    let text = encoding_rs::GB18030.decode_without_bom_handling_and_without_replacement(bytes)?;
    text.chars().next()
}

/// The four bytes of a character in GB18030.
fn four_of(character: char) -> Option<u32> {
    let mut buffer = [0; 4];
    let (written, _, failed) = encoding_rs::GB18030.encode(character.encode_utf8(&mut buffer));
    (!failed && written.len() == 4).then(|| key(&written))
}

/// The next character, and how many bytes it has.
fn next(table: &Table, form: Form, bytes: &[u8]) -> std::result::Result<(char, usize), Bad> {
    let length = announced(form, bytes);
    let Some(own) = bytes.get(..length) else { return Err(Bad::Invalid(bytes.len())) };
    if !is_formed(form, own) {
        return Err(Bad::Invalid(length));
    }
    if let [byte @ 1..0x80] = own {
        return Ok((char::from(*byte), 1));
    }
    let known = table.characters.get(&key(own)).copied();
    let known = known.or_else(|| (own.len() == 4).then(|| of_four(own)).flatten());
    known.map(|character| (character, length)).ok_or(Bad::Unknown(length))
}

/// Valid UTF-8 without a zero byte; the error shows as many bytes as the first one announces.
fn checked_utf8(bytes: &[u8]) -> Result<&str> {
    let bad = match std::str::from_utf8(bytes) {
        Ok(text) => match bytes.iter().position(|byte| *byte == 0) {
            None => return Ok(text),
            Some(at) => at,
        },
        Err(error) => error.valid_up_to(),
    };
    let announced = match bytes[bad] {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => 1,
    };
    Err(invalid_bytes(Encoding::UTF8, &bytes[bad..bytes.len().min(bad + announced)]))
}

impl Encoding {
    /// Reads a text.
    ///
    /// # Errors
    /// 22021 for bytes that are no characters, 22P05 for characters that do not exist here.
    pub fn decode(self, bytes: &[u8]) -> Result<Cow<'_, str>> {
        if self.is_plain() {
            return checked_utf8(bytes).map(Cow::Borrowed);
        }
        if bytes.is_ascii() && !bytes.contains(&0) {
            return checked_utf8(bytes).map(Cow::Borrowed);
        }
        let mut text = String::with_capacity(bytes.len() + bytes.len() / 2);
        self.decode_to(bytes, &mut text)?;
        Ok(Cow::Owned(text))
    }

    /// Appends what can be read, up to what cannot.
    fn decode_to(self, bytes: &[u8], text: &mut String) -> Result<()> {
        let table = tables::of(self).ok_or_else(|| no_conversion(self, Encoding::UTF8))?;
        let form = form(self);
        let mut rest = bytes;
        while !rest.is_empty() {
            match next(table, form, rest) {
                Ok((character, length)) => {
                    text.push(character);
                    rest = &rest[length..];
                }
                Err(Bad::Invalid(length)) => {
                    return Err(invalid_bytes(self, &rest[..length.min(rest.len())]));
                }
                Err(Bad::Unknown(length)) => {
                    return Err(untranslatable(&rest[..length], self, Encoding::UTF8));
                }
            }
        }
        Ok(())
    }

    /// Writes a text.
    ///
    /// # Errors
    /// 22P05 for characters that the encoding does not have.
    pub fn encode(self, text: &str) -> Result<Cow<'_, [u8]>> {
        if self.is_plain() || text.is_ascii() {
            return Ok(Cow::Borrowed(text.as_bytes()));
        }
        let mut bytes = Vec::with_capacity(text.len());
        self.encode_to(text, &mut bytes)?;
        Ok(Cow::Owned(bytes))
    }

    /// Appends a text.
    ///
    /// # Errors
    /// As [`Encoding::encode`].
    pub fn encode_to(self, text: &str, out: &mut Vec<u8>) -> Result<()> {
        if self.is_plain() || text.is_ascii() {
            out.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        let table = tables::of(self).ok_or_else(|| no_conversion(Encoding::UTF8, self))?;
        let is_wide = form(self) == Form::Gb18030;
        for character in text.chars() {
            if character.is_ascii() {
                out.push(character as u8);
                continue;
            }
            let known = table.bytes.get(&character).copied();
            let Some(key) = known.or_else(|| is_wide.then(|| four_of(character)).flatten()) else {
                let mut buffer = [0; 4];
                let bytes = character.encode_utf8(&mut buffer).as_bytes();
                return Err(untranslatable(bytes, Encoding::UTF8, self));
            };
            let bytes = key.to_be_bytes();
            out.extend_from_slice(&bytes[(key.leading_zeros() / 8) as usize..]);
        }
        Ok(())
    }

    /// A text with `?` for what the encoding does not have.
    #[must_use]
    pub fn encode_lossy(self, text: &str) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut buffer = [0; 4];
        for character in text.chars() {
            if self.encode_to(character.encode_utf8(&mut buffer), &mut bytes).is_err() {
                bytes.push(b'?');
            }
        }
        bytes
    }

    /// How many characters some bytes are.
    ///
    /// # Errors
    /// 22021 for bytes that are none.
    pub fn count(self, bytes: &[u8]) -> Result<usize> {
        if self.is_plain() {
            return Ok(checked_utf8(bytes)?.chars().count());
        }
        let form = form(self);
        let (mut rest, mut count) = (bytes, 0);
        while !rest.is_empty() {
            let length = announced(form, rest);
            match rest.split_at_checked(length) {
                Some((own, behind)) if is_formed(form, own) => rest = behind,
                _ => return Err(invalid_bytes(self, &rest[..length.min(rest.len())])),
            }
            count += 1;
        }
        Ok(count)
    }

    /// The same text in another encoding.
    ///
    /// # Errors
    /// Those of reading and writing it; 42883 where PostgreSQL has no conversion between the two.
    pub fn convert(self, bytes: &[u8], to: Encoding) -> Result<Vec<u8>> {
        if self == to || self == Encoding::SQL_ASCII || to == Encoding::SQL_ASCII {
            self.count(bytes)?;
            return Ok(bytes.to_vec());
        }
        if !tables::converts(self, to) {
            self.count(bytes)?;
            return Err(no_conversion(self, to));
        }
        self.count(bytes)?;
        let text = self.decode(bytes)?;
        to.encode(&text).map(Cow::into_owned)
    }
}

/// Reads a text that comes in pieces, which may divide characters.
#[derive(Debug)]
pub struct Transcoder {
    encoding: Encoding,
    /// The beginning of a character.
    rest: Vec<u8>,
}

impl Transcoder {
    /// One for an encoding.
    #[must_use]
    pub fn new(encoding: Encoding) -> Transcoder {
        Transcoder { encoding, rest: Vec::new() }
    }

    /// Appends the next piece, up to what is wrong with it; what is left of it waits for the one behind.
    ///
    /// # Errors
    /// As [`Encoding::decode`].
    pub fn feed(&mut self, piece: &[u8], text: &mut String) -> Result<()> {
        self.rest.extend_from_slice(piece);
        let form = form(self.encoding);
        let mut end = 0;
        while let Some(behind) = self.rest.get(end..).filter(|behind| !behind.is_empty()) {
            let length = announced(form, behind);
            // The second byte may tell of more.
            let is_open = form == Form::Gb18030 && behind.len() == 1 && behind[0] >= 0x80;
            if is_open || behind.len() < length {
                break;
            }
            end += length;
        }
        self.encoding.decode_to(&self.rest[..end], text)?;
        self.rest.drain(..end);
        Ok(())
    }

    /// Says that nothing comes any more.
    ///
    /// # Errors
    /// 22021 for half a character.
    pub fn finish(&mut self) -> Result<()> {
        let rest = std::mem::take(&mut self.rest);
        if rest.is_empty() { Ok(()) } else { Err(invalid_bytes(self.encoding, &rest)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Encoding {
        Encoding::named(name).expect("known")
    }

    #[test]
    fn texts_go_there_and_back() {
        for (name, text) in [
            ("LATIN1", "Grüße \u{80}"),
            ("LATIN9", "10 €"),
            ("WIN1252", "10 € – “x”"),
            ("KOI8R", "Привет"),
            ("WIN1251", "Привет"),
            ("EUC_JP", "日本語ｱ"),
            ("SJIS", "日本語ｱ表"),
            ("BIG5", "中文功"),
            ("GBK", "中文丂"),
            ("GB18030", "中文😀€"),
            ("EUC_KR", "한국어"),
            ("UHC", "똠방각하"),
            ("EUC_CN", "中文"),
        ] {
            let encoding = named(name);
            let bytes = encoding.encode(text).expect(name);
            assert_eq!(encoding.decode(&bytes).expect(name), text, "{name}");
            assert_eq!(encoding.count(&bytes).expect(name), text.chars().count(), "{name}");
            // In pieces of one byte.
            let mut transcoder = Transcoder::new(encoding);
            let mut read = String::new();
            bytes.iter().for_each(|byte| transcoder.feed(&[*byte], &mut read).expect(name));
            assert_eq!(read, text, "{name}");
            transcoder.finish().expect(name);
        }
    }

    #[test]
    fn errors_are_postgresqls() {
        let message = |result: Result<Cow<'_, str>>| result.expect_err("bad").message().to_owned();
        assert_eq!(
            message(named("SJIS").decode(b"a\x81")),
            "invalid byte sequence for encoding \"SJIS\": 0x81"
        );
        assert_eq!(
            message(named("LATIN1").decode(b"\xe4\0")),
            "invalid byte sequence for encoding \"LATIN1\": 0x00"
        );
        assert_eq!(
            message(named("WIN1252").decode(b"\x81")),
            "character with byte sequence 0x81 in encoding \"WIN1252\" has no equivalent in encoding \"UTF8\""
        );
        assert_eq!(
            named("LATIN1").encode("€").expect_err("none").message(),
            "character with byte sequence 0xe2 0x82 0xac in encoding \"UTF8\" has no equivalent in encoding \"LATIN1\""
        );
        assert_eq!(named("LATIN1").encode_lossy("a€ä"), b"a?\xe4");
    }
}
