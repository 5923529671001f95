//! Counters and gauges in the Prometheus text format (OpenMetrics). Names and labels come from here alone; labels are
//! bounded.

use std::sync::Mutex;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Why something was refused or what kind it was: one of a fixed list of words.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: String,
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
        Self {
            registry: Mutex::new(registry),
            enrolled,
            refused_requests,
            tls_failures,
            events,
            refused_lines,
            findings,
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
