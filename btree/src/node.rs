//! The layout of leaf and inner pages, read side.
//!
//! After the common page header (`bufferpool::page`):
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 32 | 2 | number of slots |
//! | 34 | 1 | level: 0 for a leaf |
//! | 35 | 1 | bit 0: there is an upper fence (else the page reaches to the end of the tree) |
//! | 36 | 2 | length of the prefix that all keys share |
//! | 38 | 2 | length of the lower fence (inclusive; empty = from the start of the tree) |
//! | 40 | 2 | length of the upper fence (exclusive) |
//! | 42 | 2 | bytes of dead cells between `upper` and the page's end |
//! | 44 | 1 | fill factor: how full, in percent, rows in key order make a leaf of this tree; 0 for 100 |
//! | 45 | 3 | reserved, zero |
//! | 48 | … | lower fence, upper fence, then the slots in key order; `lower` is their end |
//!
//! A slot is 8 bytes: the first four bytes of the key's suffix (big-endian number, zero-padded), the cell's
//! offset (2), the suffix's length (2). The prefix is the first bytes of the lower fence. Cells grow from the
//! page's end towards `upper`:
//!
//! * leaf: SCN of the row's writer (8), length of the value with bit 15 saying "overflow" (2), suffix, value;
//! * inner: child page (8), suffix. The first inner key is always empty: it stands for the lower fence.
//!
//! Separators are cut to the shortest string that still separates (Bayer, Unterauer: "Prefix B-trees", 1977).

use std::cmp::Ordering;
use std::hint::select_unpredictable;

use helios_bufferpool::page::{self, PageKind};
use helios_bufferpool::{PageId, Scn};

pub(crate) const NODE_HEADER_BYTES: usize = 48;
pub(crate) const SLOT_BYTES: usize = 8;
pub(crate) const LEAF_CELL_HEADER_BYTES: usize = 10;
pub(crate) const INNER_CELL_HEADER_BYTES: usize = 8;
pub(crate) const OVERFLOW_FLAG: u16 = 0x8000;
const HAS_UPPER_FENCE: u8 = 1;
/// How many cells a walk asks the memory for ahead of the one it visits.
pub(crate) const CELLS_AHEAD: usize = 5;
/// The same for a walk that reads but the cells' heads, and so is quicker than the memory.
const HEADS_AHEAD: usize = 16;

/// The longest key a tree takes, for a page size in bytes.
pub fn key_bytes_max(page_size: usize) -> usize {
    page_size / 6
}

/// The longest cell with its slot; larger values go to overflow pages.
pub(crate) fn cell_bytes_max(page_size: usize) -> usize {
    page_size / 4
}

#[inline(always)]
pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes([bytes[offset], bytes[offset + 1]])
}

#[inline(always)]
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().expect("eight bytes"))
}

/// The first four bytes of a suffix as a number that sorts as the bytes do.
#[inline]
pub(crate) fn head(suffix: &[u8]) -> u32 {
    if suffix.len() >= 4 {
        return u32::from_be_bytes([suffix[0], suffix[1], suffix[2], suffix[3]]);
    }
    let mut bytes = [0; 4];
    bytes[..suffix.len()].copy_from_slice(suffix);
    u32::from_be_bytes(bytes)
}

/// The slots among which the first one lies whose head is not smaller than `wanted`, or that right behind them.
///
/// Heads are often spread evenly, as those of numbers are: then the place can be guessed, and a page that is in no
/// processor cache costs the lines around the guess instead of one for each halving.
#[inline]
fn likely_window(count: usize, wanted: u32, head_at: impl Fn(usize) -> u32) -> (usize, usize) {
    const WINDOW: usize = 8;
    if count < 4 * WINDOW {
        return (0, count);
    }
    let (first, last) = (head_at(0), head_at(count - 1));
    if wanted <= first || wanted >= last {
        return (0, count);
    }
    let span = u64::from(last - first);
    let guess = (u64::from(wanted - first) * (count as u64 - 1) / span) as usize;
    if head_at(guess) < wanted {
        let end = (guess + WINDOW).min(count - 1);
        return (guess + 1, if head_at(end) < wanted { count } else { end + 1 });
    }
    let start = guess.saturating_sub(WINDOW);
    (if head_at(start) < wanted { start + 1 } else { 0 }, guess + 1)
}

/// The order of two suffixes whose heads are the same.
#[inline]
fn compare_behind_heads(left: &[u8], right: &[u8]) -> Ordering {
    const SHORT_BYTES: usize = 16;
    let shorter = left.len().min(right.len());
    if shorter <= 4 {
        // The head is all of the shorter one, which the longer one begins with.
        return left.len().cmp(&right.len());
    }
    if shorter > SHORT_BYTES {
        return left[4..].cmp(&right[4..]);
    }
    // Keys at the edges of a tree share no prefix that could be cut off, so this happens at most steps of a search
    // there; for few bytes, a call costs more than the comparison.
    if let (Some(first), Some(other)) = (left.first_chunk(), right.first_chunk()) {
        let ordering = u64::from_be_bytes(*first).cmp(&u64::from_be_bytes(*other));
        // Where these are the same, the last eight differ where what is between differs.
        return ordering
            .then_with(|| u64_ending(left, shorter).cmp(&u64_ending(right, shorter)))
            .then_with(|| left.len().cmp(&right.len()));
    }
    let unequal = (4..shorter).find(|at| left[*at] != right[*at]);
    unequal.map_or_else(|| left.len().cmp(&right.len()), |at| left[at].cmp(&right[at]))
}

/// The eight bytes before `end` as a number that sorts as they do.
#[inline(always)]
fn u64_ending(bytes: &[u8], end: usize) -> u64 {
    u64::from_be_bytes(bytes[end - 8..end].try_into().expect("eight bytes"))
}

/// A leaf or inner page.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    pub(crate) bytes: &'a [u8],
}

/// What a node is, but for its cells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape<'a> {
    pub(crate) level: u8,
    pub(crate) fill_percent: u8,
    pub(crate) lower: &'a [u8],
    pub(crate) upper: Option<&'a [u8]>,
}

/// How many bytes of a page are filled by rows that come in key order.
pub(crate) fn fill_bytes(page_size: usize, fill_percent: u8) -> usize {
    page::content_end(page_size) * usize::from(fill_percent) / 100
}

/// A row in a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafCell<'a> {
    /// Who wrote it.
    pub scn: Scn,
    /// Whether `value` names overflow pages instead of being the value itself.
    pub overflow: bool,
    /// The value's bytes.
    pub value: &'a [u8],
}

/// Where in a leaf's page the value of a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValuePlace {
    /// Its first byte.
    pub start: u32,
    /// The byte behind it; within the page.
    pub end: u32,
}

impl<'a> Node<'a> {
    /// Views a page as a node.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Node<'a> {
        Node { bytes }
    }

    /// The height above the leaves.
    #[inline]
    pub fn level(self) -> u8 {
        self.bytes[34]
    }

    /// Whether it holds rows.
    #[inline]
    pub fn is_leaf(self) -> bool {
        self.level() == 0
    }

    /// Whether it is a node `level` above the leaves: a child is trusted to be one level lower than its parent only where
    /// that was looked at, since its page was checked by itself alone.
    #[inline(always)]
    pub(crate) fn is_at(self, level: u8) -> bool {
        self.bytes[34] == level && self.bytes[0] != PageKind::Overflow as u8
    }

    /// The number of rows or children.
    #[inline]
    pub fn len(self) -> usize {
        usize::from(u16_at(self.bytes, 32))
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub(crate) fn prefix_len(self) -> usize {
        usize::from(u16_at(self.bytes, 36))
    }

    /// The bytes that all keys begin with.
    #[inline]
    pub fn prefix(self) -> &'a [u8] {
        &self.bytes[NODE_HEADER_BYTES..NODE_HEADER_BYTES + self.prefix_len()]
    }

    /// The smallest key that may be here.
    #[inline]
    pub fn lower_fence(self) -> &'a [u8] {
        &self.bytes[NODE_HEADER_BYTES..NODE_HEADER_BYTES + usize::from(u16_at(self.bytes, 38))]
    }

    /// The smallest key that is beyond this page; `None` at the right edge of the tree.
    #[inline]
    pub fn upper_fence(self) -> Option<&'a [u8]> {
        if self.bytes[35] & HAS_UPPER_FENCE == 0 {
            return None;
        }
        let start = NODE_HEADER_BYTES + usize::from(u16_at(self.bytes, 38));
        Some(&self.bytes[start..start + usize::from(u16_at(self.bytes, 40))])
    }

    /// How full rows in key order make the pages of this tree.
    pub(crate) fn fill_percent(self) -> u8 {
        if self.bytes[44] == 0 { 100 } else { self.bytes[44] }
    }

    /// What it is, but for its cells.
    pub(crate) fn shape(self) -> Shape<'a> {
        Shape {
            level: self.level(),
            fill_percent: self.fill_percent(),
            lower: self.lower_fence(),
            upper: self.upper_fence(),
        }
    }

    /// Whether a row at `place` of a leaf comes behind all others of the tree, and beyond what the fill factor leaves for
    /// such. Inner nodes fill completely: a leaf that splits later needs room in one of them only.
    #[inline]
    pub(crate) fn is_full_at_end(self, place: Result<usize, usize>, cell_bytes: usize) -> bool {
        self.bytes[44] != 0
            && self.is_leaf()
            && place == Err(self.len())
            && !self.is_empty()
            && self.upper_fence().is_none()
            && self.used_bytes() + cell_bytes + SLOT_BYTES > fill_bytes(self.bytes.len(), self.bytes[44])
    }

    /// Whether `key` belongs here.
    #[inline]
    pub fn covers(self, key: &[u8]) -> bool {
        key >= self.lower_fence() && self.upper_fence().is_none_or(|fence| key < fence)
    }

    #[inline(always)]
    pub(crate) fn slots_start(self) -> usize {
        NODE_HEADER_BYTES + usize::from(u16_at(self.bytes, 38)) + usize::from(u16_at(self.bytes, 40))
    }

    #[inline(always)]
    pub(crate) fn slot(self, index: usize) -> (u32, usize, usize) {
        let start = self.slots_start() + index * SLOT_BYTES;
        let slot = u64_at(self.bytes, start);
        (slot as u32, (slot >> 32) as u16 as usize, (slot >> 48) as usize)
    }

    #[inline]
    fn cell_header_bytes(self) -> usize {
        if self.is_leaf() { LEAF_CELL_HEADER_BYTES } else { INNER_CELL_HEADER_BYTES }
    }

    /// The key at `index` without the prefix.
    #[inline]
    pub fn suffix(self, index: usize) -> &'a [u8] {
        let (_, offset, length) = self.slot(index);
        let start = offset + self.cell_header_bytes();
        &self.bytes[start..start + length]
    }

    /// The whole key at `index`, appended to `key`.
    pub fn key_into(self, index: usize, key: &mut Vec<u8>) {
        key.extend_from_slice(self.prefix());
        key.extend_from_slice(self.suffix(index));
    }

    /// The whole key at `index`.
    pub fn key(self, index: usize) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.prefix_len() + 32);
        self.key_into(index, &mut key);
        key
    }

    /// The row at `index` of a leaf.
    #[inline]
    pub fn leaf_cell(self, index: usize) -> LeafCell<'a> {
        self.leaf_row(index).1
    }

    /// The row at `index` of a leaf, behind its key without the prefix.
    // Inlined in any case: a cell that is given through memory is loaded in other widths than it was stored in.
    #[inline(always)]
    pub(crate) fn leaf_row(self, index: usize) -> (&'a [u8], LeafCell<'a>) {
        self.leaf_row_at(u64_at(self.bytes, self.slots_start() + index * SLOT_BYTES))
    }

    /// The row of a slot.
    #[inline(always)]
    pub(crate) fn leaf_row_at(self, slot: u64) -> (&'a [u8], LeafCell<'a>) {
        let (offset, suffix_length) = (usize::from((slot >> 32) as u16), (slot >> 48) as usize);
        let (header, rest) =
            self.bytes[offset..].split_first_chunk::<LEAF_CELL_HEADER_BYTES>().expect("a cell has a header");
        let [scn @ .., low, high] = *header;
        let (scn, length) = (Scn(u64::from_le_bytes(scn)), u16::from_le_bytes([low, high]));
        let (suffix, value) = rest.split_at(suffix_length);
        let value = &value[..usize::from(length & !OVERFLOW_FLAG)];
        (suffix, LeafCell { scn, overflow: length & OVERFLOW_FLAG != 0, value })
    }

    /// The cell of a slot of a leaf.
    #[inline(always)]
    pub(crate) fn raw_leaf_cell(self, slot: u64) -> &'a [u8] {
        let (offset, suffix_length) = (usize::from((slot >> 32) as u16), (slot >> 48) as usize);
        let length = u16_at(self.bytes, offset + LEAF_CELL_HEADER_BYTES - 2) & !OVERFLOW_FLAG;
        &self.bytes[offset..offset + LEAF_CELL_HEADER_BYTES + suffix_length + usize::from(length)]
    }

    /// The slots of some rows of a leaf, in order.
    pub(crate) fn slots(self, rows: std::ops::Range<usize>) -> &'a [[u8; SLOT_BYTES]] {
        let slots = &self.bytes[self.slots_start()..][..self.len() * SLOT_BYTES];
        &slots.as_chunks::<SLOT_BYTES>().0[rows]
    }

    /// Where the values of some rows of a leaf are. `false`, and not all of them, where one is on pages of its own.
    pub(crate) fn value_places(self, rows: std::ops::Range<usize>, places: &mut Vec<ValuePlace>) -> bool {
        let slots = self.slots(rows);
        places.clear();
        places.reserve(slots.len());
        slots.iter().take(HEADS_AHEAD).for_each(|slot| self.prefetch_slot(u64::from_le_bytes(*slot)));
        for (at, slot) in slots.iter().enumerate() {
            if let Some(slot) = slots.get(at + HEADS_AHEAD) {
                self.prefetch_slot(u64::from_le_bytes(*slot));
            }
            let slot = u64::from_le_bytes(*slot);
            let (offset, suffix_length) = (usize::from((slot >> 32) as u16), (slot >> 48) as usize);
            let length = u16_at(self.bytes, offset + LEAF_CELL_HEADER_BYTES - 2);
            if length & OVERFLOW_FLAG != 0 {
                return false;
            }
            let start = offset + LEAF_CELL_HEADER_BYTES + suffix_length;
            let end = start + usize::from(length);
            assert!(end <= self.bytes.len(), "a cell is in its page");
            places.push(ValuePlace { start: start as u32, end: end as u32 });
        }
        true
    }

    /// Says that the cell of a slot is read soon.
    #[inline(always)]
    pub(crate) fn prefetch_slot(self, slot: u64) {
        helios_bufferpool::prefetch(self.bytes, usize::from((slot >> 32) as u16));
    }

    /// The child at `index` of an inner node.
    #[inline]
    pub fn child(self, index: usize) -> PageId {
        let (_, offset, _) = self.slot(index);
        PageId(u64_at(self.bytes, offset))
    }

    /// Bytes from the cell's start to its end.
    pub(crate) fn cell_bytes(self, index: usize) -> usize {
        let (_, offset, suffix_length) = self.slot(index);
        if self.is_leaf() {
            let length = u16_at(self.bytes, offset + 8) & !OVERFLOW_FLAG;
            LEAF_CELL_HEADER_BYTES + suffix_length + usize::from(length)
        } else {
            INNER_CELL_HEADER_BYTES + suffix_length
        }
    }

    /// The cell's bytes and where its suffix lies in them.
    pub(crate) fn raw_cell(self, index: usize) -> &'a [u8] {
        let (_, offset, _) = self.slot(index);
        &self.bytes[offset..offset + self.cell_bytes(index)]
    }

    /// How the key at `index` of a leaf compares with one that begins with the prefix and goes on with `suffix`.
    #[inline]
    pub(crate) fn order(self, index: usize, suffix: &[u8]) -> Ordering {
        let slot = u64_at(self.bytes, self.slots_start() + index * SLOT_BYTES);
        (slot as u32).cmp(&head(suffix)).then_with(|| {
            let start = usize::from((slot >> 32) as u16) + LEAF_CELL_HEADER_BYTES;
            compare_behind_heads(&self.bytes[start..start + (slot >> 48) as usize], suffix)
        })
    }

    /// The place of `key`: `Ok` where it is, `Err` where it would go. `key` must be covered by the fences.
    #[inline]
    pub fn search(self, key: &[u8]) -> Result<usize, usize> {
        // Shorter than the prefix is no key that belongs here.
        let suffix = key.get(self.prefix_len()..).unwrap_or_default();
        let wanted = head(suffix);
        let slots = &self.bytes[self.slots_start()..][..self.len() * SLOT_BYTES];
        let (slots, _) = slots.as_chunks::<SLOT_BYTES>();
        let head_at = |index: usize| u64::from_le_bytes(slots[index]) as u32;
        let cell_header = self.cell_header_bytes();
        let compare = |index: usize| {
            let slot = u64::from_le_bytes(slots[index]);
            (slot as u32).cmp(&wanted).then_with(|| {
                let start = usize::from((slot >> 32) as u16) + cell_header;
                compare_behind_heads(&self.bytes[start..start + (slot >> 48) as usize], suffix)
            })
        };
        // Rows mostly come at the end of a tree, where keys share no prefix that was cut off, and so have one head.
        match slots.len().checked_sub(1) {
            Some(last) if head_at(last) <= wanted && compare(last) == Ordering::Less => return Err(last + 1),
            Some(_) => {}
            None => return Err(0),
        }
        // The first slot whose head is not smaller: where the heads tell, which is most places, no branch depends on
        // the keys.
        let (mut low, end) = likely_window(slots.len(), wanted, head_at);
        let mut size = end - low;
        while size > 1 {
            let half = size / 2;
            low = select_unpredictable(head_at(low + half - 1) < wanted, low + half, low);
            size -= half;
        }
        low += usize::from(size == 1 && head_at(low) < wanted);
        let mut high = slots.len();
        while low < high {
            // Those with the same head follow one another, and mostly there is but one.
            let middle = if low + 1 < high && head_at(low + 1) == wanted { (low + high) / 2 } else { low };
            match compare(middle) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    /// The child that covers `key`, in an inner node.
    #[inline]
    pub fn child_index(self, key: &[u8]) -> usize {
        match self.search(key) {
            Ok(index) => index,
            // The first key is empty, so nothing sorts before it but itself.
            Err(index) => index.saturating_sub(1),
        }
    }

    /// Bytes in use: header, fences, slots and live cells.
    pub fn used_bytes(self) -> usize {
        usize::from(page::lower(self.bytes)) + page::content_end(self.bytes.len())
            - usize::from(page::upper(self.bytes))
            - usize::from(u16_at(self.bytes, 42))
    }

    /// Bytes free between slots and cells, dead cells not counted.
    pub(crate) fn gap_bytes(self) -> usize {
        usize::from(page::upper(self.bytes)) - usize::from(page::lower(self.bytes))
    }

    pub(crate) fn garbage_bytes(self) -> usize {
        usize::from(u16_at(self.bytes, 42))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the heads are, the window holds the first that is not smaller, or ends right before it.
    #[test]
    fn windows_hold_what_is_wanted() {
        let spreads: [fn(u32) -> u32; 5] = [
            |at| at,
            |at| at * 1_000_003,
            |at| at * at * at,
            |at| at / 40,
            |at| if at < 50 { 5 } else { u32::MAX - 100 + at },
        ];
        for spread in spreads {
            for count in [0, 1, 31, 32, 33, 100] {
                let heads: Vec<u32> = (0..count).map(spread).collect();
                let around =
                    heads.iter().flat_map(|head| [head.saturating_sub(1), *head, head.saturating_add(1)]);
                for wanted in around {
                    let (low, high) = likely_window(heads.len(), wanted, |at| heads[at]);
                    let place = heads.partition_point(|head| *head < wanted);
                    assert!(low <= place && place <= high && high <= heads.len(), "{wanted} of {count}");
                }
            }
        }
    }

    /// All suffixes of up to six bytes out of three, and some longer ones: those with the same head sort as bytes do.
    #[test]
    fn suffixes_with_one_head_sort_as_bytes() {
        let mut suffixes: Vec<Vec<u8>> = vec![Vec::new()];
        for length in 0..6 {
            let longer = suffixes.iter().filter(|each| each.len() == length).cloned().collect::<Vec<_>>();
            for byte in [0, 1, 255] {
                suffixes.extend(longer.iter().map(|each| [each.as_slice(), &[byte]].concat()));
            }
        }
        let long: Vec<Vec<u8>> =
            suffixes.iter().step_by(29).map(|each| [&[7; 6], each.as_slice(), &[9; 8]].concat()).collect();
        let longest: Vec<Vec<u8>> = long.iter().map(|each| [each.as_slice(), each].concat()).collect();
        suffixes.extend(long.into_iter().chain(longest));
        let mut compared = 0;
        for left in &suffixes {
            for right in suffixes.iter().filter(|right| head(right) == head(left)) {
                assert_eq!(compare_behind_heads(left, right), left.cmp(right), "{left:?} {right:?}");
                compared += 1;
            }
        }
        assert!(compared > 10_000, "{compared}");
    }
}
