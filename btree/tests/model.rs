//! Shows that a tree is an ordered map at every moment of its history: random puts and removes with short,
//! long and shared-prefix keys and with values up to several pages, compared with `BTreeMap` after each
//! commit, by point reads and by walks both ways; and every earlier version again through the undo records.

use std::collections::{BTreeMap, HashMap};
use std::ops::{Bound, ControlFlow};

use helios_btree::{
    ChainReader, Direction, PageRebuild, PageRef, ReadPages, UndoOp, UndoOps, Walk, WritePages, create, get,
    put, remove, walk_leaf,
};
use helios_bufferpool::{PageId, Scn, page};
use proptest::prelude::*;

const ROOT: PageId = PageId(1);

#[derive(Default)]
struct Pages {
    size: usize,
    pages: HashMap<PageId, Vec<u8>>,
    undo: HashMap<PageId, Vec<(Scn, Vec<u8>)>>,
    next: u64,
    scn: Scn,
}

impl ReadPages for Pages {
    type Fault = std::convert::Infallible;
    fn page(&self, page: PageId) -> Result<PageRef<'_>, Self::Fault> {
        Ok(PageRef::Frame(&self.pages[&page]))
    }
}

impl WritePages for Pages {
    fn prepare_levels(&mut self, _levels: usize) -> Result<(), Self::Fault> {
        Ok(())
    }

    fn page_mut(&mut self, page: PageId) -> &mut [u8] {
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
        self.undo.entry(page).or_default().push((self.scn, bytes));
    }
    fn undo_row(&mut self, page: PageId, index: usize) {
        let bytes = self.pages[&page].clone();
        let node = helios_btree::Node::new(&bytes);
        self.undo(page, &[UndoOp::Restore { key: &node.key(index), cell: node.leaf_cell(index) }]);
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
struct AsOf<'a>(&'a Pages, Scn);

impl ReadPages for AsOf<'_> {
    type Fault = std::convert::Infallible;
    fn page(&self, page: PageId) -> Result<PageRef<'_>, Self::Fault> {
        let bytes = &self.0.pages[&page];
        if page::kind(bytes) == Some(page::PageKind::Overflow) {
            return Ok(PageRef::Frame(bytes));
        }
        let mut rebuild = PageRebuild::new(bytes);
        for (scn, operations) in self.0.undo.get(&page).map_or(&[][..], Vec::as_slice).iter().rev() {
            if *scn > self.1 {
                UndoOps::new(operations).for_each(|operation| rebuild.apply(operation));
            }
        }
        let mut built = vec![0; self.0.size];
        rebuild.finish(&mut built, self.1);
        Ok(PageRef::Built(built.into()))
    }
}

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn resolve<P: ReadPages>(pages: &P, cell: helios_btree::LeafCell<'_>) -> Vec<u8>
where
    P::Fault: std::fmt::Debug,
{
    if !cell.overflow {
        return cell.value.to_vec();
    }
    let mut chain = ChainReader::new(cell.value.try_into().unwrap());
    while !chain.read(pages, 2).unwrap() {}
    chain.into_value()
}

fn contents<P: ReadPages>(pages: &P, direction: Direction) -> Vec<(Vec<u8>, Vec<u8>)>
where
    P::Fault: std::fmt::Debug,
{
    let mut rows = Vec::new();
    let mut bound = Bound::Unbounded;
    loop {
        let walk = walk_leaf(pages, ROOT, &bound, direction, &mut |prefix, suffix, cell| {
            rows.push(([prefix, suffix].concat(), resolve(pages, cell)));
            // Break now and then, so that resuming after a row is exercised too.
            if rows.len() % 7 == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        match walk.unwrap() {
            Walk::At(next) => bound = next,
            Walk::End => return rows,
        }
    }
}

fn check<P: ReadPages>(pages: &P, model: &Model)
where
    P::Fault: std::fmt::Debug,
{
    let expected: Vec<_> = model.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    assert_eq!(contents(pages, Direction::Forward), expected);
    let backward: Vec<_> = expected.into_iter().rev().collect();
    assert_eq!(contents(pages, Direction::Backward), backward);
}

fn key_strategy() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (0u32..500).prop_map(|number| number.to_be_bytes().to_vec()),
        2 => (0u8..4, 0u32..300).prop_map(|(group, number)| {
            [&vec![b'p'; 40][..], &[group], &number.to_be_bytes()].concat()
        }),
        1 => (0u8..60, 100usize..160).prop_map(|(byte, length)| vec![byte; length]),
        1 => proptest::collection::vec(any::<u8>(), 0..6),
    ]
}

fn value_strategy() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => (any::<u8>(), 0usize..60).prop_map(|(byte, length)| vec![byte; length]),
        2 => (any::<u8>(), 60usize..250).prop_map(|(byte, length)| vec![byte; length]),
        1 => (any::<u8>(), 250usize..5000).prop_map(|(byte, length)| vec![byte; length]),
    ]
}

#[derive(Clone, Debug)]
enum Operation {
    Put(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
    RemoveRange(u32, u32),
    PutRange(u32, u32),
}

fn operation_strategy() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => (key_strategy(), value_strategy()).prop_map(|(key, value)| Operation::Put(key, value)),
        3 => key_strategy().prop_map(Operation::Remove),
        1 => (0u32..500, 1u32..200).prop_map(|(start, count)| Operation::RemoveRange(start, count)),
        1 => (0u32..500, 1u32..100).prop_map(|(start, count)| Operation::PutRange(start, count)),
    ]
}

fn put_both(pages: &mut Pages, model: &mut Model, key: &[u8], value: &[u8]) {
    let existed = put(pages, ROOT, key, value).unwrap();
    assert_eq!(model.insert(key.to_vec(), value.to_vec()).is_some(), existed);
}

fn remove_both(pages: &mut Pages, model: &mut Model, key: &[u8]) {
    let existed = remove(pages, ROOT, key).unwrap();
    assert_eq!(model.remove(key).is_some(), existed);
}

fn run(operations: Vec<Operation>) {
    let mut pages = Pages { size: 1024, next: ROOT.0, scn: Scn(1), ..Default::default() };
    pages.pages.insert(ROOT, vec![0; 1024]);
    create(&mut pages, ROOT);
    let mut model = Model::new();
    let mut history = vec![(Scn(1), model.clone())];
    for operation in operations {
        pages.scn.0 += 1;
        match operation {
            Operation::Put(key, value) => put_both(&mut pages, &mut model, &key, &value),
            Operation::Remove(key) => remove_both(&mut pages, &mut model, &key),
            Operation::RemoveRange(start, count) => {
                (start..start + count)
                    .for_each(|number| remove_both(&mut pages, &mut model, &number.to_be_bytes()));
            }
            Operation::PutRange(start, count) => (start..start + count)
                .for_each(|number| put_both(&mut pages, &mut model, &number.to_be_bytes(), &[7; 20])),
        }
        history.push((pages.scn, model.clone()));
        let probe = model.keys().nth(model.len() / 2).cloned().unwrap_or_default();
        let found = get(&pages, ROOT, &probe, |cell| cell.map(|cell| resolve(&pages, cell))).unwrap();
        assert_eq!(found.as_ref(), model.get(&probe));
    }
    check(&pages, &model);
    for (scn, model) in history.iter().step_by(5) {
        check(&AsOf(&pages, *scn), model);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..Default::default() })]
    #[test]
    fn a_tree_is_an_ordered_map_at_every_scn(
        operations in proptest::collection::vec(operation_strategy(), 1..120)
    ) {
        run(operations);
    }
}

/// Loading in key order fills leaves almost completely.
#[test]
fn loading_in_order_fills_the_pages() {
    let mut pages = Pages { size: 8192, next: ROOT.0, scn: Scn(1), ..Default::default() };
    pages.pages.insert(ROOT, vec![0; 8192]);
    create(&mut pages, ROOT);
    for number in 0u64..50_000 {
        put(&mut pages, ROOT, &number.to_be_bytes(), &[1; 50]).unwrap();
    }
    let bytes = 50_000 * (8 + 50 + 10 + 8);
    assert!(pages.pages.len() * 8192 < bytes * 108 / 100, "{} pages", pages.pages.len());
}
