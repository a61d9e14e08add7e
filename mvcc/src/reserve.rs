//! Room for a full disk: a file of zeros that is removed when the data file finds no place.
//!
//! 1. It is made when the folder is opened, and anew after a checkpoint if it was used up and there is room.
//! 2. Once it is gone, commits that do anything but delete or drop are refused ([`Engine::admit_on_full_disk`]): what it left
//!    belongs to those, to undo records and pages that must leave memory, and to the next checkpoint, which makes
//!    log and replaced images reusable. Where the data file itself has room inside, by what was dropped or cut, that is the reserve.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use helios_runtime::device::Device;
use helios_runtime::{IoBuf, OpenMode};

use crate::engine::Engine;
use crate::error::{Error, Result};

const FILE: &str = "reserve";
/// Its size: a 32nd of the cache, within these.
const BYTES_MIN: usize = 1 << 20;
const BYTES_MAX: usize = 16 << 20;

/// Removes the reserve of a folder that is being opened; whether there was one.
pub(crate) fn remove_reserve(device: &dyn Device) -> bool {
    device.remove(FILE).is_ok()
}

impl Engine {
    /// Makes the reserve if there is none. A full disk is no error: the reserve is then missing.
    ///
    /// # Errors
    /// Other errors of the device.
    pub(crate) async fn renew_reserve(&self) -> Result<()> {
        if !self.is_durable || self.file.has_reserve() {
            return Ok(());
        }
        match self.make_reserve().await {
            Ok(()) => {
                let device = self.device.clone();
                self.file.set_reserve(Box::new(move || {
                    tracing::warn!("the disk is full: its reserve is used");
                    device.remove(FILE).is_ok()
                }));
                Ok(())
            }
            Err(error) => {
                // What was made of it would only take room.
                let _ = self.device.remove(FILE);
                if error.is_want_of_space() { Ok(()) } else { Err(error) }
            }
        }
    }

    fn reserve_bytes(&self) -> usize {
        (self.options.cache_size_bytes / 32).clamp(BYTES_MIN, BYTES_MAX).next_multiple_of(4096)
    }

    async fn make_reserve(&self) -> Result<()> {
        let bytes = self.reserve_bytes();
        let file = match self.device.open(FILE, OpenMode::ReadWrite) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.device.open(FILE, OpenMode::CreateNew)?
            }
            opened => opened?,
        };
        let mut offset = file.size()? / 4096 * 4096;
        while offset < bytes as u64 {
            let part = BYTES_MIN.min(bytes - offset as usize);
            file.write_at(IoBuf::zeroed(part), offset).await?;
            offset += part as u64;
        }
        Ok(file.sync().await?)
    }

    /// On a full disk, only commits that do nothing but delete go on, in the room that is left to them, and small ones that give
    /// room: those that drop or empty tables, drop branches, and cut history.
    ///
    /// # Errors
    /// A full disk; other errors of looking whether it still is.
    pub(crate) async fn admit_on_full_disk(
        self: &Arc<Self>,
        needs_room: impl FnOnce() -> bool,
    ) -> Result<()> {
        if !self.is_disk_full() || !needs_room() {
            return Ok(());
        }
        // Perhaps there is room again.
        self.renew_reserve().await?;
        let mut guard = self.lock_pipeline().await;
        if let Some(log) = guard.as_mut().and_then(|state| state.log.as_mut()) {
            log.ensure(1).await?;
            self.log_is_full.store(log.is_full(), Ordering::Relaxed);
        }
        match self.is_disk_full() {
            true => Err(Error::disk_full(
                "until there is room, rows can only be deleted, and tables emptied or dropped",
            )),
            false => Ok(()),
        }
    }

    /// Whether the disk had no room when something was last wanted of it.
    fn is_disk_full(&self) -> bool {
        // Twice the reserve, since a part of it is in pieces that are too small.
        let has_room =
            || self.file.has_reserve() || self.file.free_bytes() >= 2 * self.reserve_bytes() as u64;
        self.is_durable && (self.log_is_full.load(Ordering::Relaxed) || !has_room())
    }

    /// Makes room in memory for what a commit changes before anything is logged or changed for it: in the middle of it a full disk would
    /// end all writing. It changes so many `leaves`, and at most so many pages more (`others`).
    ///
    /// # Errors
    /// A full disk, which refuses that commit alone; other errors of writing.
    pub(crate) async fn make_room_for_commit(&self, leaves: usize, others: usize) -> Result<()> {
        if !self.is_durable {
            return Ok(());
        }
        let too_large =
            || Error::disk_full("for so many rows at once there is no room left: change fewer at a time");
        let pages = leaves + others;
        let made = self.bound_changed(pages).await;
        // Others have few rows that were there before.
        let undo_bytes = leaves.saturating_mul(self.pool.page_size());
        // What goes around the ring's end wants its room twice.
        let undo_max = self.ring.size_bytes() as usize / 4;
        let made = match made {
            Ok(()) if !self.ring.has_room(undo_bytes.min(undo_max)) => self.make_undo_room().await,
            made => made,
        };
        match made {
            Ok(()) if !self.is_disk_full() => Ok(()),
            Err(error) if !error.is_want_of_space() => Err(error),
            // What is in memory is enough for few changes, half of what is kept for reading among it.
            _ if undo_bytes > undo_max || !self.ring.has_room(undo_bytes) => Err(too_large()),
            _ if pages > self.pool.frame_count() / 4 => Err(too_large()),
            _ if self.changed_beyond(self.frames_for_reading() / 2, pages) > 0 => Err(too_large()),
            _ => Ok(()),
        }
    }
}
