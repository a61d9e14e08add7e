//! A server's messages, from bytes to words. What differs from run to run is left out: numbers and secrets of backends,
//! OIDs of users' objects, nonces, the version, and where in its source a server reports an error.

use super::words::{Word, line_of};

/// A message of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerMessage {
    pub kind: u8,
    pub body: Vec<u8>,
}

/// The first OID of users' objects.
const FIRST_USER_OID: u32 = 16_384;
/// What stands for what differs.
const ANY: &str = "*";

/// What is left of a message's body. A body that ends too early reads as zeros: the comparison shows it.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn number<const COUNT: usize>(&mut self) -> [u8; COUNT] {
        self.take(COUNT).try_into().unwrap_or([0; COUNT])
    }

    fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.number())
    }

    fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.number())
    }

    fn oid(&mut self) -> Word {
        match u32::from_be_bytes(self.number()) {
            FIRST_USER_OID.. => Word::plain(ANY),
            oid => Word::plain(oid),
        }
    }

    fn string(&mut self) -> &'a [u8] {
        let length = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        let text = self.take(length);
        self.take(1);
        text
    }

    fn value(&mut self) -> Word {
        let length = self.i32();
        Word::value(usize::try_from(length).ok().map(|length| self.take(length)))
    }

    /// As many words as a count of 16 bits says.
    fn list(&mut self, read: impl Fn(&mut Body<'a>) -> Word) -> Word {
        let count = self.i16();
        Word::List((0..count).map(|_| read(self)).collect())
    }
}

impl ServerMessage {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.kind {
            b'R' => "Authentication",
            b'S' => "ParameterStatus",
            b'K' => "BackendKeyData",
            b'Z' => "ReadyForQuery",
            b'T' => "RowDescription",
            b'D' => "DataRow",
            b'C' => "CommandComplete",
            b'I' => "EmptyQueryResponse",
            b'E' => "ErrorResponse",
            b'N' => "NoticeResponse",
            b'1' => "ParseComplete",
            b'2' => "BindComplete",
            b'3' => "CloseComplete",
            b'n' => "NoData",
            b's' => "PortalSuspended",
            b't' => "ParameterDescription",
            b'G' => "CopyInResponse",
            b'H' => "CopyOutResponse",
            b'd' => "CopyData",
            b'c' => "CopyDone",
            b'A' => "NotificationResponse",
            b'v' => "NegotiateProtocolVersion",
            b'V' => "FunctionCallResponse",
            _ => "Unknown",
        }
    }

    /// The kind of an authentication message.
    #[must_use]
    pub fn authentication(&self) -> Option<i32> {
        (self.kind == b'R').then(|| Body(&self.body).i32())
    }

    /// The number and secret in BackendKeyData.
    #[must_use]
    pub fn backend_key(&self) -> Option<(i32, u32)> {
        let mut body = Body(&self.body);
        (self.kind == b'K').then(|| (body.i32(), u32::from_be_bytes(body.number())))
    }

    /// A field of an error or a notice.
    #[must_use]
    pub fn field(&self, code: u8) -> Option<String> {
        let fields = self.body.split(|byte| *byte == 0).filter_map(<[u8]>::split_first);
        let mut found = fields.filter(|(kind, _)| **kind == code);
        found.next().map(|(_, text)| String::from_utf8_lossy(text).into_owned())
    }

    /// The line that stands for it.
    #[must_use]
    pub fn line(&self) -> String {
        let mut words = vec![Word::plain(self.name())];
        let mut body = Body(&self.body);
        match self.kind {
            b'R' => authentication(&mut body, &mut words),
            b'S' => {
                let (name, value) = (body.string(), body.string());
                let value = if name == b"server_version" { Word::plain(ANY) } else { Word::text(value) };
                words.extend([Word::text(name), value]);
            }
            b'K' => body.0 = &[],
            b'Z' => words.push(Word::plain(char::from(body.number::<1>()[0]))),
            b'T' => words.push(body.list(column)),
            b'D' => words.push(body.list(Body::value)),
            b'C' => words.push(Word::text(body.string())),
            b'E' | b'N' => fields(&mut body, &mut words),
            b't' => words.push(body.list(Body::oid)),
            b'G' | b'H' => {
                words.push(Word::plain(body.number::<1>()[0]));
                words.push(body.list(|body| Word::plain(body.i16())));
            }
            b'd' => words.push(Word::value(Some(body.take(body.0.len())))),
            b'A' => {
                body.i32();
                words.extend([Word::text(body.string()), Word::text(body.string())]);
            }
            b'v' => {
                words.push(Word::plain(body.i32()));
                let count = body.i32();
                words.push(Word::List((0..count).map(|_| Word::text(body.string())).collect()));
            }
            b'V' => words.push(body.value()),
            _ => {}
        }
        if !body.0.is_empty() {
            words.extend([Word::plain("and"), Word::text(body.0)]);
        }
        line_of(&words)
    }
}

/// Name, table, number there, type, size, modifier, format.
fn column(body: &mut Body<'_>) -> Word {
    Word::List(vec![
        Word::text(body.string()),
        body.oid(),
        Word::plain(body.i16()),
        body.oid(),
        Word::plain(body.i16()),
        Word::plain(body.i32()),
        Word::plain(body.i16()),
    ])
}

fn authentication(body: &mut Body<'_>, words: &mut Vec<Word>) {
    let kind = body.i32();
    words.push(Word::plain(kind));
    if kind == 10 {
        words.push(Word::text(body.take(body.0.len())));
    } else if kind != 0 {
        // Salts and nonces.
        body.0 = &[];
        words.push(Word::plain(ANY));
    }
}

/// Severity, SQLSTATE and message, then what else there is by name.
fn fields(body: &mut Body<'_>, words: &mut Vec<Word>) {
    let mut rest = Vec::new();
    loop {
        let [code] = body.number();
        if code == 0 {
            break;
        }
        let text = body.string();
        let name = match code {
            b'S' | b'C' => {
                words.push(Word::plain(String::from_utf8_lossy(text)));
                continue;
            }
            b'M' => {
                words.push(Word::text(text));
                continue;
            }
            // The severity again, and the place in the server's source.
            b'V' | b'F' | b'L' | b'R' => continue,
            b'D' => "detail",
            b'H' => "hint",
            b'W' => "context",
            b'P' => "position",
            b'p' => "internal-position",
            b'q' => "internal-query",
            b's' => "schema",
            b't' => "table",
            b'c' => "column",
            b'd' => "type",
            b'n' => "constraint",
            _ => "unknown",
        };
        rest.extend([Word::plain(name), Word::text(text)]);
    }
    words.append(&mut rest);
}
