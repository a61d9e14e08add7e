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

mod absent;
mod branch;
mod column_forms;
mod comment;
mod create;
mod create_execute;
mod cursor;
mod definition;
mod dialect;
mod escape;
mod explain;
mod extended_statistics;
mod first_words;
mod foreign;
mod lexemes;
mod materialized;
mod merge;
mod operators;
mod parameterize;
mod past_target;
mod places;
mod query_value;
mod referential;
mod rewrite;
mod rights;
mod role;
mod schema;
mod search_cycle;
mod sequence;
mod source;
mod star_cast;
mod taken;
mod targets;
mod typed_table;
mod unmark;
mod upkeep;
mod user_type;
mod utility;
pub mod visit;

use std::ops::Range;
use std::sync::LazyLock;

use sqlparser::ast;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

pub use absent::{Absent, DropAbsent};
pub use branch::{BranchFrom, BranchStatement};
pub use column_forms::compression;
pub use comment::CommentTarget;
pub use create::{check_table_method, check_tablespace};
pub use create_execute::CreateExecute;
pub use cursor::{Declare, Direction, Fetch};
pub use definition::{
    ColumnSetting, Definition, IndexAction, ObjectKind, StorageAction, TableAction, TableLike, ViewOptions,
};
pub use dialect::HeliosDialect;
pub(crate) use escape::unescape_argument;
pub use explain::Explain;
pub use extended_statistics::{StatisticsChange, StatisticsElement, StatisticsStatement};
pub use foreign::{
    refuse_in_create_index, refuse_in_create_view, refuse_in_definition, refuse_in_delete, refuse_in_insert,
    refuse_in_key, refuse_in_query, refuse_in_select, refuse_in_table, refuse_in_truncate, refuse_in_update,
};
pub use materialized::{CreateMaterialized, Refresh};
pub use merge::{are_defaults, merge_columns};
pub use parameterize::Form;
pub use past_target::past_is_read_only;
pub use referential::split_columns;
pub use rewrite::{
    ALL, CURRENT_OF, DISTINCT_SETS, GROUPING_SETS, NO_GROUPS, NOT_DISTINCT, NOTHING, VALUE, marked,
};
pub use rights::{GrantKind, GrantStatement, GrantTarget, RightsStatement};
pub use role::{RoleName, RoleOption, RoleStatement, SettingChange};
pub use schema::SchemaElement;
pub use search_cycle::{CYCLE, SEARCH_BREADTH, SEARCH_DEPTH};
pub use sequence::{SequenceOption, of_standard};
pub use source::{Source, StringRules};
pub use unmark::unmark;
pub use upkeep::Upkeep;
pub use user_type::{
    AttributeChange, AttributeDefinition, DomainChange, DomainClause, DomainClauseKind, LabelPlace,
    RangeAttribute, RangeValue, TypeStatement,
};
pub use utility::{AnalyzeTarget, Overriding, Utility};

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
    parse_source(&Source::new(text))
}

/// The same for a text that is read by a session's rules; with what there is to warn of.
///
/// # Errors
/// As [`parse`]; 22P06.
pub fn parse_under(text: &str, rules: StringRules) -> Result<(Vec<Statement>, Vec<SqlError>)> {
    let source = Source::under(text, rules);
    let statements = parse_source(&source)?;
    Ok((statements, source.warnings.take()))
}

/// A text that means the same by the standard's rules as it does where backslashes escape in plain literals.
#[must_use]
pub fn standard(text: &str) -> String {
    lexemes::standard(text)
}

fn parse_source(source: &Source<'_>) -> Result<Vec<Statement>> {
    let tokens = tokenize(source)?;
    let mut statements = Vec::new();
    for piece in tokens.split(|token| token.token == Token::SemiColon) {
        let mut words = piece.iter().filter(|token| !matches!(token.token, Token::Whitespace(_)));
        let Some(first) = words.next() else { continue };
        let last = words.next_back().unwrap_or(first);
        let span = source.offset(first.span.start)..source.offset(last.span.end);
        check_nesting(piece)?;
        let kind = parse_piece(piece, source).map_err(|error| match error.message() {
            END_OF_INPUT => error.at_end_of(piece, source),
            _ => past_target::explained(error, piece, source),
        })?;
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
    let mut parser = parser_over(rewrite::rewrite(&tokens));
    let expression = parser.parse_expr().map_err(|error| syntax_error(&error, &source, &tokens))?;
    expect_end(&parser, &source)?;
    Ok(expression)
}

/// The statement that lies at a place of a text which was parsed before.
///
/// # Errors
/// As [`parse`].
pub fn parse_at(text: &str, span: &Range<usize>) -> Result<StatementKind> {
    let found = parse(text)?.into_iter().find(|statement| statement.span == *span);
    Ok(found.ok_or_else(|| SqlError::internal("a statement is no longer where it was"))?.kind)
}

/// Parses a query, as stored in the catalog for views.
///
/// # Errors
/// As [`parse`].
pub fn parse_query(text: &str) -> Result<Box<ast::Query>> {
    let source = Source::new(text);
    let tokens = rewrite::with_marks(tokenize(&source)?, &source);
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

/// The tokens of a text without its blanks; nothing for one that has none.
pub fn tokens(text: &str) -> Option<Vec<TokenWithSpan>> {
    let mut tokens = tokenize(&Source::new(text)).ok()?;
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
    Some(tokens)
}

fn tokenize(source: &Source<'_>) -> Result<Vec<TokenWithSpan>> {
    let prepared = lexemes::prepare(source)?;
    let mut tokens = Vec::new();
    match Tokenizer::new(&*DIALECT, &prepared.text).tokenize_with_location_into_buf(&mut tokens) {
        Ok(()) => {
            prepared.restore(&mut tokens);
            check_strings(&tokens, source)?;
            note_long_names(&tokens, source);
            check_names(operators::cut(&tokens, source)?, source)
        }
        Err(error) => Err(lexical_error(&error.message, error.location, source)),
    }
}

/// No string follows another: those that go on are one by now.
fn check_strings(tokens: &[TokenWithSpan], source: &Source<'_>) -> Result<()> {
    let mut follows_string = false;
    for token in tokens {
        match &token.token {
            Token::Whitespace(_) => {}
            Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_) if follows_string => {
                return Err(syntax_error_at(token, source));
            }
            other => {
                follows_string =
                    matches!(other, Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_));
            }
        }
    }
    Ok(())
}

/// Names that are too long are cut where they are read.
fn note_long_names(tokens: &[TokenWithSpan], source: &Source<'_>) {
    for token in tokens {
        let Token::Word(word) = &token.token else { continue };
        if word.value.len() > crate::binder::name::IDENTIFIER_BYTES_MAX {
            let whole = match word.quote_style {
                Some(_) => word.value.clone(),
                None => word.value.to_ascii_lowercase(),
            };
            let cut = crate::binder::name::cut(&whole);
            let message = format!("identifier \"{whole}\" will be truncated to \"{cut}\"");
            source.warnings.borrow_mut().push(SqlError::new(SqlState::NAME_TOO_LONG, message));
        }
    }
}

/// No name in quotation marks is empty.
fn check_names(tokens: Vec<TokenWithSpan>, source: &Source<'_>) -> Result<Vec<TokenWithSpan>> {
    let is_empty =
        |token: &&TokenWithSpan| matches!(&token.token, Token::Word(word) if word.value.is_empty());
    match tokens.iter().find(is_empty) {
        None => Ok(tokens),
        Some(name) => Err(SqlError::syntax("zero-length delimited identifier at or near \"\"\"\"")
            .at(source.position(source.offset(name.span.start)))),
    }
}

fn parser_over(tokens: Vec<TokenWithSpan>) -> Parser<'static> {
    Parser::new(&*DIALECT).with_recursion_limit(RECURSION_MAX).with_tokens_with_locations(tokens)
}

fn parse_piece(piece: &[TokenWithSpan], source: &Source<'_>) -> Result<StatementKind> {
    if let Some(explain) = explain::parse(piece, source)? {
        return Ok(StatementKind::Utility(Utility::Explain(Box::new(explain))));
    }
    if let Some(create) = create_execute::parse(piece, source)? {
        return Ok(StatementKind::Utility(Utility::CreateExecute(Box::new(create))));
    }
    if let Some(definition) = schema::parse(piece, source)? {
        return Ok(StatementKind::Utility(Utility::Define(Box::new(definition))));
    }
    let mut tokens = rewrite::rewrite(&column_forms::respelled(piece));
    let mut taken = taken::Taken::from(&mut tokens, source)?;
    let mut parser = parser_over(tokens);
    if let Some(utility) = utility::parse(&mut parser, source)? {
        expect_end(&parser, source)?;
        return Ok(StatementKind::Utility(utility));
    }
    let statement = parser.parse_statement().map_err(|error| syntax_error(&error, source, piece))?;
    expect_end(&parser, source)?;
    let statement = match taken.definition_of(statement) {
        Ok(definition) => return Ok(StatementKind::Utility(Utility::Define(Box::new(definition)))),
        Err(statement) => statement,
    };
    Ok(taken.complete(statement))
}

fn expect_end(parser: &Parser<'_>, source: &Source<'_>) -> Result<()> {
    let next = parser.peek_token_ref();
    if next.token == Token::EOF { Ok(()) } else { Err(syntax_error_at(next, source)) }
}

fn syntax_error_at(token: &TokenWithSpan, source: &Source<'_>) -> SqlError {
    if token.token == Token::EOF {
        return SqlError::syntax(END_OF_INPUT).at(source.position(source.text().trim_end().len()));
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
        return syntax_error_at(&TokenWithSpan::wrap(Token::EOF), source);
    };
    match piece.iter().find(|token| token.span.start == location) {
        Some(token) => syntax_error_at(token, source),
        None => SqlError::syntax("syntax error").at(source.position(source.offset(location))),
    }
}

const END_OF_INPUT: &str = "syntax error at end of input";

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
