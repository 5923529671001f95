//! Each bit of a policy: without it the command is refused, with it alone the command is carried out.

use touchmark_identity::apdu::se05x::{
    AES_ECB, CMAC_AES, CURVE_NIST_P256, ECDSA_SHA256, Instruction, Policy, SHA256, TAG_1, TAG_2, TAG_3,
    TAG_4, TAG_5, TAG_6, TAG_7, TAG_POLICY, rule,
};

use crate::host::{Answer, Host, NOT_SUITED, POLICY, policy};

const ID: [u8; 4] = [0x40, 0, 0, 1];
const OTHER: [u8; 4] = [0x40, 0, 0, 2];
const USER: u32 = 0x4000_0009;
const ALL: u32 = 0x1FFC_9000;

type Act = fn(&mut Host) -> Answer;
type Make = fn(&mut Host, &[u8]) -> Answer;

fn pair(host: &mut Host, set: &[u8]) -> Answer {
    host.ask(Instruction::WriteEcKeyPair, &[(TAG_POLICY, set), (TAG_1, &ID), (TAG_2, &[CURVE_NIST_P256])])
}

fn aes(host: &mut Host, set: &[u8]) -> Answer {
    host.ask(Instruction::WriteAesKey, &[(TAG_POLICY, set), (TAG_1, &ID), (TAG_3, &[1; 16])])
}

fn transient_aes(host: &mut Host, set: &[u8]) -> Answer {
    host.transient(Instruction::WriteAesKey, &[(TAG_POLICY, set), (TAG_1, &ID), (TAG_3, &[1; 16])])
}

fn hmac(host: &mut Host, set: &[u8]) -> Answer {
    host.ask(Instruction::WriteHmacKey, &[(TAG_POLICY, set), (TAG_1, &ID), (TAG_3, &[1; 16])])
}

fn file(host: &mut Host, set: &[u8]) -> Answer {
    host.ask(Instruction::WriteBinary, &[(TAG_POLICY, set), (TAG_1, &ID), (TAG_3, &[0, 1]), (TAG_4, &[7])])
}

fn counter(host: &mut Host, set: &[u8]) -> Answer {
    host.ask(Instruction::WriteCounter, &[(TAG_POLICY, set), (TAG_1, &ID), (TAG_2, &[0, 2])])
}

fn pcr(host: &mut Host, set: &[u8]) -> Answer {
    host.ask(Instruction::WritePcr, &[(TAG_POLICY, set), (TAG_1, &ID), (TAG_2, &[0; 32])])
}

fn sign(host: &mut Host) -> Answer {
    host.ask(Instruction::EcdsaSign, &[(TAG_1, &ID), (TAG_2, &[ECDSA_SHA256]), (TAG_3, &[7; 32])])
}

fn verify(host: &mut Host) -> Answer {
    let fields = [(TAG_1, &ID[..]), (TAG_2, &[ECDSA_SHA256]), (TAG_3, &[7; 32]), (TAG_5, &[0])];
    host.ask(Instruction::EcdsaVerify, &fields)
}

fn agree(host: &mut Host) -> Answer {
    let peer = host.generate(u32::from_be_bytes(OTHER), CURVE_NIST_P256);
    host.ask(Instruction::Ecdh, &[(TAG_1, &ID), (TAG_2, &peer)])
}

fn mac(host: &mut Host) -> Answer {
    host.ask(Instruction::MacGenerate, &[(TAG_1, &ID), (TAG_2, &[CMAC_AES]), (TAG_3, b"x")])
}

fn check_mac(host: &mut Host) -> Answer {
    host.ask(Instruction::MacValidate, &[(TAG_1, &ID), (TAG_2, &[CMAC_AES]), (TAG_3, b"x"), (TAG_5, b"y")])
}

fn encrypt(host: &mut Host) -> Answer {
    host.ask(Instruction::EncryptOneShot, &[(TAG_1, &ID), (TAG_2, &[AES_ECB]), (TAG_3, &[0; 16])])
}

fn decrypt(host: &mut Host) -> Answer {
    host.ask(Instruction::DecryptOneShot, &[(TAG_1, &ID), (TAG_2, &[AES_ECB]), (TAG_3, &[0; 16])])
}

fn derive(host: &mut Host) -> Answer {
    host.ask(Instruction::Hkdf, &[(TAG_1, &ID), (TAG_2, &[SHA256]), (TAG_5, &[0, 16])])
}

fn salt(host: &mut Host) -> Answer {
    host.write_hmac(u32::from_be_bytes(OTHER), &[3; 8]).unwrap();
    host.ask(Instruction::Hkdf, &[(TAG_1, &OTHER), (TAG_2, &[SHA256]), (TAG_5, &[0, 16]), (TAG_6, &ID)])
}

fn stretch(host: &mut Host) -> Answer {
    host.ask(Instruction::Pbkdf2, &[(TAG_1, &ID), (TAG_3, &[0, 1]), (TAG_4, &[0, 16])])
}

fn unwrap(host: &mut Host) -> Answer {
    // The key 00..0F of RFC 3394 does not stand there, so that a permitted command fails over the value.
    host.ask(Instruction::WriteAesKey, &[(TAG_1, &OTHER), (TAG_2, &ID), (TAG_3, &[0; 24])])
}

fn read(host: &mut Host) -> Answer {
    host.ask(Instruction::ReadObject, &[(TAG_1, &ID)])
}

fn write_file(host: &mut Host) -> Answer {
    host.ask(Instruction::WriteBinary, &[(TAG_1, &ID), (TAG_4, &[8])])
}

fn count(host: &mut Host) -> Answer {
    host.ask(Instruction::WriteCounter, &[(TAG_1, &ID)])
}

fn extend(host: &mut Host) -> Answer {
    host.ask(Instruction::WritePcr, &[(TAG_1, &ID), (TAG_3, b"data")])
}

fn reset(host: &mut Host) -> Answer {
    host.ask(Instruction::WritePcr, &[(TAG_1, &ID)])
}

fn write_aes(host: &mut Host) -> Answer {
    host.ask(Instruction::WriteAesKey, &[(TAG_1, &ID), (TAG_3, &[2; 16])])
}

fn generate(host: &mut Host) -> Answer {
    host.ask(Instruction::WriteEcKeyPair, &[(TAG_1, &ID)])
}

fn delete(host: &mut Host) -> Answer {
    host.ask(Instruction::DeleteSecureObject, &[(TAG_1, &ID)])
}

fn vouch(host: &mut Host) -> Answer {
    let fields =
        [(TAG_1, &[0x7F, 0xFF, 0x02, 0x06][..]), (TAG_5, &ID), (TAG_6, &[ECDSA_SHA256]), (TAG_7, &[0; 16])];
    host.ask(Instruction::ReadObjectAttested, &fields)
}

fn export(host: &mut Host) -> Answer {
    host.ask(Instruction::ExportObject, &[(TAG_1, &ID)])
}

fn derive_into(host: &mut Host) -> Answer {
    host.write_hmac(0x4000_0003, &[3; 8]).unwrap();
    let fields = [(TAG_1, &[0x40, 0, 0, 3][..]), (TAG_2, &[SHA256]), (TAG_5, &[0, 16]), (TAG_7, &ID)];
    host.ask(Instruction::Hkdf, &fields)
}

const BITS: [(u32, Make, Act); 25] = [
    (rule::SIGN, pair, sign),
    (rule::VERIFY, pair, verify),
    (rule::AGREE, pair, agree),
    (rule::SIGN, aes, mac),
    (rule::VERIFY, aes, check_mac),
    (rule::ENCRYPT, aes, encrypt),
    (rule::DECRYPT, aes, decrypt),
    (rule::DERIVE, hmac, derive),
    (rule::DERIVE, hmac, salt),
    (rule::DERIVE, hmac, stretch),
    (rule::WRAP, aes, unwrap),
    (rule::READ, file, read),
    (rule::READ, pair, read),
    (rule::READ, counter, read),
    (rule::READ, pcr, read),
    (rule::WRITE, file, write_file),
    (rule::WRITE, counter, count),
    (rule::WRITE, pcr, extend),
    (rule::DELETE, pcr, reset),
    (rule::WRITE, aes, write_aes),
    (rule::WRITE, hmac, derive_into),
    (rule::GENERATE, pair, generate),
    (rule::DELETE, file, delete),
    (rule::ATTEST, pair, vouch),
    (rule::IMPORT_EXPORT, transient_aes, export),
];

#[test]
fn each_bit_alone_allows_and_its_absence_forbids() {
    for (at, (bit, make, act)) in BITS.into_iter().enumerate() {
        let mut host = Host::new();
        make(&mut host, &policy(0, ALL & !bit)).unwrap();
        assert_eq!(act(&mut host), Err(POLICY), "{at}: all but {bit:08x}");
        let mut host = Host::new();
        make(&mut host, &policy(0, bit)).unwrap();
        let expected_refusal = (bit == rule::WRAP).then_some(0x6A80);
        assert_eq!(act(&mut host).err(), expected_refusal, "{at}: {bit:08x} alone");
        let mut host = Host::new();
        make(&mut host, &policy(0, bit | rule::FORBID_ALL)).unwrap();
        assert_eq!(act(&mut host), Err(POLICY), "{at}: {bit:08x} with FORBID_ALL");
    }
}

#[test]
fn without_policies_everything_but_vouching_is_allowed() {
    for (at, (bit, _, act)) in BITS.into_iter().enumerate() {
        let mut host = Host::new();
        let made: &[(u8, &[u8])] = &[(TAG_1, &ID)];
        let with = |more: &'static [(u8, &'static [u8])]| [made, more].concat();
        match bit {
            rule::SIGN | rule::VERIFY | rule::AGREE | rule::GENERATE | rule::ATTEST
                if !(3..=4).contains(&at) =>
            {
                host.ask(Instruction::WriteEcKeyPair, &with(&[(TAG_2, &[CURVE_NIST_P256])])).unwrap();
            }
            rule::DERIVE => drop(host.ask(Instruction::WriteHmacKey, &with(&[(TAG_3, &[1; 16])])).unwrap()),
            rule::SIGN | rule::VERIFY | rule::ENCRYPT | rule::DECRYPT => {
                host.ask(Instruction::WriteAesKey, &with(&[(TAG_3, &[1; 16])])).unwrap();
            }
            _ => continue,
        }
        assert_eq!(act(&mut host).err(), (bit == rule::ATTEST).then_some(POLICY), "{at}");
    }
}

#[test]
fn the_own_policy_counts_instead_of_everybodys() {
    let set = |rules: &[(u32, u32)]| {
        let policies: Vec<Policy> = rules
            .iter()
            .map(|&(authentication, rule)| Policy { authentication, rule, extension: vec![] })
            .collect();
        Policy::encode_set(&policies).unwrap()
    };
    for (rules, outside, inside) in [
        (vec![(USER, rule::READ)], false, true),
        (vec![(0, rule::READ)], true, true),
        (vec![(0, rule::READ), (USER, rule::WRITE)], true, false),
        (vec![(0, rule::WRITE), (USER, rule::READ)], false, true),
        (vec![(0, rule::READ), (USER, rule::READ | rule::FORBID_ALL)], true, false),
        (vec![(USER + 1, rule::READ)], false, false),
    ] {
        let mut host = Host::new();
        host.write_user_id(USER, 0, b"secret").unwrap();
        file(&mut host, &set(&rules)).unwrap();
        let expected = |good: bool| (!good).then_some(POLICY);
        assert_eq!(read(&mut host).err(), expected(outside), "{rules:?}");
        let mut session = host.user_session(USER, b"secret").unwrap();
        assert_eq!(session.read(&mut host, u32::from_be_bytes(ID)).err(), expected(inside), "{rules:?}");
    }
    let mut host = Host::new();
    let one = policy(0, rule::READ);
    assert_eq!(file(&mut host, &[one.clone(), one].concat()), Err(0x6984), "two policies for everybody");
    assert_eq!(file(&mut host, &[8, 0, 0, 0]), Err(0x6984), "cut short");
}

#[test]
fn a_policy_can_ask_for_the_value_of_a_pcr() {
    let mut host = Host::new();
    let with = |value: [u8; 32]| {
        let extension = [&OTHER[..], &value].concat();
        let rule = rule::READ | rule::REQUIRE_PCR;
        Policy::encode_set(&[Policy { authentication: 0, rule, extension }]).unwrap()
    };
    file(&mut host, &with([5; 32])).unwrap();
    assert_eq!(read(&mut host), Err(POLICY), "there is no such PCR");
    host.ask(Instruction::WritePcr, &[(TAG_1, &OTHER), (TAG_2, &[5; 32])]).unwrap();
    assert!(read(&mut host).is_ok());
    host.ask(Instruction::WritePcr, &[(TAG_1, &OTHER), (TAG_3, b"boot")]).unwrap();
    assert_eq!(read(&mut host), Err(POLICY), "it has another value");
    host.ask(Instruction::WritePcr, &[(TAG_1, &OTHER)]).unwrap();
    assert!(read(&mut host).is_ok(), "it is back");
    host.delete(u32::from_be_bytes(OTHER)).unwrap();
    host.write_file(u32::from_be_bytes(OTHER), &[]).unwrap();
    assert_eq!(read(&mut host), Err(POLICY), "a binary object is no PCR");
    // A PCR rule without its extension is malformed.
    assert_eq!(file(&mut Host::new(), &[8, 0, 0, 0, 0, 0x00, 0x21, 0, 0]), Err(0x6984));
}

#[test]
fn what_is_derived_can_be_kept_on_the_card() {
    let target = [0x40, 0, 0, 4];
    let kept = policy(0, ALL | rule::FORBID_DERIVED_OUTPUT);
    for (make, act, into) in [
        (
            pair as Make,
            agree as Act,
            (|host: &mut Host| {
                let peer = host.generate(0x4000_0005, CURVE_NIST_P256);
                host.ask(Instruction::Ecdh, &[(TAG_1, &ID), (TAG_2, &peer), (TAG_7, &[0x40, 0, 0, 4])])
            }) as Act,
        ),
        (hmac, derive, |host| {
            let fields = [(TAG_1, &ID[..]), (TAG_2, &[SHA256]), (TAG_5, &[0, 16]), (TAG_7, &[0x40, 0, 0, 4])];
            host.ask(Instruction::Hkdf, &fields)
        }),
        (hmac, salt, |host| {
            let fields = [
                (TAG_1, &OTHER[..]),
                (TAG_2, &[SHA256]),
                (TAG_5, &[0, 16]),
                (TAG_6, &ID),
                (TAG_7, &[0x40, 0, 0, 4]),
            ];
            host.ask(Instruction::Hkdf, &fields)
        }),
    ] {
        let mut host = Host::new();
        make(&mut host, &kept).unwrap();
        assert_eq!(act(&mut host), Err(POLICY));
        assert_eq!(into(&mut host), Err(NOT_SUITED), "the target is not there");
        host.write_hmac(u32::from_be_bytes(target), &[1]).unwrap();
        assert_eq!(into(&mut host).unwrap(), Vec::<u8>::new());
    }
}
