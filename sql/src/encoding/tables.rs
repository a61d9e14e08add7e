//! Which character each encoding has for which bytes.
//!
//! Encodings of one byte are listed in `single_bytes.txt`, as PostgreSQL has them. Those of several are the `encoding_rs`
//! crate's, but for what PostgreSQL has otherwise, which `differences.txt` lists. A table is made when it is first asked
//! for. The characters of ASCII are the same in all of them and in none of the tables.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::Encoding;
use super::convert::is_formed;

/// An encoding to a line: its name, then the characters of the bytes 80 to FF, in hexadecimal; `-` for none.
const SINGLE_BYTES: &str = include_str!("single_bytes.txt");
/// A difference to a line, behind the encoding, numbers in hexadecimal but for counts:
/// `BYTES-BYTES`: nothing from there to there is a character. `BYTES - CHARACTER`: the character is not written.
/// `BYTES CHARACTER [DIRECTION [COUNT]]`: these bytes are that character, and so on for as many as COUNT says. The direction
/// `<` is for reading alone, `>` for writing alone, `=` for both.
const DIFFERENCES: &str = include_str!("differences.txt");

/// PostgreSQL's conversions between those that are known, one a line: OID, name, from, to, function's OID and name.
const CONVERSIONS: &str = include_str!("conversions.txt");

/// One of PostgreSQL's conversions.
pub struct Conversion {
    pub oid: u32,
    pub name: &'static str,
    pub from: i32,
    pub to: i32,
    pub function: u32,
}

/// PostgreSQL's conversions between encodings that are known.
pub fn conversions() -> impl Iterator<Item = Conversion> {
    CONVERSIONS.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        Some(Conversion {
            oid: fields.next()?.parse().ok()?,
            name: fields.next()?,
            from: fields.next()?.parse().ok()?,
            to: fields.next()?.parse().ok()?,
            function: fields.next()?.parse().ok()?,
        })
    })
}

/// Whether PostgreSQL converts between two encodings, and so does this database.
pub(super) fn converts(from: Encoding, to: Encoding) -> bool {
    conversions().any(|each| each.from == from.number() && each.to == to.number())
}

/// The characters of an encoding beyond ASCII.
#[derive(Default)]
pub(super) struct Table {
    /// By their bytes, the first of which is the highest.
    pub(super) characters: HashMap<u32, char>,
    pub(super) bytes: HashMap<char, u32>,
}

/// What the bytes of an encoding look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Single,
    /// Two bytes, both beyond ASCII; 8E and 8F begin other rows.
    Euc,
    /// Two bytes, both beyond ASCII.
    EucCn,
    ShiftJis,
    /// Two bytes, the second of which may be ASCII.
    Double,
    Gb18030,
}

/// The number, the form, and what the crate calls it.
type Known = (u8, Form, Option<&'static encoding_rs::Encoding>);

static MANY_BYTES: [Known; 8] = [
    (1, Form::Euc, Some(encoding_rs::EUC_JP)),
    (2, Form::EucCn, Some(encoding_rs::GBK)),
    (3, Form::Euc, Some(encoding_rs::EUC_KR)),
    (35, Form::ShiftJis, Some(encoding_rs::SHIFT_JIS)),
    (36, Form::Double, Some(encoding_rs::BIG5)),
    (37, Form::Double, Some(encoding_rs::GBK)),
    (38, Form::Double, Some(encoding_rs::EUC_KR)),
    (39, Form::Gb18030, Some(encoding_rs::GB18030)),
];

/// The form of an encoding that is known.
pub(super) fn form(encoding: Encoding) -> Form {
    let known = MANY_BYTES.iter().find(|(number, ..)| *number == encoding.0);
    known.map_or(Form::Single, |(_, form, _)| *form)
}

/// The table of an encoding; `None` for one that is not known.
pub(super) fn of(encoding: Encoding) -> Option<&'static Table> {
    static TABLES: [LazyLock<Option<Table>>; 42] = {
        macro_rules! made {
            ($($number:literal)*) => { [$(LazyLock::new(|| make(Encoding($number)))),*] };
        }
        made!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38
            39 40 41)
    };
    TABLES.get(usize::from(encoding.0))?.as_ref()
}

fn make(encoding: Encoding) -> Option<Table> {
    let mut table = Table::default();
    if let Some((_, form, Some(known))) = MANY_BYTES.iter().find(|(number, ..)| *number == encoding.0) {
        table.take_from(*form, known);
        table.correct(encoding.name());
        return Some(table);
    }
    let mut lines = SINGLE_BYTES.lines().filter_map(|line| line.split_once(' '));
    let (_, characters) = lines.find(|(name, _)| *name == encoding.name())?;
    for (byte, character) in (0x80..).zip(characters.split(' ')) {
        if let Some(character) = hexadecimal(character).and_then(char::from_u32) {
            table.enter(byte, character);
        }
    }
    Some(table)
}

fn hexadecimal(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 16).ok()
}

/// Bytes as a key: the first is the highest.
pub(super) fn key(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |key, byte| key << 8 | u32::from(*byte))
}

impl Table {
    fn enter(&mut self, key: u32, character: char) {
        self.characters.insert(key, character);
        self.bytes.insert(character, key);
    }

    /// Asks the crate for each character that bytes of this form may be.
    fn take_from(&mut self, form: Form, known: &'static encoding_rs::Encoding) {
        let mut ask = |bytes: &[u8]| {
            if !is_formed(form, bytes) {
                return;
            }
            let Some(text) = known.decode_without_bom_handling_and_without_replacement(bytes) else { return };
            let mut characters = text.chars();
            // What the crate reads as two characters is none of PostgreSQL's.
            if let (Some(character), None) = (characters.next(), characters.next()) {
                self.characters.insert(key(bytes), character);
                // Where two have the same character, the crate says which is written.
                let (written, _, failed) = known.encode(text.as_ref());
                if !failed && written.len() <= 4 {
                    self.bytes.insert(character, key(&written));
                }
            }
        };
        for first in 0x80..=0xff {
            if form == Form::ShiftJis {
                ask(&[first]);
            }
            for second in 0x30..=0xff {
                ask(&[first, second]);
                if form == Form::Euc && first == 0x8f {
                    (0xa1..=0xfe).for_each(|third| ask(&[first, second, third]));
                }
            }
        }
        // Rows that the encoding does not have, where its table at the crate is that of a larger one.
        let is_row = |key: u32| {
            let (row, last) = (key >> 8, key & 0xff);
            last >= 0xa1 && (row >= 0xa1 || (row == 0x8e && std::ptr::eq(known, encoding_rs::EUC_JP)))
        };
        if matches!(form, Form::Euc | Form::EucCn) {
            self.characters.retain(|key, _| is_row(*key));
            self.bytes.retain(|_, key| is_row(*key));
        }
        // What the crate only reads is written too.
        let mut read: Vec<_> = self.characters.iter().map(|(key, character)| (*key, *character)).collect();
        read.sort_unstable();
        for (key, character) in read {
            self.bytes.entry(character).or_insert(key);
        }
    }

    /// Applies the differences.
    fn correct(&mut self, name: &str) {
        let lines = DIFFERENCES.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        for line in lines {
            let mut fields = line.split(' ');
            let first = fields.next().unwrap_or_default();
            if let Some((from, to)) = first.split_once('-') {
                let (from, to) = (hexadecimal(from).unwrap_or(u32::MAX), hexadecimal(to).unwrap_or(0));
                self.characters.retain(|key, _| !(from..=to).contains(key));
                self.bytes.retain(|_, key| !(from..=to).contains(key));
                continue;
            }
            let (Some(key), Some(second)) = (hexadecimal(first), fields.next()) else { continue };
            let direction = fields.next().unwrap_or("=");
            if second == "-" {
                if let Some(character) = hexadecimal(direction).and_then(char::from_u32) {
                    self.bytes.remove(&character);
                }
                continue;
            }
            let Some(number) = hexadecimal(second) else { continue };
            let count = fields.next().and_then(|count| count.parse().ok()).unwrap_or(1);
            for at in 0..count {
                let Some(character) = char::from_u32(number + at) else { continue };
                if direction != ">" {
                    self.characters.insert(key + at, character);
                }
                if direction != "<" {
                    self.bytes.insert(character, key + at);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use md5::{Digest, Md5};

    use super::*;

    /// The checksums are of what PostgreSQL 15 converts, by `convert_from` and `convert_to`.
    #[test]
    fn encodings_of_several_bytes_are_postgresqls() {
        for (name, checksum) in [
            ("EUC_JP", "fa3171012572fd8cfd102bbaded98a60"),
            ("EUC_CN", "837d0a927e06334df443328169884ffb"),
            ("EUC_KR", "0c40754d93153c69e30ed554d9973878"),
            ("SJIS", "afc21e3ae2933e70cf18116aa990409e"),
            ("BIG5", "e5a360190810c17d0f70b65417c7039e"),
            ("GBK", "ebad1a83efc3e9514574423be806e23f"),
            ("UHC", "f2ea3065d35bf5075060a62a1e173002"),
            ("GB18030", "5999e043bb35c5b7513c308c7246612c"),
        ] {
            let table = of(Encoding::named(name).expect("known")).expect("known");
            let mut lines = String::new();
            let mut read: Vec<_> = table.characters.iter().filter(|(key, _)| **key < 0x0100_0000).collect();
            read.sort();
            read.iter().for_each(|(key, character)| {
                let _ = writeln!(lines, "{key:x} {:x}", u32::from(**character));
            });
            let mut written: Vec<_> = table.bytes.iter().filter(|(_, key)| **key < 0x0100_0000).collect();
            written.sort();
            written.iter().for_each(|(character, key)| {
                let _ = writeln!(lines, "{:x} {key:x}", u32::from(**character));
            });
            let found = Md5::digest(lines.as_bytes());
            let found: String = found.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(found, checksum, "{name}");
        }
    }
}
