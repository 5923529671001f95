//! What every page has to keep: strangers' words stay words, nothing comes from elsewhere, parts and whole agree.

use proptest::prelude::*;

use super::view::{
    DevicePage, DeviceTimeline, EventPage, FindingPage, FindingRow, FindingsPage, Frame, Overview,
    SourcesPage, Trouble,
};
use super::*;

const HOSTILE: &str = "\"><script>alert(1)</script><img src=x onerror=alert(2)>&' style=x";

fn hostile_frame(text: &str) -> Frame {
    let mut frame = sample::frame();
    frame.instance = text.to_owned();
    frame.version = text.to_owned();
    for banner in &mut frame.banners {
        banner.title = text.to_owned();
        banner.text = text.to_owned();
    }
    frame
}

fn hostile_row(text: &str) -> FindingRow {
    FindingRow {
        id: text.to_owned(),
        kind: text.to_owned(),
        device: Some(text.to_owned()),
        identity: text.to_owned(),
        says: text.to_owned(),
        action: text.to_owned(),
        ..sample::clone_finding()
    }
}

fn hostile_overview(text: &str) -> Overview {
    let mut view = sample::overview();
    view.frame = hostile_frame(text);
    view.findings = vec![hostile_row(text), FindingRow { device: None, ..hostile_row(text) }];
    for key in &mut view.authority_keys {
        key.role = text.to_owned();
        key.kept = text.to_owned();
        key.weakness = Some(text.to_owned());
    }
    for row in &mut view.fleet {
        row.id = text.to_owned();
        row.device_type = text.to_owned();
    }
    for input in &mut view.inputs {
        input.source = text.to_owned();
        input.reads = text.to_owned();
        for refusal in &mut input.refused {
            refusal.reason = text.to_owned();
        }
    }
    view
}

fn hostile_device(text: &str) -> DevicePage {
    let mut view = sample::device();
    let text = text.to_owned();
    view.frame = hostile_frame(&text);
    view.id.clone_from(&text);
    view.device_type.clone_from(&text);
    view.status_reason = Some(text.clone());
    view.firmware = Some(text.clone());
    view.findings = vec![hostile_row(&text)];
    view.assurance.regime_basis.clone_from(&text);
    view.assurance.reasons = vec![text.clone()];
    view.assurance.evidence_sha256 = Some(text.clone());
    view.assurance.endorser = Some(text.clone());
    for field in &mut view.assurance.fields {
        field.name.clone_from(&text);
        field.value.clone_from(&text);
        field.claimed = Some(text.clone());
        field.why.clone_from(&text);
    }
    for row in &mut view.certificates {
        row.profile.clone_from(&text);
        row.serial.clone_from(&text);
        row.issuer.clone_from(&text);
        row.reason = Some(text.clone());
        row.sha256.clone_from(&text);
        row.spki_sha256.clone_from(&text);
    }
    for entry in &mut view.timeline {
        entry.title.clone_from(&text);
        entry.detail.clone_from(&text);
        entry.finding = Some(text.clone());
    }
    view
}

fn hostile_finding(text: &str) -> FindingPage {
    let mut view = sample::finding();
    let text = text.to_owned();
    view.frame = hostile_frame(&text);
    view.finding = hostile_row(&text);
    view.rules = vec![text.clone()];
    view.regime_basis.clone_from(&text);
    for branch in &mut view.branches {
        branch.networks = vec![text.clone()];
        branch.firmware = vec![text.clone()];
        branch.facts = vec![(text.clone(), text.clone())];
    }
    for row in &mut view.evidence {
        row.sign.clone_from(&text);
        row.group.clone_from(&text);
        row.says.clone_from(&text);
    }
    for cause in &mut view.benign_causes {
        cause.cause.clone_from(&text);
        cause.rejected_because.clone_from(&text);
    }
    for event in &mut view.events {
        event.source.clone_from(&text);
        event.event_id = Some(text.clone());
        event.sha256.clone_from(&text);
    }
    for track in view.picture.iter_mut().flat_map(|picture| &mut picture.tracks) {
        track.marks.iter_mut().for_each(|mark| mark.says.clone_from(&text));
        track.networks.iter_mut().chain(&mut track.firmware).for_each(|band| band.label.clone_from(&text));
    }
    view.places.iter_mut().for_each(|place| place.country = Some(text.clone()));
    for act in &mut view.acts {
        act.title.clone_from(&text);
        act.detail.clone_from(&text);
    }
    view.triage.iter_mut().for_each(|row| hostile_decision(row, &text));
    view.suppressed_by = view.triage.last().cloned();
    view.finding.standing = crate::triage::Standing::Suppressed;
    view
}

fn hostile_decision(row: &mut crate::triage::Triage, text: &str) {
    row.finding = text.to_owned();
    row.device = Some(text.to_owned());
    row.what.note = text.to_owned();
    if let Some(reach) = &mut row.what.suppression {
        reach.rule = Some(text.to_owned());
    }
}

fn hostile_findings(text: &str) -> FindingsPage {
    let mut view = sample::findings_page();
    view.frame = hostile_frame(text);
    view.filter.device = text.to_owned();
    view.rows = vec![hostile_row(text)];
    view.suppressions.iter_mut().for_each(|row| hostile_decision(row, text));
    view
}

fn hostile_sources(text: &str) -> SourcesPage {
    let mut view = sample::sources_page();
    view.frame = hostile_frame(text);
    for row in &mut view.sources {
        row.input.source = text.to_owned();
        row.input.reads = text.to_owned();
        row.input.refused.iter_mut().for_each(|refusal| refusal.reason = text.to_owned());
        row.examples.iter_mut().for_each(|example| *example = text.to_owned());
    }
    view
}

fn hostile_event(text: &str) -> EventPage {
    let text = text.to_owned();
    EventPage {
        frame: hostile_frame(&text),
        kind: text.clone(),
        source: text.clone(),
        device: Some(text.clone()),
        line: text.clone(),
        sha256: text,
        ..sample::event_page()
    }
}

fn hostile_history(text: &str) -> DeviceTimeline {
    let mut view = sample::history_page();
    view.frame = hostile_frame(text);
    view.id = text.to_owned();
    for row in &mut view.rows {
        row.title = text.to_owned();
        row.detail = text.to_owned();
        row.finding = row.finding.as_ref().map(|_| text.to_owned());
    }
    view
}

fn hostile_trouble(text: &str) -> Trouble {
    Trouble { frame: hostile_frame(text), status: 500, code: text.to_owned(), text: text.to_owned() }
}

fn hostile_pages(text: &str) -> [String; 8] {
    [
        findings(&hostile_findings(text)),
        sources(&hostile_sources(text)),
        event(&hostile_event(text)),
        history(&hostile_history(text)),
        overview(&hostile_overview(text)),
        device(&hostile_device(text)),
        finding(&hostile_finding(text)),
        trouble(&hostile_trouble(text)),
    ]
}

fn pages() -> [String; 8] {
    [
        findings(&sample::findings_page()),
        sources(&sample::sources_page()),
        event(&sample::event_page()),
        history(&sample::history_page()),
        overview(&sample::overview()),
        device(&sample::device()),
        finding(&sample::finding()),
        trouble(&sample::trouble()),
    ]
}

/// The names of all elements and attributes in the order in which they stand, with the texts and values left out.
fn skeleton(page: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        let mut chars = rest[start + 1..].char_indices().peekable();
        let mut name = String::new();
        let mut quoted = false;
        let mut end = rest.len();
        for (at, c) in chars.by_ref() {
            match c {
                '"' => quoted = !quoted,
                '>' if !quoted => {
                    end = start + 1 + at + 1;
                    break;
                }
                _ if quoted => {}
                c => name.push(c),
            }
        }
        names.push(name);
        rest = &rest[end.min(rest.len())..];
    }
    names
}

/// The values of an attribute, in order.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let opening = format!(" {attribute}=\"");
    page.split(opening.as_str()).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn a_script_in_any_text_is_inert() {
    for (hostile, harmless) in hostile_pages(HOSTILE).iter().zip(hostile_pages("harmless")) {
        assert!(hostile.contains("&lt;script&gt;alert(1)"), "the text is shown");
        assert_eq!(skeleton(hostile), skeleton(&harmless), "and adds no element or attribute");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn no_text_changes_the_structure(text in "[<>\"'&=/ a-z!\\-\\PC]{1,40}") {
        for (page, harmless) in hostile_pages(&text).iter().zip(hostile_pages("harmless")) {
            prop_assert_eq!(skeleton(page), skeleton(&harmless));
        }
    }
}

#[test]
fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
    for page in pages() {
        for element in skeleton(&page) {
            for attribute in element.split_whitespace().skip(1) {
                assert!(!attribute.starts_with("style"), "style attribute in <{element}>");
                assert!(!attribute.starts_with("on"), "event handler in <{element}>");
            }
            assert!(!element.starts_with("style"), "inline style");
        }
        assert_eq!(page.matches("<script").count(), 1);
        assert!(page.contains("<script src=\"/assets/live.js?v="));
        for address in values(&page, "src").into_iter().chain(values(&page, "href")) {
            assert!(
                address.starts_with('/') && !address.starts_with("//") || address.starts_with('#'),
                "{address}"
            );
        }
    }
    for asset in ASSETS.iter() {
        let text = std::str::from_utf8(asset.bytes).unwrap();
        for foreign in ["//cdn", "https:", "@import", "url(http", "eval("] {
            assert!(!text.contains(foreign), "{} in {}", foreign, asset.name);
        }
    }
}

#[test]
fn every_asset_that_a_page_names_exists() {
    for page in pages() {
        let named: Vec<_> = values(&page, "src")
            .into_iter()
            .chain(values(&page, "href"))
            .filter_map(|address| address.strip_prefix("/assets/"))
            .collect();
        assert_eq!(named.len(), 4, "icon, style, script, emblem");
        for address in named {
            let (name, version) = address.split_once("?v=").unwrap();
            let (content_type, bytes) = asset(name).unwrap();
            assert!(!bytes.is_empty() && content_type.contains('/'));
            assert_eq!(version, format!("{:016x}", fnv1a(bytes)));
        }
    }
    assert_eq!(asset("../mod.rs"), None);
    assert_eq!(asset(""), None);
}

#[test]
fn a_part_is_the_same_alone_and_inside_its_page() {
    let (view, page) = (sample::overview(), overview(&sample::overview()));
    for part in OVERVIEW_PARTS {
        assert!(page.contains(&overview_fragment(part, &view).unwrap()), "{part}");
    }
    let (view, page) = (sample::device(), device(&sample::device()));
    for part in DEVICE_PARTS {
        assert!(page.contains(&device_fragment(part, &view).unwrap()), "{part}");
    }
    let (view, page) = (sample::finding(), finding(&sample::finding()));
    for part in FINDING_PARTS {
        assert!(page.contains(&finding_fragment(part, &view).unwrap()), "{part}");
    }
    let (view, page) = (sample::findings_page(), findings(&sample::findings_page()));
    for part in FINDINGS_PARTS {
        assert!(page.contains(&findings_fragment(part, &view).unwrap()), "{part}");
    }
    let (view, page) = (sample::sources_page(), sources(&sample::sources_page()));
    for part in SOURCES_PARTS {
        assert!(page.contains(&sources_fragment(part, &view).unwrap()), "{part}");
    }
}

#[test]
fn a_page_asks_for_exactly_its_parts() {
    let last = |page: &str| -> Vec<String> {
        let mut parts: Vec<_> = values(page, "data-live")
            .iter()
            .filter_map(|a| a.split('?').next()?.rsplit('/').next())
            .map(str::to_owned)
            .collect();
        parts.sort();
        parts
    };
    let sorted = |parts: &[&str]| {
        let mut parts: Vec<_> = parts.iter().map(|part| (*part).to_owned()).collect();
        parts.sort();
        parts
    };
    let [findings, sources, event, history, overview, device, finding, trouble] = pages();
    assert_eq!(last(&findings), sorted(FINDINGS_PARTS));
    assert_eq!(last(&sources), sorted(SOURCES_PARTS));
    assert!(last(&event).is_empty() && last(&history).is_empty());
    // A page asks for its parts as it was asked for itself.
    let asked = values(&findings, "data-live");
    assert!(asked.iter().all(|address| address.ends_with("?grade=confirmed&amp;page=1")), "{asked:?}");
    assert_eq!(last(&overview), sorted(OVERVIEW_PARTS));
    assert_eq!(last(&device), sorted(DEVICE_PARTS));
    assert_eq!(last(&finding), sorted(FINDING_PARTS));
    assert!(last(&trouble).is_empty());
    assert_eq!(values(&device, "data-live").first(), Some(&"/fragment/device/meter-000017/status"));
}

#[test]
fn an_unknown_part_is_none() {
    for part in ["", "fleet/..", "Counts", "nothing"] {
        assert_eq!(overview_fragment(part, &sample::overview()), None);
        assert_eq!(device_fragment(part, &sample::device()), None);
        assert_eq!(finding_fragment(part, &sample::finding()), None);
        assert_eq!(findings_fragment(part, &sample::findings_page()), None);
        assert_eq!(sources_fragment(part, &sample::sources_page()), None);
    }
}

#[test]
fn names_within_a_page_are_unique_and_lead_somewhere() {
    for page in pages() {
        let mut ids = values(&page, "id");
        for attribute in ["aria-labelledby", "aria-describedby", "for"] {
            for target in values(&page, attribute) {
                assert!(ids.contains(&target), "{attribute}={target}");
            }
        }
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all);
        assert!(ids.contains(&"content"), "the skip link's target");
        assert_eq!(page.matches("<h1").count(), 1);
    }
}

#[test]
fn a_drawing_never_speaks_alone() {
    for page in pages() {
        for drawing in page.split("<svg").skip(1) {
            let (head, inside) = drawing.split_once('>').unwrap();
            if head.contains("aria-hidden=\"true\"") {
                continue;
            }
            // A picture that carries meaning has a name and says in words what it shows.
            assert!(head.contains("role=\"img\"") && head.contains("aria-labelledby"), "{head}");
            assert!(inside.starts_with("<title id=") && inside.contains("<desc id="), "{head}");
        }
    }
    let page = overview(&sample::overview());
    for word in [
        "exposed",
        "copyable",
        "hardened",
        "hardware-bound",
        "hardware-certified",
        "quarantined",
        "confirmed",
    ] {
        assert!(page.contains(word), "{word}");
    }
}

#[test]
fn an_empty_fleet_says_what_to_do() {
    let view = Overview {
        grades: Vec::new(),
        storage: Vec::new(),
        authority_keys: Vec::new(),
        findings: Vec::new(),
        findings_total: 0,
        fleet: Vec::new(),
        fleet_total: 0,
        inputs: Vec::new(),
        ..sample::overview()
    };
    let page = overview(&view);
    assert!(
        page.contains("No devices yet") && page.contains("Nothing found") && page.contains("Nothing is read")
    );
    assert!(!page.contains("gradebar"));
}

#[test]
fn a_test_endorser_is_named_beside_the_evidence() {
    let mut view = sample::device();
    assert!(!device(&view).contains("TEST, proves nothing"));
    view.assurance.test_endorser = true;
    assert!(device(&view).contains("TEST, proves nothing"));
}

#[test]
fn an_expired_certificate_is_said_to_be() {
    let mut view = sample::overview();
    view.fleet.truncate(1);
    assert!(!overview_fragment("fleet", &view).unwrap().contains("expired"));
    view.fleet[0].certificate_ends = Some(view.frame.now);
    assert!(overview_fragment("fleet", &view).unwrap().contains("expired"));
}

#[test]
fn the_policy_refuses_what_is_not_ours() {
    let directives: Vec<_> = CONTENT_SECURITY_POLICY.split(';').map(str::trim).collect();
    assert_eq!(directives.first(), Some(&"default-src 'none'"));
    for directive in ["script-src 'self'", "style-src 'self'", "form-action 'self'", "frame-ancestors 'none'"]
    {
        assert!(directives.contains(&directive), "{directive}");
    }
    assert!(!CONTENT_SECURITY_POLICY.contains("unsafe"));
}

#[test]
fn a_changed_body_changes_its_tag() {
    // Test vectors of draft-eastlake-fnv appendix C: the empty string and "a".
    assert_eq!(etag(""), "\"cbf29ce484222325\"");
    assert_eq!(etag("a"), "\"af63dc4c8601ec8c\"");
    assert_ne!(etag("ab"), etag("ba"));
}
