//! First inputs of all other parsers.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::str::FromStr;

use aws_lc_rs::rand::SystemRandom;
use der::asn1::{Any, BitString, Null, ObjectIdentifier, OctetString, SetOfVec};
use der::{Decode, Encode};
use touchmark_authority::est::{Wrapping, encode_body};
use touchmark_authority::x509::sha1;
use touchmark_element::{Applet, TEST_ROOT_CERTIFICATE_PEM};
use touchmark_fuzz::services::{
    FINDINGS, GOOD_SERIAL, REVOKED_SERIAL, authority, sealed, sections, small_settings,
};
use touchmark_fuzz::{KNOWN_POINT, KNOWN_SCALAR, known_pair, known_public, known_store};
use touchmark_identity::event::Event;
use touchmark_identity::evidence::Evidence;
use touchmark_identity::ids::{CounterName, KeyName};
use touchmark_identity::key::sha256;
use touchmark_keystore::software::{FileMedium, Protection, SoftwareStore};
use touchmark_keystore::{Counters, KeyStore, Objects, Ratchet};
use touchmark_monitor::Monitor;
use touchmark_monitor::batch::encode;
use x509_cert::ext::Extension;
use x509_cert::name::Name;
use x509_cert::request::{CertReq, CertReqInfo, Version};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_ocsp::{CertId, OcspRequest, Request, TbsRequest};
use zeroize::Zeroizing;

use crate::keys::{element_evidence, tpm_evidence};
use crate::{Failed, Seeds};

const EVENTS: &str = include_str!("../../crates/identity/tests/samples/event-1.ndjson");
/// ecdsa-with-SHA256 (RFC 5758 §3.2).
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

/// Writes them.
pub fn add(seeds: &Seeds, work: &Path) -> Result<(), Failed> {
    identity(seeds)?;
    certificates(seeds, &work.join("chip"))?;
    enrolment(seeds, &work.join("authority"))?;
    stores(seeds, work)?;
    device(seeds, &work.join("release"))?;
    watch(seeds)?;
    search(seeds)?;
    Ok(())
}

fn identity(seeds: &Seeds) -> Result<(), Failed> {
    let digits = r#"{"schema":"touchmark.event/1","type":"registry","time":"2026-11-20T22:00:00Z","source":"r",
        "identity":{"common_name":"m"},"device":"m","home":{"lat":-7.000095664684072e-29,"lon":1e-5,"radius_km":0.1}}"#;
    seeds.add("event_line", EVENTS.lines().chain([digits]))?;
    let events = EVENTS.lines().chain([digits]).map(|line| Event::from_line(line.as_bytes()));
    let events: Vec<Event> = events.collect::<Result<_, _>>()?;
    let mut batches = vec![encode(&events)?];
    for event in &events {
        batches.push(encode(std::slice::from_ref(event))?);
    }
    seeds.add("batch", batches)?;
    seeds.add("finding_line", FINDINGS.lines())?;
    let signature = known_pair().sign(&SystemRandom::new(), b"message")?;
    seeds.add(
        "public_key_spki",
        [known_public().spki_der(), hex::decode(KNOWN_POINT)?, signature.as_ref().to_vec()],
    )?;
    seeds.add(
        "names",
        [
            "meter-000017",
            "2026-11-20T22:01:28.166Z",
            "00:7668F969",
            "0b8d8080726aa7d379aacf2b3af72f922598aa3b",
            "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
            "CN=a\\, b+O=\\c3\\a4,OU=\"x\"",
            "/C=DE/O=Fleet/CN=meter-000017",
        ],
    )?;
    Ok(())
}

fn certificates(seeds: &Seeds, directory: &Path) -> Result<(), Failed> {
    let Evidence::Element(chip) = element_evidence(directory, Applet::default())? else {
        return Err("an element gives its own evidence".into());
    };
    seeds.add("held_certificate", [&chip.chip_certificate, &tpm_evidence()?.ek_certificate])?;
    seeds.add("endorsers_pem", [TEST_ROOT_CERTIFICATE_PEM])?;
    Ok(())
}

fn enrolment(seeds: &Seeds, directory: &Path) -> Result<(), Failed> {
    let info = CertReqInfo {
        version: Version::V1,
        subject: Name::from_str("CN=meter-1")?,
        public_key: SubjectPublicKeyInfoOwned::from_der(&known_public().spki_der())?,
        attributes: SetOfVec::new(),
    };
    let signature =
        BitString::from_bytes(known_pair().sign(&SystemRandom::new(), &info.to_der()?)?.as_ref())?;
    let algorithm = AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None };
    let csr = CertReq { info, algorithm, signature }.to_der()?;
    let lines = encode_body(&csr, Wrapping::Lines);
    let pem = format!("-----BEGIN CERTIFICATE REQUEST-----\n{lines}-----END CERTIFICATE REQUEST-----\n");
    seeds.add(
        "csr",
        [csr.clone(), lines.into_bytes(), encode_body(&csr, Wrapping::None).into_bytes(), pem.into()],
    )?;

    fs::create_dir_all(directory)?;
    let authority = authority(directory);
    let issuing = &authority.issuing().certificate().certificate;
    let name = issuing.tbs_certificate.subject.to_der()?;
    let point = hex::decode(KNOWN_POINT)?;
    let sha1_id = AlgorithmIdentifierOwned {
        oid: ObjectIdentifier::new_unwrap("1.3.14.3.2.26"),
        parameters: Some(Any::from(Null)),
    };
    let sha256_id = AlgorithmIdentifierOwned {
        oid: ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1"),
        parameters: None,
    };
    let asked = |serials: &[&[u8]], nonce: Option<&[u8]>| -> Result<Vec<u8>, Failed> {
        let mut request_list = Vec::new();
        for serial in serials {
            for (algorithm, name_hash, key_hash) in [
                (&sha1_id, sha1(&name).to_vec(), sha1(&point).to_vec()),
                (&sha256_id, sha256(&name).to_vec(), sha256(&point).to_vec()),
            ] {
                let req_cert = CertId {
                    hash_algorithm: algorithm.clone(),
                    issuer_name_hash: OctetString::new(name_hash)?,
                    issuer_key_hash: OctetString::new(key_hash)?,
                    serial_number: SerialNumber::new(serial)?,
                };
                request_list.push(Request { req_cert, single_request_extensions: None });
            }
        }
        let extension = match nonce {
            Some(nonce) => Some(vec![Extension {
                extn_id: ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2"),
                critical: false,
                extn_value: OctetString::new(OctetString::new(nonce)?.to_der()?)?,
            }]),
            None => None,
        };
        let version = x509_ocsp::Version::V1;
        let tbs_request =
            TbsRequest { version, requestor_name: None, request_list, request_extensions: extension };
        Ok(OcspRequest { tbs_request, optional_signature: None }.to_der()?)
    };
    seeds.add(
        "ocsp",
        [
            asked(&[&GOOD_SERIAL], None)?,
            asked(&[&REVOKED_SERIAL], Some(&[9; 16]))?,
            asked(&[&GOOD_SERIAL, &REVOKED_SERIAL, &[1]], Some(&[9; 32]))?,
        ],
    )?;
    Ok(())
}

fn stores(seeds: &Seeds, work: &Path) -> Result<(), Failed> {
    seeds.add(
        "store_uri",
        [
            "software:/var/lib/keys.toml",
            "software:flash.img#identity.toml",
            "tpm:/dev/tpmrm0",
            "tpm:127.0.0.1:2321",
            "element:tcp:127.0.0.1:4000",
            "element:tcp:127.0.0.1:4000?scp03=a%26b.toml&kvn=0B",
            "element:pcsc:Virtual%20PCD%2000%2000?scp03=a.toml",
            "element:i2c:/dev/i2c-1",
            "pkcs11:token=My%20CA;serial=1?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/pin",
        ],
    )?;
    let plain = work.join("plain");
    fs::create_dir_all(&plain)?;
    let mut store = known_store(&plain, &["identity", "spare"]);
    let name = CounterName::new("firmware")?;
    store.increment_counter(&name)?;
    store.raise_floor(&name, 7)?;
    store.write_object(&KeyName::new("certificate")?, b"-----BEGIN")?;
    drop(store);
    let mut sealed = SoftwareStore::open(
        Box::new(FileMedium::hold(&work.join("sealed.toml"))?),
        &Protection::Passphrase(Zeroizing::new(b"open sesame".to_vec())),
    )?;
    sealed.generate(&KeyName::new("identity")?)?;
    drop(sealed);
    let (plain, sealed) = (fs::read(plain.join("keys.toml"))?, fs::read_to_string(work.join("sealed.toml"))?);
    // Stretched less than the product does it: the document is read, and found to be sealed by another secret.
    let quick = sealed.replace("memory_kib = 65536", "memory_kib = 32").replace("passes = 3", "passes = 1");
    if quick == sealed {
        return Err("the sealing parameters are written in another way".into());
    }
    seeds.add("software_document", [plain, quick.into_bytes()])?;
    // One change in the boot sector, one in the first allocation table, one in the root directory.
    seeds.add("flash_image", [[0, 0, 11, 0], [0, 2, 3, 0xff], [0, 6, 0x1a, 9]])?;
    Ok(())
}

fn device(seeds: &Seeds, directory: &Path) -> Result<(), Failed> {
    use touchmark_agent::firmware::Release;
    use touchmark_agent::heartbeat::State;

    fs::create_dir_all(directory)?;
    let mut store = known_store(directory, &["release"]);
    let release = Release { version: "2.3.0".parse()?, security_version: 2, sha256: [0xab; 32] };
    seeds.add("firmware_offer", [release.sign(&mut store, &KeyName::new("release")?)?])?;
    seeds.add("agent_state", [State::first("2.3.0".parse()?, 2).to_json()?])?;
    let release_key = hex::encode(known_public().spki_der());
    let config = format!(
        "device = \"meter-1\"\ndevice_type = \"meter\"\nstore = \"tpm:/dev/tpmrm0\"\nflash = \"flash.img\"\n\
         server = \"https://pki.example:8443/x\"\ntelemetry = \"https://[2001:db8::1]:9443\"\n\
         trust_anchors = \"root.pem\"\nenrol_token_file = \"token\"\nfirmware = \"2.1.0\"\nsecurity_version = 1\n\
         claims = \"tpm\"\nbind_address = \"127.0.0.1\"\nheartbeat_ms = 1000\nrelease_key = \"{release_key}\"\n"
    );
    seeds.add("agent_config", [config.as_str(), "https://pki.example:8443/x", "https://[2001:db8::1]"])?;
    Ok(())
}

fn watch(seeds: &Seeds) -> Result<(), Failed> {
    let line = |connection: u32, requests: u32, at: &str, age: &str, from: &str| {
        format!(
            "{{\"touchmark\":\"nginx/1\",\"msec\":\"{at}\",\"connection\":\"{connection}\",\
             \"connection_requests\":\"{requests}\",\"connection_time\":\"{age}\",\"remote_addr\":\"{from}\",\
             \"remote_port\":\"40000\",\"verify\":\"SUCCESS\",\
             \"fingerprint\":\"0b8d8080726aa7d379aacf2b3af72f922598aa3b\",\"serial\":\"7668F969\",\
             \"issuer_dn\":\"CN=Example CA\",\"subject_dn\":\"O=Fleet\\\\, north,CN=meter-000017\",\"tls\":\"TLSv1.3\",\
             \"reused\":\".\",\"sni\":\"gate.example\",\"uri\":\"/\"}}\n"
        )
    };
    let refused = "{\"touchmark\":\"nginx/1\",\"verify\":\"NONE\"}\n";
    let log = [
        &line(7, 1, "1795212088.202", "0.036", "192.0.2.7"),
        &line(7, 2, "1795212099.203", "11.036", "192.0.2.7"),
        &line(9, 1, "1795212100.000", "0.000", "2001:db8::1"),
        refused,
    ];
    seeds.add("nginx_line", [log.concat(), log[0].to_owned()])?;

    // The first byte chooses the format, by its place in `Format::ALL`.
    let foreign = [
        "\u{3}{\"touchmark\":\"haproxy/1\",\"id\":\"a\",\"accepted\":\"1795212088.158\",\"duration_ms\":\"44\",\"used\":\"1\",\
         \"verify\":\"0\",\"cn\":\"m\",\"src\":\"192.0.2.7\",\"sport\":\"4\"}",
        "\u{5}2026-11-20T22:01:24+0000: New client connected from 192.0.2.7:4 as d (p5, c1, k10, u'm').\n\
         2026-11-20T22:01:25+0000: Client d already connected, closing old connection.",
        "\u{6}{\"event\":\"client.connected\",\"clientid\":\"c\",\"username\":\"m\",\"peername\":\"192.0.2.7:5\",\
         \"connected_at\":1795212088154}",
        "\u{9}#path\tssl\n#fields\tts\tuid\tid.orig_h\tclient_subject\n1.5\tC1\t192.0.2.7\tCN=m",
        "\u{a}<30>1 2026-11-20T22:01:24Z h a 1 - [b@1 c=\"d\"] type=authentication session=7 identity.common_name=m",
        "\u{c}{\"@timestamp\":\"2026-11-20T22:01:28Z\",\"event\":{\"id\":\"e\",\"duration\":8000000},\
         \"tls.client.subject\":\"CN=m\"}",
    ];
    seeds.add("adapter_lines", foreign.map(str::to_owned))?;

    let registry = "{\"schema\":\"touchmark.event/1\",\"type\":\"registry\",\"time\":\"2026-11-20T00:00:00Z\",\
        \"source\":\"r\",\"identity\":{\"common_name\":\"m\"},\"device\":\"m\",\"device_type\":\"meter\"}\n";
    let beat = |id: u32, minute: u32, ip: &str, counter: u32, uptime: u32| {
        format!(
            "{{\"schema\":\"touchmark.event/1\",\"type\":\"heartbeat\",\"time\":\"2026-11-20T22:{minute:02}:00Z\",\
             \"source\":\"g\",\"event_id\":\"{id}\",\"identity\":{{\"common_name\":\"m\"}},\
             \"peer\":{{\"ip\":\"{ip}\",\"asn\":64500}},\"counter\":{counter},\"uptime_ms\":{uptime},\"boot_count\":3,\
             \"firmware\":\"2.4.1\",\"security_version\":7}}\n"
        )
    };
    let (a, b) = ("192.0.2.7", "198.51.100.9");
    // Two devices under one name: each goes on where it was.
    let events = [
        beat(1, 0, a, 41, 900_000),
        beat(2, 1, b, 12, 60_000),
        beat(3, 2, a, 42, 1_020_000),
        beat(4, 3, b, 13, 180_000),
    ];
    let read: Vec<Event> =
        events.iter().map(|line| Event::from_line(line.as_bytes())).collect::<Result<_, _>>()?;
    let batches = read.chunks(3).map(encode).collect::<Result<Vec<_>, _>>()?.concat();
    seeds.add(
        "replay",
        [
            format!("{registry}\n{}", events.concat()).into_bytes(),
            format!("\n{EVENTS}").into_bytes(),
            events.concat().into_bytes(),
            batches,
        ],
    )?;

    // Checkpoints: of nothing, of what is held back, and of what was observed.
    let mut snapshots = Vec::new();
    let mut monitor = Monitor::new(&small_settings(), NonZeroUsize::MIN);
    monitor.register(&Event::from_line(registry.trim().as_bytes())?);
    for number in 0..3 {
        match number {
            1 => monitor.take_lines(&events.each_ref().map(|line| line.trim().as_bytes()), &mut |_, _| {}),
            2 => monitor.finish(),
            _ => {}
        }
        let mut snapshot = Vec::new();
        monitor.snapshot(&small_settings(), &mut snapshot)?;
        assert_eq!(sealed(&sections(&snapshot)), snapshot, "the target makes what the monitor reads");
        snapshots.push(sections(&snapshot));
    }
    seeds.add("snapshot", snapshots)?;

    // The policy of the documentation.
    let page = include_str!("../../docs/response.md");
    let policy = page.split("```toml\n").nth(1).and_then(|text| text.split("```").next());
    let settings = "[monitor]\nboot_tolerance_s = 600\nmax_identities = 1000\n";
    seeds.add("policy", [policy.ok_or("the documentation shows no policy")?, settings])?;
    Ok(())
}

fn search(seeds: &Seeds) -> Result<(), Failed> {
    let scalar = hex::decode(KNOWN_SCALAR)?;
    let pkcs8 = known_pair().to_pkcs8v1()?;
    let pem = der::pem::encode_string("PRIVATE KEY", der::pem::LineEnding::LF, pkcs8.as_ref())
        .map_err(|error| error.to_string())?;
    let little: Vec<u8> = scalar.iter().rev().copied().collect();
    let base64 = encode_body(&scalar, Wrapping::None);
    seeds.add(
        "lab_search",
        [scalar, little, pkcs8.as_ref().to_vec(), pem.into_bytes(), KNOWN_SCALAR.into(), base64.into_bytes()],
    )?;
    Ok(())
}
