//! Aggregates in a subquery whose arguments are columns of a query around it: they are that query's aggregates, and the
//! subquery reads what they give.

use sqlparser::ast;

use super::{Binder, Collector};
use crate::error::Result;
use crate::expr::Expr;
use crate::plan::logical::{AggregateCall, Correlation};
use crate::plan::walk;

/// What had been read of queries outside before an aggregate's arguments were bound.
pub(super) struct ReadBefore(Vec<Vec<Correlation>>);

impl Binder<'_> {
    /// Begins to note what arguments read of queries outside.
    pub(super) fn note_outer_reads(&mut self) -> ReadBefore {
        ReadBefore(self.levels.iter_mut().map(|level| std::mem::take(&mut level.correlations)).collect())
    }

    /// The level whose aggregate a call is, if it is not this one: the innermost that the arguments read, where
    /// these read nothing of this level. `pending` is how many subqueries this level had before.
    pub(super) fn outer_level_of(&self, call: &AggregateCall, pending: usize) -> Option<usize> {
        let own = self.levels.len().checked_sub(1)?;
        let subqueries = self.collectors.last().map_or(&[][..], |collector| &collector.pending[pending..]);
        let is_output = |id| subqueries.iter().any(|subquery| subquery.output == id);
        let mut is_own = subqueries.iter().any(|subquery| !subquery.correlations.is_empty());
        let keys = call.order_by.iter().map(|key| &key.expr);
        for argument in call.arguments.iter().chain(&call.filter).chain(keys) {
            walk::columns(argument, &mut |id| is_own |= !is_output(id));
        }
        // What is read of a level is noted at the level below it.
        let read = |level: &usize| !self.levels[level + 1].correlations.is_empty();
        if is_own { None } else { (0..own).rev().find(read) }
    }

    /// Ends noting: what was read before is read still, and what has been since, if it stays.
    pub(super) fn end_outer_reads(&mut self, before: ReadBefore, stays: bool) {
        for (level, mut known) in self.levels.iter_mut().zip(before.0) {
            if stays {
                known.append(&mut level.correlations);
            }
            level.correlations = known;
        }
    }

    /// Binds something as a part of a level outside.
    pub(super) fn at_level<T>(&mut self, level: usize, bind: impl FnOnce(&mut Self) -> T) -> T {
        let at = self.collectors.iter().rposition(|collector| collector.level == level).unwrap_or(0);
        let levels = self.levels.split_off(level + 1);
        let collectors: Vec<Collector> = self.collectors.split_off(at + 1);
        let bound = bind(self);
        self.levels.extend(levels);
        self.collectors.extend(collectors);
        bound
    }

    /// Binds an aggregate call as one of a level outside, and reads it from there.
    pub(super) fn bind_outer_aggregate(
        &mut self,
        level: usize,
        function: &ast::Function,
        base: &str,
    ) -> Result<Option<Expr>> {
        let bound = self.at_level(level, |binder| binder.bind_aggregate(function, base));
        Ok(bound?.map(|bound| match bound {
            Expr::Column { index, data_type } => self.outer_reference(level, index, data_type),
            // Of a level that is further out still.
            other => other,
        }))
    }
}
