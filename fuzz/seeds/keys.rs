//! First inputs of the parsers of key stores and evidence.

use std::fs;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
};
use der::asn1::{BitString, ObjectIdentifier, OctetString, UtcTime};
use der::{Decode, DecodePem, Encode, SecretDocument};
use touchmark_element::{Applet, Class, Element, TEST_ROOT_CERTIFICATE_PEM};
use touchmark_fuzz::acts::ACTS;
use touchmark_fuzz::journal::{changes, journal, payloads, written};
use touchmark_fuzz::{KNOWN_POINT, joined, nonce, now};
use touchmark_identity::apdu::scp03::{
    AesKey, CounterRule, KeySet, Level, SecureChannel, SessionKeys, put_keys,
};
use touchmark_identity::apdu::se05x::{
    AID, ATTESTATION_KEY, Attributes, CURVE_NIST_P256, ECDSA_SHA256, Instruction, ObjectType, Origin, Policy,
    TAG_1, TAG_2, TAG_3, TAG_4, TAG_5, TAG_6, TAG_7, bound, rule,
};
use touchmark_identity::apdu::tlv;
use touchmark_identity::apdu::{Command, Response, StatusWord};
use touchmark_identity::assurance::{Certification, CounterBudget, KeyAssurance, Part, Storage};
use touchmark_identity::evidence::{Envelope, Evidence, TpmEvidence};
use touchmark_identity::ids::KeyName;
use touchmark_identity::key::{PublicKey, sha256};
use touchmark_identity::tpm::event_log::{Event as LogEvent, EventLog};
use touchmark_identity::tpm::{
    AlgorithmId, Attest, Attested, ClockInfo, CurveId, KeyParameters, Name as TpmName, ObjectAttributes,
    PcrSelection, PublicArea, Scheme, Symmetric, TpmSignature,
};
use touchmark_keystore::KeyStore;
use touchmark_keystore::element::ElementStore;
use x509_cert::Certificate;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage, KeyUsages};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::SubjectPublicKeyInfoOwned;
use x509_cert::time::{Time, Validity};

use crate::{Failed, Seeds};

/// Private key of the TEST root; public, as docs/keys.md says.
const TEST_ROOT_KEY_PEM: &str = include_str!("../../crates/element/test-root/test-element-root.key.pem");
const EVIDENCE_1: &str = include_str!("../../crates/identity/tests/samples/evidence-1.hex");
const EVIDENCE_2: &str = include_str!("../../crates/identity/tests/samples/evidence-2.hex");
const STATE_1: &str = include_str!("../../crates/element/tests/samples/test-state-1");

/// Writes them.
pub fn add(seeds: &Seeds, work: &Path) -> Result<(), Failed> {
    let element = element_evidence(&work.join("element"), Applet::default())?;
    let bound = element_evidence(&work.join("bound"), Applet::V7_2)?;
    let tpm = tpm_evidence()?;
    evidence(seeds, &element, &tpm)?;
    bound_reads(seeds, &bound)?;
    tpm_structures(seeds, &tpm)?;
    attest(seeds, &element, &tpm)?;
    apdus(seeds)?;
    element_journal(seeds, &work.join("journal"))?;
    Ok(())
}

/// What a virtual element says of a key that it made.
pub fn element_evidence(directory: &Path, applet: Applet) -> Result<Evidence, Failed> {
    let class = Class { applet, ..Class::default() };
    let mut element = Element::create_of_class(directory, now(), class)?;
    let mut store = ElementStore::new(Box::new(move |apdu: &[u8]| element.transmit(apdu)))?;
    let key = KeyName::new("identity")?;
    store.generate(&key)?;
    let attest = KeyStore::attest(&mut store).ok_or("an element attests")?;
    Ok(attest.attest(&key, &nonce())?.evidence)
}

/// What a TPM would say, with an EK certificate under the TEST root.
pub fn tpm_evidence() -> Result<TpmEvidence, Failed> {
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

fn evidence(seeds: &Seeds, element: &Evidence, tpm: &TpmEvidence) -> Result<(), Failed> {
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
    seeds.add("tpm_answers", (0..ACTS + 2).map(|act| [&[act][..], &joined(&answers)].concat()))?;
    Ok(())
}

/// Reads that are bound to their command, as evidence and as a chip answers them.
fn bound_reads(seeds: &Seeds, evidence: &Evidence) -> Result<(), Failed> {
    let Evidence::BoundRead(read) = evidence else { return Err("applet 7.2 binds its reads".into()) };
    for target in ["evidence_cbor", "attest_element", "evidence_envelope"] {
        seeds.add(target, [evidence.to_cbor()])?;
    }
    seeds.add("tlv_se05x", [read.answer.clone(), bound::join(&read.answer, &read.signature)?])?;
    Ok(())
}

fn attest(seeds: &Seeds, element: &Evidence, tpm: &TpmEvidence) -> Result<(), Failed> {
    let Evidence::Element(chip) = element else { return Err("an element gives its own evidence".into()) };
    let root = Certificate::from_pem(TEST_ROOT_CERTIFICATE_PEM)?.to_der()?;
    let chip = chip.chip_certificate.clone();
    let ek = tpm.ek_certificate.clone();
    let inputs = [vec![chip.clone()], vec![ek.clone()], vec![chip, ek, root.clone()], vec![root]];
    seeds.add("attest_chain", inputs.map(|pieces| joined(&pieces)))?;
    seeds.add("attest_element", [element.to_cbor()])?;
    seeds.add("attest_tpm", [Evidence::Tpm(tpm.clone()).to_cbor()])?;
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
        version: None,
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
    seeds.add("element_driver", (0..ACTS).map(|act| [&[act][..], &joined(&answers)].concat()))?;
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

/// A state with an object of most kinds, in all the forms that the target takes.
fn element_journal(seeds: &Seeds, directory: &Path) -> Result<(), Failed> {
    let mut element = Element::create(directory, now())?;
    let select = Command { cla: 0, ins: 0xA4, p1: 4, p2: 0, data: AID.to_vec(), le: Some(256) };
    element.transmit(&select.encode()?);
    let ids: Vec<[u8; 4]> = (0x1000_0000_u32..).take(7).map(u32::to_be_bytes).collect();
    let [pair, binary, counter, aes, user, pcr, public] = &ids[..] else { return Err("seven ids".into()) };
    let point = hex::decode(KNOWN_POINT)?;
    for (instruction, fields) in [
        (Instruction::WriteEcKeyPair, &[(TAG_1, &pair[..]), (TAG_2, &[CURVE_NIST_P256])][..]),
        (Instruction::WriteBinary, &[(TAG_1, binary), (TAG_3, &[0, 3]), (TAG_4, b"abc")]),
        (Instruction::WriteCounter, &[(TAG_1, counter), (TAG_2, &[0, 4])]),
        (Instruction::WriteCounter, &[(TAG_1, counter)]),
        (Instruction::WriteAesKey, &[(TAG_1, aes), (TAG_3, &[7; 16])]),
        (Instruction::WriteUserId, &[(TAG_1, user), (TAG_2, b"1234")]),
        (Instruction::WritePcr, &[(TAG_1, pcr), (TAG_2, &[1; 32])]),
        (Instruction::WriteEcPublicKey, &[(TAG_1, public), (TAG_2, &[CURVE_NIST_P256]), (TAG_4, &point)]),
        (Instruction::DeleteSecureObject, &[(TAG_1, binary)]),
    ] {
        let answer = element.transmit(&instruction.command(tlv::encode(fields)?).encode()?);
        if answer != [0x90, 0] {
            return Err(format!("{instruction:?} was answered {answer:02x?}").into());
        }
    }
    drop(element);
    let file = fs::read(directory.join("state"))?;
    let payloads = payloads(&file);
    let changes = changes(&payloads);
    assert_eq!(journal(&payloads), file, "the target makes what the element reads");
    assert_eq!(written(changes.iter().map(Vec::as_slice)), payloads, "changes are what they were");
    let old = STATE_1.split_once('\n').ok_or("a state of format 1 has two lines")?.1;
    let chosen = |choice: u8, data: &[u8]| [&[choice][..], data].concat();
    let inputs = [
        chosen(0, &file),
        chosen(0, STATE_1.as_bytes()),
        chosen(1, &joined(&payloads)),
        chosen(2, &joined(&changes)),
        // Without the last 20 bytes.
        chosen(2 + 5 * 20, &joined(&changes)),
        chosen(3, old.as_bytes()),
    ];
    seeds.add("element_journal", inputs)?;
    Ok(())
}
