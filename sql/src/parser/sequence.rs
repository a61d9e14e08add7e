//! CREATE SEQUENCE and ALTER SEQUENCE, and the options that identity columns have in common with them.
//!
//! sqlparser takes the options in one order only, and none of RESTART, OWNED BY NONE and SEQUENCE NAME.

use sqlparser::ast::{self, ObjectName};
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::utility::{accept, expect, name, word};
use super::{Source, syntax_error, syntax_error_at};
use crate::error::Result;

/// An option of a sequence; numbers are as written.
#[derive(Clone, Debug)]
pub enum SequenceOption {
    As(ast::DataType),
    Increment(String),
    Minimum(Option<String>),
    Maximum(Option<String>),
    Start(String),
    Restart(Option<String>),
    Cache(String),
    Cycle(bool),
    /// `None`: OWNED BY NONE.
    OwnedBy(Option<ObjectName>),
    /// The name that an identity column's sequence is to have.
    Name(ObjectName),
}

impl SequenceOption {
    /// What it is called in errors.
    #[must_use]
    pub fn keyword(&self) -> &'static str {
        match self {
            SequenceOption::As(_) => "AS",
            SequenceOption::Increment(_) => "INCREMENT",
            SequenceOption::Minimum(_) => "MINVALUE",
            SequenceOption::Maximum(_) => "MAXVALUE",
            SequenceOption::Start(_) => "START",
            SequenceOption::Restart(_) => "RESTART",
            SequenceOption::Cache(_) => "CACHE",
            SequenceOption::Cycle(_) => "CYCLE",
            SequenceOption::OwnedBy(_) => "OWNED BY",
            SequenceOption::Name(_) => "SEQUENCE NAME",
        }
    }
}

/// A number with a sign.
fn number(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<String> {
    let mut text = String::new();
    if parser.consume_token(&Token::Minus) {
        text.push('-');
    } else {
        let _ = parser.consume_token(&Token::Plus);
    }
    match &parser.peek_token_ref().token {
        Token::Number(digits, _) => text.push_str(digits),
        _ => return Err(syntax_error_at(parser.peek_token_ref(), source)),
    }
    parser.next_token();
    Ok(text)
}

/// The options that follow, up to the first word that is none.
pub fn sequence_options(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Vec<SequenceOption>> {
    let mut options = Vec::new();
    while let Some(option) = sequence_option(parser, source)? {
        options.push(option);
    }
    Ok(options)
}

/// One option, if one follows.
pub fn sequence_option(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Option<SequenceOption>> {
    let first = word(parser.peek_token_ref());
    if !matches!(
        first.as_str(),
        "as" | "increment"
            | "minvalue"
            | "maxvalue"
            | "no"
            | "start"
            | "restart"
            | "cache"
            | "cycle"
            | "owned"
            | "sequence"
    ) {
        return Ok(None);
    }
    parser.next_token();
    Ok(Some(match first.as_str() {
        "as" => {
            SequenceOption::As(parser.parse_data_type().map_err(|error| syntax_error(&error, source, &[]))?)
        }
        "increment" => {
            accept(parser, "by");
            SequenceOption::Increment(number(parser, source)?)
        }
        "minvalue" => SequenceOption::Minimum(Some(number(parser, source)?)),
        "maxvalue" => SequenceOption::Maximum(Some(number(parser, source)?)),
        "no" if accept(parser, "minvalue") => SequenceOption::Minimum(None),
        "no" if accept(parser, "maxvalue") => SequenceOption::Maximum(None),
        "no" => {
            expect(parser, source, "cycle")?;
            SequenceOption::Cycle(false)
        }
        "start" => {
            accept(parser, "with");
            SequenceOption::Start(number(parser, source)?)
        }
        "restart" => {
            let with = accept(parser, "with");
            let follows =
                matches!(parser.peek_token_ref().token, Token::Number(..) | Token::Minus | Token::Plus);
            SequenceOption::Restart(if with || follows { Some(number(parser, source)?) } else { None })
        }
        "cache" => SequenceOption::Cache(number(parser, source)?),
        "cycle" => SequenceOption::Cycle(true),
        "owned" => {
            expect(parser, source, "by")?;
            let is_none = accept(parser, "none");
            SequenceOption::OwnedBy(if is_none { None } else { Some(name(parser, source)?) })
        }
        _ => {
            expect(parser, source, "name")?;
            SequenceOption::Name(name(parser, source)?)
        }
    }))
}

/// The options in parentheses, if they are there.
pub fn identity_options(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Vec<SequenceOption>> {
    if !parser.consume_token(&Token::LParen) {
        return Ok(Vec::new());
    }
    let options = sequence_options(parser, source)?;
    if !parser.consume_token(&Token::RParen) {
        return Err(syntax_error_at(parser.peek_token_ref(), source));
    }
    Ok(options)
}

/// The options of an identity column as sqlparser takes them.
pub fn of_standard(options: &[ast::SequenceOptions]) -> Vec<SequenceOption> {
    use ast::SequenceOptions as S;
    let options = options.iter().map(|option| match option {
        S::IncrementBy(value, _) => SequenceOption::Increment(value.to_string()),
        S::MinValue(value) => SequenceOption::Minimum(value.as_ref().map(ToString::to_string)),
        S::MaxValue(value) => SequenceOption::Maximum(value.as_ref().map(ToString::to_string)),
        S::StartWith(value, _) => SequenceOption::Start(value.to_string()),
        S::Cache(value) => SequenceOption::Cache(value.to_string()),
        S::Cycle(no) => SequenceOption::Cycle(!*no),
    });
    options.collect()
}

/// Puts the options of identity columns into the one order that sqlparser takes.
pub(super) fn order_identity_options(tokens: &mut Vec<TokenWithSpan>) {
    const ORDER: [&str; 6] = ["increment", "minvalue", "maxvalue", "start", "cache", "cycle"];
    let is_blank = |token: &TokenWithSpan| matches!(token.token, Token::Whitespace(_));
    let is_identity = |token: &TokenWithSpan| matches!(&token.token, Token::Word(word) if word.keyword == Keyword::IDENTITY);
    let mut at = 0;
    while let Some(found) = tokens[at..].iter().position(is_identity) {
        at += found + 1;
        let open = at + tokens[at..].iter().take_while(|token| is_blank(token)).count();
        if tokens.get(open).is_none_or(|token| token.token != Token::LParen) {
            continue;
        }
        let Some(length) = tokens[open..].iter().position(|token| token.token == Token::RParen) else {
            return;
        };
        let inner: Vec<TokenWithSpan> =
            tokens[open + 1..open + length].iter().filter(|token| !is_blank(token)).cloned().collect();
        // Each option begins at its keyword, or at the NO before it.
        let mut groups: Vec<(usize, Vec<TokenWithSpan>)> = Vec::new();
        let mut after_no = false;
        for token in inner {
            let text = word(&token);
            let rank = ORDER.iter().position(|each| *each == text);
            match rank {
                Some(rank) if after_no => {
                    if let Some(group) = groups.last_mut() {
                        group.0 = rank;
                        group.1.push(token);
                    }
                }
                Some(rank) => groups.push((rank, vec![token])),
                None if text == "no" => groups.push((ORDER.len(), vec![token])),
                None => match groups.last_mut() {
                    Some(group) => group.1.push(token),
                    None => groups.push((ORDER.len(), vec![token])),
                },
            }
            after_no = text == "no";
        }
        groups.sort_by_key(|(rank, _)| *rank);
        let ordered: Vec<TokenWithSpan> = groups.into_iter().flat_map(|(_, tokens)| tokens).collect();
        let end = open + 1 + ordered.len();
        tokens.splice(open + 1..open + length, ordered);
        at = end;
    }
}
