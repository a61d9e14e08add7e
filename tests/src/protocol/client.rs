//! A client's messages, from words to bytes.

use super::words::Word;

/// What a message asks the server to answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing, or nothing that could be waited for.
    None,
    /// One byte, to a request for encryption.
    Byte,
    /// ReadyForQuery, whatever happens.
    Ready,
    /// The same, at which the server stops skipping.
    Synchronized,
    /// One of these kinds, unless an error comes first. It is sent with the next Flush or Sync.
    OneOf(&'static [u8]),
    /// The end of the connection.
    Closed,
}

/// A message as it is sent.
#[derive(Clone, Debug)]
pub struct ClientMessage {
    pub bytes: Vec<u8>,
    pub answer: Answer,
    /// It ends a COPY FROM STDIN.
    pub ends_copy: bool,
}

/// What is left of a message's words.
struct Words<'a> {
    rest: std::slice::Iter<'a, Word>,
}

type Result<T> = std::result::Result<T, String>;

impl<'a> Words<'a> {
    fn text(&mut self) -> Result<&'a [u8]> {
        match self.rest.next() {
            Some(Word::Text(bytes)) => Ok(bytes),
            Some(Word::Plain(text)) => Ok(text.as_bytes()),
            other => Err(format!("a text is wanted, not {other:?}")),
        }
    }

    fn number<T: std::str::FromStr>(&mut self) -> Result<T> {
        match self.rest.next() {
            Some(Word::Plain(text)) => text.parse().map_err(|_| format!("a number is wanted, not {text}")),
            other => Err(format!("a number is wanted, not {other:?}")),
        }
    }

    /// A list, empty where the words end before it.
    fn list(&mut self) -> Result<Words<'a>> {
        match self.rest.next() {
            Some(Word::List(words)) => Ok(Words { rest: words.iter() }),
            None => Ok(Words { rest: [].iter() }),
            other => Err(format!("a list is wanted, not {other:?}")),
        }
    }

    fn is_null(&mut self) -> bool {
        let is_null = self.rest.as_slice().first() == Some(&Word::plain("null"));
        if is_null {
            self.rest.next();
        }
        is_null
    }

    fn len(&self) -> usize {
        self.rest.len()
    }
}

/// A startup packet: the version, and names with values.
#[must_use]
pub fn startup(version: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    body.push(0);
    with_length(&body)
}

/// A message with its kind and length.
#[must_use]
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind], &with_length(body)[..]].concat()
}

fn with_length(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), body].concat()
}

/// The bytes of a message; `key` gives the number and secret of one of the conversation's connections.
///
/// # Errors
/// Says what is not as it should be.
pub fn client_message(
    words: &[Word],
    key: impl Fn(usize) -> Option<(i32, u32)>,
) -> std::result::Result<ClientMessage, String> {
    let Some((Word::Plain(name), rest)) = words.split_first() else {
        return Err("a message begins with its name".to_string());
    };
    let mut words = Words { rest: rest.iter() };
    let (bytes, answer) = match name.as_str() {
        "Startup" => (startup_of(&mut words)?, Answer::Ready),
        "SSLRequest" => (with_length(&[0x04, 0xd2, 0x16, 0x2f]), Answer::Byte),
        "GSSENCRequest" => (with_length(&[0x04, 0xd2, 0x16, 0x30]), Answer::Byte),
        "CancelRequest" => {
            let (backend, secret) = key(words.number()?).ok_or("no such connection")?;
            let mut body = vec![0x04, 0xd2, 0x16, 0x2e];
            body.extend(backend.to_be_bytes());
            body.extend(secret.to_be_bytes());
            (with_length(&body), Answer::Closed)
        }
        "Query" => (message(b'Q', &string(&mut words)?), Answer::Ready),
        "Parse" => (parse(&mut words)?, Answer::OneOf(b"1")),
        "Bind" => (bind(&mut words)?, Answer::OneOf(b"2")),
        "Describe" => (message(b'D', &target(&mut words)?), Answer::OneOf(b"Tn")),
        "Close" => (message(b'C', &target(&mut words)?), Answer::OneOf(b"3")),
        "Execute" => {
            let mut body = string(&mut words)?;
            body.extend(words.number::<i32>()?.to_be_bytes());
            (message(b'E', &body), Answer::OneOf(b"CIs"))
        }
        "FunctionCall" => (function_call(&mut words)?, Answer::Ready),
        "Flush" => (message(b'H', b""), Answer::None),
        "Sync" => (message(b'S', b""), Answer::Synchronized),
        "CopyData" => (message(b'd', words.text()?), Answer::None),
        "CopyDone" => (message(b'c', b""), Answer::None),
        "CopyFail" => (message(b'f', &string(&mut words)?), Answer::None),
        "Password" => (message(b'p', &string(&mut words)?), Answer::None),
        "SASLInitialResponse" => {
            let mut body = string(&mut words)?;
            value(&mut words, &mut body)?;
            (message(b'p', &body), Answer::None)
        }
        "SASLResponse" => (message(b'p', words.text()?), Answer::None),
        "Terminate" => (message(b'X', b""), Answer::Closed),
        "Message" => {
            let kind = *words.text()?.first().ok_or("a kind is wanted")?;
            (message(kind, words.text()?), Answer::None)
        }
        "Bytes" => (words.text()?.to_vec(), Answer::None),
        other => return Err(format!("{other} is no message")),
    };
    if words.len() > 0 {
        return Err(format!("too much behind {name}"));
    }
    Ok(ClientMessage {
        bytes,
        answer,
        ends_copy: matches!(name.as_str(), "CopyDone" | "CopyFail" | "Bytes" | "Message"),
    })
}

/// A text and its terminating zero.
fn string(words: &mut Words<'_>) -> Result<Vec<u8>> {
    Ok([words.text()?, b"\0"].concat())
}

/// What Describe and Close are about: `S` or `P` and a name.
fn target(words: &mut Words<'_>) -> Result<Vec<u8>> {
    Ok([words.text()?, &string(words)?].concat())
}

fn startup_of(words: &mut Words<'_>) -> Result<Vec<u8>> {
    let version = String::from_utf8_lossy(words.text()?).into_owned();
    let (major, minor) = version.split_once('.').ok_or("a version is wanted")?;
    let number = |text: &str| text.parse::<u32>().map_err(|_| format!("{text} is no version"));
    let mut body = (number(major)? << 16 | number(minor)?).to_be_bytes().to_vec();
    while words.len() > 0 {
        body.extend(string(words)?);
    }
    body.push(0);
    Ok(with_length(&body))
}

/// A count and as many numbers of 16 bits.
fn formats(words: &mut Words<'_>, body: &mut Vec<u8>) -> Result<()> {
    let mut codes = words.list()?;
    put_count(codes.len(), body)?;
    while codes.len() > 0 {
        body.extend(codes.number::<i16>()?.to_be_bytes());
    }
    Ok(())
}

fn put_count(count: usize, body: &mut Vec<u8>) -> Result<()> {
    body.extend(u16::try_from(count).map_err(|_| "too many")?.to_be_bytes());
    Ok(())
}

/// A length and as many bytes, or -1 for null.
fn value(words: &mut Words<'_>, body: &mut Vec<u8>) -> Result<()> {
    if words.is_null() {
        body.extend((-1_i32).to_be_bytes());
        return Ok(());
    }
    let bytes = words.text()?;
    body.extend(u32::try_from(bytes.len()).map_err(|_| "too long")?.to_be_bytes());
    body.extend(bytes);
    Ok(())
}

fn values(words: &mut Words<'_>, body: &mut Vec<u8>) -> Result<()> {
    let mut given = words.list()?;
    put_count(given.len(), body)?;
    while given.len() > 0 {
        value(&mut given, body)?;
    }
    Ok(())
}

/// `Parse name text [types]`
fn parse(words: &mut Words<'_>) -> Result<Vec<u8>> {
    let mut body = [string(words)?, string(words)?].concat();
    let mut types = words.list()?;
    put_count(types.len(), &mut body)?;
    while types.len() > 0 {
        body.extend(types.number::<u32>()?.to_be_bytes());
    }
    Ok(message(b'P', &body))
}

/// `Bind portal statement [formats] [values] [result formats]`
fn bind(words: &mut Words<'_>) -> Result<Vec<u8>> {
    let mut body = [string(words)?, string(words)?].concat();
    formats(words, &mut body)?;
    values(words, &mut body)?;
    formats(words, &mut body)?;
    Ok(message(b'B', &body))
}

/// `FunctionCall oid [formats] [values] result-format`
fn function_call(words: &mut Words<'_>) -> Result<Vec<u8>> {
    let mut body = words.number::<u32>()?.to_be_bytes().to_vec();
    formats(words, &mut body)?;
    values(words, &mut body)?;
    body.extend(words.number::<i16>()?.to_be_bytes());
    Ok(message(b'F', &body))
}
