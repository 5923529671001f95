//! The grade: one pure function from the record to the one word that policies ask for.

use serde::{Deserialize, Serialize};

use super::{Basis, KeyAssurance, Provenance, Storage, UnknownWord, kebab_enum};

kebab_enum! {
    /// What an attacker has to do to use the key elsewhere, from worst to best.
    Grade {
        /// One device's secret opens other devices: no chip helps.
        Exposed = 0 => "exposed",
        /// Reading one device's storage gives its key, or nothing proves otherwise.
        Copyable = 1 => "copyable",
        /// The bar is raised (MCU enclave, or a chip whose key also existed elsewhere), not reached.
        Hardened = 2 => "hardened",
        /// Generated in a separate chip and proven: each device has to be attacked by itself.
        HardwareBound = 3 => "hardware-bound",
        /// As above, and the part withstood an evaluation at AVA_VAN.4 or higher.
        HardwareCertified = 4 => "hardware-certified",
    }
}

kebab_enum! {
    /// How an identity has to be watched.
    Regime {
        /// The key can be copied: watch for duplicates.
        Duplication = 0 => "duplication",
        /// The key is proven to sit in a chip: watch for odd behaviour.
        Behaviour = 1 => "behaviour",
    }
}

/// From this AVA_VAN level on the part resists attackers with moderate attack potential (Common Criteria part 3,
/// AVA_VAN.4 "Methodical vulnerability analysis").
const CERTIFIED_FROM_AVA_VAN: u8 = 4;

impl KeyAssurance {
    /// The grade, by the first rule that applies:
    ///
    /// 1. derived from a shared secret: [`Grade::Exposed`], whatever the storage;
    /// 2. held in software, not proven (basis neither attested nor journalled), or hit by a class break:
    ///    [`Grade::Copyable`];
    /// 3. an enclave, or a key that is not known to be generated on the chip: [`Grade::Hardened`];
    /// 4. a separate chip with AVA_VAN.4 or higher: [`Grade::HardwareCertified`];
    /// 5. a separate chip: [`Grade::HardwareBound`].
    #[must_use]
    pub fn grade(&self) -> Grade {
        let proven = matches!(self.basis, Basis::Attested | Basis::Journalled);
        let ava_van = self.certification.as_ref().and_then(|c| c.ava_van).unwrap_or(0);
        match (self.provenance, self.storage) {
            (Provenance::DerivedFromSharedSecret, _) => Grade::Exposed,
            (_, Storage::Software) => Grade::Copyable,
            _ if !proven || self.class_break.is_some() => Grade::Copyable,
            (_, Storage::Enclave) => Grade::Hardened,
            (Provenance::GeneratedOnChip, Storage::Tpm | Storage::SecureElement) => {
                if ava_van >= CERTIFIED_FROM_AVA_VAN {
                    Grade::HardwareCertified
                } else {
                    Grade::HardwareBound
                }
            }
            _ => Grade::Hardened,
        }
    }
}

impl Grade {
    /// The regime that follows: only a key proven to sit in a separate chip is watched by behaviour alone.
    #[must_use]
    pub fn regime(self) -> Regime {
        if self >= Self::HardwareBound { Regime::Behaviour } else { Regime::Duplication }
    }

    /// What the grade means, for people.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Exposed => "one device's secret opens others",
            Self::Copyable => "whoever reads the storage has the key, or nothing proves otherwise",
            Self::Hardened => "the bar is raised, not reached",
            Self::HardwareBound => {
                "proven to live in a separate chip; each device has to be attacked by itself"
            }
            Self::HardwareCertified => "proven to live in a separate, evaluated chip",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::record;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_claim_never_grades_above_copyable(mut record in record()) {
            record.basis = Basis::Declared;
            prop_assert!(record.grade() <= Grade::Copyable);
        }

        #[test]
        fn software_never_grades_above_copyable(mut record in record()) {
            record.storage = Storage::Software;
            prop_assert!(record.grade() <= Grade::Copyable);
        }

        #[test]
        fn a_class_break_leaves_no_grade_above_copyable(mut record in record()) {
            record.class_break = Some("CB-1".to_owned());
            prop_assert!(record.grade() <= Grade::Copyable);
        }

        #[test]
        fn a_shared_secret_defeats_any_chip(mut record in record()) {
            record.provenance = Provenance::DerivedFromSharedSecret;
            prop_assert_eq!(record.grade(), Grade::Exposed);
        }

        #[test]
        fn better_proof_never_lowers_the_grade(record in record()) {
            let with = |basis| KeyAssurance { basis, ..record.clone() }.grade();
            prop_assert!(with(Basis::Unknown) <= with(Basis::Declared));
            prop_assert!(with(Basis::Declared) <= with(Basis::Journalled));
            prop_assert!(with(Basis::Journalled) <= with(Basis::Attested));
        }
    }

    #[test]
    fn the_two_regimes() {
        assert_eq!(KeyAssurance::declared(Storage::SecureElement).grade().regime(), Regime::Duplication);
        assert_eq!(Grade::HardwareBound.regime(), Regime::Behaviour);
    }
}
