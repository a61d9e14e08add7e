//! What SCRAM binds a login to: the hash of the server's certificate (`tls-server-end-point`, RFC 5929).
//!
//! Whoever sits between client and server shows another certificate, and the client's proof is good for that alone.
//! The hash is that of the certificate's signature, but SHA-256 in place of MD5 and SHA-1.

use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::der::{OBJECT_IDENTIFIER, SEQUENCE, element};

/// The beginnings of the identifiers of RSA's and ECDSA's signatures; one byte more tells the hash.
const RSA: [u8; 8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
const ECDSA: [u8; 7] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
const ECDSA_SHA1: [u8; 7] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01];

/// The hash of a certificate in DER; `None` for a signature that names no hash: nothing can be bound then.
pub(crate) fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let (body, _) = element(certificate, SEQUENCE)?;
    let (_, behind_content) = element(body, SEQUENCE)?;
    let (algorithm, _) = element(behind_content, SEQUENCE)?;
    let (identifier, _) = element(algorithm, OBJECT_IDENTIFIER)?;
    let (family, last) = identifier.split_at_checked(identifier.len().checked_sub(1)?)?;
    let bits = match (family, last) {
        (family, [4 | 5 | 11]) if family == RSA => 256,
        (family, [12]) if family == RSA => 384,
        (family, [13]) if family == RSA => 512,
        (family, [2]) if family == ECDSA => 256,
        (family, [3]) if family == ECDSA => 384,
        (family, [4]) if family == ECDSA => 512,
        _ if identifier == ECDSA_SHA1 => 256,
        _ => return None,
    };
    Some(match bits {
        256 => Sha256::digest(certificate).to_vec(),
        384 => Sha384::digest(certificate).to_vec(),
        _ => Sha512::digest(certificate).to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate of nothing but its signature's algorithm.
    fn certificate(identifier: &[u8]) -> Vec<u8> {
        let identifier = [&[OBJECT_IDENTIFIER, identifier.len() as u8], identifier].concat();
        let algorithm = [&[SEQUENCE, identifier.len() as u8], &identifier[..]].concat();
        let content = [vec![SEQUENCE, 0x82, 1, 0], vec![0; 256]].concat();
        let body = [content, algorithm].concat();
        [&[SEQUENCE, 0x82, (body.len() >> 8) as u8, body.len() as u8], &body[..]].concat()
    }

    #[test]
    fn the_hash_is_that_of_the_signature() {
        for (family, last, bytes) in [
            (&RSA[..], 5, Some(32)),
            (&RSA[..], 11, Some(32)),
            (&RSA[..], 12, Some(48)),
            (&RSA[..], 13, Some(64)),
            (&RSA[..], 10, None),
            (&ECDSA[..], 2, Some(32)),
            (&ECDSA[..], 4, Some(64)),
            (&ECDSA_SHA1[..6], 1, Some(32)),
            // Ed25519
            (&[0x2b, 0x65], 0x70, None),
        ] {
            let certificate = certificate(&[family, &[last]].concat());
            assert_eq!(end_point(&certificate).map(|hash| hash.len()), bytes, "{family:?} {last}");
            for end in 0..certificate.len() {
                assert_eq!(end_point(&certificate[..end]), None);
            }
        }
        assert_eq!(end_point(&certificate(&[])), None);
    }
}
