//! Texts whose form has a plan give what they give without it: rows, tags, and every field of every error.

use futures_lite::future::block_on;

use super::point_tests::{Outcome, run_portal};
use super::{Engine, Session};

const TABLES: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'glad');
    CREATE TABLE t (id bigint PRIMARY KEY, name varchar(5), day date, price numeric(6,2), small smallint,
                    feeling mood, seen timestamptz, flags boolean, list int[]);
    INSERT INTO t VALUES (1, 'one', '2020-02-29', 1.50, 1, 'glad', '2020-01-01 00:00+00', true, '{1,2}');
    INSERT INTO t (id) VALUES (2)";

fn session() -> Session {
    let store = crate::test_support::memory_store();
    let engine = block_on(Engine::open(store, Vec::new())).unwrap();
    let mut session = engine.session("postgres", "heliosdb");
    block_on(session.run_script(TABLES)).unwrap();
    session
}

/// Runs a text as the simple query protocol does; with `plain`, always parsed.
async fn run(session: &mut Session, text: &str, plain: bool) -> (Outcome, bool) {
    let known = if plain { None } else { session.known_form(text) };
    let has_form = known.is_some();
    let outcome = match known {
        Some((prepared, constants)) => {
            let portal = session.bind_text(prepared, constants, text).unwrap();
            run_portal(session, portal).await
        }
        None => run_plainly(session, text, plain).await,
    };
    if outcome.is_err() {
        session.note_error();
        session.sync().await.unwrap();
    }
    (outcome, has_form)
}

async fn run_plainly(session: &mut Session, text: &str, plain: bool) -> Outcome {
    let statement = session.parse(text)?.pop().unwrap();
    let prepared = std::sync::Arc::new(session.prepare_statement(text, statement, Vec::new()).await?);
    if !plain {
        session.keep_plan_of_form(text, &prepared).await;
    }
    let portal = session.bind_text(prepared, Vec::new(), text)?;
    run_portal(session, portal).await
}

/// Runs texts in both ways; gives how many had a form with a plan.
fn compare(with_forms: &mut Session, without: &mut Session, texts: &[&str]) -> usize {
    let mut forms = 0;
    for text in texts {
        let (outcome, has_form) = block_on(run(with_forms, text, false));
        assert_eq!(outcome, block_on(run(without, text, true)).0, "{text}");
        forms += usize::from(has_form);
    }
    forms
}

#[test]
fn forms_give_what_their_texts_give() {
    let (mut with_forms, mut without) = (session(), session());
    let mut check = |texts: &[&str]| compare(&mut with_forms, &mut without, texts);
    let select = [
        "SELECT *, 'x', 1, 2.50 FROM t WHERE id = 1",
        "SELECT *, 'y', 2, 2.5 FROM t WHERE id = 2",
        "SELECT *, 'it''s', 3, 10.0 FROM t WHERE id = 1",
        "SELECT *, 'it''s', 3, 10.0 FROM t WHERE id = 77",
        "SELECT *, 3000000000, 3, 10.0 FROM t WHERE id = 1",
    ];
    assert_eq!(check(&select), 2);
    let insert = [
        "INSERT INTO t VALUES (10, 'a', '2020-01-01', 1, -2, 'sad', '2020-01-01', 'yes', '{1}')",
        "INSERT INTO t VALUES (11, 'b', '2020-01-02', 2, -3, 'sad', 'epoch', 'no', '{}') RETURNING id, 'x'",
        "INSERT INTO t (id, name, day, price, small, seen, flags, list) VALUES (12, 'a', '2020-01-01', 1, -2, '2020-01-01', 'yes', '{1}')",
        "INSERT INTO t (id, name, day, price, small, seen, flags, list) VALUES (13, 'b', '2020-01-02', 2.555, -3, 'infinity', 'no', '{}');",
        "INSERT INTO t (id, name, day, price, small, seen, flags, list) VALUES (14, 'c', '1.2.2020', 1, -2, '2020-01-01', 'yes', '{{1},{2}}')",
        "INSERT INTO t (id, name, day, price, small, seen, flags, list) VALUES (14, 'c', '2020-02-30', 1, -2, '2020-01-01', 'yes', '{1}')",
        "INSERT INTO t (id, name, day, price, small, seen, flags, list) VALUES (14, 'c', '2020-02-20', 1, -2, '2020-01-01', 'yes', '{1')",
        "INSERT INTO t (id, name, day, price, small, seen, flags, list) VALUES (14, 'toolong', '2020-02-20', 1, -2, '2020-01-01', 'yes', '{1}')",
        "INSERT INTO t (id, name, day, price, small, seen, flags, list) VALUES (14, 'c', '2020-02-20', 99999, -2, '2020-01-01', 'yes', '{1}')",
        "INSERT INTO t (id, name, day, price, small, seen, flags, list) VALUES (14, 'c', '2020-02-20', 1, -99999, '2020-01-01', 'yes', '{1}')",
        "INSERT INTO t (id, name, day, price, small, seen, flags, list) VALUES (12, 'c', '2020-02-20', 1, -2, '2020-01-01', 'yes', '{1}')",
        "INSERT INTO t (id, name, day, price, small, seen, flags, list) VALUES ('15', 'c', '2020-02-20', 1, -2, '2020-01-01', 'yes', '{1}')",
    ];
    // Those with a value that its type does not read, or with constants of other types, have none; those that fail later do.
    assert_eq!(check(&insert), 4);
    let update = [
        "UPDATE t SET price = price + -1.5, name = 'x' WHERE id = 1 AND day = '2020-02-29'",
        "UPDATE t SET price = price + -2.5, name = 'y' WHERE id = 10 AND day = '2020-01-01'",
        "UPDATE t SET price = price + -9.5, name = 'z' WHERE id = 12 AND day = '2020-01-01'",
        "UPDATE t SET price = price + -9999.5, name = 'z' WHERE id = 12 AND day = '2020-01-01'",
        "UPDATE t SET price = price + -9.5, name = 'z' WHERE id = 12 AND day = 'no day'",
    ];
    assert_eq!(check(&update), 2);
    let others = [
        "DELETE FROM t WHERE id = '10'",
        "DELETE FROM t WHERE id = ' 11 '",
        "DELETE FROM t WHERE id = '12'",
        "DELETE FROM t WHERE id = 'x'",
        "SELECT 1 / (id - 1) FROM t WHERE id = 2",
        "SELECT 1 / (id - 2) FROM t WHERE id = 1",
        "SELECT 1 / (id - 1) FROM t WHERE id = 1",
        "SELECT name FROM t WHERE id = 2 ORDER BY 1",
        "SELECT name FROM t WHERE id = 1 ORDER BY 1",
        "SELECT name FROM t WHERE id = 1 ORDER BY 2",
        "SELECT count(*) FROM t WHERE small < 5",
        "SELECT count(*) FROM t WHERE small < 6",
        "SELECT count(*) FROM t WHERE small < 7",
        "SELECT 5",
        "SELECT 6",
        "SELECT * FROM t ORDER BY id",
    ];
    check(&others);
}

#[test]
fn a_form_follows_the_catalog() {
    let (mut with_forms, mut without) = (session(), session());
    let both = |with_forms: &mut Session, without: &mut Session, text: &str| {
        block_on(with_forms.run_script(text)).unwrap();
        block_on(without.run_script(text)).unwrap();
    };
    let texts =
        ["SELECT * FROM t WHERE id = 1", "SELECT * FROM t WHERE id = 2", "SELECT * FROM t WHERE id = 3"];
    assert_eq!(compare(&mut with_forms, &mut without, &texts), 1);
    both(&mut with_forms, &mut without, "ALTER TABLE t DROP COLUMN name");
    assert_eq!(compare(&mut with_forms, &mut without, &texts), 2);
    both(&mut with_forms, &mut without, "ALTER TABLE t DROP CONSTRAINT t_pkey");
    assert_eq!(compare(&mut with_forms, &mut without, &texts), 0);
    both(&mut with_forms, &mut without, "DROP TABLE t");
    assert_eq!(compare(&mut with_forms, &mut without, &texts), 0);
}
