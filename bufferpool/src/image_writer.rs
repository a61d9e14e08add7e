//! Writing images to free places of the data file.
//!
//! 1. [`ImageWriter::add`] gives an image its place at once, in a reserved run of blocks, and keeps its bytes until
//!    about a megabyte is together, which is then written as one batch.
//! 2. [`ImageWriter::finish`] writes the rest. A writer that is dropped before gives all its places back, so whoever
//!    fails in the middle leaves no trace.
//!
//! 3. A writer that is dropped while a batch is being written does not give the blocks of that batch back: the device
//!    may still write to them. They are found to be free at the next open.
//!
//! Invariant: only blocks that nothing lives in are written; they are marked before anybody else can take them.

use helios_runtime::IoBuf;
use helios_runtime::device::{BLOCK_SIZE, File};
use parking_lot::Mutex;

use crate::error::Result;
use crate::extents::{Extent, Extents, Run};

/// The largest single write, and about what a writer keeps in memory, bytes.
const BATCH_BYTES: usize = 1 << 20;

/// Gives images their places and writes them.
pub(crate) struct ImageWriter<'a> {
    file: &'a dyn File,
    extents: &'a Mutex<Extents>,
    run: Option<(Run, Vec<u8>)>,
    /// Runs that are full, to be written.
    full: Vec<(Run, IoBuf)>,
    full_bytes: usize,
    /// Runs being written.
    in_flight: Vec<Run>,
    placed: Vec<Extent>,
    /// About how many bytes are still to come.
    expected_bytes: usize,
}

impl<'a> ImageWriter<'a> {
    /// A writer of about `expected_bytes`.
    pub(crate) fn new(
        file: &'a dyn File,
        extents: &'a Mutex<Extents>,
        expected_bytes: usize,
    ) -> ImageWriter<'a> {
        let (full, in_flight, placed) = (Vec::new(), Vec::new(), Vec::new());
        ImageWriter { file, extents, run: None, full, full_bytes: 0, in_flight, placed, expected_bytes }
    }

    /// Gives an image its place.
    ///
    /// # Errors
    /// Those of writing earlier ones.
    pub(crate) async fn add(&mut self, image: &[u8]) -> Result<Extent> {
        let extent = match self.try_place(image) {
            Some(extent) => extent,
            None => {
                self.close_run();
                if self.full_bytes >= BATCH_BYTES {
                    self.flush().await?;
                }
                let least = image.len().div_ceil(BLOCK_SIZE);
                let wanted = self.expected_bytes.min(BATCH_BYTES).div_ceil(BLOCK_SIZE);
                let run = self.extents.lock().reserve_run(wanted, least);
                self.run = Some((run, Vec::with_capacity(run.blocks * BLOCK_SIZE)));
                self.try_place(image).expect("the run has room for the image it was made for")
            }
        };
        self.expected_bytes = self.expected_bytes.saturating_sub(image.len());
        Ok(extent)
    }

    fn try_place(&mut self, image: &[u8]) -> Option<Extent> {
        let (run, bytes) = self.run.as_mut()?;
        let in_block = bytes.len() % BLOCK_SIZE;
        let straddles = in_block != 0 && in_block + image.len() > BLOCK_SIZE;
        let start = if straddles { bytes.len().next_multiple_of(BLOCK_SIZE) } else { bytes.len() };
        if start + image.len() > run.blocks * BLOCK_SIZE {
            return None;
        }
        bytes.resize(start, 0);
        bytes.extend_from_slice(image);
        let extent = Extent { offset: run.offset + start as u64, length_bytes: image.len() as u32 };
        self.extents.lock().mark(extent);
        self.placed.push(extent);
        Some(extent)
    }

    fn close_run(&mut self) {
        if let Some((run, bytes)) = self.run.take() {
            self.full_bytes += bytes.len();
            self.full.push((run, IoBuf::from_slice(&bytes)));
        }
    }

    async fn flush(&mut self) -> Result<()> {
        let full = std::mem::take(&mut self.full);
        self.full_bytes = 0;
        self.in_flight = full.iter().map(|(run, _)| *run).collect();
        let mut writes: Vec<_> = full.into_iter().map(|(run, buffer)| (run.offset, buffer)).collect();
        let result = match writes.len() {
            0 => return Ok(()),
            1 => {
                let (offset, buffer) = writes.remove(0);
                self.file.write_at(buffer, offset).await.map(|_| ())
            }
            _ => self.file.write_batch(writes).await.map(|_| ()),
        };
        let mut extents = self.extents.lock();
        self.in_flight.drain(..).for_each(|run| extents.end_run(run));
        Ok(result?)
    }

    /// Writes what is left. The places are the caller's from then on.
    ///
    /// # Errors
    /// Those of the device; all places are free again then.
    pub(crate) async fn finish(mut self) -> Result<()> {
        self.close_run();
        self.flush().await?;
        self.placed.clear();
        Ok(())
    }
}

impl Drop for ImageWriter<'_> {
    fn drop(&mut self) {
        let mut extents = self.extents.lock();
        let open = self.run.take().map(|(run, _)| run);
        self.full.drain(..).map(|(run, _)| run).chain(open).for_each(|run| extents.end_run(run));
        let in_flight = &self.in_flight;
        let is_in_flight = |extent: Extent| {
            let ends = |run: &Run| run.offset + (run.blocks * BLOCK_SIZE) as u64;
            in_flight.iter().any(|run| run.offset <= extent.offset && extent.offset < ends(run))
        };
        self.placed
            .drain(..)
            .filter(|extent| !is_in_flight(*extent))
            .for_each(|extent| extents.release(extent));
    }
}
