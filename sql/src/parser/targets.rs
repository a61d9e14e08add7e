//! Subscripts behind the names of columns that get values: `SET a[1] = …`, `INSERT INTO t (a[1]) …`.
//!
//! sqlparser takes names there and nothing else, so the subscripts become one more part of the name, marked, that holds
//! their text.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::rewrite::{is, mark, written};

/// Where a statement's tokens name columns to be given values.
#[derive(Default)]
pub(super) struct Targets {
    /// How many parentheses and brackets are open.
    depth: usize,
    /// SET's list is being read: how deep it stands, and whether a target is next rather than a value.
    set: Option<(usize, bool)>,
    /// The list of an INSERT's columns is being read, this deep.
    columns: Option<usize>,
    /// INTO was read, and the list of columns may follow.
    into: bool,
    /// DISTINCT was read, whose FROM ends nothing.
    distinct: bool,
}

impl Targets {
    /// Reads on; tells whether subscripts behind this token are a target's.
    pub(super) fn follow(&mut self, token: &TokenWithSpan, next: Option<&TokenWithSpan>) -> bool {
        let follows_distinct = std::mem::replace(&mut self.distinct, is(token, "distinct"));
        match &token.token {
            Token::LParen => {
                self.depth += 1;
                let is_query = |next: &TokenWithSpan| {
                    ["select", "with", "values", "table"].iter().any(|word| is(next, word))
                        || next.token == Token::LParen
                };
                if std::mem::take(&mut self.into) && next.is_some_and(|next| !is_query(next)) {
                    self.columns = Some(self.depth);
                }
            }
            Token::RParen => {
                self.set = self.set.filter(|(depth, _)| *depth < self.depth || self.depth == 0);
                self.columns = None;
                self.depth = self.depth.saturating_sub(1);
            }
            Token::LBracket => self.depth += 1,
            Token::RBracket => self.depth = self.depth.saturating_sub(1),
            Token::Eq if self.set.is_some_and(|(depth, _)| depth == self.depth) => {
                self.set = Some((self.depth, false));
            }
            Token::Comma if self.set.is_some_and(|(depth, _)| depth == self.depth) => {
                self.set = Some((self.depth, true));
            }
            Token::Word(_) if is(token, "set") => self.set = Some((self.depth, true)),
            Token::Word(_)
                if self.set.is_some_and(|(depth, _)| depth == self.depth)
                    && (["where", "returning"].iter().any(|word| is(token, word))
                        || is(token, "from") && !follows_distinct) =>
            {
                self.set = None;
            }
            Token::Word(_) if is(token, "into") => self.into = true,
            // As MERGE has it.
            Token::Word(_) if is(token, "insert") => {
                self.into = next.is_some_and(|next| next.token == Token::LParen);
            }
            Token::Word(_) if ["values", "select", "default", "set"].iter().any(|word| is(token, word)) => {
                self.into = false;
            }
            Token::Word(_) => {
                let in_set = self
                    .set
                    .is_some_and(|(depth, next)| next && (depth == self.depth || depth + 1 == self.depth));
                return in_set || self.columns == Some(self.depth);
            }
            _ => {}
        }
        false
    }
}

/// The subscripts that tokens begin with, as a part of a name; and how many tokens they take.
pub(super) fn subscripts(rest: &[&TokenWithSpan]) -> Option<(TokenWithSpan, usize)> {
    let mut depth = 0usize;
    let mut text = String::new();
    let mut count = 0;
    for token in rest {
        match token.token {
            Token::LBracket => depth += 1,
            Token::RBracket => depth = depth.checked_sub(1)?,
            _ if depth == 0 => break,
            _ => {}
        }
        count += 1;
        text.push_str(&written(&token.token));
        text.push(' ');
    }
    (count > 0 && depth == 0).then(|| (mark(rest[0], &text), count))
}
