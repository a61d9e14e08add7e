//! Constants as written.

use sqlparser::ast::{Value, ValueWithSpan};
use sqlparser::tokenizer::Location;

use super::Binder;
use super::scope::ScopeColumn;
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::functions::{EvalContext, Settings};
use crate::types::{DataType, builtin_type, oids};
use crate::value::Datum;

/// The highest parameter number.
const PARAMETERS_MAX: usize = 65_535;

/// A literal of unknown type, and the type that its use gave it.
#[derive(Clone, Debug)]
pub struct LiteralUse {
    pub location: Location,
    pub text: String,
    pub data_type: DataType,
}

/// A `*` or `t.*` of a select list, and the columns that it stands for, each perhaps behind its relation's name.
#[derive(Clone, Debug)]
pub struct StarUse {
    pub location: Location,
    pub columns: Vec<Vec<String>>,
}

impl Binder<'_> {
    /// From here on notes what literals are converted to.
    #[must_use]
    pub fn noting_literals(mut self) -> Self {
        self.literal_uses = Some(Vec::new());
        self
    }

    /// The literals of unknown type outside of views, with the types that they were converted to.
    #[must_use]
    pub fn literal_uses(&self) -> &[LiteralUse] {
        self.literal_uses.as_deref().unwrap_or_default()
    }

    /// Notes what a literal is converted to.
    pub(super) fn note_literal(&mut self, text: &str, literal: DataType, target: DataType) {
        let Some(uses) = self.literal_uses.as_mut().filter(|_| self.views.is_empty()) else { return };
        let found = usize::try_from(literal.typmod).ok().and_then(|at| self.literals.get(at));
        if let Some(location) = found {
            uses.push(LiteralUse { location: *location, text: text.to_owned(), data_type: target });
        }
    }

    /// The stars of select lists outside of views, with what they stand for.
    #[must_use]
    pub fn star_uses(&self) -> &[StarUse] {
        &self.star_uses
    }

    /// Notes what a star stands for: columns of relations of a query, by the names that say which.
    pub(super) fn note_star(&mut self, location: Location, level: usize, columns: &[ScopeColumn]) {
        if self.literal_uses.is_none() || !self.views.is_empty() {
            return;
        }
        let Some(level) = self.levels.get(level) else { return };
        let relations = &level.scope.relations;
        let named = |column: &ScopeColumn| {
            let own = relations.iter().find(|each| each.columns.iter().any(|other| other.id == column.id));
            let Some(own) = own else { return Some(vec![column.name.clone()]) };
            let twins = relations.iter().filter(|each| each.alias == own.alias).count();
            (twins == 1).then(|| vec![own.alias.clone(), column.name.clone()])
        };
        let columns: Option<Vec<Vec<String>>> = columns.iter().map(named).collect();
        self.star_uses.extend(columns.map(|columns| StarUse { location, columns }));
    }

    pub(super) fn bind_value(&mut self, value: &ValueWithSpan) -> Result<Expr> {
        let location = value.span.start;
        let bound = match &value.value {
            Value::Null => Ok(unknown(Datum::Null)),
            Value::Boolean(truth) => Ok(constant(Datum::Bool(*truth), DataType::BOOL)),
            Value::Number(digits, _) => number(digits),
            Value::SingleQuotedString(text)
            | Value::EscapedStringLiteral(text)
            | Value::UnicodeStringLiteral(text)
            | Value::NationalStringLiteral(text) => self.string(text, location),
            Value::DollarQuotedString(quoted) => self.string(&quoted.value, location),
            Value::HexStringLiteral(text) => parsed(&format!("x{text}"), oids::BIT),
            Value::SingleQuotedByteStringLiteral(text) => parsed(text, oids::BIT),
            Value::Placeholder(name) => self.parameter(name, location),
            other => Err(SqlError::syntax(format!("syntax error at or near \"{other}\""))),
        };
        bound.map_err(|error| self.locate(error, location))
    }

    /// A quoted literal, of unknown type. The modifier of its type is a number by which [`Binder::locate_literal`] finds
    /// its place, which errors name when the text turns out not to be one of the type that its use asks for.
    fn string(&mut self, text: &str, location: Location) -> Result<Expr> {
        if text.contains('\0') {
            return Err(SqlError::new(
                SqlState::CHARACTER_NOT_IN_REPERTOIRE,
                "invalid byte sequence for encoding \"UTF8\": 0x00",
            ));
        }
        let typmod = self.literals.len() as i32;
        self.literals.push(location);
        let data_type = DataType { typmod, ..DataType::UNKNOWN };
        Ok(Expr::Const { value: Datum::text(text), data_type })
    }

    /// Adds the place of a literal of unknown type to an error that has none.
    pub(super) fn locate_literal(&self, error: SqlError, data_type: DataType) -> SqlError {
        match usize::try_from(data_type.typmod).ok().and_then(|at| self.literals.get(at)) {
            Some(location) => self.locate(error, *location),
            None => error,
        }
    }

    fn parameter(&mut self, name: &str, location: Location) -> Result<Expr> {
        let undefined =
            || SqlError::new(SqlState::UNDEFINED_PARAMETER, format!("there is no parameter {name}"));
        let number: usize =
            name.strip_prefix('$').and_then(|digits| digits.parse().ok()).ok_or_else(undefined)?;
        if number == 0 || number > PARAMETERS_MAX {
            return Err(undefined());
        }
        if self.first_parameter.is_none() {
            self.first_parameter = Some(self.locate(undefined(), location));
        }
        if self.parameters.len() < number {
            self.parameters.resize(number, DataType::UNKNOWN);
        }
        let data_type = match self.parameters[number - 1] {
            DataType { oid: 0, .. } => DataType::UNKNOWN,
            known => known,
        };
        Ok(Expr::Parameter { index: number - 1, data_type })
    }
}

/// A constant.
#[must_use]
pub fn constant(value: Datum, data_type: DataType) -> Expr {
    Expr::Const { value, data_type }
}

/// A constant whose type its use decides.
#[must_use]
pub fn unknown(value: Datum) -> Expr {
    Expr::Const { value, data_type: DataType::UNKNOWN }
}

fn parsed(text: &str, oid: u32) -> Result<Expr> {
    let settings = Settings::default();
    let info = builtin_type(oid).ok_or_else(|| SqlError::internal("a literal of no type"))?;
    let value = info.parse_text(text, -1, &EvalContext::detached(&settings))?;
    Ok(constant(value, DataType::of(oid)))
}

/// The smallest of integer, bigint and numeric that holds a number without point or exponent; else numeric.
fn number(digits: &str) -> Result<Expr> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain {
        if let Ok(value) = digits.parse::<i32>() {
            return Ok(constant(Datum::Int32(value), DataType::INT4));
        }
        if let Ok(value) = digits.parse::<i64>() {
            return Ok(constant(Datum::Int64(value), DataType::INT8));
        }
    }
    parsed(digits, oids::NUMERIC)
}
