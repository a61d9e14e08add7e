//! CREATE TYPE … AS ENUM, and what ALTER TYPE does to labels.

use sqlparser::ast::ObjectName;

use super::user_type::{array_name, named, new_name, shown};
use super::{Ddl, user_type::Named};
use crate::binder::name::IDENTIFIER_BYTES_MAX;
use crate::catalog::{EnumLabel, SUPERUSER, TypeDefinition, UserType};
use crate::error::{Result, SqlError, SqlState};
use crate::parser::LabelPlace;

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
    ddl.put(UserType {
        oid,
        array_oid: ddl.oid().await?,
        schema,
        name,
        array_name,
        owner: SUPERUSER,
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
            Some(labels) => return Ok(((*found).clone(), labels.to_vec())),
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
    ddl.put(own).await
}
