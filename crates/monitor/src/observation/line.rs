//! A line into an observation, in one pass and without an allocation.
//!
//! The reader here takes the lines that sources really write: known fields, texts without escapes, plain numbers. At
//! the first thing that is none of these it gives up, and [`Event::from_line`] reads the line instead. So whether a
//! line is an event, and what is wrong with it, is decided in one place.

use std::net::{IpAddr, Ipv4Addr};

use touchmark_identity::event::{
    Asn, Event, EventError, MAX_LINE_BYTES, MAX_TEXT_BYTES, NameKind, Peer, RawDigest, SCHEMA,
};
use touchmark_identity::key::sha256;
use touchmark_identity::timestamp::Timestamp;

use super::{
    Digests, Item, Kind, Name, Names, Observation, Place, Said, TextCache, TextHash, both, folded, hash32,
    hash64, short_digest, uptime,
};
use crate::network::Network;

/// Reads one line without its line feed.
///
/// # Errors
/// As [`Event::from_line`].
#[cfg(test)]
pub(crate) fn read_line(line: &[u8], texts: &mut TextCache) -> Result<Item, EventError> {
    read_line_with(line, texts, Digests::AtOnce)
}

/// As [`read_line`], with the digest where it is asked for; a line that is not of the usual form has it always.
///
/// # Errors
/// As [`Event::from_line`].
pub(crate) fn read_line_with(
    line: &[u8],
    texts: &mut TextCache,
    digests: Digests,
) -> Result<Item, EventError> {
    match fast(line, texts, digests) {
        Some(seen) => Ok(Item::Observation(seen)),
        None => Ok(Item::of(Event::from_line(line)?, RawDigest::of(line), texts)),
    }
}

/// The usual line; none for any other, among them every line that is not an event.
#[inline(always)]
fn fast(line: &[u8], texts: &mut TextCache, digests: Digests) -> Option<Observation> {
    if line.len() > MAX_LINE_BYTES {
        return None;
    }
    let mut scan = Scan { rest: line, bytes_seen: 0 };
    let mut fields = Fields::default();
    scan.space();
    scan.object(|scan, key| fields.member(scan, key, texts))?;
    scan.space();
    if !scan.rest.is_empty() || (scan.bytes_seen & HIGH_BITS != 0 && std::str::from_utf8(line).is_err()) {
        return None;
    }
    fields.finish(line, texts, digests)
}

/// What the members of a line hold. Texts are as they stand in the line.
#[derive(Default)]
struct Fields<'a> {
    /// Members that came already; a second one of a name makes a line malformed.
    seen: u32,
    schema: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
    time: Option<&'a [u8]>,
    received: Option<&'a [u8]>,
    source: Option<&'a [u8]>,
    event_id: Option<&'a [u8]>,
    names: Names,
    session: Option<&'a [u8]>,
    peer: PeerFields<'a>,
    tls: TlsFields<'a>,
    device_type: Option<&'a [u8]>,
    firmware: Option<&'a [u8]>,
    token: Option<&'a [u8]>,
    token_issued: Option<&'a [u8]>,
    boot_id: Option<&'a [u8]>,
    device_time: Option<&'a [u8]>,
    security_version: Option<u64>,
    boot_count: Option<u64>,
    uptime_ms: Option<u64>,
    counter: Option<u64>,
    bytes: Option<u64>,
    duration_ms: Option<u64>,
    bytes_in: Option<u64>,
    bytes_out: Option<u64>,
    messages_in: Option<u64>,
    messages_out: Option<u64>,
    quote: TextHash,
}

#[derive(Default)]
struct PeerFields<'a> {
    ip: Option<&'a [u8]>,
    port: Option<u64>,
    asn: Option<u64>,
    country: Option<&'a [u8]>,
    lat: Option<f64>,
    lon: Option<f64>,
}

#[derive(Default)]
struct TlsFields<'a> {
    version: Option<&'a [u8]>,
    resumed: Option<bool>,
    ja4: Option<&'a [u8]>,
}

#[derive(Default)]
struct IdentityFields<'a> {
    spki_sha256: Option<&'a [u8]>,
    cert_sha256: Option<&'a [u8]>,
    cert_sha1: Option<&'a [u8]>,
    issuer_dn: Option<&'a [u8]>,
    serial: Option<&'a [u8]>,
    common_name: Option<&'a [u8]>,
    client_id: Option<&'a [u8]>,
}

/// Notes a member; none where it came already.
#[inline(always)]
fn once(seen: &mut u32, bit: u32) -> Option<()> {
    let mask = 1u32 << bit;
    let new = *seen & mask == 0;
    *seen |= mask;
    new.then_some(())
}

impl<'a> Fields<'a> {
    /// Takes the value of one member. The types are those of `touchmark_identity::event`'s own reader, which also checks
    /// members that the event's type does not use.
    #[inline(always)]
    fn member(&mut self, scan: &mut Scan<'a>, key: &[u8], texts: &mut TextCache) -> Option<()> {
        let (bit, text) = match key {
            b"schema" => (0, &mut self.schema),
            b"type" => (1, &mut self.kind),
            b"time" => (2, &mut self.time),
            b"received" => (3, &mut self.received),
            b"source" => (4, &mut self.source),
            b"event_id" => (5, &mut self.event_id),
            b"session" => (6, &mut self.session),
            b"device_type" => (7, &mut self.device_type),
            b"firmware" => (8, &mut self.firmware),
            b"token" => (9, &mut self.token),
            b"token_issued" => (10, &mut self.token_issued),
            b"boot_id" => (11, &mut self.boot_id),
            b"device_time" => (12, &mut self.device_time),
            _ => return self.other_member(scan, key, texts),
        };
        once(&mut self.seen, bit)?;
        *text = scan.text()?;
        Some(())
    }

    fn other_member(&mut self, scan: &mut Scan<'a>, key: &[u8], texts: &mut TextCache) -> Option<()> {
        let (bit, number) = match key {
            b"security_version" => (13, &mut self.security_version),
            b"boot_count" => (14, &mut self.boot_count),
            b"uptime_ms" => (15, &mut self.uptime_ms),
            b"counter" => (16, &mut self.counter),
            b"bytes" => (17, &mut self.bytes),
            b"duration_ms" => (18, &mut self.duration_ms),
            b"bytes_in" => (19, &mut self.bytes_in),
            b"bytes_out" => (20, &mut self.bytes_out),
            b"messages_in" => (21, &mut self.messages_in),
            b"messages_out" => (22, &mut self.messages_out),
            b"identity" => {
                once(&mut self.seen, 23)?;
                return self.identity(scan, texts);
            }
            b"peer" => {
                once(&mut self.seen, 24)?;
                return self.peer(scan);
            }
            b"tls" => {
                once(&mut self.seen, 25)?;
                return self.tls(scan);
            }
            // Texts that are checked and say nothing to the engine.
            b"client_id" => {
                once(&mut self.seen, 26)?;
                return scan.text().map(|_| ());
            }
            b"reason" => {
                once(&mut self.seen, 27)?;
                return scan.text().map(|_| ());
            }
            b"counter_quote" => {
                once(&mut self.seen, 28)?;
                self.quote = scan.quote()?;
                return Some(());
            }
            // Members of registry lines and renewals, which are rare.
            b"renewal"
            | b"device"
            | b"assurance"
            | b"home"
            | b"aliases"
            | b"anti_rollback_floor"
            | b"status" => {
                return None;
            }
            _ => return scan.skip(),
        };
        once(&mut self.seen, bit)?;
        *number = scan.number()?;
        Some(())
    }

    fn identity(&mut self, scan: &mut Scan<'a>, texts: &mut TextCache) -> Option<()> {
        let mut identity = IdentityFields::default();
        let mut seen = 0;
        scan.object(|scan, key| {
            let (bit, text) = match key {
                b"spki_sha256" => (0, &mut identity.spki_sha256),
                b"cert_sha256" => (1, &mut identity.cert_sha256),
                b"cert_sha1" => (2, &mut identity.cert_sha1),
                b"issuer_dn" => (3, &mut identity.issuer_dn),
                b"serial" => (4, &mut identity.serial),
                b"common_name" => (5, &mut identity.common_name),
                b"client_id" => (6, &mut identity.client_id),
                _ => return scan.skip(),
            };
            once(&mut seen, bit)?;
            *text = scan.text()?;
            Some(())
        })?;
        self.names = identity.names(texts)?;
        Some(())
    }

    fn peer(&mut self, scan: &mut Scan<'a>) -> Option<()> {
        if scan.null() {
            return Some(());
        }
        let peer = &mut self.peer;
        let mut seen = 0;
        scan.object(|scan, key| {
            match key {
                b"ip" => {
                    once(&mut seen, 0)?;
                    peer.ip = Some(scan.string()?);
                }
                b"port" => {
                    once(&mut seen, 1)?;
                    peer.port = scan.number()?;
                }
                b"asn" => {
                    once(&mut seen, 2)?;
                    peer.asn = scan.number()?;
                }
                b"country" => {
                    once(&mut seen, 3)?;
                    peer.country = scan.text()?;
                }
                b"lat" => {
                    once(&mut seen, 4)?;
                    peer.lat = scan.degrees(90.0)?;
                }
                b"lon" => {
                    once(&mut seen, 5)?;
                    peer.lon = scan.degrees(180.0)?;
                }
                _ => return scan.skip(),
            }
            Some(())
        })?;
        peer.ip.map(|_| ())
    }

    fn tls(&mut self, scan: &mut Scan<'a>) -> Option<()> {
        if scan.null() {
            return Some(());
        }
        let tls = &mut self.tls;
        let mut seen = 0;
        scan.object(|scan, key| {
            match key {
                b"version" => {
                    once(&mut seen, 0)?;
                    tls.version = scan.text()?;
                }
                b"resumed" => {
                    once(&mut seen, 1)?;
                    tls.resumed = scan.boolean()?;
                }
                b"ja4" => {
                    once(&mut seen, 2)?;
                    tls.ja4 = scan.text()?;
                }
                b"sni" => {
                    once(&mut seen, 3)?;
                    scan.text()?;
                }
                _ => return scan.skip(),
            }
            Some(())
        })
    }

    #[inline(always)]
    fn finish(self, line: &[u8], texts: &mut TextCache, digests: Digests) -> Option<Observation> {
        if self.schema? != SCHEMA.as_bytes() || self.names.is_empty() {
            return None;
        }
        let kind = match self.kind? {
            b"heartbeat" => Kind::Heartbeat,
            b"authentication" => Kind::Authentication,
            b"session_end" => Kind::SessionEnd,
            _ => return None,
        };
        let time = micros(self.time?)?;
        let received = self.received.map_or(Some(None), |text| micros(text).map(Some))?;
        if let (Kind::Heartbeat, Some(text)) = (kind, self.device_time) {
            micros(text)?;
        }
        if kind != Kind::Heartbeat && self.session.is_none() {
            return None;
        }
        // An address that is none makes a line malformed, whatever its type.
        let peer = self.peer.read()?;
        let source = texts.keep(self.source?);
        let digest = match digests {
            Digests::Later => RawDigest([0; 32]),
            Digests::AtOnce => RawDigest::of(line),
        };
        let whole = || match digests {
            Digests::Later => hash64(line),
            Digests::AtOnce => short_digest(&digest),
        };
        let mut seen = Observation::bare(kind, time / 1_000, source, digest, self.event_id, whole);
        seen.received = received.map(|at| at / 1_000);
        seen.names = self.names;
        seen.session = hash_of(self.session);
        if kind == Kind::SessionEnd {
            seen.bytes = both(self.bytes_in, self.bytes_out);
            return Some(seen);
        }
        if let Some((network, _)) = peer {
            seen.network = Some(network);
            seen.place = Place::of(self.peer.lat, self.peer.lon);
        }
        seen.firmware = keep(texts, self.firmware);
        seen.device_type = keep(texts, self.device_type);
        seen.token_issued = self.token_issued.map_or(0, hash32);
        seen.counter = self.counter;
        seen.uptime_ms = uptime(self.uptime_ms);
        if kind == Kind::Authentication {
            seen.token = self.token.map_or(0, hash32);
            seen.ja4 = keep(texts, self.tls.ja4);
            seen.boot_id = self.boot_id.map_or(0, hash32);
            return Some(seen);
        }
        let token = hash_of(self.token);
        seen.token = self.token.map_or(0, |_| token.short());
        seen.boot_count = self.boot_count;
        seen.security_version = self.security_version;
        seen.has_quote = !self.quote.is_none();
        let said = Said {
            counter: self.counter,
            uptime_ms: self.uptime_ms,
            boot_count: self.boot_count,
            token,
            quote: self.quote,
        };
        seen.content = said.hash();
        seen.bytes = self.bytes.unwrap_or(0);
        Some(seen)
    }
}

fn hash_of(text: Option<&[u8]>) -> TextHash {
    text.map_or(TextHash::NONE, TextHash::of)
}

fn keep(texts: &mut TextCache, text: Option<&[u8]>) -> TextHash {
    text.map_or(TextHash::NONE, |text| texts.keep(text))
}

impl PeerFields<'_> {
    /// Network and port, where there is a peer; none at all where a value is out of its range.
    fn read(&self) -> Option<Option<(Network, u16)>> {
        let Some(ip) = self.ip else { return Some(None) };
        let ip = match ipv4(ip) {
            Some(ip) => IpAddr::V4(ip),
            None => std::str::from_utf8(ip).ok()?.parse().ok()?,
        };
        let port = u16::try_from(self.port.unwrap_or(0)).ok()?;
        let asn = match self.asn {
            Some(asn) => Some(Asn(u32::try_from(asn).ok()?)),
            None => None,
        };
        Some(Some((Network::of(&Peer { asn, ..Peer::at(ip) }), port)))
    }
}

/// Four decimal numbers without leading zeros.
fn ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let (mut at, mut value, mut digits) = (0, 0u16, 0);
    for &byte in text {
        match byte {
            b'0'..=b'9' if digits < 3 && (digits == 0 || value != 0) => {
                value = value * 10 + u16::from(byte - b'0');
                digits += 1;
            }
            b'.' if digits > 0 && at < 3 => {
                *octets.get_mut(at)? = u8::try_from(value).ok()?;
                (at, value, digits) = (at + 1, 0, 0);
            }
            _ => return None,
        }
    }
    *octets.get_mut(at)? = u8::try_from(value).ok()?;
    (at == 3 && digits > 0).then(|| Ipv4Addr::from(octets))
}

impl IdentityFields<'_> {
    /// The complete names; none where a value is not in its usual form.
    fn names(&self, texts: &mut TextCache) -> Option<Names> {
        let mut names = Names::default();
        let mut set = |kind, bits| names.set(Name { kind, bits });
        if let Some(text) = self.spki_sha256 {
            set(NameKind::Spki, hex_bits::<64>(text)?);
        }
        if let Some(text) = self.cert_sha256 {
            set(NameKind::CertSha256, hex_bits::<64>(text)?);
        }
        if let Some(text) = self.cert_sha1 {
            set(NameKind::CertSha1, hex_bits::<40>(text)?);
        }
        match (self.issuer_dn, self.serial) {
            (Some(issuer), Some(serial)) => {
                let issuer = std::str::from_utf8(issuer).ok().filter(|issuer| !issuer.is_empty())?;
                set(NameKind::IssuerSerial, texts.issued(issuer, serial_digits(serial)?));
            }
            (None, None) => {}
            // Half a name is checked and then says nothing.
            _ => return None,
        }
        let named = |text: &[u8]| (!text.is_empty()).then(|| folded(&sha256(text)));
        if let Some(text) = self.common_name {
            set(NameKind::CommonName, named(text)?);
        }
        if let Some(text) = self.client_id {
            set(NameKind::ClientId, named(text)?);
        }
        Some(names)
    }
}

/// The digits of a serial number without leading zeros, in the case in which they came.
fn serial_digits(text: &[u8]) -> Option<&[u8]> {
    let zeros = text.iter().take_while(|&&byte| byte == b'0').count();
    // Of zeros alone the last one stays.
    let digits = text.get(zeros.min(text.len().checked_sub(1)?)..)?;
    (digits.len() <= 64 && digits.iter().all(u8::is_ascii_hexdigit)).then_some(digits)
}

/// The bytes that so many hex digits of either case stand for, [`folded`]. All digits are checked.
#[inline(always)]
fn hex_bits<const DIGITS: usize>(text: &[u8]) -> Option<u128> {
    let text: &[u8; DIGITS] = text.try_into().ok()?;
    let wrong = text.iter().fold(0u8, |wrong, &byte| wrong | u8::from(!byte.is_ascii_hexdigit()));
    if wrong != 0 {
        return None;
    }
    let (words, _) = text.as_chunks::<8>();
    let half = |words: &[[u8; 8]]| {
        let shift = |at: usize| 96 - 32 * at.min(3);
        words.iter().enumerate().fold(0, |bits, (at, word)| bits | u128::from(hex_word(*word)) << shift(at))
    };
    Some(words.chunks(4).fold(0, |bits, words| bits ^ half(words)))
}

/// Eight hex digits, known to be such, as a number: all at once, a digit in each byte of a word.
fn hex_word(digits: [u8; 8]) -> u32 {
    let word = u64::from_le_bytes(digits);
    // `0` to `9` end in their value; letters end in 1 to 6 and have bit 6 set.
    let nibbles = (word & each(0x0f)) + (word >> 6 & each(0x01)) * 9;
    let pairs = (nibbles << 4 | nibbles >> 8) & 0x00ff_00ff_00ff_00ff;
    let [a, _, b, _, c, _, d, _] = pairs.to_le_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// A word with this byte eight times.
#[inline(always)]
const fn each(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The bit that bytes outside ASCII have.
const HIGH_BITS: u64 = each(0x80);

/// The place of the first byte of eight that is a quotation mark, a backslash or below a space.
#[inline(always)]
fn first_stop(word: u64) -> Option<usize> {
    // The lowest mark is exact: a borrow runs upwards only.
    let below = |word: u64, byte: u8| word.wrapping_sub(each(byte)) & !word & HIGH_BITS;
    let stops = below(word ^ each(b'"'), 1) | below(word ^ each(b'\\'), 1) | below(word, b' ');
    (stops != 0).then_some(usize::try_from(stops.trailing_zeros() / 8).unwrap_or(0))
}

/// What is left of a line. Every reader gives none where the line is not of the usual form.
struct Scan<'a> {
    rest: &'a [u8],
    /// All words that were searched, one over the other: tells whether any byte was outside ASCII.
    bytes_seen: u64,
}

impl<'a> Scan<'a> {
    #[inline(always)]
    fn space(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    #[inline(always)]
    fn take(&mut self, byte: u8) -> bool {
        match self.rest {
            [first, rest @ ..] if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn word(&mut self, word: &[u8]) -> bool {
        match self.rest.strip_prefix(word) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    #[inline(always)]
    fn null(&mut self) -> bool {
        self.rest.first() == Some(&b'n') && self.word(b"null")
    }

    /// An object; `member` takes the value that stands next.
    #[inline(always)]
    fn object(&mut self, mut member: impl FnMut(&mut Self, &'a [u8]) -> Option<()>) -> Option<()> {
        if !self.take(b'{') {
            return None;
        }
        self.space();
        if self.take(b'}') {
            return Some(());
        }
        loop {
            let key = self.string()?;
            self.space();
            if !self.take(b':') {
                return None;
            }
            self.space();
            member(self, key)?;
            self.space();
            if self.take(b'}') {
                return Some(());
            }
            if !self.take(b',') {
                return None;
            }
            self.space();
        }
    }

    /// A text without escapes, as it stands.
    #[inline(always)]
    fn string(&mut self) -> Option<&'a [u8]> {
        let [b'"', inside @ ..] = self.rest else { return None };
        let mut rest = inside;
        let end = loop {
            if let Some((word, after)) = rest.split_first_chunk::<8>() {
                let word = u64::from_le_bytes(*word);
                self.bytes_seen |= word;
                match first_stop(word) {
                    Some(at) => break inside.len() - rest.len() + at,
                    None => rest = after,
                }
            } else {
                let (&byte, after) = rest.split_first()?;
                self.bytes_seen |= u64::from(byte);
                if byte == b'"' || byte == b'\\' || byte < b' ' {
                    break inside.len() - rest.len();
                }
                rest = after;
            }
        };
        let (text, rest) = inside.split_at_checked(end)?;
        self.rest = rest.strip_prefix(b"\"")?;
        Some(text)
    }

    /// A text of a length that every field may have, or nothing said.
    #[inline(always)]
    fn text(&mut self) -> Option<Option<&'a [u8]>> {
        if self.null() {
            return Some(None);
        }
        self.string().filter(|text| text.len() <= MAX_TEXT_BYTES).map(Some)
    }

    fn boolean(&mut self) -> Option<Option<bool>> {
        if self.word(b"true") {
            Some(Some(true))
        } else if self.word(b"false") {
            Some(Some(false))
        } else {
            self.null().then_some(None)
        }
    }

    /// Up to so many decimal digits, at least one, and how many there were.
    #[inline(always)]
    fn digits(&mut self, most: usize) -> Option<(u64, usize)> {
        let begin = self.rest;
        let mut value = 0u64;
        while let [digit @ b'0'..=b'9', rest @ ..] = self.rest {
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.rest = rest;
        }
        let count = begin.len() - self.rest.len();
        (1..=most).contains(&count).then_some((value, count))
    }

    /// As [`Scan::digits`], without a leading zero: the part of a number before its point.
    #[inline(always)]
    fn whole(&mut self, most: usize) -> Option<(u64, usize)> {
        let zero = self.rest.first() == Some(&b'0');
        self.digits(most).filter(|&(_, count)| !zero || count == 1)
    }

    /// A whole number of up to 19 digits, which a `u64` always holds, or nothing said.
    #[inline(always)]
    fn number(&mut self) -> Option<Option<u64>> {
        if self.null() {
            return Some(None);
        }
        self.whole(19).map(|(value, _)| Some(value))
    }

    /// A number without exponent and with up to 15 digits. Both such digits and the power of ten are exact in a double,
    /// so their quotient is the double that is nearest to the number, as every correct reader gives.
    #[expect(clippy::cast_precision_loss, reason = "15 decimal digits have less than 53 bits")]
    fn decimal(&mut self) -> Option<f64> {
        const POWERS: [f64; 16] =
            [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
        let negative = self.take(b'-');
        let (mut digits, count) = self.whole(15)?;
        let mut power = 1.0;
        if self.take(b'.') {
            let (fraction, places) = self.digits(15 - count)?;
            power = *POWERS.get(places)?;
            digits = digits * 10u64.pow(u32::try_from(places).ok()?) + fraction;
        }
        let value = digits as f64 / power;
        Some(if negative { -value } else { value })
    }

    /// Degrees within a limit, or nothing said.
    fn degrees(&mut self, limit: f64) -> Option<Option<f64>> {
        if self.null() {
            return Some(None);
        }
        self.decimal().filter(|value| (-limit..=limit).contains(value)).map(Some)
    }

    /// The value of a member that the format does not have: a text, a number or a word.
    fn skip(&mut self) -> Option<()> {
        match self.rest.first()? {
            b'"' => self.string().map(|_| ()),
            b't' | b'f' | b'n' => self.boolean().map(|_| ()),
            _ => self.decimal().map(|_| ()),
        }
    }

    /// Any JSON value that begins with a quotation mark or a bracket, as the hash of its canonical text; "none" for
    /// `null`.
    fn quote(&mut self) -> Option<TextHash> {
        let begin = self.rest;
        match begin.first()? {
            b'n' => self.null().then_some(TextHash::NONE),
            b'"' => {
                let length = self.string()?.len() + 2;
                Some(TextHash::of(begin.get(..length)?))
            }
            b'{' | b'[' => {
                let (value, rest) = begin.split_at_checked(extent(begin)?)?;
                let value: serde_json::Value = serde_json::from_slice(value).ok()?;
                self.rest = rest;
                Some(TextHash::of(value.to_string().as_bytes()))
            }
            _ => None,
        }
    }
}

/// Brackets in a quote up to which it is read here: far below the depth at which the JSON reader refuses a line.
const BRACKETS_MAX: u32 = 64;

/// The length of a value that begins with a bracket, by its brackets alone.
fn extent(value: &[u8]) -> Option<usize> {
    let (mut depth, mut brackets, mut quoted, mut escaped) = (0u32, 0, false, false);
    for (at, byte) in value.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => {
                depth += 1;
                brackets += 1;
                if brackets > BRACKETS_MAX {
                    return None;
                }
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Microseconds since 1970 of `YYYY-MM-DDTHH:MM:SS[.f]Z` with up to 9 digits after the point; other forms of RFC 3339
/// by [`Timestamp`]'s own reader.
fn micros(text: &[u8]) -> Option<i64> {
    plain_micros(text).or_else(|| {
        let at: Timestamp = std::str::from_utf8(text).ok()?.parse().ok()?;
        Some(at.micros())
    })
}

fn plain_micros(text: &[u8]) -> Option<i64> {
    let (&[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', n0, n1, b':', s0, s1], fraction) =
        text.split_first_chunk::<19>()?
    else {
        return None;
    };
    let all = [y0, y1, y2, y3, m0, m1, d0, d1, h0, h1, n0, n1, s0, s1];
    if !all.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let two = |tens: u8, ones: u8| i64::from(tens & 15) * 10 + i64::from(ones & 15);
    let (year, month, day) = (two(y0, y1) * 100 + two(y2, y3), two(m0, m1), two(d0, d1));
    let (hour, minute, second) = (two(h0, h1), two(n0, n1), two(s0, s1));
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => return None,
    };
    if year < 1970 || !(1..=last).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut micros = 0;
    match fraction {
        [b'Z'] => {}
        [b'.', digits @ .., b'Z'] if (1..=9).contains(&digits.len()) => {
            let mut unit = 100_000;
            for digit in digits {
                if !digit.is_ascii_digit() {
                    return None;
                }
                micros += i64::from(digit & 15) * unit;
                unit /= 10;
            }
        }
        _ => return None,
    }
    // Years that begin in March, so that the day that some have more is their last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 719_469;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000 + micros)
}

#[cfg(test)]
mod tests;
