//! The bytes of history images.
//!
//! The length of the page image that follows, 0 for an open history (4; bit 31 says that the records are packed); of the
//! image the number of bytes at the front (4), those, and the ones at the back; then the records, newest first. A packed
//! record is its SCN (varint), how far it goes back from there (varint), the length of its operations (varint), and these.
//! Earlier programs wrote SCN (8), the version it goes back to (8), length (4), operations; what is read of theirs is
//! packed at once, so that nobody else knows of it.

use std::borrow::Cow;

use helios_btree::{check_page, put_varint, take_varint};
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
        check_page(&bytes)
            .map_err(|what| Error::Corruption(format!("a history image is damaged: {what}")))?;
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

/// Where records are cut into histories of their own: the offsets at which these begin, newest first. Each but the newest is of as few
/// whole commits as make a page's worth, counted from the oldest, so no way back is longer than a page's worth and the commit
/// that goes beyond it. What the first offset leaves before it is less than that and stays open. If `until` is given nothing does: what is of
/// that commit or later goes to the newest history, however little it is.
pub(crate) fn cut(records: &[u8], page_size: usize, until: Option<Scn>) -> Result<Vec<usize>> {
    let until = until.unwrap_or(Scn::MAX);
    // Where a commit begins, and what going back over it costs.
    let mut commits: Vec<(usize, usize)> = Vec::new();
    let (mut rest, mut last) = (Records(records), None);
    while !rest.0.is_empty() {
        let at = records.len() - rest.0.len();
        let Some((scn, ..)) = rest.next().transpose()? else { break };
        let bytes = records.len() - rest.0.len() - at;
        let scn = scn.min(until);
        if last != Some(scn) {
            commits.push((at, 0));
            last = Some(scn);
        }
        if let Some((_, cost)) = commits.last_mut() {
            *cost += bytes.max(RECORD_COST_MIN);
        }
    }
    let (mut starts, mut taken) = (Vec::new(), 0);
    for (at, cost) in commits.into_iter().rev() {
        taken += cost;
        if taken >= page_size || (at == 0 && until != Scn::MAX) {
            starts.push(at);
            taken = 0;
        }
    }
    starts.reverse();
    Ok(starts)
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
        let cut = |page_size, until: Option<u64>| {
            let starts = super::cut(&all, page_size, until.map(Scn)).unwrap();
            let ends = starts.iter().copied().skip(1).chain([all.len()]);
            starts.iter().zip(ends).map(|(start, end)| scns(&all[*start..end])).collect::<Vec<_>>()
        };
        assert_eq!(cut(10, None), [vec![9, 9], vec![8], vec![5, 5], vec![4]]);
        assert_eq!(cut(40, None), [vec![9, 9], vec![8], vec![5, 5], vec![4]]);
        assert_eq!(cut(41, None), [vec![9, 9, 8], vec![5, 5, 4]]);
        assert_eq!(cut(160, None), [vec![5, 5, 4]], "less than a page's worth is left before it");
        assert_eq!(cut(281, None), [[0; 0]; 0]);
        assert_eq!(cut(1000, Some(9)), [vec![9, 9, 8, 5, 5, 4]]);
        assert_eq!(cut(160, Some(9)), [vec![9, 9, 8], vec![5, 5, 4]]);
        assert_eq!(cut(10, Some(8)), [vec![9, 9, 8], vec![5, 5], vec![4]]);
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
