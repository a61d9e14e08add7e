//! What sessions begin with: settings of databases, of roles, and of roles in databases, in PostgreSQL's order.

use crate::support::{TestServer, query, short, startup};

const PREPARED: [&str; 8] = [
    "CREATE ROLE u LOGIN",
    "CREATE DATABASE d",
    "ALTER ROLE ALL SET work_mem = '1MB'",
    "ALTER ROLE ALL SET lock_timeout = '1s'",
    "ALTER DATABASE d SET work_mem = '2MB'",
    "ALTER DATABASE d SET search_path = a, b",
    "ALTER ROLE u SET work_mem = '3MB'",
    "ALTER ROLE u IN DATABASE d SET work_mem = '4MB'",
];

/// The most special one wins, what the client says wins over all, and RESET goes back to it.
#[test]
fn sessions_begin_with_what_is_set_for_them() {
    let prepare = |database: &heliosdb_nano::EmbeddedDatabase| {
        for statement in PREPARED {
            database.execute(statement).expect(statement);
        }
    };
    let server = TestServer::over(|_| {}, prepare);
    let expected = [
        ("u", "d", None, "4MB|database user", "1s|global", "a, b|database"),
        ("u", "postgres", None, "3MB|user", "1s|global", "\"$user\", public|default"),
        ("postgres", "d", None, "2MB|database", "1s|global", "a, b|database"),
        ("postgres", "postgres", None, "1MB|global", "1s|global", "\"$user\", public|default"),
        ("u", "d", Some("9MB"), "9MB|client", "1s|global", "a, b|database"),
    ];
    for (user, database, asked, work_mem, lock_timeout, search_path) in expected {
        let mut wire = server.dial();
        let mut packet = vec![("user", user), ("database", database)];
        packet.extend(asked.map(|value| ("work_mem", value)));
        wire.send(&startup(&packet));
        wire.until_ready();
        for _ in 0..2 {
            for (name, shown) in
                [("work_mem", work_mem), ("lock_timeout", lock_timeout), ("search_path", search_path)]
            {
                let (value, source) = shown.split_once('|').expect("value and source");
                wire.send(&query(&format!(
                    "SELECT 'same' FROM pg_settings WHERE name = '{name}' AND current_setting(name) = '{value}' \
                     AND source = '{source}'"
                )));
                let answers = short(&wire.until_ready());
                assert!(answers.contains(&"C SELECT 1".into()), "{user} {database} {name}: {answers:?}");
            }
            wire.send(&query("SET work_mem = '64MB'; RESET work_mem; SET lock_timeout = 5; RESET ALL"));
            wire.until_ready();
        }
    }
}
