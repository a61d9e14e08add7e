//! `CREATE TABLE … AS EXECUTE name (arguments)`: the table of a prepared statement's rows.
//!
//! What the statement is only its session knows. So it is kept in pieces of text, from which the session makes the CREATE
//! TABLE AS of the query that was prepared.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::rewrite::is;
use super::{Source, syntax_error_at, tokenize};
use crate::error::Result;

/// Such a statement.
#[derive(Clone, Debug)]
pub struct CreateExecute {
    /// All before EXECUTE.
    head: String,
    pub name: String,
    /// The arguments' texts, and where they begin.
    pub arguments: Vec<(String, u32)>,
    /// All behind the arguments.
    tail: String,
}

impl CreateExecute {
    /// The same statement with the prepared query in its place, whose parameters are these arguments, by their types' names.
    ///
    /// # Errors
    /// Those of reading the query's text.
    pub fn with_query(&self, query: &str, types: &[String]) -> Result<String> {
        let source = Source::new(query);
        let mut text = self.head.clone();
        let mut copied = 0;
        for token in tokenize(&source)? {
            let Token::Placeholder(name) = &token.token else { continue };
            let number = name.trim_start_matches('$').parse::<usize>().unwrap_or(0);
            let at = number.wrapping_sub(1);
            let (Some((argument, _)), Some(data_type)) = (self.arguments.get(at), types.get(at)) else {
                continue;
            };
            text.push_str(&query[copied..source.offset(token.span.start)]);
            // Evaluated once, whatever it calls.
            text.push_str(&format!("(SELECT CAST(({argument}) AS {data_type}))"));
            copied = source.offset(token.span.end);
        }
        text.push_str(&query[copied..]);
        text.push(' ');
        text.push_str(&self.tail);
        Ok(text)
    }
}

/// Parses one; `None` for any other statement.
pub(super) fn parse(piece: &[TokenWithSpan], source: &Source<'_>) -> Result<Option<CreateExecute>> {
    let blank = |token: &&TokenWithSpan| !matches!(token.token, Token::Whitespace(_));
    let tokens: Vec<&TokenWithSpan> = piece.iter().filter(blank).collect();
    let creates = tokens.first().is_some_and(|first| is(first, "create"))
        && tokens.iter().take(4).any(|token| is(token, "table"));
    let place = tokens.windows(2).position(|pair| is(pair[0], "as") && is(pair[1], "execute"));
    let (Some(place), true) = (place, creates) else { return Ok(None) };
    let execute = tokens[place + 1];
    let end = TokenWithSpan::wrap(Token::EOF);
    let name = match tokens.get(place + 2).map(|token| (&token.token, token)) {
        Some((Token::Word(word), _)) if word.quote_style.is_some() => word.value.clone(),
        Some((Token::Word(word), _)) => word.value.to_lowercase(),
        other => return Err(syntax_error_at(other.map_or(&end, |(_, token)| *token), source)),
    };
    let mut arguments = Vec::new();
    let mut at = place + 3;
    if tokens.get(at).is_some_and(|token| token.token == Token::LParen) {
        let mut depth = 0usize;
        let mut begin = at + 1;
        loop {
            let Some(token) = tokens.get(at) else { return Err(syntax_error_at(&end, source)) };
            match token.token {
                Token::LParen | Token::LBracket => depth += 1,
                Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
                _ => {}
            }
            let ends = depth == 0 || depth == 1 && token.token == Token::Comma;
            if ends && begin < at {
                let text = source.offset(tokens[begin].span.start)..source.offset(token.span.start);
                let position = source.position(text.start);
                arguments.push((source.text()[text].to_owned(), position));
                begin = at + 1;
            } else if ends {
                return Err(syntax_error_at(token, source));
            }
            at += 1;
            if depth == 0 {
                break;
            }
        }
    }
    let text = source.text();
    let behind = |at: usize| tokens.get(at).map(|token| source.offset(token.span.start));
    let last = source.offset(tokens[tokens.len() - 1].span.end);
    let head = source.offset(tokens[0].span.start)..source.offset(execute.span.start);
    let tail = behind(at).map_or("", |from| &text[from..last]);
    Ok(Some(CreateExecute { head: text[head].to_owned(), name, arguments, tail: tail.to_owned() }))
}
