use proptest::option;
use proptest::prelude::*;

use super::*;

fn text() -> impl Strategy<Value = String> {
    "\\PC{1,24}"
}

fn moment() -> impl Strategy<Value = Timestamp> {
    (0..4_000_000_000_000_000i64).prop_map(Timestamp::from_micros)
}

prop_compose! {
    fn identity()(
        spki in option::of(any::<[u8; 32]>()),
        sha256 in option::of(any::<[u8; 32]>()),
        sha1 in option::of(any::<[u8; 20]>()),
        issued in option::of((text(), "[0-9a-f]{1,40}")),
        common_name in text(),
        client_id in option::of(text()),
    ) -> IdentityRef {
        IdentityRef {
            spki_sha256: spki.map(crate::key::SpkiHash),
            cert_sha256: sha256.map(CertSha256),
            cert_sha1: sha1.map(CertSha1),
            issuer_dn: issued.as_ref().map(|(dn, _)| dn.clone()),
            serial: issued.map(|(_, serial)| serial.parse().unwrap()),
            common_name: Some(common_name),
            client_id,
        }
    }
}

prop_compose! {
    fn peer()(
        ip: std::net::IpAddr, port: Option<u16>, asn: Option<u32>, country in option::of("[A-Z]{2}"),
        lat in option::of(-90.0..=90.0f64), lon in option::of(-180.0..=180.0f64),
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

fn body() -> impl Strategy<Value = EventBody> {
    let authentication = (
        text(),
        option::of(peer()),
        option::of(text()),
        option::of(text()),
        any::<Option<u64>>(),
        option::of(renewal()),
    );
    let end = (text(), any::<[Option<u64>; 5]>(), option::of(text()));
    let beat = (
        option::of(text()),
        option::of(peer()),
        any::<[Option<u64>; 4]>(),
        option::of(text()),
        option::of(moment()),
    );
    let registry =
        (text(), proptest::collection::vec(identity(), 0..3), option::of(text()), any::<Option<u64>>());
    prop_oneof![
        authentication.prop_map(|(session, peer, token, boot_id, counter, renewal)| {
            EventBody::Authentication(Box::new(Authentication {
                session,
                peer,
                token,
                boot_id,
                counter,
                renewal,
                ..Default::default()
            }))
        }),
        end.prop_map(|(session, [duration_ms, bytes_in, bytes_out, messages_in, messages_out], reason)| {
            EventBody::SessionEnd(SessionEnd {
                session,
                duration_ms,
                bytes_in,
                bytes_out,
                messages_in,
                messages_out,
                reason,
            })
        }),
        beat.prop_map(
            |(session, peer, [counter, uptime_ms, boot_count, security_version], firmware, device_time)| {
                EventBody::Heartbeat(Box::new(Heartbeat {
                    session,
                    peer,
                    counter,
                    uptime_ms,
                    boot_count,
                    security_version,
                    firmware,
                    device_time,
                    ..Default::default()
                }))
            }
        ),
        registry.prop_map(|(device, aliases, status, floor)| {
            EventBody::Registry(Box::new(Registry {
                device,
                aliases,
                status,
                anti_rollback_floor: floor.map(AntiRollbackFloor::SecurityVersion),
                ..Default::default()
            }))
        }),
    ]
}

prop_compose! {
    fn event()(
        time in moment(), received in option::of(moment()), source in text(), event_id in option::of(text()),
        identity in identity(), body in body(),
    ) -> Event {
        Event { time, received, source, event_id, identity, body }
    }
}

proptest! {
    #[test]
    fn line_round_trip(event in event()) {
        let line = event.to_line();
        prop_assert!(!line.contains('\n'));
        prop_assert_eq!(Event::from_line(line.as_bytes()).unwrap(), event);
    }

    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Event::from_line(&bytes);
    }

    #[test]
    fn a_changed_byte_never_panics(event in event(), at: prop::sample::Index, byte: u8) {
        let mut line = event.to_line().into_bytes();
        let at = at.index(line.len());
        line[at] = byte;
        let _ = Event::from_line(&line);
    }
}

fn heartbeat(identity: &str) -> Result<Event, EventError> {
    let line = format!(
        "{{\"schema\":\"touchmark.event/1\",\"type\":\"heartbeat\",\"time\":\"2026-11-20T22:00:00Z\",\"source\":\"s\",\"identity\":{identity}}}"
    );
    Event::from_line(line.as_bytes())
}

#[test]
fn every_truncation_is_refused() {
    let line = heartbeat(r#"{"common_name":"meter-000017"}"#).unwrap().to_line();
    for end in 0..line.len() {
        assert!(Event::from_line(&line.as_bytes()[..end]).is_err(), "{end}");
    }
}

#[test]
fn names_come_into_one_form() {
    let a = heartbeat(
        r#"{"cert_sha1":"0B:8D:80:80:72:6A:A7:D3:79:AA:CF:2B:3A:F7:2F:92:25:98:AA:3B","issuer_dn":"CN=CA,O=Fleet","serial":"00:76:68:F9"}"#,
    );
    let b = heartbeat(
        r#"{"cert_sha1":"0b8d8080726aa7d379aacf2b3af72f922598aa3b","issuer_dn":"/O=Fleet/CN=CA","serial":"7668f9"}"#,
    );
    let (a, b) = (a.unwrap().identity, b.unwrap().identity);
    assert_eq!(a.serial.as_ref().unwrap().as_str(), "7668f9");
    assert!(a.names().eq(b.names()));
    assert_eq!(a.names().count(), 2);
}

#[test]
fn refusals_say_what_and_how() {
    let refused = |line: &str| Event::from_line(line.as_bytes()).unwrap_err();
    let cases = [
        (refused("[]").code(), "EV-0002"),
        (refused("{}").code(), "EV-0003"),
        (refused(r#"{"schema":"touchmark.event/2"}"#).code(), "EV-0003"),
        (refused(r#"{"schema":"touchmark.event/1","type":"login"}"#).code(), "EV-0005"),
        (
            refused(r#"{"schema":"touchmark.event/1","type":"session_end","time":"2026-11-20T22:00:00Z"}"#)
                .code(),
            "EV-0004",
        ),
        (heartbeat("{}").unwrap_err().code(), "EV-0006"),
        (heartbeat(r#"{"serial":"01"}"#).unwrap_err().code(), "EV-0006"),
        (heartbeat(r#"{"common_name":""}"#).unwrap_err().code(), "EV-0007"),
        (heartbeat(r#"{"spki_sha256":"01"}"#).unwrap_err().code(), "EV-0007"),
        (refused(&" ".repeat(MAX_LINE_BYTES + 1)).code(), "EV-0001"),
    ];
    for (found, expected) in cases {
        assert_eq!(found, expected);
    }
    assert_eq!(
        heartbeat(r#"{"spki_sha256":"01"}"#).unwrap_err().to_string(),
        "the field \"spki_sha256\" holds \"01\", it must be 64 hex digits"
    );
}

#[test]
fn unknown_fields_are_skipped() {
    let line =
        br#"{"schema":"touchmark.event/1","type":"session_end","time":"2026-11-20T22:00:00Z","source":"s",
        "identity":{"client_id":"c","mac":"00"},"session":"1","weather":{"rain":true}}"#;
    assert!(Event::from_line(line).is_ok());
}

#[test]
fn only_a_proven_chip_is_watched_by_behaviour() {
    let regime = |storage, basis, grade| AssuranceSummary { storage, basis, part: None, grade }.regime();
    assert_eq!(regime(Storage::Tpm, Basis::Attested, None), Regime::Behaviour);
    assert_eq!(
        regime(Storage::SecureElement, Basis::Journalled, Some(Grade::HardwareBound)),
        Regime::Behaviour
    );
    assert_eq!(regime(Storage::Tpm, Basis::Attested, Some(Grade::Hardened)), Regime::Duplication);
    assert_eq!(regime(Storage::Tpm, Basis::Declared, Some(Grade::HardwareBound)), Regime::Duplication);
    assert_eq!(regime(Storage::Enclave, Basis::Attested, None), Regime::Duplication);
    assert_eq!(regime(Storage::Software, Basis::Attested, None), Regime::Duplication);
}

#[test]
fn a_number_comes_back_to_its_last_digit() {
    let line = r#"{"schema":"touchmark.event/1","type":"registry","time":"2026-11-20T22:00:00Z","source":"s",
        "identity":{"client_id":"c"},"device":"d","home":{"lat":-7.000095664684072e-29,"lon":0.1,"radius_km":1.0}}"#;
    let event = Event::from_line(line.as_bytes()).unwrap();
    assert!(event.to_line().contains("-7.000095664684072e-29"));
    assert_eq!(Event::from_line(event.to_line().as_bytes()), Ok(event));
}

#[test]
fn the_raw_digest_leaves_the_line_feed_out() {
    assert_eq!(RawDigest::of(b"{}\n"), RawDigest::of(b"{}"));
    assert_ne!(RawDigest::of(b"{} "), RawDigest::of(b"{}"));
}
