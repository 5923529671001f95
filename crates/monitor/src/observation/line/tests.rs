use proptest::prelude::*;

use super::super::Texts;
use super::super::samples::{event, usual_lines};
use super::*;

/// The same line by way of the event, by the event's own reader.
fn slowly(line: &[u8], texts: &mut TextCache) -> Result<Item, EventError> {
    Event::from_line(line).map(|event| Item::of(event, RawDigest::of(line), texts))
}

#[track_caller]
fn same(line: &[u8]) {
    let (texts, slow) = (Texts::default(), Texts::default());
    assert_eq!(
        read_line(line, &mut texts.cache()),
        slowly(line, &mut slow.cache()),
        "{}",
        String::from_utf8_lossy(line)
    );
    assert_eq!(texts.all(), slow.all(), "texts of {}", String::from_utf8_lossy(line));
}

#[test]
fn usual_lines_are_read_the_fast_way() {
    let mut texts = Texts::default().cache();
    for line in usual_lines() {
        assert!(fast(line.as_bytes(), &mut texts, Digests::AtOnce).is_some(), "{line}");
        same(line.as_bytes());
    }
}

/// What may stand in a line in place of something else, or twice.
const PIECES: [&str; 40] = [
    "null",
    "true",
    "0",
    "-0",
    "01",
    "1e2",
    "1.0",
    "-1",
    "18446744073709551616",
    "18446744073709551615",
    "\"\"",
    "\"a\"",
    "\"\\u0061\"",
    "\"\\n\"",
    "\"\u{1}\"",
    "\"\u{7f}\"",
    "\"ä\"",
    "{}",
    "[]",
    "[[[[]]]]",
    "{\"a\":1}",
    ",",
    ",,",
    " ",
    "\n",
    "}",
    "{",
    "]",
    ":",
    "\"counter\":7,",
    "\"peer\":null,",
    "\"tls\":{},",
    "\"source\":\"x\",",
    "\"status\":3,",
    "\"reason\":\"r\",",
    "\"colour\":{\"a\":[1]},",
    "\"colour\":\"\\\\\",",
    "\"counter_quote\":[1,2.5],",
    "\"identity\":{\"common_name\":\"\"},",
    "\"device_time\":\"soon\",",
];

#[test]
fn pieces_after_every_comma_and_in_place_of_every_value() {
    for line in usual_lines() {
        let breaks: Vec<usize> = line.match_indices([',', ':', '{']).map(|(at, _)| at + 1).collect();
        for piece in PIECES {
            for &at in &breaks {
                let (before, after) = line.split_at(at);
                same(format!("{before}{piece}{after}").as_bytes());
                let value = after.find([',', '}']).unwrap_or(after.len());
                same(format!("{before}{piece}{}", &after[value..]).as_bytes());
            }
        }
    }
}

#[test]
fn every_truncation_and_every_other_byte() {
    for line in usual_lines() {
        let line = line.as_bytes();
        for end in 0..line.len() {
            same(&line[..end]);
            for byte in [0, 0x1f, b'"', b'\\', b'9', b'A', b'g', b'.', b'}', 0x7f, 0x80, 0xff] {
                let mut changed = line.to_vec();
                changed[end] = byte;
                same(&changed);
            }
        }
    }
}

#[test]
fn bounds_are_those_of_the_slow_way() {
    let line = |member: &str| {
        format!(
            "{{\"schema\":\"touchmark.event/1\",\"type\":\"heartbeat\",\"time\":\"2026-11-20T22:00:00Z\",\
             \"source\":\"s\",\"identity\":{{\"common_name\":\"m\"}},{member}}}"
        )
    };
    for long in [511, 512, 513, 5_000, 70_000] {
        let text = "x".repeat(long);
        for field in ["session", "firmware", "token", "reason", "event_id", "colour"] {
            same(line(&format!("\"{field}\":\"{text}\"")).as_bytes());
        }
    }
    for depth in [1, 60, 64, 65, 125, 126, 127, 128, 129] {
        let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        same(line(&format!("\"counter_quote\":{nested}")).as_bytes());
    }
    for ip in [
        "1.2.3.4",
        "01.2.3.4",
        "1.2.3",
        "1.2.3.256",
        "1.2.3.4.5",
        "1..2.3",
        "0.0.0.0",
        "::1",
        "::ffff:1.2.3.4",
    ] {
        for more in [
            "",
            ",\"port\":65535",
            ",\"port\":65536",
            ",\"asn\":4294967296",
            ",\"asn\":\"AS64500\"",
            ",\"lat\":90.1",
        ] {
            same(line(&format!("\"peer\":{{\"ip\":\"{ip}\"{more}}}")).as_bytes());
        }
    }
    for serial in ["0", "00", "", "0x1F", "1F", &"1".repeat(64), &"1".repeat(65), &"0".repeat(80), "g"] {
        for issuer in ["CN=a", ""] {
            let identity = format!("{{\"issuer_dn\":\"{issuer}\",\"serial\":\"{serial}\"}}");
            same(line("\"counter\":1").replace("{\"common_name\":\"m\"}", &identity).as_bytes());
        }
    }
}

#[test]
fn a_line_feed_at_the_end_does_not_count() {
    let line = usual_lines().remove(0);
    let mut texts = Texts::default().cache();
    let plain = read_line(line.as_bytes(), &mut texts);
    assert_eq!(read_line(format!("{line}\n").as_bytes(), &mut texts), plain);
}

#[test]
fn a_digest_that_is_left_out_is_the_only_difference() {
    let mut texts = Texts::default().cache();
    for line in usual_lines() {
        let Ok(Item::Observation(all)) = read_line(line.as_bytes(), &mut texts) else { panic!("{line}") };
        let Ok(Item::Observation(mut some)) = read_line_with(line.as_bytes(), &mut texts, Digests::Later)
        else {
            panic!("{line}")
        };
        assert_eq!(some.digest, RawDigest([0; 32]), "{line}");
        some.digest = all.digest;
        if !line.contains("event_id") {
            some.event_key = all.event_key;
        }
        assert_eq!(some, all);
    }
}

#[test]
fn moments_beside_the_usual_form() {
    for text in [
        "1970-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "2000-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-12-31T23:59:59.999999999Z",
        "2026-12-31T23:59:60Z",
        "2016-12-31T23:59:60Z",
        "2026-12-31T24:00:00Z",
        "9999-12-31T23:59:59.9999999Z",
        "2026-12-31T23:59:59.Z",
        "2026-12-31t23:59:59z",
        "2026-12-31T23:59:59.1234567890Z",
        "2026-12-31 23:59:59Z",
        "2026-12-31T23:59:59",
    ] {
        let slow = text.parse::<Timestamp>().ok().map(Timestamp::micros);
        assert_eq!(micros(text.as_bytes()), slow, "{text}");
    }
}

proptest! {
    #[test]
    fn a_line_says_what_its_event_says(event in event()) {
        let line = event.to_line();
        let texts = Texts::default();
        let mut cache = texts.cache();
        let raw = RawDigest::of(line.as_bytes());
        let expected = match Observation::of(&event, raw, &mut cache) {
            Some(seen) => Item::Observation(seen),
            None => Item::Registry(Box::new(event)),
        };
        prop_assert_eq!(read_line(line.as_bytes(), &mut cache), Ok(expected));
        same(line.as_bytes());
    }

    #[test]
    fn names_are_those_of_the_identity(event in event()) {
        let seen = Observation::of(&event, RawDigest([7; 32]), &mut Texts::default().cache());
        if let Some(seen) = seen {
            let names: Vec<Name> = event.identity.names().map(Name::from).collect();
            prop_assert_eq!(seen.names.iter().collect::<Vec<_>>(), names);
        }
    }

    #[test]
    fn a_changed_line_is_read_alike(
        event in event(), changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<(prop::sample::Index, u8)>(),
    ) {
        let mut line = event.to_line().into_bytes();
        for (at, byte) in changes {
            let at = at.index(line.len());
            line[at] = byte;
        }
        same(&line);
        let from = cut.0.index(line.len());
        line.drain(from..line.len().min(from + usize::from(cut.1 % 16)));
        same(&line);
    }

    #[test]
    fn bytes_are_read_alike(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        same(&bytes);
    }

    #[test]
    fn plain_moments_are_read_alike(text in "(19|20|99)[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,9})?Z") {
        let slow = text.parse::<Timestamp>().ok().map(Timestamp::micros);
        prop_assert_eq!(micros(text.as_bytes()), slow);
        if let Some(fast) = plain_micros(text.as_bytes()) {
            prop_assert_eq!(Some(fast), slow);
        }
    }

    #[test]
    fn decimals_are_read_alike(text in "-?(0|[1-9][0-9]{0,9})(\\.[0-9]{1,9})?") {
        let mut scan = Scan { rest: text.as_bytes(), bytes_seen: 0 };
        if let Some(value) = scan.decimal() {
            prop_assert_eq!(value.to_bits(), serde_json::from_str::<f64>(&text).unwrap().to_bits());
        }
    }
}
