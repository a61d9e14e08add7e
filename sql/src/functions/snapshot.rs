//! Functions of `pg_snapshot` and `txid_snapshot`: what is in them. Those that ask what there is are in
//! `relations/transactions.rs`.

use super::registry::{Entry, Registry};
use super::rows::column;
use super::vector::wrong_arguments;
use crate::error::Result;
use crate::types::Oid;
use crate::types::oids::{BOOL, INT8, PG_SNAPSHOT, TXID_SNAPSHOT, XID8};
use crate::types::snapshot::{TransactionSnapshot, snapshot};
use crate::value::Datum;

fn snapshot_at(arguments: &[Datum], at: usize) -> Result<TransactionSnapshot> {
    arguments.get(at).and_then(snapshot).ok_or_else(wrong_arguments)
}

fn number(number: u64) -> Datum {
    Datum::Int64(number.cast_signed())
}

pub(super) fn register(registry: &mut Registry) {
    // The type, what its numbers are, and what its functions are called.
    let families: [(Oid, Oid, [&str; 4]); 2] = [
        (
            PG_SNAPSHOT,
            XID8,
            ["pg_snapshot_xmin", "pg_snapshot_xmax", "pg_snapshot_xip", "pg_visible_in_snapshot"],
        ),
        (
            TXID_SNAPSHOT,
            INT8,
            ["txid_snapshot_xmin", "txid_snapshot_xmax", "txid_snapshot_xip", "txid_visible_in_snapshot"],
        ),
    ];
    for (of, numbers, [xmin, xmax, xip, visible]) in families {
        registry.add(Entry::new(xmin, &[of], numbers, |arguments, _| {
            Ok(number(snapshot_at(arguments, 0)?.xmin))
        }));
        registry.add(Entry::new(xmax, &[of], numbers, |arguments, _| {
            Ok(number(snapshot_at(arguments, 0)?.xmax))
        }));
        registry.add(Entry::rows(xip, &[of], numbers, |arguments, _, _| {
            Ok(column(snapshot_at(arguments, 0)?.running.into_iter().map(number)))
        }));
        registry.add(Entry::new(visible, &[numbers, of], BOOL, |arguments, _| {
            let asked = arguments[0].as_i64().ok_or_else(wrong_arguments)?;
            Ok(Datum::Bool(snapshot_at(arguments, 1)?.sees(asked.cast_unsigned())))
        }));
    }
}
