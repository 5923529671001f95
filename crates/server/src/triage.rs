//! What a person said about a finding, and what is held back because of it.
//!
//! Place in the life of a credential: watch. The monitor argues, a person decides: acknowledges a finding, confirms
//! it, calls it a false alarm, or suppresses its kind for a while. Every decision is a row of its own that is never
//! changed; undoing one writes down when. The dashboard has no accounts, so nobody's name is recorded: whoever reaches
//! the dashboard decides, and the proxy in front of it knows who that was.
//!
//! - [`Triage`]: one decision.
//! - [`Register`]: all of them; [`Register::standing`] says how a finding stands, [`Register::holds_back`] whether an
//!   automatic response to it has to wait.
//!
//! A suppression is about a subject (device, or identity where the registry knows no device), a kind and, where given,
//! a rule. It covers findings up to a grade that is never `confirmed`, and ends by itself. Deliberately absent: a
//! clock, and any change of the finding itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use touchmark_identity::finding::{Certainty, Finding, Kind};
use touchmark_identity::timestamp::Timestamp;

/// The longest remark, in characters.
pub const MAX_NOTE_CHARS: usize = 500;
/// The longest suppression, in seconds: 90 days.
pub const MAX_SUPPRESSION_S: u64 = 90 * 86_400;
/// No finding takes more decisions than this.
pub const MAX_PER_FINDING: usize = 200;

/// Words of an enum in forms, in the database and on pages.
macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($(#[$vdoc:meta])* $variant:ident => $word:literal, $says:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $type { $($(#[$vdoc])* #[serde(rename = $word)] $variant),+ }

        impl $type {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in forms and in the database.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The same for people.
            #[must_use]
            pub fn says(self) -> &'static str {
                match self { $(Self::$variant => $says),+ }
            }

            /// The value of a word.
            #[must_use]
            pub fn of(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == word)
            }
        }
    };
}

words! {
    /// What was decided.
    Decision {
        /// Somebody has seen it and looks after it.
        Acknowledge => "acknowledge", "Acknowledge: somebody looks after it";
        /// It is true.
        Confirm => "confirm", "Confirm: it is what the finding says";
        /// It is not true.
        FalseAlarm => "false-alarm", "False alarm: there is a harmless cause";
        /// It and its like are not to be shown for a while.
        Suppress => "suppress", "Suppress: expect it, and show no more of it for a while";
    }
}

words! {
    /// Why.
    Reason {
        /// The device is being moved, and somebody planned that.
        PlannedMove => "planned-move", "planned move";
        /// The device has two uplinks.
        SecondUplink => "second-uplink", "second uplink";
        /// Older firmware is being installed on purpose.
        PlannedRollBack => "planned-roll-back", "roll-back planned";
        /// It is a device for tests.
        TestDevice => "test-device", "test device";
        /// An installer put one image on several devices.
        InstallerDuplicate => "installer-duplicate", "installer's duplicate";
        /// The log is wrong, not the device.
        LogFault => "log-fault", "fault in the log";
        /// Something else, which the remark has to say.
        Other => "other", "other";
    }
}

words! {
    /// How a finding stands with the people who look after it.
    Standing {
        /// Nobody has decided anything.
        Open => "open", "open";
        /// Somebody looks after it.
        Acknowledged => "acknowledged", "acknowledged";
        /// Somebody says that it is true.
        Upheld => "upheld", "upheld by a person";
        /// Somebody says that it is not true.
        FalseAlarm => "false-alarm", "false alarm";
        /// A suppression covers it.
        Suppressed => "suppressed", "suppressed";
        /// The monitor has closed it.
        Closed => "closed", "closed";
    }
}

impl Standing {
    /// Whether the lists show it without being asked.
    #[must_use]
    pub fn is_current(self) -> bool {
        matches!(self, Self::Open | Self::Acknowledged | Self::Upheld)
    }
}

/// Up to which grade a suppression reaches. There is no word for `confirmed`: a confirmed finding always shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ceiling {
    /// Notes alone.
    Note,
    /// Notes and suspects.
    Suspect,
}

impl Ceiling {
    /// The word in forms and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Suspect => "suspect",
        }
    }

    /// The value of a word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        [Self::Note, Self::Suspect].into_iter().find(|value| value.as_str() == word)
    }

    fn covers(self, grade: Certainty) -> bool {
        match self {
            Self::Note => grade == Certainty::Note,
            Self::Suspect => grade <= Certainty::Suspect,
        }
    }
}

/// What a suppression reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    /// Up to which grade.
    pub ceiling: Ceiling,
    /// Only findings that this rule took part in; `None` for every rule.
    pub rule: Option<String>,
    /// Until when, exclusive.
    pub until: Timestamp,
}

/// What somebody wants written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTriage {
    /// What was decided.
    pub decision: Decision,
    /// Why; false alarms and suppressions need it.
    pub reason: Option<Reason>,
    /// A remark of at most [`MAX_NOTE_CHARS`] characters without control characters; may be empty.
    pub note: String,
    /// What is suppressed, for [`Decision::Suppress`] alone.
    pub suppression: Option<Suppression>,
}

/// One decision, as it stands in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Triage {
    /// Its number.
    pub seq: u64,
    /// The finding on whose page it was made.
    pub finding: String,
    /// The device of that finding, where the registry knew it.
    pub device: Option<String>,
    /// The identity of that finding, as [`touchmark_identity::event::IdentityRef::label`] writes it.
    pub identity: String,
    /// The kind of that finding.
    pub kind: Kind,
    /// The grade of that finding at that moment: a finding that grows surer is open again.
    pub grade: Certainty,
    /// What was decided.
    pub what: NewTriage,
    /// When.
    pub at: Timestamp,
    /// When it was undone.
    pub undone: Option<Timestamp>,
}

/// Why a decision is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// A reason is missing.
    NoReason,
    /// The reason `other` needs a remark.
    NoNote,
    /// The remark is too long or holds control characters.
    BadNote,
    /// A suppression is missing, or is there where none belongs.
    BadSuppression,
    /// The suppression has ended already, or lasts too long.
    BadEnd,
}

impl Flaw {
    /// What to do about it, for the one who filled the form in.
    #[must_use]
    pub fn says(self) -> &'static str {
        match self {
            Self::NoReason => "a false alarm and a suppression need a reason: choose one",
            Self::NoNote => "the reason \"other\" needs a remark: say what it is",
            Self::BadNote => "the remark may have 500 characters, and no control characters",
            Self::BadSuppression => "a suppression needs a grade and an end, and nothing else has them",
            Self::BadEnd => "a suppression ends in the future, in 90 days at most",
        }
    }
}

impl NewTriage {
    /// Holds a decision against its rules.
    ///
    /// # Errors
    /// The first [`Flaw`].
    pub fn check(&self, now: Timestamp) -> Result<(), Flaw> {
        let reasoned = matches!(self.decision, Decision::FalseAlarm | Decision::Suppress);
        if reasoned && self.reason.is_none() {
            return Err(Flaw::NoReason);
        }
        if self.reason == Some(Reason::Other) && self.note.trim().is_empty() {
            return Err(Flaw::NoNote);
        }
        if self.note.chars().count() > MAX_NOTE_CHARS || self.note.chars().any(char::is_control) {
            return Err(Flaw::BadNote);
        }
        if self.suppression.is_some() != (self.decision == Decision::Suppress) {
            return Err(Flaw::BadSuppression);
        }
        let longest = i64::try_from(MAX_SUPPRESSION_S).unwrap_or(i64::MAX).saturating_mul(1_000);
        match &self.suppression {
            Some(s) if s.until <= now || s.until.ms_since(now) > longest => Err(Flaw::BadEnd),
            _ => Ok(()),
        }
    }
}

impl Triage {
    /// Whether it is a suppression that reaches a finding at a moment.
    #[must_use]
    pub fn suppresses(&self, finding: &Finding, now: Timestamp) -> bool {
        let Some(reach) = &self.what.suppression else { return false };
        let same = match (&self.device, &finding.device) {
            (Some(device), Some(found)) => device == found,
            // What was suppressed before the registry knew the device is known by its identity.
            _ => self.identity == finding.identity.label(),
        };
        self.undone.is_none()
            && now < reach.until
            && same
            && self.kind == finding.kind
            && reach.ceiling.covers(finding.grade)
            && reach.rule.as_ref().is_none_or(|rule| finding.rules.contains(rule))
    }

    /// Whether it still says something about its own finding: undone it does not, and not about a surer one.
    fn stands(&self, finding: &Finding) -> bool {
        self.undone.is_none() && finding.grade <= self.grade
    }
}

/// All decisions.
#[derive(Debug, Clone, Default)]
pub struct Register {
    by_finding: BTreeMap<String, Vec<Triage>>,
    /// Suppressions that were not undone, by kind, so that a list of findings does not read every decision.
    suppressions: BTreeMap<Kind, Vec<Triage>>,
}

impl Register {
    /// The register of rows in the order in which they were written.
    #[must_use]
    pub fn new(rows: Vec<Triage>) -> Self {
        let mut register = Self::default();
        rows.into_iter().for_each(|row| register.add(row));
        register
    }

    /// Takes one more decision, the newest.
    pub fn add(&mut self, row: Triage) {
        if row.what.suppression.is_some() && row.undone.is_none() {
            self.suppressions.entry(row.kind).or_default().push(row.clone());
        }
        self.by_finding.entry(row.finding.clone()).or_default().push(row);
    }

    /// Marks a decision as undone; the finding it was about, or `None` when there is no such decision or it was undone
    /// before.
    pub fn undo(&mut self, seq: u64, at: Timestamp) -> Option<String> {
        let row =
            self.by_finding.values_mut().flatten().find(|row| row.seq == seq && row.undone.is_none())?;
        row.undone = Some(at);
        let finding = row.finding.clone();
        self.suppressions.values_mut().for_each(|rows| rows.retain(|row| row.seq != seq));
        Some(finding)
    }

    /// What was decided on the page of a finding, oldest first.
    #[must_use]
    pub fn of(&self, finding: &str) -> &[Triage] {
        self.by_finding.get(finding).map_or(&[], Vec::as_slice)
    }

    /// The suppression that reaches a finding, the one that lasts longest.
    #[must_use]
    pub fn suppression(&self, finding: &Finding, now: Timestamp) -> Option<&Triage> {
        let rows = self.suppressions.get(&finding.kind).into_iter().flatten();
        let reaching = rows.filter(|row| row.suppresses(finding, now));
        reaching.max_by_key(|row| row.what.suppression.as_ref().map(|s| s.until))
    }

    /// Suppressions that are in force, those first that end first.
    #[must_use]
    pub fn in_force(&self, now: Timestamp) -> Vec<&Triage> {
        let end = |row: &Triage| row.what.suppression.as_ref().map(|s| s.until);
        let live = |row: &&Triage| end(row).is_some_and(|until| now < until);
        let mut rows: Vec<&Triage> = self.suppressions.values().flatten().filter(live).collect();
        rows.sort_by_key(|row| end(row));
        rows
    }

    /// How a finding stands: closed, else suppressed, else as its newest decision that stands says.
    #[must_use]
    pub fn standing(&self, finding: &Finding, now: Timestamp) -> Standing {
        if finding.closed.is_some() {
            return Standing::Closed;
        }
        if self.suppression(finding, now).is_some() {
            return Standing::Suppressed;
        }
        let own = self.of(&finding.id.to_string()).iter().rev();
        let newest = own.filter(|row| row.stands(finding)).find_map(|row| match row.what.decision {
            Decision::Acknowledge => Some(Standing::Acknowledged),
            Decision::Confirm => Some(Standing::Upheld),
            Decision::FalseAlarm => Some(Standing::FalseAlarm),
            // It no longer reaches the finding.
            Decision::Suppress => None,
        });
        newest.unwrap_or(Standing::Open)
    }

    /// Whether an automatic response has to wait: the finding is suppressed, or a person called this very finding, at
    /// this grade or a higher one, a false alarm.
    #[must_use]
    pub fn holds_back(&self, finding: &Finding, now: Timestamp) -> bool {
        matches!(self.standing(finding, now), Standing::Suppressed | Standing::FalseAlarm)
    }
}

#[cfg(test)]
mod tests;
