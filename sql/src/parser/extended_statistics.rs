//! CREATE, ALTER and DROP STATISTICS.

use sqlparser::ast::{Expr, Ident, ObjectName, TableWithJoins};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::definition::{Definition, identifier, if_exists, if_not_exists, skip, statistics_target};
use super::role::{RoleName, role_name};
use super::utility::{accept, expect, name, word};
use super::{Source, syntax_error, syntax_error_at};
use crate::error::Result;

/// A statement about statistics objects.
#[derive(Clone, Debug)]
pub enum StatisticsStatement {
    Create {
        name: ObjectName,
        if_not_exists: bool,
        kinds: Vec<Ident>,
        elements: Vec<StatisticsElement>,
        from: Vec<TableWithJoins>,
    },
    Alter {
        name: ObjectName,
        if_exists: bool,
        change: StatisticsChange,
    },
    Drop {
        names: Vec<ObjectName>,
        if_exists: bool,
    },
}

/// What statistics are of.
#[derive(Clone, Debug)]
pub enum StatisticsElement {
    Column(Ident),
    Expression(Box<Expr>),
}

/// What ALTER STATISTICS does.
#[derive(Clone, Debug)]
pub enum StatisticsChange {
    Rename(Ident),
    Schema(Ident),
    Owner(RoleName),
    Target(i64),
}

/// The statement, before which the parser stands.
pub(super) fn parse(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Definition> {
    let verb = word(parser.peek_token_ref());
    skip(parser, 2);
    let statement = match verb.as_str() {
        "create" => create(parser, source)?,
        "alter" => alter(parser, source)?,
        _ => drop(parser, source)?,
    };
    Ok(Definition::Statistics(statement))
}

fn create(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<StatisticsStatement> {
    let if_not_exists = if_not_exists(parser, source)?;
    if word(parser.peek_token_ref()) == "on" {
        return Err(syntax_error_at(parser.peek_token_ref(), source));
    }
    let own = name(parser, source)?;
    let mut kinds = Vec::new();
    if parser.consume_token(&Token::LParen) {
        loop {
            if !matches!(parser.peek_token_ref().token, Token::Word(_)) {
                return Err(syntax_error_at(parser.peek_token_ref(), source));
            }
            kinds.push(identifier(parser, source)?);
            if !parser.consume_token(&Token::Comma) {
                break;
            }
        }
        close(parser, source)?;
    }
    expect(parser, source, "on")?;
    let mut elements = Vec::new();
    loop {
        elements.push(element(parser, source)?);
        if !parser.consume_token(&Token::Comma) {
            break;
        }
    }
    expect(parser, source, "from")?;
    let from = parser
        .parse_comma_separated(Parser::parse_table_and_joins)
        .map_err(|error| syntax_error(&error, source, &[]))?;
    Ok(StatisticsStatement::Create { name: own, if_not_exists, kinds, elements, from })
}

fn close(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<()> {
    match parser.consume_token(&Token::RParen) {
        true => Ok(()),
        false => Err(syntax_error_at(parser.peek_token_ref(), source)),
    }
}

/// A column, a call of a function, or an expression in parentheses.
fn element(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<StatisticsElement> {
    if parser.consume_token(&Token::LParen) {
        let expression = parser.parse_expr().map_err(|error| syntax_error(&error, source, &[]))?;
        close(parser, source)?;
        return Ok(StatisticsElement::Expression(Box::new(expression)));
    }
    // A call's name may have a schema.
    let mut at = 1;
    while parser.peek_nth_token(at).token == Token::Period {
        at += 2;
    }
    if parser.peek_nth_token(at).token == Token::LParen {
        let call = parser.parse_prefix().map_err(|error| syntax_error(&error, source, &[]))?;
        return Ok(StatisticsElement::Expression(Box::new(call)));
    }
    if at > 1 {
        return Err(syntax_error_at(&parser.peek_nth_token(at), source));
    }
    Ok(StatisticsElement::Column(identifier(parser, source)?))
}

fn alter(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<StatisticsStatement> {
    let if_exists = if_exists(parser, source)?;
    let own = name(parser, source)?;
    let first = parser.peek_token_ref().clone();
    let words = (word(&first), word(&parser.peek_nth_token(1)));
    let change = match (words.0.as_str(), words.1.as_str()) {
        ("set", "statistics") => {
            skip(parser, 2);
            StatisticsChange::Target(statistics_target(parser, source)?)
        }
        _ if if_exists => return Err(syntax_error_at(&first, source)),
        ("rename", "to") => {
            skip(parser, 2);
            StatisticsChange::Rename(identifier(parser, source)?)
        }
        ("set", "schema") => {
            skip(parser, 2);
            StatisticsChange::Schema(identifier(parser, source)?)
        }
        ("owner", "to") => {
            skip(parser, 2);
            StatisticsChange::Owner(role_name(parser, source)?)
        }
        _ => return Err(syntax_error_at(&first, source)),
    };
    Ok(StatisticsStatement::Alter { name: own, if_exists, change })
}

fn drop(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<StatisticsStatement> {
    let if_exists = if_exists(parser, source)?;
    let mut names = Vec::new();
    loop {
        names.push(name(parser, source)?);
        if !parser.consume_token(&Token::Comma) {
            break;
        }
    }
    // Nothing depends on statistics.
    if !accept(parser, "cascade") {
        accept(parser, "restrict");
    }
    Ok(StatisticsStatement::Drop { names, if_exists })
}
