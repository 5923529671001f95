//! The pinned roots of the parts' makers.

use x509_cert::Certificate;

use crate::chain::{Link, common_name, shown};

/// Subjects of roots that exist for trials alone begin with this. Their private keys are public.
const TEST_PREFIX: &str = "TEST ";
/// The largest endorser file that is read, in bytes.
const MAX_PEM_BYTES: usize = 1024 * 1024;
/// The most certificates that a set of endorsers holds.
const MAX_CERTIFICATES: usize = 512;

/// Why a file of endorsers was not accepted. All are errors of the operator who wrote the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndorserError {
    /// AT-0030, caller: not PEM, or PEM of something else.
    #[error("{file} does not hold PEM certificates: {detail}")]
    NotPem {
        /// The file.
        file: String,
        /// What was expected and found.
        detail: String,
    },
    /// AT-0031, caller: a certificate in the file cannot be read, or is signed wrongly by itself.
    #[error("certificate number {number} in {file} cannot be used: {detail}")]
    BadCertificate {
        /// The file.
        file: String,
        /// Its place in the file, from 1.
        number: usize,
        /// What was expected and found.
        detail: String,
    },
    /// AT-0032, caller: a test root was expected and another one given.
    #[error("the root {name:?} is not a TEST root; its subject's common name must begin with \"TEST \"")]
    NotTest {
        /// The root's name.
        name: String,
    },
    /// AT-0033, caller: more certificates than a set may hold.
    #[error("more than {MAX_CERTIFICATES} endorser certificates; {file} is too much")]
    TooMany {
        /// The file that was one too many.
        file: String,
    },
}

impl EndorserError {
    /// The stable code, as listed in `docs/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotPem { .. } => "AT-0030",
            Self::BadCertificate { .. } => "AT-0031",
            Self::NotTest { .. } => "AT-0032",
            Self::TooMany { .. } => "AT-0033",
        }
    }
}

/// A root that the operator has pinned: whoever holds its private key can vouch for parts.
#[derive(Debug, Clone)]
pub struct Endorser {
    /// The subject's common name, or its whole name where it has none.
    pub name: String,
    /// True when the common name begins with "TEST ": the private key is public.
    pub test: bool,
    pub(crate) link: Link,
}

impl Endorser {
    fn new(link: Link) -> Self {
        let subject = &link.certificate().tbs_certificate.subject;
        let name = common_name(subject).unwrap_or_else(|| shown(subject));
        let test = is_test(link.certificate());
        Self { name, test, link }
    }

    /// The root's certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        self.link.certificate()
    }
}

/// True when the subject's common name begins with "TEST ".
pub(crate) fn is_test(certificate: &Certificate) -> bool {
    common_name(&certificate.tbs_certificate.subject).is_some_and(|name| name.starts_with(TEST_PREFIX))
}

/// The pinned roots, and intermediate certificates that help to reach them. Empty by default, which trusts nobody.
#[derive(Debug, Clone, Default)]
pub struct Endorsers {
    pub(crate) roots: Vec<Endorser>,
    pub(crate) intermediates: Vec<Link>,
}

impl Endorsers {
    /// Reads PEM texts, each with its file name for messages. Certificates that are signed by themselves become
    /// roots; all others are kept as intermediates, which are not trusted by themselves but complete a path.
    ///
    /// # Errors
    /// [`EndorserError`] for a text without certificates, or with one that cannot be used.
    pub fn from_pem<N, T>(files: impl IntoIterator<Item = (N, T)>) -> Result<Self, EndorserError>
    where
        N: AsRef<str>,
        T: AsRef<str>,
    {
        let mut endorsers = Self::default();
        for (file, text) in files {
            endorsers.add(file.as_ref(), text.as_ref())?;
        }
        Ok(endorsers)
    }

    /// Adds the root of a test element. It counts only under a policy that accepts TEST roots.
    ///
    /// # Errors
    /// [`EndorserError::NotTest`] when the root does not say of itself that it is one, else as for
    /// [`Endorsers::from_pem`].
    pub fn with_test_element_root(mut self, pem: &str) -> Result<Self, EndorserError> {
        let before = self.roots.len();
        self.add("the test element's root", pem)?;
        match self.roots.iter().skip(before).find(|added| !added.test) {
            Some(wrong) => Err(EndorserError::NotTest { name: wrong.name.clone() }),
            None => Ok(self),
        }
    }

    /// The pinned roots.
    #[must_use]
    pub fn roots(&self) -> &[Endorser] {
        &self.roots
    }

    fn add(&mut self, file: &str, text: &str) -> Result<(), EndorserError> {
        for (number, der) in (1..).zip(certificates(file, text)?) {
            let bad =
                |detail: String| EndorserError::BadCertificate { file: file.to_owned(), number, detail };
            if self.roots.len() + self.intermediates.len() >= MAX_CERTIFICATES {
                return Err(EndorserError::TooMany { file: file.to_owned() });
            }
            let link = Link::parse("the certificate", &der).map_err(|refused| bad(refused.to_string()))?;
            let known = |other: &Link| other.der() == link.der();
            if self.intermediates.iter().any(known) || self.roots.iter().any(|root| known(&root.link)) {
                continue;
            }
            if link.is_self_issued() {
                link.verify_issued_by(&link).map_err(|refused| bad(refused.to_string()))?;
                self.roots.push(Endorser::new(link));
            } else {
                self.intermediates.push(link);
            }
        }
        Ok(())
    }
}

/// The DER of each certificate in a PEM text; text around and between them is ignored (RFC 7468 §2).
fn certificates(file: &str, text: &str) -> Result<Vec<Vec<u8>>, EndorserError> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let wrong = |detail: String| EndorserError::NotPem { file: file.to_owned(), detail };
    if text.len() > MAX_PEM_BYTES {
        return Err(wrong(format!("{} bytes are over the limit of {MAX_PEM_BYTES}", text.len())));
    }
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find(BEGIN) {
        let (_, from_begin) = rest.split_at(begin);
        let Some(end) = from_begin.find(END) else {
            return Err(wrong("a BEGIN CERTIFICATE line has no END CERTIFICATE line".to_owned()));
        };
        let (block, after) = from_begin.split_at(end + END.len());
        let (_, der) = der::pem::decode_vec(block.as_bytes())
            .map_err(|cause| wrong(format!("block {} is not valid PEM: {cause}", found.len() + 1)))?;
        found.push(der);
        rest = after;
    }
    if found.is_empty() {
        return Err(wrong("no BEGIN CERTIFICATE line".to_owned()));
    }
    Ok(found)
}
