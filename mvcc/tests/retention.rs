//! Shows that history ends where it was asked to: what is before the horizon is an error and gives its space back, on disk
//! and in memory, with the pages of deleted rows, of replaced large values and of dropped trees; what a branch, a snapshot
//! or a point needs stays; and all of that whatever call a crash or an error comes at, and while others read and write.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_lite::future::block_on;
use helios_mvcc::{
    BranchId, Compression, Error, Isolation, KeyRange, NewBranch, ScanStep, Scn, Snapshot, Store,
    StoreOptions, Surroundings, Transaction, TreeId, Xid,
};
use helios_runtime::device::{Device, MemoryDevice};
use helios_runtime::{Entropy, InjectedFault, SeededEntropy, SimulatedDevice};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn options() -> StoreOptions {
    StoreOptions {
        cache_size_bytes: 1_600_000,
        compression: Compression::Lz4,
        log_segment_bytes: 64 << 10,
        ..StoreOptions::default()
    }
}

async fn open(device: impl Device + 'static) -> Result<Store, Error> {
    open_with(device, &options()).await
}

async fn open_with(device: impl Device + 'static, options: &StoreOptions) -> Result<Store, Error> {
    Store::open(options.clone(), Surroundings::repeatable(Arc::new(device))).await
}

async fn rows(transaction: &Transaction, tree: TreeId) -> Result<Rows, Error> {
    let mut scan = transaction.scan(tree, KeyRange::all(), false);
    let mut rows = Rows::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        rows.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    };
    while scan.next(transaction, &mut visit).await? != ScanStep::Done {}
    Ok(rows)
}

async fn rows_at(store: &Store, branch: BranchId, scn: Scn, tree: TreeId) -> Result<Rows, Error> {
    let snapshot = store.origin_of(Snapshot { branch, scn }).await?;
    rows(&store.begin_as_of(snapshot.branch, snapshot.scn)?, tree).await
}

fn begin(store: &Store, branch: BranchId) -> Transaction {
    let mut transaction = store.begin(branch, Isolation::Snapshot);
    transaction.begin_statement();
    transaction
}

/// Bytes that do not compress, so that rows are as large as they look.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    SeededEntropy::new(seed).fill(&mut bytes).unwrap();
    bytes
}

async fn create_tree(store: &Store) -> TreeId {
    let mut transaction = begin(store, BranchId::MAIN);
    let tree = transaction.create_tree();
    transaction.commit().await.unwrap();
    tree
}

/// Writes rows of `length` bytes; returns the commit.
async fn write(
    store: &Store,
    branch: BranchId,
    tree: TreeId,
    keys: std::ops::Range<u64>,
    (seed, length): (u64, usize),
) -> Result<Scn, Error> {
    let mut transaction = begin(store, branch);
    for key in keys {
        transaction.put(tree, &key.to_be_bytes(), &noise(seed * 10_000 + key, length))?;
    }
    Ok(transaction.commit().await?.scn.expect("it wrote"))
}

async fn delete(store: &Store, tree: TreeId, keys: std::ops::Range<u64>) -> Scn {
    let mut transaction = begin(store, BranchId::MAIN);
    keys.for_each(|key| transaction.delete(tree, &key.to_be_bytes()).unwrap());
    transaction.commit().await.unwrap().scn.unwrap()
}

async fn drop_tree(store: &Store, branch: BranchId, tree: TreeId) -> Result<Scn, Error> {
    let mut transaction = begin(store, branch);
    transaction.drop_tree(tree)?;
    Ok(transaction.commit().await?.scn.expect("it wrote"))
}

async fn create_branch(store: &Store, name: &str, parent: BranchId) -> Result<BranchId, Error> {
    let origin = Snapshot { branch: parent, scn: store.visible_scn() };
    let new = NewBranch { name: name.into(), origin, root: Some(BranchId::MAIN), options: Vec::new() };
    Ok(store.create_branch(new, |_| Vec::new()).await?.id)
}

async fn cut(store: &Store, since: Scn) -> Result<(), Error> {
    store.cut_history(&[(BranchId::MAIN, since)], &[]).await
}

async fn cut_all(store: &Store) {
    cut(store, store.visible_scn()).await.unwrap();
}

fn used(store: &Store) -> u64 {
    store.stats().unwrap().data_used_bytes
}

/// The history of rows that were updated often goes, the file becomes short, and all that is kept can still be read.
async fn updates_give_their_space_back(device: Arc<dyn Device>) {
    let store = Store::open(options(), Surroundings::repeatable(device)).await.unwrap();
    let tree = create_tree(&store).await;
    write(&store, BranchId::MAIN, tree, 0..2_000, (0, 300)).await.unwrap();
    store.checkpoint().await.unwrap();
    let fresh = used(&store);
    let mut moments = Vec::new();
    for round in 1..=20 {
        let scn = write(&store, BranchId::MAIN, tree, 0..2_000, (round, 300)).await.unwrap();
        moments.push((scn, rows(&begin(&store, BranchId::MAIN), tree).await.unwrap()));
        store.checkpoint().await.unwrap();
    }
    let before = store.stats().unwrap();
    assert!(before.data_used_bytes > 10 * fresh, "{} and {fresh}", before.data_used_bytes);
    let middle = moments[10].0;
    cut(&store, middle).await.unwrap();
    let half = used(&store);
    assert!(half < before.data_used_bytes * 3 / 4, "{half} of {}", before.data_used_bytes);
    for (scn, expected) in &moments {
        match rows_at(&store, BranchId::MAIN, *scn, tree).await {
            Ok(found) => assert!(found == *expected && *scn >= middle),
            Err(Error::TooOld { asked, oldest, oldest_micros }) => {
                assert!(*scn < middle && asked == Some(*scn) && oldest == middle);
                assert_eq!(oldest_micros, store.time_of(middle).await.unwrap());
            }
            Err(error) => panic!("{error}"),
        }
    }
    cut_all(&store).await;
    let after = used(&store);
    assert!(after < fresh * 5 / 4, "{after} and {fresh}");
    let file_bytes = store.stats().unwrap().data_file_bytes;
    assert!(file_bytes < (3 * after).max(5 << 20), "{file_bytes} of {}", before.data_file_bytes);
    assert!(rows(&begin(&store, BranchId::MAIN), tree).await.unwrap() == moments[19].1);
}

#[test]
fn updates_give_their_space_back_on_disk() {
    block_on(updates_give_their_space_back(Arc::new(SimulatedDevice::new(1))));
}

#[test]
fn updates_give_their_space_back_in_memory() {
    let device = MemoryDevice::new();
    block_on(updates_give_their_space_back(Arc::new(device.clone())));
    assert!(device.allocated_bytes() < 5 << 20, "{}", device.allocated_bytes());
}

/// A branch keeps what it reads of its parent, and nothing else; so does a point that the caller names; and without them
/// that goes too.
#[test]
fn branches_and_points_keep_what_they_need() {
    block_on(async {
        let store = open(SimulatedDevice::new(1)).await.unwrap();
        let tree = create_tree(&store).await;
        write(&store, BranchId::MAIN, tree, 0..1_000, (0, 300)).await.unwrap();
        store.checkpoint().await.unwrap();
        let fresh = used(&store);
        let dev = create_branch(&store, "dev", BranchId::MAIN).await.unwrap();
        let at_branch = rows(&begin(&store, dev), tree).await.unwrap();
        let mut point = None;
        for round in 1..=20 {
            let scn = write(&store, BranchId::MAIN, tree, 0..1_000, (round, 300)).await.unwrap();
            if round == 10 {
                point = Some((scn, rows(&begin(&store, BranchId::MAIN), tree).await.unwrap()));
            }
            store.checkpoint().await.unwrap();
        }
        let (scn, at_point) = point.unwrap();
        let newest = store.visible_scn();
        let snapshot = Snapshot { branch: BranchId::MAIN, scn };
        store.cut_history(&[(BranchId::MAIN, newest)], &[snapshot]).await.unwrap();
        // Three versions of each page.
        assert!(used(&store) < fresh * 15 / 4, "{} and {fresh}", used(&store));
        assert!(rows(&begin(&store, dev), tree).await.unwrap() == at_branch);
        assert!(rows_at(&store, BranchId::MAIN, scn, tree).await.unwrap() == at_point);
        assert!(matches!(
            rows_at(&store, BranchId::MAIN, Scn(scn.0 + 1), tree).await,
            Err(Error::TooOld { .. })
        ));
        assert_eq!(store.kept(BranchId::MAIN).points.len(), 2);
        cut_all(&store).await;
        assert!(matches!(rows_at(&store, BranchId::MAIN, scn, tree).await, Err(Error::TooOld { .. })));
        assert!(rows(&begin(&store, dev), tree).await.unwrap() == at_branch);
        let with_branch = used(&store);
        store.drop_branch(dev).await.unwrap();
        store.remove_dropped().await.unwrap();
        cut_all(&store).await;
        assert!(used(&store) < fresh * 5 / 4 && used(&store) < with_branch);
    });
}

/// An open snapshot holds the horizon back, and goes on reading what it read.
#[test]
fn open_snapshots_hold_the_horizon_back() {
    block_on(async {
        let store = open(SimulatedDevice::new(1)).await.unwrap();
        let tree = create_tree(&store).await;
        write(&store, BranchId::MAIN, tree, 0..300, (0, 300)).await.unwrap();
        let old = begin(&store, BranchId::MAIN);
        let expected = rows(&old, tree).await.unwrap();
        for round in 1..=5 {
            write(&store, BranchId::MAIN, tree, 0..300, (round, 300)).await.unwrap();
        }
        cut_all(&store).await;
        assert!(rows(&old, tree).await.unwrap() == expected);
        assert_eq!(store.kept(BranchId::MAIN).since, old.snapshot().scn);
        let open = store.open_snapshots();
        assert!(open.iter().any(|open| open.owner == old.lock_owner() && open.scn == old.snapshot().scn));
        drop(old);
        cut_all(&store).await;
        assert!(store.kept(BranchId::MAIN).since > Scn(3));
        assert!(store.open_snapshots().is_empty());
    });
}

/// Pages that merges of nodes left, those of large values, and dropped trees go.
#[test]
fn pages_that_nothing_leads_to_go() {
    block_on(async {
        let store = open(SimulatedDevice::new(1)).await.unwrap();
        let tree = create_tree(&store).await;
        store.checkpoint().await.unwrap();
        let empty = used(&store);
        write(&store, BranchId::MAIN, tree, 0..3_000, (0, 300)).await.unwrap();
        delete(&store, tree, 0..3_000).await;
        cut_all(&store).await;
        assert!(used(&store) < empty + 60_000, "merged nodes: {} and {empty}", used(&store));
        for round in 0..10 {
            write(&store, BranchId::MAIN, tree, 0..5, (round, 100_000)).await.unwrap();
        }
        cut_all(&store).await;
        let large = used(&store);
        assert!((500_000..700_000).contains(&(large - empty)), "replaced values: {large} and {empty}");
        delete(&store, tree, 0..5).await;
        cut_all(&store).await;
        assert!(used(&store) < empty + 60_000, "deleted values: {} and {empty}", used(&store));

        let dropped = create_tree(&store).await;
        write(&store, BranchId::MAIN, dropped, 0..3_000, (0, 300)).await.unwrap();
        write(&store, BranchId::MAIN, dropped, 5_000..5_005, (0, 100_000)).await.unwrap();
        let dev = create_branch(&store, "dev", BranchId::MAIN).await.unwrap();
        let expected = rows(&begin(&store, dev), dropped).await.unwrap();
        drop_tree(&store, BranchId::MAIN, dropped).await.unwrap();
        cut_all(&store).await;
        assert!(rows(&begin(&store, dev), dropped).await.unwrap() == expected);
        // The branch changes some pages, and then drops the tree as well.
        write(&store, dev, dropped, 0..20, (1, 200)).await.unwrap();
        drop_tree(&store, dev, dropped).await.unwrap();
        cut_all(&store).await;
        assert!(used(&store) > empty + 1_000_000);
        store.drop_branch(dev).await.unwrap();
        store.remove_dropped().await.unwrap();
        cut_all(&store).await;
        assert!(used(&store) < empty + 80_000, "dropped trees: {} and {empty}", used(&store));
    });
}

/// Times and transactions of commits that are gone are told to be so, and take no space.
#[test]
fn commit_times_are_cut() {
    block_on(async {
        let store = open(SimulatedDevice::new(1)).await.unwrap();
        let tree = create_tree(&store).await;
        let mut commits = Vec::new();
        for round in 0..1_500u64 {
            let mut transaction = begin(&store, BranchId::MAIN);
            transaction.put(tree, &(round % 7).to_be_bytes(), &round.to_be_bytes()).unwrap();
            let xid = transaction.xid();
            let scn = transaction.commit().await.unwrap().scn.unwrap();
            commits.push((scn, xid, store.time_of(scn).await.unwrap()));
            if round % 100 == 0 {
                store.checkpoint().await.unwrap();
            }
        }
        let (since, ..) = commits[1_000];
        cut(&store, since).await.unwrap();
        let (first, rest) = commits.split_at(1_000);
        for (scn, xid, time) in rest {
            assert_eq!(store.time_of(*scn).await.unwrap(), *time);
            assert_eq!(store.scn_of(*xid).await.unwrap(), *scn);
            assert_eq!(store.scn_at(*time).await.unwrap(), Some(*scn));
        }
        let (_, xid, time) = first[0];
        assert!(matches!(store.scn_of(xid).await, Err(Error::TooOld { asked: None, .. })));
        assert!(matches!(store.scn_at(time).await, Err(Error::TooOld { asked: None, .. })));
        assert!(matches!(store.scn_of(Xid(1_000_000)).await, Err(Error::NoSuchTransaction(_))));
        assert!(store.branches().await.unwrap()[0].created_micros > 0);
    });
}

/// What is done in the run that is crashed.
#[derive(Clone, Copy)]
enum Step {
    Write(&'static str, u64, u64, usize),
    Delete(u64, u64),
    Branch(&'static str, &'static str),
    DropBranch(&'static str),
    /// Writes another tree, and drops it.
    Scratch,
    /// Keeps what was committed since so many steps ago.
    Cut(usize),
}

const STEPS: [Step; 20] = [
    Step::Write("main", 0, 120, 300),
    Step::Write("main", 0, 3, 20_000),
    Step::Write("main", 30, 90, 300),
    Step::Branch("dev", "main"),
    Step::Write("main", 0, 100, 250),
    Step::Scratch,
    Step::Write("dev", 50, 60, 300),
    Step::Cut(3),
    Step::Delete(20, 110),
    Step::Branch("deep", "dev"),
    Step::Write("main", 0, 60, 300),
    Step::Write("dev", 0, 60, 200),
    Step::Cut(0),
    Step::DropBranch("dev"),
    Step::Write("deep", 0, 40, 300),
    Step::Write("main", 0, 120, 300),
    Step::Scratch,
    Step::Cut(1),
    Step::Write("main", 10, 20, 300),
    Step::Cut(0),
];

/// What was there when: by branch, the commit and the rows that it left.
type Past = Vec<(String, Scn, Rows)>;

#[derive(Default)]
struct Run {
    tree: Option<TreeId>,
    past: Past,
    /// The last commit that a cut was to keep.
    since: Scn,
    steps: usize,
}

async fn find(store: &Store, name: &str) -> Result<Option<BranchId>, Error> {
    let all = store.branches().await?;
    Ok(all.into_iter().find(|branch| branch.name == name && !branch.is_dropped).map(|branch| branch.id))
}

async fn take(store: &Store, run: &mut Run, step: Step, number: u64) -> Result<(), Error> {
    let tree = run.tree.expect("it was made first");
    let branch = match step {
        Step::Write(branch, ..) => find(store, branch).await?.expect("it is there"),
        _ => BranchId::MAIN,
    };
    let scn = match step {
        Step::Write(_, from, to, length) => write(store, branch, tree, from..to, (number, length)).await?,
        Step::Delete(from, to) => {
            let mut transaction = begin(store, branch);
            for key in from..to {
                transaction.delete(tree, &key.to_be_bytes())?;
            }
            transaction.commit().await?.scn.expect("it wrote")
        }
        Step::Branch(name, parent) => {
            let parent = find(store, parent).await?.expect("it is there");
            return create_branch(store, name, parent).await.map(|_| ());
        }
        Step::DropBranch(name) => {
            let branch = find(store, name).await?.expect("it is there");
            store.drop_branch(branch).await?;
            return store.remove_dropped().await;
        }
        Step::Scratch => {
            let mut transaction = begin(store, branch);
            let scratch = transaction.create_tree();
            for key in 0..100u64 {
                transaction.put(scratch, &key.to_be_bytes(), &noise(key, 200))?;
            }
            transaction.commit().await?;
            drop_tree(store, branch, scratch).await?
        }
        Step::Cut(ago) => {
            run.since = run.past[run.past.len() - 1 - ago].1;
            return cut(store, run.since).await;
        }
    };
    let name = if let Step::Write(name, ..) = step { name } else { "main" };
    let left = rows_at(store, branch, scn, tree).await?;
    run.past.push((name.to_string(), scn, left));
    Ok(())
}

async fn workload(device: &SimulatedDevice, options: &StoreOptions, run: &mut Run) -> Result<(), Error> {
    let store = open_with(device.clone(), options).await?;
    let mut transaction = begin(&store, BranchId::MAIN);
    let tree = transaction.create_tree();
    transaction.commit().await?;
    run.tree = Some(tree);
    for (number, step) in STEPS.into_iter().enumerate() {
        take(&store, run, step, number as u64).await?;
        run.steps = number + 1;
    }
    store.close().await
}

/// All that was committed before `end` is what it was, or told to be gone where that was asked for.
async fn check(store: &Store, run: &Run, end: Scn, context: &str) {
    let Some(tree) = run.tree else { return };
    for (name, scn, expected) in run.past.iter().filter(|(_, scn, _)| *scn < end) {
        let branch = match name.as_str() {
            "main" => BranchId::MAIN,
            name => match find(store, name).await.unwrap() {
                Some(branch) => branch,
                None => continue,
            },
        };
        match rows_at(store, branch, *scn, tree).await {
            Ok(found) => assert!(found == *expected, "{context}: {name} at {scn}"),
            Err(Error::TooOld { .. }) => assert!(*scn < run.since, "{context}: {name} at {scn} is gone"),
            Err(error) => panic!("{context}: {name} at {scn}: {error}"),
        }
    }
}

fn every_call(fault: InjectedFault, log_enabled: bool) {
    let options = StoreOptions { log_enabled, ..options() };
    let device = SimulatedDevice::new(1);
    block_on(workload(&device, &options, &mut Run::default())).unwrap();
    let calls = device.calls();
    assert!(calls > 100, "only {calls} calls");
    for call in 1..=calls {
        let device = SimulatedDevice::new(call);
        device.fail_call(call, fault);
        let mut run = Run::default();
        let _ = block_on(workload(&device, &options, &mut run));
        let device = if fault == InjectedFault::Crash { device.restart() } else { device.survivor(call) };
        let context = format!("{fault:?} at call {call} of {calls}, after {} steps", run.steps);
        block_on(async {
            let store = open_with(device.clone(), &options)
                .await
                .unwrap_or_else(|error| panic!("{context}: {error}"));
            // Without a log what came after the last checkpoint is lost.
            let end = if log_enabled { Scn::MAX } else { store.visible_scn() };
            check(&store, &run, end, &context).await;
            let since = run.since.max(store.kept(BranchId::MAIN).since);
            cut(&store, since).await.unwrap_or_else(|error| panic!("{context}: {error}"));
            check(&store, &run, end, &context).await;
            store.close().await.unwrap();
            drop(store);
            let store = open_with(device.clone(), &options)
                .await
                .unwrap_or_else(|error| panic!("{context}: {error}"));
            check(&store, &run, end, &context).await;
        });
    }
}

#[test]
fn a_crash_at_any_call_leaves_history_or_none() {
    every_call(InjectedFault::Crash, true);
}

#[test]
fn a_crash_without_a_log_leaves_history_or_none() {
    every_call(InjectedFault::Crash, false);
}

#[test]
fn an_error_at_any_call_leaves_history_or_none() {
    every_call(InjectedFault::Error, true);
}

#[test]
fn a_full_disk_at_any_call_leaves_history_or_none() {
    every_call(InjectedFault::NoSpace, true);
}

/// Readers and writers go on while history is cut again and again: every state that is read is one that was committed, and
/// where a branch began always can be read.
#[test]
fn others_go_on_meanwhile() {
    let store = block_on(open(MemoryDevice::new())).unwrap();
    let tree = block_on(create_tree(&store));
    block_on(write(&store, BranchId::MAIN, tree, 0..400, (0, 200))).unwrap();
    let dev = block_on(create_branch(&store, "dev", BranchId::MAIN)).unwrap();
    let origin = block_on(store.branches()).unwrap().into_iter().find_map(|branch| branch.origin).unwrap();
    let at_branch = block_on(rows(&begin(&store, dev), tree)).unwrap();
    let done = AtomicBool::new(false);
    let is_done = || done.load(Ordering::Acquire);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..400 {
                block_on(write(&store, BranchId::MAIN, tree, 0..400, (round, 200))).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        scope.spawn(|| {
            while !is_done() {
                block_on(cut_all(&store));
            }
        });
        let same_round = |rows: Rows| {
            let round = (0..400).find(|round| rows.values().next() == Some(&noise(round * 10_000, 200)));
            let round = round.expect("a state that was committed");
            let is_same = rows.values().zip(0..).all(|(row, key)| *row == noise(round * 10_000 + key, 200));
            assert!(is_same && rows.len() == 400, "a mixed state of round {round}");
        };
        let mut past = Vec::new();
        while !is_done() {
            let reader = begin(&store, BranchId::MAIN);
            past.push(reader.snapshot().scn);
            let first = block_on(rows(&reader, tree)).unwrap();
            assert!(first == block_on(rows(&reader, tree)).unwrap());
            same_round(first);
            drop(reader);
            assert!(block_on(rows_at(&store, BranchId::MAIN, origin.scn, tree)).unwrap() == at_branch);
            match block_on(rows_at(&store, BranchId::MAIN, past[past.len() / 2], tree)) {
                Ok(rows) => same_round(rows),
                Err(Error::TooOld { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
}
