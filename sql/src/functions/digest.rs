//! `sha224`, `sha256`, `sha384`, `sha512`.

use super::ScalarKernel;
use super::registry::{Entry, Registry};
use super::vector::wrong_arguments;
use crate::error::Result;
use crate::types::oids::BYTEA;
use crate::value::Datum;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

fn digest<D: Digest>(arguments: &[Datum]) -> Result<Datum> {
    let [Datum::Bytes(bytes)] = arguments else { return Err(wrong_arguments()) };
    Ok(Datum::from(D::digest(bytes).to_vec()))
}

pub(super) fn register(registry: &mut Registry) {
    let entries: [(&'static str, ScalarKernel); 4] = [
        ("sha224", |arguments, _| digest::<Sha224>(arguments)),
        ("sha256", |arguments, _| digest::<Sha256>(arguments)),
        ("sha384", |arguments, _| digest::<Sha384>(arguments)),
        ("sha512", |arguments, _| digest::<Sha512>(arguments)),
    ];
    for (name, kernel) in entries {
        registry.add(Entry::new(name, &[BYTEA], BYTEA, kernel));
    }
}
