//! The session's settings: PostgreSQL's common ones, and our own under `heliosdb.`.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::accepted_settings::ACCEPTED;
use super::custom_settings::{check_name, is_custom};
use crate::encoding::Encoding;
use crate::error::{Result, SqlError, SqlState};
use crate::functions::{DateFormat, DateStyle, IntervalStyle, Settings};

/// What the running transaction is; each begins as the setting `default_…` says.
const TRANSACTION_MODES: [&str; 3] =
    ["transaction_deferrable", "transaction_isolation", "transaction_read_only"];

/// What values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SettingKind {
    Bool,
    /// A number with the unit that it is shown in: nothing, `ms`, `kB`.
    Integer {
        min: i64,
        max: i64,
        unit: &'static str,
    },
    Real {
        min: f64,
        max: f64,
    },
    Text,
    Enum(&'static [&'static str]),
}

/// A setting that exists.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub name: &'static str,
    pub default: &'static str,
    pub kind: SettingKind,
    /// Set once for all when the server starts, or never.
    pub fixed: bool,
    pub description: &'static str,
}

pub(super) const fn setting(
    name: &'static str,
    default: &'static str,
    kind: SettingKind,
    description: &'static str,
) -> Setting {
    Setting { name, default, kind, fixed: false, description }
}

const fn fixed(
    name: &'static str,
    default: &'static str,
    kind: SettingKind,
    description: &'static str,
) -> Setting {
    Setting { name, default, kind, fixed: true, description }
}

const LEVELS: &[&str] = &["serializable", "repeatable read", "read committed", "read uncommitted"];
const MESSAGES: &[&str] =
    &["debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"];
const MILLISECONDS: SettingKind = SettingKind::Integer { min: 0, max: 2_147_483_647, unit: "ms" };
const KILOBYTES: SettingKind = SettingKind::Integer { min: 64, max: 2_147_483_647, unit: "kB" };
const WORKERS: SettingKind = SettingKind::Integer { min: 0, max: 1024, unit: "" };
/// Pages of 8 kB.
const PAGES: SettingKind = SettingKind::Integer { min: 0, max: 715_827_882, unit: "8kB" };
const COST: SettingKind = SettingKind::Real { min: 0.0, max: f64::MAX };
const COUNT: SettingKind = SettingKind::Integer { min: 0, max: 2_147_483_647, unit: "" };

/// The settings that mean something, by name.
pub static SETTINGS: &[Setting] = &[
    setting(
        "application_name",
        "",
        SettingKind::Text,
        "Sets the application name to be reported in statistics and logs.",
    ),
    fixed("autovacuum", "on", SettingKind::Bool, "Starts the autovacuum subprocess."),
    setting(
        "backslash_quote",
        "safe_encoding",
        SettingKind::Enum(&["safe_encoding", "on", "off"]),
        "Sets whether \"\\'\" is allowed in string literals.",
    ),
    fixed("block_size", "8192", COUNT, "Shows the size of a disk block."),
    setting(
        "bytea_output",
        "hex",
        SettingKind::Enum(&["escape", "hex"]),
        "Sets the output format for bytea.",
    ),
    setting(
        "check_function_bodies",
        "on",
        SettingKind::Bool,
        "Check routine bodies during CREATE FUNCTION and CREATE PROCEDURE.",
    ),
    setting("client_encoding", "UTF8", SettingKind::Text, "Sets the client's character set encoding."),
    setting(
        "client_min_messages",
        "notice",
        SettingKind::Enum(MESSAGES),
        "Sets the message levels that are sent to the client.",
    ),
    setting(
        "constraint_exclusion",
        "partition",
        SettingKind::Enum(&["partition", "on", "off"]),
        "Enables the planner to use constraints to optimize queries.",
    ),
    setting(
        "cpu_index_tuple_cost",
        "0.005",
        COST,
        "Sets the planner's estimate of the cost of processing each index entry during an index scan.",
    ),
    setting(
        "cpu_operator_cost",
        "0.0025",
        COST,
        "Sets the planner's estimate of the cost of processing each operator or function call.",
    ),
    setting(
        "cpu_tuple_cost",
        "0.01",
        COST,
        "Sets the planner's estimate of the cost of processing each tuple (row).",
    ),
    setting(
        "cursor_tuple_fraction",
        "0.1",
        SettingKind::Real { min: 0.0, max: 1.0 },
        "Sets the planner's estimate of the fraction of a cursor's rows that will be retrieved.",
    ),
    setting("DateStyle", "ISO, MDY", SettingKind::Text, "Sets the display format for date and time values."),
    setting(
        "deadlock_timeout",
        "1s",
        MILLISECONDS,
        "Sets the time to wait on a lock before checking for deadlock.",
    ),
    setting("default_statistics_target", "100", COUNT, "Sets the default statistics target."),
    setting(
        "default_table_access_method",
        "heap",
        SettingKind::Text,
        "Sets the default table access method for new tables.",
    ),
    setting(
        "default_tablespace",
        "",
        SettingKind::Text,
        "Sets the default tablespace to create tables and indexes in.",
    ),
    setting(
        "default_toast_compression",
        "pglz",
        SettingKind::Enum(&["pglz", "lz4"]),
        "Sets the default compression method for compressible values.",
    ),
    setting(
        "default_transaction_deferrable",
        "off",
        SettingKind::Bool,
        "Sets the default deferrable status of new transactions.",
    ),
    setting(
        "default_transaction_isolation",
        "repeatable read",
        SettingKind::Enum(LEVELS),
        "Sets the transaction isolation level of each new transaction.",
    ),
    setting(
        "default_transaction_read_only",
        "off",
        SettingKind::Bool,
        "Sets the default read-only status of new transactions.",
    ),
    setting(
        "effective_cache_size",
        "4GB",
        KILOBYTES,
        "Sets the planner's assumption about the total size of the data caches.",
    ),
    setting("enable_bitmapscan", "on", SettingKind::Bool, "Enables the planner's use of bitmap-scan plans."),
    setting(
        "enable_hashagg",
        "on",
        SettingKind::Bool,
        "Enables the planner's use of hashed aggregation plans.",
    ),
    setting("enable_hashjoin", "on", SettingKind::Bool, "Enables the planner's use of hash join plans."),
    setting(
        "enable_indexonlyscan",
        "on",
        SettingKind::Bool,
        "Enables the planner's use of index-only-scan plans.",
    ),
    setting("enable_indexscan", "on", SettingKind::Bool, "Enables the planner's use of index-scan plans."),
    setting("enable_material", "on", SettingKind::Bool, "Enables the planner's use of materialization."),
    setting("enable_mergejoin", "on", SettingKind::Bool, "Enables the planner's use of merge join plans."),
    setting(
        "enable_nestloop",
        "on",
        SettingKind::Bool,
        "Enables the planner's use of nested-loop join plans.",
    ),
    setting("enable_seqscan", "on", SettingKind::Bool, "Enables the planner's use of sequential-scan plans."),
    setting("enable_sort", "on", SettingKind::Bool, "Enables the planner's use of explicit sort steps."),
    setting(
        "escape_string_warning",
        "on",
        SettingKind::Bool,
        "Warn about backslash escapes in ordinary string literals.",
    ),
    setting(
        "extra_float_digits",
        "1",
        SettingKind::Integer { min: -15, max: 3, unit: "" },
        "Sets the number of digits displayed for floating-point values.",
    ),
    setting(
        "force_parallel_mode",
        "off",
        SettingKind::Enum(&["off", "on", "regress"]),
        "Forces use of parallel query facilities.",
    ),
    setting(
        "from_collapse_limit",
        "8",
        COUNT,
        "Sets the FROM-list size beyond which subqueries are not collapsed.",
    ),
    setting("geqo", "on", SettingKind::Bool, "Enables genetic query optimization."),
    setting(
        "gin_pending_list_limit",
        "4MB",
        KILOBYTES,
        "Sets the maximum size of the pending list for GIN index.",
    ),
    setting(
        "hash_mem_multiplier",
        "2",
        SettingKind::Real { min: 1.0, max: 1000.0 },
        "Multiple of work_mem to use for hash tables.",
    ),
    fixed(
        "heliosdb.retention_days",
        "-1",
        SettingKind::Integer { min: -1, max: 1_000_000, unit: "" },
        "Shows for how many days the database keeps history; -1 is for ever.",
    ),
    setting(super::past::AS_OF, "", SettingKind::Text, "Sets the earlier moment that statements read."),
    setting("heliosdb.branch", "main", SettingKind::Text, "Shows the branch that the session works on."),
    setting(
        "idle_in_transaction_session_timeout",
        "0",
        MILLISECONDS,
        "Sets the maximum allowed idle time between queries, when in a transaction.",
    ),
    setting(
        "idle_session_timeout",
        "0",
        MILLISECONDS,
        "Sets the maximum allowed idle time between queries, when not in a transaction.",
    ),
    fixed("in_hot_standby", "off", SettingKind::Bool, "Shows whether hot standby is currently active."),
    fixed("integer_datetimes", "on", SettingKind::Bool, "Shows whether datetimes are integer based."),
    setting(
        "IntervalStyle",
        "postgres",
        SettingKind::Enum(&["postgres", "postgres_verbose", "sql_standard", "iso_8601"]),
        "Sets the display format for interval values.",
    ),
    fixed("is_superuser", "on", SettingKind::Bool, "Shows whether the current user is a superuser."),
    setting("jit", "off", SettingKind::Bool, "Allow JIT compilation."),
    setting(
        "join_collapse_limit",
        "8",
        COUNT,
        "Sets the FROM-list size beyond which JOIN constructs are not flattened.",
    ),
    fixed("lc_collate", "C", SettingKind::Text, "Shows the collation order locale."),
    fixed(
        "lc_ctype",
        "C",
        SettingKind::Text,
        "Shows the character classification and case conversion locale.",
    ),
    setting("lc_messages", "C", SettingKind::Text, "Sets the language in which messages are displayed."),
    setting("lc_monetary", "C", SettingKind::Text, "Sets the locale for formatting monetary amounts."),
    setting("lc_numeric", "C", SettingKind::Text, "Sets the locale for formatting numbers."),
    setting("lc_time", "C", SettingKind::Text, "Sets the locale for formatting date and time values."),
    setting("lock_timeout", "0", MILLISECONDS, "Sets the maximum allowed duration of any wait for a lock."),
    setting(
        "log_min_messages",
        "warning",
        SettingKind::Enum(MESSAGES),
        "Sets the message levels that are logged.",
    ),
    setting(
        "maintenance_work_mem",
        "64MB",
        KILOBYTES,
        "Sets the maximum memory to be used for maintenance operations.",
    ),
    fixed("max_connections", "100", COUNT, "Sets the maximum number of concurrent connections."),
    fixed(
        "max_prepared_transactions",
        "0",
        COUNT,
        "Sets the maximum number of simultaneously prepared transactions.",
    ),
    fixed("max_identifier_length", "63", COUNT, "Shows the maximum identifier length."),
    fixed("max_index_keys", "32", COUNT, "Shows the maximum number of index keys."),
    setting(
        "max_parallel_workers",
        "8",
        WORKERS,
        "Sets the maximum number of parallel workers that can be active at one time.",
    ),
    setting(
        "max_parallel_workers_per_gather",
        "2",
        WORKERS,
        "Sets the maximum number of parallel processes per executor node.",
    ),
    setting(
        "min_parallel_table_scan_size",
        "8MB",
        PAGES,
        "Sets the minimum amount of table data for a parallel scan.",
    ),
    setting(
        "parallel_leader_participation",
        "on",
        SettingKind::Bool,
        "Controls whether Gather and Gather Merge also run subplans.",
    ),
    setting(
        "parallel_setup_cost",
        "1000",
        COST,
        "Sets the planner's estimate of the cost of starting up worker processes for parallel query.",
    ),
    setting(
        "parallel_tuple_cost",
        "0.1",
        COST,
        "Sets the planner's estimate of the cost of passing each tuple (row) from worker to leader backend.",
    ),
    setting(
        "password_encryption",
        "scram-sha-256",
        SettingKind::Enum(&["md5", "scram-sha-256"]),
        "Chooses the algorithm for encrypting passwords.",
    ),
    setting(
        "plan_cache_mode",
        "auto",
        SettingKind::Enum(&["auto", "force_generic_plan", "force_custom_plan"]),
        "Controls the planner's selection of custom or generic plan.",
    ),
    fixed("port", "5432", COUNT, "Sets the TCP port the server listens on."),
    setting(
        "quote_all_identifiers",
        "off",
        SettingKind::Bool,
        "When generating SQL fragments, quote all identifiers.",
    ),
    setting(
        "random_page_cost",
        "4",
        COST,
        "Sets the planner's estimate of the cost of a nonsequentially fetched disk page.",
    ),
    setting("role", "none", SettingKind::Text, "Sets the current role."),
    setting("row_security", "on", SettingKind::Bool, "Enable row security."),
    setting(
        "search_path",
        "\"$user\", public",
        SettingKind::Text,
        "Sets the schema search order for names that are not schema-qualified.",
    ),
    setting(
        "seq_page_cost",
        "1",
        COST,
        "Sets the planner's estimate of the cost of a sequentially fetched disk page.",
    ),
    fixed(
        "server_encoding",
        "UTF8",
        SettingKind::Text,
        "Shows the server (database) character set encoding.",
    ),
    fixed("server_version", "15.0", SettingKind::Text, "Shows the server version."),
    fixed("server_version_num", "150000", COUNT, "Shows the server version as an integer."),
    setting("session_authorization", "", SettingKind::Text, "Sets the session user name."),
    setting(
        "session_replication_role",
        "origin",
        SettingKind::Enum(&["origin", "replica", "local"]),
        "Sets the session's behavior for triggers and rewrite rules.",
    ),
    fixed(
        "shared_buffers",
        "128MB",
        KILOBYTES,
        "Sets the number of shared memory buffers used by the server.",
    ),
    setting(
        "standard_conforming_strings",
        "on",
        SettingKind::Bool,
        "Causes '...' strings to treat backslashes literally.",
    ),
    setting("statement_timeout", "0", MILLISECONDS, "Sets the maximum allowed duration of any statement."),
    setting("synchronize_seqscans", "on", SettingKind::Bool, "Enable synchronized sequential scans."),
    setting(
        "synchronous_commit",
        "on",
        SettingKind::Enum(&["local", "remote_write", "remote_apply", "on", "off"]),
        "Sets the current transaction's synchronization level.",
    ),
    setting(
        "temp_tablespaces",
        "",
        SettingKind::Text,
        "Sets the tablespace(s) to use for temporary tables and sort files.",
    ),
    setting(
        "TimeZone",
        "UTC",
        SettingKind::Text,
        "Sets the time zone for displaying and interpreting time stamps.",
    ),
    setting(
        "timezone_abbreviations",
        "Default",
        SettingKind::Text,
        "Selects a file of time zone abbreviations.",
    ),
    setting(
        "transaction_deferrable",
        "off",
        SettingKind::Bool,
        "Whether to defer a read-only serializable transaction until it can be executed with no possible serialization failures.",
    ),
    setting(
        "transaction_isolation",
        "repeatable read",
        SettingKind::Enum(LEVELS),
        "Sets the current transaction's isolation level.",
    ),
    setting(
        "transaction_read_only",
        "off",
        SettingKind::Bool,
        "Sets the current transaction's read-only status.",
    ),
    setting("transform_null_equals", "off", SettingKind::Bool, "Treats \"expr=NULL\" as \"expr IS NULL\"."),
    fixed("wal_level", "replica", SettingKind::Text, "Sets the level of information written to the WAL."),
    setting(
        "temp_file_limit",
        "-1",
        SettingKind::Integer { min: -1, max: 2_147_483_647, unit: "kB" },
        "Limits the total size of all temporary files used by each process.",
    ),
    setting("work_mem", "4MB", KILOBYTES, "Sets the maximum memory to be used for query workspaces."),
    setting(
        "xmlbinary",
        "base64",
        SettingKind::Enum(&["base64", "hex"]),
        "Sets how binary values are to be encoded in XML.",
    ),
    setting(
        "xmloption",
        "content",
        SettingKind::Enum(&["content", "document"]),
        "Sets whether XML data in implicit parsing and serialization operations is to be considered as documents or content fragments.",
    ),
];

/// All settings: those that mean something, and the others.
fn every() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().chain(ACCEPTED)
}

static BY_NAME: LazyLock<BTreeMap<String, &'static Setting>> =
    LazyLock::new(|| every().map(|setting| (setting.name.to_lowercase(), setting)).collect());

/// The setting of a name, in any case.
#[must_use]
pub fn find(name: &str) -> Option<&'static Setting> {
    BY_NAME.get(&name.to_lowercase()).copied()
}

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
            Some(setting) => Ok(setting.default.to_string()),
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
        if setting.fixed {
            return Err(SqlError::new(
                SqlState::CANT_CHANGE_RUNTIME_PARAM,
                format!("parameter \"{}\" cannot be changed", setting.name),
            ));
        }
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

    /// Tests whether a setting may be changed, without another value at hand.
    ///
    /// # Errors
    /// 42704, 55P02.
    pub fn set_checked_default(&mut self, name: &str) -> Result<()> {
        let default = find(name).ok_or_else(|| unknown(name))?.default;
        self.set(name, default)
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
    pub fn reset_value(&self, setting: &Setting) -> &str {
        self.initial.get(&setting.name.to_lowercase()).map_or(setting.default, String::as_str)
    }

    /// Sets what a session begins with, fixed settings included.
    pub fn set_initial(&mut self, name: &str, value: &str) {
        self.initial.insert(name.to_lowercase(), value.to_string());
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
        if find(&name).is_none() && !self.values.contains_key(&name) {
            return Err(unknown(&name));
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
        let mut all: Vec<_> =
            every().map(|setting| (setting, self.get(setting.name).unwrap_or_default())).collect();
        all.sort_by_key(|(setting, _)| setting.name.to_lowercase());
        all
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

fn checked(setting: &Setting, value: &str) -> Result<String> {
    match setting.kind {
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
        SettingKind::Integer { min, max, unit } => integer(setting, value, min, max, unit),
        SettingKind::Real { min, max } => {
            let number = value.trim().parse::<f64>().map_err(|_| invalid(setting, value))?;
            if number.is_nan() {
                return Err(invalid(setting, value));
            }
            if !(min..=max).contains(&number) {
                let max = if max == f64::MAX { "1.79769e+308".to_string() } else { max.to_string() };
                return Err(SqlError::invalid_parameter(format!(
                    "{number} is outside the valid range for parameter \"{}\" ({min} .. {max})",
                    setting.name
                )));
            }
            Ok(value.trim().to_string())
        }
        SettingKind::Enum(allowed) => {
            let lower = value.to_lowercase();
            // Where a setting may be on or off, the other words for that are taken too.
            let wanted = match lower.as_str() {
                "true" | "yes" | "1" if allowed.contains(&"on") => "on",
                "false" | "no" | "0" if allowed.contains(&"off") => "off",
                other => other,
            };
            match allowed.iter().find(|word| **word == wanted) {
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

fn integer(setting: &Setting, value: &str, min: i64, max: i64, unit: &str) -> Result<String> {
    let text = value.trim();
    let digits =
        text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-' || c == '.').len();
    let (number, suffix) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| invalid(setting, value))?;
    let factor = match (unit, suffix.trim()) {
        (_, "") => 1.0,
        ("ms", "ms") | ("kB", "kB") => 1.0,
        ("ms", "us") => 0.001,
        ("ms", "s") => 1_000.0,
        ("ms", "min") => 60_000.0,
        ("ms", "h") => 3_600_000.0,
        ("ms", "d") => 86_400_000.0,
        ("kB", "B") => 1.0 / 1_024.0,
        ("kB", "MB") => 1_024.0,
        ("kB", "GB") => 1_048_576.0,
        ("kB", "TB") => 1_073_741_824.0,
        ("8kB", "B") => 1.0 / 8_192.0,
        ("8kB", "kB") => 1.0 / 8.0,
        ("8kB", "MB") => 128.0,
        ("8kB", "GB") => 131_072.0,
        ("8kB", "TB") => 134_217_728.0,
        ("", _) => return Err(invalid(setting, value)),
        _ => {
            let units = if unit == "ms" {
                "\"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\""
            } else {
                "\"B\", \"kB\", \"MB\", \"GB\", and \"TB\""
            };
            let hint = format!("Valid units for this parameter are {units}.");
            return Err(invalid(setting, value).with_hint(hint));
        }
    };
    let scaled = (number * factor).round();
    if scaled < min as f64 || scaled > max as f64 {
        return Err(SqlError::invalid_parameter(format!(
            "{scaled}{}{unit} is outside the valid range for parameter \"{}\" ({min} .. {max})",
            if unit.is_empty() { "" } else { " " },
            setting.name,
        )));
    }
    Ok(shown(scaled as i64, unit))
}

/// A number with the largest unit that leaves it whole.
fn shown(value: i64, unit: &str) -> String {
    if unit == "8kB" {
        return shown(value * 8, "kB");
    }
    let units: &[(i64, &str)] = match unit {
        "ms" => &[(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")],
        "kB" => &[(1_073_741_824, "TB"), (1_048_576, "GB"), (1_024, "MB")],
        _ => &[],
    };
    if value == 0 {
        return "0".into();
    }
    match units.iter().find(|(size, _)| value % size == 0) {
        Some((size, name)) => format!("{}{name}", value / size),
        None => format!("{value}{unit}"),
    }
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
