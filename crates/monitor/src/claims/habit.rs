//! An identity is used otherwise than it was.

use touchmark_identity::assurance::Regime;
use touchmark_identity::finding::{EventRef, Kind};
use touchmark_identity::timestamp::Timestamp;

use super::{Scene, benign, evidence, moment};
use crate::report::{Claim, Depth};
use crate::usage::{Change, DAY, Measure};

/// As much as two devices: doublings from which on that is said of a key that can be copied.
const TWO_UNITS: f64 = 0.8;

impl Measure {
    /// The rule that watches it.
    fn rule(self) -> &'static str {
        match self {
            Self::Connections => "usage.connections",
            Self::Messages => "usage.messages",
            Self::Bytes => "usage.bytes",
            Self::Hours => "usage.hours",
        }
    }
}

fn amount(measure: Measure, number: f64) -> String {
    match measure {
        Measure::Connections => format!("{number:.0} connections"),
        Measure::Messages => format!("{number:.0} messages"),
        Measure::Bytes if number < 10_000.0 => format!("{number:.0} bytes"),
        Measure::Bytes => format!("{:.0} kB", number / 1_000.0),
        Measure::Hours => format!("{number:.0} hours"),
    }
}

impl Scene<'_> {
    /// A habit has changed. Of a key in a chip more use counts, and use at other hours; of one that can be copied, that it is
    /// used as by two.
    pub(crate) fn habit(&self, change: &Change, began: (Timestamp, EventRef)) -> Option<Claim> {
        let shift = change.shift();
        let group = match (self.regime, change.measure) {
            (Regime::Behaviour, Measure::Hours) => "schedule",
            // Less is what a weak battery or a bad network does as well.
            (Regime::Behaviour, _) if shift > 0.0 => "usage",
            (Regime::Duplication, Measure::Connections | Measure::Messages) if shift >= TWO_UNITS => "usage",
            _ => return None,
        };
        let (first, last) = change.days;
        let days = last.saturating_sub(first).saturating_add(1);
        let since = moment(i64::from(first) * DAY).to_string();
        let since = since.get(..10).unwrap_or(&since);
        let now = amount(change.measure, change.now);
        let says = match change.measure {
            Measure::Hours => format!(
                "since {since} it is used in {now} of a day (UTC) in which it was not used for weeks, on about {days} days"
            ),
            _ => {
                let usual = amount(change.measure, change.usual);
                format!("{now} a day since {since} ({days} days), where {usual} were usual")
            }
        };
        let two = match self.regime {
            Regime::Duplication => " As much as two devices would do.",
            Regime::Behaviour => "",
        };
        let mut causes = vec![benign(
            "another configuration, use or season",
            "not rejected: compare with what was changed at the device and around it",
        )];
        if change.measure == Measure::Connections {
            causes.push(benign(
                "a network in which connections do not last",
                "not rejected: connections within a minute count once, but longer gaps do not",
            ));
        }
        let mut signs = vec![evidence(change.measure.rule(), group, 25.0, says.clone())];
        if change.alone {
            let words = "its messages did not become more, as where connections do not last".to_owned();
            signs.push(evidence("usage.steady", "messages", -10.0, words));
        }
        Some(Claim {
            kind: Kind::Behaviour,
            rules: vec![change.measure.rule()],
            seen: format!("{}.{two}", sentence(&says)),
            evidence: signs,
            impossible: false,
            confirm_after: 1,
            began,
            branches: Vec::new(),
            original: None,
            benign: causes,
            depth: Depth::Message,
        })
    }
}

/// With a capital letter at its beginning.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
