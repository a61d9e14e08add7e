//! Digests: PostgreSQL's `sha224` to `sha512`, and what the extension pgcrypto has: `digest`, `hmac`, `gen_random_bytes`.

use hmac::{Hmac, Mac};
use md5::Md5;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use super::registry::{Entry, Registry};
use super::vector::wrong_arguments;
use super::{EvalContext, ScalarKernel};
use crate::error::{Result, SqlError, SqlState};
use crate::types::oids::{BYTEA, INT4, TEXT};
use crate::value::Datum;

/// The most that `gen_random_bytes` gives at once.
const RANDOM_BYTES_MAX: i32 = 1024;

fn digest<D: Digest>(arguments: &[Datum], context: &EvalContext<'_>) -> Result<Datum> {
    let [Datum::Bytes(bytes)] = arguments else { return Err(wrong_arguments()) };
    hashed::<D>(bytes, context).map(Datum::from)
}

/// The digest of bytes, made piece by piece.
pub(super) fn hashed<D: Digest>(bytes: &[u8], context: &EvalContext<'_>) -> Result<Vec<u8>> {
    let mut hash = D::new();
    for piece in context.pieces(bytes) {
        hash.update(piece?);
    }
    Ok(hash.finalize().to_vec())
}

fn bytes_of(argument: &Datum) -> Result<&[u8]> {
    match argument {
        Datum::Bytes(bytes) => Ok(bytes),
        Datum::Text(text) => Ok(text.as_bytes()),
        _ => Err(wrong_arguments()),
    }
}

/// `digest(data, algorithm)`.
fn named_digest(arguments: &[Datum], context: &EvalContext<'_>) -> Result<Datum> {
    let [data, Datum::Text(algorithm)] = arguments else { return Err(wrong_arguments()) };
    let data = bytes_of(data)?;
    Ok(Datum::from(match algorithm.to_ascii_lowercase().as_str() {
        "md5" => hashed::<Md5>(data, context)?,
        "sha224" => hashed::<Sha224>(data, context)?,
        "sha256" => hashed::<Sha256>(data, context)?,
        "sha384" => hashed::<Sha384>(data, context)?,
        "sha512" => hashed::<Sha512>(data, context)?,
        _ => return Err(no_algorithm(algorithm)),
    }))
}

/// `hmac(data, key, algorithm)`.
fn named_hmac(arguments: &[Datum], context: &EvalContext<'_>) -> Result<Datum> {
    let [data, key, Datum::Text(algorithm)] = arguments else { return Err(wrong_arguments()) };
    let (data, key) = (bytes_of(data)?, bytes_of(key)?);
    macro_rules! code {
        ($hash:ty) => {{
            let mut mac = Hmac::<$hash>::new_from_slice(key).map_err(|_| wrong_arguments())?;
            for piece in context.pieces(data) {
                mac.update(piece?);
            }
            mac.finalize().into_bytes().to_vec()
        }};
    }
    Ok(Datum::from(match algorithm.to_ascii_lowercase().as_str() {
        "md5" => code!(Md5),
        "sha224" => code!(Sha224),
        "sha256" => code!(Sha256),
        "sha384" => code!(Sha384),
        "sha512" => code!(Sha512),
        _ => return Err(no_algorithm(algorithm)),
    }))
}

fn no_algorithm(name: &str) -> SqlError {
    SqlError::invalid_parameter(format!("Cannot use \"{name}\": No such hash algorithm"))
}

pub(super) fn register(registry: &mut Registry) {
    let entries: [(&'static str, ScalarKernel); 4] = [
        ("sha224", digest::<Sha224>),
        ("sha256", digest::<Sha256>),
        ("sha384", digest::<Sha384>),
        ("sha512", digest::<Sha512>),
    ];
    for (name, kernel) in entries {
        registry.add(Entry::new(name, &[BYTEA], BYTEA, kernel));
    }
    for data in [TEXT, BYTEA] {
        registry.add(Entry::new("digest", &[data, TEXT], BYTEA, named_digest));
        registry.add(Entry::new("hmac", &[data, data, TEXT], BYTEA, named_hmac));
    }
    registry.add(
        Entry::new("gen_random_bytes", &[INT4], BYTEA, |arguments, context| {
            let [Datum::Int32(count)] = arguments else { return Err(wrong_arguments()) };
            if !(1..=RANDOM_BYTES_MAX).contains(count) {
                return Err(SqlError::new(
                    SqlState::EXTERNAL_ROUTINE_INVOCATION_EXCEPTION,
                    "Length not in range",
                ));
            }
            let mut bytes = vec![0; *count as usize];
            context.session.random_bytes(&mut bytes)?;
            Ok(Datum::from(bytes))
        })
        .volatile(),
    );
}
