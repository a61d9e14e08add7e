//! ALTER TABLE.

use std::sync::Arc;

use helios_mvcc::TableLockMode;
use sqlparser::ast::{self, AlterColumnOperation, AlterTableOperation as Operation};

use super::Ddl;
use super::create_table::{Wanted, column_of};
use super::dependency::{Thing, drop_things};
use super::rename::check_exists;
use super::storage;
use super::{column_settings, column_type, constraint, identity, reshape, rewrite, sequence, view};
use crate::binder::{Relation, at_collate, check_collation, name};
use crate::catalog::{
    ColumnIdentity, ColumnNumber, Constraint, ConstraintKind, Table, TableColumn, TableEntry, Timing, View,
    row_type_oid,
};
use crate::error::{Result, SqlError, SqlState};
use crate::parser::visit::walk_expressions;
use crate::parser::{
    ColumnSetting, ObjectKind, StorageAction, TableAction, check_table_method, check_tablespace,
};
use crate::rights::must_own;
use crate::value::Datum;
use crate::write;

pub async fn alter_table(
    ddl: &mut Ddl,
    kind: ObjectKind,
    object: &ast::ObjectName,
    if_exists: bool,
    actions: &[TableAction],
    text: &str,
) -> Result<()> {
    // As in PostgreSQL, whoever renames a column may call the relation what he likes.
    let kind = if is_renaming(actions) { ObjectKind::Table } else { kind };
    let Some(relation) = check_exists(ddl, kind, object, if_exists)? else { return Ok(()) };
    let mut entry = match relation {
        Relation::Stored(entry) if entry.table.materialized.is_none() || is_about_storage(actions) => entry,
        Relation::Virtual(_) => return relation.into_table().map(|_| ()),
        Relation::View(view) if is_renaming(actions) => return rename_of_view(ddl, &view, actions).await,
        other => {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!(
                    "ALTER action {} cannot be performed on relation \"{}\"",
                    action_name(actions),
                    other.name()
                ),
            )
            .with_detail(format!("This operation is not supported for {}.", other.kind().plural())));
        }
    };
    ddl.check_owns_table(&entry.table)?;
    let mode = actions.iter().map(lock_of).max().unwrap_or(TableLockMode::AccessExclusive);
    ddl.lock_as(&entry.table, mode).await?;
    for action in actions {
        super::typed::refuse(&entry.table, action)?;
    }
    let several = actions.iter().filter(|action| new_type(action).is_some()).count() > 1;
    if several {
        let mut changes = Vec::new();
        for (column, data_type, using) in actions.iter().filter_map(new_type) {
            let column = find_column(&entry.table, &name::fold(column))?.clone();
            if changes.iter().any(|other: &column_type::Change<'_>| other.column.number == column.number) {
                let message = format!("cannot alter type of column \"{}\" twice", column.name);
                return Err(SqlError::unsupported(message));
            }
            // As in PostgreSQL, what is dropped is dropped first.
            if actions.iter().any(|action| drops(action, &column.name)) {
                return Err(no_column(&entry.table, &column.name));
            }
            changes.push(column_type::Change { column, data_type, using });
        }
        column_type::change(ddl, &entry, &changes, text).await?;
        ddl.refresh().await?;
        entry = ddl.catalog.expect_table(entry.table.oid)?.clone();
    }
    for action in actions.iter().filter(|action| !several || new_type(action).is_none()) {
        perform(ddl, &entry, action, text).await?;
        // The next one sees what this one did.
        ddl.refresh().await?;
        entry = ddl.catalog.expect_table(entry.table.oid)?.clone();
    }
    Ok(())
}

/// Does one thing to a table.
///
/// # Errors
/// Those of the action.
pub async fn perform(ddl: &mut Ddl, entry: &Arc<TableEntry>, action: &TableAction, text: &str) -> Result<()> {
    match action {
        TableAction::Standard(operation) => apply(ddl, entry, operation, text).await?,
        TableAction::AddIdentity { column, always, options } => {
            identity::add(ddl, entry, &name::fold(column), *always, options).await?;
        }
        TableAction::SetIdentity { column, always, options } => {
            identity::set(ddl, entry, &name::fold(column), *always, options).await?;
        }
        TableAction::DropIdentity { column, if_exists } => {
            identity::drop(ddl, entry, &name::fold(column), *if_exists).await?;
        }
        TableAction::SetOptions { options } => {
            let mut table = (*entry.table).clone();
            table.options = storage::changed(&table.options, options, storage::Owner::Table)?;
            ddl.put(table).await?;
        }
        TableAction::ResetOptions { options } => {
            let mut table = (*entry.table).clone();
            table.options.retain(|(name, _)| !options.contains(name));
            ddl.put(table).await?;
        }
        TableAction::DropExpression { column, if_exists } => {
            drop_expression(ddl, entry, &name::fold(column), *if_exists).await?;
        }
        TableAction::AlterConstraint { name: constraint, deferrable, initially_deferred } => {
            let timing = Timing { deferrable: *deferrable, initially_deferred: *initially_deferred };
            alter_constraint(ddl, entry, &name::fold(constraint), timing).await?;
        }
        TableAction::TypeWithCollation { action, column, collation } => {
            apply(ddl, entry, action, text).await?;
            ddl.refresh().await?;
            let mut table = (*ddl.catalog.expect_table(entry.table.oid)?.table).clone();
            let place = Table::position(find_column(&table, &name::fold(column))?.number);
            let data_type = table.columns[place].data_type();
            table.columns[place].collation = check_collation(&ddl.types(), data_type, collation)?;
            ddl.put(table).await?;
        }
        TableAction::ColumnSetting { column, setting } => {
            column_settings::set(ddl, entry, column, setting).await?;
        }
        TableAction::SetOwner(owner) => super::owner::set_owner_of_table(ddl, entry, owner).await?,
        TableAction::SetType(of) => super::typed::set_type(ddl, entry, of.as_ref()).await?,
        TableAction::Storage(action) => check_storage(entry, action)?,
    }
    Ok(())
}

/// Whether an action drops a column.
fn drops(action: &TableAction, column: &str) -> bool {
    let TableAction::Standard(operation) = action else { return false };
    matches!(&**operation, Operation::DropColumn { column_names, .. }
        if column_names.iter().any(|name| name::fold(name) == column))
}

/// What an action says of a column's type.
fn new_type(action: &TableAction) -> Option<(&ast::Ident, &ast::DataType, Option<&ast::Expr>)> {
    let TableAction::Standard(operation) = action else { return None };
    match &**operation {
        Operation::AlterColumn {
            column_name,
            op: AlterColumnOperation::SetDataType { data_type, using, .. },
        } => Some((column_name, data_type, using.as_ref())),
        _ => None,
    }
}

/// The lock that an action needs, as PostgreSQL's manual has them: reading goes on where rows stay what they are, and
/// writing where only what is known of them changes.
fn lock_of(action: &TableAction) -> TableLockMode {
    match action {
        TableAction::Standard(operation) => match &**operation {
            Operation::AddConstraint { constraint: ast::TableConstraint::ForeignKey(_), .. } => {
                TableLockMode::ShareRowExclusive
            }
            Operation::ValidateConstraint { .. } | Operation::SetOptionsParens { .. } => {
                TableLockMode::ShareUpdateExclusive
            }
            _ => TableLockMode::AccessExclusive,
        },
        TableAction::ResetOptions { .. } | TableAction::Storage(StorageAction::Index(_)) => {
            TableLockMode::ShareUpdateExclusive
        }
        _ => TableLockMode::AccessExclusive,
    }
}

/// ALTER TABLE … RENAME COLUMN of a view.
async fn rename_of_view(ddl: &mut Ddl, view: &View, actions: &[TableAction]) -> Result<()> {
    let Some(TableAction::Standard(operation)) = actions.first() else { return Ok(()) };
    let Operation::RenameColumn { old_column_name, new_column_name } = &**operation else { return Ok(()) };
    if !ddl.actor().has_role(view.owner) {
        return Err(must_own("view", &view.name));
    }
    view::rename_column(ddl, view, &name::fold(old_column_name), &name::fold(new_column_name)).await
}

fn is_renaming(actions: &[TableAction]) -> bool {
    let is_rename = |operation: &Operation| matches!(operation, Operation::RenameColumn { .. });
    matches!(actions, [TableAction::Standard(operation)] if is_rename(operation))
}

/// Whether all actions are such that materialized views have them too.
fn is_about_storage(actions: &[TableAction]) -> bool {
    actions.iter().all(|action| match action {
        TableAction::Standard(operation) => {
            matches!(**operation, Operation::RenameColumn { .. } | Operation::ReplicaIdentity { .. })
        }
        TableAction::SetOptions { .. }
        | TableAction::ResetOptions { .. }
        | TableAction::ColumnSetting { .. }
        | TableAction::Storage(_) => true,
        _ => false,
    })
}

/// What PostgreSQL calls the first action.
fn action_name(actions: &[TableAction]) -> &'static str {
    match actions.first() {
        Some(TableAction::Standard(operation)) => match **operation {
            Operation::AddColumn { .. } => "ADD COLUMN",
            Operation::DropColumn { .. } => "DROP COLUMN",
            Operation::AddConstraint { .. } => "ADD CONSTRAINT",
            Operation::DropConstraint { .. } => "DROP CONSTRAINT",
            Operation::AlterColumn { op: AlterColumnOperation::SetNotNull, .. } => {
                "ALTER COLUMN ... SET NOT NULL"
            }
            Operation::AlterColumn { op: AlterColumnOperation::DropNotNull, .. } => {
                "ALTER COLUMN ... DROP NOT NULL"
            }
            Operation::AlterColumn { op: AlterColumnOperation::SetDataType { .. }, .. } => {
                "ALTER COLUMN ... SET DATA TYPE"
            }
            Operation::AlterColumn { .. } => "ALTER COLUMN ... SET DEFAULT",
            _ => "ALTER",
        },
        Some(TableAction::TypeWithCollation { .. }) => "ALTER COLUMN ... SET DATA TYPE",
        Some(TableAction::AddIdentity { .. }) => "ALTER COLUMN ... ADD IDENTITY",
        Some(TableAction::SetIdentity { .. }) => "ALTER COLUMN ... SET IDENTITY",
        Some(TableAction::DropIdentity { .. }) => "ALTER COLUMN ... DROP IDENTITY",
        Some(TableAction::DropExpression { .. }) => "ALTER COLUMN ... DROP EXPRESSION",
        Some(TableAction::ResetOptions { .. }) => "RESET",
        Some(TableAction::SetOwner(_)) => "OWNER TO",
        Some(TableAction::SetType(Some(_))) => "OF",
        Some(TableAction::SetType(None)) => "NOT OF",
        Some(TableAction::AlterConstraint { .. }) => "ALTER CONSTRAINT",
        Some(TableAction::ColumnSetting { setting, .. }) => match setting {
            ColumnSetting::Statistics(_) => "ALTER COLUMN ... SET STATISTICS",
            ColumnSetting::Storage(_) => "ALTER COLUMN ... SET STORAGE",
            ColumnSetting::Compression(_) => "ALTER COLUMN ... SET COMPRESSION",
            ColumnSetting::Options(_) => "ALTER COLUMN ... SET",
            ColumnSetting::Reset(_) => "ALTER COLUMN ... RESET",
        },
        Some(TableAction::SetOptions { .. } | TableAction::Storage(_)) | None => "SET",
    }
}

async fn apply(ddl: &mut Ddl, entry: &Arc<TableEntry>, operation: &Operation, text: &str) -> Result<()> {
    match operation {
        Operation::AddColumn { if_not_exists, column_def, .. } => {
            add_column(ddl, entry, column_def, *if_not_exists, text).await
        }
        Operation::DropColumn { column_names, if_exists, drop_behavior, .. } => {
            let cascade = matches!(drop_behavior, Some(ast::DropBehavior::Cascade));
            for column in column_names {
                drop_column(ddl, entry, &name::fold(column), *if_exists, cascade).await?;
            }
            Ok(())
        }
        Operation::RenameColumn { old_column_name, new_column_name } => {
            rename_column(ddl, entry, &name::fold(old_column_name), &name::fold(new_column_name)).await
        }
        Operation::AddConstraint { constraint, not_valid } => {
            add_constraint(ddl, entry, constraint::wanted(constraint)?, *not_valid, text).await
        }
        Operation::DropConstraint { if_exists, name: constraint, drop_behavior } => {
            let cascade = matches!(drop_behavior, Some(ast::DropBehavior::Cascade));
            drop_constraint(ddl, entry, &name::fold(constraint), *if_exists, cascade).await
        }
        Operation::AlterColumn { column_name, op } => {
            alter_column(ddl, entry, &name::fold(column_name), op, text).await
        }
        Operation::RenameConstraint { old_name, new_name } => {
            let old = find_constraint(entry, &name::fold(old_name))?;
            let mut renamed = (**old).clone();
            renamed.name = name::fold(new_name);
            if let Some(index) = entry.indexes.iter().find(|index| index.name == old.name) {
                let mut changed = (**index).clone();
                changed.name.clone_from(&renamed.name);
                ddl.replace((**index).clone(), changed).await?;
            }
            ddl.replace((**old).clone(), renamed).await
        }
        Operation::ValidateConstraint { name: constraint } => {
            let found = find_constraint(entry, &name::fold(constraint))?;
            if found.validated {
                return Ok(());
            }
            let mut validated = (**found).clone();
            validated.validated = true;
            add_and_test(ddl, validated).await
        }
        Operation::ReplicaIdentity { identity: ast::ReplicaIdentity::Index(index) } => {
            check_index(entry, &name::fold(index))
        }
        Operation::SetLogged => super::persistence::set_table(ddl, entry, true).await,
        Operation::SetUnlogged => super::persistence::set_table(ddl, entry, false).await,
        Operation::OwnerTo { .. } | Operation::ReplicaIdentity { .. } => Ok(()),
        other => Err(SqlError::unsupported(format!("ALTER TABLE {other} is not supported yet"))),
    }
}

/// Whether what an action about storage names is there.
fn check_storage(entry: &TableEntry, action: &StorageAction) -> Result<()> {
    match action {
        StorageAction::Index(index) => check_index(entry, &name::fold(index)),
        StorageAction::Tablespace(tablespace) => check_tablespace(&name::fold(tablespace)),
        StorageAction::Method(method) => check_table_method(&name::fold(method)),
        StorageAction::Switch { name: None, .. } | StorageAction::Nothing => Ok(()),
        StorageAction::Switch { kind, name: Some(wanted) } => {
            let word = if *kind == "rule" { "relation" } else { "table" };
            let message = format!(
                "{kind} \"{}\" for {word} \"{}\" does not exist",
                name::fold(wanted),
                entry.table.name
            );
            Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message))
        }
    }
}

/// 42704 where a table has no index of a name.
fn check_index(entry: &TableEntry, wanted: &str) -> Result<()> {
    if entry.indexes.iter().any(|index| index.name == wanted) {
        return Ok(());
    }
    let message = format!("index \"{wanted}\" for table \"{}\" does not exist", entry.table.name);
    Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message))
}

/// Makes a generated column one that keeps what it has.
async fn drop_expression(ddl: &mut Ddl, entry: &TableEntry, column: &str, if_exists: bool) -> Result<()> {
    let found = find_column(&entry.table, column)?;
    if !found.generated {
        let what = format!("column \"{column}\" of relation \"{}\"", entry.table.name);
        let message = format!("{what} is not a stored generated column");
        if if_exists {
            ddl.notice(format!("{message}, skipping"));
            return Ok(());
        }
        return Err(SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
    }
    let mut table = (*entry.table).clone();
    let place = &mut table.columns[Table::position(found.number)];
    place.generated = false;
    place.default = None;
    ddl.put(table).await
}

/// A table with one column changed.
async fn change_column(
    ddl: &mut Ddl,
    entry: &TableEntry,
    column: &str,
    change: impl FnOnce(&mut TableColumn),
) -> Result<()> {
    let mut table = (*entry.table).clone();
    let number = find_column(&entry.table, column)?.number;
    change(&mut table.columns[Table::position(number)]);
    ddl.put(table).await
}

pub fn find_column<'t>(table: &'t Table, column: &str) -> Result<&'t TableColumn> {
    table.column(column).ok_or_else(|| no_column(table, column))
}

/// 42703.
fn no_column(table: &Table, column: &str) -> SqlError {
    let message = format!("column \"{column}\" of relation \"{}\" does not exist", table.name);
    SqlError::new(SqlState::UNDEFINED_COLUMN, message)
}

fn find_constraint<'t>(
    entry: &'t TableEntry,
    constraint: &str,
) -> Result<&'t Arc<crate::catalog::Constraint>> {
    entry.constraints.iter().find(|each| each.name == constraint).ok_or_else(|| {
        SqlError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("constraint \"{constraint}\" of relation \"{}\" does not exist", entry.table.name),
        )
    })
}

/// ALTER CONSTRAINT: when a foreign key is tested.
async fn alter_constraint(ddl: &mut Ddl, entry: &TableEntry, constraint: &str, timing: Timing) -> Result<()> {
    let found = find_constraint(entry, constraint)?;
    if !matches!(found.kind, ConstraintKind::ForeignKey { .. }) {
        let what = format!("constraint \"{constraint}\" of relation \"{}\"", entry.table.name);
        let message = format!("{what} is not a foreign key constraint");
        return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
    }
    let mut changed = (**found).clone();
    changed.timing = timing;
    ddl.put(changed).await
}

async fn add_column(
    ddl: &mut Ddl,
    entry: &Arc<TableEntry>,
    definition: &ast::ColumnDef,
    if_not_exists: bool,
    text: &str,
) -> Result<()> {
    let mut table = (*entry.table).clone();
    let number = i16::try_from(table.columns.len() + 1)
        .map_err(|_| SqlError::new(SqlState::TOO_MANY_COLUMNS, "tables can have at most 1600 columns"))?;
    let mut wanted = Wanted::default();
    let mut column = column_of(ddl, definition, number, &table.name, &mut wanted, text, None)
        .map_err(|error| at_collate(error, definition, text))?;
    if table.column(&column.name).is_some() {
        let message = format!("column \"{}\" of relation \"{}\" already exists", column.name, table.name);
        if if_not_exists {
            ddl.notices.push(SqlError::new(SqlState::DUPLICATE_COLUMN, format!("{message}, skipping")));
            return Ok(());
        }
        return Err(SqlError::new(SqlState::DUPLICATE_COLUMN, message));
    }
    let row_type = row_type_oid(table.oid);
    reshape::refuse_itself(ddl, row_type, column.data_type())?;
    reshape::refuse_whole_readers(ddl, row_type, "add a column to")?;
    if let Some((_, expr)) = wanted.defaults.first() {
        column.default = super::default::stored(ddl, &column, expr, text)?;
    }
    column.origin = ColumnIdentity::added(ddl.oid().await?);
    let position = table.columns.len();
    table.columns.push(column);
    if let Some((_, expr)) = wanted.generated.first() {
        let text = super::default::stored_generation(ddl, &table, &table.columns[position], expr, text)?;
        table.columns[position].default = Some(text);
    }
    let sequences = sequence::for_columns(ddl, &mut table, wanted.sequences).await?;
    ddl.tell_of_sequences("ALTER TABLE", &table, &sequences);
    let identity = sequences.first().map(|sequence| sequence.oid);
    for sequence in sequences {
        ddl.put(sequence).await?;
    }
    let added = &table.columns[position];
    if added.default.is_some() || added.identity.is_some() || ddl.catalog.is_domain(added.type_oid) {
        reshape::refuse_held(ddl, &table)?;
    }
    let (before, after) = (reshape::of_table(&entry.table), reshape::of_table(&table));
    let following = reshape::prepare(ddl, row_type, &before, &after)?;
    ddl.refresh().await?;
    let fills = fill_of(ddl, &table, &table.columns[position], identity, text)?;
    table.schema_version += 1;
    match fills {
        Some(fill) if table.columns[position].generated || crate::plan::walk::is_volatile(&fill) => {
            // Each row has a value of its own.
            let mut rewrite = rewrite::Rewrite::new(entry, table);
            rewrite.fills.push((position, fill));
            rewrite.run(ddl).await?;
        }
        fill => {
            // The default is worth one value for all rows that exist, so that none is touched.
            let no_row: [Datum; 0] = [];
            let context = ddl.execution.context();
            let missing = fill.map(|fill| fill.eval_row(&no_row.as_slice(), &context)).transpose();
            let missing = match missing {
                // No row has the value that the type refuses.
                Err(_) if is_empty(ddl, entry).await? => None,
                missing => missing?,
            };
            let column = &mut table.columns[position];
            column.missing = missing.unwrap_or_default();
            if column.not_null && column.missing.is_null() {
                let column = column.clone();
                if !is_empty(ddl, entry).await? {
                    return Err(contains_nulls(&table, &column.name));
                }
            }
            ddl.put(table).await?;
        }
    }
    if let Some(following) = following {
        Box::pin(following.run(ddl)).await?;
    }
    for each in wanted.constraints {
        ddl.refresh().await?;
        let current = ddl.catalog.expect_table(entry.table.oid)?.clone();
        add_constraint(ddl, &current, each, false, text).await?;
    }
    Ok(())
}

/// What a new column holds in the rows that exist.
fn fill_of(
    ddl: &Ddl,
    table: &Table,
    column: &TableColumn,
    identity: Option<u32>,
    text: &str,
) -> Result<Option<crate::expr::Expr>> {
    let default = match (&column.default, column.identity) {
        (Some(default), _) => default.clone(),
        (None, Some(_)) => format!("nextval('{}'::regclass)", identity.unwrap_or_default()),
        (None, None) if !crate::types::is_user_type(column.type_oid) => return Ok(None),
        // A domain may have a default, or refuse NULL.
        (None, None) => return ddl.binder(text).default_of(table, column).map(Some),
    };
    let expr = crate::parser::parse_expression(&default)?;
    if column.generated {
        return ddl.binder(text).bind_generation(table, column, &expr).map(Some);
    }
    ddl.binder(text).bind_default(column, &expr).map(Some)
}

/// 23502, for a column that is to have none.
fn contains_nulls(table: &Table, column: &str) -> SqlError {
    SqlError::new(
        SqlState::NOT_NULL_VIOLATION,
        format!("column \"{column}\" of relation \"{}\" contains null values", table.name),
    )
    .with_table(&table.name)
    .with_column(column)
}

async fn is_empty(ddl: &mut Ddl, entry: &TableEntry) -> Result<bool> {
    let mut found = false;
    let transaction = &ddl.execution.transaction;
    let mut scan = transaction.scan_latest(entry.table.tree, helios_mvcc::KeyRange::all(), false);
    let mut visit = |_: &[u8], _: &[u8]| {
        found = true;
        std::ops::ControlFlow::Break(())
    };
    scan.next(transaction, &mut visit).await?;
    Ok(!found)
}

async fn drop_column(
    ddl: &mut Ddl,
    entry: &Arc<TableEntry>,
    column: &str,
    if_exists: bool,
    cascade: bool,
) -> Result<()> {
    let table = &entry.table;
    let Some(found) = table.column(column) else {
        if crate::catalog::is_system_column(column) {
            return Err(SqlError::unsupported(format!("cannot drop system column \"{column}\"")));
        }
        let message = format!("column \"{column}\" of relation \"{}\" does not exist", table.name);
        if if_exists {
            ddl.notice(format!("{message}, skipping"));
            return Ok(());
        }
        return Err(SqlError::new(SqlState::UNDEFINED_COLUMN, message));
    };
    let thing = Thing::Column(table.oid, found.number);
    let described = thing.describe(ddl);
    reshape::refuse_domains(ddl, row_type_oid(table.oid), column, "drop", &described)?;
    drop_things(ddl, &[thing], cascade).await
}

async fn rename_column(ddl: &mut Ddl, entry: &Arc<TableEntry>, old: &str, new: &str) -> Result<()> {
    if entry.table.column(old).is_none() {
        return Err(SqlError::new(SqlState::UNDEFINED_COLUMN, format!("column \"{old}\" does not exist")));
    }
    crate::catalog::refuse_system_name(new)?;
    if entry.table.column(new).is_some() {
        return Err(SqlError::new(
            SqlState::DUPLICATE_COLUMN,
            format!("column \"{new}\" of relation \"{}\" already exists", entry.table.name),
        ));
    }
    let number = find_column(&entry.table, old)?.number;
    reshape::refuse_readers(ddl, entry.table.oid, number, old)?;
    let described = Thing::Column(entry.table.oid, number).describe(ddl);
    reshape::refuse_domains(ddl, row_type_oid(entry.table.oid), old, "rename", &described)?;
    for constraint in &entry.constraints {
        if let ConstraintKind::Check { expression, no_inherit } = &constraint.kind {
            let mut ast = crate::parser::parse_expression(expression)?;
            rename_in(&mut ast, old, new);
            let mut changed = (**constraint).clone();
            changed.kind = ConstraintKind::Check { expression: ast.to_string(), no_inherit: *no_inherit };
            ddl.put(changed).await?;
        }
    }
    let renamed = |text: &str| -> Result<String> {
        let mut ast = crate::parser::parse_expression(text)?;
        rename_in(&mut ast, old, new);
        Ok(ast.to_string())
    };
    for index in entry.indexes.iter().filter(|index| !index.is_plain()) {
        let mut changed = (**index).clone();
        changed.predicate = changed.predicate.as_deref().map(renamed).transpose()?;
        for expression in changed.columns.iter_mut().filter_map(|column| column.expression.as_mut()) {
            expression.text = renamed(&expression.text)?;
        }
        ddl.put(changed).await?;
    }
    let own: Vec<_> =
        ddl.catalog.extended_statistics().filter(|own| own.table == entry.table.oid).cloned().collect();
    for statistics in own.into_iter().filter(|own| !own.expressions.is_empty()) {
        let mut changed = (*statistics).clone();
        for text in &mut changed.expressions {
            *text = renamed(text)?;
        }
        ddl.put(changed).await?;
    }
    let mut table = (*entry.table).clone();
    for column in table.columns.iter_mut().filter(|column| column.generated) {
        column.default = column.default.as_deref().map(renamed).transpose()?;
    }
    table.columns[Table::position(number)].name = new.to_string();
    let (before, after) = (reshape::of_table(&entry.table), reshape::of_table(&table));
    let following = reshape::prepare(ddl, row_type_oid(table.oid), &before, &after)?;
    ddl.put(table).await?;
    match following {
        Some(following) => Box::pin(following.run(ddl)).await,
        None => Ok(()),
    }
}

/// Renames a column wherever an expression names it.
fn rename_in(expr: &mut ast::Expr, old: &str, new: &str) {
    // Renaming does not fail.
    let _ = walk_expressions(expr, &mut |node| {
        let identifier = match node {
            ast::Expr::Identifier(identifier) => Some(identifier),
            ast::Expr::CompoundIdentifier(parts) => parts.last_mut(),
            _ => None,
        };
        if let Some(identifier) = identifier
            && name::fold(identifier) == old
        {
            *identifier = ast::Ident::with_quote('"', new);
        }
        Ok(())
    });
}

async fn alter_column(
    ddl: &mut Ddl,
    entry: &Arc<TableEntry>,
    column: &str,
    operation: &AlterColumnOperation,
    text: &str,
) -> Result<()> {
    let found = find_column(&entry.table, column)?.clone();
    match operation {
        AlterColumnOperation::SetDefault { value } => {
            identity::refuse(entry, &found)?;
            let default = super::default::stored(ddl, &found, value, text)?;
            change_column(ddl, entry, column, |column| column.default = default).await
        }
        AlterColumnOperation::DropDefault => {
            identity::refuse(entry, &found)?;
            change_column(ddl, entry, column, |column| column.default = None).await
        }
        AlterColumnOperation::DropNotNull => {
            if found.identity.is_some() {
                return Err(SqlError::syntax(format!(
                    "column \"{column}\" of relation \"{}\" is an identity column",
                    entry.table.name
                )));
            }
            if entry.table.primary_key.contains(&found.number) {
                return Err(SqlError::new(
                    SqlState::INVALID_TABLE_DEFINITION,
                    format!("column \"{column}\" is in a primary key"),
                ));
            }
            change_column(ddl, entry, column, |column| column.not_null = false).await
        }
        AlterColumnOperation::SetNotNull => {
            change_column(ddl, entry, column, |column| column.not_null = true).await?;
            ddl.refresh().await?;
            let current = ddl.catalog.expect_table(entry.table.oid)?.clone();
            let writer = ddl.writer(&current)?;
            write::check_rows(&writer, &mut ddl.execution).await.map_err(|error| {
                if error.state() != SqlState::NOT_NULL_VIOLATION {
                    return error;
                }
                let schema = ddl.catalog.schema(entry.table.schema).map(|schema| schema.name.clone());
                contains_nulls(&entry.table, column).with_schema(schema.unwrap_or_default())
            })
        }
        AlterColumnOperation::SetDataType { data_type, using, .. } => {
            let change = column_type::Change { column: found, data_type, using: using.as_ref() };
            column_type::change(ddl, entry, &[change], text).await
        }
        AlterColumnOperation::AddGenerated { .. } => {
            Err(SqlError::internal("our own parser takes ADD GENERATED"))
        }
    }
}

async fn add_constraint(
    ddl: &mut Ddl,
    entry: &Arc<TableEntry>,
    wanted: constraint::Wanted,
    not_valid: bool,
    text: &str,
) -> Result<()> {
    let table = entry.table.clone();
    let named = |given: Option<String>, generated: String, ddl: &Ddl| -> Result<String> {
        match given {
            None => Ok(ddl.free_name(table.schema, &generated, &[])),
            Some(given) if entry.constraints.iter().any(|each| each.name == given) => Err(SqlError::new(
                SqlState::DUPLICATE_OBJECT,
                format!("constraint \"{given}\" for relation \"{}\" already exists", table.name),
            )),
            Some(given) => Ok(given),
        }
    };
    match wanted {
        constraint::Wanted::PrimaryKey { name, columns, timing } => {
            let name = named(name, constraint::generated_name(&table.name, &[], "pkey"), ddl)?;
            add_primary_key(ddl, entry, &name, &columns, timing).await
        }
        constraint::Wanted::Unique { name, columns, nulls_not_distinct, timing } => {
            let name = named(name, constraint::generated_name(&table.name, &columns, "key"), ddl)?;
            let numbers = constraint::numbers(&table, &columns)?;
            let (index, made) =
                constraint::make_key(ddl, &table, &name, &numbers, false, nulls_not_distinct, timing).await?;
            ddl.tell_of_index("ALTER TABLE / ADD", false, &index.name, &table);
            super::index::fill(ddl, entry, &index).await?;
            ddl.put(index).await?;
            ddl.put(made).await
        }
        constraint::Wanted::UsingIndex { name, index, primary, timing } => {
            let found = constraint::index_for_key(ddl, entry, &index)?;
            let name = named(name.or(Some(index.clone())), index.clone(), ddl)?;
            if name != index {
                ddl.notice(format!(
                    "ALTER TABLE / ADD CONSTRAINT USING INDEX will rename index \"{index}\" to \"{name}\""
                ));
            }
            if primary {
                // Rows lie in the order of the primary key, so there is no other index for it.
                let columns =
                    found.columns.iter().map(|column| table.column_numbered(column.number).name.clone());
                let columns: Vec<String> = columns.collect();
                ddl.execution.transaction.drop_tree(found.tree)?;
                ddl.remove((*found).clone()).await?;
                ddl.refresh().await?;
                let entry = ddl.catalog.expect_table(table.oid)?.clone();
                return add_primary_key(ddl, &entry, &name, &columns, timing).await;
            }
            let made = constraint::of_index(ddl, &found, &name, timing).await?;
            let mut renamed = (*found).clone();
            renamed.name = name;
            ddl.replace((*found).clone(), renamed).await?;
            ddl.put(made).await
        }
        constraint::Wanted::Check { name, expression, no_inherit } => {
            let columns = constraint::naming_columns(ddl, &table, &expression, text)?;
            let name = named(name, constraint::generated_name(&table.name, &columns, "check"), ddl)?;
            let mut made = constraint::make_check(ddl, &table, &name, &expression, no_inherit, text).await?;
            made.validated = !not_valid;
            add_and_test(ddl, made).await
        }
        constraint::Wanted::ForeignKey { name, columns, key } => {
            let name = named(name, constraint::generated_name(&table.name, &columns, "fkey"), ddl)?;
            let mut made = constraint::make_foreign_key(ddl, &table, &name, &columns, &key, None).await?;
            made.validated = !not_valid;
            add_and_test(ddl, made).await
        }
    }
}

/// Looks at all rows again after their values were converted: at the CHECKs, and at the foreign keys from and to columns
/// that changed.
pub async fn test_again(ddl: &mut Ddl, table: u32, columns: &[ColumnNumber]) -> Result<()> {
    ddl.refresh().await?;
    let entry = ddl.catalog.expect_table(table)?.clone();
    let reads = |constraint: &&Arc<Constraint>| {
        constraint.validated && constraint.columns.iter().any(|number| columns.contains(number))
    };
    let is_check = |constraint: &&Arc<Constraint>| matches!(constraint.kind, ConstraintKind::Check { .. });
    if entry.constraints.iter().filter(reads).any(|constraint| is_check(&constraint)) {
        let writer = ddl.writer(&entry)?;
        write::check_rows(&writer, &mut ddl.execution)
            .await
            .map_err(|error| by_some_row(&entry.table, error))?;
    }
    let mut children: Vec<u32> = Vec::new();
    for constraint in ddl.catalog.constraints() {
        let ConstraintKind::ForeignKey { table: parent, columns: referred, .. } = &constraint.kind else {
            continue;
        };
        let is_own =
            constraint.table == table && constraint.columns.iter().any(|each| columns.contains(each));
        let is_referred = *parent == table && referred.iter().any(|each| columns.contains(each));
        if constraint.validated && (is_own || is_referred) && !children.contains(&constraint.table) {
            children.push(constraint.table);
        }
    }
    for child in children {
        let child = ddl.catalog.expect_table(child)?.clone();
        let writer = ddl.writer(&child)?;
        write::check_references(&writer, usize::MAX, &mut ddl.execution).await?;
        write::check_pending(&mut ddl.execution, write::Due::Statement).await?;
    }
    Ok(())
}

/// The error of a CHECK that was tested against the rows that are there.
fn by_some_row(table: &Table, error: SqlError) -> SqlError {
    if error.state() != SqlState::CHECK_VIOLATION {
        return error;
    }
    let name = error.fields().constraint.clone().unwrap_or_default();
    let message =
        format!("check constraint \"{name}\" of relation \"{}\" is violated by some row", table.name);
    SqlError::new(SqlState::CHECK_VIOLATION, message).with_table(&table.name).with_constraint(&name)
}

/// Stores a CHECK or a foreign key, after a look at the rows that are there, unless it is NOT VALID.
async fn add_and_test(ddl: &mut Ddl, made: Constraint) -> Result<()> {
    let is_check = matches!(made.kind, ConstraintKind::Check { .. });
    let (table, validated) = (made.table, made.validated);
    ddl.put(made).await?;
    if !validated {
        return Ok(());
    }
    ddl.refresh().await?;
    let current = ddl.catalog.expect_table(table)?.clone();
    let writer = ddl.writer(&current)?;
    if !is_check {
        write::check_references(&writer, usize::MAX, &mut ddl.execution).await?;
        return write::check_pending(&mut ddl.execution, write::Due::Statement).await;
    }
    write::check_rows(&writer, &mut ddl.execution).await.map_err(|error| by_some_row(&current.table, error))
}

/// ADD PRIMARY KEY: the rows move into a new tree, clustered on it, and the indexes point at the new keys.
async fn add_primary_key(
    ddl: &mut Ddl,
    entry: &Arc<TableEntry>,
    name: &str,
    columns: &[String],
    timing: Timing,
) -> Result<()> {
    if !entry.table.primary_key.is_empty() {
        return Err(SqlError::new(
            SqlState::INVALID_TABLE_DEFINITION,
            format!("multiple primary keys for table \"{}\" are not allowed", entry.table.name),
        ));
    }
    let mut table = (*entry.table).clone();
    let numbers = constraint::numbers(&table, columns)?;
    table.primary_key.clone_from(&numbers);
    for number in &numbers {
        table.columns[Table::position(*number)].not_null = true;
    }
    let (index, made) = constraint::make_key(ddl, &table, name, &numbers, true, false, timing).await?;
    ddl.tell_of_index("ALTER TABLE / ADD", true, &index.name, &table);
    let mut rewrite = rewrite::Rewrite::new(entry, table);
    rewrite.primary = Some(index);
    rewrite.run(ddl).await?;
    ddl.put(made).await
}

async fn drop_constraint(
    ddl: &mut Ddl,
    entry: &Arc<TableEntry>,
    wanted: &str,
    if_exists: bool,
    cascade: bool,
) -> Result<()> {
    match find_constraint(entry, wanted) {
        Ok(constraint) => drop_things(ddl, &[Thing::Constraint(constraint.oid)], cascade).await,
        Err(error) if if_exists => {
            ddl.notice(format!("{}, skipping", error.message()));
            Ok(())
        }
        Err(error) => Err(error),
    }
}
