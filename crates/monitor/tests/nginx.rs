//! The shipped log format in a real nginx, with client certificates that OpenSSL made.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use touchmark_identity::event::{Event, EventBody, RawDigest};
use touchmark_monitor::adapters::nginx::{Line, Nginx};
use touchmark_monitor::{Engine, Settings};

/// A child that does not outlive the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn present(program: &str, argument: &str) -> bool {
    Command::new(program)
        .arg(argument)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}

fn run(directory: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn the_log_of_a_real_nginx_is_read() {
    for (program, argument) in [("nginx", "-v"), ("openssl", "version"), ("curl", "--version")] {
        if !present(program, argument) {
            let required =
                ["CI", "TOUCHMARK_REQUIRE_PEERS"].iter().any(|name| std::env::var_os(name).is_some());
            assert!(!required, "{program} is needed for this test and missing");
            eprintln!("SKIPPED: {program} is missing; the shipped nginx log format was not tried");
            return;
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    let certify = |name: &str, subject: &str, extra: &[&str]| {
        let (out, keyout) = (format!("{name}.pem"), format!("{name}.key"));
        let mut arguments = vec!["req", "-x509", "-subj", subject, "-out", &out, "-keyout", &keyout];
        arguments.extend(key);
        arguments.extend(extra);
        run(at, "openssl", &arguments);
    };
    certify("ca", "/O=Example Fleet/CN=Test Device CA", &[]);
    certify("server", "/CN=localhost", &[]);
    certify(
        "device",
        "/O=Example, Fleet/CN=meter-000017",
        &["-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "0x00a1b2c3"],
    );
    certify("stranger", "/CN=meter-000017", &[]);

    let port = free_port();
    let format = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contrib/nginx/touchmark-log-format.conf");
    let format = fs::canonicalize(format).unwrap();
    let root = at.display();
    let configuration = format!(
        "daemon off; master_process off; worker_processes 1; pid {root}/nginx.pid; error_log {root}/error.log;\n\
         events {{ worker_connections 64; }}\n\
         http {{ include {format}; access_log {root}/access.json touchmark;\n\
         client_body_temp_path {root}; proxy_temp_path {root}; fastcgi_temp_path {root}; uwsgi_temp_path {root}; scgi_temp_path {root};\n\
         server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {root}/server.pem; ssl_certificate_key {root}/server.key;\n\
         ssl_verify_client optional; ssl_client_certificate {root}/ca.pem; location / {{ return 200 ok; }} }} }}\n",
        format = format.display()
    );
    fs::write(at.join("nginx.conf"), configuration).unwrap();
    let configuration = at.join("nginx.conf");
    let nginx = Command::new("nginx")
        .args(["-p", &root.to_string(), "-e", &format!("{root}/error.log"), "-c"])
        .arg(&configuration)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut nginx = Running(nginx);
    let listens = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(25));
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    if !listens {
        let mut said = String::new();
        let _ = nginx.0.kill();
        nginx.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        panic!("nginx does not listen: {said}");
    }

    let url = format!("https://127.0.0.1:{port}/a%22b?secret=1");
    let fetch = |extra: &[&str]| {
        let mut arguments = vec!["-sk", "--max-time", "10", &url];
        arguments.extend(extra);
        run(at, "curl", &arguments)
    };
    let device = ["--cert", "device.pem", "--key", "device.key"];
    // Two requests on one connection, then another connection.
    fetch(&[&device[..], &[&url]].concat());
    fetch(&device);
    fetch(&[]);
    fetch(&["--cert", "stranger.pem", "--key", "stranger.key"]);
    // The log line of a request is written when it ends, which a client may see first.
    let log = at.join("access.json");
    let complete = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(25));
        fs::read_to_string(&log).is_ok_and(|text| text.lines().count() >= 5)
    });
    assert!(complete, "{:?}", fs::read_to_string(&log));

    let text = fs::read(&log).unwrap();
    assert!(!String::from_utf8_lossy(&text).contains("secret"), "the query is not logged");
    let mut reader = Nginx::new("gate");
    let mut engine = Engine::new(Settings::default());
    let (mut events, mut refused): (Vec<Event>, Vec<String>) = (Vec::new(), Vec::new());
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        match reader.line(line).unwrap_or_else(|error| panic!("{error}")) {
            Line::Event(event) => {
                assert!(engine.observe(&event, RawDigest::of(line)).is_empty());
                events.push(*event);
            }
            Line::Refused { verify } => refused.push(verify),
        }
    }
    let types: Vec<&str> = events.iter().map(|event| event.body.type_name()).collect();
    assert_eq!(types, ["authentication", "heartbeat", "authentication"]);
    assert_eq!(refused.len(), 2);
    assert_eq!(refused[0], "NONE");
    assert!(refused[1].starts_with("FAILED"), "{refused:?}");

    let fingerprint = run(at, "openssl", &["x509", "-in", "device.pem", "-noout", "-fingerprint", "-sha1"]);
    let fingerprint = fingerprint.trim().split('=').nth(1).unwrap().replace(':', "").to_lowercase();
    for event in &events {
        let identity = &event.identity;
        assert_eq!(identity.cert_sha1.unwrap().to_string(), fingerprint);
        assert_eq!(identity.serial.as_ref().unwrap().as_str(), "a1b2c3");
        assert_eq!(identity.common_name.as_deref(), Some("meter-000017"));
        assert_eq!(
            touchmark_identity::event::canonical_dn(identity.issuer_dn.as_ref().unwrap()),
            touchmark_identity::event::canonical_dn("/O=Example Fleet/CN=Test Device CA")
        );
        assert_eq!(Event::from_line(event.to_line().as_bytes()).unwrap(), *event);
    }
    let EventBody::Authentication(first) = &events[0].body else { panic!("{:?}", events[0]) };
    assert_eq!(first.peer.as_ref().unwrap().ip.to_string(), "127.0.0.1");
    assert!(first.tls.as_ref().unwrap().version.as_ref().unwrap().starts_with("TLSv1."));
    assert_eq!(engine.counts().identities, 1);
    std::io::stderr().flush().unwrap();
}
