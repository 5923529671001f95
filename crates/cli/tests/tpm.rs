//! A TPM (swtpm) at the command line: quotes, and secrets that follow the state of the platform.

use std::fs;
use std::process::Command;

use touchmark_testkit::openssl;
use touchmark_testkit::process::{Finished, run};
use touchmark_testkit::swtpm::{EkKind, Swtpm, tpm2_tool};

const NONCE: &str = "00112233445566778899aabbccddeeff";

fn touchmark(swtpm: &Swtpm, arguments: &[&str], input: &[u8]) -> Finished {
    let mut command = Command::new(env!("CARGO_BIN_EXE_touchmark"));
    command.args(arguments).current_dir(swtpm.folder());
    run(&mut command, input)
}

fn keystore(swtpm: &Swtpm, verb: &str, arguments: &[&str], input: &[u8]) -> Finished {
    let store = format!("tpm:{}", swtpm.address);
    touchmark(swtpm, &[&["keystore", verb, "--store", &store], arguments].concat(), input)
}

#[test]
fn a_quote_is_appraised_and_a_secret_follows_an_approval() {
    let Some(swtpm) = Swtpm::start(EkKind::P384) else { return };
    if !touchmark_testkit::peer::all_present(&["openssl", "tpm2_pcrextend", "tpm2_quote"]) {
        return;
    }
    let keygen = ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "approver.key"];
    let _silent = openssl::must(swtpm.folder(), &keygen);
    let _silent =
        openssl::must(swtpm.folder(), &["ec", "-in", "approver.key", "-pubout", "-out", "approver.pem"]);
    let seal =
        ["--pcrs", "sha256:16", "--approver", "approver.pem", "--reference", "6469736b", "--out", "sealed"];
    let _sealed = keystore(&swtpm, "seal", &seal, b"a secret").must_end_with(0);
    let refused = keystore(&swtpm, "unseal", &["--in", "sealed"], &[]).must_end_with(1);
    assert!(refused.stderr.contains("KS-0015"), "{}", refused.stderr);

    // What the approver signs comes with a quote.
    let approve = || {
        let quote =
            ["--pcrs", "sha256:16", "--nonce", NONCE, "--to-approve", "approved", "--reference", "6469736b"];
        let quoted =
            keystore(&swtpm, "quote", &[&quote[..], &["--out", "quote"]].concat(), &[]).must_end_with(0);
        assert_eq!(quoted.text(), "");
        let _silent = openssl::must(
            swtpm.folder(),
            &["dgst", "-sha256", "-sign", "approver.key", "-out", "approved.sig", "approved"],
        );
    };
    let unseal = ["--in", "sealed", "--approval", "approved.sig"];
    approve();
    assert_eq!(keystore(&swtpm, "unseal", &unseal, &[]).must_end_with(0).text(), hex::encode(b"a secret"));
    let _extended = tpm2_tool(&swtpm, "tpm2_pcrextend", &[&format!("16:sha256={}", "44".repeat(32))]);
    let refused = keystore(&swtpm, "unseal", &unseal, &[]).must_end_with(1);
    assert!(refused.stderr.contains("another state"), "{}", refused.stderr);
    approve();
    let to_file = [&unseal[..], &["--out", "secret"]].concat();
    let _written = keystore(&swtpm, "unseal", &to_file, &[]).must_end_with(0);
    assert_eq!(fs::read(swtpm.folder().join("secret")).unwrap(), b"a secret");

    // The quote is held against a policy.
    let quote: serde_json::Value =
        serde_json::from_slice(&fs::read(swtpm.folder().join("quote")).unwrap()).unwrap();
    assert_eq!(quote["schema"], "touchmark.quote/1");
    let value = quote["pcrs"][0]["value"].as_str().unwrap();
    let ak = hex::decode(quote["ak_public"].as_str().unwrap()).unwrap();
    let ak_name = format!("000b{}", hex::encode(touchmark_identity::key::sha256(&ak)));
    let appraise = |nonce: &str, policy: &str| {
        fs::write(swtpm.folder().join("policy.toml"), policy).unwrap();
        let arguments = ["attest", "quote", "--quote", "quote", "--nonce", nonce, "--ak-name", &ak_name];
        touchmark(&swtpm, &[&arguments[..], &["--policy", "policy.toml"]].concat(), &[])
    };
    let good = format!("[registers]\n\"sha256:16\" = [\"{value}\"]\n");
    let appraised = appraise(NONCE, &good).must_end_with(0);
    assert!(appraised.text().starts_with("started as the policy says"), "{}", appraised.text());
    let zeros = "0".repeat(64);
    for (nonce, policy, code, says) in [
        ("ffeeddccbbaa99887766554433221100", good.as_str(), 1, "AT-0012"),
        (NONCE, &format!("[registers]\n\"sha256:16\" = [\"{zeros}\"]\n"), 1, "AT-0019"),
        (NONCE, &format!("[registers]\n\"sha256:0\" = [\"{zeros}\"]\n"), 1, "AT-0020"),
        (NONCE, &format!("event_log = true\n{good}"), 1, "AT-0020"),
        (NONCE, "[registers]\n\"sha1:0\" = []\n", 2, "selects no PCRs"),
    ] {
        let failed = appraise(nonce, policy).must_end_with(code);
        assert!(failed.stderr.contains(says), "{says} is not in {}", failed.stderr);
    }
}

#[test]
fn an_envelope_holds_key_boot_counter_and_creation_against_a_policy() {
    let Some(swtpm) = Swtpm::start(EkKind::P384) else { return };
    let common = ["--key", "device", "--nonce", NONCE, "--out", "evidence"];
    let _count = keystore(&swtpm, "counter", &["--key", "boots", "--increment"], &[]).must_end_with(0);
    let more = ["--generate", "--pcrs", "sha256:0,16", "--counter", "boots"];
    let _attested = keystore(&swtpm, "attest", &[&common[..], &more].concat(), &[]).must_end_with(0);
    let _again = keystore(&swtpm, "attest", &[&common[..], &more].concat(), &[]).must_end_with(2);
    // The name of the attestation key, by a quote.
    let quote = ["--pcrs", "sha256:16", "--nonce", NONCE, "--out", "quote"];
    let _quoted = keystore(&swtpm, "quote", &quote, &[]).must_end_with(0);
    let quote: serde_json::Value =
        serde_json::from_slice(&fs::read(swtpm.folder().join("quote")).unwrap()).unwrap();
    let ak = hex::decode(quote["ak_public"].as_str().unwrap()).unwrap();
    let ak_name = format!("000b{}", hex::encode(touchmark_identity::key::sha256(&ak)));
    let verify = |nonce: &str, more: &[&str]| {
        let arguments = ["attest", "verify", "--evidence", "evidence", "--nonce", nonce, "--json"];
        touchmark(&swtpm, &[&arguments[..], more].concat(), &[])
    };
    let pinned = ["--ak-name", ak_name.as_str()];
    let proven = verify(NONCE, &pinned).must_end_with(0).json();
    assert_eq!((proven["version"].as_u64(), proven["grade"].as_str()), (Some(2), Some("hardware-bound")));
    assert_eq!(proven["pcrs"].as_array().unwrap().len(), 2);
    assert!(proven["counter"].as_u64().unwrap() > 0, "{proven}");
    let policy = |text: &str| {
        fs::write(swtpm.folder().join("policy.toml"), text).unwrap();
        verify(NONCE, &[&pinned[..], &["--policy", "policy.toml"]].concat())
    };
    let zeros = "0".repeat(64);
    let boot = |value: &str| format!("[boot]\n[boot.registers]\n\"sha256:16\" = [\"{value}\"]\n");
    let _same = policy(&boot(&zeros)).must_end_with(0);
    for (failed, code, says) in [
        (verify(NONCE, &[]), 1, "AT-0021"),
        (verify("ffeeddccbbaa99887766554433221100", &pinned), 1, "AT-0012"),
        (policy(&boot(&"11".repeat(32))), 1, "AT-0019"),
        (policy("listed_parts_only = true\n"), 1, "AT-0023"),
        (policy("minimum = 1\n"), 2, "is not a policy"),
    ] {
        let failed = failed.must_end_with(code);
        assert!(failed.stderr.contains(says), "{says} is not in {}", failed.stderr);
    }
}
