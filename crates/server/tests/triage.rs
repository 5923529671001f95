//! Decisions about findings, from events to the list in a real browser, and who may send them.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "test helpers: a surprise is a panic")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use touchmark_identity::event::Event;
use touchmark_identity::finding::{Certainty, Finding, Kind};
use touchmark_identity::timestamp::Timestamp;
use touchmark_server::events::NewEvent;
use touchmark_server::{Config, Server};
use touchmark_testkit::browser::Browser;

const WITHIN: Duration = Duration::from_secs(30);
/// The TEST root of virtual elements, which the server wants to know even where it does not trust it.
const TEST_ROOT: &str = include_str!("../../element/test-root/test-element-root.pem");
const NOW_S: i64 = 1_795_213_800;

fn clock() -> Timestamp {
    Timestamp::from_micros(NOW_S * 1_000_000)
}

struct Site {
    runtime: Runtime,
    server: Server,
    _folder: TempDir,
}

fn start(data: &Path, runtime: &Runtime) -> Server {
    let mut config = Config::default();
    for address in [&mut config.listen.enrol, &mut config.listen.public, &mut config.listen.dashboard] {
        address.set_port(0);
    }
    runtime.block_on(Server::start(config, data, None, TEST_ROOT, clock)).unwrap()
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = Runtime::new().unwrap();
        let server = start(folder.path(), &runtime);
        Self { runtime, server, _folder: folder }
    }

    fn dashboard(&self) -> String {
        self.server.addresses().dashboard.clone()
    }

    /// An event of meter-1, so many seconds before now.
    fn event(&self, ago_s: i64, id: &str, kind: &str, more: serde_json::Value) {
        let time = Timestamp::from_micros((NOW_S - ago_s) * 1_000_000);
        let mut event = json!({
            "schema": "touchmark.event/1", "type": kind, "time": time, "source": "gate", "event_id": id,
            "identity": {"spki_sha256": "11".repeat(32), "common_name": "meter-1"},
        });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let event = Event::from_line(event.to_string().as_bytes()).unwrap();
        let new = NewEvent { event: &event, device: Some("meter-1"), continuity: None, place: None };
        assert!(self.server.app().accept(&new).unwrap());
    }

    fn beat(&self, ago_s: i64, counter: u64, boot: (u64, i64), version: u64, from: (&str, f64, f64)) {
        let (boot_count, booted_ago_s) = boot;
        let (ip, lat, lon) = from;
        let more = json!({
            "counter": counter, "uptime_ms": (booted_ago_s - ago_s) * 1_000, "boot_count": boot_count,
            "security_version": version, "peer": {"ip": ip, "lat": lat, "lon": lon}, "firmware": "2.4.1",
        });
        self.event(ago_s, &format!("{ago_s}-{counter}-{boot_count}"), "heartbeat", more);
    }

    fn found(&self, kind: Kind) -> Finding {
        let lines = self.server.app().watch().log().findings(100).unwrap();
        let mut findings = lines.iter().map(|line| Finding::from_line(line.as_bytes()).unwrap());
        findings.find(|finding| finding.kind == kind).expect("the monitor found it")
    }
}

const HOME: (&str, f64, f64) = ("192.0.2.7", 52.5, 13.4);
const AWAY: (&str, f64, f64) = ("198.51.100.9", 1.3, 103.8);

/// A device whose firmware goes back (suspect), and whose copy answers from elsewhere later (confirmed).
fn went_back(site: &Site) -> Finding {
    site.event(7_200, "known", "registry", json!({"device": "meter-1"}));
    for beat in 0..4 {
        site.beat(7_000 - beat * 300, 10 + beat.unsigned_abs(), (1, 90_000), 5, HOME);
    }
    for beat in 0..3 {
        site.beat(5_400 - beat * 300, 20 + beat.unsigned_abs(), (2, 5_500), 4, HOME);
    }
    let finding = site.found(Kind::Downgrade);
    assert_eq!((finding.grade, finding.device.as_deref()), (Certainty::Suspect, Some("meter-1")));
    finding
}

fn copied(site: &Site) -> Finding {
    // Two instances beat in turn, each with a boot of its own: no single device has two uptimes at once.
    for beat in 0..5 {
        site.beat(3_600 - beat * 600, 30 + beat.unsigned_abs(), (2, 5_500), 4, HOME);
        site.beat(3_300 - beat * 600, 30 + beat.unsigned_abs(), (3, 3_500), 4, AWAY);
    }
    let finding = site.found(Kind::Clone);
    assert_eq!(finding.grade, Certainty::Confirmed);
    finding
}

#[test]
fn a_suppression_hides_a_suspect_and_never_what_is_confirmed() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::new();
    let origin = site.dashboard();
    let finding = went_back(&site);
    let item = format!("#finding-{}", finding.id);
    browser.open(&format!("{origin}/findings")).unwrap();
    browser.wait_for(&item, WITHIN).unwrap();

    // With the keyboard and the pointer, as a person would.
    browser.find(&format!("{item} h3 a")).unwrap().click().unwrap();
    browser.wait_for_text("h1", "Firmware went back", WITHIN).unwrap();
    browser.find("input[value=\"suppress\"]").unwrap().click().unwrap();
    browser.find("#triage-reason").unwrap().type_text("roll").unwrap();
    browser.find("#triage-note").unwrap().type_text("<b>ticket</b> 4711").unwrap();
    browser.find("form.triage button").unwrap().click().unwrap();
    browser.wait_for_text(".decisions", "<b>ticket</b> 4711", WITHIN).unwrap();
    browser.wait_for_text("#content .facts", "suppressed", WITHIN).unwrap();
    let decided = site.server.app().watch().triage().of(&finding.id.to_string()).to_vec();
    assert_eq!(decided.len(), 1);
    assert_eq!(decided[0].what.reason.map(|reason| reason.as_str()), Some("planned-roll-back"));
    assert!(site.server.app().watch().triage().holds_back(&finding, clock()));

    // The list without a filter leaves it out, the filter has it, the suppression is listed.
    browser.open(&format!("{origin}/findings")).unwrap();
    browser.wait_for_text("#content", "Nothing matches", WITHIN).unwrap();
    assert!(browser.find_all(&item).unwrap().is_empty());
    browser.wait_for_text("[data-live*=\"suppressions\"]", "meter-1", WITHIN).unwrap();
    browser.open(&format!("{origin}/findings?standing=suppressed&device=METER-1")).unwrap();
    browser.wait_for(&item, WITHIN).unwrap();
    // A confirmed finding of the same device arrives by itself, and a suppression of its kind cannot hide it.
    browser.open(&format!("{origin}/findings")).unwrap();
    let clone = copied(&site);
    browser.wait_for(&format!("#finding-{}", clone.id), WITHIN).unwrap();
    browser.open(&format!("{origin}/finding/{}", clone.id)).unwrap();
    browser.find("input[value=\"suppress\"]").unwrap().click().unwrap();
    browser.find("#triage-reason").unwrap().type_text("test").unwrap();
    browser.find("form.triage button").unwrap().click().unwrap();
    browser.wait_for(".decisions li", WITHIN).unwrap();
    browser.open(&format!("{origin}/findings")).unwrap();
    browser.wait_for(&format!("#finding-{}", clone.id), WITHIN).unwrap();

    // What was decided can be undone, and stays on record.
    browser.open(&format!("{origin}/finding/{}", finding.id)).unwrap();
    browser.find(".undo button").unwrap().click().unwrap();
    browser.wait_for(".decisions .undone", WITHIN).unwrap();
    browser.open(&format!("{origin}/findings")).unwrap();
    browser.wait_for(&item, WITHIN).unwrap();
    assert_eq!(browser.console_errors().unwrap(), Vec::<String>::new());
    assert_eq!(browser.requests_outside(&origin).unwrap(), Vec::<String>::new());
}

#[test]
fn a_real_finding_is_drawn_and_its_lines_are_re_checked() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::new();
    let origin = site.dashboard();
    went_back(&site);
    let clone = copied(&site);
    for width in [1400, 390] {
        browser.viewport(width, 900).unwrap();
        browser.open(&format!("{origin}/finding/{}", clone.id)).unwrap();
        let sideways = "const page = document.scrollingElement; return page.scrollWidth - page.clientWidth";
        assert_eq!(browser.run(sideways, &[]).unwrap(), json!(0), "{width}");
        // Each instance has its own heartbeats: what came from home is not drawn with what came from away.
        let beats = "return [...document.querySelectorAll('svg.tracks .holder')].map((track) => \
            [...new Set([...track.querySelectorAll('a title')].map((title) => /from ([0-9.]+)/.exec(title.textContent)[1]))].join())";
        let beats = browser.run(beats, &[]).unwrap();
        let mut networks: Vec<_> =
            beats.as_array().unwrap().iter().map(|t| t.as_str().unwrap().to_owned()).collect();
        networks.sort();
        assert_eq!(networks, ["192.0.2.7", "198.51.100.9"], "{width}");
        for place in ["svg.map .point.at0", "svg.map .point.at1"] {
            assert_eq!(browser.find_all(place).unwrap().len(), 1, "{place}");
        }
    }
    let checks = browser.find_all(".events .tag").unwrap();
    assert_eq!(checks.len(), clone.events.len());
    for check in &checks {
        assert_eq!(check.text().unwrap(), "re-checked: matches");
    }
    // The link leads to the line whose digest the finding gives.
    browser.find(".events a").unwrap().click().unwrap();
    browser.wait_for_text("h1", "Event", WITHIN).unwrap();
    let digest = clone.events[0].sha256.to_string();
    assert!(browser.find("#content").unwrap().text().unwrap().contains(&digest));
    // The overview of sources knows the source, and that it reported up to the last event.
    browser.open(&format!("{origin}/sources")).unwrap();
    assert!(browser.find("#source-gate").unwrap().text().unwrap().contains("2026-11-20 22:15:00 UTC"));
    assert_eq!(browser.console_errors().unwrap(), Vec::<String>::new());
}

/// Sends a form as these headers and returns the status and the whole answer.
fn send(origin: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let address = origin.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(WITHIN)).unwrap();
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\n{headers}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

#[test]
fn a_foreign_page_decides_nothing() {
    let site = Site::new();
    let origin = site.dashboard();
    let finding = went_back(&site);
    let host = origin.strip_prefix("http://").unwrap().to_owned();
    let path = format!("/finding/{}/triage", finding.id);
    let form = "decision=false-alarm&reason=log-fault";
    let rebound = format!("rebound.example:{}", host.rsplit(':').next().unwrap());
    let rebound_origin = format!("http://{rebound}");
    let foreign: [&[(&str, &str)]; 6] = [
        &[("Host", &host)],
        &[("Host", &host), ("Origin", "http://elsewhere.example")],
        &[("Host", &host), ("Origin", "null")],
        &[("Host", &host), ("Origin", &origin), ("Sec-Fetch-Site", "cross-site")],
        &[("Host", &host), ("Sec-Fetch-Site", "same-site")],
        &[("Host", &rebound), ("Origin", &rebound_origin), ("Sec-Fetch-Site", "same-origin")],
    ];
    for headers in foreign {
        let (status, answer) = send(&origin, &path, headers, form);
        assert_eq!(status, 403, "{headers:?}");
        assert!(answer.contains("SV-0017"), "{answer}");
        assert_eq!(send(&origin, "/triage/1/undo", headers, "").0, 403, "{headers:?}");
    }
    assert!(site.server.app().watch().triage().of(&finding.id.to_string()).is_empty());

    let own: &[(&str, &str)] = &[("Host", &host), ("Origin", &origin)];
    for (form, flaw) in [
        ("decision=false-alarm", "reason"),
        ("decision=suppress&reason=log-fault&hours=24&ceiling=confirmed", "grade"),
        ("decision=suppress&reason=log-fault&hours=9999&ceiling=note", "90 days"),
        ("decision=suppress&reason=log-fault&hours=-1&ceiling=note", "90 days"),
        ("decision=ignore", "choose"),
        ("decision=acknowledge&note=a%0Ab", "control"),
    ] {
        let (status, answer) = send(&origin, &path, own, form);
        assert_eq!(status, 400, "{form}");
        assert!(answer.contains("SV-0018") && answer.contains(flaw), "{form}: {answer}");
    }
    assert_eq!(send(&origin, &path, own, &"x".repeat(200_000)).0, 413);
    assert_eq!(send(&origin, "/finding/00/triage", own, form).0, 404);
    assert_eq!(send(&origin, "/triage/99/undo", own, "").0, 404);
    let (status, answer) = send(&origin, &path, own, form);
    assert_eq!(status, 303);
    assert!(answer.contains(&format!("location: /finding/{}#", finding.id)), "{answer}");
}

#[test]
fn decisions_outlive_the_server() {
    let site = Site::new();
    let finding = went_back(&site);
    let origin = site.dashboard();
    let host = origin.strip_prefix("http://").unwrap().to_owned();
    let own: &[(&str, &str)] = &[("Host", &host), ("Origin", &origin)];
    let path = format!("/finding/{}/triage", finding.id);
    assert_eq!(send(&origin, &path, own, "decision=false-alarm&reason=second-uplink").0, 303);
    let Site { runtime, server, _folder: folder } = site;
    runtime.block_on(server.run(async {})).unwrap();
    drop(runtime);
    let runtime = Runtime::new().unwrap();
    let server = start(folder.path(), &runtime);
    let standing = server.app().watch().triage().standing(&finding, clock());
    assert_eq!(standing.as_str(), "false-alarm");
    runtime.block_on(server.run(async {})).unwrap();
}
