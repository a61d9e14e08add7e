//! Who may come in from where: rules as of PostgreSQL's pg_hba.conf, from a file or for one method.
//!
//! 1. The first rule that is about a connection decides how its client shows who it is; where none is, nobody comes in.
//! 2. Rules are read at the start, where a mistake refuses the start, and again when told to: then one leaves the rules
//!    as they are.

mod ident;
mod rule;
mod tokens;

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use helios_runtime::executor::Peer;
use helios_runtime::networks;
use heliosdb_nano::session::{HostRule, ServerFiles};

use crate::options::Authentication;
use ident::Maps;
use rule::{Complaint, Place, Transport};
use tokens::Token;

pub(crate) use rule::{ClientCertificate, Encryption, Method, Rule};

/// The rules where nothing but a method is configured.
fn short_form(authentication: Authentication) -> &'static str {
    match authentication {
        Authentication::Trust => {
            "local all all trust\nhost all all 127.0.0.0/8 trust\nhost all all ::1/128 trust"
        }
        Authentication::ScramSha256 => "local all all scram-sha-256\nhost all all all scram-sha-256",
    }
}

/// Where rules come from.
#[derive(Clone, Debug)]
pub(crate) struct HostFiles {
    pub(crate) authentication: Authentication,
    pub(crate) hba: Option<PathBuf>,
    pub(crate) ident: Option<PathBuf>,
    pub(crate) encryption: Encryption,
}

/// The rules in force.
pub(crate) struct Hosts {
    files: HostFiles,
    rules: RwLock<Arc<Rules>>,
}

/// Rules and maps that were read together.
pub(crate) struct Rules {
    pub(crate) rules: Vec<Rule>,
    pub(crate) maps: Maps,
}

/// A connection, as rules see it.
pub(crate) struct Client<'a> {
    pub(crate) peer: Option<Peer>,
    pub(crate) is_encrypted: bool,
    pub(crate) user: &'a str,
    pub(crate) database: &'a str,
    /// The roles that the user is a member of, itself among them.
    pub(crate) roles: &'a [String],
}

impl Hosts {
    /// Reads the rules.
    ///
    /// # Errors
    /// `InvalidInput` with file, line and reason for what cannot be read or understood.
    pub(crate) fn load(files: HostFiles) -> io::Result<Hosts> {
        let rules = RwLock::new(Arc::new(files.read_rules()?));
        Ok(Hosts { files, rules })
    }

    /// The rules in force.
    pub(crate) fn current(&self) -> Arc<Rules> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the files again; where they are no good, all stays as it is.
    pub(crate) fn reload(&self) {
        match self.files.read_rules() {
            Ok(rules) => {
                *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
                tracing::info!("The rules for hosts have been read again");
            }
            Err(error) => tracing::error!("The rules for hosts stay as they are: {error}"),
        }
    }

    /// What the file says now, for `pg_hba_file_rules`.
    fn shown(&self) -> Vec<HostRule> {
        let Ok((text, folder)) = self.files.text() else { return Vec::new() };
        let lines = tokens::lines_of(&text, &folder);
        let shown = lines.iter().map(|line| match rule::read_rule(line, self.files.encryption) {
            Ok(rule) => shown_rule(&rule),
            Err(complaint) => {
                HostRule { line: line.number, error: Some(complaint.message), ..HostRule::default() }
            }
        });
        shown.collect()
    }
}

impl ServerFiles for Hosts {
    fn host_rules(&self) -> Vec<HostRule> {
        self.shown()
    }

    fn reload(&self) {
        Hosts::reload(self);
    }
}

impl HostFiles {
    /// The text of the rules, and the folder that other files lie in.
    fn text(&self) -> io::Result<(String, PathBuf)> {
        match &self.hba {
            None => Ok((short_form(self.authentication).to_owned(), PathBuf::new())),
            Some(path) => Ok((read_named(path)?, folder_of(path))),
        }
    }

    fn read_rules(&self) -> io::Result<Rules> {
        let (text, folder) = self.text()?;
        let name = self.hba.clone().unwrap_or_default();
        let mut rules = Vec::new();
        for line in tokens::lines_of(&text, &folder) {
            let read = rule::read_rule(&line, self.encryption);
            rules.push(read.map_err(|complaint| refused(&complaint, line.number, &name))?);
        }
        if rules.is_empty() {
            let message = format!("configuration file \"{}\" contains no entries", name.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let maps = match &self.ident {
            None => Maps::default(),
            Some(path) => Maps::read(&read_named(path)?, &folder_of(path))
                .map_err(|(line, complaint)| refused(&complaint, line, path))?,
        };
        Ok(Rules { rules, maps })
    }
}

fn refused(complaint: &Complaint, line: usize, path: &Path) -> io::Error {
    let hint = complaint.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
    let message =
        format!("{}{hint}, line {line} of configuration file \"{}\"", complaint.message, path.display());
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().map(Path::to_path_buf).unwrap_or_default()
}

fn read_named(path: &Path) -> io::Result<String> {
    read(path).map_err(|error| {
        let message = format!("could not open file \"{}\": {}", path.display(), reason(&error));
        io::Error::new(io::ErrorKind::InvalidInput, message)
    })
}

#[allow(clippy::disallowed_methods)] // these files lie beside the database, not in it
fn read(path: &Path) -> io::Result<String> {
    std::fs::read_to_string(path)
}

/// What the system says, without the number that Rust puts behind it.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn shown_rule(rule: &Rule) -> HostRule {
    let words = |tokens: &[Token]| tokens.iter().map(|token| token.text.clone()).collect();
    let (address, netmask) = match &rule.place {
        Place::Here => (None, None),
        Place::All => (Some("all".to_owned()), None),
        Place::SameHost => (Some("samehost".to_owned()), None),
        Place::SameNet => (Some("samenet".to_owned()), None),
        Place::Network { address, mask } => (Some(address.to_string()), Some(mask.to_string())),
    };
    HostRule {
        line: rule.line,
        transport: Some(rule.transport.name()),
        databases: words(&rule.databases),
        users: words(&rule.users),
        address,
        netmask,
        method: Some(rule.method.name()),
        options: rule.options.clone(),
        error: None,
    }
}

impl Rules {
    /// The rule that decides; `None` where no one is about the connection.
    pub(crate) fn decide(&self, client: &Client<'_>) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.is_about(client))
    }

    /// Whether deciding takes the roles that the user is a member of.
    pub(crate) fn ask_for_roles(&self) -> bool {
        self.rules.iter().any(|rule| {
            rule.users.iter().any(|user| !user.is_quoted && user.text.starts_with('+'))
                || rule
                    .databases
                    .iter()
                    .any(|name| name.is_keyword("samerole") || name.is_keyword("samegroup"))
        })
    }
}

impl Rule {
    fn is_about(&self, client: &Client<'_>) -> bool {
        let (is_transport, address) = match client.peer {
            Some(Peer::Unix(_)) => (self.transport == Transport::Local, None),
            Some(Peer::Tcp(address)) => {
                let is_transport = match self.transport {
                    Transport::Local => false,
                    Transport::Host => true,
                    Transport::HostSsl => client.is_encrypted,
                    Transport::HostNoSsl => !client.is_encrypted,
                };
                (is_transport, Some(address.ip()))
            }
            None => (false, None),
        };
        is_transport
            && address.is_none_or(|address| self.place.has(address))
            && self.databases.iter().any(|name| is_database(name, client))
            && self.users.iter().any(|name| is_user(name, client))
    }
}

impl Place {
    fn has(&self, client: IpAddr) -> bool {
        let on_networks = |is_same: fn(IpAddr, IpAddr, IpAddr) -> bool| {
            networks().unwrap_or_default().into_iter().any(|(address, mask)| is_same(client, address, mask))
        };
        match self {
            Place::Here => false,
            Place::All => true,
            Place::SameHost => on_networks(|client, address, _| client.to_canonical() == address),
            Place::SameNet => on_networks(rule::is_within),
            Place::Network { address, mask } => rule::is_within(client, *address, *mask),
        }
    }
}

fn is_database(name: &Token, client: &Client<'_>) -> bool {
    if name.is_keyword("all") {
        return true;
    }
    if name.is_keyword("sameuser") {
        return client.database == client.user;
    }
    if name.is_keyword("samerole") || name.is_keyword("samegroup") {
        return client.roles.iter().any(|role| role == client.database);
    }
    // There is no replication, so that nothing is a connection for it.
    !name.is_keyword("replication") && name.text == client.database
}

fn is_user(name: &Token, client: &Client<'_>) -> bool {
    match name.text.strip_prefix('+').filter(|_| !name.is_quoted) {
        Some(group) => client.roles.iter().any(|role| role == group),
        None => name.is_keyword("all") || name.text == client.user,
    }
}

#[cfg(test)]
mod tests;
