//! No command gives a private key away, and none makes the attestation key sign what a host chose.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test helpers: a surprise is a panic")]

use proptest::prelude::*;
use touchmark_element::Element;
use touchmark_identity::apdu::Command;
use touchmark_identity::apdu::se05x::{AID, ATTESTATION_KEY, CURVE_NIST_P256, Instruction, TAG_1, TAG_2};
use touchmark_identity::apdu::tlv;

const KEY: u32 = 0x4000_0010;

struct Victim {
    dir: tempfile::TempDir,
    element: Element,
    /// Halves of the private scalars: of the generated key, of the attestation key, and of the one for sessions.
    secrets: Vec<Vec<u8>>,
}

fn victim() -> Victim {
    let dir = tempfile::tempdir().unwrap();
    let mut element = Element::create(dir.path(), "2026-11-20T00:00:00Z".parse().unwrap()).unwrap();
    let select = Command { cla: 0, ins: 0xA4, p1: 4, p2: 0, data: AID.to_vec(), le: Some(256) };
    element.transmit(&select.encode().unwrap());
    let id = KEY.to_be_bytes();
    let generate = tlv::encode(&[(TAG_1, &id), (TAG_2, &[CURVE_NIST_P256])]).unwrap();
    let done = element.transmit(&Instruction::WriteEcKeyPair.command(generate).encode().unwrap());
    assert_eq!(done, [0x90, 0x00]);

    // The state file is the one place where the keys stand: PKCS#8, whose scalar follows 020101 0420.
    let state = std::fs::read(dir.path().join("state")).unwrap();
    let state = String::from_utf8_lossy(&state);
    let secrets: Vec<Vec<u8>> = state
        .match_indices("0201010420")
        .flat_map(|(at, mark)| {
            let scalar = hex::decode(&state[at + mark.len()..at + mark.len() + 64]).unwrap();
            [scalar[..16].to_vec(), scalar[16..].to_vec()]
        })
        .collect();
    assert_eq!(secrets.len(), 6, "the state does not hold three keys as this test expects");
    Victim { dir, element, secrets }
}

impl Victim {
    fn ask(&mut self, apdu: &[u8]) {
        let mut response = self.element.transmit(apdu);
        while let [.., 0x61, _] = response.as_slice() {
            self.check(&response, apdu);
            response = self.element.transmit(&[0, 0xC0, 0, 0, 0]);
        }
        self.check(&response, apdu);
    }

    fn check(&self, response: &[u8], apdu: &[u8]) {
        for secret in &self.secrets {
            let leaked = response.windows(secret.len()).any(|window| window == secret);
            assert!(!leaked, "a private key came back to {}", hex::encode(apdu));
        }
    }
}

#[test]
fn no_header_reads_a_private_key() {
    let mut victim = victim();
    let id = KEY.to_be_bytes();
    let data = tlv::encode(&[(TAG_1, &id)]).unwrap();
    let parameters: Vec<u8> = (0..=0x13).chain([0x20, 0x21, 0x40, 0x41, 0x60, 0x61, 0x80, 0xFF]).collect();
    for ins in 0..=0xFF {
        for &p1 in &parameters {
            for p2 in 0..=0xFF {
                // The commands that change or delete the key are tried by themselves below.
                if ins != 0x01 && (ins, p1, p2) != (0x04, 0x00, 0x28) {
                    let command = Command { cla: 0x80, ins, p1, p2, data: data.clone(), le: Some(256) };
                    victim.ask(&command.encode().unwrap());
                }
            }
        }
    }
    drop(victim.dir);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Any fields, on any command of the table, about either key.
    #[test]
    fn no_fields_read_a_private_key(
        asks in proptest::collection::vec(
            (0..Instruction::ALL.len(), any::<bool>(), proptest::collection::btree_map(0x11u8..=0x4B, prop_oneof![
                Just(KEY.to_be_bytes().to_vec()),
                Just(ATTESTATION_KEY.to_be_bytes().to_vec()),
                Just(vec![0x21]),
                Just(vec![3]),
                proptest::collection::vec(any::<u8>(), 0..40),
            ], 0..6)),
            1..30,
        )
    ) {
        let mut victim = victim();
        for (instruction, which, fields) in asks {
            let id = if which { KEY } else { ATTESTATION_KEY }.to_be_bytes();
            let mut entries: Vec<(u8, &[u8])> = vec![(TAG_1, &id)];
            entries.extend(fields.iter().filter(|(tag, _)| **tag != TAG_1).map(|(tag, value)| (*tag, value.as_slice())));
            let command = Instruction::ALL[instruction].command(tlv::encode(&entries).unwrap());
            victim.ask(&command.encode().unwrap());
        }
    }

    #[test]
    fn any_bytes_are_answered(apdu in proptest::collection::vec(any::<u8>(), 0..60)) {
        let mut victim = victim();
        prop_assert!(victim.element.transmit(&apdu).len() >= 2);
    }
}
