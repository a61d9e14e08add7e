//! Statements about roles: CREATE, ALTER and DROP of roles, users and groups, and who is a member of whom.

use sqlparser::ast::Ident;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::definition::{Definition, identifier, if_exists, skip, string_literal};
use super::utility::{accept, expect, word};
use super::{Source, syntax_error_at};
use crate::binder::name::fold;
use crate::error::{Result, SqlError, SqlState};

/// A role as statements name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleName {
    Named(String),
    CurrentUser,
    SessionUser,
}

impl RoleName {
    /// The role that an identifier names.
    #[must_use]
    pub fn of(identifier: &Ident) -> RoleName {
        let word = identifier.value.to_ascii_lowercase();
        match (identifier.quote_style, word.as_str()) {
            (None, "current_user" | "current_role") => RoleName::CurrentUser,
            (None, "session_user") => RoleName::SessionUser,
            _ => RoleName::Named(fold(identifier)),
        }
    }
}

/// A statement about roles.
#[derive(Clone, Debug)]
pub enum RoleStatement {
    Create {
        name: String,
        options: Vec<RoleOption>,
    },
    Alter {
        role: RoleName,
        options: Vec<RoleOption>,
    },
    Rename {
        name: String,
        new_name: String,
    },
    /// ALTER ROLE … [IN DATABASE …] SET and RESET, and ALTER DATABASE … SET and RESET.
    Set {
        /// `None`: of all.
        role: Option<RoleName>,
        /// `None`: in all.
        database: Option<String>,
        change: SettingChange,
    },
    Drop {
        names: Vec<RoleName>,
        if_exists: bool,
    },
    /// GRANT … TO, and ALTER GROUP … ADD USER.
    Grant {
        roles: Vec<String>,
        members: Vec<RoleName>,
        admin: bool,
        grantor: Option<RoleName>,
    },
    /// REVOKE … FROM, and ALTER GROUP … DROP USER.
    Revoke {
        roles: Vec<String>,
        members: Vec<RoleName>,
        /// Only the right to make others members goes.
        admin_only: bool,
    },
}

/// What becomes of the settings that a role's sessions begin with.
#[derive(Clone, Debug)]
pub enum SettingChange {
    Set {
        name: String,
        value: String,
    },
    /// Sessions begin with what the one that says so has now.
    FromCurrent(String),
    Reset(String),
    ResetAll,
}

/// An option of CREATE and ALTER ROLE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleOption {
    Superuser(bool),
    Inherit(bool),
    CreateRole(bool),
    CreateDatabase(bool),
    Login(bool),
    Replication(bool),
    BypassRowSecurity(bool),
    ConnectionLimit(i32),
    Password(Option<String>),
    ValidUntil(String),
    InRoles(Vec<RoleName>),
    Members(Vec<RoleName>),
    Admins(Vec<RoleName>),
    SystemId,
}

/// Tries these statements; `None` leaves the parser at the statement's start.
pub(super) fn parse(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Option<Definition>> {
    let (first, second) = (word(parser.peek_token_ref()), word(&parser.peek_nth_token(1)));
    let is_role = matches!(second.as_str(), "role" | "user" | "group");
    let statement = match first.as_str() {
        "create" if is_role && word(&parser.peek_nth_token(2)) != "mapping" => {
            skip(parser, 2);
            create(parser, source, second == "user")?
        }
        "alter" if is_role && word(&parser.peek_nth_token(2)) != "mapping" => {
            skip(parser, 2);
            alter(parser, source, second == "group")?
        }
        "drop" if is_role && word(&parser.peek_nth_token(2)) != "mapping" => {
            skip(parser, 2);
            let if_exists = if_exists(parser, source)?;
            RoleStatement::Drop { names: role_names(parser, source)?, if_exists }
        }
        "grant" if !is_about_objects(parser) => {
            skip(parser, 1);
            grant(parser, source)?
        }
        "revoke" if !is_about_objects(parser) => {
            skip(parser, 1);
            revoke(parser, source)?
        }
        _ => return Ok(None),
    };
    Ok(Some(Definition::Role(statement)))
}

fn unexpected(parser: &Parser<'_>, source: &Source<'_>) -> SqlError {
    syntax_error_at(parser.peek_token_ref(), source)
}

/// GRANT and REVOKE of rights say what the rights are ON.
pub(super) fn is_about_objects(parser: &Parser<'_>) -> bool {
    for at in 1.. {
        let token = parser.peek_nth_token(at);
        match word(&token).as_str() {
            "on" => return true,
            "to" | "from" => return false,
            _ if token.token == Token::EOF => return false,
            _ => {}
        }
    }
    false
}

pub(super) fn role_name(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<RoleName> {
    let found = match word(parser.peek_token_ref()).as_str() {
        "current_user" | "current_role" => Some(RoleName::CurrentUser),
        "session_user" => Some(RoleName::SessionUser),
        _ => None,
    };
    if let Some(found) = found {
        skip(parser, 1);
        return Ok(found);
    }
    let token = parser.peek_token_ref().clone();
    let name = fold(&identifier(parser, source)?);
    if name == "none" {
        return Err(reserved_name(&name, &token, source));
    }
    Ok(RoleName::Named(name))
}

/// Where a token is, as errors say it.
fn position(token: &TokenWithSpan, source: &Source<'_>) -> u32 {
    source.position(source.offset(token.span.start))
}

fn reserved_name(name: &str, token: &TokenWithSpan, source: &Source<'_>) -> SqlError {
    SqlError::new(SqlState::RESERVED_NAME, format!("role name \"{name}\" is reserved"))
        .at(position(token, source))
}

/// The name of a role that is to be: no word for another.
fn new_role_name(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<String> {
    let token = parser.peek_token_ref().clone();
    match role_name(parser, source)? {
        RoleName::Named(name) if name == "public" => Err(reserved_name(&name, &token, source)),
        RoleName::Named(name) => Ok(name),
        _ => {
            let written = word(&token).to_uppercase();
            let message = format!("{written} cannot be used as a role name here");
            Err(SqlError::new(SqlState::RESERVED_NAME, message).at(position(&token, source)))
        }
    }
}

pub(super) fn role_names(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Vec<RoleName>> {
    let mut names = vec![role_name(parser, source)?];
    while parser.consume_token(&Token::Comma) {
        names.push(role_name(parser, source)?);
    }
    Ok(names)
}

fn create(parser: &mut Parser<'_>, source: &Source<'_>, is_user: bool) -> Result<RoleStatement> {
    let name = new_role_name(parser, source)?;
    accept(parser, "with");
    let mut options = options(parser, source, true)?;
    if is_user && !options.iter().any(|option| matches!(option, RoleOption::Login(_))) {
        options.push(RoleOption::Login(true));
    }
    Ok(RoleStatement::Create { name, options })
}

fn alter(parser: &mut Parser<'_>, source: &Source<'_>, is_group: bool) -> Result<RoleStatement> {
    if !is_group && accept(parser, "all") {
        let database = in_database(parser, source)?;
        return Ok(RoleStatement::Set { role: None, database, change: setting_change(parser, source)? });
    }
    let start = parser.peek_token_ref().clone();
    let role = role_name(parser, source)?;
    match word(parser.peek_token_ref()).as_str() {
        "rename" => {
            skip(parser, 1);
            expect(parser, source, "to")?;
            let RoleName::Named(name) = role else { return Err(syntax_error_at(&start, source)) };
            Ok(RoleStatement::Rename { name, new_name: new_role_name(parser, source)? })
        }
        "in" | "set" | "reset" if !is_group => {
            let (role, database) = (Some(role), in_database(parser, source)?);
            Ok(RoleStatement::Set { role, database, change: setting_change(parser, source)? })
        }
        verb @ ("add" | "drop") if is_group => {
            skip(parser, 1);
            expect(parser, source, "user")?;
            let members = role_names(parser, source)?;
            let RoleName::Named(name) = role else { return Err(syntax_error_at(&start, source)) };
            let roles = vec![name];
            Ok(match verb {
                "add" => RoleStatement::Grant { roles, members, admin: false, grantor: None },
                _ => RoleStatement::Revoke { roles, members, admin_only: false },
            })
        }
        _ if is_group => Err(unexpected(parser, source)),
        _ => {
            accept(parser, "with");
            Ok(RoleStatement::Alter { role, options: options(parser, source, false)? })
        }
    }
}

/// `[IN DATABASE name]`
fn in_database(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Option<String>> {
    if !accept(parser, "in") {
        return Ok(None);
    }
    expect(parser, source, "database")?;
    Ok(Some(fold(&identifier(parser, source)?)))
}

/// `SET name = value`, `SET name FROM CURRENT`, `RESET name` or `RESET ALL`.
pub(super) fn setting_change(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<SettingChange> {
    if accept(parser, "reset") {
        if accept(parser, "all") {
            return Ok(SettingChange::ResetAll);
        }
        return Ok(SettingChange::Reset(setting_name(parser, source)?));
    }
    expect(parser, source, "set")?;
    let is_zone = word(parser.peek_token_ref()) == "time";
    let name = setting_name(parser, source)?;
    if accept(parser, "from") {
        expect(parser, source, "current")?;
        return Ok(SettingChange::FromCurrent(name));
    }
    // TIME ZONE is told from `timezone` by what follows.
    if !is_zone && !parser.consume_token(&Token::Eq) {
        expect(parser, source, "to")?;
    }
    if accept(parser, "default") || is_zone && accept(parser, "local") {
        return Ok(SettingChange::Reset(name));
    }
    let is_list = takes_names(&name);
    let mut values = vec![setting_value(parser, source, is_list)?];
    while parser.consume_token(&Token::Comma) {
        values.push(setting_value(parser, source, is_list)?);
    }
    Ok(SettingChange::Set { name, value: values.join(", ") })
}

fn setting_name(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<String> {
    if word(parser.peek_token_ref()) == "time" && word(&parser.peek_nth_token(1)) == "zone" {
        skip(parser, 2);
        return Ok("timezone".into());
    }
    let mut parts = vec![identifier(parser, source)?.value.to_lowercase()];
    while parser.consume_token(&Token::Period) {
        parts.push(identifier(parser, source)?.value.to_lowercase());
    }
    Ok(parts.join("."))
}

/// Whether a setting is a list of names, each of which a string gives as it is.
fn takes_names(setting: &str) -> bool {
    matches!(setting, "search_path" | "temp_tablespaces") || setting.ends_with("_preload_libraries")
}

fn setting_value(parser: &mut Parser<'_>, source: &Source<'_>, is_name: bool) -> Result<String> {
    let sign = if parser.consume_token(&Token::Minus) { "-" } else { "" };
    let text = match &parser.peek_token_ref().token {
        Token::Number(digits, _) => format!("{sign}{digits}"),
        Token::Word(found) if found.quote_style.is_some() && is_name => {
            crate::binder::name::quote(&found.value)
        }
        Token::Word(found) if found.quote_style.is_some() => found.value.clone(),
        Token::Word(found) => found.value.to_lowercase(),
        _ if is_name => return Ok(crate::binder::name::quote(&string_literal(parser, source)?)),
        _ => return string_literal(parser, source),
    };
    skip(parser, 1);
    Ok(text)
}

fn options(parser: &mut Parser<'_>, source: &Source<'_>, is_new: bool) -> Result<Vec<RoleOption>> {
    let mut options: Vec<RoleOption> = Vec::new();
    while !matches!(parser.peek_token_ref().token, Token::EOF | Token::SemiColon) {
        let token = parser.peek_token_ref().clone();
        let option = option(parser, source, is_new)?;
        let kind = std::mem::discriminant(&option);
        if options.iter().any(|each| std::mem::discriminant(each) == kind) {
            return Err(SqlError::syntax("conflicting or redundant options").at(position(&token, source)));
        }
        options.push(option);
    }
    Ok(options)
}

fn option(parser: &mut Parser<'_>, source: &Source<'_>, is_new: bool) -> Result<RoleOption> {
    let token = parser.peek_token_ref().clone();
    let name = word(&token);
    if name.is_empty() {
        return Err(syntax_error_at(&token, source));
    }
    skip(parser, 1);
    Ok(match name.as_str() {
        "superuser" | "nosuperuser" => RoleOption::Superuser(name == "superuser"),
        "inherit" | "noinherit" => RoleOption::Inherit(name == "inherit"),
        "createrole" | "nocreaterole" => RoleOption::CreateRole(name == "createrole"),
        "createdb" | "nocreatedb" => RoleOption::CreateDatabase(name == "createdb"),
        "login" | "nologin" => RoleOption::Login(name == "login"),
        "replication" | "noreplication" => RoleOption::Replication(name == "replication"),
        "bypassrls" | "nobypassrls" => RoleOption::BypassRowSecurity(name == "bypassrls"),
        "connection" => {
            expect(parser, source, "limit")?;
            RoleOption::ConnectionLimit(signed_number(parser, source)?)
        }
        "encrypted" => {
            expect(parser, source, "password")?;
            RoleOption::Password(Some(string_literal(parser, source)?))
        }
        "unencrypted" => {
            expect(parser, source, "password")?;
            string_literal(parser, source)?;
            return Err(SqlError::unsupported("UNENCRYPTED PASSWORD is no longer supported")
                .with_hint("Remove UNENCRYPTED to store the password in encrypted form instead."));
        }
        "password" if accept(parser, "null") => RoleOption::Password(None),
        "password" => RoleOption::Password(Some(string_literal(parser, source)?)),
        "valid" => {
            expect(parser, source, "until")?;
            RoleOption::ValidUntil(string_literal(parser, source)?)
        }
        "user" => RoleOption::Members(role_names(parser, source)?),
        "role" if is_new => RoleOption::Members(role_names(parser, source)?),
        "admin" if is_new => RoleOption::Admins(role_names(parser, source)?),
        "in" if is_new => {
            if !accept(parser, "role") {
                expect(parser, source, "group")?;
            }
            RoleOption::InRoles(role_names(parser, source)?)
        }
        "sysid" if is_new => {
            signed_number(parser, source)?;
            RoleOption::SystemId
        }
        "role" | "admin" | "in" | "sysid" | "rename" | "set" | "reset" | "with" | "if" | "not" | "exists" => {
            return Err(syntax_error_at(&token, source));
        }
        _ => {
            let message = format!("unrecognized role option \"{name}\"");
            return Err(SqlError::syntax(message).at(position(&token, source)));
        }
    })
}

fn signed_number(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<i32> {
    let is_negative = parser.consume_token(&Token::Minus);
    let number = match &parser.peek_token_ref().token {
        Token::Number(digits, _) => digits.parse::<i32>().ok(),
        _ => None,
    };
    let number = number.ok_or_else(|| unexpected(parser, source))?;
    skip(parser, 1);
    Ok(if is_negative { -number } else { number })
}

/// The roles that GRANT and REVOKE are about: names, where rights would stand.
fn granted(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Vec<String>> {
    let name = |identifier: Ident| fold(&identifier);
    let mut names = vec![name(identifier(parser, source)?)];
    while parser.consume_token(&Token::Comma) {
        names.push(name(identifier(parser, source)?));
    }
    Ok(names)
}

fn grantor(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Option<RoleName>> {
    if !accept(parser, "granted") {
        return Ok(None);
    }
    expect(parser, source, "by")?;
    role_name(parser, source).map(Some)
}

fn grant(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<RoleStatement> {
    let roles = granted(parser, source)?;
    expect(parser, source, "to")?;
    let members = role_names(parser, source)?;
    let admin = accept(parser, "with");
    if admin {
        expect(parser, source, "admin")?;
        expect(parser, source, "option")?;
    }
    Ok(RoleStatement::Grant { roles, members, admin, grantor: grantor(parser, source)? })
}

fn revoke(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<RoleStatement> {
    let admin_only = word(parser.peek_token_ref()) == "admin" && word(&parser.peek_nth_token(1)) == "option";
    if admin_only {
        skip(parser, 2);
        expect(parser, source, "for")?;
    }
    let roles = granted(parser, source)?;
    expect(parser, source, "from")?;
    let members = role_names(parser, source)?;
    grantor(parser, source)?;
    if !accept(parser, "cascade") {
        accept(parser, "restrict");
    }
    Ok(RoleStatement::Revoke { roles, members, admin_only })
}
