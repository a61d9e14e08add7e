//! Clauses of columns that sqlparser does not know. A pass before [`super::rewrite`]:
//!
//! | written | read as |
//! |---|---|
//! | `a text COMPRESSION pglz` | `` a text COLLATE `compression pglz` `` |
//! | `NATIONAL CHARACTER VARYING (5)`, `NCHAR (5)` | `CHARACTER VARYING (5)`, `CHAR (5)` |

use std::borrow::Cow;

use sqlparser::ast::{ObjectName, ObjectNamePart};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::rewrite::{is, mark, marked};

/// What stands before a method of compression, in place of a collation.
const COMPRESSION: &str = "compression ";

/// Words that a column's type does not end in: before a column's name, or in other clauses.
const BEFORE_NAMES: [&str; 15] = [
    "add",
    "alter",
    "by",
    "check",
    "column",
    "drop",
    "excluding",
    "exists",
    "including",
    "key",
    "null",
    "on",
    "rename",
    "set",
    "to",
];

/// The method of compression that stands for a collation.
#[must_use]
pub fn compression(collation: &ObjectName) -> Option<&str> {
    match collation.0.as_slice() {
        [ObjectNamePart::Identifier(only)] => marked(only)?.strip_prefix(COMPRESSION),
        _ => None,
    }
}

/// A statement's tokens with such clauses spelled otherwise.
pub(super) fn respelled(piece: &[TokenWithSpan]) -> Cow<'_, [TokenWithSpan]> {
    match without_national(piece) {
        Cow::Borrowed(piece) => with_compression(piece),
        Cow::Owned(piece) => Cow::Owned(with_compression(&piece).into_owned()),
    }
}

fn blank(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::Whitespace(_))
}

/// All strings are of one character set.
fn without_national(piece: &[TokenWithSpan]) -> Cow<'_, [TokenWithSpan]> {
    if !piece.iter().any(|token| is(token, "national") || is(token, "nchar")) {
        return Cow::Borrowed(piece);
    }
    let mut out = Vec::with_capacity(piece.len());
    for (at, token) in piece.iter().enumerate() {
        let next = piece[at + 1..].iter().find(|token| !blank(token));
        let is_followed = |by: &dyn Fn(&TokenWithSpan) -> bool| next.is_some_and(by);
        if is(token, "national") && is_followed(&|next| is(next, "char") || is(next, "character")) {
            continue;
        }
        let is_type = || is_followed(&|next| next.token == Token::LParen || is(next, "varying"));
        match is(token, "nchar") && is_type() {
            true => out.push(TokenWithSpan::new(Token::make_keyword("CHAR"), token.span)),
            false => out.push(token.clone()),
        }
    }
    Cow::Owned(out)
}

fn with_compression(piece: &[TokenWithSpan]) -> Cow<'_, [TokenWithSpan]> {
    let mut words = piece.iter().filter(|token| !blank(token));
    let defines = words.next().is_some_and(|first| is(first, "create") || is(first, "alter"))
        && words.take(4).any(|word| is(word, "table"));
    if !defines || !piece.iter().any(|token| is(token, "compression")) {
        return Cow::Borrowed(piece);
    }
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(piece.len());
    // The last tokens that are no blanks.
    let mut before: [Option<&TokenWithSpan>; 2] = [None, None];
    let mut rest = piece.iter();
    while let Some(token) = rest.next() {
        if blank(token) {
            out.push(token.clone());
            continue;
        }
        let ends_type = match before {
            [Some(name), Some(last)] => {
                let is_word = |token: &TokenWithSpan| {
                    matches!(token.token, Token::Word(_)) && !BEFORE_NAMES.iter().any(|word| is(token, word))
                };
                match last.token {
                    Token::RParen | Token::RBracket => true,
                    _ => is_word(last) && (is_word(name) || name.token == Token::Period),
                }
            }
            _ => false,
        };
        let method = rest.clone().find(|token| !blank(token));
        if let Some(TokenWithSpan { token: Token::Word(method), .. }) = method.filter(|_| ends_type)
            && is(token, "compression")
        {
            let value = match method.quote_style {
                Some(_) => method.value.clone(),
                None => method.value.to_ascii_lowercase(),
            };
            out.push(TokenWithSpan::new(Token::make_keyword("COLLATE"), token.span));
            out.push(mark(token, &format!("{COMPRESSION}{value}")));
            rest.find(|token| !blank(token));
            before = [None, None];
            continue;
        }
        out.push(token.clone());
        before = [before[1], Some(token)];
    }
    Cow::Owned(out)
}
