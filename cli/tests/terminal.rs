//! The shell at a real terminal: banner, prompts, statements of several lines, Ctrl-C, the end.
//!
//! The terminal is tmux's; where that is not installed there is nothing to test with.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

/// A detached tmux session that runs the shell; gone when dropped.
struct Terminal {
    socket: String,
}

impl Terminal {
    fn open(socket: &str) -> Option<Terminal> {
        let program = env!("CARGO_BIN_EXE_heliosdb-nano");
        let shell = format!("HELIOSDB_HISTORY=/dev/null {program} repl --memory; echo ended with $?; cat");
        let terminal = Terminal { socket: format!("{socket}-{}", std::process::id()) };
        let size = ["-x", "100", "-y", "50"];
        let started = terminal.command(&["new-session", "-d"]).args(size).arg(shell).status();
        started.ok().filter(std::process::ExitStatus::success).map(|_| terminal)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.args(["-L", &self.socket, "-f", "/dev/null"]).args(arguments);
        command
    }

    fn press(&self, keys: &[&str]) {
        // tmux takes a semicolon at an argument's end for its own.
        let keys =
            keys.iter().map(|key| key.strip_suffix(';').map_or(key.to_string(), |text| format!("{text}\\;")));
        let sent = self.command(&["send-keys"]).args(keys).status().expect("tmux runs");
        assert!(sent.success());
    }

    /// Waits until the screen shows a text; gives the screen.
    fn wait_for(&self, text: &str) -> String {
        const TRIES_MAX: u32 = 200;
        let mut screen = String::new();
        for _ in 0..TRIES_MAX {
            let output = self.command(&["capture-pane", "-p"]).output().expect("tmux runs");
            screen = String::from_utf8_lossy(&output.stdout).into_owned();
            if screen.contains(text) {
                return screen;
            }
            pause();
        }
        panic!("{text:?} does not appear:\n{screen}");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A session that has ended already is no failure.
        let _ = self.command(&["kill-server"]).output();
    }
}

#[allow(clippy::disallowed_methods)] // the screen of another process tells nobody when it changes
fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}

#[test]
fn the_shell_works_at_a_terminal() {
    let Some(terminal) = Terminal::open("heliosdb-shell") else {
        // Where the test's output is not caught.
        let _ = writeln!(std::io::stderr(), "skipped: the shell at a terminal: tmux does not run");
        return;
    };
    let screen = terminal.wait_for("heliosdb>");
    assert!(screen.contains("HeliosDB Nano v"), "{screen}");
    assert!(screen.contains("Type \\h for help, \\dS for system views, \\q to quit"), "{screen}");

    terminal.press(&["SELECT 1 AS", "Enter"]);
    terminal.wait_for("heliosdb->");
    terminal.press(&["one;", "Enter"]);
    let screen = terminal.wait_for("s)\nheliosdb>");
    assert!(screen.contains("| one |\n+-----+\n| 1   |"), "{screen}");

    terminal.press(&["SELECT 'never run"]);
    terminal.wait_for("never run");
    terminal.press(&["C-c"]);
    terminal.wait_for("never run\nheliosdb>");
    terminal.press(&["BEGIN;", "Enter"]);
    terminal.wait_for("heliosdb*>");
    terminal.press(&["ROLLBACK;", "Enter"]);
    terminal.wait_for("Query OK, rolled back");

    terminal.press(&["\\q", "Enter"]);
    terminal.wait_for("ended with 0");
}
