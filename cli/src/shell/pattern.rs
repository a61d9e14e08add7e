//! Name patterns of `\d` and its like, as in psql: `users`, `public.u*`, `"Mixed Case"`.
//!
//! `*` stands for any characters and `?` for one; quotes take everything but a double quote literally; letters
//! outside of quotes are folded; the first dot outside of quotes separates schema from name.

/// A pattern as regular expressions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    pub schema: Option<String>,
    pub name: String,
}

impl Pattern {
    /// Reads a pattern.
    pub fn new(text: &str) -> Pattern {
        let mut schema = None;
        let mut name = String::new();
        let mut quoted = false;
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '"' if quoted && characters.peek() == Some(&'"') => {
                    characters.next();
                    name.push('"');
                }
                '"' => quoted = !quoted,
                '.' if !quoted && schema.is_none() => schema = Some(std::mem::take(&mut name)),
                '*' if !quoted => name.push_str(".*"),
                '?' if !quoted => name.push('.'),
                other if ".^$*+?()[]{}|\\".contains(other) => name.extend(['\\', other]),
                other if quoted => name.push(other),
                other => name.extend(other.to_lowercase()),
            }
        }
        Pattern { schema, name }
    }

    /// The condition on a relation's schema and name, for a query over `pg_class c` and `pg_namespace n`.
    pub fn condition(&self) -> String {
        let name = format!("c.relname ~ {}", anchored(&self.name));
        match &self.schema {
            Some(schema) => format!("{name} AND n.nspname ~ {}", anchored(schema)),
            None => format!("{name} AND pg_table_is_visible(c.oid)"),
        }
    }
}

/// A regular expression for the whole of a name, as a literal.
fn anchored(expression: &str) -> String {
    literal(&format!("^({expression})$"))
}

/// A text as a string literal.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::{Pattern, literal};

    #[test]
    fn names_fold_and_wildcards_widen() {
        assert_eq!(Pattern::new("Users").name, "users");
        assert_eq!(Pattern::new("u*_?").name, "u.*_.");
        assert_eq!(Pattern::new("a$b").name, "a\\$b");
    }

    #[test]
    fn quotes_keep_and_dots_separate() {
        let pattern = Pattern::new("Sales.\"Mixed.*\"\"x\"");
        assert_eq!(pattern.schema.as_deref(), Some("sales"));
        assert_eq!(pattern.name, "Mixed\\.\\*\"x");
        assert_eq!(pattern.condition(), "c.relname ~ '^(Mixed\\.\\*\"x)$' AND n.nspname ~ '^(sales)$'");
    }

    #[test]
    fn literals_double_their_quotes() {
        assert_eq!(literal("it's"), "'it''s'");
    }
}
