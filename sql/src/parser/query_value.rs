//! Where a query in parentheses is a value that sqlparser does not expect there: see the table in [`super::rewrite`].

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::rewrite::{GROUPING_SETS, MARK, before_open, closed, is};

/// Whether tokens begin with a query, perhaps in parentheses.
pub(super) fn begins_query(rest: &[&TokenWithSpan]) -> bool {
    let first = rest.iter().find(|token| token.token != Token::LParen);
    first.is_some_and(|first| ["select", "with", "values"].iter().any(|word| is(first, word)))
}

/// Whether what stands in the parentheses that tokens begin with is a query, and no list that begins with one.
pub(super) fn is_query(mut rest: &[&TokenWithSpan]) -> bool {
    while let [first, inside, ..] = rest
        && first.token == Token::LParen
    {
        rest = &rest[1..];
        if inside.token != Token::LParen {
            return begins_query(rest);
        }
        let follows = closed(rest).and_then(|length| rest.get(length));
        if !follows.is_some_and(|token| ends_query(&token.token)) {
            return false;
        }
    }
    false
}

/// Whether what follows a query in parentheses within others leaves it a query: their end, or clauses of its own.
pub(super) fn ends_query(token: &Token) -> bool {
    const WORDS: [&str; 8] = ["union", "intersect", "except", "order", "limit", "offset", "fetch", "for"];
    match token {
        Token::Word(word) => {
            word.quote_style.is_none() && WORDS.iter().any(|known| word.value.eq_ignore_ascii_case(known))
        }
        other => matches!(other, Token::RParen | Token::EOF),
    }
}

/// Whether the tokens end in the list of ROLLUP, CUBE or GROUPING SETS.
pub(super) fn is_in_grouping(out: &[TokenWithSpan]) -> bool {
    matches!(out.last().map(|token| &token.token), Some(Token::LParen | Token::Comma))
        && matches!(before_open(out), Some([.., last]) if ["rollup", "cube", "sets"].iter().any(|word| is(last, word)))
}

/// Whether the tokens end in the list of GROUPING SETS, or of one within it.
pub(super) fn is_in_grouping_sets(out: &[TokenWithSpan]) -> bool {
    let is_first = matches!(before_open(out), Some([.., grouping, sets]) if is(grouping, "grouping") && is(sets, "sets"));
    is_first || is_in_nested_sets(out)
}

/// Whether the tokens end in the list of GROUPING SETS within others.
pub(super) fn is_in_nested_sets(out: &[TokenWithSpan]) -> bool {
    matches!(before_open(out), Some([.., last])
        if matches!(&last.token, Token::Word(word) if word.quote_style == Some(MARK) && word.value == GROUPING_SETS))
}

/// Whether what follows a token is a value, and no list, table or query.
pub(super) fn goes_before_value(token: &Token) -> bool {
    const WORDS: [&str; 17] = [
        "select",
        "and",
        "or",
        "not",
        "where",
        "on",
        "then",
        "else",
        "when",
        "case",
        "having",
        "by",
        "returning",
        "between",
        "like",
        "ilike",
        "distinct",
    ];
    match token {
        Token::Word(word) => {
            word.quote_style.is_none() && WORDS.iter().any(|known| word.value.eq_ignore_ascii_case(known))
        }
        Token::Comma
        | Token::LParen
        | Token::Eq
        | Token::Neq
        | Token::Lt
        | Token::Gt
        | Token::LtEq
        | Token::GtEq
        | Token::Plus
        | Token::Minus
        | Token::Mul
        | Token::Div
        | Token::StringConcat => true,
        _ => false,
    }
}
