//! The catalog of a base that is made of several moments.
//!
//! Tables are joined column by column (`base_table.rs`), comments text by text, all other objects as a whole. What both of two
//! versions changed differently, or one changed and the other dropped, is there, and undecided (`base.rs`): it equals nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::base_table::{BaseTable, Known, Parts, join};
use super::columns::is_changed;
use super::objects::{Class, Objects, belongs_to, is_same, objects};
use super::overlap::Overlap;
use super::renumber::{Numbers, names_gone, numbers, renumbered};
use crate::catalog::{CatalogSnapshot, ColumnNumber, Comments, Object};

/// What no comment says.
const UNDECIDED_TEXT: &str = "\0";

/// The objects of a base.
#[derive(Debug, Default)]
pub struct BaseCatalog {
    pub objects: Objects,
    /// Objects that are taken as a whole.
    undecided: HashSet<(Class, u32)>,
    tables: HashMap<u32, BaseTable>,
}

impl BaseCatalog {
    /// That of a moment.
    #[must_use]
    pub fn of_moment(catalog: &CatalogSnapshot) -> BaseCatalog {
        let objects = objects(catalog);
        let tables = objects.values().filter_map(|object| match object {
            Object::Table(table) => Some((table.oid, BaseTable::own(table.clone()))),
            _ => None,
        });
        BaseCatalog { tables: tables.collect(), undecided: HashSet::new(), objects }
    }

    /// A table.
    #[must_use]
    pub fn table(&self, oid: u32) -> Option<&BaseTable> {
        self.tables.get(&oid)
    }

    /// All tables, materialized views among them.
    pub fn tables(&self) -> impl Iterator<Item = &BaseTable> {
        self.tables.values()
    }

    /// Whether an object equals nothing.
    #[must_use]
    pub fn is_undecided(&self, key: (Class, u32)) -> bool {
        self.undecided.contains(&key)
    }
}

/// Joins two catalogs, with that of their base, where it is known, and with what each wrote of what the other dropped.
#[must_use]
pub fn join_catalogs(
    base: Option<&BaseCatalog>,
    one: &BaseCatalog,
    other: &BaseCatalog,
    overlap: &Overlap,
) -> BaseCatalog {
    let mut joining = Joining {
        base,
        one,
        other,
        overlap,
        base_numbers: Numbers::new(),
        one_numbers: Numbers::new(),
        other_numbers: Numbers::new(),
        kept: HashSet::new(),
        gone: HashSet::new(),
        joined: BaseCatalog::default(),
    };
    let mut keys: Vec<(Class, u32)> = one.objects.keys().chain(other.objects.keys()).copied().collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        match (one.objects.get(&key), other.objects.get(&key)) {
            (Some(Object::Table(_)), _) | (_, Some(Object::Table(_))) => joining.join_table(key),
            _ => joining.join_whole(key),
        }
    }
    joining.joined
}

struct Joining<'a> {
    base: Option<&'a BaseCatalog>,
    one: &'a BaseCatalog,
    other: &'a BaseCatalog,
    overlap: &'a Overlap,
    base_numbers: Numbers,
    one_numbers: Numbers,
    other_numbers: Numbers,
    /// Tables, with the number 0, and columns of which it is undecided whether they are there.
    kept: HashSet<(u32, ColumnNumber)>,
    /// Tables that one side dropped and the other left as they were, with the number 0.
    gone: HashSet<(u32, ColumnNumber)>,
    joined: BaseCatalog,
}

impl Joining<'_> {
    fn join_table(&mut self, key: (Class, u32)) {
        let oid = key.1;
        let known = match self.base {
            None => Known::Unknown,
            Some(base) => base.table(oid).map_or(Known::None, Known::Some),
        };
        let joined = match (self.one.table(oid), self.other.table(oid)) {
            (Some(one), Some(other)) => {
                let joined = join(known, one, other, [&self.overlap.source, &self.overlap.target]);
                if let Parts::Both { one, other, base, .. } = &joined.parts {
                    self.one_numbers.insert(oid, numbers(&joined.live_places(one)));
                    self.other_numbers.insert(oid, numbers(other));
                    if matches!(known, Known::Some(_)) {
                        self.base_numbers.insert(oid, numbers(base));
                    }
                }
                joined
            }
            (Some(side), None) | (None, Some(side)) => {
                let is_one = self.one.table(oid).is_some();
                let written = if is_one { &self.overlap.source } else { &self.overlap.target };
                let mut joined = side.clone();
                joined.parts = if is_one { Parts::One } else { Parts::Other };
                match known {
                    Known::Unknown => joined.undecided.is_gone = true,
                    Known::None => {}
                    Known::Some(base) => {
                        let is_touched = side.undecided.is_gone
                            || side.undecided.has_attributes()
                            || !side.undecided.columns.is_empty()
                            || base.undecided.is_gone
                            || base.undecided.has_attributes()
                            || !base.undecided.columns.is_empty()
                            || is_changed(&base.table, &side.table)
                            || (side.table.materialized.is_none() && written.has_rows(oid));
                        if !is_touched {
                            self.gone.insert((oid, 0));
                            return;
                        }
                        joined.undecided.is_gone = true;
                    }
                }
                joined
            }
            (None, None) => return,
        };
        if joined.undecided.is_gone {
            self.kept.insert((oid, 0));
        }
        let number = |at: &usize| (oid, joined.table.columns[*at].number);
        self.kept.extend(joined.undecided.columns.iter().map(number));
        self.joined.objects.insert(key, Object::Table(joined.table.clone()));
        self.joined.tables.insert(oid, joined);
    }

    /// An object that is taken from one of both as it is.
    fn join_whole(&mut self, key: (Class, u32)) {
        let of_side = |side: &BaseCatalog, numbers: &Numbers| {
            // What the side that kept a table added to it goes with it.
            let object = side.objects.get(&key).filter(|object| !belongs_to(object, &self.gone));
            object.map(|object| renumbered(object, numbers))
        };
        let one = of_side(self.one, &self.one_numbers);
        let other = of_side(self.other, &self.other_numbers);
        if one.is_none() && other.is_none() {
            return;
        }
        let was = self.base.map(|base| {
            let object = base.objects.get(&key).map(|object| renumbered(object, &self.base_numbers));
            (object, base.is_undecided(key))
        });
        let is_undecided = self.one.is_undecided(key) || self.other.is_undecided(key);
        if !is_undecided && is_same(one.as_ref(), other.as_ref()) {
            self.joined.objects.extend(one.map(|object| (key, object)));
            return;
        }
        let known = was.as_ref().filter(|(_, undecided)| !undecided && !is_undecided).map(|(was, _)| was);
        let (takes_one, takes_other) = match known {
            Some(was) => (is_same(was.as_ref(), other.as_ref()), is_same(was.as_ref(), one.as_ref())),
            None => (false, false),
        };
        let taken = match (one, other) {
            (Some(one), None) if takes_other => Some(one).filter(|one| belongs_to(one, &self.kept)),
            (None, Some(other)) if takes_one => Some(other).filter(|other| belongs_to(other, &self.kept)),
            (one, _) if takes_one => one,
            (_, other) if takes_other => other,
            (Some(Object::Comments(one)), Some(Object::Comments(other))) if !is_undecided => {
                let was = match was {
                    Some((Some(Object::Comments(was)), false)) => Some(was),
                    _ => None,
                };
                Some(join_comments(was.as_deref(), &one, &other))
            }
            (one, other) => {
                self.joined.undecided.insert(key);
                one.or(other)
            }
        };
        // What is about a column that is gone goes with it.
        let taken = taken.filter(|object| !names_gone(object));
        self.joined.objects.extend(taken.map(|object| (key, object)));
    }
}

/// Joins comments; a text that is undecided is one that nobody writes.
fn join_comments(base: Option<&Comments>, one: &Comments, other: &Comments) -> Object {
    let text = |comments: &Comments, number: ColumnNumber| {
        comments.texts.iter().find(|each| each.0 == number).map(|each| each.1.clone())
    };
    let mut joined = one.clone();
    let mut numbers: Vec<ColumnNumber> = one.texts.iter().chain(&other.texts).map(|each| each.0).collect();
    numbers.sort_unstable();
    numbers.dedup();
    joined.texts.clear();
    for number in numbers {
        let (mine, theirs) = (text(one, number), text(other, number));
        let was = base.map(|base| text(base, number));
        let taken = if mine == theirs || was.as_ref() == Some(&theirs) {
            mine
        } else if was.as_ref() == Some(&mine) {
            theirs
        } else {
            Some(UNDECIDED_TEXT.into())
        };
        joined.texts.extend(taken.map(|text| (number, text)));
    }
    Object::Comments(Arc::new(joined))
}
