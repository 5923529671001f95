use std::net::IpAddr;
use std::sync::Mutex;

use rustls::version::{TLS12, TLS13};
use serde_json::{Value, json};
use touchmark_identity::ids::{CounterName, KeyName};

use super::*;
use crate::csr::certification_request;
use crate::testpki::{Got, TestPki, config, serve};

/// The telemetry gate with the server behind it.
#[derive(Default)]
struct Gate {
    bodies: Vec<Value>,
    peers: Vec<IpAddr>,
    /// How many of the next heartbeats are taken without an answer.
    lose: usize,
    /// How many of the next heartbeats are refused with 403.
    refuse: usize,
}

fn answer(gate: &mut Gate, got: &Got) -> Option<(u16, Vec<u8>)> {
    assert_eq!(got.path, HEARTBEAT);
    gate.peers.push(got.peer.ip());
    if gate.refuse > 0 {
        gate.refuse -= 1;
        return Some((403, b"<html><h1>403 Forbidden</h1></html>".to_vec()));
    }
    let body: Value = serde_json::from_slice(&got.body).unwrap();
    let token = format!("{:04x}", body["counter"].as_u64().unwrap());
    gate.bodies.push(body);
    if gate.lose > 0 {
        gate.lose -= 1;
        return None;
    }
    let ack =
        json!({"schema": "touchmark.heartbeat-ack/1", "token": token, "received": "2026-11-20T00:00:00Z"});
    Some((200, ack.to_string().into_bytes()))
}

struct Scene {
    pki: TestPki,
    gate: Arc<Mutex<Gate>>,
    config: AgentConfig,
    clock: Arc<dyn Clock>,
}

impl Scene {
    async fn new(gate: Gate, most: u64) -> Self {
        let pki = TestPki::new();
        let gate = Arc::new(Mutex::new(gate));
        let state = Arc::clone(&gate);
        let address =
            serve(pki.server(true, &[&TLS13, &TLS12]), move |got| answer(&mut state.lock().unwrap(), &got))
                .await;
        let at = |name: &str| pki.path(name).display().to_string();
        let config = config(
            &format!("software:{}#identity.toml", at("flash.img")),
            &format!(
                "flash = '{}'\ntelemetry = 'https://{address}'\ntrust_anchors = '{}'\nheartbeat_ms = 10\n\
                 bind_address = '127.0.0.2'\nupdate_inbox = '{}'\nmax_heartbeats = {most}",
                at("flash.img"),
                at("root.pem"),
                at("inbox")
            ),
        );
        Self { pki, gate, config, clock: Arc::new(SystemClock::start()) }
    }

    /// Gives the device a key and a certificate.
    fn certify(&self) {
        let mut device = Device::open(&self.config).unwrap();
        device.store().with("make", |s| s.generate(&self.config.key)).unwrap();
        let request = certification_request(&self.config.device, device.store(), &self.config.key).unwrap();
        device.write(Record::Certificate, self.pki.issue(&request).as_bytes()).unwrap();
    }

    /// Runs the device, opened anew, to its end.
    async fn run(&self) -> (Result<u64, AgentError>, Vec<AgentEvent>) {
        let mut events = Vec::new();
        let mut device = Device::open(&self.config).unwrap();
        let never = std::future::pending();
        let end = run_device(&self.config, &mut device, &self.clock, never, |event| events.push(event)).await;
        (end, events)
    }

    fn counters(&self) -> Vec<u64> {
        self.gate.lock().unwrap().bodies.iter().map(|body| body["counter"].as_u64().unwrap()).collect()
    }
}

#[tokio::test]
async fn heartbeats_count_on_over_a_restart() {
    let scene = Scene::new(Gate::default(), 2).await;
    assert_eq!(scene.run().await.0.unwrap_err().code(), "AG-0013");
    scene.certify();
    let (end, events) = scene.run().await;
    assert_eq!(end.unwrap(), 2);
    assert!(
        matches!(events.first(), Some(AgentEvent::Started { boot_count: 1, counter: 0, .. })),
        "{events:?}"
    );
    assert!(matches!(events.last(), Some(AgentEvent::Stopped { acknowledged: 2 })), "{events:?}");
    let (_, events) = scene.run().await;
    assert!(
        matches!(events.first(), Some(AgentEvent::Started { boot_count: 2, counter: 2, .. })),
        "{events:?}"
    );
    assert_eq!(scene.counters(), [1, 2, 3, 4]);
    let gate = scene.gate.lock().unwrap();
    let tokens: Vec<_> = gate.bodies.iter().map(|body| body["token"].clone()).collect();
    assert_eq!(tokens, [json!(null), json!("0001"), json!("0002"), json!("0003")]);
    assert!(
        gate.peers.iter().all(|peer| peer.to_string() == "127.0.0.2"),
        "the source address is the configured one"
    );
}

#[tokio::test]
async fn without_an_answer_the_same_body_is_repeated() {
    let scene = Scene::new(Gate { lose: 1, refuse: 1, ..Gate::default() }, 2).await;
    scene.certify();
    let (end, events) = scene.run().await;
    assert_eq!(end.unwrap(), 2);
    let failed: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            AgentEvent::Failed { counter, code, status, .. } => Some((*counter, *code, *status)),
            _ => None,
        })
        .collect();
    assert_eq!(failed, [(1, "AG-0009", Some(403)), (1, "AG-0007", None)]);
    let bodies = &scene.gate.lock().unwrap().bodies;
    assert_eq!(bodies[0], bodies[1]);
    assert_eq!(bodies[2]["counter"], 2);
}

#[tokio::test]
async fn a_shutdown_stops_the_run() {
    let scene = Scene::new(Gate::default(), 1_000_000).await;
    scene.certify();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut stop = Some(stop);
    let mut device = Device::open(&scene.config).unwrap();
    let shutdown = async {
        let _ = stopped.await;
    };
    let end = run_device(&scene.config, &mut device, &scene.clock, shutdown, |event| {
        if matches!(event, AgentEvent::Acknowledged { counter: 3, .. }) {
            let _ = stop.take().unwrap().send(());
        }
    });
    assert_eq!(end.await.unwrap(), 3);
}

#[tokio::test]
async fn a_device_without_a_matching_certificate_is_told_so() {
    let scene = Scene::new(Gate::default(), 1).await;
    scene.certify();
    let stranger = Scene::new(Gate::default(), 1).await;
    stranger.certify();
    // The stranger's gate does not know this device's authority.
    let config = AgentConfig {
        telemetry: stranger.config.telemetry.clone(),
        trust_anchors: stranger.config.trust_anchors.clone(),
        ..scene.config.clone()
    };
    let mut device = Device::open(&config).unwrap();
    let mut codes = Vec::new();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut stop = Some(stop);
    let shutdown = async {
        let _ = stopped.await;
    };
    let end = run_device(&config, &mut device, &scene.clock, shutdown, |event| {
        if let AgentEvent::Failed { code, .. } = event {
            codes.push(code);
            let _ = stop.take().map(|stop| stop.send(()));
        }
    });
    assert_eq!(end.await.unwrap(), 0);
    assert!(codes.iter().all(|code| ["AG-0006", "AG-0007"].contains(code)) && !codes.is_empty(), "{codes:?}");
    assert!(stranger.counters().is_empty());
}

#[tokio::test]
async fn offers_raise_the_floor_and_downgrades_are_refused() {
    let scene = Scene::new(Gate::default(), 1).await;
    scene.certify();
    let dir = tempfile::tempdir().unwrap();
    let (release_store, release_key) = crate::testpki::software(dir.path());
    let public = release_store.with("tell", |s| s.public_key(&release_key)).unwrap();
    let inbox = scene.pki.path("inbox");
    std::fs::create_dir(&inbox).unwrap();
    let offer = |name: &str, version: &str, security_version| {
        let release =
            firmware::Release { version: version.parse().unwrap(), security_version, sha256: [1; 32] };
        let json = release_store.with("sign", |s| release.sign(s, &release_key)).unwrap();
        std::fs::write(inbox.join(name), json).unwrap();
    };
    offer("a.tmfw", "2.3.0", 2);
    offer("b.tmfw", "2.2.0", 1);
    std::fs::create_dir(inbox.join("c.tmfw")).unwrap();
    let config = AgentConfig { release_key: Some(public), ..scene.config.clone() };
    let mut events = Vec::new();
    let mut device = Device::open(&config).unwrap();
    run_device(&config, &mut device, &scene.clock, std::future::pending(), |event| events.push(event))
        .await
        .unwrap();
    let results: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            AgentEvent::Offer { result, .. } => Some((result.accepted, result.code, result.floor)),
            _ => None,
        })
        .collect();
    assert_eq!(results, [(true, None, 2), (false, Some("AG-0104"), 2), (false, Some("AG-0101"), 2)]);
    let result: Value =
        serde_json::from_slice(&std::fs::read(inbox.join("b.tmfw.result.json")).unwrap()).unwrap();
    assert_eq!((&result["accepted"], &result["floor"]), (&json!(false), &json!(2)));
    assert_eq!(scene.gate.lock().unwrap().bodies[0]["firmware"], "2.3.0");
    let floor =
        device.store().with("tell", |s| s.ratchet().unwrap().floor(&CounterName::new("firmware").unwrap()));
    assert_eq!(floor.unwrap(), 2);

    // The state before the update, put back by somebody who can write the flash: the floor does not agree.
    let old = State::first("2.1.0".parse().unwrap(), 1);
    device.write(Record::State, &old.to_json().unwrap()).unwrap();
    let end = run_device(&config, &mut device, &scene.clock, std::future::pending(), |_| {}).await;
    assert_eq!(end.unwrap_err().code(), "AG-0014");
}

#[tokio::test]
async fn a_certificate_for_another_key_stops_the_device() {
    let scene = Scene::new(Gate::default(), 1).await;
    scene.certify();
    let config = AgentConfig { key: KeyName::new("other").unwrap(), ..scene.config.clone() };
    let mut device = Device::open(&config).unwrap();
    device.store().with("make", |s| s.generate(&config.key)).unwrap();
    let end = run_device(&config, &mut device, &scene.clock, std::future::pending(), |_| {}).await;
    assert_eq!(end.unwrap_err().code(), "AG-0011");
}
