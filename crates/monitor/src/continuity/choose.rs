//! To which sequence a message belongs, or that it begins one.

use super::chain::TokenView;
use super::{BRANCHES, Continuity, NONE};
use crate::branch::{Birth, Boot, Branch, Count, LOST_LINES, Sample};
use crate::settings::Limits;

pub(super) enum Choice {
    /// It goes on with this branch.
    Continue(u8),
    /// It begins one.
    Begin(Birth),
    /// It is late and belongs to a branch that is forgotten.
    Leave,
}

/// By so many seconds a branch that ended in good order counts as silent for longer: half a day.
pub(super) const ENDED_AHEAD: i64 = 12 * 3_600;

impl Continuity {
    pub(super) fn choose(&self, limits: &Limits, sample: &Sample, view: TokenView, late: bool) -> Choice {
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
    pub(super) fn overrun(&self, branch: &Branch) -> bool {
        self.active().is_some_and(|active| {
            active.id != branch.id
                && active.birth() == Birth::CounterBack
                && active.epoch().is_none()
                && active.counter_first() <= branch.counter_last()
                && branch.counter_last() <= active.counter_last()
        })
    }

    /// Whether the counter is one that the branch can have reached by now.
    pub(super) fn plausible(&self, sample: &Sample, branch: &Branch) -> bool {
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
    pub(super) fn free_id(&mut self) -> u8 {
        loop {
            let id = self.next_id;
            self.next_id = if id >= NONE - 1 { 0 } else { id + 1 };
            if !self.branches().iter().any(|branch| branch.id == id || branch.instance == id) {
                return id;
            }
        }
    }

    pub(super) fn begin(&mut self, sample: &Sample, birth: Birth, view: TokenView) -> u8 {
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
}
