//! Conditions on a stored row's single columns, tested on its bytes: a row that fails is never decoded.
//!
//! Only comparisons that cannot fail are tested here, and only in the types that most tables are made of; all other filters
//! see batches.

use std::cmp::Ordering;
use std::sync::Arc;

use super::key_filter::KeyFilter;
use super::within::Within;
use crate::error::Result;
use crate::expr::{Cast, Expr};
use crate::functions::pattern::Pieces;
use crate::functions::{CastMethod, EvalContext};
use crate::plan::operators::{Comparison, as_comparison, operator_name};
use crate::types::{Oid, oids};
use crate::value::encoding::{self, decode_numeric};
use crate::value::row::{RowLayout, RowView};
use crate::value::{Datum, Numeric, PhysicalKind, PlainRows};

/// One test of a row.
pub struct RowTest {
    /// By stable number.
    column: usize,
    demand: Demand,
    /// The outcome for rows that are older than the column.
    missing: bool,
}

/// What is demanded of a column's value; NULL never satisfies it.
enum Demand {
    /// Integers, dates and times, between bounds that are included.
    Between {
        kind: PhysicalKind,
        low: i64,
        high: i64,
    },
    Integers {
        kind: PhysicalKind,
        sorted: Vec<i64>,
    },
    Numeric {
        comparison: Comparison,
        value: Numeric,
        /// The value's mantissa at each scale, from 0 on, that it has one of 64 bits at.
        mantissas: [Option<i64>; SCALES],
    },
    /// One of these texts; blanks at the end do not count where values are padded.
    Texts {
        values: Vec<Vec<u8>>,
        padded: bool,
    },
    /// LIKE, or NOT LIKE.
    Like {
        pieces: Pieces,
        negated: bool,
    },
    /// A comparison with another column of the same kind.
    Column {
        kind: PhysicalKind,
        comparison: Comparison,
        other: usize,
    },
    Key {
        kind: PhysicalKind,
        keys: Arc<KeyFilter>,
    },
    /// Something of what lies within an array or a jsonb.
    Within(Within),
}

impl RowTest {
    /// The test that a filter is, if it is one; `projection` says which stored columns the filter's are.
    ///
    /// # Errors
    /// Those of evaluating the filter's constants.
    pub fn of(
        filter: &Expr,
        projection: &[usize],
        layout: &RowLayout,
        context: &EvalContext<'_>,
    ) -> Result<Option<RowTest>> {
        let column = |expr: &Expr| column_of(expr).and_then(|(at, oid)| Some((*projection.get(at)?, oid)));
        let found = match filter {
            Expr::InList { argument, list, negated: false, set: Some(_) } => match column(argument) {
                Some((column, oid)) => {
                    Demand::in_list(layout.columns()[column].kind, oid, list).map(|demand| (column, demand))
                }
                None => None,
            },
            _ => match as_comparison(filter) {
                Some((comparison, left, right)) => match (column(left), column(right)) {
                    (Some(first), Some(second)) => Demand::columns(comparison, first, second, layout),
                    (Some(first), None) => Demand::comparison(comparison, first, right, layout, context)?,
                    (None, Some(second)) => {
                        Demand::comparison(comparison.flipped(), second, left, layout, context)?
                    }
                    (None, None) => None,
                },
                None => Demand::like(filter, layout, column, context)?,
            },
        };
        let found = match found {
            None => {
                let within = Within::of(filter, column, context)?;
                within.map(|(column, within)| (column, Demand::Within(within)))
            }
            found => found,
        };
        Ok(found.and_then(|(column, demand)| RowTest::new(column, demand, layout)))
    }

    /// The test whether a column is among some keys; `None` where it is not of integers.
    #[must_use]
    pub fn key(column: usize, keys: Arc<KeyFilter>, layout: &RowLayout) -> Option<RowTest> {
        let kind = layout.columns()[column].kind;
        let is_integer = matches!(kind, PhysicalKind::Int16 | PhysicalKind::Int32 | PhysicalKind::Int64);
        if is_integer { RowTest::new(column, Demand::Key { kind, keys }, layout) } else { None }
    }

    fn new(column: usize, demand: Demand, layout: &RowLayout) -> Option<RowTest> {
        let is_later = |column: usize| !layout.columns()[column].missing.is_null();
        let missing = match &layout.columns()[column].missing {
            Datum::Null => false,
            // Older rows have values that are in no row.
            _ if matches!(&demand, Demand::Column { .. }) => return None,
            value => {
                let mut bytes = Vec::new();
                encoding::encode(value, &mut bytes);
                demand.holds(&bytes, None).ok()?
            }
        };
        if matches!(&demand, Demand::Column { other, .. } if is_later(*other)) {
            return None;
        }
        Some(RowTest { column, demand, missing })
    }

    /// What it costs beside others.
    fn cost_rank(&self) -> u8 {
        match &self.demand {
            Demand::Between { .. } => 0,
            Demand::Key { .. } => 1,
            Demand::Integers { .. } | Demand::Column { .. } => 2,
            Demand::Numeric { .. } => 3,
            Demand::Texts { .. } => 4,
            Demand::Like { .. } => 5,
            Demand::Within(_) => 6,
        }
    }

    /// Makes one test of those of one column that a range of values is demanded of, and puts the cheap ones first. None can
    /// fail, so their order changes nothing else.
    pub fn arrange(tests: &mut Vec<RowTest>) {
        let mut arranged: Vec<RowTest> = Vec::new();
        for test in tests.drain(..) {
            let known = arranged.iter_mut().find(|known| known.column == test.column && known.is_range());
            match (known, &test.demand) {
                (Some(known), Demand::Between { low, high, .. }) => {
                    known.missing &= test.missing;
                    if let Demand::Between { low: lowest, high: highest, .. } = &mut known.demand {
                        *lowest = (*lowest).max(*low);
                        *highest = (*highest).min(*high);
                    }
                }
                _ => arranged.push(test),
            }
        }
        arranged.sort_by_key(RowTest::cost_rank);
        *tests = arranged;
    }

    fn is_range(&self) -> bool {
        matches!(self.demand, Demand::Between { .. })
    }

    /// Whether a row passes.
    ///
    /// # Errors
    /// XX001 if its bytes are malformed.
    #[inline(always)]
    pub fn passes(&self, row: &RowView<'_>) -> Result<bool> {
        // What most tests are, without a call.
        match (&self.demand, row.plain(self.column)) {
            (Demand::Between { low, high, .. }, Some(&[a, b, c, d])) => {
                let value = i64::from(i32::from_le_bytes([a, b, c, d]));
                return Ok(*low <= value && value <= *high);
            }
            (Demand::Key { keys, .. }, Some(&[a, b, c, d])) => {
                return Ok(keys.may_contain(i64::from(i32::from_le_bytes([a, b, c, d]))));
            }
            (demand, Some(bytes)) => return demand.holds(bytes, Some(row)),
            _ => {}
        }
        self.passes_located(row)
    }

    /// Keeps those of the selected rows that pass.
    ///
    /// # Errors
    /// XX001 if their bytes are malformed.
    pub fn retain(&self, rows: &PlainRows<'_>, selected: &mut Vec<u16>) -> Result<()> {
        use PhysicalKind::{Date, Int16, Int32, Int64};
        let column = self.column;
        match &self.demand {
            Demand::Between { kind: Int32 | Date, low, high } => {
                let (low, high) = (*low, *high);
                rows.retain_fixed(column, selected, |bytes| {
                    let value = i64::from(i32::from_le_bytes(bytes));
                    (low <= value) & (value <= high)
                })
            }
            Demand::Between { kind, low, high } if *kind != Int16 => {
                rows.retain_fixed(column, selected, |bytes| {
                    let value = i64::from_le_bytes(bytes);
                    (*low <= value) & (value <= *high)
                })
            }
            Demand::Key { kind: Int32, keys } => rows.retain_fixed(column, selected, |bytes| {
                keys.may_contain(i64::from(i32::from_le_bytes(bytes)))
            }),
            Demand::Key { kind: Int64, keys } => {
                rows.retain_fixed(column, selected, |bytes| keys.may_contain(i64::from_le_bytes(bytes)))
            }
            Demand::Column { kind: Int32 | Date, comparison, other } => {
                rows.retain_pairs((column, *other), selected, |one, other| {
                    satisfies(*comparison, i32::from_le_bytes(one).cmp(&i32::from_le_bytes(other)))
                })
            }
            Demand::Column { kind: Int16, comparison, other } => {
                rows.retain_pairs((column, *other), selected, |one, other| {
                    satisfies(*comparison, i16::from_le_bytes(one).cmp(&i16::from_le_bytes(other)))
                })
            }
            Demand::Column { comparison, other, .. } => {
                rows.retain_pairs((column, *other), selected, |one, other| {
                    satisfies(*comparison, i64::from_le_bytes(one).cmp(&i64::from_le_bytes(other)))
                })
            }
            Demand::Numeric { comparison, value, mantissas } => {
                rows.retain_numerics(column, selected, |short, bytes| {
                    numeric_holds(*comparison, value, mantissas, short, bytes)
                })
            }
            demand => rows.retain_bytes(column, selected, |bytes| demand.holds(bytes, None)),
        }
    }

    /// [`RowTest::passes`] for a row that has NULLs or is older than the column.
    #[inline(never)]
    fn passes_located(&self, row: &RowView<'_>) -> Result<bool> {
        if row.is_older_than(self.column) {
            return Ok(self.missing);
        }
        let Some(bytes) = row.bytes_of(self.column)? else { return Ok(false) };
        self.demand.holds(bytes, Some(row))
    }
}

/// The column that an expression is, but for its name of the type, and its type.
fn column_of(expr: &Expr) -> Option<(usize, Oid)> {
    match expr {
        Expr::Column { index, data_type } => Some((*index, data_type.oid)),
        Expr::Cast(cast) => {
            match cast.as_ref() {
                Cast {
                    argument: Expr::Column { index, .. }, method: CastMethod::Binary, data_type, ..
                } if data_type.oid == oids::TEXT => Some((*index, oids::TEXT)),
                _ => None,
            }
        }
        _ => None,
    }
}

fn is_integer(oid: Oid) -> bool {
    matches!(oid, oids::INT2 | oids::INT4 | oids::INT8)
}

/// The scales, from 0 on, at which numerics are compared as integers.
const SCALES: usize = 8;

const DAY_MICROS: i64 = 86_400_000_000;

impl Demand {
    /// `column op value`.
    fn comparison(
        comparison: Comparison,
        (column, oid): (usize, Oid),
        value: &Expr,
        layout: &RowLayout,
        context: &EvalContext<'_>,
    ) -> Result<Option<(usize, Demand)>> {
        let kind = layout.columns()[column].kind;
        let value_oid = value.data_type().oid;
        let comparable = match oid {
            oids::DATE => matches!(value_oid, oids::DATE | oids::TIMESTAMP),
            oids::TIMESTAMP | oids::TIMESTAMPTZ | oids::NUMERIC => value_oid == oid,
            oids::TEXT | oids::BPCHAR => value_oid == oid && comparison == Comparison::Equal,
            oid => is_integer(oid) && is_integer(value_oid),
        };
        if !comparable || !crate::plan::walk::is_constant(value) {
            return Ok(None);
        }
        let no_row: [Datum; 0] = [];
        let value = value.eval_row(&no_row.as_slice(), context)?;
        let demand = match (kind, value) {
            (_, Datum::Null) => None,
            (PhysicalKind::Numeric, Datum::Numeric(value)) => Some(Demand::numeric(comparison, value)),
            (PhysicalKind::Text, Datum::Text(text)) => Some(Demand::texts([text.as_str()], oid)),
            (PhysicalKind::Date, Datum::Timestamp(moment)) => Demand::days(comparison, moment),
            (
                PhysicalKind::Date | PhysicalKind::Timestamp | PhysicalKind::TimestampTz,
                Datum::Timestamp(value) | Datum::TimestampTz(value),
            ) => Some(Demand::between(kind, comparison, value)),
            (PhysicalKind::Date, Datum::Date(day)) => Some(Demand::between(kind, comparison, i64::from(day))),
            (PhysicalKind::Int16 | PhysicalKind::Int32 | PhysicalKind::Int64, value) => {
                value.as_i64().map(|value| Demand::between(kind, comparison, value))
            }
            _ => None,
        };
        Ok(demand.map(|demand| (column, demand)))
    }

    /// `column LIKE pattern`, which cannot fail where only `%` is special.
    fn like(
        filter: &Expr,
        layout: &RowLayout,
        column: impl Fn(&Expr) -> Option<(usize, Oid)>,
        context: &EvalContext<'_>,
    ) -> Result<Option<(usize, Demand)>> {
        let Expr::Call(call) = filter else { return Ok(None) };
        let negated = match operator_name(&call.function) {
            Some("~~") => false,
            Some("!~~") => true,
            _ => return Ok(None),
        };
        let [text, pattern] = call.arguments.as_slice() else { return Ok(None) };
        let Some((column, oids::TEXT)) = column(text) else { return Ok(None) };
        if layout.columns()[column].kind != PhysicalKind::Text || !crate::plan::walk::is_constant(pattern) {
            return Ok(None);
        }
        let no_row: [Datum; 0] = [];
        let pattern = pattern.eval_row(&no_row.as_slice(), context)?;
        let pieces = pattern.as_text().and_then(Pieces::of);
        Ok(pieces.map(|pieces| (column, Demand::Like { pieces, negated })))
    }

    /// A comparison of two columns.
    fn columns(
        comparison: Comparison,
        (column, oid): (usize, Oid),
        (other, other_oid): (usize, Oid),
        layout: &RowLayout,
    ) -> Option<(usize, Demand)> {
        let kind = layout.columns()[column].kind;
        let is_scalar = is_integer(oid) || matches!(oid, oids::DATE | oids::TIMESTAMP | oids::TIMESTAMPTZ);
        let alike = oid == other_oid && kind == layout.columns()[other].kind;
        (is_scalar && alike).then_some((column, Demand::Column { kind, comparison, other }))
    }

    /// `column IN (…)`; a NULL in the list is equal to nothing.
    fn in_list(kind: PhysicalKind, oid: Oid, list: &[Expr]) -> Option<Demand> {
        let mut values = Vec::new();
        for member in list {
            let Expr::Const { value, data_type } = member else { return None };
            if data_type.oid != oid {
                return None;
            }
            values.push(value);
        }
        values.retain(|value| !value.is_null());
        match (kind, oid) {
            (PhysicalKind::Text, oids::TEXT | oids::BPCHAR) => {
                Some(Demand::texts(values.iter().filter_map(|value| value.as_text()), oid))
            }
            (_, oid) if is_integer(oid) => {
                let mut sorted: Vec<i64> = values.iter().filter_map(|value| value.as_i64()).collect();
                sorted.sort_unstable();
                Some(Demand::Integers { kind, sorted })
            }
            _ => None,
        }
    }

    fn texts<'t>(values: impl IntoIterator<Item = &'t str>, oid: Oid) -> Demand {
        let padded = oid == oids::BPCHAR;
        let values = values.into_iter().map(|value| if padded { value.trim_end_matches(' ') } else { value });
        Demand::Texts { values: values.map(|value| value.as_bytes().to_vec()).collect(), padded }
    }

    fn numeric(comparison: Comparison, value: Numeric) -> Demand {
        let mantissas = std::array::from_fn(|scale| {
            let scale = scale as u16;
            match value.with_scale(scale) {
                Numeric::Small { mantissa, .. } if scale >= value.scale() => i64::try_from(mantissa).ok(),
                _ => None,
            }
        });
        Demand::Numeric { comparison, value, mantissas }
    }

    fn between(kind: PhysicalKind, comparison: Comparison, value: i64) -> Demand {
        let nothing = (1, 0);
        let (low, high) = match comparison {
            Comparison::Equal => (value, value),
            Comparison::Less => value.checked_sub(1).map_or(nothing, |high| (i64::MIN, high)),
            Comparison::LessOrEqual => (i64::MIN, value),
            Comparison::Greater => value.checked_add(1).map_or(nothing, |low| (low, i64::MAX)),
            Comparison::GreaterOrEqual => (value, i64::MAX),
        };
        Demand::Between { kind, low, high }
    }

    /// Dates compared with a moment, which is not infinite: as days.
    fn days(comparison: Comparison, moment: i64) -> Option<Demand> {
        if moment == i64::MIN || moment == i64::MAX {
            return None;
        }
        let (day, is_midnight) = (moment.div_euclid(DAY_MICROS), moment.rem_euclid(DAY_MICROS) == 0);
        let comparison = match comparison {
            Comparison::Equal if !is_midnight => return None,
            // The day begins before the moment does.
            Comparison::Less if !is_midnight => Comparison::LessOrEqual,
            Comparison::GreaterOrEqual if !is_midnight => Comparison::Greater,
            comparison => comparison,
        };
        Some(Demand::between(PhysicalKind::Date, comparison, day))
    }

    #[inline]
    fn holds(&self, bytes: &[u8], row: Option<&RowView<'_>>) -> Result<bool> {
        Ok(match self {
            Demand::Between { kind, low, high } => {
                let value = integer(*kind, bytes)?;
                *low <= value && value <= *high
            }
            Demand::Integers { kind, sorted } => sorted.binary_search(&integer(*kind, bytes)?).is_ok(),
            Demand::Numeric { comparison, value, mantissas } => {
                let short = encoding::decode_short_numeric(bytes);
                numeric_holds(*comparison, value, mantissas, short, bytes)?
            }
            Demand::Texts { values, padded } => {
                let text = if *padded { without_blanks(bytes) } else { bytes };
                values.iter().any(|value| value == text)
            }
            Demand::Like { pieces, negated } => pieces.matches(bytes) != *negated,
            Demand::Column { kind, comparison, other } => {
                let Some(row) = row else { return Ok(false) };
                if row.is_older_than(*other) {
                    return Ok(false);
                }
                let Some(other) = row.bytes_of(*other)? else { return Ok(false) };
                satisfies(*comparison, integer(*kind, bytes)?.cmp(&integer(*kind, other)?))
            }
            Demand::Key { kind, keys } => keys.may_contain(integer(*kind, bytes)?),
            Demand::Within(within) => within.holds(bytes)?,
        })
    }
}

/// Whether a numeric, whose mantissa and scale are given where it is short, compares as it should.
#[inline(always)]
fn numeric_holds(
    comparison: Comparison,
    value: &Numeric,
    mantissas: &[Option<i64>; SCALES],
    short: Option<(i64, u16)>,
    bytes: &[u8],
) -> Result<bool> {
    let ordering = match short.map(|(own, scale)| (own, mantissas.get(usize::from(scale)))) {
        Some((own, Some(Some(mantissa)))) => own.cmp(mantissa),
        _ => decode_numeric(bytes)?.cmp(value),
    };
    Ok(satisfies(comparison, ordering))
}

fn satisfies(comparison: Comparison, ordering: Ordering) -> bool {
    match comparison {
        Comparison::Equal => ordering.is_eq(),
        Comparison::Less => ordering.is_lt(),
        Comparison::LessOrEqual => ordering.is_le(),
        Comparison::Greater => ordering.is_gt(),
        Comparison::GreaterOrEqual => ordering.is_ge(),
    }
}

fn without_blanks(bytes: &[u8]) -> &[u8] {
    let blanks = bytes.iter().rev().take_while(|byte| **byte == b' ').count();
    &bytes[..bytes.len() - blanks]
}

/// The stored integer, date or time.
#[inline]
fn integer(kind: PhysicalKind, bytes: &[u8]) -> Result<i64> {
    match *bytes {
        [a, b, c, d] => Ok(i64::from(i32::from_le_bytes([a, b, c, d]))),
        [a, b] => Ok(i64::from(i16::from_le_bytes([a, b]))),
        _ => match bytes.try_into() {
            Ok(bytes) => Ok(i64::from_le_bytes(bytes)),
            Err(_) => Err(encoding::malformed(kind)),
        },
    }
}
