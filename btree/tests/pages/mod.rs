//! Pages in a map, with every undo record kept; and what a tree on them holds, compared with a map.

use std::collections::{BTreeMap, HashMap};
use std::ops::{Bound, ControlFlow};

use helios_btree::{
    ChainReader, ChainWriter, Direction, Near, PageRebuild, PageRef, ReadPages, RowValue, UndoOp, ValuePlace,
    Walk, WritePages, Writer, check_page, create, is_overflow, walk_leaf, walk_leaf_values,
};
use helios_bufferpool::{PageId, Scn, page};

pub const ROOT: PageId = PageId(1);

#[derive(Default)]
pub struct Pages {
    pub size: usize,
    pub pages: HashMap<PageId, Vec<u8>>,
    pub undo: HashMap<PageId, Vec<(Scn, Vec<u8>)>>,
    pub next: u64,
    pub scn: Scn,
    /// Which commit copied a page last: what it changes or records, it has copied before.
    copied: HashMap<PageId, Scn>,
}

impl ReadPages for Pages {
    type Fault = &'static str;
    fn page(&self, page: PageId) -> Result<PageRef<'_>, Self::Fault> {
        self.pages.get(&page).map(|bytes| PageRef::Frame(bytes)).ok_or("it is missing")
    }
    fn damaged(&self, _page: PageId, what: &'static str) -> Self::Fault {
        what
    }
}

impl WritePages for Pages {
    fn prepare_levels(&mut self, _levels: usize) -> Result<(), Self::Fault> {
        Ok(())
    }

    fn page_mut(&mut self, page: PageId) -> &mut [u8] {
        self.copied.insert(page, self.scn);
        self.pages.get_mut(&page).unwrap()
    }
    fn allocate(&mut self) -> PageId {
        self.next += 1;
        let mut bytes = vec![0xAA; self.size];
        bytes[..48].fill(0);
        page::set_created_raw(&mut bytes, self.scn.0);
        self.pages.insert(PageId(self.next), bytes);
        PageId(self.next)
    }
    fn free(&mut self, _page: PageId) {}
    fn undo(&mut self, page: PageId, operations: &[UndoOp<'_>]) {
        let mut bytes = Vec::new();
        operations.iter().for_each(|operation| operation.encode(&mut bytes));
        self.keep(page, bytes);
    }
    fn undo_row(&mut self, page: PageId, index: usize, newer: Option<&[u8]>) {
        let mut operation = Vec::new();
        helios_btree::encode_restore(&self.pages[&page], index, newer, &mut operation);
        self.keep(page, operation);
    }
    fn undo_image(&mut self, page: PageId) {
        let bytes = self.pages[&page].clone();
        self.undo(page, &[UndoOp::Image { page: &bytes }]);
    }
    fn scn(&self) -> Scn {
        self.scn
    }
    fn page_size(&self) -> usize {
        self.size
    }
}

/// The pages as they were at an earlier SCN.
pub struct AsOf<'a>(pub &'a Pages, pub Scn);

impl ReadPages for AsOf<'_> {
    type Fault = &'static str;
    fn page(&self, page: PageId) -> Result<PageRef<'_>, Self::Fault> {
        let bytes = self.0.pages.get(&page).ok_or("it is missing")?;
        if page::kind(bytes) == Some(page::PageKind::Overflow) {
            return Ok(PageRef::Frame(bytes));
        }
        let mut rebuild = PageRebuild::new(bytes);
        for (scn, operations) in self.0.undo.get(&page).map_or(&[][..], Vec::as_slice).iter().rev() {
            if *scn > self.1 {
                rebuild.apply_all(*scn, operations)?;
            }
        }
        let mut built = vec![0; self.0.size];
        rebuild.finish(&mut built, self.1)?;
        check_page(&built)?;
        Ok(PageRef::Built(built.into()))
    }
    fn damaged(&self, _page: PageId, what: &'static str) -> Self::Fault {
        what
    }
}

pub type Model = BTreeMap<Vec<u8>, Vec<u8>>;

pub fn resolve<P: ReadPages>(pages: &P, cell: helios_btree::LeafCell<'_>) -> Vec<u8>
where
    P::Fault: std::fmt::Debug,
{
    resolve_or_fault(pages, cell).unwrap()
}

/// A row's value, from its pages where it has some.
pub fn resolve_or_fault<P: ReadPages>(
    pages: &P,
    cell: helios_btree::LeafCell<'_>,
) -> Result<Vec<u8>, P::Fault> {
    if !cell.overflow {
        return Ok(cell.value.to_vec());
    }
    let mut chain = ChainReader::new(cell.value.try_into().unwrap());
    while !chain.read(pages, 2)? {}
    Ok(chain.into_value())
}

pub fn contents<P: ReadPages>(pages: &P, direction: Direction) -> Vec<(Vec<u8>, Vec<u8>)>
where
    P::Fault: std::fmt::Debug,
{
    let mut rows = Vec::new();
    let mut bound = Bound::Unbounded;
    loop {
        let walk = walk_leaf(
            pages,
            ROOT,
            &mut Near::default(),
            &bound,
            &Bound::Unbounded,
            direction,
            |prefix, suffix, cell| {
                rows.push(([prefix, suffix].concat(), resolve(pages, cell)));
                // Break now and then, so that resuming after a row is exercised too.
                if rows.len() % 7 == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            },
        );
        match walk.unwrap() {
            Walk::At(next) => bound = next,
            Walk::End => return rows,
        }
    }
}

/// The values between two bounds, of many rows at a time where that is possible; now and then fewer are taken than there are.
fn values<P: ReadPages>(pages: &P, from: &Bound<Vec<u8>>, to: &Bound<Vec<u8>>) -> Vec<Vec<u8>>
where
    P::Fault: std::fmt::Debug,
{
    let (mut found, mut near, mut places, mut from) = (Vec::new(), Near::default(), Vec::new(), from.clone());
    for step in 0.. {
        let taken = walk_leaf_values(pages, ROOT, &mut near, (&from, to), &mut places, |page, places| {
            let taken = if step % 3 == 0 { places.len().min(4) } else { places.len() };
            let value = |place: &ValuePlace| page[place.start as usize..place.end as usize].to_vec();
            found.extend(places[..taken].iter().map(value));
            taken
        });
        let walk = taken.unwrap().unwrap_or_else(|| {
            walk_leaf(pages, ROOT, &mut near, &from, to, Direction::Forward, |_, _, cell| {
                found.push(resolve(pages, cell));
                if found.len() % 5 == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .unwrap()
        });
        match walk {
            Walk::At(next) => from = next,
            Walk::End => break,
        }
    }
    found
}

fn check_values<P: ReadPages>(pages: &P, model: &Model)
where
    P::Fault: std::fmt::Debug,
{
    let keys: Vec<&Vec<u8>> = model.keys().collect();
    let at = |part: usize| keys.get(keys.len() * part / 4).map(|key| (*key).clone()).unwrap_or_default();
    let beyond = |part: usize| [&at(part)[..], &[1]].concat();
    let ranges = [
        (Bound::Unbounded, Bound::Unbounded),
        (Bound::Included(at(1)), Bound::Included(at(3))),
        (Bound::Excluded(at(1)), Bound::Excluded(at(1))),
        (Bound::Included(at(2)), Bound::Included(at(2))),
        (Bound::Included(beyond(0)), Bound::Excluded(beyond(1))),
    ];
    for (from, to) in ranges {
        let within = model.iter().filter(|(key, _)| {
            let after = match &from {
                Bound::Included(from) => *key >= from,
                Bound::Excluded(from) => *key > from,
                Bound::Unbounded => true,
            };
            after
                && match &to {
                    Bound::Included(to) => *key <= to,
                    Bound::Excluded(to) => *key < to,
                    Bound::Unbounded => true,
                }
        });
        let expected: Vec<Vec<u8>> = within.map(|(_, value)| value.clone()).collect();
        assert_eq!(values(pages, &from, &to), expected, "{from:?} to {to:?}");
    }
}

pub fn check<P: ReadPages>(pages: &P, model: &Model)
where
    P::Fault: std::fmt::Debug,
{
    check_values(pages, model);
    let expected: Vec<_> = model.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    assert_eq!(contents(pages, Direction::Forward), expected);
    let backward: Vec<_> = expected.into_iter().rev().collect();
    assert_eq!(contents(pages, Direction::Backward), backward);
}

impl Pages {
    /// Keeps the encoded operations that take back what this commit is about to do to a page.
    fn keep(&mut self, page: PageId, operations: Vec<u8>) {
        assert_eq!(self.copied.get(&page), Some(&self.scn), "page {page} is copied before its undo");
        // Nobody can go back behind its first version.
        if page::created(&self.pages[&page]) != self.scn {
            self.undo.entry(page).or_default().push((self.scn, operations));
        }
    }

    /// An empty tree.
    pub fn with_tree(size: usize, fill_percent: u8) -> Pages {
        let mut pages = Pages { size, next: ROOT.0, scn: Scn(1), ..Default::default() };
        let mut root = vec![0; size];
        page::set_created_raw(&mut root, 1);
        pages.pages.insert(ROOT, root);
        create(&mut pages, ROOT, fill_percent);
        pages
    }

    /// Writes a row, on overflow pages where it is large.
    pub fn put(&mut self, writer: &mut Writer, key: &[u8], value: &[u8]) -> bool {
        self.try_put(writer, key, value).unwrap()
    }

    /// The same where pages may be missing or damaged.
    pub fn try_put(&mut self, writer: &mut Writer, key: &[u8], value: &[u8]) -> Result<bool, &'static str> {
        if !is_overflow(key.len(), value.len(), self.size) {
            if writer.append(ROOT, key, RowValue::Inline(value)) {
                return Ok(false);
            }
            return writer.put(self, ROOT, key, RowValue::Inline(value));
        }
        let mut chain = ChainWriter::new(value.len());
        while !chain.write(self, value, 2) {}
        writer.put(self, ROOT, key, RowValue::Chain(&chain.pointer()))
    }
}
