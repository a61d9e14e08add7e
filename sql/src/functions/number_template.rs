//! `to_char` of numbers and `to_number`: PostgreSQL's numeric templates.
//!
//! 1. The template is cut into elements ([`parse`]), and what they ask for together is noted ([`Shape`]): digits before
//!    and behind the point, where zeros begin, how the sign is shown.
//! 2. The number is written with as many digits behind the point; one with too many before it becomes `#`.
//! 3. The elements are filled from the left, one digit or point each ([`Writer`]).

use super::registry::{Entry, Registry};
use super::string::text;
use super::vector::wrong_arguments;
use crate::error::{Result, SqlError};
use crate::types::oids::{FLOAT4, FLOAT8, INT4, INT8, NUMERIC, TEXT};
use crate::value::{Datum, Numeric};

#[derive(Clone, Debug, PartialEq)]
enum Element {
    Nine,
    Zero,
    Point,
    Comma,
    Currency,
    Minus,
    Plus,
    Sign,
    Roman {
        lower: bool,
    },
    Ordinal {
        lower: bool,
    },
    Literal(String),
    /// Says something about the whole alone.
    Silent,
}

/// How the sign of a number is shown, where no element of its own does it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum SignPlace {
    /// In front, a blank for plus.
    Usual,
    /// `S` before or behind the number.
    Before,
    Behind,
    /// `<…>`
    Brackets,
}

/// What the elements ask for together.
#[derive(Debug)]
struct Shape {
    before: usize,
    behind: usize,
    /// The place of the first `0`, and of the last.
    zero_start: Option<usize>,
    zero_end: usize,
    has_point: bool,
    /// The digits behind `V`.
    shift: Option<usize>,
    fill_mode: bool,
    sign: SignPlace,
    before_sign: usize,
    has_minus: bool,
    has_plus: bool,
    scientific: bool,
    roman: bool,
}

const KEYWORDS: [&str; 19] = [
    "EEEE", "FM", "MI", "PL", "PR", "RN", "SG", "SP", "TH", "B", "C", "D", "G", "L", "S", "V", "9", "0", ".",
];

fn syntax(message: &str) -> SqlError {
    SqlError::syntax(message)
}

/// Cuts a template into elements.
fn parse(template: &str) -> Result<(Vec<Element>, Shape)> {
    let mut shape = Shape {
        before: 0,
        behind: 0,
        zero_start: None,
        zero_end: 0,
        has_point: false,
        shift: None,
        fill_mode: false,
        sign: SignPlace::Usual,
        before_sign: 0,
        has_minus: false,
        has_plus: false,
        scientific: false,
        roman: false,
    };
    let mut elements = Vec::new();
    let mut rest = template;
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            let mut characters = rest[1..].chars();
            let mut quoted = String::new();
            while let Some(character) = characters.next().filter(|character| *character != '"') {
                // A backslash quotes what follows, if anything does.
                let escaped = if character == '\\' { characters.next() } else { None };
                quoted.push(escaped.unwrap_or(character));
            }
            elements.push(Element::Literal(quoted));
            rest = characters.as_str();
            continue;
        }
        // Elsewhere it is special before a quote only.
        if rest.starts_with("\\\"") {
            elements.push(Element::Literal('"'.to_string()));
            rest = &rest[2..];
            continue;
        }
        let fits = |key: &&&str| rest.get(..key.len()).is_some_and(|start| start.eq_ignore_ascii_case(key));
        if first == ',' {
            elements.push(Element::Comma);
            rest = &rest[1..];
            continue;
        }
        let Some(key) = KEYWORDS.iter().find(fits) else {
            elements.push(Element::Literal(first.to_string()));
            rest = &rest[first.len_utf8()..];
            continue;
        };
        elements.push(shape.take(key, first.is_ascii_lowercase())?);
        rest = &rest[key.len()..];
    }
    Ok((elements, shape))
}

impl Shape {
    /// Notes what a keyword asks for.
    fn take(&mut self, key: &str, lower: bool) -> Result<Element> {
        let together = |what: &str| Err(syntax(&format!("cannot use {what} together")));
        let has_sign = self.has_plus || self.has_minus || self.sign == SignPlace::Brackets;
        if self.scientific && !matches!(key, "EEEE") {
            return Err(syntax("\"EEEE\" must be the last pattern used"));
        }
        match key {
            "9" | "0" if self.sign == SignPlace::Brackets => {
                return Err(syntax(&format!("\"{key}\" must be ahead of \"PR\"")));
            }
            "9" => {
                self.count();
                return Ok(Element::Nine);
            }
            "0" => {
                if self.zero_start.is_none() && !self.has_point {
                    self.zero_start = Some(self.before);
                }
                if self.shift.is_none() && self.has_point {
                    self.behind += 1;
                } else {
                    self.before += 1;
                }
                self.zero_end = self.before + self.behind;
                return Ok(Element::Zero);
            }
            "." | "D" => {
                if self.has_point {
                    return Err(syntax("multiple decimal points"));
                }
                if self.shift.is_some() {
                    return together("\"V\" and decimal point");
                }
                self.has_point = true;
                return Ok(Element::Point);
            }
            "G" => return Ok(Element::Comma),
            "L" => return Ok(Element::Currency),
            "FM" => self.fill_mode = true,
            "S" => {
                if matches!(self.sign, SignPlace::Before | SignPlace::Behind) {
                    return Err(syntax("cannot use \"S\" twice"));
                }
                if has_sign {
                    return together("\"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\"");
                }
                self.sign = if self.has_point { SignPlace::Behind } else { SignPlace::Before };
                self.before_sign = self.before;
            }
            "MI" | "PL" | "SG" => {
                if matches!(self.sign, SignPlace::Before | SignPlace::Behind) {
                    return together(&format!("\"S\" and \"{key}\""));
                }
                self.has_minus |= key != "PL";
                self.has_plus |= key != "MI";
                return Ok(match key {
                    "MI" => Element::Minus,
                    "PL" => Element::Plus,
                    _ => Element::Sign,
                });
            }
            "PR" => {
                if has_sign || matches!(self.sign, SignPlace::Before | SignPlace::Behind) {
                    return together("\"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\"");
                }
                self.sign = SignPlace::Brackets;
            }
            "RN" => {
                self.roman = true;
                return Ok(Element::Roman { lower });
            }
            "TH" => return Ok(Element::Ordinal { lower }),
            "V" => {
                if self.has_point {
                    return together("\"V\" and decimal point");
                }
                self.shift = Some(0);
            }
            "EEEE" => {
                if self.scientific {
                    return Err(syntax("cannot use \"EEEE\" twice"));
                }
                if self.zero_start.is_some() || self.fill_mode || has_sign || self.shift.is_some() {
                    return Err(syntax("\"EEEE\" is incompatible with other formats").with_detail(
                        "\"EEEE\" may only be used together with digit and decimal point patterns.",
                    ));
                }
                self.scientific = true;
            }
            _ => {}
        }
        Ok(Element::Silent)
    }

    /// Counts a digit.
    fn count(&mut self) {
        match &mut self.shift {
            Some(digits) => *digits += 1,
            None if self.has_point => self.behind += 1,
            None => self.before += 1,
        }
    }
}

// Writing -------------------------------------------------------------------------------------------------------------

/// A number's text without its sign, `#` where it has too many digits; and the blanks before it.
fn digits_of(number: &Numeric, before: usize, behind: usize) -> (Vec<char>, usize) {
    if !number.is_finite() {
        let word = if number.is_nan() { "NaN" } else { "Infinity" };
        return match before.checked_sub(word.len()) {
            Some(blanks) => (word.chars().collect(), blanks),
            None => (overflowed(before, behind), 0),
        };
    }
    let text = number.abs().round(behind as i32).to_string();
    let digits = text.find('.').unwrap_or(text.len());
    if digits > before {
        return (overflowed(before, behind), 0);
    }
    (text.chars().collect(), before - digits)
}

fn overflowed(before: usize, behind: usize) -> Vec<char> {
    let mut text = vec!['#'; before + behind + 1];
    text[before] = '.';
    text
}

/// Fills the elements of a template.
struct Writer<'a> {
    shape: &'a Shape,
    sign_place: SignPlace,
    negative: bool,
    sign_written: bool,
    number: Vec<char>,
    /// The character of the number that comes next.
    at: usize,
    /// How many digits and points were asked for.
    place: usize,
    count: usize,
    blanks: usize,
    zero_start: Option<usize>,
    /// In fill mode: the last digit behind the point that is shown.
    last_relevant: Option<usize>,
    inside: bool,
    out: String,
}

impl<'a> Writer<'a> {
    fn new(shape: &'a Shape, number: Vec<char>, blanks: usize, negative: bool, before: usize) -> Writer<'a> {
        let mut sign_place = shape.sign;
        let sign_written = if shape.has_plus || shape.has_minus {
            shape.has_minus
        } else {
            if !negative && shape.fill_mode && sign_place == SignPlace::Brackets {
                sign_place = SignPlace::Usual;
            }
            let is_s = matches!(sign_place, SignPlace::Before | SignPlace::Behind);
            if sign_place == SignPlace::Before && shape.before == shape.before_sign {
                sign_place = SignPlace::Behind;
            }
            !negative && shape.fill_mode && !is_s
        };
        let mut count = (shape.behind + before).saturating_sub(1);
        let mut last_relevant = None;
        if shape.fill_mode && shape.has_point {
            last_relevant = number.iter().position(|c| *c == '.').map(|point| {
                let shown = number.iter().rposition(|c| *c != '0').unwrap_or(point);
                shown.max(point)
            });
            if let Some(last) = &mut last_relevant
                && shape.zero_end > blanks
            {
                let last_zero = (number.len() - 1).min(shape.zero_end - blanks);
                *last = (*last).max(last_zero);
            }
        }
        if !sign_written && blanks == 0 {
            count += 1;
        }
        Writer {
            shape,
            sign_place,
            negative,
            sign_written,
            number,
            at: 0,
            place: 0,
            count,
            blanks,
            zero_start: shape.zero_start,
            last_relevant,
            inside: false,
            out: String::new(),
        }
    }

    fn sign(&self) -> char {
        if self.negative { '-' } else { '+' }
    }

    /// Whether the only zero before the point gives way to a blank: `9.9` of 0.1.
    fn hides_zero(&self) -> bool {
        self.zero_start.is_none()
            && self.at == 0
            && self.number.first() == Some(&'0')
            && self.shape.behind != 0
    }

    /// Whether nothing is shown behind the point.
    fn ends_in_point(&self) -> bool {
        self.last_relevant.is_some_and(|last| self.number.get(last) == Some(&'.'))
    }

    fn write_sign(&mut self) {
        let starts = self.place >= self.blanks || self.zero_start == Some(self.place);
        if self.sign_written || !starts || (self.hides_zero() && !self.ends_in_point()) {
            return;
        }
        match self.sign_place {
            SignPlace::Behind => return,
            SignPlace::Before => self.out.push(self.sign()),
            SignPlace::Brackets => self.out.push(if self.negative { '<' } else { ' ' }),
            SignPlace::Usual if self.negative => self.out.push('-'),
            SignPlace::Usual if !self.shape.fill_mode => self.out.push(' '),
            SignPlace::Usual => {}
        }
        self.sign_written = true;
    }

    /// One digit, or the point.
    fn write_digit(&mut self, element: &Element) {
        self.write_sign();
        let zeros_begun = self.zero_start.is_some_and(|start| start <= self.place);
        if self.place < self.blanks {
            if zeros_begun {
                self.out.push('0');
                self.inside = true;
            } else if !self.shape.fill_mode {
                self.out.push(' ');
            }
        } else if self.number.get(self.at) == Some(&'.') {
            if !self.ends_in_point() || self.shape.fill_mode {
                self.out.push('.');
            }
            self.at += 1;
        } else {
            let is_cut = self.last_relevant.is_some_and(|last| self.at > last) && *element != Element::Zero;
            if is_cut {
            } else if self.hides_zero() {
                if !self.shape.fill_mode {
                    self.out.push(' ');
                } else if self.ends_in_point() {
                    self.out.push('0');
                }
            } else if let Some(digit) = self.number.get(self.at) {
                self.out.push(*digit);
                self.inside = true;
            }
            self.at += usize::from(self.at < self.number.len());
        }
        let mut end = self.count + usize::from(self.blanks > 0) + usize::from(self.shape.has_point);
        if self.last_relevant == Some(self.at) {
            end = self.place;
        }
        if self.place + 1 == end {
            if self.sign_written && self.sign_place == SignPlace::Brackets {
                self.out.push(if self.negative { '>' } else { ' ' });
            } else if self.sign_place == SignPlace::Behind {
                self.out.push(self.sign());
            }
        }
        self.place += 1;
    }

    fn write(&mut self, element: &Element) {
        let fill = self.shape.fill_mode;
        match element {
            Element::Nine | Element::Zero | Element::Point => self.write_digit(element),
            Element::Comma if self.inside => self.out.push(','),
            Element::Comma if !fill => self.out.push(' '),
            Element::Currency => self.out.push(' '),
            Element::Minus if self.negative => self.out.push('-'),
            Element::Plus if !self.negative => self.out.push('+'),
            Element::Minus | Element::Plus if !fill => self.out.push(' '),
            Element::Sign => self.out.push(self.sign()),
            Element::Ordinal { lower }
                if !self.negative && !self.shape.has_point && self.number.first() != Some(&'#') =>
            {
                let number: String = self.number.iter().collect();
                let ending = super::template::ordinal(&number);
                self.out.push_str(&if *lower { ending.to_owned() } else { ending.to_uppercase() });
            }
            Element::Literal(text) => self.out.push_str(text),
            _ => {}
        }
    }
}

/// A number in Roman numerals, 15 wide.
fn roman(number: &Numeric, shape: &Shape, elements: &[Element]) -> String {
    const PARTS: [(i128, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let value = number.round(0).to_i128().filter(|value| (1..=3999).contains(value));
    let numeral = match value {
        None => "#".repeat(15),
        Some(mut left) => {
            let mut numeral = String::new();
            for (part, letters) in PARTS {
                while left >= part {
                    numeral.push_str(letters);
                    left -= part;
                }
            }
            numeral
        }
    };
    let mut out = String::new();
    for element in elements {
        match element {
            Element::Roman { lower } => {
                let numeral = if *lower { numeral.to_lowercase() } else { numeral.clone() };
                out.push_str(&if shape.fill_mode { numeral } else { format!("{numeral:>15}") });
            }
            Element::Literal(text) => out.push_str(text),
            _ => {}
        }
    }
    out
}

/// `d.ddde+dd`, a blank for plus.
fn scientific(number: &Numeric, shape: &Shape) -> String {
    if !number.is_finite() {
        let mut text: String = overflowed(shape.before, shape.behind).into_iter().collect();
        text.push_str("####");
        return format!(" {text}");
    }
    let behind = shape.behind;
    let (digits, exponent) = match number.to_big() {
        Some((mantissa, scale)) if number.signum() != 0 => {
            let text = mantissa.to_string();
            let digits = text.trim_start_matches('-').len() as i32;
            let exponent = digits - 1 - i32::from(scale);
            let scaled = Numeric::parse(&format!("{}e{}", number.abs(), -exponent)).unwrap_or_default();
            let rounded = scaled.round(behind as i32);
            if rounded >= Numeric::from(10) {
                (rounded.div_scaled(&Numeric::from(10), behind as u16).unwrap_or_default(), exponent + 1)
            } else {
                (rounded, exponent)
            }
        }
        _ => (Numeric::ZERO.with_scale(behind as u16), 0),
    };
    let sign = if number.signum() < 0 { '-' } else { ' ' };
    let exponent_sign = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{digits}e{exponent_sign}{:02}", exponent.abs())
}

/// Formats a number; of a float the digits that mean something, of its exact value.
fn format(number: &Numeric, template: &str, float: Option<(f64, usize)>) -> Result<String> {
    let (elements, mut shape) = parse(template)?;
    if shape.roman {
        return Ok(roman(number, &shape, &elements));
    }
    if shape.scientific {
        return Ok(scientific(number, &shape));
    }
    let mut number = number.clone();
    let mut minus_zero = false;
    let mut before = shape.before;
    if let Some(shift) = shape.shift {
        number = number.mul(&Numeric::parse(&format!("1e{shift}"))?)?;
        before += shift;
    }
    if let Some((value, most)) = float
        && number.is_finite()
    {
        let value = value * 10f64.powi(shape.shift.unwrap_or(0).min(400) as i32);
        let whole = format!("{:.0}", value.abs()).len();
        shape.behind = if whole >= most { 0 } else { shape.behind.min(most - whole) };
        if value.is_finite() {
            // Half of a digit goes to the even one, as the exact value of the float says.
            let text = format!("{value:.*}", shape.behind);
            (number, minus_zero) = (Numeric::parse(&text)?, text.starts_with('-'));
        }
    }
    let (digits, blanks) = digits_of(&number, before, shape.behind);
    let negative = number.signum() < 0 && number.round(shape.behind as i32).signum() < 0
        || number == Numeric::NegativeInfinity
        || minus_zero;
    let mut writer = Writer::new(&shape, digits, blanks, negative, before);
    for element in &elements {
        writer.write(element);
    }
    Ok(writer.out)
}

// Reading -------------------------------------------------------------------------------------------------------------

fn read(input: &str, template: &str) -> Result<Numeric> {
    let (elements, shape) = parse(template)?;
    if shape.roman {
        return Err(SqlError::unsupported("\"RN\" not supported for input"));
    }
    if shape.scientific {
        return Err(SqlError::unsupported("\"EEEE\" not supported for input"));
    }
    let characters: Vec<char> = input.chars().collect();
    let mut at = 0;
    let (mut negative, mut number, mut has_point) = (false, String::new(), false);
    for element in &elements {
        if at >= characters.len() {
            break;
        }
        match element {
            Element::Nine | Element::Zero | Element::Point => {
                while characters.get(at).is_some_and(|c| c.is_whitespace()) {
                    at += 1;
                }
                if number.is_empty()
                    && let Some(sign @ ('-' | '+' | '<')) = characters.get(at)
                {
                    negative = *sign != '+';
                    at += 1;
                }
                match characters.get(at) {
                    Some(digit) if digit.is_ascii_digit() && *element != Element::Point => {
                        number.push(*digit);
                        at += 1;
                    }
                    Some('.') if !has_point && shape.has_point => {
                        number.push('.');
                        has_point = true;
                        at += 1;
                        // The digit is still to come.
                        if *element != Element::Point
                            && let Some(digit) = characters.get(at).filter(|c| c.is_ascii_digit())
                        {
                            number.push(*digit);
                            at += 1;
                        }
                    }
                    _ => {}
                }
            }
            Element::Comma => at += usize::from(characters[at] == ','),
            Element::Currency | Element::Literal(_) => {
                let is_data = |c: &char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | ',');
                let length = if let Element::Literal(text) = element { text.chars().count() } else { 1 };
                for _ in 0..length {
                    at += usize::from(characters.get(at).is_some_and(|c| !is_data(c)));
                }
            }
            Element::Minus | Element::Plus | Element::Sign => {
                if let Some(sign @ ('-' | '+')) = characters.get(at) {
                    negative |= *sign == '-';
                    at += 1;
                }
            }
            _ => {}
        }
    }
    // A sign may stand behind.
    if characters.get(at) == Some(&'-') && shape.sign != SignPlace::Usual {
        negative = true;
    }
    if number.is_empty() || number == "." {
        return Err(SqlError::invalid_input("numeric", " "));
    }
    let mut value = Numeric::parse(number.trim_end_matches('.'))?;
    if let Some(shift) = shape.shift {
        value = value.div(&Numeric::parse(&format!("1e{shift}"))?)?;
    }
    Ok(if negative { value.neg() } else { value })
}

pub(super) fn register(registry: &mut Registry) {
    for oid in [INT4, INT8, NUMERIC, FLOAT4, FLOAT8] {
        registry.add(Entry::new("to_char", &[oid, TEXT], TEXT, |arguments, _| to_char(arguments)).stable());
    }
    registry.add(Entry::new("to_number", &[TEXT, TEXT], NUMERIC, |arguments, _| {
        let template = text(arguments, 1)?;
        if template.is_empty() {
            return Ok(Datum::Null);
        }
        read(text(arguments, 0)?, template).map(Datum::Numeric)
    }));
}

fn to_char(arguments: &[Datum]) -> Result<Datum> {
    // Floats have that many digits that mean something.
    let float = match &arguments[0] {
        Datum::Float32(value) => Some((f64::from(*value), 6)),
        Datum::Float64(value) => Some((*value, 15)),
        _ => None,
    };
    let number = match &arguments[0] {
        Datum::Numeric(number) => number.clone(),
        Datum::Float32(value) if value.is_nan() => Numeric::NaN,
        Datum::Float32(value) => Numeric::parse(&value.to_string().replace("inf", "Infinity"))?,
        Datum::Float64(value) => Numeric::parse(&value.to_string().replace("inf", "Infinity"))?,
        other => Numeric::from(other.as_i64().ok_or_else(wrong_arguments)?),
    };
    format(&number, text(arguments, 1)?, float).map(Datum::from)
}
