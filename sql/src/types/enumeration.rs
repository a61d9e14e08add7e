//! Enums: a value is stored as its label's place in the order, a number.
//!
//! The places of the labels of a new type are 1, 2, 3 and so on; one that is added between two others gets the
//! middle of their places. A label's place never changes, so values need not be rewritten, and the order of the
//! stored numbers is the order of the labels: keys, sorts and comparisons ask for no description of the type.

use super::scalar::{operations, wrong_kind};
use super::{Category, Oid, TypeInfo, TypeOperations, TypeShape};
use crate::error::{Result, SqlError, SqlState};
use crate::functions::EvalContext;
use crate::value::{Datum, PhysicalKind};
use std::borrow::Cow;
use std::collections::HashMap;

/// The labels of an enum, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EnumLabels {
    /// By place.
    labels: Vec<(f64, String)>,
    by_name: HashMap<String, f64>,
}

impl EnumLabels {
    /// From labels and their places, in any order.
    #[must_use]
    pub fn new(mut labels: Vec<(f64, String)>) -> EnumLabels {
        labels.sort_by(|left, right| left.0.total_cmp(&right.0));
        let by_name = labels.iter().map(|(place, label)| (label.clone(), *place)).collect();
        EnumLabels { labels, by_name }
    }

    /// All places, in order.
    pub fn places(&self) -> impl DoubleEndedIterator<Item = f64> {
        self.labels.iter().map(|(place, _)| *place)
    }

    /// The label at a place.
    #[must_use]
    pub fn label(&self, place: f64) -> Option<&str> {
        let at = self.labels.binary_search_by(|(each, _)| each.total_cmp(&place)).ok()?;
        Some(&self.labels[at].1)
    }

    /// The place of a label.
    #[must_use]
    pub fn place(&self, label: &str) -> Option<f64> {
        self.by_name.get(label).copied()
    }
}

impl TypeInfo {
    /// The labels, where this is an enum.
    #[must_use]
    pub fn enum_labels(&self) -> Option<&EnumLabels> {
        if let TypeShape::Enum { labels } = &self.shape { Some(labels) } else { None }
    }
}

fn parse_label(info: &TypeInfo, label: &str, context: &EvalContext<'_>) -> Result<Datum> {
    let place = info.enum_labels().and_then(|labels| labels.place(label));
    place.map(Datum::Float64).ok_or_else(|| {
        let shown = context.types.sql_name(info);
        SqlError::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("invalid input value for enum {shown}: \"{label}\""),
        )
    })
}

fn label_of<'i>(info: &'i TypeInfo, value: &Datum) -> Result<&'i str> {
    let (Some(labels), Datum::Float64(place)) = (info.enum_labels(), value) else {
        return Err(wrong_kind(info));
    };
    labels
        .label(*place)
        .ok_or_else(|| SqlError::corrupted(format!("enum {} has no label {place}", info.name)))
}

const ENUM: TypeOperations = operations(
    |info, text, _, context| parse_label(info, text, context),
    |info, value, out, _| {
        out.push_str(label_of(info, value)?);
        Ok(())
    },
    |info, bytes, _, context| parse_label(info, &context.settings.client_encoding.decode(bytes)?, context),
    |info, value, out, context| context.settings.client_encoding.encode_to(label_of(info, value)?, out),
);

/// A user's enum.
#[must_use]
pub fn enum_type(oid: Oid, array_oid: Oid, name: &str, sql_name: String, labels: EnumLabels) -> TypeInfo {
    TypeInfo {
        oid,
        name: Cow::Owned(name.to_owned()),
        sql_name: Cow::Owned(sql_name),
        array_oid,
        category: Category::Enum,
        preferred: false,
        length: 4,
        kind: PhysicalKind::Float64,
        shape: TypeShape::Enum { labels: labels.into() },
        operations: ENUM,
    }
}
