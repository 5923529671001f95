//! One event as a line, written without going through the event types: a simulation writes hundreds of thousands a second.

use std::fmt::Write;

use super::network::Seen;
use super::rng::mix2;

/// What a message says; what is absent is not written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Said<'a> {
    pub(super) session: Option<u64>,
    pub(super) seen: Option<Seen>,
    pub(super) ja4: Option<&'a str>,
    pub(super) device_type: Option<&'a str>,
    pub(super) firmware: Option<u16>,
    pub(super) security_version: Option<u64>,
    pub(super) boot_id: Option<u64>,
    pub(super) boot_count: Option<u64>,
    pub(super) uptime_ms: Option<u64>,
    pub(super) counter: Option<u64>,
    pub(super) token: Option<u64>,
    pub(super) token_issued: Option<u64>,
    pub(super) device_time: Option<i64>,
    pub(super) bytes: Option<u64>,
    pub(super) duration_ms: Option<u64>,
    pub(super) reason: Option<&'a str>,
}

/// The kinds of event that instances cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Authentication,
    Heartbeat,
    SessionEnd,
}

/// What every line carries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Envelope<'a> {
    pub(super) kind: Type,
    pub(super) time_us: i64,
    pub(super) received_us: Option<i64>,
    pub(super) source: u32,
    pub(super) event_id: Option<u64>,
    /// Seeds of the key's and the certificate's digests.
    pub(super) key: u64,
    pub(super) certificate: u64,
    pub(super) name: &'a str,
}

/// Sixty-four hex digits that stand for a digest.
pub(super) fn digest(seed: u64, out: &mut String) {
    for part in 0..4 {
        hex16(mix2(seed, part), out);
    }
}

fn hex16(number: u64, out: &mut String) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    for nibble in (0..16).rev() {
        let digit = usize::try_from(number >> (nibble * 4) & 15).unwrap_or(0);
        out.push(DIGITS.get(digit).copied().unwrap_or('0'));
    }
}

fn decimal(mut number: u64, least: usize, out: &mut String) {
    let mut digits = ['0'; 20];
    let mut length = 0;
    for digit in &mut digits {
        *digit = char::from(b'0' + u8::try_from(number % 10).unwrap_or(0));
        number /= 10;
        length += 1;
        if number == 0 && length >= least {
            break;
        }
    }
    out.extend(digits.iter().take(length).rev());
}

/// Writes a moment to the millisecond, by the proleptic Gregorian calendar.
pub(super) fn moment(at_us: i64, out: &mut String) {
    let ms = at_us.max(0).unsigned_abs() / 1000;
    let (days, in_day) = (ms / 86_400_000, ms % 86_400_000);
    // Days are counted from the first of March of year 0, so that the leap day ends a year.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    for (number, least, after) in [
        (year, 4, '-'),
        (month, 2, '-'),
        (day, 2, 'T'),
        (in_day / 3_600_000, 2, ':'),
        (in_day / 60_000 % 60, 2, ':'),
        (in_day / 1000 % 60, 2, '.'),
        (in_day % 1000, 3, 'Z'),
    ] {
        decimal(number, least, out);
        out.push(after);
    }
}

/// Firmware number `n` in words.
pub(super) fn firmware(number: u16, out: &mut String) {
    out.push_str("2.");
    decimal(u64::from(number), 1, out);
    out.push_str(".0");
}

/// A line without its line feed.
pub(super) fn write(envelope: &Envelope<'_>, said: &Said<'_>, out: &mut String) {
    out.push_str(match envelope.kind {
        Type::Authentication => r#"{"schema":"touchmark.event/1","type":"authentication","time":""#,
        Type::Heartbeat => r#"{"schema":"touchmark.event/1","type":"heartbeat","time":""#,
        Type::SessionEnd => r#"{"schema":"touchmark.event/1","type":"session_end","time":""#,
    });
    moment(envelope.time_us, out);
    if let Some(at) = envelope.received_us {
        out.push_str(r#"","received":""#);
        moment(at, out);
    }
    out.push_str(r#"","source":"gate-"#);
    decimal(u64::from(envelope.source), 1, out);
    if let Some(id) = envelope.event_id {
        out.push_str(r#"","event_id":"e"#);
        decimal(id, 1, out);
    }
    out.push_str(r#"","identity":{"spki_sha256":""#);
    digest(envelope.key, out);
    if envelope.kind == Type::Heartbeat {
        out.push_str(r#"","common_name":""#);
        out.push_str(envelope.name);
    } else {
        out.push_str(r#"","cert_sha256":""#);
        digest(envelope.certificate, out);
    }
    out.push_str("\"}");
    if let Some(session) = said.session {
        out.push_str(r#","session":"s"#);
        decimal(session, 1, out);
        out.push('"');
    }
    if let Some(seen) = said.seen {
        peer(&seen, out);
    }
    if let Some(ja4) = said.ja4 {
        out.push_str(r#","tls":{"version":"TLSv1.3","ja4":""#);
        out.push_str(ja4);
        out.push_str("\"}");
    }
    if let Some(device_type) = said.device_type {
        out.push_str(r#","device_type":""#);
        out.push_str(device_type);
        out.push('"');
    }
    if let Some(version) = said.firmware {
        out.push_str(r#","firmware":""#);
        firmware(version, out);
        out.push('"');
    }
    if let Some(at) = said.device_time {
        out.push_str(r#","device_time":""#);
        moment(at, out);
        out.push('"');
    }
    for (name, number) in [
        (r#","security_version":"#, said.security_version),
        (r#","boot_count":"#, said.boot_count),
        (r#","uptime_ms":"#, said.uptime_ms),
        (r#","counter":"#, said.counter),
        (r#","bytes":"#, said.bytes),
        (r#","duration_ms":"#, said.duration_ms),
    ] {
        if let Some(number) = number {
            out.push_str(name);
            decimal(number, 1, out);
        }
    }
    for (name, number) in [
        (r#","boot_id":""#, said.boot_id),
        (r#","token":""#, said.token),
        (r#","token_issued":""#, said.token_issued),
    ] {
        if let Some(number) = number {
            out.push_str(name);
            hex16(number, out);
            out.push('"');
        }
    }
    if let Some(reason) = said.reason {
        out.push_str(r#","reason":""#);
        out.push_str(reason);
        out.push('"');
    }
    out.push('}');
}

fn peer(seen: &Seen, out: &mut String) {
    // Writing into a string cannot fail.
    let _ = write!(
        out,
        r#","peer":{{"ip":"{}","port":{},"asn":{},"country":"{}","lat":{},"lon":{}}}"#,
        seen.ip, seen.port, seen.asn, seen.country, seen.lat, seen.lon
    );
}
