//! TABLESAMPLE: each row is taken or left by its key and a seed. Rows are not kept by blocks that could be taken as a
//! whole, so SYSTEM chooses single rows too.

use sqlparser::ast::{ObjectName, Spanned, TableAlias, TableSample, TableSampleKind, TableSampleMethod};

use super::from::Item;
use super::{Binder, name};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::functions::{EvalContext, is_sampled, sample_share};
use crate::plan::logical::Logical;
use crate::types::DataType;

impl Binder<'_> {
    /// `table TABLESAMPLE method (percentage) [REPEATABLE (seed)]`
    pub(super) fn bind_sampled(
        &mut self,
        object: &ObjectName,
        alias: Option<&TableAlias>,
        sample: &TableSampleKind,
    ) -> Result<Item> {
        let (TableSampleKind::BeforeTableAlias(sample) | TableSampleKind::AfterTableAlias(sample)) = sample;
        let mut item = self.bind_table(object, alias)?;
        if let Logical::Virtual { relation, .. } = &item.plan
            && relation.kind == b'r'
        {
            return self.bind_sampled_rows(item, sample);
        }
        let Logical::Table { key, .. } = &mut item.plan else {
            let message = "TABLESAMPLE clause can only be applied to tables and materialized views";
            return Err(self.locate(SqlError::unsupported(message), name::location(object)));
        };
        let key = *key.get_or_insert_with(|| self.column_id());
        let (percentage, seed) = self.sample_arguments(sample)?;
        if let Expr::Const { value, .. } = &percentage {
            sample_share(value)?;
        }
        let key = Expr::Column { index: key, data_type: DataType::BYTEA };
        let taken = Expr::call(is_sampled(), vec![key, percentage, seed], DataType::BOOL);
        item.plan = Logical::Filter { input: Box::new(item.plan), predicates: vec![taken] };
        Ok(item)
    }

    /// Rows that are computed have no keys: they are taken by chance, whatever REPEATABLE says.
    fn bind_sampled_rows(&mut self, mut item: Item, sample: &TableSample) -> Result<Item> {
        let (percentage, _) = self.sample_arguments(sample)?;
        if let Expr::Const { value, .. } = &percentage {
            sample_share(value)?;
        }
        let chance = self.call_named("random", Vec::new())?;
        let key = self.call_named("float8send", vec![chance])?;
        let seed = self.call_named("random", Vec::new())?;
        let taken = Expr::call(is_sampled(), vec![key, percentage, seed], DataType::BOOL);
        item.plan = Logical::Filter { input: Box::new(item.plan), predicates: vec![taken] };
        Ok(item)
    }

    fn sample_arguments(&mut self, sample: &TableSample) -> Result<(Expr, Expr)> {
        let (Some(TableSampleMethod::Bernoulli | TableSampleMethod::System), Some(quantity)) =
            (&sample.name, &sample.quantity)
        else {
            return Err(SqlError::unsupported("this form of TABLESAMPLE is not supported"));
        };
        let mut argument = |expr: &sqlparser::ast::Expr, data_type: DataType, clause: &str| -> Result<Expr> {
            let location = expr.span().start;
            let bound = self.bind(expr)?;
            let source = bound.data_type();
            let bound = self.coerce(bound, data_type, crate::functions::CastContext::Assignment);
            bound.map_err(|error| {
                let error = match error.state() {
                    SqlState::CANNOT_COERCE => SqlError::new(
                        SqlState::DATATYPE_MISMATCH,
                        format!(
                            "argument of {clause} must be type {}, not type {}",
                            self.type_name(data_type),
                            self.type_name(source)
                        ),
                    ),
                    _ => error,
                };
                self.locate(error, location)
            })
        };
        let percentage = argument(&quantity.value, DataType::FLOAT4, "TABLESAMPLE")?;
        let seed = match &sample.seed {
            Some(seed) => {
                let value = sqlparser::ast::Expr::Value(seed.value.clone());
                argument(&value, DataType::FLOAT8, "REPEATABLE")?
            }
            None => self.call_named("random", Vec::new())?,
        };
        let types = self.types();
        let settings = &self.environment.settings;
        let context = EvalContext { types: &types, ..EvalContext::detached(settings) };
        Ok((percentage.fold(&context), seed))
    }
}
