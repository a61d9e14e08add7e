//! Forms that sqlparser lacks, spelled as forms that it has.
//!
//! The tokens of a statement are changed before they are parsed. What is put in is a word in backticks, which no text
//! of PostgreSQL's dialect can hold, so that the binder knows it ([`marked`]).
//!
//! | written | parsed as |
//! |---|---|
//! | `(row).*` | `` (row).`*` `` |
//! | `ROWS FROM (…)` | `` `rows from`(…) `` |
//! | `VARIADIC array` | `` `variadic` => array `` |
//! | `name := value` | `name => value` |
//! | `BETWEEN SYMMETRIC a AND b` | `BETWEEN NOT a AND b`, which is an error in PostgreSQL |
//! | `f(…) AS (a int)` | `f(…) AS "f" (a int)` |
//! | `USING (a, b) AS x` | `` USING (a, b, `x`) `` |
//! | `SET a[1] = …`, `INSERT INTO t (a[1])` | `` a.`[1]` ``: see [`targets`] |
//! | `ON CONFLICT (lower(a)) WHERE b` | `` ON CONFLICT (`(lower(a)) WHERE b`) `` |
//! | `FOR UPDATE OF a, b` | `FOR UPDATE OF a FOR UPDATE OF b` |
//! | `mood 'sad'`, for types that sqlparser does not know | `CAST('sad' AS mood)` |
//! | `WHERE CURRENT OF c` | `` WHERE `current of`(c) `` |
//! | `interval(0) '1 s'` | `CAST('1 s' AS interval(0))` |
//! | `PRIMARY KEY WITH (fillfactor = 70)` | `PRIMARY KEY`: keys are filled as their table is |
//! | `substring(a SIMILAR b ESCAPE c)` | `substring(a FROM b FOR c)` |
//! | `SELECT WHERE a`, and other select lists without columns | ``SELECT `nothing` WHERE a`` |
//! | `trim(FROM a)`, `trim(LEADING FROM a)` | `trim(a)`, `trim(LEADING a)` |
//! | `… UNION …) SEARCH …`, `… CYCLE …` | a marked ORDER BY before the parenthesis: see [`search_cycle`] |
//! | `1 AS select` | `1 AS "select"` |
//! | `FORCE_QUOTE *` | `` FORCE_QUOTE (`*`) `` |
//! | `frame EXCLUDE TIES` in a window | one more key before the frame: `` , `exclude ties` `` |
//! | `'1 day'::interval PRECEDING` in a frame | `('1 day'::interval) PRECEDING` |
//! | `FOR NO KEY UPDATE`, `FOR KEY SHARE OF a` | `` FOR UPDATE OF `no key` ``, `` FOR SHARE OF `key`.a `` |
//! | `LIKE ANY`, `NOT ILIKE ALL`, … | `~~ ANY`, `!~~* ALL`, … |
//! | `AS OF SCN n`, and so on | `` FOR SYSTEM_TIME AS OF `scn` = n `` |
//! | `SELECT 1 FOR UPDATE`, where FOR would be the column's name | `SELECT 1 LIMIT ALL FOR UPDATE` |
//! | `FETCH FIRST (n) ROWS ONLY`, `… WITH TIES` | `LIMIT (n)`, `LIMIT (n) FETCH FIRST ROW WITH TIES` |
//! | `x::type COLLATE name` | `x::type`: no collation changes anything |
//! | `FROM ONLY t`, `UPDATE ONLY t` | `FROM t`, `UPDATE t` |
//! | `COLLATION FOR (a)` | `pg_collation_for(a)` |
//! | `INSERT INTO t TABLE u` | `INSERT INTO t SELECT * FROM u` |
//! | `at`, but in AT TIME ZONE | `"at"` |
//! | `ISNULL`, `NOTNULL` | `IS NULL`, `IS NOT NULL` |
//! | `REFERENCES t ON DELETE SET NULL (a)` | `` REFERENCES t.`on delete`.`a` ON DELETE SET NULL ``: see [`referential`] |
//! | MERGE's `USING` with joins, `DEFAULT VALUES`, `OVERRIDING` | see [`merge`] |
//! | `((SELECT 1) UNION SELECT 2)` as a value | `(SELECT * FROM ((SELECT 1) UNION SELECT 2) "*SELECT*")` |
//! | `IN ((SELECT 1), a)` | `` IN (`value`((SELECT 1)), a) `` |
//! | `ROLLUP ((SELECT 1), a)` | `ROLLUP (((SELECT 1)), a)` |
//! | `= ANY (VALUES (1), (2))` | `= ANY (SELECT * FROM (VALUES (1), (2)) "*VALUES*")` |
//! | `GROUPING SETS` within another, and `()` in it | `` `grouping sets`(…) ``, `` `()` `` |
//! | `GROUP BY DISTINCT a`, `GROUP BY ALL a` | `` GROUP BY `group by distinct`, a ``, `GROUP BY a` |
//! | `CREATE TABLE (… CHECK (a) NOT VALID)` | `CHECK (a)`: there are no rows yet |
//! | `a int UNIQUE NULLS NOT DISTINCT` | `` a int COLLATE `nulls not distinct` UNIQUE `` |

use super::first_words::StatementWords;
use super::query_value::{
    begins_query, ends_query, goes_before_value, is_in_grouping, is_in_grouping_sets, is_in_nested_sets,
    is_query,
};
use super::targets::{self, Targets};
use super::{merge, places, referential, search_cycle, star_cast};
use sqlparser::ast::Ident;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Word};

use super::Source;

/// What stands for a select list without columns.
pub const NOTHING: &str = "nothing";

/// What stands for the condition that a row is the one that a cursor is on.
pub const CURRENT_OF: &str = "current of";

/// What stands for all columns in an option of COPY.
pub const ALL: &str = "all fields";

/// What stands for NULLS NOT DISTINCT, in place of a collation before UNIQUE.
pub const NOT_DISTINCT: &str = "nulls not distinct";

/// What stands for GROUPING SETS within others.
pub const GROUPING_SETS: &str = "grouping sets";

/// What stands for `()` there.
pub const NO_GROUPS: &str = "()";

/// What stands first in a GROUP BY DISTINCT.
pub const DISTINCT_SETS: &str = "group by distinct";

/// What stands before a query in parentheses that is a value, where sqlparser would take it for all there is.
pub const VALUE: &str = "value";

/// What stands before the relation of a locking clause that says NO KEY UPDATE, or KEY SHARE.
const NO_KEY: &str = "no key";
const KEY: &str = "key";

/// The quotes of what is put in.
pub(super) const MARK: char = '`';

/// What an identifier that was put in says.
#[must_use]
pub fn marked(identifier: &Ident) -> Option<&str> {
    (identifier.quote_style == Some(MARK)).then_some(identifier.value.as_str())
}

/// The tokens of a stored text, in which what was put in stands in backticks.
pub(super) fn with_marks(tokens: Vec<TokenWithSpan>, source: &Source<'_>) -> Vec<TokenWithSpan> {
    let is_quote = |token: &TokenWithSpan| token.token == Token::Char(MARK);
    let mut out = Vec::with_capacity(tokens.len());
    let mut rest = tokens.into_iter();
    while let Some(token) = rest.next() {
        if !is_quote(&token) {
            out.push(token);
            continue;
        }
        let Some(end) = rest.find(is_quote) else { break };
        let inside = source.offset(token.span.end)..source.offset(end.span.start);
        out.push(mark(&token, &source.text()[inside]));
    }
    out
}

pub(super) fn mark(like: &TokenWithSpan, value: &str) -> TokenWithSpan {
    let word = Word { value: value.to_owned(), quote_style: Some(MARK), keyword: Keyword::NoKeyword };
    TokenWithSpan::new(Token::Word(word), like.span)
}

/// Whether a token is a word, in capitals here, without quotes.
pub(super) fn is(token: &TokenWithSpan, wanted: &str) -> bool {
    matches!(&token.token, Token::Word(word)
        if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted))
}

/// Names of functions that have a syntax of their own where no schema stands before them.
const FUNCTION_KEYWORDS: [&str; 13] = [
    "ceil",
    "ceiling",
    "convert",
    "current_user",
    "extract",
    "floor",
    "interval",
    "overlay",
    "position",
    "session_user",
    "substr",
    "substring",
    "trim",
];

/// A statement's tokens in the forms that sqlparser knows; blanks are left out.
pub(super) fn rewrite(piece: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let blank = |token: &&TokenWithSpan| !matches!(token.token, Token::Whitespace(_));
    let placed = places::placed(piece.iter().filter(blank).collect());
    let tokens: Vec<&TokenWithSpan> = placed.iter().map(|token| &**token).collect();
    let word_at = |at: usize, wanted: &str| tokens.get(at).is_some_and(|token| is(token, wanted));
    let token_at = |at: usize| tokens.get(at).map_or(&Token::EOF, |token| &token.token);
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(piece.len());
    let mut targets = Targets::default();
    let kind = StatementWords::of(&tokens);
    let mut depth = 0usize;
    // How deep the arguments of a substring stand.
    let mut substring = None;
    // Where something ends that was put into parentheses, and what closes it.
    let mut ends: Vec<(usize, Vec<TokenWithSpan>)> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let token = tokens[at];
        while let Some((_, closing)) = ends.pop_if(|(end, _)| *end == at) {
            out.extend(closing);
        }
        at += 1;
        if !kind.defines
            && targets.follow(token, tokens.get(at).copied())
            && let Some((subscripts, length)) = targets::subscripts(&tokens[at..])
        {
            out.push(token.clone());
            out.push(TokenWithSpan::new(Token::Period, token.span));
            out.push(subscripts);
            at += length;
            continue;
        }
        let before = out.last().map(|token| token.token.clone());
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        match &token.token {
            Token::Word(_) if is(token, "with") && kind.has_keys(depth) && *token_at(at) == Token::LParen => {
                at += closed(&tokens[at..]).unwrap_or(0);
            }
            Token::Word(_)
                if is(token, "where")
                    && word_at(at, "current")
                    && word_at(at + 1, "of")
                    && matches!(token_at(at + 2), Token::Word(_)) =>
            {
                out.push(token.clone());
                out.push(mark(tokens[at], CURRENT_OF));
                out.push(TokenWithSpan::new(Token::LParen, tokens[at + 1].span));
                out.push(tokens[at + 2].clone());
                out.push(TokenWithSpan::new(Token::RParen, tokens[at + 2].span));
                at += 3;
            }
            Token::Word(_)
                if is(token, "interval")
                    && *token_at(at) == Token::LParen
                    && matches!(token_at(at + 1), Token::Number(..))
                    && matches!(token_at(at + 3), Token::SingleQuotedString(_)) =>
            {
                let keyword = |word: &str| TokenWithSpan::new(Token::make_keyword(word), token.span);
                let open = TokenWithSpan::new(Token::LParen, token.span);
                out.extend([keyword("CAST"), open, tokens[at + 3].clone(), keyword("AS"), token.clone()]);
                out.extend(tokens[at..at + 3].iter().map(|each| (*each).clone()));
                out.push(TokenWithSpan::new(Token::RParen, tokens[at + 3].span));
                at += 4;
            }
            Token::Mul if star_cast::enclose(&mut out, token, token_at(at)) => {}
            Token::RParen
                if (word_at(at, "search") || word_at(at, "cycle"))
                    && let Some((keys, length)) = search_cycle::keys(&tokens[at..]) =>
            {
                out.extend(keys);
                out.push(token.clone());
                at += length;
            }
            Token::Word(_)
                if kind.merges
                    && depth == 0
                    && is(token, "using")
                    && let Some(length) = merge::joined_source(&tokens[at..]) =>
            {
                out.push(token.clone());
                out.push(TokenWithSpan::new(Token::LParen, token.span));
                ends.push((at + length, vec![TokenWithSpan::new(Token::RParen, token.span)]));
            }
            Token::Word(_)
                if kind.merges
                    && (is(token, "default") || is(token, "overriding"))
                    && let Some(length) = merge::insert_words(&tokens[at - 1..], &mut out) =>
            {
                at += length - 1;
            }
            Token::Word(_)
                if ["any", "all", "some"].iter().any(|word| is(token, word))
                    && *token_at(at) == Token::LParen
                    && word_at(at + 1, "values")
                    && let Some(length) = closed(&tokens[at..]) =>
            {
                let put = |token: Token| TokenWithSpan::new(token, tokens[at].span);
                out.extend([token.clone(), tokens[at].clone(), put(Token::make_keyword("SELECT"))]);
                out.extend([put(Token::Mul), put(Token::make_keyword("FROM")), put(Token::LParen)]);
                let alias = Token::Word(Word {
                    value: "*VALUES*".to_owned(),
                    quote_style: Some('"'),
                    keyword: Keyword::NoKeyword,
                });
                ends.push((at + length - 1, vec![put(Token::RParen), put(alias)]));
                depth += 1;
                at += 1;
            }
            Token::Word(word)
                if is(token, "collation") && word_at(at, "for") && *token_at(at + 1) == Token::LParen =>
            {
                let word = Word { value: "pg_collation_for".to_owned(), ..word.clone() };
                out.push(TokenWithSpan::new(Token::Word(word), token.span));
                at += 1;
            }
            // sqlparser takes no TABLE as the source of an INSERT.
            Token::Word(_)
                if kind.inserts
                    && is(token, "table")
                    && matches!(token_at(at), Token::Word(_))
                    && matches!(before, Some(Token::Word(_) | Token::RParen | Token::LParen))
                    && !out.last().is_some_and(|last| is(last, "as") || is(last, "into")) =>
            {
                let put = |token: Token| TokenWithSpan::new(token, tokens[at - 1].span);
                out.extend([put(Token::make_keyword("SELECT")), put(Token::Mul)]);
                out.push(put(Token::make_keyword("FROM")));
            }
            // Behind a schema they are functions as others are.
            Token::Word(word)
                if matches!(before, Some(Token::Period))
                    && *token_at(at) == Token::LParen
                    && FUNCTION_KEYWORDS.iter().any(|keyword| is(token, keyword)) =>
            {
                let value = word.value.to_ascii_lowercase();
                let word = Word { value, quote_style: Some('"'), keyword: Keyword::NoKeyword };
                out.push(TokenWithSpan::new(Token::Word(word), token.span));
            }
            Token::LParen
                if begins_query(&tokens[at..])
                    && is_in_grouping(&out)
                    && let Some(length) = closed(&tokens[at - 1..]) =>
            {
                out.extend([token.clone(), token.clone()]);
                ends.push((at - 1 + length, vec![TokenWithSpan::new(Token::RParen, token.span)]));
            }
            Token::LParen
                if *token_at(at) == Token::LParen
                    && before.as_ref().is_some_and(goes_before_value)
                    && let Some(length) = closed(&tokens[at..])
                    && ["union", "intersect", "except"].iter().any(|word| word_at(at + length, word))
                    && begins_query(&tokens[at..])
                    && let Some(length) = closed(&tokens[at - 1..]) =>
            {
                let put = |token: Token| TokenWithSpan::new(token, tokens[at].span);
                out.extend([token.clone(), put(Token::make_keyword("SELECT")), put(Token::Mul)]);
                out.extend([put(Token::make_keyword("FROM")), put(Token::LParen)]);
                let alias = Token::Word(Word {
                    value: "*SELECT*".to_owned(),
                    quote_style: Some('"'),
                    keyword: Keyword::NoKeyword,
                });
                ends.push((at + length - 2, vec![put(Token::RParen), put(alias)]));
            }
            Token::LParen
                if is_query(&tokens[at - 1..])
                    && matches!(out.as_slice(), [.., word, open] if is(word, "in") && open.token == Token::LParen)
                    && let Some(length) = closed(&tokens[at - 1..])
                    && !ends_query(token_at(at - 1 + length)) =>
            {
                out.extend([mark(token, VALUE), token.clone(), token.clone()]);
                ends.push((at - 1 + length, vec![TokenWithSpan::new(Token::RParen, token.span)]));
            }
            // Grouping sets within grouping sets are read as a function's call.
            Token::Word(_)
                if is(token, "grouping")
                    && word_at(at, "sets")
                    && *token_at(at + 1) == Token::LParen
                    && is_in_grouping_sets(&out) =>
            {
                out.push(mark(token, GROUPING_SETS));
                at += 1;
            }
            Token::LParen if *token_at(at) == Token::RParen && is_in_nested_sets(&out) => {
                out.push(mark(token, NO_GROUPS));
                depth = depth.saturating_sub(1);
                at += 1;
            }
            Token::Word(_)
                if (is(token, "all") || is(token, "distinct"))
                    && matches!(out.as_slice(), [.., group, by] if is(group, "group") && is(by, "by"))
                    && matches!(token_at(at), Token::Word(_) | Token::LParen | Token::Number(..)) =>
            {
                if is(token, "distinct") {
                    out.push(mark(token, DISTINCT_SETS));
                    out.push(TokenWithSpan::new(Token::Comma, token.span));
                }
            }
            Token::Word(_)
                if is(token, "references")
                    && (kind.creates_table || kind.alters_table)
                    && let Some((moved, length)) = referential::moved(&tokens[at..]) =>
            {
                out.push(token.clone());
                out.extend(moved);
                at += length;
            }
            Token::Word(_) if kind.creates_table && referential::is_not_valid(&out, &tokens[at - 1..]) => {
                at += 1
            }
            Token::Word(_)
                if is(token, "as")
                    && before == Some(Token::RParen)
                    && defines_columns(&tokens[at..])
                    && let Some(called) = called(&out) =>
            {
                out.push(token.clone());
                out.push(called);
            }
            Token::Word(_) if is(token, "as") && names_column(&kind, &tokens[at..]) => {
                out.push(token.clone());
                out.push(quoted(tokens[at]));
                at += 1;
            }
            Token::Word(_) if is(token, "force_quote") && *token_at(at) == Token::Mul => {
                out.push(token.clone());
                out.push(TokenWithSpan::new(Token::LParen, token.span));
                out.push(mark(tokens[at], ALL));
                out.push(TokenWithSpan::new(Token::RParen, token.span));
                at += 1;
            }
            Token::Word(_)
                if is(token, "conflict")
                    && out.last().is_some_and(|before| is(before, "on"))
                    && *token_at(at) == Token::LParen =>
            {
                out.push(token.clone());
                if let Some((target, length)) = conflict_target(&tokens[at..]) {
                    out.push(tokens[at].clone());
                    out.push(target);
                    out.push(TokenWithSpan::new(Token::RParen, tokens[at + length - 1].span));
                    at += length;
                }
            }
            Token::Word(_)
                if is(token, "using")
                    && let Some(length) = name_list(&tokens[at..])
                    && word_at(at + length, "as")
                    && let Token::Word(alias) = token_at(at + length + 1) =>
            {
                let name = if alias.quote_style.is_some() {
                    alias.value.clone()
                } else {
                    alias.value.to_lowercase()
                };
                out.push(token.clone());
                out.extend(tokens[at..at + length - 1].iter().map(|each| (*each).clone()));
                out.push(TokenWithSpan::new(Token::Comma, token.span));
                out.push(mark(tokens[at + length + 1], &name));
                out.push(tokens[at + length - 1].clone());
                at += length + 2;
            }
            Token::Word(_) if is(token, "of") && follows_lock(&out) => {
                at += lock_each(&tokens[at..], token, None, &mut out)
            }
            Token::Word(word)
                if kind.has_literals
                    && (matches!(word.keyword, Keyword::NoKeyword | Keyword::NAME)
                        || before == Some(Token::Period))
                    && is_string(token_at(at)) =>
            {
                cast_literal(token, tokens[at], &mut out);
                at += 1;
            }
            // Arguments by name, as they were once written.
            Token::Assignment => out.push(TokenWithSpan::new(Token::RArrow, token.span)),
            Token::Mul if before == Some(Token::Period) && star_cast::follows_parenthesis(&out) => {
                out.push(mark(token, ALL));
            }
            Token::Word(_)
                if is(token, "rows") && word_at(at, "from") && *token_at(at + 1) == Token::LParen =>
            {
                out.push(mark(token, "rows from"));
                at += 1;
            }
            Token::Word(_)
                if is(token, "variadic") && matches!(before, Some(Token::LParen | Token::Comma)) =>
            {
                out.push(mark(token, "variadic"));
                out.push(TokenWithSpan::new(Token::RArrow, token.span));
            }
            Token::Word(_) if is(token, "similar") && !word_at(at, "to") && substring == Some(depth) => {
                out.push(TokenWithSpan::new(Token::make_keyword("FROM"), token.span));
            }
            Token::Word(_) if is(token, "escape") && substring == Some(depth) && follows_from(&out) => {
                out.push(TokenWithSpan::new(Token::make_keyword("FOR"), token.span));
            }
            Token::Word(_) if is(token, "select") && ends_select_list(tokens.get(at).copied()) => {
                out.push(token.clone());
                out.push(mark(token, NOTHING));
            }
            Token::Word(_) if is(token, "from") && begins_trim(&out) => {}
            Token::Word(_) if is(token, "substring") && *token_at(at) == Token::LParen => {
                substring = Some(depth + 1);
                out.push(token.clone());
            }
            Token::Word(_) if is(token, "between") && word_at(at, "symmetric") => {
                out.push(token.clone());
                out.push(TokenWithSpan::new(Token::make_keyword("NOT"), tokens[at].span));
                at += 1;
            }
            Token::Word(_) if is(token, "between") && word_at(at, "asymmetric") => {
                out.push(token.clone());
                at += 1;
            }
            Token::Word(_)
                if (is(token, "like") || is(token, "ilike"))
                    && ["any", "all", "some"].iter().any(|word| word_at(at, word)) =>
            {
                let negated = out.pop_if(|before| is(before, "not")).is_some();
                let operator = match (negated, is(token, "ilike")) {
                    (false, false) => Token::DoubleTilde,
                    (false, true) => Token::DoubleTildeAsterisk,
                    (true, false) => Token::ExclamationMarkDoubleTilde,
                    (true, true) => Token::ExclamationMarkDoubleTildeAsterisk,
                };
                out.push(TokenWithSpan::new(operator, token.span));
            }
            Token::Word(_) if is(token, "preceding") || is(token, "following") => {
                enclose_bound(&mut out);
                out.push(token.clone());
            }
            Token::Word(_) if is(token, "exclude") => match exclusion(&tokens[at..]) {
                Some((mode, length)) if insert_exclusion(&mut out, token, mode) => at += length,
                _ => out.push(token.clone()),
            },
            Token::Word(_)
                if is(token, "fetch")
                    && (word_at(at, "first") || word_at(at, "next"))
                    && *token_at(at + 1) == Token::LParen =>
            {
                at += fetched_count(token, &tokens[at..], &mut out);
            }
            Token::Word(_)
                if is(token, "unique")
                    && (kind.creates_table || kind.alters_table)
                    && word_at(at, "nulls")
                    && (word_at(at + 1, "distinct")
                        || (word_at(at + 1, "not") && word_at(at + 2, "distinct")))
                    && *token_at(at + if word_at(at + 1, "not") { 3 } else { 2 }) != Token::LParen =>
            {
                let is_not = word_at(at + 1, "not");
                if is_not {
                    // Before the constraint's name, for it is a clause of its own.
                    let is_named = out.len() > 2 && is(&out[out.len() - 2], "constraint");
                    let place = out.len() - if is_named { 2 } else { 0 };
                    let clause = [
                        TokenWithSpan::new(Token::make_keyword("COLLATE"), token.span),
                        mark(token, NOT_DISTINCT),
                    ];
                    out.splice(place..place, clause);
                }
                out.push(token.clone());
                at += if is_not { 3 } else { 2 };
            }
            Token::Word(_)
                if is(token, "collate")
                    && ends_cast(&out)
                    && matches!(token_at(at), Token::Word(_))
                    && is_known_collation(&tokens[at..]) =>
            {
                at += 1;
                while *token_at(at) == Token::Period {
                    at += 2;
                }
            }
            Token::Word(_)
                if is(token, "as") && word_at(at, "of") && moment_at(tokens.get(at + 1)).is_some() =>
            {
                for keyword in ["FOR", "SYSTEM_TIME", "AS", "OF"] {
                    out.push(TokenWithSpan::new(Token::make_keyword(keyword), token.span));
                }
                out.push(mark(token, moment_at(tokens.get(at + 1)).unwrap_or_default()));
                out.push(TokenWithSpan::new(Token::Eq, token.span));
                at += 2;
            }
            // No table has others that inherit from it.
            Token::Word(_)
                if is(token, "only")
                    && out.last().is_some_and(|before| {
                        let is_merged = kind.merges && (is(before, "into") || is(before, "using"));
                        is(before, "from") || is(before, "update") || is_merged
                    })
                    && matches!(token_at(at), Token::Word(_)) => {}
            // A name like any other, but to dialects that read AT as part of a table.
            Token::Word(_) if is(token, "at") && !word_at(at, "time") => {
                let word =
                    Word { value: "at".to_owned(), quote_style: Some('"'), keyword: Keyword::NoKeyword };
                out.push(TokenWithSpan::new(Token::Word(word), token.span));
            }
            Token::Word(_)
                if is(token, "for")
                    && ["no", "key", "update", "share"].iter().any(|lock| word_at(at, lock)) =>
            {
                if ends_bare_select(&out) {
                    for keyword in ["LIMIT", "ALL"] {
                        out.push(TokenWithSpan::new(Token::make_keyword(keyword), token.span));
                    }
                }
                out.push(token.clone());
                at += weaker_lock(&tokens[at..], &mut out);
            }
            Token::Word(_)
                if (is(token, "isnull") || is(token, "notnull"))
                    && before.as_ref().is_some_and(ends_value) =>
            {
                let not = is(token, "notnull").then_some("NOT");
                for keyword in ["IS"].into_iter().chain(not).chain(["NULL"]) {
                    out.push(TokenWithSpan::new(Token::make_keyword(keyword), token.span));
                }
            }
            _ => out.push(token.clone()),
        }
    }
    out
}

/// Whether the word that tokens begin with, behind AS in a query, is a column's name though it is a keyword.
fn names_column(kind: &StatementWords, tokens: &[&TokenWithSpan]) -> bool {
    let Some(Token::Word(word)) = tokens.first().map(|token| &token.token) else { return false };
    let next = tokens.get(1);
    kind.is_query
        && word.quote_style.is_none()
        && crate::relations::is_reserved(&word.value)
        && next.is_none_or(|next| {
            matches!(next.token, Token::Comma | Token::RParen | Token::EOF) || is(next, "from")
        })
}

/// A word as a name in quotes.
fn quoted(token: &TokenWithSpan) -> TokenWithSpan {
    let Token::Word(word) = &token.token else { return token.clone() };
    let value = word.value.to_lowercase();
    let word = Word { value, quote_style: Some('"'), keyword: Keyword::NoKeyword };
    TokenWithSpan::new(Token::Word(word), token.span)
}

/// `FETCH FIRST (count) ROWS …`, whose count is an expression; gives how many tokens were read behind FETCH.
fn fetched_count(fetch: &TokenWithSpan, rest: &[&TokenWithSpan], out: &mut Vec<TokenWithSpan>) -> usize {
    let Some(length) = closed(&rest[1..]) else {
        out.push(fetch.clone());
        return 0;
    };
    out.push(TokenWithSpan::new(Token::make_keyword("LIMIT"), fetch.span));
    out.extend(rest[1..=length].iter().map(|token| (*token).clone()));
    let is_word = |at: usize, wanted: &str| rest.get(at).is_some_and(|token| is(token, wanted));
    let unit = length + 1;
    if !is_word(unit, "row") && !is_word(unit, "rows") {
        return unit;
    }
    if is_word(unit + 1, "only") {
        return unit + 2;
    }
    for keyword in ["FETCH", "FIRST", "ROW"] {
        out.push(TokenWithSpan::new(Token::make_keyword(keyword), fetch.span));
    }
    unit + 1
}

/// How a moment is given, behind AS OF.
pub(super) fn moment_at(token: Option<&&TokenWithSpan>) -> Option<&'static str> {
    ["timestamp", "transaction", "scn"].into_iter().find(|kind| token.is_some_and(|token| is(token, kind)))
}

/// A token as it may be written: what stands between quotes is escaped again.
pub(super) fn written(token: &Token) -> String {
    match token {
        Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => {
            // Backslashes mean themselves here.
            format!("'{}'", text.replace('\'', "''"))
        }
        Token::Word(word) if word.quote_style == Some('"') => {
            format!("\"{}\"", word.value.replace('"', "\"\""))
        }
        other => other.to_string(),
    }
}

/// How many tokens it takes to close the parenthesis that the tokens begin with.
pub(super) fn closed(rest: &[&TokenWithSpan]) -> Option<usize> {
    let mut depth = 0usize;
    for (at, token) in rest.iter().enumerate() {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

/// How many tokens a list of names in parentheses takes, if the tokens begin with one.
fn name_list(rest: &[&TokenWithSpan]) -> Option<usize> {
    let length = closed(rest).filter(|length| *length > 2)?;
    let is_list = rest[1..length - 1].chunks(2).all(|pair| {
        matches!(pair[0].token, Token::Word(_)) && pair.get(1).is_none_or(|next| next.token == Token::Comma)
    });
    is_list.then_some(length)
}

/// Whether the tokens are `(name type …)`, as the columns of a function's rows are defined.
fn defines_columns(rest: &[&TokenWithSpan]) -> bool {
    const STATEMENTS: [&str; 8] =
        ["select", "values", "with", "table", "insert", "update", "delete", "merge"];
    let is_name = |at: usize| matches!(rest.get(at).map(|token| &token.token), Some(Token::Word(_)));
    rest.first().is_some_and(|first| first.token == Token::LParen)
        && is_name(1)
        && is_name(2)
        && !STATEMENTS.iter().any(|word| is(rest[1], word))
}

/// The name of the function whose call the tokens end with.
fn called(out: &[TokenWithSpan]) -> Option<TokenWithSpan> {
    let mut depth = 0usize;
    for (at, token) in out.iter().enumerate().rev() {
        match token.token {
            Token::RParen => depth += 1,
            Token::LParen if depth == 1 => {
                let name = out.get(at.checked_sub(1)?)?;
                let Token::Word(word) = &name.token else { return None };
                return Some(if word.quote_style.is_some() { name.clone() } else { quoted(name) });
            }
            Token::LParen => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

/// A conflict target that is more than columns, as one word that holds its text; and how many tokens it takes.
fn conflict_target(rest: &[&TokenWithSpan]) -> Option<(TokenWithSpan, usize)> {
    let list = closed(rest)?;
    let has_condition = rest.get(list).is_some_and(|token| is(token, "where"));
    if name_list(rest).is_some() && !has_condition {
        return None;
    }
    let mut length = list;
    if has_condition {
        length += rest[list..].iter().position(|token| is(token, "do"))?;
    }
    Some((mark(rest[0], &placed(&rest[..length])), length))
}

/// The text of tokens, each as far from the first one as it stands in the statement: errors tell its place.
fn placed(tokens: &[&TokenWithSpan]) -> String {
    let mut text = String::new();
    let Some(mut place) = tokens.first().map(|first| first.span.start) else { return text };
    for token in tokens {
        let start = token.span.start;
        while place.line < start.line {
            text.push('\n');
            place = Location { line: place.line + 1, column: 1 };
        }
        match start.column.checked_sub(place.column) {
            Some(gap) => text.extend((0..gap).map(|_| ' ')),
            None => text.push(' '),
        }
        let shown = written(&token.token);
        place.column = start.column + shown.chars().count() as u64;
        text.push_str(&shown);
    }
    text
}

/// Whether the last FROM in the same parentheses stands before a pattern: no FOR and no comma came since.
fn follows_from(out: &[TokenWithSpan]) -> bool {
    let is_end =
        |token: &&TokenWithSpan| is(token, "from") || is(token, "for") || token.token == Token::Comma;
    out.iter().rev().find(is_end).is_some_and(|token| is(token, "from"))
}

/// What stands before the parenthesis that is open last.
pub(super) fn before_open(out: &[TokenWithSpan]) -> Option<&[TokenWithSpan]> {
    let mut depth = 0usize;
    for (at, token) in out.iter().enumerate().rev() {
        match token.token {
            Token::RParen => depth += 1,
            Token::LParen if depth == 0 => return Some(&out[..at]),
            Token::LParen => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Whether the last tokens are `FOR UPDATE` or `FOR SHARE`.
fn follows_lock(out: &[TokenWithSpan]) -> bool {
    matches!(out, [.., first, second] if is(first, "for") && (is(second, "update") || is(second, "share")))
}

/// Whether the tokens end with a select list that nothing follows.
fn ends_bare_select(out: &[TokenWithSpan]) -> bool {
    const CLAUSES: [&str; 10] =
        ["from", "where", "group", "having", "window", "order", "limit", "offset", "fetch", "for"];
    let mut depth = 0usize;
    for token in out.iter().rev() {
        match token.token {
            Token::RParen | Token::RBracket => depth += 1,
            Token::LParen | Token::LBracket if depth == 0 => return false,
            Token::LParen | Token::LBracket => depth -= 1,
            Token::Word(_) if depth == 0 && CLAUSES.iter().any(|clause| is(token, clause)) => return false,
            Token::Word(_) if depth == 0 && is(token, "select") => return true,
            _ => {}
        }
    }
    false
}

/// `NO KEY UPDATE` and `KEY SHARE`, which are not to be locked as much; gives how many tokens were read.
fn weaker_lock(rest: &[&TokenWithSpan], out: &mut Vec<TokenWithSpan>) -> usize {
    let word_at = |at: usize, wanted: &str| rest.get(at).is_some_and(|token| is(token, wanted));
    let (length, strength) = if word_at(0, "no") && word_at(1, "key") && word_at(2, "update") {
        (3, NO_KEY)
    } else if word_at(0, "key") && word_at(1, "share") {
        (2, KEY)
    } else {
        return 0;
    };
    let last = rest[length - 1];
    let strength = mark(last, strength);
    out.push(last.clone());
    if word_at(length, "of") {
        return length + 1 + lock_each(&rest[length + 1..], rest[length], Some(&strength), out);
    }
    out.push(TokenWithSpan::new(Token::make_keyword("OF"), last.span));
    out.push(strength);
    length
}

/// A locking clause for each relation that one names; gives how many tokens were read.
fn lock_each(
    rest: &[&TokenWithSpan],
    of: &TokenWithSpan,
    strength: Option<&TokenWithSpan>,
    out: &mut Vec<TokenWithSpan>,
) -> usize {
    let is_name = |token: &TokenWithSpan| matches!(token.token, Token::Word(_) | Token::Period);
    let listed = rest.windows(2).take_while(|pair| {
        is_name(pair[0]) && matches!(pair[1].token, Token::Comma | Token::Period)
            || (matches!(pair[0].token, Token::Comma) && is_name(pair[1]))
    });
    let length = listed.count() + 1;
    let wait: Vec<TokenWithSpan> = match rest.get(length) {
        Some(next) if is(next, "nowait") => vec![(*next).clone()],
        Some(next) if is(next, "skip") => {
            rest[length..].iter().take(2).map(|token| (*token).clone()).collect()
        }
        _ => Vec::new(),
    };
    let head: Vec<TokenWithSpan> = out[out.len() - 2..].to_vec();
    let names = rest[..length.min(rest.len())].split(|token| token.token == Token::Comma);
    for (at, name) in names.enumerate() {
        if at > 0 {
            out.extend(head.iter().cloned());
        }
        out.push(of.clone());
        if let Some(strength) = strength {
            out.extend([strength.clone(), TokenWithSpan::new(Token::Period, strength.span)]);
        }
        out.extend(name.iter().map(|token| (*token).clone()));
        out.extend(wait.iter().cloned());
    }
    length.min(rest.len()) + wait.len()
}

fn is_string(token: &Token) -> bool {
    matches!(
        token,
        Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_) | Token::DollarQuotedString(_)
    )
}

/// `CAST(literal AS type)`; the type's schema stands among the tokens already.
fn cast_literal(name: &TokenWithSpan, literal: &TokenWithSpan, out: &mut Vec<TokenWithSpan>) {
    let mut data_type = vec![name.clone()];
    while let [.., schema, point] = out.as_slice()
        && point.token == Token::Period
        && matches!(schema.token, Token::Word(_))
    {
        data_type.splice(0..0, [schema.clone(), point.clone()]);
        out.truncate(out.len() - 2);
    }
    let token = |token: Token| TokenWithSpan::new(token, literal.span);
    out.push(token(Token::make_keyword("CAST")));
    out.push(token(Token::LParen));
    out.push(literal.clone());
    out.push(token(Token::make_keyword("AS")));
    out.extend(data_type);
    out.push(token(Token::RParen));
}

/// Whether the name that tokens begin with is a collation's.
fn is_known_collation(tokens: &[&TokenWithSpan]) -> bool {
    let mut parts = tokens.chunks(2);
    let last = parts.find(|pair| pair.get(1).is_none_or(|next| next.token != Token::Period));
    match last.and_then(|pair| pair.first()).map(|token| &token.token) {
        Some(Token::Word(word)) if word.quote_style.is_some() => crate::binder::is_collation(&word.value),
        Some(Token::Word(word)) => crate::binder::is_collation(&word.value.to_lowercase()),
        _ => false,
    }
}

/// Whether the last tokens are `::` and a type's name.
fn ends_cast(out: &[TokenWithSpan]) -> bool {
    // The longest is `character varying(10)[]`, with a schema before it.
    for token in out.iter().rev().take(9) {
        match &token.token {
            Token::DoubleColon => return true,
            Token::Word(_) | Token::Period | Token::Number(..) => {}
            Token::LParen | Token::RParen | Token::LBracket | Token::RBracket => {}
            _ => return false,
        }
    }
    false
}

/// Whether the point that the tokens end with stands behind a parenthesis.
/// Whether SELECT has no columns, by what follows it; FROM the parser knows there.
fn ends_select_list(next: Option<&TokenWithSpan>) -> bool {
    const CLAUSES: [&str; 9] =
        ["where", "group", "having", "union", "intersect", "except", "order", "limit", "offset"];
    next.is_none_or(|next| {
        matches!(next.token, Token::RParen | Token::EOF) || CLAUSES.iter().any(|clause| is(next, clause))
    })
}

/// Whether what is there so far ends in `trim(` and perhaps a side.
fn begins_trim(out: &[TokenWithSpan]) -> bool {
    let is_side = |token: &TokenWithSpan| ["leading", "trailing", "both"].iter().any(|side| is(token, side));
    let before = match out {
        [before @ .., side] if is_side(side) => before,
        before => before,
    };
    matches!(before, [.., name, open] if open.token == Token::LParen && is(name, "trim"))
}

/// Whether a value may end with a token.
fn ends_value(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.quote_style.is_some() || word.keyword != Keyword::SELECT,
        Token::Number(..) | Token::SingleQuotedString(_) | Token::Placeholder(_) => true,
        Token::RParen | Token::RBracket => true,
        _ => false,
    }
}

/// What a frame leaves out, and how many tokens say so.
fn exclusion(rest: &[&TokenWithSpan]) -> Option<(&'static str, usize)> {
    let word = |at: usize, wanted: &str| rest.get(at).is_some_and(|token| is(token, wanted));
    match () {
        () if word(0, "current") && word(1, "row") => Some(("exclude current row", 2)),
        () if word(0, "no") && word(1, "others") => Some(("exclude no others", 2)),
        () if word(0, "group") => Some(("exclude group", 1)),
        () if word(0, "ties") => Some(("exclude ties", 1)),
        () => None,
    }
}

/// Puts a frame's bound that begins with a string into parentheses.
fn enclose_bound(out: &mut Vec<TokenWithSpan>) {
    let mut depth = 0usize;
    for at in (0..out.len()).rev() {
        match &out[at].token {
            Token::RParen | Token::RBracket => depth += 1,
            Token::LParen | Token::LBracket if depth == 0 => return,
            Token::LParen | Token::LBracket => depth -= 1,
            Token::Word(_)
                if depth == 0
                    && ["between", "and", "rows", "range", "groups"]
                        .iter()
                        .any(|word| is(&out[at], word)) =>
            {
                let Some(first) = out.get(at + 1) else { return };
                if matches!(first.token, Token::SingleQuotedString(_)) {
                    let span = first.span;
                    out.insert(at + 1, TokenWithSpan::new(Token::LParen, span));
                    out.push(TokenWithSpan::new(Token::RParen, span));
                }
                return;
            }
            _ => {}
        }
    }
}

/// Puts the mark of an exclusion before the frame that it ends; false where there is no frame.
fn insert_exclusion(out: &mut Vec<TokenWithSpan>, like: &TokenWithSpan, mode: &str) -> bool {
    let mut depth = 0usize;
    let mut frame = None;
    let mut has_keys = false;
    for (at, token) in out.iter().enumerate().rev() {
        match &token.token {
            Token::RParen => depth += 1,
            Token::LParen if depth == 0 => break,
            Token::LParen => depth -= 1,
            Token::Word(_) if depth == 0 => {
                let unit = is(token, "rows") || is(token, "range") || is(token, "groups");
                if unit && frame.is_none() {
                    frame = Some(at);
                }
                has_keys |= is(token, "by") && frame.is_some();
            }
            _ => {}
        }
    }
    let Some(frame) = frame else { return false };
    if has_keys {
        out.insert(frame, TokenWithSpan::new(Token::Comma, like.span));
        out.insert(frame + 1, mark(like, mode));
    } else {
        out.insert(frame, TokenWithSpan::new(Token::make_keyword("PARTITION"), like.span));
        out.insert(frame + 1, TokenWithSpan::new(Token::make_keyword("BY"), like.span));
        out.insert(frame + 2, mark(like, mode));
    }
    true
}
