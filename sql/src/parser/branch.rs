//! Branches and databases: CREATE, ALTER, DROP, MERGE DATABASE [BRANCH], and USE BRANCH.
//!
//! Names of branches may hold dashes and points without quotes: `dev-20251121`, `staging-v2.1`.

use sqlparser::ast;
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::role::{SettingChange, setting_change};
use super::utility::{accept, expect, word};
use super::{Source, syntax_error, syntax_error_at};
use crate::binder::name::fold;
use crate::error::{Result, SqlError, SqlState};

/// What a branch begins with.
#[derive(Clone, Debug)]
pub enum BranchFrom {
    /// The session's own branch.
    Current,
    Named(String),
}

/// A statement about branches or databases.
#[derive(Clone, Debug)]
pub enum BranchStatement {
    /// `CREATE DATABASE BRANCH name FROM branch [AS OF moment] [WITH (option = value, …)]`; no moment: now.
    Create {
        name: String,
        from: BranchFrom,
        as_of: Option<Box<ast::TableVersion>>,
        options: Vec<(String, String)>,
    },
    /// `DROP DATABASE BRANCH [IF EXISTS] name`
    Drop { name: String, if_exists: bool },
    /// `ALTER DATABASE BRANCH name RENAME TO name`
    Rename { name: String, new_name: String },
    /// `MERGE DATABASE BRANCH name INTO name [WITH (option = value, …)]`
    Merge { source: String, target: String, options: Vec<(String, String)> },
    /// `USE BRANCH name`
    Use { name: String },
    /// `CREATE DATABASE name [WITH] [option [=] value] …`
    CreateDatabase { name: String, options: Vec<(String, String)> },
    /// `DROP DATABASE [IF EXISTS] name [WITH (FORCE)]`
    DropDatabase { name: String, if_exists: bool, force: bool },
    /// `ALTER DATABASE name RENAME TO name`
    RenameDatabase { name: String, new_name: String },
    /// `ALTER DATABASE name OWNER TO role`
    OwnDatabase { name: String, owner: String },
    /// `ALTER DATABASE name SET setting = value`, or RESET
    SetOfDatabase { name: String, change: SettingChange },
}

impl BranchStatement {
    /// What the client is told when it is done.
    #[must_use]
    pub fn tag(&self) -> &'static str {
        match self {
            BranchStatement::Create { .. } => "CREATE DATABASE BRANCH",
            BranchStatement::Drop { .. } => "DROP DATABASE BRANCH",
            BranchStatement::Rename { .. } => "ALTER DATABASE BRANCH",
            BranchStatement::Merge { .. } => "MERGE DATABASE BRANCH",
            BranchStatement::Use { .. } => "USE BRANCH",
            BranchStatement::CreateDatabase { .. } => "CREATE DATABASE",
            BranchStatement::DropDatabase { .. } => "DROP DATABASE",
            BranchStatement::RenameDatabase { .. }
            | BranchStatement::OwnDatabase { .. }
            | BranchStatement::SetOfDatabase { .. } => "ALTER DATABASE",
        }
    }
}

/// Tries to parse one; `None` leaves the parser at the statement's start.
pub(super) fn parse(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Option<BranchStatement>> {
    let words = [0, 1, 2].map(|at| word(&parser.peek_nth_token(at)));
    let words = [words[0].as_str(), words[1].as_str(), words[2].as_str()];
    let skip = |parser: &mut Parser<'_>, count: usize| (0..count).for_each(|_| drop(parser.next_token()));
    let names_branch = |parser: &Parser<'_>| {
        // `CREATE DATABASE branch` makes a database of that name.
        !matches!(parser.peek_nth_token(3).token, Token::EOF | Token::Eq)
            && !matches!(
                word(&parser.peek_nth_token(3)).as_str(),
                "with" | "rename" | "owner" | "set" | "reset" | "template"
            )
    };
    Ok(Some(match words {
        ["create", "database", "branch"] if names_branch(parser) => {
            skip(parser, 3);
            create(parser, source)?
        }
        ["drop", "database", "branch"] if names_branch(parser) => {
            skip(parser, 3);
            let if_exists = if_exists(parser, source)?;
            BranchStatement::Drop { name: branch_name(parser, source)?, if_exists }
        }
        ["alter", "database", "branch"] if names_branch(parser) => {
            skip(parser, 3);
            let name = branch_name(parser, source)?;
            expect(parser, source, "rename")?;
            expect(parser, source, "to")?;
            BranchStatement::Rename { name, new_name: branch_name(parser, source)? }
        }
        ["merge", "database", "branch"] => {
            skip(parser, 3);
            let source_name = branch_name(parser, source)?;
            expect(parser, source, "into")?;
            let target = branch_name(parser, source)?;
            BranchStatement::Merge { source: source_name, target, options: with_options(parser, source)? }
        }
        ["use", "branch", _] => {
            skip(parser, 2);
            BranchStatement::Use { name: branch_name(parser, source)? }
        }
        ["create", "database", _] => {
            skip(parser, 2);
            let name = identifier(parser, source)?;
            accept(parser, "with");
            BranchStatement::CreateDatabase { name, options: database_options(parser, source)? }
        }
        ["drop", "database", _] => {
            skip(parser, 2);
            let if_exists = if_exists(parser, source)?;
            let name = identifier(parser, source)?;
            let with = accept(parser, "with");
            let force = parser.consume_token(&Token::LParen);
            if force {
                expect(parser, source, "force")?;
                expect_token(parser, source, &Token::RParen)?;
            } else if with {
                return Err(syntax_error_at(parser.peek_token_ref(), source));
            }
            BranchStatement::DropDatabase { name, if_exists, force }
        }
        ["alter", "database", _] => match word(&parser.peek_nth_token(3)).as_str() {
            "rename" => {
                skip(parser, 2);
                let name = identifier(parser, source)?;
                skip(parser, 1);
                expect(parser, source, "to")?;
                BranchStatement::RenameDatabase { name, new_name: identifier(parser, source)? }
            }
            "owner" => {
                skip(parser, 2);
                let name = identifier(parser, source)?;
                skip(parser, 1);
                expect(parser, source, "to")?;
                BranchStatement::OwnDatabase { name, owner: identifier(parser, source)? }
            }
            // SET TABLESPACE moves nothing, as elsewhere.
            "set" | "reset" if word(&parser.peek_nth_token(4)) != "tablespace" => {
                skip(parser, 2);
                let name = identifier(parser, source)?;
                BranchStatement::SetOfDatabase { name, change: setting_change(parser, source)? }
            }
            _ => return Ok(None),
        },
        _ => return Ok(None),
    }))
}

fn create(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<BranchStatement> {
    let name = branch_name(parser, source)?;
    let mut from = BranchFrom::Current;
    if accept(parser, "from") && !accept(parser, "current") {
        from = BranchFrom::Named(branch_name(parser, source)?);
    }
    let as_of = moment(parser, source)?;
    if as_of.is_none() && accept(parser, "as") {
        expect(parser, source, "of")?;
        expect(parser, source, "now")?;
        if parser.consume_token(&Token::LParen) {
            expect_token(parser, source, &Token::RParen)?;
        }
    }
    let options = with_options(parser, source)?;
    Ok(BranchStatement::Create { name, from, as_of, options })
}

/// `[AS OF …]`, of an earlier moment.
pub(super) fn moment(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Option<Box<ast::TableVersion>>> {
    if !parser.parse_keywords(&[Keyword::FOR, Keyword::SYSTEM_TIME, Keyword::AS, Keyword::OF]) {
        return Ok(None);
    }
    let moment = parser.parse_expr().map_err(|error| syntax_error(&error, source, &[]))?;
    Ok(Some(Box::new(ast::TableVersion::ForSystemTimeAsOf(moment))))
}

/// `[WITH (option = value, …)]`
fn with_options(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Vec<(String, String)>> {
    let mut options = Vec::new();
    if accept(parser, "with") {
        expect_token(parser, source, &Token::LParen)?;
        while !parser.consume_token(&Token::RParen) {
            let option = identifier(parser, source)?;
            if options.iter().any(|(name, _)| *name == option) {
                return Err(SqlError::syntax(format!("option \"{option}\" is given more than once"))
                    .with_hint("Each option can be given once."));
            }
            expect_token(parser, source, &Token::Eq)?;
            options.push((option, value(parser, source)?));
            if parser.peek_token_ref().token != Token::RParen {
                expect_token(parser, source, &Token::Comma)?;
            }
        }
    }
    Ok(options)
}

fn if_exists(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<bool> {
    let found = accept(parser, "if");
    if found {
        expect(parser, source, "exists")?;
    }
    Ok(found)
}

fn expect_token(parser: &mut Parser<'_>, source: &Source<'_>, token: &Token) -> Result<()> {
    match parser.consume_token(token) {
        true => Ok(()),
        false => Err(syntax_error_at(parser.peek_token_ref(), source)),
    }
}

fn identifier(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<String> {
    if !matches!(parser.peek_token_ref().token, Token::Word(_)) {
        return Err(syntax_error_at(parser.peek_token_ref(), source));
    }
    let identifier = parser.parse_identifier().map_err(|error| syntax_error(&error, source, &[]))?;
    Ok(fold(&identifier))
}

/// `option [=] value …`, as CREATE DATABASE has them; a value of DEFAULT says nothing.
fn database_options(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Vec<(String, String)>> {
    let mut options = Vec::new();
    while parser.peek_token_ref().token != Token::EOF {
        let mut option = word(parser.peek_token_ref());
        if option.is_empty() {
            return Err(syntax_error_at(parser.peek_token_ref(), source));
        }
        parser.next_token();
        if option == "connection" {
            expect(parser, source, "limit")?;
            option = "connection limit".into();
        }
        let _ = parser.consume_token(&Token::Eq);
        if !accept(parser, "default") {
            options.push((option, value(parser, source)?));
        }
    }
    Ok(options)
}

/// A word, a string or a number.
fn value(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<String> {
    let minus = parser.consume_token(&Token::Minus);
    let token = parser.next_token();
    match &token.token {
        Token::SingleQuotedString(text) if !minus => Ok(text.clone()),
        Token::Number(number, _) => Ok(format!("{}{number}", if minus { "-" } else { "" })),
        Token::Word(word) if !minus => Ok(fold(&word.clone().into_ident(token.span))),
        _ => Err(syntax_error_at(&token, source)),
    }
}

/// Whether a place within a statement's text is in a branch's name without quotes, by what stands before it alone.
pub(super) fn is_in_name(statement: &str, at: usize) -> bool {
    let in_name = |each: char| each.is_alphanumeric() || "_$.-/".contains(each);
    let before = statement[..at].trim_end_matches(in_name);
    let words: Vec<String> = before.split_whitespace().map(str::to_lowercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let last = words.last().copied().unwrap_or_default();
    // Behind a blank, or it is none of its own.
    before.ends_with(char::is_whitespace)
        && match words[..] {
            ["create", "database", "branch", ..] => matches!(last, "branch" | "from"),
            ["drop", "database", "branch", ..] => matches!(last, "branch" | "exists"),
            ["alter", "database", "branch", ..] => matches!(last, "branch" | "to"),
            ["merge", "database", "branch", ..] => matches!(last, "branch" | "into"),
            ["use", "branch"] => true,
            _ => false,
        }
}

/// A branch's name: an identifier, or words, numbers, dashes and points without blanks between them.
pub(super) fn branch_name(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<String> {
    let first = parser.next_token();
    let is_quoted =
        |token: &TokenWithSpan| matches!(&token.token, Token::Word(word) if word.quote_style.is_some());
    let name = match &first.token {
        Token::Word(_) if is_quoted(&first) => fold_token(&first),
        Token::SingleQuotedString(text) => text.clone(),
        Token::Word(_) | Token::Number(..) => {
            let start = source.offset(first.span.start);
            let mut end = source.offset(first.span.end);
            loop {
                let next = parser.peek_token_ref();
                let continues = matches!(
                    next.token,
                    Token::Word(_) | Token::Number(..) | Token::Minus | Token::Period | Token::Div
                );
                if !continues || is_quoted(next) || source.offset(next.span.start) != end {
                    break;
                }
                end = source.offset(parser.next_token().span.end);
            }
            source.text()[start..end].to_lowercase()
        }
        _ => return Err(syntax_error_at(&first, source)),
    };
    if name.is_empty() || name.contains('@') {
        return Err(SqlError::new(SqlState::INVALID_NAME, format!("invalid branch name: \"{name}\""))
            .with_hint("A branch's name has one character at least, and no @.")
            .at(source.position(source.offset(first.span.start))));
    }
    Ok(name)
}

fn fold_token(token: &TokenWithSpan) -> String {
    match &token.token {
        Token::Word(word) => fold(&word.clone().into_ident(token.span)),
        _ => String::new(),
    }
}
