//! Reading and writing large objects: rows of pages and of metadata.

use std::ops::{Bound, ControlFlow};

use helios_mvcc::{KeyRange, LockMode, Scan, ScanStep};

use super::tables::{PG_LARGEOBJECT_METADATA, Tables};
use super::{BYTES_MAX, PAGE_BYTES, denied, missing};
use crate::error::{Result, SqlError, SqlState};
use crate::execute::Execution;
use crate::rights::refused;
use crate::value::Datum;
use crate::value::key;
use crate::write::{OldRow, TableWriter};

/// Which state is read: the statement's, or the newest, own changes included, as writers see it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum View {
    Snapshot,
    Latest,
}

fn number(page: i64) -> i32 {
    i32::try_from(page).unwrap_or(i32::MAX)
}

fn key_of(writer: &TableWriter, values: &[Datum]) -> Vec<u8> {
    let mut key = Vec::new();
    key::encode_all(&writer.primary_key, values, &mut key);
    key
}

fn values_of(writer: &TableWriter, row: &[u8]) -> Result<Vec<Datum>> {
    let view = writer.layout.view(row)?;
    (0..writer.layout.columns().len()).map(|at| view.get(at)).collect()
}

async fn row(
    writer: &TableWriter,
    key: &[u8],
    view: View,
    execution: &mut Execution,
) -> Result<Option<Vec<Datum>>> {
    let transaction = &mut execution.transaction;
    let found = match view {
        View::Snapshot => transaction.get(writer.tree(), key).await?,
        View::Latest => transaction.get_latest(writer.tree(), key).await?,
    };
    found.map(|row| values_of(writer, &row)).transpose()
}

/// Whose a large object is.
///
/// # Errors
/// 42704 for one that does not exist.
pub async fn owner_of(oid: u32, view: View, execution: &mut Execution) -> Result<u32> {
    let Some(tables) = Tables::found(execution)? else { return Err(missing(oid)) };
    let key = key_of(&tables.metadata, &[Datum::Oid(oid)]);
    let found = row(&tables.metadata, &key, view, execution).await?;
    match found.as_deref() {
        Some([_, Datum::Oid(owner), ..]) => Ok(*owner),
        _ => Err(missing(oid)),
    }
}

/// The tables, for who may read or write an object.
///
/// # Errors
/// 42704, 42501.
pub async fn opened(oid: u32, view: View, execution: &mut Execution) -> Result<Tables> {
    let owner = owner_of(oid, view, execution).await?;
    if !execution.environment.actor().has_role(owner) {
        return Err(denied(oid));
    }
    Tables::found(execution)?.ok_or_else(|| missing(oid))
}

/// Makes a large object, of a new OID where none is given.
///
/// # Errors
/// 23505 for an OID that is taken.
pub async fn create(oid: u32, execution: &mut Execution) -> Result<u32> {
    let tables = Tables::made(execution).await?;
    let owner = execution.environment.who.role;
    let given = oid != 0;
    loop {
        let oid = if given { oid } else { execution.environment.engine.allocate_oid().await? };
        let values = [Datum::Oid(oid), Datum::Oid(owner), Datum::Null];
        // One that was made under a number of its own may have this one.
        let key = key_of(&tables.metadata, &values[..1]);
        if !given && row(&tables.metadata, &key, View::Latest, execution).await?.is_some() {
            continue;
        }
        tables.metadata.insert(&values, execution).await?;
        return Ok(oid);
    }
}

/// Removes a large object.
///
/// # Errors
/// 42704, 42501 for who does not own it.
pub async fn remove(oid: u32, execution: &mut Execution) -> Result<()> {
    let owner = owner_of(oid, View::Latest, execution).await?;
    if !execution.environment.actor().has_role(owner) {
        return Err(refused(format!("must be owner of large object {oid}")));
    }
    let Some(tables) = Tables::found(execution)? else { return Err(missing(oid)) };
    cut(&tables, oid, 0, execution).await?;
    let key = key_of(&tables.metadata, &[Datum::Oid(oid)]);
    let Some(values) = row(&tables.metadata, &key, View::Latest, execution).await? else {
        return Err(missing(oid));
    };
    tables.metadata.delete(OldRow { key: &key, values: &values, is_newest: false }, execution).await
}

/// Gives a large object to another role.
///
/// # Errors
/// 42704; those of writing.
pub async fn change_owner(oid: u32, owner: u32, execution: &mut Execution) -> Result<()> {
    let Some(tables) = Tables::found(execution)? else { return Err(missing(oid)) };
    let key = key_of(&tables.metadata, &[Datum::Oid(oid)]);
    let Some(values) = row(&tables.metadata, &key, View::Latest, execution).await? else {
        return Err(missing(oid));
    };
    let changed = [Datum::Oid(oid), Datum::Oid(owner), values.get(2).cloned().unwrap_or_default()];
    tables.metadata.update(OldRow { key: &key, values: &values, is_newest: false }, &changed, execution).await
}

/// The keys of an object's pages from some number on.
fn range(tables: &Tables, oid: u32, from: i64) -> KeyRange {
    let lower = key_of(&tables.pages, &[Datum::Oid(oid), Datum::Int32(number(from))]);
    let whole = KeyRange::prefix(&key_of(&tables.pages, &[Datum::Oid(oid)]));
    KeyRange { lower: Bound::Included(lower), upper: whole.upper }
}

fn scan(tables: &Tables, range: KeyRange, reverse: bool, view: View, execution: &Execution) -> Scan {
    match view {
        View::Snapshot => execution.transaction.scan(tables.pages.tree(), range, reverse),
        View::Latest => execution.transaction.scan_latest(tables.pages.tree(), range, reverse),
    }
}

/// A page's number and bytes.
fn page_of(tables: &Tables, row: &[u8]) -> Result<(i64, Vec<u8>)> {
    match values_of(&tables.pages, row)?.as_slice() {
        [_, Datum::Int32(page), Datum::Bytes(bytes)] => Ok((i64::from(*page), bytes.to_vec())),
        _ => Err(SqlError::corrupted("a page of a large object is none")),
    }
}

/// Up to so many pages of an object in order, those only that have rows.
async fn pages(
    tables: &Tables,
    range: KeyRange,
    reverse: bool,
    most: usize,
    view: View,
    execution: &mut Execution,
) -> Result<Vec<(i64, Vec<u8>)>> {
    let mut found = Vec::new();
    let mut failure = None;
    let mut scan = scan(tables, range, reverse, view, execution);
    while found.len() < most && failure.is_none() {
        let step = scan
            .next(&execution.transaction, &mut |_, row| {
                match page_of(tables, row) {
                    Ok(page) => found.push(page),
                    Err(error) => failure = Some(error),
                }
                if found.len() < most && failure.is_none() {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })
            .await?;
        if step == ScanStep::Done {
            break;
        }
        execution.check_cancel()?;
    }
    failure.map_or(Ok(found), Err)
}

/// How many bytes an object has.
///
/// # Errors
/// Those of reading.
pub async fn length(tables: &Tables, oid: u32, view: View, execution: &mut Execution) -> Result<i64> {
    let last = pages(tables, range(tables, oid, 0), true, 1, view, execution).await?;
    Ok(last.first().map_or(0, |(page, bytes)| page * PAGE_BYTES + bytes.len() as i64))
}

/// Bytes of an object, fewer where it ends; what was never written is zeros.
///
/// # Errors
/// Those of reading.
pub async fn read(
    tables: &Tables,
    (oid, offset, count): (u32, i64, i64),
    view: View,
    execution: &mut Execution,
) -> Result<Vec<u8>> {
    let end = offset.saturating_add(count).min(length(tables, oid, view, execution).await?);
    if offset >= end {
        return Ok(Vec::new());
    }
    let length = usize::try_from(end - offset).unwrap_or(0);
    let mut bytes = vec![0; length];
    let (mut from, last) = (offset / PAGE_BYTES, (end - 1) / PAGE_BYTES);
    while from <= last {
        const PAGES_AT_ONCE: usize = 64;
        let block = pages(tables, range(tables, oid, from), false, PAGES_AT_ONCE, view, execution).await?;
        let Some((final_page, _)) = block.last() else { break };
        from = final_page + 1;
        for (page, content) in &block {
            let start = page * PAGE_BYTES;
            let (skipped, place) = ((offset - start).max(0), (start - offset).max(0));
            let (Ok(skipped), Ok(place)) = (usize::try_from(skipped), usize::try_from(place)) else {
                continue;
            };
            if place >= length || skipped >= content.len() {
                continue;
            }
            let taken = (content.len() - skipped).min(length - place);
            bytes[place..place + taken].copy_from_slice(&content[skipped..skipped + taken]);
        }
    }
    Ok(bytes)
}

/// Writes bytes into an object, which grows as it must.
///
/// # Errors
/// 22023 beyond the largest size; those of writing.
pub async fn write(
    tables: &Tables,
    (oid, offset): (u32, i64),
    bytes: &[u8],
    execution: &mut Execution,
) -> Result<()> {
    let end = offset.saturating_add(bytes.len() as i64);
    if offset < 0 || end > BYTES_MAX {
        let message = format!("invalid large object write request size: {}", bytes.len());
        return Err(SqlError::invalid_parameter(message));
    }
    let mut rest = bytes;
    let mut at = offset;
    while !rest.is_empty() {
        let (page, within) = (at / PAGE_BYTES, (at % PAGE_BYTES) as usize);
        let taken = rest.len().min(PAGE_BYTES as usize - within);
        write_page(tables, (oid, page), within, &rest[..taken], execution).await?;
        rest = &rest[taken..];
        at += taken as i64;
        execution.breathe().await?;
    }
    Ok(())
}

/// A page's row as it is now, under its lock, and what is in it.
async fn locked_page(
    tables: &Tables,
    key: &[u8],
    execution: &mut Execution,
) -> Result<(Option<Vec<Datum>>, Vec<u8>)> {
    tables.pages.lock_found(key, LockMode::NoKeyUpdate, execution).await?;
    let old = row(&tables.pages, key, View::Latest, execution).await?;
    let content = match old.as_deref() {
        Some([_, _, Datum::Bytes(content)]) => content.to_vec(),
        _ => Vec::new(),
    };
    Ok((old, content))
}

async fn write_page(
    tables: &Tables,
    (oid, page): (u32, i64),
    within: usize,
    bytes: &[u8],
    execution: &mut Execution,
) -> Result<()> {
    let place = [Datum::Oid(oid), Datum::Int32(number(page))];
    let key = key_of(&tables.pages, &place);
    let (old, mut content) = locked_page(tables, &key, execution).await?;
    content.resize(content.len().max(within + bytes.len()), 0);
    content[within..within + bytes.len()].copy_from_slice(bytes);
    put_page(tables, place, &key, old, content, execution).await
}

async fn put_page(
    tables: &Tables,
    [oid, page]: [Datum; 2],
    key: &[u8],
    old: Option<Vec<Datum>>,
    content: Vec<u8>,
    execution: &mut Execution,
) -> Result<()> {
    let new = [oid, page, Datum::Bytes(content.into())];
    match old {
        Some(old) => {
            tables.pages.update(OldRow { key, values: &old, is_newest: false }, &new, execution).await
        }
        None => tables.pages.insert(&new, execution).await,
    }
}

/// Removes what an object has from some byte on.
async fn cut(tables: &Tables, oid: u32, length: i64, execution: &mut Execution) -> Result<()> {
    let first = (length + PAGE_BYTES - 1) / PAGE_BYTES;
    loop {
        const PAGES_AT_ONCE: usize = 256;
        let range = range(tables, oid, first);
        let block = pages(tables, range, false, PAGES_AT_ONCE, View::Latest, execution).await?;
        if block.is_empty() {
            return Ok(());
        }
        for (page, content) in block {
            let values = [Datum::Oid(oid), Datum::Int32(number(page)), Datum::Bytes(content.into())];
            let key = key_of(&tables.pages, &values[..2]);
            tables.pages.delete(OldRow { key: &key, values: &values, is_newest: false }, execution).await?;
        }
        execution.breathe().await?;
    }
}

/// Makes an object as long as is said: it loses its end, or gets zeros there.
///
/// # Errors
/// 22023 for lengths that none can have; those of writing.
pub async fn truncate(tables: &Tables, oid: u32, length: i64, execution: &mut Execution) -> Result<()> {
    if !(0..=BYTES_MAX).contains(&length) {
        let message = format!("invalid large object truncation target: {length}");
        return Err(SqlError::invalid_parameter(message));
    }
    let (page, within) = (length / PAGE_BYTES, (length % PAGE_BYTES) as usize);
    cut(tables, oid, length, execution).await?;
    if within == 0 && page == 0 {
        return Ok(());
    }
    // As in PostgreSQL, the last page tells the length, be it empty.
    let place = [Datum::Oid(oid), Datum::Int32(number(page))];
    let key = key_of(&tables.pages, &place);
    let (old, mut content) = locked_page(tables, &key, execution).await?;
    content.resize(within, 0);
    put_page(tables, place, &key, old, content, execution).await
}

/// 25006 where the past is read: nothing can be written there.
pub fn check_may_write(what: &str, execution: &Execution) -> Result<()> {
    let as_of = execution.environment.catalog.table(PG_LARGEOBJECT_METADATA);
    if as_of.is_some_and(|entry| entry.as_of.is_some()) {
        let message = format!("cannot execute {what}() in a read-only transaction");
        return Err(SqlError::new(SqlState::READ_ONLY_SQL_TRANSACTION, message));
    }
    Ok(())
}
