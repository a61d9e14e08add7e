//! Character sets: how clients' texts are written in bytes. The database itself knows UTF8 alone.
//!
//! [`Encoding`] is one of PostgreSQL's, with its number and its names; those that can be converted have a table of their
//! characters (`tables`), by which texts are read and written (`convert`).

mod convert;
mod names;
mod tables;

pub use convert::Transcoder;
pub use tables::{Conversion, conversions};

use std::fmt;

/// One of PostgreSQL's encodings, by its number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Encoding(u8);

impl Default for Encoding {
    fn default() -> Encoding {
        Encoding::UTF8
    }
}

impl fmt::Debug for Encoding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Encoding {
    /// Bytes that nobody asks about.
    pub const SQL_ASCII: Encoding = Encoding(0);
    pub const UTF8: Encoding = Encoding(6);

    /// The encoding of a number.
    #[must_use]
    pub fn numbered(number: i64) -> Option<Encoding> {
        let number = u8::try_from(number).ok()?;
        (usize::from(number) < names::ENCODINGS.len()).then_some(Encoding(number))
    }

    /// The encoding of a name: case, and what is no letter or digit, do not count.
    #[must_use]
    pub fn named(name: &str) -> Option<Encoding> {
        let letters = name.chars().filter(char::is_ascii_alphanumeric);
        let plain = letters.collect::<String>().to_ascii_lowercase();
        let by_alias = names::ALIASES.iter().find(|(alias, _)| *alias == plain).map(|(_, name)| *name);
        let is_named = |each: &str| {
            by_alias.map_or_else(
                || each.chars().filter(char::is_ascii_alphanumeric).eq(plain.to_ascii_uppercase().chars()),
                |name| name == each,
            )
        };
        let at = names::ENCODINGS.iter().position(|(each, _)| is_named(each))?;
        u8::try_from(at).ok().map(Encoding)
    }

    /// PostgreSQL's number for it.
    #[must_use]
    pub fn number(self) -> i32 {
        i32::from(self.0)
    }

    /// PostgreSQL's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        names::ENCODINGS[usize::from(self.0)].0
    }

    /// How many bytes a character has at most.
    #[must_use]
    pub fn bytes_max(self) -> i32 {
        names::ENCODINGS[usize::from(self.0)].1
    }

    /// Whether texts can be converted to and from it.
    #[must_use]
    pub fn is_known(self) -> bool {
        self.is_plain() || tables::of(self).is_some()
    }

    /// Whether nothing is converted: the bytes are the database's own.
    #[must_use]
    pub fn is_plain(self) -> bool {
        matches!(self, Encoding::UTF8 | Encoding::SQL_ASCII)
    }

    /// Whether a database could be in it: characters of several bytes have no ASCII among them.
    #[must_use]
    pub fn is_for_servers(self) -> bool {
        self.0 <= names::LAST_FOR_SERVERS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_postgresql_reads_them() {
        let number = |name| Encoding::named(name).map(Encoding::number);
        assert_eq!(number("utf-8"), Some(6));
        assert_eq!(number("Unicode"), Some(6));
        assert_eq!(number("iso_8859-1"), Some(8));
        assert_eq!(number("ISO 8859-5"), Some(25));
        assert_eq!(number("latin5"), Some(12));
        assert_eq!(number("windows-1252"), Some(24));
        assert_eq!(number("koi8"), Some(22));
        assert_eq!(number("mskanji"), Some(35));
        assert_eq!(number("klingon"), None);
        for at in 0..i64::try_from(names::ENCODINGS.len()).expect("few") {
            let encoding = Encoding::numbered(at).expect("counted");
            assert_eq!(Encoding::named(encoding.name()), Some(encoding));
        }
        assert_eq!(Encoding::numbered(42), None);
        assert_eq!(Encoding::numbered(-1), None);
    }
}
