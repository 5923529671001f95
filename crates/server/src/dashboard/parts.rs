//! The small pieces that several pages share: words, marks, figures, moments and addresses.

use maud::{Markup, html};
use touchmark_identity::assurance::{Basis, Grade, Regime, Storage};
use touchmark_identity::timestamp::Timestamp;

use super::view::{CertificateState, DeviceStatus, FindingGrade, FindingRow, InputState, Recheck, Standing};
use crate::triage::Standing as TriageStanding;

/// Thin, unbreakable space: groups digits without being read as a decimal mark.
const DIGIT_GROUP: char = '\u{202f}';

/// A number with its digits in groups of three.
pub(super) fn number(value: u64) -> String {
    group_digits(&value.to_string())
}

fn group_digits(digits: &str) -> String {
    let length = digits.chars().count();
    let mut grouped = String::with_capacity(length * 2);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (length - place).is_multiple_of(3) {
            grouped.push(DIGIT_GROUP);
        }
        grouped.push(digit);
    }
    grouped
}

/// `one` with the number 1, `many` with any other.
pub(super) fn counted(value: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(value), if value == 1 { one } else { many })
}

/// A number of bytes in decimal units (IEC 80000-13: kB is 1000 B).
pub(super) fn bytes(value: u64) -> String {
    match value {
        0..1_000 => format!("{value} B"),
        1_000..1_000_000 => format!("{} kB", value / 1_000),
        1_000_000..1_000_000_000 => format!("{} MB", value / 1_000_000),
        _ => format!("{} GB", number(value / 1_000_000_000)),
    }
}

/// A number of seconds in the largest unit that divides it.
pub(super) fn seconds(value: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let unit = units.into_iter().find(|(size, _)| value >= *size && value.is_multiple_of(*size));
    let (size, name) = unit.unwrap_or((1, "s"));
    format!("{} {name}", number(value / size))
}

/// What is shown where nothing is known, with a word for those who do not see the dash.
pub(super) fn absent() -> Markup {
    html! { span.absent { span aria-hidden="true" { "–" } span.unseen { "not known" } } }
}

/// A moment to the second, which the script turns into "4 min ago" where `relative` is set.
pub(super) fn moment(at: Timestamp, relative: bool) -> Markup {
    let exact = at.to_string();
    let date = exact.get(..10).unwrap_or(&exact);
    let time = exact.get(11..19).unwrap_or_default();
    html! { time datetime=(exact) data-relative[relative] { (date) " " (time) " UTC" } }
}

/// A moment that may be unknown.
pub(super) fn moment_or_absent(at: Option<Timestamp>, relative: bool) -> Markup {
    at.map_or_else(absent, |at| moment(at, relative))
}

/// A digest or another long code, which may break anywhere.
pub(super) fn code(text: &str) -> Markup {
    html! { code.long { (text) } }
}

/// One segment of an address (RFC 3986 §3.3): everything but unreserved characters is percent-encoded, and a
/// segment of dots alone, which a browser would resolve away, loses its meaning.
fn segment(text: &str) -> String {
    let only_dots = text.bytes().all(|byte| byte == b'.');
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') || (byte == b'.' && !only_dots)
        {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The address of a device's page.
pub(super) fn device_url(id: &str) -> String {
    format!("/device/{}", segment(id))
}

/// The address of a finding's page.
pub(super) fn finding_url(id: &str) -> String {
    format!("/finding/{}", segment(id))
}

/// The address of a line of the event log.
pub(super) fn event_url(seq: u64) -> String {
    format!("/event/{seq}")
}

/// A query with its question mark (RFC 3986 §3.4), empty where there is no pair.
pub(super) fn escaped_query<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}={}", segment(value))).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

/// The address of a part of a device's page.
pub(super) fn device_fragment_url(id: &str, part: &str) -> String {
    format!("/fragment/device/{}/{part}", segment(id))
}

/// The address of a part of a finding's page.
pub(super) fn finding_fragment_url(id: &str, part: &str) -> String {
    format!("/fragment/finding/{}/{part}", segment(id))
}

/// A kind of storage, for people.
pub(super) fn storage(storage: Storage) -> &'static str {
    match storage {
        Storage::SecureElement => "Secure element",
        Storage::Tpm => "TPM",
        Storage::Enclave => "MCU enclave",
        Storage::Software => "Software",
    }
}

/// How a record is known, as a column heading with its explanation.
pub(super) fn basis_meaning(basis: Basis) -> &'static str {
    match basis {
        Basis::Attested => "evidence was appraised against a pinned endorser",
        Basis::Journalled => "our own factory line made the key and wrote it down",
        Basis::Declared => "an operator's or the device's own word",
        Basis::Unknown => "nobody said anything",
    }
}

/// A grade: its word, and as many struck marks as it has steps above the worst.
pub(super) fn grade(grade: Grade) -> Markup {
    html! { span.grade title=(grade.meaning()) { (pips(grade)) (grade.as_str()) } }
}

/// Four squares, of which as many are filled as the grade has steps above the worst.
pub(super) fn pips(grade: Grade) -> Markup {
    let steps = [
        (0, Grade::Copyable),
        (8, Grade::Hardened),
        (16, Grade::HardwareBound),
        (24, Grade::HardwareCertified),
    ];
    html! {
        svg class={ "pips " (grade_class(grade)) } viewBox="0 0 31 7" width="31" height="7" aria-hidden="true" {
            @for (x, step) in steps {
                @if grade >= step { rect.on x=(x) y="0" width="7" height="7" rx="1.5" {} }
                @else { rect.off x=(x + 1) y="1" width="5" height="5" rx="1" {} }
            }
        }
    }
}

/// The class that gives a grade its colour.
pub(super) fn grade_class(grade: Grade) -> &'static str {
    match grade {
        Grade::Exposed => "g0",
        Grade::Copyable => "g1",
        Grade::Hardened => "g2",
        Grade::HardwareBound => "g3",
        Grade::HardwareCertified => "g4",
    }
}

/// What a regime means, for people.
pub(super) fn regime_meaning(regime: Regime) -> &'static str {
    match regime {
        Regime::Duplication => "The key can be copied, so this identity is watched for a second holder.",
        Regime::Behaviour => {
            "The key is proven to sit in a chip, so this identity is watched for odd behaviour: a chip moved to another \
             board, a host that signs for somebody else, a relay."
        }
    }
}

/// A tag: a shape, a word and a colour that say the same.
fn tag(tone: &str, shape: Shape, word: &str) -> Markup {
    html! { span class={ "tag " (tone) } { (mark(shape)) (word) } }
}

/// The shapes that tell tags apart without colour.
#[derive(Clone, Copy)]
enum Shape {
    Diamond,
    Triangle,
    Ring,
    Disc,
    Bars,
    Cross,
    Tick,
    Dash,
}

fn mark(shape: Shape) -> Markup {
    html! {
        svg.mark viewBox="0 0 12 12" width="12" height="12" aria-hidden="true" {
            @match shape {
                Shape::Diamond => path d="M6 0.5 11.5 6 6 11.5 0.5 6z" {},
                Shape::Triangle => path d="M6 1 11.5 11h-11z" {},
                Shape::Ring => circle.line cx="6" cy="6" r="4.2" {},
                Shape::Disc => circle cx="6" cy="6" r="4.2" {},
                Shape::Bars => path d="M2.5 1.5h2.4v9H2.5zM7.1 1.5h2.4v9H7.1z" {},
                Shape::Cross => path.line d="M2.2 2.2 9.8 9.8M9.8 2.2 2.2 9.8" {},
                Shape::Tick => path.line d="M1.6 6.4 4.7 9.6 10.4 2.6" {},
                Shape::Dash => path.line d="M2 6h8" {},
            }
        }
    }
}

/// How sure a finding is.
pub(super) fn finding_grade(grade: FindingGrade) -> Markup {
    match grade {
        FindingGrade::Confirmed => tag("danger solid", Shape::Diamond, "confirmed"),
        FindingGrade::Suspect => tag("warn", Shape::Triangle, "suspect"),
        FindingGrade::Note => tag("quiet", Shape::Ring, "note"),
    }
}

/// What the authority says of a device.
pub(super) fn device_status(status: DeviceStatus) -> Markup {
    match status {
        DeviceStatus::Pending => tag("quiet", Shape::Ring, "pending"),
        DeviceStatus::Active => tag("fine", Shape::Disc, "active"),
        DeviceStatus::Quarantined => tag("warn", Shape::Bars, "quarantined"),
        DeviceStatus::Revoked => tag("danger", Shape::Cross, "revoked"),
        DeviceStatus::Retired => tag("quiet", Shape::Dash, "retired"),
    }
}

/// How a certificate stands.
pub(super) fn certificate_state(state: CertificateState) -> Markup {
    match state {
        CertificateState::Valid => tag("fine", Shape::Tick, "valid"),
        CertificateState::Superseded => tag("quiet", Shape::Dash, "superseded"),
        CertificateState::OnHold => tag("warn", Shape::Bars, "on hold"),
        CertificateState::Revoked => tag("danger", Shape::Cross, "revoked"),
        CertificateState::Expired => tag("warn", Shape::Ring, "expired"),
    }
}

/// How the value of a field is known.
pub(super) fn standing(standing: Standing) -> Markup {
    match standing {
        Standing::Proven => tag("fine", Shape::Tick, "proven"),
        Standing::Journalled => tag("fine", Shape::Disc, "journalled"),
        Standing::Claimed => tag("warn", Shape::Ring, "claimed"),
        Standing::Refuted => tag("danger", Shape::Cross, "not proven"),
        Standing::Unknown => tag("quiet", Shape::Dash, "unknown"),
    }
}

/// How an input stands.
pub(super) fn input_state(state: InputState) -> Markup {
    match state {
        InputState::Following => tag("fine", Shape::Disc, "following"),
        InputState::Behind => tag("warn", Shape::Bars, "behind"),
        InputState::Unreadable => tag("danger", Shape::Cross, "unreadable"),
    }
}

/// The TEST mark of an endorser whose private key is public.
pub(super) fn test_tag() -> Markup {
    tag("danger", Shape::Triangle, "TEST, proves nothing")
}

/// The mark of something that is weaker than it should be.
pub(super) fn weak_tag() -> Markup {
    tag("warn", Shape::Triangle, "weak")
}

/// The mark of the branch that is the device itself.
pub(super) fn original_tag() -> Markup {
    tag("fine", Shape::Tick, "likely original")
}

/// The mark of a finding that needs nothing more.
fn closed_tag() -> Markup {
    tag("quiet", Shape::Dash, "closed")
}

/// How a finding stands with the people who look after it.
pub(super) fn standing_tag(standing: TriageStanding) -> Markup {
    match standing {
        TriageStanding::Open => tag("warn", Shape::Ring, standing.says()),
        TriageStanding::Acknowledged => tag("fine", Shape::Disc, standing.says()),
        TriageStanding::Upheld => tag("danger", Shape::Tick, standing.says()),
        TriageStanding::FalseAlarm => tag("quiet", Shape::Cross, standing.says()),
        TriageStanding::Suppressed => tag("quiet", Shape::Bars, standing.says()),
        TriageStanding::Closed => tag("quiet", Shape::Dash, standing.says()),
    }
}

/// What looking a raw line up in the log gave.
pub(super) fn recheck_tag(check: Recheck) -> Markup {
    match check {
        Recheck::Matches { .. } => tag("fine", Shape::Tick, "re-checked: matches"),
        Recheck::Differs { .. } => tag("danger", Shape::Cross, "re-checked: does not match"),
        Recheck::Absent => tag("quiet", Shape::Dash, "not in this log"),
    }
}

/// The mark of a source that has been silent for too long.
pub(super) fn silent_tag() -> Markup {
    tag("warn", Shape::Ring, "silent")
}

/// The mark of a harmless cause that may still hold.
pub(super) fn possible_tag() -> Markup {
    tag("warn", Shape::Ring, "still possible")
}

/// `kind` of the contract in words; a kind that this version does not know stays as it is.
pub(super) fn kind(kind: &str) -> &str {
    match kind {
        "clone" => "Copied key",
        "concurrent-session" => "Two sessions at once",
        "takeover" => "Takeover",
        "replay" => "Replayed message",
        "downgrade" => "Firmware went back",
        "relocation" => "Unexpected place",
        "behaviour" => "Odd behaviour",
        "transplant" => "Chip moved to another board",
        "oracle-use" => "Chip signs for somebody else",
        "read-only-clone" => "Read-only copy",
        "installer-duplicate" => "Installed twice",
        "fleet-incident" => "Incident across the fleet",
        "source-fault" => "Faulty source of events",
        other => other,
    }
}

/// `action` of the contract in words; an action that this version does not know stays as it is.
pub(super) fn action(action: &str) -> &str {
    match action {
        "none" => "Nothing to do",
        "watch" => "Keep watching",
        "challenge-both" => "Challenge both holders of the key",
        "quarantine" => "Quarantine the identity",
        "work-order" => "Send somebody to the device",
        "re-key" => "Give the device a new key",
        "revoke" => "Revoke the certificate",
        other => other,
    }
}

/// A list of findings, newest first.
pub(super) fn findings(rows: &[FindingRow], with_device: bool) -> Markup {
    html! {
        ol.findings {
            @for row in rows { (finding_item(row, with_device)) }
        }
    }
}

fn finding_item(row: &FindingRow, with_device: bool) -> Markup {
    let tone = match (row.closed, row.grade) {
        (true, _) => "closed",
        (false, FindingGrade::Confirmed) => "confirmed",
        (false, FindingGrade::Suspect) => "suspect",
        (false, FindingGrade::Note) => "note",
    };
    let about = row.device.as_deref().unwrap_or(&row.identity);
    let grade = match row.grade {
        FindingGrade::Confirmed => "Confirmed",
        FindingGrade::Suspect => "Suspect",
        FindingGrade::Note => "Note",
    };
    html! {
        li id={ "finding-" (row.id) } class=(tone) data-announce={ (grade) ": " (kind(&row.kind)) ", " (about) } {
            div.finding-head {
                h3 { a href=(finding_url(&row.id)) { (kind(&row.kind)) } }
                (finding_grade(row.grade))
                @match row.standing {
                    // What nobody has decided about is the usual case and needs no mark.
                    TriageStanding::Open => @if row.closed { (closed_tag()) },
                    standing => (standing_tag(standing)),
                }
                @if with_device { (about_link(row)) }
                span.when { (moment(row.detected, true)) }
            }
            p.says { (row.says) }
            p.proposal {
                span.label { "Proposed" } " " (action(&row.action))
                @if row.revision > 0 { span.faint { " · grew " (counted(row.revision, "time", "times")) } }
            }
        }
    }
}

/// The device that a finding is about, or the identity as the events name it.
pub(super) fn about_link(row: &FindingRow) -> Markup {
    html! {
        @match &row.device {
            Some(device) => a.device-link href=(device_url(device)) { (device) },
            None => code.device-link title="the registry does not know this identity" { (row.identity) },
        }
    }
}

/// The likelihood ratio behind a weight of evidence: ten decibans are a factor of ten.
pub(super) fn odds(decibans: f64) -> String {
    const MOST: f64 = 60.0;
    let size = decibans.abs();
    if !size.is_finite() {
        return "no valid weight".to_owned();
    }
    let ratio = 10f64.powf(size.min(MOST) / 10.0);
    let digits = if ratio < 10.0 { format!("{ratio:.1}") } else { group_digits(&format!("{ratio:.0}")) };
    let over = if size > MOST { "over " } else { "" };
    let direction = if decibans < 0.0 { "against" } else { "for" };
    format!("{over}{digits} : 1 {direction}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(counted(1, "device", "devices"), "1 device");
        assert_eq!(seconds(900), "15 min");
        assert_eq!(seconds(90), "90 s");
        assert_eq!(bytes(12_345), "12 kB");
    }

    #[test]
    fn odds_follow_the_definition() {
        assert_eq!(odds(17.0), "50 : 1 for");
        assert_eq!(odds(-15.0), "32 : 1 against");
        assert_eq!(odds(3.0), "2.0 : 1 for");
        assert_eq!(odds(90.0), "over 1\u{202f}000\u{202f}000 : 1 for");
        assert_eq!(odds(f64::NAN), "no valid weight");
    }

    #[test]
    fn a_segment_cannot_leave_its_place() {
        assert_eq!(device_url("meter-000017.a_b"), "/device/meter-000017.a_b");
        assert_eq!(device_url(".."), "/device/%2E%2E");
        assert_eq!(finding_url("a/b?c#d\"é"), "/finding/a%2Fb%3Fc%23d%22%C3%A9");
    }

    proptest! {
        #[test]
        fn a_segment_holds_only_safe_characters(text in any::<String>()) {
            let encoded = segment(&text);
            prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~%".contains(&b)));
        }
    }
}
