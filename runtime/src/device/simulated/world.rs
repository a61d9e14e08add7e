//! The state of a simulated disk: what is visible, what is durable, and what is between.

use std::collections::BTreeMap;
use std::io;

use super::super::checks::{past_end, read_only};
use super::super::{BLOCK_SIZE, OpenMode};
use super::image::{Change, Dice, Image, SECTOR_SIZE};
use super::{InjectedFault, SimulatedCrash};

pub(super) type FileId = u64;

/// One file: its contents as readers see them, as the disk holds them, and the way from the one
/// to the other.
#[derive(Clone, Default)]
struct FileState {
    visible: Image,
    durable: Image,
    pending: Vec<Change>,
}

/// A folder change that no folder sync has made durable yet.
#[derive(Clone)]
enum FolderChange {
    Link { name: String, file: FileId },
    Unlink { name: String },
    Rename { from: String, to: String, file: FileId },
}

type Names = BTreeMap<String, FileId>;

pub(super) struct World {
    seed: u64,
    dice: Dice,
    calls: u64,
    faults: BTreeMap<u64, InjectedFault>,
    pub(super) flips_per_million_blocks: u32,
    /// Set by a crash: the seed that decides what survives it.
    crash_seed: Option<u64>,
    pub(super) locked: bool,
    files: BTreeMap<FileId, FileState>,
    next_file: FileId,
    visible_names: Names,
    durable_names: Names,
    pending_names: Vec<FolderChange>,
}

impl World {
    pub(super) fn new(seed: u64) -> World {
        World {
            seed,
            dice: Dice::new(seed),
            calls: 0,
            faults: BTreeMap::new(),
            flips_per_million_blocks: 0,
            crash_seed: None,
            locked: false,
            files: BTreeMap::new(),
            next_file: 0,
            visible_names: Names::new(),
            durable_names: Names::new(),
            pending_names: Vec::new(),
        }
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls
    }

    pub(super) fn inject(&mut self, call: u64, fault: InjectedFault) {
        assert!(call > self.calls, "call {call} is past: {} were made", self.calls);
        self.faults.insert(call, fault);
    }

    pub(super) fn crash(&mut self, seed: u64) {
        self.crash_seed.get_or_insert(seed);
    }

    pub(super) fn crash_seed(&self) -> Option<u64> {
        self.crash_seed
    }

    /// A number of turns to wait, at most `turns_max`.
    pub(super) fn delay_turns(&mut self, turns_max: u32) -> u32 {
        self.dice.below(u64::from(turns_max) + 1) as u32
    }

    /// Counts a call and says which fault it meets.
    fn begin(&mut self) -> io::Result<Option<InjectedFault>> {
        if self.crash_seed.is_some() {
            return Err(SimulatedCrash::error());
        }
        self.calls += 1;
        let fault = self.faults.remove(&self.calls);
        if fault == Some(InjectedFault::Crash) {
            self.crash_seed = Some(self.seed ^ self.calls.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        }
        Ok(fault)
    }

    /// Counts a call that changes nothing.
    pub(super) fn begin_harmless(&mut self) -> io::Result<()> {
        self.begin()?.map_or(Ok(()), |fault| Err(fault.error()))
    }

    // ---- the folder ----

    pub(super) fn open(&mut self, name: &str, mode: OpenMode) -> io::Result<FileId> {
        let fault = self.begin()?;
        if fault.is_some_and(|fault| fault != InjectedFault::Crash || mode != OpenMode::CreateNew) {
            return Err(fault.map_or_else(SimulatedCrash::error, InjectedFault::error));
        }
        let found = self.visible_names.get(name).copied();
        match (mode, found) {
            (OpenMode::CreateNew, Some(_)) => {
                Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{name} exists already")))
            }
            (OpenMode::CreateNew, None) => {
                let file = self.next_file;
                self.next_file += 1;
                self.files.insert(file, FileState::default());
                self.change_names(FolderChange::Link { name: name.to_owned(), file });
                fault.map_or(Ok(file), |fault| Err(fault.error()))
            }
            (_, found) => found.ok_or_else(|| not_found(name)),
        }
    }

    pub(super) fn list(&mut self) -> io::Result<Vec<String>> {
        self.begin_harmless()?;
        Ok(self.visible_names.keys().cloned().collect())
    }

    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        if !self.visible_names.contains_key(name) {
            self.begin_harmless()?;
            return Err(not_found(name));
        }
        self.change_folder(FolderChange::Unlink { name: name.to_owned() })
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let Some(file) = self.visible_names.get(from).copied() else {
            self.begin_harmless()?;
            return Err(not_found(from));
        };
        self.change_folder(FolderChange::Rename { from: from.to_owned(), to: to.to_owned(), file })
    }

    fn change_folder(&mut self, change: FolderChange) -> io::Result<()> {
        match self.begin()? {
            None => self.change_names(change),
            Some(fault) => {
                // A power cut during the call may find it done; an error says that it was not.
                if fault == InjectedFault::Crash {
                    self.change_names(change);
                }
                return Err(fault.error());
            }
        }
        Ok(())
    }

    fn change_names(&mut self, change: FolderChange) {
        change.apply(&mut self.visible_names);
        self.pending_names.push(change);
    }

    pub(super) fn sync_folder(&mut self) -> io::Result<()> {
        let fault = self.begin()?;
        match fault {
            Some(InjectedFault::Crash) => {}
            None => {
                for change in self.pending_names.drain(..) {
                    change.apply(&mut self.durable_names);
                }
            }
            Some(_) => {
                let pending = std::mem::take(&mut self.pending_names);
                settle_names(&mut self.durable_names, &pending, &mut self.dice);
            }
        }
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    // ---- the files ----

    fn file(&mut self, file: FileId) -> &mut FileState {
        self.files.get_mut(&file).expect("open files are kept")
    }

    pub(super) fn read(&mut self, file: FileId, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.begin_harmless()?;
        let visible = &self.file(file).visible;
        if !visible.read(buf, offset) {
            return Err(past_end("the simulated file", offset, buf.len(), visible.size_bytes()));
        }
        let rate = u64::from(self.flips_per_million_blocks);
        if rate > 0 {
            for block in buf.chunks_exact_mut(BLOCK_SIZE) {
                if self.dice.below(1_000_000) < rate {
                    block[self.dice.below(BLOCK_SIZE as u64) as usize] ^= 1 << self.dice.below(8);
                }
            }
        }
        Ok(())
    }

    pub(super) fn write(&mut self, file: FileId, bytes: &[u8], offset: u64) -> io::Result<()> {
        let fault = self.begin()?;
        let bytes: std::sync::Arc<[u8]> = match fault {
            Some(InjectedFault::NoSpace) => {
                // The disk took a part, then was full.
                let blocks = bytes.len() / BLOCK_SIZE;
                bytes[..self.dice.below(blocks as u64) as usize * BLOCK_SIZE].into()
            }
            _ => bytes.into(),
        };
        if fault == Some(InjectedFault::Error) {
            for (sector, index) in bytes.chunks_exact(SECTOR_SIZE).zip(0u64..) {
                if self.dice.coin() {
                    let offset = offset + index * SECTOR_SIZE as u64;
                    self.change_file(file, Change::Write { offset, bytes: sector.into() });
                }
            }
        } else {
            self.change_file(file, Change::Write { offset, bytes });
        }
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    /// After a crash inside a batch: the rest of it had been handed to the disk as well.
    pub(super) fn write_in_flight(&mut self, file: FileId, bytes: &[u8], offset: u64) {
        self.change_file(file, Change::Write { offset, bytes: bytes.into() });
    }

    pub(super) fn resize_or_punch(&mut self, file: FileId, change: Change) -> io::Result<()> {
        let fault = self.begin()?;
        if matches!(fault, None | Some(InjectedFault::Crash)) {
            self.change_file(file, change);
        }
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn change_file(&mut self, file: FileId, change: Change) {
        let state = self.file(file);
        state.visible.apply(&change);
        state.pending.push(change);
    }

    pub(super) fn sync(&mut self, file: FileId) -> io::Result<()> {
        let fault = self.begin()?;
        let mut dice = self.dice.clone();
        let state = self.file(file);
        match fault {
            Some(InjectedFault::Crash) => {}
            None => {
                for change in state.pending.drain(..) {
                    state.durable.apply(&change);
                }
            }
            Some(_) => state.durable.settle(&std::mem::take(&mut state.pending), &mut dice),
        }
        self.dice = dice;
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    pub(super) fn size(&mut self, file: FileId) -> io::Result<u64> {
        self.begin_harmless()?;
        Ok(self.file(file).visible.size_bytes())
    }

    pub(super) fn refuse_read_only(&mut self) -> io::Error {
        self.begin_harmless().err().unwrap_or_else(|| read_only("the simulated file"))
    }

    /// Damages a file for good, in what is visible and in what is durable.
    pub(super) fn flip_bit(&mut self, name: &str, byte_offset: u64, bit: u8) -> io::Result<()> {
        let file = self.visible_names.get(name).copied().ok_or_else(|| not_found(name))?;
        let state = self.file(file);
        state.visible.flip_bit(byte_offset, bit);
        state.durable.flip_bit(byte_offset, bit);
        Ok(())
    }

    // ---- what survives ----

    /// The world after a power cut at this moment.
    pub(super) fn after_power_cut(&self, seed: u64) -> World {
        let mut dice = Dice::new(seed);
        let mut names = self.durable_names.clone();
        settle_names(&mut names, &self.pending_names, &mut dice);
        let mut files = BTreeMap::new();
        for file in names.values() {
            let state = &self.files[file];
            let mut durable = state.durable.clone();
            durable.settle(&state.pending, &mut dice);
            files.insert(*file, FileState { visible: durable.clone(), durable, pending: Vec::new() });
        }
        World {
            files,
            next_file: self.next_file,
            visible_names: names.clone(),
            durable_names: names,
            ..World::new(dice.below(u64::MAX))
        }
    }

    /// The world after the process was killed: the system lives on and keeps unsynced changes.
    pub(super) fn after_process_kill(&self) -> World {
        World {
            dice: self.dice.clone(),
            files: self.files.clone(),
            next_file: self.next_file,
            visible_names: self.visible_names.clone(),
            durable_names: self.durable_names.clone(),
            pending_names: self.pending_names.clone(),
            ..World::new(self.seed)
        }
    }
}

impl FolderChange {
    fn apply(&self, names: &mut Names) {
        match self {
            FolderChange::Link { name, file } => {
                names.insert(name.clone(), *file);
            }
            FolderChange::Unlink { name } => {
                names.remove(name);
            }
            FolderChange::Rename { from, to, file } => {
                // Where the creation of `from` was lost, or undone by another loss, it is not there.
                if names.get(from) == Some(file) {
                    names.remove(from);
                }
                names.insert(to.clone(), *file);
            }
        }
    }
}

fn settle_names(names: &mut Names, changes: &[FolderChange], dice: &mut Dice) {
    let keep_all = match dice.below(8) {
        0 => return,
        1 => true,
        _ => false,
    };
    for change in changes {
        if keep_all || dice.coin() {
            change.apply(names);
        }
    }
}

fn not_found(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("there is no file {name}"))
}
