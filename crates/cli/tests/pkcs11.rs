//! The authority's keys in a PKCS#11 token (SoftHSM), from founding to a verified certificate.

use std::process::Command;

use touchmark_testkit::est::{Client, PUBLIC_FILES};
use touchmark_testkit::openssl::must;
use touchmark_testkit::peer;
use touchmark_testkit::process::run;
use touchmark_testkit::server::Site;
use touchmark_testkit::softhsm;
use touchmark_testkit::token::{PIN, Token};

/// A site whose authority has its keys in a token, and the configuration with this store.
fn site(token: &Token) -> Site {
    let site = Site::new(env!("CARGO_BIN_EXE_touchmark"), &keys(&token.uri(&token.pin_file())));
    site.with_environment("SOFTHSM2_CONF", &token.configuration())
}

fn keys(store: &str) -> String {
    format!("[keys]\nstore = \"{store}\"\n")
}

#[test]
fn an_authority_lives_on_a_token() {
    if !peer::all_present(&["curl", "openssl"]) {
        return;
    }
    let Some(token) = softhsm::create("touchmark-ca") else { return };
    let site = site(&token);
    let founded = site.authority(&["init"]).must_end_with(0).json();
    assert!(founded["keys"].as_str().unwrap().contains("touchmark-ca"), "{founded}");
    assert!(!site.data().join("ca-keys.toml").exists(), "the keys are in a file as well");
    let server = site.start();
    assert_eq!(std::fs::read_to_string(&server.root).unwrap(), founded["root"].as_str().unwrap());
    let client = Client { folder: site.folder(), server: &server };
    let device = site.register("meter-1");
    let _certificate = client.enrol_new("meter-1", &device);
    client.fetch_public_files();
    let [root, issuing, issuing_crl, root_crl] = PUBLIC_FILES;
    let verify = [
        "verify",
        "-CAfile",
        root,
        "-untrusted",
        issuing,
        "-CRLfile",
        issuing_crl,
        "-CRLfile",
        root_crl,
        "-crl_check_all",
        "-x509_strict",
        "meter-1.pem",
    ];
    assert_eq!(must(site.folder(), &verify), "meter-1.pem: OK");
    assert!(client.ocsp("meter-1", "-sha256").starts_with("meter-1.pem: good"));
    server.stop();
    let again = site.authority(&["init"]).must_end_with(0).json();
    assert_eq!(again["issuing"], founded["issuing"]);
}

#[test]
fn a_token_that_is_wrong_closed_or_missing_is_named() {
    let Some(token) = softhsm::create("touchmark-ca") else { return };
    let site = site(&token);
    let founded = site.authority(&["init"]).must_end_with(0).json();
    let fails = |store: &str, code: i32, says: &str| {
        site.configure(&keys(store));
        let failed = site.authority(&["init"]).must_end_with(code);
        assert!(failed.stderr.contains(says), "{says} is not in {}", failed.stderr);
        assert!(!failed.all().contains(PIN), "the PIN is shown");
    };
    let wrong = token.folder().join("wrong");
    std::fs::write(&wrong, "4321-test\n").unwrap();
    fails(&token.uri(&wrong), 3, "token touchmark-ca");
    fails(&token.uri(&token.folder().join("nowhere")), 3, "nowhere");
    let right = token.uri(&token.pin_file());
    fails(&right.replace("token=touchmark-ca", "token=elsewhere"), 3, "elsewhere");
    fails(&right.replace(&token.module.display().to_string(), "/nowhere.so"), 3, "/nowhere.so");
    fails("pkcs11:token=touchmark-ca?pin-value=1", 2, "pin-source");
    // A token with other keys is not this authority's, and nothing is made in its place.
    let Some(other) = softhsm::create("touchmark-ca") else { return };
    let stranger = Site::new(env!("CARGO_BIN_EXE_touchmark"), &keys(&other.uri(&other.pin_file())))
        .with_environment("SOFTHSM2_CONF", &other.configuration());
    let _other = stranger.authority(&["init"]).must_end_with(0);
    let mixed = stranger.with_data(site.data());
    let refused = mixed.authority(&["init"]).must_end_with(3);
    assert!(refused.stderr.contains("open the right store"), "{}", refused.stderr);

    site.configure(&keys(&right));
    assert_eq!(site.authority(&["init"]).must_end_with(0).json()["root"], founded["root"]);
}

#[test]
fn a_probe_prints_the_profile_of_a_token() {
    let Some(token) = softhsm::create("probed") else { return };
    let probe = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_touchmark"));
        command.args(["keystore", "probe", "--store", &token.uri(&token.pin_file())]).args(more);
        run(command.env("SOFTHSM2_CONF", token.configuration()), &[]).must_end_with(0)
    };
    let shown = probe(&[]).text();
    for says in ["SCP03 keys    the master key can stay", "(tried)", "CKM_AES_KEY_WRAP", "evidence      none"]
    {
        assert!(shown.contains(says), "{says} is not in {shown}");
    }
    let json = probe(&["--json"]).json();
    assert_eq!(json["profile"]["scp03"], "cmac-outside");
    let mechanisms = json["profile"]["mechanisms"].as_array().unwrap();
    let ecdsa = mechanisms.iter().find(|mechanism| mechanism["name"] == "CKM_ECDSA").unwrap();
    assert_eq!(ecdsa["number"], 0x1041);
    assert!(ecdsa["flags"].as_array().unwrap().contains(&"sign".into()), "{ecdsa}");
}
