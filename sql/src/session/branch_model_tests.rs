//! Shows that whatever is done to tables on whatever branches, every version of every branch can be read, by whatever
//! way, and merges give what merges of plain maps give: random rows, DDL, branches, merges, drops, checkpoints and
//! restarts, beside a model that keeps every version (`branch_model.rs`, `branch_model_merge.rs`). Branches are made from the
//! past, columns are dropped, converted, renamed and added on both sides, under the same names too, and tables dropped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_lite::future::block_on;
use helios_mvcc::{Store, StoreOptions, Surroundings};
use helios_runtime::SimulatedDevice;

use super::branch_model::{Column, Kind, Model, Outcome, Resolution, State, Table};
use super::branch_model_merge::merge;
use super::{Engine, Session, Step};
use crate::error::Result;
use crate::value::Datum;

const BRANCHES_MAX: usize = 6;
const TABLES_MAX: usize = 4;
const IDS: u64 = 40;
/// Names of columns that are given again and again.
const COMMON_NAMES: [u32; 3] = [900_001, 900_002, 900_003];

/// The seeds — HELIOS_SEED names a single one — and how many operations each has: about 2 ms of processor time each where the
/// crate is not optimized, most of it in parsing, planning and reading catalogs.
fn extent() -> (std::ops::RangeInclusive<u64>, u64) {
    let only = std::env::var("HELIOS_SEED").ok().and_then(|seed| seed.parse().ok());
    let is_long = std::env::var("HELIOS_TESTS_ALL").is_ok_and(|all| all == "true");
    let last = if is_long { 200 } else { 10 };
    (only.map_or(1..=last, |seed| seed..=seed), 10_000)
}

/// Names the seed if what is done meanwhile fails.
struct Failing(u64);

impl Drop for Failing {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("that was with seed {}", self.0);
        }
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn among<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        (!all.is_empty()).then(|| all[self.below(all.len() as u64) as usize].clone())
    }
}

struct Run {
    seed: u64,
    device: SimulatedDevice,
    engine: Engine,
    session: Session,
    model: Model,
    random: Random,
    /// The branch that the session is on.
    on: usize,
    /// The last number given to anything.
    number: u32,
    /// How many merges had several best common moments.
    crossed: usize,
}

type Shown = Vec<Vec<Option<i32>>>;

async fn open(device: &SimulatedDevice) -> Engine {
    let options = StoreOptions { cache_size_bytes: 2 << 20, ..StoreOptions::default() };
    let surroundings = Surroundings::repeatable(Arc::new(device.clone()));
    let store = Store::open(options, surroundings).await.expect("a store");
    Engine::open(store, Vec::new()).await.expect("an engine")
}

impl Run {
    async fn new(seed: u64) -> Run {
        let device = SimulatedDevice::new(seed);
        let engine = open(&device).await;
        let session = engine.session("postgres", "heliosdb");
        let model = Model::new(engine.store().visible_scn().0);
        let random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        Run { seed, device, engine, session, model, random, on: 0, number: 0, crossed: 0 }
    }

    fn scn(&self) -> u64 {
        self.engine.store().visible_scn().0
    }

    fn new_number(&mut self) -> u32 {
        self.number += 1;
        self.number
    }

    async fn try_run(&mut self, sql: &str) -> Result<()> {
        let done = Box::pin(self.session.run_script(sql)).await.map(|_| ());
        if done.is_err() {
            self.session.abandon();
        }
        done
    }

    async fn run(&mut self, sql: &str) {
        self.try_run(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// The rows of a query over integers.
    async fn rows(&mut self, query: &str) -> Result<Shown> {
        let prepared = Box::pin(self.session.prepare(query, Vec::new())).await?;
        let mut portal = self.session.bind(prepared, Vec::new())?;
        let mut rows = Vec::new();
        while let Step::Rows(batch) = Box::pin(self.session.step(&mut portal, &mut None)).await? {
            let integer = |datum: Datum| match datum {
                Datum::Int32(number) => Some(number),
                Datum::Int64(number) => i32::try_from(number).ok(),
                Datum::Text(text) => text.as_str().parse().ok(),
                _ => None,
            };
            for row in 0..batch.row_count {
                rows.push(batch.columns.iter().map(|column| integer(column.get(row))).collect());
            }
        }
        self.session.sync().await?;
        Ok(rows)
    }

    async fn go_to(&mut self, branch: usize) {
        if self.on != branch {
            let name = self.model.branches[branch].name.clone();
            self.session.use_branch(&name).await.expect("a living branch");
            self.on = branch;
        }
    }

    fn value(&mut self) -> Option<i32> {
        Some(self.random.below(5) as i32).filter(|value| *value > 0)
    }

    /// A change of rows of the session's branch, in SQL and to a state.
    fn change_rows(&mut self, state: &mut State) -> Option<String> {
        let numbers: Vec<u32> = state.keys().copied().collect();
        let number = self.random.among(&numbers)?;
        let table = Arc::make_mut(state.get_mut(&number)?);
        let id = self.random.below(IDS) as i32;
        let columns: Vec<u32> = table.columns.iter().map(|column| column.name).collect();
        Some(match self.random.below(10) {
            0..4 => {
                let row: BTreeMap<_, _> = columns.iter().map(|column| (*column, self.value())).collect();
                let cells: String = row.values().map(|cell| format!(", {}", sql(*cell))).collect();
                // In the order of the columns, which is that of their numbers or not.
                let names: String = row.keys().map(|column| format!(", c{column}")).collect();
                table.rows.insert(id, Arc::new(row));
                format!(
                    "DELETE FROM t{number} WHERE id = {id}; INSERT INTO t{number} (id{names}) VALUES ({id}{cells})"
                )
            }
            4..7 => {
                let column = self.random.among(&columns)?;
                let (value, until) = (self.value(), id + self.random.below(4) as i32);
                for (_, row) in table.rows.range_mut(id..=until) {
                    Arc::make_mut(row).insert(column, value);
                }
                format!("UPDATE t{number} SET c{column} = {} WHERE id BETWEEN {id} AND {until}", sql(value))
            }
            7 | 8 => {
                table.rows.remove(&id);
                format!("DELETE FROM t{number} WHERE id = {id}")
            }
            _ if self.random.below(20) == 0 => {
                table.rows.clear();
                format!("TRUNCATE t{number}")
            }
            _ => {
                table.rows.retain(|each, _| *each < 30);
                format!("DELETE FROM t{number} WHERE id >= 30")
            }
        })
    }

    /// The same for what tables there are.
    fn change_schema(&mut self, state: &mut State) -> Option<String> {
        if state.is_empty() || (state.len() < TABLES_MAX && self.random.below(3) == 0) {
            let (number, column) = (self.new_number(), self.new_number());
            let columns = vec![new_column(column, column, None)];
            let table = Table { columns, rows: BTreeMap::new(), indexes: BTreeMap::new() };
            state.insert(number, Arc::new(table));
            return Some(format!("CREATE TABLE t{number} (id int PRIMARY KEY, c{column} int)"));
        }
        let numbers: Vec<u32> = state.keys().copied().collect();
        let number = self.random.among(&numbers)?;
        if self.random.below(8) == 0 {
            state.remove(&number);
            return Some(format!("DROP TABLE t{number}"));
        }
        let fresh = self.new_number();
        let default = self.value();
        let table = Arc::make_mut(state.get_mut(&number)?);
        let columns: Vec<u32> = table.columns.iter().map(|column| column.name).collect();
        let column = self.random.among(&columns)?;
        let common = self.random.among(&COMMON_NAMES)?;
        let new = if self.random.below(2) == 0 && !columns.contains(&common) { common } else { fresh };
        Some(match self.random.below(7) {
            0 | 1 if columns.len() < 5 => {
                table.columns.push(new_column(new, fresh, default));
                format!("ALTER TABLE t{number} ADD COLUMN c{new} int DEFAULT {}", sql(default))
            }
            2 => {
                let changed = table.columns.iter_mut().find(|each| each.name == column)?;
                let (kind, type_name) = match (changed.kind, self.random.below(2)) {
                    (Kind::Int, 0) => (Kind::BigInt, "bigint"),
                    _ => (Kind::Text, "text"),
                };
                if changed.kind != kind {
                    table.fill();
                    let changed = table.columns.iter_mut().find(|each| each.name == column)?;
                    (changed.kind, changed.unwritten) = (kind, None);
                }
                format!("ALTER TABLE t{number} ALTER COLUMN c{column} TYPE {type_name}")
            }
            3 => {
                table.fill();
                for renamed in table.columns.iter_mut().filter(|each| each.name == column) {
                    renamed.name = new;
                }
                table.indexes.values_mut().filter(|on| **on == column).for_each(|on| *on = new);
                for row in table.rows.values_mut() {
                    let row = Arc::make_mut(row);
                    let cell = row.remove(&column).flatten();
                    row.insert(new, cell);
                }
                format!("ALTER TABLE t{number} RENAME COLUMN c{column} TO c{new}")
            }
            4 if columns.len() > 1 => {
                table.columns.retain(|each| each.name != column);
                table.indexes.retain(|_, on| *on != column);
                for row in table.rows.values_mut() {
                    Arc::make_mut(row).remove(&column);
                }
                format!("ALTER TABLE t{number} DROP COLUMN c{column}")
            }
            5 => {
                let indexes: Vec<u32> = table.indexes.keys().copied().collect();
                let index = self.random.among(&indexes)?;
                table.indexes.remove(&index);
                format!("DROP INDEX i{index}")
            }
            _ => {
                table.indexes.insert(fresh, column);
                format!("CREATE INDEX i{fresh} ON t{number} (c{column})")
            }
        })
    }

    /// One transaction, which may be rolled back.
    async fn change(&mut self, branch: usize) {
        self.go_to(branch).await;
        let mut state = (*self.model.now(branch).state).clone();
        let statements = 1 + self.random.below(8) / 7 * self.random.below(4);
        let mut text = String::new();
        for _ in 0..statements {
            let is_schema = state.is_empty() || self.random.below(15) == 0;
            let change =
                if is_schema { self.change_schema(&mut state) } else { self.change_rows(&mut state) };
            if let Some(change) = change {
                text += &change;
                text += ";";
            }
        }
        if self.random.below(20) == 0 {
            self.run(&format!("BEGIN; {text} ROLLBACK")).await;
        } else {
            let before = self.scn();
            self.run(&text).await;
            // What changes no row is no commit.
            if self.scn() > before {
                self.model.commit(branch, self.scn(), state);
            }
        }
    }

    /// Reads a branch as it was at some commit, in one of several ways.
    async fn check(&mut self) {
        let living = self.model.living();
        let branch = self.random.among(&living).expect("one is there always");
        self.go_to(branch).await;
        let newest = self.scn();
        let scn = match self.random.below(3) {
            0 => newest,
            _ => self.model.branches[0].versions[0].scn + self.random.below(newest),
        };
        let scn = scn.min(newest);
        let state = self.model.at(branch, scn).state.clone();
        let way = self.random.below(4);
        let name = self.model.branches[branch].name.clone();
        if way == 0 {
            self.run(&format!("SET heliosdb.as_of = 'SCN {scn}'")).await;
        }
        // The catalog is read whole, which takes long.
        if way == 0 && self.random.below(4) == 0 {
            let query = "SELECT substr(relname, 2)::int FROM pg_class WHERE relkind = 'r' AND relname ~ '^t[0-9]+$' ORDER BY 1";
            let tables = self.rows(query).await.expect("a catalog");
            let wanted: Shown = state.keys().map(|number| vec![Some(*number as i32)]).collect();
            assert_eq!(tables, wanted, "tables of {name} at {scn}");
        }
        let numbers: Vec<u32> = state.keys().copied().collect();
        if let Some(number) = self.random.among(&numbers) {
            let table = &state[&number];
            let mut wanted = table.shown();
            let mut filter = String::new();
            match self.random.below(3) {
                0 => {
                    let id = self.random.below(IDS) as i32;
                    wanted.retain(|row| row[0] == Some(id));
                    filter = format!("WHERE id = {id}");
                }
                1 if !table.columns.is_empty() => {
                    let at = self.random.below(table.columns.len() as u64) as usize;
                    let value = self.random.below(5) as i32;
                    wanted.retain(|row| row[at + 1] == Some(value));
                    filter = format!("WHERE c{} = '{value}'", table.columns[at].name);
                }
                _ => {}
            }
            let as_of = if way == 0 { String::new() } else { format!("AS OF SCN {scn}") };
            let query = format!("SELECT * FROM t{number} {as_of} {filter} ORDER BY id");
            let query = match way {
                1 if scn == newest => format!("SELECT * FROM t{number} {filter} ORDER BY id"),
                _ => query,
            };
            let found = self.rows(&query).await.unwrap_or_else(|error| panic!("{query}: {error:?}"));
            assert_eq!(found, wanted, "{query} on {name} at {scn}");
        }
        if way == 0 {
            self.run("RESET heliosdb.as_of").await;
        }
    }

    async fn branch_off(&mut self, parent: usize) {
        let parent_name = self.model.branches[parent].name.clone();
        let name = format!("b{}", self.new_number());
        let newest = self.scn();
        let (scn, moment) = match self.random.below(2) {
            0 => (newest, String::new()),
            _ => {
                let first = self.model.branches[0].versions[0].scn;
                let scn = first + self.random.below(newest - first + 1);
                (scn, format!("AS OF SCN {scn}"))
            }
        };
        self.run(&format!("CREATE DATABASE BRANCH {name} FROM {parent_name} {moment}")).await;
        self.model.branch_off(name, (parent, scn));
    }

    async fn merge(&mut self, source: usize, target: usize) {
        self.go_to(target).await;
        let resolution = self
            .random
            .among(&[Resolution::Fail, Resolution::BranchWins, Resolution::TargetWins])
            .expect("one");
        let option = match resolution {
            Resolution::Fail => "fail",
            Resolution::BranchWins => "branch_wins",
            Resolution::TargetWins => "target_wins",
        };
        let seen = self.scn();
        let names = [source, target].map(|at| self.model.branches[at].name.clone());
        let text = format!(
            "MERGE DATABASE BRANCH {} INTO {} WITH (conflict_resolution = '{option}')",
            names[0], names[1]
        );
        let base = self.model.base(source, target);
        self.crossed += usize::from(self.model.is_crossed(source, target));
        let (ours, theirs) = (self.model.now(target), self.model.now(source));
        let wanted = merge(&base, &ours.state, &theirs.state, resolution);
        let versions = format!("base {base:?}\nours {ours:?}\ntheirs {theirs:?}");
        let done = self.try_run(&text).await;
        match (done, wanted) {
            (Ok(()), Outcome::Merged(_)) if self.scn() == seen => {}
            (Ok(()), Outcome::Merged(state)) => {
                self.model.record(source, target, self.scn(), state);
                self.check_all(target, &format!("{text}\n{versions}")).await;
            }
            (Err(error), Outcome::Refused) => {
                assert_eq!(error.state().as_str(), "40002", "{text}: {error:?}");
            }
            (done, wanted) => panic!("{text} gives {done:?}, not {wanted:?}; of {versions}"),
        }
    }

    /// All tables of the session's branch as they are, and by their indexes.
    async fn check_all(&mut self, branch: usize, after: &str) {
        let state = self.model.now(branch).state.clone();
        for (number, table) in &*state {
            let query = format!("SELECT * FROM t{number} ORDER BY id");
            let found =
                self.rows(&query).await.unwrap_or_else(|error| panic!("{query}: {error:?} after {after}"));
            assert_eq!(found, table.shown(), "{query} after {after}, with seed {}", self.seed);
            let indexes = format!(
                "SELECT substr(relname, 2)::int FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                 WHERE i.indrelid = 't{number}'::regclass AND NOT i.indisprimary ORDER BY 1"
            );
            let found = self.rows(&indexes).await.expect("a catalog");
            let wanted: Shown = table.indexes.keys().map(|index| vec![Some(*index as i32)]).collect();
            assert_eq!(found, wanted, "indexes of t{number} after {after}");
        }
    }

    async fn drop_branch(&mut self, branch: usize) {
        let others: Vec<usize> = self.model.living().into_iter().filter(|at| *at != branch).collect();
        if let Some(other) = self.random.among(&others) {
            self.go_to(other).await;
            let name = self.model.branches[branch].name.clone();
            self.run(&format!("DROP DATABASE BRANCH {name}")).await;
            self.model.branches[branch].is_dropped = true;
        }
    }

    /// The process ends without a word, and whatever was not made durable is gone.
    async fn restart(&mut self) {
        let device = self.device.restart();
        self.engine = open(&device).await;
        self.session = self.engine.session("postgres", "heliosdb");
        self.device = device;
        // A session begins on the first branch that is there.
        let name = self.session.branch_name();
        let named = |at: &usize| self.model.branches[*at].name == name;
        self.on = self.model.living().into_iter().find(named).expect("a living branch");
    }

    async fn operate(&mut self) {
        let living = self.model.living();
        let (Some(one), Some(other)) = (self.random.among(&living), self.random.among(&living)) else {
            return;
        };
        match self.random.below(1_000) {
            0..300 => Box::pin(self.change(self.on)).await,
            300..600 => Box::pin(self.change(one)).await,
            600..950 => Box::pin(self.check()).await,
            950..965 if living.len() < BRANCHES_MAX => Box::pin(self.branch_off(one)).await,
            965..973 if living.len() > 2 && one != 0 => Box::pin(self.drop_branch(one)).await,
            973..990 if one != other => Box::pin(self.merge(one, other)).await,
            990..994 => Box::pin(self.run("CHECKPOINT")).await,
            994 => Box::pin(self.restart()).await,
            _ => {}
        }
    }
}

fn new_column(name: u32, number: u32, default: Option<i32>) -> Column {
    let (origin, kind) = ([number].into(), Kind::Int);
    Column { name, origin, kind, default, unwritten: default }
}

fn sql(value: Option<i32>) -> String {
    value.map_or("NULL".into(), |value| format!("'{value}'"))
}

#[test]
fn every_version_of_every_branch_can_be_read() {
    let (seeds, operations) = extent();
    let crossed = AtomicUsize::new(0);
    let run_seeds = |parity: u64| {
        for seed in seeds.clone().filter(|seed| seed % 2 == parity) {
            let _failing = Failing(seed);
            block_on(async {
                let mut run = Run::new(seed).await;
                for _ in 0..operations {
                    run.operate().await;
                }
                crossed.fetch_add(run.crossed, Ordering::Relaxed);
            });
        }
    };
    // Futures of statements take much of the stack where they are not optimized.
    const STACK_BYTES: usize = 32 << 20;
    std::thread::scope(|scope| {
        let halves = [0, 1].map(|parity| {
            let builder = std::thread::Builder::new().stack_size(STACK_BYTES);
            builder.spawn_scoped(scope, move || run_seeds(parity)).unwrap()
        });
        halves.into_iter().for_each(|half| half.join().unwrap());
    });
    assert!(crossed.into_inner() > 0, "some merges crossed");
}
