//! Settings that nobody declared: a name with a dot may be anybody's. One that was set once stays known to the session,
//! and is empty where nothing else is left of it: after RESET, and after the end of the transaction that had it.

use super::known_settings::find;
use super::settings::SettingValues;
use crate::error::{Result, SqlError, SqlState};

/// Whether a name, in small letters, is that of a setting of somebody's own.
pub(super) fn is_custom(name: &str) -> bool {
    name.contains('.') && !name.starts_with("heliosdb.") && find(name).is_none()
}

/// Tests the name of a setting of somebody's own.
///
/// # Errors
/// 42602.
pub fn check_name(name: &str) -> Result<()> {
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
    let goes_on = |c: char| begins(c) || c.is_ascii_digit() || c == '$';
    let is_simple = |part: &str| part.starts_with(begins) && part.chars().all(goes_on);
    if name.split('.').all(is_simple) {
        return Ok(());
    }
    Err(SqlError::new(SqlState::INVALID_NAME, format!("invalid configuration parameter name \"{name}\""))
        .with_detail("Custom parameter names must be two or more simple identifiers separated by dots."))
}

impl SettingValues {
    /// These values with the own settings that are known later.
    #[must_use]
    pub(super) fn with_known_custom(&self, later: &SettingValues) -> SettingValues {
        let mut values = self.clone();
        let custom = later.values.keys().filter(|name| is_custom(name));
        for name in custom {
            values.values.entry(name.clone()).or_default();
        }
        values
    }
}
