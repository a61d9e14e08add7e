//! `pg_snapshot` and its older name `txid_snapshot`: which transactions a snapshot sees, `xmin:xmax:xip,…`.
//!
//! Below xmin it sees all, from xmax on none, and between them all but those listed. A value is its text in canonical form.

use std::fmt::Write;

use super::scalar::{cut_off, entry, is_space, operations, wrong_kind};
use super::{Category, TypeInfo, TypeOperations, oids};
use crate::error::{Result, SqlError};
use crate::value::{Datum, PhysicalKind};

/// The transactions that a snapshot sees, and those that it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionSnapshot {
    pub xmin: u64,
    pub xmax: u64,
    /// Those in progress, in order.
    pub running: Vec<u64>,
}

impl TransactionSnapshot {
    /// The snapshot before `next` that does not see some transactions.
    #[must_use]
    pub fn before(next: u64, mut unseen: Vec<u64>) -> TransactionSnapshot {
        unseen.sort_unstable();
        unseen.dedup();
        unseen.retain(|number| *number < next);
        let mut xmax = next;
        while unseen.last().is_some_and(|last| last + 1 == xmax) {
            unseen.pop();
            xmax -= 1;
        }
        TransactionSnapshot { xmin: unseen.first().copied().unwrap_or(xmax), xmax, running: unseen }
    }

    /// Whether it sees what a transaction did.
    #[must_use]
    pub fn sees(&self, number: u64) -> bool {
        number < self.xmin || number < self.xmax && self.running.binary_search(&number).is_err()
    }

    /// Reads the text form.
    #[must_use]
    pub fn parse(text: &str) -> Option<TransactionSnapshot> {
        let (xmin, rest) = number(text)?;
        let (xmax, rest) = number(rest.strip_prefix(':')?)?;
        let mut rest = rest.strip_prefix(':')?;
        let mut running: Vec<u64> = Vec::new();
        while !rest.is_empty() {
            let (next, behind) = number(rest)?;
            match running.last() {
                Some(last) if *last > next => return None,
                Some(last) if *last == next => {}
                _ => running.push(next),
            }
            rest = match behind.strip_prefix(',') {
                Some(behind) => behind,
                None if behind.is_empty() => behind,
                None => return None,
            };
        }
        TransactionSnapshot { xmin, xmax, running }.checked()
    }

    /// The snapshot, if it can be one.
    fn checked(self) -> Option<TransactionSnapshot> {
        let is_between = |number: &u64| (self.xmin..self.xmax).contains(number);
        let is_one = self.xmin > 0 && self.xmin <= self.xmax && self.running.iter().all(is_between);
        is_one.then_some(self)
    }

    /// The value of it.
    #[must_use]
    pub fn datum(&self) -> Datum {
        let mut text = format!("{}:{}:", self.xmin, self.xmax);
        for (at, number) in self.running.iter().enumerate() {
            let _ = write!(text, "{}{number}", if at > 0 { "," } else { "" });
        }
        Datum::text(text)
    }
}

/// The snapshot that a value is.
#[must_use]
pub fn snapshot(datum: &Datum) -> Option<TransactionSnapshot> {
    TransactionSnapshot::parse(datum.as_text()?)
}

/// A number at the beginning of a text, and what is behind it.
fn number(text: &str) -> Option<(u64, &str)> {
    let text = text.trim_start_matches(is_space);
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

const SNAPSHOT: TypeOperations = operations(
    |_, text, _, _| {
        // Both types call it so.
        let found = TransactionSnapshot::parse(text);
        found.map(|found| found.datum()).ok_or_else(|| SqlError::invalid_input("pg_snapshot", text))
    },
    |info, datum, out, _| {
        out.push_str(datum.as_text().ok_or_else(|| wrong_kind(info))?);
        Ok(())
    },
    |_, bytes, _, _| read(bytes).map(|found| found.datum()),
    |info, datum, out, _| {
        let found: Result<TransactionSnapshot> = snapshot(datum).ok_or_else(|| wrong_kind(info));
        let found = found?;
        out.extend(u32::try_from(found.running.len()).unwrap_or(u32::MAX).to_be_bytes());
        for number in [found.xmin, found.xmax].iter().chain(&found.running) {
            out.extend(number.to_be_bytes());
        }
        Ok(())
    },
);

fn read(bytes: &[u8]) -> Result<TransactionSnapshot> {
    let invalid = || SqlError::invalid_binary("invalid external pg_snapshot data");
    let (count, mut rest) = bytes.split_first_chunk::<4>().ok_or_else(cut_off)?;
    let mut next = || -> Result<u64> {
        let (number, behind) = rest.split_first_chunk::<8>().ok_or_else(cut_off)?;
        rest = behind;
        Ok(u64::from_be_bytes(*number))
    };
    let (xmin, xmax) = (next()?, next()?);
    let mut running: Vec<u64> = Vec::new();
    for _ in 0..u32::from_be_bytes(*count) {
        let number = next()?;
        match running.last() {
            Some(last) if *last > number => return Err(invalid()),
            Some(last) if *last == number => {}
            _ => running.push(number),
        }
    }
    if !rest.is_empty() {
        return Err(super::scalar::wrong_length());
    }
    TransactionSnapshot { xmin, xmax, running }.checked().ok_or_else(invalid)
}

pub(super) fn types() -> Vec<TypeInfo> {
    let plain = |oid, array_oid, name| {
        entry(oid, array_oid, name, name, Category::UserDefined, false, -1, PhysicalKind::Text, SNAPSHOT)
    };
    vec![
        plain(oids::PG_SNAPSHOT, oids::PG_SNAPSHOT_ARRAY, "pg_snapshot"),
        plain(oids::TXID_SNAPSHOT, oids::TXID_SNAPSHOT_ARRAY, "txid_snapshot"),
    ]
}

#[cfg(test)]
mod tests {
    use super::TransactionSnapshot;

    #[test]
    fn those_that_began_last_are_not_listed() {
        let snapshot = TransactionSnapshot::before(20, vec![19, 12, 18, 12, 25]);
        assert_eq!(snapshot, TransactionSnapshot { xmin: 12, xmax: 18, running: vec![12] });
        assert!(snapshot.sees(11) && snapshot.sees(13) && snapshot.sees(17));
        assert!(!snapshot.sees(12) && !snapshot.sees(18) && !snapshot.sees(30));
        let idle = TransactionSnapshot::before(20, Vec::new());
        assert_eq!((idle.xmin, idle.xmax), (20, 20));
    }
}
