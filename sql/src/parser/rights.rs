//! Statements about rights on objects: GRANT, REVOKE, ALTER DEFAULT PRIVILEGES, REASSIGN and DROP OWNED.

use sqlparser::ast::{Ident, ObjectName};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::definition::{Definition, identifier, skip};
use super::role::{RoleName, is_about_objects, role_name, role_names};
use super::utility::{accept, expect, name, word};
use super::{Source, syntax_error_at};
use crate::binder::name::fold;
use crate::error::{Result, SqlError};

/// A statement about rights.
#[derive(Clone, Debug)]
pub enum RightsStatement {
    Grant(GrantStatement),
    /// ALTER DEFAULT PRIVILEGES
    Default {
        /// None: the current user's objects.
        roles: Vec<RoleName>,
        /// None: in all schemas.
        schemas: Vec<String>,
        grant: GrantStatement,
    },
    Reassign {
        roles: Vec<RoleName>,
        to: RoleName,
    },
    DropOwned {
        roles: Vec<RoleName>,
        cascade: bool,
    },
}

/// A GRANT or REVOKE.
#[derive(Clone, Debug)]
pub struct GrantStatement {
    pub is_grant: bool,
    /// WITH GRANT OPTION, or GRANT OPTION FOR.
    pub option: bool,
    /// `None`: all.
    pub rights: Option<Vec<NamedRight>>,
    /// The columns that ALL is for; none: the whole object.
    pub columns: Vec<Ident>,
    pub on: GrantTarget,
    /// `None`: everybody.
    pub grantees: Vec<Option<RoleName>>,
    pub grantor: Option<RoleName>,
    pub cascade: bool,
}

/// A right as it is written, and the columns that it is for.
#[derive(Clone, Debug)]
pub struct NamedRight {
    pub word: String,
    pub columns: Vec<Ident>,
}

/// What rights are on.
#[derive(Clone, Debug)]
pub enum GrantTarget {
    Objects {
        kind: GrantKind,
        names: Vec<ObjectName>,
        /// The types of functions' arguments, by commas, where they are given.
        signatures: Vec<Option<String>>,
    },
    /// ALL … IN SCHEMA
    AllIn { kind: GrantKind, schemas: Vec<String> },
    /// Objects that are yet to be.
    Future(GrantKind),
}

/// The kinds of objects that GRANT knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantKind {
    Table,
    Sequence,
    Database,
    Schema,
    Type,
    Domain,
    Function,
    Language,
    Tablespace,
    LargeObject,
    ForeignDataWrapper,
    ForeignServer,
    Parameter,
}

/// Tries these statements; `None` leaves the parser at the statement's start.
pub(super) fn parse(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Option<Definition>> {
    let (first, second) = (word(parser.peek_token_ref()), word(&parser.peek_nth_token(1)));
    let statement = match (first.as_str(), second.as_str()) {
        ("grant" | "revoke", _) if is_about_objects(parser) => {
            RightsStatement::Grant(grant(parser, source, false)?)
        }
        ("alter", "default") => {
            skip(parser, 2);
            default_rights(parser, source)?
        }
        ("reassign", _) => {
            skip(parser, 1);
            let roles = owned_by(parser, source)?;
            expect(parser, source, "to")?;
            RightsStatement::Reassign { roles, to: role_name(parser, source)? }
        }
        ("drop", "owned") => {
            skip(parser, 1);
            let roles = owned_by(parser, source)?;
            RightsStatement::DropOwned { roles, cascade: cascade(parser) }
        }
        _ => return Ok(None),
    };
    Ok(Some(Definition::Rights(statement)))
}

fn owned_by(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Vec<RoleName>> {
    expect(parser, source, "owned")?;
    expect(parser, source, "by")?;
    role_names(parser, source)
}

/// CASCADE or RESTRICT, which is also meant where neither stands.
fn cascade(parser: &mut Parser<'_>) -> bool {
    let found = accept(parser, "cascade");
    if !found {
        accept(parser, "restrict");
    }
    found
}

fn default_rights(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<RightsStatement> {
    expect(parser, source, "privileges")?;
    let (mut roles, mut schemas) = (Vec::new(), Vec::new());
    loop {
        if accept(parser, "for") {
            if !accept(parser, "role") {
                expect(parser, source, "user")?;
            }
            roles = role_names(parser, source)?;
        } else if accept(parser, "in") {
            expect(parser, source, "schema")?;
            schemas = identifiers(parser, source)?.iter().map(fold).collect();
        } else {
            break;
        }
    }
    if !matches!(word(parser.peek_token_ref()).as_str(), "grant" | "revoke") {
        return Err(syntax_error_at(parser.peek_token_ref(), source));
    }
    Ok(RightsStatement::Default { roles, schemas, grant: grant(parser, source, true)? })
}

fn identifiers(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Vec<Ident>> {
    let mut found = vec![identifier(parser, source)?];
    while parser.consume_token(&Token::Comma) {
        found.push(identifier(parser, source)?);
    }
    Ok(found)
}

/// GRANT or REVOKE, from its first word on.
fn grant(parser: &mut Parser<'_>, source: &Source<'_>, future: bool) -> Result<GrantStatement> {
    let is_grant = accept(parser, "grant");
    if !is_grant {
        expect(parser, source, "revoke")?;
    }
    let mut option = false;
    if !is_grant && word(parser.peek_token_ref()) == "grant" && word(&parser.peek_nth_token(1)) == "option" {
        skip(parser, 2);
        expect(parser, source, "for")?;
        option = true;
    }
    let (rights, columns) = rights(parser, source)?;
    expect(parser, source, "on")?;
    let on = if future { future_objects(parser, source)? } else { objects(parser, source)? };
    expect(parser, source, if is_grant { "to" } else { "from" })?;
    let grantees = grantees(parser, source)?;
    if is_grant && accept(parser, "with") {
        expect(parser, source, "grant")?;
        expect(parser, source, "option")?;
        option = true;
    }
    let mut grantor = None;
    if !future && accept(parser, "granted") {
        expect(parser, source, "by")?;
        grantor = Some(role_name(parser, source)?);
    }
    let cascade = !is_grant && cascade(parser);
    Ok(GrantStatement { is_grant, option, rights, columns, on, grantees, grantor, cascade })
}

type Listed = (Option<Vec<NamedRight>>, Vec<Ident>);

fn rights(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Listed> {
    if accept(parser, "all") {
        accept(parser, "privileges");
        return Ok((None, columns(parser, source)?));
    }
    let mut rights = Vec::new();
    loop {
        let mut named = fold(&identifier(parser, source)?);
        if named == "alter" && accept(parser, "system") {
            named.push_str(" system");
        }
        rights.push(NamedRight { word: named, columns: columns(parser, source)? });
        if !parser.consume_token(&Token::Comma) {
            return Ok((Some(rights), Vec::new()));
        }
    }
}

fn columns(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Vec<Ident>> {
    if !parser.consume_token(&Token::LParen) {
        return Ok(Vec::new());
    }
    let found = identifiers(parser, source)?;
    if parser.consume_token(&Token::RParen) {
        return Ok(found);
    }
    Err(syntax_error_at(parser.peek_token_ref(), source))
}

fn grantees(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Vec<Option<RoleName>>> {
    let mut found = Vec::new();
    loop {
        accept(parser, "group");
        let role = role_name(parser, source)?;
        let is_everybody = matches!(&role, RoleName::Named(name) if name == "public");
        found.push(Some(role).filter(|_| !is_everybody));
        if !parser.consume_token(&Token::Comma) {
            return Ok(found);
        }
    }
}

/// The kinds of ALL … IN SCHEMA and ALTER DEFAULT PRIVILEGES.
fn plural(word: &str) -> Option<GrantKind> {
    Some(match word {
        "tables" => GrantKind::Table,
        "sequences" => GrantKind::Sequence,
        "functions" | "procedures" | "routines" => GrantKind::Function,
        _ => return None,
    })
}

fn future_objects(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<GrantTarget> {
    let kind = match word(parser.peek_token_ref()).as_str() {
        "types" => Some(GrantKind::Type),
        "schemas" => Some(GrantKind::Schema),
        "procedures" => None,
        other => plural(other),
    };
    let kind = kind.ok_or_else(|| syntax_error_at(parser.peek_token_ref(), source))?;
    skip(parser, 1);
    Ok(GrantTarget::Future(kind))
}

fn objects(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<GrantTarget> {
    let (first, second) = (word(parser.peek_token_ref()), word(&parser.peek_nth_token(1)));
    if first == "all"
        && let Some(kind) = plural(&second)
    {
        skip(parser, 2);
        expect(parser, source, "in")?;
        expect(parser, source, "schema")?;
        return Ok(GrantTarget::AllIn {
            kind,
            schemas: identifiers(parser, source)?.iter().map(fold).collect(),
        });
    }
    // Words for kinds may be tables' names: then no name follows.
    let is_name =
        matches!(parser.peek_nth_token(1).token, Token::Word(_)) && !matches!(second.as_str(), "to" | "from");
    let (kind, words) = match (first.as_str(), second.as_str()) {
        ("foreign", "data") => (GrantKind::ForeignDataWrapper, 3),
        ("foreign", "server") => (GrantKind::ForeignServer, 2),
        ("large", "object") => (GrantKind::LargeObject, 2),
        (first, _) => singular(first).filter(|_| is_name).map_or((GrantKind::Table, 0), |kind| (kind, 1)),
    };
    skip(parser, words);
    let (mut names, mut signatures) = (Vec::new(), Vec::new());
    loop {
        if kind == GrantKind::LargeObject {
            return Err(SqlError::unsupported("large objects are not supported yet"));
        }
        names.push(name(parser, source)?);
        signatures.push(if kind == GrantKind::Function { arguments(parser, source)? } else { None });
        if !parser.consume_token(&Token::Comma) {
            return Ok(GrantTarget::Objects { kind, names, signatures });
        }
    }
}

fn singular(word: &str) -> Option<GrantKind> {
    Some(match word {
        "table" => GrantKind::Table,
        "sequence" => GrantKind::Sequence,
        "database" => GrantKind::Database,
        "schema" => GrantKind::Schema,
        "type" => GrantKind::Type,
        "domain" => GrantKind::Domain,
        "function" | "procedure" | "routine" => GrantKind::Function,
        "language" => GrantKind::Language,
        "tablespace" => GrantKind::Tablespace,
        "parameter" => GrantKind::Parameter,
        _ => return None,
    })
}

/// A function's argument types, by commas; `None` where there are no parentheses.
pub(super) fn arguments(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Option<String>> {
    if !parser.consume_token(&Token::LParen) {
        return Ok(None);
    }
    let mut text = String::new();
    loop {
        let token = parser.next_token().token;
        match &token {
            Token::RParen => return Ok(Some(text)),
            Token::EOF => return Err(syntax_error_at(parser.peek_token_ref(), source)),
            // Modes, of which only the first is a function's that is built in.
            Token::Word(word) if matches!(word.value.to_ascii_lowercase().as_str(), "in" | "variadic") => {}
            Token::Comma | Token::LBracket | Token::RBracket | Token::Period => {
                text.push_str(&token.to_string())
            }
            _ => {
                if !text.is_empty() && !text.ends_with(['.', ',']) {
                    text.push(' ');
                }
                text.push_str(&token.to_string());
            }
        }
    }
}
