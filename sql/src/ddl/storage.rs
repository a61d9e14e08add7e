//! Storage parameters: `WITH (fillfactor = 70)`.
//!
//! All that PostgreSQL knows are accepted and kept as given, for `pg_class` and for dumps. The fill factor is obeyed: it
//! says how full rows that come in key order make the leaves of a tree. The others tell a vacuum what to do, and nothing
//! here.

use sqlparser::ast;

use crate::binder::name;
use crate::error::{Result, SqlError, SqlState};

/// Parameters with their values, as given.
pub type Options = Vec<(String, String)>;

const FILL_FACTOR: &str = "fillfactor";

/// What a table has besides [`FILL_FACTOR`] and those of autovacuum.
const OF_TABLES: [&str; 6] = [
    "log_autovacuum_min_duration",
    "parallel_workers",
    "toast_tuple_target",
    "user_catalog_table",
    "vacuum_index_cleanup",
    "vacuum_truncate",
];

const OF_VIEWS: [&str; 3] = ["check_option", "security_barrier", "security_invoker"];

const OF_AUTOVACUUM: [&str; 15] = [
    "analyze_scale_factor",
    "analyze_threshold",
    "enabled",
    "freeze_max_age",
    "freeze_min_age",
    "freeze_table_age",
    "multixact_freeze_max_age",
    "multixact_freeze_min_age",
    "multixact_freeze_table_age",
    "vacuum_cost_delay",
    "vacuum_cost_limit",
    "vacuum_insert_scale_factor",
    "vacuum_insert_threshold",
    "vacuum_scale_factor",
    "vacuum_threshold",
];

/// Whose parameters they are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Table,
    Index,
    View,
}

impl Owner {
    fn knows(self, parameter: &str) -> bool {
        match self {
            Owner::View => OF_VIEWS.contains(&parameter),
            _ if parameter == FILL_FACTOR => true,
            Owner::Index => parameter == "deduplicate_items",
            Owner::Table => {
                let parameter = parameter.strip_prefix("toast.").unwrap_or(parameter);
                let of_autovacuum = parameter.strip_prefix("autovacuum_");
                OF_TABLES.contains(&parameter)
                    || of_autovacuum.is_some_and(|name| OF_AUTOVACUUM.contains(&name))
            }
        }
    }

    /// How full leaves become, in percent: tables are loaded in key order, while indexes keep room for what comes
    /// between.
    fn usual_fill_percent(self) -> u8 {
        match self {
            Owner::Table => 100,
            Owner::Index => 90,
            Owner::View => 100,
        }
    }
}

/// The parameters of CREATE TABLE or CREATE VIEW.
///
/// # Errors
/// 22023.
pub fn of_relation(options: &ast::CreateTableOptions, owner: Owner) -> Result<Options> {
    match options {
        ast::CreateTableOptions::None => Ok(Options::new()),
        ast::CreateTableOptions::With(list) => checked(given(list), owner),
        // Other databases have them without WITH.
        other => Err(SqlError::syntax(format!("syntax error at or near \"{other}\""))),
    }
}

/// The parameters of a table or index after ALTER … SET; its fill factor is obeyed by trees that are made from then on.
///
/// # Errors
/// 22023.
pub fn changed(before: &[(String, String)], list: &[(String, String)], owner: Owner) -> Result<Options> {
    let set = checked(list.iter().cloned(), owner)?;
    let is_kept = |(parameter, _): &&(String, String)| set.iter().all(|(other, _)| other != parameter);
    let mut options: Options = before.iter().filter(is_kept).cloned().collect();
    options.extend(set);
    Ok(options)
}

fn given(list: &[ast::SqlOption]) -> impl Iterator<Item = (String, String)> {
    list.iter().filter_map(|option| match option {
        ast::SqlOption::KeyValue { key, value } => Some((name::fold(key), text_of(value))),
        ast::SqlOption::Ident(key) => Some((name::fold(key), "true".to_string())),
        _ => None,
    })
}

/// The parameters of CREATE INDEX.
///
/// # Errors
/// 22023.
pub fn of_index(list: &[ast::Expr]) -> Result<Options> {
    let key_of = |expr: &ast::Expr| match expr {
        ast::Expr::Identifier(key) => Some(name::fold(key)),
        _ => None,
    };
    let given = list.iter().filter_map(|option| match option {
        ast::Expr::BinaryOp { left, right, .. } => Some((key_of(left)?, text_of(right))),
        key => Some((key_of(key)?, "true".to_string())),
    });
    checked(given, Owner::Index)
}

fn text_of(value: &ast::Expr) -> String {
    match value {
        ast::Expr::Value(value) => {
            value.value.clone().into_string().unwrap_or_else(|| value.value.to_string())
        }
        other => other.to_string(),
    }
}

fn checked(given: impl Iterator<Item = (String, String)>, owner: Owner) -> Result<Options> {
    let invalid = |message: String| SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message);
    let mut options = Options::new();
    for (parameter, value) in given {
        if !owner.knows(&parameter) {
            return Err(invalid(format!("unrecognized parameter \"{parameter}\"")));
        }
        if options.iter().any(|(other, _)| *other == parameter) {
            return Err(invalid(format!("parameter \"{parameter}\" specified more than once")));
        }
        if parameter == FILL_FACTOR {
            let number = integer(&value).ok_or_else(|| {
                invalid(format!("invalid value for integer option \"{parameter}\": {value}"))
            })?;
            if !(10..=100).contains(&number) {
                return Err(invalid(format!("value {value} out of bounds for option \"{parameter}\""))
                    .with_detail("Valid values are between \"10\" and \"100\"."));
            }
        }
        options.push((parameter, value));
    }
    Ok(options)
}

/// A whole number as PostgreSQL reads one in a parameter: with spaces around it, hexadecimal, or rounded.
fn integer(text: &str) -> Option<i32> {
    let text = text.trim();
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return i32::from_str_radix(digits, 16).ok();
    }
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let number: f64 = text.parse().ok()?;
    let rounded = number.round_ties_even();
    (rounded.abs() <= f64::from(i32::MAX)).then_some(rounded as i32)
}

/// How full rows in key order make the leaves.
#[must_use]
pub fn fill_percent(options: &[(String, String)], owner: Owner) -> u8 {
    let given = options.iter().find(|(parameter, _)| parameter == FILL_FACTOR);
    let percent = given.and_then(|(_, value)| u8::try_from(integer(value)?).ok());
    percent.unwrap_or_else(|| owner.usual_fill_percent())
}
