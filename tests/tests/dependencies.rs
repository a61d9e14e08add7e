//! What we depend on: the licences and sources that `deny.toml` allows, and no others. `cargo deny check` knows more
//! (advisories, duplicates), where it is installed.

use std::path::Path;
use std::process::Command;

use toml::{Table, Value};

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn table(name: &str) -> Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    #[allow(clippy::disallowed_methods)] // it is the project's own files that are looked at
    let text = std::fs::read_to_string(path).expect("a readable file");
    text.parse().expect("TOML")
}

fn texts(values: &Value) -> impl Iterator<Item = &str> {
    values.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Whether a licence expression (SPDX, or the older form with slashes) can be met by what is allowed: AND binds more
/// than OR, parentheses more than both.
fn is_met(expression: &str, allowed: &[&str]) -> bool {
    let expression = expression.trim();
    for (operator, all) in [(" OR ", false), ("/", false), (" AND ", true)] {
        let parts = split(expression, operator);
        if parts.len() > 1 {
            let mut met = parts.iter().map(|part| is_met(part, allowed));
            return if all { met.all(|met| met) } else { met.any(|met| met) };
        }
    }
    match expression.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => is_met(inner, allowed),
        // With a plus: that version or a later one.
        None => allowed.contains(&expression.trim_end_matches('+')),
    }
}

/// The parts between an operator, where it stands outside of parentheses.
fn split<'a>(expression: &'a str, operator: &str) -> Vec<&'a str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, _) in expression.match_indices(operator) {
        let before = &expression[..at];
        if before.matches('(').count() == before.matches(')').count() {
            parts.push(&expression[start..at]);
            start = at + operator.len();
        }
    }
    parts.push(&expression[start..]);
    parts
}

#[test]
fn expressions_are_understood() {
    let allowed = ["MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"];
    for met in ["MIT", "GPL-3.0 OR MIT", "GPL-3.0/MIT", "(GPL-3.0 OR MIT) AND Zlib", "GPL-3.0 AND X OR Zlib+"]
    {
        assert!(is_met(met, &allowed), "{met}");
    }
    for unmet in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Zlib) AND GPL-3.0", "Apache-2.0"] {
        assert!(!is_met(unmet, &allowed), "{unmet}");
    }
}

#[test]
fn licences_are_allowed() {
    let deny = table("deny.toml");
    let allowed: Vec<&str> = texts(&deny["licenses"]["allow"]).collect();
    let mut command = Command::new(env!("CARGO"));
    command.args([
        "tree",
        "--workspace",
        "--locked",
        "--prefix",
        "none",
        "--no-dedupe",
        "--format",
        "{p}|{l}",
    ]);
    command.args(texts(&deny["graph"]["targets"]).flat_map(|target| ["--target", target]));
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    let packages: Vec<(&str, &str)> = printed.lines().filter_map(|line| line.split_once('|')).collect();
    assert!(packages.len() > 100, "only {} packages", packages.len());
    let mut complaints: Vec<_> = packages.iter().filter(|(_, licence)| !is_met(licence, &allowed)).collect();
    complaints.dedup();
    assert!(complaints.is_empty(), "not among what deny.toml allows: {complaints:?}");
}

#[test]
fn sources_are_known() {
    let deny = table("deny.toml");
    for kind in ["unknown-registry", "unknown-git"] {
        assert_eq!(deny["sources"][kind].as_str(), Some("deny"));
    }
    let lock = table("Cargo.lock");
    for package in lock["package"].as_array().into_iter().flatten() {
        let source = package.get("source").and_then(Value::as_str);
        assert!(source.is_none_or(|source| source == CRATES_IO), "{package}");
    }
}
