//! JSON values: as a tree to build and change ([`Json`]), and as the bytes that jsonb is stored in ([`Jsonb`]),
//! which are read in place.
//!
//! The bytes of a value begin with a tag:
//!
//! | tag | value | what follows |
//! |---|---|---|
//! | 0, 1, 2 | null, false, true | nothing |
//! | 3 | number | varint length, its decimal text (which keeps the scale) |
//! | 4 | string | varint length, UTF-8 |
//! | 5 | array | u32 length of the rest, u32 count, the elements |
//! | 6 | object | u32 length of the rest, u32 count, for each member varint length and key, then the value |
//!
//! Members are in PostgreSQL's order of keys, shorter ones first and then by bytes, and no key comes twice. Every
//! value tells its length, so that a search steps over what it does not want.

mod compare;
mod tree;
mod write;

pub use compare::{compare, encode_key};
pub use tree::Json;
pub use write::push_string;

use super::varint;
use crate::error::{SqlError, SqlState};
use std::cmp::Ordering;
use std::sync::Arc;

/// The deepest nesting of arrays and objects.
pub const DEPTH_MAX: usize = 1_000;

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const NUMBER: u8 = 3;
const STRING: u8 = 4;
const ARRAY: u8 = 5;
const OBJECT: u8 = 6;

/// Goes one level deeper into a value: on more stack, where little is left.
pub(crate) fn deeper<T>(work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(128 << 10, 1 << 20, work)
}

/// 54001, with PostgreSQL's words.
#[cold]
pub(crate) fn too_deep() -> SqlError {
    SqlError::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded").with_hint(
        "Increase the configuration parameter \"max_stack_depth\" (currently 2048kB), \
         after ensuring the platform's stack depth limit is adequate.",
    )
}

/// A jsonb value in its stored form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jsonb(Arc<[u8]>);

impl Jsonb {
    /// The value whose bytes these are; damaged ones read as shorter values, never beyond their end.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Jsonb {
        Jsonb(bytes.into())
    }

    /// The stored bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The value to look into.
    #[must_use]
    pub fn root(&self) -> JsonRef<'_> {
        JsonRef::read(&mut &*self.0)
    }

    /// The tree of the value.
    #[must_use]
    pub fn to_tree(&self) -> Json {
        self.root().to_tree()
    }
}

/// A value inside stored bytes.
#[derive(Clone, Copy, Debug)]
pub enum JsonRef<'a> {
    Null,
    Bool(bool),
    /// Decimal digits, as NUMERIC prints them.
    Number(&'a str),
    String(&'a str),
    Array(Elements<'a>),
    Object(Members<'a>),
}

/// The elements of an array.
#[derive(Clone, Copy, Debug)]
pub struct Elements<'a> {
    count: u32,
    bytes: &'a [u8],
}

/// The members of an object, in the order of their keys.
#[derive(Clone, Copy, Debug)]
pub struct Members<'a> {
    count: u32,
    bytes: &'a [u8],
}

/// Takes `length` bytes off the front, or what there is.
fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(length.min(bytes.len()));
    *bytes = rest;
    taken
}

fn take_u32(bytes: &mut &[u8]) -> u32 {
    take(bytes, 4).try_into().map_or(0, u32::from_le_bytes)
}

fn take_text<'a>(bytes: &mut &'a [u8]) -> &'a str {
    std::str::from_utf8(take_text_bytes(bytes)).unwrap_or("")
}

fn take_text_bytes<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let mut position = 0;
    let length = varint::read(bytes, &mut position).unwrap_or(0);
    take(bytes, position);
    take(bytes, length as usize)
}

/// Steps over a value.
fn skip(bytes: &mut &[u8]) {
    match take(bytes, 1).first() {
        Some(&(NUMBER | STRING)) => {
            take_text_bytes(bytes);
        }
        Some(&(ARRAY | OBJECT)) => {
            let length = take_u32(bytes);
            take(bytes, length as usize);
        }
        _ => {}
    }
}

impl<'a> JsonRef<'a> {
    /// The value whose bytes these are, as [`Jsonb::from_bytes`] takes them.
    #[must_use]
    pub fn of(mut bytes: &'a [u8]) -> JsonRef<'a> {
        JsonRef::read(&mut bytes)
    }

    /// Reads a value off the front.
    fn read(bytes: &mut &'a [u8]) -> JsonRef<'a> {
        let tag = take(bytes, 1).first().copied().unwrap_or(NULL);
        match tag {
            FALSE => JsonRef::Bool(false),
            TRUE => JsonRef::Bool(true),
            NUMBER => JsonRef::Number(take_text(bytes)),
            STRING => JsonRef::String(take_text(bytes)),
            ARRAY | OBJECT => {
                let length = take_u32(bytes);
                let mut content = take(bytes, length as usize);
                let count = take_u32(&mut content);
                if tag == ARRAY {
                    JsonRef::Array(Elements { count, bytes: content })
                } else {
                    JsonRef::Object(Members { count, bytes: content })
                }
            }
            _ => JsonRef::Null,
        }
    }

    /// The tree of the value.
    #[must_use]
    pub fn to_tree(self) -> Json {
        match self {
            JsonRef::Null => Json::Null,
            JsonRef::Bool(value) => Json::Bool(value),
            JsonRef::Number(digits) => Json::Number(digits.parse_numeric()),
            JsonRef::String(text) => Json::String(text.into()),
            JsonRef::Array(elements) => {
                Json::Array(elements.map(|element| deeper(|| element.to_tree())).collect())
            }
            JsonRef::Object(members) => {
                let member = |(key, value): (&str, JsonRef<'_>)| (key.into(), deeper(|| value.to_tree()));
                Json::Object(members.map(member).collect())
            }
        }
    }

    /// The value as a jsonb of its own.
    #[must_use]
    pub fn to_jsonb(self) -> Jsonb {
        let mut out = Vec::new();
        let mut container = |tag: u8, count: u32, content: &[u8]| {
            out.reserve(content.len() + 9);
            out.push(tag);
            out.extend_from_slice(&(content.len() as u32 + 4).to_le_bytes());
            out.extend_from_slice(&count.to_le_bytes());
            out.extend_from_slice(content);
        };
        match self {
            JsonRef::Null => out.push(NULL),
            JsonRef::Bool(value) => out.push(if value { TRUE } else { FALSE }),
            JsonRef::Number(text) | JsonRef::String(text) => {
                out.reserve(text.len() + 6);
                out.push(if matches!(self, JsonRef::Number(_)) { NUMBER } else { STRING });
                varint::write(text.len() as u32, &mut out);
                out.extend_from_slice(text.as_bytes());
            }
            JsonRef::Array(Elements { count, bytes }) => container(ARRAY, count, bytes),
            JsonRef::Object(Members { count, bytes }) => container(OBJECT, count, bytes),
        }
        Jsonb(out.into())
    }

    /// Whether this is an array or object.
    #[must_use]
    pub fn is_container(self) -> bool {
        matches!(self, JsonRef::Array(_) | JsonRef::Object(_))
    }

    /// The member of a key, where this is an object.
    #[must_use]
    pub fn member(self, key: &str) -> Option<JsonRef<'a>> {
        let JsonRef::Object(Members { mut bytes, .. }) = self else { return None };
        while !bytes.is_empty() {
            let each = take_text_bytes(&mut bytes);
            match bytes_order(each, key.as_bytes()) {
                Ordering::Less => skip(&mut bytes),
                Ordering::Equal => return Some(JsonRef::read(&mut bytes)),
                Ordering::Greater => return None,
            }
        }
        None
    }

    /// The element of a number, from the end if negative, where this is an array.
    #[must_use]
    pub fn element(self, index: i64) -> Option<JsonRef<'a>> {
        let JsonRef::Array(mut elements) = self else { return None };
        let index = if index < 0 { index + elements.len() as i64 } else { index };
        elements.nth(usize::try_from(index).ok()?)
    }

    /// PostgreSQL's name of the kind of value.
    #[must_use]
    pub fn type_name(self) -> &'static str {
        match self {
            JsonRef::Null => "null",
            JsonRef::Bool(_) => "boolean",
            JsonRef::Number(_) => "number",
            JsonRef::String(_) => "string",
            JsonRef::Array(_) => "array",
            JsonRef::Object(_) => "object",
        }
    }
}

/// Digits that were stored as a number are one.
trait StoredNumber {
    fn parse_numeric(&self) -> super::Numeric;
}

impl StoredNumber for str {
    fn parse_numeric(&self) -> super::Numeric {
        super::Numeric::parse(self).unwrap_or_default()
    }
}

impl Elements<'_> {
    /// How many elements are left.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether none is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = JsonRef<'a>;

    fn next(&mut self) -> Option<JsonRef<'a>> {
        if self.bytes.is_empty() {
            return None;
        }
        self.count = self.count.saturating_sub(1);
        Some(JsonRef::read(&mut self.bytes))
    }
}

impl Members<'_> {
    /// How many members are left.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether none is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, JsonRef<'a>);

    fn next(&mut self) -> Option<(&'a str, JsonRef<'a>)> {
        if self.bytes.is_empty() {
            return None;
        }
        self.count = self.count.saturating_sub(1);
        let key = take_text(&mut self.bytes);
        Some((key, JsonRef::read(&mut self.bytes)))
    }
}

/// PostgreSQL's order of keys within an object.
#[must_use]
pub fn key_order(left: &str, right: &str) -> Ordering {
    bytes_order(left.as_bytes(), right.as_bytes())
}

fn bytes_order(left: &[u8], right: &[u8]) -> Ordering {
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}
