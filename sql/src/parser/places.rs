//! Forms of tables and values that sqlparser reads at other places than PostgreSQL, or not at all. A pass before
//! [`super::rewrite`], which follows the clauses to tell items of FROM from values:
//!
//! | written | read as |
//! |---|---|
//! | `(VALUES …)` as a value | `(SELECT column1, … FROM (VALUES …) "*VALUES*")` |
//! | `(TABLE t …)` as a value | `(SELECT * FROM t …)` |
//! | `FROM coalesce(…)` and what else looks like a function | `FROM ROWS FROM (coalesce(…))` |
//! | `FROM t*`, `FROM ONLY (t)` | `FROM t` |

use std::borrow::Cow;

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::query_value::goes_before_value;
use super::rewrite::is;

/// What has a syntax of its own and stands in FROM as functions do.
const EXPRESSIONS: [&str; 11] = [
    "coalesce",
    "greatest",
    "least",
    "nullif",
    "cast",
    "extract",
    "substring",
    "position",
    "overlay",
    "trim",
    "normalize",
];

/// Functions without parentheses; some may have them.
const BARE: [&str; 11] = [
    "current_date",
    "current_time",
    "current_timestamp",
    "localtime",
    "localtimestamp",
    "current_role",
    "current_user",
    "session_user",
    "user",
    "current_catalog",
    "current_schema",
];

/// Where in a query the tokens between two parentheses are.
#[derive(Clone, Copy, Default)]
struct Level {
    /// A query's words stand here.
    is_query: bool,
    in_from: bool,
    /// Behind ON.
    in_condition: bool,
}

/// Follows the clauses of queries within each other.
struct Clauses<'t> {
    levels: Vec<Level>,
    before: Option<&'t TokenWithSpan>,
    /// The one before that.
    earlier: Option<&'t TokenWithSpan>,
}

impl<'t> Clauses<'t> {
    fn level(&self) -> Level {
        self.levels.last().copied().unwrap_or_default()
    }

    /// Whether an item of FROM begins at the next token.
    fn at_item(&self) -> bool {
        let level = self.level();
        let opens = self.before.is_some_and(|before| match &before.token {
            Token::Comma | Token::LParen => true,
            // What ROWS FROM lists are expressions.
            _ if self.earlier.is_some_and(|earlier| is(earlier, "rows")) => false,
            _ => ["from", "join", "lateral", "only"].iter().any(|word| is(before, word)),
        });
        level.in_from && !level.in_condition && opens
    }

    /// Takes a token in.
    fn follow(&mut self, token: &'t TokenWithSpan) {
        let at_item = self.at_item();
        match &token.token {
            Token::LParen => {
                self.levels.push(Level { is_query: at_item, in_from: at_item, in_condition: false });
            }
            Token::RParen => {
                self.levels.pop();
                if self.levels.is_empty() {
                    self.levels.push(Level::default());
                }
            }
            Token::Comma => self.set(|level| level.in_condition = false),
            Token::Word(word) if word.quote_style.is_none() => self.follow_word(word),
            _ => {}
        }
        self.earlier = self.before.replace(token);
    }

    fn follow_word(&mut self, word: &Word) {
        let before = |wanted: &str| self.before.is_some_and(|before| is(before, wanted));
        match word.keyword {
            Keyword::SELECT | Keyword::DELETE | Keyword::UPDATE => {
                self.set(|level| *level = Level { is_query: true, in_from: false, in_condition: false });
            }
            Keyword::FROM if before("distinct") || before("rows") => {}
            Keyword::FROM | Keyword::USING if self.level().is_query => {
                self.set(|level| (level.in_from, level.in_condition) = (true, false));
            }
            Keyword::JOIN => self.set(|level| level.in_condition = false),
            Keyword::ON => self.set(|level| level.in_condition = level.in_from),
            Keyword::WHERE
            | Keyword::GROUP
            | Keyword::ORDER
            | Keyword::HAVING
            | Keyword::WINDOW
            | Keyword::LIMIT
            | Keyword::OFFSET
            | Keyword::FETCH
            | Keyword::UNION
            | Keyword::INTERSECT
            | Keyword::EXCEPT
            | Keyword::RETURNING
            | Keyword::SET
            | Keyword::FOR
            | Keyword::VALUES
            | Keyword::WITH => self.set(|level| level.in_from = false),
            _ => {}
        }
    }

    fn set(&mut self, change: impl FnOnce(&mut Level)) {
        if let Some(level) = self.levels.last_mut() {
            change(level);
        }
    }
}

/// Whether there may be anything to do.
fn concerns(tokens: &[&TokenWithSpan]) -> bool {
    let next_is = |at: usize, wanted: &Token| tokens.get(at + 1).is_some_and(|next| next.token == *wanted);
    tokens.iter().enumerate().any(|(at, token)| match &token.token {
        Token::LParen => tokens.get(at + 1).is_some_and(|next| is(next, "values") || is(next, "table")),
        Token::Mul => at > 1 && is(tokens[at - 2], "from"),
        Token::Word(word) if word.quote_style.is_none() => {
            is(token, "only") && next_is(at, &Token::LParen)
                || is_expression(token, next_is(at, &Token::LParen))
        }
        _ => false,
    })
}

fn is_expression(token: &TokenWithSpan, is_call: bool) -> bool {
    is_call && EXPRESSIONS.iter().any(|word| is(token, word)) || BARE.iter().any(|word| is(token, word))
}

fn takes_value(before: &TokenWithSpan) -> bool {
    goes_before_value(&before.token) || is(before, "limit") || is(before, "offset")
}

fn takes_query(before: &TokenWithSpan) -> bool {
    ["exists", "in", "any", "all", "some", "array"].iter().any(|word| is(before, word))
}

/// The tokens of a statement, without blanks, in the forms of the table above.
pub(super) fn placed<'t>(tokens: Vec<&'t TokenWithSpan>) -> Vec<Cow<'t, TokenWithSpan>> {
    if !concerns(&tokens) {
        return tokens.into_iter().map(Cow::Borrowed).collect();
    }
    let mut clauses = Clauses { levels: vec![Level::default()], before: None, earlier: None };
    let mut out: Vec<Cow<'t, TokenWithSpan>> = Vec::with_capacity(tokens.len() + 8);
    // What is put before the parenthesis, or behind it, that closes a level.
    let mut ends: Vec<(usize, Vec<TokenWithSpan>, bool)> = Vec::new();
    // How many parentheses of ONLY are to be left out.
    let mut dropped: Vec<usize> = Vec::new();
    for (at, token) in tokens.iter().copied().enumerate() {
        let next = tokens.get(at + 1).copied();
        let put = |put: Token| TokenWithSpan::new(put, token.span);
        let depth = clauses.levels.len();
        let at_item = clauses.at_item();
        let is_call = next.is_some_and(|next| next.token == Token::LParen);
        match &token.token {
            Token::LParen
                if at_item
                    && clauses.before.is_some_and(|before| is(before, "only"))
                    && next.is_some_and(|next| matches!(next.token, Token::Word(_))) =>
            {
                dropped.push(depth + 1);
            }
            Token::LParen
                if !at_item
                    && clauses.before.is_some_and(takes_value)
                    && let Some(values) = next.filter(|next| is(next, "values")) =>
            {
                let put = |put: Token| TokenWithSpan::new(put, values.span);
                out.push(Cow::Borrowed(token));
                let inner = Token::make_keyword("SELECT");
                out.push(Cow::Owned(put(inner)));
                for column in 0..first_row(&tokens[at + 2..]) {
                    out.extend((column > 0).then(|| Cow::Owned(put(Token::Comma))));
                    out.push(Cow::Owned(put(name(&format!("column{}", column + 1)))));
                }
                out.push(Cow::Owned(put(Token::make_keyword("FROM"))));
                out.push(Cow::Owned(put(Token::LParen)));
                ends.push((depth + 1, vec![put(Token::RParen), put(name("*VALUES*"))], false));
            }
            Token::Word(_)
                if is(token, "table")
                    && clauses.before.is_some_and(|before| before.token == Token::LParen)
                    && clauses
                        .earlier
                        .is_some_and(|earlier| takes_value(earlier) || takes_query(earlier))
                    && !clauses.level().in_from =>
            {
                out.push(Cow::Owned(put(Token::make_keyword("SELECT"))));
                out.push(Cow::Owned(put(Token::Mul)));
                out.push(Cow::Owned(put(Token::make_keyword("FROM"))));
            }
            Token::Word(_) if at_item && is(token, "only") => {}
            Token::Word(_)
                if at_item
                    && !clauses.before.is_some_and(|before| is(before, "only"))
                    && is_expression(token, is_call)
                    && next.is_none_or(|next| next.token != Token::Period) =>
            {
                out.extend(["rows", "from"].map(|word| Cow::Owned(put(Token::make_keyword(word)))));
                out.push(Cow::Owned(put(Token::LParen)));
                out.push(Cow::Borrowed(token));
                match is_call {
                    true => ends.push((depth + 1, vec![put(Token::RParen)], true)),
                    false => out.push(Cow::Owned(put(Token::RParen))),
                }
            }
            Token::Mul
                if clauses.level().in_from
                    && !clauses.level().in_condition
                    && clauses.before.is_some_and(|before| matches!(before.token, Token::Word(_))) => {}
            Token::RParen if dropped.pop_if(|level| *level == depth).is_some() => {}
            Token::RParen => {
                let end = ends.pop_if(|(level, ..)| *level == depth);
                let (closing, is_behind) =
                    end.map_or((Vec::new(), false), |(_, closing, behind)| (closing, behind));
                let closing = closing.into_iter().map(Cow::Owned);
                if is_behind {
                    out.push(Cow::Borrowed(token));
                    out.extend(closing);
                } else {
                    out.extend(closing);
                    out.push(Cow::Borrowed(token));
                }
            }
            _ => out.push(Cow::Borrowed(token)),
        }
        clauses.follow(token);
    }
    out
}

fn name(text: &str) -> Token {
    Token::Word(Word { value: text.to_owned(), quote_style: Some('"'), keyword: Keyword::NoKeyword })
}

/// How many columns the first row of VALUES has.
fn first_row(tokens: &[&TokenWithSpan]) -> usize {
    let (mut depth, mut commas) = (0usize, 0);
    for token in tokens {
        match token.token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    break;
                }
            }
            Token::Comma if depth == 1 => commas += 1,
            _ => {}
        }
    }
    commas + 1
}
