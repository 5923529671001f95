//! A test PKI made by the `openssl` command, and an HTTPS server on the loopback interface.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use touchmark_identity::ids::KeyName;
use touchmark_keystore::KeyStore;
use touchmark_keystore::software::{FileMedium, Protection, SoftwareStore};

use crate::config::AgentConfig;
use crate::device::SharedStore;

/// Runs a program to its end; success, and both outputs.
pub(crate) fn run(program: &str, args: &[&str]) -> (bool, String) {
    let done = Command::new(program).args(args).output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8_lossy(&said).into_owned())
}

pub(crate) struct TestPki {
    dir: tempfile::TempDir,
}

impl TestPki {
    pub(crate) fn new() -> Self {
        let pki = Self { dir: tempfile::tempdir().unwrap() };
        pki.openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=Test root",
            "-keyout",
            "root.key",
            "-out",
            "root.pem",
        ]);
        pki.openssl(&[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=Test server",
            "-keyout",
            "server.key",
            "-out",
            "server.csr",
        ]);
        std::fs::write(pki.path("server.ext"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:false\n")
            .unwrap();
        pki.openssl(&[
            "x509",
            "-req",
            "-in",
            "server.csr",
            "-CA",
            "root.pem",
            "-CAkey",
            "root.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "server.ext",
            "-out",
            "server.pem",
        ]);
        pki
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn openssl(&self, args: &[&str]) {
        let done = Command::new("openssl").args(args).current_dir(self.dir()).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// Has `openssl` issue a certificate for a DER request; returns PEM.
    pub(crate) fn issue(&self, request: &[u8]) -> String {
        std::fs::write(self.path("device.csr"), request).unwrap();
        std::fs::write(self.path("device.ext"), "basicConstraints=CA:false\nextendedKeyUsage=clientAuth\n")
            .unwrap();
        self.openssl(&[
            "x509",
            "-req",
            "-inform",
            "DER",
            "-in",
            "device.csr",
            "-CA",
            "root.pem",
            "-CAkey",
            "root.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "device.ext",
            "-out",
            "device.pem",
        ]);
        std::fs::read_to_string(self.path("device.pem")).unwrap()
    }

    pub(crate) fn root_pem(&self) -> String {
        std::fs::read_to_string(self.path("root.pem")).unwrap()
    }

    pub(crate) fn server(
        &self,
        clients: bool,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ServerConfig> {
        let chain =
            CertificateDer::pem_file_iter(self.path("server.pem")).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(self.path("server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("root.pem")).unwrap()).unwrap();
        let builder = if clients {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        Arc::new(builder.with_single_cert(chain, key).unwrap())
    }
}

/// A software store in `dir` with one key.
pub(crate) fn software(dir: &Path) -> (SharedStore, KeyName) {
    let medium = Box::new(FileMedium::hold(&dir.join("key.toml")).unwrap());
    let mut store = SoftwareStore::open(medium, &Protection::PlainFlash).unwrap();
    let key = KeyName::new("identity").unwrap();
    store.generate(&key).unwrap();
    (SharedStore::new(Box::new(store)), key)
}

/// A configuration with a store, and more lines of TOML.
pub(crate) fn config(store: &str, more: &str) -> AgentConfig {
    let text = format!(
        "device = 'meter-0001'\ndevice_type = 'meter'\nstore = '{store}'\nfirmware = '2.1.0'\nsecurity_version = 1\n{}{more}\n",
        [
            ("server", "'https://127.0.0.1:1'"),
            ("telemetry", "'https://127.0.0.1:1'"),
            ("trust_anchors", "'root.pem'")
        ]
        .iter()
        .filter(|(key, _)| !more.lines().any(|line| line.starts_with(&format!("{key} "))))
        .map(|(key, value)| format!("{key} = {value}\n"))
        .collect::<String>(),
    );
    AgentConfig::parse(&text, "test").unwrap()
}

/// What a test's server got.
pub(crate) struct Got {
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) peer: SocketAddr,
    pub(crate) body: Vec<u8>,
}

/// Serves HTTPS until the runtime ends. `None` as an answer cuts the connection: the reply is lost.
pub(crate) async fn serve(
    tls: Arc<ServerConfig>,
    answer: impl Fn(Got) -> Option<(u16, Vec<u8>)> + Send + Sync + 'static,
) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        loop {
            let (stream, peer) = listener.accept().await.unwrap();
            let (tls, answer) = (tokio_rustls::TlsAcceptor::from(Arc::clone(&tls)), Arc::clone(&answer));
            tokio::spawn(async move {
                let Ok(stream) = tls.accept(stream).await else { return };
                let service = service_fn(|request: Request<Incoming>| {
                    let answer = Arc::clone(&answer);
                    async move {
                        let path = request.uri().path().to_owned();
                        let authorization =
                            request.headers().get("authorization").map(|v| v.to_str().unwrap().to_owned());
                        let body = request.into_body().collect().await.unwrap().to_bytes().to_vec();
                        match answer(Got { path, authorization, peer, body }) {
                            Some((status, body)) => Ok(Response::builder()
                                .status(status)
                                .body(Full::new(Bytes::from(body)))
                                .unwrap()),
                            None => Err(std::io::Error::other("cut")),
                        }
                    }
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}
