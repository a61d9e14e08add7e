//! SQL types: PostgreSQL's OIDs and type modifiers, and for each type one [`TypeInfo`] with all that the rest
//! of the crate asks of it: text and binary forms, order, hash.
//!
//! Built-in types are a static table; enums, domains and composites come from the catalog, so everybody looks a
//! type up through a [`TypeCatalog`] (reached from the evaluation context) and never matches on OIDs to learn
//! how a type behaves.

mod array;
pub(crate) mod bit;
mod boolean;
mod builtin;
pub(crate) mod bytea;
pub(crate) mod composite;
mod data_type;
pub(crate) mod datetime;
pub(crate) mod domain;
pub(crate) mod enumeration;
pub(crate) mod float;
pub(crate) mod identifier;
pub(crate) mod integer;
pub(crate) mod json;
mod money;
pub(crate) mod multirange;
pub(crate) mod network;
mod numeric;
pub mod oids;
pub(crate) mod pg_lsn;
mod pseudo;
pub(crate) mod range;
pub(crate) mod scalar;
pub(crate) mod snapshot;
pub(crate) mod text;
pub(crate) mod tid;

pub(crate) use array::push_quoted;
pub use array::{array_type_of, vector};
pub use builtin::{BuiltinTypes, builtin_type, builtin_types};
pub use data_type::{DataType, format_type};
pub use enumeration::EnumLabels;
pub use range::RangeShape;

use crate::error::Result;
use crate::functions::EvalContext;
use crate::value::{Datum, PhysicalKind, RecordShape};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

/// A PostgreSQL object identifier.
pub type Oid = u32;

/// PostgreSQL's type categories (pg_type.typcategory): they steer the choice among overloaded functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Category {
    Array,
    Boolean,
    Composite,
    DateTime,
    Enum,
    Geometric,
    Network,
    Numeric,
    Pseudo,
    Range,
    String,
    Timespan,
    UserDefined,
    BitString,
    Unknown,
    Internal,
}

impl Category {
    /// The catalog's letter.
    #[must_use]
    pub fn code(self) -> char {
        match self {
            Category::Array => 'A',
            Category::Boolean => 'B',
            Category::Composite => 'C',
            Category::DateTime => 'D',
            Category::Enum => 'E',
            Category::Geometric => 'G',
            Category::Network => 'I',
            Category::Numeric => 'N',
            Category::Pseudo => 'P',
            Category::Range => 'R',
            Category::String => 'S',
            Category::Timespan => 'T',
            Category::UserDefined => 'U',
            Category::BitString => 'V',
            Category::Unknown => 'X',
            Category::Internal => 'Z',
        }
    }
}

/// What a type is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum TypeShape {
    Base,
    /// Elements of another type.
    Array {
        element: Oid,
    },
    /// Labels and where they stand.
    Enum {
        labels: Arc<EnumLabels>,
    },
    /// Another type under constraints; its values are the base type's.
    Domain {
        base: DataType,
    },
    /// Named fields.
    Composite {
        shape: Arc<RecordShape>,
    },
    /// Spans of values of another type: none or one.
    Range(RangeShape),
    /// Any number of spans of another type, which is a range.
    Multirange {
        range: Oid,
    },
    /// Only for signatures (`anyelement`, `void`, …) and unresolved literals (`unknown`).
    Pseudo,
}

/// Parses text; the modifier is applied as on assignment (`value too long …`).
pub type ParseText = fn(&TypeInfo, &str, i32, &EvalContext<'_>) -> Result<Datum>;
/// Appends the text form.
pub type PrintText = fn(&TypeInfo, &Datum, &mut String, &EvalContext<'_>) -> Result<()>;
/// Reads PostgreSQL's binary form (the whole slice is the value).
pub type ReadBinary = fn(&TypeInfo, &[u8], i32, &EvalContext<'_>) -> Result<Datum>;
/// Appends PostgreSQL's binary form, without the length word.
pub type WriteBinary = fn(&TypeInfo, &Datum, &mut Vec<u8>, &EvalContext<'_>) -> Result<()>;
/// Fits a value to a modifier (`varchar(3)`, `numeric(5,2)`); the flag says the cast is explicit.
pub type ApplyModifier = fn(&TypeInfo, Datum, i32, bool) -> Result<Datum>;

/// The behaviour of a type. Values given to these functions are not NULL.
#[derive(Clone, Copy)]
pub struct TypeOperations {
    pub parse_text: ParseText,
    pub print_text: PrintText,
    pub read_binary: ReadBinary,
    pub write_binary: WriteBinary,
    /// The order of the default B-tree operator class.
    pub compare: fn(&TypeInfo, &Datum, &Datum) -> Ordering,
    /// Equal values (by `compare`) hash alike.
    pub hash: fn(&TypeInfo, &Datum) -> u64,
    /// `None` for types without modifiers.
    pub apply_modifier: Option<ApplyModifier>,
}

/// One type.
#[derive(Clone)]
pub struct TypeInfo {
    pub oid: Oid,
    /// pg_type.typname (`int4`, `_text`).
    pub name: Cow<'static, str>,
    /// The name SQL prints (`integer`, `text[]`).
    pub sql_name: Cow<'static, str>,
    /// The type of arrays of it, 0 if there is none.
    pub array_oid: Oid,
    pub category: Category,
    pub preferred: bool,
    /// pg_type.typlen: bytes, or -1 where values vary, -2 for C strings.
    pub length: i16,
    pub kind: PhysicalKind,
    pub shape: TypeShape,
    pub operations: TypeOperations,
}

impl TypeInfo {
    /// The element type of an array type.
    #[must_use]
    pub fn element(&self) -> Option<Oid> {
        if let TypeShape::Array { element } = self.shape { Some(element) } else { None }
    }

    /// Parses text in PostgreSQL's input syntax.
    ///
    /// # Errors
    /// As the type's input function: 22P02 and its like.
    pub fn parse_text(&self, text: &str, typmod: i32, context: &EvalContext<'_>) -> Result<Datum> {
        (self.operations.parse_text)(self, text, typmod, context)
    }

    /// Appends the text form of a non-null value.
    pub fn print_text(&self, value: &Datum, out: &mut String, context: &EvalContext<'_>) -> Result<()> {
        (self.operations.print_text)(self, value, out, context)
    }

    /// Reads the wire's binary form.
    pub fn read_binary(&self, bytes: &[u8], typmod: i32, context: &EvalContext<'_>) -> Result<Datum> {
        (self.operations.read_binary)(self, bytes, typmod, context)
    }

    /// Appends the wire's binary form of a non-null value.
    pub fn write_binary(&self, value: &Datum, out: &mut Vec<u8>, context: &EvalContext<'_>) -> Result<()> {
        (self.operations.write_binary)(self, value, out, context)
    }

    /// Compares two non-null values.
    #[must_use]
    pub fn compare(&self, left: &Datum, right: &Datum) -> Ordering {
        (self.operations.compare)(self, left, right)
    }

    /// Hashes a non-null value.
    #[must_use]
    pub fn hash(&self, value: &Datum) -> u64 {
        (self.operations.hash)(self, value)
    }

    /// Fits a non-null value to a type modifier.
    ///
    /// # Errors
    /// 22001 or 22003 where it does not fit (an explicit cast truncates text instead).
    pub fn apply_modifier(&self, value: Datum, typmod: i32, explicit: bool) -> Result<Datum> {
        match self.operations.apply_modifier {
            Some(apply) if typmod >= 0 => apply(self, value, typmod, explicit),
            _ => Ok(value),
        }
    }
}

/// Where types are found.
pub trait TypeCatalog: Send + Sync {
    /// The type with this OID.
    fn type_by_oid(&self, oid: Oid) -> Option<&TypeInfo>;
    /// The type with this pg_type name (`int4`, not `integer`).
    fn type_by_name(&self, name: &str) -> Option<&TypeInfo>;

    /// What SQL calls a type: with its schema, where the name alone does not find it.
    fn sql_name(&self, info: &TypeInfo) -> String {
        info.sql_name.to_string()
    }

    /// Tests a value, which may be NULL, against the constraints of a domain.
    ///
    /// # Errors
    /// 23502 and 23514; whatever the constraints' expressions raise.
    fn check_domain(&self, _domain: Oid, _value: &Datum, _context: &EvalContext<'_>) -> Result<()> {
        Ok(())
    }
}

/// How a column holds the values of its type. It never changes, so what is stored can be read without a catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Representation {
    pub kind: PhysicalKind,
    /// The type that orders them: for a domain the one under it.
    pub base: Oid,
}

impl Representation {
    /// That of a built-in type.
    #[must_use]
    pub fn of_builtin(oid: Oid) -> Option<Representation> {
        builtin_type(oid).map(|info| Representation { kind: info.kind, base: oid })
    }

    /// That of any type.
    ///
    /// # Errors
    /// XX000 for a type that does not exist.
    pub fn of(oid: Oid, types: &dyn TypeCatalog) -> Result<Representation> {
        let base = domain::base_type(oid, types);
        let info = types.type_by_oid(base).ok_or_else(|| crate::functions::unknown_type(oid))?;
        Ok(Representation { kind: info.kind, base })
    }
}

/// Whether a type's values are names of objects, as those of `regclass` and of its arrays are.
#[must_use]
pub const fn is_registered_type(oid: Oid) -> bool {
    matches!(oid, oids::REGPROC | oids::REGPROC_ARRAY | 2202..=2211 | oids::REGCONFIG | oids::REGCONFIG_ARRAY)
        || matches!(
            oid,
            oids::REGNAMESPACE..=oids::REGROLE_ARRAY | oids::REGCOLLATION | oids::REGCOLLATION_ARRAY
        )
}

/// Whether a type is a user's: not one of the built-in ones.
#[must_use]
pub const fn is_user_type(oid: Oid) -> bool {
    oid >= crate::functions::FIRST_USER_OID
}
