//! What the first words of a statement say about the rest of it.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::rewrite::is;

/// What a statement's first words tell of what it may hold.
pub(super) struct StatementWords {
    /// A type's name before a string is that string's type.
    pub has_literals: bool,
    /// It is a query, or changes rows.
    pub is_query: bool,
    /// It is a MERGE, whatever stands before that.
    pub merges: bool,
    /// It begins with INSERT.
    pub inserts: bool,
    pub creates_table: bool,
    pub alters_table: bool,
    /// It defines something: SET there is not UPDATE's.
    pub defines: bool,
}

impl StatementWords {
    pub fn of(tokens: &[&TokenWithSpan]) -> StatementWords {
        let first_is = |word: &str| tokens.first().is_some_and(|first| is(first, word));
        let is_table = tokens.iter().take(5).any(|token| is(token, "table"));
        let queries =
            ["select", "insert", "update", "delete", "with", "values", "merge", "create", "execute"];
        StatementWords {
            has_literals: queries.iter().any(|word| first_is(word))
                || tokens.first().is_some_and(|first| first.token == Token::LParen),
            is_query: ["select", "insert", "update", "delete", "with", "values", "merge"]
                .iter()
                .any(|word| first_is(word)),
            merges: ["merge", "with", "explain", "prepare"].iter().any(|word| first_is(word))
                && tokens.iter().any(|token| is(token, "merge")),
            inserts: first_is("insert"),
            creates_table: is_table && first_is("create"),
            alters_table: is_table && first_is("alter"),
            defines: first_is("create") || first_is("alter"),
        }
    }

    /// Whether `WITH (` at this depth can only be behind a key.
    pub fn has_keys(&self, depth: usize) -> bool {
        self.alters_table || (self.creates_table && depth > 0)
    }
}
