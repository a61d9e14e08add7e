//! Statements that sqlparser does not take, or not in all of PostgreSQL's forms.

use sqlparser::ast::{self, Ident, ObjectName, ObjectNamePart};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::branch::{self, BranchStatement};
use super::cursor::{self, Declare, Fetch};
use super::definition::{self, Definition};
use super::explain::Explain;
use super::upkeep::{self, Upkeep};
use super::{Source, syntax_error, syntax_error_at};
use crate::binder::name::fold;
use crate::error::{Result, SqlError};

/// A statement of our own parsers.
#[derive(Clone, Debug)]
pub enum Utility {
    /// `CREATE TABLE … AS EXECUTE name`
    CreateExecute(Box<super::CreateExecute>),
    /// `VACUUM [options] [tables]`; space is reclaimed without it, so only ANALYZE among its options does anything.
    Vacuum {
        analyze: bool,
        full: bool,
        skip_locked: bool,
        targets: Vec<AnalyzeTarget>,
    },
    /// `ANALYZE [options] [tables]`
    Analyze {
        skip_locked: bool,
        targets: Vec<AnalyzeTarget>,
    },
    /// `CHECKPOINT`
    Checkpoint,
    /// `TABLE name`, rewritten as a query
    Query(Box<ast::Query>),
    /// `LOCK TABLE names IN mode MODE [NOWAIT]`
    Lock {
        tables: Vec<ObjectName>,
        mode: String,
        nowait: bool,
    },
    /// `SET [SESSION | LOCAL] name TO DEFAULT`, and `SET role TO value`, which sqlparser reads as SET ROLE
    Assign {
        name: String,
        value: Option<String>,
        local: bool,
    },
    /// `RESET name | ALL`
    Reset {
        name: String,
    },
    /// `PREPARE name [(types)] AS statement`: the statement's own text follows the AS.
    Prepare {
        name: Ident,
        types: Vec<ast::DataType>,
        statement: Box<ast::Statement>,
        text: String,
    },
    /// `DEALLOCATE [PREPARE] name | ALL`
    Deallocate {
        name: Option<Ident>,
    },
    Declare(Declare),
    /// `EXPLAIN …`
    Explain(Box<Explain>),
    Fetch(Fetch),
    /// `CLOSE name | ALL`
    Close {
        name: Option<Ident>,
    },
    /// REINDEX and CLUSTER: indexes never bloat, and rows lie in the order of their keys.
    Upkeep(Upkeep),
    /// `BEGIN [modes] AS OF …`
    BeginAsOf {
        start: Box<ast::Statement>,
        moment: Box<ast::TableVersion>,
    },
    /// `SET CONSTRAINTS { ALL | names } { DEFERRED | IMMEDIATE }`; no names: all.
    SetConstraints {
        names: Vec<ObjectName>,
        deferred: bool,
    },
    /// A statement about branches or databases.
    Branch(BranchStatement),
    /// A statement that defines or changes an object.
    Define(Box<Definition>),
    /// `INSERT … OVERRIDING { SYSTEM | USER } VALUE …`
    InsertOverriding {
        insert: Box<ast::Statement>,
        overriding: Overriding,
    },
    /// BEGIN or SET TRANSACTION with `[NOT] DEFERRABLE` among the modes
    Deferrable {
        statement: Box<ast::Statement>,
        deferrable: bool,
    },
    /// `COPY … FROM … WHERE condition`
    CopyWhere {
        copy: Box<ast::Statement>,
        condition: Box<ast::Expr>,
    },
    /// `PREPARE TRANSACTION 'name'`
    PrepareTransaction,
    /// `COMMIT PREPARED 'name'` or `ROLLBACK PREPARED 'name'`
    FinishPrepared {
        commits: bool,
        transaction: String,
    },
}

/// A table of ANALYZE or VACUUM; no columns: all.
#[derive(Clone, Debug, PartialEq)]
pub struct AnalyzeTarget {
    pub table: ObjectName,
    pub columns: Vec<Ident>,
}

/// What INSERT does with values that are given for identity columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overriding {
    /// They are taken.
    System,
    /// They are replaced by the sequence's.
    User,
}

/// Tries our own parsers; `None` leaves the parser at the statement's start.
pub fn parse(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Option<Utility>> {
    if let Some(definition) = definition::parse(parser, source)? {
        return Ok(Some(Utility::Define(Box::new(definition))));
    }
    if let Some(statement) = branch::parse(parser, source)? {
        return Ok(Some(Utility::Branch(statement)));
    }
    let first = word(parser.peek_token_ref());
    let second = word(&parser.peek_nth_token(1));
    let utility = match (first.as_str(), second.as_str()) {
        ("vacuum", _) => vacuum(parser, source)?,
        ("analyze" | "analyse", _) => {
            parser.next_token();
            let options = options(parser, source, "ANALYZE", &["verbose"], &["verbose", "skip_locked"])?;
            let skip_locked = options.iter().any(|option| option == "skip_locked");
            Utility::Analyze { skip_locked, targets: targets(parser, source)? }
        }
        ("checkpoint", _) => {
            parser.next_token();
            Utility::Checkpoint
        }
        ("reindex", _) => Utility::Upkeep(upkeep::reindex(parser, source)?),
        ("cluster", _) => Utility::Upkeep(upkeep::cluster(parser, source)?),
        ("declare", _) => Utility::Declare(cursor::declare(parser, source)?),
        ("fetch" | "move", _) => Utility::Fetch(cursor::fetch(parser, source)?),
        ("close", _) => Utility::Close { name: cursor::close(parser, source)? },
        ("table", _) => table(parser, source)?,
        ("lock", _) => lock(parser, source)?,
        ("deallocate", _) => deallocate(parser, source)?,
        ("prepare", "transaction") => {
            transaction_name(parser, source)?;
            Utility::PrepareTransaction
        }
        ("prepare", _) => prepare(parser, source)?,
        (end @ ("commit" | "rollback"), "prepared") => Utility::FinishPrepared {
            commits: end == "commit",
            transaction: transaction_name(parser, source)?,
        },
        ("reset", _) => reset(parser, source)?,
        ("begin" | "start", _) => return begin_as_of(parser, source),
        ("set", "constraints") => set_constraints(parser, source)?,
        ("set", _) => return set_default(parser, source),
        _ => return Ok(None),
    };
    Ok(Some(utility))
}

/// The name of a prepared transaction, behind two words.
fn transaction_name(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<String> {
    parser.next_token();
    parser.next_token();
    match parser.next_token() {
        TokenWithSpan { token: Token::SingleQuotedString(name), .. } => Ok(name),
        other => Err(syntax_error_at(&other, source)),
    }
}

/// The lower-case word at a token, or nothing.
pub(super) fn word(token: &TokenWithSpan) -> String {
    match &token.token {
        Token::Word(word) if word.quote_style.is_none() => word.value.to_ascii_lowercase(),
        _ => String::new(),
    }
}

pub(super) fn accept(parser: &mut Parser<'_>, expected: &str) -> bool {
    let found = word(parser.peek_token_ref()) == expected;
    if found {
        parser.next_token();
    }
    found
}

pub(super) fn expect(parser: &mut Parser<'_>, source: &Source<'_>, expected: &str) -> Result<()> {
    if accept(parser, expected) { Ok(()) } else { Err(syntax_error_at(parser.peek_token_ref(), source)) }
}

pub(super) fn name(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<ObjectName> {
    parser.parse_object_name(false).map_err(|error| syntax_error(&error, source, &[]))
}

/// A possibly empty list of tables, each perhaps with columns in parentheses.
fn targets(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Vec<AnalyzeTarget>> {
    let mut found = Vec::new();
    if parser.peek_token_ref().token == Token::EOF {
        return Ok(found);
    }
    loop {
        if !matches!(parser.peek_token_ref().token, Token::Word(_)) {
            return Err(syntax_error_at(parser.peek_token_ref(), source));
        }
        let table = name(parser, source)?;
        let mut columns = Vec::new();
        if parser.consume_token(&Token::LParen) {
            loop {
                if !matches!(parser.peek_token_ref().token, Token::Word(_)) {
                    return Err(syntax_error_at(parser.peek_token_ref(), source));
                }
                columns.push(
                    parser
                        .parse_identifier()
                        .map_err(|_| syntax_error_at(parser.peek_token_ref(), source))?,
                );
                if parser.consume_token(&Token::RParen) {
                    break;
                }
                if !parser.consume_token(&Token::Comma) {
                    return Err(syntax_error_at(parser.peek_token_ref(), source));
                }
            }
        }
        found.push(AnalyzeTarget { table, columns });
        if !parser.consume_token(&Token::Comma) {
            return Ok(found);
        }
    }
}

/// `(option [value], …)`, of those that `command` has, or the bare words of the old syntax; tells which words appeared.
pub(super) fn options(
    parser: &mut Parser<'_>,
    source: &Source<'_>,
    command: &str,
    bare: &[&str],
    known: &[&str],
) -> Result<Vec<String>> {
    let mut found = Vec::new();
    if parser.consume_token(&Token::LParen) {
        loop {
            let option = word(parser.peek_token_ref());
            if option.is_empty() {
                return Err(syntax_error_at(parser.peek_token_ref(), source));
            }
            let option = if option == "analyse" { String::from("analyze") } else { option };
            if !known.contains(&option.as_str()) {
                let start = source.offset(parser.peek_token_ref().span.start);
                let error = SqlError::syntax(format!("unrecognized {command} option \"{option}\""));
                return Err(error.at(source.position(start)));
            }
            parser.next_token();
            let mut off = false;
            while !matches!(parser.peek_token_ref().token, Token::Comma | Token::RParen) {
                let value = parser.next_token();
                if value.token == Token::EOF {
                    return Err(syntax_error_at(&value, source));
                }
                off = matches!(word(&value).as_str(), "false" | "off")
                    || value.token == Token::Number("0".into(), false);
            }
            if !off {
                found.push(option);
            }
            if parser.next_token().token == Token::RParen {
                return Ok(found);
            }
        }
    }
    while let next = word(parser.peek_token_ref())
        && bare.contains(&next.as_str())
    {
        parser.next_token();
        found.push(next);
    }
    Ok(found)
}

fn vacuum(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Utility> {
    parser.next_token();
    let known = [
        "full",
        "freeze",
        "verbose",
        "analyze",
        "disable_page_skipping",
        "skip_locked",
        "index_cleanup",
        "process_toast",
        "truncate",
        "parallel",
    ];
    let bare = ["full", "freeze", "verbose", "analyze", "analyse"];
    let options = options(parser, source, "VACUUM", &bare, &known)?;
    let has = |wanted: &str| options.iter().any(|option| option == wanted);
    if has("full") && has("parallel") {
        return Err(SqlError::unsupported("VACUUM FULL cannot be performed in parallel"));
    }
    let (full, skip_locked) = (has("full"), has("skip_locked"));
    let analyze = has("analyze") || has("analyse");
    Ok(Utility::Vacuum { analyze, full, skip_locked, targets: targets(parser, source)? })
}

fn table(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Utility> {
    parser.next_token();
    let name = name(parser, source)?;
    // The rest may be ORDER BY, LIMIT and so on: parse it behind an equivalent SELECT.
    let mut tokens = parse_tokens(&format!("SELECT * FROM {name} "));
    while let next = parser.next_token()
        && next.token != Token::EOF
    {
        tokens.push(next);
    }
    let mut inner = super::parser_over(tokens.clone());
    let query = inner.parse_query().map_err(|error| syntax_error(&error, source, &tokens))?;
    super::expect_end(&inner, source)?;
    Ok(Utility::Query(query))
}

fn parse_tokens(text: &str) -> Vec<TokenWithSpan> {
    let source = Source::new(text);
    let mut tokens = super::tokenize(&source).unwrap_or_default();
    for token in &mut tokens {
        token.span = sqlparser::tokenizer::Span::empty();
    }
    tokens
}

fn lock(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Utility> {
    parser.next_token();
    accept(parser, "table");
    let mut tables = Vec::new();
    loop {
        accept(parser, "only");
        tables.push(name(parser, source)?);
        // `t *` means the table with its descendants, as `t` does.
        let _ = parser.consume_token(&Token::Mul);
        if !parser.consume_token(&Token::Comma) {
            break;
        }
    }
    let mut mode = String::from("access exclusive");
    if accept(parser, "in") {
        let mut words = Vec::new();
        while let next = word(parser.peek_token_ref())
            && !next.is_empty()
            && next != "mode"
        {
            parser.next_token();
            words.push(next);
        }
        expect(parser, source, "mode")?;
        mode = words.join(" ");
    }
    let nowait = accept(parser, "nowait");
    Ok(Utility::Lock { tables, mode, nowait })
}

fn deallocate(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Utility> {
    parser.next_token();
    accept(parser, "prepare");
    if accept(parser, "all") {
        return Ok(Utility::Deallocate { name: None });
    }
    let name = parser.parse_identifier().map_err(|error| syntax_error(&error, source, &[]))?;
    Ok(Utility::Deallocate { name: Some(name) })
}

fn prepare(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Utility> {
    parser.next_token();
    let name = parser.parse_identifier().map_err(|error| syntax_error(&error, source, &[]))?;
    let mut types = Vec::new();
    if parser.consume_token(&Token::LParen) {
        loop {
            types.push(parser.parse_data_type().map_err(|error| syntax_error(&error, source, &[]))?);
            if !parser.consume_token(&Token::Comma) {
                break;
            }
        }
        if !parser.consume_token(&Token::RParen) {
            return Err(syntax_error_at(parser.peek_token_ref(), source));
        }
    }
    expect(parser, source, "as")?;
    let start = source.offset(parser.peek_token_ref().span.start);
    let statement = parser.parse_statement().map_err(|error| syntax_error(&error, source, &[]))?;
    let end = match &parser.peek_token_ref().token {
        Token::EOF => source.offset(parser.get_current_token().span.end),
        _ => return Err(syntax_error_at(parser.peek_token_ref(), source)),
    };
    let text = source.text()[start.min(end)..end].to_string();
    Ok(Utility::Prepare { name, types, statement: Box::new(statement), text })
}

fn reset(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Utility> {
    parser.next_token();
    if accept(parser, "time") {
        expect(parser, source, "zone")?;
        return Ok(Utility::Reset { name: "timezone".into() });
    }
    if accept(parser, "transaction") {
        expect(parser, source, "isolation")?;
        expect(parser, source, "level")?;
        return Ok(Utility::Reset { name: "transaction_isolation".into() });
    }
    if accept(parser, "session") {
        expect(parser, source, "authorization")?;
        return Ok(Utility::Reset { name: "session_authorization".into() });
    }
    let name = name(parser, source)?;
    Ok(Utility::Reset { name: dotted(&name) })
}

fn set_constraints(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Utility> {
    parser.next_token();
    parser.next_token();
    let mut names = Vec::new();
    if !accept(parser, "all") {
        loop {
            names.push(name(parser, source)?);
            if !parser.consume_token(&Token::Comma) {
                break;
            }
        }
    }
    let deferred = accept(parser, "deferred");
    if !deferred {
        expect(parser, source, "immediate")?;
    }
    Ok(Utility::SetConstraints { names, deferred })
}

/// The setting that `SET LOCAL SESSION AUTHORIZATION` changes.
const SESSION_AUTHORIZATION: &str = "session_authorization";

/// `SET x TO DEFAULT`, `SET role TO x` and `SET LOCAL SESSION AUTHORIZATION`; every other SET goes to sqlparser.
fn set_default(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Option<Utility>> {
    let mut ahead = 1;
    let mut local = false;
    match word(&parser.peek_nth_token(1)).as_str() {
        "local" => {
            local = true;
            ahead = 2;
        }
        "session" => ahead = 2,
        _ => {}
    }
    if local
        && word(&parser.peek_nth_token(2)) == "session"
        && word(&parser.peek_nth_token(3)) == "authorization"
    {
        (0..4).for_each(|_| drop(parser.next_token()));
        let value = match &parser.peek_token_ref().token {
            Token::SingleQuotedString(value) => Some(value.clone()),
            _ if word(parser.peek_token_ref()) == "default" => None,
            _ => {
                let name = parser.parse_identifier().map_err(|error| syntax_error(&error, source, &[]))?;
                let name = fold(&name);
                return Ok(Some(Utility::Assign {
                    name: SESSION_AUTHORIZATION.into(),
                    value: Some(name),
                    local,
                }));
            }
        };
        parser.next_token();
        return Ok(Some(Utility::Assign { name: SESSION_AUTHORIZATION.into(), value, local }));
    }
    let is_zone =
        word(&parser.peek_nth_token(ahead)) == "time" && word(&parser.peek_nth_token(ahead + 1)) == "zone";
    let mut end = ahead + if is_zone { 2 } else { 1 };
    while parser.peek_nth_token(end).token == Token::Period {
        end += 2;
    }
    let joined = parser.peek_nth_token(end);
    let value_at = if is_zone && word(&joined) == "default" {
        end
    } else if word(&joined) == "to" || joined.token == Token::Eq {
        end + 1
    } else {
        return Ok(None);
    };
    if word(&parser.peek_nth_token(ahead)) == "role" && word(&parser.peek_nth_token(value_at)) != "default" {
        (0..value_at).for_each(|_| drop(parser.next_token()));
        let value = parser.parse_identifier().map_err(|error| syntax_error(&error, source, &[]))?;
        return Ok(Some(Utility::Assign { name: "role".into(), value: Some(fold(&value)), local }));
    }
    if word(&parser.peek_nth_token(value_at)) != "default"
        || parser.peek_nth_token(value_at + 1).token != Token::EOF
    {
        return Ok(None);
    }
    for _ in 0..ahead {
        parser.next_token();
    }
    let setting = if is_zone { "timezone".to_string() } else { dotted(&name(parser, source)?) };
    while parser.next_token().token != Token::EOF {}
    Ok(Some(Utility::Assign { name: setting, value: None, local }))
}

/// `BEGIN … AS OF`; every other BEGIN goes to sqlparser.
fn begin_as_of(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Option<Utility>> {
    let has_moment = (1..)
        .map(|ahead| parser.peek_nth_token(ahead))
        .take_while(|token| token.token != Token::EOF)
        .any(|token| word(&token) == "system_time");
    if !has_moment {
        return Ok(None);
    }
    let start = parser.parse_statement().map_err(|error| syntax_error(&error, source, &[]))?;
    let moment = branch::moment(parser, source)?;
    Ok(moment.map(|moment| Utility::BeginAsOf { start: Box::new(start), moment }))
}

/// A setting's name, in lower case.
fn dotted(name: &ObjectName) -> String {
    let parts: Vec<String> = name
        .0
        .iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(identifier) => identifier.value.to_ascii_lowercase(),
            ObjectNamePart::Function(function) => function.name.value.to_ascii_lowercase(),
        })
        .collect();
    parts.join(".")
}
