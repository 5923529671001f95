//! A small, believable fleet for the tests.

use touchmark_identity::assurance::{Basis, Grade, Regime, Storage};
use touchmark_identity::finding::{Certainty, FindingId, Kind};
use touchmark_identity::timestamp::Timestamp;

use super::view::{
    ActRow, AssuranceField, AssuranceView, AuthorityKey, Band, Banner, BannerTone, BenignCause, Branch,
    CertificateState, CertificateView, Counts, DevicePage, DeviceRow, DeviceStatus, DeviceTimeline,
    EventPage, EventRef, EvidenceRow, FindingFilter, FindingGrade, FindingPage, FindingRow, FindingsPage,
    Frame, HistoryRow, Input, InputState, Lane, MarkKind, Original, Overview, Picture, PictureMark, Place,
    Recheck, Refusal, SourceRow, SourcesPage, Standing, StorageCount, TimelineEntry, TimelineKind, Track,
    Trouble,
};
use crate::respond::{ActView, AnswerView, CaseDecision, CaseView};
use crate::triage::{Ceiling, Decision, NewTriage, Reason, Standing as TriageStanding, Suppression, Triage};

/// The moment this many seconds after 2026-11-20T22:30:00Z.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros((1_795_213_800 + seconds) * 1_000_000)
}

pub(crate) fn frame() -> Frame {
    Frame {
        now: at(0),
        instance: "gateway.example".to_owned(),
        version: "0.1.0".to_owned(),
        banners: vec![
            Banner {
                tone: BannerTone::Danger,
                title: "TEST endorsers are accepted.".to_owned(),
                text: "Keys of virtual chips count as proven. Remove dangerous_accept_test_endorsers before real \
                       devices enrol."
                    .to_owned(),
            },
            Banner {
                tone: BannerTone::Notice,
                title: "The root CA key is a file.".to_owned(),
                text: "Whoever reads the file and learns its passphrase can sign as the authority.".to_owned(),
            },
        ],
    }
}

pub(crate) fn clone_finding() -> FindingRow {
    FindingRow {
        id: "5f0c2a9e41d7b863".to_owned(),
        grade: FindingGrade::Confirmed,
        kind: "clone".to_owned(),
        device: Some("meter-000017".to_owned()),
        identity: "spki_sha256 3f9a12c0de55b0a1".to_owned(),
        says: "Two holders of meter-000017's key are alive at once. One continues the history known since enrolment; \
               the other started 41 minutes ago from a copy of its counter and token, and both went on afterwards. \
               The key is kept in software, so a copy of the flash explains this."
            .to_owned(),
        detected: at(-95),
        action: "challenge-both".to_owned(),
        revision: 2,
        closed: false,
        regime: Regime::Duplication,
        standing: TriageStanding::Open,
    }
}

/// A suppression on the page of [`clone_finding`], and an earlier decision that was undone.
fn decisions() -> Vec<Triage> {
    let row = |seq, what, undone| Triage {
        seq,
        finding: clone_finding().id,
        device: Some("meter-000017".to_owned()),
        identity: "key 3f9a12c0de55b0a1".to_owned(),
        kind: Kind::Clone,
        grade: Certainty::Suspect,
        what,
        at: at(-1_200),
        undone,
    };
    let plain = NewTriage {
        decision: Decision::FalseAlarm,
        reason: Some(Reason::SecondUplink),
        note: "LTE fail-over, ticket 4711".to_owned(),
        suppression: None,
    };
    let suppression = NewTriage {
        decision: Decision::Suppress,
        reason: Some(Reason::TestDevice),
        note: String::new(),
        suppression: Some(Suppression {
            ceiling: Ceiling::Suspect,
            rule: Some("network.return".to_owned()),
            until: at(86_400),
        }),
    };
    vec![row(7, plain, Some(at(-600))), row(8, suppression, None)]
}

pub(crate) fn findings_page() -> FindingsPage {
    FindingsPage {
        frame: frame(),
        filter: FindingFilter { grade: Some(Certainty::Confirmed), page: 1, ..FindingFilter::default() },
        rows: findings(),
        matching: 104,
        grades: [100, 3, 1],
        standings: vec![(TriageStanding::Open, 104), (TriageStanding::Suppressed, 2)],
        pages: 3,
        suppressions: decisions(),
    }
}

pub(crate) fn sources_page() -> SourcesPage {
    let sources = overview().inputs.into_iter().map(|input| SourceRow {
        watermark: input.last_event,
        delay_ms: Some(420),
        heard: input.last_event,
        usual_ms: Some(30_000),
        silent: input.state == InputState::Unreadable,
        examples: input.refused.iter().map(|_| "{\"ssl_client_serial\":\"\"}".to_owned()).collect(),
        input,
    });
    SourcesPage { frame: frame(), sources: sources.collect() }
}

pub(crate) fn event_page() -> EventPage {
    EventPage {
        frame: frame(),
        seq: 951_201,
        kind: "heartbeat".to_owned(),
        at: Some(at(-95)),
        source: "telemetry".to_owned(),
        device: Some("meter-000017".to_owned()),
        line: format!("{{\"schema\":\"touchmark.event/1\",\"token\":\"{}\"}}", "0a".repeat(64)),
        sha256: "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b".to_owned(),
    }
}

pub(crate) fn history_page() -> DeviceTimeline {
    let row = |seconds: i64, lane, title: &str, seq| HistoryRow {
        at: at(seconds),
        until: (lane == Lane::Session).then(|| at(seconds + 240)),
        lane,
        title: title.to_owned(),
        detail: "counter 42 991, up for 2600000 s, from 192.0.2.7".to_owned(),
        seq,
        finding: (lane == Lane::Finding).then(|| clone_finding().id),
    };
    let beats =
        (1..40).map(|beat: i64| row(-60 * beat, Lane::Heartbeat, "Heartbeat", Some(beat.unsigned_abs())));
    let mut rows: Vec<HistoryRow> = beats.collect();
    rows.push(row(-900, Lane::Session, "Authenticated", Some(900)));
    rows.push(row(-95, Lane::Finding, "Finding: clone, confirmed", None));
    rows.push(row(-90, Lane::Authority, "Quarantined", None));
    rows.push(row(-89, Lane::Registry, "Registry", Some(901)));
    DeviceTimeline {
        frame: frame(),
        id: "meter-000017".to_owned(),
        span: (at(-2_400), at(0)),
        rows,
        older: Some(17),
        newer: true,
        total: 4_321,
    }
}

fn picture() -> Picture {
    let mark = |seconds: i64, kind, seq: u64| PictureMark {
        at: at(seconds),
        kind,
        count: 1 + seq % 2,
        says: format!("counter {}, up for 900 s, from 192.0.2.7", 42_868 + seq),
        seq: Some(seq),
    };
    let beats = |from: i64, first: u64| -> Vec<PictureMark> {
        (0u32..)
            .map(|beat| from + i64::from(beat) * 110)
            .take_while(|at| *at < 0)
            .zip(first..)
            .map(|(at, seq)| mark(at, MarkKind::Heartbeat, seq))
            .collect()
    };
    let band = |from: i64, to: i64, label: &str, look| Band {
        from: at(from),
        to: at(to),
        label: label.to_owned(),
        look,
    };
    let mut copy = beats(-2_440, 500);
    copy.insert(0, mark(-2_460, MarkKind::Authentication, 499));
    copy.insert(0, PictureMark { seq: None, count: 1, ..mark(-2_470, MarkKind::Boot, 498) });
    Picture {
        span: (at(-3_900), at(0)),
        tracks: vec![
            Track {
                branch: 0,
                original: true,
                marks: beats(-3_880, 100),
                networks: vec![band(-3_880, -20, "AS64500", 0)],
                firmware: vec![band(-3_880, -20, "2.4.1", 1)],
            },
            Track {
                branch: 1,
                original: false,
                marks: copy,
                networks: vec![band(-2_460, -1_400, "AS64511", 2), band(-1_400, -15, "198.51.100.0/24", 3)],
                firmware: vec![band(-2_440, -15, "2.4.1", 1)],
            },
        ],
        unplaced: vec![mark(-1_700, MarkKind::Authentication, 601), mark(-1_500, MarkKind::SessionEnd, 602)],
        fork: at(-2_460),
        detected: at(-95),
        omitted: 3,
    }
}

fn findings() -> Vec<FindingRow> {
    vec![
        clone_finding(),
        FindingRow {
            id: "91be77d03c2210aa".to_owned(),
            grade: FindingGrade::Suspect,
            kind: "concurrent-session".to_owned(),
            device: Some("charger-000204".to_owned()),
            says: "charger-000204 alternates between two networks within seconds while sessions overlap. Its key is \
                   proven to sit in a chip, so a relay or a host that signs for somebody else is likelier than a copy."
                .to_owned(),
            detected: at(-1_460),
            action: "watch".to_owned(),
            revision: 0,
            ..clone_finding()
        },
        FindingRow {
            id: "c07d5e1198a4f2b6".to_owned(),
            grade: FindingGrade::Confirmed,
            kind: "downgrade".to_owned(),
            device: Some("sensor-000331".to_owned()),
            says: "sensor-000331 reports security version 3; its floor is 5. An old image runs on it.".to_owned(),
            detected: at(-7_800),
            action: "quarantine".to_owned(),
            revision: 1,
            ..clone_finding()
        },
        FindingRow {
            id: "0a44e9b71f6d3c58".to_owned(),
            grade: FindingGrade::Note,
            kind: "relocation".to_owned(),
            device: None,
            identity: "common_name lock-unlisted-9".to_owned(),
            says: "An identity that the registry does not know moved from AS64500 to AS64511.".to_owned(),
            detected: at(-90_000),
            action: "none".to_owned(),
            revision: 0,
            closed: true,
            regime: Regime::Duplication,
            standing: TriageStanding::Closed,
        },
    ]
}

pub(crate) fn overview() -> Overview {
    let row =
        |id: &str, kind: &str, storage, basis, grade, status, finding, seen: i64, ends: i64| DeviceRow {
            id: id.to_owned(),
            device_type: kind.to_owned(),
            storage,
            basis,
            grade,
            status,
            finding,
            last_seen: (seen < 0).then(|| at(seen)),
            certificate_ends: (ends != 0).then(|| at(ends * 86_400 + 3_600)),
        };
    use DeviceStatus::{Active, Pending, Quarantined, Retired, Revoked};
    use FindingGrade::{Confirmed, Suspect};
    let fleet = vec![
        row(
            "meter-000017",
            "meter",
            Storage::Software,
            Basis::Declared,
            Grade::Copyable,
            Active,
            Some(Confirmed),
            -4,
            61,
        ),
        row(
            "sensor-000331",
            "sensor",
            Storage::Enclave,
            Basis::Attested,
            Grade::Hardened,
            Quarantined,
            Some(Confirmed),
            -31,
            12,
        ),
        row(
            "charger-000204",
            "charger",
            Storage::Tpm,
            Basis::Attested,
            Grade::HardwareBound,
            Active,
            Some(Suspect),
            -2,
            80,
        ),
        row(
            "lock-000002",
            "lock",
            Storage::Software,
            Basis::Journalled,
            Grade::Exposed,
            Revoked,
            None,
            -864_000,
            -3,
        ),
        row(
            "charger-000205",
            "charger",
            Storage::SecureElement,
            Basis::Attested,
            Grade::HardwareCertified,
            Active,
            None,
            -7,
            80,
        ),
        row(
            "charger-000206",
            "charger",
            Storage::SecureElement,
            Basis::Declared,
            Grade::Copyable,
            Active,
            None,
            -9,
            80,
        ),
        row(
            "meter-000018",
            "meter",
            Storage::SecureElement,
            Basis::Attested,
            Grade::HardwareBound,
            Active,
            None,
            -3,
            77,
        ),
        row(
            "meter-000019",
            "meter",
            Storage::SecureElement,
            Basis::Journalled,
            Grade::HardwareBound,
            Active,
            None,
            -12,
            77,
        ),
        row(
            "gateway-000001",
            "gateway",
            Storage::Tpm,
            Basis::Attested,
            Grade::HardwareBound,
            Active,
            None,
            -1,
            28,
        ),
        row(
            "sensor-000332",
            "sensor",
            Storage::Enclave,
            Basis::Attested,
            Grade::Hardened,
            Active,
            None,
            -64,
            12,
        ),
        row(
            "sensor-000333",
            "sensor",
            Storage::Software,
            Basis::Unknown,
            Grade::Copyable,
            Pending,
            None,
            0,
            0,
        ),
        row(
            "meter-000003",
            "meter",
            Storage::Software,
            Basis::Declared,
            Grade::Copyable,
            Retired,
            None,
            -9_000_000,
            -40,
        ),
    ];
    Overview {
        frame: frame(),
        counts: Counts {
            devices: 12_407,
            live: 11_893,
            live_within_s: 900,
            quarantined: 3,
            revoked: 18,
            confirmed: 2,
            suspect: 1,
            note: 0,
        },
        grades: vec![
            (Grade::Exposed, 18),
            (Grade::Copyable, 2_310),
            (Grade::Hardened, 1_204),
            (Grade::HardwareBound, 7_655),
            (Grade::HardwareCertified, 1_220),
        ],
        storage: vec![
            StorageCount { storage: Storage::SecureElement, basis: Basis::Attested, devices: 4_420 },
            StorageCount { storage: Storage::SecureElement, basis: Basis::Journalled, devices: 1_355 },
            StorageCount { storage: Storage::SecureElement, basis: Basis::Declared, devices: 212 },
            StorageCount { storage: Storage::Tpm, basis: Basis::Attested, devices: 3_100 },
            StorageCount { storage: Storage::Tpm, basis: Basis::Declared, devices: 41 },
            StorageCount { storage: Storage::Enclave, basis: Basis::Attested, devices: 1_204 },
            StorageCount { storage: Storage::Software, basis: Basis::Declared, devices: 1_980 },
            StorageCount { storage: Storage::Software, basis: Basis::Unknown, devices: 95 },
        ],
        authority_keys: vec![
            AuthorityKey {
                role: "Root CA".to_owned(),
                kept: "key file ca/root.key, passphrase read at start".to_owned(),
                weakness: Some("a copy of the file and the passphrase is a copy of the authority".to_owned()),
            },
            AuthorityKey {
                role: "Issuing CA".to_owned(),
                kept: "PKCS#11 token \"touchmark\", not extractable".to_owned(),
                weakness: None,
            },
        ],
        findings: findings(),
        findings_total: 27,
        fleet,
        fleet_total: 12_407,
        inputs: vec![
            Input {
                source: "nginx-1".to_owned(),
                reads: "/var/log/nginx/touchmark.log".to_owned(),
                state: InputState::Following,
                lag_bytes: Some(0),
                last_event: Some(at(-1)),
                accepted: 4_812_077,
                refused: vec![
                    Refusal { reason: "client-certificate-refused".to_owned(), lines: 2_114 },
                    Refusal { reason: "malformed".to_owned(), lines: 3 },
                ],
            },
            Input {
                source: "heartbeats".to_owned(),
                reads: "HTTPS, /v1/heartbeat".to_owned(),
                state: InputState::Following,
                lag_bytes: None,
                last_event: Some(at(-2)),
                accepted: 951_220,
                refused: Vec::new(),
            },
            Input {
                source: "nginx-2".to_owned(),
                reads: "/mnt/edge2/touchmark.log".to_owned(),
                state: InputState::Behind,
                lag_bytes: Some(48_210_332),
                last_event: Some(at(-612)),
                accepted: 120_034,
                refused: Vec::new(),
            },
        ],
    }
}

pub(crate) fn device() -> DevicePage {
    let field = |name: &str, value: &str, claimed: Option<&str>, standing, why: &str| AssuranceField {
        name: name.to_owned(),
        value: value.to_owned(),
        claimed: claimed.map(str::to_owned),
        standing,
        why: why.to_owned(),
    };
    let event = |seconds, kind, title: &str, detail: &str| TimelineEntry {
        at: at(seconds),
        since: None,
        kind,
        title: title.to_owned(),
        detail: detail.to_owned(),
        count: 1,
        finding: None,
    };
    DevicePage {
        frame: frame(),
        id: "meter-000017".to_owned(),
        device_type: "meter".to_owned(),
        status: DeviceStatus::Quarantined,
        status_reason: Some(
            "Quarantined by the operator because of a confirmed finding: two holders of its key are alive.".to_owned(),
        ),
        enrolled: Some(at(-2_600_000)),
        last_seen: Some(at(-4)),
        firmware: Some("2.4.1".to_owned()),
        assurance: AssuranceView {
            grade: Grade::Copyable,
            regime: Regime::Duplication,
            regime_basis: "software/declared".to_owned(),
            fields: vec![
                field("Storage", "software", Some("secure-element"), Standing::Refuted, "the evidence is signed by an unknown endorser"),
                field("Basis", "declared", None, Standing::Claimed, "the device's own word at enrolment"),
                field("Provenance", "unknown", Some("generated-on-chip"), Standing::Refuted, "no attestation of the key's origin"),
                field("Host binding", "unknown", None, Standing::Unknown, "nothing was said"),
                field("Part", "unknown", Some("Example SE-9"), Standing::Refuted, "a part counts only with its endorser"),
            ],
            reasons: vec![
                "AT-0003: the attestation chain ends at \"CN=Some Root\", which is not pinned; add its root to the \
                 endorsers if you trust it"
                    .to_owned(),
            ],
            evidence_sha256: Some("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned()),
            endorser: None,
            test_endorser: false,
            appraised: Some(at(-2_600_000)),
        },
        certificates: vec![
            CertificateView {
                profile: "LDevID".to_owned(),
                serial: "4be1a09c77d2035e".to_owned(),
                issuer: "CN=Touchmark Issuing CA 1,O=Example".to_owned(),
                not_before: at(-2_600_000),
                not_after: at(5_300_000),
                state: CertificateState::OnHold,
                revoked: Some(at(-60)),
                reason: Some("certificateHold".to_owned()),
                sha256: "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae".to_owned(),
                spki_sha256: "fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9".to_owned(),
            },
            CertificateView {
                profile: "IDevID".to_owned(),
                serial: "11d0".to_owned(),
                issuer: "CN=Touchmark Root CA,O=Example".to_owned(),
                not_before: at(-9_600_000),
                not_after: at(253_402_000),
                state: CertificateState::Valid,
                revoked: None,
                reason: None,
                sha256: "baa5a0964d3320fbc0c6a922140453c8513ea24ab8fd0577034804a967248096".to_owned(),
                spki_sha256: "d2e2adf7177b7a8afddbc12d1634cf23ea1a71020f6a1308070a16400fb68fde".to_owned(),
            },
        ],
        findings: findings().into_iter().take(1).collect(),
        timeline: vec![
            event(-60, TimelineKind::Quarantined, "Quarantined", "LDevID put on hold until somebody decides."),
            TimelineEntry {
                finding: Some("5f0c2a9e41d7b863".to_owned()),
                ..event(-95, TimelineKind::Finding, "Copied key, confirmed", "Both holders went on after the fork.")
            },
            TimelineEntry {
                since: Some(at(-86_400)),
                count: 2_880,
                ..event(-4, TimelineKind::Heartbeat, "Heartbeats", "Counter 40 112 to 42 991, firmware 2.4.1, AS64500.")
            },
            TimelineEntry {
                since: Some(at(-86_000)),
                count: 14,
                ..event(-2_460, TimelineKind::Authenticated, "Authenticated", "TLS 1.3 from 203.0.113.0/24 and 198.51.100.0/24.")
            },
            event(-1_200_000, TimelineKind::Regraded, "Grade lowered to copyable", "The chip's claim was not proven."),
            event(-2_600_000, TimelineKind::Enrolled, "LDevID issued", "Serial 4be1a09c77d2035e, 90 days."),
        ],
        timeline_total: 31,
    }
}

/// A case on its way: both instances were asked, the device is held, a person may decide.
fn case() -> CaseView {
    let act = |number, seconds, request: &str, measure: Option<&str>, outcome: &str, says: &str| ActView {
        number,
        at: at(seconds),
        request: request.to_owned(),
        measure: measure.map(str::to_owned),
        says: says.to_owned(),
        outcome: outcome.to_owned(),
        detail: String::new(),
        settled: Some(at(seconds)),
    };
    let answer = |branch, verdict: Option<&str>, detail: &str| AnswerView {
        branch,
        verdict: verdict.map(str::to_owned),
        detail: detail.to_owned(),
        answered: verdict.map(|_| at(-1_190)),
    };
    let id = "00112233445566778899aabbccddeeff".to_owned();
    CaseView {
        schema: "touchmark.case/1".to_owned(),
        finding: FindingId::try_from(id).unwrap(),
        device: Some("meter-000017".to_owned()),
        rule: "copies of field meters".to_owned(),
        state: "climbing".to_owned(),
        how: None,
        opened: at(-1_200),
        dry_run: false,
        next: Some("work-order".to_owned()),
        due: Some(at(3_600)),
        in_force: vec!["challenge".to_owned(), "quarantine".to_owned()],
        rekey: None,
        answers: vec![answer(0, Some("signature-only"), "it came without evidence"), answer(1, None, "")],
        acts: vec![
            act(
                1,
                -1_200,
                "do",
                Some("challenge"),
                "done",
                "the key is in software: a copy can answer as well",
            ),
            act(
                2,
                -600,
                "record",
                None,
                "recorded",
                "1 of 2 instances answered: with a key in software that decides nothing",
            ),
            act(3, -600, "do", Some("quarantine"), "done", "every instance is held, the original included"),
        ],
        takes: vec![CaseDecision::Proceed, CaseDecision::Hold, CaseDecision::Release, CaseDecision::Revoke],
    }
}

pub(crate) fn finding() -> FindingPage {
    let evidence = |sign: &str, decibans, group: &str, says: &str| EvidenceRow {
        sign: sign.to_owned(),
        decibans,
        group: group.to_owned(),
        says: says.to_owned(),
    };
    let cause =
        |cause: &str, why: &str| BenignCause { cause: cause.to_owned(), rejected_because: why.to_owned() };
    FindingPage {
        frame: frame(),
        finding: clone_finding(),
        first_event: at(-2_460),
        rules: vec!["continuity.return".to_owned(), "continuity.token".to_owned()],
        regime: Regime::Duplication,
        regime_basis: "software/declared".to_owned(),
        branches: vec![
            Branch {
                id: 0,
                first_seen: Some(at(-2_600_000)),
                last_seen: Some(at(-4)),
                networks: vec!["AS64500".to_owned()],
                firmware: vec!["2.4.1".to_owned()],
                facts: vec![
                    ("Counter".to_owned(), "42 868 to 42 991".to_owned()),
                    ("Running since".to_owned(), "2026-10-21 20:11:40 UTC".to_owned()),
                    ("Boot count".to_owned(), "17".to_owned()),
                ],
            },
            Branch {
                id: 1,
                first_seen: Some(at(-2_460)),
                last_seen: Some(at(-11)),
                networks: vec!["AS64511".to_owned()],
                firmware: vec!["2.4.1".to_owned()],
                facts: vec![
                    ("Counter".to_owned(), "42 869 to 42 950".to_owned()),
                    ("Running since".to_owned(), "2026-11-20 21:48:52 UTC".to_owned()),
                    ("Boot count".to_owned(), "17".to_owned()),
                ],
            },
        ],
        original: Some(Original { branch: 0, probability: 0.98 }),
        evidence: vec![
            evidence(
                "boot-epoch-return",
                23.0,
                "continuity",
                "After a start at 21:48 the identity reports an uptime that began on 21 October: a device cannot un-reboot.",
            ),
            evidence(
                "token-fork",
                17.0,
                "continuity",
                "A token that was consumed three generations ago was presented again, and both chains went on.",
            ),
            evidence(
                "network-alternation",
                6.5,
                "network",
                "Connections alternate between AS64500 and AS64511 within 40 seconds.",
            ),
            evidence(
                "habitual-second-network",
                -3.0,
                "network",
                "The device used a second network before, twice in 90 days.",
            ),
        ],
        benign_causes: vec![
            cause("Reboot", "The older uptime went on after the newer one had started."),
            cause("Lost reply", "A lost reply explains one generation of tokens; this one is three behind."),
            cause(
                "Two uplinks of one device",
                "Counter and uptime differ between the networks; one device has one of each.",
            ),
        ],
        events: vec![
            EventRef {
                source: "heartbeats".to_owned(),
                event_id: Some("hb-951201".to_owned()),
                sha256: "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b".to_owned(),
                check: Recheck::Matches { seq: 951_201 },
            },
            EventRef {
                source: "nginx-1".to_owned(),
                event_id: None,
                sha256: "d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35".to_owned(),
                check: Recheck::Absent,
            },
        ],
        picture: Some(picture()),
        places: vec![
            Place {
                branch: Some(0),
                country: Some("DE".to_owned()),
                position: Some((52.5, 13.4)),
                events: 31,
            },
            Place {
                branch: Some(1),
                country: Some("SG".to_owned()),
                position: Some((1.3, 103.8)),
                events: 24,
            },
            Place { branch: None, country: Some("NL".to_owned()), position: None, events: 2 },
        ],
        acts: vec![ActRow {
            at: at(-90),
            title: "Quarantined".to_owned(),
            detail: "finding 5f0c2a9e41d7b863 (clone)".to_owned(),
        }],
        triage: decisions(),
        case: Some(case()),
        suppressed_by: None,
    }
}

pub(crate) fn trouble() -> Trouble {
    Trouble {
        frame: frame(),
        status: 404,
        code: "SV-0004".to_owned(),
        text:
            "There is no device of this name in the registry. Check the name, or look through the overview."
                .to_owned(),
    }
}
