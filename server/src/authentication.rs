//! Who a client is, and whether it may connect.
//!
//! 1. The rules for hosts (`hba`) say how a client shows who it is.
//! 2. A role that does not exist or has no password that is good is challenged like any other, so that nobody learns
//!    which roles there are.
//! 3. Only then is said that a role may not log in.

use std::sync::Arc;

use futures_lite::{AsyncRead, AsyncWrite};
use helios_runtime::executor::Peer;
use helios_runtime::{Entropy, SystemEntropy, name_of_user};
use heliosdb_nano::session::scram::Verifier;
use heliosdb_nano::session::{Role, SqlError, SqlState};

use crate::common_name::common_name;
use crate::hba::{Client, ClientCertificate, Method, Rule, Rules};
use crate::password;
use crate::scram::{Channel, Exchange, MECHANISM, MECHANISM_PLUS, NONCE_BYTES, wrong_password};
use crate::server::Shared;
use crate::startup::Refusal;
use crate::stream::Stream;
use crate::tls::Tls;
use crate::wire::{Body, Input, Output, protocol_violation};

/// The kinds of authentication messages.
const OK: i32 = 0;
const SASL: i32 = 10;
const SASL_CONTINUE: i32 = 11;
const SASL_FINAL: i32 = 12;

/// Finds out who the client is that says which user it is and which database it wants: the role that it may act as.
pub(crate) async fn authenticate(
    socket: &mut Stream,
    input: &mut Input,
    output: &mut Output,
    (user, database): (&str, &str),
    shared: &Shared,
) -> Result<Arc<Role>, Refusal> {
    let role = shared.engine.role(user).await?;
    let rules = shared.hosts.current();
    let roles = if rules.ask_for_roles() { shared.engine.roles_of(user).await? } else { Vec::new() };
    let (peer, is_encrypted) = (socket.peer(), socket.is_encrypted());
    let client = Client { peer, is_encrypted, user, database, roles: &roles };
    let rule = rules.decide(&client).ok_or_else(|| refused(no_rule("no pg_hba.conf entry for", &client)))?;
    if rule.method == Method::Reject {
        return Err(refused(no_rule("pg_hba.conf rejects connection for", &client)).into());
    }
    let certificate = socket.client_certificate().map(<[u8]>::to_vec);
    if rule.certificate != ClientCertificate::None && certificate.is_none() {
        return Err(refused("connection requires a valid client certificate").into());
    }
    let is_shown = match rule.method {
        Method::ScramSha256 | Method::Password => {
            let verifier = role.as_deref().and_then(|role| good_verifier(role, shared));
            let verifier = verifier.unwrap_or_else(|| Verifier::mock(shared.engine.mock_secret(), user));
            if rule.method == Method::Password {
                password::ask(socket, input, output, &verifier).await?
            } else {
                let tls = shared.tls.as_ref().filter(|_| is_encrypted);
                let end_point = tls.and_then(Tls::end_point).cloned();
                prove(socket, input, output, verifier, end_point.as_deref()).await?
            }
        }
        Method::Peer => is_peer(peer, rule, &rules, user),
        Method::Trust | Method::Cert | Method::Reject => true,
    };
    let is_named = rule.certificate != ClientCertificate::VerifyFull
        || certificate
            .and_then(|certificate| common_name(&certificate))
            .is_some_and(|name| rules.maps.allow(rule.map.as_deref(), &name, user));
    if !is_shown || !is_named {
        return Err(failed(rule.method, user).into());
    }
    message(output, OK, b"");
    let role = role.ok_or_else(|| refused(format!("role \"{user}\" does not exist")))?;
    if !role.attributes.login {
        return Err(refused(format!("role \"{user}\" is not permitted to log in")).into());
    }
    Ok(role)
}

/// 28000.
fn refused(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message)
}

/// What is said of a connection that no rule lets in.
fn no_rule(what: &str, client: &Client<'_>) -> String {
    let host = match client.peer {
        Some(Peer::Tcp(address)) => address.ip().to_canonical().to_string(),
        _ => "[local]".to_owned(),
    };
    let encryption = if client.is_encrypted { "SSL encryption" } else { "no encryption" };
    format!(
        "{what} host \"{host}\", user \"{}\", database \"{}\", {encryption}",
        client.user, client.database
    )
}

/// What is said of a client that did not show who it is.
fn failed(method: Method, user: &str) -> SqlError {
    let what = match method {
        Method::ScramSha256 | Method::Password => return wrong_password(user),
        Method::Peer => "Peer",
        Method::Cert => "certificate",
        Method::Trust => "\"trust\"",
        Method::Reject => "reject",
    };
    refused(format!("{what} authentication failed for user \"{user}\""))
}

/// Whether the client's process runs as a user who may be this role.
fn is_peer(peer: Option<Peer>, rule: &Rule, rules: &Rules, user: &str) -> bool {
    let Some(Peer::Unix(credentials)) = peer else { return false };
    let name = name_of_user(credentials.user_id);
    name.is_some_and(|name| rules.maps.allow(rule.map.as_deref(), &name, user))
}

/// What a role's password is checked with, if it has one that is still good.
fn good_verifier(role: &Role, shared: &Shared) -> Option<Verifier> {
    let now = shared.engine.now();
    if role.valid_until.is_some_and(|end| end < now) {
        return None;
    }
    Verifier::parse(role.verifier.as_deref()?)
}

/// Lets the client show that it knows the password; tells whether it does.
async fn prove(
    socket: &mut (impl AsyncRead + AsyncWrite + Unpin),
    input: &mut Input,
    output: &mut Output,
    verifier: Verifier,
    end_point: Option<&[u8]>,
) -> Result<bool, Refusal> {
    let mut randomness = [0; NONCE_BYTES];
    SystemEntropy
        .fill(&mut randomness)
        .map_err(|error| SqlError::internal(format!("could not generate random nonce: {error}")))?;
    let mechanisms = match end_point {
        Some(_) => format!("{MECHANISM_PLUS}\0{MECHANISM}\0\0"),
        None => format!("{MECHANISM}\0\0"),
    };
    message(output, SASL, mechanisms.as_bytes());
    output.flush(socket).await?;
    let answer = response(socket, input, "SASL").await?;
    let mut body = Body::new(&answer);
    let channel = match (&*body.string()?, end_point) {
        (MECHANISM_PLUS, Some(end_point)) => Channel::Bound(end_point),
        (MECHANISM, Some(_)) => Channel::Bindable,
        (MECHANISM, None) => Channel::Unbound,
        _ => {
            let message = "client selected an invalid SASL authentication mechanism";
            return Err(protocol_violation(message).into());
        }
    };
    let first = match body.i32()? {
        // The client waits to be asked.
        -1 => {
            body.end()?;
            message(output, SASL_CONTINUE, b"");
            output.flush(socket).await?;
            response(socket, input, "SASL").await?
        }
        length => {
            let length = usize::try_from(length).map_err(|_| protocol_violation("invalid message format"))?;
            let first = body.bytes(length)?.to_vec();
            body.end()?;
            first
        }
    };
    let exchange = Exchange::begin(&first, verifier, randomness, channel)?;
    message(output, SASL_CONTINUE, exchange.server_first.as_bytes());
    output.flush(socket).await?;
    let last = response(socket, input, "SASL").await?;
    match exchange.finish(&last)? {
        Some(answer) => {
            message(output, SASL_FINAL, answer.as_bytes());
            Ok(true)
        }
        None => Ok(false),
    }
}

pub(crate) fn message(output: &mut Output, kind: i32, body: &[u8]) {
    let begun = output.begin(b'R');
    output.i32(kind);
    output.bytes(body);
    output.end(begun);
}

/// The body of the client's next message, which must be an answer to the challenge.
pub(crate) async fn response(
    socket: &mut (impl AsyncRead + Unpin),
    input: &mut Input,
    what: &str,
) -> Result<Vec<u8>, Refusal> {
    loop {
        match input.next_response() {
            Ok(Some(found)) if found.kind == b'p' => return Ok(input.body(&found).to_vec()),
            Ok(Some(found)) => {
                let message = format!("expected {what} response, got message type {}", found.kind);
                return Err(protocol_violation(message).into());
            }
            Ok(None) => {}
            Err(_) => return Err(protocol_violation("invalid message length").into()),
        }
        if input.fill(socket).await? == 0 {
            return Err(Refusal::Silent);
        }
    }
}
