//! What one event says, in numbers: the form in which the engine takes it, fixed in size and without a heap.
//!
//! - [`Observation`]: one event. [`Observation::of`] makes it of an [`Event`]; [`read_line`] makes it of a line at once,
//!   with the same result.
//! - [`Texts`]: texts by their hash, so that a finding can show what the engine only compares.
//! - `Observation::of_record`: likewise of a record of a [`crate::batch`].
//!
//! Texts become 64-bit hashes by rapidhash version 3 with its published default seed: one result on every platform and
//! in every run, because hashes are kept in snapshots. Whoever chooses texts can make two of them collide; that makes a
//! text look unchanged, which repeating the text does as well. Names of identities, by which an event is attributed, are
//! 128 bits of SHA-256 or of the fingerprint itself.

mod batch;
mod line;
#[cfg(test)]
pub(crate) mod samples;
mod texts;

use touchmark_identity::event::{
    Authentication, CertSha256, Event, EventBody, Heartbeat, IdentityRef, NameKey, NameKind, Peer, RawDigest,
    Renewal, RenewalOutcome, SessionEnd, Tls,
};

use touchmark_identity::key::sha256;

use crate::network::Network;

pub(crate) use line::read_line_with;
pub(crate) use texts::{TextCache, TextHash, Texts, hash64};

/// One name of an identity: equal for all spellings that [`IdentityRef::names`] treats as equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name {
    /// Which name.
    pub(crate) kind: NameKind,
    /// Its digest, folded.
    pub(crate) bits: u128,
}

impl Name {
    /// The name with its kind, in one number.
    pub(crate) fn key(&self) -> u128 {
        self.bits ^ (self.kind as u128) << 120
    }
}

impl From<NameKey> for Name {
    fn from(key: NameKey) -> Self {
        Self { kind: key.kind, bits: folded(&key.digest) }
    }
}

/// A digest folded into 16 bytes: its two halves, exclusive or. A shorter input counts as followed by zeros. Folded and
/// not cut, because sources that number their devices write digests that differ at the end alone.
fn folded(digest: &[u8]) -> u128 {
    digest.chunks(16).fold(0, |bits, half| {
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(half).for_each(|(to, from)| *to = *from);
        bits ^ u128::from_be_bytes(bytes)
    })
}

/// The kinds of names, strongest first: the order of [`IdentityRef::names`].
const NAME_KINDS: [NameKind; 6] = [
    NameKind::Spki,
    NameKind::CertSha256,
    NameKind::CertSha1,
    NameKind::IssuerSerial,
    NameKind::CommonName,
    NameKind::ClientId,
];

/// The complete names of an identity, at most one of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Names {
    bits: [u128; NAME_KINDS.len()],
    /// Bit `n` is set where there is a name of the kind `NAME_KINDS[n]`.
    present: u8,
}

impl Names {
    /// The names of an identity.
    pub(crate) fn of(identity: &IdentityRef) -> Self {
        let mut names = Self::default();
        identity.names().for_each(|key| names.set(key.into()));
        names
    }

    /// Takes up a name, in place of an earlier one of its kind.
    #[inline(always)]
    pub(crate) fn set(&mut self, name: Name) {
        // Kinds are numbered in the order of `NAME_KINDS`.
        if let Some(bits) = self.bits.get_mut(name.kind as usize) {
            *bits = name.bits;
            self.present |= 1 << (name.kind as u32);
        }
    }

    /// The names, strongest first, as [`IdentityRef::names`] orders them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Name> + '_ {
        NAME_KINDS
            .iter()
            .zip(&self.bits)
            .enumerate()
            .filter(|(at, _)| self.present & (1 << at) != 0)
            .map(|(_, (&kind, &bits))| Name { kind, bits })
    }

    /// True when there is none, which no event that was read has.
    pub(crate) fn is_empty(&self) -> bool {
        self.present == 0
    }
}

/// A short text in place: up to 40 bytes of UTF-8. A longer one is left out whole.
#[derive(Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(from = "String", into = "String")]
pub(crate) struct SmallId {
    bytes: [u8; Self::MAX],
    len: u8,
}

impl SmallId {
    /// The longest text that is kept, in bytes.
    pub(crate) const MAX: usize = 40;

    /// No text.
    pub(crate) const NONE: Self = Self { bytes: [0; Self::MAX], len: 0 };

    /// The text, or none where it is longer than [`SmallId::MAX`] bytes.
    pub(crate) fn of(text: &[u8]) -> Self {
        let mut bytes = [0; Self::MAX];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(to), Ok(len)) => {
                to.copy_from_slice(text);
                Self { bytes, len }
            }
            _ => Self::NONE,
        }
    }

    /// The text, where there is one.
    pub(crate) fn as_str(&self) -> Option<&str> {
        let text = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        std::str::from_utf8(text).ok().filter(|text| !text.is_empty())
    }
}

impl From<String> for SmallId {
    fn from(text: String) -> Self {
        Self::of(text.as_bytes())
    }
}

impl From<SmallId> for String {
    fn from(id: SmallId) -> Self {
        id.as_str().unwrap_or_default().to_owned()
    }
}

impl std::fmt::Debug for SmallId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&self.as_str(), f)
    }
}

/// Where a peer is, in degrees.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Place {
    /// Latitude, -90 to 90.
    pub(crate) lat: f32,
    /// Longitude, -180 to 180.
    pub(crate) lon: f32,
}

impl Place {
    /// A place, where both degrees are known.
    #[expect(clippy::cast_possible_truncation, reason = "7 digits of a degree are 10 cm")]
    pub(crate) fn of(lat: Option<f64>, lon: Option<f64>) -> Option<Self> {
        lat.zip(lon).map(|(lat, lon)| Self { lat: lat as f32, lon: lon as f32 })
    }
}

/// When the digest of an event is made. It takes longer than all the rest where the processor has no instructions for
/// SHA-256, and findings name few events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digests {
    /// While the event is read.
    AtOnce,
    /// Zeros stand for it; whoever keeps a reference to the event makes it from the same bytes.
    Later,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) enum Kind {
    /// A connection proved possession of the identity's key.
    Authentication,
    /// A connection is over.
    SessionEnd,
    /// The device spoke of itself.
    Heartbeat,
}

/// A renewal that was asked for over a connection. Certificates are the first four bytes of their SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Renewed {
    pub(crate) outcome: RenewalOutcome,
    pub(crate) presented: u32,
    /// The one that was given; of a refused renewal, the newest of the chain.
    pub(crate) newest: Option<u32>,
}

impl Renewed {
    pub(crate) fn of(renewal: &Renewal) -> Self {
        let short = |digest: CertSha256| digest.0.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        let newest = match renewal.outcome {
            RenewalOutcome::Superseded => renewal.head,
            RenewalOutcome::Renewed | RenewalOutcome::Repeated => renewal.issued,
        };
        Self { outcome: renewal.outcome, presented: short(renewal.presented), newest: newest.map(short) }
    }
}

/// What one event says, in numbers. Times are milliseconds since 1970; a hash of 0 is "none".
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Observation {
    pub(crate) kind: Kind,
    pub(crate) time: i64,
    pub(crate) received: Option<i64>,
    pub(crate) source: TextHash,
    /// Digest of the line, or of the record and its batch's texts.
    #[serde(with = "digest_bytes")]
    pub(crate) digest: RawDigest,
    /// Equal for the same event: hash of source and event id, or the beginning of the digest where there is no id.
    pub(crate) event_key: u64,
    /// The event id, for findings; empty where it is longer than [`SmallId::MAX`] bytes.
    pub(crate) event_id: SmallId,
    pub(crate) names: Names,
    pub(crate) session: TextHash,
    pub(crate) network: Option<Network>,
    pub(crate) place: Option<Place>,
    pub(crate) ja4: TextHash,
    pub(crate) firmware: TextHash,
    pub(crate) device_type: TextHash,
    /// 32 bits of the hash of the presented token, never 0 where there is one.
    pub(crate) token: u32,
    /// Likewise of the token that was issued.
    pub(crate) token_issued: u32,
    /// Likewise of the boot's random number.
    pub(crate) boot_id: u32,
    pub(crate) counter: Option<u64>,
    /// Time since the boot; none above [`UPTIME_MAX_MS`].
    pub(crate) uptime_ms: Option<i64>,
    pub(crate) boot_count: Option<u64>,
    pub(crate) security_version: Option<u64>,
    pub(crate) has_quote: bool,
    /// Hash of everything that a heartbeat says: equal for a replayed message, whoever brings it and whenever; 0 for
    /// other kinds.
    pub(crate) content: u64,
    /// Bytes that were moved: over the connection that ended, or of a message; 0 while unknown.
    pub(crate) bytes: u64,
    pub(crate) renewal: Option<Renewed>,
}

mod digest_bytes {
    use super::RawDigest;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(digest: &RawDigest, out: S) -> Result<S::Ok, S::Error> {
        digest.0.serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<RawDigest, D::Error> {
        <[u8; 32]>::deserialize(from).map(RawDigest)
    }
}

/// An observation, and the line that it was read from, whose digest is computed only where a finding may need it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    seen: &'a Observation,
    line: &'a [u8],
}

impl<'a> Seen<'a> {
    pub(crate) fn new(seen: &'a Observation, line: &'a [u8]) -> Self {
        Self { seen, line }
    }

    /// The digest by which the line is found again.
    pub(crate) fn digest(&self) -> RawDigest {
        match self.seen.digest {
            RawDigest([0, 0, 0, 0, 0, 0, 0, 0, ..]) => RawDigest(sha256(self.line)),
            made => made,
        }
    }
}

impl std::ops::Deref for Seen<'_> {
    type Target = Observation;
    fn deref(&self) -> &Observation {
        self.seen
    }
}

/// No device has been up for longer than 100 years; what says so says nothing.
pub(crate) const UPTIME_MAX_MS: i64 = 100 * 366 * 86_400_000;

fn uptime(ms: Option<u64>) -> Option<i64> {
    ms.and_then(|ms| i64::try_from(ms).ok()).filter(|ms| *ms <= UPTIME_MAX_MS)
}

/// 32 bits of the hash of a text, never 0.
fn hash32(text: &[u8]) -> u32 {
    TextHash::of(text).short()
}

/// What makes a message the one it is. Two that agree in it are one message that came again, or other content under a
/// counter that was used: what a device counts, times and proves it does not say twice.
struct Said {
    counter: Option<u64>,
    uptime_ms: Option<u64>,
    boot_count: Option<u64>,
    token: TextHash,
    /// Of the quote's JSON text without spaces, members in alphabetic order.
    quote: TextHash,
}

impl Said {
    /// The hash of it all, never 0.
    fn hash(&self) -> u64 {
        let numbers = [self.counter, self.uptime_ms, self.boot_count];
        let present = numbers.iter().fold(0u64, |bits, number| bits << 1 | u64::from(number.is_some()));
        let [a, b, c] = numbers.map(Option::unwrap_or_default);
        let mut bytes = [0; 6 * 8];
        let (words, _) = bytes.as_chunks_mut::<8>();
        for (to, word) in words.iter_mut().zip([present, a, b, c, self.token.0, self.quote.0]) {
            *to = word.to_le_bytes();
        }
        hash64(&bytes)
    }
}

/// The key under which a second delivery of the same event is recognised; `line` is a hash of all its bytes.
#[inline(always)]
fn event_key(source: TextHash, event_id: Option<&[u8]>, line: impl FnOnce() -> u64) -> u64 {
    match event_id {
        Some(id) => {
            let mut bytes = [0; 16];
            let (low, high) = bytes.split_at_mut(8);
            low.copy_from_slice(&source.0.to_le_bytes());
            high.copy_from_slice(&hash64(id).to_le_bytes());
            hash64(&bytes)
        }
        None => line(),
    }
}

/// A hash of all the bytes of an event of which only the digest is known.
fn short_digest(digest: &RawDigest) -> u64 {
    digest.0.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

impl Observation {
    /// An event of which nothing is known but what every event has. Names are still to be added.
    #[inline(always)]
    fn bare(
        kind: Kind,
        time: i64,
        source: TextHash,
        digest: RawDigest,
        event_id: Option<&[u8]>,
        line: impl FnOnce() -> u64,
    ) -> Self {
        Self {
            kind,
            time,
            received: None,
            source,
            digest,
            event_key: event_key(source, event_id, line),
            event_id: event_id.map_or(SmallId::NONE, SmallId::of),
            names: Names::default(),
            session: TextHash::NONE,
            network: None,
            place: None,
            ja4: TextHash::NONE,
            firmware: TextHash::NONE,
            device_type: TextHash::NONE,
            token: 0,
            token_issued: 0,
            boot_id: 0,
            counter: None,
            uptime_ms: None,
            boot_count: None,
            security_version: None,
            has_quote: false,
            content: 0,
            bytes: 0,
            renewal: None,
        }
    }

    /// What an event says, in numbers; none for a registry line, which is kept as it is. Texts that findings show are
    /// given to `texts`.
    pub(crate) fn of(event: &Event, raw: RawDigest, texts: &mut TextCache) -> Option<Self> {
        let kind = match &event.body {
            EventBody::Authentication(_) => Kind::Authentication,
            EventBody::SessionEnd(_) => Kind::SessionEnd,
            EventBody::Heartbeat(_) => Kind::Heartbeat,
            EventBody::Registry(_) => return None,
        };
        let source = texts.keep(event.source.as_bytes());
        let id = event.event_id.as_deref().map(str::as_bytes);
        let mut seen = Self::bare(kind, event.time.micros() / 1_000, source, raw, id, || short_digest(&raw));
        seen.received = event.received.map(|at| at.micros() / 1_000);
        seen.names = Names::of(&event.identity);
        match &event.body {
            EventBody::Authentication(body) => seen.authenticated(body, texts),
            EventBody::SessionEnd(body) => seen.ended(body),
            EventBody::Heartbeat(body) => seen.beat(body, texts),
            EventBody::Registry(_) => {}
        }
        Some(seen)
    }

    fn authenticated(&mut self, body: &Authentication, texts: &mut TextCache) {
        self.session = TextHash::of(body.session.as_bytes());
        self.came_from(body.peer.as_ref());
        if let Some(Tls { ja4, .. }) = &body.tls {
            self.ja4 = texts.keep_some(ja4.as_deref());
        }
        self.device_type = texts.keep_some(body.device_type.as_deref());
        self.firmware = texts.keep_some(body.firmware.as_deref());
        self.token = hash32_of(body.token.as_deref());
        self.token_issued = hash32_of(body.token_issued.as_deref());
        self.boot_id = hash32_of(body.boot_id.as_deref());
        self.counter = body.counter;
        self.uptime_ms = uptime(body.uptime_ms);
        self.renewal = body.renewal.as_ref().map(Renewed::of);
    }

    fn ended(&mut self, body: &SessionEnd) {
        self.session = TextHash::of(body.session.as_bytes());
        self.bytes = both(body.bytes_in, body.bytes_out);
    }

    fn beat(&mut self, body: &Heartbeat, texts: &mut TextCache) {
        self.session = body.session.as_deref().map_or(TextHash::NONE, |text| TextHash::of(text.as_bytes()));
        self.came_from(body.peer.as_ref());
        self.counter = body.counter;
        self.uptime_ms = uptime(body.uptime_ms);
        self.boot_count = body.boot_count;
        self.security_version = body.security_version;
        self.firmware = texts.keep_some(body.firmware.as_deref());
        self.device_type = texts.keep_some(body.device_type.as_deref());
        self.token = hash32_of(body.token.as_deref());
        self.token_issued = hash32_of(body.token_issued.as_deref());
        self.has_quote = body.counter_quote.is_some();
        let quote = body.counter_quote.as_ref().map(ToString::to_string);
        let said = Said {
            counter: body.counter,
            uptime_ms: body.uptime_ms,
            boot_count: body.boot_count,
            token: hash_of(body.token.as_deref()),
            quote: hash_of(quote.as_deref()),
        };
        self.content = said.hash();
        self.bytes = body.bytes.unwrap_or(0);
    }

    fn came_from(&mut self, peer: Option<&Peer>) {
        let Some(peer) = peer else { return };
        self.network = Some(Network::of(peer));
        self.place = Place::of(peer.lat, peer.lon);
    }
}

/// Bytes in both directions.
fn both(one: Option<u64>, other: Option<u64>) -> u64 {
    one.unwrap_or(0).saturating_add(other.unwrap_or(0))
}

fn hash_of(text: Option<&str>) -> TextHash {
    text.map_or(TextHash::NONE, |text| TextHash::of(text.as_bytes()))
}

fn hash32_of(text: Option<&str>) -> u32 {
    text.map_or(0, |text| hash32(text.as_bytes()))
}

/// What one line or one record of a batch holds.
#[expect(clippy::large_enum_variant, reason = "nearly every item is the large one, and none is kept")]
#[derive(Debug, PartialEq)]
pub(crate) enum Item {
    /// Something happened.
    Observation(Observation),
    /// Something is known from then on; rare, so the event as it is.
    Registry(Box<Event>),
}

impl Item {
    /// The key under which a second delivery of the same registry line is recognised.
    pub(crate) fn registry_key(event: &Event, raw: RawDigest) -> u64 {
        let id = event.event_id.as_deref().map(str::as_bytes);
        event_key(TextHash::of(event.source.as_bytes()), id, || short_digest(&raw))
    }

    /// What an event holds.
    pub(crate) fn of(event: Event, raw: RawDigest, texts: &mut TextCache) -> Self {
        match Observation::of(&event, raw, texts) {
            Some(seen) => Self::Observation(seen),
            None => Self::Registry(Box::new(event)),
        }
    }
}
