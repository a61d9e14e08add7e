//! A parent and its child, changed by two sessions at once: whoever comes second waits, and no child is left alone.

use crate::driver::{Sessions, told};

const SETUP: &str = "CREATE TABLE parent (id int PRIMARY KEY, code int UNIQUE, v int);
    CREATE TABLE child (id int PRIMARY KEY, parent_id int REFERENCES parent, code int REFERENCES parent (code));
    INSERT INTO parent VALUES (1, 10, 0), (2, 20, 0)";
const ORPHANS: &str =
    "SELECT count(*) FROM child LEFT JOIN parent ON parent.id = parent_id OR parent.code = child.code
    WHERE parent.id IS NULL";

/// The second session's statement waits for the first's, which then ends; gives how it ended.
fn second_after_first(
    first_statement: &'static str,
    end: &'static str,
    second_statement: &'static str,
    expected: Result<u64, &'static str>,
) {
    for begin in ["", "BEGIN ISOLATION LEVEL READ COMMITTED"] {
        Sessions::run(SETUP, |sessions| async move {
            let (first, second) = (&sessions.first, &sessions.second);
            first.batch_execute(&format!("BEGIN; {first_statement}")).await.expect("run");
            second.batch_execute(begin).await.expect("begun");
            let waited =
                sessions.waits(second.execute(second_statement, &[]), first.batch_execute(end)).await;
            match expected {
                Ok(rows) => assert_eq!(waited.expect("it goes on"), rows, "{second_statement}"),
                Err(message) => {
                    assert_eq!(told(waited), ("23503".into(), message.into()), "{second_statement}")
                }
            }
            if !begin.is_empty() {
                second.batch_execute("COMMIT").await.expect("ended");
            }
            assert_eq!(sessions.committed(ORPHANS).await, 0, "{first_statement}; {second_statement}");
        });
    }
}

const NO_PARENT: &str =
    "insert or update on table \"child\" violates foreign key constraint \"child_parent_id_fkey\"";
const HAS_CHILD: &str = "update or delete on table \"parent\" violates foreign key constraint \"child_parent_id_fkey\" on table \"child\"";

#[test]
fn a_child_comes_while_its_parent_goes() {
    let insert = "INSERT INTO child VALUES (1, 1, NULL)";
    second_after_first("DELETE FROM parent WHERE id = 1", "COMMIT", insert, Err(NO_PARENT));
    second_after_first("DELETE FROM parent WHERE id = 1", "ROLLBACK", insert, Ok(1));
    second_after_first("UPDATE parent SET id = 3 WHERE id = 1", "COMMIT", insert, Err(NO_PARENT));
}

#[test]
fn a_parent_goes_while_its_child_comes() {
    let insert = "INSERT INTO child VALUES (1, 1, NULL)";
    second_after_first(insert, "COMMIT", "DELETE FROM parent WHERE id = 1", Err(HAS_CHILD));
    second_after_first(insert, "COMMIT", "UPDATE parent SET id = 3 WHERE id = 1", Err(HAS_CHILD));
    second_after_first(insert, "ROLLBACK", "DELETE FROM parent WHERE id = 1", Ok(1));
}

#[test]
fn a_child_and_its_parent_s_other_columns() {
    Sessions::run(SETUP, |sessions| async move {
        let (first, second) = (&sessions.first, &sessions.second);
        first.batch_execute("BEGIN; INSERT INTO child VALUES (1, 1, NULL)").await.expect("inserted");
        second.batch_execute("BEGIN; INSERT INTO child VALUES (2, 1, NULL)").await.expect("beside the other");
        second.batch_execute("UPDATE parent SET v = 1 WHERE id = 2; COMMIT").await.expect("another parent");
        first.batch_execute("COMMIT").await.expect("committed");
        assert_eq!(sessions.committed("SELECT count(*) FROM child").await, 2);
    });
}

const NO_CODE: &str =
    "insert or update on table \"child\" violates foreign key constraint \"child_code_fkey\"";
const HAS_CODE: &str = "update or delete on table \"parent\" violates foreign key constraint \"child_code_fkey\" on table \"child\"";

#[test]
fn the_same_by_another_key() {
    let insert = "INSERT INTO child VALUES (1, NULL, 10)";
    second_after_first("DELETE FROM parent WHERE id = 1", "COMMIT", insert, Err(NO_CODE));
    second_after_first("UPDATE parent SET code = 30 WHERE id = 1", "COMMIT", insert, Err(NO_CODE));
    second_after_first("DELETE FROM parent WHERE id = 1", "ROLLBACK", insert, Ok(1));
    second_after_first(insert, "COMMIT", "DELETE FROM parent WHERE id = 1", Err(HAS_CODE));
    second_after_first(insert, "COMMIT", "UPDATE parent SET code = 30 WHERE id = 1", Err(HAS_CODE));
}

#[test]
fn a_unique_key_that_goes_is_waited_for() {
    let insert = "INSERT INTO parent VALUES (3, 10, 0)";
    second_after_first("DELETE FROM parent WHERE id = 1", "COMMIT", insert, Ok(1));
    second_after_first("UPDATE parent SET code = 30 WHERE id = 1", "COMMIT", insert, Ok(1));
}

#[test]
fn a_cascade_takes_the_child_that_came_meanwhile() {
    const CASCADE: &str = "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE);
        INSERT INTO p VALUES (1), (2)";
    Sessions::run(CASCADE, |sessions| async move {
        let (first, second) = (&sessions.first, &sessions.second);
        first.batch_execute("BEGIN; INSERT INTO c VALUES (1, 1)").await.expect("inserted");
        let delete = second.execute("DELETE FROM p WHERE id = 1", &[]);
        let waited = sessions.waits(delete, first.batch_execute("COMMIT")).await;
        assert_eq!(waited.expect("deleted"), 1);
        assert_eq!(sessions.committed("SELECT count(*) FROM c").await, 0);
    });
}
