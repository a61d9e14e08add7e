//! pg_proc, and the functions that print what is in it.

use std::fmt::Write;
use std::sync::LazyLock;

use super::aggregates::direct_arguments;
use super::known_procedures::KnownProcedure;
use super::procedures::{self, Procedure, ProcedureKind};
use super::registry::LANGUAGES;
use super::relation::{MakeRows, RelationRows, VirtualRelation, letter, oid, oid_vector, text};
use super::standard_rights::list_of;
use crate::binder::name::quote;
use crate::catalog::{PG_CATALOG, SUPERUSER};
use crate::error::{Result, SqlError, SqlState};
use crate::execute::Environment;
use crate::functions::Volatility;
use crate::rights::{grants_datum, initial_function_grants};
use crate::types::{DataType, Oid, format_type, oids};
use crate::value::{ArrayValue, Datum};

pub const MAKERS: &[(&str, MakeRows)] = &[("pg_proc", functions)];

/// What is not said of a function, and is not printed where it is so: cost, and rows of one that gives a set.
const USUAL_COST: f32 = 1.0;
const USUAL_ROWS: f32 = 1000.0;

impl Procedure {
    /// Its row's `proparallel`.
    fn parallel(&self) -> u8 {
        self.known.map_or(b's', |known| known.parallel)
    }

    fn cost(&self) -> f32 {
        self.known.map_or(USUAL_COST, |known| known.cost)
    }

    fn rows(&self) -> f32 {
        self.known.map_or(if self.returns_rows { USUAL_ROWS } else { 0.0 }, |known| known.rows)
    }

    /// The OID of its language.
    pub fn language(&self) -> u32 {
        match self.known.map(|known| known.language) {
            Some(b'c') => 13,
            Some(b's') => 14,
            _ => 12,
        }
    }

    fn volatility_letter(&self) -> u8 {
        match self.volatility {
            Volatility::Immutable => b'i',
            Volatility::Stable => b's',
            Volatility::Volatile => b'v',
        }
    }

    /// What it is in its language.
    pub fn source(&self) -> &str {
        self.known.map_or(self.name.as_str(), |known| known.source)
    }
}

/// The list of a function; some begin with one.
fn list_of_function(environment: &Environment, function: u32) -> Datum {
    match (list_of(environment, function), initial_function_grants(function)) {
        (Datum::Null, Some(initial)) => grants_datum(&environment.catalog, &initial),
        (stored, _) => stored,
    }
}

fn array(element: Oid, elements: Vec<Datum>) -> Datum {
    if elements.is_empty() { Datum::Null } else { Datum::from(ArrayValue::from_elements(element, elements)) }
}

fn functions(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    // They never change but for their rights, and are many.
    static ROWS: LazyLock<std::sync::Mutex<RelationRows>> = LazyLock::new(Default::default);
    let rights = relation.columns.iter().position(|(name, _)| *name == "proacl");
    let mut rows = {
        let mut rows = ROWS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if rows.is_empty() {
            *rows = procedures::all().iter().map(|procedure| row(procedure, relation)).collect();
        }
        rows.clone()
    };
    if let Some(place) = rights {
        for (row, procedure) in rows.iter_mut().zip(procedures::all()) {
            row[place] = list_of_function(environment, procedure.oid);
        }
    }
    Ok(rows)
}

fn row(procedure: &Procedure, relation: &VirtualRelation) -> Vec<Datum> {
    let kind = match procedure.kind {
        ProcedureKind::Aggregate => b'a',
        ProcedureKind::Window => b'w',
        ProcedureKind::Function | ProcedureKind::Named => b'f',
    };
    let known = procedure.known;
    let of_known = |value: fn(&KnownProcedure) -> Datum| known.map_or(Datum::Null, value);
    relation.row(&[
        ("oid", oid(procedure.oid)),
        ("proname", text(&procedure.name)),
        ("pronamespace", oid(PG_CATALOG)),
        ("proowner", oid(SUPERUSER)),
        ("prolang", oid(procedure.language())),
        ("procost", Datum::Float32(procedure.cost())),
        ("prorows", Datum::Float32(procedure.rows())),
        ("provariadic", oid(procedure.variadic)),
        ("prosupport", oid(known.map_or(0, |known| known.support))),
        ("prokind", letter(kind)),
        ("prosecdef", Datum::Bool(false)),
        ("proleakproof", Datum::Bool(known.is_some_and(|known| known.leakproof))),
        ("proisstrict", Datum::Bool(procedure.strict)),
        ("proretset", Datum::Bool(procedure.returns_rows)),
        ("provolatile", letter(procedure.volatility_letter())),
        ("proparallel", letter(procedure.parallel())),
        ("pronargs", Datum::Int64(procedure.arguments.len() as i64)),
        ("pronargdefaults", Datum::Int64(procedure.optional as i64)),
        ("prorettype", oid(procedure.result)),
        ("proargtypes", oid_vector(&procedure.arguments)),
        (
            "proallargtypes",
            of_known(|known| array(oids::OID, known.all_arguments.iter().copied().map(Datum::Oid).collect())),
        ),
        ("proargmodes", of_known(|known| array(oids::CHAR, known.modes.bytes().map(Datum::Char).collect()))),
        ("proargnames", of_known(|known| array(oids::TEXT, known.names.iter().map(text).collect()))),
        (
            "proargdefaults",
            of_known(|known| if known.defaults.is_empty() { Datum::Null } else { text(known.defaults) }),
        ),
        ("prosrc", text(procedure.source())),
    ])
}

/// One of a function's arguments, of input or not.
pub struct Argument<'p> {
    /// `i`, `o`, `b`, `v` or `t`, as in `proargmodes`.
    pub mode: u8,
    pub type_oid: Oid,
    /// Empty for one without a name.
    pub name: &'p str,
    pub default: Option<&'p str>,
}

/// All arguments of a function.
pub fn all_arguments(procedure: &Procedure) -> impl Iterator<Item = Argument<'_>> {
    let types = match procedure.known {
        Some(known) if !known.all_arguments.is_empty() => &known.all_arguments,
        _ => &procedure.arguments,
    };
    let modes = procedure.known.map_or(&b""[..], |known| known.modes.as_bytes());
    let names = procedure.known.map_or(&[][..], |known| &known.names);
    let mut defaults = procedure.known.map_or("", |known| known.defaults).split(", ");
    let required = procedure.arguments.len().saturating_sub(procedure.optional);
    let mut inputs = 0;
    types.iter().enumerate().map(move |(place, type_oid)| {
        let mode = match modes.get(place) {
            Some(mode) => *mode,
            None if procedure.variadic != 0 && place + 1 == types.len() => b'v',
            None => b'i',
        };
        let is_input = matches!(mode, b'i' | b'b' | b'v');
        inputs += usize::from(is_input);
        let default = if is_input && inputs > required { defaults.next() } else { None };
        let default = default.filter(|default| !default.is_empty());
        Argument { mode, type_oid: *type_oid, name: names.get(place).copied().unwrap_or_default(), default }
    })
}

/// A function's arguments as they are written where it is made; without `with_defaults`, as they are where it is named.
pub fn arguments(environment: &Environment, procedure: &Procedure, with_defaults: bool) -> String {
    let sorted = direct_arguments(procedure);
    let count = procedure.arguments.len();
    let mut written = String::new();
    for (place, argument) in
        all_arguments(procedure).enumerate().filter(|(_, argument)| argument.mode != b't')
    {
        if sorted == Some(place) {
            written.push_str(if place > 0 { " ORDER BY " } else { "ORDER BY " });
        } else if !written.is_empty() {
            written.push_str(", ");
        }
        written.push_str(match argument.mode {
            b'o' => "OUT ",
            b'b' => "INOUT ",
            b'v' => "VARIADIC ",
            _ => "",
        });
        if !argument.name.is_empty() {
            let _ = write!(written, "{} ", quote(argument.name));
        }
        let type_name = format_type(DataType::of(argument.type_oid), environment);
        written.push_str(&type_name);
        if let Some(default) = argument.default.filter(|_| with_defaults) {
            let _ = write!(written, " DEFAULT {default}");
        }
        // What is aggregated is all that is sorted by, of whatever types.
        if sorted == Some(count) && place + 1 == count {
            let _ = write!(written, " ORDER BY VARIADIC {type_name}");
        }
    }
    written
}

/// What a function gives, as it is written where it is made.
pub fn result(environment: &Environment, procedure: &Procedure) -> String {
    let known = procedure.known;
    if let Some(known) = known.filter(|known| known.modes.contains('t')) {
        let columns = known.all_arguments.iter().zip(known.modes.bytes()).zip(&known.names);
        let columns = columns.filter(|((_, mode), _)| *mode == b't').map(|((type_oid, _), name)| {
            format!("{} {}", quote(name), format_type(DataType::of(*type_oid), environment))
        });
        return format!("TABLE({})", columns.collect::<Vec<_>>().join(", "));
    }
    let set = if procedure.returns_rows { "SETOF " } else { "" };
    format!("{set}{}", format_type(DataType::of(procedure.result), environment))
}

/// The statement that would make a function; NULL where it is a query that PostgreSQL keeps parsed.
///
/// # Errors
/// 42809 for an aggregate.
pub fn definition(environment: &Environment, procedure: &Procedure) -> Result<Datum> {
    if procedure.kind == ProcedureKind::Aggregate {
        let message = format!("\"{}\" is an aggregate function", procedure.name);
        return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
    }
    let source = procedure.source();
    if source.is_empty() {
        return Ok(Datum::Null);
    }
    let language =
        LANGUAGES.iter().find(|(number, _)| *number == procedure.language()).map_or("", |(_, name)| name);
    let mut options: Vec<String> = Vec::new();
    let mut option = |applies: bool, option: &str| {
        if applies {
            options.push(option.to_owned());
        }
    };
    option(procedure.kind == ProcedureKind::Window, "WINDOW");
    option(procedure.volatility == Volatility::Immutable, "IMMUTABLE");
    option(procedure.volatility == Volatility::Stable, "STABLE");
    option(procedure.parallel() == b's', "PARALLEL SAFE");
    option(procedure.parallel() == b'r', "PARALLEL RESTRICTED");
    option(procedure.strict, "STRICT");
    option(procedure.known.is_some_and(|known| known.leakproof), "LEAKPROOF");
    let usual_cost = if procedure.language() == 14 { 100.0 } else { USUAL_COST };
    option(procedure.cost() != usual_cost, &format!("COST {}", procedure.cost()));
    let rows = procedure.rows();
    option(rows > 0.0 && rows != USUAL_ROWS, &format!("ROWS {rows}"));
    let support = procedure.known.and_then(|known| procedures::procedure(known.support));
    option(support.is_some(), &format!("SUPPORT {}", support.map_or("", |support| &support.name)));
    let options = if options.is_empty() { String::new() } else { format!(" {}\n", options.join(" ")) };
    Ok(Datum::text(format!(
        "CREATE OR REPLACE FUNCTION pg_catalog.{}({})\n RETURNS {}\n LANGUAGE {language}\n{options}AS $function${source}$function$\n",
        quote(&procedure.name),
        arguments(environment, procedure, true),
        result(environment, procedure),
    )))
}
