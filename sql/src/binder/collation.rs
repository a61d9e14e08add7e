//! COLLATE: all collations order by bytes, so that a name is tested, kept where it is a column's, and shown.

use sqlparser::ast::{self, Expr as Ast};

use super::{Binder, name};
use crate::catalog::TypeScope;
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::parser::Source;
use crate::relations;
use crate::types::{DataType, Oid, TypeCatalog, format_type, oids};

impl Binder<'_> {
    /// `text COLLATE name`: strings sort by their bytes, whatever is named: there is no other collation yet.
    pub(super) fn bind_collate(&mut self, operand: &Ast, collation: &ast::ObjectName) -> Result<Expr> {
        let bound = self.bind_settled(operand)?;
        let placed = |binder: &Self, error: SqlError| match binder.position_behind(operand) {
            Some(position) => error.at(position),
            None => error,
        };
        let data_type = self.underlying(bound.data_type());
        let element = self.element_of(data_type).unwrap_or(data_type.oid);
        if !matches!(element, oids::TEXT | oids::VARCHAR | oids::BPCHAR | oids::NAME) {
            let message = format!("collations are not supported by type {}", self.type_name(data_type));
            return Err(placed(self, SqlError::new(SqlState::DATATYPE_MISMATCH, message)));
        }
        let (schema, base) = name::split(collation)?;
        if !is_collation(&base) {
            let shown = name::display(schema.as_deref(), &base);
            let message = format!("collation \"{shown}\" for encoding \"UTF8\" does not exist");
            return Err(placed(self, SqlError::new(SqlState::UNDEFINED_OBJECT, message)));
        }
        Ok(bound)
    }
}

/// Whether a text may name collations in expressions.
pub(super) fn names_collations(text: &str) -> bool {
    const WORD: &[u8] = b"collate";
    text.as_bytes().windows(WORD.len()).any(|window| window.eq_ignore_ascii_case(WORD))
}

/// Whether a name is that of a collation which PostgreSQL has or may have: its own, those of ICU (`de-x-icu`) and those of
/// the operating system (`de_DE.utf8`).
pub fn is_collation(name: &str) -> bool {
    let is_language =
        |text: &str| (2..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_country = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    if matches!(name, "default" | "C" | "POSIX" | "ucs_basic" | "unicode" | "C.utf8" | "C.UTF-8") {
        return true;
    }
    if let Some(locale) = name.strip_suffix("-x-icu") {
        return locale.split('-').next().is_some_and(is_language);
    }
    let locale = name.split(['.', '@']).next().unwrap_or_default();
    locale.split_once('_').is_some_and(|(language, country)| is_language(language) && is_country(country))
}

/// What a column of an index is made of, and the collation that is named for it. Parentheses are there for the grammar.
pub fn split_collation(mut expr: &ast::Expr) -> (&ast::Expr, Option<&ast::ObjectName>) {
    let mut collation = None;
    loop {
        expr = match expr {
            ast::Expr::Nested(inner) => inner,
            ast::Expr::Collate { expr: inner, collation: given } => {
                collation = collation.or(Some(given));
                inner
            }
            _ => return (expr, collation),
        };
    }
}

/// An error of the collation of a column as it is written, with the place of COLLATE.
pub fn at_collate(error: SqlError, column: &ast::ColumnDef, text: &str) -> SqlError {
    let named = column.options.iter().find_map(|option| match &option.option {
        ast::ColumnOption::Collation(named) => Some(name::location(named)),
        _ => None,
    });
    let Some(place) = named.filter(|place| place.line > 0 && error.message().starts_with("collation")) else {
        return error;
    };
    let source = Source::new(text);
    let before = text[..source.offset(place)].to_ascii_lowercase();
    match before.rfind("collate") {
        Some(at) => error.at(source.position(at)),
        None => error,
    }
}

/// The collation that values of a type are said to have, as it is kept: 0 for that of the type.
///
/// # Errors
/// 42804, 42704.
pub fn check_collation(
    types: &TypeScope<'_>,
    data_type: DataType,
    collation: &ast::ObjectName,
) -> Result<Oid> {
    existing_collation(collation)?;
    let (_, base) = name::split(collation)?;
    if relations::collation(collated(types, data_type)) == 0 {
        let shown = format_type(data_type, types);
        let message = format!("collations are not supported by type {shown}");
        return Err(SqlError::new(SqlState::DATATYPE_MISMATCH, message));
    }
    Ok(relations::kept_collation(&base, collated(types, data_type)))
}

/// The type whose values have the collation of a type's: that of the elements, under all domains.
fn collated(types: &TypeScope<'_>, data_type: DataType) -> Oid {
    let info = types.type_by_oid(data_type.oid);
    let element = info.and_then(|info| info.element()).unwrap_or(data_type.oid);
    crate::types::domain::base_type(element, types)
}

/// The OID of a collation that is named; 0: one that is not kept.
///
/// # Errors
/// 42704.
pub(super) fn existing_collation(collation: &ast::ObjectName) -> Result<Oid> {
    let (schema, base) = name::split(collation)?;
    if !is_collation(&base) {
        let shown = name::display(schema.as_deref(), &base);
        let message = format!("collation \"{shown}\" for encoding \"UTF8\" does not exist");
        return Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message));
    }
    Ok(relations::known_collation(&base))
}
