//! SELECT: the clauses in the order they mean something.

use sqlparser::ast::{self, Distinct, GroupByExpr, Select, SelectItem, SelectItemQualifiedWildcardKind};

use super::expression::start_of;
use super::order::sort_key;
use super::query::{LockingClause, ordinal};
use super::scope::{RowPlace, ScopeColumn};
use super::{AggregatesIn, Binder, BoundQuery, Relation, ResultColumn, name};
use crate::catalog::{PRIMARY_KEY, Rights};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::parser::{DISTINCT_SETS, NOTHING, marked, refuse_in_select};
use crate::plan::logical::{
    AggregateCall, ColumnId, Computed, GroupingSets, LockedRows, Logical, RowLocking, SortKey,
};
use crate::plan::walk;
use crate::types::DataType;

/// An item of the select list, bound.
pub(super) struct Output {
    name: String,
    expr: Expr,
    source: Option<(u32, i16)>,
}

/// The longest select list.
const OUTPUTS_MAX: usize = 1664;

/// Whether an item of a select list is just this expression.
fn is_of(item: &SelectItem, expr: &ast::Expr) -> bool {
    matches!(item, SelectItem::UnnamedExpr(own) | SelectItem::ExprWithAlias { expr: own, .. } if own == expr)
}

impl Binder<'_> {
    pub(super) fn bind_select(
        &mut self,
        select: &Select,
        order_by: &[ast::OrderByExpr],
        locking: &[LockingClause],
    ) -> Result<BoundQuery> {
        refuse_in_select(select)?;
        self.set_aggregates_in(AggregatesIn::FROM);
        let mut plan = self.bind_from(&select.from)?;
        let locked = self.lock_tables(&mut plan, locking)?;
        self.asked_key = self.row_key(select, &mut plan);
        if let Some(selection) = &select.selection {
            self.set_aggregates_in(AggregatesIn::Forbidden("WHERE"));
            let depth = (self.levels.len(), self.collectors.len(), self.common_tables.len());
            let predicate = match self.bind_condition(selection, "WHERE") {
                Ok(predicate) => predicate,
                Err(error) => {
                    // Of two errors that of the select list is told.
                    self.levels.truncate(depth.0);
                    self.collectors.truncate(depth.1);
                    self.common_tables.truncate(depth.2);
                    self.set_aggregates_in(AggregatesIn::Query);
                    self.note_windows(&select.named_window)?;
                    self.allow_row_calls(true);
                    return Err(self.bind_items(&select.projection).err().unwrap_or(error));
                }
            };
            plan = self.attach_pending(plan);
            plan = Logical::Filter { input: Box::new(plan), predicates: vec![predicate] };
        }
        if let Some(collector) = self.collectors.last_mut() {
            collector.mentions.clear();
            let groups = !matches!(&select.group_by, GroupByExpr::Expressions(exprs, _) if exprs.is_empty());
            (collector.written, collector.grouped) = (groups.then(Vec::new), None);
        }
        self.set_aggregates_in(AggregatesIn::Query);
        self.note_windows(&select.named_window)?;
        self.allow_row_calls(true);
        let mut outputs = self.bind_items(&select.projection)?;
        let groups = match self.bind_groups(&select.group_by, select, &outputs) {
            Ok(groups) => groups,
            // Of two errors that of ORDER BY is told.
            Err(error) => return Err(self.bind_order(order_by, &outputs).err().unwrap_or(error)),
        };
        self.allow_row_calls(false);
        let having = select.having.as_ref().map(|having| self.bind_having(having)).transpose()?;
        self.allow_row_calls(true);
        let mut keys = self.bind_order(order_by, &outputs)?;
        let distinct_on = match &select.distinct {
            Some(Distinct::On(exprs)) => Some(self.bind_distinct_on(exprs, &outputs)?),
            _ => None,
        };
        self.allow_row_calls(false);
        let mut distinct_on = distinct_on;
        let grouped = groups.is_some()
            || having.is_some()
            || self.collectors.last().is_some_and(|collector| !collector.aggregates.is_empty());
        if !grouped && self.collectors.last().is_some_and(|collector| !collector.groupings.is_empty()) {
            let call = self.collectors.last().and_then(|collector| collector.groupings.first());
            return Err(call.map_or_else(
                || SqlError::internal("a call that is not there"),
                |call| self.not_grouped_in(call, 0),
            ));
        }
        let has_groups = groups.is_some();
        if grouped {
            let mut groups = groups.unwrap_or_default();
            let mut exprs: Vec<&mut Expr> = outputs.iter_mut().map(|output| &mut output.expr).collect();
            exprs.extend(keys.iter_mut().filter_map(|key| key.expr_mut()));
            exprs.extend(distinct_on.iter_mut().flatten().filter_map(|key| key.expr_mut()));
            let mut having = having;
            exprs.extend(having.iter_mut());
            plan = self.group(plan, &mut groups, exprs)?;
            if let Some(having) = having {
                plan = self.attach_pending(plan);
                plan = Logical::Filter { input: Box::new(plan), predicates: vec![having] };
            }
        }
        plan = self.attach_pending(plan);
        plan = self.attach_windowed_row_calls(plan);
        let windows = self.collectors.last_mut().map(|c| std::mem::take(&mut c.windows)).unwrap_or_default();
        for (order, calls) in windows {
            plan = Logical::Window { input: Box::new(plan), order, calls };
        }
        let mut row_calls = self.take_row_calls();
        let waits = match (&distinct_on, keys.is_empty()) {
            (Some(on), false) => !keys.iter().chain(on).any(|key| key.reads_any(&outputs, &row_calls)),
            _ => false,
        };
        if !waits {
            plan = super::rows::attach(plan, std::mem::take(&mut row_calls));
        }
        if let [LockingClause { locking: first, .. }, ..] = locking {
            let what = match &select.distinct {
                Some(_) => Some("DISTINCT clause"),
                None if has_groups => Some("GROUP BY clause"),
                None if grouped => Some("aggregate functions"),
                None => None,
            };
            if let Some(what) = what {
                let words = super::query::lock_words(first.mode);
                return Err(SqlError::unsupported(format!("{words} is not allowed with {what}")));
            }
        }
        self.finish_select(
            plan,
            outputs,
            keys,
            Distinction { distinct: select.distinct.as_ref(), distinct_on, row_calls },
            locked,
        )
    }

    /// The tables that the locking clauses are for; their scans give the rows' keys from now on.
    fn lock_tables(&mut self, plan: &mut Logical, clauses: &[LockingClause]) -> Result<Vec<LockedRows>> {
        let mut locked = Vec::new();
        for LockingClause { relation, locking } in clauses {
            let wanted = relation.as_ref().map(|(name, _)| name.as_str());
            let found = self.lock(plan, wanted, *locking, &mut locked);
            let Some((relation, location)) = relation else { continue };
            let known =
                self.levels.last().is_some_and(|level| level.scope.relation(None, relation).is_some());
            if !found && !known {
                let words = super::query::lock_words(locking.mode);
                let error = SqlError::new(
                    SqlState::UNDEFINED_TABLE,
                    format!("relation \"{relation}\" in {words} clause not found in FROM clause"),
                );
                return Err(self.locate(error, *location));
            }
        }
        for each in &locked {
            self.note_use(&Relation::Stored(each.table.clone()), Rights::UPDATE);
            if each.table.table.materialized.is_some() {
                let message = format!("cannot lock rows in materialized view \"{}\"", each.table.table.name);
                return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
            }
        }
        // A session that reads the past refuses it when it runs.
        if !self.environment.reads_past && locked.iter().any(|each| each.table.as_of.is_some()) {
            return Err(SqlError::unsupported("rows cannot be locked as of an earlier moment"));
        }
        Ok(locked)
    }

    /// Notes the tables of a FROM clause that have a name, or all; tells whether there are any. The strongest lock
    /// wins.
    fn lock(
        &mut self,
        plan: &mut Logical,
        relation: Option<&str>,
        wanted: RowLocking,
        locked: &mut Vec<LockedRows>,
    ) -> bool {
        match plan {
            Logical::Table { table, alias, key, .. } => {
                if relation.is_some_and(|relation| relation != alias) {
                    return false;
                }
                let key = *key.get_or_insert_with(|| self.column_id());
                match locked.iter_mut().find(|each| each.key == key) {
                    None => locked.push(LockedRows { table: table.clone(), key, locking: wanted }),
                    Some(LockedRows { locking, .. }) => {
                        locking.mode = locking.mode.max(wanted.mode);
                        locking.nowait |= wanted.nowait;
                        locking.skip_locked |= wanted.skip_locked;
                    }
                }
                true
            }
            Logical::Join { left, right, .. } => {
                // Both sides, whatever the first one has.
                let on_left = self.lock(left, relation, wanted, locked);
                self.lock(right, relation, wanted, locked) || on_left
            }
            Logical::Filter { input, .. } | Logical::Apply { input, .. } => {
                self.lock(input, relation, wanted, locked)
            }
            _ => false,
        }
    }

    /// Takes the WINDOW clause in.
    fn note_windows(&mut self, windows: &[ast::NamedWindowDefinition]) -> Result<()> {
        let mut named: Vec<(String, ast::WindowSpec)> = Vec::new();
        for ast::NamedWindowDefinition(identifier, definition) in windows {
            let window = name::fold(identifier);
            if named.iter().any(|(known, _)| *known == window) {
                let error = SqlError::new(
                    SqlState::WINDOWING_ERROR,
                    format!("window \"{window}\" is already defined"),
                );
                return Err(self.locate(error, identifier.span.start));
            }
            let spec = match definition {
                ast::NamedWindowExpr::WindowSpec(spec) => spec.clone(),
                ast::NamedWindowExpr::NamedWindow(_) => {
                    return Err(SqlError::syntax("a window's definition stands in parentheses"));
                }
            };
            named.push((window, spec));
        }
        if let Some(collector) = self.collectors.last_mut() {
            collector.named_windows = named;
        }
        Ok(())
    }

    fn bind_having(&mut self, having: &ast::Expr) -> Result<Expr> {
        let windows =
            |binder: &Self| binder.collectors.last().map_or(0, |collector| collector.window_count());
        let before = windows(self);
        let bound = self.bind_condition(having, "HAVING")?;
        if windows(self) > before {
            return Err(SqlError::new(
                SqlState::WINDOWING_ERROR,
                "window functions are not allowed in HAVING",
            ));
        }
        Ok(bound)
    }

    /// Puts the aggregation into the plan and rewrites what stands above it.
    fn group(&mut self, plan: Logical, groups: &mut Vec<Computed>, exprs: Vec<&mut Expr>) -> Result<Logical> {
        let plan = self.attach_pending_below(plan);
        let plan = self.attach_grouped_row_calls(plan, groups);
        let sets = self.collectors.last_mut().and_then(|collector| collector.grouping_sets.take());
        let mut sets = self.grouping_sets(sets, groups)?;
        let written = groups.len();
        self.add_dependent_groups(groups, sets.as_mut());
        let dependent: Vec<ColumnId> = groups[written..].iter().map(|group| group.id).collect();
        let aggregates =
            self.collectors.last_mut().map(|c| std::mem::take(&mut c.aggregates)).unwrap_or_default();
        if sets.is_some() {
            refuse_grouped_rank(&aggregates)?;
        }
        self.refuse_ungrouped_direct(&aggregates, groups)?;
        let mut known: Vec<ColumnId> = aggregates.iter().map(|(id, _)| *id).collect();
        known.extend(sets.iter().flat_map(|sets| &sets.groupings).map(|(id, _)| *id));
        if let Some(collector) = self.collectors.last() {
            known.extend(collector.pending.iter().map(|pending| pending.output));
            known.extend(collector.windows.iter().flat_map(|(_, calls)| calls).map(|(id, _)| *id));
            known.extend(collector.row_calls.iter().map(|(id, _)| *id));
        }
        self.subqueries_above_grouping(groups, &known)?;
        self.row_calls_above_grouping(groups, &known)?;
        self.windows_above_grouping(groups, &known)?;
        for expr in exprs {
            let taken = std::mem::replace(expr, super::literal::unknown(crate::value::Datum::Null));
            *expr = self.above_grouping(taken, groups, &known)?;
            self.note_key_uses(expr, &dependent);
        }
        Ok(Logical::Aggregate { input: Box::new(plan), groups: std::mem::take(groups), aggregates, sets })
    }

    /// Notes the primary keys without which an expression could not read columns that are not grouped.
    fn note_key_uses(&mut self, expr: &Expr, dependent: &[ColumnId]) {
        if dependent.is_empty() {
            return;
        }
        let mut read = Vec::new();
        walk::columns(expr, &mut |id| read.extend(dependent.contains(&id).then_some(id)));
        let Some(level) = self.levels.last() else { return };
        let has = |relation: &&super::scope::ScopeRelation| {
            relation.columns.iter().any(|column| read.contains(&column.id))
        };
        let tables = level.scope.relations.iter().filter(has).filter_map(|relation| relation.table);
        self.used_columns.extend(tables.map(|table| (table, PRIMARY_KEY)));
    }

    /// What calls over windows read is grouped too.
    fn windows_above_grouping(&mut self, groups: &[Computed], known: &[ColumnId]) -> Result<()> {
        let mut windows =
            self.collectors.last_mut().map(|c| std::mem::take(&mut c.windows)).unwrap_or_default();
        let mut failure = None;
        let mut above = |expr: &mut Expr| {
            let taken = std::mem::replace(expr, super::literal::unknown(crate::value::Datum::Null));
            match self.above_grouping(taken, groups, known) {
                Ok(grouped) => *expr = grouped,
                Err(error) => failure = failure.take().or(Some(error)),
            }
        };
        for (order, calls) in &mut windows {
            order.for_each_expr_mut(&mut above);
            calls.iter_mut().for_each(|(_, call)| call.for_each_expr_mut(&mut above));
        }
        if let Some(collector) = self.collectors.last_mut() {
            collector.windows = windows;
        }
        failure.map_or(Ok(()), Err)
    }

    /// Where a whole primary key is grouped, in each of the ways to group, it determines the table's other columns.
    fn add_dependent_groups(&self, groups: &mut Vec<Computed>, mut sets: Option<&mut GroupingSets>) {
        let Some(level) = self.levels.last() else { return };
        let in_all = |at: &usize| sets.iter().flat_map(|sets| &sets.sets).all(|set| set.contains(at));
        let grouped: Vec<ColumnId> = (0..groups.len())
            .filter(in_all)
            .filter_map(|at| match groups[at].expr {
                Expr::Column { index, .. } => Some(index),
                _ => None,
            })
            .collect();
        for relation in &level.scope.relations {
            if relation.primary_key.is_empty() || !relation.primary_key.iter().all(|id| grouped.contains(id))
            {
                continue;
            }
            let key = match relation.place {
                RowPlace::Key(id) => Some((id, DataType::BYTEA)),
                _ => None,
            };
            let columns = relation.columns.iter().map(|column| (column.id, column.data_type));
            for (id, data_type) in columns.chain(key) {
                if !groups.iter().any(|group| group.id == id) {
                    let expr = Expr::Column { index: id, data_type };
                    for set in sets.iter_mut().flat_map(|sets| &mut sets.sets) {
                        set.push(groups.len());
                    }
                    groups.push(Computed { id, expr });
                }
            }
        }
    }

    /// The select list, its order, and DISTINCT [ON]; with functions of rows that come behind DISTINCT ON.
    fn finish_select(
        &mut self,
        plan: Logical,
        outputs: Vec<Output>,
        keys: Vec<OrderKey>,
        Distinction { distinct, distinct_on, row_calls }: Distinction<'_>,
        locked: Vec<LockedRows>,
    ) -> Result<BoundQuery> {
        let mut computed: Vec<Computed> = Vec::new();
        let mut columns = Vec::new();
        for output in outputs {
            let data_type = output.expr.data_type();
            // A column passed on keeps its id, unless it is passed on twice.
            let id = match output.expr {
                Expr::Column { index, .. } if computed.iter().all(|each| each.id != index) => index,
                _ => self.column_id(),
            };
            if let Some(shape) = self.record_shape(&output.expr) {
                self.record_columns.insert(id, shape);
            }
            computed.push(Computed { id, expr: output.expr });
            columns.push((id, ResultColumn { name: output.name, data_type, source: output.source }));
        }
        let visible = computed.len();
        let add = |binder: &mut Self, expr: Expr, computed: &mut Vec<Computed>| -> Expr {
            let data_type = expr.data_type();
            let known = computed.iter().find(|each| walk::same(&each.expr, &expr)).map(|each| each.id);
            let id = known.unwrap_or_else(|| {
                let id = match expr {
                    Expr::Column { index, .. } if computed.iter().all(|each| each.id != index) => index,
                    _ => binder.column_id(),
                };
                computed.push(Computed { id, expr });
                id
            });
            Expr::Column { index: id, data_type }
        };
        let mut sort_keys = Vec::new();
        for key in keys {
            sort_keys.push(match key {
                OrderKey::Output { position, descending, nulls_first } => {
                    let (id, column) = &columns[position];
                    let expr = Expr::Column { index: *id, data_type: column.data_type };
                    SortKey { expr, descending, nulls_first }
                }
                OrderKey::Expr(key) => {
                    let expr = add(self, key.expr, &mut computed);
                    SortKey { expr, ..key }
                }
            });
        }
        let mut on_keys = None;
        if let Some(exprs) = distinct_on {
            let exprs: Vec<Expr> = exprs
                .into_iter()
                .map(|key| match key {
                    OrderKey::Output { position, .. } => {
                        let (id, column) = &columns[position];
                        Expr::Column { index: *id, data_type: column.data_type }
                    }
                    OrderKey::Expr(key) => add(self, key.expr, &mut computed),
                })
                .collect();
            if let Some(at) = distinct_on_mismatch(&exprs, &sort_keys) {
                let error = SqlError::new(
                    SqlState::INVALID_COLUMN_REFERENCE,
                    "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
                );
                return Err(match distinct {
                    Some(Distinct::On(written)) if written.len() == exprs.len() => {
                        self.locate(error, start_of(&written[at]))
                    }
                    _ => error,
                });
            }
            // Equal rows come one after the other then.
            for expr in &exprs {
                if !sort_keys.iter().any(|key| walk::same(expr, &key.expr)) {
                    sort_keys.push(SortKey { expr: expr.clone(), descending: false, nulls_first: false });
                }
            }
            on_keys = Some(exprs);
        }
        if computed.len() > visible && matches!(distinct, Some(Distinct::Distinct)) {
            return Err(SqlError::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
            ));
        }
        computed.extend(locked.iter().map(|each| Computed {
            id: each.key,
            expr: Expr::Column { index: each.key, data_type: DataType::BYTEA },
        }));
        let postponed = match (distinct, on_keys.is_none() && locked.is_empty()) {
            (None, true) => postpone_volatile(&mut computed, visible, &sort_keys),
            _ => None,
        };
        let behind = (!row_calls.is_empty()).then(|| postpone_row_calls(&mut computed, visible, &row_calls));
        let mut plan = Logical::Project { input: Box::new(plan), outputs: computed };
        if matches!(distinct, Some(Distinct::Distinct)) {
            columns.iter().try_for_each(|(_, column)| self.require_equality(column.data_type))?;
            plan = Logical::Distinct { input: Box::new(plan), on: None };
        }
        if !sort_keys.is_empty() {
            plan = Logical::Sort { input: Box::new(plan), keys: sort_keys };
        }
        if let Some(outputs) = postponed {
            plan = Logical::Project { input: Box::new(plan), outputs };
        }
        if !locked.is_empty() {
            plan = Logical::Lock { input: Box::new(plan), tables: locked };
        }
        if on_keys.is_some() {
            plan = Logical::Distinct { input: Box::new(plan), on: on_keys };
        }
        if let Some(outputs) = behind {
            let input = Box::new(super::rows::attach(plan, row_calls));
            plan = Logical::Project { input, outputs };
        }
        Ok(BoundQuery { plan, columns })
    }

    // The select list -----------------------------------------------------------------------------------------

    fn bind_items(&mut self, items: &[SelectItem]) -> Result<Vec<Output>> {
        let mut outputs = Vec::new();
        for item in items {
            match item {
                SelectItem::UnnamedExpr(ast::Expr::Identifier(word)) if marked(word) == Some(NOTHING) => {}
                SelectItem::UnnamedExpr(ast::Expr::CompoundFieldAccess { root, access_chain })
                    if super::access::ends_in_star(access_chain) =>
                {
                    let record = self.bind_access(root, &access_chain[..access_chain.len() - 1])?;
                    for (name, expr) in self.record_fields(record)? {
                        outputs.push(Output { name, expr, source: None });
                    }
                }
                SelectItem::UnnamedExpr(expr) => {
                    let bound = self.bind(expr)?;
                    let source = self.source_of(&bound);
                    outputs.push(Output { name: column_name(expr), expr: bound, source });
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    let bound = self.bind(expr)?;
                    let source = self.source_of(&bound);
                    outputs.push(Output { name: name::fold(alias), expr: bound, source });
                }
                SelectItem::Wildcard(options) => {
                    let location = options.wildcard_token.0.span.start;
                    let columns =
                        self.levels.last().map(|level| level.scope.visible.clone()).unwrap_or_default();
                    let empty = self.levels.last().is_none_or(|level| level.scope.relations.is_empty());
                    if empty {
                        let error = SqlError::syntax("SELECT * with no tables specified is not valid");
                        return Err(self.locate(error, location));
                    }
                    self.note_star(location, self.levels.len() - 1, &columns);
                    self.push_columns(&mut outputs, self.levels.len() - 1, columns, location);
                }
                SelectItem::QualifiedWildcard(
                    SelectItemQualifiedWildcardKind::ObjectName(object),
                    options,
                ) => {
                    let (schema, alias) = name::split(object)?;
                    let location = name::location(object);
                    // Also a relation of a query around this one.
                    let found = self.levels.iter().enumerate().rev().find_map(|(at, level)| {
                        Some((at, level.scope.relation(schema.as_deref(), &alias)?.columns.clone()))
                    });
                    let Some((level, columns)) = found else {
                        let error = SqlError::new(
                            SqlState::UNDEFINED_TABLE,
                            format!("missing FROM-clause entry for table \"{alias}\""),
                        );
                        return Err(self.locate(self.hint_about_alias(error, &alias), location));
                    };
                    self.note_star(options.wildcard_token.0.span.start, level, &columns);
                    self.push_columns(&mut outputs, level, columns, location);
                }
                other => return Err(SqlError::unsupported(format!("{other} is not supported here"))),
            }
        }
        if outputs.len() > OUTPUTS_MAX {
            return Err(SqlError::new(
                SqlState::TOO_MANY_COLUMNS,
                format!("target lists can have at most {OUTPUTS_MAX} entries"),
            ));
        }
        Ok(outputs)
    }

    fn push_columns(
        &mut self,
        outputs: &mut Vec<Output>,
        level: usize,
        columns: Vec<ScopeColumn>,
        location: sqlparser::tokenizer::Location,
    ) {
        for column in columns {
            let expr = self.reference(level, &column, location);
            outputs.push(Output { name: column.name, expr, source: column.source });
        }
    }

    /// The stored column behind a plain reference.
    pub(super) fn source_of(&self, expr: &Expr) -> Option<(u32, i16)> {
        let Expr::Column { index, .. } = expr else { return None };
        let scope = &self.levels.last()?.scope;
        let mut columns = scope.relations.iter().flat_map(|relation| &relation.columns);
        columns.find(|column| column.id == *index)?.source
    }

    /// RETURNING: a select list over one table.
    pub(super) fn bind_returning(
        &mut self,
        items: &[SelectItem],
    ) -> Result<(Vec<Computed>, Vec<ResultColumn>)> {
        self.set_aggregates_in(AggregatesIn::Forbidden("RETURNING"));
        let outputs = self.bind_items(items)?;
        let mut computed = Vec::new();
        let mut columns = Vec::new();
        for output in outputs {
            let expr = self.settle(output.expr)?;
            columns.push(ResultColumn {
                name: output.name,
                data_type: expr.data_type(),
                source: output.source,
            });
            computed.push(Computed { id: self.column_id(), expr });
        }
        Ok((computed, columns))
    }

    // GROUP BY, ORDER BY, DISTINCT ON ----------------------------------------------------------------------------

    fn bind_groups(
        &mut self,
        group_by: &GroupByExpr,
        select: &Select,
        outputs: &[Output],
    ) -> Result<Option<Vec<Computed>>> {
        let GroupByExpr::Expressions(exprs, modifiers) = group_by else {
            return Err(SqlError::syntax("syntax error at or near \"ALL\""));
        };
        if !modifiers.is_empty() {
            return Err(SqlError::unsupported("this form of GROUP BY is not supported yet"));
        }
        if exprs.is_empty() {
            return Ok(None);
        }
        self.set_aggregates_in(AggregatesIn::Forbidden("GROUP BY"));
        let pending = self.collectors.last().map_or(0, |collector| collector.pending.len());
        let mut groups: Vec<Computed> = Vec::new();
        let mut elements = Vec::new();
        // GROUP BY DISTINCT: no set twice.
        let (is_distinct, exprs) = match exprs.split_first() {
            Some((ast::Expr::Identifier(word), rest)) if marked(word) == Some(DISTINCT_SETS) => (true, rest),
            _ => (false, exprs.as_slice()),
        };
        for expr in exprs {
            let element = self.grouping_element(expr, select, outputs)?;
            for bound in element.iter().flatten() {
                self.require_equality(bound.data_type())
                    .map_err(|error| self.locate(error, ast::Spanned::span(expr).start))?;
                let known = groups.iter().any(|group| walk::same(&group.expr, bound));
                let id = match bound {
                    Expr::Column { index, .. } => *index,
                    _ => self.column_id(),
                };
                if !known {
                    groups.push(Computed { id, expr: bound.clone() });
                }
            }
            elements.push(element);
        }
        let is_set = |expr: &ast::Expr| {
            matches!(expr, ast::Expr::GroupingSets(_) | ast::Expr::Cube(_) | ast::Expr::Rollup(_))
        };
        if exprs.iter().any(is_set)
            && let Some(collector) = self.collectors.last_mut()
        {
            let sets = super::grouping::crossed(elements)?;
            let sets = if is_distinct { super::grouping::distinct(sets) } else { sets };
            collector.grouping_sets = Some(sets);
        }
        if let Some(collector) = self.collectors.last_mut() {
            let own = collector.pending.split_off(pending);
            let of_outputs = collector.take_pending_of(&groups);
            collector.pending_below.extend(of_outputs);
            collector.pending_below.extend(own);
            let mut grouped = Vec::new();
            groups.iter().for_each(|group| walk::columns(&group.expr, &mut |id| grouped.push(id)));
            collector.grouped = Some(grouped);
        }
        self.set_aggregates_in(AggregatesIn::Query);
        Ok(Some(groups))
    }

    pub(super) fn bind_group(
        &mut self,
        expr: &ast::Expr,
        select: &Select,
        outputs: &[Output],
    ) -> Result<Expr> {
        if let Some(position) = ordinal(expr)? {
            let index = usize::try_from(position - 1).ok().filter(|index| *index < outputs.len());
            let Some(index) = index else {
                let error = SqlError::new(
                    SqlState::INVALID_COLUMN_REFERENCE,
                    format!("GROUP BY position {position} is not in select list"),
                );
                return Err(self.locate(error, ast::Spanned::span(expr).start));
            };
            let place = select.projection.get(index).filter(|_| select.projection.len() == outputs.len());
            return self.grouped_output(&outputs[index]).map_err(|error| match place {
                Some(item) => self.locate(error, ast::Spanned::span(item).start),
                None => error,
            });
        }
        // An input column of the name comes before an output column.
        if let ast::Expr::Identifier(identifier) = expr {
            let wanted = name::fold(identifier);
            let scope = self.levels.last().map(|level| &level.scope);
            let is_input =
                scope.is_some_and(|scope| scope.visible.iter().any(|column| column.name == wanted));
            if !is_input
                && let Some(output) = outputs.iter().find(|output| output.name == wanted)
                && select.projection.iter().any(|item| matches!(item, SelectItem::ExprWithAlias { .. }))
            {
                return self.grouped_output(output);
            }
        }
        if select.projection.len() == outputs.len()
            && let Some(at) = select.projection.iter().position(|item| is_of(item, expr))
            && self.reads_subquery(&outputs[at].expr)
        {
            // The same subquery runs once, for both.
            return self.grouped_output(&outputs[at]);
        }
        self.bind_settled(expr)
    }

    /// Whether an expression has a subquery of this level in it.
    fn reads_subquery(&self, expr: &Expr) -> bool {
        let pending = self.collectors.last().map(|c| c.pending.as_slice()).unwrap_or_default();
        let mut found = false;
        walk::columns(expr, &mut |id| found |= pending.iter().any(|each| each.output == id));
        found
    }

    fn grouped_output(&self, output: &Output) -> Result<Expr> {
        let aggregates = self.collectors.last().map(|c| c.aggregates.as_slice()).unwrap_or_default();
        let mut found = false;
        walk::columns(&output.expr, &mut |id| found |= aggregates.iter().any(|(each, _)| *each == id));
        if found {
            return Err(SqlError::new(
                SqlState::GROUPING_ERROR,
                "aggregate functions are not allowed in GROUP BY",
            ));
        }
        let windows = self.collectors.last().map(|c| c.windows.as_slice()).unwrap_or_default();
        let is_window = |id| windows.iter().any(|(_, calls)| calls.iter().any(|(each, _)| *each == id));
        walk::columns(&output.expr, &mut |id| found |= is_window(id));
        if found {
            let message = "window functions are not allowed in GROUP BY";
            return Err(SqlError::new(SqlState::WINDOWING_ERROR, message));
        }
        Ok(output.expr.clone())
    }

    fn bind_order(&mut self, order_by: &[ast::OrderByExpr], outputs: &[Output]) -> Result<Vec<OrderKey>> {
        let mut keys = Vec::new();
        for key in order_by {
            let options = &key.options;
            if let Some(position) = self.output_position(&key.expr, outputs, "ORDER BY")? {
                let plain = sort_key(self, outputs[position].expr.clone(), options)
                    .map_err(|error| self.locate(error, ast::Spanned::span(&key.expr).start))?;
                keys.push(OrderKey::Output {
                    position,
                    descending: plain.descending,
                    nulls_first: plain.nulls_first,
                });
                continue;
            }
            let expr = self.bind_settled(&key.expr)?;
            keys.push(OrderKey::Expr(sort_key(self, expr, options)?));
        }
        Ok(keys)
    }

    /// The output column that a number or a bare name means: here outputs come before inputs.
    fn output_position(&self, expr: &ast::Expr, outputs: &[Output], clause: &str) -> Result<Option<usize>> {
        if let Some(position) = ordinal(expr)? {
            let index = usize::try_from(position - 1).ok().filter(|index| *index < outputs.len());
            return match index {
                Some(index) => Ok(Some(index)),
                None => {
                    let error = SqlError::new(
                        SqlState::INVALID_COLUMN_REFERENCE,
                        format!("{clause} position {position} is not in select list"),
                    );
                    Err(self.locate(error, ast::Spanned::span(expr).start))
                }
            };
        }
        let ast::Expr::Identifier(identifier) = expr else { return Ok(None) };
        let wanted = name::fold(identifier);
        let mut found = outputs.iter().enumerate().filter(|(_, output)| output.name == wanted);
        let Some((position, first)) = found.next() else { return Ok(None) };
        if found.any(|(_, other)| !walk::same(&other.expr, &first.expr)) {
            let error =
                SqlError::new(SqlState::AMBIGUOUS_COLUMN, format!("{clause} \"{wanted}\" is ambiguous"));
            return Err(self.locate(error, identifier.span.start));
        }
        Ok(Some(position))
    }

    fn bind_distinct_on(&mut self, exprs: &[ast::Expr], outputs: &[Output]) -> Result<Vec<OrderKey>> {
        let (descending, nulls_first) = (false, false);
        let mut keys = Vec::new();
        for expr in exprs {
            keys.push(match self.output_position(expr, outputs, "DISTINCT ON")? {
                Some(position) => OrderKey::Output { position, descending, nulls_first },
                None => OrderKey::Expr(SortKey { expr: self.bind_settled(expr)?, descending, nulls_first }),
            });
        }
        Ok(keys)
    }
}

/// DISTINCT, the keys of DISTINCT ON, and the functions of rows that come behind it.
struct Distinction<'a> {
    distinct: Option<&'a Distinct>,
    distinct_on: Option<Vec<OrderKey>>,
    row_calls: Vec<(ColumnId, Expr)>,
}

/// A key of ORDER BY or DISTINCT ON: an output column, or an expression over the input.
enum OrderKey {
    Output { position: usize, descending: bool, nulls_first: bool },
    Expr(SortKey),
}

impl OrderKey {
    fn expr_mut(&mut self) -> Option<&mut Expr> {
        match self {
            OrderKey::Output { .. } => None,
            OrderKey::Expr(key) => Some(&mut key.expr),
        }
    }

    /// Whether it reads one of these calls.
    fn reads_any(&self, outputs: &[Output], row_calls: &[(ColumnId, Expr)]) -> bool {
        match self {
            OrderKey::Output { position, .. } => reads_any(&outputs[*position].expr, row_calls),
            OrderKey::Expr(key) => reads_any(&key.expr, row_calls),
        }
    }
}

/// DISTINCT ON's keys must be the first ones of ORDER BY, in any order: the place of one that is not.
fn distinct_on_mismatch(on: &[Expr], keys: &[SortKey]) -> Option<usize> {
    let place = |key: &SortKey| on.iter().position(|expr| walk::same(expr, &key.expr));
    let skipped = keys.iter().position(|key| place(key).is_none())?;
    let (before, behind) = keys.split_at(skipped);
    if let Some(at) = behind.iter().find_map(place) {
        return Some(at);
    }
    on.iter().position(|expr| !before.iter().any(|key| walk::same(expr, &key.expr)))
}

/// Leaves what varies from call to call, and is not sorted by, until the rows are sorted: numbers of a sequence then come
/// in the order of the rows. Gives the outputs above the sort.
fn postpone_volatile(
    computed: &mut Vec<Computed>,
    visible: usize,
    sort_keys: &[SortKey],
) -> Option<Vec<Computed>> {
    let is_key = |id: ColumnId| {
        let mut found = false;
        for key in sort_keys {
            walk::columns(&key.expr, &mut |column| found |= column == id);
        }
        found
    };
    let waits = |output: &Computed| walk::is_volatile(&output.expr) && !is_key(output.id);
    if sort_keys.is_empty() || !computed[..visible].iter().any(waits) {
        return None;
    }
    Some(postpone(computed, visible, waits, &[]))
}

/// Leaves what reads functions of rows until these are there: behind DISTINCT ON, where ORDER BY reads none of them.
fn postpone_row_calls(
    computed: &mut Vec<Computed>,
    visible: usize,
    row_calls: &[(ColumnId, Expr)],
) -> Vec<Computed> {
    let waits = |output: &Computed| reads_any(&output.expr, row_calls);
    postpone(computed, visible, waits, row_calls)
}

fn reads_any(expr: &Expr, row_calls: &[(ColumnId, Expr)]) -> bool {
    let mut found = false;
    walk::columns(expr, &mut |id| found |= row_calls.iter().any(|(call, _)| *call == id));
    found
}

/// Takes the outputs that wait out of those that are computed at once, which then give what is read by them and by
/// the calls between; gives the outputs above.
fn postpone(
    computed: &mut Vec<Computed>,
    visible: usize,
    waits: impl Fn(&Computed) -> bool,
    between: &[(ColumnId, Expr)],
) -> Vec<Computed> {
    let (mut below, mut above) = (Vec::new(), Vec::new());
    let mut read: Vec<Computed> = Vec::new();
    let mut note = |expr: &Expr| {
        walk::any(expr, &mut |node| {
            if let Expr::Column { index, .. } = node
                && between.iter().all(|(call, _)| call != index)
            {
                read.push(Computed { id: *index, expr: node.clone() });
            }
            false
        });
    };
    between.iter().for_each(|(_, call)| note(call));
    for (at, output) in std::mem::take(computed).into_iter().enumerate() {
        if at >= visible || !waits(&output) {
            let expr = Expr::Column { index: output.id, data_type: output.expr.data_type() };
            above.push(Computed { id: output.id, expr });
            below.push(output);
            continue;
        }
        note(&output.expr);
        above.push(output);
    }
    for each in read {
        if below.iter().all(|known| known.id != each.id) {
            below.push(each);
        }
    }
    *computed = below;
    above
}

/// The name PostgreSQL gives an output column without an alias.
pub(super) fn column_name(expr: &ast::Expr) -> String {
    name_of(expr).map_or_else(|| "?column?".to_string(), |name| name.text)
}

/// A name that an expression suggests. The type of a cast and CASE give way to a firm name within them.
struct SuggestedName {
    text: String,
    is_firm: bool,
}

fn firm(text: impl Into<String>) -> Option<SuggestedName> {
    Some(SuggestedName { text: text.into(), is_firm: true })
}

/// The name within, if it is firm, else another one.
fn unless_firm(within: Option<SuggestedName>, text: String) -> Option<SuggestedName> {
    within.filter(|name| name.is_firm).or(Some(SuggestedName { text, is_firm: false }))
}

fn name_of(expr: &ast::Expr) -> Option<SuggestedName> {
    use ast::Expr as Ast;
    match expr {
        Ast::Identifier(identifier) => firm(name::fold(identifier)),
        Ast::CompoundIdentifier(parts) => firm(name::fold(parts.last()?)),
        Ast::Function(function) => firm(name::parts(&function.name).ok()?.pop()?),
        Ast::QualifiedWildcard(object, _) => firm(name::parts(object).ok()?.pop()?),
        Ast::Nested(inner) | Ast::Collate { expr: inner, .. } => name_of(inner),
        Ast::Cast { expr, data_type, .. } => {
            unless_firm(name_of(expr), super::data_type::catalog_name(data_type)?)
        }
        Ast::TypedString(typed) => unless_firm(None, super::data_type::catalog_name(&typed.data_type)?),
        Ast::Interval(_) => unless_firm(None, "interval".into()),
        Ast::Case { else_result, .. } => unless_firm(else_result.as_deref().and_then(name_of), "case".into()),
        Ast::Exists { .. } => firm("exists"),
        Ast::Subquery(query) => match query.body.as_ref() {
            ast::SetExpr::Select(select) => match select.projection.first()? {
                SelectItem::UnnamedExpr(expr) => firm(column_name(expr)),
                SelectItem::ExprWithAlias { alias, .. } => firm(name::fold(alias)),
                _ => None,
            },
            ast::SetExpr::Values(_) => firm("column1"),
            _ => None,
        },
        Ast::Array(_) => firm("array"),
        Ast::Tuple(_) => firm("row"),
        Ast::Extract { .. } => firm("extract"),
        Ast::Position { .. } => firm("position"),
        Ast::Substring { shorthand, .. } => firm(if *shorthand { "substr" } else { "substring" }),
        Ast::Overlay { .. } => firm("overlay"),
        Ast::Ceil { .. } => firm("ceil"),
        Ast::Floor { .. } => firm("floor"),
        Ast::Trim { trim_where, .. } => firm(match trim_where {
            Some(ast::TrimWhereField::Leading) => "ltrim",
            Some(ast::TrimWhereField::Trailing) => "rtrim",
            _ => "btrim",
        }),
        Ast::AtTimeZone { .. } => firm("timezone"),
        Ast::IsNormalized { .. } => firm("is_normalized"),
        Ast::BinaryOp { op: ast::BinaryOperator::Overlaps, .. } => firm("overlaps"),
        Ast::CompoundFieldAccess { root, access_chain } => match access_chain.last() {
            Some(ast::AccessExpr::Dot(Ast::Identifier(field))) => firm(name::fold(field)),
            _ => {
                // Behind `t.a` come subscripts alone; the field that the last point names gives the name.
                let field = access_chain.iter().rev().find_map(|access| match access {
                    ast::AccessExpr::Dot(Ast::Identifier(field)) => Some(field),
                    _ => None,
                });
                field.map_or_else(|| name_of(root), |field| firm(name::fold(field)))
            }
        },
        _ => None,
    }
}

/// What a row is ranked by is one value for all ways to group here, while a column that is grouped by is NULL in some.
fn refuse_grouped_rank(aggregates: &[(ColumnId, AggregateCall)]) -> Result<()> {
    const RANKS: [&str; 4] = ["rank", "dense_rank", "percent_rank", "cume_dist"];
    let reads = |call: &AggregateCall| {
        let mut reads = false;
        call.arguments.iter().take(1).for_each(|asked| walk::columns(asked, &mut |_| reads = true));
        reads
    };
    match aggregates.iter().find(|(_, call)| RANKS.contains(&call.aggregate.name) && reads(call)) {
        Some((_, call)) => Err(SqlError::unsupported(format!(
            "{} of a column that is grouped by is not supported with grouping sets",
            call.aggregate.name
        ))),
        None => Ok(()),
    }
}
