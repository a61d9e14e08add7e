//! Descriptors: large objects that a transaction has open, each at some place.

use helios_mvcc::ReadPoint;
use parking_lot::Mutex;

use super::tables::Tables;
use crate::error::{Result, SqlError, SqlState};

/// How many may be open at once.
const OPEN_MAX: usize = 100_000;

/// Flags of `lo_open`.
const WRITE: i32 = 0x2_0000;
const READ: i32 = 0x4_0000;

/// A large object that is open.
#[derive(Clone, Copy)]
pub struct Descriptor {
    pub oid: u32,
    pub offset: i64,
    pub writes: bool,
}

impl Descriptor {
    /// One that was just opened.
    ///
    /// # Errors
    /// 22023 for flags that say nothing.
    pub fn opened(oid: u32, mode: i32) -> Result<Descriptor> {
        if mode & (READ | WRITE) == 0 {
            let message = format!("invalid flags for opening a large object: {mode}");
            return Err(SqlError::invalid_parameter(message));
        }
        Ok(Descriptor { oid, offset: 0, writes: mode & WRITE != 0 })
    }
}

/// What a session has open. It shares this with its statements, and forgets it when its transaction ends.
#[derive(Default)]
pub struct Descriptors {
    open: Mutex<Vec<Option<(Descriptor, usize)>>>,
    /// The tables that the running statement has made, by the transaction and what it reads.
    pub(super) made: Mutex<Option<((u64, ReadPoint), Tables)>>,
    /// How many savepoints there are.
    savepoints: Mutex<usize>,
}

impl std::fmt::Debug for Descriptors {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} open", self.open.lock().iter().flatten().count())
    }
}

fn unknown(number: i32) -> SqlError {
    SqlError::new(SqlState::UNDEFINED_OBJECT, format!("invalid large-object descriptor: {number}"))
}

impl Descriptors {
    /// Gives a new one its number, the first that is free.
    ///
    /// # Errors
    /// 54000 for too many.
    pub fn add(&self, descriptor: Descriptor) -> Result<i32> {
        let mut open = self.open.lock();
        let at = open.iter().position(Option::is_none).unwrap_or(open.len());
        if at >= OPEN_MAX {
            let message = "too many large objects are open";
            return Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        let entry = Some((descriptor, *self.savepoints.lock()));
        if at == open.len() {
            open.push(entry)
        } else {
            open[at] = entry
        }
        Ok(i32::try_from(at).unwrap_or(i32::MAX))
    }

    /// The one of a number.
    ///
    /// # Errors
    /// 42704.
    pub fn get(&self, number: i32) -> Result<Descriptor> {
        let open = self.open.lock();
        let found = usize::try_from(number).ok().and_then(|at| *open.get(at)?);
        found.map(|(descriptor, _)| descriptor).ok_or_else(|| unknown(number))
    }

    /// Moves one.
    pub fn seek(&self, number: i32, offset: i64) {
        let mut open = self.open.lock();
        let found = usize::try_from(number).ok().and_then(|at| open.get_mut(at));
        if let Some(Some((descriptor, _))) = found {
            descriptor.offset = offset;
        }
    }

    /// Closes one.
    ///
    /// # Errors
    /// 42704.
    pub fn close(&self, number: i32) -> Result<()> {
        let mut open = self.open.lock();
        let found = usize::try_from(number).ok().and_then(|at| open.get_mut(at));
        found.and_then(Option::take).map(|_| ()).ok_or_else(|| unknown(number))
    }

    /// Closes those of an object that goes.
    pub fn close_object(&self, oid: u32) {
        let is_of = |entry: &Option<(Descriptor, usize)>| entry.is_some_and(|(each, _)| each.oid == oid);
        self.open.lock().iter_mut().filter(|entry| is_of(entry)).for_each(|entry| *entry = None);
    }

    /// The transaction has ended.
    pub fn clear(&self) {
        self.open.lock().clear();
        *self.made.lock() = None;
        *self.savepoints.lock() = 0;
    }

    /// Says how many savepoints there are before the next statement; those that were opened behind one that was rolled
    /// back are closed.
    pub fn set_savepoints(&self, count: usize, rolled_back: bool) {
        *self.savepoints.lock() = count;
        *self.made.lock() = None;
        let mut open = self.open.lock();
        for entry in open.iter_mut() {
            match entry {
                Some((_, made)) if *made > count && rolled_back => *entry = None,
                Some((_, made)) => *made = (*made).min(count),
                None => {}
            }
        }
    }
}
