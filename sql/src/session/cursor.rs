//! Cursors: the rows of a query under a name, to go through in both directions.
//!
//! Rows are computed as they are asked for, with the snapshot of the declaration, and gathered within `work_mem` for the way
//! back. WITH HOLD computes the others when its transaction commits; a cursor that locks rows computes all when it is declared.

use std::sync::Arc;

use helios_mvcc::LockMode;
use parking_lot::Mutex;

use super::portal::{Given, Portal};
use super::prepare::Prepared;
use super::{CursorPlace, ListedCursor, Session, Step, cursor_key};
use crate::binder::{ResultColumn, lock_words, name};
use crate::error::{Result, SqlError, SqlState};
use crate::execute::{QueryMemory, RowStore};
use crate::parser::{Declare, Direction, Fetch};
use crate::plan::physical::PlanNode;
use crate::value::Batch;

/// One cursor.
pub(super) struct Cursor {
    pub(super) columns: Vec<ResultColumn>,
    /// Its rows have one more column than these: the keys of the table's rows.
    has_keys: bool,
    /// What gives further rows, until all are gathered. Never locked: it makes sessions safe to share.
    source: Mutex<Option<Portal>>,
    rows: RowStore,
    /// How many rows are gathered.
    count: i64,
    /// Where the rows that were wanted last begin: a block, and the number of its first row.
    last_block: (usize, i64),
    /// The number of the row it is on: 0 before the first, one more than there are behind the last.
    position: i64,
    /// NO SCROLL: it only goes forward.
    forward_only: bool,
    hold: bool,
    /// Made by a transaction that has committed.
    held: bool,
    /// After an error it gives nothing more.
    failed: bool,
    /// How many savepoints there were when it was made.
    savepoints: usize,
}

/// Rows by number, in the order they are wanted; and where the cursor is then.
struct Movement {
    from: i64,
    to: i64,
    backwards: bool,
    position: i64,
}

impl Cursor {
    /// The last row that must be gathered to go somewhere, or to know that there is none.
    fn wanted(&self, direction: Direction) -> i64 {
        let at = self.position;
        match direction {
            Direction::Forward(Some(rows)) | Direction::Relative(rows) => at.saturating_add(rows),
            Direction::Backward(Some(rows)) => at.saturating_sub(rows),
            Direction::Absolute(row) if row >= 0 => row,
            Direction::Forward(None) | Direction::Absolute(_) => i64::MAX,
            Direction::Backward(None) => 0,
        }
    }

    /// Where a direction leads, if it leads to rows that are gathered, or beyond the last.
    fn movement(&self, direction: Direction) -> Movement {
        let (at, count) = (self.position, self.count);
        let none = |position| Movement { from: 1, to: 0, backwards: false, position };
        let one = |row: i64| {
            if row < 1 {
                none(0)
            } else if row > count {
                none(count + 1)
            } else {
                Movement { from: row, to: row, backwards: row <= at, position: row }
            }
        };
        match direction {
            Direction::Forward(Some(0)) | Direction::Backward(Some(0)) | Direction::Relative(0) => {
                if (1..=count).contains(&at) { one(at) } else { none(at) }
            }
            Direction::Forward(Some(rows)) if rows < 0 => self.movement(Direction::Backward(Some(-rows))),
            Direction::Backward(Some(rows)) if rows < 0 => self.movement(Direction::Forward(Some(-rows))),
            Direction::Forward(rows) => {
                let to = rows.map_or(count + 1, |rows| (at + rows).min(count + 1));
                Movement { from: at + 1, to: to.min(count), backwards: false, position: to.max(at) }
            }
            Direction::Backward(rows) => {
                let to = rows.map_or(0, |rows| (at - rows).max(0));
                Movement { from: to.max(1), to: at - 1, backwards: true, position: to }
            }
            Direction::Absolute(row) if row < 0 => one((count + 1 + row).max(0)),
            Direction::Absolute(row) => one(row),
            Direction::Relative(rows) => one(at + rows),
        }
    }

    /// Goes somewhere; gives the number of rows passed, and the rows.
    async fn go(&mut self, direction: Direction, wants_rows: bool) -> Result<(i64, Vec<Batch>)> {
        let movement = self.movement(direction);
        let returns =
            movement.position < self.position || (movement.backwards && movement.from <= movement.to);
        if self.forward_only && returns {
            return Err(forward_only());
        }
        self.position = movement.position;
        let count = (movement.to - movement.from + 1).max(0);
        let rows = if wants_rows { self.rows(&movement).await? } else { Vec::new() };
        Ok((count, rows))
    }

    /// The key of the row that it is on.
    async fn place(&mut self) -> Result<CursorPlace> {
        let at = self.position;
        if !self.has_keys || self.failed || !(1..=self.count).contains(&at) {
            return Ok(CursorPlace::NoRow);
        }
        let rows = self.rows(&Movement { from: at, to: at, backwards: false, position: at }).await?;
        let key = rows.first().and_then(|row| Some(row.columns.last()?.get(0)));
        Ok(key.map_or(CursorPlace::NoRow, CursorPlace::Row))
    }

    async fn rows(&mut self, movement: &Movement) -> Result<Vec<Batch>> {
        let mut wanted = Vec::new();
        let (mut block, mut first) = self.last_block;
        if movement.from < first {
            (block, first) = (0, 1);
        }
        while first <= movement.to
            && let Some(count) = self.rows.rows_of(block)
        {
            let last = first + count as i64 - 1;
            let (from, to) = (movement.from.max(first), movement.to.min(last));
            if from <= to
                && let Some(batch) = self.rows.read(block).await?
            {
                if wanted.is_empty() {
                    self.last_block = (block, first);
                }
                let mut indices: Vec<u32> = (from..=to).map(|row| (row - first) as u32).collect();
                if movement.backwards {
                    indices.reverse();
                }
                wanted.push(batch.gather(&indices));
            }
            first = last + 1;
            block += 1;
        }
        if movement.backwards {
            wanted.reverse();
        }
        Ok(wanted)
    }
}

/// 55000 for a way back.
pub(super) fn forward_only() -> SqlError {
    SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "cursor can only scan forward")
        .with_hint("Declare it with SCROLL option to enable backward scan.")
}

/// 0A000 for cursors that go back, or outlive their transaction, over rows that are locked.
fn refuse_locks(declare: &Declare, mode: LockMode) -> Result<()> {
    let (what, detail) = match declare {
        Declare { hold: true, .. } => ("DECLARE CURSOR WITH HOLD", "Holdable cursors must be READ ONLY."),
        Declare { scroll: Some(true), .. } => {
            ("DECLARE SCROLL CURSOR", "Scrollable cursors must be READ ONLY.")
        }
        _ => return Ok(()),
    };
    let message = format!("{what} ... {} is not supported", lock_words(mode));
    Err(SqlError::unsupported(message).with_detail(detail))
}

fn unknown(cursor: &str) -> SqlError {
    SqlError::new(SqlState::INVALID_CURSOR_NAME, format!("cursor \"{cursor}\" does not exist"))
}

impl Session {
    /// The columns that FETCH gives.
    pub(super) fn cursor_columns(&self, fetch: &Fetch) -> Option<Vec<ResultColumn>> {
        let wanted = name::fold(&fetch.name);
        let columns = self.cursors.get(&wanted).map(|cursor| cursor.columns.clone());
        let columns = columns.or_else(|| self.portal_columns(&wanted))?;
        (!fetch.moves_only).then_some(columns)
    }

    /// The columns of a cursor's rows, for the protocol, where it is a portal. The name is as it is stored.
    pub fn describe_cursor(&self, name: &str) -> Option<&[ResultColumn]> {
        self.cursors.get(name).map(|cursor| cursor.columns.as_slice())
    }

    /// Closes a cursor, if there is one of that name, as it is stored.
    pub fn forget_cursor(&mut self, name: &str) {
        self.cursors.remove(name);
        self.list_cursors();
    }

    pub(super) async fn declare_cursor(&mut self, declare: &Declare, text: &str) -> Result<Given> {
        if !declare.hold && !self.is_explicit() {
            return Err(SqlError::new(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "DECLARE CURSOR can only be used in transaction blocks",
            ));
        }
        let cursor = name::fold(&declare.name);
        if self.has_portal(&cursor) {
            let message = format!("cursor \"{cursor}\" already exists");
            return Err(SqlError::new(SqlState::DUPLICATE_CURSOR, message));
        }
        let prepared = self.prepare(&declare.text, Vec::new()).await?;
        let columns = prepared.columns.clone().unwrap_or_default();
        if let Some(mode) = prepared.rows_plan().and_then(PlanNode::row_lock) {
            refuse_locks(declare, mode)?;
        }
        let (prepared, table) = self.with_keys(prepared, &declare.text).await;
        let mut portal = self.bind(prepared, Vec::new())?;
        let is_open = self.open(&mut portal).await?;
        let memory = Arc::new(QueryMemory::new(&self.settings));
        let savepoints = self.savepoint_count();
        let forward_only = declare.scroll == Some(false);
        let mut made = Cursor {
            columns,
            has_keys: table.is_some(),
            source: Mutex::new(Some(portal)),
            rows: RowStore::in_account(self.engine.store(), &memory),
            count: 0,
            last_block: (0, 1),
            position: 0,
            forward_only,
            hold: declare.hold,
            held: false,
            failed: false,
            savepoints,
        };
        if !is_open {
            self.gather(&mut made, i64::MAX).await?;
        }
        self.listing.add_cursor(ListedCursor {
            name: cursor.clone(),
            text: text.to_string(),
            since: self.now(),
            is_holdable: declare.hold,
            is_binary: declare.binary,
            is_scrollable: !forward_only,
            is_held: false,
            table,
            place: CursorPlace::NoRow,
        });
        self.cursors.insert(cursor, made);
        Ok(Given { batches: Vec::new(), tag: "DECLARE CURSOR".into() })
    }

    /// A cursor's query with the keys of its rows behind its columns, where it reads one table alone, and that table.
    async fn with_keys(&mut self, prepared: Arc<Prepared>, text: &str) -> (Arc<Prepared>, Option<u32>) {
        let Some(text) = cursor_key::with_key(text) else { return (prepared, None) };
        match self.prepare(&text, Vec::new()).await {
            Ok(keyed) => match keyed.rows_plan().and_then(PlanNode::keyed_table) {
                Some(table) => (keyed, Some(table)),
                None => (prepared, None),
            },
            Err(_) => (prepared, None),
        }
    }

    /// Gathers rows of a cursor up to the one of a number.
    async fn gather(&mut self, cursor: &mut Cursor, wanted: i64) -> Result<()> {
        let Some(portal) = cursor.source.get_mut() else { return Ok(()) };
        let mut has_more = true;
        while cursor.count < wanted && has_more {
            portal.want(usize::try_from(wanted - cursor.count).unwrap_or(usize::MAX));
            match Box::pin(self.step(portal, &mut None)).await? {
                Step::Rows(batch) => {
                    cursor.count += batch.row_count as i64;
                    cursor.rows.push(batch).await?;
                }
                _ => has_more = false,
            }
        }
        if !has_more {
            *cursor.source.get_mut() = None;
        }
        cursor.rows.finish().await
    }

    /// Before a transaction commits: computes what its cursors hold beyond it.
    ///
    /// # Errors
    /// Those of the queries.
    pub(super) async fn hold_cursors(&mut self) -> Result<()> {
        let is_open = |cursor: &Cursor| cursor.hold && !cursor.failed && !cursor.held;
        let open = self.cursors.iter().filter(|(_, cursor)| is_open(cursor));
        for name in open.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            let Some(mut cursor) = self.cursors.remove(&name) else { continue };
            let gathered = self.gather(&mut cursor, i64::MAX).await;
            self.cursors.insert(name, cursor);
            gathered?;
        }
        Ok(())
    }

    pub(super) async fn fetch_cursor(&mut self, fetch: &Fetch) -> Result<Given> {
        let wanted = name::fold(&fetch.name);
        if let Some(given) = self.fetch_portal(&wanted, fetch).await? {
            return Ok(given);
        }
        let mut cursor = self.cursors.remove(&wanted).ok_or_else(|| unknown(&wanted))?;
        let gone = self.go(&mut cursor, fetch, &wanted).await;
        cursor.failed = gone.is_err();
        let place = cursor.place().await;
        let (has_keys, name) = (cursor.has_keys, wanted.clone());
        self.cursors.insert(wanted, cursor);
        let (count, mut batches) = gone?;
        let place = place?;
        if let Some(listed) = self.listing.cursors.lock().iter_mut().find(|listed| listed.name == name) {
            listed.place = place;
        }
        if has_keys {
            batches.iter_mut().for_each(|batch| drop(batch.columns.pop()));
        }
        let verb = if fetch.moves_only { "MOVE" } else { "FETCH" };
        Ok(Given { batches, tag: format!("{verb} {count}") })
    }

    async fn go(&mut self, cursor: &mut Cursor, fetch: &Fetch, name: &str) -> Result<(i64, Vec<Batch>)> {
        if cursor.failed {
            return Err(SqlError::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("portal \"{name}\" cannot be run"),
            ));
        }
        self.gather(cursor, cursor.wanted(fetch.direction)).await?;
        cursor.go(fetch.direction, !fetch.moves_only).await
    }

    pub(super) fn close_cursor(&mut self, cursor: Option<&sqlparser::ast::Ident>) -> Result<Given> {
        let tag = match cursor {
            None => {
                self.cursors.clear();
                self.portals.get_mut().clear();
                self.list_cursors();
                "CLOSE CURSOR ALL"
            }
            Some(cursor) => {
                let wanted = name::fold(cursor);
                if !self.forget_portal(&wanted) {
                    self.cursors.remove(&wanted).ok_or_else(|| unknown(&wanted))?;
                    self.list_cursors();
                }
                "CLOSE CURSOR"
            }
        };
        Ok(Given { batches: Vec::new(), tag: tag.into() })
    }

    /// At the end of a transaction: what it made goes with it, but for what it holds when it commits.
    pub(super) fn end_cursors(&mut self, committed: bool) {
        self.listing.large_objects.clear();
        if self.cursors.is_empty() {
            return;
        }
        self.cursors.retain(|_, cursor| cursor.held || (committed && cursor.hold));
        self.cursors.values_mut().for_each(|cursor| cursor.held = true);
        self.listing.cursors.lock().iter_mut().for_each(|listed| listed.is_held = true);
        self.list_cursors();
    }

    /// Takes the cursors that are gone off the list.
    pub(super) fn list_cursors(&self) {
        self.listing.cursors.lock().retain(|listed| self.has_portal(&listed.name));
    }

    /// Back at a savepoint: what was made after it goes.
    pub(super) fn cursors_back_to(&mut self, savepoints: usize) {
        self.cursors.retain(|_, cursor| cursor.held || cursor.savepoints < savepoints);
        self.list_cursors();
    }
}
