//! The branch tracker: tells the instances apart that answer under one identity.
//!
//! A heartbeat continues a branch or starts one. Starting one is harmless (a reboot, a re-installation); what no single
//! device does is to go on with an older branch after a younger one has begun. That is a [`Fork`].
//!
//! Moments are compared when messages were *made*, as far as uptime tells, not when they arrived: a message that was
//! kept back makes its boot look later, never earlier, and must not look like a return.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::branch::{Birth, Boot, Branch, Count, LEFT_OUT, LOST_LINES, Sample};
use crate::remember::Remembered;
use crate::settings::Limits;

/// Live branches for each identity.
pub(crate) const BRANCHES: usize = 3;
/// For how long a pair of networks stays known as two uplinks after one sequence went on from one to the other: a day.
const UPLINKS_KNOWN: i64 = 24 * 3_600;
/// An update that failed is taken back within three days.
const ROLLED_BACK: i64 = 3 * 86_400;
/// A counter that is used again by a fresh message counts as a sign from this score on: [`REUSE`] for each, less one for
/// each count that was used once.
const REUSE_SIGN: u8 = 4;
const REUSE: u8 = 2;
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

/// What a presented token is, seen from the chains that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TokenView {
    /// None was presented, or none is known.
    Silent,
    /// The one last issued to this branch.
    Newest(u8),
    /// The one before: the reply with the newest was lost.
    Previous(u8),
    /// Used up or replaced, this many generations ago.
    Stale { generations: u32 },
}

/// By what the return was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The older boot outlived the younger one's beginning by so many seconds.
    Boots {
        /// Seconds.
        overlap: i64,
    },
    /// The counter went back within one boot, and the old sequence went on.
    Counter,
    /// Counters are used twice within one boot, again and again, by messages that differ.
    Reuse,
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
    pub(crate) older: Branch,
    /// The other; for [`Proof::Reuse`] the same one.
    pub(crate) younger: Branch,
    pub(crate) proof: Proof,
    /// The branch that was in use before both.
    pub(crate) before: Option<Branch>,
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

    fn token_view(&self, past: &Past, serial: u32, sample: &Sample) -> TokenView {
        if sample.token == 0 {
            return TokenView::Silent;
        }
        if let Some(branch) = self.branches().iter().find(|branch| branch.newest == sample.token) {
            return TokenView::Newest(branch.id);
        }
        if let Some(branch) = self.branches().iter().find(|branch| branch.previous == sample.token) {
            return TokenView::Previous(branch.id);
        }
        match past.tokens.find(token_key(serial, sample.token)) {
            // What it was given has been presented already: the message was overtaken on its way, and nobody used its token.
            Some(_) if self.presenter(past, serial, sample.issued).is_some() => TokenView::Silent,
            Some((branch, generation)) => {
                let now = self.branch(branch).map(|branch| branch.generation);
                let generations = now
                    .filter(|now| *now < u8::MAX)
                    .map_or(u32::MAX, |now| u32::from(now.saturating_sub(generation)));
                TokenView::Stale { generations }
            }
            None => TokenView::Silent,
        }
    }

    /// The branch that is known to have presented a token.
    fn presenter(&self, past: &Past, serial: u32, token: u32) -> Option<u8> {
        if token == 0 {
            return None;
        }
        let latest = self.branches().iter().find(|branch| branch.previous == token).map(|branch| branch.id);
        latest.or_else(|| past.tokens.find(token_key(serial, token)).map(|(branch, _)| branch))
    }

    /// What a branch was given had been presented before it came: the two pieces are one chain, of one device.
    fn join_chains(&mut self, past: &Past, serial: u32, sample: &Sample, view: TokenView) {
        if let TokenView::Newest(holder) | TokenView::Previous(holder) = view
            && let Some(presenter) = self.presenter(past, serial, sample.issued)
            && let Some(instance) = self.branch(presenter).map(|branch| branch.instance)
            && let Some(branch) = self.branch_mut(holder)
        {
            branch.instance = instance;
        }
    }

    /// A connection began a chain of its own, and the first message over it goes on with the sequence before: a line was
    /// lost, and the chain is that sequence's.
    fn take_chain(&mut self, limits: &Limits, sample: &Sample, view: TokenView) -> TokenView {
        let begun = |branch: &&Branch| {
            branch.birth() == Birth::NewChain
                && branch.counter_last().is_none()
                && branch.epoch().is_none()
                && (sample.held == Some(branch.id) || view == TokenView::Newest(branch.id))
        };
        let Some(new) = self.branches().iter().find(begun).copied() else { return view };
        let goes_on = |branch: &&Branch| {
            branch.id != new.id
                && match branch.boot(sample, limits, true) {
                    Boot::Same => branch.in_turn(sample) || branch.count(sample) == Count::Absent,
                    Boot::Unknown => branch.in_turn(sample),
                    Boot::Later | Boot::Earlier => false,
                }
        };
        let before = self.branches().iter().filter(goes_on).max_by_key(|branch| branch.last());
        let Some(before) = before.map(|branch| branch.id) else { return view };
        if let Some(branch) = self.branch_mut(before) {
            (branch.newest, branch.previous) = (new.newest, new.previous);
            branch.generation = branch.generation.saturating_add(1);
        }
        self.drop_branch(new.id);
        if self.active == new.id {
            self.active = before;
        }
        if view == TokenView::Newest(new.id) { TokenView::Newest(before) } else { view }
    }

    fn drop_branch(&mut self, id: u8) {
        let last = usize::from(self.held).saturating_sub(1);
        if let Some(place) = self.branches().iter().position(|branch| branch.id == id) {
            self.branches.swap(place, last);
            self.held = self.held.saturating_sub(1);
        }
    }

    fn choose(&self, limits: &Limits, sample: &Sample, view: TokenView, late: bool) -> Choice {
        // What has only named its boot so far does not end the one that heartbeats come from.
        let named_only = self.active().is_some_and(|active| active.epoch().is_none());
        let boot = |branch: &Branch| {
            let numbered = branch.boot_number().is_some() && branch.boot_number() == sample.boot_count;
            branch.boot(sample, limits, branch.id == self.active || named_only && numbered)
        };
        let wanted = if self.branches().iter().any(|branch| boot(branch) == Boot::Same) {
            Boot::Same
        } else {
            Boot::Unknown
        };
        let same = || self.branches().iter().filter(|branch| boot(branch) == wanted && !self.overrun(branch));
        if same().next().is_none() {
            return match self.active().map(boot) {
                None => Choice::Begin(Birth::First),
                Some(_) if late => Choice::Leave,
                Some(Boot::Earlier) => Choice::Begin(Birth::EarlierBoot),
                Some(_) => Choice::Begin(Birth::Reboot),
            };
        }
        // A message with neither uptime nor counter cannot tell sequences of one boot apart: the active one goes on.
        let bare = sample.uptime.is_none() && sample.counter.is_none();
        let chained = || self.active().is_some_and(|active| active.generation != 0 && active.newest != 0);
        if bare && !late && sample.issued != 0 && view == TokenView::Silent && chained() {
            return Choice::Begin(Birth::NewChain);
        }
        if let Some(active) = self.active().filter(|_| bare && wanted == Boot::Same)
            && boot(active) == Boot::Unknown
            && (active.newest == 0
                || [TokenView::Silent, TokenView::Newest(active.id), TokenView::Previous(active.id)]
                    .contains(&view))
            && same().all(|branch| !branch.booted_apart(active, limits))
        {
            return Choice::Continue(active.id);
        }
        if let TokenView::Newest(id) | TokenView::Previous(id) = view
            && same().any(|branch| branch.id == id && branch.count(sample) != Count::Used)
        {
            // A device whose connections carry tokens and whose heartbeats carry none has booted since: the chain goes
            // over to the branch that its heartbeats began.
            let heir = same().find(|branch| branch.id == self.active && branch.newest == 0);
            let heir = heir.filter(|branch| self.plausible(sample, branch));
            return Choice::Continue(heir.map_or(id, |branch| branch.id));
        }
        // What comes over a connection is of the instance that holds it.
        if let Some(held) = sample.held
            && same().any(|branch| branch.id == held && matches!(branch.count(sample), Count::Ahead(_)))
        {
            return Choice::Continue(held);
        }
        if late {
            // A late message joins the branch that it fits and never starts one.
            let fits = same().min_by_key(|branch| (sample.time - branch.last()).abs());
            return fits.map_or(Choice::Leave, |branch| Choice::Continue(branch.id));
        }
        if matches!(view, TokenView::Stale { .. }) {
            // Somebody else used its token. Where its boot is known, it is the instance of that boot that returns.
            let returns = same().filter(|branch| wanted == Boot::Same && branch.id != self.active);
            let returns = returns.filter(|branch| self.plausible(sample, branch)).max_by_key(|b| b.last());
            return returns.map_or(Choice::Begin(Birth::TokenFork), |branch| Choice::Continue(branch.id));
        }
        // The active branch goes on wherever it can; only a message that it cannot have made returns to another one.
        let active_first = |branch: &&Branch| (branch.id != self.active, i64::MAX - branch.last());
        let likely = same().filter(|branch| self.plausible(sample, branch)).min_by_key(active_first);
        let gap = |branch: &Branch| match branch.count(sample) {
            Count::Ahead(gap) => gap,
            _ => 0,
        };
        if let Some(branch) = likely {
            // A sequence that was left counts only if it is closer.
            let active = self.active().filter(|active| boot(active) == wanted && gap(active) != 0);
            let closer = active.filter(|active| gap(active) <= gap(branch)).unwrap_or(branch);
            return Choice::Continue(closer.id);
        }
        let jumped = same().filter(|b| matches!(b.count(sample), Count::Ahead(_))).min_by_key(active_first);
        match jumped {
            Some(branch) => Choice::Continue(branch.id),
            None => Choice::Begin(Birth::CounterBack),
        }
    }

    /// Whether the active sequence, which began behind where this branch stood, has passed that: after a loss of power the
    /// counter came back, and both are one device's.
    fn overrun(&self, branch: &Branch) -> bool {
        self.active().is_some_and(|active| {
            active.id != branch.id
                && active.birth() == Birth::CounterBack
                && active.epoch().is_none()
                && active.counter_first() <= branch.counter_last()
                && branch.counter_last() <= active.counter_last()
        })
    }

    /// Whether the counter is one that the branch can have reached by now.
    fn plausible(&self, sample: &Sample, branch: &Branch) -> bool {
        match branch.count(sample) {
            Count::Absent | Count::Newest | Count::Overtaken => true,
            Count::Used => false,
            // A lost line or two do not end the sequence that goes on.
            Count::Ahead(..=LOST_LINES) if branch.id == self.active => true,
            Count::Ahead(gap) => {
                let Some(period) = self.period() else { return gap == 1 };
                let elapsed = (sample.time - branch.last()).max(0);
                let allowed = 1 + elapsed.saturating_mul(3) / period.saturating_mul(2);
                i64::try_from(gap).is_ok_and(|gap| gap <= allowed)
            }
        }
    }

    /// A number that no branch has or belongs to; the number [`NONE`] is never given.
    fn free_id(&mut self) -> u8 {
        loop {
            let id = self.next_id;
            self.next_id = if id >= NONE - 1 { 0 } else { id + 1 };
            if !self.branches().iter().any(|branch| branch.id == id || branch.instance == id) {
                return id;
            }
        }
    }

    fn begin(&mut self, sample: &Sample, birth: Birth, view: TokenView) -> u8 {
        let id = self.free_id();
        let history = self.active().map_or(0, Branch::sightings);
        let active = self.active;
        if birth == Birth::Reboot
            && let Some(before) = self.branch_mut(active)
        {
            let counted_on = matches!(before.count(sample), Count::Ahead(gap) if gap <= 16);
            if view == TokenView::Newest(active) || counted_on {
                before.end();
            }
        }
        let mut new = Branch::start(id, sample, birth, history);
        if let (Birth::CounterBack, Some(before)) = (birth, self.active()) {
            new.inherit_boot(before);
        }
        if self.held == 0 {
            self.period = 0;
        }
        if usize::from(self.held) < BRANCHES {
            self.held += 1;
        } else {
            // What was silent longest goes; what ended in good order counts as silent for longer, so that a seldom copy is
            // not forgotten over the reboots of its original. But what ended lately may yet return.
            let goes = |branch: &Branch| branch.last() - if branch.ended() { ENDED_AHEAD } else { 0 };
            let place = (0..BRANCHES).min_by_key(|&at| self.branches.get(at).map(goes)).unwrap_or(0);
            self.branches.swap(place, BRANCHES - 1);
        }
        if let Some(last) = self.branches_mut().last_mut() {
            *last = new;
        }
        id
    }

    /// The branch's chain takes one step.
    fn exchange_token(&mut self, past: &mut Past, serial: u32, sample: &Sample, view: TokenView, id: u8) {
        if self.presenter(past, serial, sample.issued).is_some() {
            return;
        }
        if sample.token == 0 || sample.issued == 0 {
            let newest = if sample.token == 0 { sample.issued } else { sample.token };
            let Some(branch) = self.branch_mut(id).filter(|_| newest != 0) else { return };
            branch.newest = newest;
            return;
        }
        // A token that another branch held is used up there as well.
        for branch in self.branches_mut() {
            if branch.id != id && branch.newest == sample.token {
                branch.newest = 0;
            }
        }
        let Some(branch) = self.branch_mut(id) else { return };
        let generation = branch.generation;
        let retired = if view == TokenView::Previous(id) {
            // The reply was lost: what it carried is replaced.
            std::mem::replace(&mut branch.newest, sample.issued)
        } else {
            branch.generation = generation.saturating_add(1);
            let replaced = std::mem::replace(&mut branch.newest, sample.issued);
            if replaced != 0 && replaced != sample.token && generation != 0 {
                // The token that was presented is not known: a line was lost. If the one before it is used after all, there
                // are two chains.
                past.tokens.insert(token_key(serial, replaced), (id, generation));
            }
            std::mem::replace(&mut branch.previous, sample.token)
        };
        if retired != 0 {
            past.tokens.insert(token_key(serial, retired), (id, generation));
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one step of the tracker, split off for its length alone")]
    fn continued(
        &mut self,
        limits: &Limits,
        past: &mut Past,
        serial: u32,
        sample: &Sample,
        view: TokenView,
        before: u8,
        late: bool,
        id: u8,
    ) -> Option<Fork> {
        let known = *self.branch(id)?;
        let (count, elapsed) = (known.count(sample), sample.time - known.last());
        let resumed = (before != NONE && before != id).then_some(before);
        let fresh = matches!(count, Count::Ahead(_) | Count::Absent);
        let bare = sample.uptime.is_none() && sample.counter.is_none();
        let linked = resumed.is_some_and(|active| self.same_device(sample, view, active, id));
        let elsewhere = sample.network.is_some_and(|network| self.network != NONE && self.network != network);
        if let Some(branch) = self.branch_mut(id) {
            branch.advance(sample, limits);
        }
        if let (Count::Ahead(2..), Some(counter)) = (count, sample.counter) {
            Self::note_gap(past, serial, &known, counter);
        }
        if !late {
            self.exchange_token(past, serial, sample, view, id);
            self.active = id;
            if let (None, Count::Ahead(gap)) = (resumed, count) {
                let step = elapsed.max(0) / i64::try_from(gap).unwrap_or(i64::MAX).max(1);
                let smoothed = self.period().map_or(step, |period| period + (step - period) / 8);
                self.period = u16::try_from(smoothed).unwrap_or(u16::MAX);
            }
        }
        let Some(active) = resumed else {
            return self.reused(limits, sample, &known, count, late, elsewhere, view);
        };
        if linked {
            let instance = self.branch(active)?.instance;
            self.branch_mut(id)?.instance = instance;
            return None;
        }
        let (ours, other) = (*self.branch(id)?, *self.branch(active)?);
        if ours.instance == other.instance {
            return None;
        }
        let (ours, other) = (&ours, &other);
        let one_clock = ours.source().is_some() && ours.source() == other.source();
        if late && !one_clock {
            return None;
        }
        // Messages of one source come in its order, also within one second.
        let made = if sample.uptime.is_some() { ours.made() } else { sample.time };
        let after = made > other.first() || one_clock && made == other.first();
        let told = matches!(view, TokenView::Newest(_));
        let in_order = !late && fresh && after && (told || !(bare && ours.epoch().is_some()));
        let renumbered =
            differs(ours.boot_number(), other.boot_number()) || differs(ours.boot_id(), other.boot_id());
        // The sources' clocks say only roughly which of two chains began first, and which piece of one comes next.
        let younger = ours.first().max(other.first());
        if (ours.birth().of_token() || other.birth().of_token())
            && !one_clock
            && sample.time <= younger + 2 * limits.clock_tolerance
        {
            self.active = active;
            return None;
        }
        let forked = matches!(view, TokenView::Newest(_) | TokenView::Previous(_))
            && (other.birth().of_token() || ours.birth().of_token());
        let proof = if ours.booted_apart(other, limits) {
            let (older, younger) = in_boot_order(ours, other);
            // Without uptime a message names its boot, and does not say when it was made.
            let overlap = older.outlived(younger, limits).filter(|_| sample.uptime.is_some());
            match overlap {
                Some(overlap) => Proof::Boots { overlap },
                // Shortly one after the other, as far as one clock tells; what they count has to show it.
                None if in_order
                    && one_clock
                    && older.id == id
                    && older.boot_number() < younger.boot_number() =>
                {
                    Proof::BootNumber
                }
                None if in_order && forked => Proof::Tokens,
                // Its clock does not say when the message was made; but the one before had been taken by then, and the
                // younger sequence uses counts that were used.
                None if !late
                    && one_clock
                    && known.in_turn(sample)
                    && known.last() > other.first()
                    && other.counts_apart(sample)
                    && !ours.one_sequence(other) =>
                {
                    Proof::BareCounter
                }
                None => {
                    // What says neither when it booted nor where it counts does not return; the next message does.
                    if bare {
                        self.active = active;
                    }
                    return None;
                }
            }
        } else if !in_order {
            // The rest goes by the order in which messages came, so only what is new and in order counts.
            return None;
        } else if renumbered {
            Proof::BootNumber
        } else if forked {
            Proof::Tokens
        } else if ours.epoch().is_some() && other.epoch().is_some() {
            Proof::Counter
        } else if other.counts_apart(sample)
            || other.counter_last().is_some() && self.counted_on(&known, sample)
        {
            Proof::BareCounter
        } else {
            // A counter that is saved now and then comes back to where it was after each loss of power.
            return None;
        };
        Some(fork(sample, view, proof, ours, other))
    }

    /// Whether the sequence went on all the while: as many counts as the time since its latest message holds. One that
    /// came back to where it was after losses of power has fewer.
    fn counted_on(&self, known: &Branch, sample: &Sample) -> bool {
        let (Count::Ahead(gap), Some(period)) = (known.count(sample), self.period()) else { return false };
        let beats = (sample.time - known.last()).max(0) / period.max(1);
        i64::try_from(gap).is_ok_and(|gap| gap + 1 >= beats)
    }

    /// Counters that are used twice within one boot by messages that differ: a copy that imitates boot and counter. One
    /// such message is a retry; a device whose counter stands still is one whose counter stands still.
    #[expect(clippy::too_many_arguments, reason = "what is known of one message")]
    fn reused(
        &mut self,
        limits: &Limits,
        sample: &Sample,
        known: &Branch,
        count: Count,
        late: bool,
        elsewhere: bool,
        view: TokenView,
    ) -> Option<Fork> {
        if late || known.epoch().is_none() {
            return None;
        }
        let (score, said) = (self.reuses & !(REUSED_NOW | SAID_NOW), self.reuses & SAID_NOW != 0);
        match count {
            Count::Ahead(_) => {
                self.reuses = score.saturating_sub(1) | if sample.beat { SAID_NOW } else { 0 };
            }
            Count::Newest if sample.beat && !said => self.reuses |= SAID_NOW,
            Count::Newest
                if sample.beat
                    && self.reuses & REUSED_NOW == 0
                    && self.made_since(known) > limits.retry_window =>
            {
                let score = score.saturating_add(REUSE).min(2 * REUSE_SIGN);
                self.reuses = score | REUSED_NOW | SAID_NOW;
                let needed = if elsewhere { REUSE_SIGN - 1 } else { REUSE_SIGN };
                if score >= needed {
                    let branch = self.branch(known.id)?;
                    let mut fork = fork(sample, view, Proof::Reuse, branch, branch);
                    fork.one_sequence = false;
                    return Some(fork);
                }
            }
            _ => {}
        }
        None
    }

    /// Seconds between the making of a branch's latest two messages.
    fn made_since(&self, known: &Branch) -> i64 {
        self.branch(known.id).map_or(0, |now| now.made() - known.made())
    }

    fn fork_at_birth(
        &mut self,
        limits: &Limits,
        sample: &Sample,
        view: TokenView,
        before: u8,
        id: u8,
    ) -> Option<Fork> {
        if let Some(fork) = self.resumed_at_birth(sample, view, before, id) {
            return Some(fork);
        }
        let new = *self.branch(id)?;
        // A first message says so only by the clock that also saw the older boot; what other sources saw has to return.
        let one_clock = |branch: &&Branch| branch.source() == Some(sample.source);
        let found = self
            .branches()
            .iter()
            .filter(|branch| branch.id != id && branch.booted_apart(&new, limits))
            .filter(one_clock);
        let (older, overlap) = found
            .filter_map(|branch| branch.outlived(&new, limits).map(|overlap| (*branch, overlap)))
            .max_by_key(|(branch, _)| branch.last())?;
        // A first message proves little: the older boot was alive shortly before, and clocks differ. It has to return.
        if overlap <= limits.boot_tolerance {
            return None;
        }
        if before == older.id && self.same_device(sample, view, older.id, id) {
            self.branch_mut(id)?.instance = older.instance;
            return None;
        }
        Some(fork(sample, view, Proof::Boots { overlap }, &older, &new))
    }

    /// A new boot that counts on where an older branch stood, past the active one, which uses counts that were used.
    fn resumed_at_birth(&mut self, sample: &Sample, view: TokenView, before: u8, id: u8) -> Option<Fork> {
        let active = *self.branch(before)?;
        let old = self.branches().iter().filter(|branch| {
            branch.id != id
                && branch.instance != active.instance
                && branch.in_turn(sample)
                && branch.first() < active.first()
                && branch.counter_last() > active.counter_first()
        });
        let old = *old.max_by_key(|branch| branch.last())?;
        if view == TokenView::Newest(before) || !active.counts_apart(sample) {
            return None;
        }
        if old.source() != Some(sample.source) || active.source() != old.source() {
            return None;
        }
        self.branch_mut(id)?.instance = old.instance;
        Some(fork(sample, view, Proof::BareCounter, &old, &active))
    }

    /// Whether the sequence goes on unbroken from the active branch although the boots differ: the message presents the
    /// token that was last issued, or, seen by another source, counts on from the last count. Then the boots differ
    /// because a source's clock is wrong, not because there are two devices.
    fn same_device(&self, sample: &Sample, view: TokenView, active: u8, id: u8) -> bool {
        let (Some(active), Some(ours)) = (self.branch(active), self.branch(id)) else { return false };
        match view {
            TokenView::Newest(holder) => return holder == active.id,
            TokenView::Stale { .. } => return false,
            // A lost reply or a lost line; the counter has to tell.
            TokenView::Previous(_) | TokenView::Silent => {}
        }
        let apart = active.source().is_some_and(|source| source != sample.source);
        let clean = active.birth() != Birth::CounterBack
            && !active.birth().of_token()
            && active.one_sequence(ours)
            && !differs(active.boot_number(), sample.boot_count);
        apart && active.in_turn(sample) && clean
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

/// By so many seconds a branch that ended in good order counts as silent for longer: half a day.
const ENDED_AHEAD: i64 = 12 * 3_600;

/// Set in the score of reuses when the present counter was counted.
const REUSED_NOW: u8 = 0x80;
/// Set there when a heartbeat has said the present counter; what opens a connection repeats the latest one.
const SAID_NOW: u8 = 0x40;

enum Choice {
    /// It goes on with this branch.
    Continue(u8),
    /// It begins one.
    Begin(Birth),
    /// It is late and belongs to a branch that is forgotten.
    Leave,
}

fn gap_key(serial: u32, branch: u8) -> u64 {
    u64::from(serial) << 8 | u64::from(branch)
}

fn token_key(serial: u32, token: u32) -> u64 {
    u64::from(serial) << 32 | u64::from(token)
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

fn differs<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
    a.zip(b).is_some_and(|(a, b)| a != b)
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

/// The two, the earlier boot first.
fn in_boot_order<'a>(a: &'a Branch, b: &'a Branch) -> (&'a Branch, &'a Branch) {
    if a.epoch() <= b.epoch() { (a, b) } else { (b, a) }
}

fn fork(sample: &Sample, view: TokenView, proof: Proof, a: &Branch, b: &Branch) -> Fork {
    let (older, younger) = match proof {
        Proof::Boots { .. } => in_boot_order(a, b),
        _ if a.first() <= b.first() => (a, b),
        _ => (b, a),
    };
    let stale_token = match view {
        TokenView::Stale { generations } => Some(generations),
        TokenView::Previous(_) => Some(1),
        _ => None,
    };
    let one_clock = a.source().is_some() && a.source() == b.source();
    let replaced = matches!(view, TokenView::Stale { .. });
    let stale_token = stale_token.filter(|_| replaced || a.newest != 0 && b.newest != 0);
    let both_chains = a.newest != 0 && b.newest != 0 && a.id != b.id;
    let behind = sample.counter.zip(older.counter_last()).is_some_and(|(counter, last)| counter < last);
    // One device's counts come in order, whatever clocks say; what is left out of it comes close behind.
    let far_behind = sample
        .counter
        .zip(b.counter_last())
        .is_some_and(|(counter, last)| a.id != b.id && counter.saturating_add(LEFT_OUT) < last);
    let broken = far_behind
        || differs(a.boot_number(), b.boot_number())
        || differs(a.boot_id(), b.boot_id())
        || !a.one_sequence(b);
    let counted = a.counter_last().is_some() && b.counter_last().is_some();
    Fork {
        older: *older,
        younger: *younger,
        proof,
        before: None,
        stale_token,
        both_chains,
        corroborated: replaced || broken || (one_clock && (stale_token.is_some() || both_chains || behind)),
        one_sequence: !one_clock && !broken && !replaced && counted,
        sources_apart: !one_clock,
    }
}
