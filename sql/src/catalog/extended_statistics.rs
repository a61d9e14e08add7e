//! Statistics objects: what CREATE STATISTICS says of columns that belong together.

use super::codec::{Reader, Writer};
use super::object::ColumnNumber;
use crate::error::Result;

/// A statistics object.
#[derive(Clone, Debug, PartialEq)]
pub struct ExtendedStatistics {
    pub oid: u32,
    pub schema: u32,
    pub name: String,
    pub owner: u32,
    pub table: u32,
    /// In order of their numbers.
    pub columns: Vec<ColumnNumber>,
    /// The texts of expressions over a row of the table.
    pub expressions: Vec<String>,
    /// The columns that expressions read.
    pub read: Vec<ColumnNumber>,
    /// PostgreSQL's letters: `d` distinct values, `f` dependencies, `m` most common values, `e` expressions.
    pub kinds: Vec<u8>,
    /// -1: that of the columns.
    pub target: i32,
}

impl ExtendedStatistics {
    /// Whether it cannot be without a column.
    #[must_use]
    pub fn depends_on(&self, number: ColumnNumber) -> bool {
        self.columns.contains(&number) || self.read.contains(&number)
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u32(self.oid);
        writer.u32(self.schema);
        writer.text(&self.name);
        writer.u32(self.owner);
        writer.u32(self.table);
        writer.numbers(&self.columns);
        writer.list(&self.expressions, |writer, text| writer.text(text));
        writer.numbers(&self.read);
        writer.bytes(&self.kinds);
        writer.u32(self.target.cast_unsigned());
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<ExtendedStatistics> {
        Ok(ExtendedStatistics {
            oid: reader.u32()?,
            schema: reader.u32()?,
            name: reader.text()?,
            owner: reader.u32()?,
            table: reader.u32()?,
            columns: reader.numbers()?,
            expressions: reader.list(Reader::text)?,
            read: reader.numbers()?,
            kinds: reader.bytes()?.to_vec(),
            target: reader.u32()?.cast_signed(),
        })
    }
}
