//! A record of a batch into an observation.

use touchmark_identity::event::{NameKind, Peer, RawDigest};
use touchmark_identity::key::sha256;

use super::{
    Digests, Kind, Name, Names, Observation, Place, Renewed, Said, TextCache, TextHash, both, folded,
    short_digest, uptime,
};
use crate::batch::{Body, PeerRecord, Raw, Record, Shared, TlsRecord};
use crate::network::Network;

impl Observation {
    /// What a record says that is no registry line: as [`Observation::of`] its event.
    #[inline(always)]
    pub(crate) fn of_record(
        record: &Record<'_>,
        raw: &Raw<'_>,
        texts: &mut TextCache,
        digests: Digests,
    ) -> Self {
        let kind = match record.body {
            Body::SessionEnd => Kind::SessionEnd,
            Body::Heartbeat => Kind::Heartbeat,
            Body::Authentication | Body::Registry(_) => Kind::Authentication,
        };
        let source = keep(texts, record.source);
        let id = record.event_id.map(str::as_bytes);
        let digest = match digests {
            Digests::Later => RawDigest([0; 32]),
            Digests::AtOnce => raw.digest(),
        };
        let whole = || match digests {
            Digests::Later => raw.hash(),
            Digests::AtOnce => short_digest(&digest),
        };
        let mut seen = Self::bare(kind, record.time / 1_000, source, digest, id, whole);
        seen.received = record.received.map(|at| at / 1_000);
        seen.names = names(record, texts);
        seen.session = hash_of(record.session);
        if kind == Kind::SessionEnd {
            seen.bytes = both(record.bytes_in, record.bytes_out);
            return seen;
        }
        if let Some(PeerRecord { ip, asn, lat, lon, .. }) = record.peer {
            seen.network = Some(Network::of(&Peer { asn, ..Peer::at(ip) }));
            seen.place = Place::of(lat, lon);
        }
        seen.renewal = record.renewal.as_ref().map(Renewed::of);
        if let Some(TlsRecord { ja4, .. }) = record.tls {
            seen.ja4 = keep(texts, ja4);
        }
        seen.firmware = keep(texts, record.firmware);
        seen.device_type = keep(texts, record.device_type);
        let token = hash_of(record.token);
        seen.token = token.short();
        seen.token_issued = hash_of(record.token_issued).short();
        seen.boot_id = hash_of(record.boot_id).short();
        seen.counter = record.counter;
        seen.uptime_ms = uptime(record.uptime_ms);
        if kind == Kind::Heartbeat {
            seen.boot_count = record.boot_count;
            seen.security_version = record.security_version;
            seen.has_quote = record.quote.is_some();
            let quote = record.quote.as_ref().map(ToString::to_string);
            let said = Said {
                counter: record.counter,
                uptime_ms: record.uptime_ms,
                boot_count: record.boot_count,
                token,
                quote: hash_of(quote.as_deref()),
            };
            seen.content = said.hash();
            seen.bytes = record.bytes.unwrap_or(0);
        }
        seen
    }
}

fn names(record: &Record<'_>, texts: &mut TextCache) -> Names {
    let mut names = Names::default();
    let mut set = |kind, bits| names.set(Name { kind, bits });
    if let Some(digest) = record.spki {
        set(NameKind::Spki, folded(&digest));
    }
    if let Some(digest) = record.cert_sha256 {
        set(NameKind::CertSha256, folded(&digest));
    }
    if let Some(digest) = record.cert_sha1 {
        set(NameKind::CertSha1, folded(&digest));
    }
    if let (Some(issuer), Some(serial)) = (record.issuer, record.serial) {
        set(NameKind::IssuerSerial, texts.issued(issuer.text, serial.as_bytes()));
    }
    if let Some(name) = record.common_name {
        set(NameKind::CommonName, folded(&sha256(name.as_bytes())));
    }
    if let Some(name) = record.client_name {
        set(NameKind::ClientId, folded(&sha256(name.as_bytes())));
    }
    names
}

fn hash_of(text: Option<&str>) -> TextHash {
    text.map_or(TextHash::NONE, |text| TextHash::of(text.as_bytes()))
}

fn keep(texts: &mut TextCache, text: Option<Shared<'_>>) -> TextHash {
    text.map_or(TextHash::NONE, |shared| {
        texts.keep_hashed(shared.hash, shared.text.as_bytes());
        shared.hash
    })
}
