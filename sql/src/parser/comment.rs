//! COMMENT ON.

use sqlparser::ast::{Ident, ObjectName};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::TokenWithSpan;

use super::definition::{identifier, large_object, skip, string_literal};
use super::rights::arguments;
use super::role::{RoleName, role_name};
use super::utility::{accept, expect, name, word};
use super::{Definition, Source, syntax_error_at};
use crate::binder::RelationKind;
use crate::error::{Result, SqlError};

/// What a comment is on.
#[derive(Clone, Debug)]
pub enum CommentTarget {
    Relation {
        kind: RelationKind,
        name: ObjectName,
    },
    Column(ObjectName),
    Schema(Ident),
    Type(ObjectName),
    DomainConstraint {
        constraint: Ident,
        domain: ObjectName,
    },
    Constraint {
        constraint: Ident,
        table: ObjectName,
    },
    LargeObject(u32),
    Statistics(ObjectName),
    Role(RoleName),
    Database(Ident),
    Extension(Ident),
    Language(Ident),
    Tablespace(Ident),
    AccessMethod(Ident),
    Collation(ObjectName),
    /// A function or an aggregate, perhaps with its arguments.
    Function {
        name: ObjectName,
        arguments: Option<String>,
        is_aggregate: bool,
    },
    /// Something of a kind that there is nothing of, on a table where it says so.
    Absent {
        kind: &'static str,
        name: ObjectName,
        table: Option<ObjectName>,
    },
}

/// The statement, before which the parser stands.
pub(super) fn comment(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Definition> {
    skip(parser, 2);
    let first = parser.peek_token_ref().clone();
    let kind = word(&first);
    skip(parser, 1);
    let relation = |kind, parser: &mut Parser<'_>| {
        Ok::<_, SqlError>(CommentTarget::Relation { kind, name: name(parser, source)? })
    };
    let target = match kind.as_str() {
        "table" => relation(RelationKind::Table, parser)?,
        "view" => relation(RelationKind::View, parser)?,
        "materialized" => {
            expect(parser, source, "view")?;
            relation(RelationKind::MaterializedView, parser)?
        }
        "sequence" => relation(RelationKind::Sequence, parser)?,
        "index" => relation(RelationKind::Index, parser)?,
        "column" => CommentTarget::Column(name(parser, source)?),
        "type" | "domain" => CommentTarget::Type(name(parser, source)?),
        "schema" => CommentTarget::Schema(identifier(parser, source)?),
        "large" => {
            expect(parser, source, "object")?;
            CommentTarget::LargeObject(large_object(parser, source)?)
        }
        "constraint" => {
            let constraint = identifier(parser, source)?;
            expect(parser, source, "on")?;
            if accept(parser, "domain") {
                CommentTarget::DomainConstraint { constraint, domain: name(parser, source)? }
            } else {
                CommentTarget::Constraint { constraint, table: name(parser, source)? }
            }
        }
        "" => return Err(syntax_error_at(&first, source)),
        kind => other_target(parser, source, kind, &first)?,
    };
    expect(parser, source, "is")?;
    if accept(parser, "null") {
        return Ok(Definition::Comment { target, text: None });
    }
    let text = string_literal(parser, source)?;
    Ok(Definition::Comment { target, text: Some(text) })
}

/// The rest of the kinds of objects.
fn other_target(
    parser: &mut Parser<'_>,
    source: &Source<'_>,
    kind: &str,
    first: &TokenWithSpan,
) -> Result<CommentTarget> {
    let words = |parser: &mut Parser<'_>, words: &[&str]| -> Result<()> {
        words.iter().try_for_each(|word| expect(parser, source, word))
    };
    Ok(match kind {
        "role" => CommentTarget::Role(role_name(parser, source)?),
        "database" => CommentTarget::Database(identifier(parser, source)?),
        "extension" => CommentTarget::Extension(identifier(parser, source)?),
        "language" => CommentTarget::Language(identifier(parser, source)?),
        "tablespace" => CommentTarget::Tablespace(identifier(parser, source)?),
        "collation" => CommentTarget::Collation(name(parser, source)?),
        "access" => {
            words(parser, &["method"])?;
            CommentTarget::AccessMethod(identifier(parser, source)?)
        }
        "procedural" => {
            words(parser, &["language"])?;
            CommentTarget::Language(identifier(parser, source)?)
        }
        "function" | "routine" | "aggregate" => CommentTarget::Function {
            name: name(parser, source)?,
            arguments: arguments(parser, source)?,
            is_aggregate: kind == "aggregate",
        },
        "trigger" | "rule" | "policy" => {
            let own = name(parser, source)?;
            words(parser, &["on"])?;
            let kind =
                ["trigger", "rule", "policy"].into_iter().find(|each| *each == kind).unwrap_or_default();
            CommentTarget::Absent { kind, name: own, table: Some(name(parser, source)?) }
        }
        "publication" => absent(parser, source, "publication")?,
        "subscription" => absent(parser, source, "subscription")?,
        "server" => absent(parser, source, "server")?,
        "statistics" => CommentTarget::Statistics(name(parser, source)?),
        "event" => {
            words(parser, &["trigger"])?;
            absent(parser, source, "event trigger")?
        }
        "foreign" if accept(parser, "table") => absent(parser, source, "foreign table")?,
        "foreign" => {
            words(parser, &["data", "wrapper"])?;
            absent(parser, source, "foreign-data wrapper")?
        }
        "text" | "operator" | "cast" | "conversion" | "transform" | "procedure" => {
            return Err(SqlError::unsupported(format!(
                "comments on objects of this kind are not supported yet: {kind}"
            )));
        }
        _ => return Err(syntax_error_at(first, source)),
    })
}

/// Something of a kind that there is nothing of.
fn absent(parser: &mut Parser<'_>, source: &Source<'_>, kind: &'static str) -> Result<CommentTarget> {
    Ok(CommentTarget::Absent { kind, name: name(parser, source)?, table: None })
}
