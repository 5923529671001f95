use std::sync::LazyLock;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::outbox::tests::finding;

fn output(kind: OutputKind) -> Output {
    Output {
        name: "out".to_owned(),
        kind,
        form: Form::CloudEvents,
        min_grade: touchmark_identity::finding::Certainty::Note,
        url: None,
        address: None,
        path: None,
        token_file: None,
        ca_file: None,
        sends: None,
    }
}

/// One context for all tests.
static CONTEXT: LazyLock<Context> = LazyLock::new(|| Context::new("urn:touchmark:test", "here"));

fn deliveries(numbers: std::ops::Range<u8>) -> Vec<Delivery> {
    numbers
        .map(|number| {
            let finding = finding(number, 1);
            let text = touchmark_monitor::outputs::write(&finding, Form::Cef, &CONTEXT);
            Delivery { id: touchmark_monitor::outputs::delivery_id(&finding), text, finding: Some(finding) }
        })
        .collect()
}

/// Reads one HTTP request whole.
async fn request(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut bytes = [0; 4096];
    loop {
        let read = stream.read(&mut bytes).await.unwrap();
        assert!(read > 0, "the request broke off: {text}");
        text.push_str(&String::from_utf8_lossy(&bytes[..read]));
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() >= length.parse().unwrap() {
                return text;
            }
        }
    }
}

#[tokio::test]
async fn a_webhook_is_believed_by_its_status() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "s3cret\n").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/in?x=1", listener.local_addr().unwrap());
    let sink =
        Sink::new(&Output { url: Some(url), token_file: Some(token.clone()), ..output(OutputKind::Webhook) })
            .unwrap();
    let one = deliveries(0..1);
    for (answer, code) in [
        ("HTTP/1.1 204 No Content\r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", None),
        ("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", Some("OB-0004")),
        ("HTTP/1.1 302 There\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", Some("OB-0004")),
        ("HTTP/1.1 401 Who\r\nContent-Length: 0\r\n\r\n", Some("OB-0004")),
        ("HTTP/1.1 422 What\r\nContent-Length: 0\r\n\r\n", Some("OB-0005")),
        ("HTTP/1.1 2", Some("OB-0002")),
        ("", Some("OB-0002")),
        ("\0\0\0\0 nothing like HTTP\r\n\r\n", Some("OB-0002")),
    ] {
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let request = request(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
            request
        };
        let (request, delivered) = tokio::join!(server, sink.deliver(&one, &CONTEXT));
        assert_eq!(delivered.as_ref().err().map(DeliveryError::code), code, "{answer:?}: {delivered:?}");
        assert_eq!(delivered.is_err_and(|error| error.is_final()), code == Some("OB-0005"));
        assert!(request.starts_with("POST /in?x=1 HTTP/1.1\r\n"), "{request}");
        for line in [
            format!("idempotency-key: {}", one[0].id),
            "authorization: Bearer s3cret".to_owned(),
            "content-type: application/cloudevents+json; charset=utf-8".to_owned(),
        ] {
            assert!(request.lines().any(|l| l == line), "no {line} in {request}");
        }
        assert!(request.ends_with(&one[0].text));
    }
    std::fs::write(&token, "two\nlines").unwrap();
    assert_eq!(sink.deliver(&one, &CONTEXT).await.unwrap_err().code(), "OB-0006");
    std::fs::remove_file(&token).unwrap();
    assert_eq!(sink.deliver(&one, &CONTEXT).await.unwrap_err().code(), "OB-0006");
    drop(listener);
    std::fs::write(&token, "s3cret").unwrap();
    assert_eq!(sink.deliver(&one, &CONTEXT).await.unwrap_err().code(), "OB-0001");
}

#[tokio::test]
async fn syslog_over_tcp_counts_octets_and_waits_for_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Some(format!("tcp://{}", listener.local_addr().unwrap()));
    let sink = Sink::new(&Output { address, ..output(OutputKind::Syslog) }).unwrap();
    let three = deliveries(0..3);
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    };
    let (text, delivered) = tokio::join!(server, sink.deliver(&three, &CONTEXT));
    delivered.unwrap();
    let mut rest = text.as_str();
    for delivery in &three {
        let (length, after) = rest.split_once(' ').unwrap();
        let (message, after) = after.split_at(length.parse().unwrap());
        assert!(message.starts_with("<83>1 2026-11-20T22:00:00Z here touchmark - clone ["), "{message}");
        assert!(message.ends_with(&delivery.text), "{message}");
        rest = after;
    }
    assert_eq!(rest, "");

    // A receiver that dies with unread messages resets the connection: they are not delivered.
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        stream.readable().await.unwrap();
        drop(stream);
    };
    let ((), delivered) = tokio::join!(server, sink.deliver(&three, &CONTEXT));
    assert_eq!(delivered.unwrap_err().code(), "OB-0001");
}

#[tokio::test]
async fn syslog_over_udp_sends_a_datagram_each() {
    let receiver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = Some(format!("udp://{}", receiver.local_addr().unwrap()));
    let sink = Sink::new(&Output { address, ..output(OutputKind::Syslog) }).unwrap();
    let mut three = deliveries(0..3);
    three[1].text = "x".repeat(syslog::MAX_DATAGRAM_BYTES);
    let error = sink.deliver(&three, &CONTEXT).await.unwrap_err();
    assert!(error.code() == "OB-0007" && error.is_final());
    let mut bytes = vec![0; 70_000];
    for delivery in [&three[0], &three[2]] {
        let read = receiver.recv(&mut bytes).await.unwrap();
        assert!(String::from_utf8_lossy(&bytes[..read]).ends_with(&delivery.text));
    }
}

#[tokio::test]
async fn a_torn_line_is_ended_and_repeated_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("findings.cef");
    let sink = Sink::new(&Output { path: Some(path.clone()), ..output(OutputKind::File) }).unwrap();
    let two = deliveries(0..2);
    sink.deliver(&two[..1], &CONTEXT).await.unwrap();
    let mut file = File::options().append(true).open(&path).unwrap();
    file.write_all(b"CEF:0|To").unwrap();
    sink.deliver(&two[1..], &CONTEXT).await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().collect::<Vec<_>>(), [&two[0].text, "CEF:0|To", &two[1].text]);
    assert!(text.ends_with('\n'));
    let nowhere = Some(folder.path().join("missing/file"));
    let sink = Sink::new(&Output { path: nowhere, ..output(OutputKind::File) }).unwrap();
    assert_eq!(sink.deliver(&two, &CONTEXT).await.unwrap_err().code(), "OB-0006");
}
