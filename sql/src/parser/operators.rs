//! Operators cut from their neighbours as PostgreSQL's lexer cuts them: a run of operator characters is one operator,
//! but for signs at its end, unless it has a character that no operator of the standard has. So `a>-1` compares with
//! -1, and `a|-1` asks for an operator `|-`.

use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::Source;
use crate::error::{Result, SqlError};

const CHARACTERS: &str = "~!@#^&|`?+-*/%<>=";
/// Those that let an operator end in a sign.
const SPECIAL: &str = "~!@#^&|`?%";
/// An operator has no more characters than a name.
const LENGTH_MAX: usize = 63;

/// Cuts the runs of operator characters in a statement's tokens anew; 42601 for an operator with too many.
pub(super) fn cut(tokens: &[TokenWithSpan], source: &Source<'_>) -> Result<Vec<TokenWithSpan>> {
    let mut out = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let length = run_length(&tokens[at..]);
        let run = &tokens[at..at + length.max(1)];
        let is_whole = |token: &Token| !matches!(token, Token::CustomBinaryOperator(_));
        // Most operators stand alone.
        if length < 2 && run.first().is_none_or(|token| is_whole(&token.token)) {
            out.extend_from_slice(run);
        } else {
            recut(run, source, &mut out)?;
        }
        at += length.max(1);
    }
    Ok(out)
}

/// How many tokens at the front are operators without anything between them.
fn run_length(tokens: &[TokenWithSpan]) -> usize {
    let follows = |at: usize| at == 0 || tokens[at - 1].span.end == tokens[at].span.start;
    (0..tokens.len()).take_while(|at| is_operator(&tokens[*at].token) && follows(*at)).count()
}

fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(_)
        | Token::Number(..)
        | Token::Whitespace(_)
        | Token::SingleQuotedString(_)
        | Token::Placeholder(_)
        | Token::Comma
        | Token::Period
        | Token::LParen
        | Token::RParen
        | Token::EOF => false,
        Token::CustomBinaryOperator(_) => true,
        other => {
            let text = other.to_string();
            text.len() <= 4 && text.chars().all(|character| CHARACTERS.contains(character))
        }
    }
}

fn recut(run: &[TokenWithSpan], source: &Source<'_>, out: &mut Vec<TokenWithSpan>) -> Result<()> {
    let texts: Vec<String> = run.iter().map(|token| written(token, source)).collect();
    let whole = texts.concat();
    let (first, signs) = whole.split_at(piece_length(&whole));
    if first.len() > LENGTH_MAX {
        let error = SqlError::syntax(format!("operator too long at or near \"{first}\""));
        return Err(error.at(source.position(source.offset(run[0].span.start))));
    }
    // What was cut off are signs, each an operator of its own.
    let pieces: Vec<&str> =
        std::iter::once(first).chain((0..signs.len()).map(|at| &signs[at..=at])).collect();
    if pieces == texts && !matches!(run, [TokenWithSpan { token: Token::CustomBinaryOperator(_), .. }]) {
        out.extend_from_slice(run);
        return Ok(());
    }
    let (start, end) = (run[0].span.start, run[run.len() - 1].span.end);
    let mut column = start.column;
    for piece in pieces {
        let mut span = run[0].span;
        span.start.column = column;
        column += piece.len() as u64;
        span.end =
            if column >= end.column { end } else { sqlparser::tokenizer::Location { column, ..start } };
        out.push(TokenWithSpan::new(token_of(piece), span));
    }
    Ok(())
}

/// An operator as it is written: inequality has two spellings.
fn written(token: &TokenWithSpan, source: &Source<'_>) -> String {
    match token.token {
        Token::Neq => source.text()[source.offset(token.span.start)..].chars().take(2).collect(),
        ref other => other.to_string(),
    }
}

/// How much of a run is its first operator.
fn piece_length(run: &str) -> usize {
    if !run.ends_with(['+', '-']) || run[..run.len() - 1].contains(|c| SPECIAL.contains(c)) {
        return run.len();
    }
    run.trim_end_matches(['+', '-']).len().max(1)
}

fn token_of(piece: &str) -> Token {
    let mut tokens = Tokenizer::new(&*super::DIALECT, piece).tokenize().unwrap_or_default();
    match (tokens.pop(), tokens.is_empty()) {
        (Some(token), true) => token,
        _ => Token::CustomBinaryOperator(piece.to_owned()),
    }
}
