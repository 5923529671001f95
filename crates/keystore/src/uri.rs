//! Addresses of key stores: `software:FILE`, `software:IMAGE#FILE`, `tpm:DEVICE or HOST:PORT`,
//! `element:tcp:HOST:PORT`, `element:pcsc:READER`, `element:i2c:DEVICE`, each also with `?scp03=FILE&kvn=0B`, `pkcs11:…`
//! (RFC 7512).

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use touchmark_identity::text::printable;
use zeroize::Zeroizing;

use crate::element::{ChannelKeys, ElementStore, I2cTransport, PcscTransport, TcpTransport, Transport};
use crate::pkcs11::Pkcs11Store;
use crate::software::flash::{FlashImage, FlashMedium};
use crate::software::{FileMedium, Medium, Protection, SoftwareStore};
use crate::store::{KeyStore, StoreError};
use crate::tpm::TpmStore;

/// Where a key store is. Holds no secret: a PIN in an address is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUri {
    /// A key file.
    Software {
        /// The file, or the flash image that holds it.
        path: PathBuf,
        /// The file's name inside the flash image.
        inside: Option<String>,
    },
    /// A TPM 2.0.
    Tpm {
        /// `HOST:PORT`, or the path of a character device.
        address: String,
    },
    /// A secure element.
    Element {
        /// How it is reached.
        link: ElementLink,
        /// The keys of the secure channel; without them everything goes over in plain.
        scp03: Option<ChannelUri>,
    },
    /// A token behind a PKCS#11 module.
    Pkcs11 {
        /// `module-path` (RFC 7512 §2.4).
        module: PathBuf,
        /// `token`: the token's label.
        token: String,
        /// `pin-source`: a file that holds the PIN.
        pin_source: Option<PathBuf>,
        /// `id`: the one key pair that is meant, by its `CKA_ID`, whatever name is asked for. For tokens whose keys have fixed
        /// labels, or other labels for both halves.
        id: Option<Vec<u8>>,
    },
}

/// How a secure element is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ElementLink {
    /// Over TCP, at `HOST:PORT`.
    Tcp(String),
    /// In the PC/SC reader of this name, which is percent-encoded in the address.
    Pcsc(String),
    /// On the I²C bus behind this character device.
    I2c(PathBuf),
}

impl ElementLink {
    /// Reads what follows `element:`, without a query.
    fn parse(text: &str) -> Result<Self, &'static str> {
        match text.split_once(':') {
            Some(("tcp", address)) if address.contains(':') => Ok(Self::Tcp(address.to_owned())),
            Some(("pcsc", reader)) if !reader.is_empty() => {
                percent_decoded(reader).map(Self::Pcsc).ok_or("the reader's name is not percent-encoded text")
            }
            Some(("i2c", device)) if device.starts_with('/') => Ok(Self::I2c(device.into())),
            _ => Err(
                "an element is written element:tcp:HOST:PORT, element:pcsc:READER or element:i2c:/dev/i2c-N",
            ),
        }
    }

    fn transport(&self) -> Box<dyn Transport + Send> {
        match self {
            Self::Tcp(address) => Box::new(TcpTransport::new(address)),
            Self::Pcsc(reader) => Box::new(PcscTransport::new(reader)),
            Self::I2c(device) => Box::new(I2cTransport::device(device)),
        }
    }
}

impl fmt::Display for ElementLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp:{address}"),
            Self::Pcsc(reader) => {
                // What an address cannot hold, and what would be decoded, or end the name.
                f.write_str("pcsc:")?;
                for byte in reader.bytes() {
                    match byte {
                        b'%' | b'?' | b'#' => write!(f, "%{byte:02X}")?,
                        b'!'..=b'~' => write!(f, "{}", char::from(byte))?,
                        _ => write!(f, "%{byte:02X}")?,
                    }
                }
                Ok(())
            }
            Self::I2c(device) => write!(f, "i2c:{}", device.display()),
        }
    }
}

/// Where the keys of a secure channel to an element are (`?scp03=FILE&kvn=0B`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelUri {
    /// The file that holds them ([`ChannelKeys::read`]).
    pub file: PathBuf,
    /// Their key version number on the card; 0 for its default set.
    pub version: u8,
}

impl ChannelUri {
    /// Reads what follows the `?` of an element's address: `scp03`, a percent-encoded path, and `kvn`, two hex digits.
    fn parse(query: &str) -> Result<Self, String> {
        let (mut file, mut version) = (None, None);
        for pair in query.split('&') {
            let name = pair.split_once('=').map_or(pair, |(name, _)| name);
            let known = match pair.split_once('=') {
                Some(("scp03", path)) if !path.is_empty() && file.is_none() => {
                    file = percent_decoded(path).map(PathBuf::from);
                    file.is_some()
                }
                Some(("kvn", digits))
                    if digits.len() <= 2 && !digits.starts_with('+') && version.is_none() =>
                {
                    version = u8::from_str_radix(digits, 16).ok();
                    version.is_some()
                }
                _ => false,
            };
            if !known {
                let name = printable(name, 64);
                return Err(format!(
                    "{name} is not understood: a secure channel is written ?scp03=FILE&kvn=0B"
                ));
            }
        }
        let file = file.ok_or("kvn needs scp03=FILE, the keys of the secure channel")?;
        Ok(Self { file, version: version.unwrap_or(0) })
    }
}

impl fmt::Display for ChannelUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("?scp03=")?;
        for c in self.file.to_string_lossy().chars() {
            match c {
                '%' | '&' | '?' | '#' => write!(f, "%{:02X}", u32::from(c))?,
                c => write!(f, "{c}")?,
            }
        }
        if self.version == 0 { Ok(()) } else { write!(f, "&kvn={:02X}", self.version) }
    }
}

/// What opens a store besides its address.
#[derive(Debug)]
pub enum Secret {
    /// Nothing: the store lies open, or its chip asks for nothing.
    None,
    /// A passphrase (key file) or PIN (token).
    Bytes(Zeroizing<Vec<u8>>),
}

impl FromStr for StoreUri {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let bad = |detail: &str| StoreError::BadUri { uri: text.to_owned(), detail: detail.to_owned() };
        let (scheme, rest) =
            text.split_once(':').ok_or_else(|| bad("it starts with software:, tpm:, element: or pkcs11:"))?;
        if rest.is_empty() {
            return Err(bad("nothing follows the scheme"));
        }
        match scheme {
            "software" => Ok(match rest.split_once('#') {
                Some((image, inside)) if !image.is_empty() && !inside.is_empty() => {
                    Self::Software { path: image.into(), inside: Some(inside.to_owned()) }
                }
                Some(_) => return Err(bad("a flash image is written software:IMAGE#FILE")),
                None => Self::Software { path: rest.into(), inside: None },
            }),
            "tpm" => Ok(Self::Tpm { address: rest.to_owned() }),
            "element" => {
                let (link, query) =
                    rest.split_once('?').map_or((rest, None), |(link, query)| (link, Some(query)));
                let link = ElementLink::parse(link).map_err(bad)?;
                let scp03 = query.map(ChannelUri::parse).transpose().map_err(|detail| bad(&detail))?;
                Ok(Self::Element { link, scp03 })
            }
            "pkcs11" => parse_pkcs11(rest).map_err(|detail| bad(&detail)),
            _ => Err(bad("it starts with software:, tpm:, element: or pkcs11:")),
        }
    }
}

/// RFC 7512 §2.3: path attributes separated by `;`, query attributes after `?` separated by `&`.
fn parse_pkcs11(rest: &str) -> Result<StoreUri, String> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (mut token, mut module, mut pin_source, mut id) = (None, None, None, None);
    for pair in path.split(';').chain(query.split('&')).filter(|p| !p.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| format!("{pair:?} is not name=value"))?;
        let wrong = || format!("the value of {} is not percent-encoded text", printable(name, 64));
        let bytes = percent_decode(value).ok_or_else(wrong)?;
        if name == "id" {
            id = Some(bytes);
            continue;
        }
        let value = String::from_utf8(bytes).map_err(|_| wrong())?;
        match name {
            "token" => token = Some(value),
            "module-path" => module = Some(PathBuf::from(value)),
            "pin-source" => {
                pin_source = Some(PathBuf::from(value.strip_prefix("file:").unwrap_or(&value)));
            }
            "pin-value" => return Err("a PIN does not belong into an address; use pin-source".to_owned()),
            "object"
            | "type"
            | "manufacturer"
            | "serial"
            | "model"
            | "slot-id"
            | "slot-description"
            | "slot-manufacturer"
            | "library-manufacturer"
            | "library-description"
            | "library-version" => {}
            // RFC 7512 §2.3: an unknown path attribute must not be ignored, for it was meant to narrow the choice.
            _ => return Err(format!("{} is not an attribute of RFC 7512", printable(name, 64))),
        }
    }
    Ok(StoreUri::Pkcs11 {
        module: module.ok_or("module-path is missing")?,
        token: token.ok_or("token is missing")?,
        pin_source,
        id,
    })
}

/// What percent-encoded text stands for; `None` when that is no text.
fn percent_decoded(text: &str) -> Option<String> {
    String::from_utf8(percent_decode(text)?).ok()
}

fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let mut decoded = [0];
            hex::decode_to_slice(digits, &mut decoded).ok()?;
            bytes.extend(decoded);
        } else {
            bytes.push(byte);
        }
    }
    Some(bytes)
}

impl fmt::Display for StoreUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Software { path, inside: None } => write!(f, "software:{}", path.display()),
            Self::Software { path, inside: Some(inside) } => {
                write!(f, "software:{}#{inside}", path.display())
            }
            Self::Tpm { address } => write!(f, "tpm:{address}"),
            Self::Element { link, scp03: None } => write!(f, "element:{link}"),
            Self::Element { link, scp03: Some(keys) } => write!(f, "element:{link}{keys}"),
            Self::Pkcs11 { module, token, id, .. } => {
                write!(f, "pkcs11:token={token}")?;
                if let Some(id) = id {
                    f.write_str(";id=")?;
                    id.iter().try_for_each(|byte| write!(f, "%{byte:02X}"))?;
                }
                write!(f, "?module-path={}", module.display())
            }
        }
    }
}

impl StoreUri {
    /// Opens the store.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be reached or the secret does not open it. A missing key file is made, sealed
    /// when a passphrase is given.
    pub fn open(&self, secret: Secret) -> Result<Box<dyn KeyStore>, StoreError> {
        match self {
            Self::Software { path, inside } => {
                let medium: Box<dyn Medium> = match inside {
                    None => Box::new(FileMedium::hold(path)?),
                    Some(name) => Box::new(FlashMedium::new(FlashImage::open(path)?, name)),
                };
                let protection = match secret {
                    Secret::None => Protection::PlainFlash,
                    Secret::Bytes(passphrase) => Protection::Passphrase(passphrase),
                };
                Ok(Box::new(SoftwareStore::open(medium, &protection)?))
            }
            Self::Tpm { address } => Ok(Box::new(TpmStore::open(address)?)),
            Self::Element { link, scp03: None } => Ok(Box::new(ElementStore::new(link.transport())?)),
            Self::Element { link, scp03: Some(keys) } => {
                let keys = ChannelKeys::read(&keys.file, keys.version)?;
                Ok(Box::new(ElementStore::secured(link.transport(), keys)?))
            }
            Self::Pkcs11 { module, token, pin_source, id } => {
                let pin = match (secret, pin_source) {
                    (Secret::Bytes(pin), _) => pin,
                    (Secret::None, Some(source)) => read_secret_file(source)?,
                    (Secret::None, None) => Zeroizing::new(Vec::new()),
                };
                let wrong = || StoreError::WrongSecret { store: format!("token {token}") };
                let pin = Zeroizing::new(std::str::from_utf8(&pin).map_err(|_| wrong())?.to_owned());
                let store = Pkcs11Store::open(module, token, &pin)?;
                Ok(Box::new(match id {
                    Some(id) => store.with_id(id),
                    None => store,
                }))
            }
        }
    }
}

/// Reads a passphrase or PIN from a file, without its last line end.
///
/// # Errors
/// [`StoreError::File`] when it cannot be read.
pub fn read_secret_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let failed = |source| StoreError::File { action: "read", path: path.display().to_string(), source };
    let mut bytes = Zeroizing::new(std::fs::read(path).map_err(failed)?);
    while matches!(bytes.last(), Some(b'\n' | b'\r')) {
        bytes.pop();
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_every_scheme() {
        let pkcs11 =
            "pkcs11:token=My%20CA?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/pin";
        assert_eq!(
            pkcs11.parse::<StoreUri>().unwrap(),
            StoreUri::Pkcs11 {
                module: "/usr/lib/softhsm/libsofthsm2.so".into(),
                token: "My CA".into(),
                pin_source: Some("/etc/pin".into()),
                id: None,
            }
        );
        let by_id = "pkcs11:token=x;id=%01%F1?module-path=/m".parse::<StoreUri>().unwrap();
        assert!(matches!(&by_id, StoreUri::Pkcs11 { id: Some(id), .. } if *id == [1, 0xf1]), "{by_id:?}");
        assert_eq!(by_id.to_string(), "pkcs11:token=x;id=%01%F1?module-path=/m");
        for text in [
            "software:/tmp/k",
            "software:flash.img#id.toml",
            "tpm:/dev/tpmrm0",
            "tpm:127.0.0.1:2321",
            "element:tcp:127.0.0.1:4000",
            "element:pcsc:Virtual%20PCD%2000%2000",
            "element:pcsc:Reader%3F?scp03=scp03.toml&kvn=30",
            "element:i2c:/dev/i2c-1",
            "element:i2c:/dev/i2c-1?scp03=scp03.toml",
            "element:tcp:127.0.0.1:4000?scp03=/etc/touchmark/scp03.toml",
            "element:tcp:127.0.0.1:4000?scp03=a%26b.toml&kvn=0B",
        ] {
            assert_eq!(text.parse::<StoreUri>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn says_what_would_be_right() {
        for (text, says) in [
            ("flash.img", "it starts with software:"),
            ("element:usb:3", "element:tcp:HOST:PORT"),
            ("element:i2c:1", "element:i2c:/dev/i2c-N"),
            ("element:pcsc:%zz", "not percent-encoded"),
            ("element:pcsc:?scp03=a", "element:pcsc:READER"),
            ("element:i2c:/dev/i2c-1?kvn=30", "kvn needs scp03=FILE"),
            ("element:tcp:h:1?", "a secure channel is written ?scp03=FILE&kvn=0B"),
            ("element:tcp:h:1?scp03=", "a secure channel is written ?scp03=FILE&kvn=0B"),
            ("element:tcp:h:1?scp03=a&scp03=b", "scp03 is not understood"),
            ("element:tcp:h:1?scp03=a&kvn=100", "kvn is not understood"),
            ("element:tcp:h:1?scp02=a", "scp02 is not understood"),
            ("element:tcp:h:1?kvn=30", "kvn needs scp03=FILE"),
            ("pkcs11:token=x?pin-value=1234", "use pin-source"),
            ("pkcs11:token=x", "module-path is missing"),
            ("pkcs11:tokn=x?module-path=/m", "tokn is not an attribute"),
            ("tpm:", "nothing follows"),
        ] {
            let error = text.parse::<StoreUri>().unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC{0,60}") {
            let _ = text.parse::<StoreUri>();
            let _ = format!("pkcs11:{text}").parse::<StoreUri>();
        }
    }
}
