//! An EST client that is not ours (RFC 7030): curl carries, OpenSSL reads.
#![expect(clippy::panic, reason = "a launcher for tests fails the test that uses it")]

use std::fs;
use std::path::Path;

use base64ct::{Base64, Encoding};

use crate::curl::{Answer, curl, try_curl};
use crate::openssl::openssl;
use crate::server::Server;

/// The client: a folder with `NAME.key`, `NAME.csr` and the certificates that come.
#[derive(Debug)]
pub struct Client<'a> {
    /// Where its files lie.
    pub folder: &'a Path,
    /// Whom it asks.
    pub server: &'a Server,
}

/// The CAs and CRLs of a server as PEM files: what a relying party fetches.
pub const PUBLIC_FILES: [&str; 4] = ["root.pem", "issuing.pem", "issuing.crl.pem", "root.crl.pem"];

impl Client<'_> {
    /// Asks an EST operation; `more` are arguments of curl.
    ///
    /// # Errors
    /// curl's exit code and message when there was no answer.
    ///
    /// # Panics
    /// When curl cannot be run.
    #[track_caller]
    pub fn try_ask(&self, operation: &str, more: &[&str], body: &[u8]) -> Result<Answer, (i32, String)> {
        let address = format!("{}/.well-known/est/{operation}", self.server.enrol);
        let root = self.server.root.display().to_string();
        let arguments = [&["--cacert", &root, &address], more].concat();
        try_curl(self.folder, &arguments, body)
    }

    /// As [`Client::try_ask`], where an answer must come.
    ///
    /// # Panics
    /// When none came.
    #[track_caller]
    #[must_use]
    pub fn ask(&self, operation: &str, more: &[&str], body: &[u8]) -> Answer {
        match self.try_ask(operation, more, body) {
            Ok(answer) => answer,
            Err((code, said)) => panic!("curl ended with {code} at {operation}: {said}"),
        }
    }

    /// `simpleenroll` with device id and token; the request in base64.
    ///
    /// # Errors
    /// As for [`Client::try_ask`].
    ///
    /// # Panics
    /// When curl cannot be run.
    #[track_caller]
    pub fn try_enrol(&self, device: &str, token: &str, request: &[u8]) -> Result<Answer, (i32, String)> {
        let user = format!("{device}:{token}");
        let arguments = ["-u", &user, "-H", "Content-Type: application/pkcs10", "--data-binary", "@-"];
        self.try_ask("simpleenroll", &arguments, request)
    }

    /// As [`Client::try_enrol`], where an answer must come.
    ///
    /// # Panics
    /// When none came.
    #[track_caller]
    #[must_use]
    pub fn enrol(&self, device: &str, token: &str, request: &[u8]) -> Answer {
        match self.try_enrol(device, token, request) {
            Ok(answer) => answer,
            Err((code, said)) => panic!("curl ended with {code}: {said}"),
        }
    }

    /// Enrols a new key of this name under the device's id; writes `NAME.key` and `NAME.pem`, returns the certificate.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    #[must_use]
    pub fn enrol_new(&self, name: &str, token: &str) -> String {
        crate::openssl::request(self.folder, name, name);
        let answer = self.enrol(name, token, &base64(self.folder, name)).must_be(200);
        let certificate = certificates(self.folder, &answer.body);
        if let Err(error) = fs::write(self.folder.join(format!("{name}.pem")), &certificate) {
            panic!("cannot write {name}.pem: {error}");
        }
        certificate
    }

    /// Fetches CAs and CRLs into the files of [`PUBLIC_FILES`].
    ///
    /// # Panics
    /// When one cannot be had.
    #[track_caller]
    pub fn fetch_public_files(&self) {
        for name in ["root.pem", "issuing.pem"] {
            let _written =
                curl(self.folder, &["-o", name, &format!("{}/ca/{name}", self.server.public)], &[])
                    .must_be(200);
        }
        for name in ["issuing", "root"] {
            let (der, pem) = (format!("{name}.crl"), format!("{name}.crl.pem"));
            let _written =
                curl(self.folder, &["-o", &der, &format!("{}/crl/{der}", self.server.public)], &[])
                    .must_be(200);
            let convert = ["crl", "-inform", "DER", "-in", &der, "-out", &pem];
            let _converted = openssl(self.folder, &convert, &[]).must_end_with(0);
        }
    }

    /// What `openssl ocsp` says of the certificate `NAME.pem`, asked with CertIDs of this digest; [`PUBLIC_FILES`]
    /// must be there.
    ///
    /// # Panics
    /// When the answer does not verify.
    #[track_caller]
    #[must_use]
    pub fn ocsp(&self, name: &str, digest: &str) -> String {
        let (certificate, url) = (format!("{name}.pem"), format!("{}/ocsp", self.server.public));
        let arguments = [
            "ocsp",
            "-CAfile",
            "root.pem",
            "-issuer",
            "issuing.pem",
            digest,
            "-cert",
            &certificate,
            "-url",
            &url,
        ];
        let said = openssl(self.folder, &arguments, &[]).must_end_with(0);
        assert!(said.stderr.contains("Response verify OK"), "{}", said.all());
        said.text()
    }
}

/// The request `NAME.csr` in base64 without line breaks.
///
/// # Panics
/// When openssl fails.
#[track_caller]
#[must_use]
pub fn base64(folder: &Path, name: &str) -> Vec<u8> {
    Base64::encode_string(&der(folder, name)).into_bytes()
}

/// The request `NAME.csr` in DER.
///
/// # Panics
/// When openssl fails.
#[track_caller]
#[must_use]
pub fn der(folder: &Path, name: &str) -> Vec<u8> {
    let csr = format!("{name}.csr");
    openssl(folder, &["req", "-in", &csr, "-outform", "DER"], &[]).must_end_with(0).stdout
}

/// The certificates in a certs-only answer, PEM, as OpenSSL reads them.
///
/// # Panics
/// When the answer is not base64 of PKCS#7.
#[track_caller]
#[must_use]
pub fn certificates(folder: &Path, answer: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(answer).chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let der = Base64::decode_vec(&text).unwrap_or_else(|_| panic!("no base64: {text}"));
    openssl(folder, &["pkcs7", "-inform", "DER", "-print_certs"], &der).must_end_with(0).text()
}
