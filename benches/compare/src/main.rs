//! HeliosDB Nano beside SQLite and redb, in one process and one run.
//!
//! `cargo run --release --manifest-path benches/compare/Cargo.toml -- [WORD] [--only SYSTEM] [--rounds N] [--folder PATH]`
//!
//! Each experiment gives every system the same work through prepared statements (redb: its own calls), in turns, so
//! that what disturbs the machine disturbs all of them. What is printed is each system's median round, and how many
//! times as fast as the peer we are. `WORD` picks the experiments whose name contains it, `--only` the
//! systems (for profiles).

// Peers have no other clock than the system's.
#![allow(clippy::disallowed_methods)]

mod helios;
mod measure;
mod redb_peer;
mod sqlite;

use std::path::PathBuf;

use measure::{Contender, Experiment, ROWS};

struct Arguments {
    word: String,
    only: String,
    rounds: usize,
    folder: PathBuf,
}

fn arguments() -> Arguments {
    let mut found =
        Arguments { word: String::new(), only: String::new(), rounds: 15, folder: std::env::temp_dir() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--rounds" => found.rounds = words.next().and_then(|n| n.parse().ok()).expect("--rounds N"),
            "--only" => found.only = words.next().expect("--only SYSTEM"),
            "--folder" => found.folder = words.next().expect("--folder PATH").into(),
            _ => found.word = word,
        }
    }
    found
}

fn experiments() -> Vec<Experiment> {
    vec![
        Experiment {
            name: "point read, in memory",
            operations: 20_000,
            contenders: |_| vec![helios::point_read(), sqlite::point_read(), redb_peer::point_read()],
        },
        Experiment {
            name: "point read of four columns, in memory",
            operations: 20_000,
            contenders: |_| vec![helios::row_read(), sqlite::row_read()],
        },
        Experiment {
            name: "insert, autocommit, in memory",
            operations: 20_000,
            contenders: |_| {
                vec![helios::insert_memory(), sqlite::insert_memory(), redb_peer::insert_memory()]
            },
        },
        Experiment {
            name: "update by key, autocommit, in memory",
            operations: 20_000,
            contenders: |_| vec![helios::update_memory(), sqlite::update_memory()],
        },
        Experiment {
            name: "bulk insert, one transaction, in memory",
            operations: ROWS,
            contenders: |_| vec![helios::bulk_insert(), sqlite::bulk_insert(), redb_peer::bulk_insert()],
        },
        Experiment {
            name: "bulk insert from a query, in memory",
            operations: ROWS,
            contenders: |_| vec![helios::insert_select(), sqlite::insert_select()],
        },
        Experiment {
            name: "index build, per entry, in memory",
            operations: ROWS,
            contenders: |_| vec![helios::index_build(), sqlite::index_build()],
        },
        Experiment {
            name: "scan and aggregate, in memory",
            operations: ROWS,
            contenders: |_| vec![helios::aggregate(), sqlite::aggregate()],
        },
        Experiment {
            name: "durable commits, 1 writer",
            operations: 300,
            contenders: |folder| {
                vec![helios::durable(folder, 1), sqlite::durable(folder, 1), redb_peer::durable(folder, 1)]
            },
        },
        Experiment {
            name: "durable commits, 8 writers",
            operations: 1_600,
            contenders: |folder| {
                vec![helios::durable(folder, 8), sqlite::durable(folder, 8), redb_peer::durable(folder, 8)]
            },
        },
    ]
}

fn main() {
    let arguments = arguments();
    for experiment in experiments().iter().filter(|each| each.name.contains(&arguments.word)) {
        let folder = tempfile::tempdir_in(&arguments.folder).expect("a folder for the data");
        let mut contenders: Vec<Contender> = (experiment.contenders)(folder.path());
        contenders.retain(|contender| contender.name.contains(&arguments.only));
        measure::run(experiment, contenders, arguments.rounds);
    }
}
