//! Shows that transactions are what they should be whatever the cache: random transactions with savepoints and
//! rollbacks against a model that keeps every version; newest reads, open snapshots and any earlier SCN, by key and
//! by scans both ways, always match it — with a cache so small that pages and undo records come and go all the time,
//! through checkpoints, through closing and opening, and through ends without closing. On branches as well, made from
//! any moment of any other, of which some are dropped; and after history was cut, where what is asked for is either what it
//! was or an error.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use futures_lite::future::block_on;
use helios_mvcc::{
    BranchId, CompressedTierSize, Compression, Error, Isolation, KeyRange, MasterKey, NewBranch, Scan,
    ScanStep, Scn, Snapshot, Store, StoreOptions, Surroundings, Transaction, TreeId,
};
use helios_runtime::SimulatedDevice;
use helios_runtime::device::{Device, MemoryDevice};
use proptest::prelude::*;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug)]
enum Step {
    Put(u16, u16),
    Delete(u16),
    PutMany(u16, u16),
    /// Behind all rows that there are.
    Append(u16),
    DeleteMany(u16, u16),
    Statement,
    Savepoint,
    RollbackTo,
    Commit,
    Rollback,
    OpenSnapshot,
    CheckSnapshot,
    Checkpoint,
    Reopen,
    /// The same, without closing.
    Recover,
    /// From a branch, as of a moment of it, and on there.
    Branch(usize, usize),
    Switch(usize),
    DropBranch(usize),
    /// Keeps history since a moment.
    Cut(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        10 => (0u16..2000, any::<u16>()).prop_map(|(key, value)| Step::Put(key, value)),
        4 => (0u16..2000).prop_map(Step::Delete),
        2 => (0u16..2000, 1u16..300).prop_map(|(key, count)| Step::PutMany(key, count)),
        2 => (1u16..600).prop_map(Step::Append),
        1 => (0u16..2000, 1u16..300).prop_map(|(key, count)| Step::DeleteMany(key, count)),
        3 => Just(Step::Statement),
        2 => Just(Step::Savepoint),
        1 => Just(Step::RollbackTo),
        6 => Just(Step::Commit),
        1 => Just(Step::Rollback),
        1 => Just(Step::OpenSnapshot),
        2 => Just(Step::CheckSnapshot),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Reopen),
        1 => Just(Step::Recover),
        1 => any::<(usize, usize)>().prop_map(|(branch, moment)| Step::Branch(branch, moment)),
        1 => any::<usize>().prop_map(Step::Switch),
        1 => any::<usize>().prop_map(Step::DropBranch),
        2 => any::<usize>().prop_map(Step::Cut),
    ];
    proptest::collection::vec(step, 1..150)
}

fn key(number: u16) -> Vec<u8> {
    // Keys of several lengths, in the numbers' order.
    let mut key = number.to_be_bytes().to_vec();
    key.extend(vec![b'k'; usize::from(number % 50)]);
    key
}

fn value(seed: u16) -> Vec<u8> {
    let length = match seed % 20 {
        0 if seed.is_multiple_of(7000) => 1_300_000,
        0 => 5000 + usize::from(seed % 997) * 9,
        1..4 => 900,
        _ => usize::from(seed % 80),
    };
    // Of two letters, so that most have their beginning or their end in common with others; and a place that tells.
    let mut value = vec![(seed % 2) as u8; length];
    value
        .get_mut(length / 3..)
        .into_iter()
        .flatten()
        .zip(seed.to_le_bytes())
        .for_each(|(at, byte)| *at = byte);
    value
}

async fn contents(
    transaction: &Transaction,
    tree: TreeId,
    range: KeyRange,
    reverse: bool,
) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Error> {
    let scan = transaction.scan(tree, range.clone(), reverse);
    let rows = all_rows(transaction, scan).await?;
    // Without keys there are the same values.
    let without = all_rows(transaction, transaction.scan(tree, range, reverse).values_only()).await?;
    assert!(rows.iter().map(|row| &row.1).eq(without.iter().map(|row| &row.1)));
    Ok(rows)
}

async fn all_rows(transaction: &Transaction, mut scan: Scan) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Error> {
    let mut rows = Vec::new();
    loop {
        let step = scan
            .next(transaction, &mut |key, value| {
                rows.push((key.to_vec(), value.to_vec()));
                if rows.len() % 13 == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .await?;
        if step == ScanStep::Done {
            return Ok(rows);
        }
    }
}

/// Compares without printing kilobytes of values.
fn compare(found: &[(Vec<u8>, Vec<u8>)], expected: &[(Vec<u8>, Vec<u8>)]) {
    let short = |row: Option<&(Vec<u8>, Vec<u8>)>| {
        row.map(|(key, value)| (u16::from_be_bytes([key[0], key[1]]), value.len(), value.first().copied()))
    };
    for index in 0..found.len().max(expected.len()) {
        let (found, expected) = (found.get(index), expected.get(index));
        assert!(found == expected, "row {index}: found {:?}, expected {:?}", short(found), short(expected));
    }
}

async fn check(transaction: &mut Transaction, tree: TreeId, model: &Model) -> Result<(), Error> {
    let expected: Vec<_> = model.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    compare(&contents(transaction, tree, KeyRange::all(), false).await?, &expected);
    let (low, high) = (key(500), key(1200));
    let range = KeyRange { lower: Bound::Excluded(low.clone()), upper: Bound::Included(high.clone()) };
    let part: Vec<_> = model
        .range((Bound::Excluded(low), Bound::Included(high)))
        .rev()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    compare(&contents(transaction, tree, range, true).await?, &part);
    for number in (0..2000).step_by(97) {
        let found = transaction.get(tree, &key(number)).await?;
        assert!(found.as_ref() == model.get(&key(number)), "row {number} by key");
    }
    Ok(())
}

/// Whether a key is taken, waiting for pages.
async fn is_taken(store: &Store, transaction: &mut Transaction, tree: TreeId, key: &[u8]) -> bool {
    loop {
        match transaction.try_is_taken(tree, key) {
            Ok(taken) => return taken,
            Err(fault) => store.resolve(fault).await.unwrap(),
        }
    }
}

async fn open(options: &StoreOptions, surroundings: &Surroundings) -> Store {
    Store::open(options.clone(), surroundings.clone()).await.unwrap()
}

/// A branch, and every moment of it, those before it began among them.
#[derive(Clone)]
struct Line {
    branch: BranchId,
    moments: Vec<(Scn, Arc<Model>)>,
    /// Where it left its ancestors.
    origins: Vec<Snapshot>,
}

impl Line {
    fn newest(&self) -> Model {
        self.moments.last().map(|(_, model)| Model::clone(model)).unwrap_or_default()
    }

    /// Looks at one moment, if it is still kept.
    async fn check(&self, store: &Store, tree: TreeId, moment: usize, horizons: &Horizons) {
        let (scn, model) = &self.moments[moment % self.moments.len()];
        let snapshot = store.origin_of(Snapshot { branch: self.branch, scn: *scn }).await.unwrap();
        let kept = store.kept(snapshot.branch);
        assert_eq!(kept.since, horizons.of(snapshot.branch), "branch {}", snapshot.branch);
        let is_point = self.origins.contains(&snapshot);
        assert!(kept.has(snapshot.scn) || !is_point && snapshot.scn < kept.since);
        match store.begin_as_of(snapshot.branch, snapshot.scn) {
            Ok(mut past) => {
                assert!(kept.has(snapshot.scn));
                past.begin_statement();
                check(&mut past, tree, model).await.unwrap();
            }
            Err(Error::TooOld { oldest, .. }) => {
                assert!(!kept.has(snapshot.scn) && oldest == kept.since);
            }
            Err(error) => panic!("SCN {} of branch {}: {error}", snapshot.scn, snapshot.branch),
        }
    }
}

/// From when on each branch, dropped ones included, is to be kept.
#[derive(Default)]
struct Horizons(BTreeMap<BranchId, Scn>);

impl Horizons {
    fn of(&self, branch: BranchId) -> Scn {
        self.0.get(&branch).copied().unwrap_or_default()
    }

    fn cut(&mut self, branches: &[BranchId], since: Scn, open: &[Snapshot]) {
        for branch in branches {
            let old = self.of(*branch);
            let read = open.iter().filter(|open| open.branch == *branch && open.scn >= old);
            let since = read.map(|open| open.scn).min().map_or(since, |oldest| oldest.min(since));
            self.0.insert(*branch, old.max(since));
        }
    }
}

async fn run(steps: Vec<Step>, options: StoreOptions, device: Arc<dyn Device>) {
    let surroundings = Surroundings::repeatable(device.clone());
    let mut store = open(&options, &surroundings).await;
    let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
    let tree = transaction.create_tree();
    let first = transaction.commit().await.unwrap().scn.unwrap();

    let mut committed = Model::new();
    let mut snapshots: Vec<(Transaction, Model)> = Vec::new();
    let begin = |store: &Store, branch: BranchId| {
        let mut transaction = store.begin(branch, Isolation::Snapshot);
        transaction.begin_statement();
        transaction
    };
    let mut lines =
        vec![Line { branch: BranchId::MAIN, moments: vec![(first, Arc::default())], origins: Vec::new() }];
    let (mut horizons, mut branches) = (Horizons::default(), vec![BranchId::MAIN]);
    let mut at = 0;
    let mut transaction = begin(&store, BranchId::MAIN);
    let mut now = Model::new();
    let mut savepoints = Vec::new();
    let mut looks = 1usize;
    for step in steps {
        // Does nothing in memory, and where the writes are few.
        transaction.make_room().await.unwrap();
        match step {
            Step::Put(number, seed) => {
                let taken = is_taken(&store, &mut transaction, tree, &key(number)).await;
                assert_eq!(taken, now.contains_key(&key(number)));
                transaction.put(tree, &key(number), &value(seed)).unwrap();
                now.insert(key(number), value(seed));
            }
            Step::Delete(number) => {
                transaction.delete(tree, &key(number)).unwrap();
                now.remove(&key(number));
            }
            Step::PutMany(first, count) => {
                for number in first..first + count {
                    let taken = is_taken(&store, &mut transaction, tree, &key(number)).await;
                    assert_eq!(taken, now.contains_key(&key(number)));
                    transaction.put(tree, &key(number), &value(number)).unwrap();
                    now.insert(key(number), value(number));
                }
            }
            Step::Append(count) => {
                let last = now.keys().next_back().map_or(0, |key| u16::from_be_bytes([key[0], key[1]]));
                for number in (last..20_000).skip(1).take(usize::from(count)) {
                    transaction.put(tree, &key(number), &value(number)).unwrap();
                    now.insert(key(number), value(number));
                }
            }
            Step::DeleteMany(first, count) => {
                for number in first..first + count {
                    transaction.delete(tree, &key(number)).unwrap();
                    now.remove(&key(number));
                }
            }
            Step::Statement => {
                transaction.begin_statement();
                check(&mut transaction, tree, &now).await.unwrap();
            }
            Step::Savepoint => savepoints.push((transaction.savepoint(), now.clone())),
            Step::RollbackTo => {
                if let Some((savepoint, model)) = savepoints.pop() {
                    transaction.rollback_to(savepoint);
                    now = model;
                }
            }
            Step::Commit | Step::Rollback => {
                savepoints.clear();
                let ended = std::mem::replace(&mut transaction, begin(&store, lines[at].branch));
                if matches!(step, Step::Commit) {
                    let scn = ended.commit().await.unwrap().scn;
                    committed = now;
                    lines[at].moments.extend(scn.map(|scn| (scn, Arc::new(committed.clone()))));
                } else {
                    ended.rollback();
                }
                transaction = begin(&store, lines[at].branch);
                now = committed.clone();
                check(&mut transaction, tree, &committed).await.unwrap();
            }
            Step::OpenSnapshot => {
                if snapshots.len() < 4 {
                    snapshots.push((begin(&store, lines[at].branch), committed.clone()));
                }
            }
            Step::CheckSnapshot => {
                if let Some((snapshot, model)) = snapshots.first_mut() {
                    check(snapshot, tree, model).await.unwrap();
                    snapshots.rotate_left(1);
                }
                // Any moment of any branch's past, a different one each time.
                looks = looks.wrapping_mul(31).wrapping_add(7);
                lines[looks / 64 % lines.len()].check(&store, tree, looks, &horizons).await;
            }
            Step::Checkpoint => store.checkpoint().await.unwrap(),
            Step::Branch(from, moment) => {
                let parent = lines[from % lines.len()].clone();
                let moments = parent.moments[..=moment % parent.moments.len()].to_vec();
                let origin = Snapshot { branch: parent.branch, scn: moments[moments.len() - 1].0 };
                let origin = store.origin_of(origin).await.unwrap();
                let is_kept = store.kept(origin.branch).has(origin.scn);
                let name = format!("branch {}", store.visible_scn());
                let new = NewBranch { name, origin, root: Some(BranchId::MAIN), options: Vec::new() };
                let branch = match store.create_branch(new, |_| Vec::new()).await {
                    Ok(branch) => branch.id,
                    Err(Error::TooOld { .. }) if !is_kept => continue,
                    Err(error) => panic!("{error}"),
                };
                assert!(is_kept);
                branches.push(branch);
                at = lines.len();
                let mut origins = parent.origins;
                origins.push(origin);
                lines.push(Line { branch, moments, origins });
                savepoints.clear();
                committed = lines[at].newest();
                now = committed.clone();
                transaction = begin(&store, branch);
                check(&mut transaction, tree, &committed).await.unwrap();
            }
            Step::Switch(to) => {
                at = to % lines.len();
                savepoints.clear();
                committed = lines[at].newest();
                now = committed.clone();
                transaction = begin(&store, lines[at].branch);
                check(&mut transaction, tree, &committed).await.unwrap();
            }
            Step::DropBranch(which) => {
                let which = which % lines.len();
                if which != at && which != 0 {
                    snapshots.retain(|(snapshot, _)| snapshot.branch() != lines[which].branch);
                    store.drop_branch(lines.swap_remove(which).branch).await.unwrap();
                    store.remove_dropped().await.unwrap();
                    // The last one has taken its place.
                    at = if at == lines.len() { which } else { at };
                }
            }
            Step::Cut(moment) => {
                let moments = &lines[at].moments;
                let since = moments[moment % moments.len()].0;
                store.cut_history(&[(BranchId::MAIN, since)], &[]).await.unwrap();
                let open: Vec<Snapshot> = snapshots
                    .iter()
                    .map(|open| &open.0)
                    .chain([&transaction])
                    .map(Transaction::snapshot)
                    .collect();
                horizons.cut(&branches, since, &open);
                for line in &lines {
                    line.check(&store, tree, moment, &horizons).await;
                }
            }
            Step::Reopen | Step::Recover => {
                snapshots.clear();
                savepoints.clear();
                drop(transaction);
                if matches!(step, Step::Reopen) || !device.is_durable() {
                    store.close().await.unwrap();
                }
                drop(store);
                store = open(&options, &surroundings).await;
                transaction = begin(&store, lines[at].branch);
                now = committed.clone();
                check(&mut transaction, tree, &committed).await.unwrap();
            }
        }
    }
    // In the end, every moment there was.
    drop(transaction);
    drop(snapshots);
    for line in &lines {
        for moment in (0..line.moments.len()).step_by(3) {
            line.check(&store, tree, moment, &horizons).await;
        }
    }
}

fn small(compression: Compression, key: Option<MasterKey>) -> StoreOptions {
    // About 120 frames: less than the data has pages.
    StoreOptions { cache_size_bytes: 1_600_000, compression, key, ..StoreOptions::default() }
}

/// The long lane takes its time.
fn cases() -> u32 {
    if std::env::var("HELIOS_TESTS_ALL").is_ok_and(|all| all == "true") { 400 } else { 12 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..Default::default() })]

    #[test]
    fn transactions_match_a_model_in_a_small_cache(steps in steps()) {
        block_on(run(steps, small(Compression::None, None), Arc::new(MemoryDevice::new())));
    }

    #[test]
    fn transactions_match_a_model_compressed_and_encrypted(steps in steps()) {
        let options = small(Compression::Lz4, Some(MasterKey::new([9; 32])));
        block_on(run(steps, options, Arc::new(MemoryDevice::new())));
    }

    #[test]
    fn transactions_match_a_model_with_writes_that_spill(steps in steps(), room in 0usize..30_000) {
        // Values larger than that, savepoints before and after, and pages of all kinds in the cache together.
        let options = StoreOptions { write_set_bytes: room, ..small(Compression::Lz4, Some(MasterKey::new([9; 32]))) };
        let device = SimulatedDevice::new(1);
        block_on(run(steps, options, Arc::new(device.clone())));
        prop_assert!(device.list().unwrap().iter().all(|name| !name.starts_with("temporary")));
    }

    #[test]
    fn transactions_match_a_model_with_compressed_pages_in_memory(steps in steps()) {
        let options = StoreOptions {
            page_size_bytes: 4096,
            cache_size_bytes: 1_000_000,
            compressed_tier: CompressedTierSize::Percent(30),
            log_segment_bytes: 256 << 10,
            ..small(Compression::Zstd, None)
        };
        block_on(run(steps, options, Arc::new(SimulatedDevice::new(1))));
    }
}
