//! Operators, functions and casts of `macaddr` and `macaddr8`.

use super::ScalarKernel;
use super::cast::{CastContext, CastMethod};
use super::registry::{Entry, Registry};
use super::vector::wrong_arguments;
use crate::error::{Result, SqlError, SqlState};
use crate::types::network::widened;
use crate::types::oids::{MACADDR, MACADDR8};
use crate::value::Datum;

fn octets(arguments: &[Datum], index: usize) -> Result<&[u8]> {
    match arguments.get(index) {
        Some(Datum::Bytes(octets)) => Ok(octets),
        _ => Err(wrong_arguments()),
    }
}

fn combined(arguments: &[Datum], combine: fn(u8, u8) -> u8) -> Result<Datum> {
    let (left, right) = (octets(arguments, 0)?, octets(arguments, 1)?);
    let both = left.iter().zip(right).map(|(left, right)| combine(*left, *right));
    Ok(Datum::from(both.collect::<Vec<u8>>()))
}

/// The manufacturer's part, and zeros.
fn truncated(arguments: &[Datum]) -> Result<Datum> {
    let mut kept = octets(arguments, 0)?.to_vec();
    kept.iter_mut().skip(3).for_each(|octet| *octet = 0);
    Ok(Datum::from(kept))
}

pub(super) fn register(registry: &mut Registry) {
    for (of, prefix) in [(MACADDR, "macaddr"), (MACADDR8, "macaddr8")] {
        let operators: [(&str, &str, usize, ScalarKernel); 3] = [
            ("~", "not", 1, |arguments, _| {
                let inverted: Vec<u8> = octets(arguments, 0)?.iter().map(|octet| !octet).collect();
                Ok(Datum::from(inverted))
            }),
            ("&", "and", 2, |arguments, _| combined(arguments, |left, right| left & right)),
            ("|", "or", 2, |arguments, _| combined(arguments, |left, right| left | right)),
        ];
        for (operator, suffix, count, kernel) in operators {
            let entry = Entry::new(format!("{prefix}_{suffix}"), &[of, of][..count], of, kernel);
            registry.add_operator(operator, entry);
        }
        registry.add(Entry::new("trunc", &[of], of, |arguments, _| truncated(arguments)));
    }
    registry.add(Entry::new("macaddr8_set7bit", &[MACADDR8], MACADDR8, |arguments, _| {
        let mut changed = octets(arguments, 0)?.to_vec();
        changed.iter_mut().take(1).for_each(|octet| *octet |= 0x02);
        Ok(Datum::from(changed))
    }));
    let widen = registry.add(Entry::new("macaddr8", &[MACADDR], MACADDR8, |arguments, _| {
        let six = octets(arguments, 0)?.try_into().map_err(|_| wrong_arguments())?;
        Ok(Datum::from(widened(six).to_vec()))
    }));
    registry.add_cast(MACADDR, MACADDR8, CastContext::Implicit, CastMethod::Function(widen));
    let narrow = registry.add(Entry::new("macaddr", &[MACADDR8], MACADDR, |arguments, _| {
        match octets(arguments, 0)? {
            [a, b, c, 0xff, 0xfe, d, e, f] => Ok(Datum::from(vec![*a, *b, *c, *d, *e, *f])),
            _ => Err(SqlError::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                "macaddr8 data out of range to convert to macaddr",
            )
            .with_hint(
                "Only addresses that have FF and FE as values in the 4th and 5th bytes from the left, for \
                 example xx:xx:xx:ff:fe:xx:xx:xx, are eligible to be converted from macaddr8 to macaddr.",
            )),
        }
    }));
    registry.add_cast(MACADDR8, MACADDR, CastContext::Implicit, CastMethod::Function(narrow));
}
