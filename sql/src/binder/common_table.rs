//! WITH: common tables, and statements that change rows among them.
//!
//! A common table that is read once is bound where it is read, as a subquery would be. One that is read more often, or
//! is MATERIALIZED, is computed once for the whole statement, unless it reads rows of the queries around it. A change
//! runs before the statement that WITH belongs to, whether its rows are read or not.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sqlparser::ast::{self, CteAsMaterialized, SetExpr, Statement, TableAlias};
use sqlparser::tokenizer::Location;

use super::from::{Item, aliased};
use super::modify::{BoundDelete, BoundInsert, BoundUpdate};
use super::query::narrow;
use super::scope::{Scope, ScopeColumn};
use super::{Binder, BoundQuery, CommonTable, ResultColumn, name, search_cycle};
use crate::error::{Result, SqlError, SqlState};
use crate::parser::visit::{Node, walk};
use crate::plan::logical::Logical;
use crate::plan::simplify::{any_input, each_input, reads_outer};
use crate::types::DataType;

/// Each reading of a common table has its definition below it, and so the definitions of what that reads: tables that read
/// the one before twice double them each time. So many nodes one may have, and all readings together.
const DEFINITION_NODES_MAX: usize = 10_000;
const SHARED_NODES_MAX: usize = 500_000;

fn nodes(plan: &Logical) -> usize {
    let mut count = 1;
    each_input(plan, &mut |input| count += nodes(input));
    count
}

/// A statement in WITH that changes rows.
pub enum BoundChange {
    Insert(BoundInsert),
    Update(BoundUpdate),
    Delete(BoundDelete),
}

impl BoundChange {
    fn returning(&self) -> Option<&[ResultColumn]> {
        let returning = match self {
            BoundChange::Insert(insert) => &insert.returning,
            BoundChange::Update(update) => &update.returning,
            BoundChange::Delete(delete) => &delete.returning,
        };
        returning.as_ref().map(|returning| returning.columns.as_slice())
    }
}

/// A common table whose rows are kept under a number.
#[derive(Clone)]
pub(super) struct Shared {
    table: usize,
    /// `None`: a change without RETURNING.
    columns: Option<Vec<(String, DataType)>>,
    /// `None`: a change, which has run before.
    definition: Option<Arc<Logical>>,
}

impl Binder<'_> {
    /// Takes the common tables of a query in.
    pub(super) fn bind_with(&mut self, with: &ast::With, query: &ast::Query) -> Result<()> {
        let in_order =
            if with.recursive { self.ordered(&with.cte_tables)? } else { with.cte_tables.iter().collect() };
        self.refuse_repeated(&with.cte_tables)?;
        let all = all_mentions(query);
        for table in in_order {
            crate::watch::check()?;
            let wanted = name::fold(&table.alias.name);
            let own = mentions(&table.query, &wanted);
            let reads = match &all {
                Some(all) => all.get(&wanted).copied().unwrap_or(0),
                None => mentions_below(query, &wanted),
            };
            let reads = reads.saturating_sub(own);
            let is_shared = match table.materialized {
                Some(CteAsMaterialized::Materialized) => true,
                Some(CteAsMaterialized::NotMaterialized) => false,
                None => reads > 1,
            };
            let mut own_query = (*table.query).clone();
            let following = search_cycle::take(&mut own_query);
            let is_recursive = with.recursive && own > 0;
            if !is_recursive && !following.is_empty() {
                let error = SqlError::syntax("WITH query is not recursive");
                return Err(self.locate(error, table.alias.name.span.start));
            }
            let mut common = CommonTable {
                name: wanted,
                columns: table.alias.columns.iter().map(|column| name::fold(&column.name)).collect(),
                query: Arc::new(own_query),
                visible: self.common_tables.len(),
                is_recursive,
                location: table.alias.name.span.start,
                following,
                working: None,
                is_shared,
                shared: None,
            };
            if let SetExpr::Insert(statement)
            | SetExpr::Update(statement)
            | SetExpr::Delete(statement)
            | SetExpr::Merge(statement) = table.query.body.as_ref()
            {
                if is_recursive {
                    let message = format!(
                        "recursive query \"{}\" must not contain data-modifying statements",
                        common.name
                    );
                    let error = SqlError::new(SqlState::INVALID_RECURSION, message);
                    return Err(self.locate(error, common.location));
                }
                common.shared = Some(self.bind_change(statement, common.location)?);
            }
            let is_unread = reads == 0 && common.shared.is_none();
            self.common_tables.push(common);
            if is_unread {
                // Nobody asks for its rows; what is wrong with it is said all the same.
                self.bind_common_table(self.common_tables.len() - 1, None)?;
            }
        }
        Ok(())
    }

    /// 42712 for a name that two common tables have.
    fn refuse_repeated(&self, tables: &[ast::Cte]) -> Result<()> {
        let mut known = HashSet::new();
        for table in tables {
            let wanted = name::fold(&table.alias.name);
            if !known.insert(wanted.clone()) {
                let message = format!("WITH query name \"{wanted}\" specified more than once");
                let error = SqlError::new(SqlState::DUPLICATE_ALIAS, message);
                return Err(self.locate(error, table.alias.name.span.start));
            }
        }
        Ok(())
    }

    /// The common tables of WITH RECURSIVE, those that others read before these.
    ///
    /// # Errors
    /// 0A000 where two read each other.
    fn ordered<'t>(&self, tables: &'t [ast::Cte]) -> Result<Vec<&'t ast::Cte>> {
        let reads = |table: &ast::Cte, other: &ast::Cte| {
            !std::ptr::eq(table, other) && mentions(&table.query, &name::fold(&other.alias.name)) > 0
        };
        let mut waiting: Vec<&ast::Cte> = tables.iter().collect();
        let mut ordered = Vec::new();
        while !waiting.is_empty() {
            let is_ready = |table: &&&ast::Cte| !waiting.iter().any(|other| reads(table, other));
            let Some(ready) = waiting.iter().position(|table| is_ready(&table)) else {
                let error = SqlError::unsupported("mutual recursion between WITH items is not implemented");
                return Err(self.locate(error, waiting[0].alias.name.span.start));
            };
            ordered.push(waiting.remove(ready));
        }
        Ok(ordered)
    }

    /// Takes in the common tables of a statement that is no query.
    ///
    /// # Errors
    /// As binding them.
    pub fn bind_statement_with(&mut self, query: &ast::Query) -> Result<()> {
        query.with.as_ref().map_or(Ok(()), |with| self.bind_with(with, query))
    }

    /// What WITH changes, in its order.
    pub fn take_changes(&mut self) -> Vec<(usize, BoundChange)> {
        std::mem::take(&mut self.changes)
    }

    /// A statement that changes rows, of a WITH item whose name stands at `place`.
    fn bind_change(&mut self, statement: &Statement, place: Location) -> Result<Shared> {
        if self.levels.len() > 1 {
            let error = SqlError::unsupported(
                "WITH clause containing a data-modifying statement must be at the top level",
            );
            return Err(self.locate(error, place));
        }
        // It sees nothing of the query that it stands before.
        let levels = std::mem::take(&mut self.levels);
        let change = match statement {
            Statement::Insert(insert) => self.bind_insert(insert, None).map(BoundChange::Insert),
            Statement::Update(update) => self.bind_update(update).map(BoundChange::Update),
            Statement::Delete(delete) => self.bind_delete(delete).map(BoundChange::Delete),
            _ => Err(self.locate(SqlError::unsupported("MERGE not supported in WITH query"), place)),
        };
        self.levels = levels;
        let change = change?;
        let columns = change
            .returning()
            .map(|columns| columns.iter().map(|each| (each.name.clone(), each.data_type)).collect());
        let table = self.next_working_table;
        self.next_working_table += 1;
        self.changes.push((table, change));
        Ok(Shared { table, columns, definition: None })
    }

    pub(super) fn bind_common_table(&mut self, position: usize, alias: Option<&TableAlias>) -> Result<Item> {
        if let Some((plan, columns)) = self.bind_working_table(position)? {
            let base = self.common_tables[position].name.clone();
            let relation = aliased(alias, &base, None, columns, Vec::new())?;
            return Ok(Item { plan, scope: Scope::of(relation), lateral: Vec::new() });
        }
        if let Some(shared) = self.common_tables[position].shared.clone() {
            return self.shared_item(position, &shared, alias);
        }
        let common = &self.common_tables[position];
        let query = common.query.clone();
        let (visible, is_recursive, is_shared) = (common.visible, common.is_recursive, common.is_shared);
        let hidden = self.common_tables.split_off(visible + usize::from(is_recursive));
        let unreachable = hidden.iter().map(|later| later.name.clone()).collect();
        let unreachable = std::mem::replace(&mut self.unreachable, unreachable);
        let bound =
            if is_recursive { self.bind_recursive(position, &query) } else { self.bind_inner(&query) };
        self.common_tables.truncate(visible + usize::from(is_recursive));
        self.common_tables.extend(hidden);
        self.unreachable = unreachable;
        let (bound, correlations) = bound?;
        let is_working = |plan: &Logical| matches!(plan, Logical::WorkingTable { .. });
        if is_shared
            && correlations.is_empty()
            && (is_recursive || !any_input(&bound.plan, &is_working))
            && !reads_outer(&bound.plan)
        {
            let bound = self.settle_columns(bound)?;
            let columns = bound.columns.iter();
            let columns = columns.map(|(_, column)| (column.name.clone(), column.data_type)).collect();
            let table = self.next_working_table;
            self.next_working_table += 1;
            let definition = Some(Arc::new(narrow(&bound)));
            let shared = Shared { table, columns: Some(columns), definition };
            self.common_tables[position].shared = Some(shared.clone());
            return self.shared_item(position, &shared, alias);
        }
        let BoundQuery { plan, columns } = bound;
        let columns = columns.into_iter().map(|(id, column)| ScopeColumn {
            id,
            name: column.name,
            data_type: column.data_type,
            source: column.source,
        });
        let relation = self.common_relation(position, columns.collect(), alias)?;
        Ok(Item { plan, scope: Scope::of(relation), lateral: correlations })
    }

    /// A reference to rows that are kept.
    fn shared_item(&mut self, position: usize, shared: &Shared, alias: Option<&TableAlias>) -> Result<Item> {
        let base = self.common_tables[position].name.clone();
        let Some(known) = &shared.columns else {
            return Err(SqlError::unsupported(format!(
                "WITH query \"{base}\" does not have a RETURNING clause"
            )));
        };
        let mut columns = Vec::new();
        let mut scope_columns = Vec::new();
        for (column, data_type) in known {
            let (id, data_type) = (self.column_id(), *data_type);
            columns.push((id, data_type));
            scope_columns.push(ScopeColumn { id, name: column.clone(), data_type, source: None });
        }
        let relation = self.common_relation(position, scope_columns, alias)?;
        let (table, alias) = (shared.table, relation.alias.clone());
        let plan = match &shared.definition {
            Some(definition) => {
                let nodes = nodes(definition);
                self.shared_nodes += nodes;
                if nodes > DEFINITION_NODES_MAX || self.shared_nodes > SHARED_NODES_MAX {
                    return Err(super::too_deep().with_hint(
                        "Common tables that read each other several times make the plan too large.",
                    ));
                }
                Logical::Shared { table, alias, definition: definition.clone(), columns }
            }
            None => Logical::WorkingTable { table, alias, columns },
        };
        Ok(Item { plan, scope: Scope::of(relation), lateral: Vec::new() })
    }

    /// The columns under the names that WITH gives them.
    fn common_relation(
        &self,
        position: usize,
        mut columns: Vec<ScopeColumn>,
        alias: Option<&TableAlias>,
    ) -> Result<super::scope::ScopeRelation> {
        let CommonTable { name: base, columns: names, .. } = &self.common_tables[position];
        if names.len() > columns.len() {
            let error = SqlError::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                format!(
                    "WITH query \"{base}\" has {} columns available but {} columns specified",
                    columns.len(),
                    names.len()
                ),
            );
            return Err(self.locate(error, self.common_tables[position].location));
        }
        for (column, renamed) in columns.iter_mut().zip(names) {
            column.name.clone_from(renamed);
        }
        aliased(alias, base, None, columns, Vec::new())
    }
}

/// How often a relation of a name is read, where the name means what it does outside of the query.
fn mentions(query: &ast::Query, wanted: &str) -> usize {
    let mut inner = query.clone();
    let hidden = hide_shadowed(&mut inner, wanted);
    hidden.iter().map(|query| mentions(query, wanted)).sum::<usize>() + mentions_below(&inner, wanted)
}

/// How often a query whose own WITH items are meant names each relation; `None` where a query in it has a WITH of its
/// own, so that a name may have several meanings.
fn all_mentions(query: &ast::Query) -> Option<HashMap<String, usize>> {
    let (mut counts, mut queries, mut with) = (HashMap::new(), 0, false);
    // Counting does not fail.
    let _ = walk(&mut query.clone(), &mut |node| {
        match node {
            Node::Query(inner) => {
                with |= queries > 0 && inner.with.is_some();
                queries += 1;
            }
            Node::Relation(object) => {
                if let [ast::ObjectNamePart::Identifier(only)] = object.0.as_slice() {
                    *counts.entry(name::fold(only)).or_default() += 1;
                }
            }
            _ => {}
        }
        Ok(())
    });
    (!with).then_some(counts)
}

/// The same of one name.
fn mentions_below(query: &ast::Query, wanted: &str) -> usize {
    let (mut count, mut is_first) = (0, true);
    // Counting does not fail.
    let _ = walk(&mut query.clone(), &mut |node| {
        match node {
            Node::Query(inner) if !std::mem::take(&mut is_first) => {
                count +=
                    hide_shadowed(inner, wanted).iter().map(|query| mentions(query, wanted)).sum::<usize>();
            }
            Node::Relation(object)
                if let [ast::ObjectNamePart::Identifier(only)] = object.0.as_slice()
                    && name::fold(only) == wanted =>
            {
                count += 1;
            }
            _ => {}
        }
        Ok(())
    });
    count
}

/// Empties a query that gives a name another meaning by a WITH item of its own; gives those of its WITH items in which the
/// name still means what it does outside.
pub(super) fn hide_shadowed(query: &mut ast::Query, wanted: &str) -> Vec<ast::Query> {
    let Some(with) = &query.with else { return Vec::new() };
    let is_named = |table: &ast::Cte| name::fold(&table.alias.name) == wanted;
    let Some(at) = with.cte_tables.iter().position(is_named) else { return Vec::new() };
    let outside = if with.recursive { 0 } else { at + 1 };
    let outside = with.cte_tables[..outside].iter().map(|table| (*table.query).clone()).collect();
    query.with = None;
    query.order_by = None;
    query.limit_clause = None;
    *query.body =
        SetExpr::Values(ast::Values { explicit_row: false, value_keyword: false, rows: Vec::new() });
    outside
}
