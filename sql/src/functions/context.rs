//! What evaluation may know of the session: settings, times, parameters, and the functions only the engine can
//! answer.

use crate::encoding::Encoding;
use crate::error::{Result, SqlError, SqlState};
use crate::types::{BuiltinTypes, Oid, TypeCatalog, TypeInfo, oids};
use crate::value::{Datum, Text, compare_values};
use jiff::tz::TimeZone;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where the OIDs of users' objects begin.
pub const FIRST_USER_OID: Oid = 16_384;

/// How dates and times are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateFormat {
    #[default]
    Iso,
    /// `Wed Dec 17 07:37:16 1997 UTC`
    Postgres,
    /// `12/17/1997 07:37:16.00 UTC`
    Sql,
    /// `17.12.1997 07:37:16.00 UTC`
    German,
}

/// The order of a date's fields on ambiguous input, and in some forms of output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateStyle {
    #[default]
    MonthDayYear,
    DayMonthYear,
    YearMonthDay,
}

/// How intervals are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IntervalStyle {
    #[default]
    Postgres,
    PostgresVerbose,
    SqlStandard,
    Iso8601,
}

/// The settings that change what values look like.
#[derive(Clone, Debug)]
pub struct Settings {
    pub date_format: DateFormat,
    pub date_style: DateStyle,
    pub interval_style: IntervalStyle,
    pub time_zone: TimeZone,
    pub extra_float_digits: i32,
    /// `bytea_output = 'escape'` instead of hex.
    pub bytea_escape: bool,
    /// What the client's texts are written in, binary values too.
    pub client_encoding: Encoding,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            date_format: DateFormat::default(),
            date_style: DateStyle::default(),
            interval_style: IntervalStyle::default(),
            time_zone: TimeZone::UTC,
            extra_float_digits: 1,
            bytea_escape: false,
            client_encoding: Encoding::UTF8,
        }
    }
}

/// What the engine answers for functions that look at the session, the catalog or the outside world.
pub trait SessionFunctions: Sync {
    /// Calls a function whose registry entry is marked as the session's (`current_user`, `pg_get_expr`,
    /// `nextval`, …). Arguments are of the declared types.
    fn call(&self, name: &str, arguments: &[Datum], context: &EvalContext<'_>) -> Result<Datum>;
    /// `nextval`: it has a way of its own, for it is called for each row of many an INSERT.
    fn next_value(&self, sequence: Oid) -> Result<i64>;
    /// The rows of a computed relation that is called as a function.
    fn relation_rows(&self, name: &str) -> Result<Vec<Vec<Datum>>>;
    /// The wall clock, in microseconds since 2000-01-01 UTC.
    fn clock_timestamp(&self) -> i64;
    /// The next number of the session's random generator, uniform in [0, 1).
    fn random(&self) -> f64;
    /// Starts the generator anew (`setseed`).
    fn set_seed(&self, seed: f64);
    /// Fills a buffer with strong random bytes (`gen_random_uuid`).
    fn random_bytes(&self, bytes: &mut [u8]) -> Result<()>;
}

/// No session at all: constant folding and tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSession;

impl SessionFunctions for NoSession {
    fn call(&self, name: &str, _: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
        Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, format!("function {name} needs a session")))
    }

    fn next_value(&self, _: Oid) -> Result<i64> {
        Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, "function nextval needs a session"))
    }

    fn relation_rows(&self, name: &str) -> Result<Vec<Vec<Datum>>> {
        Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, format!("function {name} needs a session")))
    }

    fn clock_timestamp(&self) -> i64 {
        0
    }

    fn random(&self) -> f64 {
        0.5
    }

    fn set_seed(&self, _: f64) {}

    fn random_bytes(&self, _: &mut [u8]) -> Result<()> {
        Err(SqlError::internal("no source of randomness"))
    }
}

/// All that an evaluation may read beside its row.
pub struct EvalContext<'a> {
    /// `now()`: microseconds since 2000-01-01 UTC at the transaction's start.
    pub transaction_timestamp: i64,
    /// The same at the statement's start.
    pub statement_timestamp: i64,
    pub settings: &'a Settings,
    pub types: &'a dyn TypeCatalog,
    pub session: &'a dyn SessionFunctions,
    /// Set by another thread to cancel the statement.
    pub cancel: &'a AtomicBool,
    /// The statement's parameters, `$1` first.
    pub parameters: &'a [Datum],
    /// Values of outer queries and of scalar subqueries, which the executor puts here.
    pub outer: &'a [Datum],
}

/// What is done between two looks at whether the statement was canceled.
const PIECE_BYTES: usize = 1 << 20;

static NEVER_CANCELED: AtomicBool = AtomicBool::new(false);

impl<'a> EvalContext<'a> {
    /// A context without session or parameters.
    #[must_use]
    pub fn detached(settings: &'a Settings) -> EvalContext<'a> {
        EvalContext {
            transaction_timestamp: 0,
            statement_timestamp: 0,
            settings,
            types: &BuiltinTypes,
            session: &NoSession,
            cancel: &NEVER_CANCELED,
            parameters: &[],
            outer: &[],
        }
    }

    /// 57014 if the statement was canceled; long loops call it now and then.
    pub fn check_cancel(&self) -> Result<()> {
        // Constants are folded while a statement is planned.
        let is_over = self.cancel.load(Ordering::Relaxed) || crate::watch::is_over();
        if is_over { Err(SqlError::canceled()) } else { Ok(()) }
    }

    /// The pieces of what takes long in one go: before each, 57014 if the statement was canceled.
    pub fn pieces<'b>(&'b self, bytes: &'b [u8]) -> impl Iterator<Item = Result<&'b [u8]>> + 'b {
        bytes.chunks(PIECE_BYTES).map(|piece| self.check_cancel().map(|()| piece))
    }

    /// A text so many times.
    ///
    /// # Errors
    /// 57014 if the statement was canceled.
    pub fn repeated(&self, part: &str, times: usize) -> Result<String> {
        let mut out = String::with_capacity(part.len() * times);
        let at_once = (PIECE_BYTES / part.len().max(1)).clamp(1, times.max(1));
        let piece = part.repeat(at_once);
        for _ in 0..times / at_once {
            self.check_cancel()?;
            out.push_str(&piece);
        }
        out.push_str(&part.repeat(times % at_once));
        Ok(out)
    }

    /// A type that must exist.
    pub fn type_info(&self, oid: Oid) -> Result<&TypeInfo> {
        self.types.type_by_oid(oid).ok_or_else(|| unknown_type(oid))
    }

    /// Parameter `index`, from 0.
    #[inline]
    pub fn parameter(&self, index: usize) -> Result<Datum> {
        self.parameters.get(index).cloned().ok_or_else(|| {
            SqlError::new(SqlState::UNDEFINED_PARAMETER, format!("there is no parameter ${}", index + 1))
        })
    }

    /// Compares two non-null values in the order of their type.
    #[must_use]
    #[inline]
    pub fn compare(&self, oid: Oid, left: &Datum, right: &Datum) -> std::cmp::Ordering {
        // Of the built-in types only this one does not go by its stored form.
        if oid < FIRST_USER_OID && oid != oids::BPCHAR {
            return compare_values(left, right);
        }
        match self.types.type_by_oid(oid) {
            Some(info) => info.compare(left, right),
            None => compare_values(left, right),
        }
    }

    /// Prints a value of a type as text.
    pub fn to_text(&self, value: &Datum, oid: Oid) -> Result<Text> {
        let mut out = String::new();
        if !value.is_null() {
            self.type_info(oid)?.print_text(value, &mut out, self)?;
        }
        Ok(Text::from(out))
    }
}

/// XX000, a type OID nobody knows.
pub(crate) fn unknown_type(oid: Oid) -> SqlError {
    SqlError::internal(format!("cache lookup failed for type {oid}"))
}
