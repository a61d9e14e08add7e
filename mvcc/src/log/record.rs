//! What a group says: the commits in it, each with its operations.
//!
//! A group is a stream of bytes, cut into the images of its parts anywhere: number of commits (4), then per commit: xid
//! (8), SCN (8), time in µs since 1970 (8), branch (8), flags (1; bit 0: the catalog changed; bit 1: only a piece of the
//! commit, which counts if the commit itself follows; bit 2: the commit behind such pieces), number of operations (4;
//! 2^32 - 1: up to the one that says "end"), and per operation: kind (1; 0 end, 1 put, 2 delete, 3 create tree), tree
//! (8), key length (4), value length (4), key, value. Numbers are zero where they mean nothing. The key of a tree that is
//! created is its fill factor in percent (1); without one it is 100. At the end of a piece, the tree is the next page's id.

use crate::ids::{BranchId, Scn, TreeId, Xid};
use crate::write_set::{Change, Operation};

pub(super) const END: u8 = 0;
pub(super) const PUT: u8 = 1;
pub(super) const DELETE: u8 = 2;
pub(super) const CREATE_TREE: u8 = 3;
const COUNT_UNKNOWN: u32 = u32::MAX;
/// Bytes of a commit before its operations.
pub(crate) const COMMIT_BYTES: usize = 37;
/// Bytes of an operation before its key.
pub(crate) const OPERATION_BYTES: usize = 17;

/// How much of a commit there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// All of it.
    Whole,
    /// A piece of it, which counts if the commit itself follows, in a later group.
    Piece,
    /// The commit itself, whose pieces came before it.
    AfterPieces,
}

const CATALOG_CHANGED: u8 = 1;
const PIECE: u8 = 2;
const AFTER_PIECES: u8 = 4;

/// What a commit is, but for its operations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CommitHeader {
    pub(crate) xid: Xid,
    pub(crate) scn: Scn,
    pub(crate) time_micros: u64,
    pub(crate) branch: BranchId,
    pub(crate) catalog_changed: bool,
    pub(crate) stage: Stage,
    /// `None` when it was not known when the commit began: then an end is marked.
    pub(crate) operation_count: Option<u32>,
}

impl CommitHeader {
    /// Appends it to a group.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.xid.0.to_le_bytes());
        out.extend_from_slice(&self.scn.0.to_le_bytes());
        out.extend_from_slice(&self.time_micros.to_le_bytes());
        out.extend_from_slice(&self.branch.0.to_le_bytes());
        let stage = match self.stage {
            Stage::Whole => 0,
            Stage::Piece => PIECE,
            Stage::AfterPieces => AFTER_PIECES,
        };
        out.push(stage | if self.catalog_changed { CATALOG_CHANGED } else { 0 });
        out.extend_from_slice(&self.operation_count.unwrap_or(COUNT_UNKNOWN).to_le_bytes());
    }

    /// Reads it back.
    pub(super) fn decode(bytes: &[u8; COMMIT_BYTES]) -> CommitHeader {
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        CommitHeader {
            xid: Xid(u64_at(0)),
            scn: Scn(u64_at(8)),
            time_micros: u64_at(16),
            branch: BranchId(u64_at(24)),
            catalog_changed: bytes[32] & CATALOG_CHANGED != 0,
            stage: match bytes[32] & (PIECE | AFTER_PIECES) {
                PIECE => Stage::Piece,
                AFTER_PIECES => Stage::AfterPieces,
                _ => Stage::Whole,
            },
            operation_count: Some(u32::from_le_bytes(bytes[33..37].try_into().expect("four bytes")))
                .filter(|count| *count != COUNT_UNKNOWN),
        }
    }
}

/// Appends an operation to a group, but for its value, which is returned.
pub(super) fn encode_operation<'a>(operation: Operation<'a>, out: &mut Vec<u8>) -> &'a [u8] {
    let percent;
    let (kind, tree, key, value) = match operation {
        Operation::CreateTree(tree, fill_percent) => {
            percent = [fill_percent];
            (CREATE_TREE, tree, &percent[..], &[][..])
        }
        Operation::Change(tree, key, Change::Put(value)) => (PUT, tree, key, value),
        Operation::Change(tree, key, Change::Delete) => (DELETE, tree, key, &[][..]),
    };
    out.push(kind);
    out.extend_from_slice(&tree.0.to_le_bytes());
    out.extend_from_slice(&(key.len() as u32).to_le_bytes());
    out.extend_from_slice(&(value.len() as u32).to_le_bytes());
    out.extend_from_slice(key);
    value
}

/// An operation read back.
pub(crate) enum LoggedOperation {
    Put(TreeId, Vec<u8>, Vec<u8>),
    Delete(TreeId, Vec<u8>),
    CreateTree(TreeId, u8),
}

impl LoggedOperation {
    /// The step of a commit that it is.
    pub(crate) fn as_operation(&self) -> Operation<'_> {
        match self {
            LoggedOperation::Put(tree, key, value) => Operation::Change(*tree, key, Change::Put(value)),
            LoggedOperation::Delete(tree, key) => Operation::Change(*tree, key, Change::Delete),
            LoggedOperation::CreateTree(tree, fill_percent) => Operation::CreateTree(*tree, *fill_percent),
        }
    }
}
