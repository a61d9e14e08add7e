//! COPY FROM: bytes as they come, into rows of fields.

use std::ops::Range;

use super::{CopyFormat, CopyOptions};
use crate::error::{Result, SqlError, SqlState};

/// The fields of a row: texts, or NULL. The next row's take the same memory.
#[derive(Debug, Default)]
pub struct Fields {
    text: String,
    /// Where each ends in `text`, and whether it is NULL.
    ends: Vec<(usize, bool)>,
}

impl Fields {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&str> {
        let (end, is_null) = self.ends[at];
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before].0);
        (!is_null).then(|| &self.text[start..end])
    }

    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// Ends a field at what was added to the text since the last one.
    fn end(&mut self, is_null: bool) {
        self.ends.push((self.text.len(), is_null));
    }
}

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
    /// Where in `pending` the text of the row is that was read last.
    text: Option<Range<usize>>,
    fields: Fields,
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
            fields: Fields::default(),
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
        std::str::from_utf8(self.pending.get(self.text.clone()?)?).ok()
    }

    /// The fields of the row that was read last.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.fields
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
            self.text = None;
            self.pending.drain(..self.taken);
            self.searched -= self.taken;
            self.taken = 0;
            self.pending.extend_from_slice(bytes);
        }
    }

    /// Reads the next row that is complete; at the end of the data, also one without a newline. False where there is none.
    ///
    /// # Errors
    /// 22P04, 22021.
    pub fn next_row(&mut self, at_end: bool) -> Result<bool> {
        loop {
            self.text = None;
            let Some(place) = self.next_line(at_end)? else { return Ok(false) };
            let line = std::str::from_utf8(&self.pending[place.clone()]).map_err(|error| {
                let byte = self.pending[place.start + error.valid_up_to()];
                let message = format!("invalid byte sequence for encoding \"UTF8\": 0x{byte:02x}");
                SqlError::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message)
            })?;
            if std::mem::take(&mut self.skip_header) {
                continue;
            }
            if line == "\\." {
                self.ended = true;
                (self.pending, self.taken, self.searched) = (Vec::new(), 0, 0);
                return Ok(false);
            }
            self.text = Some(place);
            self.fields.clear();
            match self.options.format {
                CopyFormat::Text | CopyFormat::Binary => {
                    split_text(line, &self.options, self.names.is_empty(), &mut self.fields)?;
                }
                CopyFormat::Csv => split_csv(line, &self.options, &self.names, &mut self.fields)?,
            }
            if self.fields.len() > self.names.len() {
                return Err(bad_format("extra data after last expected column"));
            }
            return Ok(true);
        }
    }

    /// Where the next line is.
    fn next_line(&mut self, at_end: bool) -> Result<Option<Range<usize>>> {
        if self.ended {
            return Ok(None);
        }
        if let Some(end) = self.find_end() {
            return Ok(Some(self.take_line(end, 1)));
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
        Ok(Some(self.take_line(self.pending.len(), 0)))
    }

    /// Looks on for the newline that ends a line.
    fn find_end(&mut self) -> Option<usize> {
        if self.options.format != CopyFormat::Csv {
            while let Some(rest) = self.pending.get(self.searched..)
                && let Some(found) = memchr::memchr2(b'\n', b'\\', rest)
            {
                self.searched += found;
                if rest[found] == b'\n' {
                    return Some(self.searched);
                }
                // An escaped newline is data.
                self.searched += 1 + usize::from(rest.get(found + 1) == Some(&b'\n'));
            }
            self.searched = self.pending.len();
            return None;
        }
        while let Some(byte) = self.pending.get(self.searched).copied() {
            if byte == self.options.quote {
                self.in_quotes = !self.in_quotes;
            } else if self.in_quotes && byte == self.options.escape {
                self.searched += 1;
            } else if byte == b'\n' && !self.in_quotes {
                return Some(self.searched);
            }
            self.searched += 1;
        }
        None
    }

    /// The line that ends at `end`, before a newline of so many bytes.
    fn take_line(&mut self, end: usize, newline: usize) -> Range<usize> {
        let start = self.taken;
        self.taken = end + newline;
        self.searched = self.taken;
        self.line += 1;
        let has_return = end > start && self.pending[end - 1] == b'\r';
        start..end - usize::from(has_return)
    }
}

fn split_text(line: &str, options: &CopyOptions, has_no_columns: bool, fields: &mut Fields) -> Result<()> {
    if has_no_columns && line.is_empty() {
        return Ok(());
    }
    let bytes = line.as_bytes();
    let mut start = 0;
    let mut at = 0;
    while at <= bytes.len() {
        if at < bytes.len() && bytes[at] == b'\\' {
            at += 2;
            continue;
        }
        if at >= bytes.len() || bytes[at] == options.delimiter {
            let raw = &line[start..at.min(bytes.len())];
            let is_null = raw == options.null;
            if !is_null {
                unescape(raw, &mut fields.text)?;
            }
            fields.end(is_null);
            start = at + 1;
        }
        at += 1;
    }
    // A backslash as the very last byte stands for itself.
    if at == bytes.len() + 1 && start <= bytes.len() && bytes.last() == Some(&b'\\') && fields.is_empty() {
        unescape(&line[start..], &mut fields.text)?;
        fields.end(false);
    }
    Ok(())
}

fn split_csv(line: &str, options: &CopyOptions, names: &[String], fields: &mut Fields) -> Result<()> {
    let mut text: Vec<u8> = Vec::new();
    let (mut quoted, mut was_quoted) = (false, false);
    let mut bytes = line.bytes().peekable();
    let mut finish = |text: &mut Vec<u8>, was_quoted: bool| -> Result<()> {
        let name = names.get(fields.len());
        let listed = |list: &[String]| name.is_some_and(|name| list.contains(name));
        let is_null_text = text.as_slice() == options.null.as_bytes();
        let is_null = is_null_text
            && if was_quoted { listed(&options.force_null) } else { !listed(&options.force_not_null) };
        if !is_null {
            let value = std::str::from_utf8(text);
            fields.text.push_str(value.map_err(|_| bad_format("a quote or delimiter cuts a character"))?);
        }
        fields.end(is_null);
        text.clear();
        Ok(())
    };
    while let Some(byte) = bytes.next() {
        if quoted {
            let next = bytes.peek().copied();
            let escapes = next == Some(options.quote) || next == Some(options.escape);
            if byte == options.escape && escapes {
                text.extend(bytes.next());
            } else if byte == options.quote {
                quoted = false;
            } else {
                text.push(byte);
            }
        } else if byte == options.quote {
            quoted = true;
            was_quoted = true;
        } else if byte == options.delimiter {
            finish(&mut text, was_quoted)?;
            was_quoted = false;
        } else {
            text.push(byte);
        }
    }
    finish(&mut text, was_quoted)
}

/// Undoes backslash escapes.
fn unescape(raw: &str, text: &mut String) -> Result<()> {
    if !raw.contains('\\') {
        text.push_str(raw);
        return Ok(());
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
    text.push_str(std::str::from_utf8(&out).map_err(|_| {
        SqlError::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, "invalid byte sequence for encoding \"UTF8\"")
    })?);
    Ok(())
}
