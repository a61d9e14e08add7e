//! Tidiness as a test: file lengths, layering, where `unsafe` may be, leftovers, module headers.

use std::fs;
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 1000;
/// Each crate with what it may depend on of the workspace.
const LAYERS: &[(&str, &[&str])] = &[
    ("runtime", &[]),
    ("bufferpool", &["helios_runtime"]),
    ("btree", &["helios_runtime", "helios_bufferpool"]),
    ("mvcc", &["helios_runtime", "helios_bufferpool", "helios_btree"]),
    ("vector", &["helios_runtime", "helios_bufferpool", "helios_btree", "helios_mvcc"]),
    ("sql", &["helios_runtime", "helios_bufferpool", "helios_btree", "helios_mvcc", "helios_vector"]),
    (".", &["helios_runtime", "helios_mvcc", "helios_sql"]),
    ("server", &["helios_runtime", "heliosdb_nano"]),
    ("cli", &["helios_runtime", "heliosdb_nano", "helios_server"]),
];
const UNSAFE_ALLOWED: &[&str] = &["runtime/", "bufferpool/", "vector/src/kernels/"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above").to_path_buf()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                rust_files(&path, found);
            }
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

/// Applies `check` to every Rust file and fails with all complaints at once.
fn check_files(check: impl Fn(&str, &str) -> Vec<String>) {
    let root = root();
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    assert!(files.len() > 50, "the walk found only {} files", files.len());
    let complaints: Vec<String> = files
        .iter()
        .flat_map(|path| {
            let name = path.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
            let text = fs::read_to_string(path).expect("readable UTF-8");
            check(&name, &text).into_iter().map(move |complaint| format!("{name}: {complaint}"))
        })
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn files_are_short() {
    check_files(|_, text| {
        let lines = text.lines().count();
        if lines > LINES_MAX { vec![format!("{lines} lines; split it by idea")] } else { vec![] }
    });
}

#[test]
fn files_say_what_they_are() {
    check_files(|_, text| match text.lines().find(|line| !line.starts_with("#!") && !line.is_empty()) {
        Some(line) if line.starts_with("//!") => vec![],
        _ => vec!["does not begin with a //! header".into()],
    });
}

#[test]
fn unsafe_stays_where_it_belongs() {
    check_files(|name, text| {
        if UNSAFE_ALLOWED.iter().any(|allowed| name.starts_with(allowed)) {
            return vec![];
        }
        let lines = text.lines().enumerate();
        let code = lines.filter(|(_, line)| !line.trim_start().starts_with("//"));
        code.filter(|(_, line)| {
            line.contains("unsafe {") || line.contains("unsafe fn") || line.contains("unsafe impl")
        })
        .filter(|_| name != "tests/tests/tidy.rs")
        .map(|(number, _)| format!("line {}: unsafe", number + 1))
        .collect()
    });
}

#[test]
fn nothing_is_left_undone() {
    // Put together here, so that this file does not complain about itself.
    let words = [
        ["TO", "DO"],
        ["FIX", "ME"],
        ["todo", "!("],
        ["unimplemented", "!("],
        ["#[ig", "nore"],
        ["allow(dead", "_code)"],
    ];
    let words: Vec<String> = words.iter().map(|parts| parts.concat()).collect();
    check_files(|_, text| {
        let found = words.iter().filter(|word| text.contains(word.as_str()));
        found.map(|word| format!("contains {word}")).collect()
    });
}

#[test]
fn crates_depend_to_the_left_only() {
    for (folder, allowed) in LAYERS {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a manifest");
        let dependencies = manifest.split("\n[dependencies]").nth(1).unwrap_or_default();
        let dependencies = dependencies.split("\n[").next().unwrap_or_default();
        for line in dependencies.lines() {
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            let ours = name.starts_with("helios");
            assert!(!ours || allowed.contains(&name), "{folder} must not depend on {name}");
        }
    }
}
