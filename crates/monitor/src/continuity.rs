//! The branch tracker: tells the instances apart that answer under one identity.
//!
//! A heartbeat continues a branch or starts one. Starting one is harmless (a reboot, a re-installation); what no single
//! device does is to go on with an older branch after a younger one has begun. That is a [`Fork`].
//!
//! Moments are compared when messages were *made*, as far as uptime tells, not when they arrived: a message that was
//! kept back makes its boot look later, never earlier, and must not look like a return.

mod chain;
mod choose;
mod fork;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::branch::{Birth, Branch, Count, Sample};
use crate::remember::Remembered;
use crate::settings::Limits;

use chain::TokenView;
use choose::Choice;
use fork::SAID_NOW;
pub(crate) use fork::{Fork, Proof};

/// Live branches for each identity.
pub(crate) const BRANCHES: usize = 3;
/// For how long a pair of networks stays known as two uplinks after one sequence went on from one to the other: a day.
const UPLINKS_KNOWN: i64 = 24 * 3_600;
/// An update that failed is taken back within three days.
const ROLLED_BACK: i64 = 3 * 86_400;
/// Stands for "none" where a number of a branch or a place in a table is kept.
pub(crate) const NONE: u8 = u8::MAX;

/// Tokens that were used up or replaced: the branch that held them, and its generation then. Kept for all identities
/// together, the oldest going first.
pub(crate) type UsedTokens = Remembered<(u8, u8)>;

/// Counts that a branch left out, from and to: they may come late. The largest gap of each branch.
pub(crate) type LeftOut = Remembered<(u64, u64)>;

/// What is remembered of all identities together.
#[derive(Debug)]
pub(crate) struct Past {
    pub(crate) tokens: UsedTokens,
    pub(crate) left_out: LeftOut,
}

impl Past {
    pub(crate) fn new(capacity: u32) -> Self {
        Self { tokens: Remembered::new(capacity), left_out: Remembered::new(capacity) }
    }
}

/// What became of a message.
#[derive(Debug, Default)]
pub(crate) struct Placed {
    /// Two instances showed.
    pub(crate) fork: Option<Fork>,
    /// The branch it went to.
    pub(crate) branch: Option<Branch>,
    /// It began that branch.
    pub(crate) began: bool,
    /// The branch before it, where this one goes on in the same line of boots.
    pub(crate) reference: Option<Branch>,
    /// It came behind later ones.
    pub(crate) late: bool,
}

/// What is known of the instances of one identity, in a fixed record.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Continuity {
    branches: [Branch; BRANCHES],
    /// When one sequence last went on from one network to another.
    uplinks_at: u32,
    /// Security version of the latest message, plus one; 0 while unknown.
    security: u32,
    /// Seconds from one count to the next, smoothed; 0 while unknown. Before there is a branch: from one connection to
    /// the next.
    period: u16,
    /// How many branches there are.
    held: u8,
    next_id: u8,
    /// The branch of the latest message.
    active: u8,
    /// The network of the latest message.
    network: u8,
    /// Pairs of networks between which one sequence went on unbroken, a bit each.
    uplinks: u8,
    /// How often counters are used twice; see [`REUSE_SIGN`].
    reuses: u8,
}

impl Continuity {
    pub(crate) fn new() -> Self {
        let empty = Branch::start(0, &Sample::default(), Birth::First, 0);
        Self {
            branches: [empty; BRANCHES],
            uplinks_at: 0,
            security: 0,
            period: 0,
            held: 0,
            next_id: 0,
            active: NONE,
            network: NONE,
            uplinks: 0,
            reuses: 0,
        }
    }

    pub(crate) fn branches(&self) -> &[Branch] {
        self.branches.get(..usize::from(self.held)).unwrap_or_default()
    }

    fn branches_mut(&mut self) -> &mut [Branch] {
        self.branches.get_mut(..usize::from(self.held)).unwrap_or_default()
    }

    fn branch(&self, id: u8) -> Option<&Branch> {
        self.branches().iter().find(|branch| branch.id == id)
    }

    fn branch_mut(&mut self, id: u8) -> Option<&mut Branch> {
        self.branches_mut().iter_mut().find(|branch| branch.id == id)
    }

    pub(crate) fn active(&self) -> Option<&Branch> {
        self.branch(self.active)
    }

    /// The token that was last issued to the active branch; 0 is none.
    pub(crate) fn newest_token(&self) -> u32 {
        self.active().map_or(0, |active| active.newest)
    }

    /// Whether the message says of which boot it is, and that this is the branch's.
    pub(crate) fn told(&self, id: u8, sample: &Sample) -> bool {
        sample.uptime.is_some()
            || self.branch(id).is_some_and(|branch| {
                branch.boot_id().is_some_and(|boot| boot == sample.boot_id)
                    || branch.boot_number().is_some_and(|number| Some(number) == sample.boot_count)
            })
    }

    /// Seconds from one count to the next, where known.
    pub(crate) fn period(&self) -> Option<i64> {
        (self.period != 0).then_some(i64::from(self.period))
    }

    /// Seconds from one connection to the next, for an identity of which nothing but connections is known.
    pub(crate) fn connection_period(&self) -> Option<u16> {
        self.branches().is_empty().then_some(self.period)
    }

    /// Notes it; without effect once more than connections is known.
    pub(crate) fn note_connection_period(&mut self, period: u16) {
        if self.branches().is_empty() {
            self.period = period;
        }
    }

    /// The network of the latest message, as a place in the identity's table.
    pub(crate) fn network(&self) -> Option<u8> {
        (self.network != NONE).then_some(self.network)
    }

    /// Notes the security version that a message reports; gives the one before.
    pub(crate) fn note_security(&mut self, version: u64) -> Option<u64> {
        let now = u32::try_from(version.saturating_add(1)).unwrap_or(u32::MAX);
        std::mem::replace(&mut self.security, now).checked_sub(1).map(u64::from)
    }

    /// Whether the firmware that a message reports is what ran until lately: the update to that of `before` failed, and the
    /// device went back to where it was.
    pub(crate) fn ran_before(&self, before: &Branch, sample: &Sample) -> bool {
        let ran = |branch: &Branch| {
            branch.firmware == sample.firmware && branch.first() < before.first() && branch.id != before.id
        };
        sample.time - before.first() <= ROLLED_BACK && self.branches().iter().any(ran)
    }

    /// The branch that was in use before this one began, as far as it is remembered.
    pub(crate) fn before(&self, branch: &Branch) -> Option<&Branch> {
        let others = self.branches().iter().filter(|other| other.id != branch.id);
        others.filter(|other| other.first() <= branch.first()).max_by_key(|other| other.last())
    }

    /// Gives a message its place and says whether it shows two instances.
    pub(crate) fn place(&mut self, limits: &Limits, past: &mut Past, serial: u32, sample: &Sample) -> Placed {
        let mut placed = self.given_place(limits, past, serial, sample);
        if let Some(fork) = &mut placed.fork {
            let (older, younger) = (&fork.older, &fork.younger);
            let third = |branch: &&Branch| ![older.id, younger.id].contains(&branch.id);
            let earlier = |branch: &&Branch| branch.first() < older.first().min(younger.first());
            fork.before = self.branches().iter().find(|branch| third(branch) && earlier(branch)).copied();
        }
        placed
    }

    fn given_place(&mut self, limits: &Limits, past: &mut Past, serial: u32, sample: &Sample) -> Placed {
        let view = self.token_view(past, serial, sample);
        self.join_chains(past, serial, sample, view);
        let view = self.take_chain(limits, sample, view);
        let before = self.active;
        let late = self.active().is_some_and(|active| {
            (sample.time < active.last() && !goes_on(limits, active, sample, view)) || active.overtook(sample)
        });
        if self.comes_late(limits, past, serial, sample) {
            return Placed { late: true, ..Placed::default() };
        }
        let reference = self.active().copied();
        match self.choose(limits, sample, view, late) {
            Choice::Continue(id) => {
                let known = self.branch(id).copied();
                // What was kept back over the beginning of the sequence that is now active does not return from there.
                let kept_back = |(branch, active): (&Branch, &Branch)| {
                    id != before
                        && branch.made_at(sample) < active.first()
                        && active.birth() == Birth::CounterBack
                };
                let late = late || known.as_ref().zip(reference.as_ref()).is_some_and(kept_back);
                let fork = self.continued(limits, past, serial, sample, view, before, late, id);
                if !late {
                    self.note_uplink(sample, before == id && fork.is_none());
                }
                let branch = self.branch(id).copied();
                Placed { fork, branch, began: false, reference: known.filter(|_| !late), late }
            }
            Choice::Begin(birth) => {
                let id = self.begin(sample, birth, view);
                self.exchange_token(past, serial, sample, view, id);
                let fork = self.fork_at_birth(limits, sample, view, before, id);
                self.active = id;
                self.note_uplink(sample, false);
                Placed { fork, branch: self.branch(id).copied(), began: true, reference, late }
            }
            Choice::Leave => Placed { late, ..Placed::default() },
        }
    }

    /// Whether the message is one that a branch left out: its count was skipped, or only repeated so far by what opened
    /// a connection, and as far as uptime tells it was made before the latest one.
    fn comes_late(&self, limits: &Limits, past: &Past, serial: u32, sample: &Sample) -> bool {
        // What was kept back comes over the connection that its device opened since.
        let kept_back = |branch: &Branch| {
            sample.comes_over(branch)
                && branch.booted_later(sample, limits)
                && branch.made_before(sample, limits)
        };
        if self.branches().iter().any(kept_back) {
            return true;
        }
        let Some(counter) = sample.counter else { return false };
        self.branches().iter().any(|branch| {
            let skipped = || past.left_out.find(gap_key(serial, branch.id));
            branch.made_before(sample, limits)
                && match branch.count(sample) {
                    Count::Overtaken => branch.booted_later(sample, limits),
                    Count::Newest => {
                        sample.beat
                            && branch.id == self.active
                            && self.reuses & SAID_NOW == 0
                            && branch.booted_later(sample, limits)
                    }
                    Count::Used => {
                        skipped().is_some_and(|(from, to)| (from..=to).contains(&counter))
                            || branch.made_just_before(sample, limits)
                    }
                    Count::Ahead(_) | Count::Absent => false,
                }
        })
    }

    fn note_gap(past: &mut Past, serial: u32, known: &Branch, counter: u64) {
        let Some(last) = known.counter_last() else { return };
        let (from, to) = (last.saturating_add(1), counter.saturating_sub(1));
        let key = gap_key(serial, known.id);
        let larger = |(first, end): (u64, u64)| to - from >= end.saturating_sub(first);
        if from <= to && past.left_out.find(key).is_none_or(larger) {
            past.left_out.insert(key, (from, to));
        }
    }

    fn note_uplink(&mut self, sample: &Sample, unbroken: bool) {
        let Some(now) = sample.network else { return };
        let before = std::mem::replace(&mut self.network, now);
        if before != NONE && before != now && unbroken {
            self.uplinks |= pair(before, now);
            self.uplinks_at = u32::try_from(sample.time).unwrap_or(u32::MAX);
        }
    }

    /// Whether one sequence went on unbroken from one of the networks to the other lately.
    pub(crate) fn unbroken_between(&self, a: u8, b: u8, now: i64) -> bool {
        self.uplinks & pair(a, b) != 0 && now - i64::from(self.uplinks_at) <= UPLINKS_KNOWN
    }

    /// The network in this place of the identity's table is another one from now on.
    pub(crate) fn forget_network(&mut self, place: u8) {
        for branch in self.branches_mut() {
            branch.forget_network(place);
        }
        (0..4).for_each(|other| self.uplinks &= !pair(place, other));
        if self.network == place {
            self.network = NONE;
        }
    }

    /// Takes over what another record of the same identity holds, the latest branches first.
    pub(crate) fn absorb(&mut self, other: &Self) {
        if self.held == 0 {
            *self = *other;
            return;
        }
        let mut all: Vec<Branch> = self.branches().to_vec();
        for branch in other.branches() {
            let mut branch = *branch;
            branch.id = self.free_id();
            branch.instance = branch.id;
            // The two tables of networks have nothing to do with each other.
            branch.networks = 0;
            all.push(branch);
        }
        all.sort_by_key(|branch| std::cmp::Reverse(branch.last()));
        all.truncate(BRANCHES);
        self.active = all.first().map_or(NONE, |branch| branch.id);
        self.held = u8::try_from(all.len()).unwrap_or(0);
        self.branches.iter_mut().zip(all).for_each(|(to, from)| *to = from);
        if self.period == 0 {
            self.period = other.period;
        }
    }
}

fn gap_key(serial: u32, branch: u8) -> u64 {
    u64::from(serial) << 8 | u64::from(branch)
}

/// The bit that stands for two of four places.
fn pair(a: u8, b: u8) -> u8 {
    match (a.min(b), a.max(b)) {
        (0, 1) => 1,
        (0, 2) => 2,
        (0, 3) => 4,
        (1, 2) => 8,
        (1, 3) => 16,
        (2, 3) => 32,
        _ => 0,
    }
}

/// Whether a message that is dated before the branch's latest one continues it all the same: another source saw it,
/// whose clock is behind.
fn goes_on(limits: &Limits, branch: &Branch, sample: &Sample, view: TokenView) -> bool {
    let elsewhere = branch.source() != Some(sample.source);
    elsewhere
        && match view {
            // Who presents the token that was issued last has the reply to it: no later one was left behind.
            TokenView::Newest(holder) => {
                holder == branch.id || branch.last() - sample.time <= 2 * limits.clock_tolerance
            }
            TokenView::Stale { .. } => false,
            TokenView::Previous(_) | TokenView::Silent => branch.in_turn(sample),
        }
}
