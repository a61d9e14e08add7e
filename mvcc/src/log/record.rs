//! What a group says: the commits in it, each with its operations.
//!
//! A group's image holds: number of commits (4), then per commit: xid (8), SCN (8), time in µs since 1970 (8),
//! branch (8), flags (1; bit 0: the catalog changed), number of operations (4), and per operation: kind (1;
//! 1 put, 2 delete, 3 create tree), tree (8), key length (4), value length (4), key, value. Lengths are zero
//! where they mean nothing.

use crate::error::{Error, Result};
use crate::ids::{BranchId, Scn, TreeId, Xid};
use crate::write_set::{Change, CommitRecord, Operation};

const PUT: u8 = 1;
const DELETE: u8 = 2;
const CREATE_TREE: u8 = 3;

/// Appends a commit to a group.
pub(crate) fn encode(record: &CommitRecord<'_>, scn: Scn, time_micros: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&record.xid.0.to_le_bytes());
    out.extend_from_slice(&scn.0.to_le_bytes());
    out.extend_from_slice(&time_micros.to_le_bytes());
    out.extend_from_slice(&record.branch.0.to_le_bytes());
    out.push(u8::from(record.catalog_changed));
    out.extend_from_slice(&(record.operations.len() as u32).to_le_bytes());
    for index in 0..record.operations.len() {
        let (kind, tree, key, value) = match record.operations.get(index) {
            Operation::CreateTree(tree) => (CREATE_TREE, tree, &[][..], &[][..]),
            Operation::Change(tree, key, Change::Put(value)) => (PUT, tree, key, value),
            Operation::Change(tree, key, Change::Delete) => (DELETE, tree, key, &[][..]),
        };
        out.push(kind);
        out.extend_from_slice(&tree.0.to_le_bytes());
        out.extend_from_slice(&(key.len() as u32).to_le_bytes());
        out.extend_from_slice(&(value.len() as u32).to_le_bytes());
        out.extend_from_slice(key);
        out.extend_from_slice(value);
    }
}

/// A commit read back.
pub(crate) struct LoggedCommit {
    pub(crate) xid: Xid,
    pub(crate) scn: Scn,
    pub(crate) time_micros: u64,
    pub(crate) branch: BranchId,
    pub(crate) operations: Vec<LoggedOperation>,
}

/// An operation read back.
pub(crate) enum LoggedOperation {
    Put(TreeId, Vec<u8>, Vec<u8>),
    Delete(TreeId, Vec<u8>),
    CreateTree(TreeId),
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(count)
            .ok_or_else(|| Error::Corruption("a log group ends in the middle of a commit".into()))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().expect("four bytes")))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into().expect("eight bytes")))
    }
}

/// Reads the commits of a group.
pub(crate) fn decode(image: &[u8]) -> Result<Vec<LoggedCommit>> {
    let mut reader = Reader { bytes: image };
    let count = reader.u32()?;
    let mut commits = Vec::new();
    for _ in 0..count {
        let (xid, scn) = (Xid(reader.u64()?), Scn(reader.u64()?));
        let (time_micros, branch) = (reader.u64()?, BranchId(reader.u64()?));
        reader.take(1)?;
        let operation_count = reader.u32()?;
        let mut operations = Vec::new();
        for _ in 0..operation_count {
            let kind = reader.take(1)?[0];
            let tree = TreeId(reader.u64()?);
            let (key_bytes, value_bytes) = (reader.u32()? as usize, reader.u32()? as usize);
            let (key, value) = (reader.take(key_bytes)?, reader.take(value_bytes)?);
            operations.push(match kind {
                PUT => LoggedOperation::Put(tree, key.to_vec(), value.to_vec()),
                DELETE => LoggedOperation::Delete(tree, key.to_vec()),
                CREATE_TREE => LoggedOperation::CreateTree(tree),
                other => return Err(Error::Corruption(format!("log operation {other} does not exist"))),
            });
        }
        commits.push(LoggedCommit { xid, scn, time_micros, branch, operations });
    }
    Ok(commits)
}
