//! The text of JSON values.

use super::{JsonRef, deeper};
use std::fmt::Write;

/// Appends a string in quotes, escaped as PostgreSQL escapes it.
pub fn push_string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", control as u32);
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Four blanks for each level.
const INDENT: &str = "    ";

impl JsonRef<'_> {
    /// Appends the text of jsonb: a blank behind colons and commas.
    pub fn print(self, out: &mut String) {
        match self {
            JsonRef::Null => out.push_str("null"),
            JsonRef::Bool(value) => out.push_str(if value { "true" } else { "false" }),
            JsonRef::Number(digits) => out.push_str(digits),
            JsonRef::String(text) => push_string(text, out),
            JsonRef::Array(elements) => {
                out.push('[');
                for (index, element) in elements.enumerate() {
                    if index > 0 {
                        out.push_str(", ");
                    }
                    deeper(|| element.print(out));
                }
                out.push(']');
            }
            JsonRef::Object(members) => {
                out.push('{');
                for (index, (key, value)) in members.enumerate() {
                    if index > 0 {
                        out.push_str(", ");
                    }
                    push_string(key, out);
                    out.push_str(": ");
                    deeper(|| value.print(out));
                }
                out.push('}');
            }
        }
    }

    /// Appends the text in lines, indented by depth.
    pub fn print_pretty(self, depth: usize, out: &mut String) {
        let line = |depth: usize, out: &mut String| {
            out.push('\n');
            (0..depth).for_each(|_| out.push_str(INDENT));
        };
        match self {
            JsonRef::Array(elements) => {
                out.push('[');
                for (index, element) in elements.enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    line(depth + 1, out);
                    deeper(|| element.print_pretty(depth + 1, out));
                }
                line(depth, out);
                out.push(']');
            }
            JsonRef::Object(members) => {
                out.push('{');
                for (index, (key, value)) in members.enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    line(depth + 1, out);
                    push_string(key, out);
                    out.push_str(": ");
                    deeper(|| value.print_pretty(depth + 1, out));
                }
                line(depth, out);
                out.push('}');
            }
            scalar => scalar.print(out),
        }
    }
}
