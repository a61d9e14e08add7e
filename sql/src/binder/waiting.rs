//! Calls of functions that wait for what they read: each is a subquery over the function in FROM, since evaluation cannot
//! wait. It runs for each row that comes to it.

use super::Binder;
use crate::error::Result;
use crate::expr::Expr;
use crate::functions::Function;
use crate::plan::logical::{Correlation, Logical, NeededColumns, TableFunction};
use crate::plan::walk;
use crate::relations;
use crate::types::DataType;

impl Binder<'_> {
    /// The subquery for a call; the arguments back where the function is another one.
    pub(super) fn bind_waiting_call(
        &mut self,
        function: &Function,
        arguments: Vec<Expr>,
    ) -> Result<std::result::Result<Expr, Vec<Expr>>> {
        let is_called =
            |name: &str, types: &[u32]| name == function.name && types == function.argument_types.as_slice();
        let Some(found) = relations::waiting().find(|each| is_called(each.name, each.arguments)) else {
            return Ok(Err(arguments));
        };
        self.waiting_calls += usize::from(found.is_volatile());
        // What the arguments read of the row comes to the subquery by slots.
        let mut correlations: Vec<Correlation> = Vec::new();
        let mut arguments = arguments;
        for argument in &mut arguments {
            let mut columns = Vec::new();
            walk::any(argument, &mut |part| {
                if let Expr::Column { index, data_type } = part {
                    columns.push((*index, *data_type));
                }
                false
            });
            let mut slots = Vec::new();
            for (column, data_type) in columns {
                let known = correlations.iter().find(|each| each.column == column).map(|each| each.slot);
                let slot = known.unwrap_or_else(|| {
                    correlations.push(Correlation { slot: self.next_slot, column });
                    self.next_slot += 1;
                    self.next_slot - 1
                });
                slots.push((column, slot, data_type));
            }
            let taken = std::mem::replace(argument, super::literal::unknown(crate::value::Datum::Null));
            *argument = walk::replace_columns(taken, &|id| {
                let (_, slot, data_type) = slots.iter().find(|(column, ..)| *column == id)?;
                Some(Expr::Outer { index: *slot, data_type: *data_type })
            });
        }
        let data_type = DataType::of(function.return_type);
        let output = self.column_id();
        let plan = Logical::FunctionScan {
            calls: vec![TableFunction::Report { function: found, arguments, needed: NeededColumns::ALL }],
            alias: found.name.to_owned(),
            columns: vec![(output, data_type)],
            ordinality: None,
        };
        self.apply_scalar(plan, correlations, data_type).map(Ok)
    }
}
