//! The chain of server-issued tokens, read as a tree.

use super::{Continuity, Past};
use crate::branch::{Birth, Boot, Branch, Count, Sample};
use crate::settings::Limits;

/// What a presented token is, seen from the chains that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenView {
    /// None was presented, or none is known.
    Silent,
    /// The one last issued to this branch.
    Newest(u8),
    /// The one before: the reply with the newest was lost.
    Previous(u8),
    /// Used up or replaced, this many generations ago.
    Stale { generations: u32 },
}

impl Continuity {
    pub(super) fn token_view(&self, past: &Past, serial: u32, sample: &Sample) -> TokenView {
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
    pub(super) fn presenter(&self, past: &Past, serial: u32, token: u32) -> Option<u8> {
        if token == 0 {
            return None;
        }
        let latest = self.branches().iter().find(|branch| branch.previous == token).map(|branch| branch.id);
        latest.or_else(|| past.tokens.find(token_key(serial, token)).map(|(branch, _)| branch))
    }

    /// What a branch was given had been presented before it came: the two pieces are one chain, of one device.
    pub(super) fn join_chains(&mut self, past: &Past, serial: u32, sample: &Sample, view: TokenView) {
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
    pub(super) fn take_chain(&mut self, limits: &Limits, sample: &Sample, view: TokenView) -> TokenView {
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

    pub(super) fn drop_branch(&mut self, id: u8) {
        let last = usize::from(self.held).saturating_sub(1);
        if let Some(place) = self.branches().iter().position(|branch| branch.id == id) {
            self.branches.swap(place, last);
            self.held = self.held.saturating_sub(1);
        }
    }

    /// The branch's chain takes one step.
    pub(super) fn exchange_token(
        &mut self,
        past: &mut Past,
        serial: u32,
        sample: &Sample,
        view: TokenView,
        id: u8,
    ) {
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
}

pub(super) fn token_key(serial: u32, token: u32) -> u64 {
    u64::from(serial) << 32 | u64::from(token)
}
