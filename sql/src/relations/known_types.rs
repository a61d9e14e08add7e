//! What PostgreSQL says of its own types: the facts that pg_type shows beside a type's name.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::known_procedures;
use super::procedures::{oid_of, type_function};
use crate::execute::Environment;
use crate::types::{DataType, Oid, TypeInfo, TypeShape, domain};

/// PostgreSQL's types, one a line: OID, name, length, whether it is passed by value, kind, category, whether it is preferred,
/// type of elements; the functions that take elements, read and write text, read and write the binary form, read and write modifiers, and
/// take statistics; alignment, storage and collation.
const POSTGRESQL: &str = include_str!("types.txt");

/// What pg_type says of a type beside its name and what it belongs to. Functions are OIDs, 0 where there is none.
#[derive(Clone)]
pub struct TypeFacts {
    pub length: i16,
    pub by_value: bool,
    /// `b`, `c`, `d`, `e`, `p`, `r` or `m`.
    pub kind: u8,
    pub category: u8,
    pub is_preferred: bool,
    pub element: Oid,
    pub subscript: Oid,
    pub input: Oid,
    pub output: Oid,
    pub receive: Oid,
    pub send: Oid,
    pub modifier_input: Oid,
    pub modifier_output: Oid,
    pub analyze: Oid,
    /// `c`, `s`, `i` or `d`.
    pub alignment: u8,
    /// `p`, `m`, `e` or `x`.
    pub storage: u8,
    pub collation: Oid,
}

fn read(line: &str) -> Option<(Oid, TypeFacts)> {
    let fields: Vec<&str> = line.split('|').collect();
    let &[
        oid,
        _,
        length,
        by_value,
        kind,
        category,
        preferred,
        element,
        subscript,
        input,
        output,
        receive,
        send,
        modifier_input,
        modifier_output,
        analyze,
        alignment,
        storage,
        collation,
    ] = fields.as_slice()
    else {
        return None;
    };
    let letter = |field: &str| field.bytes().next();
    Some((
        oid.parse().ok()?,
        TypeFacts {
            length: length.parse().ok()?,
            by_value: by_value == "t",
            kind: letter(kind)?,
            category: letter(category)?,
            is_preferred: preferred == "t",
            element: element.parse().ok()?,
            subscript: subscript.parse().ok()?,
            input: input.parse().ok()?,
            output: output.parse().ok()?,
            receive: receive.parse().ok()?,
            send: send.parse().ok()?,
            modifier_input: modifier_input.parse().ok()?,
            modifier_output: modifier_output.parse().ok()?,
            analyze: analyze.parse().ok()?,
            alignment: letter(alignment)?,
            storage: letter(storage)?,
            collation: collation.parse().ok()?,
        },
    ))
}

static KNOWN: LazyLock<HashMap<Oid, TypeFacts>> =
    LazyLock::new(|| POSTGRESQL.lines().filter_map(read).collect());

/// What PostgreSQL says of a type of its own.
pub fn known(oid: Oid) -> Option<&'static TypeFacts> {
    KNOWN.get(&oid)
}

/// What pg_type says of a type.
pub fn facts(environment: &Environment, info: &TypeInfo) -> TypeFacts {
    match known(info.oid) {
        Some(known) => known.clone(),
        None => of_own(environment, info),
    }
}

/// What is said of a type that PostgreSQL does not have: as it says of those that users make.
fn of_own(environment: &Environment, info: &TypeInfo) -> TypeFacts {
    let function = |suffix: &str| oid_of(&type_function(info, suffix)).unwrap_or(0);
    let named = |name: &str| known_procedures::named(name);
    let of = |oid: Oid| {
        let info = environment.catalog.type_info(oid)?;
        // A type is not made of itself.
        Some(facts(environment, info))
    };
    let mut facts = TypeFacts {
        length: info.length,
        by_value: (1..=8).contains(&info.length),
        kind: b'b',
        category: u8::try_from(info.category.code()).unwrap_or(b'X'),
        is_preferred: info.preferred,
        element: info.element().unwrap_or(0),
        subscript: 0,
        input: function("in"),
        output: function("out"),
        receive: function("recv"),
        send: function("send"),
        modifier_input: 0,
        modifier_output: 0,
        analyze: 0,
        alignment: match info.length {
            1 => b'c',
            2 => b's',
            8 => b'd',
            _ => b'i',
        },
        storage: if info.length < 0 { b'x' } else { b'p' },
        collation: super::collations::collation(info.oid),
    };
    match &info.shape {
        TypeShape::Pseudo => facts.kind = b'p',
        TypeShape::Base => {}
        TypeShape::Array { .. } => {
            let element = of(facts.element);
            facts.subscript = named("array_subscript_handler");
            facts.analyze = named("array_typanalyze");
            facts.alignment = varying_alignment(element.as_ref());
            if let Some(element) = element {
                facts.collation = element.collation;
                facts.modifier_input = element.modifier_input;
                facts.modifier_output = element.modifier_output;
            }
        }
        TypeShape::Enum { .. } => {
            (facts.kind, facts.length, facts.by_value, facts.storage) = (b'e', 4, true, b'p');
        }
        TypeShape::Composite { .. } => {
            (facts.kind, facts.length, facts.by_value, facts.alignment) = (b'c', -1, false, b'd')
        }
        TypeShape::Range(range) => {
            facts.kind = b'r';
            facts.analyze = named("range_typanalyze");
            facts.alignment = varying_alignment(of(range.subtype).as_ref());
        }
        TypeShape::Multirange { range } => {
            facts.kind = b'm';
            facts.analyze = named("multirange_typanalyze");
            facts.alignment = varying_alignment(of(*range).as_ref());
        }
        TypeShape::Domain { .. } => {
            // It is written as its base is, and read by functions of its own.
            let base = domain::underlying(DataType::of(info.oid), environment);
            if let Some(base) = of(base.oid) {
                let (input, receive) = (facts.input, facts.receive);
                facts = TypeFacts {
                    kind: b'd',
                    input,
                    receive,
                    is_preferred: false,
                    element: 0,
                    subscript: 0,
                    modifier_input: 0,
                    modifier_output: 0,
                    ..base
                };
            }
        }
    }
    facts
}

/// The alignment of what is made of values of a type, of varying length.
fn varying_alignment(part: Option<&TypeFacts>) -> u8 {
    if part.is_some_and(|part| part.alignment == b'd') { b'd' } else { b'i' }
}
