//! One record: from its bytes into borrowed fields, and from these into an event.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use touchmark_identity::event::{
    Asn, Authentication, CertSha1, CertSha256, Event, EventBody, EventError, Heartbeat, IdentityRef,
    MAX_TEXT_BYTES, Peer, Renewal, RenewalOutcome, SessionEnd, Tls,
};
use touchmark_identity::key::SpkiHash;
use touchmark_identity::timestamp::Timestamp;

use super::{Cut, MAX_RECORD_BYTES, Shared};

/// Kinds of records, and the bits of the fields that each may have.
pub(super) const AUTHENTICATION: u8 = 0;
pub(super) const SESSION_END: u8 = 1;
pub(super) const HEARTBEAT: u8 = 2;
pub(super) const REGISTRY: u8 = 3;

/// Fields, by the bit that tells that one is there.
pub(super) mod bit {
    pub(in super::super) const RECEIVED: u32 = 1;
    pub(in super::super) const EVENT_ID: u32 = 1 << 1;
    pub(in super::super) const SPKI: u32 = 1 << 2;
    pub(in super::super) const CERT_SHA256: u32 = 1 << 3;
    pub(in super::super) const CERT_SHA1: u32 = 1 << 4;
    pub(in super::super) const ISSUER: u32 = 1 << 5;
    pub(in super::super) const SERIAL: u32 = 1 << 6;
    pub(in super::super) const COMMON_NAME: u32 = 1 << 7;
    pub(in super::super) const CLIENT_NAME: u32 = 1 << 8;
    pub(in super::super) const SESSION: u32 = 1 << 9;
    pub(in super::super) const PEER: u32 = 1 << 10;
    pub(in super::super) const TLS: u32 = 1 << 11;
    pub(in super::super) const DEVICE_TYPE: u32 = 1 << 12;
    pub(in super::super) const FIRMWARE: u32 = 1 << 13;
    pub(in super::super) const CLIENT_ID: u32 = 1 << 14;
    pub(in super::super) const TOKEN: u32 = 1 << 15;
    pub(in super::super) const TOKEN_ISSUED: u32 = 1 << 16;
    pub(in super::super) const BOOT_ID: u32 = 1 << 17;
    pub(in super::super) const COUNTER: u32 = 1 << 18;
    pub(in super::super) const UPTIME: u32 = 1 << 19;
    pub(in super::super) const BOOT_COUNT: u32 = 1 << 20;
    pub(in super::super) const SECURITY_VERSION: u32 = 1 << 21;
    pub(in super::super) const BYTES: u32 = 1 << 22;
    pub(in super::super) const DEVICE_TIME: u32 = 1 << 23;
    pub(in super::super) const QUOTE: u32 = 1 << 24;
    pub(in super::super) const DURATION: u32 = 1 << 25;
    pub(in super::super) const BYTES_IN: u32 = 1 << 26;
    pub(in super::super) const BYTES_OUT: u32 = 1 << 27;
    pub(in super::super) const MESSAGES_IN: u32 = 1 << 28;
    pub(in super::super) const MESSAGES_OUT: u32 = 1 << 29;
    pub(in super::super) const REASON: u32 = 1 << 30;
    pub(in super::super) const RENEWAL: u32 = 1 << 31;

    /// The fields that every kind may have: those below `peer`.
    const COMMON: u32 = PEER - 1;
    const DEVICE: u32 = PEER | DEVICE_TYPE | FIRMWARE | TOKEN | TOKEN_ISSUED | COUNTER | UPTIME;
    pub(super) const OF_AUTHENTICATION: u32 = COMMON | DEVICE | TLS | CLIENT_ID | BOOT_ID | RENEWAL;
    pub(super) const OF_HEARTBEAT: u32 =
        COMMON | DEVICE | BOOT_COUNT | SECURITY_VERSION | BYTES | DEVICE_TIME | QUOTE;
    pub(super) const OF_SESSION_END: u32 =
        COMMON | DURATION | BYTES_IN | BYTES_OUT | MESSAGES_IN | MESSAGES_OUT | REASON;
}

/// The bits of a peer.
pub(super) mod peer_bit {
    pub(in super::super) const V6: u8 = 1;
    pub(in super::super) const PORT: u8 = 1 << 1;
    pub(in super::super) const ASN: u8 = 1 << 2;
    pub(in super::super) const COUNTRY: u8 = 1 << 3;
    pub(in super::super) const LAT: u8 = 1 << 4;
    pub(in super::super) const LON: u8 = 1 << 5;
    pub(super) const ALL: u8 = (1 << 6) - 1;
}

/// The bits of how a connection was protected.
pub(super) mod tls_bit {
    pub(in super::super) const VERSION: u8 = 1;
    pub(in super::super) const JA4: u8 = 1 << 1;
    pub(in super::super) const SNI: u8 = 1 << 2;
    pub(in super::super) const RESUMED_KNOWN: u8 = 1 << 3;
    pub(in super::super) const RESUMED: u8 = 1 << 4;
    pub(super) const ALL: u8 = (1 << 5) - 1;
}

/// The bits of a renewal.
pub(super) mod renewal_bit {
    pub(in super::super) const REPEATED: u8 = 1;
    pub(in super::super) const SUPERSEDED: u8 = 1 << 1;
    pub(in super::super) const ISSUED: u8 = 1 << 2;
    pub(in super::super) const HEAD: u8 = 1 << 3;
    pub(super) const ALL: u8 = (1 << 4) - 1;
}

/// What a record holds, borrowed from its batch. Moments are microseconds since 1970.
#[derive(Debug, Default)]
pub(crate) struct Record<'a> {
    pub(crate) time: i64,
    pub(crate) source: Option<Shared<'a>>,
    pub(crate) received: Option<i64>,
    pub(crate) event_id: Option<&'a str>,
    pub(crate) spki: Option<[u8; 32]>,
    pub(crate) cert_sha256: Option<[u8; 32]>,
    pub(crate) cert_sha1: Option<[u8; 20]>,
    pub(crate) issuer: Option<Shared<'a>>,
    pub(crate) serial: Option<&'a str>,
    pub(crate) common_name: Option<&'a str>,
    pub(crate) client_name: Option<&'a str>,
    pub(crate) session: Option<&'a str>,
    pub(crate) peer: Option<PeerRecord<'a>>,
    pub(crate) tls: Option<TlsRecord<'a>>,
    pub(crate) device_type: Option<Shared<'a>>,
    pub(crate) firmware: Option<Shared<'a>>,
    pub(crate) client_id: Option<&'a str>,
    pub(crate) token: Option<&'a str>,
    pub(crate) token_issued: Option<&'a str>,
    pub(crate) boot_id: Option<&'a str>,
    pub(crate) counter: Option<u64>,
    pub(crate) uptime_ms: Option<u64>,
    pub(crate) boot_count: Option<u64>,
    pub(crate) security_version: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) device_time: Option<i64>,
    pub(crate) quote: Option<serde_json::Value>,
    pub(crate) duration_ms: Option<u64>,
    pub(crate) bytes_in: Option<u64>,
    pub(crate) bytes_out: Option<u64>,
    pub(crate) messages_in: Option<u64>,
    pub(crate) messages_out: Option<u64>,
    pub(crate) reason: Option<Shared<'a>>,
    pub(crate) renewal: Option<Renewal>,
    pub(crate) body: Body<'a>,
}

/// Which record it is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Body<'a> {
    #[default]
    Authentication,
    SessionEnd,
    Heartbeat,
    /// The line itself; all other fields say nothing.
    Registry(&'a [u8]),
}

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeerRecord<'a> {
    pub(crate) ip: IpAddr,
    pub(crate) port: Option<u16>,
    pub(crate) asn: Option<Asn>,
    pub(crate) country: Option<Shared<'a>>,
    pub(crate) lat: Option<f64>,
    pub(crate) lon: Option<f64>,
}

/// How a connection was protected.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TlsRecord<'a> {
    pub(crate) version: Option<Shared<'a>>,
    pub(crate) ja4: Option<Shared<'a>>,
    pub(crate) sni: Option<Shared<'a>>,
    pub(crate) resumed: Option<bool>,
}

/// A value where its bit is set; the name of the field where it cannot be read.
#[inline(always)]
fn when<T>(
    set: bool,
    field: &'static str,
    read: impl FnOnce() -> Option<T>,
) -> Result<Option<T>, &'static str> {
    if set { read().map(Some).ok_or(field) } else { Ok(None) }
}

#[inline(always)]
fn moment(cut: &mut Cut<'_>) -> Option<i64> {
    let micros = i64::try_from(u64::from_le_bytes(cut.array()?)).ok()?;
    (Timestamp::from_micros(micros).micros() == micros).then_some(micros)
}

#[inline(always)]
fn short<'a>(cut: &mut Cut<'a>) -> Option<&'a str> {
    cut.text(MAX_TEXT_BYTES)
}

fn long<'a>(cut: &mut Cut<'a>) -> Option<&'a str> {
    cut.text(MAX_RECORD_BYTES)
}

fn name<'a>(cut: &mut Cut<'a>) -> Option<&'a str> {
    short(cut).filter(|name| !name.is_empty())
}

#[inline(always)]
fn shared<'a>(cut: &mut Cut<'a>, texts: &[Shared<'a>]) -> Option<Shared<'a>> {
    texts.get(usize::try_from(cut.varint()?).ok()?).copied()
}

/// Degrees within a limit; not a number is not.
pub(super) fn degrees(value: f64, limit: f64) -> Option<f64> {
    (-limit..=limit).contains(&value).then_some(value)
}

/// A serial number as [`touchmark_identity::event::CertSerial`] writes it.
fn serial<'a>(cut: &mut Cut<'a>) -> Option<&'a str> {
    short(cut).filter(|text| {
        let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        digits && (1..=64).contains(&text.len()) && (*text == "0" || !text.starts_with('0'))
    })
}

impl<'a> PeerRecord<'a> {
    fn read(cut: &mut Cut<'a>, texts: &[Shared<'a>]) -> Option<Self> {
        let bits = cut.byte().filter(|bits| bits & !peer_bit::ALL == 0)?;
        let has = |bit| bits & bit != 0;
        let ip = if has(peer_bit::V6) {
            IpAddr::V6(Ipv6Addr::from(cut.array::<16>()?))
        } else {
            IpAddr::V4(Ipv4Addr::from(cut.array::<4>()?))
        };
        let mut peer = Self { ip, port: None, asn: None, country: None, lat: None, lon: None };
        if has(peer_bit::PORT) {
            peer.port = Some(u16::from_le_bytes(cut.array()?));
        }
        if has(peer_bit::ASN) {
            peer.asn = Some(Asn(cut.word()?));
        }
        if has(peer_bit::COUNTRY) {
            peer.country = Some(shared(cut, texts)?);
        }
        if has(peer_bit::LAT) {
            peer.lat = Some(degrees(f64::from_le_bytes(cut.array()?), 90.0)?);
        }
        if has(peer_bit::LON) {
            peer.lon = Some(degrees(f64::from_le_bytes(cut.array()?), 180.0)?);
        }
        Some(peer)
    }

    fn to_peer(self) -> Peer {
        let country = self.country.map(|shared| shared.text.to_owned());
        Peer { ip: self.ip, port: self.port, asn: self.asn, country, lat: self.lat, lon: self.lon }
    }
}

impl<'a> TlsRecord<'a> {
    fn read(cut: &mut Cut<'a>, texts: &[Shared<'a>]) -> Option<Self> {
        let bits = cut.byte().filter(|bits| bits & !tls_bit::ALL == 0)?;
        let has = |bit| bits & bit != 0;
        if has(tls_bit::RESUMED) && !has(tls_bit::RESUMED_KNOWN) {
            return None;
        }
        let mut text = |bit| if has(bit) { shared(cut, texts).map(Some) } else { Some(None) };
        Some(Self {
            version: text(tls_bit::VERSION)?,
            ja4: text(tls_bit::JA4)?,
            sni: text(tls_bit::SNI)?,
            resumed: has(tls_bit::RESUMED_KNOWN).then_some(has(tls_bit::RESUMED)),
        })
    }

    fn to_tls(self) -> Tls {
        Tls {
            version: owned(self.version),
            resumed: self.resumed,
            ja4: owned(self.ja4),
            sni: owned(self.sni),
        }
    }
}

fn renewal(cut: &mut Cut<'_>) -> Option<Renewal> {
    let bits = cut.byte().filter(|bits| bits & !renewal_bit::ALL == 0)?;
    let has = |bit| bits & bit != 0;
    let outcome = match (has(renewal_bit::REPEATED), has(renewal_bit::SUPERSEDED)) {
        (false, false) => RenewalOutcome::Renewed,
        (true, false) => RenewalOutcome::Repeated,
        (false, true) => RenewalOutcome::Superseded,
        (true, true) => return None,
    };
    let presented = CertSha256(cut.array()?);
    let mut digest =
        |bit| if has(bit) { cut.array().map(|digest| Some(CertSha256(digest))) } else { Some(None) };
    let (issued, head) = (digest(renewal_bit::ISSUED)?, digest(renewal_bit::HEAD)?);
    Some(Renewal { presented, outcome, issued, head })
}

fn owned(text: Option<Shared<'_>>) -> Option<String> {
    text.map(|shared| shared.text.to_owned())
}

fn stamp(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

impl<'a> Record<'a> {
    /// Reads a record; the name of the field where it cannot be read.
    #[inline(always)]
    pub(super) fn read(bytes: &'a [u8], texts: &[Shared<'a>]) -> Result<Self, &'static str> {
        let mut cut = Cut(bytes);
        let (body, allowed) = match cut.byte().ok_or("type")? {
            AUTHENTICATION => (Body::Authentication, bit::OF_AUTHENTICATION),
            SESSION_END => (Body::SessionEnd, bit::OF_SESSION_END),
            HEARTBEAT => (Body::Heartbeat, bit::OF_HEARTBEAT),
            REGISTRY => return Ok(Self { body: Body::Registry(cut.0), ..Self::default() }),
            _ => return Err("type"),
        };
        let present = cut.word().filter(|present| present & !allowed == 0).ok_or("fields")?;
        let has = |bit| present & bit != 0;
        let cut = &mut cut;
        let record = Self {
            time: moment(cut).ok_or("time")?,
            source: Some(shared(cut, texts).ok_or("source")?),
            received: when(has(bit::RECEIVED), "received", || moment(cut))?,
            event_id: when(has(bit::EVENT_ID), "event_id", || short(cut))?,
            spki: when(has(bit::SPKI), "spki_sha256", || cut.array())?,
            cert_sha256: when(has(bit::CERT_SHA256), "cert_sha256", || cut.array())?,
            cert_sha1: when(has(bit::CERT_SHA1), "cert_sha1", || cut.array())?,
            issuer: when(has(bit::ISSUER), "issuer_dn", || {
                shared(cut, texts).filter(|issuer| !issuer.text.is_empty())
            })?,
            serial: when(has(bit::SERIAL), "serial", || serial(cut))?,
            common_name: when(has(bit::COMMON_NAME), "common_name", || name(cut))?,
            client_name: when(has(bit::CLIENT_NAME), "identity.client_id", || name(cut))?,
            session: when(has(bit::SESSION), "session", || short(cut))?,
            peer: when(has(bit::PEER), "peer", || PeerRecord::read(cut, texts))?,
            tls: when(has(bit::TLS), "tls", || TlsRecord::read(cut, texts))?,
            device_type: when(has(bit::DEVICE_TYPE), "device_type", || shared(cut, texts))?,
            firmware: when(has(bit::FIRMWARE), "firmware", || shared(cut, texts))?,
            client_id: when(has(bit::CLIENT_ID), "client_id", || short(cut))?,
            token: when(has(bit::TOKEN), "token", || long(cut))?,
            token_issued: when(has(bit::TOKEN_ISSUED), "token_issued", || long(cut))?,
            boot_id: when(has(bit::BOOT_ID), "boot_id", || short(cut))?,
            counter: when(has(bit::COUNTER), "counter", || cut.varint())?,
            uptime_ms: when(has(bit::UPTIME), "uptime_ms", || cut.varint())?,
            boot_count: when(has(bit::BOOT_COUNT), "boot_count", || cut.varint())?,
            security_version: when(has(bit::SECURITY_VERSION), "security_version", || cut.varint())?,
            bytes: when(has(bit::BYTES), "bytes", || cut.varint())?,
            device_time: when(has(bit::DEVICE_TIME), "device_time", || moment(cut))?,
            quote: when(has(bit::QUOTE), "counter_quote", || {
                let quote: serde_json::Value = serde_json::from_str(long(cut)?).ok()?;
                (!quote.is_null()).then_some(quote)
            })?,
            duration_ms: when(has(bit::DURATION), "duration_ms", || cut.varint())?,
            bytes_in: when(has(bit::BYTES_IN), "bytes_in", || cut.varint())?,
            bytes_out: when(has(bit::BYTES_OUT), "bytes_out", || cut.varint())?,
            messages_in: when(has(bit::MESSAGES_IN), "messages_in", || cut.varint())?,
            messages_out: when(has(bit::MESSAGES_OUT), "messages_out", || cut.varint())?,
            reason: when(has(bit::REASON), "reason", || shared(cut, texts))?,
            renewal: when(has(bit::RENEWAL), "renewal", || renewal(cut))?,
            body,
        };
        let named = present
            & (bit::SPKI | bit::CERT_SHA256 | bit::CERT_SHA1 | bit::COMMON_NAME | bit::CLIENT_NAME)
            != 0;
        if !(named || has(bit::ISSUER) && has(bit::SERIAL)) {
            return Err("identity");
        }
        if !has(bit::SESSION) && !matches!(body, Body::Heartbeat) {
            return Err("session");
        }
        if cut.0.is_empty() { Ok(record) } else { Err("fields") }
    }

    fn identity(&self) -> Result<IdentityRef, EventError> {
        Ok(IdentityRef {
            spki_sha256: self.spki.map(SpkiHash),
            cert_sha256: self.cert_sha256.map(CertSha256),
            cert_sha1: self.cert_sha1.map(CertSha1),
            issuer_dn: owned(self.issuer),
            serial: self.serial.map(str::parse).transpose()?,
            common_name: self.common_name.map(str::to_owned),
            client_id: self.client_name.map(str::to_owned),
        })
    }

    /// The event that the record says. A registry line is read here.
    ///
    /// # Errors
    /// [`EventError`] where the registry line cannot be read, or is an event of another type.
    pub(super) fn event(&self) -> Result<Event, EventError> {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let body = match self.body {
            Body::Registry(line) => {
                let event = Event::from_line(line)?;
                return match event.body {
                    EventBody::Registry(_) => Ok(event),
                    other => Err(EventError::UnknownType { found: other.type_name().to_owned() }),
                };
            }
            Body::Authentication => EventBody::Authentication(Box::new(Authentication {
                session: self.session.unwrap_or_default().to_owned(),
                peer: self.peer.map(PeerRecord::to_peer),
                tls: self.tls.map(TlsRecord::to_tls),
                device_type: owned(self.device_type),
                firmware: owned(self.firmware),
                client_id: text(self.client_id),
                token: text(self.token),
                token_issued: text(self.token_issued),
                boot_id: text(self.boot_id),
                counter: self.counter,
                uptime_ms: self.uptime_ms,
                renewal: self.renewal,
            })),
            Body::SessionEnd => EventBody::SessionEnd(SessionEnd {
                session: self.session.unwrap_or_default().to_owned(),
                duration_ms: self.duration_ms,
                bytes_in: self.bytes_in,
                bytes_out: self.bytes_out,
                messages_in: self.messages_in,
                messages_out: self.messages_out,
                reason: owned(self.reason),
            }),
            Body::Heartbeat => EventBody::Heartbeat(Box::new(Heartbeat {
                session: text(self.session),
                peer: self.peer.map(PeerRecord::to_peer),
                counter: self.counter,
                counter_quote: self.quote.clone(),
                uptime_ms: self.uptime_ms,
                boot_count: self.boot_count,
                firmware: owned(self.firmware),
                security_version: self.security_version,
                device_type: owned(self.device_type),
                token: text(self.token),
                token_issued: text(self.token_issued),
                device_time: self.device_time.map(stamp),
                bytes: self.bytes,
            })),
        };
        Ok(Event {
            time: stamp(self.time),
            received: self.received.map(stamp),
            source: owned(self.source).unwrap_or_default(),
            event_id: text(self.event_id),
            identity: self.identity()?,
            body,
        })
    }
}
