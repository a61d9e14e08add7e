//! Whose certificate it is: the common name of its subject.

use crate::der::{OBJECT_IDENTIFIER, SEQUENCE, SET, any_element, element};

/// The identifier of common names.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
/// The explicit tag of a certificate's version.
const VERSION: u8 = 0xa0;
/// The kinds of text that are, or are within, UTF-8.
const TEXTS: [u8; 4] = [0x0c, 0x13, 0x14, 0x16];

/// The common name of a certificate in DER; `None` where it has none that is a text without zeros.
pub(crate) fn common_name(certificate: &[u8]) -> Option<String> {
    let (body, _) = element(certificate, SEQUENCE)?;
    let (mut content, _) = element(body, SEQUENCE)?;
    if let Some((_, rest)) = element(content, VERSION) {
        content = rest;
    }
    // Behind serial number, algorithm, issuer and validity comes the subject.
    for _ in 0..4 {
        (_, _, content) = any_element(content)?;
    }
    let (mut names, _) = element(content, SEQUENCE)?;
    while let Some((mut set, rest)) = element(names, SET) {
        names = rest;
        while let Some((attribute, rest)) = element(set, SEQUENCE) {
            set = rest;
            let (identifier, value) = element(attribute, OBJECT_IDENTIFIER)?;
            if identifier == COMMON_NAME {
                let (kind, text, _) = any_element(value)?;
                let text = std::str::from_utf8(text).ok().filter(|text| !text.contains('\0'))?;
                return TEXTS.contains(&kind).then(|| text.to_owned());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_rustls::rustls::pki_types::CertificateDer;
    use futures_rustls::rustls::pki_types::pem::PemObject;

    #[test]
    fn the_name_is_the_subjects() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server/tls/certificate.pem");
        let certificate = CertificateDer::from_pem_file(file).expect("a certificate");
        assert_eq!(common_name(&certificate).as_deref(), Some("localhost"));
        for end in 0..certificate.len() {
            assert_eq!(common_name(&certificate[..end]), None);
        }
    }
}
