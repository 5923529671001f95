//! Each act once, and nobody else's: with the real authority and the real database, without HTTP.

use std::sync::Arc;

use touchmark_authority::csr::ProvenRequest;
use touchmark_authority::enrol::Ticket;
use touchmark_authority::registry::DeviceStatus;
use touchmark_identity::assurance::Regime;
use touchmark_identity::event::{IdentityRef, RawDigest};
use touchmark_identity::finding::{Action, Certainty, FindingId, Kind, Original, Schema};
use touchmark_identity::ids::DeviceType;
use touchmark_identity::timestamp::Timestamp;
use touchmark_testkit::{openssl, peer};

use super::*;
use crate::config::Config;
use crate::run::Server;

const TEST_ROOT: &str = include_str!("../../../element/test-root/test-element-root.pem");

fn clock() -> Timestamp {
    Timestamp::from_micros(1_795_213_800_000_000)
}

fn device() -> DeviceId {
    DeviceId::new("meter-1").unwrap()
}

/// A server on a directory; `response` is the `[response]` table.
async fn start(folder: &tempfile::TempDir, response: &str) -> Server {
    let config = format!(
        "[listen]\nenrol = \"127.0.0.1:0\"\npublic = \"127.0.0.1:0\"\ndashboard = \"127.0.0.1:0\"\n[response]\n{response}"
    );
    let config: Config = toml::from_str(&config).unwrap();
    Server::start(config, &folder.path().join("data"), None, TEST_ROOT, clock).await.unwrap()
}

/// As [`start`], with a device in service.
async fn started(folder: &tempfile::TempDir, response: &str) -> (Server, Arc<App>) {
    let server = start(folder, response).await;
    let app = Arc::clone(server.app());
    openssl::request(folder.path(), "meter-1", "meter-1");
    let csr = std::fs::read(folder.path().join("meter-1.csr")).unwrap();
    let (_, der) = der::pem::decode_vec(&csr).unwrap();
    let mut authority = app.authority();
    let token = authority.register(&device(), &DeviceType::new("meter").unwrap(), clock()).unwrap();
    let request = ProvenRequest::from_der(&der).unwrap();
    let ticket = Ticket { device: &device(), token: &token };
    authority.simple_enrol(&ticket, &request, clock()).unwrap();
    drop(authority);
    (server, app)
}

/// A confirmed copy of the device; `matter` tells findings apart.
fn finding(matter: &str, revision: u32) -> Finding {
    let identity = IdentityRef { common_name: Some("meter-1".to_owned()), ..IdentityRef::default() };
    let branch =
        |id| touchmark_identity::finding::Branch { id, ..touchmark_identity::finding::Branch::default() };
    Finding {
        schema: Schema,
        id: FindingId::derive(&identity, Kind::Clone, "continuity.return", RawDigest::of(matter.as_bytes())),
        revision,
        identity,
        device: Some("meter-1".to_owned()),
        kind: Kind::Clone,
        grade: Certainty::Confirmed,
        regime: Regime::Duplication,
        regime_basis: "software/declared".to_owned(),
        first_event: clock(),
        detected: clock(),
        rules: vec!["continuity.return".to_owned()],
        branches: vec![branch(0), branch(1)],
        original: Some(Original { branch: 0, probability: 0.98 }),
        evidence: Vec::new(),
        benign_causes: Vec::new(),
        events: Vec::new(),
        action: Action::ChallengeBoth,
        says: "two instances".to_owned(),
        closed: None,
    }
}

/// Ends a server, and waits until nothing of it holds the directory.
async fn stop(server: Server, app: Arc<App>) {
    server.run(std::future::ready(())).await.unwrap();
    for _ in 0..6_000 {
        if Arc::strong_count(&app) == 1 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the server did not let go of its directory");
}

fn status(app: &App) -> DeviceStatus {
    app.authority().known(&device()).unwrap().status
}

/// The monitor found something; nobody has looked at the queue yet.
fn found(app: &App, finding: &Finding) -> String {
    app.watch().log_mut().put_finding(finding).unwrap();
    finding.id.to_string()
}

/// What became of the acts of a case that ask for something, in order.
fn outcomes(app: &App, id: &str) -> Vec<(String, String, String)> {
    let case = app.case(id).unwrap().unwrap();
    let asked = case.acts.into_iter().filter(|act| act.request != "record");
    asked.map(|act| (act.request, act.outcome, act.detail)).collect()
}

fn words(app: &App, id: &str) -> Vec<String> {
    outcomes(app, id).into_iter().map(|(request, outcome, _)| format!("{request} {outcome}")).collect()
}

fn release(app: &App, id: &str) {
    app.decide_case(id, CaseDecision::Release, None, "a test").unwrap();
}

const AT_ONCE: &str = "quarantine_on_confirmed = [\"clone\"]";

#[tokio::test(flavor = "multi_thread")]
async fn an_act_that_was_done_and_not_marked_is_not_done_again() {
    if !peer::all_present(&["openssl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (server, app) = started(&folder, AT_ONCE).await;
    let id = found(&app, &finding("a", 1));
    app.respond();
    assert_eq!((status(&app), words(&app, &id)), (DeviceStatus::Quarantined, vec!["do done".to_owned()]));
    // The server dies before the act is marked, and the operator releases the device before it starts again.
    app.watch()
        .log()
        .connection
        .execute("UPDATE response_act SET outcome = 'owed', settled = NULL", [])
        .unwrap();
    app.authority().release(&device(), "by hand", clock()).unwrap();
    stop(server, app).await;
    let server = start(&folder, AT_ONCE).await;
    let app = server.app();
    assert_eq!(status(app), DeviceStatus::Enrolled);
    assert_eq!(
        outcomes(app, &id),
        [("do".to_owned(), "done".to_owned(), "it was done before the server stopped".to_owned())]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finding_that_was_written_and_not_seen_is_seen_at_the_next_start() {
    if !peer::all_present(&["openssl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (server, app) = started(&folder, AT_ONCE).await;
    let turn = app.responses.turn();
    let id = found(&app, &finding("a", 1));
    app.respond();
    assert_eq!(status(&app), DeviceStatus::Enrolled, "somebody else has the turn");
    drop(turn);
    stop(server, app).await;
    let server = start(&folder, AT_ONCE).await;
    assert_eq!(status(server.app()), DeviceStatus::Quarantined);
    assert_eq!(words(server.app(), &id), ["do done"]);
    // The same revision again is no news.
    found(server.app(), &finding("a", 1));
    assert_eq!(server.app().watch().log().queued().unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_released_when_nobody_holds_it_any_more() {
    if !peer::all_present(&["openssl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (_server, app) = started(&folder, AT_ONCE).await;
    let (first, second) = (found(&app, &finding("a", 1)), found(&app, &finding("b", 1)));
    app.respond();
    assert_eq!(words(&app, &first), ["do done"]);
    assert_eq!(words(&app, &second), ["do left-out"], "the first holds it already");
    release(&app, &first);
    assert_eq!(status(&app), DeviceStatus::Quarantined, "the second still holds it");
    release(&app, &second);
    assert_eq!(status(&app), DeviceStatus::Enrolled);
    assert_eq!(words(&app, &second), ["do left-out", "undo done"]);
    // What an operator holds stays held.
    app.authority().quarantine(&device(), "on the bench", clock()).unwrap();
    let third = found(&app, &finding("c", 1));
    app.respond();
    release(&app, &third);
    assert_eq!(words(&app, &third), ["do left-out", "undo left-out"]);
    assert_eq!(status(&app), DeviceStatus::Quarantined);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_switched_to_a_dry_run_does_no_more_and_still_gives_back() {
    if !peer::all_present(&["openssl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (server, app) = started(&folder, AT_ONCE).await;
    let held = found(&app, &finding("a", 1));
    app.respond();
    stop(server, app).await;
    let server = start(&folder, &format!("{AT_ONCE}\ndry_run = true")).await;
    let app = server.app();
    release(app, &held);
    assert_eq!(
        (status(app), words(app, &held)),
        (DeviceStatus::Enrolled, vec!["do done".to_owned(), "undo done".to_owned()])
    );
    let dry = found(app, &finding("b", 1));
    app.respond();
    assert_eq!((status(app), words(app, &dry)), (DeviceStatus::Enrolled, vec!["do dry-run".to_owned()]));
    let word = app.decide_case(&dry, CaseDecision::Revoke, Some("meter-1"), "a test").unwrap_err();
    assert_eq!(word.code(), "SV-0021");
    release(app, &dry);
    assert_eq!(words(app, &dry), ["do dry-run", "undo dry-run"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_cannot_be_used_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.toml");
    let response = crate::config::Response { policy: Some(path.clone()), ..Default::default() };
    for text in [
        "",
        "[monitor]\nretry_window_s = 5\n",
        "[[response]]\nname = \"a\"\nladder = [{ step = \"work-order\" }]\n",
    ] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(Responses::new(&response).unwrap().is_on(), text.contains("ladder"), "{text}");
    }
    for text in ["[[response]]\n", "[[response]]\nname = \"a\"\nladder = []\n", "[gate]\n"] {
        std::fs::write(&path, text).unwrap();
        let error = Responses::new(&response).unwrap_err();
        assert_eq!(error.code(), "SV-0001");
        assert!(error.to_string().contains("policy.toml"), "{error}");
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(Responses::new(&response).unwrap_err().code(), "SV-0001");
}
