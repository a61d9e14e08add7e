//! From an expression's text to its nodes: PostgreSQL's advanced regular expressions, and extended ones (option `e`).
//!
//! A branch is gathered into one plain node as long as its atoms have no groups and prefer alike. The first that is
//! otherwise ends that node; what follows it is a branch again. So the nodes, and with them what each group matches,
//! are those that PostgreSQL makes.

use super::bracket::{escaped_class, member};
use super::node::{GROUP, Kind, LONGER, Node, SHORTER, TESTED, combined, handed_up, has_parts, preference};
use super::{Options, invalid, too_complex};
use crate::error::Result;

/// The largest number in a bound.
const REPEAT_MAX: usize = 255;
/// The deepest nesting of groups, and the longest row of atoms that are nodes of their own.
const DEPTH_MAX: usize = 200;

/// Reads an expression from its beginning to its end.
pub(super) struct Parser<'a> {
    rest: std::str::Chars<'a>,
    pub(super) options: Options,
    /// The sources of the groups; `None` while one is open, or where it matches nothing.
    pub(super) groups: Vec<Option<String>>,
    depth: usize,
    in_look: usize,
}

/// An atom, or something that takes no room.
enum Part {
    Atom(Node),
    Place(String),
    Look(Node),
}

struct Quantifier {
    least: usize,
    most: Option<usize>,
    preferred: u8,
}

impl<'a> Parser<'a> {
    pub(super) fn new(pattern: &'a str, options: Options) -> Parser<'a> {
        Parser { rest: pattern.chars(), options, groups: vec![None], depth: 0, in_look: 0 }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    pub(super) fn peek_second(&self) -> Option<char> {
        self.rest.clone().nth(1)
    }

    pub(super) fn next(&mut self) -> Option<char> {
        self.rest.next()
    }

    pub(super) fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.rest.next();
        }
        found
    }

    fn node(&self, kind: Kind, flags: u8, source: String) -> Node {
        Node::new(kind, flags, source, self.options.ignore_case)
    }

    fn plain(&self, source: String) -> Node {
        self.node(Kind::Plain, 0, source)
    }

    /// The whole expression.
    ///
    /// # Errors
    /// 2201B.
    pub(super) fn whole(&mut self) -> Result<Node> {
        self.branches(false)
    }

    /// Branches up to the end of the group that they are in.
    fn branches(&mut self, in_group: bool) -> Result<Node> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(too_complex());
        }
        let mut branches = vec![self.branch(in_group)?];
        while self.take('|') {
            branches.push(self.branch(in_group)?);
        }
        self.depth -= 1;
        if branches.len() == 1 {
            return branches.pop().ok_or_else(too_complex);
        }
        let flags = branches.iter().fold(LONGER, |flags, branch| flags | handed_up(flags | branch.flags));
        let sources: Vec<&str> = branches.iter().map(|branch| branch.source.as_str()).collect();
        let source = format!("(?:{})", sources.join("|"));
        let kind = if has_parts(flags) { Kind::Branches(branches) } else { Kind::Plain };
        Ok(self.node(kind, flags, source))
    }

    /// Skips blanks and comments, where they mean nothing.
    fn skip(&mut self) -> Result<()> {
        loop {
            if self.options.expanded {
                if self.peek().is_some_and(char::is_whitespace) {
                    self.next();
                    continue;
                }
                if self.take('#') {
                    while self.next().is_some_and(|character| character != '\n') {}
                    continue;
                }
            }
            if self.options.advanced && self.rest.as_str().starts_with("(?#") {
                while let Some(character) = self.next() {
                    if character == ')' {
                        break;
                    }
                }
                continue;
            }
            return Ok(());
        }
    }

    fn branch(&mut self, in_group: bool) -> Result<Node> {
        let mut prefix = self.plain(String::new());
        loop {
            self.skip()?;
            match self.peek() {
                None | Some('|') => return Ok(prefix),
                Some(')') if in_group => return Ok(prefix),
                Some(_) => {}
            }
            let atom = match self.part()? {
                Part::Place(source) => {
                    prefix.source.push_str(&source);
                    continue;
                }
                Part::Look(look) => {
                    let rest = self.rest_of_branch(in_group)?;
                    let following = self.sequence(look, rest);
                    return Ok(self.sequence(prefix, following));
                }
                Part::Atom(atom) => atom,
            };
            let Some(quantifier) = self.quantifier()? else {
                // {0}: the atom is not there. Its groups are, and match nothing.
                continue;
            };
            let flags = prefix.flags | quantifier.preferred | atom.flags;
            if !has_parts(handed_up(flags)) {
                prefix.source.push_str(&repeated(&atom.source, quantifier.least, quantifier.most));
                prefix.flags = flags;
                continue;
            }
            let atom = self.quantified(atom, &quantifier);
            let rest = self.rest_of_branch(in_group)?;
            let following = self.sequence(atom, rest);
            return Ok(self.sequence(prefix, following));
        }
    }

    fn rest_of_branch(&mut self, in_group: bool) -> Result<Node> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(too_complex());
        }
        let rest = self.branch(in_group);
        self.depth -= 1;
        rest
    }

    fn sequence(&self, first: Node, second: Node) -> Node {
        if first.source.is_empty() {
            return second;
        }
        if second.source.is_empty() {
            return first;
        }
        let flags = combined(first.flags, second.flags);
        let source = format!("{}{}", first.source, second.source);
        self.node(Kind::Sequence(Box::new(first), Box::new(second)), flags, source)
    }

    /// An atom that has groups or prefers otherwise than what is before it, with its quantifier.
    fn quantified(&self, atom: Node, quantifier: &Quantifier) -> Node {
        let Quantifier { least, most, preferred } = *quantifier;
        let own = preference(atom.flags);
        let same =
            preferred == 0 || own == 0 || preferred == atom.flags & (LONGER | SHORTER | super::node::MIXED);
        if (least, most) == (1, Some(1)) && same {
            return atom;
        }
        let flags = combined(preferred, atom.flags);
        let source = repeated(&atom.source, least, most);
        if least > 0 && atom.flags & TESTED == 0 {
            // Groups tell what the last repetition matched: those before it are plain.
            let before = repeated(&atom.source, least - 1, most.map(|most| most - 1));
            let before = self.node(Kind::Plain, preference(flags), before);
            return self.node(Kind::Sequence(Box::new(before), Box::new(atom)), flags, source);
        }
        self.node(Kind::Repeat { least, most, body: Box::new(atom) }, flags, source)
    }

    /// The quantifier behind an atom, if there is one; `None` for none at all (`{0}`).
    fn quantifier(&mut self) -> Result<Option<Quantifier>> {
        self.skip()?;
        let (least, most) = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') if self.peek_second().is_some_and(|second| second.is_ascii_digit()) => {
                return self.bound();
            }
            _ => return Ok(Some(Quantifier { least: 1, most: Some(1), preferred: 0 })),
        };
        self.next();
        Ok(Some(Quantifier { least, most, preferred: self.greediness() }))
    }

    fn greediness(&mut self) -> u8 {
        if self.options.advanced && self.take('?') { SHORTER } else { LONGER }
    }

    fn bound(&mut self) -> Result<Option<Quantifier>> {
        self.next();
        let least = self.bound_number()?;
        let (most, is_range) = match self.take(',') {
            false => (Some(least), false),
            true if self.peek().is_some_and(|next| next.is_ascii_digit()) => {
                (Some(self.bound_number()?), true)
            }
            true => (None, true),
        };
        match self.next() {
            Some('}') => {}
            Some(_) => return Err(invalid("invalid repetition count(s)")),
            None => return Err(invalid("braces {} not balanced")),
        }
        if most.is_some_and(|most| most < least) {
            return Err(invalid("invalid repetition count(s)"));
        }
        let preferred = self.greediness();
        if most == Some(0) {
            return Ok(None);
        }
        Ok(Some(Quantifier { least, most, preferred: if is_range { preferred } else { 0 } }))
    }

    fn bound_number(&mut self) -> Result<usize> {
        let mut number = 0;
        while let Some(digit) = self.peek().and_then(|next| next.to_digit(10)) {
            self.next();
            number = number * 10 + digit as usize;
            if number > REPEAT_MAX {
                return Err(invalid("invalid repetition count(s)"));
            }
        }
        Ok(number)
    }

    fn part(&mut self) -> Result<Part> {
        let Some(character) = self.next() else { return Err(too_complex()) };
        let place = |source: &str| Ok(Part::Place(source.to_owned()));
        let atom = |source: String| Ok(Part::Atom(self.plain(source)));
        match character {
            '*' | '+' | '?' => Err(invalid("quantifier operand invalid")),
            '{' if self.peek().is_some_and(|next| next.is_ascii_digit()) => {
                Err(invalid("quantifier operand invalid"))
            }
            ')' if self.options.advanced => Err(invalid("parentheses () not balanced")),
            '^' => place(if self.options.line_anchors { "(?m:^)" } else { r"\A" }),
            '$' => place(if self.options.line_anchors { "(?m:$)" } else { r"\z" }),
            '.' => atom(if self.options.newline_stops { r"[^\n]" } else { "(?s:.)" }.to_owned()),
            '[' => {
                for (written, source) in [("[:<:]]", r"\b{start}"), ("[:>:]]", r"\b{end}")] {
                    if let Some(rest) = self.rest.as_str().strip_prefix(written) {
                        self.rest = rest.chars();
                        return place(source);
                    }
                }
                let source = self.bracket()?;
                Ok(Part::Atom(self.plain(source)))
            }
            '(' => self.group(),
            '\\' => self.escape(),
            other => atom(member(other as u32)),
        }
    }

    fn group(&mut self) -> Result<Part> {
        let mut number = None;
        let mut look = None;
        if self.options.advanced && self.take('?') {
            match (self.next(), self.peek()) {
                (Some(':'), _) => {}
                (Some('='), _) => look = Some((true, false)),
                (Some('!'), _) => look = Some((true, true)),
                (Some('<'), Some(kind @ ('=' | '!'))) => {
                    self.next();
                    look = Some((false, kind == '!'));
                }
                _ => return Err(invalid("quantifier operand invalid")),
            }
        } else if self.in_look == 0 {
            number = Some(self.groups.len());
            self.groups.push(None);
        }
        self.in_look += usize::from(look.is_some());
        let body = self.branches(true)?;
        self.in_look -= usize::from(look.is_some());
        if !self.take(')') {
            return Err(invalid("parentheses () not balanced"));
        }
        if let Some((ahead, negated)) = look {
            // A source that takes no room, and yet is not empty.
            return Ok(Part::Look(self.node(
                Kind::Look { ahead, negated, body: Box::new(body) },
                TESTED,
                "(?:)".to_owned(),
            )));
        }
        let source = format!("(?:{})", body.source);
        let Some(number) = number else {
            let Node { kind, flags, .. } = body;
            return Ok(Part::Atom(self.node(kind, flags, source)));
        };
        self.groups[number] = Some(source.clone());
        let flags = body.flags | GROUP;
        Ok(Part::Atom(self.node(Kind::Group(number, Box::new(body)), flags, source)))
    }

    fn escape(&mut self) -> Result<Part> {
        let Some(letter) = self.peek() else { return Err(invalid("invalid escape \\ sequence")) };
        if !self.options.advanced {
            self.next();
            return Ok(Part::Atom(self.plain(member(letter as u32))));
        }
        let place = match letter {
            'A' => Some(r"\A"),
            'Z' => Some(r"\z"),
            'm' => Some(r"\b{start}"),
            'M' => Some(r"\b{end}"),
            'y' => Some(r"\b"),
            'Y' => Some(r"\B"),
            _ => None,
        };
        if let Some(place) = place {
            self.next();
            return Ok(Part::Place(place.to_owned()));
        }
        if let Some(class) = escaped_class(letter, self.options.newline_stops) {
            self.next();
            return Ok(Part::Atom(self.plain(class)));
        }
        if ('1'..='9').contains(&letter)
            && let Some(reference) = self.back_reference()?
        {
            return Ok(Part::Atom(reference));
        }
        let code = self.escaped_character()?.ok_or_else(|| invalid("invalid escape \\ sequence"))?;
        Ok(Part::Atom(self.plain(member(code))))
    }

    /// A back reference; `None` where the digits are a character's number in octal.
    fn back_reference(&mut self) -> Result<Option<Node>> {
        let before = self.rest.clone();
        let digits: String = self.rest.clone().take_while(char::is_ascii_digit).collect();
        let number: usize = digits.parse().unwrap_or(usize::MAX);
        if digits.len() > 1 && number >= self.groups.len() {
            self.rest = before;
            return Ok(None);
        }
        self.rest = self.rest.as_str()[digits.len()..].chars();
        let source = self.groups.get(number).and_then(Clone::clone).filter(|_| self.in_look == 0);
        let source = source.ok_or_else(|| invalid("invalid backreference number"))?;
        Ok(Some(self.node(Kind::BackReference(number), TESTED, source)))
    }

    /// The character that an escape stands for, from behind its backslash; `None` where it stands for none.
    pub(super) fn escaped_character(&mut self) -> Result<Option<u32>> {
        let bad = || invalid("invalid escape \\ sequence");
        let letter = self.next().ok_or_else(bad)?;
        if !letter.is_alphanumeric() {
            return Ok(Some(letter as u32));
        }
        Ok(Some(match letter {
            'a' => 7,
            'b' => 8,
            'B' => u32::from(b'\\'),
            'c' => self.next().ok_or_else(bad)? as u32 & 0x1f,
            'e' => 27,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            't' => 9,
            'v' => 11,
            'u' => self.digits(16, 4, 4)?,
            'U' => self.digits(16, 8, 8)?,
            'x' => self.digits(16, 1, 255)?,
            '0'..='7' => {
                let mut octal = letter as u32 - u32::from(b'0');
                for _ in 0..2 {
                    let Some(digit) = self.peek().and_then(|next| next.to_digit(8)) else { break };
                    if octal * 8 + digit > 0xff {
                        break;
                    }
                    octal = octal * 8 + digit;
                    self.next();
                }
                octal
            }
            _ => return Ok(None),
        }))
    }

    fn digits(&mut self, radix: u32, least: usize, most: usize) -> Result<u32> {
        let mut value: u32 = 0;
        let mut count = 0;
        while count < most
            && let Some(digit) = self.peek().and_then(|next| next.to_digit(radix))
        {
            self.next();
            value = value.saturating_mul(radix).saturating_add(digit);
            count += 1;
        }
        if count < least || value > 0x7fff_fffe {
            return Err(invalid("invalid escape \\ sequence"));
        }
        Ok(value)
    }
}

/// A source, repeated.
fn repeated(source: &str, least: usize, most: Option<usize>) -> String {
    match (least, most) {
        (_, Some(0)) => String::new(),
        (1, Some(1)) => source.to_owned(),
        (0, None) => format!("(?:{source})*"),
        (1, None) => format!("(?:{source})+"),
        (0, Some(1)) => format!("(?:{source})?"),
        (least, None) => format!("(?:{source}){{{least},}}"),
        (least, Some(most)) => format!("(?:{source}){{{least},{most}}}"),
    }
}
