//! What ALTER COLUMN … SET STATISTICS, STORAGE, COMPRESSION and SET (…) said of a column. It is kept and shown, for dumps, and changes nothing.

use super::codec::{Reader, Writer};
use crate::error::Result;

/// The settings of a column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnSettings {
    /// How much ANALYZE is to gather.
    pub statistics: Option<i32>,
    /// `p`, `e`, `m` or `x`; `None`: the type's.
    pub storage: Option<u8>,
    /// `p` or `l`; `None`: the default.
    pub compression: Option<u8>,
    /// Names and values.
    pub options: Vec<(String, String)>,
}

impl ColumnSettings {
    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == ColumnSettings::default()
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u32(self.statistics.unwrap_or(-1).cast_unsigned());
        writer.u8(self.storage.unwrap_or(0));
        writer.u8(self.compression.unwrap_or(0));
        writer.pairs(&self.options);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<ColumnSettings> {
        let letter = |byte: u8| Some(byte).filter(|byte| *byte != 0);
        Ok(ColumnSettings {
            statistics: Some(reader.u32()?.cast_signed()).filter(|target| *target >= 0),
            storage: letter(reader.u8()?),
            compression: letter(reader.u8()?),
            options: reader.pairs()?,
        })
    }
}
