//! Evidence from a PKCS#11 token (SoftHSM), appraised. The certificates that a device would make are made by OpenSSL and
//! put into the token by OpenSC's tool; the key is generated in the token, and signs there.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests stop at the first surprise; certificates of OpenSSL are valid from the moment on which they are made"
)]

use std::path::Path;
use std::process::Command;

use touchmark_attest::{Appraisal, Endorsers, Policy, judge};
use touchmark_identity::assurance::{Grade, Storage};
use touchmark_identity::evidence::{Envelope, Evidence, Nonce};
use touchmark_identity::ids::KeyName;
use touchmark_identity::key::PublicKey;
use touchmark_keystore::uri::{Secret, StoreUri};
use touchmark_keystore::{KeyStore, StoreError};
use touchmark_testkit::openssl::must;
use touchmark_testkit::process::run;
use touchmark_testkit::softhsm;
use touchmark_testkit::token::{PIN, Token};

const URI: &str = "TOUCHMARK_TEST_TOKEN";
const FOLDER: &str = "TOUCHMARK_TEST_FOLDER";
const STEP: &str = "TOUCHMARK_TEST_STEP";

fn key() -> KeyName {
    KeyName::new("device").unwrap()
}

/// A module reads its environment when it is loaded, so each step runs in a process of its own.
fn step(token: &Token, step: &str) {
    let uri = token.uri(&token.pin_file()).replacen('?', ";id=%01%F1?", 1);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "in_a_process_of_its_own", "--nocapture"]);
    command.env("SOFTHSM2_CONF", token.configuration()).env(URI, uri);
    let finished = run(command.env(FOLDER, token.folder()).env(STEP, step), &[]).must_end_with(0);
    assert!(finished.text().contains("1 passed"), "{}", finished.all());
}

fn put(token: &Token, file: &str, label: &str) {
    let mut command = Command::new("pkcs11-tool");
    command
        .arg("--module")
        .arg(&token.module)
        .args(["--login", "--pin", PIN, "--type", "cert", "--label", label]);
    command.arg("--write-object").arg(token.folder().join(file)).env("SOFTHSM2_CONF", token.configuration());
    let _put = run(&mut command, &[]).must_end_with(0);
}

#[test]
fn a_token_s_own_certificate_for_a_key_is_evidence() {
    let Some(token) = softhsm::create("attesting") else { return };
    if !touchmark_testkit::peer::all_present(&["openssl", "pkcs11-tool"]) {
        return;
    }
    step(&token, "generate");
    let folder = token.folder();
    let openssl = |arguments: &[&str]| drop(must(folder, arguments));
    std::fs::write(folder.join("ca.ext"), "basicConstraints=critical,CA:true\nkeyUsage=keyCertSign\n")
        .unwrap();
    std::fs::write(folder.join("key.ext"), "1.3.6.1.4.1.41482.3.3=DER:05:07:01\n").unwrap();
    std::fs::write(folder.join("plain.ext"), "basicConstraints=CA:false\n").unwrap();
    for name in ["maker", "token"] {
        let file = format!("{name}.key");
        openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &file]);
        let (subject, request) = (format!("/CN={name}"), format!("{name}.csr"));
        openssl(&["req", "-new", "-key", &file, "-subj", &subject, "-out", &request]);
    }
    let sign = ["x509", "-req", "-days", "2"];
    let root = ["-in", "maker.csr", "-signkey", "maker.key", "-extfile", "ca.ext", "-out", "maker.pem"];
    openssl(&[&sign[..], &root].concat());
    let by_maker = ["-in", "token.csr", "-CA", "maker.pem", "-CAkey", "maker.key", "-CAcreateserial"];
    openssl(
        &[&sign[..], &by_maker, &["-extfile", "ca.ext", "-outform", "DER", "-out", "token.der"]].concat(),
    );
    openssl(&["x509", "-inform", "DER", "-in", "token.der", "-out", "token.pem"]);
    openssl(&["pkey", "-pubin", "-inform", "DER", "-in", "device.spki", "-out", "device.pem"]);
    // The key in the request is replaced; its subject stays.
    openssl(&["req", "-new", "-key", "token.key", "-subj", "/CN=slot 9a", "-out", "slot.csr"]);
    let by_token = ["-in", "slot.csr", "-CA", "token.pem", "-CAkey", "token.key", "-CAcreateserial"];
    let for_key = ["-force_pubkey", "device.pem", "-outform", "DER"];
    for (extensions, out) in [("plain.ext", "plain.der"), ("key.ext", "attestation.der")] {
        let rest = ["-extfile", extensions, "-out", out];
        openssl(&[&sign[..], &by_token, &for_key, &rest].concat());
    }
    // An ordinary certificate for the key is not taken for the token's word.
    put(&token, "plain.der", "an ordinary certificate");
    put(&token, "token.der", "the attestation key");
    step(&token, "says nothing");
    put(&token, "attestation.der", "the token's word");
    step(&token, "attests");
}

#[test]
#[ignore = "run by a_token_s_own_certificate_for_a_key_is_evidence, which sets its environment"]
fn in_a_process_of_its_own() {
    let uri: StoreUri = std::env::var(URI).unwrap().parse().unwrap();
    let folder = std::env::var(FOLDER).unwrap();
    let folder = Path::new(&folder);
    let mut store = uri.open(Secret::None).unwrap();
    // By its id the key is found whatever it is called: tokens with fixed labels are used like that.
    match std::env::var(STEP).unwrap().as_str() {
        "generate" => {
            let public = store.generate(&key()).unwrap();
            std::fs::write(folder.join("device.spki"), public.spki_der()).unwrap();
        }
        "says nothing" => {
            let refused = store.attest().unwrap().attest(&key(), &Nonce::new(&[1; 16]).unwrap());
            assert!(matches!(refused, Err(StoreError::NoCapability { .. })), "{refused:?}");
            assert_eq!(store.profiled().unwrap().profile().unwrap().attestations, 0);
            assert!(store.info().unwrap().capabilities.is_empty());
        }
        _ => attests(&mut *store, folder),
    }
}

fn attests(store: &mut dyn KeyStore, folder: &Path) {
    assert_eq!(store.profiled().unwrap().profile().unwrap().attestations, 1);
    assert_eq!(store.info().unwrap().capabilities, ["attest"]);
    let nonce = Nonce::new(&[0x5a; 32]).unwrap();
    let attested = store.attest().unwrap().attest(&key(), &nonce).unwrap();
    let public = PublicKey::from_spki_der(&std::fs::read(folder.join("device.spki")).unwrap()).unwrap();
    assert_eq!(attested.key, public);
    let envelope = Envelope::new(&nonce, attested.evidence);
    let Evidence::Pkcs11(evidence) = &envelope.key else { panic!("{envelope:?}") };
    assert_eq!(evidence.chain.len(), 1, "the root stays in the token");
    assert_eq!(envelope.claims.swversion.as_deref(), Some("5.7.1"));

    let at = std::time::SystemTime::now().into();
    let root = std::fs::read_to_string(folder.join("maker.pem")).unwrap();
    let policy =
        Policy { endorsers: Endorsers::from_pem([("maker.pem", root)]).unwrap(), ..Policy::default() };
    let judged = |nonce: &Nonce, policy: &Policy| {
        let ak = Err("none".to_owned());
        judge(&envelope.to_cbor(), &Appraisal { nonce, policy, ak, at })
    };
    let verdict = judged(&nonce, &policy);
    assert_eq!(verdict.key.as_ref(), Some(&public), "{verdict:?}");
    assert_eq!(verdict.assurance.storage, Storage::SecureElement);
    assert_eq!(verdict.assurance.grade(), Grade::HardwareBound);
    assert_eq!(verdict.endorser.as_deref(), Some("maker"));
    assert!(!judged(&Nonce::new(&[1; 32]).unwrap(), &policy).is_attested());
    assert!(!judged(&nonce, &Policy::default()).is_attested());
}
