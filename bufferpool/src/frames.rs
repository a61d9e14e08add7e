//! Frames: the page-sized pieces of the arena, the table that finds them, and their reuse.
//!
//! 1. A frame is either *free*, *owned* (one [`OwnedFrame`] fills it, nobody else sees it), *published*
//!    (found through the table, immutable from then on) or *retired* (unlinked, waiting for its epoch).
//! 2. The table is an array of chain heads; a chain runs through the frames' headers. Readers walk it with
//!    no latch, under an epoch pin; writers hold the bucket's stripe lock.
//! 3. Publishing a new version of a page puts the new frame into the old one's place in the chain with one
//!    store, so a reader finds the old version or the new one, never neither.
//! 4. Several versions of a page may be published: the newest (`until` = MAX) and rebuilt old ones, each
//!    valid for the snapshots in `[from, until)`. The newest comes first in its chain, and of rebuilt ones at most
//!    [`OLD_VERSIONS_MAX`] are kept for each page: a page that every commit writes and somebody reads a moment later
//!    would else be searched among thousands that nobody needs any more.
//!
//! Invariant: between publication and the end of its retirement epoch a frame's bytes do not change.

use std::io;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::arena::Arena;
use crate::epoch::{self, Guard};
use crate::ids::{PageKey, Scn};

const NONE: u32 = u32::MAX;
const STRIPES: usize = 256;
/// Uses are counted up to this; see `replacement`.
const USES_MAX: u8 = 3;
/// Retired frames are looked at for reuse in batches of about this many.
const RECLAIM_BATCH: usize = 16;
/// Frames that one operation and the reserves of commits need.
const FRAMES_MIN: usize = 64;
/// Rebuilt versions of one page that are published at a time; another one takes the oldest one's place.
const OLD_VERSIONS_MAX: usize = 16;
/// Threads with a counter of their own; further ones share.
const COUNTERS: usize = 64;

#[repr(align(64))]
struct Header {
    branch: AtomicU64,
    page: AtomicU64,
    from: AtomicU64,
    until: AtomicU64,
    stamp: AtomicU64,
    next: AtomicU32,
    uses: AtomicU8,
    dirty: AtomicU8,
    /// 1 while it is among those that the pool counts as dirty.
    counted: AtomicU8,
}

const _: () = assert!(size_of::<Header>() == 64);

/// Pages found, by one thread: nobody else writes its cache line.
#[derive(Default)]
#[repr(align(128))]
struct HitCounter(AtomicU64);

/// The arena, its table and its free list.
pub struct FramePool {
    arena: Arena,
    page_size: usize,
    headers: Box<[Header]>,
    buckets: Box<[AtomicU32]>,
    stripes: Box<[Mutex<()>]>,
    free: Mutex<FreeList>,
    free_count: AtomicUsize,
    /// Published frames that are dirty.
    dirty_count: AtomicUsize,
    publications: AtomicU64,
    hits: Box<[HitCounter]>,
}

#[derive(Default)]
struct FreeList {
    // Last in, first out: a frame just freed is still in the processor's cache.
    free: Vec<u32>,
    retired: std::collections::VecDeque<(u64, u32)>,
    /// Frames whose memory others use.
    withheld: Vec<u32>,
}

/// A frame that nobody else can see; freed when dropped.
pub struct OwnedFrame<'p> {
    pool: &'p FramePool,
    index: u32,
}

/// A published frame, readable while the guard lives.
#[derive(Clone, Copy)]
pub struct FrameRef<'g> {
    pool: &'g FramePool,
    index: u32,
}

/// An owned frame without its borrow of the pool, for keeping across an await. One that is never taken
/// back ([`FramePool::unpark`]) is lost to the pool.
#[derive(Debug)]
#[must_use]
pub struct ParkedFrame {
    pool_address: usize,
    index: u32,
}

impl FramePool {
    /// The smallest size of a pool, bytes: one operation's pages, and those that commits keep in reserve.
    pub fn size_bytes_min(page_size: usize) -> usize {
        FRAMES_MIN * FramePool::bytes_per_frame(page_size)
    }

    /// How many frames a pool of `size_bytes` has.
    pub fn frames_in(size_bytes: usize, page_size: usize) -> usize {
        (size_bytes / FramePool::bytes_per_frame(page_size)).min(NONE as usize - 1)
    }

    fn bytes_per_frame(page_size: usize) -> usize {
        // The table has up to two buckets per frame.
        page_size + size_of::<Header>() + 2 * size_of::<AtomicU32>()
    }

    /// A pool of as many frames of `page_size` bytes as fit `size_bytes`, headers included.
    ///
    /// # Errors
    /// When the operating system gives no address space, or the size holds fewer than 64 frames.
    pub fn new(size_bytes: usize, page_size: usize) -> io::Result<FramePool> {
        let per_frame = FramePool::bytes_per_frame(page_size);
        let count = FramePool::frames_in(size_bytes, page_size);
        if count < FRAMES_MIN {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "{size_bytes} bytes for frames are too few: at least {} are needed",
                    FRAMES_MIN * per_frame
                ),
            ));
        }
        let arena = Arena::new(count * page_size)?;
        let headers = (0..count)
            .map(|_| Header {
                branch: AtomicU64::new(0),
                page: AtomicU64::new(0),
                from: AtomicU64::new(0),
                until: AtomicU64::new(0),
                stamp: AtomicU64::new(0),
                next: AtomicU32::new(NONE),
                uses: AtomicU8::new(0),
                dirty: AtomicU8::new(0),
                counted: AtomicU8::new(0),
            })
            .collect();
        let buckets = (0..count.next_power_of_two()).map(|_| AtomicU32::new(NONE)).collect();
        let stripes = (0..STRIPES).map(|_| Mutex::new(())).collect();
        let free = FreeList { free: (0..count as u32).rev().collect(), ..FreeList::default() };
        Ok(FramePool {
            arena,
            page_size,
            headers,
            buckets,
            stripes,
            free: Mutex::new(free),
            dirty_count: AtomicUsize::new(0),
            free_count: AtomicUsize::new(count),
            publications: AtomicU64::new(0),
            hits: (0..COUNTERS).map(|_| HitCounter::default()).collect(),
        })
    }

    /// Bytes per page.
    pub fn page_size(&self) -> usize {
        self.page_size
    }

    /// Frames in all.
    pub fn frame_count(&self) -> usize {
        self.headers.len()
    }

    /// Frames that are free, or will be once the readers of this moment are done. Approximate.
    pub fn free_count(&self) -> usize {
        self.free_count.load(Ordering::Relaxed)
    }

    /// Published pages that changed since they were last written to the device: only writing them frees their frames.
    pub fn dirty_count(&self) -> usize {
        self.dirty_count.load(Ordering::Relaxed)
    }

    fn count_clean(&self, header: &Header) {
        if header.counted.swap(0, Ordering::Relaxed) != 0 {
            self.dirty_count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Takes up to `count` free frames out of use, and gives their memory back; returns how many. `keep_free` free
    /// ones stay.
    pub fn withhold(&self, count: usize, keep_free: usize) -> usize {
        let mut taken = 0;
        while taken < count && self.free_count() > keep_free {
            let Some(frame) = self.try_allocate() else { break };
            let index = frame.into_index();
            self.arena.give_back(index as usize * self.page_size, self.page_size);
            self.free.lock().withheld.push(index);
            taken += 1;
        }
        taken
    }

    /// Puts up to `count` of the frames withheld into use again; returns how many.
    pub fn restore(&self, count: usize) -> usize {
        let mut list = self.free.lock();
        let count = count.min(list.withheld.len());
        let from = list.withheld.len() - count;
        let restored = list.withheld.split_off(from);
        // Behind those that are still in the processor's cache.
        list.free.splice(0..0, restored);
        drop(list);
        self.free_count.fetch_add(count, Ordering::Relaxed);
        count
    }

    /// Frames out of use.
    pub fn withheld_count(&self) -> usize {
        self.free.lock().withheld.len()
    }

    /// Takes a free frame; its bytes are whatever they were. `None` when there is none: evict first.
    pub fn try_allocate(&self) -> Option<OwnedFrame<'_>> {
        let mut list = self.free.lock();
        if list.free.is_empty() {
            list.reclaim(usize::MAX);
        }
        let index = list.free.pop()?;
        drop(list);
        self.free_count.fetch_sub(1, Ordering::Relaxed);
        Some(OwnedFrame { pool: self, index })
    }

    /// Finds the version of a page that a snapshot at `scn` reads, if it is published.
    #[inline]
    pub fn find<'g>(&'g self, guard: &'g Guard, key: PageKey, scn: Scn) -> Option<FrameRef<'g>> {
        let mut index = self.buckets[self.bucket(key)].load(Ordering::Acquire);
        while index != NONE {
            let header = &self.headers[index as usize];
            if header.is(key)
                && header.from.load(Ordering::Relaxed) <= scn.0
                && scn.0 <= header.until.load(Ordering::Relaxed).saturating_sub(1)
            {
                header.count_use();
                self.count_hit(guard);
                return Some(FrameRef { pool: self, index });
            }
            index = header.next.load(Ordering::Acquire);
        }
        None
    }

    /// Finds the newest version of a page, if it is published.
    #[inline]
    pub fn find_newest<'g>(&'g self, guard: &'g Guard, key: PageKey) -> Option<FrameRef<'g>> {
        let found = self.peek(guard, key, Scn::MAX)?;
        found.header().count_use();
        self.count_hit(guard);
        Some(found)
    }

    #[inline]
    fn count_hit(&self, guard: &Guard) {
        let counter = &self.hits[guard.thread() % COUNTERS].0;
        // Not an atomic addition: threads that share a counter may lose a few, which a rate can bear.
        counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Pages found by readers and writers so far. Approximate where more than 64 threads read.
    pub fn hits(&self) -> u64 {
        self.hits.iter().map(|counter| counter.0.load(Ordering::Relaxed)).sum()
    }

    /// Finds the version of a page that ends at `until`, if it is published, without counting this as a use.
    #[inline]
    pub fn peek<'g>(&'g self, _guard: &'g Guard, key: PageKey, until: Scn) -> Option<FrameRef<'g>> {
        let mut index = self.buckets[self.bucket(key)].load(Ordering::Acquire);
        while index != NONE {
            let header = &self.headers[index as usize];
            if header.is(key) && header.until.load(Ordering::Relaxed) == until.0 {
                return Some(FrameRef { pool: self, index });
            }
            index = header.next.load(Ordering::Acquire);
        }
        None
    }

    /// Publishes `frame` as the newest version of a page, in the place of the one published before, which
    /// is retired. `dirty` is 0 for a clean page, else the caller's mark; returns the mark of the version
    /// replaced, if there was one.
    pub fn publish(&self, frame: OwnedFrame<'_>, key: PageKey, from: Scn, dirty: u8) -> Option<u8> {
        if dirty != 0 {
            self.dirty_count.fetch_add(1, Ordering::Relaxed);
        }
        let index = frame.into_index();
        let header = &self.headers[index as usize];
        header.set(key, from, Scn::MAX, dirty, self.publications.fetch_add(1, Ordering::Relaxed));
        let bucket = self.bucket(key);
        let _stripe = self.stripes[bucket % STRIPES].lock();
        let replaced =
            self.link(bucket, index, |old| old.is(key) && old.until.load(Ordering::Relaxed) == u64::MAX);
        let replaced = replaced?;
        let old = &self.headers[replaced as usize];
        header.uses.store(old.uses.load(Ordering::Relaxed), Ordering::Relaxed);
        // As it is: who looks at the old version meanwhile must not take it for one that is on the device.
        let was_dirty = old.dirty.load(Ordering::Relaxed);
        self.count_clean(old);
        self.retire(replaced);
        Some(was_dirty)
    }

    /// Publishes a page just read, or a rebuilt old version, unless somebody else did so meanwhile.
    /// Names the publication, if it was published.
    pub fn publish_if_absent(
        &self,
        frame: OwnedFrame<'_>,
        key: PageKey,
        from: Scn,
        until: Scn,
    ) -> Option<Stamp> {
        let bucket = self.bucket(key);
        let _stripe = self.stripes[bucket % STRIPES].lock();
        // Where a rebuilt version goes: behind the newest one, which most readers look for.
        let mut place = &self.buckets[bucket];
        let (mut old_versions, mut oldest) = (0, None::<(u64, &AtomicU32)>);
        let mut link = &self.buckets[bucket];
        loop {
            let index = link.load(Ordering::Acquire);
            if index == NONE {
                break;
            }
            let header = &self.headers[index as usize];
            if header.is(key) {
                let (starts, ends) =
                    (header.from.load(Ordering::Relaxed), header.until.load(Ordering::Relaxed));
                if ends == until.0 && (until == Scn::MAX || starts <= from.0) {
                    return None;
                }
                if ends == u64::MAX {
                    place = &header.next;
                } else {
                    old_versions += 1;
                    let stamp = header.stamp.load(Ordering::Relaxed);
                    if oldest.is_none_or(|(earliest, _)| stamp < earliest) {
                        oldest = Some((stamp, link));
                    }
                }
            }
            link = &header.next;
        }
        if until == Scn::MAX {
            place = &self.buckets[bucket];
        } else if let Some((_, link)) = oldest.filter(|_| old_versions >= OLD_VERSIONS_MAX) {
            let index = link.load(Ordering::Acquire);
            let next = &self.headers[index as usize].next;
            if std::ptr::eq(place, next) {
                place = link;
            }
            link.store(next.load(Ordering::Acquire), Ordering::Release);
            self.retire(index);
        }
        let index = frame.into_index();
        let stamp = self.publications.fetch_add(1, Ordering::Relaxed);
        self.headers[index as usize].set(key, from, until, 0, stamp);
        self.headers[index as usize].next.store(place.load(Ordering::Acquire), Ordering::Relaxed);
        place.store(index, Ordering::Release);
        Some(Stamp(stamp))
    }

    /// Unlinks and retires the version of a page that was published under `stamp`, if it still is and is not
    /// dirty. Returns whether it was.
    pub fn remove_clean(&self, key: PageKey, stamp: Stamp) -> bool {
        let bucket = self.bucket(key);
        let _stripe = self.stripes[bucket % STRIPES].lock();
        let mut link = &self.buckets[bucket];
        loop {
            let index = link.load(Ordering::Acquire);
            if index == NONE {
                return false;
            }
            let header = &self.headers[index as usize];
            if header.is(key) && header.stamp.load(Ordering::Relaxed) == stamp.0 {
                if header.dirty.load(Ordering::Relaxed) != 0 {
                    return false;
                }
                link.store(header.next.load(Ordering::Acquire), Ordering::Release);
                self.retire(index);
                return true;
            }
            link = &header.next;
        }
    }

    /// Puts `index` at the place of the first frame in the chain that `replaces` accepts, else at the head.
    fn link(&self, bucket: usize, index: u32, replaces: impl Fn(&Header) -> bool) -> Option<u32> {
        let mut link = &self.buckets[bucket];
        loop {
            let old = link.load(Ordering::Acquire);
            if old == NONE {
                let head = self.buckets[bucket].load(Ordering::Acquire);
                self.headers[index as usize].next.store(head, Ordering::Relaxed);
                self.buckets[bucket].store(index, Ordering::Release);
                return None;
            }
            let header = &self.headers[old as usize];
            if replaces(header) {
                let next = header.next.load(Ordering::Acquire);
                self.headers[index as usize].next.store(next, Ordering::Relaxed);
                link.store(index, Ordering::Release);
                return Some(old);
            }
            link = &header.next;
        }
    }

    fn retire(&self, index: u32) {
        let epoch = epoch::retire_epoch();
        let mut list = self.free.lock();
        list.retired.push_back((epoch, index));
        if list.retired.len() >= RECLAIM_BATCH {
            list.reclaim(RECLAIM_BATCH);
        }
        drop(list);
        self.free_count.fetch_add(1, Ordering::Relaxed);
    }

    #[inline]
    fn bucket(&self, key: PageKey) -> usize {
        // Fibonacci hashing: page ids are consecutive, and so are branches, which share most of them. A product's bits
        // depend on lower ones only, so the branch has to be in all of them.
        let branch = key.branch.0.wrapping_mul(0xA076_1D64_78BD_642F);
        let mixed = (key.page.0 ^ branch).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 32) as usize & (self.buckets.len() - 1)
    }

    /// The page in a parked frame, for reading.
    ///
    /// # Panics
    /// When the frame is another pool's.
    #[inline]
    pub fn parked<'f>(&'f self, frame: &'f ParkedFrame) -> &'f [u8] {
        assert_eq!(frame.pool_address, &raw const *self as usize, "a frame is used with its own pool");
        // SAFETY: a parked frame is owned: nobody writes it while it is borrowed.
        unsafe { std::slice::from_raw_parts(self.address(frame.index), self.page_size) }
    }

    /// The page in a parked frame, for writing.
    ///
    /// # Panics
    /// When the frame is another pool's.
    #[inline]
    pub fn parked_mut<'f>(&'f self, frame: &'f mut ParkedFrame) -> &'f mut [u8] {
        assert_eq!(frame.pool_address, &raw const *self as usize, "a frame is used with its own pool");
        // SAFETY: a parked frame is owned, and `&mut` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.address(frame.index), self.page_size) }
    }

    /// Takes back a frame parked by [`OwnedFrame::park`].
    ///
    /// # Panics
    /// When the frame is another pool's.
    pub fn unpark(&self, frame: ParkedFrame) -> OwnedFrame<'_> {
        assert_eq!(frame.pool_address, &raw const *self as usize, "a frame goes back to its own pool");
        OwnedFrame { pool: self, index: frame.index }
    }

    #[inline]
    fn address(&self, index: u32) -> *mut u8 {
        self.arena.address(index as usize * self.page_size)
    }
}

impl FreeList {
    fn reclaim(&mut self, count_max: usize) {
        let oldest = epoch::oldest_pinned();
        for _ in 0..count_max {
            match self.retired.front() {
                Some(&(epoch, index)) if epoch < oldest => {
                    self.retired.pop_front();
                    self.free.push(index);
                }
                _ => return,
            }
        }
    }
}

impl Header {
    #[inline]
    fn is(&self, key: PageKey) -> bool {
        self.page.load(Ordering::Relaxed) == key.page.0 && self.branch.load(Ordering::Relaxed) == key.branch.0
    }

    #[inline]
    fn count_use(&self) {
        let uses = self.uses.load(Ordering::Relaxed);
        // Hot pages are not written at all, so readers on many cores do not fight for the line.
        if uses < USES_MAX {
            self.uses.store(uses + 1, Ordering::Relaxed);
        }
    }

    fn set(&self, key: PageKey, from: Scn, until: Scn, dirty: u8, stamp: u64) {
        self.branch.store(key.branch.0, Ordering::Relaxed);
        self.page.store(key.page.0, Ordering::Relaxed);
        self.from.store(from.0, Ordering::Relaxed);
        self.until.store(until.0, Ordering::Relaxed);
        self.stamp.store(stamp, Ordering::Relaxed);
        self.uses.store(0, Ordering::Relaxed);
        self.dirty.store(dirty, Ordering::Relaxed);
        self.counted.store(u8::from(dirty != 0), Ordering::Relaxed);
    }
}

/// Names one publication of one frame: the next version of the page has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(u64);

/// Pages that one reader has found; see [`PinnedReader`]. Kept to save its memory.
#[derive(Default)]
pub struct SeenPages(Vec<(PageKey, u32)>);

/// Reads newest versions and keeps all of them readable, whatever is published or evicted meanwhile.
pub struct PinnedReader<'p> {
    pool: &'p FramePool,
    guard: Guard,
    seen: std::cell::RefCell<SeenPages>,
}

impl<'p> PinnedReader<'p> {
    /// Pins the epoch for as long as the reader lives.
    pub fn new(pool: &'p FramePool, mut seen: SeenPages) -> PinnedReader<'p> {
        // What an earlier reader found is of an earlier epoch.
        seen.0.clear();
        PinnedReader { pool, guard: epoch::pin(), seen: seen.into() }
    }

    /// The newest version of a page, the same one at each call until [`PinnedReader::forget`].
    #[inline]
    pub fn newest(&self, key: PageKey) -> Option<&[u8]> {
        let seen = &mut self.seen.borrow_mut().0;
        if let Some((_, index)) = seen.iter().find(|entry| entry.0 == key) {
            // Found under this reader's own guard, so it is not reused while the guard lives.
            return Some(FrameRef { pool: self.pool, index: *index }.bytes());
        }
        let found = self.pool.find_newest(&self.guard, key)?;
        seen.push((key, found.index));
        Some(found.bytes())
    }

    /// Looks pages up anew from now on.
    #[inline]
    pub fn forget(&mut self) {
        self.seen.get_mut().0.clear();
    }

    /// Ends the reader.
    pub fn into_seen(self) -> SeenPages {
        self.seen.into_inner()
    }
}

impl<'p> OwnedFrame<'p> {
    /// The page, for reading.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the frame is owned: nobody writes it while `self` is borrowed.
        unsafe { std::slice::from_raw_parts(self.pool.address(self.index), self.pool.page_size) }
    }

    /// The page, for writing.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the frame is owned, and `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.pool.address(self.index), self.pool.page_size) }
    }

    /// Parks the frame, to be taken back with [`FramePool::unpark`]. The pool must not move meanwhile.
    pub fn park(self) -> ParkedFrame {
        let pool_address = &raw const *self.pool as usize;
        ParkedFrame { pool_address, index: self.into_index() }
    }

    fn into_index(self) -> u32 {
        let index = self.index;
        std::mem::forget(self);
        index
    }
}

impl Drop for OwnedFrame<'_> {
    fn drop(&mut self) {
        self.pool.free.lock().free.push(self.index);
        self.pool.free_count.fetch_add(1, Ordering::Relaxed);
    }
}

impl<'g> FrameRef<'g> {
    /// The page.
    #[inline]
    pub fn bytes(self) -> &'g [u8] {
        // SAFETY: the frame was published when it was found, and the guard whose lifetime is 'g keeps it
        // from being reused; published frames are not written.
        unsafe { std::slice::from_raw_parts(self.pool.address(self.index), self.pool.page_size) }
    }

    /// The first SCN at which this version is the page's.
    pub fn from(self) -> Scn {
        Scn(self.header().from.load(Ordering::Relaxed))
    }

    /// Which publication this is.
    pub fn stamp(self) -> Stamp {
        Stamp(self.header().stamp.load(Ordering::Relaxed))
    }

    /// Whether it changed since it was last written to the device.
    pub fn is_dirty(self) -> bool {
        self.header().dirty.load(Ordering::Relaxed) != 0
    }

    /// Says that this very version is on the device now.
    pub fn mark_clean(self) {
        self.header().dirty.store(0, Ordering::Relaxed);
        self.pool.count_clean(self.header());
    }

    /// Forgets one use, or all of them, and returns how many there were.
    pub fn age(self, forget_all: bool) -> u8 {
        let uses = self.header().uses.load(Ordering::Relaxed);
        self.header().uses.store(if forget_all { 0 } else { uses.saturating_sub(1) }, Ordering::Relaxed);
        uses
    }

    fn header(self) -> &'g Header {
        &self.pool.headers[self.index as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{BranchId, PageId};

    /// Branches share most of their pages' numbers, and none of them makes the search for another one's page longer.
    #[test]
    fn pages_of_many_branches_lie_apart() {
        let pool = FramePool::new(FramePool::size_bytes_min(4096) * 256, 4096).expect("a pool");
        let mut pages_in = vec![0; pool.buckets.len()];
        let (branches, pages) = (64, pool.frame_count() as u64 / 64);
        for branch in 0..branches {
            for page in 0..pages {
                pages_in[pool.bucket(PageKey::new(BranchId(branch), PageId(page)))] += 1;
            }
        }
        let longest = pages_in.iter().max().copied().unwrap_or(0);
        assert!(pages >= 4 && longest <= 8, "{longest} of {pages} pages of {branches} branches in one place");
    }

    /// A page that is changed again and again, with an old version rebuilt after each change: it keeps few of them, the newest
    /// stays first in its chain, and no frame is lost.
    #[test]
    fn few_rebuilt_versions_are_kept() {
        const CHANGES: u64 = 1_000;
        let pool = FramePool::new(FramePool::size_bytes_min(4096) * 4, 4096).expect("a pool");
        let key = PageKey::new(BranchId(1), PageId(7));
        let frames = pool.free_count();
        let publish = |from: u64| pool.publish(pool.try_allocate().expect("a frame"), key, Scn(from), 1);
        publish(2);
        for change in 2..CHANGES {
            let old = pool.try_allocate().expect("a frame");
            publish(2 * change);
            // The version before, for the snapshots between the two changes.
            assert!(pool.publish_if_absent(old, key, Scn(2 * change - 1), Scn(2 * change)).is_some());
            let guard = epoch::pin();
            let first = pool.buckets[pool.bucket(key)].load(Ordering::Acquire);
            assert_eq!(pool.headers[first as usize].until.load(Ordering::Relaxed), u64::MAX);
            let version = |scn: u64| pool.find(&guard, key, Scn(scn)).map(FrameRef::from);
            assert_eq!(version(2 * change), Some(Scn(2 * change)));
            for back in 0..CHANGES {
                let is_kept = back < (change - 1).min(OLD_VERSIONS_MAX as u64);
                let scn = (2 * change - 1).saturating_sub(2 * back);
                assert_eq!(version(scn), is_kept.then_some(Scn(scn)), "{back} changes before {change}");
            }
        }
        assert_eq!(pool.free_count(), frames - 1 - OLD_VERSIONS_MAX);
    }

    /// A version that is there already is not published once more, whichever place it has in the chain.
    #[test]
    fn what_is_there_is_not_published_again() {
        let pool = FramePool::new(FramePool::size_bytes_min(4096), 4096).expect("a pool");
        let key = PageKey::new(BranchId(1), PageId(7));
        let again = |from: u64, until: Scn| {
            pool.publish_if_absent(pool.try_allocate().expect("a frame"), key, Scn(from), until).is_some()
        };
        assert!(again(5, Scn(6)), "without a newest version");
        assert!(again(8, Scn::MAX));
        assert!(again(3, Scn(4)));
        assert!(!again(5, Scn(6)) && !again(3, Scn(4)) && !again(8, Scn::MAX));
        assert!(again(2, Scn(4)), "one that serves earlier snapshots as well");
    }
}
