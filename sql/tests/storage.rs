//! Round trips of values through rows, ordered keys and the wire's binary form, for arbitrary values.

use helios_sql::functions::{EvalContext, Settings};
use helios_sql::types::{DataType, builtin_type, oids};
use helios_sql::value::key::{self, KeyColumn};
use helios_sql::value::{
    ColumnBuilder, Datum, Interval, Numeric, PhysicalKind, RowColumn, RowLayout, compare_values, hash_value,
};
use proptest::prelude::*;
use std::cmp::Ordering;

/// The types under test with their kinds.
const TYPES: [(DataType, PhysicalKind); 17] = [
    (DataType::BOOL, PhysicalKind::Bool),
    (DataType::INT2, PhysicalKind::Int16),
    (DataType::INT4, PhysicalKind::Int32),
    (DataType::INT8, PhysicalKind::Int64),
    (DataType::FLOAT4, PhysicalKind::Float32),
    (DataType::FLOAT8, PhysicalKind::Float64),
    (DataType::NUMERIC, PhysicalKind::Numeric),
    (DataType::TEXT, PhysicalKind::Text),
    (DataType::BYTEA, PhysicalKind::Bytes),
    (DataType::DATE, PhysicalKind::Date),
    (DataType::TIME, PhysicalKind::Time),
    (DataType::TIMETZ, PhysicalKind::TimeTz),
    (DataType::TIMESTAMP, PhysicalKind::Timestamp),
    (DataType::TIMESTAMPTZ, PhysicalKind::TimestampTz),
    (DataType::INTERVAL, PhysicalKind::Interval),
    (DataType::UUID, PhysicalKind::Uuid),
    (DataType::OID, PhysicalKind::Oid),
];

fn numeric() -> impl Strategy<Value = Numeric> {
    prop_oneof![
        (any::<i64>(), 0u16..30).prop_map(|(mantissa, scale)| Numeric::new(i128::from(mantissa), scale)),
        (any::<i128>(), 0u16..60).prop_map(|(mantissa, scale)| Numeric::new(mantissa, scale)),
        (-1000i128..1000, 0u16..4).prop_map(|(mantissa, scale)| Numeric::new(mantissa, scale)),
        "-?[0-9]{30,80}(\\.[0-9]{0,30})?".prop_map(|text| Numeric::parse(&text).expect("a number")),
        Just(Numeric::NaN),
        Just(Numeric::Infinity),
        Just(Numeric::NegativeInfinity),
    ]
}

fn value(kind: PhysicalKind) -> BoxedStrategy<Datum> {
    match kind {
        PhysicalKind::Bool => any::<bool>().prop_map(Datum::Bool).boxed(),
        PhysicalKind::Int16 => any::<i16>().prop_map(Datum::Int16).boxed(),
        PhysicalKind::Int32 => any::<i32>().prop_map(Datum::Int32).boxed(),
        PhysicalKind::Int64 => any::<i64>().prop_map(Datum::Int64).boxed(),
        PhysicalKind::Float32 => proptest::num::f32::ANY.prop_map(Datum::Float32).boxed(),
        PhysicalKind::Float64 => proptest::num::f64::ANY.prop_map(Datum::Float64).boxed(),
        PhysicalKind::Numeric => numeric().prop_map(Datum::Numeric).boxed(),
        PhysicalKind::Text => "[a-c\u{1}é ]{0,40}".prop_map(Datum::from).boxed(),
        PhysicalKind::Bytes => proptest::collection::vec(0u8..4, 0..20).prop_map(Datum::from).boxed(),
        PhysicalKind::Date => (-2_451_545..2_145_031_949i32).prop_map(Datum::Date).boxed(),
        PhysicalKind::Time => (0..=86_400_000_000i64).prop_map(Datum::Time).boxed(),
        PhysicalKind::TimeTz => (0..=86_400_000_000i64, -50_000..50_000i32)
            .prop_map(|(time, zone)| Datum::TimeTz(time, zone))
            .boxed(),
        PhysicalKind::Timestamp => (-10i64.pow(17)..10i64.pow(18)).prop_map(Datum::Timestamp).boxed(),
        PhysicalKind::TimestampTz => (-10i64.pow(17)..10i64.pow(18)).prop_map(Datum::TimestampTz).boxed(),
        PhysicalKind::Interval => (any::<i32>(), any::<i32>(), any::<i64>())
            .prop_map(|(months, days, micros)| Datum::Interval(Interval { months, days, micros }))
            .boxed(),
        PhysicalKind::Uuid => any::<[u8; 16]>().prop_map(Datum::Uuid).boxed(),
        _ => any::<u32>().prop_map(Datum::Oid).boxed(),
    }
}

fn maybe(kind: PhysicalKind) -> BoxedStrategy<Datum> {
    prop_oneof![1 => Just(Datum::Null), 4 => value(kind)].boxed()
}

/// Exact identity, display scale and NaN included.
fn identical(left: &Datum, right: &Datum) -> bool {
    format!("{left:?}") == format!("{right:?}")
}

fn row() -> impl Strategy<Value = (Vec<PhysicalKind>, Vec<Datum>)> {
    proptest::collection::vec(0..TYPES.len(), 1..20).prop_flat_map(|picks| {
        let kinds: Vec<PhysicalKind> = picks.iter().map(|&pick| TYPES[pick].1).collect();
        let values: Vec<BoxedStrategy<Datum>> = kinds.iter().map(|&kind| maybe(kind)).collect();
        (Just(kinds), values)
    })
}

fn layout(kinds: &[PhysicalKind], missing: &Datum) -> RowLayout {
    let column = |&kind| RowColumn { kind, missing: missing.clone() };
    RowLayout::new(kinds.iter().map(column).collect())
}

proptest! {
    #[test]
    fn a_row_gives_back_its_values((kinds, values) in row(), version in any::<u32>()) {
        let layout = layout(&kinds, &Datum::Null);
        let mut bytes = vec![0xee; 3];
        layout.encode(version, &values, &mut bytes).unwrap();
        let bytes = &bytes[3..];
        let view = layout.view(bytes).unwrap();
        prop_assert_eq!(view.schema_version(), version);
        let projection: Vec<usize> = (0..kinds.len()).rev().collect();
        let mut builders: Vec<_> =
            projection.iter().map(|&index| ColumnBuilder::new(kinds[index], 1)).collect();
        layout.decode_into(&layout.view(bytes).unwrap(), &projection, &mut builders).unwrap();
        let columns: Vec<_> = builders.into_iter().map(ColumnBuilder::finish).collect();
        for (index, value) in values.iter().enumerate() {
            prop_assert_eq!(view.is_null(index), value.is_null());
            prop_assert!(identical(&view.get(index).unwrap(), value));
            prop_assert!(identical(&columns[kinds.len() - 1 - index].get(0), value));
        }
    }

    #[test]
    fn an_older_row_shows_what_was_missing((kinds, values) in row(), extra in maybe(PhysicalKind::Text)) {
        let mut bytes = Vec::new();
        layout(&kinds, &Datum::Null).encode(1, &values, &mut bytes).unwrap();
        let mut columns: Vec<RowColumn> =
            kinds.iter().map(|&kind| RowColumn { kind, missing: Datum::Null }).collect();
        columns.push(RowColumn { kind: PhysicalKind::Text, missing: extra.clone() });
        let later = RowLayout::new(columns);
        let view = later.view(&bytes).unwrap();
        prop_assert!(identical(&view.get(kinds.len()).unwrap(), &extra));
        prop_assert!(identical(&view.get(0).unwrap(), &values[0]));
    }

    #[test]
    fn damaged_rows_are_errors_not_panics((kinds, values) in row(), at in any::<usize>(), byte in any::<u8>(), cut in any::<usize>()) {
        let layout = layout(&kinds, &Datum::Null);
        let mut bytes = Vec::new();
        layout.encode(7, &values, &mut bytes).unwrap();
        let length = bytes.len();
        bytes[at % length] = byte;
        bytes.truncate(length - cut % 3);
        if let Ok(view) = layout.view(&bytes) {
            for index in 0..kinds.len() {
                let _ = view.get(index);
            }
        }
    }

    #[test]
    fn keys_are_ordered_as_values(
        (pick, left, right) in (0..TYPES.len()).prop_flat_map(|pick| {
            (Just(pick), maybe(TYPES[pick].1), maybe(TYPES[pick].1))
        }),
        descending in any::<bool>(),
        nulls_first in any::<bool>(),
    ) {
        let (data_type, kind) = TYPES[pick];
        let column = KeyColumn { data_type, kind, descending, nulls_first };
        let encode = |value: &Datum| {
            let mut bytes = Vec::new();
            key::encode(&column, value, &mut bytes);
            bytes
        };
        let expected = match (left.is_null(), right.is_null()) {
            (false, false) if descending => compare_values(&right, &left),
            (false, false) => compare_values(&left, &right),
            (true, true) => Ordering::Equal,
            (left_null, _) => if left_null == nulls_first { Ordering::Less } else { Ordering::Greater },
        };
        let (left_key, right_key) = (encode(&left), encode(&right));
        prop_assert_eq!(left_key.cmp(&right_key), expected);
        if expected == Ordering::Equal {
            prop_assert_eq!(hash_value(&left), hash_value(&right));
        }
        // What follows a key never changes its order: no key is the beginning of an unequal one.
        prop_assert!(expected == Ordering::Equal || !right_key.starts_with(&left_key));
        let mut rest = &left_key[..];
        if let Ok(decoded) = key::decode(&column, &mut rest) {
            prop_assert!(rest.is_empty());
            prop_assert_eq!(compare_values(&decoded, &left), Ordering::Equal);
            if column.is_lossless() {
                prop_assert!(identical(&decoded, &left));
            }
        } else {
            prop_assert_eq!(kind, PhysicalKind::Interval);
        }
    }

    #[test]
    fn text_and_binary_forms_give_the_value_back(
        (pick, value) in (0..TYPES.len()).prop_flat_map(|pick| (Just(pick), value(TYPES[pick].1)))
    ) {
        let settings = Settings::default();
        let context = EvalContext::detached(&settings);
        let info = builtin_type(TYPES[pick].0.oid).unwrap();
        let mut binary = Vec::new();
        info.write_binary(&value, &mut binary, &context).unwrap();
        let back = info.read_binary(&binary, -1, &context).unwrap();
        prop_assert_eq!(compare_values(&back, &value), Ordering::Equal);
        let mut text = String::new();
        info.print_text(&value, &mut text, &context).unwrap();
        // The text of the greatest spans of time is beyond what can be read again, as in PostgreSQL.
        let is_interval = TYPES[pick].0.oid == oids::INTERVAL;
        if !is_interval {
            let back = info.parse_text(&text, -1, &context).unwrap();
            prop_assert_eq!(compare_values(&back, &value), Ordering::Equal, "{}", text);
        }
    }

    #[test]
    fn numeric_arithmetic_is_consistent(left in numeric(), right in numeric()) {
        let sum = left.add(&right).unwrap();
        prop_assert_eq!(&sum, &right.add(&left).unwrap());
        if left.is_finite() && right.is_finite() {
            prop_assert_eq!(&sum.sub(&right).unwrap(), &left);
            let product = left.mul(&right).unwrap();
            prop_assert_eq!(product.signum(), left.signum() * right.signum());
            if right.signum() != 0 {
                let whole = left.div_truncate(&right).unwrap();
                let rest = left.rem(&right).unwrap();
                prop_assert_eq!(whole.mul(&right).unwrap().add(&rest).unwrap(), left.clone());
            }
        }
        prop_assert_eq!(Numeric::parse(&left.to_string()).unwrap(), left);
    }
}
