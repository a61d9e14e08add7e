//! Shows that rows in key order are gathered into whole leaves and lose nothing by it: random sets of rows with shared
//! prefixes, large values, all page sizes and fill factors are loaded into a tree, in one commit or several; the tree is a
//! map at every moment, as full as was asked for, and takes ordinary inserts, deletes and merges afterwards.

mod pages;

use helios_btree::{Node, Writer, page_count};
use helios_bufferpool::Scn;
use pages::{AsOf, Model, Pages, ROOT, check};
use proptest::prelude::*;

/// What keys look like, from short ones to those that share most of their bytes.
#[derive(Clone, Copy, Debug)]
enum Keys {
    Numbers,
    Text,
    Long,
}

impl Keys {
    /// Keys in the numbers' order.
    fn key(self, number: u32) -> Vec<u8> {
        match self {
            Keys::Numbers => number.to_be_bytes().to_vec(),
            Keys::Text => format!("customers/{:07}/{}", number, "x".repeat(number as usize % 5)).into_bytes(),
            Keys::Long => {
                let mut key = vec![b'k'; 20 + number as usize / 40 % 90];
                key[10..14].copy_from_slice(&(number / 40).to_be_bytes());
                key.extend(number.to_be_bytes());
                key
            }
        }
    }
}

fn value(number: u32, bytes_max: usize) -> Vec<u8> {
    let spread = number.wrapping_mul(2_654_435_761) as usize >> 3;
    let bytes = if spread.is_multiple_of(61) { bytes_max * 20 } else { spread % (bytes_max + 1) };
    vec![number as u8; bytes]
}

#[derive(Clone, Debug)]
struct Load {
    keys: Keys,
    page_size: usize,
    fill_percent: u8,
    value_bytes_max: usize,
    /// How far each key is from the one before.
    steps: Vec<u32>,
    /// A commit ends behind each so many rows.
    rows_per_commit: usize,
    /// What happens to the tree afterwards: rows written (even) and removed (odd).
    changes: Vec<u32>,
}

fn loads() -> impl Strategy<Value = Load> {
    let keys = prop_oneof![Just(Keys::Numbers), Just(Keys::Text), Just(Keys::Long)];
    let page_size = prop_oneof![Just(1024usize), Just(4096), Just(8192), Just(32768)];
    let shape = (keys, page_size, 10u8..=100, prop_oneof![Just(0usize), Just(12), Just(300)]);
    let steps = proptest::collection::vec(1u32..9, 1..1500);
    let changes = proptest::collection::vec(any::<u32>(), 0..300);
    (shape, steps, 1usize..2000, changes).prop_map(|(shape, steps, rows_per_commit, changes)| Load {
        keys: shape.0,
        page_size: shape.1,
        fill_percent: shape.2,
        value_bytes_max: shape.3,
        steps,
        rows_per_commit,
        changes,
    })
}

fn run(load: &Load) {
    let mut pages = Pages::with_tree(load.page_size, load.fill_percent);
    let mut writer = Writer::default();
    let mut model = Model::new();
    let mut history = vec![(pages.scn, model.clone())];
    let mut number = 0;
    for rows in load.steps.chunks(load.rows_per_commit) {
        pages.scn.0 += 1;
        for step in rows {
            number += step;
            let (key, value) = (load.keys.key(number), value(number, load.value_bytes_max));
            assert!(!pages.put(&mut writer, &key, &value));
            model.insert(key, value);
        }
        writer.finish(&mut pages).unwrap();
        history.push((pages.scn, model.clone()));
    }
    check(&pages, &model);
    for change in &load.changes {
        pages.scn.0 += 1;
        let key = load.keys.key(change / 2 % (number + 20));
        if change.is_multiple_of(2) {
            let value = vec![1; *change as usize % 30];
            let existed = pages.put(&mut writer, &key, &value);
            assert_eq!(model.insert(key, value).is_some(), existed);
        } else {
            assert_eq!(writer.remove(&mut pages, ROOT, &key).unwrap(), model.remove(&key).is_some());
        }
        writer.finish(&mut pages).unwrap();
    }
    // Most of it goes again, so that pages join.
    history.push((pages.scn, model.clone()));
    pages.scn.0 += 1;
    let gone: Vec<Vec<u8>> =
        model.keys().skip(3).filter(|key| key[key.len() - 1] % 16 != 0).cloned().collect();
    for key in gone {
        assert!(writer.remove(&mut pages, ROOT, &key).unwrap());
        model.remove(&key);
    }
    check(&pages, &model);
    for (scn, model) in history.iter().rev().step_by(1 + history.len() / 6) {
        check(&AsOf(&pages, *scn), model);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..Default::default() })]
    #[test]
    fn loaded_trees_are_ordered_maps(load in loads()) {
        run(&load);
    }
}

/// A tree with so many short rows, loaded in one commit.
fn loaded(rows: u64, fill_percent: u8) -> Pages {
    let mut pages = Pages::with_tree(8192, fill_percent);
    let mut writer = Writer::default();
    pages.scn = Scn(2);
    for number in 0..rows {
        pages.put(&mut writer, &number.to_be_bytes(), &[1; 50]);
    }
    writer.finish(&mut pages).unwrap();
    pages
}

/// The used parts of the leaves that were built: all but the first and the last.
fn leaves(pages: &Pages) -> Vec<usize> {
    let nodes = pages.pages.values().map(|bytes| Node::new(bytes)).filter(|node| node.level() == 0);
    let built = nodes.filter(|node| node.upper_fence().is_some() && !node.lower_fence().is_empty());
    built.map(Node::used_bytes).collect()
}

#[test]
fn a_fill_factor_is_kept() {
    for fill_percent in [100, 90, 50, 10] {
        let pages = loaded(100_000, fill_percent);
        let full = (8192 - 80) * usize::from(fill_percent) / 100;
        let leaves = leaves(&pages);
        assert!(leaves.len() > 500);
        for used in leaves {
            // A row more, or a prefix that is shorter by a byte for each row, would be too much.
            assert!(used <= full && used + 200 > full, "{used} bytes of {full} at {fill_percent} percent");
        }
    }
}

/// Under a prefix that its rows share a leaf has room for more: the builder uses it.
#[test]
fn leaves_are_full_under_their_prefix() {
    let pages = loaded(50_000, 100);
    let bytes = 50_000 * (2 + 50 + 10 + 8);
    assert!(pages.pages.len() * 8192 < bytes * 104 / 100, "{} pages", pages.pages.len());
}

/// A run makes new pages only: the way back needs records of the root and of the leaf before it, none for each row.
#[test]
fn runs_leave_hardly_any_undo() {
    let pages = loaded(100_000, 100);
    let records: usize = pages.undo.values().map(Vec::len).sum();
    assert!(records < 500, "{records} records");
    check(&AsOf(&pages, Scn(1)), &Model::new());
}

/// The pages of a tree are told by its inner nodes: exactly by all of them, about by a few.
#[test]
fn pages_are_counted_by_inner_nodes() {
    assert_eq!(page_count(&Pages::with_tree(8192, 100), ROOT, 4), Ok(0.0));
    let pages = loaded(500_000, 90);
    let there = pages.pages.len() as f64;
    assert_eq!(page_count(&pages, ROOT, usize::MAX), Ok(there));
    let about = page_count(&pages, ROOT, 4).unwrap();
    assert!((about / there - 1.0).abs() < 0.2, "{about} pages of {there}");
}
