//! The shipped snippets in real daemons, with client certificates that OpenSSL made, and a sensor's real log.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use touchmark_identity::event::{Event, EventBody, canonical_dn};
use touchmark_monitor::adapters::{AdapterError, Format, Reader};
use touchmark_testkit::haproxy::Haproxy;
use touchmark_testkit::mosquitto::Mosquitto;
use touchmark_testkit::openssl;
use touchmark_testkit::peer::{all_present, without_data};
use touchmark_testkit::process::{Daemon, wait_for};

/// Makes `gate`, `devices` (the CA), `device` under it and `stranger` under nobody.
fn certificates(at: &Path) {
    openssl::root(at, "devices");
    openssl::leaf(at, "devices", "gate", "subjectAltName=IP:127.0.0.1");
    openssl::root(at, "meter-000017");
    std::fs::rename(at.join("meter-000017.pem"), at.join("stranger.pem")).unwrap();
    std::fs::rename(at.join("meter-000017.key"), at.join("stranger.key")).unwrap();
    let made = "req -x509 -nodes -days 2 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -CA devices.pem -CAkey devices.key \
                -set_serial 0x00a1b2c3 -out device.pem -keyout device.key -subj";
    let made: Vec<&str> = made.split(' ').filter(|word| !word.is_empty()).collect();
    let _silent = openssl::must(at, &[&made[..], &["/O=Example \"Fleet\", north/CN=meter-000017"]].concat());
}

fn fingerprint(at: &Path, hash: &str) -> String {
    let said = openssl::must(at, &["x509", "-in", "device.pem", "-noout", "-fingerprint", hash]);
    said.split('=').nth(1).unwrap().replace(':', "").to_lowercase()
}

fn read(format: Format, text: &str) -> (Vec<Event>, Vec<AdapterError>) {
    let mut reader = Reader::new(format, "gate");
    let (mut events, mut errors) = (Vec::new(), Vec::new());
    for line in text.split_inclusive('\n') {
        match reader.read(line.as_bytes()) {
            Ok(read) => events.extend(read),
            Err(error) => errors.push(error),
        }
    }
    for event in &events {
        assert_eq!(Event::from_line(event.to_line().as_bytes()).as_ref(), Ok(event));
    }
    (events, errors)
}

/// One TLS connection by `openssl s_client`, held until the server's greeting came, or the handshake failed.
fn connect(at: &Path, port: u16, extra: &[&str]) -> String {
    let address = format!("127.0.0.1:{port}");
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &address, "-CAfile", "devices.pem", "-ign_eof"]).args(extra);
    let done = touchmark_testkit::process::run(command.current_dir(at), b"hello\n");
    done.all()
}

/// A TCP server that greets each connection, waits for its first bytes, and closes it.
fn greeter() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _waits = stream.set_read_timeout(Some(Duration::from_millis(500)));
            let _greeted = stream.write_all(b"greetings\n");
            let _first = std::io::Read::read(&mut stream, &mut [0; 64]);
        }
    });
    port
}

#[test]
fn the_log_of_a_real_haproxy_is_read() {
    if !all_present(&["haproxy", "openssl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    certificates(at);
    let device = ["-cert", "device.pem", "-key", "device.key"];

    let gate = Haproxy::start(at, "required", greeter());
    let session = [&device[..], &["-sess_out", "session", "-tls1_2"]].concat();
    assert!(connect(at, gate.port, &session).contains("greetings"));
    assert!(
        connect(at, gate.port, &[&device[..], &["-sess_in", "session", "-tls1_2"]].concat())
            .contains("greetings")
    );
    assert!(
        connect(at, gate.port, &[&device[..], &["-servername", "gate.example"]].concat())
            .contains("greetings")
    );
    connect(at, gate.port, &["-cert", "stranger.pem", "-key", "stranger.key"]);
    connect(at, gate.port, &[]);
    // The probe of the launcher is a connection that failed as well.
    let (raw, syslog) = wait_for("HAProxy's log", || {
        let (raw, syslog) = gate.logs();
        let whole =
            raw.lines().count() >= 6 && syslog.lines().filter(|line| line.contains("haproxy/1")).count() >= 6;
        whole.then_some((raw, syslog))
    });
    let (events, errors) = read(Format::Haproxy, &raw);
    let types: Vec<_> = events.iter().map(|event| event.body.type_name()).collect();
    assert_eq!(types, ["authentication", "session_end"].repeat(3), "{raw}");
    assert!(errors.iter().all(|error| error.code() == "AD-0005"), "{errors:?}");
    assert!(errors.iter().any(|error| error.reason() == "client-certificate-refused"), "{errors:?}");
    assert!(errors.iter().any(|error| error.reason() == "no-client-certificate"), "{errors:?}");
    let mut resumed = Vec::new();
    for pair in events.chunks(2) {
        let (EventBody::Authentication(began), EventBody::SessionEnd(ended)) = (&pair[0].body, &pair[1].body)
        else {
            panic!("{pair:?}")
        };
        assert_eq!(began.session, ended.session);
        assert_eq!(ended.bytes_in, Some(6), "hello and a line feed: {raw}");
        assert_eq!(ended.bytes_out, Some(10), "the greeting: {raw}");
        let duration = i64::try_from(ended.duration_ms.unwrap()).unwrap();
        assert_eq!(pair[1].time.ms_since(pair[0].time), duration);
        assert_eq!(began.peer.as_ref().unwrap().ip.to_string(), "127.0.0.1");
        let identity = &pair[0].identity;
        assert_eq!(identity.cert_sha1.unwrap().to_string(), fingerprint(at, "-sha1"));
        assert_eq!(identity.cert_sha256.unwrap().to_string(), fingerprint(at, "-sha256"));
        assert_eq!(identity.serial.as_ref().unwrap().as_str(), "a1b2c3");
        assert_eq!(identity.common_name.as_deref(), Some("meter-000017"));
        assert_eq!(canonical_dn(identity.issuer_dn.as_ref().unwrap()), canonical_dn("CN=devices"));
        resumed.push(began.tls.as_ref().unwrap().resumed);
    }
    assert_eq!(resumed, [Some(false), Some(true), Some(false)], "the resumed one keeps its identity");
    let framed: String =
        syslog.lines().filter(|line| line.contains("haproxy/1")).map(|line| format!("{line}\n")).collect();
    assert_eq!(read(Format::Syslog, &framed).0, events, "the same in RFC 5424 frames");

    let gate = Haproxy::start(at, "optional", greeter());
    assert!(connect(at, gate.port, &[]).contains("greetings"));
    let raw = wait_for("HAProxy's log", || {
        let raw = gate.logs().0;
        raw.contains("\"used\"").then_some(raw)
    });
    let (events, errors) = read(Format::Haproxy, &raw);
    assert!(
        events.is_empty() && errors.iter().any(|error| error.reason() == "no-client-certificate"),
        "{raw}"
    );
}

#[test]
fn the_log_of_a_real_mosquitto_is_read() {
    if !all_present(&["mosquitto", "mosquitto_pub", "mosquitto_sub", "openssl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    certificates(at);
    for (name, zone) in [("use_identity_as_username", "UTC"), ("use_subject_as_username", "XYZ-5:30")] {
        let broker = Mosquitto::start(at, name, zone);
        let port = broker.port.to_string();
        let client = |program: &str, certificate: &str, extra: &[&str]| {
            let mut command = Command::new(program);
            command.args(["-h", "127.0.0.1", "-p", &port, "-t", "a", "--cafile", "devices.pem"]);
            command.args(["--cert", &format!("{certificate}.pem"), "--key", &format!("{certificate}.key")]);
            command.args(extra).current_dir(at);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let logged = |words: &str| {
            wait_for(words, || broker.log().contains(words).then_some(()));
        };
        let held = Daemon::start(&mut client("mosquitto_sub", "device", &["-i", "dev1"]));
        logged(" as dev1 (");
        // The second client of the same id displaces the first, which would come back: it is ended.
        let second = client("mosquitto_sub", "device", &["-i", "dev1"]).spawn().unwrap();
        logged("dev1 already connected");
        drop(held);
        let mut second = second;
        let _ended = second.kill();
        let _reaped = second.wait();
        let done = touchmark_testkit::process::run(
            &mut client("mosquitto_pub", "device", &["-i", "dev2", "-m", "x"]),
            &[],
        );
        assert_eq!(done.code, Some(0), "{}", done.all());
        logged("Client dev2 disconnected");
        let refused =
            touchmark_testkit::process::run(&mut client("mosquitto_pub", "stranger", &["-m", "x"]), &[]);
        assert_ne!(refused.code, Some(0));
        logged("OpenSSL Error");

        let log = broker.log();
        let (events, errors) = read(Format::Mosquitto, &log);
        assert!(errors.iter().all(|error| error.reason() == "client-certificate-refused"), "{errors:?}");
        assert!(!errors.is_empty(), "{log}");
        let made = std::fs::metadata(at.join("device.pem")).unwrap().modified().unwrap();
        let made = touchmark_identity::timestamp::Timestamp::from(made);
        let mut open = Vec::new();
        let mut reasons = Vec::new();
        for event in &events {
            assert_eq!(event.identity.common_name.as_deref(), Some("meter-000017"), "{log}");
            // A zone that was not read would be five hours and a half off.
            let off = event.time.ms_since(made).abs();
            assert!(off < 3_600_000, "{} is {off} ms from the beginning of the test", event.time);
            match &event.body {
                EventBody::Authentication(body) => open.push(body.session.clone()),
                EventBody::SessionEnd(body) => {
                    assert!(open.contains(&body.session), "{log}");
                    reasons.push(body.reason.clone().unwrap());
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(reasons[0], "taken-over", "{log}");
        assert_eq!(reasons.last().unwrap(), "disconnected", "{log}");
    }
}

#[test]
fn the_log_of_a_real_sensor_is_read() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = ["../shared/data/zeek", "../../shared/data/zeek"].map(|path| repository.join(path));
    let Some(folder) = folder.iter().find(|folder| folder.join("ssl.log.gz").is_file()) else {
        return without_data(
            "the Zeek sample logs, whose licence keeps them out of the repository, are not beside it",
        );
    };
    if !all_present(&["gzip"]) {
        return;
    }
    let plain = |name: &str| {
        let file = folder.join(name);
        let mut command = Command::new("gzip");
        let done = touchmark_testkit::process::run(command.arg("-dc").arg(file), &[]).must_end_with(0);
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    let both = plain("x509.log.gz") + &plain("ssl.log.gz");
    let records = both.lines().filter(|line| !line.starts_with('#')).count();
    let certificates = plain("x509.log.gz").lines().filter(|line| !line.starts_with('#')).count();
    let (events, errors) = read(Format::Zeek, &both);
    // README of the sample: 49,474 connections, 40 of them with a client certificate.
    assert_eq!(events.len() + errors.len() + certificates, records);
    assert!(
        errors.iter().all(|error| error.code() == "AD-0005"),
        "{:?}",
        errors.iter().find(|e| e.code() != "AD-0005")
    );
    assert!((1..=40).contains(&events.len()), "{}", events.len());
    assert!(events.iter().all(|event| event.identity.cert_sha256.is_some()));
    assert!(events.iter().any(|event| event.identity.serial.is_some()));
}
