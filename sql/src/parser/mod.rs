//! From text to statements.
//!
//! 1. The whole text is cut into tokens; an error there rejects all of it.
//! 2. The tokens are split at top-level semicolons; each piece becomes one [`Statement`] that knows where in
//!    the text it lies. Empty pieces vanish.
//! 3. What PostgreSQL has and sqlparser lacks is parsed by our own functions ([`utility`]), everything else by
//!    sqlparser; what is left over after a statement is a syntax error.
//! 4. Errors take PostgreSQL's form: `syntax error at or near "x"`, with the position of `x`.
//!
//! Nesting is bounded before parsing, so that no text can exhaust the stack.

mod definition;
mod dialect;
mod sequence;
mod source;
mod utility;

use std::ops::Range;
use std::sync::LazyLock;

use sqlparser::ast;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

pub use definition::{CommentTarget, Definition, ObjectKind, TableAction};
pub use dialect::HeliosDialect;
pub use sequence::{SequenceOption, of_standard};
pub use source::Source;
pub use utility::{Overriding, Utility};

use crate::error::{Result, SqlError, SqlState};

/// The deepest nesting of parentheses, brackets and CASEs that is accepted.
const NESTING_MAX: usize = 500;
/// The longest chain of operators without a comma or parenthesis between them: such chains become deep trees.
const CHAIN_MAX: usize = 20_000;
/// What sqlparser counts as depth: each parenthesis costs it several levels.
const RECURSION_MAX: usize = 4_000;

/// One statement of a text.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Which bytes of the text it takes, without its semicolon and the blanks around it.
    pub span: Range<usize>,
    pub kind: StatementKind,
}

/// What kind of parser took a statement.
#[derive(Clone, Debug)]
pub enum StatementKind {
    /// sqlparser's; boxed, for it is large.
    Sql(Box<ast::Statement>),
    /// Ours.
    Utility(Utility),
}

/// Parses all statements of `text`.
///
/// # Errors
/// 42601 and the other errors of lexing and parsing; the whole text is rejected.
pub fn parse(text: &str) -> Result<Vec<Statement>> {
    let source = Source::new(text);
    let tokens = tokenize(&source)?;
    let mut statements = Vec::new();
    for piece in tokens.split(|token| token.token == Token::SemiColon) {
        let mut words = piece.iter().filter(|token| !matches!(token.token, Token::Whitespace(_)));
        let Some(first) = words.next() else { continue };
        let last = words.next_back().unwrap_or(first);
        let span = source.offset(first.span.start)..source.offset(last.span.end);
        check_nesting(piece)?;
        let kind = parse_piece(piece, &source)?;
        statements.push(Statement { span, kind });
    }
    Ok(statements)
}

/// Parses one expression, as stored in the catalog for defaults and checks.
///
/// # Errors
/// As [`parse`].
pub fn parse_expression(text: &str) -> Result<ast::Expr> {
    let source = Source::new(text);
    let tokens = tokenize(&source)?;
    check_nesting(&tokens)?;
    let mut parser = parser_over(tokens.clone());
    let expression = parser.parse_expr().map_err(|error| syntax_error(&error, &source, &tokens))?;
    expect_end(&parser, &source)?;
    Ok(expression)
}

/// Parses a query, as stored in the catalog for views.
///
/// # Errors
/// As [`parse`].
pub fn parse_query(text: &str) -> Result<Box<ast::Query>> {
    let source = Source::new(text);
    let tokens = tokenize(&source)?;
    check_nesting(&tokens)?;
    let mut parser = parser_over(tokens.clone());
    let query = parser.parse_query().map_err(|error| syntax_error(&error, &source, &tokens))?;
    expect_end(&parser, &source)?;
    Ok(query)
}

/// Parses a type's name.
///
/// # Errors
/// As [`parse`].
pub fn parse_data_type(text: &str) -> Result<ast::DataType> {
    let source = Source::new(text);
    let tokens = tokenize(&source)?;
    check_nesting(&tokens)?;
    let mut parser = parser_over(tokens.clone());
    let data_type = parser.parse_data_type().map_err(|error| syntax_error(&error, &source, &tokens))?;
    expect_end(&parser, &source)?;
    Ok(data_type)
}

static DIALECT: LazyLock<HeliosDialect> = LazyLock::new(HeliosDialect::new);

fn tokenize(source: &Source<'_>) -> Result<Vec<TokenWithSpan>> {
    let mut tokens = Vec::new();
    match Tokenizer::new(&*DIALECT, source.text()).tokenize_with_location_into_buf(&mut tokens) {
        Ok(()) => Ok(tokens),
        Err(error) => Err(lexical_error(&error.message, error.location, source)),
    }
}

fn parser_over(tokens: Vec<TokenWithSpan>) -> Parser<'static> {
    Parser::new(&*DIALECT).with_recursion_limit(RECURSION_MAX).with_tokens_with_locations(tokens)
}

/// COPY's flags may be given as ON and OFF, where sqlparser knows TRUE and FALSE alone.
fn spell_copy_flags(tokens: &mut [TokenWithSpan]) {
    let is = |token: &TokenWithSpan, wanted: Keyword| matches!(&token.token, Token::Word(word) if word.keyword == wanted);
    let blank = |token: &TokenWithSpan| matches!(token.token, Token::Whitespace(_));
    if !tokens.iter().find(|token| !blank(token)).is_some_and(|first| is(first, Keyword::COPY)) {
        return;
    }
    let mut after_flag = false;
    for token in tokens.iter_mut().filter(|token| !blank(token)) {
        if after_flag && is(token, Keyword::ON) {
            token.token = Token::make_keyword("TRUE");
        } else if after_flag && is(token, Keyword::OFF) {
            token.token = Token::make_keyword("FALSE");
        }
        after_flag = is(token, Keyword::FREEZE) || is(token, Keyword::HEADER);
    }
}

/// Takes OVERRIDING … VALUE out of an INSERT: sqlparser does not know it.
fn take_overriding(tokens: &mut Vec<TokenWithSpan>) -> Option<Overriding> {
    let places: Vec<usize> =
        (0..tokens.len()).filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_))).collect();
    let words: Vec<String> = places.iter().map(|at| utility::word(&tokens[*at])).collect();
    if words.first().is_none_or(|first| first != "insert") {
        return None;
    }
    let start = words.windows(3).position(|window| window[0] == "overriding" && window[2] == "value")?;
    let overriding = match words[start + 1].as_str() {
        "system" => Overriding::System,
        "user" => Overriding::User,
        _ => return None,
    };
    tokens.drain(places[start]..=places[start + 2]);
    Some(overriding)
}

/// Takes WITH [NO] DATA off the end of CREATE TABLE … AS; tells whether it said NO.
fn take_data_clause(tokens: &mut Vec<TokenWithSpan>) -> bool {
    let places: Vec<usize> =
        (0..tokens.len()).filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_))).collect();
    let words: Vec<String> = places.iter().map(|at| utility::word(&tokens[*at])).collect();
    if words.first().is_none_or(|first| first != "create") || !words.iter().any(|word| word == "table") {
        return false;
    }
    let tail: Vec<&str> = words.iter().rev().take(3).map(String::as_str).collect();
    let (count, without) = match tail.as_slice() {
        ["data", "no", "with"] => (3, true),
        ["data", "with", ..] => (2, false),
        _ => return false,
    };
    tokens.truncate(places[places.len() - count]);
    without
}

/// Takes the columns' names out of `CREATE TABLE t (a, b) AS …`: sqlparser wants types there.
fn take_column_names(tokens: &mut Vec<TokenWithSpan>) -> Vec<ast::Ident> {
    let places: Vec<usize> =
        (0..tokens.len()).filter(|at| !matches!(tokens[*at].token, Token::Whitespace(_))).collect();
    let word_at = |at: usize| places.get(at).map_or_else(String::new, |place| utility::word(&tokens[*place]));
    if word_at(0) != "create" || !(1..4).any(|at| word_at(at) == "table") {
        return Vec::new();
    }
    let token_at = |at: usize| places.get(at).map(|place| &tokens[*place].token);
    let Some(open) = (0..places.len()).find(|at| token_at(*at) == Some(&Token::LParen)) else {
        return Vec::new();
    };
    let mut names = Vec::new();
    let mut at = open + 1;
    loop {
        let (Some(Token::Word(word)), Some(next)) = (token_at(at), token_at(at + 1)) else {
            return Vec::new();
        };
        names.push(word.clone().into_ident(tokens[places[at]].span));
        at += 2;
        match next {
            Token::Comma => {}
            Token::RParen if word_at(at) == "as" => break,
            _ => return Vec::new(),
        }
    }
    tokens.drain(places[open]..=places[at - 1]);
    names
}

/// The definition that a statement is, where sqlparser has it in another form.
fn definition_of(
    statement: ast::Statement,
    names: Vec<ast::Ident>,
    without_data: bool,
) -> std::result::Result<Definition, Box<ast::Statement>> {
    match statement {
        ast::Statement::CreateTable(create) if without_data || !names.is_empty() => {
            Ok(Definition::CreateAs { create: Box::new(create), names, with_data: !without_data })
        }
        ast::Statement::Query(mut query) => {
            let into = match query.body.as_mut() {
                ast::SetExpr::Select(select) => select.into.take(),
                _ => None,
            };
            let Some(into) = into else { return Err(Box::new(ast::Statement::Query(query))) };
            let parts = match into.targets.first() {
                Some(ast::Expr::Identifier(name)) => vec![name.clone()],
                Some(ast::Expr::CompoundIdentifier(parts)) => parts.clone(),
                _ => Vec::new(),
            };
            let target = ast::ObjectName::from(parts);
            Ok(Definition::SelectInto { target, temporary: into.temporary, unlogged: into.unlogged, query })
        }
        other => Err(Box::new(other)),
    }
}

fn parse_piece(piece: &[TokenWithSpan], source: &Source<'_>) -> Result<StatementKind> {
    let mut tokens = piece.to_vec();
    spell_copy_flags(&mut tokens);
    sequence::order_identity_options(&mut tokens);
    let overriding = take_overriding(&mut tokens);
    let without_data = take_data_clause(&mut tokens);
    let names = take_column_names(&mut tokens);
    let mut parser = parser_over(tokens);
    if let Some(utility) = utility::parse(&mut parser, source)? {
        expect_end(&parser, source)?;
        return Ok(StatementKind::Utility(utility));
    }
    let statement = parser.parse_statement().map_err(|error| syntax_error(&error, source, piece))?;
    expect_end(&parser, source)?;
    let statement = match definition_of(statement, names, without_data) {
        Ok(definition) => return Ok(StatementKind::Utility(Utility::Define(Box::new(definition)))),
        Err(statement) => statement,
    };
    Ok(match overriding {
        None => StatementKind::Sql(statement),
        Some(overriding) => {
            StatementKind::Utility(Utility::InsertOverriding { insert: statement, overriding })
        }
    })
}

fn expect_end(parser: &Parser<'_>, source: &Source<'_>) -> Result<()> {
    let next = parser.peek_token_ref();
    if next.token == Token::EOF { Ok(()) } else { Err(syntax_error_at(next, source)) }
}

fn syntax_error_at(token: &TokenWithSpan, source: &Source<'_>) -> SqlError {
    if token.token == Token::EOF {
        return SqlError::syntax("syntax error at end of input")
            .at(source.position(source.text().trim_end().len()));
    }
    let start = source.offset(token.span.start);
    let end = source.offset(token.span.end).max(start);
    let word = source.text()[start..end].trim_end();
    SqlError::syntax(format!("syntax error at or near \"{word}\"")).at(source.position(start))
}

fn syntax_error(error: &ParserError, source: &Source<'_>, piece: &[TokenWithSpan]) -> SqlError {
    let message = match error {
        ParserError::RecursionLimitExceeded => return too_deep(),
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
    };
    let Some(location) = location_in(message) else {
        return syntax_error_at(&TokenWithSpan::wrap(Token::EOF), source).at_end_of(piece, source);
    };
    match piece.iter().find(|token| token.span.start == location) {
        Some(token) => syntax_error_at(token, source),
        None => SqlError::syntax("syntax error").at(source.position(source.offset(location))),
    }
}

trait AtEndOf {
    fn at_end_of(self, piece: &[TokenWithSpan], source: &Source<'_>) -> Self;
}

impl AtEndOf for SqlError {
    /// A statement that ends too early, with another after it, fails at its semicolon.
    fn at_end_of(self, piece: &[TokenWithSpan], source: &Source<'_>) -> SqlError {
        let Some(last) = piece.last() else { return self };
        let end = source.offset(last.span.end);
        if source.text()[end..].starts_with(';') {
            return SqlError::syntax("syntax error at or near \";\"").at(source.position(end));
        }
        self
    }
}

/// The `Line: l, Column: c` that sqlparser ends its messages with.
fn location_in(message: &str) -> Option<Location> {
    let (_, tail) = message.rsplit_once(" at Line: ")?;
    let (line, column) = tail.split_once(", Column: ")?;
    let location = Location { line: line.parse().ok()?, column: column.trim().parse().ok()? };
    (location.line > 0).then_some(location)
}

fn lexical_error(message: &str, location: Location, source: &Source<'_>) -> SqlError {
    let start = source.offset(location);
    let rest = &source.text()[start..];
    let unterminated = if message.contains("Unterminated string")
        || message.contains("nterminated encoded string")
    {
        "unterminated quoted string"
    } else if message.contains("dollar-quoted") {
        "unterminated dollar-quoted string"
    } else if message.contains("comment") {
        "unterminated /* comment"
    } else if message.contains("before EOF") {
        "unterminated quoted identifier"
    } else {
        let word: String = rest.chars().take_while(|character| !character.is_whitespace()).collect();
        return SqlError::syntax(format!("syntax error at or near \"{word}\"")).at(source.position(start));
    };
    SqlError::syntax(format!("{unterminated} at or near \"{rest}\"")).at(source.position(start))
}

fn too_deep() -> SqlError {
    SqlError::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
        .with_hint("Simplify the statement: its expressions are nested too deeply.")
}

fn check_nesting(tokens: &[TokenWithSpan]) -> Result<()> {
    let (mut depth, mut chain) = (0usize, 0usize);
    for token in tokens {
        match &token.token {
            Token::LParen | Token::LBracket => {
                depth += 1;
                chain = 0;
            }
            Token::RParen | Token::RBracket => {
                depth = depth.saturating_sub(1);
                chain = 0;
            }
            Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("case") => {
                depth += 1;
            }
            Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("end") => {
                depth = depth.saturating_sub(1);
            }
            Token::Comma => chain = 0,
            Token::Whitespace(_) => {}
            _ => chain += 1,
        }
        if depth > NESTING_MAX || chain > CHAIN_MAX {
            return Err(too_deep());
        }
    }
    Ok(())
}
