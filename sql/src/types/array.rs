//! Array types: PostgreSQL's `{…}` text, its binary form, and the vectors of the catalogs (`int2vector`,
//! `oidvector`: elements separated by blanks, subscripts from 0).

use super::scalar::{cut_off, is_space, operations, wrong_kind, wrong_length};
use super::{BuiltinTypes, Category, Oid, TypeCatalog, TypeInfo, TypeOperations, TypeShape, oids};
use crate::error::{Result, SqlError, SqlState};
use crate::functions::EvalContext;
use crate::value::array::Dimension;
use crate::value::{ArrayValue, Datum, PhysicalKind};
use std::borrow::Cow;
use std::sync::Arc;

/// The most dimensions.
const DIMENSIONS_MAX: usize = 6;

fn malformed(text: &str, detail: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, format!("malformed array literal: \"{text}\""))
        .with_detail(detail)
}

/// One parsed level of braces.
enum Node {
    Element(Option<String>),
    List(Vec<Node>),
}

struct Parser<'a> {
    text: &'a str,
    position: usize,
    context: &'a EvalContext<'a>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.position..].chars().next()
    }

    fn skip_spaces(&mut self) {
        while let Some(character) = self.peek()
            && is_space(character)
        {
            self.position += character.len_utf8();
        }
    }

    /// `{…}`, the opening brace being next.
    fn list(&mut self, depth: usize) -> Result<Node> {
        if depth > DIMENSIONS_MAX {
            return Err(SqlError::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!(
                    "number of array dimensions ({depth}) exceeds the maximum allowed ({DIMENSIONS_MAX})"
                ),
            ));
        }
        self.position += 1;
        let mut members = Vec::new();
        self.skip_spaces();
        if self.peek() == Some('}') {
            // Only the whole of an array is empty.
            if depth > 1 {
                return Err(malformed(self.text, "Unexpected \"}\" character."));
            }
            self.position += 1;
            return Ok(Node::List(members));
        }
        loop {
            if members.len().is_multiple_of(4_096) {
                self.context.check_cancel()?;
            }
            self.skip_spaces();
            members.push(if self.peek() == Some('{') { self.list(depth + 1)? } else { self.element()? });
            self.skip_spaces();
            match self.peek() {
                Some(',') => self.position += 1,
                Some('}') => {
                    self.position += 1;
                    return Ok(Node::List(members));
                }
                Some(_) => return Err(malformed(self.text, "Unexpected array element.")),
                None => return Err(malformed(self.text, "Unexpected end of input.")),
            }
        }
    }

    fn element(&mut self) -> Result<Node> {
        let mut value = String::new();
        let mut significant = 0;
        let quoted = self.peek() == Some('"');
        if quoted {
            self.position += 1;
        }
        loop {
            let Some(character) = self.peek() else {
                return Err(malformed(self.text, "Unexpected end of input."));
            };
            match character {
                '\\' => {
                    self.position += 1;
                    let Some(escaped) = self.peek() else {
                        return Err(malformed(self.text, "Unexpected end of input."));
                    };
                    value.push(escaped);
                    self.position += escaped.len_utf8();
                    significant = value.len();
                    continue;
                }
                '"' if quoted => {
                    self.position += 1;
                    return Ok(Node::Element(Some(value)));
                }
                '"' | '{' if !quoted => {
                    return Err(malformed(self.text, format!("Unexpected \"{character}\" character.")));
                }
                ',' | '}' if !quoted => break,
                _ => {}
            }
            value.push(character);
            if !is_space(character) {
                significant = value.len();
            }
            self.position += character.len_utf8();
        }
        value.truncate(significant);
        if value.is_empty() {
            let next = self.peek().unwrap_or(' ');
            return Err(malformed(self.text, format!("Unexpected \"{next}\" character.")));
        }
        Ok(Node::Element(if value.eq_ignore_ascii_case("null") { None } else { Some(value) }))
    }
}

fn flatten(
    nodes: Vec<Node>,
    depth: usize,
    lengths: &mut Vec<i32>,
    elements: &mut Vec<Option<String>>,
    text: &str,
) -> Result<()> {
    let mismatch =
        || malformed(text, "Multidimensional arrays must have sub-arrays with matching dimensions.");
    let length = i32::try_from(nodes.len()).map_err(|_| mismatch())?;
    if lengths.len() == depth {
        if !elements.is_empty() {
            return Err(mismatch());
        }
        lengths.push(length);
    } else if lengths[depth] != length {
        return Err(mismatch());
    }
    for node in nodes {
        match node {
            Node::Element(_) if lengths.len() > depth + 1 => return Err(mismatch()),
            Node::Element(element) => elements.push(element),
            Node::List(inner) => flatten(inner, depth + 1, lengths, elements, text)?,
        }
    }
    Ok(())
}

/// An explicit `[2:4][0:1]=` prefix.
fn parse_bounds(text: &str) -> Result<(Vec<Dimension>, &str)> {
    let mut rest = text;
    let mut dimensions = Vec::new();
    while let Some(inner) = rest.strip_prefix('[') {
        let (bounds, after) =
            inner.split_once(']').ok_or_else(|| malformed(text, "Missing \"]\" after array dimensions."))?;
        let number = |part: &str| {
            part.trim()
                .parse::<i32>()
                .map_err(|_| malformed(text, "\"[\" must introduce explicitly-specified array dimensions."))
        };
        let (lower_bound, upper) = match bounds.split_once(':') {
            Some((lower, upper)) => (number(lower)?, number(upper)?),
            None => (1, number(bounds)?),
        };
        let length = upper
            .checked_sub(lower_bound)
            .and_then(|span| span.checked_add(1))
            .filter(|length| *length >= 1)
            .ok_or_else(|| {
                SqlError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "upper bound cannot be less than lower bound")
            })?;
        dimensions.push(Dimension { length, lower_bound });
        rest = after.trim_start();
    }
    if !dimensions.is_empty() {
        rest = rest
            .strip_prefix('=')
            .ok_or_else(|| malformed(text, "Missing \"=\" after array dimensions."))?
            .trim_start();
    }
    Ok((dimensions, rest))
}

fn parse_array(info: &TypeInfo, text: &str, typmod: i32, context: &EvalContext<'_>) -> Result<Datum> {
    let element_type = element_of(info)?;
    let element_info = context.type_info(element_type)?;
    let (explicit, body) = parse_bounds(text.trim_matches(is_space))?;
    if !body.starts_with('{') {
        return Err(malformed(text, "Array value must start with \"{\" or dimension information."));
    }
    let mut parser = Parser { text: body, position: 0, context };
    let Node::List(nodes) = parser.list(1).map_err(|error| rename(error, text))? else {
        unreachable!("a list was read")
    };
    parser.skip_spaces();
    if parser.peek().is_some() {
        return Err(malformed(text, "Junk after closing right brace."));
    }
    let (mut lengths, mut texts) = (Vec::new(), Vec::new());
    flatten(nodes, 0, &mut lengths, &mut texts, text)?;
    if texts.is_empty() {
        return Ok(ArrayValue::from_elements(element_type, Vec::new()).into());
    }
    let dimensions = if explicit.is_empty() {
        lengths.into_iter().map(|length| Dimension { length, lower_bound: 1 }).collect()
    } else if explicit.iter().map(|dimension| dimension.length).eq(lengths) {
        explicit
    } else {
        return Err(malformed(text, "Specified array dimensions do not match array contents."));
    };
    let parse = |element: Option<String>| match element {
        None => {
            // A domain may refuse NULL.
            context.types.check_domain(element_type, &Datum::Null, context)?;
            Ok(Datum::Null)
        }
        Some(element) => {
            let value = element_info.parse_text(&element, typmod, context)?;
            element_info.apply_modifier(value, typmod, false)
        }
    };
    let elements = texts.into_iter().map(parse).collect::<Result<_>>()?;
    Ok(ArrayValue { element_type, dimensions, elements }.into())
}

/// The error's message with the whole literal rather than the part after its bounds.
fn rename(error: SqlError, text: &str) -> SqlError {
    if error.state() != SqlState::INVALID_TEXT_REPRESENTATION {
        return error;
    }
    malformed(text, error.fields().detail.clone().unwrap_or_default())
}

fn element_of(info: &TypeInfo) -> Result<Oid> {
    info.element().ok_or_else(|| wrong_kind(info))
}

fn content<'a>(info: &TypeInfo, datum: &'a Datum) -> Result<&'a ArrayValue> {
    if let Datum::Array(array) = datum { Ok(array) } else { Err(wrong_kind(info)) }
}

fn print_array(info: &TypeInfo, datum: &Datum, out: &mut String, context: &EvalContext<'_>) -> Result<()> {
    let array = content(info, datum)?;
    if array.dimensions.is_empty() {
        out.push_str("{}");
        return Ok(());
    }
    if array.dimensions.iter().any(|dimension| dimension.lower_bound != 1) {
        for dimension in &array.dimensions {
            let upper = dimension.lower_bound + dimension.length - 1;
            out.push_str(&format!("[{}:{upper}]", dimension.lower_bound));
        }
        out.push('=');
    }
    let element_info = context.type_info(array.element_type)?;
    let mut elements = array.elements.iter();
    print_level(&array.dimensions, &mut elements, element_info, out, context)
}

fn print_level(
    dimensions: &[Dimension],
    elements: &mut std::slice::Iter<'_, Datum>,
    info: &TypeInfo,
    out: &mut String,
    context: &EvalContext<'_>,
) -> Result<()> {
    out.push('{');
    let count = dimensions.first().map_or(0, |dimension| dimension.length);
    for index in 0..count {
        if index % 4_096 == 0 {
            context.check_cancel()?;
        }
        if index > 0 {
            out.push(',');
        }
        if dimensions.len() > 1 {
            print_level(&dimensions[1..], elements, info, out, context)?;
            continue;
        }
        match elements.next() {
            None | Some(Datum::Null) => out.push_str("NULL"),
            Some(element) => {
                let mut text = String::new();
                info.print_text(element, &mut text, context)?;
                push_quoted(&text, out);
            }
        }
    }
    out.push('}');
    Ok(())
}

/// Appends an element's text, quoted where it must be.
pub(crate) fn push_quoted(text: &str, out: &mut String) {
    let special = |character: char| matches!(character, '"' | '\\' | '{' | '}' | ',') || is_space(character);
    if !text.is_empty() && !text.eq_ignore_ascii_case("null") && !text.contains(special) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
}

/// Reads big-endian words off the front.
fn take_i32(bytes: &mut &[u8]) -> Result<i32> {
    let (word, rest) = bytes.split_first_chunk::<4>().ok_or_else(cut_off)?;
    *bytes = rest;
    Ok(i32::from_be_bytes(*word))
}

fn wrong_element_type(given: Oid, expected: Oid, context: &EvalContext<'_>) -> SqlError {
    let name =
        |oid: Oid| context.type_info(oid).map_or_else(|_| "???".into(), |info| info.sql_name.to_string());
    SqlError::new(
        SqlState::DATATYPE_MISMATCH,
        format!(
            "binary data has array element type {given} ({}) instead of expected {expected} ({})",
            name(given),
            name(expected)
        ),
    )
}

fn read_array(info: &TypeInfo, bytes: &[u8], typmod: i32, context: &EvalContext<'_>) -> Result<Datum> {
    let mut rest = bytes;
    let dimension_count = take_i32(&mut rest)?;
    let _has_nulls = take_i32(&mut rest)?;
    let element_type = take_i32(&mut rest)? as Oid;
    if dimension_count < 0 {
        return Err(SqlError::invalid_binary(format!("invalid number of dimensions: {dimension_count}")));
    }
    if dimension_count > DIMENSIONS_MAX as i32 {
        return Err(SqlError::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!(
                "number of array dimensions ({dimension_count}) exceeds the maximum allowed ({DIMENSIONS_MAX})"
            ),
        ));
    }
    if element_type != element_of(info)? {
        return Err(wrong_element_type(element_type, element_of(info)?, context));
    }
    let mut dimensions = Vec::new();
    let mut count = usize::from(dimension_count > 0);
    for _ in 0..dimension_count {
        let (length, lower_bound) = (take_i32(&mut rest)?, take_i32(&mut rest)?);
        let size = usize::try_from(length).map_err(|_| wrong_length())?;
        count = count.checked_mul(size).ok_or_else(wrong_length)?;
        lower_bound.checked_add(length).ok_or_else(|| {
            SqlError::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("array lower bound is too large: {lower_bound}"),
            )
        })?;
        dimensions.push(Dimension { length, lower_bound });
    }
    // Each element has a length word, which bounds the allocation.
    if count > rest.len() / 4 {
        return Err(wrong_length());
    }
    let element_info = context.type_info(element_type)?;
    let mut elements = Vec::with_capacity(count);
    for _ in 0..count {
        let length = take_i32(&mut rest)?;
        if length == -1 {
            context.types.check_domain(element_type, &Datum::Null, context)?;
            elements.push(Datum::Null);
            continue;
        }
        let length = usize::try_from(length).map_err(|_| wrong_length())?;
        let (value, after) = rest.split_at_checked(length).ok_or_else(wrong_length)?;
        elements.push(element_info.read_binary(value, typmod, context)?);
        rest = after;
    }
    if !rest.is_empty() {
        return Err(wrong_length());
    }
    if elements.is_empty() {
        dimensions.clear();
    }
    Ok(Datum::Array(Arc::new(ArrayValue { element_type, dimensions, elements })))
}

fn write_array(info: &TypeInfo, datum: &Datum, out: &mut Vec<u8>, context: &EvalContext<'_>) -> Result<()> {
    let array = content(info, datum)?;
    let mut word = |value: i32| out.extend_from_slice(&value.to_be_bytes());
    word(array.dimensions.len() as i32);
    word(i32::from(array.elements.iter().any(Datum::is_null)));
    word(array.element_type as i32);
    for dimension in &array.dimensions {
        word(dimension.length);
        word(dimension.lower_bound);
    }
    let element_info = context.type_info(array.element_type)?;
    for element in &array.elements {
        if element.is_null() {
            out.extend_from_slice(&(-1i32).to_be_bytes());
            continue;
        }
        let at = out.len();
        out.extend_from_slice(&[0; 4]);
        element_info.write_binary(element, out, context)?;
        let length = (out.len() - at - 4) as i32;
        out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

const ARRAY: TypeOperations = {
    let mut operations = operations(parse_array, print_array, read_array, write_array);
    operations.apply_modifier = Some(fit_elements);
    operations
};

/// Fits each element to the type's modifier, which is the element's. Only built-in types have modifiers.
fn fit_elements(info: &TypeInfo, value: Datum, typmod: i32, explicit: bool) -> Result<Datum> {
    let element = element_of(info)?;
    let Some(element) = BuiltinTypes.type_by_oid(element) else { return Ok(value) };
    let Datum::Array(mut array) = value else { return Err(wrong_kind(info)) };
    if element.operations.apply_modifier.is_none() {
        return Ok(Datum::Array(array));
    }
    let fitted = Arc::make_mut(&mut array);
    for each in &mut fitted.elements {
        if !each.is_null() {
            *each = element.apply_modifier(std::mem::take(each), typmod, explicit)?;
        }
    }
    Ok(Datum::Array(array))
}

const VECTOR: TypeOperations = TypeOperations {
    parse_text: |info, text, typmod, context| {
        let element_type = element_of(info)?;
        let element_info = context.type_info(element_type)?;
        let elements = text.split(is_space).filter(|part| !part.is_empty());
        let elements = elements.map(|part| element_info.parse_text(part, typmod, context));
        let elements = elements.collect::<Result<Vec<_>>>()?;
        Ok(vector(element_type, elements).into())
    },
    print_text: |info, datum, out, context| {
        let array = content(info, datum)?;
        let element_info = context.type_info(array.element_type)?;
        for (index, element) in array.elements.iter().enumerate() {
            if index > 0 {
                out.push(' ');
            }
            element_info.print_text(element, out, context)?;
        }
        Ok(())
    },
    ..ARRAY
};

/// An `int2vector` or `oidvector`: one dimension from 0, even when empty.
#[must_use]
pub fn vector(element_type: Oid, elements: Vec<Datum>) -> ArrayValue {
    let length = i32::try_from(elements.len()).unwrap_or(i32::MAX);
    ArrayValue { element_type, dimensions: vec![Dimension { length, lower_bound: 0 }], elements }
}

/// The array type of a type; `None` if it has none. Runtime types make theirs with it too.
#[must_use]
pub fn array_type_of(element: &TypeInfo) -> Option<TypeInfo> {
    (element.array_oid != 0).then(|| TypeInfo {
        oid: element.array_oid,
        name: Cow::Owned(format!("_{}", element.name)),
        sql_name: Cow::Owned(format!("{}[]", element.sql_name)),
        array_oid: 0,
        category: Category::Array,
        preferred: false,
        length: -1,
        kind: PhysicalKind::Array,
        shape: TypeShape::Array { element: element.oid },
        operations: ARRAY,
    })
}

pub(super) fn vectors() -> Vec<TypeInfo> {
    let vector_type = |oid, array_oid, name: &'static str, element| TypeInfo {
        oid,
        name: Cow::Borrowed(name),
        sql_name: Cow::Borrowed(name),
        array_oid,
        category: Category::Array,
        preferred: false,
        length: -1,
        kind: PhysicalKind::Array,
        shape: TypeShape::Array { element },
        operations: VECTOR,
    };
    vec![
        vector_type(oids::INT2VECTOR, oids::INT2VECTOR_ARRAY, "int2vector", oids::INT2),
        vector_type(oids::OIDVECTOR, oids::OIDVECTOR_ARRAY, "oidvector", oids::OID),
    ]
}
