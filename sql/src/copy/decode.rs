//! COPY FROM: bytes as they come, into rows of fields.

use super::{CopyFormat, CopyOptions};
use crate::error::{Result, SqlError, SqlState};

/// A field: its text, or NULL.
pub type Field = Option<String>;

/// The length of a line that PostgreSQL can read.
const LINE_BYTES_MAX: usize = (1 << 30) - 1;

/// Cuts a stream of bytes into rows. Bytes may be cut anywhere between calls.
pub struct CopyDecoder {
    options: CopyOptions,
    names: Vec<String>,
    pending: Vec<u8>,
    /// How much of `pending` was given as lines.
    taken: usize,
    /// Where in `pending` the search for a line's end goes on, and whether that is inside quotes.
    searched: usize,
    in_quotes: bool,
    line: u64,
    /// The text of the row that was read last.
    text: Option<String>,
    skip_header: bool,
    ended: bool,
}

fn bad_format(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::BAD_COPY_FILE_FORMAT, message)
}

impl CopyDecoder {
    /// A decoder for rows of the named columns.
    #[must_use]
    pub fn new(options: CopyOptions, names: Vec<String>) -> CopyDecoder {
        CopyDecoder {
            skip_header: options.header,
            options,
            names,
            pending: Vec::new(),
            taken: 0,
            searched: 0,
            in_quotes: false,
            line: 0,
            text: None,
            ended: false,
        }
    }

    /// The number of the line that was read last, from 1.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The text of the row that was read last, if it is text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// What is wrong with a row of fewer fields than columns, if it is one.
    ///
    /// # Errors
    /// 22P04.
    pub fn check_count(&self, fields: usize) -> Result<()> {
        match self.names.get(fields) {
            Some(name) => Err(bad_format(format!("missing data for column \"{name}\""))),
            None => Ok(()),
        }
    }

    /// Takes more bytes in.
    pub fn feed(&mut self, bytes: &[u8]) {
        if !self.ended {
            self.pending.drain(..self.taken);
            self.searched -= self.taken;
            self.taken = 0;
            self.pending.extend(bytes);
        }
    }

    /// The next row that is complete; at the end of the data, also one without a newline.
    ///
    /// # Errors
    /// 22P04, 22021.
    pub fn next_row(&mut self, at_end: bool) -> Result<Option<Vec<Field>>> {
        loop {
            self.text = None;
            let Some(line) = self.next_line(at_end)? else { return Ok(None) };
            if std::mem::take(&mut self.skip_header) {
                continue;
            }
            if line == "\\." {
                self.ended = true;
                (self.pending, self.taken, self.searched) = (Vec::new(), 0, 0);
                return Ok(None);
            }
            let fields = match self.options.format {
                CopyFormat::Text | CopyFormat::Binary => self.split_text(&line),
                CopyFormat::Csv => self.split_csv(&line),
            };
            self.text = Some(line);
            let fields = fields?;
            if fields.len() > self.names.len() {
                return Err(bad_format("extra data after last expected column"));
            }
            return Ok(Some(fields));
        }
    }

    fn next_line(&mut self, at_end: bool) -> Result<Option<String>> {
        if self.ended {
            return Ok(None);
        }
        let is_csv = self.options.format == CopyFormat::Csv;
        while let Some(byte) = self.pending.get(self.searched).copied() {
            if is_csv && byte == self.options.quote {
                self.in_quotes = !self.in_quotes;
            } else if is_csv && self.in_quotes && byte == self.options.escape {
                self.searched += 1;
            } else if !is_csv && byte == b'\\' && self.pending.get(self.searched + 1) == Some(&b'\n') {
                // An escaped newline is data.
                self.searched += 1;
            } else if byte == b'\n' && !self.in_quotes {
                return self.take_line(self.searched, 1).map(Some);
            }
            self.searched += 1;
        }
        self.searched = self.searched.min(self.pending.len());
        let length = self.pending.len() - self.taken;
        if length > LINE_BYTES_MAX {
            return Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "out of memory")
                .with_detail(format!("A line of more than {LINE_BYTES_MAX} bytes cannot be read.")));
        }
        if !at_end || length == 0 {
            return Ok(None);
        }
        if self.in_quotes {
            return Err(bad_format("unterminated CSV quoted field"));
        }
        self.take_line(self.pending.len(), 0).map(Some)
    }

    /// The line that ends at `end`, before a newline of so many bytes.
    fn take_line(&mut self, end: usize, newline: usize) -> Result<String> {
        let mut line = self.pending[self.taken..end].to_vec();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        self.taken = end + newline;
        self.searched = self.taken;
        self.line += 1;
        String::from_utf8(line).map_err(|error| {
            let byte = error.as_bytes()[error.utf8_error().valid_up_to()];
            SqlError::new(
                SqlState::CHARACTER_NOT_IN_REPERTOIRE,
                format!("invalid byte sequence for encoding \"UTF8\": 0x{byte:02x}"),
            )
        })
    }

    fn split_text(&self, line: &str) -> Result<Vec<Field>> {
        if self.names.is_empty() && line.is_empty() {
            return Ok(Vec::new());
        }
        let bytes = line.as_bytes();
        let mut fields = Vec::with_capacity(self.names.len());
        let mut start = 0;
        let mut at = 0;
        while at <= bytes.len() {
            if at < bytes.len() && bytes[at] == b'\\' {
                at += 2;
                continue;
            }
            if at >= bytes.len() || bytes[at] == self.options.delimiter {
                let raw = &line[start..at.min(bytes.len())];
                fields.push(if raw == self.options.null { None } else { Some(unescape(raw)?) });
                start = at + 1;
            }
            at += 1;
        }
        // A backslash as the very last byte stands for itself.
        if at == bytes.len() + 1 && start <= bytes.len() && bytes.last() == Some(&b'\\') && fields.is_empty()
        {
            fields.push(Some(unescape(&line[start..])?));
        }
        Ok(fields)
    }

    fn split_csv(&self, line: &str) -> Result<Vec<Field>> {
        let mut fields = Vec::with_capacity(self.names.len());
        let mut text: Vec<u8> = Vec::new();
        let (mut quoted, mut was_quoted) = (false, false);
        let mut bytes = line.bytes().peekable();
        let mut finish = |text: &mut Vec<u8>, was_quoted: bool| -> Result<()> {
            let name = self.names.get(fields.len());
            let listed = |list: &[String]| name.is_some_and(|name| list.contains(name));
            let is_null_text = text.as_slice() == self.options.null.as_bytes();
            let is_null = is_null_text
                && if was_quoted {
                    listed(&self.options.force_null)
                } else {
                    !listed(&self.options.force_not_null)
                };
            let value = String::from_utf8(std::mem::take(text))
                .map_err(|_| bad_format("a quote or delimiter cuts a character"))?;
            fields.push((!is_null).then_some(value));
            Ok(())
        };
        while let Some(byte) = bytes.next() {
            if quoted {
                let next = bytes.peek().copied();
                let escapes = next == Some(self.options.quote) || next == Some(self.options.escape);
                if byte == self.options.escape && escapes {
                    text.extend(bytes.next());
                } else if byte == self.options.quote {
                    quoted = false;
                } else {
                    text.push(byte);
                }
            } else if byte == self.options.quote {
                quoted = true;
                was_quoted = true;
            } else if byte == self.options.delimiter {
                finish(&mut text, was_quoted)?;
                was_quoted = false;
            } else {
                text.push(byte);
            }
        }
        finish(&mut text, was_quoted)?;
        Ok(fields)
    }
}

/// Undoes backslash escapes.
fn unescape(raw: &str) -> Result<String> {
    if !raw.contains('\\') {
        return Ok(raw.to_string());
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next() {
            None => out.push(b'\\'),
            Some(b'b') => out.push(0x08),
            Some(b'f') => out.push(0x0c),
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(b't') => out.push(b'\t'),
            Some(b'v') => out.push(0x0b),
            Some(b'x') if bytes.peek().is_some_and(u8::is_ascii_hexdigit) => {
                let mut value = 0u32;
                for _ in 0..2 {
                    let Some(digit) = bytes.peek().and_then(|byte| char::from(*byte).to_digit(16)) else {
                        break;
                    };
                    value = value * 16 + digit;
                    bytes.next();
                }
                out.push((value & 0xff) as u8);
            }
            Some(first @ b'0'..=b'7') => {
                let mut value = u32::from(first - b'0');
                for _ in 0..2 {
                    let Some(digit) = bytes.peek().and_then(|byte| char::from(*byte).to_digit(8)) else {
                        break;
                    };
                    value = value * 8 + digit;
                    bytes.next();
                }
                out.push((value & 0xff) as u8);
            }
            Some(other) => out.push(other),
        }
    }
    String::from_utf8(out).map_err(|_| {
        SqlError::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, "invalid byte sequence for encoding \"UTF8\"")
    })
}
