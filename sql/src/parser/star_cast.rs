//! `t.*::type`: the row of a table, converted. Put into parentheses, since sqlparser ends an expression at the star.

use sqlparser::tokenizer::{Token, TokenWithSpan};

/// Encloses the name that `out` ends with and the star behind it, where a cast follows.
pub(super) fn enclose(out: &mut Vec<TokenWithSpan>, star: &TokenWithSpan, next: &Token) -> bool {
    if *next != Token::DoubleColon {
        return false;
    }
    let mut begin = out.len();
    while let [.., name, period] = &out[..begin]
        && period.token == Token::Period
        && matches!(name.token, Token::Word(_))
    {
        begin -= 2;
    }
    if begin == out.len() {
        return false;
    }
    out.insert(begin, TokenWithSpan::new(Token::LParen, out[begin].span));
    out.extend([star.clone(), TokenWithSpan::new(Token::RParen, star.span)]);
    true
}

pub(super) fn follows_parenthesis(out: &[TokenWithSpan]) -> bool {
    // Names of fields may stand between.
    let mut rest = out;
    while let [before @ .., name, period] = rest
        && period.token == Token::Period
    {
        match name.token {
            Token::RParen | Token::RBracket => return true,
            Token::Word(_) => rest = before,
            _ => return false,
        }
    }
    false
}
