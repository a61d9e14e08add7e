//! How messages are written in a conversation's file: words, texts in quotation marks, lists in brackets.
//!
//! A text is bytes: what is printable UTF-8 stands for itself, all else is `\n`, `\t`, `\"`, `\\` or `\xNN`.

use std::fmt::Write;

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// A name or a number.
    Plain(String),
    /// Bytes, written in quotation marks.
    Text(Vec<u8>),
    List(Vec<Word>),
}

/// Values longer than this are shown by their length.
const SHOWN_MAX: usize = 400;

impl Word {
    pub fn text(bytes: impl AsRef<[u8]>) -> Word {
        Word::Text(bytes.as_ref().to_vec())
    }

    pub fn plain(text: impl ToString) -> Word {
        Word::Plain(text.to_string())
    }

    /// A value that may be null.
    pub fn value(bytes: Option<&[u8]>) -> Word {
        match bytes {
            None => Word::plain("null"),
            Some(long) if long.len() > SHOWN_MAX => Word::plain(format!("{}-bytes", long.len())),
            Some(bytes) => Word::text(bytes),
        }
    }
}

impl std::fmt::Display for Word {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Word::Plain(text) => formatter.write_str(text),
            Word::Text(bytes) => write_text(bytes, formatter),
            Word::List(words) => write!(formatter, "[{}]", line_of(words)),
        }
    }
}

/// Words with blanks between them.
pub fn line_of(words: &[Word]) -> String {
    words.iter().map(Word::to_string).collect::<Vec<_>>().join(" ")
}

fn write_text(bytes: &[u8], formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    formatter.write_char('"')?;
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\\' => write!(formatter, "\\{character}")?,
                '\n' => formatter.write_str("\\n")?,
                '\t' => formatter.write_str("\\t")?,
                control if control.is_control() => {
                    let mut bytes = [0; 4];
                    for byte in control.encode_utf8(&mut bytes).bytes() {
                        write!(formatter, "\\x{byte:02x}")?;
                    }
                }
                character => formatter.write_char(character)?,
            }
        }
        for byte in chunk.invalid() {
            write!(formatter, "\\x{byte:02x}")?;
        }
    }
    formatter.write_char('"')
}

/// Reads a line.
///
/// # Errors
/// Says what is not as it should be.
pub fn words_of(line: &str) -> Result<Vec<Word>, String> {
    let mut characters = line.chars().peekable();
    let words = read_list(&mut characters)?;
    match characters.next() {
        None => Ok(words),
        Some(_) => Err(format!("a bracket that was not opened in: {line}")),
    }
}

type Characters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Reads words up to a closing bracket, which is left, or the end.
fn read_list(characters: &mut Characters<'_>) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    while let Some(&next) = characters.peek() {
        match next {
            ']' => break,
            ' ' => {
                characters.next();
            }
            '[' => {
                characters.next();
                words.push(Word::List(read_list(characters)?));
                characters.next().ok_or("a bracket is not closed")?;
            }
            '"' => {
                characters.next();
                words.push(Word::Text(read_text(characters)?));
            }
            _ => {
                let mut plain = String::new();
                while let Some(character) = characters.next_if(|next| !matches!(next, ' ' | '[' | ']' | '"'))
                {
                    plain.push(character);
                }
                words.push(Word::Plain(plain));
            }
        }
    }
    Ok(words)
}

fn read_text(characters: &mut Characters<'_>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut next = || characters.next().ok_or_else(|| "a text is not closed".to_string());
    loop {
        match next()? {
            '"' => return Ok(bytes),
            '\\' => match next()? {
                'n' => bytes.push(b'\n'),
                't' => bytes.push(b'\t'),
                'x' => {
                    let digits = String::from_iter([next()?, next()?]);
                    bytes.push(u8::from_str_radix(&digits, 16).map_err(|_| format!("\\x{digits}"))?);
                }
                character => bytes.extend(character.to_string().as_bytes()),
            },
            character => bytes.extend(character.to_string().as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        let words = vec![
            Word::plain("Bind"),
            Word::text("gr\u{fc}n \"\\\n"),
            Word::List(vec![Word::text(b"\x00\xff"), Word::plain("null"), Word::List(vec![])]),
        ];
        let line = line_of(&words);
        assert_eq!(line, r#"Bind "grün \"\\\n" ["\x00\xff" null []]"#);
        assert_eq!(words_of(&line).expect("valid"), words);
        for invalid in ["\"a", "[a", "a]", r#""\xg0""#] {
            words_of(invalid).expect_err(invalid);
        }
    }
}
