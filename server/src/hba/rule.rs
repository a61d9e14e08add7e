//! A line of pg_hba.conf: who may come in from where, and how they show who they are.

use std::net::IpAddr;

use super::tokens::{Line, Token};

/// How a connection comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Local,
    Host,
    HostSsl,
    HostNoSsl,
}

impl Transport {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Transport::Local => "local",
            Transport::Host => "host",
            Transport::HostSsl => "hostssl",
            Transport::HostNoSsl => "hostnossl",
        }
    }
}

/// Where a connection comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Through a Unix socket.
    Here,
    All,
    /// Any address of this machine, or of its networks.
    SameHost,
    SameNet,
    Network {
        address: IpAddr,
        mask: IpAddr,
    },
}

/// How a client shows who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Trust,
    Reject,
    ScramSha256,
    Password,
    Peer,
    Cert,
}

impl Method {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Method::Trust => "trust",
            Method::Reject => "reject",
            Method::ScramSha256 => "scram-sha-256",
            Method::Password => "password",
            Method::Peer => "peer",
            Method::Cert => "cert",
        }
    }
}

/// What certificate a client has to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientCertificate {
    None,
    /// One that the authorities vouch for.
    VerifyCa,
    /// One whose common name is the role's, or mapped to it.
    VerifyFull,
}

/// A rule.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) line: usize,
    pub(crate) transport: Transport,
    pub(super) databases: Vec<Token>,
    pub(super) users: Vec<Token>,
    pub(crate) place: Place,
    pub(crate) method: Method,
    pub(crate) map: Option<String>,
    pub(crate) certificate: ClientCertificate,
    /// As they are written.
    pub(crate) options: Vec<String>,
}

/// What cannot be understood, with a hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) message: String,
    pub(crate) hint: Option<&'static str>,
}

impl From<String> for Complaint {
    fn from(message: String) -> Complaint {
        Complaint { message, hint: None }
    }
}

impl From<&str> for Complaint {
    fn from(message: &str) -> Complaint {
        message.to_owned().into()
    }
}

type Result<T> = std::result::Result<T, Complaint>;

/// Whether connections can be encrypted, and certificates of clients be checked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Encryption {
    pub(crate) is_on: bool,
    pub(crate) has_authorities: bool,
}

/// Reads a line.
pub(super) fn read_rule(line: &Line, encryption: Encryption) -> Result<Rule> {
    if let Some(error) = &line.error {
        return Err(error.clone().into());
    }
    let mut fields = line.fields.iter();
    let transport = transport(fields.next().map_or(&[], Vec::as_slice), encryption)?;
    let databases = fields.next().ok_or("end-of-line before database specification")?.clone();
    let users = fields.next().ok_or("end-of-line before role specification")?.clone();
    let place = match transport {
        Transport::Local => Place::Here,
        _ => place(&mut fields)?,
    };
    let field = fields.next().ok_or("end-of-line before authentication method")?;
    let method = method(only(
        field,
        "multiple values specified for authentication type",
        "Specify exactly one authentication type per line.",
    )?)?;
    match (method, transport) {
        (Method::Peer, Transport::Local) => {}
        (Method::Peer, _) => return Err("peer authentication is only supported on local sockets".into()),
        (Method::Cert, Transport::HostSsl) => {}
        (Method::Cert, _) => {
            return Err("cert authentication is only supported on hostssl connections".into());
        }
        // A password that anybody on the way can read protects nothing.
        (Method::Password, Transport::Host | Transport::HostNoSsl) => {
            return Err("password authentication is only supported on hostssl connections".into());
        }
        _ => {}
    }
    let mut rule = Rule {
        line: line.number,
        transport,
        databases,
        users,
        place,
        method,
        map: None,
        certificate: if method == Method::Cert {
            ClientCertificate::VerifyFull
        } else {
            ClientCertificate::None
        },
        options: Vec::new(),
    };
    for option in fields.flatten() {
        let Some((name, value)) = option.text.split_once('=') else {
            return Err(format!("authentication option not in name=value format: {}", option.text).into());
        };
        read_option(&mut rule, name, value)?;
        rule.options.push(option.text.clone());
    }
    if method == Method::Cert && rule.options.iter().all(|option| !option.starts_with("clientcert=")) {
        rule.options.push("clientcert=verify-full".to_owned());
    }
    if rule.certificate != ClientCertificate::None && !encryption.has_authorities {
        return Err("client certificates can only be checked if a root certificate store is available".into());
    }
    Ok(rule)
}

/// A field's one word.
fn only<'a>(field: &'a [Token], message: &str, hint: &'static str) -> Result<&'a Token> {
    match field {
        [token] => Ok(token),
        _ => Err(Complaint { message: message.to_owned(), hint: Some(hint) }),
    }
}

fn transport(field: &[Token], encryption: Encryption) -> Result<Transport> {
    let token = only(
        field,
        "multiple values specified for connection type",
        "Specify exactly one connection type per line.",
    )?;
    match token.text.as_str() {
        "local" => Ok(Transport::Local),
        // There is no encryption by GSSAPI, so that no connection has it.
        "host" | "hostnogssenc" => Ok(Transport::Host),
        "hostssl" if encryption.is_on => Ok(Transport::HostSsl),
        "hostssl" => Err(Complaint {
            message: "hostssl record cannot match because SSL is disabled".to_owned(),
            hint: Some("Set tls_enabled = true in the configuration."),
        }),
        "hostnossl" => Ok(Transport::HostNoSsl),
        "hostgssenc" => {
            Err("hostgssenc record cannot match because GSSAPI is not supported by this build".into())
        }
        other => Err(format!("invalid connection type \"{other}\"").into()),
    }
}

fn method(token: &Token) -> Result<Method> {
    Ok(match token.text.as_str() {
        "trust" => Method::Trust,
        "reject" => Method::Reject,
        // As PostgreSQL, for passwords that are stored for SCRAM, and there are no others.
        "scram-sha-256" | "md5" => Method::ScramSha256,
        "password" => Method::Password,
        "peer" => Method::Peer,
        "cert" => Method::Cert,
        known @ ("ident" | "gss" | "sspi" | "pam" | "bsd" | "ldap" | "radius") => {
            let message = format!("invalid authentication method \"{known}\": not supported by this build");
            return Err(message.into());
        }
        other => return Err(format!("invalid authentication method \"{other}\"").into()),
    })
}

fn read_option(rule: &mut Rule, name: &str, value: &str) -> Result<()> {
    match (name, value) {
        ("map", _) if !matches!(rule.method, Method::Peer | Method::Cert) => {
            let methods = "ident, peer, gssapi, sspi, and cert";
            return Err(format!(
                "authentication option \"map\" is only valid for authentication methods {methods}"
            )
            .into());
        }
        ("map", map) => rule.map = Some(map.to_owned()),
        ("clientcert", _) if rule.transport != Transport::HostSsl => {
            return Err("clientcert can only be configured for \"hostssl\" rows".into());
        }
        ("clientcert", "verify-full") => rule.certificate = ClientCertificate::VerifyFull,
        ("clientcert", "verify-ca") if rule.method == Method::Cert => {
            return Err(
                "clientcert can only be set to \"verify-full\" when using \"cert\" authentication".into()
            );
        }
        ("clientcert", "verify-ca") => rule.certificate = ClientCertificate::VerifyCa,
        ("clientcert", value) => return Err(format!("invalid value for clientcert: \"{value}\"").into()),
        ("clientname", _) if rule.transport != Transport::HostSsl => {
            return Err("clientname can only be configured for \"hostssl\" rows".into());
        }
        ("clientname", "CN") => {}
        ("clientname", value) => return Err(format!("invalid value for clientname: \"{value}\"").into()),
        (name, _) => return Err(format!("unrecognized authentication option name: \"{name}\"").into()),
    }
    Ok(())
}

fn place<'a>(fields: &mut impl Iterator<Item = &'a Vec<Token>>) -> Result<Place> {
    let field = fields.next().ok_or("end-of-line before IP address specification")?;
    let token =
        only(field, "multiple values specified for host address", "Specify one address range per line.")?;
    for (keyword, place) in [("all", Place::All), ("samehost", Place::SameHost), ("samenet", Place::SameNet)]
    {
        if token.is_keyword(keyword) {
            return Ok(place);
        }
    }
    let (text, bits) = match token.text.split_once('/') {
        Some((text, bits)) => (text, Some(bits)),
        None => (token.text.as_str(), None),
    };
    let Ok(address) = text.parse::<IpAddr>() else {
        let message = match bits {
            Some(_) => format!("specifying both host name and CIDR mask is invalid: \"{}\"", token.text),
            None => format!("invalid IP address \"{text}\": host names are not supported"),
        };
        return Err(message.into());
    };
    let mask = match bits {
        Some(bits) => mask_of(address, bits)
            .ok_or_else(|| format!("invalid CIDR mask in address \"{}\"", token.text))?,
        None => netmask(address, fields)?,
    };
    Ok(Place::Network { address, mask })
}

/// The mask in the field behind an address.
fn netmask<'a>(address: IpAddr, fields: &mut impl Iterator<Item = &'a Vec<Token>>) -> Result<IpAddr> {
    let field = fields.next().ok_or(Complaint {
        message: "end-of-line before netmask specification".to_owned(),
        hint: Some("Specify an address range in CIDR notation, or provide a separate netmask."),
    })?;
    let [token] = field.as_slice() else { return Err("multiple values specified for netmask".into()) };
    let mask: IpAddr = token
        .text
        .parse()
        .map_err(|_| format!("invalid IP mask \"{}\": Name or service not known", token.text))?;
    if mask.is_ipv4() != address.is_ipv4() {
        return Err("IP address and mask do not match".into());
    }
    Ok(mask)
}

/// The mask of so many bits.
fn mask_of(address: IpAddr, bits: &str) -> Option<IpAddr> {
    let bits: u32 = bits.parse().ok()?;
    match address {
        IpAddr::V4(_) if bits <= 32 => {
            Some(IpAddr::from(u32::MAX.checked_shl(32 - bits).unwrap_or(0).to_be_bytes()))
        }
        IpAddr::V6(_) if bits <= 128 => {
            Some(IpAddr::from(u128::MAX.checked_shl(128 - bits).unwrap_or(0).to_be_bytes()))
        }
        _ => None,
    }
}

/// Whether an address is of a network.
pub(super) fn is_within(client: IpAddr, address: IpAddr, mask: IpAddr) -> bool {
    match (client.to_canonical(), address, mask) {
        (IpAddr::V4(client), IpAddr::V4(address), IpAddr::V4(mask)) => {
            client.to_bits() & mask.to_bits() == address.to_bits() & mask.to_bits()
        }
        (IpAddr::V6(client), IpAddr::V6(address), IpAddr::V6(mask)) => {
            client.to_bits() & mask.to_bits() == address.to_bits() & mask.to_bits()
        }
        _ => false,
    }
}
