use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection, StreamOwned, SupportedProtocolVersion};
use touchmark_element::Element;
use touchmark_identity::ids::DeviceId;
use touchmark_keystore::KeyStore;
use touchmark_keystore::element::ElementStore;
use touchmark_keystore::software::{FileMedium, Protection, SoftwareStore};
use touchmark_keystore::tpm::TpmStore;
use touchmark_keystore::uri::{Secret, StoreUri};
use touchmark_testkit::process::run;
use touchmark_testkit::softhsm;
use touchmark_testkit::swtpm::{EkKind, Swtpm};

use super::*;
use crate::clock::SystemClock;
use crate::csr::certification_request;
use crate::testpki::{TestPki, software};

const VERSIONS: [(&str, &SupportedProtocolVersion); 2] =
    [("-tls1_3", &rustls::version::TLS13), ("-tls1_2", &rustls::version::TLS12)];

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::start())
}

/// A device with a certificate issued by `issuer`, which trusts `trusted`.
fn device(issuer: &TestPki, trusted: &TestPki) -> ClientConfig {
    let (store, key) = software(issuer.dir());
    device_with(&store, &key, issuer, trusted)
}

fn device_with(store: &SharedStore, key: &KeyName, issuer: &TestPki, trusted: &TestPki) -> ClientConfig {
    let request = certification_request(&DeviceId::new("meter-0001").unwrap(), store, key).unwrap();
    let pem = issuer.issue(&request) + &issuer.root_pem();
    let identity = DeviceIdentity::new(pem.as_bytes(), "test", store, key).unwrap();
    assert_eq!(identity.0.cert.len(), 1, "the root is not presented");
    assert_eq!(identity.0.keys_match(), Ok(()));
    mutual(trust_anchors(&trusted.path("root.pem")).unwrap(), identity, &clock()).unwrap()
}

/// Sends a line over TLS, and returns the line that comes back.
fn talk(config: ClientConfig, to: SocketAddr) -> std::io::Result<String> {
    let stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let session = ClientConnection::new(Arc::new(config), name).map_err(std::io::Error::other)?;
    let mut tls = StreamOwned::new(session, stream);
    tls.write_all(b"touchmark\n")?;
    let mut line = String::new();
    BufReader::new(tls).read_line(&mut line)?;
    Ok(line)
}

/// A rustls server that answers one line with the number of certificates of its client.
fn rustls_server(pki: &TestPki, version: &'static SupportedProtocolVersion) -> SocketAddr {
    let config = pki.server(true, &[version]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
        let mut line = String::new();
        if BufReader::new(&mut tls).read_line(&mut line).is_ok() {
            let shown = tls.conn.peer_certificates().map_or(0, <[_]>::len);
            let _ = writeln!(tls, "{} {shown}", line.trim());
            tls.conn.send_close_notify();
            let _ = tls.flush();
        }
    });
    address
}

#[test]
fn rustls_accepts_the_device_in_both_versions() {
    let pki = TestPki::new();
    let config = device(&pki, &pki);
    for (_, version) in VERSIONS {
        assert_eq!(talk(config.clone(), rustls_server(&pki, version)).unwrap(), "touchmark 1\n");
    }
}

#[test]
fn a_device_of_another_authority_is_refused_and_an_unknown_server_is_not_believed() {
    let (pki, other) = (TestPki::new(), TestPki::new());
    for (_, version) in VERSIONS {
        let refused = talk(device(&other, &pki), rustls_server(&pki, version));
        assert!(!matches!(&refused, Ok(line) if line.starts_with("touchmark")), "{refused:?}");
        std::fs::remove_file(other.path("key.toml")).unwrap();
        let error = talk(device(&pki, &other), rustls_server(&pki, version)).unwrap_err().to_string();
        assert!(error.contains("invalid peer certificate"), "{error}");
        std::fs::remove_file(pki.path("key.toml")).unwrap();
    }
}

/// `openssl s_server`, ended on drop.
struct Openssl(Child);

impl Drop for Openssl {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn openssl_server(pki: &TestPki, version: &str) -> (Openssl, SocketAddr) {
    let mut child = Command::new("openssl")
        .args(["s_server", "-accept", "127.0.0.1:0", "-cert", "server.pem", "-key", "server.key"])
        .args(["-CAfile", "root.pem", "-Verify", "2", "-verify_return_error", "-rev", version])
        .current_dir(pki.dir())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let server = Openssl(child);
    let address = out
        .lines()
        .take(20)
        .find_map(|line| line.unwrap().strip_prefix("ACCEPT ").map(str::to_owned))
        .expect("openssl says where it listens");
    (server, address.parse().unwrap())
}

#[test]
fn openssl_accepts_the_device_in_both_versions() {
    let (pki, other) = (TestPki::new(), TestPki::new());
    let (config, stranger) = (device(&pki, &pki), device(&other, &pki));
    for (version, _) in VERSIONS {
        let (_server, address) = openssl_server(&pki, version);
        let refused = talk(stranger.clone(), address);
        assert!(!matches!(&refused, Ok(line) if line.contains("kramhcuot")), "{refused:?}");
        assert_eq!(talk(config.clone(), address).unwrap(), "kramhcuot\n");
    }
}

#[test]
fn a_certificate_for_another_key_is_drift() {
    let pki = TestPki::new();
    let (store, key) = software(pki.dir());
    let request = certification_request(&DeviceId::new("meter-0001").unwrap(), &store, &key).unwrap();
    let pem = pki.issue(&request);
    let other = KeyName::new("other").unwrap();
    store.with("make", |s| s.generate(&other)).unwrap();
    let refused = DeviceIdentity::new(pem.as_bytes(), "test", &store, &other).unwrap_err();
    assert_eq!(refused.code(), "AG-0011");
}

#[test]
fn what_holds_no_certificate_is_no_trust_anchor() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("root.pem");
    for text in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(trust_anchors(&path).unwrap_err().code(), "AG-0003", "{text}");
    }
    assert_eq!(trust_anchors(&dir.path().join("none")).unwrap_err().code(), "AG-0002");
}

#[test]
fn damaged_chains_are_refused() {
    let pki = TestPki::new();
    let root = pki.root_pem();
    assert!(Chain::read(root.as_bytes(), "test").is_ok());
    assert_eq!(Chain::read(root.repeat(9).as_bytes(), "test").err().map(|e| e.code()), Some("AG-0012"));
    let body = root.rfind("-----END").unwrap();
    for end in 0..body {
        assert!(Chain::read(&root.as_bytes()[..end], "test").is_err(), "{end}");
    }
}

/// The handshake of TLS 1.3 with the key in this store, against rustls and against OpenSSL; then with the key of another name,
/// for which the certificate is not.
fn authenticates_with(mut store: Box<dyn KeyStore>) {
    let pki = TestPki::new();
    let (key, other) = (KeyName::new("identity").unwrap(), KeyName::new("other").unwrap());
    store.generate(&key).unwrap();
    store.generate(&other).unwrap();
    let store = SharedStore::new(store);
    let config = device_with(&store, &key, &pki, &pki);
    assert_eq!(talk(config.clone(), rustls_server(&pki, &rustls::version::TLS13)).unwrap(), "touchmark 1\n");
    let (_server, address) = openssl_server(&pki, "-tls1_3");
    assert_eq!(talk(config.clone(), address).unwrap(), "kramhcuot\n");

    // The certificate with a signature by another key of the same store.
    let certified = certification_request(&DeviceId::new("meter-0001").unwrap(), &store, &key).unwrap();
    let pem = pki.issue(&certified);
    let chain = Chain::read(pem.as_bytes(), "test").unwrap().to_present();
    let spki = store.with("tell the public key", |store| store.public_key(&key)).unwrap().spki_der();
    let wrong = DeviceKey { store: store.clone(), key: other, spki };
    let identity = DeviceIdentity(Arc::new(CertifiedKey::new(chain, Arc::new(wrong))));
    let lie = mutual(trust_anchors(&pki.path("root.pem")).unwrap(), identity, &clock()).unwrap();
    let refused = talk(lie, rustls_server(&pki, &rustls::version::TLS13));
    assert!(!matches!(&refused, Ok(line) if line.starts_with("touchmark")), "{refused:?}");

    // A key that is gone signs nothing.
    store.with("delete", |store| store.delete(&key)).unwrap();
    let refused = talk(config, rustls_server(&pki, &rustls::version::TLS13));
    assert!(!matches!(&refused, Ok(line) if line.starts_with("touchmark")), "{refused:?}");
}

#[test]
fn a_software_store_authenticates_in_tls_1_3() {
    let dir = tempfile::tempdir().unwrap();
    let medium = Box::new(FileMedium::hold(&dir.path().join("key.toml")).unwrap());
    authenticates_with(Box::new(SoftwareStore::open(medium, &Protection::PlainFlash).unwrap()));
}

#[test]
fn a_tpm_authenticates_in_tls_1_3() {
    let Some(swtpm) = Swtpm::start(EkKind::P384) else { return };
    authenticates_with(Box::new(TpmStore::open(&swtpm.address).unwrap()));
}

#[test]
fn a_secure_element_authenticates_in_tls_1_3() {
    let dir = tempfile::tempdir().unwrap();
    let mut element = Element::create(dir.path(), SystemClock::start().now()).unwrap();
    let transport = Box::new(move |apdu: &[u8]| element.transmit(apdu));
    authenticates_with(Box::new(ElementStore::new(transport).unwrap()));
}

/// The environment of this variable's process names the token: SoftHSM reads its configuration when its module is loaded.
const TOKEN: &str = "TOUCHMARK_TEST_TOKEN";

#[test]
fn a_token_authenticates_in_tls_1_3() {
    let Some(token) = softhsm::create("tls") else { return };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "tls::tests::any_token_authenticates_in_tls_1_3", "--nocapture"]);
    command.env("SOFTHSM2_CONF", token.configuration()).env(TOKEN, token.uri(&token.pin_file()));
    let finished = run(&mut command, &[]).must_end_with(0);
    assert!(finished.text().contains("1 passed"), "{}", finished.all());
}

#[test]
#[ignore = "run with the address of a token"]
fn any_token_authenticates_in_tls_1_3() {
    let uri: StoreUri = std::env::var(TOKEN).unwrap().parse().unwrap();
    authenticates_with(uri.open(Secret::None).unwrap());
}
