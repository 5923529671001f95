//! Answers from the registry in place of an opinion.
//!
//! A fact answers up to the level at which something is measured, and never the highest: that things are improved by what
//! is measured, no registry knows. What the registry knows nothing about it does not answer.

use super::answers::{Answer, Answers, Place};
use super::model::{Fact, Model};
use crate::evidence::facts::{EventFacts, FleetFacts, RegistryFacts, count, total};

/// The level of what is not there.
const ABSENT: u8 = 1;
/// The level of what is there for some, or by word alone.
const SOME: u8 = 2;
/// The level of what is there for most, with something to show.
const MOST: u8 = 3;
/// The level of what is there for all, and counted.
const COUNTED: u8 = 4;

/// The answers that facts give, each with what was read as its artefact.
#[must_use]
pub fn from_facts(model: &Model, facts: &FleetFacts) -> Answers {
    let mut answers = Answers::default();
    for question in &model.questions {
        let Some(level) = question.fact.and_then(|fact| level(fact, facts)) else { continue };
        let place = Place::Facts { read: facts.origin(), example: facts.example };
        let artefact = Some(facts.origin());
        answers.insert(&question.id, Answer { level, artefact, place });
    }
    answers
}

/// The level that a fact answers with; `None` where the facts know nothing about it.
#[must_use]
pub fn level(fact: Fact, facts: &FleetFacts) -> Option<u8> {
    if fact == Fact::Monitored {
        return facts.events.as_ref().map(monitored);
    }
    let registry = facts.registry.as_ref()?;
    let keys = &registry.keys;
    match fact {
        Fact::Inventory => Some(share(registry.complete, registry.devices)),
        Fact::PartsRecorded => Some(share(keys.with_part, keys.devices)),
        Fact::StorageProven => {
            let proven = count(&keys.by_basis, "attested") + count(&keys.by_basis, "journalled");
            // That storage is recorded at all is something, even where it is claimed.
            Some(share(proven, keys.devices).max(if keys.devices > 0 { SOME } else { ABSENT }))
        }
        Fact::NoSharedSecret => (keys.devices > 0).then(|| shared(registry)),
        Fact::Expiry => (registry.certificates.issued > 0).then(|| expiry(registry)),
        Fact::CrlCurrent => Some(if registry.crl_current { COUNTED } else { ABSENT }),
        Fact::RevocationExercised => Some(revocation(registry)),
        // Without one applied, nobody knows whether there was anything to apply.
        Fact::ClassBreaks => (!registry.class_breaks.is_empty()).then_some(COUNTED),
        Fact::Renewal => {
            let certificates = &registry.certificates;
            (certificates.replacing > 0).then(|| share(certificates.renewed, certificates.replacing))
        }
        Fact::JournalWhole => {
            let whole = registry.journal_entries > 0 && registry.journal_whole;
            Some(if whole { COUNTED } else { ABSENT })
        }
        Fact::Monitored => None,
    }
}

/// None, some, most (nine of ten), all.
fn share(have: u64, of: u64) -> u8 {
    if have == 0 || of == 0 {
        ABSENT
    } else if have >= of {
        COUNTED
    } else if have.saturating_mul(10) >= of.saturating_mul(9) {
        MOST
    } else {
        SOME
    }
}

fn shared(registry: &RegistryFacts) -> u8 {
    let keys = &registry.keys;
    let exposed =
        count(&keys.by_grade, "exposed").max(count(&keys.by_provenance, "derived-from-shared-secret"));
    if exposed > 0 {
        return ABSENT;
    }
    let unknown = count(&keys.by_provenance, "unknown");
    share(keys.devices.saturating_sub(unknown), keys.devices).max(SOME)
}

fn expiry(registry: &RegistryFacts) -> u8 {
    match (registry.certificates.expired, registry.certificates.expiring) {
        (0, 0) => COUNTED,
        (0, _) => MOST,
        _ => SOME,
    }
}

fn revocation(registry: &RegistryFacts) -> u8 {
    let exercised = registry.certificates.revoked + registry.certificates.on_hold > 0;
    match (registry.crl_current, exercised) {
        (true, true) => COUNTED,
        (false, true) | (true, false) => SOME,
        (false, false) => ABSENT,
    }
}

fn monitored(events: &EventFacts) -> u8 {
    let decided = events.decisions + events.cases > 0;
    match (events.events, total(&events.findings)) {
        (0, _) => ABSENT,
        (_, found) if found > 0 && decided => COUNTED,
        _ => MOST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Inputs;
    use crate::posture::scores;

    #[test]
    fn every_fact_answers_the_example_with_its_artefact_and_none_with_the_highest_level() {
        let model = Model::own().unwrap();
        let facts = FleetFacts::example().unwrap();
        let answers = from_facts(&model, &facts);
        let asked: Vec<_> = model.questions.iter().filter(|question| question.fact.is_some()).collect();
        assert_eq!(asked.len(), answers.iter().count());
        for (id, answer) in answers.iter() {
            assert!(answer.artefact.is_some() && answer.level < 5, "{id}");
        }
        let level = |id: &str| answers.get(id).unwrap().level;
        assert_eq!(level("certificates.inventory"), 3);
        assert_eq!(level("certificates.expiry"), 2);
        assert_eq!(level("resilience.revocation"), 4);
        assert_eq!(level("keys.storage"), 2);
        assert_eq!(level("monitoring.events"), 4);
    }

    #[test]
    fn without_facts_nothing_is_answered() {
        let model = Model::own().unwrap();
        assert_eq!(from_facts(&model, &FleetFacts::default()).iter().count(), 0);
    }

    #[test]
    fn a_shared_secret_is_the_lowest_level_whatever_else_holds() {
        let mut facts = FleetFacts::example().unwrap();
        facts.registry.as_mut().unwrap().keys.by_grade.insert("exposed".to_owned(), 1);
        assert_eq!(level(Fact::NoSharedSecret, &facts), Some(1));
    }

    #[test]
    fn facts_take_the_place_of_opinions() {
        let (model, inputs) = (Model::own().unwrap(), Inputs::own().unwrap());
        let opinions = Answers::example(&model).unwrap();
        let facts = from_facts(&model, &FleetFacts::example().unwrap());
        let both = opinions.clone().overridden(facts);
        assert_eq!(both.get("certificates.inventory").unwrap().level, 3);
        assert_eq!(both.get("strategy.owner"), opinions.get("strategy.owner"));
        assert!(scores(&model, &both, &inputs).unwrap().overall >= 1.0);
    }
}
