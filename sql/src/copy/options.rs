//! COPY's options, in both syntaxes.

use sqlparser::ast::{self, CopyLegacyCsvOption, CopyLegacyOption, CopyOption};

use crate::binder::name;
use crate::encoding::Encoding;
use crate::error::{Result, SqlError, SqlState};
use crate::parser::{ALL, marked};

/// The shape of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    Text,
    Csv,
    Binary,
}

/// All options.
#[derive(Clone, Debug)]
pub struct CopyOptions {
    pub format: CopyFormat,
    pub delimiter: u8,
    pub null: String,
    pub header: bool,
    pub quote: u8,
    pub escape: u8,
    /// Columns whose values are always quoted.
    pub force_quote: Vec<String>,
    pub force_quote_all: bool,
    /// Columns whose values are never the null string.
    pub force_not_null: Vec<String>,
    /// Columns whose quoted values may be the null string.
    pub force_null: Vec<String>,
    /// What texts are written in; `None`: the client's encoding.
    pub encoding: Option<Encoding>,
}

fn byte(character: char, option: &str) -> Result<u8> {
    u8::try_from(character)
        .ok()
        .filter(u8::is_ascii)
        .ok_or_else(|| SqlError::unsupported(format!("COPY {option} must be a single one-byte character")))
}

impl CopyOptions {
    /// Reads the options.
    ///
    /// # Errors
    /// 42601 for options of text in binary, 22023 for options that do not fit together.
    pub fn parse(options: &[CopyOption], legacy: &[CopyLegacyOption]) -> Result<CopyOptions> {
        let (mut csv, mut binary) = (false, false);
        for option in options {
            if let CopyOption::Format(format) = option {
                match name::fold(format).as_str() {
                    "text" => {}
                    "csv" => csv = true,
                    "binary" => binary = true,
                    other => {
                        return Err(SqlError::invalid_parameter(format!(
                            "COPY format \"{other}\" not recognized"
                        )));
                    }
                }
            }
        }
        csv |= legacy.iter().any(|option| matches!(option, CopyLegacyOption::Csv(_)));
        binary |= legacy.iter().any(|option| matches!(option, CopyLegacyOption::Binary));
        let format = match (csv, binary) {
            (_, true) => CopyFormat::Binary,
            (true, _) => CopyFormat::Csv,
            _ => CopyFormat::Text,
        };
        if binary {
            refuse_in_binary(options)?;
        }
        let mut result = CopyOptions {
            format,
            delimiter: if csv { b',' } else { b'\t' },
            null: if csv { String::new() } else { "\\N".into() },
            header: false,
            quote: b'"',
            escape: b'"',
            force_quote: Vec::new(),
            force_quote_all: false,
            force_not_null: Vec::new(),
            force_null: Vec::new(),
            encoding: None,
        };
        let mut escape = None;
        for option in options {
            match option {
                CopyOption::Format(_) | CopyOption::Freeze(_) => {}
                CopyOption::Delimiter(character) => result.delimiter = byte(*character, "delimiter")?,
                CopyOption::Null(text) => result.null.clone_from(text),
                CopyOption::Header(header) => result.header = *header,
                CopyOption::Quote(character) => result.quote = byte(*character, "quote")?,
                CopyOption::Escape(character) => escape = Some(byte(*character, "escape")?),
                CopyOption::ForceQuote(columns) => {
                    result.force_quote_all = columns.iter().any(|column| marked(column) == Some(ALL));
                    result.force_quote = if result.force_quote_all { Vec::new() } else { names(columns) };
                }
                CopyOption::ForceNotNull(columns) => result.force_not_null = names(columns),
                CopyOption::ForceNull(columns) => result.force_null = names(columns),
                CopyOption::Encoding(name) => result.encoding = Some(encoding(name)?),
            }
        }
        for option in legacy {
            result.legacy(option, &mut escape)?;
        }
        result.escape = escape.unwrap_or(result.quote);
        if result.delimiter == result.quote && csv {
            return Err(SqlError::invalid_parameter("COPY delimiter and quote must be different"));
        }
        if result.delimiter == b'\n' || result.delimiter == b'\r' {
            return Err(SqlError::invalid_parameter("COPY delimiter cannot be newline or carriage return"));
        }
        Ok(result)
    }

    fn legacy(&mut self, option: &CopyLegacyOption, escape: &mut Option<u8>) -> Result<()> {
        match option {
            CopyLegacyOption::Binary => {}
            CopyLegacyOption::Delimiter(character) => self.delimiter = byte(*character, "delimiter")?,
            CopyLegacyOption::Null(text) => self.null.clone_from(text),
            CopyLegacyOption::Header => self.header = true,
            CopyLegacyOption::Csv(options) => {
                for option in options {
                    match option {
                        CopyLegacyCsvOption::Header => self.header = true,
                        CopyLegacyCsvOption::Quote(character) => self.quote = byte(*character, "quote")?,
                        CopyLegacyCsvOption::Escape(character) => *escape = Some(byte(*character, "escape")?),
                        CopyLegacyCsvOption::ForceQuote(columns) => {
                            self.force_quote = names(columns);
                            self.force_quote_all = columns.is_empty();
                        }
                        CopyLegacyCsvOption::ForceNotNull(columns) => self.force_not_null = names(columns),
                    }
                }
            }
            other => return Err(SqlError::syntax(format!("syntax error at or near \"{other}\""))),
        }
        Ok(())
    }
}

/// Options that only text has.
fn refuse_in_binary(options: &[CopyOption]) -> Result<()> {
    for option in options {
        let name = match option {
            CopyOption::Delimiter(_) => "DELIMITER",
            CopyOption::Null(_) => "NULL",
            CopyOption::Header(true) => "HEADER",
            _ => continue,
        };
        return Err(match name {
            "HEADER" => SqlError::unsupported("cannot specify HEADER in BINARY mode"),
            name => SqlError::syntax(format!("cannot specify {name} in BINARY mode")),
        });
    }
    Ok(())
}

fn names(columns: &[ast::Ident]) -> Vec<String> {
    columns.iter().map(name::fold).collect()
}

/// The encoding of a name, which must be one that is known.
fn encoding(name: &str) -> Result<Encoding> {
    let found = Encoding::named(name).ok_or_else(|| {
        SqlError::invalid_parameter("argument to option \"encoding\" must be a valid encoding name")
    })?;
    if found.is_known() {
        return Ok(found);
    }
    let message =
        format!("default conversion function for encoding \"{}\" to \"UTF8\" does not exist", found.name());
    Err(SqlError::new(SqlState::UNDEFINED_FUNCTION, message))
}
