//! Faults that a test arms, and what an owner sees of them.
#![expect(clippy::unwrap_used, reason = "test helpers: a surprise is a panic")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use touchmark_element::{Class, Effect, Element, ElementError, Fault, Flaw, Session, Trigger, tcp};
use touchmark_identity::apdu::se05x::{
    AID, ATTESTATION_CERTIFICATE, ATTESTATION_KEY, Instruction, Policy, TAG_1, TAG_2, TAG_3, TAG_POLICY, rule,
};
use touchmark_identity::apdu::{Command, Response, tlv};

const KEY: [u8; 4] = [0x40, 0, 0, 0x10];
const COUNTER: [u8; 4] = [0x50, 0, 0, 1];
const OTHER: [u8; 4] = [0x50, 0, 0, 2];
const FILE: [u8; 4] = [0x50, 0, 0, 3];

fn now() -> touchmark_identity::timestamp::Timestamp {
    "2026-11-20T00:00:00Z".parse().unwrap()
}

fn select() -> Vec<u8> {
    Command { cla: 0, ins: 0xA4, p1: 4, p2: 0, data: AID.to_vec(), le: Some(256) }.encode().unwrap()
}

fn apdu(instruction: Instruction, fields: &[(u8, &[u8])]) -> Vec<u8> {
    instruction.command(tlv::encode(fields).unwrap()).encode().unwrap()
}

fn increment(counter: [u8; 4]) -> Vec<u8> {
    apdu(Instruction::WriteCounter, &[(TAG_1, &counter)])
}

fn create_counter(counter: [u8; 4]) -> Vec<u8> {
    apdu(Instruction::WriteCounter, &[(TAG_1, &counter), (TAG_2, &[0, 4])])
}

fn generate() -> Vec<u8> {
    apdu(Instruction::WriteEcKeyPair, &[(TAG_1, &KEY), (TAG_2, &[3])])
}

fn write_file(bytes: u8) -> Vec<u8> {
    apdu(Instruction::WriteBinary, &[(TAG_1, &FILE), (TAG_3, &[0, bytes])])
}

fn read(id: [u8; 4]) -> Vec<u8> {
    let command = Instruction::ReadObject.command(tlv::encode(&[(TAG_1, &id)]).unwrap());
    Command { le: Some(65_536), ..command }.encode().unwrap()
}

fn arm(dir: &Path, line: &str) {
    line.parse::<Fault>().unwrap().arm(dir).unwrap();
}

struct Chip {
    dir: tempfile::TempDir,
    element: Element,
}

impl Chip {
    /// With two counters at 1.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let element = Element::create(dir.path(), now()).unwrap();
        let mut chip = Self { dir, element };
        assert_eq!(chip.sw(&select()), 0x9000);
        for counter in [COUNTER, OTHER] {
            assert_eq!(chip.sw(&create_counter(counter)), 0x9000);
            assert_eq!(chip.sw(&increment(counter)), 0x9000);
        }
        chip
    }

    fn response(&mut self, apdu: &[u8]) -> Response {
        Response::parse(&self.element.transmit(apdu)).unwrap()
    }

    fn sw(&mut self, apdu: &[u8]) -> u16 {
        self.response(apdu).sw.0
    }

    fn value(&mut self, id: [u8; 4]) -> Vec<u8> {
        tlv::Tlvs::parse(&self.response(&read(id)).data).unwrap().required(TAG_1).unwrap().to_vec()
    }

    fn arm(&self, line: &str) {
        arm(self.dir.path(), line);
    }

    fn restart(self) -> Self {
        let Self { dir, element } = self;
        drop(element);
        let element = Element::open(dir.path()).unwrap();
        let mut chip = Self { dir, element };
        assert_eq!(chip.sw(&select()), 0x9000);
        chip
    }

    fn armed(&self) -> Vec<String> {
        Fault::armed(self.dir.path()).unwrap().iter().map(ToString::to_string).collect()
    }
}

#[test]
fn the_old_words_in_the_old_way() {
    for (word, expected) in
        [("power-cut-before-commit", [0, 0, 0, 1]), ("power-cut-after-commit\n", [0, 0, 0, 2])]
    {
        let mut chip = Chip::new();
        std::fs::write(chip.dir.path().join("fault"), word).unwrap();
        assert!(chip.element.transmit(&increment(COUNTER)).is_empty());
        assert!(!chip.element.is_powered());
        let mut chip = chip.restart();
        assert_eq!(chip.value(COUNTER), expected);
        assert!(chip.armed().is_empty());
    }
}

#[test]
fn a_lost_response_is_carried_out_and_the_element_goes_on() {
    let mut chip = Chip::new();
    chip.arm("instruction=01 lost-response");
    assert_eq!(chip.value(COUNTER), [0, 0, 0, 1], "another instruction");
    let answer = chip.element.answer(&mut Session::default(), &[0x80, 0x01]);
    assert!(answer.lost && answer.bytes.is_empty(), "even a refusal is lost");
    assert!(chip.element.is_powered());
    chip.arm("apdu=2 lost-response");
    assert_eq!(chip.sw(&increment(COUNTER)), 0x9000);
    assert!(chip.element.transmit(&increment(COUNTER)).is_empty());
    assert_eq!(chip.value(COUNTER), [0, 0, 0, 3]);
    assert!(chip.armed().is_empty());
}

#[test]
fn a_response_is_lost_over_tcp_with_its_connection() {
    let Chip { dir, element } = Chip::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    let server = std::thread::spawn(move || tcp::serve(&listener, element, &told));
    let exchange = |stream: &mut TcpStream, apdu: &[u8]| -> std::io::Result<Vec<u8>> {
        stream.write_all(&[&u16::try_from(apdu.len()).unwrap().to_be_bytes()[..], apdu].concat())?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut response = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut response)?;
        Ok(response)
    };
    let mut stream = TcpStream::connect(address).unwrap();
    exchange(&mut stream, &select()).unwrap();
    arm(dir.path(), "lost-response");
    assert!(exchange(&mut stream, &increment(COUNTER)).is_err());
    let mut stream = TcpStream::connect(address).unwrap();
    exchange(&mut stream, &select()).unwrap();
    assert_eq!(exchange(&mut stream, &read(COUNTER)).unwrap()[..6], [0x41, 4, 0, 0, 0, 2]);
    arm(dir.path(), "slow-key-generation=120");
    let begun = std::time::Instant::now();
    assert_eq!(exchange(&mut stream, &generate()).unwrap(), [0x90, 0x00]);
    assert!(begun.elapsed() >= Duration::from_millis(120));
    stop.store(true, Ordering::Relaxed);
    server.join().unwrap().unwrap();
}

#[test]
fn exhausted_counters_stand() {
    let mut chip = Chip::new();
    chip.arm("apdu=2 exhausted-counter=50000001");
    assert_eq!(chip.sw(&increment(COUNTER)), 0x9000);
    assert_eq!(chip.sw(&increment(COUNTER)), 0x6985);
    let set = apdu(Instruction::WriteCounter, &[(TAG_1, &COUNTER), (TAG_3, &[0, 0, 1, 0])]);
    assert_eq!(chip.sw(&set), 0x6985);
    assert_eq!(chip.sw(&increment(OTHER)), 0x9000);
    assert_eq!(chip.value(COUNTER), [0, 0, 0, 2]);
    assert_eq!(chip.armed(), ["next exhausted-counter=50000001"], "in force until it is cleared");
    let mut chip = chip.restart();
    assert_eq!(chip.sw(&increment(COUNTER)), 0x6985);
    chip.arm("exhausted-counter");
    assert_eq!(chip.sw(&increment(OTHER)), 0x6985);
    Fault::clear(chip.dir.path()).unwrap();
    assert_eq!(chip.sw(&increment(COUNTER)), 0x9000);
}

#[test]
fn full_memory_takes_nothing_and_gives_all() {
    let mut chip = Chip::new();
    assert_eq!(chip.sw(&write_file(9)), 0x9000);
    chip.arm("full-memory");
    let free = apdu(Instruction::GetFreeMemory, &[(TAG_1, &[1])]);
    assert_eq!(chip.response(&free).data, [0x41, 2, 0, 0]);
    assert_eq!(chip.sw(&generate()), 0x6A84);
    assert_eq!(chip.sw(&create_counter([0x50, 0, 0, 9])), 0x6A84);
    assert_eq!(chip.sw(&increment(COUNTER)), 0x9000, "it takes no more room");
    assert_eq!(chip.value(FILE), [0; 9]);
    assert_eq!(chip.sw(&apdu(Instruction::DeleteSecureObject, &[(TAG_1, &FILE)])), 0x9000);
    Fault::clear(chip.dir.path()).unwrap();
    assert_eq!(chip.sw(&generate()), 0x9000);
}

#[test]
fn slow_key_generation_slows_that_alone() {
    let mut chip = Chip::new();
    chip.arm("slow-key-generation=1500");
    let mut session = Session::default();
    let mut delay = |element: &mut Element, apdu: &[u8]| element.answer(&mut session, apdu).delay.as_millis();
    assert_eq!(delay(&mut chip.element, &select()), 0);
    assert_eq!(delay(&mut chip.element, &generate()), 1500);
    assert_eq!(delay(&mut chip.element, &increment(COUNTER)), 0);
    let import = apdu(Instruction::WriteBinary, &[(TAG_1, &FILE), (TAG_3, &[0, 4])]);
    assert_eq!(delay(&mut chip.element, &import), 0);
}

/// A class break: the key of an enrolled device can be read, and the element says so wherever it speaks of itself.
#[test]
fn a_class_break_leaks_keys_and_shows() {
    let mut chip = Chip::new();
    let policies = [Policy { authentication: 0, rule: rule::SIGN, extension: vec![] }];
    let policies = Policy::encode_set(&policies).unwrap();
    let new = [(TAG_POLICY, &policies[..]), (TAG_1, &KEY), (TAG_2, &[3])];
    assert_eq!(chip.sw(&apdu(Instruction::WriteEcKeyPair, &new)), 0x9000);
    assert_eq!(chip.sw(&read(KEY)), 0x6986, "its policy says so");
    let honest = Element::inspect(chip.dir.path()).unwrap();
    assert_eq!((honest.flaw, &honest.applet_version[..6]), (None, "030101"));
    let certificate = chip.value(ATTESTATION_CERTIFICATE.to_be_bytes());

    chip.arm("class-break=readable-keys");
    assert_eq!(chip.response(&select()).data[..3], [3, 1, 99]);
    for round in 0..2 {
        let scalar = chip.value(KEY);
        let signature = {
            let digest = [7; 32];
            let sign = [(TAG_1, &KEY[..]), (TAG_2, &[0x21]), (TAG_3, &digest)];
            chip.value_of(&apdu(Instruction::EcdsaSign, &sign))
        };
        assert_eq!(scalar.len(), 32);
        assert!(is_key_of(&scalar, &signature), "round {round}");
        assert_eq!(chip.value(ATTESTATION_KEY.to_be_bytes()).len(), 32, "also the one that vouches");
        assert_eq!(chip.value_of(&apdu(Instruction::GetVersion, &[]))[..3], [3, 1, 99]);
        let named = chip.value(ATTESTATION_CERTIFICATE.to_be_bytes());
        assert_ne!(named, certificate);
        let has = |text: &str| named.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(has("applet 030163") && !has("applet 030101"));
        let inspected = Element::inspect(chip.dir.path()).unwrap();
        assert_eq!(inspected.flaw, Some(Flaw::ReadableKeys));
        assert_eq!(&inspected.applet_version[..6], "030163");
        chip = chip.restart();
    }
    assert!(chip.armed().is_empty());

    let dir = tempfile::tempdir().unwrap();
    let flawed = Class { flaw: Some(Flaw::ReadableKeys), ..Class::default() };
    drop(Element::create_of_class(dir.path(), now(), flawed).unwrap());
    assert_eq!(Element::inspect(dir.path()).unwrap().flaw, Some(Flaw::ReadableKeys));
}

impl Chip {
    fn value_of(&mut self, apdu: &[u8]) -> Vec<u8> {
        tlv::Tlvs::parse(&self.response(apdu).data).unwrap().required(TAG_1).unwrap().to_vec()
    }
}

/// Whether a signature over 32 bytes of 07 verifies under the public half of the scalar.
fn is_key_of(scalar: &[u8], signature: &[u8]) -> bool {
    use aws_lc_rs::digest::{Digest, SHA256};
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, ParsedPublicKey,
    };
    let head = hex::decode("30310201010420").unwrap();
    let der = [&head[..], scalar, &hex::decode("a00a06082a8648ce3d030107").unwrap()].concat();
    let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, &der).unwrap();
    let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, pair.public_key().as_ref()).unwrap();
    let digest = Digest::import_less_safe(&[7; 32], &SHA256).unwrap();
    key.verify_digest_sig(&digest, signature).is_ok()
}

#[test]
fn what_an_owner_sees_of_a_running_element() {
    let mut chip = Chip::new();
    assert_eq!(chip.sw(&generate()), 0x9000);
    chip.arm("apdu=9 full-memory");
    let seen = Element::inspect(chip.dir.path()).unwrap();
    assert_eq!(seen.chip_id, hex::encode(chip.element.chip_id()));
    assert_eq!((seen.starts, seen.life_cycle.as_str()), (1, "OP_READY"));
    assert_eq!(seen.instances.len(), 3);
    assert_eq!(seen.instances[2].aid, hex::encode(AID));
    assert_eq!(seen.key_sets.len(), 8);
    assert_eq!((seen.key_sets[2].version.as_str(), seen.key_sets[2].bits), ("32", 256));
    let counter = seen.objects.iter().find(|object| object.id == "50000001").unwrap();
    assert_eq!((counter.object_type.as_str(), counter.value), ("counter", Some(1)));
    assert_eq!(seen.faults, ["apdu=9 full-memory"]);
    let json = serde_json::to_string(&seen).unwrap();
    assert!(!json.contains("404142"), "a key is shown");
    let none = tempfile::tempdir().unwrap();
    assert!(matches!(Element::inspect(none.path()), Err(ElementError::Missing { .. })));
    assert_eq!(Element::open(chip.dir.path()).unwrap_err().code(), "EL-0003", "it is still in use");
}

#[test]
fn what_is_no_fault_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut element = Element::create(dir.path(), now()).unwrap();
    std::fs::write(dir.path().join("fault"), "power-cat\n").unwrap();
    assert!(element.transmit(&select()).is_empty(), "rather than going on as if nothing was armed");
    drop(element);
    let refused = Element::open(dir.path()).unwrap_err();
    assert!(refused.to_string().contains("power-cut-in-write"), "{refused}");
    // Armed twice is struck twice; a file that is replaced is seen.
    std::fs::remove_file(dir.path().join("fault")).unwrap();
    let cut = Fault { when: Trigger::Next, what: Effect::LoseResponse };
    let mut element = Element::open(dir.path()).unwrap();
    cut.arm(dir.path()).unwrap();
    cut.arm(dir.path()).unwrap();
    assert!(element.transmit(&select()).is_empty());
    assert!(element.transmit(&select()).is_empty());
    assert!(!element.transmit(&select()).is_empty());
    std::fs::write(dir.path().join("new"), "lost-response").unwrap();
    std::fs::rename(dir.path().join("new"), dir.path().join("fault")).unwrap();
    assert!(element.transmit(&select()).is_empty());
    assert!(!element.transmit(&select()).is_empty());
}
