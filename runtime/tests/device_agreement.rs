//! Shows that the backends agree: random operations, applied to a memory device and to another
//! backend, give the same bytes, the same sizes and the same kinds of error.

use std::io::{self, Write};
use std::sync::Arc;

use futures_lite::future::block_on;
use helios_runtime::device::BLOCK_SIZE;
use helios_runtime::executor::{Executor, ExecutorKind, ExecutorOptions};
use helios_runtime::{
    BlockingDevice, Device, File, GlommioDevice, IoBuf, IoFuture, MemoryDevice, OpenMode, SimulatedDevice,
    UringDevice, probe_io_uring,
};
use proptest::prelude::*;

const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];

#[derive(Clone, Debug)]
enum Operation {
    Open { slot: usize, name: usize, mode: OpenMode },
    Close { slot: usize },
    Read { slot: usize, block: u64, blocks: usize },
    ReadBatch { slot: usize, reads: Vec<(u64, usize)> },
    Write { slot: usize, block: u64, blocks: usize, fill: u8 },
    WriteBatch { slot: usize, first_block: u64, lengths: Vec<usize>, fill: u8 },
    SetSize { slot: usize, bytes: u64 },
    PunchHole { slot: usize, block: u64, blocks: u64 },
    Sync { slot: usize },
    Remove { name: usize },
    Rename { from: usize, to: usize },
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let slot = 0..3usize;
    let name = 0..NAMES.len();
    // Blocks near the start, and now and then around the memory device's group border.
    let block = prop_oneof![4 => 0..12u64, 1 => 1020..1030u64];
    let mode = prop_oneof![
        1 => Just(OpenMode::Read),
        3 => Just(OpenMode::ReadWrite),
        3 => Just(OpenMode::CreateNew),
    ];
    prop_oneof![
        4 => (slot.clone(), name.clone(), mode).prop_map(|(slot, name, mode)| Open { slot, name, mode }),
        1 => slot.clone().prop_map(|slot| Close { slot }),
        6 => (slot.clone(), block.clone(), 1..4usize)
            .prop_map(|(slot, block, blocks)| Read { slot, block, blocks }),
        2 => (slot.clone(), prop::collection::vec((0..12u64, 1..3usize), 0..5))
            .prop_map(|(slot, reads)| ReadBatch { slot, reads }),
        6 => (slot.clone(), block.clone(), 1..4usize, any::<u8>())
            .prop_map(|(slot, block, blocks, fill)| Write { slot, block, blocks, fill }),
        2 => (slot.clone(), block.clone(), prop::collection::vec(1..3usize, 0..5), any::<u8>())
            .prop_map(|(slot, first_block, lengths, fill)| WriteBatch { slot, first_block, lengths, fill }),
        2 => (slot.clone(), 0..60_000u64).prop_map(|(slot, bytes)| SetSize { slot, bytes }),
        2 => (slot.clone(), block, 1..20u64)
            .prop_map(|(slot, block, blocks)| PunchHole { slot, block, blocks }),
        1 => slot.prop_map(|slot| Sync { slot }),
        1 => name.clone().prop_map(|name| Remove { name }),
        1 => (name.clone(), name).prop_map(|(from, to)| Rename { from, to }),
    ]
}

/// A device with its open files.
struct Subject {
    /// Where futures are polled: here, or on a worker.
    executor: Option<Executor>,
    device: Box<dyn Device>,
    slots: [Option<Arc<dyn File>>; 3],
}

/// Everything that an operation shows: bytes and size, or the kind of its error.
type Outcome = Result<(Vec<u8>, u64), io::ErrorKind>;

impl Subject {
    fn new(device: impl Device, executor: Option<Executor>) -> Subject {
        Subject { executor, device: Box::new(device), slots: [None, None, None] }
    }

    fn run<T: Send + 'static>(&self, future: IoFuture<T>) -> io::Result<T> {
        match &self.executor {
            None => block_on(future),
            Some(executor) => block_on(executor.spawn(move || future)).expect("no task panics"),
        }
    }

    fn apply(&mut self, operation: &Operation) -> Outcome {
        self.try_apply(operation).map_err(|error| error.kind())
    }

    fn file(&self, slot: usize) -> io::Result<&Arc<dyn File>> {
        self.slots[slot].as_ref().ok_or(io::ErrorKind::NotConnected.into())
    }

    fn try_apply(&mut self, operation: &Operation) -> io::Result<(Vec<u8>, u64)> {
        let at = |block: u64| block * BLOCK_SIZE as u64;
        let mut bytes = Vec::new();
        let mut seen_slot = None;
        match operation {
            Operation::Open { slot, name, mode } => {
                self.slots[*slot] = Some(self.device.open(NAMES[*name], *mode)?);
                seen_slot = Some(*slot);
            }
            Operation::Close { slot } => self.slots[*slot] = None,
            Operation::Read { slot, block, blocks } => {
                let buf = IoBuf::zeroed(blocks * BLOCK_SIZE);
                bytes.extend_from_slice(&self.run(self.file(*slot)?.read_at(buf, at(*block)))?);
            }
            Operation::ReadBatch { slot, reads } => {
                let reads =
                    reads.iter().map(|(block, blocks)| (at(*block), IoBuf::zeroed(blocks * BLOCK_SIZE)));
                for buf in self.run(self.file(*slot)?.read_batch(reads.collect()))? {
                    bytes.extend_from_slice(&buf);
                }
            }
            Operation::Write { slot, block, blocks, fill } => {
                let buf = IoBuf::from_slice(&pattern(*fill, blocks * BLOCK_SIZE));
                bytes.extend_from_slice(&self.run(self.file(*slot)?.write_at(buf, at(*block)))?);
                seen_slot = Some(*slot);
            }
            Operation::WriteBatch { slot, first_block, lengths, fill } => {
                let mut block = *first_block;
                let mut writes = Vec::new();
                for (index, blocks) in lengths.iter().enumerate() {
                    let data = pattern(fill.wrapping_add(index as u8), blocks * BLOCK_SIZE);
                    writes.push((at(block), IoBuf::from_slice(&data)));
                    block += *blocks as u64 + 1;
                }
                for buf in self.run(self.file(*slot)?.write_batch(writes))? {
                    bytes.extend_from_slice(&buf);
                }
                seen_slot = Some(*slot);
            }
            Operation::SetSize { slot, bytes } => {
                self.file(*slot)?.set_size(*bytes)?;
                seen_slot = Some(*slot);
            }
            Operation::PunchHole { slot, block, blocks } => {
                self.file(*slot)?.punch_hole(at(*block), at(*blocks))?;
                seen_slot = Some(*slot);
            }
            Operation::Sync { slot } => self.run(self.file(*slot)?.sync())?,
            Operation::Remove { name } => self.device.remove(NAMES[*name])?,
            Operation::Rename { from, to } => self.device.rename(NAMES[*from], NAMES[*to])?,
        }
        let size = seen_slot.map_or(Ok(0), |slot| self.file(slot)?.size())?;
        Ok((bytes, size))
    }

    /// All files by name with their contents, their last partial block left out.
    fn contents(&self) -> Vec<(String, u64, Vec<u8>)> {
        let mut names = self.device.list().unwrap();
        names.sort();
        let read = |name: String| {
            let file = self.device.open(&name, OpenMode::Read).unwrap();
            let size = file.size().unwrap();
            let whole = size as usize / BLOCK_SIZE * BLOCK_SIZE;
            let bytes = match whole {
                0 => Vec::new(),
                _ => self.run(file.read_at(IoBuf::zeroed(whole), 0)).unwrap().to_vec(),
            };
            (name, size, bytes)
        };
        names.into_iter().map(read).collect()
    }
}

fn pattern(fill: u8, length: usize) -> Vec<u8> {
    (0..length).map(|index| fill.wrapping_add((index / 512) as u8)).collect()
}

fn agree(operations: &[Operation], other: impl Device) {
    agree_on(operations, other, None);
}

fn agree_on(operations: &[Operation], other: impl Device, executor: Option<Executor>) {
    let mut memory = Subject::new(MemoryDevice::new(), None);
    let mut other = Subject::new(other, executor);
    for (index, operation) in operations.iter().enumerate() {
        let expected = memory.apply(operation);
        let found = other.apply(operation);
        assert!(expected == found, "operation {index}, {operation:?}, differs: {:?}", found.err());
    }
    assert!(memory.contents() == other.contents(), "contents differ at the end");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn blocking_agrees_with_memory(operations in prop::collection::vec(operation(), 1..60)) {
        let folder = tempfile::tempdir().unwrap();
        agree(&operations, BlockingDevice::create_folder(folder.path()).unwrap());
    }

    #[test]
    fn simulated_agrees_with_memory(operations in prop::collection::vec(operation(), 1..60)) {
        agree(&operations, SimulatedDevice::new(1));
    }

    #[test]
    fn uring_agrees_with_memory(operations in prop::collection::vec(operation(), 1..60)) {
        if let Err(error) = probe_io_uring() {
            let _ = writeln!(io::stderr(), "skipped: io_uring agrees with memory: {error}");
            return Ok(());
        }
        let folder = tempfile::tempdir().unwrap();
        agree(&operations, UringDevice::create_folder(folder.path()).unwrap());
    }

    #[test]
    fn glommio_agrees_with_memory(operations in prop::collection::vec(operation(), 1..60)) {
        let folder = tempfile::tempdir().unwrap();
        let options = ExecutorOptions { workers: 1, kind: ExecutorKind::Glommio, pin: None };
        // Where there is no glommio, it works in place.
        let executor = Executor::start(options).inspect_err(|error| {
            let _ = writeln!(io::stderr(), "skipped: glommio agrees with memory: {error}");
        }).ok();
        agree_on(&operations, GlommioDevice::create_folder(folder.path()).unwrap(), executor);
    }
}

#[test]
fn errors_name_a_file_as_it_is_called_now() {
    let folder = tempfile::tempdir().unwrap();
    let device = BlockingDevice::create_folder(folder.path()).unwrap();
    let file = device.open("partial", OpenMode::CreateNew).unwrap();
    device.rename("partial", "whole").unwrap();
    let error = block_on(file.read_at(IoBuf::zeroed(4096), 0)).unwrap_err().to_string();
    assert!(error.contains(folder.path().join("whole").to_str().unwrap()), "{error}");
}
