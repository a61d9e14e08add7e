//! Branches through the embedded interface: a handle stays on its branch, and keeps it from being dropped; and all of it
//! is there again when the folder is opened anew.

use std::sync::atomic::{AtomicBool, Ordering};

use heliosdb_nano::{Config, EmbeddedDatabase, params};

fn names(database: &EmbeddedDatabase) -> Vec<String> {
    let rows =
        database.query("SELECT name FROM people ORDER BY name", params![]).expect("the table is there");
    rows.iter().map(|row| row.get("name").expect("a text")).collect()
}

#[test]
fn a_handle_stays_on_its_branch() {
    let folder = tempfile::tempdir().expect("a folder");
    {
        let main = EmbeddedDatabase::new(folder.path()).expect("opened");
        main.execute("CREATE TABLE people (id serial PRIMARY KEY, name text); INSERT INTO people (name) VALUES ('ada')")
            .expect("made");
        main.execute("CREATE DATABASE BRANCH staging FROM main AS OF NOW").expect("branched");
        let staging = EmbeddedDatabase::new_branch(folder.path(), "staging").expect("the same folder");
        staging.execute("INSERT INTO people (name) VALUES ('ben')").expect("written");
        assert_eq!(names(&staging), ["ada", "ben"]);
        assert_eq!(names(&main), ["ada"]);
        let transaction = staging.begin_transaction().expect("begun");
        transaction.execute("DELETE FROM people").expect("deleted");
        assert_eq!(names(&staging), ["ada", "ben"]);
        transaction.rollback().expect("rolled back");
        let error = main.execute("DROP DATABASE BRANCH staging").expect_err("it is in use");
        assert_eq!(error.sqlstate(), "55006");
        let error = EmbeddedDatabase::new_branch(folder.path(), "nothing").err().expect("no such branch");
        assert_eq!(error.sqlstate(), "3D000");
    }
    let staging = EmbeddedDatabase::new_branch(folder.path(), "staging").expect("opened again");
    assert_eq!(names(&staging), ["ada", "ben"]);
    staging.execute("INSERT INTO people (name) VALUES ('cem')").expect("written");
    let ids = staging.query("SELECT max(id) AS id, count(*) AS count FROM people", params![]).expect("read");
    assert_eq!(ids[0].get::<i32>("id").expect("an id"), 3, "its sequence went on where it was");
    let main = staging.on_branch("main").expect("it is there");
    assert_eq!(names(&main), ["ada"]);
    main.execute("ALTER DATABASE BRANCH staging RENAME TO stage").expect("renamed");
    let shown = staging.query("SHOW heliosdb.branch", params![]).expect("shown");
    assert_eq!(shown[0].get::<String>("heliosdb.branch").expect("a text"), "stage");
    drop(staging);
    main.execute("DROP DATABASE BRANCH stage").expect("nobody is on it any more");
}

/// Merges end although others write to the target all the time, and nothing of either side is lost.
#[test]
fn merges_beside_writers_end() {
    const ROWS: i64 = 300;
    const MERGES: i32 = 5;
    let database = EmbeddedDatabase::new_in_memory().expect("opened");
    database
        .execute(&format!(
            "CREATE TABLE t (id bigint PRIMARY KEY, merged int, written bigint);
             INSERT INTO t SELECT g, 0, 0 FROM generate_series(1, {ROWS}) AS g"
        ))
        .expect("made");
    let ends = AtomicBool::new(false);
    let written: i64 = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let (database, ends) = (database.on_branch("main").expect("it is there"), &ends);
                scope.spawn(move || {
                    let mut count = 0;
                    while !ends.load(Ordering::Relaxed) {
                        let row = (count * 7 + writer * 150) % ROWS + 1;
                        let update = "UPDATE t SET written = written + 1 WHERE id = $1";
                        // A merge that keeps writers off may be in a circle with one of them.
                        count += database.execute_with(update, params![row]).map_or(0, |rows| rows as i64);
                    }
                    count
                })
            })
            .collect();
        for number in 1..=MERGES {
            database.execute("CREATE DATABASE BRANCH work FROM main AS OF NOW").expect("branched");
            let work = database.on_branch("work").expect("it is there");
            work.execute(&format!("UPDATE t SET merged = {number}")).expect("changed");
            drop(work);
            database
                .execute("MERGE DATABASE BRANCH work INTO main WITH (delete_branch_after = true)")
                .unwrap_or_else(|error| panic!("merge {number}: {error}"));
        }
        ends.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().expect("a writer that ends well")).sum()
    });
    let sums = database
        .query("SELECT sum(written)::bigint AS written, min(merged) AS merged FROM t", params![])
        .expect("read");
    assert_eq!(sums[0].get::<i32>("merged").expect("a number"), MERGES);
    assert_eq!(sums[0].get::<i64>("written").expect("a number"), written);
}

/// What a merge reads is what the branch changed, not what there is: of a large table with a thousand neighbouring rows changed, no more
/// than four pages for each leaf that these lie on, and less than a hundredth of what reading the table takes. Nothing is in memory when
/// it begins, so each page that it looks at is read once and counted.
#[test]
fn a_merge_costs_what_was_changed() {
    const ROWS: i32 = 600_000;
    const MERGED: i32 = 1_000;
    let folder = tempfile::tempdir().expect("a folder");
    let open = || {
        let mut config = Config::default();
        config.storage.wal_enabled = false;
        EmbeddedDatabase::with_config(folder.path(), config).expect("opened")
    };
    let pages_read = |database: &EmbeddedDatabase, run: &dyn Fn(&EmbeddedDatabase)| {
        let (_, before) = database.engine().store().page_accesses();
        run(database);
        database.engine().store().page_accesses().1 - before
    };
    {
        let main = open();
        main.execute("CREATE TABLE accounts (aid int PRIMARY KEY, balance int, filler char(60))")
            .expect("made");
        main.execute_with(
            "INSERT INTO accounts SELECT i, 0, '' FROM generate_series(1, $1) AS i",
            params![ROWS],
        )
        .expect("filled");
        main.execute("CREATE DATABASE BRANCH dev FROM main AS OF NOW").expect("branched");
        let change = "UPDATE accounts SET balance = 1 WHERE aid > $1 AND aid <= $2";
        let dev = main.on_branch("dev").expect("it is there");
        dev.execute_with(change, params![ROWS / 2, ROWS / 2 + MERGED]).expect("changed");
        // The target went on as well, elsewhere.
        main.execute_with(change, params![ROWS / 4, ROWS / 4 + 10]).expect("changed");
        main.execute("CHECKPOINT").expect("written");
    }
    let scan = pages_read(&open(), &|database| {
        let rows = database.query("SELECT sum(balance) AS sum FROM accounts", params![]).expect("read");
        assert_eq!(rows[0].get::<i64>("sum").expect("a sum"), 10);
    });
    let main = open();
    // What every statement reads once: the catalogs.
    for branch in ["main", "dev"] {
        let branch = main.on_branch(branch).expect("it is there");
        branch.query("SELECT 1 FROM accounts WHERE aid = 1", params![]).expect("read");
    }
    let merge = pages_read(&main, &|database| {
        assert_eq!(database.execute("MERGE DATABASE BRANCH dev INTO main").expect("merged"), MERGED as u64);
    });
    let leaves = scan * MERGED as u64 / ROWS as u64 + 1;
    assert!(merge <= 4 * leaves, "{merge} pages were read for rows on {leaves} leaves");
    assert!(merge * 100 < scan, "{merge} pages were read; all rows are on {scan}");
    let rows = main.query("SELECT sum(balance) AS sum FROM accounts", params![]).expect("read");
    assert_eq!(rows[0].get::<i64>("sum").expect("a sum"), i64::from(MERGED) + 10);
}
