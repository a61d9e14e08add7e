//! Shows that SCN, commit time and transaction id lead to each other exactly, for every commit there ever was: against a
//! model, over commits in one microsecond and hours apart, rolled back transactions, checkpoints, crashes and reopening,
//! with and without a log.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_lite::future::block_on;
use helios_mvcc::{
    BranchId, Compression, Error, Isolation, Scn, Store, StoreOptions, Surroundings, TreeId, Xid,
};
use helios_runtime::{ManualClock, SeededEntropy, SimulatedDevice};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Commits(u16),
    RollBack,
    /// A transaction that takes its number now and commits later.
    Long,
    Advance(u64),
    Checkpoint,
    Reopen,
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1u16..20).prop_map(Step::Commits),
        1 => (3000u16..5000).prop_map(Step::Commits),
        2 => Just(Step::RollBack),
        2 => Just(Step::Long),
        3 => (0u64..40).prop_map(|bits| Step::Advance((1 << bits) - 1)),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::Reopen),
        2 => Just(Step::Crash),
    ];
    proptest::collection::vec(step, 1..25)
}

struct Model {
    /// Transaction and time bounds of each commit.
    commits: BTreeMap<Scn, (Xid, u64)>,
    gone: Vec<Xid>,
}

async fn open(options: &StoreOptions, device: &SimulatedDevice, clock: &Arc<ManualClock>) -> Store {
    let surroundings = Surroundings {
        device: Arc::new(device.clone()),
        clock: clock.clone(),
        entropy: Arc::new(SeededEntropy::new(1)),
    };
    Store::open(options.clone(), surroundings).await.unwrap()
}

fn begin(store: &Store) -> (helios_mvcc::Transaction, Xid) {
    let mut transaction = store.begin(BranchId::MAIN, Isolation::Snapshot);
    transaction.begin_statement();
    let xid = transaction.xid();
    transaction.put(TreeId::CATALOG, &(xid.0 % 50).to_be_bytes(), b"value").unwrap();
    (transaction, xid)
}

async fn commit(store: &Store, model: &mut Model, transaction: helios_mvcc::Transaction, xid: Xid) {
    let scn = transaction.commit().await.unwrap().scn.unwrap();
    let time = store.time_of(scn).await.unwrap();
    model.commits.insert(scn, (xid, time));
}

async fn check(store: &Store, model: &Model, clock: &ManualClock, random: &mut usize) {
    let mut last = 0;
    for (scn, (_, time)) in &model.commits {
        assert!(*time > last, "the time of {scn} is later than that of the commit before");
        last = *time;
    }
    // A different sample each time, and the ends.
    *random = random.wrapping_mul(31).wrapping_add(17);
    let step = 1 + model.commits.len() / 40;
    let sample = model.commits.iter().skip(*random % step).step_by(step);
    for (scn, (xid, time)) in sample.chain(model.commits.last_key_value()) {
        assert_eq!(store.time_of(*scn).await.unwrap(), *time, "time of {scn}");
        assert_eq!(store.scn_of(*xid).await.unwrap(), *scn, "commit of transaction {xid}");
        assert_eq!(store.scn_at(*time).await.unwrap(), Some(*scn), "at the time of {scn}");
        let before = store.scn_at(*time - 1).await.unwrap();
        assert!(before.is_some_and(|before| before < *scn), "just before {scn}: {before:?}");
        // Commits of the system itself have SCNs too, so the one before may be none of the model's.
        if let Some((previous, _)) = model.commits.range(..*scn).next_back() {
            assert!(before >= Some(*previous));
        }
    }
    for xid in model.gone.iter().rev().take(5) {
        assert!(
            matches!(store.scn_of(*xid).await, Err(Error::NoSuchTransaction(_))),
            "{xid} was rolled back"
        );
    }
    assert!(matches!(store.scn_of(Xid(u64::MAX)).await, Err(Error::NoSuchTransaction(_))));
    assert!(matches!(store.scn_of(Xid(0)).await, Err(Error::NoSuchTransaction(_))));
    let newest = store.visible_scn();
    assert!(matches!(store.time_of(Scn(newest.0 + 1)).await, Err(Error::NoSuchScn { .. })));
    assert!(matches!(store.time_of(Scn(0)).await, Err(Error::NoSuchScn { .. })));
    assert_eq!(store.scn_at(0).await.unwrap(), None);
    let far = helios_runtime::Clock::now_micros(clock) + (1 << 50);
    assert_eq!(store.scn_at(far).await.unwrap(), Some(newest));
}

async fn run(steps: Vec<Step>, options: StoreOptions) {
    let mut device = SimulatedDevice::new(1);
    let clock = Arc::new(ManualClock::new(1_000_000));
    let mut store = open(&options, &device, &clock).await;
    let mut model = Model { commits: BTreeMap::new(), gone: Vec::new() };
    // What a crash without a log goes back to.
    let mut durable = Scn(0);
    let mut random = 1;
    let mut long = None;
    for step in steps {
        match step {
            Step::Commits(count) => {
                for _ in 0..count {
                    let (transaction, xid) = begin(&store);
                    commit(&store, &mut model, transaction, xid).await;
                }
            }
            Step::RollBack => model.gone.push(begin(&store).1),
            Step::Long => match long.take() {
                Some((transaction, xid)) => commit(&store, &mut model, transaction, xid).await,
                None => long = Some(begin(&store)),
            },
            Step::Advance(micros) => clock.advance_micros(micros),
            Step::Checkpoint => {
                store.checkpoint().await.unwrap();
                durable = store.visible_scn();
            }
            Step::Reopen => {
                model.gone.extend(long.take().map(|(_, xid)| xid));
                store.close().await.unwrap();
                drop(store);
                store = open(&options, &device, &clock).await;
                durable = store.visible_scn();
            }
            Step::Crash => {
                model.gone.clear();
                long = None;
                drop(store);
                device = device.restart();
                store = open(&options, &device, &clock).await;
                if !options.log_enabled {
                    model.commits.split_off(&Scn(durable.0 + 1));
                }
                durable = store.visible_scn();
            }
        }
        check(&store, &model, &clock, &mut random).await;
    }
}

fn options(log_enabled: bool) -> StoreOptions {
    StoreOptions {
        cache_size_bytes: 1_600_000,
        compression: Compression::Lz4,
        log_enabled,
        ..StoreOptions::default()
    }
}

fn cases() -> u32 {
    if std::env::var("HELIOS_TESTS_ALL").is_ok_and(|all| all == "true") { 150 } else { 8 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..Default::default() })]

    #[test]
    fn moments_are_exact(steps in steps(), log_enabled in any::<bool>()) {
        block_on(run(steps, options(log_enabled)));
    }
}
