//! Composite types whose attributes are others than they were: what columns hold of them is merged as what it would be now.
//!
//! Stored values say which fields they have, by name and type; which attribute each is, the catalog of their moment says
//! ([`Shapes`]). So values of each moment are read with what became of the attributes since ([`Shapes::to`]). Of the two sides one at most
//! may have changed a type since the base, as with other objects; then the numbers that attributes have there are unambiguous.
//! What tables of the target hold is written anew as ALTER TYPE does it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::base_catalog::BaseCatalog;
use super::objects::{Class, Objects};
use super::schema::Put;
use crate::binder::name::quote;
use crate::catalog::{CatalogSnapshot, Object};
use crate::ddl::{self, Ddl, Fields, Reshape, attributes_of};
use crate::error::{Result, SqlError};
use crate::types::TypeInfo;

/// The attributes of the composite types of a moment.
#[derive(Default)]
pub struct Shapes(BTreeMap<u32, Fields>);

impl Shapes {
    /// Those of a catalog.
    #[must_use]
    pub fn of_catalog(catalog: &CatalogSnapshot) -> Shapes {
        Shapes(catalog.composites().map(|(entry, own)| (entry.definition.oid, attributes_of(own))).collect())
    }

    /// Those of objects.
    #[must_use]
    pub fn of_objects(objects: &Objects) -> Shapes {
        let attributes = |object: &Object| match object {
            Object::Type(own) => Some((own.oid, attributes_of(own.composite()?))),
            _ => None,
        };
        Shapes(objects.values().filter_map(attributes).collect())
    }

    /// What becomes of values of this moment at one with other attributes.
    #[must_use]
    pub fn to(&self, merged: &Shapes) -> Arc<[Reshape]> {
        let changed = self.0.iter().filter_map(|(oid, before)| {
            let after = merged.0.get(oid).filter(|after| *after != before)?;
            Some(Reshape::between(*oid, before, after))
        });
        changed.collect()
    }
}

/// 0A000 where the branches' rows hold values of a type of rows whose fields differ, and it cannot be told which field of one side's
/// is which of the other's: both sides changed the type, or it is that of a table's or view's rows. So, too, where an attribute is
/// of another type than it was: its values would have to be converted, which ALTER TYPE itself does not do where columns hold any.
pub fn refuse_ambiguous(
    base: &BaseCatalog,
    source: &CatalogSnapshot,
    target: &CatalogSnapshot,
) -> Result<()> {
    let (ours, theirs) = (Shapes::of_catalog(target), Shapes::of_catalog(source));
    let was = Shapes::of_objects(&base.objects);
    let is_ambiguous = |oid: u32| {
        let (ours, theirs, was) = (ours.0.get(&oid), theirs.0.get(&oid), was.0.get(&oid));
        let is_known = was.is_some() && !base.is_undecided((Class::Type, oid));
        let (Some(ours), Some(theirs)) = (ours, theirs) else { return false };
        let is_of_one_side = is_known && (Some(ours) == was || Some(theirs) == was);
        ours != theirs && (!is_of_one_side || retypes(ours, theirs))
    };
    let composites = source.composites().map(|(entry, _)| &entry.info).filter(|info| is_ambiguous(info.oid));
    let differs = |info: &&TypeInfo| {
        let other = target.type_info(info.oid).and_then(TypeInfo::row_shape);
        other.is_some_and(|other| Some(other) != info.row_shape())
    };
    let row_types = source.row_types().map(|row| &row.info).filter(differs);
    let is_held =
        |info: &&TypeInfo| [source, target].iter().any(|catalog| ddl::holds_rows(catalog, info.oid));
    match composites.chain(row_types).find(is_held) {
        Some(info) => {
            let kind = quote(&info.name);
            Err(SqlError::unsupported(format!(
                "merging is not supported where the attributes of type {kind} differ and columns hold its values"
            ))
            .with_hint("Change the type on the other branch in the same way first."))
        }
        None => Ok(()),
    }
}

/// Whether an attribute that both have is of two types.
fn retypes(one: &Fields, other: &Fields) -> bool {
    let mut pairs = one.iter().flat_map(|own| other.iter().map(move |each| (own, each)));
    pairs.any(|((number, (_, data_type)), (its_number, (_, its_type)))| {
        number == its_number && data_type != its_type
    })
}

/// Whether types get other attributes.
#[must_use]
pub fn changes_attributes(puts: &[Put]) -> bool {
    puts.iter().any(|(old, new)| changed(old.as_ref(), new).is_some())
}

/// A type's attributes as they were and as they are to be.
fn changed(old: Option<&Object>, new: &Object) -> Option<(Fields, Fields)> {
    match (old, new) {
        (Some(Object::Type(old)), Object::Type(new)) => {
            let (old, new) = (attributes_of(old.composite()?), attributes_of(new.composite()?));
            (old != new).then_some((old, new))
        }
        _ => None,
    }
}

/// Stores types that get other attributes, and what they are made of, and writes anew what the target's tables hold of them.
///
/// # Errors
/// Those of reading and writing.
pub async fn change_attributes(ddl: &mut Ddl, puts: &[Put]) -> Result<()> {
    let is_new_part = |(old, new): &&Put| old.is_none() && matches!(new, Object::Schema(_) | Object::Type(_));
    for (_, new) in puts.iter().filter(is_new_part) {
        ddl.put(new.clone()).await?;
    }
    ddl.refresh().await?;
    for (old, new) in puts {
        let (Some((before, after)), Some(old), Object::Type(own)) = (changed(old.as_ref(), new), old, new)
        else {
            continue;
        };
        let following = ddl::prepare_reshaping(ddl, own.oid, &before, &after)?;
        ddl.replace(old.clone(), new.clone()).await?;
        if let Some(following) = following {
            following.run(ddl).await?;
        }
        ddl.refresh().await?;
    }
    Ok(())
}
