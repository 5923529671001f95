//! The firmware's event log in its crypto-agile form: what was measured into the PCRs, event by event.
//!
//! Source: TCG PC Client Platform Firmware Profile, Family 2.0, Revision 1.05, §10. Linux shows the log at
//! `/sys/kernel/security/tpm0/binary_bios_measurements`. All integers are little-endian, other than in TPM structures.
//!
//! A log proves nothing by itself: [`EventLog::replay`] gives the values that the PCRs would have, and a quote says
//! which ones they have. The data of an event is as good as the log only where its hash is the digest
//! ([`Event::data_is_measured`]).
//!
//! Deliberately absent: the log of Linux IMA, and the old form with SHA-1 alone.

use std::collections::BTreeMap;

use super::constants::AlgorithmId;
use super::hash;
use super::wire::{Reader, TpmFormatError};

/// No log that is read is larger than this, in bytes.
pub const MAX_LOG_BYTES: usize = 1024 * 1024;
/// The most banks of a log.
const MAX_BANKS: u32 = 8;
/// The largest digest, in bytes.
const MAX_DIGEST_BYTES: usize = 64;
/// The first bytes of the first event.
const SIGNATURE: &[u8] = b"Spec ID Event03\0";
/// The first bytes of the event that tells the locality of the start-up (§10.4.5.3).
const STARTUP_LOCALITY: &[u8] = b"StartupLocality\0";
/// `EV_NO_ACTION`: an event that is told and not measured.
const EV_NO_ACTION: u32 = 3;
/// PCRs of the dynamic root of trust, which begin with all bits set (TCG PC Client Platform TPM Profile, on PCRs).
const DYNAMIC: std::ops::RangeInclusive<u32> = 17..=22;
/// The highest PCR.
const MAX_PCR: u32 = 23;

const WHAT: &str = "event log";

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The PCR, 0 to 23.
    pub pcr: u32,
    /// The type, as the profile numbers them (`EV_...`).
    pub kind: u32,
    /// What was measured, once for each bank of the log.
    pub digests: Vec<(AlgorithmId, Vec<u8>)>,
    /// What the firmware says about it.
    pub data: Vec<u8>,
}

impl Event {
    /// Whether the data is what was measured in this bank. For many types it is a hint alone.
    #[must_use]
    pub fn data_is_measured(&self, bank: AlgorithmId) -> bool {
        let digest = self.digests.iter().find(|(algorithm, _)| *algorithm == bank);
        digest.is_some_and(|(_, digest)| hash(bank, &self.data).is_ok_and(|computed| computed == *digest))
    }

    /// Whether the event went into the PCR.
    #[must_use]
    pub fn is_measured(&self) -> bool {
        self.kind != EV_NO_ACTION
    }
}

/// A whole log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLog {
    /// The banks that each event has a digest for.
    pub banks: Vec<AlgorithmId>,
    /// The events behind the first one, which describes the log.
    pub events: Vec<Event>,
}

fn u16_le(reader: &mut Reader<'_>) -> Result<u16, TpmFormatError> {
    reader.array().map(u16::from_le_bytes)
}

fn u32_le(reader: &mut Reader<'_>) -> Result<u32, TpmFormatError> {
    reader.array().map(u32::from_le_bytes)
}

fn wrong(what: &'static str, expected: &str, found: String) -> TpmFormatError {
    TpmFormatError::Value { what, expected: expected.to_owned(), found }
}

/// Data with its size in front.
fn data<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], TpmFormatError> {
    let size = usize::try_from(u32_le(reader)?).unwrap_or(usize::MAX);
    if size > MAX_LOG_BYTES {
        return Err(TpmFormatError::TooLong { what: "data of an event", found: size, limit: MAX_LOG_BYTES });
    }
    reader.bytes(size)
}

/// `TCG_EfiSpecIDEvent` (§10.4.5.1), the data of the first event: the banks and the size of their digests.
fn read_banks(bytes: &[u8]) -> Result<Vec<(AlgorithmId, usize)>, TpmFormatError> {
    let mut reader = Reader::new("first event of the log", bytes);
    if reader.bytes(SIGNATURE.len())? != SIGNATURE {
        return Err(wrong("first event of the log", "Spec ID Event03", "another signature".to_owned()));
    }
    // Platform class, version of the profile, size of UINTN.
    reader.bytes(8)?;
    let count = u32_le(&mut reader)?;
    if !(1..=MAX_BANKS).contains(&count) {
        return Err(wrong("number of banks of the log", "1 to 8", count.to_string()));
    }
    let mut banks = Vec::new();
    for _ in 0..count {
        let (algorithm, size) = (AlgorithmId(u16_le(&mut reader)?), usize::from(u16_le(&mut reader)?));
        let known = match algorithm {
            AlgorithmId::SHA1 => Some(20),
            AlgorithmId::SHA256 => Some(32),
            AlgorithmId::SHA384 => Some(48),
            AlgorithmId::SHA512 => Some(64),
            _ => None,
        };
        let doubled = banks.iter().any(|(other, _)| *other == algorithm);
        if doubled || size == 0 || size > MAX_DIGEST_BYTES || known.is_some_and(|known| known != size) {
            let found = format!("{algorithm} with {size} bytes");
            return Err(wrong("bank of the log", "each algorithm once, with the size of its digest", found));
        }
        banks.push((algorithm, size));
    }
    let vendor = usize::from(reader.u8()?);
    reader.bytes(vendor)?;
    reader.finish()?;
    Ok(banks)
}

/// `TCG_PCR_EVENT2` (§10.2.2).
fn read_event(reader: &mut Reader<'_>, banks: &[(AlgorithmId, usize)]) -> Result<Event, TpmFormatError> {
    let (pcr, kind, count) = (u32_le(reader)?, u32_le(reader)?, u32_le(reader)?);
    if pcr > MAX_PCR && (kind != EV_NO_ACTION || pcr != u32::MAX) {
        return Err(wrong("PCR of an event", "0 to 23", pcr.to_string()));
    }
    if usize::try_from(count) != Ok(banks.len()) {
        let expected = format!("{}, one for each bank", banks.len());
        return Err(wrong("number of digests of an event", &expected, count.to_string()));
    }
    let mut digests: Vec<(AlgorithmId, Vec<u8>)> = Vec::new();
    for _ in banks {
        let algorithm = AlgorithmId(u16_le(reader)?);
        let size = banks.iter().find(|(bank, _)| *bank == algorithm).map(|(_, size)| *size);
        match size {
            Some(size) if digests.iter().all(|(other, _)| *other != algorithm) => {
                digests.push((algorithm, reader.bytes(size)?.to_vec()));
            }
            _ => {
                return Err(wrong("digest of an event", "each bank of the log once", algorithm.to_string()));
            }
        }
    }
    Ok(Event { pcr, kind, digests, data: data(reader)?.to_vec() })
}

impl EventLog {
    /// Reads a log that fills `bytes`.
    ///
    /// # Errors
    /// [`TpmFormatError`] for another form, for the old form without several banks, and over [`MAX_LOG_BYTES`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TpmFormatError> {
        if bytes.len() > MAX_LOG_BYTES {
            return Err(TpmFormatError::TooLong { what: WHAT, found: bytes.len(), limit: MAX_LOG_BYTES });
        }
        let mut reader = Reader::new(WHAT, bytes);
        // The first event has the form of TPM 1.2 (§10.2.1): PCR, type, a SHA-1 of zeros, data.
        let (_pcr, kind, _digest) = (u32_le(&mut reader)?, u32_le(&mut reader)?, reader.bytes(20)?);
        if kind != EV_NO_ACTION {
            let expected = "EV_NO_ACTION (3), as in the crypto-agile form";
            return Err(wrong("type of the first event", expected, format!("{kind:#x}")));
        }
        let banks = read_banks(data(&mut reader)?)?;
        let mut events = Vec::new();
        while !reader.clone().rest().is_empty() {
            events.push(read_event(&mut reader, &banks)?);
        }
        Ok(Self { banks: banks.into_iter().map(|(algorithm, _)| algorithm).collect(), events })
    }

    /// The values that the 24 PCRs of a bank have after all events.
    ///
    /// # Errors
    /// [`TpmFormatError::Value`] when the log has no such bank, [`TpmFormatError::Unsupported`] for a bank other than
    /// SHA-256 and SHA-384.
    pub fn replay(&self, bank: AlgorithmId) -> Result<BTreeMap<u32, Vec<u8>>, TpmFormatError> {
        if !self.banks.contains(&bank) {
            let has: Vec<String> = self.banks.iter().map(ToString::to_string).collect();
            return Err(wrong("bank of the log", &has.join(" or "), bank.to_string()));
        }
        let size = hash(bank, &[])?.len();
        let locality = self.startup_locality();
        let mut registers: BTreeMap<u32, Vec<u8>> = (0..=MAX_PCR)
            .map(|pcr| (pcr, vec![if DYNAMIC.contains(&pcr) { 0xff } else { 0 }; size]))
            .collect();
        if let Some(last) = registers.get_mut(&0).and_then(|first| first.last_mut()) {
            *last = locality;
        }
        for event in self.events.iter().filter(|event| event.is_measured()) {
            let Some((_, digest)) = event.digests.iter().find(|(algorithm, _)| *algorithm == bank) else {
                continue;
            };
            let Some(value) = registers.get_mut(&event.pcr) else { continue };
            *value = hash(bank, &[value.as_slice(), digest].concat())?;
        }
        Ok(registers)
    }

    /// The locality of `TPM2_Startup`, which is the last byte of PCR 0 at the beginning; 0 where the log does not say.
    fn startup_locality(&self) -> u8 {
        self.events
            .iter()
            .filter(|event| event.pcr == 0 && event.kind == EV_NO_ACTION)
            .find_map(|event| match event.data.strip_prefix(STARTUP_LOCALITY) {
                Some([locality]) => Some(*locality),
                _ => None,
            })
            .unwrap_or(0)
    }

    /// The bytes of the log.
    ///
    /// # Errors
    /// [`TpmFormatError::TooLong`] when something cannot be written with its size, [`TpmFormatError::Value`] for a bank
    /// without a digest to take its size from.
    pub fn to_bytes(&self) -> Result<Vec<u8>, TpmFormatError> {
        let size32 = |found: usize| {
            u32::try_from(found).map(u32::to_le_bytes).map_err(|_| TpmFormatError::TooLong {
                what: WHAT,
                found,
                limit: MAX_LOG_BYTES,
            })
        };
        let mut first = [SIGNATURE, &[0, 0, 0, 0, 0, 2, 0, 2], &size32(self.banks.len())?].concat();
        for bank in &self.banks {
            let digest =
                self.events.iter().flat_map(|event| &event.digests).find(|(algorithm, _)| algorithm == bank);
            let size = match digest {
                Some((_, digest)) => digest.len(),
                None => hash(*bank, &[])?.len(),
            };
            let size = u16::try_from(size).map_err(|_| TpmFormatError::TooLong {
                what: WHAT,
                found: size,
                limit: MAX_DIGEST_BYTES,
            })?;
            first.extend_from_slice(&bank.0.to_le_bytes());
            first.extend_from_slice(&size.to_le_bytes());
        }
        first.push(0);
        let mut bytes =
            [&[0; 4][..], &EV_NO_ACTION.to_le_bytes(), &[0; 20], &size32(first.len())?, &first].concat();
        for event in &self.events {
            bytes.extend_from_slice(&event.pcr.to_le_bytes());
            bytes.extend_from_slice(&event.kind.to_le_bytes());
            bytes.extend_from_slice(&size32(event.digests.len())?);
            for (algorithm, digest) in &event.digests {
                bytes.extend_from_slice(&algorithm.0.to_le_bytes());
                bytes.extend_from_slice(digest);
            }
            bytes.extend_from_slice(&size32(event.data.len())?);
            bytes.extend_from_slice(&event.data);
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::sha256;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn event(pcr: u32, kind: u32, data: &[u8]) -> Event {
        let digests = vec![(AlgorithmId::SHA256, sha256(data).to_vec())];
        Event { pcr, kind, digests, data: data.to_vec() }
    }

    fn log(events: Vec<Event>) -> EventLog {
        EventLog { banks: vec![AlgorithmId::SHA256], events }
    }

    #[test]
    fn events_are_replayed_as_the_tpm_extends() {
        let separator = event(7, 4, &[0; 4]);
        assert!(separator.data_is_measured(AlgorithmId::SHA256));
        let one =
            log(vec![event(0, EV_NO_ACTION, b"StartupLocality\0\x03"), event(0, 8, b"crtm"), separator]);
        let replayed =
            EventLog::from_bytes(&one.to_bytes().unwrap()).unwrap().replay(AlgorithmId::SHA256).unwrap();
        let mut start = [0; 32];
        start[31] = 3;
        assert_eq!(replayed[&0], sha256(&[&start[..], &sha256(b"crtm")].concat()));
        // PCR 7 after a separator alone, as firmware without Secure Boot variables leaves PCRs 0 to 7.
        assert_eq!(
            hex::encode(&replayed[&7]),
            "3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969"
        );
        assert_eq!((&replayed[&1], &replayed[&18]), (&vec![0; 32], &vec![0xff; 32]));
        assert!(one.replay(AlgorithmId::SHA384).is_err());
    }

    #[test]
    fn dynamic_registers_begin_with_ones() {
        let replayed = log(vec![event(17, 0x500, b"x")]).replay(AlgorithmId::SHA256).unwrap();
        assert_eq!(replayed[&17], sha256(&[&[0xff; 32][..], &sha256(b"x")].concat()));
    }

    #[test]
    fn lies_of_a_log_are_refused() {
        let good = log(vec![event(0, 8, b"crtm")]).to_bytes().unwrap();
        for end in 0..good.len() {
            // What ends behind the first event is a log without events.
            assert_eq!(EventLog::from_bytes(&good[..end]).is_ok(), end == 65, "{end}");
        }
        let mut twice = log(vec![event(0, 8, b"crtm")]);
        twice.banks.push(AlgorithmId::SHA256);
        assert!(EventLog::from_bytes(&twice.to_bytes().unwrap()).is_err());
        let outside = log(vec![event(24, 8, b"crtm")]).to_bytes().unwrap();
        assert!(EventLog::from_bytes(&outside).is_err());
        assert!(EventLog::from_bytes(&vec![0; MAX_LOG_BYTES + 1]).is_err());
    }

    proptest! {
        #[test]
        fn round_trip(events in vec((0u32..=23, any::<u32>(), vec(any::<u8>(), 0..20)), 1..6)) {
            let log = log(events.iter().map(|(pcr, kind, data)| event(*pcr, *kind, data)).collect());
            prop_assert_eq!(EventLog::from_bytes(&log.to_bytes().unwrap()).unwrap(), log);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..120), at in 0usize..110) {
            let _ = EventLog::from_bytes(&bytes);
            let mut changed = log(vec![event(0, 8, b"crtm")]).to_bytes().unwrap();
            if let Some(byte) = changed.get_mut(at) {
                *byte ^= 0x41;
            }
            if let Ok(log) = EventLog::from_bytes(&changed) {
                let _ = log.replay(AlgorithmId::SHA256);
            }
        }
    }
}
