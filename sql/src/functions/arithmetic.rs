//! `+ - * / %`, unary minus, `@` and the bit operators on integers, with PostgreSQL's overflow errors.

use super::registry::Registry;
use super::vector::{binary_entry, unary_entry};
use crate::error::SqlError;
use crate::types::oids::{INT2, INT4, INT8};
use crate::value::Datum;

fn overflow_of<L, R>(type_name: &'static str) -> impl Fn(&L, &R) -> SqlError {
    move |_, _| SqlError::out_of_range(type_name)
}

/// The error of a failed division: of its two reasons, zero is told from overflow by the divisor.
fn division_error<L, R: Copy + Into<i64>>(type_name: &'static str) -> impl Fn(&L, &R) -> SqlError {
    move |_, divisor| {
        if (*divisor).into() == 0 { SqlError::division_by_zero() } else { SqlError::out_of_range(type_name) }
    }
}

macro_rules! shift_left {
    (i16, $left:expr, $right:expr) => {
        i32::from($left).wrapping_shl($right as u32) as i16
    };
    ($native:ty, $left:expr, $right:expr) => {
        $left.wrapping_shl($right as u32)
    };
}

macro_rules! shift_right {
    (i16, $left:expr, $right:expr) => {
        i32::from($left).wrapping_shr($right as u32) as i16
    };
    ($native:ty, $left:expr, $right:expr) => {
        $left.wrapping_shr($right as u32)
    };
}

macro_rules! integer_pair {
    ($registry:expr, $prefix:literal, $left:ident: $left_type:expr, $right:ident: $right_type:expr,
     $out:ident: $out_type:expr, $native:ty, $type_name:literal) => {{
        let signature = ($left_type, $right_type, $out_type);
        $registry.add_operator(
            "+",
            binary_entry!(
                concat!($prefix, "pl"), [signature.0, signature.1] -> signature.2, $left, $right => $out,
                |left: &_, right: &_| <$native>::from(*left).overflowing_add(<$native>::from(*right)),
                overflow_of($type_name)
            ),
        );
        $registry.add_operator(
            "-",
            binary_entry!(
                concat!($prefix, "mi"), [signature.0, signature.1] -> signature.2, $left, $right => $out,
                |left: &_, right: &_| <$native>::from(*left).overflowing_sub(<$native>::from(*right)),
                overflow_of($type_name)
            ),
        );
        $registry.add_operator(
            "*",
            binary_entry!(
                concat!($prefix, "mul"), [signature.0, signature.1] -> signature.2, $left, $right => $out,
                |left: &_, right: &_| <$native>::from(*left).overflowing_mul(<$native>::from(*right)),
                overflow_of($type_name)
            ),
        );
        $registry.add_operator(
            "/",
            binary_entry!(
                concat!($prefix, "div"), [signature.0, signature.1] -> signature.2, $left, $right => $out,
                |left: &_, right: &_| {
                    let quotient = <$native>::from(*left).checked_div(<$native>::from(*right));
                    (quotient.unwrap_or(0), quotient.is_none())
                },
                division_error($type_name)
            ),
        );
    }};
}

macro_rules! integer_only {
    ($registry:expr, $prefix:literal, $variant:ident: $oid:expr, $native:ty, $type_name:literal) => {{
        let oid = $oid;
        $registry.add_operator(
            "%",
            binary_entry!(
                concat!($prefix, "mod"), [oid, oid] -> oid, $variant, $variant => $variant,
                // The remainder of the least integer by -1 is 0, though the quotient overflows.
                |left: &$native, right: &$native| {
                    if *right == 0 { (0, true) } else { (left.wrapping_rem(*right), false) }
                },
                |_: &_, _: &_| SqlError::division_by_zero()
            ),
        );
        $registry.add(
            binary_entry!(
                "mod", [oid, oid] -> oid, $variant, $variant => $variant,
                |left: &$native, right: &$native| {
                    if *right == 0 { (0, true) } else { (left.wrapping_rem(*right), false) }
                },
                |_: &_, _: &_| SqlError::division_by_zero()
            ),
        );
        $registry.add_operator(
            "-",
            unary_entry!(concat!($prefix, "um"), [oid] -> oid, $variant => $variant,
                |value: &$native| value.overflowing_neg(), |_: &_| SqlError::out_of_range($type_name)),
        );
        $registry.add_operator(
            "+",
            unary_entry!(concat!($prefix, "up"), [oid] -> oid, $variant => $variant,
                |value: &$native| (*value, false), |_: &_| SqlError::out_of_range($type_name)).infallible(),
        );
        $registry.add_operator(
            "~",
            unary_entry!(concat!($prefix, "not"), [oid] -> oid, $variant => $variant,
                |value: &$native| (!*value, false), |_: &_| SqlError::out_of_range($type_name)).infallible(),
        );
        for name in [concat!($prefix, "abs"), "abs"] {
            let function = $registry.add(
                unary_entry!(name, [oid] -> oid, $variant => $variant,
                    |value: &$native| value.overflowing_abs(),
                    |_: &_| SqlError::out_of_range($type_name)),
            );
            if name != "abs" {
                $registry.add_operator_for("@", function);
            }
        }
        $registry.add_operator("&", binary_entry!(
            concat!($prefix, "and"), [oid, oid] -> oid, $variant, $variant => $variant,
            |left: &$native, right: &$native| (left & right, false), overflow_of($type_name)).infallible());
        $registry.add_operator("|", binary_entry!(
            concat!($prefix, "or"), [oid, oid] -> oid, $variant, $variant => $variant,
            |left: &$native, right: &$native| (left | right, false), overflow_of($type_name)).infallible());
        $registry.add_operator("#", binary_entry!(
            concat!($prefix, "xor"), [oid, oid] -> oid, $variant, $variant => $variant,
            |left: &$native, right: &$native| (left ^ right, false), overflow_of($type_name)).infallible());
        // As the hardware shifts in C: the count modulo the (promoted) width.
        $registry.add_operator("<<", binary_entry!(
            concat!($prefix, "shl"), [oid, INT4] -> oid, $variant, Int32 => $variant,
            |left: &$native, right: &i32| (shift_left!($native, *left, *right), false),
            overflow_of($type_name)).infallible());
        $registry.add_operator(">>", binary_entry!(
            concat!($prefix, "shr"), [oid, INT4] -> oid, $variant, Int32 => $variant,
            |left: &$native, right: &i32| (shift_right!($native, *left, *right), false),
            overflow_of($type_name)).infallible());
    }};
}

pub(super) fn register(registry: &mut Registry) {
    integer_pair!(registry, "int2", Int16: INT2, Int16: INT2, Int16: INT2, i16, "smallint");
    integer_pair!(registry, "int4", Int32: INT4, Int32: INT4, Int32: INT4, i32, "integer");
    integer_pair!(registry, "int8", Int64: INT8, Int64: INT8, Int64: INT8, i64, "bigint");
    integer_pair!(registry, "int24", Int16: INT2, Int32: INT4, Int32: INT4, i32, "integer");
    integer_pair!(registry, "int42", Int32: INT4, Int16: INT2, Int32: INT4, i32, "integer");
    integer_pair!(registry, "int28", Int16: INT2, Int64: INT8, Int64: INT8, i64, "bigint");
    integer_pair!(registry, "int82", Int64: INT8, Int16: INT2, Int64: INT8, i64, "bigint");
    integer_pair!(registry, "int48", Int32: INT4, Int64: INT8, Int64: INT8, i64, "bigint");
    integer_pair!(registry, "int84", Int64: INT8, Int32: INT4, Int64: INT8, i64, "bigint");
    integer_only!(registry, "int2", Int16: INT2, i16, "smallint");
    integer_only!(registry, "int4", Int32: INT4, i32, "integer");
    integer_only!(registry, "int8", Int64: INT8, i64, "bigint");
}
