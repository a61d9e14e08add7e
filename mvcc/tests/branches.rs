//! Shows that branches survive a crash at any I/O call as made or not made, dropped or not dropped, with all that was
//! committed on them; that a dropped branch gives its space back, and one that others descend from does not; and that
//! neither making a branch nor the number of levels costs anything that grows with the data.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use futures_lite::future::block_on;
use helios_mvcc::{
    BranchId, Compression, Error, Isolation, KeyRange, NewBranch, ScanStep, Snapshot, Store, StoreOptions,
    Surroundings, TreeId,
};
use helios_runtime::device::MemoryDevice;
use helios_runtime::{InjectedFault, SeededEntropy, SimulatedDevice};

const TREE: TreeId = TreeId::CATALOG;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;
/// What is to be found: by the branch's name.
type State = BTreeMap<String, Rows>;

fn options() -> StoreOptions {
    StoreOptions {
        cache_size_bytes: 1_600_000,
        compression: Compression::Lz4,
        log_segment_bytes: 64 << 10,
        ..StoreOptions::default()
    }
}

async fn rows(store: &Store, branch: BranchId) -> Result<Rows, Error> {
    let mut transaction = store.begin(branch, Isolation::Snapshot);
    transaction.begin_statement();
    let mut scan = transaction.scan(TREE, KeyRange::all(), false);
    let mut rows = Rows::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        rows.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    };
    while scan.next(&transaction, &mut visit).await? != ScanStep::Done {}
    Ok(rows)
}

async fn state(store: &Store) -> Result<State, Error> {
    let mut state = State::new();
    for branch in store.branches().await?.into_iter().filter(|branch| !branch.is_dropped) {
        state.insert(branch.name.clone(), rows(store, branch.id).await?);
    }
    Ok(state)
}

async fn find(store: &Store, name: &str) -> Result<BranchId, Error> {
    let found = store.branches().await?.into_iter().find(|branch| branch.name == name && !branch.is_dropped);
    Ok(found.expect("it was made before").id)
}

async fn create(store: &Store, name: &str, parent: BranchId) -> Result<BranchId, Error> {
    let origin = Snapshot { branch: parent, scn: store.visible_scn() };
    let new = NewBranch { name: name.into(), origin, root: Some(BranchId::MAIN), options: Vec::new() };
    Ok(store.create_branch(new, |_| Vec::new()).await?.id)
}

async fn write(store: &Store, branch: BranchId, keys: std::ops::Range<u64>, byte: u8) -> Result<(), Error> {
    let mut transaction = store.begin(branch, Isolation::Snapshot);
    transaction.begin_statement();
    for key in keys {
        transaction.put(TREE, &key.to_be_bytes(), &vec![byte; 300])?;
    }
    transaction.commit().await.map(|_| ())
}

/// One step of the workload that is crashed.
#[derive(Clone, Copy)]
enum Step {
    Create(&'static str, &'static str),
    Write(&'static str, u64, u64),
    Rename(&'static str, &'static str),
    Drop(&'static str),
    Checkpoint,
}

const STEPS: [Step; 14] = [
    Step::Write("main", 0, 200),
    Step::Create("dev", "main"),
    Step::Write("dev", 50, 60),
    Step::Write("main", 100, 250),
    Step::Create("deeper", "dev"),
    Step::Checkpoint,
    Step::Write("deeper", 0, 220),
    Step::Create("other", "main"),
    Step::Write("other", 150, 300),
    // Others descend from it.
    Step::Drop("dev"),
    Step::Write("deeper", 40, 70),
    Step::Drop("other"),
    Step::Rename("deeper", "dev"),
    Step::Write("dev", 0, 3),
];

fn model(steps: usize) -> State {
    let mut state = State::from([("main".to_string(), Rows::new())]);
    for (number, step) in STEPS[..steps].iter().enumerate() {
        match *step {
            Step::Create(name, parent) => {
                state.insert(name.into(), state[parent].clone());
            }
            Step::Write(branch, from, to) => {
                let rows = (from..to).map(|key| (key.to_be_bytes().to_vec(), vec![number as u8; 300]));
                state.get_mut(branch).unwrap().extend(rows);
            }
            Step::Rename(from, to) => {
                let rows = state.remove(from).unwrap();
                state.insert(to.into(), rows);
            }
            Step::Drop(branch) => {
                state.remove(branch);
            }
            Step::Checkpoint => {}
        }
    }
    state
}

async fn take(store: &Store, number: usize) -> Result<(), Error> {
    match STEPS[number] {
        Step::Create(name, parent) => create(store, name, find(store, parent).await?).await.map(|_| ()),
        Step::Write(branch, from, to) => {
            write(store, find(store, branch).await?, from..to, number as u8).await
        }
        Step::Rename(from, to) => store.rename_branch(find(store, from).await?, to).await,
        Step::Drop(branch) => {
            store.drop_branch(find(store, branch).await?).await?;
            store.remove_dropped().await
        }
        Step::Checkpoint => store.checkpoint().await,
    }
}

async fn workload(device: &SimulatedDevice, done: &mut usize) -> Result<(), Error> {
    let store = Store::open(options(), Surroundings::repeatable(Arc::new(device.clone()))).await?;
    for number in 0..STEPS.len() {
        take(&store, number).await?;
        *done = number + 1;
    }
    Ok(())
}

fn every_call(fault: InjectedFault) {
    let device = SimulatedDevice::new(1);
    block_on(workload(&device, &mut 0)).unwrap();
    let calls = device.calls();
    assert!(calls > 50, "only {calls} calls");
    for call in 1..=calls {
        let device = SimulatedDevice::new(call);
        device.fail_call(call, fault);
        let mut done = 0;
        let _ = block_on(workload(&device, &mut done));
        let device = if fault == InjectedFault::Crash { device.restart() } else { device.survivor(call) };
        let context = format!("{fault:?} at call {call} of {calls}, after {done} steps");
        block_on(async {
            let store = Store::open(options(), Surroundings::repeatable(Arc::new(device.clone()))).await;
            let store = store.unwrap_or_else(|error| panic!("{context}: {error}"));
            let found = state(&store).await.unwrap_or_else(|error| panic!("{context}: {error}"));
            let next = (done + 1).min(STEPS.len());
            assert!(found == model(done) || found == model(next), "{context}: {:?}", found.keys());
            // What was interrupted is taken up again, and all goes on.
            store.remove_dropped().await.unwrap_or_else(|error| panic!("{context}: {error}"));
            assert!(state(&store).await.unwrap() == found, "{context}: after removing what was dropped");
            let main = find(&store, "main").await.unwrap();
            create(&store, "last", main).await.unwrap_or_else(|error| panic!("{context}: {error}"));
        });
    }
}

#[test]
fn a_crash_at_any_call_loses_nothing_of_any_branch() {
    every_call(InjectedFault::Crash);
}

#[test]
fn an_error_at_any_call_loses_nothing_of_any_branch() {
    every_call(InjectedFault::Error);
}

#[test]
fn a_dropped_branch_gives_its_space_back() {
    block_on(async {
        let device = SimulatedDevice::new(1);
        let store = Store::open(options(), Surroundings::repeatable(Arc::new(device))).await.unwrap();
        write(&store, BranchId::MAIN, 0..2_000, 1).await.unwrap();
        store.checkpoint().await.unwrap();
        let used = store.stats().unwrap().data_used_bytes;
        let dev = create(&store, "dev", BranchId::MAIN).await.unwrap();
        // Incompressible, so that the rows are as large as they look.
        let mut transaction = store.begin(dev, Isolation::Snapshot);
        let noise = SeededEntropy::new(3);
        for key in 0..2_000u64 {
            let mut value = vec![0; 300];
            helios_runtime::Entropy::fill(&noise, &mut value).unwrap();
            transaction.put(TREE, &key.to_be_bytes(), &value).unwrap();
        }
        transaction.commit().await.unwrap();
        let child = create(&store, "child", dev).await.unwrap();
        let before = rows(&store, child).await.unwrap();
        store.checkpoint().await.unwrap();
        let with_branch = store.stats().unwrap().data_used_bytes;
        assert!(with_branch > used + 600_000, "{used} bytes, and {with_branch} with a branch");
        store.drop_branch(dev).await.unwrap();
        store.remove_dropped().await.unwrap();
        assert!(rows(&store, child).await.unwrap() == before, "the child lost what it inherited");
        assert!(store.stats().unwrap().data_used_bytes > used + 600_000);
        store.drop_branch(child).await.unwrap();
        store.remove_dropped().await.unwrap();
        store.checkpoint().await.unwrap();
        let after = store.stats().unwrap().data_used_bytes;
        assert!(after < used + 100_000, "{used} bytes before, {after} after");
        assert_eq!(store.branches().await.unwrap().len(), 1);
        assert!(matches!(store.drop_branch(child).await, Err(Error::NoSuchBranch(_))));
    });
}

#[test]
fn levels_and_size_cost_nothing() {
    block_on(async {
        let device = Arc::new(MemoryDevice::new());
        let options = StoreOptions { cache_size_bytes: 64 << 20, ..options() };
        let store = Store::open(options, Surroundings::repeatable(device)).await.unwrap();
        write(&store, BranchId::MAIN, 0..20_000, 1).await.unwrap();
        let mut last = BranchId::MAIN;
        let mut costs = Vec::new();
        for level in 0..32u64 {
            let before = store.stats().unwrap();
            last = create(&store, &format!("level {level}"), last).await.unwrap();
            let after = store.stats().unwrap();
            costs.push(after.commits - before.commits);
            assert_eq!(after.faults, before.faults, "making a branch reads no page of its parent");
            write(&store, last, level..level + 1, 2).await.unwrap();
        }
        assert!(costs.iter().all(|commits| *commits == 1), "{costs:?}");
        let found = rows(&store, last).await.unwrap();
        assert_eq!(found.len(), 20_000);
        assert_eq!(found.values().filter(|value| value[0] == 2).count(), 32);
        // What was read once is at hand under the branch's own name.
        let faults = store.stats().unwrap().faults;
        assert_eq!(rows(&store, last).await.unwrap(), found);
        assert_eq!(store.stats().unwrap().faults, faults);
        let taken = NewBranch {
            name: "level 3".into(),
            origin: Snapshot { branch: last, scn: store.visible_scn() },
            root: Some(BranchId::MAIN),
            options: Vec::new(),
        };
        assert!(matches!(store.create_branch(taken, |_| Vec::new()).await, Err(Error::DuplicateBranch(_))));
    });
}
