//! Shows that the page file is what it should be: random images, history, removals, checkpoints (some of which meet a
//! full disk) and reopening, against a model. After each step every image is found as it was written and every
//! history in its order; extents in use never overlap; free space is exactly what is not reached; and no byte that
//! the durable superblock reaches is ever written — the file itself asserts that.
//!
//! And that space returns: whatever is rewritten how often, the file stays within a factor of what lives in it.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;

use futures_lite::future::{block_on, poll_once, yield_now};
use helios_runtime::IoBuf;
use helios_runtime::device::{BLOCK_SIZE, Device, File, IoFuture, MemoryDevice, OpenMode};
use parking_lot::Mutex;
use proptest::prelude::*;

use crate::branch_bytes::BytesByBranch;
use crate::page::{self, PageKind};
use crate::page_map::Entry;
use crate::{
    BranchId, Codec, Compression, Encoded, Extent, ImageKind, MapKey, MasterKey, PageFile, PageId, PageKey,
    Scn, Superblock,
};

/// A file that refuses to be written where it is protected, and fails when told to.
struct Watched {
    file: Arc<dyn File>,
    watch: Arc<Watch>,
}

#[derive(Default)]
struct Watch {
    protected: Mutex<BTreeMap<u64, u64>>,
    is_full: Mutex<bool>,
    /// Reads take a second poll.
    reads_stall: Mutex<bool>,
}

impl Watched {
    fn check(&self, offset: u64, length: usize) -> io::Result<()> {
        if *self.watch.is_full.lock() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let end = offset + length as u64;
        let protected = self.watch.protected.lock();
        let hit = protected.range(..end).next_back().filter(|(_, protected_end)| **protected_end > offset);
        assert!(hit.is_none(), "a write to {offset}..{end} meets the durable {hit:?}");
        Ok(())
    }
}

impl File for Watched {
    fn read_at(&self, buf: IoBuf, offset: u64) -> IoFuture<IoBuf> {
        if !*self.watch.reads_stall.lock() {
            return self.file.read_at(buf, offset);
        }
        let file = self.file.clone();
        Box::pin(async move {
            yield_now().await;
            file.read_at(buf, offset).await
        })
    }
    fn read_batch(&self, reads: Vec<(u64, IoBuf)>) -> IoFuture<Vec<IoBuf>> {
        self.file.read_batch(reads)
    }
    fn write_at(&self, buf: IoBuf, offset: u64) -> IoFuture<IoBuf> {
        match self.check(offset, buf.len()) {
            Ok(()) => self.file.write_at(buf, offset),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
    fn write_batch(&self, writes: Vec<(u64, IoBuf)>) -> IoFuture<Vec<IoBuf>> {
        for (offset, buf) in &writes {
            if let Err(error) = self.check(*offset, buf.len()) {
                return Box::pin(std::future::ready(Err(error)));
            }
        }
        self.file.write_batch(writes)
    }
    fn sync(&self) -> IoFuture<()> {
        self.file.sync()
    }
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.file.set_size(bytes)
    }
    fn punch_hole(&self, offset: u64, length_bytes: u64) -> io::Result<()> {
        self.file.punch_hole(offset, length_bytes)
    }
}

type History = BTreeMap<MapKey, Vec<u8>>;

/// What a page file should hold.
#[derive(Clone, Default)]
struct Model {
    pages: BTreeMap<PageKey, Vec<u8>>,
    history: History,
}

struct Fixture {
    device: MemoryDevice,
    watch: Arc<Watch>,
    page_file: PageFile,
    now: Model,
    durable: Model,
    scn: u64,
    dirty: Vec<PageKey>,
    key: Option<MasterKey>,
}

const MAP_CACHE_BYTES: u64 = 16 << 10;

impl Fixture {
    fn new(key: Option<MasterKey>) -> Fixture {
        let device = MemoryDevice::new();
        let watch = Arc::new(Watch::default());
        let file = device.open("data", OpenMode::CreateNew).unwrap();
        let file = Arc::new(Watched { file, watch: watch.clone() });
        let superblock = Superblock { page_size: 8192, ..Superblock::default() };
        let codec = Codec::new(Compression::None, key.clone(), [1; 16]);
        let page_file = block_on(PageFile::create(file, codec, superblock, MAP_CACHE_BYTES)).unwrap();
        let (now, durable) = (Model::default(), Model::default());
        Fixture { device, watch, page_file, now, durable, scn: 0, dirty: Vec::new(), key }
    }

    fn page(&self, key: PageKey, payload_bytes: usize) -> Vec<u8> {
        let mut bytes = vec![0; 8192];
        page::initialize(&mut bytes, PageKind::Leaf);
        page::set_scn_raw(&mut bytes, self.scn);
        let end = page::content_end(8192);
        let start = end - payload_bytes.min(end - page::PAGE_HEADER_BYTES);
        page::set_upper(&mut bytes, start as u16);
        bytes[start..end].fill((self.scn ^ key.page.0) as u8);
        bytes
    }

    fn write(&mut self, keys: &[PageKey], payload_bytes: usize) -> bool {
        self.scn += 1;
        let pages: Vec<_> = keys.iter().map(|key| (*key, self.page(*key, payload_bytes))).collect();
        let images: Vec<(PageKey, Scn, Encoded)> = pages
            .iter()
            .map(|(key, page)| (*key, Scn(self.scn), self.page_file.codec().encode_page(*key, page)))
            .collect();
        let is_written = block_on(self.page_file.write(images, |_| true)).is_ok();
        if is_written {
            self.now.pages.extend(pages);
            self.dirty.extend(keys);
        }
        is_written
    }

    fn write_history(&mut self, key: MapKey, bytes: usize, gone: &[MapKey]) -> bool {
        self.scn += 1;
        let content = vec![self.scn as u8; bytes];
        let scn = Scn(self.scn);
        let encoded = self.page_file.codec().encode(ImageKind::History, key.page, scn, &content, 0);
        let is_written = block_on(self.page_file.write_history(vec![(key, scn, encoded)], gone)).is_ok();
        if is_written {
            self.now.history.insert(key, content);
            gone.iter().for_each(|gone| drop(self.now.history.remove(gone)));
        }
        is_written
    }

    fn checkpoint(&mut self) -> bool {
        self.dirty.sort_unstable();
        self.dirty.dedup();
        let history = self.page_file.claim_history();
        let claim = |key: &PageKey| self.page_file.claim(*key, Scn(self.scn)).map(|located| (*key, located));
        let images: Vec<_> = self.dirty.iter().filter_map(claim).collect();
        match block_on(self.page_file.prepare(images, history)) {
            Err((_, given_up)) => {
                self.page_file.give_up(given_up);
                false
            }
            Ok(prepared) => {
                let scn = Scn(self.scn);
                block_on(self.page_file.checkpoint(prepared, |superblock| superblock.scn = scn)).unwrap();
                self.dirty.clear();
                self.durable = self.now.clone();
                let reached = self.reached().into_iter();
                *self.watch.protected.lock() = reached.map(|range| (range.start, range.end)).collect();
                true
            }
        }
    }

    fn reopen(&mut self) {
        let file = self.device.open("data", OpenMode::ReadWrite).unwrap();
        let file = Arc::new(Watched { file, watch: self.watch.clone() });
        let superblock = block_on(Superblock::read(&*file)).unwrap();
        self.scn += 1;
        let codec = Codec::new(Compression::None, self.key.clone(), [self.scn as u8; 16]);
        self.page_file = block_on(PageFile::open(file, codec, superblock, MAP_CACHE_BYTES)).unwrap();
        self.now = self.durable.clone();
        self.dirty.clear();
    }

    /// What the durable map reaches, in order.
    fn reached(&self) -> Vec<Range<u64>> {
        let mut extents: Vec<Extent> = Vec::new();
        let root = self.page_file.superblock().map;
        let mut bytes = BytesByBranch::default();
        let visit = |extent, entry: Option<Entry>| {
            extents.push(extent);
            entry.inspect(|(key, located)| bytes.add(*key, *located));
            true
        };
        block_on(self.page_file.map.walk(&self.page_file.io(), root, visit)).unwrap();
        assert_eq!(self.page_file.branch_bytes(), bytes.0, "bytes are counted");
        let range = |extent: &Extent| extent.offset..extent.offset + u64::from(extent.length_bytes);
        let mut ranges: Vec<_> = extents.iter().map(range).collect();
        ranges.sort_unstable_by_key(|range| range.start);
        ranges
    }

    fn check(&self) {
        let mut bytes = vec![0; 8192];
        for (key, page) in &self.now.pages {
            bytes.fill(0);
            assert!(block_on(self.page_file.read(*key, &mut bytes)).unwrap(), "page {} is there", key.page);
            assert!(bytes == *page, "page {} is as written", key.page);
        }
        assert!(!block_on(self.page_file.read(key(1_000_000), &mut bytes)).unwrap());
        for (key, content) in &self.now.history {
            let found = block_on(self.page_file.read_history(*key)).unwrap();
            assert!(found.as_ref() == Some(content), "history of {} at {}", key.page.page, key.version);
        }
        for number in 0..40 {
            let from = MapKey::sealed_history(key(number), Scn(self.scn / 2));
            let to = MapKey::open_history(key(number));
            let expected = self.now.history.range(from..to).next().map(|entry| *entry.0);
            let found = block_on(self.page_file.find_sealed(key(number), Scn(self.scn / 2))).unwrap();
            assert_eq!(found, expected, "the oldest sealed history of {number}");
        }
    }

    /// Nothing overlaps, and the space in use is what the map and the overlay reach.
    fn check_space(&self) {
        let mut ranges = self.reached();
        let waiting = self.page_file.waiting_extents().into_iter();
        ranges.extend(waiting.map(|extent| extent.offset..extent.offset + u64::from(extent.length_bytes)));
        ranges.sort_unstable_by_key(|range| range.start);
        for pair in ranges.windows(2) {
            assert!(pair[0].end <= pair[1].start, "{pair:?} overlap");
        }
        let block = BLOCK_SIZE as u64;
        for range in &ranges {
            let small = range.end - range.start <= block;
            assert!(!small || range.start / block == (range.end - 1) / block, "{range:?} straddles");
        }
        let used: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        assert_eq!(self.page_file.usage().unwrap().used_bytes, used);
    }
}

fn key(page: u64) -> PageKey {
    PageKey::new(BranchId(2 + page % 3), PageId(page))
}

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<u64>, usize),
    Sealed(u64, usize),
    Open(u64, usize),
    Seal(u64),
    Checkpoint,
    Full,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (proptest::collection::vec(0u64..600, 1..80), 0usize..9000).prop_map(|(keys, n)| Step::Write(keys, n)),
        2 => (0u64..40, 0usize..20_000).prop_map(|(page, bytes)| Step::Sealed(page, bytes)),
        2 => (0u64..40, 0usize..3000).prop_map(|(page, bytes)| Step::Open(page, bytes)),
        1 => (0u64..40).prop_map(Step::Seal),
        3 => Just(Step::Checkpoint),
        1 => Just(Step::Full),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..60)
}

fn run(steps: Vec<Step>, master: Option<MasterKey>) {
    let mut fixture = Fixture::new(master);
    for step in steps {
        match step {
            Step::Write(pages, payload_bytes) => {
                let mut keys: Vec<PageKey> = pages.into_iter().map(key).collect();
                keys.sort_unstable();
                keys.dedup();
                assert!(fixture.write(&keys, payload_bytes));
            }
            Step::Sealed(page, bytes) => {
                let sealed = MapKey::sealed_history(key(page), Scn(fixture.scn));
                assert!(fixture.write_history(sealed, bytes, &[]));
            }
            Step::Open(page, bytes) => {
                assert!(fixture.write_history(MapKey::open_history(key(page)), bytes, &[]));
            }
            Step::Seal(page) => {
                let sealed = MapKey::sealed_history(key(page), Scn(fixture.scn));
                assert!(fixture.write_history(sealed, 500, &[MapKey::open_history(key(page))]));
            }
            Step::Checkpoint => assert!(fixture.checkpoint()),
            Step::Full => {
                *fixture.watch.is_full.lock() = true;
                assert!(!fixture.write(&[key(1), key(2)], 5000));
                assert!(!fixture.write_history(MapKey::open_history(key(3)), 5000, &[]));
                // With nothing to write it would get as far as the superblock.
                assert!(fixture.dirty.is_empty() || !fixture.checkpoint());
                *fixture.watch.is_full.lock() = false;
            }
            Step::Reopen => fixture.reopen(),
        }
        fixture.check_space();
    }
    fixture.check();
    assert!(fixture.checkpoint());
    fixture.check();
    fixture.reopen();
    fixture.check();
    fixture.check_space();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..Default::default() })]

    #[test]
    fn a_page_file_matches_a_model(steps in steps()) {
        run(steps, None);
    }

    #[test]
    fn an_encrypted_page_file_matches_a_model(steps in steps()) {
        run(steps, Some(MasterKey::new([4; 32])));
    }
}

/// An image that waits for a checkpoint is replaced while somebody reads it, and its place written anew: the reader finds
/// the new one, be it of a page or of history.
#[test]
fn what_moves_while_it_is_read_is_found() {
    let fixture = Fixture::new(None);
    let (page, history) = (key(1), MapKey::open_history(key(1)));
    let write = |scn: u64| {
        let codec = fixture.page_file.codec();
        let content = vec![scn as u8; 3000];
        let encoded = codec.encode(ImageKind::History, page, Scn(scn), &content, 0);
        block_on(fixture.page_file.write_history(vec![(history, Scn(scn), encoded)], &[])).unwrap();
        let mut bytes = fixture.page(page, 3000);
        page::set_scn_raw(&mut bytes, scn);
        let encoded = codec.encode_page(page, &bytes);
        block_on(fixture.page_file.write(vec![(page, Scn(scn), encoded)], |_| true)).unwrap();
    };
    write(1);
    let mut found = vec![0; 8192];
    {
        *fixture.watch.reads_stall.lock() = true;
        let mut reading_history = pin!(fixture.page_file.read_history(history));
        let mut reading_page = pin!(fixture.page_file.read(page, &mut found));
        // Each knows by now where to read.
        assert!(block_on(poll_once(&mut reading_history)).is_none());
        assert!(block_on(poll_once(&mut reading_page)).is_none());
        *fixture.watch.reads_stall.lock() = false;
        (2..9).for_each(write);
        assert_eq!(block_on(reading_history).unwrap(), Some(vec![8; 3000]));
        assert!(block_on(reading_page).unwrap());
    }
    assert_eq!(page::scn(&found), Scn(8));
}

/// Rewriting everything many times over, in any order, leaves the file at less than two and a half times what lives
/// in it, a checkpoint's own images included, though no more than two of these images fit a block; removing most of it
/// shortens the file.
#[test]
fn space_returns() {
    let mut fixture = Fixture::new(None);
    let pages: Vec<PageKey> = (0..3000).map(key).collect();
    for batch in pages.chunks(100) {
        fixture.write(batch, 1300);
    }
    fixture.checkpoint();
    let mut random = 1u64;
    let mut largest: f64 = 0.0;
    for round in 0..120 {
        for _ in 0..10 {
            let mut batch: Vec<PageKey> = (0..30)
                .map(|_| {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    key((random >> 33) % 3000)
                })
                .collect();
            batch.sort_unstable();
            batch.dedup();
            fixture.write(&batch, 1000 + (round * 37 % 600));
        }
        fixture.checkpoint();
        if round > 20 {
            let usage = fixture.page_file.usage().unwrap();
            largest = largest.max(usage.file_bytes as f64 / usage.used_bytes as f64);
        }
    }
    fixture.check_space();
    fixture.check();
    assert!(largest < 2.5, "the file grew to {largest:.2} times what lives in it");

    // Large history comes and goes: the file shrinks again.
    for page in 0..200 {
        fixture.write_history(MapKey::open_history(key(page)), 60_000, &[]);
    }
    fixture.checkpoint();
    let before = fixture.page_file.usage().unwrap().file_bytes;
    for page in 0..200 {
        fixture.write_history(MapKey::open_history(key(page)), 100, &[]);
    }
    for round in 0..30 {
        fixture.write(&[key(round)], 1000);
        fixture.checkpoint();
    }
    let after = fixture.page_file.usage().unwrap();
    assert!(after.file_bytes * 2 < before, "{} of {before} bytes are left", after.file_bytes);
    fixture.check();
}
