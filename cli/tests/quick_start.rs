//! The documents' quick start, statement by statement, shows what the documents show.

mod common;

use common::{run, text};

const SCRIPT: &str = "\
CREATE TABLE users ( id INT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, age INT);
INSERT INTO users VALUES (1, 'Alice Johnson', 'alice@example.com', 30);
INSERT INTO users VALUES (2, 'Bob Smith', 'bob@example.com', 25);
INSERT INTO users VALUES (3, 'Charlie Brown', 'charlie@example.com', 35);
SELECT * FROM users;
-- Find users older than 28
SELECT name, age FROM users WHERE age > 28;
-- Count total users
SELECT COUNT(*) as total_users FROM users;
-- Average age
SELECT AVG(age) as average_age FROM users;
-- Update Alice's age
UPDATE users SET age = 31 WHERE name = 'Alice Johnson';
-- Delete young users
DELETE FROM users WHERE age < 28;
-- Verify changes
SELECT * FROM users;
\\d
\\d users
\\q
SELECT 'never reached';
";

const EXPECTED: &str = "\
Query OK (0.000s)
Query OK, 1 row affected (0.000s)
Query OK, 1 row affected (0.000s)
Query OK, 1 row affected (0.000s)
+----+---------------+---------------------+-----+
| id | name          | email               | age |
+----+---------------+---------------------+-----+
| 1  | Alice Johnson | alice@example.com   | 30  |
| 2  | Bob Smith     | bob@example.com     | 25  |
| 3  | Charlie Brown | charlie@example.com | 35  |
+----+---------------+---------------------+-----+
(3 rows) (0.000s)
+---------------+-----+
| name          | age |
+---------------+-----+
| Alice Johnson | 30  |
| Charlie Brown | 35  |
+---------------+-----+
(2 rows) (0.000s)
+-------------+
| total_users |
+-------------+
| 3           |
+-------------+
(1 row) (0.000s)
+---------------------+
| average_age         |
+---------------------+
| 30.0000000000000000 |
+---------------------+
(1 row) (0.000s)
Query OK, 1 row affected (0.000s)
Query OK, 1 row affected (0.000s)
+----+---------------+---------------------+-----+
| id | name          | email               | age |
+----+---------------+---------------------+-----+
| 1  | Alice Johnson | alice@example.com   | 31  |
| 3  | Charlie Brown | charlie@example.com | 35  |
+----+---------------+---------------------+-----+
(2 rows) (0.000s)
List of relations
+--------+-------+-------+----------+
| Schema | Name  | Type  | Owner    |
+--------+-------+-------+----------+
| public | users | table | postgres |
+--------+-------+-------+----------+
Table \"public.users\"
+--------+---------+----------+---------+
| Column | Type    | Nullable | Default |
+--------+---------+----------+---------+
| id     | integer | not null |         |
| name   | text    | not null |         |
| email  | text    | not null |         |
| age    | integer |          |         |
+--------+---------+----------+---------+
Indexes:
    \"users_pkey\" PRIMARY KEY, btree (id)
";

#[test]
fn the_quick_start_shows_what_the_documents_show() {
    let output = run(&["repl", "--memory"], SCRIPT);
    assert_eq!(text(&output.stdout), EXPECTED);
    assert_eq!(text(&output.stderr), "");
    assert!(output.status.success());
}

#[test]
fn the_demo_runs_to_its_end() {
    let output = run(&["demo"], "");
    let shown = text(&output.stdout);
    assert!(output.status.success());
    assert_eq!(text(&output.stderr), "");
    assert_eq!(shown.matches("\nERROR:").count(), 3, "the three constraints, and nothing else: {shown}");
    for part in
        ["| Neptune | 1      | giant |", "| Galileo Galilei  | 4     |", "moons_planet_fkey", "rolled back"]
    {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
    // Saturn's largest moon as of a moment ago, and Neptune on one branch and not on the other.
    for part in ["| Titan ", "| what-if     | main          | active |", "| 7       |", "| 8       |"] {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
    assert!(shown.contains("Index Scan using planets_pkey on planets"), "{shown}");
}
