//! COPY: rows as text, CSV or in binary, in both directions.

mod binary;
mod decode;
mod encode;
mod file;
mod load;
mod options;

use std::sync::Arc;

use sqlparser::ast;

pub use decode::{CopyDecoder, Fields};
pub use encode::encode_batch;
pub(crate) use file::{of_file, reason};
pub use load::CopyIn;
pub use options::{CopyFormat, CopyOptions};

use crate::binder::{Binder, Relation, RelationKind, name};
use crate::catalog::{ColumnNumber, Table};
use crate::encoding::Encoding;
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::plan::logical::ColumnId;
use crate::plan::physical::PlanNode;
use crate::session::{Action, CopyDirection};
use crate::types::DataType;
use crate::value::Batch;
use crate::write::{NewValue, TableWriter};

/// A COPY ready to run.
pub struct CopyPlan {
    pub options: CopyOptions,
    /// The columns' names and types, in the data's order.
    pub columns: Vec<(String, DataType)>,
    /// The file on this machine that the data comes from or goes to; `None`: the client.
    pub file: Option<String>,
    pub work: CopyWork,
}

/// What a COPY does.
pub enum CopyWork {
    /// Writes rows: where each field goes in the row, and what the other columns get.
    In {
        writer: Arc<TableWriter>,
        positions: Vec<usize>,
        defaults: Vec<NewValue>,
        /// WHERE: which rows are written.
        condition: Option<Expr>,
    },
    Out {
        plan: Box<PlanNode>,
    },
    /// What a query that changes rows gives: its changes, and the query over what they return.
    OutOfChange {
        action: Box<Action>,
    },
}

impl CopyPlan {
    /// Which way it goes.
    #[must_use]
    pub fn direction(&self) -> CopyDirection {
        match self.work {
            CopyWork::In { .. } => CopyDirection::In,
            CopyWork::Out { .. } | CopyWork::OutOfChange { .. } => CopyDirection::Out,
        }
    }

    /// Whether the rows go into a temporary table that lives on after the transaction.
    pub(crate) fn fills_private(&self) -> bool {
        matches!(&self.work, CopyWork::In { writer, .. } if writer.is_private())
    }

    /// Whether the client gets the data.
    #[must_use]
    pub fn gives_to_client(&self) -> bool {
        self.file.is_none() && self.direction() == CopyDirection::Out
    }

    /// The plan of the rows that go out.
    pub(crate) fn source(&self) -> Option<&PlanNode> {
        match &self.work {
            CopyWork::In { .. } | CopyWork::OutOfChange { .. } => None,
            CopyWork::Out { plan } => Some(plan),
        }
    }

    /// What changes rows, of which those that it returns go out.
    pub(crate) fn change(&self) -> Option<&Action> {
        match &self.work {
            CopyWork::OutOfChange { action } => Some(action),
            _ => None,
        }
    }

    /// Adds the changes that its query reads from.
    pub(crate) fn above(mut self, changes: Vec<(usize, Action)>) -> CopyPlan {
        if let CopyWork::Out { plan } = self.work {
            let action = Box::new(Action::Query(*plan));
            self.work = CopyWork::OutOfChange { action: Box::new(Action::With { changes, action }) };
        }
        self
    }

    /// What texts of the data are written in, for a client of some encoding.
    pub(crate) fn encoding(&self, client: Encoding) -> Encoding {
        self.options.encoding.unwrap_or(client)
    }

    /// The header line as a batch, where one goes out to a client of some encoding.
    pub(crate) fn header(&self, client: Encoding) -> Option<Result<Batch>> {
        if self.direction() != CopyDirection::Out {
            return None;
        }
        let header = match self.options.format {
            CopyFormat::Binary => Ok(binary::header()),
            _ if self.options.header => encode::header(&self.options, &self.columns, self.encoding(client)),
            _ => return None,
        };
        Some(encode::lines(std::iter::once(header)))
    }

    /// What goes out behind the rows, as a batch.
    pub(crate) fn trailer(&self) -> Result<Option<Batch>> {
        if self.options.format != CopyFormat::Binary || self.direction() != CopyDirection::Out {
            return Ok(None);
        }
        encode::lines(std::iter::once(Ok(binary::trailer()))).map(Some)
    }
}

/// Plans a COPY.
///
/// # Errors
/// All the errors of binding; 0A000 for programs.
pub fn plan_copy(
    binder: &mut Binder<'_>,
    source: &ast::CopySource,
    to: bool,
    target: &ast::CopyTarget,
    options: CopyOptions,
    condition: Option<&ast::Expr>,
) -> Result<CopyPlan> {
    let file = match target {
        // As in PostgreSQL, the other one's name means the client too.
        ast::CopyTarget::Stdin | ast::CopyTarget::Stdout => None,
        ast::CopyTarget::File { filename } => Some(filename.clone()),
        ast::CopyTarget::Program { .. } => {
            return Err(SqlError::unsupported("COPY to or from a program is not supported")
                .with_hint("psql's \\copy command runs the client's programs."));
        }
    };
    let (columns, work) = if to { plan_out(binder, source)? } else { plan_in(binder, source, condition)? };
    Ok(CopyPlan { options, columns, file, work })
}

/// What a query is that changes rows: it is given a name, and a query over it reads what it returns.
///
/// # Errors
/// 0A000 where it returns nothing.
fn over_change(query: &ast::Query) -> Result<Option<Box<ast::Query>>> {
    let returning = match query.body.as_ref() {
        ast::SetExpr::Insert(ast::Statement::Insert(insert)) => insert.returning.is_some(),
        ast::SetExpr::Update(ast::Statement::Update(update)) => update.returning.is_some(),
        ast::SetExpr::Delete(ast::Statement::Delete(delete)) => delete.returning.is_some(),
        _ => return Ok(None),
    };
    if !returning {
        return Err(SqlError::unsupported("COPY query must have a RETURNING clause"));
    }
    let mut over = crate::parser::parse_query("WITH \"*CHANGE*\" AS (SELECT 1) SELECT * FROM \"*CHANGE*\"")?;
    let mut change = query.clone();
    let around = change.with.take();
    if let Some(with) = &mut over.with {
        if let Some(named) = with.cte_tables.first_mut() {
            *named.query = change;
        }
        if let Some(around) = around {
            with.recursive = around.recursive;
            with.cte_tables.splice(0..0, around.cte_tables);
        }
    }
    Ok(Some(over))
}

/// The columns of the data, and the work.
type Planned = (Vec<(String, DataType)>, CopyWork);

fn plan_out(binder: &mut Binder<'_>, source: &ast::CopySource) -> Result<Planned> {
    let bound = match source {
        ast::CopySource::Query(query) => match over_change(query)? {
            Some(over) => binder.bind_source_query(&over)?,
            None => binder.bind_source_query(query)?,
        },
        ast::CopySource::Table { table_name, columns } => {
            let found = binder.relation(table_name).map_err(SqlError::unplaced)?;
            let kind = found.kind();
            if found.stored_oid().is_some()
                && matches!(kind, RelationKind::View | RelationKind::MaterializedView)
            {
                let message = format!("cannot copy from {} \"{}\"", kind.word(), found.name());
                return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message)
                    .with_hint("Try the COPY (SELECT ...) TO variant."));
            }
            let names: Vec<String> = match (&found, columns.is_empty()) {
                (Relation::Stored(entry), is_all) => {
                    let table = &entry.table;
                    if !is_all {
                        columns.iter().try_for_each(|column| copied_column(table, column).map(|_| ()))?;
                    }
                    let all = table.live_columns().filter(|column| !column.generated);
                    let all = all.map(|column| name::quote(&column.name)).collect();
                    if is_all { all } else { columns.iter().map(ToString::to_string).collect() }
                }
                (_, true) => vec!["*".to_owned()],
                (_, false) => columns.iter().map(ToString::to_string).collect(),
            };
            let list = names.join(", ");
            let text = format!("SELECT {list} FROM {table_name}");
            match crate::parser::parse(&text)?.pop().map(|statement| statement.kind) {
                Some(crate::parser::StatementKind::Sql(statement)) => match *statement {
                    ast::Statement::Query(query) => binder.bind_source_query(&query)?,
                    _ => return Err(SqlError::internal("COPY's query is a query")),
                },
                _ => return Err(SqlError::internal("COPY's query is a query")),
            }
        }
    };
    binder.settle_uses();
    let needed: Vec<ColumnId> = bound.columns.iter().map(|(id, _)| *id).collect();
    let columns = bound.columns.into_iter().map(|(_, column)| (column.name, column.data_type)).collect();
    let plan = Box::new(crate::plan::plan_query(bound.plan, &needed, &binder.means())?);
    Ok((columns, CopyWork::Out { plan }))
}

/// The number of a column that COPY names.
fn copied_column(table: &Table, column: &ast::Ident) -> Result<ColumnNumber> {
    let wanted = name::fold(column);
    let found = table.column(&wanted).ok_or_else(|| {
        SqlError::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{wanted}\" of relation \"{}\" does not exist", table.name),
        )
    })?;
    if found.generated {
        let message = format!("column \"{wanted}\" is a generated column");
        return Err(SqlError::new(SqlState::INVALID_COLUMN_REFERENCE, message)
            .with_detail("Generated columns cannot be used in COPY."));
    }
    Ok(found.number)
}

fn plan_in(
    binder: &mut Binder<'_>,
    source: &ast::CopySource,
    condition: Option<&ast::Expr>,
) -> Result<Planned> {
    let ast::CopySource::Table { table_name, columns } = source else {
        return Err(SqlError::syntax("COPY FROM needs a table"));
    };
    // As in PostgreSQL, errors of the table do not say where its name stands.
    let found = binder.relation(table_name).map_err(SqlError::unplaced)?;
    if found.kind() == RelationKind::MaterializedView {
        let message = format!("cannot copy to materialized view \"{}\"", found.name());
        return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
    }
    let entry = binder.stored_table(table_name).map_err(SqlError::unplaced)?;
    let relation = Relation::Stored(entry.clone());
    binder.note_insert(&relation, None);
    let table = entry.table.clone();
    let mut positions = Vec::new();
    let mut found = Vec::new();
    if columns.is_empty() {
        for column in table.live_columns().filter(|column| !column.generated) {
            positions.push(Table::position(column.number));
        }
    }
    for column in columns {
        let number = copied_column(&table, column)?;
        if positions.contains(&Table::position(number)) {
            return Err(SqlError::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{}\" specified more than once", name::fold(column)),
            ));
        }
        positions.push(Table::position(number));
    }
    binder.note_insert(&relation, positions.iter().map(|position| table.columns[*position].number));
    for position in &positions {
        let column = &table.columns[*position];
        found.push((column.name.clone(), DataType { oid: column.type_oid, typmod: column.type_modifier }));
    }
    let mut defaults = Vec::new();
    for (at, column) in table.columns.iter().enumerate() {
        let filled = positions.contains(&at) || column.dropped;
        defaults.push(NewValue::Default(if filled {
            Expr::Const { value: crate::value::Datum::Null, data_type: DataType::TEXT }
        } else {
            crate::plan::folded(binder.default_of(&table, column)?)
        }));
    }
    let condition =
        condition.map(|each| binder.bind_over_row(&table, each, "COPY FROM WHERE conditions")).transpose()?;
    let writer = Arc::new(TableWriter::new(&entry, binder)?);
    Ok((found, CopyWork::In { writer, positions, defaults, condition }))
}
