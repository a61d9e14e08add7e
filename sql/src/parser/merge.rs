//! What MERGE has in PostgreSQL and sqlparser lacks.
//!
//! | written | parsed as |
//! |---|---|
//! | `USING a JOIN b ON c ON d` | `USING (a JOIN b ON c) ON d` |
//! | `INSERT DEFAULT VALUES` | `` INSERT VALUES (`default values`) `` |
//! | `INSERT (a) OVERRIDING SYSTEM VALUE VALUES (…)` | `` INSERT (a, `system`) VALUES (…) `` |

use sqlparser::ast::{self, ObjectName};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::rewrite::{is, mark, marked};
use super::utility::Overriding;

/// What stands for a row of defaults.
const DEFAULT_VALUES: &str = "default values";

/// What stands among the columns for OVERRIDING.
const SYSTEM: &str = "system";
const USER: &str = "user";

/// Where the source behind USING ends, if it is a join that needs parentheses: how many tokens it takes.
pub(super) fn joined_source(rest: &[&TokenWithSpan]) -> Option<usize> {
    let (mut depth, mut cases, mut is_join, mut last_on) = (0usize, 0usize, false, None);
    for (at, token) in rest.iter().enumerate() {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.checked_sub(1)?,
            Token::Word(_) if depth == 0 && is(token, "case") => cases += 1,
            Token::Word(_) if depth == 0 && is(token, "end") => cases = cases.saturating_sub(1),
            Token::Word(_) if depth == 0 && is(token, "join") => is_join = true,
            Token::Word(_) if depth == 0 && is(token, "on") => last_on = Some(at),
            Token::Word(_) if depth == 0 && cases == 0 && is(token, "when") => break,
            _ => {}
        }
    }
    last_on.filter(|_| is_join)
}

/// What stands behind INSERT's columns, put in another form: gives how many tokens were read.
pub(super) fn insert_words(rest: &[&TokenWithSpan], out: &mut Vec<TokenWithSpan>) -> Option<usize> {
    let is_at = |at: usize, wanted: &str| rest.get(at).is_some_and(|token| is(token, wanted));
    let span = rest.first()?.span;
    let token = |token: Token| TokenWithSpan::new(token, span);
    if is_at(0, "default") && is_at(1, "values") && out.last().is_some_and(|last| is(last, "insert")) {
        out.extend([token(Token::make_keyword("VALUES")), token(Token::LParen)]);
        out.extend([mark(rest[0], DEFAULT_VALUES), token(Token::RParen)]);
        return Some(2);
    }
    if !is_at(0, "overriding") || !is_at(2, "value") {
        return None;
    }
    let word = match () {
        () if is_at(1, "system") => SYSTEM,
        () if is_at(1, "user") => USER,
        () => return None,
    };
    match out.last().map(|last| &last.token) {
        Some(Token::RParen) => {
            out.pop();
            out.push(token(Token::Comma));
        }
        _ => out.push(token(Token::LParen)),
    }
    out.extend([mark(rest[1], word), token(Token::RParen)]);
    Some(3)
}

/// The columns of an INSERT in MERGE, and what it overrides.
#[must_use]
pub fn merge_columns(columns: &[ObjectName]) -> (&[ObjectName], Option<Overriding>) {
    let word = |name: &ObjectName| match name.0.as_slice() {
        [part] => part.as_ident().and_then(marked).map(str::to_owned),
        _ => None,
    };
    match columns.split_last() {
        Some((last, before)) => match word(last).as_deref() {
            Some(SYSTEM) => (before, Some(Overriding::System)),
            Some(USER) => (before, Some(Overriding::User)),
            _ => (columns, None),
        },
        None => (columns, None),
    }
}

/// Whether values are those of DEFAULT VALUES.
#[must_use]
pub fn are_defaults(values: &[ast::Expr]) -> bool {
    matches!(values, [ast::Expr::Identifier(word)] if marked(word) == Some(DEFAULT_VALUES))
}
