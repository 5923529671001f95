//! A flash image that may hold the known key: in any case it does at its end.
#![no_main]

use std::sync::LazyLock;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::{KNOWN_SCALAR, known_public};
use touchmark_identity::key::PublicKey;
use touchmark_lab::extract::{Encoding, search};

/// Each window of 32 bytes costs two derivations of a point.
const MAX_BYTES: usize = 200;

static TARGET: LazyLock<PublicKey> = LazyLock::new(known_public);

fuzz_target!(|data: &[u8]| {
    let data = &data[..data.len().min(MAX_BYTES)];
    let image = [data, &hex::decode(KNOWN_SCALAR).expect("hex")].concat();
    let search = search(&image, &TARGET, &mut |done, all| assert!(done <= all));
    assert_eq!(search.bytes_searched, image.len());
    assert!(search.found.iter().any(|f| f.offset == data.len() && f.encoding == Encoding::BigEndian));
    for found in search.found {
        assert!(found.offset < image.len());
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &found.pkcs8).expect("PKCS#8");
        assert_eq!(pair.public_key().as_ref(), TARGET.point());
    }
});
