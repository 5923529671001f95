//! What the authority's work costs: a request, a whole enrolment with its two durable commits, an OCSP answer, a CRL
//! of a fleet with 10,000 revocations. The registry lies on disk, in the folder for temporary files.

#![expect(clippy::expect_used, reason = "a benchmark whose world cannot be made measures nothing")]

use std::hint::black_box;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use criterion::{Criterion, criterion_group, criterion_main};
use der::asn1::{Any, BitString, Null, ObjectIdentifier, OctetString, SetOfVec};
use der::{Decode, Encode};
use touchmark_attest::Policy;
use touchmark_authority::csr::ProvenRequest;
use touchmark_authority::enrol::Ticket;
use touchmark_authority::registry::sqlite::SqliteRegistry;
use touchmark_authority::x509::sha1;
use touchmark_authority::{Authority, Settings};
use touchmark_identity::ids::{DeviceId, DeviceType};
use touchmark_identity::key::PublicKey;
use touchmark_identity::timestamp::Timestamp;
use touchmark_keystore::software::{FileMedium, Protection, SoftwareStore};
use x509_cert::name::Name;
use x509_cert::request::{CertReq, CertReqInfo, Version};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_ocsp::{CertId, OcspRequest, Request, TbsRequest};

const REVOKED: u32 = 10_000;
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros((1_795_132_800 + seconds) * 1_000_000)
}

fn authority(directory: &Path) -> Authority {
    let registry = SqliteRegistry::open(directory).expect("a registry");
    let medium = FileMedium::hold(&directory.join("keys.toml")).expect("a key file");
    let keys = SoftwareStore::open(Box::new(medium), &Protection::PlainFlash).expect("a key store");
    let (registry, keys) = (Box::new(registry), Box::new(keys));
    Authority::open(registry, keys, Settings::default(), Policy::default(), at(0)).expect("an authority")
}

/// A certification request of a new key.
fn request(common_name: &str) -> Vec<u8> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("the library makes keys");
    let public = PublicKey::from_point(pair.public_key().as_ref()).expect("a key that was just made");
    let info = CertReqInfo {
        version: Version::V1,
        subject: Name::from_str(&format!("CN={common_name}")).expect("a name"),
        public_key: SubjectPublicKeyInfoOwned::from_der(&public.spki_der()).expect("a key"),
        attributes: SetOfVec::new(),
    };
    let signature = pair.sign(&SystemRandom::new(), &info.to_der().expect("DER")).expect("a signature");
    let signature = BitString::from_bytes(signature.as_ref()).expect("whole bytes");
    let algorithm = AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None };
    CertReq { info, algorithm, signature }.to_der().expect("DER")
}

/// A request for the status of one certificate, by SHA-1 as most clients ask.
fn status_request(authority: &Authority, serial: &[u8]) -> Vec<u8> {
    let issuing = authority.issuing().certificate();
    let name = issuing.certificate.tbs_certificate.subject.to_der().expect("DER");
    let key = issuing.public_key().expect("a P-256 key");
    let req_cert = CertId {
        hash_algorithm: AlgorithmIdentifierOwned { oid: SHA1, parameters: Some(Any::from(Null)) },
        issuer_name_hash: OctetString::new(sha1(&name)).expect("20 bytes"),
        issuer_key_hash: OctetString::new(sha1(key.point())).expect("20 bytes"),
        serial_number: SerialNumber::new(serial).expect("a serial number"),
    };
    let tbs_request = TbsRequest {
        version: x509_ocsp::Version::V1,
        requestor_name: None,
        request_list: vec![Request { req_cert, single_request_extensions: None }],
        request_extensions: None,
    };
    OcspRequest { tbs_request, optional_signature: None }.to_der().expect("DER")
}

fn enrol(authority: &mut Authority, device: &DeviceId, token: &str, csr: &[u8]) -> Vec<u8> {
    let request = ProvenRequest::from_der(csr).expect("a signed request");
    let enrolled = authority.simple_enrol(&Ticket { device, token }, &request, at(1)).expect("a certificate");
    enrolled.certificate.serial()
}

fn issue(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("authority");
    group.sample_size(20).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));

    let csr = request("meter-1");
    group.bench_function("request with proof of possession", |bencher| {
        bencher.iter(|| ProvenRequest::from_der(black_box(&csr)).expect("a signed request"));
    });

    let directory = tempfile::tempdir().expect("a folder");
    let mut authority = authority(directory.path());
    let kind = DeviceType::new("meter").expect("a name");
    let mut devices = 0_u32;
    let mut newcomer = |authority: &mut Authority| {
        devices += 1;
        let device = DeviceId::new(&format!("meter-{devices}")).expect("a name");
        let token = authority.register(&device, &kind, at(0)).expect("a new device");
        let csr = request(device.as_str());
        (device, token, csr)
    };
    let (device, token, csr) = newcomer(&mut authority);
    let serial = enrol(&mut authority, &device, &token, &csr);
    group.bench_function("enrolment with two durable commits", |bencher| {
        bencher.iter_custom(|times| {
            let mut spent = Duration::ZERO;
            for _ in 0..times {
                let (device, token, csr) = newcomer(&mut authority);
                let begun = std::time::Instant::now();
                black_box(enrol(&mut authority, &device, &token, &csr));
                spent += begun.elapsed();
            }
            spent
        });
    });
    let asked = status_request(&authority, &serial);
    group.bench_function("OCSP answer", |bencher| {
        bencher.iter(|| authority.ocsp(black_box(&asked), at(2)).expect("an answer"));
    });
    group.finish();
}

fn crl(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a folder");
    drop(authority(directory.path()));
    // What a crash in the middle of 10,000 enrolments would leave, in one transaction: opening the authority turns it
    // into revocations.
    let registry = rusqlite::Connection::open(directory.path().join("registry.db")).expect("the registry");
    let statement = "INSERT INTO certificate (serial, profile, spki_sha256, status, intended, not_after, tbs) \
        WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < ?1) \
        SELECT CAST(printf('%020d', n) AS BLOB), 'device', printf('%064x', n), 'intended', 0, 4000000000, x'3000' \
        FROM counted";
    let made = registry.execute(statement, [REVOKED]).expect("room for the certificates");
    drop(registry);
    let mut authority = authority(directory.path());
    assert_eq!((authority.orphans().len(), made), (REVOKED as usize, REVOKED as usize));

    let mut group = criterion.benchmark_group("authority");
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    let mut moment = 1;
    group.bench_function("CRL with 10,000 revocations", |bencher| {
        bencher.iter(|| {
            moment += 1;
            authority.publish_crl(at(moment)).expect("a CRL");
        });
    });
    group.finish();
}

criterion_group!(benches, issue, crl);
criterion_main!(benches);
