//! How a connection begins: encryption, the startup packet, and the server's introduction.
//!
//! 1. SSLRequest is answered `S` where there is a certificate, else `N`, as GSSENCRequest is, once each; a CancelRequest is carried out and ends the
//!    connection.
//! 2. The startup packet names protocol, user, database and settings. A newer minor protocol and unknown
//!    protocol options are negotiated away.
//! 3. Once there is a place, the client has shown who it is and the database exists, it hears the settings that matter to it, its number
//!    and secret for cancel requests, and that the server is ready.

use std::io;
use std::sync::Arc;

use futures_lite::{AsyncWriteExt, io::AsyncRead};
use helios_runtime::executor::{Peer, Socket, timeout};
use helios_runtime::{Entropy, SystemEntropy};
use heliosdb_nano::session::{Session, SqlError, SqlState};

use crate::authentication::authenticate;
use crate::connection::Connection;
use crate::registry::{Place, Registry};
use crate::server::Shared;
use crate::stream::Stream;
use crate::wire::{Body, Input, Output, Report, protocol_violation};

const CANCEL_REQUEST: u32 = 0x04d2_162e;
const SSL_REQUEST: u32 = 0x04d2_162f;
const GSSENC_REQUEST: u32 = 0x04d2_1630;
/// Protocol 3.0.
const PROTOCOL: u32 = 0x0003_0000;

/// The settings that clients are told, with what they are where the session does not know them.
const REPORTED: [(&str, &str); 13] = [
    ("application_name", ""),
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO, MDY"),
    ("default_transaction_read_only", "off"),
    ("in_hot_standby", "off"),
    ("integer_datetimes", "on"),
    ("IntervalStyle", "postgres"),
    ("is_superuser", "on"),
    ("server_encoding", "UTF8"),
    ("server_version", "15.0"),
    ("session_authorization", ""),
    ("standard_conforming_strings", "on"),
    ("TimeZone", "UTC"),
];

/// Why a connection ended before it began.
pub(crate) enum Refusal {
    /// The client left, or was served all it wanted.
    Silent,
    Report(SqlError),
}

impl From<SqlError> for Refusal {
    fn from(error: SqlError) -> Refusal {
        Refusal::Report(error)
    }
}

impl From<io::Error> for Refusal {
    fn from(_: io::Error) -> Refusal {
        Refusal::Silent
    }
}

/// What a connection begins with.
pub(crate) struct Opened {
    pub(crate) session: Session,
    pub(crate) place: Place,
    pub(crate) secret: u32,
}

/// What a startup packet asks for.
#[derive(Debug, Default)]
struct StartupRequest {
    user: String,
    database: String,
    /// In the packet's order, those of `options` first.
    settings: Vec<(String, String)>,
    /// Protocol options that nobody knows.
    unknown_options: Vec<String>,
    minor_version: u32,
}

/// Brings a connection up to its first ReadyForQuery; `None` when it ended before.
pub(crate) async fn start(socket: Socket, input: &mut Input, shared: &Arc<Shared>) -> Option<Connection> {
    let mut socket = Stream::Plain(socket);
    let mut output = Output::default();
    let opening = timeout(shared.options.startup_patience, async {
        let request = introduce(&mut socket, input, shared).await?;
        open(request, &mut socket, input, &mut output, shared).await
    });
    let Ok(opened) = opening.await else {
        tracing::debug!("a client did not introduce itself in time");
        return None;
    };
    let refusal = match opened {
        Ok(opened) => return Some(Connection::new(socket, output, opened, shared.clone())),
        Err(Refusal::Report(error)) => error,
        Err(Refusal::Silent) => return None,
    };
    tracing::debug!("a connection was refused: {}", refusal.message());
    output.error(&Report::fatal(refusal));
    if output.flush(&mut socket).await.is_ok()
        && let Err(error) = socket.close().await
    {
        tracing::debug!(%error, "closing a refused connection");
    }
    None
}

/// Carries out a cancel request whose bytes are all there: while all workers are busy nobody else could.
pub(crate) fn serve_cancel(bytes: &[u8], registry: &Registry) -> bool {
    let Ok(packet) = <&[u8; 16]>::try_from(bytes) else { return false };
    let word = |at: usize| u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]]);
    if word(0) != 16 || word(4) != CANCEL_REQUEST {
        return false;
    }
    registry.cancel(word(8).cast_signed(), word(12));
    true
}

/// Reads packets until one is a startup request.
async fn introduce(
    socket: &mut Stream,
    input: &mut Input,
    shared: &Shared,
) -> Result<StartupRequest, Refusal> {
    let (mut is_ssl_done, mut is_gssenc_done) = (false, false);
    loop {
        let packet = next_packet(socket, input).await?;
        let mut body = Body::new(&packet);
        match body.u32()? {
            CANCEL_REQUEST => {
                let Ok((backend, secret)) = body.i32().and_then(|backend| Ok((backend, body.u32()?))) else {
                    return Err(Refusal::Silent);
                };
                shared.registry.cancel(backend, secret);
                return Err(Refusal::Silent);
            }
            SSL_REQUEST if !is_ssl_done => {
                is_ssl_done = true;
                let is_tcp = matches!(socket.peer(), Some(Peer::Tcp(_)));
                match shared.tls.as_ref().filter(|_| is_tcp) {
                    Some(tls) => {
                        answer_encryption(socket, input, b"S", "SSL").await?;
                        socket.encrypt(tls).await?;
                    }
                    None => answer_encryption(socket, input, b"N", "SSL").await?,
                }
            }
            GSSENC_REQUEST if !is_gssenc_done => {
                is_gssenc_done = true;
                answer_encryption(socket, input, b"N", "GSSAPI encryption").await?;
            }
            version => {
                if version >> 16 != PROTOCOL >> 16 {
                    return Err(refuse_protocol(socket, version).await?);
                }
                let mut request = read_request(body)?;
                request.minor_version = version & 0xffff;
                return Ok(request);
            }
        }
    }
}

/// How a version of the protocol is refused: older ones in their own form.
async fn refuse_protocol(socket: &mut Stream, version: u32) -> io::Result<Refusal> {
    let message = format!(
        "unsupported frontend protocol {}.{}: server supports 3.0 to 3.0",
        version >> 16,
        version & 0xffff
    );
    if version >> 16 > PROTOCOL >> 16 {
        return Ok(Refusal::Report(SqlError::unsupported(message)));
    }
    socket.write_all(format!("EFATAL:  {message}\n\0").as_bytes()).await?;
    socket.close().await?;
    Ok(Refusal::Silent)
}

async fn next_packet(socket: &mut (impl AsyncRead + Unpin), input: &mut Input) -> Result<Vec<u8>, Refusal> {
    loop {
        match input.next_startup_packet() {
            Ok(Some(packet)) => return Ok(input.body(&packet).to_vec()),
            Ok(None) => {}
            // Whatever speaks here does not know the protocol.
            Err(_) => return Err(Refusal::Silent),
        }
        if input.fill(socket).await? == 0 {
            return Err(Refusal::Silent);
        }
    }
}

/// Says yes or no. What has arrived already was meant to be encrypted, or was put there by somebody else.
async fn answer_encryption(
    socket: &mut Stream,
    input: &Input,
    answer: &[u8],
    name: &str,
) -> Result<(), Refusal> {
    socket.write_all(answer).await?;
    if input.is_empty() {
        return Ok(());
    }
    let error = protocol_violation(format!("received unencrypted data after {name} request"));
    Err(error
        .with_detail(
            "This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.",
        )
        .into())
}

fn read_request(mut body: Body<'_>) -> Result<StartupRequest, SqlError> {
    let unterminated =
        || protocol_violation("invalid startup packet layout: expected terminator as last byte");
    let mut request = StartupRequest::default();
    let mut options = Vec::new();
    let mut settings = Vec::new();
    loop {
        let name = body.string().map_err(|_| unterminated())?;
        if name.is_empty() {
            break;
        }
        let value = body.string().map_err(|_| unterminated())?;
        match &*name {
            "user" => request.user = value.into_owned(),
            "database" => request.database = value.into_owned(),
            "options" => options = settings_of_options(&value)?,
            "replication" => refuse_replication(&value)?,
            _ if name.starts_with("_pq_.") => request.unknown_options.push(name.into_owned()),
            _ => settings.push((name.into_owned(), value.into_owned())),
        }
    }
    body.end().map_err(|_| unterminated())?;
    if request.user.is_empty() {
        return Err(SqlError::new(
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            "no PostgreSQL user name specified in startup packet",
        ));
    }
    if request.database.is_empty() {
        request.database.clone_from(&request.user);
    }
    request.settings = options;
    request.settings.append(&mut settings);
    Ok(request)
}

fn refuse_replication(value: &str) -> Result<(), SqlError> {
    match value {
        "false" | "off" | "no" | "0" => Ok(()),
        _ => Err(SqlError::unsupported("replication connections are not supported")),
    }
}

/// The settings in command-line options: `-c name=value`, `-cname=value`, `--name=value`.
fn settings_of_options(options: &str) -> Result<Vec<(String, String)>, SqlError> {
    let invalid = |word: &str| {
        SqlError::syntax(format!("invalid command-line argument for server process: {word}"))
            .with_hint("Only -c NAME=VALUE and --NAME=VALUE are understood.")
    };
    let mut settings = Vec::new();
    let mut words = split_options(options).into_iter();
    while let Some(word) = words.next() {
        let is_long = word.starts_with("--");
        let assignment = if word == "-c" {
            words.next().ok_or_else(|| invalid(&word))?
        } else if let Some(rest) = word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            rest.to_owned()
        } else {
            return Err(invalid(&word));
        };
        let Some((name, value)) = assignment.split_once('=') else {
            let sign = if is_long { "--" } else { "-c " };
            return Err(SqlError::syntax(format!("{sign}{assignment} requires a value")));
        };
        // As on PostgreSQL's command line, hyphens stand for underscores.
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

/// Words between blanks; a backslash takes the next character as it is.
fn split_options(options: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = options.chars();
    while let Some(character) = characters.next() {
        if character.is_ascii_whitespace() {
            words.extend(word.take());
            continue;
        }
        let taken = if character == '\\' { characters.next() } else { Some(character) };
        word.get_or_insert_default().extend(taken);
    }
    words.extend(word);
    words
}

/// Finds out who the client is, opens the session and writes the server's introduction.
async fn open(
    request: StartupRequest,
    socket: &mut Stream,
    input: &mut Input,
    output: &mut Output,
    shared: &Arc<Shared>,
) -> Result<Opened, Refusal> {
    if request.minor_version > 0 || !request.unknown_options.is_empty() {
        let message = output.begin(b'v');
        output.u32(PROTOCOL);
        output.i32(i32::try_from(request.unknown_options.len()).unwrap_or(i32::MAX));
        for option in &request.unknown_options {
            output.string(option);
        }
        output.end(message);
    }
    let mut place = shared
        .registry
        .enter(shared.options.max_connections)
        .ok_or_else(|| SqlError::new(SqlState::TOO_MANY_CONNECTIONS, "sorry, too many clients already"))?;
    let (database, branch) = match request.database.split_once('@') {
        Some((database, branch)) => (database, Some(branch)),
        None => (request.database.as_str(), None),
    };
    let role = authenticate(socket, input, output, (&request.user, database), shared).await?;
    if !place.count_for(&role) {
        let message = format!("too many connections for role \"{}\"", role.name);
        return Err(SqlError::new(SqlState::TOO_MANY_CONNECTIONS, message).into());
    }
    if !shared.options.has_database(database) && !shared.engine.has_database(database) {
        return Err(SqlError::new(
            SqlState::INVALID_CATALOG_NAME,
            format!("database \"{database}\" does not exist"),
        )
        .into());
    }
    let mut session = match branch {
        Some(branch) => shared.engine.session_on(&request.user, database, branch)?,
        None => shared.engine.session(&request.user, database),
    };
    session.begin_as(&role).await;
    session.check_may_connect().await?;
    for (name, value) in &request.settings {
        session.set_setting(name, value).await?;
    }
    session.end_start();
    output.set_encoding(session.formats().client_encoding);
    for (name, otherwise) in REPORTED {
        let value = session.setting(name);
        output.parameter_status(name, value.as_deref().unwrap_or(otherwise));
    }
    Ok(Opened { session, place, secret: secret()? })
}

/// A secret for cancel requests.
fn secret() -> Result<u32, SqlError> {
    let mut bytes = [0; 4];
    SystemEntropy
        .fill(&mut bytes)
        .map_err(|error| SqlError::internal(format!("could not generate random cancel key: {error}")))?;
    Ok(u32::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_split_as_on_a_command_line() {
        let settings =
            settings_of_options(r" -c geqo=off --work-mem=4MB   -csearch_path=a\ b ").expect("valid");
        let expected = [("geqo", "off"), ("work_mem", "4MB"), ("search_path", "a b")];
        let shown: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(shown, expected);
        for invalid in ["-x", "-c", "-c geqo", "word"] {
            let error = settings_of_options(invalid).expect_err("invalid");
            assert_eq!(error.state(), SqlState::SYNTAX_ERROR, "{invalid}");
        }
    }

    #[test]
    fn startup_packets_are_read_to_their_terminator() {
        let request =
            read_request(Body::new(b"user\0u\0options\0-c a.b=1\0x\0y\0_pq_.z\0\x31\0\0")).expect("valid");
        assert_eq!((request.user.as_str(), request.database.as_str()), ("u", "u"));
        assert_eq!(request.settings, [("a.b".into(), "1".into()), ("x".into(), "y".into())]);
        assert_eq!(request.unknown_options, ["_pq_.z"]);
        for packet in [b"user\0u\0".as_slice(), b"user\0u", b"user\0u\0\0x", b""] {
            let error = read_request(Body::new(packet)).expect_err("invalid");
            assert_eq!(error.state(), SqlState::PROTOCOL_VIOLATION);
        }
        let error = read_request(Body::new(b"database\0d\0\0")).expect_err("no user");
        assert_eq!(error.state(), SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
    }
}
