//! SCRAM-SHA-256 (RFC 5802, RFC 7677): what a password is checked with, in PostgreSQL's text form.
//!
//! A verifier does not tell the password, and whoever has it still cannot answer the server's challenge. It is
//! `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, the bytes in base64:
//!
//! 1. SaltedPassword = PBKDF2-HMAC-SHA-256(password, salt, iterations)
//! 2. StoredKey = SHA-256(HMAC(SaltedPassword, "Client Key"))
//! 3. ServerKey = HMAC(SaltedPassword, "Server Key")

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// PostgreSQL's number of iterations.
pub const ITERATIONS: u32 = 4_096;
/// The length of the salts that we make, as PostgreSQL's.
pub const SALT_BYTES: usize = 16;
const PREFIX: &str = "SCRAM-SHA-256$";

type Key = [u8; 32];

/// What a password is checked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    pub iterations: u32,
    pub salt: Vec<u8>,
    stored_key: Key,
    server_key: Key,
}

impl Verifier {
    /// The verifier of a password. Takes some milliseconds: that is its purpose.
    #[must_use]
    pub fn of_password(password: &str, salt: &[u8], iterations: u32) -> Verifier {
        // What cannot be prepared is taken as it is: PostgreSQL's clients do the same.
        let prepared = stringprep::saslprep(password).unwrap_or(password.into());
        let mut salted = Key::default();
        pbkdf2::pbkdf2_hmac::<Sha256>(prepared.as_bytes(), salt, iterations, &mut salted);
        Verifier {
            iterations,
            salt: salt.to_vec(),
            stored_key: Sha256::digest(hmac(&salted, b"Client Key")).into(),
            server_key: hmac(&salted, b"Server Key"),
        }
    }

    /// Reads the text form; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Verifier> {
        let (head, keys) = text.strip_prefix(PREFIX)?.split_once('$')?;
        let (iterations, salt) = head.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        let key = |text: &str| Key::try_from(BASE64.decode(text).ok()?).ok();
        Some(Verifier {
            iterations: iterations.parse().ok().filter(|count| *count > 0)?,
            salt: BASE64.decode(salt).ok().filter(|salt| !salt.is_empty())?,
            stored_key: key(stored_key)?,
            server_key: key(server_key)?,
        })
    }

    /// What a role without a password is challenged with, so that nobody learns that there is none: always the same
    /// for a name, and nothing satisfies it.
    #[must_use]
    pub fn mock(secret: &[u8], role: &str) -> Verifier {
        let salt = hmac(secret, role.as_bytes())[..SALT_BYTES].to_vec();
        // Nobody knows anything that hashes to this; nobody may rely on it either.
        Verifier { iterations: ITERATIONS, salt, stored_key: Key::default(), server_key: Key::default() }
    }

    /// Whether a client's proof shows that it knows the password. Takes the same time whatever the answer.
    #[must_use]
    pub fn accepts(&self, exchange: &[u8], proof: &[u8]) -> bool {
        let signature = hmac(&self.stored_key, exchange);
        let Ok(proof) = Key::try_from(proof) else { return false };
        let mut client_key = Key::default();
        for (byte, (left, right)) in client_key.iter_mut().zip(signature.iter().zip(&proof)) {
            *byte = left ^ right;
        }
        Sha256::digest(client_key).as_slice().ct_eq(&self.stored_key).into()
    }

    /// Whether it is the verifier of a password.
    #[must_use]
    pub fn is_of(&self, password: &str) -> bool {
        let other = Verifier::of_password(password, &self.salt, self.iterations);
        other.stored_key.ct_eq(&self.stored_key).into()
    }

    /// What shows the client that the server knows the verifier.
    #[must_use]
    pub fn server_signature(&self, exchange: &[u8]) -> Key {
        hmac(&self.server_key, exchange)
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, stored_key, server_key] =
            [&self.salt[..], &self.stored_key, &self.server_key].map(|bytes| BASE64.encode(bytes));
        write!(formatter, "{PREFIX}{}:{salt}${stored_key}:{server_key}", self.iterations)
    }
}

fn hmac(key: &[u8], message: &[u8]) -> Key {
    let mut code = <Hmac<Sha256> as Mac>::new_from_slice(key).expect("HMAC takes keys of any length");
    code.update(message);
    code.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677, section 3.
    #[test]
    fn the_example_of_the_standard_holds() {
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
        let verifier = Verifier::of_password("pencil", &salt, 4_096);
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let exchange = format!(
            "n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={nonce}"
        );
        let proof = BASE64.decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").expect("base64");
        assert!(verifier.accepts(exchange.as_bytes(), &proof));
        let signature = BASE64.encode(verifier.server_signature(exchange.as_bytes()));
        assert_eq!(signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        for at in [0, 31] {
            let mut wrong = proof.clone();
            wrong[at] ^= 1;
            assert!(!verifier.accepts(exchange.as_bytes(), &wrong));
        }
        assert!(!verifier.accepts(exchange.as_bytes(), &proof[..31]));
        assert!(!Verifier::mock(b"secret", "user").accepts(exchange.as_bytes(), &proof));
    }

    #[test]
    fn verifiers_are_read_as_they_are_written() {
        let verifier = Verifier::of_password("grün", &[7; SALT_BYTES], 10);
        assert_eq!(Verifier::parse(&verifier.to_string()), Some(verifier));
        let keys = format!("{0}:{0}", BASE64.encode([1; 32]));
        assert!(Verifier::parse(&format!("SCRAM-SHA-256$4096:AAAA${keys}")).is_some());
        for wrong in [
            "",
            "SCRAM-SHA-256$",
            "md5c4ca4238a0b923820dcc509a6f75849b",
            &format!("SCRAM-SHA-256$0:AAAA${keys}"),
            &format!("SCRAM-SHA-256$4096:${keys}"),
            &format!("SCRAM-SHA-256$4096:?${keys}"),
            &format!("SCRAM-SHA-256$-1:AAAA${keys}"),
            "SCRAM-SHA-256$4096:AAAA$AAAA:AAAA",
        ] {
            assert_eq!(Verifier::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn mock_challenges_stay_the_same_for_a_name() {
        assert_eq!(Verifier::mock(b"1", "a"), Verifier::mock(b"1", "a"));
        assert_ne!(Verifier::mock(b"1", "a").salt, Verifier::mock(b"1", "b").salt);
        assert_ne!(Verifier::mock(b"1", "a").salt, Verifier::mock(b"2", "a").salt);
    }
}
