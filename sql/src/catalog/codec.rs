//! The stored form of catalog objects.
//!
//! An object is its class's tag, a format number, and its fields in order: integers big-endian, strings and
//! lists behind a 32-bit length. Decoding never panics: bytes that do not fit are XX001.

use std::sync::Arc;

use helios_mvcc::TreeId;

use super::column_identity::ColumnIdentity;
use super::column_settings::ColumnSettings;
use super::configuration::Configuration;
use super::extended_statistics::ExtendedStatistics;
use super::extension::Extension;
use super::object::{
    Comments, Constraint, ConstraintKind, ForeignKeyAction, Identity, Index, IndexColumn, IndexExpression,
    Materialized, Object, OnCommit, Schema, Sequence, SequenceOwner, Table, TableColumn, Timing, View,
    ViewColumn, ViewSource,
};
use super::rights::{DefaultRights, ObjectRights};
use super::role::Role;
use super::statistics::Statistics;
use super::user_type::{
    Attribute, Composite, Constructors, Domain, DomainCheck, EnumLabel, TypeDefinition, UserRange, UserType,
};
use crate::error::{Result, SqlError};
use crate::sequence::{Limits, Position};
use crate::types::{DataType, Representation, TypeInfo, builtin_type, is_user_type, oids};
use crate::value::{Datum, PhysicalKind, RowColumn, RowLayout};

/// The class part of a catalog key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// Counters and flags.
    Meta = 0,
    Schema = 1,
    Table = 2,
    Index = 3,
    Constraint = 4,
    Sequence = 5,
    View = 6,
    Comments = 7,
    Type = 8,
    Role = 9,
    /// Who may do what with an object, by its OID.
    Rights = 10,
    /// What ALTER DEFAULT PRIVILEGES said.
    DefaultRights = 11,
    Extension = 12,
    /// What sessions begin with in a database, by its OID.
    Configuration = 13,
    /// What CREATE STATISTICS made.
    ExtendedStatistics = 14,
    /// (schema, name) → OID, for tables, indexes and sequences, which share a name space.
    RelationName = 16,
    /// name → OID
    SchemaName = 17,
    /// (schema, name) → OID, for types and those of their arrays.
    TypeName = 18,
    /// name → OID
    RoleName = 19,
    /// name → OID
    ExtensionName = 20,
    /// (schema, name) → OID, for what CREATE STATISTICS made.
    ExtendedStatisticsName = 21,
    /// What ANALYZE found out about a table, by its OID.
    Statistics = 33,
}

/// The format of the objects below.
const FORMAT: u8 = 2;
/// The same of an object that has a built-in type of ranges: a program that does not know these would take the values for
/// text, so it must refuse.
const FORMAT_WITH_RANGES: u8 = 3;
/// The same of one that has a type that came later still.
const FORMAT_WITH_LATER_TYPES: u8 = 4;

/// The same of one that has one of the newest types.
const FORMAT_WITH_NEWEST_TYPES: u8 = 5;

/// The built-in types, and those of their arrays, that programs before that format do not know.
const LATER_TYPES: [u32; 6] =
    [oids::MACADDR8, oids::MACADDR8_ARRAY, oids::MONEY, oids::MONEY_ARRAY, oids::TID, oids::TID_ARRAY];
const NEWEST_TYPES: [u32; 6] = [
    oids::PG_LSN,
    oids::PG_LSN_ARRAY,
    oids::PG_SNAPSHOT,
    oids::PG_SNAPSHOT_ARRAY,
    oids::TXID_SNAPSHOT,
    oids::TXID_SNAPSHOT_ARRAY,
];

/// Whether a type is a built-in one of ranges, multiranges or arrays of them.
fn is_of_ranges(type_oid: u32) -> bool {
    let is_known = |info: &TypeInfo| info.kind == PhysicalKind::Spans;
    builtin_type(type_oid)
        .is_some_and(|info| is_known(info) || info.element().and_then(builtin_type).is_some_and(is_known))
}

fn format_of(object: &Object) -> u8 {
    let any = |test: &dyn Fn(u32) -> bool| match object {
        Object::Table(table) => table.columns.iter().any(|column| test(column.type_oid)),
        Object::Index(index) => {
            index.columns.iter().filter_map(|column| column.expression.as_ref()).any(|it| test(it.type_oid))
        }
        Object::View(view) => view.columns.iter().any(|column| test(column.type_oid)),
        Object::Type(own) => own.domain().is_some_and(|domain| test(domain.base.oid)),
        _ => false,
    };
    if any(&|type_oid| NEWEST_TYPES.contains(&type_oid)) {
        return FORMAT_WITH_NEWEST_TYPES;
    }
    if any(&|type_oid| LATER_TYPES.contains(&type_oid)) {
        return FORMAT_WITH_LATER_TYPES;
    }
    if any(&is_of_ranges) { FORMAT_WITH_RANGES } else { FORMAT }
}

#[derive(Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }
    pub(super) fn bool(&mut self, value: bool) {
        self.0.push(u8::from(value));
    }
    pub(super) fn u32(&mut self, value: u32) {
        self.0.extend(value.to_be_bytes());
    }
    pub(super) fn u64(&mut self, value: u64) {
        self.0.extend(value.to_be_bytes());
    }
    pub(super) fn i64(&mut self, value: i64) {
        self.u64(value.cast_unsigned());
    }
    pub(super) fn bytes(&mut self, value: &[u8]) {
        self.u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
        self.0.extend(value);
    }
    pub(super) fn text(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }
    pub(super) fn optional(&mut self, value: Option<&str>) {
        self.bool(value.is_some());
        if let Some(value) = value {
            self.text(value);
        }
    }
    pub(super) fn list<T>(&mut self, values: &[T], mut each: impl FnMut(&mut Writer, &T)) {
        self.u32(u32::try_from(values.len()).unwrap_or(u32::MAX));
        for value in values {
            each(self, value);
        }
    }
    pub(super) fn number(&mut self, value: i16) {
        self.0.extend(value.to_be_bytes());
    }
    pub(super) fn numbers(&mut self, values: &[i16]) {
        self.list(values, |writer, value| writer.number(*value));
    }
    pub(super) fn pairs(&mut self, values: &[(String, String)]) {
        self.list(values, |writer, (key, value)| {
            writer.text(key);
            writer.text(value);
        });
    }
}

pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count).ok_or_else(damaged)?;
        self.0 = tail;
        Ok(head)
    }
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| damaged())
    }
    pub(super) fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }
    pub(super) fn bool(&mut self) -> Result<bool> {
        Ok(self.u8()? != 0)
    }
    pub(super) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.array()?))
    }
    pub(super) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_be_bytes(self.array()?))
    }
    pub(super) fn i64(&mut self) -> Result<i64> {
        Ok(self.u64()?.cast_signed())
    }
    pub(super) fn number(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.array()?))
    }
    pub(super) fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.u32()? as usize;
        self.take(length)
    }
    pub(super) fn text(&mut self) -> Result<String> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| damaged())
    }
    pub(super) fn optional(&mut self) -> Result<Option<String>> {
        if self.bool()? { Ok(Some(self.text()?)) } else { Ok(None) }
    }
    pub(super) fn list<T>(&mut self, mut each: impl FnMut(&mut Reader<'a>) -> Result<T>) -> Result<Vec<T>> {
        let count = self.u32()?;
        (0..count).map(|_| each(self)).collect()
    }
    pub(super) fn numbers(&mut self) -> Result<Vec<i16>> {
        self.list(Reader::number)
    }
    pub(super) fn pairs(&mut self) -> Result<Vec<(String, String)>> {
        self.list(|reader| Ok((reader.text()?, reader.text()?)))
    }
}

pub(super) fn damaged() -> SqlError {
    SqlError::corrupted("a catalog row cannot be read")
}

/// The key of an object.
#[must_use]
pub fn object_key(class: Class, oid: u32) -> Vec<u8> {
    let mut key = vec![class as u8];
    key.extend(oid.to_be_bytes());
    key
}

/// The key of a relation's name.
#[must_use]
pub fn relation_name_key(schema: u32, name: &str) -> Vec<u8> {
    let mut key = object_key(Class::RelationName, schema);
    key.extend(name.as_bytes());
    key
}

/// The key of a type's name.
#[must_use]
pub fn type_name_key(schema: u32, name: &str) -> Vec<u8> {
    let mut key = object_key(Class::TypeName, schema);
    key.extend(name.as_bytes());
    key
}

/// The key of a schema's name.
#[must_use]
pub fn schema_name_key(name: &str) -> Vec<u8> {
    let mut key = vec![Class::SchemaName as u8];
    key.extend(name.as_bytes());
    key
}

/// The key of a role's name.
#[must_use]
pub fn role_name_key(name: &str) -> Vec<u8> {
    let mut key = vec![Class::RoleName as u8];
    key.extend(name.as_bytes());
    key
}

/// The key of the name of a statistics object.
#[must_use]
pub fn extended_statistics_name_key(schema: u32, name: &str) -> Vec<u8> {
    let mut key = object_key(Class::ExtendedStatisticsName, schema);
    key.extend(name.as_bytes());
    key
}

/// The key of a extension's name.
#[must_use]
pub fn extension_name_key(name: &str) -> Vec<u8> {
    let mut key = vec![Class::ExtensionName as u8];
    key.extend(name.as_bytes());
    key
}

/// An object's stored form.
#[must_use]
pub fn encode(object: &Object) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.u8(format_of(object));
    match object {
        Object::Schema(schema) => {
            writer.u32(schema.oid);
            writer.text(&schema.name);
            writer.u32(schema.owner);
        }
        Object::Table(table) => encode_table(&mut writer, table),
        Object::Index(index) => {
            writer.u32(index.oid);
            writer.u32(index.table);
            writer.u32(index.schema);
            writer.text(&index.name);
            writer.u64(index.tree.0);
            writer.list(&index.columns, |writer, column| {
                writer.number(column.number);
                writer.bool(column.expression.is_some());
                if let Some(expression) = &column.expression {
                    writer.text(&expression.text);
                    writer.u32(expression.type_oid);
                    encode_representation(writer, expression.type_oid, expression.representation);
                }
                writer.optional(column.class.as_deref());
                writer.bool(column.descending);
                writer.bool(column.nulls_first);
            });
            writer.bool(index.unique);
            writer.bool(index.primary);
            writer.bool(index.nulls_not_distinct);
            writer.optional(index.predicate.as_deref());
            writer.numbers(&index.included);
            writer.numbers(&index.read);
            writer.pairs(&index.options);
            if index.is_hash || index.columns.iter().any(|column| column.collation != 0) {
                encode_collations(&mut writer, index.columns.iter().map(|column| column.collation));
            }
            if index.is_hash {
                writer.bool(true);
            }
        }
        Object::Constraint(constraint) => encode_constraint(&mut writer, constraint),
        Object::Sequence(sequence) => encode_sequence(&mut writer, sequence),
        Object::View(view) => encode_view(&mut writer, view),
        Object::Type(user_type) => encode_type(&mut writer, user_type),
        Object::Extension(extension) => extension.encode(&mut writer),
        Object::Role(role) => role.encode(&mut writer),
        Object::Configuration(configuration) => configuration.encode(&mut writer),
        Object::Rights(rights) => rights.encode(&mut writer),
        Object::DefaultRights(rights) => rights.encode(&mut writer),
        Object::Statistics(statistics) => statistics.encode(&mut writer),
        Object::ExtendedStatistics(own) => own.encode(&mut writer),
        Object::Comments(comments) => {
            writer.u32(comments.oid);
            writer.u32(comments.class);
            writer.list(&comments.texts, |writer, (number, text)| {
                writer.number(*number);
                writer.text(text);
            });
        }
    }
    writer.0
}

/// Built-in types are known; what is held of a user's is said beside its OID.
fn encode_representation(writer: &mut Writer, type_oid: u32, representation: Representation) {
    if is_user_type(type_oid) {
        writer.u8(representation.kind.number());
        writer.u32(representation.base);
    }
}

fn decode_representation(reader: &mut Reader<'_>, type_oid: u32) -> Result<Representation> {
    if is_user_type(type_oid) {
        let kind = PhysicalKind::numbered(reader.u8()?).ok_or_else(damaged)?;
        return Ok(Representation { kind, base: reader.u32()? });
    }
    // A type that is no more counts as text: nothing holds it.
    Ok(Representation::of_builtin(type_oid)
        .unwrap_or(Representation { kind: PhysicalKind::Text, base: type_oid }))
}

/// A column's missing value is stored as a row of that one column.
fn missing_layout(kind: PhysicalKind) -> RowLayout {
    RowLayout::new(vec![RowColumn { kind, missing: Datum::Null }])
}

fn encode_missing(column: &TableColumn) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoded = missing_layout(column.representation.kind).encode(
        1,
        std::slice::from_ref(&column.missing),
        &mut bytes,
    );
    debug_assert!(encoded.is_ok(), "a default is of its column's type");
    bytes
}

fn encode_table(writer: &mut Writer, table: &Table) {
    writer.u32(table.oid);
    writer.u32(table.schema);
    writer.text(&table.name);
    writer.u32(table.owner);
    writer.u64(table.tree.0);
    writer.u32(table.schema_version);
    writer.list(&table.columns, |writer, column| {
        writer.number(column.number);
        writer.text(&column.name);
        writer.u32(column.type_oid);
        writer.u32(column.type_modifier.cast_unsigned());
        encode_representation(writer, column.type_oid, column.representation);
        writer.bool(column.not_null);
        writer.optional(column.default.as_deref());
        writer.u8(column.identity.map_or(0, Identity::code));
        writer.bool(column.generated);
        writer.bytes(&encode_missing(column));
        writer.bool(column.dropped);
    });
    writer.numbers(&table.primary_key);
    writer.bool(table.unlogged);
    writer.bool(table.is_temporary);
    writer.u8(match table.on_commit {
        OnCommit::PreserveRows => 0,
        OnCommit::DeleteRows => 1,
        OnCommit::Drop => 2,
    });
    writer.pairs(&table.options);
    writer.u64(table.row_estimate.cast_unsigned());
    writer.list(&table.columns, |writer, column| {
        writer.list(column.origin.identities(), |writer, identity| writer.u32(*identity));
    });
    let has_collations = table.columns.iter().any(|column| column.collation != 0);
    let has_settings = table.columns.iter().any(|column| !column.settings.is_empty());
    // Others end here, as they ever did.
    if let Some(materialized) = &table.materialized {
        writer.bool(true);
        writer.text(&materialized.query);
        encode_sources(writer, &materialized.sources);
        writer.bool(materialized.is_populated);
    } else if has_collations || has_settings || table.of_type != 0 {
        writer.bool(false);
    }
    if has_collations || has_settings || table.of_type != 0 {
        encode_collations(writer, table.columns.iter().map(|column| column.collation));
    }
    if has_settings || table.of_type != 0 {
        writer.list(&table.columns, |writer, column| column.settings.encode(writer));
    }
    if table.of_type != 0 {
        writer.u32(table.of_type);
    }
}

/// The collations that were named, by the places of their columns.
fn encode_collations(writer: &mut Writer, collations: impl Iterator<Item = u32>) {
    let named: Vec<(usize, u32)> = collations.enumerate().filter(|(_, collation)| *collation != 0).collect();
    writer.list(&named, |writer, (place, collation)| {
        writer.u32(u32::try_from(*place).unwrap_or(u32::MAX));
        writer.u32(*collation);
    });
}

/// Sets what [`encode_collations`] wrote.
fn decode_collations<T>(reader: &mut Reader<'_>, columns: &mut [T], set: impl Fn(&mut T, u32)) -> Result<()> {
    for (place, collation) in reader.list(|reader| Ok((reader.u32()?, reader.u32()?)))? {
        set(columns.get_mut(place as usize).ok_or_else(damaged)?, collation);
    }
    Ok(())
}

fn encode_sources(writer: &mut Writer, sources: &[ViewSource]) {
    writer.list(sources, |writer, source| {
        writer.u32(source.relation);
        writer.list(&source.columns, |writer, (number, name)| {
            writer.number(*number);
            writer.text(name);
        });
        writer.numbers(&source.used);
    });
}

fn decode_sources(reader: &mut Reader<'_>) -> Result<Vec<ViewSource>> {
    reader.list(|reader| {
        Ok(ViewSource {
            relation: reader.u32()?,
            columns: reader.list(|reader| Ok((reader.number()?, reader.text()?)))?,
            used: reader.numbers()?,
        })
    })
}

fn encode_constraint(writer: &mut Writer, constraint: &Constraint) {
    writer.u32(constraint.oid);
    writer.u32(constraint.table);
    writer.u32(constraint.schema);
    writer.text(&constraint.name);
    writer.numbers(&constraint.columns);
    writer.bool(constraint.timing.deferrable);
    writer.bool(constraint.timing.initially_deferred);
    writer.bool(constraint.validated);
    match &constraint.kind {
        ConstraintKind::PrimaryKey { index } => {
            writer.u8(b'p');
            writer.u32(*index);
        }
        ConstraintKind::Unique { index } => {
            writer.u8(b'u');
            writer.u32(*index);
        }
        ConstraintKind::Check { expression, no_inherit } => {
            writer.u8(if *no_inherit { b'C' } else { b'c' });
            writer.text(expression);
        }
        ConstraintKind::ForeignKey {
            table,
            columns,
            index,
            on_delete,
            on_update,
            delete_columns,
            match_full,
        } => {
            writer.u8(match (*match_full, delete_columns.is_empty()) {
                (false, true) => b'f',
                (true, true) => b'F',
                (false, false) => b'd',
                (true, false) => b'D',
            });
            writer.u32(*table);
            writer.numbers(columns);
            writer.u32(*index);
            writer.u8(on_delete.code());
            writer.u8(on_update.code());
            if !delete_columns.is_empty() {
                writer.numbers(delete_columns);
            }
        }
    }
}

fn encode_sequence(writer: &mut Writer, sequence: &Sequence) {
    writer.u32(sequence.oid);
    writer.u32(sequence.schema);
    writer.text(&sequence.name);
    writer.u32(sequence.owner);
    writer.u32(sequence.type_oid);
    writer.i64(sequence.start);
    writer.i64(sequence.limits.increment);
    writer.i64(sequence.limits.minimum);
    writer.i64(sequence.limits.maximum);
    writer.bool(sequence.limits.cycle);
    writer.i64(sequence.cache);
    writer.u32(sequence.counter);
    writer.bytes(&sequence.initial.encode());
    writer.bool(sequence.owned_by.is_some());
    if let Some(owner) = sequence.owned_by {
        writer.u32(owner.table);
        writer.number(owner.column);
        writer.bool(owner.is_identity);
    }
    writer.bool(sequence.is_temporary);
    writer.bool(sequence.unlogged);
}

fn decode_sequence(reader: &mut Reader<'_>) -> Result<Sequence> {
    Ok(Sequence {
        oid: reader.u32()?,
        schema: reader.u32()?,
        name: reader.text()?,
        owner: reader.u32()?,
        type_oid: reader.u32()?,
        start: reader.i64()?,
        limits: Limits {
            increment: reader.i64()?,
            minimum: reader.i64()?,
            maximum: reader.i64()?,
            cycle: reader.bool()?,
        },
        cache: reader.i64()?,
        counter: reader.u32()?,
        initial: Position::decode(reader.bytes()?).ok_or_else(damaged)?,
        owned_by: if reader.bool()? {
            Some(SequenceOwner {
                table: reader.u32()?,
                column: reader.number()?,
                is_identity: reader.bool()?,
            })
        } else {
            None
        },
        is_temporary: reader.bool()?,
        unlogged: reader.bool()?,
    })
}

fn encode_view(writer: &mut Writer, view: &View) {
    writer.u32(view.oid);
    writer.u32(view.schema);
    writer.text(&view.name);
    writer.u32(view.owner);
    writer.list(&view.columns, |writer, column| {
        writer.text(&column.name);
        writer.u32(column.type_oid);
        writer.u32(column.type_modifier.cast_unsigned());
    });
    writer.text(&view.query);
    encode_sources(writer, &view.sources);
    writer.bool(view.is_temporary);
    writer.pairs(&view.options);
}

fn decode_view(reader: &mut Reader<'_>) -> Result<View> {
    Ok(View {
        oid: reader.u32()?,
        schema: reader.u32()?,
        name: reader.text()?,
        owner: reader.u32()?,
        columns: reader.list(|reader| {
            Ok(ViewColumn {
                name: reader.text()?,
                type_oid: reader.u32()?,
                type_modifier: reader.u32()?.cast_signed(),
            })
        })?,
        query: reader.text()?,
        sources: decode_sources(reader)?,
        is_temporary: reader.bool()?,
        options: reader.pairs()?,
    })
}

fn encode_type(writer: &mut Writer, user_type: &UserType) {
    writer.u32(user_type.oid);
    writer.u32(user_type.array_oid);
    writer.u32(user_type.schema);
    writer.text(&user_type.name);
    writer.text(&user_type.array_name);
    writer.u32(user_type.owner);
    match &user_type.definition {
        TypeDefinition::Enum { labels } => {
            writer.u8(b'e');
            writer.list(labels, |writer, label| {
                writer.u32(label.oid);
                writer.u64(label.place.to_bits());
                writer.text(&label.label);
            });
        }
        TypeDefinition::Domain(domain) => {
            writer.u8(b'd');
            writer.u32(domain.base.oid);
            writer.u32(domain.base.typmod.cast_unsigned());
            writer.bool(domain.not_null);
            writer.optional(domain.default.as_deref());
            writer.list(&domain.checks, |writer, check| {
                writer.u32(check.oid);
                writer.text(&check.name);
                writer.text(&check.expression);
                writer.bool(check.validated);
            });
        }
        TypeDefinition::Range(range) => {
            writer.u8(b'r');
            writer.u32(range.subtype);
            writer.u32(range.class);
            writer.u32(range.collation);
            writer.optional(range.difference.as_deref());
            writer.u32(range.multirange);
            writer.u32(range.constructors.schema);
            writer.text(&range.constructors.name);
        }
        TypeDefinition::Multirange { range, constructors } => {
            writer.u8(b'm');
            writer.u32(*range);
            writer.u32(constructors.schema);
            writer.text(&constructors.name);
        }
        TypeDefinition::Composite(composite) => {
            writer.u8(b'c');
            writer.u32(composite.relation);
            writer.list(&composite.attributes, |writer, attribute| {
                writer.text(&attribute.name);
                writer.u32(attribute.data_type.oid);
                writer.u32(attribute.data_type.typmod.cast_unsigned());
                writer.u32(attribute.collation);
                writer.bool(attribute.dropped);
            });
        }
    }
}

fn decode_type(reader: &mut Reader<'_>) -> Result<UserType> {
    Ok(UserType {
        oid: reader.u32()?,
        array_oid: reader.u32()?,
        schema: reader.u32()?,
        name: reader.text()?,
        array_name: reader.text()?,
        owner: reader.u32()?,
        definition: match reader.u8()? {
            b'e' => TypeDefinition::Enum {
                labels: reader.list(|reader| {
                    Ok(EnumLabel {
                        oid: reader.u32()?,
                        place: f64::from_bits(reader.u64()?),
                        label: reader.text()?,
                    })
                })?,
            },
            b'd' => TypeDefinition::Domain(Domain {
                base: DataType { oid: reader.u32()?, typmod: reader.u32()?.cast_signed() },
                not_null: reader.bool()?,
                default: reader.optional()?,
                checks: reader.list(|reader| {
                    Ok(DomainCheck {
                        oid: reader.u32()?,
                        name: reader.text()?,
                        expression: reader.text()?,
                        validated: reader.bool()?,
                    })
                })?,
            }),
            b'r' => TypeDefinition::Range(UserRange {
                subtype: reader.u32()?,
                class: reader.u32()?,
                collation: reader.u32()?,
                difference: reader.optional()?,
                multirange: reader.u32()?,
                constructors: Constructors { schema: reader.u32()?, name: reader.text()? },
            }),
            b'm' => TypeDefinition::Multirange {
                range: reader.u32()?,
                constructors: Constructors { schema: reader.u32()?, name: reader.text()? },
            },
            b'c' => TypeDefinition::Composite(Composite {
                relation: reader.u32()?,
                attributes: reader.list(|reader| {
                    Ok(Attribute {
                        name: reader.text()?,
                        data_type: DataType { oid: reader.u32()?, typmod: reader.u32()?.cast_signed() },
                        collation: reader.u32()?,
                        dropped: reader.bool()?,
                    })
                })?,
            }),
            _ => return Err(damaged()),
        },
    })
}

/// Reads an object's stored form; `None` for a class that holds no objects.
///
/// # Errors
/// XX001.
pub fn decode(class: u8, bytes: &[u8]) -> Result<Option<Object>> {
    let mut reader = Reader(bytes);
    let is_statistics = class == Class::Statistics as u8;
    if class == Class::Meta as u8 || (class > Class::ExtendedStatistics as u8 && !is_statistics) {
        return Ok(None);
    }
    if !matches!(
        reader.u8()?,
        FORMAT | FORMAT_WITH_RANGES | FORMAT_WITH_LATER_TYPES | FORMAT_WITH_NEWEST_TYPES
    ) {
        return Err(SqlError::corrupted("a catalog row has an unknown format"));
    }
    if is_statistics {
        return Statistics::decode(&mut reader)
            .map(|statistics| Some(Object::Statistics(Arc::new(statistics))));
    }
    Ok(Some(match class {
        1 => Object::Schema(Arc::new(Schema {
            oid: reader.u32()?,
            name: reader.text()?,
            owner: reader.u32()?,
        })),
        2 => Object::Table(Arc::new(decode_table(&mut reader)?)),
        3 => Object::Index(Arc::new(decode_index(&mut reader)?)),
        4 => Object::Constraint(Arc::new(decode_constraint(&mut reader)?)),
        5 => Object::Sequence(Arc::new(decode_sequence(&mut reader)?)),
        6 => Object::View(Arc::new(decode_view(&mut reader)?)),
        8 => Object::Type(Arc::new(decode_type(&mut reader)?)),
        9 => Object::Role(Arc::new(Role::decode(&mut reader)?)),
        10 => Object::Rights(Arc::new(ObjectRights::decode(&mut reader)?)),
        11 => Object::DefaultRights(Arc::new(DefaultRights::decode(&mut reader)?)),
        12 => Object::Extension(Arc::new(Extension::decode(&mut reader)?)),
        13 => Object::Configuration(Arc::new(Configuration::decode(&mut reader)?)),
        14 => Object::ExtendedStatistics(Arc::new(ExtendedStatistics::decode(&mut reader)?)),
        _ => Object::Comments(Arc::new(Comments {
            oid: reader.u32()?,
            class: reader.u32()?,
            texts: reader.list(|reader| Ok((reader.number()?, reader.text()?)))?,
        })),
    }))
}

fn decode_index(reader: &mut Reader<'_>) -> Result<Index> {
    let mut index = Index {
        oid: reader.u32()?,
        table: reader.u32()?,
        schema: reader.u32()?,
        name: reader.text()?,
        tree: TreeId(reader.u64()?),
        columns: reader.list(|reader| {
            Ok(IndexColumn {
                number: reader.number()?,
                expression: if reader.bool()? {
                    let (text, type_oid) = (reader.text()?, reader.u32()?);
                    let representation = decode_representation(reader, type_oid)?;
                    Some(IndexExpression { text, type_oid, representation })
                } else {
                    None
                },
                class: reader.optional()?,
                collation: 0,
                descending: reader.bool()?,
                nulls_first: reader.bool()?,
            })
        })?,
        unique: reader.bool()?,
        primary: reader.bool()?,
        nulls_not_distinct: reader.bool()?,
        predicate: reader.optional()?,
        included: reader.numbers()?,
        read: reader.numbers()?,
        options: reader.pairs()?,
        is_hash: false,
    };
    // Of indexes with collations, and of hash indexes, alone.
    if !reader.0.is_empty() {
        decode_collations(reader, &mut index.columns, |column, collation| column.collation = collation)?;
    }
    if !reader.0.is_empty() {
        index.is_hash = reader.bool()?;
    }
    Ok(index)
}

fn decode_table(reader: &mut Reader<'_>) -> Result<Table> {
    let mut table = Table {
        oid: reader.u32()?,
        schema: reader.u32()?,
        name: reader.text()?,
        owner: reader.u32()?,
        tree: TreeId(reader.u64()?),
        schema_version: reader.u32()?,
        columns: reader.list(|reader| {
            let (number, name) = (reader.number()?, reader.text()?);
            let (type_oid, type_modifier) = (reader.u32()?, reader.u32()?.cast_signed());
            let mut column = TableColumn {
                number,
                name,
                type_oid,
                type_modifier,
                collation: 0,
                representation: decode_representation(reader, type_oid)?,
                not_null: reader.bool()?,
                default: reader.optional()?,
                identity: match reader.u8()? {
                    b'a' => Some(Identity::Always),
                    b'd' => Some(Identity::ByDefault),
                    _ => None,
                },
                generated: reader.bool()?,
                missing: Datum::Null,
                dropped: false,
                origin: ColumnIdentity::default(),
                settings: ColumnSettings::default(),
            };
            column.missing = missing_layout(column.representation.kind).view(reader.bytes()?)?.get(0)?;
            column.dropped = reader.bool()?;
            Ok(column)
        })?,
        primary_key: reader.numbers()?,
        unlogged: reader.bool()?,
        is_temporary: reader.bool()?,
        on_commit: match reader.u8()? {
            0 => OnCommit::PreserveRows,
            1 => OnCommit::DeleteRows,
            2 => OnCommit::Drop,
            _ => return Err(damaged()),
        },
        options: reader.pairs()?,
        row_estimate: reader.u64()?.cast_signed(),
        materialized: None,
        of_type: 0,
    };
    // Programs before this one wrote none.
    if !reader.0.is_empty() {
        let origins = reader.list(|reader| reader.list(Reader::u32).map(ColumnIdentity::stored))?;
        for (column, origin) in table.columns.iter_mut().zip(origins) {
            column.origin = origin;
        }
    }
    if !reader.0.is_empty() && reader.bool()? {
        table.materialized = Some(Materialized {
            query: reader.text()?,
            sources: decode_sources(reader)?,
            is_populated: reader.bool()?,
        });
    }
    if !reader.0.is_empty() {
        decode_collations(reader, &mut table.columns, |column, collation| column.collation = collation)?;
    }
    if !reader.0.is_empty() {
        let settings = reader.list(ColumnSettings::decode)?;
        for (column, settings) in table.columns.iter_mut().zip(settings) {
            column.settings = settings;
        }
    }
    if !reader.0.is_empty() {
        table.of_type = reader.u32()?;
    }
    Ok(table)
}

fn decode_constraint(reader: &mut Reader<'_>) -> Result<Constraint> {
    Ok(Constraint {
        oid: reader.u32()?,
        table: reader.u32()?,
        schema: reader.u32()?,
        name: reader.text()?,
        columns: reader.numbers()?,
        timing: Timing { deferrable: reader.bool()?, initially_deferred: reader.bool()? },
        validated: reader.bool()?,
        kind: match reader.u8()? {
            b'p' => ConstraintKind::PrimaryKey { index: reader.u32()? },
            b'u' => ConstraintKind::Unique { index: reader.u32()? },
            kind @ (b'c' | b'C') => {
                ConstraintKind::Check { expression: reader.text()?, no_inherit: kind == b'C' }
            }
            kind @ (b'f' | b'F' | b'd' | b'D') => ConstraintKind::ForeignKey {
                match_full: kind.is_ascii_uppercase(),
                table: reader.u32()?,
                columns: reader.numbers()?,
                index: reader.u32()?,
                on_delete: ForeignKeyAction::from_code(reader.u8()?).ok_or_else(damaged)?,
                on_update: ForeignKeyAction::from_code(reader.u8()?).ok_or_else(damaged)?,
                delete_columns: match kind {
                    b'd' | b'D' => reader.numbers()?,
                    _ => Vec::new(),
                },
            },
            _ => return Err(damaged()),
        },
    })
}

impl ForeignKeyAction {
    /// PostgreSQL's code in `pg_constraint`.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            ForeignKeyAction::NoAction => b'a',
            ForeignKeyAction::Restrict => b'r',
            ForeignKeyAction::Cascade => b'c',
            ForeignKeyAction::SetNull => b'n',
            ForeignKeyAction::SetDefault => b'd',
        }
    }

    fn from_code(code: u8) -> Option<ForeignKeyAction> {
        Some(match code {
            b'a' => ForeignKeyAction::NoAction,
            b'r' => ForeignKeyAction::Restrict,
            b'c' => ForeignKeyAction::Cascade,
            b'n' => ForeignKeyAction::SetNull,
            b'd' => ForeignKeyAction::SetDefault,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain_over(oid: u32) -> Object {
        let domain = Domain { base: DataType::of(oid), not_null: false, default: None, checks: Vec::new() };
        let own = UserType {
            oid: 20_000,
            array_oid: 20_001,
            schema: 2200,
            name: "d".into(),
            array_name: "_d".into(),
            owner: 10,
            definition: TypeDefinition::Domain(domain),
        };
        own.into()
    }

    /// What has a type of ranges is written so that programs that do not know these refuse it; it is read as it was.
    #[test]
    fn only_objects_with_ranges_have_the_newer_format() {
        use crate::types::oids::{INT4, INT4_ARRAY, INT4RANGE, TSMULTIRANGE, TSTZRANGE_ARRAY};
        for (oid, format) in
            [(INT4, 2), (INT4_ARRAY, 2), (INT4RANGE, 3), (TSMULTIRANGE, 3), (TSTZRANGE_ARRAY, 3)]
        {
            let stored = encode(&domain_over(oid));
            assert_eq!(stored[0], format);
            let back = decode(Class::Type as u8, &stored).unwrap().unwrap();
            assert_eq!(encode(&back), stored);
        }
    }
}
