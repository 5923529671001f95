//! Whatever a device says, the engine neither stops nor forgets to be deterministic.

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use touchmark_identity::event::{
    Asn, Authentication, Event, EventBody, Heartbeat, IdentityRef, Peer, RawDigest, Registry, SessionEnd,
};
use touchmark_identity::finding::{Action, Certainty, Finding};
use touchmark_identity::timestamp::Timestamp;
use touchmark_monitor::{Engine, Settings};

/// Small numbers, so that sequences meet, and the ends of the range.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..6u64, Just(1_000_000), Just(1 << 32), Just(u64::MAX), Just(u64::MAX - 1), any::<u64>()]
}

fn word() -> impl Strategy<Value = String> {
    select(&["a", "b", "c", "2.4.1", "2.3"][..]).prop_map(ToOwned::to_owned)
}

fn peer() -> impl Strategy<Value = Peer> {
    (0..3u32).prop_map(|asn| Peer { asn: Some(Asn(asn)), ..Peer::at([192, 0, 2, 7].into()) })
}

prop_compose! {
    fn heartbeat()(
        session in option::of(word()), peer in option::of(peer()), counter in option::of(number()),
        uptime_ms in option::of(number()), boot_count in option::of(number()), firmware in option::of(word()),
        security_version in option::of(number()), token in option::of(word()), token_issued in option::of(word()),
    ) -> EventBody {
        EventBody::Heartbeat(Box::new(Heartbeat {
            session, peer, counter, uptime_ms, boot_count, firmware, security_version, token, token_issued,
            ..Heartbeat::default()
        }))
    }
}

fn body() -> impl Strategy<Value = EventBody> {
    let connect = (word(), option::of(peer()), option::of(word()), option::of(number()));
    prop_oneof![
        6 => heartbeat(),
        3 => connect.prop_map(|(session, peer, boot_id, counter)| {
            let body = Authentication { session, peer, boot_id, counter, ..Authentication::default() };
            EventBody::Authentication(Box::new(body))
        }),
        1 => word().prop_map(|session| EventBody::SessionEnd(SessionEnd { session, ..SessionEnd::default() })),
        1 => (word(), word()).prop_map(|(device, name)| {
            let aliases = vec![IdentityRef::by_common_name(&name)];
            EventBody::Registry(Box::new(Registry { device, aliases, ..Registry::default() }))
        }),
    ]
}

prop_compose! {
    fn event()(
        micros in prop_oneof![0..20_000_000_000i64, Just(0), Just(i64::MAX)], source in word(), name in word(), body in body(),
    ) -> Event {
        Event {
            time: Timestamp::from_micros(micros), received: None, source, event_id: None,
            identity: IdentityRef::by_common_name(&name), body,
        }
    }
}

fn run(events: &[Event]) -> Vec<Finding> {
    let mut engine =
        Engine::new(Settings { max_identities: 2, remembered_events: 16, ..Settings::default() });
    let observe = |event: &Event| {
        let line = event.to_line();
        engine.observe(event, RawDigest::of(line.as_bytes()))
    };
    events.iter().flat_map(observe).collect()
}

proptest! {
    #[test]
    fn any_events_give_well_formed_findings(events in proptest::collection::vec(event(), 1..60)) {
        let findings = run(&events);
        let lines: Vec<String> = findings.iter().map(Finding::to_line).collect();
        for (finding, line) in findings.iter().zip(&lines) {
            prop_assert!(line.len() < touchmark_identity::finding::MAX_LINE_BYTES);
            prop_assert_eq!(&Finding::from_line(line.as_bytes()).unwrap().to_line(), line);
            prop_assert!(finding.action != Action::Quarantine || finding.grade == Certainty::Confirmed);
            prop_assert!(!finding.rules.is_empty() && !finding.events.is_empty());
        }
        prop_assert_eq!(run(&events).iter().map(Finding::to_line).collect::<Vec<_>>(), lines);
    }
}
