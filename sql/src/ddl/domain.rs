//! CREATE DOMAIN and ALTER DOMAIN.

use sqlparser::ast::{self, Expr, ObjectName};

use super::Ddl;
use super::default;
use super::user_type::{altered, array_name, new_name};
use crate::binder::{data_type, name};
use crate::catalog::PG_TYPE;
use crate::catalog::{ColumnIdentity, Domain, DomainCheck, TableColumn, TypeDefinition, UserType};
use crate::error::{Result, SqlError, SqlState};
use crate::functions::EvalContext;
use crate::parser::{DomainChange, DomainClause, DomainClauseKind};
use crate::types::{Category, DataType, Representation, TypeCatalog, TypeShape, format_type};
use crate::value::Datum;
use crate::write;

pub async fn create(
    ddl: &mut Ddl,
    object: &ObjectName,
    base: &ast::DataType,
    clauses: &[DomainClause],
    text: &str,
) -> Result<()> {
    let (schema, base_name) = new_name(ddl, object).await?;
    let base = data_type::resolve(base, &ddl.types())?;
    refuse_base(ddl, base)?;
    ddl.check_may_use_type(base)?;
    let mut domain = Domain { base, not_null: false, default: None, checks: Vec::new() };
    let (mut nullable, mut has_default) = (None, false);
    for clause in clauses {
        match &clause.kind {
            DomainClauseKind::Default(expr) => {
                if std::mem::replace(&mut has_default, true) {
                    return Err(SqlError::syntax("multiple default expressions"));
                }
                domain.default = stored_default(ddl, &base_name, base, expr, text)?;
            }
            DomainClauseKind::NotNull | DomainClauseKind::Null => {
                let allows = matches!(clause.kind, DomainClauseKind::Null);
                if nullable.replace(allows).is_some_and(|before| before != allows) {
                    return Err(SqlError::syntax("conflicting NULL/NOT NULL constraints"));
                }
                domain.not_null = !allows;
            }
            DomainClauseKind::Check { no_inherit: true, .. } => {
                return Err(SqlError::new(
                    SqlState::INVALID_OBJECT_DEFINITION,
                    "check constraints for domains cannot be marked NO INHERIT",
                ));
            }
            DomainClauseKind::Check { condition, .. } => {
                let given = clause.name.as_ref().map(name::fold);
                add_check(ddl, (schema, &base_name), &mut domain, given, condition, text).await?;
            }
        }
    }
    let array_name = array_name(ddl, schema, &base_name);
    let (oid, owner) = (ddl.oid().await?, ddl.own_role());
    ddl.begin_rights(b'T', PG_TYPE, oid, schema, owner).await?;
    ddl.put(UserType {
        oid,
        array_oid: ddl.oid().await?,
        schema,
        name: base_name,
        array_name,
        owner,
        definition: TypeDefinition::Domain(domain),
    })
    .await
}

/// 42804 for a type that no domain may be over.
fn refuse_base(ddl: &Ddl, base: DataType) -> Result<()> {
    let types = ddl.types();
    let info = types.type_by_oid(base.oid);
    let is_bad =
        info.is_none_or(|info| info.category == Category::Pseudo || matches!(info.shape, TypeShape::Pseudo));
    if !is_bad {
        return Ok(());
    }
    Err(SqlError::new(
        SqlState::DATATYPE_MISMATCH,
        format!("\"{}\" is not a valid base type for a domain", format_type(base, &types)),
    ))
}

/// The text of a default, after it was bound once to see that it is good; DEFAULT NULL is none.
fn stored_default(
    ddl: &Ddl,
    domain: &str,
    base: DataType,
    expr: &Expr,
    text: &str,
) -> Result<Option<String>> {
    let column = value_column(ddl, domain, base)?;
    let stored = default::stored(ddl, &column, expr, text)?;
    Ok(stored.filter(|stored| !stored.eq_ignore_ascii_case("null")))
}

/// A column as wide as a domain's values, to bind a default for.
fn value_column(ddl: &Ddl, domain: &str, base: DataType) -> Result<TableColumn> {
    Ok(TableColumn {
        number: 1,
        name: domain.to_string(),
        type_oid: base.oid,
        type_modifier: base.typmod,
        collation: 0,
        representation: Representation::of(base.oid, &ddl.types())?,
        not_null: false,
        default: None,
        identity: None,
        generated: false,
        missing: Datum::Null,
        dropped: false,
        origin: ColumnIdentity::default(),
        settings: Default::default(),
    })
}

/// Adds a CHECK to a domain, whose schema and name are `place`.
async fn add_check(
    ddl: &Ddl,
    place: (u32, &str),
    domain: &mut Domain,
    given: Option<String>,
    condition: &Expr,
    text: &str,
) -> Result<()> {
    let (schema, base) = place;
    let name = match given {
        Some(given) if domain.checks.iter().any(|each| each.name == given) => {
            let message = format!("constraint \"{given}\" for domain \"{base}\" already exists");
            return Err(SqlError::new(SqlState::DUPLICATE_OBJECT, message));
        }
        Some(given) => given,
        None => free_name(ddl, schema, base, domain),
    };
    let mut binder = ddl.binder(text).noting_literals();
    binder.bind_domain_check(domain.base, condition)?;
    let expression = default::kept(ddl, &binder, condition)?;
    domain.checks.push(DomainCheck { oid: ddl.oid().await?, name, expression, validated: true });
    // They are tested in the order of their names.
    domain.checks.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(())
}

/// `domain_check`, `domain_check1`, …
fn free_name(ddl: &Ddl, schema: u32, base: &str, domain: &Domain) -> String {
    let mut taken: Vec<String> = domain.checks.iter().map(|each| each.name.clone()).collect();
    let others = ddl.catalog.user_types().filter(|each| each.definition.schema == schema);
    let others = others.filter_map(|each| each.definition.domain());
    taken.extend(others.flat_map(|other| other.checks.iter().map(|each| each.name.clone())));
    ddl.free_name(schema, &super::constraint::generated_name(base, &[], "check"), &taken)
}

pub async fn alter(ddl: &mut Ddl, object: &ObjectName, change: &DomainChange, text: &str) -> Result<()> {
    let old = altered(ddl, object, true)?;
    ddl.check_owns_type(&old)?;
    let Some(domain) = old.domain() else {
        return Err(SqlError::internal("a domain without its definition"));
    };
    let mut domain = domain.clone();
    let quoted = name::quote(&old.name);
    match change {
        DomainChange::Default(expr) => {
            let stored = |expr| stored_default(ddl, &old.name, domain.base, expr, text);
            domain.default = expr.as_ref().map(stored).transpose()?.flatten();
        }
        DomainChange::NotNull(not_null) => {
            if *not_null && !domain.not_null {
                test_values(ddl, &old, &mut |value, _| Ok(!value.is_null()), SqlState::NOT_NULL_VIOLATION)
                    .await?;
            }
            domain.not_null = *not_null;
        }
        DomainChange::AddCheck { name: given, condition, validated } => {
            let given = given.as_ref().map(name::fold);
            let known: Vec<u32> = domain.checks.iter().map(|each| each.oid).collect();
            add_check(ddl, (old.schema, &old.name), &mut domain, given, condition, text).await?;
            if *validated {
                test_check(ddl, &old, domain.base, condition).await?;
            }
            for added in domain.checks.iter_mut().filter(|each| !known.contains(&each.oid)) {
                added.validated = *validated;
            }
        }
        DomainChange::DropConstraint { name: wanted, if_exists } => {
            let wanted = name::fold(wanted);
            let before = domain.checks.len();
            domain.checks.retain(|each| each.name != wanted);
            if domain.checks.len() == before {
                let message = format!("constraint \"{wanted}\" of domain \"{}\" does not exist", old.name);
                if !if_exists {
                    return Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message));
                }
                ddl.notice(format!("{message}, skipping"));
                return Ok(());
            }
        }
        DomainChange::ValidateConstraint { name: wanted } => {
            let wanted = name::fold(wanted);
            let found = domain.checks.iter_mut().find(|each| each.name == wanted).ok_or_else(|| {
                let message = format!("constraint \"{wanted}\" of domain \"{}\" does not exist", old.name);
                SqlError::new(SqlState::UNDEFINED_OBJECT, message)
            })?;
            if !found.validated {
                let condition = crate::parser::parse_expression(&found.expression)?;
                test_check(ddl, &old, domain.base, &condition).await?;
            }
            found.validated = true;
        }
        DomainChange::RenameConstraint { name: wanted, new_name } => {
            let (wanted, new_name) = (name::fold(wanted), name::fold(new_name));
            let taken = domain.checks.iter().any(|each| each.name == new_name);
            let found = domain.checks.iter_mut().find(|each| each.name == wanted).ok_or_else(|| {
                let message = format!("constraint \"{wanted}\" for domain {quoted} does not exist");
                SqlError::new(SqlState::UNDEFINED_OBJECT, message)
            })?;
            if taken {
                let message = format!("constraint \"{new_name}\" for domain {quoted} already exists");
                return Err(SqlError::new(SqlState::DUPLICATE_OBJECT, message));
            }
            found.name = new_name;
            domain.checks.sort_by(|left, right| left.name.cmp(&right.name));
        }
    }
    let changed = UserType { definition: TypeDefinition::Domain(domain), ..(*old).clone() };
    ddl.put(changed).await
}

/// Tests a new CHECK on the values that are stored.
async fn test_check(ddl: &mut Ddl, domain: &UserType, base: DataType, condition: &Expr) -> Result<()> {
    let bound = ddl.binder("").bind_domain_check(base, condition)?;
    let mut holds = |value: &Datum, context: &EvalContext<'_>| {
        let row = [value.clone()];
        Ok(bound.eval_row(&row.as_slice(), context)? != Datum::Bool(false))
    };
    test_values(ddl, domain, &mut holds, SqlState::CHECK_VIOLATION).await
}

/// A test of one value of a domain.
type Test<'t> = dyn FnMut(&Datum, &EvalContext<'_>) -> Result<bool> + Send + 't;

/// Tests all stored values of a domain, and of the domains over it.
async fn test_values(ddl: &mut Ddl, domain: &UserType, test: &mut Test<'_>, state: SqlState) -> Result<()> {
    let derived = derived(ddl, domain.oid);
    let tables: Vec<_> = ddl.catalog.tables().cloned().collect();
    for entry in tables {
        let positions: Vec<usize> = (0..entry.table.columns.len())
            .filter(|at| !entry.table.columns[*at].dropped)
            .filter(|at| derived.contains(&entry.table.columns[*at].type_oid))
            .collect();
        let is_array = |column: &&TableColumn| {
            ddl.catalog.user_type(column.type_oid).is_some_and(|own| {
                own.definition.array_oid == column.type_oid && derived.contains(&own.definition.oid)
            })
        };
        if let Some(column) = entry.table.live_columns().find(is_array) {
            return Err(SqlError::unsupported(format!(
                "cannot alter type \"{}\" because column \"{}.{}\" uses it",
                domain.name, entry.table.name, column.name
            )));
        }
        if positions.is_empty() {
            continue;
        }
        ddl.execution
            .transaction
            .lock_table(u64::from(entry.table.oid), helios_mvcc::TableLockMode::Share, write::WAIT)
            .await?;
        let writer = ddl.writer(&entry)?;
        let mut broken = None;
        write::read_rows(&writer, &mut ddl.execution, &mut |row, context| {
            for at in &positions {
                if broken.is_none() && !test(&row[*at], context)? {
                    broken = Some(*at);
                }
            }
            Ok(())
        })
        .await?;
        if let Some(at) = broken {
            return Err(violated(ddl, &entry.table, at, state));
        }
    }
    Ok(())
}

fn violated(ddl: &Ddl, table: &crate::catalog::Table, at: usize, state: SqlState) -> SqlError {
    let column = &table.columns[at].name;
    let what = if state == SqlState::NOT_NULL_VIOLATION {
        "null values"
    } else {
        "values that violate the new constraint"
    };
    let schema = ddl.catalog.schema(table.schema).map_or("", |schema| schema.name.as_str());
    SqlError::new(state, format!("column \"{column}\" of table \"{}\" contains {what}", table.name))
        .with_schema(schema)
        .with_table(&table.name)
        .with_column(column)
}

/// A domain and all domains over it.
fn derived(ddl: &Ddl, domain: u32) -> Vec<u32> {
    let mut found = vec![domain];
    // Types come in the order of their OIDs: a domain after what it is over.
    for entry in ddl.catalog.user_types() {
        if entry.definition.domain().is_some_and(|own| found.contains(&own.base.oid)) {
            found.push(entry.definition.oid);
        }
    }
    found
}
