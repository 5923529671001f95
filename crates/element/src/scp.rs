//! SCP03 on the card's side (GlobalPlatform Card Specification, Amendment D 1.2): INITIALIZE UPDATE and EXTERNAL
//! AUTHENTICATE, with the sequence counters and the count of failures that the codec leaves to the card.

use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use touchmark_identity::apdu::scp03::{
    AesKey, CounterRule, KeySet, Level, Parameter, Scp03Error, SecureChannel, SessionKeys, UpdateResponse,
    card_challenge,
};
use touchmark_identity::apdu::{Command, RawCommand, StatusWord};

use crate::card::{Card, Refusal};
use crate::gp::data::diversification;
use crate::gp::registry::Instance;
use crate::gp::{self, Aid};
use crate::runtime::Reply;

/// The key version of SE05x platform keys. Its hosts never look at i, ask for level 33, and count commands with data
/// only, as applets before 4.3 do.
const PLATFORM_VERSION: u8 = 0x0B;
/// From this applet version on, that channel counts every command, not only those with data (`se05x_scp03.c` of NXP's
/// nano package: `0x04030000`).
const COUNTS_EVERY_COMMAND: [u8; 3] = [4, 3, 0];
/// The last value of a sequence counter of three bytes.
const LAST_SEQUENCE: u32 = 0x00FF_FFFF;
/// Failures that cost nothing, so that a mistyped key is no trouble.
const FREE_FAILURES: u32 = 4;

impl From<Scp03Error> for Refusal {
    fn from(error: Scp03Error) -> Self {
        match error {
            Scp03Error::KeyBlock { .. } => Self::Field,
            Scp03Error::Challenge { .. } => Self::Length,
            Scp03Error::Level { .. } => Self::Parameters,
            Scp03Error::Mac { .. }
            | Scp03Error::Unsecured { .. }
            | Scp03Error::Padding { .. }
            | Scp03Error::Cryptogram { .. }
            | Scp03Error::Broken => Self::Security,
            Scp03Error::KeyLength { .. }
            | Scp03Error::UpdateResponse { .. }
            | Scp03Error::TooLong { .. }
            | Scp03Error::Crypto => Self::Crypto,
        }
    }
}

/// Between INITIALIZE UPDATE and EXTERNAL AUTHENTICATE.
pub(crate) struct Handshake {
    /// The domain for which the host authenticates.
    domain: Aid,
    /// The domain whose key set it is, itself or one above.
    owner: Aid,
    version: u8,
    keys: SessionKeys,
    /// The static DEK of now: PUT KEY in the session goes by it, though it may replace the set.
    dek: gp::Secret,
}

/// How long a card makes its host wait after so many failures one after another: nothing for four, then 100 ms, doubled
/// each time up to 3.2 s.
pub(crate) fn throttle(failures: u32) -> Duration {
    match failures.checked_sub(FREE_FAILURES + 1) {
        None => Duration::ZERO,
        Some(doublings) => Duration::from_millis(100 << doublings.min(5)),
    }
}

fn key_set(set: &gp::KeySet) -> Result<KeySet, Scp03Error> {
    let [enc, mac, dek] = &set.keys;
    Ok(KeySet {
        enc: AesKey::new(enc.bytes())?,
        mac: AesKey::new(mac.bytes())?,
        dek: AesKey::new(dek.bytes())?,
    })
}

/// INITIALIZE UPDATE: `80 50 KVN 00`, the host's challenge. Gives the answer, and the delay that the failures before
/// have earned.
pub(crate) fn initialize_update(
    card: &mut Card,
    instance: &Instance,
    command: &Command,
) -> Result<(Handshake, Vec<u8>, Duration), Refusal> {
    if command.p2 != 0 {
        return Err(Refusal::Parameters);
    }
    let domain = if instance.is_domain() { instance.aid.clone() } else { instance.domain.clone() };
    let owner = card.gp().key_owner(&domain);
    let chosen = |set: &&gp::KeySet| set.domain == owner && (command.p1 == 0 || set.version == command.p1);
    let set = card.gp().keys.iter().find(chosen).cloned().ok_or(Refusal::Unknown)?;
    let parameter = Parameter(set.parameter);
    let width = parameter.width();
    if command.data.len() != width.bytes() {
        return Err(Refusal::Length);
    }
    let keys = key_set(&set)?;
    let (challenge, sequence) = if parameter.pseudo_random() {
        if set.sequence >= LAST_SEQUENCE {
            return Err(Refusal::CounterEnd);
        }
        // Durable before the answer leaves: no challenge ever comes twice.
        let mut next = card.gp().clone();
        for set in next.keys.iter_mut().filter(|one| one.domain == owner && one.version == set.version) {
            set.sequence += 1;
        }
        card.commit_gp(next)?;
        let [_, sequence @ ..] = set.sequence.to_be_bytes();
        (card_challenge(&keys.enc, sequence, instance.aid.bytes(), width)?, Some(sequence))
    } else {
        let mut challenge = vec![0; width.bytes()];
        SystemRandom::new().fill(&mut challenge).map_err(|_| Refusal::Crypto)?;
        (challenge, None)
    };
    let session = SessionKeys::derive(&keys, &command.data, &challenge)?;
    let answer = UpdateResponse {
        diversification: diversification(&card.state().chip_id),
        version: set.version,
        parameter,
        challenge,
        cryptogram: session.card_cryptogram()?,
        sequence,
    };
    let delay = throttle(set.failures);
    let [_, _, dek] = set.keys;
    let handshake = Handshake { domain, owner, version: set.version, keys: session, dek };
    Ok((handshake, answer.encode(), delay))
}

/// EXTERNAL AUTHENTICATE: `84 82 level 00`, the host's cryptogram and the code. A wrong cryptogram counts, durably; a
/// right one takes the count back. `None` with the status when the host has not proved itself.
pub(crate) fn external_authenticate(
    card: &mut Card,
    handshake: Handshake,
    raw: &RawCommand,
) -> Result<(Option<(gp::Level, SecureChannel)>, Reply), Refusal> {
    let Handshake { domain, owner, version, keys, dek } = handshake;
    let level = Level::try_from(raw.command.p1)?;
    if raw.command.p2 != 0 {
        return Err(Refusal::Parameters);
    }
    if raw.command.data.len() != 2 * keys.width().bytes() {
        return Err(Refusal::Length);
    }
    let own = |set: &&gp::KeySet| set.domain == owner && set.version == version;
    let set = card.gp().keys.iter().find(own).ok_or(Refusal::NotNow)?;
    let failures = set.failures;
    let platform = version == PLATFORM_VERSION;
    if !platform && !Parameter(set.parameter).allows(level) {
        return Err(Refusal::NotNow);
    }
    let few = platform && card.version().version < COUNTS_EVERY_COMMAND;
    let rule = if few { CounterRule::WithDataOnly } else { CounterRule::EveryCommand };
    let opened = SecureChannel::accept(keys, level, rule, raw);
    let failures_now = match opened {
        Ok(_) => 0,
        Err(Scp03Error::Cryptogram { .. }) => failures.saturating_add(1),
        Err(_) => failures,
    };
    if failures_now != failures {
        let mut next = card.gp().clone();
        for set in next.keys.iter_mut().filter(|set| set.domain == owner && set.version == version) {
            set.failures = failures_now;
        }
        card.commit_gp(next)?;
    }
    match opened {
        Ok(channel) => {
            let level = gp::Level { domain, dek: Some(dek) };
            Ok((Some((level, channel)), Vec::new().into()))
        }
        Err(Scp03Error::Cryptogram { .. }) => {
            Ok((None, Reply { data: Vec::new(), sw: StatusWord::AUTHENTICATION_FAILED }))
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_bound() {
        let delays: Vec<u128> = (0..12).map(|failures| throttle(failures).as_millis()).collect();
        assert_eq!(delays, [0, 0, 0, 0, 0, 100, 200, 400, 800, 1600, 3200, 3200]);
        assert_eq!(throttle(u32::MAX).as_millis(), 3200);
    }
}
