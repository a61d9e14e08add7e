//! Constraints, as CREATE TABLE and ALTER TABLE give them.

use std::sync::Arc;

use helios_mvcc::TableLockMode;
use sqlparser::ast::{self, ReferentialAction, TableConstraint};

use super::Ddl;
use super::storage::Owner;
use crate::binder::{RelationKind, name};
use crate::catalog::Rights;
use crate::catalog::{
    ColumnNumber, Constraint, ConstraintKind, ForeignKeyAction, Index, IndexColumn, Table, TableColumn,
    TableEntry, Timing,
};
use crate::error::{Result, SqlError, SqlState};
use crate::parser::refuse_in_key;
use crate::rights::{denied, relation};
use crate::types::{DataType, format_type};
use crate::write;

/// A constraint to be made.
pub enum Wanted {
    PrimaryKey {
        name: Option<String>,
        columns: Vec<String>,
        timing: Timing,
    },
    Unique {
        name: Option<String>,
        columns: Vec<String>,
        nulls_not_distinct: bool,
        timing: Timing,
    },
    /// Of a unique index that is there.
    UsingIndex {
        name: Option<String>,
        index: String,
        primary: bool,
        timing: Timing,
    },
    Check {
        name: Option<String>,
        expression: Box<ast::Expr>,
        no_inherit: bool,
    },
    ForeignKey {
        name: Option<String>,
        columns: Vec<String>,
        key: Box<ast::ForeignKeyConstraint>,
    },
}

/// A table constraint as written.
pub fn wanted(constraint: &TableConstraint) -> Result<Wanted> {
    let fold = |identifier: &Option<ast::Ident>| identifier.as_ref().map(name::fold);
    Ok(match constraint {
        TableConstraint::PrimaryKey(key) => {
            let using = key.index_type.as_ref();
            refuse_in_key(key.index_name.as_ref(), using, &key.index_options, &key.columns)?;
            let timing = timing(key.characteristics.as_ref())?;
            Wanted::PrimaryKey { name: fold(&key.name), columns: index_columns(&key.columns)?, timing }
        }
        TableConstraint::Unique(unique) => {
            let using = unique.index_type.as_ref();
            refuse_in_key(unique.index_name.as_ref(), using, &unique.index_options, &unique.columns)?;
            Wanted::Unique {
                name: fold(&unique.name),
                columns: index_columns(&unique.columns)?,
                nulls_not_distinct: unique.nulls_distinct == ast::NullsDistinctOption::NotDistinct,
                timing: timing(unique.characteristics.as_ref())?,
            }
        }
        TableConstraint::Check(check) => {
            refuse_enforcement(check.enforced)?;
            Wanted::Check {
                name: fold(&check.name),
                expression: check.expr.clone(),
                no_inherit: check.no_inherit,
            }
        }
        TableConstraint::ForeignKey(key) => Wanted::ForeignKey {
            name: fold(&key.name),
            columns: key.columns.iter().map(name::fold).collect(),
            key: Box::new(key.clone()),
        },
        TableConstraint::PrimaryKeyUsingIndex(using) | TableConstraint::UniqueUsingIndex(using) => {
            Wanted::UsingIndex {
                name: fold(&using.name),
                index: name::fold(&using.index_name),
                primary: matches!(constraint, TableConstraint::PrimaryKeyUsingIndex(_)),
                timing: timing(using.characteristics.as_ref())?,
            }
        }
        other => return Err(SqlError::unsupported(format!("this constraint is not supported yet: {other}"))),
    })
}

/// DEFERRABLE and INITIALLY DEFERRED.
pub fn timing(characteristics: Option<&ast::ConstraintCharacteristics>) -> Result<Timing> {
    let Some(given) = characteristics else { return Ok(Timing::default()) };
    refuse_enforcement(given.enforced)?;
    let initially_deferred = given.initially == Some(ast::DeferrableInitial::Deferred);
    if given.deferrable == Some(false) && initially_deferred {
        return Err(SqlError::syntax("constraint declared INITIALLY DEFERRED must be DEFERRABLE"));
    }
    Ok(Timing { deferrable: given.deferrable == Some(true) || initially_deferred, initially_deferred })
}

/// Constraints are always enforced: saying so, or the contrary, is for later versions of PostgreSQL.
pub fn refuse_enforcement(enforced: Option<bool>) -> Result<()> {
    match enforced {
        Some(_) => Err(SqlError::syntax("syntax error at or near \"ENFORCED\"")),
        None => Ok(()),
    }
}

fn index_columns(columns: &[ast::IndexColumn]) -> Result<Vec<String>> {
    columns
        .iter()
        .map(|column| match &column.column.expr {
            ast::Expr::Identifier(identifier) => Ok(name::fold(identifier)),
            other => Err(SqlError::syntax(format!("syntax error at or near \"{other}\""))),
        })
        .collect()
}

/// The numbers of columns by name.
pub fn numbers(table: &Table, columns: &[String]) -> Result<Vec<ColumnNumber>> {
    let mut found: Vec<ColumnNumber> = Vec::new();
    for column in columns {
        let number = table.column(column).map(|column| column.number).ok_or_else(|| {
            SqlError::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{column}\" named in key does not exist"),
            )
        })?;
        if found.contains(&number) {
            return Err(SqlError::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{column}\" appears twice in primary key constraint"),
            ));
        }
        found.push(number);
    }
    Ok(found)
}

/// Index columns in their plain order.
pub fn plain(numbers: &[ColumnNumber]) -> Vec<IndexColumn> {
    let plain = |number: &ColumnNumber| IndexColumn {
        number: *number,
        expression: None,
        class: None,
        collation: 0,
        descending: false,
        nulls_first: false,
    };
    numbers.iter().map(plain).collect()
}

/// A name cut to fit, PostgreSQL's way: `table_columns_suffix`.
pub fn generated_name(table: &str, columns: &[String], suffix: &str) -> String {
    let mut first = table.to_string();
    let mut second = columns.join("_");
    let overhead = suffix.len() + 1 + usize::from(!second.is_empty());
    while first.len() + second.len() + overhead > name::IDENTIFIER_BYTES_MAX {
        let longer = if first.len() > second.len() { &mut first } else { &mut second };
        longer.pop();
    }
    if second.is_empty() { format!("{first}_{suffix}") } else { format!("{first}_{second}_{suffix}") }
}

/// Makes a unique or primary key's index and constraint; the index is not filled.
#[allow(clippy::too_many_arguments)] // what a key consists of
pub async fn make_key(
    ddl: &mut Ddl,
    table: &Table,
    name: &str,
    numbers: &[ColumnNumber],
    primary: bool,
    nulls_not_distinct: bool,
    timing: Timing,
) -> Result<(Index, Constraint)> {
    let tree = if primary { table.tree } else { ddl.tree(&[], Owner::Index) };
    let index = Index {
        oid: ddl.oid().await?,
        table: table.oid,
        schema: table.schema,
        name: name.to_string(),
        tree,
        columns: plain(numbers),
        unique: true,
        primary,
        nulls_not_distinct,
        predicate: None,
        included: Vec::new(),
        read: Vec::new(),
        options: Vec::new(),
        is_hash: false,
    };
    let kind = if primary {
        ConstraintKind::PrimaryKey { index: index.oid }
    } else {
        ConstraintKind::Unique { index: index.oid }
    };
    let constraint = Constraint {
        oid: ddl.oid().await?,
        table: table.oid,
        schema: table.schema,
        name: name.to_string(),
        columns: numbers.to_vec(),
        kind,
        timing,
        validated: true,
    };
    Ok((index, constraint))
}

/// The index that a key is to be made of.
///
/// # Errors
/// 42704, 55000 and 42809 for what is no index of the table that a key could have.
pub fn index_for_key(ddl: &Ddl, entry: &TableEntry, wanted: &str) -> Result<Arc<Index>> {
    let unfit = |message: String| {
        SqlError::new(SqlState::WRONG_OBJECT_TYPE, message)
            .with_detail("Cannot create a primary key or unique constraint using such an index.")
    };
    let state = |message: String| SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message);
    let of_schema = ddl.catalog.tables().filter(|other| other.table.schema == entry.table.schema);
    let mut all = of_schema.flat_map(|other| other.indexes.iter().map(move |index| (other, index)));
    let Some((owner, index)) = all.find(|(_, index)| index.name == wanted) else {
        let message = format!("index \"{wanted}\" does not exist");
        return Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message));
    };
    let is_of = |constraint: &Arc<Constraint>| match constraint.kind {
        ConstraintKind::PrimaryKey { index: own } | ConstraintKind::Unique { index: own } => own == index.oid,
        _ => false,
    };
    if owner.constraints.iter().any(is_of) {
        return Err(state(format!("index \"{wanted}\" is already associated with a constraint")));
    }
    if owner.table.oid != entry.table.oid {
        let table = &entry.table.name;
        return Err(state(format!("index \"{wanted}\" does not belong to table \"{table}\"")));
    }
    if !index.unique {
        return Err(unfit(format!("\"{wanted}\" is not a unique index")));
    }
    if index.columns.iter().any(|column| column.expression.is_some()) {
        return Err(unfit(format!("index \"{wanted}\" contains expressions")));
    }
    if index.predicate.is_some() {
        return Err(unfit(format!("\"{wanted}\" is a partial index")));
    }
    if let Some(at) = index.columns.iter().position(|column| column.descending || column.nulls_first) {
        let number = at + 1;
        let message =
            format!("index \"{wanted}\" column number {number} does not have default sorting behavior");
        return Err(unfit(message));
    }
    Ok(index.clone())
}

/// The unique constraint of an index.
pub async fn of_index(ddl: &mut Ddl, index: &Index, name: &str, timing: Timing) -> Result<Constraint> {
    Ok(Constraint {
        oid: ddl.oid().await?,
        table: index.table,
        schema: index.schema,
        name: name.to_string(),
        columns: index.columns.iter().map(|column| column.number).collect(),
        kind: ConstraintKind::Unique { index: index.oid },
        timing,
        validated: true,
    })
}

/// The columns that name a CHECK: the only one that it reads, be it written behind that column or not.
pub fn naming_columns(ddl: &Ddl, table: &Table, expression: &ast::Expr, text: &str) -> Result<Vec<String>> {
    let bound = ddl.binder(text).bind_over_row(table, expression, "CHECK")?;
    let mut read: Vec<usize> = Vec::new();
    crate::plan::walk::columns(&bound, &mut |position| {
        if !read.contains(&position) {
            read.push(position);
        }
    });
    Ok(match read.as_slice() {
        [only] => vec![table.columns[*only].name.clone()],
        _ => Vec::new(),
    })
}

/// Makes a CHECK constraint, bound once to see that it is good.
pub async fn make_check(
    ddl: &mut Ddl,
    table: &Table,
    name: &str,
    expression: &ast::Expr,
    no_inherit: bool,
    text: &str,
) -> Result<Constraint> {
    let mut binder = ddl.binder(text).noting_literals();
    let bound = binder.bind_over_row(table, expression, "CHECK")?;
    let kept = super::default::kept(ddl, &binder, expression)?;
    let mut columns: Vec<ColumnNumber> = Vec::new();
    crate::plan::walk::columns(&bound, &mut |position| {
        let number = ColumnNumber::try_from(position + 1).unwrap_or(0);
        if !columns.contains(&number) {
            columns.push(number);
        }
    });
    columns.sort_unstable();
    Ok(Constraint {
        oid: ddl.oid().await?,
        table: table.oid,
        schema: table.schema,
        name: name.to_string(),
        columns,
        kind: ConstraintKind::Check { expression: kept, no_inherit },
        timing: Timing::default(),
        validated: true,
    })
}

/// Makes a foreign key.
pub async fn make_foreign_key(
    ddl: &mut Ddl,
    table: &Table,
    name: &str,
    columns: &[String],
    key: &ast::ForeignKeyConstraint,
    own: Option<&TableEntry>,
) -> Result<Constraint> {
    if key.match_kind == Some(ast::ConstraintReferenceMatchKind::Partial) {
        return Err(SqlError::unsupported("MATCH PARTIAL not yet implemented"));
    }
    let (foreign_table, delete_columns) = crate::parser::split_columns(&key.foreign_table);
    let (_, parent_name) = name::split(&foreign_table)?;
    let itself = parent_name == table.name;
    let looked;
    let parent: &TableEntry = match own {
        Some(own) if itself => own,
        _ => {
            let found = ddl.relation(&foreign_table)?;
            if found.kind() != RelationKind::Table && found.stored_oid().is_some() {
                let message = format!("referenced relation \"{}\" is not a table", found.name());
                return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
            }
            looked = found.into_table()?;
            // Rows that are referred to do not go away before the key is there to keep them.
            ddl.lock_as(&looked.table, TableLockMode::ShareRowExclusive).await?;
            &looked
        }
    };
    let referring = key_columns(table, columns)?;
    let delete_columns = set_columns(table, &delete_columns, &referring)?;
    let referred: Vec<String> = key.referred_columns.iter().map(name::fold).collect();
    let mut referred = key_columns(&parent.table, &referred)?;
    if referred.is_empty() {
        referred.clone_from(&parent.table.primary_key);
        if referred.is_empty() {
            return Err(SqlError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("there is no primary key for referenced table \"{}\"", parent.table.name),
            ));
        }
    }
    if referring.len() != referred.len() {
        return Err(SqlError::new(
            SqlState::INVALID_FOREIGN_KEY,
            "number of referencing and referenced columns for foreign key disagree",
        ));
    }
    for (from, to) in referring.iter().zip(&referred) {
        let (from, to) = (table.column_numbered(*from), parent.table.column_numbered(*to));
        check_types(ddl, name, from, to)?;
    }
    let mut sorted = referred.clone();
    sorted.sort_unstable();
    let index = parent.indexes.iter().filter(|index| index.unique && index.is_plain()).find(|index| {
        let mut own: Vec<ColumnNumber> = index.columns.iter().map(|column| column.number).collect();
        own.sort_unstable();
        own == sorted
    });
    let Some(index) = index else {
        return Err(SqlError::new(
            SqlState::INVALID_FOREIGN_KEY,
            format!(
                "there is no unique constraint matching given keys for referenced table \"{}\"",
                parent.table.name
            ),
        ));
    };
    if parent.is_deferrable_key(index.oid) {
        return Err(SqlError::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "cannot use a deferrable {} for referenced table \"{}\"",
                if key.referred_columns.is_empty() { "primary key" } else { "unique constraint" },
                parent.table.name
            ),
        ));
    }
    check_references(ddl, &parent.table, &referred)?;
    let (parent_oid, index_oid) = (parent.table.oid, index.oid);
    Ok(Constraint {
        oid: ddl.oid().await?,
        table: table.oid,
        schema: table.schema,
        name: name.to_string(),
        columns: referring,
        kind: ConstraintKind::ForeignKey {
            table: parent_oid,
            columns: referred,
            index: index_oid,
            on_delete: action(key.on_delete.as_ref()),
            on_update: action(key.on_update.as_ref()),
            delete_columns,
            match_full: key.match_kind == Some(ast::ConstraintReferenceMatchKind::Full),
        },
        timing: timing(key.characteristics.as_ref())?,
        validated: true,
    })
}

/// 42804 for columns that cannot refer to each other.
pub fn check_types(ddl: &Ddl, key: &str, from: &TableColumn, to: &TableColumn) -> Result<()> {
    if write::may_refer(from.representation, to.representation) {
        return Ok(());
    }
    let message = format!("foreign key constraint \"{key}\" cannot be implemented");
    Err(SqlError::new(SqlState::DATATYPE_MISMATCH, message).with_detail(format!(
        "Key columns \"{}\" and \"{}\" are of incompatible types: {} and {}.",
        from.name,
        to.name,
        format_type(DataType::of(from.type_oid), &ddl.types()),
        format_type(DataType::of(to.type_oid), &ddl.types())
    )))
}

/// The numbers of a foreign key's columns on either side.
fn key_columns(table: &Table, columns: &[String]) -> Result<Vec<ColumnNumber>> {
    let number = |column: &String| {
        if crate::catalog::is_system_column(column) {
            return Err(SqlError::unsupported("system columns cannot be used in foreign keys"));
        }
        table.column(column).map(|column| column.number).ok_or_else(|| {
            SqlError::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{column}\" referenced in foreign key constraint does not exist"),
            )
        })
    };
    columns.iter().map(number).collect()
}

/// The columns that ON DELETE sets, each once: some of those that refer.
fn set_columns(table: &Table, columns: &[String], referring: &[ColumnNumber]) -> Result<Vec<ColumnNumber>> {
    let mut found = Vec::new();
    for (name, number) in columns.iter().zip(key_columns(table, columns)?) {
        if !referring.contains(&number) {
            return Err(SqlError::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                format!("column \"{name}\" referenced in ON DELETE SET action must be part of foreign key"),
            ));
        }
        if !found.contains(&number) {
            found.push(number);
        }
    }
    Ok(found)
}

/// 42501 for columns that no foreign key of the role may point at.
fn check_references(ddl: &Ddl, parent: &Table, columns: &[ColumnNumber]) -> Result<()> {
    let actor = ddl.actor();
    // A table that is about to be made points at itself.
    let Some(secured) = relation(&ddl.catalog, parent.oid) else { return Ok(()) };
    let may =
        |column: &ColumnNumber| !actor.column_rights(parent.oid, *column, Rights::REFERENCES).is_empty();
    if actor.rights(&secured, Rights::REFERENCES).is_empty() && !columns.iter().all(may) {
        return Err(denied("table", &parent.name));
    }
    Ok(())
}

fn action(action: Option<&ReferentialAction>) -> ForeignKeyAction {
    match action {
        None | Some(ReferentialAction::NoAction) => ForeignKeyAction::NoAction,
        Some(ReferentialAction::Restrict) => ForeignKeyAction::Restrict,
        Some(ReferentialAction::Cascade) => ForeignKeyAction::Cascade,
        Some(ReferentialAction::SetNull) => ForeignKeyAction::SetNull,
        Some(ReferentialAction::SetDefault) => ForeignKeyAction::SetDefault,
    }
}
