//! Passwords as they are, which only encrypted connections and those of this machine carry.

use futures_lite::{AsyncRead, AsyncWrite};
use heliosdb_nano::session::scram::Verifier;

use crate::authentication::{message, response};
use crate::startup::Refusal;
use crate::wire::{Body, Input, Output, protocol_violation};

/// The kind of the message that asks for one.
const CLEARTEXT_PASSWORD: i32 = 3;

/// Asks for the password; tells whether it is the one that the verifier is of.
pub(crate) async fn ask(
    socket: &mut (impl AsyncRead + AsyncWrite + Unpin),
    input: &mut Input,
    output: &mut Output,
    verifier: &Verifier,
) -> Result<bool, Refusal> {
    message(output, CLEARTEXT_PASSWORD, b"");
    output.flush(socket).await?;
    let answer = response(socket, input, "password").await?;
    let mut body = Body::new(&answer);
    let password = body.string().map_err(|_| protocol_violation("invalid password packet size"))?;
    body.end().map_err(|_| protocol_violation("invalid password packet size"))?;
    Ok(verifier.is_of(&password))
}
