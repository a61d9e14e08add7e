//! The session's settings: PostgreSQL's common ones, and our own under `heliosdb.`.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::custom_settings::{check_name, is_custom};
use super::known_settings::{Setting, SettingContext, SettingKind, all, find};
use super::setting_value::{self, NoNumber, general, shown_integer, shown_real};
use crate::encoding::Encoding;
use crate::error::{Result, SqlError, SqlState};
use crate::functions::{DateFormat, DateStyle, IntervalStyle, Settings};

/// What the running transaction is; each begins as the setting `default_…` says.
const TRANSACTION_MODES: [&str; 3] =
    ["transaction_deferrable", "transaction_isolation", "transaction_read_only"];

/// Where values come from that a client sets as it connects.
pub(super) const CLIENT: &str = "client";

/// The values in force: what was set, over the defaults.
#[derive(Clone, Debug, Default)]
pub struct SettingValues {
    /// By lower-case name.
    pub(super) values: BTreeMap<String, String>,
    /// What RESET goes back to, where it is not the built-in default.
    initial: BTreeMap<String, String>,
    /// Where the values of the start come from.
    origins: BTreeMap<String, &'static str>,
    /// Where values come from that are set now; empty once the session has begun.
    origin: &'static str,
    /// The roles that `session_authorization` and `role` name.
    pub roles: SessionRoles,
}

/// Which roles a session is, by their OIDs; 0: the setting says nothing, or nobody looked yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionRoles {
    pub initial: u32,
    pub session: u32,
    pub current: u32,
}

impl SessionRoles {
    /// The role that the session is.
    #[must_use]
    pub fn session_user(self) -> u32 {
        if self.session == 0 { self.initial } else { self.session }
    }

    /// The role that statements run as.
    #[must_use]
    pub fn current_user(self) -> u32 {
        if self.current == 0 { self.session_user() } else { self.current }
    }
}

impl SettingValues {
    /// The value of a setting.
    ///
    /// # Errors
    /// 42704 for an unknown one.
    pub fn get(&self, name: &str) -> Result<String> {
        let name = name.to_lowercase();
        if let Some(value) = self.values.get(&name).or_else(|| self.initial.get(&name)) {
            return Ok(value.clone());
        }
        if TRANSACTION_MODES.contains(&name.as_str()) {
            return self.get(&format!("default_{name}"));
        }
        match find(&name) {
            Some(setting) => Ok(setting.default.clone()),
            None => Err(unknown(&name)),
        }
    }

    /// The value of a setting that is a duration; none where it is 0, which switches it off.
    #[must_use]
    pub fn duration(&self, name: &str) -> Option<Duration> {
        let value = self.get(name).ok()?;
        let digits = value.find(|character: char| !character.is_ascii_digit()).unwrap_or(value.len());
        let (number, unit) = value.split_at(digits);
        let factor = match unit {
            "" | "ms" => 1,
            "s" => 1_000,
            "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        let milliseconds = number.parse::<u64>().ok()?.checked_mul(factor)?;
        Some(Duration::from_millis(milliseconds)).filter(|duration| !duration.is_zero())
    }

    /// The value of a setting that is a size.
    #[must_use]
    pub fn kilobytes(&self, name: &str) -> Option<i64> {
        let value = self.get(name).ok()?;
        let digits = value.find(|character: char| character.is_ascii_alphabetic()).unwrap_or(value.len());
        let (number, unit) = value.split_at(digits);
        let factor = match unit {
            "" | "kB" => 1,
            "MB" => 1 << 10,
            "GB" => 1 << 20,
            "TB" => 1 << 30,
            _ => return None,
        };
        number.parse::<i64>().ok()?.checked_mul(factor)
    }

    /// Whether a boolean setting is on.
    #[must_use]
    pub fn is_on(&self, name: &str) -> bool {
        self.get(name).is_ok_and(|value| value == "on")
    }

    /// Checks a value and sets it.
    ///
    /// # Errors
    /// 42704, 22023, 55P02.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let name = name.to_lowercase();
        let Some(setting) = find(&name) else {
            // A name with a dot may be anybody's.
            if is_custom(&name) {
                check_name(&name)?;
                self.values.insert(name, value.to_string());
                return Ok(());
            }
            return Err(unknown(&name));
        };
        self.check_context(setting)?;
        let value = match setting.name {
            "DateStyle" => date_style(setting, value, &self.get("datestyle")?)?,
            _ => checked(setting, value)?,
        };
        if !self.origin.is_empty() {
            self.origins.insert(name.clone(), self.origin);
        }
        self.values.insert(name, value);
        Ok(())
    }

    /// 55P02 for what cannot be changed now, 42501 for who may not.
    fn check_context(&self, setting: &Setting) -> Result<()> {
        let fixed = |why: &str| {
            let message = format!("parameter \"{}\" cannot be {why}", setting.name);
            Err(SqlError::new(SqlState::CANT_CHANGE_RUNTIME_PARAM, message))
        };
        // What is stored for sessions was tested when it was stored.
        let is_stored = !self.origin.is_empty() && self.origin != CLIENT;
        let is_superuser = || is_stored || self.is_on("is_superuser");
        match setting.context {
            SettingContext::Internal => return fixed("changed"),
            SettingContext::Postmaster => return fixed("changed without restarting the server"),
            SettingContext::Reload => return fixed("changed now"),
            SettingContext::SuperuserBackend if self.origin == CLIENT && is_superuser() => {}
            SettingContext::Superuser if is_superuser() => {}
            SettingContext::Backend if self.origin == CLIENT => {}
            SettingContext::Backend => return fixed("set after connection start"),
            SettingContext::SuperuserBackend if self.origin != CLIENT => {
                return fixed("set after connection start");
            }
            SettingContext::Superuser | SettingContext::SuperuserBackend => {
                let message = format!("permission denied to set parameter \"{}\"", setting.name);
                return Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
            }
            SettingContext::User => {}
        }
        Ok(())
    }

    /// Tests whether a setting may be changed.
    ///
    /// # Errors
    /// 42704, 55P02.
    pub fn check_changeable(&self, name: &str) -> Result<()> {
        self.check_context(find(name).ok_or_else(|| unknown(name))?)
    }

    /// Has what is set from now on come from somewhere, as `pg_settings` says it, until the session has begun.
    pub fn set_origin(&mut self, origin: &'static str) {
        self.origin = origin;
    }

    /// Where a setting's value comes from.
    #[must_use]
    pub fn source(&self, name: &str) -> &'static str {
        let name = name.to_lowercase();
        match self.values.contains_key(&name) {
            true => "session",
            false => self.origins.get(&name).copied().unwrap_or("default"),
        }
    }

    /// What RESET goes back to.
    #[must_use]
    pub fn reset_value<'a>(&'a self, setting: &'a Setting) -> &'a str {
        self.initial.get(&setting.name.to_lowercase()).map_or(setting.default.as_str(), String::as_str)
    }

    /// Sets what a session begins with, fixed settings included.
    pub fn set_initial(&mut self, name: &str, value: &str) {
        self.initial.insert(name.to_lowercase(), value.to_string());
    }

    /// Sets what the server was started with; a value that is none of the setting's is passed over.
    pub fn set_configured(&mut self, name: &str, value: &str) {
        if let Some(Ok(value)) = find(name).map(|setting| checked(setting, value)) {
            self.set_initial(name, &value);
            self.origins.insert(name.to_lowercase(), "configuration file");
        }
    }

    /// What is set now is what RESET goes back to, but for who the session is.
    pub fn keep_as_initial(&mut self) {
        let is_kept = |name: &str| !matches!(name, "role" | "session_authorization" | "is_superuser");
        self.origin = "";
        self.initial.extend(self.values.extract_if(.., |name, _| is_kept(name)));
    }

    /// Goes back to the default.
    ///
    /// # Errors
    /// 42704.
    pub fn reset(&mut self, name: &str) -> Result<()> {
        let name = name.to_lowercase();
        match find(&name) {
            Some(setting) => self.check_context(setting)?,
            None if !self.values.contains_key(&name) => return Err(unknown(&name)),
            None => {}
        }
        match is_custom(&name) && !self.initial.contains_key(&name) {
            true => self.values.insert(name, String::new()),
            false => self.values.remove(&name),
        };
        Ok(())
    }

    /// Sets one that SET refuses.
    pub fn set_fixed(&mut self, name: &str, value: &str) {
        self.values.insert(name.to_lowercase(), value.to_string());
    }

    /// Goes back to all defaults, but for who the session is.
    pub fn reset_all(&mut self) {
        let initial = &self.initial;
        self.values.retain(|name, value| {
            if is_custom(name) && !initial.contains_key(name) {
                value.clear();
                return true;
            }
            TRANSACTION_MODES.contains(&name.as_str())
                || matches!(name.as_str(), "role" | "session_authorization" | "is_superuser")
        });
    }

    /// Restores one setting from earlier values.
    pub fn restore(&mut self, name: &str, earlier: &SettingValues) {
        match earlier.values.get(name) {
            Some(value) => self.values.insert(name.to_string(), value.clone()),
            None if is_custom(name) && !self.initial.contains_key(name) => {
                self.values.insert(name.to_string(), String::new())
            }
            None => self.values.remove(name),
        };
        match name {
            "role" => self.roles.current = earlier.roles.current,
            "session_authorization" => self.roles.session = earlier.roles.session,
            _ => {}
        }
    }

    /// All settings with their values.
    #[must_use]
    pub fn all(&self) -> Vec<(&'static Setting, String)> {
        let listed = all().filter(|setting| !setting.is_hidden);
        listed.map(|setting| (setting, self.get(setting.name).unwrap_or_default())).collect()
    }

    /// A setting's value as `pg_settings` gives it: numbers in the setting's unit.
    #[must_use]
    pub fn in_unit(setting: &Setting, value: &str) -> String {
        let number = || setting_value::parse(value, setting.unit()).ok();
        let text = match setting.kind {
            SettingKind::Integer { .. } if !is_octal(setting) => number().map(general_integer),
            SettingKind::Real { .. } => number().map(general),
            _ => None,
        };
        text.unwrap_or_else(|| value.to_owned())
    }

    /// The schemas of `search_path`, as written.
    #[must_use]
    pub fn search_path(&self) -> Vec<String> {
        split_list(&self.get("search_path").unwrap_or_default())
    }

    /// The part that values are read and printed with.
    ///
    /// # Errors
    /// 22023 for a value that does not fit.
    pub fn formats(&self) -> Result<Settings> {
        let style = self.get("datestyle")?.to_uppercase();
        let date_style = if style.contains("DMY") {
            DateStyle::DayMonthYear
        } else if style.contains("YMD") {
            DateStyle::YearMonthDay
        } else {
            DateStyle::MonthDayYear
        };
        let date_format = match style.split(',').next().unwrap_or_default() {
            "POSTGRES" => DateFormat::Postgres,
            "SQL" => DateFormat::Sql,
            "GERMAN" => DateFormat::German,
            _ => DateFormat::Iso,
        };
        let interval_style = match self.get("intervalstyle")?.as_str() {
            "postgres_verbose" => IntervalStyle::PostgresVerbose,
            "sql_standard" => IntervalStyle::SqlStandard,
            "iso_8601" => IntervalStyle::Iso8601,
            _ => IntervalStyle::Postgres,
        };
        Ok(Settings {
            date_format,
            date_style,
            interval_style,
            time_zone: time_zone(&self.get("timezone")?)?,
            extra_float_digits: self.get("extra_float_digits")?.parse().unwrap_or(1),
            bytea_escape: self.get("bytea_output")? == "escape",
            client_encoding: Encoding::named(&self.get("client_encoding")?).unwrap_or_default(),
        })
    }
}

/// The items of a comma-separated list of identifiers.
#[must_use]
pub fn split_list(text: &str) -> Vec<String> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    items
        .map(|item| match item.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(quoted) => quoted.replace("\"\"", "\""),
            None => item.to_lowercase(),
        })
        .filter(|item| !item.is_empty())
        .collect()
}

fn unknown(name: &str) -> SqlError {
    SqlError::new(SqlState::UNDEFINED_OBJECT, format!("unrecognized configuration parameter \"{name}\""))
}

fn invalid(setting: &Setting, value: &str) -> SqlError {
    SqlError::invalid_parameter(format!("invalid value for parameter \"{}\": \"{value}\"", setting.name))
}

pub(super) fn checked(setting: &Setting, value: &str) -> Result<String> {
    match &setting.kind {
        SettingKind::Bool => {
            let lower = value.to_lowercase();
            let is = |word: &str, least: usize| lower.len() >= least && word.starts_with(&lower);
            if is("true", 1) || is("on", 2) || is("yes", 1) || lower == "1" {
                Ok("on".into())
            } else if is("false", 1) || is("off", 2) || is("no", 1) || lower == "0" {
                Ok("off".into())
            } else {
                Err(SqlError::invalid_parameter(format!(
                    "parameter \"{}\" requires a Boolean value",
                    setting.name
                )))
            }
        }
        SettingKind::Integer { .. } | SettingKind::Real { .. } => number(setting, value),
        SettingKind::Enum(allowed) => {
            let lower = value.to_lowercase();
            // Where a setting may be on or off, the other words for that are taken too.
            let wanted = match lower.as_str() {
                "true" | "yes" | "1" if allowed.contains(&"on") => "on",
                "false" | "no" | "0" if allowed.contains(&"off") => "off",
                other => other,
            };
            match allowed.iter().find(|word| word.eq_ignore_ascii_case(wanted)) {
                Some(word) => Ok((*word).to_string()),
                None => {
                    Err(invalid(setting, value)
                        .with_hint(format!("Available values: {}.", allowed.join(", "))))
                }
            }
        }
        SettingKind::Text => match setting.name {
            "client_encoding" => client_encoding(setting, value),
            super::past::AS_OF => super::past::checked(value),
            "TimeZone" => {
                let zone = time_zone(value)?;
                if let Some(east) = offset_in_hours(value).or_else(|| offset_of_interval(value)) {
                    return Ok(shown_offset(east));
                }
                // A name is shown as the zone database has it, rules in great letters.
                Ok(match zone.iana_name() {
                    Some(name) if name.eq_ignore_ascii_case(value) => name.to_string(),
                    None if zone_rules(value) => value.to_ascii_uppercase(),
                    _ => value.to_string(),
                })
            }
            _ => Ok(value.to_string()),
        },
    }
}

/// The encoding of a name, in which only letters and digits count: some drivers send it with quotes.
fn client_encoding(setting: &Setting, value: &str) -> Result<String> {
    let encoding = Encoding::named(value).ok_or_else(|| invalid(setting, value))?;
    if encoding.is_known() {
        return Ok(encoding.name().to_owned());
    }
    let message = invalid(setting, value).message().to_owned();
    let detail = format!("Conversion between {} and UTF8 is not supported.", encoding.name());
    Err(SqlError::unsupported(message).with_detail(detail))
}

/// A format and an order of fields; what is not said stays as it is.
fn date_style(setting: &Setting, value: &str, current: &str) -> Result<String> {
    let conflicting = || invalid(setting, value).with_detail("Conflicting \"datestyle\" specifications.");
    let (mut format, mut order): (Option<&str>, Option<&str>) = (None, None);
    for part in value.split(',').map(|part| part.trim().to_uppercase()) {
        let (new_format, new_order) = match part.as_str() {
            "ISO" => (Some("ISO"), None),
            "SQL" => (Some("SQL"), None),
            "GERMAN" => (Some("German"), None),
            "MDY" | "US" => (None, Some("MDY")),
            "DMY" => (None, Some("DMY")),
            "YMD" => (None, Some("YMD")),
            "DEFAULT" => (Some("ISO"), Some("MDY")),
            part if part.starts_with("POSTGRES") => (Some("Postgres"), None),
            part if part.starts_with("EURO") => (None, Some("DMY")),
            part if part.starts_with("NONEURO") => (None, Some("MDY")),
            _ => {
                let detail = format!("Unrecognized key word: \"{}\".", part.to_lowercase());
                return Err(invalid(setting, value).with_detail(detail));
            }
        };
        let clash = |known: Option<&str>, new: Option<&str>| known.is_some() && new.is_some() && known != new;
        if clash(format, new_format) || clash(order, new_order) {
            return Err(conflicting());
        }
        format = new_format.or(format);
        order = new_order.or(order);
    }
    let (known_format, known_order) = current.split_once(", ").unwrap_or(("ISO", "MDY"));
    let order = match (order, format) {
        (Some(order), _) => order,
        // The German way to write dates has one order.
        (None, Some("German")) => "DMY",
        (None, _) => known_order,
    };
    Ok(format!("{}, {order}", format.unwrap_or(known_format)))
}

/// A number within the bounds of its setting, as it is shown.
fn number(setting: &Setting, value: &str) -> Result<String> {
    let unit = setting.unit();
    let number = setting_value::parse(value, unit).map_err(|error| match (error, unit) {
        (NoNumber::Unit, Some(unit)) => invalid(setting, value).with_hint(unit.hint()),
        _ => invalid(setting, value),
    })?;
    let (is_within, shown) = match setting.kind {
        SettingKind::Integer { min, max, .. } => {
            let whole = number.round_ties_even();
            if whole.abs() > f64::from(i32::MAX) + 1.0 || whole > f64::from(i32::MAX) {
                return Err(invalid(setting, value).with_hint("Value exceeds integer range."));
            }
            let whole = whole as i64;
            if is_octal(setting) {
                return Ok(format!("0{whole:o}"));
            }
            ((min..=max).contains(&whole), whole.to_string())
        }
        SettingKind::Real { min, max, .. } => ((min..=max).contains(&number), general(number)),
        _ => (true, value.to_owned()),
    };
    if !is_within {
        let unit = unit.map_or(String::new(), |unit| format!(" {}", unit.name()));
        let [min, max] = setting.bounds;
        return Err(SqlError::invalid_parameter(format!(
            "{shown}{unit} is outside the valid range for parameter \"{}\" ({min} .. {max})",
            setting.name,
        )));
    }
    Ok(match setting.kind {
        SettingKind::Integer { .. } => shown_integer(number.round_ties_even() as i64, unit),
        _ => shown_real(number, unit),
    })
}

fn general_integer(number: f64) -> String {
    (number.round() as i64).to_string()
}

/// Whether a setting is shown as permissions of a file are.
fn is_octal(setting: &Setting) -> bool {
    matches!(setting.name, "data_directory_mode" | "log_file_mode" | "unix_socket_permissions")
}

/// Whether a zone is given by POSIX rules, not by an offset.
fn zone_rules(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '<')
}

/// The time zone of a name, an offset in hours, or an interval.
///
/// # Errors
/// 22023.
pub fn time_zone(name: &str) -> Result<TimeZone> {
    let text = name.trim();
    if text.eq_ignore_ascii_case("utc")
        || text.eq_ignore_ascii_case("gmt")
        || text.eq_ignore_ascii_case("zulu")
    {
        return Ok(TimeZone::UTC);
    }
    let invalid =
        || SqlError::invalid_parameter(format!("invalid value for parameter \"TimeZone\": \"{name}\""));
    match offset_in_hours(text).or_else(|| offset_of_interval(text)) {
        Some(seconds) => jiff::tz::Offset::from_seconds(seconds).map(TimeZone::fixed).map_err(|_| invalid()),
        // Also `+02:00`: the POSIX rules of a zone without a name, west.
        None => crate::types::datetime::zone::named(text).ok_or_else(invalid),
    }
}

/// Seconds east of a number of hours.
fn offset_in_hours(text: &str) -> Option<i32> {
    let hours = text.parse::<f64>().ok().filter(|hours| hours.is_finite())?;
    Some((hours * 3_600.0) as i32)
}

/// Seconds east of `INTERVAL '[+-]HH:MM[:SS]'`.
fn offset_of_interval(text: &str) -> Option<i32> {
    let (word, rest) = text.split_at_checked(8)?;
    let quoted = rest.trim().strip_prefix('\'')?.strip_suffix('\'')?.trim();
    let sign = if quoted.starts_with(['+', '-']) { "" } else { "+" };
    let offset = crate::types::datetime::zone::parse_offset(&format!("{sign}{quoted}"))?;
    offset.ok().filter(|_| word.eq_ignore_ascii_case("interval"))
}

/// A fixed offset as PostgreSQL shows it: a name, and POSIX's offset, which counts west.
fn shown_offset(seconds: i32) -> String {
    let size = seconds.unsigned_abs();
    let mut digits = format!("{:02}", size / 3_600);
    if !size.is_multiple_of(3_600) {
        digits += &format!(":{:02}", size / 60 % 60);
    }
    if !size.is_multiple_of(60) {
        digits += &format!(":{:02}", size % 60);
    }
    let (east, west) = if seconds < 0 { ('-', '+') } else { ('+', '-') };
    format!("<{east}{digits}>{west}{digits}")
}
