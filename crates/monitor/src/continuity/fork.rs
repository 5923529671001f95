//! What shows that two sequences were alive at once.

use super::chain::TokenView;
use super::{Continuity, NONE, Past};
use crate::branch::{Birth, Branch, Count, LEFT_OUT, Sample};
use crate::settings::Limits;

/// A counter that is used again by a fresh message counts as a sign from this score on: [`REUSE`] for each, less one for
/// each count that was used once.
const REUSE_SIGN: u8 = 4;
const REUSE: u8 = 2;

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

/// Set in the score of reuses when the present counter was counted.
pub(super) const REUSED_NOW: u8 = 0x80;

/// Set there when a heartbeat has said the present counter; what opens a connection repeats the latest one.
pub(super) const SAID_NOW: u8 = 0x40;

impl Continuity {
    #[expect(clippy::too_many_arguments, reason = "one step of the tracker, split off for its length alone")]
    pub(super) fn continued(
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
    pub(super) fn counted_on(&self, known: &Branch, sample: &Sample) -> bool {
        let (Count::Ahead(gap), Some(period)) = (known.count(sample), self.period()) else { return false };
        let beats = (sample.time - known.last()).max(0) / period.max(1);
        i64::try_from(gap).is_ok_and(|gap| gap + 1 >= beats)
    }

    /// Counters that are used twice within one boot by messages that differ: a copy that imitates boot and counter. One
    /// such message is a retry; a device whose counter stands still is one whose counter stands still.
    #[expect(clippy::too_many_arguments, reason = "what is known of one message")]
    pub(super) fn reused(
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
    pub(super) fn made_since(&self, known: &Branch) -> i64 {
        self.branch(known.id).map_or(0, |now| now.made() - known.made())
    }

    pub(super) fn fork_at_birth(
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
    pub(super) fn resumed_at_birth(
        &mut self,
        sample: &Sample,
        view: TokenView,
        before: u8,
        id: u8,
    ) -> Option<Fork> {
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
    pub(super) fn same_device(&self, sample: &Sample, view: TokenView, active: u8, id: u8) -> bool {
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
}

pub(super) fn differs<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
    a.zip(b).is_some_and(|(a, b)| a != b)
}

/// The two, the earlier boot first.
pub(super) fn in_boot_order<'a>(a: &'a Branch, b: &'a Branch) -> (&'a Branch, &'a Branch) {
    if a.epoch() <= b.epoch() { (a, b) } else { (b, a) }
}

pub(super) fn fork(sample: &Sample, view: TokenView, proof: Proof, a: &Branch, b: &Branch) -> Fork {
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
