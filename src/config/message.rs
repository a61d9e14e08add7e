//! What is wrong in a configuration file, in the words of its writer.

/// The largest values of the types that keys have.
const RANGES: [(&str, &str); 4] = [
    ("expected u16", "allowed are whole numbers from 0 to 65535"),
    ("expected u32", "allowed are whole numbers from 0 to 4294967295"),
    ("expected u64", "allowed are whole numbers from 0 to 9223372036854775807"),
    ("expected usize", "allowed are whole numbers from 0 to 9223372036854775807"),
];

/// The key and value by their line, and what is allowed instead.
pub fn of(error: &toml::de::Error, text: &str) -> String {
    let mut what = error.message().to_string();
    for (expected, allowed) in RANGES {
        what = what.replace(expected, allowed);
    }
    what = what.replace("expected a boolean", "allowed are true and false");
    what = what.replace("expected one of", "allowed are").replace(", expected `", ", allowed is `");
    let Some(span) = error.span() else { return what };
    let at = span.start.min(text.len());
    let number = text[..at].matches('\n').count() + 1;
    let line = text.lines().nth(number - 1).unwrap_or_default().trim();
    format!("line {number}: {line}: {what}")
}
