//! SEARCH and CYCLE of WITH RECURSIVE: columns that a recursive query carries along beside its own.
//!
//! 1. A depth-first search carries the rows on the way as an array, a breadth-first one how far it is.
//! 2. CYCLE carries whether a row is on its own way, and the way; rows that are go no further.
//! 3. Nobody can name these columns within the query. So the step gives them unchanged, from the row it came from; above
//!    it they are computed anew.

use sqlparser::ast::{self, SetExpr, TableFactor};
use sqlparser::tokenizer::Location;

use super::literal::constant;
use super::recursive::Working;
use super::{Binder, BoundQuery, ResultColumn, name};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::parser::{CYCLE, SEARCH_BREADTH, SEARCH_DEPTH, marked};
use crate::plan::logical::{ColumnId, Computed, Logical};
use crate::types::{DataType, oids};
use crate::value::Datum;

/// The array of the rows on the way.
const PATH: DataType = DataType::of(oids::RECORD_ARRAY);

/// SEARCH … SET.
#[derive(Clone)]
struct Search {
    depth_first: bool,
    columns: Vec<String>,
    sequence: String,
    location: Location,
}

/// CYCLE … SET … USING.
#[derive(Clone)]
struct Cycle {
    columns: Vec<String>,
    mark: String,
    path: String,
    value: ast::Expr,
    default: ast::Expr,
    location: Location,
}

/// What stands behind a common table's query.
#[derive(Clone, Default)]
pub(super) struct Following {
    search: Option<Search>,
    cycle: Option<Cycle>,
}

/// The values of CYCLE's mark, bound.
struct Marks {
    value: Expr,
    default: Expr,
}

/// The carried columns: their names, and their values in the first rows.
pub(super) struct Carried {
    names: Vec<String>,
    first: Vec<Expr>,
    marks: Option<Marks>,
}

/// Takes the clauses out of a query's ORDER BY, where the parser put them.
pub(super) fn take(query: &mut ast::Query) -> Following {
    let mut following = Following::default();
    let Some(ast::OrderBy { kind: ast::OrderByKind::Expressions(keys), .. }) = &query.order_by else {
        return following;
    };
    for key in keys {
        let ast::Expr::Function(call) = &key.expr else { return Following::default() };
        let Some(kind) = name::last(&call.name).and_then(marked) else { return Following::default() };
        let ast::FunctionArguments::List(list) = &call.args else { return Following::default() };
        let arguments: Vec<&ast::Expr> =
            list.args.iter().filter_map(|each| super::call::argument_expr(each).ok()).collect();
        let location = name::location(&call.name);
        let folded = |expr: &&ast::Expr| match expr {
            ast::Expr::Identifier(identifier) => name::fold(identifier),
            other => other.to_string(),
        };
        match (kind, arguments.as_slice()) {
            (SEARCH_DEPTH | SEARCH_BREADTH, [sequence, columns @ ..]) => {
                following.search = Some(Search {
                    depth_first: kind == SEARCH_DEPTH,
                    columns: columns.iter().map(folded).collect(),
                    sequence: folded(sequence),
                    location,
                });
            }
            (CYCLE, [mark, path, value, default, columns @ ..]) => {
                following.cycle = Some(Cycle {
                    columns: columns.iter().map(folded).collect(),
                    mark: folded(mark),
                    path: folded(path),
                    value: (*value).clone(),
                    default: (*default).clone(),
                    location,
                });
            }
            _ => return Following::default(),
        }
    }
    query.order_by = None;
    following
}

impl Following {
    /// Whether there is none of them.
    pub(super) fn is_empty(&self) -> bool {
        self.search.is_none() && self.cycle.is_none()
    }

    /// Tests the names of columns.
    fn check(&self, columns: &[String]) -> std::result::Result<(), (SqlError, Location)> {
        let syntax = |location: Location, message: String| Err((SqlError::syntax(message), location));
        let known = |wanted: &String| columns.contains(wanted);
        let listed = |what: &str, wanted: &[String], location: Location| {
            for (at, column) in wanted.iter().enumerate() {
                if !known(column) {
                    return syntax(
                        location,
                        format!("{what} column \"{column}\" not in WITH query column list"),
                    );
                }
                if wanted[..at].contains(column) {
                    let message = format!("{what} column \"{column}\" specified more than once");
                    return Err((SqlError::new(SqlState::DUPLICATE_COLUMN, message), location));
                }
            }
            Ok(())
        };
        let used = |what: &str, column: &String, location: Location| {
            let message = format!("{what} column name \"{column}\" already used in WITH query column list");
            if known(column) { syntax(location, message) } else { Ok(()) }
        };
        if let Some(search) = &self.search {
            listed("search", &search.columns, search.location)?;
            used("search sequence", &search.sequence, search.location)?;
        }
        let Some(cycle) = &self.cycle else { return Ok(()) };
        listed("cycle", &cycle.columns, cycle.location)?;
        used("cycle mark", &cycle.mark, cycle.location)?;
        used("cycle path", &cycle.path, cycle.location)?;
        let alike = |one: &str, other: &str, location: Location| {
            syntax(location, format!("{one} column name and {other} column name are the same"))
        };
        if cycle.mark == cycle.path {
            return alike("cycle mark", "cycle path", cycle.location);
        }
        match &self.search {
            Some(search) if search.sequence == cycle.mark => {
                alike("search sequence", "cycle mark", search.location)
            }
            Some(search) if search.sequence == cycle.path => {
                alike("search sequence", "cycle path", search.location)
            }
            _ => Ok(()),
        }
    }
}

/// 0A000 where a query that carries columns has not the form that these can go through.
pub(super) fn check_form(own: &str, left: &SetExpr, right: &SetExpr) -> std::result::Result<(), SqlError> {
    let unlike = |side: &str| {
        SqlError::unsupported(format!(
            "with a SEARCH or CYCLE clause, the {side} side of the UNION must be a SELECT"
        ))
    };
    if !matches!(left, SetExpr::Select(_) | SetExpr::Values(_)) {
        return Err(unlike("left"));
    }
    let SetExpr::Select(select) = right else { return Err(unlike("right")) };
    let is_own = |factor: &TableFactor| {
        matches!(factor, TableFactor::Table { name: object, .. }
        if name::last(object).is_some_and(|last| object.0.len() == 1 && name::fold(last) == own))
    };
    let mut factors = select.from.iter().flat_map(|tables| {
        std::iter::once(&tables.relation).chain(tables.joins.iter().map(|join| &join.relation))
    });
    if factors.any(is_own) {
        return Ok(());
    }
    Err(SqlError::unsupported(format!(
        "with a SEARCH or CYCLE clause, the recursive reference to WITH query \"{own}\" must be at the top level of its right-hand SELECT"
    )))
}

impl Binder<'_> {
    /// What a recursive query carries along, over the columns of its first rows.
    pub(super) fn carried(
        &mut self,
        following: &Following,
        names: &[String],
        seed: &BoundQuery,
    ) -> Result<Carried> {
        following.check(names).map_err(|(error, location)| self.locate(error, location))?;
        let columns = columns_of(names, seed);
        let (mut carried_names, mut first, mut marks) = (Vec::new(), Vec::new(), None);
        if let Some(search) = &following.search {
            carried_names.push(search.sequence.clone());
            first.push(if search.depth_first {
                path_of(row_of(&columns, &search.columns))
            } else {
                constant(Datum::Int64(0), DataType::INT8)
            });
        }
        if let Some(cycle) = &following.cycle {
            let (value, default) = (self.bind(&cycle.value)?, self.bind(&cycle.default)?);
            let (mut both, _) = self
                .unify(vec![value, default], "CYCLE")
                .map_err(|error| self.locate(error, ast::Spanned::span(&cycle.default).start))?;
            let default = both.remove(1);
            carried_names.extend([cycle.mark.clone(), cycle.path.clone()]);
            first.extend([default.clone(), path_of(row_of(&columns, &cycle.columns))]);
            marks = Some(Marks { value: both.remove(0), default });
        }
        Ok(Carried { names: carried_names, first, marks })
    }

    /// The first rows with the carried columns.
    pub(super) fn carry_first(&mut self, seed: BoundQuery, carried: &Carried) -> BoundQuery {
        let more = carried.names.iter().cloned().zip(carried.first.iter().cloned()).collect();
        self.with_columns(seed, more)
    }

    /// The step, which gives the carried columns of the rows that it reads; rows on their own way it does not read.
    pub(super) fn carry_through(
        &mut self,
        step: BoundQuery,
        working: &Working,
        carried: &Carried,
    ) -> Result<BoundQuery> {
        let BoundQuery { plan, mut columns } = step;
        let Logical::Project { mut input, mut outputs } = plan else {
            return Err(SqlError::unsupported(
                "with a SEARCH or CYCLE clause, the right side of the UNION must be a plain SELECT",
            ));
        };
        let column = |at: usize| -> Expr {
            let (id, data_type) = working.hidden[at];
            Expr::Column { index: id, data_type }
        };
        if let Some(Marks { value, .. }) = &carried.marks {
            let mark = column(working.hidden.len() - 2);
            let goes_on = self.operate_unlocated("<>", Some(mark), value.clone())?;
            input = Box::new(Logical::Filter { input, predicates: vec![goes_on] });
        }
        for (at, name) in carried.names.iter().enumerate() {
            let expr = column(at);
            let id = self.column_id();
            let data_type = expr.data_type();
            columns.push((id, ResultColumn { name: name.clone(), data_type, source: None }));
            outputs.push(Computed { id, expr });
        }
        Ok(BoundQuery { plan: Logical::Project { input, outputs }, columns })
    }

    /// The step's rows with the carried columns as they are there.
    pub(super) fn carry_on(
        &mut self,
        following: &Following,
        names: &[String],
        mut step: BoundQuery,
        carried: &Carried,
    ) -> Result<BoundQuery> {
        let brought = step.columns.split_off(step.columns.len() - carried.names.len());
        let mut brought = brought.iter().map(|(id, column)| (*id, column.data_type)).map(column_expr);
        let columns = columns_of(names, &step);
        let mut more = Vec::new();
        if let Some(search) = &following.search
            && let Some(before) = brought.next()
        {
            more.push(if search.depth_first {
                let row = row_of(&columns, &search.columns);
                self.operate_unlocated("||", Some(before), row)?
            } else {
                let one = constant(Datum::Int64(1), DataType::INT8);
                self.operate_unlocated("+", Some(before), one)?
            });
        }
        if let (Some(cycle), Some(Marks { value, default }), Some(_), Some(path)) =
            (&following.cycle, &carried.marks, brought.next(), brought.next())
        {
            let row = row_of(&columns, &cycle.columns);
            let is_on_way = self.is_among(row.clone(), path.clone())?;
            more.push(Expr::Case {
                branches: vec![(is_on_way, value.clone())],
                otherwise: Some(Box::new(default.clone())),
                data_type: default.data_type(),
            });
            more.push(self.operate_unlocated("||", Some(path), row)?);
        }
        Ok(self.with_columns(step, carried.names.iter().cloned().zip(more).collect()))
    }

    /// The result: how far a breadth-first search was becomes a row with the columns that it goes by.
    pub(super) fn carried_result(
        &mut self,
        following: &Following,
        names: &[String],
        bound: BoundQuery,
    ) -> BoundQuery {
        let Some(search) = following.search.as_ref().filter(|search| !search.depth_first) else {
            return bound;
        };
        let BoundQuery { plan, columns } = bound;
        let mut outputs = Vec::new();
        let mut given = Vec::new();
        for (at, (id, column)) in columns.iter().enumerate() {
            let mut expr = column_expr((*id, column.data_type));
            if at == names.len() {
                let by = row_fields(&columns_named(names, &columns), &search.columns);
                expr = super::call::row(std::iter::once(expr).chain(by).collect());
            }
            let id = self.column_id();
            given.push((id, ResultColumn { data_type: expr.data_type(), ..column.clone() }));
            outputs.push(Computed { id, expr });
        }
        BoundQuery { plan: Logical::Project { input: Box::new(plan), outputs }, columns: given }
    }

    /// A query with more columns, over its own.
    fn with_columns(&mut self, bound: BoundQuery, more: Vec<(String, Expr)>) -> BoundQuery {
        let BoundQuery { plan, mut columns } = bound;
        let own = columns.iter().map(|(id, column)| (*id, column.data_type));
        let mut outputs: Vec<Computed> = Vec::new();
        for (id, data_type) in own {
            if outputs.iter().all(|known| known.id != id) {
                outputs.push(Computed { id, expr: column_expr((id, data_type)) });
            }
        }
        for (name, expr) in more {
            let id = self.column_id();
            columns.push((id, ResultColumn { name, data_type: expr.data_type(), source: None }));
            outputs.push(Computed { id, expr });
        }
        BoundQuery { plan: Logical::Project { input: Box::new(plan), outputs }, columns }
    }
}

/// A query's columns under the names that WITH gives them.
type Named = Vec<(String, Expr)>;

fn columns_of(names: &[String], bound: &BoundQuery) -> Named {
    columns_named(names, &bound.columns)
}

fn columns_named(names: &[String], columns: &[(ColumnId, ResultColumn)]) -> Named {
    let exprs = columns.iter().map(|(id, column)| column_expr((*id, column.data_type)));
    names.iter().cloned().zip(exprs).collect()
}

fn column_expr((index, data_type): (ColumnId, DataType)) -> Expr {
    Expr::Column { index, data_type }
}

fn row_fields(columns: &Named, wanted: &[String]) -> Vec<Expr> {
    let find = |name: &String| columns.iter().find(|(each, _)| each == name).map(|(_, expr)| expr.clone());
    wanted.iter().filter_map(find).collect()
}

fn row_of(columns: &Named, wanted: &[String]) -> Expr {
    super::call::row(row_fields(columns, wanted))
}

/// A way of one row.
fn path_of(row: Expr) -> Expr {
    Expr::Array { elements: vec![row], data_type: PATH }
}
