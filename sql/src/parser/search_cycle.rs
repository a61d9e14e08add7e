//! SEARCH and CYCLE behind the query of a common table, which sqlparser lacks: they become the ORDER BY of that query,
//! with calls that the binder knows by their marks. A recursive query can have no other ORDER BY.
//!
//! | written | the key |
//! |---|---|
//! | `SEARCH DEPTH FIRST BY a, b SET s` | `` `search depth`(s, a, b) `` |
//! | `SEARCH BREADTH FIRST BY a SET s` | `` `search breadth`(s, a) `` |
//! | `CYCLE a SET m TO v DEFAULT d USING p` | `` `cycle`(m, p, v, d, a) `` |

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::rewrite::{is, mark};

/// The marks of the keys.
pub const SEARCH_DEPTH: &str = "search depth";
pub const SEARCH_BREADTH: &str = "search breadth";
pub const CYCLE: &str = "cycle";

/// The ORDER BY that stands for the clauses that tokens begin with, and how many tokens these are.
pub(super) fn keys(tokens: &[&TokenWithSpan]) -> Option<(Vec<TokenWithSpan>, usize)> {
    let mut rest = Rest { tokens, at: 0 };
    let first = *tokens.first()?;
    let keyword = |word: &str| TokenWithSpan::new(Token::make_keyword(word), first.span);
    let mut out = vec![keyword("ORDER"), keyword("BY")];
    let before = out.len();
    if let Some(search) = rest.search() {
        out.extend(search);
    }
    let behind_search = rest.at;
    match rest.cycle() {
        Some(cycle) => {
            if out.len() > before {
                out.push(TokenWithSpan::new(Token::Comma, first.span));
            }
            out.extend(cycle);
        }
        None => rest.at = behind_search,
    }
    (out.len() > before).then_some((out, rest.at))
}

struct Rest<'t> {
    tokens: &'t [&'t TokenWithSpan],
    at: usize,
}

impl Rest<'_> {
    fn accept(&mut self, word: &str) -> Option<()> {
        let found = self.tokens.get(self.at).is_some_and(|token| is(token, word));
        self.at += usize::from(found);
        found.then_some(())
    }

    fn name(&mut self) -> Option<TokenWithSpan> {
        let token = *self.tokens.get(self.at)?;
        self.at += 1;
        matches!(token.token, Token::Word(_)).then(|| token.clone())
    }

    /// `a, b SET`
    fn columns(&mut self) -> Option<Vec<TokenWithSpan>> {
        let mut columns = vec![self.name()?];
        while self.tokens.get(self.at)?.token == Token::Comma {
            self.at += 1;
            columns.push(self.name()?);
        }
        self.accept("set")?;
        Some(columns)
    }

    /// The tokens of a value, up to a word.
    fn value(&mut self, end: &str) -> Option<Vec<TokenWithSpan>> {
        let rest = self.tokens.get(self.at..)?;
        let length = rest.iter().position(|token| is(token, end)).filter(|length| *length > 0)?;
        self.at += length + 1;
        Some(rest[..length].iter().map(|token| (*token).clone()).collect())
    }

    fn search(&mut self) -> Option<Vec<TokenWithSpan>> {
        let first = *self.tokens.get(self.at)?;
        self.accept("search")?;
        let kind = match self.accept("depth") {
            Some(()) => SEARCH_DEPTH,
            None => self.accept("breadth").map(|()| SEARCH_BREADTH)?,
        };
        self.accept("first")?;
        self.accept("by")?;
        let columns = self.columns()?;
        let sequence = self.name()?;
        Some(call(first, kind, [vec![sequence]], columns))
    }

    fn cycle(&mut self) -> Option<Vec<TokenWithSpan>> {
        let first = *self.tokens.get(self.at)?;
        self.accept("cycle")?;
        let columns = self.columns()?;
        let flag = self.name()?;
        let truth = |word: &str| vec![TokenWithSpan::new(Token::make_keyword(word), first.span)];
        let (value, default) = match self.accept("to") {
            Some(()) => (self.value("default")?, self.value("using")?),
            None => {
                self.accept("using")?;
                (truth("TRUE"), truth("FALSE"))
            }
        };
        let path = self.name()?;
        Some(call(first, CYCLE, [vec![flag], vec![path], value, default], columns))
    }
}

/// A marked call.
fn call<const N: usize>(
    like: &TokenWithSpan,
    kind: &str,
    arguments: [Vec<TokenWithSpan>; N],
    columns: Vec<TokenWithSpan>,
) -> Vec<TokenWithSpan> {
    let token = |token: Token| TokenWithSpan::new(token, like.span);
    let mut out = vec![mark(like, kind), token(Token::LParen)];
    for argument in arguments.into_iter().chain(columns.into_iter().map(|column| vec![column])) {
        if out.len() > 2 {
            out.push(token(Token::Comma));
        }
        out.extend(argument);
    }
    out.push(token(Token::RParen));
    out
}
