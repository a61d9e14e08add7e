//! The server's side of a SCRAM-SHA-256 exchange (RFC 5802, RFC 7677), from message to message.
//!
//! 1. client-first: `n,,n=NAME,r=NONCE`; the name is not looked at, since the startup packet had one.
//! 2. server-first: `r=NONCE…,s=SALT,i=ITERATIONS`
//! 3. client-final: `c=BINDING,r=NONCE…,p=PROOF`
//! 4. server-final: `v=SIGNATURE`, if the proof is right.
//!
//! What the proof is made over are the first three messages without header and proof.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use heliosdb_nano::session::scram::Verifier;
use heliosdb_nano::session::{SqlError, SqlState};

use crate::wire::protocol_violation;

/// The mechanism that is offered always.
pub(crate) const MECHANISM: &str = "SCRAM-SHA-256";
/// The one that binds the exchange to the encrypted channel.
pub(crate) const MECHANISM_PLUS: &str = "SCRAM-SHA-256-PLUS";
/// The bytes of randomness in the server's part of the nonce, as PostgreSQL's.
pub(crate) const NONCE_BYTES: usize = 18;

/// What an exchange is held over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel<'a> {
    /// Nothing that it could be bound to.
    Unbound,
    /// The client could have bound it, and chose not to.
    Bindable,
    /// The client chose to bind it to this.
    Bound(&'a [u8]),
}

/// An exchange that waits for the client's last message.
pub(crate) struct Exchange {
    verifier: Verifier,
    /// What the client must say again of its header.
    binding: String,
    nonce: String,
    client_first: String,
    pub(crate) server_first: String,
}

impl Exchange {
    /// Reads the client's first message.
    ///
    /// # Errors
    /// 08P01 for one that is no such message, 0A000 for what is not supported.
    pub(crate) fn begin(
        message: &[u8],
        verifier: Verifier,
        randomness: [u8; NONCE_BYTES],
        channel: Channel<'_>,
    ) -> Result<Exchange, SqlError> {
        let message = text_of(message)?;
        let (header, bare) = split_header(message, channel)?;
        let mut attributes = bare.split(',');
        let name = attributes.next().unwrap_or_default();
        if name.starts_with("m=") {
            return Err(SqlError::unsupported("client requires an unsupported SCRAM extension"));
        }
        attribute(name, 'n')?;
        let client_nonce = attribute(attributes.next().unwrap_or_default(), 'r')?;
        if client_nonce.is_empty() || !client_nonce.bytes().all(|byte| matches!(byte, 0x21..=0x7e)) {
            return Err(protocol_violation("non-printable characters in SCRAM nonce"));
        }
        let nonce = format!("{client_nonce}{}", BASE64.encode(randomness));
        let server_first = format!("r={nonce},s={},i={}", BASE64.encode(&verifier.salt), verifier.iterations);
        Ok(Exchange {
            binding: match channel {
                Channel::Bound(end_point) => BASE64.encode([header.as_bytes(), end_point].concat()),
                Channel::Unbound | Channel::Bindable => BASE64.encode(header),
            },
            nonce,
            client_first: bare.to_owned(),
            server_first,
            verifier,
        })
    }

    /// Reads the client's last message; gives the server's, or `None` where the proof is wrong.
    ///
    /// # Errors
    /// 08P01 for one that is no such message, or does not belong to the exchange.
    pub(crate) fn finish(&self, message: &[u8]) -> Result<Option<String>, SqlError> {
        let message = text_of(message)?;
        let (without_proof, proof) =
            message.rsplit_once(",p=").ok_or_else(|| malformed("Attribute \"p\" is missing."))?;
        let mut attributes = without_proof.split(',');
        let binding = attribute(attributes.next().unwrap_or_default(), 'c')?;
        if binding != self.binding {
            let message = "unexpected SCRAM channel-binding attribute in client-final-message";
            return Err(protocol_violation(message));
        }
        let nonce = attribute(attributes.next().unwrap_or_default(), 'r')?;
        if nonce != self.nonce {
            return Err(protocol_violation("invalid SCRAM response").with_detail("Nonce does not match."));
        }
        let proof = BASE64
            .decode(proof)
            .ok()
            .filter(|proof| proof.len() == 32)
            .ok_or_else(|| malformed("Malformed proof in client-final-message."))?;
        let exchange = format!("{},{},{without_proof}", self.client_first, self.server_first);
        if !self.verifier.accepts(exchange.as_bytes(), &proof) {
            return Ok(None);
        }
        let signature = self.verifier.server_signature(exchange.as_bytes());
        Ok(Some(format!("v={}", BASE64.encode(signature))))
    }
}

fn malformed(detail: impl Into<String>) -> SqlError {
    protocol_violation("malformed SCRAM message").with_detail(detail)
}

fn text_of(message: &[u8]) -> Result<&str, SqlError> {
    match std::str::from_utf8(message) {
        Ok("") => Err(malformed("The message is empty.")),
        Ok(text) if text.contains('\0') => Err(malformed("Message length does not match input length.")),
        Ok(text) => Ok(text),
        Err(_) => Err(malformed("The message is not in UTF-8.")),
    }
}

/// The value of `letter=value`.
fn attribute(text: &str, letter: char) -> Result<&str, SqlError> {
    let mut characters = text.chars();
    match characters.next() {
        Some(found) if found == letter => {}
        found => {
            let found = found.map(String::from).unwrap_or_default();
            return Err(malformed(format!("Expected attribute \"{letter}\" but found \"{found}\".")));
        }
    }
    match characters.next() {
        Some('=') => Ok(characters.as_str()),
        _ => Err(malformed(format!("Expected character \"=\" for attribute \"{letter}\"."))),
    }
}

/// Cuts off the header, which says whether the message is bound to an encrypted channel.
fn split_header<'a>(message: &'a str, channel: Channel<'_>) -> Result<(&'a str, &'a str), SqlError> {
    let mut parts = message.splitn(3, ',');
    let (flag, identity, bare) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    match (flag, channel) {
        ("n" | "y", Channel::Bound(_)) => {
            return Err(malformed(
                "The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include channel binding data.",
            ));
        }
        // Somebody between the two took the offer away.
        ("y", Channel::Bindable) => {
            let message = "SCRAM channel binding negotiation error";
            return Err(SqlError::new(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message).with_detail(
                "The client supports SCRAM channel binding but thinks the server does not.  However, this server \
                 does support channel binding.",
            ));
        }
        // The client knows no binding, or believes that the server does not.
        ("n", _) | ("y", Channel::Unbound) => {}
        ("p=tls-server-end-point", Channel::Bound(_)) => {}
        (_, Channel::Bound(_)) if flag.starts_with("p=") => {
            let message = format!("unsupported SCRAM channel-binding type \"{}\"", &flag[2..]);
            return Err(protocol_violation(message));
        }
        _ if flag.starts_with('p') => {
            return Err(malformed(
                "The client selected SCRAM-SHA-256 without channel binding, but the SCRAM message includes \
                 channel binding data.",
            ));
        }
        _ => return Err(malformed(format!("Unexpected channel-binding flag \"{flag}\"."))),
    }
    match (identity, bare) {
        (Some(""), Some(bare)) => Ok((&message[..flag.len() + 2], bare)),
        (Some(identity), _) if identity.starts_with('a') => {
            Err(SqlError::unsupported("client uses authorization identity, but it is not supported"))
        }
        _ => Err(malformed("Unexpected attribute in client-first-message.")),
    }
}

/// 28P01.
pub(crate) fn wrong_password(user: &str) -> SqlError {
    let message = format!("password authentication failed for user \"{user}\"");
    SqlError::new(SqlState::INVALID_PASSWORD, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin_over(message: &str, channel: Channel<'_>) -> Result<Exchange, SqlError> {
        let verifier = Verifier::mock(b"secret", "user");
        Exchange::begin(message.as_bytes(), verifier, [1; NONCE_BYTES], channel)
    }

    fn begin(message: &str) -> Result<Exchange, SqlError> {
        begin_over(message, Channel::Unbound)
    }

    #[test]
    fn exchanges_are_bound_to_what_the_client_chose() {
        let bound = Channel::Bound(b"hash");
        let exchange = begin_over("p=tls-server-end-point,,n=,r=abc", bound).expect("valid");
        assert_eq!(exchange.binding, BASE64.encode(b"p=tls-server-end-point,,hash"));
        assert_eq!(begin_over("n,,n=,r=abc", Channel::Bindable).expect("valid").binding, "biws");
        for (message, channel, state) in [
            ("y,,n=,r=abc", Channel::Bindable, "28000"),
            ("p=tls-server-end-point,,n=,r=abc", Channel::Bindable, "08P01"),
            ("p=tls-unique,,n=,r=abc", bound, "08P01"),
            ("n,,n=,r=abc", bound, "08P01"),
            ("y,,n=,r=abc", bound, "08P01"),
        ] {
            let Err(error) = begin_over(message, channel) else { panic!("{message} is accepted") };
            assert_eq!(error.state().as_str(), state, "{message}");
        }
    }

    #[test]
    fn the_first_message_is_answered_with_nonce_salt_and_iterations() {
        let exchange = begin("n,,n=user,r=abc").expect("valid");
        assert!(exchange.server_first.starts_with("r=abcAQEB"), "{}", exchange.server_first);
        assert!(exchange.server_first.ends_with(",i=4096"));
        assert_eq!(exchange.binding, "biws");
        assert_eq!(begin("y,,n=,r=abc,x=future").expect("valid").binding, "eSws");
    }

    #[test]
    fn first_messages_that_are_none_are_refused() {
        for (message, state) in [
            ("", "08P01"),
            ("n", "08P01"),
            ("n,,", "08P01"),
            ("n,,r=abc", "08P01"),
            ("n,,n=user", "08P01"),
            ("n,,n=user,r=", "08P01"),
            ("n,,n=user,r=gr\u{fc}n", "08P01"),
            ("n,,n user,r=abc", "08P01"),
            ("p=tls-server-end-point,,n=,r=abc", "08P01"),
            ("z,,n=,r=abc", "08P01"),
            ("n,a=other,n=,r=abc", "0A000"),
            ("n,,m=ext,n=,r=abc", "0A000"),
            ("n,,n=u\0,r=abc", "08P01"),
        ] {
            let Err(error) = begin(message) else { panic!("{message} is accepted") };
            assert_eq!(error.state().as_str(), state, "{message}");
        }
    }

    #[test]
    fn last_messages_must_belong_to_the_exchange() {
        let exchange = begin("n,,n=user,r=abc").expect("valid");
        let proof = BASE64.encode([0; 32]);
        let nonce = &exchange.nonce;
        assert_eq!(exchange.finish(format!("c=biws,r={nonce},p={proof}").as_bytes()).expect("valid"), None);
        for message in [
            String::new(),
            format!("c=biws,r={nonce}"),
            format!("c=eSws,r={nonce},p={proof}"),
            format!("c=biws,r=abc,p={proof}"),
            format!("c=biws,r={nonce},p=AAAA"),
            format!("c=biws,r={nonce},p=?"),
            format!("r={nonce},p={proof}"),
        ] {
            let error = exchange.finish(message.as_bytes()).expect_err("refused");
            assert_eq!(error.state(), SqlState::PROTOCOL_VIOLATION, "{message}");
        }
    }
}
