//! What is held against the element, in the order of running.

use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p256::ecdsa::{DerSignature, VerifyingKey};
use se05x::se05x::commands::{
    CheckObjectExists, CipherOneShotDecrypt, CipherOneShotEncrypt, CloseSession, CreateSession,
    DeleteSecureObject, DigestOneShot, EcdhGenerateSharedSecret, EcdsaSign, EcdsaVerify, GetFreeMemory,
    GetRandom, GetVersion, MacOneShotGenerate, ReadAttestObject, ReadAttributes, ReadEcCurveList, ReadIdList,
    ReadObject, ReadType, VerifySessionUserId, WriteBinary, WriteCounter, WriteEcKey, WriteSymmKey,
    WriteUserId,
};
use se05x::se05x::policies::{ObjectAccessRule, ObjectPolicyFlags, Policy, PolicySet};
use se05x::se05x::{
    AttestationAlgo, Be, CipherMode, CounterSize, Digest, EcCurve, EcDsaSignatureAlgo, Error, MacAlgo,
    Memory, ObjectId, P1KeyType, Se05XResult, SecureObjectFilter, SecureObjectType, SetIndicator,
    SymmKeyType,
};

use crate::bus::Driver;

type Outcome = Result<(), String>;
type Check = fn(Driver) -> Outcome;

/// The checks with their names. Each begins with a reset of the part.
pub const ALL: [(&str, Check); 18] = [
    ("enable", enable),
    ("random", random),
    ("version and memory", version),
    ("curves", curves),
    ("P-256 key: made on the chip", generate),
    ("P-256 key: signs", sign),
    ("P-256 key: verifies", verify),
    ("P-256 key: is read with attestation", attested),
    ("P-256 key: attributes and type", attributes),
    ("P-256 key: key agreement", agree),
    ("binary of 800 bytes", binary),
    ("counter goes up, not down", counter),
    ("list of objects", list),
    ("digest and HMAC", digest),
    ("AES, ECB and CBC", cipher),
    ("session of a user id", user_session),
    ("session of an AES key", aes_session),
    ("delete", delete),
];

const KEY: ObjectId = ObjectId([0x10, 0, 0, 1]);
const PEER: ObjectId = ObjectId([0x10, 0, 0, 2]);
const FILE: ObjectId = ObjectId([0x10, 0, 0, 3]);
const COUNTER: ObjectId = ObjectId([0x10, 0, 0, 4]);
const SECRET: ObjectId = ObjectId([0x10, 0, 0, 5]);
const CIPHER: ObjectId = ObjectId([0x10, 0, 0, 6]);
const USER: ObjectId = ObjectId([0x10, 0, 0, 7]);
const USERS_FILE: ObjectId = ObjectId([0x10, 0, 0, 8]);
const AES_USER: ObjectId = ObjectId([0x10, 0, 0, 9]);
const AES_USERS_FILE: ObjectId = ObjectId([0x10, 0, 0, 10]);
/// The key with which the part was made, and its certificate.
const ATTESTER: ObjectId = ObjectId([0xF0, 0, 0, 0x12]);

fn must(holds: bool, what: impl std::fmt::Debug) -> Outcome {
    if holds { Ok(()) } else { Err(format!("{what:?}")) }
}

fn text(error: Error) -> String {
    match error {
        Error::Status(status) => format!("status {:04X}", u16::from(status)),
        other => format!("{other:?}"),
    }
}

/// What the part refuses with a status word.
fn refused<T: std::fmt::Debug>(answer: Result<T, Error>, with: u16) -> Outcome {
    match answer {
        Err(Error::Status(status)) if u16::from(status) == with => Ok(()),
        other => Err(format!("expected {with:04X}, got {other:?}")),
    }
}

fn ready(mut driver: Driver) -> Result<Driver, String> {
    driver.enable().map_err(text)?;
    Ok(driver)
}

fn enable(mut driver: Driver) -> Outcome {
    let atr = driver.enable().map_err(text)?;
    must(atr.major == 3, atr)
}

fn random(driver: Driver) -> Outcome {
    let mut driver = ready(driver)?;
    let mut buffers = [[0; 1024]; 2];
    for buffer in &mut buffers {
        // As much as fits in one answer.
        let answer = driver.run_command(&GetRandom { length: Be(800) }, buffer).map_err(text)?;
        must(answer.data.len() == 800, answer.data.len())?;
    }
    must(buffers[0] != buffers[1], "the same twice")
}

fn version(driver: Driver) -> Outcome {
    let mut driver = ready(driver)?;
    let mut buffer = [0; 1024];
    let answer = driver.run_command(&GetVersion {}, &mut buffer).map_err(text)?;
    must(answer.version_info.major == 3, &answer)?;
    let memory = GetFreeMemory { memory: Memory::Persistent };
    let answer = driver.run_command(&memory, &mut buffer).map_err(text)?;
    must(answer.available.0 > 1_000, &answer)
}

fn curves(driver: Driver) -> Outcome {
    let mut driver = ready(driver)?;
    let mut buffer = [0; 1024];
    let answer = driver.run_command(&ReadEcCurveList {}, &mut buffer).map_err(text)?;
    must(answer.is_set(EcCurve::NistP256), answer)
}

fn key_pair(id: ObjectId, curve: EcCurve) -> WriteEcKey<'static> {
    WriteEcKey {
        transient: false,
        is_auth: false,
        key_type: Some(P1KeyType::KeyPair),
        policy: None,
        max_attempts: None,
        object_id: id,
        curve: Some(curve),
        private_key: None,
        public_key: None,
    }
}

fn whole(id: ObjectId) -> ReadObject {
    ReadObject { object_id: id, offset: None, length: None, rsa_key_component: None }
}

fn public_key(driver: &mut Driver, id: ObjectId) -> Result<VerifyingKey, String> {
    let mut buffer = [0; 1024];
    let answer = driver.run_command(&whole(id), &mut buffer).map_err(text)?;
    VerifyingKey::from_sec1_bytes(answer.data).map_err(|error| error.to_string())
}

fn generate(driver: Driver) -> Outcome {
    let mut driver = ready(driver)?;
    let mut buffer = [0; 1024];
    for id in [KEY, PEER] {
        driver.run_command(&key_pair(id, EcCurve::NistP256), &mut buffer).map_err(text)?;
    }
    let (one, other) = (public_key(&mut driver, KEY)?, public_key(&mut driver, PEER)?);
    must(one != other, "the same key twice")
}

fn signature(driver: &mut Driver, digest: &[u8]) -> Result<Vec<u8>, String> {
    let mut buffer = [0; 1024];
    let command = EcdsaSign { key_id: KEY, algo: EcDsaSignatureAlgo::Sha256, data: digest };
    Ok(driver.run_command(&command, &mut buffer).map_err(text)?.signature.to_vec())
}

fn sign(driver: Driver) -> Outcome {
    let mut driver = ready(driver)?;
    let der = signature(&mut driver, &[0x5A; 32])?;
    let der = DerSignature::try_from(&der[..]).map_err(|error| error.to_string())?;
    let key = public_key(&mut driver, KEY)?;
    key.verify_prehash(&[0x5A; 32], &der).map_err(|error| error.to_string())?;
    must(key.verify_prehash(&[0x5B; 32], &der).is_err(), "a signature over anything")
}

fn verify(driver: Driver) -> Outcome {
    let mut driver = ready(driver)?;
    let der = signature(&mut driver, &[0x5A; 32])?;
    let mut buffer = [0; 1024];
    for (digest, expected) in [([0x5A; 32], Se05XResult::Success), ([0x5B; 32], Se05XResult::Failure)] {
        let algo = EcDsaSignatureAlgo::Sha256;
        let command = EcdsaVerify { key_id: KEY, algo, data: &digest, signature: &der };
        let answer = driver.run_command(&command, &mut buffer).map_err(text)?;
        must(answer.result == expected, &answer)?;
    }
    Ok(())
}

fn attested(driver: Driver) -> Outcome {
    let mut driver = ready(driver)?;
    let mut buffer = [0; 1024];
    let freshness = [0xA5; 16];
    let command = ReadAttestObject {
        object_id: KEY,
        offset: None,
        length: None,
        rsa_key_component: None,
        attestation_object: ATTESTER,
        attestation_algo: AttestationAlgo::ECdsaSha256,
        freshness_random: &freshness,
    };
    let answer = driver.run_command(&command, &mut buffer).map_err(text)?;
    must(answer.freshness_random == &freshness, answer.freshness_random)?;
    let attributes = &answer.attributes;
    must(attributes.identifier() == KEY && attributes.class() == SecureObjectType::EcKeyPair, attributes)?;
    let point = answer.data.ok_or("no data")?.to_vec();
    let stated = answer.signature.to_vec();
    DerSignature::try_from(&stated[..]).map_err(|error| error.to_string())?;
    let key = VerifyingKey::from_sec1_bytes(&point).map_err(|error| error.to_string())?;
    must(key == public_key(&mut driver, KEY)?, "another key")
}

fn attributes(driver: Driver) -> Outcome {
    let mut driver = ready(driver)?;
    let mut buffer = [0; 1024];
    let command = ReadAttributes { object_id: KEY, offset: None, length: None, rsa_key_component: None };
    let answer = driver.run_command(&command, &mut buffer).map_err(text)?.attributes;
    must(answer.identifier() == KEY && answer.class() == SecureObjectType::EcKeyPair, &answer)?;
    must(answer.authentication_indicator() == SetIndicator::NotSet, &answer)?;
    let answer = driver.run_command(&ReadType { object_id: KEY }, &mut buffer).map_err(text)?;
    must(answer.ty == SecureObjectType::EcKeyPair, &answer)
}

fn agree(driver: Driver) -> Outcome {
    let mut driver = ready(driver)?;
    let mut buffer = [0; 1024];
    let mut agreed = Vec::new();
    for (own, other) in [(KEY, PEER), (PEER, KEY)] {
        let other = public_key(&mut driver, other)?.to_encoded_point(false);
        let command = EcdhGenerateSharedSecret { key_id: own, public_key: other.as_bytes() };
        let answer = driver.run_command(&command, &mut buffer).map_err(text)?;
        agreed.push(answer.shared_secret.to_vec());
    }
    must(agreed[0].len() == 32 && agreed[0] == agreed[1], &agreed)
}

fn file(id: ObjectId, data: &[u8]) -> Result<WriteBinary<'_>, String> {
    Ok(WriteBinary {
        transient: false,
        policy: None,
        object_id: id,
        offset: Some(Be(0)),
        file_length: Some(Be(u16::try_from(data.len()).map_err(|error| error.to_string())?)),
        data: Some(data),
    })
}

fn binary(driver: Driver) -> Outcome {
    let mut driver = ready(driver)?;
    let mut buffer = [0; 1024];
    let data: Vec<u8> = (0..800u16).map(|number| number.to_le_bytes()[0]).collect();
    driver.run_command(&file(FILE, &data)?, &mut buffer).map_err(text)?;
    let part = ReadObject { offset: Some(Be(500)), length: Some(Be(300)), ..whole(FILE) };
    let answer = driver.run_command(&part, &mut buffer).map_err(text)?;
    must(Some(answer.data) == data.get(500..800), answer.data.len())?;
    let answer = driver.run_command(&whole(FILE), &mut buffer).map_err(text)?;
    must(answer.data == data, answer.data.len())
}

fn counter(driver: Driver) -> Outcome {
    let mut driver = ready(driver)?;
    let mut buffer = [0; 1024];
    let write =
        |size, value| WriteCounter { transient: false, policy: None, object_id: COUNTER, data: size, value };
    let made = write(Some(CounterSize::B8), Some(Be(5)));
    driver.run_command(&made, &mut buffer).map_err(text)?;
    driver.run_command(&write(None, Some(Be(7))), &mut buffer).map_err(text)?;
    driver.run_command(&write(None, None), &mut buffer).map_err(text)?;
    refused(driver.run_command(&write(None, Some(Be(6))), &mut buffer), 0x6985)?;
    let answer = driver.run_command(&whole(COUNTER), &mut buffer).map_err(text)?;
    must(answer.data == 8u64.to_be_bytes(), answer.data)
}

fn list(driver: Driver) -> Outcome {
    let mut driver = ready(driver)?;
    let mut buffer = [0; 1024];
    let command = ReadIdList { offset: Be(0), filter: SecureObjectFilter::All };
    let answer = driver.run_command(&command, &mut buffer).map_err(text)?;
    for id in [KEY, PEER, FILE, COUNTER] {
        must(answer.ids.chunks(4).any(|listed| listed == id.0), id)?;
    }
    Ok(())
}

fn secret(id: ObjectId, kind: SymmKeyType, value: &[u8], is_auth: bool) -> WriteSymmKey<'_> {
    WriteSymmKey {
        transient: false,
        is_auth,
        key_type: kind,
        policy: None,
        max_attempts: None,
        object_id: id,
        kek_id: None,
        value,
    }
}

/// The digest of FIPS 180-4's first example, and the second published test case of HMAC-SHA-256.
fn digest(driver: Driver) -> Outcome {
    let mut driver = ready(driver)?;
    let mut buffer = [0; 1024];
    let data = b"what do ya want for nothing?";
    let command = DigestOneShot { algo: Digest::Sha256, data: b"abc" };
    let answer = driver.run_command(&command, &mut buffer).map_err(text)?;
    must(answer.digest.starts_with(&[0xBA, 0x78, 0x16, 0xBF, 0x8F, 0x01, 0xCF, 0xEA]), answer.digest)?;
    driver.run_command(&secret(SECRET, SymmKeyType::Hmac, b"Jefe", false), &mut buffer).map_err(text)?;
    let command = MacOneShotGenerate { key_id: SECRET, algo: MacAlgo::HmacSha256, data };
    let answer = driver.run_command(&command, &mut buffer).map_err(text)?;
    must(answer.tag.starts_with(&[0x5B, 0xDC, 0xC1, 0x46, 0xBF, 0x60, 0x75, 0x4E]), answer.tag)
}

/// SP 800-38A, F.1.1 and F.2.1, first blocks.
fn cipher(driver: Driver) -> Outcome {
    let mut driver = ready(driver)?;
    let mut buffer = [0; 1024];
    let key =
        [0x2B, 0x7E, 0x15, 0x16, 0x28, 0xAE, 0xD2, 0xA6, 0xAB, 0xF7, 0x15, 0x88, 0x09, 0xCF, 0x4F, 0x3C];
    let plain =
        [0x6B, 0xC1, 0xBE, 0xE2, 0x2E, 0x40, 0x9F, 0x96, 0xE9, 0x3D, 0x7E, 0x11, 0x73, 0x93, 0x17, 0x2A];
    let vector: [u8; 16] = std::array::from_fn(|index| u8::try_from(index).unwrap_or(0));
    driver.run_command(&secret(CIPHER, SymmKeyType::Aes, &key, false), &mut buffer).map_err(text)?;
    for (mode, vector, first) in [
        (CipherMode::AesEcbNopad, None, [0x3A, 0xD7, 0x7B, 0xB4]),
        (CipherMode::AesCbcNopad, Some(&vector[..]), [0x76, 0x49, 0xAB, 0xAC]),
    ] {
        let command =
            CipherOneShotEncrypt { key_id: CIPHER, mode, plaintext: &plain, initialization_vector: vector };
        let ciphertext = driver.run_command(&command, &mut buffer).map_err(text)?.ciphertext.to_vec();
        must(ciphertext.len() == 16 && ciphertext.starts_with(&first), &ciphertext)?;
        let command = CipherOneShotDecrypt {
            key_id: CIPHER,
            mode,
            ciphertext: &ciphertext,
            initialization_vector: vector,
        };
        let answer = driver.run_command(&command, &mut buffer).map_err(text)?;
        must(answer.plaintext == plain, answer.plaintext)?;
    }
    Ok(())
}

/// What only the session of an authentication object may read, and everybody delete.
fn only_for(user: &'static ObjectId) -> [Policy; 2] {
    let rule =
        |id: &ObjectId, flags| Policy { object_id: *id, access_rule: ObjectAccessRule::from_flags(flags) };
    let flags = ObjectPolicyFlags::ALLOW_READ | ObjectPolicyFlags::ALLOW_WRITE;
    [rule(user, flags), rule(&ObjectId([0; 4]), ObjectPolicyFlags::ALLOW_DELETE)]
}

fn user_session(driver: Driver) -> Outcome {
    let mut driver = ready(driver)?;
    let mut buffer = [0; 1024];
    let user = WriteUserId { policy: None, max_attempts: Some(Be(3)), object_id: USER, data: b"1234" };
    driver.run_command(&user, &mut buffer).map_err(text)?;
    let policies = only_for(&USER);
    let written = WriteBinary { policy: Some(PolicySet(&policies)), ..file(USERS_FILE, b"for one user")? };
    driver.run_command(&written, &mut buffer).map_err(text)?;
    refused(driver.run_command(&whole(USERS_FILE), &mut buffer), 0x6986)?;

    let session =
        driver.run_command(&CreateSession { object_id: USER }, &mut buffer).map_err(text)?.session_id;
    let wrong = VerifySessionUserId { user_id: b"4321" };
    must(driver.run_session_command(session, &wrong, &mut buffer).is_err(), "a wrong user id")?;
    let right = VerifySessionUserId { user_id: b"1234" };
    driver.run_session_command(session, &right, &mut buffer).map_err(text)?;
    let answer = driver.run_session_command(session, &whole(USERS_FILE), &mut buffer).map_err(text)?;
    must(answer.data == b"for one user", answer.data)?;
    driver.run_session_command(session, &CloseSession {}, &mut buffer).map_err(text)?;
    must(driver.run_session_command(session, &whole(USERS_FILE), &mut buffer).is_err(), "a closed session")
}

fn aes_session(driver: Driver) -> Outcome {
    let mut driver = ready(driver)?;
    let mut buffer = [0; 1024];
    let key = [0xC3; 16];
    driver.run_command(&secret(AES_USER, SymmKeyType::Aes, &key, true), &mut buffer).map_err(text)?;
    let policies = only_for(&AES_USER);
    let written = WriteBinary { policy: Some(PolicySet(&policies)), ..file(AES_USERS_FILE, b"for one key")? };
    driver.run_command(&written, &mut buffer).map_err(text)?;
    refused(driver.run_command(&whole(AES_USERS_FILE), &mut buffer), 0x6986)?;

    let open = CreateSession { object_id: AES_USER };
    let session = driver.run_command(&open, &mut buffer).map_err(text)?.session_id;
    let mut chance = rand::thread_rng();
    let wrong = driver.authenticate_aes128_session(session, &[0x3C; 16], &mut chance).map_err(text)?;
    must(!wrong, "a wrong key")?;
    let session = driver.run_command(&open, &mut buffer).map_err(text)?.session_id;
    let right = driver.authenticate_aes128_session(session, &key, &mut chance).map_err(text)?;
    must(right, "the right key is refused")?;
    let answer = driver.run_session_command(session, &whole(AES_USERS_FILE), &mut buffer).map_err(text)?;
    must(answer.data == b"for one key", answer.data)
}

fn delete(driver: Driver) -> Outcome {
    let mut driver = ready(driver)?;
    let mut buffer = [0; 1024];
    for id in [PEER, FILE, COUNTER, USERS_FILE] {
        for (act, expected) in [(true, Se05XResult::Success), (false, Se05XResult::Failure)] {
            let answer =
                driver.run_command(&CheckObjectExists { object_id: id }, &mut buffer).map_err(text)?;
            must(answer.result == expected, (id, &answer))?;
            if act {
                driver.run_command(&DeleteSecureObject { object_id: id }, &mut buffer).map_err(text)?;
            }
        }
    }
    must(driver.run_command(&whole(FILE), &mut buffer).is_err(), "a deleted file is read")
}
