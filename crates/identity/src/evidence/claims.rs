//! The claims of RFC 9711 that an envelope makes of its device: what the native statements inside say, in words that any
//! reader of such tokens knows.
//!
//! They are computed from the statements and certificates ([`Claims::of`]), by the Attester as by the Verifier, so they add nothing
//! that a Verifier would have to believe: a claim that differs from the computed one is a contradiction. The statements
//! themselves prove nothing before they are appraised, and so do the claims.

use ciborium::Value;
use der::asn1::{PrintableStringRef, Utf8StringRef};
use der::oid::{AssociatedOid, ObjectIdentifier};
use der::{Any, Decode, Encode};
use x509_cert::Certificate;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::cbor::{self, Fields};
use super::statements::{pcr_values, read_pcr_values};
use super::{Evidence, EvidenceError};
use crate::apdu::se05x::AppletVersion;
use crate::apdu::se05x::bound::BoundRead;
use crate::assurance::Part;
use crate::key::sha256;
use crate::text::printable;
use crate::tpm::proof::{PcrValue, Quote};
use crate::tpm::{Attest, PublicArea};

/// Claim keys (RFC 9711 §4.2, §10.2).
const UEID: i64 = 256;
const OEMID: i64 = 258;
const HWMODEL: i64 = 259;
const HWVERSION: i64 = 260;
const SWNAME: i64 = 270;
const SWVERSION: i64 = 271;
const MEASUREMENTS: i64 = 273;

/// RFC 9711 §4.2.1.1: the type of a UEID that is made of random bits, or of a hash of them.
const UEID_RANDOM: u8 = 1;
/// CoAP content format of CBOR (RFC 8949 §9.4): the type of our measurements.
const CONTENT_CBOR: u8 = 60;
/// RFC 9711 §4.2.4: a model is 1 to 32 bytes long.
const MAX_MODEL_BYTES: usize = 32;
/// The longest text of a claim, in characters; the longest vendor or model of a part.
const MAX_TEXT: usize = 64;

/// TPM manufacturer, model and version in the subject alternative name of an EK certificate (TCG EK Credential
/// Profile 2.4, §3).
const TPM_MANUFACTURER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.2.1");
const TPM_MODEL: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.2.2");
const TPM_VERSION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.2.3");
/// Names in RFC 5280 appendix A.1.
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
/// The firmware version in an attestation certificate of Yubico's PIV application, three bytes.
const YUBICO_FIRMWARE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.41482.3.3");
/// Yubico's private enterprise number.
const YUBICO: u32 = 41_482;

/// Who made the part (RFC 9711 §4.2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OemId {
    /// A private enterprise number.
    Enterprise(u32),
    /// 16 bytes: here the first ones of SHA-256 over the maker's name, as its certificate writes it.
    Name([u8; 16]),
}

impl OemId {
    fn of_name(name: &str) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(sha256(name.as_bytes()).split_at(16).0);
        Self::Name(id)
    }
}

/// Claims about device and part; absent is what the statements do not say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claims {
    /// `ueid` (256), 33 bytes: 1, and SHA-256 over what is the part's alone, which is the public key of a TPM's EK
    /// certificate, the id of a secure element, the public key of a token's attestation certificate.
    pub ueid: Option<Vec<u8>>,
    /// `oemid` (258): who made the part.
    pub oemid: Option<OemId>,
    /// `hwmodel` (259), 1 to 32 bytes: the part, as its certificate names it.
    pub hwmodel: Option<Vec<u8>>,
    /// `hwversion` (260): the part's version, as its certificate names it.
    pub hwversion: Option<String>,
    /// `swname` (270): what runs in the part.
    pub swname: Option<String>,
    /// `swversion` (271): its version, as the part states.
    pub swversion: Option<String>,
    /// `measurements` (273): the quoted PCRs, one entry of CBOR: an array of arrays of algorithm, PCR and value.
    pub measurements: Vec<PcrValue>,
}

impl Claims {
    /// What these statements say.
    #[must_use]
    pub fn of(key: &Evidence, boot: Option<&Quote>) -> Self {
        let mut claims = match key {
            Evidence::Tpm(tpm) => {
                let certificate = Certificate::from_der(&tpm.ek_certificate).ok();
                let part = certificate.as_ref().and_then(tpm_part);
                let firmware = || {
                    let statement = Attest::from_bytes(&tpm.certify_info).ok()?;
                    let ak = PublicArea::from_bytes(&tpm.ak_public).ok()?;
                    statement.plain_firmware(&ak).map(firmware_text)
                };
                Self {
                    ueid: certificate.as_ref().and_then(public_key).map(|key| ueid(&key)),
                    swname: Some("TPM firmware".to_owned()),
                    swversion: firmware(),
                    ..Self::of_part(part)
                }
            }
            Evidence::Element(element) => {
                Self::of_element(&element.chip_certificate, Some(&element.chip_id), &element.applet_version)
            }
            Evidence::BoundRead(element) => {
                let read = BoundRead::parse(&element.answer).ok();
                let chip_id = read.as_ref().map(|read| &read.chip_id[..]);
                Self::of_element(&element.chip_certificate, chip_id, &element.applet_version)
            }
            Evidence::Pkcs11(token) => {
                let issuer = token.chain.first().and_then(|der| Certificate::from_der(der).ok());
                let firmware =
                    Certificate::from_der(&token.certificate).ok().as_ref().and_then(yubico_firmware);
                Self {
                    ueid: issuer.as_ref().and_then(public_key).map(|key| ueid(&key)),
                    oemid: firmware.is_some().then_some(OemId::Enterprise(YUBICO)),
                    swname: firmware.is_some().then(|| "PIV application".to_owned()),
                    swversion: firmware,
                    ..Self::default()
                }
            }
        };
        claims.measurements = boot.map(|quote| quote.pcrs.clone()).unwrap_or_default();
        claims
    }

    fn of_element(certificate: &[u8], chip_id: Option<&[u8]>, applet_version: &[u8]) -> Self {
        let certificate = Certificate::from_der(certificate).ok();
        let subject = |oid| certificate.as_ref().and_then(|it| subject_text(it, oid));
        Self {
            ueid: chip_id.map(ueid),
            oemid: subject(ORGANIZATION).map(|name| OemId::of_name(&name)),
            hwmodel: subject(COMMON_NAME).and_then(|name| model(&name)),
            swname: Some("applet".to_owned()),
            swversion: AppletVersion::parse(applet_version).map(|version| version.to_string()),
            ..Self::default()
        }
    }

    fn of_part(part: Option<Part>) -> Self {
        let Some(part) = part else { return Self::default() };
        Self {
            oemid: Some(OemId::of_name(&part.vendor)),
            hwmodel: model(&part.model),
            hwversion: part.firmware,
            ..Self::default()
        }
    }

    /// The first claim here that says another thing than `computed`, by its name. A claim that is not made contradicts
    /// nothing.
    #[must_use]
    pub fn contradicts(&self, computed: &Self) -> Option<&'static str> {
        fn differs<T: PartialEq>(claimed: Option<&T>, computed: Option<&T>) -> bool {
            claimed.is_some() && claimed != computed
        }
        let claims = [
            ("ueid", differs(self.ueid.as_ref(), computed.ueid.as_ref())),
            ("oemid", differs(self.oemid.as_ref(), computed.oemid.as_ref())),
            ("hwmodel", differs(self.hwmodel.as_ref(), computed.hwmodel.as_ref())),
            ("hwversion", differs(self.hwversion.as_ref(), computed.hwversion.as_ref())),
            ("swname", differs(self.swname.as_ref(), computed.swname.as_ref())),
            ("swversion", differs(self.swversion.as_ref(), computed.swversion.as_ref())),
            ("measurements", !self.measurements.is_empty() && self.measurements != computed.measurements),
        ];
        claims.into_iter().find(|(_, differs)| *differs).map(|(name, _)| name)
    }

    pub(super) fn entries(&self) -> Vec<(Value, Value)> {
        let version = |text: &String| Value::Array(vec![Value::Text(text.clone())]);
        let oemid = self.oemid.as_ref().map(|oemid| match oemid {
            OemId::Enterprise(number) => Value::from(*number),
            OemId::Name(bytes) => Value::Bytes(bytes.to_vec()),
        });
        let measurements = (!self.measurements.is_empty()).then(|| {
            let body = cbor::write(&pcr_values(&self.measurements));
            Value::Array(vec![Value::Array(vec![Value::from(CONTENT_CBOR), Value::Bytes(body)])])
        });
        let claims = [
            (UEID, self.ueid.clone().map(Value::Bytes)),
            (OEMID, oemid),
            (HWMODEL, self.hwmodel.clone().map(Value::Bytes)),
            (HWVERSION, self.hwversion.as_ref().map(version)),
            (SWNAME, self.swname.clone().map(Value::Text)),
            (SWVERSION, self.swversion.as_ref().map(version)),
            (MEASUREMENTS, measurements),
        ];
        claims.into_iter().filter_map(|(key, value)| Some((Value::from(key), value?))).collect()
    }

    pub(super) fn read(fields: &Fields) -> Result<Self, EvidenceError> {
        let wrong = |key, name, expected| EvidenceError::Field { key, name, expected };
        let bytes = |key, name, sizes: std::ops::RangeInclusive<usize>, expected| match fields.value(key) {
            None => Ok(None),
            Some(Value::Bytes(bytes)) if sizes.contains(&bytes.len()) => Ok(Some(bytes.clone())),
            Some(_) => Err(wrong(key, name, expected)),
        };
        let text = |key, name, value: Option<&Value>, expected| match value {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text.clone())),
            Some(_) => Err(wrong(key, name, expected)),
        };
        // RFC 9711 §4.2.5 and §4.2.7: an array of the version and, perhaps, its scheme.
        let version = |key, name| match fields.value(key) {
            None => Ok(None),
            Some(Value::Array(parts)) if (1..=2).contains(&parts.len()) => {
                text(key, name, parts.first(), "an array with a text")
            }
            Some(_) => Err(wrong(key, name, "an array with a text")),
        };
        let oemid = match fields.value(OEMID) {
            None => None,
            Some(Value::Integer(number)) => {
                let number = u32::try_from(*number);
                Some(OemId::Enterprise(number.map_err(|_| wrong(OEMID, "oemid", "an enterprise number"))?))
            }
            Some(Value::Bytes(bytes)) => Some(OemId::Name(
                <[u8; 16]>::try_from(bytes.as_slice()).map_err(|_| wrong(OEMID, "oemid", "16 bytes"))?,
            )),
            Some(_) => return Err(wrong(OEMID, "oemid", "16 bytes or an enterprise number")),
        };
        Ok(Self {
            ueid: bytes(UEID, "ueid", 7..=33, "7 to 33 bytes")?,
            oemid,
            hwmodel: bytes(HWMODEL, "hwmodel", 1..=MAX_MODEL_BYTES, "1 to 32 bytes")?,
            hwversion: version(HWVERSION, "hwversion")?,
            swname: text(SWNAME, "swname", fields.value(SWNAME), "a text")?,
            swversion: version(SWVERSION, "swversion")?,
            measurements: match fields.value(MEASUREMENTS) {
                None => Vec::new(),
                Some(value) => measurements(value).ok_or_else(|| {
                    wrong(MEASUREMENTS, "measurements", "one entry of CBOR with the values of PCRs")
                })?,
            },
        })
    }
}

fn measurements(value: &Value) -> Option<Vec<PcrValue>> {
    let Value::Array(entries) = value else { return None };
    let [Value::Array(entry)] = entries.as_slice() else { return None };
    let [format, Value::Bytes(body)] = entry.as_slice() else { return None };
    if *format != Value::from(CONTENT_CBOR) {
        return None;
    }
    read_pcr_values(&cbor::read(body)?).filter(|values| !values.is_empty())
}

fn ueid(of: &[u8]) -> Vec<u8> {
    [&[UEID_RANDOM][..], &sha256(of)].concat()
}

fn model(text: &str) -> Option<Vec<u8>> {
    let bytes: Vec<u8> = text.bytes().take(MAX_MODEL_BYTES).collect();
    (!bytes.is_empty()).then_some(bytes)
}

fn public_key(certificate: &Certificate) -> Option<Vec<u8>> {
    certificate.tbs_certificate.subject_public_key_info.to_der().ok()
}

/// Two hexadecimal numbers with a point between them.
fn firmware_text(version: u64) -> String {
    format!("{:x}.{:x}", version >> 32, version & 0xffff_ffff)
}

/// The text of an attribute value of a string type that names use (RFC 5280 §4.1.2.4).
fn attribute_text(value: &Any) -> Option<String> {
    let text = match value.decode_as::<Utf8StringRef<'_>>() {
        Ok(text) => text.as_str().to_owned(),
        Err(_) => value.decode_as::<PrintableStringRef<'_>>().ok()?.as_str().to_owned(),
    };
    let text = printable(&text, MAX_TEXT);
    (!text.is_empty()).then_some(text)
}

fn subject_text(certificate: &Certificate, oid: ObjectIdentifier) -> Option<String> {
    let attributes = certificate.tbs_certificate.subject.0.iter().flat_map(|rdn| rdn.0.iter());
    attributes.filter(|attribute| attribute.oid == oid).find_map(|found| attribute_text(&found.value))
}

/// The part that an EK certificate names in its subject alternative name; absent where it names none.
#[must_use]
pub fn tpm_part(certificate: &Certificate) -> Option<Part> {
    let extensions = certificate.tbs_certificate.extensions.as_deref()?;
    let extension = extensions.iter().find(|extension| extension.extn_id == SubjectAltName::OID)?;
    let names = SubjectAltName::from_der(extension.extn_value.as_bytes()).ok()?;
    let attributes: Vec<_> = names
        .0
        .iter()
        .filter_map(|name| match name {
            GeneralName::DirectoryName(name) => Some(name),
            _ => None,
        })
        .flat_map(|name| name.0.iter().flat_map(|rdn| rdn.0.iter()))
        .collect();
    let text = |wanted| {
        let found = attributes.iter().find(|attribute| attribute.oid == wanted)?;
        attribute_text(&found.value)
    };
    Some(Part {
        vendor: vendor_letters(text(TPM_MANUFACTURER)?),
        model: text(TPM_MODEL)?,
        firmware: text(TPM_VERSION),
        crypto_library: None,
    })
}

/// `id:49465800` is the registered vendor `IFX` in ASCII (TCG TPM Vendor ID Registry); an id that is not text stays.
fn vendor_letters(id: String) -> String {
    let bytes = id.strip_prefix("id:").and_then(|digits| hex::decode(digits).ok()).unwrap_or_default();
    let letters: String = bytes.iter().filter(|byte| **byte != 0).map(|byte| char::from(*byte)).collect();
    let letters = letters.trim();
    let shown = !letters.is_empty() && letters.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    if shown { letters.to_owned() } else { id }
}

/// The firmware version in an attestation certificate of Yubico's PIV application, such as `5.7.1`. Such a certificate says
/// that the key was generated in the device; for imported keys the device makes none.
#[must_use]
pub fn yubico_firmware(certificate: &Certificate) -> Option<String> {
    let extensions = certificate.tbs_certificate.extensions.as_deref()?;
    let extension = extensions.iter().find(|extension| extension.extn_id == YUBICO_FIRMWARE)?;
    match extension.extn_value.as_bytes() {
        [major, minor, patch] => Some(format!("{major}.{minor}.{patch}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendors_are_written_in_letters_where_they_are_letters() {
        assert_eq!(vendor_letters("id:49465800".into()), "IFX");
        assert_eq!(vendor_letters("id:4E544300".into()), "NTC");
        assert_eq!(vendor_letters("id:00001014".into()), "id:00001014");
        assert_eq!(vendor_letters("id:zz".into()), "id:zz");
    }
}
