//! Bytes that somebody else chose, their checksum being right: pages and reverse operations of a real tree with bytes changed,
//! pages in each other's places. Whoever loads a page checks it by itself; whatever passes, reading and writing it ends, as a
//! fault where pages do not belong together, and never panics.

#[expect(dead_code, reason = "comparisons with a map, which forged pages are not")]
mod pages;

use std::ops::Bound;

use helios_btree::{
    Direction, Gap, Near, Node, Walk, Writer, check_page, dividing_keys, find_gap, get, page_count,
    random_leaf, walk_leaf,
};
use helios_bufferpool::{PageId, Scn};
use pages::{AsOf, Pages, ROOT, resolve_or_fault};
use proptest::prelude::*;
use proptest::sample::Index;

const PAGE_BYTES: usize = 1024;

/// A change to the bytes of the tree.
#[derive(Clone, Debug)]
enum Forgery {
    /// A byte of a page's header or fences.
    Head(Index, usize, u8),
    /// A byte anywhere in a page.
    Byte(Index, Index, u8),
    /// A number of a slot or cell, little-endian: often a child, an offset or a length.
    Number(Index, Index, u16),
    /// A page in another one's place.
    Moved(Index, Index),
    /// A child of a node becomes another page.
    Child(Index, Index, Index),
    /// A byte of the reverse operations of a page.
    Undo(Index, Index, u8),
}

fn forgery() -> impl Strategy<Value = Forgery> {
    let index = any::<Index>;
    prop_oneof![
        2 => (index(), 0usize..64, any::<u8>()).prop_map(|(page, at, byte)| Forgery::Head(page, at, byte)),
        2 => (index(), index(), any::<u8>()).prop_map(|(page, at, byte)| Forgery::Byte(page, at, byte)),
        1 => (index(), index(), any::<u16>()).prop_map(|(page, at, number)| Forgery::Number(page, at, number)),
        2 => (index(), index()).prop_map(|(page, from)| Forgery::Moved(page, from)),
        2 => (index(), index(), index()).prop_map(|(node, at, child)| Forgery::Child(node, at, child)),
        2 => (index(), index(), any::<u8>()).prop_map(|(page, at, byte)| Forgery::Undo(page, at, byte)),
    ]
}

fn forge(pages: &mut Pages, ids: &[PageId], forgery: &Forgery) {
    match forgery {
        Forgery::Head(page, at, byte) => pages.pages.get_mut(page.get(ids)).unwrap()[*at] = *byte,
        Forgery::Byte(page, at, byte) => {
            pages.pages.get_mut(page.get(ids)).unwrap()[at.index(PAGE_BYTES)] = *byte;
        }
        Forgery::Number(page, at, number) => {
            let at = at.index(PAGE_BYTES - 1);
            pages.pages.get_mut(page.get(ids)).unwrap()[at..at + 2].copy_from_slice(&number.to_le_bytes());
        }
        Forgery::Moved(page, from) => {
            let other = pages.pages[from.get(ids)].clone();
            pages.pages.insert(*page.get(ids), other);
        }
        Forgery::Child(node, at, child) => {
            let inner: Vec<PageId> =
                ids.iter().copied().filter(|id| !Node::new(&pages.pages[id]).is_leaf()).collect();
            let Some(node) = (!inner.is_empty()).then(|| *node.get(&inner)) else { return };
            let bytes = pages.pages.get_mut(&node).unwrap();
            let numbers = bytes.len() / 8;
            // Whichever eight bytes name a page of the tree are taken for a child.
            let children: Vec<usize> = (0..numbers * 8 - 8)
                .filter(|start| {
                    let number = u64::from_le_bytes(bytes[*start..*start + 8].try_into().unwrap());
                    *start > 48 && number != 0 && ids.contains(&PageId(number))
                })
                .collect();
            if !children.is_empty() {
                let start = *at.get(&children);
                bytes[start..start + 8].copy_from_slice(&child.get(ids).0.to_le_bytes());
            }
        }
        Forgery::Undo(page, at, byte) => {
            if let Some((_, operations)) = pages.undo.get_mut(page.get(ids)).and_then(|undo| undo.last_mut())
                && !operations.is_empty()
            {
                let at = at.index(operations.len());
                operations[at] = *byte;
            }
        }
    }
}

/// Reads the tree in all ways.
fn read<P: helios_btree::ReadPages<Fault = &'static str>>(pages: &P, keys: &[Vec<u8>]) {
    for key in keys {
        let _ = get(pages, ROOT, key, |cell| cell.map(|cell| resolve_or_fault(pages, cell)));
        let _ = find_gap(pages, ROOT, key, &mut Gap::default());
    }
    let _ = page_count(pages, ROOT, 4);
    let _ = dividing_keys(pages, ROOT, 3);
    let _ = random_leaf(pages, ROOT, &mut |branches| branches / 2);
    for direction in [Direction::Forward, Direction::Backward] {
        let (mut bound, mut near) = (Bound::Unbounded, Near::default());
        loop {
            let walk = walk_leaf(pages, ROOT, &mut near, &bound, &Bound::Unbounded, direction, |_, _, _| {
                std::ops::ControlFlow::Continue(())
            });
            match walk {
                Ok(Walk::At(next)) => bound = next,
                Ok(Walk::End) | Err(_) => break,
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..Default::default() })]
    #[test]
    fn forged_pages_are_faults_at_most(
        (count, longest) in (20u32..400, 1usize..60),
        forgeries in proptest::collection::vec(forgery(), 1..6),
        operations in proptest::collection::vec((any::<bool>(), 0u32..400, 0usize..700), 1..60),
    ) {
        let mut pages = Pages::with_tree(PAGE_BYTES, 100);
        let mut writer = Writer::default();
        let key = |number: u32| [&vec![b'k'; number as usize % longest][..], &number.to_be_bytes()].concat();
        for commit in 0..2 {
            pages.scn.0 += 1;
            for number in 0..count {
                // From both ends, so that not all leaves are full; a few rows have pages of their own.
                let number = if number % 2 == 0 { number } else { count - number };
                let length = if number % 50 == 7 { 2000 } else { (number as usize * 7) % 90 + commit };
                pages.put(&mut writer, &key(number), &vec![number as u8; length]);
            }
            writer.finish(&mut pages).unwrap();
        }
        let mut ids: Vec<PageId> = pages.pages.keys().copied().collect();
        ids.sort_by_key(|id| id.0);
        forgeries.iter().for_each(|forgery| forge(&mut pages, &ids, forgery));
        pages.pages.retain(|_, bytes| check_page(bytes).is_ok());

        let keys: Vec<Vec<u8>> = operations.iter().map(|(_, number, _)| key(*number)).collect();
        read(&pages, &keys);
        read(&AsOf(&pages, Scn(2)), &keys);
        pages.scn.0 += 1;
        for ((puts, _, length), key) in operations.iter().zip(&keys) {
            let done = if *puts {
                pages.try_put(&mut writer, key, &vec![9; *length])
            } else {
                writer.remove(&mut pages, ROOT, key)
            };
            if done.is_err() {
                // The commit failed: what it changed is nobody's.
                return Ok(());
            }
        }
        if writer.finish(&mut pages).is_ok() {
            read(&pages, &keys);
        }
    }
}
