//! Appraisal of what a TPM states beside its keys: quotes with the firmware's event log, certified counters, certified
//! creations.
//!
//! Nothing here passes for want of an expectation: a quote is judged by a [`BootPolicy`], and a register that the policy
//! names has to be quoted.

use std::collections::{BTreeMap, BTreeSet};

use touchmark_identity::evidence::Nonce;
use touchmark_identity::key::PublicKey;
use touchmark_identity::tpm::event_log::{Event, EventLog};
use touchmark_identity::tpm::policy::pcr_digest;
use touchmark_identity::tpm::proof::{
    CertifiedCounter, CertifiedCreation, PcrBank, PcrValue, Quote, selected,
};
use touchmark_identity::tpm::{
    self, AlgorithmId, Attest, Attested, ClockInfo, Handle, Name, PublicArea, Reader, TpmFormatError,
    TpmSignature,
};

use super::{ActivatedAk, KEY, check_ak, check_key, format_error, name_of, public_area, verify_statement};
use crate::Appraised;
use crate::error::AppraisalError;

/// `TPMA_NV` (part 2, §13.4): the type of an index, a counter, and the bit that is set by its first write.
const NV_TYPE: u32 = 0xf0;
const NV_COUNTER: u32 = 1 << 4;
const NV_WRITTEN: u32 = 1 << 29;
/// The size of a counter, in bytes.
const COUNTER_BYTES: usize = 8;

/// How a platform has to have started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BootPolicy {
    /// For each register the values of which it may have one. A register without values may have none, so that a policy
    /// which was left empty refuses.
    pub registers: BTreeMap<(PcrBank, u8), Vec<Vec<u8>>>,
    /// Whether an event log has to come along. One that comes has to agree in any case.
    pub event_log: bool,
    /// Digests that no event may have measured, such as those of a boot loader that was recalled. They are looked for in
    /// the event log, so the log has to come along.
    pub forbidden: Vec<Vec<u8>>,
    /// The lowest firmware version of the TPM, as the maker counts. A TPM that states it obscured does not pass.
    pub minimum_firmware: Option<u64>,
    /// The clock of the last quote of this TPM: resets do not become fewer, and between two of them time goes on.
    pub last_clock: Option<ClockInfo>,
}

/// How a platform started, as its TPM states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// The registers that were quoted.
    pub registers: Vec<PcrValue>,
    /// The events behind them, in their order; empty without a log. Events of registers that were not quoted are left out:
    /// they are nobody's word.
    pub events: Vec<Event>,
    /// The TPM's clock: what the next appraisal takes as [`BootPolicy::last_clock`].
    pub clock: ClockInfo,
    /// The TPM's firmware version, where it is stated plainly.
    pub firmware: Option<u64>,
}

/// A counter's value, as its TPM states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterValue {
    /// The NV index.
    pub index: Handle,
    /// The Name of the index: it changes when the index is defined anew with other attributes.
    pub name: Name,
    /// The policy in the index, which labels it: see the key store.
    pub label: Vec<u8>,
    /// The value.
    pub value: u64,
    /// The TPM's clock.
    pub clock: ClockInfo,
}

/// A statement that is signed by the attestation key and answers the nonce.
fn fresh(
    ak_public: &[u8],
    statement: &[u8],
    signature: &[u8],
    nonce: &Nonce,
    ak: &ActivatedAk,
) -> Result<(Attest, Option<u64>), AppraisalError> {
    let ak_area = public_area("the public area of the AK", ak_public)?;
    let ak_name = name_of("the public area of the AK", &ak_area)?;
    if ak_name != ak.name {
        let (expected, found) = (ak.name.to_string(), ak_name.to_string());
        return Err(AppraisalError::KeyMismatch { what: "the Name of the attestation key", expected, found });
    }
    check_ak(&ak_area)?;
    verify_statement(&ak_area, statement, signature)?;
    let statement = Attest::from_bytes(statement).map_err(|cause| format_error("TPMS_ATTEST", &cause))?;
    if statement.extra_data != nonce.bytes() {
        return Err(AppraisalError::NotFresh {
            expected: hex::encode(nonce.bytes()),
            found: hex::encode(&statement.extra_data),
        });
    }
    let firmware = statement.plain_firmware(&ak_area);
    Ok((statement, firmware))
}

fn wrong(what: &'static str, expected: String, found: String) -> AppraisalError {
    AppraisalError::WrongValue { what, expected, found }
}

fn other_kind(expected: &str, statement: &Attest) -> AppraisalError {
    wrong("the type of TPMS_ATTEST", expected.to_owned(), statement.kind().to_string())
}

/// Appraises a quote: signature, nonce, values against their digest, event log against the values, and all of it against
/// the policy.
///
/// # Errors
/// [`AppraisalError`] when the quote is not by this attestation key, stale, not about the values beside it, or not what
/// the policy asks for.
pub fn appraise_quote(
    quote: &Quote,
    nonce: &Nonce,
    ak: &ActivatedAk,
    policy: &BootPolicy,
) -> Result<Appraised<Boot>, AppraisalError> {
    let stated = read_quote(quote, nonce, ak)?;
    stated.hold_against(policy)?;
    Ok(Appraised::new(stated.boot))
}

/// What a quote states, before anybody says how the platform should have started.
#[derive(Debug)]
pub(crate) struct StatedBoot {
    pub(crate) boot: Boot,
    /// The whole event log: what a policy forbids is forbidden in registers that were not quoted as well.
    log: Option<EventLog>,
}

/// The first half of [`appraise_quote`]: all but the policy.
pub(crate) fn read_quote(
    quote: &Quote,
    nonce: &Nonce,
    ak: &ActivatedAk,
) -> Result<StatedBoot, AppraisalError> {
    let (statement, firmware) = fresh(&quote.ak_public, &quote.statement, &quote.signature, nonce, ak)?;
    let Attested::Quote { selection, pcr_digest: quoted } = &statement.attested else {
        return Err(other_kind("TPM_ST_ATTEST_QUOTE", &statement));
    };
    let places = selected(selection).ok_or_else(|| AppraisalError::UnsupportedAlgorithm {
        what: "the quote".to_owned(),
        found: "a bank of registers other than those accepted".to_owned(),
        accepted: "SHA-256 and SHA-384",
    })?;
    let given: Vec<(PcrBank, u8)> = quote.pcrs.iter().map(|value| (value.bank, value.pcr)).collect();
    if places != given {
        return Err(wrong("the list of values beside the quote", shown(&places), shown(&given)));
    }
    let hash = TpmSignature::from_bytes(&quote.signature)
        .map_err(|cause| format_error("TPMT_SIGNATURE", &cause))?
        .hash();
    let computed = pcr_digest(hash, quote.pcrs.iter().map(|value| value.value.as_slice()))
        .map_err(|cause| format_error("the quote", &cause))?;
    if *quoted != computed {
        return Err(wrong(
            "the digest of the values beside the quote",
            hex::encode(quoted),
            hex::encode(computed),
        ));
    }

    let log = match quote.event_log.as_slice() {
        [] => None,
        bytes => Some(EventLog::from_bytes(bytes).map_err(|cause| format_error("the event log", &cause))?),
    };
    if let Some(log) = &log {
        check_log(log, &quote.pcrs)?;
    }
    let events = log.as_ref().map(|log| quoted_events(log, &quote.pcrs)).unwrap_or_default();
    let boot = Boot { registers: quote.pcrs.clone(), events, clock: statement.clock, firmware };
    Ok(StatedBoot { boot, log })
}

impl StatedBoot {
    /// The second half.
    pub(crate) fn hold_against(&self, policy: &BootPolicy) -> Result<(), AppraisalError> {
        check_policy(policy, &self.boot, self.log.as_ref())
    }
}

fn quoted_events(log: &EventLog, values: &[PcrValue]) -> Vec<Event> {
    let quoted = |event: &Event| values.iter().any(|value| u32::from(value.pcr) == event.pcr);
    log.events.iter().filter(|event| event.is_measured() && quoted(event)).cloned().collect()
}

fn shown(places: &[(PcrBank, u8)]) -> String {
    let each: Vec<String> = places.iter().map(|(bank, pcr)| format!("{bank}:{pcr}")).collect();
    each.join(" ")
}

/// Each quoted register has to have the value that the log leads to; one of which the log does not tell, its first one.
fn check_log(log: &EventLog, values: &[PcrValue]) -> Result<(), AppraisalError> {
    let banks: BTreeSet<PcrBank> = values.iter().map(|value| value.bank).collect();
    for bank in banks {
        let registers =
            log.replay(bank.algorithm()).map_err(|cause| format_error("the event log", &cause))?;
        for value in values.iter().filter(|value| value.bank == bank) {
            let led_to = registers.get(&u32::from(value.pcr));
            if led_to != Some(&value.value) {
                return Err(AppraisalError::RegisterMismatch {
                    register: format!("{bank}:{}", value.pcr),
                    expected: format!(
                        "{}, to which the event log leads",
                        hex::encode(led_to.unwrap_or(&Vec::new()))
                    ),
                    found: hex::encode(&value.value),
                });
            }
        }
    }
    Ok(())
}

fn check_policy(policy: &BootPolicy, boot: &Boot, log: Option<&EventLog>) -> Result<(), AppraisalError> {
    if policy.registers.is_empty() {
        return Err(AppraisalError::NotMeasured { what: "any register in the policy".to_owned() });
    }
    for ((bank, pcr), allowed) in &policy.registers {
        let register = format!("{bank}:{pcr}");
        let found = boot.registers.iter().find(|value| value.bank == *bank && value.pcr == *pcr);
        let Some(found) = found else {
            return Err(AppraisalError::NotMeasured { what: format!("register {register}") });
        };
        if !allowed.contains(&found.value) {
            let known: Vec<String> = allowed.iter().map(hex::encode).collect();
            return Err(AppraisalError::RegisterMismatch {
                register,
                expected: if known.is_empty() { "no value at all".to_owned() } else { known.join(" or ") },
                found: hex::encode(&found.value),
            });
        }
    }
    match log {
        None if policy.event_log || !policy.forbidden.is_empty() => {
            return Err(AppraisalError::NotMeasured { what: "an event log".to_owned() });
        }
        None => {}
        Some(log) => {
            let digests =
                log.events.iter().flat_map(|event| event.digests.iter().map(move |digest| (event, digest)));
            for (event, (_, digest)) in digests {
                if policy.forbidden.contains(digest) {
                    return Err(AppraisalError::RegisterMismatch {
                        register: event.pcr.to_string(),
                        expected: "no event that the policy forbids".to_owned(),
                        found: hex::encode(digest),
                    });
                }
            }
        }
    }
    if let Some(minimum) = policy.minimum_firmware
        && boot.firmware.is_none_or(|firmware| firmware < minimum)
    {
        return Err(wrong(
            "the TPM's firmware version",
            format!("{} or later, stated plainly", version(minimum)),
            boot.firmware.map_or_else(|| "obscured".to_owned(), version),
        ));
    }
    match &policy.last_clock {
        Some(last) => check_clock(last, &boot.clock),
        None => Ok(()),
    }
}

fn version(number: u64) -> String {
    format!("{:x}.{:x}", number >> 32, number & 0xffff_ffff)
}

/// Part 1, §36: the counts of resets and restarts, and between two resets the clock. After an unorderly end the clock
/// may fall back to its last saved value, and says so (`safe` is clear); then a reset was counted as well.
fn check_clock(last: &ClockInfo, now: &ClockInfo) -> Result<(), AppraisalError> {
    let order = |clock: &ClockInfo| (clock.reset_count, clock.restart_count, clock.clock_ms);
    if order(now) > order(last) {
        return Ok(());
    }
    let shown = |clock: &ClockInfo| {
        format!("reset {}, restart {}, {} ms", clock.reset_count, clock.restart_count, clock.clock_ms)
    };
    Err(wrong("the TPM's clock", format!("later than {}", shown(last)), shown(now)))
}

/// Appraises a counter's value.
///
/// # Errors
/// [`AppraisalError`] when the statement is not by this attestation key, stale, not about this index, or the index is
/// not a counter.
pub fn appraise_counter(
    proof: &CertifiedCounter,
    nonce: &Nonce,
    ak: &ActivatedAk,
) -> Result<Appraised<CounterValue>, AppraisalError> {
    let (statement, _) = fresh(&proof.ak_public, &proof.statement, &proof.signature, nonce, ak)?;
    let Attested::Nv { index_name, offset, contents } = &statement.attested else {
        return Err(other_kind("TPM_ST_ATTEST_NV", &statement));
    };
    let format = |cause: TpmFormatError| format_error("TPMS_NV_PUBLIC", &cause);
    let mut reader = Reader::new("TPMS_NV_PUBLIC", &proof.nv_public);
    let index = Handle(reader.u32().map_err(format)?);
    let name_alg = AlgorithmId(reader.u16().map_err(format)?);
    let attributes = reader.u32().map_err(format)?;
    let label = reader.sized(64).map_err(format)?.to_vec();
    let size = reader.u16().map_err(format)?;
    reader.finish().map_err(format)?;
    let digest = tpm::hash(name_alg, &proof.nv_public).map_err(format)?;
    let name = Name([&name_alg.0.to_be_bytes()[..], &digest].concat());
    if name != *index_name {
        let (expected, found) = (index_name.to_string(), name.to_string());
        return Err(AppraisalError::KeyMismatch { what: "the Name of the NV index", expected, found });
    }
    if attributes & NV_TYPE != NV_COUNTER || attributes & NV_WRITTEN == 0 {
        let expected = "those of a counter that was incremented".to_owned();
        return Err(wrong("the attributes of the NV index", expected, format!("{attributes:#010x}")));
    }
    let value = <[u8; COUNTER_BYTES]>::try_from(contents.as_slice()).ok().filter(|_| *offset == 0);
    let Some(value) = value.filter(|_| usize::from(size) == COUNTER_BYTES) else {
        let found = format!("{} of {size} bytes from {offset} on", contents.len());
        return Err(wrong("the certified part of the NV index", "all 8 bytes".to_owned(), found));
    };
    let value = u64::from_be_bytes(value);
    Ok(Appraised::new(CounterValue { index, name, label, value, clock: statement.clock }))
}

/// Appraises the TPM's word that it made a key itself: the key's Name is the created one, its attributes keep it in the
/// TPM, and the creation data is the data of then.
///
/// # Errors
/// [`AppraisalError`] as for [`super::appraise`].
pub fn appraise_creation(
    proof: &CertifiedCreation,
    nonce: &Nonce,
    ak: &ActivatedAk,
) -> Result<Appraised<PublicKey>, AppraisalError> {
    let (statement, _) = fresh(&proof.ak_public, &proof.statement, &proof.signature, nonce, ak)?;
    let Attested::Creation { name, creation_hash } = &statement.attested else {
        return Err(other_kind("TPM_ST_ATTEST_CREATION", &statement));
    };
    let key: PublicArea = public_area("the public area of the key", &proof.key_public)?;
    let key_name = name_of("the public area of the key", &key)?;
    if key_name != *name {
        let (expected, found) = (name.to_string(), key_name.to_string());
        return Err(AppraisalError::KeyMismatch { what: "the Name of the certified key", expected, found });
    }
    let computed = tpm::hash(key.name_alg, &proof.creation_data)
        .map_err(|cause| format_error("TPMS_CREATION_DATA", &cause))?;
    if computed != *creation_hash {
        return Err(wrong(
            "the hash of the creation data",
            hex::encode(creation_hash),
            hex::encode(computed),
        ));
    }
    // What the TPM made with a private half from outside has no ticket of its creation; the attribute has to agree.
    if check_key(&key)? != touchmark_identity::assurance::Provenance::GeneratedOnChip {
        return Err(AppraisalError::MissingAttribute {
            object: KEY,
            attribute: "sensitiveDataOrigin",
            meaning: "it was made outside of the TPM",
        });
    }
    let public = key.to_public_key().map_err(|cause| AppraisalError::UnsupportedAlgorithm {
        what: KEY.to_owned(),
        found: cause.to_string(),
        accepted: "ECDSA on P-256",
    })?;
    Ok(Appraised::new(public))
}
