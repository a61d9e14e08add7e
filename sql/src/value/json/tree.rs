//! A JSON value as a tree.

use super::{
    ARRAY, DEPTH_MAX, FALSE, Jsonb, NULL, NUMBER, OBJECT, STRING, TRUE, deeper, key_order, too_deep,
};
use crate::error::{Result, SqlError, SqlState};
use crate::value::{Numeric, Text, varint};

/// A JSON value to build or change. Make objects with [`Json::object`], which keeps their order.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Number(Numeric),
    String(Text),
    Array(Vec<Json>),
    /// In the order of [`key_order`], without duplicates.
    Object(Vec<(Text, Json)>),
}

impl Json {
    /// Bytes that the value takes beyond itself.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match self {
            Json::Null | Json::Bool(_) => 0,
            Json::Number(number) => number.heap_bytes(),
            Json::String(text) if text.is_heap_allocated() => text.len() + 16,
            Json::String(_) => 0,
            Json::Array(elements) => {
                let deeper = || elements.iter().map(Json::heap_bytes).sum::<usize>();
                elements.capacity() * size_of::<Json>() + super::deeper(deeper)
            }
            Json::Object(members) => {
                let deeper =
                    || members.iter().map(|(key, value)| key.len() + value.heap_bytes()).sum::<usize>();
                members.capacity() * size_of::<(Text, Json)>() + super::deeper(deeper)
            }
        }
    }

    /// An object of members in any order; of equal keys the last one stays.
    #[must_use]
    pub fn object(mut members: Vec<(Text, Json)>) -> Json {
        // Stable, so that of equal keys the last given is the last.
        members.sort_by(|left, right| key_order(&left.0, &right.0));
        members.reverse();
        members.dedup_by(|later, first| later.0 == first.0);
        members.reverse();
        Json::Object(members)
    }

    /// The stored form.
    ///
    /// # Errors
    /// 54001 when nested too deeply, 54000 when too large.
    pub fn encode(&self) -> Result<Jsonb> {
        let mut bytes = Vec::new();
        self.append(&mut bytes, 0)?;
        Ok(Jsonb::from_bytes(&bytes))
    }

    fn append(&self, out: &mut Vec<u8>, depth: usize) -> Result<()> {
        if depth > DEPTH_MAX {
            return Err(too_deep());
        }
        match self {
            Json::Null => out.push(NULL),
            Json::Bool(false) => out.push(FALSE),
            Json::Bool(true) => out.push(TRUE),
            Json::Number(number) => {
                out.push(NUMBER);
                append_text(&number.to_string(), out);
            }
            Json::String(text) => {
                out.push(STRING);
                append_text(text, out);
            }
            Json::Array(elements) => {
                let start = begin(ARRAY, elements.len(), out);
                for element in elements {
                    deeper(|| element.append(out, depth + 1))?;
                }
                finish(start, out)?;
            }
            Json::Object(members) => {
                let start = begin(OBJECT, members.len(), out);
                for (key, value) in members {
                    append_text(key, out);
                    deeper(|| value.append(out, depth + 1))?;
                }
                finish(start, out)?;
            }
        }
        Ok(())
    }
}

fn append_text(text: &str, out: &mut Vec<u8>) {
    varint::write(text.len() as u32, out);
    out.extend_from_slice(text.as_bytes());
}

/// Begins a container; its length is filled in at the end.
fn begin(tag: u8, count: usize, out: &mut Vec<u8>) -> usize {
    out.push(tag);
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(count as u32).to_le_bytes());
    start
}

fn finish(start: usize, out: &mut [u8]) -> Result<()> {
    const BYTES_MAX: usize = 0x0fff_ffff;
    let length = out.len() - start - 4;
    if length > BYTES_MAX {
        return Err(SqlError::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("total size of jsonb array elements exceeds the maximum of {BYTES_MAX} bytes"),
        ));
    }
    out[start..start + 4].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(())
}
