//! Options: what is understood, what is refused and how, and the server from start to stop.

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use common::{program, run, text};

#[test]
fn the_version_is_told() {
    let output = run(&["--version"], "");
    assert_eq!(text(&output.stdout), format!("heliosdb-nano {}\n", env!("CARGO_PKG_VERSION")));
    assert!(output.status.success());
}

#[test]
fn help_names_every_command() {
    let help = text(&run(&["--help"], "").stdout);
    for command in ["repl", "init", "start", "server", "demo"] {
        assert!(help.contains(command), "{command} is missing in {help}");
    }
}

#[test]
fn what_is_not_understood_ends_with_2_and_is_named() {
    let cases: [(&[&str], &str); 7] = [
        (&["repl", "--memroy"], "--memroy"),
        (&["nonsense"], "nonsense"),
        (&["start", "--port", "70000"], "70000"),
        (&["start", "--listen", "nowhere"], "localhost"),
        (&["start", "--max-connections", "0"], "--max-connections"),
        (&["repl", "--memory", "-d", "x"], "--memory"),
        (&["init"], "DIR"),
    ];
    for (arguments, expected) in cases {
        let output = run(arguments, "");
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(expected), "{arguments:?}: {errors}");
    }
}

#[test]
fn configuration_files_are_read_and_their_errors_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("heliosdb.toml");
    let file = path.to_str().expect("a name");
    write(file, "[storage]\nmemory_only = true\ncache_size = 67108864\n");
    let output = run(
        &["repl", "--config", file],
        "SELECT value FROM system_config WHERE name = 'storage.cache_size';",
    );
    assert!(text(&output.stdout).contains("| 67108864 |"));
    write(file, "[server]\nprot = 1\n");
    for command in ["repl", "start"] {
        let output = run(&[command, "--config", file], "");
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        assert!(errors.contains(file) && errors.contains("prot") && errors.contains("`port`"), "{errors}");
    }
    let errors = text(&run(&["start", "--config", "/nowhere.toml"], "").stderr);
    assert!(errors.contains("cannot read /nowhere.toml"), "{errors}");
}

/// A folder made by one command opens in every other, with what was committed before.
#[test]
fn a_folder_keeps_what_was_committed() {
    let parent = tempfile::tempdir().expect("a folder");
    let path = parent.path().join("my db");
    let folder = path.to_str().expect("a name");
    let output = run(&["init", folder], "");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("Initialized an empty database in"));
    let script =
        "CREATE TABLE t (a INT);\nINSERT INTO t VALUES (1), (2);\nBEGIN;\nINSERT INTO t VALUES (3);\n";
    let output = run(&["repl", "-d", folder], script);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for _ in 0..2 {
        let output = run(&["repl", "--data", folder], "SELECT count(*) FROM t;");
        assert!(text(&output.stdout).contains("| 2     |"), "{}", text(&output.stderr));
    }
    let output = run(&["init", folder], "");
    assert!(text(&output.stderr).contains("the folder is not empty"));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn init_refuses_a_folder_in_use() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path().join("notes").to_str().expect("a name"), "mine");
    let output = run(&["init", folder.path().to_str().expect("a name")], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("the folder is not empty"));
}

/// A server tells its mode, cache and address, and a signal ends it in good order.
#[test]
fn the_server_starts_and_stops() {
    for (command, cache_size) in [("start", "536870912"), ("server", "512MB")] {
        let arguments =
            [command, "--memory", "--port", "0", "--cache-size", cache_size, "--worker-threads", "1"];
        let mut server = program(&arguments).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut lines = BufReader::new(server.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
        let mut log: Vec<String> = Vec::new();
        for line in lines.by_ref() {
            log.push(line);
            if log.last().is_some_and(|line| line.contains("Server listening on 127.0.0.1:")) {
                break;
            }
        }
        let stopped = Command::new("kill").arg(server.id().to_string()).status().expect("kill runs");
        assert!(stopped.success());
        log.extend(lines);
        assert!(server.wait().expect("the server ends").success(), "{log:?}");
        assert_eq!(log[0], "[INFO] Starting HeliosDB Nano in Hybrid Mode");
        assert_eq!(log[1], "[INFO] Cache size: 512 MB");
        assert!(log.iter().any(|line| line == "[INFO] Stopped"), "{log:?}");
    }
}

#[test]
fn sizes_have_units() {
    for (size, complaint) in
        [("12 parsecs", "is no unit"), ("MB", "a number"), ("99999999999 TB", "more than")]
    {
        let output = run(&["start", "--memory", "--cache-size", size], "");
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(complaint), "{}", text(&output.stderr));
    }
}

#[allow(clippy::disallowed_methods)] // a test's own file
fn write(path: &str, text: &str) {
    std::fs::write(path, text).expect("a file");
}
