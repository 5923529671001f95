//! One identity: its instances, its networks, and the findings that are open about it.

use std::cmp::Ordering;

use touchmark_identity::assurance::Regime;
use touchmark_identity::event::{
    AntiRollbackFloor, Authentication, Event, EventBody, Heartbeat, IdentityRef, RawDigest, Registry,
};
use touchmark_identity::finding::{BenignCause, Branch, EventRef, Evidence, Finding, Kind, Original};
use touchmark_identity::timestamp::Timestamp;

use crate::continuity::{Continuity, Fork, Placed, Proof, Sample};
use crate::network::{Alternation, Network, Stays};
use crate::remember::{Remembered, hash64, hash128};
use crate::report::{Claim, Depth, Open, Subject, probability};
use crate::settings::Limits;
use crate::version;

/// Connections whose network is remembered, for messages that name the connection only.
pub(crate) const SESSIONS: usize = 4;

/// What the registry says.
#[derive(Debug)]
struct Facts {
    since: Timestamp,
    registry: Registry,
}

/// A message that came again without a token; whether it was a replay shows when the old boot goes on.
#[derive(Debug)]
struct Echo {
    time: i64,
    source: u64,
    epoch: i64,
    first: i64,
    event: EventRef,
}

/// One identity.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) identity: IdentityRef,
    facts: Option<Box<Facts>>,
    continuity: Continuity,
    stays: Stays,
    sessions: Vec<(u64, Network)>,
    /// The latest message that was given a place.
    latest: Option<u64>,
    echo: Option<Box<Echo>>,
    open: Vec<Open>,
}

/// The messages of all devices, and the number under which those of this one are kept.
#[derive(Debug)]
pub(crate) struct Memory<'a> {
    pub(crate) messages: &'a mut Remembered<i64>,
    pub(crate) serial: u64,
}

/// Where an event came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) event: &'a Event,
    pub(crate) raw: RawDigest,
}

impl Origin<'_> {
    fn to_ref(self) -> EventRef {
        EventRef {
            source: self.event.source.clone(),
            event_id: self.event.event_id.clone(),
            sha256: self.raw,
        }
    }

    fn time(self) -> i64 {
        self.event.time.micros() / 1_000
    }
}

/// No device has been up for longer than 100 years; what says so says nothing.
const UPTIME_MAX_MS: i64 = 100 * 366 * 86_400_000;

fn uptime(ms: Option<u64>) -> Option<i64> {
    ms.and_then(|ms| i64::try_from(ms).ok()).filter(|ms| *ms <= UPTIME_MAX_MS)
}

fn moment(ms: i64) -> Timestamp {
    Timestamp::from_micros(ms.saturating_mul(1_000))
}

/// A length of time in words, in the largest unit that keeps two digits.
fn span(ms: i64) -> String {
    let seconds = ms.abs() / 1_000;
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn evidence(sign: &str, group: &str, decibans: f64, says: String) -> Evidence {
    Evidence { sign: sign.to_owned(), decibans, group: group.to_owned(), says }
}

fn benign(cause: &str, rejected_because: impl Into<String>) -> BenignCause {
    BenignCause { cause: cause.to_owned(), rejected_because: rejected_because.into() }
}

impl Track {
    pub(crate) fn new(identity: IdentityRef) -> Self {
        Self {
            identity,
            facts: None,
            continuity: Continuity::default(),
            stays: Stays::default(),
            sessions: Vec::new(),
            latest: None,
            echo: None,
            open: Vec::new(),
        }
    }

    pub(crate) fn device(&self) -> Option<&str> {
        self.facts.as_ref().map(|facts| facts.registry.device.as_str())
    }

    /// Takes over what is known of an identity that turned out to be this one.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.continuity.absorb(other.continuity);
        self.stays.absorb(other.stays);
        self.latest = self.latest.or(other.latest);
        for open in other.open {
            if !self.open.iter().any(|known| known.kind() == open.kind()) {
                self.open.push(open);
            }
        }
    }

    /// Learns what the registry says; absent fields keep what was said before, older lines change nothing. A device
    /// that is revoked or retired has its findings closed.
    pub(crate) fn learn(&mut self, at: Timestamp, identity: &IdentityRef, new: &Registry) -> Vec<Finding> {
        if self.facts.as_ref().is_some_and(|facts| at < facts.since) {
            return Vec::new();
        }
        self.identity = identity.clone();
        let mut registry = Registry { aliases: Vec::new(), ..new.clone() };
        if let Some(old) = self.facts.take() {
            registry.device_type = registry.device_type.or(old.registry.device_type);
            registry.assurance = registry.assurance.or(old.registry.assurance);
            registry.home = registry.home.or(old.registry.home);
            registry.anti_rollback_floor = registry.anti_rollback_floor.or(old.registry.anti_rollback_floor);
            registry.status = registry.status.or(old.registry.status);
        }
        let over = registry.status.clone().filter(|status| matches!(status.as_str(), "revoked" | "retired"));
        self.facts = Some(Box::new(Facts { since: at, registry }));
        match over {
            Some(status) => {
                let why = format!("the registry says that the identity is {status}");
                self.open.drain(..).map(|open| open.close(at, &why)).collect()
            }
            None => Vec::new(),
        }
    }

    fn subject(&self) -> Subject<'_> {
        let assurance = self.facts.as_ref().and_then(|facts| facts.registry.assurance.as_ref());
        Subject {
            identity: &self.identity,
            device: self.device(),
            regime: assurance.map_or(Regime::Duplication, |assurance| assurance.regime()),
            basis: assurance.map_or_else(|| "unregistered".to_owned(), |assurance| assurance.summary()),
        }
    }

    fn report(&mut self, claim: Claim, origin: Origin<'_>, out: &mut Vec<Finding>) {
        let mut open = std::mem::take(&mut self.open);
        let (detected, event) = (origin.event.time, origin.to_ref());
        let subject = self.subject();
        match open.iter_mut().find(|open| open.kind() == claim.kind) {
            Some(known) => out.extend(known.grow(&subject, claim, detected, event)),
            None => {
                if let Some((new, finding)) = Open::begin(&subject, claim, detected, event) {
                    open.push(new);
                    out.push(finding);
                }
            }
        }
        self.open = open;
    }

    /// Takes one event and gives what it led to.
    pub(crate) fn observe(
        &mut self,
        limits: &Limits,
        memory: Memory<'_>,
        origin: Origin<'_>,
    ) -> Vec<Finding> {
        let mut out = Vec::new();
        match &origin.event.body {
            EventBody::Authentication(body) => self.authenticated(limits, body, origin, &mut out),
            EventBody::Heartbeat(body) => self.heartbeat(limits, memory, body, origin, &mut out),
            EventBody::SessionEnd(end) => {
                self.sessions.retain(|(session, _)| *session != hash64(&end.session))
            }
            EventBody::Registry(_) => {}
        }
        out
    }

    fn authenticated(
        &mut self,
        limits: &Limits,
        body: &Authentication,
        origin: Origin<'_>,
        out: &mut Vec<Finding>,
    ) {
        let network = body.peer.as_ref().map(Network::of);
        let session = hash64(&body.session);
        let connected = !self.sessions.iter().any(|(known, _)| *known == session);
        if let Some(network) = network {
            self.sessions.retain(|(known, _)| *known != session);
            if self.sessions.len() == SESSIONS {
                self.sessions.remove(0);
            }
            self.sessions.push((session, network));
        }
        let sample = Sample {
            time: origin.time(),
            uptime: uptime(body.uptime_ms),
            counter: body.counter,
            boot_count: None,
            boot_id: body.boot_id.as_ref().map(hash64),
            token: body.token.as_ref().map(hash64),
            issued: body.token_issued.as_ref().map(hash64),
            network,
            firmware: body.firmware.as_deref(),
            security_version: None,
            source: hash64(&origin.event.source),
        };
        self.place(limits, &sample, origin, out);
        if let Some(network) = network {
            self.visited(limits, network, connected, origin, out);
        }
    }

    fn heartbeat(
        &mut self,
        limits: &Limits,
        memory: Memory<'_>,
        body: &Heartbeat,
        origin: Origin<'_>,
        out: &mut Vec<Finding>,
    ) {
        let session = body.session.as_ref().map(hash64);
        let of_session = session
            .and_then(|session| self.sessions.iter().find(|(known, _)| *known == session))
            .map(|(_, net)| *net);
        let network = body.peer.as_ref().map(Network::of).or(of_session);
        let sample = Sample {
            time: origin.time(),
            uptime: uptime(body.uptime_ms),
            counter: body.counter,
            boot_count: body.boot_count,
            boot_id: None,
            token: body.token.as_ref().map(hash64),
            issued: body.token_issued.as_ref().map(hash64),
            network,
            firmware: body.firmware.as_deref(),
            security_version: body.security_version,
            source: hash64(&origin.event.source),
        };
        if self.came_again(limits, memory, body, &sample, origin, out) {
            return;
        }
        self.place(limits, &sample, origin, out);
        if let Some(network) = of_session {
            self.visited(limits, network, false, origin, out);
        }
    }

    /// Whether the very same message was taken before: a retry, a second delivery, or a replay, which is reported.
    fn came_again(
        &mut self,
        limits: &Limits,
        memory: Memory<'_>,
        body: &Heartbeat,
        sample: &Sample<'_>,
        origin: Origin<'_>,
        out: &mut Vec<Finding>,
    ) -> bool {
        let unique = body.token.is_some() || body.counter_quote.is_some();
        if body.counter.is_none() || !(unique || body.uptime_ms.is_some()) {
            return false;
        }
        let content = hash128((
            memory.serial,
            (body.counter, body.uptime_ms, body.boot_count, body.security_version, body.bytes),
            (&body.firmware, &body.device_type, &body.token, body.device_time),
            &body.counter_quote,
        ));
        let Some(first) = memory.messages.first_or_insert(content, sample.time) else {
            self.latest = Some(hash64(content));
            return false;
        };
        let age = sample.time - first;
        if age.abs() <= limits.retry_window {
            return true;
        }
        let progressed = self.latest != Some(hash64(content));
        if progressed && unique {
            let claim = replay_claim(body, sample, first, true, origin.to_ref());
            self.report(claim, origin, out);
        } else if progressed {
            if let Some(epoch) = sample.epoch() {
                self.echo = Some(Box::new(Echo {
                    time: sample.time,
                    source: sample.source,
                    epoch,
                    first,
                    event: origin.to_ref(),
                }));
            }
        } else if age > limits.boot_tolerance && body.uptime_ms.is_some() && unique {
            let claim = replay_claim(body, sample, first, false, origin.to_ref());
            self.report(claim, origin, out);
        }
        true
    }

    fn place(&mut self, limits: &Limits, sample: &Sample<'_>, origin: Origin<'_>, out: &mut Vec<Finding>) {
        let placed = if sample.places() {
            self.continuity.place(limits, sample, || origin.to_ref())
        } else {
            Placed::default()
        };
        self.settle_echo(limits, sample, &placed, origin, out);
        if let Some(fork) = &placed.fork
            && let Some(claim) = self.fork_claim(limits, fork)
        {
            self.report(claim, origin, out);
        }
        if let Some(claim) = self.downgrade_claim(sample, &placed, origin) {
            self.report(claim, origin, out);
        }
    }

    /// A message that came again was a replay if the boot that it was copied from goes on afterwards; a device that
    /// has booted may by chance say the same again.
    fn settle_echo(
        &mut self,
        limits: &Limits,
        sample: &Sample<'_>,
        placed: &Placed,
        origin: Origin<'_>,
        out: &mut Vec<Finding>,
    ) {
        let Some(echo) = &self.echo else { return };
        let Some(branch) = placed.branch.and_then(|id| self.continuity.branch(id)) else { return };
        let Some(epoch) = branch.epoch else { return };
        // Only one clock can tell an older boot from a later one.
        if sample.time < echo.time || branch.source != Some(echo.source) {
            return;
        }
        let Some(echo) = self.echo.take() else { return };
        if echo.epoch - epoch > limits.boot_tolerance {
            let says = format!(
                "a message of {} came again at {}, and the boot that it was copied from went on at {}",
                moment(echo.first),
                moment(echo.time),
                moment(sample.time)
            );
            let claim = Claim {
                kind: Kind::Replay,
                rules: vec!["replay.message"],
                evidence: vec![evidence("message.repeated", "message", 60.0, says.clone())],
                impossible: true,
                confirm_after: 1,
                began: (moment(echo.time), echo.event),
                branches: Vec::new(),
                original: None,
                benign: replay_benign(),
                seen: format!("{says}."),
                depth: Depth::Message,
            };
            self.report(claim, origin, out);
        }
    }

    fn visited(
        &mut self,
        limits: &Limits,
        network: Network,
        connected: bool,
        origin: Origin<'_>,
        out: &mut Vec<Finding>,
    ) {
        let visit = self.stays.visit(limits, network, origin.time(), connected, || origin.to_ref());
        if let Some(alternation) = visit.filter(|alternation| alternation.returns >= 2) {
            let claim = self.alternation_claim(alternation);
            self.report(claim, origin, out);
        }
    }

    /// The kind under which two instances are reported: a key that is proven to live in a chip was hardly copied.
    fn two_instances(&self) -> Kind {
        match self.subject().regime {
            Regime::Duplication => Kind::Clone,
            Regime::Behaviour => Kind::ConcurrentSession,
        }
    }

    fn alternation_claim(&self, alternation: Alternation) -> Claim {
        let [home, other] = alternation.pair;
        let mut signs = vec![alternation.evidence()];
        let (seen_at, _) = alternation.began;
        let now = alternation.seen.iter().map(|(_, last)| *last).max().unwrap_or(seen_at);
        if self.continuity.unbroken_between(home, other, now) {
            signs.push(evidence(
                "continuity.unbroken",
                "continuity",
                -15.0,
                "heartbeats went on from one network to the other in one unbroken sequence".to_owned(),
            ));
        } else if self.continuity.active().is_some() {
            signs.push(evidence(
                "continuity.so-far",
                "continuity",
                -6.0,
                "its heartbeats are unbroken so far; one from the other network may have been lost"
                    .to_owned(),
            ));
        }
        let branch = |id: u32, network: Network, (first, last): (i64, i64)| Branch {
            id,
            first_seen: Some(moment(first)),
            last_seen: Some(moment(last)),
            networks: vec![network.to_string()],
            ..Branch::default()
        };
        let [home_seen, other_seen] = alternation.seen;
        let (began, event) = alternation.began;
        let mut benign_causes = vec![
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
            benign_causes.extend([
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
                    "new connections were made from both networks in turn",
                ),
            ]);
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
            began: (moment(began), event),
            branches: vec![branch(0, home, home_seen), branch(1, other, other_seen)],
            original: None,
            benign: benign_causes,
            depth: Depth::Network,
        }
    }

    fn fork_claim(&self, limits: &Limits, fork: &Fork) -> Option<Claim> {
        let (older, younger) = (self.continuity.branch(fork.older)?, self.continuity.branch(fork.younger)?);
        let (mut sign, confirm_after, rule) = match fork.proof {
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
                    42.0,
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
                2,
                "continuity.token",
            ),
        };
        sign.says = bounded(sign.says);
        let mut signs = vec![sign];
        let mut rules = vec![rule];
        if let Some(generations) = fork.stale_token {
            let age =
                if generations > 1_000 { "long".to_owned() } else { format!("{generations} generations") };
            signs.push(evidence(
                "token.used",
                "token",
                25.0,
                format!("a token was presented that had been replaced {age} ago"),
            ));
            if !rules.contains(&"continuity.token") {
                rules.push("continuity.token");
            }
        }
        let apart = older.networks.iter().all(|network| !younger.networks.contains(network));
        let known = !older.networks.is_empty() && !younger.networks.is_empty();
        if known && apart {
            signs.push(evidence(
                "network.differs",
                "network",
                6.0,
                "the two use different networks".to_owned(),
            ));
        } else if known {
            signs.push(evidence(
                "network.shared",
                "network",
                -3.0,
                "the two were seen in one network, as on an installer's bench".to_owned(),
            ));
        }
        if fork.sources_apart && !fork.corroborated {
            let says = "the boots were timed by several sources, whose clocks may differ".to_owned();
            signs.push(evidence("source.differs", "source", -5.0, says));
        }
        if fork.one_sequence && matches!(fork.proof, Proof::Boots { .. }) {
            let says = "the counters of the two form one sequence, as those of one device do".to_owned();
            signs.push(evidence("continuity.unbroken", "continuity", -15.0, says));
        }
        Some(Claim {
            kind: self.two_instances(),
            rules,
            evidence: signs,
            impossible: confirm_after < u64::MAX && !fork.one_sequence,
            confirm_after,
            began: (moment(younger_of(older, younger).first), younger_of(older, younger).began.clone()),
            branches: [older, younger].into_iter().map(describe).collect(),
            original: original(fork, older, younger, known && apart),
            benign: self.fork_benign(limits, fork),
            seen: told(fork, older, younger),
            depth: Depth::Message,
        })
    }

    fn fork_benign(&self, limits: &Limits, fork: &Fork) -> Vec<BenignCause> {
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
                    span(limits.clock_tolerance)
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

    fn downgrade_claim(&self, sample: &Sample<'_>, placed: &Placed, origin: Origin<'_>) -> Option<Claim> {
        let floor = self.facts.as_ref().filter(|facts| facts.since <= origin.event.time);
        let below_floor = match floor.and_then(|facts| facts.registry.anti_rollback_floor.as_ref()) {
            Some(AntiRollbackFloor::SecurityVersion(floor)) => sample
                .security_version
                .filter(|version| version < floor)
                .map(|version| format!("security version {version}, the registry's floor is {floor}")),
            Some(AntiRollbackFloor::Firmware(floor)) => sample
                .firmware
                .filter(|firmware| version::compare(firmware, floor) == Some(Ordering::Less))
                .map(|firmware| format!("firmware {firmware}, the registry's floor is {floor}")),
            None => None,
        };
        let lower = || {
            let security =
                sample.security_version.zip(placed.security_before).filter(|(now, before)| now < before);
            let firmware = sample
                .firmware
                .zip(placed.firmware_before.as_deref())
                .filter(|(now, before)| version::compare(now, before) == Some(Ordering::Less));
            security
                .map(|(now, before)| format!("security version {now} after {before}"))
                .or_else(|| firmware.map(|(now, before)| format!("firmware {now} after {before}")))
        };
        let (rule, impossible, what) = match below_floor {
            Some(what) => ("downgrade.floor", true, what),
            None => ("downgrade.lower", false, lower()?),
        };
        let what = bounded(what);
        let causes = if impossible {
            vec![benign(
                "a planned roll-back",
                "the registry's floor forbids it; lower the floor first if it is wanted",
            )]
        } else {
            vec![benign(
                "a planned roll-back, or a failed update that fell back",
                "not rejected: compare with the release plan",
            )]
        };
        Some(Claim {
            kind: Kind::Downgrade,
            rules: vec![rule],
            evidence: vec![evidence(
                if impossible { "version.below-floor" } else { "version.lower" },
                "version",
                if impossible { 60.0 } else { 42.0 },
                format!("it reported {what}"),
            )],
            impossible,
            confirm_after: 1,
            began: (origin.event.time, origin.to_ref()),
            branches: placed
                .branch
                .and_then(|id| self.continuity.branch(id))
                .map(describe)
                .into_iter()
                .collect(),
            original: None,
            benign: causes,
            seen: format!("it reported {what}."),
            depth: Depth::Message,
        })
    }
}

/// Text that a device chose stays short in a sentence.
fn bounded(text: String) -> String {
    if text.len() <= 400 { text } else { text.chars().take(200).collect() }
}

fn replay_benign() -> Vec<BenignCause> {
    vec![
        benign("a lost reply or a retry", "a retry comes at once and before the next message"),
        benign("a log line written twice", "the two carry different times"),
    ]
}

fn replay_claim(
    body: &Heartbeat,
    sample: &Sample<'_>,
    first: i64,
    progressed: bool,
    event: EventRef,
) -> Claim {
    let says = format!(
        "a message with counter {} that was taken at {} came again {} later, unchanged",
        body.counter.unwrap_or_default(),
        moment(first),
        span(sample.time - first)
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
        began: (moment(sample.time), event),
        branches: Vec::new(),
        original: None,
        benign: causes,
        seen: format!("{says}."),
        depth: Depth::Message,
    }
}

fn younger_of<'a>(
    a: &'a crate::continuity::Branch,
    b: &'a crate::continuity::Branch,
) -> &'a crate::continuity::Branch {
    if a.id > b.id { a } else { b }
}

fn describe(branch: &crate::continuity::Branch) -> Branch {
    Branch {
        id: branch.id,
        first_seen: Some(moment(branch.first)),
        last_seen: Some(moment(branch.last)),
        sightings: Some(branch.sightings),
        booted: branch.epoch.map(moment),
        boot_count: branch.boot_count,
        counter_first: branch.counter_first(),
        counter_last: branch.counter_last(),
        networks: branch.networks.iter().map(ToString::to_string).collect(),
        firmware: branch.firmware.iter().map(ToString::to_string).collect(),
    }
}

/// The instance whose boot was known before the other appeared is the likely original; who holds a token says little,
/// because the thief may use it first. Without boots only the habitual network is left.
fn original(
    fork: &Fork,
    older: &crate::continuity::Branch,
    younger: &crate::continuity::Branch,
    networks_apart: bool,
) -> Option<Original> {
    let second = younger_of(older, younger);
    let first = if second.id == older.id { younger } else { older };
    if second.history < 2 {
        return None;
    }
    let boot = match fork.proof {
        Proof::Boots { .. } => 17.0,
        Proof::Counter => 8.0,
        _ => 0.0,
    };
    let decibans = boot + if networks_apart { 6.0 } else { 0.0 };
    (decibans > 0.0).then(|| Original { branch: first.id, probability: probability(decibans) })
}

fn told(fork: &Fork, older: &crate::continuity::Branch, younger: &crate::continuity::Branch) -> String {
    let one = |branch: &crate::continuity::Branch| {
        let booted = branch.epoch.map(|epoch| format!(", up since {}", moment(epoch))).unwrap_or_default();
        let counted = match (branch.counter_first(), branch.counter_last()) {
            (Some(first), Some(last)) => format!(", counter {first} to {last}"),
            _ => String::new(),
        };
        let networks = match branch.networks.as_slice() {
            [] => String::new(),
            networks => {
                let names: Vec<String> = networks.iter().map(ToString::to_string).collect();
                format!(", from {}", names.join(" and "))
            }
        };
        format!("instance {}{booted}{counted}{networks}", branch.id)
    };
    let why = match fork.proof {
        Proof::Boots { overlap } => {
            format!(
                "The older boot was alive {} after the younger one began, which one device cannot do.",
                span(overlap)
            )
        }
        Proof::Counter | Proof::BareCounter => {
            "The counter went back and then the older sequence went on, which one device does not do."
                .to_owned()
        }
        Proof::BootNumber => {
            "The older boot spoke again after the younger one, which one device does not do.".to_owned()
        }
        Proof::Tokens => {
            "Each goes on with its own chain of tokens, of which one device holds one.".to_owned()
        }
    };
    format!("two instances answer under one identity: {}; {}. {why}", one(older), one(younger))
}
