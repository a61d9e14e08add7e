//! Measures the disk backends against each other: `device_speed [FOLDER]`.
//!
//! Random 4 KiB reads and writes of a 256 MiB file, singly and in batches, and the append and sync
//! of a log over written blocks. Prints thousands of operations a second, and microseconds per
//! append (median).

#![allow(clippy::disallowed_methods)] // it measures time

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use helios_runtime::device::BLOCK_SIZE;
use helios_runtime::executor::{Executor, ExecutorKind, ExecutorOptions, block_on};
use helios_runtime::{
    BlockingDevice, Device, Entropy, File, GlommioDevice, IoBuf, IoFuture, MemoryDevice, OpenMode,
    SeededEntropy, UringDevice,
};

const FILE_BYTES: u64 = 256 << 20;
const RUN: Duration = Duration::from_millis(1000);

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let folder = Path::new(&folder);
    println!(
        "{:<9} {:>6} {:>16} {:>17} {:>12}",
        "backend", "batch", "reads, k/s", "writes, k/s", "append, µs"
    );
    block_on(measure(Arc::new(MemoryDevice::new())))?;
    block_on(measure(Arc::new(BlockingDevice::open(folder)?)))?;
    block_on(measure(Arc::new(UringDevice::open(folder)?)))?;
    let executor = Executor::start(ExecutorOptions { workers: 1, kind: ExecutorKind::Glommio, pin: None })?;
    let device = Arc::new(GlommioDevice::open(folder)?);
    block_on(executor.spawn(|| measure(device))).unwrap_or_else(|| Err(std::io::Error::other("a panic")))
}

async fn measure(device: Arc<dyn Device>) -> std::io::Result<()> {
    const NAME: &str = "device_speed.data";
    let file = device.open(NAME, OpenMode::CreateNew)?;
    for chunk in 0..FILE_BYTES >> 20 {
        file.write_at(IoBuf::from_slice(&vec![chunk as u8 + 1; 1 << 20]), chunk << 20).await?;
    }
    file.sync().await?;
    for batch in [1, 8, 64] {
        let reads = rate(batch, |batch| file.read_batch(batch)).await?;
        let writes = rate(batch, |batch| file.write_batch(batch)).await?;
        let append =
            if batch == 1 { format!("{:>12.1}", append_micros(&file).await?) } else { String::new() };
        println!("{:<9} {batch:>6} {reads:>16.1} {writes:>17.1} {append}", device.kind());
    }
    device.remove(NAME)
}

type Batch = Vec<(u64, IoBuf)>;

/// Thousands of operations a second, in batches of random blocks.
async fn rate(size: usize, run: impl Fn(Batch) -> IoFuture<Vec<IoBuf>>) -> std::io::Result<f64> {
    let random = SeededEntropy::new(1);
    let mut buffers: Vec<IoBuf> = (0..size).map(|_| IoBuf::zeroed(BLOCK_SIZE)).collect();
    let start = Instant::now();
    let mut operations = 0;
    while start.elapsed() < RUN {
        let mut batch = Vec::with_capacity(size);
        for buf in buffers {
            let block = random.next_u64()? % (FILE_BYTES / BLOCK_SIZE as u64);
            batch.push((block * BLOCK_SIZE as u64, buf));
        }
        buffers = run(batch).await?;
        operations += size;
    }
    Ok(operations as f64 / start.elapsed().as_secs_f64() / 1000.0)
}

/// The median of a write of one block and a sync, in microseconds.
async fn append_micros(file: &Arc<dyn File>) -> std::io::Result<f64> {
    let mut buf = IoBuf::zeroed(BLOCK_SIZE);
    let mut times = Vec::new();
    for block in 0..1000 {
        let start = Instant::now();
        buf = file.write_at(buf, block * BLOCK_SIZE as u64).await?;
        file.sync().await?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times[times.len() / 2].as_secs_f64() * 1e6)
}
