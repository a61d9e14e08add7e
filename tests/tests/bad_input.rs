//! Shows that nothing bad done to a folder loses data silently: a wrong or missing key, a foreign file, a newer format,
//! damaged superblocks, a cut data file, a missing log file, a second process, a folder that may not be written, a full
//! disk, a cache that is too small. Each gives an error that says what is wrong, where, and what to do; and whatever
//! can be opened holds every row that was committed. Real files, real errors.
#![allow(clippy::disallowed_methods)] // it is the folder's files that are tampered with

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use heliosdb_nano::crypto::EncryptionKey;
use heliosdb_nano::{Config, EmbeddedDatabase, Error, params};
use xxhash_rust::xxh3::xxh3_64;

const ROWS: i64 = 300;
const BLOCK: usize = 4096;
/// Tells this program that it is the second process, and which folder to open.
const CHILD_FOLDER: &str = "HELIOS_BAD_INPUT_FOLDER";

fn config(key: Option<u8>) -> Config {
    let mut config = Config::default();
    config.storage.cache_size = 8 << 20;
    config.encryption_key = key.map(|byte| EncryptionKey::from_bytes([byte; 32]));
    config
}

fn open(folder: &Path, key: Option<u8>) -> Result<EmbeddedDatabase, Error> {
    EmbeddedDatabase::with_config(folder, config(key))
}

/// A folder with a table, closed.
fn made(key: Option<u8>) -> (tempfile::TempDir, PathBuf) {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("db");
    let db = open(&folder, key).expect("a new database");
    db.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, text TEXT)").expect("a table");
    insert(&db, 0);
    (parent, folder)
}

fn insert(db: &EmbeddedDatabase, first: i64) {
    for id in first..first + ROWS {
        let text = format!("row {id}");
        db.execute_with("INSERT INTO t VALUES ($1, $2)", params![id, text]).expect("a row");
    }
}

fn count(db: &EmbeddedDatabase) -> i64 {
    let rows = db.query("SELECT count(*), min(text) FROM t", params![]).expect("the rows");
    rows[0].get::<i64>("count").expect("a number")
}

/// Opening fails, and the error has all of these words and names the folder.
fn refused(folder: &Path, key: Option<u8>, words: &[&str]) {
    let error = match open(folder, key) {
        Ok(_) => panic!("it opens, though {words:?}"),
        Err(error) => error.to_string(),
    };
    for word in words.iter().copied().chain([folder.to_str().expect("UTF-8")]) {
        assert!(error.contains(word), "{error:?} does not say {word:?}");
    }
}

/// The folder as a crash would leave it, while it is open.
fn copy(folder: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.file_name() != "LOCK" {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
        }
    }
}

fn data(folder: &Path) -> fs::File {
    fs::OpenOptions::new().read(true).write(true).open(folder.join("data")).expect("the data file")
}

/// Changes every superblock, and makes its checksum right again.
fn edit_superblocks(folder: &Path, edit: impl Fn(&mut [u8])) {
    let file = data(folder);
    for number in 0..4 {
        let mut block = vec![0; BLOCK];
        file.read_exact_at(&mut block, (number * BLOCK) as u64).expect("a block");
        edit(&mut block);
        let checksum = xxh3_64(&block[..BLOCK - 8]);
        block[BLOCK - 8..].copy_from_slice(&checksum.to_le_bytes());
        file.write_all_at(&block, (number * BLOCK) as u64).expect("a block");
    }
}

fn damage(folder: &Path, block: usize) {
    data(folder).write_all_at(b"damage", (block * BLOCK + 100) as u64).expect("a write");
}

#[test]
fn keys() {
    let (_parent, folder) = made(Some(1));
    refused(&folder, None, &["encrypted", "give its key"]);
    refused(&folder, Some(2), &["key is not the one"]);
    assert_eq!(count(&open(&folder, Some(1)).expect("the right key")), ROWS);
    let (_parent, folder) = made(None);
    refused(&folder, Some(1), &["not encrypted", "without one"]);
    assert_eq!(count(&open(&folder, None).expect("no key")), ROWS);
}

/// Whoever opens a folder that is open in this process already needs its key as well.
#[test]
fn keys_of_a_folder_that_is_open() {
    let (_parent, folder) = made(Some(1));
    let first = open(&folder, Some(1)).expect("the right key");
    refused(&folder, None, &["encrypted", "give its key"]);
    refused(&folder, Some(2), &["key is not the one"]);
    assert_eq!(count(&open(&folder, Some(1)).expect("the right key")), ROWS);
    drop(first);
    let (_parent, folder) = made(None);
    let _first = open(&folder, None).expect("no key");
    refused(&folder, Some(1), &["not encrypted", "without one"]);
}

/// Many threads open and close one folder: who comes while it is being closed waits for that.
#[test]
fn opening_while_closing() {
    let (_parent, folder) = made(None);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    assert_eq!(count(&open(&folder, None).expect("it is free, or shared")), ROWS);
                }
            });
        }
    });
}

#[test]
fn a_missing_data_file() {
    let (_parent, folder) = made(None);
    let away = folder.with_extension("data");
    fs::rename(folder.join("data"), &away).expect("moved");
    refused(&folder, None, &["log file log-", "no data file", "put the file data back"]);
    fs::rename(&away, folder.join("data")).expect("moved back");
    assert_eq!(count(&open(&folder, None).expect("it is whole again")), ROWS);
}

#[test]
fn a_foreign_file() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("db");
    fs::create_dir(&folder).expect("a folder");
    let foreign = b"not ours\n".repeat(4000);
    fs::write(folder.join("data"), &foreign).expect("a file");
    refused(&folder, None, &["not a data file of HeliosDB Nano", "move the file away"]);
    assert!(fs::read(folder.join("data")).expect("the file") == foreign, "it is left as it was");
    fs::write(folder.join("data"), b"short").expect("a file");
    refused(&folder, None, &["5 bytes", "backup"]);
    fs::write(parent.path().join("file"), b"").expect("a file");
    refused(&parent.path().join("file"), None, &["cannot be opened"]);
}

#[test]
fn a_newer_format() {
    let (_parent, folder) = made(None);
    edit_superblocks(&folder, |block| block[16] = 9);
    refused(&folder, None, &["format version 9", "newer program"]);
    edit_superblocks(&folder, |block| block[16] = 1);
    edit_superblocks(&folder, |block| block[41] = 1);
    refused(&folder, None, &["0x100", "cannot be read", "newer program"]);
    edit_superblocks(&folder, |block| block[41] = 0);
    edit_superblocks(&folder, |block| block[32] = 4);
    refused(&folder, None, &["0x4", "only be read", "newer program"]);
    edit_superblocks(&folder, |block| block[32] = 0);
    // What may be ignored is.
    edit_superblocks(&folder, |block| block[24] = 4);
    assert_eq!(count(&open(&folder, None).expect("an ignorable feature")), ROWS);
}

#[test]
fn damaged_superblocks() {
    let (parent, folder) = made(None);
    for block in 0..4 {
        let copied = parent.path().join(format!("one-{block}"));
        copy(&folder, &copied);
        damage(&copied, block);
        assert_eq!(count(&open(&copied, None).expect("three copies are whole")), ROWS);
    }
    // Both copies of a generation: the one before may be good for everything, or not at all, but never for less.
    for first in [0, 2] {
        let copied = parent.path().join(format!("two-{first}"));
        copy(&folder, &copied);
        damage(&copied, first);
        damage(&copied, first + 1);
        match open(&copied, None) {
            Ok(db) => assert_eq!(count(&db), ROWS),
            Err(error) => assert!(error.to_string().contains("backup"), "{error}"),
        }
    }
    (0..4).for_each(|block| damage(&folder, block));
    refused(&folder, None, &["superblocks", "damaged", "backup"]);
}

#[test]
fn a_cut_data_file() {
    let (parent, folder) = made(None);
    let whole = fs::metadata(folder.join("data")).expect("the data file").len();
    for (number, length) in [BLOCK as u64 * 4, whole / 2, whole - BLOCK as u64].into_iter().enumerate() {
        let copied = parent.path().join(format!("cut-{number}"));
        copy(&folder, &copied);
        data(&copied).set_len(length).expect("a cut");
        refused(&copied, None, &["data"]);
    }
}

#[test]
fn what_a_crash_leaves() {
    let (parent, folder) = made(None);
    let db = open(&folder, None).expect("the database");
    insert(&db, ROWS);
    let crashed = parent.path().join("crashed");
    copy(&folder, &crashed);
    let without_log = parent.path().join("without-log");
    copy(&folder, &without_log);
    drop(db);
    assert_eq!(count(&open(&crashed, None).expect("a crashed folder")), 2 * ROWS);
    let is_log =
        |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log-"));
    for entry in fs::read_dir(&without_log).expect("a folder") {
        let path = entry.expect("an entry").path();
        if is_log(&path) {
            fs::remove_file(path).expect("removed");
        }
    }
    refused(&without_log, None, &["log file log-", "missing", "put it back"]);
    // Still refused the second time: the attempt changed nothing.
    refused(&without_log, None, &["log file log-", "missing"]);
}

#[test]
fn a_cache_too_small() {
    let parent = tempfile::tempdir().expect("a folder");
    let mut config = config(None);
    config.storage.cache_size = 1000;
    let error = EmbeddedDatabase::with_config(parent.path(), config).err().expect("too small").to_string();
    assert!(error.contains("cache_size") && error.contains("set it to 1204224 or more"), "{error}");
}

/// Runs this program as another process that opens `folder`, as `nobody` where this one is root and `as_nobody`
/// says so; gives what it reported.
fn in_another_process(folder: &Path, as_nobody: bool) -> String {
    let program = folder.parent().expect("a parent").join("bad-input-test");
    fs::copy(std::env::current_exe().expect("this program"), &program).expect("a copy of it");
    let mut command = Command::new(&program);
    command.args(["--exact", "child", "--nocapture"]).env(CHILD_FOLDER, folder);
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if as_nobody && is_root {
        command.uid(65_534).gid(65_534);
    }
    let output = command.output().expect("a process");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The other process, when this program is run as one.
#[test]
fn child() {
    if let Ok(folder) = std::env::var(CHILD_FOLDER) {
        match open(Path::new(&folder), None) {
            Ok(db) => println!("opened, {} rows", count(&db)),
            Err(error) => println!("refused: {error}"),
        }
    }
}

#[test]
fn a_second_process() {
    let (_parent, folder) = made(None);
    let db = open(&folder, None).expect("the database");
    // This process shares what it has open.
    assert_eq!(count(&open(&folder, None).expect("shared")), ROWS);
    let report = in_another_process(&folder, false);
    for word in ["refused", "in use by another process", "server", folder.to_str().expect("UTF-8")] {
        assert!(report.contains(word), "{report:?} does not say {word:?}");
    }
    insert(&db, ROWS);
    drop(db);
    let report = in_another_process(&folder, false);
    assert!(report.contains(&format!("opened, {} rows", 2 * ROWS)), "{report}");
}

#[test]
fn a_folder_that_may_not_be_written() {
    let (parent, folder) = made(None);
    let mode = |path: &Path, mode: u32| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a change of mode");
    };
    mode(parent.path(), 0o755);
    for entry in fs::read_dir(&folder).expect("a folder") {
        mode(&entry.expect("an entry").path(), 0o444);
    }
    mode(&folder, 0o555);
    let report = in_another_process(&folder, true);
    mode(&folder, 0o755);
    for entry in fs::read_dir(&folder).expect("a folder") {
        mode(&entry.expect("an entry").path(), 0o644);
    }
    for word in ["refused", "ermission denied", folder.to_str().expect("UTF-8")] {
        assert!(report.contains(word), "{report:?} does not say {word:?}");
    }
    assert_eq!(count(&open(&folder, None).expect("it may be written again")), ROWS);
}

/// On a small file system of its own, where this process may mount one; `mvcc/tests/full_disk.rs` shows the same
/// wherever it runs.
#[test]
fn a_full_disk() {
    let parent = tempfile::tempdir().expect("a folder");
    let disk = parent.path().join("disk");
    fs::create_dir(&disk).expect("a folder");
    let mount = |arguments: &[&str]| {
        let status = Command::new("mount").args(arguments).arg(&disk).output();
        status.is_ok_and(|output| output.status.success())
    };
    if !mount(&["-t", "tmpfs", "-o", "size=40m", "tmpfs"]) {
        return;
    }
    let outcome = std::panic::catch_unwind(|| fill_and_empty(&disk.join("db")));
    let unmounted = Command::new("umount").arg(&disk).output();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
    assert!(unmounted.is_ok_and(|output| output.status.success()));
}

fn fill_and_empty(folder: &Path) {
    let mut config = config(None);
    config.storage.compression = heliosdb_nano::CompressionType::None;
    let db = EmbeddedDatabase::with_config(folder, config.clone()).expect("a new database");
    db.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, text TEXT)").expect("a table");
    let insert = |db: &EmbeddedDatabase, first: i64| {
        let sql =
            "INSERT INTO t SELECT n, repeat('x', 900) || n FROM generate_series($1::bigint, $1 + 99) AS g(n)";
        db.execute_with(sql, params![first])
    };
    let mut rows = 0;
    let error = loop {
        match insert(&db, rows) {
            Ok(_) => rows += 100,
            Err(error) => break error,
        }
        assert!(rows < 200_000, "40 MiB do not get full");
    };
    assert_eq!(error.sqlstate(), "53100", "{error}");
    assert_eq!(count(&db), rows);
    let deleted = db.execute("DELETE FROM t WHERE id < 50").expect("deleting goes on");
    assert_eq!((deleted, count(&db)), (50, rows - 50));
    assert_eq!(insert(&db, rows).err().map(|error| error.sqlstate().to_owned()).as_deref(), Some("53100"));
    assert_eq!(count(&db), rows - 50);
}
