//! CREATE TABLE … (LIKE table INCLUDING …).

use super::create_table::Wanted;
use super::{Ddl, constraint, extended_statistics, sequence};
use crate::binder::Relation;
use crate::catalog::{
    ColumnIdentity, ColumnSettings, Comments, ConstraintKind, Index, Rights, Table, TableColumn, TableEntry,
    View,
};
use crate::error::{Result, SqlError, SqlState};
use crate::parser::{SequenceOption, TableLike};
use crate::rights::{denied, relation};
use crate::types::Representation;
use crate::value::Datum;

fn includes(like: &TableLike, what: &str) -> bool {
    like.including.iter().any(|each| each == what)
}

/// Adds the columns of a table to those of a new one, with what they bring along.
pub fn add_columns(
    ddl: &Ddl,
    like: &TableLike,
    columns: &mut Vec<TableColumn>,
    wanted: &mut Wanted,
) -> Result<()> {
    let entry = match ddl.relation(&like.table)? {
        Relation::View(view) => return add_columns_of_view(ddl, &view, columns),
        other => other.into_stored()?,
    };
    let secured = relation(&ddl.catalog, entry.table.oid);
    if secured.is_some_and(|secured| ddl.actor().rights(&secured, Rights::SELECT).is_empty()) {
        return Err(denied(entry.table.word(), &entry.table.name));
    }
    for source in entry.table.live_columns() {
        if columns.iter().any(|each| each.name == source.name) {
            return Err(SqlError::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{}\" specified more than once", source.name),
            ));
        }
        let number = i16::try_from(columns.len() + 1).unwrap_or(i16::MAX);
        let keeps_default = includes(like, if source.generated { "generated" } else { "defaults" });
        columns.push(TableColumn {
            number,
            default: source.default.clone().filter(|_| keeps_default),
            generated: source.generated && keeps_default,
            identity: None,
            missing: Datum::Null,
            origin: ColumnIdentity::first(number),
            settings: ColumnSettings {
                storage: source.settings.storage.filter(|_| includes(like, "storage")),
                compression: source.settings.compression.filter(|_| includes(like, "compression")),
                ..ColumnSettings::default()
            },
            ..source.clone()
        });
        if let Some(identity) = source.identity.filter(|_| includes(like, "identity")) {
            let own = ddl.catalog.identity_sequence(entry.table.oid, source.number);
            let options = own.map_or_else(Vec::new, |own| {
                vec![
                    SequenceOption::Increment(own.limits.increment.to_string()),
                    SequenceOption::Minimum(Some(own.limits.minimum.to_string())),
                    SequenceOption::Maximum(Some(own.limits.maximum.to_string())),
                    SequenceOption::Start(own.start.to_string()),
                    SequenceOption::Cache(own.cache.to_string()),
                    SequenceOption::Cycle(own.limits.cycle),
                ]
            });
            let identity = Some(identity);
            wanted.sequences.push(sequence::Wanted {
                column: number,
                type_oid: source.type_oid,
                options,
                identity,
            });
        }
    }
    add_constraints(like, &entry, wanted)
}

/// Adds the columns of a view, which bring nothing along but comments.
fn add_columns_of_view(ddl: &Ddl, view: &View, columns: &mut Vec<TableColumn>) -> Result<()> {
    let secured = relation(&ddl.catalog, view.oid);
    if secured.is_some_and(|secured| ddl.actor().rights(&secured, Rights::SELECT).is_empty()) {
        return Err(denied("view", &view.name));
    }
    for source in &view.columns {
        if columns.iter().any(|each| each.name == source.name) {
            return Err(SqlError::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{}\" specified more than once", source.name),
            ));
        }
        let number = i16::try_from(columns.len() + 1).unwrap_or(i16::MAX);
        columns.push(TableColumn {
            number,
            name: source.name.clone(),
            type_oid: source.type_oid,
            type_modifier: source.type_modifier,
            collation: 0,
            representation: Representation::of(source.type_oid, &ddl.types())?,
            not_null: false,
            default: None,
            identity: None,
            generated: false,
            missing: Datum::Null,
            dropped: false,
            origin: ColumnIdentity::first(number),
            settings: ColumnSettings::default(),
        });
    }
    Ok(())
}

/// Adds the comments on a view's columns.
async fn add_comments_of_view(ddl: &mut Ddl, view: &View, table: u32) -> Result<()> {
    let Some(comments) = ddl.catalog.comments_on(view.oid).cloned() else { return Ok(()) };
    ddl.refresh().await?;
    let entry = ddl.catalog.expect_table(table)?.clone();
    let names = (1..).zip(&view.columns);
    let moved = names.filter_map(|(number, column)| {
        let (_, text) = comments.texts.iter().find(|(own, _)| *own == number)?;
        Some((entry.table.column(&column.name)?.number, text.clone()))
    });
    let mut texts: Vec<(i16, String)> = moved.collect();
    texts.extend(ddl.catalog.comments_on(table).map(|own| own.texts.clone()).unwrap_or_default());
    texts.sort();
    if texts.is_empty() {
        Ok(())
    } else {
        ddl.put(Comments { oid: table, class: comments.class, texts }).await
    }
}

fn add_constraints(like: &TableLike, entry: &TableEntry, wanted: &mut Wanted) -> Result<()> {
    let names = |numbers: &[i16]| -> Vec<String> {
        numbers.iter().map(|number| entry.table.column_numbered(*number).name.clone()).collect()
    };
    for each in &entry.constraints {
        let (timing, columns) = (each.timing, names(&each.columns));
        match &each.kind {
            ConstraintKind::Check { expression, no_inherit } if includes(like, "constraints") => {
                let expression = Box::new(crate::parser::parse_expression(expression)?);
                let name = Some(each.name.clone());
                wanted.constraints.push(constraint::Wanted::Check {
                    name,
                    expression,
                    no_inherit: *no_inherit,
                });
            }
            ConstraintKind::PrimaryKey { .. } if includes(like, "indexes") => {
                wanted.constraints.push(constraint::Wanted::PrimaryKey { name: None, columns, timing });
            }
            ConstraintKind::Unique { index } if includes(like, "indexes") => {
                let own = entry.indexes.iter().find(|own| own.oid == *index);
                let nulls_not_distinct = own.is_some_and(|own| own.nulls_not_distinct);
                let unique = constraint::Wanted::Unique { name: None, columns, nulls_not_distinct, timing };
                wanted.constraints.push(unique);
            }
            _ => {}
        }
    }
    Ok(())
}

/// Adds what needs the new table: indexes that are no constraints, and comments on columns.
pub async fn add_rest(ddl: &mut Ddl, likes: &[TableLike], table: u32) -> Result<()> {
    for like in likes {
        let source = match ddl.relation(&like.table)? {
            Relation::View(view) if includes(like, "comments") => {
                add_comments_of_view(ddl, &view, table).await?;
                continue;
            }
            Relation::View(_) => continue,
            other => other.into_stored()?,
        };
        ddl.refresh().await?;
        let entry = ddl.catalog.expect_table(table)?.clone();
        if includes(like, "indexes") {
            for index in &source.indexes {
                let is_constraint = source.constraints.iter().any(|each| each.index() == Some(index.oid));
                if !is_constraint {
                    let made = copy_of(ddl, index, &source.table, &entry.table).await?;
                    let comments = ddl.catalog.comments_on(index.oid).filter(|_| includes(like, "comments"));
                    if let Some(comments) = comments.map(|of| Comments { oid: made.oid, ..(**of).clone() }) {
                        ddl.put(comments).await?;
                    }
                    ddl.put(made).await?;
                    ddl.refresh().await?;
                }
            }
        }
        let statistics = ddl.catalog.extended_statistics().filter(|own| own.table == source.table.oid);
        let statistics: Vec<_> = statistics.filter(|_| includes(like, "statistics")).cloned().collect();
        for own in statistics {
            let place = |number| moved(number, &source.table, &entry.table).unwrap_or(0);
            let made = extended_statistics::copy(ddl, &own, &entry.table, place).await?;
            let comments = ddl.catalog.comments_on(own.oid).filter(|_| includes(like, "comments"));
            if let Some(comments) = comments.map(|of| Comments { oid: made.oid, ..(**of).clone() }) {
                ddl.put(comments).await?;
            }
            ddl.put(made).await?;
            ddl.refresh().await?;
        }
        if includes(like, "comments")
            && let Some(comments) = ddl.catalog.comments_on(source.table.oid)
        {
            let texts = comments.texts.iter().filter(|(number, _)| *number > 0);
            let texts = texts.filter_map(|(number, text)| {
                Some((moved(*number, &source.table, &entry.table)?, text.clone()))
            });
            let copied: Vec<(i16, String)> = texts.collect();
            if !copied.is_empty() {
                // Another LIKE may have brought comments along.
                let own = ddl.catalog.comments_on(table).map(|own| own.texts.clone());
                let mut texts = own.unwrap_or_default();
                texts.extend(copied);
                texts.sort();
                ddl.put(Comments { oid: table, class: comments.class, texts }).await?;
            }
        }
    }
    Ok(())
}

/// The number that a column has in the new table.
fn moved(number: i16, from: &Table, to: &Table) -> Option<i16> {
    to.column(&from.column_numbered(number).name).map(|column| column.number)
}

async fn copy_of(ddl: &mut Ddl, index: &Index, from: &Table, to: &Table) -> Result<Index> {
    let mut copied = index.clone();
    let mut names = Vec::new();
    for column in &mut copied.columns {
        if column.number == 0 {
            names.push("expr".to_string());
            continue;
        }
        names.push(from.column_numbered(column.number).name.clone());
        column.number = moved(column.number, from, to).unwrap_or(0);
    }
    for number in copied.included.iter_mut().chain(&mut copied.read) {
        *number = moved(*number, from, to).unwrap_or(0);
    }
    copied.oid = ddl.oid().await?;
    copied.table = to.oid;
    copied.schema = to.schema;
    copied.tree = ddl.tree(&copied.options, super::storage::Owner::Index);
    copied.name = ddl.free_name(to.schema, &constraint::generated_name(&to.name, &names, "idx"), &[]);
    Ok(copied)
}
