//! What is built in: pg_proc, pg_operator, pg_cast, pg_am, pg_language.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::procedures::{self, Procedure, ProcedureKind};
use super::relation::{MakeRows, RelationRows, VirtualRelation, letter, oid, oid_vector, text};
use super::standard_rights::list_of;
use crate::catalog::{PG_CATALOG, SUPERUSER};
use crate::error::Result;
use crate::execute::Environment;
use crate::functions::{CastContext, CastMethod, Operator, Volatility, registry};
use crate::rights::{grants_datum, initial_function_grants};
use crate::types::{builtin_type, oids};
use crate::value::{Datum, PhysicalKind};

pub const MAKERS: &[(&str, MakeRows)] = &[
    ("pg_proc", functions),
    ("pg_operator", operators),
    ("pg_cast", casts),
    ("pg_am", access_methods),
    ("pg_language", languages),
    ("pg_get_keywords", keywords),
];

/// A word to a line: its category, and whether it may be a column's name without AS.
const KEYWORDS: &str = include_str!("keywords.txt");

/// Whether a word may only be a column's name behind AS: it is reserved, if perhaps not as a function's name.
#[must_use]
pub fn is_reserved(word: &str) -> bool {
    static RESERVED: LazyLock<HashSet<&str>> = LazyLock::new(|| {
        let line = |line: &'static str| line.split_once(' ');
        let reserved = KEYWORDS.lines().filter_map(line).filter(|(_, rest)| rest.starts_with(['R', 'T']));
        reserved.map(|(word, _)| word).collect()
    });
    RESERVED.contains(word.to_ascii_lowercase().as_str())
}

fn keywords(_: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let row = |line: &str| {
        let mut fields = line.split(' ');
        let (word, category, is_label) =
            (fields.next()?, fields.next()?.bytes().next()?, fields.next()? == "1");
        let description = match category {
            b'U' => "unreserved",
            b'C' => "unreserved (cannot be function or type name)",
            b'T' => "reserved (can be function or type name)",
            _ => "reserved",
        };
        Some(relation.row(&[
            ("word", text(word)),
            ("catcode", letter(category)),
            ("barelabel", Datum::Bool(is_label)),
            ("catdesc", text(description)),
            ("baredesc", text(if is_label { "can be bare label" } else { "requires AS" })),
        ]))
    };
    Ok(KEYWORDS.lines().filter_map(row).collect())
}

/// The first of the OIDs of operators that PostgreSQL does not have.
const FIRST_OPERATOR_OID: u32 = 30_000_000;

/// The list of a function; some begin with one.
fn list_of_function(environment: &Environment, function: u32) -> Datum {
    match (list_of(environment, function), initial_function_grants(function)) {
        (Datum::Null, Some(initial)) => grants_datum(&environment.catalog, &initial),
        (stored, _) => stored,
    }
}

fn functions(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let row = |procedure: &Procedure| {
        let kind = match procedure.kind {
            ProcedureKind::Aggregate => b'a',
            ProcedureKind::Window => b'w',
            ProcedureKind::Function | ProcedureKind::OfType => b'f',
        };
        let volatility = match procedure.volatility {
            Volatility::Immutable => b'i',
            Volatility::Stable => b's',
            Volatility::Volatile => b'v',
        };
        relation.row(&[
            ("oid", oid(procedure.oid)),
            ("proname", text(&procedure.name)),
            ("pronamespace", oid(PG_CATALOG)),
            ("proowner", oid(SUPERUSER)),
            ("prolang", oid(12)),
            ("provariadic", oid(procedure.variadic)),
            ("prokind", letter(kind)),
            ("prosecdef", Datum::Bool(false)),
            ("proleakproof", Datum::Bool(false)),
            ("proisstrict", Datum::Bool(procedure.strict)),
            ("proretset", Datum::Bool(procedure.returns_rows)),
            ("provolatile", letter(volatility)),
            ("proparallel", letter(b's')),
            ("pronargs", Datum::Int64(procedure.arguments.len() as i64)),
            ("pronargdefaults", Datum::Int64(procedure.optional as i64)),
            ("prorettype", oid(procedure.result)),
            ("proargtypes", oid_vector(&procedure.arguments)),
            ("prosrc", text(&procedure.name)),
            ("proacl", list_of_function(environment, procedure.oid)),
        ])
    };
    Ok(procedures::all().iter().map(row).collect())
}

/// PostgreSQL's operators, one a line: OID, name, left and right type, commutator, negator, function, the estimators of
/// what it selects alone and in a join; `m` where a merge join can use it, `h` where a hash join can.
const OPERATORS: &str = include_str!("operators.txt");

/// What PostgreSQL knows of an operator beside its name and types.
#[derive(Clone, Copy, Default)]
struct KnownOperator {
    oid: u32,
    commutator: u32,
    negator: u32,
    function: u32,
    restrict: u32,
    join: u32,
    joins_by: &'static str,
}

/// PostgreSQL's operators by name, left and right type.
static KNOWN_OPERATORS: LazyLock<HashMap<(&str, u32, u32), KnownOperator>> = LazyLock::new(|| {
    let known = |line: &'static str| {
        let mut fields = line.split(' ');
        let oid = fields.next()?.parse().ok()?;
        let name = fields.next()?;
        let mut number = || fields.next()?.parse::<u32>().ok();
        let key = (name, number()?, number()?);
        let (commutator, negator, function) = (number()?, number()?, number()?);
        let (restrict, join) = (number()?, number()?);
        let joins_by = fields.next().unwrap_or_default();
        Some((key, KnownOperator { oid, commutator, negator, function, restrict, join, joins_by }))
    };
    OPERATORS.lines().filter_map(known).collect()
});

/// PostgreSQL's operators by OID: name, left and right type.
static OPERATORS_BY_OID: LazyLock<HashMap<u32, (&'static str, [u32; 2])>> = LazyLock::new(|| {
    KNOWN_OPERATORS.iter().map(|((name, left, right), known)| (known.oid, (*name, [*left, *right]))).collect()
});

/// An operator of PostgreSQL's, and the types of its operands.
pub fn operator_signature(oid: u32) -> Option<(&'static str, [u32; 2])> {
    OPERATORS_BY_OID.get(&oid).copied()
}

/// The operators of PostgreSQL's of a name.
pub fn operators_named(name: &str) -> Vec<u32> {
    let named = KNOWN_OPERATORS.iter().filter(|((known, ..), _)| *known == name);
    named.map(|(_, known)| known.oid).collect()
}

/// The operator of PostgreSQL's of a name and operands.
pub fn operator_with(name: &str, left: u32, right: u32) -> Option<u32> {
    KNOWN_OPERATORS.iter().find(|(key, _)| **key == (name, left, right)).map(|(_, known)| known.oid)
}

/// An operator's name, with its schema where the name alone does not tell which one it is.
pub fn operator_name(oid: u32) -> Option<String> {
    let (name, _) = operator_signature(oid)?;
    let is_alone = KNOWN_OPERATORS.keys().filter(|(other, ..)| *other == name).count() == 1;
    Some(if is_alone { name.to_string() } else { format!("pg_catalog.{name}") })
}

fn operators(_: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let mut all: Vec<_> = registry().all_operators().collect();
    all.sort_by_key(|operator| (operator.name, operator.left, operator.right));
    let mut own_oids = FIRST_OPERATOR_OID..;
    let mut own = || KnownOperator { oid: own_oids.next().unwrap_or(0), ..KnownOperator::default() };
    let row = |operator: &&Operator| {
        let known = KNOWN_OPERATORS.get(&(operator.name, operator.left, operator.right)).copied();
        let known = known.unwrap_or_else(&mut own);
        relation.row(&[
            ("oid", oid(known.oid)),
            ("oprname", text(operator.name)),
            ("oprnamespace", oid(PG_CATALOG)),
            ("oprowner", oid(SUPERUSER)),
            ("oprkind", letter(if operator.left == 0 { b'l' } else { b'b' })),
            ("oprcanmerge", Datum::Bool(known.joins_by.contains('m'))),
            ("oprcanhash", Datum::Bool(known.joins_by.contains('h'))),
            ("oprleft", oid(operator.left)),
            ("oprright", oid(operator.right)),
            ("oprresult", oid(operator.function.return_type)),
            ("oprcom", oid(known.commutator)),
            ("oprnegate", oid(known.negator)),
            ("oprcode", oid(known.function)),
            ("oprrest", oid(known.restrict)),
            ("oprjoin", oid(known.join)),
        ])
    };
    Ok(all.iter().map(row).collect())
}

fn casts(_: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let mut all: Vec<_> = registry().all_casts().collect();
    all.sort_by_key(|(pair, _)| **pair);
    Ok(all
        .into_iter()
        .enumerate()
        .map(|(number, ((source, target), cast))| {
            let is_binary =
                matches!(cast.method, CastMethod::Binary) || are_numbers_of_objects(*source, *target);
            relation.row(&[
                ("oid", oid(10_000 + u32::try_from(number).unwrap_or(0))),
                ("castsource", oid(*source)),
                ("casttarget", oid(*target)),
                ("castfunc", oid(if is_binary { 0 } else { cast_function(&cast.method) })),
                (
                    "castcontext",
                    letter(match cast.context {
                        CastContext::Implicit => b'i',
                        CastContext::Assignment => b'a',
                        CastContext::Explicit => b'e',
                    }),
                ),
                (
                    "castmethod",
                    letter(match cast.method {
                        _ if is_binary => b'b',
                        CastMethod::Binary => b'b',
                        CastMethod::InOut => b'i',
                        CastMethod::Function(_)
                        | CastMethod::Sized(_)
                        | CastMethod::Array(_)
                        | CastMethod::Domain(_) => b'f',
                    }),
                ),
            ])
        })
        .collect())
}

/// Whether both types are an object's number, or integer: in PostgreSQL nothing is converted between them.
fn are_numbers_of_objects(source: u32, target: u32) -> bool {
    let is_number =
        |oid: u32| oid == oids::INT4 || builtin_type(oid).is_some_and(|info| info.kind == PhysicalKind::Oid);
    is_number(source) && is_number(target)
}

/// The function that a cast calls, or 0.
fn cast_function(method: &CastMethod) -> u32 {
    match method {
        CastMethod::Function(function) | CastMethod::Sized(function) => {
            procedures::oid_with(&function.name, &function.argument_types).unwrap_or(0)
        }
        _ => 0,
    }
}

fn access_methods(_: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let methods = [(2, "heap", b't'), (403, "btree", b'i'), (405, "hash", b'i'), (2742, "gin", b'i')];
    Ok(methods
        .into_iter()
        .map(|(number, name, kind)| {
            relation.row(&[
                ("oid", oid(number)),
                ("amname", text(name)),
                ("amhandler", text(format!("{name}handler"))),
                ("amtype", letter(kind)),
            ])
        })
        .collect())
}

/// The languages of functions: OID and name. Only the last is for everybody.
pub const LANGUAGES: [(u32, &str); 3] = [(12, "internal"), (13, "c"), (14, "sql")];

fn languages(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    Ok(LANGUAGES
        .into_iter()
        .map(|(number, name)| {
            relation.row(&[
                ("oid", oid(number)),
                ("lanname", text(name)),
                ("lanowner", oid(SUPERUSER)),
                ("lanispl", Datum::Bool(false)),
                ("lanpltrusted", Datum::Bool(name == "sql")),
                ("lanacl", list_of(environment, number)),
            ])
        })
        .collect())
}
