//! Walks over parsed statements.
//!
//! `sqlparser` makes a visitor's code anew for each type of visitor, thousands of functions each time: here is the
//! one visitor there is, and what a walk does is a closure.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, ObjectName, Query, TableFactor, VisitMut, VisitorMut};

use crate::error::{Result, SqlError};

/// What a walk meets: a part of the statement, before the parts of that part.
pub enum Node<'a> {
    Query(&'a mut Query),
    /// The query met last that has not ended yet ends here.
    QueryEnd,
    TableFactor(&'a mut TableFactor),
    /// The name of a relation, within its table factor or wherever else one is named.
    Relation(&'a mut ObjectName),
    Expr(&'a mut Expr),
}

/// Shows all parts of a statement, from the outside in, until `meet` gives an error.
///
/// # Errors
/// What `meet` gives.
pub fn walk(root: &mut impl VisitMut, meet: &mut dyn FnMut(Node<'_>) -> Result<()>) -> Result<()> {
    match root.visit(&mut Walker { meet }) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// Shows all expressions, from the outside in.
///
/// # Errors
/// What `meet` gives.
pub fn walk_expressions(
    root: &mut impl VisitMut,
    meet: &mut dyn FnMut(&mut Expr) -> Result<()>,
) -> Result<()> {
    walk(root, &mut |node| match node {
        Node::Expr(expr) => meet(expr),
        _ => Ok(()),
    })
}

struct Walker<'a> {
    meet: &'a mut dyn FnMut(Node<'_>) -> Result<()>,
}

impl Walker<'_> {
    fn show(&mut self, node: Node<'_>) -> ControlFlow<SqlError> {
        match (self.meet)(node) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

impl VisitorMut for Walker<'_> {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        self.show(Node::Query(query))
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<SqlError> {
        self.show(Node::QueryEnd)
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<SqlError> {
        self.show(Node::TableFactor(factor))
    }

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<SqlError> {
        self.show(Node::Relation(relation))
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        self.show(Node::Expr(expr))
    }
}
