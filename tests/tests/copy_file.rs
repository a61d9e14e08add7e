//! COPY between tables and files on the machine.
#![allow(clippy::disallowed_methods)] // what people have in files

use heliosdb_nano::EmbeddedDatabase;

#[test]
fn a_table_goes_to_a_file_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let database = EmbeddedDatabase::new_in_memory().unwrap();
    // More than the file is read by at once.
    database
        .execute("CREATE TABLE t AS SELECT g AS id, repeat('é', g % 40) || E'\\t\\n\"' AS text FROM generate_series(1, 5000) g")
        .unwrap();
    for options in ["", "WITH (FORMAT csv, HEADER)", "WITH (FORMAT binary)"] {
        let path = folder.path().join("rows");
        let path = path.display();
        assert_eq!(database.execute(&format!("COPY t TO '{path}' {options}")).unwrap(), 5000);
        database.execute("CREATE TABLE copy (id int, text text)").unwrap();
        assert_eq!(database.execute(&format!("COPY copy FROM '{path}' {options}")).unwrap(), 5000);
        let rows = database.query("SELECT count(*) FROM t JOIN copy USING (id, text)", &[]).unwrap();
        assert_eq!(rows[0].get_at::<i64>(0).unwrap(), 5000, "{options}");
        database.execute("DROP TABLE copy").unwrap();
    }
}

#[test]
fn a_shorter_file_leaves_nothing_of_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows");
    std::fs::write(&path, "a line that is longer than what is written\n").unwrap();
    let database = EmbeddedDatabase::new_in_memory().unwrap();
    database.execute(&format!("COPY (SELECT 1, NULL, 'x') TO '{}'", path.display())).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\t\\N\tx\n");
}

#[test]
fn a_line_that_fails_undoes_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows");
    std::fs::write(&path, "1\n2\nthree\n").unwrap();
    let database = EmbeddedDatabase::new_in_memory().unwrap();
    database.execute("CREATE TABLE t (id int)").unwrap();
    let error = database.execute(&format!("COPY t FROM '{}'", path.display())).unwrap_err();
    assert_eq!(error.to_string(), "invalid input syntax for type integer: \"three\"");
    let rows = database.query("SELECT count(*) FROM t", &[]).unwrap();
    assert_eq!(rows[0].get_at::<i64>(0).unwrap(), 0);
}

#[test]
fn generated_columns_stay_at_home() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows");
    let shown = path.display();
    let database = EmbeddedDatabase::new_in_memory().unwrap();
    database.execute("CREATE TABLE t (a int, twice int GENERATED ALWAYS AS (a * 2) STORED, b int)").unwrap();
    database.execute("INSERT INTO t (a, b) VALUES (1, 10), (2, 20)").unwrap();
    database.execute(&format!("COPY t TO '{shown}'")).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\t10\n2\t20\n");
    database.execute(&format!("COPY t FROM '{shown}'")).unwrap();
    let rows = database.query("SELECT sum(twice) FROM t", &[]).unwrap();
    assert_eq!(rows[0].get_at::<i64>(0).unwrap(), 12);
}
