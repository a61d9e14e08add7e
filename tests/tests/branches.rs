//! Branches through the embedded interface: a handle stays on its branch, and keeps it from being dropped; and all of it
//! is there again when the folder is opened anew.

use heliosdb_nano::{EmbeddedDatabase, params};

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
    drop(staging);
    main.execute("DROP DATABASE BRANCH staging").expect("nobody is on it any more");
}
