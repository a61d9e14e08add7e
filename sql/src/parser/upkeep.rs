//! REINDEX and CLUSTER.

use sqlparser::ast::{Ident, ObjectName};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::definition::identifier;
use super::utility::{accept, expect, name, options, word};
use super::{Source, syntax_error_at};
use crate::error::Result;

/// What is to be put in order.
#[derive(Clone, Debug)]
pub enum Upkeep {
    ReindexIndex {
        index: ObjectName,
        concurrently: bool,
    },
    ReindexTable {
        table: ObjectName,
        concurrently: bool,
    },
    ReindexSchema {
        schema: Ident,
    },
    /// REINDEX DATABASE or SYSTEM
    ReindexDatabase {
        word: &'static str,
        database: Ident,
        concurrently: bool,
    },
    Cluster {
        table: ObjectName,
        index: Option<Ident>,
    },
    /// CLUSTER of all tables that were clustered before.
    ClusterAll,
}

/// `REINDEX [(…)] kind [CONCURRENTLY] name`
pub(super) fn reindex(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Upkeep> {
    parser.next_token();
    let given = options(parser, source, "REINDEX", &[], &["verbose", "concurrently", "tablespace"])?;
    let kind = word(&parser.next_token());
    let concurrently = accept(parser, "concurrently") || given.iter().any(|option| option == "concurrently");
    Ok(match kind.as_str() {
        "index" => Upkeep::ReindexIndex { index: name(parser, source)?, concurrently },
        "table" => Upkeep::ReindexTable { table: name(parser, source)?, concurrently },
        "schema" => Upkeep::ReindexSchema { schema: identifier(parser, source)? },
        "database" => {
            Upkeep::ReindexDatabase { word: "DATABASE", database: identifier(parser, source)?, concurrently }
        }
        "system" => {
            Upkeep::ReindexDatabase { word: "SYSTEM", database: identifier(parser, source)?, concurrently }
        }
        _ => {
            parser.prev_token();
            return Err(syntax_error_at(parser.peek_token_ref(), source));
        }
    })
}

/// `CLUSTER [VERBOSE] [table [USING index]]`, and `CLUSTER index ON table` as it once was.
pub(super) fn cluster(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Upkeep> {
    parser.next_token();
    options(parser, source, "CLUSTER", &["verbose"], &["verbose"])?;
    if parser.peek_token_ref().token == Token::EOF {
        return Ok(Upkeep::ClusterAll);
    }
    let first = name(parser, source)?;
    if accept(parser, "on") {
        let index = crate::binder::name::last(&first).cloned();
        return Ok(Upkeep::Cluster { table: name(parser, source)?, index });
    }
    let index = match parser.peek_token_ref().token {
        Token::EOF => None,
        _ => {
            expect(parser, source, "using")?;
            Some(identifier(parser, source)?)
        }
    };
    Ok(Upkeep::Cluster { table: first, index })
}
