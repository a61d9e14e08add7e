//! What an expression is made of, as it is searched for.
//!
//! Every node has a `source`: the same thing in the syntax of the `regex` crates. Where a node holds a back reference or
//! looks around, its source accepts more than the node does, never less: `dissect` tests what it accepts.
//!
//! How much a node takes is its *preference*: that of its first part that has one, as PostgreSQL's manual says it.

use regex_automata::meta;
use regex_automata::{Anchored, Input, MatchKind};
use std::sync::OnceLock;

/// Takes as much as it can.
pub(super) const LONGER: u8 = 1;
/// Takes as little as it can.
pub(super) const SHORTER: u8 = 2;
/// Parts of it prefer differently.
pub(super) const MIXED: u8 = 4;
/// Holds a group.
pub(super) const GROUP: u8 = 8;
/// Holds what its source does not say: a back reference, or a look around.
pub(super) const TESTED: u8 = 16;

/// The bytes that a compiled node may take.
pub(super) const COMPILED_BYTES_MAX: usize = 4 << 20;
/// How deep groups may be nested, in the `regex` crates' count.
pub(super) const NESTING_MAX: u32 = 2_000;

/// The preference alone.
pub(super) fn preference(flags: u8) -> u8 {
    flags & (LONGER | SHORTER)
}

/// What a node hands up of its parts' flags: no preference, but whether they differ.
pub(super) fn handed_up(flags: u8) -> u8 {
    let both = LONGER | SHORTER;
    (flags & !both) | if flags & both == both { MIXED } else { 0 }
}

/// The flags of two nodes that follow each other.
pub(super) fn combined(first: u8, second: u8) -> u8 {
    let preferred = if preference(first) == 0 { preference(second) } else { preference(first) };
    handed_up(first | second) | preferred
}

/// Whether a node of these flags has to be taken apart.
pub(super) fn has_parts(flags: u8) -> bool {
    flags & (MIXED | GROUP | TESTED) != 0
}

/// How a node is taken apart.
pub(super) enum Kind {
    /// Not at all: its source says it.
    Plain,
    Sequence(Box<Node>, Box<Node>),
    Branches(Vec<Node>),
    Group(usize, Box<Node>),
    BackReference(usize),
    Repeat {
        least: usize,
        most: Option<usize>,
        body: Box<Node>,
    },
    Look {
        ahead: bool,
        negated: bool,
        body: Box<Node>,
    },
}

/// A part of an expression.
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) flags: u8,
    pub(super) source: String,
    pub(super) ignore_case: bool,
    /// Compiled when it is first needed; `None` where it is too large.
    finder: OnceLock<Option<meta::Regex>>,
}

impl Node {
    pub(super) fn new(kind: Kind, flags: u8, source: String, ignore_case: bool) -> Node {
        Node { kind, flags, source, ignore_case, finder: OnceLock::new() }
    }

    /// The node, compiled so that a search finds the longest match; `None` where it is too large.
    pub(super) fn finder(&self) -> Option<&meta::Regex> {
        let compile = || compile(&self.source, self.ignore_case);
        self.finder.get_or_init(compile).as_ref()
    }
}

fn compile(source: &str, ignore_case: bool) -> Option<meta::Regex> {
    let syntax =
        regex_automata::util::syntax::Config::new().case_insensitive(ignore_case).nest_limit(NESTING_MAX);
    let config = meta::Regex::config().match_kind(MatchKind::All).nfa_size_limit(Some(COMPILED_BYTES_MAX));
    meta::Regex::builder().syntax(syntax).configure(config).build(source).ok()
}

/// The end of the longest match that begins at `begin` and ends at `limit` or before.
pub(super) fn longest(finder: &meta::Regex, text: &str, begin: usize, limit: usize) -> Option<usize> {
    let input = Input::new(text).span(begin..limit).anchored(Anchored::Yes);
    finder.search_half(&input).map(|found| found.offset())
}

/// The end of the shortest match that begins at `begin` and ends at `limit` or before.
pub(super) fn shortest(finder: &meta::Regex, text: &str, begin: usize, limit: usize) -> Option<usize> {
    let input = Input::new(text).span(begin..limit).anchored(Anchored::Yes).earliest(true);
    finder.search_half(&input).map(|found| found.offset())
}
