use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;
use touchmark_identity::assurance::Regime;
use touchmark_identity::event::{IdentityRef, RawDigest};
use touchmark_identity::finding::{
    Action, BenignCause, Branch, Certainty, EventRef, Evidence, Finding, FindingId, Kind, Original, Schema,
};
use touchmark_identity::key::SpkiHash;
use touchmark_identity::timestamp::Timestamp;

use super::explain::{Explanation, Weighing};
use super::*;

/// An excerpt of the schema: see the file's own `source`.
const OCSF: &str = include_str!("../../tests/ocsf/ocsf-1.8.0.json");

fn context() -> Context {
    Context { version: "0.1.0".to_owned(), ..Context::new("/touchmark", "watch.example") }
}

/// Texts that a hostile device may choose: everything that means something in some form.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,24}",
        "[|=\\\\\n\r\"\\]\\[ \t\0\u{1b}\u{85}\u{2028}\u{202e}a<>{}]{0,24}",
        Just("x\nCEF:0|A|B|1|2|3|10|".to_owned()),
        Just("x cs1=forged act=none".to_owned()),
        Just("\"] <10>1 - - - - - -\n31 <10>1 ".to_owned()),
    ]
}

prop_compose! {
    fn branch()(
        id in 0u32..5, first_seen in option::of(0..4_000_000_000_000_000i64), counter_last: Option<u64>,
        networks in vec(prop_oneof![hostile(), (0u32..70_000).prop_map(|n| format!("AS{n}"))], 0..3),
        firmware in vec(hostile(), 0..2),
    ) -> Branch {
        let first_seen = first_seen.map(Timestamp::from_micros);
        Branch { id, first_seen, last_seen: first_seen, counter_last, networks, firmware, ..Branch::default() }
    }
}

prop_compose! {
    fn finding()(
        kind in select(Kind::ALL), grade in select(Certainty::ALL), regime in select(Regime::ALL),
        action in select(Action::ALL), name in hostile(), says in hostile(), spki: Option<[u8; 32]>,
        at in 0..4_000_000_000_000_000i64, revision in 0..9u32, branches in vec(branch(), 0..4),
        original in option::of((0u32..4, 0..=64u8)), evidence in vec((hostile(), -480..480i32, 0..3u8), 0..4),
        digest: [u8; 32], closed: bool, rules in vec(hostile(), 0..3), device in option::of(hostile()),
    ) -> Finding {
        let at = Timestamp::from_micros(at);
        let mut identity = IdentityRef::by_common_name(&name);
        identity.spki_sha256 = spki.map(SpkiHash);
        Finding {
            schema: Schema, id: FindingId::derive(&identity, kind, "rule", RawDigest(digest)), revision, identity, device,
            kind, grade, regime, regime_basis: says.clone(), first_event: at, detected: at, rules, branches,
            original: original.map(|(branch, of64)| Original { branch, probability: f64::from(of64) / 64.0 }),
            evidence: evidence.into_iter().map(|(sign, eighths, group)| Evidence {
                sign, decibans: f64::from(eighths) / 8.0, group: group.to_string(), says: says.clone(),
            }).collect(),
            benign_causes: vec![BenignCause { cause: says.clone(), rejected_because: says.clone() }],
            events: vec![EventRef { source: name, event_id: Some(says.clone()), sha256: RawDigest(digest) }],
            action, says, closed: closed.then_some(at),
        }
    }
}

/// A confirmed clone with two instances, as the monitor writes one.
fn clone_of_a_meter() -> Finding {
    let line = br#"{"schema":"touchmark.finding/1","id":"00112233445566778899aabbccddeeff","revision":2,
        "identity":{"spki_sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","common_name":"meter-000017"},
        "device":"meter-000017","kind":"clone","grade":"confirmed","regime":"duplication",
        "regime_basis":"software/declared","first_event":"2026-11-20T22:00:00Z","detected":"2026-11-20T22:15:00.5Z",
        "rules":["continuity.return","network.return"],
        "branches":[
            {"id":0,"first_seen":"2026-11-20T20:00:00Z","last_seen":"2026-11-20T22:15:00Z","booted":"2026-11-19T20:00:00Z",
             "counter_first":1,"counter_last":48,"networks":["AS64500"],"firmware":["2.4.1"]},
            {"id":1,"first_seen":"2026-11-20T22:00:00Z","last_seen":"2026-11-20T22:10:00Z","networks":["192.0.2.0/24"]}],
        "original":{"branch":0,"probability":0.98},
        "evidence":[
            {"sign":"boot.overlap","decibans":60.0,"group":"boot","says":"two boots were alive at once"},
            {"sign":"boot-number.return","decibans":42.0,"group":"boot","says":"the boot number went back"},
            {"sign":"network.differs","decibans":6.0,"group":"network","says":"they use different networks"},
            {"sign":"source.differs","decibans":-5.0,"group":"source","says":"two sources saw them"}],
        "benign_causes":[{"cause":"a reboot","rejected_because":"the older boot went on"},
            {"cause":"a restored image","rejected_because":"not rejected: nothing speaks against it"}],
        "events":[{"source":"gate-1","event_id":"a","sha256":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}],
        "action":"quarantine","says":"Two instances of meter-000017 are alive."}"#;
    Finding::from_line(line).unwrap()
}

/// What in a document is not as the excerpt of the schema has it.
fn objections(schema: &Value, of: &str, value: &Value, path: &str, found: &mut Vec<String>) {
    let kind = &schema["types"][of];
    let Some(fields) = value.as_object() else {
        found.push(format!("{path} is no {of}"));
        return;
    };
    for (name, attribute) in kind["attributes"].as_object().unwrap() {
        if attribute["required"] == true && !fields.contains_key(name) {
            found.push(format!("{path} lacks {name}"));
        }
    }
    if let Some(one_of) = kind["at_least_one"].as_array()
        && !one_of.iter().any(|name| fields.contains_key(name.as_str().unwrap()))
    {
        found.push(format!("{path} has none of {one_of:?}"));
    }
    for (name, value) in fields {
        let attribute = &kind["attributes"][name.as_str()];
        let path = format!("{path}.{name}");
        let Some(wanted) = attribute["type"].as_str() else {
            found.push(format!("{path} is unknown"));
            continue;
        };
        let items = match (attribute["array"] == true, value.as_array()) {
            (true, Some(items)) => items.iter().collect(),
            (false, None) => vec![value],
            _ if wanted == "json_t" => vec![value],
            _ => {
                found.push(format!("{path} is a list or is none, unlike the schema"));
                continue;
            }
        };
        for item in items {
            let fits = match wanted {
                "string_t" => item.is_string(),
                "integer_t" | "long_t" => item.is_i64() || item.is_u64(),
                "boolean_t" => item.is_boolean(),
                "json_t" => true,
                "object" => item.is_object(),
                other => {
                    objections(schema, other, item, &path, found);
                    true
                }
            };
            if !fits {
                found.push(format!("{path} is no {wanted}: {item}"));
            }
            if let Some(allowed) = attribute["enum"].as_array()
                && !allowed.contains(item)
            {
                found.push(format!("{path} is {item}, which is not listed"));
            }
        }
    }
}

fn ocsf_objections(document: &Value) -> Vec<String> {
    let schema: Value = serde_json::from_str(OCSF).unwrap();
    let mut found = Vec::new();
    objections(&schema, "detection_finding", document, "", &mut found);
    found
}

#[test]
fn ocsf_has_what_the_schema_wants() {
    let text = write(&clone_of_a_meter(), Form::Ocsf, &context());
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(ocsf_objections(&document), Vec::<String>::new());
    for (pointer, expected) in [
        ("/type_uid", "200402"),
        ("/time", "1795212900500"),
        ("/severity_id", "5"),
        ("/status_id", "1"),
        ("/confidence_score", "99"),
        ("/metadata/uid", "\"00112233445566778899aabbccddeeff.2\""),
        ("/finding_info/analytic/name", "\"continuity.return\""),
        ("/finding_info/related_analytics/0/name", "\"network.return\""),
        ("/finding_info/last_seen_time", "1795212900000"),
        ("/evidences/0/src_endpoint/autonomous_system/number", "64500"),
        ("/evidences/1/data/networks/0", "\"192.0.2.0/24\""),
        ("/anomaly_analyses/0/baselines/0/observations/0/value", "\"AS64500\""),
        ("/anomaly_analyses/0/anomalies/0/observations/0/value", "\"+60 decibans\""),
        ("/unmapped/posterior_decibans", "21.0"),
    ] {
        assert_eq!(document.pointer(pointer).unwrap().to_string(), expected, "{pointer}");
    }
}

#[test]
fn countries_are_shown_where_networks_are_and_nowhere_else() {
    let brazil = Geography::of(|ip| (ip.to_string().starts_with("192.0.2.")).then(|| "BR".parse().unwrap()));
    let with = context().with_geography(brazil.clone());
    let finding = clone_of_a_meter();
    let document: Value = serde_json::from_str(&write(&finding, Form::Ocsf, &with)).unwrap();
    assert_eq!(ocsf_objections(&document), Vec::<String>::new());
    assert_eq!(document["evidences"][1]["src_endpoint"]["location"]["country"], "BR");
    assert_eq!(document["evidences"][0]["src_endpoint"].get("location"), None, "a system has no country");
    let document: Value = serde_json::from_str(&write(&finding, Form::Ecs, &with)).unwrap();
    assert_eq!(document["touchmark"]["countries"], serde_json::json!(["BR"]));
    assert!(write(&finding, Form::Cef, &with).contains("instance 1: 192.0.2.0/24 (BR)"));
    let explained = Explanation::of(&finding).with_countries(&brazil);
    assert_eq!(explained.countries, [Vec::new(), vec!["BR".to_owned()]]);
    let row = "  countries      -                             BR\n";
    assert!(explained.text().contains(row), "{}", explained.text());
    for form in Form::ALL {
        let without = write(&finding, form, &context());
        assert!(!without.contains("BR"), "{without}");
        let same = matches!(form, Form::Native | Form::CloudEvents);
        assert_eq!(write(&finding, form, &with) == without, same, "{form}");
    }
    assert_eq!(Explanation::of(&finding).with_countries(&Geography::none()), Explanation::of(&finding));
}

#[test]
fn the_check_of_ocsf_notices_what_is_wrong() {
    let good: Value = serde_json::from_str(&write(&clone_of_a_meter(), Form::Ocsf, &context())).unwrap();
    let spoiled = |change: &dyn Fn(&mut Value)| {
        let mut document = good.clone();
        change(&mut document);
        ocsf_objections(&document).len()
    };
    assert_eq!(spoiled(&|d| d["severity_id"] = 7.into()), 1);
    assert_eq!(spoiled(&|d| d["time"] = "now".into()), 1);
    assert_eq!(spoiled(&|d| d["colour"] = "red".into()), 1);
    assert_eq!(spoiled(&|d| d["evidences"] = Value::Bool(true)), 1);
    assert_eq!(spoiled(&|d| d["device"].as_object_mut().unwrap().retain(|name, _| name == "type_id")), 1);
    assert_eq!(spoiled(&|d| drop(d["finding_info"].as_object_mut().unwrap().remove("uid"))), 1);
}

#[test]
fn ecs_has_its_fields() {
    let document: Value = serde_json::from_str(&write(&clone_of_a_meter(), Form::Ecs, &context())).unwrap();
    for (pointer, expected) in [
        ("/@timestamp", "2026-11-20T22:15:00.5Z"),
        ("/event/kind", "alert"),
        ("/event/action", "clone"),
        ("/rule/name", "continuity.return"),
        ("/device/id", "meter-000017"),
        ("/tls/client/x509/subject/common_name/0", "meter-000017"),
        ("/touchmark/grade", "confirmed"),
    ] {
        assert_eq!(document.pointer(pointer).and_then(Value::as_str), Some(expected), "{pointer}");
    }
    assert_eq!(document["related"]["hash"][0], "aa".repeat(32));
    assert_eq!(document["event"]["severity"], 100);
}

#[test]
fn cloudevents_has_its_attributes() {
    let finding = clone_of_a_meter();
    let document: Value = serde_json::from_str(&write(&finding, Form::CloudEvents, &context())).unwrap();
    assert_eq!(document["specversion"], "1.0");
    assert_eq!(document["id"], delivery_id(&finding));
    assert_eq!(document["source"], "/touchmark");
    assert_eq!(document["type"], "touchmark.finding.clone");
    assert_eq!(Finding::from_line(document["data"].to_string().as_bytes()).unwrap(), finding);
}

#[test]
fn cef_is_escaped() {
    let mut finding = clone_of_a_meter();
    finding.device = Some("a=b|c\\d\ne act=none".to_owned());
    finding.rules = vec!["r|s\\t\n".to_owned()];
    let line = write(&finding, Form::Cef, &context());
    assert!(line.starts_with("CEF:0|Touchmark|Touchmark|0.1.0|r\\|s\\\\t |Two instances "), "{line}");
    assert!(line.contains(" shost=a\\=b|c\\\\d\\ne act\\=none msg="), "{line}");
    assert!(line.contains("|10|rt=1795212900500 "), "{line}");
}

#[test]
fn syslog_has_header_and_length() {
    let message = syslog::message(&clone_of_a_meter(), "payload", &context());
    assert_eq!(
        message,
        "<82>1 2026-11-20T22:15:00.5Z watch.example touchmark - clone [finding@32473 \
         id=\"00112233445566778899aabbccddeeff.2\" grade=\"confirmed\"] payload"
    );
    assert_eq!(syslog::octet_counted("ä"), "2 ä");
    let marked = syslog::message(&clone_of_a_meter(), "ä", &Context::new("s", " \n"));
    assert!(marked.contains("Z - touchmark") && marked.ends_with("] \u{feff}ä"), "{marked}");
}

#[test]
fn forms_have_names() {
    for form in Form::ALL {
        assert_eq!(form.as_str().parse(), Ok(form));
        assert_eq!(serde_json::to_value(form).unwrap(), form.as_str());
    }
    assert!("OCSF".parse::<Form>().unwrap_err().to_string().contains("cloudevents"));
}

#[test]
fn weights_are_added_by_group() {
    let weighing = Weighing::of(&clone_of_a_meter().evidence);
    let counted: Vec<f64> = weighing.groups.iter().map(|group| group.counts_decibans).collect();
    assert_eq!(counted, [60.0, 6.0, -5.0]);
    assert!((weighing.posterior_decibans - 21.0).abs() < 1e-9);
    assert_eq!(Weighing::of(&[]).percent(), None);
    let mut certain = clone_of_a_meter().evidence;
    certain[0].decibans = f64::MAX;
    assert_eq!(Weighing::of(&certain).percent(), Some(99));
    certain[0].decibans = -f64::MAX;
    assert_eq!(Weighing::of(&certain).percent(), Some(0));
}

#[test]
fn an_explanation_has_every_part() {
    let text = Explanation::of(&clone_of_a_meter()).text();
    for part in [
        "continuity.return, network.return",
        "software/declared",
        "instance       0                             1",
        "networks       AS64500                       192.0.2.0/24",
        "instance 0, with probability 0.98",
        "-40.0  before any sign",
        "+60.0  boot",
        "21.0  together: probability 0.9921",
        "a reboot: the older boot went on",
        "Proposed: quarantine.",
        "Not rejected as its cause is a restored image: ask about it.",
        "bbbbbbbbbbbbbbbb",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

/// The pairs of a CEF line as a receiver reads them: header fields, then keys with unescaped values.
fn read_cef(line: &str) -> (Vec<String>, Vec<(String, String)>) {
    let (mut fields, mut field, mut characters) = (Vec::new(), String::new(), line.chars());
    while fields.len() < 7 {
        match characters.next().unwrap() {
            '\\' => field.push(characters.next().unwrap()),
            '|' => fields.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    let extension = characters.as_str();
    let (mut pairs, mut token, mut characters) =
        (Vec::<(String, String)>::new(), String::new(), extension.chars());
    while let Some(c) = characters.next() {
        match c {
            '\\' => token.push(match characters.next().unwrap() {
                'n' => '\n',
                'r' => '\r',
                c => c,
            }),
            // An equals sign that is not escaped ends a key: the last word before it.
            '=' => {
                let at = token.rfind(' ').map_or(0, |at| at + 1);
                let key = token.split_off(at);
                if let Some(last) = pairs.last_mut() {
                    last.1 = token.strip_suffix(' ').unwrap().to_owned();
                }
                pairs.push((key, String::new()));
                token.clear();
            }
            c => token.push(c),
        }
    }
    pairs.last_mut().unwrap().1 = token;
    (fields, pairs)
}

const CEF_KEYS: [&str; 26] = [
    "rt",
    "start",
    "end",
    "externalId",
    "cat",
    "act",
    "outcome",
    "dvchost",
    "shost",
    "msg",
    "cs1Label",
    "cs1",
    "cs2Label",
    "cs2",
    "cs3Label",
    "cs3",
    "cs4Label",
    "cs4",
    "cs5Label",
    "cs5",
    "cs6Label",
    "cs6",
    "cn1Label",
    "cn1",
    "cn2Label",
    "cn2",
];

proptest! {
    #[test]
    fn every_form_is_one_line_and_the_same_again(finding in finding()) {
        for form in Form::ALL {
            let line = write(&finding, form, &context());
            prop_assert!(!line.chars().any(char::is_control), "{form}: {line:?}");
            prop_assert_eq!(write(&finding, form, &context()), line);
        }
    }

    #[test]
    fn ocsf_is_valid_and_loses_nothing(finding in finding()) {
        let document: Value = serde_json::from_str(&write(&finding, Form::Ocsf, &context())).unwrap();
        prop_assert_eq!(ocsf_objections(&document), Vec::<String>::new());
        let raw = document["raw_data"].as_str().unwrap();
        prop_assert_eq!(raw, finding.to_line());
    }

    #[test]
    fn no_text_breaks_out_of_cef(finding in finding()) {
        let (fields, pairs) = read_cef(&write(&finding, Form::Cef, &context()));
        prop_assert_eq!(&fields[..4], &["CEF:0", "Touchmark", "Touchmark", "0.1.0"]);
        let mut keys: Vec<&str> = pairs.iter().map(|(key, _)| key.as_str()).collect();
        let value = |key: &str| pairs.iter().find(|(k, _)| k == key).map(|(_, value)| value.clone());
        prop_assert_eq!(value("act"), Some(finding.action.as_str().to_owned()));
        let id = delivery_id(&finding);
        prop_assert_eq!(value("externalId"), Some(id));
        // Every key is one of ours, and in our order: none was forged, none stands twice.
        let known = keys.len();
        keys.retain(|key| CEF_KEYS.contains(key));
        prop_assert_eq!(keys.len(), known);
        let places: Vec<_> = keys.iter().map(|key| CEF_KEYS.iter().position(|k| k == key)).collect();
        prop_assert!(places.windows(2).all(|two| two[0] < two[1]));
    }

    #[test]
    fn no_text_breaks_out_of_syslog(finding in finding(), form in select(&Form::ALL)) {
        let payload = write(&finding, form, &context());
        let message = syslog::message(&finding, &payload, &context());
        prop_assert!(!message.chars().any(char::is_control));
        let framed = syslog::octet_counted(&message);
        let (length, rest) = framed.split_once(' ').unwrap();
        prop_assert_eq!(length.parse::<usize>().unwrap(), rest.len());
        prop_assert!(message.ends_with(&payload));
        // Structured data ends before anything that a device chose.
        let (header, _) = message.split_once("] ").unwrap();
        prop_assert_eq!(header.matches('"').count(), 4);
    }

    #[test]
    fn explanations_hold_no_control_character(finding in finding()) {
        let text = Explanation::of(&finding).text();
        prop_assert!(!text.lines().any(|line| line.chars().any(char::is_control)), "{text:?}");
    }
}
