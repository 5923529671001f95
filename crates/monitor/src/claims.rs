//! What each detector saw, in words and weights: one function for each rule.

mod habit;

use touchmark_identity::assurance::Regime;
use touchmark_identity::finding::{BenignCause, Branch, EventRef, Evidence, Kind, Original};
use touchmark_identity::timestamp::Timestamp;

use crate::branch;
use crate::continuity::{Fork, Proof};
use crate::network::{Alternation, Networks};
use crate::report::{Claim, Depth, probability};
use crate::rhythm::{CERTAIN_PAIRS, TwoBeats};
use crate::settings::Limits;
use crate::words::Words;

/// Messages of an instance before the other appeared, from which on it counts as known before: two that are put to use
/// together differ by one or two.
const KNOWN_BEFORE: u8 = 3;

/// By no more than so many seconds a source's clock is wrong: a time zone that is not said, and a day.
const CLOCK_FAULT: i64 = 38 * 3_600;

/// The moment of a number of seconds since 1970.
pub(crate) fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds.saturating_mul(1_000_000))
}

/// A length of time in words, in the largest unit that keeps two digits.
pub(crate) fn span(seconds: i64) -> String {
    let seconds = seconds.abs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

pub(crate) fn evidence(sign: &str, group: &str, decibans: f64, says: String) -> Evidence {
    Evidence { sign: sign.to_owned(), decibans, group: group.to_owned(), says }
}

pub(crate) fn benign(cause: &str, rejected_because: impl Into<String>) -> BenignCause {
    BenignCause { cause: cause.to_owned(), rejected_because: rejected_because.into() }
}

/// Text that a device chose stays short in a sentence.
pub(crate) fn bounded(text: String) -> String {
    if text.len() <= 400 { text } else { text.chars().take(200).collect() }
}

/// Firmware that is older than allowed or than before.
#[derive(Debug)]
pub(crate) struct Lowered {
    /// It is below the registry's floor.
    pub(crate) below: bool,
    /// The versions, in words.
    pub(crate) what: String,
    /// Its security version went back.
    pub(crate) less_secure: bool,
    /// The registry has a floor for it.
    pub(crate) allowed: bool,
    /// Its security version is known.
    pub(crate) secure: bool,
    /// It ran until lately.
    pub(crate) rolled_back: bool,
}

/// What a claim is made of beside the sign itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) words: &'a Words,
    pub(crate) networks: &'a Networks,
    pub(crate) regime: Regime,
}

impl Scene<'_> {
    /// The kind under which two instances are reported: a key that is proven to live in a chip was hardly copied.
    pub(crate) fn two_instances(&self) -> Kind {
        match self.regime {
            Regime::Duplication => Kind::Clone,
            Regime::Behaviour => Kind::ConcurrentSession,
        }
    }

    /// An instance as a finding shows it.
    pub(crate) fn describe(&self, branch: &branch::Branch) -> Branch {
        let firmware = self.words.say(branch.firmware);
        Branch {
            id: u32::from(branch.id),
            first_seen: Some(moment(branch.first())),
            last_seen: Some(moment(branch.last())),
            sightings: Some(u64::from(branch.sightings())),
            booted: branch.epoch().map(moment),
            boot_count: branch.boot_number(),
            counter_first: branch.counter_first(),
            counter_last: branch.counter_last(),
            networks: self.networks.of(branch.networks).iter().map(ToString::to_string).collect(),
            firmware: firmware.into_iter().collect(),
        }
    }

    fn told(&self, branch: &branch::Branch) -> String {
        let booted = branch.epoch().map(|epoch| format!(", up since {}", moment(epoch))).unwrap_or_default();
        let counted = match (branch.counter_first(), branch.counter_last()) {
            (Some(first), Some(last)) => format!(", counter {first} to {last}"),
            _ => String::new(),
        };
        let networks: Vec<String> =
            self.networks.of(branch.networks).iter().map(ToString::to_string).collect();
        let networks =
            if networks.is_empty() { String::new() } else { format!(", from {}", networks.join(" and ")) };
        format!("instance {}{booted}{counted}{networks}", branch.id)
    }

    /// Two networks alternate. `unbroken`: one sequence went on from one to the other; `beats`: the identity sends what
    /// has continuity.
    pub(crate) fn alternation(
        &self,
        alternation: &Alternation,
        unbroken: bool,
        beats: bool,
        began: (Timestamp, EventRef),
    ) -> Claim {
        let [home, other] = alternation.pair;
        let mut signs = vec![alternation.evidence()];
        if unbroken {
            let says = "heartbeats went on from one network to the other in one unbroken sequence".to_owned();
            signs.push(evidence("continuity.unbroken", "continuity", -15.0, says));
        } else if beats {
            let says = "its heartbeats are unbroken so far; one from the other network may have been lost";
            signs.push(evidence("continuity.so-far", "continuity", -6.0, says.to_owned()));
        }
        let [home_seen, other_seen] = alternation.seen;
        let branch = |id: u32, network: String, (first, last): (i64, i64)| Branch {
            id,
            first_seen: Some(moment(first)),
            last_seen: Some(moment(last)),
            networks: vec![network],
            ..Branch::default()
        };
        let mut causes = vec![
            benign(
                "the device moved from one network to the other",
                "a move does not come back within minutes, again and again",
            ),
            benign(
                "two uplinks, such as two SIM cards or Wi-Fi beside LTE",
                "not rejected: no heartbeat with continuity shows one device on both networks",
            ),
            benign(
                "a VPN or a carrier's pool of addresses",
                "not rejected: it would look the same in a connection log",
            ),
        ];
        if self.two_instances() == Kind::ConcurrentSession {
            causes.extend(self.of_a_chip());
        }
        Claim {
            kind: self.two_instances(),
            rules: vec!["network.return"],
            seen: format!(
                "it connected from {home}, then from {other}, and came back {} times within minutes.",
                alternation.returns
            ),
            evidence: signs,
            impossible: false,
            confirm_after: 1,
            began,
            branches: vec![branch(0, home.to_string(), home_seen), branch(1, other.to_string(), other_seen)],
            original: None,
            benign: causes,
            depth: Depth::Network,
        }
    }

    /// Two networks that each keep a beat of their own.
    pub(crate) fn two_beats(&self, two: &TwoBeats, began: (Timestamp, EventRef)) -> Claim {
        let [home, other] = two.networks;
        let [home_beat, other_beat] = two.periods.map(|period| span(i64::from(period)));
        let says = format!(
            "connections come from {home} every {home_beat} and from {other} every {other_beat}, each when they are due by \
             their own beat, and between those of the other: {} pairs",
            two.pairs
        );
        let branch = |id: u32, network: String, (first, last): (i64, i64)| Branch {
            id,
            first_seen: Some(moment(first)),
            last_seen: Some(moment(last)),
            networks: vec![network],
            ..Branch::default()
        };
        let mut causes = vec![
            benign(
                "one device with two uplinks that it uses in turn",
                "it would keep one beat over both; here each keeps its own, out of step",
            ),
            benign(
                "a device that connects more often than before",
                "the habitual network keeps its old beat",
            ),
            benign(
                "two programs of one device, each with an uplink and a timer of its own",
                "not rejected: but the identity was used at one beat in one network before",
            ),
        ];
        if self.two_instances() == Kind::ConcurrentSession {
            causes.extend(self.of_a_chip());
        }
        let [home_seen, other_seen] = two.seen;
        Claim {
            kind: self.two_instances(),
            rules: vec!["network.beats"],
            evidence: vec![evidence("beat.second", "network", two.decibans, says.clone())],
            impossible: two.pairs >= CERTAIN_PAIRS,
            confirm_after: 1,
            began,
            branches: vec![branch(0, home.to_string(), home_seen), branch(1, other.to_string(), other_seen)],
            original: Some(Original { branch: 0, probability: probability(10.0) }),
            benign: causes,
            seen: format!("{says}. That is two devices' worth of connections."),
            depth: Depth::Network,
        }
    }

    /// What is left when a key that lives in a chip is used from two places at once.
    pub(crate) fn of_a_chip(&self) -> [BenignCause; 3] {
        [
            benign(
                "a compromised host that lets others sign with its chip",
                "not rejected: ask for evidence over a fresh nonce",
            ),
            benign(
                "the same key put into two chips on the line",
                "not rejected: compare with the line's journal",
            ),
            benign(
                "half-open connections or a fault in the log",
                "both sides went on after the overlap had begun",
            ),
        ]
    }

    /// Two connections from different networks are both in use.
    pub(crate) fn overlap(
        &self,
        old: (String, i64),
        new: (String, i64),
        unbroken: bool,
        now: i64,
        event: EventRef,
    ) -> Claim {
        let says = format!(
            "a connection from {} that was opened at {} is in use beside one from {} that was opened at {}",
            old.0,
            moment(old.1),
            new.0,
            moment(new.1)
        );
        let mut signs = vec![evidence("session.overlap", "session", 42.0, says.clone())];
        if unbroken {
            let words = "the counters over both connections form one sequence".to_owned();
            signs.push(evidence("continuity.unbroken", "continuity", -15.0, words));
        }
        let branch = |id: u32, (network, first): (String, i64)| Branch {
            id,
            first_seen: Some(moment(first)),
            last_seen: Some(moment(now)),
            networks: vec![network],
            ..Branch::default()
        };
        let mut causes = vec![benign(
            "an old connection that nobody closed (half-open)",
            "messages came over it after the new one had been opened, longer than a handover takes",
        )];
        causes.push(benign(
            "two uplinks in use at once",
            if unbroken {
                "not rejected: the counters over both form one sequence"
            } else {
                "not rejected by the connections alone: no counter joins the two"
            },
        ));
        if self.two_instances() == Kind::ConcurrentSession {
            causes.extend(self.of_a_chip());
        }
        Claim {
            kind: self.two_instances(),
            rules: vec!["session.overlap"],
            seen: format!("{says}; messages came over both in turn."),
            evidence: signs,
            impossible: self.regime == Regime::Behaviour && !unbroken,
            confirm_after: 2,
            began: (moment(now), event),
            branches: vec![branch(0, old), branch(1, new)],
            original: None,
            benign: causes,
            depth: Depth::Network,
        }
    }

    /// Two instances showed in what the device says itself.
    pub(crate) fn fork(&self, fork: &Fork, began: (Timestamp, EventRef)) -> Claim {
        let (older, younger) = (&fork.older, &fork.younger);
        let (sign, confirm_after, rule) = self.proof(fork);
        let mut signs = vec![sign];
        let mut rules = vec![rule];
        if let Some(generations) = fork.stale_token {
            let age =
                if generations > 1_000 { "long".to_owned() } else { format!("{generations} generations") };
            let says = format!("a token was presented that had been replaced {age} ago");
            signs.push(evidence("token.used", "token", 25.0, says));
            if !rules.contains(&"continuity.token") {
                rules.push("continuity.token");
            }
        }
        let apart = older.networks & younger.networks == 0;
        let known = older.networks != 0 && younger.networks != 0;
        if known && apart {
            let says = "the two use different networks".to_owned();
            signs.push(evidence("network.differs", "network", 6.0, says));
        } else if known && older.id != younger.id {
            let says = "the two were seen in one network, as on an installer's bench".to_owned();
            signs.push(evidence("network.shared", "network", -3.0, says));
        }
        let stacks = (older.stack != younger.stack).then_some((older.stack, younger.stack));
        if let Some((ours, theirs)) = stacks.filter(|(a, b)| *a != 0 && *b != 0)
            && older.firmware == younger.firmware
        {
            let [ours, theirs] = [ours, theirs].map(|stack| self.words.say(stack).unwrap_or_default());
            let says = bounded(format!("the same firmware opens TLS in two ways: {ours} and {theirs}"));
            signs.push(evidence("stack.differs", "stack", 10.0, says));
        }
        if older.firmware != younger.firmware && older.firmware != 0 && younger.firmware != 0 {
            let [ours, theirs] = [older, younger].map(|b| self.words.say(b.firmware).unwrap_or_default());
            let says = bounded(format!("the two report different firmware in turn: {ours} and {theirs}"));
            signs.push(evidence("firmware.differs", "firmware", 5.0, says));
        }
        let clocks = fork.proof != Proof::Tokens;
        if fork.sources_apart && !fork.corroborated && clocks {
            let says = "the boots were timed by several sources, whose clocks may differ".to_owned();
            signs.push(evidence("source.differs", "source", -5.0, says));
        }
        if fork.one_sequence && matches!(fork.proof, Proof::Boots { .. }) {
            let says = "the counters of the two form one sequence, as those of one device do".to_owned();
            signs.push(evidence("continuity.unbroken", "continuity", -15.0, says));
        }
        let second = if older.first() <= younger.first() { younger } else { older };
        let branches = match fork.proof {
            Proof::Reuse => vec![self.describe(older)],
            _ => vec![self.describe(older), self.describe(younger)],
        };
        // Two that were there from the beginning, in one network: an image that was put on two devices.
        let from_the_start = second.history < 2 && known && !apart && older.id != younger.id;
        let kind = match self.two_instances() {
            Kind::Clone if from_the_start => Kind::InstallerDuplicate,
            kind => kind,
        };
        Claim {
            kind,
            rules,
            evidence: signs,
            // A chain of tokens is in order whatever the clocks say, and whatever is counted.
            impossible: confirm_after < u64::MAX && !(fork.one_sequence && clocks),
            confirm_after,
            began,
            branches,
            original: original(fork, second, known && apart),
            benign: self.fork_benign(fork),
            seen: self.told_fork(fork),
            depth: Depth::Message,
        }
    }

    fn proof(&self, fork: &Fork) -> (Evidence, u64, &'static str) {
        let (older, younger) = (&fork.older, &fork.younger);
        match fork.proof {
            Proof::Boots { overlap } => (
                evidence(
                    "boot.overlap",
                    "boot",
                    if fork.sources_apart { 45.0 } else { 60.0 },
                    format!(
                        "instance {} went on for {} after instance {} had booted; one device ends the older boot",
                        older.id,
                        span(overlap),
                        younger.id
                    ),
                ),
                match (fork.corroborated, fork.sources_apart) {
                    (true, _) => 1,
                    (false, false) => 2,
                    (false, true) if fork.both_chains => 3,
                    // No clock of a source is wrong by more than a day and a time zone.
                    (false, true) if overlap > CLOCK_FAULT && !fork.one_sequence => 4,
                    (false, true) => u64::MAX,
                },
                "continuity.return",
            ),
            Proof::Counter => (
                evidence(
                    "counter.return",
                    "counter",
                    60.0,
                    format!(
                        "within one boot the counter went back below {}, and then the older sequence went on",
                        older.counter_last().unwrap_or_default()
                    ),
                ),
                1,
                "continuity.return",
            ),
            Proof::Reuse => (
                evidence(
                    "counter.reused",
                    "counter",
                    60.0,
                    "within one boot, counters are used twice by messages that differ, again and again"
                        .to_owned(),
                ),
                1,
                "continuity.reuse",
            ),
            Proof::BootNumber => (
                evidence(
                    "boot-number.return",
                    "boot",
                    42.0,
                    format!(
                        "a message of the older boot came after instance {} had begun a later one",
                        younger.id
                    ),
                ),
                2,
                "continuity.return",
            ),
            Proof::BareCounter => (
                evidence(
                    "counter.return",
                    "counter",
                    if fork.corroborated { 45.0 } else { 42.0 },
                    "the counter went back, and then the older sequence went on".to_owned(),
                ),
                2,
                "continuity.return",
            ),
            Proof::Tokens => (
                evidence(
                    "token.branches",
                    "token",
                    45.0,
                    "two chains of server-issued tokens are alive; one device holds one".to_owned(),
                ),
                if fork.corroborated { 1 } else { 2 },
                "continuity.token",
            ),
        }
    }

    fn fork_benign(&self, fork: &Fork) -> Vec<BenignCause> {
        let mut causes = vec![
            benign("a reboot or a re-installation", "it ends the older sequence; here the older one went on"),
            benign(
                "a lost reply or a retry",
                "it repeats the newest message; here two sequences went on in turn",
            ),
            benign(
                "late or reordered delivery",
                format!(
                    "moments are compared when messages were made, with a tolerance of {}",
                    span(self.limits.clock_tolerance)
                ),
            ),
        ];
        causes.push(match (fork.sources_apart, fork.corroborated) {
            (true, false) => {
                benign("a source with a wrong clock", "not rejected: compare the sources' clocks")
            }
            _ => benign(
                "a source with a wrong clock",
                "it would leave counters and tokens in one sequence, or both instances come from one source",
            ),
        });
        causes.push(match self.two_instances() {
            Kind::ConcurrentSession => benign(
                "a compromised host that lets others sign with its chip, or one key in two chips",
                "not rejected: ask for evidence over a fresh nonce and compare with the line's journal",
            ),
            _ => benign(
                "an installer who put one image on two devices",
                "not rejected: it is a second instance all the same; look for it where both are in one place",
            ),
        });
        causes
    }

    fn told_fork(&self, fork: &Fork) -> String {
        let why = match fork.proof {
            Proof::Boots { overlap } => format!(
                "The older boot was alive {} after the younger one began, which one device cannot do.",
                span(overlap)
            ),
            Proof::Counter | Proof::BareCounter => {
                "The counter went back and then the older sequence went on, which one device does not do."
                    .to_owned()
            }
            Proof::Reuse => {
                return format!(
                    "two instances answer under one identity in step with each other ({}): each counter is used twice, \
                     by messages that differ. They imitate one boot, so they cannot be told apart by what they say.",
                    self.told(&fork.older)
                );
            }
            Proof::BootNumber => {
                "The older boot spoke again after the younger one, which one device does not do.".to_owned()
            }
            Proof::Tokens => {
                "Each goes on with its own chain of tokens, of which one device holds one.".to_owned()
            }
        };
        let (older, younger) = (self.told(&fork.older), self.told(&fork.younger));
        format!("two instances answer under one identity: {older}; {younger}. {why}")
    }

    /// Another instance has taken the place of the one that was known: `signs` are what changed with its first message.
    pub(crate) fn takeover(
        &self,
        signs: Vec<Evidence>,
        before: Option<&branch::Branch>,
        now: &branch::Branch,
        began: (Timestamp, EventRef),
    ) -> Claim {
        let mut branches: Vec<Branch> = before.map(|branch| self.describe(branch)).into_iter().collect();
        branches.push(self.describe(now));
        let what: Vec<&str> = signs.iter().map(|sign| sign.says.as_str()).collect();
        let chip = self.regime == Regime::Behaviour;
        let (kind, what_it_is, otherwise) = if chip {
            (Kind::Transplant, "the chip seems to work on another board than before", "on a repaired board")
        } else {
            (
                Kind::Takeover,
                "another instance seems to have taken the place of the one that was known",
                "from a repaired device with an old backup",
            )
        };
        let cannot = if chip {
            "a chip that was carried off cannot be told from one"
        } else {
            "a copy cannot be told"
        };
        Claim {
            kind,
            rules: vec!["instance.changed"],
            seen: bounded(format!(
                "{what_it_is}: {}. The earlier one has been silent since; as long as it is, {cannot} {otherwise}.",
                what.join("; ")
            )),
            evidence: signs,
            impossible: false,
            confirm_after: 1,
            began,
            branches,
            original: None,
            benign: vec![
                benign("a backup that was restored", "not rejected: ask whether the device was serviced"),
                benign(
                    if chip {
                        "a board that was exchanged, with the chip moved over"
                    } else {
                        "a board that was exchanged with its storage"
                    },
                    "not rejected: compare with the service records",
                ),
                benign("a reboot or an update", "it leaves the token and the counter in their sequence"),
            ],
            depth: Depth::Message,
        }
    }

    /// Connections from another network go without a heartbeat, while the heartbeats go on elsewhere.
    pub(crate) fn read_only(
        &self,
        heard: &str,
        silent: &str,
        times: u8,
        unbroken: bool,
        began: (Timestamp, EventRef),
    ) -> Claim {
        let says = format!(
            "{times} times in turn it connected from {silent} and sent nothing, while its heartbeats came from {heard}"
        );
        let mut signs = vec![evidence("session.silent", "session", 42.0, says.clone())];
        if unbroken {
            let words =
                "heartbeats went on from one network to the other in one unbroken sequence".to_owned();
            signs.push(evidence("continuity.unbroken", "continuity", -15.0, words));
        }
        // Who has a key that lives in a chip has the chip sign for each of these connections.
        let (kind, seen) = match self.regime {
            Regime::Duplication => (
                Kind::ReadOnlyClone,
                format!(
                    "{says}. A second instance may be listening; what it receives cannot be seen in these events."
                ),
            ),
            Regime::Behaviour => (
                Kind::OracleUse,
                format!("{says}. The chip may be signing for somebody else, who connects in its name."),
            ),
        };
        Claim {
            kind,
            rules: vec!["session.silent"],
            seen,
            evidence: signs,
            impossible: false,
            confirm_after: 1,
            began,
            branches: Vec::new(),
            original: None,
            benign: vec![
                benign(
                    "a second uplink that is kept open as a spare",
                    "not rejected: heartbeats over it would show it",
                ),
                benign("heartbeats that were lost", "they would have been lost from one network alone"),
            ],
            depth: Depth::Network,
        }
    }

    /// A device that is bound to its chip is used away from where it is installed.
    pub(crate) fn relocation(
        &self,
        km: f64,
        allowed_km: f64,
        times: u8,
        new_network: bool,
        began: (Timestamp, EventRef),
    ) -> Claim {
        let says = format!(
            "in {times} hours in turn it was used {km:.0} km away from where it is installed; {allowed_km:.0} km are allowed"
        );
        let mut signs = vec![evidence("place.away", "place", 42.0, says.clone())];
        if !new_network {
            let words =
                "it comes from the network that it used at home; the database may have moved it".to_owned();
            signs.push(evidence("network.habitual", "network", -15.0, words));
        }
        Claim {
            kind: Kind::Relocation,
            rules: vec!["place.away"],
            seen: format!("{says}."),
            evidence: signs,
            impossible: false,
            confirm_after: 1,
            began,
            branches: Vec::new(),
            original: None,
            benign: vec![
                benign("a planned move", "not rejected: compare with the work orders"),
                benign(
                    "an error of the address database",
                    if new_network {
                        "not rejected: but the network is another one as well"
                    } else {
                        "not rejected: the network is the one it used at home"
                    },
                ),
            ],
            depth: Depth::Network,
        }
    }

    /// Older firmware than allowed or than before.
    pub(crate) fn downgrade(
        &self,
        lowered: Lowered,
        branch: Option<&branch::Branch>,
        began: (Timestamp, EventRef),
    ) -> Claim {
        let Lowered { below, what, less_secure, allowed, secure, rolled_back } = lowered;
        let mut causes = vec![if below {
            benign(
                "a planned roll-back",
                "the registry's floor forbids it; lower the floor first if it is wanted",
            )
        } else {
            benign(
                "a planned roll-back, or a failed update that fell back",
                "not rejected: compare with the release plan",
            )
        }];
        let mut signs = vec![evidence(
            if below { "version.below-floor" } else { "version.lower" },
            "version",
            if below { 60.0 } else { 42.0 },
            format!("it reported {what}"),
        )];
        let harmless = [
            (allowed, "version.allowed", "the registry's floor allows it"),
            (secure, "security-version.kept", "its security version did not go back"),
            (rolled_back, "version.rolled-back", "it is what ran until an update within the last three days"),
        ];
        for (_, sign, says) in harmless.into_iter().filter(|(holds, ..)| *holds && !below && !less_secure) {
            signs.push(evidence(sign, "roll-back", -15.0, says.to_owned()));
            causes.push(benign("a roll-back that is allowed", format!("not rejected: {says}")));
        }
        Claim {
            kind: Kind::Downgrade,
            rules: vec![if below { "downgrade.floor" } else { "downgrade.lower" }],
            evidence: signs,
            impossible: below,
            confirm_after: 1,
            began,
            branches: branch.map(|branch| self.describe(branch)).into_iter().collect(),
            original: None,
            benign: causes,
            seen: format!("it reported {what}."),
            depth: Depth::Message,
        }
    }
}

fn replay_benign() -> Vec<BenignCause> {
    vec![
        benign("a lost reply or a retry", "a retry comes at once and before the next message"),
        benign("a log line written twice", "the two carry different times"),
    ]
}

/// A message came again, `progressed` after later ones.
pub(crate) fn replay(counter: Option<u64>, first: i64, now: i64, progressed: bool, event: EventRef) -> Claim {
    let says = format!(
        "a message with counter {} that was taken at {} came again {} later, unchanged",
        counter.unwrap_or_default(),
        moment(first),
        span(now - first)
    );
    let mut causes = replay_benign();
    if !progressed {
        causes.push(benign(
            "a device that repeats its last message when it is reconnected",
            "not rejected: no later message was seen",
        ));
    }
    Claim {
        kind: Kind::Replay,
        rules: vec!["replay.message"],
        evidence: vec![evidence(
            "message.repeated",
            "message",
            if progressed { 60.0 } else { 42.0 },
            says.clone(),
        )],
        impossible: progressed,
        confirm_after: 1,
        began: (moment(now), event),
        branches: Vec::new(),
        original: None,
        benign: causes,
        seen: format!("{says}."),
        depth: Depth::Message,
    }
}

/// A message came again, and the device went on with the reply to the first (`answered`), or the boot that it was copied
/// from went on.
pub(crate) fn replay_shown(first: i64, again: i64, now: i64, answered: bool, event: EventRef) -> Claim {
    let how = if answered {
        "the device went on with the reply to the first"
    } else {
        "the boot that it was copied from went on"
    };
    let says = format!(
        "a message of {} came again at {}, and {how} at {}",
        moment(first),
        moment(again),
        moment(now)
    );
    Claim {
        kind: Kind::Replay,
        rules: vec!["replay.message"],
        evidence: vec![evidence("message.repeated", "message", 60.0, says.clone())],
        impossible: true,
        confirm_after: 1,
        began: (moment(again), event),
        branches: Vec::new(),
        original: None,
        benign: replay_benign(),
        seen: format!("{says}."),
        depth: Depth::Message,
    }
}

/// The instance whose boot was known before the other appeared is the likely original, the surer the more it had been
/// seen by then; who holds a token says little, because the thief may use it first. Without boots only the habitual
/// network is left.
fn original(fork: &Fork, second: &branch::Branch, networks_apart: bool) -> Option<Original> {
    if second.history < KNOWN_BEFORE || fork.proof == Proof::Reuse {
        return None;
    }
    let first = if second.id == fork.older.id { &fork.younger } else { &fork.older };
    // The copy may have been there before the original rebooted: whose network was used before both is the original.
    if let Some(before) = fork.before.filter(|before| !before.ended() && networks_apart)
        && before.networks & first.networks == 0
        && before.networks & second.networks != 0
    {
        return Some(Original { branch: u32::from(second.id), probability: probability(10.0) });
    }
    let boot: f64 = match fork.proof {
        Proof::Boots { .. } => 17.0,
        Proof::Counter => 8.0,
        _ => 0.0,
    };
    let known = boot.min(4.0 * f64::from(second.history));
    let decibans = known + if networks_apart { 6.0 } else { 0.0 };
    (decibans > 0.0).then(|| Original { branch: u32::from(first.id), probability: probability(decibans) })
}
