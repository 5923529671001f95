//! The bodies of EST messages (RFC 7030): base64 in, certs-only PKCS#7 out.

use base64ct::{Base64, Encoding};
use der::asn1::{Any, ContextSpecific, ObjectIdentifier, SetOfVec};
use der::{Encode, Sequence, TagMode, TagNumber};

use crate::error::AuthorityError;
use crate::x509::encoding;

/// `id-data` (RFC 5652 §4).
const ID_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
/// `id-signedData` (RFC 5652 §5.1).
const ID_SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");

/// Whether the base64 text is wrapped. Clients disagree: one refuses a single line, another refuses line breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrapping {
    /// Lines of 76 characters (RFC 2045 §6.8).
    Lines,
    /// One line.
    None,
}

#[derive(Sequence)]
struct ContentInfo {
    content_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    content: SignedData,
}

#[derive(Sequence)]
struct SignedData {
    version: u8,
    digest_algorithms: SetOfVec<Any>,
    encapsulated: EncapsulatedContent,
    certificates: ContextSpecific<SetOfVec<Any>>,
    signer_infos: SetOfVec<Any>,
}

#[derive(Sequence)]
struct EncapsulatedContent {
    content_type: ObjectIdentifier,
}

/// A certs-only message: `SignedData` without content and signers, holding these certificates.
///
/// # Source
/// RFC 7030 §4.1.3: "The EST server MUST include the current root CA certificate in the response" and the body is "a
/// Simple PKI Response" (RFC 5272 §4.1), a degenerate certs-only CMS SignedData.
///
/// # Errors
/// [`AuthorityError::Encoding`] when a certificate is no DER.
pub fn certs_only(certificates: &[&[u8]]) -> Result<Vec<u8>, AuthorityError> {
    let fail = || encoding("a certs-only message");
    let all =
        certificates.iter().map(|der| <Any as der::Decode>::from_der(der)).collect::<Result<Vec<_>, _>>();
    let set = SetOfVec::try_from(all.map_err(fail())?).map_err(fail())?;
    let message = ContentInfo {
        content_type: ID_SIGNED_DATA,
        content: SignedData {
            version: 1,
            digest_algorithms: SetOfVec::new(),
            encapsulated: EncapsulatedContent { content_type: ID_DATA },
            certificates: ContextSpecific {
                tag_number: TagNumber::N0,
                tag_mode: TagMode::Implicit,
                value: set,
            },
            signer_infos: SetOfVec::new(),
        },
    };
    message.to_der().map_err(fail())
}

#[derive(Sequence)]
struct CsrAttributes {
    signature: ObjectIdentifier,
    key: KeyAttribute,
}

#[derive(Sequence)]
struct KeyAttribute {
    key_type: ObjectIdentifier,
    values: SetOfVec<ObjectIdentifier>,
}

/// What a request should hold: a P-256 key, signed with `ecdsa-with-SHA256`.
///
/// # Source
/// RFC 7030 §4.5.2, `CsrAttrs ::= SEQUENCE SIZE (0..MAX) OF AttrOrOID`.
///
/// # Errors
/// [`AuthorityError::Encoding`], which cannot happen for these constants.
pub fn csr_attributes() -> Result<Vec<u8>, AuthorityError> {
    let fail = || encoding("the CSR attributes");
    let curve = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
    let attributes = CsrAttributes {
        signature: crate::x509::ECDSA_WITH_SHA256,
        key: KeyAttribute {
            key_type: ObjectIdentifier::new_unwrap("1.2.840.10045.2.1"),
            values: SetOfVec::try_from(vec![curve]).map_err(fail())?,
        },
    };
    attributes.to_der().map_err(fail())
}

/// Base64 as an EST body.
#[must_use]
pub fn encode_body(der: &[u8], wrapping: Wrapping) -> String {
    let text = Base64::encode_string(der);
    match wrapping {
        Wrapping::None => text,
        Wrapping::Lines => {
            let mut lines = String::with_capacity(text.len() + text.len() / 76 + 1);
            for (at, c) in text.chars().enumerate() {
                if at > 0 && at % 76 == 0 {
                    lines.push('\n');
                }
                lines.push(c);
            }
            lines.push('\n');
            lines
        }
    }
}

/// Reads a body that is base64 with any white space, PEM, or DER itself.
///
/// # Source
/// RFC 7030 §4.2.1 with RFC 8951 §3.1: base64, and `Content-Transfer-Encoding` is not looked at.
///
/// # Errors
/// What is wrong, in words.
pub fn decode_body(body: &[u8]) -> Result<Vec<u8>, String> {
    // DER of a request starts with a SEQUENCE of more than 127 bytes, which no base64 text does.
    if body.first() == Some(&0x30) && body.get(1).is_some_and(|length| *length >= 0x80) {
        return Ok(body.to_vec());
    }
    let text = std::str::from_utf8(body).map_err(|_| "the body is neither base64 nor DER".to_owned())?;
    let base64: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("-----"))
        .flat_map(str::chars)
        .filter(|c| !c.is_ascii_whitespace())
        .collect();
    if base64.is_empty() {
        return Err("the body is empty".to_owned());
    }
    Base64::decode_vec(&base64).map_err(|_| "the body is not base64".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_wrappings_are_read_back(bytes in proptest::collection::vec(any::<u8>(), 1..400)) {
            for wrapping in [Wrapping::Lines, Wrapping::None] {
                prop_assert_eq!(decode_body(encode_body(&bytes, wrapping).as_bytes()).unwrap(), bytes.clone());
            }
        }

        #[test]
        fn any_body_is_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_body(&bytes);
        }
    }
}
