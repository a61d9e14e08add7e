//! Types that users define: enums, domains, composite types, and ranges with their multiranges.

use crate::types::DataType;
use crate::value::{RecordShape, Text};

/// A type, and the type of its arrays.
#[derive(Clone, Debug, PartialEq)]
pub struct UserType {
    pub oid: u32,
    pub array_oid: u32,
    pub schema: u32,
    pub name: String,
    /// The name of the array type: `_name`, with more underscores where that is taken.
    pub array_name: String,
    pub owner: u32,
    pub definition: TypeDefinition,
}

/// What a type is.
#[derive(Clone, Debug, PartialEq)]
pub enum TypeDefinition {
    Enum {
        /// In their order.
        labels: Vec<EnumLabel>,
    },
    Domain(Domain),
    Range(UserRange),
    /// Made and dropped with the range type.
    Multirange {
        range: u32,
        constructors: Constructors,
    },
    Composite(Composite),
}

/// A type of rows that belongs to no table.
#[derive(Clone, Debug, PartialEq)]
pub struct Composite {
    /// The OID under which `pg_class` and `pg_attribute` have it, as a relation without rows.
    pub relation: u32,
    /// By their numbers from 1, those that were dropped among them.
    pub attributes: Vec<Attribute>,
}

/// A field of a composite type.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    pub name: String,
    pub data_type: DataType,
    /// The OID of the collation that was named, 0: that of the type.
    pub collation: u32,
    /// Values have no such field: only its number is left.
    pub dropped: bool,
}

impl Composite {
    /// The attributes that values have, with their numbers.
    pub fn live(&self) -> impl Iterator<Item = (i16, &Attribute)> {
        (1..).zip(&self.attributes).filter(|(_, attribute)| !attribute.dropped)
    }

    /// The number of the attribute of a name.
    #[must_use]
    pub fn number_of(&self, name: &str) -> Option<i16> {
        self.live().find(|(_, attribute)| attribute.name == name).map(|(number, _)| number)
    }

    /// What its values look like.
    #[must_use]
    pub fn shape(&self, type_oid: u32) -> RecordShape {
        let fields = self.live().map(|(_, each)| (Text::new(&each.name), each.data_type));
        RecordShape { type_oid, fields: fields.collect() }
    }
}

/// A type of ranges.
#[derive(Clone, Debug, PartialEq)]
pub struct UserRange {
    pub subtype: u32,
    /// The OIDs of the operator class and the collation that order the subtype, which are shown.
    pub class: u32,
    pub collation: u32,
    /// The function that tells how far two values are apart, which is shown.
    pub difference: Option<String>,
    pub multirange: u32,
    pub constructors: Constructors,
}

/// Where the functions are that make values of a type: they stay there under their name, whatever becomes of the type's.
#[derive(Clone, Debug, PartialEq)]
pub struct Constructors {
    pub schema: u32,
    pub name: String,
}

/// A label of an enum.
#[derive(Clone, Debug, PartialEq)]
pub struct EnumLabel {
    pub oid: u32,
    /// Its place in the order, which is what values hold: it never changes.
    pub place: f64,
    pub label: String,
}

/// A type under constraints.
#[derive(Clone, Debug, PartialEq)]
pub struct Domain {
    pub base: DataType,
    pub not_null: bool,
    /// The text of the DEFAULT expression.
    pub default: Option<String>,
    /// By name.
    pub checks: Vec<DomainCheck>,
}

/// A CHECK of a domain.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainCheck {
    pub oid: u32,
    pub name: String,
    /// The text of the expression, in which `value` stands for the value.
    pub expression: String,
    pub validated: bool,
}

impl UserType {
    /// The labels, where it is an enum.
    #[must_use]
    pub fn labels(&self) -> Option<&[EnumLabel]> {
        if let TypeDefinition::Enum { labels } = &self.definition { Some(labels) } else { None }
    }

    /// What it is as a type of ranges.
    #[must_use]
    pub fn range(&self) -> Option<&UserRange> {
        if let TypeDefinition::Range(range) = &self.definition { Some(range) } else { None }
    }

    /// The functions that make its values.
    #[must_use]
    pub fn constructors(&self) -> Option<&Constructors> {
        match &self.definition {
            TypeDefinition::Range(range) => Some(&range.constructors),
            TypeDefinition::Multirange { constructors, .. } => Some(constructors),
            _ => None,
        }
    }

    /// What it is as a composite type.
    #[must_use]
    pub fn composite(&self) -> Option<&Composite> {
        if let TypeDefinition::Composite(composite) = &self.definition { Some(composite) } else { None }
    }

    /// The domain that it is.
    #[must_use]
    pub fn domain(&self) -> Option<&Domain> {
        if let TypeDefinition::Domain(domain) = &self.definition { Some(domain) } else { None }
    }
}
