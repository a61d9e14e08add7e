//! Casts: the pg_cast entries, and the pathway from one type to another that PostgreSQL's
//! `find_coercion_pathway` finds (casts, arrays element by element, and conversion through text).

use super::{Function, Registry};
use crate::types::domain::base_type;
use crate::types::{Category, Oid, TypeCatalog, TypeShape, is_registered_type, is_user_type, oids};
use std::sync::Arc;

/// From where a cast may be applied: each context also allows what the ones before it allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CastContext {
    Implicit,
    Assignment,
    Explicit,
}

/// One entry of pg_cast.
#[derive(Clone)]
pub struct Cast {
    pub context: CastContext,
    pub method: CastMethod,
}

/// How a value is converted.
#[derive(Clone)]
pub enum CastMethod {
    /// The stored value serves as it is.
    Binary,
    /// A function of one argument.
    Function(Arc<Function>),
    /// A function of the value and the target's modifier, -1 for none.
    Sized(Arc<Function>),
    /// Printed and parsed again.
    InOut,
    /// Each element of an array.
    Array(Box<CastMethod>),
    /// To the type under a domain, whose constraints are tested then.
    Domain(Box<CastMethod>),
}

impl Registry {
    /// How to convert between two types in a context, `None` if that is not allowed.
    ///
    /// `unknown` is for the caller: a literal of unknown type is parsed, not converted.
    #[must_use]
    pub fn cast_method(
        &self,
        source: Oid,
        target: Oid,
        context: CastContext,
        types: &dyn TypeCatalog,
    ) -> Option<CastMethod> {
        if source == target {
            return Some(CastMethod::Binary);
        }
        let base = base_type(target, types);
        if base != target {
            let method = self.cast_method(source, base, context, types)?;
            return Some(CastMethod::Domain(Box::new(method)));
        }
        let source = base_type(source, types);
        if source == target {
            return Some(CastMethod::Binary);
        }
        if let Some(cast) = self.cast(source, target) {
            return (cast.context <= context).then(|| cast.method.clone());
        }
        let (from, to) = (types.type_by_oid(source)?, types.type_by_oid(target)?);
        if target != oids::OIDVECTOR
            && target != oids::INT2VECTOR
            && let (Some(from_element), Some(to_element)) = (from.element(), to.element())
            && let Some(method) = self.cast_method(from_element, to_element, context, types)
        {
            return Some(match method {
                // The elements say of which type they are; nobody asks for the difference of built-in types, but for
                // those that show names.
                CastMethod::Binary if !is_user_type(from_element) && !is_registered_type(to_element) => {
                    CastMethod::Binary
                }
                method => CastMethod::Array(Box::new(method)),
            });
        }
        // A user's range as one of its multirange type.
        if context == CastContext::Explicit
            && from.range_shape().is_some_and(|shape| shape.multirange == target)
        {
            return Some(CastMethod::Binary);
        }
        if target == oids::RECORD && matches!(from.shape, TypeShape::Composite { .. }) {
            return Some(CastMethod::Binary);
        }
        let through_text = match context {
            CastContext::Implicit => false,
            CastContext::Assignment => to.category == Category::String,
            CastContext::Explicit => to.category == Category::String || from.category == Category::String,
        };
        // A record has a text form, though it is none that can be read.
        let has_text =
            from.category != Category::Pseudo || matches!(source, oids::ANYARRAY | oids::RECORD | oids::VOID);
        (through_text && has_text && to.category != Category::Pseudo).then_some(CastMethod::InOut)
    }

    /// Whether an argument of one type may be given implicitly (or otherwise) for another: polymorphic and
    /// `"any"` parameters take anything that fits their shape, `unknown` fits everything.
    #[must_use]
    pub fn can_coerce(
        &self,
        source: Oid,
        target: Oid,
        context: CastContext,
        types: &dyn TypeCatalog,
    ) -> bool {
        if source == target || source == oids::UNKNOWN || target == oids::ANY {
            return true;
        }
        match target {
            oids::ANYELEMENT | oids::ANYCOMPATIBLE => true,
            oids::ANYARRAY | oids::ANYCOMPATIBLEARRAY => {
                types.type_by_oid(base_type(source, types)).is_some_and(|info| info.element().is_some())
            }
            oids::ANYNONARRAY | oids::ANYCOMPATIBLENONARRAY => {
                types.type_by_oid(base_type(source, types)).is_some_and(|info| info.element().is_none())
            }
            oids::ANYRANGE | oids::ANYCOMPATIBLERANGE => {
                types.type_by_oid(base_type(source, types)).is_some_and(|info| info.range_shape().is_some())
            }
            oids::ANYMULTIRANGE | oids::ANYCOMPATIBLEMULTIRANGE => types
                .type_by_oid(base_type(source, types))
                .is_some_and(|info| info.range_of_multirange().is_some()),
            // A domain over an enum is none.
            oids::ANYENUM => {
                types.type_by_oid(source).is_some_and(|info| matches!(info.shape, TypeShape::Enum { .. }))
            }
            oids::RECORD => types
                .type_by_oid(source)
                .is_some_and(|info| matches!(info.shape, TypeShape::Composite { .. })),
            _ => self.cast_method(source, target, context, types).is_some(),
        }
    }
}
