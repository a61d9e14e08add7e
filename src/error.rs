//! The error of every public call.

use std::fmt;

use helios_sql::error::SqlError;

/// The result of every public call.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong: PostgreSQL's SQLSTATE and message, and more where there is more to say.
#[derive(Clone, Debug)]
pub struct Error(SqlError);

impl Error {
    /// The same error, naming the folder that could not be opened.
    pub(crate) fn in_folder(self, folder: &std::path::Path) -> Error {
        let mut named = SqlError::new(
            self.0.fields().state,
            format!("the database in {} cannot be opened: {}", folder.display(), self.message()),
        );
        if let Some(hint) = self.hint() {
            named = named.with_hint(hint.to_string());
        }
        Error(named)
    }

    /// The five characters that say what kind of error it is.
    #[must_use]
    pub fn sqlstate(&self) -> &str {
        std::str::from_utf8(&self.0.fields().state.0).unwrap_or("XX000")
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &str {
        self.0.message()
    }

    /// More about it.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.0.fields().detail.as_deref()
    }

    /// What may help.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.fields().hint.as_deref()
    }

    /// Where in the statement, in characters from 1.
    #[must_use]
    pub fn position(&self) -> Option<u32> {
        self.0.fields().position
    }

    /// Where it happened: the line of a COPY.
    #[must_use]
    pub fn context(&self) -> Option<&str> {
        self.0.fields().context.as_deref()
    }

    /// The schema of the object concerned.
    #[must_use]
    pub fn schema(&self) -> Option<&str> {
        self.0.fields().schema.as_deref()
    }

    /// The table concerned.
    #[must_use]
    pub fn table(&self) -> Option<&str> {
        self.0.fields().table.as_deref()
    }

    /// The column concerned.
    #[must_use]
    pub fn column(&self) -> Option<&str> {
        self.0.fields().column.as_deref()
    }

    /// The constraint that was violated.
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        self.0.fields().constraint.as_deref()
    }

    pub(crate) fn config(message: impl Into<String>) -> Error {
        Error(SqlError::invalid_parameter(message))
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Error {
        Error(SqlError::unsupported(message))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0.message())?;
        if let Some(detail) = self.detail() {
            write!(formatter, "\nDETAIL: {detail}")?;
        }
        if let Some(hint) = self.hint() {
            write!(formatter, "\nHINT: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<SqlError> for Error {
    fn from(error: SqlError) -> Error {
        Error(error)
    }
}
