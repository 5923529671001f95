//! The key store itself: names to handles, and sequences of commands.

use touchmark_identity::assurance::Storage;
use touchmark_identity::evidence::{Evidence, Nonce, TpmEvidence};
use touchmark_identity::ids::{CounterName, KeyName};
use touchmark_identity::key::PublicKey;
use touchmark_identity::tpm::{Handle, Name, ObjectAttributes, PublicArea, ResponseCode, TpmFormatError};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode, Header, Reader as _, SliceReader};
use zeroize::Zeroizing;

use super::command::{self, Authorisation, PART};
use super::connection::{Connection, Created, NvAttributes, NvPublic};
use super::measured::Measured;
use super::names::Place;
use super::session::PinnedSaltKey;
use super::template::{self, EkTemplate};
use super::transport::Address;
use crate::kind::Kind;
use crate::{
    ActivateCredential, Attest, Attested, Counters, CredentialChallenge, EndorsementIdentity, KeyStore,
    Objects, Ratchet, StoreError, StoreInfo,
};

/// `TPM_PT_MANUFACTURER` and the properties that follow it (part 2, §6.13).
const PT_MANUFACTURER: u32 = 0x105;
const PT_VENDOR_STRINGS: std::ops::RangeInclusive<u32> = 0x106..=0x109;
const PT_FIRMWARE_VERSION_1: u32 = 0x10b;
const PT_FIRMWARE_VERSION_2: u32 = 0x10c;
/// `TPM_PT_NV_INDEX_MAX`: the largest index, in bytes.
const PT_NV_INDEX_MAX: u32 = 0x117;
/// `TPM_PT_NV_BUFFER_MAX`: the most bytes that are read or written at once.
const PT_NV_BUFFER_MAX: u32 = 0x12c;

/// The size of a counter or bit field, in bytes.
const NUMBER_BYTES: u16 = 8;
/// The highest floor of a ratchet: one bit for each step.
const MAX_FLOOR: u64 = 64;
/// An object begins with its length; this one says that the object is being written.
const INCOMPLETE: u16 = u16::MAX;
/// The size of an object's length, in bytes.
const LENGTH_BYTES: u16 = 2;
/// Indexes for objects are made larger than needed up to a multiple of this, so that a renewed certificate fits.
const OBJECT_GRAIN: u16 = 64;
/// The most certificates in the chain of an EK.
const MAX_CHAIN: usize = 8;

/// A TPM 2.0.
#[derive(Debug)]
pub struct TpmStore {
    address: Address,
    pinned: PinnedSaltKey,
}

/// An EK with its certificate. The handle is valid in the connection in which it was found.
struct FoundEk {
    certificate: Vec<u8>,
    public: PublicArea,
    handle: Handle,
}

/// What the TPM can hold and move at once, in bytes.
struct NvLimits {
    index: u16,
    buffer: u16,
}

impl TpmStore {
    /// Opens the TPM at `HOST:PORT` (raw TPM commands over TCP) or behind a device such as `/dev/tpmrm0`, and asks it
    /// who it is. Behind `?salt-key=` may follow the Name of the storage primary key in hex, as [`TpmStore::salt_key`]
    /// gives it: a TPM with another one is refused. Without it the first Name that is seen counts, as long as the store
    /// is open. A connection attempt takes at most 5 seconds for each address of the host, a command at most 60.
    ///
    /// # Errors
    /// [`StoreError::BadUri`] for another form of address, [`StoreError::Unreachable`] when there is no TPM.
    pub fn open(address: &str) -> Result<Self, StoreError> {
        let (address, name) = Address::parse_pinned(address)?;
        let mut store = Self { address, pinned: PinnedSaltKey::new(name) };
        store.info()?;
        Ok(store)
    }

    pub(super) fn connect(&self) -> Result<Connection, StoreError> {
        Connection::open(&self.address, &self.pinned)
    }

    /// The Name of the key to which sessions are salted, after a session with the TPM has shown that it has that key.
    ///
    /// # Errors
    /// [`StoreError::Tampered`] when it is another one than before.
    pub fn salt_key(&mut self) -> Result<Name, StoreError> {
        self.connect()?.secured()?;
        self.pinned.name().cloned().ok_or(StoreError::Crypto { operation: "pinning the salt key" })
    }
}

/// The key at a place, where it is the one of that name.
fn find_key(tpm: &mut Connection, place: &Place) -> Result<PublicArea, StoreError> {
    match tpm.read_public(place.handle)? {
        Some(public) if public.auth_policy == place.label => Ok(public),
        _ => Err(place.not_found()),
    }
}

pub(super) fn p256(spec: command::Spec, public: &PublicArea) -> Result<PublicKey, StoreError> {
    public.to_public_key().map_err(|cause| StoreError::Malformed {
        part: PART,
        command: spec.name,
        detail: cause.to_string(),
    })
}

/// Makes a key for a place and loads it; it is not kept yet.
pub(super) fn create_key(
    tpm: &mut Connection,
    place: &Place,
) -> Result<(Handle, Created, PublicArea), StoreError> {
    if tpm.read_public(place.handle)?.is_some() {
        return Err(place.exists());
    }
    let (parent, _) = tpm.create_primary(Handle::OWNER, &template::storage_primary())?;
    let created = tpm.create(parent, &template::device_key(&place.label), &[], &[])?;
    let object = tpm.load(parent, &created.private, &created.public)?;
    tpm.flush(parent)?;
    let public = PublicArea::from_bytes(&created.public)
        .map_err(|cause| command::malformed(command::CREATE, &cause))?;
    Ok((object, created, public))
}

/// The key exists from here on, all of it: `TPM2_EvictControl` is one write to non-volatile memory.
pub(super) fn keep_key(tpm: &mut Connection, object: Handle, place: &Place) -> Result<(), StoreError> {
    tpm.evict_control(object, place.handle).map_err(|refused| match refused {
        StoreError::Refused { code, .. } if ResponseCode(code) == ResponseCode::NV_DEFINED => place.exists(),
        StoreError::Refused { code, .. } if ResponseCode(code) == ResponseCode::NV_SPACE => {
            StoreError::Exhausted {
                what: "room for persistent keys",
                detail: format!("the TPM has no NV memory left for the key {:?}", place.name),
            }
        }
        other => other,
    })
}

/// The NV index at a place, where it is the one of that name.
pub(super) fn find_index(tpm: &mut Connection, place: &Place) -> Result<Option<NvPublic>, StoreError> {
    Ok(tpm.nv_read_public(place.handle)?.filter(|public| public.policy == place.label))
}

fn define_index(
    tpm: &mut Connection,
    place: &Place,
    attributes: NvAttributes,
    size: u16,
) -> Result<NvPublic, StoreError> {
    let public = NvPublic { index: place.handle, attributes, policy: place.label.to_vec(), size };
    match tpm.nv_define(&public)? {
        None => Ok(public),
        Some(ResponseCode::NV_DEFINED) => Err(place.exists()),
        Some(ResponseCode::NV_SPACE) => Err(StoreError::Exhausted {
            what: "NV memory",
            detail: format!("no room for the {size} bytes of the {} {:?}", place.kind.word(), place.name),
        }),
        Some(code) => Err(command::refused(command::NV_DEFINE_SPACE, code)),
    }
}

/// The NV index at a place, which is defined where it is not there yet. Another device at the same TPM may define it in
/// between.
fn find_or_define(
    tpm: &mut Connection,
    place: &Place,
    attributes: NvAttributes,
) -> Result<NvPublic, StoreError> {
    if let Some(public) = find_index(tpm, place)? {
        return Ok(public);
    }
    match define_index(tpm, place, attributes, NUMBER_BYTES) {
        Err(exists @ StoreError::Exists { .. }) => find_index(tpm, place)?.ok_or(exists),
        other => other,
    }
}

/// The value of a counter or bit field; none where it was never set.
fn read_number(tpm: &mut Connection, public: &NvPublic) -> Result<Option<u64>, StoreError> {
    let Some(bytes) = tpm.nv_read(public, 0, NUMBER_BYTES)? else { return Ok(None) };
    match <[u8; 8]>::try_from(bytes.as_slice()) {
        Ok(bytes) => Ok(Some(u64::from_be_bytes(bytes))),
        Err(_) => {
            let found = bytes.len();
            let cause =
                TpmFormatError::TooShort { what: "NV index", needed: usize::from(NUMBER_BYTES), found };
            Err(command::malformed(command::NV_READ, &cause))
        }
    }
}

fn nv_limits(tpm: &mut Connection) -> Result<NvLimits, StoreError> {
    let properties = tpm.properties_from(PT_NV_INDEX_MAX)?;
    let limit = |property: u32| {
        let value = properties.iter().find(|(number, _)| *number == property).map(|(_, value)| *value);
        match value {
            Some(1..) => Ok(value.and_then(|v| u16::try_from(v).ok()).unwrap_or(u16::MAX)),
            _ => Err(StoreError::Malformed {
                part: PART,
                command: command::GET_CAPABILITY.name,
                detail: format!("the property {property:#x} is missing or zero"),
            }),
        }
    };
    // A command or response of 4,096 bytes holds less than 4,000 bytes of data.
    Ok(NvLimits { index: limit(PT_NV_INDEX_MAX)?, buffer: limit(PT_NV_BUFFER_MAX)?.min(3_072) })
}

/// All bytes of an index from `offset` to `end`; none where it was never written.
fn read_range(
    tpm: &mut Connection,
    public: &NvPublic,
    offset: u16,
    end: u16,
    buffer: u16,
) -> Result<Option<Vec<u8>>, StoreError> {
    let mut bytes = Vec::new();
    let mut at = offset;
    while at < end {
        let size = (end - at).min(buffer);
        let Some(part) = tpm.nv_read(public, at, size)? else { return Ok(None) };
        bytes.extend_from_slice(&part);
        at += size;
    }
    Ok(Some(bytes))
}

/// Splits DER certificates that stand one after the other; what follows the last of them is padding.
fn split_certificates(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while found.len() < MAX_CHAIN {
        let Some(size) = der_size(rest) else { break };
        let Some((certificate, after)) = rest.split_at_checked(size) else { break };
        found.push(certificate.to_vec());
        rest = after;
    }
    found
}

/// The size of the DER SEQUENCE at the front: header and value.
fn der_size(bytes: &[u8]) -> Option<usize> {
    // 0x30 is the tag of a SEQUENCE; padding is 0x00 or 0xff.
    if bytes.first() != Some(&0x30) {
        return None;
    }
    let mut reader = SliceReader::new(bytes).ok()?;
    let header = Header::decode(&mut reader).ok()?;
    let size = (header.encoded_len().ok()? + header.length).ok()?;
    let size = usize::try_from(u32::from(size)).ok()?;
    (size <= bytes.len() && reader.remaining_len() >= header.length).then_some(size)
}

/// All bytes of an index; none where it is not defined or was never written.
fn read_index(tpm: &mut Connection, index: Handle, buffer: u16) -> Result<Vec<u8>, StoreError> {
    let Some(public) = tpm.nv_read_public(index)? else { return Ok(Vec::new()) };
    Ok(read_range(tpm, &public, 0, public.size, buffer)?.unwrap_or_default())
}

/// Looks for an EK certificate and the key that it names, at all places of the EK Credential Profile. A certificate
/// without its key is passed over, because the TPM cannot prove anything with it.
fn find_ek(tpm: &mut Connection) -> Result<FoundEk, StoreError> {
    let buffer = nv_limits(tpm)?.buffer;
    let mut without_key = None;
    for template in EkTemplate::ALL {
        let index = template.certificate_index();
        let stored = read_index(tpm, index, buffer)?;
        let Some(certificate) = split_certificates(&stored).into_iter().next() else { continue };
        let Ok(parsed) = Certificate::from_der(&certificate) else {
            without_key = Some(format!("the EK certificate at NV index {:#x} cannot be read", index.0));
            continue;
        };
        let spki = &parsed.tbs_certificate.subject_public_key_info;
        for handle in tpm.handles_from(template::EK_FIRST)? {
            if handle > template::EK_LAST {
                break;
            }
            // An object of a kind that is not read here is somebody else's, not an EK.
            if let Ok(Some(public)) = tpm.read_public(handle)
                && public.is_key_of(spki)
            {
                return Ok(FoundEk { certificate, public, handle });
            }
        }
        for area in ek_templates(tpm, template, buffer)? {
            let (handle, public) = tpm.create_primary(Handle::ENDORSEMENT, &area)?;
            if public.is_key_of(spki) {
                return Ok(FoundEk { certificate, public, handle });
            }
            tpm.flush(handle)?;
        }
        without_key = Some(format!("the TPM has no key for the EK certificate at NV index {:#x}", index.0));
    }
    let name = without_key.unwrap_or_else(|| "at any NV index of the TCG EK Credential Profile".to_owned());
    Err(StoreError::NotFound { what: "EK certificate", name })
}

/// The templates from which an EK may have been made: the maker's where he left one, or a nonce for it, and the default.
fn ek_templates(
    tpm: &mut Connection,
    template: EkTemplate,
    buffer: u16,
) -> Result<Vec<PublicArea>, StoreError> {
    let stored = read_index(tpm, template.template_index(), buffer)?;
    let mut bases: Vec<PublicArea> = PublicArea::from_bytes(&stored).into_iter().collect();
    bases.push(template.public_area());
    let nonce = match template.nonce_index() {
        Some(index) => read_index(tpm, index, buffer)?,
        None => Vec::new(),
    };
    let mut areas = Vec::new();
    for base in bases {
        if !nonce.is_empty() {
            areas.push(template::with_nonce(base.clone(), &nonce));
        }
        areas.push(base);
    }
    Ok(areas)
}

fn find_ek_chain(tpm: &mut Connection) -> Result<Vec<Vec<u8>>, StoreError> {
    let buffer = nv_limits(tpm)?.buffer;
    let mut bytes = Vec::new();
    for index in tpm.handles_from(template::EK_CHAIN_FIRST)? {
        if index > template::EK_CHAIN_LAST {
            break;
        }
        bytes.extend_from_slice(&read_index(tpm, index, buffer)?);
    }
    Ok(split_certificates(&bytes))
}

pub(super) fn attestation_key(tpm: &mut Connection) -> Result<(Handle, PublicArea), StoreError> {
    tpm.create_primary(Handle::ENDORSEMENT, &template::attestation_key())
}

pub(super) fn public_bytes(public: &PublicArea) -> Result<Vec<u8>, StoreError> {
    public.to_bytes().map_err(|cause| command::malformed(command::READ_PUBLIC, &cause))
}

fn endorsement_identity(
    tpm: &mut Connection,
    ak_public: &PublicArea,
) -> Result<EndorsementIdentity, StoreError> {
    let ek = find_ek(tpm)?;
    tpm.flush(ek.handle)?;
    Ok(EndorsementIdentity {
        ek_certificate: ek.certificate,
        ek_chain: find_ek_chain(tpm)?,
        ek_public: public_bytes(&ek.public)?,
        ak_public: public_bytes(ak_public)?,
    })
}

/// Four bytes of text, as a TPM keeps its maker's name; padding and what is not printable falls away.
fn letters(value: u32) -> String {
    value
        .to_be_bytes()
        .iter()
        .map(|byte| char::from(*byte))
        .filter(|c| c.is_ascii_graphic() || *c == ' ')
        .collect()
}

impl KeyStore for TpmStore {
    fn info(&mut self) -> Result<StoreInfo, StoreError> {
        let properties = self.connect()?.properties_from(PT_MANUFACTURER)?;
        let property = |wanted: u32| {
            properties.iter().find(|(number, _)| *number == wanted).map_or(0, |(_, value)| *value)
        };
        let model: String = PT_VENDOR_STRINGS.map(|number| letters(property(number))).collect();
        Ok(StoreInfo {
            storage: Storage::Tpm,
            vendor: letters(property(PT_MANUFACTURER)).trim().to_owned(),
            model: model.split_whitespace().collect::<Vec<_>>().join(" "),
            firmware: format!("{:x}.{:x}", property(PT_FIRMWARE_VERSION_1), property(PT_FIRMWARE_VERSION_2)),
            capabilities: vec!["activate-credential", "attest", "counters", "measured", "objects", "ratchet"],
        })
    }

    fn generate(&mut self, key: &KeyName) -> Result<PublicKey, StoreError> {
        let place = Place::of(Kind::Key, key.as_str());
        let mut tpm = self.connect()?;
        let (object, _, public) = create_key(&mut tpm, &place)?;
        let public_key = p256(command::CREATE, &public)?;
        keep_key(&mut tpm, object, &place)?;
        Ok(public_key)
    }

    fn public_key(&mut self, key: &KeyName) -> Result<PublicKey, StoreError> {
        let place = Place::of(Kind::Key, key.as_str());
        let mut tpm = self.connect()?;
        let public = find_key(&mut tpm, &place)?;
        tpm.confirm_public(place.handle)?;
        p256(command::READ_PUBLIC, &public)
    }

    fn sign_digest(&mut self, key: &KeyName, digest: &[u8; 32]) -> Result<Vec<u8>, StoreError> {
        let place = Place::of(Kind::Key, key.as_str());
        let mut tpm = self.connect()?;
        find_key(&mut tpm, &place)?;
        let signature = tpm.sign(place.handle, digest)?;
        signature.to_der().map_err(|cause| command::malformed(command::SIGN, &cause))
    }

    fn delete(&mut self, key: &KeyName) -> Result<(), StoreError> {
        let place = Place::of(Kind::Key, key.as_str());
        let mut tpm = self.connect()?;
        find_key(&mut tpm, &place)?;
        tpm.evict_control(place.handle, place.handle)?;
        // What belongs to the key is the object of the same name.
        for object in object_places(key) {
            remove_index(&mut tpm, &object)?;
        }
        Ok(())
    }

    fn attest(&mut self) -> Option<&mut dyn Attest> {
        Some(self)
    }

    fn activate_credential(&mut self) -> Option<&mut dyn ActivateCredential> {
        Some(self)
    }

    fn counters(&mut self) -> Option<&mut dyn Counters> {
        Some(self)
    }

    fn ratchet(&mut self) -> Option<&mut dyn Ratchet> {
        Some(self)
    }

    fn objects(&mut self) -> Option<&mut dyn Objects> {
        Some(self)
    }

    fn measured(&mut self) -> Option<&mut dyn Measured> {
        Some(self)
    }
}

impl Attest for TpmStore {
    fn attest(&mut self, key: &KeyName, nonce: &Nonce) -> Result<Attested, StoreError> {
        let place = Place::of(Kind::Key, key.as_str());
        let mut tpm = self.connect()?;
        let key_public = find_key(&mut tpm, &place)?;
        let (ak, ak_public) = attestation_key(&mut tpm)?;
        let (certify_info, signature) = tpm.certify(place.handle, ak, nonce.bytes())?;
        tpm.flush(ak)?;
        let identity = endorsement_identity(&mut tpm, &ak_public)?;
        Ok(Attested {
            key: p256(command::READ_PUBLIC, &key_public)?,
            evidence: Evidence::Tpm(TpmEvidence {
                ek_certificate: identity.ek_certificate,
                ek_chain: identity.ek_chain,
                ek_public: identity.ek_public,
                ak_public: identity.ak_public,
                key_public: public_bytes(&key_public)?,
                certify_info,
                signature,
            }),
        })
    }
}

impl ActivateCredential for TpmStore {
    fn endorsement_identity(&mut self) -> Result<EndorsementIdentity, StoreError> {
        let mut tpm = self.connect()?;
        let (ak, ak_public) = attestation_key(&mut tpm)?;
        tpm.flush(ak)?;
        endorsement_identity(&mut tpm, &ak_public)
    }

    fn activate(&mut self, challenge: &CredentialChallenge) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let mut tpm = self.connect()?;
        let ek = find_ek(&mut tpm)?;
        let (ak, _) = attestation_key(&mut tpm)?;
        let authorisation = if ek.public.attributes.contains(ObjectAttributes::USER_WITH_AUTH) {
            Authorisation::EmptyPassword
        } else {
            tpm.endorsement_policy(ek.public.name_alg)?
        };
        let CredentialChallenge { credential_blob, encrypted_secret } = challenge;
        tpm.activate_credential(ak, ek.handle, authorisation, credential_blob, encrypted_secret)
    }
}

impl Counters for TpmStore {
    fn read_counter(&mut self, counter: &CounterName) -> Result<u64, StoreError> {
        let place = Place::of(Kind::Counter, counter.as_str());
        let mut tpm = self.connect()?;
        let public = find_index(&mut tpm, &place)?.ok_or_else(|| place.not_found())?;
        read_number(&mut tpm, &public)?.ok_or_else(|| place.not_found())
    }

    fn increment_counter(&mut self, counter: &CounterName) -> Result<u64, StoreError> {
        let place = Place::of(Kind::Counter, counter.as_str());
        let mut tpm = self.connect()?;
        let public = find_or_define(&mut tpm, &place, NvAttributes::COUNTER)?;
        tpm.nv_increment(place.handle)?;
        read_number(&mut tpm, &public)?.ok_or_else(|| place.not_found())
    }
}

impl Ratchet for TpmStore {
    fn floor(&mut self, name: &CounterName) -> Result<u64, StoreError> {
        floor(&mut self.connect()?, &Place::of(Kind::Ratchet, name.as_str()))
    }

    fn raise_floor(&mut self, name: &CounterName, to: u64) -> Result<(), StoreError> {
        let place = Place::of(Kind::Ratchet, name.as_str());
        let mut tpm = self.connect()?;
        let current = floor(&mut tpm, &place)?;
        if to < current {
            return Err(StoreError::WouldGoBack { name: place.name, current, asked: to });
        }
        if to > MAX_FLOOR {
            return Err(StoreError::Exhausted {
                what: "steps of a ratchet",
                detail: format!("a TPM holds floors up to {MAX_FLOOR}, asked was {to}"),
            });
        }
        if to == current {
            return Ok(());
        }
        find_or_define(&mut tpm, &place, NvAttributes::BITS)?;
        tpm.nv_set_bits(place.handle, lowest_bits(to))
    }
}

/// The floor: the number of the highest bit that is set, because bits below it may only be missing when somebody else
/// wrote them.
fn floor(tpm: &mut Connection, place: &Place) -> Result<u64, StoreError> {
    let Some(public) = find_index(tpm, place)? else { return Ok(0) };
    let bits = read_number(tpm, &public)?.unwrap_or(0);
    Ok(u64::from(u64::BITS - bits.leading_zeros()))
}

/// The lowest `count` bits set, for a count from 1 to 64.
fn lowest_bits(count: u64) -> u64 {
    u64::MAX >> MAX_FLOOR.saturating_sub(count).min(63)
}

/// Where an object may be: it is written whole at the place where it is not, and then removed from the other one. So a
/// loss of power leaves the old one, or the new one, or both; then the first place counts.
fn object_places(name: &KeyName) -> [Place; 2] {
    [Place::of(Kind::Object, name.as_str()), Place::second_of_object(name.as_str())]
}

/// The object at a place, with its index; none where it was not written to its end.
fn find_object(tpm: &mut Connection, place: &Place) -> Result<Option<(NvPublic, u16)>, StoreError> {
    let Some(public) = find_index(tpm, place)? else { return Ok(None) };
    let Some(length) = tpm.nv_read(&public, 0, LENGTH_BYTES)? else { return Ok(None) };
    let length = length.iter().fold(0u16, |number, byte| (number << 8) | u16::from(*byte));
    if length == INCOMPLETE {
        return Ok(None);
    }
    let end = length.checked_add(LENGTH_BYTES).filter(|end| *end <= public.size).ok_or_else(|| {
        StoreError::Malformed {
            part: PART,
            command: command::NV_READ.name,
            detail: format!("an object of {length} bytes in an index of {} bytes", public.size),
        }
    })?;
    Ok(Some((public, end)))
}

fn remove_index(tpm: &mut Connection, place: &Place) -> Result<(), StoreError> {
    if find_index(tpm, place)?.is_some() { tpm.nv_undefine(place.handle) } else { Ok(()) }
}

impl Objects for TpmStore {
    fn read_object(&mut self, name: &KeyName) -> Result<Vec<u8>, StoreError> {
        let [first, second] = object_places(name);
        let mut tpm = self.connect()?;
        let found = match find_object(&mut tpm, &first)? {
            None => find_object(&mut tpm, &second)?,
            found => found,
        };
        let (public, end) = found.ok_or_else(|| first.not_found())?;
        let buffer = nv_limits(&mut tpm)?.buffer;
        read_range(&mut tpm, &public, LENGTH_BYTES, end, buffer)?.ok_or_else(|| first.not_found())
    }

    fn write_object(&mut self, name: &KeyName, bytes: &[u8]) -> Result<(), StoreError> {
        let [first, second] = object_places(name);
        let mut tpm = self.connect()?;
        let limits = nv_limits(&mut tpm)?;
        let room = limits.index.saturating_sub(LENGTH_BYTES).min(INCOMPLETE - 1 - LENGTH_BYTES);
        let Some(length) = u16::try_from(bytes.len()).ok().filter(|length| *length <= room) else {
            return Err(StoreError::Exhausted {
                what: "room for one object",
                detail: format!("{} bytes are over this TPM's {room}", bytes.len()),
            });
        };
        let (from, to) =
            if find_object(&mut tpm, &first)?.is_some() { (first, second) } else { (second, first) };
        // What a loss of power left behind of an earlier attempt.
        remove_index(&mut tpm, &to)?;
        let needed = length + LENGTH_BYTES;
        let size = needed.checked_next_multiple_of(OBJECT_GRAIN).unwrap_or(needed).min(limits.index);
        define_index(&mut tpm, &to, NvAttributes::ORDINARY, size)?;
        // The length comes last, so that a power loss leaves no half-written object that looks whole.
        tpm.nv_write(to.handle, 0, &INCOMPLETE.to_be_bytes())?;
        let mut offset = LENGTH_BYTES;
        for part in bytes.chunks(usize::from(limits.buffer)) {
            tpm.nv_write(to.handle, offset, part)?;
            offset = offset.saturating_add(u16::try_from(part.len()).unwrap_or(u16::MAX));
        }
        tpm.nv_write(to.handle, 0, &length.to_be_bytes())?;
        remove_index(&mut tpm, &from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn padding_behind_a_certificate_is_cut() {
        let certificate = [0x30, 3, 2, 1, 7];
        let padded = [&certificate[..], &[0xff; 20]].concat();
        assert_eq!(split_certificates(&padded), [certificate.to_vec()]);
        let two = [&certificate[..], &certificate[..], &[0; 3]].concat();
        assert_eq!(split_certificates(&two).len(), 2);
        for end in 0..certificate.len() {
            assert!(split_certificates(&certificate[..end]).is_empty(), "{end}");
        }
    }

    #[test]
    fn floors_are_runs_of_bits() {
        assert_eq!(lowest_bits(1), 1);
        assert_eq!(lowest_bits(5), 0b1_1111);
        assert_eq!(lowest_bits(64), u64::MAX);
    }

    #[test]
    fn makers_names_lose_their_padding() {
        assert_eq!(letters(0x4942_4d00), "IBM");
        assert_eq!(letters(0xff00_0000), "");
    }

    proptest! {
        #[test]
        fn any_bytes_are_split_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = split_certificates(&bytes);
            let _ = split_certificates(&[&[0x30][..], &bytes].concat());
        }
    }
}
