//! EXPLAIN, with the options of both syntaxes, before any statement that has a plan.

use sqlparser::ast;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::definition::Definition;
use super::rewrite::is;
use super::{Source, StatementKind, Utility, parse_piece, syntax_error_at};
use crate::error::Result;
use crate::plan::explain::GivenOption;

/// EXPLAIN of a statement.
#[derive(Clone, Debug)]
pub struct Explain {
    pub options: Vec<GivenOption>,
    pub statement: StatementKind,
}

/// Parses EXPLAIN; `None` for any other statement.
pub(super) fn parse(piece: &[TokenWithSpan], source: &Source<'_>) -> Result<Option<Explain>> {
    let blank = |token: &&TokenWithSpan| !matches!(token.token, Token::Whitespace(_));
    let tokens: Vec<&TokenWithSpan> = piece.iter().filter(blank).collect();
    if !tokens.first().is_some_and(|first| is(first, "explain")) {
        return Ok(None);
    }
    let (options, taken) = options(&tokens, source)?;
    let rest: Vec<TokenWithSpan> = tokens[taken..].iter().map(|token| (*token).clone()).collect();
    let end = TokenWithSpan::wrap(Token::EOF);
    let Some(first) = rest.first() else { return Err(syntax_error_at(&end, source)) };
    if is(first, "explain") {
        return Err(syntax_error_at(first, source));
    }
    let statement = parse_piece(&rest, source)?;
    if has_plan(&statement) {
        Ok(Some(Explain { options, statement }))
    } else {
        Err(syntax_error_at(first, source))
    }
}

/// Whether EXPLAIN takes a statement.
fn has_plan(statement: &StatementKind) -> bool {
    match statement {
        StatementKind::Sql(statement) => match statement.as_ref() {
            ast::Statement::CreateTable(create) => create.query.is_some(),
            ast::Statement::Query(_)
            | ast::Statement::Insert(_)
            | ast::Statement::Update(_)
            | ast::Statement::Delete(_)
            | ast::Statement::Merge(_)
            | ast::Statement::Execute { .. } => true,
            _ => false,
        },
        StatementKind::Utility(Utility::Define(definition)) => {
            matches!(definition.as_ref(), Definition::CreateAs { .. } | Definition::CreateMaterialized(_))
        }
        StatementKind::Utility(utility) => {
            matches!(utility, Utility::Query(_) | Utility::InsertOverriding { .. } | Utility::Declare(_))
        }
    }
}

/// The options, and how many tokens they take with EXPLAIN.
fn options(tokens: &[&TokenWithSpan], source: &Source<'_>) -> Result<(Vec<GivenOption>, usize)> {
    let position = |token: &TokenWithSpan| source.position(source.offset(token.span.start));
    let mut found = Vec::new();
    let mut at = 1;
    let begins_query = |token: &&&TokenWithSpan| {
        token.token == Token::LParen
            || ["select", "with", "values", "table"].iter().any(|word| is(token, word))
    };
    let in_parentheses = tokens.get(1).is_some_and(|token| token.token == Token::LParen);
    if !in_parentheses || tokens.get(2).filter(begins_query).is_some() {
        for name in ["analyze", "verbose"] {
            let Some(token) = tokens.get(at) else { break };
            if is(token, name) || (name == "analyze" && is(token, "analyse")) {
                found.push(GivenOption { name: name.into(), value: None, position: position(token) });
                at += 1;
            }
        }
        return Ok((found, at));
    }
    let end = TokenWithSpan::wrap(Token::EOF);
    let token_at = |at: usize| tokens.get(at).copied().unwrap_or(&end);
    loop {
        at += 1;
        let token = token_at(at);
        let Token::Word(word) = &token.token else { return Err(syntax_error_at(token, source)) };
        let name = match word.quote_style {
            Some(_) => word.value.clone(),
            None => word.value.to_ascii_lowercase(),
        };
        let name = if name == "analyse" { String::from("analyze") } else { name };
        at += 1;
        let value = match &token_at(at).token {
            Token::Word(word) => Some(word.value.to_ascii_lowercase()),
            Token::SingleQuotedString(text) | Token::Number(text, _) => Some(text.clone()),
            _ => None,
        };
        at += usize::from(value.is_some());
        found.push(GivenOption { name, value, position: position(token) });
        match token_at(at).token {
            Token::Comma => {}
            Token::RParen => return Ok((found, at + 1)),
            _ => return Err(syntax_error_at(token_at(at), source)),
        }
    }
}
