//! What PostgreSQL says of its own functions: the facts that pg_proc shows of those that are here too, and of those that
//! tools find by other catalogs but nobody calls.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::types::{Oid, builtin_type};

/// PostgreSQL's functions, one a line: OID, name, types of the arguments, type of the result, eight letters (kind,
/// language, `l`eakproof, `s`trict, `r`eturns a set, volatility, parallel safety, `u`sed by other catalogs), cost, rows, type of variadic
/// elements, support function, how many arguments have defaults; types, modes and names of all arguments, where there are
/// others than of input or names; defaults; and what it is in its language, where that is not its name.
const POSTGRESQL: &str = include_str!("procedures.txt");

/// What PostgreSQL says of a function.
pub struct KnownProcedure {
    pub oid: Oid,
    pub name: &'static str,
    pub arguments: Vec<Oid>,
    pub result: Oid,
    /// `f`, `a`, `p` or `w`.
    pub kind: u8,
    /// `i`nternal, `c` or `s`ql.
    pub language: u8,
    pub leakproof: bool,
    pub strict: bool,
    pub returns_rows: bool,
    /// `i`, `s` or `v`.
    pub volatility: u8,
    /// `s`, `r` or `u`.
    pub parallel: u8,
    /// Other catalogs name it.
    pub is_used: bool,
    pub cost: f32,
    pub rows: f32,
    /// The type of variadic elements, or 0.
    pub variadic: Oid,
    /// The planner's support function, or 0.
    pub support: Oid,
    /// How many arguments have defaults.
    pub optional: usize,
    /// The types of all arguments; empty where all are of input.
    pub all_arguments: Vec<Oid>,
    /// A letter for each of all arguments, where there are others than of input.
    pub modes: &'static str,
    pub names: Vec<&'static str>,
    /// Expressions, with commas between them.
    pub defaults: &'static str,
    /// What it is in its language.
    pub source: &'static str,
}

impl KnownProcedure {
    fn read(line: &'static str) -> Option<KnownProcedure> {
        let fields: Vec<&'static str> = line.splitn(15, '|').collect();
        let [
            oid,
            name,
            arguments,
            result,
            letters,
            cost,
            rows,
            variadic,
            support,
            optional,
            all,
            modes,
            names,
            defaults,
            source,
        ] = fields[..]
        else {
            return None;
        };
        let &[kind, language, leakproof, strict, set, volatility, parallel, used] = letters.as_bytes() else {
            return None;
        };
        Some(KnownProcedure {
            oid: oid.parse().ok()?,
            name,
            arguments: oids(arguments),
            result: result.parse().ok()?,
            kind,
            language,
            leakproof: leakproof == b'l',
            strict: strict == b's',
            returns_rows: set == b'r',
            volatility,
            parallel,
            is_used: used == b'u',
            cost: cost.parse().ok()?,
            rows: rows.parse().ok()?,
            variadic: variadic.parse().ok()?,
            support: support.parse().ok()?,
            optional: optional.parse().ok()?,
            all_arguments: oids(all),
            modes,
            names: if names.is_empty() { Vec::new() } else { names.split(',').collect() },
            defaults,
            source: if source.is_empty() && language != b's' { name } else { source },
        })
    }

    /// Whether all types that it has to do with exist here.
    pub fn has_known_types(&self) -> bool {
        let mut types = self.arguments.iter().chain(&self.all_arguments).chain(std::iter::once(&self.result));
        types.all(|oid| builtin_type(*oid).is_some())
    }
}

fn oids(text: &str) -> Vec<Oid> {
    text.split(' ').filter_map(|oid| oid.parse().ok()).collect()
}

static KNOWN: LazyLock<Vec<KnownProcedure>> =
    LazyLock::new(|| POSTGRESQL.lines().filter_map(KnownProcedure::read).collect());

static BY_SIGNATURE: LazyLock<HashMap<(&'static str, &'static [Oid]), &'static KnownProcedure>> =
    LazyLock::new(|| KNOWN.iter().map(|known| ((known.name, known.arguments.as_slice()), known)).collect());

/// All of them, by name.
pub fn all() -> &'static [KnownProcedure] {
    &KNOWN
}

/// The one of a name and arguments.
pub fn with_signature(name: &str, arguments: &[Oid]) -> Option<&'static KnownProcedure> {
    BY_SIGNATURE.get(&(name, arguments)).copied()
}

/// The OID of the one that has a name alone; 0 where there is none.
pub fn named(name: &str) -> Oid {
    KNOWN.iter().find(|known| known.name == name).map_or(0, |known| known.oid)
}
