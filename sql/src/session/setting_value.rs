//! Numbers of settings with their units: `64MB`, `1.5min`, `0x10`.
//!
//! A setting counts in one unit; a value may be given in any unit of the same kind, and is shown in the greatest one that leaves it
//! whole.

/// A unit that numbers of settings are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Bytes,
    Kilobytes,
    /// Of 8 kB.
    Pages,
    Megabytes,
    Milliseconds,
    Seconds,
    Minutes,
}

/// In bytes, the greatest first.
const SIZES: [(&str, f64); 5] =
    [("TB", 1_099_511_627_776.0), ("GB", 1_073_741_824.0), ("MB", 1_048_576.0), ("kB", 1_024.0), ("B", 1.0)];
/// In microseconds, the greatest first.
const TIMES: [(&str, f64); 6] = [
    ("d", 86_400_000_000.0),
    ("h", 3_600_000_000.0),
    ("min", 60_000_000.0),
    ("s", 1_000_000.0),
    ("ms", 1_000.0),
    ("us", 1.0),
];

impl Unit {
    /// The unit that `pg_settings` names so.
    pub(super) fn named(name: &str) -> Option<Unit> {
        Some(match name {
            "B" => Unit::Bytes,
            "kB" => Unit::Kilobytes,
            "8kB" => Unit::Pages,
            "MB" => Unit::Megabytes,
            "ms" => Unit::Milliseconds,
            "s" => Unit::Seconds,
            "min" => Unit::Minutes,
            _ => return None,
        })
    }

    /// As `pg_settings` names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Unit::Bytes => "B",
            Unit::Kilobytes => "kB",
            Unit::Pages => "8kB",
            Unit::Megabytes => "MB",
            Unit::Milliseconds => "ms",
            Unit::Seconds => "s",
            Unit::Minutes => "min",
        }
    }

    /// The units that values may be given in, and how much of the smallest one this is.
    fn scale(self) -> (&'static [(&'static str, f64)], f64) {
        match self {
            Unit::Bytes => (&SIZES, 1.0),
            Unit::Kilobytes => (&SIZES, 1_024.0),
            Unit::Pages => (&SIZES, 8_192.0),
            Unit::Megabytes => (&SIZES, 1_048_576.0),
            Unit::Milliseconds => (&TIMES, 1_000.0),
            Unit::Seconds => (&TIMES, 1_000_000.0),
            Unit::Minutes => (&TIMES, 60_000_000.0),
        }
    }

    /// What is said of a unit that is none of these.
    pub(super) fn hint(self) -> &'static str {
        match self.scale().0.len() {
            5 => "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\".",
            _ => "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\".",
        }
    }
}

/// Why a text is no number of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoNumber {
    Malformed,
    /// The number is one, what follows is no unit of it.
    Unit,
}

/// The number that a text says, in a unit.
pub(super) fn parse(text: &str, unit: Option<Unit>) -> Result<f64, NoNumber> {
    let (number, rest) = split_number(text.trim_start()).ok_or(NoNumber::Malformed)?;
    let word = rest.trim();
    if word.is_empty() {
        return Ok(number);
    }
    let unit = unit.ok_or(NoNumber::Malformed)?;
    let (known, own) = unit.scale();
    let (_, size) = known.iter().find(|(name, _)| *name == word).ok_or(NoNumber::Unit)?;
    Ok(number * size / own)
}

/// The number that a text begins with, decimal, or hexadecimal or octal as C writes them, and the rest.
fn split_number(text: &str) -> Option<(f64, &str)> {
    let (is_negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let until = |text: &str, test: fn(char) -> bool| text.find(|c: char| !test(c)).unwrap_or(text.len());
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let (number, rest) = if let Some(rest) = hexadecimal {
        let end = until(rest, |c| c.is_ascii_hexdigit());
        (u64::from_str_radix(&rest[..end], 16).ok()? as f64, &rest[end..])
    } else {
        let mut end = until(digits, |c| c.is_ascii_digit() || c == '.');
        let whole = &digits[..end];
        let exponent = digits[end..].strip_prefix(['e', 'E']).map(|rest| {
            let sign = usize::from(rest.starts_with(['-', '+']));
            (sign, until(&rest[sign..], |c| c.is_ascii_digit()))
        });
        if let Some((sign, count)) = exponent.filter(|(_, count)| *count > 0) {
            end += 1 + sign + count;
        } else if whole.len() > 1
            && whole.starts_with('0')
            && whole.bytes().all(|digit| (b'0'..=b'7').contains(&digit))
        {
            let number = u64::from_str_radix(whole, 8).ok()? as f64;
            return Some((if is_negative { -number } else { number }, &digits[end..]));
        }
        (digits[..end].parse::<f64>().ok().filter(|number| number.is_finite())?, &digits[end..])
    };
    Some((if is_negative { -number } else { number }, rest))
}

/// A whole number with the greatest unit that leaves it whole.
pub(super) fn shown_integer(value: i64, unit: Option<Unit>) -> String {
    let Some(unit) = unit.filter(|_| value > 0) else { return value.to_string() };
    let (known, own) = unit.scale();
    let small = i128::from(value) * own as i128;
    let found = known.iter().find(|(_, size)| small % (*size as i128) == 0);
    found.map_or_else(|| value.to_string(), |(name, size)| format!("{}{name}", small / *size as i128))
}

/// A number with the greatest unit that leaves it whole, or all but.
pub(super) fn shown_real(value: f64, unit: Option<Unit>) -> String {
    let Some(unit) = unit.filter(|_| value > 0.0) else { return general(value) };
    let (known, own) = unit.scale();
    let in_unit = |size: f64| value * own / size;
    let is_whole = |number: f64| number >= 0.5 && (number.round() / number - 1.0).abs() <= 1e-8;
    let smallest = known.last().copied().unwrap_or(("", 1.0));
    let (name, size) = known.iter().copied().find(|(_, size)| is_whole(in_unit(*size))).unwrap_or(smallest);
    format!("{}{name}", general(in_unit(size)))
}

/// A number with six digits at most, as C's `%g` writes it.
pub(super) fn general(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".into() } else { value.to_string() };
    }
    let scientific = format!("{value:.5e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(digits), exponent.abs());
    }
    let places = usize::try_from(5 - exponent).unwrap_or(0);
    trimmed(&format!("{value:.places$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units() {
        let kilobytes = Some(Unit::Kilobytes);
        assert_eq!(parse(" 64MB ", kilobytes), Ok(65_536.0));
        assert_eq!(parse("1.5 GB", kilobytes), Ok(1_572_864.0));
        assert_eq!(
            (parse("0x10", None), parse("010", None), parse("-1", None)),
            (Ok(16.0), Ok(8.0), Ok(-1.0))
        );
        assert_eq!(parse("1e3", None), Ok(1_000.0));
        assert_eq!(
            (parse("", None), parse("5kB", None)),
            (Err(NoNumber::Malformed), Err(NoNumber::Malformed))
        );
        assert_eq!(parse("1.5 x", Some(Unit::Milliseconds)), Err(NoNumber::Unit));
        for (value, unit, shown) in [
            (65_536, Unit::Kilobytes, "64MB"),
            (1_000, Unit::Pages, "8000kB"),
            (90_000, Unit::Milliseconds, "90s"),
            (-1, Unit::Kilobytes, "-1"),
            (0, Unit::Seconds, "0"),
            (16_777_216, Unit::Bytes, "16MB"),
        ] {
            assert_eq!(shown_integer(value, Some(unit)), shown);
        }
        assert_eq!(shown_real(1.5, Some(Unit::Milliseconds)), "1500us");
        assert_eq!(shown_real(50.0, Some(Unit::Milliseconds)), "50ms");
        for (value, shown) in
            [(0.125, "0.125"), (1e300, "1e+300"), (0.000_01, "1e-05"), (1_000_000.0, "1e+06"), (4.0, "4")]
        {
            assert_eq!(general(value), shown);
        }
    }
}
