//! The way back from what [`super::rewrite`] makes of a text: the forms that sqlparser lacks, as PostgreSQL writes them.

use std::fmt::Write;

use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::rewrite::{ALL, NOTHING, VALUE};
use super::{DIALECT, Source};

/// A query's text without marks, where they stand for something that can be written.
#[must_use]
pub fn unmark(text: &str) -> String {
    if !text.contains('`') && !text.contains("BETWEEN NOT ") {
        return text.to_owned();
    }
    let mut tokens = Vec::new();
    let mut tokenizer = Tokenizer::new(&*DIALECT, text).with_unescape(false);
    if tokenizer.tokenize_with_location_into_buf(&mut tokens).is_err() {
        return text.to_owned();
    }
    Unmarking { source: Source::new(text), tokens, out: String::with_capacity(text.len()) }.run()
}

struct Unmarking<'t> {
    source: Source<'t>,
    tokens: Vec<TokenWithSpan>,
    out: String,
}

impl Unmarking<'_> {
    fn run(mut self) -> String {
        // What is to be written before the parenthesis that closes a window, for each that is open.
        let mut closing: Vec<Option<&str>> = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            at += 1;
            let token = &self.tokens[at - 1];
            let text = self.text_of(at - 1).to_owned();
            match &token.token {
                Token::LParen => closing.push(None),
                Token::RParen => {
                    if let Some(exclusion) = closing.pop().flatten() {
                        self.out.push_str(exclusion);
                    }
                }
                Token::Char('`') => {
                    let is_end = |token: &TokenWithSpan| token.token == Token::Char('`');
                    let Some(length) = self.tokens[at..].iter().position(is_end) else { continue };
                    let end = at + length;
                    let (from, to) = (token.span.end, self.tokens[end].span.start);
                    let mark =
                        self.source.text()[self.source.offset(from)..self.source.offset(to)].to_owned();
                    at = end + 1;
                    if let Some(exclusion) = exclusion(&mark) {
                        if let Some(last) = closing.last_mut() {
                            *last = Some(exclusion);
                        }
                        self.drop_list_before();
                        continue;
                    }
                    match mark.as_str() {
                        "rows from" => self.out.push_str("ROWS FROM "),
                        ALL => self.out.push('*'),
                        NOTHING | VALUE => {}
                        "variadic" => {
                            self.out.push_str("VARIADIC ");
                            at = self.behind(at, &Token::RArrow);
                        }
                        _ => {
                            let _ = write!(self.out, "`{mark}`");
                        }
                    }
                    continue;
                }
                Token::Word(word)
                    if word.quote_style.is_none()
                        && word.value.eq_ignore_ascii_case("not")
                        && self.out.trim_end().ends_with("BETWEEN") =>
                {
                    self.out.push_str("SYMMETRIC");
                    continue;
                }
                _ => {}
            }
            self.out.push_str(&text);
        }
        self.out
    }

    fn text_of(&self, at: usize) -> &str {
        let span = self.tokens[at].span;
        &self.source.text()[self.source.offset(span.start)..self.source.offset(span.end)]
    }

    /// The place behind the next token that is no blank, if it is this one, and behind the blanks that follow.
    fn behind(&self, at: usize, wanted: &Token) -> usize {
        let blank = |at: usize| matches!(self.tokens.get(at).map(|t| &t.token), Some(Token::Whitespace(_)));
        let mut next = at;
        while blank(next) {
            next += 1;
        }
        if self.tokens.get(next).map(|token| &token.token) != Some(wanted) {
            return at;
        }
        next += 1;
        while blank(next) {
            next += 1;
        }
        next
    }

    /// Takes back the comma, or the PARTITION BY, that a mark was put behind.
    fn drop_list_before(&mut self) {
        let kept = self.out.trim_end();
        let kept = kept.strip_suffix(',').or_else(|| kept.strip_suffix("PARTITION BY")).unwrap_or(kept);
        self.out.truncate(kept.len());
        if self.out.ends_with(|last: char| last.is_whitespace()) {
            self.out.truncate(self.out.trim_end().len());
        }
    }
}

fn exclusion(mark: &str) -> Option<&'static str> {
    Some(match mark {
        "exclude current row" => " EXCLUDE CURRENT ROW",
        "exclude group" => " EXCLUDE GROUP",
        "exclude ties" => " EXCLUDE TIES",
        // The default.
        "exclude no others" => "",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::unmark;

    #[test]
    fn marks_go_back_to_what_was_written() {
        for (marked, written) in [
            (
                "sum(a) OVER (ORDER BY a, `exclude ties` ROWS 1 PRECEDING)",
                "sum(a) OVER (ORDER BY a ROWS 1 PRECEDING EXCLUDE TIES)",
            ),
            (
                "sum(a) OVER (PARTITION BY `exclude group` ROWS 1 PRECEDING)",
                "sum(a) OVER ( ROWS 1 PRECEDING EXCLUDE GROUP)",
            ),
            (
                "sum(f(a)) OVER (ORDER BY a, `exclude no others` ROWS 1 PRECEDING)",
                "sum(f(a)) OVER (ORDER BY a ROWS 1 PRECEDING)",
            ),
            ("SELECT * FROM `rows from`(f(1), g(2)) AS r", "SELECT * FROM ROWS FROM (f(1), g(2)) AS r"),
            ("concat(`variadic` => ARRAY['a`b'])", "concat(VARIADIC ARRAY['a`b'])"),
            (
                "(t).`all fields`, a BETWEEN NOT 3 AND 1, a NOT BETWEEN NOT 3 AND 1",
                "(t).*, a BETWEEN SYMMETRIC 3 AND 1, a NOT BETWEEN SYMMETRIC 3 AND 1",
            ),
            ("SELECT 'BETWEEN NOT `exclude ties`' AS \"`\"", "SELECT 'BETWEEN NOT `exclude ties`' AS \"`\""),
        ] {
            assert_eq!(unmark(marked), written);
        }
    }
}
