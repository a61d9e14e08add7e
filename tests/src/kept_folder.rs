//! Folders of each format that was ever released, kept for ever: what is in them, and how they are packed.
//!
//! `tests/folders/format-N/STATE` holds the files of one folder, each compressed with zstd. `cargo run -p helios_tests
//! --example keep_folder -- tests/folders/format-N` makes them, with a program that writes format N.
#![allow(clippy::disallowed_methods)] // it is the folders' files that are packed

use std::fs;
use std::path::Path;

use heliosdb_nano::crypto::EncryptionKey;
use heliosdb_nano::{CompressionType, Config, EmbeddedDatabase, params};

/// How a folder was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The name of its place below `format-N`.
    pub name: &'static str,
    /// Whether it was closed, or copied while it was open, as a crash leaves it.
    pub is_closed: bool,
    key: Option<u8>,
    compression: CompressionType,
}

/// All states that are kept.
pub const STATES: [State; 4] = [
    State { name: "closed", is_closed: true, key: None, compression: CompressionType::Zstd },
    State { name: "crashed", is_closed: false, key: None, compression: CompressionType::Lz4 },
    State { name: "encrypted", is_closed: true, key: Some(7), compression: CompressionType::None },
    State { name: "encrypted-crashed", is_closed: false, key: Some(7), compression: CompressionType::Zstd },
];

const TABLES: &str = "
CREATE TABLE kinds (
    id BIGINT PRIMARY KEY, flag BOOLEAN NOT NULL, small SMALLINT, whole INT DEFAULT 7, exact NUMERIC(30, 10),
    single REAL, double DOUBLE PRECISION, words TEXT, short VARCHAR(10), fixed CHAR(5), day DATE, clock TIME,
    moment TIMESTAMP, zoned TIMESTAMPTZ, span INTERVAL, unique_id UUID, raw BYTEA, list INT[], names TEXT[]);
CREATE TABLE many (id INT PRIMARY KEY, grp INT NOT NULL, word TEXT, UNIQUE (word), CHECK (grp >= 0));
CREATE INDEX many_grp ON many (grp, word);
CREATE TABLE child (id INT PRIMARY KEY, parent INT REFERENCES many ON DELETE CASCADE);
CREATE TABLE large (id INT PRIMARY KEY, body TEXT);
CREATE SCHEMA other;
CREATE TABLE other.without_key (a INT, b TEXT);
INSERT INTO kinds VALUES
    (1, true, -32768, 2147483647, 12345678901234567890.0123456789, 1.5, -0.1, 'Grüße, 世界', 'short', 'ab', '2024-02-29',
     '23:59:59.999999', '1999-12-31 23:59:59', '2001-02-03 04:05:06+07', '1 year 2 mons 3 days 04:05:06',
     'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\\xdeadbeef', '{1,NULL,3}', '{a,\"b c\"}'),
    (2, false, NULL, NULL, 'NaN', 'Infinity', 'NaN', '', NULL, NULL, '-infinity', NULL, 'infinity', NULL, NULL, NULL,
     '', '{}', NULL);
INSERT INTO many SELECT i, i % 7, 'word ' || i FROM generate_series(1, 3000) AS g (i);
INSERT INTO child SELECT i, i * 10 FROM generate_series(1, 100) AS g (i);
INSERT INTO large SELECT i, repeat('long text ' || i || ' ', 1000 * i) FROM generate_series(1, 3) AS g (i);
INSERT INTO other.without_key VALUES (1, 'x'), (1, 'x'), (NULL, NULL)";

const CHANGES: &str = "
UPDATE many SET grp = grp + 100 WHERE id % 3 = 0;
DELETE FROM many WHERE id BETWEEN 500 AND 900;
UPDATE large SET body = body || 'end' WHERE id = 2;
DELETE FROM large WHERE id = 1;
ALTER TABLE child ADD COLUMN note TEXT DEFAULT 'none';
INSERT INTO child VALUES (1000, 1000, 'late');
DROP TABLE other.without_key";

/// Queries, each of one text, and what they give.
const QUESTIONS: [(&str, &str); 7] = [
    (
        "SELECT concat_ws('|', id, flag, small, whole, exact, single, double, words, short, fixed, day, clock, moment, zoned, span, unique_id, raw, list, names) FROM kinds WHERE id = 1",
        "1|t|-32768|2147483647|12345678901234567890.0123456789|1.5|-0.1|Grüße, 世界|short|ab   |2024-02-29|23:59:59.999999|1999-12-31 23:59:59|2001-02-02 21:05:06+00|1 year 2 mons 3 days 04:05:06|a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11|\\xdeadbeef|{1,NULL,3}|{a,\"b c\"}",
    ),
    (
        "SELECT concat_ws('|', id, flag, small, whole, exact, single, double, words, short, fixed, day, clock, moment, zoned, span, unique_id, raw, list, names) FROM kinds WHERE id = 2",
        "2|f|NaN|Infinity|NaN||-infinity|infinity|\\x|{}",
    ),
    (
        "SELECT count(*) || ' ' || sum(id) || ' ' || sum(grp) || ' ' || md5(string_agg(word, ',' ORDER BY id)) FROM many",
        "2599 4220800 94394 5530d3ac88b8d5f5a164e361d8520adb",
    ),
    (
        "SELECT md5(string_agg(id::text, ',' ORDER BY word)) FROM many WHERE grp = 103 AND word LIKE 'word 1%'",
        "5f19bc14b8f3708115191f9b08ad0ad4",
    ),
    (
        "SELECT count(*) || ' ' || sum(parent) || ' ' || string_agg(DISTINCT note, ',') FROM child",
        "60 22800 late,none",
    ),
    (
        "SELECT string_agg(id || ' ' || length(body) || ' ' || md5(body), ',' ORDER BY id) FROM large",
        "2 24003 a1fd3f70563a48cb8d56877eca5e2ecc,3 36000 9e76940e8679cb1242ff0d32e3b7080d",
    ),
    (
        "SELECT string_agg(table_schema || '.' || table_name, ',' ORDER BY table_name) FROM information_schema.tables WHERE table_schema IN ('public', 'other') AND table_name <> 'added'",
        "public.child,public.kinds,public.large,public.many",
    ),
];

impl State {
    /// The configuration to open it with.
    #[must_use]
    pub fn config(self) -> Config {
        let mut config = Config::default();
        config.storage.cache_size = 8 << 20;
        config.storage.compression = self.compression;
        config.encryption_key = self.key.map(|byte| EncryptionKey::from_bytes([byte; 32]));
        config
    }
}

/// Puts the tables and rows into an empty database.
pub fn fill(database: &EmbeddedDatabase) {
    for script in [TABLES, CHANGES] {
        for statement in script.split(";\n") {
            database.execute(statement).unwrap_or_else(|error| panic!("{error}: {statement}"));
        }
    }
}

/// Checks that all is there.
pub fn check(database: &EmbeddedDatabase) {
    for (question, expected) in QUESTIONS {
        let rows = database.query(question, params![]).unwrap_or_else(|error| panic!("{error}: {question}"));
        let found = rows[0].get_at::<String>(0).expect("a text");
        assert_eq!(found, expected, "{question}");
    }
}

/// Compresses a folder's files into another folder.
pub fn pack(folder: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("a file");
        let name = entry.file_name().into_string().expect("a plain name");
        // What a new opener makes by itself.
        if name != "LOCK" && name != "reserve" && name != "PROBE" {
            let bytes = fs::read(entry.path()).expect("the file's bytes");
            let packed = zstd::encode_all(&bytes[..], 19).expect("compressed bytes");
            fs::write(to.join(name + ".zst"), packed).expect("the file is written");
        }
    }
}

/// Restores what [`pack`] made.
pub fn unpack(packed: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(packed).expect("a folder") {
        let path = entry.expect("a file").path();
        let bytes = zstd::decode_all(&fs::read(&path).expect("the file's bytes")[..]).expect("zstd");
        fs::write(to.join(path.file_stem().expect("a name")), bytes).expect("the file is written");
    }
}
