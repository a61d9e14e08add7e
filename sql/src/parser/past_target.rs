//! AS OF behind the name of what a statement writes to: it is no syntax there, and the error says why.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::rewrite::{is, moment_at};
use super::source::Source;
use crate::error::{SqlError, SqlState};

/// That the past cannot be written to.
#[must_use]
pub fn past_is_read_only() -> SqlError {
    let message = "cannot change rows of a table as of an earlier moment";
    SqlError::new(SqlState::READ_ONLY_SQL_TRANSACTION, message)
        .with_hint("Read them with AS OF in FROM, and write what you found to the table as it is.")
}

/// An error of syntax at AS OF behind the target of INSERT, TRUNCATE or COPY says what AS OF is for; others stay what they are.
pub(super) fn explained(error: SqlError, piece: &[TokenWithSpan], source: &Source<'_>) -> SqlError {
    if error.state() != SqlState::SYNTAX_ERROR {
        return error;
    }
    let tokens: Vec<&TokenWithSpan> =
        piece.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    let is_here = |at: usize| {
        is(tokens[at], "as")
            && tokens.get(at + 1).is_some_and(|next| is(next, "of"))
            && moment_at(tokens.get(at + 2)).is_some()
            && Some(source.position(source.offset(tokens[at].span.start))) == error.fields().position
    };
    let Some(at) = (0..tokens.len()).find(|at| is_here(*at)) else { return error };
    // Nothing but a name, and perhaps a list of columns, stands between the verb and AS.
    let is_name = |token: &&TokenWithSpan| match &token.token {
        Token::Word(_) => !["select", "values", "default", "from", "to"].iter().any(|word| is(token, word)),
        Token::Period | Token::LParen | Token::RParen | Token::Comma | Token::Mul => true,
        _ => false,
    };
    let verb = tokens[..at]
        .iter()
        .rposition(|token| is(token, "into") || is(token, "truncate") || is(token, "copy"));
    let Some(verb) = verb.filter(|verb| tokens[*verb..at].iter().all(is_name)) else { return error };
    let copies_out = is(tokens[verb], "copy")
        && tokens[at..]
            .iter()
            .find(|token| is(token, "from") || is(token, "to"))
            .is_some_and(|way| is(way, "to"));
    if copies_out {
        return error
            .with_hint("COPY (SELECT * FROM table AS OF moment) TO copies rows of an earlier moment.");
    }
    past_is_read_only()
}
