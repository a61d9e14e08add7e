//! The columns behind ON DELETE SET NULL and SET DEFAULT of a foreign key.
//!
//! sqlparser has no place for them, so they become more parts of the referred table's name: a marked word that says so,
//! and a marked word for each column.

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::rewrite::{closed, is, mark, marked};

/// Whether tokens begin with NOT VALID behind a constraint of a table that is made, not of a column. A table that is made
/// has no rows that could break it, so that the constraint is valid.
pub(super) fn is_not_valid(out: &[TokenWithSpan], rest: &[&TokenWithSpan]) -> bool {
    if !matches!(rest, [not, valid, ..] if is(not, "not") && is(valid, "valid")) {
        return false;
    }
    let mut depth = 0usize;
    for (at, token) in out.iter().enumerate().rev() {
        match token.token {
            Token::RParen => depth += 1,
            Token::LParen if depth > 0 => depth -= 1,
            Token::LParen | Token::Comma if depth == 0 => {
                let begins = |word: &str| out.get(at + 1).is_some_and(|first| is(first, word));
                return ["constraint", "check", "foreign"].iter().any(|word| begins(word));
            }
            _ => {}
        }
    }
    false
}

/// What stands before the columns.
const ON_DELETE: &str = "on delete";

/// What stands behind REFERENCES with its columns moved to the table's name, and how many tokens that were; `None` where
/// there are no such columns.
pub(super) fn moved(rest: &[&TokenWithSpan]) -> Option<(Vec<TokenWithSpan>, usize)> {
    let is_at = |at: usize, wanted: &str| rest.get(at).is_some_and(|token| is(token, wanted));
    let open_at = |at: usize| rest.get(at).is_some_and(|token| token.token == Token::LParen);
    let mut at = 1;
    while rest.get(at).is_some_and(|token| token.token == Token::Period) {
        at += 2;
    }
    let name_end = at;
    if open_at(at) {
        at += closed(&rest[at..])?;
    }
    loop {
        if is_at(at, "match") {
            at += 2;
            continue;
        }
        if !is_at(at, "on") {
            return None;
        }
        let action_end = if is_at(at + 2, "set") || is_at(at + 2, "no") { at + 4 } else { at + 3 };
        if is_at(at + 1, "delete") && is_at(at + 2, "set") && open_at(action_end) {
            let length = closed(&rest[action_end..]).filter(|length| *length > 2)?;
            let mut out: Vec<TokenWithSpan> = rest[..name_end].iter().map(|token| (*token).clone()).collect();
            let mut part = |like: &TokenWithSpan, value: &str| {
                out.extend([TokenWithSpan::new(Token::Period, like.span), mark(like, value)]);
            };
            part(rest[0], ON_DELETE);
            for (place, token) in rest[action_end + 1..action_end + length - 1].iter().enumerate() {
                match &token.token {
                    Token::Word(word) if place % 2 == 0 => {
                        let folded = Ident { span: token.span, ..word.clone().into_ident(token.span) };
                        part(token, &crate::binder::name::fold(&folded));
                    }
                    Token::Comma if place % 2 == 1 => {}
                    _ => return None,
                }
            }
            out.extend(rest[name_end..action_end].iter().map(|token| (*token).clone()));
            return Some((out, action_end + length));
        }
        at = action_end;
    }
}

/// The referred table, and the columns that ON DELETE sets: none are all.
#[must_use]
pub fn split_columns(name: &ObjectName) -> (ObjectName, Vec<String>) {
    let is_mark =
        |part: &ObjectNamePart| part.as_ident().is_some_and(|ident| marked(ident) == Some(ON_DELETE));
    let Some(at) = name.0.iter().position(is_mark) else { return (name.clone(), Vec::new()) };
    let columns = name.0[at + 1..].iter().filter_map(|part| part.as_ident());
    (ObjectName(name.0[..at].to_vec()), columns.map(|ident| ident.value.clone()).collect())
}
