//! Which moment an AS OF means, and what the catalog was then.

use std::fmt::Display;
use std::sync::Arc;

use helios_mvcc::{Scn, Snapshot, Xid};
use sqlparser::ast;

use super::transaction::lost;
use super::{EPOCH_MICROS, Session};
use crate::binder::{BindEnvironment, Binder, KnownMoment, MomentKind, moment_of};
use crate::catalog::CatalogSnapshot;
use crate::error::{Result, SqlError, SqlState};
use crate::parser::visit::walk_expressions;
use crate::types::DataType;
use crate::value::Datum;
use crate::{execute, parser, plan};

impl Session {
    /// Finds out which moment a clause means, and gets to know its catalog.
    ///
    /// # Errors
    /// Those of evaluating it; 22023 for a moment that there was not, or not yet.
    pub(super) async fn learn_moment(
        &mut self,
        catalog: &CatalogSnapshot,
        environment: &mut BindEnvironment,
        version: &ast::TableVersion,
        text: &str,
        declared: &[DataType],
        parameters: &Arc<[Datum]>,
    ) -> Result<()> {
        let scn = self.find_moment(catalog, environment, version, text, declared, parameters).await?;
        let snapshot = Snapshot { branch: self.branch, scn };
        let then = self.engine.past_catalog(snapshot).await?;
        environment.moments.learn(version, scn, then);
        Ok(())
    }

    async fn find_moment(
        &mut self,
        catalog: &CatalogSnapshot,
        environment: &BindEnvironment,
        version: &ast::TableVersion,
        text: &str,
        declared: &[DataType],
        parameters: &Arc<[Datum]>,
    ) -> Result<Scn> {
        let (kind, expr) = moment_of(version)?;
        if parameters.is_empty() && has_parameters(expr) {
            // Not known before the statement runs: until then it is described as it would be now.
            return Ok(self.engine.store().visible_scn());
        }
        let value = self.evaluate(catalog, environment, kind, expr, text, declared, parameters).await?;
        self.scn_of_moment(kind, &value).await
    }

    /// Whether moments that a statement was planned for still are the same commits, now that it runs.
    ///
    /// # Errors
    /// As [`Session::learn_moment`].
    pub(super) async fn are_same_moments(
        &mut self,
        moments: &[KnownMoment],
        text: &str,
        declared: &[DataType],
        parameters: &Arc<[Datum]>,
    ) -> Result<bool> {
        let catalog = self.current_catalog().await?;
        let environment = self.bind_environment(&catalog);
        for moment in moments {
            let version = &moment.version;
            let scn = self.find_moment(&catalog, &environment, version, text, declared, parameters).await?;
            if scn != moment.scn {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The commit that a moment comes right after.
    pub(super) async fn scn_of_moment(&self, kind: MomentKind, value: &Datum) -> Result<Scn> {
        let store = self.engine.store();
        let invalid = |message: String| SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message);
        match (kind, value) {
            (MomentKind::Timestamp, Datum::TimestampTz(micros)) => {
                let now = self.now();
                if *micros > now {
                    return Err(invalid("AS OF TIMESTAMP lies in the future".into())
                        .with_hint("Leave AS OF out to read what there is now."));
                }
                let since_1970 = u64::try_from(micros.saturating_add(EPOCH_MICROS)).unwrap_or(0);
                let found = store.scn_at(since_1970).await?;
                found.ok_or_else(|| {
                    invalid("AS OF TIMESTAMP lies before the first commit of the database".into())
                        .with_hint("heliosdb_retention() shows since when there is history.")
                })
            }
            (MomentKind::Scn, Datum::Int64(number)) => self.existing_scn(*number),
            (MomentKind::Transaction, Datum::Int64(number)) => {
                let xid = Xid(u64::try_from(*number).unwrap_or(0));
                store.scn_of(xid).await.map_err(|error| match error {
                    helios_mvcc::Error::NoSuchTransaction(_) => invalid(format!(
                        "transaction {number} did not commit"
                    ))
                    .with_hint(
                        "pg_current_xact_id() says the number of the transaction that is running; one that \
                             changed nothing, was rolled back or is still running cannot be gone back to.",
                    ),
                    other => other.into(),
                })
            }
            (kind, _) => Err(SqlError::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                format!("AS OF {} must not be null", kind.word()),
            )
            .with_hint("Leave AS OF out to read what there is now.")),
        }
    }

    /// The commit of a number.
    ///
    /// # Errors
    /// 22023 if there was none.
    pub(super) fn existing_scn(&self, number: impl TryInto<u64> + Copy + Display) -> Result<Scn> {
        let newest = self.engine.store().visible_scn().0;
        match number.try_into().ok().filter(|number| (1..=newest).contains(number)) {
            Some(number) => Ok(Scn(number)),
            None => Err(SqlError::invalid_parameter(format!("SCN {number} does not exist"))
                .with_hint("heliosdb_current_scn() is the newest.")),
        }
    }

    /// The value of an expression that names a moment: a statement of its own, in the transaction that runs.
    #[allow(clippy::too_many_arguments)]
    pub(super) async fn evaluate(
        &mut self,
        catalog: &CatalogSnapshot,
        environment: &BindEnvironment,
        kind: MomentKind,
        expr: &ast::Expr,
        text: &str,
        declared: &[DataType],
        parameters: &Arc<[Datum]>,
    ) -> Result<Datum> {
        let plan = {
            let query = query_of(kind, expr)?;
            let mut binder = Binder::new(catalog, environment, text, declared.to_vec());
            let bound = binder.bind_query(&query)?;
            binder.settle_uses();
            let uses = binder.take_uses();
            crate::rights::check_uses(catalog, environment.who, &uses)?;
            crate::rights::check_populated(&uses)?;
            let needed: Vec<_> = bound.columns.iter().map(|(id, _)| *id).collect();
            plan::plan(bound.plan, &needed, &binder.means())?
        };
        let environment = self.begin_statement().await?;
        let mut operator = execute::build(&plan);
        let mut execution = self.lend(environment, parameters.clone())?;
        let mut value = Datum::Null;
        let result = loop {
            match operator.next(&mut execution).await {
                Ok(Some(batch)) if batch.row_count > 0 => value = batch.columns[0].get(0),
                Ok(Some(_)) => {}
                Ok(None) => break Ok(value),
                Err(error) => break Err(error),
            }
        };
        self.take_back(execution)?;
        result
    }
}

/// `SELECT expr::type`.
fn query_of(kind: MomentKind, expr: &ast::Expr) -> Result<Box<ast::Query>> {
    let name = match kind {
        MomentKind::Timestamp => "timestamptz",
        MomentKind::Transaction | MomentKind::Scn => "bigint",
    };
    let mut query = parser::parse_query(&format!("SELECT CAST(NULL AS {name})"))?;
    let mut found = false;
    walk_expressions(&mut *query, &mut |each| {
        if let ast::Expr::Cast { expr: inner, .. } = each
            && !found
        {
            found = true;
            **inner = expr.clone();
        }
        Ok(())
    })?;
    if found { Ok(query) } else { Err(lost()) }
}

fn has_parameters(expr: &ast::Expr) -> bool {
    let mut found = false;
    let walked = walk_expressions(&mut expr.clone(), &mut |each| {
        found |=
            matches!(each, ast::Expr::Value(ast::ValueWithSpan { value: ast::Value::Placeholder(_), .. }));
        Ok(())
    });
    walked.is_ok() && found
}
