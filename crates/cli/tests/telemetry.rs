//! The gate, for real: nginx with the shipped configuration checks certificates, agents send heartbeats through it, a
//! copied flash image is found, and after the revocation nginx lets nobody in with that key.
#![expect(clippy::unwrap_used, reason = "test helpers: a surprise is a panic")]

use serde_json::Value;
use touchmark_testkit::curl::curl;
use touchmark_testkit::est::Client;
use touchmark_testkit::nginx::GatePlan;
use touchmark_testkit::openssl::{leaf, root};
use touchmark_testkit::peer;
use touchmark_testkit::process::wait_for;
use touchmark_testkit::server::Site;

/// How many heartbeats of an agent were acknowledged.
fn acknowledged(site: &Site, log: &str) -> usize {
    site.agent_events(log).iter().filter(|event| event["event"] == "acknowledged").count()
}

#[track_caller]
fn wait_for_more(site: &Site, log: &str, number: usize) {
    let before = acknowledged(site, log);
    wait_for(log, || (acknowledged(site, log) >= before + number).then_some(()));
}

fn about(finding: &Value) -> (&str, &str) {
    (finding["kind"].as_str().unwrap(), finding["device"].as_str().unwrap_or("-"))
}

#[test]
fn a_copied_flash_image_is_found_and_shut_out_at_the_gate() {
    if !peer::all_present(&["nginx", "openssl", "curl"]) {
        return;
    }
    let site = Site::new(env!("CARGO_BIN_EXE_touchmark"), "");
    let plan = GatePlan::new(site.folder());
    site.configure(&plan.server_tables());
    // The server comes first: it writes the files that nginx reads. That nobody can be told yet is no reason to stop.
    let server = site.start();
    let anchors = [std::fs::read_to_string(&server.root).unwrap(), plan.root_pem()].concat();
    site.write("anchors.pem", anchors);
    for (device, address) in [("meter-1", "127.0.1.1"), ("meter-2", "127.0.1.2")] {
        let token = site.register(device);
        let more = format!("flash = \"{device}.img\"\nbind_address = \"{address}\"\nheartbeat_ms = 100\n");
        let store = format!("software:{device}.img#identity.toml");
        site.agent(&server, device, &store, &plan.address(), &token, &more);
        let _enrolled =
            site.touchmark(&["agent", "enrol", "--config", &format!("{device}.toml")]).must_end_with(0);
    }
    let gate = plan.start(&server.telemetry);

    // Without a certificate, and with one of another CA, nginx itself says no.
    root(site.folder(), "foreign");
    leaf(site.folder(), "foreign", "stranger", "extendedKeyUsage=clientAuth");
    let address = format!("{}/v1/heartbeat", gate.address);
    for more in [&[][..], &["--cert", "stranger.pem", "--key", "stranger.key"]] {
        let arguments = [&["--cacert", "gate/gate-root.pem", "--data-binary", "{}", &address], more].concat();
        let _refused = curl(site.folder(), &arguments, &[]).must_be(400);
    }
    wait_for("both refusals", || {
        let refused = ["no-client-certificate", "client-certificate-refused"];
        refused.iter().all(|reason| server.counted("monitor_lines_refused", reason) == 1).then_some(())
    });

    let bystander = site.run_agent("meter-2", "meter-2.log");
    let original = site.run_agent("meter-1", "meter-1.log");
    wait_for("heartbeats", || (acknowledged(&site, "meter-1.log") >= 3).then_some(()));
    assert!(original.terminate().success());
    std::fs::copy(site.path("meter-1.img"), site.path("copy.img")).unwrap();
    let copied =
        site.read("meter-1.toml").replace("meter-1.img", "copy.img").replace("127.0.1.1", "127.0.66.6");
    site.write("copy.toml", copied);
    let original = site.run_agent("meter-1", "meter-1.log");
    wait_for("heartbeats", || (acknowledged(&site, "meter-1.log") >= 3).then_some(()));
    wait_for("heartbeats", || (acknowledged(&site, "meter-2.log") >= 6).then_some(()));
    assert_eq!(server.findings(), Vec::<Value>::new(), "nothing has happened so far");

    let clone = site.run_agent("copy", "copy.log");
    let finding = wait_for("the clone's finding", || {
        server.findings().into_iter().find(|finding| about(finding) == ("clone", "meter-1"))
    });
    assert_eq!(finding["regime"], "duplication");
    assert!(finding["branches"].as_array().unwrap().len() >= 2, "{finding}");
    wait_for_more(&site, "copy.log", 2);
    wait_for_more(&site, "meter-2.log", 2);
    let strangers: Vec<Value> =
        server.findings().into_iter().filter(|finding| finding["device"] != "meter-1").collect();
    assert_eq!(strangers, Vec::<Value>::new(), "nobody else is suspected");
    assert!(server.counted("monitor_events_accepted", "authentication") >= 8, "nginx's log is read as well");

    // A person decides; the gate is told, and the copy is out with the original.
    let _revoked =
        site.authority(&["revoke", "--device", "meter-1", "--confirm", "meter-1"]).must_end_with(0);
    for log in ["copy.log", "meter-1.log"] {
        wait_for("the refusal at the gate", || {
            let refused = |event: &&Value| event["event"] == "failed" && event["status"] == 400;
            site.agent_events(log).iter().rfind(refused).cloned()
        });
    }
    wait_for_more(&site, "meter-2.log", 3);
    let client = Client { folder: site.folder(), server: &server };
    client.fetch_public_files();
    let serial = site.device("meter-1")["certificates"][0]["serial"].as_str().unwrap().to_uppercase();
    let crl = touchmark_testkit::openssl::must(
        site.folder(),
        &["crl", "-in", "issuing.crl.pem", "-noout", "-text"],
    );
    assert!(crl.contains(&serial) && crl.contains("Key Compromise"), "{crl}");
    // The gate's own copy of the CRL says the same.
    let crl = touchmark_testkit::openssl::must(
        site.folder(),
        &["crl", "-in", "gate/devices.crl", "-noout", "-text"],
    );
    assert!(crl.contains(&serial), "{crl}");

    for agent in [clone, original, bystander] {
        assert!(agent.terminate().success());
    }
    server.stop();
}
