//! Branches and databases as clients reach them: by the connection's database name, `NAME@branch`, by its options, and
//! by statements.

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use crate::driver::{connect, run};

async fn names(client: &Client) -> Vec<String> {
    let rows = client.query("SELECT name FROM people ORDER BY name", &[]).await.expect("the table is there");
    rows.iter().map(|row| row.get(0)).collect()
}

#[test]
fn connections_are_on_the_branch_and_database_that_they_name() {
    run(|main, address| async move {
        main.batch_execute("CREATE TABLE people (name text PRIMARY KEY); INSERT INTO people VALUES ('ada')")
            .await
            .unwrap();
        main.batch_execute("CREATE DATABASE BRANCH dev-2 FROM main").await.unwrap();
        main.batch_execute("CREATE DATABASE app; CREATE DATABASE copy TEMPLATE postgres").await.unwrap();
        let on = |database: &str| address.replace("dbname=postgres", &format!("dbname={database}"));
        let dev = connect(&on("postgres@dev-2")).await;
        dev.batch_execute("INSERT INTO people VALUES ('ben')").await.unwrap();
        assert_eq!(names(&dev).await, ["ada", "ben"]);
        assert_eq!(names(&main).await, ["ada"]);
        let by_option = connect(&format!("{address} options='-c heliosdb.branch=dev-2'")).await;
        assert_eq!(names(&by_option).await, ["ada", "ben"]);
        let by_name = connect(&on("postgres@main")).await;
        assert_eq!(names(&by_name).await, ["ada"]);

        // Each database has its own tables, and its own locks.
        let app = connect(&on("app")).await;
        let missing = app.query("SELECT name FROM people", &[]).await.expect_err("a new database is empty");
        assert_eq!(missing.code(), Some(&SqlState::UNDEFINED_TABLE));
        app.batch_execute("CREATE TABLE people (name text); INSERT INTO people VALUES ('cem')")
            .await
            .unwrap();
        let copy = connect(&on("copy")).await;
        copy.batch_execute("BEGIN; LOCK TABLE people; DELETE FROM people").await.unwrap();
        main.batch_execute("UPDATE people SET name = 'Ada'").await.unwrap();
        copy.batch_execute("COMMIT").await.unwrap();
        assert_eq!(names(&main).await, ["Ada"]);
        assert_eq!(names(&app).await, ["cem"]);
        assert_eq!(names(&copy).await, Vec::<String>::new());
        let current: String = app.query_one("SELECT current_database()", &[]).await.unwrap().get(0);
        assert_eq!(current, "app");

        // A prepared statement goes with its session to another branch.
        let count = main.prepare("SELECT count(*) FROM people").await.unwrap();
        assert_eq!(main.query_one(&count, &[]).await.unwrap().get::<_, i64>(0), 1);
        main.batch_execute("USE BRANCH dev-2").await.unwrap();
        assert_eq!(main.query_one(&count, &[]).await.unwrap().get::<_, i64>(0), 2);
        main.batch_execute("SET heliosdb.branch = 'main'").await.unwrap();

        for (statement, state) in [
            ("DROP DATABASE app", SqlState::OBJECT_IN_USE),
            ("DROP DATABASE BRANCH dev-2", SqlState::OBJECT_IN_USE),
            ("DROP DATABASE postgres", SqlState::OBJECT_IN_USE),
            ("CREATE DATABASE app", SqlState::DUPLICATE_DATABASE),
            ("DROP DATABASE nothing", SqlState::INVALID_CATALOG_NAME),
        ] {
            let error = main.batch_execute(statement).await.expect_err(statement);
            assert_eq!(error.code(), Some(&state), "{statement}");
        }
        for unknown in ["nothing", "postgres@nothing", "app@dev-2"] {
            let error = tokio_postgres::connect(&on(unknown), NoTls).await.err().expect(unknown);
            assert_eq!(error.code(), Some(&SqlState::INVALID_CATALOG_NAME), "{unknown}");
        }
    });
}

#[test]
fn sessions_read_earlier_moments() {
    run(|client, address| async move {
        client
            .batch_execute("CREATE TABLE people (name text PRIMARY KEY); INSERT INTO people VALUES ('ada')")
            .await
            .unwrap();
        let scn: i64 = client.query_one("SELECT heliosdb_current_scn()", &[]).await.unwrap().get(0);
        client.batch_execute("INSERT INTO people VALUES ('ben')").await.unwrap();
        let count = client.prepare("SELECT count(*) FROM people").await.unwrap();
        let counted = async |client: &Client| client.query_one(&count, &[]).await.unwrap().get::<_, i64>(0);
        assert_eq!(counted(&client).await, 2);

        // A prepared statement goes with its session to another moment, and back.
        client.batch_execute(&format!("SET heliosdb.as_of = 'SCN {scn}'")).await.unwrap();
        assert_eq!(counted(&client).await, 1);
        let insert = client.prepare("INSERT INTO people VALUES ($1)").await.unwrap();
        let refused = client.execute(&insert, &[&"cem"]).await.expect_err("nothing is written to the past");
        assert_eq!(refused.code(), Some(&SqlState::READ_ONLY_SQL_TRANSACTION));
        client.batch_execute("RESET heliosdb.as_of").await.unwrap();
        assert_eq!(counted(&client).await, 2);
        client.execute(&insert, &[&"cem"]).await.unwrap();
        client.batch_execute(&format!("BEGIN READ ONLY AS OF SCN {scn}")).await.unwrap();
        assert_eq!(counted(&client).await, 1);
        client.batch_execute("COMMIT").await.unwrap();
        assert_eq!(counted(&client).await, 3);

        // A connection may begin there; RESET leads back to it.
        let then = connect(&format!("{address} options='-c heliosdb.as_of=SCN\\\\ {scn}'")).await;
        assert_eq!(names(&then).await, ["ada"]);
        then.batch_execute("SET heliosdb.as_of = ''").await.unwrap();
        assert_eq!(names(&then).await, ["ada", "ben", "cem"]);
        then.batch_execute("RESET heliosdb.as_of").await.unwrap();
        assert_eq!(names(&then).await, ["ada"]);
    });
}
