use std::process::Command;

use aws_lc_rs::encoding::{AsBigEndian, AsDer, EcPrivateKeyBin, EcPrivateKeyRfc5915Der};
use aws_lc_rs::signature::KeyPair;
use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};
use proptest::prelude::*;

use super::*;

struct Victim {
    pair: EcdsaKeyPair,
    public: PublicKey,
}

impl Victim {
    fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let public = PublicKey::from_point(pair.public_key().as_ref()).unwrap();
        Self { pair, public }
    }

    fn scalar(&self) -> Vec<u8> {
        let scalar: EcPrivateKeyBin = self.pair.private_key().as_be_bytes().unwrap();
        scalar.as_ref().to_vec()
    }

    fn sec1(&self) -> Vec<u8> {
        let der: EcPrivateKeyRfc5915Der = self.pair.private_key().as_der().unwrap();
        der.as_ref().to_vec()
    }

    fn pkcs8(&self) -> Vec<u8> {
        self.pair.to_pkcs8v1().unwrap().as_ref().to_vec()
    }

    fn hidden(&self, how: usize) -> (Vec<u8>, Encoding) {
        let scalar = self.scalar();
        let pem = |label: &str, der: &[u8], line: &str| {
            let text = Base64::encode_string(der);
            let lines: Vec<_> = text.as_bytes().chunks(64).map(|c| std::str::from_utf8(c).unwrap()).collect();
            format!("-----BEGIN {label}-----{line}{}{line}-----END {label}-----", lines.join(line))
                .into_bytes()
        };
        match how {
            0 => (scalar, Encoding::BigEndian),
            1 => (scalar.into_iter().rev().collect(), Encoding::LittleEndian),
            2 => (self.sec1(), Encoding::Der),
            3 => (self.pkcs8(), Encoding::Der),
            4 => (pem("PRIVATE KEY", &self.pkcs8(), "\n"), Encoding::Pem),
            5 => (pem("EC PRIVATE KEY", &self.sec1(), "\r\n"), Encoding::Pem),
            6 => (pem("PRIVATE KEY", &self.pkcs8(), "\\n"), Encoding::Pem),
            7 => (hex::encode(scalar).into_bytes(), Encoding::Hex),
            8 => (hex::encode_upper(self.pkcs8()).into_bytes(), Encoding::Hex),
            9 => {
                let pairs: Vec<_> = scalar.iter().map(|b| format!("{b:02x}")).collect();
                (
                    pairs.chunks(15).map(|c| c.join(":")).collect::<Vec<_>>().join(":\n    ").into_bytes(),
                    Encoding::Hex,
                )
            }
            10 => {
                let bytes: Vec<_> = scalar.iter().map(|b| format!("0x{b:02X}")).collect();
                (bytes.join(", ").into_bytes(), Encoding::Hex)
            }
            11 => (Base64::encode_string(&scalar).into_bytes(), Encoding::Base64),
            12 => (Base64UrlUnpadded::encode_string(&scalar).into_bytes(), Encoding::Base64),
            13 => (hex::encode(pem("PRIVATE KEY", &self.pkcs8(), "\n")).into_bytes(), Encoding::Hex),
            _ => (Base64::encode_string(hex::encode(scalar).as_bytes()).into_bytes(), Encoding::Base64),
        }
    }
}

const WAYS: usize = 15;

fn look(image: &[u8], public: &PublicKey) -> Search {
    search(image, public, &mut |_, _| {})
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn a_hidden_key_is_found_and_no_other(
        before in proptest::collection::vec(any::<u8>(), 0..300),
        after in proptest::collection::vec(any::<u8>(), 0..300),
        how in 0..WAYS,
    ) {
        let (victim, other) = (Victim::new(), Victim::new());
        let (hidden, encoding) = victim.hidden(how);
        // A key in text ends where its text ends; what follows it directly would be more of it.
        let edge: &[u8] = if how >= 4 { b"\0" } else { b"" };
        let image = [&before[..], edge, &hidden, edge, &after].concat();
        let search = look(&image, &victim.public);
        let found = search.found.iter().find(|found| found.encoding == encoding);
        let found = found.ok_or_else(|| TestCaseError::fail(format!("way {how}: {:?}", search.found)))?;
        let range = before.len()..before.len() + edge.len() + hidden.len();
        prop_assert!(range.contains(&found.offset));
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &found.pkcs8).unwrap();
        prop_assert_eq!(pair.public_key().as_ref(), &victim.public.point()[..]);
        prop_assert!(look(&image, &other.public).found.is_empty());
    }

    #[test]
    fn without_the_key_nothing_is_found_and_every_window_is_accounted_for(
        image in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let search = look(&image, &Victim::new().public);
        prop_assert!(search.found.is_empty());
        if search.texts_decoded == 0 {
            let windows = image.len().saturating_sub(31) as u64;
            let seen = search.candidates_tried + search.candidates_out_of_range;
            prop_assert!(seen + 2 * search.windows_skipped_blank >= 2 * windows);
        }
    }
}

#[test]
fn each_way_of_hiding_is_found_where_it_lies() {
    let victim = Victim::new();
    for how in 0..WAYS {
        let (hidden, encoding) = victim.hidden(how);
        let image = [&[0xff; 100][..], &hidden, &[0xff; 100]].concat();
        let found = look(&image, &victim.public).found;
        assert!(
            found.iter().any(|f| f.encoding == encoding && (100..).contains(&f.offset)),
            "way {how}: {found:?}"
        );
    }
}

#[test]
fn text_that_runs_into_other_text_is_found_at_every_alignment() {
    let victim = Victim::new();
    for lead in ["", "x", "xy", "xyz", "key/"] {
        let text = format!("{lead}{}", Base64::encode_string(&victim.scalar()));
        assert_eq!(look(text.as_bytes(), &victim.public).found.len(), 1, "{text}");
    }
    let text = format!("a{}", hex::encode(victim.scalar()));
    assert_eq!(look(text.as_bytes(), &victim.public).found.len(), 1, "{text}");
}

#[test]
fn a_key_across_the_edge_of_a_chunk_is_found() {
    let victim = Victim::new();
    for offset in CHUNK - 33..CHUNK + 2 {
        let mut image = vec![0xff; 2 * CHUNK];
        image.splice(offset..offset + 32, victim.scalar());
        let found = look(&image, &victim.public).found;
        assert_eq!(found.iter().map(|f| f.offset).collect::<Vec<_>>(), [offset]);
    }
}

#[test]
fn threads_change_nothing_but_the_time() {
    let victim = Victim::new();
    let mut image = vec![0xff; 8192];
    for (how, place) in (0..WAYS).zip((0..).step_by(540)) {
        let (hidden, _) = victim.hidden(how);
        image.splice(place..place + hidden.len(), hidden);
    }
    let tell = |search: &Search| {
        let places: Vec<_> = search.found.iter().map(|f| (f.offset, f.encoding)).collect();
        (places, search.candidates_tried, search.windows_skipped_blank, search.candidates_out_of_range)
    };
    let one = look(&image, &victim.public);
    let mut last = (0, 1);
    let two = search_parallel(&image, &victim.public, NonZeroUsize::new(2).unwrap(), &mut |done, total| {
        assert!(done > last.0 && done <= total);
        last = (done, total);
    });
    assert_eq!(tell(&one), tell(&two));
    assert!(one.found.len() >= WAYS, "{:?}", one.found);
    assert_eq!(last.0, last.1, "progress ends at the end");
}

#[test]
fn a_scalar_without_its_leading_zeros_is_found_in_der() {
    // A key whose scalar begins with zeros: 29 bytes that count.
    let mut scalar = [0; 32];
    for (byte, value) in scalar.iter_mut().skip(3).zip(7u8..) {
        *byte = value.wrapping_mul(29);
    }
    let derived = PrivateKey::from_private_key(&ECDH_P256, &scalar).unwrap().compute_public_key().unwrap();
    let public = PublicKey::from_point(derived.as_ref()).unwrap();
    let image = [&[0xff; 40][..], &EC_PRIVATE_KEY, &[29], &scalar[3..], &[0xff; 40]].concat();
    let found = look(&image, &public).found;
    assert_eq!(found.iter().map(|f| (f.offset, f.encoding)).collect::<Vec<_>>(), [(45, Encoding::Der)]);
}

#[test]
fn blank_flash_costs_nothing() {
    let victim = Victim::new();
    let search = look(&vec![0xff; 256 * 1024], &victim.public);
    assert_eq!((search.candidates_tried, search.windows_skipped_blank), (0, 256 * 1024 - 31));
    for image in [&[][..], &[1; 31]] {
        assert_eq!(look(image, &victim.public).candidates_tried, 0);
    }
}

#[test]
fn what_openssl_writes_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let openssl = |args: &[&str]| {
        let done = Command::new("openssl").args(args).current_dir(dir.path()).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        done.stdout
    };
    let sec1 = openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"]);
    std::fs::write(dir.path().join("key.pem"), &sec1).unwrap();
    let spki = openssl(&["ec", "-in", "key.pem", "-pubout", "-outform", "DER"]);
    let public = PublicKey::from_spki_der(&spki).unwrap();
    for (args, encoding) in [
        (&["ec", "-in", "key.pem", "-outform", "DER"][..], Encoding::Der),
        (&["pkcs8", "-topk8", "-nocrypt", "-in", "key.pem", "-outform", "DER"], Encoding::Der),
        (&["pkcs8", "-topk8", "-nocrypt", "-in", "key.pem"], Encoding::Pem),
        (&["ec", "-in", "key.pem", "-text", "-noout"], Encoding::Hex),
    ] {
        let found = look(&openssl(args), &public).found;
        assert!(found.iter().any(|f| f.encoding == encoding), "{args:?}: {found:?}");
    }
    assert_eq!(look(&sec1, &public).found.first().map(|f| f.encoding), Some(Encoding::Pem));
    let sealed = openssl(&["pkcs8", "-topk8", "-in", "key.pem", "-passout", "pass:test"]);
    assert!(look(&sealed, &public).found.is_empty());
}
