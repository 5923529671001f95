//! Attacks: what each class does with what it stole, and the truth that is written about it.

use serde::{Deserialize, Serialize};
use touchmark_identity::event::{IdentityRef, RawDigest};
use touchmark_identity::finding::Kind;
use touchmark_identity::timestamp::Timestamp;

macro_rules! classes {
    ($($(#[$doc:meta])* $name:ident = $word:literal: [$($kind:ident),+], $concurrent:literal;)+) => {
        /// What is done to an identity.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Class { $($(#[$doc])* #[serde(rename = $word)] $name,)+ }
        impl Class {
            /// Every class.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];
            /// The word in scenarios and truth.
            #[must_use]
            pub fn as_str(self) -> &'static str { match self { $(Self::$name => $word,)+ } }
            /// The kinds of finding that name it rightly, the best first.
            #[must_use]
            pub fn kinds(self) -> &'static [Kind] { match self { $(Self::$name => &[$(Kind::$kind),+],)+ } }
            /// Whether two instances are in use at the same time.
            #[must_use]
            pub fn concurrent(self) -> bool { match self { $(Self::$name => $concurrent,)+ } }
        }
    };
}

classes! {
    /// Abroad, as often as the original.
    C1 = "C1": [Clone, ConcurrentSession], true;
    /// Abroad, every six hours.
    C2 = "C2": [Clone, ConcurrentSession], true;
    /// Same carrier and city, as often as the original.
    C3 = "C3": [Clone, ConcurrentSession], true;
    /// Same carrier and city, every six hours.
    C4 = "C4": [Clone, ConcurrentSession], true;
    /// Abroad; the original falls silent.
    C5 = "C5": [Takeover, Clone, Relocation], false;
    /// Same carrier and city; the original falls silent.
    C6 = "C6": [Takeover, Clone], false;
    /// Abroad, its counter ahead of the original's.
    C7 = "C7": [Clone, ConcurrentSession], true;
    /// Recorded messages again, three times a day.
    C8 = "C8": [Replay], true;
    /// Says each time that it has just booted.
    C9 = "C9": [Clone, ConcurrentSession], true;
    /// Says the counter and uptime that the original would.
    C10 = "C10": [Clone, ConcurrentSession], true;
    /// Many identities of a leaked master, from one network.
    FleetWide = "fleet-wide": [Clone, FleetIncident, ConcurrentSession], true;
    /// A chip signs for another host at the same time.
    Relay = "relay": [ConcurrentSession, OracleUse, Clone], true;
    /// The device itself is taken abroad.
    Stolen = "stolen": [Relocation, Behaviour, Takeover], false;
    /// Once in three to seven days.
    Slow = "slow": [Clone, ConcurrentSession], true;
    /// Connects and listens, and never sends a heartbeat.
    ReadOnly = "read-only": [ReadOnlyClone, Clone, ConcurrentSession], true;
    /// Recorded messages again after one to ten minutes.
    ReplayRecent = "replay-recent": [Replay], true;
    /// Recorded messages again after one to three days.
    ReplayOld = "replay-old": [Replay], true;
    /// Older firmware is put on the device.
    Downgrade = "downgrade": [Downgrade], false;
    /// A copy behind the victim's own address.
    Lan = "lan": [Clone, ConcurrentSession], true;
    /// A copy that stays in the victim's city at another carrier, and keeps the victim's hours.
    Geography = "geography": [Clone, ConcurrentSession], true;
    /// The device's habits are moved slowly: sizes grow by a twentieth each day.
    Poisoning = "poisoning": [Behaviour], false;
    /// One identity sends hundreds of messages an hour with numbers at random.
    Flooding = "flooding": [Clone, Behaviour, ConcurrentSession, Replay], true;
    /// Two devices were given one image and one key.
    GoldenImage = "golden-image": [InstallerDuplicate, Clone, ConcurrentSession], true;
}

/// Where a copy connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Net {
    Abroad,
    Beside,
    Rival,
    Lan,
}

impl Class {
    pub(super) fn net(self) -> Net {
        match self {
            Self::C3 | Self::C4 | Self::C6 | Self::GoldenImage => Net::Beside,
            Self::Lan => Net::Lan,
            Self::Geography => Net::Rival,
            _ => Net::Abroad,
        }
    }

    /// Seconds between uses; `None`: as often as the original.
    pub(super) fn every_s(self) -> Option<f64> {
        match self {
            Self::C2 | Self::C4 => Some(6.0 * 3600.0),
            Self::C8 | Self::ReplayRecent | Self::ReplayOld => Some(8.0 * 3600.0),
            Self::Slow => Some(5.0 * 86_400.0),
            Self::ReadOnly => Some(4.0 * 3600.0),
            Self::Relay => Some(1800.0),
            Self::Flooding => Some(10.0),
            _ => None,
        }
    }

    /// Whether it is the device itself that is changed, and nothing is copied.
    pub(crate) fn in_place(self) -> bool {
        matches!(self, Self::Stolen | Self::Downgrade | Self::Poisoning)
    }

    /// Whether it sends recorded messages.
    pub(super) fn replays(self) -> bool {
        matches!(self, Self::C8 | Self::ReplayRecent | Self::ReplayOld)
    }

    /// Whether the original falls silent at its start.
    pub(super) fn silences(self) -> bool {
        matches!(self, Self::C5 | Self::C6)
    }

    /// Whether it needs a key that can be copied: `Some(false)` is a key in a chip, `None` either.
    pub(super) fn needs_copyable(self) -> Option<bool> {
        match self {
            Self::Relay => Some(false),
            class if class.in_place() || class.replays() => None,
            _ => Some(true),
        }
    }
}

/// The format of the truth.
pub const TRUTH_SCHEMA: &str = "touchmark.truth/1";

/// What really happened to one identity: one line of `truth.ndjson`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// The format: [`TRUTH_SCHEMA`].
    pub schema: String,
    /// Names of the identity.
    pub identity: IdentityRef,
    /// The device, by its name in the registry.
    pub device: String,
    /// What was done.
    pub class: Class,
    /// The kinds of finding that name it rightly.
    pub kind: Vec<Kind>,
    /// When it began.
    pub starts: Timestamp,
    /// When it ended; the end of the simulation where it did not.
    pub ends: Timestamp,
    /// Who used the identity from then on; the original before as well.
    pub instances: Vec<Witness>,
    /// Whether they were in use at the same time.
    pub concurrent: bool,
}

/// Whether an instance is the rightful one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The device itself.
    Original,
    /// A copy of it.
    Copy,
    /// Somebody who sends what was recorded or has the chip sign.
    Proxy,
}

/// One user of an identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Witness {
    /// Its number, unique within the identity; 0 is the original.
    pub id: u8,
    /// Whether it is the rightful one.
    pub role: Role,
    /// Time of its first event in the log.
    pub first_event: Option<Timestamp>,
    /// Time of its last event in the log.
    pub last_event: Option<Timestamp>,
    /// Events of it in the log.
    pub events: u64,
    /// Times of its first ten events.
    pub first_uses: Vec<Timestamp>,
    /// Its networks, at most eight.
    pub networks: Vec<String>,
    /// When each of its boots began, at most sixteen.
    #[serde(default)]
    pub boots: Vec<Timestamp>,
    /// Its counter at its first event.
    #[serde(default)]
    pub counter_first: Option<u64>,
    /// Its counter at its last event.
    #[serde(default)]
    pub counter_last: Option<u64>,
    /// SHA-256 of its first line.
    pub sha256: Option<String>,
}

impl Witness {
    pub(super) fn new(id: u8, role: Role) -> Self {
        Self {
            id,
            role,
            first_event: None,
            last_event: None,
            events: 0,
            first_uses: Vec::new(),
            networks: Vec::new(),
            boots: Vec::new(),
            counter_first: None,
            counter_last: None,
            sha256: None,
        }
    }

    /// Takes in one line that is in the log.
    pub(super) fn note(
        &mut self,
        time_us: i64,
        counter: Option<u64>,
        asn: Option<u32>,
        booted: i64,
        line: &str,
    ) {
        let time = Timestamp::from_micros(time_us);
        if self.first_event.is_none() {
            self.first_event = Some(time);
            self.sha256 = Some(RawDigest::of(line.as_bytes()).to_string());
        }
        self.last_event = self.last_event.max(Some(time));
        self.events += 1;
        if self.first_uses.len() < 10 {
            self.first_uses.push(time);
        }
        if self.counter_first.is_none() {
            self.counter_first = counter;
        }
        self.counter_last = counter.or(self.counter_last);
        if let Some(asn) = asn
            && self.networks.len() < 8
        {
            let name = format!("AS{asn}");
            if !self.networks.contains(&name) {
                self.networks.push(name);
            }
        }
        let booted = Timestamp::from_micros(booted);
        if self.boots.len() < 16 && self.boots.last() != Some(&booted) {
            self.boots.push(booted);
        }
    }
}
