//! The bytes of history images.
//!
//! The length of the page image that follows, 0 for an open history (4; bit 31 says that the records are packed); of the
//! image the number of bytes at the front (4), those, and the ones at the back; then the records, newest first. A packed
//! record is its SCN (varint), how far it goes back from there (varint), the length of its operations (varint), and these.
//! Earlier programs wrote SCN (8), the version it goes back to (8), length (4), operations; what is read of theirs is
//! packed at once, so that nobody else knows of it.

use std::borrow::Cow;

use helios_btree::{put_varint, take_varint};
use helios_bufferpool::{Scn, page};

use crate::error::{Error, Result};

const PACKED: u32 = 1 << 31;
/// The bytes that a record counts for at least, where records are cut into a page's worth each: applying one takes time,
/// however short it is.
const RECORD_COST_MIN: usize = 40;
/// What stood before a record that is not packed.
const LOOSE_HEADER_BYTES: usize = 20;

fn damaged() -> Error {
    Error::Corruption("a history image is damaged".into())
}

/// A decoded history image.
pub(crate) struct Contents<'a> {
    image: &'a [u8],
    /// Packed.
    pub(crate) records: Cow<'a, [u8]>,
}

impl<'a> Contents<'a> {
    pub(crate) fn parse(raw: &'a [u8]) -> Result<Contents<'a>> {
        let (length, rest) = raw.split_first_chunk::<4>().ok_or_else(damaged)?;
        let length = u32::from_le_bytes(*length);
        let (image, records) = rest.split_at_checked((length & !PACKED) as usize).ok_or_else(damaged)?;
        let records = match length & PACKED {
            0 => Cow::Owned(pack(records)?),
            _ => Cow::Borrowed(records),
        };
        Ok(Contents { image, records })
    }

    /// The page image of a sealed history.
    pub(crate) fn page(&self, page_size: usize) -> Result<Vec<u8>> {
        let (front_bytes, rest) = self.image.split_first_chunk::<4>().ok_or_else(damaged)?;
        let (front, back) =
            rest.split_at_checked(u32::from_le_bytes(*front_bytes) as usize).ok_or_else(damaged)?;
        let end = page::content_end(page_size);
        if front.len() + back.len() > end {
            return Err(damaged());
        }
        let mut bytes = vec![0; page_size];
        bytes[..front.len()].copy_from_slice(front);
        bytes[end - back.len()..end].copy_from_slice(back);
        // Its undo chain is what follows the image, not what is in the ring.
        page::set_undo_position(&mut bytes, 0);
        page::set_from_device(&mut bytes);
        Ok(bytes)
    }
}

/// An open history.
pub(crate) fn open_image(records: &[u8]) -> Vec<u8> {
    [&PACKED.to_le_bytes(), records].concat()
}

/// A sealed history: a page, and what leads back from it.
pub(crate) fn sealed_image(page: &[u8], records: &[u8]) -> Vec<u8> {
    let (lower, upper) = (usize::from(page::lower(page)), usize::from(page::upper(page)));
    let back = &page[upper..page::content_end(page.len())];
    let mut raw = Vec::with_capacity(8 + lower + back.len() + records.len());
    raw.extend_from_slice(&((4 + lower + back.len()) as u32 | PACKED).to_le_bytes());
    raw.extend_from_slice(&(lower as u32).to_le_bytes());
    raw.extend_from_slice(&page[..lower]);
    raw.extend_from_slice(back);
    raw.extend_from_slice(records);
    raw
}

/// Appends a record.
pub(crate) fn push_record(scn: Scn, restores: Scn, operations: &[u8], out: &mut Vec<u8>) {
    put_varint(scn.0, out);
    put_varint(scn.0.saturating_sub(restores.0), out);
    put_varint(operations.len() as u64, out);
    out.extend_from_slice(operations);
}

/// Records of earlier programs as those of this one.
fn pack(mut loose: &[u8]) -> Result<Vec<u8>> {
    let mut packed = Vec::with_capacity(loose.len());
    while !loose.is_empty() {
        let (header, rest) = loose.split_first_chunk::<LOOSE_HEADER_BYTES>().ok_or_else(damaged)?;
        let number = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
        let length = u32::from_le_bytes(header[16..].try_into().expect("four bytes")) as usize;
        let (operations, rest) = rest.split_at_checked(length).ok_or_else(damaged)?;
        push_record(Scn(number(0)), Scn(number(8)), operations, &mut packed);
        loose = rest;
    }
    Ok(packed)
}

/// Walks over packed records: SCN, the version it goes back to, operations.
pub(crate) struct Records<'a>(pub(crate) &'a [u8]);

impl<'a> Records<'a> {
    fn take(&mut self) -> Option<(Scn, Scn, &'a [u8])> {
        let (scn, distance) = (take_varint(&mut self.0)?, take_varint(&mut self.0)?);
        let length = usize::try_from(take_varint(&mut self.0)?).ok()?;
        let (operations, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some((Scn(scn), Scn(scn.checked_sub(distance)?), operations))
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<(Scn, Scn, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let record = self.take().ok_or_else(damaged);
        if record.is_err() {
            self.0 = &[];
        }
        Some(record)
    }
}

/// The commit of the first of some records.
pub(crate) fn newest_of(records: &[u8]) -> Result<Scn> {
    Records(records).next().unwrap_or_else(|| Err(damaged())).map(|record| record.0)
}

/// What some records cost whoever goes back over them: their bytes, or what is about as dear where they are short.
pub(crate) fn cost(mut records: &[u8]) -> Result<usize> {
    let mut cost = 0;
    while !records.is_empty() {
        let mut rest = Records(records);
        rest.next().transpose()?;
        cost += record_cost(records.len() - rest.0.len());
        records = rest.0;
    }
    Ok(cost)
}

fn record_cost(bytes: usize) -> usize {
    bytes.max(RECORD_COST_MIN)
}

/// Cuts off the newest records: as many whole commits as cost no more than `cost`.
pub(crate) fn cut_before(records: &[u8], cost: usize) -> Result<(&[u8], &[u8])> {
    let (mut rest, mut last, mut cut, mut taken) = (Records(records), None, 0, 0);
    loop {
        let at = records.len() - rest.0.len();
        if taken > cost {
            return Ok(records.split_at(cut));
        }
        let Some(next) = rest.next().transpose()? else { return Ok((records, &[])) };
        if last.is_some_and(|last| next.0 < last) {
            cut = at;
        }
        taken += record_cost(records.len() - rest.0.len() - at);
        last = Some(next.0);
    }
}

/// Cuts off the newest records: those of `version` and later, and as few whole commits as cost `wanted`; all, where half of that
/// would be left.
pub(crate) fn cut_behind(records: &[u8], wanted: usize, version: Scn) -> Result<(&[u8], &[u8])> {
    let all = cost(records)?;
    let (mut rest, mut last, mut taken) = (Records(records), None, 0);
    loop {
        let at = records.len() - rest.0.len();
        let Some(next) = rest.next().transpose()? else { return Ok((records, &[])) };
        if all - taken < wanted / 2 {
            return Ok((records, &[]));
        }
        if taken >= wanted && next.0 < version && last.is_some_and(|last| next.0 < last) {
            return Ok(records.split_at(at));
        }
        taken += record_cost(records.len() - rest.0.len() - at);
        last = Some(next.0);
    }
}

/// The length of those records, the first ones, that are of commits after `scn`.
pub(crate) fn records_after(records: &[u8], scn: Scn) -> Result<usize> {
    let mut rest = Records(records);
    loop {
        let length = records.len() - rest.0.len();
        match rest.next().transpose()? {
            Some(record) if record.0 > scn => {}
            _ => return Ok(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(lengths: &[(u64, usize)]) -> Vec<u8> {
        let mut out = Vec::new();
        lengths
            .iter()
            .for_each(|(scn, length)| push_record(Scn(*scn), Scn(scn - 1), &vec![7; *length], &mut out));
        out
    }

    fn scns(records: &[u8]) -> Vec<u64> {
        Records(records).map(|record| record.unwrap().0.0).collect()
    }

    #[test]
    fn commits_are_cut_as_a_whole() {
        // Each has three bytes before its operations, and counts for 40 at least.
        let all = records(&[(9, 20), (9, 20), (8, 20), (5, 57), (5, 57), (4, 20)]);
        assert_eq!(cost(&all).unwrap(), 4 * 40 + 2 * 60);
        let cut = |bytes| scns(cut_before(&all, bytes).unwrap().0);
        assert_eq!(cut(0), [0; 0]);
        assert_eq!(cut(79), [0; 0]);
        assert_eq!(cut(80), [9, 9]);
        assert_eq!(cut(150), [9, 9, 8]);
        assert_eq!(cut(1000).len(), 6);
        let cut = |bytes, version| scns(cut_behind(&all, bytes, Scn(version)).unwrap().0);
        assert_eq!(cut(10, 9), [9, 9]);
        assert_eq!(cut(10, 8), [9, 9, 8]);
        assert_eq!(cut(90, 9), [9, 9, 8]);
        assert_eq!(cut(79, 5), [9, 9, 8, 5, 5]);
        assert_eq!(cut(200, 9).len(), 6, "what would be left is less than half");
        assert_eq!(records_after(&all, Scn(8)).unwrap(), 46);
        assert_eq!(records_after(&all, Scn(0)).unwrap(), all.len());
    }

    #[test]
    fn records_of_earlier_programs_are_packed() {
        let mut raw = 0u32.to_le_bytes().to_vec();
        for (scn, restores, operations) in [(300u64, 7u64, &b"abc"[..]), (7, 0, b"")] {
            raw.extend_from_slice(&scn.to_le_bytes());
            raw.extend_from_slice(&restores.to_le_bytes());
            raw.extend_from_slice(&(operations.len() as u32).to_le_bytes());
            raw.extend_from_slice(operations);
        }
        let contents = Contents::parse(&raw).unwrap();
        let found: Vec<_> = Records(&contents.records).map(Result::unwrap).collect();
        assert_eq!(found, [(Scn(300), Scn(7), &b"abc"[..]), (Scn(7), Scn(0), &b""[..])]);
        assert_eq!(open_image(&contents.records).len(), 4 + 4 + 3 + 3 + 3 - 2);
        for length in 5..raw.len() - 20 {
            assert!(Contents::parse(&raw[..length]).is_err(), "{length} bytes");
        }
    }

    /// Whatever the bytes, an error and no panic.
    #[test]
    fn damaged_records_are_told() {
        let all = records(&[(9, 20), (8, 3)]);
        for length in 1..all.len() {
            let told = Records(&all[..length]).any(|record| record.is_err());
            assert!(told || length == 23, "{length} bytes");
        }
        assert!(Records(&[5, 9, 0]).next().unwrap().is_err(), "it goes back behind the first commit");
    }
}
