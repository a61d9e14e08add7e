//! The tier between frames and the data file: pages that left their frames, compressed in memory.
//!
//! 1. A page that leaves is kept as LZ4 of its used bytes ([`CompressedTier::keep`]) and taken out again when it
//!    comes back ([`CompressedTier::take`]): it is never in a frame and here at once, but for the moment of leaving.
//! 2. Not the image that the file holds, because a page that leaves unchanged has none at hand; not encrypted,
//!    because frames are not either; and always LZ4, because 10 µs to compress and 3 µs to come back are what
//!    makes it worth it against 100 µs of a read.
//! 3. Its size follows use. Pages that just left it are remembered as *ghosts*: one that is read from the device
//!    would have been found had the tier been a step larger. Pages that come back soon after they left their frames
//!    would have been found there had there been a step more of frames. What these two are worth, in measured
//!    times, proposes who gets the next step ([`CompressedTier::decide`]).
//! 4. A step is taken back when what an access of a page costs on average has not fallen after it; then no further one is
//!    proposed for a while, twice as long each time.
//!
//! Invariant: what is kept of a page is its newest version, or the page is in a frame.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, Weighter};

use crate::ids::PageKey;
use crate::page;

/// What an entry costs beside its bytes.
const ENTRY_OVERHEAD_BYTES: usize = 200;
/// Pages that leave between two decisions.
const DECISION_PAGES: u64 = 4096;
/// A step that leaves more than this of the cost of an access is taken back.
const GAIN_MIN: f64 = 0.99;
/// The most decisions to be waited after a step that did no good.
const PATIENCE_MAX: u32 = 256;
/// While the tier is empty, every so many pages one is compressed, to learn what it would hold.
const SAMPLE_EVERY: u64 = 16;

struct Kept {
    /// How many pages had left before it.
    number: u64,
    front_bytes: u16,
    back_bytes: u16,
    compressed: Box<[u8]>,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<PageKey, Arc<Kept>> for ByBytes {
    fn weight(&self, _page: &PageKey, kept: &Arc<Kept>) -> u64 {
        (kept.compressed.len() + ENTRY_OVERHEAD_BYTES) as u64
    }
}

/// Turns what leaves the tier into ghosts.
#[derive(Clone)]
struct Leaving(Arc<Mutex<Balance>>);

impl Lifecycle<PageKey, Arc<Kept>> for Leaving {
    type RequestState = ();
    fn begin_request(&self) {}
    fn on_evict(&self, _state: &mut (), page: PageKey, _kept: Arc<Kept>) {
        self.0.lock().remember(page);
    }
}

/// What decides about the tier's size.
struct Balance {
    ghosts: HashMap<PageKey, u64>,
    ghost_order: VecDeque<(PageKey, u64)>,
    /// Pages that left their frames so far.
    left: u64,
    decided_at: u64,
    ghost_hits: u64,
    young_hits: u64,
    costs: Costs,
    /// The totals at the last decision, and what happened in the period before it.
    before: Totals,
    period_before: Period,
    last: Option<Decision>,
    /// The last step took another one back: it is known to be better than what was.
    is_way_back: bool,
    /// Decisions to be waited, now and after the next failure.
    patience: u32,
    next_patience: u32,
    /// What a page takes here on average, bytes.
    kept_bytes: usize,
    step_bytes: usize,
}

impl Balance {
    fn remember(&mut self, page: PageKey) {
        let number = self.left;
        self.ghosts.insert(page, number);
        self.ghost_order.push_back((page, number));
        let ghosts_max = self.step_bytes / self.kept_bytes.max(1);
        while self.ghost_order.len() > ghosts_max {
            if let Some((old, number)) = self.ghost_order.pop_front()
                && self.ghosts.get(&old) == Some(&number)
            {
                self.ghosts.remove(&old);
            }
        }
    }

    fn learn_size(&mut self, bytes: usize) {
        self.kept_bytes = (self.kept_bytes * 15 + bytes) / 16;
    }
}

/// What things take, in microseconds: averages that forget.
struct Costs {
    device_read: f64,
    keep: f64,
    take: f64,
}

/// What has happened since the folder was opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Pages found in frames.
    pub hits: u64,
    /// Pages read from the device.
    pub device_reads: u64,
    /// Pages that came back from the tier.
    pub tier_hits: u64,
}

/// What happened between two decisions.
#[derive(Clone, Copy, Debug, Default)]
struct Period {
    accesses: f64,
    device_reads: f64,
    tier_hits: f64,
    /// Whether pages that left were compressed.
    is_open: bool,
}

impl Period {
    /// What an access cost on average, at these prices.
    fn access_cost(&self, costs: &Costs) -> f64 {
        let keeping = if self.is_open { costs.keep } else { 0.0 };
        let spent =
            self.device_reads * (costs.device_read + keeping) + self.tier_hits * (costs.take + keeping);
        spent / self.accesses.max(1.0)
    }
}

/// Something that was timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timed {
    /// Reading a page from the device.
    DeviceRead,
    /// [`CompressedTier::keep`].
    Keep,
    /// [`CompressedTier::take`] of a page that was here.
    Take,
}

/// Who gets the next step of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The compressed tier.
    Grow,
    /// The frames.
    Shrink,
    /// All stays as it is.
    Stay,
}

/// Compressed pages, up to a number of bytes.
pub struct CompressedTier {
    cache: Cache<PageKey, Arc<Kept>, ByBytes, DefaultHashBuilder, Leaving>,
    capacity_bytes: AtomicU64,
    balance: Arc<Mutex<Balance>>,
    page_size: usize,
    hits: AtomicU64,
}

impl CompressedTier {
    /// An empty tier that grows by `step_bytes`.
    pub fn new(step_bytes: usize, page_size: usize) -> CompressedTier {
        let balance = Arc::new(Mutex::new(Balance {
            ghosts: HashMap::new(),
            ghost_order: VecDeque::new(),
            left: 0,
            decided_at: 0,
            ghost_hits: 0,
            young_hits: 0,
            // Until they are measured.
            costs: Costs { device_read: 100.0, keep: 15.0, take: 5.0 },
            before: Totals::default(),
            period_before: Period::default(),
            last: None,
            is_way_back: false,
            patience: 0,
            next_patience: 2,
            kept_bytes: page_size / 2,
            step_bytes,
        }));
        let hasher = DefaultHashBuilder::default();
        let cache = Cache::with(64, 0, ByBytes, hasher, Leaving(balance.clone()));
        let capacity_bytes = AtomicU64::new(0);
        CompressedTier { cache, capacity_bytes, balance, page_size, hits: AtomicU64::new(0) }
    }

    /// Pages that came back from here.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Bytes that are kept.
    pub fn used_bytes(&self) -> u64 {
        self.cache.weight()
    }

    /// Bytes that may be kept.
    pub fn capacity_bytes(&self) -> u64 {
        self.capacity_bytes.load(Ordering::Relaxed)
    }

    /// Changes the tier's size; what no longer fits leaves at once.
    pub fn set_capacity(&self, bytes: u64) {
        self.capacity_bytes.store(bytes, Ordering::Relaxed);
        self.cache.set_capacity(bytes);
    }

    /// Keeps a page that is about to leave its frame, if there is room and it compresses; forgets what was kept
    /// of it before in any case.
    pub fn keep(&self, key: PageKey, bytes: &[u8]) {
        let number = {
            let mut balance = self.balance.lock();
            balance.left += 1;
            balance.left
        };
        let is_open = self.capacity_bytes() > 0;
        let compressed = (is_open || number.is_multiple_of(SAMPLE_EVERY)).then(|| compress(bytes, number));
        let mut balance = self.balance.lock();
        if let Some(kept) = &compressed {
            balance.learn_size(kept.compressed.len() + ENTRY_OVERHEAD_BYTES);
        }
        let worth_it = |kept: &Kept| kept.compressed.len() + ENTRY_OVERHEAD_BYTES < self.page_size / 4 * 3;
        match compressed.filter(|kept| is_open && worth_it(kept)) {
            Some(kept) => {
                drop(balance);
                self.cache.insert(key, Arc::new(kept));
            }
            None => {
                balance.remember(key);
                drop(balance);
                self.cache.remove(&key);
            }
        }
    }

    /// Forgets a page.
    pub fn forget(&self, key: PageKey) {
        self.cache.remove(&key);
    }

    /// Takes a page out into `bytes`; `false` when it is not here.
    pub fn take(&self, key: PageKey, bytes: &mut [u8]) -> bool {
        let Some((_, kept)) = self.cache.remove(&key) else {
            let mut balance = self.balance.lock();
            if balance.ghosts.remove(&key).is_some() {
                balance.ghost_hits += 1;
            }
            return false;
        };
        {
            let mut balance = self.balance.lock();
            let step_pages = (balance.step_bytes / self.page_size) as u64;
            balance.young_hits += u64::from(kept.number + step_pages >= balance.left);
        }
        self.hits.fetch_add(1, Ordering::Relaxed);
        decompress(&kept, bytes)
    }

    /// Says how long something took.
    pub fn note_time(&self, what: Timed, micros: u64) {
        let mut balance = self.balance.lock();
        let costs = &mut balance.costs;
        let average = match what {
            Timed::DeviceRead => &mut costs.device_read,
            Timed::Keep => &mut costs.keep,
            Timed::Take => &mut costs.take,
        };
        // One measurement in between which the process slept must not count for much.
        *average += ((micros as f64).min(*average * 4.0 + 4.0) - *average) / 64.0;
    }

    /// After enough pages have left since the last decision: who gets the next step.
    pub fn decide(&self, totals: impl FnOnce() -> Totals) -> Decision {
        let mut balance = self.balance.lock();
        if balance.left < balance.decided_at + DECISION_PAGES {
            return Decision::Stay;
        }
        balance.decided_at = balance.left;
        let compresses = balance.kept_bytes < self.page_size / 4 * 3;
        let decision = balance.next_step(totals(), self.capacity_bytes() > 0, compresses);
        balance.last = Some(decision).filter(|decision| *decision != Decision::Stay);
        decision
    }
}

impl Balance {
    fn next_step(&mut self, now: Totals, is_open: bool, compresses: bool) -> Decision {
        let (for_tier, for_frames) =
            (std::mem::take(&mut self.ghost_hits), std::mem::take(&mut self.young_hits));
        let before = std::mem::replace(&mut self.before, now);
        let device_reads = (now.device_reads - before.device_reads) as f64;
        let tier_hits = (now.tier_hits - before.tier_hits) as f64;
        let accesses = (now.hits - before.hits) as f64 + device_reads + tier_hits;
        let period = Period { accesses, device_reads, tier_hits, is_open };
        // Both at the prices of now: else a busy machine would look like a bad step.
        let cost = period.access_cost(&self.costs);
        let cost_before = std::mem::replace(&mut self.period_before, period).access_cost(&self.costs);
        if !compresses {
            return if is_open { Decision::Shrink } else { Decision::Stay };
        }
        if let Some(last) = self.last
            && !self.is_way_back
            && cost > cost_before * GAIN_MIN
        {
            self.patience = self.next_patience;
            self.next_patience = (self.next_patience * 2).min(PATIENCE_MAX);
            self.is_way_back = true;
            return if last == Decision::Grow { Decision::Shrink } else { Decision::Grow };
        }
        self.is_way_back = false;
        if self.patience > 0 {
            self.patience -= 1;
            return Decision::Stay;
        }
        let for_tier = for_tier as f64 * (self.costs.device_read - self.costs.take);
        let for_frames = for_frames as f64 * (self.costs.take + self.costs.keep);
        // A few pages are chance.
        let noise = self.costs.device_read * (DECISION_PAGES / 256) as f64;
        if for_tier > for_frames * 1.5 + noise {
            Decision::Grow
        } else if is_open && for_frames > for_tier * 1.5 + noise {
            Decision::Shrink
        } else {
            Decision::Stay
        }
    }
}

fn compress(bytes: &[u8], number: u64) -> Kept {
    let (lower, upper) = (usize::from(page::lower(bytes)), usize::from(page::upper(bytes)));
    let back = &bytes[upper..page::content_end(bytes.len())];
    let used = [&bytes[..lower], back].concat();
    let compressed = lz4_flex::block::compress(&used).into_boxed_slice();
    Kept { number, front_bytes: lower as u16, back_bytes: back.len() as u16, compressed }
}

fn decompress(kept: &Kept, bytes: &mut [u8]) -> bool {
    let (front_bytes, back_bytes) = (usize::from(kept.front_bytes), usize::from(kept.back_bytes));
    let Ok(used) = lz4_flex::block::decompress(&kept.compressed, front_bytes + back_bytes) else {
        return false;
    };
    let end = page::content_end(bytes.len());
    if used.len() != front_bytes + back_bytes || used.len() > end {
        return false;
    }
    bytes[..front_bytes].copy_from_slice(&used[..front_bytes]);
    bytes[end - back_bytes..end].copy_from_slice(&used[front_bytes..]);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{BranchId, PageId};
    use crate::page::PageKind;

    fn key(number: u64) -> PageKey {
        PageKey::new(BranchId(2), PageId(number))
    }

    fn sample(number: u64) -> Vec<u8> {
        let mut bytes = vec![0; 8192];
        page::initialize(&mut bytes, PageKind::Leaf);
        page::set_scn_raw(&mut bytes, number);
        page::set_upper(&mut bytes, 3000);
        let end = page::content_end(8192);
        bytes[3000..end].fill(number as u8);
        bytes
    }

    /// What is kept comes back as it was, once; a size is kept; what is kept anew replaces what was.
    #[test]
    fn pages_come_back_once() {
        let tier = CompressedTier::new(1 << 20, 8192);
        tier.set_capacity(100_000);
        for number in 0..2000 {
            tier.keep(key(number), &sample(number));
            assert!(tier.used_bytes() <= 100_000);
        }
        let mut back = vec![0; 8192];
        tier.keep(key(1999), &sample(7));
        assert!(tier.take(key(1999), &mut back));
        assert!(back == sample(7));
        assert!(!tier.take(key(1999), &mut back));
        tier.keep(key(5), &sample(5));
        tier.forget(key(5));
        assert!(!tier.take(key(5), &mut back));
        tier.set_capacity(0);
        assert_eq!(tier.used_bytes(), 0);
        tier.keep(key(6), &sample(6));
        assert!(!tier.take(key(6), &mut back));
    }

    /// Pages that are read again soon after they left make the tier grow; a step that made accesses dearer is taken
    /// back, and none follows for a while.
    #[test]
    fn ghosts_propose_and_costs_decide() {
        let mut back = vec![0; 8192];
        let tier = CompressedTier::new(1 << 20, 8192);
        let mut totals = Totals::default();
        let mut round = |device_reads: u64, tier_hits: u64, capacity: u64| {
            tier.set_capacity(capacity);
            for number in 0..DECISION_PAGES {
                tier.keep(key(number % 100), &sample(number));
                tier.take(key(number % 100), &mut back);
            }
            totals.hits += 10_000;
            totals.device_reads += device_reads;
            totals.tier_hits += tier_hits;
            tier.decide(|| totals)
        };
        assert_eq!(round(2000, 0, 0), Decision::Grow, "all came back, from the device");
        assert_eq!(round(2500, 0, 0), Decision::Shrink, "it did no good");
        assert_eq!(round(2000, 0, 0), Decision::Stay, "and is not tried again at once");
        assert_eq!(round(2000, 0, 0), Decision::Stay);
        assert_eq!(round(2000, 0, 0), Decision::Grow);
        assert_eq!(round(100, 2000, 1 << 20), Decision::Shrink, "frames would serve them better");
    }
}
