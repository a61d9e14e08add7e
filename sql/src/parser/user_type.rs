//! Statements about types: CREATE, ALTER and DROP of enums, ranges, composite types and domains.

use sqlparser::ast::{self, Expr, Ident, ObjectName};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::definition::{
    Definition, ObjectKind, common_change, identifier, if_exists, if_not_exists, skip, string_literal,
};
use super::utility::{accept, expect, name, word};
use super::{Source, syntax_error, syntax_error_at};
use crate::error::{Result, SqlError};

/// A statement that defines or changes a type.
#[derive(Clone, Debug)]
pub enum TypeStatement {
    CreateEnum {
        name: ObjectName,
        labels: Vec<String>,
    },
    CreateRange {
        name: ObjectName,
        attributes: Vec<RangeAttribute>,
    },
    CreateComposite {
        name: ObjectName,
        attributes: Vec<AttributeDefinition>,
    },
    /// ALTER TYPE … ADD, DROP and ALTER ATTRIBUTE
    AlterComposite {
        name: ObjectName,
        changes: Vec<AttributeChange>,
    },
    /// ALTER TYPE … RENAME ATTRIBUTE
    RenameAttribute {
        name: ObjectName,
        attribute: Ident,
        new_name: Ident,
        cascade: bool,
    },
    /// ALTER TYPE … ADD VALUE
    AddValue {
        name: ObjectName,
        label: String,
        if_not_exists: bool,
        place: Option<LabelPlace>,
    },
    /// ALTER TYPE … RENAME VALUE
    RenameValue {
        name: ObjectName,
        label: String,
        new_label: String,
    },
    CreateDomain {
        name: ObjectName,
        data_type: ast::DataType,
        collation: Option<ObjectName>,
        clauses: Vec<DomainClause>,
    },
    AlterDomain {
        name: ObjectName,
        change: Box<DomainChange>,
    },
    Drop {
        domains: bool,
        names: Vec<ObjectName>,
        if_exists: bool,
        cascade: bool,
    },
}

/// What CREATE TYPE … AS RANGE says of one thing: its name, and what stands behind the equals sign.
#[derive(Clone, Debug)]
pub struct RangeAttribute {
    pub name: String,
    pub value: Option<RangeValue>,
    /// Where it stands.
    pub position: Option<u32>,
}

/// The value of an attribute: `subtype` has a type.
#[derive(Clone, Debug)]
pub enum RangeValue {
    Type(ast::DataType),
    Name(ObjectName),
}

/// An attribute of a composite type, as it is written.
#[derive(Clone, Debug)]
pub struct AttributeDefinition {
    pub name: Ident,
    pub data_type: ast::DataType,
    pub collation: Option<ObjectName>,
}

/// What ALTER TYPE does to one attribute.
#[derive(Clone, Debug)]
pub enum AttributeChange {
    Add {
        definition: AttributeDefinition,
        cascade: bool,
    },
    Drop {
        name: Ident,
        if_exists: bool,
        cascade: bool,
    },
    /// SET DATA TYPE
    Retype {
        definition: AttributeDefinition,
        cascade: bool,
    },
}

/// Where a new label goes: next to one that is there.
#[derive(Clone, Debug)]
pub struct LabelPlace {
    pub before: bool,
    pub neighbor: String,
}

/// A clause of CREATE DOMAIN, with the name that CONSTRAINT gives it.
#[derive(Clone, Debug)]
pub struct DomainClause {
    pub name: Option<Ident>,
    pub kind: DomainClauseKind,
}

/// What a clause of CREATE DOMAIN says.
#[derive(Clone, Debug)]
pub enum DomainClauseKind {
    Default(Expr),
    NotNull,
    Null,
    Check { condition: Expr, no_inherit: bool },
}

/// A change of a domain.
#[derive(Clone, Debug)]
pub enum DomainChange {
    /// `None`: DROP DEFAULT.
    Default(Option<Expr>),
    NotNull(bool),
    AddCheck {
        name: Option<Ident>,
        condition: Expr,
        validated: bool,
    },
    DropConstraint {
        name: Ident,
        if_exists: bool,
    },
    ValidateConstraint {
        name: Ident,
    },
    RenameConstraint {
        name: Ident,
        new_name: Ident,
    },
}

/// Tries these statements; `None` leaves the parser at the statement's start.
pub(super) fn parse(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Option<Definition>> {
    let statement = match (word(parser.peek_token_ref()).as_str(), word(&parser.peek_nth_token(1)).as_str()) {
        ("create", "domain") => create_domain(parser, source)?,
        ("create", "type") => match definition_word(parser).as_str() {
            "enum" => create_enum(parser, source)?,
            "range" => create_range(parser, source)?,
            "(" => create_composite(parser, source)?,
            _ => return Ok(None),
        },
        ("alter", "type") => return alter_type(parser, source).map(Some),
        ("alter", "domain") => return alter_domain(parser, source).map(Some),
        ("drop", "type") => drop_types(parser, source, false)?,
        ("drop", "domain") => drop_types(parser, source, true)?,
        _ => return Ok(None),
    };
    Ok(Some(Definition::Type(statement)))
}

fn expression(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Expr> {
    parser.parse_expr().map_err(|error| syntax_error(&error, source, &[]))
}

fn unexpected(parser: &Parser<'_>, source: &Source<'_>) -> SqlError {
    syntax_error_at(parser.peek_token_ref(), source)
}

/// What stands behind AS in CREATE TYPE.
fn definition_word(parser: &Parser<'_>) -> String {
    // The name may have a schema.
    let mut ahead = 3;
    while parser.peek_nth_token(ahead).token == Token::Period {
        ahead += 2;
    }
    let is_defined = word(&parser.peek_nth_token(ahead)) == "as";
    if !is_defined {
        return String::new();
    }
    let behind = parser.peek_nth_token(ahead + 1);
    if behind.token == Token::LParen { "(".to_owned() } else { word(&behind) }
}

fn create_range(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<TypeStatement> {
    skip(parser, 2);
    let name = name(parser, source)?;
    skip(parser, 2);
    if !parser.consume_token(&Token::LParen) {
        return Err(unexpected(parser, source));
    }
    let mut attributes: Vec<RangeAttribute> = Vec::new();
    loop {
        let position = source.position_of(parser.peek_token_ref().span.start);
        if !matches!(parser.peek_token_ref().token, Token::Word(_)) {
            return Err(unexpected(parser, source));
        }
        let attribute = crate::binder::name::fold(&identifier(parser, source)?);
        let value = match parser.consume_token(&Token::Eq) {
            true => Some(range_value(parser, source, &attribute)?),
            false => None,
        };
        attributes.push(RangeAttribute { name: attribute, value, position });
        if parser.consume_token(&Token::RParen) {
            return Ok(TypeStatement::CreateRange { name, attributes });
        }
        if !parser.consume_token(&Token::Comma) {
            return Err(unexpected(parser, source));
        }
    }
}

fn range_value(parser: &mut Parser<'_>, source: &Source<'_>, attribute: &str) -> Result<RangeValue> {
    if attribute == "subtype" {
        let data_type = parser.parse_data_type().map_err(|error| syntax_error(&error, source, &[]))?;
        return Ok(RangeValue::Type(data_type));
    }
    // Any attribute may have a string or number, which is a name then.
    Ok(RangeValue::Name(match &parser.peek_token_ref().token {
        Token::SingleQuotedString(_) => {
            ObjectName::from(vec![Ident::with_quote('"', string_literal(parser, source)?)])
        }
        Token::Number(digits, _) => {
            let digits = digits.clone();
            skip(parser, 1);
            ObjectName::from(vec![Ident::new(digits)])
        }
        _ => self::name(parser, source)?,
    }))
}

fn create_composite(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<TypeStatement> {
    skip(parser, 2);
    let name = name(parser, source)?;
    skip(parser, 2);
    let mut attributes = Vec::new();
    if parser.consume_token(&Token::RParen) {
        return Ok(TypeStatement::CreateComposite { name, attributes });
    }
    loop {
        attributes.push(attribute(parser, source)?);
        if parser.consume_token(&Token::RParen) {
            return Ok(TypeStatement::CreateComposite { name, attributes });
        }
        if !parser.consume_token(&Token::Comma) {
            return Err(unexpected(parser, source));
        }
    }
}

/// `name type [COLLATE collation]`
fn attribute(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<AttributeDefinition> {
    let name = identifier(parser, source)?;
    attribute_of_type(parser, source, name)
}

fn attribute_of_type(
    parser: &mut Parser<'_>,
    source: &Source<'_>,
    name: Ident,
) -> Result<AttributeDefinition> {
    let data_type = parser.parse_data_type().map_err(|error| syntax_error(&error, source, &[]))?;
    let collation = if accept(parser, "collate") { Some(self::name(parser, source)?) } else { None };
    Ok(AttributeDefinition { name, data_type, collation })
}

/// Whether ADD, DROP, ALTER or RENAME ATTRIBUTE comes.
fn is_attribute_change(parser: &Parser<'_>) -> bool {
    matches!(word(parser.peek_token_ref()).as_str(), "add" | "drop" | "alter" | "rename")
        && word(&parser.peek_nth_token(1)) == "attribute"
}

/// Takes CASCADE, which it tells, or RESTRICT.
fn takes_cascade(parser: &mut Parser<'_>) -> bool {
    let cascade = accept(parser, "cascade");
    if !cascade {
        accept(parser, "restrict");
    }
    cascade
}

fn alter_composite(parser: &mut Parser<'_>, source: &Source<'_>, of: ObjectName) -> Result<TypeStatement> {
    if accept(parser, "rename") {
        skip(parser, 1);
        let attribute = identifier(parser, source)?;
        expect(parser, source, "to")?;
        let new_name = identifier(parser, source)?;
        let cascade = takes_cascade(parser);
        return Ok(TypeStatement::RenameAttribute { name: of, attribute, new_name, cascade });
    }
    let mut changes = Vec::new();
    loop {
        if !is_attribute_change(parser) {
            return Err(unexpected(parser, source));
        }
        changes.push(attribute_change(parser, source)?);
        if !parser.consume_token(&Token::Comma) {
            return Ok(TypeStatement::AlterComposite { name: of, changes });
        }
    }
}

fn attribute_change(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<AttributeChange> {
    let change = word(parser.peek_token_ref());
    skip(parser, 2);
    if change == "drop" {
        let if_exists = if_exists(parser, source)?;
        let name = identifier(parser, source)?;
        return Ok(AttributeChange::Drop { name, if_exists, cascade: takes_cascade(parser) });
    }
    let name = identifier(parser, source)?;
    if change == "alter" {
        if accept(parser, "set") {
            expect(parser, source, "data")?;
        }
        expect(parser, source, "type")?;
    }
    let definition = attribute_of_type(parser, source, name)?;
    let cascade = takes_cascade(parser);
    Ok(match change.as_str() {
        "add" => AttributeChange::Add { definition, cascade },
        _ => AttributeChange::Retype { definition, cascade },
    })
}

fn create_enum(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<TypeStatement> {
    skip(parser, 2);
    let name = name(parser, source)?;
    skip(parser, 2);
    if !parser.consume_token(&Token::LParen) {
        return Err(unexpected(parser, source));
    }
    let mut labels = Vec::new();
    if parser.consume_token(&Token::RParen) {
        return Ok(TypeStatement::CreateEnum { name, labels });
    }
    loop {
        labels.push(string_literal(parser, source)?);
        if parser.consume_token(&Token::RParen) {
            return Ok(TypeStatement::CreateEnum { name, labels });
        }
        if !parser.consume_token(&Token::Comma) {
            return Err(unexpected(parser, source));
        }
    }
}

fn alter_type(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Definition> {
    skip(parser, 2);
    let name = name(parser, source)?;
    if let Some(change) = common_change(parser, source, ObjectKind::Type, &name, false)? {
        return Ok(change);
    }
    if is_attribute_change(parser) {
        return alter_composite(parser, source, name).map(Definition::Type);
    }
    if accept(parser, "rename") {
        expect(parser, source, "value")?;
        let label = string_literal(parser, source)?;
        expect(parser, source, "to")?;
        let new_label = string_literal(parser, source)?;
        return Ok(Definition::Type(TypeStatement::RenameValue { name, label, new_label }));
    }
    expect(parser, source, "add")?;
    expect(parser, source, "value")?;
    let if_not_exists = if_not_exists(parser, source)?;
    let label = string_literal(parser, source)?;
    let before = accept(parser, "before");
    let place = if before || accept(parser, "after") {
        Some(LabelPlace { before, neighbor: string_literal(parser, source)? })
    } else {
        None
    };
    Ok(Definition::Type(TypeStatement::AddValue { name, label, if_not_exists, place }))
}

fn create_domain(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<TypeStatement> {
    skip(parser, 2);
    let name = name(parser, source)?;
    accept(parser, "as");
    let data_type = parser.parse_data_type().map_err(|error| syntax_error(&error, source, &[]))?;
    let (mut clauses, mut collation) = (Vec::new(), None);
    while !matches!(parser.peek_token_ref().token, Token::EOF) {
        if accept(parser, "collate") {
            collation = Some(self::name(parser, source)?);
            continue;
        }
        clauses.push(domain_clause(parser, source)?);
    }
    Ok(TypeStatement::CreateDomain { name, data_type, collation, clauses })
}

fn domain_clause(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<DomainClause> {
    let name = if accept(parser, "constraint") { Some(identifier(parser, source)?) } else { None };
    let first = word(parser.peek_token_ref());
    let impossible =
        |what: &str| Err(SqlError::syntax(format!("{what} constraints not possible for domains")));
    let kind = match first.as_str() {
        "default" => {
            // As of a column: what follows may be NOT NULL.
            let option = parser.parse_optional_column_option();
            match option.map_err(|error| syntax_error(&error, source, &[]))? {
                Some(ast::ColumnOption::Default(expr)) => DomainClauseKind::Default(expr),
                _ => return Err(unexpected(parser, source)),
            }
        }
        "not" => {
            skip(parser, 1);
            expect(parser, source, "null")?;
            DomainClauseKind::NotNull
        }
        "null" => {
            skip(parser, 1);
            DomainClauseKind::Null
        }
        "check" => {
            let condition = check(parser, source)?;
            let no_inherit = accept(parser, "no");
            if no_inherit {
                expect(parser, source, "inherit")?;
            }
            DomainClauseKind::Check { condition, no_inherit }
        }
        "primary" => return impossible("primary key"),
        "unique" => return impossible("unique"),
        "references" => return impossible("foreign key"),
        "generated" => return Err(SqlError::syntax("specifying GENERATED not supported for domains")),
        _ => return Err(unexpected(parser, source)),
    };
    Ok(DomainClause { name, kind })
}

/// `CHECK (…)`
fn check(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Expr> {
    expect(parser, source, "check")?;
    if !parser.consume_token(&Token::LParen) {
        return Err(unexpected(parser, source));
    }
    let condition = expression(parser, source)?;
    if parser.consume_token(&Token::RParen) { Ok(condition) } else { Err(unexpected(parser, source)) }
}

fn alter_domain(parser: &mut Parser<'_>, source: &Source<'_>) -> Result<Definition> {
    skip(parser, 2);
    let name = name(parser, source)?;
    if let Some(change) = common_change(parser, source, ObjectKind::Domain, &name, false)? {
        return Ok(change);
    }
    let (first, second) = (word(parser.peek_token_ref()), word(&parser.peek_nth_token(1)));
    let change = match (first.as_str(), second.as_str()) {
        ("set", "default") => {
            skip(parser, 2);
            DomainChange::Default(Some(expression(parser, source)?))
        }
        ("drop", "default") => {
            skip(parser, 2);
            DomainChange::Default(None)
        }
        ("set" | "drop", "not") => {
            skip(parser, 2);
            expect(parser, source, "null")?;
            DomainChange::NotNull(first == "set")
        }
        ("add", "constraint" | "check") => {
            skip(parser, 1);
            let name = if accept(parser, "constraint") { Some(identifier(parser, source)?) } else { None };
            let condition = check(parser, source)?;
            let validated = !accept(parser, "not");
            if !validated {
                expect(parser, source, "valid")?;
            }
            DomainChange::AddCheck { name, condition, validated }
        }
        ("drop", "constraint") => {
            skip(parser, 2);
            let if_exists = if_exists(parser, source)?;
            let name = identifier(parser, source)?;
            let _ = accept(parser, "cascade") || accept(parser, "restrict");
            DomainChange::DropConstraint { name, if_exists }
        }
        ("validate", "constraint") => {
            skip(parser, 2);
            DomainChange::ValidateConstraint { name: identifier(parser, source)? }
        }
        ("rename", "constraint") => {
            skip(parser, 2);
            let name = identifier(parser, source)?;
            expect(parser, source, "to")?;
            DomainChange::RenameConstraint { name, new_name: identifier(parser, source)? }
        }
        _ => return Err(unexpected(parser, source)),
    };
    Ok(Definition::Type(TypeStatement::AlterDomain { name, change: Box::new(change) }))
}

fn drop_types(parser: &mut Parser<'_>, source: &Source<'_>, domains: bool) -> Result<TypeStatement> {
    skip(parser, 2);
    let if_exists = if_exists(parser, source)?;
    let mut names = Vec::new();
    loop {
        names.push(name(parser, source)?);
        if !parser.consume_token(&Token::Comma) {
            break;
        }
    }
    let cascade = accept(parser, "cascade");
    if !cascade {
        accept(parser, "restrict");
    }
    Ok(TypeStatement::Drop { domains, names, if_exists, cascade })
}
