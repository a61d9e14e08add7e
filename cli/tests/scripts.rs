//! Scripts on standard input: errors and where they are, COPY data, commands, exit codes.

mod common;

use std::process::Output;

use common::{run, text};

fn repl(script: &str) -> Output {
    run(&["repl", "--memory"], script)
}

#[test]
fn a_script_goes_on_after_an_error_and_fails_at_its_end() {
    let output =
        repl("SELECT * FROM x;\nSELECT 1 AS one;\nSELEC 1;\nSELECT nam\nFROM (SELECT 1 AS name) t;\n");
    assert_eq!(text(&output.stdout), "+-----+\n| one |\n+-----+\n| 1   |\n+-----+\n(1 row) (0.000s)\n");
    let errors = text(&output.stderr);
    let expected = [
        "ERROR:  relation \"x\" does not exist\nLINE 1: SELECT * FROM x;\n                      ^\n",
        "ERROR:  syntax error at or near \"SELEC\"\nLINE 1: SELEC 1;\n        ^\n",
        "ERROR:  column \"nam\" does not exist\nLINE 1: SELECT nam\n               ^\n",
    ];
    for part in expected {
        assert!(errors.contains(part), "{part} is missing in {errors}");
    }
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn details_and_notices_are_shown() {
    let output = repl(
        "CREATE TABLE t (a INT PRIMARY KEY);\nINSERT INTO t VALUES (1), (1);\nDROP TABLE IF EXISTS u;\n",
    );
    let expected = "ERROR:  duplicate key value violates unique constraint \"t_pkey\"\n\
                    DETAIL:  Key (a)=(1) already exists.\n\
                    NOTICE:  table \"u\" does not exist, skipping\n";
    assert_eq!(text(&output.stderr), expected);
}

#[test]
fn copy_takes_the_lines_that_follow_and_gives_lines_back() {
    let script = "CREATE TABLE t (a INT, b TEXT);\nCOPY t FROM STDIN;\n1\tone; two\n2\t\\N\n\\.\n\
                  COPY t FROM STDIN (FORMAT csv);\n3,\"x\"\"y\"\n\\.\nCOPY t TO STDOUT;\n";
    let output = repl(script);
    let expected = "Query OK (0.000s)\nQuery OK, 2 rows affected (0.000s)\nQuery OK, 1 row affected (0.000s)\n\
                    1\tone; two\n2\t\\N\n3\tx\"y\n";
    assert_eq!(text(&output.stdout), expected);
    assert!(output.status.success());
}

#[test]
fn data_of_a_failed_copy_is_not_run() {
    let output =
        repl("CREATE TABLE t (a INT);\nCOPY t FROM STDIN;\nx\nDROP TABLE t;\n\\.\nSELECT count(*) FROM t;\n");
    assert!(text(&output.stdout).ends_with("| 0     |\n+-------+\n(1 row) (0.000s)\n"));
    assert!(text(&output.stderr).contains("ERROR:  invalid input syntax for type integer: \"x\""));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn quotes_and_comments_hide_semicolons_and_the_last_semicolon_may_be_missing() {
    let output = repl("SELECT ';' AS a, $$;\n;$$ AS b -- ; \n, /* ; */ 'it''s;' AS c");
    let expected = "+---+---+-------+\n| a | b | c     |\n+---+---+-------+\n| ; | ; | it's; |\n|   | ; |       |\n\
                    +---+---+-------+\n(1 row) (0.000s)\n";
    assert_eq!(text(&output.stdout), expected);
}

#[test]
fn transactions_live_across_statements() {
    let script = "CREATE TABLE t (a INT);\nBEGIN;\nINSERT INTO t VALUES (1);\nROLLBACK;\nBEGIN;\n\
                  INSERT INTO t VALUES (2);\nCOMMIT;\nSELECT a FROM t;\nBEGIN;\nSELECT 1/0;\nCOMMIT;\n";
    let shown = text(&repl(script).stdout);
    assert!(shown.contains("| 2 |\n+---+\n(1 row)") && !shown.contains("| 1 |"), "{shown}");
    assert!(shown.ends_with("Query OK, rolled back (0.000s)\n"), "{shown}");
}

#[test]
fn commands_list_and_describe() {
    let script = "CREATE TABLE a (id INT PRIMARY KEY CHECK (id > 0), n TEXT UNIQUE DEFAULT 'x');\n\
                  CREATE TABLE b (a INT REFERENCES a (id));\nCREATE INDEX b_a ON b (a);\n\
                  \\dt b\n\\di\n\\d a\n\\dS system_config\n\\dS\n\\h\n\\timing off\nSELECT 1;\n";
    let output = repl(script);
    let shown = text(&output.stdout);
    let expected = [
        "| public | b    | table | postgres |",
        "| public | b_a     | index | postgres | b     |",
        "| n      | text    |          | 'x'::text |",
        "\"a_n_key\" UNIQUE CONSTRAINT, btree (n)",
        "\"a_id_check\" CHECK ((id > 0))",
        "TABLE \"b\" CONSTRAINT \"b_a_fkey\" FOREIGN KEY (a) REFERENCES a(id)",
        "View \"pg_catalog.system_config\"",
        "| pg_catalog         | system_stats",
        "\\timing",
        "(1 row)\n",
    ];
    for part in expected {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
    assert_eq!(text(&output.stderr), "");
    let output = repl("\\d nothing\n\\nonsense\n");
    let errors = text(&output.stderr);
    assert!(errors.contains("Did not find any relation named \"nothing\"."), "{errors}");
    assert!(errors.contains("invalid command \\nonsense"), "{errors}");
    assert_eq!(output.status.code(), Some(1));
}
