//! A disk that fails on demand, for crash tests: deterministic from its seed.
//!
//! The fault model
//! 1. **A write is visible at once and durable after a completed [`File::sync`] of its file.** The
//!    device keeps both states, and between them the list of unsynced changes.
//! 2. **A power cut** settles each unsynced change on its own: kept, lost, or torn into 512-byte
//!    sectors of which any subset arrives; in order or shuffled. A lost write may still leave the
//!    file longer, with zeros. A sector is never torn, and nothing that was synced is touched.
//!    One cut in eight keeps everything and one in eight loses everything, so that these plain
//!    cases are seen often.
//! 3. **Names.** Creations, renames and removals are durable after [`Device::sync_folder`], which a
//!    file's own sync does not replace. A power cut keeps any subset of the unsynced ones, in their
//!    order; each is atomic. A file whose name is lost is lost with all its synced contents.
//! 4. **Injected faults** hit the Nth call, every call of the device and its files being counted
//!    from 1, each member of a batch on its own. An error leaves of a write any subset of sectors;
//!    a full disk leaves a prefix of whole blocks; both leave folder calls, resizing and holes
//!    undone. A crash may find the call done: its change counts among the unsynced ones, as does
//!    the rest of its batch.
//! 5. **A failed sync loses data silently**, as in Linux: the unsynced changes settle as in a power
//!    cut, stay visible to readers, and a later sync succeeds without writing them.
//! 6. **After a crash** every call fails with an error that [`is_simulated_crash`] knows, until
//!    [`SimulatedDevice::restart`] gives a new device over what survived.
//! 7. **Reads** return flipped bits at a chosen rate per block, of the returned copy only; what lies
//!    on the disk is damaged by [`SimulatedDevice::flip_bit`].
//!
//! Not modelled: misdirected reads and writes, and damage to sectors beside a torn write.

mod image;
#[cfg(test)]
mod tests;
mod world;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_lite::future::yield_now;
use parking_lot::Mutex;

use self::image::Change;
use self::world::{FileId, World};
use super::checks::{assert_aligned, assert_batch_aligned, check_name};
use super::{Device, File, IoBuf, IoFuture, OpenMode};

/// What happens to a chosen call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InjectedFault {
    /// The call fails with EIO.
    Error,
    /// The call fails with ENOSPC.
    NoSpace,
    /// The power goes during the call.
    Crash,
}

impl InjectedFault {
    fn error(self) -> io::Error {
        match self {
            InjectedFault::Error => io::Error::from_raw_os_error(libc::EIO),
            InjectedFault::NoSpace => io::Error::from_raw_os_error(libc::ENOSPC),
            InjectedFault::Crash => SimulatedCrash::error(),
        }
    }
}

/// The error of every call after a crash.
#[derive(Debug)]
struct SimulatedCrash;

impl SimulatedCrash {
    fn error() -> io::Error {
        io::Error::other(SimulatedCrash)
    }
}

impl std::fmt::Display for SimulatedCrash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the simulated device has crashed")
    }
}

impl std::error::Error for SimulatedCrash {}

/// Whether an error, or one of its sources, says that a simulated device has crashed.
pub fn is_simulated_crash(error: &io::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = error.get_ref().map(|inner| inner as _);
    while let Some(error) = cause {
        if error.is::<SimulatedCrash>() || error.downcast_ref::<io::Error>().is_some_and(is_simulated_crash) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A folder on a disk that fails on demand. Clones share the disk.
#[derive(Clone)]
pub struct SimulatedDevice {
    disk: Arc<Disk>,
}

struct Disk {
    world: Mutex<World>,
    delay_turns_max: AtomicU32,
}

impl SimulatedDevice {
    /// An empty folder, whose faults and corruptions follow from `seed`.
    pub fn new(seed: u64) -> SimulatedDevice {
        SimulatedDevice::over(World::new(seed))
    }

    fn over(world: World) -> SimulatedDevice {
        let delay_turns_max = AtomicU32::new(0);
        SimulatedDevice { disk: Arc::new(Disk { world: Mutex::new(world), delay_turns_max }) }
    }

    /// The calls made so far, to this device and its files.
    pub fn calls(&self) -> u64 {
        self.disk.world.lock().calls()
    }

    /// Makes call number `call` meet a fault; the first call after [`SimulatedDevice::new`] or
    /// [`SimulatedDevice::restart`] has number 1.
    ///
    /// # Panics
    /// When that many calls have been made already.
    pub fn fail_call(&self, call: u64, fault: InjectedFault) {
        self.disk.world.lock().inject(call, fault);
    }

    /// Flips one bit in about this many of a million blocks read.
    pub fn flip_bits_in_reads(&self, per_million_blocks: u32) {
        self.disk.world.lock().flips_per_million_blocks = per_million_blocks;
    }

    /// Flips bit 0–7 of a byte on the disk, for good.
    ///
    /// # Errors
    /// `NotFound` when there is no such file.
    pub fn flip_bit(&self, name: &str, byte_offset: u64, bit: u8) -> io::Result<()> {
        self.disk.world.lock().flip_bit(name, byte_offset, bit)
    }

    /// Lets futures of reads, writes and syncs wait a random number of polls, at most `turns_max`,
    /// before they act, so that concurrent ones overtake each other. Initially 0: they are ready at
    /// the first poll.
    pub fn delay_up_to(&self, turns_max: u32) {
        self.disk.delay_turns_max.store(turns_max, Ordering::Relaxed);
    }

    /// Cuts the power: every later call fails, and `seed` decides what survives. A second crash
    /// changes nothing.
    pub fn crash(&self, seed: u64) {
        self.disk.world.lock().crash(seed);
    }

    /// Whether a crash has happened, by [`SimulatedDevice::crash`] or by an injected fault.
    pub fn is_crashed(&self) -> bool {
        self.disk.world.lock().crash_seed().is_some()
    }

    /// What a power cut at this moment would leave behind, as a device of its own; this one goes
    /// on undisturbed. Different seeds give different fates of what is unsynced.
    pub fn survivor(&self, seed: u64) -> SimulatedDevice {
        SimulatedDevice::over(self.disk.world.lock().after_power_cut(seed))
    }

    /// Ends this device and gives a new one over what survived: after a crash, what its seed left;
    /// without one, everything, as when only the process was killed.
    pub fn restart(&self) -> SimulatedDevice {
        let mut world = self.disk.world.lock();
        let next = match world.crash_seed() {
            Some(seed) => world.after_power_cut(seed),
            None => world.after_process_kill(),
        };
        world.crash(0);
        SimulatedDevice::over(next)
    }
}

impl Device for SimulatedDevice {
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        check_name(name)?;
        let file = self.disk.world.lock().open(name, mode)?;
        Ok(Arc::new(SimulatedFile { disk: self.disk.clone(), file, writable: mode != OpenMode::Read }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.world.lock().list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        check_name(name)?;
        self.disk.world.lock().remove(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        check_name(from)?;
        check_name(to)?;
        self.disk.world.lock().rename(from, to)
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.disk.world.lock().sync_folder()
    }

    fn lock(&self) -> io::Result<Box<dyn Send + Sync>> {
        let mut world = self.disk.world.lock();
        world.begin_harmless()?;
        if std::mem::replace(&mut world.locked, true) {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "the simulated folder is in use"));
        }
        Ok(Box::new(FolderLock { disk: self.disk.clone() }))
    }

    /// True: what was synced outlives a crash.
    fn is_durable(&self) -> bool {
        true
    }

    fn kind(&self) -> &'static str {
        "simulated"
    }
}

struct FolderLock {
    disk: Arc<Disk>,
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        self.disk.world.lock().locked = false;
    }
}

struct SimulatedFile {
    disk: Arc<Disk>,
    file: FileId,
    writable: bool,
}

impl SimulatedFile {
    /// A future that waits its random turns and then acts on the world.
    fn act<T>(&self, action: impl FnOnce(&mut World) -> io::Result<T> + Send + 'static) -> IoFuture<T> {
        let disk = self.disk.clone();
        Box::pin(async move {
            let turns_max = disk.delay_turns_max.load(Ordering::Relaxed);
            if turns_max > 0 {
                let turns = disk.world.lock().delay_turns(turns_max);
                for _ in 0..turns {
                    yield_now().await;
                }
            }
            action(&mut disk.world.lock())
        })
    }

    fn change(&self, change: Change) -> io::Result<()> {
        let mut world = self.disk.world.lock();
        if !self.writable {
            return Err(world.refuse_read_only());
        }
        world.resize_or_punch(self.file, change)
    }
}

impl File for SimulatedFile {
    fn read_at(&self, mut buf: IoBuf, offset: u64) -> IoFuture<IoBuf> {
        assert_aligned(offset, buf.len());
        let file = self.file;
        self.act(move |world| {
            world.read(file, &mut buf, offset)?;
            Ok(buf)
        })
    }

    fn read_batch(&self, reads: Vec<(u64, IoBuf)>) -> IoFuture<Vec<IoBuf>> {
        assert_batch_aligned(&reads);
        let file = self.file;
        self.act(move |world| {
            let read_one = |(offset, mut buf): (u64, IoBuf)| {
                world.read(file, &mut buf, offset)?;
                Ok(buf)
            };
            reads.into_iter().map(read_one).collect()
        })
    }

    fn write_at(&self, buf: IoBuf, offset: u64) -> IoFuture<IoBuf> {
        assert_aligned(offset, buf.len());
        let (file, writable) = (self.file, self.writable);
        self.act(move |world| {
            if !writable {
                return Err(world.refuse_read_only());
            }
            world.write(file, &buf, offset)?;
            Ok(buf)
        })
    }

    fn write_batch(&self, writes: Vec<(u64, IoBuf)>) -> IoFuture<Vec<IoBuf>> {
        assert_batch_aligned(&writes);
        let (file, writable) = (self.file, self.writable);
        self.act(move |world| {
            if !writable {
                return Err(world.refuse_read_only());
            }
            let mut outcome = Ok(());
            for (offset, buf) in &writes {
                if outcome.is_ok() {
                    outcome = world.write(file, buf, *offset);
                } else if outcome.as_ref().is_err_and(is_simulated_crash) {
                    world.write_in_flight(file, buf, *offset);
                }
            }
            outcome.map(|()| writes.into_iter().map(|(_, buf)| buf).collect())
        })
    }

    fn sync(&self) -> IoFuture<()> {
        let file = self.file;
        self.act(move |world| world.sync(file))
    }

    fn size(&self) -> io::Result<u64> {
        self.disk.world.lock().size(self.file)
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.change(Change::SetSize(bytes))
    }

    fn punch_hole(&self, offset: u64, length_bytes: u64) -> io::Result<()> {
        assert_aligned(offset, usize::try_from(length_bytes).expect("a hole fits the address space"));
        self.change(Change::PunchHole { offset, length_bytes })
    }
}
