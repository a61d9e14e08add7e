//! Operators and functions of network addresses.

use super::cast::{CastContext, CastMethod};
use super::registry::{Entry, Registry};
use super::string::int4;
use super::vector::wrong_arguments;
use super::{EvalContext, ScalarKernel};
use crate::error::{Result, SqlError, SqlState};
use crate::types::network::Network;
use crate::types::oids::{BOOL, BPCHAR, CIDR, INET, INT4, INT8, TEXT, VARCHAR};
use crate::value::Datum;

fn network(arguments: &[Datum], index: usize) -> Result<Network> {
    arguments.get(index).and_then(Network::of).ok_or_else(wrong_arguments)
}

/// Both, which must be of one family.
fn alike(arguments: &[Datum], word: &str) -> Result<(Network, Network)> {
    let (left, right) = (network(arguments, 0)?, network(arguments, 1)?);
    if left.address.is_ipv4() != right.address.is_ipv4() {
        return Err(SqlError::invalid_parameter(format!("cannot {word} inet values of different sizes")));
    }
    Ok((left, right))
}

fn combined(arguments: &[Datum], word: &str, combine: fn(u128, u128) -> u128) -> Result<Datum> {
    let (left, right) = alike(arguments, word)?;
    let other = right.bits();
    let mask_bits = left.mask_bits.max(right.mask_bits);
    Ok(Network { mask_bits, ..left.map(|bits, _| combine(bits, other)) }.datum())
}

/// The address so many further.
fn moved(arguments: &[Datum], by: i128) -> Result<Datum> {
    let from = network(arguments, 0)?;
    let out_of_range = || SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "result is out of range");
    let unused = 128 - u32::from(Network::bits_max(from.address));
    let number = from.bits() >> unused;
    let moved = number.checked_add_signed(by).ok_or_else(out_of_range)?;
    if unused > 0 && moved >> (128 - unused) != 0 {
        return Err(out_of_range());
    }
    Ok(from.map(|_, _| moved << unused).datum())
}

fn distance(arguments: &[Datum]) -> Result<Datum> {
    let (left, right) = alike(arguments, "subtract")?;
    let unused = 128 - u32::from(Network::bits_max(left.address));
    let difference = (left.bits() >> unused).wrapping_sub(right.bits() >> unused).cast_signed();
    let number = i64::try_from(difference);
    number
        .map(Datum::Int64)
        .map_err(|_| SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "result is out of range"))
}

fn with_mask(arguments: &[Datum], is_cidr: bool) -> Result<Datum> {
    let (old, bits) = (network(arguments, 0)?, int4(arguments, 1)?);
    let max = Network::bits_max(old.address);
    let mask_bits = match u8::try_from(bits) {
        _ if bits == -1 => max,
        Ok(bits) if bits <= max => bits,
        _ => return Err(SqlError::invalid_parameter(format!("invalid mask length: {bits}"))),
    };
    let new = Network { mask_bits, ..old };
    Ok(if is_cidr { new.network() } else { new }.datum())
}

/// As CIDR is abbreviated: the octets that the mask reaches.
fn abbreviated(network: Network) -> String {
    if !network.address.is_ipv4() || network.mask_bits == 32 {
        return network.text();
    }
    let octets = usize::from(network.mask_bits.div_ceil(8)).max(1);
    let whole = network.host();
    let shown: Vec<&str> = whole.split('.').take(octets).collect();
    format!("{}/{}", shown.join("."), network.mask_bits)
}

fn operators(registry: &mut Registry) {
    macro_rules! test {
        ($operator:literal, $name:literal, $test:expr) => {
            registry.add_operator(
                $operator,
                Entry::new($name, &[INET, INET], BOOL, |arguments, _| {
                    let test: fn(Network, Network) -> bool = $test;
                    Ok(Datum::Bool(test(network(arguments, 0)?, network(arguments, 1)?)))
                }),
            );
        };
    }
    test!("<<", "network_sub", |left, right| left.mask_bits > right.mask_bits && left.is_within(right));
    test!("<<=", "network_subeq", Network::is_within);
    test!(">>", "network_sup", |left, right| right.mask_bits > left.mask_bits && right.is_within(left));
    test!(">>=", "network_supeq", |left, right| right.is_within(left));
    test!("&&", "network_overlap", Network::overlaps);
    let kernels: [(&str, &'static str, &[u32], u32, ScalarKernel); 6] = [
        ("&", "inetand", &[INET, INET], INET, |arguments, _| {
            combined(arguments, "AND", |left, right| left & right)
        }),
        ("|", "inetor", &[INET, INET], INET, |arguments, _| {
            combined(arguments, "OR", |left, right| left | right)
        }),
        ("+", "inetpl", &[INET, INT8], INET, |arguments, _| {
            moved(arguments, i128::from(arguments[1].as_i64().ok_or_else(wrong_arguments)?))
        }),
        ("+", "int8pl_inet", &[INT8, INET], INET, |arguments, _| {
            let by = arguments[0].as_i64().ok_or_else(wrong_arguments)?;
            moved(&arguments[1..], i128::from(by))
        }),
        ("-", "inetmi_int8", &[INET, INT8], INET, |arguments, _| {
            moved(arguments, -i128::from(arguments[1].as_i64().ok_or_else(wrong_arguments)?))
        }),
        ("-", "inetmi", &[INET, INET], INT8, |arguments, _| distance(arguments)),
    ];
    for (operator, name, arguments, result, kernel) in kernels {
        registry.add_operator(operator, Entry::new(name, arguments, result, kernel));
    }
    let invert =
        |arguments: &[Datum], _: &EvalContext<'_>| Ok(network(arguments, 0)?.map(|bits, _| !bits).datum());
    registry.add_operator("~", Entry::new("inetnot", &[INET], INET, invert));
}

fn casts(registry: &mut Registry) {
    registry.add_cast(CIDR, INET, CastContext::Implicit, CastMethod::Binary);
    let to_cidr = registry
        .add(Entry::new("cidr", &[INET], CIDR, |arguments, _| Ok(network(arguments, 0)?.network().datum())));
    registry.add_cast(INET, CIDR, CastContext::Assignment, CastMethod::Function(to_cidr));
    let to_text = registry.add(Entry::new("text", &[INET], TEXT, |arguments, _| {
        Ok(Datum::text(network(arguments, 0)?.text()))
    }));
    for target in [TEXT, VARCHAR, BPCHAR] {
        registry.add_cast(INET, target, CastContext::Assignment, CastMethod::Function(to_text.clone()));
    }
}

pub(super) fn register(registry: &mut Registry) {
    operators(registry);
    casts(registry);
    let mut add = |name: &'static str, arguments: &[u32], result, kernel: ScalarKernel| {
        registry.add(Entry::new(name, arguments, result, kernel));
    };
    add("host", &[INET], TEXT, |arguments, _| Ok(Datum::text(network(arguments, 0)?.host())));
    add("abbrev", &[INET], TEXT, |arguments, _| Ok(Datum::text(network(arguments, 0)?.short_text())));
    add("abbrev", &[CIDR], TEXT, |arguments, _| Ok(Datum::text(abbreviated(network(arguments, 0)?))));
    add("family", &[INET], INT4, |arguments, _| {
        Ok(Datum::Int32(if network(arguments, 0)?.address.is_ipv4() { 4 } else { 6 }))
    });
    add("masklen", &[INET], INT4, |arguments, _| Ok(Datum::Int32(network(arguments, 0)?.mask_bits.into())));
    add("network", &[INET], CIDR, |arguments, _| Ok(network(arguments, 0)?.network().datum()));
    add("netmask", &[INET], INET, |arguments, _| {
        Ok(network(arguments, 0)?.map(|_, mask| mask).whole().datum())
    });
    add("hostmask", &[INET], INET, |arguments, _| {
        Ok(network(arguments, 0)?.map(|_, mask| !mask).whole().datum())
    });
    add("broadcast", &[INET], INET, |arguments, _| {
        Ok(network(arguments, 0)?.map(|bits, mask| bits | !mask).datum())
    });
    add("set_masklen", &[INET, INT4], INET, |arguments, _| with_mask(arguments, false));
    add("set_masklen", &[CIDR, INT4], CIDR, |arguments, _| with_mask(arguments, true));
    add("inet_same_family", &[INET, INET], BOOL, |arguments, _| {
        let (left, right) = (network(arguments, 0)?, network(arguments, 1)?);
        Ok(Datum::Bool(left.address.is_ipv4() == right.address.is_ipv4()))
    });
    add("inet_merge", &[INET, INET], CIDR, |arguments, _| {
        let (left, right) = (network(arguments, 0)?, network(arguments, 1)?);
        if left.address.is_ipv4() != right.address.is_ipv4() {
            let message = "cannot merge addresses from different families";
            return Err(SqlError::invalid_parameter(message));
        }
        Ok(left.merged(right).datum())
    });
}
