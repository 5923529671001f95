//! `touchmark element`: a card that runs, what its owner sees and arms meanwhile, and the secure channel to it.
#![expect(clippy::unwrap_used, reason = "test helpers: a surprise is a panic")]

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

const SELECT: &str = "00a4040010a000000396545300000001030000000000";
/// WriteCounter: makes the counter 50000001, and increments it.
const CREATE: &str = "80010800 0a 410450000001 42020004";
const INCREMENT: &str = "80010800 06 410450000001";

fn touchmark(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_touchmark")).args(arguments).output().unwrap()
}

#[track_caller]
fn must(arguments: &[&str]) -> String {
    let output = touchmark(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

struct Running {
    child: Child,
    address: String,
}

impl Running {
    fn start(state: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_touchmark"));
        command.args(["element", "run", "--state", state, "--ready-fd", "1"]);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let address = ready.pointer("/tcp").unwrap().as_str().unwrap().to_owned();
        Self { child, address }
    }

    fn send(&self, apdus: &[&str]) -> Output {
        let apdus: Vec<String> = apdus.iter().map(|apdu| apdu.replace(' ', "")).collect();
        let mut arguments = vec!["element", "apdu", "--tcp", &self.address];
        arguments.extend(apdus.iter().map(String::as_str));
        touchmark(&arguments)
    }

    #[track_caller]
    fn answers(&self, apdus: &[&str]) -> Vec<String> {
        let output = self.send(apdus);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn key_file(dir: &Path, last: [u8; 3]) -> PathBuf {
    let key = |byte: u8| format!("{}00{byte:02x}", "abcd".repeat(7));
    let [enc, mac, dek] = last.map(key);
    let path = dir.join("scp03.toml");
    std::fs::write(&path, format!("enc = \"{enc}\"\nmac = \"{mac}\"\ndek = \"{dek}\"\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn inspect(state: &str) -> Value {
    serde_json::from_str(&must(&["element", "inspect", "--state", state, "--json"])).unwrap()
}

fn counter(seen: &Value) -> Option<u64> {
    let objects = seen.pointer("/objects").unwrap().as_array().unwrap();
    let row = objects.iter().find(|row| row.pointer("/id").unwrap() == "50000001")?;
    row.pointer("/value").unwrap().as_u64()
}

#[test]
fn a_store_behind_a_secure_channel() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("chip").display().to_string();
    must(&["element", "new", "--state", &state]);
    let running = Running::start(&state);
    let sequence = || inspect(&state).pointer("/key_sets/7/failures").unwrap().as_u64();
    let right = key_file(dir.path(), [1, 2, 3]);
    let uri = |file: &Path| format!("element:tcp:{}?scp03={}&kvn=0B", running.address, file.display());
    let probed = must(&["keystore", "probe", "--store", &uri(&right), "--json"]);
    assert!(probed.contains("secure-element"), "{probed}");
    assert_eq!(sequence(), Some(0));

    let wrong = key_file(dir.path(), [2, 1, 3]);
    let refused = touchmark(&["keystore", "probe", "--store", &uri(&wrong)]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("KS-0020"), "{refused:?}");
}

#[test]
fn faults_and_a_view_beside_a_running_element() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("chip").display().to_string();
    must(&["element", "new", "--state", &state]);
    let running = Running::start(&state);
    let answers = running.answers(&[SELECT, CREATE, INCREMENT]);
    assert!(answers.first().unwrap().starts_with("030101"), "{answers:?}");
    assert_eq!(answers.get(1..).unwrap(), ["9000", "9000"]);
    assert_eq!(counter(&inspect(&state)), Some(1));
    assert!(must(&["element", "inspect", "--state", &state]).contains("object 50000001: counter, value 1"));

    let fault = |arguments: &[&str]| must(&[&["element", "fault", "--state", &state], arguments].concat());
    fault(&["--at", "apdu=2", "lost-response"]);
    assert!(!running.send(&[SELECT, INCREMENT]).status.success(), "the answer is lost");
    assert_eq!(counter(&inspect(&state)), Some(2), "the command was carried out");
    fault(&["exhausted-counter=50000001"]);
    assert_eq!(running.answers(&[SELECT, INCREMENT]).last().unwrap(), "6985");
    assert_eq!(inspect(&state).pointer("/faults/0").unwrap(), "next exhausted-counter=50000001");
    fault(&["--clear"]);
    assert_eq!(running.answers(&[SELECT, INCREMENT]).last().unwrap(), "9000");

    // The names of the first version; the server ends as the chip does.
    fault(&["power-cut-before-commit"]);
    assert!(!running.send(&[SELECT, INCREMENT]).status.success());
    drop(running);
    assert_eq!(counter(&inspect(&state)), Some(3));
    let running = Running::start(&state);
    fault(&["power-cut-after-commit"]);
    assert!(!running.send(&[SELECT, INCREMENT]).status.success());
    assert_eq!(counter(&inspect(&state)), Some(4));
    drop(running);

    let running = Running::start(&state);
    fault(&["--at", "instruction=A4", "class-break=readable-keys"]);
    assert!(running.answers(&[SELECT]).first().unwrap().starts_with("030163"));
    assert_eq!(inspect(&state).pointer("/flaw").unwrap(), "readable-keys");

    for wrong in [&["nothing"][..], &["--at", "soon", "full-memory"], &[], &["--clear", "full-memory"]] {
        let refused = touchmark(&[&["element", "fault", "--state", &state], wrong].concat());
        assert_eq!(refused.status.code(), Some(2), "{wrong:?}");
    }
    let other = dir.path().join("flawed").display().to_string();
    must(&["element", "new", "--state", &other, "--flaw", "readable-keys"]);
    assert_eq!(inspect(&other).pointer("/flaw").unwrap(), "readable-keys");
}

/// README's trial, with both applets: the evidence names the layout, and the verifier holds either.
#[test]
fn a_trial_with_each_applet() {
    for (applet, layout, version) in
        [("3.1", "se05x-attested-read", "030101"), ("7.2", "se05x-bound-read", "070200")]
    {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("chip").display().to_string();
        must(&["element", "new", "--state", &state, "--applet", applet]);
        assert!(inspect(&state).pointer("/applet_version").unwrap().as_str().unwrap().starts_with(version));
        let running = Running::start(&state);
        let store = format!("element:tcp:{}", running.address);
        let evidence = dir.path().join("evidence.cbor").display().to_string();
        let nonce = "5a".repeat(16);
        must(&["keystore", "generate", "--store", &store, "--key", "trial"]);
        must(&[
            "keystore", "attest", "--store", &store, "--key", "trial", "--nonce", &nonce, "--out", &evidence,
        ]);
        let bytes = std::fs::read(&evidence).unwrap();
        assert!(bytes.windows(layout.len()).any(|part| part == layout.as_bytes()), "{applet}");
        let verify = ["attest", "verify", "--evidence", &evidence, "--nonce", &nonce];
        assert_eq!(touchmark(&verify).status.code(), Some(1), "a TEST root by default");
        let held = must(&[&verify[..], &["--dangerously-accept-test-endorsers"]].concat());
        assert!(held.contains("hardware-bound"), "{held}");
    }
    let refused = touchmark(&["element", "new", "--state", "nowhere", "--applet", "7.1"]);
    assert_eq!(refused.status.code(), Some(2));
}
