//! Enrolment over EST as foreign clients do it, and foreign opinions on what comes out: curl, OpenSSL, GnuTLS.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test helpers: a surprise is a panic")]

use std::process::Command;

use base64ct::{Base64, Encoding};
use serde_json::{Value, json};
use touchmark_authority::x509::HeldCertificate;
use touchmark_identity::assurance::{KEY_ASSURANCE_OID, KeyAssurance, Storage};
use touchmark_testkit::curl::{Answer, curl};
use touchmark_testkit::est::{Client, PUBLIC_FILES, base64, certificates, der};
use touchmark_testkit::openssl::{must, openssl, request};
use touchmark_testkit::peer;
use touchmark_testkit::process::run;
use touchmark_testkit::server::Site;
use touchmark_testkit::telemetry::{Beat, send};

fn site() -> Option<Site> {
    peer::all_present(&["curl", "openssl"]).then(|| Site::new(env!("CARGO_BIN_EXE_touchmark"), ""))
}

/// The first certificate in a PEM text.
fn held(pem: &str) -> HeldCertificate {
    let begin = pem.find("-----BEGIN").unwrap();
    let end = pem.find("-----END CERTIFICATE-----").unwrap() + "-----END CERTIFICATE-----\n".len() - 1;
    let (_, der) = der::pem::decode_vec(&pem.as_bytes()[begin..end]).unwrap();
    HeldCertificate::from_der(&der).unwrap()
}

#[test]
fn a_request_is_taken_in_every_form_that_clients_send() {
    let Some(site) = site() else { return };
    let server = site.start();
    let client = Client { folder: site.folder(), server: &server };
    let single_line = |device: &str| base64(site.folder(), device);
    type Form<'a> = &'a dyn Fn(&str) -> Vec<u8>;
    let forms: [(&str, Form<'_>); 4] = [
        ("one-line", &single_line),
        ("wrapped", &|device| {
            let text = String::from_utf8(single_line(device)).unwrap();
            let lines: Vec<String> =
                text.as_bytes().chunks(64).map(|l| String::from_utf8_lossy(l).into()).collect();
            (lines.join("\r\n") + "\r\n").into_bytes()
        }),
        ("pem", &|device| site.read(&format!("{device}.csr")).into_bytes()),
        ("der", &|device| der(site.folder(), device)),
    ];
    for (device, form) in forms {
        let token = site.register(device);
        request(site.folder(), device, device);
        let answer = client.enrol(device, &token, &form(device)).must_be(200);
        assert_eq!(answer.header("content-type"), Some("application/pkcs7-mime; smime-type=certs-only"));
        let certificate = held(&certificates(site.folder(), &answer.body));
        assert_eq!(
            certificate.certificate.tbs_certificate.subject.to_string(),
            format!("CN={device},SERIALNUMBER={device}"),
        );
    }

    // Clients that name no agent refuse line breaks, the others refuse their absence.
    for (agent, breaks) in [("", false), ("client", true)] {
        let answer = client.ask("cacerts", &["-A", agent], &[]).must_be(200);
        let lines: Vec<usize> = answer.text().lines().map(str::len).collect();
        assert_eq!(lines.len() > 1, breaks, "{lines:?}");
        assert_eq!(certificates(site.folder(), &answer.body).matches("BEGIN CERTIFICATE").count(), 2);
    }
    let attributes = client.ask("csrattrs", &["-A", ""], &[]).must_be(200);
    assert_eq!(attributes.header("content-type"), Some("application/csrattrs"));
    let attributes = Base64::decode_vec(attributes.text().trim()).unwrap();
    let parsed =
        openssl(site.folder(), &["asn1parse", "-inform", "DER"], &attributes).must_end_with(0).text();
    for word in ["ecdsa-with-SHA256", "id-ecPublicKey", "prime256v1"] {
        assert!(parsed.contains(word), "{parsed}");
    }
    let body = ["-H", "Content-Type: application/pkcs10", "--data-binary", "x"];
    let answer = client.ask("serverkeygen", &body, &[]).must_be(501);
    assert_eq!(answer.json()["code"], "SV-0016");
}

#[test]
fn openssl_and_gnutls_accept_the_certificate_and_see_the_revocation() {
    let Some(site) = site() else { return };
    let server = site.start();
    let client = Client { folder: site.folder(), server: &server };
    for device in ["meter-1", "meter-2"] {
        let token = site.register(device);
        let _certificate = client.enrol_new(device, &token);
    }
    let [root, issuing, issuing_crl, root_crl] = PUBLIC_FILES;
    client.fetch_public_files();
    let verify = |device: &str| {
        let leaf = format!("{device}.pem");
        let arguments = [
            "verify",
            "-CAfile",
            root,
            "-untrusted",
            issuing,
            "-CRLfile",
            issuing_crl,
            "-CRLfile",
            root_crl,
            "-crl_check_all",
            "-x509_strict",
            "-purpose",
            "sslclient",
            &leaf,
        ];
        openssl(site.folder(), &arguments, &[])
    };
    let _verified = verify("meter-1").must_end_with(0);
    let _verified = verify("meter-2").must_end_with(0);
    if peer::find("certtool").is_some() {
        site.write("chain.pem", [site.read("meter-1.pem"), site.read(issuing)].concat());
        let verify = ["--verify", "--load-ca-certificate", root, "--infile", "chain.pem"];
        let _verified =
            run(Command::new("certtool").args(verify).current_dir(site.folder()), &[]).must_end_with(0);
    }

    // The extension is there for tools that do not know it, and says what is known.
    let oid = KEY_ASSURANCE_OID.to_string();
    let parsed = must(site.folder(), &["asn1parse", "-in", "meter-1.pem"]);
    assert!(parsed.contains(&oid), "{oid} is not in\n{parsed}");
    let certificate = held(&site.read("meter-1.pem"));
    assert_eq!(certificate.assurance().unwrap(), KeyAssurance::declared(Storage::Software));

    for digest in ["-sha1", "-sha256"] {
        assert!(client.ocsp("meter-1", digest).starts_with("meter-1.pem: good"));
    }
    let revoked = ["revoke", "--device", "meter-1", "--confirm", "meter-1", "--reason", "lost"];
    let _revoked = site.authority(&revoked).must_end_with(0);
    for digest in ["-sha1", "-sha256"] {
        let said = client.ocsp("meter-1", digest);
        assert!(said.starts_with("meter-1.pem: revoked") && said.contains("keyCompromise"), "{said}");
        assert!(client.ocsp("meter-2", digest).starts_with("meter-2.pem: good"));
    }
    client.fetch_public_files();
    let refused = verify("meter-1").must_end_with(2);
    assert!(refused.all().contains("certificate revoked"), "{}", refused.all());
    let _verified = verify("meter-2").must_end_with(0);

    // By GET, as RFC 6960 appendix A.1 has it, and for a serial number that nobody issued.
    let asked = [
        "ocsp",
        "-issuer",
        issuing,
        "-serial",
        "0x4711",
        "-cert",
        "meter-1.pem",
        "-no_nonce",
        "-reqout",
        "request.der",
    ];
    let _asked = must(site.folder(), &asked);
    let encoded = Base64::encode_string(&std::fs::read(site.path("request.der")).unwrap());
    let encoded = encoded.replace('/', "%2F").replace('+', "%2B").replace('=', "%3D");
    let answer = curl(site.folder(), &[&format!("{}/ocsp/{encoded}", server.public)], &[]).must_be(200);
    assert_eq!(answer.header("content-type"), Some("application/ocsp-response"));
    site.write("answer.der", &answer.body);
    let read = [
        "ocsp",
        "-no_nonce",
        "-respin",
        "answer.der",
        "-CAfile",
        root,
        "-issuer",
        issuing,
        "-serial",
        "0x4711",
        "-cert",
        "meter-1.pem",
    ];
    let said = openssl(site.folder(), &read, &[]).must_end_with(0);
    assert!(said.stderr.contains("Response verify OK"), "{}", said.all());
    assert!(said.text().contains("0x4711: unknown"), "{}", said.text());
    assert!(said.text().contains("meter-1.pem: revoked"), "{}", said.text());
}

#[test]
fn a_token_serves_one_key_and_a_repetition_gets_the_same_certificate() {
    let Some(site) = site() else { return };
    let server = site.start();
    let client = Client { folder: site.folder(), server: &server };
    let token = site.register("meter-1");
    let first = client.enrol_new("meter-1", &token);
    let again = client.enrol("meter-1", &token, &base64(site.folder(), "meter-1")).must_be(200);
    assert_eq!(certificates(site.folder(), &again.body), first);
    request(site.folder(), "other", "meter-1");
    let refused = client.enrol("meter-1", &token, &base64(site.folder(), "other")).must_be(401);
    assert_eq!(refused.json()["code"], "AU-0004");
    let device = site.device("meter-1");
    assert_eq!(device["certificates"].as_array().unwrap().len(), 1);
    assert_eq!(device["keys"].as_array().unwrap().len(), 1);
}

/// `simplereenroll` with this certificate and key, for the request of this name.
fn renew(client: &Client<'_>, certificate: &str, key: &str, csr: &str) -> Answer {
    let more = [
        "--cert",
        certificate,
        "--key",
        key,
        "-H",
        "Content-Type: application/pkcs10",
        "--data-binary",
        "@-",
    ];
    client.ask("simplereenroll", &more, &base64(client.folder, csr))
}

/// The bodies of the journal's entries of this kind.
fn journalled(site: &Site, kind: &str) -> Vec<Value> {
    let journal = site.authority(&["journal", "--newest", "1000"]).must_end_with(0).json();
    let entries = journal["newest"].as_array().unwrap().iter().filter(|entry| entry["kind"] == kind);
    entries.map(|entry| serde_json::from_str(entry["body"].as_str().unwrap()).unwrap()).collect()
}

#[test]
fn a_copy_that_renews_first_breaks_the_originals_renewal() {
    let Some(site) = site() else { return };
    let server = site.start();
    let client = Client { folder: site.folder(), server: &server };
    let token = site.register("meter-1");
    let first = client.enrol_new("meter-1", &token);
    // The copy has key and certificate, renews, and goes to work with what it got.
    let stolen = renew(&client, "meter-1.pem", "meter-1.key", "meter-1").must_be(200);
    let stolen = certificates(site.folder(), &stolen.body);
    site.write("stolen.pem", &stolen);
    let beat = Beat { counter: 1, uptime_ms: 900_000, boot_count: 3, token: None };
    let _beat = send(site.folder(), &server, &stolen, "127.0.66.6", &beat.body()).unwrap().must_be(200);

    // The original comes to renew: refused, in the journal, and a finding.
    let serial = |pem: &str| hex::encode(held(pem).serial());
    let refused = renew(&client, "meter-1.pem", "meter-1.key", "meter-1").must_be(403).json();
    assert_eq!(refused["code"], "AU-0021");
    let said = refused["message"].as_str().unwrap();
    assert!(said.contains(&serial(&stolen)) && said.contains("in use since"), "{said}");
    let [entry] = journalled(&site, "renewal.refused").try_into().unwrap();
    assert_eq!(entry["presented"], serial(&first));
    assert_eq!(entry["successor"], serial(&stolen));
    let [finding] = server.findings().try_into().unwrap();
    assert_eq!(finding["rules"], json!(["renewal.superseded"]));
    assert_eq!((&finding["kind"], &finding["grade"]), (&json!("clone"), &json!("suspect")));
    assert_eq!(finding["device"], "meter-1");

    // Killed and started again, the server refuses as before, and the connection itself is not refused.
    server.kill();
    let server = site.start();
    let client = Client { folder: site.folder(), server: &server };
    let again = renew(&client, "meter-1.pem", "meter-1.key", "meter-1").must_be(403).json();
    assert_eq!(again["code"], "AU-0021");
    assert_eq!(journalled(&site, "renewal.refused").len(), 1);
    let own = Beat { counter: 2, uptime_ms: 901_000, boot_count: 3, token: None };
    let _beat = send(site.folder(), &server, &first, "127.0.1.1", &own.body()).unwrap().must_be(200);

    // The copy renews on: no single device has both ends.
    request(site.folder(), "thief", "meter-1");
    let onward = renew(&client, "stolen.pem", "meter-1.key", "thief").must_be(200);
    site.write("onward.pem", certificates(site.folder(), &onward.body));
    let findings = server.findings();
    let clone = findings.iter().find(|finding| finding["kind"] == "clone").unwrap();
    assert_eq!(clone["grade"], "confirmed", "{clone}");
    let chain = site.device("meter-1")["certificates"].clone();
    assert_eq!(chain.as_array().unwrap().len(), 3);
    let of = |serial: &str| chain.as_array().unwrap().iter().find(|c| c["serial"] == serial).unwrap().clone();
    assert_eq!(of(&serial(&first))["successor"], serial(&stolen));
    assert_eq!(of(&serial(&stolen))["predecessor"], serial(&first));
    assert!(of(&serial(&stolen))["first_used"].is_string());

    // The device enrols anew with a new token, and it is the copy that stays behind.
    let registered = site.authority(&["enrol", "--device", "meter-1", "--again"]).must_end_with(0).json();
    let token = registered["token"].as_str().unwrap();
    request(site.folder(), "anew", "meter-1");
    let enrolled = client.enrol("meter-1", token, &base64(site.folder(), "anew")).must_be(200);
    site.write("anew.pem", certificates(site.folder(), &enrolled.body));
    let refused = renew(&client, "onward.pem", "thief.key", "thief").must_be(403).json();
    assert_eq!(refused["code"], "AU-0021");
    let _renewed = renew(&client, "anew.pem", "anew.key", "anew").must_be(200);
}

#[test]
fn the_certificate_renews_itself() {
    let Some(site) = site() else { return };
    let server = site.start();
    let client = Client { folder: site.folder(), server: &server };
    let token = site.register("meter-1");
    let first = client.enrol_new("meter-1", &token);
    let reenrol = |certificate: &str, key: &str, csr: &str| renew(&client, certificate, key, csr);
    // With the certificate alone, and with its chain: the answer to the first was lost, so it comes again.
    client.fetch_public_files();
    site.write("chain.pem", [first.as_str(), "\n", &site.read("issuing.pem")].concat());
    let mut answers = Vec::new();
    for certificate in ["meter-1.pem", "chain.pem"] {
        let renewed = reenrol(certificate, "meter-1.key", "meter-1").must_be(200);
        let pem = certificates(site.folder(), &renewed.body);
        assert_ne!(held(&pem).serial(), held(&first).serial());
        assert_eq!(held(&pem).public_key().unwrap(), held(&first).public_key().unwrap());
        answers.push(pem);
    }
    assert_eq!(answers[0], answers[1]);
    site.write("renewed.pem", &answers[0]);
    assert_eq!(site.device("meter-1")["keys"].as_array().unwrap().len(), 1);

    // A software identity may change its key; the record says how it came.
    request(site.folder(), "fresh", "meter-1");
    let rekeyed = reenrol("renewed.pem", "meter-1.key", "fresh").must_be(200);
    site.write("fresh.pem", certificates(site.folder(), &rekeyed.body));
    let keys = site.device("meter-1")["keys"].clone();
    assert_eq!(keys.as_array().unwrap().len(), 2);
    assert_eq!(keys[1]["reasons"][0], "the key was replaced at renewal, without evidence");
    let _renewed = reenrol("fresh.pem", "fresh.key", "fresh").must_be(200);

    // Nobody renews for another device, or while on hold, or without a certificate.
    request(site.folder(), "other", "meter-2");
    assert_eq!(reenrol("meter-1.pem", "meter-1.key", "other").must_be(400).json()["code"], "AU-0003");
    let _held = site.authority(&["quarantine", "--device", "meter-1"]).must_end_with(0);
    assert_eq!(reenrol("fresh.pem", "fresh.key", "fresh").must_be(403).json()["code"], "AU-0006");
    let nobody = ["-H", "Content-Type: application/pkcs10", "--data-binary", "@-"];
    let refused = client.ask("simplereenroll", &nobody, &base64(site.folder(), "fresh")).must_be(401);
    assert_eq!(refused.json()["code"], "SV-0005");
}
