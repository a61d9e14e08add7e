//! What a server around the engine has files of: SQL shows them, and has them read again.

/// A line of the rules for hosts, as `pg_hba_file_rules` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostRule {
    pub line: usize,
    /// `local`, `host`, …
    pub transport: Option<&'static str>,
    pub databases: Vec<String>,
    pub users: Vec<String>,
    pub address: Option<String>,
    pub netmask: Option<String>,
    pub method: Option<&'static str>,
    pub options: Vec<String>,
    /// Why the line is no rule; then nothing but its number is known.
    pub error: Option<String>,
}

/// A server's files.
pub trait ServerFiles: Send + Sync {
    /// What the file of rules for hosts says now.
    fn host_rules(&self) -> Vec<HostRule>;
    /// Reads all files again.
    fn reload(&self);
}
