//! What is built in: pg_operator, pg_cast, pg_am, pg_language.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::procedures;
use super::relation::{MakeRows, RelationRows, VirtualRelation, letter, oid, text};
use super::standard_rights::list_of;
use crate::catalog::{PG_CATALOG, SUPERUSER};
use crate::error::Result;
use crate::execute::Environment;
use crate::functions::{CastContext, CastMethod, Operator, registry};
use crate::value::Datum;

pub const MAKERS: &[(&str, MakeRows)] = &[
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

/// The first of the OIDs of casts that PostgreSQL does not have.
const FIRST_CAST_OID: u32 = 31_000_000;
/// The first of the OIDs of operators that PostgreSQL does not have.
const FIRST_OPERATOR_OID: u32 = 30_000_000;

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

/// PostgreSQL's casts, one a line: source, target, OID, function, method.
const CASTS: &str = include_str!("casts.txt");

/// A cast's OID, function and method.
type KnownCast = (u32, u32, u8);

/// PostgreSQL's casts by source and target.
static KNOWN_CASTS: LazyLock<HashMap<(u32, u32), KnownCast>> = LazyLock::new(|| {
    let known = |line: &str| {
        let mut fields = line.split('|');
        let mut number = || fields.next()?.parse::<u32>().ok();
        let (pair, cast, function) = ((number()?, number()?), number()?, number()?);
        Some((pair, (cast, function, *fields.next()?.as_bytes().first()?)))
    };
    CASTS.lines().filter_map(known).collect()
});

fn casts(_: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let mut all: Vec<_> = registry().all_casts().collect();
    all.sort_by_key(|(pair, _)| **pair);
    Ok(all
        .into_iter()
        .enumerate()
        .map(|(number, ((source, target), cast))| {
            let known = KNOWN_CASTS.get(&(*source, *target)).copied();
            let (number, function, method) = known.unwrap_or_else(|| {
                let number = FIRST_CAST_OID + u32::try_from(number).unwrap_or(0);
                (number, cast_function(&cast.method), cast_letter(&cast.method))
            });
            relation.row(&[
                ("oid", oid(number)),
                ("castsource", oid(*source)),
                ("casttarget", oid(*target)),
                ("castfunc", oid(function)),
                (
                    "castcontext",
                    letter(match cast.context {
                        CastContext::Implicit => b'i',
                        CastContext::Assignment => b'a',
                        CastContext::Explicit => b'e',
                    }),
                ),
                ("castmethod", letter(method)),
            ])
        })
        .collect())
}

fn cast_letter(method: &CastMethod) -> u8 {
    match method {
        CastMethod::Binary => b'b',
        CastMethod::InOut => b'i',
        CastMethod::Function(_) | CastMethod::Sized(_) | CastMethod::Array(_) | CastMethod::Domain(_) => b'f',
    }
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

/// The access methods of tables and indexes: OID, name and function.
pub const ACCESS_METHODS: [(u32, &str, &str); 4] = [
    (2, "heap", "heap_tableam_handler"),
    (403, "btree", "bthandler"),
    (405, "hash", "hashhandler"),
    (2742, "gin", "ginhandler"),
];

fn access_methods(_: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    Ok(ACCESS_METHODS
        .into_iter()
        .map(|(number, name, handler)| {
            let kind = if name == "heap" { b't' } else { b'i' };
            relation.row(&[
                ("oid", oid(number)),
                ("amname", text(name)),
                ("amhandler", text(handler)),
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
                ("lanplcallfoid", oid(0)),
                ("laninline", oid(0)),
                ("lanvalidator", oid(2234 + number)),
                ("lanacl", list_of(environment, number)),
            ])
        })
        .collect())
}
