//! Telling the instances of one identity apart at the telemetry endpoint, from one heartbeat.
//!
//! A finding says what its instances *were* like; a heartbeat comes later. Two things tie it to an instance:
//! - The **chain of tokens**. An instance that gives back the token which it was issued last goes on with its own chain,
//!   wherever it is and however often it booted. The newest token and the one before are taken, because an answer may
//!   be lost. This is the stronger tie: a copy knows the tokens of its original only until both go on.
//! - The **features** that the finding names: boot, boot number, network, firmware. They tie a heartbeat to an instance
//!   when it fits that one better than all others.
//!
//! Until the case was opened, features come first, since a copy begins with its original's token; afterwards the chain
//! does, since a device moves and reboots.

use touchmark_identity::event::{Event, EventBody};
use touchmark_identity::finding::Branch;
use touchmark_identity::timestamp::Timestamp;
use touchmark_monitor::network_name;

/// Boots this close together, in milliseconds, are the same: the monitor's own tolerance (`docs/monitoring.md`).
const SAME_BOOT_MS: i64 = 900_000;

/// What a heartbeat says that ties it to an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sight {
    /// The token that it presented.
    pub token: Option<String>,
    /// When it booted, as its uptime says.
    pub booted: Option<Timestamp>,
    /// How often it has booted.
    pub boot_count: Option<u64>,
    /// Its network, as findings name it.
    pub network: Option<String>,
    /// The firmware that it reports.
    pub firmware: Option<String>,
}

impl Sight {
    /// What a heartbeat says, and the token that it was issued; `None` for other events and for lines about a
    /// connection that goes on.
    #[must_use]
    pub fn of(event: &Event) -> Option<(Self, Option<&str>)> {
        let EventBody::Heartbeat(beat) = &event.body else { return None };
        beat.counter?;
        let booted = beat.uptime_ms.and_then(|ms| i64::try_from(ms).ok()).map(|ms| event.time.plus_ms(-ms));
        let sight = Self {
            token: beat.token.clone(),
            booted,
            boot_count: beat.boot_count,
            network: beat.peer.as_ref().map(network_name),
            firmware: beat.firmware.clone(),
        };
        Some((sight, beat.token_issued.as_deref()))
    }

    /// How well it fits an instance; what both name adds or takes away, what identifies a boot most.
    fn fits(&self, branch: &Branch) -> i32 {
        let judge = |same: Option<bool>, weight: i32| match same {
            Some(true) => weight,
            Some(false) => -weight,
            None => 0,
        };
        let boot = self.booted.zip(branch.booted).map(|(a, b)| a.ms_since(b).abs() < SAME_BOOT_MS);
        let number = self.boot_count.zip(branch.boot_count).map(|(a, b)| a == b);
        let listed = |name: &Option<String>, names: &[String]| {
            name.as_ref().filter(|_| !names.is_empty()).map(|name| names.contains(name))
        };
        judge(boot, 6)
            + judge(number, 6)
            + judge(listed(&self.network, &branch.networks), 4)
            + judge(listed(&self.firmware, &branch.firmware), 2)
    }
}

/// The end of an instance's chain: what it presented last, and what it was issued for that.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Chain {
    presented: String,
    issued: String,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lane {
    branch: Branch,
    chain: Option<Chain>,
}

/// What ties a heartbeat to an instance first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// Features: before the case.
    Features,
    /// The chain of tokens: since then.
    Chain,
}

/// The instances of a finding, followed as they go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Instances(Vec<Lane>);

impl Instances {
    /// As the finding tells them apart.
    #[must_use]
    pub fn new(branches: &[Branch]) -> Self {
        Self(branches.iter().map(|branch| Lane { branch: branch.clone(), chain: None }).collect())
    }

    /// The instance whose chain a heartbeat goes on with.
    fn by_chain(&self, sight: &Sight) -> Option<u32> {
        let token = sight.token.as_deref()?;
        let own = |lane: &&Lane| {
            lane.chain.as_ref().is_some_and(|chain| chain.issued == token || chain.presented == token)
        };
        let mut found = self.0.iter().filter(own);
        let lane = found.next()?;
        // A token that ends two chains ties to neither.
        found.next().is_none().then_some(lane.branch.id)
    }

    /// The instance that a heartbeat fits better than all others.
    fn by_features(&self, sight: &Sight) -> Option<u32> {
        let fits = || self.0.iter().map(|lane| (lane.branch.id, sight.fits(&lane.branch)));
        let (best, most) = fits().max_by_key(|(_, fit)| *fit)?;
        let alone = fits().filter(|(_, fit)| *fit == most).count() == 1;
        (alone && most > 0).then_some(best)
    }

    /// The instance from which a heartbeat came, where that can be told.
    #[must_use]
    pub fn place(&self, sight: &Sight, first: First) -> Option<u32> {
        match first {
            First::Features => self.by_features(sight).or_else(|| self.by_chain(sight)),
            First::Chain => self.by_chain(sight).or_else(|| self.by_features(sight)),
        }
    }

    /// Follows an instance: it sent this heartbeat and was issued this token.
    pub fn follow(&mut self, sight: &Sight, issued: &str, first: First) {
        let Some(id) = self.place(sight, first) else { return };
        let Some(lane) = self.0.iter_mut().find(|lane| lane.branch.id == id) else { return };
        // An instance that gives no token back has no chain, and is told by its features.
        lane.chain = sight
            .token
            .as_ref()
            .map(|presented| Chain { presented: presented.clone(), issued: issued.to_owned() });
    }

    /// Whether a heartbeat has to be refused when these instances lost their rights.
    ///
    /// Where an instance that keeps its rights has a chain of tokens, what does not go on with such a chain is refused:
    /// leaving the token out or inventing features must not help. Where none has, what fits a refused instance better
    /// than all others is refused, and what cannot be told is served.
    #[must_use]
    pub fn refuses(&self, sight: &Sight, refused: &[u32]) -> bool {
        let keeps = |lane: &&Lane| !refused.contains(&lane.branch.id);
        match self.by_chain(sight) {
            Some(id) => refused.contains(&id),
            None if self.0.iter().filter(keeps).any(|lane| lane.chain.is_some()) => true,
            None => self.by_features(sight).is_some_and(|id| refused.contains(&id)),
        }
    }
}

#[cfg(test)]
mod tests;
