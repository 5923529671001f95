//! What nobody should send: each gets its documented code, is counted, and hurts nobody else.

use std::io::Write;

use touchmark_testkit::curl::{curl, try_curl};
use touchmark_testkit::est::{Client, base64, der};
use touchmark_testkit::openssl::{leaf, must, openssl, request, root};
use touchmark_testkit::peer;
use touchmark_testkit::process::wait_for;
use touchmark_testkit::server::{Server, Site};

fn site(configuration: &str) -> Option<Site> {
    peer::all_present(&["curl", "openssl"]).then(|| Site::new(env!("CARGO_BIN_EXE_touchmark"), configuration))
}

/// A normal enrolment works.
#[track_caller]
fn still_enrols(site: &Site, server: &Server) {
    let token = site.register("honest");
    let certificate = Client { folder: site.folder(), server }.enrol_new("honest", &token);
    assert!(certificate.contains("BEGIN CERTIFICATE"));
}

#[test]
fn bad_requests_get_their_codes_and_are_counted() {
    let Some(site) = site("") else { return };
    let server = site.start();
    let client = Client { folder: site.folder(), server: &server };
    let token = site.register("meter-1");
    let folder = site.folder();
    request(folder, "good", "meter-1");
    request(folder, "other", "meter-2");
    let _made = must(
        folder,
        &[
            "req",
            "-new",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=meter-1",
            "-keyout",
            "rsa.key",
            "-out",
            "rsa.csr",
        ],
    );
    let good = der(folder, "good");
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;

    let user = format!("meter-1:{token}");
    let ticket = ["-u", user.as_str()];
    let pkcs10 = ["-H", "Content-Type: application/pkcs10", "--data-binary", "@-"];
    let json = ["-H", "Content-Type: application/json", "--data-binary", "@-"];
    let enrol = "/.well-known/est/simpleenroll";
    let begin = "/touchmark/v1/enrol/begin";
    let complete = "/touchmark/v1/enrol/complete";
    let too_large = vec![b'A'; 128 * 1024 + 1];
    let half = br#"{"claims":"software","#.to_vec();
    let unknown_claim = br#"{"claims":"hardware"}"#.to_vec();
    let unknown_session = format!(r#"{{"session":"00","csr":"{}"}}"#, "30".repeat(8)).into_bytes();
    let not_hex = br#"{"session":"zz","csr":""}"#.to_vec();
    let wrong_user = ["-u", "meter-1:0123456789abcdef0123456789abcdef"];
    let strange_user = ["-u", "../../etc/passwd:x"];
    // What it is, where it goes, with which ticket and kind of content; status and code of the answer.
    type Case<'a> = (&'a str, &'a str, &'a [&'a str], &'a [&'a str], &'a [u8], u16, &'a str);
    let cases: [Case<'_>; 17] = [
        ("no request at all", enrol, &ticket, &pkcs10, b"SGVsbG8sIHdvcmxk", 400, "AU-0001"),
        ("no base64", enrol, &ticket, &pkcs10, b"\xff\xfe!!", 400, "AU-0001"),
        ("an empty body", enrol, &ticket, &pkcs10, b"", 400, "AU-0001"),
        ("half a request", enrol, &ticket, &pkcs10, &good[..good.len() / 2], 400, "AU-0001"),
        ("a broken signature", enrol, &ticket, &pkcs10, &forged, 400, "AU-0002"),
        ("an RSA key", enrol, &ticket, &pkcs10, &base64(folder, "rsa"), 400, "AU-0001"),
        ("another device's name", enrol, &ticket, &pkcs10, &base64(folder, "other"), 400, "AU-0003"),
        ("too large a body", enrol, &ticket, &pkcs10, &too_large, 413, "SV-0004"),
        ("another content type", enrol, &ticket, &json, &good, 415, "SV-0011"),
        ("no authentication", enrol, &[], &pkcs10, &good, 401, "SV-0005"),
        ("a wrong token", enrol, &wrong_user, &pkcs10, &good, 401, "AU-0004"),
        ("a name that is none", enrol, &strange_user, &pkcs10, &good, 401, "SV-0005"),
        ("half a document", begin, &ticket, &json, &half, 400, "SV-0003"),
        ("an unknown claim", begin, &ticket, &json, &unknown_claim, 400, "SV-0003"),
        ("begin without authentication", begin, &[], &json, &half, 401, "SV-0005"),
        ("an unknown session", complete, &ticket, &json, &unknown_session, 400, "AU-0008"),
        ("what is no hex", complete, &ticket, &json, &not_hex, 400, "SV-0003"),
    ];
    let root = server.root.display().to_string();
    for (what, path, user, kind, body, status, code) in cases {
        let before = server.counted("server_requests_refused", code);
        let address = format!("{}{path}", server.enrol);
        let arguments = [&["--cacert", &root, "-X", "POST", address.as_str()], user, kind].concat();
        let answer = curl(folder, &arguments, body);
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        let refusal = answer.json();
        assert_eq!(refusal["schema"], "touchmark.error/1", "{what}");
        assert_eq!(refusal["code"], code, "{what}: {refusal}");
        assert!(refusal["message"].as_str().is_some_and(|m| !m.is_empty()), "{what}");
        if status == 401 {
            assert_eq!(
                answer.header("www-authenticate"),
                Some("Basic realm=\"touchmark enrolment\""),
                "{what}"
            );
        }
        assert_eq!(server.counted("server_requests_refused", code), before + 1, "{what} was not counted");
    }

    // What is not there, and what is asked in another way.
    let answer = curl(folder, &["--cacert", &root, &format!("{}/nothing", server.enrol)], &[]).must_be(404);
    assert_eq!(answer.json()["code"], "SV-0010");
    let answer = curl(folder, &["--cacert", &root, &format!("{}{enrol}", server.enrol)], &[]).must_be(405);
    assert_eq!(answer.json()["schema"], "touchmark.error/1");

    // OCSP has an answer of its own for bytes that are no request (RFC 6960 §2.3).
    for (garbage, by_get) in [(b"garbage".to_vec(), true), (vec![0x30; 9_000], false), (Vec::new(), false)] {
        let before = server.counted("server_requests_refused", "AU-0019");
        let post = format!("{}/ocsp", server.public);
        let get = format!("{post}/Z2FyYmFnZQ==");
        let answer = if by_get {
            curl(folder, &[&get], &[])
        } else {
            curl(
                folder,
                &["--data-binary", "@-", "-H", "Content-Type: application/ocsp-request", &post],
                &garbage,
            )
        };
        site.write("ocsp.der", &answer.must_be(200).body);
        let said = openssl(folder, &["ocsp", "-respin", "ocsp.der", "-noverify"], &[]);
        assert!(said.all().contains("malformedrequest"), "{}", said.all());
        assert_eq!(server.counted("server_requests_refused", "AU-0019"), before + 1);
    }
    still_enrols(&site, &server);
    // None of it spent the token.
    let _enrolled = client.enrol("meter-1", &token, &good).must_be(200);
    server.stop();
}

#[test]
fn bad_connections_are_counted_and_end_alone() {
    let Some(site) = site("") else { return };
    let server = site.start();
    let folder = site.folder();
    root(folder, "foreign");
    leaf(folder, "foreign", "stranger", "extendedKeyUsage=clientAuth");
    let trusted = server.root.display().to_string();
    let cacerts = format!("{}/.well-known/est/cacerts", server.enrol);
    let plain = cacerts.replace("https://", "http://");
    let counted = |cause: &str| server.counted("server_tls_handshakes_failed", cause);
    let cases: [(&str, &str, &[&str]); 4] = [
        ("unknown-ca", &cacerts, &["--cacert", &trusted, "--cert", "stranger.pem", "--key", "stranger.key"]),
        ("alert-from-client", &cacerts, &["--cacert", "foreign.pem"]),
        ("not-tls", &plain, &[]),
        (
            "peer-incompatible",
            &cacerts,
            &["--cacert", &trusted, "--tlsv1.1", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"],
        ),
    ];
    for (cause, address, more) in cases {
        let before = counted(cause);
        let answer = try_curl(folder, &[&[address], more].concat(), &[]);
        assert!(answer.is_err(), "{cause}: {answer:?}");
        wait_for(cause, || (counted(cause) == before + 1).then_some(()));
    }
    still_enrols(&site, &server);
}

#[test]
fn lines_that_are_no_log_lines_are_counted_and_the_rest_is_read() {
    let Some(site) = site("[[source]]\nname = \"gate\"\nformat = \"nginx\"\npath = \"access.json\"\n") else {
        return;
    };
    let server = site.start();
    let mut log = std::fs::File::create(site.path("access.json")).unwrap();
    let long = vec![b'x'; 70_000];
    for line in [
        &b"not JSON"[..],
        b"{\"touchmark\":\"nginx/1\"}",
        b"\xff\xfe\x00",
        b"{\"touchmark\":\"nginx/9\"}",
        &long,
    ] {
        log.write_all(line).unwrap();
        log.write_all(b"\n").unwrap();
    }
    let accepted = |verify: &str| {
        format!(
            "{{\"touchmark\":\"nginx/1\",\"msec\":\"1790000000.123\",\"connection\":\"7\",\
             \"connection_requests\":\"1\",\"connection_time\":\"0.010\",\"remote_addr\":\"127.0.0.1\",\
             \"remote_port\":\"40000\",\"verify\":\"{verify}\",\"fingerprint\":\"{}\",\"serial\":\"0A\",\
             \"issuer_dn\":\"CN=x\",\"subject_dn\":\"CN=meter-1\",\"tls\":\"TLSv1.3\",\"cipher\":\"c\",\
             \"curves\":\"\",\"reused\":\".\",\"sni\":\"\",\"method\":\"POST\",\"uri\":\"/v1/heartbeat\",\
             \"status\":\"200\",\"bytes_sent\":\"1\",\"request_length\":\"1\",\"request_time\":\"0.001\"}}\n",
            "ab".repeat(20)
        )
    };
    log.write_all(accepted("NONE").as_bytes()).unwrap();
    log.write_all(accepted("SUCCESS").as_bytes()).unwrap();
    wait_for("the good line", || {
        (server.counted("monitor_events_accepted", "authentication") == 1).then_some(())
    });
    let (_, metrics) = server.get(&format!("{}/metrics", server.dashboard));
    let metrics = String::from_utf8(metrics).unwrap();
    let refused: u64 = metrics
        .lines()
        .filter(|line| line.starts_with("touchmark_monitor_lines_refused_total{"))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum();
    // The long line is cut where it is too long, so it counts as two.
    assert_eq!(refused, 7, "{metrics}");
    assert_eq!(server.counted("monitor_lines_refused", "no-client-certificate"), 1);
    still_enrols(&site, &server);
}
