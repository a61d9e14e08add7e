//! Shows that a tree is an ordered map at every moment of its history: random puts and removes with short,
//! long and shared-prefix keys and with values up to several pages, compared with `BTreeMap` after each
//! commit, by point reads and by walks both ways; and every earlier version again through the undo records.

mod pages;

use helios_btree::{LeafCell, Node, PageRebuild, Writer, check_page, get};
use helios_bufferpool::Scn;
use pages::{AsOf, Model, Pages, ROOT, check, resolve};
use proptest::prelude::*;

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

/// Of few different bytes, so that a row's values often begin or end alike.
fn value_strategy() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => (0u8..2, 0usize..60, any::<u8>()).prop_map(|(byte, length, middle)| {
            [&vec![byte; length][..], &[middle], &vec![byte; length / 2]].concat()
        }),
        3 => (0u8..2, 0usize..60).prop_map(|(byte, length)| vec![byte; length]),
        2 => (0u8..2, 60usize..250).prop_map(|(byte, length)| vec![byte; length]),
        1 => (any::<u8>(), 250usize..5000).prop_map(|(byte, length)| vec![byte; length]),
    ]
}

#[derive(Clone, Debug)]
enum Operation {
    Put(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
    RemoveRange(u32, u32),
    PutRange(u32, u32, Vec<u8>),
}

fn operation_strategy() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => (key_strategy(), value_strategy()).prop_map(|(key, value)| Operation::Put(key, value)),
        3 => key_strategy().prop_map(Operation::Remove),
        1 => (0u32..500, 1u32..200).prop_map(|(start, count)| Operation::RemoveRange(start, count)),
        1 => (0u32..500, 1u32..100, value_strategy())
            .prop_map(|(start, count, value)| Operation::PutRange(start, count, value)),
    ]
}

fn put_both(pages: &mut Pages, writer: &mut Writer, model: &mut Model, key: &[u8], value: &[u8]) {
    let existed = pages.put(writer, key, value);
    assert_eq!(model.insert(key.to_vec(), value.to_vec()).is_some(), existed);
}

fn remove_both(pages: &mut Pages, writer: &mut Writer, model: &mut Model, key: &[u8]) {
    let existed = writer.remove(pages, ROOT, key).unwrap();
    assert_eq!(model.remove(key).is_some(), existed);
}

fn run(operations: Vec<Operation>) {
    let mut pages = Pages::with_tree(1024, 100);
    let mut writer = Writer::default();
    let mut model = Model::new();
    let mut history = vec![(Scn(1), model.clone())];
    for operation in operations {
        pages.scn.0 += 1;
        match operation {
            Operation::Put(key, value) => put_both(&mut pages, &mut writer, &mut model, &key, &value),
            Operation::Remove(key) => remove_both(&mut pages, &mut writer, &mut model, &key),
            Operation::RemoveRange(start, count) => (start..start + count).for_each(|number| {
                remove_both(&mut pages, &mut writer, &mut model, &number.to_be_bytes());
            }),
            Operation::PutRange(start, count, value) => (start..start + count).for_each(|number| {
                put_both(&mut pages, &mut writer, &mut model, &number.to_be_bytes(), &value);
            }),
        }
        writer.finish(&mut pages).unwrap();
        history.push((pages.scn, model.clone()));
        let probe = model.keys().nth(model.len() / 2).cloned().unwrap_or_default();
        let found = get(&pages, ROOT, &probe, |cell| cell.map(|cell| resolve(&pages, cell))).unwrap();
        assert_eq!(found.as_ref(), model.get(&probe));
    }
    check(&pages, &model);
    // What is made in memory is as what is read has to be.
    pages.pages.iter().for_each(|(page, bytes)| assert_eq!(check_page(bytes), Ok(()), "page {page}"));
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

/// Rows as earlier programs wrote them to histories, with lengths and SCNs of fixed width.
#[test]
fn operations_of_earlier_programs_are_read() {
    let mut pages = Pages::with_tree(4096, 100);
    let mut writer = Writer::default();
    for key in [b"ka", b"kb"] {
        pages.put(&mut writer, key, b"now");
    }
    writer.finish(&mut pages).unwrap();
    let old = |kind: u8, key: &[u8], value: &[u8]| {
        let mut bytes = vec![kind, key.len() as u8, 0];
        bytes.extend_from_slice(&7u64.to_le_bytes());
        bytes.extend_from_slice(&[value.len() as u8, 0]);
        [&bytes, key, value].concat()
    };
    let operations = [old(2, b"ka", b"earlier"), old(3, b"kc", &[5; 16]), vec![1, 2, 0, b'k', b'b']].concat();
    let mut rebuild = PageRebuild::new(&pages.pages[&ROOT]);
    rebuild.apply_all(Scn(9), &operations).unwrap();
    let mut built = vec![0; 4096];
    rebuild.finish(&mut built, Scn(8)).unwrap();
    let node = Node::new(&built);
    let rows: Vec<_> = (0..node.len()).map(|index| (node.key(index), node.leaf_cell(index))).collect();
    let row = |overflow, value| LeafCell { scn: Scn(7), overflow, value };
    assert_eq!(rows, [(b"ka".to_vec(), row(false, &b"earlier"[..])), (b"kc".to_vec(), row(true, &[5; 16]))]);
}
