//! CREATE, ALTER and REFRESH MATERIALIZED VIEW.

use sqlparser::ast::{self, Ident, ObjectName};
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::definition::{
    Definition, ObjectKind, common_change, identifier, if_exists, if_not_exists, skip, table_actions,
};
use super::utility::{accept, expect, name, word};
use super::{Source, syntax_error, syntax_error_at};
use crate::error::Result;

/// CREATE MATERIALIZED VIEW.
#[derive(Clone, Debug)]
pub struct CreateMaterialized {
    pub name: ObjectName,
    /// The columns' names, as far as they are given.
    pub columns: Vec<Ident>,
    pub if_not_exists: bool,
    pub unlogged: bool,
    /// USING
    pub method: Option<Ident>,
    pub options: Vec<ast::SqlOption>,
    pub tablespace: Option<Ident>,
    pub query: Box<ast::Query>,
    pub with_data: bool,
}

/// REFRESH MATERIALIZED VIEW.
#[derive(Clone, Debug)]
pub struct Refresh {
    pub name: ObjectName,
    pub concurrently: bool,
    pub with_data: bool,
}

/// `CREATE [UNLOGGED] MATERIALIZED VIEW …`
pub(super) fn create(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Definition> {
    skip(parser, 1);
    let unlogged = accept(parser, "unlogged");
    expect(parser, source, "materialized")?;
    expect(parser, source, "view")?;
    let if_not_exists = if_not_exists(parser, source)?;
    let name = name(parser, source)?;
    let mut columns = Vec::new();
    if parser.consume_token(&Token::LParen) {
        loop {
            if !matches!(parser.peek_token_ref().token, Token::Word(_)) {
                return Err(syntax_error_at(parser.peek_token_ref(), source));
            }
            columns.push(identifier(parser, source)?);
            if parser.consume_token(&Token::RParen) {
                break;
            }
            if !parser.consume_token(&Token::Comma) {
                return Err(syntax_error_at(parser.peek_token_ref(), source));
            }
        }
    }
    let named = |word: &str, parser: &mut Parser<'_>| match accept(parser, word) {
        true => identifier(parser, source).map(Some),
        false => Ok(None),
    };
    let method = named("using", parser)?;
    let options = parser.parse_options(Keyword::WITH).map_err(|error| syntax_error(&error, source, &[]))?;
    let tablespace = named("tablespace", parser)?;
    expect(parser, source, "as")?;
    if word(parser.peek_token_ref()) == "with" || is_query(parser.peek_token_ref()) {
        let query = parser.parse_query().map_err(|error| syntax_error(&error, source, &[]))?;
        let with_data = data_clause(parser, source)?;
        let create = CreateMaterialized {
            name,
            columns,
            if_not_exists,
            unlogged,
            method,
            options,
            tablespace,
            query,
            with_data,
        };
        return Ok(Definition::CreateMaterialized(Box::new(create)));
    }
    Err(syntax_error_at(parser.peek_token_ref(), source))
}

/// Whether a query may begin like that.
fn is_query(token: &sqlparser::tokenizer::TokenWithSpan) -> bool {
    token.token == Token::LParen || matches!(word(token).as_str(), "select" | "values" | "table")
}

/// `[WITH [NO] DATA]`
fn data_clause(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<bool> {
    if !accept(parser, "with") {
        return Ok(true);
    }
    let without = accept(parser, "no");
    expect(parser, source, "data")?;
    Ok(!without)
}

/// `REFRESH MATERIALIZED VIEW …`
pub(super) fn refresh(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Definition> {
    skip(parser, 1);
    expect(parser, source, "materialized")?;
    expect(parser, source, "view")?;
    let concurrently = accept(parser, "concurrently");
    let name = name(parser, source)?;
    let with_data = data_clause(parser, source)?;
    Ok(Definition::RefreshMaterialized(Refresh { name, concurrently, with_data }))
}

/// `ALTER MATERIALIZED VIEW …`
pub(super) fn alter(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Definition> {
    skip(parser, 3);
    let if_exists = if_exists(parser, source)?;
    let name = name(parser, source)?;
    let kind = ObjectKind::MaterializedView;
    if let Some(change) = common_change(parser, source, kind, &name, if_exists)? {
        return Ok(change);
    }
    let no = accept(parser, "no");
    if no || word(parser.peek_token_ref()) == "depends" {
        expect(parser, source, "depends")?;
        expect(parser, source, "on")?;
        expect(parser, source, "extension")?;
        let extension = identifier(parser, source)?;
        return Ok(Definition::DependsOnExtension { kind, name, extension });
    }
    let actions = table_actions(parser, source)?;
    Ok(Definition::AlterTable { kind, name, if_exists, actions })
}
