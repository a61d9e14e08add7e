//! DROP of kinds of objects that nobody can make here: nothing of the kind is there, or only what is built in.

use sqlparser::ast::{self, Ident, ObjectName};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::definition::{identifier, if_exists, skip};
use super::utility::{accept, expect, name, word};
use super::{Source, syntax_error, syntax_error_at};
use crate::error::{Result, SqlError};

/// A DROP of things that are not there.
#[derive(Clone, Debug)]
pub struct DropAbsent {
    /// The words behind DROP, which are in the tag.
    pub kind: &'static str,
    pub if_exists: bool,
    pub things: Vec<Absent>,
}

/// How such a thing is named.
#[derive(Clone, Debug)]
pub enum Absent {
    /// By a name alone.
    Plain(Ident),
    /// By a name that may have a schema.
    Qualified(ObjectName),
    /// As a part of a table.
    On {
        name: Ident,
        table: ObjectName,
    },
    /// As something of an access method.
    Of {
        name: ObjectName,
        method: Ident,
    },
    /// By name and arguments; no list: by the name alone.
    Routine {
        name: ObjectName,
        arguments: Option<Vec<ast::DataType>>,
    },
    /// By name and operands; `None` for NONE.
    Operator {
        name: String,
        operands: Vec<Option<ast::DataType>>,
    },
    Cast {
        source: ast::DataType,
        target: ast::DataType,
    },
    /// A transform of a type for a language.
    For {
        what: ast::DataType,
        owner: Ident,
    },
    /// A user's mapping for a server.
    Mapping {
        role: Ident,
        server: Ident,
    },
}

/// The kinds: their words, and how their things are named.
const KINDS: &[(&str, Form)] = &[
    ("CONVERSION", Form::Qualified),
    ("COLLATION", Form::Qualified),
    ("TEXT SEARCH PARSER", Form::Qualified),
    ("TEXT SEARCH DICTIONARY", Form::Qualified),
    ("TEXT SEARCH TEMPLATE", Form::Qualified),
    ("TEXT SEARCH CONFIGURATION", Form::Qualified),
    ("FOREIGN TABLE", Form::Qualified),
    ("FOREIGN DATA WRAPPER", Form::Plain),
    ("SERVER", Form::Plain),
    ("EVENT TRIGGER", Form::Plain),
    ("PUBLICATION", Form::Plain),
    ("SUBSCRIPTION", Form::Plain),
    ("ACCESS METHOD", Form::Plain),
    ("TABLESPACE", Form::Plain),
    ("LANGUAGE", Form::Plain),
    ("TRIGGER", Form::On),
    ("RULE", Form::On),
    ("POLICY", Form::On),
    ("OPERATOR CLASS", Form::Of),
    ("OPERATOR FAMILY", Form::Of),
    ("OPERATOR", Form::Operator),
    ("FUNCTION", Form::Routine),
    ("PROCEDURE", Form::Routine),
    ("ROUTINE", Form::Routine),
    ("AGGREGATE", Form::Routine),
    ("CAST", Form::Cast),
    ("TRANSFORM", Form::For),
    ("USER MAPPING", Form::Mapping),
];

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Plain,
    Qualified,
    On,
    Of,
    Routine,
    Operator,
    Cast,
    For,
    Mapping,
}

/// Tries such a statement; `None` leaves the parser at its start.
pub(super) fn parse(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Option<DropAbsent>> {
    // PROCEDURAL LANGUAGE is the older word.
    let procedural = usize::from(word(&parser.peek_nth_token(1)) == "procedural");
    let is_next = |words: &str| {
        let mut at = 1 + procedural;
        words.split(' ').all(|wanted| {
            at += 1;
            word(&parser.peek_nth_token(at - 1)).eq_ignore_ascii_case(wanted)
        })
    };
    let Some((kind, form)) = KINDS.iter().find(|(words, _)| is_next(words)).copied() else { return Ok(None) };
    skip(parser, 1 + procedural + kind.split(' ').count());
    let if_exists = if_exists(parser, source)?;
    let mut things = Vec::new();
    loop {
        things.push(thing(parser, source, form)?);
        if matches!(form, Form::On | Form::Of | Form::Cast | Form::For | Form::Mapping)
            || !parser.consume_token(&Token::Comma)
        {
            break;
        }
    }
    if !accept(parser, "cascade") {
        accept(parser, "restrict");
    }
    Ok(Some(DropAbsent { kind, if_exists, things }))
}

fn data_type(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<ast::DataType> {
    parser.parse_data_type().map_err(|error| syntax_error(&error, source, &[]))
}

fn expect_token(parser: &mut Parser<'_>, source: &Source<'_>, wanted: &Token) -> Result<()> {
    if parser.consume_token(wanted) { Ok(()) } else { Err(syntax_error_at(parser.peek_token_ref(), source)) }
}

fn thing(parser: &mut Parser<'_>, source: &Source<'_>, form: Form) -> Result<Absent> {
    Ok(match form {
        Form::Plain => Absent::Plain(identifier(parser, source)?),
        Form::Qualified => Absent::Qualified(name(parser, source)?),
        Form::On => {
            let own = identifier(parser, source)?;
            expect(parser, source, "on")?;
            Absent::On { name: own, table: name(parser, source)? }
        }
        Form::Of => {
            let own = name(parser, source)?;
            expect(parser, source, "using")?;
            Absent::Of { name: own, method: identifier(parser, source)? }
        }
        Form::Routine => {
            let own = name(parser, source)?;
            let listed = parser.peek_token_ref().token == Token::LParen;
            let arguments = if listed { Some(arguments(parser, source)?) } else { None };
            Absent::Routine { name: own, arguments }
        }
        Form::Operator => {
            let mut own = String::new();
            while !matches!(parser.peek_token_ref().token, Token::LParen | Token::EOF) {
                own.push_str(&parser.next_token().token.to_string());
            }
            Absent::Operator { name: own, operands: operands(parser, source)? }
        }
        Form::Cast => {
            expect_token(parser, source, &Token::LParen)?;
            let from = data_type(parser, source)?;
            expect(parser, source, "as")?;
            let target = data_type(parser, source)?;
            expect_token(parser, source, &Token::RParen)?;
            Absent::Cast { source: from, target }
        }
        Form::For => {
            expect(parser, source, "for")?;
            let what = data_type(parser, source)?;
            expect(parser, source, "language")?;
            Absent::For { what, owner: identifier(parser, source)? }
        }
        Form::Mapping => {
            expect(parser, source, "for")?;
            let role = identifier(parser, source)?;
            expect(parser, source, "server")?;
            Absent::Mapping { role, server: identifier(parser, source)? }
        }
    })
}

/// The types of a routine's arguments: those that only go out do not tell which it is; `*` is none.
fn arguments(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Vec<ast::DataType>> {
    let mut found = Vec::new();
    expect_token(parser, source, &Token::LParen)?;
    if parser.consume_token(&Token::Mul) {
        expect_token(parser, source, &Token::RParen)?;
        return Ok(found);
    }
    while !parser.consume_token(&Token::RParen) {
        if !found.is_empty() {
            expect_token(parser, source, &Token::Comma)?;
        }
        let mode = ["inout", "variadic", "in", "out"].into_iter().find(|mode| accept(parser, mode));
        // A name may stand before the type.
        let two_words = [0, 1].map(|at| matches!(parser.peek_nth_token(at).token, Token::Word(_)));
        let is_type = matches!(
            word(parser.peek_token_ref()).as_str(),
            "double" | "character" | "bit" | "time" | "timestamp" | "national" | "interval"
        );
        if two_words == [true, true] && !is_type {
            skip(parser, 1);
        }
        let argument = data_type(parser, source)?;
        if mode != Some("out") {
            found.push(argument);
        }
    }
    Ok(found)
}

fn operands(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Vec<Option<ast::DataType>>> {
    let mut found = Vec::new();
    expect_token(parser, source, &Token::LParen)?;
    loop {
        found.push(if accept(parser, "none") { None } else { Some(data_type(parser, source)?) });
        if found.len() == 2 {
            break;
        }
        if parser.peek_token_ref().token == Token::RParen {
            return Err(SqlError::syntax("missing argument")
                .with_hint("Use NONE to denote the missing argument of a unary operator."));
        }
        expect_token(parser, source, &Token::Comma)?;
    }
    expect_token(parser, source, &Token::RParen)?;
    Ok(found)
}
