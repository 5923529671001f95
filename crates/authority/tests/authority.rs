//! The authority over its real registry: what it issues, refuses, revokes, and what a crash leaves behind.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test helpers: a surprise is a panic")]

use std::path::Path;
use std::str::FromStr;

use der::asn1::{BitString, Null, ObjectIdentifier, OctetString};
use der::{Any, Decode, Encode};
use proptest::prelude::*;
use tempfile::TempDir;
use touchmark_attest::{Endorsers, Policy};
use touchmark_authority::crl::CaName;
use touchmark_authority::csr::ProvenRequest;
use touchmark_authority::enrol::{Finish, Ticket};
use touchmark_authority::registry::sqlite::SqliteRegistry;
use touchmark_authority::registry::{
    CertificateRecord, CertificateStatus, DeviceStatus, Intent, KeyRecord, RegistryError, RevocationReason,
};
use touchmark_authority::renew::Grant;
use touchmark_authority::x509::sha1;
use touchmark_authority::{Authority, AuthorityError, Settings};
use touchmark_identity::assurance::{
    Basis, ClassBreak, Grade, HostBinding, KeyAssurance, Part, Provenance, Storage,
};
use touchmark_identity::ids::{ClassBreakId, DeviceId, DeviceType, KeyName};
use touchmark_identity::key::{PublicKey, sha256};
use touchmark_identity::timestamp::Timestamp;
use touchmark_keystore::KeyStore;
use touchmark_keystore::software::{FileMedium, Protection, SoftwareStore};
use x509_cert::crl::CertificateList;
use x509_cert::name::Name;
use x509_cert::request::{CertReq, CertReqInfo, Version};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_ocsp::{BasicOcspResponse, CertId, CertStatus, OcspRequest, OcspResponse, Request, TbsRequest};

const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");

/// A moment, in seconds after an arbitrary beginning.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros((1_790_000_000 + seconds) * 1_000_000)
}

fn id(name: &str) -> DeviceId {
    DeviceId::new(name).unwrap()
}

fn store(path: &Path) -> SoftwareStore {
    SoftwareStore::open(Box::new(FileMedium::hold(path).unwrap()), &Protection::PlainFlash).unwrap()
}

fn policy() -> Policy {
    Policy { endorsers: Endorsers::from_pem(Vec::<(&str, &str)>::new()).unwrap(), ..Policy::default() }
}

fn open_with(directory: &Path, settings: Settings, now: Timestamp) -> Result<Authority, AuthorityError> {
    let registry = SqliteRegistry::open(directory)?;
    let keys = store(&directory.join("ca-keys.toml"));
    Authority::open(Box::new(registry), Box::new(keys), settings, policy(), now)
}

fn open(directory: &Path, now: Timestamp) -> Authority {
    open_with(directory, Settings::default(), now).unwrap()
}

/// The registry of an authority that does not run.
fn database(directory: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(directory.join("registry.db")).unwrap()
}

/// A device's keys.
struct Keys {
    store: SoftwareStore,
    _folder: TempDir,
}

impl Keys {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { store: store(&folder.path().join("keys.toml")), _folder: folder }
    }

    /// A request for `CN=<common name>` with the key of this name, which is made when it is missing.
    fn csr(&mut self, key: &str, common_name: &str) -> Vec<u8> {
        let name = KeyName::new(key).unwrap();
        let public = self.store.public_key(&name).or_else(|_| self.store.generate(&name)).unwrap();
        let info = CertReqInfo {
            version: Version::V1,
            subject: Name::from_str(&format!("CN={common_name}")).unwrap(),
            public_key: SubjectPublicKeyInfoOwned::from_der(&public.spki_der()).unwrap(),
            attributes: der::asn1::SetOfVec::new(),
        };
        let signature = self.store.sign_digest(&name, &sha256(&info.to_der().unwrap())).unwrap();
        let algorithm = AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None };
        CertReq { info, algorithm, signature: BitString::from_bytes(&signature).unwrap() }.to_der().unwrap()
    }

    fn request(&mut self, key: &str, common_name: &str) -> ProvenRequest {
        ProvenRequest::from_der(&self.csr(key, common_name)).unwrap()
    }
}

/// An authority with one registered device, `meter-1`.
struct Bench {
    folder: TempDir,
    authority: Authority,
    keys: Keys,
    token: String,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut authority = open(folder.path(), at(0));
        let token = register(&mut authority, "meter-1");
        Self { folder, authority, keys: Keys::new(), token }
    }

    /// Enrols `meter-1` with the key `a`; returns its certificate's serial number.
    fn enrol(&mut self) -> Vec<u8> {
        let request = self.keys.request("a", "meter-1");
        enrol(&mut self.authority, "meter-1", &self.token, &request, at(1)).unwrap()
    }

    /// Ends the authority and opens it again.
    fn reopen(self, now: Timestamp) -> Self {
        let Self { folder, authority, keys, token } = self;
        drop(authority);
        let authority = open(folder.path(), now);
        Self { folder, authority, keys, token }
    }

    fn status_of(&mut self, serial: &[u8]) -> CertificateStatus {
        self.authority.registry().certificate(serial).unwrap().unwrap().status
    }
}

fn register(authority: &mut Authority, device: &str) -> String {
    authority.register(&id(device), &DeviceType::new("meter").unwrap(), at(0)).unwrap().to_string()
}

fn enrol(
    authority: &mut Authority,
    device: &str,
    token: &str,
    request: &ProvenRequest,
    now: Timestamp,
) -> Result<Vec<u8>, AuthorityError> {
    let ticket = Ticket { device: &id(device), token };
    authority.simple_enrol(&ticket, request, now).map(|enrolled| enrolled.certificate.serial())
}

/// A serial number in a CRL, and the reason's number.
type Revoked = (Vec<u8>, Option<u8>);

/// The issuing CA's CRL: its number and entries.
fn crl(authority: &mut Authority) -> (u64, Vec<Revoked>) {
    let record = authority.crl(CaName::Issuing).unwrap();
    let list = CertificateList::from_der(&record.der).unwrap();
    let key = authority.issuing().certificate().public_key().unwrap();
    let signed = list.tbs_cert_list.to_der().unwrap();
    key.verify(&signed, list.signature.raw_bytes()).unwrap();
    let entries = list.tbs_cert_list.revoked_certificates.unwrap_or_default();
    let entry = |entry: x509_cert::crl::RevokedCert| {
        let reason =
            entry.crl_entry_extensions.map(|extensions| *extensions[0].extn_value.as_bytes().last().unwrap());
        (entry.serial_number.as_bytes().to_vec(), reason)
    };
    (record.number, entries.into_iter().map(entry).collect())
}

/// What OCSP says of a serial number under the issuing CA.
fn ocsp(authority: &mut Authority, serial: &[u8], now: Timestamp) -> CertStatus {
    let issuing = authority.issuing().certificate().clone();
    let name = issuing.certificate.tbs_certificate.subject.to_der().unwrap();
    let id = CertId {
        hash_algorithm: AlgorithmIdentifierOwned { oid: SHA1, parameters: Some(Any::from(Null)) },
        issuer_name_hash: OctetString::new(sha1(&name)).unwrap(),
        issuer_key_hash: OctetString::new(sha1(issuing.public_key().unwrap().point())).unwrap(),
        serial_number: SerialNumber::new(serial).unwrap(),
    };
    let request = OcspRequest {
        tbs_request: TbsRequest {
            version: x509_ocsp::Version::V1,
            requestor_name: None,
            request_list: vec![Request { req_cert: id, single_request_extensions: None }],
            request_extensions: None,
        },
        optional_signature: None,
    };
    let answer = OcspResponse::from_der(&authority.ocsp(&request.to_der().unwrap(), now).unwrap()).unwrap();
    let basic = BasicOcspResponse::from_der(answer.response_bytes.unwrap().response.as_bytes()).unwrap();
    let signed = basic.tbs_response_data.to_der().unwrap();
    issuing.public_key().unwrap().verify(&signed, basic.signature.raw_bytes()).unwrap();
    basic.tbs_response_data.responses[0].cert_status
}

/// What a Verifier would say of a key on a chip.
fn attested() -> KeyAssurance {
    KeyAssurance {
        basis: Basis::Attested,
        provenance: Provenance::GeneratedOnChip,
        host_binding: HostBinding::Unknown,
        evidence_sha256: Some([7; 32]),
        appraised: Some(at(0)),
        ..KeyAssurance::declared(Storage::SecureElement)
    }
}

/// An intent as the authority writes it before it signs.
fn intent(serial: u8, key: &PublicKey, assurance: Option<KeyAssurance>, spends_token: bool) -> Intent {
    let spki_sha256 = key.spki_sha256();
    Intent {
        serial: vec![serial; 20],
        profile: "device",
        device: Some(id("meter-1")),
        spki_sha256,
        tbs: vec![0x30, 0],
        key: assurance.map(|assurance| KeyRecord {
            spki_sha256,
            device: id("meter-1"),
            claimed: None,
            assurance,
            evidence: None,
            endorser: None,
            reasons: Vec::new(),
            recorded: at(2),
        }),
        not_after_s: 4_000_000_000,
        spends_token,
        predecessor: None,
        renewal: false,
    }
}

#[test]
fn a_certificate_says_what_is_known_and_a_repetition_gets_the_same() {
    let mut bench = Bench::new();
    let request = bench.keys.request("a", "meter-1");
    let device = id("meter-1");
    let ticket = Ticket { device: &device, token: &bench.token };
    let first = bench.authority.simple_enrol(&ticket, &request, at(1)).unwrap();
    assert_eq!(first.certificate.assurance().unwrap(), KeyAssurance::declared(Storage::Software));
    assert_eq!(first.key.reasons, ["the request came without evidence"]);
    let again = bench.authority.simple_enrol(&ticket, &request, at(2)).unwrap();
    assert_eq!(again.certificate, first.certificate);
    let other = bench.keys.request("b", "meter-1");
    assert!(matches!(bench.authority.simple_enrol(&ticket, &other, at(3)), Err(AuthorityError::BadToken)));
}

#[test]
fn a_token_opens_its_own_device_in_its_own_time() {
    let mut bench = Bench::new();
    let request = bench.keys.request("a", "meter-1");
    let other = register(&mut bench.authority, "meter-2");
    let week = i64::try_from(Settings::default().enrol_token_lifetime_s).unwrap();
    for (device, token, now) in [
        ("meter-1", other.as_str(), at(1)),
        ("meter-9", bench.token.as_str(), at(1)),
        ("meter-1", "", at(1)),
        ("meter-1", bench.token.as_str(), at(week + 1)),
    ] {
        let refused = enrol(&mut bench.authority, device, token, &request, now);
        assert!(matches!(refused, Err(AuthorityError::BadToken)), "{device} {token} {refused:?}");
    }
    let misnamed = bench.keys.request("a", "meter-2");
    let refused = enrol(&mut bench.authority, "meter-1", &bench.token, &misnamed, at(1)).unwrap_err();
    assert_eq!(refused.code(), "AU-0003");
    bench.enrol();
}

#[test]
fn serial_numbers_are_positive_and_of_full_length() {
    let mut bench = Bench::new();
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..24 {
        let device = format!("lock-{n}");
        let token = register(&mut bench.authority, &device);
        let request = bench.keys.request(&device, &device);
        let serial = enrol(&mut bench.authority, &device, &token, &request, at(1)).unwrap();
        // 20 bytes without a sign byte: the highest bit is 0, the next one 1.
        assert_eq!(serial.len(), 20);
        assert_eq!(serial[0] >> 6, 0b01, "{serial:02x?}");
        assert!(seen.insert(serial));
    }
}

#[test]
fn a_key_belongs_to_one_device() {
    let mut bench = Bench::new();
    bench.enrol();
    let token = register(&mut bench.authority, "meter-2");
    let copied = bench.keys.request("a", "meter-2");
    let refused = enrol(&mut bench.authority, "meter-2", &token, &copied, at(2)).unwrap_err();
    assert!(matches!(&refused, AuthorityError::KeyInUse { owner } if owner == "meter-1"), "{refused:?}");
    assert_eq!(bench.authority.known(&id("meter-2")).unwrap().status, DeviceStatus::Registered);
}

#[test]
fn a_compromised_key_is_never_certified_again() {
    let mut bench = Bench::new();
    let serial = bench.enrol();
    let device = id("meter-1");
    bench.authority.revoke(&device, RevocationReason::KeyCompromise, "copied", at(2)).unwrap();
    let same = bench.keys.request("a", "meter-1");
    let refused = enrol(&mut bench.authority, "meter-1", &bench.token, &same, at(3)).unwrap_err();
    assert_eq!(refused.code(), "AU-0006", "a revoked device stays out");

    let token = bench.authority.renew_token(&device, at(4)).unwrap();
    let refused = enrol(&mut bench.authority, "meter-1", &token, &same, at(5)).unwrap_err();
    assert_eq!(refused.code(), "AU-0020");
    let fresh = bench.keys.request("b", "meter-1");
    let new = enrol(&mut bench.authority, "meter-1", &token, &fresh, at(6)).unwrap();
    assert_eq!(bench.status_of(&new), CertificateStatus::Good);
    assert_eq!(bench.status_of(&serial), CertificateStatus::Revoked);
    assert_eq!(crl(&mut bench.authority).1, [(serial, Some(1))]);
}

#[test]
fn hold_release_and_revocation_show_in_crl_and_ocsp() {
    let mut bench = Bench::new();
    let serial = bench.enrol();
    let device = id("meter-1");
    let (first, revoked) = crl(&mut bench.authority);
    assert_eq!(revoked, []);
    assert!(matches!(ocsp(&mut bench.authority, &serial, at(2)), CertStatus::Good(_)));

    bench.authority.quarantine(&device, "odd", at(3)).unwrap();
    let (second, revoked) = crl(&mut bench.authority);
    assert_eq!(revoked, [(serial.clone(), Some(6))]);
    assert!(matches!(ocsp(&mut bench.authority, &serial, at(3)), CertStatus::Revoked(_)));
    bench.authority.quarantine(&device, "odd", at(4)).unwrap();

    bench.authority.release(&device, "explained", at(5)).unwrap();
    let (third, revoked) = crl(&mut bench.authority);
    assert_eq!(revoked, []);
    assert!(matches!(ocsp(&mut bench.authority, &serial, at(5)), CertStatus::Good(_)));

    bench.authority.revoke(&device, RevocationReason::CessationOfOperation, "scrapped", at(6)).unwrap();
    let (fourth, revoked) = crl(&mut bench.authority);
    assert_eq!(revoked, [(serial.clone(), Some(5))]);
    assert!(
        first < second && second < third && third < fourth,
        "CRL numbers {first} {second} {third} {fourth}"
    );
    for refused in [
        bench.authority.release(&device, "no", at(7)).unwrap_err(),
        bench.authority.quarantine(&device, "no", at(7)).unwrap_err(),
    ] {
        assert_eq!(refused.code(), "AU-0011");
    }
    // A crash does not give a number twice, nor forget a revocation.
    let mut bench = bench.reopen(at(8));
    bench.authority.publish_crl(at(9)).unwrap();
    let (fifth, revoked) = crl(&mut bench.authority);
    assert!(fourth < fifth);
    assert_eq!(revoked, [(serial.clone(), Some(5))]);
    assert!(matches!(ocsp(&mut bench.authority, &serial, at(9)), CertStatus::Revoked(_)));
    assert!(matches!(ocsp(&mut bench.authority, &[0x55; 20], at(9)), CertStatus::Unknown(_)));
}

#[test]
fn a_crl_is_built_anew_before_it_lapses() {
    let mut bench = Bench::new();
    let (first, _) = crl(&mut bench.authority);
    bench.authority.refresh_crls(at(60)).unwrap();
    assert_eq!(crl(&mut bench.authority).0, first);
    bench.authority.refresh_crls(at(1_300)).unwrap();
    assert!(crl(&mut bench.authority).0 > first);
}

#[test]
fn an_intent_without_a_certificate_counts_as_revoked_and_gives_the_token_back() {
    let mut bench = Bench::new();
    let lost = bench.keys.request("a", "meter-1");
    let written = intent(0x51, lost.key(), Some(KeyAssurance::declared(Storage::Software)), true);
    bench.authority.registry().intend(&written, at(2)).unwrap();
    assert!(bench.authority.registry().token(&id("meter-1")).unwrap().unwrap().spent_for.is_some());

    let mut bench = bench.reopen(at(3));
    let orphan = vec![0x51; 20];
    assert_eq!(bench.authority.orphans(), std::slice::from_ref(&orphan));
    assert_eq!(bench.status_of(&orphan), CertificateStatus::Orphaned);
    assert_eq!(crl(&mut bench.authority).1, [(orphan.clone(), None)]);
    assert!(matches!(ocsp(&mut bench.authority, &orphan, at(3)), CertStatus::Revoked(_)));
    assert_eq!(bench.authority.known(&id("meter-1")).unwrap().status, DeviceStatus::Registered);
    // Nobody got that certificate, so the device may ask again, with this key or another.
    let other = bench.keys.request("b", "meter-1");
    let serial = enrol(&mut bench.authority, "meter-1", &bench.token, &other, at(4)).unwrap();
    assert_eq!(bench.status_of(&serial), CertificateStatus::Good);
    let bench = bench.reopen(at(5));
    assert!(bench.authority.orphans().is_empty());
}

#[test]
fn an_interrupted_renewal_does_not_wake_a_spent_token() {
    let mut bench = Bench::new();
    bench.enrol();
    let request = bench.keys.request("a", "meter-1");
    bench.authority.registry().intend(&intent(0x52, request.key(), None, false), at(2)).unwrap();
    let mut bench = bench.reopen(at(3));
    assert_eq!(bench.authority.orphans().len(), 1);
    let thief = bench.keys.request("thief", "meter-1");
    let refused = enrol(&mut bench.authority, "meter-1", &bench.token, &thief, at(4));
    assert!(matches!(refused, Err(AuthorityError::BadToken)), "{refused:?}");
}

#[test]
fn a_serial_number_is_never_used_twice() {
    let mut bench = Bench::new();
    let serial = bench.enrol();
    let request = bench.keys.request("b", "meter-1");
    let mut again = intent(0, request.key(), None, false);
    again.serial = serial;
    let refused = bench.authority.registry().intend(&again, at(2));
    assert!(matches!(refused, Err(RegistryError::Exists { what: "certificate", .. })), "{refused:?}");
}

#[test]
fn renewal_keeps_what_is_known_of_the_key_and_no_more() {
    let mut bench = Bench::new();
    let serial = bench.enrol();
    let device = id("meter-1");
    let presented = |bench: &mut Bench, serial: &[u8]| {
        let record = bench.authority.registry().certificate(serial).unwrap().unwrap();
        touchmark_authority::x509::HeldCertificate::from_der(&record.der.unwrap()).unwrap()
    };
    let first = presented(&mut bench, &serial);
    let same = bench.keys.request("a", "meter-1");
    let renewed = bench.authority.simple_reenrol(&first, &same, at(10)).unwrap().enrolled;
    assert_ne!(renewed.certificate.serial(), serial);
    assert_eq!(renewed.key.reasons, ["the request came without evidence"]);
    let misnamed = bench.keys.request("a", "meter-2");
    assert_eq!(bench.authority.simple_reenrol(&first, &misnamed, at(10)).unwrap_err().code(), "AU-0003");

    // A software identity may change its key.
    let fresh = bench.keys.request("b", "meter-1");
    let rekeyed = bench.authority.simple_reenrol(&renewed.certificate, &fresh, at(11)).unwrap().enrolled;
    assert_eq!(rekeyed.key.spki_sha256, fresh.key().spki_sha256());
    assert_eq!(rekeyed.certificate.assurance().unwrap().summary(), "software/declared");

    // An identity on a chip may not, and keeps its record with its own key.
    let on_chip = intent(0x53, fresh.key(), Some(attested()), false);
    bench.authority.registry().intend(&on_chip, at(12)).unwrap();
    let chip = presented(&mut bench, &rekeyed.certificate.serial());
    let soft = bench.keys.request("c", "meter-1");
    let refused = bench.authority.simple_reenrol(&chip, &soft, at(13)).unwrap_err();
    assert!(matches!(&refused, AuthorityError::RekeyWithoutEvidence { held, .. } if *held > Grade::Copyable));
    assert_eq!(refused.code(), "AU-0007");
    let kept = bench.authority.simple_reenrol(&chip, &fresh, at(14)).unwrap().enrolled;
    assert_eq!(kept.certificate.assurance().unwrap(), attested());

    bench.authority.quarantine(&device, "odd", at(15)).unwrap();
    assert_eq!(bench.authority.simple_reenrol(&chip, &fresh, at(16)).unwrap_err().code(), "AU-0006");
    let mut forged = kept.certificate.clone();
    *forged.der.last_mut().unwrap() ^= 1;
    assert_eq!(bench.authority.simple_reenrol(&forged, &fresh, at(17)).unwrap_err().code(), "AU-0009");
}

#[test]
fn a_claim_without_proof_is_software_and_policy_may_ask_for_more() {
    let mut bench = Bench::new();
    let device = id("meter-1");
    let csr = bench.keys.csr("a", "meter-1");
    let ticket = Ticket { device: &device, token: &bench.token };
    let begun = bench.authority.begin(&ticket, Storage::Tpm, None, at(1)).unwrap();
    let finish =
        Finish { session: &begun.session, csr: &csr, evidence: Some(b"no evidence"), activated_secret: None };
    let enrolled = bench.authority.finish(&ticket, &finish, at(2)).unwrap();
    assert_eq!(enrolled.key.assurance.summary(), "software/declared");
    assert_eq!(enrolled.key.claimed, Some(Storage::Tpm));
    assert_eq!(enrolled.key.reasons.len(), 1, "{:?}", enrolled.key.reasons);
    // A session serves once.
    let refused = bench.authority.finish(&ticket, &finish, at(3)).unwrap_err();
    assert_eq!(refused.code(), "AU-0008");

    drop(bench.authority);
    let strict = Settings { minimum_grade: Grade::HardwareBound, ..Settings::default() };
    let mut authority = open_with(bench.folder.path(), strict, at(4)).unwrap();
    let token = register(&mut authority, "meter-2");
    let request = bench.keys.request("b", "meter-2");
    let refused = enrol(&mut authority, "meter-2", &token, &request, at(5)).unwrap_err();
    assert!(
        matches!(&refused, AuthorityError::GradeTooLow { required: Grade::HardwareBound, .. }),
        "{refused:?}"
    );
    assert_eq!(authority.registry().token(&id("meter-2")).unwrap().unwrap().spent_for, None);
}

#[test]
fn a_class_break_lowers_what_there_is_and_what_comes() {
    let mut bench = Bench::new();
    let serial = bench.enrol();
    let key = bench.keys.request("a", "meter-1");
    let part = Part {
        vendor: "Maker".into(),
        model: "A1".into(),
        firmware: Some("1.2".into()),
        crypto_library: None,
    };
    let on_chip = KeyAssurance { part: Some(part), ..attested() };
    let intent = intent(0x54, key.key(), Some(on_chip), false);
    bench.authority.registry().intend(&intent, at(2)).unwrap();
    let grade = |bench: &mut Bench| {
        bench.authority.registry().key(&key.key().spki_sha256()).unwrap().unwrap().assurance.grade()
    };
    assert_eq!(grade(&mut bench), Grade::HardwareBound);

    let entry = |id: &str, firmware: &str| ClassBreak {
        id: ClassBreakId::new(id).unwrap(),
        vendor: "Maker".into(),
        model: "A1".into(),
        firmware: Some(firmware.into()),
        crypto_library: None,
        says: "a trial".into(),
    };
    assert!(bench.authority.apply_class_break(&entry("CB-0", "1.1"), at(3)).unwrap().is_empty());
    assert_eq!(grade(&mut bench), Grade::HardwareBound);
    assert_eq!(bench.authority.cohort(&entry("CB-1", "1.2")).unwrap().len(), 1);
    assert_eq!(grade(&mut bench), Grade::HardwareBound, "looking changes nothing");
    let hit = bench.authority.apply_class_break(&entry("CB-1", "1.2"), at(4)).unwrap();
    assert_eq!(hit.len(), 1);
    assert_eq!(grade(&mut bench), Grade::Copyable);
    let again = bench.authority.apply_class_break(&entry("CB-1", "1.2"), at(5)).unwrap_err();
    assert!(matches!(again, AuthorityError::Registry(RegistryError::Exists { .. })));

    // It survives a restart, and a renewal says so.
    let mut bench = bench.reopen(at(6));
    assert_eq!(grade(&mut bench), Grade::Copyable);
    let record = bench.authority.registry().certificate(&serial).unwrap().unwrap();
    let held = touchmark_authority::x509::HeldCertificate::from_der(&record.der.unwrap()).unwrap();
    let renewed = bench.authority.simple_reenrol(&held, &key, at(7)).unwrap().enrolled;
    let assurance = renewed.certificate.assurance().unwrap();
    assert_eq!(assurance.class_break.as_deref(), Some("CB-1"));
    assert_eq!(assurance.grade(), Grade::Copyable);
}

#[test]
fn a_session_is_its_own_devices_and_grows_old() {
    let mut bench = Bench::new();
    let (one, two) = (id("meter-1"), id("meter-2"));
    let other = register(&mut bench.authority, "meter-2");
    let csr = bench.keys.csr("b", "meter-2");
    let ticket = Ticket { device: &one, token: &bench.token };
    let stolen = Ticket { device: &two, token: &other };
    for (session, now) in [
        (bench.authority.begin(&ticket, Storage::Software, None, at(1)).unwrap().session, at(2)),
        (bench.authority.begin(&stolen, Storage::Software, None, at(1)).unwrap().session, at(302)),
        ([0; 16], at(2)),
    ] {
        let finish = Finish { session: &session, csr: &csr, evidence: None, activated_secret: None };
        assert_eq!(bench.authority.finish(&stolen, &finish, now).unwrap_err().code(), "AU-0008");
    }
}

#[test]
fn a_changed_journal_is_noticed_at_the_entry() {
    for (statement, entry) in [
        ("UPDATE journal SET body = replace(body, 'meter', 'meteR') WHERE kind = 'device.registered'", None),
        ("UPDATE journal SET at = at + 1 WHERE number = 3", Some(3)),
        ("UPDATE journal SET subject = subject || 'x' WHERE number = 2", Some(2)),
        ("DELETE FROM journal WHERE number = 4", Some(4)),
        ("UPDATE journal SET hash = zeroblob(32) WHERE number = 1", Some(1)),
    ] {
        let mut bench = Bench::new();
        bench.enrol();
        drop(bench.authority);
        let changed = database(bench.folder.path()).execute(statement, []).unwrap();
        assert_eq!(changed, 1, "{statement}");
        match SqliteRegistry::open(bench.folder.path()) {
            Err(RegistryError::JournalBroken { entry: found }) => {
                assert!(entry.is_none_or(|entry| entry == found), "{statement}: {found}");
            }
            other => panic!("{statement}: {other:?}"),
        }
    }
}

#[test]
fn a_registry_is_held_by_one_and_read_by_no_older_program() {
    let bench = Bench::new();
    let refused = SqliteRegistry::open(bench.folder.path());
    assert!(matches!(refused, Err(RegistryError::Held { .. })), "{refused:?}");
    drop(bench.authority);
    database(bench.folder.path()).pragma_update(None, "user_version", 9).unwrap();
    let refused = SqliteRegistry::open(bench.folder.path());
    assert!(matches!(refused, Err(RegistryError::Schema { found: 9, .. })), "{refused:?}");
}

#[test]
fn other_keys_than_the_certificates_name_are_refused_and_none_are_made() {
    let bench = Bench::new();
    drop(bench.authority);
    let foreign = tempfile::tempdir().unwrap();
    let mut keys = store(&foreign.path().join("k"));
    for key in ["root-ca", "issuing-ca"] {
        keys.generate(&KeyName::new(key).unwrap()).unwrap();
    }
    let registry = Box::new(SqliteRegistry::open(bench.folder.path()).unwrap());
    let refused =
        Authority::open(registry, Box::new(keys), Settings::default(), policy(), at(1)).unwrap_err();
    assert_eq!(refused.code(), "AU-0014");

    let empty = foreign.path().join("empty");
    let registry = Box::new(SqliteRegistry::open(bench.folder.path()).unwrap());
    let refused = Authority::open(registry, Box::new(store(&empty)), Settings::default(), policy(), at(1));
    assert_eq!(refused.unwrap_err().code(), "AU-0015");
    assert!(store(&empty).public_key(&KeyName::new("root-ca").unwrap()).is_err(), "a key was made anew");
    assert!(open(bench.folder.path(), at(2)).orphans().is_empty());
}

#[test]
fn every_truncation_and_every_changed_byte_of_a_request_is_refused() {
    let csr = Keys::new().csr("a", "meter-1");
    ProvenRequest::from_der(&csr).unwrap();
    for length in 0..csr.len() {
        assert!(ProvenRequest::from_der(&csr[..length]).is_err(), "cut to {length}");
    }
    for place in 0..csr.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = csr.clone();
            changed[place] ^= flip;
            assert!(ProvenRequest::from_der(&changed).is_err(), "byte {place} with {flip:#x}");
        }
    }
    let longer = [csr.as_slice(), &[0]].concat();
    assert_eq!(ProvenRequest::from_der(&longer).unwrap_err().code(), "AU-0001");
    assert_eq!(ProvenRequest::from_der(&vec![0x30; 20_000]).unwrap_err().code(), "AU-0001");
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(ProvenRequest::from_der(&bytes).is_err());
        prop_assert!(ProvenRequest::from_any(&bytes).is_err());
    }
}

#[test]
fn any_ocsp_request_is_read_without_panic() {
    let mut bench = Bench::new();
    let mut seed = 1_u64;
    for length in 0..200 {
        let mut bytes = vec![0_u8; length];
        for byte in &mut bytes {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = seed.to_be_bytes()[0];
        }
        let refused = bench.authority.ocsp(&bytes, at(1)).unwrap_err();
        assert_eq!(refused.code(), "AU-0019");
    }
}

/// The certificate of this serial number, as its holder has it.
fn held(bench: &mut Bench, serial: &[u8]) -> touchmark_authority::x509::HeldCertificate {
    let record = bench.authority.registry().certificate(serial).unwrap().unwrap();
    touchmark_authority::x509::HeldCertificate::from_der(&record.der.unwrap()).unwrap()
}

fn chain_of(bench: &mut Bench) -> Vec<CertificateRecord> {
    let mut all = bench.authority.registry().certificates("device", Some(&id("meter-1"))).unwrap();
    all.reverse();
    all
}

/// Entries of the journal of this kind.
fn journalled(bench: &mut Bench, kind: &str) -> Vec<serde_json::Value> {
    let all = bench.authority.registry().journal(1, 1_000).unwrap();
    all.iter().filter(|e| e.kind == kind).map(|e| serde_json::from_str(&e.body).unwrap()).collect()
}

#[test]
fn renewals_are_a_chain_of_hashes() {
    let mut bench = Bench::new();
    let mut serial = bench.enrol();
    let same = bench.keys.request("a", "meter-1");
    for n in 0..3 {
        let now = held(&mut bench, &serial);
        let renewed = bench.authority.simple_reenrol(&now, &same, at(10 + n)).unwrap();
        assert_eq!(renewed.grant, Grant::Renewed);
        serial = renewed.enrolled.certificate.serial();
    }
    let all = chain_of(&mut bench);
    assert_eq!(all.len(), 4);
    let mut before: Option<CertificateRecord> = None;
    for one in &all {
        let expected = match &before {
            Some(before) => [before.link.unwrap().as_slice(), one.der.as_ref().unwrap()].concat(),
            None => one.der.clone().unwrap(),
        };
        assert_eq!(one.link, Some(sha256(&expected)));
        assert_eq!(one.predecessor, before.map(|before| before.serial));
        assert_eq!(one.renewal, one.predecessor.is_some());
        before = Some(one.clone());
    }
    let issued = journalled(&mut bench, "certificate.issued");
    let last = issued.last().unwrap();
    assert_eq!(last["link"], hex::encode(all[3].link.unwrap()));

    // Somebody who writes into the table is noticed when that part of the chain is used.
    let Bench { folder, authority, keys, token } = bench;
    drop(authority);
    database(folder.path())
        .execute("UPDATE certificate SET predecessor = NULL WHERE serial = ?1", [&serial])
        .unwrap();
    let mut bench = Bench { authority: open(folder.path(), at(20)), folder, keys, token };
    let head = held(&mut bench, &serial);
    let refused = bench.authority.simple_reenrol(&head, &same, at(21)).unwrap_err();
    assert!(
        matches!(&refused, AuthorityError::Registry(RegistryError::Damaged { table: "certificate", .. })),
        "{refused:?}"
    );
}

#[test]
fn a_certificate_is_renewed_once_and_a_lost_answer_is_repeated() {
    let mut bench = Bench::new();
    let serial = bench.enrol();
    let first = held(&mut bench, &serial);
    let same = bench.keys.request("a", "meter-1");
    let renewed = bench.authority.simple_reenrol(&first, &same, at(10)).unwrap();
    // The answer was lost, also over a restart of the server: the same certificate comes again.
    let mut bench = bench.reopen(at(11));
    for now in [12, 13] {
        let again = bench.authority.simple_reenrol(&first, &same, at(now)).unwrap();
        assert_eq!(again.grant, Grant::Repeated);
        assert_eq!(again.enrolled.certificate, renewed.enrolled.certificate);
    }
    // Another key is no repetition.
    let other = bench.keys.request("b", "meter-1");
    let refused = bench.authority.simple_reenrol(&first, &other, at(14)).unwrap_err();
    assert!(matches!(&refused, AuthorityError::Superseded { first_used: None, .. }), "{refused}");
    assert!(refused.to_string().contains("is for another key"), "{refused}");

    // From the first use on, the predecessor is renewed no more, whoever holds it.
    let successor = renewed.enrolled.certificate.serial();
    let record = bench.authority.registry().certificate(&successor).unwrap().unwrap();
    bench.authority.note_use(&record, at(20)).unwrap();
    bench.authority.note_use(&record, at(25)).unwrap();
    let refused = bench.authority.simple_reenrol(&first, &same, at(30)).unwrap_err();
    assert_eq!(refused.code(), "AU-0021");
    let AuthorityError::Superseded { renewed: when, successor: named, first_used, head, .. } = &refused
    else {
        panic!("{refused:?}")
    };
    assert_eq!((*when, *first_used), (at(10), Some(at(20))));
    assert_eq!(named, &hex::encode(&successor));
    assert_eq!(head, &hex::encode(sha256(&renewed.enrolled.certificate.der)));
    let said = refused.to_string();
    assert!(said.contains(&at(20).to_string()) && said.contains("enrol --again"), "{said}");

    // It stays so after a restart, and the journal has it, once an hour.
    let mut bench = bench.reopen(at(40));
    assert_eq!(bench.authority.simple_reenrol(&first, &same, at(41)).unwrap_err().code(), "AU-0021");
    let refusals = journalled(&mut bench, "renewal.refused");
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    assert_eq!(refusals[0]["presented"], hex::encode(&serial));
    assert_eq!(refusals[0]["successor"], hex::encode(&successor));
    let later = at(14 + 3_600);
    assert_eq!(bench.authority.simple_reenrol(&first, &same, later).unwrap_err().code(), "AU-0021");
    assert_eq!(journalled(&mut bench, "renewal.refused").len(), 2);
    assert_eq!(journalled(&mut bench, "certificate.first-used").len(), 2);

    // Connections are not touched by it, and the successor goes on.
    assert_eq!(bench.status_of(&serial), CertificateStatus::Good);
    let third = bench.authority.simple_reenrol(&renewed.enrolled.certificate, &same, at(50)).unwrap();
    assert_eq!(third.grant, Grant::Renewed);
    // The refusal names the end of the chain.
    let refused = bench.authority.simple_reenrol(&first, &same, at(51)).unwrap_err();
    let end = hex::encode(sha256(&third.enrolled.certificate.der));
    assert!(matches!(&refused, AuthorityError::Superseded { head, .. } if *head == end), "{refused:?}");
}

#[test]
fn a_new_enrolment_goes_on_with_the_chain_and_leaves_the_other_holder_behind() {
    let mut bench = Bench::new();
    let serial = bench.enrol();
    let first = held(&mut bench, &serial);
    // The copy renews into a key of its own; the device is refused.
    let thief = bench.keys.request("thief", "meter-1");
    let stolen = bench.authority.simple_reenrol(&first, &thief, at(10)).unwrap().enrolled;
    let own = bench.keys.request("a", "meter-1");
    assert_eq!(bench.authority.simple_reenrol(&first, &own, at(11)).unwrap_err().code(), "AU-0021");

    // The operator gives the device a new token: from then on it is the copy that is refused.
    let token = bench.authority.renew_token(&id("meter-1"), at(12)).unwrap().to_string();
    let fresh = bench.keys.request("fresh", "meter-1");
    let anew = enrol(&mut bench.authority, "meter-1", &token, &fresh, at(13)).unwrap();
    let record = bench.authority.registry().certificate(&anew).unwrap().unwrap();
    assert_eq!(record.predecessor.as_deref(), Some(stolen.certificate.serial().as_slice()));
    assert!(!record.renewal);
    let refused = bench.authority.simple_reenrol(&stolen.certificate, &thief, at(14)).unwrap_err();
    assert_eq!(refused.code(), "AU-0021");
    let anew = held(&mut bench, &anew);
    let renewed = bench.authority.simple_reenrol(&anew, &fresh, at(15)).unwrap();

    // Repeating the enrolment gives what the enrolment gave, and not what the chain has come to since.
    let again = enrol(&mut bench.authority, "meter-1", &token, &fresh, at(16)).unwrap();
    assert_eq!(again, anew.serial());
    assert_ne!(again, renewed.enrolled.certificate.serial());
}

#[test]
fn an_interrupted_renewal_leaves_the_certificate_renewable() {
    let mut bench = Bench::new();
    let serial = bench.enrol();
    let first = held(&mut bench, &serial);
    let same = bench.keys.request("a", "meter-1");
    let lost =
        Intent { predecessor: Some(serial.clone()), renewal: true, ..intent(0x52, same.key(), None, false) };
    bench.authority.registry().intend(&lost, at(2)).unwrap();
    let mut bench = bench.reopen(at(3));
    assert_eq!(bench.authority.orphans().len(), 1);
    let renewed = bench.authority.simple_reenrol(&first, &same, at(4)).unwrap();
    assert_eq!(renewed.grant, Grant::Renewed);
    // The database itself refuses a second successor.
    let second = Intent { predecessor: Some(serial), ..intent(0x55, same.key(), None, false) };
    bench.authority.registry().intend(&second, at(5)).unwrap();
    let refused = bench.authority.registry().complete(&[0x55; 20], b"a second", at(6));
    assert!(matches!(refused, Err(RegistryError::Database { .. })), "{refused:?}");
}
