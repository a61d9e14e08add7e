//! Which functions pg_proc shows: functions, aggregates, and those that other catalogs name (what reads and writes types,
//! compares for indexes, estimates), which tools look up but nobody calls. Each has PostgreSQL's OID and facts, where
//! PostgreSQL has it too.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use super::known_procedures::{self, KnownProcedure};
use crate::functions::{Aggregate, CastMethod, Function, Volatility, registry};
use crate::types::{Category, Oid, TypeInfo, TypeShape, builtin_types, oids};

/// The first OID of those that PostgreSQL does not have.
const FIRST_OWN_OID: Oid = 20_000_000;

/// What can be called in which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcedureKind {
    Function,
    Aggregate,
    Window,
    /// Named by other catalogs, for tools to see.
    Named,
}

/// A row of pg_proc.
pub struct Procedure {
    pub oid: Oid,
    pub name: String,
    pub kind: ProcedureKind,
    pub arguments: Vec<Oid>,
    /// The element type of a VARIADIC last argument, or 0.
    pub variadic: Oid,
    /// How many arguments may be left out.
    pub optional: usize,
    pub result: Oid,
    pub strict: bool,
    pub returns_rows: bool,
    pub volatility: Volatility,
    /// What PostgreSQL says of it, where it has it.
    pub known: Option<&'static KnownProcedure>,
}

impl Procedure {
    /// Takes what PostgreSQL says of the function, where it has it; else an OID of our own.
    fn identify(&mut self, own: &mut impl Iterator<Item = Oid>) {
        let Some(known) = known_procedures::with_signature(&self.name, &self.arguments) else {
            self.oid = own.next().unwrap_or(0);
            return;
        };
        self.oid = known.oid;
        self.result = known.result;
        self.variadic = known.variadic;
        self.optional = known.optional;
        self.strict = known.strict;
        self.returns_rows = known.returns_rows;
        self.volatility = match known.volatility {
            b'i' => Volatility::Immutable,
            b's' => Volatility::Stable,
            _ => Volatility::Volatile,
        };
        self.known = Some(known);
    }
}

/// All of them, by name and arguments.
static PROCEDURES: LazyLock<Vec<Procedure>> = LazyLock::new(|| {
    let mut all: Vec<Procedure> = functions()
        .chain(of_casts())
        .chain(aggregates())
        .chain(windows())
        .chain(named_by_catalogs())
        .chain(of_types())
        .collect();
    all.sort_by(|left, right| (&left.name, &left.arguments).cmp(&(&right.name, &right.arguments)));
    // Casts call functions by name, too.
    all.dedup_by(|later, first| {
        (&later.name, &later.arguments, later.kind) == (&first.name, &first.arguments, first.kind)
            && first.kind == ProcedureKind::Function
    });
    let mut own = FIRST_OWN_OID..;
    all.iter_mut().for_each(|procedure| procedure.identify(&mut own));
    all
});

static BY_OID: LazyLock<HashMap<Oid, &'static Procedure>> =
    LazyLock::new(|| PROCEDURES.iter().map(|procedure| (procedure.oid, procedure)).collect());

/// Functions of ours behind what PostgreSQL has as syntax alone.
const SYNTAX: [&str; 8] = [
    "current_catalog",
    "current_date",
    "current_role",
    "current_time",
    "current_timestamp",
    "localtime",
    "localtimestamp",
    "user",
];

fn functions() -> impl Iterator<Item = Procedure> {
    let named = registry().all_functions().filter(|function| !SYNTAX.contains(&function.name.as_ref()));
    named.map(|function| of_function(function))
}

/// The functions that casts call.
fn of_casts() -> impl Iterator<Item = Procedure> {
    registry().all_casts().filter_map(|(_, cast)| match &cast.method {
        CastMethod::Function(function) | CastMethod::Sized(function) => Some(of_function(function)),
        _ => None,
    })
}

fn of_function(function: &Function) -> Procedure {
    Procedure {
        oid: 0,
        name: function.name.to_string(),
        kind: ProcedureKind::Function,
        arguments: function.argument_types.clone(),
        variadic: function.variadic.unwrap_or(0),
        optional: function.optional,
        result: function.return_type,
        // The array of arguments is never NULL, whatever is in it.
        strict: function.strict || function.variadic.is_some_and(|element| element != oids::ANY),
        returns_rows: function.returns_rows(),
        volatility: function.volatility,
        known: None,
    }
}

/// The functions that exist over windows alone.
fn windows() -> impl Iterator<Item = Procedure> {
    use crate::types::oids::{ANYCOMPATIBLE, ANYELEMENT, FLOAT8, INT4, INT8};
    let all: [(&str, &[Oid], Oid); 15] = [
        ("row_number", &[], INT8),
        ("rank", &[], INT8),
        ("dense_rank", &[], INT8),
        ("percent_rank", &[], FLOAT8),
        ("cume_dist", &[], FLOAT8),
        ("ntile", &[INT4], INT4),
        ("lag", &[ANYELEMENT], ANYELEMENT),
        ("lag", &[ANYELEMENT, INT4], ANYELEMENT),
        ("lag", &[ANYCOMPATIBLE, INT4, ANYCOMPATIBLE], ANYCOMPATIBLE),
        ("lead", &[ANYELEMENT], ANYELEMENT),
        ("lead", &[ANYELEMENT, INT4], ANYELEMENT),
        ("lead", &[ANYCOMPATIBLE, INT4, ANYCOMPATIBLE], ANYCOMPATIBLE),
        ("first_value", &[ANYELEMENT], ANYELEMENT),
        ("last_value", &[ANYELEMENT], ANYELEMENT),
        ("nth_value", &[ANYELEMENT, INT4], ANYELEMENT),
    ];
    all.into_iter().map(|(name, arguments, result)| Procedure {
        oid: 0,
        name: name.to_owned(),
        kind: ProcedureKind::Window,
        arguments: arguments.to_vec(),
        variadic: 0,
        optional: 0,
        result,
        strict: !arguments.is_empty(),
        returns_rows: false,
        volatility: Volatility::Immutable,
        known: None,
    })
}

fn aggregates() -> impl Iterator<Item = Procedure> {
    // These take as many arguments as there are columns to sort by.
    const HYPOTHETICAL: [&str; 4] = ["rank", "dense_rank", "percent_rank", "cume_dist"];
    let is_hypothetical = |aggregate: &Aggregate| HYPOTHETICAL.contains(&aggregate.name);
    registry().all_aggregates().map(move |aggregate| Procedure {
        oid: 0,
        name: aggregate.name.to_string(),
        kind: ProcedureKind::Aggregate,
        arguments: match is_hypothetical(aggregate) {
            true => vec![oids::ANY],
            false => aggregate.argument_types.clone(),
        },
        variadic: if is_hypothetical(aggregate) { oids::ANY } else { 0 },
        optional: 0,
        result: aggregate.return_type,
        strict: false,
        returns_rows: false,
        volatility: Volatility::Immutable,
        known: None,
    })
}

/// PostgreSQL's functions that only its catalogs name here.
fn named_by_catalogs() -> impl Iterator<Item = Procedure> {
    let is_callable = |known: &KnownProcedure| {
        registry().functions(known.name).iter().any(|each| each.argument_types == known.arguments)
    };
    let named = known_procedures::all().iter().filter(|known| known.is_used && known.kind == b'f');
    let named = named.filter(move |known| known.has_known_types() && !is_callable(known));
    named.map(|known| of_catalogs(known.name.to_owned(), known.arguments.clone(), known.result))
}

/// The functions of the types that PostgreSQL does not have.
fn of_types() -> impl Iterator<Item = Procedure> {
    let own = builtin_types().filter(|info| super::known_types::known(info.oid).is_none());
    let of_type = |info: &TypeInfo| {
        let given = info.oid;
        [
            ("in", oids::CSTRING, given),
            ("out", given, oids::CSTRING),
            ("recv", oids::INTERNAL, given),
            ("send", given, oids::BYTEA),
        ]
        .map(|(suffix, takes, gives)| (type_function(info, suffix), takes, gives))
    };
    let mut seen = BTreeSet::new();
    let own: Vec<_> = own.flat_map(of_type).filter(|(name, ..)| seen.insert(name.clone())).collect();
    let own = own.into_iter().filter(|(name, ..)| {
        registry().functions(name).is_empty()
            && known_procedures::all().iter().all(|known| known.name != name)
    });
    own.map(|(name, takes, gives)| of_catalogs(name, vec![takes], gives))
}

fn of_catalogs(name: String, arguments: Vec<Oid>, result: Oid) -> Procedure {
    Procedure {
        oid: 0,
        name,
        kind: ProcedureKind::Named,
        arguments,
        variadic: 0,
        optional: 0,
        result,
        strict: true,
        returns_rows: false,
        volatility: Volatility::Stable,
        known: None,
    }
}

/// The name of a function of a type that PostgreSQL does not have: `vector_in`, `array_out`.
pub fn type_function(info: &TypeInfo, suffix: &str) -> String {
    let name = match &info.shape {
        TypeShape::Array { .. } if info.category == Category::Array && info.name.starts_with('_') => "array",
        TypeShape::Enum { .. } => "enum",
        TypeShape::Domain { .. } => "domain",
        TypeShape::Composite { .. } => "record",
        TypeShape::Range(_) => "range",
        TypeShape::Multirange { .. } => "multirange",
        _ => info.name.as_ref(),
    };
    format!("{name}_{suffix}")
}

/// All of them.
pub fn all() -> &'static [Procedure] {
    &PROCEDURES
}

/// Those of a name.
pub fn named(name: &str) -> &'static [Procedure] {
    let first = PROCEDURES.partition_point(|procedure| procedure.name.as_str() < name);
    let count = PROCEDURES[first..].iter().take_while(|procedure| procedure.name == name).count();
    &PROCEDURES[first..first + count]
}

/// Whether there is one of a name, and of arguments where these are given.
pub fn has_procedure(name: &str, arguments: Option<&[Oid]>) -> bool {
    named(name).iter().any(|procedure| arguments.is_none_or(|wanted| procedure.arguments == wanted))
}

/// The first one of a name.
pub fn oid_of(name: &str) -> Option<Oid> {
    named(name).first().map(|procedure| procedure.oid)
}

/// The one of a name and arguments.
pub fn oid_with(name: &str, arguments: &[Oid]) -> Option<Oid> {
    named(name).iter().find(|procedure| procedure.arguments == arguments).map(|procedure| procedure.oid)
}

/// The one of an OID.
pub fn procedure(oid: Oid) -> Option<&'static Procedure> {
    BY_OID.get(&oid).copied()
}
