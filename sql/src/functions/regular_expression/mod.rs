//! Regular expressions as PostgreSQL has them: advanced ones, with back references and looks around; and what POSIX has
//! instead, by option.
//!
//! 1. `parse` makes nodes of an expression.
//! 2. Where a match may begin, the `regex` crate finds, in linear time, for the expression's source (see `node`).
//! 3. How far the match that begins there goes, the expression's preference decides: as far as possible, or as short.
//! 4. What each group takes, and whether back references and looks around hold, `dissect` finds out. It is left out
//!    where nobody asks for it.
//!
//! An expression without back references and looks around takes linear time to be found; the rest is bounded.

mod basic;
mod bracket;
mod dissect;
mod node;
mod parse;

use crate::error::{Result, SqlError, SqlState};
use crate::functions::EvalContext;
use dissect::{Dissection, Groups};
use node::{COMPILED_BYTES_MAX, NESTING_MAX, Node, SHORTER, TESTED};
use parse::Parser;
use regex::{Regex, RegexBuilder};

/// How an expression is to be read, and what it is to match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)]
pub(super) struct Options {
    /// Not only what POSIX says: escapes, looks around, quantifiers that take little.
    pub(super) advanced: bool,
    /// As POSIX has basic ones: parentheses and braces have backslashes.
    pub(super) basic: bool,
    /// The pattern is plain text.
    pub(super) literal: bool,
    pub(super) ignore_case: bool,
    /// Blanks and comments in the pattern mean nothing.
    pub(super) expanded: bool,
    /// `.` and `[^…]` do not match a line's end.
    pub(super) newline_stops: bool,
    /// `^` and `$` match at lines' beginnings and ends.
    pub(super) line_anchors: bool,
}

impl Options {
    /// Those of an expression where nothing else is asked for.
    pub(super) const DEFAULT: Options = Options {
        advanced: true,
        basic: false,
        literal: false,
        ignore_case: false,
        expanded: false,
        newline_stops: false,
        line_anchors: false,
    };

    /// Takes one of the letters that stand at the front of a pattern; false if it is none.
    fn set(&mut self, letter: char) -> bool {
        match letter {
            'b' => (self.basic, self.literal) = (true, false),
            'c' => self.ignore_case = false,
            'e' => (self.advanced, self.basic, self.literal) = (false, false, false),
            'i' => self.ignore_case = true,
            'm' | 'n' => (self.newline_stops, self.line_anchors) = (true, true),
            'p' => (self.newline_stops, self.line_anchors) = (true, false),
            'q' => self.literal = true,
            's' => (self.newline_stops, self.line_anchors) = (false, false),
            't' => self.expanded = false,
            'w' => (self.newline_stops, self.line_anchors) = (false, true),
            'x' => self.expanded = true,
            _ => return false,
        }
        true
    }

    /// Takes one of the letters of a flags argument; false if it is none. There, PostgreSQL reads `e` like `b`.
    pub(super) fn set_flag(&mut self, letter: char) -> bool {
        self.set(if letter == 'e' { 'b' } else { letter })
    }
}

/// A compiled expression.
pub(super) struct Expression {
    scanner: Regex,
    root: Node,
    groups: usize,
}

/// A match: the whole first, then the groups.
pub(super) struct Matched {
    groups: Groups,
}

impl Matched {
    /// Which bytes all of it takes.
    pub(super) fn whole(&self) -> (usize, usize) {
        self.groups[0].unwrap_or((0, 0))
    }

    /// Which bytes a group takes (0 is the whole); `None` where it took no part.
    pub(super) fn group(&self, number: usize) -> Option<(usize, usize)> {
        self.groups.get(number).copied().flatten()
    }

    /// How many groups the expression has.
    pub(super) fn groups(&self) -> usize {
        self.groups.len() - 1
    }
}

impl Expression {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// 2201B where it is none.
    pub(super) fn new(pattern: &str, mut options: Options) -> Result<Expression> {
        let pattern = prefixes(pattern, &mut options)?;
        let (root, groups) = if options.literal {
            (Node::new(node::Kind::Plain, 0, regex::escape(pattern), options.ignore_case), 0)
        } else {
            let translated = options.basic.then(|| basic::to_advanced(pattern)).transpose()?;
            let mut parser = Parser::new(translated.as_deref().unwrap_or(pattern), options);
            let root = parser.whole()?;
            (root, parser.groups.len() - 1)
        };
        let scanner = RegexBuilder::new(&root.source)
            .case_insensitive(options.ignore_case)
            .nest_limit(NESTING_MAX)
            .size_limit(COMPILED_BYTES_MAX)
            .build()
            .map_err(|_| too_complex())?;
        Ok(Expression { scanner, root, groups })
    }

    /// Whether a text has a match.
    ///
    /// # Errors
    /// 2201B where it takes too long to tell, 57014.
    pub(super) fn is_match(&self, text: &str, context: &EvalContext<'_>) -> Result<bool> {
        if self.root.flags & TESTED == 0 {
            return Ok(self.scanner.is_match(text));
        }
        Ok(self.find_at(text, 0, true, context)?.is_some())
    }

    /// The first match that begins at a byte or behind it; with `groups`, also what the groups matched.
    ///
    /// # Errors
    /// As [`Expression::is_match`].
    pub(super) fn find_at(
        &self,
        text: &str,
        from: usize,
        groups: bool,
        context: &EvalContext<'_>,
    ) -> Result<Option<Matched>> {
        let tested = self.root.flags & TESTED != 0;
        let mut dissection = Dissection::new(text, self.groups, context);
        let mut from = from;
        while from <= text.len()
            && let Some(found) = self.scanner.find_at(text, from)
        {
            let begin = found.start();
            if let Some(end) = self.end_of(&mut dissection, text, begin, tested || groups)? {
                let mut groups = dissection.groups;
                groups[0] = Some((begin, end));
                return Ok(Some(Matched { groups }));
            }
            from = dissection.after(begin);
        }
        Ok(None)
    }

    /// Where the match ends that begins at a byte.
    fn end_of(
        &self,
        dissection: &mut Dissection<'_>,
        text: &str,
        begin: usize,
        dissect: bool,
    ) -> Result<Option<usize>> {
        let shorter = self.root.flags & SHORTER != 0;
        let root = &self.root;
        let mut end = match shorter {
            true => dissection.shortest(root, begin, begin, text.len())?,
            false => dissection.longest(root, begin, text.len())?,
        };
        while let Some(at) = end {
            if !dissect || dissection.fits(root, begin, at)? {
                return Ok(Some(at));
            }
            dissection.groups.fill(None);
            end = match shorter {
                true if at == text.len() => None,
                true => dissection.shortest(root, begin, dissection.after(at), text.len())?,
                false if at == begin => None,
                false => dissection.longest(root, begin, dissection.before(at))?,
            };
        }
        Ok(None)
    }
}

/// What a pattern begins with to say how it is to be read: `***=`, `***:`, `(?ixn)`. Gives the rest.
fn prefixes<'a>(pattern: &'a str, options: &mut Options) -> Result<&'a str> {
    if options.literal || options.basic {
        return Ok(pattern);
    }
    let mut pattern = pattern;
    if let Some(rest) = pattern.strip_prefix("***") {
        pattern = match rest.chars().next() {
            Some('=') => {
                options.literal = true;
                return Ok(&rest[1..]);
            }
            Some(':') => {
                options.advanced = true;
                &rest[1..]
            }
            _ => return Err(invalid("quantifier operand invalid")),
        };
    }
    let Some(letters) = pattern.strip_prefix("(?") else { return Ok(pattern) };
    if !options.advanced || !letters.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return Ok(pattern);
    }
    for (at, letter) in letters.char_indices() {
        if letter == ')' {
            return Ok(&letters[at + 1..]);
        }
        if !options.set(letter) {
            break;
        }
    }
    Err(invalid("invalid embedded option"))
}

#[cold]
fn invalid(reason: &str) -> SqlError {
    SqlError::new(SqlState::INVALID_REGULAR_EXPRESSION, format!("invalid regular expression: {reason}"))
}

#[cold]
fn too_complex() -> SqlError {
    invalid("regular expression is too complex")
}
