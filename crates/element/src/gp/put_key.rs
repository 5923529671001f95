//! PUT KEY (GlobalPlatform Card Specification 2.3.1 §11.8; Amendment D §7.2): a whole key set at a time.

use touchmark_identity::apdu::Command;
use touchmark_identity::apdu::scp03::{AesKey, read_put_keys};

use super::keys::{KeySet, Secret};
use super::registry::{Instance, life};
use crate::card::{Card, Refusal};
use crate::runtime::Reply;

/// P2: several keys, of which the first has the identifier 1.
const THREE_KEYS: u8 = 0x81;
/// Key version numbers are 1 to 7F.
const LAST_VERSION: u8 = 0x7F;
/// Key sets of one domain.
const MOST_SETS: usize = 16;

/// Adds a set (P1 00), or replaces the set of version P1. The keys come encrypted under the static DEK of the set that
/// opened the session.
pub(super) fn process(card: &mut Card, domain: &Instance, command: &Command) -> Result<Reply, Refusal> {
    if command.p2 != THREE_KEYS || command.p1 > LAST_VERSION {
        return Err(Refusal::Parameters);
    }
    let dek = card.level().and_then(|level| level.dek.as_ref()).ok_or(Refusal::Security)?;
    let new = read_put_keys(&AesKey::new(dek.bytes())?, &command.data)?;
    if !(1..=LAST_VERSION).contains(&new.version) {
        return Err(Refusal::Field);
    }
    let secret = |key: &AesKey| Secret::new(key.as_bytes().to_vec());
    let keys = [secret(&new.set.enc), secret(&new.set.mac), secret(&new.set.dek)];

    let mut next = card.gp().clone();
    let own = |set: &KeySet, version| set.domain == domain.aid && set.version == version;
    let taken = next.keys.iter().any(|set| own(set, new.version));
    if command.p1 == 0 {
        if taken {
            return Err(Refusal::Field);
        }
        if next.keys.iter().filter(|set| set.domain == domain.aid).count() >= MOST_SETS {
            return Err(Refusal::Memory);
        }
        next.keys.push(KeySet::new(domain.aid.clone(), new.version, domain.parameter, keys));
    } else {
        let old = next.keys.iter_mut().find(|set| own(set, command.p1)).ok_or(Refusal::Unknown)?;
        if taken && new.version != command.p1 {
            return Err(Refusal::Field);
        }
        *old = KeySet::new(domain.aid.clone(), new.version, old.parameter, keys);
    }
    // "PERSONALIZED: the Security Domain has all its keys" (§5.3.2.3)
    for row in
        next.instances.iter_mut().filter(|row| row.aid == domain.aid && row.life_cycle == life::SELECTABLE)
    {
        row.life_cycle = life::PERSONALIZED;
    }
    card.commit_gp(next)?;
    Ok(new.receipt.into())
}
