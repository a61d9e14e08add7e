//! Documents as JSON, XML and YAML, laid out as PostgreSQL does.

use super::Format;
use super::document::Part;
use crate::value::json::push_string;

/// Prints the document of one statement.
pub(super) fn print(document: &Part, format: Format) -> String {
    let mut out = String::new();
    match format {
        Format::Xml => {
            out.push_str("<explain xmlns=\"http://www.postgresql.org/2009/explain\">\n  <Query>\n");
            xml_body(document, 2, "Query", &mut out);
            out.push_str("  </Query>\n</explain>");
        }
        Format::Yaml => {
            out.push_str("- ");
            yaml_body(document, 1, true, &mut out);
        }
        Format::Json | Format::Text => {
            out.push_str("[\n  ");
            json(document, 1, &mut out);
            out.push_str("\n]");
        }
    }
    out
}

fn quoted(text: &str) -> String {
    let mut out = String::new();
    push_string(text, &mut out);
    out
}

fn is_flat(parts: &[Part]) -> bool {
    !parts.is_empty() && parts.iter().all(|part| matches!(part, Part::Text(_) | Part::Bare(_)))
}

fn json(part: &Part, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match part {
        Part::Text(text) => out.push_str(&quoted(text)),
        Part::Bare(text) => out.push_str(text),
        // A list of texts stands on one line.
        Part::List(parts) if is_flat(parts) => {
            out.push('[');
            for (at, part) in parts.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                json(part, depth, out);
            }
            out.push(']');
        }
        Part::List(parts) => {
            out.push_str("[\n");
            for (at, part) in parts.iter().enumerate() {
                out.push_str(if at > 0 { ",\n" } else { "" });
                out.push_str(&format!("{indent}  "));
                json(part, depth + 1, out);
            }
            out.push_str(&format!("{}{indent}]", if parts.is_empty() { "" } else { "\n" }));
        }
        Part::Group(keys) => {
            out.push_str("{\n");
            for (at, (key, part)) in keys.iter().enumerate() {
                out.push_str(if at > 0 { ",\n" } else { "" });
                out.push_str(&format!("{indent}  {}: ", quoted(key)));
                json(part, depth + 1, out);
            }
            out.push_str(&format!("\n{indent}}}"));
        }
    }
}

/// The keys of a group, or the elements of a list.
fn yaml_body(part: &Part, depth: usize, inline: bool, out: &mut String) {
    let indent = "  ".repeat(depth);
    let mut first = inline;
    let mut begin = |out: &mut String| {
        if !std::mem::take(&mut first) {
            out.push('\n');
            out.push_str(&indent);
        }
    };
    match part {
        Part::Text(text) => out.push_str(&quoted(text)),
        Part::Bare(text) => out.push_str(text),
        Part::List(parts) => {
            for part in parts {
                begin(out);
                out.push_str("- ");
                yaml_body(part, depth + 1, true, out);
            }
        }
        Part::Group(keys) => {
            for (key, part) in keys {
                begin(out);
                out.push_str(&format!("{key}: "));
                yaml_body(part, depth + 1, false, out);
            }
        }
    }
}

fn xml_tag(key: &str) -> String {
    key.replace(|character: char| !character.is_ascii_alphanumeric() && !"-_.".contains(character), "-")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\r', "&#x0d;")
}

/// What stands between an element's tags; `key` is what the element is called.
fn xml_body(part: &Part, depth: usize, key: &str, out: &mut String) {
    let indent = "  ".repeat(depth);
    let mut element = |key: &str, part: &Part| {
        let tag = xml_tag(key);
        match part {
            Part::Text(text) => out.push_str(&format!("{indent}<{tag}>{}</{tag}>\n", escaped(text))),
            Part::Bare(text) => out.push_str(&format!("{indent}<{tag}>{text}</{tag}>\n")),
            Part::List(_) | Part::Group(_) => {
                out.push_str(&format!("{indent}<{tag}>\n"));
                xml_body(part, depth + 1, key, out);
                out.push_str(&format!("{indent}</{tag}>\n"));
            }
        }
    };
    match part {
        Part::Group(keys) => keys.iter().for_each(|(key, part)| element(key, part)),
        Part::List(parts) => {
            let item = if key == "Plans" { "Plan" } else { "Item" };
            parts.iter().for_each(|part| element(item, part));
        }
        Part::Text(_) | Part::Bare(_) => {}
    }
}
