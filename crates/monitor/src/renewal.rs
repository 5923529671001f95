//! Renewals: a certificate is renewed once, so whoever comes with one that was renewed before is a second holder, or a
//! device that went back to an older state of itself.
//!
//! The first refusal is a suspicion. What one device does not do is to come back with the older certificate, and after
//! that go on with the newer one: a restored backup ends the newer state. So the two are confirmed when the side of the
//! newest certificate is seen after the other side was refused.

use touchmark_identity::event::RenewalOutcome;
use touchmark_identity::finding::{Branch, EventRef, Kind};
use touchmark_identity::timestamp::Timestamp;

use crate::claims::{Scene, benign, evidence};
use crate::observation::{Renewed, Seen};
use crate::report::{Claim, Depth};

/// A chain of renewals of which an older certificate came back. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Forked {
    /// The newest certificate of the chain, by the first four bytes of its SHA-256; none where nobody said.
    newest: Option<u32>,
    /// The side that was refused first.
    refused: Side,
    /// The side of the newest certificate; `None` until it is seen after a refusal.
    other: Option<Side>,
}

/// One side, as far as its renewals tell.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Side {
    first: i64,
    last: i64,
    times: u64,
    /// The network that it came from last.
    network: Option<String>,
}

impl Side {
    fn seen(known: Option<Self>, seen: &Seen<'_>) -> Self {
        let network = seen.network.map(|network| network.to_string());
        match known {
            None => Self { first: seen.time, last: seen.time, times: 1, network },
            Some(side) => Self {
                first: side.first.min(seen.time),
                last: side.last.max(seen.time),
                times: side.times.saturating_add(1),
                network: network.or(side.network),
            },
        }
    }

    fn branch(&self, id: u32) -> Branch {
        let at = |ms: i64| Timestamp::from_micros(ms.saturating_mul(1_000));
        Branch {
            id,
            first_seen: Some(at(self.first)),
            last_seen: Some(at(self.last)),
            sightings: Some(self.times),
            networks: self.network.iter().cloned().collect(),
            ..Branch::default()
        }
    }
}

/// What a renewal showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sign {
    /// A certificate came that had been renewed before.
    Superseded(Forked),
    /// After that, the side of the newest certificate was seen.
    BothAlive(Forked),
}

/// Takes one renewal: what is open about the chain afterwards, and the sign. A renewal that is older than the newest
/// refusal tells nothing of what came after it.
pub(crate) fn note(
    known: Option<Forked>,
    renewed: Renewed,
    seen: &Seen<'_>,
) -> (Option<Forked>, Option<Sign>) {
    let after = |forked: &Forked| seen.time > forked.refused.last;
    let by_newest = |forked: &Forked| forked.newest == Some(renewed.presented) && after(forked);
    match (renewed.outcome, known) {
        // Granted, or refused since an enrolment has left this side behind: its holder is still there.
        (_, Some(mut forked)) if by_newest(&forked) => {
            forked.newest = renewed.newest.or(forked.newest);
            forked.other = Some(Side::seen(forked.other, seen));
            (Some(forked.clone()), Some(Sign::BothAlive(forked)))
        }
        (RenewalOutcome::Renewed | RenewalOutcome::Repeated, known) => (known, None),
        (RenewalOutcome::Superseded, Some(mut forked)) => {
            if after(&forked) {
                forked.newest = renewed.newest;
            }
            forked.refused = Side::seen(Some(forked.refused), seen);
            (Some(forked.clone()), Some(Sign::Superseded(forked)))
        }
        (RenewalOutcome::Superseded, None) => {
            let forked = Forked { newest: renewed.newest, refused: Side::seen(None, seen), other: None };
            (Some(forked.clone()), Some(Sign::Superseded(forked)))
        }
    }
}

impl Scene<'_> {
    /// A certificate was to be renewed that had been renewed before.
    pub(crate) fn renewal(&self, sign: &Sign, began: (Timestamp, EventRef)) -> Claim {
        let (Sign::Superseded(forked) | Sign::BothAlive(forked)) = sign;
        let sure = matches!(sign, Sign::BothAlive(_));
        let says = "it asked to renew a certificate that had been renewed before, and was refused";
        let mut signs = vec![evidence("renewal.superseded", "renewal", 42.0, says.to_owned())];
        if sure {
            let says = "after an older certificate had come back, the newest one of the chain was used again; one \
                        device has one of them";
            signs.push(evidence("renewal.both-alive", "renewal", 60.0, says.to_owned()));
        }
        let other = forked.other.as_ref();
        let networks = (forked.refused.network.as_ref(), other.and_then(|side| side.network.as_ref()));
        if let (Some(one), Some(other)) = networks
            && one != other
        {
            let says = "the two use different networks".to_owned();
            signs.push(evidence("network.differs", "network", 6.0, says));
        }
        let newest = other.map_or_else(|| Branch { id: 1, ..Branch::default() }, |side| side.branch(1));
        let seen = if sure {
            "two holders renew one certificate: one came back with an older one of the chain, and after that the newest \
             one was used again. Each certificate has one successor, which one device would have kept."
        } else {
            "it asked to renew a certificate that had been renewed before. Whoever holds the successor has it in use, or \
             renewed into another key: a copy that renewed first, or the device itself in another state."
        };
        let not_rejected = |sure: bool, otherwise: &str| {
            let why = if sure { "it would have ended the newer state, which goes on" } else { otherwise };
            why.to_owned()
        };
        let mut causes = vec![
            benign(
                "a backup that was restored, or flash that was rolled back",
                not_rejected(sure, "not rejected: ask whether the device was serviced"),
            ),
            benign(
                "a device that could not store the answer to its renewal",
                not_rejected(
                    sure,
                    "not rejected: look at the device's log, and whether its storage is worn out",
                ),
            ),
            benign(
                "an answer that was lost on its way",
                "as long as the successor was not used, it is given again for the same key",
            ),
        ];
        if sure {
            causes.push(benign(
                "a device with two system images, each with a certificate of its own, that it starts in turn",
                "not rejected: ask whether devices of this type keep certificates in an image",
            ));
        }
        if self.two_instances() == Kind::ConcurrentSession {
            causes.extend(self.of_a_chip());
        }
        Claim {
            kind: self.two_instances(),
            rules: vec!["renewal.superseded"],
            evidence: signs,
            impossible: sure,
            confirm_after: 1,
            began,
            branches: vec![forked.refused.branch(0), newest],
            original: None,
            benign: causes,
            seen: seen.to_owned(),
            // The second sign tells more than the first, and less than what the device says itself.
            depth: if sure { Depth::Message } else { Depth::Network },
        }
    }
}

#[cfg(test)]
mod tests;
