//! AS OF where it cannot stand.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::source::Source;
use crate::binder::past_is_read_only;
use crate::error::{SqlError, SqlState};

/// A syntax error at AS OF and a moment, in what writes or defines, is one of writing to the past.
pub(super) fn explain(error: SqlError, piece: &[TokenWithSpan], source: &Source<'_>) -> SqlError {
    if error.state() != SqlState::SYNTAX_ERROR {
        return error;
    }
    let words: Vec<_> = piece.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    let is = |token: &TokenWithSpan, wanted: &[&str]| match &token.token {
        Token::Word(word) => {
            word.quote_style.is_none() && wanted.iter().any(|wanted| word.value.eq_ignore_ascii_case(wanted))
        }
        _ => false,
    };
    let past = words.windows(3).find_map(|three| {
        let place = source.position(source.offset(three[0].span.start));
        let is_past = is(three[0], &["as"])
            && is(three[1], &["of"])
            && is(three[2], &["timestamp", "transaction", "scn"]);
        (is_past && error.fields().position == Some(place)).then_some(place)
    });
    past.map_or(error, |place| past_is_read_only().at(place))
}
