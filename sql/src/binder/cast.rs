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
            return self.bind_array(array, Some(target));
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
            _ => {
                let before = self.source.text().get(..self.source.offset(start_of(operand)))?;
                let before = before.trim_end().strip_suffix('(')?.trim_end();
                let word = before.len().checked_sub("cast".len())?;
                before.get(word..)?.eq_ignore_ascii_case("cast").then_some(word)
            }
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

    /// The `::` behind an operand: one that is such a cast itself ends behind the type of that.
    fn colons_behind(&self, operand: &Ast) -> Option<usize> {
        let mut innermost = operand;
        let mut casts = 0;
        while let Ast::Cast { kind: CastKind::DoubleColon, expr, .. } = innermost {
            innermost = expr;
            casts += 1;
        }
        let text = self.source.text();
        let mut offset = self.offset_behind(innermost).filter(|at| text[*at..].starts_with("::"))?;
        for _ in 0..casts {
            let behind = offset + "::".len();
            offset = behind + text[behind..].find("::")?;
        }
        Some(offset)
    }
}
