//! A finding as a text for people: what was concluded, from what, how much each sign weighs, and what would change it.
//!
//! Nothing is concluded anew: the explanation adds up what stands in the finding, so it can be held against it.

use std::fmt::Write as _;

use serde::Serialize;
use touchmark_identity::assurance::Regime;
use touchmark_identity::event::IdentityRef;
use touchmark_identity::finding::{
    Action, BenignCause, Branch, Certainty, EventRef, Evidence, Finding, FindingId, Kind, Original,
};
use touchmark_identity::text::printable;
use touchmark_identity::timestamp::Timestamp;

use super::{headline, proposal, subject};
use crate::geography::Geography;

/// What is believed before any sign: 1 in 10 000, in decibans (`docs/monitoring.md`, Weights).
pub const PRIOR_DECIBANS: f64 = -40.0;

/// Sums are held within this many decibans, so that a finding from elsewhere cannot make them infinite.
const MOST_DECIBANS: f64 = 1_000.0;
/// The longest text from a finding that is shown, in characters.
const SHOWN: usize = 4_000;
/// The widest cell of the table of instances, in characters.
const CELL: usize = 28;

/// Reads one row of the table off an instance.
type Cell = fn(&Branch) -> String;

/// The signs of one group: they have one cause, so the strongest for and the strongest against count.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// Its name.
    pub group: String,
    /// All its signs, in the order of the finding.
    pub signs: Vec<Evidence>,
    /// What the group adds to the sum, in decibans.
    pub counts_decibans: f64,
}

/// The signs of a finding added up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Weighing {
    /// What was believed before, in decibans.
    pub prior_decibans: f64,
    /// Groups in the order in which they first appear.
    pub groups: Vec<Group>,
    /// What the groups add, in decibans.
    pub sum_decibans: f64,
    /// Prior and sum, in decibans.
    pub posterior_decibans: f64,
}

impl Weighing {
    /// Adds up signs as the engine does.
    #[must_use]
    pub fn of(evidence: &[Evidence]) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        for sign in evidence {
            match groups.iter_mut().find(|group| group.group == sign.group) {
                Some(group) => group.signs.push(sign.clone()),
                None => groups.push(Group {
                    group: sign.group.clone(),
                    signs: vec![sign.clone()],
                    counts_decibans: 0.0,
                }),
            }
        }
        for group in &mut groups {
            let weights = group.signs.iter().map(|sign| sign.decibans);
            let (mut highest, mut lowest) = (0.0_f64, 0.0_f64);
            for weight in weights {
                (highest, lowest) = (highest.max(weight), lowest.min(weight));
            }
            group.counts_decibans = (highest + lowest).clamp(-MOST_DECIBANS, MOST_DECIBANS);
        }
        let sum = groups.iter().map(|group| group.counts_decibans).sum::<f64>();
        let sum = sum.clamp(-MOST_DECIBANS, MOST_DECIBANS);
        Self {
            prior_decibans: PRIOR_DECIBANS,
            groups,
            sum_decibans: sum,
            posterior_decibans: PRIOR_DECIBANS + sum,
        }
    }

    /// The probability that the posterior stands for, 0 to 1.
    #[must_use]
    pub fn probability(&self) -> f64 {
        1.0 / (1.0 + 10_f64.powf(-self.posterior_decibans / 10.0))
    }

    /// The probability in whole per cent, rounded down, 0 to 99: weights never make certain. `None` where nothing was
    /// weighed.
    #[must_use]
    pub fn percent(&self) -> Option<u8> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held between 0 and 99")]
        (!self.groups.is_empty()).then(|| (self.probability() * 100.0).clamp(0.0, 99.0) as u8)
    }
}

/// Everything that a person needs to judge a finding.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The finding.
    pub id: FindingId,
    /// Its revision.
    pub revision: u32,
    /// What its kind means.
    pub headline: &'static str,
    /// What it is about.
    pub kind: Kind,
    /// How sure it is.
    pub grade: Certainty,
    /// The device, by the best name that is known.
    pub device: String,
    /// All names that the events gave.
    pub identity: IdentityRef,
    /// The rules that fired.
    pub rules: Vec<String>,
    /// How the identity is watched.
    pub regime: Regime,
    /// Why it is watched so.
    pub regime_basis: String,
    /// What the regime means, with its proof, in a sentence.
    pub regime_says: String,
    /// When the matter began.
    pub first_event: Timestamp,
    /// When this revision could first be known.
    pub detected: Timestamp,
    /// When it ended.
    pub closed: Option<Timestamp>,
    /// The instances.
    pub branches: Vec<Branch>,
    /// For each of them, the countries of its networks as far as they are known; empty where none is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub countries: Vec<Vec<String>>,
    /// Which is thought to be the original.
    pub original: Option<Original>,
    /// The signs added up.
    pub weighing: Weighing,
    /// Harmless causes, and why they were rejected.
    pub benign_causes: Vec<BenignCause>,
    /// What is proposed.
    pub action: Action,
    /// What that asks for.
    pub proposal: &'static str,
    /// What would change the verdict, one sentence each.
    pub would_change: Vec<String>,
    /// The way back to the raw lines.
    pub events: Vec<EventRef>,
    /// The finding's own words.
    pub says: String,
}

impl Explanation {
    /// Explains a finding.
    #[must_use]
    pub fn of(finding: &Finding) -> Self {
        let weighing = Weighing::of(&finding.evidence);
        Self {
            id: finding.id,
            revision: finding.revision,
            headline: headline(finding.kind),
            kind: finding.kind,
            grade: finding.grade,
            device: subject(finding),
            identity: finding.identity.clone(),
            rules: finding.rules.clone(),
            regime: finding.regime,
            regime_basis: finding.regime_basis.clone(),
            regime_says: regime_says(finding),
            first_event: finding.first_event,
            detected: finding.detected,
            closed: finding.closed,
            branches: finding.branches.clone(),
            countries: Vec::new(),
            original: finding.original,
            would_change: would_change(finding, &weighing),
            weighing,
            benign_causes: finding.benign_causes.clone(),
            action: finding.action,
            proposal: proposal(finding.action),
            events: finding.events.clone(),
            says: finding.says.clone(),
        }
    }

    /// The same with the countries of the instances' networks. They are no sign, for or against.
    #[must_use]
    pub fn with_countries(mut self, geography: &Geography) -> Self {
        let of = |branch: &Branch| -> Vec<String> {
            geography.countries(&branch.networks).iter().map(ToString::to_string).collect()
        };
        self.countries = self.branches.iter().map(of).collect();
        if self.countries.iter().all(Vec::is_empty) {
            self.countries.clear();
        }
        self
    }

    /// The explanation as text for a terminal: several lines, each ended by a line feed, without control characters.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let mut line = |text: &str| {
            out.push_str(&printable(text, SHOWN));
            out.push('\n');
        };
        line(&format!("{}: {}", self.headline, self.device));
        line(&format!("  finding   {} revision {}, {} ({})", self.id, self.revision, self.kind, self.grade));
        line(&format!("  began     {}, known at {}", self.first_event, self.detected));
        if let Some(closed) = self.closed {
            line(&format!("  closed    {closed}"));
        }
        line(&format!("  rules     {}", self.rules.join(", ")));
        line(&format!("  regime    {}", self.regime_says));
        line(&format!("  says      {}", self.says));
        if !self.branches.is_empty() {
            line("");
            line("Instances side by side");
            self.table().iter().for_each(|row| line(row));
        }
        line(&format!("  original  {}", self.original_says()));
        line("");
        line("Evidence, in decibans; of a group the strongest for and against count");
        line(&format!("  {:>8.1}  before any sign", self.weighing.prior_decibans));
        for group in &self.weighing.groups {
            line(&format!("  {:>+8.1}  {}", group.counts_decibans, group.group));
            for sign in &group.signs {
                line(&format!("            {:>+6.1} {}: {}", sign.decibans, sign.sign, sign.says));
            }
        }
        line(&format!(
            "  {:>8.1}  together: probability {:.4}",
            self.weighing.posterior_decibans,
            self.weighing.probability()
        ));
        if !self.benign_causes.is_empty() {
            line("");
            line("Harmless causes");
            for benign in &self.benign_causes {
                line(&format!("  {}: {}", benign.cause, benign.rejected_because));
            }
        }
        line("");
        line(&format!("Proposed: {}. {}", self.action, self.proposal));
        line("What would change the verdict");
        for change in &self.would_change {
            line(&format!("  {change}"));
        }
        line("Raw lines");
        for event in &self.events {
            let id = event.event_id.as_deref().map(|id| format!(" {id}")).unwrap_or_default();
            line(&format!("  {}  {}{id}", event.sha256, event.source));
        }
        out
    }

    fn original_says(&self) -> String {
        match self.original {
            Some(Original { branch, probability }) => {
                format!("instance {branch}, with probability {probability:.2}")
            }
            None => "undecided".to_owned(),
        }
    }

    /// The instances as columns, what is known of them as rows; rows of which nothing is known are left out.
    fn table(&self) -> Vec<String> {
        fn or_nothing(value: Option<impl ToString>) -> String {
            value.map(|value| value.to_string()).unwrap_or_default()
        }
        let rows: [(&str, Cell); 10] = [
            ("instance", |b| b.id.to_string()),
            ("first seen", |b| or_nothing(b.first_seen)),
            ("last seen", |b| or_nothing(b.last_seen)),
            ("sightings", |b| or_nothing(b.sightings)),
            ("booted", |b| or_nothing(b.booted)),
            ("boot number", |b| or_nothing(b.boot_count)),
            ("first counter", |b| or_nothing(b.counter_first)),
            ("last counter", |b| or_nothing(b.counter_last)),
            ("networks", |b| b.networks.join(" ")),
            ("firmware", |b| b.firmware.join(" ")),
        ];
        let cells = |of: Cell| -> Vec<String> {
            self.branches.iter().map(|branch| printable(&of(branch), CELL)).collect()
        };
        let mut rows: Vec<(&str, Vec<String>)> =
            rows.into_iter().map(|(name, of)| (name, cells(of))).collect();
        let countries = self.countries.iter().map(|of| printable(&of.join(" "), CELL)).collect();
        // Below the networks, above the firmware.
        rows.insert(rows.len() - 1, ("countries", countries));
        let known = rows.into_iter();
        known
            .filter(|(_, cells)| cells.iter().any(|cell| !cell.is_empty()))
            .map(|(name, cells)| {
                let mut row = format!("  {name:<13}");
                for cell in cells {
                    // Writing into a `String` has no way to fail.
                    let _infallible = write!(row, "  {:<CELL$}", if cell.is_empty() { "-" } else { &cell });
                }
                row.trim_end().to_owned()
            })
            .collect()
    }
}

fn regime_says(finding: &Finding) -> String {
    let basis = &finding.regime_basis;
    match finding.regime {
        Regime::Duplication => format!(
            "{}: watched for a second instance, because nothing proves that the key cannot be copied ({basis})",
            finding.regime
        ),
        Regime::Behaviour => format!(
            "{}: watched for odd use, because the key is proven to live in a chip ({basis})",
            finding.regime
        ),
    }
}

/// What would change the verdict, as far as it follows from the finding itself.
fn would_change(finding: &Finding, weighing: &Weighing) -> Vec<String> {
    let mut changes = Vec::new();
    if finding.closed.is_some() {
        changes.push("It is closed; new events begin a new finding.".to_owned());
    }
    let posterior = weighing.posterior_decibans;
    match finding.grade {
        Certainty::Confirmed => changes.push(
            "It is confirmed by what one device cannot do, whatever the sum. It falls if the raw lines below are shown \
             not to be what the device sent: compare their digests, and the clock of their source."
                .to_owned(),
        ),
        Certainty::Suspect => {
            if weighing.groups.is_empty() {
                changes.push("It carries no weighed sign; any that exonerates would lower it.".to_owned());
            } else if posterior >= 0.0 {
                changes.push(format!(
                    "Signs against it of more than {posterior:.1} decibans would take it below a suspect."
                ));
            }
            changes.push("It is confirmed when something is seen that one device cannot do.".to_owned());
        }
        Certainty::Note => changes.push(format!(
            "Signs for it of {:.1} decibans more would make it a suspect.",
            (-posterior).max(0.0)
        )),
    }
    if finding.grade != Certainty::Confirmed {
        let decisive = weighing
            .groups
            .iter()
            .filter(|group| posterior >= 0.0 && posterior - group.counts_decibans < 0.0)
            .map(|group| group.group.as_str());
        let decisive: Vec<&str> = decisive.collect();
        if !decisive.is_empty() {
            changes.push(format!(
                "It rests on each of: {}. Without one of them it is no suspect.",
                decisive.join(", ")
            ));
        }
    }
    for benign in &finding.benign_causes {
        if benign.rejected_because.starts_with("not rejected") {
            changes.push(format!("Not rejected as its cause is {}: ask about it.", benign.cause));
        }
    }
    if finding.original.is_none() && finding.branches.len() > 1 {
        changes.push(
            "Which instance is the original is undecided: fresh evidence from the device, or somebody who looks at it, \
             decides that."
                .to_owned(),
        );
    }
    if finding.regime == Regime::Duplication && finding.kind == Kind::Clone {
        changes.push(
            "Were the key proven to live in a chip, the same events would be a concurrent session instead of a clone."
                .to_owned(),
        );
    }
    changes
}
