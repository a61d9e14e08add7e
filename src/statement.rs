//! Prepared statements.

use std::sync::Arc;

use futures_lite::future::block_on;
use helios_sql::session::Prepared;

use crate::database::{Lease, Scratch, begin_at_once, execute, know_types, run, run_portal};
use crate::{Result, Row, ToValue};
use std::sync::atomic::AtomicBool;

/// A statement that was parsed and planned once.
pub struct PreparedStatement {
    lease: Lease,
    prepared: Arc<Prepared>,
    scratch: Scratch,
    /// The row that [`PreparedStatement::query_row`] shows.
    row: Row,
}

impl PreparedStatement {
    pub(crate) fn new(lease: Lease, prepared: Arc<Prepared>) -> PreparedStatement {
        let row = Row::of(&prepared.row_columns);
        PreparedStatement { lease, prepared, scratch: Scratch::default(), row }
    }

    /// Runs it and gives its rows.
    ///
    /// # Errors
    /// All the errors of executing.
    pub fn query(&mut self, params: &[&dyn ToValue]) -> Result<Vec<Row>> {
        block_on(self.query_async(params))
    }

    /// [`PreparedStatement::query`], without blocking the thread.
    ///
    /// # Errors
    /// As [`PreparedStatement::query`].
    pub async fn query_async(&mut self, params: &[&dyn ToValue]) -> Result<Vec<Row>> {
        let PreparedStatement { lease, prepared, scratch, .. } = self;
        run(lease.session(), prepared, params, scratch).await.map(|(rows, _)| rows)
    }

    /// Runs it and reads its first row inside `read`; `None` where there is none. The fastest way to one row: a
    /// search by key allocates no memory for it.
    ///
    /// # Errors
    /// All the errors of executing, and those of `read`.
    pub fn query_row<T>(
        &mut self,
        params: &[&dyn ToValue],
        read: impl FnOnce(&Row) -> Result<T>,
    ) -> Result<Option<T>> {
        let PreparedStatement { lease, prepared, scratch, row } = self;
        let session = lease.session();
        know_types(session, prepared)?;
        let count = begin_at_once(session, prepared, params, scratch)?;
        if count.is_some() && session.has_to_finish() {
            block_on(session.finish_point())?;
        }
        match count {
            Some(0) => Ok(None),
            Some(_) if prepared.columns.is_some() => {
                let never = AtomicBool::new(false);
                row.fill(&scratch.found, &session.value_context(prepared, &never))?;
                read(row).map(Some)
            }
            Some(_) => Ok(None),
            None => {
                let parameters = std::mem::take(&mut scratch.parameters);
                let (rows, _) = block_on(run_portal(session, prepared, parameters))?;
                rows.first().map(read).transpose()
            }
        }
    }

    /// [`PreparedStatement::execute`], without blocking the thread.
    ///
    /// # Errors
    /// As [`PreparedStatement::execute`].
    pub async fn execute_async(&mut self, params: &[&dyn ToValue]) -> Result<u64> {
        let PreparedStatement { lease, prepared, scratch, .. } = self;
        run(lease.session(), prepared, params, scratch).await.map(|(_, count)| count)
    }

    /// Runs it and gives the number of rows that it changed or found.
    ///
    /// # Errors
    /// All the errors of executing.
    pub fn execute(&mut self, params: &[&dyn ToValue]) -> Result<u64> {
        let PreparedStatement { lease, prepared, scratch, .. } = self;
        execute(lease.session(), prepared, params, scratch)
    }

    /// How many columns its rows have; 0 for a statement without rows.
    #[must_use]
    pub fn column_count(&self) -> usize {
        self.prepared.columns.as_ref().map_or(0, Vec::len)
    }
}

/// Statements for one row take a shorter way than others: each test runs them beside a spelling of the same that
/// does not, and looks for the same outcome.
#[cfg(test)]
mod tests {
    use crate::{EmbeddedDatabase, Value, params};

    fn database() -> EmbeddedDatabase {
        let database = EmbeddedDatabase::new_in_memory().unwrap();
        database
            .execute(
                "CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL, size int CHECK (size < 100), code int UNIQUE);
                 INSERT INTO t VALUES (1, 'one', 10, 11), (2, 'two', NULL, NULL), (3, 'three', 30, 33)",
            )
            .unwrap();
        database
    }

    fn rows(database: &EmbeddedDatabase, sql: &str) -> Vec<Vec<Value>> {
        database.query(sql, &[]).unwrap().iter().map(|row| row.values().to_vec()).collect()
    }

    #[test]
    fn finds_what_a_scan_finds() {
        let database = database();
        for column in ["id", "code"] {
            let list = "name, size + 1, id, size";
            let mut short =
                database.prepare(&format!("SELECT {list} FROM t WHERE {column} = $1::int")).unwrap();
            let mut long =
                database.prepare(&format!("SELECT {list} FROM t WHERE {column} + 0 = $1::int")).unwrap();
            for wanted in [Some(1), Some(2), Some(3), Some(4), Some(11), Some(33), None] {
                let short = short.query(params![wanted]).unwrap();
                let long = long.query(params![wanted]).unwrap();
                let values =
                    |rows: &[crate::Row]| rows.iter().map(|row| row.values().to_vec()).collect::<Vec<_>>();
                assert_eq!(values(&short), values(&long), "{column} = {wanted:?}");
            }
        }
        let filtered = database.query("SELECT id FROM t WHERE id = 1 AND size > $1::int", params![10]);
        assert!(filtered.unwrap().is_empty());
        // One row at a time, by a search and by operators, where there is one and where there is none.
        for sql in ["SELECT name, id FROM t WHERE id = $1", "SELECT name, id FROM t WHERE id + 0 = $1"] {
            let mut statement = database.prepare(sql).unwrap();
            let mut name =
                |id: i32| statement.query_row(params![id], |row| row.get::<String>("name")).unwrap();
            assert_eq!([name(3), name(4), name(1)], [Some("three".into()), None, Some("one".into())]);
        }
        let contradiction = database.query("SELECT id FROM t WHERE id = $1 AND id = 2", params![1]);
        assert!(contradiction.unwrap().is_empty());
    }

    #[test]
    fn writes_are_checked() {
        let database = database();
        let before = rows(&database, "SELECT * FROM t ORDER BY id");
        let refused = [
            ("INSERT INTO t VALUES (1, 'again', 1, 1)", "23505"),
            ("INSERT INTO t VALUES (4, 'four', 1, 11)", "23505"),
            ("INSERT INTO t VALUES (4, NULL, 1, 1)", "23502"),
            ("INSERT INTO t VALUES (4, 'four', 100, 1)", "23514"),
            ("UPDATE t SET size = size * 10 WHERE id = 1", "23514"),
            ("UPDATE t SET id = 2 WHERE id = 1", "23505"),
            ("UPDATE t SET code = 33 WHERE code = 11", "23505"),
            ("UPDATE t SET size = size / 0 WHERE id = 1", "22012"),
        ];
        for (sql, state) in refused {
            assert_eq!(database.execute_with(sql, &[]).unwrap_err().sqlstate(), state, "{sql}");
        }
        assert_eq!(rows(&database, "SELECT * FROM t ORDER BY id"), before);
        let run = |sql| database.execute_with(sql, &[]).unwrap();
        assert_eq!(run("UPDATE t SET id = 5, code = size, size = code WHERE id = 1"), 1);
        assert_eq!(run("UPDATE t SET size = 7 WHERE code = 10"), 1);
        assert_eq!(run("DELETE FROM t WHERE id = 1"), 0);
        assert_eq!(run("DELETE FROM t WHERE code = 33"), 1);
        assert_eq!(run("INSERT INTO t (id, name) VALUES (3, 'third') ON CONFLICT DO NOTHING"), 1);
        assert_eq!(run("INSERT INTO t (id, name) VALUES (3, 'third') ON CONFLICT DO NOTHING"), 0);
        let shown = rows(&database, "SELECT id, name, size, code FROM t ORDER BY id");
        let integer = Value::Integer;
        let text = |text: &str| Value::Text(text.into());
        let expected = [
            vec![integer(2), text("two"), Value::Null, Value::Null],
            vec![integer(3), text("third"), Value::Null, Value::Null],
            vec![integer(5), text("one"), integer(7), integer(10)],
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn transactions_see_their_own_statements() {
        let database = database();
        let transaction = database.begin_transaction().unwrap();
        transaction.execute("UPDATE t SET size = size + 1 WHERE id = 1").unwrap();
        transaction.execute("UPDATE t SET size = size + 1 WHERE id = 1").unwrap();
        let own = transaction.query("SELECT size FROM t WHERE id = $1", params![1]).unwrap();
        assert_eq!(own[0].get::<i32>("size").unwrap(), 12);
        assert_eq!(rows(&database, "SELECT size FROM t WHERE id = 1"), [vec![Value::Integer(10)]]);
        transaction.rollback().unwrap();
    }

    /// Pages that are not in memory yet are waited for.
    #[test]
    fn statements_read_what_is_only_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let open = || EmbeddedDatabase::new(folder.path()).unwrap();
        let numbered = "CREATE TABLE n (id int PRIMARY KEY, twice int);
             INSERT INTO n SELECT i, 2 * i FROM generate_series(1, 20000) AS i";
        open().execute(numbered).unwrap();
        let database = open();
        // The catalog is read, and nothing of the table but its root.
        let mut select = database.prepare("SELECT twice FROM n WHERE id = $1").unwrap();
        let mut update = database.prepare("UPDATE n SET twice = 0 WHERE id = $1").unwrap();
        for id in [1, 20_000, 10_000, 10_001] {
            assert_eq!(select.query(params![id]).unwrap()[0].get_at::<i32>(0).unwrap(), 2 * id);
            assert_eq!(update.execute(params![id + 100]).unwrap(), u64::from(id + 100 <= 20_000));
        }
        assert_eq!(rows(&database, "SELECT twice FROM n WHERE id = 10100"), [vec![Value::Integer(0)]]);
    }

    #[test]
    fn plans_follow_the_catalog() {
        let database = database();
        let mut select = database.prepare("SELECT name FROM t WHERE code = $1").unwrap();
        let mut insert = database.prepare("INSERT INTO t (id, name) VALUES ($1, $2)").unwrap();
        let mut delete = database.prepare("DELETE FROM t WHERE id = $1").unwrap();
        assert_eq!(select.query(params![33]).unwrap().len(), 1);
        database.execute("ALTER TABLE t DROP CONSTRAINT t_code_key").unwrap();
        database.execute("ALTER TABLE t ADD COLUMN kind text DEFAULT 'plain'").unwrap();
        database.execute("UPDATE t SET code = 33").unwrap();
        assert_eq!(select.query(params![33]).unwrap().len(), 3);
        assert_eq!(insert.execute(params![4, "four"]).unwrap(), 1);
        assert_eq!(delete.execute(params![1]).unwrap(), 1);
        let kinds = rows(&database, "SELECT id, kind FROM t ORDER BY id");
        assert_eq!(kinds.len(), 3);
        assert_eq!(kinds[2], [Value::Integer(4), Value::Text("plain".into())]);
        database.execute("DROP TABLE t").unwrap();
        assert_eq!(delete.execute(params![2]).unwrap_err().sqlstate(), "42P01");
    }
}
