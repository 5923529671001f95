//! Zeek: `ssl` and `x509` records, JSON or TSV with its `#fields` header.
//!
//! A passive sensor sees client certificates up to TLS 1.2 alone; from TLS 1.3 on they are encrypted, and such a connection
//! counts as one without a certificate. A record of `x509` gives no event: it adds serial number, issuer and common name
//! to the fingerprints that follow in `ssl`. Fields: <https://docs.zeek.org/en/master/logs/ssl.html> and `x509.html`.

use serde_json::{Map, Value};
use touchmark_identity::event::{Event, MAX_LINE_BYTES, Tls};

use super::fields::{Fields, Names, Opened, bare, malformed};
use super::recent::Recent;
use super::{AdapterError, Unproven};

/// The most columns of a TSV log.
const COLUMNS: usize = 256;

/// The header of a TSV log and the certificates seen.
#[derive(Debug)]
pub(super) struct Zeek {
    columns: Vec<String>,
    path: Option<String>,
    certificates: Recent<String, Certificate>,
}

#[derive(Debug, Clone)]
struct Certificate {
    sha256: Option<String>,
    serial: Option<String>,
    issuer: Option<String>,
    subject: Option<String>,
}

impl Zeek {
    pub(super) fn new() -> Self {
        Self { columns: Vec::new(), path: None, certificates: Recent::new() }
    }

    pub(super) fn read(&mut self, line: &[u8], source: &str) -> Result<Vec<Event>, AdapterError> {
        let line = bare(line, MAX_LINE_BYTES)?;
        if line.trim_ascii_start().first() == Some(&b'{') {
            let fields = Fields::parse(line)?;
            let path = fields.text("_path");
            return self.record(&fields, path, source);
        }
        let text = String::from_utf8_lossy(line);
        if let Some(header) = text.strip_prefix('#') {
            self.header(header, line)?;
            return Ok(Vec::new());
        }
        if self.columns.is_empty() {
            return Err(malformed(
                line,
                "there was no #fields line before it; give the log from its beginning",
            ));
        }
        let values: Vec<&str> = text.split('\t').take(COLUMNS + 1).collect();
        if values.len() != self.columns.len() {
            let (found, expected) = (values.len(), self.columns.len());
            return Err(malformed(line, format!("it has {found} columns, the #fields line {expected}")));
        }
        let map: Map<String, Value> = self
            .columns
            .iter()
            .zip(values)
            .filter(|(_, value)| !matches!(*value, "-" | "(empty)"))
            .map(|(column, value)| (column.clone(), Value::String(unescaped(value))))
            .collect();
        self.record(&Fields::of(map, line), self.path.clone(), source)
    }

    fn header(&mut self, header: &str, line: &[u8]) -> Result<(), AdapterError> {
        match header.split_once(['\t', ' ']) {
            Some(("separator", separator)) if separator != "\\x09" => {
                Err(malformed(line, "the separator is not a tab (\\x09)"))
            }
            Some(("path", path)) => {
                self.path = Some(path.chars().take(64).collect());
                Ok(())
            }
            Some(("fields", columns)) => {
                let columns: Vec<String> =
                    columns.split('\t').take(COLUMNS + 1).map(ToOwned::to_owned).collect();
                if columns.len() > COLUMNS {
                    return Err(malformed(line, format!("it has more than {COLUMNS} columns")));
                }
                self.columns = columns;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn record(
        &mut self,
        fields: &Fields<'_>,
        path: Option<String>,
        source: &str,
    ) -> Result<Vec<Event>, AdapterError> {
        let path = path.unwrap_or_else(|| {
            let is_certificate = fields.get("certificate.serial").is_some();
            let is_connection = fields.get("cipher").is_some() || fields.get("established").is_some();
            let path = if is_certificate { "x509" } else { "" };
            if is_connection { "ssl" } else { path }.to_owned()
        });
        match path.as_str() {
            "x509" => {
                self.certificate(fields);
                Ok(Vec::new())
            }
            "ssl" => self.connection(fields).map(|opened| vec![opened.event(source)]),
            _ => Err(fields.malformed("it is a record of neither ssl nor x509")),
        }
    }

    fn certificate(&mut self, fields: &Fields<'_>) {
        let certificate = Certificate {
            sha256: fields.text("fingerprint").filter(|print| print.len() == 64),
            serial: fields.text("certificate.serial"),
            issuer: fields.text("certificate.issuer"),
            subject: fields.text("certificate.subject"),
        };
        // Since Zeek 4.1 `ssl` refers to certificates by fingerprint, before that by file id.
        for key in ["fingerprint", "id"].into_iter().filter_map(|field| fields.text(field)) {
            self.certificates.insert(key, certificate.clone());
        }
    }

    fn connection(&self, fields: &Fields<'_>) -> Result<Opened, AdapterError> {
        if fields.flag("established") == Some(false) {
            let alert = fields.text("last_alert").unwrap_or_default();
            return Err(
                fields.refused(Unproven::NotAccepted, &format!("the handshake did not end well: {alert}"))
            );
        }
        let mut chain = fields.list("client_cert_chain_fps");
        let is_print = !chain.is_empty();
        if !is_print {
            chain = fields.list("client_cert_chain_fuids");
        }
        let leaf = chain.into_iter().next();
        let known = leaf.as_ref().and_then(|leaf| self.certificates.get(leaf));
        let identity = fields.identity(Names {
            sha256: leaf
                .filter(|leaf| is_print && leaf.len() == 64)
                .or_else(|| known.and_then(|known| known.sha256.clone())),
            serial: known.and_then(|known| known.serial.clone()),
            issuer: known.and_then(|known| known.issuer.clone()).or_else(|| fields.text("client_issuer")),
            subject: known.and_then(|known| known.subject.clone()).or_else(|| fields.text("client_subject")),
            ..Names::default()
        })?;
        let session = fields.need("uid")?;
        Ok(Opened {
            time: fields.need_time("ts")?,
            received: None,
            event_id: Some(session.clone()),
            session,
            identity,
            peer: fields.peer("id.orig_h", "id.orig_p")?,
            tls: Some(Tls {
                version: fields.text("version"),
                resumed: fields.flag("resumed"),
                ja4: fields.text("ja4"),
                sni: fields.text("server_name"),
            }),
            client_id: None,
        })
    }
}

/// Undoes `\xNN`, by which Zeek writes bytes that would break a column, and doubled backslashes.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let byte = after
            .strip_prefix('x')
            .and_then(|digits| digits.get(..2))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .filter(u8::is_ascii);
        if let Some(byte) = byte {
            out.push(char::from(byte));
            rest = after.get(3..).unwrap_or_default();
        } else {
            out.push('\\');
            rest = after.strip_prefix('\\').unwrap_or(after);
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone() {
        assert_eq!(unescaped("a\\x2cb\\\\, c\\"), "a,b\\, c\\");
        assert_eq!(unescaped("\\xé\\x4"), "\\xé\\x4");
    }
}
