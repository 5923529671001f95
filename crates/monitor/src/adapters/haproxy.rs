//! HAProxy: the log format of `contrib/haproxy/touchmark.cfg`, written by HAProxy 2.6 or newer.
//!
//! HAProxy writes a line at the end of a session, with the moment at which it was accepted (`%Ts.%ms`) and its length
//! (`%Tt`). A failed handshake is written by `error-log-format`, with the same mark and an `err`.

use touchmark_identity::event::{Event, SessionEnd, Tls};

use super::fields::{Fields, Names, Opened};
use super::{AdapterError, Unproven};

/// The value of the field `touchmark` in each line.
pub(super) const FORMAT: &str = "haproxy/1";

/// How `fc_err_str` begins where the handshake failed on a certificate that was shown.
const NOT_ACCEPTED: [&str; 2] =
    ["SSL client certificate not trusted", "SSL client CA chain cannot be verified"];

pub(super) fn read(line: &[u8], source: &str) -> Result<Vec<Event>, AdapterError> {
    let fields = Fields::parse(line)?;
    fields.marked(FORMAT)?;
    if let Some(error) = fields.text("err") {
        let shown = NOT_ACCEPTED.iter().any(|words| error.starts_with(words));
        let reason = if shown { Unproven::NotAccepted } else { Unproven::NoCertificate };
        return Err(fields.refused(reason, &error));
    }
    if fields.flag("used") != Some(true) {
        return Err(fields.refused(Unproven::NoCertificate, "no client certificate"));
    }
    let verify = fields.need("verify")?;
    if verify != "0" {
        return Err(fields.refused(Unproven::NotAccepted, &format!("verification result {verify}")));
    }
    let identity = fields.identity(Names {
        sha256: fields.text("sha256"),
        sha1: fields.text("sha1"),
        serial: fields.text("serial"),
        issuer: fields.text("issuer_dn"),
        subject: fields.text("subject_dn"),
        common_name: fields.text("cn"),
        client_id: None,
    })?;
    let start = fields.need_time("accepted")?;
    let duration = fields.number("duration_ms")?.unwrap_or(0);
    let end = start.plus_ms(i64::try_from(duration).unwrap_or(i64::MAX));
    let session = fields.need("id")?;
    let opened = Opened {
        time: start,
        received: Some(end),
        session: session.clone(),
        identity,
        peer: fields.peer("src", "sport")?,
        tls: Some(Tls {
            version: fields.text("tls"),
            resumed: fields.flag("resumed"),
            ja4: fields.text("ja4"),
            sni: fields.text("sni"),
        }),
        client_id: None,
        event_id: None,
    };
    let closed = SessionEnd {
        session,
        duration_ms: Some(duration),
        bytes_in: fields.number("bytes_in")?,
        bytes_out: fields.number("bytes_out")?,
        messages_in: None,
        messages_out: None,
        reason: fields.text("state").filter(|state| state != "--"),
    };
    Ok(opened.and_closed(source, end, closed))
}
