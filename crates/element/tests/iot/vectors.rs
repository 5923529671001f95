//! Published vectors: NIST SP 800-38A appendix F, RFC 3394 §4, RFC 4231 §4, RFC 4493 §4, RFC 5869 appendix A, RFC 7748 §6.1,
//! RFC 8032 §7.1, FIPS 180-4.

use touchmark_identity::apdu::se05x::{
    AES_CBC, AES_CBC_ISO9797_M1, AES_CBC_ISO9797_M2, AES_CBC_PKCS5, AES_CTR, AES_ECB, CMAC_AES,
    CONTEXT_CIPHER, CONTEXT_DIGEST, CONTEXT_MAC, CURVE_ED25519, CURVE_X25519, EDDSA, HMAC_SHA1, HMAC_SHA256,
    HMAC_SHA384, HMAC_SHA512, Instruction, SHA1, SHA224, SHA256, SHA384, SHA512, TAG_1, TAG_2, TAG_3, TAG_4,
    TAG_5, TAG_6, TAG_7,
};

use crate::host::{Answer, FIELD, Host, NOT_SUITED};

const KEY: u32 = 0x1000_0001;
const ID: [u8; 4] = KEY.to_be_bytes();
const OTHER: u32 = 0x1000_0002;
const OBJECT: [u8; 2] = [0x00, 0x07];

fn hex(text: &str) -> Vec<u8> {
    hex::decode(text.replace(char::is_whitespace, "")).unwrap()
}

fn reversed(text: &str) -> Vec<u8> {
    hex(text).into_iter().rev().collect()
}

/// SP 800-38A, the four blocks of every example.
const PLAIN: &str = "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51
    30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710";
const IV: &str = "000102030405060708090a0b0c0d0e0f";
const COUNTER: &str = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";
const KEYS: [&str; 3] = [
    "2b7e151628aed2a6abf7158809cf4f3c",
    "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
    "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
];
/// ECB (F.1), CBC (F.2), CTR (F.5) for each key.
const CIPHERS: [[&str; 3]; 3] = [
    [
        "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf43b1cd7f598ece23881b00e3ed0306887b0c785e27e8ad3f8223207104725dd4",
        "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b273bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7",
        "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee",
    ],
    [
        "bd334f1d6e45f25ff712a214571fa5cc974104846d0ad3ad7734ecb3ecee4eefef7afd2270e2e60adce0ba2face6444e9a4b41ba738d6c72fb16691603c18e0e",
        "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a571b242012fb7ae07fa9baac3df102e008b0e27988598881d920a9e64f5615cd",
        "1abc932417521ca24f2b0459fe7e6e0b090339ec0aa6faefd5ccc2c6f4ce8e941e36b26bd1ebc670d1bd1d665620abf74f78a7f6d29809585a97daec58c6b050",
    ],
    [
        "f3eed1bdb5d2a03c064b5a7e3db181f8591ccb10d410ed26dc5ba74a31362870b6ed21b99ca6f4f9f153e7b1beafed1d23304b7a39f9f3ff067d8d8f9e24ecc7",
        "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b",
        "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c52b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6",
    ],
];

fn one_shot(host: &mut Host, instruction: Instruction, mode: u8, data: &[u8], iv: &[u8]) -> Answer {
    let mut fields: Vec<(u8, &[u8])> =
        vec![(TAG_1, &ID), (TAG_2, std::slice::from_ref(&mode)), (TAG_3, data)];
    if !iv.is_empty() {
        fields.push((TAG_4, iv));
    }
    host.value(instruction, &fields)
}

/// The same in parts of `step` bytes through a crypto object.
fn in_parts(host: &mut Host, init: Instruction, mode: u8, data: &[u8], iv: &[u8], step: usize) -> Answer {
    let made = [(TAG_1, &OBJECT[..]), (TAG_2, &[CONTEXT_CIPHER]), (TAG_3, &[mode])];
    host.ask(Instruction::CreateCryptoObject, &made)?;
    let mut fields: Vec<(u8, &[u8])> = vec![(TAG_1, &ID), (TAG_2, &OBJECT)];
    if !iv.is_empty() {
        fields.push((TAG_4, iv));
    }
    host.ask(init, &fields)?;
    let mut out = Vec::new();
    let mut parts = data.chunks(step).peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        let next = if last { Instruction::CipherFinal } else { Instruction::CipherUpdate };
        out.extend(host.value(next, &[(TAG_2, &OBJECT), (TAG_3, part)])?);
    }
    host.ask(Instruction::DeleteCryptoObject, &[(TAG_1, &OBJECT)])?;
    Ok(out)
}

#[test]
fn aes_as_in_sp_800_38a_at_once_and_in_parts() {
    let mut host = Host::new();
    let plain = hex(PLAIN);
    for (key, expected) in KEYS.iter().zip(CIPHERS) {
        host.write_aes(KEY, &hex(key)).unwrap();
        let modes = [(AES_ECB, ""), (AES_CBC, IV), (AES_CTR, COUNTER)];
        for ((mode, iv), expected) in modes.into_iter().zip(expected) {
            let (iv, expected) = (hex(iv), hex(expected));
            let whole = one_shot(&mut host, Instruction::EncryptOneShot, mode, &plain, &iv).unwrap();
            assert_eq!(whole, expected, "{mode:02x}");
            let back = one_shot(&mut host, Instruction::DecryptOneShot, mode, &expected, &iv).unwrap();
            assert_eq!(back, plain, "{mode:02x}");
            for step in [1, 15, 16, 17, 40] {
                let out = in_parts(&mut host, Instruction::EncryptInit, mode, &plain, &iv, step).unwrap();
                assert_eq!(out, expected, "{mode:02x} {step}");
                let back = in_parts(&mut host, Instruction::DecryptInit, mode, &expected, &iv, step).unwrap();
                assert_eq!(back, plain, "{mode:02x} {step}");
            }
        }
    }
}

#[test]
fn padding_and_what_is_refused_of_ciphers() {
    let mut host = Host::new();
    host.write_aes(KEY, &hex(KEYS[0])).unwrap();
    let iv = hex(IV);
    for length in [0, 1, 15, 16, 17, 32] {
        let data = vec![0xA5; length];
        for (mode, full) in [(AES_CBC_ISO9797_M1, false), (AES_CBC_ISO9797_M2, true), (AES_CBC_PKCS5, true)] {
            let out = one_shot(&mut host, Instruction::EncryptOneShot, mode, &data, &iv).unwrap();
            let blocks = if full { length / 16 + 1 } else { length.div_ceil(16) };
            assert_eq!(out.len(), 16 * blocks, "{mode:02x} {length}");
            let back = one_shot(&mut host, Instruction::DecryptOneShot, mode, &out, &iv).unwrap();
            if full {
                assert_eq!(back, data, "{mode:02x} {length}");
            } else {
                assert_eq!(back[..length], data, "{mode:02x} {length}");
                assert!(back[length..].iter().all(|byte| *byte == 0));
            }
            let again = in_parts(&mut host, Instruction::DecryptInit, mode, &out, &iv, 5);
            if !out.is_empty() {
                assert_eq!(again.unwrap(), back, "{mode:02x} {length}");
            }
        }
    }
    // The last block of PKCS#5 by hand: 15 bytes and 01.
    let padded = one_shot(&mut host, Instruction::EncryptOneShot, AES_CBC_PKCS5, &[7; 15], &iv).unwrap();
    let plain = one_shot(&mut host, Instruction::DecryptOneShot, AES_CBC, &padded, &iv).unwrap();
    assert_eq!(plain, [&[7; 15][..], &[1]].concat());
    // Without an initial value it is zero.
    let zero = one_shot(&mut host, Instruction::EncryptOneShot, AES_CBC, &[0; 16], &[]).unwrap();
    assert_eq!(zero, one_shot(&mut host, Instruction::EncryptOneShot, AES_ECB, &[0; 16], &[]).unwrap());

    for mode in [AES_ECB, AES_CBC] {
        let cut = one_shot(&mut host, Instruction::EncryptOneShot, mode, &[0; 17], &[]);
        assert_eq!(cut, Err(NOT_SUITED), "{mode:02x}");
    }
    let wrong = one_shot(&mut host, Instruction::DecryptOneShot, AES_CBC_PKCS5, &[0; 16], &iv);
    assert_eq!(wrong, Err(NOT_SUITED));
    assert_eq!(one_shot(&mut host, Instruction::EncryptOneShot, AES_CBC, &[0; 16], &iv[1..]), Err(FIELD));
    assert_eq!(one_shot(&mut host, Instruction::EncryptOneShot, 0x01, &[0; 16], &iv), Err(FIELD), "DES");
    for length in [0, 8, 15, 17, 33] {
        assert_eq!(host.write_aes(KEY, &vec![1; length]), Err(FIELD), "{length}");
    }
    // An HMAC key is no AES key, and a missing key comes before everything else.
    host.write_hmac(OTHER, &[1; 16]).unwrap();
    let fields = |id: &'static [u8]| [(TAG_1, id), (TAG_2, &[0x01]), (TAG_3, &[0; 3][..])];
    assert_eq!(host.ask(Instruction::EncryptOneShot, &fields(&[0x10, 0, 0, 2])), Err(FIELD));
    assert_eq!(host.ask(Instruction::EncryptOneShot, &fields(&[0, 0, 0, 0])), Err(NOT_SUITED));
    assert_eq!(host.ask(Instruction::EncryptOneShot, &fields(&[0x10, 0, 0, 9])), Err(NOT_SUITED));
    // Keys do not come out.
    assert_eq!(host.ask(Instruction::ReadObject, &[(TAG_1, &ID)]), Err(NOT_SUITED));
    assert_eq!(host.ask(Instruction::ReadObject, &[(TAG_1, &OTHER.to_be_bytes())]), Err(NOT_SUITED));
}

fn mac(host: &mut Host, id: u32, algorithm: u8, data: &[u8]) -> Answer {
    let id = id.to_be_bytes();
    let whole =
        host.value(Instruction::MacGenerate, &[(TAG_1, &id), (TAG_2, &[algorithm]), (TAG_3, data)])?;
    // The same through a crypto object, byte by byte, and checked in all four ways.
    host.ask(
        Instruction::CreateCryptoObject,
        &[(TAG_1, &OBJECT), (TAG_2, &[CONTEXT_MAC]), (TAG_3, &[algorithm])],
    )?;
    host.ask(Instruction::MacGenerateInit, &[(TAG_1, &id), (TAG_2, &OBJECT)])?;
    for byte in data {
        host.ask(Instruction::MacUpdate, &[(TAG_1, &[*byte]), (TAG_2, &OBJECT)])?;
    }
    assert_eq!(host.value(Instruction::MacFinal, &[(TAG_1, &[]), (TAG_2, &OBJECT)])?, whole);
    let mut wrong = whole.clone();
    wrong[0] ^= 1;
    for (given, result) in [(&whole, 1), (&wrong, 2), (&whole[..whole.len() - 1].to_vec(), 2)] {
        host.ask(Instruction::MacValidateInit, &[(TAG_1, &id), (TAG_2, &OBJECT)])?;
        let end = [(TAG_1, data), (TAG_2, &OBJECT[..]), (TAG_3, given)];
        assert_eq!(host.value(Instruction::MacFinal, &end)?, [result]);
        let once = [(TAG_1, &id[..]), (TAG_2, &[algorithm]), (TAG_3, data), (TAG_5, given)];
        assert_eq!(host.value(Instruction::MacValidate, &once)?, [result]);
    }
    host.ask(Instruction::DeleteCryptoObject, &[(TAG_1, &OBJECT)])?;
    Ok(whole)
}

#[test]
fn cmac_as_in_rfc_4493() {
    let mut host = Host::new();
    host.write_aes(KEY, &hex(KEYS[0])).unwrap();
    let data = hex(PLAIN);
    for (length, expected) in [
        (0, "bb1d6929e95937287fa37d129b756746"),
        (16, "070a16b46b4d4144f79bdd9dd04a287c"),
        (40, "dfa66747de9ae63030ca32611497c827"),
        (64, "51f0bebf7e3b9d92fc49741779363cfe"),
    ] {
        assert_eq!(mac(&mut host, KEY, CMAC_AES, &data[..length]).unwrap(), hex(expected), "{length}");
    }
    assert_eq!(mac(&mut host, KEY, HMAC_SHA256, &data), Err(NOT_SUITED), "an AES key makes no HMAC");
    assert_eq!(mac(&mut host, KEY, 0x77, &data), Err(FIELD));
}

#[test]
fn hmac_as_in_rfc_4231() {
    let mut host = Host::new();
    let cases: [(&[u8], &[u8], [&str; 4]); 3] = [
        (
            &[0x0b; 20],
            b"Hi There",
            [
                "b617318655057264e28bc0b6fb378c8ef146be00",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
                "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6",
                "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
            ],
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            [
                "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ],
        ),
        (
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            [
                "90d0dace1c1bdc957339307803160335bde6df2b",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
                "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952",
                "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
            ],
        ),
    ];
    for (key, data, expected) in cases {
        host.write_hmac(KEY, key).unwrap();
        let algorithms = [HMAC_SHA1, HMAC_SHA256, HMAC_SHA384, HMAC_SHA512];
        for (algorithm, expected) in algorithms.into_iter().zip(expected) {
            assert_eq!(mac(&mut host, KEY, algorithm, data).unwrap(), hex(expected), "{algorithm:02x}");
        }
    }
    assert_eq!(mac(&mut host, KEY, CMAC_AES, b""), Err(NOT_SUITED), "an HMAC key makes no CMAC");
    assert_eq!(host.write_hmac(KEY, &[]), Err(FIELD));
    assert_eq!(host.write_hmac(KEY, &[1; 257]), Err(FIELD));
}

#[test]
fn hkdf_as_in_rfc_5869() {
    let mut host = Host::new();
    host.write_hmac(KEY, &[0x0b; 22]).unwrap();
    let (salt, info) = (hex("000102030405060708090a0b0c"), hex("f0f1f2f3f4f5f6f7f8f9"));
    let expected =
        hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    let length = [0, 42];
    // A.1, with the salt in the command and in an object.
    let fields = [(TAG_1, &ID[..]), (TAG_2, &[SHA256]), (TAG_3, &salt), (TAG_4, &info), (TAG_5, &length)];
    assert_eq!(host.value(Instruction::Hkdf, &fields).unwrap(), expected);
    host.write_hmac(OTHER, &salt).unwrap();
    let other = OTHER.to_be_bytes();
    let fields = [(TAG_1, &ID[..]), (TAG_2, &[SHA256]), (TAG_4, &info), (TAG_5, &length), (TAG_6, &other)];
    assert_eq!(host.value(Instruction::Hkdf, &fields).unwrap(), expected);
    // A.3, without salt and info.
    let fields = [(TAG_1, &ID[..]), (TAG_2, &[SHA256]), (TAG_5, &length)];
    let expected_3 =
        hex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
    assert_eq!(host.value(Instruction::Hkdf, &fields).unwrap(), expected_3);
    // A.4, with SHA-1.
    host.write_hmac(KEY, &[0x0b; 11]).unwrap();
    let fields = [(TAG_1, &ID[..]), (TAG_2, &[SHA1]), (TAG_3, &salt), (TAG_4, &info), (TAG_5, &length)];
    let expected_4 =
        hex("085a01ea1b10f36933068b56efa5ad81a4f14b822f5b091568a9cdd4f155fda2c22e422478d305f3f896");
    assert_eq!(host.value(Instruction::Hkdf, &fields).unwrap(), expected_4);
    // The second half alone, from A.1's pseudorandom key.
    host.write_hmac(KEY, &hex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5")).unwrap();
    let fields = [(TAG_1, &ID[..]), (TAG_2, &[SHA256]), (TAG_4, &info), (TAG_5, &length)];
    assert_eq!(host.value(Instruction::HkdfExpand, &fields).unwrap(), expected);
    // Into an object: the key stays, and the MAC made with it is that of the derived bytes.
    host.write_hmac(OTHER, &[1]).unwrap();
    let fields = [(TAG_1, &ID[..]), (TAG_2, &[SHA256]), (TAG_4, &info), (TAG_5, &length), (TAG_7, &other)];
    assert_eq!(host.ask(Instruction::HkdfExpand, &fields).unwrap(), Vec::<u8>::new());
    let kept = mac(&mut host, OTHER, HMAC_SHA256, b"x").unwrap();
    host.write_hmac(OTHER, &expected).unwrap();
    assert_eq!(mac(&mut host, OTHER, HMAC_SHA256, b"x").unwrap(), kept);
    // Too much salt, info or output.
    let long = [7; 81];
    let ask = |host: &mut Host, salt: &[u8], info: &[u8], length: u16| {
        let length = length.to_be_bytes();
        let fields = [(TAG_1, &ID[..]), (TAG_2, &[SHA256]), (TAG_3, salt), (TAG_4, info), (TAG_5, &length)];
        host.value(Instruction::Hkdf, &fields)
    };
    assert_eq!(ask(&mut host, &long[..64], &long[..80], 512).unwrap().len(), 512);
    assert_eq!(ask(&mut host, &long[..65], &info, 32), Err(FIELD));
    assert_eq!(ask(&mut host, &salt, &long, 32), Err(FIELD));
    assert_eq!(ask(&mut host, &salt, &info, 513), Err(FIELD));
    assert_eq!(ask(&mut host, &salt, &info, 0), Err(FIELD));
}

#[test]
fn digests_of_abc_at_once_and_in_parts() {
    let mut host = Host::new();
    for (mode, expected) in [
        (SHA1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (SHA224, "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
        (SHA256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            SHA384,
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
        ),
        (
            SHA512,
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
    ] {
        let whole = host.value(Instruction::DigestOneShot, &[(TAG_1, &[mode]), (TAG_2, b"abc")]).unwrap();
        assert_eq!(whole, hex(expected));
        let made = [(TAG_1, &OBJECT[..]), (TAG_2, &[CONTEXT_DIGEST]), (TAG_3, &[mode])];
        host.ask(Instruction::CreateCryptoObject, &made).unwrap();
        host.ask(Instruction::DigestInit, &[(TAG_2, &OBJECT)]).unwrap();
        host.ask(Instruction::DigestUpdate, &[(TAG_2, &OBJECT), (TAG_3, b"a")]).unwrap();
        let end = host.value(Instruction::DigestFinal, &[(TAG_2, &OBJECT), (TAG_3, b"bc")]).unwrap();
        assert_eq!(end, hex(expected));
        // It is at its end, and begins anew only with an init.
        let more = host.ask(Instruction::DigestUpdate, &[(TAG_2, &OBJECT), (TAG_3, b"a")]);
        assert_eq!(more, Err(NOT_SUITED));
        host.ask(Instruction::DeleteCryptoObject, &[(TAG_1, &OBJECT)]).unwrap();
    }
    assert_eq!(host.ask(Instruction::DigestOneShot, &[(TAG_1, &[0x02]), (TAG_2, b"abc")]), Err(FIELD));
}

#[test]
fn crypto_objects_are_listed_and_keep_to_their_context() {
    let mut host = Host::new();
    host.write_aes(KEY, &[1; 16]).unwrap();
    let made = |id: [u8; 2], context: u8, algorithm: u8| vec![id.to_vec(), vec![context], vec![algorithm]];
    let create = |host: &mut Host, fields: Vec<Vec<u8>>| {
        let fields: Vec<(u8, &[u8])> =
            [TAG_1, TAG_2, TAG_3].into_iter().zip(fields.iter().map(Vec::as_slice)).collect();
        host.ask(Instruction::CreateCryptoObject, &fields)
    };
    create(&mut host, made([0, 1], CONTEXT_DIGEST, SHA256)).unwrap();
    create(&mut host, made([0, 2], CONTEXT_CIPHER, AES_CTR)).unwrap();
    assert_eq!(create(&mut host, made([0, 2], CONTEXT_MAC, CMAC_AES)), Err(NOT_SUITED), "the id is taken");
    assert_eq!(create(&mut host, made([0, 3], CONTEXT_DIGEST, 0x02)), Err(FIELD));
    assert_eq!(create(&mut host, made([0, 3], 0x09, SHA256)), Err(FIELD));
    assert_eq!(host.value(Instruction::ReadCryptoObjectList, &[]).unwrap(), hex("00010104 000202F0"));
    let init = host.ask(Instruction::EncryptInit, &[(TAG_1, &ID), (TAG_2, &[0, 1])]);
    assert_eq!(init, Err(NOT_SUITED), "a digest object ciphers nothing");
    let absent = host.ask(Instruction::EncryptInit, &[(TAG_1, &ID), (TAG_2, &[0, 9])]);
    assert_eq!(absent, Err(NOT_SUITED));
    assert_eq!(host.ask(Instruction::CipherUpdate, &[(TAG_2, &[0, 2]), (TAG_3, &[1])]), Err(NOT_SUITED));
    host.select();
    assert_eq!(
        host.value(Instruction::ReadCryptoObjectList, &[]).unwrap(),
        Vec::<u8>::new(),
        "SELECT clears them"
    );
}

#[test]
fn aes_key_wrap_as_in_rfc_3394() {
    let mut host = Host::new();
    host.write_aes(KEY, &hex("000102030405060708090A0B0C0D0E0F")).unwrap();
    let wrapped = hex("1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5");
    let id = OTHER.to_be_bytes();
    host.ask(Instruction::WriteAesKey, &[(TAG_1, &id), (TAG_2, &ID), (TAG_3, &wrapped)]).unwrap();
    let zero = [0; 16];
    let with = |host: &mut Host, id: &[u8]| {
        host.value(Instruction::EncryptOneShot, &[(TAG_1, id), (TAG_2, &[AES_ECB]), (TAG_3, &zero)]).unwrap()
    };
    let by_wrapped = with(&mut host, &id);
    host.write_aes(KEY, &hex("00112233445566778899AABBCCDDEEFF")).unwrap();
    assert_eq!(by_wrapped, with(&mut host, &ID));
    // A changed bit is noticed; and now that the wrapping key is another, the value is wrong too.
    let again = host.ask(Instruction::WriteAesKey, &[(TAG_1, &id), (TAG_2, &ID), (TAG_3, &wrapped)]);
    assert_eq!(again, Err(FIELD));
}

#[test]
fn x25519_as_in_rfc_7748() {
    let mut host = Host::new();
    // The wire turns the order of bytes.
    let private = reversed("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    let public = reversed("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    let peer = reversed("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    let secret = reversed("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    let pair = [(TAG_1, &ID[..]), (TAG_2, &[CURVE_X25519]), (TAG_3, &private), (TAG_4, &public)];
    host.ask(Instruction::WriteEcKeyPair, &pair).unwrap();
    assert_eq!(host.value(Instruction::ReadObject, &[(TAG_1, &ID)]).unwrap(), public);
    assert_eq!(host.value(Instruction::Ecdh, &[(TAG_1, &ID), (TAG_2, &peer)]).unwrap(), secret);
    // A point of small order gives no secret.
    assert_eq!(host.value(Instruction::Ecdh, &[(TAG_1, &ID), (TAG_2, &[0; 32])]), Err(FIELD));
    assert_eq!(host.value(Instruction::Ecdh, &[(TAG_1, &ID), (TAG_2, &peer[1..])]), Err(FIELD));
    let sign = host.ask(Instruction::EcdsaSign, &[(TAG_1, &ID), (TAG_2, &[EDDSA]), (TAG_3, b"x")]);
    assert_eq!(sign, Err(NOT_SUITED), "X25519 does not sign");
    // Two keys of the chip's agree.
    let (one, other) = (host.generate(0x1000_0003, CURVE_X25519), host.generate(0x1000_0004, CURVE_X25519));
    let first = host.value(Instruction::Ecdh, &[(TAG_1, &[0x10, 0, 0, 3]), (TAG_2, &other)]).unwrap();
    assert_eq!(first, host.value(Instruction::Ecdh, &[(TAG_1, &[0x10, 0, 0, 4]), (TAG_2, &one)]).unwrap());
}

#[test]
fn ed25519_as_in_rfc_8032() {
    let mut host = Host::new();
    let seed = reversed("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
    let public = reversed("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    let r = reversed("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da");
    let s = reversed("085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
    let signature = [r, s].concat();
    let pair = [(TAG_1, &ID[..]), (TAG_2, &[CURVE_ED25519]), (TAG_3, &seed), (TAG_4, &public)];
    host.ask(Instruction::WriteEcKeyPair, &pair).unwrap();
    let sign = [(TAG_1, &ID[..]), (TAG_2, &[EDDSA]), (TAG_3, &[0x72])];
    assert_eq!(host.value(Instruction::EcdsaSign, &sign).unwrap(), signature);
    let public_id = OTHER.to_be_bytes();
    let write = [(TAG_1, &public_id[..]), (TAG_2, &[CURVE_ED25519]), (TAG_4, &public)];
    host.ask(Instruction::WriteEcPublicKey, &write).unwrap();
    let mut wrong = signature.clone();
    wrong[3] ^= 1;
    for (data, signature, good) in [
        (&b"\x72"[..], &signature[..], 1),
        (b"\x73", &signature, 2),
        (b"\x72", &wrong, 2),
        (b"\x72", &signature[..63], 2),
    ] {
        let verify = [(TAG_1, &public_id[..]), (TAG_2, &[EDDSA]), (TAG_3, data), (TAG_5, signature)];
        assert_eq!(host.value(Instruction::EcdsaVerify, &verify).unwrap(), [good]);
    }
    // Another algorithm does not fit the key, and a public key of another seed does not fit the pair.
    let sign = [(TAG_1, &ID[..]), (TAG_2, &[0x21]), (TAG_3, &[0; 32])];
    assert_eq!(host.value(Instruction::EcdsaSign, &sign), Err(NOT_SUITED));
    let mut other = public.clone();
    other[0] ^= 1;
    let pair = [(TAG_1, &[0x10, 0, 0, 9][..]), (TAG_2, &[CURVE_ED25519]), (TAG_3, &seed), (TAG_4, &other)];
    assert_eq!(host.ask(Instruction::WriteEcKeyPair, &pair), Err(FIELD));
}
