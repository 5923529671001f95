//! The syslog envelope (RFC 5424) around any form, and its framing over TCP.
//!
//! ```
//! use touchmark_monitor::outputs::syslog;
//!
//! assert_eq!(syslog::octet_counted("<84>1 ..."), "9 <84>1 ...");
//! ```

use touchmark_identity::finding::Finding;

use super::{Context, Severity, delivery_id, moment};

/// Facility 10 of RFC 5424 §6.2.1: security and authorization messages.
const FACILITY: u8 = 10;
/// The private enterprise number in the structured data's name (RFC 5612: reserved for examples, see ADR 0001).
const ENTERPRISE: u32 = 32_473;

/// The longest message that goes into one UDP datagram over IPv4, in bytes (RFC 5426 §3.2).
pub const MAX_DATAGRAM_BYTES: usize = 65_507;

/// One syslog message: the payload under a header that says when, where and how bad.
///
/// The payload must be one line; [`super::write()`] gives one. Device-chosen text stands in the payload alone.
#[must_use]
pub fn message(finding: &Finding, payload: &str, context: &Context) -> String {
    let severity = match Severity::of(finding) {
        Severity::Informational => 6,
        Severity::Low => 5,
        Severity::Medium => 4,
        Severity::High => 3,
        Severity::Critical => 2,
    };
    // RFC 5424 §6.2.4: HOSTNAME is 1 to 255 printable US-ASCII characters, or "-".
    let host: String = context.host.chars().filter(char::is_ascii_graphic).take(255).collect();
    let host = if host.is_empty() { "-" } else { &host };
    // RFC 5424 §6.4: "If a syslog application encodes MSG in UTF-8, the string MUST start with the Unicode byte order
    // mask (BOM)". US-ASCII needs none, and many readers stumble over it.
    let mark = if payload.is_ascii() { "" } else { "\u{feff}" };
    format!(
        "<{priority}>1 {time} {host} touchmark - {kind} [finding@{ENTERPRISE} id=\"{id}\" grade=\"{grade}\"] {mark}{payload}",
        priority = FACILITY * 8 + severity,
        time = moment(finding),
        kind = finding.kind,
        id = delivery_id(finding),
        grade = finding.grade,
    )
}

/// A message with its length before it, as TCP carries it (RFC 6587 §3.4.1, octet counting): no byte of a message is
/// taken for its end.
#[must_use]
pub fn octet_counted(message: &str) -> String {
    format!("{} {message}", message.len())
}
