//! `CREATE TABLE t OF type (…)`: sqlparser does not know it. The type is taken out of the tokens, and columns of the
//! list, which have none, get one that nobody reads: `a WITH OPTIONS NOT NULL` becomes `a int NOT NULL`.

use sqlparser::ast::ObjectName;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::utility::{self, word};
use super::{Source, syntax_error_at};
use crate::error::Result;

/// What may follow a column's name there.
const CLAUSES: [&str; 12] = [
    "check",
    "collate",
    "constraint",
    "default",
    "deferrable",
    "generated",
    "initially",
    "not",
    "null",
    "primary",
    "references",
    "unique",
];

/// Takes OF and the type's name out of CREATE TABLE; the tokens hold no blanks.
///
/// # Errors
/// 42601 for what such a list may not hold.
pub(super) fn take_type(tokens: &mut Vec<TokenWithSpan>, source: &Source<'_>) -> Result<Option<ObjectName>> {
    let head: Vec<String> = tokens.iter().take(4).map(word).collect();
    let Some(table) = head.iter().position(|each| each == "table") else { return Ok(None) };
    if head[0] != "create" {
        return Ok(None);
    }
    let mut at = table + 1;
    if tokens.get(at).is_some_and(|token| word(token) == "if") {
        at += 3;
    }
    let Some(of) = behind_name(tokens, at) else { return Ok(None) };
    if tokens.get(of).is_none_or(|token| word(token) != "of") {
        return Ok(None);
    }
    let Some(end) = behind_name(tokens, of + 1) else { return Ok(None) };
    let mut parser = super::parser_over(tokens[of + 1..end].to_vec());
    let name = utility::name(&mut parser, source)?;
    tokens.drain(of..end);
    if tokens.get(of).is_some_and(|token| token.token == Token::LParen) {
        give_types(tokens, of, source)?;
    }
    Ok(Some(name))
}

/// Where a name that begins at a token ends.
fn behind_name(tokens: &[TokenWithSpan], mut at: usize) -> Option<usize> {
    loop {
        if !matches!(tokens.get(at)?.token, Token::Word(_)) {
            return None;
        }
        at += 1;
        if tokens.get(at).is_none_or(|token| token.token != Token::Period) {
            return Some(at);
        }
        at += 1;
    }
}

/// Gives the columns of the list that opens at a token a type.
fn give_types(tokens: &mut Vec<TokenWithSpan>, open: usize, source: &Source<'_>) -> Result<()> {
    let is = |token: Option<&TokenWithSpan>, wanted: &str| token.is_some_and(|token| word(token) == wanted);
    let (mut depth, mut begins, mut at) = (0usize, true, open + 1);
    while let Some(token) = tokens.get(at) {
        let first = std::mem::take(&mut begins);
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen if depth == 0 && first => return Err(syntax_error_at(token, source)),
            Token::RParen if depth == 0 => return Ok(()),
            Token::RParen => depth -= 1,
            Token::Comma if depth == 0 => begins = true,
            Token::Word(name)
                if first
                    && (name.quote_style.is_some()
                        || !matches!(
                            word(token).as_str(),
                            "constraint" | "primary" | "unique" | "check" | "foreign" | "exclude"
                        )) =>
            {
                if is(tokens.get(at + 1), "with") && is(tokens.get(at + 2), "options") {
                    tokens.drain(at + 1..=at + 2);
                }
                let Some(next) = tokens.get(at + 1) else { return Ok(()) };
                let ends = matches!(next.token, Token::Comma | Token::RParen);
                if !ends && !CLAUSES.contains(&word(next).as_str()) {
                    return Err(syntax_error_at(next, source));
                }
                let data_type = TokenWithSpan::new(Token::make_keyword("INT"), tokens[at].span);
                tokens.insert(at + 1, data_type);
                at += 1;
            }
            _ => {}
        }
        at += 1;
    }
    Ok(())
}
