//! The functions of large objects, as calls that wait.

use std::path::Path;

use helios_runtime::{InputFile, OutputFile};

use super::descriptors::Descriptor;
use super::pages::{self, View, check_may_write};
use super::{BYTES_MAX, PAGE_BYTES};
use crate::copy::{of_file, reason};
use crate::error::{Result, SqlError, SqlState};
use crate::execute::Execution;
use crate::relations::ReportFunction;
use crate::types::Oid;
use crate::types::oids::{BYTEA, INT4, INT8, OID, TEXT, VOID};
use crate::value::Datum;

/// What a function does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LargeObjectCall {
    Creat,
    Create,
    FromBytes,
    Open,
    Close,
    Read,
    Write,
    /// The result is of 32 bits, or of 64.
    Seek {
        wide: bool,
    },
    Tell {
        wide: bool,
    },
    Truncate,
    Unlink,
    Get,
    Put,
    Import,
    Export,
}

use LargeObjectCall as Call;

/// The most bytes of a value.
const VALUE_BYTES_MAX: i64 = (1 << 30) - 1 - 4;

const fn function(
    name: &'static str,
    arguments: &'static [Oid],
    columns: &'static [(&'static str, Oid)],
    call: Call,
) -> ReportFunction {
    ReportFunction::large_object(name, arguments, columns, call)
}

const OID_RESULT: &[(&str, Oid)] = &[("value", OID)];
const INT4_RESULT: &[(&str, Oid)] = &[("value", INT4)];
const INT8_RESULT: &[(&str, Oid)] = &[("value", INT8)];
const BYTES_RESULT: &[(&str, Oid)] = &[("value", BYTEA)];
const NO_RESULT: &[(&str, Oid)] = &[("value", VOID)];

/// All of them, with the types of their arguments.
pub static FUNCTIONS: &[ReportFunction] = &[
    function("lo_creat", &[INT4], OID_RESULT, Call::Creat),
    function("lo_create", &[OID], OID_RESULT, Call::Create),
    function("lo_from_bytea", &[OID, BYTEA], OID_RESULT, Call::FromBytes),
    function("lo_open", &[OID, INT4], INT4_RESULT, Call::Open),
    function("lo_close", &[INT4], INT4_RESULT, Call::Close),
    function("loread", &[INT4, INT4], BYTES_RESULT, Call::Read),
    function("lowrite", &[INT4, BYTEA], INT4_RESULT, Call::Write),
    function("lo_lseek", &[INT4, INT4, INT4], INT4_RESULT, Call::Seek { wide: false }),
    function("lo_lseek64", &[INT4, INT8, INT4], INT8_RESULT, Call::Seek { wide: true }),
    function("lo_tell", &[INT4], INT4_RESULT, Call::Tell { wide: false }),
    function("lo_tell64", &[INT4], INT8_RESULT, Call::Tell { wide: true }),
    function("lo_truncate", &[INT4, INT4], INT4_RESULT, Call::Truncate),
    function("lo_truncate64", &[INT4, INT8], INT4_RESULT, Call::Truncate),
    function("lo_unlink", &[OID], INT4_RESULT, Call::Unlink),
    function("lo_get", &[OID], BYTES_RESULT, Call::Get),
    function("lo_get", &[OID, INT8, INT4], BYTES_RESULT, Call::Get),
    function("lo_put", &[OID, INT8, BYTEA], NO_RESULT, Call::Put),
    function("lo_import", &[TEXT], OID_RESULT, Call::Import),
    function("lo_import", &[TEXT, OID], OID_RESULT, Call::Import),
    function("lo_export", &[OID, TEXT], INT4_RESULT, Call::Export),
];

fn whole(arguments: &[Datum], at: usize) -> Result<i64> {
    let value = arguments.get(at).and_then(Datum::as_i64);
    value.ok_or_else(|| SqlError::internal("a number was expected"))
}

fn oid_at(arguments: &[Datum], at: usize) -> Result<u32> {
    u32::try_from(whole(arguments, at)?).map_err(|_| SqlError::out_of_range("OID"))
}

fn small(arguments: &[Datum], at: usize) -> Result<i32> {
    i32::try_from(whole(arguments, at)?).map_err(|_| SqlError::out_of_range("integer"))
}

fn bytes_at(arguments: &[Datum], at: usize) -> Result<&[u8]> {
    match arguments.get(at) {
        Some(Datum::Bytes(bytes)) => Ok(bytes),
        _ => Err(SqlError::internal("bytes were expected")),
    }
}

fn descriptor(arguments: &[Datum], execution: &Execution) -> Result<(i32, Descriptor)> {
    let number = small(arguments, 0)?;
    Ok((number, execution.environment.listing.large_objects.get(number)?))
}

/// 55000 for a descriptor that only reads.
fn check_writes(number: i32, descriptor: Descriptor) -> Result<()> {
    if descriptor.writes {
        return Ok(());
    }
    let message = format!("large object descriptor {number} was not opened for writing");
    Err(SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message))
}

fn view(descriptor: Descriptor) -> View {
    if descriptor.writes { View::Latest } else { View::Snapshot }
}

/// Calls one.
///
/// # Errors
/// PostgreSQL's, by their codes.
pub async fn run(call: Call, arguments: &[Datum], execution: &mut Execution) -> Result<Datum> {
    match call {
        Call::Creat => {
            check_may_write("lo_creat", execution)?;
            pages::create(0, execution).await.map(Datum::Oid)
        }
        Call::Create => {
            check_may_write("lo_create", execution)?;
            pages::create(oid_at(arguments, 0)?, execution).await.map(Datum::Oid)
        }
        Call::FromBytes => {
            check_may_write("lo_from_bytea", execution)?;
            let oid = pages::create(oid_at(arguments, 0)?, execution).await?;
            fill(oid, bytes_at(arguments, 1)?, execution).await?;
            Ok(Datum::Oid(oid))
        }
        Call::Open => open(oid_at(arguments, 0)?, small(arguments, 1)?, execution).await,
        Call::Close => {
            execution.environment.listing.large_objects.close(small(arguments, 0)?)?;
            Ok(Datum::Int32(0))
        }
        Call::Read => read(arguments, execution).await,
        Call::Write => write(arguments, execution).await,
        Call::Seek { wide } => seek(arguments, wide, execution).await,
        Call::Tell { wide } => {
            let (number, found) = descriptor(arguments, execution)?;
            place(found.offset, wide, "lo_tell", number)
        }
        Call::Truncate => {
            let (number, found) = descriptor(arguments, execution)?;
            check_writes(number, found)?;
            check_may_write("lo_truncate", execution)?;
            let tables = pages::opened(found.oid, View::Latest, execution).await?;
            pages::truncate(&tables, found.oid, whole(arguments, 1)?, execution).await?;
            Ok(Datum::Int32(0))
        }
        Call::Unlink => {
            check_may_write("lo_unlink", execution)?;
            let oid = oid_at(arguments, 0)?;
            pages::remove(oid, execution).await?;
            execution.environment.listing.large_objects.close_object(oid);
            Ok(Datum::Int32(1))
        }
        Call::Get => get(arguments, execution).await,
        Call::Put => {
            check_may_write("lo_put", execution)?;
            let (oid, offset) = (oid_at(arguments, 0)?, whole(arguments, 1)?);
            if offset < 0 {
                return Err(invalid_target(offset));
            }
            let tables = pages::opened(oid, View::Latest, execution).await?;
            pages::write(&tables, (oid, offset), bytes_at(arguments, 2)?, execution).await?;
            Ok(Datum::text(""))
        }
        Call::Import => import(arguments, execution).await,
        Call::Export => export(arguments, execution).await,
    }
}

async fn fill(oid: u32, bytes: &[u8], execution: &mut Execution) -> Result<()> {
    let tables = pages::opened(oid, View::Latest, execution).await?;
    pages::write(&tables, (oid, 0), bytes, execution).await
}

async fn open(oid: u32, mode: i32, execution: &mut Execution) -> Result<Datum> {
    let opened = Descriptor::opened(oid, mode)?;
    if opened.writes {
        check_may_write("lo_open", execution)?;
    }
    // What this statement has just made can be opened by it.
    pages::opened(oid, View::Latest, execution).await?;
    execution.environment.listing.large_objects.add(opened).map(Datum::Int32)
}

async fn read(arguments: &[Datum], execution: &mut Execution) -> Result<Datum> {
    let (number, found) = descriptor(arguments, execution)?;
    let count = whole(arguments, 1)?.max(0);
    let tables = pages::opened(found.oid, view(found), execution).await?;
    let bytes = pages::read(&tables, (found.oid, found.offset, count), view(found), execution).await?;
    execution.environment.listing.large_objects.seek(number, found.offset + bytes.len() as i64);
    Ok(Datum::Bytes(bytes.into()))
}

async fn write(arguments: &[Datum], execution: &mut Execution) -> Result<Datum> {
    let (number, found) = descriptor(arguments, execution)?;
    check_writes(number, found)?;
    check_may_write("lowrite", execution)?;
    let bytes = bytes_at(arguments, 1)?;
    let tables = pages::opened(found.oid, View::Latest, execution).await?;
    pages::write(&tables, (found.oid, found.offset), bytes, execution).await?;
    execution.environment.listing.large_objects.seek(number, found.offset + bytes.len() as i64);
    Ok(Datum::Int32(i32::try_from(bytes.len()).unwrap_or(i32::MAX)))
}

fn invalid_target(target: i64) -> SqlError {
    SqlError::invalid_parameter(format!("invalid large object seek target: {target}"))
}

async fn seek(arguments: &[Datum], wide: bool, execution: &mut Execution) -> Result<Datum> {
    let (number, found) = descriptor(arguments, execution)?;
    let (offset, whence) = (whole(arguments, 1)?, whole(arguments, 2)?);
    let from = match whence {
        0 => 0,
        1 => found.offset,
        2 => {
            let tables = pages::opened(found.oid, view(found), execution).await?;
            pages::length(&tables, found.oid, view(found), execution).await?
        }
        other => return Err(SqlError::invalid_parameter(format!("invalid whence setting: {other}"))),
    };
    let target = from.saturating_add(offset);
    if !(0..=BYTES_MAX).contains(&target) {
        return Err(invalid_target(target));
    }
    let place = place(target, wide, "lo_lseek", number)?;
    execution.environment.listing.large_objects.seek(number, target);
    Ok(place)
}

/// A place as a function gives it: 22003 where 32 bits are too few.
fn place(offset: i64, wide: bool, function: &str, number: i32) -> Result<Datum> {
    if wide {
        return Ok(Datum::Int64(offset));
    }
    i32::try_from(offset).map(Datum::Int32).map_err(|_| {
        let message = format!("{function} result out of range for large-object descriptor {number}");
        SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
    })
}

async fn get(arguments: &[Datum], execution: &mut Execution) -> Result<Datum> {
    let oid = oid_at(arguments, 0)?;
    let (offset, count) = match arguments {
        [_] => (0, i64::MAX),
        _ => (whole(arguments, 1)?, whole(arguments, 2)?),
    };
    if count < 0 {
        return Err(SqlError::invalid_parameter("requested length cannot be negative"));
    }
    if offset < 0 {
        return Err(invalid_target(offset));
    }
    let tables = pages::opened(oid, View::Snapshot, execution).await?;
    let length = pages::length(&tables, oid, View::Snapshot, execution).await?;
    if (length - offset).min(count) > VALUE_BYTES_MAX {
        let message = "large object read request is too large";
        return Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
    }
    let bytes = pages::read(&tables, (oid, offset, count), View::Snapshot, execution).await?;
    Ok(Datum::Bytes(bytes.into()))
}

async fn import(arguments: &[Datum], execution: &mut Execution) -> Result<Datum> {
    check_may_write("lo_import", execution)?;
    let path = arguments.first().and_then(Datum::as_text).unwrap_or_default().to_owned();
    let failed = |error: &std::io::Error, verb: &str| {
        of_file(error, format!("could not {verb} server file \"{path}\": {}", reason(error)))
    };
    let mut file = InputFile::open(Path::new(&path)).map_err(|error| failed(&error, "open"))?;
    let wanted = if arguments.len() > 1 { oid_at(arguments, 1)? } else { 0 };
    let oid = pages::create(wanted, execution).await?;
    let tables = pages::opened(oid, View::Latest, execution).await?;
    let mut block = vec![0; 32 * PAGE_BYTES as usize];
    let mut offset = 0;
    loop {
        let read = file.read(&mut block).map_err(|error| failed(&error, "read"))?;
        if read == 0 {
            return Ok(Datum::Oid(oid));
        }
        pages::write(&tables, (oid, offset), &block[..read], execution).await?;
        offset += read as i64;
    }
}

async fn export(arguments: &[Datum], execution: &mut Execution) -> Result<Datum> {
    let oid = oid_at(arguments, 0)?;
    let path = arguments.get(1).and_then(Datum::as_text).unwrap_or_default().to_owned();
    let tables = pages::opened(oid, View::Snapshot, execution).await?;
    let failed = |error: &std::io::Error, verb: &str| {
        of_file(error, format!("could not {verb} server file \"{path}\": {}", reason(error)))
    };
    let mut file = OutputFile::create(Path::new(&path)).map_err(|error| failed(&error, "create"))?;
    let mut offset = 0;
    loop {
        let bytes = pages::read(&tables, (oid, offset, 64 * PAGE_BYTES), View::Snapshot, execution).await?;
        if bytes.is_empty() {
            return Ok(Datum::Int32(1));
        }
        file.write(&bytes).map_err(|error| failed(&error, "write"))?;
        offset += bytes.len() as i64;
        execution.breathe().await?;
    }
}
