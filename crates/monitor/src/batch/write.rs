//! Events into a batch.

use std::collections::HashMap;
use std::net::IpAddr;

use touchmark_identity::event::{
    Event, EventBody, IdentityRef, MAX_LINE_BYTES, MAX_TEXT_BYTES, Peer, Renewal, RenewalOutcome, Tls,
};
use touchmark_identity::timestamp::Timestamp;

use super::record::{
    AUTHENTICATION, HEARTBEAT, REGISTRY, SESSION_END, bit, degrees, peer_bit, renewal_bit, tls_bit,
};
use super::{BatchError, HEADER_BYTES, MAGIC, MAX_BATCH_BYTES, MAX_RECORD_BYTES};

/// Writes a batch event by event. Equal events in equal order give equal bytes.
#[derive(Debug, Default)]
pub struct Writer {
    places: HashMap<String, u32>,
    table: Vec<u8>,
    records: Vec<u8>,
    count: u32,
}

/// Events as one batch.
///
/// # Errors
/// As [`Writer::push`]; the number in the error is that of the event, from 1.
pub fn encode(events: &[Event]) -> Result<Vec<u8>, BatchError> {
    let mut writer = Writer::default();
    for event in events {
        writer.push(event)?;
    }
    Ok(writer.finish())
}

impl Writer {
    /// Adds an event.
    ///
    /// # Errors
    /// [`BatchError::TooLong`] when the batch would be longer than [`MAX_BATCH_BYTES`]: finish this one and begin
    /// another. [`BatchError::Record`] when a field of the event holds what could not be read again. In both cases the
    /// batch is as it was before.
    pub fn push(&mut self, event: &Event) -> Result<(), BatchError> {
        let number = self.count.saturating_add(1);
        let (table, known) = (self.table.len(), self.places.len());
        let mut record = Record { writer: self, present: 0, fields: Vec::with_capacity(128) };
        let result = match record.event(event) {
            Ok(bytes) => self.take(&bytes),
            Err(field) => Err(BatchError::Record { number, field }),
        };
        if result.is_err() {
            self.table.truncate(table);
            self.places.retain(|_, place| usize::try_from(*place).is_ok_and(|place| place < known));
        }
        result
    }

    fn take(&mut self, record: &[u8]) -> Result<(), BatchError> {
        let mut length = Vec::with_capacity(3);
        varint(&mut length, record.len() as u64);
        let found = self.bytes() + length.len() + record.len();
        if found > MAX_BATCH_BYTES {
            return Err(BatchError::TooLong { found, max: MAX_BATCH_BYTES });
        }
        self.records.extend(length);
        self.records.extend_from_slice(record);
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// Bytes that the batch has so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        HEADER_BYTES + self.table.len() + self.records.len()
    }

    /// Events in the batch so far.
    #[must_use]
    pub fn events(&self) -> u32 {
        self.count
    }

    /// The batch.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        // Both fit: the batch is at most 16 MiB long, and a text takes a byte.
        let word = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
        let mut batch = Vec::with_capacity(self.bytes());
        batch.extend(MAGIC);
        batch.extend(word(self.bytes()));
        batch.extend(word(self.places.len()));
        batch.extend(self.count.to_le_bytes());
        batch.extend(self.table);
        batch.extend(self.records);
        batch
    }

    /// The place of a text in the table.
    fn place(&mut self, text: &str) -> u32 {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        let place = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        self.places.insert(text.to_owned(), place);
        bytes(&mut self.table, text.as_bytes());
        place
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A record that is being written.
struct Record<'a> {
    writer: &'a mut Writer,
    present: u32,
    fields: Vec<u8>,
}

type Written = Result<(), &'static str>;

impl Record<'_> {
    /// The record; the name of the field that cannot be written.
    fn event(&mut self, event: &Event) -> Result<Vec<u8>, &'static str> {
        if let EventBody::Registry(_) = &event.body {
            let line = event.to_line();
            // What this reader refuses, the other side's would refuse as well.
            if line.len() > MAX_LINE_BYTES || Event::from_line(line.as_bytes()).as_ref() != Ok(event) {
                return Err("registry");
            }
            return Ok([&[REGISTRY], line.as_bytes()].concat());
        }
        self.fields.extend(event.time.micros().to_le_bytes());
        let place = self.shared_place("source", &event.source)?;
        varint(&mut self.fields, u64::from(place));
        self.moment(bit::RECEIVED, event.received);
        self.text(bit::EVENT_ID, "event_id", event.event_id.as_deref())?;
        self.identity(&event.identity)?;
        let kind = match &event.body {
            EventBody::Authentication(body) => {
                self.text(bit::SESSION, "session", Some(&body.session))?;
                self.peer(body.peer.as_ref())?;
                self.tls(body.tls.as_ref())?;
                self.shared(bit::DEVICE_TYPE, "device_type", body.device_type.as_deref())?;
                self.shared(bit::FIRMWARE, "firmware", body.firmware.as_deref())?;
                self.text(bit::CLIENT_ID, "client_id", body.client_id.as_deref())?;
                self.long(bit::TOKEN, body.token.as_deref());
                self.long(bit::TOKEN_ISSUED, body.token_issued.as_deref());
                self.text(bit::BOOT_ID, "boot_id", body.boot_id.as_deref())?;
                self.number(bit::COUNTER, body.counter);
                self.number(bit::UPTIME, body.uptime_ms);
                self.renewal(body.renewal.as_ref());
                AUTHENTICATION
            }
            EventBody::Heartbeat(body) => {
                self.text(bit::SESSION, "session", body.session.as_deref())?;
                self.peer(body.peer.as_ref())?;
                self.shared(bit::DEVICE_TYPE, "device_type", body.device_type.as_deref())?;
                self.shared(bit::FIRMWARE, "firmware", body.firmware.as_deref())?;
                self.long(bit::TOKEN, body.token.as_deref());
                self.long(bit::TOKEN_ISSUED, body.token_issued.as_deref());
                self.number(bit::COUNTER, body.counter);
                self.number(bit::UPTIME, body.uptime_ms);
                self.number(bit::BOOT_COUNT, body.boot_count);
                self.number(bit::SECURITY_VERSION, body.security_version);
                self.number(bit::BYTES, body.bytes);
                self.moment(bit::DEVICE_TIME, body.device_time);
                let quote = body.counter_quote.as_ref().map(ToString::to_string);
                if quote.as_deref().is_some_and(|quote| {
                    serde_json::from_str::<serde_json::Value>(quote).ok().is_none_or(|read| read.is_null())
                }) {
                    return Err("counter_quote");
                }
                self.long(bit::QUOTE, quote.as_deref());
                HEARTBEAT
            }
            EventBody::SessionEnd(body) => {
                self.text(bit::SESSION, "session", Some(&body.session))?;
                self.number(bit::DURATION, body.duration_ms);
                self.number(bit::BYTES_IN, body.bytes_in);
                self.number(bit::BYTES_OUT, body.bytes_out);
                self.number(bit::MESSAGES_IN, body.messages_in);
                self.number(bit::MESSAGES_OUT, body.messages_out);
                self.shared(bit::REASON, "reason", body.reason.as_deref())?;
                SESSION_END
            }
            EventBody::Registry(_) => REGISTRY,
        };
        let record = [&[kind], self.present.to_le_bytes().as_slice(), &self.fields].concat();
        if record.len() > MAX_RECORD_BYTES { Err("length") } else { Ok(record) }
    }

    fn identity(&mut self, identity: &IdentityRef) -> Written {
        if !identity.has_name() {
            return Err("identity");
        }
        self.fixed(bit::SPKI, identity.spki_sha256.map(|hash| hash.0));
        self.fixed(bit::CERT_SHA256, identity.cert_sha256.map(|hash| hash.0));
        self.fixed(bit::CERT_SHA1, identity.cert_sha1.map(|hash| hash.0));
        let named = |field, name: &Option<String>| match name.as_deref() {
            Some("") => Err(field),
            _ => Ok(()),
        };
        named("issuer_dn", &identity.issuer_dn)?;
        named("common_name", &identity.common_name)?;
        named("identity.client_id", &identity.client_id)?;
        self.shared(bit::ISSUER, "issuer_dn", identity.issuer_dn.as_deref())?;
        self.text(bit::SERIAL, "serial", identity.serial.as_ref().map(|serial| serial.as_str()))?;
        self.text(bit::COMMON_NAME, "common_name", identity.common_name.as_deref())?;
        self.text(bit::CLIENT_NAME, "identity.client_id", identity.client_id.as_deref())
    }

    fn peer(&mut self, peer: Option<&Peer>) -> Written {
        let Some(peer) = peer else { return Ok(()) };
        self.present |= bit::PEER;
        let at = self.fields.len();
        self.fields.push(0);
        let mut bits = 0;
        match peer.ip {
            IpAddr::V4(ip) => self.fields.extend(ip.octets()),
            IpAddr::V6(ip) => {
                bits |= peer_bit::V6;
                self.fields.extend(ip.octets());
            }
        }
        if let Some(port) = peer.port {
            bits |= peer_bit::PORT;
            self.fields.extend(port.to_le_bytes());
        }
        if let Some(asn) = peer.asn {
            bits |= peer_bit::ASN;
            self.fields.extend(asn.0.to_le_bytes());
        }
        if let Some(country) = &peer.country {
            bits |= peer_bit::COUNTRY;
            let place = self.shared_place("peer.country", country)?;
            varint(&mut self.fields, u64::from(place));
        }
        if let Some(lat) = peer.lat {
            bits |= peer_bit::LAT;
            self.fields.extend(degrees(lat, 90.0).ok_or("peer.lat")?.to_le_bytes());
        }
        if let Some(lon) = peer.lon {
            bits |= peer_bit::LON;
            self.fields.extend(degrees(lon, 180.0).ok_or("peer.lon")?.to_le_bytes());
        }
        if let Some(first) = self.fields.get_mut(at) {
            *first = bits;
        }
        Ok(())
    }

    fn tls(&mut self, tls: Option<&Tls>) -> Written {
        let Some(tls) = tls else { return Ok(()) };
        self.present |= bit::TLS;
        let texts = [(tls_bit::VERSION, &tls.version), (tls_bit::JA4, &tls.ja4), (tls_bit::SNI, &tls.sni)];
        let mut bits = match tls.resumed {
            None => 0,
            Some(false) => tls_bit::RESUMED_KNOWN,
            Some(true) => tls_bit::RESUMED_KNOWN | tls_bit::RESUMED,
        };
        bits |= texts.iter().filter(|(_, text)| text.is_some()).fold(0, |bits, (bit, _)| bits | bit);
        self.fields.push(bits);
        for text in texts.iter().filter_map(|(_, text)| text.as_deref()) {
            let place = self.shared_place("tls", text)?;
            varint(&mut self.fields, u64::from(place));
        }
        Ok(())
    }

    fn renewal(&mut self, renewal: Option<&Renewal>) {
        let Some(renewal) = renewal else { return };
        self.present |= bit::RENEWAL;
        let mut bits = match renewal.outcome {
            RenewalOutcome::Renewed => 0,
            RenewalOutcome::Repeated => renewal_bit::REPEATED,
            RenewalOutcome::Superseded => renewal_bit::SUPERSEDED,
        };
        let digests = [(renewal_bit::ISSUED, renewal.issued), (renewal_bit::HEAD, renewal.head)];
        bits |= digests.iter().filter(|(_, digest)| digest.is_some()).fold(0, |bits, (bit, _)| bits | bit);
        self.fields.push(bits);
        self.fields.extend(renewal.presented.0);
        digests.iter().filter_map(|(_, digest)| *digest).for_each(|digest| self.fields.extend(digest.0));
    }

    fn fixed<const N: usize>(&mut self, bit: u32, value: Option<[u8; N]>) {
        if let Some(value) = value {
            self.present |= bit;
            self.fields.extend(value);
        }
    }

    fn moment(&mut self, bit: u32, value: Option<Timestamp>) {
        self.fixed(bit, value.map(|at| at.micros().to_le_bytes()));
    }

    fn number(&mut self, bit: u32, value: Option<u64>) {
        if let Some(value) = value {
            self.present |= bit;
            varint(&mut self.fields, value);
        }
    }

    fn long(&mut self, bit: u32, text: Option<&str>) {
        if let Some(text) = text {
            self.present |= bit;
            bytes(&mut self.fields, text.as_bytes());
        }
    }

    fn text(&mut self, bit: u32, field: &'static str, text: Option<&str>) -> Written {
        if text.is_some_and(|text| text.len() > MAX_TEXT_BYTES) {
            return Err(field);
        }
        self.long(bit, text);
        Ok(())
    }

    fn shared(&mut self, bit: u32, field: &'static str, text: Option<&str>) -> Written {
        let Some(text) = text else { return Ok(()) };
        let place = self.shared_place(field, text)?;
        self.number(bit, Some(u64::from(place)));
        Ok(())
    }

    fn shared_place(&mut self, field: &'static str, text: &str) -> Result<u32, &'static str> {
        if text.len() > MAX_TEXT_BYTES { Err(field) } else { Ok(self.writer.place(text)) }
    }
}
