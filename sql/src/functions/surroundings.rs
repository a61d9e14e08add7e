//! Functions about objects, settings and the database's own relations that tools call; the session answers them.

use super::registry::{Entry, Registry};
use super::rows::{column, listed};
use super::vector::wrong_arguments;
use super::{EvalContext, RowsKernel};
use crate::error::{Result, SqlError, SqlState};
use crate::relations;
use crate::types::Oid;
use crate::types::oids::{
    ANY, INT4, INT8, NAME, NUMERIC, OID, RECORD, REGCLASS, TEXT, TEXT_ARRAY, TIMESTAMPTZ, XID,
};
use crate::value::{Datum, Numeric};

/// What `pg_last_committed_xact` tells.
pub const LAST_COMMITTED: [(&str, Oid); 3] = [("xid", XID), ("timestamp", TIMESTAMPTZ), ("roident", OID)];

/// What `pg_extension_update_paths` tells.
const UPDATE_PATHS: [(&str, Oid); 3] = [("source", TEXT), ("target", TEXT), ("path", TEXT)];

/// The encodings that `to_ascii` knows.
const ASCII_ENCODINGS: [&str; 4] = ["latin1", "latin2", "latin9", "win1250"];

/// The rows of a relation that is also a function.
macro_rules! rows_of {
    ($($name:literal),*) => {
        [$(($name, (|_, _, context| Ok(listed(context.session.relation_rows($name)?))) as RowsKernel)),*]
    };
}

fn whole(datum: &Datum) -> Result<Option<Numeric>> {
    match datum {
        Datum::Null => Ok(None),
        Datum::Int64(number) => Ok(Some(Numeric::from(*number))),
        Datum::Numeric(number) => Ok(Some(number.clone())),
        _ => Err(wrong_arguments()),
    }
}

/// The state of `sum(bigint)` and one value more.
fn sum_step(arguments: &[Datum]) -> Result<Datum> {
    Ok(match (whole(&arguments[0])?, whole(&arguments[1])?) {
        (Some(sum), Some(value)) => Datum::Numeric(sum.add(&value)?),
        (one, other) => one.or(other).map_or(Datum::Null, Datum::Numeric),
    })
}

/// What `to_ascii` makes of a text whose bytes it takes to be in an encoding: only those that are ASCII anyway.
fn to_ascii(arguments: &[Datum], encoding: &str) -> Result<Datum> {
    let unsupported = |encoding: &str| {
        SqlError::unsupported(format!("encoding conversion from {encoding} to ASCII not supported"))
    };
    let text = arguments[0].as_text().ok_or_else(wrong_arguments)?;
    let plain: String =
        encoding.chars().filter(char::is_ascii_alphanumeric).map(|each| each.to_ascii_lowercase()).collect();
    if !ASCII_ENCODINGS.contains(&plain.as_str()) {
        return Err(unsupported(encoding));
    }
    if text.is_ascii() { Ok(arguments[0].clone()) } else { Err(unsupported("UTF8")) }
}

fn named_encoding(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let name = arguments[1].as_text().ok_or_else(wrong_arguments)?;
    match crate::encoding::Encoding::named(name) {
        Some(found) => to_ascii(arguments, found.name()),
        None => {
            Err(SqlError::new(SqlState::UNDEFINED_OBJECT, format!("{name} is not a valid encoding name")))
        }
    }
}

/// How old a multixact is: none was ever made.
fn multixact_age(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    const FIRST: u32 = 1;
    match arguments[0] {
        Datum::Oid(0) => Ok(Datum::Int32(i32::MAX)),
        Datum::Oid(number) => Ok(Datum::Int32(FIRST.wrapping_sub(number).cast_signed())),
        _ => Err(wrong_arguments()),
    }
}

pub(super) fn register(registry: &mut Registry) {
    for (name, kernel) in rows_of!(
        "pg_timezone_names",
        "pg_timezone_abbrevs",
        "pg_hba_file_rules",
        "pg_ident_file_mappings",
        "pg_config",
        "pg_get_keywords",
        "pg_get_catalog_foreign_keys"
    ) {
        let Some(relation) = relations::function(name) else { continue };
        registry.add(Entry::rows(name, &[], RECORD, kernel).columns(&relation.columns).stable());
    }
    let address = Entry::session("pg_get_object_address", &[TEXT, TEXT_ARRAY, TEXT_ARRAY], RECORD);
    registry.add(address.columns(&relations::ADDRESS));
    let identity = Entry::session("pg_identify_object", &[OID, OID, INT4], RECORD);
    registry.add(identity.columns(&relations::IDENTITY));
    let names = Entry::session("pg_identify_object_as_address", &[OID, OID, INT4], RECORD);
    registry.add(names.columns(&relations::NAMES));
    registry.add(Entry::session("pg_last_committed_xact", &[], RECORD).columns(&LAST_COMMITTED).volatile());
    registry.add(Entry::session("pg_settings_get_flags", &[TEXT], TEXT_ARRAY));
    registry.add(Entry::session("pg_relation_filepath", &[REGCLASS], TEXT));
    registry.add(
        Entry::rows("pg_tablespace_databases", &[OID], OID, |arguments, _, context| {
            let found = context.session.call("pg_tablespace_databases", arguments, context)?;
            let Datum::Array(databases) = found else { return Err(wrong_arguments()) };
            Ok(column(databases.elements.iter().cloned()))
        })
        .stable(),
    );
    registry.add(
        Entry::rows("pg_extension_update_paths", &[NAME], RECORD, |arguments, _, context| {
            context.session.call("pg_extension_update_paths", arguments, context)?;
            Ok(column([]))
        })
        .columns(&UPDATE_PATHS)
        .stable(),
    );
    registry.add(Entry::new("mxid_age", &[XID], INT4, multixact_age).stable());
    // Values are not compressed one by one.
    registry.add(Entry::new("pg_column_compression", &[ANY], TEXT, |_, _| Ok(Datum::Null)).stable());
    registry.add(
        Entry::new("int8_sum", &[NUMERIC, INT8], NUMERIC, |arguments, _| sum_step(arguments)).not_strict(),
    );
    registry.add(Entry::new("numeric_inc", &[NUMERIC], NUMERIC, |arguments, _| {
        sum_step(&[arguments[0].clone(), Datum::Int64(1)])
    }));
    registry.add(Entry::new("to_ascii", &[TEXT], TEXT, |arguments, _| to_ascii(arguments, "UTF8")));
    registry.add(Entry::new("to_ascii", &[TEXT, NAME], TEXT, named_encoding));
    registry.add(Entry::new("to_ascii", &[TEXT, INT4], TEXT, |arguments, _| {
        let number = arguments[1].as_i64();
        match number.and_then(crate::encoding::Encoding::numbered) {
            Some(found) => to_ascii(arguments, found.name()),
            None => {
                let message = format!("{} is not a valid encoding code", arguments[1].as_i64().unwrap_or(-1));
                Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message))
            }
        }
    }));
}
