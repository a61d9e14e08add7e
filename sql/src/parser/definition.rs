//! Statements that define objects, where sqlparser does not take them or not in all of PostgreSQL's forms.

use sqlparser::ast::{self, Ident, ObjectName};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::absent::{self, DropAbsent};
use super::comment::{CommentTarget, comment};
use super::extended_statistics::{self, StatisticsStatement};
use super::materialized::{self, CreateMaterialized, Refresh};
use super::rights::{self, RightsStatement};
use super::role::{self, RoleName, RoleStatement};
use super::schema::SchemaElement;
use super::sequence::{SequenceOption, identity_options, sequence_option, sequence_options};
use super::user_type::{self, TypeStatement};
use super::utility::{accept, expect, name, word};
use super::{Source, syntax_error, syntax_error_at};
use crate::binder::name::fold;
use crate::error::{Result, SqlError};

/// A kind of object that ALTER names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    Table,
    Sequence,
    View,
    MaterializedView,
    Schema,
    Type,
    Domain,
}

/// A statement that defines or changes an object.
#[derive(Clone, Debug)]
pub enum Definition {
    CreateSequence {
        name: ObjectName,
        if_not_exists: bool,
        temporary: bool,
        unlogged: bool,
        options: Vec<SequenceOption>,
    },
    AlterSequence {
        name: ObjectName,
        if_exists: bool,
        options: Vec<SequenceOption>,
    },
    /// ALTER VIEW … SET (…), RESET (…)
    AlterView {
        name: ObjectName,
        if_exists: bool,
        change: ViewOptions,
    },
    /// ALTER INDEX
    AlterIndex {
        name: ObjectName,
        if_exists: bool,
        action: IndexAction,
    },
    /// ALTER SEQUENCE … SET LOGGED, SET UNLOGGED
    SetLogged {
        name: ObjectName,
        if_exists: bool,
        logged: bool,
    },
    /// DROP INDEX CONCURRENTLY
    DropIndexes {
        names: Vec<ObjectName>,
        if_exists: bool,
        cascade: bool,
    },
    /// ALTER TABLE, or ALTER MATERIALIZED VIEW with what it does to storage
    AlterTable {
        kind: ObjectKind,
        name: ObjectName,
        if_exists: bool,
        actions: Vec<TableAction>,
    },
    /// CREATE SCHEMA with what is made in it.
    CreateSchema {
        create: Box<ast::Statement>,
        elements: Vec<SchemaElement>,
    },
    /// ALTER … RENAME TO
    Rename {
        kind: ObjectKind,
        name: ObjectName,
        if_exists: bool,
        new_name: Ident,
    },
    /// ALTER … SET SCHEMA
    SetSchema {
        kind: ObjectKind,
        name: ObjectName,
        if_exists: bool,
        schema: Ident,
    },
    /// CREATE, ALTER and DROP STATISTICS
    Statistics(StatisticsStatement),
    /// CREATE TABLE … OF type
    CreateTyped {
        create: Box<ast::CreateTable>,
        of: ObjectName,
    },
    /// CREATE TABLE with LIKE clauses
    CreateLike {
        create: Box<ast::CreateTable>,
        likes: Vec<TableLike>,
    },
    /// CREATE TABLE … AS, with names for the columns or WITH NO DATA
    CreateAs {
        create: Box<ast::CreateTable>,
        names: Vec<Ident>,
        with_data: bool,
    },
    /// SELECT … INTO
    SelectInto {
        target: ObjectName,
        temporary: bool,
        unlogged: bool,
        query: Box<ast::Query>,
    },
    /// DROP of a kind of which nothing can be made
    DropAbsent(DropAbsent),
    CreateMaterialized(Box<CreateMaterialized>),
    RefreshMaterialized(Refresh),
    /// ALTER … DEPENDS ON EXTENSION
    DependsOnExtension {
        kind: ObjectKind,
        name: ObjectName,
        extension: Ident,
    },
    /// ALTER VIEW … RENAME COLUMN
    RenameViewColumn {
        name: ObjectName,
        if_exists: bool,
        column: Ident,
        new_name: Ident,
    },
    /// COMMENT ON … IS; no text: the comment goes.
    Comment {
        target: CommentTarget,
        text: Option<String>,
    },
    /// Something about roles
    Role(RoleStatement),
    /// Something about rights
    Rights(RightsStatement),
    /// Something about a type
    Type(TypeStatement),
    /// ALTER LARGE OBJECT … OWNER TO
    OwnLargeObject {
        oid: u32,
        owner: RoleName,
    },
    /// ALTER … OWNER TO
    SetOwner {
        kind: ObjectKind,
        name: ObjectName,
        if_exists: bool,
        owner: RoleName,
    },
}

/// A LIKE clause of CREATE TABLE.
#[derive(Clone, Debug)]
pub struct TableLike {
    /// How many columns come before it.
    pub at: usize,
    pub table: ObjectName,
    /// What it takes over beside columns.
    pub including: Vec<String>,
}

/// One action of ALTER TABLE.
#[derive(Clone, Debug)]
pub enum TableAction {
    /// One that sqlparser takes.
    Standard(Box<ast::AlterTableOperation>),
    AddIdentity {
        column: Ident,
        always: bool,
        options: Vec<SequenceOption>,
    },
    SetIdentity {
        column: Ident,
        always: Option<bool>,
        options: Vec<SequenceOption>,
    },
    /// SET (…)
    SetOptions {
        options: Vec<(String, String)>,
    },
    /// RESET (…)
    ResetOptions {
        options: Vec<String>,
    },
    /// ALTER COLUMN … DROP EXPRESSION
    DropExpression {
        column: Ident,
        if_exists: bool,
    },
    DropIdentity {
        column: Ident,
        if_exists: bool,
    },
    /// ALTER CONSTRAINT
    AlterConstraint {
        name: Ident,
        deferrable: bool,
        initially_deferred: bool,
    },
    /// ALTER COLUMN … TYPE … COLLATE …: the change of the type, and the collation.
    TypeWithCollation {
        action: Box<ast::AlterTableOperation>,
        column: Ident,
        collation: ObjectName,
    },
    /// ALTER COLUMN … SET STATISTICS and the like
    ColumnSetting {
        column: Ident,
        setting: ColumnSetting,
    },
    /// OWNER TO, among others
    SetOwner(RoleName),
    /// OF type, or NOT OF.
    SetType(Option<ObjectName>),
    /// Something about storage that makes no difference here.
    Storage(StorageAction),
}

/// What ALTER VIEW does to parameters.
#[derive(Clone, Debug)]
pub enum ViewOptions {
    Set(Vec<(String, String)>),
    Reset(Vec<String>),
}

/// What ALTER INDEX does.
#[derive(Clone, Debug)]
pub enum IndexAction {
    Rename(Ident),
    /// SET (…)
    Options(Vec<(String, String)>),
    /// RESET (…)
    Reset(Vec<String>),
    /// ALTER COLUMN n SET STATISTICS: the column, and where its number stands.
    Statistics {
        column: i64,
        position: u32,
    },
    Tablespace(Ident),
}

/// What ALTER COLUMN says of a column's statistics and storage.
#[derive(Clone, Debug)]
pub enum ColumnSetting {
    /// SET STATISTICS
    Statistics(i64),
    /// SET STORAGE
    Storage(String),
    /// SET COMPRESSION
    Compression(String),
    /// SET (…)
    Options(Vec<(String, String)>),
    /// RESET (…)
    Reset(Vec<String>),
}

/// What ALTER TABLE says of storage; what it names must be there.
#[derive(Clone, Debug)]
pub enum StorageAction {
    /// CLUSTER ON
    Index(Ident),
    /// ENABLE or DISABLE TRIGGER or RULE: the kind, and the name but for ALL and USER.
    Switch {
        kind: &'static str,
        name: Option<Ident>,
    },
    Tablespace(Ident),
    Method(Ident),
    /// SET WITHOUT CLUSTER, SET WITHOUT OIDS
    Nothing,
}

/// Tries these statements; `None` leaves the parser at the statement's start.
pub(super) fn parse(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Option<Definition>> {
    let words: Vec<String> = (0..4).map(|at| word(&parser.peek_nth_token(at))).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["create", "sequence", ..] | ["create", "temp" | "temporary" | "unlogged", "sequence", _] => {
            create_sequence(parser, source).map(Some)
        }
        ["create", "materialized", "view", _] | ["create", "unlogged", "materialized", _] => {
            materialized::create(parser, source).map(Some)
        }
        // Neither is there a temporary one, nor one that takes another's place.
        ["create", "temp" | "temporary", "materialized", _] => {
            Err(syntax_error_at(&parser.peek_nth_token(2), source))
        }
        ["create", "or", "replace", "materialized"] => {
            Err(syntax_error_at(&parser.peek_nth_token(3), source))
        }
        ["drop", ..] if let Some(drop) = absent::parse(parser, source)? => {
            Ok(Some(Definition::DropAbsent(drop)))
        }
        ["create" | "alter" | "drop", "statistics", ..] => {
            extended_statistics::parse(parser, source).map(Some)
        }
        ["drop", "index", "concurrently", _] => drop_indexes(parser, source).map(Some),
        ["refresh", ..] => materialized::refresh(parser, source).map(Some),
        ["alter", "materialized", "view", _] => materialized::alter(parser, source).map(Some),
        ["alter", "sequence", ..] => alter_sequence(parser, source).map(Some),
        ["alter", "index", "all", "in"] => Ok(None),
        ["alter", "index", ..] => alter_index(parser, source),
        ["alter", "table", ..] => alter_table(parser, source).map(Some),
        ["comment", "on", ..] => comment(parser, source).map(Some),
        ["alter", "view", ..] => alter_view(parser, source).map(Some),
        ["alter", "large", "object", _] => {
            skip(parser, 3);
            let oid = large_object(parser, source)?;
            expect(parser, source, "owner")?;
            expect(parser, source, "to")?;
            Ok(Some(Definition::OwnLargeObject { oid, owner: role::role_name(parser, source)? }))
        }
        ["alter", "schema", ..] => {
            skip(parser, 2);
            let name = name(parser, source)?;
            common_change(parser, source, ObjectKind::Schema, &name, false)?.map_or_else(
                || Err(syntax_error_at(parser.peek_token_ref(), source)),
                |found| Ok(Some(found)),
            )
        }
        [_, "type" | "domain", ..] => user_type::parse(parser, source),
        _ => match rights::parse(parser, source)? {
            None => role::parse(parser, source),
            found => Ok(found),
        },
    }
}

pub(super) fn skip(parser: &mut Parser<'_>, count: usize) {
    for _ in 0..count {
        parser.next_token();
    }
}

pub(super) fn identifier(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Ident> {
    parser.parse_identifier().map_err(|error| syntax_error(&error, source, &[]))
}

pub(super) fn if_not_exists(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<bool> {
    let found = accept(parser, "if");
    if found {
        expect(parser, source, "not")?;
        expect(parser, source, "exists")?;
    }
    Ok(found)
}

pub(super) fn if_exists(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<bool> {
    let found = accept(parser, "if");
    if found {
        expect(parser, source, "exists")?;
    }
    Ok(found)
}

fn create_sequence(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Definition> {
    skip(parser, 1);
    let temporary = accept(parser, "temp") || accept(parser, "temporary");
    let unlogged = accept(parser, "unlogged");
    expect(parser, source, "sequence")?;
    let if_not_exists = if_not_exists(parser, source)?;
    let name = name(parser, source)?;
    let options = sequence_options(parser, source)?;
    Ok(Definition::CreateSequence { name, if_not_exists, temporary, unlogged, options })
}

fn alter_sequence(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Definition> {
    skip(parser, 2);
    let if_exists = if_exists(parser, source)?;
    let name = name(parser, source)?;
    if let Some(change) = common_change(parser, source, ObjectKind::Sequence, &name, if_exists)? {
        return Ok(change);
    }
    let second = word(&parser.peek_nth_token(1));
    if word(parser.peek_token_ref()) == "set" && matches!(second.as_str(), "logged" | "unlogged") {
        skip(parser, 2);
        return Ok(Definition::SetLogged { name, if_exists, logged: second == "logged" });
    }
    let options = sequence_options(parser, source)?;
    if options.is_empty() {
        return Err(syntax_error_at(parser.peek_token_ref(), source));
    }
    Ok(Definition::AlterSequence { name, if_exists, options })
}

/// `DROP INDEX CONCURRENTLY [IF EXISTS] name, … [CASCADE | RESTRICT]`
fn drop_indexes(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Definition> {
    skip(parser, 3);
    let if_exists = if_exists(parser, source)?;
    let mut names = vec![name(parser, source)?];
    while parser.consume_token(&Token::Comma) {
        names.push(name(parser, source)?);
    }
    let cascade = accept(parser, "cascade");
    if !cascade {
        accept(parser, "restrict");
    }
    Ok(Definition::DropIndexes { names, if_exists, cascade })
}

/// A string as written between quotes of any kind.
pub(super) fn string_literal(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<String> {
    let text = match &parser.peek_token_ref().token {
        Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => text.clone(),
        Token::DollarQuotedString(quoted) => quoted.value.clone(),
        _ => return Err(syntax_error_at(parser.peek_token_ref(), source)),
    };
    skip(parser, 1);
    Ok(text)
}

fn alter_view(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Definition> {
    skip(parser, 2);
    let if_exists = if_exists(parser, source)?;
    let name = name(parser, source)?;
    if let Some(change) = common_change(parser, source, ObjectKind::View, &name, if_exists)? {
        return Ok(change);
    }
    if matches!(word(parser.peek_token_ref()).as_str(), "set" | "reset") {
        let change = match word(parser.peek_token_ref()).as_str() {
            "set" => {
                skip(parser, 1);
                ViewOptions::Set(option_list(parser, source)?)
            }
            _ => {
                skip(parser, 1);
                ViewOptions::Reset(option_names(parser, source)?)
            }
        };
        return Ok(Definition::AlterView { name, if_exists, change });
    }
    expect(parser, source, "rename")?;
    accept(parser, "column");
    let column = identifier(parser, source)?;
    expect(parser, source, "to")?;
    let new_name = identifier(parser, source)?;
    Ok(Definition::RenameViewColumn { name, if_exists, column, new_name })
}

/// The number of a large object.
pub(super) fn large_object(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<u32> {
    let token = parser.peek_token_ref();
    let found = match &token.token {
        Token::Number(digits, _) => digits.parse().ok(),
        _ => None,
    };
    let oid = found.ok_or_else(|| syntax_error_at(token, source))?;
    skip(parser, 1);
    Ok(oid)
}

/// RENAME TO, SET SCHEMA and OWNER TO, which all kinds of objects have.
pub(super) fn common_change(
    parser: &mut Parser<'_>,
    source: &Source<'_>,
    kind: ObjectKind,
    name: &ObjectName,
    if_exists: bool,
) -> Result<Option<Definition>> {
    let (first, second) = (word(parser.peek_token_ref()), word(&parser.peek_nth_token(1)));
    let name = name.clone();
    Ok(match (first.as_str(), second.as_str()) {
        ("rename", "to") => {
            skip(parser, 2);
            let new_name = identifier(parser, source)?;
            Some(Definition::Rename { kind, name, if_exists, new_name })
        }
        ("set", "schema") => {
            skip(parser, 2);
            let schema = identifier(parser, source)?;
            Some(Definition::SetSchema { kind, name, if_exists, schema })
        }
        ("owner", "to") => {
            skip(parser, 2);
            let owner = role::role_name(parser, source)?;
            Some(Definition::SetOwner { kind, name, if_exists, owner })
        }
        _ => None,
    })
}

fn alter_table(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Definition> {
    skip(parser, 2);
    let if_exists = if_exists(parser, source)?;
    accept(parser, "only");
    let name = name(parser, source)?;
    let _ = parser.consume_token(&Token::Mul);
    let kind = ObjectKind::Table;
    let mut actions = Vec::new();
    if let Some(change) = common_change(parser, source, kind, &name, if_exists)? {
        // Of these, only a change of the owner may stand among other actions.
        match change {
            Definition::SetOwner { owner, .. } if parser.consume_token(&Token::Comma) => {
                actions.push(TableAction::SetOwner(owner));
            }
            change => return Ok(change),
        }
    }
    if !actions.is_empty() {
        refuse_alone(parser, source)?;
    }
    actions.extend(table_actions(parser, source)?);
    Ok(Definition::AlterTable { kind, name, if_exists, actions })
}

/// The actions of ALTER TABLE, between commas.
pub(super) fn table_actions(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Vec<TableAction>> {
    let mut actions = Vec::new();
    loop {
        actions.push(table_action(parser, source)?);
        let renames = actions.iter().any(|action| {
            matches!(action, TableAction::Standard(standard)
            if matches!(**standard, ast::AlterTableOperation::RenameColumn { .. }
                | ast::AlterTableOperation::RenameConstraint { .. }))
        });
        if renames && parser.peek_token_ref().token == Token::Comma {
            return Err(syntax_error_at(parser.peek_token_ref(), source));
        }
        if !parser.consume_token(&Token::Comma) {
            return Ok(actions);
        }
        refuse_alone(parser, source)?;
    }
}

/// 42601 for what ALTER TABLE does alone.
fn refuse_alone(parser: &Parser<'_>, source: &Source<'_>) -> Result<()> {
    let second = parser.peek_nth_token(1);
    match word(parser.peek_token_ref()).as_str() {
        "rename" => Err(syntax_error_at(parser.peek_token_ref(), source)),
        "set" if word(&second) == "schema" => Err(syntax_error_at(&second, source)),
        _ => Ok(()),
    }
}

/// How many words `ENABLE [REPLICA | ALWAYS] { TRIGGER | RULE }` or `DISABLE …` takes, if it is that.
fn switch_words(words: &[String]) -> Option<usize> {
    let is_kind = |at: usize| matches!(words[at].as_str(), "trigger" | "rule");
    match words[1].as_str() {
        _ if is_kind(1) => Some(2),
        "replica" | "always" if words[0] == "enable" && is_kind(2) => Some(3),
        _ => None,
    }
}

fn table_action(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<TableAction> {
    let words: Vec<String> = (0..5).map(|at| word(&parser.peek_nth_token(at))).collect();
    if words[0] == "alter" && words[1] != "constraint" {
        // `column` is optional, and may be a column's name.
        let at = if words[1] == "column" && !matches!(words[2].as_str(), "set" | "drop" | "add" | "type") {
            2
        } else {
            1
        };
        let what: Vec<String> = (at + 1..at + 5).map(|each| word(&parser.peek_nth_token(each))).collect();
        let what: Vec<&str> = what.iter().map(String::as_str).collect();
        let is_sequence_option = |word: &str| {
            matches!(
                word,
                "increment" | "minvalue" | "maxvalue" | "no" | "start" | "cache" | "cycle" | "sequence"
            )
        };
        match what.as_slice() {
            ["add", "generated", ..] => {
                skip(parser, at);
                let column = identifier(parser, source)?;
                skip(parser, 2);
                let always = always(parser, source)?;
                expect(parser, source, "as")?;
                expect(parser, source, "identity")?;
                return Ok(TableAction::AddIdentity {
                    column,
                    always,
                    options: identity_options(parser, source)?,
                });
            }
            ["restart", ..] | ["set", "generated", ..] => return set_identity(parser, source, at),
            ["set", option, ..] if is_sequence_option(option) => return set_identity(parser, source, at),
            ["drop", "identity", ..] => {
                skip(parser, at);
                let column = identifier(parser, source)?;
                skip(parser, 2);
                return Ok(TableAction::DropIdentity { column, if_exists: if_exists(parser, source)? });
            }
            ["drop", "expression", ..] => {
                skip(parser, at);
                let column = identifier(parser, source)?;
                skip(parser, 2);
                return Ok(TableAction::DropExpression { column, if_exists: if_exists(parser, source)? });
            }
            ["set", "storage", ..] => {
                skip(parser, at);
                let column = identifier(parser, source)?;
                skip(parser, 2);
                let setting = ColumnSetting::Storage(identifier(parser, source)?.value);
                return Ok(TableAction::ColumnSetting { column, setting });
            }
            ["set", "statistics", ..] => {
                skip(parser, at);
                let column = identifier(parser, source)?;
                skip(parser, 2);
                let setting = ColumnSetting::Statistics(statistics_target(parser, source)?);
                return Ok(TableAction::ColumnSetting { column, setting });
            }
            ["set", "compression", ..] => {
                skip(parser, at);
                let column = identifier(parser, source)?;
                skip(parser, 2);
                let setting = ColumnSetting::Compression(fold(&identifier(parser, source)?));
                return Ok(TableAction::ColumnSetting { column, setting });
            }
            ["set" | "reset", ""] | ["set" | "reset", "", ..] => {
                skip(parser, at);
                let column = identifier(parser, source)?;
                let setting = match accept(parser, "set") {
                    true => ColumnSetting::Options(option_list(parser, source)?),
                    false => {
                        skip(parser, 1);
                        ColumnSetting::Reset(option_names(parser, source)?)
                    }
                };
                return Ok(TableAction::ColumnSetting { column, setting });
            }
            _ => {}
        }
    }
    match (words[0].as_str(), words[1].as_str()) {
        ("alter", "constraint") => {
            skip(parser, 2);
            return alter_constraint(parser, source);
        }
        ("enable" | "disable", _) if let Some(length) = switch_words(&words) => {
            skip(parser, length);
            let kind = if words[length - 1] == "rule" { "rule" } else { "trigger" };
            if kind == "trigger" && length == 2 && (accept(parser, "all") || accept(parser, "user")) {
                return Ok(TableAction::Storage(StorageAction::Switch { kind, name: None }));
            }
            let name = Some(identifier(parser, source)?);
            return Ok(TableAction::Storage(StorageAction::Switch { kind, name }));
        }
        ("owner", "to") => {
            skip(parser, 2);
            return Ok(TableAction::SetOwner(role::role_name(parser, source)?));
        }
        ("of", _) => {
            skip(parser, 1);
            return Ok(TableAction::SetType(Some(name(parser, source)?)));
        }
        ("not", "of") => {
            skip(parser, 2);
            return Ok(TableAction::SetType(None));
        }
        ("cluster", "on") => {
            skip(parser, 2);
            return Ok(TableAction::Storage(StorageAction::Index(identifier(parser, source)?)));
        }
        ("set", "without") => {
            skip(parser, 2);
            if !accept(parser, "cluster") {
                expect(parser, source, "oids")?;
            }
            return Ok(TableAction::Storage(StorageAction::Nothing));
        }
        ("set", "tablespace") => {
            skip(parser, 2);
            let tablespace = identifier(parser, source)?;
            accept(parser, "nowait");
            return Ok(TableAction::Storage(StorageAction::Tablespace(tablespace)));
        }
        ("set", "access") => {
            skip(parser, 2);
            expect(parser, source, "method")?;
            return Ok(TableAction::Storage(StorageAction::Method(identifier(parser, source)?)));
        }
        ("set", "") if parser.peek_nth_token(1).token == Token::LParen => {
            skip(parser, 1);
            return Ok(TableAction::SetOptions { options: option_list(parser, source)? });
        }
        ("reset", "") => {
            skip(parser, 1);
            return Ok(TableAction::ResetOptions { options: option_names(parser, source)? });
        }
        _ => {}
    }
    let syntax = |error| syntax_error(&error, source, &[]);
    let mut standard = parser.parse_alter_table_operation().map_err(syntax)?;
    if let ast::AlterTableOperation::AlterColumn {
        column_name,
        op: ast::AlterColumnOperation::SetDataType { using: using @ None, .. },
    } = &mut standard
        && accept(parser, "collate")
    {
        let (column, collation) = (column_name.clone(), name(parser, source)?);
        if accept(parser, "using") {
            *using = Some(parser.parse_expr().map_err(syntax)?);
        }
        return Ok(TableAction::TypeWithCollation { action: Box::new(standard), column, collation });
    }
    Ok(TableAction::Standard(Box::new(standard)))
}

/// ALTER INDEX; `None` leaves what nobody knows to sqlparser.
fn alter_index(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Option<Definition>> {
    skip(parser, 2);
    let if_exists = if_exists(parser, source)?;
    let name = name(parser, source)?;
    let first = word(parser.peek_token_ref());
    skip(parser, 1);
    let action = match first.as_str() {
        "rename" => {
            expect(parser, source, "to")?;
            IndexAction::Rename(identifier(parser, source)?)
        }
        "set" if accept(parser, "tablespace") => IndexAction::Tablespace(identifier(parser, source)?),
        "set" => IndexAction::Options(option_list(parser, source)?),
        "reset" => IndexAction::Reset(option_names(parser, source)?),
        "alter" => {
            accept(parser, "column");
            let token = parser.next_token();
            let number = match &token.token {
                Token::Number(digits, _) => digits.parse::<i64>().ok(),
                _ => None,
            };
            let Some(column) = number else { return Err(syntax_error_at(&token, source)) };
            expect(parser, source, "set")?;
            expect(parser, source, "statistics")?;
            let _ = parser.consume_token(&Token::Minus);
            skip(parser, 1);
            let position = source.position(source.offset(token.span.start));
            IndexAction::Statistics { column, position }
        }
        _ => {
            parser.prev_token();
            return Err(syntax_error_at(parser.peek_token_ref(), source));
        }
    };
    Ok(Some(Definition::AlterIndex { name, if_exists, action }))
}

/// What stands behind ALTER CONSTRAINT.
fn alter_constraint(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<TableAction> {
    let name = identifier(parser, source)?;
    let (mut deferrable, mut deferred) = (None, None);
    loop {
        let token = parser.peek_token_ref().clone();
        let second = word(&parser.peek_nth_token(1));
        let unfit =
            |what: &str| SqlError::unsupported(format!("FOREIGN KEY constraints cannot be marked {what}"));
        let conflict = || {
            let error = SqlError::syntax("conflicting constraint properties");
            error.at(source.position(source.offset(token.span.start)))
        };
        match (word(&token).as_str(), second.as_str()) {
            ("deferrable", _) if deferrable == Some(false) => return Err(conflict()),
            ("deferrable", _) => {
                skip(parser, 1);
                deferrable = Some(true);
            }
            ("not", "deferrable") if deferrable == Some(true) => return Err(conflict()),
            ("not", "deferrable") => {
                skip(parser, 2);
                deferrable = Some(false);
            }
            ("initially", "immediate") if deferred == Some(true) => return Err(conflict()),
            ("initially", "immediate") => {
                skip(parser, 2);
                deferred = Some(false);
            }
            ("initially", "deferred") if deferred == Some(false) => return Err(conflict()),
            ("initially", "deferred") => {
                if deferrable == Some(false) {
                    let message = "constraint declared INITIALLY DEFERRED must be DEFERRABLE";
                    let error = SqlError::syntax(message);
                    return Err(error.at(source.position(source.offset(token.span.start))));
                }
                skip(parser, 2);
                deferred = Some(true);
            }
            ("not", "valid") => return Err(unfit("NOT VALID")),
            ("no", "inherit") => return Err(unfit("NO INHERIT")),
            _ => break,
        }
    }
    let initially_deferred = deferred == Some(true);
    let deferrable = deferrable == Some(true) || initially_deferred;
    Ok(TableAction::AlterConstraint { name, deferrable, initially_deferred })
}

/// The name of a storage parameter. One of the table beside has its place before it.
fn option_name(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<String> {
    let mut name = crate::binder::name::fold(&identifier(parser, source)?);
    while parser.consume_token(&Token::Period) {
        let rest = crate::binder::name::fold(&identifier(parser, source)?);
        name = format!("{name}.{rest}");
    }
    Ok(name)
}

/// `(name [= value], …)`: storage parameters; without a value they are true.
fn option_list(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Vec<(String, String)>> {
    let mut options = Vec::new();
    if !parser.consume_token(&Token::LParen) {
        return Err(syntax_error_at(parser.peek_token_ref(), source));
    }
    loop {
        let name = option_name(parser, source)?;
        let mut value = "true".to_owned();
        if parser.consume_token(&Token::Eq) {
            let sign = if parser.consume_token(&Token::Minus) { "-" } else { "" };
            let token = parser.next_token();
            value = match &token.token {
                Token::Number(digits, _) => format!("{sign}{digits}"),
                Token::SingleQuotedString(text) if sign.is_empty() => text.clone(),
                Token::Word(word) if sign.is_empty() => {
                    crate::binder::name::fold(&word.clone().into_ident(token.span))
                }
                _ => return Err(syntax_error_at(&token, source)),
            };
        }
        options.push((name, value));
        if parser.consume_token(&Token::RParen) {
            return Ok(options);
        }
        if !parser.consume_token(&Token::Comma) {
            return Err(syntax_error_at(parser.peek_token_ref(), source));
        }
    }
}

/// `(name, …)`: storage parameters.
fn option_names(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Vec<String>> {
    let mut names = Vec::new();
    if !parser.consume_token(&Token::LParen) {
        return Err(syntax_error_at(parser.peek_token_ref(), source));
    }
    loop {
        names.push(option_name(parser, source)?);
        if parser.consume_token(&Token::RParen) {
            return Ok(names);
        }
        if !parser.consume_token(&Token::Comma) {
            return Err(syntax_error_at(parser.peek_token_ref(), source));
        }
    }
}

/// The number behind SET STATISTICS.
pub(super) fn statistics_target(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<i64> {
    let sign = if parser.consume_token(&Token::Minus) { -1 } else { 1 };
    let token = parser.peek_token_ref();
    let number = match &token.token {
        Token::Number(digits, _) => digits.parse::<i64>().ok(),
        _ => None,
    };
    let number = number.ok_or_else(|| syntax_error_at(token, source))?;
    skip(parser, 1);
    Ok(sign * number)
}

/// ALWAYS or BY DEFAULT.
fn always(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<bool> {
    if accept(parser, "always") {
        return Ok(true);
    }
    expect(parser, source, "by")?;
    expect(parser, source, "default")?;
    Ok(false)
}

/// `ALTER COLUMN c { SET GENERATED …, SET sequence-option, RESTART } …`
fn set_identity(parser: &mut Parser<'_>, source: &Source<'_>, before: usize) -> Result<TableAction> {
    skip(parser, before);
    let column = identifier(parser, source)?;
    let (mut mode, mut options) = (None, Vec::new());
    loop {
        if word(parser.peek_token_ref()) == "restart" {
            options.extend(sequence_option(parser, source)?);
        } else if accept(parser, "set") {
            if accept(parser, "generated") {
                mode = Some(always(parser, source)?);
            } else {
                match sequence_option(parser, source)? {
                    Some(option) => options.push(option),
                    None => return Err(syntax_error_at(parser.peek_token_ref(), source)),
                }
            }
        } else {
            return Ok(TableAction::SetIdentity { column, always: mode, options });
        }
    }
}
