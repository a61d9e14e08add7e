//! Cursors: the rows of a query under a name, to go through in both directions.
//!
//! All rows are computed when the cursor is declared, and gathered within `work_mem`. So it sees nothing of what happens later, and WITH HOLD needs no
//! more than to keep it.

use std::sync::Arc;

use super::portal::Given;
use super::{ListedCursor, Session, Step};
use crate::binder::{ResultColumn, name};
use crate::error::{Result, SqlError, SqlState};
use crate::execute::{QueryMemory, RowStore};
use crate::parser::{Declare, Direction, Fetch};
use crate::value::Batch;

/// One cursor.
pub(super) struct Cursor {
    pub(super) columns: Vec<ResultColumn>,
    rows: RowStore,
    count: i64,
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
    /// Where a direction leads.
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
            return Err(SqlError::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "cursor can only scan forward",
            )
            .with_hint("Declare it with SCROLL option to enable backward scan."));
        }
        self.position = movement.position;
        let count = (movement.to - movement.from + 1).max(0);
        let rows = if wants_rows { self.rows(&movement).await? } else { Vec::new() };
        Ok((count, rows))
    }

    async fn rows(&self, movement: &Movement) -> Result<Vec<Batch>> {
        let mut wanted = Vec::new();
        let (mut first, mut block) = (1, 0);
        while let Some(count) = self.rows.rows_of(block) {
            let last = first + count as i64 - 1;
            let (from, to) = (movement.from.max(first), movement.to.min(last));
            if from <= to
                && let Some(batch) = self.rows.read(block).await?
            {
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

fn unknown(cursor: &str) -> SqlError {
    SqlError::new(SqlState::INVALID_CURSOR_NAME, format!("cursor \"{cursor}\" does not exist"))
}

impl Session {
    /// The columns that FETCH gives.
    pub(super) fn cursor_columns(&self, fetch: &Fetch) -> Option<Vec<ResultColumn>> {
        let cursor = self.cursors.get(&name::fold(&fetch.name))?;
        (!fetch.moves_only).then(|| cursor.columns.clone())
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
        if self.cursors.contains_key(&cursor) {
            let message = format!("cursor \"{cursor}\" already exists");
            return Err(SqlError::new(SqlState::DUPLICATE_CURSOR, message));
        }
        let prepared = self.prepare(&declare.text, Vec::new()).await?;
        let columns = prepared.columns.clone().unwrap_or_default();
        let mut portal = self.bind(prepared, Vec::new())?;
        let memory = Arc::new(QueryMemory::new(&self.settings));
        let mut rows = RowStore::in_account(self.engine.store(), &memory);
        let (mut rows_max, mut count) = (None, 0);
        while let Step::Rows(batch) = self.step(&mut portal, &mut rows_max).await? {
            count += batch.row_count as i64;
            rows.push(batch).await?;
        }
        rows.finish().await?;
        let savepoints = self.savepoint_count();
        let forward_only = declare.scroll == Some(false);
        let made = Cursor {
            columns,
            rows,
            count,
            position: 0,
            forward_only,
            hold: declare.hold,
            held: false,
            failed: false,
            savepoints,
        };
        self.listing.add_cursor(ListedCursor {
            name: cursor.clone(),
            text: text.to_string(),
            since: self.now(),
            is_holdable: declare.hold,
            is_binary: declare.binary,
            is_scrollable: !forward_only,
        });
        self.cursors.insert(cursor, made);
        Ok(Given { batches: Vec::new(), tag: "DECLARE CURSOR".into() })
    }

    pub(super) async fn fetch_cursor(&mut self, fetch: &Fetch) -> Result<Given> {
        let wanted = name::fold(&fetch.name);
        let cursor = self.cursors.get_mut(&wanted).ok_or_else(|| unknown(&wanted))?;
        if cursor.failed {
            return Err(SqlError::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("portal \"{wanted}\" cannot be run"),
            ));
        }
        let gone = cursor.go(fetch.direction, !fetch.moves_only).await;
        cursor.failed = gone.is_err();
        let (count, batches) = gone?;
        let verb = if fetch.moves_only { "MOVE" } else { "FETCH" };
        Ok(Given { batches, tag: format!("{verb} {count}") })
    }

    pub(super) fn close_cursor(&mut self, cursor: Option<&sqlparser::ast::Ident>) -> Result<Given> {
        let tag = match cursor {
            None => {
                self.cursors.clear();
                self.list_cursors();
                "CLOSE CURSOR ALL"
            }
            Some(cursor) => {
                let wanted = name::fold(cursor);
                self.cursors.remove(&wanted).ok_or_else(|| unknown(&wanted))?;
                self.list_cursors();
                "CLOSE CURSOR"
            }
        };
        Ok(Given { batches: Vec::new(), tag: tag.into() })
    }

    /// At the end of a transaction: what it made goes with it, but for what it holds when it commits.
    pub(super) fn end_cursors(&mut self, committed: bool) {
        if self.cursors.is_empty() {
            return;
        }
        self.cursors.retain(|_, cursor| cursor.held || (committed && cursor.hold));
        self.cursors.values_mut().for_each(|cursor| cursor.held = true);
        self.list_cursors();
    }

    /// Takes the cursors that are gone off the list.
    pub(super) fn list_cursors(&self) {
        self.listing.cursors.lock().retain(|listed| self.cursors.contains_key(&listed.name));
    }

    /// Back at a savepoint: what was made after it goes.
    pub(super) fn cursors_back_to(&mut self, savepoints: usize) {
        self.cursors.retain(|_, cursor| cursor.held || cursor.savepoints < savepoints);
        self.list_cursors();
    }
}
