//! What pg_proc shows: functions, aggregates, and the functions that read and write types, which tools find by pg_type but
//! nobody calls. Each has PostgreSQL's OID, where PostgreSQL has it too.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use crate::functions::{Aggregate, CastMethod, Function, Volatility, registry};
use crate::types::{Category, Oid, TypeInfo, TypeShape, builtin_types, oids};

/// PostgreSQL's functions, one a line: OID, name, and the types of its arguments.
const POSTGRESQL: &str = include_str!("procedures.txt");
/// The first OID of those that PostgreSQL does not have.
const FIRST_OWN_OID: Oid = 20_000_000;

/// What can be called in which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcedureKind {
    Function,
    Aggregate,
    Window,
    /// Of a type, for tools to see.
    OfType,
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
}

/// All of them, by name and arguments.
static PROCEDURES: LazyLock<Vec<Procedure>> = LazyLock::new(|| {
    let mut all: Vec<Procedure> =
        functions().chain(of_casts()).chain(aggregates()).chain(windows()).chain(of_types()).collect();
    all.sort_by(|left, right| (&left.name, &left.arguments).cmp(&(&right.name, &right.arguments)));
    // Casts call functions by name, too.
    all.dedup_by(|later, first| {
        (&later.name, &later.arguments, later.kind) == (&first.name, &first.arguments, first.kind)
            && first.kind == ProcedureKind::Function
    });
    let known = postgresql_oids();
    let mut own = FIRST_OWN_OID..;
    for procedure in &mut all {
        let arguments: Vec<String> = procedure.arguments.iter().map(Oid::to_string).collect();
        let arguments =
            if procedure.kind == ProcedureKind::OfType { String::new() } else { arguments.join(" ") };
        let found = known.get(&(procedure.name.as_str(), arguments.as_str())).copied();
        procedure.oid = found.or_else(|| own.next()).unwrap_or(0);
    }
    all
});

static BY_OID: LazyLock<HashMap<Oid, &'static Procedure>> =
    LazyLock::new(|| PROCEDURES.iter().map(|procedure| (procedure.oid, procedure)).collect());

/// OIDs by name and arguments, and of a name's first function by the name alone.
fn postgresql_oids() -> HashMap<(&'static str, &'static str), Oid> {
    let mut oids = HashMap::new();
    for line in POSTGRESQL.lines() {
        let mut fields = line.splitn(3, ' ');
        let (Some(oid), Some(name)) = (fields.next().and_then(|oid| oid.parse().ok()), fields.next()) else {
            continue;
        };
        oids.insert((name, fields.next().unwrap_or_default()), oid);
        oids.entry((name, "")).or_insert(oid);
    }
    oids
}

fn functions() -> impl Iterator<Item = Procedure> {
    registry().all_functions().map(|function| of_function(function))
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
    })
}

fn of_types() -> impl Iterator<Item = Procedure> {
    const OTHERS: [&str; 10] = [
        "enum_in",
        "enum_out",
        "enum_recv",
        "enum_send",
        "domain_in",
        "domain_recv",
        "heap_tableam_handler",
        "bthandler",
        "hashhandler",
        "ginhandler",
    ];
    let of_type = |info| ["in", "out", "recv", "send"].map(|suffix| type_function(info, suffix));
    let mut names: BTreeSet<String> =
        builtin_types().flat_map(of_type).chain(OTHERS.map(str::to_owned)).collect();
    // Some can be called.
    names.retain(|name| registry().functions(name).is_empty());
    names.into_iter().map(|name| Procedure {
        oid: 0,
        name,
        kind: ProcedureKind::OfType,
        arguments: Vec::new(),
        variadic: 0,
        optional: 0,
        result: 0,
        strict: true,
        returns_rows: false,
        volatility: Volatility::Stable,
    })
}

/// The name of a type's function: `int4in`, `array_out`.
pub fn type_function(info: &TypeInfo, suffix: &str) -> String {
    match &info.shape {
        TypeShape::Array { .. } if info.category == Category::Array && info.name.starts_with('_') => {
            format!("array_{suffix}")
        }
        TypeShape::Enum { .. } => format!("enum_{suffix}"),
        TypeShape::Domain { .. } => format!("domain_{suffix}"),
        TypeShape::Composite { .. } => format!("record_{suffix}"),
        TypeShape::Range(_) => format!("range_{suffix}"),
        TypeShape::Multirange { .. } => format!("multirange_{suffix}"),
        shape => {
            const SEPARATED: [&str; 17] = [
                "numeric",
                "date",
                "time",
                "timetz",
                "timestamp",
                "timestamptz",
                "interval",
                "uuid",
                "json",
                "jsonb",
                "xml",
                "bit",
                "varbit",
                "inet",
                "cidr",
                "macaddr",
                "macaddr8",
            ];
            if info.oid == oids::MONEY {
                return format!("cash_{suffix}");
            }
            let name = info.name.as_ref();
            let is_separated =
                matches!(shape, TypeShape::Pseudo) || name.contains('_') || SEPARATED.contains(&name);
            format!("{name}{}{suffix}", if is_separated && name != "unknown" { "_" } else { "" })
        }
    }
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
