//! Pseudo-types: only in signatures, but for `record`.

use super::scalar::operations;
use super::{Category, Oid, TypeInfo, TypeOperations, TypeShape, oids};
use crate::error::{SqlError, SqlState};
use crate::value::{Datum, PhysicalKind};
use std::borrow::Cow;

const REFUSE: TypeOperations = operations(
    |info, _, _, _| Err(SqlError::unsupported(format!("cannot accept a value of type {}", info.name))),
    |info, datum, out, context| match datum {
        // `void` is the empty text.
        Datum::Text(text) if text.is_empty() => Ok(()),
        Datum::Text(text) => {
            out.push_str(text);
            Ok(())
        }
        // `anyarray` in the catalog: each value is an array of some type.
        Datum::Array(array) => {
            let array_oid = context.type_info(array.element_type)?.array_oid;
            context.type_info(array_oid)?.print_text(datum, out, context)
        }
        _ => Err(SqlError::unsupported(format!("cannot display a value of type {}", info.name))),
    },
    |info, _, _, _| {
        Err(match info.oid {
            oids::ANYARRAY | oids::ANYCOMPATIBLEARRAY => {
                SqlError::unsupported(format!("cannot accept a value of type {}", info.name))
            }
            _ => SqlError::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("no binary input function available for type {}", info.sql_name),
            ),
        })
    },
    |_, _, _, _| Ok(()),
);

/// `void`, which is the empty text whatever it is read from.
const VOID: TypeOperations = operations(
    |_, _, _, _| Ok(Datum::text("")),
    |_, _, _, _| Ok(()),
    |_, _, _, _| Ok(Datum::text("")),
    |_, _, _, _| Ok(()),
);

pub(super) fn types() -> Vec<TypeInfo> {
    let pseudo = |oid: Oid, name: &'static str, kind: PhysicalKind| TypeInfo {
        oid,
        name: Cow::Borrowed(name),
        sql_name: Cow::Borrowed(if oid == oids::ANY { "\"any\"" } else { name }),
        array_oid: 0,
        category: Category::Pseudo,
        preferred: false,
        length: 4,
        kind,
        shape: TypeShape::Pseudo,
        operations: REFUSE,
    };
    let text = |oid, name| pseudo(oid, name, PhysicalKind::Text);
    let array = |oid, name| pseudo(oid, name, PhysicalKind::Array);
    let spans = |oid, name| pseudo(oid, name, PhysicalKind::Spans);
    vec![
        text(oids::ANY, "any"),
        TypeInfo { operations: VOID, ..text(oids::VOID, "void") },
        text(oids::TRIGGER, "trigger"),
        text(oids::LANGUAGE_HANDLER, "language_handler"),
        text(oids::INTERNAL, "internal"),
        text(oids::PG_DDL_COMMAND, "pg_ddl_command"),
        text(oids::EVENT_TRIGGER, "event_trigger"),
        text(oids::TABLE_AM_HANDLER, "table_am_handler"),
        text(oids::INDEX_AM_HANDLER, "index_am_handler"),
        text(oids::TSM_HANDLER, "tsm_handler"),
        text(oids::FDW_HANDLER, "fdw_handler"),
        text(oids::ANYELEMENT, "anyelement"),
        text(oids::ANYNONARRAY, "anynonarray"),
        text(oids::ANYENUM, "anyenum"),
        text(oids::ANYCOMPATIBLE, "anycompatible"),
        text(oids::ANYCOMPATIBLENONARRAY, "anycompatiblenonarray"),
        array(oids::ANYARRAY, "anyarray"),
        array(oids::ANYCOMPATIBLEARRAY, "anycompatiblearray"),
        spans(oids::ANYRANGE, "anyrange"),
        spans(oids::ANYMULTIRANGE, "anymultirange"),
        spans(oids::ANYCOMPATIBLERANGE, "anycompatiblerange"),
        spans(oids::ANYCOMPATIBLEMULTIRANGE, "anycompatiblemultirange"),
        super::composite::record_type(),
    ]
}
