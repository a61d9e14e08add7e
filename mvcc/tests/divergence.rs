//! Shows that two moments of related branches differ in what a model says, whatever was split, merged, checkpointed and
//! branched off meanwhile, and that finding it costs the pages that changed; and that what happened to each row on the way
//! is told completely.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use futures_lite::future::block_on;
use helios_mvcc::{
    BranchId, Error, Isolation, KeyRange, NewBranch, RowDifference, ScanStep, Snapshot, Store, StoreOptions,
    Surroundings, TreeId,
};
use helios_runtime::device::MemoryDevice;
use proptest::prelude::*;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn open(cache_size_bytes: usize) -> Store {
    open_on(Arc::new(MemoryDevice::new()), cache_size_bytes)
}

fn open_on(device: Arc<MemoryDevice>, cache_size_bytes: usize) -> Store {
    let surroundings = Surroundings::repeatable(device);
    let options = StoreOptions { cache_size_bytes, ..StoreOptions::default() };
    block_on(Store::open(options, surroundings)).expect("a store in memory")
}

async fn branch_off(store: &Store, name: String, origin: Snapshot) -> BranchId {
    let new = NewBranch { name, origin, root: Some(BranchId::MAIN), options: Vec::new() };
    store.create_branch(new, |_| Vec::new()).await.expect("a new name").id
}

fn model_difference(before: &Rows, after: &Rows) -> Vec<RowDifference> {
    let keys: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    keys.into_iter()
        .filter(|key| before.get(*key) != after.get(*key))
        .map(|key| RowDifference {
            key: key.clone(),
            before: before.get(key).cloned(),
            after: after.get(key).cloned(),
        })
        .collect()
}

async fn difference(
    store: &Store,
    tree: TreeId,
    before: Snapshot,
    after: Snapshot,
) -> Result<Vec<RowDifference>, Error> {
    let divergence = store.divergence(before, after).await?;
    let mut difference = divergence.tree(Some(tree), Some(tree)).await?;
    let mut found = Vec::new();
    while let Some(row) = difference.next().await? {
        found.push(row);
    }
    Ok(found)
}

#[derive(Clone, Debug)]
enum Step {
    /// On a branch: rows from a key on, each so many behind the last, put or deleted.
    Change {
        branch: usize,
        tree: usize,
        start: u16,
        count: u16,
        stride: u16,
        value: Option<u16>,
    },
    BranchOff {
        moment: usize,
    },
    Checkpoint,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let change =
        (0..4usize, 0..2usize, 0..900u16, 1..400u16, 1..4u16, proptest::option::weighted(0.7, 1..700u16))
            .prop_map(|(branch, tree, start, count, stride, value)| Step::Change {
                branch,
                tree,
                start,
                count,
                stride,
                value,
            });
    let branch_off = (0..1000usize).prop_map(|moment| Step::BranchOff { moment });
    proptest::collection::vec(prop_oneof![8 => change, 2 => branch_off, 1 => Just(Step::Checkpoint)], 4..25)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn moments_differ_as_a_model_says(steps in steps(), pairs in proptest::collection::vec((0..1000usize, 0..1000usize), 12)) {
        block_on(async {
            let store = open(3_000_000);
            let mut first = store.begin(BranchId::MAIN, Isolation::Snapshot);
            first.begin_statement();
            let trees = [first.create_tree(), first.create_tree()];
            for tree in trees {
                first.put(tree, b"\0", b"there from the beginning").unwrap();
            }
            let begin = first.commit().await.unwrap().scn.expect("it wrote");
            let initial = Rows::from([(b"\0".to_vec(), b"there from the beginning".to_vec())]);
            let mut branches = vec![(BranchId::MAIN, [initial.clone(), initial.clone()])];
            let mut moments =
                vec![(Snapshot { branch: BranchId::MAIN, scn: begin }, [initial.clone(), initial])];
            for step in steps {
                match step {
                    Step::Change { branch, tree, start, count, stride, value } => {
                        let number = branch % branches.len();
                        let (id, models) = &mut branches[number];
                        let mut transaction = store.begin(*id, Isolation::Snapshot);
                        transaction.begin_statement();
                        for row in 0..count {
                            let key = (start + row * stride).to_be_bytes().to_vec();
                            match value {
                                Some(bytes) => {
                                    // Beyond a quarter page, values have pages of their own.
                                    let value = vec![bytes as u8; usize::from(bytes % 60) * usize::from(1 + row % 97)];
                                    transaction.put(trees[tree], &key, &value).unwrap();
                                    models[tree].insert(key, value);
                                }
                                None => {
                                    if models[tree].remove(&key).is_some() {
                                        transaction.delete(trees[tree], &key).unwrap();
                                    }
                                }
                            }
                        }
                        transaction.commit().await.unwrap();
                        moments.push((Snapshot { branch: *id, scn: store.visible_scn() }, models.clone()));
                    }
                    Step::BranchOff { moment } if branches.len() < 4 => {
                        let (origin, models) = moments[moment % moments.len()].clone();
                        let id = branch_off(&store, format!("b{}", branches.len()), origin).await;
                        branches.push((id, models.clone()));
                        moments.push((Snapshot { branch: id, scn: store.visible_scn() }, models));
                    }
                    Step::BranchOff { .. } => {}
                    Step::Checkpoint => store.checkpoint().await.unwrap(),
                }
            }
            let (newest, _) = moments[moments.len() - 1].clone();
            let line = store.line_of_descent(newest).await.unwrap();
            for (number, tree) in trees.into_iter().enumerate() {
                // The moments that lie on the way to the newest one, each with its commit.
                let passed = moments.iter().filter(|(moment, _)| {
                    line.iter().any(|step| step.branch == moment.branch && moment.scn <= step.scn)
                });
                let passed: BTreeMap<_, _> = passed.map(|(moment, models)| (moment.scn, &models[number])).collect();
                let passed: Vec<_> = passed.into_iter().collect();
                let mut wanted = Vec::new();
                for pair in passed.windows(2) {
                    let rows = model_difference(pair[0].1, pair[1].1);
                    wanted.extend(rows.into_iter().map(|row| (pair[1].0, row)));
                }
                let mut versions = store.row_versions(tree, newest).await.unwrap();
                assert_eq!(versions.born(), begin);
                let mut found = Vec::new();
                while let Some(version) = versions.next().await.unwrap() {
                    found.push((version.scn, version.row));
                }
                found.sort_by(|one, other| (one.0, &one.1.key).cmp(&(other.0, &other.1.key)));
                let first = found.iter().zip(&wanted).position(|(found, wanted)| found != wanted);
                assert_eq!(first.map(|at| (&found[at], &wanted[at])), None);
                assert_eq!(found.len(), wanted.len());
            }
            for (before, after) in pairs {
                let (before, before_rows) = &moments[before % moments.len()];
                let (after, after_rows) = &moments[after % moments.len()];
                for (number, tree) in trees.into_iter().enumerate() {
                    let found = difference(&store, tree, *before, *after).await.unwrap();
                    assert_eq!(found, model_difference(&before_rows[number], &after_rows[number]));
                }
            }
        });
    }
}

/// Two databases have nothing in common.
#[test]
fn unrelated_branches_are_refused() {
    block_on(async {
        let store = open(3_000_000);
        let now = Snapshot { branch: BranchId::MAIN, scn: store.visible_scn() };
        let system = Snapshot { branch: BranchId::SYSTEM, scn: store.visible_scn() };
        assert!(matches!(store.divergence(now, system).await, Err(Error::Unrelated)));
    });
}

/// Of 200,000 rows, 1,000 neighbours and then a single one change on a branch, and others on its parent.
#[test]
fn a_difference_costs_the_pages_that_changed() {
    const ROWS: u64 = 200_000;
    block_on(async {
        let device = Arc::new(MemoryDevice::new());
        let store = open_on(device.clone(), 100_000_000);
        let mut first = store.begin(BranchId::MAIN, Isolation::Snapshot);
        first.begin_statement();
        let tree = first.create_tree();
        for row in 0..ROWS {
            first.put(tree, &row.to_be_bytes(), &[1; 100]).unwrap();
        }
        first.commit().await.unwrap();
        let origin = Snapshot { branch: BranchId::MAIN, scn: store.visible_scn() };
        let branch = branch_off(&store, "dev".into(), origin).await;
        let change = async |branch: BranchId, rows: std::ops::Range<u64>, byte: u8| {
            let mut transaction = store.begin(branch, Isolation::Snapshot);
            transaction.begin_statement();
            for row in rows {
                transaction.put(tree, &row.to_be_bytes(), &[byte; 100]).unwrap();
            }
            transaction.commit().await.unwrap();
            Snapshot { branch, scn: store.visible_scn() }
        };
        let one = change(branch, 77_777..77_778, 2).await;
        let many = change(branch, 50_000..51_000, 3).await;
        change(BranchId::MAIN, 120_000..121_000, 4).await;
        store.close().await.unwrap();
        drop(store);
        for (before, after, rows) in [(origin, one, 1), (one, many, 1_000), (origin, many, 1_001)] {
            // Nothing is in memory, so that each page that is looked at is read once.
            let store = open_on(device.clone(), 100_000_000);
            let reads = || store.page_accesses().1;
            let start = reads();
            let divergence = store.divergence(before, after).await.unwrap();
            let leaves = divergence.changed_leaves() as u64;
            let mut difference = divergence.tree(Some(tree), Some(tree)).await.unwrap();
            let mut found = 0;
            while difference.next().await.unwrap().is_some() {
                found += 1;
            }
            let cost = reads() - start;
            assert_eq!(found, rows);
            assert!(cost <= 4 * leaves, "{rows} rows: {cost} pages read for {leaves} changed leaves");
            let mut reader = store.begin(branch, Isolation::Snapshot);
            reader.begin_statement();
            let mut scan = reader.scan(tree, KeyRange::all(), false);
            let start = reads();
            while scan.next(&reader, &mut |_, _| ControlFlow::Continue(())).await.unwrap() != ScanStep::Done {
            }
            let full_scan = reads() - start;
            assert!(cost * 20 < full_scan, "{cost} pages read, a scan reads {full_scan}");
        }
    });
}
