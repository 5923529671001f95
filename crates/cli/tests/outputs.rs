//! Findings out, for real: receivers written in Python, a server that is killed with findings waiting, and the
//! explanation of a finding from the command line.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test helpers: a surprise is a panic")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use touchmark_testkit::est::{Client, base64, certificates};
use touchmark_testkit::openssl::{leaf, request, root};
use touchmark_testkit::peer;
use touchmark_testkit::process::{Daemon, free_port, wait_for};
use touchmark_testkit::server::{Server, Site};
use touchmark_testkit::telemetry::{Beat, send};

/// Receives webhooks over TLS with Python's own HTTP server, and syslog over TCP with octet counting; writes what came to files.
/// The first requests get the statuses that stand in its arguments, and are not taken.
const RECEIVER: &str = r#"
import http.server, json, socketserver, ssl, sys, threading
http_port, syslog_port, statuses = int(sys.argv[1]), int(sys.argv[2]), [int(word) for word in sys.argv[3:]]

class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert body["id"] == self.headers["Idempotency-Key"], body
        assert self.headers["Authorization"] == "Bearer open sesame", self.headers
        status = statuses.pop(0) if statuses else 200
        if status == 200:
            with open("webhook.out", "a") as out:
                out.write(json.dumps(body) + "\n")
        self.send_response(status)
        self.end_headers()
    def log_message(self, *ignored):
        pass

class Syslog(socketserver.StreamRequestHandler):
    def handle(self):
        while True:
            digits = b""
            while (byte := self.rfile.read(1)) not in (b" ", b""):
                digits += byte
            if not digits:
                return
            with open("syslog.out", "ab") as out:
                out.write(self.rfile.read(int(digits)) + b"\n")

class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

syslog = Server(("127.0.0.1", syslog_port), Syslog)
threading.Thread(target=syslog.serve_forever, daemon=True).start()
hooks = http.server.ThreadingHTTPServer(("127.0.0.1", http_port), Hook)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain("siem.pem", "siem.key")
hooks.socket = tls.wrap_socket(hooks.socket, server_side=True)
hooks.serve_forever()
"#;

struct Ports {
    http: u16,
    syslog: u16,
}

fn receiver(site: &Site, ports: &Ports, statuses: &[&str]) -> Daemon {
    let mut command = Command::new("python3");
    command.current_dir(site.folder()).args(["-c", RECEIVER]);
    command.args([ports.http.to_string(), ports.syslog.to_string()]).args(statuses);
    Daemon::start(command.stdin(Stdio::null()))
}

/// A device that reports a firmware below the fleet's floor: a confirmed finding each.
fn report_old_firmware(site: &Site, server: &Server, names: &[&str]) {
    for name in names {
        let token = site.register(name);
        request(site.folder(), name, name);
        let client = Client { folder: site.folder(), server };
        let answer = client.enrol(name, &token, &base64(site.folder(), name)).must_be(200);
        let certificate = certificates(site.folder(), &answer.body);
        let beat = Beat { counter: 1, uptime_ms: 1_000, boot_count: 1, token: None };
        let _answer =
            send(site.folder(), server, &certificate, "127.0.0.1", &beat.body()).unwrap().must_be(200);
    }
}

fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    // The last line may still be in the making.
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect()
}

/// Ids of deliveries in the order in which each came first; a repeated one must be the same.
fn ids(site: &Site) -> Vec<String> {
    let (mut order, mut seen) = (Vec::new(), BTreeMap::new());
    for line in lines(&site.path("webhook.out")) {
        let event: Value = serde_json::from_str(&line).unwrap();
        let id = event["id"].as_str().unwrap().to_owned();
        match seen.insert(id.clone(), line.clone()) {
            Some(before) => assert_eq!(before, line, "one id, two contents"),
            None => order.push(id),
        }
    }
    order
}

fn metric(server: &Server, name: &str) -> Option<f64> {
    let (_, body) = server.get(&format!("{}/metrics", server.dashboard));
    let text = String::from_utf8_lossy(&body).into_owned();
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[test]
fn findings_that_wait_survive_a_kill_and_arrive_in_order() {
    if !peer::all_present(&["python3", "curl", "openssl"]) {
        return;
    }
    let ports = Ports { http: free_port(), syslog: free_port() };
    let site = Site::new(env!("CARGO_BIN_EXE_touchmark"), "");
    site.write("secret", "open sesame\n");
    root(site.folder(), "siem-root");
    leaf(site.folder(), "siem-root", "siem", "subjectAltName=IP:127.0.0.1");
    site.configure(&format!(
        "[keys]\nstore = \"software:ca-keys.toml\"\n[anti_rollback]\nmeter = 4\n\
         [[output]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"https://127.0.0.1:{}/in\"\nform = \"cloudevents\"\n\
         token_file = \"secret\"\nca_file = \"siem-root.pem\"\n\
         [[output]]\nname = \"log\"\nkind = \"syslog\"\naddress = \"tcp://127.0.0.1:{}\"\nform = \"cef\"\n\
         [[output]]\nname = \"file\"\nkind = \"file\"\npath = \"findings.ndjson\"\n",
        ports.http, ports.syslog
    ));
    let server = site.start();
    report_old_firmware(&site, &server, &["meter-1", "meter-2"]);
    // Nobody receives webhooks yet; the file is not held up by that.
    wait_for("the file", || (lines(&site.path("findings.ndjson")).len() >= 2).then_some(()));
    wait_for("failures", || {
        metric(&server, "touchmark_outbox_failures_total{output=\"hook\"}").filter(|n| *n >= 1.0)
    });
    assert!(metric(&server, "touchmark_outbox_waiting{output=\"hook\"}").unwrap() >= 2.0);
    server.kill();

    // The next server reads its log again, and owes nothing twice for it; the receiver first has a bad time.
    let server = site.start();
    let process = receiver(&site, &ports, &["503", "500", "404"]);
    wait_for("a webhook", || (!ids(&site).is_empty()).then_some(()));
    server.kill();
    drop(process);
    let server = site.start();
    report_old_firmware(&site, &server, &["meter-3"]);
    let _receiver = receiver(&site, &ports, &[]);
    let findings = server.findings();
    assert!(findings.len() >= 3, "{findings:?}");
    let mut expected: Vec<String> =
        findings.iter().map(|f| format!("{}.{}", f["id"].as_str().unwrap(), f["revision"])).collect();
    expected.sort();
    let arrived = wait_for("all webhooks", || {
        let arrived = ids(&site);
        expected.iter().all(|id| arrived.contains(id)).then_some(arrived)
    });
    wait_for("nothing to wait", || {
        ["hook", "log", "file"]
            .iter()
            .all(|name| {
                metric(&server, &format!("touchmark_outbox_waiting{{output=\"{name}\"}}")) == Some(0.0)
            })
            .then_some(())
    });
    // All outputs have the same, in the same order; a restart has repeated nothing but what was under way.
    let in_file: Vec<Value> =
        lines(&site.path("findings.ndjson")).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut order: Vec<&str> = Vec::new();
    for document in &in_file {
        assert_eq!(document["class_uid"], 2004);
        let id = document["metadata"]["uid"].as_str().unwrap();
        if !order.contains(&id) {
            order.push(id);
        }
    }
    assert_eq!(order, arrived);
    let messages = lines(&site.path("syslog.out"));
    for id in &arrived {
        let of_it =
            |line: &&String| line.contains("CEF:0|Touchmark|Touchmark|") && line.contains(id.as_str());
        assert!(messages.iter().any(|line| of_it(&line)), "no message for {id} in {messages:?}");
    }
    assert!(metric(&server, "touchmark_monitor_identities").unwrap() >= 3.0);
    server.stop();
}

/// The errands among the webhooks that came: type and id, each once.
fn errands(site: &Site) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for line in lines(&site.path("webhook.out")) {
        let event: Value = serde_json::from_str(&line).unwrap();
        let text = |name: &str| event[name].as_str().unwrap().to_owned();
        let errand = (text("type"), text("id"));
        if errand.0.starts_with("touchmark.response.") && !found.contains(&errand) {
            assert_eq!(
                (&event["subject"], &event["data"]["schema"]),
                (&json!("meter-1"), &json!("touchmark.response/1"))
            );
            assert_eq!(event["data"]["device"], "meter-1");
            found.push(errand);
        }
    }
    found
}

#[test]
fn what_responses_ask_of_people_is_sent_once_and_withdrawn() {
    if !peer::all_present(&["python3", "curl", "openssl"]) {
        return;
    }
    let ports = Ports { http: free_port(), syslog: free_port() };
    let site = Site::new(env!("CARGO_BIN_EXE_touchmark"), "");
    site.write("secret", "open sesame\n");
    root(site.folder(), "siem-root");
    leaf(site.folder(), "siem-root", "siem", "subjectAltName=IP:127.0.0.1");
    site.write(
        "policy.toml",
        "[[response]]\nname = \"downgrades\"\nladder = [{ step = \"work-order\" }, { step = \"quarantine\", wait_s = 600 }]\n",
    );
    site.configure(&format!(
        "[keys]\nstore = \"software:ca-keys.toml\"\n[anti_rollback]\nmeter = 4\n[response]\npolicy = \"policy.toml\"\n\
         [[output]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"https://127.0.0.1:{}/in\"\nform = \"cloudevents\"\n\
         token_file = \"secret\"\nca_file = \"siem-root.pem\"\n\
         [[output]]\nname = \"log\"\nkind = \"syslog\"\naddress = \"tcp://127.0.0.1:{}\"\nform = \"cef\"\n\
         [[output]]\nname = \"yard\"\nkind = \"file\"\npath = \"orders.ndjson\"\nform = \"native\"\nsends = [\"errands\"]\n",
        ports.http, ports.syslog
    ));
    let server = site.start();
    report_old_firmware(&site, &server, &["meter-1"]);
    // A kill between a line and the note that it was sent writes the line again: at least once, and the same line.
    let native = |count: usize| {
        let mut found = lines(&site.path("orders.ndjson"));
        found.dedup();
        (found.len() >= count).then_some(found)
    };
    let first = wait_for("the file", || native(1));
    // Killed with the webhook owed, started again, and the receiver has a bad time at first.
    server.kill();
    let server = site.start();
    let process = receiver(&site, &ports, &["503", "500"]);
    let [(kind, id)] = wait_for("the order", || <[_; 1]>::try_from(errands(&site)).ok());
    assert_eq!(kind, "touchmark.response.work-order");
    let order: Value = serde_json::from_str(&first[0]).unwrap();
    assert_eq!((&order["request"], &order["measure"]), (&json!("do"), &json!("work-order")));
    let finding = order["finding"].as_str().unwrap();
    assert_eq!(id, format!("{finding}.act-{}", order["number"]));
    server.kill();
    drop(process);

    // Taken back, it is withdrawn, and nothing is sent anew.
    let server = site.start();
    let _receiver = receiver(&site, &ports, &[]);
    let _released = site.authority(&["decide", "--finding", finding, "release"]).must_end_with(0);
    wait_for("the withdrawal", || {
        let kinds: Vec<String> = errands(&site).into_iter().map(|(kind, _)| kind).collect();
        (kinds == ["touchmark.response.work-order", "touchmark.response.work-order.withdrawn"]).then_some(())
    });
    let orders = wait_for("the file again", || native(2));
    assert_eq!(orders.len(), 2, "{orders:?}");
    let _ids = ids(&site);
    wait_for("nothing to wait", || {
        ["hook", "log", "yard"]
            .iter()
            .all(|name| {
                metric(&server, &format!("touchmark_outbox_waiting{{output=\"{name}\"}}")) == Some(0.0)
            })
            .then_some(())
    });
    assert!(lines(&site.path("syslog.out")).iter().all(|line| line.contains("CEF:0|")));
    server.stop();
}

#[test]
fn a_dry_run_sends_nobody() {
    if !peer::all_present(&["curl", "openssl"]) {
        return;
    }
    let site = Site::new(env!("CARGO_BIN_EXE_touchmark"), "");
    site.write("policy.toml", "[[response]]\nname = \"all\"\nladder = [{ step = \"work-order\" }]\n");
    site.configure(
        "[keys]\nstore = \"software:ca-keys.toml\"\n[anti_rollback]\nmeter = 4\n[response]\npolicy = \"policy.toml\"\n\
         dry_run = true\n[[output]]\nname = \"yard\"\nkind = \"file\"\npath = \"orders.ndjson\"\nform = \"native\"\n\
         sends = [\"findings\", \"errands\"]\n",
    );
    let server = site.start();
    report_old_firmware(&site, &server, &["meter-1"]);
    wait_for("the act", || {
        let cases = site.authority(&["cases"]).must_end_with(0).text();
        cases.contains("dry-run").then_some(())
    });
    wait_for("nothing to wait", || {
        (metric(&server, "touchmark_outbox_waiting{output=\"yard\"}") == Some(0.0)
            && !lines(&site.path("orders.ndjson")).is_empty())
        .then_some(())
    });
    assert!(lines(&site.path("orders.ndjson")).iter().all(|line| line.contains("touchmark.finding/1")));
    server.stop();
}

/// A device whose firmware is below its floor, and a second event about it.
const EVENTS: &str = concat!(
    r#"{"schema":"touchmark.event/1","type":"registry","time":"2026-11-20T21:00:00Z","source":"registry","identity":{"common_name":"meter-1"},"device":"meter-1","anti_rollback_floor":4}"#,
    "\n",
    r#"{"schema":"touchmark.event/1","type":"heartbeat","time":"2026-11-20T22:00:00Z","source":"gate","event_id":"a","identity":{"common_name":"meter-1"},"counter":1,"uptime_ms":1000,"security_version":3}"#,
    "\n",
);

#[test]
fn a_finding_is_explained_and_its_raw_lines_are_found_again() {
    let site = Site::new(env!("CARGO_BIN_EXE_touchmark"), "");
    site.write("events.ndjson", EVENTS);
    let replay = |more: &[&str]| {
        site.touchmark(&[&["monitor", "replay", "--events", "events.ndjson"], more].concat()).must_end_with(0)
    };
    let native = replay(&[]).text();
    assert!(!native.is_empty());
    site.write("findings.ndjson", format!("{native}\n"));
    for (form, pointer, expected) in [
        ("native", "/kind", "downgrade"),
        ("ocsf", "/class_name", "Detection Finding"),
        ("ecs", "/event/action", "downgrade"),
        ("cloudevents", "/type", "touchmark.finding.downgrade"),
    ] {
        let text = replay(&["--form", form]).text();
        let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(first.pointer(pointer).and_then(Value::as_str), Some(expected), "{form}");
        assert_eq!(text.lines().count(), native.lines().count());
    }
    assert!(replay(&["--form", "cef"]).text().starts_with("CEF:0|Touchmark|"));
    let _unknown = site
        .touchmark(&["monitor", "replay", "--events", "events.ndjson", "--form", "leef"])
        .must_end_with(2);

    let explain = ["monitor", "explain", "--finding", "findings.ndjson"];
    let report =
        site.touchmark(&[&explain[..], &["--events", "events.ndjson"]].concat()).must_end_with(0).json();
    assert_eq!(report["schema"], "touchmark.explanation/1");
    assert_eq!(report["missing"], 0);
    let finding = &report["findings"][0];
    assert_eq!(finding["rules"][0], "downgrade.floor");
    let places: Vec<&Value> =
        finding["checked"].as_array().unwrap().iter().map(|check| &check["line"]).collect();
    assert!(places.contains(&&Value::from(2)), "{finding}");
    assert_eq!(finding["weighing"]["prior_decibans"], -40.0);

    // One changed byte, and the line is missing.
    site.write("changed.ndjson", EVENTS.replace("\"security_version\":3", "\"security_version\":2"));
    let report = site.touchmark(&[&explain[..], &["--events", "changed.ndjson"]].concat()).must_end_with(1);
    assert_eq!(report.json()["missing"], 1);
    site.write("findings.ndjson", "{}\n");
    let refused = site.touchmark(&explain).must_end_with(2);
    assert!(refused.stderr.contains("line 1") && refused.stderr.contains("FN-0002"), "{}", refused.stderr);
}
