//! CREATE TYPE … AS ENUM, and what ALTER TYPE does to labels.

use sqlparser::ast::{DataType, Expr, ObjectName, Value};

use super::user_type::{array_name, named, new_name, shown};
use super::{Ddl, user_type::Named};
use crate::binder::name::IDENTIFIER_BYTES_MAX;
use crate::binder::parse_stable_name;
use crate::catalog::PG_TYPE;
use crate::catalog::{ConstraintKind, EnumLabel, TypeDefinition, UserType};
use crate::error::{Result, SqlError, SqlState};
use crate::parser::LabelPlace;
use crate::parser::visit::walk_expressions;

pub async fn create(ddl: &mut Ddl, object: &ObjectName, labels: &[String]) -> Result<()> {
    let (schema, name) = new_name(ddl, object).await?;
    let oid = ddl.oid().await?;
    let mut made: Vec<EnumLabel> = Vec::new();
    let mut place = 0.0;
    for label in labels {
        check_label(label)?;
        if made.iter().any(|each| each.label == *label) {
            return Err(SqlError::new(
                SqlState::UNIQUE_VIOLATION,
                "duplicate key value violates unique constraint \"pg_enum_typid_label_index\"",
            )
            .with_detail(format!("Key (enumtypid, enumlabel)=({oid}, {label}) already exists."))
            .with_schema("pg_catalog")
            .with_table("pg_enum")
            .with_constraint("pg_enum_typid_label_index"));
        }
        place += 1.0;
        made.push(EnumLabel { oid: ddl.oid().await?, place, label: label.clone() });
    }
    let array_name = array_name(ddl, schema, &name);
    let owner = ddl.own_role();
    ddl.begin_rights(b'T', PG_TYPE, oid, schema, owner).await?;
    ddl.put(UserType {
        oid,
        array_oid: ddl.oid().await?,
        schema,
        name,
        array_name,
        owner,
        definition: TypeDefinition::Enum { labels: made },
    })
    .await
}

/// 42602 for a label that is too long.
fn check_label(label: &str) -> Result<()> {
    if label.len() <= IDENTIFIER_BYTES_MAX {
        return Ok(());
    }
    Err(SqlError::new(SqlState::INVALID_NAME, format!("invalid enum label \"{label}\""))
        .with_detail(format!("Labels must be {IDENTIFIER_BYTES_MAX} bytes or less.")))
}

/// The enum of a name, and its labels.
fn enum_named(ddl: &Ddl, object: &ObjectName) -> Result<(UserType, Vec<EnumLabel>)> {
    let oid = match named(ddl, object)? {
        Named::User(found) => match found.labels() {
            Some(labels) => {
                ddl.check_owns_type(&found)?;
                return Ok(((*found).clone(), labels.to_vec()));
            }
            None => found.oid,
        },
        Named::Array(element) => element.array_oid,
        Named::Builtin(data_type) => data_type.oid,
        Named::Row(relation) => {
            return Err(SqlError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("{} is not an enum", crate::binder::name::quote(relation.name())),
            ));
        }
    };
    Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, format!("{} is not an enum", shown(ddl, oid))))
}

fn label_exists(label: &str) -> String {
    format!("enum label \"{label}\" already exists")
}

fn no_label(label: &str) -> SqlError {
    SqlError::invalid_parameter(format!("\"{label}\" is not an existing enum label"))
}

pub async fn add_value(
    ddl: &mut Ddl,
    object: &ObjectName,
    label: &str,
    if_not_exists: bool,
    place: Option<&LabelPlace>,
) -> Result<()> {
    let (mut own, mut labels) = enum_named(ddl, object)?;
    check_label(label)?;
    if labels.iter().any(|each| each.label == label) {
        if !if_not_exists {
            return Err(SqlError::new(SqlState::DUPLICATE_OBJECT, label_exists(label)));
        }
        let message = format!("{}, skipping", label_exists(label));
        ddl.notices.push(SqlError::new(SqlState::DUPLICATE_OBJECT, message));
        return Ok(());
    }
    let at = match place {
        None => labels.len(),
        Some(LabelPlace { before, neighbor }) => {
            let found = labels.iter().position(|each| each.label == *neighbor);
            found.ok_or_else(|| no_label(neighbor))? + usize::from(!before)
        }
    };
    let place = place_between(at.checked_sub(1).map(|before| labels[before].place), labels.get(at))?;
    labels.insert(at, EnumLabel { oid: ddl.oid().await?, place, label: label.to_string() });
    own.definition = TypeDefinition::Enum { labels };
    ddl.put(own).await
}

/// A place behind one label and before another.
fn place_between(before: Option<f64>, after: Option<&EnumLabel>) -> Result<f64> {
    let place = match (before, after.map(|label| label.place)) {
        (None, None) => 1.0,
        (Some(before), None) => before + 1.0,
        (None, Some(after)) => after - 1.0,
        (Some(before), Some(after)) => before.midpoint(after),
    };
    if before == Some(place) || after.is_some_and(|after| after.place == place) {
        // About fifty labels, each put next to the one before it, use up the room between two.
        return Err(SqlError::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            "there is no room for another label between these two",
        ));
    }
    Ok(place)
}

pub async fn rename_value(ddl: &mut Ddl, object: &ObjectName, label: &str, new_label: &str) -> Result<()> {
    let (mut own, mut labels) = enum_named(ddl, object)?;
    check_label(new_label)?;
    let at = labels.iter().position(|each| each.label == label).ok_or_else(|| no_label(label))?;
    if labels.iter().any(|each| each.label == new_label) {
        return Err(SqlError::new(SqlState::DUPLICATE_OBJECT, label_exists(new_label)));
    }
    labels[at].label = new_label.to_string();
    own.definition = TypeDefinition::Enum { labels };
    rename_in_texts(ddl, &Renamed { of: own.oid, label, new_label }).await?;
    ddl.put(own).await
}

/// A label of an enum and its new name.
struct Renamed<'r> {
    of: u32,
    label: &'r str,
    new_label: &'r str,
}

impl Renamed<'_> {
    /// Renames the label where it is cast to the type; and where it is all there is of a value of the type.
    fn change(&self, text: &str, is_value: bool) -> Result<Option<String>> {
        if !text.contains(self.label) {
            return Ok(None);
        }
        let mut expr = crate::parser::parse_expression(text)?;
        let mut found = is_value && self.change_literal(&mut expr);
        walk_expressions(&mut expr, &mut |node| {
            if let Expr::Cast { expr, data_type: DataType::Custom(name, _), .. } = node
                && parse_stable_name(name).is_some_and(|(oid, ..)| oid == self.of)
            {
                found |= self.change_literal(expr);
            }
            Ok(())
        })?;
        Ok(found.then(|| expr.to_string()))
    }

    fn change_literal(&self, expr: &mut Expr) -> bool {
        let is_label = matches!(expr, Expr::Value(it) if matches!(&it.value, Value::SingleQuotedString(it) if it == self.label));
        if is_label {
            *expr = Expr::value(Value::SingleQuotedString(self.new_label.to_string()));
        }
        is_label
    }
}

/// Stored expressions go on to mean a label that is renamed.
async fn rename_in_texts(ddl: &mut Ddl, renamed: &Renamed<'_>) -> Result<()> {
    let catalog = ddl.catalog.clone();
    for entry in catalog.tables() {
        let mut table = (*entry.table).clone();
        for column in table.columns.iter_mut().filter(|column| !column.dropped) {
            let is_value = column.type_oid == renamed.of;
            let changed = column.default.as_deref().map(|text| renamed.change(text, is_value)).transpose()?;
            if let Some(changed) = changed.flatten() {
                column.default = Some(changed);
            }
        }
        if table != *entry.table {
            ddl.put(table).await?;
        }
        for constraint in &entry.constraints {
            if let ConstraintKind::Check { expression, no_inherit } = &constraint.kind
                && let Some(expression) = renamed.change(expression, false)?
            {
                let mut changed = (**constraint).clone();
                changed.kind = ConstraintKind::Check { expression, no_inherit: *no_inherit };
                ddl.put(changed).await?;
            }
        }
    }
    for entry in catalog.user_types() {
        let Some(domain) = entry.definition.domain() else { continue };
        let mut changed = domain.clone();
        if let Some(default) = &mut changed.default {
            *default = renamed.change(default, domain.base.oid == renamed.of)?.unwrap_or(default.clone());
        }
        for check in &mut changed.checks {
            if let Some(expression) = renamed.change(&check.expression, false)? {
                check.expression = expression;
            }
        }
        if changed != *domain {
            let definition = TypeDefinition::Domain(changed);
            ddl.put(UserType { definition, ..(*entry.definition).clone() }).await?;
        }
    }
    Ok(())
}
