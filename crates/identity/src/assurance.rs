//! Key assurance: the graded record of where a private key lives and how that is known.
//!
//! The record is written once by the Verifier, and from there it is carried, never asked for again: into the
//! certificate (an extension, see [`KeyAssurance::to_der`]), into the registry, into the monitor's regime.
//! `docs/key-assurance.asn1` holds the ASN.1 module.

mod class_break;
mod extension;
mod grade;

use serde::{Deserialize, Serialize};

pub use class_break::ClassBreak;
pub use extension::{AssuranceDerError, KEY_ASSURANCE_OID};
pub use grade::{Grade, Regime};

use crate::timestamp::Timestamp;

macro_rules! kebab_enum {
    ($(#[$doc:meta])* $type:ident { $($(#[$vdoc:meta])* $variant:ident = $number:tt => $text:tt),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, der::Enumerated)]
        #[repr(u8)]
        pub enum $type { $($(#[$vdoc])* #[serde(rename = $text)] $variant = $number),+ }

        impl $type {
            /// Every value, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word used in JSON, on the command line and in the documentation.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = UnknownWord;
            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text).ok_or_else(|| UnknownWord {
                    found: text.chars().take(40).collect(),
                    allowed: Self::ALL.iter().map(|v| v.as_str()).collect::<Vec<_>>().join(", "),
                })
            }
        }
    };
}
pub(crate) use kebab_enum;

/// A word that is not one of those allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is none of: {allowed}")]
pub struct UnknownWord {
    /// What was read.
    pub found: String,
    /// The words that are allowed.
    pub allowed: String,
}

kebab_enum! {
    /// What kind of place holds the key.
    Storage {
        /// Bytes in flash or a file: whoever reads the storage has the key.
        Software = 1 => "software",
        /// An isolated mode or eFuse-backed store of the main MCU: raises the bar without reaching a separate chip's.
        Enclave = 2 => "enclave",
        /// A TPM 2.0 (TCG TPM 2.0 Library).
        Tpm = 3 => "tpm",
        /// A tamper-resistant secure element (GlobalPlatform Card Specification).
        SecureElement = 4 => "secure-element",
    }
}

kebab_enum! {
    /// How it is known.
    Basis {
        /// Nobody said anything.
        Unknown = 0 => "unknown",
        /// An operator's or the device's own word.
        Declared = 1 => "declared",
        /// Our own factory line generated the key on the chip, and its journal says so.
        Journalled = 2 => "journalled",
        /// Evidence appraised against a pinned endorser's root.
        Attested = 3 => "attested",
    }
}

kebab_enum! {
    /// Where the key came from.
    Provenance {
        /// Not known.
        Unknown = 0 => "unknown",
        /// Derived from a secret that other devices share: one device opens the others.
        DerivedFromSharedSecret = 1 => "derived-from-shared-secret",
        /// Made outside and brought in under a wrapping key.
        InjectedWrapped = 2 => "injected-wrapped",
        /// Put in by the part's maker.
        PreProvisioned = 3 => "pre-provisioned",
        /// Generated inside the part that holds it.
        GeneratedOnChip = 4 => "generated-on-chip",
    }
}

kebab_enum! {
    /// Whether the chip is known to sit on the board it speaks for.
    HostBinding {
        /// Not known.
        Unknown = 0 => "unknown",
        /// Known to work on any board.
        Unbound = 1 => "unbound",
        /// Bound to its host, for instance by a platform SCP03 key.
        Bound = 2 => "bound",
    }
}

/// The part that holds the key. A class break hits a part and a library version, not a word like "hardware".
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Part {
    /// Maker, 1 to 64 characters.
    pub vendor: String,
    /// Model, 1 to 64 characters.
    pub model: String,
    /// Silicon or firmware revision, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// Version of the cryptographic library inside the part, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crypto_library: Option<String>,
}

/// A certification of the part.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Certification {
    /// Scheme, such as `Common Criteria` or `FIPS 140-3`.
    pub scheme: String,
    /// Level as the scheme words it, such as `EAL6+`.
    pub level: String,
    /// Vulnerability analysis grade AVA_VAN, 1 to 5 (Common Criteria part 3), where the scheme has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ava_van: Option<u8>,
    /// The certificate's reference.
    pub reference: String,
}

/// How much of a finite counter is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CounterBudget {
    /// Counts left.
    pub left: u64,
    /// Counts used in a day, rounded up.
    pub used_per_day: u64,
}

/// The graded record of where a key lives and how that is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeyAssurance {
    /// What kind of place holds the key.
    pub storage: Storage,
    /// How that is known.
    pub basis: Basis,
    /// Where the key came from.
    pub provenance: Provenance,
    /// Whether the chip is bound to its board.
    pub host_binding: HostBinding,
    /// The part, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// The part's certification, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certification: Option<Certification>,
    /// What is left of the part's counters, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter_budget: Option<CounterBudget>,
    /// SHA-256 of the appraised evidence, 64 hex digits in JSON; absent where nothing was appraised.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_hash")]
    pub evidence_sha256: Option<[u8; 32]>,
    /// When the evidence was appraised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appraised: Option<Timestamp>,
    /// True when the endorser's root is a TEST root, whose private key is public: fit for trials alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub test_endorser: bool,
    /// The class break that hit the part, by its id: the proof stands, and is worth no more than a claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_break: Option<String>,
}

impl KeyAssurance {
    /// The record of a claim: somebody said so. It grades no better than a key file.
    #[must_use]
    pub fn declared(storage: Storage) -> Self {
        Self {
            storage,
            basis: Basis::Declared,
            provenance: Provenance::Unknown,
            host_binding: HostBinding::Unknown,
            part: None,
            certification: None,
            counter_budget: None,
            evidence_sha256: None,
            appraised: None,
            test_endorser: false,
            class_break: None,
        }
    }

    /// Storage and basis in short, as findings write it: `software/declared`.
    #[must_use]
    pub fn summary(&self) -> String {
        format!("{}/{}", self.storage, self.basis)
    }
}

mod optional_hash {
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "the signature that serde's `with` asks for")]
    pub(super) fn serialize<S: Serializer>(hash: &Option<[u8; 32]>, out: S) -> Result<S::Ok, S::Error> {
        match hash {
            Some(hash) => out.serialize_str(&hex::encode(hash)),
            None => out.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<[u8; 32]>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
        let mut hash = [0; 32];
        hex::decode_to_slice(&text, &mut hash).map_err(serde::de::Error::custom)?;
        Ok(Some(hash))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::option;
    use proptest::prelude::*;
    use proptest::sample::select;

    fn word() -> impl Strategy<Value = String> {
        "[A-Za-z0-9 +./-]{1,20}"
    }

    prop_compose! {
        pub(crate) fn record()(
            storage in select(Storage::ALL),
            basis in select(Basis::ALL),
            provenance in select(Provenance::ALL),
            host_binding in select(HostBinding::ALL),
            part in option::of((word(), word(), option::of(word()), option::of(word()))),
            certification in option::of((word(), word(), option::of(1u8..=5), word())),
            budget in option::of((any::<u64>(), any::<u64>())),
            evidence_sha256 in option::of(any::<[u8; 32]>()),
            seconds in option::of(0i64..253_402_300_799),
            test_endorser: bool,
            class_break in option::of(word()),
        ) -> KeyAssurance {
            KeyAssurance {
                storage, basis, provenance, host_binding, evidence_sha256, test_endorser, class_break,
                part: part.map(|(vendor, model, firmware, crypto_library)| Part { vendor, model, firmware, crypto_library }),
                certification: certification.map(|(scheme, level, ava_van, reference)| Certification { scheme, level, ava_van, reference }),
                counter_budget: budget.map(|(left, used_per_day)| CounterBudget { left, used_per_day }),
                appraised: seconds.map(|s| Timestamp::from_micros(s * 1_000_000)),
            }
        }
    }

    proptest! {
        #[test]
        fn json_round_trip(record in record()) {
            let json = serde_json::to_string(&record).unwrap();
            prop_assert_eq!(serde_json::from_str::<KeyAssurance>(&json).unwrap(), record);
        }
    }

    #[test]
    fn words_and_numbers_agree() {
        for storage in Storage::ALL {
            assert_eq!(storage.as_str().parse::<Storage>().unwrap(), *storage);
        }
        assert_eq!(
            "flash".parse::<Storage>().unwrap_err().to_string(),
            "\"flash\" is none of: software, enclave, tpm, secure-element"
        );
    }
}
