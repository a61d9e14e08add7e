//! Who a client is, and whether it may connect.
//!
//! 1. A client on this machine is believed where the options say so; all others show by SCRAM-SHA-256 that they know
//!    their role's password.
//! 2. A role that does not exist or has no password that is good is challenged like any other, so that nobody learns
//!    which roles there are.
//! 3. Only then is said that a role may not log in.

use std::sync::Arc;

use futures_lite::{AsyncRead, AsyncWrite};
use helios_runtime::executor::Peer;
use helios_runtime::{Entropy, SystemEntropy};
use heliosdb_nano::session::scram::Verifier;
use heliosdb_nano::session::{Role, SqlError, SqlState};

use crate::options::Authentication;
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

/// Finds out who the client is: the role that it may act as.
pub(crate) async fn authenticate(
    socket: &mut Stream,
    input: &mut Input,
    output: &mut Output,
    user: &str,
    shared: &Shared,
) -> Result<Arc<Role>, Refusal> {
    let role = shared.engine.role(user).await?;
    if !is_trusted(socket.peer(), shared.options.authentication) {
        let verifier = role.as_deref().and_then(|role| good_verifier(role, shared));
        let verifier = verifier.unwrap_or_else(|| Verifier::mock(shared.engine.mock_secret(), user));
        let tls = shared.tls.as_ref().filter(|_| socket.is_encrypted());
        let end_point = tls.and_then(Tls::end_point).cloned();
        prove(socket, input, output, user, verifier, end_point.as_deref()).await?;
    }
    message(output, OK, b"");
    let refused = |message: String| SqlError::new(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message);
    let role = role.ok_or_else(|| refused(format!("role \"{user}\" does not exist")))?;
    if !role.attributes.login {
        return Err(refused(format!("role \"{user}\" is not permitted to log in")).into());
    }
    Ok(role)
}

/// Whether a client is believed to be who it says.
fn is_trusted(peer: Option<Peer>, authentication: Authentication) -> bool {
    let is_local = match peer {
        Some(Peer::Tcp(address)) => address.ip().is_loopback(),
        Some(Peer::Unix(_)) => true,
        None => false,
    };
    is_local && authentication == Authentication::Trust
}

/// What a role's password is checked with, if it has one that is still good.
fn good_verifier(role: &Role, shared: &Shared) -> Option<Verifier> {
    let now = shared.engine.now();
    if role.valid_until.is_some_and(|end| end < now) {
        return None;
    }
    Verifier::parse(role.verifier.as_deref()?)
}

/// Lets the client show that it knows the password.
async fn prove(
    socket: &mut (impl AsyncRead + AsyncWrite + Unpin),
    input: &mut Input,
    output: &mut Output,
    user: &str,
    verifier: Verifier,
    end_point: Option<&[u8]>,
) -> Result<(), Refusal> {
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
    let answer = response(socket, input).await?;
    let mut body = Body::new(&answer);
    let channel = match (body.string()?, end_point) {
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
            response(socket, input).await?
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
    let last = response(socket, input).await?;
    match exchange.finish(&last)? {
        Some(answer) => {
            message(output, SASL_FINAL, answer.as_bytes());
            Ok(())
        }
        None => Err(wrong_password(user).into()),
    }
}

fn message(output: &mut Output, kind: i32, body: &[u8]) {
    let begun = output.begin(b'R');
    output.i32(kind);
    output.bytes(body);
    output.end(begun);
}

/// The body of the client's next message, which must be an answer to the challenge.
async fn response(socket: &mut (impl AsyncRead + Unpin), input: &mut Input) -> Result<Vec<u8>, Refusal> {
    loop {
        match input.next_response() {
            Ok(Some(found)) if found.kind == b'p' => return Ok(input.body(&found).to_vec()),
            Ok(Some(found)) => {
                let message = format!("expected SASL response, got message type {}", found.kind);
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
