//! What the registry can show.

use super::super::facts::{CertificateFacts, KeyFacts, RegistryFacts, count};
use super::super::kind::Kind;
use super::{Builder, Standing};

pub(super) fn statement(kind: Kind, registry: &RegistryFacts) -> Builder {
    if registry.devices == 0 {
        return Builder::missing("the registry has no devices");
    }
    match kind {
        Kind::Inventory => inventory(registry),
        Kind::CertificateLifecycle => lifecycle(&registry.certificates),
        Kind::RevocationRecords => revocation(registry),
        Kind::AuthorityJournal => journal(registry),
        _ if registry.keys.devices == 0 => {
            Builder::missing("the registry has devices, and no keys of theirs")
        }
        Kind::UniqueIdentity => unique(registry),
        Kind::KeyStorageClass => storage(&registry.keys),
        Kind::Attestation => attestation(&registry.keys),
        Kind::KeyProvenance => provenance(&registry.keys),
        Kind::HostBinding => binding(&registry.keys),
        Kind::PartInventory => parts(&registry.keys),
        Kind::CertificationReference => certification(&registry.keys),
        Kind::ClassBreakCheck => class_breaks(registry),
        Kind::AffectedCohort => cohort(&registry.keys),
        _ => Builder::missing("the registry has nothing about it"),
    }
}

fn devices(builder: &mut Builder, registry: &RegistryFacts) {
    builder.says.count("registry.devices", "Devices in the registry", registry.devices);
}

fn keys(builder: &mut Builder, keys: &KeyFacts) {
    builder.says.count("registry.keys", "Devices with a key in the registry", keys.devices);
}

fn inventory(registry: &RegistryFacts) -> Builder {
    let mut builder = Builder::of(registry.complete, registry.devices);
    devices(&mut builder, registry);
    builder.says.words(" devices, of which ");
    builder.says.count("registry.complete", "Devices with key and certificate", registry.complete);
    builder.says.words(" with key and certificate; by type ");
    builder.says.counts("registry.type", "Devices of the type", &registry.by_type);
    builder.says.words("; by status ");
    builder.says.counts("registry.status", "Devices of the status", &registry.by_status);
    let without = registry.devices.saturating_sub(registry.complete);
    builder.lacking(
        "registry.incomplete",
        "Devices without key or certificate",
        without,
        " devices have no key or certificate",
    );
    builder
}

fn unique(registry: &RegistryFacts) -> Builder {
    let mut builder = Builder::of(registry.keys.devices, registry.devices);
    keys(&mut builder, &registry.keys);
    builder.says.words(" devices with a key of their own; the registry takes a key for one device alone");
    let none = registry.devices.saturating_sub(registry.keys.devices);
    builder.lacking("registry.keyless", "Devices without a key", none, " devices have no key");
    let exposed = count(&registry.keys.by_grade, "exposed");
    builder.lacking(
        "registry.grade.exposed",
        "Keys of the grade: exposed",
        exposed,
        " keys come from secrets that other devices share",
    );
    builder
}

fn proven(keys: &KeyFacts) -> u64 {
    count(&keys.by_basis, "attested") + count(&keys.by_basis, "journalled")
}

fn storage(facts: &KeyFacts) -> Builder {
    let mut builder = Builder::of(proven(facts), facts.devices);
    keys(&mut builder, facts);
    builder.says.words(" keys; by storage ");
    builder.says.counts("registry.storage", "Keys in", &facts.by_storage);
    builder.says.words("; by grade ");
    builder.says.counts("registry.grade", "Keys of the grade", &facts.by_grade);
    let claimed = facts.devices.saturating_sub(proven(facts));
    builder.lacking(
        "registry.unproven",
        "Keys whose storage is claimed or not known",
        claimed,
        " keys whose storage is claimed or not known",
    );
    builder
}

fn attestation(facts: &KeyFacts) -> Builder {
    let attested = count(&facts.by_basis, "attested");
    if attested == 0 {
        return Builder::missing("no key came with evidence");
    }
    let mut builder = Builder::of(attested, facts.devices);
    builder.says.count("registry.basis.attested", "Keys known by: attested", attested);
    builder.says.words(" of ");
    keys(&mut builder, facts);
    builder.says.words(" keys came with evidence that a pinned root vouches for");
    let claimed = facts.devices.saturating_sub(attested);
    builder.lacking("registry.unattested", "Keys without evidence", claimed, " keys came without");
    builder.lacking(
        "registry.test-endorsed",
        "Keys that a TEST root vouches for",
        facts.test_endorsed,
        " keys have a TEST root behind them, which proves nothing",
    );
    builder
}

fn provenance(facts: &KeyFacts) -> Builder {
    let unknown = count(&facts.by_provenance, "unknown");
    if unknown >= facts.devices {
        return Builder::missing("of no key it is known where it came from");
    }
    let mut builder = Builder::of(facts.devices.saturating_sub(unknown), facts.devices);
    builder.says.words("keys by origin ");
    builder.says.counts("registry.provenance", "Keys by origin", &facts.by_provenance);
    builder.lacking(
        "registry.provenance.unknown",
        "Keys by origin: unknown",
        unknown,
        " keys of unknown origin",
    );
    let shared = count(&facts.by_provenance, "derived-from-shared-secret");
    builder.lacking(
        "registry.provenance.derived-from-shared-secret",
        "Keys by origin: derived-from-shared-secret",
        shared,
        " keys come from secrets that other devices share",
    );
    builder
}

fn binding(facts: &KeyFacts) -> Builder {
    let bound = count(&facts.by_host_binding, "bound");
    if bound == 0 {
        return Builder::missing("no chip is recorded as bound to its board");
    }
    let mut builder = Builder::of(bound, facts.devices);
    builder.says.count("registry.binding.bound", "Keys in chips that are bound to their board", bound);
    builder.says.words(" of ");
    keys(&mut builder, facts);
    builder.says.words(" keys are in chips that are bound to their board");
    let loose = facts.devices.saturating_sub(bound);
    builder.lacking(
        "registry.binding.loose",
        "Keys without a known host binding",
        loose,
        " keys would work, or may work, on another board",
    );
    builder
}

fn parts(facts: &KeyFacts) -> Builder {
    if facts.with_part == 0 {
        return Builder::missing("of no key the part is recorded");
    }
    let mut builder = Builder::of(facts.with_part, facts.devices);
    builder.says.count("registry.with-part", "Keys whose part is recorded", facts.with_part);
    builder.says.words(" keys with their part: ");
    builder.says.counts("registry.part", "Keys in the part", &facts.by_part);
    let none = facts.devices.saturating_sub(facts.with_part);
    builder.lacking(
        "registry.without-part",
        "Keys without a recorded part",
        none,
        " keys without a recorded part, keys in software among them",
    );
    let library = facts.with_part.saturating_sub(facts.with_library);
    builder.lacking(
        "registry.without-library",
        "Keys whose part's library version is not recorded",
        library,
        " keys whose part's library version is not recorded",
    );
    builder
}

fn certification(facts: &KeyFacts) -> Builder {
    if facts.with_certification == 0 {
        return Builder::missing("of no key the part's certification is recorded");
    }
    let mut builder = Builder::of(facts.with_certification, facts.devices);
    builder.says.count(
        "registry.certified",
        "Keys whose part's certification is recorded",
        facts.with_certification,
    );
    builder.says.words(" keys with the reference of their part's certification");
    let none = facts.devices.saturating_sub(facts.with_certification);
    builder.lacking("registry.uncertified", "Keys without a recorded certification", none, " keys without");
    builder
}

fn class_breaks(registry: &RegistryFacts) -> Builder {
    let broken = registry.class_breaks.len() as u64;
    if broken == 0 {
        return Builder::missing("no published break was applied to this registry, so nothing was checked");
    }
    let mut builder = Builder::of(registry.keys.with_part, registry.keys.devices);
    builder.says.count("registry.class-breaks", "Published breaks that were applied", broken);
    builder.says.words(" published breaks were applied: ");
    for (at, name) in registry.class_breaks.iter().take(super::MOST_WORDS).enumerate() {
        if at > 0 {
            builder.says.words(", ");
        }
        builder.says.name(name);
    }
    builder.lacking(
        "registry.class-broken",
        "Keys that a published break hit",
        registry.keys.class_broken,
        " keys were hit, and grade no better than a copy",
    );
    let none = registry.keys.devices.saturating_sub(registry.keys.with_part);
    builder.lacking(
        "registry.without-part",
        "Keys without a recorded part",
        none,
        " keys without a recorded part could not be checked",
    );
    builder
}

fn cohort(facts: &KeyFacts) -> Builder {
    if facts.with_part == 0 {
        return Builder::missing("of no key the part is recorded, so the question has no answer");
    }
    let mut builder = Builder::of(facts.with_part, facts.devices);
    builder.says.words("the question is answered for ");
    builder.says.count("registry.with-part", "Keys whose part is recorded", facts.with_part);
    builder.says.words(" keys, by part, revision and library");
    let none = facts.devices.saturating_sub(facts.with_part);
    builder.lacking(
        "registry.without-part",
        "Keys without a recorded part",
        none,
        " keys without a recorded part, which the answer counts apart",
    );
    builder.lacks.words(if builder.lacks.0.is_empty() { "" } else { "; " });
    builder.lacks.words("batches are not recorded anywhere");
    builder.standing = Standing::Partly;
    builder
}

fn lifecycle(facts: &CertificateFacts) -> Builder {
    if facts.issued == 0 {
        return Builder::missing("no certificate was issued");
    }
    let mut builder = Builder::new(Standing::Shown);
    builder.says.count("registry.issued", "Device certificates issued", facts.issued);
    builder.says.words(" certificates issued, ");
    builder.says.count("registry.in-use", "Device certificates in use", facts.in_use);
    builder.says.words(" in use, ");
    builder.says.count(
        "registry.renewed",
        "Device certificates that were renewed by the device",
        facts.renewed,
    );
    builder.says.words(" renewed by the device itself");
    builder.lacking(
        "registry.expired",
        "Newest certificates that have expired",
        facts.expired,
        " devices whose newest certificate has expired",
    );
    builder.lacking(
        "registry.expiring",
        "Certificates in use that expire soon",
        facts.expiring,
        " certificates that expire soon",
    );
    builder
}

fn revocation(registry: &RegistryFacts) -> Builder {
    if registry.crl_number == 0 {
        return Builder::missing("no list of revoked certificates was published");
    }
    let mut builder = Builder::new(Standing::Shown);
    builder.says.count("registry.revoked", "Device certificates revoked", registry.certificates.revoked);
    builder.says.words(" certificates revoked, ");
    builder.says.count("registry.on-hold", "Device certificates on hold", registry.certificates.on_hold);
    builder.says.words(" on hold; the newest list has the number ");
    builder.says.count("registry.crl-number", "Number of the newest CRL", registry.crl_number);
    if !registry.crl_current {
        builder.standing = Standing::Partly;
        builder.lacks.words("that list has run out");
    }
    builder
}

fn journal(registry: &RegistryFacts) -> Builder {
    if registry.journal_entries == 0 {
        return Builder::missing("the journal is empty");
    }
    let mut builder = Builder::new(if registry.journal_whole { Standing::Shown } else { Standing::Partly });
    builder.says.count("registry.journal", "Entries of the authority's journal", registry.journal_entries);
    if registry.journal_whole {
        builder.says.words(" entries, whose chain of hashes was recomputed and is whole");
    } else {
        builder.says.words(" entries");
        builder.lacks.words("the chain of hashes is broken: somebody or something changed the database");
    }
    builder
}
