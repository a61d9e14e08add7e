//! The keys of rows as values: a cursor asks for them by `heliosdb_row_key(table)`, so that UPDATE and DELETE find the row
//! that it is on.

use sqlparser::ast::{self, Expr as Ast, Select, SelectItem};

use super::call::argument_expr;
use super::literal::constant;
use super::{Binder, name};
use crate::catalog::Table;
use crate::error::Result;
use crate::expr::Expr;
use crate::functions::{current_of, row_place};
use crate::parser::{CURRENT_OF, marked};
use crate::plan::logical::{ColumnId, Logical};
use crate::types::{DataType, oids};
use crate::value::Datum;

/// The function that stands for a row's key at the end of a select list.
pub const ROW_KEY: &str = "heliosdb_row_key";

/// The table whose rows' keys a query asks for.
fn wanted_key(select: &Select) -> Option<String> {
    let SelectItem::UnnamedExpr(Ast::Function(call)) = select.projection.last()? else { return None };
    let (None, base) = name::split(&call.name).ok()? else { return None };
    let ast::FunctionArguments::List(list) = &call.args else { return None };
    match list.args.as_slice() {
        [table] if base == ROW_KEY => match argument_expr(table).ok()? {
            Ast::Identifier(table) => Some(name::fold(table)),
            _ => None,
        },
        _ => None,
    }
}

impl Binder<'_> {
    /// Has a query's only table give its rows' keys, where the query asks for them; gives their column.
    pub(super) fn row_key(&mut self, select: &Select, plan: &mut Logical) -> Option<ColumnId> {
        let wanted = wanted_key(select)?;
        match plan {
            Logical::Table { table, alias, key, .. } if *alias == wanted && table.as_of.is_none() => {
                Some(*key.get_or_insert_with(|| self.column_id()))
            }
            _ => None,
        }
    }

    /// `CURRENT OF cursor`, as a condition on the key of a table's rows.
    pub(super) fn bind_current_of(
        &mut self,
        selection: &Ast,
        table: &Table,
        key: ColumnId,
    ) -> Result<Option<Expr>> {
        let Ast::Function(call) = selection else { return Ok(None) };
        if name::last(&call.name).and_then(marked) != Some(CURRENT_OF) {
            return Ok(None);
        }
        let ast::FunctionArguments::List(list) = &call.args else { return Ok(None) };
        let Some(Ok(Ast::Identifier(cursor))) = list.args.first().map(argument_expr) else { return Ok(None) };
        let arguments = vec![
            constant(Datum::text(name::fold(cursor)), DataType::TEXT),
            constant(Datum::Oid(table.oid), DataType::OID),
        ];
        let current = Expr::call(current_of(), arguments, DataType::BYTEA);
        let key = Expr::Column { index: key, data_type: DataType::BYTEA };
        // As places of rows, by which tables are searched.
        let [key, current] = [key, current].map(|key| {
            let function = row_place(table.primary_key.is_empty());
            Expr::call(function, vec![key], DataType::of(oids::TID))
        });
        self.operate_unlocated("=", Some(key), current).map(Some)
    }
}
