//! The branch tracker: tells the instances apart that answer under one identity.
//!
//! A branch is one sequence that a single device can have produced: one boot, one run of the counter, one chain of
//! tokens. A heartbeat continues a branch or starts one. Starting one is harmless (a reboot, a re-installation); what
//! no single device does is to go on with an older branch after a younger one has begun. That is a [`Fork`].
//!
//! Moments are compared when messages were *made*, as far as uptime tells, not when they arrived: a message that was
//! kept back makes its boot look later, never earlier, and must not look like a return.

use std::cmp::Ordering;
use std::collections::VecDeque;

use touchmark_identity::finding::EventRef;

use crate::network::Network;
use crate::settings::Limits;

/// Live branches for each identity.
pub(crate) const BRANCHES: usize = 4;
/// Networks and firmware versions remembered for each branch.
pub(crate) const NAMES: usize = 4;
/// Consumed or replaced tokens remembered for each identity.
pub(crate) const TOKENS: usize = 32;
/// A 32-bit counter of milliseconds wraps after this many (49.7 days).
const UPTIME_WRAP: i64 = 1 << 32;
/// Counters behind the highest that are known one by one, as in the replay window of RFC 9147 §4.5.1.
const COUNTER_WINDOW: u64 = 64;

/// Pairs of networks that are known to be two uplinks of one device, for each identity.
pub(crate) const UPLINKS: usize = 4;
/// For how long a pair stays known after one sequence went on from one network to the other: a day.
const UPLINKS_KNOWN: i64 = 24 * 3_600_000;

/// A sequence that goes on elsewhere may have lost this many lines, the next one counted.
const LOST_LINES: u64 = 3;

/// A message of another source may arrive behind this many later ones.
const OVERTAKEN_LINES: u64 = 8;

/// What one message says about the instance that made it. Times in milliseconds since 1970.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample<'a> {
    pub(crate) time: i64,
    pub(crate) uptime: Option<i64>,
    pub(crate) counter: Option<u64>,
    pub(crate) boot_count: Option<u64>,
    pub(crate) boot_id: Option<u64>,
    pub(crate) token: Option<u64>,
    pub(crate) issued: Option<u64>,
    pub(crate) network: Option<Network>,
    pub(crate) firmware: Option<&'a str>,
    pub(crate) security_version: Option<u64>,
    pub(crate) source: u64,
}

impl Sample<'_> {
    /// When the instance booted, if the message was not kept back.
    pub(crate) fn epoch(&self) -> Option<i64> {
        self.uptime.map(|uptime| self.time.saturating_sub(uptime))
    }

    /// Whether it says anything by which instances can be told apart.
    pub(crate) fn places(&self) -> bool {
        self.uptime.is_some()
            || self.counter.is_some()
            || self.boot_count.is_some()
            || self.boot_id.is_some()
            || self.token.is_some()
    }
}

#[derive(Debug, Clone, Copy)]
struct Counters {
    first: u64,
    last: u64,
    /// Bit n stands for `last - n`.
    seen: u64,
}

/// Where a counter stands against those of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Count {
    /// One of the two has none.
    Absent,
    /// Ahead by this many.
    Ahead(u64),
    /// The newest again.
    Newest,
    /// Behind, and not seen yet: it was overtaken on its way.
    Overtaken,
    /// Behind, and used up.
    Used,
}

impl Counters {
    fn start(counter: u64) -> Self {
        Self { first: counter, last: counter, seen: 1 }
    }

    fn relation(&self, counter: u64) -> Count {
        match counter.cmp(&self.last) {
            Ordering::Greater => Count::Ahead(counter - self.last),
            Ordering::Equal => Count::Newest,
            Ordering::Less => {
                let back = self.last - counter;
                if counter > self.first && back < COUNTER_WINDOW && self.seen >> back & 1 == 0 {
                    Count::Overtaken
                } else {
                    Count::Used
                }
            }
        }
    }

    fn mark(&mut self, counter: u64) {
        if counter > self.last {
            let step = counter - self.last;
            self.seen = if step < COUNTER_WINDOW { self.seen << step | 1 } else { 1 };
            self.last = counter;
        } else if self.last - counter < COUNTER_WINDOW {
            self.seen |= 1 << (self.last - counter);
        }
    }
}

/// How a branch began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Birth {
    /// It is the first of the identity.
    First,
    /// A later boot than that of the branch before.
    Reboot,
    /// An earlier boot, which nobody knew.
    EarlierBoot,
    /// The counter went back within one boot.
    CounterBack,
    /// A token was presented that had been used up or replaced.
    TokenFork,
}

/// One sequence that a single device can have produced.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) id: u32,
    pub(crate) epoch: Option<i64>,
    pub(crate) boot_count: Option<u64>,
    boot_id: Option<u64>,
    counters: Option<Counters>,
    newest: Option<u64>,
    previous: Option<u64>,
    generation: u32,
    pub(crate) first: i64,
    pub(crate) last: i64,
    /// When its latest message was made.
    made: i64,
    pub(crate) sightings: u64,
    pub(crate) networks: Vec<Network>,
    pub(crate) firmware: Vec<Box<str>>,
    security_version: Option<u64>,
    /// The one source that saw it; `None` when there are several.
    pub(crate) source: Option<u64>,
    /// Branches of one instance are known to be one device, however their boots look.
    instance: u32,
    birth: Birth,
    /// How often the branch before it had been seen when it began.
    pub(crate) history: u64,
    pub(crate) began: EventRef,
}

/// Which boot a message comes from, seen from a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Boot {
    Same,
    Later,
    Earlier,
    Unknown,
}

impl Branch {
    fn start(id: u32, sample: &Sample<'_>, birth: Birth, history: u64, began: EventRef) -> Self {
        let mut branch = Self {
            id,
            epoch: sample.epoch(),
            boot_count: sample.boot_count,
            boot_id: sample.boot_id,
            counters: sample.counter.map(Counters::start),
            newest: None,
            previous: None,
            generation: 0,
            first: sample.time,
            last: sample.time,
            made: sample.time,
            sightings: 0,
            networks: Vec::new(),
            firmware: Vec::new(),
            security_version: None,
            source: Some(sample.source),
            instance: id,
            birth,
            history,
            began,
        };
        branch.note(sample);
        branch
    }

    pub(crate) fn counter_first(&self) -> Option<u64> {
        self.counters.map(|counters| counters.first)
    }

    pub(crate) fn counter_last(&self) -> Option<u64> {
        self.counters.map(|counters| counters.last)
    }

    /// The difference of the boots, after taking out a wrap of uptime in the direction that time allows.
    fn epoch_shift(&self, sample: &Sample<'_>, limits: &Limits) -> Option<(i64, i64)> {
        let shift = sample.epoch()? - self.epoch?;
        let wrap = if sample.time >= self.last { UPTIME_WRAP } else { -UPTIME_WRAP };
        let wrapped = shift - wrap;
        Some(if wrapped.abs() <= limits.boot_tolerance { (wrapped, wrap) } else { (shift, 0) })
    }

    fn boot(&self, sample: &Sample<'_>, limits: &Limits) -> Boot {
        let epoch = self.epoch_shift(sample, limits).map(|(shift, _)| {
            if shift.abs() <= limits.boot_tolerance {
                Boot::Same
            } else if shift > 0 {
                Boot::Later
            } else {
                Boot::Earlier
            }
        });
        let count = self.boot_count.zip(sample.boot_count).map(|(ours, theirs)| match theirs.cmp(&ours) {
            Ordering::Less => Boot::Earlier,
            Ordering::Equal => Boot::Same,
            Ordering::Greater => Boot::Later,
        });
        let id = self.boot_id.zip(sample.boot_id).map(|(ours, theirs)| match ours == theirs {
            true => Boot::Same,
            false if sample.time >= self.last => Boot::Later,
            false => Boot::Earlier,
        });
        // The clock decides first; a boot within its tolerance is told by the boot's number, then by its random id.
        [epoch, count, id]
            .into_iter()
            .flatten()
            .fold(None, |told, next| match told {
                None | Some(Boot::Same) => Some(next),
                other => other,
            })
            .unwrap_or(Boot::Unknown)
    }

    fn count(&self, sample: &Sample<'_>) -> Count {
        match (self.counters, sample.counter) {
            (Some(counters), Some(counter)) => counters.relation(counter),
            _ => Count::Absent,
        }
    }

    /// Adds what a message says of networks and, unless it was overtaken by a later one, of firmware.
    fn note(&mut self, sample: &Sample<'_>) {
        self.sightings += 1;
        let in_order = sample.time >= self.last;
        if let Some(network) = sample.network
            && !self.networks.contains(&network)
        {
            if self.networks.len() == NAMES {
                self.networks.remove(0);
            }
            self.networks.push(network);
        }
        if let Some(firmware) = sample.firmware
            && in_order
            && self.firmware.last().map(AsRef::as_ref) != Some(firmware)
        {
            if self.firmware.len() == NAMES {
                self.firmware.remove(0);
            }
            self.firmware.push(firmware.into());
        }
        if in_order {
            self.security_version = sample.security_version.or(self.security_version);
        }
    }

    fn advance(&mut self, sample: &Sample<'_>, limits: &Limits) {
        match (self.epoch, self.epoch_shift(sample, limits)) {
            (None, _) => self.epoch = sample.epoch(),
            (Some(epoch), Some((shift, wrap))) if shift.abs() <= limits.boot_tolerance => {
                // A message is kept back or it is not, so the earliest estimate is the best one; the device's crystal
                // may still move it by up to 200 ppm.
                let drift = (sample.time - self.last).max(0) / 5_000;
                let forward = if wrap > 0 { wrap } else { 0 };
                self.epoch = Some(epoch + shift.min(drift) + forward);
            }
            _ => {}
        }
        self.boot_count = self.boot_count.or(sample.boot_count);
        self.boot_id = self.boot_id.or(sample.boot_id);
        match (&mut self.counters, sample.counter) {
            (Some(counters), Some(counter)) => counters.mark(counter),
            (empty, Some(counter)) => *empty = Some(Counters::start(counter)),
            _ => {}
        }
        let made = match (self.epoch, sample.uptime) {
            (Some(epoch), Some(uptime)) => (epoch + uptime).min(sample.time),
            _ => sample.time,
        };
        self.made = self.made.max(made);
        if self.source != Some(sample.source) {
            self.source = None;
        }
        self.note(sample);
        self.first = self.first.min(sample.time);
        self.last = self.last.max(sample.time);
    }

    /// Whether a message that is dated before this branch's latest one continues it all the same: another source saw it,
    /// whose clock is behind.
    fn goes_on(&self, sample: &Sample<'_>, view: TokenView) -> bool {
        let elsewhere = self.source != Some(sample.source);
        let in_order = matches!(self.count(sample), Count::Ahead(gap) if gap <= LOST_LINES);
        elsewhere
            && match view {
                TokenView::Newest(holder) => holder == self.id,
                TokenView::Stale { .. } => false,
                TokenView::Previous(_) | TokenView::Silent => in_order,
            }
    }

    /// Whether a message of another source was made shortly before this branch began, as its counter says, whatever
    /// the clock of that source says.
    fn overtook(&self, sample: &Sample<'_>) -> bool {
        let elsewhere = self.source.is_some_and(|source| source != sample.source);
        let before =
            self.counter_first().zip(sample.counter).and_then(|(first, counter)| first.checked_sub(counter));
        elsewhere && before.is_some_and(|before| (1..=OVERTAKEN_LINES).contains(&before))
    }

    /// Whether the two are told apart by when they booted.
    fn booted_apart(&self, other: &Self, limits: &Limits) -> bool {
        self.epoch.zip(other.epoch).is_some_and(|(a, b)| (a - b).abs() > limits.boot_tolerance)
    }

    /// By how many milliseconds this branch outlived the boot of a younger one, beyond all tolerance.
    fn outlived(&self, younger: &Self, limits: &Limits) -> Option<i64> {
        let (ours, theirs) = (self.epoch?, younger.epoch?);
        // One message alone may have been kept back, and a boot that nobody knew before has to say so twice.
        let one_clock = self.source.is_some() && self.source == younger.source;
        let margin = match (self.sightings, self.birth) {
            (1, Birth::EarlierBoot) => return None,
            (1, _) => limits.clock_tolerance.max(limits.boot_tolerance),
            _ if one_clock => limits.clock_tolerance / 4,
            _ => limits.clock_tolerance,
        };
        let overlap = self.made - theirs;
        (ours < theirs && overlap > margin).then_some(overlap)
    }
}

/// What a presented token is, seen from the chains that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TokenView {
    /// None was presented, or none is known.
    Silent,
    /// The one last issued to this branch.
    Newest(u32),
    /// The one before: the reply with the newest was lost.
    Previous(u32),
    /// Used up or replaced, this many generations ago.
    Stale { generations: u32 },
}

#[derive(Debug, Clone, Copy)]
struct UsedToken {
    token: u64,
    branch: u32,
    generation: u32,
}

/// By what the return was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The older boot outlived the younger one's beginning by so many milliseconds.
    Boots {
        /// Milliseconds.
        overlap: i64,
    },
    /// The counter went back within one boot, and the old sequence went on.
    Counter,
    /// The number or the random id of the boot went back.
    BootNumber,
    /// The old counter sequence went on; nothing is known of boots.
    BareCounter,
    /// Two chains of tokens are alive.
    Tokens,
}

/// Two instances under one identity.
#[derive(Debug)]
pub(crate) struct Fork {
    /// The branch with the earlier boot, or the one that was there first.
    pub(crate) older: u32,
    /// The other.
    pub(crate) younger: u32,
    pub(crate) proof: Proof,
    /// A used token was presented as well, this many generations old.
    pub(crate) stale_token: Option<u32>,
    /// Each instance holds a token that was issued to it.
    pub(crate) both_chains: bool,
    /// Something beside the proof broke too: counter, number of the boot, token.
    pub(crate) corroborated: bool,
    /// The counters of the two can be one sequence.
    pub(crate) one_sequence: bool,
    /// The two were not seen by one source alone, so their boots were not timed by one clock.
    pub(crate) sources_apart: bool,
}

/// What became of a message.
#[derive(Debug, Default)]
pub(crate) struct Placed {
    /// Two instances showed.
    pub(crate) fork: Option<Fork>,
    /// The branch it went to.
    pub(crate) branch: Option<u32>,
    /// Firmware reported before it by the same line of boots, when this one is to be compared with it.
    pub(crate) firmware_before: Option<Box<str>>,
    /// Likewise the security version.
    pub(crate) security_before: Option<u64>,
}

/// All that is known of the instances of one identity.
#[derive(Debug, Default)]
pub(crate) struct Continuity {
    branches: Vec<Branch>,
    used: VecDeque<UsedToken>,
    next_id: u32,
    /// The branch of the latest message.
    active: Option<u32>,
    /// Milliseconds from one count to the next, smoothed.
    period: Option<i64>,
    /// The network of the latest message.
    network: Option<Network>,
    /// Networks between which one sequence went on unbroken, and when it last did.
    uplinks: Vec<([Network; 2], i64)>,
}

impl Continuity {
    pub(crate) fn branch(&self, id: u32) -> Option<&Branch> {
        self.branches.iter().find(|branch| branch.id == id)
    }

    pub(crate) fn active(&self) -> Option<&Branch> {
        self.active.and_then(|id| self.branch(id))
    }

    fn branch_mut(&mut self, id: u32) -> Option<&mut Branch> {
        self.branches.iter_mut().find(|branch| branch.id == id)
    }

    /// Gives a message its place and says whether it shows two instances.
    pub(crate) fn place(
        &mut self,
        limits: &Limits,
        sample: &Sample<'_>,
        began: impl FnOnce() -> EventRef,
    ) -> Placed {
        let view = self.token_view(sample);
        let before = self.active;
        let late = self.active().is_some_and(|active| {
            (sample.time < active.last && !active.goes_on(sample, view)) || active.overtook(sample)
        });
        let reference =
            self.active().map(|active| (active.firmware.last().cloned(), active.security_version));
        match self.choose(limits, sample, view, late) {
            Choice::Continue(id) => {
                let known =
                    self.branch(id).map(|branch| (branch.firmware.last().cloned(), branch.security_version));
                let verdict = self.continued(limits, sample, view, before, late, id);
                if !late {
                    self.note_uplink(sample, before == Some(id) && verdict.is_none());
                }
                let (firmware_before, security_before) = known.filter(|_| !late).unwrap_or_default();
                Placed { fork: verdict, branch: Some(id), firmware_before, security_before }
            }
            Choice::Begin(birth) => {
                let id = self.begin(sample, birth, began());
                self.exchange_token(sample, view, id);
                let fork = self.fork_at_birth(limits, sample, view, before, id);
                self.active = Some(id);
                self.note_uplink(sample, false);
                let (firmware_before, security_before) = reference.unwrap_or_default();
                Placed { fork, branch: Some(id), firmware_before, security_before }
            }
            Choice::Leave => Placed::default(),
        }
    }

    fn note_uplink(&mut self, sample: &Sample<'_>, unbroken: bool) {
        let Some(now) = sample.network else { return };
        if let Some(before) = self.network.replace(now).filter(|before| unbroken && *before != now) {
            let pair = [before.min(now), before.max(now)];
            self.uplinks.retain(|(known, _)| *known != pair);
            if self.uplinks.len() == UPLINKS {
                self.uplinks.remove(0);
            }
            self.uplinks.push((pair, sample.time));
        }
    }

    /// Whether one sequence went on unbroken from one of the networks to the other lately.
    pub(crate) fn unbroken_between(&self, a: Network, b: Network, now: i64) -> bool {
        let pair = [a.min(b), a.max(b)];
        self.uplinks.iter().any(|(known, at)| *known == pair && now - at <= UPLINKS_KNOWN)
    }

    fn token_view(&self, sample: &Sample<'_>) -> TokenView {
        let Some(token) = sample.token else { return TokenView::Silent };
        if let Some(branch) = self.branches.iter().find(|branch| branch.newest == Some(token)) {
            return TokenView::Newest(branch.id);
        }
        if let Some(branch) = self.branches.iter().find(|branch| branch.previous == Some(token)) {
            return TokenView::Previous(branch.id);
        }
        match self.used.iter().rev().find(|used| used.token == token) {
            Some(used) => {
                let now = self.branch(used.branch).map_or(u32::MAX, |branch| branch.generation);
                TokenView::Stale { generations: now.saturating_sub(used.generation) }
            }
            None => TokenView::Silent,
        }
    }

    fn choose(&self, limits: &Limits, sample: &Sample<'_>, view: TokenView, late: bool) -> Choice {
        let boot = |branch: &Branch| branch.boot(sample, limits);
        let wanted = if self.branches.iter().any(|branch| boot(branch) == Boot::Same) {
            Boot::Same
        } else {
            Boot::Unknown
        };
        let same = || self.branches.iter().filter(|branch| boot(branch) == wanted);
        if same().next().is_none() {
            return match self.active().map(boot) {
                None => Choice::Begin(Birth::First),
                Some(_) if late => Choice::Leave,
                Some(Boot::Earlier) => Choice::Begin(Birth::EarlierBoot),
                Some(_) => Choice::Begin(Birth::Reboot),
            };
        }
        if let TokenView::Newest(id) | TokenView::Previous(id) = view
            && same().any(|branch| branch.id == id && branch.count(sample) != Count::Used)
        {
            return Choice::Continue(id);
        }
        if late {
            // A late message joins the branch that it fits and never starts one.
            let fits = same().min_by_key(|branch| (sample.time - branch.last).abs());
            return fits.map_or(Choice::Leave, |branch| Choice::Continue(branch.id));
        }
        if matches!(view, TokenView::Stale { .. }) {
            return Choice::Begin(Birth::TokenFork);
        }
        // The active branch goes on wherever it can; only a message that it cannot have made returns to another one.
        let active_first = |branch: &&Branch| (Some(branch.id) != self.active, i64::MAX - branch.last);
        let likely = same().filter(|branch| self.plausible(sample, branch)).min_by_key(active_first);
        if let Some(branch) = likely {
            return Choice::Continue(branch.id);
        }
        let jumped = same().filter(|b| matches!(b.count(sample), Count::Ahead(_))).min_by_key(active_first);
        match jumped {
            Some(branch) => Choice::Continue(branch.id),
            None => Choice::Begin(Birth::CounterBack),
        }
    }

    /// Whether the counter is one that the branch can have reached by now.
    fn plausible(&self, sample: &Sample<'_>, branch: &Branch) -> bool {
        match branch.count(sample) {
            Count::Absent | Count::Newest | Count::Overtaken => true,
            Count::Used => false,
            Count::Ahead(gap) => {
                let Some(period) = self.period.filter(|period| *period > 0) else { return gap == 1 };
                let elapsed = (sample.time - branch.last).max(0);
                let allowed = 1 + elapsed.saturating_mul(3) / period.saturating_mul(2);
                i64::try_from(gap).is_ok_and(|gap| gap <= allowed)
            }
        }
    }

    fn begin(&mut self, sample: &Sample<'_>, birth: Birth, began: EventRef) -> u32 {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        let history = self.active().map_or(0, |active| active.sightings);
        if self.branches.len() == BRANCHES
            && let Some(oldest) = (0..BRANCHES).min_by_key(|&at| self.branches.get(at).map_or(0, |b| b.last))
        {
            self.branches.remove(oldest);
        }
        self.branches.push(Branch::start(id, sample, birth, history, began));
        id
    }

    /// The branch's chain takes one step.
    fn exchange_token(&mut self, sample: &Sample<'_>, view: TokenView, id: u32) {
        let (Some(presented), issued) = (sample.token, sample.issued) else {
            if let (Some(issued), Some(branch)) = (sample.issued, self.branch_mut(id)) {
                branch.newest = Some(issued);
            }
            return;
        };
        let Some(issued) = issued else {
            if let Some(branch) = self.branch_mut(id) {
                branch.newest = Some(presented);
            }
            return;
        };
        // A token that another branch held is used up there as well.
        for branch in &mut self.branches {
            if branch.id != id && branch.newest == Some(presented) {
                branch.newest = None;
            }
        }
        let Some(branch) = self.branch_mut(id) else { return };
        let generation = branch.generation;
        let retired = if view == TokenView::Previous(id) {
            // The reply was lost: what it carried is replaced.
            branch.newest.replace(issued)
        } else {
            branch.generation = generation.saturating_add(1);
            branch.newest = Some(issued);
            branch.previous.replace(presented)
        };
        if let Some(token) = retired {
            if self.used.len() == TOKENS {
                self.used.pop_front();
            }
            self.used.push_back(UsedToken { token, branch: id, generation });
        }
    }

    fn continued(
        &mut self,
        limits: &Limits,
        sample: &Sample<'_>,
        view: TokenView,
        before: Option<u32>,
        late: bool,
        id: u32,
    ) -> Option<Fork> {
        let gap = self.branch(id).map(|branch| (branch.count(sample), sample.time - branch.last));
        let resumed = before.filter(|&active| active != id);
        let fresh = matches!(gap, Some((Count::Ahead(_) | Count::Absent, _)));
        let linked = resumed.is_some_and(|active| self.same_device(sample, view, active, id));
        if let Some(branch) = self.branch_mut(id) {
            branch.advance(sample, limits);
        }
        if !late {
            self.exchange_token(sample, view, id);
            self.active = Some(id);
            if let (None, Some((Count::Ahead(gap), elapsed))) = (resumed, gap) {
                let step = elapsed.max(0) / i64::try_from(gap).unwrap_or(i64::MAX).max(1);
                self.period = Some(self.period.map_or(step, |period| period + (step - period) / 8));
            }
        }
        let active = resumed?;
        if linked {
            let instance = self.branch(active)?.instance;
            self.branch_mut(id)?.instance = instance;
            return None;
        }
        let (ours, other) = (self.branch(id)?, self.branch(active)?);
        if ours.instance == other.instance {
            return None;
        }
        let one_clock = ours.source.is_some() && ours.source == other.source;
        if late && !one_clock {
            return None;
        }
        let proof = if ours.booted_apart(other, limits) {
            let (older, younger) = in_boot_order(ours, other);
            Proof::Boots { overlap: older.outlived(younger, limits)? }
        } else if late || !fresh || sample.time <= other.first {
            // The rest goes by the order in which messages came, so only what is new and in order counts.
            return None;
        } else if differs(ours.boot_count, other.boot_count) || differs(ours.boot_id, other.boot_id) {
            Proof::BootNumber
        } else if other.birth == Birth::TokenFork || ours.birth == Birth::TokenFork {
            Proof::Tokens
        } else if ours.epoch.is_some() && other.epoch.is_some() {
            Proof::Counter
        } else {
            Proof::BareCounter
        };
        Some(self.fork(sample, view, proof, ours, other))
    }

    fn fork_at_birth(
        &mut self,
        limits: &Limits,
        sample: &Sample<'_>,
        view: TokenView,
        before: Option<u32>,
        id: u32,
    ) -> Option<Fork> {
        let new = self.branch(id)?;
        // A first message says so only by the clock that also saw the older boot; what other sources saw has to return.
        let one_clock = |branch: &&Branch| branch.source == Some(sample.source);
        let found = self
            .branches
            .iter()
            .filter(|branch| branch.id != id && branch.booted_apart(new, limits))
            .filter(one_clock);
        let (older, overlap) = found
            .filter_map(|branch| branch.outlived(new, limits).map(|overlap| (branch, overlap)))
            .max_by_key(|(branch, _)| branch.last)?;
        if before == Some(older.id) && self.same_device(sample, view, older.id, id) {
            let instance = older.instance;
            self.branch_mut(id)?.instance = instance;
            return None;
        }
        Some(self.fork(sample, view, Proof::Boots { overlap }, older, new))
    }

    /// Whether the sequence goes on unbroken from the active branch although the boots differ: the message presents the
    /// token that was last issued, or, seen by another source, counts on from the last count. Then the boots differ
    /// because a source's clock is wrong, not because there are two devices.
    fn same_device(&self, sample: &Sample<'_>, view: TokenView, active: u32, id: u32) -> bool {
        match view {
            TokenView::Newest(holder) => return holder == active,
            TokenView::Stale { .. } => return false,
            // A lost reply or a lost line; the counter has to tell.
            TokenView::Previous(_) | TokenView::Silent => {}
        }
        let (Some(active), Some(ours)) = (self.branch(active), self.branch(id)) else { return false };
        let apart = active.source.is_some_and(|source| source != sample.source);
        let unbroken = matches!(active.count(sample), Count::Ahead(gap) if gap <= LOST_LINES);
        let clean = !matches!(active.birth, Birth::CounterBack | Birth::TokenFork)
            && no_overlap(active, ours)
            && !differs(active.boot_count, sample.boot_count);
        apart && unbroken && clean
    }

    fn fork(&self, sample: &Sample<'_>, view: TokenView, proof: Proof, a: &Branch, b: &Branch) -> Fork {
        let (older, younger) = match proof {
            Proof::Boots { .. } => in_boot_order(a, b),
            _ if a.id <= b.id => (a, b),
            _ => (b, a),
        };
        let stale_token = match view {
            TokenView::Stale { generations } => Some(generations),
            TokenView::Previous(_) => Some(1),
            _ => None,
        };
        let one_clock = a.source.is_some() && a.source == b.source;
        let replaced = matches!(view, TokenView::Stale { .. });
        let both_chains = a.newest.is_some() && b.newest.is_some();
        let behind = sample.counter.zip(older.counter_last()).is_some_and(|(counter, last)| counter < last);
        let broken =
            differs(a.boot_count, b.boot_count) || differs(a.boot_id, b.boot_id) || !no_overlap(a, b);
        Fork {
            older: older.id,
            younger: younger.id,
            proof,
            stale_token,
            both_chains,
            corroborated: replaced
                || broken
                || (one_clock && (stale_token.is_some() || both_chains || behind)),
            one_sequence: !one_clock && !broken && !replaced && a.counters.is_some() && b.counters.is_some(),
            sources_apart: !one_clock,
        }
    }

    /// Takes over what another record of the same identity holds, the latest branches first.
    pub(crate) fn absorb(&mut self, other: Self) {
        if self.branches.is_empty() {
            *self = other;
            return;
        }
        for mut branch in other.branches {
            branch.id = self.next_id;
            branch.instance = branch.id;
            self.next_id = self.next_id.wrapping_add(1);
            self.branches.push(branch);
        }
        self.branches.sort_by_key(|branch| std::cmp::Reverse(branch.last));
        self.branches.truncate(BRANCHES);
        self.active = self.branches.first().map(|branch| branch.id);
        self.period = self.period.or(other.period);
    }
}

enum Choice {
    /// It goes on with this branch.
    Continue(u32),
    /// It begins one.
    Begin(Birth),
    /// It is late and belongs to a branch that is forgotten.
    Leave,
}

fn differs<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
    a.zip(b).is_some_and(|(a, b)| a != b)
}

/// The two, the earlier boot first.
fn in_boot_order<'a>(a: &'a Branch, b: &'a Branch) -> (&'a Branch, &'a Branch) {
    if a.epoch <= b.epoch { (a, b) } else { (b, a) }
}

/// Whether the counters of the two can be one sequence: the younger began above all that the older had used before.
fn no_overlap(a: &Branch, b: &Branch) -> bool {
    let (first, second) = if a.id <= b.id { (a, b) } else { (b, a) };
    let (Some(x), Some(y)) = (first.counters, second.counters) else { return true };
    // The older may have gone on above; what counts is that none was used twice, as far as the windows reach.
    if y.first > x.last || x.first > y.last {
        return true;
    }
    let (high, low) = if x.last >= y.last { (x, y) } else { (y, x) };
    let step = high.last - low.last;
    step < COUNTER_WINDOW && (high.seen >> step) & low.seen == 0 && y.first > x.first
}
