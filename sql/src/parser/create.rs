//! What CREATE TABLE, CREATE INDEX and CREATE VIEW may say, and sqlparser does not take or drops without a word. Their
//! tokens are changed or refused before sqlparser sees them.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::{Source, syntax_error_at, utility};
use crate::error::{Result, SqlError, SqlState};

/// The one tablespace and the one table access method that there are.
pub const TABLESPACE: &str = "pg_default";
pub const TABLE_METHOD: &str = "heap";

/// Changes the tokens of a CREATE or ALTER TABLE; they hold no blanks.
///
/// # Errors
/// 42601 for what PostgreSQL does not know, 42704 for tablespaces and access methods that there are not, 0A000.
pub fn prepare(tokens: &mut Vec<TokenWithSpan>, source: &Source<'_>) -> Result<()> {
    let head: Vec<String> = tokens.iter().take(5).map(utility::word).collect();
    let has = |wanted: &str| head.iter().any(|word| word == wanted);
    match head.first().map(String::as_str) {
        Some("create") if has("view") => {
            refuse_check_option(tokens)?;
            spell_out_flags(tokens);
            spell_out_recursion(tokens, source)
        }
        Some("create") if has("table") => {
            refuse_dropped_words(tokens, source)?;
            take_tablespace(tokens)?;
            take_table_method(tokens)
        }
        Some("create") if has("index") => take_tablespace(tokens),
        _ => Ok(()),
    }
}

/// Where a word stands outside of parentheses.
fn outside(tokens: &[TokenWithSpan], wanted: &str) -> Option<usize> {
    let mut depth = 0usize;
    tokens.iter().position(|token| {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && utility::word(token) == wanted
    })
}

/// The name that a token is.
fn name_of(token: Option<&TokenWithSpan>) -> Option<String> {
    match token.map(|token| &token.token) {
        Some(Token::Word(word)) if word.quote_style.is_some() => Some(word.value.clone()),
        Some(Token::Word(word)) => Some(word.value.to_lowercase()),
        _ => None,
    }
}

/// Words that sqlparser reads in a column's definition, and forgets where the dialect is not theirs.
fn refuse_dropped_words(tokens: &[TokenWithSpan], source: &Source<'_>) -> Result<()> {
    let query = outside(tokens, "as").unwrap_or(tokens.len());
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate().take(query) {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        let is_one =
            matches!(utility::word(token).as_str(), "auto_increment" | "autoincrement" | "asc" | "desc");
        let is_behind = at > 0 && matches!(tokens[at - 1].token, Token::Word(_) | Token::RParen);
        if depth == 1 && is_one && is_behind {
            return Err(syntax_error_at(token, source));
        }
    }
    Ok(())
}

/// `TABLESPACE name`, outside of parentheses.
fn take_tablespace(tokens: &mut Vec<TokenWithSpan>) -> Result<()> {
    let query = outside(tokens, "as").unwrap_or(tokens.len());
    let Some(at) = outside(&tokens[..query], "tablespace") else { return Ok(()) };
    let Some(name) = name_of(tokens.get(at + 1)) else { return Ok(()) };
    check_tablespace(&name)?;
    tokens.drain(at..=at + 1);
    Ok(())
}

/// # Errors
/// 42704 for all but the one that there is.
pub fn check_tablespace(name: &str) -> Result<()> {
    if name == TABLESPACE {
        return Ok(());
    }
    Err(SqlError::new(SqlState::UNDEFINED_OBJECT, format!("tablespace \"{name}\" does not exist")))
}

/// `USING method`, outside of parentheses.
fn take_table_method(tokens: &mut Vec<TokenWithSpan>) -> Result<()> {
    let query = outside(tokens, "as").unwrap_or(tokens.len());
    let Some(at) = outside(&tokens[..query], "using") else { return Ok(()) };
    let Some(name) = name_of(tokens.get(at + 1)) else { return Ok(()) };
    check_table_method(&name)?;
    tokens.drain(at..=at + 1);
    Ok(())
}

/// # Errors
/// 42704 and 55000 for all but the one that there is.
pub fn check_table_method(name: &str) -> Result<()> {
    match name {
        TABLE_METHOD => Ok(()),
        "btree" | "hash" | "gin" | "gist" | "spgist" | "brin" => Err(SqlError::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("access method \"{name}\" is not of type TABLE"),
        )),
        _ => {
            Err(SqlError::new(SqlState::UNDEFINED_OBJECT, format!("access method \"{name}\" does not exist")))
        }
    }
}

/// WITH CHECK OPTION: no rows are changed through views.
fn refuse_check_option(tokens: &[TokenWithSpan]) -> Result<()> {
    let tail: Vec<String> = tokens.iter().rev().take(4).map(utility::word).collect();
    let tail: Vec<&str> = tail.iter().map(String::as_str).collect();
    match tail.as_slice() {
        ["option", "check", "with", ..] | ["option", "check", "local" | "cascaded", "with"] => {
            Err(SqlError::unsupported("WITH CHECK OPTION is not supported yet"))
        }
        _ => Ok(()),
    }
}

/// `WITH (security_barrier)` is `WITH (security_barrier = true)`.
fn spell_out_flags(tokens: &mut Vec<TokenWithSpan>) {
    let query = outside(tokens, "as").unwrap_or(tokens.len());
    let Some(with) = outside(&tokens[..query], "with") else { return };
    let Some(end) = tokens[with..query].iter().position(|token| token.token == Token::RParen) else { return };
    for at in (with + 2..=with + end).rev() {
        let is_alone = matches!(tokens[at - 1].token, Token::Word(_))
            && matches!(tokens[at - 2].token, Token::LParen | Token::Comma)
            && matches!(tokens[at].token, Token::RParen | Token::Comma);
        if is_alone {
            let span = tokens[at - 1].span;
            let value = TokenWithSpan::new(Token::make_keyword("true"), span);
            tokens.splice(at..at, [TokenWithSpan::new(Token::Eq, span), value]);
        }
    }
}

/// `CREATE RECURSIVE VIEW v (a) AS query` is `CREATE VIEW v (a) AS WITH RECURSIVE v (a) AS (query) SELECT a FROM v`.
fn spell_out_recursion(tokens: &mut Vec<TokenWithSpan>, source: &Source<'_>) -> Result<()> {
    let Some(recursive) = tokens.iter().take(4).position(|token| utility::word(token) == "recursive") else {
        return Ok(());
    };
    if tokens.get(recursive + 1).is_none_or(|next| utility::word(next) != "view") {
        return Ok(());
    }
    let fail =
        |at: usize| syntax_error_at(tokens.get(at).unwrap_or(&TokenWithSpan::wrap(Token::EOF)), source);
    let Some(query) = outside(tokens, "as") else { return Err(fail(tokens.len())) };
    let open = tokens[..query].iter().position(|token| token.token == Token::LParen);
    let Some(open) = open.filter(|open| *open > recursive + 2) else { return Err(fail(query)) };
    let Some(close) = tokens[open..query].iter().position(|token| token.token == Token::RParen) else {
        return Err(fail(query));
    };
    let name = tokens[open - 1].clone();
    let columns = tokens[open + 1..open + close].to_vec();
    let word = |text: &str| {
        let word = Word { value: text.to_owned(), quote_style: None, keyword: keyword_of(text) };
        TokenWithSpan::new(Token::Word(word), name.span)
    };
    let sign = |token: Token| TokenWithSpan::new(token, name.span);
    let body = tokens.split_off(query + 1);
    let mut written = vec![word("with"), word("recursive"), name.clone(), sign(Token::LParen)];
    written.extend(columns.iter().cloned());
    written.extend([sign(Token::RParen), word("as"), sign(Token::LParen)]);
    written.extend(body);
    written.extend([sign(Token::RParen), word("select")]);
    written.extend(columns);
    written.extend([word("from"), name.clone()]);
    tokens.extend(written);
    tokens.remove(recursive);
    Ok(())
}

fn keyword_of(text: &str) -> Keyword {
    match Token::make_keyword(text) {
        Token::Word(word) => word.keyword,
        _ => Keyword::NoKeyword,
    }
}
