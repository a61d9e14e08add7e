//! Where a recursive query may name itself: once, behind the UNION, where each of its rows counts by itself.

use sqlparser::ast::{self, JoinOperator, SetExpr, SetOperator, TableFactor};
use sqlparser::tokenizer::Location;

use super::common_table::hide_shadowed;
use super::name;
use crate::error::{Result, SqlError, SqlState};
use crate::parser::visit::{Node, walk};

/// An error, and where it stands.
pub(super) type Misplaced = (SqlError, Location);

/// Looks at all places where a query names itself.
struct Search<'a> {
    wanted: &'a str,
    is_aggregate: &'a dyn Fn(&str) -> bool,
    /// References that are where they may be.
    found: usize,
}

/// Tests the query of a common table that names itself.
///
/// # Errors
/// 42P19, and 0A000 for clauses that a recursive query cannot have.
pub(super) fn check(
    wanted: &str,
    query: &ast::Query,
    is_aggregate: &dyn Fn(&str) -> bool,
) -> std::result::Result<(), Misplaced> {
    let SetExpr::SetOperation { left, op: SetOperator::Union, right, .. } = query.body.as_ref() else {
        return Ok(());
    };
    let mut search = Search { wanted, is_aggregate, found: 0 };
    if let Some(with) = &query.with {
        for table in &with.cte_tables {
            search.query(&table.query, Some("a subquery"))?;
        }
    }
    let clause = |what: &str, location| {
        let error = SqlError::unsupported(format!("{what} in a recursive query is not implemented"));
        Err((error, location))
    };
    if let Some(ast::OrderBy { kind: ast::OrderByKind::Expressions(keys), .. }) = &query.order_by
        && let Some(key) = keys.first()
    {
        return clause("ORDER BY", super::expression::start_of(&key.expr));
    }
    if let Some(ast::LimitClause::LimitOffset { limit, offset, .. }) = &query.limit_clause {
        if let Some(offset) = offset {
            return clause("OFFSET", ast::Spanned::span(&offset.value).start);
        }
        if let Some(limit) = limit {
            return clause("LIMIT", ast::Spanned::span(limit).start);
        }
    }
    if query.fetch.is_some() {
        return clause("LIMIT", Location::empty());
    }
    if !query.locks.is_empty() {
        return clause("FOR UPDATE/SHARE", Location::empty());
    }
    search.set_expr(left, Some("its non-recursive term"))?;
    search.set_expr(right, None)
}

impl Search<'_> {
    /// `within` says what keeps the query from naming itself there.
    fn query(
        &mut self,
        query: &ast::Query,
        within: Option<&'static str>,
    ) -> std::result::Result<(), Misplaced> {
        let mut inner = query.clone();
        for hidden in hide_shadowed(&mut inner, self.wanted) {
            self.query(&hidden, within)?;
        }
        for table in inner.with.iter().flat_map(|with| &with.cte_tables) {
            self.query(&table.query, within)?;
        }
        self.set_expr(&inner.body, within)
    }

    fn set_expr(
        &mut self,
        expr: &SetExpr,
        within: Option<&'static str>,
    ) -> std::result::Result<(), Misplaced> {
        match expr {
            SetExpr::Query(query) => self.query(query, within),
            SetExpr::SetOperation { left, op, set_quantifier, right } => {
                let is_all = *set_quantifier == ast::SetQuantifier::All;
                let (on_left, on_right) = match op {
                    SetOperator::Intersect if is_all => (Some("INTERSECT"), Some("INTERSECT")),
                    SetOperator::Except | SetOperator::Minus => (is_all.then_some("EXCEPT"), Some("EXCEPT")),
                    _ => (None, None),
                };
                self.set_expr(left, within.or(on_left))?;
                self.set_expr(right, within.or(on_right))
            }
            SetExpr::Select(select) => {
                let before = self.found;
                for table in &select.from {
                    self.joins(table, within)?;
                }
                let is_direct = self.found > before;
                self.subqueries(&ast::Select { from: Vec::new(), ..(**select).clone() }, is_direct, within)
            }
            other => self.subqueries(other, false, within),
        }
    }

    fn joins(
        &mut self,
        table: &ast::TableWithJoins,
        within: Option<&'static str>,
    ) -> std::result::Result<(), Misplaced> {
        const OUTER: Option<&str> = Some("an outer join");
        let keeps_right = |join: &ast::Join| {
            matches!(
                join.join_operator,
                JoinOperator::Right(_) | JoinOperator::RightOuter(_) | JoinOperator::FullOuter(_)
            )
        };
        let keeps_left = |join: &ast::Join| {
            matches!(
                join.join_operator,
                JoinOperator::Left(_) | JoinOperator::LeftOuter(_) | JoinOperator::FullOuter(_)
            )
        };
        let nullable = |after: &[ast::Join]| after.iter().any(keeps_right).then_some(OUTER).flatten();
        self.factor(&table.relation, within.or(nullable(&table.joins)))?;
        for (at, join) in table.joins.iter().enumerate() {
            let own = keeps_left(join).then_some(OUTER).flatten();
            self.factor(&join.relation, within.or(own).or(nullable(&table.joins[at + 1..])))?;
            self.subqueries(&join.join_operator, false, within)?;
        }
        Ok(())
    }

    fn factor(
        &mut self,
        factor: &TableFactor,
        within: Option<&'static str>,
    ) -> std::result::Result<(), Misplaced> {
        match factor {
            TableFactor::Table { name: object, args: None, .. } => {
                if !self.is_self(object) {
                    return Ok(());
                }
                self.found += 1;
                let problem = match within {
                    Some(within) => format!("must not appear within {within}"),
                    None if self.found > 1 => "must not appear more than once".to_string(),
                    None => return Ok(()),
                };
                Err(self.misplaced(&problem, object))
            }
            TableFactor::Derived { subquery, .. } => self.query(subquery, within),
            TableFactor::NestedJoin { table_with_joins, .. } => self.joins(table_with_joins, within),
            other => self.subqueries(other, false, within),
        }
    }

    /// What is left of a query: where its expressions hold queries, these may not name it; and where it reads its own
    /// rows itself, it may not aggregate them.
    fn subqueries<T: ast::VisitMut + Clone>(
        &self,
        part: &T,
        reads_itself: bool,
        within: Option<&'static str>,
    ) -> std::result::Result<(), Misplaced> {
        let mut misplaced = None;
        let mut depth = 0usize;
        // What is found is no failure of the walk.
        let _ = walk(&mut part.clone(), &mut |node| {
            match node {
                Node::Query(query) => {
                    depth += 1;
                    hide_shadowed(query, self.wanted);
                }
                Node::QueryEnd => depth = depth.saturating_sub(1),
                Node::Relation(object) if misplaced.is_none() && self.is_self(object) => {
                    let within = within.unwrap_or("a subquery");
                    misplaced = Some(self.misplaced(&format!("must not appear within {within}"), object));
                }
                Node::Expr(ast::Expr::Function(call))
                    if misplaced.is_none()
                        && reads_itself
                        && depth == 0
                        && call.over.is_none()
                        && self.aggregates(&call.name) =>
                {
                    let message = "aggregate functions are not allowed in a recursive query's recursive term";
                    let error = SqlError::new(SqlState::INVALID_RECURSION, message);
                    misplaced = Some((error, name::location(&call.name)));
                }
                _ => {}
            }
            Result::Ok(())
        });
        misplaced.map_or(Ok(()), Err)
    }

    fn aggregates(&self, function: &ast::ObjectName) -> bool {
        name::split(function).is_ok_and(|(_, base)| (self.is_aggregate)(&base))
    }

    fn is_self(&self, object: &ast::ObjectName) -> bool {
        matches!(object.0.as_slice(), [ast::ObjectNamePart::Identifier(only)] if name::fold(only) == self.wanted)
    }

    fn misplaced(&self, problem: &str, object: &ast::ObjectName) -> Misplaced {
        let message = format!("recursive reference to query \"{}\" {problem}", self.wanted);
        (SqlError::new(SqlState::INVALID_RECURSION, message), name::location(object))
    }
}
