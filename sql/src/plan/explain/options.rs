//! EXPLAIN's options.

use super::GivenOption;
use crate::error::{Result, SqlError};

/// In which form a plan is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Text,
    Json,
    Xml,
    Yaml,
}

/// What is shown.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub analyze: bool,
    pub verbose: bool,
    pub costs: bool,
    pub buffers: bool,
    pub settings: bool,
    pub wal: bool,
    pub timing: bool,
    pub summary: bool,
    pub format: Format,
}

impl Options {
    /// The options that were given, over the defaults.
    ///
    /// # Errors
    /// 42601 for an unknown option, 22023 for an unknown value, and for what makes sense only with ANALYZE.
    pub fn of(given: &[GivenOption]) -> Result<Options> {
        let mut options = Options { costs: true, ..Options::default() };
        let (mut timing, mut summary) = (None, None);
        for option in given {
            let on = || truth(option);
            match option.name.as_str() {
                "analyze" => options.analyze = on()?,
                "verbose" => options.verbose = on()?,
                "costs" => options.costs = on()?,
                "buffers" => options.buffers = on()?,
                "settings" => options.settings = on()?,
                "wal" => options.wal = on()?,
                "timing" => timing = Some(on()?),
                "summary" => summary = Some(on()?),
                "format" => options.format = format(option)?,
                other => {
                    let message = format!("unrecognized EXPLAIN option \"{other}\"");
                    return Err(SqlError::syntax(message).at(option.position));
                }
            }
        }
        if options.wal && !options.analyze {
            return Err(SqlError::invalid_parameter("EXPLAIN option WAL requires ANALYZE"));
        }
        if timing == Some(true) && !options.analyze {
            return Err(SqlError::invalid_parameter("EXPLAIN option TIMING requires ANALYZE"));
        }
        options.timing = timing.unwrap_or(options.analyze);
        options.summary = summary.unwrap_or(options.analyze);
        Ok(options)
    }
}

fn truth(option: &GivenOption) -> Result<bool> {
    match option.value.as_deref() {
        None | Some("true" | "on" | "1") => Ok(true),
        Some("false" | "off" | "0") => Ok(false),
        Some(_) => Err(SqlError::syntax(format!("{} requires a Boolean value", option.name))),
    }
}

fn format(option: &GivenOption) -> Result<Format> {
    match option.value.as_deref() {
        Some("text") => Ok(Format::Text),
        Some("json") => Ok(Format::Json),
        Some("xml") => Ok(Format::Xml),
        Some("yaml") => Ok(Format::Yaml),
        Some(other) => {
            let message = format!("unrecognized value for EXPLAIN option \"{}\": \"{other}\"", option.name);
            Err(SqlError::invalid_parameter(message).at(option.position))
        }
        None => Err(SqlError::syntax("format requires a parameter")),
    }
}
