//! What names mean at one place of a query, and the errors for names that mean nothing.

use std::ops::Range;

use crate::catalog::{ColumnNumber, Table};
use crate::error::{Result, SqlError, SqlState};
use crate::plan::logical::{ColumnId, Correlation};
use crate::types::DataType;

/// A column that can be named.
#[derive(Clone, Debug)]
pub struct ScopeColumn {
    pub id: ColumnId,
    pub name: String,
    pub data_type: DataType,
    /// The stored table's column behind it, for RowDescription.
    pub source: Option<(u32, ColumnNumber)>,
}

/// What system columns can be made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RowPlace {
    /// The rows lie in no table.
    #[default]
    Nowhere,
    /// The column that has their keys.
    Key(ColumnId),
    /// They are being written.
    Written {
        /// Who changed them, where some may have been there before: ON CONFLICT DO UPDATE.
        xmax: Option<ColumnId>,
    },
    /// They are no longer what the table has.
    Gone,
}

/// A relation of FROM.
#[derive(Clone, Debug)]
pub struct ScopeRelation {
    /// Its alias, or its name.
    pub alias: String,
    /// The schema of a stored table without an alias: it may be named with it.
    pub schema: Option<String>,
    /// Its columns.
    pub columns: Vec<ScopeColumn>,
    /// The primary key, where all of it being grouped determines the other columns.
    pub primary_key: Vec<ColumnId>,
    /// The table that it is, for `tableoid`.
    pub table: Option<u32>,
    /// What there is to say of where its rows are.
    pub place: RowPlace,
    /// The table or view whose row type its rows are of.
    pub row_type: Option<u32>,
    /// An outer join may give it no row.
    pub is_optional: bool,
}

/// The relations that names are looked up in.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    pub relations: Vec<ScopeRelation>,
    /// What an unqualified name may mean, in the order of `*`; columns merged by USING appear once.
    pub visible: Vec<ScopeColumn>,
}

impl ScopeRelation {
    /// A table's columns under an alias, for their names alone.
    #[must_use]
    pub fn of_names(table: &Table, alias: &str) -> ScopeRelation {
        let columns = table.live_columns().map(|column| ScopeColumn {
            id: 0,
            name: column.name.clone(),
            data_type: column.data_type(),
            source: None,
        });
        ScopeRelation {
            alias: alias.to_owned(),
            schema: None,
            columns: columns.collect(),
            primary_key: Vec::new(),
            table: None,
            place: RowPlace::Nowhere,
            row_type: None,
            is_optional: false,
        }
    }
}

impl Scope {
    /// The scope of one relation.
    #[must_use]
    pub fn of(relation: ScopeRelation) -> Scope {
        Scope { visible: relation.columns.clone(), relations: vec![relation] }
    }

    /// Notes that an outer join may give these relations no row.
    pub fn make_optional(&mut self) {
        self.relations.iter_mut().for_each(|relation| relation.is_optional = true);
    }

    /// Adds another scope's relations behind this one's.
    ///
    /// # Errors
    /// 42712 when an alias is taken.
    pub fn extend(&mut self, other: Scope) -> Result<()> {
        for relation in &other.relations {
            let clash = |each: &&ScopeRelation| {
                each.alias == relation.alias
                    && !relation.alias.is_empty()
                    && (each.schema.is_none() || relation.schema.is_none() || each.schema == relation.schema)
            };
            if self.relations.iter().find(clash).is_some() {
                return Err(SqlError::new(
                    SqlState::DUPLICATE_ALIAS,
                    format!("table name \"{}\" specified more than once", relation.alias),
                ));
            }
        }
        self.relations.extend(other.relations);
        self.visible.extend(other.visible);
        Ok(())
    }

    /// What is left where another scope's relations hide those of their names.
    #[must_use]
    pub fn without(&self, other: &Scope) -> Scope {
        let mut left = self.clone();
        let hidden = |relation: &ScopeRelation| {
            !relation.alias.is_empty() && other.relations.iter().any(|each| each.alias == relation.alias)
        };
        let gone: Vec<ScopeRelation> = left.relations.extract_if(.., |relation| hidden(relation)).collect();
        left.visible
            .retain(|column| !gone.iter().any(|each| each.columns.iter().any(|own| own.id == column.id)));
        left
    }

    /// The relation named so, with its schema if one is given.
    #[must_use]
    pub fn relation(&self, schema: Option<&str>, alias: &str) -> Option<&ScopeRelation> {
        self.relations.iter().find(|relation| {
            relation.alias == alias && schema.is_none_or(|schema| relation.schema.as_deref() == Some(schema))
        })
    }

    /// Whether several relations are named so.
    #[must_use]
    pub fn is_ambiguous(&self, schema: Option<&str>, alias: &str) -> bool {
        let is_named = |relation: &&ScopeRelation| {
            relation.alias == alias && schema.is_none_or(|schema| relation.schema.as_deref() == Some(schema))
        };
        self.relations.iter().filter(is_named).nth(1).is_some()
    }

    /// The column an unqualified name means.
    ///
    /// # Errors
    /// 42702 when it may mean several.
    pub fn unqualified(&self, name: &str) -> Result<Option<&ScopeColumn>> {
        let mut found = self.visible.iter().filter(|column| column.name == name);
        let first = found.next();
        if found.next().is_some() {
            return Err(ambiguous(name));
        }
        Ok(first)
    }

    /// The alias of the relation that a column belongs to.
    #[must_use]
    pub fn alias_of(&self, id: ColumnId) -> Option<&str> {
        let relation = self.relations.iter().find(|relation| relation.columns.iter().any(|c| c.id == id))?;
        Some(&relation.alias)
    }

    /// What the user may have meant: `Perhaps you meant to reference the column "t.name".`
    #[must_use]
    pub fn similar_columns(&self, qualifier: Option<&str>, name: &str) -> Option<String> {
        const DISTANCE_MAX: usize = 3;
        let mut best: Vec<String> = Vec::new();
        let mut best_distance = DISTANCE_MAX + 1;
        for relation in &self.relations {
            let penalty = match qualifier {
                Some(qualifier) => distance(qualifier, &relation.alias),
                None => 0,
            };
            // What has no name cannot be named.
            let columns = relation.columns.iter().filter(|_| !relation.alias.is_empty());
            for column in columns {
                let difference = distance(&column.name, name);
                if difference > name.chars().count() / 2 {
                    continue;
                }
                let total = penalty + difference;
                if total < best_distance {
                    best_distance = total;
                    best.clear();
                }
                if total == best_distance && total <= DISTANCE_MAX {
                    best.push(format!("\"{}.{}\"", relation.alias, column.name));
                }
            }
        }
        match best.as_slice() {
            [one] => Some(format!("Perhaps you meant to reference the column {one}.")),
            [one, two] => {
                Some(format!("Perhaps you meant to reference the column {one} or the column {two}."))
            }
            _ => None,
        }
    }
}

/// 42702.
#[must_use]
pub fn ambiguous(name: &str) -> SqlError {
    SqlError::new(SqlState::AMBIGUOUS_COLUMN, format!("column reference \"{name}\" is ambiguous"))
}

/// Levenshtein's distance.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (at, to) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[at + 1];
            row[at + 1] = substituted.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row[right.len()]
}

/// One level of query nesting: its names, and what its subqueries took from it.
#[derive(Clone, Debug, Default)]
pub struct Level {
    pub scope: Scope,
    /// What this query reads of the query around it.
    pub correlations: Vec<Correlation>,
}

/// The columns that a range of a scope's visible ones covers.
#[must_use]
pub fn ids(columns: &[ScopeColumn], range: Range<usize>) -> Vec<ColumnId> {
    columns[range].iter().map(|column| column.id).collect()
}
