//! The constraints of domains: bound when a value is first tested, once for each catalog.

use sqlparser::ast;

use super::scope::{RowPlace, Scope, ScopeColumn, ScopeRelation};
use super::{AggregatesIn, BindEnvironment, Binder};
use crate::catalog::{PG_CATALOG, TypeScope};
use crate::error::{Result, SqlError, SqlState};
use crate::expr::Expr;
use crate::functions::EvalContext;
use crate::types::{DataType, Oid, format_type};
use crate::value::Datum;

/// The clause that errors name.
const CLAUSE: &str = "check constraints";

/// A constraint over a row whose only column is the value.
pub struct BoundCheck {
    name: String,
    condition: Expr,
}

impl Binder<'_> {
    /// Binds a CHECK of a domain, in which `value` stands for a value of `base`.
    ///
    /// # Errors
    /// All the errors of binding.
    pub fn bind_domain_check(&mut self, base: DataType, expr: &ast::Expr) -> Result<Expr> {
        self.modify(|binder| {
            let value = ScopeColumn { id: 0, name: "value".to_string(), data_type: base, source: None };
            let columns = vec![value];
            let relation = ScopeRelation {
                alias: String::new(),
                schema: None,
                columns,
                primary_key: Vec::new(),
                table: None,
                place: RowPlace::Nowhere,
                row_type: None,
                is_optional: false,
            };
            binder.set_scope(Scope::of(relation));
            binder.set_aggregates_in(AggregatesIn::Forbidden(CLAUSE));
            let bound = binder.bind(expr)?;
            let bound = binder.condition(bound, "CHECK")?;
            if binder.collectors.last().is_some_and(|collector| !collector.pending.is_empty()) {
                return Err(SqlError::unsupported("cannot use subquery in check constraint"));
            }
            Ok(bound)
        })
    }
}

/// The constraints of a domain: those of the domains under it come first.
fn bind_checks(scope: &TypeScope<'_>, domain: Oid) -> Result<Vec<BoundCheck>> {
    let mut checks = Vec::new();
    let Some(domain) = scope.catalog.user_type(domain).and_then(|entry| entry.definition.domain()) else {
        return Ok(checks);
    };
    checks.extend(bind_checks(scope, domain.base.oid)?);
    let environment = BindEnvironment { search_path: vec![PG_CATALOG], ..BindEnvironment::default() };
    for check in &domain.checks {
        let expression = crate::parser::parse_expression(&check.expression)?;
        let mut binder = Binder::new(scope.catalog, &environment, &check.expression, Vec::new());
        let condition = binder.bind_domain_check(domain.base, &expression)?;
        checks.push(BoundCheck { name: check.name.clone(), condition });
    }
    Ok(checks)
}

/// Tests a value against a domain and the domains under it.
///
/// # Errors
/// 23502 and 23514; whatever the constraints raise.
pub fn test_domain(
    scope: &TypeScope<'_>,
    domain: Oid,
    value: &Datum,
    context: &EvalContext<'_>,
) -> Result<()> {
    let Some(entry) = scope.catalog.user_type(domain) else { return Ok(()) };
    let shown = || format_type(DataType::of(domain), scope);
    let named = |error: SqlError| {
        let schema = scope.catalog.schema(entry.definition.schema).map_or("", |schema| &schema.name);
        error.with_schema(schema).with_datatype(&*entry.definition.name)
    };
    let mut level = entry.definition.domain();
    while let Some(each) = level {
        if each.not_null && value.is_null() {
            return Err(named(SqlError::new(
                SqlState::NOT_NULL_VIOLATION,
                format!("domain {} does not allow null values", shown()),
            )));
        }
        level = scope.catalog.user_type(each.base.oid).and_then(|under| under.definition.domain());
    }
    let checks = entry.checks.get_or_init(|| bind_checks(scope, domain));
    let row = [value.clone()];
    for check in checks.as_ref().map_err(Clone::clone)? {
        let holds = check.condition.eval_row(&row.as_slice(), context)?;
        if holds == Datum::Bool(false) {
            let message =
                format!("value for domain {} violates check constraint \"{}\"", shown(), check.name);
            return Err(
                named(SqlError::new(SqlState::CHECK_VIOLATION, message)).with_constraint(&*check.name)
            );
        }
    }
    Ok(())
}
