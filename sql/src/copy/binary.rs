//! COPY's binary format.
//!
//! A signature, two words of flags and extension; then rows: the number of fields (two bytes), for each field its
//! length (four bytes, -1 for NULL) and the type's binary form; then -1 in place of a number of fields.

use super::CopyPlan;
use crate::error::{Result, SqlError, SqlState};
use crate::functions::EvalContext;
use crate::value::Batch;

const SIGNATURE: [u8; 11] = *b"PGCOPY\n\xff\r\n\0";
/// Rows carried OIDs once.
const FLAG_OIDS: u32 = 1 << 16;
/// Flags that a reader must know.
const FLAGS_CRITICAL: u32 = 0xffff_0000;

fn bad_format(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::BAD_COPY_FILE_FORMAT, message)
}

/// What comes before the rows.
pub(super) fn header() -> Vec<u8> {
    [&SIGNATURE[..], &[0; 8]].concat()
}

/// What comes behind them.
pub(super) fn trailer() -> Vec<u8> {
    (-1i16).to_be_bytes().to_vec()
}

/// One row.
pub(super) fn encode_row(
    plan: &CopyPlan,
    batch: &Batch,
    row: usize,
    context: &EvalContext<'_>,
) -> Result<Vec<u8>> {
    let mut out = (plan.columns.len() as i16).to_be_bytes().to_vec();
    for (at, (_, data_type)) in plan.columns.iter().enumerate() {
        let value = batch.datum(row, at);
        if value.is_null() {
            out.extend((-1i32).to_be_bytes());
            continue;
        }
        let start = out.len();
        out.extend([0; 4]);
        context.type_info(data_type.oid)?.write_binary(&value, &mut out, context)?;
        let length = (out.len() - start - 4) as i32;
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }
    Ok(out)
}

/// Cuts a stream of bytes into rows. Bytes may be cut anywhere between calls.
pub(super) struct BinaryDecoder {
    columns: usize,
    pending: Vec<u8>,
    /// The bytes of `pending` that are read.
    taken: usize,
    header_read: bool,
    ended: bool,
    row: u64,
}

impl BinaryDecoder {
    pub(super) fn new(columns: usize) -> BinaryDecoder {
        BinaryDecoder { columns, pending: Vec::new(), taken: 0, header_read: false, ended: false, row: 0 }
    }

    /// The number of the row that was read last, from 1.
    pub(super) fn row(&self) -> u64 {
        self.row
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.pending.drain(..self.taken);
        self.taken = 0;
        self.pending.extend(bytes);
    }

    /// The next row that is complete.
    ///
    /// # Errors
    /// 22P04.
    pub(super) fn next_row(&mut self, at_end: bool) -> Result<Option<Vec<Option<Vec<u8>>>>> {
        let mut rest = &self.pending[self.taken..];
        if self.ended {
            return if rest.is_empty() {
                Ok(None)
            } else {
                Err(bad_format("received copy data after EOF marker"))
            };
        }
        if !self.header_read {
            let complete = read_header(&mut rest)?;
            if !complete {
                return if at_end { Err(bad_format("COPY file signature not recognized")) } else { Ok(None) };
            }
            self.header_read = true;
            self.taken = self.pending.len() - rest.len();
        }
        if at_end && rest.is_empty() {
            return Ok(None);
        }
        match read_row(&mut rest, self.columns)? {
            Tuple::Incomplete if at_end => Err(bad_format("unexpected EOF in COPY data")),
            Tuple::Incomplete => Ok(None),
            Tuple::Trailer => {
                self.taken = self.pending.len() - rest.len();
                self.ended = true;
                // Nothing may come behind it.
                self.next_row(at_end)
            }
            Tuple::Row(fields) => {
                self.taken = self.pending.len() - rest.len();
                self.row += 1;
                Ok(Some(fields))
            }
        }
    }
}

/// What stands next in the data.
enum Tuple {
    Incomplete,
    Row(Vec<Option<Vec<u8>>>),
    Trailer,
}

fn read_row(rest: &mut &[u8], columns: usize) -> Result<Tuple> {
    let Some(count) = take(rest).map(i16::from_be_bytes) else { return Ok(Tuple::Incomplete) };
    if count == -1 {
        return Ok(Tuple::Trailer);
    }
    if usize::try_from(count).ok() != Some(columns) {
        return Err(bad_format(format!("row field count is {count}, expected {columns}")));
    }
    let mut fields = Vec::with_capacity(columns);
    for _ in 0..columns {
        let Some(length) = take(rest).map(i32::from_be_bytes) else { return Ok(Tuple::Incomplete) };
        if length == -1 {
            fields.push(None);
            continue;
        }
        let length = usize::try_from(length).map_err(|_| bad_format("invalid field size"))?;
        let Some((bytes, after)) = rest.split_at_checked(length) else { return Ok(Tuple::Incomplete) };
        fields.push(Some(bytes.to_vec()));
        *rest = after;
    }
    Ok(Tuple::Row(fields))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*bytes)
}

/// Reads what comes before the rows; false if it is not all there yet.
fn read_header(rest: &mut &[u8]) -> Result<bool> {
    let mut at = *rest;
    let begun = at.len().min(SIGNATURE.len());
    if at[..begun] != SIGNATURE[..begun] {
        return Err(bad_format("COPY file signature not recognized"));
    }
    let (Some(_), Some(flags), Some(extension)) =
        (take::<11>(&mut at), take(&mut at).map(u32::from_be_bytes), take(&mut at).map(i32::from_be_bytes))
    else {
        return Ok(false);
    };
    if flags & FLAG_OIDS != 0 {
        return Err(bad_format("invalid COPY file header (WITH OIDS)"));
    }
    if flags & FLAGS_CRITICAL != 0 {
        return Err(bad_format("unrecognized critical flags in COPY file header"));
    }
    let extension =
        usize::try_from(extension).map_err(|_| bad_format("invalid COPY file header (wrong length)"))?;
    let Some((_, after)) = at.split_at_checked(extension) else { return Ok(false) };
    *rest = after;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows come out whole, wherever the bytes are cut.
    #[test]
    fn rows_survive_any_cut() {
        let mut data = header();
        data.extend([0, 2, 0, 0, 0, 1, 7, 0xff, 0xff, 0xff, 0xff]);
        data.extend([0, 2, 0, 0, 0, 0, 0, 0, 0, 2, 8, 9]);
        data.extend(trailer());
        for cut in 0..=data.len() {
            let mut decoder = BinaryDecoder::new(2);
            let mut rows = Vec::new();
            for part in [&data[..cut], &data[cut..]] {
                decoder.feed(part);
                while let Some(row) = decoder.next_row(false).expect("whole data") {
                    rows.push(row);
                }
            }
            assert_eq!(rows, [vec![Some(vec![7]), None], vec![Some(vec![]), Some(vec![8, 9])]], "{cut}");
            assert!(decoder.next_row(true).expect("the end").is_none());
        }
    }

    /// Data of another shape is refused.
    #[test]
    fn bad_data_is_refused() {
        let refused = |data: &[u8]| {
            let mut decoder = BinaryDecoder::new(1);
            decoder.feed(data);
            decoder.next_row(true).expect_err("bad data").message().to_owned()
        };
        assert_eq!(refused(b"1\tx\n"), "COPY file signature not recognized");
        assert_eq!(refused(&[header(), vec![0, 2]].concat()), "row field count is 2, expected 1");
        assert_eq!(refused(&[header(), vec![0, 1, 0, 0]].concat()), "unexpected EOF in COPY data");
        assert_eq!(refused(&[header(), vec![0, 1, 0xff, 0, 0, 0]].concat()), "invalid field size");
    }
}
