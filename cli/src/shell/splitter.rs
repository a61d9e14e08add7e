//! Cutting input into statements and commands.
//!
//! 1. Text comes line by line; a `;` outside of quotes, comments and parentheses ends a statement.
//! 2. A backslash outside of them begins a command, which takes the rest of its line.
//! 3. Quotes are SQL's: `'…'`, `E'…'` with escapes, `"…"`, `$tag$…$tag$`, `--` to the line's end, `/* */` nested.
//! 4. The body of a function written as `BEGIN ATOMIC … END` is one statement with its semicolons.
//!
//! Invariant: what is given as statements is what was put in, but for blanks and comments before each one.

/// What a line completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A statement with its semicolon.
    Statement(String),
    /// A command without its backslash.
    Command(String),
}

/// What the text read so far has left open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Open {
    #[default]
    Nothing,
    Single {
        escapes: bool,
    },
    Double,
    Dollar(String),
    Comment(u32),
}

/// Reads lines and gives their statements and commands.
#[derive(Clone, Debug, Default)]
pub struct Splitter {
    statement: String,
    open: Open,
    parentheses: u32,
    blocks: BlockDepth,
}

impl Splitter {
    /// Whether no statement has begun.
    pub fn is_empty(&self) -> bool {
        self.statement.is_empty() && self.open == Open::Nothing
    }

    /// Forgets the statement that has begun.
    pub fn clear(&mut self) {
        *self = Splitter::default();
    }

    /// Gives the statement that has begun, ended or not; nothing if it is blank.
    pub fn take(&mut self) -> Option<String> {
        let statement = std::mem::take(self).statement;
        let statement = statement.trim_end();
        (!statement.is_empty()).then(|| statement.to_string())
    }

    /// What the prompt shows of a statement that goes on: the character that it waits for, or `-`.
    pub fn waits_for(&self) -> char {
        match self.open {
            Open::Single { .. } => '\'',
            Open::Double => '"',
            Open::Dollar(_) => '$',
            Open::Comment(_) => '*',
            Open::Nothing if self.parentheses > 0 => '(',
            Open::Nothing => '-',
        }
    }

    /// Takes a line, without its line break; gives what it completed.
    pub fn push_line(&mut self, line: &str) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut rest = line;
        while !rest.is_empty() {
            if self.open != Open::Nothing {
                let length = self.open_length(rest);
                self.keep(&rest[..length]);
                rest = &rest[length..];
                continue;
            }
            if rest.starts_with('\\') {
                // What ends a command is the line's end: file names and patterns may hold anything else.
                pieces.push(Piece::Command(rest[1..].trim().to_string()));
                rest = "";
                continue;
            }
            let length = self.plain_length(rest);
            let token = &rest[..length];
            rest = &rest[length..];
            self.keep(token);
            if token == ";" && self.parentheses == 0 && self.blocks.depth == 0 {
                let statement = std::mem::take(self).statement;
                pieces.push(Piece::Statement(statement));
            }
        }
        if !self.statement.is_empty() {
            self.statement.push('\n');
        }
        pieces
    }

    /// Adds to the statement; what precedes its first word is left out.
    fn keep(&mut self, token: &str) {
        let in_comment =
            matches!(self.open, Open::Comment(_)) || token.starts_with("--") || token.ends_with("*/");
        if self.statement.is_empty() && (in_comment || token.chars().all(char::is_whitespace)) {
            return;
        }
        self.statement.push_str(token);
    }

    /// The length of the next token outside of quotes and comments; notes what it opens.
    fn plain_length(&mut self, rest: &str) -> usize {
        let mut characters = rest.chars();
        let first = characters.next().unwrap_or_default();
        match first {
            '\'' => self.opens(Open::Single { escapes: false }, 1),
            'e' | 'E' if rest[1..].starts_with('\'') => self.opens(Open::Single { escapes: true }, 2),
            '"' => self.opens(Open::Double, 1),
            '-' if rest.starts_with("--") => rest.len(),
            '/' if rest.starts_with("/*") => self.opens(Open::Comment(1), 2),
            '$' => match dollar_tag(rest) {
                Some(tag) => {
                    let length = tag.len();
                    self.opens(Open::Dollar(tag.to_string()), length)
                }
                None => 1,
            },
            '(' => {
                self.parentheses += 1;
                1
            }
            ')' => {
                self.parentheses = self.parentheses.saturating_sub(1);
                1
            }
            _ if is_word(first) => {
                // A whole word, so that `$` within it opens nothing and `e` at its end no escapes.
                let length = rest.find(|each| !is_word(each) && each != '$').unwrap_or(rest.len());
                self.blocks.word(&rest[..length], self.parentheses);
                length
            }
            other => other.len_utf8(),
        }
    }

    fn opens(&mut self, open: Open, length: usize) -> usize {
        self.open = open;
        length
    }

    /// The length of what is inside the open quotes or comment; notes their end.
    fn open_length(&mut self, rest: &str) -> usize {
        match &mut self.open {
            Open::Nothing => 0,
            Open::Single { escapes } => {
                let escapes = *escapes;
                let mut skip = false;
                let end = rest.char_indices().find(|(_, each)| {
                    let found = *each == '\'' && !skip;
                    skip = escapes && *each == '\\' && !skip;
                    found
                });
                self.close_at(end.map(|(at, _)| at + 1), rest)
            }
            Open::Double => self.close_at(rest.find('"').map(|at| at + 1), rest),
            Open::Dollar(tag) => {
                let end = rest.find(tag.as_str()).map(|at| at + tag.len());
                self.close_at(end, rest)
            }
            Open::Comment(depth) => {
                let opening = rest.find("/*");
                let closing = rest.find("*/");
                match (opening, closing) {
                    (Some(opening), closing) if closing.is_none_or(|closing| opening < closing) => {
                        *depth += 1;
                        opening + 2
                    }
                    (_, Some(closing)) if *depth > 1 => {
                        *depth -= 1;
                        closing + 2
                    }
                    (_, closing) => self.close_at(closing.map(|at| at + 2), rest),
                }
            }
        }
    }

    fn close_at(&mut self, end: Option<usize>, rest: &str) -> usize {
        let Some(end) = end else { return rest.len() };
        self.open = Open::Nothing;
        end
    }
}

/// Whether a character is of a word: an identifier, a keyword or a number.
fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || !character.is_ascii()
}

/// The `$tag$` that a text begins with.
fn dollar_tag(text: &str) -> Option<&str> {
    let name_length = text[1..].find(|each| !is_word(each))?;
    let name = &text[1..=name_length];
    let ends = text[1 + name_length..].starts_with('$');
    (ends && !name.starts_with(|first: char| first.is_ascii_digit())).then(|| &text[..name_length + 2])
}

/// How deep in the BEGIN … END blocks of a function's SQL body a statement is.
#[derive(Clone, Debug, Default)]
struct BlockDepth {
    /// The statement's first words, as far as they say whether it makes a function.
    words: Vec<String>,
    depth: u32,
}

impl BlockDepth {
    const WORDS_MAX: usize = 4;

    fn word(&mut self, word: &str, parentheses: u32) {
        if self.words.len() < BlockDepth::WORDS_MAX {
            self.words.push(word.to_ascii_lowercase());
        }
        if parentheses > 0 || !self.makes_function() {
            return;
        }
        if word.eq_ignore_ascii_case("begin") || (self.depth > 0 && word.eq_ignore_ascii_case("case")) {
            self.depth += 1;
        } else if word.eq_ignore_ascii_case("end") {
            self.depth = self.depth.saturating_sub(1);
        }
    }

    fn makes_function(&self) -> bool {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        matches!(
            words.as_slice(),
            ["create", "function" | "procedure", ..]
                | ["create", "or", "replace", "function" | "procedure", ..]
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Piece, Splitter};

    /// The statements and commands of a text, and what is left of it.
    fn split(text: &str) -> (Vec<String>, Option<String>) {
        let mut splitter = Splitter::default();
        let pieces = text.lines().flat_map(|line| splitter.push_line(line)).collect::<Vec<_>>();
        let texts = pieces.into_iter().map(|piece| match piece {
            Piece::Statement(text) => text,
            Piece::Command(text) => format!("\\{text}"),
        });
        (texts.collect(), splitter.take())
    }

    #[test]
    fn semicolons_end_statements_outside_of_quotes() {
        let text = "SELECT ';' || \";\" ; SELECT $$;$$, $a$;$$;$a$;\nSELECT E'\\';', '\\';SELECT (1;2);";
        let (statements, left) = split(text);
        let expected =
            ["SELECT ';' || \";\" ;", "SELECT $$;$$, $a$;$$;$a$;", "SELECT E'\\';', '\\';", "SELECT (1;2);"];
        assert_eq!(statements, expected);
        assert_eq!(left, None);
    }

    #[test]
    fn comments_before_a_statement_are_left_out_and_within_are_kept() {
        let text = "-- one; two\n\n/* a /* b; */ c; */ SELECT 1 -- three;\n , 2 /* ; */;";
        assert_eq!(split(text).0, ["SELECT 1 -- three;\n , 2 /* ; */;"]);
    }

    #[test]
    fn commands_take_the_rest_of_their_line() {
        let (pieces, left) = split("\\d users\nSELECT 1; \\q\nSELECT\n");
        assert_eq!(pieces, ["\\d users", "SELECT 1;", "\\q"]);
        assert_eq!(left.as_deref(), Some("SELECT"));
    }

    #[test]
    fn words_with_dollars_and_parameters_open_nothing() {
        assert_eq!(split("SELECT $1, a$b$c FROM t WHERE like'x;' ;").0.len(), 1);
        assert_eq!(split("SELECT table'a\\';").0.len(), 1);
    }

    #[test]
    fn function_bodies_are_one_statement() {
        let text = "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC\nSELECT 1;\n\
                    SELECT CASE WHEN true THEN 2 END;\nEND;\nBEGIN; END;";
        assert_eq!(split(text).0.len(), 3);
    }

    #[test]
    fn the_prompt_tells_what_is_open() {
        for (text, expected) in [
            ("SELECT", '-'),
            ("SELECT 'a", '\''),
            ("SELECT \"", '"'),
            ("SELECT $$", '$'),
            ("/* ", '*'),
            ("f(", '('),
        ] {
            let mut splitter = Splitter::default();
            assert!(splitter.push_line(text).is_empty());
            assert_eq!(splitter.waits_for(), expected, "{text}");
            assert!(!splitter.is_empty());
        }
    }
}
