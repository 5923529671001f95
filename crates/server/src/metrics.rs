//! Counters and gauges in the Prometheus text format (OpenMetrics). Names and labels come from here alone; labels are
//! bounded.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Why something was refused or what kind it was: one of a fixed list of words.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: String,
}

/// The most sources that are told apart; the rest are counted together as `other`.
const MAX_SOURCES: usize = 64;

/// A source of events, of a bounded number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Source {
    source: String,
}

/// A source and a type of its events.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceKind {
    source: String,
    kind: String,
}

/// Kind and grade of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindGrade {
    kind: String,
    grade: String,
}

/// An output that is configured.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutputName {
    output: String,
}

/// What the monitor takes in and concludes.
#[derive(Debug, Default)]
struct Watched {
    sources: Mutex<BTreeSet<String>>,
    events: Family<SourceKind, Counter>,
    findings: Family<KindGrade, Counter>,
    lag: Family<Source, Gauge<f64, AtomicU64>>,
    identities: Gauge,
}

impl Watched {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "monitor_source_events",
            "Events written down, by source and type",
            self.events.clone(),
        );
        registry.register(
            "monitor_finding_revisions",
            "Revisions of findings, by kind and grade",
            self.findings.clone(),
        );
        registry.register(
            "monitor_source_lag_seconds",
            "Age of the newest event of a source, in seconds",
            self.lag.clone(),
        );
        registry.register("monitor_identities", "Identities that the monitor keeps", self.identities.clone());
    }

    fn source(&self, name: &str) -> String {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.contains(name) || sources.len() < MAX_SOURCES {
            sources.insert(name.to_owned());
            name.to_owned()
        } else {
            "other".to_owned()
        }
    }
}

/// What the outbox does.
#[derive(Debug, Default)]
struct Sent {
    delivered: Family<OutputName, Counter>,
    failed: Family<OutputName, Counter>,
    refused: Family<OutputName, Counter>,
    waiting: Family<OutputName, Gauge>,
}

impl Sent {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "outbox_delivered",
            "Findings and errands delivered, by output",
            self.delivered.clone(),
        );
        registry.register("outbox_failures", "Deliveries that failed and are repeated", self.failed.clone());
        registry.register(
            "outbox_refused",
            "Findings that were refused for good and set aside",
            self.refused.clone(),
        );
        registry.register(
            "outbox_waiting",
            "Findings and errands that an output is owed",
            self.waiting.clone(),
        );
    }
}

fn named(output: &str) -> OutputName {
    OutputName { output: output.to_owned() }
}

/// What the server counts.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    enrolled: Counter,
    refused_requests: Family<Reason, Counter>,
    tls_failures: Family<Reason, Counter>,
    events: Family<Reason, Counter>,
    refused_lines: Family<Reason, Counter>,
    findings: Family<Reason, Counter>,
    responses: Family<Reason, Counter>,
    watched: Watched,
    sent: Sent,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("touchmark");
        let enrolled = Counter::default();
        let (refused_requests, tls_failures) = (Family::default(), Family::default());
        let (events, refused_lines, findings) = (Family::default(), Family::default(), Family::default());
        registry.register(
            "authority_certificates_issued",
            "Certificates issued to devices",
            enrolled.clone(),
        );
        registry.register(
            "server_requests_refused",
            "Requests refused, by error code",
            refused_requests.clone(),
        );
        registry.register(
            "server_tls_handshakes_failed",
            "TLS handshakes that failed, by cause",
            tls_failures.clone(),
        );
        registry.register("monitor_events_accepted", "Events written down, by type", events.clone());
        registry.register(
            "monitor_lines_refused",
            "Log lines that are no event, by reason",
            refused_lines.clone(),
        );
        registry.register("monitor_findings", "New findings, by certainty", findings.clone());
        let responses = Family::default();
        registry.register("response_acts", "Acts of cases, by what became of them", responses.clone());
        let (watched, sent) = (Watched::default(), Sent::default());
        watched.register(&mut registry);
        sent.register(&mut registry);
        Self {
            watched,
            sent,
            registry: Mutex::new(registry),
            enrolled,
            refused_requests,
            tls_failures,
            events,
            refused_lines,
            findings,
            responses,
        }
    }
}

fn reason(word: &str) -> Reason {
    Reason { reason: word.to_owned() }
}

impl Metrics {
    /// A certificate was issued to a device.
    pub fn enrolled(&self) {
        self.enrolled.inc();
    }

    /// A request was refused with this code.
    pub fn refused(&self, code: &str) {
        self.refused_requests.get_or_create(&reason(code)).inc();
    }

    /// A TLS handshake failed for this cause.
    pub fn tls_failed(&self, cause: &str) {
        self.tls_failures.get_or_create(&reason(cause)).inc();
    }

    /// An event of this type was written down.
    pub fn event(&self, kind: &str) {
        self.events.get_or_create(&reason(kind)).inc();
    }

    /// A log line was refused for this reason.
    pub fn line_refused(&self, why: &str) {
        self.refused_lines.get_or_create(&reason(why)).inc();
    }

    /// A finding of this certainty appeared.
    pub fn finding(&self, certainty: &str) {
        self.findings.get_or_create(&reason(certainty)).inc();
    }

    /// An act of a case was settled so.
    pub fn response(&self, outcome: &str) {
        self.responses.get_or_create(&reason(outcome)).inc();
    }

    /// A source gave an event of this type, which was written down.
    pub fn source_event(&self, source: &str, kind: &str) {
        let source = self.watched.source(source);
        self.watched.events.get_or_create(&SourceKind { source, kind: kind.to_owned() }).inc();
    }

    /// A revision of a finding was written.
    pub fn finding_revision(&self, kind: &str, grade: &str) {
        let label = KindGrade { kind: kind.to_owned(), grade: grade.to_owned() };
        self.watched.findings.get_or_create(&label).inc();
    }

    /// The newest event of a source is this old, in milliseconds.
    pub fn source_lag(&self, source: &str, ms: i64) {
        let source = self.watched.source(source);
        // A source whose clock is ahead does not lag.
        let ms = u32::try_from(ms.max(0)).unwrap_or(u32::MAX);
        self.watched.lag.get_or_create(&Source { source }).set(f64::from(ms) / 1_000.0);
    }

    /// The monitor keeps so many identities.
    pub fn identities(&self, number: usize) {
        self.watched.identities.set(i64::try_from(number).unwrap_or(i64::MAX));
    }

    /// An output was delivered findings.
    pub fn outbox_delivered(&self, output: &str, number: usize) {
        self.sent.delivered.get_or_create(&named(output)).inc_by(u64::try_from(number).unwrap_or(u64::MAX));
    }

    /// A delivery failed and is repeated.
    pub fn outbox_failed(&self, output: &str) {
        self.sent.failed.get_or_create(&named(output)).inc();
    }

    /// A finding was refused for good.
    pub fn outbox_refused(&self, output: &str) {
        self.sent.refused.get_or_create(&named(output)).inc();
    }

    /// An output is owed so many findings.
    pub fn outbox_waiting(&self, output: &str, number: u64) {
        self.sent.waiting.get_or_create(&named(output)).set(i64::try_from(number).unwrap_or(i64::MAX));
    }

    /// The text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let registry = self.registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Writing into a `String` has no way to fail.
        let _infallible = text::encode(&mut out, &registry);
        out
    }
}
