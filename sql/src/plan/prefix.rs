//! `column LIKE 'abc%'` as a range of the column's values: those that begin with `abc` lie between `abc` and `abd`. The order of
//! keys is that of the characters' numbers, as in collation C.

use super::operators::{Comparison, operator_name};
use crate::expr::Expr;
use crate::functions::CastMethod;
use crate::types::DataType;
use crate::value::Datum;

/// What a condition demands of the text that it is about, and that text: what satisfies it lies within these bounds.
#[must_use]
pub fn bounds(condition: &Expr) -> Option<(&Expr, Vec<(Comparison, Expr)>)> {
    let Expr::Call(call) = condition else { return None };
    let [text, Expr::Const { value: Datum::Text(pattern), .. }] = call.arguments.as_slice() else {
        return None;
    };
    let (prefix, is_whole) = match operator_name(&call.function)? {
        "~~" => literal_prefix(pattern),
        "^@" => (pattern.to_string(), false),
        _ => return None,
    };
    let mut bounds = Vec::new();
    if is_whole {
        bounds.push((Comparison::Equal, constant(prefix)));
    } else if !prefix.is_empty() {
        let end = successor(&prefix);
        bounds.push((Comparison::GreaterOrEqual, constant(prefix)));
        bounds.extend(end.map(|end| (Comparison::Less, constant(end))));
    }
    let text = match text {
        Expr::Cast(cast) if matches!(cast.method, CastMethod::Binary) => &cast.argument,
        text => text,
    };
    (!bounds.is_empty()).then_some((text, bounds))
}

fn constant(text: String) -> Expr {
    Expr::Const { value: Datum::Text(text.into()), data_type: DataType::TEXT }
}

/// What all texts begin with that match a LIKE pattern, and whether that is all of them.
fn literal_prefix(pattern: &str) -> (String, bool) {
    let mut prefix = String::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '%' | '_' => return (prefix, false),
            // Behind the last one stands nothing that a text could have: PostgreSQL looks for what is before it.
            '\\' => prefix.extend(characters.next()),
            other => prefix.push(other),
        }
    }
    (prefix, true)
}

/// The least text behind all that begin with a prefix; `None` if there is none.
fn successor(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        // Numbers of surrogates are no characters.
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).take(0x801).find_map(char::from_u32);
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_of_patterns() {
        let of = |pattern| {
            let (prefix, is_whole) = literal_prefix(pattern);
            format!("{prefix} {is_whole}")
        };
        assert_eq!(of("abc%"), "abc false");
        assert_eq!(of("a_c"), "a false");
        assert_eq!(of(r"a\%b\_%"), "a%b_ false");
        assert_eq!(of("abc"), "abc true");
        assert_eq!(of("%"), " false");
        assert_eq!(of(r"abc\"), "abc true");
    }

    #[test]
    fn what_follows_a_prefix() {
        assert_eq!(successor("abc").as_deref(), Some("abd"));
        assert_eq!(successor("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(successor("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(successor("\u{10ffff}"), None);
    }
}
