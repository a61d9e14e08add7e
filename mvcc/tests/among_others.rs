//! Shows that others commit while a large commit is applied, and that nothing of either is lost or mixed up: sessions
//! that write small commits, one of them to the pages of the large ones, run beside a session whose commits go through
//! a temporary file. Each moment is read again as of its SCN, before and after replay and a checkpoint; and the whole is
//! crashed, or fails, at every single I/O call.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use futures_lite::future::{block_on, zip};
use helios_mvcc::{
    BranchId, Compression, Error, Isolation, KeyRange, MasterKey, ScanStep, Scn, Store, StoreOptions,
    Surroundings, Transaction, TreeId,
};
use helios_runtime::{InjectedFault, SimulatedDevice};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// Sessions that write small commits; the last of them to the pages of the large ones.
const SMALL: usize = 3;
const CONTESTING: usize = SMALL - 1;
const LARGE_ROWS: u64 = 400;

fn options() -> StoreOptions {
    StoreOptions {
        cache_size_bytes: 1_600_000,
        compression: Compression::Lz4,
        log_segment_bytes: 64 << 10,
        write_set_bytes: 16_000,
        ..StoreOptions::default()
    }
}

/// What is committed: of each session the number of its last commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Done {
    large: u64,
    small: [u64; SMALL],
}

/// A commit.
#[derive(Clone, Copy)]
enum Commit {
    Large(u64),
    Small(usize, u64),
}

impl Done {
    fn add(&mut self, commit: Commit) {
        match commit {
            Commit::Large(number) => self.large = number,
            Commit::Small(session, number) => self.small[session] = number,
        }
    }
}

/// What was acknowledged.
#[derive(Default)]
struct Seen {
    done: Cell<Done>,
    commits: RefCell<BTreeMap<Scn, Commit>>,
    /// Small commits that came to their end while a large one was on its way.
    among: Cell<u64>,
}

impl Seen {
    fn add(&self, scn: Scn, commit: Commit) {
        let mut done = self.done.get();
        done.add(commit);
        self.done.set(done);
        self.commits.borrow_mut().insert(scn, commit);
    }
}

/// The tree of the large commits.
const LARGE: TreeId = TreeId::CATALOG;

fn tree_of(session: usize) -> TreeId {
    if session == CONTESTING { LARGE } else { TreeId(5 + 2 * session as u64) }
}

/// The rows after a large commit: some are changed, some come, some go, and some are large.
fn large_rows(number: u64) -> Rows {
    if number == 0 {
        return Rows::new();
    }
    let row = |row: u64| {
        let length = if row.is_multiple_of(131) { 9_000 } else { 20 + (row * 31 + number * 17) % 160 };
        (row.to_be_bytes().to_vec(), vec![number as u8; length as usize])
    };
    (0..LARGE_ROWS * number.min(3)).filter(|row| !(row / 20 + number).is_multiple_of(4)).map(row).collect()
}

/// A row of a small session: its place among the rows of the large commits where it contests them.
fn small_key(session: usize, number: u64) -> Vec<u8> {
    let mut key = (number * 37 % LARGE_ROWS).to_be_bytes().to_vec();
    key.push(session as u8);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

fn small_rows(session: usize, number: u64) -> Rows {
    let mut rows: Rows =
        (1..=number).map(|number| (small_key(session, number), vec![session as u8; 60])).collect();
    if number > 0 {
        rows.insert(small_key(session, 0), number.to_be_bytes().to_vec());
    }
    rows
}

fn begin(store: &Store) -> Transaction {
    let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
    transaction.begin_statement();
    transaction
}

async fn commit_large(store: &Store, number: u64) -> Result<Scn, Error> {
    let mut transaction = begin(store);
    let (before, after) = (large_rows(number - 1), large_rows(number));
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        transaction.delete(LARGE, key)?;
        transaction.make_room().await?;
    }
    for (key, value) in &after {
        transaction.put(LARGE, key, value)?;
        transaction.make_room().await?;
    }
    Ok(transaction.commit().await?.scn.expect("it wrote"))
}

async fn commit_small(store: &Store, session: usize, number: u64) -> Result<Scn, Error> {
    let mut transaction = begin(store);
    let tree = tree_of(session);
    transaction.put(tree, &small_key(session, number), &[session as u8; 60])?;
    transaction.put(tree, &small_key(session, 0), &number.to_be_bytes())?;
    Ok(transaction.commit().await?.scn.expect("it wrote"))
}

/// One large commit, and small ones for as long as it takes and a little longer.
async fn large_among_small(store: &Store, number: u64, seen: &Seen) -> Result<(), Error> {
    let is_over = Cell::new(false);
    let large = async {
        let committed = commit_large(store, number).await;
        is_over.set(true);
        seen.add(committed?, Commit::Large(number));
        Ok::<(), Error>(())
    };
    let session = |session: usize| {
        let is_over = &is_over;
        async move {
            let mut last = false;
            while !last {
                last = is_over.get();
                let number = seen.done.get().small[session] + 1;
                let scn = commit_small(store, session, number).await?;
                seen.among.set(seen.among.get() + u64::from(!is_over.get()));
                seen.add(scn, Commit::Small(session, number));
            }
            Ok::<(), Error>(())
        }
    };
    let (large, ((one, two), contesting)) =
        zip(large, zip(zip(session(0), session(1)), session(CONTESTING))).await;
    large.and(one).and(two).and(contesting)
}

async fn open(device: &SimulatedDevice, options: &StoreOptions) -> Result<Store, Error> {
    Store::open(options.clone(), Surroundings::repeatable(Arc::new(device.clone()))).await
}

/// A disk with a store on it that has the trees.
async fn prepared(seed: u64, options: &StoreOptions) -> SimulatedDevice {
    let device = SimulatedDevice::new(seed);
    let store = open(&device, options).await.unwrap();
    let mut transaction = begin(&store);
    for session in 0..CONTESTING {
        assert_eq!(transaction.create_tree(), tree_of(session));
    }
    transaction.commit().await.unwrap();
    store.close().await.unwrap();
    device
}

async fn workload(device: &SimulatedDevice, options: &StoreOptions, seen: &Seen) -> Result<(), Error> {
    let store = open(device, options).await?;
    for number in 1..=3 {
        large_among_small(&store, number, seen).await?;
        if number == 2 {
            store.checkpoint().await?;
        }
    }
    store.close().await?;
    drop(store);
    let store = open(device, options).await?;
    large_among_small(&store, 4, seen).await
}

async fn rows(transaction: &Transaction, tree: TreeId) -> Result<Rows, Error> {
    let mut rows = Rows::new();
    let mut scan = transaction.scan(tree, KeyRange::all(), false);
    while scan
        .next(transaction, &mut |key, value| {
            rows.insert(key.to_vec(), value.to_vec());
            ControlFlow::Continue(())
        })
        .await?
        != ScanStep::Done
    {}
    Ok(rows)
}

/// What of the sessions' commits a transaction sees; `acknowledged` is among it, and one commit more of each at most.
async fn find_done(transaction: &Transaction, acknowledged: Done, context: &str) -> Done {
    let mut done = acknowledged;
    let (mut large, contesting): (Rows, Rows) =
        rows(transaction, LARGE).await.unwrap().into_iter().partition(|(key, _)| key.len() == 8);
    // What the folder begins with.
    large.retain(|_, value| !value.is_empty());
    done.large += u64::from(large != large_rows(done.large));
    assert!(large == large_rows(done.large), "{context}: {} rows, {acknowledged:?}", large.len());
    for session in 0..SMALL {
        let found = match session {
            CONTESTING => contesting.clone(),
            _ => rows(transaction, tree_of(session)).await.unwrap(),
        };
        let number = &mut done.small[session];
        *number += u64::from(found != small_rows(session, *number));
        assert!(found == small_rows(session, *number), "{context}: session {session}, {acknowledged:?}");
    }
    done
}

/// Every moment is what the commits up to it made, and is found by its time.
async fn check_moments(store: &Store, seen: &Seen, context: &str) {
    let commits = seen.commits.borrow().clone();
    let mut done = Done::default();
    for (scn, commit) in &commits {
        done.add(*commit);
        let context = format!("{context}, SCN {scn}");
        let mut transaction = store.begin_as_of(BranchId::MAIN, *scn).unwrap();
        transaction.begin_statement();
        assert_eq!(find_done(&transaction, done, &context).await, done, "{context}");
        let time = store.time_of(*scn).await.unwrap();
        assert_eq!(store.scn_at(time).await.unwrap(), Some(*scn), "{context}: at {time}");
    }
}

#[test]
fn others_commit_meanwhile_and_each_moment_is_kept() {
    let (options, seen) = (options(), Seen::default());
    block_on(async {
        let device = prepared(1, &options).await;
        workload(&device, &options, &seen).await.unwrap();
        assert!(seen.among.get() > 60, "{} commits among four large ones", seen.among.get());
        let device = device.restart();
        let store = open(&device, &options).await.unwrap();
        check_moments(&store, &seen, "after replay").await;
        store.close().await.unwrap();
        drop(store);
        let store = open(&device, &options).await.unwrap();
        check_moments(&store, &seen, "after a clean close").await;
    });
}

/// Opens what is left and compares; then goes on, closes and opens once more.
async fn check(device: &SimulatedDevice, options: &StoreOptions, seen: &Seen, context: &str) {
    let store = open(device, options).await.unwrap_or_else(|error| panic!("{context}: {error}"));
    let done = find_done(&begin(&store), seen.done.get(), context).await;
    check_moments(&store, seen, context).await;
    let next = done.large + 1;
    for (session, number) in done.small.iter().enumerate() {
        commit_small(&store, session, number + 1).await.unwrap_or_else(|error| panic!("{context}: {error}"));
    }
    commit_large(&store, next).await.unwrap_or_else(|error| panic!("{context}: {error}"));
    store.close().await.unwrap_or_else(|error| panic!("{context}: {error}"));
    drop(store);
    let store = open(device, options).await.unwrap_or_else(|error| panic!("{context}: second open: {error}"));
    let expected = Done { large: next, small: done.small.map(|number| number + 1) };
    assert_eq!(
        find_done(&begin(&store), expected, context).await,
        expected,
        "{context}: after a clean close"
    );
}

fn every_call(fault: InjectedFault, options: StoreOptions, step: usize) {
    let calls = block_on(async {
        let device = prepared(1, &options).await;
        let before = device.calls();
        workload(&device, &options, &Seen::default()).await.unwrap();
        before + 1..=device.calls()
    });
    let mut noticed = 0;
    for call in calls.clone().step_by(step) {
        let (device, seen) = (block_on(prepared(call, &options)), Seen::default());
        device.fail_call(call, fault);
        let result = block_on(workload(&device, &options, &seen));
        let context = format!("{fault:?} at call {call} of {}", calls.end());
        noticed += usize::from(result.is_err());
        let device = if fault == InjectedFault::Crash { device.restart() } else { device.survivor(call) };
        block_on(check(&device, &options, &seen, &context));
    }
    // How many calls it takes depends on when readers of other tests let frames and undo records go.
    assert!(noticed > 20, "{noticed} {fault:?} were noticed");
}

/// Every so many calls; all of them in the long lane.
fn step(step: usize) -> usize {
    if std::env::var("HELIOS_TESTS_ALL").is_ok_and(|all| all == "true") { 1 } else { step }
}

#[test]
fn a_crash_at_any_call_loses_nothing() {
    every_call(InjectedFault::Crash, options(), step(3));
}

#[test]
fn a_crash_at_any_call_loses_nothing_encrypted() {
    every_call(
        InjectedFault::Crash,
        StoreOptions { key: Some(MasterKey::new([3; 32])), ..options() },
        step(11),
    );
}

#[test]
fn an_error_at_any_call_loses_nothing() {
    every_call(InjectedFault::Error, options(), step(7));
}

#[test]
fn a_full_disk_at_any_call_loses_nothing() {
    every_call(InjectedFault::NoSpace, options(), step(7));
}
