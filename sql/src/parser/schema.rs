//! CREATE SCHEMA with what is made in it, which sqlparser lacks: a statement, and others behind it.

use sqlparser::ast;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::rewrite::is;
use super::{Definition, Source, StatementKind, Utility, parse_piece};
use crate::error::{Result, SqlError};

/// What is made in a new schema.
#[derive(Clone, Debug)]
pub enum SchemaElement {
    Statement(Box<ast::Statement>),
    Definition(Box<Definition>),
}

impl SchemaElement {
    /// Where it stands among the others: what may be read by others is made before them.
    fn rank(&self) -> usize {
        use ast::Statement as S;
        match self {
            SchemaElement::Definition(definition) => match **definition {
                Definition::CreateSequence { .. } => 0,
                Definition::Rights(_) => 4,
                _ => 1,
            },
            SchemaElement::Statement(statement) => match **statement {
                S::CreateView(_) => 2,
                S::CreateIndex(_) => 3,
                _ => 1,
            },
        }
    }
}

/// A CREATE SCHEMA that has elements.
pub(super) fn parse(piece: &[TokenWithSpan], source: &Source<'_>) -> Result<Option<Definition>> {
    let words = || piece.iter().enumerate().filter(|(_, token)| !matches!(token.token, Token::Whitespace(_)));
    let mut first = words().map(|(_, token)| token);
    let is_schema = first.next().is_some_and(|token| is(token, "create"))
        && first.next().is_some_and(|token| is(token, "schema"));
    if !is_schema {
        return Ok(None);
    }
    let mut depth = 0usize;
    let mut begins = Vec::new();
    for (at, token) in words().skip(2) {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ if depth == 0 && (is(token, "create") || is(token, "grant")) => begins.push(at),
            _ => {}
        }
    }
    let Some(head) = begins.first() else { return Ok(None) };
    let StatementKind::Sql(create) = parse_piece(&piece[..*head], source)? else {
        return Err(SqlError::internal("CREATE SCHEMA is no statement"));
    };
    if let (ast::Statement::CreateSchema { if_not_exists: true, .. }, Some(first)) =
        (&*create, begins.first())
    {
        let error = SqlError::unsupported("CREATE SCHEMA IF NOT EXISTS cannot include schema elements");
        return Err(error.at(source.position(source.offset(piece[*first].span.start))));
    }
    let mut elements = Vec::new();
    let ends = begins.iter().skip(1).copied().chain([piece.len()]);
    for (begin, end) in begins.iter().zip(ends) {
        elements.push(match parse_piece(&piece[*begin..end], source)? {
            StatementKind::Sql(statement)
                if matches!(
                    *statement,
                    ast::Statement::CreateTable(_)
                        | ast::Statement::CreateView(_)
                        | ast::Statement::CreateIndex(_)
                ) =>
            {
                SchemaElement::Statement(statement)
            }
            StatementKind::Utility(Utility::Define(definition))
                if matches!(
                    *definition,
                    Definition::CreateSequence { .. }
                        | Definition::CreateLike { .. }
                        | Definition::CreateTyped { .. }
                        | Definition::Rights(_)
                ) =>
            {
                SchemaElement::Definition(definition)
            }
            _ => return Err(super::syntax_error_at(&piece[*begin + 2], source)),
        });
    }
    elements.sort_by_key(SchemaElement::rank);
    Ok(Some(Definition::CreateSchema { create, elements }))
}
