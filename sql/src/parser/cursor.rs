//! DECLARE, FETCH, MOVE and CLOSE.

use sqlparser::ast::Ident;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::utility::{accept, expect, word};
use super::{Source, syntax_error, syntax_error_at};
use crate::error::Result;

/// `DECLARE name … CURSOR … FOR query`.
#[derive(Clone, Debug)]
pub struct Declare {
    pub name: Ident,
    /// SCROLL or NO SCROLL, where one is written.
    pub scroll: Option<bool>,
    pub hold: bool,
    pub binary: bool,
    /// The query's own text.
    pub text: String,
}

/// Where FETCH and MOVE go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// So many rows on; `None`: all.
    Forward(Option<i64>),
    Backward(Option<i64>),
    /// To the row of a number, from the end if negative.
    Absolute(i64),
    Relative(i64),
}

/// `FETCH [direction] name`, or MOVE.
#[derive(Clone, Debug)]
pub struct Fetch {
    pub name: Ident,
    pub direction: Direction,
    /// MOVE: only goes there.
    pub moves_only: bool,
}

fn identifier(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Ident> {
    parser.parse_identifier().map_err(|error| syntax_error(&error, source, &[]))
}

pub(super) fn declare(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Declare> {
    parser.next_token();
    let name = identifier(parser, source)?;
    let (mut scroll, mut binary) = (None, false);
    loop {
        if accept(parser, "binary") {
            binary = true;
        } else if accept(parser, "scroll") {
            scroll = Some(true);
        } else if accept(parser, "no") {
            expect(parser, source, "scroll")?;
            scroll = Some(false);
        } else if !accept(parser, "insensitive") && !accept(parser, "asensitive") {
            break;
        }
    }
    expect(parser, source, "cursor")?;
    let mut hold = false;
    if accept(parser, "with") {
        expect(parser, source, "hold")?;
        hold = true;
    } else if accept(parser, "without") {
        expect(parser, source, "hold")?;
    }
    expect(parser, source, "for")?;
    let start = source.offset(parser.peek_token_ref().span.start);
    let starts_query =
        matches!(word(parser.peek_token_ref()).as_str(), "select" | "with" | "values" | "table")
            || parser.peek_token_ref().token == Token::LParen;
    if !starts_query {
        return Err(syntax_error_at(parser.peek_token_ref(), source));
    }
    parser.parse_statement().map_err(|error| syntax_error(&error, source, &[]))?;
    let end = match &parser.peek_token_ref().token {
        Token::EOF => source.offset(parser.get_current_token().span.end),
        _ => return Err(syntax_error_at(parser.peek_token_ref(), source)),
    };
    let text = source.text()[start.min(end)..end].to_string();
    Ok(Declare { name, scroll, hold, binary, text })
}

pub(super) fn fetch(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Fetch> {
    let moves_only = word(&parser.next_token()) == "move";
    let direction = direction(parser, source)?;
    if !accept(parser, "from") {
        accept(parser, "in");
    }
    Ok(Fetch { name: identifier(parser, source)?, direction, moves_only })
}

/// A direction, or NEXT where there is none.
fn direction(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Direction> {
    if parser.peek_nth_token(1).token == Token::EOF {
        // A word that stands alone is the cursor's name.
        return Ok(Direction::Forward(Some(1)));
    }
    let first = word(parser.peek_token_ref());
    let is_number = matches!(parser.peek_token_ref().token, Token::Number(..) | Token::Minus | Token::Plus);
    if is_number {
        return Ok(Direction::Forward(Some(number(parser, source)?)));
    }
    let fixed = match first.as_str() {
        "next" => Direction::Forward(Some(1)),
        "prior" => Direction::Backward(Some(1)),
        "first" => Direction::Absolute(1),
        "last" => Direction::Absolute(-1),
        "all" => Direction::Forward(None),
        "absolute" | "relative" | "forward" | "backward" => {
            parser.next_token();
            return counted(parser, source, &first);
        }
        _ => return Ok(Direction::Forward(Some(1))),
    };
    parser.next_token();
    Ok(fixed)
}

fn counted(parser: &mut Parser<'_>, source: &Source<'_>, kind: &str) -> Result<Direction> {
    let is_number = matches!(parser.peek_token_ref().token, Token::Number(..) | Token::Minus | Token::Plus);
    Ok(match kind {
        "absolute" => Direction::Absolute(number(parser, source)?),
        "relative" => Direction::Relative(number(parser, source)?),
        _ => {
            let count = if accept(parser, "all") {
                None
            } else if is_number {
                Some(number(parser, source)?)
            } else {
                Some(1)
            };
            if kind == "forward" { Direction::Forward(count) } else { Direction::Backward(count) }
        }
    })
}

fn number(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<i64> {
    let negative = parser.consume_token(&Token::Minus);
    if !negative {
        let _ = parser.consume_token(&Token::Plus);
    }
    let token = parser.next_token();
    match &token.token {
        Token::Number(digits, _) => match digits.parse::<i32>() {
            Ok(number) if negative => Ok(-i64::from(number)),
            Ok(number) => Ok(i64::from(number)),
            Err(_) => Err(syntax_error_at(&token, source)),
        },
        _ => Err(syntax_error_at(&token, source)),
    }
}

/// `CLOSE name`, or `None` for `CLOSE ALL`.
pub(super) fn close(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Option<Ident>> {
    parser.next_token();
    if accept(parser, "all") {
        return Ok(None);
    }
    identifier(parser, source).map(Some)
}
