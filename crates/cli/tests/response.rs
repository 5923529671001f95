//! The server climbs ladders: a copied key is confirmed, copies lose rights, the device is held and given back. Each act
//! is done once, whatever is killed when; a dry run does none; a key in a chip proves itself.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test helpers: a surprise is a panic"
)]

use serde_json::{Value, json};
use touchmark_keystore::software::flash::FlashImage;
use touchmark_testkit::curl::{Answer, curl};
use touchmark_testkit::est::Client;
use touchmark_testkit::nginx::GatePlan;
use touchmark_testkit::openssl::must;
use touchmark_testkit::peer;
use touchmark_testkit::process::wait_for;
use touchmark_testkit::server::{Server, Site};
use touchmark_testkit::swtpm::{EkKind, Swtpm};
use touchmark_testkit::telemetry::{Beat, post, send, token};

const HOME: &str = "127.0.1.1";
const AWAY: &str = "127.0.66.6";

/// A site with a policy of this ladder; `more` is TOML of the `[response]` table.
fn site(ladder: &str, more: &str) -> Site {
    let site = Site::new(
        env!("CARGO_BIN_EXE_touchmark"),
        &format!("[response]\npolicy = \"policy.toml\"\n{more}\n"),
    );
    site.write(
        "policy.toml",
        format!("[[response]]\nname = \"copies\"\nkinds = [\"clone\", \"concurrent-session\"]\noriginal_percent = 75\nladder = [{ladder}]\n"),
    );
    site
}

/// One instance of a device, played with curl.
struct Instance<'a> {
    site: &'a Site,
    certificate: String,
    address: &'static str,
    boot_count: u64,
    /// Milliseconds since it booted, at its first heartbeat.
    uptime_ms: u64,
    counter: u64,
    token: Option<String>,
}

impl<'a> Instance<'a> {
    fn enrolled(site: &'a Site, server: &Server, name: &str) -> Self {
        let client = Client { folder: site.folder(), server };
        let certificate = client.enrol_new(name, &site.register(name));
        Self {
            site,
            certificate,
            address: HOME,
            boot_count: 1,
            uptime_ms: 10_000_000,
            counter: 0,
            token: None,
        }
    }

    /// A copy of what the flash holds now, booted elsewhere.
    fn copied(&self) -> Self {
        Self {
            certificate: self.certificate.clone(),
            token: self.token.clone(),
            address: AWAY,
            boot_count: self.boot_count + 1,
            uptime_ms: 0,
            ..*self
        }
    }

    fn try_beat(&self, server: &Server) -> Answer {
        let beat = Beat {
            counter: self.counter + 1,
            uptime_ms: self.uptime_ms + self.counter,
            boot_count: self.boot_count,
            token: self.token.clone(),
        };
        send(self.site.folder(), server, &self.certificate, self.address, &beat.body()).unwrap()
    }

    /// A heartbeat that is taken; returns the answer.
    #[track_caller]
    fn beat(&mut self, server: &Server) -> Answer {
        let answer = self.try_beat(server).must_be(200);
        self.counter += 1;
        self.token = token(&answer);
        answer
    }

    /// A heartbeat that is refused with this code. It is not counted: the device sends it again.
    #[track_caller]
    fn refused(&self, server: &Server, code: &str) -> Value {
        let answer = self.try_beat(server).must_be(403).json();
        assert_eq!(answer["code"], code, "{answer}");
        answer
    }
}

/// A device and its copy, which the monitor is sure of.
fn copied<'a>(site: &'a Site, server: &Server, name: &str) -> (Instance<'a>, Instance<'a>) {
    let mut original = Instance::enrolled(site, server, name);
    for _ in 0..4 {
        let _answer = original.beat(server);
    }
    let mut copy = original.copied();
    for turn in 0..16 {
        if server.findings().iter().any(|f| f["device"] == name && f["grade"] == "confirmed") {
            return (original, copy);
        }
        let _answer = if turn % 2 == 0 { copy.beat(server) } else { original.beat(server) };
    }
    panic!("the copy was not confirmed: {:?}", server.findings());
}

fn case(site: &Site, device: &str) -> Option<Value> {
    let cases = site.authority(&["cases", "--device", device]).must_end_with(0).json();
    assert_eq!(cases["schema"], "touchmark.cases/1");
    cases["cases"].as_array().unwrap().iter().find(|case| case["device"] == device).cloned()
}

/// Waits until an act of this sort has come to this.
#[track_caller]
fn wait_for_act(site: &Site, device: &str, request: &str, measure: &str, outcome: &str) -> Value {
    wait_for(&format!("{request} {measure} {outcome}"), || {
        let case = case(site, device)?;
        let wanted = |act: &&Value| {
            act["request"] == request && act["measure"] == measure && act["outcome"] == outcome
        };
        case["acts"].as_array().unwrap().iter().any(|act| wanted(&act)).then_some(case.clone())
    })
}

/// How often the journal has an entry of this kind.
fn journalled(site: &Site, kind: &str) -> usize {
    let journal = site.authority(&["journal", "--newest", "1000"]).must_end_with(0).json();
    journal["newest"].as_array().unwrap().iter().filter(|entry| entry["kind"] == kind).count()
}

fn decide(site: &Site, case: &Value, more: &[&str], code: i32) -> String {
    let finding = case["finding"].as_str().unwrap();
    let finished = site.authority(&[&["decide", "--finding", finding], more].concat()).must_end_with(code);
    finished.all()
}

#[test]
fn a_copy_loses_its_rights_then_the_device_is_held_and_each_act_is_done_once() {
    if !peer::all_present(&["curl", "openssl"]) {
        return;
    }
    let ladder = "{ step = \"challenge\", wait_s = 2 }, { step = \"reduce-rights\" }, \
                  { step = \"rekey-winner\", wait_s = 4 }, { step = \"quarantine\", wait_s = 600 }, \
                  { step = \"work-order\" }";
    let site = site(ladder, "");
    let server = site.start();
    let (mut original, mut copy) = copied(&site, &server, "meter-1");

    // Both are asked, with a nonce of their own each; the copy can sign as well.
    wait_for_act(&site, "meter-1", "do", "challenge", "done");
    let mut nonces = Vec::new();
    for instance in [&mut original, &mut copy] {
        let challenge = instance.beat(&server).json()["challenge"].clone();
        assert_eq!(challenge["evidence"], false, "nothing claims that the key is in a chip");
        nonces.push(challenge["nonce"].as_str().unwrap().to_owned());
    }
    assert_ne!(nonces[0], nonces[1]);
    let answer = |instance: &Instance<'_>, nonce: &str| {
        let signed = [b"touchmark.challenge/1\0", &hex::decode(nonce).unwrap()[..]].concat();
        site.write("signed", signed);
        let sign = ["dgst", "-sha256", "-sign", "meter-1.key", "-hex", "-r", "signed"];
        let signature = must(site.folder(), &sign).split_whitespace().next().unwrap().to_owned();
        let body = json!({ "nonce": nonce, "signature": signature }).to_string();
        post(site.folder(), &server, &instance.certificate, instance.address, "/v1/challenge", &body).unwrap()
    };
    assert_eq!(answer(&original, &nonces[0]).must_be(200).json()["verdict"], "signature-only");
    assert!(answer(&original, &"00".repeat(32)).must_be(400).text().contains("SV-0022"));
    assert_eq!(original.beat(&server).json()["challenge"], Value::Null, "who answered is not asked again");

    // The likely original goes on, and the copy does not, whatever it leaves out.
    let climbed = wait_for_act(&site, "meter-1", "do", "reduce-rights", "done");
    let says: Vec<&str> =
        climbed["acts"].as_array().unwrap().iter().map(|act| act["says"].as_str().unwrap()).collect();
    assert!(says.iter().any(|says| says.contains("decides nothing")), "{says:?}");
    let _answer = original.beat(&server);
    let refusal = copy.refused(&server, "SV-0023");
    assert_eq!(refusal["challenge"]["nonce"], nonces[1].as_str(), "it may still prove itself: {refusal}");
    let without_token = Instance { token: None, certificate: copy.certificate.clone(), ..copy };
    let _refusal = without_token.refused(&server, "SV-0023");

    // A power loss between two steps: what was in force is in force again, and nothing comes twice.
    server.kill();
    let server = site.start();
    let _refusal = copy.refused(&server, "SV-0023");
    let _answer = original.beat(&server);
    let rekey = wait_for("the request for a new key", || Some(site.device("meter-1")["rekey"].clone()));
    assert_eq!(rekey["because"], "probability", "{rekey}");
    wait_for_act(&site, "meter-1", "do", "quarantine", "done");
    assert_eq!(site.device("meter-1")["status"], "quarantined");
    let _refusal = original.refused(&server, "SV-0007");
    server.kill();
    let server = site.start();
    let held = wait_for_act(&site, "meter-1", "do", "quarantine", "done");
    assert_eq!(journalled(&site, "device.quarantined"), 1);
    let numbers: Vec<u64> =
        held["acts"].as_array().unwrap().iter().map(|act| act["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "{held}");
    for measure in ["challenge", "reduce-rights", "rekey-winner", "quarantine"] {
        let done = held["acts"].as_array().unwrap().iter().filter(|act| act["measure"] == measure);
        assert_eq!(done.count(), 1, "{measure} in {held}");
    }

    // A person gives everything back.
    assert!(decide(&site, &held, &["resume"], 1).contains("SV-0021"));
    assert!(decide(&site, &held, &["revoke"], 2).contains("SV-0012"));
    let _done = decide(&site, &held, &["release"], 0);
    let released = case(&site, "meter-1").unwrap();
    assert_eq!((&released["state"], &released["how"]), (&json!("ended"), &json!("released")), "{released}");
    assert_eq!(released["in_force"], json!([]));
    assert_eq!(site.device("meter-1")["status"], "enrolled");
    assert_eq!(site.device("meter-1")["rekey"], Value::Null);
    assert_eq!(journalled(&site, "device.released"), 1);
    let _answer = original.beat(&server);
    let _answer = copy.beat(&server);
    server.stop();

    let refused = site.authority(&["cases"]).must_end_with(3);
    assert!(refused.stderr.contains("SV-0024"), "{}", refused.stderr);
}

#[test]
fn a_dry_run_writes_everything_down_and_does_nothing() {
    if !peer::all_present(&["curl", "openssl"]) {
        return;
    }
    let ladder = "{ step = \"challenge\" }, { step = \"reduce-rights\" }, { step = \"quarantine\" }, { step = \"revoke\" }";
    let site = site(ladder, "dry_run = true");
    let server = site.start();
    let (mut original, mut copy) = copied(&site, &server, "meter-1");
    let case = wait_for_act(&site, "meter-1", "do", "ask-revoke", "dry-run");
    assert_eq!((&case["dry_run"], &case["state"]), (&json!(true), &json!("waiting")));
    let done: Vec<&Value> =
        case["acts"].as_array().unwrap().iter().filter(|act| act["outcome"] == "done").collect();
    assert!(done.is_empty(), "{done:?}");
    assert_eq!(site.device("meter-1")["status"], "enrolled");
    for instance in [&mut original, &mut copy] {
        assert_eq!(instance.beat(&server).json()["challenge"], Value::Null);
    }
    assert_eq!(journalled(&site, "device.quarantined"), 0);
    let refused = decide(&site, &case, &["revoke", "--confirm", "meter-1"], 1);
    assert!(refused.contains("dry run"), "{refused}");
    let _released = decide(&site, &case, &["release"], 0);
    assert_eq!(journalled(&site, "device.released"), 0);
    assert_eq!(site.device("meter-1")["status"], "enrolled");
    server.stop();
}

#[test]
fn people_hold_and_proceed_and_triage_gives_back() {
    if !peer::all_present(&["curl", "openssl"]) {
        return;
    }
    let ladder = "{ step = \"work-order\", wait_s = 600 }, { step = \"quarantine\", wait_s = 600 }, { step = \"revoke\" }";
    let site = site(ladder, "");
    let server = site.start();
    let (_original, _copy) = copied(&site, &server, "meter-1");
    let open = wait_for_act(&site, "meter-1", "do", "work-order", "done");
    assert_eq!((&open["state"], &open["next"]), (&json!("climbing"), &json!("quarantine")));
    let finding = open["finding"].as_str().unwrap();
    let form = |path: &str, data: &str, origin: &str, status: u16| {
        let (url, origin) =
            (format!("{}/finding/{finding}/{path}", server.dashboard), format!("Origin: {origin}"));
        let _answer = curl(site.folder(), &["-H", &origin, "--data", data, &url], &[]).must_be(status);
    };
    let own = server.dashboard.clone();
    form("case", "decision=hold", "http://elsewhere.example", 403);
    form("case", "decision=hold", &own, 303);
    assert_eq!(case(&site, "meter-1").unwrap()["state"], "held");
    form("case", "decision=resume&confirm=", &own, 303);
    // It is due at once, and the clock takes the step.
    wait_for_act(&site, "meter-1", "do", "quarantine", "done");
    assert_eq!(site.device("meter-1")["status"], "quarantined");
    let page = curl(site.folder(), &[&format!("{}/finding/{finding}", server.dashboard)], &[]).must_be(200);
    for word in ["Quarantine", "release", "copies"] {
        assert!(page.text().contains(word), "{word} is not on the page");
    }
    let api = curl(site.folder(), &[&format!("{}/api/cases", server.dashboard)], &[]).must_be(200).text();
    let line: Value = serde_json::from_str(api.lines().next().unwrap()).unwrap();
    assert_eq!((&line["schema"], &line["finding"]), (&json!("touchmark.case/1"), &open["finding"]));

    // A false alarm takes everything back; undone, the ladder is climbed anew.
    form("triage", "decision=false-alarm&reason=test-device&note=", &own, 303);
    wait_for_act(&site, "meter-1", "undo", "quarantine", "done");
    assert_eq!(site.device("meter-1")["status"], "enrolled");
    assert_eq!(case(&site, "meter-1").unwrap()["state"], "suppressed");
    let undo = format!("{}/triage/1/undo", server.dashboard);
    let _undone =
        curl(site.folder(), &["-H", &format!("Origin: {own}"), "--data", "", &undo], &[]).must_be(303);
    wait_for("the ladder anew", || (case(&site, "meter-1")?["state"] == "climbing").then_some(()));
    form("case", "decision=proceed", &own, 303);
    assert_eq!(site.device("meter-1")["status"], "quarantined");
    // Not what an operator holds by hand.
    let _released = site.authority(&["release", "--device", "meter-1"]).must_end_with(0);
    let _held =
        site.authority(&["quarantine", "--device", "meter-1", "--reason", "on the bench"]).must_end_with(0);
    form("case", "decision=release", &own, 303);
    assert_eq!(site.device("meter-1")["status"], "quarantined");
    let case = wait_for_act(&site, "meter-1", "undo", "quarantine", "left-out");
    assert!(case.to_string().contains("an operator has put the device on hold"), "{case}");
    server.stop();
}

#[test]
fn a_person_revokes_with_the_devices_name() {
    if !peer::all_present(&["curl", "openssl"]) {
        return;
    }
    let site =
        Site::new(env!("CARGO_BIN_EXE_touchmark"), "[response]\nquarantine_on_confirmed = [\"clone\"]\n");
    let server = site.start();
    let (_original, _copy) = copied(&site, &server, "meter-1");
    let held = wait_for_act(&site, "meter-1", "do", "quarantine", "done");
    assert_eq!((&held["rule"], &held["state"]), (&json!("quarantine_on_confirmed"), &json!("waiting")));
    let wrong = decide(&site, &held, &["revoke", "--confirm", "meter-2"], 2);
    assert!(wrong.contains("SV-0012"), "{wrong}");
    let _revoked = decide(&site, &held, &["revoke", "--confirm", "meter-1"], 0);
    assert_eq!(site.device("meter-1")["status"], "revoked");
    assert_eq!(case(&site, "meter-1").unwrap()["how"], "revoked");
    assert_eq!(journalled(&site, "device.revoked"), 1);
    server.stop();
}

#[test]
fn a_key_in_an_element_answers_with_evidence_and_keeps_its_rights() {
    if !peer::all_present(&["nginx", "openssl", "curl"]) {
        return;
    }
    let site = chip_site();
    let (_element, element) = site.element("chip");
    keeps_its_rights(&site, &format!("element:tcp:{element}"));
}

#[test]
fn a_key_in_a_tpm_answers_with_evidence_and_keeps_its_rights() {
    let Some(tpm) = Swtpm::start(EkKind::P384) else { return };
    if !peer::all_present(&["nginx", "openssl", "curl"]) {
        return;
    }
    let site = chip_site();
    for (n, pem) in tpm.endorser_root_pem.iter().enumerate() {
        site.write(&format!("endorsers/tpm-maker-{n}.pem"), pem);
    }
    keeps_its_rights(&site, &format!("tpm:{}", tpm.address));
}

/// A site that asks for proof, then takes rights.
fn chip_site() -> Site {
    let site = site("{ step = \"challenge\", wait_s = 3 }, { step = \"reduce-rights\" }", "");
    std::fs::create_dir(site.path("endorsers")).unwrap();
    site
}

/// A device whose key is in this store proves that it holds it, and goes on; who speaks in its name does not.
fn keeps_its_rights(site: &Site, store: &str) {
    let plan = GatePlan::new(site.folder());
    site.configure(&format!(
        "[attestation]\nendorsers_dir = \"endorsers\"\ndangerously_accept_test_endorsers = true\n[response]\npolicy = \"policy.toml\"\n{}",
        plan.server_tables()
    ));
    let server = site.start();
    let anchors = [std::fs::read_to_string(&server.root).unwrap(), plan.root_pem()].concat();
    site.write("anchors.pem", anchors);
    let token = site.register("lock-1");
    let more = format!("flash = \"lock-1.img\"\nbind_address = \"{HOME}\"\nheartbeat_ms = 200\n");
    site.agent(&server, "lock-1", store, &plan.address(), &token, &more);
    let enrolled = site.touchmark(&["agent", "enrol", "--config", "lock-1.toml"]).must_end_with(0).json();
    assert_eq!(enrolled["assurance"]["basis"], "attested");
    let certificate = certificate(site, "lock-1");
    let _gate = plan.start(&server.telemetry);
    let agent = site.run_agent("lock-1", "lock-1.log");
    let acknowledged = |site: &Site| {
        site.agent_events("lock-1.log").iter().filter(|event| event["event"] == "acknowledged").count()
    };
    wait_for("heartbeats", || (acknowledged(site) >= 4).then_some(()));

    // Somebody else speaks in its name; how he came to pass the gate is not told here.
    let key = site.device("lock-1")["keys"][0]["spki_sha256"].as_str().unwrap().to_owned();
    let mut other = Instance {
        site,
        certificate,
        address: AWAY,
        boot_count: 7,
        uptime_ms: 100_000,
        counter: 100,
        token: None,
    };
    let finding = wait_for("the second session", || {
        let _answer = other.beat(&server);
        server.findings().into_iter().find(|f| f["device"] == "lock-1" && f["grade"] == "confirmed")
    });
    assert_eq!((&finding["regime"], &finding["identity"]["spki_sha256"]), (&json!("behaviour"), &json!(key)));
    let challenged = wait_for("the agent's answer", || {
        site.agent_events("lock-1.log").into_iter().find(|event| event["event"] == "challenged")
    });
    assert_eq!(challenged["evidence_sent"], true, "{challenged}");
    assert_eq!(challenged["verdict"], "attested", "{challenged}");
    let case = wait_for_act(site, "lock-1", "do", "reduce-rights", "done");
    let answers = case["answers"].as_array().unwrap();
    assert_eq!(answers.iter().filter(|answer| answer["verdict"] == "attested").count(), 1, "{case}");
    let says = case.to_string();
    assert!(says.contains("alone gave fresh evidence") && says.contains("(attested)"), "{case}");
    let _refusal = other.refused(&server, "SV-0023");
    let before = acknowledged(site);
    wait_for("the device goes on", || (acknowledged(site) >= before + 3).then_some(()));
    assert!(agent.terminate().success());
    server.stop();
}

/// A device's own certificate as its flash holds it, PEM.
fn certificate(site: &Site, name: &str) -> String {
    let mut flash = FlashImage::open(&site.path(&format!("{name}.img"))).unwrap();
    let chain = String::from_utf8(flash.read("certificate.pem").unwrap().unwrap()).unwrap();
    let end = "-----END CERTIFICATE-----\n";
    [chain.split(end).next().unwrap(), end].concat()
}
