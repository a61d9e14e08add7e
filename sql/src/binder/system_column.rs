//! The columns that PostgreSQL's tables have beside their own: `tableoid`, `ctid`, `xmin`, `xmax`, `cmin`, `cmax`.
//!
//! `ctid` is made of the row's key, which a scan gives where it is asked for. `xmin` is looked up: a subquery over a function
//! in FROM, since evaluation cannot wait. A row that can be seen was never deleted, and no row tells the place of its
//! command, so the others are 0.

use sqlparser::ast;
use sqlparser::tokenizer::Location;

use super::Binder;
use super::expression::unless_absent;
use super::literal::constant;
use super::scope::{RowPlace, ScopeRelation, ambiguous};
use crate::catalog::is_system_column;
use crate::error::{Result, SqlError};
use crate::expr::Expr;
use crate::functions::{CastContext, row_place};
use crate::plan::logical::{ColumnId, Correlation, Logical, NeededColumns, TableFunction};
use crate::relations::ROW_WRITER;
use crate::types::{DataType, oids};
use crate::value::Datum;

impl Binder<'_> {
    /// A system column of the relation of that alias, or of the only one there is.
    pub(super) fn system_column(
        &mut self,
        level: usize,
        column: &str,
        alias: Option<&str>,
        location: Location,
    ) -> Result<Option<Expr>> {
        if !is_system_column(column) {
            return Ok(None);
        }
        let Some(scope) = self.levels.get(level).map(|level| &level.scope) else { return Ok(None) };
        let relation = match (alias, scope.relations.as_slice()) {
            (Some(alias), _) => scope.relation(None, alias),
            (None, [only]) => Some(only),
            (None, several) => {
                if several.iter().filter(|relation| relation.place != RowPlace::Nowhere).nth(1).is_some() {
                    return Err(self.locate(ambiguous(column), location));
                }
                None
            }
        };
        let Some(relation) = relation.cloned() else { return Ok(None) };
        let Some(table) = relation.table else { return Ok(None) };
        let is_there = column == "tableoid" || relation.place != RowPlace::Nowhere;
        if !is_there {
            return Ok(None);
        }
        let value =
            self.system_value(level, column, &relation, table).map_err(|e| self.locate(e, location))?;
        let data_type = value.data_type();
        // Keys are absent with their rows; what does not read them has to be told.
        if !relation.is_optional || column == "ctid" || column == "xmin" {
            return Ok(Some(value));
        }
        let shape = self.row_shape(&relation);
        let fields = relation.columns.iter().map(|column| self.reference(level, column, location)).collect();
        Ok(Some(unless_absent(Expr::Row { fields, shape }, value, data_type)))
    }

    fn system_value(
        &mut self,
        level: usize,
        column: &str,
        relation: &ScopeRelation,
        table: u32,
    ) -> Result<Expr> {
        let unknown = || SqlError::unsupported(format!("system column \"{column}\" is not known here"));
        let zero = |oid| Ok(constant(Datum::Oid(0), DataType::of(oid)));
        match (column, relation.place) {
            ("tableoid", _) => Ok(constant(Datum::Oid(table), DataType::OID)),
            (_, RowPlace::Gone | RowPlace::Nowhere) => Err(unknown()),
            ("xmax", RowPlace::Written { xmax: Some(id) }) => {
                Ok(Expr::Column { index: id, data_type: DataType::of(oids::XID) })
            }
            ("xmax", _) => zero(oids::XID),
            ("cmin" | "cmax", _) => zero(oids::CID),
            ("xmin", RowPlace::Written { .. }) => {
                let own = self.call_named("pg_current_xact_id", Vec::new())?;
                self.coerce(own, DataType::of(oids::XID), CastContext::Explicit)
            }
            ("ctid", RowPlace::Key(key)) => {
                let entry = self.catalog.expect_table(table)?;
                let function = row_place(entry.table.primary_key.is_empty());
                let key = self.row_key_at(level, key);
                Ok(Expr::call(function, vec![key], DataType::of(oids::TID)))
            }
            ("xmin", RowPlace::Key(key)) => {
                // One look-up serves all who name it, and is grouped as a column is.
                let named = ast::Expr::Identifier(ast::Ident::new(format!("xmin {key}")));
                self.bind_once(&named, |binder| {
                    let key = binder.row_key_at(level, key);
                    binder.row_writer(table, key)
                })
            }
            _ => Err(unknown()),
        }
    }

    /// The key of a row, of this level or of one outside.
    fn row_key_at(&mut self, level: usize, key: ColumnId) -> Expr {
        if level + 1 == self.levels.len() {
            return Expr::Column { index: key, data_type: DataType::BYTEA };
        }
        self.outer_reference(level, key, DataType::BYTEA)
    }

    /// The subquery that looks a row's transaction up.
    fn row_writer(&mut self, table: u32, key: Expr) -> Result<Expr> {
        let mut correlations = Vec::new();
        let key = match key {
            Expr::Column { index: column, data_type } => {
                let slot = self.next_slot;
                self.next_slot += 1;
                correlations.push(Correlation { slot, column });
                Expr::Outer { index: slot, data_type }
            }
            outer => outer,
        };
        let arguments = vec![constant(Datum::Oid(table), DataType::OID), key];
        let (output, data_type) = (self.column_id(), DataType::of(oids::XID));
        let plan = Logical::FunctionScan {
            calls: vec![TableFunction::Report {
                function: &ROW_WRITER,
                arguments,
                needed: NeededColumns::ALL,
            }],
            alias: ROW_WRITER.name.to_owned(),
            columns: vec![(output, data_type)],
            ordinality: None,
        };
        self.apply_scalar(plan, correlations, data_type)
    }
}
