//! Shows that a statement with AS OF is planned once where it is prepared and run at once, and anew where its moment,
//! or what there is besides, is another one when it runs.

use std::sync::Arc;

use futures_lite::future::block_on;

use super::{Engine, Prepared, Session, Step};
use crate::value::Datum;

struct Run {
    engine: Engine,
    session: Session,
}

impl Run {
    fn new() -> Run {
        let engine = block_on(Engine::open(crate::test_support::memory_store(), Vec::new())).unwrap();
        let session = engine.session("postgres", "heliosdb");
        let mut run = Run { engine, session };
        run.script("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
        run
    }

    fn script(&mut self, sql: &str) {
        block_on(self.session.run_script(sql)).unwrap();
    }

    fn scn(&self) -> u64 {
        self.engine.store().visible_scn().0
    }

    fn prepare(&mut self, sql: &str) -> Arc<Prepared> {
        block_on(self.session.prepare(sql, Vec::new())).unwrap()
    }

    /// The number of rows that a statement gives, and whether it ran by the plan that it came with.
    fn count(&mut self, prepared: &Arc<Prepared>, parameters: Vec<Datum>) -> (usize, bool) {
        block_on(async {
            let mut portal = self.session.bind(prepared.clone(), parameters).unwrap();
            let mut rows = 0;
            while let Step::Rows(batch) = self.session.step(&mut portal, &mut None).await.unwrap() {
                rows += batch.row_count;
            }
            self.session.sync().await.unwrap();
            (rows, Arc::ptr_eq(&portal.prepared, prepared))
        })
    }
}

#[test]
fn a_moment_that_stays_is_planned_for_once() {
    let mut run = Run::new();
    let scn = run.scn();
    let one = run.prepare(&format!("SELECT * FROM t AS OF SCN {scn}"));
    let both = run.prepare(&format!("SELECT * FROM t AS OF SCN {scn} UNION ALL SELECT * FROM t"));
    run.script("INSERT INTO t VALUES (2)");
    assert_eq!(run.count(&one, Vec::new()), (1, true));
    assert_eq!(run.count(&both, Vec::new()), (3, true));
    // Each run asks again.
    assert_eq!(run.count(&one, Vec::new()), (1, true));
}

#[test]
fn a_moment_that_moved_on_is_planned_for_again() {
    let mut run = Run::new();
    let newest = run.prepare("SELECT * FROM t AS OF SCN heliosdb_current_scn()");
    assert_eq!(run.count(&newest, Vec::new()), (1, true));
    run.script("INSERT INTO t VALUES (2)");
    assert_eq!(run.count(&newest, Vec::new()), (2, false));
}

#[test]
fn a_moment_that_a_parameter_gives_is_planned_for_when_it_is_known() {
    let mut run = Run::new();
    let (before, text) = (run.scn(), "SELECT * FROM t AS OF SCN $1");
    run.script("INSERT INTO t VALUES (2)");
    let prepared = run.prepare(text);
    let parameter = |scn: u64| vec![Datum::Int64(i64::try_from(scn).unwrap())];
    let newest = run.scn();
    assert_eq!(run.count(&prepared, parameter(before)), (1, false));
    // What it was described by.
    assert_eq!(run.count(&prepared, parameter(newest)), (2, true));
}

#[test]
fn a_changed_catalog_is_planned_for_again() {
    let mut run = Run::new();
    let scn = run.scn();
    let prepared = run.prepare(&format!("SELECT a.* FROM t AS OF SCN {scn} a, t b"));
    run.script("ALTER TABLE t ADD COLUMN more int");
    assert_eq!(run.count(&prepared, Vec::new()), (1, false));
    run.script("BEGIN; CREATE TABLE made (x int)");
    let within = run.prepare(&format!("SELECT * FROM t AS OF SCN {scn}, made"));
    assert_eq!(run.count(&within, Vec::new()), (0, false));
    run.script("ROLLBACK");
}
