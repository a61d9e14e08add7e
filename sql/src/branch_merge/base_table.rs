//! A table of a base that is made of several moments: what two versions of it make together, with a third as their base.
//!
//! Columns keep the first version's numbers, and what only the second one has comes behind them. What both changed differently is
//! undecided (`base.rs`): attributes one by one; a column, where one dropped it and the other changed it or its cells.

use std::collections::HashSet;
use std::sync::Arc;

use super::columns::{common, is_twin_of, key_places, matches_of_both, same_column};
use super::matching::Places;
use super::overlap::Written;
use crate::catalog::{Table, TableColumn};

/// What the names of columns begin with that have none.
const NAMELESS: char = '\0';

/// A table of a base.
#[derive(Clone, Debug)]
pub struct BaseTable {
    pub table: Arc<Table>,
    pub undecided: Undecided,
    pub parts: Parts,
}

/// What a table of a base is made of.
#[derive(Clone, Debug)]
pub enum Parts {
    /// A moment's own.
    Own,
    /// The first, or the second, of two versions alone has it.
    One,
    Other,
    /// Where the columns of both, and of their base, are in it; and those of it that both added.
    Both {
        one: Places,
        other: Places,
        base: Places,
        twins: Vec<usize>,
    },
}

/// What two versions hold differently of a table.
#[derive(Clone, Debug, Default)]
pub struct Undecided {
    /// Attributes of columns, by position, and of the table.
    attributes: HashSet<(Option<usize>, &'static str)>,
    /// Columns that one dropped.
    pub columns: HashSet<usize>,
    /// One dropped the table.
    pub is_gone: bool,
}

impl Undecided {
    /// Whether an attribute is: of the table, or of the column at a position.
    #[must_use]
    pub fn has(&self, column: Option<usize>, attribute: &'static str) -> bool {
        self.attributes.contains(&(column, attribute))
    }

    /// Whether any attribute of a column is.
    #[must_use]
    pub fn has_any_of(&self, column: usize) -> bool {
        self.attributes.iter().any(|each| each.0 == Some(column))
    }

    /// Whether anything of what the table declares is.
    #[must_use]
    pub fn has_attributes(&self) -> bool {
        !self.attributes.is_empty()
    }

    fn insert(&mut self, column: Option<usize>, attribute: &'static str) {
        self.attributes.insert((column, attribute));
    }
}

/// What is known of the base of two versions.
#[derive(Clone, Copy)]
pub enum Known<'b> {
    /// Nothing.
    Unknown,
    /// It has none.
    None,
    Some(&'b BaseTable),
}

impl BaseTable {
    /// That of a moment.
    #[must_use]
    pub fn own(table: Arc<Table>) -> BaseTable {
        BaseTable { table, undecided: Undecided::default(), parts: Parts::Own }
    }

    /// Which columns have numbers in it that one version has.
    #[must_use]
    pub fn live_places(&self, places: &Places) -> Places {
        let is_live = |at: &usize| !self.table.columns[*at].dropped;
        places.iter().map(|place| place.filter(is_live)).collect()
    }

    fn column(&self, at: usize) -> Side<'_> {
        Side { column: &self.table.columns[at], at, undecided: &self.undecided }
    }
}

/// A column of a version.
#[derive(Clone, Copy)]
struct Side<'t> {
    column: &'t TableColumn,
    at: usize,
    undecided: &'t Undecided,
}

/// Joins two versions; `written` says which cells of the base's columns each of them wrote.
#[must_use]
pub fn join(base: Known<'_>, one: &BaseTable, other: &BaseTable, written: [&Written; 2]) -> BaseTable {
    let known = if let Known::Some(base) = base { Some(base) } else { None };
    let stand_in = common(&one.table, &other.table);
    let was = known.map_or(&stand_in, |base| &base.table);
    let (in_one, in_other) = matches_of_both(was, &one.table, &other.table);
    let mut joining = Joining {
        table: (*one.table).clone(),
        undecided: one.undecided.clone(),
        one: (0..one.table.columns.len()).map(Some).collect(),
        other: vec![None; other.table.columns.len()],
    };
    let mut base_places: Places = vec![None; was.columns.len()];
    for (at, column) in was.columns.iter().enumerate().filter(|(_, column)| !column.dropped) {
        let is_kept = |side: Side<'_>, written: &Written| {
            side.undecided.columns.contains(&side.at)
                || side.undecided.has_any_of(side.at)
                || known
                    .is_none_or(|base| base.undecided.has_any_of(at) || base.undecided.columns.contains(&at))
                || !same_column(column, side.column)
                || written.has_cell(was.oid, at)
        };
        base_places[at] = match (in_one[at], in_other[at]) {
            (Some(mine), Some(theirs)) => {
                joining.other[theirs] = Some(mine);
                joining.join_column(
                    mine,
                    known.map(|base| base.column(at)),
                    other.column(theirs),
                    [written[0].has_cell(was.oid, at), written[1].has_cell(was.oid, at)],
                );
                Some(mine)
            }
            (Some(mine), None) if is_kept(one.column(mine), written[0]) => {
                joining.undecided.columns.insert(mine);
                Some(mine)
            }
            (Some(mine), None) => {
                joining.table.columns[mine].dropped = true;
                None
            }
            (None, Some(theirs)) if is_kept(other.column(theirs), written[1]) => {
                let place = joining.append(other, theirs);
                joining.undecided.columns.insert(place);
                Some(place)
            }
            (None, _) => None,
        };
    }
    let is_unknown = matches!(base, Known::Unknown);
    let twins = joining.add_columns(one, other, (&in_one, &in_other), is_unknown);
    joining.join_rest(known, one, other, &base_places);
    joining.undecided.is_gone |= other.undecided.is_gone;
    joining.mark_namesakes();
    let parts = Parts::Both { one: joining.one, other: joining.other, base: base_places, twins };
    BaseTable { table: joining.table.into(), undecided: joining.undecided, parts }
}

/// Two versions being joined.
struct Joining {
    table: Table,
    undecided: Undecided,
    /// Where the columns of both are.
    one: Places,
    other: Places,
}

impl Joining {
    /// Adds a column that only the second version has.
    fn append(&mut self, other: &BaseTable, at: usize) -> usize {
        let place = self.table.columns.len();
        let number = i16::try_from(place + 1).unwrap_or(i16::MAX);
        self.table.columns.push(TableColumn { number, ..other.table.columns[at].clone() });
        self.other[at] = Some(place);
        for (_, attribute) in other.undecided.attributes.iter().filter(|each| each.0 == Some(at)) {
            self.undecided.insert(Some(place), attribute);
        }
        if other.undecided.columns.contains(&at) {
            self.undecided.columns.insert(place);
        }
        place
    }

    /// Adds what the base did not have; gives what both added.
    fn add_columns(
        &mut self,
        one: &BaseTable,
        other: &BaseTable,
        (in_one, in_other): (&Places, &Places),
        is_unknown: bool,
    ) -> Vec<usize> {
        let mut twins = Vec::new();
        let is_new = |places: &Places, at: usize| !places.contains(&Some(at));
        for (at, column) in other.table.columns.iter().enumerate() {
            if column.dropped || !is_new(in_other, at) {
                continue;
            }
            let mut mine = one.table.columns.iter().enumerate();
            let is_free = |place: usize| !twins.contains(&place);
            let twin = mine
                .position(|(place, own)| is_new(in_one, place) && is_free(place) && is_twin_of(own, column));
            if let Some(twin) = twin {
                self.other[at] = Some(twin);
                self.join_column(twin, None, other.column(at), [false, false]);
                twins.push(twin);
                continue;
            }
            let place = self.append(other, at);
            if is_unknown {
                self.undecided.columns.insert(place);
            }
        }
        if is_unknown {
            let own = one.table.columns.iter().enumerate().filter(|(_, column)| !column.dropped);
            let alone = own.map(|(at, _)| at).filter(|at| is_new(in_one, *at) && !twins.contains(at));
            self.undecided.columns.extend(alone);
        }
        twins
    }

    /// A column that both have; `written` says whose cells are not the base's.
    fn join_column(&mut self, at: usize, base: Option<Side<'_>>, other: Side<'_>, written: [bool; 2]) {
        let column = &mut self.table.columns[at];
        column.origin.join(&other.column.origin);
        let undecided = &mut self.undecided;
        if other.undecided.columns.contains(&other.at) {
            undecided.columns.insert(at);
        }
        macro_rules! join_field {
            ($($field:ident),+ => $what:literal) => {{
                let is_same = |one: &TableColumn, other: &TableColumn| $(one.$field == other.$field)&&+;
                let was = base.filter(|base| !base.undecided.has(Some(base.at), $what));
                if undecided.has(Some(at), $what) || other.undecided.has(Some(other.at), $what) {
                    undecided.insert(Some(at), $what);
                } else if !is_same(column, other.column) {
                    if was.is_some_and(|was| is_same(was.column, column)) {
                        $(column.$field.clone_from(&other.column.$field);)+
                    } else if !was.is_some_and(|was| is_same(was.column, other.column)) {
                        undecided.insert(Some(at), $what);
                    }
                }
            }};
        }
        join_field!(name => "name");
        join_field!(not_null => "NOT NULL");
        join_field!(collation => "collation");
        join_field!(identity => "identity");
        // A type that one changed, and cells that the other wrote, are a conflict.
        let types = [column.data_type(), other.column.data_type()];
        let is_disputed = base.is_some_and(|base| {
            let was = base.column.data_type();
            (types[0] != was && written[1]) || (types[1] != was && written[0])
        });
        if types[0] != types[1] && is_disputed {
            undecided.insert(Some(at), "type");
        }
        join_field!(type_oid, type_modifier => "type");
        if column.data_type() != types[0] {
            column.representation = other.column.representation;
            column.missing = other.column.missing.clone();
        }
        join_field!(default, generated => "default");
    }

    /// Name, schema, owner, parameters, primary key.
    fn join_rest(
        &mut self,
        base: Option<&BaseTable>,
        one: &BaseTable,
        other: &BaseTable,
        base_places: &Places,
    ) {
        let undecided = &mut self.undecided;
        macro_rules! join_field {
            ($own:expr, $theirs:expr, $was:expr, $what:literal) => {{
                let (own, theirs) = ($own, $theirs);
                let was = base.filter(|base| !base.undecided.has(None, $what)).map($was);
                if undecided.has(None, $what) || other.undecided.has(None, $what) {
                    undecided.insert(None, $what);
                    None
                } else if own == theirs || was.as_ref() == Some(&theirs) {
                    None
                } else if was.as_ref() == Some(&own) {
                    Some(theirs)
                } else {
                    undecided.insert(None, $what);
                    None
                }
            }};
            ($field:ident, $what:literal) => {
                if let Some(theirs) = join_field!(
                    one.table.$field.clone(),
                    other.table.$field.clone(),
                    |base| base.table.$field.clone(),
                    $what
                ) {
                    self.table.$field = theirs;
                }
            };
        }
        join_field!(name, "name");
        join_field!(schema, "schema");
        join_field!(owner, "owner");
        join_field!(options, "parameters");
        join_field!(unlogged, "persistence");
        join_field!(of_type, "type");
        let key = join_field!(
            key_places(&one.table, &self.one),
            key_places(&other.table, &self.other),
            |base| key_places(&base.table, base_places),
            "primary key"
        );
        if let Some(key) = key {
            let numbers: Option<Vec<i16>> =
                key.iter().map(|place| place.and_then(|place| i16::try_from(place + 1).ok())).collect();
            match numbers {
                Some(numbers) => self.table.primary_key = numbers,
                None => undecided.insert(None, "primary key"),
            }
        }
    }

    /// Two columns that came to one name: which has it is undecided, and the second one has none.
    fn mark_namesakes(&mut self) {
        for at in 0..self.table.columns.len() {
            let name = &self.table.columns[at].name;
            let mut before = self.table.columns[..at].iter();
            let namesake = before.position(|each| !each.dropped && each.name == *name);
            if let Some(namesake) = namesake.filter(|_| !self.table.columns[at].dropped) {
                self.undecided.insert(Some(namesake), "name");
                self.undecided.insert(Some(at), "name");
                self.table.columns[at].name = format!("{NAMELESS}{at}");
            }
        }
    }
}
