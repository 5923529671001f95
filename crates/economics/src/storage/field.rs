//! What a profile says: its fields, what each may hold, and how it is asked for.

use std::collections::BTreeSet;

use serde::Serialize;

/// One field of a profile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field {
    /// As files write it.
    pub key: &'static str,
    /// How people are asked for it.
    pub question: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// Whether it may be left out.
    pub optional: bool,
}

/// What a field may hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// One of these words, each with its meaning.
    Choice(&'static [(&'static str, &'static str)]),
    /// Any of these words, each with its meaning.
    Choices(&'static [(&'static str, &'static str)]),
    /// Yes or no.
    Flag,
    /// A number with a unit.
    Amount {
        /// Units that are taken, and how many of the first one of each is.
        units: &'static [(&'static str, f64)],
        /// The least that makes sense, in the first unit.
        least: f64,
        /// The most that makes sense, in the first unit.
        most: f64,
    },
    /// Free words.
    Words,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", untagged)]
pub enum Answer {
    /// One word; `yes` or `no` for a flag.
    Word(String),
    /// Several words.
    Words(BTreeSet<String>),
    /// A number in the field's first unit.
    Amount(f64),
}

const YES_NO: &[(&str, &str)] = &[("yes", "yes"), ("no", "no")];
const DEVICES: &[(&str, f64)] = &[("device", 1.0)];

const CLASSES: &[(&str, &str)] = &[
    ("sensor", "measures, and reports"),
    ("actuator", "moves or switches something"),
    ("meter", "measures what is billed"),
    ("charger", "charges vehicles"),
    ("lock", "opens and closes a door"),
    ("medical", "a medical device"),
    ("security-system", "alarm, camera or access control"),
    ("payment-terminal", "takes payments"),
    ("gateway", "connects other devices"),
    ("edge-node", "computes near the devices"),
    ("industrial-controller", "controls a machine or plant"),
    ("vehicle-unit", "is part of a vehicle"),
    ("roadside-unit", "stands at the road and talks to vehicles"),
    ("wearable", "is worn"),
    ("appliance", "a household or network appliance"),
    ("disposable", "is used once or for a short time, and thrown away"),
    ("prototype", "is not a product yet"),
    ("server", "a server or PC"),
];

/// Where a secret may be stored, each with its meaning.
pub const STORES: &[(&str, &str)] = &[
    ("flash", "flash of the microcontroller"),
    ("external-flash", "a flash chip of its own"),
    ("otp", "one-time programmable memory or eFuses that software can read"),
    ("rom", "read-only memory"),
    ("enclave", "enclave of the microcontroller"),
    ("tpm", "TPM"),
    ("secure-element", "secure element"),
];

/// All fields, in the order in which they are asked.
pub const FIELDS: &[Field] = &[
    Field { key: "name", question: "What is the device called?", kind: Kind::Words, optional: true },
    Field { key: "class", question: "What is it?", kind: Kind::Choice(CLASSES), optional: false },
    Field {
        key: "lifetime",
        question: "How long does it stay in the field?",
        kind: Kind::Amount {
            units: &[("year", 1.0), ("month", 1.0 / 12.0), ("day", 1.0 / 365.0)],
            least: 0.001,
            most: 100.0,
        },
        optional: false,
    },
    Field {
        key: "reach",
        question: "Who can reach it, at the most?",
        kind: Kind::Choice(&[
            ("public", "anybody"),
            ("customer-premises", "the customer, and who comes to the customer's place"),
            ("controlled", "people whose access somebody controls"),
            ("datacentre", "the staff of a datacentre"),
        ]),
        optional: false,
    },
    Field {
        key: "power",
        question: "What powers it?",
        kind: Kind::Choice(&[
            ("mains", "mains, or a vehicle's supply"),
            ("battery", "a battery"),
            ("harvesting", "light, heat or movement"),
        ]),
        optional: false,
    },
    Field {
        key: "power-budget",
        question: "How much power is there for a security chip while it works?",
        kind: Kind::Amount { units: &[("mW", 1.0), ("W", 1000.0)], least: 0.000_001, most: 1e6 },
        optional: true,
    },
    Field {
        key: "board-space",
        question: "How much of the board is there for it?",
        kind: Kind::Amount { units: &[("mm2", 1.0)], least: 0.0, most: 1e6 },
        optional: true,
    },
    Field {
        key: "mcu",
        question: "Which microcontroller or processor, by part or family?",
        kind: Kind::Words,
        optional: true,
    },
    Field {
        key: "enclave",
        question: "Does it have an enclave?",
        kind: Kind::Choice(&[
            ("none", "none"),
            ("trustzone", "TrustZone, or another world apart"),
            ("efuse", "keys in eFuses that only its hardware uses"),
            ("firmware-tpm", "a TPM in its firmware"),
        ]),
        optional: false,
    },
    Field {
        key: "os",
        question: "Which operating system?",
        kind: Kind::Choice(&[
            ("none", "none, bare metal"),
            ("rtos", "a real-time system"),
            ("linux", "Linux"),
            ("other", "another one of that size"),
        ]),
        optional: false,
    },
    Field {
        key: "data",
        question: "What data does it handle, at the most?",
        kind: Kind::Choice(&[
            ("public", "what anybody may know"),
            ("operational", "what concerns its operation only"),
            ("personal", "of persons"),
            ("sensitive", "of health, payment, or otherwise specially protected"),
        ]),
        optional: false,
    },
    Field {
        key: "liability",
        question: "What can follow from a forged device, at the worst?",
        kind: Kind::Choice(&[
            ("nuisance", "somebody is annoyed"),
            ("money", "somebody loses money"),
            ("injury", "somebody is hurt"),
        ]),
        optional: false,
    },
    Field {
        key: "physical-security",
        question: "Does it guard a door, a vehicle, an alarm?",
        kind: Kind::Flag,
        optional: false,
    },
    Field {
        key: "measured-boot",
        question: "Does it have to prove what it booted?",
        kind: Kind::Flag,
        optional: false,
    },
    Field {
        key: "attestation",
        question: "Does somebody ask for attestation of the platform?",
        kind: Kind::Flag,
        optional: false,
    },
    Field {
        key: "tcg",
        question: "Does somebody ask for conformance to the TCG's specifications?",
        kind: Kind::Flag,
        optional: false,
    },
    Field {
        key: "bom-headroom",
        question: "How much may the bill of material grow?",
        kind: Kind::Amount { units: &[("USD/device", 1.0)], least: 0.0, most: 1e6 },
        optional: false,
    },
    Field {
        key: "volume",
        question: "How many devices?",
        kind: Kind::Amount { units: DEVICES, least: 1.0, most: 1e12 },
        optional: false,
    },
    Field {
        key: "regulation",
        question: "Which regulations and standards apply?",
        kind: Kind::Choices(&[
            ("cra", "EU Cyber Resilience Act"),
            ("red", "EU radio equipment directive, EN 18031"),
            ("mdr", "EU medical device regulation"),
            ("en303645", "ETSI EN 303 645"),
            ("iec62443-sl1", "IEC 62443-4-2, security level 1"),
            ("iec62443-sl2", "IEC 62443-4-2, security level 2"),
            ("iec62443-sl3", "IEC 62443-4-2, security level 3"),
            ("iec62443-sl4", "IEC 62443-4-2, security level 4"),
            ("matter", "Matter"),
            ("r155", "UN Regulation 155"),
        ]),
        optional: false,
    },
    Field {
        key: "fleet",
        question: "Are the devices still to be built, or in the field?",
        kind: Kind::Choice(&[
            ("new", "still to be built"),
            ("retrofit-possible", "in the field, a chip can be added"),
            ("retrofit-not-possible", "in the field, as they are"),
        ]),
        optional: false,
    },
    Field {
        key: "monitoring-accepted",
        question: "Is the cost of watching for copied identities accepted, for the whole life?",
        kind: Kind::Flag,
        optional: false,
    },
    Field {
        key: "objections",
        question: "What is said against hardware?",
        kind: Kind::Choices(&[
            ("encrypted-firmware", "we encrypt the firmware"),
            ("obfuscation", "we obfuscate the key"),
            ("no-physical-access", "physical access is not in our threat model"),
            ("element-is-enough", "we have a secure element, so we are safe"),
        ]),
        optional: true,
    },
];

/// Where secrets are stored: no field that is asked, but what conditions may look at.
pub(super) const STORED: Field =
    Field { key: "stored", question: "Where are its secrets?", kind: Kind::Choices(STORES), optional: true };

/// The field of this key, or the one that says where secrets are stored.
#[must_use]
pub fn field(key: &str) -> Option<&'static Field> {
    static STORED_FIELD: Field = STORED;
    if key == STORED.key { Some(&STORED_FIELD) } else { FIELDS.iter().find(|field| field.key == key) }
}

impl Field {
    /// The words that it takes, each with its meaning; none where it holds a number or free words.
    #[must_use]
    pub fn words(&self) -> &'static [(&'static str, &'static str)] {
        match self.kind {
            Kind::Choice(words) | Kind::Choices(words) => words,
            Kind::Flag => YES_NO,
            Kind::Amount { .. } | Kind::Words => &[],
        }
    }

    /// The unit of its number.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        match self.kind {
            Kind::Amount { units, .. } => units.first().map_or("", |(unit, _)| unit),
            _ => "",
        }
    }

    /// What it holds by these words; several are set apart by commas.
    ///
    /// # Errors
    /// What is wrong with them, and what to write.
    pub fn read(&self, words: &str) -> Result<Answer, (String, String)> {
        let words = words.trim();
        match self.kind {
            Kind::Words => Ok(Answer::Word(words.to_owned())),
            Kind::Choice(_) | Kind::Flag => self.word(words).map(Answer::Word),
            Kind::Choices(_) => {
                let all = words.split(',').map(str::trim).filter(|word| !word.is_empty());
                all.map(|word| self.word(word)).collect::<Result<_, _>>().map(Answer::Words)
            }
            Kind::Amount { units, least, most } => amount(self.key, words, units, (least, most)),
        }
    }

    pub(super) fn word(&self, word: &str) -> Result<String, (String, String)> {
        let known = self.words();
        if known.iter().any(|(one, _)| *one == word) {
            return Ok(word.to_owned());
        }
        let all: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        Err((format!("`{}` is \"{word}\"", self.key), format!("take one of: {}", all.join(", "))))
    }
}

/// A number with a unit, in the first unit.
pub(super) fn amount(
    key: &str,
    words: &str,
    units: &[(&'static str, f64)],
    (least, most): (f64, f64),
) -> Result<Answer, (String, String)> {
    let first = units.first().map_or("", |(unit, _)| unit);
    let Some((number, unit)) = words.split_once(char::is_whitespace) else {
        return Err((
            format!("`{key}` has no number with a unit"),
            format!("write \"{words} {first}\" if that is the unit, a blank between them"),
        ));
    };
    let Ok(number) = number.replace('_', "").parse::<f64>() else {
        return Err((format!("`{key}` is \"{words}\""), format!("write a number and a unit: \"5 {first}\"")));
    };
    let unit = unit.trim();
    let Some((_, factor)) = units.iter().find(|(one, _)| *one == unit) else {
        let all: Vec<&str> = units.iter().map(|(unit, _)| *unit).collect();
        return Err((format!("`{key}` is in \"{unit}\""), format!("take one of: {}", all.join(", "))));
    };
    let value = number * factor;
    if !value.is_finite() || value < least || value > most {
        return Err((
            format!("`{key}` is {value} {first}"),
            format!("write something from {least} to {most} {first}"),
        ));
    }
    Ok(Answer::Amount(value))
}
