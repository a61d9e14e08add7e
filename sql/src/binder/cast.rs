//! Casts, and where their errors stand: a type that is wrong at its name, a conversion that does not exist at the
//! `::`, or at the word CAST.

use sqlparser::ast::{self, CastKind, Expr as Ast};

use super::call::row;
use super::expression::start_of;
use super::{Binder, data_type};
use crate::error::{Result, SqlError};
use crate::expr::Expr;
use crate::functions::CastContext;

impl Binder<'_> {
    /// `operand::type`, or `CAST (operand AS type)`.
    pub(super) fn bind_cast(
        &mut self,
        kind: &CastKind,
        operand: &Ast,
        target: &ast::DataType,
    ) -> Result<Expr> {
        let target = data_type::resolve(target, &self.types())
            .map_err(|error| self.locate_offset(error, self.type_offset(kind, operand), operand))?;
        if let Ast::Array(array) = operand {
            return self
                .bind_array(array, Some(target))
                .map_err(|error| self.locate_offset(error, self.cast_offset(kind, operand), operand));
        }
        let expr = match self.row_shape_of(target).is_some() {
            // Literals in a row take the types of the fields.
            true => match self.bind_fields(operand)? {
                Some(fields) => row(fields),
                None => self.bind(operand)?,
            },
            false => self.bind(operand)?,
        };
        self.coerce(expr, target, CastContext::Explicit)
            .map_err(|error| self.locate_offset(error, self.cast_offset(kind, operand), operand))
    }

    /// Places an error at an offset into the text, or else where the operand begins.
    fn locate_offset(&self, error: SqlError, offset: Option<usize>, operand: &Ast) -> SqlError {
        match offset {
            Some(offset) => error.at(self.source.position(offset)),
            None => self.locate(error, start_of(operand)),
        }
    }

    /// Where the cast of an operand is written.
    fn cast_offset(&self, kind: &CastKind, operand: &Ast) -> Option<usize> {
        match kind {
            CastKind::DoubleColon => self.colons_behind(operand),
            _ => self.word_before(operand),
        }
    }

    /// Where the word CAST stands before its operand.
    fn word_before(&self, operand: &Ast) -> Option<usize> {
        let before = self.source.text().get(..self.written_start(operand)?)?;
        let before = before.trim_end().strip_suffix('(')?.trim_end();
        let word = before.len().checked_sub("cast".len())?;
        before.get(word..)?.eq_ignore_ascii_case("cast").then_some(word)
    }

    /// Where an operand begins, with the parentheses and words before its first part.
    fn written_start(&self, operand: &Ast) -> Option<usize> {
        match operand {
            Ast::Nested(inner) => {
                let before = self.source.text().get(..self.written_start(inner)?)?;
                Some(before.trim_end().strip_suffix('(')?.len())
            }
            Ast::Cast { kind: CastKind::DoubleColon, expr, .. } => self.written_start(expr),
            Ast::Cast { expr, .. } => self.word_before(expr),
            Ast::BinaryOp { left, .. } => self.written_start(left),
            _ => Some(self.source.offset(start_of(operand))),
        }
    }

    /// Where the name of the type begins.
    fn type_offset(&self, kind: &CastKind, operand: &Ast) -> Option<usize> {
        let text = self.source.text();
        let behind = match kind {
            CastKind::DoubleColon => self.colons_behind(operand)? + "::".len(),
            _ => {
                let behind = self.offset_behind(operand)?;
                let word = text.get(behind..behind + "as".len())?;
                word.eq_ignore_ascii_case("as").then_some(behind + word.len())?
            }
        };
        let rest = text.get(behind..)?;
        Some(behind + rest.len() - rest.trim_start().len())
    }

    /// The `::` behind an operand: one whose last part is a cast itself ends behind the type of that.
    ///
    /// Casts within casts are walked from the innermost one, without recursion: there may be thousands.
    fn colons_behind(&self, operand: &Ast) -> Option<usize> {
        let text = self.source.text();
        let mut last = last_part(operand);
        let mut kinds = Vec::new();
        while let Ast::Cast { kind, expr, .. } = last {
            kinds.push(kind);
            last = last_part(expr);
        }
        let mut offset = self.offset_behind(last)?;
        for kind in kinds.iter().rev() {
            // Behind the operand comes nothing but what closes it and the name of the type.
            if **kind == CastKind::DoubleColon {
                offset = next_colons(text, offset)? + "::".len();
            }
        }
        if kinds.is_empty() {
            let rest = text.get(offset..)?;
            let closing =
                rest.trim_start_matches(|c: char| c.is_alphabetic() || c.is_whitespace() || ")]".contains(c));
            return closing.starts_with("::").then_some(offset + rest.len() - closing.len());
        }
        next_colons(text, offset)
    }
}

/// The part of an expression that its text ends with.
fn last_part(mut expr: &Ast) -> &Ast {
    loop {
        expr = match expr {
            Ast::Nested(inner) => inner,
            Ast::BinaryOp { right, .. } => right,
            Ast::UnaryOp { expr, .. } => expr,
            _ => return expr,
        };
    }
}

/// The next `::` outside of names in quotation marks.
fn next_colons(text: &str, from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    let mut quoted = false;
    let found = rest.bytes().enumerate().find(|(at, byte)| {
        quoted ^= *byte == b'"';
        !quoted && *byte == b':' && rest.as_bytes().get(at + 1) == Some(&b':')
    });
    found.map(|(at, _)| from + at)
}
