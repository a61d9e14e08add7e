//! What a statement's result looks like on the wire: its description, and how each column is written.
//!
//! A shape is made once for each prepared statement and kept, so that describing and writing the result of a
//! statement that runs often looks nothing up.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use heliosdb_nano::session::binder::ResultColumn;
use heliosdb_nano::session::types::builtin_type;
use heliosdb_nano::session::{Encoding, Prepared, SqlError};

use crate::rows::ColumnCoder;
use crate::wire::{Output, protocol_violation};

/// How many shapes a connection keeps.
const SHAPES_MAX: usize = 256;

/// The formats of the columns of a result, as Bind asks for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Formats {
    Text,
    Binary,
    Each(Box<[bool]>),
}

impl Formats {
    /// Whether a column is to be binary.
    pub(crate) fn is_binary(&self, column: usize) -> bool {
        match self {
            Formats::Text => false,
            Formats::Binary => true,
            Formats::Each(columns) => columns[column],
        }
    }
}

/// Whether a format code means binary.
pub(crate) fn is_binary_code(code: i16) -> Result<bool, SqlError> {
    match code {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(SqlError::invalid_parameter(format!("unsupported format code: {other}"))),
    }
}

/// The result of a prepared statement, or the rows of a cursor.
pub(crate) struct ResultShape {
    pub(crate) columns: Vec<ColumnCoder>,
    /// RowDescription with all formats text; empty for a statement without a result.
    description: Vec<u8>,
    /// Where the formats lie in it.
    format_places: Vec<usize>,
    /// Why the client cannot be told the columns' names.
    refused: Option<SqlError>,
}

impl ResultShape {
    pub(crate) fn new(columns: Option<&[ResultColumn]>, encoding: Encoding) -> ResultShape {
        let Some(columns) = columns else {
            return ResultShape {
                columns: Vec::new(),
                description: Vec::new(),
                format_places: Vec::new(),
                refused: None,
            };
        };
        let mut output = Output::default();
        output.set_encoding(encoding);
        let mut format_places = Vec::with_capacity(columns.len());
        let message = output.begin(b'T');
        // More columns than the count can hold are refused by the binder.
        output.i16(i16::try_from(columns.len()).unwrap_or(i16::MAX));
        for column in columns {
            describe_column(column, &mut output);
            format_places.push(output.buffer().len() - 2);
        }
        output.end(message);
        ResultShape {
            columns: columns.iter().map(|column| ColumnCoder::new(column.data_type)).collect(),
            refused: output.take_refused(),
            description: std::mem::take(output.buffer()),
            format_places,
        }
    }

    /// Whether there is a result at all, perhaps without columns.
    pub(crate) fn has_rows(&self) -> bool {
        !self.description.is_empty()
    }

    /// RowDescription, or NoData.
    pub(crate) fn describe(&self, formats: &Formats, output: &mut Output) -> Result<(), SqlError> {
        if let Some(refused) = &self.refused {
            return Err(refused.clone());
        }
        if !self.has_rows() {
            output.empty_message(b'n');
            return Ok(());
        }
        let start = output.buffer().len();
        output.bytes(&self.description);
        if *formats != Formats::Text {
            for (column, place) in self.format_places.iter().enumerate() {
                output.buffer()[start + place + 1] = u8::from(formats.is_binary(column));
            }
        }
        Ok(())
    }

    /// What a list of format codes means: none is text, one is for all.
    pub(crate) fn formats(&self, codes: impl ExactSizeIterator<Item = i16>) -> Result<Formats, SqlError> {
        let (given, columns) = (codes.len(), self.columns.len());
        // A statement without a result does not care, as PostgreSQL.
        if given > 1 && self.has_rows() && given != columns {
            return Err(protocol_violation(format!(
                "bind message has {given} result formats but query has {columns} columns"
            )));
        }
        let mut binary = Vec::new();
        for code in codes {
            binary.push(is_binary_code(code)?);
        }
        Ok(match binary.as_slice() {
            [] | [false] => Formats::Text,
            [true] => Formats::Binary,
            each if each.iter().all(|binary| !binary) => Formats::Text,
            each if each.iter().all(|binary| *binary) => Formats::Binary,
            _ => Formats::Each(binary.into()),
        })
    }
}

fn describe_column(column: &ResultColumn, output: &mut Output) {
    let (table, number) = column.source.unwrap_or_default();
    output.string(&column.name);
    output.u32(table);
    output.i16(number);
    output.u32(column.data_type.oid);
    output.i16(builtin_type(column.data_type.oid).map_or(-1, |info| info.length));
    output.i32(column.data_type.typmod);
    output.i16(0);
}

/// The shapes of the statements that a connection has prepared.
#[derive(Default)]
pub(crate) struct Shapes {
    /// By the statement's address, which the statement kept here holds.
    known: HashMap<usize, (Arc<Prepared>, Rc<ResultShape>)>,
    /// What they are described in.
    encoding: Encoding,
}

impl Shapes {
    /// A statement's shape, for a client of some encoding.
    pub(crate) fn of(&mut self, prepared: &Arc<Prepared>, encoding: Encoding) -> Rc<ResultShape> {
        if self.encoding != encoding {
            self.known.clear();
            self.encoding = encoding;
        }
        let address = Arc::as_ptr(prepared).addr();
        if let Some((_, shape)) = self.known.get(&address) {
            return shape.clone();
        }
        if self.known.len() >= SHAPES_MAX {
            self.known.clear();
        }
        let shape = Rc::new(ResultShape::new(prepared.columns.as_deref(), encoding));
        self.known.insert(address, (prepared.clone(), shape.clone()));
        shape
    }
}
