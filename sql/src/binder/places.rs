//! Where errors stand that belong to a part of an expression of which the parser keeps no place: looked up in the text again,
//! when there is an error.

use sqlparser::ast::{self, Expr as Ast, Spanned};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::{Binder, name};
use crate::error::SqlError;
use crate::parser::tokens;
use crate::parser::visit::walk_expressions;

/// A part of a call's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WindowPart {
    /// Its definition, or its name.
    Whole,
    /// Where its frame starts.
    FrameStart,
    FrameEnd,
}

impl Binder<'_> {
    /// An error at the first subquery of an expression.
    pub(super) fn at_subquery(&self, error: SqlError, expr: &Ast) -> SqlError {
        let mut found = None;
        let walked = walk_expressions(&mut expr.clone(), &mut |each| {
            if let Ast::Subquery(query) = each {
                found = found.or_else(|| self.position_of_parenthesis(query.span().start));
            }
            Ok(())
        });
        match found.filter(|_| walked.is_ok()) {
            Some(position) => error.at(position),
            None => error,
        }
    }

    /// Where the parenthesis before a query stands.
    pub(super) fn position_of_query(&self, query: &ast::Query) -> Option<u32> {
        let start = query.span().start;
        if !matches!(query.body.as_ref(), ast::SetExpr::Values(_)) {
            return self.position_of_parenthesis(start);
        }
        // The span of VALUES begins in its first row.
        let before = &self.source.text()[..self.source.offset(start)];
        let word = before.to_ascii_lowercase().rfind("values")?;
        let before = before[..word].trim_end().strip_suffix('(')?;
        Some(self.source.position(before.len()))
    }

    /// An error at the first place of an expression where a column is named.
    pub(super) fn at_column(&self, error: SqlError, expr: &Ast, column: &str) -> SqlError {
        let mut found = None;
        let walked = walk_expressions(&mut expr.clone(), &mut |each| {
            if let Ast::Identifier(identifier) = each
                && name::fold(identifier) == column
            {
                found = found.or(Some(identifier.span.start));
            }
            Ok(())
        });
        match found.filter(|_| walked.is_ok()) {
            Some(location) => self.locate(error, location),
            None => error,
        }
    }

    /// An error at a part of the window of a call, which has no other place yet.
    pub(super) fn at_window(&self, error: SqlError, function: &ast::Function, part: WindowPart) -> SqlError {
        if error.fields().position.is_some() {
            return error;
        }
        match self.window_place(function, part) {
            Some(position) => error.at(position),
            None => error,
        }
    }

    fn window_place(&self, function: &ast::Function, part: WindowPart) -> Option<u32> {
        let start = function.name.span().start;
        if start.line == 0 {
            return None;
        }
        let offset = self.source.offset(start);
        let rest = self.source.text().get(offset..)?;
        let tokens = tokens(rest)?;
        let behind_call = over(&tokens)?;
        let opening = tokens.get(behind_call)?;
        let place = match part {
            WindowPart::Whole => opening,
            WindowPart::FrameStart | WindowPart::FrameEnd => {
                frame_bound(&tokens[behind_call..], part == WindowPart::FrameEnd)?
            }
        };
        // Places in the rest are counted from its beginning.
        let rest = crate::parser::Source::new(rest);
        Some(self.source.position(offset + rest.offset(place.span.start)))
    }
}

fn is(token: &TokenWithSpan, wanted: &str) -> bool {
    matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted))
}

/// The number of the token behind the OVER of the call that the tokens begin with.
fn over(tokens: &[TokenWithSpan]) -> Option<usize> {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.checked_sub(1)?,
            _ if depth == 0 && is(token, "over") => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Where a bound of a frame begins, in the tokens of a window's definition.
fn frame_bound(tokens: &[TokenWithSpan], is_end: bool) -> Option<&TokenWithSpan> {
    let mut depth = 0usize;
    let mut in_frame = false;
    for (at, token) in tokens.iter().enumerate() {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.checked_sub(1)?,
            _ if depth == 1 && ["rows", "range", "groups"].iter().any(|word| is(token, word)) => {
                in_frame = true;
                let next = tokens.get(at + 1)?;
                if !is_end {
                    return if is(next, "between") { tokens.get(at + 2) } else { Some(next) };
                }
            }
            _ if depth == 1 && in_frame && is(token, "and") => return tokens.get(at + 1),
            _ => {}
        }
    }
    None
}
