//! Each statement runs twice, in two databases: at once, and through the operators. Rows, tags, every field of every
//! error, the state of the transaction and the tables must be the same afterwards.

use std::sync::Arc;

use futures_lite::future::{block_on, poll_once};

use super::{Engine, Portal, Prepared, Session, Step};
use crate::error::Result;
use crate::value::Datum;

const TABLES: &str = "
    CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL, size int DEFAULT 7 CHECK (size < 100), code int UNIQUE);
    CREATE TABLE pairs (a int, b text, c bigint, PRIMARY KEY (a, b));
    CREATE TABLE heap (x int, y text DEFAULT 'none');
    CREATE TABLE parent (id int PRIMARY KEY);
    CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent);
    INSERT INTO t VALUES (1, 'one', 10, 11), (2, 'two', NULL, NULL), (3, 'three', 30, 33);
    INSERT INTO pairs VALUES (1, 'x', 100), (1, 'y', 200), (2, 'x', NULL);
    INSERT INTO parent VALUES (1), (2)";

fn engine() -> Engine {
    let store = crate::test_support::memory_store();
    block_on(Engine::open(store, Vec::new())).unwrap()
}

fn session(engine: &Engine) -> Session {
    engine.session("postgres", "heliosdb")
}

/// What a statement gave: its rows and its tag, or its error.
pub(super) type Outcome = Result<(Vec<Vec<Datum>>, String)>;

async fn run_bound(session: &mut Session, prepared: &Arc<Prepared>, parameters: &[Datum]) -> Outcome {
    let portal = session.bind(prepared.clone(), parameters.to_vec())?;
    run_portal(session, portal).await
}

/// Runs a portal to its end and commits.
pub(super) async fn run_portal(session: &mut Session, mut portal: Portal) -> Outcome {
    let mut rows = Vec::new();
    loop {
        match session.step(&mut portal, &mut None).await? {
            Step::Rows(batch) => rows.extend((0..batch.row_count).map(|row| batch.row(row))),
            Step::Complete(tag) => {
                session.sync().await?;
                return Ok((rows, tag));
            }
            _ => panic!("a statement with another outcome"),
        }
    }
}

/// One database whose statements are done at once where they can be, and one where they never are.
struct Both {
    short: Session,
    general: Session,
}

impl Both {
    fn new() -> Both {
        let mut both = Both { short: session(&engine()), general: session(&engine()) };
        both.general.never_at_once = true;
        both.script(TABLES);
        both
    }

    fn script(&mut self, text: &str) {
        for session in [&mut self.short, &mut self.general] {
            block_on(session.run_script(text)).unwrap();
        }
    }

    fn prepare(&mut self, text: &str) -> [Arc<Prepared>; 2] {
        let short = block_on(self.short.prepare(text, Vec::new())).unwrap();
        [short, block_on(self.general.prepare(text, Vec::new())).unwrap()]
    }

    /// Runs a prepared statement both ways and compares; gives the outcome.
    fn run(&mut self, prepared: &[Arc<Prepared>; 2], parameters: &[Datum]) -> Outcome {
        let short = block_on(run_bound(&mut self.short, &prepared[0], parameters));
        let general = block_on(run_bound(&mut self.general, &prepared[1], parameters));
        assert_eq!(short, general, "{} with {parameters:?}", prepared[0].text);
        assert_eq!(self.short.transaction_status(), self.general.transaction_status());
        short
    }

    fn run_text(&mut self, text: &str, parameters: &[Datum]) -> Outcome {
        let prepared = self.prepare(text);
        self.run(&prepared, parameters)
    }

    /// The same statement once more where the caller wants the whole outcome: it must say what the portal said.
    fn run_whole(&mut self, text: &str, parameters: &[Datum]) {
        let prepared = self.prepare(text);
        let mut row = Vec::new();
        let short = block_on(self.short.run_point(&prepared[0], parameters, &mut row));
        let general = block_on(run_bound(&mut self.general, &prepared[1], parameters));
        match (short, general) {
            (Ok(Some(count)), Ok((rows, tag))) => {
                assert!(tag.ends_with(&format!(" {count}")), "{text}: {tag} and {count}");
                assert_eq!(row, rows.into_iter().flatten().collect::<Vec<_>>(), "{text}");
            }
            (Err(short), Err(general)) => assert_eq!(short.fields(), general.fields(), "{text}"),
            // The first statement after a change of the catalog looks around first.
            (Ok(None), general) => {
                let short = block_on(run_bound(&mut self.short, &prepared[0], parameters));
                assert_eq!(short, general, "{text}");
            }
            (short, general) => panic!("{text}: {short:?} at once, {general:?} else"),
        }
        self.compare_tables();
    }

    fn compare_tables(&mut self) {
        for table in ["t", "pairs", "heap", "parent", "child"] {
            let _ = self.run_text(&format!("SELECT * FROM {table} ORDER BY 1"), &[]);
        }
    }
}

fn int(value: i32) -> Datum {
    Datum::Int32(value)
}

const STATEMENTS: &[&str] = &[
    "SELECT name, size + 1, id, size FROM t WHERE id = 1",
    "SELECT * FROM t WHERE id = 9",
    "SELECT id FROM t WHERE id = NULL",
    "SELECT name, code FROM t WHERE code = 33",
    "SELECT FROM t WHERE id = 1",
    "SELECT size / 0 FROM t WHERE id = 1",
    "SELECT id FROM t WHERE id = 1 AND size > 10",
    "SELECT id FROM t WHERE id = 1 AND id = 2",
    "SELECT upper(name) || 'x', now() >= '2001-01-01' FROM t WHERE id = 2",
    "SELECT c FROM pairs WHERE b = 'y' AND a = 1",
    "SELECT c FROM pairs WHERE a = 1",
    "INSERT INTO t VALUES (1, 'again', 1, 1)",
    "INSERT INTO t VALUES (4, 'four', 1, 11)",
    "INSERT INTO t VALUES (4, NULL, 1, 1)",
    "INSERT INTO t VALUES (NULL, 'none', 1, 1)",
    "INSERT INTO t VALUES (4, 'four', 100, 1)",
    "INSERT INTO t VALUES (4, 'four', 1 / 0, 1)",
    "INSERT INTO t (id, name) VALUES (4, 'four') RETURNING size, id + 1, code",
    "INSERT INTO t VALUES (5, 'five', DEFAULT, 40 + 2) RETURNING *",
    "INSERT INTO pairs VALUES (2, 'x', 1)",
    "INSERT INTO pairs VALUES (2, 'y', 1)",
    "INSERT INTO pairs (a, c) VALUES (2, 1)",
    "INSERT INTO heap VALUES (1, 'a')",
    "INSERT INTO heap DEFAULT VALUES",
    "INSERT INTO heap (x) VALUES (3) RETURNING y",
    "UPDATE t SET size = size * 10 WHERE id = 1",
    "UPDATE t SET size = size / 0 WHERE id = 1",
    "UPDATE t SET id = 2 WHERE id = 1",
    "UPDATE t SET code = 33 WHERE code = 11",
    "UPDATE t SET name = NULL WHERE id = 1",
    "UPDATE t SET size = 1 WHERE id = 99",
    "UPDATE t SET size = size + 1, name = name || '!' WHERE id = 1 RETURNING id, size, name, size * 2",
    "UPDATE t SET id = 6, code = size, size = code WHERE id = 1 RETURNING *",
    "UPDATE t SET size = 8 WHERE code = 33 AND name = 'nobody'",
    "UPDATE t SET size = 9 WHERE code = 33",
    "UPDATE pairs SET b = 'z' WHERE a = 1 AND b = 'x'",
    "UPDATE pairs SET b = 'y' WHERE a = 1 AND b = 'z'",
    "DELETE FROM t WHERE id = 77",
    "DELETE FROM t WHERE code = 33 RETURNING id, name",
    "DELETE FROM t WHERE id = 6",
    "DELETE FROM pairs WHERE a = 1 AND b = 'z'",
];

#[test]
fn statements_do_what_operators_do() {
    let mut both = Both::new();
    for text in STATEMENTS {
        let _ = both.run_text(text, &[]);
        both.compare_tables();
    }
    assert!(both.short.done_at_once > STATEMENTS.len() as u64 / 2, "{}", both.short.done_at_once);
    assert_eq!(both.general.done_at_once, 0);
}

#[test]
fn whole_statements_do_what_operators_do() {
    let mut both = Both::new();
    for text in STATEMENTS {
        both.run_whole(text, &[]);
    }
    assert!(both.short.done_at_once > STATEMENTS.len() as u64 / 2, "{}", both.short.done_at_once);
}

/// What is left to the general way: foreign keys, ON CONFLICT, several rows.
#[test]
fn other_statements_still_work() {
    let mut both = Both::new();
    for text in [
        "INSERT INTO child VALUES (1, 1)",
        "INSERT INTO child VALUES (2, 9)",
        "UPDATE child SET parent = 9 WHERE id = 1",
        "DELETE FROM parent WHERE id = 1",
        "DELETE FROM parent WHERE id = 2",
        "INSERT INTO t VALUES (1, 'again', 5, 5) ON CONFLICT (id) DO UPDATE SET size = excluded.size RETURNING size",
        "INSERT INTO t VALUES (1, 'again', 5, 5) ON CONFLICT DO NOTHING",
        "INSERT INTO heap VALUES (1), (2)",
        "UPDATE t SET size = 1",
        "SELECT id FROM t WHERE id = 1 FOR UPDATE",
    ] {
        let _ = both.run_text(text, &[]);
        both.compare_tables();
    }
}

#[test]
fn transactions_fail_and_roll_back_alike() {
    let mut both = Both::new();
    let insert = both.prepare("INSERT INTO t VALUES ($1, 'new', $2, NULL)");
    let select = both.prepare("SELECT size FROM t WHERE id = $1");
    let update = both.prepare("UPDATE t SET size = size + $1 WHERE id = $2");
    both.script("BEGIN; SAVEPOINT before");
    assert!(both.run(&insert, &[int(10), int(1)]).is_ok());
    assert_eq!(both.run(&update, &[int(5), int(10)]).unwrap().1, "UPDATE 1");
    assert_eq!(both.run(&select, &[int(10)]).unwrap().0, [[int(6)]]);
    // A statement that fails takes its transaction with it, up to the savepoint.
    assert_eq!(both.run(&insert, &[int(10), int(1)]).unwrap_err().state().to_string(), "23505");
    assert_eq!(both.run(&select, &[int(10)]).unwrap_err().state().to_string(), "25P02");
    both.script("ROLLBACK TO before");
    assert_eq!(both.run(&select, &[int(10)]).unwrap().0.len(), 0);
    assert!(both.run(&insert, &[int(11), int(1)]).is_ok());
    both.script("COMMIT");
    assert_eq!(both.run(&select, &[int(11)]).unwrap().0.len(), 1);
    both.script("BEGIN READ ONLY");
    assert_eq!(both.run(&update, &[int(1), int(1)]).unwrap_err().state().to_string(), "25006");
    both.script("ROLLBACK; SET default_transaction_read_only = on");
    assert_eq!(both.run(&update, &[int(1), int(1)]).unwrap_err().state().to_string(), "25006");
    assert_eq!(both.run(&select, &[int(1)]).unwrap().0, [[int(10)]]);
}

#[test]
fn plans_follow_the_catalog() {
    let mut both = Both::new();
    let select = both.prepare("SELECT name FROM t WHERE code = $1");
    let insert = both.prepare("INSERT INTO t (id, name, code) VALUES ($1, 'new', $2)");
    let update = both.prepare("UPDATE t SET size = 1 WHERE id = $1");
    let delete = both.prepare("DELETE FROM t WHERE id = $1");
    let round = |both: &mut Both, number: i32| {
        let _ = both.run(&select, &[int(33)]);
        let _ = both.run(&insert, &[int(number), int(number)]);
        let _ = both.run(&insert, &[int(number + 1), int(33)]);
        let _ = both.run(&update, &[int(number)]);
        let _ = both.run(&update, &[int(2)]);
        let _ = both.run(&delete, &[int(number + 1)]);
    };
    let changes = [
        "SELECT 1",
        "ALTER TABLE t DROP CONSTRAINT t_code_key",
        "ALTER TABLE t ADD COLUMN kind text DEFAULT 'plain'",
        "CREATE UNIQUE INDEX by_name ON t (name, id)",
        "ALTER TABLE t ADD CHECK (id < 150)",
        "ALTER TABLE t ALTER COLUMN size SET DEFAULT 8",
        "ALTER TABLE t DROP COLUMN kind",
        "DROP TABLE t; CREATE TABLE t (code int PRIMARY KEY, id int, name text, size int)",
        "BEGIN; ALTER TABLE t ADD COLUMN more int",
        "ROLLBACK",
        "SET search_path = pg_catalog",
        "SET search_path = public",
        "DROP TABLE t",
    ];
    for (number, change) in changes.iter().enumerate() {
        both.script(change);
        round(&mut both, 100 + 10 * number as i32);
        if both.short.transaction_status() == super::TransactionStatus::Failed {
            both.script("ROLLBACK; BEGIN");
        }
    }
}

/// A long mix of statements within and without transactions, over few keys, so that most kinds of outcome happen.
#[test]
fn a_long_mix_ends_alike() {
    let mut both = Both::new();
    let texts = [
        "SELECT id, name, size, code FROM t WHERE id = $1",
        "SELECT id, name, size FROM t WHERE code = $1",
        "INSERT INTO t VALUES ($1, 'n', $2, $2) RETURNING id",
        "UPDATE t SET size = $2, code = $1 WHERE id = $2",
        "UPDATE t SET id = $2 WHERE id = $1 RETURNING code",
        "DELETE FROM t WHERE id = $1",
        "DELETE FROM t WHERE code = $1 RETURNING *",
    ];
    let prepared: Vec<[Arc<Prepared>; 2]> = texts.iter().map(|text| both.prepare(text)).collect();
    let mut state = 12_345_u64;
    let mut next = |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    for _ in 0..3_000 {
        match next(12) {
            0 => both.script(if both.short.active.is_some() { "COMMIT" } else { "BEGIN" }),
            1 if both.short.active.is_some() => both.script("ROLLBACK"),
            _ => {
                let statement = &prepared[next(texts.len() as u64) as usize];
                let parameters = [int(next(12) as i32), int(next(12) as i32)];
                let _ = both.run(statement, &parameters[..statement[0].parameter_types.len()]);
            }
        }
    }
    both.script("ROLLBACK");
    both.compare_tables();
    assert!(both.short.done_at_once > 1_500);
}

/// Somebody else's lock makes a statement wait, and a newer version makes it run again: as it always did.
#[test]
fn what_is_in_the_way_is_waited_for() {
    let engine = engine();
    let (mut first, mut second) = (session(&engine), session(&engine));
    block_on(first.run_script(TABLES)).unwrap();
    block_on(async {
        first.run_script("BEGIN; UPDATE t SET size = 50 WHERE id = 1").await.unwrap();
        let add = second
            .prepare("UPDATE t SET size = size + $1 WHERE id = 1 RETURNING size", Vec::new())
            .await
            .unwrap();
        assert_eq!(second.run_point(&add, &[int(1)], &mut Vec::new()).await.unwrap(), None);
        let parameters = [int(1)];
        let mut waiting = Box::pin(run_bound(&mut second, &add, &parameters));
        assert!(poll_once(&mut waiting).await.is_none());
        first.run_script("COMMIT").await.unwrap();
        assert_eq!(waiting.await.unwrap().0, [[int(51)]]);
        // A snapshot that is too old for a change: the transaction that holds on to it gets the error.
        first.run_script("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t").await.unwrap();
        assert_eq!(run_bound(&mut second, &add, &[int(1)]).await.unwrap().0, [[int(52)]]);
        let again = first.prepare("UPDATE t SET size = 0 WHERE id = 1", Vec::new()).await.unwrap();
        let error = run_bound(&mut first, &again, &[]).await.unwrap_err();
        assert_eq!(error.state().to_string(), "40001");
        first.run_script("ROLLBACK").await.unwrap();
        assert_eq!(run_bound(&mut first, &again, &[]).await.unwrap().1, "UPDATE 1");
    });
}

/// The reads of one snapshot see one state, though others commit between them.
#[test]
fn snapshots_hold_across_statements() {
    let engine = engine();
    let (mut reader, mut writer) = (session(&engine), session(&engine));
    block_on(writer.run_script(TABLES)).unwrap();
    block_on(async {
        let select = reader.prepare("SELECT size FROM t WHERE id = $1", Vec::new()).await.unwrap();
        reader.run_script("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
        assert_eq!(run_bound(&mut reader, &select, &[int(1)]).await.unwrap().0, [[int(10)]]);
        writer.run_script("UPDATE t SET size = 20 WHERE id = 1").await.unwrap();
        assert_eq!(run_bound(&mut reader, &select, &[int(1)]).await.unwrap().0, [[int(10)]]);
        reader.run_script("COMMIT; BEGIN ISOLATION LEVEL READ COMMITTED").await.unwrap();
        assert_eq!(run_bound(&mut reader, &select, &[int(1)]).await.unwrap().0, [[int(20)]]);
        writer.run_script("UPDATE t SET size = 30 WHERE id = 1").await.unwrap();
        assert_eq!(run_bound(&mut reader, &select, &[int(1)]).await.unwrap().0, [[int(30)]]);
        reader.run_script("COMMIT").await.unwrap();
    });
}

/// Statistics that refresh themselves while a transaction runs do not slow its statements down: their plans are made
/// anew once.
#[test]
fn new_statistics_leave_statements_short() {
    let engine = engine();
    let mut session = session(&engine);
    block_on(session.run_script("CREATE TABLE grown (id int PRIMARY KEY)")).unwrap();
    block_on(session.run_script("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM grown")).unwrap();
    let mut insert = |first: i32| {
        for id in first..first + 3 {
            let text = "INSERT INTO grown VALUES ($1)";
            let prepared = block_on(session.prepare(text, Vec::new())).unwrap();
            block_on(run_bound(&mut session, &prepared, &[Datum::Int32(id)])).unwrap();
        }
        session.done_at_once
    };
    assert_eq!(insert(1), 3);
    let mut other = engine.session("postgres", "heliosdb");
    block_on(other.run_script("INSERT INTO grown SELECT i FROM generate_series(1000, 9000) AS g(i)"))
        .unwrap();
    block_on(engine.settle_statistics());
    assert_eq!(engine.statistics_news(helios_mvcc::BranchId::MAIN).version(), 1);
    assert_eq!(insert(4), 6);
}

/// A statement that is kept, under a name or by its holder, takes the plan that new statistics led to: else each execution
/// would look for it.
#[test]
fn kept_statements_take_new_plans() {
    let engine = engine();
    let mut session = session(&engine);
    block_on(session.run_script(TABLES)).unwrap();
    let text = "SELECT size FROM t WHERE id = $1";
    let kept = block_on(session.prepare(text, Vec::new())).unwrap();
    session.keep_prepared("named", kept.clone(), None).unwrap();
    block_on(session.run_script("ANALYZE t")).unwrap();
    let mut portal = session.bind(kept.clone(), vec![int(1)]).unwrap();
    while !matches!(block_on(session.step(&mut portal, &mut None)).unwrap(), Step::Complete(_)) {}
    block_on(session.sync()).unwrap();
    let renewed = portal.renewed(&kept).expect("another plan");
    assert!(Arc::ptr_eq(&renewed, &session.prepared_named("named").unwrap()));
    let mut portal = session.bind(renewed.clone(), vec![int(1)]).unwrap();
    while !matches!(block_on(session.step(&mut portal, &mut None)).unwrap(), Step::Complete(_)) {}
    assert!(portal.renewed(&renewed).is_none());
}

/// A portal that the client says is the last of its transaction reads one row without beginning one, unless one runs;
/// everything else begins one all the same.
#[test]
fn a_last_read_begins_no_transaction() {
    let engine = engine();
    let (mut session, mut other) = (session(&engine), session(&engine));
    block_on(session.run_script(TABLES)).unwrap();
    block_on(async {
        let read = session.prepare("SELECT size FROM t WHERE id = $1", Vec::new()).await.unwrap();
        let write = session.prepare("UPDATE t SET size = $1 WHERE id = 1", Vec::new()).await.unwrap();
        // What a statement gives, and whether a transaction runs behind it.
        async fn step(session: &mut Session, prepared: &Arc<Prepared>, number: i32) -> (Step, bool) {
            let mut portal = session.bind(prepared.clone(), vec![int(number)]).unwrap();
            portal.set_last(true);
            let step = session.step(&mut portal, &mut None).await.unwrap();
            (step, session.active.is_some())
        }
        let is_row =
            |step: &Step, size: i32| matches!(step, Step::Rows(batch) if batch.datum(0, 0) == int(size));
        // The first statement of a session knows no environment yet.
        step(&mut session, &read, 1).await;
        session.sync().await.unwrap();
        let (found, is_active) = step(&mut session, &read, 1).await;
        assert!(is_row(&found, 10) && !is_active);
        session.sync().await.unwrap();
        let (_, is_active) = step(&mut session, &write, 20).await;
        assert!(is_active);
        session.sync().await.unwrap();
        // In a transaction it reads what that reads.
        session.run_script("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t").await.unwrap();
        other.run_script("UPDATE t SET size = 30 WHERE id = 1").await.unwrap();
        let (found, is_active) = step(&mut session, &read, 1).await;
        assert!(is_row(&found, 20) && is_active);
        session.run_script("COMMIT").await.unwrap();
        // The transaction's settings are not those of the session, whose environment is made anew.
        step(&mut session, &read, 1).await;
        session.sync().await.unwrap();
        let (found, is_active) = step(&mut session, &read, 1).await;
        assert!(is_row(&found, 30) && !is_active);
    });
}
