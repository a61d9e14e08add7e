//! The files of the log: segments of equal size, zero-filled when made, reused under a new name when the log in
//! them is no longer needed. Zero-filled and reused files make an append and its fdatasync half as slow as
//! merely allocated ones, because no file metadata changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use helios_runtime::device::{BLOCK_SIZE, Device, File};
use helios_runtime::{IoBuf, OpenMode};

use crate::error::Result;

/// Bytes zeroed per write when a segment is made.
const ZERO_BYTES: usize = 1 << 20;
/// Segments kept for reuse beyond those in use.
const SPARE_MAX: usize = 4;

/// The name of a segment's file.
pub(crate) fn file_name(number: u64) -> String {
    format!("log-{number:016x}")
}

/// Whether a file is one of the log's.
pub(crate) fn is_segment(name: &str) -> bool {
    parse_name(name).is_some()
}

fn parse_name(name: &str) -> Option<u64> {
    u64::from_str_radix(name.strip_prefix("log-")?, 16).ok()
}

/// The segments of a folder. Block `lsn` of the log lies in segment `lsn / blocks_per_segment`.
pub(crate) struct Segments {
    device: Arc<dyn Device>,
    blocks_per_segment: u64,
    files: BTreeMap<u64, Arc<dyn File>>,
    spare: Vec<u64>,
}

impl Segments {
    /// Opens what segments there are.
    pub(crate) fn open(device: Arc<dyn Device>, segment_bytes: u64) -> Result<Segments> {
        let mut files: BTreeMap<u64, Arc<dyn File>> = BTreeMap::new();
        for name in device.list()? {
            if let Some(number) = parse_name(&name) {
                files.insert(number, device.open(&name, OpenMode::ReadWrite)?);
            }
        }
        Ok(Segments {
            device,
            blocks_per_segment: segment_bytes / BLOCK_SIZE as u64,
            files,
            spare: Vec::new(),
        })
    }

    /// The segment of a block, and the block's offset in it.
    pub(crate) fn place(&self, lsn: u64) -> (u64, u64) {
        (lsn / self.blocks_per_segment, lsn % self.blocks_per_segment * BLOCK_SIZE as u64)
    }

    pub(crate) fn blocks_per_segment(&self) -> u64 {
        self.blocks_per_segment
    }

    /// Blocks from `lsn` to the end of its segment.
    pub(crate) fn blocks_left(&self, lsn: u64) -> u64 {
        self.blocks_per_segment - lsn % self.blocks_per_segment
    }

    /// The first block of the segment after the one of `lsn`.
    pub(crate) fn next_segment_lsn(&self, lsn: u64) -> u64 {
        (lsn / self.blocks_per_segment + 1) * self.blocks_per_segment
    }

    /// The file of a segment, if there is one.
    pub(crate) fn file(&self, number: u64) -> Option<&Arc<dyn File>> {
        self.files.get(&number)
    }

    /// The largest segment number there is.
    pub(crate) fn last_number(&self) -> Option<u64> {
        self.files.last_key_value().map(|entry| *entry.0)
    }

    /// Makes sure that a segment exists.
    ///
    /// # Errors
    /// Those of the device, a full one above all; the log is as before then.
    pub(crate) async fn ensure(&mut self, number: u64) -> Result<()> {
        if self.files.contains_key(&number) {
            return Ok(());
        }
        let name = file_name(number);
        if let Some(spare) = self.spare.pop() {
            self.device.rename(&file_name(spare), &name)?;
            self.device.sync_folder()?;
            if let Some(file) = self.files.remove(&spare) {
                self.files.insert(number, file);
            }
            return Ok(());
        }
        // A crash in the middle leaves a file that is no log segment by its name, removed at the next open.
        let partial = format!("{name}.new");
        let _ = self.device.remove(&partial);
        let file = self.device.open(&partial, OpenMode::CreateNew)?;
        if let Err(error) = self.fill(&*file).await {
            let _ = self.device.remove(&partial);
            return Err(error);
        }
        self.device.rename(&partial, &name)?;
        self.device.sync_folder()?;
        // The handle's file was renamed; open it under its name, so that errors tell the right one.
        self.files.insert(number, self.device.open(&name, OpenMode::ReadWrite)?);
        Ok(())
    }

    /// [`Segments::ensure`] for the first segment of a life. One that is there already may have been made by a start that failed when its name
    /// was to become durable, which a later attempt would not mend: so it gets its name once more. Nothing needs it yet.
    ///
    /// # Errors
    /// As [`Segments::ensure`].
    pub(crate) async fn ensure_named(&mut self, number: u64) -> Result<()> {
        if self.files.contains_key(&number) {
            let name = file_name(number);
            let partial = format!("{name}.new");
            self.device.rename(&name, &partial)?;
            self.device.rename(&partial, &name)?;
            self.device.sync_folder()?;
            return Ok(());
        }
        self.ensure(number).await
    }

    async fn fill(&self, file: &dyn File) -> Result<()> {
        let size = self.blocks_per_segment * BLOCK_SIZE as u64;
        let mut offset = 0;
        let mut buffer = IoBuf::zeroed(ZERO_BYTES.min(size as usize));
        while offset < size {
            let length = buffer.len() as u64;
            if offset + length > size {
                buffer = IoBuf::zeroed((size - offset) as usize);
            }
            let written = buffer.len() as u64;
            buffer = file.write_at(buffer, offset).await?;
            offset += written;
        }
        file.sync().await?;
        Ok(())
    }

    /// Says that no block before `lsn` is needed: whole segments before it become spare, or go.
    pub(crate) fn release_before(&mut self, lsn: u64) -> Result<()> {
        let first_needed = lsn / self.blocks_per_segment;
        let old: Vec<u64> = self.files.range(..first_needed).map(|entry| *entry.0).collect();
        for number in old {
            if self.spare.contains(&number) {
                continue;
            }
            if self.spare.len() < SPARE_MAX {
                self.spare.push(number);
            } else {
                self.files.remove(&number);
                self.device.remove(&file_name(number))?;
            }
        }
        Ok(())
    }

    /// Removes leftovers of an interrupted start of a segment.
    pub(crate) fn remove_leftovers(device: &dyn Device) -> Result<()> {
        for name in device.list()? {
            if name.starts_with("log-") && name.ends_with(".new") {
                device.remove(&name)?;
            }
        }
        Ok(())
    }
}
