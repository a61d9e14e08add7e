//! The settings that exist: those of PostgreSQL, with what `pg_settings` says of them, and our own under `heliosdb.`.
//!
//! `settings.txt` has one to a line, its fields apart by tabs: name, context, type, unit, least and greatest value, words, built-in
//! value, value here (`=`: that), flags, category, description, more description. Flags: `S` only who may read all settings sees it,
//! `H` it is in no list, and those of [`FLAGS`]. Which of them change nothing here, COMPATIBILITY.md says.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::setting_value::{Unit, shown_integer, shown_real};

/// Who may change a setting, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingContext {
    /// Nobody.
    Internal,
    /// Whoever starts the server.
    Postmaster,
    /// Whoever has the server read its configuration again.
    Reload,
    /// A superuser's client, as it connects.
    SuperuserBackend,
    /// Any client, as it connects.
    Backend,
    /// A superuser.
    Superuser,
    User,
}

/// What values a setting takes.
#[derive(Clone, Debug, PartialEq)]
pub enum SettingKind {
    Bool,
    Integer { min: i64, max: i64, unit: Option<Unit> },
    Real { min: f64, max: f64, unit: Option<Unit> },
    Text,
    Enum(Vec<&'static str>),
}

/// A setting that exists.
#[derive(Clone, Debug)]
pub struct Setting {
    pub name: &'static str,
    /// As SHOW shows it.
    pub default: String,
    /// PostgreSQL's own default, in the unit of the setting; it may have none.
    pub boot_value: Option<&'static str>,
    pub kind: SettingKind,
    pub context: SettingContext,
    /// The least and the greatest value, as they are written.
    pub bounds: [&'static str; 2],
    /// Only who may read all settings sees it.
    pub is_private: bool,
    /// It is in no list.
    pub is_hidden: bool,
    /// What `pg_settings_get_flags` says of it.
    pub flags: Vec<&'static str>,
    pub category: &'static str,
    pub description: &'static str,
    pub more: &'static str,
}

impl SettingContext {
    fn named(name: &str) -> SettingContext {
        match name {
            "postmaster" => SettingContext::Postmaster,
            "sighup" => SettingContext::Reload,
            "superuser-backend" => SettingContext::SuperuserBackend,
            "backend" => SettingContext::Backend,
            "superuser" => SettingContext::Superuser,
            "user" => SettingContext::User,
            _ => SettingContext::Internal,
        }
    }

    /// As `pg_settings` writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            SettingContext::Internal => "internal",
            SettingContext::Postmaster => "postmaster",
            SettingContext::Reload => "sighup",
            SettingContext::SuperuserBackend => "superuser-backend",
            SettingContext::Backend => "backend",
            SettingContext::Superuser => "superuser",
            SettingContext::User => "user",
        }
    }
}

/// PostgreSQL's flags, in the order in which they are told, and their letters in the file.
const FLAGS: [(char, &str); 4] =
    [('E', "EXPLAIN"), ('A', "NO_RESET_ALL"), ('N', "NOT_IN_SAMPLE"), ('R', "RUNTIME_COMPUTED")];

impl Setting {
    /// The setting of a line; `None` where it lacks fields.
    fn of_line(line: &'static str) -> Option<Setting> {
        let fields: Vec<&'static str> = line.split('\t').collect();
        let [name, context, kind, unit, min, max, words, boot, value, flags, category, description, more] =
            fields[..]
        else {
            return None;
        };
        let unit = Unit::named(unit);
        let kind = match kind {
            "bool" => SettingKind::Bool,
            "integer" => SettingKind::Integer { min: min.parse().ok()?, max: max.parse().ok()?, unit },
            // The greatest float is written as if it were more.
            "real" => SettingKind::Real {
                min: min.parse().ok()?,
                max: max.parse::<f64>().ok()?.min(f64::MAX),
                unit,
            },
            "enum" => SettingKind::Enum(words.split(',').collect()),
            _ => SettingKind::Text,
        };
        let boot_value = Some(boot).filter(|boot| *boot != "\\N");
        let built_in = || match kind {
            SettingKind::Integer { unit, .. } => shown_integer(boot.parse().unwrap_or(0), unit),
            SettingKind::Real { unit, .. } => shown_real(boot.parse().unwrap_or(0.0), unit),
            _ => boot_value.unwrap_or_default().to_owned(),
        };
        Some(Setting {
            name,
            default: if value == "=" { built_in() } else { value.to_owned() },
            boot_value,
            context: SettingContext::named(context),
            bounds: [min, max],
            is_private: flags.contains('S'),
            is_hidden: flags.contains('H'),
            flags: FLAGS
                .iter()
                .filter(|(letter, _)| flags.contains(*letter))
                .map(|(_, name)| *name)
                .collect(),
            category,
            description,
            more,
            kind,
        })
    }

    /// The name of its type.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self.kind {
            SettingKind::Bool => "bool",
            SettingKind::Integer { .. } => "integer",
            SettingKind::Real { .. } => "real",
            SettingKind::Text => "string",
            SettingKind::Enum(_) => "enum",
        }
    }

    /// The unit of its numbers.
    #[must_use]
    pub fn unit(&self) -> Option<Unit> {
        match self.kind {
            SettingKind::Integer { unit, .. } | SettingKind::Real { unit, .. } => unit,
            _ => None,
        }
    }
}

static BY_NAME: LazyLock<BTreeMap<String, Setting>> = LazyLock::new(|| {
    let settings = include_str!("settings.txt").lines().filter_map(Setting::of_line);
    settings.map(|setting| (setting.name.to_lowercase(), setting)).collect()
});

/// All settings, by name.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    BY_NAME.values()
}

/// The setting of a name, in any case.
#[must_use]
pub fn find(name: &str) -> Option<&'static Setting> {
    match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => BY_NAME.get(&name.to_lowercase()),
        false => BY_NAME.get(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every line is one, and its own default is one of its values.
    #[test]
    fn every_line_is_a_setting() {
        assert_eq!(all().count(), include_str!("settings.txt").lines().count());
        for setting in all() {
            let checked = crate::session::settings::checked(setting, &setting.default);
            let is_octal =
                setting.default.starts_with('0') && setting.default.len() > 1 && setting.unit().is_none();
            match checked {
                Ok(value) => assert!(value == setting.default || is_octal, "{}: {value}", setting.name),
                Err(error) => panic!("{}: {}", setting.name, error.message()),
            }
        }
    }
}
