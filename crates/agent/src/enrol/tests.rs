use std::sync::Mutex;

use rustls::version::{TLS12, TLS13};
use serde_json::{Value, json};
use touchmark_identity::evidence::{ElementEvidence, Envelope, Evidence};
use touchmark_identity::ids::KeyName;
use touchmark_keystore::software::{FileMedium, Protection, SoftwareStore};
use touchmark_keystore::{
    ActivateCredential, Attest, Attested, Counters, KeyStore, Objects, Ratchet, StoreInfo,
};

use super::*;
use crate::clock::SystemClock;
use crate::testpki::{Got, TestPki, config, serve};

/// An authority for one device: what it was asked, and what it does about it.
#[derive(Default)]
struct Authority {
    asked: Vec<(String, Value)>,
    /// Answers to `complete` that get lost.
    lose: usize,
    /// Forget the session of the first `complete`.
    forget: bool,
    /// Issue for this request in place of the device's.
    other_request: Option<Vec<u8>>,
    challenge: Option<Value>,
}

struct Scene {
    pki: Arc<TestPki>,
    authority: Arc<Mutex<Authority>>,
    config: AgentConfig,
    clock: Arc<dyn Clock>,
}

impl Scene {
    async fn new(authority: Authority, more: &str) -> Self {
        let pki = Arc::new(TestPki::new());
        let authority = Arc::new(Mutex::new(authority));
        let (issuer, state) = (Arc::clone(&pki), Arc::clone(&authority));
        let address = serve(pki.server(false, &[&TLS13, &TLS12]), move |got| {
            answer(&issuer, &mut state.lock().unwrap(), &got)
        })
        .await;
        std::fs::write(pki.path("token"), "one-time\n").unwrap();
        let at = |name: &str| pki.path(name).display().to_string();
        let config = config(
            &format!("software:{}", at("key.toml")),
            &format!(
                "server = 'https://{address}'\nstate_dir = '{}'\ntrust_anchors = '{}'\nenrol_token_file = '{}'\n{more}",
                at("state"),
                at("root.pem"),
                at("token")
            ),
        );
        Self { pki, authority, config, clock: Arc::new(SystemClock::start()) }
    }

    /// Enrols with the device opened anew, as after a restart.
    async fn enrol(&self) -> Result<Enrolment, AgentError> {
        enrol(&self.config, &mut Device::open(&self.config)?, &self.clock).await
    }

    fn asked(&self) -> Vec<String> {
        self.authority
            .lock()
            .unwrap()
            .asked
            .iter()
            .map(|(path, _)| path.rsplit('/').next().unwrap().to_owned())
            .collect()
    }

    fn csr(&self, place: usize) -> String {
        self.authority.lock().unwrap().asked[place].1["csr"].as_str().unwrap().to_owned()
    }
}

fn answer(pki: &TestPki, authority: &mut Authority, got: &Got) -> Option<(u16, Vec<u8>)> {
    let body: Value = serde_json::from_slice(&got.body).unwrap();
    authority.asked.push((got.path.clone(), body.clone()));
    // base64("meter-0001:one-time")
    if got.authorization.as_deref() != Some("Basic bWV0ZXItMDAwMTpvbmUtdGltZQ==") {
        let error = json!({"schema": ERROR_SCHEMA, "code": "SV-0003", "message": "no such token", "hint": "ask again"});
        return Some((401, error.to_string().into_bytes()));
    }
    if got.path == BEGIN {
        let sessions = authority.asked.len();
        let begun = json!({
            "schema": BEGIN_SCHEMA, "session": format!("{sessions:04x}"), "nonce": "5a".repeat(32),
            "challenge": authority.challenge, "refusal": null, "later": true,
        });
        return Some((200, begun.to_string().into_bytes()));
    }
    assert_eq!(got.path, COMPLETE);
    if std::mem::take(&mut authority.forget) {
        return None;
    }
    if body["session"] == "dead" {
        return Some((409, b"<html><h1>gone</h1></html>".to_vec()));
    }
    let csr = authority
        .other_request
        .clone()
        .unwrap_or_else(|| hex::decode(body["csr"].as_str().unwrap()).unwrap());
    let enrolled = json!({
        "schema": ENROLLED_SCHEMA, "certificate": pki.issue(&csr), "chain": pki.root_pem(),
        "assurance": KeyAssurance::declared(Storage::Software), "grade": "copyable", "reasons": ["no evidence"],
    });
    if authority.lose > 0 {
        authority.lose -= 1;
        return None;
    }
    Some((200, enrolled.to_string().into_bytes()))
}

#[tokio::test]
async fn a_software_device_enrols_once() {
    let scene = Scene::new(Authority::default(), "").await;
    let done = scene.enrol().await.unwrap();
    assert!(!done.already);
    assert_eq!(done.grade, Some(Grade::Copyable));
    assert_eq!(done.reasons[0], "no evidence");
    assert_eq!(scene.asked(), ["begin", "complete"]);
    let begin = scene.authority.lock().unwrap().asked[0].1.clone();
    assert_eq!(begin, json!({"claims": "software", "device_type": "meter", "endorsement": null}));
    let again = scene.enrol().await.unwrap();
    assert!(again.already);
    assert_eq!(again.key, done.key);
    assert_eq!(scene.asked().len(), 2, "nothing was asked again");
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_with_the_same_bytes() {
    let scene = Scene::new(Authority { lose: 1, ..Authority::default() }, "").await;
    assert_eq!(scene.enrol().await.unwrap_err().code(), "AG-0007");
    assert!(!scene.enrol().await.unwrap().already);
    assert_eq!(scene.asked(), ["begin", "complete", "complete"]);
    assert_eq!(scene.csr(1), scene.csr(2));
}

#[tokio::test]
async fn a_session_that_ended_is_begun_again_with_the_same_request() {
    let scene = Scene::new(Authority { forget: true, ..Authority::default() }, "").await;
    assert!(scene.enrol().await.is_err());
    let record = scene.pki.path("state/enrolment.json");
    let mut kept: Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    kept["session"] = json!("dead");
    std::fs::write(&record, kept.to_string()).unwrap();
    scene.enrol().await.unwrap();
    assert_eq!(scene.asked(), ["begin", "complete", "complete", "begin", "complete"]);
    assert_eq!(scene.csr(1), scene.csr(4));
}

#[tokio::test]
async fn a_key_from_an_earlier_try_is_used() {
    let scene = Scene::new(Authority::default(), "").await;
    let device = Device::open(&scene.config).unwrap();
    let key = own_key(&scene.config, &device).unwrap();
    drop(device);
    assert_eq!(scene.enrol().await.unwrap().key, key.spki_sha256());
}

#[tokio::test]
async fn a_refusal_carries_the_servers_words() {
    let scene = Scene::new(Authority::default(), "").await;
    std::fs::write(scene.pki.path("token"), "wrong").unwrap();
    match scene.enrol().await.unwrap_err() {
        AgentError::Refused { status: 401, server_code: Some(code), said, .. } => {
            assert_eq!((code.as_str(), said.as_str()), ("SV-0003", "SV-0003 no such token (ask again)"));
        }
        error => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_certificate_for_another_key_or_name_is_not_kept() {
    let scene = Scene::new(Authority::default(), "").await;
    let mut device = Device::open(&scene.config).unwrap();
    own_key(&scene.config, &device).unwrap();
    let other = KeyName::new("other").unwrap();
    device.store().with("make", |s| s.generate(&other)).unwrap();
    let requests = [
        csr::certification_request(&scene.config.device, device.store(), &other).unwrap(),
        csr::certification_request(&DeviceId::new("meter-0002").unwrap(), device.store(), &scene.config.key)
            .unwrap(),
    ];
    for request in requests {
        scene.authority.lock().unwrap().other_request = Some(request);
        let error = enrol(&scene.config, &mut device, &scene.clock).await.unwrap_err();
        assert_eq!(error.code(), "AG-0008", "{error}");
        assert_eq!(device.read(Record::Certificate).unwrap(), None);
    }
}

#[tokio::test]
async fn a_key_that_was_replaced_is_drift() {
    let scene = Scene::new(Authority::default(), "").await;
    scene.enrol().await.unwrap();
    let device = Device::open(&scene.config).unwrap();
    device
        .store()
        .with("replace", |s| {
            s.delete(&scene.config.key)?;
            s.generate(&scene.config.key)
        })
        .unwrap();
    drop(device);
    assert_eq!(scene.enrol().await.unwrap_err().code(), "AG-0011");
    assert_eq!(scene.asked().len(), 2, "nothing was asked again");
}

#[tokio::test]
async fn hardware_that_cannot_attest_goes_on_without_evidence() {
    let scene = Scene::new(Authority::default(), "claims = 'tpm'").await;
    let done = scene.enrol().await.unwrap();
    assert!(
        done.reasons.iter().any(|r| r == "the device sent no endorsement: this store is no TPM"),
        "{done:?}"
    );
    let asked = &scene.authority.lock().unwrap().asked;
    assert_eq!(asked[0].1["claims"], "tpm");
    assert_eq!(asked[0].1["endorsement"], Value::Null);
    assert_eq!(asked[1].1["evidence"], Value::Null);
    assert_eq!(asked[1].1["activated_secret"], Value::Null);
}

/// A store with the manners of a TPM around a key file: it shows the order of an enrolment, not its security.
struct Mannered(SoftwareStore);

impl KeyStore for Mannered {
    fn info(&mut self) -> Result<StoreInfo, StoreError> {
        Ok(StoreInfo { storage: Storage::Tpm, ..self.0.info()? })
    }
    fn generate(&mut self, key: &KeyName) -> Result<PublicKey, StoreError> {
        self.0.generate(key)
    }
    fn public_key(&mut self, key: &KeyName) -> Result<PublicKey, StoreError> {
        self.0.public_key(key)
    }
    fn sign_digest(&mut self, key: &KeyName, digest: &[u8; 32]) -> Result<Vec<u8>, StoreError> {
        self.0.sign_digest(key, digest)
    }
    fn delete(&mut self, key: &KeyName) -> Result<(), StoreError> {
        self.0.delete(key)
    }
    fn attest(&mut self) -> Option<&mut dyn Attest> {
        Some(self)
    }
    fn activate_credential(&mut self) -> Option<&mut dyn ActivateCredential> {
        Some(self)
    }
    fn counters(&mut self) -> Option<&mut dyn Counters> {
        None
    }
    fn ratchet(&mut self) -> Option<&mut dyn Ratchet> {
        None
    }
    fn objects(&mut self) -> Option<&mut dyn Objects> {
        None
    }
}

impl Attest for Mannered {
    fn attest(&mut self, key: &KeyName, nonce: &Nonce) -> Result<Attested, StoreError> {
        let evidence = Evidence::Element(ElementEvidence {
            chip_certificate: vec![1],
            chip_chain: vec![],
            data: vec![2],
            attributes: vec![3],
            timestamp: vec![4],
            freshness: nonce.freshness16().to_vec(),
            chip_id: vec![5],
            signature: vec![6],
            applet_version: vec![7],
        });
        Ok(Attested { key: self.0.public_key(key)?, evidence })
    }
}

impl ActivateCredential for Mannered {
    fn endorsement_identity(&mut self) -> Result<EndorsementIdentity, StoreError> {
        Ok(EndorsementIdentity {
            ek_certificate: vec![0xe0],
            ek_chain: vec![vec![0xe1]],
            ek_public: vec![0xe2],
            ak_public: vec![0xa0],
        })
    }
    fn activate(&mut self, challenge: &CredentialChallenge) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        Ok(Zeroizing::new([&challenge.credential_blob[..], &challenge.encrypted_secret[..]].concat()))
    }
}

#[tokio::test]
async fn endorsement_then_activation_then_evidence() {
    let challenge = json!({"credential_blob": "c0", "encrypted_secret": "c1"});
    let scene = Scene::new(Authority { challenge: Some(challenge), ..Authority::default() }, "").await;
    let medium = Box::new(FileMedium::hold(&scene.pki.path("key.toml")).unwrap());
    let store = Mannered(SoftwareStore::open(medium, &Protection::PlainFlash).unwrap());
    let mut device = Device::with_store(&scene.config, Box::new(store)).unwrap();
    enrol(&scene.config, &mut device, &scene.clock).await.unwrap();
    let asked = &scene.authority.lock().unwrap().asked;
    let endorsement =
        json!({"ek_certificate": "e0", "ek_chain": ["e1"], "ek_public": "e2", "ak_public": "a0"});
    assert_eq!(asked[0].1["endorsement"], endorsement);
    assert_eq!(asked[1].1["activated_secret"], "c0c1");
    let evidence = hex::decode(asked[1].1["evidence"].as_str().unwrap()).unwrap();
    let envelope = Envelope::from_cbor(&evidence).unwrap();
    assert_eq!(envelope.nonce, Some(Nonce::new(&[0x5a; 32]).unwrap()));
    let Evidence::Element(evidence) = envelope.key else { panic!("another kind") };
    assert_eq!(evidence.freshness, Nonce::new(&[0x5a; 32]).unwrap().freshness16());
}

#[test]
fn html_is_told_without_its_tags() {
    assert_eq!(without_tags("<html><h1>400 Bad</h1>\r\n<p>x < y"), "400 Bad x");
}
