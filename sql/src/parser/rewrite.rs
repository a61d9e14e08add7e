//! Forms that sqlparser lacks, spelled as forms that it has.
//!
//! The tokens of a statement are changed before they are parsed. What is put in is a word in backticks, which no text
//! of PostgreSQL's dialect can hold, so that the binder knows it ([`marked`]).
//!
//! | written | parsed as |
//! |---|---|
//! | `(row).*` | `` (row).`*` `` |
//! | `ROWS FROM (…)` | `` `rows from`(…) `` |
//! | `VARIADIC array` | `` `variadic` => array `` |
//! | `name := value` | `name => value` |
//! | `BETWEEN SYMMETRIC a AND b` | `BETWEEN NOT a AND b`, which is an error in PostgreSQL |
//! | `SET a[1] = …`, `INSERT INTO t (a[1])` | `` a.`[1]` ``: see [`targets`] |
//! | `frame EXCLUDE TIES` in a window | one more key before the frame: `` , `exclude ties` `` |
//! | `FOR NO KEY UPDATE`, `FOR KEY SHARE` | `FOR UPDATE`, `FOR SHARE` |
//! | `LIKE ANY`, `NOT ILIKE ALL`, … | `~~ ANY`, `!~~* ALL`, … |
//! | `AS OF SCN n`, and so on | `` FOR SYSTEM_TIME AS OF `scn` = n `` |
//! | `U&'…' UESCAPE '!'` | the string it is |
//! | `x::type COLLATE name` | `x::type`: no collation changes anything |
//! | `FROM ONLY t`, `UPDATE ONLY t` | `FROM t`, `UPDATE t` |
//! | `at`, but in AT TIME ZONE | `"at"` |
//! | `ISNULL`, `NOTNULL` | `IS NULL`, `IS NOT NULL` |
//! | `'a'` and `'b'` on the next line | `'ab'` |

use super::targets::{self, Targets};
use crate::functions::unescape_unicode;
use sqlparser::ast::Ident;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::Source;

/// The quotes of what is put in.
const MARK: char = '`';

/// What an identifier that was put in says.
#[must_use]
pub fn marked(identifier: &Ident) -> Option<&str> {
    (identifier.quote_style == Some(MARK)).then_some(identifier.value.as_str())
}

/// The tokens of a stored text, in which what was put in stands in backticks.
pub(super) fn with_marks(tokens: Vec<TokenWithSpan>, source: &Source<'_>) -> Vec<TokenWithSpan> {
    let is_quote = |token: &TokenWithSpan| token.token == Token::Char(MARK);
    let mut out = Vec::with_capacity(tokens.len());
    let mut rest = tokens.into_iter();
    while let Some(token) = rest.next() {
        if !is_quote(&token) {
            out.push(token);
            continue;
        }
        let Some(end) = rest.find(is_quote) else { break };
        let inside = source.offset(token.span.end)..source.offset(end.span.start);
        out.push(mark(&token, &source.text()[inside]));
    }
    out
}

pub(super) fn mark(like: &TokenWithSpan, value: &str) -> TokenWithSpan {
    let word = Word { value: value.to_owned(), quote_style: Some(MARK), keyword: Keyword::NoKeyword };
    TokenWithSpan::new(Token::Word(word), like.span)
}

/// Whether a token is a word, in capitals here, without quotes.
pub(super) fn is(token: &TokenWithSpan, wanted: &str) -> bool {
    matches!(&token.token, Token::Word(word)
        if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted))
}

/// A statement's tokens in the forms that sqlparser knows; blanks are left out.
pub(super) fn rewrite(piece: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let blank = |token: &&TokenWithSpan| !matches!(token.token, Token::Whitespace(_));
    let tokens: Vec<&TokenWithSpan> = piece.iter().filter(blank).collect();
    let word_at = |at: usize, wanted: &str| tokens.get(at).is_some_and(|token| is(token, wanted));
    let token_at = |at: usize| tokens.get(at).map_or(&Token::EOF, |token| &token.token);
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(piece.len());
    let mut targets = Targets::default();
    let mut at = 0;
    while at < tokens.len() {
        let token = tokens[at];
        at += 1;
        if targets.follow(token, tokens.get(at).copied())
            && let Some((subscripts, length)) = targets::subscripts(&tokens[at..])
        {
            out.push(token.clone());
            out.push(TokenWithSpan::new(Token::Period, token.span));
            out.push(subscripts);
            at += length;
            continue;
        }
        let before = out.last().map(|token| token.token.clone());
        match &token.token {
            // Arguments by name, as they were once written.
            Token::Assignment => out.push(TokenWithSpan::new(Token::RArrow, token.span)),
            Token::Mul if before == Some(Token::Period) && follows_parenthesis(&out) => {
                out.push(mark(token, "*"));
            }
            Token::Word(_)
                if is(token, "rows") && word_at(at, "from") && *token_at(at + 1) == Token::LParen =>
            {
                out.push(mark(token, "rows from"));
                at += 1;
            }
            Token::Word(_)
                if is(token, "variadic") && matches!(before, Some(Token::LParen | Token::Comma)) =>
            {
                out.push(mark(token, "variadic"));
                out.push(TokenWithSpan::new(Token::RArrow, token.span));
            }
            Token::Word(_) if is(token, "between") && word_at(at, "symmetric") => {
                out.push(token.clone());
                out.push(TokenWithSpan::new(Token::make_keyword("NOT"), tokens[at].span));
                at += 1;
            }
            Token::Word(_) if is(token, "between") && word_at(at, "asymmetric") => {
                out.push(token.clone());
                at += 1;
            }
            Token::Word(_)
                if (is(token, "like") || is(token, "ilike"))
                    && ["any", "all", "some"].iter().any(|word| word_at(at, word)) =>
            {
                let negated = out.pop_if(|before| is(before, "not")).is_some();
                let operator = match (negated, is(token, "ilike")) {
                    (false, false) => Token::DoubleTilde,
                    (false, true) => Token::DoubleTildeAsterisk,
                    (true, false) => Token::ExclamationMarkDoubleTilde,
                    (true, true) => Token::ExclamationMarkDoubleTildeAsterisk,
                };
                out.push(TokenWithSpan::new(operator, token.span));
            }
            Token::Word(_) if is(token, "exclude") => match exclusion(&tokens[at..]) {
                Some((mode, length)) if insert_exclusion(&mut out, token, mode) => at += length,
                _ => out.push(token.clone()),
            },
            Token::Word(_) if is(token, "collate") && ends_cast(&out) => {
                at += 1;
                while *token_at(at) == Token::Period {
                    at += 2;
                }
            }
            Token::Word(_)
                if is(token, "as") && word_at(at, "of") && moment_at(tokens.get(at + 1)).is_some() =>
            {
                for keyword in ["FOR", "SYSTEM_TIME", "AS", "OF"] {
                    out.push(TokenWithSpan::new(Token::make_keyword(keyword), token.span));
                }
                out.push(mark(token, moment_at(tokens.get(at + 1)).unwrap_or_default()));
                out.push(TokenWithSpan::new(Token::Eq, token.span));
                at += 2;
            }
            // No table has others that inherit from it.
            Token::Word(_)
                if is(token, "only")
                    && out.last().is_some_and(|before| is(before, "from") || is(before, "update"))
                    && matches!(token_at(at), Token::Word(_)) => {}
            // A name like any other, but to dialects that read AT as part of a table.
            Token::Word(_) if is(token, "at") && !word_at(at, "time") => {
                let word =
                    Word { value: "at".to_owned(), quote_style: Some('"'), keyword: Keyword::NoKeyword };
                out.push(TokenWithSpan::new(Token::Word(word), token.span));
            }
            Token::Word(_) if is(token, "for") && word_at(at, "no") && word_at(at + 1, "key") => {
                out.push(token.clone());
                at += 2;
            }
            Token::Word(_) if is(token, "for") && word_at(at, "key") && word_at(at + 1, "share") => {
                out.push(token.clone());
                at += 1;
            }
            Token::Word(_)
                if (is(token, "isnull") || is(token, "notnull"))
                    && before.as_ref().is_some_and(ends_value) =>
            {
                let not = is(token, "notnull").then_some("NOT");
                for keyword in ["IS"].into_iter().chain(not).chain(["NULL"]) {
                    out.push(TokenWithSpan::new(Token::make_keyword(keyword), token.span));
                }
            }
            Token::UnicodeStringLiteral(text) if word_at(at, "uescape") => match token_at(at + 1) {
                Token::SingleQuotedString(escape) if let Some(decoded) = unescaped(text, escape) => {
                    out.push(TokenWithSpan::new(Token::SingleQuotedString(decoded), token.span));
                    at += 2;
                }
                _ => out.push(token.clone()),
            },
            Token::SingleQuotedString(text) => match out.last_mut().map(|last| &mut last.token) {
                // Literals on lines that follow each other are one.
                Some(Token::SingleQuotedString(first) | Token::EscapedStringLiteral(first))
                    if tokens[at - 2].span.end.line < token.span.start.line =>
                {
                    first.push_str(text);
                }
                _ => out.push(token.clone()),
            },
            _ => out.push(token.clone()),
        }
    }
    out
}

/// How a moment is given, behind AS OF.
fn moment_at(token: Option<&&TokenWithSpan>) -> Option<&'static str> {
    ["timestamp", "transaction", "scn"].into_iter().find(|kind| token.is_some_and(|token| is(token, kind)))
}

/// Whether the last tokens are `::` and a type's name.
fn ends_cast(out: &[TokenWithSpan]) -> bool {
    // The longest is `character varying(10)[]`, with a schema before it.
    for token in out.iter().rev().take(9) {
        match &token.token {
            Token::DoubleColon => return true,
            Token::Word(_) | Token::Period | Token::Number(..) => {}
            Token::LParen | Token::RParen | Token::LBracket | Token::RBracket => {}
            _ => return false,
        }
    }
    false
}

/// A Unicode literal with an escape character of its own.
fn unescaped(text: &str, escape: &str) -> Option<String> {
    let mut characters = escape.chars();
    let (Some(escape), None) = (characters.next(), characters.next()) else { return None };
    let unfit = |c: char| c.is_ascii_hexdigit() || c.is_whitespace() || matches!(c, '+' | '\'' | '"');
    (!unfit(escape)).then(|| unescape_unicode(text, escape, false).ok()).flatten()
}

/// Whether the point that the tokens end with stands behind a parenthesis.
fn follows_parenthesis(out: &[TokenWithSpan]) -> bool {
    matches!(out, [.., before, _] if before.token == Token::RParen)
}

/// Whether a value may end with a token.
fn ends_value(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.quote_style.is_some() || word.keyword != Keyword::SELECT,
        Token::Number(..) | Token::SingleQuotedString(_) | Token::Placeholder(_) => true,
        Token::RParen | Token::RBracket => true,
        _ => false,
    }
}

/// What a frame leaves out, and how many tokens say so.
fn exclusion(rest: &[&TokenWithSpan]) -> Option<(&'static str, usize)> {
    let word = |at: usize, wanted: &str| rest.get(at).is_some_and(|token| is(token, wanted));
    match () {
        () if word(0, "current") && word(1, "row") => Some(("exclude current row", 2)),
        () if word(0, "no") && word(1, "others") => Some(("exclude no others", 2)),
        () if word(0, "group") => Some(("exclude group", 1)),
        () if word(0, "ties") => Some(("exclude ties", 1)),
        () => None,
    }
}

/// Puts the mark of an exclusion before the frame that it ends; false where there is no frame.
fn insert_exclusion(out: &mut Vec<TokenWithSpan>, like: &TokenWithSpan, mode: &str) -> bool {
    let mut depth = 0usize;
    let mut frame = None;
    let mut has_keys = false;
    for (at, token) in out.iter().enumerate().rev() {
        match &token.token {
            Token::RParen => depth += 1,
            Token::LParen if depth == 0 => break,
            Token::LParen => depth -= 1,
            Token::Word(_) if depth == 0 => {
                let unit = is(token, "rows") || is(token, "range") || is(token, "groups");
                if unit && frame.is_none() {
                    frame = Some(at);
                }
                has_keys |= is(token, "by") && frame.is_some();
            }
            _ => {}
        }
    }
    let Some(frame) = frame else { return false };
    if has_keys {
        out.insert(frame, TokenWithSpan::new(Token::Comma, like.span));
        out.insert(frame + 1, mark(like, mode));
    } else {
        out.insert(frame, TokenWithSpan::new(Token::make_keyword("PARTITION"), like.span));
        out.insert(frame + 1, TokenWithSpan::new(Token::make_keyword("BY"), like.span));
        out.insert(frame + 2, mark(like, mode));
    }
    true
}
