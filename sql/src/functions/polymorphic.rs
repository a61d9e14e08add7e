//! Polymorphic parameters: what the arguments of a call make of them.
//!
//! Those of a signature are of two families, in each of which all stand for one type:
//!
//! 1. `anyelement`, `anynonarray` and `anyenum` are that type, `anyarray` is an array of it, `anyrange` a range over it and
//!    `anymultirange` a multirange of such ranges. Arguments must fit exactly.
//! 2. The `anycompatible` ones are the type that all arguments have in common; but a range cannot be converted, so its
//!    subtype must be that type.
//!
//! An array's type follows from that of its elements. A range's does not from its subtype, which may have several ranges: it
//! takes an argument that is a range or multirange.

use super::Registry;
use super::resolve::common_type;
use crate::error::{Result, SqlError, SqlState};
use crate::types::domain::base_type;
use crate::types::{DataType, Oid, TypeCatalog, TypeShape, format_type, oids};

/// How a polymorphic type relates to the type that its family stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Element,
    Array,
    Range,
    Multirange,
}

/// The form and whether the family is that of compatible types; `None` for a type that is not polymorphic.
const fn form(parameter: Oid) -> Option<(Form, bool)> {
    Some(match parameter {
        oids::ANYELEMENT | oids::ANYNONARRAY | oids::ANYENUM => (Form::Element, false),
        oids::ANYARRAY => (Form::Array, false),
        oids::ANYRANGE => (Form::Range, false),
        oids::ANYMULTIRANGE => (Form::Multirange, false),
        oids::ANYCOMPATIBLE | oids::ANYCOMPATIBLENONARRAY => (Form::Element, true),
        oids::ANYCOMPATIBLEARRAY => (Form::Array, true),
        oids::ANYCOMPATIBLERANGE => (Form::Range, true),
        oids::ANYCOMPATIBLEMULTIRANGE => (Form::Multirange, true),
        _ => return None,
    })
}

fn mismatch(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::DATATYPE_MISMATCH, message.into())
}

/// What the arguments told about a family.
#[derive(Default)]
struct Family {
    /// The types that its elements were given as.
    elements: Vec<Oid>,
    range: Option<Oid>,
    /// Whether an argument is of it, if perhaps of unknown type.
    is_used: bool,
}

impl Family {
    fn note(&mut self, form: Form, argument: Oid, types: &dyn TypeCatalog) -> Result<()> {
        self.is_used = true;
        if argument == oids::UNKNOWN {
            return Ok(());
        }
        let base = types.type_by_oid(base_type(argument, types));
        let refused = |what: &str| mismatch(format!("argument declared {what}"));
        let element = match form {
            Form::Element => argument,
            Form::Array => {
                base.and_then(|info| info.element()).ok_or_else(|| refused("anyarray is not an array"))?
            }
            Form::Range | Form::Multirange => {
                let range = match form {
                    Form::Range => base,
                    _ => base
                        .and_then(|info| info.range_of_multirange())
                        .and_then(|oid| types.type_by_oid(oid)),
                };
                let range = range.filter(|info| matches!(info.shape, TypeShape::Range(_)));
                let range = range.ok_or_else(|| refused("anyrange is not a range type"))?;
                if *self.range.get_or_insert(range.oid) != range.oid {
                    return Err(mismatch("arguments declared \"anyrange\" are not all alike"));
                }
                range.range_shape().map_or(0, |shape| shape.subtype)
            }
        };
        self.elements.push(element);
        Ok(())
    }

    /// A polymorphic type of this family, once it is known what type the family stands for.
    fn replaced(
        &self,
        parameter: Oid,
        form: Form,
        element: Option<Oid>,
        types: &dyn TypeCatalog,
    ) -> Result<Oid> {
        let of = |oid: Oid| types.type_by_oid(oid);
        let range = || {
            self.range.ok_or_else(|| {
                let shown = |oid: Oid| format_type(DataType::of(oid), types);
                mismatch(format!(
                    "could not determine polymorphic type {} because input has type {}",
                    shown(parameter),
                    shown(oids::UNKNOWN)
                ))
            })
        };
        Ok(match form {
            Form::Element => element.unwrap_or(oids::TEXT),
            Form::Array => match element {
                Some(element) => of(element).map_or(0, |info| info.array_oid),
                None => oids::TEXT_ARRAY,
            },
            Form::Range => range()?,
            Form::Multirange => {
                of(range()?).and_then(|info| info.range_shape()).map_or(0, |shape| shape.multirange)
            }
        })
    }
}

/// Replaces polymorphic types by what the arguments make them; with a result of `void` it is only asked whether the
/// arguments fit.
///
/// # Errors
/// 42804 where they do not, or tell too little.
pub(super) fn concrete(
    signature: &[Oid],
    arguments: &[Oid],
    return_type: Oid,
    registry: &Registry,
    types: &dyn TypeCatalog,
) -> Result<(Vec<Oid>, Oid)> {
    let (mut exact, mut compatible) = (Family::default(), Family::default());
    for (&parameter, &argument) in signature.iter().zip(arguments) {
        if let Some((form, is_compatible)) = form(parameter) {
            let family = if is_compatible { &mut compatible } else { &mut exact };
            family.note(form, argument, types)?;
        }
    }
    if exact.elements.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(mismatch("arguments declared \"anyelement\" are not all alike"));
    }
    let element = exact.elements.first().copied();
    let common = match &compatible.elements[..] {
        [] => Some(element.unwrap_or(oids::TEXT)),
        elements => Some(common_type(elements, "ARRAY", registry, types)?),
    };
    let subtype = compatible.range.and_then(|oid| types.type_by_oid(oid)?.range_shape().copied());
    if let Some(shape) = subtype
        && common != Some(shape.subtype)
    {
        return Err(mismatch("arguments of anycompatible family cannot be cast to a common type"));
    }
    let is_test = return_type == oids::VOID;
    let replace = |parameter: Oid, argument: Oid| match form(parameter) {
        Some((Form::Range | Form::Multirange, _)) if is_test && argument == oids::UNKNOWN => Ok(argument),
        Some((form, true)) => compatible.replaced(parameter, form, common, types),
        Some((form, false)) => exact.replaced(parameter, form, element, types),
        None if parameter == oids::ANY => Ok(argument),
        None => Ok(parameter),
    };
    if element.is_none() && exact.is_used && !is_test {
        return Err(mismatch("could not determine polymorphic type because input has type unknown"));
    }
    let given = signature.iter().zip(arguments).map(|(&parameter, &argument)| replace(parameter, argument));
    Ok((given.collect::<Result<_>>()?, replace(return_type, oids::ANY)?))
}
