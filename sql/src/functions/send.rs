//! The functions that give a value's binary form, as the protocol has it: `int4send` and its siblings.

use super::registry::{Entry, Registry};
use super::vector::wrong_arguments;
use super::{CallTypes, EvalContext};
use crate::error::Result;
use crate::types::Oid;
use crate::types::oids::{self, BYTEA};
use crate::value::Datum;

/// The functions of single types.
const SENDERS: &[(&str, Oid)] = &[
    ("boolsend", oids::BOOL),
    ("byteasend", oids::BYTEA),
    ("charsend", oids::CHAR),
    ("namesend", oids::NAME),
    ("int2send", oids::INT2),
    ("int4send", oids::INT4),
    ("int8send", oids::INT8),
    ("textsend", oids::TEXT),
    ("bpcharsend", oids::BPCHAR),
    ("varcharsend", oids::VARCHAR),
    ("oidsend", oids::OID),
    ("xidsend", oids::XID),
    ("tidsend", oids::TID),
    ("xid8send", oids::XID8),
    ("cidsend", oids::CID),
    ("oidvectorsend", oids::OIDVECTOR),
    ("int2vectorsend", oids::INT2VECTOR),
    ("float4send", oids::FLOAT4),
    ("float8send", oids::FLOAT8),
    ("cash_send", oids::MONEY),
    ("numeric_send", oids::NUMERIC),
    ("date_send", oids::DATE),
    ("time_send", oids::TIME),
    ("timetz_send", oids::TIMETZ),
    ("timestamp_send", oids::TIMESTAMP),
    ("timestamptz_send", oids::TIMESTAMPTZ),
    ("interval_send", oids::INTERVAL),
    ("bit_send", oids::BIT),
    ("varbit_send", oids::VARBIT),
    ("inet_send", oids::INET),
    ("cidr_send", oids::CIDR),
    ("macaddr_send", oids::MACADDR),
    ("macaddr8_send", oids::MACADDR8),
    ("pg_lsn_send", oids::PG_LSN),
    ("pg_snapshot_send", oids::PG_SNAPSHOT),
    ("txid_snapshot_send", oids::TXID_SNAPSHOT),
    ("uuid_send", oids::UUID),
    ("json_send", oids::JSON),
    ("jsonb_send", oids::JSONB),
    ("regprocsend", oids::REGPROC),
    ("regproceduresend", oids::REGPROCEDURE),
    ("regopersend", oids::REGOPER),
    ("regoperatorsend", oids::REGOPERATOR),
    ("regclasssend", oids::REGCLASS),
    ("regtypesend", oids::REGTYPE),
    ("regconfigsend", oids::REGCONFIG),
    ("regnamespacesend", oids::REGNAMESPACE),
    ("regrolesend", oids::REGROLE),
    ("regcollationsend", oids::REGCOLLATION),
];

/// Those of families of types, whose form depends on others.
const POLYMORPHIC_SENDERS: &[(&str, Oid)] = &[
    ("array_send", oids::ANYARRAY),
    ("range_send", oids::ANYRANGE),
    ("multirange_send", oids::ANYMULTIRANGE),
    ("record_send", oids::RECORD),
    ("enum_send", oids::ANYENUM),
];

fn send(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let ([value], [data_type]) = (arguments, types.arguments) else { return Err(wrong_arguments()) };
    let mut out = Vec::new();
    context.type_info(data_type.oid)?.write_binary(value, &mut out, context)?;
    Ok(Datum::from(out))
}

pub(super) fn register(registry: &mut Registry) {
    for (name, data_type) in SENDERS {
        registry.add(Entry::typed(*name, &[*data_type], BYTEA, send));
    }
    for (name, data_type) in POLYMORPHIC_SENDERS {
        registry.add(Entry::typed(*name, &[*data_type], BYTEA, send).stable());
    }
}
