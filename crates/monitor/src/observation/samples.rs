//! Events for tests: arbitrary ones, and lines as sources write them.

use proptest::option;
use proptest::prelude::*;
use touchmark_identity::event::{
    Asn, Authentication, CertSha1, CertSha256, Event, EventBody, Heartbeat, IdentityRef, Peer, Registry,
    Renewal, RenewalOutcome, SessionEnd, Tls,
};
use touchmark_identity::key::SpkiHash;
use touchmark_identity::timestamp::Timestamp;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[A-Za-z0-9._:-]{1,20}", 1 => "\\PC{0,24}", 1 => "[ -~äß\u{1f}\u{7f}]{0,50}"]
}

fn some_text() -> impl Strategy<Value = Option<String>> {
    option::of(text())
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![2 => "[A-Za-z0-9._-]{1,20}", 1 => "\\PC{1,24}"]
}

fn moment() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        (0..4_000_000_000_000_000i64).prop_map(Timestamp::from_micros),
        (0..4_000_000_000i64).prop_map(|seconds| Timestamp::from_micros(seconds * 1_000_000)),
    ]
}

fn number() -> impl Strategy<Value = Option<u64>> {
    option::of(prop_oneof![0..1_000u64, any::<u64>()])
}

prop_compose! {
    fn identity()(
        spki in option::of(any::<[u8; 32]>()),
        sha256 in option::of(any::<[u8; 32]>()),
        sha1 in option::of(any::<[u8; 20]>()),
        issuer in option::of(prop_oneof![Just("CN=Example Device CA,O=Example".to_owned()), name()]),
        serial in option::of("[0-9a-f]{1,40}"),
        common_name in option::of(name()),
        client_id in option::of(name()),
        last in name(),
    ) -> IdentityRef {
        let identity = IdentityRef {
            spki_sha256: spki.map(SpkiHash),
            cert_sha256: sha256.map(CertSha256),
            cert_sha1: sha1.map(CertSha1),
            issuer_dn: issuer,
            serial: serial.map(|serial| serial.parse().unwrap()),
            common_name,
            client_id,
        };
        if identity.has_name() { identity } else { IdentityRef::by_common_name(&last) }
    }
}

prop_compose! {
    fn peer()(
        ip: std::net::IpAddr, port: Option<u16>, asn: Option<u32>,
        country in option::of(prop_oneof![Just("DE".to_owned()), Just("de".to_owned()), text()]),
        lat in option::of(prop_oneof![-90.0..=90.0f64, (-900_000..=900_000i32).prop_map(|x| f64::from(x) / 1e4)]),
        lon in option::of(prop_oneof![-180.0..=180.0f64, (-180..=180i32).prop_map(f64::from)]),
    ) -> Peer {
        Peer { ip, port, asn: asn.map(Asn), country, lat, lon }
    }
}

prop_compose! {
    fn renewal()(
        presented: [u8; 32], issued: Option<[u8; 32]>, head: Option<[u8; 32]>,
        outcome in prop_oneof![
            Just(RenewalOutcome::Renewed), Just(RenewalOutcome::Repeated), Just(RenewalOutcome::Superseded),
        ],
    ) -> Renewal {
        let (issued, head) = (issued.map(CertSha256), head.map(CertSha256));
        Renewal { presented: CertSha256(presented), outcome, issued, head }
    }
}

prop_compose! {
    fn authentication()(
        session in text(), peer in option::of(peer()),
        tls in option::of((some_text(), any::<Option<bool>>(), some_text(), some_text())),
        [device_type, firmware, client_id, token, token_issued, boot_id] in
            [some_text(), some_text(), some_text(), some_text(), some_text(), some_text()],
        counter in number(), uptime_ms in number(), renewal in option::of(renewal()),
    ) -> Authentication {
        let tls = tls.map(|(version, resumed, ja4, sni)| Tls { version, resumed, ja4, sni });
        Authentication {
            session, peer, tls, device_type, firmware, client_id, token, token_issued, boot_id, counter, uptime_ms,
            renewal,
        }
    }
}

prop_compose! {
    fn session_end()(
        session in text(), reason in some_text(),
        [duration_ms, bytes_in, bytes_out, messages_in, messages_out] in
            [number(), number(), number(), number(), number()],
    ) -> SessionEnd {
        SessionEnd { session, duration_ms, bytes_in, bytes_out, messages_in, messages_out, reason }
    }
}

fn quote() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        text().prop_map(serde_json::Value::from),
        any::<u64>().prop_map(serde_json::Value::from),
        any::<f32>().prop_map(|x| serde_json::Value::from(f64::from(x))),
        any::<bool>().prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(3, 8, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            proptest::collection::btree_map(text(), inner, 0..4)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
    // On a line, nothing said and null are the same.
    .prop_filter("null", |value| !value.is_null())
}

prop_compose! {
    fn heartbeat()(
        session in some_text(), peer in option::of(peer()), counter_quote in option::of(quote()),
        [firmware, device_type, token, token_issued] in [some_text(), some_text(), some_text(), some_text()],
        [counter, uptime_ms, boot_count, security_version, bytes] in
            [number(), number(), number(), number(), number()],
        device_time in option::of(moment()),
    ) -> Heartbeat {
        Heartbeat {
            session, peer, counter, counter_quote, uptime_ms, boot_count, firmware, security_version, device_type,
            token, token_issued, device_time, bytes,
        }
    }
}

prop_compose! {
    fn registry()(
        device in text(), device_type in some_text(), status in some_text(),
        aliases in proptest::collection::vec(identity(), 0..3),
    ) -> Registry {
        Registry { device, device_type, status, aliases, ..Registry::default() }
    }
}

prop_compose! {
    /// Any event.
    pub(crate) fn event()(
        time in moment(), received in option::of(moment()), source in text(), event_id in some_text(),
        identity in identity(),
        body in prop_oneof![
            3 => authentication().prop_map(|body| EventBody::Authentication(Box::new(body))),
            2 => session_end().prop_map(EventBody::SessionEnd),
            3 => heartbeat().prop_map(|body| EventBody::Heartbeat(Box::new(body))),
            1 => registry().prop_map(|body| EventBody::Registry(Box::new(body))),
        ],
    ) -> Event {
        Event { time, received, source, event_id, identity, body }
    }
}

/// Lines as sources write them.
pub(crate) fn usual_lines() -> Vec<String> {
    let spki = "3f21".repeat(16);
    let sha1 = "A0b9".repeat(10);
    let head = r#"{"schema":"touchmark.event/1","time":"2026-11-20T22:00:00.25Z","source":"gate-1""#;
    let peer = r#""peer":{"ip":"192.0.2.7","port":50123,"asn":64500,"country":"DE","lat":52.520008,"lon":13.404954}"#;
    let bodies = [
        format!(
            r#""type":"authentication","event_id":"e-1","identity":{{"spki_sha256":"{spki}"}},"session":"s-1",{peer},"tls":{{"version":"TLSv1.3","resumed":false,"ja4":"t13d1516h2_8daaf6152771_b186095e22b6"}},"device_type":"meter","firmware":"2.4.1""#
        ),
        format!(r#""type":"session_end","identity":{{"cert_sha1":"{sha1}"}},"session":"s-1","duration_ms":900000,"bytes_in":1200,"reason":"keep-alive""#),
        format!(r#""type":"heartbeat","identity":{{"spki_sha256":"{spki}","common_name":"meter-000017"}},"peer":{{"ip":"2001:db8::7"}},"counter":41,"uptime_ms":900000,"boot_count":3,"security_version":2,"token":"aa","token_issued":"bb","device_time":"2026-11-20T21:59:59Z","bytes":220"#),
        r#""type":"heartbeat","identity":{"issuer_dn":"CN=Example Device CA,O=Example","serial":"00A1"},"counter":41,"counter_quote":{"alg":"ES256","sig":"AAAA"}"#.to_owned(),
        r#""type":"heartbeat","identity":{"client_id":"zähler"},"session":null,"counter_quote":"AAAA","colour":"new","weight":-1.5,"well":true"#.to_owned(),
    ];
    let spaced = format!(
        "{{ \"schema\": \"touchmark.event/1\", \"type\": \"heartbeat\",\t\"time\": \"2026-11-20T22:00:00+01:00\", \
         \"source\": \"gate\", \"identity\": {{ \"cert_sha256\": \"{spki}\" }}, \"counter\": 0 }} "
    );
    bodies.into_iter().map(|body| format!("{head},{body}}}")).chain([spaced]).collect()
}
