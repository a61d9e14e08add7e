//! CREATE TYPE … AS RANGE: a type of ranges, and one of multiranges with it.

use sqlparser::ast::ObjectName;

use super::Ddl;
use super::user_type::{array_name, new_name, refuse_taken};
use crate::binder::{data_type, name};
use crate::catalog::{Constructors, PG_TYPE, TypeDefinition, UserRange, UserType};
use crate::error::{Result, SqlError, SqlState};
use crate::functions::{Volatility, registry};
use crate::parser::{RangeAttribute, RangeValue};
use crate::relations;
use crate::types::{Category, DataType, TypeCatalog, format_type, oids};

/// The attributes as they were given, once each.
#[derive(Default)]
struct Attributes<'a> {
    subtype: Option<&'a RangeAttribute>,
    class: Option<&'a RangeAttribute>,
    collation: Option<&'a RangeAttribute>,
    canonical: Option<&'a RangeAttribute>,
    difference: Option<&'a RangeAttribute>,
    multirange: Option<&'a RangeAttribute>,
}

impl<'a> Attributes<'a> {
    fn read(attributes: &'a [RangeAttribute]) -> Result<Attributes<'a>> {
        let mut found = Attributes::default();
        for attribute in attributes {
            let place = match attribute.name.as_str() {
                "subtype" => &mut found.subtype,
                "subtype_opclass" => &mut found.class,
                "collation" => &mut found.collation,
                "canonical" => &mut found.canonical,
                "subtype_diff" => &mut found.difference,
                "multirange_type_name" => &mut found.multirange,
                other => {
                    return Err(SqlError::syntax(format!("type attribute \"{other}\" not recognized")));
                }
            };
            if place.replace(attribute).is_some() {
                let error = SqlError::syntax("conflicting or redundant options");
                return Err(match attribute.position {
                    Some(position) => error.at(position),
                    None => error,
                });
            }
        }
        Ok(found)
    }
}

/// The name that an attribute has for its value.
fn name_of(attribute: &RangeAttribute) -> Result<&ObjectName> {
    match &attribute.value {
        Some(RangeValue::Name(name)) => Ok(name),
        _ => Err(SqlError::syntax(format!("{} requires a parameter", attribute.name))),
    }
}

pub async fn create(ddl: &mut Ddl, object: &ObjectName, attributes: &[RangeAttribute]) -> Result<()> {
    let (schema, own_name) = new_name(ddl, object).await?;
    let attributes = Attributes::read(attributes)?;
    let subtype = subtype(ddl, &attributes)?;
    let class = class(ddl, &attributes, subtype)?;
    let collation = collation(ddl, &attributes, subtype)?;
    if attributes.canonical.is_some() {
        return Err(SqlError::new(
            SqlState::INVALID_OBJECT_DEFINITION,
            "cannot specify a canonical function without a pre-created shell type",
        )
        .with_hint(
            "Create the type as a shell type, then create its canonicalization function, then do a full CREATE TYPE.",
        ));
    }
    let difference = attributes.difference.map(|it| difference(ddl, it, subtype)).transpose()?;
    let (multirange_schema, multirange_name) = multirange_name(ddl, &attributes, schema, &own_name).await?;
    let owner = ddl.own_role();
    let (oid, multirange) = (ddl.oid().await?, ddl.oid().await?);
    let functions = |name: &str| Constructors { schema, name: name.to_owned() };
    let definition = TypeDefinition::Range(UserRange {
        subtype: subtype.oid,
        class,
        collation,
        difference,
        multirange,
        constructors: functions(&own_name),
    });
    let own = UserType {
        oid,
        array_oid: ddl.oid().await?,
        schema,
        array_name: array_name(ddl, schema, &own_name),
        name: own_name,
        owner,
        definition,
    };
    ddl.begin_rights(b'T', PG_TYPE, oid, schema, owner).await?;
    ddl.put(own).await?;
    let constructors = functions(&multirange_name);
    let lists = UserType {
        oid: multirange,
        array_oid: ddl.oid().await?,
        schema: multirange_schema,
        array_name: array_name(ddl, multirange_schema, &multirange_name),
        name: multirange_name,
        owner,
        definition: TypeDefinition::Multirange { range: oid, constructors },
    };
    ddl.begin_rights(b'T', PG_TYPE, multirange, multirange_schema, owner).await?;
    ddl.put(lists).await
}

fn subtype(ddl: &Ddl, attributes: &Attributes<'_>) -> Result<DataType> {
    let given =
        attributes.subtype.ok_or_else(|| SqlError::syntax("type attribute \"subtype\" is required"))?;
    let Some(RangeValue::Type(given)) = &given.value else {
        return Err(SqlError::syntax("subtype requires a parameter"));
    };
    let types = ddl.types();
    let subtype = DataType::of(data_type::resolve(given, &types)?.oid);
    let info = types.type_by_oid(subtype.oid);
    if info.is_none_or(|info| info.category == Category::Pseudo) {
        let shown = format_type(subtype, &types);
        return Err(SqlError::new(SqlState::DATATYPE_MISMATCH, format!("range subtype cannot be {shown}")));
    }
    ddl.check_may_use_type(subtype)?;
    if crate::types::domain::base_type(subtype.oid, &types) == oids::BPCHAR {
        return Err(SqlError::unsupported("ranges of type character are not supported"));
    }
    Ok(subtype)
}

/// The operator class that orders the subtype: the default one, or one that is named and means the same order.
fn class(ddl: &Ddl, attributes: &Attributes<'_>, subtype: DataType) -> Result<u32> {
    let types = ddl.types();
    let own = relations::default_class(&types, subtype.oid);
    let Some(given) = attributes.class else {
        let is_ordered = registry().resolve_operator("<", Some(subtype.oid), subtype.oid, &types).is_ok();
        return if is_ordered && own != 0 {
            Ok(own)
        } else {
            Err(SqlError::new(
                SqlState::UNDEFINED_OBJECT,
                format!(
                    "data type {} has no default operator class for access method \"btree\"",
                    format_type(subtype, &types)
                ),
            )
            .with_hint(
                "You must specify an operator class for the range type or define a default operator class for the subtype.",
            ))
        };
    };
    let (schema, base) = name::split(name_of(given)?)?;
    let Some((class, input)) = relations::btree_class(&base) else {
        return Err(SqlError::new(
            SqlState::UNDEFINED_OBJECT,
            format!(
                "operator class \"{}\" does not exist for access method \"btree\"",
                name::display(schema.as_deref(), &base)
            ),
        ));
    };
    if input != subtype.oid && class != own {
        return Err(SqlError::new(
            SqlState::DATATYPE_MISMATCH,
            format!("operator class \"{base}\" does not accept data type {}", format_type(subtype, &types)),
        ));
    }
    Ok(class)
}

fn collation(ddl: &Ddl, attributes: &Attributes<'_>, subtype: DataType) -> Result<u32> {
    let own = relations::collation(crate::types::domain::base_type(subtype.oid, &ddl.types()));
    let Some(given) = attributes.collation else { return Ok(own) };
    let (schema, base) = name::split(name_of(given)?)?;
    let found = relations::COLLATIONS.iter().find(|(_, known, _)| *known == base);
    let Some((found, ..)) = found else {
        let shown = name::display(schema.as_deref(), &base);
        let message = format!("collation \"{shown}\" for encoding \"UTF8\" does not exist");
        return Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message));
    };
    if own == 0 {
        return Err(SqlError::new(
            SqlState::WRONG_OBJECT_TYPE,
            "range collation specified but subtype does not support collation",
        ));
    }
    Ok(*found)
}

/// The function that tells how far two values are apart.
fn difference(ddl: &Ddl, attribute: &RangeAttribute, subtype: DataType) -> Result<String> {
    let (_, base) = name::split(name_of(attribute)?)?;
    let types = ddl.types();
    let arguments = [subtype.oid; 2];
    let functions = registry().functions(&base).iter();
    let found = functions.into_iter().find(|function| function.argument_types == arguments);
    let shown = format_type(subtype, &types);
    let shown = format!("{base}({shown}, {shown})");
    let Some(found) = found else {
        return Err(SqlError::new(SqlState::UNDEFINED_FUNCTION, format!("function {shown} does not exist")));
    };
    let wrong = |what: &str| {
        let message = format!("range subtype diff function {shown} must {what}");
        SqlError::new(SqlState::INVALID_OBJECT_DEFINITION, message)
    };
    if found.return_type != oids::FLOAT8 {
        return Err(wrong("return type double precision"));
    }
    if found.volatility != Volatility::Immutable {
        let message = format!("range subtype diff function {shown} must be immutable");
        return Err(SqlError::new(SqlState::INVALID_OBJECT_DEFINITION, message));
    }
    Ok(base)
}

/// The schema and name of the type of multiranges.
async fn multirange_name(
    ddl: &mut Ddl,
    attributes: &Attributes<'_>,
    schema: u32,
    range_name: &str,
) -> Result<(u32, String)> {
    if let Some(given) = attributes.multirange {
        return new_name(ddl, name_of(given)?).await;
    }
    let mut made = match range_name.find("range") {
        Some(at) => format!("{}multi{}", &range_name[..at], &range_name[at..]),
        None => {
            const SUFFIX: &str = "_multirange";
            let mut kept = range_name.to_owned();
            cut(&mut kept, name::IDENTIFIER_BYTES_MAX - SUFFIX.len());
            kept + SUFFIX
        }
    };
    cut(&mut made, name::IDENTIFIER_BYTES_MAX);
    refuse_taken(ddl, schema, &made).map_err(|error| {
        error
            .with_detail(format!("Failed while creating a multirange type for type \"{range_name}\"."))
            .with_hint(
                "You can manually specify a multirange type name using the \"multirange_type_name\" attribute.",
            )
    })?;
    Ok((schema, made))
}

/// Cuts a name to so many bytes, between characters.
fn cut(name: &mut String, bytes: usize) {
    let mut end = name.len().min(bytes);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.truncate(end);
}
