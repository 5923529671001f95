use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use touchmark_testkit::{openssl, peer};

use super::super::batch::tests::batch;
use super::*;

/// What a scripted broker answers to the request of this number, without the request's own number; nothing: it hangs up.
type Script = fn(api: i16, version: i16, body: &[u8]) -> Option<Body>;

const VERSIONS: [(Api, i16, i16); 5] = [
    (Api::Fetch, 4, 17),
    (Api::ListOffsets, 1, 10),
    (Api::Metadata, 0, 13),
    (Api::SaslHandshake, 0, 1),
    (Api::SaslAuthenticate, 0, 2),
];

fn versions() -> Body {
    let body = Body::new(false).int16(0).count(VERSIONS.len());
    VERSIONS.iter().fold(body, |body, (api, low, high)| body.int16(api.key()).int16(*low).int16(*high))
}

/// A broker as Kafka 4 is, for the user `meter` with the password `s3cret`.
fn kafka(api: i16, version: i16, body: &[u8]) -> Option<Body> {
    let answer = match (api, version) {
        (18, 0) => versions(),
        (17, 1) if body == b"\0\x05PLAIN" => Body::new(false).int16(0).count(1).text("PLAIN"),
        (36, 0) if body == b"\0\0\0\x0d\0meter\0s3cret" => Body::new(false).int16(0).int16(-1).blob(b""),
        (36, 0) => Body::new(false).int16(58).text("no").blob(b""),
        (3, 12) => {
            let node =
                Body::new(true).int32(0).count(1).int32(1).text("127.0.0.1").int32(9_092).raw(&[0]).end();
            let topic =
                node.text("cluster").int32(1).count(1).int16(0).text("t").raw(&[7; 16]).int8(0).count(1);
            let partition = topic.int16(0).int32(0).int32(1).int32(0).count(0).count(0).count(0).end();
            partition.int32(i32::MIN).end().end()
        }
        (2, 1) => Body::new(false).count(1).text("t").count(1).int32(0).int16(0).int64(-1).int64(5),
        (1, 10) => {
            let head = Body::new(false).int32(0).int16(0).int32(0).count(1).text("t").count(1);
            let part = head.int32(0).int16(0).int64(6).int64(6).int64(0).count(0);
            part.blob(&batch(0, 5, &[(0, 0, Some(b"x"))]))
        }
        _ => return None,
    };
    Some(answer)
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, script: Script) -> io::Result<()> {
    loop {
        let length = stream.read_i32().await?;
        let mut request = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut request).await?;
        let mut fields = Fields::new(&request, false);
        let (api, version, number) =
            (fields.int16().unwrap(), fields.int16().unwrap(), fields.int32().unwrap());
        assert_eq!(fields.text(), Ok(Some("touchmark-test")));
        let flexible = api == 3 && version >= 9;
        let Some(answer) = script(api, version, fields.rest()) else { return Ok(()) };
        let tags: &[u8] = if flexible { &[0] } else { &[] };
        let content = [&number.to_be_bytes()[..], tags, answer.bytes()].concat();
        stream.write_all(Body::new(false).blob(&content).bytes()).await?;
        stream.flush().await?;
    }
}

/// A broker that follows a script; with a folder, over TLS with the certificate there. Gives its port.
async fn start(script: Script, folder: Option<&Path>) -> u16 {
    let acceptor = folder.map(|folder| {
        let chain = vec![CertificateDer::from_pem_file(folder.join("broker.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(folder.join("broker.key")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap()))
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                match acceptor {
                    Some(acceptor) => serve(acceptor.accept(stream).await?, script).await,
                    None => serve(stream, script).await,
                }
            });
        }
    });
    port
}

fn access(tls: Option<&Path>, login: Option<(&str, &Path)>) -> Access {
    Access {
        client: "touchmark-test".to_owned(),
        tls: tls.map(|roots| crate::tls::connector(roots).unwrap()),
        login: login.map(|(user, file)| (user.to_owned(), file.to_owned())),
    }
}

#[tokio::test]
async fn a_reader_logs_in_over_tls_and_reads() {
    if !peer::all_present(&["openssl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    openssl::root(folder.path(), "root");
    openssl::root(folder.path(), "other");
    openssl::leaf(folder.path(), "root", "broker", "subjectAltName=IP:127.0.0.1");
    std::fs::write(at("password"), "s3cret\n").unwrap();
    std::fs::write(at("wrong"), "guess\n").unwrap();
    let port = start(kafka, Some(folder.path())).await;
    let connect = async |roots: &str, password: &str| {
        let access = access(Some(&at(roots)), Some(("meter", &at(password))));
        Broker::connect(&access, "127.0.0.1", port).await
    };
    let mut broker = connect("root.pem", "password").await.unwrap();
    let found = broker.metadata("t").await.unwrap();
    assert_eq!((found.id, found.partitions), (Some([7; 16]), vec![(0, 1)]));
    assert_eq!(broker.offsets("t", &[0], Edge::Earliest).await.unwrap(), [5]);
    let amount = Amount { wait_ms: 0, bytes: 1_000, partition_bytes: 1_000 };
    let answers = broker.records("t", &[(0, 5)], amount).await.unwrap();
    let [answer] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!((answer.partition, answer.error, answer.end), (0, 0, 6));
    assert!(answer.records.ends_with(b"x\0"));
    let lacking = broker.offsets("t", &[3], Edge::End).await.unwrap_err();
    assert!(matches!(lacking, KafkaError::NothingSaid { partition: 3, .. }), "{lacking}");

    let wrong = connect("root.pem", "wrong").await.unwrap_err();
    assert!(wrong.to_string().contains("SASL_AUTHENTICATION_FAILED (58)"), "{wrong}");
    let missing = connect("root.pem", "missing").await.unwrap_err();
    assert!(matches!(missing, KafkaError::Password { .. }), "{missing}");
    let stranger = connect("other.pem", "password").await.unwrap_err();
    assert!(matches!(&stranger, KafkaError::Connection { .. }), "{stranger}");
    // Plain bytes at a port of TLS.
    let plain = Broker::connect(&access(None, None), "127.0.0.1", port).await.unwrap_err();
    assert!(matches!(&plain, KafkaError::Connection { .. } | KafkaError::Malformed { .. }), "{plain}");
}

#[tokio::test]
async fn what_no_broker_says_is_an_error() {
    let cases: [(Script, &str); 4] = [
        (|_, _, _| None, "cannot be used"),
        (|_, _, _| Some(Body::new(false).int16(35).count(0)), "UNSUPPORTED_VERSION (35)"),
        (
            |_, _, _| Some(Body::new(false).int16(0).int32(i32::MAX)),
            "answered ApiVersions with something else",
        ),
        (|_, _, _| Some(Body::new(false)), "answered ApiVersions with something else"),
    ];
    for (script, said) in cases {
        let port = start(script, None).await;
        let error = Broker::connect(&access(None, None), "127.0.0.1", port).await.unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
    // A broker from before every version that is spoken here.
    let port =
        start(|_, _, _| Some(Body::new(false).int16(0).count(1).int16(3).int16(0).int16(0)), None).await;
    let mut old = Broker::connect(&access(None, None), "127.0.0.1", port).await.unwrap();
    assert!(matches!(old.metadata("t").await, Err(KafkaError::Versions { api: "Metadata", .. })));
    // A web server: its first four bytes are a length of more than a gigabyte.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?;
        stream.read_i32().await
    });
    let error = Broker::connect(&access(None, None), "127.0.0.1", port).await.unwrap_err();
    assert!(error.to_string().contains("a length cannot be read"), "{error}");
}
