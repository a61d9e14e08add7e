//! ALTER COLUMN … SET STATISTICS, SET STORAGE, SET COMPRESSION, SET (…) and RESET (…).

use std::sync::Arc;

use super::Ddl;
use super::alter_table::find_column;
use crate::binder::name;
use crate::catalog::{Table, TableColumn, TableEntry};
use crate::error::{Result, SqlError, SqlState};
use crate::parser::ColumnSetting;
use crate::relations::type_storage;
use crate::types::format_type;

/// As much as ANALYZE ever gathers.
const STATISTICS_MAX: i64 = 10_000;
const PLAIN: u8 = b'p';
/// The storage parameters of columns.
const OPTIONS: [&str; 2] = ["n_distinct", "n_distinct_inherited"];

pub async fn set(
    ddl: &mut Ddl,
    entry: &Arc<TableEntry>,
    column: &sqlparser::ast::Ident,
    setting: &ColumnSetting,
) -> Result<()> {
    if let ColumnSetting::Statistics(target) = setting {
        check_statistics(ddl, *target)?;
    }
    let found = find_column(&entry.table, &name::fold(column))?.clone();
    let mut settings = found.settings.clone();
    match setting {
        ColumnSetting::Statistics(target) => {
            settings.statistics =
                i32::try_from(*target.min(&STATISTICS_MAX)).ok().filter(|target| *target >= 0);
        }
        ColumnSetting::Storage(kind) => {
            let kind = match kind.to_ascii_lowercase().as_str() {
                "plain" => PLAIN,
                "external" => b'e',
                "extended" => b'x',
                "main" => b'm',
                _ => return Err(SqlError::invalid_parameter(format!("invalid storage type \"{kind}\""))),
            };
            if kind != PLAIN && own_storage(ddl, &found) == PLAIN {
                let shown = shown_type(ddl, &found);
                return Err(SqlError::unsupported(format!(
                    "column data type {shown} can only have storage PLAIN"
                )));
            }
            settings.storage = Some(kind).filter(|kind| *kind != own_storage(ddl, &found));
        }
        ColumnSetting::Compression(method) => {
            settings.compression = compression(ddl, &found, method)?;
        }
        ColumnSetting::Options(options) => {
            for (option, value) in options {
                check_option(option, value)?;
                settings.options.retain(|(name, _)| name != option);
                settings.options.push((option.clone(), value.clone()));
            }
        }
        ColumnSetting::Reset(options) => settings.options.retain(|(name, _)| !options.contains(name)),
    }
    let mut table = (*entry.table).clone();
    table.columns[Table::position(found.number)].settings = settings;
    ddl.put(table).await
}

fn check_statistics(ddl: &mut Ddl, target: i64) -> Result<()> {
    if target < -1 {
        return Err(SqlError::invalid_parameter(format!("statistics target {target} is too low")));
    }
    if target > STATISTICS_MAX {
        let message = format!("lowering statistics target to {STATISTICS_MAX}");
        ddl.warnings.push(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    Ok(())
}

fn check_option(option: &str, value: &str) -> Result<()> {
    if !OPTIONS.contains(&option) {
        return Err(SqlError::invalid_parameter(format!("unrecognized parameter \"{option}\"")));
    }
    let number = value.parse::<f64>().ok().filter(|number| number.is_finite()).ok_or_else(|| {
        SqlError::invalid_parameter(format!("invalid value for floating point option \"{option}\": {value}"))
    })?;
    if number < -1.0 {
        let message = format!("value {value} out of bounds for option \"{option}\"");
        let detail = format!("Valid values are between \"-1.000000\" and \"{:.6}\".", f64::MAX);
        return Err(SqlError::invalid_parameter(message).with_detail(detail));
    }
    Ok(())
}

/// The storage that a column's type has.
/// A column's method of compression; nothing for the default one.
///
/// # Errors
/// 22023 for one that is not known, 0A000 where the type has none.
pub(super) fn compression(ddl: &Ddl, column: &TableColumn, method: &str) -> Result<Option<u8>> {
    if method == "default" {
        return Ok(None);
    }
    if own_storage(ddl, column) == PLAIN {
        let shown = shown_type(ddl, column);
        return Err(SqlError::unsupported(format!("column data type {shown} does not support compression")));
    }
    match method {
        "pglz" => Ok(Some(b'p')),
        "lz4" => Ok(Some(b'l')),
        _ => Err(SqlError::invalid_parameter(format!("invalid compression method \"{method}\""))),
    }
}

fn own_storage(ddl: &Ddl, column: &TableColumn) -> u8 {
    type_storage(&ddl.execution.environment, column.type_oid)
}

fn shown_type(ddl: &Ddl, column: &TableColumn) -> String {
    format_type(column.data_type(), &ddl.types())
}
