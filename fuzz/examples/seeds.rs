//! Writes the first inputs of the fuzz targets: for each target at least one that it accepts, so that the fuzzer begins
//! behind the outermost check. `seeds DIRECTORY` fills `DIRECTORY/TARGET/seed-N`; what is there is written anew.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
};
use der::asn1::{Any, BitString, Null, ObjectIdentifier, OctetString, SetOfVec, UtcTime};
use der::{Decode, DecodePem, Encode, SecretDocument};
use touchmark_authority::est::{Wrapping, encode_body};
use touchmark_authority::x509::sha1;
use touchmark_element::{Element, TEST_ROOT_CERTIFICATE_PEM};
use touchmark_fuzz::{
    FINDINGS, GOOD_SERIAL, KNOWN_POINT, KNOWN_SCALAR, REVOKED_SERIAL, authority, joined, known_pair,
    known_public, known_store, nonce, now, sealed, sections, small_settings,
};
use touchmark_identity::apdu::scp03::{
    AesKey, CounterRule, KeySet, Level, SecureChannel, SessionKeys, put_keys,
};
use touchmark_identity::apdu::se05x::{
    ATTESTATION_KEY, Attributes, CURVE_NIST_P256, ECDSA_SHA256, Instruction, ObjectType, Origin, Policy,
    TAG_1, TAG_2, TAG_5, TAG_6, TAG_7, rule,
};
use touchmark_identity::apdu::tlv;
use touchmark_identity::apdu::{Response, StatusWord};
use touchmark_identity::assurance::{Certification, CounterBudget, KeyAssurance, Part, Storage};
use touchmark_identity::event::Event;
use touchmark_identity::evidence::{Envelope, Evidence, TpmEvidence};
use touchmark_identity::ids::{CounterName, KeyName};
use touchmark_identity::key::{PublicKey, sha256};
use touchmark_identity::tpm::event_log::{Event as LogEvent, EventLog};
use touchmark_identity::tpm::{
    AlgorithmId, Attest, Attested, ClockInfo, CurveId, KeyParameters, Name as TpmName, ObjectAttributes,
    PcrSelection, PublicArea, Scheme, Symmetric, TpmSignature,
};
use touchmark_keystore::element::ElementStore;
use touchmark_keystore::software::{FileMedium, Protection, SoftwareStore};
use touchmark_keystore::{Counters, KeyStore, Objects, Ratchet};
use touchmark_monitor::Monitor;
use touchmark_monitor::batch::encode;
use x509_cert::Certificate;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage, KeyUsages};
use x509_cert::name::Name;
use x509_cert::request::{CertReq, CertReqInfo, Version};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::{Time, Validity};
use x509_ocsp::{CertId, OcspRequest, Request, TbsRequest};
use zeroize::Zeroizing;

type Failed = Box<dyn std::error::Error>;

/// Private key of the TEST root; public, as docs/keys.md says.
const TEST_ROOT_KEY_PEM: &str = include_str!("../../crates/element/test-root/test-element-root.key.pem");
const EVIDENCE_1: &str = include_str!("../../crates/identity/tests/samples/evidence-1.hex");
const EVIDENCE_2: &str = include_str!("../../crates/identity/tests/samples/evidence-2.hex");
const EVENTS: &str = include_str!("../../crates/identity/tests/samples/event-1.ndjson");
/// ecdsa-with-SHA256 (RFC 5758 §3.2).
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

struct Seeds(PathBuf);

impl Seeds {
    fn add(&self, target: &str, inputs: impl IntoIterator<Item = impl AsRef<[u8]>>) -> std::io::Result<()> {
        let directory = self.0.join(target);
        fs::create_dir_all(&directory)?;
        for (number, input) in inputs.into_iter().enumerate() {
            fs::write(directory.join(format!("seed-{number}")), input)?;
        }
        Ok(())
    }
}

fn main() -> Result<(), Failed> {
    let directory = std::env::args_os().nth(1).ok_or("usage: seeds DIRECTORY")?;
    let seeds = Seeds(directory.into());
    let work = tempfile::tempdir()?;
    let element = element_evidence(&work.path().join("element"))?;
    let tpm = tpm_evidence()?;
    identity(&seeds, &element, &tpm)?;
    tpm_structures(&seeds, &tpm)?;
    attest(&seeds, &element, &tpm)?;
    enrolment(&seeds, &work.path().join("authority"))?;
    stores(&seeds, work.path())?;
    apdus(&seeds)?;
    device(&seeds, &work.path().join("release"))?;
    watch(&seeds)?;
    search(&seeds)?;
    Ok(())
}

/// What a virtual element says of a key that it made.
fn element_evidence(directory: &Path) -> Result<Evidence, Failed> {
    let mut element = Element::create(directory, now())?;
    let mut store = ElementStore::new(Box::new(move |apdu: &[u8]| element.transmit(apdu)))?;
    let key = KeyName::new("identity")?;
    store.generate(&key)?;
    let attest = KeyStore::attest(&mut store).ok_or("an element attests")?;
    Ok(attest.attest(&key, &nonce())?.evidence)
}

/// What a TPM would say, with an EK certificate under the TEST root.
fn tpm_evidence() -> Result<TpmEvidence, Failed> {
    let pair = || EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
    let (ek, ak, device) = (pair()?, pair()?, pair()?);
    let fixed = ObjectAttributes::FIXED_TPM
        | ObjectAttributes::FIXED_PARENT
        | ObjectAttributes::SENSITIVE_DATA_ORIGIN;
    let storage = fixed | ObjectAttributes::RESTRICTED | ObjectAttributes::DECRYPT;
    let aes = Symmetric { algorithm: AlgorithmId::AES, key_bits: 128, mode: AlgorithmId::CFB };
    let ecdsa = Scheme { algorithm: AlgorithmId::ECDSA, hash: Some(AlgorithmId::SHA256) };
    let ek_public = area(&ek, storage, Some(aes), None);
    let ak_public =
        area(&ak, fixed | ObjectAttributes::RESTRICTED | ObjectAttributes::SIGN, None, Some(ecdsa));
    let key_public = area(&device, fixed | ObjectAttributes::SIGN, None, Some(ecdsa));
    let name = key_public.name()?;
    let certify_info = statement(Attested::Certify { qualified_name: name.clone(), name }).to_bytes()?;
    let signature = ak.sign(&SystemRandom::new(), &certify_info)?;
    let (r, s) = signature.as_ref().split_at(32);
    let signature =
        TpmSignature::Ecdsa { hash: AlgorithmId::SHA256, r: r.to_vec(), s: s.to_vec() }.to_bytes()?;
    Ok(TpmEvidence {
        ek_certificate: ek_certificate(&PublicKey::from_point(ek.public_key().as_ref())?)?,
        ek_chain: Vec::new(),
        ek_public: ek_public.to_bytes()?,
        ak_public: ak_public.to_bytes()?,
        key_public: key_public.to_bytes()?,
        certify_info,
        signature,
    })
}

fn area(
    pair: &EcdsaKeyPair,
    attributes: ObjectAttributes,
    symmetric: Option<Symmetric>,
    scheme: Option<Scheme>,
) -> PublicArea {
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let (x, y) = (x.to_vec(), y.to_vec());
    let key = KeyParameters::Ecc { symmetric, scheme, curve: CurveId::NIST_P256, kdf: None, x, y };
    PublicArea { name_alg: AlgorithmId::SHA256, attributes, auth_policy: Vec::new(), key }
}

fn statement(attested: Attested) -> Attest {
    Attest {
        qualified_signer: TpmName([&[0, 11][..], &[1; 32]].concat()),
        extra_data: nonce().bytes().to_vec(),
        clock: ClockInfo { clock_ms: 1, reset_count: 2, restart_count: 3, safe: true },
        firmware_version: 0x2019_1023_0016_3636,
        attested,
    }
}

fn ek_certificate(key: &PublicKey) -> Result<Vec<u8>, Failed> {
    let root = Certificate::from_pem(TEST_ROOT_CERTIFICATE_PEM)?;
    let (_, root_key) = SecretDocument::from_pem(TEST_ROOT_KEY_PEM)?;
    let root_key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, root_key.as_bytes())
        .map_err(|_| "the key of the TEST root")?;
    let second = |s| UtcTime::from_unix_duration(Duration::from_secs(s)).map(Time::UtcTime);
    let extension = |oid, critical, value: Vec<u8>| -> Result<Extension, der::Error> {
        Ok(Extension {
            extn_id: ObjectIdentifier::new_unwrap(oid),
            critical,
            extn_value: OctetString::new(value)?,
        })
    };
    let purpose = ExtendedKeyUsage(vec![ObjectIdentifier::new_unwrap("2.23.133.8.1")]);
    let mut tbs = root.tbs_certificate.clone();
    tbs.serial_number = SerialNumber::new(&[7])?;
    tbs.subject = Name::from_str("CN=a TPM")?;
    tbs.issuer = root.tbs_certificate.subject.clone();
    tbs.validity = Validity {
        not_before: second(now().seconds() - 1_000)?,
        not_after: second(now().seconds() + 1_000_000)?,
    };
    tbs.subject_public_key_info = SubjectPublicKeyInfoOwned::from_der(&key.spki_der())?;
    tbs.extensions = Some(vec![
        extension("2.5.29.15", true, KeyUsage(KeyUsages::KeyAgreement.into()).to_der()?)?,
        extension("2.5.29.37", false, purpose.to_der()?)?,
    ]);
    let signature = root_key.sign(&SystemRandom::new(), &tbs.to_der()?)?;
    let signature = BitString::from_bytes(signature.as_ref())?;
    Ok(Certificate { signature_algorithm: tbs.signature.clone(), tbs_certificate: tbs, signature }
        .to_der()?)
}

fn identity(seeds: &Seeds, element: &Evidence, tpm: &TpmEvidence) -> Result<(), Failed> {
    let digits = r#"{"schema":"touchmark.event/1","type":"registry","time":"2026-11-20T22:00:00Z","source":"r",
        "identity":{"common_name":"m"},"device":"m","home":{"lat":-7.000095664684072e-29,"lon":1e-5,"radius_km":0.1}}"#;
    seeds.add("event_line", EVENTS.lines().chain([digits]))?;
    let events = EVENTS.lines().chain([digits]).map(|line| Event::from_line(line.as_bytes()));
    let events: Vec<Event> = events.collect::<Result<_, _>>()?;
    let mut batches = vec![encode(&events)?];
    for event in &events {
        batches.push(encode(std::slice::from_ref(event))?);
    }
    seeds.add("batch", batches)?;
    seeds.add("finding_line", FINDINGS.lines())?;
    seeds.add("evidence_cbor", [element.to_cbor(), Evidence::Tpm(tpm.clone()).to_cbor()])?;
    let envelope = |evidence: &Evidence| Envelope::new(&nonce(), evidence.clone());
    let samples = [EVIDENCE_1, EVIDENCE_2].map(|text| hex::decode(text.trim()));
    let samples = samples.into_iter().collect::<Result<Vec<_>, _>>()?;
    let tpm = Evidence::Tpm(tpm.clone());
    let envelopes = [element.to_cbor(), tpm.to_cbor(), envelope(element).to_cbor(), envelope(&tpm).to_cbor()];
    seeds.add("evidence_envelope", envelopes.into_iter().chain(samples))?;
    let whole = KeyAssurance {
        part: Some(Part {
            vendor: "NXP".to_owned(),
            model: "SE051".to_owned(),
            firmware: Some("7.2.0".to_owned()),
            crypto_library: Some("1.11".to_owned()),
        }),
        certification: Some(Certification {
            scheme: "Common Criteria".to_owned(),
            level: "EAL6+".to_owned(),
            ava_van: Some(5),
            reference: "NSCIB-CC-0095534".to_owned(),
        }),
        counter_budget: Some(CounterBudget { left: 2_000_000, used_per_day: 96 }),
        evidence_sha256: Some([0xe5; 32]),
        appraised: Some(now()),
        test_endorser: true,
        ..KeyAssurance::declared(Storage::SecureElement)
    };
    seeds.add("key_assurance_der", [KeyAssurance::declared(Storage::Tpm).to_der()?, whole.to_der()?])?;
    let signature = known_pair().sign(&SystemRandom::new(), b"message")?;
    seeds.add(
        "public_key_spki",
        [known_public().spki_der(), hex::decode(KNOWN_POINT)?, signature.as_ref().to_vec()],
    )?;
    seeds.add(
        "names",
        [
            "meter-000017",
            "2026-11-20T22:01:28.166Z",
            "00:7668F969",
            "0b8d8080726aa7d379aacf2b3af72f922598aa3b",
            "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
            "CN=a\\, b+O=\\c3\\a4,OU=\"x\"",
            "/C=DE/O=Fleet/CN=meter-000017",
        ],
    )?;
    Ok(())
}

fn tpm_structures(seeds: &Seeds, tpm: &TpmEvidence) -> Result<(), Failed> {
    let rsa = PublicArea {
        name_alg: AlgorithmId::SHA384,
        attributes: ObjectAttributes::SIGN,
        auth_policy: vec![3; 48],
        key: KeyParameters::Rsa {
            symmetric: None,
            scheme: Some(Scheme { algorithm: AlgorithmId::RSASSA, hash: Some(AlgorithmId::SHA256) }),
            key_bits: 2048,
            exponent: 0,
            modulus: vec![0xc7; 256],
        },
    };
    let selection = vec![PcrSelection { hash: AlgorithmId::SHA256, bitmap: vec![0xff, 0, 1] }];
    let quote = Attested::Quote { selection, pcr_digest: vec![9; 32] };
    let creation = Attested::Creation { name: TpmName(vec![0, 11, 5]), creation_hash: vec![4; 32] };
    let signature = TpmSignature::Rsassa { hash: AlgorithmId::SHA256, signature: vec![0x5c; 256] };
    let inputs = [
        tpm.ek_public.clone(),
        tpm.ak_public.clone(),
        rsa.to_bytes()?,
        tpm.certify_info.clone(),
        statement(quote).to_bytes()?,
        statement(creation).to_bytes()?,
        tpm.signature.clone(),
        signature.to_bytes()?,
        vec![0, 0, 9, 0x22],
        vec![0, 0, 1, 0xc4],
    ];
    seeds.add("tpm_structures", inputs)?;

    let event = |pcr, kind, data: &[u8]| LogEvent {
        pcr,
        kind,
        digests: vec![(AlgorithmId::SHA256, sha256(data).to_vec())],
        data: data.to_vec(),
    };
    let events = vec![event(0, 3, b"StartupLocality\0\x03"), event(0, 8, b"firmware"), event(7, 4, &[0; 4])];
    let log = EventLog { banks: vec![AlgorithmId::SHA256], events };
    seeds.add("tpm_event_log", [log.to_bytes()?])?;

    // A public area without sessions, a refusal, a primary key with sessions and a session: what most acts begin with.
    let sized = |bytes: &[u8]| [&[0, u8::try_from(bytes.len()).unwrap_or(u8::MAX)][..], bytes].concat();
    let area = sized(&tpm.ek_public);
    let name = sized(&PublicArea::from_bytes(&tpm.ek_public)?.name()?.0);
    let primary =
        [&[1, 0x80, 0, 0, 0, 0, 0, 0, u8::try_from(area.len())?][..], &area, &[0, 0, 1, 0, 0]].concat();
    let answers = [
        [&[0][..], &area, &name, &name].concat(),
        vec![2, 0x01, 0x8b],
        primary,
        [&[0, 2, 0, 0, 0][..], &sized(&[5; 32])].concat(),
    ];
    seeds.add("tpm_answers", (0..11).map(|act| [&[act][..], &joined(&answers)].concat()))?;
    Ok(())
}

fn attest(seeds: &Seeds, element: &Evidence, tpm: &TpmEvidence) -> Result<(), Failed> {
    let Evidence::Element(chip) = element else { return Err("an element gives its own evidence".into()) };
    let root = Certificate::from_pem(TEST_ROOT_CERTIFICATE_PEM)?.to_der()?;
    let chip = chip.chip_certificate.clone();
    let ek = tpm.ek_certificate.clone();
    let inputs =
        [vec![chip.clone()], vec![ek.clone()], vec![chip.clone(), ek.clone(), root.clone()], vec![root]];
    seeds.add("attest_chain", inputs.map(|pieces| joined(&pieces)))?;
    seeds.add("held_certificate", [chip, ek])?;
    seeds.add("attest_element", [element.to_cbor()])?;
    seeds.add("attest_tpm", [Evidence::Tpm(tpm.clone()).to_cbor()])?;
    seeds.add("endorsers_pem", [TEST_ROOT_CERTIFICATE_PEM])?;
    Ok(())
}

fn enrolment(seeds: &Seeds, directory: &Path) -> Result<(), Failed> {
    let info = CertReqInfo {
        version: Version::V1,
        subject: Name::from_str("CN=meter-1")?,
        public_key: SubjectPublicKeyInfoOwned::from_der(&known_public().spki_der())?,
        attributes: SetOfVec::new(),
    };
    let signature =
        BitString::from_bytes(known_pair().sign(&SystemRandom::new(), &info.to_der()?)?.as_ref())?;
    let algorithm = AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None };
    let csr = CertReq { info, algorithm, signature }.to_der()?;
    let lines = encode_body(&csr, Wrapping::Lines);
    let pem = format!("-----BEGIN CERTIFICATE REQUEST-----\n{lines}-----END CERTIFICATE REQUEST-----\n");
    seeds.add(
        "csr",
        [csr.clone(), lines.into_bytes(), encode_body(&csr, Wrapping::None).into_bytes(), pem.into()],
    )?;

    fs::create_dir_all(directory)?;
    let authority = authority(directory);
    let issuing = &authority.issuing().certificate().certificate;
    let name = issuing.tbs_certificate.subject.to_der()?;
    let point = hex::decode(KNOWN_POINT)?;
    let sha1_id = AlgorithmIdentifierOwned {
        oid: ObjectIdentifier::new_unwrap("1.3.14.3.2.26"),
        parameters: Some(Any::from(Null)),
    };
    let sha256_id = AlgorithmIdentifierOwned {
        oid: ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1"),
        parameters: None,
    };
    let asked = |serials: &[&[u8]], nonce: Option<&[u8]>| -> Result<Vec<u8>, Failed> {
        let mut request_list = Vec::new();
        for serial in serials {
            for (algorithm, name_hash, key_hash) in [
                (&sha1_id, sha1(&name).to_vec(), sha1(&point).to_vec()),
                (&sha256_id, sha256(&name).to_vec(), sha256(&point).to_vec()),
            ] {
                let req_cert = CertId {
                    hash_algorithm: algorithm.clone(),
                    issuer_name_hash: OctetString::new(name_hash)?,
                    issuer_key_hash: OctetString::new(key_hash)?,
                    serial_number: SerialNumber::new(serial)?,
                };
                request_list.push(Request { req_cert, single_request_extensions: None });
            }
        }
        let extension = match nonce {
            Some(nonce) => Some(vec![Extension {
                extn_id: ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2"),
                critical: false,
                extn_value: OctetString::new(OctetString::new(nonce)?.to_der()?)?,
            }]),
            None => None,
        };
        let version = x509_ocsp::Version::V1;
        let tbs_request =
            TbsRequest { version, requestor_name: None, request_list, request_extensions: extension };
        Ok(OcspRequest { tbs_request, optional_signature: None }.to_der()?)
    };
    seeds.add(
        "ocsp",
        [
            asked(&[&GOOD_SERIAL], None)?,
            asked(&[&REVOKED_SERIAL], Some(&[9; 16]))?,
            asked(&[&GOOD_SERIAL, &REVOKED_SERIAL, &[1]], Some(&[9; 32]))?,
        ],
    )?;
    Ok(())
}

fn stores(seeds: &Seeds, work: &Path) -> Result<(), Failed> {
    seeds.add(
        "store_uri",
        [
            "software:/var/lib/keys.toml",
            "software:flash.img#identity.toml",
            "tpm:/dev/tpmrm0",
            "tpm:127.0.0.1:2321",
            "element:tcp:127.0.0.1:4000",
            "element:tcp:127.0.0.1:4000?scp03=a%26b.toml&kvn=0B",
            "element:pcsc:Virtual%20PCD%2000%2000?scp03=a.toml",
            "element:i2c:/dev/i2c-1",
            "pkcs11:token=My%20CA;serial=1?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/pin",
        ],
    )?;
    let plain = work.join("plain");
    fs::create_dir_all(&plain)?;
    let mut store = known_store(&plain, &["identity", "spare"]);
    let name = CounterName::new("firmware")?;
    store.increment_counter(&name)?;
    store.raise_floor(&name, 7)?;
    store.write_object(&KeyName::new("certificate")?, b"-----BEGIN")?;
    drop(store);
    let mut sealed = SoftwareStore::open(
        Box::new(FileMedium::hold(&work.join("sealed.toml"))?),
        &Protection::Passphrase(Zeroizing::new(b"open sesame".to_vec())),
    )?;
    sealed.generate(&KeyName::new("identity")?)?;
    drop(sealed);
    let (plain, sealed) = (fs::read(plain.join("keys.toml"))?, fs::read_to_string(work.join("sealed.toml"))?);
    // Stretched less than the product does it: the document is read, and found to be sealed by another secret.
    let quick = sealed.replace("memory_kib = 65536", "memory_kib = 32").replace("passes = 3", "passes = 1");
    if quick == sealed {
        return Err("the sealing parameters are written in another way".into());
    }
    seeds.add("software_document", [plain, quick.into_bytes()])?;
    // One change in the boot sector, one in the first allocation table, one in the root directory.
    seeds.add("flash_image", [[0, 0, 11, 0], [0, 2, 3, 0xff], [0, 6, 0x1a, 9]])?;
    Ok(())
}

fn apdus(seeds: &Seeds) -> Result<(), Failed> {
    let command = |instruction: Instruction, fields: &[(u8, &[u8])]| -> Result<Vec<u8>, Failed> {
        Ok(instruction.command(tlv::encode(fields)?).encode()?)
    };
    let object = 0x1000_0000_u32.to_be_bytes();
    let generate = command(Instruction::WriteEcKeyPair, &[(TAG_1, &object), (TAG_2, &[CURVE_NIST_P256])])?;
    let read = command(Instruction::ReadObject, &[(TAG_1, &object)])?;
    let attested = command(
        Instruction::ReadObjectAttested,
        &[
            (TAG_1, &object),
            (TAG_5, &ATTESTATION_KEY.to_be_bytes()),
            (TAG_6, &[ECDSA_SHA256]),
            (TAG_7, &nonce().freshness16()),
        ],
    )?;
    let version = command(Instruction::GetVersion, &[])?;
    let more = vec![0, 0xc0, 0, 0, 0];
    seeds.add("apdu", [&version, &read, &attested, &more])?;
    // Every command of the table, once with no field and once with an object's id.
    let mut all = vec![generate.clone()];
    for instruction in Instruction::ALL {
        all.push(command(*instruction, &[])?);
        all.push(command(*instruction, &[(TAG_1, &object)])?);
    }
    let session = joined(&[generate, read, version, attested, more]);
    seeds.add("element_apdus", [session, joined(&all)])?;
    let attributes = Attributes {
        object_id: 0x1000_0000,
        object_type: ObjectType::EC_KEY_PAIR,
        authentication: 2,
        failed_attempts: 0,
        owner: 0,
        max_attempts: 0,
        policies: vec![Policy { authentication: 0, rule: rule::READ, extension: Vec::new() }],
        origin: Origin::INTERNAL,
    };
    let point = hex::decode(KNOWN_POINT)?;
    let answer = tlv::encode(&[(TAG_1, &point), (TAG_2, &attributes.encode()?)])?;
    seeds.add(
        "tlv_se05x",
        [answer.clone(), attributes.encode()?, Policy::encode_set(&attributes.policies)?],
    )?;
    let ok = |data: &[u8]| [data, &[0x90, 0]].concat();
    let answers =
        [ok(&answer), ok(&tlv::encode(&[(TAG_1, &[1])])?), ok(&[]), vec![0x61, 0x10], vec![0x69, 0x85]];
    // An opening and an exchange on either side of the channel, and what PUT KEY brings.
    let dek = AesKey::new(&[0x5A; 16])?;
    let key = |byte| AesKey::new(&[byte; 16]);
    let (new_keys, _) = put_keys(&dek, 0x30, &KeySet { enc: key(1)?, mac: key(2)?, dek: key(3)? })?;
    let keys = SessionKeys::from_master(&dek)?;
    let mut channel = SecureChannel::resume(keys, Level::FULL, CounterRule::EveryCommand);
    let wrapped = channel.wrap(&Instruction::ReadObject.command(tlv::encode(&[(TAG_1, &object)])?))?;
    let sealed = channel.wrap_response(Response { data: answer.clone(), sw: StatusWord::SUCCESS })?;
    let dialogue = joined(&[wrapped.encode()?, sealed.encode(), wrapped.data]);
    let update = [&[9; 10][..], &[0x30, 0x03, 0x70], &[7; 19]].concat();
    seeds.add("scp03_unwrap", [dialogue, update, new_keys].map(|seed| [&[5][..], &seed].concat()))?;
    seeds.add("t1_frames", t1_frames())?;
    seeds.add("element_driver", (0..10).map(|act| [&[act][..], &joined(&answers)].concat()))?;
    Ok(())
}

/// A link that is opened, a command in two pieces, and its answer.
fn t1_frames() -> Vec<Vec<u8>> {
    use touchmark_identity::t1oi2c::{Block, Supervision, TO_ELEMENT, TO_HOST};
    let ask = |kind| Block::Supervisory { kind, answer: false, data: Vec::new() }.encode(TO_ELEMENT);
    let say = |kind, data| Block::Supervisory { kind, answer: true, data }.encode(TO_HOST);
    let piece = |sequence, more| Block::Information { sequence, more, data: vec![0x80, 0x04, 0x00, 0x20] };
    let atr = touchmark_element::t1::atr().encode();
    let heard = [
        ask(Supervision::Resynchronise),
        ask(Supervision::InterfaceReset),
        piece(false, true).encode(TO_ELEMENT),
        piece(true, false).encode(TO_ELEMENT),
        Block::Supervisory { kind: Supervision::MoreTime, answer: true, data: vec![1] }.encode(TO_ELEMENT),
    ];
    let said = [
        say(Supervision::Resynchronise, Vec::new()),
        say(Supervision::InterfaceReset, atr.clone()),
        piece(false, false).encode(TO_HOST),
    ];
    [joined(&heard), joined(&said), atr].map(|seed| [&[1][..], &seed].concat()).into()
}

fn device(seeds: &Seeds, directory: &Path) -> Result<(), Failed> {
    use touchmark_agent::firmware::Release;
    use touchmark_agent::heartbeat::State;

    fs::create_dir_all(directory)?;
    let mut store = known_store(directory, &["release"]);
    let release = Release { version: "2.3.0".parse()?, security_version: 2, sha256: [0xab; 32] };
    seeds.add("firmware_offer", [release.sign(&mut store, &KeyName::new("release")?)?])?;
    seeds.add("agent_state", [State::first("2.3.0".parse()?, 2).to_json()?])?;
    let release_key = hex::encode(known_public().spki_der());
    let config = format!(
        "device = \"meter-1\"\ndevice_type = \"meter\"\nstore = \"tpm:/dev/tpmrm0\"\nflash = \"flash.img\"\n\
         server = \"https://pki.example:8443/x\"\ntelemetry = \"https://[2001:db8::1]:9443\"\n\
         trust_anchors = \"root.pem\"\nenrol_token_file = \"token\"\nfirmware = \"2.1.0\"\nsecurity_version = 1\n\
         claims = \"tpm\"\nbind_address = \"127.0.0.1\"\nheartbeat_ms = 1000\nrelease_key = \"{release_key}\"\n"
    );
    seeds.add("agent_config", [config.as_str(), "https://pki.example:8443/x", "https://[2001:db8::1]"])?;
    Ok(())
}

fn watch(seeds: &Seeds) -> Result<(), Failed> {
    let line = |connection: u32, requests: u32, at: &str, age: &str, from: &str| {
        format!(
            "{{\"touchmark\":\"nginx/1\",\"msec\":\"{at}\",\"connection\":\"{connection}\",\
             \"connection_requests\":\"{requests}\",\"connection_time\":\"{age}\",\"remote_addr\":\"{from}\",\
             \"remote_port\":\"40000\",\"verify\":\"SUCCESS\",\
             \"fingerprint\":\"0b8d8080726aa7d379aacf2b3af72f922598aa3b\",\"serial\":\"7668F969\",\
             \"issuer_dn\":\"CN=Example CA\",\"subject_dn\":\"O=Fleet\\\\, north,CN=meter-000017\",\"tls\":\"TLSv1.3\",\
             \"reused\":\".\",\"sni\":\"gate.example\",\"uri\":\"/\"}}\n"
        )
    };
    let refused = "{\"touchmark\":\"nginx/1\",\"verify\":\"NONE\"}\n";
    let log = [
        &line(7, 1, "1795212088.202", "0.036", "192.0.2.7"),
        &line(7, 2, "1795212099.203", "11.036", "192.0.2.7"),
        &line(9, 1, "1795212100.000", "0.000", "2001:db8::1"),
        refused,
    ];
    seeds.add("nginx_line", [log.concat(), log[0].to_owned()])?;

    // The first byte chooses the format, by its place in `Format::ALL`.
    let foreign = [
        "\u{3}{\"touchmark\":\"haproxy/1\",\"id\":\"a\",\"accepted\":\"1795212088.158\",\"duration_ms\":\"44\",\"used\":\"1\",\
         \"verify\":\"0\",\"cn\":\"m\",\"src\":\"192.0.2.7\",\"sport\":\"4\"}",
        "\u{5}2026-11-20T22:01:24+0000: New client connected from 192.0.2.7:4 as d (p5, c1, k10, u'm').\n\
         2026-11-20T22:01:25+0000: Client d already connected, closing old connection.",
        "\u{6}{\"event\":\"client.connected\",\"clientid\":\"c\",\"username\":\"m\",\"peername\":\"192.0.2.7:5\",\
         \"connected_at\":1795212088154}",
        "\u{9}#path\tssl\n#fields\tts\tuid\tid.orig_h\tclient_subject\n1.5\tC1\t192.0.2.7\tCN=m",
        "\u{a}<30>1 2026-11-20T22:01:24Z h a 1 - [b@1 c=\"d\"] type=authentication session=7 identity.common_name=m",
        "\u{c}{\"@timestamp\":\"2026-11-20T22:01:28Z\",\"event\":{\"id\":\"e\",\"duration\":8000000},\
         \"tls.client.subject\":\"CN=m\"}",
    ];
    seeds.add("adapter_lines", foreign.map(str::to_owned))?;

    let registry = "{\"schema\":\"touchmark.event/1\",\"type\":\"registry\",\"time\":\"2026-11-20T00:00:00Z\",\
        \"source\":\"r\",\"identity\":{\"common_name\":\"m\"},\"device\":\"m\",\"device_type\":\"meter\"}\n";
    let beat = |id: u32, minute: u32, ip: &str, counter: u32, uptime: u32| {
        format!(
            "{{\"schema\":\"touchmark.event/1\",\"type\":\"heartbeat\",\"time\":\"2026-11-20T22:{minute:02}:00Z\",\
             \"source\":\"g\",\"event_id\":\"{id}\",\"identity\":{{\"common_name\":\"m\"}},\
             \"peer\":{{\"ip\":\"{ip}\",\"asn\":64500}},\"counter\":{counter},\"uptime_ms\":{uptime},\"boot_count\":3,\
             \"firmware\":\"2.4.1\",\"security_version\":7}}\n"
        )
    };
    let (a, b) = ("192.0.2.7", "198.51.100.9");
    // Two devices under one name: each goes on where it was.
    let events = [
        beat(1, 0, a, 41, 900_000),
        beat(2, 1, b, 12, 60_000),
        beat(3, 2, a, 42, 1_020_000),
        beat(4, 3, b, 13, 180_000),
    ];
    let read: Vec<Event> =
        events.iter().map(|line| Event::from_line(line.as_bytes())).collect::<Result<_, _>>()?;
    let batches = read.chunks(3).map(encode).collect::<Result<Vec<_>, _>>()?.concat();
    seeds.add(
        "replay",
        [
            format!("{registry}\n{}", events.concat()).into_bytes(),
            format!("\n{EVENTS}").into_bytes(),
            events.concat().into_bytes(),
            batches,
        ],
    )?;

    // Checkpoints: of nothing, of what is held back, and of what was observed.
    let mut snapshots = Vec::new();
    let mut monitor = Monitor::new(&small_settings(), NonZeroUsize::MIN);
    monitor.register(&Event::from_line(registry.trim().as_bytes())?);
    for number in 0..3 {
        match number {
            1 => monitor.take_lines(&events.each_ref().map(|line| line.trim().as_bytes()), &mut |_, _| {}),
            2 => monitor.finish(),
            _ => {}
        }
        let mut snapshot = Vec::new();
        monitor.snapshot(&small_settings(), &mut snapshot)?;
        assert_eq!(sealed(&sections(&snapshot)), snapshot, "the target makes what the monitor reads");
        snapshots.push(sections(&snapshot));
    }
    seeds.add("snapshot", snapshots)?;

    // The policy of the documentation.
    let page = include_str!("../../docs/response.md");
    let policy = page.split("```toml\n").nth(1).and_then(|text| text.split("```").next());
    let settings = "[monitor]\nboot_tolerance_s = 600\nmax_identities = 1000\n";
    seeds.add("policy", [policy.ok_or("the documentation shows no policy")?, settings])?;
    Ok(())
}

fn search(seeds: &Seeds) -> Result<(), Failed> {
    let scalar = hex::decode(KNOWN_SCALAR)?;
    let pkcs8 = known_pair().to_pkcs8v1()?;
    let pem = der::pem::encode_string("PRIVATE KEY", der::pem::LineEnding::LF, pkcs8.as_ref())
        .map_err(|error| error.to_string())?;
    let little: Vec<u8> = scalar.iter().rev().copied().collect();
    let base64 = encode_body(&scalar, Wrapping::None);
    seeds.add(
        "lab_search",
        [scalar, little, pkcs8.as_ref().to_vec(), pem.into_bytes(), KNOWN_SCALAR.into(), base64.into_bytes()],
    )?;
    Ok(())
}
