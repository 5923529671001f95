//! The life of a device's key, from the program's own commands: four kinds of devices enrol, and what is recorded is what
//! was proven. Exit codes as the command line's contract has them.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test helpers: a surprise is a panic")]

use serde_json::Value;
use touchmark_keystore::software::flash::FlashImage;
use touchmark_testkit::element::ChannelKeyFile;
use touchmark_testkit::openssl::must;
use touchmark_testkit::peer;
use touchmark_testkit::process::free_port;
use touchmark_testkit::server::{Server, Site};
use touchmark_testkit::swtpm::{EkKind, Swtpm};

const NONCE: &str = "000102030405060708090a0b0c0d0e0f";

fn site(configuration: &str) -> Site {
    Site::new(env!("CARGO_BIN_EXE_touchmark"), configuration)
}

/// The `[attestation]` table with the TPM maker's roots, which are written beside it.
fn attestation(site: &Site, tpm: Option<&Swtpm>, accept_test: bool) -> String {
    let folder = site.path("endorsers");
    std::fs::create_dir_all(&folder).unwrap();
    for (n, pem) in tpm.iter().flat_map(|tpm| &tpm.endorser_root_pem).enumerate() {
        std::fs::write(folder.join(format!("tpm-maker-{n}.pem")), pem).unwrap();
    }
    format!(
        "[attestation]\nendorsers_dir = \"endorsers\"\ndangerously_accept_test_endorsers = {accept_test}\n"
    )
}

/// Registers a device and has its agent enrol; returns what `agent enrol` printed.
fn enrol(site: &Site, server: &Server, name: &str, store: &str, more: &str) -> Value {
    let token = site.register(name);
    let more = format!("flash = \"{name}.img\"\n{more}");
    site.agent(server, name, store, "https://127.0.0.1:1", &token, &more);
    site.touchmark(&["agent", "enrol", "--config", &format!("{name}.toml")]).must_end_with(0).json()
}

/// The newest key of a device as the inventory has it: storage/basis, and the reasons.
fn known(site: &Site, name: &str) -> (String, String) {
    let device = site.device(name);
    assert_eq!(device["status"], "enrolled");
    assert_eq!(device["certificates"][0]["status"], "good");
    let key = device["keys"].as_array().unwrap().last().unwrap().clone();
    let word = |name: &str| key["assurance"][name].as_str().unwrap().to_owned();
    let reasons: Vec<&str> = key["reasons"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    (format!("{}/{}", word("storage"), word("basis")), reasons.join("; "))
}

#[test]
fn each_device_is_recorded_as_what_it_proved() {
    let Some(tpm) = Swtpm::start(EkKind::P384) else { return };
    let site = site("");
    site.configure(&attestation(&site, Some(&tpm), true));
    let server = site.start();
    site.write("anchors.pem", std::fs::read(&server.root).unwrap());
    let (_element, address) = site.element("chip");

    let on_chip = enrol(&site, &server, "lock-1", &format!("element:tcp:{address}"), "");
    assert_eq!(
        on_chip["assurance"]["test_endorser"], true,
        "a virtual element is never mistaken for silicon"
    );
    assert_eq!(known(&site, "lock-1"), ("secure-element/attested".to_owned(), String::new()));
    let on_tpm = enrol(&site, &server, "gateway-1", &format!("tpm:{}", tpm.address), "");
    assert_eq!(on_tpm["grade"], "hardware-bound", "{on_tpm}");
    assert_eq!(known(&site, "gateway-1"), ("tpm/attested".to_owned(), String::new()));
    let in_flash = enrol(&site, &server, "meter-1", "software:meter-1.img#identity.toml", "");
    assert_eq!(in_flash["grade"], "copyable", "{in_flash}");
    assert_eq!(known(&site, "meter-1").0, "software/declared");

    // A claim without proof is worth nothing, and says why.
    let bluff = enrol(&site, &server, "meter-2", "software:meter-2.img#identity.toml", "claims = \"tpm\"");
    assert_eq!(bluff["grade"], "copyable");
    let (record, reasons) = known(&site, "meter-2");
    assert_eq!(record, "software/declared");
    assert!(reasons.contains("tpm"), "{reasons}");
    assert_eq!(site.device("meter-2")["keys"][0]["claimed"], "tpm");

    // Enrolling twice does nothing.
    let again = site.touchmark(&["agent", "enrol", "--config", "lock-1.toml"]).must_end_with(0).json();
    assert_eq!(again["already"], true);
    assert_eq!(again["key"], on_chip["key"]);
    assert_eq!(site.device("lock-1")["certificates"].as_array().unwrap().len(), 1);

    let journal = site.authority(&["journal", "--newest", "3"]).must_end_with(0).json();
    assert!(journal["entries"].as_u64().unwrap() >= 12, "{journal}");
    server.stop();
    // The same questions have the same answers without a server.
    assert_eq!(known(&site, "lock-1").0, "secure-element/attested");
}

#[test]
fn a_test_endorser_proves_nothing_unless_the_setting_with_the_ugly_name_is_on() {
    let site = site("");
    site.configure(&attestation(&site, None, false));
    let server = site.start();
    site.write("anchors.pem", std::fs::read(&server.root).unwrap());
    let (_element, address) = site.element("chip");
    let enrolled = enrol(&site, &server, "lock-1", &format!("element:tcp:{address}"), "");
    assert_eq!(enrolled["grade"], "copyable", "{enrolled}");
    let (record, reasons) = known(&site, "lock-1");
    assert_eq!(record, "software/declared");
    assert!(reasons.contains("dangerously_accept_test_endorsers"), "{reasons}");
}

#[test]
fn policy_may_refuse_what_is_not_proven() {
    let site = site("[authority]\nminimum_grade = \"hardware-bound\"\n");
    let server = site.start();
    site.write("anchors.pem", std::fs::read(&server.root).unwrap());
    let token = site.register("meter-1");
    let store = "software:meter-1.img#identity.toml";
    site.agent(&server, "meter-1", store, "https://127.0.0.1:1", &token, "flash = \"meter-1.img\"");
    let refused = site.touchmark(&["agent", "enrol", "--config", "meter-1.toml"]).must_end_with(1);
    assert!(refused.stderr.contains("hardware-bound"), "{}", refused.stderr);
    assert_eq!(site.device("meter-1")["status"], "registered");
}

#[test]
fn evidence_is_verified_without_a_server() {
    let site = site("");
    let (_element, address) = site.element("chip");
    let store = format!("element:tcp:{address}");
    let _made = site.touchmark(&["keystore", "generate", "--store", &store, "--key", "k"]).must_end_with(0);
    let attest =
        ["keystore", "attest", "--store", &store, "--key", "k", "--nonce", NONCE, "--out", "evidence"];
    let _attested = site.touchmark(&attest).must_end_with(0);
    std::fs::create_dir(site.path("endorsers")).unwrap();
    let verify = |nonce: &str, more: &[&str]| {
        site.touchmark(&[&["attest", "verify", "--evidence", "evidence", "--nonce", nonce], more].concat())
    };
    let accept = ["--dangerously-accept-test-endorsers"];
    let verified = verify(NONCE, &accept).must_end_with(0).json();
    assert_eq!(verified["assurance"]["storage"], "secure-element");
    assert_eq!(verified["assurance"]["basis"], "attested");
    assert_eq!(verified["assurance"]["test_endorser"], true);

    let refused = verify(&NONCE.replace('0', "1"), &accept).must_end_with(1);
    assert!(refused.stderr.contains("nonce"), "{}", refused.stderr);
    let refused = verify(NONCE, &[]).must_end_with(1);
    assert!(refused.stderr.contains("dangerously_accept_test_endorsers"), "{}", refused.stderr);
    let _refused = verify(NONCE, &["--endorsers", "endorsers"]).must_end_with(1);
    site.write("evidence", b"no evidence");
    let _refused = verify(NONCE, &accept).must_end_with(1);
    // A nonce that is no nonce, and a file that is not there, are the caller's mistakes.
    let _wrong = verify("00", &accept).must_end_with(2);
    let missing = ["attest", "verify", "--evidence", "nowhere", "--nonce", NONCE];
    let _wrong = site.touchmark(&missing).must_end_with(2);
}

#[test]
fn tpm_evidence_from_a_file_needs_a_trusted_attestation_key() {
    let Some(tpm) = Swtpm::start(EkKind::P384) else { return };
    let site = site("");
    let store = format!("tpm:{}", tpm.address);
    let _made = site.touchmark(&["keystore", "generate", "--store", &store, "--key", "k"]).must_end_with(0);
    let attest =
        ["keystore", "attest", "--store", &store, "--key", "k", "--nonce", NONCE, "--out", "evidence"];
    let _attested = site.touchmark(&attest).must_end_with(0);
    let _configured = attestation(&site, Some(&tpm), false);
    let verify = ["attest", "verify", "--evidence", "evidence", "--nonce", NONCE, "--endorsers", "endorsers"];
    let refused = site.touchmark(&verify).must_end_with(1);
    assert!(refused.stderr.contains("--ak-name"), "{}", refused.stderr);
    let other_key = format!("000b{}", "11".repeat(32));
    let _refused = site.touchmark(&[&verify[..], &["--ak-name", &other_key]].concat()).must_end_with(1);
}

#[test]
fn every_store_behind_an_address_does_the_same_and_openssl_verifies_it() {
    if !peer::all_present(&["openssl"]) {
        return;
    }
    let site = site("");
    let (_element, address) = site.element("chip");
    drop(FlashImage::create(&site.path("flash.img"), 256 * 1024).unwrap());
    let tpm = Swtpm::start(EkKind::P384);
    let ((_secured, inside), keys) = (site.element("secured"), ChannelKeyFile::right());
    let mut stores = vec![
        format!("element:tcp:{address}"),
        format!("element:tcp:{inside}{}", keys.query()),
        "software:keys.toml".to_owned(),
        "software:flash.img#keys.toml".to_owned(),
    ];
    stores.extend(tpm.as_ref().map(|tpm| format!("tpm:{}", tpm.address)));
    site.write("message", "what is signed");
    for store in stores {
        let keystore = |verb: &str, key: &str, more: &[&str]| {
            site.touchmark(&[&["keystore", verb, "--store", &store, "--key", key], more].concat())
        };
        let probed = site.touchmark(&["keystore", "probe", "--store", &store]).must_end_with(0).json();
        assert_eq!(probed["schema"], "touchmark.keystore-probe/1", "{store}");
        let made = keystore("generate", "k", &[]).must_end_with(0).json();
        let public = keystore("public", "k", &[]).must_end_with(0).json();
        assert_eq!(made["spki_sha256"], public["spki_sha256"], "{store}");
        let _refused = keystore("generate", "k", &[]).must_end_with(2);
        let _refused = keystore("sign", "other", &["--in", "message"]).must_end_with(2);
        site.write("public.pem", public["public_key"].as_str().unwrap());
        let _signed = keystore("sign", "k", &["--in", "message", "--out", "signature"]).must_end_with(0);
        let verify = ["dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", "message"];
        assert_eq!(must(site.folder(), &verify), "Verified OK", "{store}");
        let count =
            |more: &[&str]| keystore("counter", "c", more).must_end_with(0).json()["value"].as_u64().unwrap();
        let first = count(&["--increment"]);
        assert_eq!([count(&["--increment"]), count(&[])], [first + 1, first + 1], "{store}");
    }
}

#[test]
fn exit_codes_say_whose_fault_it_was() {
    let site = site("");
    let key = ["--store", "software:keys.toml", "--key", "k"];
    let run = |arguments: &[&str], code: i32| {
        let finished = site.touchmark(arguments).must_end_with(code);
        assert_eq!(finished.stdout.is_empty(), code != 0, "{}", finished.all());
        assert_eq!(finished.stderr.is_empty(), code == 0, "{}", finished.all());
    };
    run(&[&["keystore", "generate"], &key[..]].concat(), 0);
    run(&[&["keystore", "generate"], &key[..]].concat(), 2);
    run(&["keystore", "sign", "--store", "software:keys.toml", "--key", "nobody"], 2);
    run(&["keystore", "probe", "--store", "usb:3"], 2);
    run(&["keystore", "probe"], 2);
    run(&["keystore", "probe", "--store", &format!("element:tcp:127.0.0.1:{}", free_port())], 3);
    run(&["keystore", "probe", "--store", "software:/nowhere/keys.toml"], 3);
    run(&["element", "run", "--state", "nowhere"], 3);
    run(&["agent", "enrol", "--config", "nowhere.toml"], 3);
    site.write("agent.toml", "device = 'm'\nflsh = 'x'\n");
    run(&["agent", "enrol", "--config", "agent.toml"], 2);

    let authority = |arguments: &[&str], code: i32| {
        let _finished = site.authority(arguments).must_end_with(code);
    };
    authority(&["init"], 0);
    authority(&["enrol", "--device", "m-1"], 0);
    authority(&["enrol", "--device", "m-1"], 2);
    authority(&["enrol", "--device", "no such name"], 2);
    authority(&["inventory", "--device", "nobody"], 2);
    authority(&["revoke", "--device", "nobody", "--confirm", "nobody"], 2);
    // Nothing to release, nothing to revoke, and no confirmation.
    authority(&["release", "--device", "m-1"], 1);
    authority(&["revoke", "--device", "m-1", "--confirm", "m-1"], 1);
    authority(&["revoke", "--device", "m-1"], 2);
    site.configure("[gate]\ncrl_flie = 'x'\n");
    authority(&["inventory"], 2);
    site.configure("");
    // One process holds the data directory; the others ask it. A stranger's lock is the environment's fault.
    let server = site.start();
    authority(&["enrol", "--device", "m-1"], 2);
    authority(&["revoke", "--device", "m-1"], 2);
    authority(&["release", "--device", "m-1"], 1);
    assert!(site.try_start().unwrap_err().contains("another process holds"));
    server.stop();
}
